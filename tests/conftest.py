"""What tests share.

One thread for each test and all that it starts: machines that run tests are busy, and sums are then the same
everywhere.
"""
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
# On a machine with GPUs, tests and all that they start use the CPU. test_cuda.py alone shows its own process the GPUs.
VISIBLE_GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")  # None: all of them
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# No test asks the network for anything, nor does what it starts: nobody listens at this proxy.
os.environ.update(http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1", no_proxy="127.0.0.1,localhost")
os.environ.pop("CIFAR10_URL", None)


@pytest.fixture(scope="session", autouse=True)
def torch_with_one_thread():
    """torch and torchvision, which a process that only hands tests to others need not load.

    torchvision loads torch's compiler. Behind an optimizer it would get what sitecustomize.py has in its place.
    """
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def small_data():
    """Smaller synthetic data, drawn once for all tests: see helpers.smaller_data."""
    import helpers

    with helpers.smaller_data():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_data):
    """A file with the weights of a LeNet-5 with --channels 6,16 whose predictions are better than chance."""
    import helpers

    place = tmp_path_factory.mktemp("trained")
    _, folder = helpers.go(place, f"{helpers.OBJECTS} --channels 6,16 --epochs 2 --lr 0.05")
    return folder / "model.pt"


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """Returns a file of random weights in the format of torchvision's ImageNet weights, and what it holds.

    torchvision's cache is empty, and there is no network.
    """
    import torch
    from torchvision.models import resnet18

    def no_network(*_, **__):
        raise OSError("no network here")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    torch.manual_seed(5)
    weights = resnet18().state_dict()
    torch.save(weights, tmp_path / "mine.pth")
    return tmp_path / "mine.pth", weights


@pytest.fixture(autouse=True)
def signals_as_before():
    """train.main takes SIGTERM and SIGINT for itself; in the test process they go back to where they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)

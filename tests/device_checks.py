"""Runs that are tried on every device: on the stand-in by test_device.py, on CUDA by test_cuda.py.

What is checked is the same everywhere: no operation mixes devices, no step waits for the device, and a run ends as on
the CPU. A check is a function of the device's name and a folder, so that another process can be asked for it.
"""
import contextlib
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
import torch

import data
import helpers
import models
import train
from experiments import checkpoints, runs, score

ROOT = Path(train.__file__).resolve().parent

# 48, 20 (40 with rotated copies) and 32 train images: three, two (three), and two steps an epoch.
SIZES = {"cifar10": 60, "faces21": 26, "caltech35": 2}
EVERY = "--synthetic --batch-size 16 --threads 1 --save-every 1000 --epochs 1"
FACES = f"{EVERY} --model keypoint --data faces21 --optim adam --lr 0.001"
LENET = f"{EVERY} --model lenet5 --act relu --lr 0.01"
VGG = f"{EVERY} --model vgg13 --convs 1,1,1,1,1 --lr 0.01"
BASE = f"{EVERY} --model base --data caltech35 --lr 0.01"

# Two steps of every net, one of the largest, as small as its flags allow. Side 112 spares that one most of its time.
DATA_OF = {"keypoint": "faces21", "vgg16_imagenet": "caltech35 --split all", "base": "caltech35 --split all",
           "basic_block": "caltech35 --split all", "bottleneck": "caltech35 --split all"}
SMALLEST = {"vgg13": "--convs 1,1,1,1,1", "vgg16": "--convs 1,1,1,1,1", "vgg19": "--convs 1,1,1,1,1",
            "googlenet": "--batch-size 2 --max-steps 1", "vgg16_imagenet": "--batch-size 2 --max-steps 1"}
NETS = {name: f"{EVERY} --model {name} --batch-size 4 --max-steps 2 --lr 0.001 {SMALLEST.get(name, '')} "
              f"--data {DATA_OF.get(name, 'cifar10 --split all')}" for name in models.MODELS}

# Every loss, augmentation, optimizer and way of scoring. a/start and a/scorer must have been made before.
RUNS = {
    "adam": f"{FACES} --norm bn --dropout 0.3 --rotated-copies 15 --valid-rotation 30",
    "adam then sgd": f"{FACES} --epochs 2 --switch-after 1 --rotated-copies 15",
    "leak": f"{FACES} --split leak",
    "sgd": LENET,
    "l2 and clip": f"{LENET} --norm bn --dropout 0.3 --l2 0.01 --clip 1",
    "weight decay and label smoothing": f"{LENET} --weight-decay 0.001 --label-smoothing 0.1",
    "dropconnect": f"{LENET} --dropconnect 0.3 --fc-norm bn --norm gn",
    "layer norm": f"{LENET} --norm ln",
    "instance norm": f"{LENET} --norm in",
    "net": f"{EVERY} --model net --norm bn --dropout 0.3 --init kaiming --split all --test-each-epoch",
    "mlp": f"{EVERY} --model mlp --optim adam --lr 0.001 --split last --test-weights best",
    "flip and crop": f"{LENET} --flip --pad-crop 4",
    "rotation": f"{LENET} --rotation 15",
    "rotated copies": f"{LENET} --rotated-copies 15",
    "autoaugment": f"{LENET} --autoaugment 0.9",
    "augmix": f"{LENET} --augmix 0.9",
    "input noise": f"{LENET} --input-noise 0.1 --input-dropout 0.1",
    "report's protocol": f"{LENET} --norm bn --dropout 0.3 --flip --rotation 15 --protocol report",
    "early stop": f"{LENET} --epochs 3 --schedule plateau --early-stop 1",
    "square": f"{BASE} --loss square",
    "mean square": f"{BASE} --loss mean-square --label-noise 0.4",
    "triplet by cosine": f"{BASE} --loss triplet-cosine --freeze classifier",
    "triplet by distance": f"{BASE} --loss triplet-euclid --freeze classifier",
    "frozen features": f"{BASE} --init-from a/start --freeze features --schedule cosine",
    "cleaned": f"{BASE} --clean-by a/scorer --clean-share 0.2 --label-noise 0.4",
}


def settings_of(flags, place, device):
    """The settings of the run a/b under `place`, on a device that the flag --device need not know."""
    settings = train.parse(f"{flags} --device cpu --runs {place} --run a/b".split())
    return settings._replace(device=device)


def train_run(flags, place, device, guard=contextlib.nullcontext, stop_at=None):
    """Trains a run, and scores it, under `place`; returns its folder.

    guard: a context manager's function, for the steps and the batches that are scored. stop_at: the run is stopped
    before this step and gone on with; the first part is not guarded.
    """
    settings, steps = settings_of(flags, Path(place), device), iter(range(10**6))

    def train_until(stop_reason):
        with mock.patch.object(runs, "watch", lambda *_: stop_reason):
            return train.train(settings, flags, time.monotonic())
    with helpers.smaller_data(**SIZES):
        if stop_at is not None:
            assert train_until(lambda: "the test" if next(steps) == stop_at else None) == runs.STOPPED
        with guarded(guard):
            assert train_until(lambda: None) == runs.FINISHED
    return Path(place, "a/b/seed0")


def train_steps(flags, place, device, guard=contextlib.nullcontext, sizes=SIZES, learns_all=False):
    """Trains as train_run, but keeps nothing on disk, and scores two images instead of the test set.

    learns_all: also the largest layers, without whose gradients VGG takes half the time. Returns the log, with those
    two images' scores in its last row, and the weights, on the CPU.
    """
    settings = settings_of(flags, place, device)
    with helpers.smaller_data(**sizes):
        dataset, model = train.prepare(settings)
    for parameter in model.parameters():
        if parameter.numel() > 10**6 and not learns_all:
            parameter.requires_grad_(False)
    state = train.State(train.make_optimizer(settings, model), None)
    with guarded(guard), mock.patch.object(checkpoints, "save_checkpoint"):
        train.fit(settings, model, dataset, state, Path(place), lambda: None)
        loss, accuracy = train.evaluate(settings, model, dataset, dataset.train[:2])
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    return [*state.rows, {"epoch": "all", "loss": loss, "accuracy": accuracy}], weights


def make_start_and_scorer(place):
    """Makes, on the CPU, the runs that some of RUNS begin with: a/start and a/scorer."""
    for name, split in (("start", "given"), ("scorer", "val+addition")):
        folder = train_run(f"{BASE} --split {split}", place, "cpu")
        folder.parent.rename(folder.parent.with_name(name))


@contextlib.contextmanager
def guarded(guard):
    """While it lasts, every loop over batches of a data set runs within guard(): steps of training, and scoring."""
    batches = data.Dataset.batches

    def watched(*plan):
        with guard():
            yield from batches(*plan)
    with mock.patch.object(data.Dataset, "batches", watched):
        yield


def assert_close(some, others, rtol=1e-4, atol=1e-5):
    """Are two (log, weights) the same up to rounding? Times are left out."""
    for ours, theirs in zip(some[0], others[0], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds"}:
            expected = theirs[name]
            if isinstance(expected, float):
                expected = pytest.approx(expected, rel=rtol, abs=atol)
            assert ours[name] == expected, f"{name} of epoch {ours['epoch']}"
    assert some[1].keys() == others[1].keys()
    for name, tensor in some[1].items():
        if torch.equal(tensor, others[1][name]):  # which takes far less time on the large layers that did not learn
            continue
        torch.testing.assert_close(tensor, others[1][name], rtol=rtol, atol=atol, msg=lambda text: f"{name}: {text}")


def log_and_weights(folder):
    """The log and the final weights of a finished run, on the CPU."""
    return helpers.rows(folder), torch.load(folder / "model.pt", map_location="cpu", weights_only=True)


# ---- what only CUDA can show, in functions that run on the CPU too ---------------------------------------------------

# Runs without dropout, which draws other numbers on CUDA, and with so small a rate that no error grows: 21 steps.
ALIKE = {
    "keypoint": f"{EVERY} --model keypoint --data faces21 --rotated-copies 15 --lr 1e-5 --epochs 7",
    "lenet5": f"{LENET} --l2 0.01 --clip 1 --flip --pad-crop 4 --epochs 7",
    "vgg13": f"{VGG} --norm bn --epochs 7 --lr 1e-4",
    "mlp": f"{EVERY} --model mlp --dropout 0 --epochs 7",
    "cnn": f"{EVERY} --model cnn --dropout 0 --epochs 7",
    "base": f"{BASE} --rotation 15 --epochs 10 --lr 1e-5",
    "triplet": f"{BASE} --loss triplet-euclid --freeze classifier --epochs 10 --lr 1e-5",
}
# Runs with all that has a state, stopped every second step.
RESUMED = {
    "keypoint": f"{FACES} --norm bn --dropout 0.3 --rotated-copies 15 --epochs 3 --switch-after 2 --valid-rotation 30",
    "lenet5": f"{LENET} --norm bn --dropout 0.3 --dropconnect 0.3 --l2 0.01 --clip 1 --autoaugment 0.9 --epochs 2",
    "cnn": f"{EVERY} --model cnn --optim adam --lr 0.001 --epochs 2 --input-noise 0.1 --test-weights best",
    "base": f"{BASE} --momentum 0.9 --flip --rotation 15 --label-noise 0.4 --epochs 3",
    "vgg13": f"{VGG} --norm bn --dropout 0.5 --augmix 0.9 --epochs 2",
}
# The reports' batch sizes, and MiB of tensors in a step of it, counted on the stand-in: weights, what the optimizer
# keeps, and what is saved for the gradients.
MEMORY = {
    "keypoint": (64, 50), "lenet5": (4, 10), "vgg13": (128, 710), "vgg16": (128, 710), "vgg19": (128, 800),
    "nin": (128, 690), "googlenet": (128, 5300), "resnet18": (128, 700), "vgg16_imagenet": (32, 3800), "net": (64, 10),
    "mlp": (128, 40), "cnn": (128, 330), "base": (32, 130), "basic_block": (32, 250), "bottleneck": (32, 440)}


@contextlib.contextmanager
def refusing_waits():
    """While it lasts, torch raises RuntimeError where the CPU would wait for CUDA."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextlib.contextmanager
def exact_float32():
    """While it lasts, CUDA multiplies in float32; its convolutions would otherwise round to TF32, 10 bits."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, value in zip(backends, before):
            backend.allow_tf32 = value


def no_step_waits(device, place, flags, stop_at=None):
    """Raises RuntimeError where a step or the scoring of a batch waits for CUDA, or mixes devices.

    stop_at: the run is stopped before this step and gone on with; None: two steps of a net, nothing kept on disk.
    """
    guard = refusing_waits if device != "cpu" else contextlib.nullcontext
    if stop_at is not None:
        return train_run(flags, place, device, guard, stop_at)
    log, _ = train_steps(flags, place, device, guard)
    assert math.isfinite(log[0]["train_loss"])


def ends_as_on_the_cpu(device, place, flags):
    """Trains on both, and compares all that is logged and all weights."""
    with exact_float32():
        ours, theirs = (train_run(flags, Path(place, name), name) for name in (device, "cpu"))
    assert_close(log_and_weights(ours), log_and_weights(theirs), rtol=5e-3, atol=1e-3)


def resumes_bit_for_bit(device, place, flags):
    """Stops a run after every second step; it ends as one that was never stopped, under --deterministic."""
    flags = f"{flags} --device {device} --deterministic"
    with helpers.smaller_data(**SIZES), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # train.py would set it for good
        try:
            code, whole = helpers.go(place, flags, folder="whole")
            assert code == runs.FINISHED
            helpers.stop_every(patch, 2)
            codes = []
            while not codes or codes[-1] == runs.STOPPED:
                code, folder = helpers.go(place, flags)
                codes.append(code)
        finally:
            torch.use_deterministic_algorithms(False)
    assert codes[-1] == runs.FINISHED and len(codes) > 2
    assert helpers.substance(folder) == helpers.substance(whole)


def full_size(name, batch_size):
    """The flags of three steps of a net as the reports train it."""
    adam = "--optim adam" if name in ("keypoint", "mlp", "cnn") else ""
    norm = "--norm bn" if "norm" in models.flags_of(name) else ""
    convs = {"vgg13": "2,2,3,3,3", "vgg16": "2,2,3,3,3", "vgg19": "2,2,4,4,4"}
    larger = {"vgg16_imagenet": "--side 224", "resnet18": "--stem cifar"}
    larger |= {vgg: f"--convs {numbers}" for vgg, numbers in convs.items()}
    return f"{NETS[name]} --batch-size {batch_size} --max-steps 3 {adam} {norm} {larger.get(name, '')}"


def peak_memory(device, place, name, batch_size):
    """Returns the MiB that CUDA's tensors took at most in three steps of a net; None on the CPU."""
    flags = full_size(name, batch_size)
    sizes = {"cifar10": 3 * batch_size, "faces21": 4 * batch_size, "caltech35": 6}
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    train_steps(flags, place, device, sizes=sizes, learns_all=True)
    return None if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20


def trains_in_bfloat16(device, place):
    """Three epochs under --bf16: the loss is finite and falls."""
    log, weights = log_and_weights(train_run(f"{LENET} --norm bn --lr 0.05 --epochs 3 --bf16", place, device))
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights.values())
    assert log[-1]["train_loss"] < log[0]["train_loss"]


def processes_side_by_side(device, place, count, flags):
    """Several processes train the same at once, each its own run; all end with the same weights."""
    command = [sys.executable, ROOT / "train.py", *flags.split(), "--device", device, "--deterministic"]
    processes = [subprocess.Popen([*map(str, command), "--runs", str(place), "--run", f"a/{number}"], cwd=place)
                 for number in range(count)]
    assert [process.wait() for process in processes] == [0] * count
    first, *others = (helpers.weights(Path(place, f"a/{number}/seed0")) for number in range(count))
    assert all(helpers.same(first, other) for other in others)


def killed_in_mid_epoch(device, place, flags):
    """Kills a process that trains, in its second epoch; the next one ends as one that was never killed."""
    command = [sys.executable, ROOT / "train.py", *flags.split(), "--device", device, "--deterministic",
               "--save-every", "0", "--run", "a/b", "--runs"]
    whole, folder = Path(place, "whole/a/b/seed0"), Path(place, "runs/a/b/seed0")
    subprocess.run([*map(str, command), str(place / "whole")], cwd=place, check=True)
    process = subprocess.Popen([*map(str, command), str(place / "runs")], cwd=place)
    while process.poll() is None and not ((folder / "log.jsonl").exists() and (folder / "log.jsonl").read_text()):
        time.sleep(0.01)
    time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
    subprocess.run([*map(str, command), str(place / "runs")], cwd=place, check=True)
    assert helpers.substance(folder) == helpers.substance(whole)


def scores_as_on_the_cpu(device, place):
    """A run that was trained on the CPU is scored on the device."""
    ours = train_run(f"{LENET} --norm bn --test-weights none", place, "cpu")
    theirs = shutil.copytree(ours, Path(place, "copy/a/b/seed0"))
    with helpers.smaller_data(**SIZES), exact_float32():
        assert score.score(ours, device=device) == score.score(theirs, device="cpu") == runs.FINISHED
    ours, theirs = (helpers.result_of(folder)["metrics"]["test_loss"] for folder in (ours, theirs))
    assert ours == pytest.approx(theirs, rel=1e-4)

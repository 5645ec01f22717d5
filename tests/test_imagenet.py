"""experiments/imagenet.py: torchvision's ImageNet weights from a file, from its cache and by download, and what is
refused."""
import hashlib
import socket
from pathlib import Path

import pytest
import torch

import models
from experiments import imagenet as imagenet_weights


def torchvisions_copy(file, monkeypatch):
    """Puts the file where torchvision keeps its own, as if it were that: the digest in its name is the file's."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(imagenet_weights.URLS, "resnet18", f"https://nowhere/resnet18-{digest}.pth")
    kept = imagenet_weights.file_of("resnet18")
    assert kept.name == f"resnet18-{digest}.pth"
    kept.parent.mkdir(parents=True, exist_ok=True)
    return file.rename(kept)


def test_addresses_of_the_weights_are_torchvisions():
    from torchvision.models import ResNet18_Weights, VGG16_Weights

    assert imagenet_weights.URLS == {"resnet18": ResNet18_Weights.IMAGENET1K_V1.url,
                               "vgg16_imagenet": VGG16_Weights.IMAGENET1K_V1.url}


@pytest.mark.parametrize("named", [False, True])
def test_imagenet_weights_fill_all_but_a_new_last_layer(imagenet, monkeypatch, named):
    file, weights = imagenet
    model = models.build("resnet18")
    drawn = model.fc.weight.clone()
    if not named:
        torchvisions_copy(file, monkeypatch)
    imagenet_weights.load(model, "resnet18", file if named else None)
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items() if not k.startswith("fc."))
    assert torch.equal(model.fc.weight, drawn) and model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_imagenet_weights_that_are_not_there_or_not_these(imagenet, monkeypatch):
    file, weights = imagenet
    model = models.build("resnet18")
    with pytest.raises(imagenet_weights.NoWeights, match="There is no file nowhere.pth"):
        imagenet_weights.load(model, "resnet18", "nowhere.pth")
    others = {k: v for k, v in weights.items() if k != "conv1.weight"}
    for content, said in ((b"no weights", "holds no weights"), ([1, 2], "holds no weights, but something else"),
                          (others, "holds the weights of another net: conv1.weight is missing")):
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            torch.save(content, file)
        kept = torchvisions_copy(file, monkeypatch)
        wanted = f"{kept} {said}.*; ImageNet weights of resnet18 are wanted. "
        with pytest.raises(imagenet_weights.NoWeights, match=f"{wanted}Put {kept.name} there"):
            imagenet_weights.load(model, "resnet18")
        with pytest.raises(imagenet_weights.NoWeights, match=f"{wanted}Name another with --weights"):
            imagenet_weights.load(model, "resnet18", kept)
        kept.unlink()
    how = f"Put {kept.name} there, or name a copy with --weights"
    with pytest.raises(imagenet_weights.NoWeights, match=f"could not be downloaded .*no network here.* {how}"):
        imagenet_weights.load(model, "resnet18")
    assert not list(kept.parent.iterdir()) and socket.getdefaulttimeout() is None


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_file_of_weights_is_executed(tmp_path):
    torch.save({"conv1.weight": Hostile(tmp_path / "executed")}, tmp_path / "mine.pth")
    with pytest.raises(imagenet_weights.NoWeights, match="mine.pth wants to run code .* and was not opened"):
        imagenet_weights.load(models.build("resnet18"), "resnet18", tmp_path / "mine.pth")
    assert not (tmp_path / "executed").exists()
    torch.load(tmp_path / "mine.pth", weights_only=False)  # it would have been
    assert (tmp_path / "executed").exists()


def test_a_bit_that_flipped_in_torchvisions_file_is_found_by_the_digest_in_its_name(imagenet, monkeypatch):
    kept = torchvisions_copy(imagenet[0], monkeypatch)
    content = bytearray(kept.read_bytes())
    content[len(content) // 3] ^= 4
    kept.write_bytes(content)
    digest = imagenet_weights.digest_of(kept)
    with pytest.raises(imagenet_weights.NoWeights, match=f"the SHA-256 of {kept} does not begin with {digest}; "):
        imagenet_weights.load(models.build("resnet18"), "resnet18")
    assert imagenet_weights.digest_of(kept.with_name("mine.pth")) is None


def test_imagenet_weights_are_downloaded_once_into_torchvisions_cache(imagenet, monkeypatch):
    file, weights = imagenet
    asked, content = [], file.read_bytes()
    torchvisions_copy(file, monkeypatch).unlink()

    def download(url, path, digest, progress):
        asked.append((url, path, digest, progress, socket.getdefaulttimeout()))
        path.write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        model = models.build("resnet18")
        imagenet_weights.load(model, "resnet18")
        assert torch.equal(model.conv1.weight, weights["conv1.weight"])
    path = imagenet_weights.file_of("resnet18")
    digest = hashlib.sha256(content).hexdigest()[:8]
    assert asked == [(imagenet_weights.URLS["resnet18"], path, digest, False, 20)]  # no terminal: no progress bar
    assert socket.getdefaulttimeout() is None


def test_a_download_with_another_digest_is_no_weights(imagenet, monkeypatch):
    def download(url, path, digest, progress):
        raise RuntimeError(f"invalid hash value (expected {digest})")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(imagenet_weights.NoWeights, match="could not be downloaded .*invalid hash value .*f37072fd"):
        imagenet_weights.load(models.build("resnet18"), "resnet18")


@pytest.fixture(scope="module")
def of_1000_classes(tmp_path_factory):
    """{net: (file, weights)} in the format of torchvision's ImageNet weights, with random numbers.

    Each tensor is a window that slides over a few thousand numbers, so that VGG-16's file has less than a megabyte, not
    550.
    """
    import torchvision

    made, generator = {}, torch.Generator().manual_seed(6)
    for name, theirs in (("resnet18", "resnet18"), ("vgg16_imagenet", "vgg16")):
        with torch.device("meta"):
            empty = getattr(torchvision.models, theirs)().state_dict()
        weights = {}
        for key, value in empty.items():
            numbers = 9 * torch.rand(1 + sum(value.shape), generator=generator)
            weights[key] = numbers.as_strided(value.shape, [1] * value.dim()).to(value.dtype)
        made[name] = tmp_path_factory.mktemp("of_1000_classes") / f"{name}.pth", weights
        torch.save(weights, made[name][0])
    return made


@pytest.mark.parametrize("name", models.IMAGENET)
@pytest.mark.parametrize("side", [112, 224])
def test_imagenet_weights_at_either_side_leave_35_new_outputs_as_they_were_drawn(of_1000_classes, name, side):
    file, weights = of_1000_classes[name]
    model = models.build(name, classes=35, side=side)
    key, last = models.last_linear(model)
    drawn = {k: v.clone() for k, v in last.state_dict(prefix=key + ".").items()}
    imagenet_weights.load(model, name, file)
    own = model.state_dict()
    assert own.keys() == weights.keys() and last.weight.shape[0] == len(last.bias) == 35
    assert weights[key + ".bias"].shape == (1000,)
    assert [k for k, v in own.items() if not torch.equal(v, drawn.get(k, weights[k]))] == []
    assert model.input_shape == (3, side, side)


@pytest.mark.parametrize("name", models.IMAGENET)
def test_imagenet_weights_of_another_net_or_from_nowhere_are_refused_by_name(of_1000_classes, imagenet, name):
    # the large one without its numbers: no weight of the other has a place in it
    with torch.device("meta" if name == "vgg16_imagenet" else "cpu"):
        model = models.build(name, classes=35)
    missing = f"There is no file elsewhere/mine.pth with the ImageNet weights of {name}"
    with pytest.raises(imagenet_weights.NoWeights, match=missing):
        imagenet_weights.load(model, name, "elsewhere/mine.pth")
    for other in set(models.IMAGENET) - {name}:
        refused = f"{other}.pth holds the weights of another net: .*; ImageNet weights of {name} are wanted"
        with pytest.raises(imagenet_weights.NoWeights, match=refused):
            imagenet_weights.load(model, name, of_1000_classes[other][0])
    kept = {"resnet18": "resnet18-f37072fd.pth", "vgg16_imagenet": "vgg16-397923af.pth"}[name]
    failed = f"{kept} and could not be downloaded .*no network here.* Put {kept} there"
    with pytest.raises(imagenet_weights.NoWeights, match=failed):
        imagenet_weights.load(model, name)

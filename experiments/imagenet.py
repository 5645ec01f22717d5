"""torchvision's ImageNet weights: where they are kept, their download, and loading them into a net (report 5).

`load` takes them from torchvision's own cache, into which they are downloaded once, or from a file that is named.
"""
import re
import socket
import sys
from pathlib import Path

import torch

from experiments import archives, checkpoints
from models import last_linear

URLS = {"resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "vgg16_imagenet": "https://download.pytorch.org/models/vgg16-397923af.pth"}


class NoWeights(Exception):
    """Pretrained weights are missing or are others. The message says what was looked for and how to get it."""


def file_of(name, file=None):
    """Returns the path of the net's ImageNet weights: `file`, or where torchvision keeps its downloads."""
    return Path(file) if file else Path(torch.hub.get_dir(), "checkpoints", Path(URLS[name]).name)


def digest_of(path):
    """Returns the first digits of a SHA-256 with which a file's name ends, as in resnet18-f37072fd.pth, or None."""
    found = re.fullmatch(r".*-([0-9a-f]{8,64})", path.stem)
    return found[1] if found else None


def load(model, name, file=None):
    """Loads torchvision's ImageNet weights, except those of the last linear layer, which stays as it was drawn.

    They come from `file` or from torchvision's cache, into which they are downloaded. torchvision's files have the
    first digits of their SHA-256 in their names, which are compared. Raises NoWeights if any of this fails.
    """
    path = file_of(name, file)
    how = "Name another with --weights." if file else f"Put {path.name} there, or name a copy with --weights FILE."
    if file and not path.is_file():
        raise NoWeights(f"There is no file {file} with the ImageNet weights of {name}. "
                        "Name one in torchvision's format, or leave --weights out.")
    if not path.is_file():
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(20)  # torch would wait for ever where packets get lost
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URLS[name], path, digest_of(path), progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as e:  # no network, or a file of another digest
            raise NoWeights(f"The ImageNet weights of {name} are not in {path} and could not be downloaded ({e}). "
                            f"{how}") from e
        finally:
            socket.setdefaulttimeout(timeout)
    last, _ = last_linear(model)
    try:
        if digest_of(path) and not archives.sha256(path).startswith(digest_of(path)):
            raise checkpoints.Unusable(f"the SHA-256 of {path} does not begin with {digest_of(path)}")
        weights = checkpoints.read(path)
        if isinstance(weights, dict):
            weights = {**weights, **{key: ours for key, ours in model.state_dict().items()
                                     if key.startswith(last + ".")}}
        checkpoints.load_weights(model, weights, path)
    except (checkpoints.Unusable, OSError) as e:
        raise NoWeights(f"{e}; ImageNet weights of {name} are wanted. {how}") from e

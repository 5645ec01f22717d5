"""What the tests of data need: small data sets and archives on disk, a folder to be alone in, a disk that is full."""
import contextlib
import hashlib
import io
import os
import pickle
import resource
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from experiments import readers


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Every test in a folder of its own, so that no default path leads to real data or to the user's cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))


@contextlib.contextmanager
def small_disk(size):
    """No file can grow beyond `size` bytes here: what a full disk looks like from inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def unprivileged():
    """Root may read everything, so as root: as nobody."""
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)


def assert_sentences(message):
    """One to three sentences on one line (file names and reasons may hold more dots), and no traceback."""
    assert message.strip().endswith(".") and "\n" not in message.strip() and "Traceback" not in message
    assert 1 <= message.strip().count(". ") + 1 <= 3


# ---- faces21 --------------------------------------------------------------------------------------------------------

def label_line(file, box, points=((5, 5),)):
    """A line of label.txt; landmarks that are not given lie at the first one."""
    points = [*points, *[points[0]] * (21 - len(points))]
    return " ".join([file, *map(str, box), *(f"{x} {y}" for x, y in points)])


def photograph(path, width=200, height=160, square=(60, 50)):
    """Writes a dark colour photograph with one bright 3x3 square, whose centre is square + 1.5."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x, y = square
    pixels[y:y + 3, x:x + 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def faces_folder(root, photographs=10, each=2):
    """Writes root/faces21 with `each` faces to a photograph, half in I and half in II under the same names."""
    for part in ("I", "II"):
        lines = []
        for i in range(photographs // 2):
            photograph(root / "faces21" / part / f"{i}.png", 60, 60, (10 + 3 * i, 20))
            lines += [label_line(f"{i}.png", (10 + k, 10, 50, 50)) for k in range(each)]
        (root / "faces21" / part / "label.txt").write_text("\n".join(lines) + "\n")


# ---- cifar10 --------------------------------------------------------------------------------------------------------

def noise_images(n, seed):
    """n random images (n, 32, 32, 3), uint8."""
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)


def image_folder(root, ending="png", name="{:05}"):
    """Writes root/cifar10: 30 training and 10 test images; classes follow no order, names are the official numbers."""
    for side, n in (("train", 30), ("test", 10)):
        for i, image in enumerate(noise_images(n, n)):
            folder = root / "cifar10" / side / readers.CIFAR_CLASSES[i * 7 % 10]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{name.format(i)}.{ending}")


def official_batches(folder, monkeypatch):
    """Writes the same images as official batches into `folder`, and sets readers.CIFAR_BATCHES to their digests."""
    folder.mkdir(parents=True)
    digests = {}
    for number, name in enumerate(readers.CIFAR_BATCHES):
        n, part = (10, slice(None)) if name == "test_batch" else (30, slice(6 * number, 6 * number + 6))
        rows = noise_images(n, n)[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
        content = pickle.dumps({b"data": rows, b"labels": [i * 7 % 10 for i in range(n)[part]]})
        (folder / name).write_bytes(content)
        digests[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(readers, "CIFAR_BATCHES", digests)


# ---- caltech35 ------------------------------------------------------------------------------------------------------

def caltech_folder(root, classes=12):
    """Writes root/caltech35 with few classes, and returns that folder.

    Per class there are 2 training images, 1 of val and 1 of addition, and one test image of every second class. The red
    of an image is 10 times its class, its green tells its part.
    """
    folder, lines = root / "caltech35", []
    for number, (part, count) in enumerate((("train", 2), ("val", 1), ("addition", 1))):
        for c in range(classes):
            (folder / part / str(c)).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (30 + c, 20), (10 * c, 50 * number, 0)).save(folder / part / str(c) / f"{i}.png")
    (folder / "test").mkdir()
    for c in range(0, classes, 2):
        Image.new("L", (25, 25), 10 * c).save(folder / "test" / f"t{c}.png")
        lines.append(f"t{c}.png,{c}\n")
    (folder / "test" / "annotions.txt").write_text("".join(lines[::-1]))  # in any order
    return folder


# ---- archives -------------------------------------------------------------------------------------------------------

def packed(path, files):
    """Writes an archive with `files` {name: bytes}; its kind follows the ending of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name, content in files.items():
                z.writestr(name, content)
        return path
    kind = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2", ".tar": "w"}[path.suffix]
    with tarfile.open(path, kind) as t:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            t.addfile(member, io.BytesIO(content))
    return path

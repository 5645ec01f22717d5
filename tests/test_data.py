"""data.py: on files made here; the last section on the real data, where they are. No network but this machine's own."""
import contextlib
import functools
import hashlib
import http.server
import io
import os
import pickle
import resource
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import data  # noqa: E402


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Every test in a folder of its own, so that no default path leads to real data or to the user's cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setenv("no_proxy", "*")


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
    """One or two sentences on one line (file names and reasons may hold more dots), and no traceback."""
    assert message.strip().endswith(".") and "\n" not in message.strip() and "Traceback" not in message
    assert 1 <= message.strip().count(". ") + 1 <= 3


# ----------------------------------------------------------------------------------------------------------------- faces


def line(file, box, points=((5, 5),)):
    """A line of label.txt; landmarks that are not given lie at the first one."""
    points = [*points, *[points[0]] * (21 - len(points))]
    return " ".join([file, *map(str, box), *(f"{x} {y}" for x, y in points)])


def photograph(path, width=200, height=160, square=(60, 50)):
    """A dark colour photograph with one bright 3x3 square, whose centre is square + 1.5."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x, y = square
    pixels[y:y + 3, x:x + 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def faces(root, photographs=10, each=2):
    """root/faces21 with `each` faces to a photograph, half in I and half in II under the same names; gives each face's photograph."""
    for part in ("I", "II"):
        lines = []
        for i in range(photographs // 2):
            photograph(root / "faces21" / part / f"{i}.png", 60, 60, (10 + 3 * i, 20))
            lines += [line(f"{i}.png", (10 + k, 10, 50, 50)) for k in range(each)]
        (root / "faces21" / part / "label.txt").write_text("\n".join(lines) + "\n")
    return torch.arange(photographs).repeat_interleave(each)


@pytest.mark.parametrize("part", ["I", "II"])
@pytest.mark.parametrize("box, crop", [((40, 30, 100, 90), (25, 15, 115, 105)),  # grown by a quarter on every side
                                       ((10, 20, 90, 60), (0, 10, 110, 70)),  # clipped on the left; wider than high
                                       ((50, 40, 190, 150), (15, 12.5, 200, 160))])  # clipped on the right and at the bottom
def test_landmark_lands_on_the_mark_in_the_crop(tmp_path, part, box, crop):
    photograph(tmp_path / "faces21" / part / "a.png")
    (tmp_path / "faces21" / part / "label.txt").write_text(line("a.png", box, [(61.5, 51.5)]) + "\n")
    d = data.load("faces21", tmp_path)
    assert d.images.shape == (1, 1, 112, 112) and d.images.dtype == torch.uint8
    assert d.targets.shape == (1, 42) and d.targets.dtype == torch.float32
    x1, y1, x2, y2 = crop
    x, y = d.targets[0, :2].tolist()
    assert (x, y) == pytest.approx(((61.5 - x1) * 112 / (x2 - x1), (51.5 - y1) * 112 / (y2 - y1)), abs=1e-4)
    brightest = divmod(int(d.images[0, 0].argmax()), 112)
    assert abs(brightest[0] + 0.5 - y) <= 1.5 and abs(brightest[1] + 0.5 - x) <= 1.5  # the mark is some pixels wide
    assert centroid(d.images[:, 0].float())[0].tolist() == pytest.approx((x, y), abs=0.1)


def centroid(images):
    """The centre of mass x, y of images (n, h, w), 0 at the left or top edge."""
    _, h, w = images.shape
    x, y = images.sum(1) @ (torch.arange(w) + 0.5), images.sum(2) @ (torch.arange(h) + 0.5)
    return torch.stack([x, y], 1) / images.sum((1, 2))[:, None]


def test_faces_are_grey_and_landmarks_may_lie_outside(tmp_path):
    folder = tmp_path / "faces21" / "I"
    folder.mkdir(parents=True)
    Image.new("RGB", (80, 80), (255, 0, 0)).save(folder / "red.png")
    (folder / "label.txt").write_text("\ufeff" + line("red.png", (20, 20, 60, 60), [(-30.5, 5), (500, 79)]) + "\n\n", encoding="utf-8")
    d = data.load("faces21", tmp_path)
    assert d.images.unique().tolist() == [76]  # 0.299 of 255: the weight of red in grey
    assert d.targets[0, :4].tolist() == pytest.approx([-40.5 * 112 / 60, -5 * 112 / 60, 490 * 112 / 60, 69 * 112 / 60], abs=1e-3)


def test_split_keeps_photographs_together(tmp_path):
    of = faces(tmp_path, 20, 3)
    d = data.load("faces21", tmp_path)
    train, valid = set(of[d.train].tolist()), set(of[d.valid].tolist())
    assert not train & valid and len(train) == 16 and len(valid) == 4
    assert sorted(torch.cat([d.train, d.valid]).tolist()) == list(range(60)) and len(d.test) == 0
    torch.manual_seed(5)  # what --seed sets does not reach the split; --split-seed does
    assert data.load("faces21", tmp_path).valid.tolist() == d.valid.tolist()
    assert data.load("faces21", tmp_path, split_seed=1).valid.tolist() != d.valid.tolist()


GOOD = line("a.png", (20, 20, 60, 60))


@pytest.mark.parametrize("bad, words", [
    (GOOD.rsplit(" ", 1)[0], ["label.txt, line 2", "45 numbers"]),
    (GOOD.replace("60 60", "60 sixty"), ["label.txt, line 2", "not a number"]),
    (GOOD.rsplit(" ", 1)[0] + " nan", ["label.txt, line 2", "not a number"]),
    (GOOD.rsplit(" ", 1)[0] + " 1e300", ["label.txt, line 2", "not a number"]),  # infinite in float32
    (line("a.png", (20, 20, 20, 60)), ["label.txt, line 2", "without area", "20 20 20 60"]),
    (line("a.png", (60, 20, 20, 60)), ["label.txt, line 2", "without area"]),
    (line("a.png", (300, 20, 340, 60)), ["a.png", "outside", "80x70"]),
    (line("b.png", (20, 20, 60, 60)), ["b.png", "no such file"]),
    (line("garbage.jpg", (20, 20, 60, 60)), ["garbage.jpg", "image"]),
    (line("cut.jpg", (20, 20, 60, 60)), ["cut.jpg", "truncated"]),
    (line(".", (20, 20, 60, 60)), ["faces21", "image"]),
])
def test_broken_face_is_named(tmp_path, bad, words):
    folder = tmp_path / "faces21" / "II"
    photograph(folder / "a.png", 80, 70)
    (folder / "garbage.jpg").write_bytes(bytes(range(256)) * 4)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:3000])
    (folder / "label.txt").write_text(f"{GOOD}\n{bad}\n")
    with pytest.raises(data.DataError) as e:
        data.load("faces21", tmp_path)
    assert all(word in str(e.value) for word in words)
    assert_sentences(str(e.value))


@pytest.mark.parametrize("content, words", [(b"", "name no face"), (b"\xff\xfe\x00garbage", "line 1")])
def test_label_file_without_faces(tmp_path, content, words):
    (tmp_path / "faces21" / "I").mkdir(parents=True)
    (tmp_path / "faces21" / "I" / "label.txt").write_bytes(content)
    with pytest.raises(data.DataError, match=words):
        data.load("faces21", tmp_path)


# --------------------------------------------------------------------------------------------------------------- cifar10


def pixels(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)


def image_folder(root, ending="png", name="{:05}"):
    """root/cifar10 with 30 training and 10 test images; their classes follow no order, their names are the official indices."""
    for side, n in (("train", 30), ("test", 10)):
        for i, image in enumerate(pixels(n, n)):
            path = root / "cifar10" / side / data.CIFAR_CLASSES[i * 7 % 10] / f"{name.format(i)}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def batches(folder, monkeypatch):
    """The same images as official batches in `folder`, and data.CIFAR_BATCHES set to their digests."""
    folder.mkdir(parents=True)
    digests = {}
    for number, name in enumerate(data.CIFAR_BATCHES):
        n, part = (10, slice(None)) if name == "test_batch" else (30, slice(6 * number, 6 * number + 6))
        rows = pixels(n, n)[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
        content = pickle.dumps({b"data": rows, b"labels": [i * 7 % 10 for i in range(n)[part]]})
        (folder / name).write_bytes(content)
        digests[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(data, "CIFAR_BATCHES", digests)


@pytest.mark.parametrize("name", ["{:05}", "{}"])
def test_image_folder_in_official_order(tmp_path, name):
    image_folder(tmp_path, name=name)
    d = data.load("cifar10", tmp_path, split="all")
    assert d.images.dtype == torch.uint8 and d.images.is_contiguous()
    assert np.array_equal(d.images.permute(0, 2, 3, 1), np.concatenate([pixels(30, 30), pixels(10, 10)]))
    assert d.targets.tolist() == [i * 7 % 10 for i in range(30)] + [i * 7 % 10 for i in range(10)]
    assert d.train.tolist() == list(range(30)) and len(d.valid) == 0 and d.test.tolist() == list(range(30, 40))
    assert d.classes == data.CIFAR_CLASSES and "lossy" not in d.source


def test_random_split(tmp_path):
    image_folder(tmp_path)
    d, other = data.load("cifar10", tmp_path), data.load("cifar10", tmp_path, split_seed=1)
    assert (len(d.train), len(d.valid)) == (24, 6) and sorted(torch.cat([d.train, d.valid]).tolist()) == list(range(30))
    assert d.valid.tolist() != other.valid.tolist() and d.test.tolist() == other.test.tolist() == list(range(30, 40))


def test_the_last_fifth_is_valid_in_report_4(tmp_path):
    image_folder(tmp_path)
    d = data.load("cifar10", tmp_path, split="last")
    assert (d.train.tolist(), d.valid.tolist(), d.test.tolist()) == (list(range(24)), list(range(24, 30)), list(range(30, 40)))


def test_mean_and_deviation_are_a_choice_for_class_images():
    x, _ = (own := data.load("cifar10", synthetic=True, normalise="cifar10")).batch(torch.tensor([7]))
    pixel = own.images[7, :, 3, 4].double() / 255
    by_hand = (pixel - torch.tensor([0.4914, 0.4822, 0.4465])) / torch.tensor([0.2470, 0.2435, 0.2616])
    assert torch.allclose(x[0, :, 3, 4].double(), by_hand, atol=1e-5)
    half = data.load("cifar10", synthetic=True)
    assert torch.equal(half.mean, data.load("cifar10", synthetic=True, normalise="half").mean) and half.mean.unique().item() == 127.5
    assert not torch.equal(data.load("caltech35", synthetic=True).mean, half.mean)


def test_jpegs_are_said_to_be_lossy(tmp_path):
    image_folder(tmp_path, "jpg")
    (tmp_path / "cifar10" / "train" / ".ipynb_checkpoints").mkdir()  # what Jupyter and macOS leave is not a class, not an image
    (tmp_path / "cifar10" / "train" / "cat" / "._00001.jpg").write_bytes(b"junk")
    d = data.load("cifar10", tmp_path)
    assert "jpg" in d.source and "lossy" in d.source and len(d.images) == 40


@pytest.mark.parametrize("place", ["cifar10/cifar-10-batches-py", "cifar-10-batches-py"])
def test_both_layouts_give_the_same(tmp_path, monkeypatch, place):
    image_folder(tmp_path / "folder")
    batches(tmp_path / "official" / place, monkeypatch)
    a, b = data.load("cifar10", tmp_path / "folder"), data.load("cifar10", tmp_path / "official")
    assert a.fingerprint == b.fingerprint and a.classes == b.classes and a.source != b.source
    for field in ("images", "targets", "train", "valid", "test"):
        assert torch.equal(getattr(a, field), getattr(b, field)), field


class Bomb:
    """A pickle of this makes a file, opened, where it is loaded."""

    def __reduce__(self):
        return open, ("opened", "w")


def test_hostile_batch_is_not_opened(tmp_path, monkeypatch):
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    batches(folder, monkeypatch)
    (folder / "data_batch_3").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(data.DataError, match="data_batch_3 is not the official") as e:
        data.load("cifar10", tmp_path)
    assert_sentences(str(e.value))
    assert not Path("opened").exists()
    pickle.loads((folder / "data_batch_3").read_bytes()).close()  # the bomb is one
    assert Path("opened").exists()


def test_missing_batch_is_named(tmp_path, monkeypatch):
    batches(tmp_path / "cifar-10-batches-py", monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(data.DataError, match="cannot be read .*No such file.*test_batch"):
        data.load("cifar10", tmp_path)


def test_digests_are_those_that_torchvision_checks():
    from torchvision.datasets import CIFAR10
    assert list(data.CIFAR_BATCHES.items()) == [tuple(entry) for entry in CIFAR10.train_list + CIFAR10.test_list]


def broken_folder(root, what):
    image_folder(root)
    if what == "size":
        Image.new("RGB", (40, 30)).save(root / "cifar10" / "test" / "cat" / "00009.png")
    elif what == "class":
        for path in (root / "cifar10" / "test" / "ship").iterdir():
            path.unlink()
        (root / "cifar10" / "test" / "ship").rmdir()
    elif what == "test":
        (root / "cifar10" / "test").rename(root / "elsewhere")
    elif what == "images":
        for path in root.glob("cifar10/train/*/*"):
            path.unlink()
    elif what == "link":
        (root / "cifar10" / "train" / "cat" / "x.png").symlink_to(root / "nowhere")


@pytest.mark.parametrize("what, words", [("size", ["00009.png", "40x30", "32x32"]), ("class", ["test", "holds 9"]),
                                         ("test", ["test", "holds 0"]), ("images", ["train", "no .png or .jpg"]),
                                         ("link", ["x.png", "No such file"])])
def test_broken_image_folder(tmp_path, what, words):
    broken_folder(tmp_path, what)
    with pytest.raises(data.DataError) as e:
        data.load("cifar10", tmp_path)
    assert all(word in str(e.value) for word in words)
    assert_sentences(str(e.value))


@pytest.mark.parametrize("name", data.NAMES)
@pytest.mark.parametrize("path", ["", "{}", "{}/train", "{}/I", "cifar-10-batches-py"])
def test_missing_data_and_files_for_folders(tmp_path, name, path):
    root = tmp_path / "root"
    if path:
        (root / path.format(name)).parent.mkdir(parents=True)
        (root / path.format(name)).write_text("a file where a folder should be")
    with pytest.raises(data.DataError, match=f"looked for .*python data.py {'fetch' if name == 'cifar10' else 'unpack'}") as e:
        data.load(name, root)
    assert_sentences(str(e.value))


def caltech_folder(root, classes=12):
    """caltech35 with few classes: per class 2 training images, 1 of val and 1 of addition, and one test image of every second class.
    The red of an image is 10 times its class, its green tells its part."""
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


def test_caltech35_its_parts_and_what_each_split_makes_of_them(tmp_path):
    caltech_folder(tmp_path)
    loaded = {split: data.load("caltech35", tmp_path, split=split) for split in data.SPLITS["caltech35"]}
    assert {split: (len(d.train), len(d.valid), len(d.test)) for split, d in loaded.items()} == {
        "given": (24, 12, 6), "train+addition": (36, 12, 6), "all": (48, 0, 6), "val+addition": (24, 0, 6)}
    d = loaded["given"]
    assert d.classes == [str(c) for c in range(12)] and d.images.shape == (54, 3, 112, 112) and not d.synthetic
    assert (d.images[..., 56, 56][:, 0] == 10 * d.targets).all()  # 10 is the class after 9, and annotions.txt is read
    greens = {split: {part: sorted(set((d.images[getattr(d, part), 1, 56, 56] // 50).tolist())) for part in ("train", "valid")} for split, d in loaded.items()}
    assert greens == {"given": {"train": [0], "valid": [1]}, "train+addition": {"train": [0, 2], "valid": [1]}, "all": {"train": [0, 1, 2], "valid": []},
                      "val+addition": {"train": [1, 2], "valid": []}}
    assert all(torch.equal(other.test, d.test) and other.fingerprint == d.fingerprint for other in loaded.values())
    assert (d.images[d.test].float().std(1) == 0).all()  # grey became RGB


def test_caltech35_is_resized_bicubic_to_either_side_and_each_has_its_cache(tmp_path):
    folder = caltech_folder(tmp_path)
    pattern = Image.fromarray((torch.rand(20, 31, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy())
    pattern.save(folder / "train" / "0" / "0.png")
    for side in (112, 224):
        d = data.load("caltech35", tmp_path, side=side)
        expected = torch.from_numpy(np.asarray(pattern.resize((side, side), Image.Resampling.BICUBIC)).copy()).permute(2, 0, 1)
        assert torch.equal(d.images[0], expected)
    assert len(list((tmp_path / ".cache").glob("*.pt"))) == 2 and data.load("caltech35", tmp_path, side=112).images.shape[-1] == 112
    assert len(list((tmp_path / ".cache").glob("*.pt"))) == 2


@pytest.mark.parametrize("what, words", [("class", ["val", "0, 1, 2, ..."]), ("names", ["train", "0, 1, 2, ..."]), ("empty", ["holds no image"]),
                                         ("label", ["annotions.txt, line 2", "a comma and a class"]), ("outside", ["annotions.txt, line 1"]),
                                         ("file", ["t0.png", "no such file"]), ("annotions", ["annotions.txt"])])
def test_broken_caltech35(tmp_path, what, words):
    folder = caltech_folder(tmp_path)
    annotions = folder / "test" / "annotions.txt"
    if what == "class":
        (folder / "val" / "3").rename(tmp_path / "elsewhere")
    elif what == "names":
        for part in ("train", "val", "addition"):
            (folder / part / "3").rename(folder / part / "cat")
    elif what == "empty":
        for path in folder.glob("addition/*/*"):
            path.unlink()
    elif what == "label":
        annotions.write_text("t2.png,2\nt0.png,99\n")
    elif what == "outside":
        annotions.write_text("../train/0/0.png,0\n")
    elif what == "file":
        (folder / "test" / "t0.png").unlink()
    else:
        annotions.unlink()
    with pytest.raises(data.DataError) as e:
        data.load("caltech35", tmp_path)
    assert all(word in str(e.value) for word in words)
    assert_sentences(str(e.value))


def test_folder_that_may_not_be_read(tmp_path):
    image_folder(tmp_path)
    (tmp_path / "cifar10" / "train" / "cat").chmod(0)
    with unprivileged(), pytest.raises(data.DataError, match="ermission"):
        data.load("cifar10", tmp_path)
    (tmp_path / "cifar10" / "train" / "cat").chmod(0o755)


def test_unknown_names_list_the_choices(tmp_path):
    with pytest.raises(data.DataError, match="no data set mnist.*cifar10, faces21, caltech35"):
        data.load("mnist", synthetic=True)
    with pytest.raises(ValueError, match="photograph, leak"):
        data.load("faces21", synthetic=True, split="random")


# ----------------------------------------------------------------------------------------------------------------- cache


def decodes(monkeypatch):
    """A list that grows by one with every decoding of CIFAR-10's image folder."""
    count, read = [], data._read_cifar_folders

    @functools.wraps(read)  # its name is part of the cache's
    def counted(folder):
        count.append(folder)
        return read(folder)
    monkeypatch.setattr(data, "_read_cifar_folders", counted)
    return count


def test_decoded_once(tmp_path, monkeypatch):
    count = decodes(monkeypatch)
    image_folder(tmp_path / "data")
    first, again = data.load("cifar10", "data"), data.load("cifar10", "data")
    assert len(count) == 1 and torch.equal(first.images, again.images) and first.fingerprint == again.fingerprint
    for root in (tmp_path / "data", "./data", "data/../data/"):  # the same folder in other words
        data.load("cifar10", root)
    assert len(count) == 1 and (tmp_path / "data" / ".cache").is_dir()


@pytest.mark.parametrize("change", ["content", "time", "renamed", "added", "removed"])
def test_changed_files_are_decoded_again(tmp_path, monkeypatch, change):
    count = decodes(monkeypatch)
    image_folder(tmp_path)
    old = data.load("cifar10", tmp_path)
    file = tmp_path / "cifar10" / "train" / "airplane" / "00000.png"
    if change == "time":
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    elif change == "removed":
        file.unlink()
    elif change == "renamed":
        file.rename(file.with_name("00009.png"))
    else:
        Image.new("RGB", (32, 32), "red").save(file if change == "content" else file.with_name("00030.png"))
    new = data.load("cifar10", tmp_path)
    assert len(count) == 2 and (new.fingerprint == old.fingerprint) == (change == "time")
    assert len(list((tmp_path / ".cache").glob("cifar10-*"))) == 1  # the old cache is gone
    assert old.images.sum() > 0  # and can still be read by who had it open


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "hostile"])
def test_damaged_cache_is_said_and_made_again(tmp_path, monkeypatch, capsys, damage):
    count = decodes(monkeypatch)
    image_folder(tmp_path)
    old = data.load("cifar10", tmp_path).fingerprint
    cache, = (tmp_path / ".cache").glob("cifar10-*.pt")
    content = bytearray(cache.read_bytes())
    if damage == "flipped":  # a bit among the pixels, which a zip reader does not notice
        content[content.index(pixels(30, 30)[0, :, :, 0].tobytes()) + 7] ^= 1
    hostile = io.BytesIO()
    torch.save({"fingerprint": Bomb()}, hostile)
    cache.write_bytes({"cut": content[:-500], "flipped": content, "empty": b"", "hostile": hostile.getvalue()}[damage])
    assert data.load("cifar10", tmp_path).fingerprint == old and len(count) == 2
    assert str(cache) in capsys.readouterr().err and not Path("opened").exists()
    data.load("cifar10", tmp_path)
    assert len(count) == 2


def test_cache_of_a_data_folder_that_cannot_be_written(tmp_path, monkeypatch):
    count = decodes(monkeypatch)
    image_folder(tmp_path / "data")
    (tmp_path / "data" / ".cache").mkdir()
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write everywhere
    data.load("cifar10", "data")
    data.load("cifar10", tmp_path / "data")
    assert len(count) == 1 and not any((tmp_path / "data" / ".cache").iterdir())
    assert len(list((tmp_path / "user-cache").rglob("cifar10-*.pt"))) == 1


def test_full_disk_costs_the_cache_not_the_run(tmp_path, capsys):
    image_folder(tmp_path)
    with small_disk(20_000):
        assert len(data.load("cifar10", tmp_path).images) == 40
    assert "could not write the cache" in capsys.readouterr().err
    assert not list((tmp_path / ".cache").glob("*.pt*"))


def test_two_processes_at_once(tmp_path, monkeypatch):
    """While another process decodes, this one waits, and then has nothing to decode."""
    faces(tmp_path)
    code = """if True:
        import sys, time, data
        read = data._read_faces
        def slowly(folder):
            print("decoding", flush=True)
            time.sleep(1)
            return read(folder)
        slowly.__name__ = read.__name__
        data._read_faces = slowly
        print(data.load("faces21", sys.argv[1]).fingerprint)"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "decoding\n"

        @functools.wraps(data._read_faces)
        def refuse(folder):
            raise AssertionError("decoded twice")
        monkeypatch.setattr(data, "_read_faces", refuse)
        fingerprint = data.load("faces21", tmp_path).fingerprint
        assert other.stdout.readline() == fingerprint + "\n"
    assert other.returncode == 0


# ---------------------------------------------------------------------------------------------------------- augmentation


def blobs(places, h=112, w=112):
    """Images (n, 1, h, w), each with a soft mark at x, y; 0 is the left or top edge."""
    x, y = torch.as_tensor(places, dtype=torch.float32).view(-1, 2, 1, 1).unbind(1)
    return torch.exp(-((torch.arange(w) + 0.5 - x) ** 2 + (torch.arange(h)[:, None] + 0.5 - y) ** 2) / 8)[:, None]


@pytest.mark.parametrize("h, w", [(112, 112), (100, 112)])
def test_rotate_turns_image_and_landmark_alike(h, w):
    degrees = torch.tensor([-90.0, -30, -15, -1, 0, 1, 15, 30, 45, 90])
    places = torch.tensor([[w / 2 + 20.0, h / 2 - 10]]).repeat(len(degrees), 1)
    turned, points = data.rotate(blobs(places, h, w), degrees, places)
    assert (centroid(turned[:, 0]) - points).abs().max() < 0.05
    # counter-clockwise: with the y axis pointing up, as on paper
    dx, dy, angle = 20.0, 10.0, torch.deg2rad(degrees)
    up = torch.stack([w / 2 + dx * angle.cos() - dy * angle.sin(), h / 2 - (dx * angle.sin() + dy * angle.cos())], 1)
    assert (points - up).abs().max() < 1e-4


def test_rotate_there_and_back():
    x, degrees = blobs([[70, 40], [50, 80]]) + blobs([[40, 50], [66, 60]]), torch.tensor([12.0, -27.0])
    landmarks = torch.rand(2, 42) * 112
    there = data.rotate(x, degrees, landmarks)
    back, points = data.rotate(there[0], -degrees, there[1])
    assert (there[0] - x).abs().max() > 0.3 and (there[1] - landmarks).abs().max() > 1
    assert (back - x)[:, :, 28:84, 28:84].abs().max() < 0.12  # bilinear, twice, lowers the peaks of marks 4 px wide
    assert torch.allclose(points, landmarks, atol=1e-4)


def test_rotate_by_nothing_and_by_different_angles():
    x, landmarks = torch.randn(3, 3, 32, 32), torch.rand(3, 42) * 32
    same, points = data.rotate(x, torch.zeros(3), landmarks)
    assert torch.allclose(same, x, atol=1e-5) and torch.allclose(points, landmarks, atol=1e-5)
    one = x[:1].expand(3, -1, -1, -1)
    turned, _ = data.rotate(one, torch.tensor([0.0, 5, -5]))
    assert (turned[0] - turned[1]).abs().max() > 0.1 and (turned[1] - turned[2]).abs().max() > 0.1
    assert torch.allclose(data.rotate(x[1:2], torch.tensor([5.0]))[0], data.rotate(x, torch.full((3,), 5.0))[0][1:2], atol=1e-6)


def test_shift_is_numpys_pad_and_crop():
    x, pad = torch.from_numpy(pixels(81, 0)).permute(0, 3, 1, 2)[:, :, :, :30], 4
    by = torch.cartesian_prod(torch.arange(-4, 5), torch.arange(-4, 5))  # every shift there is
    cut = data.shift(x, by)
    assert cut.shape == x.shape and cut.dtype == x.dtype
    for image, (row, column), out in zip(x.numpy(), by.tolist(), cut.numpy()):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        assert np.array_equal(out, padded[:, pad + row:pad + row + 32, pad + column:pad + column + 30])
    assert torch.equal(data.shift(x[:1], torch.tensor([[0, 0]])), x[:1])  # a batch of one, not shifted


def tiny(images, mean=None, targets=None):
    none = torch.tensor([], dtype=torch.int64)
    targets = torch.zeros(len(images), 42) if targets is None else targets
    mean, std = (255 * torch.tensor(mean)[:, None, None],) * 2 if mean else data.own_mean_std(images)
    return data.Dataset("faces21", "", True, images, targets, none, none, none, [], mean, std, "")


def test_batch_normalises():
    faces = tiny(torch.from_numpy(pixels(5, 1)[..., :1]).permute(0, 3, 1, 2))
    x, _ = faces.batch(torch.tensor([3, 0]))
    assert x.dtype == torch.float32 and x.shape == (2, 1, 32, 32)
    assert torch.allclose(x.mean((1, 2, 3)), torch.zeros(2), atol=1e-5) and torch.allclose(x.std((1, 2, 3)), torch.ones(2), atol=1e-4)
    assert torch.corrcoef(torch.stack([x[0].flatten(), faces.images[3].flatten().float()]))[0, 1] > 0.9999  # the picture that was asked for
    blank, _ = tiny(torch.full((1, 1, 32, 32), 200, dtype=torch.uint8)).batch(torch.tensor([0]))
    assert torch.equal(blank, torch.zeros(1, 1, 32, 32))
    cifar = tiny(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 32, 32), [0.5] * 3)
    for value, by_hand in zip(cifar.batch(torch.arange(3))[0], (-1.0, -0.6, 1.0)):  # (v / 255 - 0.5) / 0.5
        assert torch.allclose(value, torch.full((3, 32, 32), by_hand), atol=1e-6)


def test_batch_flips_only_where_drawn_and_turns_landmarks_too():
    cifar = tiny(torch.from_numpy(pixels(4, 2)).permute(0, 3, 1, 2), [0.5] * 3)
    plain, _ = cifar.batch(torch.arange(4))
    mirrored, _ = cifar.batch(torch.arange(4), {"flip": torch.tensor([True, False, True, False])})
    assert torch.equal(mirrored[1::2], plain[1::2]) and torch.equal(mirrored[::2], plain[::2].flip(-1))
    faces = tiny((255 * blobs([[70, 40]])).byte(), targets=torch.tensor([[70.0, 40] * 21]))
    x, y = faces.batch(torch.tensor([0]), {"degrees": torch.tensor([15.0])})
    assert y.shape == (1, 42) and (centroid((x[:, 0] - 1).clamp_min(0)) - y[:, :2]).abs().max() < 0.1
    assert torch.equal(faces.batch(torch.tensor([0]))[1], faces.targets)


def test_draw():
    def drawn(seed, **flags):
        return data.draw(1000, torch.Generator().manual_seed(seed), **flags)
    upright = torch.arange(1000) < 500
    flags = dict(flip=True, pad=4, rotate=15, upright=upright)
    a, b, c = drawn(1, **flags), drawn(1, **flags), drawn(2, **flags)
    assert all(torch.equal(a[k], b[k]) and not torch.equal(a[k], c[k]) for k in ("shift", "flip", "degrees"))
    assert (a["degrees"][upright] == 0).all() and len(a["degrees"][~upright].unique()) > 490  # one draw per image
    assert a["degrees"].min() < -14 and a["degrees"].max() > 14 and a["degrees"].abs().max() <= 15
    assert a["shift"].min() == -4 and a["shift"].max() == 4 and 400 < a["flip"].sum() < 600
    assert drawn(1) == {}


# The same operation on one image, by torchvision. What is compared with it: every operation at every magnitude, and whole chains.


def theirs(image, op, amount, mode):
    """torchvision's operation on one uint8 image (3, h, w); `amount` as in draws: its translations are in pixels, ours a share."""
    from torchvision.transforms.autoaugment import InterpolationMode, _apply_op
    side = {"TranslateX": image.shape[2], "TranslateY": image.shape[1]}.get(op, 1)
    return _apply_op(image, op, amount * side, InterpolationMode(mode), None) if op else image


def their_amounts(mode, h=32, w=32):
    """{operation: (its magnitudes as in draws, whether they have a sign)}: of AutoAugment (mode nearest) or AugMix (bilinear)."""
    from torchvision.transforms import AugMix, AutoAugment, AutoAugmentPolicy
    policy = AutoAugment(AutoAugmentPolicy.CIFAR10) if mode == "nearest" else AugMix(3, 3, -1, 1.0, False)
    side = {"TranslateX": w, "TranslateY": h}
    return {op: (amounts.float() / side.get(op, 1), signed) for op, (amounts, signed) in policy._augmentation_space(10, (h, w)).items()}


def varied(h=32, w=32):
    """Images (15, 3, h, w): noise, drawn objects, gradients, few grey levels, nearly one colour, one colour, black, white."""
    g = torch.Generator().manual_seed(0)
    few = 120 * torch.randint(3, (2, 3, h, w), generator=g) + 7
    down, right = torch.linspace(20, 90, h)[:, None].expand(h, w), torch.linspace(255, 0, w).expand(h, w)
    nearly = torch.full((1, 3, h, w), 60)
    nearly[0, 0, 5, 5:9] = 59  # too few for equalize
    nearly[0, 1].view(-1)[:300] = 59  # just enough
    one = torch.tensor([10, 130, 201]).view(1, 3, 1, 1).expand(1, 3, h, w)
    return torch.cat([torch.randint(256, (3, 3, h, w), generator=g).byte(), torch.randint(100, 140, (1, 3, h, w), generator=g).byte(),
                      data._drawn_objects(torch.arange(4), 40, g)[:, :, :h, :w], torch.stack([down, right, 255 - down]).byte()[None],
                      few.byte(), nearly.byte(), one.byte(), torch.zeros(1, 3, h, w).byte(), torch.full((1, 3, h, w), 255).byte()])


@pytest.mark.parametrize("h, w", [(32, 32), (24, 40)])
@pytest.mark.parametrize("op, mode", [(op, "nearest") for op in data.OPS[1:]] + [(op, "bilinear") for op in (*data.OPS[1:6], "Posterize")])
def test_operation_is_torchvisions(op, mode, h, w):
    amounts, signed = their_amounts(mode, h, w)[op]
    amounts = torch.cat([amounts.view(-1), -amounts.view(-1)]) if signed else amounts.view(-1)
    assert len(amounts) == (20 if signed else 10 if op in ("Posterize", "Solarize") else 1)
    images = varied(h, w)
    x, each = images.repeat(len(amounts), 1, 1, 1), amounts.repeat_interleave(len(images))
    before, mix = x.clone(), None if mode == "nearest" else torch.tensor([[0.0, 1.0]]).expand(len(x), 2)
    ours = data.operate(x, torch.full((len(x), 1, 1), data.OPS.index(op)), each[:, None, None], mix)
    assert ours.dtype == torch.uint8 and ours.shape == x.shape and torch.equal(x, before)
    off = (ours.int() - torch.stack([theirs(image, op, amount, mode) for image, amount in zip(x, each.tolist())]).int()).abs()
    if op in ("ShearX", "ShearY", "Rotate") and mode == "nearest":  # where two pixels are equally near, either may be taken
        assert (off > 0).float().view(len(amounts), -1).mean(1).max() < (0.01 if h == w else 0.02)
    else:
        rounded = op in data.OPS[6:10] or mode == "bilinear" and op != "Posterize"
        assert off.max() <= rounded and (off > 0).float().mean() < 0.01
    assert not torch.equal(ours, x)


def test_policy_is_torchvisions():
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy
    ours = [tuple((op, float(p), int(*level) if level else None) for op, p, *level in pair) for pair in data.AUTOAUGMENT]
    assert ours == AutoAugment(AutoAugmentPolicy.CIFAR10).policies and len(ours) == 25


def test_autoaugment_draws_every_pair_as_often_as_it_should():
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy
    visits, pairs, table = 40_000, AutoAugment(AutoAugmentPolicy.CIFAR10).policies, their_amounts("nearest")
    draws = data.draw(visits, torch.Generator().manual_seed(0), autoaugment=0.6)
    ops, amounts = draws["ops"][:, 0], draws["amounts"][:, 0]
    assert ops.dtype == torch.int64 and draws["ops"].shape == draws["amounts"].shape == (visits, 1, 2) and "mix" not in draws
    names = [[data.OPS[n] for n in two] for two in ops.tolist()]
    signs = torch.tensor([[bool(op) and table[op][1] for op in two] for two in names])
    assert not (amounts[~signs & (ops > 0)] < 0).any() and 0.47 < (amounts[signs & (amounts != 0)] < 0).float().mean() < 0.53

    def expected(pair):
        return tuple((op, round(float(table[op][0].view(-1)[level or 0]), 4)) for op, _, level in pair)
    both = [tuple((op, round(abs(a), 4)) for op, a in zip(two, size)) for two, size in zip(names, amounts.tolist()) if all(two)]
    chance = dict.fromkeys(map(expected, pairs), 0)
    for pair in pairs:  # four of them are two that differ by their probabilities only
        chance[expected(pair)] += 0.6 * pair[0][1] * pair[1][1] / 25
    assert set(both) == {pair for pair, p in chance.items() if p} and len(set(both)) == 22
    assert all(abs(both.count(pair) / visits - p) <= 4 * (p / visits) ** 0.5 for pair, p in chance.items())
    some = 0.6 * sum(1 - (1 - a[1]) * (1 - b[1]) for a, b in pairs) / 25
    assert abs((ops > 0).any(1).float().mean() - some) < 0.01
    one = data.draw(visits, torch.Generator().manual_seed(0), autoaugment=1.0)["ops"]
    assert abs((one > 0).any(2).float().mean() - some / 0.6) < 0.01
    assert len(ops[:64].unique()) > 8  # in one batch


def test_augmix_draws():
    visits, table = 20_000, their_amounts("bilinear")
    draws = data.draw(visits, torch.Generator().manual_seed(0), augmix=0.6)
    ops, amounts, mix = draws["ops"], draws["amounts"], draws["mix"]
    assert ops.shape == amounts.shape == (visits, 3, 3) and mix.shape == (visits, 4)
    got = (ops > 0).flatten(1).any(1)
    assert abs(got.float().mean() - 0.6) < 0.015 and torch.equal(mix[~got], torch.tensor([1.0, 0, 0, 0]).expand((~got).sum(), 4))
    assert (data.draw(visits, torch.Generator().manual_seed(0), augmix=1.0)["ops"] > 0).any(2).all()
    depth = (ops[got] > 0).sum(2)
    assert torch.equal(ops[got] > 0, torch.arange(3) < depth[..., None])  # without gaps
    assert all(abs((depth == d).float().mean() - 1 / 3) < 0.02 for d in (1, 2, 3)) and (depth[:, 0] != depth[:, 1]).any()
    assert (mix >= 0).all() and (mix.sum(1) - 1).abs().max() < 1e-6
    assert (mix[got].mean(0) - torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])).abs().max() < 0.01
    assert abs(mix[got, 0].std() - 12 ** -0.5) < 0.01  # uniform
    share = mix[got, 1] / mix[got, 1:].sum(1)
    assert abs(share.std() - 18 ** -0.5) < 0.01  # Beta(1, 2)
    assert {data.OPS[n] for n in ops.unique().tolist()} == {"", *table}
    for op, (levels, signed) in table.items():
        mine = amounts[ops == data.OPS.index(op)]
        assert abs(len(mine) / (ops > 0).sum() - 1 / 9) < 0.01
        expected = torch.cat([levels.view(-1)[:3], -levels.view(-1)[:3]] if signed else [levels.view(-1)[:3]]).unique()
        assert torch.allclose(mine.unique(), expected, atol=1e-6), op


@pytest.mark.parametrize("flags", [{"autoaugment": 0.6}, {"augmix": 0.6}])
def test_ops_are_drawn_last_and_from_the_generator(flags):
    def drawn(seed, **more):
        return data.draw(300, torch.Generator().manual_seed(seed), flip=True, pad=4, rotate=15, **more)
    off, on, again, other = drawn(1), drawn(1, **flags), drawn(1, **flags), drawn(2, **flags)
    g = torch.Generator().manual_seed(1)  # the numbers that runs drew before there were operations
    assert torch.equal(off["shift"], torch.randint(-4, 5, (300, 2), generator=g))
    assert torch.equal(off["flip"], torch.rand(300, generator=g) < 0.5)
    assert torch.equal(off["degrees"], (torch.rand(300, generator=g) * 2 - 1) * 15)
    assert set(off) == {"shift", "flip", "degrees"} and all(torch.equal(off[k], on[k]) for k in off)
    assert all(torch.equal(on[k], again[k]) and not torch.equal(on[k], other[k]) for k in on)
    assert all(len(v) == 300 and v.device.type == "cpu" for v in on.values())
    assert drawn(1, **dict.fromkeys(flags, 0.0)).keys() == off.keys()


@pytest.mark.parametrize("flags", [{"autoaugment": 0.6}, {"augmix": 0.6}])
def test_whole_pictures_are_torchvisions(flags):
    """Through Dataset.batch, after shift and flip; the other way by torchvision, image by image, with the same draws."""
    d = tiny(varied(), [0.5] * 3)
    idx = torch.arange(len(d.images)).repeat(20)
    before, draws = d.images.clone(), data.draw(len(idx), torch.Generator().manual_seed(3), flip=True, pad=4, **flags)
    x, _ = d.batch(idx, draws)
    assert torch.equal(d.images, before)
    plain = data.shift(d.images[idx], draws["shift"])
    plain = torch.where(draws["flip"][:, None, None, None], plain.flip(-1), plain)
    want = torch.empty_like(plain)
    for i, (image, ops, amounts) in enumerate(zip(plain, draws["ops"].tolist(), draws["amounts"].tolist())):
        ends = [functools.reduce(lambda end, step: theirs(end, data.OPS[step[0]], step[1], "bilinear" if "augmix" in flags else "nearest"),
                                 zip(*chain), image) for chain in zip(ops, amounts)]
        want[i] = sum(w * end for w, end in zip(draws["mix"][i], [image, *ends])) if "augmix" in flags else ends[0]
    off = ((x * 127.5 + 127.5).round() - want).abs()
    assert (off > 1).float().mean() < 1e-3 and (off > 0).float().mean() < 0.01
    untouched = ~(draws["ops"] > 0).flatten(1).any(1)
    assert torch.equal(want[untouched], plain[untouched]) and off[untouched].max() == 0 and 60 < untouched.sum() < 200
    moved = (want.int() - plain.int()).abs().float().mean((1, 2, 3))
    assert (moved[~untouched] > 0.5).float().mean() > 0.6  # there was something to compare


@pytest.mark.parametrize("flags", [{"autoaugment": 0.8}, {"augmix": 0.8}])
def test_operations_do_not_depend_on_the_batch(flags):
    x = varied().repeat(8, 1, 1, 1)
    draws = data.draw(len(x), torch.Generator().manual_seed(4), **flags)
    whole = data.operate(x, **draws)
    for size in (1, 7, 64):
        parts = [data.operate(x[i:i + size], **{k: v[i:i + size] for k, v in draws.items()}) for i in range(0, len(x), size)]
        assert torch.equal(torch.cat(parts), whole)


# ----------------------------------------------------------------------------------------------------------------- twins


SHAPES = {"cifar10": ((3, 32, 32), 10, (1600, 400, 500)), "faces21": ((1, 112, 112), 0, (256, 64, 0)),
          "caltech35": ((3, 112, 112), 35, (560, 140, 140))}


@pytest.fixture(scope="module")
def twins():
    return {name: data.load(name, synthetic=True) for name in data.NAMES}


@pytest.mark.parametrize("name", data.NAMES)
def test_twin_shape_and_parts(twins, name):
    d, (shape, classes, counts) = twins[name], SHAPES[name]
    assert d.synthetic and d.source == "generated" and d.images.dtype == torch.uint8 and d.images.shape[1:] == shape
    assert (len(d.train), len(d.valid), len(d.test)) == counts and len(d.classes) == classes
    addition = len(data.load(name, synthetic=True, split="train+addition").train) - len(d.train) if name == "caltech35" else 0
    assert torch.cat([d.train, d.valid, d.test]).unique().numel() == len(d.images) - addition == sum(counts) and addition in (0, 280)
    for part in filter(len, (d.train, d.valid, d.test) if classes else ()):
        assert d.targets[part].unique().tolist() == list(range(classes))


def test_twins_are_the_same_anywhere_and_leave_no_trace(tmp_path, twins):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(3)
    try:
        again = {name: data.load(name, synthetic=True) for name in ("cifar10", "faces21")}
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(d.images, twins[name].images) and d.fingerprint == twins[name].fingerprint for name, d in again.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.iterdir()) == []  # made in memory


def probe(d, size, width, steps):
    """The valid accuracy of a small net after `steps` steps on images scaled to `size`."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, width, 5, 2, 2), torch.nn.BatchNorm2d(width), torch.nn.ReLU(),
                              torch.nn.Conv2d(width, 2 * width, 3, 2, 1), torch.nn.BatchNorm2d(2 * width), torch.nn.ReLU(),
                              torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.LazyLinear(len(d.classes)))
    images = torch.nn.functional.interpolate(d.images.float() / 255 - 0.5, size=size, mode="area")
    net(images[:2])  # the lazy layer takes its size
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        idx = d.train[torch.randint(len(d.train), (64,))]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[idx]), d.targets[idx]).backward()
        optimizer.step()
    with torch.no_grad():
        return (net.eval()(images[d.valid]).argmax(1) == d.targets[d.valid]).float().mean().item()


def test_twins_of_objects_can_be_learned(twins):
    assert probe(twins["cifar10"], 32, 12, 120) > 0.4  # chance: 0.1
    assert probe(twins["caltech35"], 40, 12, 150) > 0.2  # chance: 0.03


def test_twin_of_faces_can_be_learned(twins):
    """Ridge regression on 28x28 pixels must be well below the error of the mean face."""
    d = twins["faces21"]
    x = torch.nn.functional.interpolate(d.batch(torch.arange(len(d.images)))[0], size=28, mode="area").flatten(1)
    y = d.targets - d.targets[d.train].mean(0)
    a = x[d.train]
    weights = a.T @ torch.linalg.solve(a @ a.T + 30 * torch.eye(len(a)), y[d.train])
    error, mean_face = ((x[d.valid] @ weights - y[d.valid]) ** 2).mean(), (y[d.valid] ** 2).mean()
    assert error < 0.5 * mean_face


def test_landmarks_of_drawn_faces_lie_on_dark_strokes(twins):
    d = twins["faces21"]
    column, row = d.targets.view(-1, 21, 2).long().clamp(0, 111).unbind(-1)
    at_landmarks = d.images[:, 0][torch.arange(len(d.images))[:, None], row, column].float().mean(1)
    assert (at_landmarks < d.images.float().mean((1, 2, 3))).float().mean() > 0.9


def test_leak_parts_copies_from_their_faces(twins):
    n, d = len(twins["faces21"].images), data.load("faces21", synthetic=True, split="leak")
    assert len(d.images) == 2 * n and len(d.train) + len(d.valid) == 2 * n and len(d.valid) == round(0.4 * n)
    side = torch.zeros(2 * n).index_fill_(0, d.valid, 1)
    assert 0.2 < (side[:n] != side[n:]).float().mean() < 0.45  # 2 * 0.8 * 0.2 = 0.32 are expected
    assert torch.equal(d.images[:n], twins["faces21"].images) and torch.equal(d.targets[:n], twins["faces21"].targets)
    a, b = (torch.view_as_complex(t.view(n, 21, 2) - 56) for t in (d.targets[:n], d.targets[n:]))
    angle = torch.rad2deg(torch.angle((a * b.conj()).sum(1)))  # y points down: counter-clockwise is positive
    assert torch.allclose(a.abs(), b.abs(), atol=1e-3) and angle.abs().max() <= 15 and angle.min() < -10 and angle.max() > 10
    mean = d.images[:n].float().mean((1, 2, 3), keepdim=True)
    again = data.rotate(d.images[:n] - mean, angle)[0] + mean
    assert (again - d.images[n:]).abs().mean() < 0.5  # the pixels were turned by the same angle; kept as whole numbers


def test_twin_of_caltech35_can_be_of_the_other_side(twins):
    d, small = data.load("caltech35", synthetic=True, side=224), twins["caltech35"]
    assert d.images.shape == (1120, 3, 224, 224) and torch.equal(d.images[..., ::2, 1::2], small.images)  # the same drawings
    assert d.classes == small.classes and d.fingerprint != small.fingerprint and d.batch(torch.tensor([3]))[0].shape == (1, 3, 224, 224)
    assert all(torch.equal(getattr(d, field), getattr(small, field)) for field in ("targets", "train", "valid", "test", "mean", "std"))


# ----------------------------------------------------------------------------------- fewer classes, wrong labels, fewer images


def labelled(targets, valid=0, test=0, classes=35):
    """Labels without pictures: the last `test` of them are test, those before valid, all others train."""
    n, targets = len(targets), torch.as_tensor(targets)
    parts = torch.arange(n).split([n - valid - test, valid, test])
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(n, 3, 1, 1)
    return data.Dataset("caltech35", "", True, images, targets, *parts, [str(c) for c in range(classes)], torch.zeros(3, 1, 1), torch.ones(3, 1, 1), "")


def redrawn(d, share, seed=0):
    return data.redraw_labels(d, share, torch.Generator().manual_seed(seed))


def test_only_classes_keeps_their_numbers_and_all_images():
    d = labelled(torch.arange(24) % 6, valid=6, test=6, classes=6)
    kept = data.only_classes(d, (4, 1))
    assert (kept.train.tolist(), kept.valid.tolist(), kept.test.tolist()) == ([1, 4, 7, 10], [13, 16], [19, 22])
    assert kept.images is d.images and torch.equal(kept.targets, d.targets) and kept.classes == d.classes and len(d.train) == 12
    without = data.only_classes(labelled(torch.arange(12) % 6, test=6, classes=6), [5])
    assert (without.train.tolist(), without.valid.tolist(), without.test.tolist()) == ([5], [], [11]) and without.valid.dtype == torch.int64


@pytest.mark.parametrize("classes, words", [((1, 6), "no class 6: .* 0 to 5"), ((9, -1, 0, 7), "no class -1, 7, 9: ")])
def test_only_classes_names_those_that_are_none(classes, words):
    with pytest.raises(data.DataError, match="caltech35 has " + words) as e:
        data.only_classes(labelled(torch.arange(6), classes=6), classes)
    assert_sentences(str(e.value))


@pytest.mark.parametrize("share, most", [(0, 0), (0.3, 12), (0.45, 18), (0.85, 35), (1, 41)])
def test_that_share_of_the_labels_is_redrawn_to_the_image(share, most):
    d = labelled(torch.arange(41), classes=41)  # so many classes that often none of the redrawn labels stays: the most that change are all
    changed = [len(redrawn(d, share, seed).noisy) for seed in range(100)]
    assert max(changed) == most and (share == 0 or min(changed) < most)


def test_redrawing_changes_train_labels_only_and_noisy_says_which():
    d = labelled(torch.arange(300) % 5, valid=100, test=100, classes=5)
    d.train = d.train.flip(0)  # a train part need not be sorted
    before, state = d.targets.clone(), torch.get_rng_state()
    noisy = redrawn(d, 0.5)
    assert noisy.noisy.sort().values.tolist() == (noisy.targets != before).nonzero()[:, 0].tolist() and 25 < len(noisy.noisy) <= 50
    assert noisy.noisy.max() < 100 and noisy.noisy.dtype == torch.int64 and noisy.targets.dtype == before.dtype
    assert torch.equal(d.targets, before) and len(d.noisy) == 0 and torch.equal(torch.get_rng_state(), state)
    assert noisy.images is d.images and all(torch.equal(getattr(noisy, part), getattr(d, part)) for part in ("train", "valid", "test"))
    none = redrawn(d, 0)
    assert torch.equal(none.targets, before) and none.noisy.tolist() == []


def test_a_larger_share_redraws_the_same_images_to_the_same_labels_and_more():
    d = labelled(torch.arange(500) % 35)
    few, same, more, other = redrawn(d, 0.2), redrawn(d, 0.2), redrawn(d, 0.6), redrawn(d, 0.2, seed=1)
    assert torch.equal(few.targets, same.targets) and torch.equal(few.noisy, same.noisy) and not torch.equal(few.targets, other.targets)
    assert set(few.noisy.tolist()) < set(more.noisy.tolist()) and torch.equal(more.targets[few.noisy], few.targets[few.noisy])


@pytest.mark.parametrize("share", [0.3, 1])
def test_redrawn_labels_are_even_over_the_classes_and_one_of_35_stays(share):
    n = 100_000
    d = labelled(torch.arange(n) % 70 % 36 % 35)  # class 0 has three times as many as class 34: what is drawn does not follow that
    noisy = redrawn(d, share)
    assert abs(len(noisy.noisy) / n - share * 34 / 35) < 0.0025  # 4 deviations or more
    counts, drawn = d.targets.bincount(), noisy.targets.bincount(minlength=35)
    expected = (1 - share) * counts + share * n / 35
    assert ((drawn - expected).abs() < 5 * expected ** 0.5).all() and counts[0] > 2.9 * counts[34]
    assert abs(noisy.noisy.double().mean() - n / 2) < 1000  # and anywhere in train


def test_redrawn_labels_are_of_classes_that_train_has():
    d = data.only_classes(labelled(torch.arange(3500) % 35, valid=700), (1, 4, 8))
    noisy = redrawn(d, 1)
    assert noisy.targets[d.train].unique().tolist() == [1, 4, 8]
    assert abs(len(noisy.noisy) / len(d.train) - 2 / 3) < 0.12  # 4 deviations
    assert torch.isin(noisy.noisy, d.train).all() and torch.equal(noisy.targets[d.valid], d.targets[d.valid])


@pytest.mark.parametrize("share, dropped", [(0, []), (0.2, [5]), (0.35, [5, 9]), (0.6, [5, 9, 12]), (0.8, [3, 5, 9, 12]), (1, [3, 5, 6, 9, 12])])
def test_drop_takes_the_highest_scores_out_of_train(share, dropped):
    d = labelled(torch.arange(20), valid=3, test=3)
    d.train = torch.tensor([3, 5, 6, 9, 12])
    left = data.drop(d, data.highest(d, torch.tensor([0.5, 0.9, -1.0, 0.9, 0.9]), share))  # of equals the first go first
    assert left.dropped.tolist() == dropped and left.train.tolist() == [i for i in (3, 5, 6, 9, 12) if i not in dropped]
    assert left.images is d.images and torch.equal(left.targets, d.targets) and left.valid.tolist() == [14, 15, 16] and left.test.tolist() == [17, 18, 19]
    assert len(d.train) == 5 and len(d.dropped) == 0 and left.train.dtype == left.dropped.dtype == torch.int64


def test_drop_is_by_score_not_by_place():
    d, generator = labelled(torch.arange(2000) % 35, valid=500), torch.Generator().manual_seed(0)
    scores = torch.randint(40, (1500,), generator=generator).float()
    left = data.drop(d, data.highest(d, scores, 0.25))
    assert len(left.dropped) == 375 and torch.cat([left.train, left.dropped]).sort().values.tolist() == list(range(1500))
    assert scores[left.dropped].min() >= scores[left.train].max() and left.train.tolist() == sorted(left.train.tolist())
    tied = scores[left.dropped].min()
    assert left.dropped[scores[left.dropped] == tied].max() < left.train[scores[left.train] == tied].min()


def test_noisy_and_dropped_images_move_with_the_rest():
    d = labelled(torch.arange(70) % 35)
    assert d.noisy.tolist() == d.dropped.tolist() == [] and d.noisy.dtype == d.dropped.dtype == torch.int64
    noisy = redrawn(d, 0.5)
    left = data.drop(noisy, data.highest(noisy, torch.arange(70.0), 0.1))
    assert torch.equal(left.noisy, noisy.noisy) and left.dropped.tolist() == list(range(63, 70))
    moved = left.to("meta")  # a device that every machine has
    assert {k for k, v in vars(moved).items() if isinstance(v, torch.Tensor) and v.is_meta} >= {"images", "targets", "train", "noisy", "dropped", "mean"}
    assert moved.noisy.shape == left.noisy.shape and moved.dropped.shape == (7,) and not left.noisy.is_meta


# ----------------------------------------------------------------------------------------------------------------- fetch


def packed(path, files):
    """An archive with `files` {name: bytes}; its kind follows the ending of `path`."""
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


class Mirror(http.server.BaseHTTPRequestHandler):
    """/whole serves the archive. The others do not know Range or length, stop half-way, or send something else."""

    def do_GET(self):
        content, kind = self.server.content, self.path.strip("/")
        if kind == "404":
            return self.send_error(404)
        if kind == "babble":
            return self.wfile.write(b"220 no web server\r\n\r\n")
        begin = self.headers["Range"]
        start = int(begin.removeprefix("bytes=").removesuffix("-")) if begin and kind != "no-range" else 0
        if start >= len(content):
            return self.send_error(416)
        body = b"something else" * 100 if kind == "other" else content[start:]
        self.send_response(206 if start else 200)
        if kind == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
        elif kind != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "chunks":
            self.wfile.write(b"%x\r\n" % len(body))
        if kind in ("broken", "chunks", "stall"):
            body = body[: len(content) // 2]
        self.server.sent.append((kind, start, len(body)))
        self.wfile.write(body)
        if kind == "stall":
            self.wfile.flush()
            self.server.over.wait(20)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on this machine: .fetch(kind, ...) fetches from it, .content is the archive, .sent what it sent."""
    batches(tmp_path / "made" / "cifar-10-batches-py", monkeypatch)
    files = {f"cifar-10-batches-py/{p.name}": p.read_bytes() for p in (tmp_path / "made" / "cifar-10-batches-py").iterdir()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.content = packed(tmp_path / "made" / "cifar.tar.gz", files).read_bytes()
    server.sent, server.over = [], threading.Event()

    def fetch(*kinds, timeout=5):
        urls = [kind if "://" in kind else f"http://127.0.0.1:{server.server_port}/{kind}" for kind in kinds]
        data.fetch(tmp_path / "data", urls, hashlib.sha256(server.content).hexdigest(), timeout)
    server.fetch = fetch
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def refused():
    """An address where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/"


def assert_fetched(tmp_path):
    assert len(data.load("cifar10", tmp_path / "data").images) == 40
    assert {p.name for p in (tmp_path / "data").iterdir()} == {"cifar10", ".cache"}  # neither archive nor temporary folder is left


def test_fetch_and_unpack(tmp_path, mirror, capsys):
    mirror.fetch("whole")
    assert mirror.sent == [("whole", 0, len(mirror.content))]
    assert_fetched(tmp_path)
    mirror.fetch("whole")  # nothing to do
    assert len(mirror.sent) == 1 and "there already" in capsys.readouterr().out


def test_fetch_goes_on_in_the_next_call(tmp_path, mirror):
    half, size = len(mirror.content) // 2, len(mirror.content)
    with pytest.raises(data.DataError, match="run the same command again.*kept in"):
        mirror.fetch("broken")
    assert (tmp_path / "data" / "cifar-10-python.tar.gz.part").read_bytes() == mirror.content[:half]
    mirror.fetch("whole")
    assert mirror.sent == [("broken", 0, half), ("whole", half, size - half)]
    assert_fetched(tmp_path)


@pytest.mark.parametrize("first", ["broken", "chunks", "404", "other", "babble", "refused", "nonsense://x"])
def test_fetch_goes_on_at_the_next_address(tmp_path, mirror, capsys, first):
    mirror.fetch(refused() if first == "refused" else first, "whole")
    start = len(mirror.content) // 2 if first in ("broken", "chunks") else 0  # what "other" sent was thrown away
    assert mirror.sent[-1] == ("whole", start, len(mirror.content) - start)
    assert capsys.readouterr().err.count("\n") == 1
    assert_fetched(tmp_path)


def test_fetch_from_servers_that_know_less(tmp_path, mirror):
    half, size = len(mirror.content) // 2, len(mirror.content)
    mirror.fetch("broken", "no-range")
    assert mirror.sent == [("broken", 0, half), ("no-range", 0, size)]
    assert_fetched(tmp_path)
    shutil.rmtree(tmp_path / "data")
    mirror.fetch("no-length")
    assert_fetched(tmp_path)


def test_fetch_gives_a_stalled_server_up(tmp_path, mirror):
    started, half = time.monotonic(), len(mirror.content) // 2
    mirror.fetch("stall", "whole", timeout=0.5)
    assert time.monotonic() - started < 10
    assert mirror.sent[-1] == ("whole", half, len(mirror.content) - half)  # what had come was kept
    assert_fetched(tmp_path)


def test_fetch_of_a_file_that_is_whole(tmp_path, mirror):
    """Killed, or out of disk, between download and unpacking: the server has nothing more to send and says 416."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar-10-python.tar.gz.part").write_bytes(mirror.content)
    mirror.fetch("whole")
    assert mirror.sent == []
    assert_fetched(tmp_path)


def test_fetch_fails_everywhere(tmp_path, mirror, capsys):
    with pytest.raises(data.DataError, match="any of 3 addresses") as e:
        mirror.fetch("404", "other", refused())
    assert_sentences(str(e.value))
    assert list((tmp_path / "data").iterdir()) == [] and capsys.readouterr().err.count("\n") == 3


# ---------------------------------------------------------------------------------------------------------------- unpack


FACES = {f"{part}/{file}": content for part in ("I", "II") for file, content in (("label.txt", b"x"), ("1.jpg", b"jpeg"))}
CALTECH = {"test/annotions.txt": b"1.jpg,0", "test/1.jpg": b"t",
           **{f"{part}/{c}/1.jpg": b"jpeg" for part in ("train", "val", "addition") for c in range(35)}}
FOLDERS = {f"{side}/{c}/1.png": b"png" for side in ("train", "test") for c in data.CIFAR_CLASSES}
BATCHES = {name: name.encode() for name in data.CIFAR_BATCHES}
SETS = {"faces21": FACES, "caltech35": CALTECH, "cifar10": FOLDERS}


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("name, top", [("faces21", ""), ("faces21", "data/"), ("caltech35", "x/dataset/"), ("cifar10", ""),
                                       ("cifar10", "a/b/")])
def test_unpack(tmp_path, name, top, ending):
    files = {top + file: content for file, content in SETS[name].items()}
    junk = {f"__MACOSX/{file}": b"mac" for file in files} | {f"{top}._{name}": b"mac", "README.md": b"outside of the data set"}
    archive = packed(tmp_path / f"upload.{ending}", junk | files)
    folder = data.unpack(archive, tmp_path / "data")
    assert folder == tmp_path / "data" / name and [p.name for p in (tmp_path / "data").iterdir()] == [name]
    assert contents(folder) == SETS[name] | ({} if top else {"README.md": b"outside of the data set"})
    assert folder.stat().st_mode == (tmp_path / "data").stat().st_mode  # others may read it, not as with temporary folders


@pytest.mark.parametrize("top", ["", "cifar-10-batches-py/", "deep/renamed/"])
def test_unpack_batches(tmp_path, top):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)  # an empty folder is not in the way
    data.unpack(packed(tmp_path / "c.tar.gz", {top + file: content for file, content in BATCHES.items()}), tmp_path / "data")
    assert contents(tmp_path / "data") == {f"cifar10/cifar-10-batches-py/{file}": content for file, content in BATCHES.items()}
    assert data.locate("cifar10", tmp_path / "data")[0] == tmp_path / "data" / "cifar10" / "cifar-10-batches-py"


def tar_with(path, **fields):
    with tarfile.open(packed(path, FACES), "a") as t:
        member = tarfile.TarInfo("I/x")
        for field, value in fields.items():
            setattr(member, field, value)
        t.addfile(member)
    return path


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])
    return path


def damage(path, place):
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes(64) + content[place + 64:])
    return path


def second_file(path):
    """Where in a plain tar the second file begins: cut there, it looks like a shorter one."""
    with tarfile.open(path) as t:
        return t.getmembers()[1].offset


NOISE = FACES | {f"I/{i}.jpg": np.random.default_rng(i).bytes(5000) for i in range(2, 22)}
BAD = {
    "dots.zip": lambda p: packed(p, FACES | {"../outside": b"x"}),
    "dots.tar": lambda p: packed(p, FACES | {"I/../../../outside": b"x"}),
    "absolute.zip": lambda p: packed(p, FACES | {f"{p.parent}/outside": b"x"}),
    "absolute.tar.gz": lambda p: packed(p, FACES | {f"{p.parent}/outside": b"x"}),
    "link.tar": lambda p: tar_with(p, type=tarfile.SYMTYPE, linkname="../.."),
    "hardlink.tar": lambda p: tar_with(p, type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device.tar": lambda p: tar_with(p, type=tarfile.CHRTYPE, devmajor=1),
    "bomb.zip": lambda p: packed(p, FACES | {"zeros": bytes(2_000_000)}),
    "bomb.tar.xz": lambda p: packed(p, FACES | {"zeros": bytes(2_000_000)}),
    "many.zip": lambda p: packed(p, FACES | {f"I/{i}.jpg": b"" for i in range(200)}),
    "many.tar": lambda p: packed(p, FACES | {f"I/{i}.jpg": b"" for i in range(200)}),
    "empty.zip": lambda p: packed(p, {}),
    "empty.tar": lambda p: packed(p, {}),
    "nothing.tar.gz": lambda p: p.write_bytes(b"") or p,
    "text.zip": lambda p: p.write_text("not an archive") and p,
    "noise.tar.xz": lambda p: p.write_bytes(np.random.default_rng(0).bytes(3000)) and p,
    "cut.zip": lambda p: cut(packed(p, NOISE), 50_000),
    "cut.tar": lambda p: cut(packed(p, NOISE), 50_000),
    "between.tar": lambda p: cut(packed(p, NOISE), second_file(p)),
    "cut.tar.gz": lambda p: cut(packed(p, NOISE), 50_000),
    "cut.tar.xz": lambda p: cut(packed(p, NOISE), 50_000),
    "cut.tar.bz2": lambda p: cut(packed(p, NOISE), 50_000),
    "damaged.zip": lambda p: damage(packed(p, NOISE), 50_000),
    "damaged.tar.gz": lambda p: damage(packed(p, NOISE), 50_000),
    "long.tar": lambda p: packed(p, FACES | {"I/" + "x" * 300: b"x"}),
    "clash.tar": lambda p: packed(p, FACES | {"I/label.txt/x": b"x"}),
    "folder.tar": lambda p: p.mkdir() or p,
    "other.zip": lambda p: packed(p, {"train/1.png": b"x", "test/1.png": b"x", "data.csv": b"x"}),
    "missing.zip": lambda p: p,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archive_leaves_nothing(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(data, "MAX_FILES", 100)
    monkeypatch.setattr(data, "MAX_BYTES", 1_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's remarks on odd names
        BAD[name](tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    assert data.main(["unpack", name]) == 2
    message = capsys.readouterr().err
    assert name in message
    assert_sentences(message)
    assert sorted(set(tmp_path.rglob("*")) - {tmp_path / "data"}) == before and not any(Path("data").glob("*"))


@pytest.mark.parametrize("files, goal", [(FACES, "data/faces21"), (BATCHES, "data/cifar10/cifar-10-batches-py")])
def test_unpack_over_what_is_there(tmp_path, files, goal):
    (tmp_path / goal).mkdir(parents=True)
    (tmp_path / goal / "mine").write_text("precious")
    with pytest.raises(data.DataError, match=f"{goal}.*move it away"):
        data.unpack(packed(tmp_path / "x.tar.gz", files), tmp_path / "data")
    assert contents(tmp_path / "data") == {f"{goal}/mine".removeprefix("data/"): b"precious"}
    assert not list((tmp_path / "data").glob(".unpack*"))


def test_unpack_on_a_full_disk(tmp_path, capsys):
    packed(tmp_path / "x.zip", FACES | {"I/big.jpg": bytes(300_000)})
    with small_disk(100_000):
        assert data.main(["unpack", "x.zip"]) == 2
    message = capsys.readouterr().err
    assert "File too large" in message and "disk" in message
    assert list((tmp_path / "data").iterdir()) == []


# -------------------------------------------------------------------------------------------------------------- commands


def test_info(tmp_path, capsys):
    image_folder(tmp_path / "data")
    assert data.main(["info", "cifar10"]) == 0
    out = capsys.readouterr().out
    assert "40 images 3x32x32" in out and "train 24, valid 6, test 10" in out
    assert data.main(["info", "cifar10", "faces21", "--data-dir", "data"]) == 2  # one of the two is missing
    out, err = capsys.readouterr()
    assert "40 images" in out and "faces21" in err
    assert_sentences(err)
    assert data.main(["info", "faces21", "--synthetic"]) == 0


@pytest.mark.parametrize("command", [["info", "mnist"], ["fetch", "mnist"], ["fetch"], ["download"], []])
def test_unknown_words_list_the_choices(capsys, command):
    try:
        code = data.main(command)
    except SystemExit as e:
        code = e.code
    assert code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and ("cifar10" in err if "mnist" in command else "fetch" in err)


def test_main_fetch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "CIFAR_URLS", ())
    assert data.main(["fetch", "cifar10", "--url", refused()]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert_sentences(last)
    image_folder(tmp_path / "data")
    assert data.main(["fetch", "cifar10"]) == 0  # there already


def test_main_interrupted(monkeypatch, capsys):
    def stop(*args):
        raise KeyboardInterrupt
    monkeypatch.setattr(data, "fetch", stop)
    assert data.main(["fetch", "cifar10"]) == 130
    assert_sentences(capsys.readouterr().err)


def test_main_unpack(tmp_path, capsys):
    packed(tmp_path / "x.zip", FACES)
    (tmp_path / "file").write_text("not a folder")
    assert data.main(["unpack", "x.zip", "--data-dir", "file"]) == 2
    assert "file" in capsys.readouterr().err
    assert data.main(["unpack", "x.zip"]) == 0


def test_command_line(tmp_path):
    """As typed: exit code and message, without a traceback."""
    done = subprocess.run([sys.executable, ROOT / "data.py", "info", "faces21"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("data.py: No faces21 under data")
    assert_sentences(done.stderr)


# ------------------------------------------------------------------------------------------------------------- real data


@pytest.mark.skipif(not (ROOT / "data" / "faces21").exists(), reason="needs the real faces in data/faces21")
def test_real_faces():
    d = data.load("faces21", ROOT / "data")
    files = [path for part in ("I", "II") for path, _, _ in
             ((part + "/" + file, box, points) for file, box, points in data.read_labels(ROOT / "data" / "faces21" / part / "label.txt"))]
    assert d.images.shape == (2785, 1, 112, 112) and len(files) == 2785 and len(set(files)) == 1999
    train, valid = {files[i] for i in d.train}, {files[i] for i in d.valid}
    assert not train & valid and len(valid) == 400 and len(d.train) + len(d.valid) == 2785


@pytest.mark.skipif(not (ROOT / "data" / "cifar10").exists(), reason="needs the real CIFAR-10 in data/cifar10")
def test_real_cifar():
    d = data.load("cifar10", ROOT / "data")
    assert (len(d.train), len(d.valid), len(d.test)) == (40000, 10000, 10000) and d.classes == data.CIFAR_CLASSES
    assert torch.bincount(d.targets[torch.cat([d.train, d.valid])]).tolist() == [5000] * 10
    assert torch.bincount(d.targets[d.test]).tolist() == [1000] * 10
    assert d.targets[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # the official order

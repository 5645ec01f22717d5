"""data.py and readers.py: reading, splits, normalisation, cache, flags; on real data where they are there."""
import argparse
import functools
import io
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_files import (alone, assert_sentences, caltech_folder, faces_folder, image_folder,  # noqa: F401
                        label_line, noise_images, official_batches, photograph, small_disk, unprivileged)
from PIL import Image

import data
import train
from experiments import readers

ROOT = Path(__file__).resolve().parent.parent


# ---- faces21 --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("part", ["I", "II"])
@pytest.mark.parametrize("box, crop", [
    ((40, 30, 100, 90), (25, 15, 115, 105)),  # grown by a quarter on every side
    ((10, 20, 90, 60), (0, 10, 110, 70)),  # clipped on the left; wider than high
    ((50, 40, 190, 150), (15, 12.5, 200, 160))])  # clipped on the right and at the bottom
def test_landmark_lands_on_the_mark_in_the_crop(tmp_path, part, box, crop):
    photograph(tmp_path / "faces21" / part / "a.png")
    (tmp_path / "faces21" / part / "label.txt").write_text(label_line("a.png", box, [(61.5, 51.5)]) + "\n")
    d = SimpleNamespace(**readers._read_faces(tmp_path / "faces21"))  # one photograph cannot be split
    assert d.images.shape == (1, 1, 112, 112) and d.images.dtype == torch.uint8
    assert d.targets.shape == (1, 42) and d.targets.dtype == torch.float32
    x1, y1, x2, y2 = crop
    x, y = d.targets[0, :2].tolist()
    assert (x, y) == pytest.approx(((61.5 - x1) * 112 / (x2 - x1), (51.5 - y1) * 112 / (y2 - y1)), abs=1e-4)
    row, column = divmod(int(d.images[0, 0].argmax()), 112)
    assert abs(row + 0.5 - y) <= 1.5 and abs(column + 0.5 - x) <= 1.5  # the mark is some pixels wide
    image = d.images[0, 0].float()
    places = torch.arange(112) + 0.5
    centre = [(image.sum(0) @ places / image.sum()).item(), (image.sum(1) @ places / image.sum()).item()]
    assert centre == pytest.approx((x, y), abs=0.1)


def test_faces_are_grey_and_landmarks_may_lie_outside(tmp_path):
    folder = tmp_path / "faces21" / "I"
    folder.mkdir(parents=True)
    Image.new("RGB", (80, 80), (255, 0, 0)).save(folder / "red.png")
    line = label_line("red.png", (20, 20, 60, 60), [(-30.5, 5), (500, 79)])
    (folder / "label.txt").write_text("\ufeff" + line + "\n\n", encoding="utf-8")
    d = SimpleNamespace(**readers._read_faces(tmp_path / "faces21"))
    assert d.images.unique().tolist() == [76]  # 0.299 of 255: the weight of red in grey
    by_hand = [-40.5 * 112 / 60, -5 * 112 / 60, 490 * 112 / 60, 69 * 112 / 60]
    assert d.targets[0, :4].tolist() == pytest.approx(by_hand, abs=1e-3)


def test_split_keeps_photographs_together(tmp_path):
    faces_folder(tmp_path, photographs=20, each=3)
    photograph_of = torch.arange(20).repeat_interleave(3)
    d = data.load("faces21", tmp_path)
    train, valid = set(photograph_of[d.train].tolist()), set(photograph_of[d.valid].tolist())
    assert not train & valid and len(train) == 16 and len(valid) == 4
    assert sorted(torch.cat([d.train, d.valid]).tolist()) == list(range(60)) and len(d.test) == 0


def rename(root, old, new):
    """Gives a photograph of part I another name, on disk and in label.txt."""
    folder = root / "faces21" / "I"
    (folder / old).rename(folder / new)
    labels = folder / "label.txt"
    labels.write_text(labels.read_text().replace(f"{old} ", f"{new} "))


def test_renamed_photographs_are_other_data_because_they_split_otherwise(tmp_path):
    faces_folder(tmp_path, photographs=20, each=3)
    old = data.load("faces21", tmp_path)
    rename(tmp_path, "0.png", "x.png")
    new = data.load("faces21", tmp_path)
    assert torch.equal(new.images, old.images) and torch.equal(new.targets, old.targets)
    assert new.valid.tolist() != old.valid.tolist() and new.fingerprint != old.fingerprint
    rename(tmp_path, "x.png", "0.png")
    assert data.load("faces21", tmp_path).fingerprint == old.fingerprint


def test_a_cache_with_other_photographs_is_refused(tmp_path, capsys):
    faces_folder(tmp_path, photographs=20, each=3)
    old = data.load("faces21", tmp_path)
    cache, = (tmp_path / ".cache").glob("faces21-*.pt")
    raw = torch.load(cache, weights_only=True)
    torch.save({**raw, "group": raw["group"].roll(1)}, cache)
    assert data.load("faces21", tmp_path).valid.tolist() == old.valid.tolist()
    assert f"{cache} cannot be used (its digest is another)" in capsys.readouterr().err


def test_fingerprints_of_class_images_are_as_ever():
    """A run that goes on asks for the fingerprint that it began with."""
    parts = {"images": torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2), "targets": torch.tensor([3, 1]),
             "part": torch.tensor([0, 2])}
    assert data._fingerprint(parts) == "844dd4f77a1b960e"
    grouped = {**parts, "group": torch.tensor([0, 1])}
    swapped = {**parts, "group": torch.tensor([1, 0])}
    assert len({data._fingerprint(raw) for raw in (parts, grouped, swapped)}) == 3


GOOD = label_line("a.png", (20, 20, 60, 60))


@pytest.mark.parametrize("bad, words", [
    (GOOD.rsplit(" ", 1)[0], ["label.txt, line 2", "45 numbers"]),
    (GOOD.replace("60 60", "60 sixty"), ["label.txt, line 2", "not a number"]),
    (GOOD.rsplit(" ", 1)[0] + " nan", ["label.txt, line 2", "not a number"]),
    (GOOD.rsplit(" ", 1)[0] + " 1e300", ["label.txt, line 2", "not a number"]),  # infinite in float32
    (label_line("a.png", (20, 20, 20, 60)), ["label.txt, line 2", "without area", "20 20 20 60"]),
    (label_line("a.png", (60, 20, 20, 60)), ["label.txt, line 2", "without area"]),
    (label_line("a.png", (300, 20, 340, 60)), ["a.png", "outside", "80x70"]),
    (label_line("a.png", (90, 20, 130.1, 60)), ["a.png", "outside", "80x70", "less than a pixel"]),
    (label_line("a.png", (20, 20, 20 + 1e-12, 60)), ["a.png", "less than a pixel"]),
    (f" {GOOD.replace(' ', '  ')} ", ["label.txt, line 2 is line 1 again", "remove that line"]),
    (label_line("b.png", (20, 20, 60, 60)), ["b.png", "no such file"]),
    (label_line("garbage.jpg", (20, 20, 60, 60)), ["garbage.jpg", "image"]),
    (label_line("cut.jpg", (20, 20, 60, 60)), ["cut.jpg", "truncated"]),
    (label_line(".", (20, 20, 60, 60)), ["faces21", "image"]),
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


# ---- cifar10 --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["{:05}", "{}"])
def test_image_folder_in_official_order(tmp_path, name):
    image_folder(tmp_path, name=name)
    d = data.load("cifar10", tmp_path, split="all")
    assert d.images.dtype == torch.uint8 and d.images.is_contiguous()
    images = np.concatenate([noise_images(30, 30), noise_images(10, 10)])
    assert np.array_equal(d.images.permute(0, 2, 3, 1), images)
    assert d.targets.tolist() == [i * 7 % 10 for i in range(30)] + [i * 7 % 10 for i in range(10)]
    assert d.train.tolist() == list(range(30)) and len(d.valid) == 0 and d.test.tolist() == list(range(30, 40))
    assert d.classes == data.CIFAR_CLASSES and "lossy" not in d.source


def test_random_split_is_the_same_whatever_is_drawn_elsewhere(tmp_path):
    image_folder(tmp_path)
    d = data.load("cifar10", tmp_path)
    assert (len(d.train), len(d.valid)) == (24, 6)
    assert sorted(torch.cat([d.train, d.valid]).tolist()) == list(range(30)) and d.test.tolist() == list(range(30, 40))
    assert d.train.tolist() == sorted(d.train.tolist()) and d.valid.tolist() == sorted(d.valid.tolist())
    by_hand = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:6]
    assert d.valid.tolist() == by_hand.sort().values.tolist() != list(range(24, 30))


@pytest.mark.parametrize("split", ["photograph", "leak"])
def test_splits_of_faces_do_not_hang_on_the_global_seed(tmp_path, split):
    faces_folder(tmp_path)
    valid = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        valid.append(data.load("faces21", tmp_path, split=split).valid.tolist())
        assert torch.equal(torch.get_rng_state(), torch.manual_seed(seed).get_state())  # nor is anything drawn from it
    assert valid[0] == valid[1] != []


def test_the_last_fifth_is_valid_in_report_4(tmp_path):
    image_folder(tmp_path)
    d = data.load("cifar10", tmp_path, split="last")
    parts = (d.train.tolist(), d.valid.tolist(), d.test.tolist())
    assert parts == (list(range(24)), list(range(24, 30)), list(range(30, 40)))


def test_jpegs_are_said_to_be_lossy(tmp_path):
    image_folder(tmp_path, "jpg")
    # What Jupyter and macOS leave is not a class, not an image.
    (tmp_path / "cifar10" / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "cifar10" / "train" / "cat" / "._00001.jpg").write_bytes(b"junk")
    d = data.load("cifar10", tmp_path)
    assert "jpg" in d.source and "lossy" in d.source and len(d.images) == 40


@pytest.mark.parametrize("place", ["cifar10/cifar-10-batches-py", "cifar-10-batches-py"])
def test_both_layouts_are_read_as_the_same(tmp_path, monkeypatch, place):
    image_folder(tmp_path / "folder")
    official_batches(tmp_path / "official" / place, monkeypatch)
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
    official_batches(folder, monkeypatch)
    (folder / "data_batch_3").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(data.DataError, match="data_batch_3 is not the official") as e:
        data.load("cifar10", tmp_path)
    assert_sentences(str(e.value))
    assert not Path("opened").exists()
    pickle.loads((folder / "data_batch_3").read_bytes()).close()  # the bomb is one
    assert Path("opened").exists()


def test_missing_batch_is_named(tmp_path, monkeypatch):
    official_batches(tmp_path / "cifar-10-batches-py", monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(data.DataError, match="cannot be read .*No such file.*test_batch"):
        data.load("cifar10", tmp_path)


def test_digests_are_those_that_torchvision_checks():
    from torchvision.datasets import CIFAR10
    assert list(readers.CIFAR_BATCHES.items()) == [tuple(entry) for entry in CIFAR10.train_list + CIFAR10.test_list]


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
    elif what.startswith("cat of "):
        for path in root.glob(f"cifar10/{what.removeprefix('cat of ')}/cat/*"):
            path.unlink()
    elif what == "link":
        (root / "cifar10" / "train" / "cat" / "x.png").symlink_to(root / "nowhere")


@pytest.mark.parametrize("what, words", [
    ("size", ["00009.png", "40x30", "32x32"]), ("class", ["test", "holds 9"]), ("test", ["test", "holds 0"]),
    ("images", ["train", "no .png or .jpg image of airplane, automobile"]),
    ("cat of train", ["train", "no .png or .jpg image of cat."]), ("cat of test", ["test", "image of cat."]),
    ("link", ["x.png", "No such file"])])
def test_broken_image_folder(tmp_path, what, words):
    broken_folder(tmp_path, what)
    with pytest.raises(data.DataError) as e:
        data.load("cifar10", tmp_path)
    assert all(word in str(e.value) for word in words)
    assert_sentences(str(e.value))


# ---- caltech35 ------------------------------------------------------------------------------------------------------

def test_caltech35_its_parts_and_what_each_split_makes_of_them(tmp_path):
    caltech_folder(tmp_path)
    loaded = {split: data.load("caltech35", tmp_path, split=split) for split in data.SPLITS["caltech35"]}
    assert {split: (len(d.train), len(d.valid), len(d.test)) for split, d in loaded.items()} == {
        "given": (24, 12, 6), "train+addition": (36, 12, 6), "all": (48, 0, 6), "val+addition": (24, 0, 6)}
    d = loaded["given"]
    assert d.classes == [str(c) for c in range(12)] and d.images.shape == (54, 3, 112, 112) and not d.synthetic
    assert (d.images[..., 56, 56][:, 0] == 10 * d.targets).all()  # 10 is the class after 9, and annotions.txt is read

    def parts(indices, d):  # an image's green tells its part: 0 train, 1 val, 2 addition
        return sorted(set((d.images[indices, 1, 56, 56] // 50).tolist()))
    assert {split: (parts(d.train, d), parts(d.valid, d)) for split, d in loaded.items()} == {
        "given": ([0], [1]), "train+addition": ([0, 2], [1]), "all": ([0, 1, 2], []), "val+addition": ([1, 2], [])}
    for other in loaded.values():
        assert torch.equal(other.test, d.test) and other.fingerprint == d.fingerprint
    assert (d.images[d.test].float().std(1) == 0).all()  # grey became RGB


def test_caltech35_is_resized_bicubic_to_either_side_and_each_has_its_cache(tmp_path):
    folder = caltech_folder(tmp_path)
    noise = torch.rand(20, 31, 3, generator=torch.Generator().manual_seed(0))
    pattern = Image.fromarray((noise * 255).byte().numpy())
    pattern.save(folder / "train" / "0" / "0.png")
    for side in (112, 224):
        d = data.load("caltech35", tmp_path, side=side)
        expected = np.asarray(pattern.resize((side, side), Image.Resampling.BICUBIC)).copy()
        assert torch.equal(d.images[0], torch.from_numpy(expected).permute(2, 0, 1))
    assert len(list((tmp_path / ".cache").glob("*.pt"))) == 2
    assert data.load("caltech35", tmp_path, side=112).images.shape[-1] == 112
    assert len(list((tmp_path / ".cache").glob("*.pt"))) == 2


@pytest.mark.parametrize("what, words", [
    ("class", ["val", "0, 1, 2, ..."]), ("names", ["train", "0, 1, 2, ..."]), ("empty", ["holds no image"]),
    ("label", ["annotions.txt, line 2", "a comma and a class"]), ("outside", ["annotions.txt, line 1"]),
    ("file", ["t0.png", "no such file"]), ("annotions", ["annotions.txt"]),
    ("twice", ["annotions.txt, line 3 names t2.png, as line 1 does"]),
    ("empty class", ["train/3 holds no .png or .jpg image"])])
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
    elif what == "twice":
        annotions.write_text("t2.png,2\nt0.png,0\nt2.png,4\n")
    elif what == "empty class":
        for path in (folder / "train" / "3").iterdir():
            path.unlink()
    elif what == "file":
        (folder / "test" / "t0.png").unlink()
    else:
        annotions.unlink()
    with pytest.raises(data.DataError) as e:
        data.load("caltech35", tmp_path)
    assert all(word in str(e.value) for word in words)
    assert_sentences(str(e.value))


@pytest.mark.parametrize("classes", [35, 36, 60])
def test_caltech35_has_at_most_35_classes(tmp_path, classes):
    folder = caltech_folder(tmp_path, classes)
    if classes == 35:
        assert len(data.load("caltech35", tmp_path).classes) == 35
        return
    with pytest.raises(data.DataError, match=f"train holds {classes} class folders; .* 35 classes, 0 to 34") as e:
        data.load("caltech35", tmp_path)
    assert_sentences(str(e.value))


# ---- any data set ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", data.NAMES)
@pytest.mark.parametrize("path", ["", "{}", "{}/train", "{}/I", "cifar-10-batches-py"])
def test_missing_data_and_files_for_folders(tmp_path, name, path):
    root = tmp_path / "root"
    if path:
        (root / path.format(name)).parent.mkdir(parents=True)
        (root / path.format(name)).write_text("a file where a folder should be")
    with pytest.raises(data.DataError, match=f"looked for .*python data.py fetch {name}.*python data.py unpack") as e:
        data.load(name, root)
    assert_sentences(str(e.value))


def test_folder_that_may_not_be_read(tmp_path):
    image_folder(tmp_path)
    (tmp_path / "cifar10" / "train" / "cat").chmod(0)
    with unprivileged(), pytest.raises(data.DataError, match="ermission"):
        data.load("cifar10", tmp_path)
    (tmp_path / "cifar10" / "train" / "cat").chmod(0o755)


def test_unknown_names_list_the_choices():
    with pytest.raises(data.DataError, match="no data set mnist.*cifar10, faces21, caltech35"):
        data.load("mnist", synthetic=True)
    with pytest.raises(ValueError, match="photograph, leak"):
        data.load("faces21", synthetic=True, split="random")


# ---- compressed again ----------------------------------------------------------------------------------------------

def by_pil(image, quality, by):
    """A uint8 image (3, h, w) after one compression as a JPEG file, moved by so many pixels before."""
    side, file = image.shape[1], io.BytesIO()
    moved = np.pad(image.permute(1, 2, 0).numpy(), ((by, by), (by, by), (0, 0)), mode="edge")
    Image.fromarray(moved).save(file, "JPEG", quality=quality)
    return torch.tensor(np.asarray(Image.open(file)))[by:by + side, by:by + side].permute(2, 0, 1)


def test_images_compressed_again_lose_more_on_another_grid_than_on_their_own():
    def loss(a, b):
        return (a.float() - b.float()).square().mean().item()

    drawn = data.load("cifar10", synthetic=True).images[:40]
    once = torch.stack([by_pil(image, 75, 0) for image in drawn])
    again = readers.compressed(once, 75)
    assert again.shape == once.shape and again.dtype == torch.uint8 and again.is_contiguous()
    assert torch.equal(again[3], by_pil(once[3], 75, 4))
    same_grid = torch.stack([by_pil(image, 75, 0) for image in once])
    assert loss(again, once) > 4 * loss(same_grid, once)
    assert loss(readers.compressed(once, 10), once) > loss(again, once)


def test_a_run_compresses_every_image_and_leaves_the_labels():
    plain, again = (data.for_run(train.parse(["--synthetic", *flags])) for flags in ([], ["--jpeg-again", "75"]))
    assert torch.equal(plain.targets, again.targets) and plain.fingerprint == again.fingerprint
    for part in (plain.train, plain.valid, plain.test):
        assert (plain.images[part] != again.images[part]).flatten(1).any(1).all()


# ---- mean and deviation ---------------------------------------------------------------------------------------------

def test_means_and_deviations_are_the_published_ones():
    from torchvision.models import ResNet18_Weights
    imagenet = ResNet18_Weights.IMAGENET1K_V1.transforms()
    assert data.MEAN_STD == {"half": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), "imagenet": (imagenet.mean, imagenet.std),
                             "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
                             "copied": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])}


@pytest.mark.parametrize("name, normalise, mean, std", [
    ("cifar10", None, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    ("cifar10", "half", [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    ("cifar10", "cifar10", [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    ("cifar10", "copied", [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    ("cifar10", "imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
def test_class_images_are_normalised_as_asked(name, normalise, mean, std):
    d = data.load(name, synthetic=True, normalise=normalise)
    x, _ = d.batch(torch.tensor([7]))
    pixel = d.images[7, :, 3, 4].double() / 255
    by_hand = (pixel - torch.tensor(mean).double()) / torch.tensor(std).double()
    assert torch.allclose(x[0, :, 3, 4].double(), by_hand, atol=1e-5)
    assert d.mean.tolist() == pytest.approx(255 * torch.tensor(mean)[:, None, None]) and d.mean.shape == (3, 1, 1)


def test_caltech35_is_normalised_as_for_imagenet_and_faces_each_by_its_own():
    d = data.load("caltech35", synthetic=True)
    assert torch.allclose(d.mean.flatten() / 255, torch.tensor([0.485, 0.456, 0.406]))
    assert torch.allclose(d.std.flatten() / 255, torch.tensor([0.229, 0.224, 0.225]))
    d = data.load("faces21", synthetic=True)
    images = d.images.double()
    assert torch.allclose(d.mean.double(), images.mean((1, 2, 3), keepdim=True))
    assert torch.allclose(d.std.double(), images.std((1, 2, 3), keepdim=True))


# ---- cache ----------------------------------------------------------------------------------------------------------

def decodes(monkeypatch):
    """A list that grows by one with every decoding of CIFAR-10's image folder."""
    count, read = [], readers._read_cifar_folders

    @functools.wraps(read)  # its name is part of the cache's
    def counted(folder):
        count.append(folder)
        return read(folder)
    monkeypatch.setattr(readers, "_read_cifar_folders", counted)
    return count


def test_decoded_once(tmp_path, monkeypatch):
    count = decodes(monkeypatch)
    image_folder(tmp_path / "data")
    first, again = data.load("cifar10", "data"), data.load("cifar10", "data")
    assert len(count) == 1 and torch.equal(first.images, again.images) and first.fingerprint == again.fingerprint
    for root in (tmp_path / "data", "./data", "data/../data/"):  # the same folder in other words
        data.load("cifar10", root)
    assert len(count) == 1 and (tmp_path / "data" / ".cache").is_dir()


def test_caches_keep_their_names(tmp_path):
    """A cache of another name would be made anew, and replace the one that a run in progress reads."""
    import hashlib
    image_folder(tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.png"):
        os.utime(path, ns=(0, 10**18))
    data.load("cifar10", tmp_path / "data")
    lines = [f"data/{path.relative_to(tmp_path / 'data')} {path.stat().st_size} {10**18}\n"
             for path in sorted((tmp_path / "data" / "cifar10").rglob("*.png"))]
    key = hashlib.sha256(("1 cifar10 _read_cifar_folders" + "".join(lines)).encode()).hexdigest()[:16]
    assert [path.name for path in (tmp_path / "data" / ".cache").glob("*.pt")] == [f"cifar10-{key}.pt"]
    readers_now = [readers._read_cifar_batches, readers._read_cifar_folders, readers._read_faces, readers._read_caltech]
    assert [read.__name__ for read in readers_now] == ["_read_cifar_batches", "_read_cifar_folders", "_read_faces",
                                                       "_read_caltech"]


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


@pytest.mark.parametrize("name, text", [("faces21", "I/label.txt"), ("caltech35", "test/annotions.txt")])
def test_text_files_count_by_what_they_hold(tmp_path, name, text):
    """Not by their size and time, which an edit may leave as they are."""
    faces_folder(tmp_path)
    caltech_folder(tmp_path)
    old = data.load(name, tmp_path)
    cache, = (tmp_path / ".cache").glob("*.pt")
    file = tmp_path / name / text
    state = file.stat()
    os.utime(file, ns=(0, state.st_mtime_ns + 10**9))
    assert data.load(name, tmp_path).fingerprint == old.fingerprint and cache.exists()
    other = {"faces21": ("5 5 5 5\n", "5 5 5 7\n"), "caltech35": ("t2.png,2", "t2.png,4")}[name]
    file.write_text(file.read_text().replace(*other))
    os.utime(file, ns=(0, state.st_mtime_ns))
    assert file.stat().st_size == state.st_size and file.stat().st_mtime_ns == state.st_mtime_ns
    new = data.load(name, tmp_path)
    assert new.fingerprint != old.fingerprint and not torch.equal(new.targets, old.targets)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "hostile"])
def test_damaged_cache_is_said_and_made_again(tmp_path, monkeypatch, capsys, damage):
    count = decodes(monkeypatch)
    image_folder(tmp_path)
    old = data.load("cifar10", tmp_path).fingerprint
    cache, = (tmp_path / ".cache").glob("cifar10-*.pt")
    content = bytearray(cache.read_bytes())
    if damage == "flipped":  # a bit among the pixels, which a zip reader does not notice
        content[content.index(noise_images(30, 30)[0, :, :, 0].tobytes()) + 7] ^= 1
    hostile = io.BytesIO()
    torch.save({"fingerprint": Bomb()}, hostile)
    damaged = {"cut": content[:-500], "flipped": content, "empty": b"", "hostile": hostile.getvalue()}
    cache.write_bytes(damaged[damage])
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
    faces_folder(tmp_path)
    code = """if True:
        import sys, time, data
        from experiments import readers
        read = readers._read_faces
        def slowly(folder):
            print("decoding", flush=True)
            time.sleep(1)
            return read(folder)
        slowly.__name__ = read.__name__
        readers._read_faces = slowly
        print(data.load("faces21", sys.argv[1]).fingerprint)"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "decoding\n"

        @functools.wraps(readers._read_faces)
        def refuse(folder):
            raise AssertionError("decoded twice")
        monkeypatch.setattr(readers, "_read_faces", refuse)
        fingerprint = data.load("faces21", tmp_path).fingerprint
        assert other.stdout.readline() == fingerprint + "\n"
    assert other.returncode == 0


# ---- flags ----------------------------------------------------------------------------------------------------------

class Refused(Exception):
    """What a parser raises here instead of leaving the process."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Refused(message)


def parsed(flags):
    """The resolved flags of data, with those of other files that they are checked against."""
    parser = Parser()
    data.add_flags(parser)
    parser.add_argument("--init-from")
    parser.add_argument("--pretrained", action="store_true")
    typed = vars(parser.parse_args(flags.split(), SimpleNamespace(**dict.fromkeys(DEFAULTS))))
    args = parser.parse_args(flags.split())
    data.resolve_flags(args, {name: value for name, value in typed.items() if value is not None})
    return args


DEFAULTS = {
    "data": "cifar10", "data_dir": "data", "synthetic": False, "split": "random", "side": 112, "normalise": "half",
    "flip": False, "pad_crop": 0, "autoaugment": 0.0, "augmix": 0.0, "input_noise": 0.0, "input_dropout": 0.0,
    "jpeg_again": 0, "rotated_copies": 0.0, "copies_once": False, "rotation": 0.0, "label_noise": 0.0, "clean_by": None,
    "clean_share": 0.0, "drop_last": False, "init_from": None, "pretrained": False}


def test_defaults_are_report_2as():
    assert vars(parsed("")) == DEFAULTS


@pytest.mark.parametrize("name, split, normalise", [
    ("cifar10", "random", "half"), ("faces21", "photograph", None), ("caltech35", "given", "imagenet")])
def test_split_and_normalisation_follow_the_data_set(name, split, normalise):
    args = parsed(f"--data {name}")
    assert (args.split, args.normalise) == (split, normalise)
    for other in data.SPLITS[name]:
        assert parsed(f"--data {name} --split {other}").split == other
    if normalise:
        assert parsed(f"--data {name} --normalise cifar10").normalise == "cifar10"


@pytest.mark.parametrize("flags, words", [
    ("--split given", "--split given is not one of cifar10's: random, all, last"),
    ("--split=", "is not one of cifar10's"),
    ("--data faces21 --split all", "--split all is not one of faces21's: photograph, leak"),
    ("--data faces21 --normalise half", "each face is normalised by its own mean and deviation"),
    ("--side 112", "--side is for caltech35"), ("--data faces21 --side 224", "--side is for caltech35"),
    ("--data caltech35 --side 100", "invalid choice: 100"),
    ("--data faces21 --label-noise 0.1", "--label-noise is for classes; faces21 has landmarks"),
    ("--clean-by a/b", "go together"), ("--clean-share 0.1", "go together"),
    ("--clean-by a/b --clean-share 1", "below 1"),
    ("--clean-by a/b --clean-share 0.1 --init-from a/c", "excludes --init-from and --pretrained"),
    ("--clean-by a/b --clean-share 0.1 --pretrained", "excludes --init-from and --pretrained"),
    ("--data faces21 --clean-by a/b --clean-share 0.1", "is for classes"),
    ("--rotation 15 --rotated-copies 15", "--rotation and --rotated-copies exclude each other"),
    ("--copies-once", "it needs --rotated-copies"), ("--data faces21 --copies-once", "it needs --rotated-copies"),
    ("--jpeg-again 96", "at least 0 and at most 95"), ("--data faces21 --jpeg-again 75", "is for class images"),
    ("--autoaugment 0.6 --augmix 0.6", "--autoaugment and --augmix exclude each other"),
    ("--data faces21 --flip", "--flip would move the faces away from their landmarks"),
    ("--data faces21 --flip --pad-crop 4", "--flip and --pad-crop would move"),
    ("--data faces21 --autoaugment 0.6", "--autoaugment would move"),
    ("--data faces21 --augmix 1", "--augmix would move"),
    ("--data mnist", "invalid choice: 'mnist'"), ("--normalise mnist", "invalid choice: 'mnist'"),
    ("--rotation 181", "at most 180"), ("--rotated-copies -1", "at least 0"), ("--augmix 1.1", "at most 1"),
    ("--label-noise 1.5", "at most 1"), ("--input-dropout 1", "below 1"), ("--input-noise inf", "1e38"),
    ("--input-noise -1", "must be 0 or"), ("--pad-crop 17", "at most 16"),
    ("--pad-crop 1.5", "invalid whole number value"),
    ("--autoaugment x", "invalid number value: 'x'")])
def test_flags_that_make_no_sense_are_refused(flags, words):
    with pytest.raises((ValueError, Refused)) as e:
        parsed(flags)
    assert words in str(e.value) and not str(e.value).endswith(".")


@pytest.mark.parametrize("flags, values", [
    ("--data caltech35 --side 112", {"side": 112}), ("--data caltech35 --side 224", {"side": 224}),
    ("--clean-by a/b --clean-share 0.1", {"clean_by": "a/b", "clean_share": 0.1}),
    ("--rotation 180", {"rotation": 180}),
    ("--data faces21 --rotated-copies 15", {"rotated_copies": 15}), ("--data faces21 --rotation 15", {"rotation": 15}),
    ("--flip --pad-crop 16 --autoaugment 1", {"flip": True, "pad_crop": 16, "autoaugment": 1}),
    ("--data faces21 --rotated-copies 15 --copies-once", {"copies_once": True}),
    ("--jpeg-again 75", {"jpeg_again": 75}),
    ("--augmix 1 --label-noise 1", {"augmix": 1, "label_noise": 1}), ("--drop-last", {"drop_last": True}),
    ("--data faces21 --input-noise 9 --input-dropout 0.5", {"input_noise": 9, "input_dropout": 0.5}),
    ("--synthetic --data-dir x", {"synthetic": True, "data_dir": "x"})])
def test_flags_that_make_sense_are_taken(flags, values):
    args = vars(parsed(flags))
    assert {**args, **values} == args and set(args) == set(DEFAULTS)


@pytest.mark.parametrize("kind, good, bad", [
    (data.positive, ["1e-37", "1e38"], ["0", "1e-38", "1.1e38", "-1", "nan"]),
    (data.not_negative, ["0", "1e-37"], ["-1e-9", "1e-38", "inf", "nan"]),
    (data.fraction, ["0", "0.999"], ["1", "-0.1", "nan"]), (data.probability, ["0", "1"], ["1.001", "-0.1", "nan"]),
    (data.degrees, ["0", "180"], ["180.1", "-1", "nan"]), (data.factor, ["0.001", "0.999"], ["0", "1", "nan"]),
    (data.pixels, ["0", "16"], ["-1", "17"]), (data.count, ["1", "2147483647"], ["0", "-1", "2147483648"]),
    (data.whole, ["0", "9223372036854775807"], ["-1", "9223372036854775808"])])
def test_types_of_flags(kind, good, bad):
    for text in good:
        assert kind(text) == float(text) or kind(text) == int(text)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"must be .*, not {text}"):
            kind(text)
    assert isinstance(kind(good[0]), float if kind.__name__ == "number" else int) and math.isfinite(kind(good[1]))


# ---- real data ------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not (ROOT / "data" / "faces21").exists(), reason="needs the real faces in data/faces21")
def test_real_faces():
    d = data.load("faces21", ROOT / "data")
    files = []
    for part in ("I", "II"):
        labels = data.read_labels(ROOT / "data" / "faces21" / part / "label.txt")
        files += [f"{part}/{file}" for file, _, _ in labels]
    assert d.images.shape == (2785, 1, 112, 112) and len(files) == 2785 and len(set(files)) == 1999
    assert d.incomplete == ""
    train, valid = {files[i] for i in d.train}, {files[i] for i in d.valid}
    assert not train & valid and len(valid) == 400 and len(d.train) + len(d.valid) == 2785


@pytest.mark.skipif(not (ROOT / "data" / "cifar10").exists(), reason="needs the real CIFAR-10 in data/cifar10")
def test_real_cifar():
    d = data.load("cifar10", ROOT / "data")
    assert (len(d.train), len(d.valid), len(d.test)) == (40000, 10000, 10000) and d.classes == data.CIFAR_CLASSES
    assert d.incomplete == ""
    assert torch.bincount(d.targets[torch.cat([d.train, d.valid])]).tolist() == [5000] * 10
    assert torch.bincount(d.targets[d.test]).tolist() == [1000] * 10
    assert d.targets[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # the official order


@pytest.mark.skipif(not (ROOT / "data" / "caltech35").exists(), reason="needs the real images in data/caltech35")
def test_real_caltech35():
    d = data.load("caltech35", ROOT / "data")
    assert (len(d.train), len(d.valid), len(d.test), len(d.classes), d.incomplete) == (2100, 350, 1400, 35, "")
    assert torch.bincount(d.targets[d.test]).tolist() == [40] * 35

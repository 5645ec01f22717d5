"""How fast it is, measured side by side: an epoch as train.py does it and as the reports' scripts did it, the start, a small net's step.

    python experiments/bench.py --data-dir data
    python experiments/bench.py --data-dir data --images 256 --rounds 1    # a quick look

Both ways run by turns, each in a process of its own, and see the same images with the same net, loss and optimizer; medians and their
ratio are printed beside the hardware. Where a data set is not under --data-dir, photographs are generated into a temporary folder; it says so.
"""
import argparse
import contextlib
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

import torch
from PIL import Image
from torchvision.transforms import functional as TF

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import data  # noqa: E402
import train  # noqa: E402

KEYPOINT = "--model keypoint --data faces21 --optim adam --lr 0.01 --batch-size 64 --rotated-copies 15".split()
BASE = "--model base --data caltech35 --flip --batch-size 32 --drop-last --lr 0.01 --momentum 0".split()
LENET = "--model lenet5 --act relu".split()
# Run in a fresh process: train.py as it is, but that it says when its first step is done (item() waits for the device).
FIRST_STEP = """
import sys, time
sys.path.insert(0, sys.argv[1])
import train
train.train_step = lambda *words, step=train.train_step: (done := step(*words), done[0].item(), print("first step", time.time()))[0]
sys.exit(train.main(sys.argv[2:]))
"""


class Faces(torch.utils.data.Dataset):
    """Faces as report 1's scripts read them, from the photograph at every visit: first all upright, then all turned by up to 15 degrees.

    chosen: numbers of faces among data.load's, in the order of the label.txt files. Gives float32 (1, 112, 112), normalised, and (42,).
    """

    def __init__(self, folder, chosen):
        faces = [(folder / part / file, box, points) for part in ("I", "II") if (folder / part / "label.txt").is_file()
                 for file, box, points in data.read_labels(folder / part / "label.txt")]
        self.files = [faces[i] for i in chosen]

    def __len__(self):
        return 2 * len(self.files)

    def __getitem__(self, i):
        path, box, points = self.files[i % len(self.files)]
        grey = Image.open(path).convert("L")
        x1, y1, x2, y2 = data.grown_box(box, *grey.size)
        side = data.FACE_SIDE  # cut and resized in one call: as quick as PIL can, and the same sub-pixel box as data.py's
        grey = grey.resize((side, side), Image.Resampling.BILINEAR, box=(x1, y1, x2, y2))
        points = torch.from_numpy((points - (x1, y1)) * (side / (x2 - x1), side / (y2 - y1))).float()
        if i >= len(self.files):
            degrees = random.uniform(-15, 15)
            grey = grey.rotate(degrees, Image.Resampling.BILINEAR)
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            points = (points - side / 2) @ torch.tensor([[cos, -sin], [sin, cos]]) + side / 2
        x = TF.to_tensor(grey)
        return (x - x.mean()) / x.std(), points.flatten()


class Objects(torch.utils.data.Dataset):
    """caltech35 as report 5's scripts read it, from the file at every visit: opened, resized, flipped, normalised.

    chosen: numbers of images among data.load's. Gives float32 (3, 112, 112) and the class's number.
    """

    def __init__(self, folder, chosen):
        files = data.caltech_files(folder)[1]
        self.files = [files[i] for i in chosen]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        path, label, _ = self.files[i]
        image = Image.open(path).convert("RGB").resize((112, 112), Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            image = TF.hflip(image)
        return TF.normalize(TF.to_tensor(image), *data.MEAN_STD["imagenet"]), label


def epoch_as_reports(args, photographs, held_out, model, optimizer):
    """One epoch in seconds: training and a look at the valid images. The loaders' workers start with every epoch, as they do unless told otherwise."""
    loss_fn, started, total = train.make_loss(args), time.perf_counter(), 0.0
    for x, y in torch.utils.data.DataLoader(photographs, args.batch_size, shuffle=True, num_workers=2, drop_last=args.drop_last):
        loss = loss_fn(model(x.to(args.device)), y.to(args.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        for x, y in torch.utils.data.DataLoader(held_out, args.batch_size, num_workers=2):
            total += loss_fn(model(x.to(args.device)), y.to(args.device)).item()
    model.train()
    return time.perf_counter() - started


def epoch_as_train(args, dataset, model, optimizer, epoch, max_steps=None):
    """One epoch in seconds, what train.py's `fit` does without its log; or its first steps alone."""
    loss_fn, started, losses = train.make_loss(args), time.perf_counter(), []
    picks, draws = train.plan_epoch(args, dataset, epoch)
    for step in range(train.steps_of(args, len(picks)))[:max_steps]:
        here = slice(step * args.batch_size, (step + 1) * args.batch_size)
        x, y = dataset.batch(picks[here], {k: v[here] for k, v in draws.items()})
        losses.append(train.train_step(args, model, optimizer, loss_fn, x, y)[0])
    torch.stack(losses).mean().item()  # waits for the device, as the log's line does
    if max_steps is None:
        train.evaluate(args, model, dataset, dataset.valid)
    return time.perf_counter() - started


def write_objects(root):
    """The generated objects as 300x200 colour JPEGs in caltech35's folders under root/caltech35: about the size of the real ones."""
    twin, folder = data.load("caltech35", synthetic=True), root / "caltech35"
    for part, chosen in (("train", twin.train), ("val", twin.valid), ("addition", twin.valid)):
        for i in chosen.tolist():
            path = folder / part / str(twin.targets[i].item()) / f"{i:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(twin.images[i].permute(1, 2, 0).numpy()).resize((300, 200)).save(path, quality=90)
    (folder / "test").mkdir()
    Image.new("RGB", (300, 200)).save(folder / "test" / "0.jpg")
    (folder / "test" / "annotions.txt").write_text("0.jpg,0\n")


def write_faces(root):
    """The generated faces as 160x160 colour JPEGs with label.txt under root/faces21: about the size of the real ones."""
    twin, place = data.load("faces21", synthetic=True), random.Random(0)
    for i, (pixels, landmarks) in enumerate(zip(twin.images[:, 0].numpy(), twin.targets.view(-1, 21, 2).numpy())):
        folder, side = root / "faces21" / ("I", "II")[i % 2], place.randrange(96, 151, 6)
        left, top = place.randint(0, 160 - side), place.randint(0, 160 - side)
        photograph = Image.new("RGB", (160, 160), tuple(place.randrange(60, 200) for _ in range(3)))
        photograph.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR), (left, top))
        folder.mkdir(parents=True, exist_ok=True)
        photograph.save(folder / f"{i:06}.jpg", quality=90)
        box = left + side / 6, top + side / 6, left + side * 5 / 6, top + side * 5 / 6  # grown by a quarter: the drawing
        with open(folder / "label.txt", "a") as f:
            print(f"{i:06}.jpg", *box, *(landmarks * (side / data.FACE_SIDE) + (left, top)).ravel(), file=f)


OURS = {}  # in the process that trains our way: what it trains


def start_ours(flags, count):
    """In a process of its own, as train.py would be: memory is kept, and torch's threads wait briefly."""
    train.keep_freed_memory()
    args = train.parse(flags)
    torch.set_num_threads(args.threads)
    dataset, model = train.prepare(args)
    dataset.train, dataset.valid = dataset.train[:count], dataset.valid[:count]
    OURS.update(args=args, dataset=dataset, model=model, optimizer=train.make_optimizer(args, model))
    epoch_as_train(**OURS, epoch=0, max_steps=2)  # pays for what torch sets up once


def our_epoch(epoch):
    return epoch_as_train(**OURS, epoch=epoch)


def as_reported(model):
    """The same net as the reports' scripts write it: the layout that a net has unless one asks for another, ReLU before pooling and with an
    output of its own."""
    for net in [m for m in model.modules() if isinstance(m, torch.nn.Sequential)]:
        for i in range(len(net) - 1):
            if isinstance(net[i], torch.nn.MaxPool2d) and isinstance(net[i + 1], torch.nn.ReLU):
                net[i], net[i + 1] = torch.nn.ReLU(), net[i]
    return model.to(memory_format=torch.contiguous_format)


def time_epochs(flags, read, root, count, rounds):
    """([our seconds], [the reports' way's], number of training images), by turns. read: Faces or Objects."""
    flags = [*flags, "--data-dir", str(root), "--threads", str(torch.get_num_threads())]
    args = train.parse(flags)
    dataset, model = train.prepare(args)
    model = as_reported(model)
    optimizer = train.make_optimizer(args, model)
    dataset.train, dataset.valid = dataset.train[:count], dataset.valid[:count]
    folder = data.locate(args.data, root)[0]
    photographs, held_out = read(folder, dataset.train.tolist()), read(folder, dataset.valid.tolist())
    for path, _, _ in photographs.files + held_out.files:  # so that the first round does not pay for a cold disk
        path.read_bytes()
    held_out = torch.utils.data.Subset(held_out, range(len(dataset.valid)))  # faces: not their turned copies
    some = torch.utils.data.Subset(photographs, range(min(64, len(photographs))))
    epoch_as_reports(args, some, some, model, optimizer)
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as train.py sets it before it loads torch; here torch is loaded already
    with multiprocessing.get_context("spawn").Pool(1, start_ours, (flags, count)) as ours:
        rounds = [(ours.apply(our_epoch, (i + 1,)), epoch_as_reports(args, photographs, held_out, model, optimizer)) for i in range(rounds)]
    return *zip(*rounds), len(dataset.train)


def time_start(flags, rounds):
    """[seconds from process start to the first step done]; what the data's cache holds is there already."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as runs:
            started = time.time()
            words = [sys.executable, "-c", FIRST_STEP, str(ROOT), *flags, "--max-steps", "1", "--runs", runs]
            done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"train.py {' '.join(flags)} ended with {done.returncode}: {done.stderr.strip()}")
        seconds.append(float(done.stdout.partition("first step ")[2].split()[0]) - started)
    return seconds


def time_steps(flags, rounds, steps=100):
    """[milliseconds a step], each the mean of some steps."""
    args = train.parse(flags)
    dataset, model = train.prepare(args)
    optimizer = train.make_optimizer(args, model)
    return [1000 * epoch_as_train(args, dataset, model, optimizer, i, steps) / steps for i in range(rounds + 1)][1:]  # the first warms up


def row(what, unit, ours, theirs=None):
    """A line of the table: medians, with lowest and highest."""
    def show(values):
        return f"{statistics.median(values):.2f} {unit} ({min(values):.2f}-{max(values):.2f})" if values else "-"
    return what, show(ours), show(theirs), f"{statistics.median(ours) / statistics.median(theirs):.2f}" if theirs else "-", str(len(ours))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    parser.add_argument("--images", type=train.checked(int, lambda n: n >= 32, "at least 32, a batch"), metavar="N",
                        help="at most so many images of a training part (default: all)")
    parser.add_argument("--rounds", type=train.count, default=3, metavar="K", help="how often each thing is measured (default: 3)")
    parser.add_argument("--threads", type=train.count, metavar="N", help="CPU threads (default: torch's choice)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    threads, load = ["--threads", str(torch.get_num_threads())], os.getloadavg()[0]
    has = train.where_and_what(torch.device("cuda" if torch.cuda.is_available() else "cpu"))["versions"]
    print(f"{has['device']}, {os.cpu_count()} CPUs, load {load:.1f} at the start, {threads[1]} threads; "
          f"torch {has['torch']}, torchvision {has['torchvision']}, Python {has['python']}", flush=True)
    if torch.get_num_threads() > 1 and load > 0.9:  # threads wait for each other at every small operation
        print("This machine is busy: several threads may then be many times slower than --threads 1.", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        cifar, rows, roots, generated = ["--synthetic"], [("what", "ours", "the reports' way", "ratio", "rounds")], {}, []
        for flags, read, write, visits in ((KEYPOINT, Faces, write_faces, 2), (BASE, Objects, write_objects, 1)):
            model, name = flags[1], flags[3]
            try:
                roots[name] = args.data_dir
                data.locate(name, args.data_dir)
            except data.DataError:
                roots[name], generated = temporary, [*generated, name]
                write(Path(temporary))
            ours, theirs, images = time_epochs(flags, read, roots[name], args.images, args.rounds)
            rows.append(row(f"{model}: epoch of {visits * images} images", "s", ours, theirs))  # and the valid ones
        rows.append(row("keypoint: start to first step", "s", time_start([*KEYPOINT, "--data-dir", roots["faces21"], *threads], args.rounds)))
        with contextlib.suppress(data.DataError):
            data.load("cifar10", args.data_dir)  # writes the cache where there is none yet
            cifar = ["--data-dir", args.data_dir]
            rows.append(row("lenet5: start to first step", "s", time_start([*LENET, *cifar, *threads], args.rounds)))
        made = " (generated)" if cifar == ["--synthetic"] else ""
        rows.append(row(f"lenet5: step of batch 4{made}", "ms", time_steps([*LENET, *cifar], args.rounds)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for cells in (rows[0], ["-" * width for width in widths], *rows[1:]):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    print("Medians (lowest-highest); ratio: ours / the reports' way, by turns. Epochs end with the valid images. keypoint: every face upright and once turned.\n"
          "Ours keeps decoded images in a cache, written once and not counted here; the reports' way opens each photograph anew."
          + f"\nGenerated photographs: {', '.join(generated)}." * bool(generated))


if __name__ == "__main__":
    main()

"""Kills, stops, starves and damages runs for an hour, and counts what that changed: nothing, if all is well.

    python experiments/torture.py --minutes 60 --out results              # what `make torture` does
    python experiments/torture.py --minutes 2 --only kills                # one category; prints, and writes nothing
    python experiments/torture.py --seed 1234 --round 17                  # one round once more, as a failure names it

Each kind of run is trained once without interruption. Then come rounds: each draws what is done to a run, and when,
from the seed and its own number; the run is started again until it ends, and its weights, log and result are compared
with the undisturbed ones by SHA-256. Images are generated, and all is in a temporary folder. It is removed in the end;
a round in which something differed keeps its folder, and the exit code is 1.
"""
import argparse
import collections
import concurrent.futures
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(ROOT)
    os.environ["PYTHONPATH"] = str(ROOT)  # for the process that has torch imported and forks

import torch

import data
from experiments import jobs, kills, runs
from experiments.torture_page import COUNTS, headline, page
from experiments.torture_round import COMPARISON, RUN, STOPS_WITHIN, Over, Round

SIZES = {"cifar10": 200, "faces21": 80, "caltech35": 3}  # 160, 64 and 48 train images: a run takes a second or two
FACES = "--model keypoint --data faces21 --synthetic --rotated-copies 15 --batch-size 16 --threads 1"
LENET = "--act relu --synthetic --channels 6,16 --batch-size 10 --threads 1"
BASE = "--model base --data caltech35 --synthetic --batch-size 7 --threads 1"
TRIPLET = f"{BASE} --freeze classifier --label-noise 0.4 --flip --rotation 15 --drop-last --lr 0.05 --epochs 3"


class Kind(NamedTuple):
    """A kind of run: its flags, how often it is drawn, and how often it is killed before it may end.

    after: flags of the run a/first, if one must be there before.
    """

    what: str
    flags: str
    weight: int = 4
    most: int = 8
    sizes: dict = SIZES
    after: str = ""


KINDS = {
    "landmarks": Kind("landmarks: batch norm, dropout, Adam and then SGD",
                      f"{FACES} --norm bn --dropout 0.3 --optim adam --lr 0.01 --epochs 6 --switch-after 3 "
                      "--valid-rotation 30"),
    "lenet": Kind("LeNet: L2, clipping, early stopping",
                  f"{LENET} --l2 0.01 --clip 1 --lr 0.01 --epochs 12 --early-stop 6"),
    "vgg": Kind("VGG with 13 convolutions: AutoAugment, crops, flips",
                f"--model vgg13 --synthetic --threads 1 --batch-size 16 --epochs 2 --autoaugment 0.6 --flip --pad-crop "
                "4 --norm bn --lr 0.01", 1, 4, {**SIZES, "cifar10": 60}),
    "cosine-loss": Kind("residual net: triplets by cosine", f"{TRIPLET} --loss triplet-cosine"),
    "euclid-loss": Kind("residual net: triplets by distance", f"{TRIPLET} --loss triplet-euclid"),
    "cleaned": Kind("residual net: labels cleaned by another run",
                    f"{BASE} --batch-size 6 --label-noise 0.5 --clean-by=a/first --clean-share 0.5 --epochs 4",
                    after=f"{BASE} --batch-size 6 --split val+addition --epochs 2"),
    "each-epoch": Kind("report 3's net: no valid set, scored on test after every epoch",
                       "--model net --synthetic --split all --test-each-epoch --flip --batch-size 16 --epochs 4 "
                       "--threads 1"),
    "as-report-2": Kind("LeNet scored as report 2's scripts do",
                        f"{LENET} --protocol report --flip --pad-crop 4 --norm bn --dropout 0.3 --epochs 4"),
    "bfloat16": Kind("LeNet in bfloat16", f"{LENET} --bf16 --epochs 3"),
    "plateau": Kind("LeNet: Adam, learning rate by plateau",
                    f"{LENET} --optim adam --schedule plateau --patience 0 --gamma 0.5 --epochs 8"),
    "cosine": Kind("LeNet: Adam, learning rate by cosine, best weights on test",
                   f"{LENET} --optim adam --schedule cosine --epochs 8 --test-weights best")}
UNSCORED = Kind("LeNet, to be scored later", f"{LENET} --epochs 2 --lr 0.05 --test-weights none")
STARTED = Kind("LeNet, started from another run", f"{LENET} --epochs 2 --init-from=a/first", after=UNSCORED.flags)
# A run of a process that loads torch itself, on all generated images.
REAL = f"{LENET} --batch-size 50 --epochs 3 --save-every 0"


# ---- kills and signals ----------------------------------------------------------------------------------------------

def random_instants(this, kind, signals=(signal.SIGKILL,)):
    """A run is hit at random instants, from its start to its end, by one of these signals each, until it ends."""
    whole, seconds = this.reference(kind)
    flags = f"{kind.flags} --save-every {this.random.choice((0, 0.3))}"
    folder = this.folder / RUN
    for _ in range(kind.most):
        started = this.start(flags, kind.sizes)
        number = this.random.choice(signals)
        instant = time.monotonic() + this.random.uniform(0, seconds)
        while number != signal.SIGKILL and started.wait(0) is None and not kills.takes_signals(started.process.pid):
            time.sleep(0.01)
        if started.wait(instant - time.monotonic()) is not None:
            break
        if number == signal.SIGKILL:
            this.counts["kills"] += started.kill()
            continue
        sent = time.time()
        started.signal(number)
        this.counts["cases"] += 1
        if this.end_of_signalled(started, sent, folder) != runs.STOPPED:
            break
    else:
        started = this.start(flags, kind.sizes)
    this.end(started, 0, *((runs.STOPPED, -signal.SIGTERM, -signal.SIGINT) if len(signals) > 1 else ()))
    this.compare(folder, whole)


def mixed_signals(this, kind):
    """SIGTERM, SIGINT and SIGKILL by turns, so that the run also goes on from the middle of an epoch."""
    with this.without_crowds():
        random_instants(this, kind, (signal.SIGTERM, signal.SIGINT, signal.SIGKILL))


def every_touch(this, kind, part):
    """SIGKILL at every fourth touch of the disk: before it is synced, renamed or removed, and in mid-write."""
    whole, _ = this.reference(kind)
    flags, touch = f"{kind.flags} --save-every 0", part
    while True:
        base = this.folder / f"touch{touch}"
        if kind.after:
            shutil.copytree(this.folder / "runs", base / "runs")
        code = this.end(this.start(flags, kind.sizes, base=base, crash_at=touch), 0, -signal.SIGKILL, -signal.SIGXFSZ)
        if code == 0:
            break
        this.counts["kills"] += 1
        this.end(this.start(flags, kind.sizes, base=base), 0)
        this.compare(base / RUN, whole, f"(killed at touch {touch})")
        touch += 4


MOMENTS = {"step": 48, "scoring": 16, "saving": 30}  # of landmarks: how many there are, about


def chosen_moment(this, moment):
    """SIGTERM or SIGINT in a step, while the valid images are scored, or while a file is written."""
    kind = KINDS["landmarks"]
    whole, _ = this.reference(kind)
    folder, flags = this.folder / RUN, f"{kind.flags} --save-every 0"
    with this.without_crowds():
        for case in range(4):
            note = this.folder / f"sent{case}"
            number = this.random.choice((signal.SIGTERM, signal.SIGINT))
            send = functools.partial(kills.signal_in, moment, this.random.randint(1, MOMENTS[moment]), number, note)
            started = this.start(flags, kind.sizes, [send])
            code = this.end(started, 0, runs.STOPPED)
            if note.exists():
                this.counts["cases"] += 1
                this.end_of_signalled(started, float(note.read_text()), folder)
            if code == 0:
                break
    this.end(this.start(flags, kind.sizes), 0)
    this.compare(folder, whole)


def whole_process(this):
    """SIGTERM or SIGINT to `python train.py`, from the moment it takes signals, while torch loads, to its end."""
    project = this.project()
    command = [sys.executable, "train.py", *REAL.split(), "--run", "a/b", "--runs"]

    def make(base):
        began = time.monotonic()
        this.end(this.start_real([*command, base / "runs"], project), 0)
        return {"digests": kills.digests(base / RUN), "seconds": time.monotonic() - began}
    with this.without_crowds():
        made = this.made_once("whole-process", make)[1]
        folder = this.folder / RUN
        for _ in range(3):
            started = this.start_real([*command, this.folder / "runs"], project)
            while started.wait(0) is None and not kills.takes_signals(started.process.pid):
                time.sleep(0.01)
            if started.wait(this.random.uniform(0.01, made["seconds"])) is not None:
                break
            sent = time.time()
            started.signal(this.random.choice((signal.SIGTERM, signal.SIGINT)))
            this.counts["cases"] += 1
            if this.end_of_signalled(started, sent, folder) != runs.STOPPED:
                break
        this.end(this.start_real([*command, this.folder / "runs"], project), 0)
    this.compare(folder, made["digests"])


# ---- no room --------------------------------------------------------------------------------------------------------

def small_files(this, kind):
    """Files can grow to a random size only, as on a full disk: twice in a run, which then goes on without the limit."""
    whole, seconds = this.reference(kind)
    folder, flags = this.folder / RUN, f"{kind.flags} --save-every 0"
    for case in range(2):
        limit = int(2 ** this.random.uniform(10, 18))
        started = this.start(flags, kind.sizes, limit=limit)
        this.counts["cases"] += 1
        this.end(started, runs.FAILED, sentence=True)
        if case == 0:  # the second time there is something that could be lost
            started = this.start(flags, kind.sizes)
            started.wait(this.random.uniform(0, seconds))
            this.counts["kills"] += started.kill()
            if (folder / "result.json").exists():
                break
    this.end(this.start(flags, kind.sizes), 0)
    this.compare(folder, whole)


def small_memory(this, kind):
    """A process can have a random number of bytes beyond those with which it begins, up to 100 MB."""
    whole, _ = this.reference(kind)
    flags = f"{kind.flags} --save-every 0"
    for _ in range(3):
        more = int(this.random.uniform(0, 100) * 2**20)
        code = this.end(this.start(flags, kind.sizes, [functools.partial(kills.limit_memory, more)]), 0, runs.FAILED,
                        sentence=True)
        this.counts["cases"] += code != 0
    this.end(this.start(flags, kind.sizes), 0)
    this.compare(this.folder / RUN, whole)


FULL = """
mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 99
"${@:4}" --runs "$2/runs"; echo $? >"$3/first"
mount -o remount,size=1g tmpfs "$2"
"${@:4}" --runs "$2/runs"; echo $? >"$3/second"
cp -r "$2/runs" "$3"
"""


def can_mount():
    """May this process mount a file system that it alone sees?"""
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
        try:
            return subprocess.run(command, capture_output=True).returncode == 0
        except OSError:
            return False


def full_file_system(this):
    """A run on a file system of a random size, which fills up; then it gets more room."""
    if not can_mount():
        this.counts["skipped"] += 1
        return
    project, sizes = this.project(), (50, 3000)  # KiB; a checkpoint has 700
    command = [sys.executable, "train.py", *REAL.split(), "--run", "a/b"]

    def make(base):
        this.end(this.start_real([*command, "--runs", base / "runs"], project), 0)
        return {"digests": kills.digests(base / RUN)}
    whole = this.made_once("whole-on-disk", make)[1]["digests"]
    room = this.folder / "room"
    room.mkdir()
    size = f"{this.random.randint(*sizes)}k"
    namespace = ["unshare", "-rm", "bash", "-c", FULL, "bash", size, room, this.folder]
    started = this.start_real([*namespace, *command], project)
    this.end(started, 0)
    first, second = (int((this.folder / name).read_text()) for name in ("first", "second"))
    this.counts["cases"] += first != 0
    if first not in (0, runs.FAILED) or second != 0:
        this.problem("wrong", f"exit codes {first} and {second} with room of {size}")
    if first and "train.py: " not in started.words() or "Traceback" in started.words():
        this.problem("wrong", f"no sentence with room of {size}: {started.words()[-2000:]}")
    this.compare(this.folder / RUN, whole)


# ---- damage ---------------------------------------------------------------------------------------------------------

DAMAGES = ("truncated", "with a bit flipped")
CASES = 10  # in a round
STEPS = 17, 44  # of landmarks, of 48: from the first of these on there are two checkpoints


def damage(file, how, draw):
    """Truncates a file at a random length, or flips one random bit of it. Returns what was done, in words."""
    content = bytearray(file.read_bytes())
    if how == "truncated":
        length = draw.randrange(len(content))
        file.write_bytes(content[:length])
        return f"{file.name} truncated to {length} of {len(content)} bytes"
    bit = draw.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    return f"bit {bit} of {file.name} flipped"


def damaged_checkpoint(this, how):
    """Some times, checkpoint.pt or the one before it (sometimes both) is damaged, and the run goes on."""
    kind = KINDS["landmarks"]
    whole, _ = this.reference(kind)
    step = this.random.randint(*STEPS)
    stop = functools.partial(kills.signal_in, "step", step, signal.SIGTERM, this.folder / "sent")
    flags = f"{kind.flags} --save-every 0"
    this.end(this.start(flags, kind.sizes, [stop]), runs.STOPPED)
    for case in range(CASES):
        base = this.folder / f"case{case}"
        shutil.copytree(this.folder / "runs", base / "runs")
        names = this.random.choice((["checkpoint.pt"], ["checkpoint.pt"], ["checkpoint.1.pt"],
                                    ["checkpoint.pt", "checkpoint.1.pt"]))
        done = "; ".join(damage(base / RUN / name, how, this.random) for name in names)
        this.counts["cases"] += 1
        codes = (0,) if len(names) == 1 else (0, runs.BAD_INPUT)  # with one that is whole it can go on
        if this.end(this.start(flags, kind.sizes, base=base), *codes, sentence=True) == 0:
            this.compare(base / RUN, whole, f"({done})")


def damaged_weights(this, how):
    """Some times, model.pt or best.pt of a finished run is damaged; then it is scored, or a run starts from it."""
    first = this.folder / "runs/a/first/seed0"
    whole, _ = this.reference(STARTED)
    expected = {}
    for weights in ("final", "best"):
        base = this.folder / weights
        shutil.copytree(first, base)
        this.end(this.start_words(["--score", str(base), "--test-weights", weights], SIZES), 0)
        expected[weights] = kills.digests(base)
    for case in range(CASES):
        base = this.folder / f"case{case}"
        shutil.copytree(this.folder / "runs", base / "runs")
        weights = this.random.choice(("final", "best"))
        there = base / "runs/a/first/seed0"
        done = damage(there / {"final": "model.pt", "best": "best.pt"}[weights], how, this.random)
        this.counts["cases"] += 1
        if weights == "final" and this.random.random() < 0.5:
            code = this.end(this.start(STARTED.flags, SIZES, base=base), 0, runs.BAD_INPUT, sentence=True)
            found, wanted = base / RUN, whole
        else:
            words = ["--score", str(there), "--test-weights", weights]
            code = this.end(this.start_words(words, SIZES), 0, runs.BAD_INPUT, sentence=True)
            found, wanted = there, expected[weights]
        if code == 0 and kills.digests(found) != wanted:
            this.problem("different", f"exit code 0, and {found} differs ({done})")
        if code == runs.BAD_INPUT and (there / "result.json").read_bytes() != (first / "result.json").read_bytes():
            this.problem("different", f"refused, and yet {there}/result.json has changed ({done})")


# ---- many at once ---------------------------------------------------------------------------------------------------

def twenty_starts(this, kind):
    """Twenty processes are told to train one run at the same time: one does, the others say so or find it done."""
    whole, _ = this.reference(kind)
    with this.as_crowd():
        started = [this.start(kind.flags, kind.sizes) for _ in range(20)]
        codes = [this.end(process, 0, runs.STOPPED) for process in started]
    this.counts["cases"] += 20
    if 0 not in codes:
        this.problem("wrong", f"none of twenty trained it: {codes}")
    folder = this.folder / RUN
    if (begun := (folder / "train.log").read_text().count(" begins with ")) != 1:
        this.problem("wrong", f"it began {begun} times")
    this.compare(folder, whole)


HITS = 7  # of a make in a round
MAKE_FAILED = 2  # make's exit code where it could not make something


def start_make(this, project, shared):
    """Starts make for the small comparison in a copy of the project, with its runs in the folder `shared`."""
    command = ["make", f"PYTHON={sys.executable}", f"RUNS={shared}", "JOBS=2", "FLAGS=--save-every 0 --threads 1",
               "exp-small"]
    return this.start_real(command, project, group=True)


def small_comparison(this):
    """Returns ({run: digests}, seconds) of the small comparison, made without interruption."""
    project = this.project()

    def make(base):
        began = time.monotonic()
        this.end(start_make(this, project, base / "runs"), 0)
        seconds = time.monotonic() - began
        return {"digests": {run: kills.digests(base / "runs" / run / "seed0") for run in COMPARISON},
                "seconds": seconds}
    made = this.made_once("comparison", make)[1]
    return made["digests"], made["seconds"]


def killed_makes(this, boxes):
    """make is killed, with all that it started, or asked to end, at random instants, until the comparison is done.

    boxes: so many copies of the project have one folder of runs, and a make each. What is finished stays as it is.
    """
    with this.as_crowd():
        whole, seconds = small_comparison(this)
        shared = this.folder / "runs"
        projects = [this.project()]
        for box in range(1, boxes):
            projects.append(this.folder / f"box{box}")
            shutil.copytree(projects[0], projects[-1])
        folders, finished = [shared / run / "seed0" for run in COMPARISON], {}
        makes, hits, ends = {}, 0, 0  # makes: {project: (process, when it is to be hit)}
        while len(finished) < len(folders):
            for project in projects:
                if project not in makes:
                    instant = time.monotonic() + this.random.uniform(0, boxes * seconds)
                    makes[project] = start_make(this, project, shared), instant
            started, instant = makes.pop(min(makes, key=lambda project: makes[project][1]))
            if hits < HITS * boxes and started.wait(instant - time.monotonic()) is None:
                hit_make(this, started, folders if boxes == 1 else ())
                hits += 1
            else:  # where another box has a run, this one's comparison is not done
                this.end(started, *((0,) if boxes == 1 else (0, MAKE_FAILED)))
                ends += 1
                if ends > 10 * boxes:
                    raise RuntimeError("make ends, and the comparison is not done")
            finished = unchanged(this, folders, finished)
        for started, _ in makes.values():
            this.end(started, 0, MAKE_FAILED)
        for project in projects:
            this.end(start_make(this, project, shared), 0)
        unchanged(this, folders, finished)
    for run, folder in zip(COMPARISON, folders):
        this.compare(folder, whole[run])
        if list(folder.parent.glob("seed0.*")):
            this.problem("wrong", f"{folder} was put aside and made anew")


def hit_make(this, started, folders):
    """Kills a make and all that it started, or asks make alone to end. Afterwards nobody holds the runs `folders`."""
    if this.random.random() < 0.5:
        this.counts["kills"] += started.kill()
    else:
        this.counts["cases"] += 1
        started.signal(signal.SIGTERM)
        if started.wait(4 * STOPS_WITHIN) is None:
            this.problem("wrong", f"make did not end within {4 * STOPS_WITHIN} seconds after SIGTERM")
            started.kill()
    until = time.monotonic() + STOPS_WITHIN
    while any(runs.is_locked(folder) for folder in folders):
        if time.monotonic() > until:
            this.problem("wrong", "a run is still trained after its make has ended")
            break
        time.sleep(0.1)
    started.kill()  # make has ended; what it may have left has not


def unchanged(this, folders, before):
    """Returns {folder: content of result.json and train.log} of the finished runs; those of `before` must be alike."""
    now = {}
    for folder in folders:
        if (folder / "result.json").exists() and not runs.is_locked(folder):
            now[folder] = (folder / "result.json").read_bytes(), (folder / "train.log").read_bytes()
    for folder in before:
        if now.get(folder, before[folder]) != before[folder]:
            this.problem("wrong", f"{folder} was finished, and was trained again")
    return {**before, **now}


# ---- rounds ---------------------------------------------------------------------------------------------------------

class Card(NamedTuple):
    """What a round may do: its category, what it is in words, the function and its arguments, how often it comes."""

    category: str
    what: str
    function: object
    arguments: tuple = ()
    weight: int = 1


CATEGORIES = {
    "kills": "SIGKILL at random instants", "touches": "SIGKILL at every touch of the disk",
    "signals": "SIGTERM and SIGINT", "disk": "full disk", "memory": "memory runs out", "damage": "damaged files",
    "starts": "20 starts at once", "make": "make killed or ended", "boxes": "two makes, one folder of runs"}
SIMPLEST = [KINDS[name] for name in ("landmarks", "plateau")]
CARDS = (
    *(Card("kills", kind.what, random_instants, (kind,), kind.weight) for kind in KINDS.values()),
    *(Card("touches", kind.what, every_touch, (kind, part)) for kind in SIMPLEST for part in (1, 2, 3, 4)),
    *(Card("signals", {"step": "in a step", "scoring": "while scoring", "saving": "while saving"}[moment],
           chosen_moment, (moment,)) for moment in MOMENTS),
    *(Card("signals", "at random instants, and SIGKILL", mixed_signals, (KINDS[name],))
      for name in ("landmarks", "lenet", "each-epoch", "cleaned")),
    Card("signals", "python train.py, from its start on", whole_process),
    *(Card("disk", "files of limited size", small_files, (kind,)) for kind in SIMPLEST),
    Card("disk", "a file system that is full", full_file_system),
    *(Card("memory", "address space of limited size", small_memory, (kind,)) for kind in SIMPLEST),
    *(Card("damage", f"checkpoints {how}", damaged_checkpoint, (how,), 2) for how in DAMAGES),
    *(Card("damage", f"weights {how}, then scored or started from", damaged_weights, (how,), 2)
      for how in DAMAGES),
    Card("starts", "LeNet: Adam, learning rate by plateau", twenty_starts, (KINDS["plateau"],)),
    Card("make", "a comparison of three runs", killed_makes, (1,)),
    Card("boxes", "a comparison of three runs", killed_makes, (2,)))


def card_of(number, seed, only):
    """The card of a round: all cards are drawn before one is drawn again, but for those that are there repeatedly."""
    cards = [card for card in CARDS if not only or card.category in only for _ in range(card.weight)]
    deck, place = divmod(number, len(cards))
    random.Random(f"{seed} deck {deck}").shuffle(cards)
    return cards[place]


def play(place, seed, number, card, spoil=()):
    """Plays one round. Returns {"category", "what", "counts", "slowest", "problems", "number"}, None if it was cut off.

    Its folder is removed unless something was found.
    """
    this = Round(place, seed, number, spoil)
    try:
        card.function(this, *card.arguments)
    except Over:
        return None
    except Exception:  # whatever a broken run does to what looks at it
        this.problem("wrong", traceback.format_exc())
    finally:
        for started in this.processes:
            if started.join(0) is None:
                started.kill()
    if not this.problems:
        shutil.rmtree(this.folder)
    return {"category": card.category, "what": card.what, "counts": dict(this.counts), "slowest": this.slowest,
            "problems": this.problems, "number": number}


def rounds(place, options, spoil):
    """Yields what each round found: rounds begin until the time is over, so many at a time as --jobs says."""
    over = time.monotonic() + 60 * options.minutes
    numbers = iter([options.round]) if options.round is not None else iter(range(10**9))

    def arguments():
        number = next(numbers, None)
        if number is None or (options.round is None and time.monotonic() >= over):
            return None
        return place, options.seed, number, card_of(number, options.seed, options.only), spoil

    if options.jobs == 1:
        while (words := arguments()) is not None:
            yield play(*words)
        return
    with concurrent.futures.ProcessPoolExecutor(options.jobs, kills.forkserver) as pool:
        waiting = set()
        try:
            while True:
                while len(waiting) < options.jobs and (words := arguments()) is not None:
                    waiting.add(pool.submit(play, *words))
                if not waiting:
                    return
                done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            (place / "over").touch()  # the rounds under way look for it
            raise


def repeat(options, number):
    """The command that plays a round once more."""
    words = ["python experiments/torture.py", f"--seed {options.seed}", f"--round {number}"]
    return " ".join([*words, *(f"--only {category}" for category in options.only or ())])


def torture(options, spoil=()):
    """Plays rounds until the time is over. Returns what torture.json holds; see `page`."""
    began, made_on = time.monotonic(), {**runs.made_with(torch.device("cpu")), "cores": jobs.cores(),
                                        "load": round(os.getloadavg()[0], 2),
                                        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    place = Path(tempfile.mkdtemp(prefix="torture-")).resolve()
    found = {"machine": made_on, "seed": options.seed, "command": options.command, "jobs": options.jobs, "rows": [],
             "failures": []}
    rows = {(card.category, card.what): collections.Counter() for card in CARDS}
    slowest = collections.Counter()
    try:
        for played in rounds(place, options, spoil):
            if played is None:
                continue
            key = played["category"], played["what"]
            rows[key].update(played["counts"], rounds=1)
            slowest[key] = max(slowest[key], played["slowest"])
            total = sum(rows.values(), collections.Counter())
            print(f"round {played['number']}: {CATEGORIES[key[0]]}, {key[1]}: {'ok' if not played['problems'] else ''}"
                  f"{'; '.join(played['problems'])} ({total['kills']} kills, {total['cases']} other cases)", flush=True)
            if played["problems"]:
                command, kept = repeat(options, played["number"]), str(place / f"round{played['number']}")
                found["failures"].append({"command": command, "folder": kept, "problems": played["problems"]})
                print(f"  repeat: {command}\n  kept: {kept}", flush=True)
    finally:
        if not found["failures"]:
            shutil.rmtree(place, ignore_errors=True)
    found["minutes"] = round((time.monotonic() - began) / 60, 1)
    for (category, what), counts in rows.items():
        if counts["rounds"]:
            found["rows"].append({"category": category, "category_in_words": CATEGORIES[category], "what": what,
                                  **{name: counts[name] for name in COUNTS},
                                  "slowest": round(slowest[category, what], 2)})
    return found


def main(argv=None, spoil=()):
    """The command line. Returns 0 where nothing differed, 1 where something did or was wrong, 2 for bad flags.

    spoil: functions that every process of a round calls first, for the tests of this file.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=60, help="no round begins later (default: 60)")
    parser.add_argument("--out", metavar="FOLDER", help="write torture.json and torture.md there; default: only print")
    parser.add_argument("--seed", type=data.whole, help="of all that is drawn at random (default: drawn, and printed)")
    parser.add_argument("--only", action="append", choices=CATEGORIES, help="only this category; may be repeated")
    parser.add_argument("--round", type=data.whole, metavar="N", help="play this round alone")
    parser.add_argument("--jobs", type=data.count, help="rounds at a time (default: as many as cores)")
    options = parser.parse_args(argv)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    options.jobs = options.jobs or jobs.cores()
    if options.round is not None:
        options.jobs = 1
    options.command = " ".join(["python experiments/torture.py", *argv])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(runs.STOPPED))
    os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"] = "1", ""
    print(f"seed {options.seed}", flush=True)
    found = torture(options, spoil)
    if options.out:
        out = Path(options.out)
        out.mkdir(parents=True, exist_ok=True)
        runs.save_json(found, out / "torture.json")
        runs.write_atomically(page(found).encode(), out / "torture.md")
    print(f"\n{page(found)}\n{headline(found)}")
    return runs.FAILED if found["failures"] else runs.FINISHED


if __name__ == "__main__":
    sys.exit(main())

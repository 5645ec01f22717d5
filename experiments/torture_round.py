"""A round of experiments/torture.py: its folder and random numbers, processes and their ends, comparisons and counts.

    this = Round(place, seed=1, number=17)                 # its folder is place/round17
    code = this.end(this.start(flags, sizes), 0)           # trains a/b there; another exit code than 0 is counted
    this.compare(this.folder / RUN, digests)               # and so are other bits
"""
import collections
import contextlib
import fcntl
import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from experiments import kills, runs

ROOT = Path(__file__).resolve().parent.parent
RUN = "runs/a/b/seed0"  # the folder of the run that is tortured
HANGS = 300  # seconds after which a process that should have ended is taken to hang
STOPS_WITHIN = 5  # seconds from a signal to the end
COMPARISON = ("small/a", "small/b", "small/c")
SMALL = """# A comparison for experiments/torture.py.
SMALL = --act relu --synthetic --channels 6,16 --batch-size 50 --epochs 2

## Two rates, and a run that starts from another.
exp.small   = small/a small/b small/c
run.small/a = $(SMALL)
run.small/b = $(SMALL) --lr 0.01 --dropout 0.3
run.small/c = $(SMALL) --init-from=small/a
"""
# What make and whoever calls it have set must not reach the makes that are started here.
NOT_PASSED_ON = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "SEEDS", "DATA", "FLAGS", "SYNTHETIC", "RUNS",
                 "GPUS", "PYTHON", "STOP_AFTER", "STOP_AT", "RUN", "JOBS", "BF16", "SAID", "PYTHONPATH", "MINUTES",
                 "OUT")


class Over(Exception):
    """The whole is to end now; the round is not counted."""


# ---- processes ------------------------------------------------------------------------------------------------------

class Started:
    """A process of a round, forked or with an interpreter of its own.

    said: the file of what it prints as errors; over: a file that appears when the whole is to end; group: has it a
    process group of its own, which is killed with it?
    """

    def __init__(self, process, said, over, group=False):
        self.process, self.said, self.over, self.group = process, said, over, group

    def wait(self, seconds):
        """Waits so long for its end. Returns its exit code, negative for a signal, or None where it still runs.

        Raises Over when the whole is to end.
        """
        until = time.monotonic() + seconds
        while self.join(min(0.5, until - time.monotonic())) is None and time.monotonic() < until:
            if self.over.exists():
                raise Over
        return self.join(0)

    def join(self, seconds):
        """The same without looking whether the whole is to end."""
        if isinstance(self.process, subprocess.Popen):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0, seconds))
            return self.process.returncode
        self.process.join(max(0, seconds))
        return self.process.exitcode

    def signal(self, number):
        """Sends it a signal, and with it its process group if it has one of its own and the signal is SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            if self.group and number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            elif self.join(0) is None:
                os.kill(self.process.pid, number)

    def kill(self):
        """Kills it and waits for its end. Was it alive?"""
        alive = self.join(0) is None
        self.signal(signal.SIGKILL)
        self.join(HANGS)
        return alive

    def words(self):
        """What it printed as errors."""
        return self.said.read_text(errors="replace") if self.said.exists() else ""


class Round:
    """One round: its folder, its random numbers, and what it counts.

    place: the folder of the whole; spoil: functions that every process calls first, for tests of this file.
    """

    def __init__(self, place, seed, number, spoil=()):
        warm_up()  # else the time of the first run would have that of loading torch in it
        self.place, self.over, self.spoil = place, place / "over", spoil
        self.random = random.Random(f"{seed} {number}")
        self.folder = place / f"round{number}"
        self.folder.mkdir()
        self.counts = collections.Counter()
        self.slowest = 0.0  # seconds from a signal to the end
        self.problems, self.processes = [], []

    # ---- starting and ending

    def start(self, flags, sizes, first=(), base=None, run="a/b", **how):
        """Starts a forked process that trains a run in the folder `base`. first, how: as of kills.child."""
        base = base or self.folder
        return self.start_words(f"{flags} --runs {base / 'runs'} --run {run}".split(), sizes, first, **how)

    def start_words(self, words, sizes, first=(), **how):
        """Starts a forked process with this command line. It takes signals from its beginning, as train.py does."""
        said = self.folder / f"said{len(self.processes)}"
        speaks, stops = functools.partial(kills.speak_into, said), functools.partial(runs.stop_at_once, "train.py")
        first = (speaks, stops, *self.spoil, *first)
        return self.note(Started(kills.start_words(words, first=first, **sizes, **how), said, self.over))

    def start_real(self, command, folder, group=False):
        """Starts an interpreter or make in a folder, with a process group of its own."""
        said = self.folder / f"said{len(self.processes)}"
        with open(said, "wb") as errors:
            process = subprocess.Popen(command, cwd=folder, env=environment(self.folder), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)
        return self.note(Started(process, said, self.over, group))

    def note(self, started):
        """Counts a process that was started."""
        self.processes.append(started)
        self.counts["starts"] += 1
        return started

    def end(self, started, *codes, sentence=False):
        """Waits for the end of a process, which has to have one of these exit codes. Returns the code.

        sentence: with another code than 0 it has to say why in a sentence, and not by a traceback.
        """
        code = started.wait(HANGS)
        said = started.words()
        last = f"at last it said: {(said.strip() or 'nothing').splitlines()[-1]} ({started.said})"
        if code is None:
            started.kill()
            self.problem("wrong", f"it did not end within {HANGS} seconds")
        elif code not in codes:
            self.problem("wrong", f"exit code {code}, not one of {codes}; {last}")
        elif code and sentence and ("Traceback" in said or not re.search(r"^train\.py: \S", said, re.M)):
            self.problem("wrong", f"exit code {code} without a sentence; {last}")
        return code

    def end_of_signalled(self, started, sent, folder):
        """Waits for the end of a process that got a signal at the moment `sent` of time.time(): 75, and soon.

        A run that was just done may have ended otherwise.
        """
        code = self.end(started, runs.STOPPED, runs.FINISHED, -signal.SIGTERM, -signal.SIGINT)
        self.slowest = max(self.slowest, time.time() - sent)
        if code != runs.STOPPED and not (folder / "result.json").exists():
            self.problem("wrong", f"exit code {code} after a signal, and no result")
        if time.time() - sent > STOPS_WITHIN:
            self.problem("wrong", f"it ended {time.time() - sent:.1f} seconds after a signal")
        return code

    # ---- comparing

    def problem(self, what, sentence):
        """Counts what should not have been: "different" bits, or what is otherwise "wrong"."""
        self.counts[what] += 1
        self.problems.append(sentence)

    def compare(self, folder, whole, case=""):
        """Compares a finished run with the undisturbed one, and looks for what was left behind or done twice."""
        found = kills.digests(folder)
        if differs := [name for name in whole if found[name] != whole[name]]:
            self.problem("different", f"{', '.join(differs)} of {folder} differ {case}")
        if left := [file.name for file in (*folder.glob("*.tmp"), *folder.glob("checkpoint*"))]:
            self.problem("wrong", f"{', '.join(left)} is left in {folder} {case}")
        if line := kills.out_of_order((folder / "train.log").read_text()):
            self.problem("wrong", f"in {folder}/train.log this line cannot follow: {line} {case}")

    def reference(self, kind):
        """Returns (digests, seconds) of an undisturbed run of this kind, which is made when first asked for."""
        def make(base):
            for run, flags in (("a/first", kind.after), ("a/b", kind.flags)):
                if flags:
                    began = time.monotonic()
                    self.end(self.start(flags, kind.sizes, base=base, run=run), 0)
            return {"digests": kills.digests(base / RUN), "seconds": time.monotonic() - began}
        base, made = self.made_once(f"whole-{re.sub(r'[^a-z0-9]+', '-', kind.what.lower())}", make)
        if kind.after:
            shutil.copytree(base / "runs/a/first", self.folder / "runs/a/first")
        return made["digests"], made["seconds"]

    def made_once(self, name, make):
        """Returns (folder, what make(folder) returned) for a thing that all rounds share. It is JSON."""
        base, note = self.place / name, self.place / f"{name}.json"
        with open(self.place / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not note.exists():
                shutil.rmtree(base, ignore_errors=True)
                base.mkdir()
                spoil, self.spoil, counts = self.spoil, (), self.counts.copy()
                made = make(base)
                self.spoil, self.counts = spoil, counts
                if self.problems:
                    raise RuntimeError("the undisturbed run failed: " + "; ".join(self.problems))
                note.write_text(json.dumps(made))
        return base, json.loads(note.read_text())

    def project(self):
        """Returns a copy of the project, in which processes with an interpreter of their own begin."""
        return self.made_once("project", copy_project)[0]

    def without_crowds(self):
        """Keeps rounds that start many processes from running beside this one, which looks at the clock."""
        return self.holding(fcntl.LOCK_SH)

    def as_crowd(self):
        """Keeps rounds that look at the clock from running beside this one, which starts many processes."""
        return self.holding(fcntl.LOCK_EX)

    @contextlib.contextmanager
    def holding(self, how):
        """Holds the lock that all rounds share, for many (LOCK_SH) or for one (LOCK_EX)."""
        with open(self.place / "crowd.lock", "w") as lock:
            fcntl.flock(lock, how)
            yield


@functools.cache
def warm_up():
    """Starts the process that has torch imported and forks, once in this process."""
    process = kills.forkserver.Process(target=os.getpid)
    process.start()
    process.join()


def environment(temporary):
    """The environment of processes with an interpreter of their own: one thread each, temporary files in a folder."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    return {**kept, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), "CUDA_VISIBLE_DEVICES": ""}


def copy_project(folder, name="small", declared=SMALL):
    """Copies the project without its tests, data and reports into a new folder.

    declared: the text of experiments/NAME.mk, the only runs that are declared there.
    """
    (folder / "experiments").mkdir(parents=True)
    for file in (ROOT / "Makefile", ROOT / "requirements.txt", *ROOT.glob("*.py")):
        shutil.copy(file, folder)
    for file in ROOT.glob("experiments/*.py"):
        shutil.copy(file, folder / "experiments")
    (folder / f"experiments/{name}.mk").write_text(declared)

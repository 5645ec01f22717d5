"""Runs in processes of their own that can be killed, stopped or starved, and what of a run must not depend on that.

    process = kills.start(Path("/tmp/x"), "--act relu --synthetic --epochs 2", cifar10=200)  # trains the run a/b
    kills.digests(Path("/tmp/x/runs/a/b/seed0"))                     # {"model.pt": SHA-256, ...} once it has ended

For experiments/torture.py and the tests.
"""
import contextlib
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from unittest import mock

from tqdm import tqdm

import train
from experiments import runs, score, synthetic

# ---- synthetic data, drawn once and smaller -------------------------------------------------------------------------

draw_objects_once = functools.cache(synthetic.objects)
draw_faces_once = functools.cache(synthetic.faces)


@contextlib.contextmanager
def smaller_data(caltech35=4, cifar10=400, faces21=320):
    """Makes synthetic data smaller, and draws them once in a process.

    caltech35: how many of its 35 classes have images, with 16 train, 4 valid and 4 test images each. cifar10: how many
    images are not test; a quarter as many are. faces21: how many faces. Of these two, a fifth is valid.
    """
    def objects(classes, counts, side, seed):
        if classes == 10:
            return dict(draw_objects_once(10, (cifar10, 0, cifar10 // 4), side, seed))
        counts = tuple(count * caltech35 // 35 for count in counts)
        names = [f"object {number}" for number in range(35)]
        return {**draw_objects_once(caltech35, counts, side, seed), "classes": names}

    def faces(count, seed):
        return dict(draw_faces_once(faces21, seed))

    with mock.patch.object(synthetic, "objects", objects), mock.patch.object(synthetic, "faces", faces):
        yield


# ---- processes ------------------------------------------------------------------------------------------------------

# A process that has torch imported already and forks per run: each start would otherwise take seconds to import it, and
# most kills would hit a run that has not begun. The first optimizer of a process imports torch._dynamo.
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["train", "experiments.score", "torch._dynamo"])


def child(argv, crash_at=None, limit=None, first=(), **sizes):
    """Runs train.main, or with --score score.main, in a process of its own, with smaller_data(**sizes).

    crash_at: as of crash_at_touch; limit: the largest file, in bytes; first: functions to be called before.
    """
    if limit is not None:
        limit_files(limit)
    if crash_at is not None:
        crash_at_touch(crash_at)
    for function in first:
        function()
    tqdm.set_lock(threading.RLock())  # its own one is known to a tracker, which complains when its process is killed
    main = train.main
    if "--score" in argv:
        main = score.main  # train.main would start another interpreter
    with smaller_data(**sizes):
        sys.exit(main(argv))


def start_words(words, **how):
    """Starts a process with these words as its command line, a list. Returns it. how: arguments of `child`."""
    process = forkserver.Process(target=child, args=(words,), kwargs=how)
    process.start()
    return process


def start(place, flags, folder="runs", **how):
    """Starts a process that trains the run a/b. Returns the process. how: arguments of `child`."""
    return start_words(f"{flags} --runs {place / folder} --run a/b".split(), **how)


# ---- what can happen to them ----------------------------------------------------------------------------------------

def die_in_the_next_large_write(limit):
    """Lets the kernel kill this process when it has written `limit` bytes to a file and writes on."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def crash_at_touch(number):
    """Kills this process before its touch of the disk with this number, or in the middle of it if it is a write."""
    touches = 0

    def counted(function, crash):
        def call(*args, **how):
            nonlocal touches
            touches += 1
            if touches == number:
                crash(*args)
            return function(*args, **how)
        return call

    def at_once(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def half_way(content, _):
        die_in_the_next_large_write(len(content) // 2)

    os.replace, os.fsync = counted(os.replace, at_once), counted(os.fsync, at_once)
    type(Path()).unlink = counted(type(Path()).unlink, at_once)
    runs.write_atomically = counted(runs.write_atomically, half_way)


def limit_files(limit):
    """Makes the disk full, as it were: a file cannot grow beyond `limit` bytes, which OSError says."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def limit_memory(more):
    """Lets this process have `more` bytes of address space beyond what it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def signal_in(moment, count, number, note):
    """Sends this process the signal `number` at the moment that comes for the count-th time: step, scoring or saving.

    note: a file into which time.time() is written just before.
    """
    calls = itertools.count(1)

    def sends(function, is_moment):
        def call(*args, **how):
            if is_moment(*args) and next(calls) == count:
                Path(note).write_text(str(time.time()))
                os.kill(os.getpid(), number)
            return function(*args, **how)
        return call

    if moment == "step":
        train.train_step = sends(train.train_step, lambda *_: True)
    elif moment == "scoring":
        train.predict = sends(train.predict, lambda settings, model, x: not model.training)
    else:
        os.fsync = sends(os.fsync, lambda *_: True)


def speak_into(file):
    """Lets this process print its errors into a file, and what else it says nowhere."""
    for descriptor, path, flags in ((1, os.devnull, os.O_WRONLY), (2, file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)


def takes_signals(pid):
    """Has this process a handler for SIGTERM by now?"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return False
    caught = re.search(r"^SigCgt:\s*(\w+)", status, re.M)
    return bool(caught) and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


# ---- what they come to ----------------------------------------------------------------------------------------------

def read(path):
    """Returns the content of a file of strict JSON, which has no nan and no infinity."""
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")
    return json.loads(path.read_text(), parse_constant=refuse)


def rows(folder):
    """Returns the epochs in a run's log, a list of dicts."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def substance(folder):
    """Returns (weights, best weights, log, result) of a finished run: what must not depend on how often it was killed.

    The weights are bytes. The log and the result are without times and without the commit.
    """
    result = read(folder / "result.json")
    for name in ("seconds", "seconds_per_epoch", "commit", "dirty"):
        del result[name]
    log = [{name: value for name, value in row.items() if name != "seconds"} for row in rows(folder)]
    best = folder / "best.pt"
    return (folder / "model.pt").read_bytes(), best.read_bytes() if best.exists() else None, log, result


def digests(folder):
    """Returns the SHA-256 of each part of a run's substance: {"model.pt", "best.pt", "log.jsonl", "result.json"}."""
    model, best, log, result = substance(folder)
    content = {"model.pt": model, "best.pt": best or b"", "log.jsonl": json.dumps(log).encode(),
               "result.json": json.dumps(result, sort_keys=True).encode()}
    return {name: hashlib.sha256(of_file).hexdigest() for name, of_file in content.items()}


def out_of_order(log):
    """Returns the first line of a train.log that cannot follow from those before it, or None.

    Two processes that train one run at a time give such a line, and so does a run that begins again after it went on.
    log: the text.
    """
    following, went_on = None, False
    for line in log.splitlines():
        begins = re.search(r": (?:begins|goes on after epoch (\d+), step \d+) with ", line)
        epoch = re.search(r": epoch (\d+)/\d+  lr ", line)
        if begins and begins[1] is None and went_on:
            return line
        if begins:
            went_on = begins[1] is not None
            following = int(begins[1] or 0) + 1
        if epoch:
            if int(epoch[1]) != following:
                return line
            following += 1
    return None

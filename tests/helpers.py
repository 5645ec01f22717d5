"""What several test files need: train a run in this process or another one, kill or stop it, read its folder."""
import contextlib
import functools
import json
import multiprocessing
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
import torch

import train
from experiments import runs, synthetic

FACES = "--model keypoint --data faces21 --synthetic --batch-size 64 --rotated-copies 15 --threads 1"
# With the fixture `small_data`: 320 train, 80 valid and 100 test images.
OBJECTS = "--act relu --synthetic --batch-size 20 --threads 1"
BASE = "--model base --data caltech35 --threads 1"
# With the fixture `small_data`: 7 classes; 112 train, 28 valid and 28 test images.
SMALL = f"{BASE} --synthetic --batch-size 16"
CLASS_LOSSES = ("cross-entropy", "square", "mean-square", "triplet-cosine", "triplet-euclid")


# ---- synthetic data, drawn once and smaller -------------------------------------------------------------------------

draw_objects_once = functools.cache(synthetic.objects)
draw_faces_once = functools.cache(synthetic.faces)


@contextlib.contextmanager
def smaller_data(caltech35=7, cifar10=400, faces21=320):
    """Makes synthetic data smaller, and draws them once for all tests.

    caltech35: how many of its 35 classes have images, with 16 train, 4 valid and 4 test images each. cifar10: how many
    images are not test; a quarter as many are. faces21: how many faces. Of these two, a fifth is valid.
    """
    def objects(classes, counts, side, seed):
        if classes == 10:
            return dict(draw_objects_once(10, (cifar10, 0, cifar10 // 4), side, seed))
        counts = tuple(count * caltech35 // 35 for count in counts)
        names = [f"object {number}" for number in range(35)]
        return {**draw_objects_once(caltech35, counts, side, seed), "classes": names}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "objects", objects)
        patch.setattr(synthetic, "faces", lambda count, seed: dict(draw_faces_once(faces21, seed)))
        yield


# ---- training -------------------------------------------------------------------------------------------------------

def go(place, flags, run="a/b", folder="runs"):
    """Trains in this process. Returns the exit code and the folder of the run."""
    words = f"{flags} --runs {place / folder} --run {run}".split()
    return train.main(words), place / folder / run / "seed0"


def prepared(flags):
    """Returns (settings, data set, net) as a run with these flags begins."""
    settings = train.parse(flags.split())
    dataset, model = train.prepare(settings)
    return settings, dataset, model


def is_same_run(flags, folder):
    """Would these flags, which name no first weights, go on with this folder?"""
    return train.same_run(train.parse(flags.split()), None, folder)


def stop_every(monkeypatch, steps):
    """Lets every start of a run come to so many steps, and no further."""
    def watch(started, stop_after, stop_at):
        calls = iter(range(10**6))
        return lambda: "the test" if next(calls) == steps else None
    monkeypatch.setattr(runs, "watch", watch)


def no_training(monkeypatch):
    """Fails the test if a step is trained from now on."""
    monkeypatch.setattr(train, "train_step", lambda *_: pytest.fail("it trains"))


def script_valid_scores(monkeypatch, *scores):
    """Makes these (loss, accuracy) the scores on the valid images after epochs 1, 2, ...; others are worked out."""
    evaluate = train.evaluate

    def scripted(settings, model, dataset, indices, draws=None, **more):
        if torch.equal(indices, dataset.valid):
            epoch = draws
            return scores[epoch - 1]
        return evaluate(settings, model, dataset, indices, draws, **more)
    monkeypatch.setattr(train.data, "valid_draws", lambda settings, dataset, epoch: epoch)
    monkeypatch.setattr(train, "evaluate", scripted)


# ---- run folders ----------------------------------------------------------------------------------------------------

def read(path):
    """Returns the content of a file of strict JSON, which has no nan and no infinity."""
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")
    return json.loads(path.read_text(), parse_constant=refuse)


def result_of(folder):
    """Returns the content of a run's result.json."""
    return read(folder / "result.json")


def rows(folder):
    """Returns the epochs in a run's log, a list of dicts."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder, name="model.pt"):
    """Returns the final weights of a run, or those of another file."""
    return torch.load(folder / name, weights_only=True)


def same(some, others):
    """Are two state dicts equal, bit for bit?"""
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def change_args(folder, remove=(), **changes):
    """Changes a run's args.json, as another version may have written it."""
    args = {name: value for name, value in read(folder / "args.json").items() if name not in remove}
    (folder / "args.json").write_text(json.dumps({**args, **changes}))


def substance(folder):
    """Returns (weights, best weights, log, result) of a finished run: what must not depend on how often it was killed.

    The weights are bytes. The log and the result are without times and without the commit.
    """
    result = result_of(folder)
    for name in ("seconds", "seconds_per_epoch", "commit", "dirty"):
        del result[name]
    log = [{name: value for name, value in row.items() if name != "seconds"} for row in rows(folder)]
    best = folder / "best.pt"
    return (folder / "model.pt").read_bytes(), best.read_bytes() if best.exists() else None, log, result


class Hostile:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


# ---- training in another process, which can be killed ---------------------------------------------------------------

# A process that has torch imported already and forks per run: a test would otherwise wait seconds for each import, and
# most kills would hit a run that has not begun. The first optimizer of a process imports torch._dynamo.
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["train", "torch._dynamo"])


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


def child(argv, crash_at=None, limit=None, **sizes):
    """Runs train.main in a process of its own, with smaller_data(**sizes).

    crash_at: as of crash_at_touch; limit: the largest file, in bytes.
    """
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if crash_at is not None:
        crash_at_touch(crash_at)
    with smaller_data(**sizes):
        sys.exit(train.main(argv))


def start(place, flags, folder="runs", **how):
    """Starts a process that trains the run a/b. Returns the process. how: arguments of `child`."""
    words = f"{flags} --runs {place / folder} --run a/b".split()
    process = forkserver.Process(target=child, args=(words,), kwargs=how)
    process.start()
    return process

"""What several test files need: train a run in this process or another one, kill or stop it, read its folder."""
import contextlib
import json
import signal

import pytest
import torch

import train
from experiments import checkpoints, runs
from experiments.kills import (die_in_the_next_large_write, forkserver, read, rows, smaller_data, start,  # noqa: F401
                               substance)

FACES = "--model keypoint --data faces21 --synthetic --batch-size 64 --rotated-copies 15 --threads 1"
# With the fixture `small_data`: 320 train, 80 valid and 100 test images.
OBJECTS = "--act relu --synthetic --batch-size 20 --threads 1"
BASE = "--model base --data caltech35 --threads 1"
# With the fixture `small_data`: 4 classes; 64 train, 16 valid and 16 test images.
SMALL = f"{BASE} --synthetic --batch-size 16"
CLASS_LOSSES = ("cross-entropy", "square", "mean-square", "triplet-cosine", "triplet-euclid")


@contextlib.contextmanager
def ends_within(seconds):
    """Fails what takes longer than so many seconds, as what waits for a pipe does."""
    def too_long(*_):
        raise AssertionError("it waits")
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


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

    def scripted(settings, model, dataset, indices, stop_reason=None, draws=None, **more):
        if torch.equal(indices, dataset.valid):
            epoch = draws
            return scores[epoch - 1]
        return evaluate(settings, model, dataset, indices, stop_reason, draws, **more)
    monkeypatch.setattr(train.data, "valid_draws", lambda settings, dataset, epoch: epoch)
    monkeypatch.setattr(train, "evaluate", scripted)


# ---- run folders ----------------------------------------------------------------------------------------------------

def result_of(folder):
    """Returns the content of a run's result.json."""
    return read(folder / "result.json")


def weights(folder, name="model.pt"):
    """Returns the final weights of a run, or those of another file."""
    return torch.load(folder / name, weights_only=True)


def same(some, others):
    """Are two state dicts equal, bit for bit?"""
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def put_weights(content, folder, name="model.pt"):
    """Gives a finished run other weights, as if it had ended with them: result.json speaks of them, too."""
    digest = checkpoints.save(content, folder / name)
    result = result_of(folder)
    result["weights"][name] = digest
    (folder / "result.json").write_text(json.dumps(result))


def change_args(folder, remove=(), **changes):
    """Changes a run's args.json, as another version may have written it."""
    args = {name: value for name, value in read(folder / "args.json").items() if name not in remove}
    (folder / "args.json").write_text(json.dumps({**args, **changes}))


class Hostile:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")

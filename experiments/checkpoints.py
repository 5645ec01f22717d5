"""Files of tensors: a run's weights and checkpoints. They are written whole, checked when read, and never executed.

A file of torch.save is a zip that holds a CRC-32 of each of its parts. torch.load does not compare them; `read` does,
so that a bit that has flipped on a disk is found. A finished run's result.json has the SHA-256 of its weights, too.
"""
import dataclasses
import hashlib
import io
import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch

from experiments import runs

WEIGHTS = ("model.pt", "best.pt")  # final weights, and those of the best valid epoch
CHECKPOINTS = ("checkpoint.pt", "checkpoint.1.pt")  # the newest one and the one before


class Unusable(Exception):
    """A file of tensors that cannot be used. The message names it and says what it is."""


@dataclasses.dataclass
class State:
    """What changes while a run trains. A checkpoint holds all of it, and the net."""

    optimizer: torch.optim.Optimizer
    scheduler: object  # of the learning rate; None: it is constant
    switched: bool = False  # has --switch-after happened?
    epoch: int = 0  # epochs done
    steps: int = 0  # steps done in these epochs
    step: int = 0  # steps done in the epoch under way
    seconds: float = 0.0  # spent on the epoch under way before the run was stopped
    tallies: dict = None  # of the epoch under way: loss, L2 term, correct and left out, a float32 vector (steps,) each
    rows: list = dataclasses.field(default_factory=list)  # the log
    norm: float = None  # of the last gradient of the epoch under way, once all its steps are done
    best: dict = None  # score, epoch, metrics and weights of the best valid epoch


# ---- writing --------------------------------------------------------------------------------------------------------

def save(content, path):
    """Writes what torch.save makes of `content` atomically. Returns its SHA-256. Raises OSError on a full disk."""
    buffer = io.BytesIO()  # torch hides a full disk behind a RuntimeError where it writes the file itself
    torch.save(content, buffer)
    runs.write_atomically(buffer.getbuffer(), path)
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def save_checkpoint(folder, model, state):
    """Writes all that is needed to go on: the state of a run, its net, and where the random numbers are.

    state: an object with an optimizer, a scheduler (or None) and whatever else torch.save can write. The checkpoint
    before this one is kept as checkpoint.1.pt, should this one not survive.
    """
    content = {**vars(state), "model": model.state_dict(), "optimizer": state.optimizer.state_dict(), "scheduler": None,
               "rng": torch.get_rng_state(), "cuda_rng": None}
    if state.scheduler is not None:
        content["scheduler"] = state.scheduler.state_dict()
    device = next(model.parameters()).device
    if device.type == "cuda":
        content["cuda_rng"] = torch.cuda.get_rng_state(device)
    newest, before = (folder / name for name in CHECKPOINTS)
    if newest.exists():
        os.replace(newest, before)
    save(content, newest)


# ---- reading --------------------------------------------------------------------------------------------------------

def read(file):
    """Returns what a file of torch.save holds, on the CPU. Nothing in it is executed.

    Raises Unusable where there is no such file, or where it is broken, something else, or a pickle that is more than
    tensors, numbers, texts, lists and dicts.
    """
    file = Path(file)
    if not file.is_file():
        raise Unusable(f"{file} is no regular file" if file.exists() else f"{file} is not there")
    try:
        if zipfile.is_zipfile(file):  # older versions of torch wrote no zip, and no CRC-32
            with zipfile.ZipFile(file) as parts:
                broken = parts.testzip()
            if broken:
                raise Unusable(f"{file} has changed since it was written: the CRC-32 of {broken} is another")
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as e:
        raise Unusable(f"{file} cannot be read ({e.strerror or e})") from e
    except pickle.UnpicklingError as e:
        wanted = re.search(r"GLOBAL (\S+)", str(e))
        if wanted:
            raise Unusable(f"{file} wants to run code ({wanted[1]}) and was not opened: weights need none") from e
        raise Unusable(f"{file} holds no weights, or only a part of them") from e
    except (MemoryError, Unusable):
        raise
    except Exception as e:  # whatever zipfile and torch make of a torn file or of another one
        raise Unusable(f"{file} holds no weights, or only a part of them") from e


def read_weights(folder, name):
    """Returns the weights of a finished run, {name: tensor}: `name` is one of WEIGHTS.

    Raises Unusable as `read` does, and where they are not those that its result.json speaks of.
    """
    file = Path(folder, name)
    weights = read(file)
    digests = runs.read_result(folder).get("weights") or {}  # older versions wrote none
    if name in digests and digests[name] != hashlib.sha256(file.read_bytes()).hexdigest():
        raise Unusable(f"{file} is not the file that its result.json was written for: the SHA-256 is another")
    return weights


def load_weights(model, weights, file):
    """Gives a net these weights, {name: tensor}, of a file. Raises Unusable as check_weights does, before it begins."""
    check_weights(model, weights, file)
    model.load_state_dict(weights)


def check_weights(model, weights, file):
    """Raises Unusable where these are no weights {name: tensor}, or those of another net. file: where they are from."""
    if not isinstance(weights, dict) or not all(torch.is_tensor(tensor) for tensor in weights.values()):
        raise Unusable(f"{file} holds no weights, but something else")
    ours = model.state_dict()
    for name in [*ours, *weights]:
        if name not in weights or name not in ours:
            where = "missing" if name not in weights else "one too many"
            raise Unusable(f"{file} holds the weights of another net: {name} is {where}")
        if weights[name].shape != ours[name].shape or weights[name].is_complex():
            theirs, here = ("x".join(map(str, tensor.shape)) or "a number" for tensor in (weights[name], ours[name]))
            raise Unusable(f"{file} holds the weights of another net: {name} is {theirs} there and {here} here")


# ---- going on -------------------------------------------------------------------------------------------------------

def load_checkpoint(folder, model, state, settings, second_optimizer):
    """Brings model, state and random numbers to where the newest usable checkpoint has them, if there is one.

    second_optimizer(): makes the optimizer of a run that has switched. Nothing in a checkpoint is executed. Raises
    BadInput where there are checkpoints and none can be used.
    """
    first_optimizer = state.optimizer
    files = [folder / name for name in CHECKPOINTS if (folder / name).exists()]
    for number, file in enumerate(files, 1):
        try:
            content = read(file)
            check(content, state, settings, file)
            if content["best"]:
                check_weights(model, content["best"]["weights"], file)
            load_weights(model, content.pop("model"), file)
            state.optimizer = second_optimizer() if content["switched"] else first_optimizer
            load_optimizer(state.optimizer, content.pop("optimizer"))
            schedule = content.pop("scheduler")
            if schedule:
                # A run that was stopped while an epoch was scored goes on with the scheduler's step, of which torch
                # says that it should follow a step of the optimizer.
                warnings.filterwarnings("ignore", "Detected call of .lr_scheduler.step")
                state.scheduler.load_state_dict(schedule)
            torch.set_rng_state(content.pop("rng"))
            cuda_rng = content.pop("cuda_rng")
            if cuda_rng is not None and settings.device.startswith("cuda"):
                torch.cuda.set_rng_state(cuda_rng, settings.device)
            content["tallies"] = {name: row.to(settings.device) for name, row in content["tallies"].items()}
            vars(state).update(content)
            return
        except Unusable as e:
            reason = str(e)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as e:  # of an optimizer's state, say
            reason = f"{file} is no checkpoint of this run ({type(e).__name__}: {e})"
        runs.say(folder, reason + ("; the one before it is used" if number < len(files) else ""))
    if files:
        raise runs.BadInput(f"No checkpoint in {folder} can be used. Train anew with --restart: this folder is kept.")


def check(content, state, settings, file):
    """Raises Unusable unless this is what save_checkpoint writes of such a state. Older tallies get their names.

    What is in there is used much later, in the log or at the end of an epoch: it has to be found out here.
    """
    def refuse(wrong, what):
        if wrong:
            raise Unusable(f"{file} is no checkpoint of this run: {what}")

    refuse(not isinstance(content, dict), "it is no dict")
    lacks = ({*vars(state)} | {"model", "optimizer", "scheduler", "rng", "cuda_rng"}) - {*content, "norm"}
    refuse(lacks, f"it lacks {', '.join(sorted(lacks))}")
    refuse(content.keys() - {*vars(state), "model", "rng", "cuda_rng"}, "it holds more than it should")
    wrong = runs.wrong_with_progress(content)
    refuse(wrong, wrong)
    refuse(content["epoch"] > settings.epochs, f"its epoch {content['epoch']} comes after the last one")
    refuse(content["switched"] and not settings.switch_after, "its optimizer was switched")
    tallies = content["tallies"]
    if isinstance(tallies, torch.Tensor):  # the rows of older checkpoints have no names
        loss, counted, penalty = tallies
        tallies = {"loss": loss, "penalty": penalty, "correct": counted, "left_out": counted.clone()}
        content["tallies"] = tallies
    refuse(not isinstance(tallies, dict) or tallies.keys() != {"loss", "penalty", "correct", "left_out"}
           or not all(torch.is_tensor(row) and row.dim() == 1 and len(row) >= content["step"]
                      for row in tallies.values()), "its tallies are none")


def load_optimizer(optimizer, content):
    """Gives an optimizer the content of its state_dict; Adam's counts of steps stay where it wants them.

    Each buffer gets the memory layout of its parameter, which may be another one than when it was saved: fused
    optimizers walk through both as they lie in memory. Raises ValueError for the state of another net's optimizer.
    """
    optimizer.load_state_dict(content)
    for parameter, buffers in optimizer.state.items():
        for name, buffer in buffers.items():
            if not torch.is_tensor(buffer) or not buffer.dim():
                continue
            if buffer.shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer is {tuple(buffer.shape)}, not {tuple(parameter.shape)}")
            buffers[name] = torch.empty_like(parameter, requires_grad=False).copy_(buffer)

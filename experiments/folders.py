"""Reads what stands in a run folder, and finds out at once what is broken in it: one sentence names the file.

    python plots.py curves keypoints/adam        # reads a log, a result and settings, and says which of them is broken

Whoever reads calls these functions by way of runs.py, which writes what is read here. Everything that readers rely on
is checked in this place: that a file is one, that it is strict JSON, which fields there are and what is in them. Fields
that came with a later version may be missing. Nothing but Python is needed.
"""
import argparse
import json
import math
import os
import re
import stat
from pathlib import Path

COLUMNS = ("epoch", "lr", "train_loss", "train_acc", "left_out", "penalty", "tail_loss", "valid_loss", "valid_acc",
           "test_loss", "test_acc", "grad_norm", "seconds")
# All files that a run opens by these names. None of them may be a folder, or a pipe, which would be waited for.
FILES = ("args.json", "flags.txt", "train.log", "log.jsonl", "failed.txt", "checkpoint.pt", "checkpoint.1.pt",
         "model.pt", "best.pt", "result.json")
ANEW = "Train the run anew with --restart, which keeps its folder aside."
OF_LOG = f"A run that goes on writes its log anew; if it is finished: {ANEW[0].lower()}{ANEW[1:]}"


class BadInput(Exception):
    """Flags, data or files that cannot be used. The message says what is wrong and how to mend it."""


# ---- files ----------------------------------------------------------------------------------------------------------

def content_of(path, mend=ANEW):
    """The bytes of a regular file, None where nothing has this name. Nothing is waited for, as a pipe would be.

    Raises BadInput, with the sentence `mend`, for whatever else has this name, and where it cannot be read.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except NotADirectoryError:
        return None
    except FileNotFoundError:
        if os.path.islink(path):
            raise BadInput(f"{path} is a link to a file that is not there. {mend}") from None
        return None
    except OSError as e:
        raise BadInput(f"{path} cannot be read ({e.strerror}). {mend}") from e
    try:
        kind = os.fstat(number).st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "no regular file"
            raise BadInput(f"{path} is {what}. {mend}")
        with open(number, "rb", closefd=False) as file:
            return file.read()
    except OSError as e:
        raise BadInput(f"{path} cannot be read ({e.strerror}). {mend}") from e
    finally:
        os.close(number)


def text_of(path, mend=ANEW):
    """The text of a file, "�" for bytes that are none, and None where there is no file. Raises BadInput as above."""
    content = content_of(path, mend)
    return None if content is None else content.decode(errors="replace")


def check_folder(folder):
    """Raises BadInput where what should be a run folder is something else. There may be nothing."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        what = "a link to nothing" if os.path.islink(folder) else "a file"
        raise BadInput(f"{folder} is {what}, not the folder of a run. {ANEW}")


def check_files(folder):
    """Raises BadInput where a run folder has a folder, a pipe or a link to nothing in place of one of its files."""
    check_folder(folder)
    for name in FILES:
        file = Path(folder, name)
        if os.path.lexists(file) and not file.is_file():
            what = "a folder" if file.is_dir() else "a link to nothing" if file.is_symlink() else "no regular file"
            raise BadInput(f"{file} is {what}. {ANEW}")


# ---- JSON -----------------------------------------------------------------------------------------------------------

def parsed(content):
    """What strict JSON, bytes, holds. Raises ValueError for anything else, and for numbers and texts out of reach.

    Python would also take NaN, numbers such as 1e999, which is infinite, and half characters, which nothing can print.
    """
    def refuse(name):
        raise ValueError(f"{name} is no number of JSON")

    def finite(text):
        return float(text) if math.isfinite(float(text)) else refuse(text[:20])

    try:
        found = json.loads(content.decode("utf-8-sig"), parse_constant=refuse, parse_float=finite)
        json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found


def read_object(path, mend=ANEW):
    """The object in a JSON file, None where there is no file. Raises BadInput, with the sentence `mend`, if broken."""
    content = content_of(path, mend)
    return None if content is None else object_in(content, path, mend)


def read_objects(path, mend, find_wrong=None):
    """The objects in a file that has one a line, none where there is no file. Raises BadInput, as read_object does.

    It also does for a line in whose object find_wrong(object), if given, finds something: that is no record.
    """
    lines = (content_of(path, mend) or b"").split(b"\n")
    found = {f"{path}, line {number}": line for number, line in enumerate(lines, 1) if line.strip()}
    found = {place: object_in(line, place, mend) for place, line in found.items()}
    for place, content in found.items():
        wrong = find_wrong(content) if find_wrong else ""
        if wrong:
            raise BadInput(f"{place} is no record: {wrong}. {mend}")
    return list(found.values())


def object_in(content, place, mend):
    """The object in JSON, bytes. place: whence it is, for the message of BadInput."""
    try:
        found = parsed(content)
    except ValueError as e:
        raise BadInput(f"{place} is not JSON ({e}). {mend}") from e
    if not isinstance(found, dict):
        raise BadInput(f"{place} is not a JSON object. {mend}")
    return found


def read_json(path):
    """The object in a JSON file that is none of a run's, {} where there is no file. Raises BadInput if it is broken."""
    return read_object(path, "Move it away.") or {}


# ---- what fields hold -----------------------------------------------------------------------------------------------

def is_text(x):
    return isinstance(x, str)


def is_truth(x):
    return isinstance(x, bool)


def is_count(x):
    return type(x) is int and 0 <= x < 2**53


def is_number(x):
    return type(x) is float or type(x) is int and abs(x) < 2**53


def is_object(x):
    return isinstance(x, dict)


def is_list(x):
    return isinstance(x, list)


def is_counts(x):
    return isinstance(x, list) and all(map(is_count, x))


def is_matrix(x):
    """Rows of counts, as many as each has columns, of one image at least?"""
    if not isinstance(x, list) or not all(is_counts(row) and len(row) == len(x) for row in x):
        return False
    return sum(map(sum, x)) > 0


def or_none(kind):
    """The same kind, or null."""
    def is_kind_or_none(x):
        return x is None or kind(x)
    WORDS[is_kind_or_none] = f"{WORDS[kind]} or null"
    return is_kind_or_none


def one_of(*texts):
    """One of these texts."""
    def is_one_of(x):
        return is_text(x) and x in texts
    WORDS[is_one_of] = f"one of {', '.join(texts)}"
    return is_one_of


WORDS = {is_text: "a text", is_truth: "true or false", is_count: "a whole number", is_number: "a number",
         is_object: "an object", is_list: "a list", is_counts: "a list of whole numbers",
         is_matrix: "a square of counts"}

# Fields that every version wrote, and what they hold. A name with a question mark may be missing.
ARGS = {"model": is_text, "data": is_text, "data_dir": is_text, "run": is_text, "seed": is_count, "epochs": is_count,
        "batch_size": is_count, "lr": is_number, "threads": is_count, "synthetic": is_truth, "fingerprint": is_text,
        "dropped?": or_none(is_counts), "max_steps?": or_none(is_count), "early_stop?": is_count, "bf16?": is_truth,
        "deterministic?": is_truth, "protocol?": is_text, "init_digest?": or_none(is_text)}
RESULT = {"status": one_of("finished", "diverged"), "run": is_text, "seed": is_count, "epochs": is_count,
          "flags": is_text, "metrics": is_object, "data": is_object, "versions": is_object,
          "test_weights": one_of("final", "best", "none"), "test_evaluations": is_count, "params": is_count,
          "steps": is_count, "max_steps": or_none(is_count), "threads": is_count, "seconds": is_number,
          "seconds_per_epoch": is_number, "init_flags?": or_none(is_text), "init_digest?": or_none(is_text),
          "precision?": is_text, "weights?": is_object, "commit?": or_none(is_text), "dirty?": or_none(is_truth)}
METRICS = {"train_loss": or_none(is_number), "train_acc": or_none(is_number), "valid_loss": or_none(is_number),
           "valid_acc": or_none(is_number), "best_epoch": or_none(is_count), "best_valid_loss": or_none(is_number),
           "best_valid_acc": or_none(is_number), "test_loss": or_none(is_number), "test_acc": or_none(is_number)}
OF_DATA = {"name": is_text, "source": is_text, "fingerprint": is_text, "synthetic": is_truth, "train": is_count,
           "valid": is_count, "test": is_count, "label_noise?": is_number, "dropped?": is_count,
           "dropped_noisy?": is_count}
OF_CLEANED_DATA = {"label_noise": is_number, "dropped": is_count, "dropped_noisy": is_count}
VERSIONS = {"python": is_text, "torch": is_text, "torchvision": is_text, "device": is_text}
DESCRIPTION = {"confusion": is_object, "silhouette": is_object, "spread": is_number}
ROW = {"epoch": is_count, **{f"{column}?": or_none(is_number) for column in COLUMNS if column != "epoch"}}

# Of a checkpoint. What its rows have is asked for when the run is over.
ROW_OF_CHECKPOINT = {**ROW, "seconds": is_number, **{f"{part}_{metric}": or_none(is_number)
                                                     for part in ("train", "valid") for metric in ("loss", "acc")}}
PROGRESS = {"switched": is_truth, "epoch": is_count, "steps": is_count, "step": is_count, "seconds": is_number,
            "rows": is_list, "norm?": or_none(is_number), "best": or_none(is_object)}
BEST = {"score": is_number, "epoch": is_count, "valid_loss": or_none(is_number), "valid_acc": or_none(is_number),
        "weights": is_object}


def wrong_with(content, fields, of=""):
    """What is wrong with an object that is to have these fields, "it lacks epochs" say, or "".

    of: how the object is called, if it stands in another one: "metrics.".
    """
    for field, kind in fields.items():
        name = field.removesuffix("?")
        if name not in content:
            if name == field:
                return f"it lacks {of}{name}"
        elif not kind(content[name]):
            return f"its {of}{name} is not {WORDS[kind]}"
    return ""


def wrong_with_result(result):
    """What is wrong with the content of result.json, or ""."""
    wrong = (wrong_with(result, RESULT) or wrong_with(result["metrics"], METRICS, "metrics.")
             or wrong_with(result["metrics"], dict.fromkeys(result["metrics"], METRICS["test_acc"]), "metrics.")
             or wrong_with(result["data"], OF_DATA, "data.") or wrong_with(result["versions"], VERSIONS, "versions.")
             or wrong_with(result.get("weights", {}), dict.fromkeys(result.get("weights", {}), is_text), "weights."))
    if not wrong and "--clean-by" in result["flags"]:
        wrong = wrong_with(result["data"], OF_CLEANED_DATA, "data.")
    if not wrong and result["status"] == "finished" and result["test_evaluations"]:
        wrong = wrong_with(result["metrics"], {"test_acc": is_number}, "metrics.")
    return wrong


def wrong_with_description(description):
    """What is wrong with the content of described.json, or ""."""
    return (wrong_with(description, DESCRIPTION)
            or wrong_with(description["confusion"], {"train": is_matrix, "test": is_matrix}, "confusion.")
            or wrong_with(description["silhouette"], {"1-5": METRICS["test_acc"], "3,5": METRICS["test_acc"]},
                          "silhouette."))


def wrong_with_rows(rows, fields=ROW):
    """What is wrong with the epochs of a log: (which of them, counted from 1, what it is), or (None, "")."""
    for number, row in enumerate(rows, 1):
        wrong = "it is no object" if not is_object(row) else wrong_with(row, fields)
        if not wrong and row["epoch"] != number:
            wrong = f"it is of epoch {row['epoch']} where {number} is due"
        if wrong:
            return number, wrong
    return None, ""


def wrong_with_progress(state):
    """What is wrong with a checkpoint, besides its tensors, or "". state: its content, a dict that has all parts."""
    wrong = wrong_with(state, PROGRESS)
    if wrong:
        return wrong
    which, wrong = wrong_with_rows(state["rows"], ROW_OF_CHECKPOINT)
    if wrong:
        return f"its log, line {which}: {wrong}"
    if len(state["rows"]) != state["epoch"]:
        return "its log has another number of epochs"
    best = state["best"]
    if best is None:
        return ""
    wrong = wrong_with(best, BEST, "best.")
    if not wrong and best["epoch"] > state["epoch"]:
        return "its best epoch is still to come"
    return wrong


def wrong_setting(parser, args):
    """Which of these settings, {name: value}, the flags of an argparse parser could not have given, or "".

    A setting that is null is of a flag that the net does not have. Settings without a flag are not looked at.
    """
    for action in parser._actions:
        value = args.get(action.dest)
        if value is not None and not could_give(action, value):
            return f"its {action.dest} is {str(value)[:40]!r}, which --{action.dest.replace('_', '-')} does not take"
    return ""


def could_give(action, value):
    """Could a flag have given this value?"""
    if action.nargs == 0:
        return is_truth(value)
    if is_truth(value) or is_object(value):
        return False
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        given = action.type(text) if action.type else text
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return False
    if isinstance(given, tuple):
        given = list(given)
    return given == value and (action.choices is None or given in action.choices)


# ---- the files of a run ---------------------------------------------------------------------------------------------

def read_checked(path, find_wrong, mend=ANEW):
    """The object in a JSON file in which find_wrong(object) finds nothing; None for no file. Else raises BadInput."""
    found = read_object(path, mend)
    wrong = "" if found is None else find_wrong(found)
    if wrong:
        raise BadInput(f"{path} is broken: {wrong}. {mend}")
    return found


def read_args(folder):
    """The settings in a folder's args.json, {} where there is none. Raises BadInput where they are broken."""
    check_folder(folder)
    return read_checked(Path(folder, "args.json"), lambda args: wrong_with(args, ARGS)) or {}


def read_result(folder):
    """The content of a folder's result.json, {} where there is none. Raises BadInput where it is broken."""
    check_folder(folder)
    return read_checked(Path(folder, "result.json"), wrong_with_result) or {}


def read_log(path):
    """Returns log.jsonl as {column: [value per epoch]}, with empty columns where there is no file.

    A last line that was cut off while it was written is ignored; anything else broken raises BadInput with its line.
    """
    rows, numbers = [], []
    lines = (content_of(path, OF_LOG) or b"").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parsed(line)
        except ValueError as e:
            if number == len(lines):  # only a line that was cut off has no newline behind it
                break
            raise BadInput(f"{path}, line {number}: not a line of a log: {e}. {OF_LOG}") from None
        rows.append(row)
        numbers.append(number)
    which, wrong = wrong_with_rows(rows)
    if wrong:
        raise BadInput(f"{path}, line {numbers[which - 1]}: not a line of a log: {wrong}. {OF_LOG}")
    return {column: [row.get(column) for row in rows] for column in COLUMNS}


def read_run(folder):
    """Returns the record of a run folder, or None where nothing has been logged yet.

    A record is the content of result.json and, under "curves", log.jsonl by column. A run without result.json has the
    status "unfinished". Raises BadInput, naming the file, where something is broken, or of another run.
    """
    folder = Path(folder)
    result, args = read_result(folder), read_args(folder)
    curves = read_log(folder / "log.jsonl")
    if result:
        check_owner(folder, "result.json", result)
        return {**result, "curves": curves}
    if not curves["epoch"]:
        return None
    return {"status": "unfinished", "run": "/".join(folder.parts[-3:-1]), "seed": seed_of(folder), "metrics": {},
            "epochs": len(curves["epoch"]), "curves": curves,
            "data": {"name": args.get("data"), "synthetic": bool(args.get("synthetic"))}}


def seed_of(folder):
    """The seed in the name of a run folder, seed3 or, put aside, seed3.1. Raises BadInput for another name."""
    match = re.fullmatch(r"seed(\d{1,15})(\.\d+)?", Path(folder).name)
    if not match:
        raise BadInput(f"{folder} is no folder of a run and seed, such as runs/keypoints/adam/seed0.")
    return int(match[1])


def check_owner(folder, name, content):
    """Raises BadInput where a file of a run folder, a link or a copy, say, is of another run or seed."""
    place = os.path.abspath(folder)
    theirs = f"/{content['run']}/seed{content['seed']}"
    if not re.sub(r"(/seed\d+)\.\d+$", r"\1", place).endswith(theirs):
        raise BadInput(f"{Path(folder, name)} is of {content['run']}, seed {content['seed']}. Move the folder to where "
                       f"it belongs. {ANEW}")

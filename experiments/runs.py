"""The keeper of run folders, runs/REPORT/RUN/seedK/: whole files or none, a lock, logs, identity, status.

    python experiments/runs.py seconds 1h30m                           # 5400
    python experiments/runs.py identity -- --epochs 5 --threads 2      # --epochs 5: what makes a run another one
    python experiments/runs.py once -- --lr 0.1 --flip --lr 0.2        # --lr 0.2 --flip: of a flag the last counts

Whatever reads or writes a run folder does it through this file and, for weights, through checkpoints.py. What is read
is checked in folders.py. Nothing but Python is needed: the Makefile calls this before anything is installed.
"""
import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# What others call by way of this file, too.
from experiments.folders import (ANEW, COLUMNS, BadInput, check_files, check_owner, content_of, is_text, read_args,
                                 read_checked, read_json, read_log, read_objects, read_result, read_run, text_of,
                                 wrong_setting, wrong_with_description, wrong_with_progress)

# Exit codes of train.py, and of the commands that report on its runs.
FINISHED, FAILED, BAD_INPUT, DIVERGED, STOPPED = 0, 1, 2, 3, 75

# The flags that say where and how a run is made, not what it is, and whether each takes a value. Two runs that differ
# only in these are the same run. train.py, the Makefile and the report all ask here.
NOT_IDENTITY = {"--runs": True, "--run": True, "--seed": True, "--data-dir": True, "--weights": True, "--device": True,
                "--threads": True, "--bf16": False, "--stop-after": True, "--stop-at": True, "--save-every": True,
                "--restart": False, "--score": True, "--again": False}
FACTS = ("fingerprint", "dropped", "init_digest")  # args.json holds these too; they are found, not set
FLAGS_FILE = "flags.txt"
DONE = ("done", "diverged")
STATES = (*DONE, "running", "interrupted", "failed", "missing")


class Stopped(Exception):
    """The run stops here and can go on later: a signal, the deadline, or another process holds it."""


# ---- files: whole or not at all -------------------------------------------------------------------------------------

def write_atomically(content, path):
    """Writes bytes to a file such that after a crash either the old file or the whole new one is there.

    A temporary file of this process in the same folder is written, flushed to disk and renamed; then the folder is
    flushed too. Raises OSError, on a full disk for instance, and then leaves the old file and no half of a new one.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(part, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_half_written(folder):
    """Removes what a process was writing into this folder when it was killed. For whoever holds the run's lock."""
    for file in folder.glob("*.tmp"):
        if not file.is_dir():
            file.unlink()


def save_json(content, path):
    """Writes JSON atomically. Raises ValueError for nan and infinity, which strict JSON does not have."""
    write_atomically((json.dumps(content, indent=1, allow_nan=False) + "\n").encode(), path)


# ---- one process a run ----------------------------------------------------------------------------------------------

def lock_file(folder):
    """The lock stands beside the run folder, not in it, so that it stays when an old folder is put aside."""
    return folder.parent / f".{folder.name}.lock"


@contextlib.contextmanager
def locked(folder):
    """Holds a run's lock, which dies with the process.

    Raises Stopped where another process holds it, and BadInput where the folder cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(lock_file(folder), os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)  # a pipe would be waited for
    except IsADirectoryError as e:
        raise BadInput(f"{lock_file(folder)} is a folder, not the lock of a run. Remove it.") from e
    except OSError as e:
        problem = e.strerror or type(e).__name__
        raise BadInput(f"{folder.parent} cannot be made or written ({problem}). Give another --runs.") from e
    with open(lock, "r+b", buffering=0) as lock:
        for attempt in range(5):  # `make status` holds a lock for a moment, to see whether it is held
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 4:
                    raise Stopped(f"another process is training {folder}; try again later") from None
                time.sleep(0.05)
        yield


def is_locked(folder):
    """Is another process training the run of this folder?"""
    try:
        lock = os.open(lock_file(folder), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # it is not there, or nobody can hold it
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def put_aside(folder):
    """Renames a run folder to seedK.1, or the first such name that is free, and returns the new path."""
    number = 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}.{number}")):
        number += 1
    folder.rename(aside)
    return aside


# ---- what one make remembers -----------------------------------------------------------------------------------------

def note(line):
    """Appends a line to the notes of the make that runs this, in the file SAID. Returns the lines that were there.

    Where no make is under way, or its file cannot be written, there are none.
    """
    if not os.environ.get("SAID"):
        return []
    try:
        with open(os.environ["SAID"], "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            lines = file.read().splitlines()
            file.write(line + "\n")
    except OSError:
        return []
    return lines


def complain(program, sentence):
    """Prints what is wrong on stderr, once in a make: data that are missing are missing for thirty runs alike."""
    line = f"{program}: {sentence}"
    in_one_line = " ".join(line.split())
    if in_one_line not in note(in_one_line):
        print(line, file=sys.stderr, flush=True)


# ---- logs -----------------------------------------------------------------------------------------------------------

def say(folder, line):
    """Appends a line to train.log and prints it. It begins with the run's name, since several may share a terminal."""
    line = f"{folder.parent.parent.name}/{folder.parent.name} seed {folder.name.removeprefix('seed')}: {line}"
    with open(folder / "train.log", "a") as f:
        f.write(line + "\n")
    with contextlib.suppress(BrokenPipeError):  # whoever was reading has gone; the training has not
        print(line + "\n", end="", flush=True)  # in one piece, where several runs share a terminal


def append_row(row, folder):
    """Appends an epoch, a dict, to log.jsonl."""
    with open(folder / "log.jsonl", "a") as f:
        f.write(json.dumps(row, allow_nan=False) + "\n")


def epoch_line(row, epochs, parts):
    """An epoch as train.log and the terminal show it. epochs: how many there will be; parts: of train, valid, test."""
    def show(name, scale=1, digits=4):
        value = row[name]
        if value is None:
            return "-"
        return f"{scale * value:.{digits}f}" if value < 1e4 else f"{value:.3g}"

    line = f"epoch {row['epoch']}/{epochs}  lr {row['lr']:g}  loss"
    line += "".join(f" {part} {show(f'{part}_loss')}" for part in parts)
    if row["train_acc"] is not None:
        line += "  acc" + "".join(f" {part} {show(f'{part}_acc', 100, 2)} %" for part in parts)
    return f"{line}  {row['seconds']:.1f} s"


def rewrite_log(rows, folder):
    """Makes log.jsonl hold exactly these epochs: those after the checkpoint it resumes from are trained again."""
    with open(folder / "log.jsonl", "w") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")


# ---- identity -------------------------------------------------------------------------------------------------------

def identity(settings):
    """What makes a run this run: resolved flags {name: value} without NOT_IDENTITY, as JSON would give them back."""
    others = {flag.removeprefix("--").replace("-", "_") for flag in NOT_IDENTITY} | set(FACTS)
    return json.loads(json.dumps({name: value for name, value in settings.items() if name not in others}))


def identity_flags(words):
    """The flags as typed, a list of words, without those of NOT_IDENTITY and their values; returned as one line."""
    kept, skip_value = [], False
    for word in words:
        flag, has_value, _ = word.partition("=")
        if flag in NOT_IDENTITY:
            skip_value = NOT_IDENTITY[flag] and not has_value
        elif skip_value:
            skip_value = False
        else:
            kept.append(word)
    return " ".join(kept)


def each_once(words):
    """The words of a command with each flag once: where it came first, with the value that came last, which counts."""
    flag, groups = "", {"": []}
    for word in words:
        if word.startswith("--"):
            flag = word.partition("=")[0]
            groups[flag] = []
        groups[flag].append(word)
    return " ".join(word for group in groups.values() for word in group)


def name_of(model, typed):
    """The name of a run that was given none: adhoc/, the model and the flags that were typed, {name: value}."""
    words = [model]
    for name in sorted(typed):
        flag = name.replace("_", "-")
        if f"--{flag}" in NOT_IDENTITY or flag == "model":
            continue
        value = typed[name]
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        words.append(flag if value is True else f"{flag}-{value}")
    name = re.sub(r"[^\w.,=-]+", "_", "-".join(words))
    if len(name) > 120:
        name = f"{name[:111]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"adhoc/{name}"


def is_name(name):
    """Is this a name for a run: letters, digits and . , = _ - between slashes, at most 150 each?"""
    return re.fullmatch(r"[\w,=-][\w.,=-]{0,150}(/[\w,=-][\w.,=-]{0,150})*", name) is not None


def same_run(folder, ours, defaults):
    """Was this folder made with the settings `ours`?

    ours, defaults: identities. A folder that an older version made lacks flags that came later: it was made with their
    defaults. It may also have flags that are gone: at a value other than nothing, it is another run.
    """
    theirs = read_args(folder)
    gone = [name for name in identity(theirs) if name not in defaults and name not in ours and theirs[name]]
    made_with = {**defaults, **theirs}
    return not gone and all(made_with.get(name) == value for name, value in ours.items())


def flags_line(folder):
    """The line that decides freshness: a folder's flags as typed and, behind " < ", those of the run it starts from.

    It stands in flags.txt; folders of older versions have the same in result.json. None where neither is there.
    """
    line = text_of(folder / FLAGS_FILE)
    if line is not None:
        return line.rstrip("\n")
    result = read_result(folder)
    if not result:
        return None
    return join_lines(result["flags"], result.get("init_flags"))


def join_lines(flags, start):
    """The line of a run with these flags that starts from a run with the line `start`, or from none (None)."""
    return flags if start is None else f"{flags} < {start}"


def write_flags_line(line, folder):
    """Writes flags.txt, unless it holds this line already."""
    content = (line + "\n").encode()
    if content_of(folder / FLAGS_FILE) != content:
        write_atomically(content, folder / FLAGS_FILE)


def adopt(folders):
    """Gives finished folders of older versions a flags.txt, made from result.json: the Makefile compares that file."""
    for folder in folders:
        try:
            line = flags_line(folder)
            if line is not None:
                write_flags_line(line, folder)
        except (BadInput, OSError) as e:
            print(f"runs.py: {folder} is taken for stale: {e}", file=sys.stderr)


def begin(folder, args, line, same):
    """Makes a run folder, or goes on in the one that is there. Returns the content of its args.json.

    args: the resolved flags and what was found out, for args.json; line: for flags.txt. same: was the folder made with
    the same settings? If not, it is put aside. Raises BadInput where the data are no longer those it began with, or
    something in the folder is no file that could be gone on with.
    """
    if is_used(folder) and not same:
        aside = put_aside(folder)
        print(f"{folder} was made with other flags or is to be made anew; the old one is kept as {aside}")
    check_files(folder)
    folder.mkdir(exist_ok=True)
    (folder / "failed.txt").unlink(missing_ok=True)
    remove_half_written(folder)
    old = read_args(folder)
    if not old:
        save_json(args, folder / "args.json")
        write_flags_line(line, folder)
        return args
    check_owner(folder, "args.json", old)
    if old["fingerprint"] != args["fingerprint"]:
        raise BadInput(f"The data are not those that {folder} began with (fingerprint {old['fingerprint']}, now "
                       f"{args['fingerprint']}). Put the old ones back, or train anew with --restart.")
    write_flags_line(line, folder)
    return old


def is_used(folder):
    """Is there anything of a run, or in its place? A run that was killed before it began leaves half a file at most."""
    if not folder.is_dir():
        return os.path.lexists(folder)
    return any(not file.name.endswith(".tmp") for file in folder.iterdir())


def finished_before(folder, flags, line):
    """The exit code of a run that is finished, or None. flags, line: as typed now, for result.json and flags.txt.

    The same settings may have been typed in other words: then these are what the Makefile is to find.
    """
    check_files(folder)
    result = read_result(folder)
    if not result:
        return None
    check_owner(folder, "result.json", result)
    read_log(folder / "log.jsonl")  # if that is broken, no command can show this run
    remove_checkpoints(folder)  # a kill just after the result was written leaves them
    if result["flags"] != flags:
        save_json({**result, "flags": flags}, folder / "result.json")
    _, has_start, start = (flags_line(folder) or "").partition(" < ")
    if has_start and " < " not in line:  # the run that it started from is not here
        line = join_lines(line, start)
    write_flags_line(line, folder)
    print(f"{folder} was {result['status']} before, after {result['epochs']} epochs; --restart trains it anew")
    return DIVERGED if result["status"] == "diverged" else FINISHED


def fail(folder, error):
    """Leaves the reason why a run died in failed.txt, which its next start removes."""
    with contextlib.suppress(OSError):  # the disk may be what failed
        words = "".join(traceback.format_exception(error))
        (folder / "failed.txt").write_text(f"{type(error).__name__}: {error}\n\n{words}")


def remove_checkpoints(folder):
    """Removes what a finished run no longer needs."""
    for file in folder.glob("checkpoint*"):
        if not file.is_dir():
            file.unlink(missing_ok=True)  # another process may be tidying up as well


def finish(folder, result, rows):
    """Writes result.json, last of all, with what the log's rows add up to; says so, and removes the checkpoints."""
    times = [row["seconds"] for row in rows]
    result.update(epochs=len(rows), seconds=round(sum(times), 3), seconds_per_epoch=statistics.median(times))
    save_json(result, folder / "result.json")
    remove_checkpoints(folder)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())  # not in the result, which is always the same
    numbers = ", ".join(f"{name} {x:.4g}" for name, x in result["metrics"].items() if x is not None)
    say(folder, f"{result['status']} at {moment}: {numbers}")


# ---- status ---------------------------------------------------------------------------------------------------------

def state_of(folder, line):
    """Where a run stands: (one of STATES, a word on it). `line` is what flags.txt must hold for the run to count."""
    if is_locked(folder):
        return "running", progress(folder)
    try:
        record, made_with = read_run(folder), flags_line(folder)
        check_files(folder)
    except BadInput as e:
        return "failed", str(e)
    status = record["status"] if record else "unfinished"
    if status != "unfinished" and made_with != line:
        return "missing", "what is there was made with other flags"
    if status == "diverged":
        return "diverged", f"in epoch {record['epochs']}"
    if status == "finished":
        return "done", ""
    if (folder / "failed.txt").exists():
        return "failed", printable(text_of(folder / "failed.txt").partition("\n")[0])
    if folder.exists():
        return "interrupted", progress(folder)
    return "missing", ""


def printable(text):
    """A text as a terminal shows it: a broken file may hold anything."""
    return "".join(letter if letter.isprintable() else "�" for letter in text[:300])


def progress(folder):
    """How far a run has come and how long it will still take: "after epoch 12 of 250, about 35 min left".

    As long as its epochs took so far; with --early-stop "at most" so long. Nobody knows where --max-steps cuts it off.
    """
    try:
        times, args = read_log(folder / "log.jsonl")["seconds"], read_args(folder)
    except BadInput as e:
        return str(e)
    words = f"after epoch {len(times)}"
    if not args.get("epochs") or args.get("max_steps"):
        return words
    words += f" of {args['epochs']}"
    left = time_left(times, args["epochs"])
    if left is None:
        return words
    return f"{words}, {'at most' if args.get('early_stop') else 'about'} {left} left"


def time_left(times, epochs):
    """How long a run of so many epochs will still take, in words, by the seconds of those that are done; else None."""
    times = [seconds for seconds in times if seconds]
    if not times or len(times) >= epochs:
        return None
    return duration((epochs - len(times)) * statistics.median(times))


def duration(seconds):
    """A time in words, in whole minutes and at least one: "35 min", "3 h 20 min"."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def seconds(text):
    """A time such as 90s, 55m, 1h30m or 90 in seconds, for argparse: raises its ArgumentTypeError for anything else.

    At most nine digits each, thirty years of seconds: the shell and the clock count no further than 2^63.
    """
    match = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", text)
    if not text or not match:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 55m or 1h30m, not {text}")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


# ---- when to stop, and who made this --------------------------------------------------------------------------------

def stop_at_once(program):
    """Until `watch` is called, SIGTERM and SIGINT end this process with exit code 75: there is nothing to save yet."""
    def handle(number, _):
        name = signal.Signals(number).name
        os.write(2, f"{program}: stopped by {name} before it began; the same command begins again\n".encode())
        os._exit(STOPPED)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def watch(started, stop_after, stop_at):
    """Takes SIGTERM and SIGINT from now on, and returns stop_reason(): why the run is to stop now, or None.

    stop_after: seconds after `started` (of time.monotonic()); stop_at: seconds since 1970; None: no deadline. A signal
    is acted upon at the next step; one more after five seconds ends the process at once. A second one that comes sooner
    is the same wish again: `timeout make` signals the whole process group, and make its children.
    """
    caught, first, deadline = [], math.inf, math.inf
    if stop_after is not None:
        deadline = started + stop_after
    if stop_at is not None:
        deadline = min(deadline, time.monotonic() + stop_at - time.time())

    def handle(number, _):
        nonlocal first
        now = time.monotonic()
        if now > first + 5:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        first = min(first, now)
        caught.append(signal.Signals(number).name)

    def stop_reason():
        if caught:
            return caught[0]
        if time.monotonic() >= deadline:
            return "the deadline"
        return None

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop_reason


def commit_of(folder):
    """{"commit", "dirty"}: a folder's git commit and whether tracked files were changed; None where there is no git."""
    def git(*words):
        try:
            done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None
    status = git("status", "--porcelain", "--untracked-files=no")
    dirty = None if status is None else bool(status)
    return {"commit": git("rev-parse", "HEAD"), "dirty": dirty}


def made_with(device):
    """Of a torch device and of this project's folder: {"versions": {...}, "commit", "dirty"}, for a result."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    versions = {"python": platform.python_version(), "torch": torch.__version__,
                "torchvision": importlib.metadata.version("torchvision"), "device": name}
    return {"versions": versions, **commit_of(Path(__file__).parent)}


def keep_freed_memory():
    """On a CPU: keeps freed memory for the next step. Does nothing where the C library is not glibc.

    glibc returns large blocks to the kernel and gets them again page by page, which takes up to half of the time of a
    net with large activations.
    """
    mmap_max, trim_threshold = -4, -1  # their numbers in malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def cpu_name():
    """The processor's name, or its kind where /proc/cpuinfo does not tell."""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
        if found:
            return found[1]
    return platform.machine()


def main(argv=None):
    """What the Makefile asks: one command and its words; prints one line. Returns an exit code."""
    command, *words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["--"]:
        words = words[1:]
    if command == "identity":
        print(identity_flags(words))
    elif command == "once":
        print(each_once(words))
    elif command == "adopt":
        adopt(map(Path, words))
    elif command == "seconds":
        try:
            print(seconds(words[0]))
        except argparse.ArgumentTypeError:
            return BAD_INPUT
    else:
        print(f"runs.py: {command} is none of seconds, identity, once, adopt", file=sys.stderr)
        return BAD_INPUT
    return FINISHED


if __name__ == "__main__":
    sys.exit(main())

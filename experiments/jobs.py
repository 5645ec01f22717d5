"""How many runs at a time a machine takes, how many are left and until when, and waiting for another make's run.

    python experiments/jobs.py machine 1         # cores, and runs at a time if there were one GPU at most: "8 8"

The Makefile asks these things before anything is installed: nothing here needs a package.
"""
import glob
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from experiments import runs

MEMORY_OF_A_RUN = 2 * 2**30  # bytes: torch, a data set and a small net take half of it


# ---- the machine ----------------------------------------------------------------------------------------------------

def cores(cgroup="/sys/fs/cgroup"):
    """The number of cores that this process may use, at least 1.

    In a container that is granted the time of four cores that is four, however many the machine has. cgroup: the
    folder in which Linux says what is granted.
    """
    count = len(os.sched_getaffinity(0))
    quota = words_of(Path(cgroup, "cpu.max"))  # microseconds in each period, or "max", and the period
    if len(quota) == 2 and quota[0] != "max":
        count = min(count, int(quota[0]) // int(quota[1]))
    return max(1, count)


def free_memory(meminfo="/proc/meminfo", cgroup="/sys/fs/cgroup"):
    """Bytes that can be had without pushing others out, in a container at most those it is still granted."""
    words = words_of(meminfo)
    free = 1024 * int(words[words.index("MemAvailable:") + 1])
    limit, used = words_of(Path(cgroup, "memory.max")), words_of(Path(cgroup, "memory.current"))
    if limit and used and limit != ["max"]:
        statistic = words_of(Path(cgroup, "memory.stat"))
        of_files = int(statistic[statistic.index("file") + 1])  # cached, and given back when it is wanted
        free = min(free, int(limit[0]) - int(used[0]) + of_files)
    return free


def words_of(file):
    """The words of a file, none where it is not there."""
    try:
        return Path(file).read_text().split()
    except OSError:
        return []


def has_gpu():
    """Has this machine a GPU of NVIDIA's that may be used?"""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):  # hidden on purpose
        return False
    return bool(glob.glob("/dev/nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


def is_gpu(device):
    """Is this the name of a GPU, as records have it? Those of NVIDIA begin with its name or, older ones, a family's."""
    return device.startswith(("NVIDIA", "Tesla", "GeForce", "Quadro"))


def runs_at_a_time(gpus):
    """How many runs to train at a time: one for each of `gpus`; without a GPU as many as cores and memory allow."""
    if gpus > 1 or has_gpu():
        return gpus
    return max(1, min(cores(), free_memory() // MEMORY_OF_A_RUN))


# ---- runs that are left ---------------------------------------------------------------------------------------------

def left(result, began, total, at_once):
    """The line that make prints after a run: how many are left, and until when at this rate; "" where none is due.

    result: the file that the run should have written. A run without one has said why, and gets no line. began: the
    moment when make began with it, in seconds since 1970. total, at_once: the runs of this make, all and at a time.
    """
    now = time.time()
    made = Path(result).exists()
    line = f"ended {max(0, now - began):.0f} {result}" if made else f"ended - {result}"
    ended = [line, *(said for said in runs.note(line) if said.startswith("ended "))]
    count = total - len(ended)
    if not made or count <= 0:
        return ""
    seconds = [said.split()[1] for said in ended]
    mean = statistics.mean(float(of_run) for of_run in seconds if of_run != "-")
    until = now + mean * count / min(at_once, count)
    at_a_time = f", {at_once} at a time" if at_once > 1 else ""
    return f"{count} of {total} runs left{at_a_time}, until about {clock(until, now)} at this rate"


def clock(moment, now):
    """A moment in words, local time: "14:05", or "Tue 4 Aug, 14:05" on another day. Both are seconds since 1970."""
    then, today = time.localtime(moment), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime(f"%a {then.tm_mday} %b, %H:%M", then)


def wait(result, until=None):
    """Waits while another process trains the run that this file will be of; until: seconds since 1970, or None."""
    folder, said = Path(result).parent, False
    while not Path(result).exists() and runs.is_locked(folder):
        if until is not None and time.time() >= until:
            return
        if not said:
            print(f"waits for {folder}, which another process trains", flush=True)
            said = True
        time.sleep(0.5)


def main(argv=None):
    """What the Makefile asks: one command and its words; prints one line or none. Returns an exit code."""
    command, *words = sys.argv[1:] if argv is None else argv
    if command == "machine":
        print(cores(), runs_at_a_time(int(words[0])))
    elif command == "left":
        line = left(words[0], *map(int, words[1:]))
        if line:
            print(line + "\n", end="", flush=True)  # in one piece: several runs may end at the same time
    elif command == "wait":
        wait(words[0], *map(int, words[1:]))
    else:
        print(f"jobs.py: {command} is none of machine, left, wait", file=sys.stderr)
        return runs.BAD_INPUT
    return runs.FINISHED


if __name__ == "__main__":
    sys.exit(main())

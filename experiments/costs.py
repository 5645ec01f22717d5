"""What the runs cost: an order of all runs, the longest first, and a table of core-hours and GPU-minutes.

    python experiments/costs.py order            # the names of all declared runs, the longest first
    python experiments/costs.py order -          # of those on stdin, a line NAME=FLAGS each

A run that was measured on this kind of device, a CPU or a GPU, costs what results/records.jsonl says. Any other is
estimated: from the measured run of the same net and images that is most like it or, without one, from what a step of
its net takes by results/bench.json. `make report` writes the table to results/costs.md. An estimate says so there.

Needs no torch: make asks for the order before it trains.
"""
import functools
import os
import statistics
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from experiments import declarations, jobs, runs

RESULTS = Path(__file__).resolve().parent.parent / "results"
# Train images by data set and split. The first of each is what a run has that names no split.
IMAGES = {"cifar10": {"random": 40000, "last": 40000, "all": 50000}, "faces21": {"photograph": 2252, "leak": 4456},
          "caltech35": {"given": 2100, "train+addition": 2800, "all": 3150, "val+addition": 1050}}
# The flags that change how long a step takes, or of how many images it is.
COSTLY = ("model", "data", "side", "channels", "kernels", "convs", "stem", "freeze", "norm", "batch-size", "l2", "bf16",
          "autoaugment", "augmix", "rotated-copies", "test-each-epoch")
# What an image costs, in core-seconds, where neither a run nor a step of the net was measured: LeNet-5's take about a
# quarter of that, VGG's twenty times as much.
UNKNOWN = 0.001
# A GPU's time, where none was measured, is a guess that serves the order: a step starts some hundred small kernels, a
# millisecond or two however few images it has; beyond that an image takes a small part of a core's time.
GPU_STEP, GPU_PART = 0.0015, 1 / 200


# ---- one run --------------------------------------------------------------------------------------------------------

@functools.cache  # each line is compared with many
def flags_in(line):
    """Flags as they are typed, "--lr 0.01 --flip", as {"lr": "0.01", "flip": ""}, net and data set always among them.

    Nobody may change what is returned.
    """
    return {"model": "lenet5", "data": "cifar10", **declarations.as_dict(line)}


def flags_of(record):
    """The flags of a record as {flag: value}, with bf16 where it was made in that precision."""
    return flags_in(record["flags"] + (" --bf16" if record.get("precision") == "bfloat16" else ""))


def seconds_of(record):
    """What a record's run took: core-seconds on a CPU, seconds on a GPU.

    A run that was trained in full, but ended before its last epoch, counts with the epochs that it did. Each of them is
    taken to be as long as their median: an epoch in which the machine was suspended counts no more than another.
    """
    threads = 1 if jobs.is_gpu(record["versions"]["device"]) else record["threads"]
    return record["epochs"] * record["seconds_per_epoch"] * threads


def visits(flags):
    """How many images a run of these flags {flag: value} trains on, all its epochs together."""
    by_split = IMAGES[flags["data"]]
    images = by_split[flags.get("split", next(iter(by_split)))]
    if float(flags.get("rotated-copies", 0)):
        images *= 2
    if "clean-by" in flags:
        images *= 1 - float(flags.get("clean-share", 0))
    return images * int(flags.get("epochs", 10))


def unlike(flags, others):
    """How unlike two runs are, as a pair to compare: costly flags that differ, other flags that differ."""
    differ = [flag for flag in {**flags, **others} if flags.get(flag) != others.get(flag)]
    costly = sum(flag in COSTLY for flag in differ)
    return costly, len(differ) - costly


def by_steps(flags, steps, gpu):
    """An estimate of a run's seconds by what a step of its net takes.

    steps: the rows of bench.json's part "layouts". gpu: of a GPU's time; else in core-seconds.
    """
    rows = [row for row in steps if flags_in(row["flags"])["model"] == flags["model"]]
    image = UNKNOWN
    if rows:
        row = min(rows, key=lambda row: unlike(flags, flags_in(row["flags"])))
        of_precision = [figures["median"] for name, figures in row["ms"].items()
                        if name.startswith("bfloat16") == ("bf16" in flags)]
        fastest = min(of_precision or [figures["median"] for figures in row["ms"].values()])
        image = fastest / 1000 * row["threads"] / row["batch_size"]
        side = int(flags_in(row["flags"]).get("side", 112))
        image *= (int(flags.get("side", 112)) / side) ** 2
    if gpu:
        image = GPU_STEP / int(flags.get("batch-size", 4)) + GPU_PART * image
    return visits(flags) * image


def estimate(flags, records, steps, gpu=False):
    """An estimate of the seconds of a run with these flags, a line: of a GPU's or, on a CPU, core-seconds.

    records: measured on this kind of device. The run of the same net and images that is most like it is taken, the
    median over its seeds, times the ratio of what both would take by their steps; without one, the steps alone.
    """
    flags, alike = flags_in(flags), []
    for record in records:
        theirs = flags_of(record)
        if all(theirs[name] == flags[name] for name in ("model", "data")) and record["status"] == "finished":
            alike.append((unlike(flags, theirs), record))
    whole = by_steps(flags, steps, gpu)
    if not alike:
        return whole
    _, nearest = min(alike, key=lambda found: found[0])
    by_seed = []
    for _, record in alike:
        if record["run"] == nearest["run"] and record["flags"] == nearest["flags"]:
            done = {**flags_of(record), "epochs": record["epochs"]}
            by_seed.append(seconds_of(record) * whole / by_steps(done, steps, gpu))
    return statistics.median(by_seed)


def cost(name, flags, records, steps, gpu=False):
    """Returns (seconds of a run, was it measured?): the median over the seeds of a measured run, or an estimate.

    records: measured on this kind of device. Of a run that was measured in both precisions those of the flags count.
    """
    measured = [seconds_of(record) for record in records
                if record["run"] == name and flags_of(record) == flags_in(flags)]
    if measured:
        return statistics.median(measured), True
    return estimate(flags, records, steps, gpu), False


# ---- all runs -------------------------------------------------------------------------------------------------------

def read_records(file=None):
    """The records of results/records.jsonl; none where there is no such file."""
    return runs.read_objects(file or RESULTS / "records.jsonl", "Put a copy of it back.")


def read_steps(file=None):
    """What a step of every net takes: the rows of bench.json's part "layouts"; none where it has not been measured."""
    return runs.read_json(file or RESULTS / "bench.json").get("layouts", {}).get("rows", [])


def of_kind(records, gpu):
    """The records that were measured on a GPU or, with gpu=False, on a CPU."""
    return [record for record in records if jobs.is_gpu(record["versions"]["device"]) == gpu]


def order(flags, records, steps, gpu=False):
    """The names of runs, {name: flags}, the longest first; those that take equally long as they come.

    One with flags that train.py refuses comes last: train.py says what is wrong with it, in no time.
    """
    records, seconds = of_kind(records, gpu), {}
    for name, line in flags.items():
        try:
            seconds[name], _ = cost(name, line, records, steps, gpu)
        except (KeyError, ValueError):
            seconds[name] = 0
    return sorted(flags, key=lambda name: -seconds[name])


def read_flags(lines):
    """{run: flags} of lines NAME=FLAGS or run.NAME=FLAGS, as make prints them; other lines say nothing of a run."""
    found = {}
    for line in lines:
        name, has_flags, flags = line.rstrip("\n").partition("=")
        if has_flags and "/" in name and not name.startswith(("exp.", "plots.", "alias.", "want.", "claim.")):
            found[name.removeprefix("run.")] = flags
    return found


# ---- the table ------------------------------------------------------------------------------------------------------

def page(declared, records, steps=None):
    """The text of results/costs.md. declared: of declarations.declarations(); records: of runs as they are declared.

    steps: rows of bench.json's part "layouts"; None: as committed.
    """
    steps = read_steps() if steps is None else steps
    lines = [
        "# What the runs cost", "",
        "Made by `make report` from `results/records.jsonl`. A run counts once, with the median over its seeds; the "
        "last two columns have all records, every seed. What was not measured is *estimated*: from the measured run of "
        "the same net and images that is most like it, else from what a step of its net takes "
        "([bench.md](bench.md)).", "",
        "## Core-hours on a CPU", "",
        "A run's epochs times the median of their seconds, as its log has them, times its threads, on machines that "
        "had other things to do too.", "",
        table(declared, of_kind(records, False), steps, gpu=False), "",
        "## Minutes on a GPU", ""]
    on_gpu = of_kind(records, True)
    if on_gpu:
        lines += ["A run's own time. Runs that share a GPU take it at the same time: it is busy for less than their "
                  "sum.", "", table(declared, on_gpu, steps, gpu=True), ""]
    else:
        lines += ["No run has been measured on a GPU yet.", ""]
    return "\n".join(lines)


def table(declared, records, steps, gpu):
    """A row for each report and one for all. records: measured on this kind of device."""
    from experiments.words import markdown

    unit, per_second = ("minutes", 1 / 60) if gpu else ("core-hours", 1 / 3600)
    head = ["report", "runs", "measured", unit, "not measured", f"{unit}, estimated", f"{unit} of all runs",
            "records", f"{unit} of all records"]
    rows = []
    for report, of_page in declared["pages"].items():
        flags = {run: line for run, line in declarations.trained(declared).items()
                 if declarations.report_of(run) == report}
        costs = [cost(run, line, records, steps, gpu) for run, line in flags.items()]
        measured = [seconds for seconds, was_measured in costs if was_measured]
        estimated = [seconds for seconds, was_measured in costs if not was_measured]
        every = [seconds_of(record) for record in records if record["run"] in flags]
        rows.append([len(flags), len(measured), sum(measured) * per_second, len(estimated),
                     sum(estimated) * per_second, sum(measured + estimated) * per_second,
                     len(every), sum(every) * per_second])
    names = [f"{page['title'].partition(':')[0]}, `{report}`" for report, page in declared["pages"].items()]
    rows.append([sum(column) for column in zip(*rows)])
    cells = [[f"{cell:.1f}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    return markdown(head, [[name, *row] for name, row in zip([*names, "all"], cells)])


def main(argv=None):
    """The command line. Returns an exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words not in (["order"], ["order", "-"]):
        print("costs.py: say order, or order - with lines NAME=FLAGS on stdin", file=sys.stderr)
        return runs.BAD_INPUT
    flags = read_flags(sys.stdin) if words[-1] == "-" else declarations.trained(declarations.declarations())
    try:
        print("\n".join(order(flags, read_records(), read_steps(), jobs.has_gpu())))
    except BrokenPipeError:  # whoever was reading, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except runs.BadInput as e:
        print(f"costs.py: {e}", file=sys.stderr)
        return runs.BAD_INPUT
    return runs.FINISHED


if __name__ == "__main__":
    sys.exit(main())

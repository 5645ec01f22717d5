"""How fast training is here: train.py beside the reports' way, starting, threads, packing, memory layouts.

    python experiments/bench.py --data-dir data --out results              # what `make bench` does
    python experiments/bench.py --data-dir data --images 256 --rounds 1    # a quick look, which writes nothing
    python experiments/bench.py --layouts                                  # one part alone

Both ways run by turns, each in a process of its own, and see the same images with the same net, loss and optimizer.
Figures are medians. They are printed and, with --out, written to OUT/bench.json and, as tables, to OUT/bench.md. A part
that is measured alone replaces its own figures there. Where a data set is not under --data-dir, images are generated.
"""
import argparse
import contextlib
import functools
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # run as a file: the project's folder is where imports begin
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch

import data
import train
from experiments import declarations, jobs, reported_way, runs, starts, timing
from experiments.bench_page import page

BUDGET = 50  # seconds for one thing; then no further round of it begins
AIMS = {"epoch": 0.5, "loading": 0.5, "arithmetic": 0.95}  # most of the reports' way's time, by what counts


class Case(NamedTuple):
    """What is measured beside the reports' way.

    run: a declared run; extra: flags appended to its own. counts: "epoch", a whole epoch with its valid images;
    "loading", steps with the reading of their images; "arithmetic", steps on images that are in memory. steps: how many
    in a round. bf16: measured with --bf16 too, where that is not simulated; the reports' way stays in float32.
    """

    what: str
    run: str
    extra: str
    counts: str
    steps: int
    bf16: bool = False


CASES = (
    Case("lenet5, batch 4", "lenet_vgg/relu-wide", "", "loading", 1000),
    Case("lenet5 with batch norm, dropout, L2 and clipping, batch 4", "lenet_vgg/template1", "", "loading", 500),
    Case("net with flip and crop, batch 64", "net/baseline", "--flip --pad-crop 2", "loading", 100),
    Case("cnn, batch 128", "mlp_cnn/cnn", "", "arithmetic", 5, bf16=True),
    Case("vgg13 with batch norm, batch 128", "lenet_vgg/vgg6-bn", "", "arithmetic", 2, bf16=True),
    Case("keypoint, every face upright and once rotated", "keypoints/adam", "", "epoch", 0),
    Case("base", "caltech35/base", "", "epoch", 0))
L2_RUN, L2_STEPS = "lenet_vgg/template1", 500
STARTS = {"keypoint": "keypoints/adam", "lenet5": "lenet_vgg/relu-wide"}
# Small nets, to which a second thread may give nothing, and steps in a round.
SMALL = {"lenet_vgg/relu-wide": 500, "net/baseline": 100, "mlp_cnn/mlp": 100, "keypoints/adam": 30}
PACKED, PACKED_STEPS = "lenet-act", 3000
# A run of every net at the reports' batch size, and of those that are made in several sizes.
NETS = ("keypoints/adam", "lenet_vgg/relu-wide", "lenet_vgg/vgg6-bn", "lenet_vgg/vgg16-l2-10", "lenet_vgg/vgg19-plain",
        "lenet_vgg/architectures-nin", "lenet_vgg/architectures-googlenet", "lenet_vgg/architectures-resnet18",
        "net/baseline", "net/best", "net/resnet18", "mlp_cnn/mlp", "mlp_cnn/cnn", "caltech35/base",
        "caltech35/basic-block", "caltech35/bottleneck", "caltech35/resnet18-112", "caltech35/vgg16-112")


# ---- the parts ------------------------------------------------------------------------------------------------------

def against_reports(flags_of, options):
    """Rows of train.py beside the reports' way."""
    rows = []
    for case in chosen(CASES, options, lambda case: case.what):
        flags = flags_of(case.run, case.extra)
        settings = train.parse(flags)
        steps = fewer(case.steps, settings.batch_size, options.images) or None
        unit, scale, ours = ("s an epoch", 1, timing.epoch) if steps is None else ("ms a step", 1000, timing.step)
        with contextlib.ExitStack() as stack:
            ways, threads = {}, {}
            also = case.bf16 and timing.has_bfloat16(settings.device)
            for name, extra in (("ours", []), ("ours in bfloat16", ["--bf16"]))[:1 + also]:
                call = stack.enter_context(timing.own_process())
                threads[name] = call(timing.prepare, name, [*flags, *extra], options.images, steps)
                ways[name] = lambda call=call, name=name: scale * call(ours, name)
            before = torch.get_num_threads()
            torch.set_num_threads(threads["ours"])
            theirs = timing.prepare_reported(flags, options.images, steps, case.counts == "arithmetic")
            ways["reported"] = lambda: scale * theirs()
            found = timing.by_turns(f"{case.what}, {unit}", ways, options.rounds, BUDGET)
            torch.set_num_threads(before)
        for name in threads:
            rows.append({"what": case.what, "precision": "bfloat16" if "bf" in name else "float32", "run": case.run,
                         "flags": runs.identity_flags(flags), "unit": unit, "counts": case.counts,
                         "threads": threads[name],
                         "ours": timing.figures(found[name]), "reported": timing.figures(found["reported"])})
            rows[-1]["ratio"] = timing.ratio(rows[-1]["ours"], rows[-1]["reported"])
            rows[-1]["aim"] = AIMS[case.counts]
    return rows


def l2_and_clipping(flags_of, options):
    """One row: a step with the L2 term and clipping, and without both."""
    flags, steps = flags_of(L2_RUN), fewer(L2_STEPS, 4, options.images)
    with timing.own_process() as call:
        for name, extra in (("with", ""), ("without", "--l2 0 --clip 0")):
            threads = call(timing.prepare, name, [*flags, *extra.split()], None, steps)
        ways = {name: lambda name=name: 1000 * call(timing.step, name) for name in ("with", "without")}
        found = timing.by_turns("L2 term and clipping, ms a step", ways, options.rounds, BUDGET)
    row = {"what": "L2 term and clipping, lenet5, batch 4", "run": L2_RUN, "unit": "ms a step", "threads": threads,
           "with": timing.figures(found["with"]), "without": timing.figures(found["without"]), "aim": 0.1}
    row["share"] = float(f"{1 - row['without']['median'] / row['with']['median']:.3g}")
    return [row]


def starting(flags_of, options):
    """Rows of the time from the start of a process to its first step done, beside importing torch alone."""
    rows = []
    for net, run in STARTS.items():
        flags = flags_of(run)
        train.prepare(train.parse(flags))  # writes the cache of the data set, where there is none yet
        ways = {"ours": lambda flags=flags: timing.first_step(flags), "import torch": timing.import_torch}
        found = timing.by_turns(f"{net}: start to first step, s", ways, options.rounds, BUDGET)
        rows.append({"what": net, "run": run, "unit": "s", "ours": timing.figures(found["ours"]),
                     "import_torch": timing.figures(found["import torch"])})
    return rows


def cores(flags_of, options):
    """Rows of small nets with one thread and with as many as there are cores; none where there is one core."""
    count, rows = jobs.cores(), []
    if count == 1:
        return []
    for run, most in chosen(SMALL.items(), options, lambda item: item[0]):
        flags = flags_of(run, "--device cpu")
        settings = train.parse(flags)
        with timing.own_process() as call:
            call(timing.prepare, run, flags, None, fewer(most, settings.batch_size, options.images))
            ways = {"one thread": lambda: 1000 * call(timing.step, run, 1),
                    f"{count} threads": lambda: 1000 * call(timing.step, run, count)}
            what = f"{settings.model}, batch {settings.batch_size}"
            found = timing.by_turns(f"{what}, ms a step", ways, options.rounds, BUDGET)
        one, every = map(timing.figures, found.values())
        rows.append({"what": what, "run": run, "unit": "ms a step", "cores": count, "one": one, "all": every,
                     "default": starts.threads(settings.model), "ratio": timing.ratio(every, one)})
    return rows


def packed(flags_of, options):
    """One row: the runs of a comparison one after another, and as many at a time as there are cores."""
    names, count = declarations.declarations()["exp"][PACKED], jobs.cores()
    steps = fewer(PACKED_STEPS, 4, options.images)
    commands = [[*flags_of(name, threads=False), "--run", name, "--max-steps", str(steps)] for name in names]
    at_a_time = min(count, len(commands))
    ways = {"one after another": lambda: timing.trainings(commands, 1, timing.environment()),
            f"{at_a_time} at a time": lambda: timing.trainings(commands, at_a_time, timing.environment(1))}
    train.prepare(train.parse(commands[0]))  # writes the cache of the data set, where there is none yet
    found = timing.by_turns(f"exp-{PACKED}, {steps} steps of each run, s", ways, options.rounds, BUDGET)
    serial, parallel = map(timing.figures, found.values())
    return [{"what": f"exp-{PACKED}", "runs": len(names), "steps": steps, "unit": "s", "at_a_time": at_a_time,
             "serial": serial, "packed": parallel, "ratio": timing.ratio(parallel, serial)}]


def layouts(flags_of, options):
    """Rows of every net's step in both memory layouts and both precisions."""
    rows = []
    for run in chosen(NETS, options, str):
        flags = flags_of(run)
        settings = train.parse(flags)
        batch_size = min(settings.batch_size, options.images or settings.batch_size)
        with timing.own_process() as call:
            found = call(timing.layouts, flags, batch_size, options.rounds, BUDGET / 2)
        rows.append({"what": settings.model, "run": run, "flags": runs.identity_flags(flags), "unit": "ms a step",
                     "batch_size": batch_size, "threads": settings.threads,
                     "taken": {precision: timing.layout_taken(settings._replace(bf16=precision == "bfloat16"))
                               for precision in timing.PRECISIONS},
                     "ms": {name: timing.figures(numbers) for name, numbers in found.items()}})
    return rows


PARTS = {"reports": against_reports, "l2": l2_and_clipping, "start": starting, "cores": cores, "packed": packed,
         "layouts": layouts}


# ---- what they share ------------------------------------------------------------------------------------------------

def chosen(things, options, name_of):
    """Returns the things whose name has the word of --only in it; without --only, all."""
    return [thing for thing in things if not options.only or options.only in name_of(thing)]


def fewer(steps, batch_size, images):
    """Returns how many steps to take: `steps` or, where --images names fewer images, so many fewer, two at least."""
    if images is None or steps == 0:
        return steps
    return max(2, min(steps, images // batch_size))


@contextlib.contextmanager
def places(data_dir):
    """Yields (where, names of the data sets that are generated because they are not there).

    where(name) returns the flags that say where a data set is. Generated photographs are written into a temporary
    folder when they are first asked for; CIFAR-10 is generated by train.py's --synthetic.
    """
    generated, writers = [], {"faces21": reported_way.write_faces, "caltech35": reported_way.write_objects}
    for name in (*writers, "cifar10"):
        try:
            data.locate(name, data_dir)
        except data.DataError:
            generated.append(name)
    with tempfile.TemporaryDirectory() as temporary:
        @functools.cache
        def where(name):
            if name not in generated:
                return ["--data-dir", data_dir]
            if name not in writers:
                return ["--synthetic"]
            writers[name](Path(temporary))
            return ["--data-dir", temporary]

        yield where, generated


def machine():
    """What the figures were measured on: {"versions", "commit", "dirty", "cores", "load", "threads", "bfloat16", "at"}.

    load: that of the last minute, so this is to be asked before anything is measured. threads: torch's own choice, or
    --threads. bfloat16: has the processor instructions for it?
    """
    made_with = runs.made_with(torch.device(starts.device(None)))
    return {**made_with, "cores": jobs.cores(), "load": round(os.getloadavg()[0], 2),
            "threads": torch.get_num_threads(), "bfloat16": timing.has_bfloat16(starts.device(None)),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def measure(parts, options):
    """Measures these parts one after another; prints and, with --out, writes them. Raises BadInput and DataError."""
    train.parse(["--data-dir", options.data_dir])  # refuses an empty name, which would be that of this folder
    declared = declarations.declarations()["run"]
    file, measured = Path(options.out or ".", "bench.json"), {}
    content = runs.read_json(file) if options.out else {}
    made_on = machine()
    with places(options.data_dir) as (where, generated):
        def flags_of(run, extra="", threads=True):
            words = [*declared[run].split(), *extra.split()]
            words += where(train.parse(words).data)
            return [*words, "--threads", str(options.threads)] if threads and options.threads else words

        for part in parts:
            rows = PARTS[part](flags_of, options)
            measured[part] = {"machine": made_on, "images": options.images, "generated": generated, "rows": rows}
            if options.out:
                content = {name: {**content, **measured}.get(name) for name in PARTS}
                content = {name: value for name, value in content.items() if value}
                file.parent.mkdir(exist_ok=True)
                runs.save_json(content, file)
                runs.write_atomically(page(content).encode(), file.with_suffix(".md"))
    print("\n" + page(measured))


def main(argv=None):
    """The command line. Returns an exit code: 0, or 2 where flags or data cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    for part, function in PARTS.items():
        parser.add_argument(f"--{part}", action="append_const", dest="parts", const=part,
                            help=f"measure only the parts named so: {function.__doc__.partition('.')[0]}")
    parser.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    parser.add_argument("--out", metavar="FOLDER", help="write bench.json and bench.md there; default: only print")
    parser.add_argument("--only", metavar="WORD", help="only what has this word in its name; not with --out")
    parser.add_argument("--images", type=data.checked(int, lambda n: n >= 32, "at least 32, a batch"), metavar="N",
                        help="at most so many images of a training part (default: all)")
    parser.add_argument("--rounds", type=data.count, default=5, metavar="K",
                        help="how often each thing is measured (default: 5)")
    parser.add_argument("--threads", type=data.count, metavar="N", help="CPU threads (default: train.py's and torch's)")
    options = parser.parse_args(argv)
    if options.only and options.out:
        parser.error("--out writes whole parts, and --only leaves out some of one")
    if options.threads:
        torch.set_num_threads(options.threads)
    # What train.py sets before it loads torch; here torch is loaded, but the processes that train our way have it.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        measure(options.parts or list(PARTS), options)
    except (runs.BadInput, data.DataError) as e:
        print(f"bench.py: {e}", file=sys.stderr)
        return runs.BAD_INPUT
    return runs.FINISHED


if __name__ == "__main__":
    sys.exit(main())

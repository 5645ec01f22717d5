"""What is declared in experiments/*.mk beside what was measured: lists, status, tables, verdicts on claims, the pages of results/.

    python experiments/report.py exp bn-dropout        # what `make exp-bn-dropout` ends with: figures, table, status line
    python experiments/report.py report                # what `make report` does: merge runs/ into results/, never training

A record is a run's result.json with the columns of its log.jsonl under "curves". Declarations are asked of make, so the .mk files
stay the only place that has them.
"""
import argparse
import collections
import contextlib
import fcntl
import functools
import itertools
import json
import math
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
RECORDS = ROOT / "results" / "records.jsonl"
DONE = ("done", "diverged")
BEGIN, END = "<!-- measured: written by make report -->", "<!-- end of measured -->"


# -------------------------------------------------------------------------------------------------------------- declared


def declarations():
    """{"exp": {name: [run, ...]}, "run": {run: flags}, "want": ..., "plots": ..., "claim": ..., "about": {name: sentence}} in file order."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "FLAGS", "SYNTHETIC")}
    printed = subprocess.run(["make", "-s", "declared"], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in printed.splitlines())
    declared = {kind: {} for kind in ("exp", "run", "want", "plots", "claim", "about")}
    for file in sorted((ROOT / "experiments").glob("*.mk")):
        about = ""
        for line in file.read_text().splitlines():
            if line.startswith("## "):
                about = line[3:]
            elif match := re.match(r"(exp|run|want|plots|claim)\.(\S+)\s*=", line):
                kind, name = match.groups()
                value = values[f"{kind}.{name}"]
                declared[kind][name] = value.split() if kind in ("exp", "plots") else value
                if kind == "exp":
                    declared["about"][name] = about
    return declared


def report_of(run):
    return run.partition("/")[0]


def as_dict(flags):
    """--lr 0.01 --flip to {"lr": "0.01", "flip": ""}; of a flag given twice the last counts, as for train.py."""
    return {flag: value.strip() for flag, value in re.findall(r"--([\w-]+)[ =]?((?:(?!--)\S+ ?)*)", flags)}


def changed(flags, base):
    """How `flags` differ from the first row's, in words: "norm bn, dropout 0.3"."""
    ours, theirs = as_dict(flags), as_dict(base)
    words = [f"{k} {v}".strip() for k, v in ours.items() if theirs.get(k) != v] + [f"no {k}" for k in theirs if k not in ours]
    return ", ".join(words) or "–"


# ---------------------------------------------------------------------------------------------------------------- status


def state_of(folder, flags):
    """("done" | "diverged" | "running" | "interrupted" | "failed" | "missing", a word on it) of a run folder."""
    lock = folder.parent / f".{folder.name}.lock"
    if lock.exists():
        with open(lock) as f:
            try:
                fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return "running", f"after epoch {epochs_done(folder)}"
    result = read_result(folder)
    if result and result["status"] == "failed":
        return "failed", "its result.json is not JSON: move the folder away and make the run again"
    if result and result["flags"] != flags:
        return "missing", "what is there was made with other flags"
    if result:
        return ("diverged", f"in epoch {result['epochs']}") if result["status"] == "diverged" else ("done", "")
    if (folder / "failed.txt").exists():
        return "failed", (folder / "failed.txt").read_text().partition("\n")[0]
    if folder.exists():
        return "interrupted", f"after epoch {epochs_done(folder)}"
    return "missing", ""


def read_result(folder):
    try:
        return json.loads((folder / "result.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return {"status": "failed"}


def epochs_done(folder):
    log = folder / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def what_lacks(declared, run, seed, args):
    """Why a run that is missing cannot be trained as things are, or ""; the run that it starts from or is cleaned by is made before it."""
    import data

    ours = as_dict(f"{declared['run'][run]} {args.flags}")
    source = ours.get("init-from", ours.get("clean-by"))
    if source in declared["run"] and not (Path(args.runs) / source / f"seed{seed}" / "result.json").exists():
        if lack := what_lacks(declared, source, seed, args):
            return lack
    if "pretrained" in ours:
        import models

        if not (file := models.imagenet_file(ours["model"])).exists():
            return (f"the ImageNet weights of {ours['model']} are not in {file} yet. With a network train.py downloads them; without one "
                    f"copy {file.name} there.")
    if "synthetic" not in ours:
        try:
            data.locate(ours.get("data", "cifar10"), args.data_dir)
        except data.DataError as e:
            return str(e)
    return ""


def status(declared, runs, args, lines=True):
    """Prints where every run stands and a closing line; gives 0 if all are done or diverged, else 2."""
    count, lacks = collections.Counter(), collections.defaultdict(list)
    for run in runs:
        for seed in args.seeds:
            flags = f"{declared['run'][run]} {args.flags}".strip()
            state, word = state_of(Path(args.runs, run, f"seed{seed}"), flags)
            count[state] += 1
            if state == "missing":
                lacks[what_lacks(declared, run, seed, args)].append(run)
            if lines or state not in (*DONE, "missing"):
                print(f"  {state:12}{run} seed {seed}{'  ' + word if word else ''}")
    for lack, lacking in lacks.items():
        if lack:
            print(f"  {len(lacking)} run{'s' * (len(lacking) > 1)} cannot be trained as things are: {lack}")
    print("status: " + (", ".join(f"{count[s]} {s}" for s in ("done", "diverged", "running", "interrupted", "failed", "missing") if count[s])
                        or "nothing declared"))
    return 0 if sum(count.values()) == sum(count[s] for s in DONE) else 2


def show_list(declared):
    print("all: " + ", ".join(f"report-{report}" for report in dict.fromkeys(map(report_of, declared["run"]))))
    for name, runs in declared["exp"].items():
        print(f"\nexp-{name}: {declared['about'][name]}")
        for run in runs:
            want = declared["want"].get(run, "none")
            print(f"  {run:36}{'' if want == 'none' else 'reported: ' + shown_wants(want)}")


# ---------------------------------------------------------------------------------------------------------------- tables


def value(record, metric):
    """A metric of a record, None if not there: of its result; of its log, "tail_loss" (last epoch) or "valid_acc@10" (that epoch);
    "late_valid_loss", the median over the last 10 epochs, which a jump in the very last one does not spoil; or as report 2 prints losses,
    "train_loss+penalty/4@10", (train loss + L2 term) / 4."""
    quantity, at, epoch = metric.partition("@")
    terms, _, divisor = quantity.partition("/")
    if divisor or "+" in terms:
        numbers = [value(record, term + at + epoch) for term in terms.split("+")]
        return None if None in numbers else sum(numbers) / int(divisor or 1)
    if metric.startswith("late_"):
        last = [float("inf") if v is None else v for v in record["curves"].get(metric[5:], [])[-10:]]
        return statistics.median(last) if last and math.isfinite(statistics.median(last)) else None
    if not at and quantity in record["metrics"]:
        return record["metrics"][quantity]
    column = record["curves"].get(quantity) or []
    index = int(epoch) - 1 if at else -1
    return column[index] if column and index < len(column) else None


def in_words(metric):
    if metric.startswith("late_"):
        return f"{in_words(metric[5:])}, median of last 10 epochs"
    terms, _, divisor = metric.partition("/")
    words = terms.replace("penalty", "L2 term").replace("_", " ").replace("+", " + ")
    return f"{f'({words})' if '+' in terms else words} ÷ {divisor}" if divisor else words


def shown(metric, x):
    """A number in the unit that reports print: accuracies in %."""
    return f"{100 * x:.1f} %" if "_acc" in metric else number(x)


def shown_wants(want):
    """valid_loss=6 test_acc@1=0.68..0.69 test_acc@2=0.7 as a reader wants it: valid loss 6, test acc 68–69, 70 % at epochs 1, 2."""
    def text(metric, numbers):
        return "–".join(f"{100 * float(n):g}" if "_acc" in metric else n for n in numbers.split("..")) + " %" * ("_acc" in metric)
    return in_line({metric: text(metric, numbers) for metric, _, numbers in (word.partition("=") for word in few(want))})


def in_line(texts):
    """{metric: its number} in words; what differs by its epoch alone is said in one breath."""
    groups = {}
    for metric, text in texts.items():
        quantity, _, epoch = metric.partition("@")
        groups.setdefault(quantity, []).append((text, epoch))
    words = []
    for quantity, found in groups.items():
        unit = " %" * found[0][0].endswith(" %")
        numbers, epochs = ", ".join(text.removesuffix(unit) for text, _ in found) + unit, [epoch for _, epoch in found if epoch]
        words.append(f"{in_words(quantity)} {numbers}" + (f" at epoch{'s' * (len(epochs) > 1)} {', '.join(epochs)}" if epochs else ""))
    return "; ".join(words) if any("@" in metric for metric in texts) else ", ".join(words)


def few(want):
    """The words of a want line; without those of single epochs where there are so many that they have a table of their own."""
    words = want.split()
    return words if sum(word.startswith("test_acc@") for word in words) <= 3 else [word for word in words if "@" not in word]


def by_epoch(declared, runs, metric="test_acc"):
    """{run: {epoch: number}} that the report printed."""
    return {run: {int(epoch): float(x) for epoch, x in re.findall(rf"\b{metric}@(\d+)=([\d.]+)", declared["want"].get(run, ""))} for run in runs}


def epoch_table(declared, name, records):
    """Test accuracy by epoch in %: a row for what the report printed, one for what was measured (mean over the seeds)."""
    last, rows = max(len(r["curves"]["epoch"]) for r in records), []
    for run, reported in by_epoch(declared, declared["exp"][name]).items():
        mine, short = [r for r in records if r["run"] == run], run.partition("/")[2]
        if reported:
            rows.append([short, "reported", *(f"{100 * reported[e]:g}" if e in reported else "" for e in range(1, last + 1))])
        if mine:
            numbers = [[n for n in (value(r, f"test_acc@{e}") for r in mine) if n is not None] for e in range(1, last + 1)]
            rows.append([short, f"measured, {len(mine)} seed{'s' * (len(mine) > 1)}", *(f"{100 * statistics.mean(n):.1f}" if n else "" for n in numbers)])
    return "Test accuracy (%) by epoch:\n\n" + markdown(["run", "", *range(1, last + 1)], rows)


def measured(records, metric):
    """Mean ± sample deviation over the seeds, "–" where nothing was measured, "nan" where all diverged."""
    numbers = [n for n in (value(r, metric) for r in records) if n is not None]
    if not numbers:
        return "nan" if records and all(r["status"] == "diverged" for r in records) else "–"
    mean = statistics.mean(numbers)
    if len(numbers) == 1:
        return shown(metric, mean)
    deviation = statistics.stdev(numbers)
    if "_acc" in metric:
        return f"{100 * mean:.1f} ± {100 * deviation:.1f} %"
    digits = ".3g" if mean >= 1e4 else ".1f" if mean >= 10 else ".3f"  # both as the mean
    return f"{mean:{digits}} ± {deviation:{digits}}"


def table(declared, name, records):
    """The rows of a comparison: what changed, reported, measured. Markdown, aligned."""
    runs = declared["exp"][name]
    by_run = {run: [r for r in records if r["run"] == run] for run in runs}
    classes = any(r["metrics"]["train_acc"] is not None for r in records)
    scored = any(value(r, "test_acc") is not None for r in records)
    main = "test_acc" if scored else "valid_acc" if classes else "valid_loss"
    of_landmarks = ["late_valid_loss", "late_train_loss", "best_valid_loss", "valid_loss_turned"]
    sweep = any(word.startswith("sweep") for word in declared["plots"][name])
    at_end = ["late_train_acc", "late_valid_acc"] if sweep else ["train_acc", "valid_acc"]
    extra = at_end if scored else ["train_acc"] if classes else of_landmarks
    extra = [m for m in extra if any(value(r, m) is not None for r in records)]
    noisy = any("label_noise" in r.get("data", {}) for r in records)
    triplets = any(value(r, "left_out") is not None for r in records)
    head = ["run", "what changed", "reported", "measured", *map(in_words, extra), *["labels changed"] * noisy, *["left out"] * triplets, "seeds"]
    rows = []
    for run in runs:
        mine, want = by_run[run], declared["want"].get(run, "none")
        untested = mine and all(value(r, main) is None and r["status"] == "finished" for r in mine)  # features alone
        metrics = ["train_loss" if untested else main] if want == "none" else [w.partition("=")[0] for w in few(want)]
        diverged = sum(r["status"] == "diverged" for r in mine)
        rows.append([run.partition("/")[2], changed(declared["run"][run], declared["run"][runs[0]]),
                     "no number" if want == "none" else shown_wants(want),
                     in_line({m: measured(mine, m) for m in metrics}) if mine else "missing",
                     *[measured(mine, m) for m in extra],
                     *[", ".join(f"{100 * r['data']['label_noise']:.1f} %" for r in mine if "label_noise" in r.get("data", {})) or "–"] * noisy,
                     *[", ".join(f"{value(r, 'left_out')}" for r in mine if value(r, "left_out") is not None) or "–"] * triplets,
                     f"{len(mine)}{f', {diverged} diverged' if diverged else ''}"])
    text = markdown(head, rows)
    if lacking := [run for run in runs if "pretrained" in as_dict(declared["run"][run]) and not by_run[run]]:
        text += (f"\n\nMissing: {', '.join(lacking)} start{'s' * (len(lacking) == 1)} from torchvision's ImageNet weights. With a network train.py downloads them; without one "
                 "copy the file into torchvision's cache (`make status` says which and where), or train by hand with --weights FILE.")
    if "pick" in declared["plots"][name] and (mine := [run for run in runs if any(value(r, "best_valid_acc") for r in by_run[run])]):
        best = max(mine, key=lambda run: statistics.mean(value(r, "best_valid_acc") or 0 for r in by_run[run]))
        text += (f"\n\nOne test score answers a question that was settled before: valid accuracy picks {best.partition('/')[2]} "
                 f"(best epoch {measured(by_run[best], 'best_valid_acc')} valid, {measured(by_run[best], 'test_acc')} test). The other rows' test "
                 "scores are shown because the report has them, and choose nothing.")
    text += cleaned(declared, name, records)
    text += layers_of_nets(declared, name) if "layers" in declared["plots"][name] else ""
    return text + ("\n\n" + epoch_table(declared, name, records) if "by-epoch" in declared["plots"][name] and records else "")


def layers_of_nets(declared, name):
    """The layers of the nets of a comparison, a Markdown table each, at the batch size declared."""
    import plots
    import train

    text = ""
    for run in declared["exp"][name]:
        args = train.parse([*declared["run"][run].split(), "--synthetic"])  # the twin has the shapes, and needs no files
        text += f"\n\nLayers of {run.partition('/')[2]}:\n\n{plots.layer_table(train.build(args, train.load(args)), args.batch_size)}"
    return text


def cleaned(declared, name, records):
    """For every run that dropped images: how many, how many of these were noisy, and what that did to the accuracy; a sentence each."""
    lines, flags = [], {run: as_dict(declared["run"][run]) for run in declared["exp"][name]}
    for run in flags:
        if "clean-by" not in flags[run]:
            continue
        plain = {k: v for k, v in flags[run].items() if not k.startswith("clean-")}
        before = {r["seed"]: r for other in flags if flags[other] == plain for r in records if r["run"] == other}
        for r in records:
            if r["run"] == run and r["seed"] in before:
                dropped, noisy = r["data"]["dropped"], r["data"]["dropped_noisy"]
                lines.append(f"- {run.partition('/')[2]}, seed {r['seed']}: dropped {dropped:,} images, {noisy:,} of them noisy ({noisy / dropped:.0%}; by "
                             f"chance {r['data']['label_noise']:.0%}); test accuracy {100 * difference(final(r, 'test_acc'), final(before[r['seed']], 'test_acc')):+.1f} "
                             f"points against {before[r['seed']]['run'].partition('/')[2]}.")
    return "\n\n" + "\n".join(lines) if lines else ""


def markdown(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    line = lambda cells: "| " + " | ".join(str(c).ljust(w) for c, w in zip(cells, widths)) + " |"  # noqa: E731
    return "\n".join([line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows)])


def made_on(records):
    """One sentence on where the numbers come from."""
    def several(values):
        return ", ".join(sorted(set(values)))
    unit = "Losses are mean squared errors in px². " if records[0]["data"]["name"] == "faces21" else ""
    return (f"{unit}Measured on {several(r['versions']['device'] for r in records)} with torch {several(r['versions']['torch'] for r in records)}; "
            f"data: {several(r['data']['source'] for r in records)}. ± is the sample deviation over seeds.")


# ---------------------------------------------------------------------------------------------------------------- claims
# One small function a claim: it takes `run`, which gives the record of a run for one seed, and gives whether the claim holds for
# that seed and the numbers that say so. A claim about runs of which one is missing is not judged.


def number(x):
    """A loss as a reader wants it: 6.01e+07, 20.4, 0.512."""
    return f"{x:.3g}" if x >= 1e4 else f"{x:.1f}" if x >= 10 else f"{x:.3f}"


def final(record, metric="late_valid_loss"):
    """The metric at the end, for a loss by epoch the median of its last 10; a run that diverged has an infinite loss or accuracy -inf."""
    x = None if record["status"] == "diverged" else value(record, metric)
    return (-math.inf if "_acc" in metric else math.inf) if x is None else x


def column(record, metric="valid_loss", first=1, last=250):
    """A metric by epoch, first..last (1-based, inclusive); not finite counts as infinite, and so do epochs after a divergence."""
    numbers = [float("inf") if v is None else v for v in record["curves"].get(metric, [])]  # a column without a number is not kept
    return (numbers + [float("inf")] * (last - len(numbers)))[first - 1:last]


def unsteadiness(record, first, last):
    """Mean change of the valid loss from one epoch to the next, over epochs first..last; infinite for a run that diverged."""
    v = column(record, "valid_loss", first, last)
    return statistics.mean(abs(b - a) for a, b in zip(v, v[1:])) if math.isfinite(max(v)) else float("inf")


def first_epoch(record, metric, reached):
    """The first epoch for whose value of the metric `reached` holds; infinite if there is none."""
    return next((float(i) for i, v in enumerate(column(record, metric), 1) if reached(v)), float("inf"))


def K1(run):
    adam, sgd = run("keypoints/adam"), run("keypoints/sgd")
    at70, at_end, of_sgd = column(adam, "train_loss")[69], final(adam, "late_train_loss"), final(sgd, "late_train_loss")
    return (at_end / 2 <= at70 <= 2 * at_end and at70 < of_sgd,
            f"train loss: Adam {number(at70)} at epoch 70, {number(at_end)} at the end; SGD {number(of_sgd)}")


def K2(run):
    switched, adam = (unsteadiness(run(f"keypoints/{r}"), 201, 250) for r in ("adam-sgd", "adam"))
    return switched < adam, f"mean change {number(switched)} against {number(adam)}"


def K3(run):
    step, adam = final(run("keypoints/adam-step")), final(run("keypoints/adam"))
    return math.isfinite(adam) and abs(step - adam) <= 0.2 * adam, f"{number(step)} against {number(adam)}"


def K4(run):
    adam, bn, dropout = (final(run(f"keypoints/{r}")) for r in ("adam", "adam-bn", "adam-bn-dropout"))
    return max(bn, dropout) < adam, f"{number(bn)} and {number(dropout)} against {number(adam)}"


def K5(run):
    bn, dropout = (abs(final(run(f"keypoints/{r}")) - final(run(f"keypoints/{r}"), "late_train_loss")) for r in ("adam-bn", "adam-bn-dropout"))
    return dropout < bn, f"gap {number(dropout)} against {number(bn)}"


def K6(run):
    switched, adam = run("keypoints/adam-sgd-400"), run("keypoints/adam-400")
    level = [statistics.mean(column(r, "valid_loss", 351, 400)) for r in (switched, adam)]
    change = [unsteadiness(r, 351, 400) for r in (switched, adam)]
    return (level[0] < level[1] and change[0] < change[1],
            f"mean valid loss {number(level[0])} against {number(level[1])}, mean change {number(change[0])} against {number(change[1])}")


def K7(run):
    adam = run("keypoints/adam")
    goal = final(adam)
    if goal > column(adam)[0]:  # it blew up, as Adam at 0.01 can: its lowest loss then stands for what it had reached
        goal = min(column(adam))
    epochs = [first_epoch(r, "valid_loss", lambda v: v <= goal) for r in (run("keypoints/adam-bn"), run("keypoints/adam-bn-dropout"), adam)]
    return max(epochs[:2]) < epochs[2], f"below {number(goal)} in epochs {epochs[0]:g} and {epochs[1]:g} against {epochs[2]:g}"


def K8(run):
    step, adam = run("keypoints/adam-step"), run("keypoints/adam")
    goal = 1.5 * max(min(column(step, "train_loss")), min(column(adam, "train_loss")))  # a level that both reach
    epochs = [first_epoch(r, "train_loss", lambda v: v <= goal) for r in (step, adam)]
    change = [unsteadiness(r, 101, 250) for r in (step, adam)]
    return (epochs[0] > epochs[1] and change[0] > change[1], f"train loss below {number(goal)} from epoch {epochs[0]:g} against {epochs[1]:g}; "
            f"mean change of the valid loss after epoch 100 {number(change[0])} against {number(change[1])}")


def K9(run):
    switched, adam = (statistics.mean(column(run(f"keypoints/{r}"), "valid_loss", 201, 250)) for r in ("adam-sgd", "adam"))
    return switched > adam, f"mean {number(switched)} against {number(adam)}"


def K10(run):
    step, adam, bn, dropout = (final(run(f"keypoints/{r}"), "valid_loss_turned") for r in ("adam-step", "adam", "adam-bn", "adam-bn-dropout"))
    return step > adam > max(bn, dropout), f"step {number(step)}, Adam {number(adam)}, BN {number(bn)}, BN and dropout {number(dropout)}"


def percent(*accuracies):
    return ", ".join(f"{100 * a:.1f} %" if math.isfinite(a) else "diverged" for a in accuracies)


def difference(a, b):
    """a - b of two accuracies, exact to the last image, so that 61.23 - 56.23 is 5 points; nothing is gained on a `b` that diverged."""
    return round(a - b, 6) if math.isfinite(b) else -math.inf


def tested(run, report, *names, metric="test_acc"):
    """Test accuracies (or another metric) of runs of one report, at their end."""
    return [final(run(f"{report}/{name}"), metric) for name in names]


def valid(run, *names, metric="valid_acc"):
    """Valid accuracies (or another metric) of runs of report 2."""
    return tested(run, "lenet_vgg", *names, metric=metric)


# Report 5: its scratch nets, and the nets that the second training of its section 3.3.1 gives.
SCRATCH = "base", "basic-block", "bottleneck"
RATES_5 = {net: [f"{net}-lr-{rate}" for rate in (10, 5, 1)] for net in ("base", "basic-block")}


def caltech(run, *names, metric="test_acc"):
    """Test accuracies (or another metric) of runs of report 5."""
    return tested(run, "caltech35", *names, metric=metric)


def described_of(run, name):
    """What the net of a run of report 5 answers, in numbers. One that diverged has every class wrong and features without any order; a run
    that nobody has described counts as not run."""
    record = run(f"caltech35/{name}")
    if record["status"] == "diverged":
        wrong = [[int(j == (i + 1) % 35) for j in range(35)] for i in range(35)]
        return {"confusion": {"train": wrong, "test": wrong}, "silhouette": {"1-5": -1.0, "3,5": -1.0}, "spread": math.inf}
    if "described" not in record:
        raise NotRun
    return record["described"]


def right(described, part, *classes):
    """Share of the images of these classes (all, if none is named) that are called what they are."""
    rows = described["confusion"][part]
    classes = classes or range(len(rows))
    return sum(rows[c][c] for c in classes) / sum(sum(rows[c]) for c in classes)


def C1(run):
    tested, trained = caltech(run, *SCRATCH), caltech(run, *SCRATCH, metric="train_acc")
    gaps = [difference(t, v) for t, v in zip(trained, tested)]
    return (math.isfinite(min(tested)) and difference(max(tested), min(tested)) <= 0.06 and min(gaps[:2]) > gaps[2],
            f"test {percent(*tested)}; train minus test {percent(*gaps)}")


def C2(run):
    holds, seen = [], []
    for name in SCRATCH:
        trained, scored = (column(run(f"caltech35/{name}"), metric, 1, 20) for metric in ("train_acc", "valid_acc"))
        rises = [difference(b, a) for a, b in itertools.pairwise(trained)]  # rises[e - 2]: from epoch e - 1 to e
        jump = difference(statistics.mean(scored[15:18]), statistics.mean(scored[12:15]))
        holds.append(jump >= 0.02 and rises[14] == max(rises[4:]))
        seen.append(f"{name} train {100 * rises[14]:+.1f} points in epoch 16, valid {100 * jump:+.1f} from epochs 13–15 to 16–18")
    return all(holds), "; ".join(seen)


def C3(run):
    scratch, (vgg, resnet, vgg224, resnet224) = caltech(run, *SCRATCH), caltech(run, "vgg16-112", "resnet18-112", "vgg16-224", "resnet18-224")
    return (min(vgg, resnet) > max(scratch) and vgg224 > vgg and resnet224 > resnet and vgg > resnet and vgg224 > resnet224,
            f"scratch {percent(*scratch)}; at 112 {percent(vgg, resnet)}, at 224 {percent(vgg224, resnet224)}")


def C4(run):
    base, block, *triplet = caltech(run, "base", "basic-block", "base-cosine", "base-euclid", "basic-block-cosine", "basic-block-euclid")
    loss, = caltech(run, "basic-block-euclid-features", metric="train_loss")
    collapsed, whole = described_of(run, "basic-block-euclid"), described_of(run, "basic-block")
    called = [sum(counts) for counts in zip(*collapsed["confusion"]["test"])]
    return (max(triplet[:2]) < base and max(triplet[2:]) < block and triplet[3] <= 0.1 and max(called) >= 0.8 * sum(called),
            f"base {percent(base)}, cosine and Euclidean {percent(*triplet[:2])}; basic-block {percent(block)}, {percent(*triplet[2:])}. "
            f"basic-block-euclid calls {max(called) / sum(called):.0%} of the test images class {called.index(max(called))}; its last triplet loss is "
            f"{number(loss)} (margin 0.25), the spread of its features {collapsed['spread']:.2f} (basic-block {whole['spread']:.2f})")


def C5(run):
    (base, square), (mean,) = caltech(run, "base", "base-square"), caltech(run, "base-mse", metric="train_acc")
    return square > base > -math.inf and 0 <= mean < 0.1, f"{percent(square)} against {percent(base)}; train accuracy of the mean {percent(mean)}"


def C6(run):
    holds, seen = [], []
    for names in RATES_5.values():
        scored, losses = caltech(run, *names), caltech(run, *names, metric="train_loss")
        holds.append(scored[0] == max(scored) and -math.inf < scored[2] == min(scored) and losses[2] == max(losses))
        seen.append(f"{', '.join(names)} {percent(*scored)}, last train loss {', '.join(map(number, losses))}")
    return all(holds), "; ".join(seen)


def C7(run):
    (plain, momentum), goal = caltech(run, "base-lr-10", "base-momentum"), final(run("caltech35/base-lr-10"), "train_acc")
    epochs = [first_epoch(run(f"caltech35/{r}"), "train_acc", lambda a: goal <= a < math.inf) for r in ("base-momentum", "base-lr-10")]
    return (difference(momentum, plain) >= 0.03 and epochs[0] < epochs[1],
            f"{percent(momentum)} against {percent(plain)}; train accuracy {percent(goal)} in epoch {epochs[0]:g} against {epochs[1]:g}")


def C8(run):
    accuracies = caltech(run, *(f"noise-{share}" for share in (0, 10, 30, 50)))
    return all(a > b > -math.inf for a, b in itertools.pairwise(accuracies)), percent(*accuracies)


def C9(run):
    noise, denoise = (caltech(run, *(f"{kind}-{share}" for share in (10, 30, 50))) for kind in ("noise", "denoise"))
    gains = [difference(b, a) for a, b in zip(noise, denoise)]
    return max(map(abs, gains)) < 0.03, f"{percent(*denoise)} against {percent(*noise)}"


def C10(run):
    trained, holds, seen = caltech(run, "base", "basic-block", metric="train_acc"), [], []
    for name in ("base", "basic-block"):
        found = described_of(run, name)
        learnt, scored, apart = right(found, "train", 3, 5), right(found, "test", 3, 5), found["silhouette"]["3,5"]
        holds.append(difference(learnt, scored) >= 0.3 and apart < 0.1)
        seen.append(f"{name}: classes 3 and 5 {percent(learnt)} of train right, {percent(scored)} of test, silhouette of the two {apart:.2f}")
    return min(trained) >= 0.7 and all(holds), f"train {percent(*trained)}; " + "; ".join(seen)


def C11(run):
    names = [*SCRATCH, "vgg16-112", "resnet18-112", "vgg16-224", "resnet18-224"]
    scored, apart = caltech(run, *names), [described_of(run, name)["silhouette"]["1-5"] for name in names]
    agree = [(a > b) == (s > t) for (a, s), (b, t) in itertools.combinations(zip(scored, apart), 2)]
    return (statistics.mean(agree) >= 0.8 and apart[5] < apart[6],
            ", ".join(f"{name} {percent(a)}, silhouette {s:.2f}" for name, a, s in zip(names, scored, apart)))


def C12(run):
    square, block = caltech(run, "basic-block-square", "basic-block")
    return difference(block, square) >= 0.1, f"{percent(square)} against {percent(block)}"


def C13(run):
    holds, seen = [], []
    for name in (f"{net}{loss}" for net in ("base", "basic-block") for loss in ("", "-cosine", "-euclid", "-square")):
        found = described_of(run, name)
        six, every = right(found, "test", 4, 8, 14, 16, 23, 24), right(found, "test")
        holds.append(difference(six, every) >= 0.1)
        seen.append(f"{name} {percent(six)}, all classes {percent(every)}")
    return all(holds), "; ".join(seen)


def C14(run):
    base, data, epochs = caltech(run, "base", "base-lr-10", "base-more-epochs")
    return (difference(data, base) >= 0.05 and difference(data, epochs) >= 0.05,
            f"{percent(base)}; with 20 more epochs {percent(epochs)}, with these and more data {percent(data)}")


def C15(run):
    names = [name for names in RATES_5.values() for name in names]
    trained, scored = caltech(run, *names, metric="train_acc"), caltech(run, *names)
    return min(trained) >= 0.95 and 0.4 <= min(scored) and max(scored) <= 0.6, f"train {percent(*trained)}; test {percent(*scored)}"


def L1(run):
    accuracies = {r: final(run(f"lenet_vgg/{r}"), "test_acc") for r in ("sigmoid-classic", "sigmoid-wide", "relu-classic", "relu-wide")}
    holds = all(math.isfinite(a) and a <= 0.25 if r.startswith("sigmoid") else a >= 0.55 for r, a in accuracies.items())
    return holds, ", ".join(f"{r} {100 * a:.1f} %" for r, a in accuracies.items())


def L2(run):
    wide, classic = tested(run, "lenet_vgg", "relu-wide", "relu-classic")
    return wide > classic, f"{percent(wide)} against {percent(classic)}"


def L3(run):
    free, clipped = run("lenet_vgg/momentum99"), run("lenet_vgg/momentum99-clip")
    return (free["status"] == "diverged" and clipped["status"] == "finished",
            f"without clipping {free['status']}, train loss {number(final(free, 'train_loss'))}; with it {clipped['status']}, "
            f"{number(final(clipped, 'train_loss'))}")


def L4(run):
    bn, without = valid(run, "fc2-bn-dropout", "fc2-dropout")
    return difference(bn, without) >= 0.02, f"{percent(bn)} against {percent(without)}"


def L5(run):
    holds, seen = [], []
    for name in ("template1", "template2"):
        losses = column(run(f"lenet_vgg/{name}"), "train_loss", 1, 50)
        fall = [math.inf, *(a - b for a, b in itertools.pairwise(losses))]  # fall[e - 1]: from epoch e - 1 to e
        halved = statistics.mean(fall[e - 1] for e in (5, 10, 15, 20))
        around = statistics.mean(fall[e - 1] for h in (5, 10, 15, 20) for e in (h - 1, h + 1))
        holds.append(halved > around)
        seen.append(f"{name} {halved:.4f} against {around:.4f}")
    return all(holds), "mean fall of the train loss: " + ", ".join(seen)


def L6(run):
    accuracies = valid(run, "vgg2-none", "vgg1-no-bn")
    return -math.inf < min(accuracies) and max(accuracies) <= 0.12, percent(*accuracies)


def L7(run):
    l2, aug, bn = valid(run, "vgg3-l2", "vgg5-aug", "vgg6-bn")
    return min(l2, aug) > bn, f"L2 {percent(l2)}, augmentation {percent(aug)} against {percent(bn)}"


def L8(run):
    accuracies = valid(run, *(f"vggdrop-{i}" for i in range(1, 6)))
    return max(accuracies[1:4]) > max(accuracies[0], accuracies[4]), percent(*accuracies)


def L9(run):
    accuracies = valid(run, "vggdrop-1", "vggdrop-1-l2-3", "vggdrop-1-l2-5")
    return all(a < b for a, b in itertools.pairwise(accuracies)), percent(*accuracies)


def L10(run):
    aug, = tested(run, "lenet_vgg", "vgg19-aug")
    return aug >= 0.85, percent(aug)


def L11(run):
    relu, sigmoid, wide = tested(run, "lenet_vgg", "relu-classic", "sigmoid-classic", "relu-wide")
    return relu - sigmoid > wide - relu, f"ReLU adds {100 * (relu - sigmoid):.1f} points, channels {100 * (wide - relu):.1f}"


def L12(run):
    relu, sigmoid = valid(run, "all-relu", "all-sigmoid")
    return max(relu, sigmoid) <= 0.15 and math.isfinite(min(relu, sigmoid)), f"ReLU {percent(relu)}, sigmoid {percent(sigmoid)}"


def L13(run):
    early, classic = tested(run, "lenet_vgg", "dropout-early", "relu-classic")
    return early < classic, f"{percent(early)} against {percent(classic)}"


def L14(run):
    three, two = valid(run, "fc3-bn-dropout", "fc2-bn-dropout")
    seen = f"{percent(three)} against {percent(two)}"
    with contextlib.suppress(NotRun):
        seen += "; at 50 epochs {} against {}".format(*map(percent, valid(run, "template1", "template2")))
    return difference(two, three) >= 0.01, seen


def L15(run):
    clipped, free = run("lenet_vgg/momentum99-clip"), run("lenet_vgg/lr01-momentum9")
    losses = [column(r, "train_loss", 1, 1)[0] for r in (clipped, free)]
    return (free["status"] == "finished" and losses[0] > losses[1],
            f"train loss in epoch 1 {number(losses[0])} with clipping, {number(losses[1])} without, which {free['status']}")


def L16(run):
    holds, gains, seen = [], [], []
    for plain, l2 in (("vgg6-bn", "vgg3-l2"), ("vgg16-bn", "vgg16-l2-5"), ("vgg19-plain", "vgg19-l2")):
        trained, scored = valid(run, plain, l2, metric="train_acc"), valid(run, plain, l2)
        gaps = [difference(t, v) for t, v in zip(trained, scored)]
        gains.append(difference(scored[1], scored[0]))
        holds.append(math.isfinite(min(scored)) and gaps[1] < gaps[0])
        seen.append(f"{l2} {percent(*scored[::-1])} without, train minus valid {percent(*gaps[::-1])} without")
    return all(holds) and gains[2] > gains[0], "; ".join(seen)


# The nets of exp-vgg-ablation, the one with augmentation and batch norm alone first.
ABLATION = "vgg5-aug vgg1-all vgg2-none vgg1-no-aug vgg1-no-l2 vgg1-no-bn vgg1-no-dropout vgg3-l2 vgg4-dropout vgg6-bn".split()


def L17(run):
    epochs = {name: first_epoch(run(f"lenet_vgg/{name}"), "valid_acc", lambda v: 0.8 <= v < math.inf) for name in ABLATION}
    aug, soonest = epochs["vgg5-aug"], min(list(epochs)[1:], key=epochs.get)
    return aug <= epochs[soonest] < math.inf or aug < epochs[soonest], f"epoch {aug:g}; the next, {soonest}, {epochs[soonest]:g}"


def L18(run):
    aug, *others = valid(run, "vgg5-aug", "vgg1-no-dropout", "vgg1-no-l2")
    aug19, *others19 = valid(run, "vgg19-aug", "vgg19-yy", "vgg19-xx", "vgg19-zz")
    return (max(others) <= aug and max(others19) <= aug19 and math.isfinite(aug + aug19),
            f"vgg13 {percent(aug)}, with L2 and with dropout {percent(*others)}; vgg19 {percent(aug19)}, with both {percent(*others19)}")


def L19(run):
    none, bn, *more = valid(run, "vgg2-none", "vgg6-bn", "vgg3-l2", "vgg4-dropout", "vgg5-aug")
    return (difference(bn, none) > max(difference(a, bn) for a in more),
            f"{percent(none)} without, {percent(bn)} with it; L2, dropout, augmentation added {percent(*more)}")


def L20(run):
    (trained,), (scored,) = valid(run, "vggdrop-1", metric="train_acc"), valid(run, "vggdrop-1")
    return difference(trained, scored) >= 0.1, f"train {percent(trained)}, valid {percent(scored)}"


def gain(run, name, base="baseline"):
    """By how much run `name` of report 3 is better than `base` in test accuracy, and the words for it."""
    ours, theirs = tested(run, "net", name, base)
    return difference(ours, theirs), f"{name} {percent(ours)} against {percent(theirs)}"


def N1(run):
    accuracies = tested(run, "net", "batch-16", "batch-32", "baseline", "batch-128")
    return all(a > b for a, b in itertools.pairwise(accuracies)), percent(*accuracies)


def N2(run):
    (points, seen), losses = gain(run, "flip"), [final(run(f"net/{r}"), "train_loss") for r in ("flip", "baseline")]
    return abs(points) < 0.02 and losses[0] > losses[1], f"{seen}; train loss {number(losses[0])} against {number(losses[1])}"


def N3(run):
    points, seen = gain(run, "adam")
    return points >= 0.05, seen


def N4(run):
    (sgd, seen_sgd), (adam, seen_adam) = gain(run, "sgd-step"), gain(run, "adam-step", "adam")
    losses = [final(run(f"net/{r}"), "train_loss") for r in ("sgd-step", "baseline", "adam-step", "adam")]
    return (sgd >= 0.02 and -math.inf < adam < 0.02 and losses[0] < losses[1] and losses[2] < losses[3],
            f"{seen_sgd}, {seen_adam}; train losses {number(losses[0])} against {number(losses[1])}, {number(losses[2])} against {number(losses[3])}")


def N5(run):
    points, seen = gain(run, "bn")
    return points >= 0.05, seen


def N6(run):
    points, seen = gain(run, "kaiming")
    return abs(points) <= 0.02, seen


def N7(run):
    points, seen = gain(run, "double")
    return points >= 0.02, seen


def N8(run):
    best, = tested(run, "net", "best")
    return best >= 0.80, percent(best)


def N9(run):
    points, seen = gain(run, "resnet18", "best")
    return abs(points) <= 0.02, seen


def N10():
    import models

    resnet, best = (models.count_parameters(net) for net in (models.build("resnet18"), models.build("net", channels=(256, 256), norm="bn", dropout=0.1)))
    return resnet < best, f"{resnet:,} against {best:,}"


def N11(run):
    seventh, ninth, adam = value(run("net/baseline"), "test_acc@7"), value(run("net/baseline"), "test_acc@9"), value(run("net/adam"), "test_acc@1")
    if None in (seventh, ninth, adam):
        return False, "one of them diverged"
    return seventh <= adam <= ninth, f"Adam {percent(adam)} after epoch 1; SGD {percent(seventh)} after epoch 7, {percent(ninth)} after epoch 9"


# The sweeps of report 4, in the order of the value.
DROPOUTS = {"mlp": "mlp-no-dropout mlp-dropout-0.1 mlp-dropout-0.2 mlp-dropout-0.3 mlp-dropout-0.4 mlp mlp-dropout-0.6".split(),
            "cnn": "cnn-no-dropout cnn-dropout-0.05 cnn cnn-dropout-0.15 cnn-dropout-0.2 cnn-dropout-0.25 cnn-dropout-0.3".split()}
RATES = {"mlp": "mlp-lr-1e-1 mlp-lr-5e-2 mlp-lr-1e-2 mlp mlp-lr-1e-3 mlp-lr-5e-4 mlp-lr-1e-4".split(),
         "cnn": "cnn-lr-1e-2 cnn cnn-lr-1e-3 cnn-lr-2e-4 cnn-lr-1e-4 cnn-lr-2e-5 cnn-lr-1e-5".split()}


def swept(run, names, metric):
    """A metric of runs of report 4, the median over their last 10 epochs."""
    return [final(run(f"mlp_cnn/{name}"), f"late_{metric}") for name in names]


def M1(run):
    cnn, mlp = tested(run, "mlp_cnn", "cnn", "mlp")
    return difference(cnn, mlp) >= 0.15, f"{percent(cnn)} against {percent(mlp)}"


def M2(run):
    mlp, mlp_without, cnn, cnn_without = tested(run, "mlp_cnn", "mlp", "mlp-no-bn", "cnn", "cnn-no-bn")
    return mlp_without < mlp and cnn_without < cnn, f"mlp {percent(mlp_without)} against {percent(mlp)}, cnn {percent(cnn_without)} against {percent(cnn)}"


def M3(run):
    mlp, mlp_without, cnn, cnn_without = tested(run, "mlp_cnn", "mlp", "mlp-no-dropout", "cnn", "cnn-no-dropout")
    return (math.isfinite(min(mlp, cnn)) and difference(mlp, mlp_without) > difference(cnn, cnn_without),
            f"mlp {percent(mlp_without)} against {percent(mlp)}, cnn {percent(cnn_without)} against {percent(cnn)}")


def M4(run):
    cnn, *others = tested(run, "mlp_cnn", "cnn", "cnn-relu-bn", "cnn-pool-first", "cnn-dropout-bn")
    return math.isfinite(cnn) and max(others) <= cnn, f"{percent(*others)} against {percent(cnn)}"


def M5(run):
    accuracies = swept(run, DROPOUTS["mlp"], "valid_acc")
    steps = [difference(b, a) for a, b in itertools.pairwise(accuracies)]
    return min(steps) >= -0.005 and accuracies[-1] > accuracies[0], percent(*accuracies)


def M6(run):
    best = {}
    for net, names in RATES.items():
        accuracies = swept(run, names, "valid_acc")
        best[net] = names[accuracies.index(max(accuracies))], max(accuracies)
    return all(best[net][0] == net for net in best), ", ".join(f"best {name} {percent(a)}" for name, a in best.values())


def M7(run):
    holds, seen = [], []
    for net in ("mlp", "cnn"):
        record = run(f"mlp_cnn/{net}")
        valid, train = column(record, "valid_loss", 1, 50), column(record, "train_loss", 1, 50)
        lowest, at_end, train_end = min(valid), final(record), final(record, "late_train_loss")
        epoch = valid.index(lowest)
        holds.append(1.05 * lowest <= at_end and train_end < train[epoch])
        seen.append(f"{net} valid {number(lowest)} in epoch {epoch + 1}, {number(at_end)} at the end, train {number(train[epoch])} and {number(train_end)}")
    return all(holds), ", ".join(seen)


def M8(run):
    cnn, relu_bn, pool_first, dropout_bn = tested(run, "mlp_cnn", "cnn", "cnn-relu-bn", "cnn-pool-first", "cnn-dropout-bn")
    return (math.isfinite(cnn) and pool_first < min(relu_bn, dropout_bn) and difference(dropout_bn, cnn) >= -0.01,
            f"{percent(cnn)}; pooling first {percent(pool_first)}, ReLU before BN {percent(relu_bn)}, dropout before BN {percent(dropout_bn)}")


def M9(run):
    accuracies = {net: swept(run, names, "train_acc") for net, names in DROPOUTS.items()}
    return (all(a > b for numbers in accuracies.values() for a, b in itertools.pairwise(numbers)),
            ", ".join(f"{net} {percent(*numbers)}" for net, numbers in accuracies.items()))


def M10(run):
    accuracies = swept(run, DROPOUTS["cnn"], "valid_acc")
    steps = [difference(b, a) for a, b in itertools.pairwise(accuracies)]
    return difference(min(accuracies), max(accuracies)) > -0.03 and min(steps) < 0 < max(steps), percent(*accuracies)


def M11(run):
    holds, seen = [], []
    for net, names in RATES.items():
        large, own, small = (run(f"mlp_cnn/{name}") for name in (names[0], net, names[-1]))
        early, late, better = column(large, "train_loss", 10, 10)[0], final(large, "late_train_loss"), final(own, "late_train_loss")
        before, after = (statistics.mean(column(small, "valid_loss", first, first + 4)) for first in (36, 46))
        holds.append(better < late < math.inf and abs(early - late) <= 0.1 * late and after <= 0.99 * before)
        seen.append(f"{names[0]} train loss {number(early)} in epoch 10, {number(late)} at the end ({net} {number(better)}); "
                    f"{names[-1]} valid loss {number(before)} in epochs 36 to 40, {number(after)} in 46 to 50")
    return all(holds), ", ".join(seen)


def M12():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import models

    params, work = {}, {}
    for net in ("mlp", "cnn"):
        model = models.build(net).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, *model.input_shape))
        params[net], work[net] = models.count_parameters(model), counter.get_total_flops() // 2
    return (params["cnn"] < params["mlp"] and work["cnn"] > work["mlp"],
            f"{params['cnn']:,} parameters against {params['mlp']:,}; {work['cnn']:,} multiplications an image against {work['mlp']:,}")


CLAIMS = {f.__name__: f for f in (C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, K1, K2, K3, K4, K5, K6, K7, K8, K9,
                                  K10, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15, L16, L17, L18, L19, L20, M1, M2,
                                  M3, M4, M5, M6, M7, M8, M9, M10, M11, M12, N1, N2, N3, N4, N5, N6, N7, N8, N9, N10, N11)}
COUNTED = ("N10", "M12")  # from the nets alone: these need no run


class NotRun(Exception):
    """A claim asks for a run that is not there."""


def verdict(claim, records):
    """("holds" | "does not hold" | "undecided (needs more seeds)" | "not run", seeds judged, what was seen), seed by seed.

    The runs of one seed share its order of images and initial weights, so each seed is one paired comparison. Four fifths of the
    seeds must agree: all of up to four, all but one of five.
    """
    if claim in COUNTED:
        holds, seen = CLAIMS[claim]()
        return "holds" if holds else "does not hold", 0, seen
    found, judged = {(r["run"], r["seed"]): r for r in records}, []

    def of_seed(seed, run):
        if (run, seed) not in found:
            raise NotRun
        return found[run, seed]

    for seed in sorted({seed for _, seed in found}):
        with contextlib.suppress(NotRun):
            judged.append((seed, *CLAIMS[claim](functools.partial(of_seed, seed))))
    share = statistics.mean(float(holds) for _, holds, _ in judged) if judged else None
    word = "not run" if share is None else "holds" if share >= 0.8 else "does not hold" if share <= 0.2 else "undecided (needs more seeds)"
    return word, len(judged), "; ".join(f"seed {seed}: {seen}" if len(judged) > 1 else seen for seed, _, seen in judged)


def claims_table(declared, claims, records):
    rows = []
    for claim in claims:
        word, seeds, seen = verdict(claim, records)
        rows.append([claim, declared["claim"][claim], word, "by count" if claim in COUNTED else seeds or "–", seen or "–"])
    return markdown(["claim", "what it says", "verdict", "seeds", "seen, seed by seed"], rows)


# ----------------------------------------------------------------------------------------------------------------- pages


def draw(declared, name, records, out, prefix="", runs_dir=None, data_dir=None, seed=0, for_results=False):
    """The figures of a comparison, as its plots.NAME says; gives their paths. for_results: without photographs and without single runs."""
    import plots

    runs, paths = declared["exp"][name], []
    records = sorted((r for r in records if r["run"] in runs), key=lambda r: (runs.index(r["run"]), r["seed"]))
    firsts = [next(mine) for _, mine in itertools.groupby(records, key=lambda r: r["run"])]  # of each run its first seed
    for word in declared["plots"].get(name, []):
        kind, _, detail = word.partition(":")
        path = Path(out) / f"{prefix}{kind}.png"
        if kind == "pick":  # for the table
            continue
        elif kind == "curves":
            figures = readable(declared, runs)
            for i, some in enumerate(figures, 1):
                if mine := [r for r in records if r["run"] in some]:
                    paths.append(path.with_stem(f"{path.stem}-{i}") if len(figures) > 1 else path)
                    plots.curves(mine, paths[-1], int(detail or 0))
            continue
        elif kind == "by-epoch":
            if not any(value(r, f"test_acc@{epoch}") is not None for r in records for epoch in r["curves"]["epoch"]):
                continue  # all diverged at once
            plots.by_epoch(records, by_epoch(declared, runs), path)
        elif kind == "sweep":  # a figure a net
            flags = {run: as_dict(declared["run"][run]) for run in runs}
            for net in dict.fromkeys(f["model"] for f in flags.values()):
                values = {run: float(f[detail]) for run, f in flags.items() if f["model"] == net}
                ours = [r for r in records if r["run"] in values]
                if len({r["run"] for r in ours}) > 1:
                    paths.append(Path(out) / f"{prefix}sweep-{net}.png")
                    plots.sweep(ours, values, paths[-1], detail)
            continue
        elif kind == "single":
            for run in [] if for_results else dict.fromkeys(r["run"] for r in records if r["seed"] == seed):
                paths += plots.single(Path(runs_dir, run, f"seed{seed}"), Path(out) / run.partition("/")[2])
            continue
        elif kind == "against":
            values = {run: float(flags[detail]) for run, flags in ((run, as_dict(declared["run"][run])) for run in runs) if detail in flags}
            if not any(r["run"] in values and value(r, "test_acc") is not None for r in records):
                continue
            printed = {run: re.search(r"\btest_acc=(\d*\.?\d+)", declared["want"].get(run, "")) for run in values}  # the first of a range
            plots.against(records, values, {run: float(found[1]) for run, found in printed.items() if found}, path, detail.replace("-", "_"))
        elif kind == "confusion":
            for r in firsts:
                if "described" in r:
                    paths.append(Path(out) / f"{prefix}confusion-{r['run'].partition('/')[2]}.png")
                    plots.confusion(r["described"]["confusion"], f"{r['run']}, seed {r['seed']}", paths[-1], r["data"]["synthetic"])
            continue
        elif kind == "features":  # features:CLASSES for all runs, features:CLASSES:RUN for one
            paths += pictures_of_features(declared, name, detail, firsts, runs_dir, out, prefix, data_dir)
            continue
        elif kind == "layers":  # a table
            continue
        elif kind == "faces":
            there = [run for run in runs if (Path(runs_dir) / run / f"seed{seed}" / "model.pt").exists()]
            if not there or not picture_of_faces(runs_dir, there, seed, path, data_dir, not for_results):
                continue
        else:
            sys.exit(f"report.py: plots.{name} asks for {kind}; there are curves, by-epoch, sweep, against, single, "
                     "faces, confusion, features, layers and pick")
        paths.append(path)
    return paths


def pictures_of_features(declared, name, detail, records, runs_dir, out, prefix, data_dir):
    """PCA and t-SNE of the nets of `records` whose weights are in runs_dir, as a word features:CLASSES of plots.NAME says; a run with a word
    features:CLASSES:RUN of its own is left to that one."""
    import plots

    classes, _, only = detail.partition(":")
    own = [word.split(":")[2] for word in declared["plots"][name] if re.match(r"features:.*:", word)]
    paths = []
    for r in records:
        folder, short = Path(runs_dir, r["run"], f"seed{r['seed']}"), r["run"].partition("/")[2]
        here = read_result(folder) or {}
        if (short != only if only else short in own) or here.get("flags") != r.get("flags") or here.get("status") != "finished":
            continue
        if found := answers_of(folder, data_dir):
            paths.append(Path(out) / f"{prefix}features-{short}.png")
            plots.features(found, [int(c) for c in classes.split(",")], f"{r['run']}, seed {r['seed']}", paths[-1], r["data"]["synthetic"])
    return paths


def readable(declared, runs):
    """Runs as the figures that show them: all in one, or, where there are more than colours, by net and evenly."""
    import plots

    most = len(plots.COLOURS)
    if len(runs) <= most:
        return [runs]
    figures, nets = [], {}
    for run in runs:
        nets.setdefault(as_dict(declared["run"][run])["model"], []).append(run)
    for mine in nets.values():
        size = math.ceil(len(mine) / math.ceil(len(mine) / most))
        figures += [mine[i:i + size] for i in range(0, len(mine), size)]
    return figures


def picture_of_faces(runs_dir, runs, seed, path, data_dir, photo):
    import data
    import plots

    try:
        return plots.faces(runs_dir, runs, seed, path, data_dir, photo=photo)
    except data.DataError as e:  # a folder of runs that came without its data
        print(f"report.py: no picture of faces: {e}", file=sys.stderr)
        return False


def make_exp(declared, names, args):
    """Figures and table of each comparison into RUNS/figures/exp-NAME/, the table printed; the status line last."""
    import plots

    for name in names:
        records = []
        for run, seed in ((run, seed) for run in declared["exp"][name] for seed in args.seeds):
            try:
                folder = Path(args.runs, run, f"seed{seed}")
                record = plots.read_run(folder)
                record = record and described(record, folder, args.data_dir)
            except ValueError as e:
                print(f"report.py: {e}", file=sys.stderr)
                continue
            if record and record.get("flags") in (None, f"{declared['run'][run]} {args.flags}".strip()):  # not one made with other flags
                records.append(record)
        out = Path(args.runs, "figures", f"exp-{name}")
        print(f"\nexp-{name}: {declared['about'][name]}")
        if not records:
            print("nothing trained yet")
            continue
        out.mkdir(parents=True, exist_ok=True)
        finished = [r for r in records if r["status"] != "unfinished"]
        text = table(declared, name, finished) + "\n\n"
        if any(r["data"]["synthetic"] for r in finished):
            text += "Made with generated data: nothing here says anything about the reports.\n"
        elif args.flags:
            text += f"Made with {args.flags} appended: not the reports' settings.\n"
        else:
            claims = [c for c in declared["claim"] if c not in COUNTED and verdict(c, finished)[0] != "not run"]
            text += (claims_table(declared, claims, finished) + "\n\n" if claims else "") + (made_on(finished) + "\n" if finished else "")
        (out / "table.md").write_text(text)
        print(text)
        for path in draw(declared, name, records, out, "", args.runs, args.data_dir, args.seeds[0]):
            print(f"wrote {path}")
    return status(declared, dict.fromkeys(run for name in names for run in declared["exp"][name]), args, lines=False)


def merge(declared, runs_dir, data_dir="data"):
    """Takes finished full-length runs on real data from `runs_dir` into results/records.jsonl; no row is ever dropped."""
    import plots

    rows = {(r["run"], r["seed"]): r for r in read_records()}
    log = re.compile(r"^(?:finished|diverged) at (\S+):", re.M)
    for file in sorted(Path(runs_dir).glob("*/*/seed*/result.json")):
        if not re.fullmatch(r"seed\d+", file.parent.name):  # seed0.1 was put aside
            continue
        record = plots.read_run(file.parent)
        flags = declared["run"].get(record["run"])
        why_not = ("not declared" if flags is None else "made with other flags" if record["flags"] != flags else
                   "generated data" if record["data"]["synthetic"] else "cut short" if record["max_steps"] else None)
        if why_not:
            print(f"left out: {file.parent} ({why_not})")
            continue
        curves = {k: v for k, v in record["curves"].items() if k != "seconds" and any(x is not None for x in v)}
        record["curves"] = {k: [float(f"{x:.5g}") if isinstance(x, float) else x for x in v] for k, v in curves.items()}
        record["finished_at"] = max(log.findall((file.parent / "train.log").read_text()), default="")
        old = rows.get((record["run"], record["seed"]), {})
        if old.get("finished_at", "") > record["finished_at"]:
            print(f"left out: {file.parent} (older than the record)")
            continue
        known = {"described": old["described"]} if "described" in old and old["finished_at"] == record["finished_at"] else {}
        rows[record["run"], record["seed"]] = {**known, **described(record, file.parent, data_dir)}
    text = "".join(json.dumps(rows[key], allow_nan=False) + "\n" for key in sorted(rows))
    RECORDS.parent.mkdir(exist_ok=True)
    part = RECORDS.with_suffix(".tmp")
    part.write_text(text)
    os.replace(part, RECORDS)


def described(record, folder, data_dir):
    """A record of caltech35 with "described": what its net answers, in numbers (plots.describe), worked out once from its weights and kept in
    its folder; the record as it is where the weights or the data are not there."""
    import plots

    file = Path(folder) / "described.json"
    if record["data"].get("name") != "caltech35" or record["status"] != "finished" or record["metrics"].get("test_acc") is None:
        return record
    if not file.exists():
        found = answers_of(folder, data_dir)
        if not found:
            return record
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(plots.describe(found)))
        os.replace(part, file)
    return {**record, "described": json.loads(file.read_text())}


def answers_of(folder, data_dir):
    """plots.answers of a run's folder; None, and a line on stderr if it should not be so, where it has no weights or they cannot be used."""
    import plots

    if not (Path(folder) / "model.pt").exists():
        return None
    try:
        return plots.answers(folder, data_dir)
    except Exception as e:  # data that are not here, and whatever torch makes of a torn file
        print(f"report.py: the net of {folder} cannot be asked: {' '.join(str(e).split())[:300]}", file=sys.stderr)
        return None


def read_records():
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def make_report(declared, args):
    """results/REPORT.md and results/figures/ from results/records.jsonl, and the summary in README.md."""
    merge(declared, args.runs, args.data_dir)
    records = [r for r in read_records() if declared["run"].get(r["run"]) == r["flags"]]
    summaries = []
    texts = {report: (ROOT / "experiments" / f"{report}.mk").read_text() for report in map(report_of, declared["run"])}
    for report, mk in sorted(texts.items(), key=lambda item: item[1]):  # by their first lines: # Report 1, # Report 2
        mine = [r for r in records if report_of(r["run"]) == report]
        title = mk.splitlines()[0].lstrip("# ").rstrip(".")
        claims = re.findall(r"^claim\.(\S+)", mk, re.M)
        page = [f"# {title}", "", "Made by `make report` from `results/records.jsonl`. " + (made_on(mine) if mine else "Nothing measured yet."), ""]
        page += [*re.findall(r"^#> ?(.*)", mk, re.M), ""] if "\n#>" in mk else []
        for name in [n for n, runs in declared["exp"].items() if report_of(runs[0]) == report]:
            ours = [r for r in mine if r["run"] in declared["exp"][name]]
            page += [f"## exp-{name}", "", declared["about"][name], ""]
            page += [table(declared, name, ours) if ours else "Not measured yet.", ""]
            if len({r["run"] for r in ours}) > 1:  # one run alone is no comparison
                figures = RECORDS.parent / "figures"
                seeds = [r["seed"] for r in ours if r["run"] == declared["exp"][name][-1]]
                draw(declared, name, ours, figures, f"exp-{name}-", args.runs, args.data_dir, min(seeds, default=0), for_results=True)
                page += [f"![{p.stem}](figures/{p.name})\n" for p in sorted(figures.glob(f"exp-{name}-*.png")) if
                         re.fullmatch(r"curves(-\d+)?|faces|by-epoch|sweep-\w+|against|confusion-[\w-]+|features-[\w-]+", p.stem.removeprefix(f"exp-{name}-"))]
        page += ["## Claims", "", claims_table(declared, claims, mine), ""]
        (RECORDS.parent / f"{report}.md").write_text("\n".join(page))
        summaries.append(summary(declared, report, title, claims, mine))
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    readme.write_text(before + BEGIN + "\n\n" + "\n".join(summaries) + "\n" + END + rest.partition(END)[2])
    print(f"wrote {RECORDS.parent}/ and the summary in README.md: {len(records)} records of {len({r['run'] for r in records})} runs")
    return 0


def summary(declared, report, title, claims, records):
    """A report's part of the README: printed numbers beside measured ones, and the count of verdicts."""
    rows = []
    for run, want in declared["want"].items():
        mine = [r for r in records if r["run"] == run]
        if report_of(run) == report and want != "none" and mine:
            metrics = [w.partition("=")[0] for w in few(want)]
            rows.append([f"`{run}`", shown_wants(want), in_line({m: measured(mine, m) for m in metrics}), len(mine)])
    verdicts = collections.defaultdict(list)
    for claim in claims:
        verdicts[verdict(claim, records)[0]].append(claim)
    said = "; ".join(f"{word}: {', '.join(names)}" for word, names in sorted(verdicts.items()))
    return "\n".join([f"### {title}", "", *([markdown(["run", "reported", "measured", "seeds"], rows), ""] if rows else []),
                      f"Claims: {said}. Tables, figures and what each claim says: [results/{report}.md](results/{report}.md).",
                      *(["", made_on(records)] if records else []), ""])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("command", choices=("list", "status", "exp", "report"))
    parser.add_argument("names", nargs="*", help="comparisons (exp) or runs (status); default: all")
    parser.add_argument("--runs", default="runs", help="folder of the runs (default: runs)")
    parser.add_argument("--data-dir", default="data", help="folder of the data sets (default: data)")
    parser.add_argument("--seeds", default="0", help='seeds, as in "0 1 2" (default: 0)')
    parser.add_argument("--flags", default="", help="flags that were appended to every run's own")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"\d+( \d+)*", args.seeds):
        parser.error(f'--seeds "{args.seeds}" is no list of whole numbers such as "0 1 2"')
    args.seeds = [int(seed) for seed in args.seeds.split()]
    declared = declarations()
    known = declared["run"] if args.command == "status" else declared["exp"]
    if unknown := [name for name in args.names if name not in known]:
        parser.error(f"{', '.join(unknown)} is not declared; there are {', '.join(known)}")
    if args.command == "list":
        return show_list(declared)
    if args.command == "status":
        return status(declared, args.names or declared["run"], args) and 0
    return make_exp(declared, args.names or declared["exp"], args) if args.command == "exp" else make_report(declared, args)


if __name__ == "__main__":
    sys.exit(main())

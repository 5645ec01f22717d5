"""What is read off records, and results/records.jsonl, the committed file of them.

    make report                                  # merges what is finished in runs/ into results/records.jsonl
    wc -l results/records.jsonl                  # so many runs, one a line

A record is a run's result.json with, under "curves", the columns of its log.jsonl. What judges claims is given `run`,
a function from a run's name to its record; it raises NotRun for a run that is not there.
"""
import json
import math
import re
import statistics
import sys
from pathlib import Path

from experiments import ask, declarations, folders, jobs, runs

RECORDS = Path(__file__).resolve().parent.parent / "results" / "records.jsonl"
WHOLE = "Get it back from git, then make the report again."
# What tables and verdicts rely on; in a name with a question mark what may be missing.
OF_RECORD = {name: folders.RESULT[name] for name in ("run", "seed", "status", "flags", "metrics", "data", "versions",
                                                     "epochs", "threads", "seconds_per_epoch", "init_flags?",
                                                     "precision?")}
OF_RECORD |= {"curves": folders.is_object, "finished_at?": folders.is_text, "described?": folders.is_object}
CLASSES = {"cifar10": 10, "caltech35": 35}
OF_GUESSING = 1.2  # times the accuracy of guessing: a net that is not above that has learned nothing
LATE = 10  # epochs; the median over the last so many is not spoilt by a jump in the very last one


class NotRun(Exception):
    """A claim asks for a run that is not there."""


# ---- one record -----------------------------------------------------------------------------------------------------

def value(record, metric):
    """Returns a metric of a record, a number, or None where it is not there.

    "test_acc" is a metric of the result; "tail_loss", which the result has not, of the log's last epoch; "valid_acc@10"
    of that epoch; "late_valid_loss" the median of its last 10 epochs. Report 2 prints losses in another way:
    "train_loss+penalty/4@10" is (train loss + L2 term) / 4 of epoch 10.
    """
    quantity, _, epoch = metric.partition("@")
    if "+" in quantity or "/" in quantity:
        return sum_over_divisor(record, quantity, epoch)
    if quantity.startswith("late_"):
        return late(record, quantity.removeprefix("late_"))
    if not epoch and quantity in record["metrics"]:
        return record["metrics"][quantity]
    by_epoch = record["curves"].get(quantity) or []
    index = int(epoch) - 1 if epoch else len(by_epoch) - 1
    return by_epoch[index] if 0 <= index < len(by_epoch) else None


def sum_over_divisor(record, quantity, epoch):
    """The value of "train_loss+penalty/4" at an epoch ("" for the end), or None where one of its terms is not there."""
    terms, _, divisor = quantity.partition("/")
    at = f"@{epoch}" if epoch else ""
    numbers = [value(record, term + at) for term in terms.split("+")]
    if None in numbers:
        return None
    return sum(numbers) / int(divisor or 1)


def late(record, name):
    """The median of a column over the last 10 epochs, None where it is not finite; no number counts as infinite."""
    last = [math.inf if x is None else x for x in record["curves"].get(name, [])[-LATE:]]
    if not last or not math.isfinite(statistics.median(last)):
        return None
    return statistics.median(last)


def final(record, metric="late_valid_loss"):
    """A metric at the end of a run, to be compared: one that diverged has an infinite loss or an accuracy of -inf."""
    x = None if record["status"] == "diverged" else value(record, metric)
    if x is None and record["status"] == "printed":  # what a report did not print is not there
        raise NotRun
    if x is None:
        return -math.inf if "_acc" in metric else math.inf
    return x


def column(record, metric="valid_loss", first=1, last=250):
    """A metric by epoch, first..last, counted from 1 and inclusive.

    What is not finite or not there counts as infinite, of accuracies as -inf; so do the epochs after a divergence.
    """
    worst = -math.inf if "_acc" in metric else math.inf
    numbers = [worst if x is None else x for x in record["curves"].get(metric, [])]
    numbers += [worst] * (last - len(numbers))
    return numbers[first - 1:last]


def unsteadiness(record, first, last):
    """The mean change of the valid loss from epoch to epoch, over epochs first..last; infinite if it diverged."""
    losses = column(record, "valid_loss", first, last)
    if not math.isfinite(max(losses)):
        return math.inf
    return statistics.mean(abs(after - before) for before, after in zip(losses, losses[1:]))


def first_epoch(record, metric, reached):
    """The first epoch for whose value of the metric `reached` holds; infinite if there is none."""
    for epoch, x in enumerate(column(record, metric), 1):
        if reached(x):
            return float(epoch)
    return math.inf


def blew_up(record):
    """Returns whether a run diverged, or ended at twice the train loss of its first epoch or more.

    Ended: the median of the last 10 epochs. A loss of 1e8 is a number, and yet says nothing of the net.
    """
    if record["status"] == "diverged":
        return True
    losses = record["curves"].get("train_loss") or [None]
    return losses[0] is not None and final(record, "late_train_loss") >= 2 * losses[0]


def at_chance(accuracy, classes):
    """Returns whether an accuracy, a fraction, of a net of so many classes is no better than guessing."""
    return accuracy <= OF_GUESSING / classes


def learned_nothing(record):
    """Returns whether a run ended no better than guessing, on test or, without that, on valid."""
    classes = CLASSES.get(record.get("data", {}).get("name"))
    accuracy = value(record, "test_acc")
    if accuracy is None:
        accuracy = value(record, "valid_acc")
    return classes is not None and accuracy is not None and at_chance(accuracy, classes)


# ---- several records ------------------------------------------------------------------------------------------------

def finals(run, report, *names, metric):
    """A metric of runs of one report, at their end, in the order of their names."""
    return [final(run(f"{report}/{name}"), metric) for name in names]


def tested(run, report, *names):
    """Test accuracies of runs of one report, in the order of their names."""
    return finals(run, report, *names, metric="test_acc")


def difference(a, b):
    """a - b of two accuracies, exact to the last image, so that 61.23 - 56.23 is 5 points.

    Nothing is gained on a `b` that diverged: then it is -inf.
    """
    return round(a - b, 6) if math.isfinite(b) else -math.inf


def with_aliases(declared, records):
    """Returns the records and, under every alias, copies of those of the run that it is a second name of.

    What was measured under such a name before it became one is left out.
    """
    aliases = declared.get("alias", {})
    own = [record for record in records if record["run"] not in aliases]
    copies = [{**record, "run": alias} for alias, run in aliases.items() for record in own if record["run"] == run]
    return own + copies


# ---- numbers as a reader wants them ---------------------------------------------------------------------------------

def number(x):
    """A loss: 6.01e+07, 20.4, 0.512."""
    if x >= 1e4:
        return f"{x:.3g}"
    return f"{x:.1f}" if x >= 10 else f"{x:.3f}"


# ---- the committed file ---------------------------------------------------------------------------------------------

def read_records():
    """All records of results/records.jsonl; none where there is no such file or nothing in it.

    Raises BadInput, naming the line, for one that is no record.
    """
    return runs.read_objects(RECORDS, WHOLE, wrong_with_record)


def wrong_with_record(record):
    """What is wrong with an object that is to be a record, or "": of the fields that tables and verdicts rely on."""
    wrong = folders.wrong_with(record, OF_RECORD)
    if wrong:
        return wrong
    of_versions = {"device": folders.is_text, "torch": folders.is_text}
    of_data = {"source": folders.is_text, "synthetic": folders.is_truth}
    if "--clean-by" in record["flags"]:
        of_data |= folders.OF_CLEANED_DATA
    number = folders.METRICS["test_acc"]  # or null
    wrong = (folders.wrong_with(record["metrics"], dict.fromkeys(record["metrics"], number), "metrics.")
             or folders.wrong_with(record["data"], of_data, "data.")
             or folders.wrong_with(record["versions"], of_versions, "versions."))
    if not wrong and not all(map(folders.is_list, record["curves"].values())):
        wrong = "its curves are not lists"
    if not wrong and "described" in record:
        wrong = folders.wrong_with_description(record["described"])
    return wrong


def merge(declared, runs_dir, data_dir="data"):
    """Takes finished full-length runs on real data from `runs_dir` into results/records.jsonl.

    Of a run and seed the newest of each kind is kept: on a CPU or a GPU, in bfloat16 or not. It replaces what there was
    of that kind, older or made with other flags than are declared now; nothing else is ever dropped. Prints a line for
    every result that is left out or replaces one of another device. Returns whether all of them could be read.
    """
    well = True
    rows = {key_of(record): record for record in read_records()}
    for file in sorted(Path(runs_dir).glob("*/*/seed*/result.json")):
        folder = file.parent
        if not re.fullmatch(r"seed\d+", folder.name):  # seed0.1 was put aside
            continue
        try:
            reason = take(declared, folder, data_dir, rows)
        except runs.BadInput as e:
            print(f"report.py: left out: {e}", file=sys.stderr)
            well = False
            continue
        if reason:
            print(f"left out: {folder} ({reason})")
    text = "".join(json.dumps(rows[key], allow_nan=False) + "\n" for key in sorted(rows))
    RECORDS.parent.mkdir(exist_ok=True)
    runs.write_atomically(text.encode(), RECORDS)
    return well


def take(declared, folder, data_dir, rows):
    """Puts the record of a finished run into `rows`, {key_of(record): record}, or returns why not, in words.

    Raises BadInput, naming the file, where something in the folder is broken.
    """
    record = runs.read_run(folder)
    reason = why_not(declared, record, folder)
    if reason:
        return reason
    record["curves"] = rounded(record["curves"])
    record["finished_at"] = finished_at(folder)
    line = runs.flags_line(folder)
    if declarations.line_of(record) != line:  # flags.txt counts: it has all the runs before this one
        own, _, start = line.partition(" < ")
        record = {**record, "flags": own, "init_flags": start or None}
    key = key_of(record)
    old = rows.get(key, {})
    has_same_flags = bool(old) and declarations.line_of(old) == line
    if has_same_flags and old.get("finished_at", "") > record["finished_at"]:
        return "older than the record"
    record = ask.described(record, folder, data_dir)
    is_known = "described" in old and old.get("finished_at") == record["finished_at"]
    if is_known and "described" not in record:
        record = {**record, "described": old["described"]}
    if old and device_of(old) != device_of(record):
        print(f"{folder}, made on {device_of(record)}, replaces a record made on {device_of(old)}")
    rows[key] = record
    return None


def key_of(record):
    """What a row of the file is found by: run, seed, and whether it was made in bfloat16 and on a GPU."""
    return record["run"], record["seed"], in_bfloat16(record), on_gpu(record)


def device_of(record):
    """The name of the processor or graphics card that a run was made on."""
    return record["versions"]["device"]


def on_gpu(record):
    """Was this run made on a GPU?"""
    return jobs.is_gpu(device_of(record))


def in_bfloat16(record):
    """Was this run made in bfloat16? Records of older versions do not say; they were not."""
    return record.get("precision") == "bfloat16"


def both_precisions(records):
    """Pairs of records of one run, seed and kind of device, (in float32, in bfloat16), in the order of the latter."""
    in_float32, pairs = {key_of(record): record for record in records if not in_bfloat16(record)}, []
    for record in records:
        other = record["run"], record["seed"], False, on_gpu(record)
        if in_bfloat16(record) and other in in_float32:
            pairs.append((in_float32[other], record))
    return pairs


def both_devices(records):
    """Pairs of records of one run and seed, (on a CPU, on a GPU), each in float32 where it was made so."""
    of_cpus = one_of_each_seed(record for record in records if not on_gpu(record))
    of_gpus = one_of_each_seed(record for record in records if on_gpu(record))
    on_cpu, pairs = {(record["run"], record["seed"]): record for record in of_cpus}, []
    for record in of_gpus:
        seed = record["run"], record["seed"]
        if seed in on_cpu:
            pairs.append((on_cpu[seed], record))
    return pairs


def one_of_each_seed(records):
    """One record of each run and seed, which counts: in float32, as in the reports, rather than in bfloat16, then on a
    CPU rather than on a GPU, whose float32 may be TF32. So none that counted is overtaken by a later one of a GPU."""
    chosen = {}
    for record in records:
        seed = record["run"], record["seed"]
        if seed not in chosen or key_of(record) < key_of(chosen[seed]):
            chosen[seed] = record
    return list(chosen.values())


def why_not(declared, record, folder):
    """Why the record of a run folder is not one of a declared run as it is declared, or None."""
    if record["run"] not in declared["run"]:
        return "not declared"
    if declarations.real(declared, record["run"]) != record["run"]:
        return f"a second name of {declarations.real(declared, record['run'])}"
    if runs.flags_line(folder) != declarations.expected_line(declared, record["run"]):
        return "made with other flags"
    if record["data"]["synthetic"]:
        return "generated data"
    if record["max_steps"]:
        return "cut short"
    return None


def rounded(curves):
    """The columns that have a number, to five digits, which is enough for a figure, and without the seconds."""
    kept = {}
    for name, numbers in curves.items():
        if name != "seconds" and any(x is not None for x in numbers):
            kept[name] = [float(f"{x:.5g}") if isinstance(x, float) else x for x in numbers]
    return kept


def finished_at(folder):
    """When a run finished or diverged, by the last line of its train.log that says so, as 2026-01-02T00:00:00Z."""
    text = runs.text_of(folder / "train.log") or ""
    return max(re.findall(r"^(?:\S+ seed \d+: )?(?:finished|diverged) at (\S+):", text, re.MULTILINE), default="")

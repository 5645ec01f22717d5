"""What the figures of a comparison say besides its records: titles, printed numbers, where a run blew up.

    make exp-lenet-dropout                       # draws its figures with what is worked out here

The report's numbers are those of want.RUN. A loss that it divides by the batch size is multiplied back, so that it
stands on the axis of the loss that was measured; one with the L2 term in it stays apart from one without.
"""
import math
import re

from experiments import records
from experiments.declarations import as_dict, is_ours, real, wanted

LOSSES = {"triplet-cosine": "triplet loss", "triplet-euclid": "triplet loss", "square": "sum of squares",
          "mean-square": "mean of squares"}  # all others: cross-entropy
FAR = 10  # a loss that many times the smallest has left it


# ---- records --------------------------------------------------------------------------------------------------------

def shared(declared, names, found):
    """Returns the records of a comparison, in its order, and {run: its name in the figures}, for some.

    Two names of one training share their records, under the first of the two, which is then called "a = b".
    """
    training_of = {name: real(declared, name) for name in names}
    first_name, ours = {}, []
    for name in names:
        first_name.setdefault(training_of[name], name)
    for training, name in first_name.items():
        same = [record for record in found if record["run"] == training]
        same = same or [record for record in found if record["run"] == name]
        ours += [{**record, "run": name} for record in sorted(same, key=lambda record: record["seed"])]
    called = {}
    for training, name in first_name.items():
        both = [other.partition("/")[2] for other in names if training_of[other] == training]
        if len(both) > 1:
            called[name] = " = ".join(both)
    return ours, called


def until_blow_up(record):
    """Returns a record that ends at the epoch in which its loss left for good, as "blew_up"; others as they are.

    That is the first epoch after which the train loss never again came within ten times its smallest. It is looked for
    where records.blew_up says so, and there may be none: then the record stays whole.
    """
    losses = record["curves"].get("train_loss") or []
    numbers = [math.inf if x is None else x for x in losses]
    if not records.blew_up(record) or not any(map(math.isfinite, numbers)):
        return record
    near = [epoch for epoch, loss in enumerate(numbers, 1) if loss <= FAR * min(numbers)]
    end = near[-1] + 1
    if end > len(numbers) or not math.isfinite(numbers[end - 1]):  # it was in reach until its last number
        return record
    curves = {name: values[:end] for name, values in record["curves"].items()}
    return {**record, "curves": curves, "blew_up": end}


# ---- printed numbers ------------------------------------------------------------------------------------------------

def printed_of(declared, names):
    """Returns the numbers that the report printed of these runs, as panels.Printed, each epoch of a quantity once."""
    from experiments.panels import Printed

    found = {}
    for run in names:
        last = int(as_dict(declared["run"][run]).get("epochs", 0))
        for as_printed in wanted(declared, run):
            quantity, _, divisor = as_printed.quantity.partition("/")
            ends = [end * int(divisor or 1) for end in as_printed.ends()]
            if all(map(math.isfinite, ends)):
                number = Printed(run, quantity, as_printed.epoch or last, ends[0], ends[-1])
                found.setdefault((run, quantity, number.epoch), number)
    return tuple(found.values())


# ---- the whole ------------------------------------------------------------------------------------------------------

def context_of(declared, name, names, ours, called=None):
    """Returns the panels.Context of the figures of a comparison.

    names: its runs, ours: their records, called: {run: its name in the figures}, see `shared`.
    """
    from experiments.panels import Context

    flags = {run: as_dict(declared["run"][run]) for run in names}
    losses = {run: LOSSES.get(flags[run].get("loss"), "cross-entropy") for run in names}
    if len(set(losses.values())) == 1:
        losses = {}
    by_update = compares_batches(flags) and all("steps" in record for record in ours)
    ours_alone = tuple(run for run in names if is_ours(declared, run))
    is_divided = any("/" in number.quantity for run in names for number in wanted(declared, run))
    return Context(title_of(declared, name), called or {}, printed_of(declared, names), losses,
                   chance_of(flags, ours), by_update, ours_alone, is_divided)


def compares_batches(flags):
    """Returns whether runs of the same net have batches of several sizes. flags: {run: its flags}."""
    sizes = {}
    for of_run in flags.values():
        sizes.setdefault(of_run.get("model"), set()).add(of_run.get("batch-size"))
    return any(len(of_net) > 1 for of_net in sizes.values())


def title_of(declared, name):
    """Returns the title of a comparison's figures: its name and its sentence, of a long text the first one."""
    about = declared.get("about", {}).get(name, "")
    if len(about) > 200:
        about = re.split(r"(?<=[.?]) ", about)[0]
    about = about.removesuffix(".")
    return f"exp-{name}: {about}" if about else f"exp-{name}"


def chance_of(flags, ours):
    """Returns the accuracy of guessing in %, or None where no run comes near it: then it need not be in the figure.

    LeNet's figures always have it: in report 2 it is about nets that learn nothing.
    """
    sets = {of_run.get("data") for of_run in flags.values()}
    if len(sets) != 1 or not sets <= set(records.CLASSES):
        return None
    chance = 100 / records.CLASSES[sets.pop()]
    is_lenet = any(of_run.get("model") == "lenet5" for of_run in flags.values())
    ends = [records.value(record, "valid_acc") or records.value(record, "test_acc") for record in ours]
    is_near = any(end is not None and 100 * end < 2 * chance for end in ends)
    return chance if is_lenet or is_near else None

"""Tables in Markdown: what changed from run to run, what the report printed, what was measured.

    make exp-bn-dropout                          # prints one, and writes it beside the comparison's figures
    python experiments/report.py exp bn-dropout  # the same of what is trained, without training

A printed loss of report 2 is divided by the batch size, and may be one of two quantities, with or without the L2 term;
for some runs it is not known which. Such quantities, train_loss/4 and train_loss+penalty/4, are of one family: they
share the column of what was printed, and each has a column of what was measured. Here they are called train_loss/batch
and train_loss+penalty/batch, so that runs of batch 4 and 128 share columns, too.
"""
import math
import re
import statistics
from typing import NamedTuple

import data
import train
from experiments import ask, changes, runs, starts
from experiments.declarations import as_dict, real, short, wanted
from experiments.records import blew_up, difference, final, in_bfloat16, value
from experiments.words import (family_of, heading, in_cell, in_words, is_fraction, legend, markdown, mean_in_percent,
                               mean_of, measured, number_of, paired, plural, printed_number, signed)

WIDEST = 60  # characters in a cell
# Beside the leading metric. A "late" metric is the median of the last 10 epochs.
OF_LANDMARKS = ("late_valid_loss", "late_train_loss", "best_valid_loss", "valid_loss_turned")
OF_CLASSES = ("train_acc", "train_acc_eval", "valid_acc")
OF_SWEEPS = ("late_train_acc", "train_acc_eval", "late_valid_acc")
NO_WEIGHTS = ("from torchvision's ImageNet weights. With a network train.py downloads them; without one copy the file "
              "into torchvision's cache (`make status` says which and where), or train by hand with --weights FILE.")
# What stands for a run that blew up: the same metric at the epoch that was best on valid.
BEST = {"valid_loss": "best_valid_loss", "valid_acc": "best_valid_acc", "test_acc": "best_valid_acc"}


# ---- what was printed -----------------------------------------------------------------------------------------------

class Group(NamedTuple):
    """Columns that belong together: what was printed of a family of quantities, and what was measured of each."""

    family: str
    members: list  # the quantities that were printed of it
    point: int | None  # the epoch; None for the end
    is_alone: bool  # is this the only epoch of this family in the table?


def printed(declared, run):
    """What the report printed of a run: {(quantity, epoch): text}, with None for the epoch of the end."""
    found, epochs = {}, epochs_of(declared, run)
    for number in wanted(declared, run):
        quantity, point = re.sub(r"/\d+$", "/batch", number.quantity), number.epoch
        if point == epochs and point != 1:  # of a run of one epoch this stands among the first epochs
            point = None
        found.setdefault((quantity, point), number.text)
    return found


def epochs_of(declared, run):
    """The number of epochs of a run; None for flags that train.py refuses."""
    try:
        return changes.settings_of(declared["run"][run]).epochs
    except runs.BadInput:
        return None


def metric_of(declared, run, quantity, point):
    """The metric, as records.value knows it, of a quantity of a run at an epoch, or at the end for None."""
    if quantity.endswith("/batch"):
        quantity = quantity.replace("batch", str(changes.settings_of(declared["run"][run]).batch_size))
    return quantity if point is None else f"{quantity}@{point}"


def divisor_of(declared, names):
    """The batch size of the runs of a comparison with a printed loss, as text; "batch" where they have several."""
    found = {word for run in names for word in re.findall(r"/(\d+)", declared["want"].get(run, ""))}
    return found.pop() if len(found) == 1 else "batch"


def points_of(declared, name, family):
    """The epochs, sorted, at which the runs of a comparison have a printed number of a family, and whether some have
    one of the end."""
    points = {point for run in declared["exp"][name] for quantity, point in printed(declared, run)
              if family_of(quantity) == family}
    return sorted(points - {None}), None in points


def members_of(declared, name, family):
    """The quantities of a family that the report printed of the runs of a comparison, the plain one first."""
    found = {quantity for run in declared["exp"][name] for quantity, _ in printed(declared, run)}
    return sorted((quantity for quantity in found if family_of(quantity) == family), key=len)


def families_of(declared, name):
    """The families of which the report printed something of the runs of a comparison, in that order."""
    return list(dict.fromkeys(family_of(quantity) for run in declared["exp"][name]
                              for quantity, _ in printed(declared, run)))


def groups_of(declared, name, leading):
    """The groups of columns of a comparison's table: of every family the first printed epoch and the end."""
    groups = []
    for family in families_of(declared, name):
        epochs, has_end = points_of(declared, name, family)
        if family == "test_acc" and "by-epoch" in declared["plots"][name]:
            epochs = []  # all of them have a table
        shown_points = epochs[:1] + ([None] if has_end else epochs[1:][-1:])
        if family == leading:  # what one looks for comes first
            shown_points.reverse()
        members = members_of(declared, name, family)
        groups += [Group(family, members, point, len(shown_points) == 1) for point in shown_points]
    return sorted(groups, key=lambda group: group.family != leading)


def head_of(group, divisor):
    """The heads of a group's columns. divisor: what stands behind ÷."""
    at = " @end" if group.point is None else f" @{group.point}"
    if group.point is None and group.is_alone:
        at = ""
    names = [heading(member).replace("÷ batch", f"÷ {divisor}") for member in group.members]
    if "÷" not in names[0]:
        return [f"{names[0].replace(' (running)', '')} reported{at}", f"{names[0]} measured{at}"]
    return [f"loss reported{at}", *(f"{name}{at}" for name in names)]


def reported_cell(group, of_run):
    """What was printed of a run for a group of columns. of_run: see `printed`."""
    texts = [printed_number(member, of_run[member, group.point]) for member in group.members
             if (member, group.point) in of_run]
    return " / ".join(dict.fromkeys(texts)) or "–"


def is_compared(group, member, of_run):
    """Is this quantity compared with the printed numbers of a run? Without any, every quantity of the family counts."""
    of_family = {quantity for quantity, _ in of_run if family_of(quantity) == group.family}
    return not of_family or member in of_family


# ---- the table of a comparison --------------------------------------------------------------------------------------

def table(declared, name, records):
    """A comparison in Markdown, as it is printed on a terminal, with a legend. `records` may have other runs, too."""
    found = parts(declared, name, records)
    texts = [f"{summary}:\n\n{text}" if summary else text for summary, text in found]
    return "\n\n".join([*texts, " ".join(legend(text for _, text in found))]).strip()


def parts(declared, name, records):
    """A comparison in Markdown: [(summary, text), ...], the table first, whose summary is "", as that of whatever is
    short. What has a summary is long, and a page may fold it."""
    names, plots = declared["exp"][name], declared["plots"][name]
    by_run = {run: [record for record in records if record["run"] == run] for run in names}
    ours = [record for run in names for record in by_run[run]]
    found = [("", markdown(*rows_of(declared, name, by_run, ours))), ("", second_names(declared, names)),
             ("", missing_weights(declared, by_run)), ("", incomplete_data(by_run))]
    if "pick" in plots:
        found.append(("", picked(by_run)))
    found.append(("", dropped_images(declared, name, by_run)))
    found.append(("What changed, in full", changes_in_full(declared, name)))
    found += traces(declared, name, by_run)
    if "layers" in plots:
        found += layers_of_nets(declared, name)
    return [(summary, text) for summary, text in found if text]


def rows_of(declared, name, by_run, records):
    """The head and the rows of a comparison's table, for `markdown`."""
    names = declared["exp"][name]
    leading, extra = leading_and_extra(declared, name, records)
    groups = [group for group in groups_of(declared, name, leading)
              if group.point is None or is_answered(declared, by_run, group)]
    extra = [metric for metric in extra if metric != leading and not is_shown(groups, metric)]
    leads = is_shown(groups, leading)
    setting = swept(declared, name)
    has_noise = any("label_noise" in record.get("data", {}) for record in records)
    has_triplets = any(value(record, "left_out") is not None for record in records)

    of_delta = "Δ points" if is_fraction(leading) else f"Δ {in_words(leading)}"
    head = ["run", setting.replace("_", " ") if setting else "what changed"]
    if not leads:
        head += [f"{heading(leading)} measured", of_delta]
    for group in groups:
        head += head_of(group, divisor_of(declared, names))
        if group.family == leading and group.point is None:
            head.append(of_delta)
    head += [heading(metric) for metric in extra]
    if has_noise:
        head.append("labels changed %")
    if has_triplets:
        head.append("left out")
    head.append("seeds")

    rows = []
    for run in names:
        mine, first = by_run[run], first_of(declared, names, run, setting)
        delta = delta_cell(mine, by_run[first], leading) if run != first else "–"
        row = [short(run), what_changed(declared, run, names, setting)]
        if not leads:
            row += [leading_cell(mine, leading), delta]
        for group in groups:
            row += cells_of(declared, run, mine, group, leading)
            if group.family == leading and group.point is None:
                row.append(delta)
        row += [in_cell(mine, metric) for metric in extra]
        if has_noise:
            row.append(mean_in_percent([record["data"].get("label_noise") for record in mine]) or "–")
        if has_triplets:
            counts = [x for x in (value(record, "left_out") for record in mine) if x is not None]
            row.append(f"{statistics.mean(counts):.0f}" if counts else "–")
        rows.append([*row, seeds_cell(mine)])
    return head, rows


def is_answered(declared, by_run, group):
    """Is there a record of a run of which the report printed something in this group of columns?"""
    return any(by_run[run] and reported_cell(group, printed(declared, run)) != "–" for run in by_run)


def cells_of(declared, run, mine, group, leading):
    """The cells of a run for a group of columns: what was printed, and what was measured of each quantity."""
    of_run = printed(declared, run)
    has_another = not group.is_alone and epochs_of(declared, run) == (group.point or 1)
    if has_another and reported_cell(group, of_run) == "–":  # the first of these epochs is this run's last
        return [""] * (1 + len(group.members))
    cells = [reported_cell(group, of_run)]
    for member in group.members:
        if not is_compared(group, member, of_run):
            cells.append("")
        elif group.family == leading and group.point is None:
            cells.append(leading_cell(mine, leading))
        elif not mine:
            cells.append("–")
        else:
            cells.append(in_cell(mine, metric_of(declared, run, member, group.point)))
    return cells


def is_shown(groups, metric):
    """Is this metric at the end among the groups of columns?"""
    return any(metric in group.members and group.point is None for group in groups)


def leading_and_extra(declared, name, records):
    """The metric that leads the table of a comparison, and those that have a column besides."""
    families = families_of(declared, name)
    has_classes = any(as_dict(declared["run"][run]).get("data") != "faces21" for run in declared["exp"][name])
    if "test_acc" in families:
        leading = "test_acc"
    elif "valid_acc" in families:
        leading = "valid_acc"
    elif any(value(record, "test_acc") is not None for record in records):
        leading = "test_acc"
    else:
        leading = "valid_acc" if has_classes else "valid_loss"
    extra = OF_LANDMARKS
    if has_classes:
        extra = OF_SWEEPS if swept(declared, name) else ("test_acc", *OF_CLASSES)
    return leading, [metric for metric in extra if any(number_of(record, metric) is not None for record in records)]


def swept(declared, name):
    """The setting that a comparison sweeps, as in plots.NAME = sweep:lr, or ""."""
    for word in declared["plots"][name]:
        if word.startswith("sweep:"):
            return word.removeprefix("sweep:").replace("-", "_")
    return ""


def first_of(declared, names, run, setting):
    """The run with which a run is compared: the first, in a sweep the first of the same net."""
    if not setting:
        return names[0]
    net = as_dict(declared["run"][run]).get("model")
    return next(other for other in names if as_dict(declared["run"][other]).get("model") == net)


def what_changed(declared, run, names, setting):
    """The cell of what changed from the first of `names`; in a sweep the value of what is swept.

    What does not fit is left out, and what fewer of the runs have comes first then.
    """
    try:
        if setting:
            return changes.plain(getattr(changes.settings_of(declared["run"][run]), setting))
        phrases = changes.changed(declared["run"][run], declared["run"][names[0]])
    except runs.BadInput:
        return "train.py refuses its flags"
    text = ", ".join(phrases) or "–"
    if len(text) > WIDEST:
        flags = [declared["run"][name] for name in names]
        of_all = [phrase for of_run in flags for phrase in changes.changed(of_run, flags[0])]
        phrases = sorted(phrases, key=of_all.count)
    while len(text) > WIDEST:
        phrases = phrases[:-1]
        text = ", ".join([*phrases, "…"])
    return text


def changes_in_full(declared, name):
    """A list of what changed in the runs of which the table says it in part, or ""."""
    names, lines = declared["exp"][name], []
    for run in names:
        if what_changed(declared, run, names, swept(declared, name)).endswith("…"):
            phrases = changes.changed(declared["run"][run], declared["run"][names[0]])
            lines.append(f"- {short(run)}: {', '.join(phrases)}")
    return "\n".join(lines)


def leading_cell(records, leading):
    """What was measured of the leading metric. Of a run that blew up that is its best epoch, and the cell says so."""
    if not records:
        return "not run"
    blown = sum(map(blew_up, records))
    if not blown:
        return in_cell(records, leading)
    said = "blew up" if blown == len(records) else f"{blown} of {len(records)} blew up"
    metric = best_of(records, leading)
    if metric is None:
        return f"{in_cell(records, leading)} ({said})"
    of_valid = "valid, " if metric == "best_valid_acc" and leading == "test_acc" else ""
    return f"{in_cell(records, metric)} ({of_valid}best epoch; {said})"


def best_of(records, leading):
    """The metric that stands for the leading one where a run blew up: of its best epoch on valid; None without any."""
    if leading == "test_acc" and all(record.get("test_weights") == "best" for record in records):
        return "test_acc"  # it is of the best epoch's weights
    metric = BEST.get(leading)
    return metric if any(number_of(record, metric) is not None for record in records) else None


def delta_cell(records, base, leading):
    """The difference of the leading metric to another run, seed by seed; of best epochs where one of them blew up."""
    metric = leading
    if any(map(blew_up, [*records, *base])):
        metric = best_of(base, leading) or leading
    delta = signed(metric, paired(records, base, metric))
    if metric == leading or delta == "–":
        return delta
    return f"{delta} (best epochs)"


def seeds_cell(records):
    """How many seeds a run has, how many of them diverged, and how many were made in bfloat16."""
    diverged = sum(record["status"] == "diverged" for record in records)
    halved = sum(in_bfloat16(record) for record in records)
    words = [str(len(records))]
    if diverged:
        words.append(f"{diverged} diverged")
    if halved:
        words.append("in bfloat16" if halved == len(records) else f"{halved} in bfloat16")
    return ", ".join(words)


def precision_table(pairs):
    """A table of the same runs in float32 and in bfloat16: accuracy or loss, and seconds an epoch."""
    return table_of_pairs(pairs, ["float32", "bfloat16", "an epoch in float32", "in bfloat16"])


def device_table(pairs):
    """A table of the same runs on a CPU and on a GPU: accuracy or loss, and seconds an epoch."""
    return table_of_pairs(pairs, ["on a CPU", "on a GPU", "an epoch on a CPU", "on a GPU"])


def table_of_pairs(pairs, head):
    """A table of pairs of records of one run and seed. head: of the two numbers and of the two times."""
    rows = []
    for one, other in pairs:
        metrics = [name for name in ("test_acc", "valid_acc", "valid_loss") if one["metrics"].get(name)]
        metric = metrics[0] if metrics else "train_loss"
        rows.append([short(one["run"]), one["seed"], in_words(metric), measured([one], metric),
                     measured([other], metric), f"{one['seconds_per_epoch']:.1f} s",
                     f"{other['seconds_per_epoch']:.1f} s"])
    return markdown(["run", "seed", "metric", *head], rows)


# ---- what stands below it -------------------------------------------------------------------------------------------

def second_names(declared, names):
    """A sentence on the runs that are second names of others, or ""."""
    said = [f"{short(name)} is {short(real(declared, name))}" for name in names if real(declared, name) != name]
    return f"The same training under a second name: {', '.join(said)}." if said else ""


def missing_weights(declared, by_run):
    """A sentence on the runs that are missing and start from ImageNet weights, or ""."""
    missing = [run for run in by_run if "pretrained" in as_dict(declared["run"][run]) and not by_run[run]]
    if not missing:
        return ""
    start = "starts" if len(missing) == 1 else "start"
    return f"Missing: {', '.join(missing)} {start} {NO_WEIGHTS}"


def incomplete_data(by_run):
    """A sentence on the runs that were trained on a data set that was not whole, and what it lacked, or ""."""
    runs_of = {}
    for run, records in by_run.items():
        lacks = {record.get("data", {}).get("incomplete") for record in records} - {None}
        for words in sorted(lacks):
            runs_of.setdefault(words, []).append(short(run))
    said = [f"{', '.join(names)} ({words})" for words, names in runs_of.items()]
    return f"Trained on incomplete data: {'; '.join(said)}." if said else ""


def picked(by_run):
    """Sentences on the run that valid accuracy picks, whose test score alone answers a question, or ""."""
    best_valid = {}
    for run, records in by_run.items():
        if any(value(record, "best_valid_acc") for record in records):
            best_valid[run] = statistics.mean(value(record, "best_valid_acc") or 0 for record in records)
    if not best_valid:
        return ""
    best = max(best_valid, key=best_valid.get)
    valid, test = measured(by_run[best], "best_valid_acc"), measured(by_run[best], "test_acc")
    return (f"One test score answers a question that was settled before: valid accuracy picks {short(best)} "
            f"(best epoch {valid} valid, {test} test). "
            "The other rows' test scores are shown because the report has them, and choose nothing.")


def dropped_images(declared, name, by_run):
    """A table of the runs that dropped images: how many, how many of them noisy, and what that did; or ""."""
    flags = {run: as_dict(declared["run"][run]) for run in by_run}
    rows = []
    for run, records in by_run.items():
        if "clean-by" not in flags[run] or not records:
            continue
        uncleaned = {flag: text for flag, text in flags[run].items() if not flag.startswith("clean-")}
        before = [record for other in by_run if flags[other] == uncleaned for record in by_run[other]]
        of_data = [record["data"] for record in records]
        points = [difference(final(record, "test_acc"), final(other, "test_acc"))
                  for record in records for other in before if other["seed"] == record["seed"]]
        points = [x for x in points if math.isfinite(x)]  # of a run that diverged there is no difference
        rows.append([short(run), f"{statistics.mean(facts['dropped'] for facts in of_data):,.0f}",
                     mean_in_percent([facts["dropped_noisy"] / facts["dropped"] for facts in of_data
                                      if facts["dropped"]]),
                     mean_in_percent([facts["label_noise"] for facts in of_data]), signed("test_acc", points)])
    if not rows:
        return ""
    head = ["run", "images dropped", "of these noisy %", "by chance %", "Δ test acc (points) to no cleaning"]
    return markdown(head, rows)


def layers_of_nets(declared, name):
    """The layers of the nets of a comparison, at the declared batch size: for each its name and a Markdown table."""
    found, datasets = [], {}
    for run in declared["exp"][name]:
        settings = train.parse([*declared["run"][run].split(), "--synthetic"])  # the same shapes, and no files
        key = settings.data, settings.side
        if key not in datasets:
            datasets[key] = data.for_run(settings)
        model = starts.build(settings, datasets[key])
        found.append((f"Layers of {short(run)}", ask.layer_table(model, settings.batch_size)))
    return found


def traces(declared, name, by_run):
    """Tables by epoch, with what they are of: of test accuracy where plots.NAME says by-epoch, and of whatever was
    printed of a run at more epochs than the table of the comparison has."""
    found = []
    for family in families_of(declared, name) or ["test_acc"]:
        every = family == "test_acc" and "by-epoch" in declared["plots"][name]
        text = trace_table(declared, name, by_run, family, every)
        if text:
            title = heading(family).replace("÷ batch", f"÷ {divisor_of(declared, list(by_run))}")
            found.append((f"{title[0].upper()}{title[1:]} by epoch, means over the seeds", text))
    return found


def trace_table(declared, name, by_run, family, every):
    """A table of a family by epoch: of each run what the report printed and what was measured. "" without a row.

    every: all runs and all epochs of the records; otherwise those runs of which three numbers or more were printed, and
    the epochs of these.
    """
    members, rows = members_of(declared, name, family) or [family], []
    at = {run: {point or epochs_of(declared, run): point for quantity, point in printed(declared, run)
                if family_of(quantity) == family} for run in by_run}
    if every:
        last = max((len(record["curves"].get("epoch", [])) for mine in by_run.values() for record in mine), default=0)
        epochs = range(1, last + 1)
    else:
        by_run = {run: mine for run, mine in by_run.items() if len(at[run]) > 2}
        epochs = sorted({epoch for run in by_run for epoch in at[run]})
    for run, mine in by_run.items():
        of_run, group = printed(declared, run), Group(family, members, None, True)
        texts = [reported_cell(group._replace(point=at[run][epoch]), of_run) if epoch in at[run] else ""
                 for epoch in epochs]
        if any(texts):
            rows.append([short(run), "reported", *texts])
        for member in members:
            if mine and is_compared(group, member, of_run):
                said = "measured"
                if len(members) > 1:
                    said = heading(member).replace("batch", divisor_of(declared, [run]))
                cells = [mean_of(mine, metric_of(declared, run, member, epoch)) for epoch in epochs]
                rows.append([short(run), f"{said}, {len(mine)} seed{plural(mine)}", *cells])
    return markdown(["run", "", *epochs], rows) if rows else ""

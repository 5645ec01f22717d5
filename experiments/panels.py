"""One panel of a figure, and what stands around the panels: axes, legends, titles, marks.

    from experiments import panels                # plots.py and experiments/pictures.py draw with what is here

A *record* is a dict, a row of results/records.jsonl: a run's result.json and, under "curves", the columns of its log,
{"epoch": [1, 2, ...], "train_loss": [...], ...}, with None where a number is absent or was not finite. Losses of
landmark nets are in px², accuracies are fractions. A record with "blew_up" ends at that epoch, in which its loss left
for good (see prepared.until_blow_up).

A *quantity* is a column of a record, as "valid_acc", or a sum of columns, as "train_loss+penalty".
"""
import math
import os
import textwrap
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure  # not pyplot: a Figure needs no display and keeps no global state
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

STYLE = {"font.size": 9, "axes.titlesize": 10, "legend.fontsize": 9, "axes.grid": True, "grid.alpha": 0.25,
         "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
# Okabe and Ito's colours, which colour-blind eyes tell apart; darker and lighter ones alternate and every run has a
# marker of its own, so that a picture survives a black-and-white printer. Yellow is left out: too faint on white.
COLOURS = ["#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#56B4E9", "#D55E00"]
MARKERS = ["o", "s", "D", "P", "p", "<", "h", ">", "d"]  # no x, star or upright triangle: those have a meaning below
PARTS = {"train": "--", "valid": "-", "test": ":"}  # the line style of each part of the data
PENALTY = {"with L2 term": "-", "without L2 term": ":"}  # of a train loss, where both are shown
FALL = {"linewidth": 0.8, "linestyle": (0, (1, 2))}  # the line where a learning rate falls
REPORTED = {"linestyle": (0, (4, 2)), "linewidth": 0.8, "markerfacecolor": "white"}  # what a report printed
JOINED = 4  # so many printed numbers of a run are joined by a line
GREY = {"color": "0.35"}  # of what is said of all runs
WORDS = {"tail_loss": "tail loss", "penalty": "L2 term", "train_loss": "train loss"}  # of a panel's title


class Printed(NamedTuple):
    """A number that a report printed. It may be a range; where it is not, low and high are the same."""

    run: str
    quantity: str  # in the unit of the records
    epoch: int
    low: float
    high: float


class Context(NamedTuple):
    """What a figure says besides its records."""

    title: str = ""
    names: dict = {}  # {run: its name in the legend}, for runs that have another than short_names gives
    printed: tuple = ()  # Printed numbers, also of runs that are not in the figure
    losses: dict = {}  # {run: the name of its loss}, where they differ: each has a panel of its own
    chance: float = None  # the accuracy of guessing in %: with it accuracies have an axis from 0 on
    by_update: bool = False  # is the x axis the number of updates, and not of epochs?
    ours: tuple = ()  # runs that the report does not have: what it printed of others may stand beside them
    is_divided: bool = False  # did the report print losses divided by the batch size?


class Panel(NamedTuple):
    """One panel of a figure."""

    title: str
    runs: list
    columns: dict  # {part of the data: the quantity}
    is_accuracy: bool = False
    is_split: bool = False  # is there another panel for the other parts of the data?
    has_test: bool = False  # does it show the final test score?
    axis: str = ""  # panels of the same axis and first epoch have the same limits, so that they compare
    first: int = 1  # epochs
    last: int = None


# ---- what records hold ----------------------------------------------------------------------------------------------

def by_run(records):
    """Returns {run: its records}, in the order given. Raises ValueError where there are none."""
    if not records:
        raise ValueError("no records to draw")
    groups = {}
    for record in records:
        groups.setdefault(record["run"], []).append(record)
    return groups


def column(record, name, epochs):
    """Returns a column of a record as an array of so many epochs, nan where there is no number."""
    found = np.full(epochs, np.nan)
    for epoch, value in zip(record["curves"].get("epoch") or [], record["curves"].get(name) or []):
        found[epoch - 1] = math.nan if value is None else value
    return found


def table(records, quantity, epochs):
    """Returns a masked array (records, epochs) of a quantity, accuracies in %; masked where no finite number is."""
    rows = np.array([sum(column(record, name, epochs) for name in quantity.split("+")) for record in records])
    if quantity.endswith("_acc"):
        rows = 100 * rows
    return np.ma.masked_invalid(rows)


def length(records):
    """Returns the last epoch that any of the records has, at least 1."""
    return max([1] + [epoch for record in records for epoch in record["curves"].get("epoch") or []])


def metrics_of(records, parts=PARTS):
    """Returns the metrics to draw: the loss and, where a record has it for one of the parts, the accuracy."""
    epochs = length(records)
    has_accuracy = any(table(records, f"{part}_acc", epochs).count() for part in parts)
    return ["loss", "acc"] if has_accuracy else ["loss"]


def is_lost(record):
    """Returns whether a run diverged or blew up."""
    return record["status"] == "diverged" or "blew_up" in record


def of_landmarks(groups):
    """Are all runs of nets that find landmarks?"""
    return all(run.startswith("keypoints/") or (group[0].get("data") or {}).get("name") == "faces21"
               for run, group in groups.items())


# ---- names, colours and legends -------------------------------------------------------------------------------------

def short_names(runs):
    """Returns {run: its name without the report}, with the report where two names would be alike."""
    short = {run: run.split("/", 1)[-1] for run in runs}
    return short if len(set(short.values())) == len(short) else {run: run for run in runs}


def as_typed(value):
    """Returns the text of a number as a flag is typed: 0.005, 1e-05, 0."""
    return f"{value:.10g}"


def state_of(record):
    """Returns what became of a run that did not finish well, such as "diverged", or ""."""
    if "blew_up" in record:
        return "blew up"
    return "" if record["status"] == "finished" else record["status"]


def note(group):
    """Returns what the legend says of a run besides its name, such as " (3 seeds; seed 1 diverged, epoch 7)"."""
    notes = []
    if group:
        notes.append(f"{len(group)} seeds" if len(group) > 1 else "1 seed")
    for record in group:
        if state_of(record):
            seed = f"seed {record['seed']} " if len(group) > 1 else ""
            notes.append(f"{seed}{state_of(record)}, epoch {length([record])}")
    if any(record.get("precision") == "bfloat16" for record in group):
        notes.append("bfloat16")
    return f" ({'; '.join(notes)})" if notes else ""


def brief(group):
    """Returns a shorter note, without seeds and epochs by number: " (2 of 3 diverged)"."""
    states = [state_of(record) for record in group if state_of(record)]
    states += ["bfloat16" for record in group if record.get("precision") == "bfloat16"]
    notes = []
    for state in dict.fromkeys(states):
        notes.append(f"{states.count(state)} of {len(group)} {state}" if len(group) > 1 else state)
    return f" ({', '.join(notes)})" if notes else ""


def seeds_of(groups):
    """Returns how many seeds the runs have: "1 seed", "3 seeds", "2–3 seeds"."""
    counts = {len(group) for group in groups.values()}
    fewest, most = min(counts), max(counts)
    if most == 1:
        return "1 seed"
    return f"{most} seeds" if fewest == most else f"{fewest}–{most} seeds"


def looks_of(runs):
    """Returns {run: {"color": ..., "marker": ...}}, all different while there are enough of them."""
    looks, many = {}, len(runs) > len(COLOURS)
    for i, run in enumerate(runs):
        colour = matplotlib.colormaps["viridis"](0.92 * i / (len(runs) - 1)) if many else COLOURS[i]
        looks[run] = {"color": colour, "marker": MARKERS[i % len(MARKERS)]}
    return looks


def empty_figure(width, height):
    """Returns an empty Figure of so many inches; add_legends makes it higher."""
    fig = Figure((width, height), dpi=150, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return fig


def keys_of():
    """Returns {name: legend entry} of the lines and marks that mean the same for all runs."""
    keys = {}
    for part, style in PARTS.items():
        label = "test by epoch" if part == "test" else part
        fill = "0.35" if part == "valid" else "white"
        keys[part] = Line2D([], [], linestyle=style, marker="o", markersize=5, markerfacecolor=fill, label=label,
                            **GREY)
    keys["only test"] = Line2D([], [], marker="o", markersize=5, label="test by epoch", **GREY)
    for name, style in PENALTY.items():
        keys[name] = Line2D([], [], linestyle=style, marker="o", markersize=5, label=f"train loss {name}", **GREY,
                            markerfacecolor="0.35" if style == "-" else "white")
    keys["band"] = Patch(facecolor="0.35", alpha=0.25, label="min–max of the seeds")
    keys["seed"] = Line2D([], [], linewidth=0.6, alpha=0.7, label="single seeds", **GREY)
    keys["falls"] = Line2D([], [], label="learning rate falls", **FALL, **GREY)
    keys["chance"] = Line2D([], [], linewidth=0.8, linestyle="-.", label="chance", **GREY)
    keys["end"] = Line2D([], [], linewidth=1.2, label="right of this line: final numbers", **GREY)
    for name, label in (("reported", "reported"), ("reported loss", "reported, times the batch size")):
        keys[name] = Line2D([], [], marker="v", markersize=6, label=label, **REPORTED, **GREY)
    marks = {"star": ("*", "0.35", "final test"), "hollow star": ("*", "none", "final test, reported"),
             "star of best": ("*", "0.35", "test, by the weights of the best valid epoch"),
             "cross": ("x", "0.35", "diverged or blew up"), "above": ("^", "0.35", "above the axis")}
    for name, (mark, fill, label) in marks.items():
        keys[name] = Line2D([], [], linestyle="", marker=mark, markersize=8, markerfacecolor=fill, label=label, **GREY)
    return keys


def compared_keys(groups, size, style):
    """Returns the legend entries of pictures that put what was measured beside what a report printed.

    size: of the markers of what was measured, style: of the lines of what was printed.
    """
    label = f"measured ({seeds_of(groups)})"
    return {"measured": Line2D([], [], marker="o", markersize=size, label=label, **GREY),
            "reported": Line2D([], [], marker="o", label="reported", **style, **GREY)}


def add_legends(fig, labels, looks, keys, used, title="", warning="", heading=None, cell=None):
    """Adds what stands around the panels: below them what each run looks like, above them a title and the marks.

    labels: {run: its text}; keys: {name: legend entry}, of which those `used` are shown; warning: stands below the
    title, see warning_of; heading: of the runs; cell: an empty panel, which then has the runs.
    """
    handles = [Line2D([], [], markersize=5, label=label, **looks[run]) for run, label in labels.items()]
    shown = [key for name, key in keys.items() if name in used]
    columns = {}
    for place, entries in (("runs", handles), ("keys", shown)):
        widths = [len(entry.get_label()) + 8 for entry in entries]  # in letters, with the sample of the line
        room = 14 * int(fig.get_figwidth())  # about 14 letters to the inch
        most = max(1, len(entries) if sum(widths) <= room else room // max(widths))
        rows = math.ceil(len(entries) / most)
        columns[place] = max(1, math.ceil(len(entries) / max(1, rows)))  # rows of about the same length
        if place == "keys" or cell is None:
            fig.set_figheight(fig.get_figheight() + 0.2 * rows)
    if cell is not None:
        cell.axis("off")
        cell.legend(handles=handles, loc="center", title=heading)
    elif handles:
        fig.legend(handles=handles, loc="outside lower center", ncols=columns["runs"], title=heading)
    legend = fig.legend(handles=shown, loc="outside upper center", ncols=columns["keys"])
    lines = textwrap.wrap(title, int(10.5 * fig.get_figwidth()), break_on_hyphens=False)
    fig.set_figheight(fig.get_figheight() + 0.2 * len(lines))
    head(legend, "\n".join(lines), warning)


def head(legend, title, warning):
    """Writes a title above a legend, and a warning in red below the title."""
    text = "\n".join(words for words in (title, warning) if words)
    if text:
        legend.set_title(text)
        legend.get_title().set(color="#B00000" if warning else "black", fontweight="bold", fontsize=10.5,
                               multialignment="center")


def warning_of(groups, names):
    """Returns which runs saw synthetic data, "" where none did: nobody shall take them for measurements.

    groups: {run: records}, names: {run: its name in the legend}.
    """
    synthetic = [run for run, group in groups.items() if any((r.get("data") or {}).get("synthetic") for r in group)]
    return warning_for(synthetic, names)


def warning_for(synthetic, names):
    """Returns the warning for these runs; names: {run: its name} of all runs in the picture."""
    if not synthetic:
        return ""
    some = "" if len(synthetic) == len(names) else ", ".join(names[run] for run in synthetic) + ": "
    return some + "generated data, not a measurement"


def save(fig, path):
    """Writes a PNG whole or not at all, with the same bytes for the same picture."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fig.savefig(temporary, format="png", dpi=150, metadata={"Software": None})  # else the bytes name a version
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# ---- one panel ------------------------------------------------------------------------------------------------------

def draw_panel(ax, panel, groups, looks, names, context, epochs, scale=None):
    """Draws one panel. Returns the names of the keys_of that it used.

    looks: {run: its look}, and, where a part has a look of its own, {(run, part): that look}; epochs: the last of the
    x axis; scale: of the loss, see loss_scale.
    """
    used, last = set(), panel.last or epochs
    top = scale.top if scale else math.inf
    shown, peaks = [], {}
    for run in panel.runs:
        for part, quantity in panel.columns.items():
            values = table(groups[run], quantity, epochs)[:, panel.first - 1:last] if run in groups else np.ma.array([])
            if values.count():
                shown.append((run, part, values))
    for number, (run, part, values) in enumerate(shown):
        x = np.arange(panel.first, last + 1) * updates_per_epoch(groups[run], context)
        is_solid = panel.is_split or part == "test" and "valid" not in panel.columns
        look = {**looks.get((run, part), looks[run]), "linestyle": "-" if is_solid else {**PARTS, **PENALTY}[part]}
        is_covered = any(values.shape == other.shape and np.ma.allequal(values, other)
                         for *_, other in shown[number + 1:])
        place = panel.runs.index(run) / len(panel.runs)
        used |= draw_runs(ax, x, values, groups[run], look, place, f"{run} {part}", is_covered, panel.is_accuracy)
        if not panel.is_split:
            used.add("only test" if is_solid and part == "test" else part)
        highest = mark_above(ax, x, values, groups[run], look, top, place, panel.is_split, run)
        if highest:
            peaks[run] = max(highest, peaks.get(run, 0))
            used.add("above")
    aside = places_aside(panel, groups, context, epochs)
    for run in panel.runs:
        if run in groups:
            used |= mark_ends(ax, panel, run, groups[run], looks[run]["color"], epochs, top, context)
            used |= mark_final_test(ax, panel, run, groups[run], looks[run]["color"], context, aside)
    used |= mark_printed(ax, panel, groups, looks, context, aside, epochs)
    if aside:
        ax.axvline(last + 0.015 * max(1, last - panel.first), linewidth=1.2, **GREY, label="end")
        used.add("end")
    set_axes(ax, panel, groups, context, epochs, scale, max(aside.values(), default=0))
    if panel.is_accuracy and context.chance is not None:
        ax.set_ylim(bottom=0)
        ax.axhline(context.chance, **GREY, linewidth=0.8, linestyle="-.", zorder=1, label="chance")
        used.add("chance")
    highs = [f"▲ {names[run]}: up to {as_height(peaks[run])}" for run in panel.runs if run in peaks]
    ax.set_title(panel.title + "\n" * len(highs), loc="left")
    ax.set_title("\n".join(highs), loc="right", fontsize=8)
    return used


def as_height(loss):
    """How high a loss goes, as the axis beside it writes numbers, and not longer: 9,700 or 1e+08."""
    return f"{loss:,.0f}" if 100 <= loss < 1e6 else f"{loss:.3g}"


def level_titles(axes):
    """Gives the titles of panels the same height where some have lines below theirs on what is above the axis."""
    lines = max(len(ax.get_title("right").splitlines()) for ax in axes)
    for ax in axes:
        ax.set_title(ax.get_title("left").rstrip("\n") + "\n" * lines, loc="left")


def draw_runs(ax, x, values, group, look, place, label, is_covered, is_accuracy):
    """Draws a quantity of the seeds of a run, (seeds, epochs), over x. Returns the keys that it used.

    The mean and a band from the smallest to the largest; also each seed by itself where the mean jumps, so that it is
    seen whether all do; and these alone where a seed was lost. place: 0 to 1, where its markers begin;
    is_covered: is the same curve drawn over it?
    """
    step = max(1, len(x) // 8)  # runs have their markers at different epochs, lest they hide each other
    style = look["linestyle"]
    line = {**look, "markersize": 4, "markevery": (int(place * step), step), "linewidth": 1 if style == "--" else 1.4,
            "markerfacecolor": look["color"] if style == "-" else "white"}
    if is_covered:  # it shines out from under the other
        line |= {"linestyle": "-", "linewidth": 5, "alpha": 0.3, "markeredgewidth": 0, "zorder": 1.5}
    if any(map(is_lost, group)):
        for row in values:
            ax.plot(x, row, **line, label=label)
        return set()
    ax.plot(x, values.mean(0), **line, label=label)
    if len(values) == 1:
        return set()
    ax.fill_between(x, values.min(0), values.max(0), color=look["color"], alpha=0.15, linewidth=0)
    if not mean_jumps(values, is_accuracy):
        return {"band"}
    for row in values:
        ax.plot(x, row, color=look["color"], linestyle=style, linewidth=0.6, alpha=0.7, label=f"{label} seed")
    return {"band", "seed"}


def mean_jumps(values, is_accuracy):
    """Returns whether the mean of seeds, (seeds, epochs), gets worse from one epoch to the next where they lie apart.

    Worse: by 2 points, or a tenth of the loss. Apart: by 5 points, or a fifth of the loss.
    """
    if values.shape[1] < 2:
        return False
    mean, lowest, highest = values.mean(0), values.min(0), values.max(0)
    if is_accuracy:
        jumps = (mean[1:] < mean[:-1] - 2) & (highest > lowest + 5)[1:]
    else:
        jumps = (mean[1:] > 1.1 * mean[:-1]) & (highest > 1.2 * lowest)[1:]
    return bool(np.ma.filled(jumps, False).any())


def mark_above(ax, x, values, group, look, top, place, is_split, run):
    """Draws a triangle at the upper edge for every epoch of a run that is above it. Returns the highest, or None.

    The last epoch of a run that blew up has none: a cross marks it.
    """
    kept = values.copy()
    for row, record in zip(kept, group):
        there = np.flatnonzero(~np.ma.getmaskarray(row))
        if "blew_up" in record and len(there):
            row[there[-1]] = np.ma.masked
    highest = kept.max(0)
    above = np.ma.filled(highest > top, False)
    if not above.any():
        return None
    # Of a single part that is mostly above there are fewer triangles, lest they hide those of other runs.
    step = max(1, len(x) // 8)
    fewer = (int(place * step), step) if is_split and above.mean() > 0.5 else None
    ax.plot(x[above], np.full(above.sum(), 0.98), "^", transform=ax.get_xaxis_transform(), color=look["color"],
            markersize=6, clip_on=False, zorder=6, markevery=fewer, label=f"{run} above the axis")
    return highest[above].max()


def mark_ends(ax, panel, run, group, colour, epochs, top, context):
    """Draws a cross where a seed of a run was lost: on its last number, on the upper edge if that is out of sight."""
    used = set()
    for record in filter(is_lost, group):
        epoch, value = length([record]), math.inf  # where already the first number was not finite
        if not panel.first <= epoch <= (panel.last or epochs):
            continue
        for part, quantity in panel.columns.items():
            row = table([record], quantity, epochs)[0]
            if row.count() and (part != "test" or len(panel.columns) == 1):
                end = np.flatnonzero(~np.ma.getmaskarray(row))[-1]
                epoch, value = end + 1, row[end]
        place = {"transform": ax.transData}
        if not math.isfinite(value) or value > top:
            value, place = 0.98, {"transform": ax.get_xaxis_transform()}
        ax.plot(epoch * updates_per_epoch(group, context), value, "x", **place, color=colour, markersize=9,
                markeredgewidth=2.2, clip_on=False, zorder=7, label=f"{run} lost")
        used.add("cross")
    return used


def mark_final_test(ax, panel, run, group, colour, context, aside):
    """Draws a star for the mean final test score of a run, at the epoch whose weights were scored.

    Where several runs have one they stand side by side behind the curves, in places that `aside` has, see places_aside.
    """
    tested = tested_in(panel, run, group, context)
    if not tested:
        return set()
    name, scale = ("test_acc", 100) if panel.is_accuracy else ("test_loss", 1)
    mean = np.mean([scale * record["metrics"][name] for record in tested])
    x = aside.get(run, scored_epoch(tested) * updates_per_epoch(group, context))
    ax.plot(x, mean, "*", color=colour, markersize=12, markeredgecolor="white", clip_on=False, zorder=5,
            label=f"{run} final test")
    return {"star of best"} if all(record.get("test_weights") == "best" for record in tested) else {"star"}


def tested_in(panel, run, group, context):
    """Returns the records of a run whose final test score a panel shows; a test loss only beside a printed one."""
    name = "test_acc" if panel.is_accuracy else "test_loss"
    is_printed = any(number.run == run and number.quantity == name for number in context.printed)
    if not panel.has_test or not (panel.is_accuracy or is_printed):
        return []
    return [record for record in group if record["metrics"].get(name) is not None]


def scored_epoch(tested):
    """Returns the mean epoch whose weights were scored on test."""
    return np.mean([r["metrics"]["best_epoch"] if r.get("test_weights") == "best" else length([r]) for r in tested])


def printed_in(panel, context):
    """Returns [(run, is it the final test score?, [Printed, ...] by epoch)] of what was printed of a panel.

    The report's numbers stand once: not again beside a run of ours that is compared with them.
    """
    found, of_report = [], set()
    for run in sorted(panel.runs, key=lambda run: run in context.ours):  # the report's own first
        for quantity in dict.fromkeys(number.quantity for number in context.printed if number.run == run):
            is_test = panel.has_test and quantity == ("test_acc" if panel.is_accuracy else "test_loss")
            numbers = [number for number in context.printed if number.run == run and number.quantity == quantity
                       and panel.first <= number.epoch <= (panel.last or math.inf)]
            numbers.sort(key=lambda number: number.epoch)
            places = quantity, tuple((number.epoch, number.low, number.high) for number in numbers)
            if run in context.ours and places in of_report:
                continue
            if numbers and (is_test or quantity in panel.columns.values()):
                of_report.add(places)
                found.append((run, is_test, numbers))
    return found


def places_aside(panel, groups, context, epochs):
    """Returns {run: x} behind the last epoch, for what is there of several runs at the end and would lie in a heap."""
    first, last = panel.first, panel.last or epochs
    crowd = [run for run in panel.runs if run in groups and tested_in(panel, run, groups[run], context)]
    crowd += [run for run, is_test, numbers in printed_in(panel, context)
              if is_test or numbers[-1].epoch == last and len(numbers) < JOINED]
    crowd = list(dict.fromkeys(crowd))
    if len(crowd) < 2 or context.by_update:
        return {}
    return {run: last + 0.06 * (number + 0.7) * max(1, last - first) for number, run in enumerate(crowd)}


def mark_printed(ax, panel, groups, looks, context, aside, epochs):
    """Draws hollow marks for what the report printed; a line joins them where there are many."""
    used, taken = set(), []
    for run, is_test, numbers in printed_in(panel, context):
        group, scale = groups.get(run, []), 100 if panel.is_accuracy else 1
        x = [number.epoch * updates_per_epoch(group, context) for number in numbers]
        y = [scale * (number.low + number.high) / 2 for number in numbers]
        marker = {"marker": "v", "markersize": 6}
        if is_test:  # the star of what was measured may lie below it
            marker = {"marker": "*", "markersize": 14, "markerfacecolor": "none"}
            tested = tested_in(panel, run, group, context)
            x = [aside.get(run, scored_epoch(tested) * updates_per_epoch(group, context) if tested else x[0])]
        elif run in aside and numbers[-1].epoch == (panel.last or epochs) and len(numbers) < JOINED:
            x[-1] = aside[run]
        # Where another run has the same printed number, its mark becomes a ring around that.
        same = len({other for other, place in taken if other != run and place in zip(x, y)})
        taken += [(run, place) for place in zip(x, y)]
        marker["markersize"] += 3.5 * same
        colour = looks.get((run, "reported"), looks[run])["color"]
        look = {**REPORTED, **marker, "color": colour, "zorder": 6 - 0.1 * same, "clip_on": False}
        if len(numbers) < JOINED:
            look["linestyle"] = ""
        error = [scale * (number.high - number.low) / 2 for number in numbers]
        if any(error):  # a range
            ax.errorbar(x, y, error, fmt="none", ecolor=colour, elinewidth=1, capsize=3, zorder=5)
        ax.plot(x, y, **look, label=f"{run} reported")
        if is_test:
            used.add("hollow star")
        else:
            used.add("reported loss" if context.is_divided and not panel.is_accuracy else "reported")
    return used


def updates_per_epoch(group, context):
    """Returns by what an epoch of a run counts on the x axis: 1 or, if that shows updates, so many."""
    if not context.by_update or not group:
        return 1
    record = group[0]
    return record["steps"] / record["epochs"]


def set_axes(ax, panel, groups, context, epochs, scale, aside):
    """Sets scales, limits and ticks of both axes of a panel. aside: how far marks stand behind the last epoch."""
    first, last = panel.first, panel.last or epochs
    if scale:
        ax.set_ylim(scale.bottom, scale.top)
        if scale.is_log:
            use_log_axis(ax, scale.bottom, scale.top)
    if context.by_update:
        factors = [updates_per_epoch(groups[run], context) for run in panel.runs if run in groups]
        ends = [length(groups[run]) * updates_per_epoch(groups[run], context) for run in panel.runs if run in groups]
        ax.set_xscale("log")
        ax.set_xlim(min(factors) / 1.1, max(ends) * 1.1)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("updates")
        return
    pad = max(0.015 * (last - first), 0.2)
    ax.set_xlim(first - min(pad, 0.9), max(last, aside) + pad)  # no tick for an epoch 0
    ticks = MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1).tick_values(first - 1, last)
    ax.set_xticks([tick for tick in ticks if first <= tick <= last])
    ax.set_xlabel("epoch")


# ---- the axis of a loss ---------------------------------------------------------------------------------------------

class Scale(NamedTuple):
    """The y axis of a loss."""

    bottom: float
    top: float
    is_log: bool


def loss_scales(panels, groups, epochs, context=Context(), cap=math.inf):
    """Returns of each panel the Scale of its loss, None for accuracies and where nothing is there.

    No loss above `cap` gets room. Where one panel needs a log axis, all have it; nets that find landmarks always do,
    for they come down from thousands of px² to ten.
    """
    for always_log in (of_landmarks(groups), True):
        scales = []
        for panel in panels:
            mates = [other for other in panels if (other.axis, other.first) == (panel.axis, panel.first)]
            if panel.is_accuracy:
                scales.append(None)
            else:
                scale = loss_scale(tables_of(mates, groups, epochs), panel.first, cap, always_log)
                scales.append(with_room(scale, mates, groups, context))
        if not any(scale and scale.is_log for scale in scales):
            break
    return scales


def tables_of(panels, groups, epochs):
    """Returns [(part, masked array (seeds, epochs))] of the curves of some panels, without those that are empty.

    The epoch in which a run blew up is left out: it shall not set the axis.
    """
    found = []
    for panel in panels:
        for run in panel.runs:
            for part, quantity in panel.columns.items():
                values = table(groups.get(run, []), quantity, epochs) if run in groups else np.ma.array([[]])
                for row, record in zip(values, groups.get(run, [])):
                    if "blew_up" in record:
                        row[record["blew_up"] - 1:] = np.ma.masked
                values = values[:, panel.first - 1:panel.last]
                if values.count():
                    found.append((part, values))
    return found


def with_room(scale, panels, groups, context):
    """Returns a Scale that also has room for what the report printed of these panels."""
    if scale is None:
        return None
    bottom, top = scale.bottom, scale.top
    for panel in panels:
        for number in context.printed:
            is_here = number.run in panel.runs and number.quantity in panel.columns.values()
            is_here = is_here and panel.first <= number.epoch <= (panel.last or math.inf)
            if is_here and (number.low > 0 or not scale.is_log):
                bottom = min(bottom, 0.95 * number.low)
                top = max(top, 1.05 * number.high)
    return Scale(bottom, top, scale.is_log)


def loss_scale(tables, first, cap=math.inf, always_log=False):
    """Returns a Scale on which single excursions do not flatten everything else, None where every loss is 0.

    tables: [(part, masked array (seeds, epochs))], none of them empty; first: the panel's first epoch.
    """
    if not tables:
        return None
    highest = [np.sort(values.max(0).compressed()) for _, values in tables]  # of all seeds, from low to high
    cap = max(cap, min(curve[0] for curve in highest))  # something has to be in sight
    middle = max(np.median(np.concatenate(highest)), 1e-12)
    # How far above the rest is an excursion, on a linear and on a log axis? A picture from epoch 1 on has room for the
    # start: the landmark nets of report 1 come down to 10 px² from about 1000.
    far, further = (4, 100) if first == 1 else (2, 10)
    usual = [curve[curve <= min(further * middle, cap)] for curve in highest]
    seen = [curve for curve in usual if len(curve)]
    # Valid curves choose between linear and log, where there are any: a train loss that nears zero would always ask for
    # a log axis, on which valid curves look flat. Their second highest point counts: no single jump or start does.
    choosing = [curve for curve, (part, _) in zip(usual, tables) if part == "valid" and len(curve)] or seen
    second_highest = max(curve[-2:][0] for curve in choosing)
    is_log = always_log or second_highest > 4 * max(np.quantile(np.concatenate(choosing), 0.05), 1e-12)
    # A whole curve that lies higher is no excursion. "lower": among few points the highest must not raise its limit.
    common = np.quantile(np.concatenate(usual), 0.9, method="lower")
    limit = further * middle if is_log else max([far * common] + [np.median(curve) for curve in seen])
    points = np.concatenate([values.compressed() for _, values in tables])
    points = points[points <= min(limit, cap)]
    if is_log:
        points = points[points > 0]
    if not len(points):
        return None
    bottom, top = points.min(), points.max()
    if is_log:
        return Scale(bottom / 1.12, top * 1.12, True)
    # A loss that stands still looks so: noise does not fill the panel.
    pad = max(0.05 * (top - bottom), 0.1 * (top + bottom) / 2 - (top - bottom) / 2) or 0.05
    return Scale(bottom - pad, top + pad, False)


def use_log_axis(ax, bottom, top):
    """Makes the y axis logarithmic, with ticks that are worth reading between these limits."""
    ax.set_yscale("log", nonpositive="mask")
    if top < 8 * bottom:  # ticks at 1, 2 and 5 would be one or two
        ax.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    else:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 1e4 * bottom else (1,)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))

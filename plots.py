"""Records in, pictures out: curves, sweeps of a setting, landmarks, confusion matrices, features.

    python plots.py curves --seeds "0 1 2" --last 50 keypoints/adam keypoints/adam-sgd     # writes figures/curves.png
    python plots.py sweep --what lr mlp_cnn/lr-1e-1 mlp_cnn/lr-1e-2 mlp_cnn/lr-1e-3        # writes figures/sweep.png

Nothing here trains, reads a run folder or needs a display: the commands above, and all others, are in
experiments/figures.py. Here a function draw_KIND returns a matplotlib Figure, and KIND(..., path) writes it as a PNG.

A *record* is a dict, a row of results/records.jsonl: a run's result.json and, under "curves", the columns of its log,
{"epoch": [1, 2, ...], "train_loss": [...], ...}, with None where a number is absent or was not finite. Losses of
landmark nets are in px², accuracies are fractions.
"""
import math
import os
import re
import statistics
import sys
from pathlib import Path

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
FALL = {"linewidth": 0.8, "linestyle": (0, (1, 2))}  # the line where a learning rate falls
REPORTED = {"linestyle": "--", "linewidth": 0.8, "markerfacecolor": "white"}  # what a report printed
SETTINGS = {"lr": "learning rate"}  # how an axis calls a setting whose flag does not say it


# ---- what records hold ----------------------------------------------------------------------------------------------

def _by_run(records):
    """Returns {run: its records}, in the order given. Raises ValueError where there are none."""
    if not records:
        raise ValueError("no records to draw")
    groups = {}
    for record in records:
        groups.setdefault(record["run"], []).append(record)
    return groups


def _table(records, column, epochs):
    """Returns a masked array (records, epochs) of a column, accuracies in %; masked where no finite number is."""
    table = np.full((len(records), epochs), np.nan)
    for row, record in zip(table, records):
        for epoch, value in zip(record["curves"].get("epoch") or [], record["curves"].get(column) or []):
            row[epoch - 1] = math.nan if value is None else value
    if column.endswith("_acc"):
        table = 100 * table
    return np.ma.masked_invalid(table)


def _length(records):
    """Returns the last epoch that any of the records has, at least 1."""
    return max([1] + [epoch for record in records for epoch in record["curves"].get("epoch") or []])


def _metrics(records, parts=PARTS):
    """Returns the metrics to draw: the loss and, where a record has it for one of the parts, the accuracy."""
    epochs = _length(records)
    has_accuracy = any(_table(records, f"{part}_acc", epochs).count() for part in parts)
    return ["loss", "acc"] if has_accuracy else ["loss"]


def _test_accuracies(group):
    """Returns the final test accuracies of the records that have one, in %."""
    return [100 * r["metrics"]["test_acc"] for r in group if r["metrics"].get("test_acc") is not None]


def _diverged(group):
    return any(record["status"] == "diverged" for record in group)


# ---- names, colours and legends -------------------------------------------------------------------------------------

def short_names(runs):
    """Returns {run: its name without the report}, with the report where two names would be alike."""
    short = {run: run.split("/", 1)[-1] for run in runs}
    return short if len(set(short.values())) == len(short) else {run: run for run in runs}


def _short(value):
    """Returns the text of a number as a flag is typed: 0.005, 1e-05, 0."""
    return f"{value:.10g}"


def _note(group):
    """Returns what the legend says of a run besides its name, such as " (3 seeds; seed 1 diverged, epoch 7)"."""
    notes = []
    if len(group) > 1:
        notes.append(f"{len(group)} seeds")
    for record in group:
        if record["status"] != "finished":
            seed = f"seed {record['seed']} " if len(group) > 1 else ""
            notes.append(f"{seed}{record['status']}, epoch {_length([record])}")
    if any(record.get("precision") == "bfloat16" for record in group):
        notes.append("bfloat16")
    return f" ({'; '.join(notes)})" if notes else ""


def _brief(group):
    """Returns a shorter note, without seeds and epochs by number: " (2 of 3 diverged)"."""
    states = [record["status"] for record in group if record["status"] != "finished"]
    states += ["bfloat16" for record in group if record.get("precision") == "bfloat16"]
    notes = []
    for state in dict.fromkeys(states):
        notes.append(f"{states.count(state)} of {len(group)} {state}" if len(group) > 1 else state)
    return f" ({', '.join(notes)})" if notes else ""


def _seeds(groups):
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
    """Returns an empty Figure of so many inches; _legends makes it higher."""
    fig = Figure((width, height), dpi=150, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return fig


def _keys():
    """Returns {name: legend entry} of the lines and marks that mean the same for all runs."""
    grey = {"color": "0.35"}
    keys = {}
    for part, style in PARTS.items():
        label = "test by epoch" if part == "test" else part
        fill = "0.35" if part == "valid" else "white"
        keys[part] = Line2D([], [], linestyle=style, marker="o", markersize=5, markerfacecolor=fill, label=label,
                            **grey)
    keys["band"] = Patch(facecolor="0.35", alpha=0.25, label="min–max of the seeds")
    keys["falls"] = Line2D([], [], label="learning rate falls", **FALL, **grey)
    marks = {"star": ("*", "final test"), "cross": ("x", "diverged"), "above": ("^", "above the axis")}
    for name, (mark, label) in marks.items():
        keys[name] = Line2D([], [], linestyle="", marker=mark, markersize=8, label=label, **grey)
    return keys


def _compared_keys(groups, size, style):
    """Returns the legend entries of pictures that put what was measured beside what a report printed.

    size: of the markers of what was measured, style: of the lines of what was printed.
    """
    label = f"measured ({_seeds(groups)})"
    return {"measured": Line2D([], [], color="0.35", marker="o", markersize=size, label=label),
            "reported": Line2D([], [], color="0.35", marker="o", label="reported", **style)}


def _legends(fig, labels, looks, keys, used, groups, names, title=None):
    """Adds two legends: below the panels what each run looks like, above them what the marks mean, and a warning.

    labels: {run: its text}; keys: {name: legend entry}, of which those `used` are shown; groups: {run: records} and
    names: {run: short name}, for the warning of synthetic data.
    """
    handles = [Line2D([], [], markersize=5, label=label, **looks[run]) for run, label in labels.items()]
    keys = [key for name, key in keys.items() if name in used]
    columns = {}
    for place, shown in (("lower", handles), ("upper", keys)):
        widths = [len(handle.get_label()) + 8 for handle in shown]  # in letters, with the sample of the line
        room = 14 * int(fig.get_figwidth())  # about 14 letters to the inch
        columns[place] = max(1, len(shown) if sum(widths) <= room else room // max(widths))
        fig.set_figheight(fig.get_figheight() + 0.2 * math.ceil(len(shown) / columns[place]))
    if handles:
        fig.legend(handles=handles, loc="outside lower center", ncols=columns["lower"], title=title)
    legend = fig.legend(handles=keys, loc="outside upper center", ncols=columns["upper"])
    synthetic = [run for run, group in groups.items() if any((r.get("data") or {}).get("synthetic") for r in group)]
    warn(legend, synthetic, names)


def warn(legend, runs, names):
    """Says above a legend which runs saw synthetic data: nobody shall take them for measurements.

    runs: a list of those runs, names: {run: short name} of all runs in the picture.
    """
    if runs:
        some = "" if len(runs) == len(names) else ", ".join(names[run] for run in runs) + ": "
        legend.set_title(some + "generated data, not a measurement")
        legend.get_title().set(color="#B00000", fontweight="bold", fontsize=10)


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


# ---- curves ---------------------------------------------------------------------------------------------------------

def curves(records, path, last=0):
    """Writes the training curves of `records` to the PNG file `path`; see draw_curves."""
    save(draw_curves(records, last), path)


def draw_curves(records, last=0):
    """Returns a Figure: the training curves of `records` on shared axes.

    A colour and a marker per run, in the order given; train dashed, valid solid, test by epoch dotted. Of several
    seeds: the mean, and a band from the smallest to the largest. A panel for the loss and, where a run has one, for the
    accuracy in %, with a star for the final test accuracy, and lines where the learning rate falls, if that is at the
    same three epochs or fewer for all. `last` > 0 adds panels of only that many last epochs, if there are more than
    that. Points far above the rest do not set the loss axis: each gets a triangle at the upper edge, and the panel's
    title says the highest. Raises ValueError where there are no records.
    """
    groups = _by_run(records)
    names, epochs, looks = short_names(groups), _length(records), looks_of(groups)
    metrics, first_epochs = _metrics(records), [1]
    if 0 < last < epochs:
        first_epochs.append(epochs - last + 1)
    panels = [(metric, first) for first in first_epochs for metric in metrics]
    rows, columns = (1, 1) if len(panels) == 1 else (len(panels) // 2, 2)
    falls = _falls(records)

    with matplotlib.rc_context(STYLE):
        fig = empty_figure(7 if columns == 1 else 10, 3.5 * rows + 0.5)
        used = set()
        for ax, (metric, first) in zip(fig.subplots(rows, columns, squeeze=False).flat, panels):
            used |= _panel(ax, groups, looks, names, metric, first, epochs)
            for epoch in falls:
                if epoch > first:
                    ax.axvline(epoch - 0.5, color="0.35", **FALL, zorder=1, label="lr falls")
                    used.add("falls")
        labels = {run: names[run] + _note(groups[run]) for run in groups}
        _legends(fig, labels, looks, _keys(), used, groups, names)
    return fig


def _falls(records):
    """Returns the epochs that begin with a lower learning rate, if there are up to three and all records share them."""
    found = set()
    for record in records:
        rates = record["curves"].get("lr") or []
        pairs = enumerate(zip(rates, rates[1:]), start=2)
        found.add(tuple(epoch for epoch, (old, new) in pairs if old is not None and new is not None and new < old))
    if len(found) > 1:
        return ()
    epochs = found.pop()
    return epochs if len(epochs) <= 3 else ()


def _panel(ax, groups, looks, names, metric, first, epochs, parts=PARTS, cap=math.inf):
    """Draws one metric from epoch `first` on. Returns the names of the _keys that it used.

    parts: {part: line style}, those to draw, all or one; the loss axis is that of all, so that panels of single parts
    compare. looks: {run: its look}, and, where a part has a look of its own, {(run, part): that look}. No loss above
    `cap` gets room on the axis.
    """
    x = np.arange(first, epochs + 1)
    tables = []
    for run, group in groups.items():
        for part in PARTS:
            table = _table(group, f"{part}_{metric}", epochs)[:, first - 1:]
            if table.count():
                tables.append((run, part, table))
    top = _scale(ax, tables, first, cap) if metric == "loss" and tables else math.inf
    used, peaks = set(), {}
    for run, part, table in tables:
        if part not in parts:
            continue
        used.add(part)
        look, style = looks.get((run, part), looks[run]), parts[part]
        step = max(1, len(x) // 8)  # runs have their markers at different epochs, lest they hide each other
        every = (list(groups).index(run) * step // len(groups), step)
        fill = look["color"] if style == "-" else "white"
        ax.plot(x, table.mean(0), style, **look, markersize=4, markevery=every, markerfacecolor=fill,
                linewidth=1 if style == "--" else 1.4, label=f"{run} {part}")
        highest = table.max(0)
        if len(table) > 1:
            upper = np.ma.masked_where(highest > top, highest)
            ax.fill_between(x, table.min(0), upper, color=look["color"], alpha=0.15, linewidth=0)
            used.add("band")
        above = np.ma.filled(highest > top, False)
        if above.any():
            # Of a single part that is mostly above there are fewer triangles, lest they hide those of other runs.
            fewer = len(parts) == 1 and above.mean() > 0.5
            fill = "white" if style == "--" else look["color"]
            ax.plot(x[above], np.full(above.sum(), 0.98), "^", transform=ax.get_xaxis_transform(), color=look["color"],
                    markersize=6, markerfacecolor=fill, clip_on=False, zorder=6, markevery=every if fewer else None,
                    label=f"{run} above the axis")
            peaks[run] = max(peaks.get(run, 0), highest[above].max())
            used.add("above")
    for run, group in groups.items():
        colour = looks[run]["color"]
        if metric == "acc" and len(parts) > 1:
            used |= _mark_final_test(ax, run, group, colour)
        used |= _mark_divergence(ax, run, group, colour, metric, first, epochs, top, parts)
    pad = max(0.015 * (epochs - first), 0.2)
    ax.set_xlim(first - min(pad, 0.9), epochs + pad)  # no tick for an epoch 0
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlabel("epoch")
    if metric == "acc":
        ax.set_ylabel("accuracy (%)")
    else:
        ax.set_ylabel("MSE (px²)" if _of_landmarks(groups) else "loss")
    ax.set_title(f"last {epochs - first + 1} epochs" if first > 1 else "", loc="left")
    highs = [f"▲ {names[run]}: up to {peak:.3g}" for run, peak in peaks.items()]
    ax.set_title("\n".join(highs), loc="right", fontsize=8)
    return used


def _of_landmarks(groups):
    """Are all runs of nets that find landmarks?"""
    return all(run.startswith("keypoints/") or (group[0].get("data") or {}).get("name") == "faces21"
               for run, group in groups.items())


def _mark_final_test(ax, run, group, colour):
    """Draws a star for the mean final test accuracy of a run, at the epoch whose weights were scored."""
    tested = [record for record in group if record["metrics"].get("test_acc") is not None]
    if not tested:
        return set()
    scored = [r["metrics"]["best_epoch"] if r.get("test_weights") == "best" else _length([r]) for r in tested]
    ax.plot(np.mean(scored), np.mean(_test_accuracies(tested)), "*", color=colour, markersize=12,
            markeredgecolor="white", clip_on=False, zorder=5, label=f"{run} final test")
    return {"star"}


def _mark_divergence(ax, run, group, colour, metric, first, epochs, top, parts):
    """Draws a cross where a seed of a run diverged: on its last number, on the upper edge if that is out of sight."""
    used = set()
    for record in group:
        if record["status"] != "diverged" or _length([record]) < first:
            continue
        epoch, value = _length([record]), math.inf  # where already the first number was not finite
        for part in parts:
            column = _table([record], f"{part}_{metric}", epochs)[0]
            if column.count() and (part != "test" or len(parts) == 1):
                last = np.flatnonzero(~np.ma.getmaskarray(column))[-1]
                epoch, value = last + 1, column[last]
        place = {"transform": ax.transData}
        if not math.isfinite(value) or value > top:
            value, place = 0.98, {"transform": ax.get_xaxis_transform()}
        ax.plot(epoch, value, "x", **place, color=colour, markersize=9, markeredgewidth=2.2, clip_on=False, zorder=7,
                label=f"{run} diverged")
        used.add("cross")
    return used


def _scale(ax, tables, first, cap=math.inf):
    """Chooses a loss axis on which single excursions do not flatten everything else. Returns its upper limit.

    tables: [(run, part, masked array (seeds, epochs))], none of them empty.
    """
    highest = [np.sort(table.max(0).compressed()) for *_, table in tables]  # of all seeds, from low to high
    cap = max(cap, min(curve[0] for curve in highest))  # something has to be in sight
    middle = max(np.median(np.concatenate(highest)), 1e-12)
    # How far above the rest is an excursion, on a linear and on a log axis? A picture from epoch 1 on has room for the
    # start: the landmark nets of report 1 come down to 10 px² from about 1000.
    far, further = (4, 300) if first == 1 else (2, 10)
    usual = [curve[curve <= min(further * middle, cap)] for curve in highest]
    seen = [curve for curve in usual if len(curve)]
    # Valid curves choose between linear and log, where there are any: a train loss that nears zero would always ask for
    # a log axis, on which valid curves look flat. Their second highest point counts: no single jump or start does.
    choosing = [curve for curve, (_, part, _) in zip(usual, tables) if part == "valid" and len(curve)] or seen
    second_highest = max(curve[-2:][0] for curve in choosing)
    log = second_highest > 4 * max(np.quantile(np.concatenate(choosing), 0.05), 1e-12)
    # A whole curve that lies higher is no excursion. "lower": among few points the highest must not raise its limit.
    common = np.quantile(np.concatenate(usual), 0.9, method="lower")
    limit = further * middle if log else max([far * common] + [np.median(curve) for curve in seen])
    points = np.concatenate([table.compressed() for *_, table in tables])
    points = points[points <= min(limit, cap)]
    if log:
        points = points[points > 0]
    if not len(points):  # every loss is 0
        return math.inf
    bottom, top = points.min(), points.max()
    if log:
        bottom, top = bottom / 1.12, top * 1.12
        _use_log_axis(ax, bottom, top)
    else:
        pad = 0.05 * (top - bottom) or 0.05
        bottom, top = bottom - pad, top + pad
    ax.set_ylim(bottom, top)
    return top


def _use_log_axis(ax, bottom, top):
    """Makes the y axis logarithmic, with ticks that are worth reading between these limits."""
    ax.set_yscale("log", nonpositive="mask")
    if top < 8 * bottom:  # ticks at 1, 2 and 5 would be one or two
        ax.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    else:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 1e4 * bottom else (1,)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


# ---- sweeps ---------------------------------------------------------------------------------------------------------

def sweep(records, values, path, flag):
    """Writes the picture of a sweep over `flag` of train.py to the PNG file `path`; see draw_sweep.

    Values that span a factor of 100 or more get a log axis.
    """
    low, high = min(values.values()), max(values.values())
    what = SETTINGS.get(flag, flag.replace("_", " "))
    save(draw_sweep(records, values, what, log=low > 0 and high >= 100 * low), path)


def draw_sweep(records, values, what, log=False):
    """Returns a Figure: curves of `records` for every value of the setting `what`, and how they end over that value.

    values: {run: its value}, numbers; a run without a record keeps its colour and its tick, and the legend says that it
    is missing. Panels by epoch: loss and, where a run has one, accuracy in %, train left, valid right, on the same
    axis; of several seeds the mean and a min–max band. A last panel, its x axis logarithmic if `log`: the final valid
    accuracy (of landmark nets the loss) of each seed, the line through the means of those that did not diverge, and a
    cross at the edge for each that did. Final is the median of the last 10 epochs. Raises ValueError where a run has no
    value, two have the same, or a log axis has no place for one.
    """
    by_run = _by_run(records)
    values = dict(sorted(values.items(), key=lambda item: item[1]))
    names = {run: _short(value) for run, value in values.items()}
    _check_values(by_run, values, names, what, log)
    groups = {run: by_run[run] for run in values if run in by_run}
    epochs, metrics = _length(records), _metrics(records, ("train", "valid"))
    labels = {run: names[run] + (_brief(groups[run]) if run in groups else " (no run yet)") for run in values}
    looks = looks_of(values)
    for i, run in enumerate(values):  # colours follow the value; those beyond 0.82 are too faint on white
        looks[run]["color"] = matplotlib.colormaps["plasma"](0.82 * i / max(1, len(values) - 1))
    cap = _cap(groups, epochs)
    with matplotlib.rc_context(STYLE):
        fig = empty_figure(10, 2.8 * len(metrics) + 3.2)
        rows = [[f"train_{metric}", f"valid_{metric}"] for metric in metrics]
        axes = fig.subplot_mosaic([*rows, ["final", "final"]])
        used = set()
        for part, metric in [(part, metric) for metric in metrics for part in ("train", "valid")]:
            ax = axes[f"{part}_{metric}"]
            if metric == "acc" and part == "valid":
                ax.sharey(axes["train_acc"])
            used |= _panel(ax, groups, looks, names, metric, 1, epochs, parts={part: "-"}, cap=cap) - {part}
            ax.set_ylabel(f"{part} {ax.get_ylabel()}")
        used |= _final_panel(axes["final"], groups, values, looks, metrics[-1], log, cap)
        axes["final"].set(xlabel=what, ylabel=f"final {axes[f'valid_{metrics[-1]}'].get_ylabel()}")
        count = f"{min(10, epochs)} epochs" if epochs > 1 else "1 epoch"
        title = f"final: median of the last {count}"
        if len(groups) < len(records):
            title += f"; line: mean of {_seeds(groups)}"
            if _diverged(records):
                title += ", less those that diverged"
        axes["final"].set_title(title, loc="left")
        _legends(fig, labels, looks, _keys(), used, groups, {run: names[run] for run in groups}, title=what)
    return fig


def _check_values(by_run, values, names, what, log):
    """Raises ValueError where a sweep cannot place its runs. values: {run: value}, sorted by value."""
    for run in by_run:
        if run not in values:
            raise ValueError(f"{run}: no value of {what} is given for it")
    runs = list(values)
    for one, other in zip(runs, runs[1:]):
        if values[one] == values[other]:
            raise ValueError(f"{one} and {other} have the same {what}, {names[one]}")
    if log and values[runs[0]] <= 0:
        raise ValueError(f"{runs[0]}: no place on a log axis for {what} {names[runs[0]]}")


def _cap(groups, epochs):
    """Returns the highest loss that gets room in a sweep, in which whole runs go wrong and the axis is for the others.

    It is half as much again as most runs reach in all but 2 % of their epochs.
    """
    of_parts = []
    for part in ("train", "valid"):
        highest = [_table(group, f"{part}_loss", epochs).max(0) for group in groups.values()]
        reached = [np.quantile(loss.compressed(), 0.98, method="nearest") for loss in highest if loss.count()]
        of_parts.append(statistics.median_low(reached or [0]))
    return 1.5 * max(of_parts)


def _final_panel(ax, groups, values, looks, metric, log, cap):
    """Draws the final valid metric of every seed over the value of its run. Returns the names of the _keys it used."""
    ends = {run: _final(groups.get(run, []), metric) for run in values}
    used, top = set(), math.inf
    if metric == "loss" and any(map(len, ends.values())):
        tables = [(run, "valid", np.ma.array(end[:, None])) for run, end in ends.items() if len(end)]
        top = _scale(ax, tables, 1, cap)
    if log:
        ax.set_xscale("log")
    means = [end.mean() if len(end) and end.mean() <= top else math.nan for end in ends.values()]  # nan: a gap
    ax.plot(list(values.values()), means, color="0.5", linewidth=1.2, zorder=1, label="mean")
    for run, end in ends.items():
        look = {**looks[run], "clip_on": False, "linestyle": ""}
        at_edge = {**look, "transform": ax.get_xaxis_transform()}
        for y in end[end <= top]:
            ax.plot(values[run], y, **look, markersize=6, label=f"{run} final")
        if any(end > top):
            ax.plot(values[run], 0.98, **{**at_edge, "marker": "^"}, markersize=6, label=f"{run} above the axis")
            used.add("above")
        if _diverged(groups.get(run, [])):
            ax.plot(values[run], 0.04, **{**at_edge, "marker": "x"}, markersize=9, markeredgewidth=2.2,
                    label=f"{run} diverged")
            used.add("cross")
    ax.margins(y=0.12)  # a cross lies below all points
    if not any(map(len, ends.values())):
        ax.set_yticks([])
    _set_value_ticks(ax, list(values.values()), log)
    return used


def _final(group, metric):
    """Returns an array: of each seed that did not diverge the median of its valid metric over the last 10 epochs."""
    found = []
    for record in group:
        last = _table([record], f"valid_{metric}", _length([record]))[0, -10:]
        if record["status"] != "diverged" and last.count():
            found.append(np.ma.median(last))
    return np.array(found)


def _set_value_ticks(ax, values, log):
    """Puts a tick at every value, in ascending order, with a label where there is room for one; the legend has all."""
    place = np.array([math.log10(value) if log else value for value in values])
    width = place[-1] - place[0]
    pad = 0.04 * width or 0.1
    limits = [place[0] - pad, place[-1] + pad]  # also where a value has no point
    ax.set_xlim([10 ** limit for limit in limits] if log else limits)
    inches = 8.5 * (place - place[0]) / (width or 1)  # along the axis
    names, labels, last = [_short(value) for value in values], [], -math.inf
    pairs = zip(np.diff(inches), names, names[1:])
    crowded = any(gap < 0.04 * len(one + other) + 0.1 for gap, one, other in pairs)
    for name, at in zip(names, inches):  # even rotated by 90° a label needs room
        has_room = at - last > 0.13
        labels.append(name if has_room else "")
        last = at if has_room else last
    ax.set_xticks(values, labels, rotation=90 if crowded else 0)
    ax.xaxis.set_minor_locator(NullLocator())


# ---- test accuracy by epoch and against a setting -------------------------------------------------------------------

def by_epoch(records, reported, path):
    """Writes the test accuracy by epoch to the PNG file `path`; see draw_by_epoch."""
    save(draw_by_epoch(records, reported), path)


def draw_by_epoch(records, reported):
    """Returns a Figure: test accuracy in % by epoch, what `records` measured beside what a report printed.

    reported: {run: {epoch: accuracy as a fraction}}. A colour per run; measured: solid, the mean of the seeds and a
    min–max band; reported: hollow markers on a thin dashed line. Records without test accuracy by epoch are left out;
    raises ValueError if all are.
    """
    records = [record for record in records if _table([record], "test_acc", _length([record])).count()]
    if not records:
        raise ValueError("no record has test accuracy by epoch")
    groups = _by_run(records)
    reported = {run: points for run, points in reported.items() if points}
    runs = list(dict.fromkeys([*groups, *reported]))
    names, looks = short_names(runs), looks_of(runs)
    epochs = max([_length(records)] + [epoch for points in reported.values() for epoch in points])
    style = {**REPORTED, "markersize": 6}
    with matplotlib.rc_context(STYLE):
        fig = empty_figure(7, 4)
        ax = fig.subplots()
        used = _panel(ax, groups, looks, names, "acc", 1, epochs, parts={"test": "-"}) - {"test"} | {"measured"}
        for run, points in reported.items():
            x = sorted(points)
            ax.plot(x, [100 * points[epoch] for epoch in x], **looks[run], **style, zorder=3, label=f"{run} reported")
            used.add("reported")
        ax.set_ylabel("test accuracy (%)")
        keys = {**_compared_keys(groups, 4, style), **_keys()}
        labels = {run: names[run] + (_brief(groups[run]) if run in groups else " (not measured)") for run in runs}
        _legends(fig, labels, looks, keys, used, groups, names)
    return fig


def against(records, values, reported, path, flag):
    """Writes the picture of test accuracy against `flag` of train.py to the PNG file `path`; see draw_against."""
    save(draw_against(records, values, reported, flag), path)


def draw_against(records, values, reported, flag):
    """Returns a Figure: final test accuracy in % over the value of a setting, a line for every series of runs.

    values: {run: its value}; runs whose names differ in a last number alone, as noise-10 and noise-30, are one series.
    reported: {run: accuracy as a fraction} where a report printed one: hollow markers on a thin dashed line. Measured:
    each seed and the line through their means. A learning rate has a log axis, a fraction of noise is in %. Raises
    ValueError where no record has a test accuracy.
    """
    records = [r for r in records if r["run"] in values and r["metrics"].get("test_acc") is not None]
    if not records:
        raise ValueError(f"no record has a test accuracy to draw against {flag.replace('_', ' ')}")
    groups, scale = _by_run(records), 1
    x_label = SETTINGS.get(flag, flag.replace("_", " "))
    if flag == "label_noise":
        scale, x_label = 100, "share of train labels drawn anew (%)"
    series_of = {run: re.sub(r"-\d+$", "", run) for run in values}
    series = {name: [] for name in series_of.values()}  # in the order given, the runs of each by value
    for run in sorted(values, key=values.get):
        series[series_of[run]].append(run)
    names, looks = short_names(series), looks_of(series)
    labels, of_series = {}, {}
    used, style = {"measured"}, {**REPORTED, "markersize": 7}
    with matplotlib.rc_context(STYLE):
        fig = empty_figure(7, 4)
        ax = fig.subplots()
        for name, runs in series.items():
            points = {values[run] * scale: _test_accuracies(groups[run]) for run in runs if run in groups}
            if points:
                means = [np.mean(accuracies) for accuracies in points.values()]
                ax.plot(list(points), means, color=looks[name]["color"], linewidth=1.4, label=f"{name} mean")
            for x, accuracies in points.items():
                ax.plot([x] * len(accuracies), accuracies, linestyle="", markersize=5, **looks[name],
                        label=f"{name} measured")
            printed = {values[run] * scale: 100 * reported[run] for run in runs if run in reported}
            if printed:
                ax.plot(list(printed), list(printed.values()), **looks[name], **style, zorder=1,
                        label=f"{name} reported")
                used.add("reported")
            labels[name] = names[name] if points else names[name] + " (not measured)"
            of_series[name] = [record for run in runs for record in groups.get(run, [])]
        if flag == "lr":
            ax.set_xscale("log")
        ticks = sorted({value * scale for value in values.values()})
        ax.set_xticks(ticks, [_short(tick) for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set(xlabel=x_label, ylabel="test accuracy (%)")
        keys = _compared_keys(groups, 5, style)
        _legends(fig, labels, looks, keys, used, of_series, names)
    return fig


# ---- single runs ----------------------------------------------------------------------------------------------------

def single(record, settings, out):
    """Writes the pictures of one record into the folder `out`; see draw_single. Returns their paths.

    settings: the values of model, batch size, learning rate and dropout, None for one that the net does not have. The
    files are named by them as in report 4, METRIC_MODEL_BATCHSIZE_LR_DROPOUT.png; METRIC is loss or acc.
    """
    name = "_".join(value if isinstance(value, str) else _short(value or 0) for value in settings)
    paths = []
    for metric, fig in draw_single(record).items():
        paths.append(Path(out) / f"{metric}_{name}.png")
        save(fig, paths[-1])
    return paths


def draw_single(record):
    """Returns {"loss": Figure, "acc": Figure} of one record, the latter if it has accuracies.

    Train, valid and test by epoch, the best valid epoch as a line (highest accuracy, or lowest loss where there is
    none; the first of equals), the final test accuracy as a star.
    """
    run, epochs, figures = record["run"], _length([record]), {}
    looks = looks_of([(run, part) for part in PARTS])
    looks[run] = looks[run, "test"]
    score = _table([record], "valid_acc", epochs)[0]
    if not score.count():
        score = -_table([record], "valid_loss", epochs)[0]
    for metric in _metrics([record]):
        with matplotlib.rc_context(STYLE):
            figures[metric] = fig = empty_figure(7, 4)
            ax, keys = fig.subplots(), _keys()
            used = _panel(ax, {run: [record]}, looks, {run: metric}, metric, 1, epochs)
            if score.count():
                best = int(score.argmax()) + 1
                ax.axvline(best, color="0.35", linewidth=0.8, zorder=1, label="best valid epoch")
                keys["best"] = Line2D([], [], color="0.35", linewidth=0.8, label=f"best valid epoch ({best})")
                used.add("best")
            for part in PARTS:
                look = looks[run, part]
                keys[part].set(**look, markerfacecolor=look["color"] if part == "valid" else "white")
            ax.set_title(f"{run}, seed {record['seed']}{_brief([record])}", loc="left")
            _legends(fig, {}, looks, keys, used, {run: [record]}, {run: run})
    return figures


if __name__ == "__main__":  # the command line is that of figures.py, which knows where records and nets are
    script = Path(__file__).resolve().parent / "experiments" / "figures.py"
    os.execv(sys.executable, [sys.executable, str(script), *sys.argv[1:]])

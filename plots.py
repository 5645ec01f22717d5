"""Run folders in, pictures out: curves, sweeps of a setting, landmarks, confusion matrices, features, the layers of a net.

    python plots.py curves --runs runs --out figures --seeds "0 1 2" --last 50 keypoints/adam keypoints/adam-sgd
    python plots.py sweep --what lr --seeds "0 1 2" mlp_cnn/lr-1e-1 mlp_cnn/lr-1e-2 mlp_cnn/lr-1e-3
    python plots.py by-epoch net/baseline net/bn
    python plots.py single --seeds "0 1" mlp_cnn/lr-1e-2
    python plots.py faces --runs runs --out figures keypoints/adam keypoints/adam-bn
    python plots.py against --what label-noise caltech35/noise-0 caltech35/noise-10 caltech35/denoise-0 caltech35/denoise-10
    python plots.py confusion caltech35/base                             # train and test, counts
    python plots.py features --classes 1,2,3,4,5 caltech35/base          # PCA and t-SNE, train and test
    python plots.py layers caltech35/base caltech35/bottleneck           # a table of each: output shapes and parameters

Nothing here trains, and nothing needs a display. A *record* is what one run left behind, as a dict: the content of its
result.json and, under "curves", its log.jsonl by column: {"epoch": [1, 2, ...], "train_loss": [...], ...}, with None where
a number is absent or was not finite. results/records.jsonl holds rows of the same shape.
"""

import argparse
import json
import math
import os
import re
import statistics
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure  # Figure itself, not pyplot: it draws without a display and keeps no global state
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

STYLE = {"font.size": 9, "axes.titlesize": 10, "legend.fontsize": 9, "axes.grid": True, "grid.alpha": 0.25, "axes.axisbelow": True,
         "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
# Okabe and Ito's colours, told apart by colour-blind eyes; darker and lighter ones alternate and every run has its own
# marker, so that the picture also survives a black-and-white printer. Yellow is left out: too faint on white.
COLOURS = ["#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#56B4E9", "#D55E00"]
MARKERS = ["o", "s", "D", "P", "p", "<", "h", ">", "d"]  # no x, star or upright triangle: those have a meaning below
PARTS = {"train": "--", "valid": "-", "test": ":"}
COLUMNS = ("epoch", "lr", "train_loss", "train_acc", "left_out", "penalty", "tail_loss", "valid_loss", "valid_acc", "test_loss", "test_acc",
           "grad_norm", "seconds")
# The 21 landmarks in file order: brows 0-5, eyes 6-9 with pupils 16 and 17, nose 10-12 and 18, lips 13-15, mouth's corners 19 and 20.
STROKES = [(0, 1, 2), (3, 4, 5), (6, 16, 7), (8, 17, 9), (10, 18, 12, 11, 10), (19, 13, 20, 15, 19)]


# ---- reading run folders ---------------------------------------------------------------------------------------------

def read_run(folder):
    """The record of runs/REPORT/RUN/seedK/, or None where nothing has been logged yet.

    A run without result.json has the status "unfinished". A last line that was cut off while it was written is ignored;
    anything else broken is a ValueError that names file and line."""
    folder = Path(folder)
    curves = _read_log(folder / "log.jsonl")
    if (folder / "result.json").exists():
        return {**_read_json(folder / "result.json"), "curves": curves}
    if not curves["epoch"]:
        return None
    args = _read_json(folder / "args.json") if (folder / "args.json").exists() else {}
    return {"status": "unfinished", "run": "/".join(folder.parts[-3:-1]), "seed": int(folder.name.removeprefix("seed")), "metrics": {},
            "epochs": len(curves["epoch"]), "data": {"name": args.get("data"), "synthetic": bool(args.get("synthetic"))}, "curves": curves}


def _read_json(path):
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a JSON object")
    return content


def _read_log(path):
    """log.jsonl -> {column: [value per epoch]}; empty columns where there is no file."""
    rows = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not (isinstance(row, dict) and isinstance(row.get("epoch"), int) and row["epoch"] >= 1):
                raise ValueError("no epoch, counted from 1, in it")
        except ValueError as error:
            if number == len(lines):  # only a line that was cut off has no newline behind it
                break
            raise ValueError(f"{path}, line {number}: not a line of a log: {error}") from None
        rows.append(row)
    return {column: [row.get(column) for row in rows] for column in COLUMNS}


# ---- curves ----------------------------------------------------------------------------------------------------------

def curves(records, path, last=0):
    """Write the curves of `records` to the PNG file `path`; see draw_curves. Raises ValueError where there are no records."""
    _save(draw_curves(records, last), path)


def draw_curves(records, last=0):
    """A matplotlib Figure: the training curves of `records` on shared axes.

    A colour and a marker per run, in the order given; train dashed, valid solid, test by epoch dotted. Of several seeds: the
    mean, and a band from the smallest to the largest. A panel for the loss and, where any run has one, for the accuracy in %,
    with a star for the final test accuracy, and lines where the learning rate falls, if that is at the same three epochs or fewer
    for all. `last` > 0 adds panels of only that many last epochs, if there are more than that.
    Points far above the rest do not set the loss axis: each gets a triangle at the upper edge, the panel's title the highest."""
    groups = _by_run(records)
    names, epochs, looks = _short_names(groups), _length(records), _looks(groups)
    has_accuracy = any(_table(records, f"{part}_acc", epochs).count() for part in PARTS)
    starts = [1] + [epochs - last + 1] * (0 < last < epochs)
    panels = [(metric, first) for first in starts for metric in ["loss", "acc"][:1 + has_accuracy]]
    rows, columns = (1, 1) if len(panels) == 1 else (len(panels) // 2, 2)

    with matplotlib.rc_context(STYLE):
        fig = _figure(7 if columns == 1 else 10, 3.5 * rows + 0.5)
        used = set()
        for ax, (metric, first) in zip(fig.subplots(rows, columns, squeeze=False).flat, panels):
            used |= _panel(ax, groups, looks, names, metric, first, epochs)
            for epoch in _falls(records):
                if epoch > first:
                    ax.axvline(epoch - 0.5, color="0.35", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1, label="lr falls")
                    used.add("falls")
        _legends(fig, {run: names[run] + _note(groups[run]) for run in groups}, looks, _keys(), used, groups, names)
    return fig


def _falls(records):
    """The epochs that begin with a lower learning rate than the one before, if there are up to three and all records share them."""
    found = set()
    for record in records:
        rates = record["curves"].get("lr") or []
        found.add(tuple(i + 2 for i, (a, b) in enumerate(zip(rates, rates[1:])) if a is not None and b is not None and b < a))
    return found.pop() if len(found) == 1 and len(next(iter(found))) <= 3 else ()


def _by_run(records):
    """{run: its records}, in the order given. Raises ValueError where there are none."""
    if not records:
        raise ValueError("no records to draw")
    groups = {}
    for record in records:
        groups.setdefault(record["run"], []).append(record)
    return groups


def _looks(runs):
    """{run: a colour and a marker of its own}"""
    looks = {}
    for i, run in enumerate(runs):
        colour = COLOURS[i] if len(runs) <= len(COLOURS) else matplotlib.colormaps["viridis"](0.92 * i / (len(runs) - 1))
        looks[run] = {"color": colour, "marker": MARKERS[i % len(MARKERS)]}
    return looks


def _figure(wide, high):
    """A Figure of so many inches; _legends makes it higher."""
    fig = Figure((wide, high), dpi=150, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return fig


def _legends(fig, labels, looks, keys, used, groups, names, title=None):
    """Below the panels, what each run of `labels` looks like; above them, the `keys` that are `used`, and if data were generated."""
    handles = [Line2D([], [], markersize=5, label=label, **looks[run]) for run, label in labels.items()]
    keys = [key for name, key in keys.items() if name in used]
    columns = {}
    for where, shown in (("lower", handles), ("upper", keys)):
        widths = [len(handle.get_label()) + 8 for handle in shown]  # in letters, with the sample of the line
        wide = 14 * int(fig.get_figwidth())  # some 14 letters to the inch
        columns[where] = max(1, len(shown) if sum(widths) <= wide else wide // max(widths))
        fig.set_figheight(fig.get_figheight() + 0.2 * math.ceil(len(shown) / columns[where]))
    if handles:
        fig.legend(handles=handles, loc="outside lower center", ncols=columns["lower"], title=title)
    legend = fig.legend(handles=keys, loc="outside upper center", ncols=columns["upper"])
    _say_generated(legend, [run for run in groups if any((r.get("data") or {}).get("synthetic") for r in groups[run])], names)


def _panel(ax, groups, looks, names, metric, first, epochs, parts=PARTS, cap=math.inf):
    """Draw one metric from epoch `first` on. -> the names of the _keys it used.

    `parts`: {part: line style}, those to draw; the loss axis is that of all parts, so that panels of single parts compare. No loss
    above `cap` gets room on it; a run that is mostly above it has fewer triangles there, lest it hide those of others."""
    x = np.arange(first, epochs + 1)
    tables = [(run, part, _table(group, f"{part}_{metric}", epochs)[:, first - 1:]) for run, group in groups.items() for part in PARTS]
    tables = [(run, part, table) for run, part, table in tables if table.count()]
    top = _scale(ax, tables, first, cap) if metric == "loss" and tables else math.inf
    tables = [(run, part, table) for run, part, table in tables if part in parts]
    used = {part for _, part, _ in tables}
    peaks = {}
    for run, part, table in tables:
        look, high = looks.get((run, part), looks[run]), table.max(0)
        fill = look["color"] if parts[part] == "-" else "white"
        step = max(1, len(x) // 8)  # runs put their markers at different epochs, or those of close curves would hide each other
        every = (list(groups).index(run) * step // len(groups), step)
        ax.plot(x, table.mean(0), parts[part], **look, markersize=4, markevery=every, markerfacecolor=fill,
                linewidth=1 if parts[part] == "--" else 1.4, label=f"{run} {part}")
        if len(table) > 1:
            ax.fill_between(x, table.min(0), np.ma.masked_where(high > top, high), color=look["color"], alpha=0.15, linewidth=0)
            used.add("band")
        above = np.ma.filled(high > top, False)
        if above.any():
            ax.plot(x[above], np.full(above.sum(), 0.98), "^", transform=ax.get_xaxis_transform(), color=look["color"], markersize=6,
                    markerfacecolor="white" if parts[part] == "--" else look["color"], clip_on=False, zorder=6,
                    markevery=every if above.mean() > 0.5 and parts is not PARTS else None, label=f"{run} above the axis")
            peaks[run] = max(peaks.get(run, 0), high[above].max())
            used.add("above")
    for run, group in groups.items():
        used |= _ends(ax, run, group, looks[run]["color"], metric, first, epochs, top, parts)
    pad = max(0.015 * (epochs - first), 0.2)
    ax.set_xlim(first - min(pad, 0.9), epochs + pad)  # no tick for an epoch 0
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlabel("epoch")
    of_landmarks = all(run.startswith("keypoints/") or (group[0].get("data") or {}).get("name") == "faces21" for run, group in groups.items())
    ax.set_ylabel("accuracy (%)" if metric == "acc" else "MSE (px²)" if of_landmarks else "loss")
    ax.set_title(f"last {epochs - first + 1} epochs" if first > 1 else "", loc="left")
    ax.set_title("\n".join(f"▲ {names[run]}: up to {peak:.3g}" for run, peak in peaks.items()), loc="right", fontsize=8)
    return used


def _ends(ax, run, group, colour, metric, first, epochs, top, parts):
    """Mark a run's final test accuracy, unless for a single part, and where it diverged. -> the names of the _keys it used."""
    used = set()
    tests = [100 * r["metrics"]["test_acc"] for r in group if r["metrics"].get("test_acc") is not None]
    if tests and metric == "acc" and len(parts) > 1:
        scored = [r["metrics"]["best_epoch"] if r.get("test_weights") == "best" else _length([r]) for r in group
                  if r["metrics"].get("test_acc") is not None]
        ax.plot(np.mean(scored), np.mean(tests), "*", color=colour, markersize=12, markeredgecolor="white", clip_on=False, zorder=5,
                label=f"{run} final test")
        used.add("star")
    for record in group:
        if record["status"] == "diverged" and _length([record]) >= first:
            # On the last number that the run has; on the upper edge where that is out of sight, or already the first was not finite.
            ends = [end for part in parts if part != "test" or len(parts) == 1
                    for end in enumerate(_table([record], f"{part}_{metric}", epochs)[0], 1) if end[1] is not np.ma.masked]
            epoch, value = ends[-1] if ends else (_length([record]), math.inf)
            inside = bool(ends) and value <= top
            ax.plot(epoch, value if inside else 0.98, "x", transform=ax.transData if inside else ax.get_xaxis_transform(), color=colour,
                    markersize=9, markeredgewidth=2.2, clip_on=False, zorder=7, label=f"{run} diverged")
            used.add("cross")
    return used


def _scale(ax, tables, first, cap=math.inf):
    """Choose a loss axis on which single excursions do not flatten everything else. -> its upper limit."""
    every = [np.sort(table.max(0).compressed()) for *_, table in tables]
    cap = max(cap, min(curve[0] for curve in every))  # something has to be in sight
    middle = max(np.median(np.concatenate(every)), 1e-12)
    # How far above the rest is an excursion, on a linear and on a log axis? A picture from epoch 1 on has room for the start:
    # keypoint runs come down to 10 px² from about 1000.
    far, further = (4, 300) if first == 1 else (2, 10)
    usual = [curve[curve <= min(further * middle, cap)] for curve in every]
    # Valid curves choose: a train loss that nears zero would always ask for a log axis, on which valid curves look flat. Their
    # second highest point counts, which neither a single jump nor one high start is.
    valid = [curve for curve, (_, part, _) in zip(usual, tables) if part == "valid" and len(curve)]
    judged = valid or [curve for curve in usual if len(curve)]
    log = max(curve[-2:][0] for curve in judged) > 4 * max(np.quantile(np.concatenate(judged), 0.05), 1e-12)
    # A whole curve that lies higher is no excursion. "lower": among few points, the highest must not raise its own limit.
    common = np.quantile(np.concatenate(usual), 0.9, method="lower")
    limit = further * middle if log else max([far * common] + [np.median(curve) for curve in usual if len(curve)])
    points = np.concatenate([table.compressed() for *_, table in tables])
    points = points[(points <= min(limit, cap)) & ((points > 0) | (not log))]
    if not len(points):  # every loss is 0
        return math.inf
    bottom, top = points.min(), points.max()
    if log:
        bottom, top = bottom / 1.12, top * 1.12
        ax.set_yscale("log", nonpositive="mask")
        few = top < 8 * bottom  # then 1, 2, 5 would leave one or two ticks
        usual_ticks = LogLocator(subs=(1, 2, 5) if top < 1e4 * bottom else (1,))
        ax.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]) if few else usual_ticks)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
    else:
        pad = 0.05 * (top - bottom) or 0.05
        bottom, top = bottom - pad, top + pad
    ax.set_ylim(bottom, top)
    return top


def _table(records, column, epochs):
    """A masked array (records, epochs) of one column, accuracies in %; masked where there is no finite number."""
    table = np.full((len(records), epochs), np.nan)
    for row, record in zip(table, records):
        for epoch, value in zip(record["curves"]["epoch"], record["curves"].get(column) or []):
            row[epoch - 1] = math.nan if value is None else value
    return np.ma.masked_invalid(table * (100 if column.endswith("_acc") else 1))


def _length(records):
    return max([1] + [epoch for record in records for epoch in record["curves"]["epoch"]])


def _short_names(runs):
    """{run: its name without the report}; with it, where two would be alike."""
    short = {run: run.split("/", 1)[-1] for run in runs}
    return short if len(set(short.values())) == len(short) else {run: run for run in runs}


def _note(group):
    """What the legend says of a run besides its name, e.g. " (3 seeds; seed 1 diverged, epoch 7)"."""
    notes = [f"{len(group)} seeds"] if len(group) > 1 else []
    for record in group:
        if record["status"] != "finished":
            notes.append((f"seed {record['seed']} " if len(group) > 1 else "") + f"{record['status']}, epoch {_length([record])}")
    return f" ({'; '.join(notes)})" if notes else ""


def _keys():
    """What lines and marks mean, said once for all runs."""
    marks = {"star": ("*", "final test"), "cross": ("x", "diverged"), "above": ("^", "above the axis")}
    keys = {part: Line2D([], [], linestyle=style, marker="o", markersize=5, color="0.35", label="test by epoch" if part == "test" else part,
                         markerfacecolor="0.35" if part == "valid" else "white") for part, style in PARTS.items()}
    keys["band"] = Patch(facecolor="0.35", alpha=0.25, label="min–max of the seeds")
    keys["falls"] = Line2D([], [], color="0.35", linewidth=0.8, linestyle=(0, (1, 2)), label="learning rate falls")
    for name, (mark, label) in marks.items():
        keys[name] = Line2D([], [], linestyle="", marker=mark, markersize=8, color="0.35", label=label)
    return keys


def _brief(group):
    """_note without numbers of seeds and epochs: " (2 of 3 diverged)"."""
    states = [r["status"] for r in group if r["status"] != "finished"]
    notes = [f"{states.count(s)} of {len(group)} {s}" if len(group) > 1 else s for s in dict.fromkeys(states)]
    return f" ({', '.join(notes)})" if notes else ""


def _seeds(groups):
    """How many seeds the runs have: "1 seed", "3 seeds", "2–3 seeds"."""
    counts = sorted({len(group) for group in groups.values()})
    return "–".join(str(n) for n in {counts[0]: 0, counts[-1]: 0}) + (" seed" if counts[-1] == 1 else " seeds")


def _say_generated(legend, runs, names):
    """Say in the picture, above a legend, which runs saw generated data: nobody shall take them for measurements."""
    if runs:
        some = "" if len(runs) == len(names) else ", ".join(names[run] for run in runs) + ": "
        legend.set_title(some + "generated data, not a measurement")
        legend.get_title().set(color="#B00000", fontweight="bold", fontsize=10)


def _title(fig, title, generated):
    """A title over all panels that says so if the run saw generated data."""
    fig.suptitle(title + ": generated data, not a measurement" * generated, color="#B00000" if generated else "black", fontsize=11)


# ---- sweeps, test accuracy by epoch, single runs -----------------------------------------------------------------------

def sweep(records, values, path, flag):
    """Write the picture of a sweep over `flag` of train.py to the PNG file `path`; see draw_sweep. Values that span a factor of 100 or more
    get a log axis."""
    log = min(values.values()) > 0 and max(values.values()) >= 100 * min(values.values())
    _save(draw_sweep(records, values, {"lr": "learning rate"}.get(flag, flag.replace("_", " ")), log), path)


def draw_sweep(records, values, what, log=False):
    """A matplotlib Figure: curves of `records` for every value of the setting `what`, and how they end over that value.

    values: {run: its value}, numbers; a run without a record keeps its colour and its tick, and the legend says that it is missing.
    Panels by epoch: loss and, where any run has one, accuracy in %, train left, valid right, on the same axis; of several seeds the
    mean and a min–max band. A last panel, its x axis logarithmic if `log`: the final valid accuracy (of landmark nets the loss) of
    each seed, the line through the means of those that did not diverge; a cross at the edge for each that did. Final is the median
    of the last 10 epochs. Raises ValueError where a run has no value, two have the same, or a log axis has no place for one."""
    by_run, values = _by_run(records), dict(sorted(values.items(), key=lambda item: item[1]))
    runs, names = list(values), {run: _short(value) for run, value in values.items()}
    for run in by_run:
        if run not in values:
            raise ValueError(f"{run}: no value of {what} is given for it")
    for one, other in zip(runs, runs[1:]):
        if values[one] == values[other]:
            raise ValueError(f"{one} and {other} have the same {what}, {names[one]}")
    if log and values[runs[0]] <= 0:
        raise ValueError(f"{runs[0]}: no place on a log axis for {what} {names[runs[0]]}")
    groups, epochs = {run: by_run[run] for run in runs if run in by_run}, _length(records)
    labels = {run: names[run] + (_brief(groups[run]) if run in groups else " (no run yet)") for run in runs}
    looks = _looks(runs)
    for i, run in enumerate(runs):
        looks[run]["color"] = matplotlib.colormaps["plasma"](0.82 * i / max(1, len(runs) - 1))  # beyond 0.82 too faint on white
    metrics = ["loss", "acc"][:1 + any(_table(records, f"{part}_acc", epochs).count() for part in ("train", "valid"))]
    # In a sweep whole runs go wrong. The axis is for the others: half as much again as most of them reach but for 2 % of the epochs.
    losses = [[_table(group, f"{part}_loss", epochs).max(0) for group in groups.values()] for part in ("train", "valid")]
    highs = [[np.quantile(loss.compressed(), 0.98, method="nearest") for loss in part if loss.count()] for part in losses]
    cap = 1.5 * max(statistics.median_low(high or [0]) for high in highs)
    with matplotlib.rc_context(STYLE):
        fig = _figure(10, 2.8 * len(metrics) + 3.2)
        axes = fig.subplot_mosaic([[f"{part}_{metric}" for part in ("train", "valid")] for metric in metrics] + [["final", "final"]])
        used = set()
        for name in list(axes)[:-1]:
            part, metric = name.split("_")
            if name == "valid_acc":
                axes[name].sharey(axes["train_acc"])
            used |= _panel(axes[name], groups, looks, names, metric, 1, epochs, parts={part: "-"}, cap=cap) - {part}
            axes[name].set_ylabel(f"{part} {axes[name].get_ylabel()}")
        used |= _final_panel(axes["final"], groups, values, looks, metrics[-1], log, cap)
        axes["final"].set(xlabel=what, ylabel=f"final {axes[f'valid_{metrics[-1]}'].get_ylabel()}")
        title = f"final: median of the last {min(10, epochs)} epoch{'s' * (epochs > 1)}"
        if len(groups) < len(records):
            title += f"; line: mean of {_seeds(groups)}" + ", less those that diverged" * any(r["status"] == "diverged" for r in records)
        axes["final"].set_title(title, loc="left")
        _legends(fig, labels, looks, _keys(), used, groups, {run: names[run] for run in groups}, title=what)
    return fig


def _final_panel(ax, groups, values, looks, metric, log, cap):
    """Draw the final valid metric of every seed over the value of its run. -> the names of the _keys it used."""
    used, ends, top = set(), {}, math.inf
    for run in values:
        lasts = [_table([r], f"valid_{metric}", _length([r]))[0, -10:] for r in groups.get(run, []) if r["status"] != "diverged"]
        ends[run] = np.array([np.ma.median(last) for last in lasts if last.count()])
    if metric == "loss" and any(map(len, ends.values())):
        top = _scale(ax, [(run, "valid", np.ma.array(end[:, None])) for run, end in ends.items() if len(end)], 1, cap)
    if log:
        ax.set_xscale("log")
    means = [end.mean() if len(end) and end.mean() <= top else math.nan for end in ends.values()]  # nan: a gap in the line
    ax.plot(list(values.values()), means, color="0.5", linewidth=1.2, zorder=1, label="mean")
    for run, end in ends.items():
        look = {**looks[run], "clip_on": False, "linestyle": ""}
        edge = {**look, "transform": ax.get_xaxis_transform()}
        for y in end[end <= top]:
            ax.plot(values[run], y, **look, markersize=6, label=f"{run} final")
        if any(end > top):
            ax.plot(values[run], 0.98, **edge | {"marker": "^"}, markersize=6, label=f"{run} above the axis")
            used.add("above")
        if any(r["status"] == "diverged" for r in groups.get(run, [])):
            ax.plot(values[run], 0.04, **edge | {"marker": "x"}, markersize=9, markeredgewidth=2.2, label=f"{run} diverged")
            used.add("cross")
    ax.margins(y=0.12)  # a cross lies below all points
    if not any(map(len, ends.values())):
        ax.set_yticks([])
    place = np.array([math.log10(value) if log else value for value in values.values()])
    pad = 0.04 * (place[-1] - place[0]) or 0.1
    ax.set_xlim([10 ** x if log else x for x in (place[0] - pad, place[-1] + pad)])  # also where a value has no point
    place = 8.5 * (place - place[0]) / ((place[-1] - place[0]) or 1)  # inches along the axis
    names, shown = [_short(value) for value in values.values()], []
    turned = any(gap < 0.04 * len(one + other) + 0.1 for gap, one, other in zip(np.diff(place), names, names[1:]))
    for i in range(len(names)):  # even turned by 90°, a label needs room; the legend has every value
        shown += [i] if not shown or place[i] - place[shown[-1]] > 0.13 else []
    ax.set_xticks(list(values.values()), [name if i in shown else "" for i, name in enumerate(names)], rotation=90 * turned)
    ax.xaxis.set_minor_locator(NullLocator())
    return used


def _short(value):
    """A setting as its flag is typed: 0.005, 1e-05, 0."""
    return f"{value:.10g}"


def by_epoch(records, reported, path):
    """Write the test accuracy by epoch to the PNG file `path`; see draw_by_epoch."""
    _save(draw_by_epoch(records, reported), path)


def draw_by_epoch(records, reported):
    """A matplotlib Figure: test accuracy in % by epoch, what `records` measured beside what a report printed.

    reported: {run: {epoch: accuracy as a fraction}}. A colour per run; measured: solid, the mean of the seeds and a min–max band;
    reported: hollow markers on a thin dashed line. Records without test accuracy by epoch are left out; ValueError if all are."""
    records = [r for r in records if _table([r], "test_acc", _length([r])).count()]
    if not records:
        raise ValueError("no record has test accuracy by epoch")
    groups = _by_run(records)
    reported = {run: points for run, points in reported.items() if points}
    runs = list(dict.fromkeys([*groups, *reported]))
    names, looks = _short_names(runs), _looks(runs)
    epochs = max([_length(records)] + [epoch for points in reported.values() for epoch in points])
    told = {"linestyle": "--", "linewidth": 0.8, "markersize": 6, "markerfacecolor": "white"}
    with matplotlib.rc_context(STYLE):
        fig = _figure(7, 4)
        ax = fig.subplots()
        used = _panel(ax, groups, looks, names, "acc", 1, epochs, parts={"test": "-"}) - {"test"} | {"measured"}
        for run, points in reported.items():
            x = sorted(points)
            ax.plot(x, [100 * points[epoch] for epoch in x], **looks[run], **told, zorder=3, label=f"{run} reported")
            used.add("reported")
        ax.set_ylabel("test accuracy (%)")
        keys = {"measured": Line2D([], [], color="0.35", marker="o", markersize=4, label=f"measured ({_seeds(groups)})"),
                "reported": Line2D([], [], color="0.35", marker="o", label="reported", **told), **_keys()}
        labels = {run: names[run] + (_brief(groups[run]) if run in groups else " (not measured)") for run in runs}
        _legends(fig, labels, looks, keys, used, groups, names)
    return fig


def single(folder, out):
    """Write the pictures of one run folder runs/REPORT/RUN/seedK/ into the folder `out`. -> their paths.

    They are named as in report 4, METRIC_MODEL_BATCHSIZE_LR_DROPOUT.png, METRIC being loss and, where there is one, acc. Raises
    ValueError where nothing was logged or args.json lacks a setting."""
    record = read_run(folder)
    if record is None:
        raise ValueError(f"{folder}: nothing to draw yet, nothing was logged")
    settings = [_setting(folder, name) for name in ("model", "batch_size", "lr", "dropout")]
    name = "_".join(word if isinstance(word, str) else _short(word or 0) for word in settings)
    paths = []
    for metric, fig in draw_single(record).items():
        paths.append(Path(out) / f"{metric}_{name}.png")
        _save(fig, paths[-1])
    return paths


def draw_single(record):
    """{"loss": Figure, "acc": Figure} of one record, the latter if it has accuracies: train, valid and test by epoch, the best valid
    epoch as a line (highest accuracy, or lowest loss where there is none; the first of equals), the final test accuracy as a star."""
    run, epochs, figures = record["run"], _length([record]), {}
    looks = _looks([(run, part) for part in PARTS])
    looks[run] = looks[run, "test"]
    scores = {metric: _table([record], f"valid_{metric}", epochs)[0] for metric in ("acc", "loss")}
    score = scores["acc"] if scores["acc"].count() else -scores["loss"]
    for metric in ["loss", "acc"][:1 + any(_table([record], f"{part}_acc", epochs).count() for part in PARTS)]:
        with matplotlib.rc_context(STYLE):
            figures[metric] = fig = _figure(7, 4)
            ax, keys = fig.subplots(), _keys()
            used = _panel(ax, {run: [record]}, looks, {run: metric}, metric, 1, epochs)
            if score.count():
                best = int(score.argmax()) + 1
                ax.axvline(best, color="0.35", linewidth=0.8, zorder=1, label="best valid epoch")
                keys["best"] = Line2D([], [], color="0.35", linewidth=0.8, label=f"best valid epoch ({best})")
            for part in PARTS:
                keys[part].set(**looks[run, part], markerfacecolor=looks[run, part]["color"] if part == "valid" else "white")
            ax.set_title(f"{run}, seed {record['seed']}{_brief([record])}", loc="left")
            _legends(fig, {}, looks, keys, used | {"best"}, {run: [record]}, {run: run})
    return figures


def _setting(folder, name):
    """A setting of a run from its args.json, None for a flag that its net does not have."""
    path = Path(folder) / "args.json"
    args = _read_json(path) if path.exists() else {}
    if name not in args:
        raise ValueError(f"{path}: no {name} in it" if args else f"{path}: not there")
    return args[name]


# ---- faces -----------------------------------------------------------------------------------------------------------

def faces(runs_dir, runs, seed, path, data_dir, photo=True, count=4):
    """Write a grid to the PNG file `path`: a row per run, a column per face, predicted (red) over true (green) landmarks.

    Faces: `count` of the valid set, evenly spread, then the last of these turned by +30° and -30°; the same for every run.
    photo=False draws the points alone, without any pixel of a face. A run without model.pt, or whose net does not give 21
    landmarks, is named on stderr and left out. -> True, or False (nothing written) if no run is left."""
    folders = {}
    for run in runs:
        folder = Path(runs_dir) / run / f"seed{seed}"
        if (folder / "model.pt").exists():
            folders[run] = folder
        else:
            print(f"{run} seed {seed}: no {folder / 'model.pt'}, left out of the faces", file=sys.stderr)
    shown = predict(folders, data_dir, count) if folders else None
    if not shown or not shown["predicted"]:
        return False
    generated = [run for run in shown["predicted"] if ((read_run(folders[run]) or {}).get("data") or {}).get("synthetic")]
    _save(draw_faces(shown, photo, generated), path)
    return True


def predict(folders, data_dir, count):
    """Run the nets of {run: folder} on the same held-out faces. -> None if none gives landmarks, else a dict:

    pictures (faces, 112, 112) and true (faces, 42) in pixels, heads: what each face is, predicted {run: (faces, 42)},
    other: the runs that trained with another split, and so may have seen these faces."""
    import torch

    import data
    import train

    shown, valid = None, None
    for run, folder in folders.items():
        _, model, dataset = train.restore(folder, data_dir=data_dir, device="cpu")
        if tuple(dataset.targets.shape[1:]) != (42,):
            print(f"{run}: its net does not give 21 landmarks, left out of the faces", file=sys.stderr)
            continue
        if shown is None:
            valid = dataset.valid
            n = max(1, min(count, len(valid)))
            x, y = dataset.batch(valid[torch.arange(n) * len(valid) // n])
            # The same face upright and turned, so that the turn is all that differs.
            turned, landmarks = data.rotate(x[[-1, -1]], torch.tensor([30.0, -30.0]), y[[-1, -1]])
            x, y = torch.cat([x, turned]), torch.cat([y, landmarks])
            shown = {"pictures": x[:, 0].numpy(), "true": y.numpy(), "heads": ["upright"] * n + ["turned +30°", "turned −30°"],
                     "predicted": {}, "other": set()}
        if not torch.equal(dataset.valid, valid):
            shown["other"].add(run)
        with torch.no_grad():
            shown["predicted"][run] = model(x).float().numpy()
    return shown


def draw_faces(shown, photo=True, generated=()):
    """A matplotlib Figure of what `predict` returns; each cell says its MSE in px². `generated`: runs that saw generated data."""
    runs, n = list(shown["predicted"]), len(shown["heads"])
    names = _short_names(runs)
    with matplotlib.rc_context({**STYLE, "axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        fig = Figure(figsize=(1.45 * n + 0.5, 1.68 * len(runs) + 0.8), dpi=150, layout="constrained")
        fig.get_layout_engine().set(w_pad=0.02, h_pad=0.06)
        for axes, run in zip(fig.subplots(len(runs), n, squeeze=False), runs):
            for i, ax in enumerate(axes):
                true, predicted = (points[i].reshape(21, 2) for points in (shown["true"], shown["predicted"][run]))
                if photo:  # pixel i covers [i, i+1): landmarks count from the crop's edge
                    ax.imshow(shown["pictures"][i], cmap="gray", extent=(0, 112, 112, 0))
                else:
                    for stroke in STROKES:
                        ax.plot(*true[list(stroke)].T, color="#009E2A", alpha=0.3, linewidth=0.8)
                # A dot under a cross: told apart without seeing red and green, too.
                ax.plot(*true.T, "o", color="#00C030" if photo else "#009E2A", markersize=3.2, markeredgewidth=0, label="true")
                ax.plot(*predicted.T, "x", color="#FF2020" if photo else "#D00000", markersize=3.2, markeredgewidth=0.9, label="predicted")
                mse = float(np.mean((true - predicted) ** 2))
                error = "not finite" if not math.isfinite(mse) else f"{mse:.3g} px²" if mse < 1000 or mse >= 1e5 else f"{mse:,.0f} px²"
                outside = int(((predicted < 0) | (predicted > 112)).any(1).sum())
                ax.set_xlabel(error + f", {outside} outside" * (outside > 0), fontsize=8, labelpad=2)
                ax.set(xlim=(0, 112), ylim=(112, 0), xticks=[], yticks=[], aspect="equal", facecolor="white")
                if run == runs[0]:
                    ax.set_title(shown["heads"][i], fontsize=9)
            axes[0].set_ylabel(names[run] + "\n(another split)" * (run in shown["other"]), fontsize=9)
        legend = fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=1.8)
        _say_generated(legend, generated, names)
    return fig


# ---- accuracy against a setting ----------------------------------------------------------------------------------------

def against(records, values, reported, path, flag):
    """Write the picture of test accuracy against `flag` of train.py to the PNG file `path`; see draw_against."""
    _save(draw_against(records, values, reported, flag), path)


def draw_against(records, values, reported, flag):
    """A matplotlib Figure: final test accuracy in % over the value of a setting, a line for every series of runs.

    values: {run: its value}; runs whose names differ in a last number alone, as noise-10 and noise-30, are one series. reported:
    {run: accuracy as a fraction} where a report printed one: hollow markers on a thin dashed line. Measured: each seed and the line
    through their means. A learning rate has a log axis, a share of noise is in %. ValueError where no record has a test accuracy."""
    records = [r for r in records if r["run"] in values and r["metrics"].get("test_acc") is not None]
    if not records:
        raise ValueError(f"no record has a test accuracy to draw against {flag.replace('_', ' ')}")
    groups, series_of = _by_run(records), {run: re.sub(r"-\d+$", "", run) for run in values}
    series = {name: [] for name in series_of.values()}  # in the order given, the runs of each by value
    for run in sorted(values, key=values.get):
        series[series_of[run]].append(run)
    names, looks, scale = _short_names(series), _looks(series), 100 if flag == "label_noise" else 1
    told = {"linestyle": "--", "linewidth": 0.8, "markersize": 7, "markerfacecolor": "white"}
    with matplotlib.rc_context(STYLE):
        fig = _figure(7, 4)
        ax, used = fig.subplots(), {"measured"}
        for name, runs in series.items():
            points = {values[run] * scale: [100 * r["metrics"]["test_acc"] for r in groups.get(run, [])] for run in runs}
            points = {x: found for x, found in points.items() if found}
            if points:
                ax.plot(list(points), [np.mean(found) for found in points.values()], color=looks[name]["color"], linewidth=1.4, label=f"{name} mean")
            for x, found in points.items():
                ax.plot([x] * len(found), found, linestyle="", markersize=5, **looks[name], label=f"{name} measured")
            printed = {values[run] * scale: 100 * reported[run] for run in runs if run in reported}
            if printed:
                ax.plot(list(printed), list(printed.values()), **looks[name], **told, zorder=1, label=f"{name} reported")
                used.add("reported")
        if flag == "lr":
            ax.set_xscale("log")
        ticks = sorted({value * scale for value in values.values()})
        ax.set_xticks(ticks, [_short(tick) for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set(xlabel={"lr": "learning rate", "label_noise": "share of train labels drawn anew (%)"}.get(flag, flag.replace("_", " ")),
               ylabel="test accuracy (%)")
        keys = {"measured": Line2D([], [], color="0.35", marker="o", markersize=5, label=f"measured ({_seeds(groups)})"),
                "reported": Line2D([], [], color="0.35", marker="o", label="reported", **told)}
        missing = {name: "" if any(run in groups for run in runs) else " (not measured)" for name, runs in series.items()}
        of_series = {name: [r for run in runs for r in groups.get(run, [])] for name, runs in series.items()}
        _legends(fig, {name: names[name] + missing[name] for name in series}, looks, keys, used, of_series, names)
    return fig


# ---- what a net of classes answers: confusion, features, layers ----------------------------------------------------------

def answers(folder, data_dir=None):
    """What the final weights of runs/REPORT/RUN/seedK/ make of its train and test images, in eval mode, not augmented:
    {"train": {"labels": (n,), "answers": (n,), "features": (n, d)}, "test": ...} as numpy arrays; train labels as they were trained with.

    Nothing is chosen by it. ValueError where the net's output is no class."""
    import torch

    import models
    import train

    args, model, dataset = train.restore(folder, data_dir=data_dir, device="cuda" if torch.cuda.is_available() else "cpu")
    if args.loss not in train.OF_LOGITS:
        raise ValueError(f"{folder}: its net answers with no class")
    found = {}
    with torch.no_grad():
        for part in ("train", "test"):
            batches = [(*models.with_features(model, x), y) for x, y in map(dataset.batch, getattr(dataset, part).split(128))]
            logits, features, labels = map(torch.cat, zip(*batches))
            found[part] = {"labels": labels.cpu().numpy(), "answers": logits.argmax(1).cpu().numpy(), "features": features.cpu().numpy()}
    return found


def describe(found):
    """In numbers what `answers` found, as JSON: confusion matrices of train and test (rows: true classes), how far the test features of
    classes 1 to 5 and of 3 and 5 lie apart (mean silhouette, -1 to 1), and their spread: root mean square distance from their mean over root
    mean square length, 0 where all are one point."""
    from sklearn.metrics import confusion_matrix, silhouette_score

    labels, features = found["test"]["labels"], found["test"]["features"].astype(np.float64)
    classes = np.arange(max(labels.max(), found["train"]["labels"].max()) + 1)

    def silhouette(*chosen):
        here = np.isin(labels, chosen)
        return round(float(silhouette_score(features[here], labels[here])), 4) if len(set(labels[here])) == len(chosen) else None
    spread = math.sqrt(features.var(0).sum() / max(np.square(features).sum(1).mean(), 1e-30))
    return {"confusion": {part: confusion_matrix(found[part]["labels"], found[part]["answers"], labels=classes).tolist() for part in found},
            "silhouette": {"1-5": silhouette(1, 2, 3, 4, 5), "3,5": silhouette(3, 5)}, "spread": round(spread, 4)}


def confusion(matrices, title, path, generated=False):
    """Write the confusion matrices {"train": rows, "test": rows} to the PNG file `path`; see draw_confusion."""
    _save(draw_confusion(matrices, title, generated), path)


def draw_confusion(matrices, title, generated=False):
    """A matplotlib Figure: for train and test the count of images of each class (rows) that were called each class (columns).

    The colour is the share of the row. Zeros are left blank, so that 35 classes can be read."""
    with matplotlib.rc_context({**STYLE, "axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        fig = _figure(15, 8)
        for ax, (part, rows) in zip(fig.subplots(1, len(matrices), squeeze=False)[0], matrices.items()):
            counts = np.array(rows)
            shares = counts / counts.sum(1, keepdims=True).clip(1)
            ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            size = max(5, min(9, 230 / len(counts)))
            for i, j in zip(*counts.nonzero()):
                ax.text(j, i, counts[i, j], ha="center", va="center", fontsize=size, color="white" if shares[i, j] > 0.55 else "black")
            right = counts.trace() / max(counts.sum(), 1)
            ax.set_title(f"{part}: {100 * right:.1f} % of {counts.sum():,} right", loc="left")
            ax.set_xticks(range(len(counts)), range(len(counts)), fontsize=size + 1.5)
            ax.set_yticks(range(len(counts)), range(len(counts)), fontsize=size + 1.5)
            ax.set(xlabel="called class", ylabel="true class")
            ax.tick_params(length=0)
        _title(fig, title, generated)
    return fig


def features(found, classes, title, path, generated=False):
    """Write the PCA and t-SNE pictures of what `answers` found to the PNG file `path`; see draw_features."""
    _save(draw_features(found, classes, title, generated), path)


def draw_features(found, classes, title, generated=False):
    """A matplotlib Figure: the features of train (above) and test images of `classes` in two dimensions, by PCA (left) and t-SNE.

    PCA's axes are those of the train features for both; t-SNE has no axes and is made for each part by itself, from seed 0. Hollow: an
    image that the net calls another class. ValueError where a class has no image."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    looks = _looks(classes)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        fig = _figure(9, 8)
        for axes, part in zip(fig.subplots(2, 2), ("train", "test")):
            labels, called, vectors = (found[part][key] for key in ("labels", "answers", "features"))
            if absent := sorted(set(classes) - set(labels.tolist())):
                raise ValueError(f"no {part} image of class {', '.join(map(str, absent))}")
            here = np.isin(labels, classes)
            labels, called, vectors = labels[here], called[here], vectors[here].astype(np.float64)
            if part == "train":
                pca = PCA(2, random_state=0).fit(vectors)
                kept = ", {:.0%} and {:.0%} of the variance".format(*pca.explained_variance_ratio_)
            flat = {"PCA": pca.transform(vectors), "t-SNE": np.zeros((len(vectors), 2))}
            if vectors.std(0).any():  # scikit-learn crashes on points that all coincide, as a net can make them
                flat["t-SNE"] = TSNE(2, perplexity=min(30, (len(vectors) - 1) / 3), init="pca", random_state=0).fit_transform(vectors)
            for ax, (kind, points) in zip(axes, flat.items()):
                for c in classes:
                    for right in (True, False):
                        ax.plot(*points[(labels == c) & ((called == c) == right)].T, linestyle="", markersize=4.5, **looks[c],
                                markerfacecolor=looks[c]["color"] if right else "none", label=f"class {c}{' called another' * (not right)}")
                ax.set_title(f"{kind}, {part}: {len(points)} images" + kept * ((kind, part) == ("PCA", "train")), loc="left")
                ax.set(xticks=[], yticks=[])
                ax.margins(0.06)
        handles = [Line2D([], [], linestyle="", markersize=6, label=f"class {c}", **looks[c]) for c in classes]
        handles.append(Line2D([], [], linestyle="", marker="o", color="0.35", markerfacecolor="none", markersize=6, label="hollow: called another class"))
        fig.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
        _title(fig, title, generated)
    return fig


def layers(model, shape):
    """Rows (layer, what it is, output shape, parameters) of a net at input `shape`, in the order in which the layers run."""
    import torch

    rows, hooks = [], []
    for name, layer in model.named_modules():
        if not list(layer.children()):
            def note(layer, _, output, name=name):
                rows.append((name, type(layer).__name__, list(output.shape), sum(p.numel() for p in layer.parameters())))
            hooks.append(layer.register_forward_hook(note))
    was_training = model.training
    with torch.no_grad():
        model.eval()(torch.zeros(shape))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


def layer_table(model, batch_size):
    """The same as a Markdown table with its sum, at a batch of so many of the net's images."""
    shape = [batch_size, *model.input_shape]
    rows = layers(model, shape)
    lines = [f"| {name} | {kind} | {out} | {count:,} |" for name, kind, out, count in rows]
    return "\n".join(["| layer | | output | parameters |", "|---|---|---|---:|", f"| input | | {shape} | |", *lines,
                      f"| all | | | {sum(row[-1] for row in rows):,} |"])


# ---- writing, and the command line -----------------------------------------------------------------------------------

def _save(fig, path):
    """Write a PNG whole or not at all, and the same bytes for the same picture."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fig.savefig(temp, format="png", dpi=150, metadata={"Software": None})
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def _records(args):
    """{folder: record} of the runs and seeds asked for; those without a log are named on stderr."""
    folders = [Path(args.runs) / run / f"seed{seed}" for run in args.run for seed in args.seeds.split()]
    records = {folder: read_run(folder) for folder in folders}
    missing = [str(folder) for folder in folders if not records[folder]]
    if len(missing) == len(folders):
        raise ValueError(f"nothing to draw yet: no log of a run in {', '.join(missing)}")
    for folder in missing:
        print(f"{folder}: no log.jsonl yet, left out of the picture", file=sys.stderr)
    return {folder: record for folder, record in records.items() if record}


# One function a command: it writes its pictures and gives their paths; what is wrong is a ValueError.

def _curves_command(args):
    path = Path(args.out) / "curves.png"
    curves(list(_records(args).values()), path, args.last)
    return [path]


def _values(records, flag):
    """{run: its value of a setting} of {folder: record}."""
    values = {}
    for folder, r in records.items():
        value = _setting(folder, flag)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{r['run']} seed {r['seed']}: its {flag} is {value!r}, not a number")
        if values.setdefault(r["run"], value) != value:
            raise ValueError(f"{r['run']}: its seeds differ in {flag}, {_short(values[r['run']])} and {_short(value)}")
    return values


def _sweep_command(args):
    path, flag, records = Path(args.out) / "sweep.png", args.what.replace("-", "_"), _records(args)
    sweep(list(records.values()), _values(records, flag), path, flag)
    return [path]


def _against_command(args):
    path, flag, records = Path(args.out) / "against.png", args.what.replace("-", "_"), _records(args)
    against(list(records.values()), _values(records, flag), {}, path, flag)
    return [path]


def _answered(args, draw, name):
    """A picture or table of every run and seed that has weights, by draw(folder, title, path, generated); gives their paths."""
    from data import DataError
    from train import BadInput

    paths = []
    for folder, r in _records(args).items():
        if not (folder / "model.pt").exists():
            print(f"{folder}: no model.pt, left out", file=sys.stderr)
            continue
        paths.append(Path(args.out) / folder.relative_to(args.runs) / name)
        try:
            draw(folder, f"{r['run']}, seed {r['seed']}", paths[-1], r["data"]["synthetic"])
        except (DataError, BadInput) as error:
            raise ValueError(str(error)) from None
    return paths


def _confusion_command(args):
    return _answered(args, lambda folder, *rest: confusion(describe(answers(folder, args.data_dir))["confusion"], *rest), "confusion.png")


def _features_command(args):
    classes = [int(c) for c in args.classes.split(",")]
    return _answered(args, lambda folder, *rest: features(answers(folder, args.data_dir), classes, *rest), "features.png")


def _layers_command(args):
    """Into OUT/REPORT/RUN/seedK/layers.md, at the run's batch size."""
    import train

    def write(folder, title, path, generated):
        made_with, model, _ = train.restore(folder, data_dir=args.data_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{title}\n\n{layer_table(model, made_with.batch_size)}\n")
    return _answered(args, write, "layers.md")


def _by_epoch_command(args):
    path = Path(args.out) / "by-epoch.png"
    by_epoch(list(_records(args).values()), {}, path)
    return [path]


def _single_command(args):
    """Into OUT/REPORT/RUN/seedK/: seeds, and runs that differ in other settings, have pictures of the same name."""
    return [path for folder in _records(args) for path in single(folder, Path(args.out) / folder.relative_to(args.runs))]


def _faces_command(args):
    from data import DataError

    path = Path(args.out) / "faces.png"
    try:
        drawn = faces(args.runs, args.run, args.seeds.split()[0], path, args.data_dir, photo=args.photo)
    except DataError as error:
        raise ValueError(str(error)) from None
    if not drawn:
        raise ValueError(f"nothing to draw yet: no landmark net with a model.pt among {', '.join(args.run)} in {args.runs}")
    return [path]


COMMANDS = {"curves": _curves_command, "sweep": _sweep_command, "by-epoch": _by_epoch_command, "single": _single_command,
            "faces": _faces_command, "against": _against_command, "confusion": _confusion_command, "features": _features_command,
            "layers": _layers_command}
ONE_A_RUN = ("single", "confusion", "features", "layers")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="{" + ",".join(COMMANDS) + "}")
    for kind in COMMANDS:
        sub = kinds.add_parser(kind, help=f"write {kind} of each run and seed into OUT/REPORT/RUN/seedK/" if kind in ONE_A_RUN else
                               f"write OUT/{kind}.png")
        sub.add_argument("run", nargs="+", metavar="REPORT/RUN", help="runs in the order of the legend or the rows")
        sub.add_argument("--runs", default="runs", help="folder of the run folders (default: runs)")
        sub.add_argument("--out", default="figures", help="folder for the picture, made if need be (default: figures)")
        sub.add_argument("--seeds", default="0", help='seeds to draw, e.g. "0 1 2"; faces uses the first (default: 0)')
        if kind == "curves":
            sub.add_argument("--last", type=int, default=0, help="add panels with only this many last epochs (default: none)")
        if kind in ("sweep", "against"):
            sub.add_argument("--what", required=True, metavar="FLAG", help="the swept setting: lr, dropout or another number in args.json")
        if kind == "features":
            sub.add_argument("--classes", default="1,2,3,4,5", help="numbers of the classes to show (default: 1,2,3,4,5)")
        if kind in ("faces", "confusion", "features", "layers"):
            sub.add_argument("--data-dir", default="data", help="where the data sets are (default: data)")
        if kind == "faces":
            sub.add_argument("--no-photo", dest="photo", action="store_false", help="points only, no pixel of a face")
    args = parser.parse_args(argv)
    try:
        paths = COMMANDS[args.kind](args)
    except ValueError as error:
        sys.exit(f"plots.py {args.kind}: {error}")
    print(*paths, sep="\n")


if __name__ == "__main__":
    main()

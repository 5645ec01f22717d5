"""Records in, pictures out: curves, sweeps of a setting, test accuracy by epoch, single runs.

    python plots.py curves --seeds "0 1 2" --last 50 keypoints/adam keypoints/adam-sgd     # writes figures/curves.png
    python plots.py sweep --what lr mlp_cnn/lr-1e-1 mlp_cnn/lr-1e-2 mlp_cnn/lr-1e-3        # writes figures/sweep.png

Nothing here trains, reads a run folder or needs a display: the commands above, and all others, are in
experiments/figures.py. Here a function draw_KIND returns a matplotlib Figure, and KIND(..., path) writes it as a PNG.
What is in a record is said in experiments/panels.py, which draws the single panel.
"""
import math
import os
import re
import statistics
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from experiments.panels import (Context, FALL, GREY, PARTS, PENALTY, Panel, REPORTED, STYLE, WORDS, add_legends,
                                as_typed, brief, by_run, compared_keys, draw_panel, empty_figure, is_lost, keys_of,
                                length, level_titles, looks_of, loss_scales, metrics_of, note, of_landmarks, save,
                                seeds_of, short_names, table, use_log_axis, warning_of)

SPLIT = 3  # runs; of more, train and valid have panels of their own
SETTINGS = {"lr": "learning rate"}  # how an axis calls a setting whose flag does not say it


# ---- curves ---------------------------------------------------------------------------------------------------------

def curves(records, path, last=0, context=Context()):
    """Writes the training curves of `records` to the PNG file `path`; see draw_curves."""
    save(draw_curves(records, last, context), path)


def draw_curves(records, last=0, context=Context()):
    """Returns a Figure: the training curves of `records` on shared axes.

    A colour and a marker per run, in the order given. Panels: for every kind of loss one; one for every other quantity
    that the report printed, such as the loss with the L2 term; and, where a run has one, for the accuracy in %. Up to
    three runs have train (dashed), valid (solid) and test by epoch (dotted, without a valid one solid) in one panel;
    more have a panel for each, and so have the losses of three with several seeds.
    `last` > 0 adds panels of only that many last epochs, if there are more than that; where every run blew up before,
    of the last ones that there are. Raises ValueError where there are no records.
    """
    groups = by_run(records)
    panels = panels_of(groups, context)
    epochs = max([length(records)] + [record["epochs"] for record in records if "blew_up" in record])
    if 0 < last < epochs:
        end = length(records)
        first = max(1, end - last + 1)
        title = f"last {last} epochs" if end == epochs else f"epochs {first}–{end}, until the last run blew up"
        panels += [panel._replace(title=f"{panel.title}, {title}", first=first, last=end) for panel in panels]
    return draw_panels(groups, panels, context, epochs)


def panels_of(groups, context):
    """Returns the panels of a figure of curves. groups: {run: its records}."""
    usual = "MSE (px²)" if of_landmarks(groups) else "loss"
    kinds, panels = {}, []
    for run in groups:
        kinds.setdefault(context.losses.get(run, usual), []).append(run)
    for kind, runs in kinds.items():
        has_seeds = any(len(groups[run]) > 1 for run in runs)
        split = len(runs) > SPLIT or has_seeds and len(runs) == SPLIT
        panels += panels_of_metric(groups, runs, "loss", kind, split)
    for quantity in other_quantities(groups, context.printed):
        runs = [run for run in groups if any(p.run == run and p.quantity == quantity for p in context.printed)]
        title = " + ".join(WORDS[name] for name in quantity.split("+"))
        panels.append(Panel(title, runs, {"train": quantity}, is_split=True, axis=title))
    tested = [run for run in groups if "acc" in metrics_of(groups[run])]
    if tested:
        panels += panels_of_metric(groups, tested, "acc", "accuracy (%)", len(tested) > SPLIT)
    return panels


def other_quantities(groups, printed):
    """Returns the printed quantities that are no train, valid or test score, of runs that were measured."""
    found = []
    for number in printed:
        is_other = number.quantity.split("_")[0] not in PARTS or "+" in number.quantity
        if is_other and number.run in groups and number.quantity not in found:
            group = groups[number.run]
            if table(group, number.quantity, length(group)).count():
                found.append(number.quantity)
    return found


def panels_of_metric(groups, runs, metric, name, split):
    """Returns the panels of a metric: one for all parts of the data or, if `split`, for each."""
    epochs = length([record for run in runs for record in groups[run]])
    is_accuracy = metric == "acc"
    columns = {}
    for part in PARTS:
        if any(table(groups[run], f"{part}_{metric}", epochs).count() for run in runs):
            columns[part] = f"{part}_{metric}"
    if not split or len(columns) < 2:
        title = f"{next(iter(columns))} {name}" if len(columns) == 1 else name
        has_test = "test" not in columns or "valid" in columns  # else its curve ends there
        return [Panel(title, runs, columns, is_accuracy, split and len(columns) == 1, has_test, name)]
    panels = []
    for part, quantity in columns.items():
        mine = [run for run in runs if table(groups[run], quantity, epochs).count()]
        has_test = part == list(columns)[-1] != "test"
        shown = runs if has_test else mine
        panels.append(Panel(f"{part} {name}", shown, {part: quantity}, is_accuracy, True, has_test, name))
    return panels


def draw_panels(groups, panels, context, epochs, columns=None, size=None, looks=None, labels=None):
    """Returns a Figure of these panels; None among them is an empty place.

    epochs: the last of the x axis; columns: of panels; size: of a panel, in inches; looks, labels: see draw_panel and
    add_legends, by default one for every run.
    """
    # What was printed of later epochs than there are, as of a trial of a few epochs, has no place.
    panels = [panel._replace(last=panel.last or epochs) if panel else None for panel in panels]
    shown = [panel for panel in panels if panel]
    records = [record for group in groups.values() for record in group]
    runs = list(dict.fromkeys([*groups, *(run for panel in shown for run in panel.runs)]))
    names, looks = {**short_names(runs), **context.names}, looks or looks_of(runs)
    columns = columns or {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    width, height = size or {1: (8, 3.4), 2: (5, 2.9), 3: (3.5, 2.7)}[columns]
    falls = () if context.by_update else falls_of(records)
    scales = iter(loss_scales(shown, groups, epochs, context))
    with matplotlib.rc_context(STYLE):
        fig = empty_figure(width * columns, height * rows + 0.4)
        cells, used, empty = list(fig.subplots(rows, columns, squeeze=False).flat), set(), None
        panels = [*panels, *[None] * (len(cells) - len(panels))]
        for panel, ax in zip(panels, cells):
            if panel is None:
                ax.axis("off")
                empty = ax
                continue
            used |= draw_panel(ax, panel, groups, looks, names, context, epochs, next(scales))
            for epoch in falls:
                if epoch > panel.first:
                    ax.axvline(epoch - 0.5, **GREY, **FALL, zorder=1, label="lr falls")
                    used.add("falls")
        level_titles(cells[:len(panels)])
        if labels is None:
            labels = {run: names[run] + (note(groups[run]) if run in groups else " (not measured)") for run in runs}
            for run, other in same_curves(groups).items():
                labels[run] += f", up to there the same as {names[other]}"
        add_legends(fig, labels, looks, keys_of(), used, context.title, warning_of(groups, names), cell=empty)
    return fig


def same_curves(groups):
    """Returns {run: an earlier run with exactly the same curves}, as of two runs that part only after both blew up."""
    found, seen = {}, []
    for run, group in groups.items():
        curves_of = [record["curves"] for record in group]
        earlier = [other for other, others in seen if others == curves_of]
        if earlier:
            found[run] = earlier[0]
        seen.append((run, curves_of))
    return found


def falls_of(records):
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


# ---- runs that differ in one setting --------------------------------------------------------------------------------

def apart(records, groups, values, path, context=Context()):
    """Writes a panel for every group of runs to the PNG file `path`; see draw_apart."""
    save(draw_apart(records, groups, values, context), path)


def draw_apart(records, groups, values, context=Context()):
    """Returns a Figure: for every group of runs a panel of the loss and, below it, one of the valid accuracy in %.

    groups: lists of runs that differ in one setting alone; values: {run: text of its value}. A colour for every value.
    The loss is the train loss where the report printed that, as it printed it: with or without the L2 term, or both
    where that is not known; else the valid loss. What was printed is black, and shown once for a group.
    """
    measured = by_run(records)
    colours = looks_of(list(dict.fromkeys(values.values())))
    looks = {run: colours[value] for run, value in values.items()} | colours
    losses, accuracies, printed = [], [], []
    for group in groups:
        name, last = short_names(group)[group[0]], length([r for run in group for r in measured.get(run, [])])
        numbers = {number.quantity: number for run in group for number in context.printed if number.run == run}
        columns = {part: quantity for part, quantity in zip(PENALTY, ("train_loss+penalty", "train_loss"))
                   if quantity in numbers}
        loss = "train loss" if columns else "valid loss"
        losses.append(Panel(f"{name}:\n{loss}", group, columns or {"valid": "valid_loss"}, last=last, axis=name))
        accuracies.append(Panel(f"{name}:\nvalid accuracy (%)", group, {"valid": "valid_acc"}, True, True, True,
                                last=last))
        printed += [number for number in context.printed if number.run == group[0]]
        looks[group[0], "reported"] = {"color": "black"}
    columns, panels = min(3, len(groups)), []
    for i in range(0, len(groups), columns):
        for row in (losses[i:i + columns], accuracies[i:i + columns]):
            panels += row + [None] * (columns - len(row))
    labels = {value: value for value in colours}
    epochs = length(records)
    return draw_panels(measured, panels, context._replace(printed=printed), epochs, columns, looks=looks, labels=labels)


# ---- sweeps ---------------------------------------------------------------------------------------------------------

def sweep(records, values, path, flag, context=Context()):
    """Writes the picture of a sweep over `flag` of train.py to the PNG file `path`; see draw_sweep.

    Values that span a factor of 100 or more get a log axis.
    """
    low, high = min(values.values()), max(values.values())
    what = SETTINGS.get(flag, flag.replace("_", " "))
    save(draw_sweep(records, values, what, low > 0 and high >= 100 * low, context), path)


def draw_sweep(records, values, what, log=False, context=Context()):
    """Returns a Figure: curves of `records` for every value of the setting `what`, and how they end over that value.

    values: {run: its value}, numbers; a run without a record keeps its colour and its tick, and the legend says that it
    is missing. Panels by epoch: loss and, where a run has one, accuracy in %, train left, valid right, on the same
    axis; of several seeds the mean and a min–max band. A last panel, its x axis logarithmic if `log`: the final valid
    accuracy (of landmark nets the loss) of each seed, the line through the means of those that did not diverge, and for
    those that did a cross at the edge, beyond the worst point. Final is the median of the last 10 epochs. Raises
    ValueError where a run has no value, two have the same, or a log axis has no place for one.
    """
    measured = by_run(records)
    values = dict(sorted(values.items(), key=lambda item: item[1]))
    names = {run: as_typed(value) for run, value in values.items()}
    check_values(measured, values, names, what, log)
    groups = {run: measured[run] for run in values if run in measured}
    epochs, metrics = length(records), metrics_of(records, ("train", "valid"))
    labels = {run: names[run] + (brief(groups[run]) if run in groups else " (no run yet)") for run in values}
    looks = looks_of(values)
    for i, run in enumerate(values):  # colours follow the value; those beyond 0.82 are too faint on white
        looks[run]["color"] = matplotlib.colormaps["plasma"](0.82 * i / max(1, len(values) - 1))
    cap = cap_of(groups, epochs)
    panels = []
    for metric in metrics:
        name = "accuracy (%)" if metric == "acc" else "MSE (px²)" if of_landmarks(groups) else "loss"
        for part in ("train", "valid"):
            panels.append(Panel(f"{part} {name}", list(groups), {part: f"{part}_{metric}"}, metric == "acc", True,
                                axis=name))
    scales = loss_scales(panels, groups, epochs, cap=cap)
    with matplotlib.rc_context(STYLE):
        fig = empty_figure(10, 2.6 * len(metrics) + 3)
        axes = fig.subplot_mosaic([*([panel.title for panel in panels[i:i + 2]] for i in range(0, len(panels), 2)),
                                   ["final", "final"]])
        used, final = set(), axes["final"]
        for panel, scale in zip(panels, scales):
            used |= draw_panel(axes[panel.title], panel, groups, looks, names, Context(), epochs, scale)
        level_titles([axes[panel.title] for panel in panels])
        if "acc" in metrics:
            axes["valid accuracy (%)"].sharey(axes["train accuracy (%)"])
        of_loss = scales[0] if metrics[-1] == "loss" else None
        used |= final_panel(final, groups, values, looks, metrics[-1], log, of_loss)
        count = f"{min(10, epochs)} epochs" if epochs > 1 else "1 epoch"
        title = f"final {panels[-1].title}: median of the last {count}"
        if len(groups) < len(records):
            title += f"; line: mean of {seeds_of(groups)}"
            if any(map(is_lost, records)):
                title += ", without those that diverged or blew up"
        final.set_xlabel(what)
        final.set_title(title, loc="left")
        warning = warning_of(groups, {run: names[run] for run in groups})
        add_legends(fig, labels, looks, keys_of(), used, context.title, warning, heading=what)
    return fig


def check_values(measured, values, names, what, log):
    """Raises ValueError where a sweep cannot place its runs. values: {run: value}, sorted by value."""
    for run in measured:
        if run not in values:
            raise ValueError(f"{run}: no value of {what} is given for it")
    runs = list(values)
    for one, other in zip(runs, runs[1:]):
        if values[one] == values[other]:
            raise ValueError(f"{one} and {other} have the same {what}, {names[one]}")
    if log and values[runs[0]] <= 0:
        raise ValueError(f"{runs[0]}: no place on a log axis for {what} {names[runs[0]]}")


def cap_of(groups, epochs):
    """Returns the highest loss that gets room in a sweep, in which whole runs go wrong and the axis is for the others.

    It is two and a half times what most runs reach in all but 2 % of their epochs.
    """
    of_parts = []
    for part in ("train", "valid"):
        highest = [table(group, f"{part}_loss", epochs).max(0) for group in groups.values()]
        reached = [np.quantile(loss.compressed(), 0.98, method="nearest") for loss in highest if loss.count()]
        of_parts.append(statistics.median_low(reached or [0]))
    return 2.5 * max(of_parts)


def final_panel(ax, groups, values, looks, metric, log, scale):
    """Draws the final valid metric of every seed over the value of its run. Returns the names of the keys it used.

    scale: that of the loss by epoch, which says what is too high to be shown; None for accuracies.
    """
    ends = {run: final_of(groups.get(run, []), metric) for run in values}
    shown = {run: end[end <= scale.top] if scale else end for run, end in ends.items()}
    used = set()
    worst = 0.04 if metric == "acc" else 0.96  # where the crosses lie, in parts of the axis
    if log:
        ax.set_xscale("log")
    if scale and scale.is_log:
        lowest = min((end.min() for end in shown.values() if len(end)), default=scale.bottom)
        use_log_axis(ax, lowest, scale.top)
    means = [end.mean() if len(end) and len(end) == len(ends[run]) else math.nan for run, end in shown.items()]
    ax.plot(list(values.values()), means, color="0.5", linewidth=1.2, zorder=1, label="mean")  # nan: a gap
    for run, end in shown.items():
        look = {**looks[run], "clip_on": False, "linestyle": ""}
        at_edge = {**look, "transform": ax.get_xaxis_transform()}
        for y in end:
            ax.plot(values[run], y, **look, markersize=6, label=f"{run} final")
        if len(end) < len(ends[run]):
            ax.plot(values[run], 0.98, **{**at_edge, "marker": "^"}, markersize=6, label=f"{run} above the axis")
            used.add("above")
        if any(map(is_lost, groups.get(run, []))):
            ax.plot(values[run], worst, **{**at_edge, "marker": "x"}, markersize=9, markeredgewidth=2.2,
                    label=f"{run} lost")
            used.add("cross")
    ax.margins(y=0.12)  # a cross lies beyond all points
    if not any(map(len, ends.values())):
        ax.set_yticks([])
    set_value_ticks(ax, list(values.values()), log)
    return used


def final_of(group, metric):
    """Returns an array: of each seed that was not lost the median of its valid metric over the last 10 epochs."""
    found = []
    for record in group:
        last = table([record], f"valid_{metric}", length([record]))[0, -10:]
        if not is_lost(record) and last.count():
            found.append(np.ma.median(last))
    return np.array(found)


def set_value_ticks(ax, values, log):
    """Puts a tick at every value, in ascending order, with a label where there is room for one; the legend has all."""
    place = np.array([math.log10(value) if log else value for value in values])
    width = place[-1] - place[0]
    pad = 0.04 * width or 0.1
    limits = [place[0] - pad, place[-1] + pad]  # also where a value has no point
    ax.set_xlim([10 ** limit for limit in limits] if log else limits)
    inches = 8.5 * (place - place[0]) / (width or 1)  # along the axis
    names, labels, last = [as_typed(value) for value in values], [], -math.inf
    pairs = zip(np.diff(inches), names, names[1:])
    crowded = any(gap < 0.04 * len(one + other) + 0.1 for gap, one, other in pairs)
    for name, at in zip(names, inches):  # even rotated by 90° a label needs room
        has_room = at - last > 0.13
        labels.append(name if has_room else "")
        last = at if has_room else last
    ax.set_xticks(values, labels, rotation=90 if crowded else 0)
    ax.xaxis.set_minor_locator(NullLocator())


# ---- test accuracy by epoch -----------------------------------------------------------------------------------------

def by_epoch(records, path, context=Context()):
    """Writes the test accuracy by epoch to the PNG file `path`; see draw_by_epoch."""
    save(draw_by_epoch(records, context), path)


def draw_by_epoch(records, context=Context()):
    """Returns a Figure: test accuracy in % by epoch, or by update, what `records` measured beside what was printed.

    A colour per run; measured: solid, the mean of the seeds and a min–max band; printed: hollow marks. Records
    without test accuracy by epoch are left out; raises ValueError if all are.
    """
    records = [record for record in records if table([record], "test_acc", length([record])).count()]
    if not records:
        raise ValueError("no record has test accuracy by epoch")
    groups = by_run(records)
    printed = [number for number in context.printed if number.quantity == "test_acc"]
    runs = list(dict.fromkeys([*groups, *(number.run for number in printed)]))
    epochs = max([length(records), *(number.epoch for number in printed)])
    panel = Panel("test accuracy (%)", runs, {"test": "test_acc"}, is_accuracy=True, is_split=True)
    return draw_panels(groups, [panel], context._replace(printed=printed), epochs, size=(7.5, 3.9))


# ---- test accuracy against a setting --------------------------------------------------------------------------------

def against(records, values, reported, path, flag, context=Context()):
    """Writes the picture of test accuracy against `flag` of train.py to the PNG file `path`; see draw_against."""
    save(draw_against(records, values, reported, flag, context), path)


def of_shared_seeds(groups, values, run):
    """The records of a run, of the seeds that all runs of the same value have; all of them, if there are none such."""
    others = [group for other, group in groups.items() if values[other] == values[run]]
    shared = set.intersection(*({record["seed"] for record in group} for group in others))
    return [record for record in groups[run] if record["seed"] in shared] or groups[run]


def draw_against(records, values, reported, flag, context=Context()):
    """Returns a Figure: final test accuracy in % over the value of a setting, a line for every series of runs.

    values: {run: its value}; runs whose names differ in a last number alone, as noise-10 and noise-30, are one series.
    reported: {run: accuracy as a fraction} where a report printed one: hollow markers on a thin dashed line. Measured:
    each seed and the line through their means, over the seeds that all series have there. A learning rate has a log
    axis, a fraction of noise is in %. Raises ValueError where no record has a test accuracy.
    """
    records = [r for r in records if r["run"] in values and r["metrics"].get("test_acc") is not None]
    if not records:
        raise ValueError(f"no record has a test accuracy to draw against {flag.replace('_', ' ')}")
    groups, scale = by_run(records), 1
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
            points = {values[run] * scale: test_accuracies(groups[run]) for run in runs if run in groups}
            if points:
                means = [np.mean(test_accuracies(of_shared_seeds(groups, values, run)))
                         for run in runs if run in groups]
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
        ax.set_xticks(ticks, [as_typed(tick) for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set(xlabel=x_label, ylabel="test accuracy (%)")
        keys = compared_keys(groups, 5, style)
        add_legends(fig, labels, looks, keys, used, context.title, warning_of(of_series, names))
    return fig


def test_accuracies(group):
    """Returns the final test accuracies of the records that have one, in %."""
    return [100 * r["metrics"]["test_acc"] for r in group if r["metrics"].get("test_acc") is not None]


# ---- single runs ----------------------------------------------------------------------------------------------------

def single(record, settings, out, prefix="", context=Context()):
    """Writes the pictures of one record into the folder `out`; see draw_single. Returns their paths.

    settings: the values of model, batch size, learning rate and dropout, None for one that the net does not have. The
    files are named by them as in report 4, METRIC_MODEL_BATCHSIZE_LR_DROPOUT.png; METRIC is loss or acc.
    """
    name = "_".join(value if isinstance(value, str) else as_typed(value or 0) for value in settings)
    paths = []
    for metric, fig in draw_single(record, context).items():
        paths.append(Path(out) / f"{prefix}{metric}_{name}.png")
        save(fig, paths[-1])
    return paths


def draw_single(record, context=Context()):
    """Returns {"loss": Figure, "acc": Figure} of one record, the latter if it has accuracies.

    Train, valid and test by epoch, the best valid epoch as a line (highest accuracy, or lowest loss where there is
    none; the first of equals), the final test accuracy as a star.
    """
    run, epochs, figures = record["run"], length([record]), {}
    groups, looks = {run: [record]}, looks_of([(run, part) for part in PARTS])
    looks[run] = looks[run, "test"]
    score = table([record], "valid_acc", epochs)[0]
    if not score.count():
        score = -table([record], "valid_loss", epochs)[0]
    for metric in metrics_of([record]):
        names = {"loss": "MSE (px²)" if of_landmarks(groups) else "loss", "acc": "accuracy (%)"}
        panel, = panels_of_metric(groups, [run], metric, names[metric], False)
        scale, = loss_scales([panel], groups, epochs, context)
        with matplotlib.rc_context(STYLE):
            figures[metric] = fig = empty_figure(7, 3.8)
            ax, keys = fig.subplots(), keys_of()
            used = draw_panel(ax, panel, groups, looks, {run: names[metric]}, context, epochs, scale)
            if score.count():
                best = int(score.argmax()) + 1
                ax.axvline(best, **GREY, linewidth=0.8, zorder=1, label="best valid epoch")
                keys["best"] = Line2D([], [], **GREY, linewidth=0.8, label=f"best valid epoch ({best})")
                used.add("best")
            for part in PARTS:
                look = looks[run, part]
                keys[part].set(**look, markerfacecolor=look["color"] if part == "valid" else "white")
            keys["only test"].set(**looks[run, "test"])
            title = context.title or f"{run}, seed {record['seed']}{brief([record])}"
            add_legends(fig, {}, looks, keys, used, title, warning_of(groups, {run: run}))
    return figures


if __name__ == "__main__":  # the command line is that of figures.py, which knows where records and nets are
    script = Path(__file__).resolve().parent / "experiments" / "figures.py"
    os.execv(sys.executable, [sys.executable, str(script), *sys.argv[1:]])

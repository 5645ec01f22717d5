"""plots.py: sweeps of a setting, on records by hand."""
import matplotlib
import numpy as np
import pytest

import plots
from drawing import classes, down, labels_of, lines, record, texts

LRS = {f"mlp_cnn/lr-{lr}": lr for lr in (1e-1, 5e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4)}


def panels(fig):
    return dict(zip(["train loss", "valid loss", "train acc", "valid acc", "final"], fig.axes))


def test_sweep_has_a_line_per_value_in_every_panel():
    rec = [classes("mlp_cnn/b", 0.3), classes("mlp_cnn/a", 0.5)]
    fig = plots.draw_sweep(rec, {"mlp_cnn/b": 0.9, "mlp_cnn/a": 0.5}, "dropout")
    axes = panels(fig)
    assert len(fig.axes) == 5
    assert [ax.get_title("left") for ax in fig.axes] == [
        "train loss", "valid loss", "train accuracy (%)", "valid accuracy (%)",
        "final valid accuracy (%): median of the last 10 epochs"]
    for (name, ax), column in zip(axes.items(), ("train_loss", "valid_loss", "train_acc", "valid_acc")):
        part = name.split()[0]
        assert [line.get_label() for line in ax.lines] == [f"mlp_cnn/a {part}", f"mlp_cnn/b {part}"]
        for line, r in zip(ax.lines, reversed(rec)):
            assert np.allclose(line.get_ydata(), np.array(r["curves"][column]) * (100 if "acc" in column else 1))
            assert list(line.get_xdata()) == list(range(1, 51)) and line.get_linestyle() == "-"
        assert not ax.collections
    assert axes["train loss"].get_ylim() == axes["valid loss"].get_ylim()
    assert axes["train acc"].get_ylim() == axes["valid acc"].get_ylim()
    assert axes["train loss"].get_ylim()[0] < 1 < 2.3 < axes["valid loss"].get_ylim()[1]
    assert axes["valid acc"].get_ylim()[1] > 70
    legend = fig.legends[0]
    assert legend.get_title().get_text() == "dropout"
    assert [text.get_text() for text in legend.get_texts()] == ["0.5", "0.9"]
    assert labels_of(axes["final"].xaxis) == ["0.5", "0.9"] and axes["final"].get_xlabel() == "dropout"
    assert not {"train", "valid", "generated data, not a measurement", "min–max of the seeds"} & set(texts(fig))


def test_sweep_of_seeds_has_means_and_bands():
    rec = [classes("x/a", seed=seed, train_loss=loss, n=2) for seed, loss in enumerate([[4, 2], [2, 1]])]
    fig = plots.draw_sweep(rec, {"x/a": 1}, "lr")
    axes = panels(fig)
    assert list(lines(axes["train loss"], "x/a train")[0].get_ydata()) == [3, 1.5]
    paths = axes["train loss"].collections[0].get_paths()
    corners = {tuple(corner) for path in paths for corner in path.vertices}
    assert {(1, 4), (1, 2), (2, 2), (2, 1)} <= corners and "min–max of the seeds" in texts(fig)


def test_final_is_the_median_of_the_last_ten_epochs_of_each_seed():
    jump = np.r_[np.full(40, 0.1), np.full(9, 0.5), 0.1]
    rec = [classes("x/a", valid_acc=jump, seed=0), classes("x/a", valid_acc=jump, seed=1),
           classes("x/b", valid_acc=jump + 0.2, seed=0), classes("x/b", valid_acc=jump, seed=1)]
    ax = panels(plots.draw_sweep(rec, {"x/a": 0.2, "x/b": 0.4}, "dropout"))["final"]
    found = [line for label in ("x/a final", "x/b final") for line in lines(ax, label)]
    ends = [(line.get_xdata()[0], round(line.get_ydata()[0], 9)) for line in found]
    assert ends == [(0.2, 50), (0.2, 50), (0.4, 70), (0.4, 50)]
    mean, = lines(ax, "mean")
    assert np.allclose(mean.get_xydata(), [(0.2, 50), (0.4, 60)])
    assert ax.get_title("left") == "final valid accuracy (%): median of the last 10 epochs; line: mean of 2 seeds"
    assert ax.get_xlabel() == "dropout"
    low, high = ax.get_ylim()
    assert low < 50 and 70 < high


def test_short_sweep_says_how_many_epochs_are_final():
    ax = panels(plots.draw_sweep([classes("x/a", valid_acc=[0.1, 0.5, 0.2], n=3)], {"x/a": 0}, "dropout"))["final"]
    assert lines(ax, "x/a final")[0].get_ydata()[0] == 20
    assert ax.get_title("left") == "final valid accuracy (%): median of the last 3 epochs"
    ax = panels(plots.draw_sweep([classes("x/a", n=1)], {"x/a": 0}, "dropout"))["final"]
    assert ax.get_title("left") == "final valid accuracy (%): median of the last 1 epoch"


def test_swept_values_are_the_ticks_and_log_is_as_asked():
    rec = [classes(run) for run in LRS]
    ax = panels(plots.draw_sweep(rec, LRS, "learning rate", log=True))["final"]
    assert ax.get_xscale() == "log" and list(ax.get_xticks()) == sorted(LRS.values())
    assert not len(ax.get_xticks(minor=True))
    assert labels_of(ax.xaxis) == ["0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.1"]
    assert panels(plots.draw_sweep(rec, LRS, "learning rate"))["final"].get_xscale() == "linear"


@pytest.mark.parametrize("values, log", [
    (list(LRS.values()), True), ([0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9], False), ([1e-6, 2e-6, 1e-5, 1], True),
    ([4, 8, 16, 32, 64, 128, 256], False), ([0.001, 0.002, 0.003, 0.09], False)])
def test_tick_labels_do_not_overlap(values, log):
    values = {f"x/{i}": value for i, value in enumerate(values)}
    fig = plots.draw_sweep([classes(run) for run in values], values, "lr", log)
    fig.draw_without_rendering()
    boxes = [label.get_window_extent() for label in panels(fig)["final"].get_xticklabels() if label.get_text()]
    assert len(boxes) > len(values) / 2 and all(one.x1 < other.x0 for one, other in zip(boxes, boxes[1:]))


def test_sweep_legend_keeps_clear_of_the_panels():
    fig = plots.draw_sweep([classes(run) for run in LRS], LRS, "learning rate", log=True)
    fig.draw_without_rendering()
    labels = fig.axes[-1].get_xticklabels()
    top = min(fig.axes[-1].get_tightbbox().y0, *[label.get_window_extent().y0 for label in labels])
    inside = fig.legends[0].get_window_extent()
    assert inside.y1 <= top
    assert 0 <= inside.x0 and inside.x1 <= fig.bbox.width


def test_sweep_colours_follow_the_value_and_are_not_faint():
    fig = plots.draw_sweep([classes(run) for run in reversed(LRS)], LRS, "learning rate", log=True)
    drawn = [lines(fig.axes[0], f"{run} train")[0] for run in sorted(LRS, key=LRS.get)]
    colours = [np.array(matplotlib.colors.to_rgb(line.get_color())) for line in drawn]
    bright = [colour ** 2.2 @ [0.2126, 0.7152, 0.0722] for colour in colours]  # 1: white
    assert bright == sorted(bright) and bright[-1] < 0.55 and len({line.get_marker() for line in drawn}) == 7


def test_diverged_value_is_marked_and_leaves_a_gap():
    bad = classes("x/b", n=4, train_loss=[2.3, 9, 1e8, None], valid_loss=[2.3, 9, 1e9, None],
                  valid_acc=[0.2, 0.15, 0.1, 0.1], status="diverged")
    rec = [classes("x/a"), bad, classes("x/c", 0.6)]
    fig = plots.draw_sweep(rec, {"x/a": 0.1, "x/b": 0.2, "x/c": 0.3}, "lr")
    axes = panels(fig)
    assert "0.2 (diverged)" in texts(fig) and "diverged or blew up" in texts(fig)
    for name in ("train loss", "valid loss"):
        assert axes[name].get_ylim()[1] < 5
        cross, = lines(axes[name], "x/b lost")
        assert cross.get_xdata()[0] == 3 and cross.get_transform() == axes[name].get_xaxis_transform()
        assert list(lines(axes[name], "x/b above the axis")[0].get_xdata()) == [2, 3]
    cross, = lines(axes["valid acc"], "x/b lost")
    assert (cross.get_xdata()[0], cross.get_ydata()[0], cross.get_marker()) == (4, 10, "x")
    assert len(lines(axes["train acc"], "x/b lost")) == 1
    cross, = lines(axes["final"], "x/b lost")
    assert (cross.get_xdata()[0], cross.get_marker()) == (0.2, "x") and cross.get_ydata()[0] < 0.1
    assert cross.get_transform() == axes["final"].get_xaxis_transform() and not lines(axes["final"], "x/b final")
    assert np.isnan(lines(axes["final"], "mean")[0].get_ydata()).tolist() == [False, True, False]


def test_one_diverged_seed_is_marked_beside_the_others():
    rec = [classes("x/a", seed=0, valid_acc=[0.4] * 50), classes("x/a", seed=1, n=3, status="diverged"),
           classes("x/b", valid_acc=[0.5] * 50)]
    fig = plots.draw_sweep(rec, {"x/a": 0.1, "x/b": 0.2}, "lr")
    ax = panels(fig)["final"]
    assert "0.1 (1 of 2 diverged)" in texts(fig)
    assert len(lines(ax, "x/a lost")) == len(lines(ax, "x/a final")) == 1
    assert list(lines(ax, "mean")[0].get_ydata()) == [40, 50]
    assert ax.get_title("left") == ("final valid accuracy (%): median of the last 10 epochs; line: mean of 1–2 "
                                    "seeds, without those that diverged or blew up")


def test_cross_of_the_final_panel_is_below_every_point():
    rec = [classes("x/a", 0.1, seed=0), classes("x/a", seed=1, n=3, status="diverged"), classes("x/b", 0.9)]
    ax = panels(plots.draw_sweep(rec, {"x/a": 0.1, "x/b": 0.2}, "lr"))["final"]
    point = ax.transData.transform((0.1, lines(ax, "x/a final")[0].get_ydata()[0]))
    lowest = ax.transAxes.inverted().transform(point)[1]
    assert lowest > lines(ax, "x/a lost")[0].get_ydata()[0] + 0.04


def test_cross_of_a_final_loss_is_above_every_point():
    """The worst losses are the highest: below all points it would read as the lowest."""
    def landmarks(run, end):
        return record(run, train_loss=down(40, end, 50), valid_loss=down(40, end, 50))

    lost = {**landmarks("x/b", 30), "blew_up": 40}
    fig = plots.draw_sweep([landmarks("x/a", 9), lost, landmarks("x/c", 11)], {"x/a": 1, "x/b": 2, "x/c": 3}, "lr")
    ax = fig.axes[-1]
    point = ax.transData.transform((3, lines(ax, "x/c final")[0].get_ydata()[0]))
    highest = ax.transAxes.inverted().transform(point)[1]
    assert highest < lines(ax, "x/b lost")[0].get_ydata()[0] - 0.04


def test_all_diverged_can_be_drawn(tmp_path):
    bad = {"n": 1, "status": "diverged", "train_loss": [None], "valid_loss": [None]}
    rec = [classes(f"x/{i}", **bad) for i in range(3)]
    final = panels(plots.draw_sweep(rec, {r["run"]: i for i, r in enumerate(rec)}, "dropout"))["final"]
    assert not len(final.get_yticks()) and all(lines(final, f"x/{i} lost") for i in range(3))
    assert not lines(final, "x/0 final")
    for rec in (record("x/a", 1, status="diverged", train_loss=[None]),
                record("x/a", train_loss=[0, 0], valid_loss=[0, 0]),
                record("x/a", train_loss=[1, 1], valid_loss=[1, 100])):
        plots.sweep([rec], {"x/a": 1}, tmp_path / "sweep.png", "dropout")
        assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("bad", [30, 1e8])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_values_that_lie_high_throughout_do_not_flatten_the_loss(bad, count):
    names, high = list(LRS), {"train_loss": [bad] * 50, "valid_loss": [bad] * 50}
    rec = [classes(run, **high) for run in names[:count]] + [classes(run) for run in names[count:]]
    fig = plots.draw_sweep(rec, LRS, "learning rate", log=True)
    for ax in fig.axes[:2]:
        assert 2.3 < ax.get_ylim()[1] < 4
    marks = [lines(fig.axes[1], f"{run} above the axis") for run in names]
    assert [len(mark) for mark in marks] == [1] * count + [0] * (7 - count)
    seen = []
    for mark, in marks[:count]:
        start, step = mark.get_markevery()
        seen.append(set(mark.get_xdata()[start::step]))
    assert all(seen) and len(set.union(*seen)) == sum(map(len, seen))  # no triangle hides another


def test_value_without_a_run_is_named_and_keeps_its_tick():
    final = panels(plots.draw_sweep([classes("x/a")], {"x/a": 0.1, "x/b": 0.2}, "dropout"))["final"]
    assert final.get_xlim()[1] > 0.2
    values = {"x/a": 0.1, "x/b": 0.2, "x/c": 0.3}
    fig = plots.draw_sweep([classes("x/a"), classes("x/c")], values, "dropout")
    whole = plots.draw_sweep([classes(run) for run in values], values, "dropout")
    assert "0.2 (no run yet)" in texts(fig) and labels_of(panels(fig)["final"].xaxis) == ["0.1", "0.2", "0.3"]
    assert np.isnan(lines(panels(fig)["final"], "mean")[0].get_ydata()).tolist() == [False, True, False]
    assert lines(fig.axes[0], "x/c train")[0].get_color() == lines(whole.axes[0], "x/c train")[0].get_color()


def test_sweep_of_landmark_nets_ends_in_their_loss():
    losses = [down(900, 8), down(900, 20), [1e8] * 50]
    rec = [record(f"keypoints/{i}", train_loss=down(900, 5), valid_loss=loss) for i, loss in enumerate(losses)]
    values = {"keypoints/0": 0.01, "keypoints/1": 0.001, "keypoints/2": 0.1}
    fig = plots.draw_sweep(rec, values, "learning rate", log=True)
    assert [ax.get_title("left").partition("\n")[0] for ax in fig.axes] == [
        "train MSE (px²)", "valid MSE (px²)", "final valid MSE (px²): median of the last 10 epochs"]
    final = fig.axes[2]
    assert lines(final, "keypoints/0 final")[0].get_ydata()[0] == pytest.approx(np.median(down(900, 8)[-10:]))
    assert final.get_ylim()[1] < 100
    assert lines(final, "keypoints/2 above the axis") and not lines(final, "keypoints/2 final")
    means = lines(final, "mean")[0].get_ydata()
    assert np.isnan(means).tolist() == [False, False, True]  # a line to 1e8 would look like a wall
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim() and fig.axes[0].get_yscale() == "log"


def test_sweep_says_that_data_are_generated():
    synthetic, real = classes("x/a", synthetic=True), classes("x/b")
    values = {"x/a": 0.1, "x/b": 0.2, "x/c": 0.3}
    assert "generated data, not a measurement" in texts(plots.draw_sweep([synthetic], values, "dropout"))
    fig = plots.draw_sweep([synthetic, real], values, "dropout")
    assert "0.1: generated data, not a measurement" in texts(fig)


def test_sweep_refuses_what_it_cannot_place():
    with pytest.raises(ValueError, match="no records"):
        plots.draw_sweep([], {"x/a": 1}, "dropout")
    with pytest.raises(ValueError, match="x/b: no value of dropout"):
        plots.draw_sweep([classes("x/a"), classes("x/b")], {"x/a": 1}, "dropout")
    with pytest.raises(ValueError, match="x/a and x/b have the same dropout, 0.5"):
        plots.draw_sweep([classes("x/a")], {"x/a": 0.5, "x/b": 0.5}, "dropout")
    with pytest.raises(ValueError, match="x/a: no place on a log axis for dropout 0"):
        plots.draw_sweep([classes("x/a")], {"x/a": 0.0, "x/b": 0.5}, "dropout", log=True)

"""plots.py, on made-up run folders: no data set, no net but the toy below, no display."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import plots  # noqa: E402


def record(run, epochs=None, seed=0, status="finished", synthetic=False, test_acc=None, **columns):
    """A record with the columns given, e.g. valid_loss=[...]; the rest is absent."""
    n = epochs or max(len(column) for column in columns.values())
    curves = {column: [None] * n for column in plots.COLUMNS} | {"epoch": list(range(1, n + 1))} | columns
    curves = {column: [v if v is None or column == "epoch" else float(v) for v in values] for column, values in curves.items()}
    return {"status": status, "run": run, "seed": seed, "metrics": {"test_acc": test_acc}, "epochs": n, "data": {"synthetic": synthetic},
            "curves": curves}


def write(runs, rec, result=True, torn="", **flags):
    """The folder that a run like this record leaves behind; `flags` are settings in its args.json."""
    folder = Path(runs) / rec["run"] / f"seed{rec['seed']}"
    folder.mkdir(parents=True)
    curves = rec["curves"]
    lines = [json.dumps({column: curves[column][i] for column in curves}) + "\n" for i in range(len(curves["epoch"]))]
    (folder / "log.jsonl").write_text("".join(lines) + torn)
    (folder / "args.json").write_text(json.dumps({"data": "faces21", "synthetic": rec["data"]["synthetic"], **flags}))
    if result:
        (folder / "result.json").write_text(json.dumps({key: rec[key] for key in rec if key != "curves"}))
    return folder


def texts(fig):
    """Everything a reader can read in a figure."""
    return [text.get_text() for text in fig.findobj(matplotlib.text.Text) if text.get_text()]


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def down(start, end, n=50):
    return np.geomspace(start, end, n)


# ---- reading ---------------------------------------------------------------------------------------------------------

def test_read_run_gives_back_what_was_written(tmp_path):
    rec = record("keypoints/adam", train_loss=[9, None, 7], valid_loss=[9.5, 8.5, 7.5])
    assert plots.read_run(write(tmp_path, rec)) == rec


def test_line_cut_off_at_the_end_is_ignored(tmp_path):
    folder = write(tmp_path, record("keypoints/adam", seed=2, valid_loss=[9, 8], synthetic=True), result=False, torn='{"epoch": 3, "valid_lo')
    rec = plots.read_run(folder)
    assert (rec["status"], rec["run"], rec["seed"], rec["data"]["synthetic"]) == ("unfinished", "keypoints/adam", 2, True)
    assert rec["curves"]["epoch"] == [1, 2] and rec["curves"]["valid_loss"] == [9, 8]


@pytest.mark.parametrize("broken", ['{"epoch": 2, "val', "[1, 2]", '{"valid_loss": 3}', '{"epoch": 0}', "\0\0\0"])
def test_broken_line_in_the_middle_is_named(tmp_path, broken):
    folder = write(tmp_path, record("keypoints/adam", valid_loss=[9, 8, 7]))
    log = folder / "log.jsonl"
    kept = log.read_text().splitlines()
    log.write_text("\n".join([kept[0], broken, kept[2]]) + "\n")
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2"):
        plots.read_run(folder)


def test_broken_result_is_named(tmp_path):
    folder = write(tmp_path, record("keypoints/adam", valid_loss=[9, 8]))
    (folder / "result.json").write_text('{"status": "fini')
    with pytest.raises(ValueError, match=r"result\.json"):
        plots.read_run(folder)


def test_nothing_logged_is_none(tmp_path):
    assert plots.read_run(tmp_path / "keypoints/adam/seed0") is None
    assert plots.read_run(write(tmp_path, record("keypoints/adam", epochs=0, valid_loss=[]), result=False)) is None


# ---- curves ----------------------------------------------------------------------------------------------------------

def test_seeds_give_mean_and_band_where_there_are_data():
    fig = plots.draw_curves([record("keypoints/adam", seed=0, valid_loss=[10, 8, 6]), record("keypoints/adam", seed=1, valid_loss=[14, None])])
    ax, = fig.axes
    line, = lines(ax, "keypoints/adam valid")
    assert list(line.get_xdata()) == [1, 2, 3] and list(line.get_ydata()) == [12, 8, 6]
    corners = {tuple(corner) for path in ax.collections[0].get_paths() for corner in path.vertices}
    assert {(1, 10), (1, 14), (2, 8), (3, 6)} <= corners
    assert {y for x, y in corners if x == 1} == {10, 14}
    assert "adam (2 seeds)" in texts(fig) and "min–max of the seeds" in texts(fig)


def test_one_seed_has_no_band():
    fig = plots.draw_curves([record("keypoints/adam", valid_loss=[10, 8, 6])])
    assert not fig.axes[0].collections and "adam" in texts(fig)


def test_train_is_dashed_valid_solid_and_the_legend_says_so_once():
    fig = plots.draw_curves([record(f"keypoints/{run}", train_loss=[9, 8], valid_loss=[9, 9]) for run in ("adam", "sgd")])
    ax, = fig.axes
    assert [lines(ax, f"keypoints/adam {part}")[0].get_linestyle() for part in ("train", "valid")] == ["--", "-"]
    assert lines(ax, "keypoints/adam valid")[0].get_color() == lines(ax, "keypoints/adam train")[0].get_color()
    assert lines(ax, "keypoints/adam valid")[0].get_color() != lines(ax, "keypoints/sgd valid")[0].get_color()
    assert [text for text in texts(fig) if text in ("train", "valid", "adam", "sgd")] == ["adam", "sgd", "train", "valid"]


def test_classification_has_loss_and_accuracy_in_percent():
    fig = plots.draw_curves([record("net/bn", train_loss=[2, 1], train_acc=[0.3, 0.6], test_acc=0.65)])
    loss, accuracy = fig.axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy (%)")
    assert np.allclose(lines(accuracy, "net/bn train")[0].get_ydata(), [30, 60])
    star, = lines(accuracy, "net/bn final test")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 65)
    assert "final test" in texts(fig) and "valid" not in texts(fig)


def test_the_star_is_at_the_epoch_whose_weights_were_scored():
    rec = record("mlp_cnn/mlp", train_acc=[0.3, 0.6, 0.7], test_acc=0.65)
    rec.update(test_weights="best", metrics={"test_acc": 0.65, "best_epoch": 2})
    diverged = record("mlp_cnn/mlp", seed=1, status="diverged", train_acc=[0.3])
    diverged.update(test_weights="best", metrics={"test_acc": None, "best_epoch": 1})
    star, = lines(plots.draw_curves([rec, diverged]).axes[1], "mlp_cnn/mlp final test")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 65)


def test_test_accuracy_by_epoch_is_dotted():
    rec = record("net/baseline", train_loss=[2, 1], train_acc=[0.3, 0.6])
    rec["curves"]["test_acc"] = [0.2, 0.5]
    fig = plots.draw_curves([rec])
    line, = lines(fig.axes[1], "net/baseline test")
    assert line.get_linestyle() == ":" and list(line.get_ydata()) == [20, 50]


def test_test_loss_by_epoch_is_dotted():
    rec = record("net/baseline", train_loss=[2, 1], test_loss=[2.5, 1.5], train_acc=[0.3, 0.6])
    fig = plots.draw_curves([rec])
    line, = lines(fig.axes[0], "net/baseline test")
    assert line.get_linestyle() == ":" and list(line.get_ydata()) == [2.5, 1.5] and "test by epoch" in texts(fig)
    assert not lines(fig.axes[1], "net/baseline test")


def test_records_from_before_test_loss_can_be_drawn():
    rec = record("net/baseline", train_loss=[2, 1])
    del rec["curves"]["test_loss"]
    assert [line.get_label() for line in plots.draw_curves([rec]).axes[0].lines] == ["net/baseline train"]


def test_regression_has_one_panel_in_square_pixels():
    ax, = plots.draw_curves([record("keypoints/adam", train_loss=[9, 8], valid_loss=[9, 8])]).axes
    assert ax.get_ylabel() == "MSE (px²)"


def test_last_epochs_get_a_panel_with_a_range_of_their_own():
    fig = plots.draw_curves([record("keypoints/adam", train_loss=down(900, 5, 250), valid_loss=down(900, 5, 250))], last=50)
    whole, last = fig.axes
    assert 200 < last.get_xlim()[0] <= 201 and 250 <= last.get_xlim()[1] < 252
    assert list(lines(last, "keypoints/adam valid")[0].get_xdata()) == list(range(201, 251))
    assert last.get_ylim()[1] < 20 < whole.get_ylim()[1] and "last 50 epochs" in texts(fig)
    assert len(plots.draw_curves([record("net/bn", train_loss=down(2, 1), train_acc=down(0.1, 0.6))], last=10).axes) == 4
    assert len(plots.draw_curves([record("keypoints/adam", valid_loss=[9, 8])], last=50).axes) == 1  # the panel would repeat the first


def test_log_axis_only_where_the_range_needs_it():
    ax, = plots.draw_curves([record("keypoints/adam", train_loss=down(900, 5), valid_loss=down(900, 5))]).axes
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < 5 and high > 900
    shown = [ax.yaxis.get_major_formatter()(v, 0) for v in ax.yaxis.get_majorticklocs() if low <= v <= high]
    assert {"5", "10", "20", "50", "100"} <= set(shown)
    assert plots.draw_curves([record("net/bn", train_loss=down(2.3, 1.2), valid_loss=down(2.3, 1.4))]).axes[0].get_yscale() == "linear"
    # Overfitting: a train loss near 0 must not take the linear axis from the valid loss, whose turn upwards is the point.
    assert plots.draw_curves([record("net/bn", train_loss=down(2.3, 0.01), valid_loss=down(2.3, 1.2))]).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("start, end, limit", [(900, 5, 3000), (2.3, 1.2, 5)])
def test_excursion_does_not_set_the_axis_but_is_marked(start, end, limit):
    loss = down(start, end)
    loss[30] = 1e8
    fig = plots.draw_curves([record("keypoints/adam", valid_loss=loss)])
    ax, = fig.axes
    assert start <= ax.get_ylim()[1] < limit
    mark, = lines(ax, "keypoints/adam above the axis")
    assert list(mark.get_xdata()) == [31] and mark.get_transform() == ax.get_xaxis_transform()
    assert "▲ adam: up to 1e+08" in texts(fig) and "above the axis" in texts(fig)


def test_excursion_of_one_seed_among_few_points_is_marked():
    fig = plots.draw_curves([record("keypoints/adam", seed=seed, valid_loss=[12, 11, 1e8 if seed else 11, 11, 10]) for seed in range(3)])
    ax, = fig.axes
    assert ax.get_ylim()[1] < 30 and list(lines(ax, "keypoints/adam above the axis")[0].get_xdata()) == [3]


@pytest.mark.parametrize("n", [5, 20])
def test_a_moderate_jump_neither_flattens_nor_asks_for_a_log_axis(n):
    loss = down(2.3, 1.2, n)
    loss[3] = 60
    ax, = plots.draw_curves([record("net/bn", valid_loss=loss)]).axes
    assert ax.get_yscale() == "linear" and ax.get_ylim()[1] < 5 and lines(ax, "net/bn above the axis")


def test_a_run_that_lies_high_throughout_is_no_excursion():
    ax, = plots.draw_curves([record("lenet_vgg/clip", train_loss=[13.259], valid_loss=[2.4]),
                             record("lenet_vgg/lr01", train_loss=[2.0, 1.9, 1.8, 1.7], valid_loss=[2.0, 1.9, 1.8, 1.7])]).axes
    assert ax.get_ylim()[1] > 13.259 and not lines(ax, "lenet_vgg/clip above the axis")


def test_diverged_and_unfinished_are_in_the_legend_and_marked():
    fig = plots.draw_curves([record("net/a", 7, status="diverged", train_loss=[3, 4, 5, 6, 7, 8, None]),
                             record("net/b", 180, status="unfinished", train_loss=down(3, 1, 180)),
                             record("net/c", 9, seed=0, train_loss=[1] * 9), record("net/c", 1, seed=1, status="diverged", train_loss=[None])])
    assert {"a (diverged, epoch 7)", "b (unfinished, epoch 180)", "c (2 seeds; seed 1 diverged, epoch 1)"} <= set(texts(fig))
    cross, = lines(fig.axes[0], "net/a diverged")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (6, 8)
    assert lines(fig.axes[0], "net/c diverged")[0].get_xdata()[0] == 1


def test_a_run_without_a_single_finite_number_can_be_drawn(tmp_path):
    plots.curves([record("lenet_vgg/momentum99", 1, status="diverged", train_loss=[None])], tmp_path / "curves.png")
    plots.curves([record("lenet_vgg/zero", train_loss=[0, 0, 0], valid_loss=[0, 0, 0])], tmp_path / "curves.png")


def test_generated_data_are_called_so():
    made, real = record("keypoints/adam", valid_loss=[9, 8], synthetic=True), record("keypoints/sgd", valid_loss=[9, 8])
    assert any("generated data" in text for text in texts(plots.draw_curves([made])))
    assert "adam: generated data, not a measurement" in texts(plots.draw_curves([made, real]))
    assert not any("generated" in text for text in texts(plots.draw_curves([real])))


def test_many_runs_have_colours_of_their_own():
    fig = plots.draw_curves([record(f"mlp_cnn/mlp-dropout-{i}", valid_loss=[2, 1]) for i in range(12)])
    assert len({tuple(line.get_color()) for line in fig.axes[0].lines}) == 12


def test_the_same_records_give_the_same_bytes_and_no_rubbish(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        plots.curves([record("keypoints/adam", valid_loss=[9, 8])], tmp_path / "made" / name)
    assert (tmp_path / "made/a.png").read_bytes() == (tmp_path / "made/b.png").read_bytes()
    assert b"Software" not in (tmp_path / "made/a.png").read_bytes()  # matplotlib's version would change the bytes
    with monkeypatch.context() as patched:  # a failure while writing leaves the old picture whole
        patched.setattr(plots.Figure, "savefig", lambda self, path, **_: (path.write_bytes(b"half"), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            plots.curves([record("keypoints/adam", valid_loss=[9, 8])], tmp_path / "made/a.png")
    assert (tmp_path / "made/a.png").read_bytes() == (tmp_path / "made/b.png").read_bytes()
    assert sorted(os.listdir(tmp_path / "made")) == ["a.png", "b.png"]
    with pytest.raises(ValueError, match="no records"):
        plots.curves([], tmp_path / "none.png")


# ---- sweeps ----------------------------------------------------------------------------------------------------------

LRS = {f"mlp_cnn/lr-{lr}": lr for lr in (1e-1, 5e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4)}


def classes(run, end=0.5, seed=0, n=50, **more):
    """A record of a classification run whose valid accuracy comes to `end`."""
    rising = np.linspace(0.1, end, n)
    columns = {"train_loss": down(2.3, 1, n), "valid_loss": down(2.3, 1.3, n), "train_acc": rising + 0.2, "valid_acc": rising}
    return record(run, seed=seed, **columns | more)


def panels(fig):
    return dict(zip(["train loss", "valid loss", "train acc", "valid acc", "final"], fig.axes))


def labels_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_sweep_has_a_line_per_value_in_every_panel():
    rec = [classes("mlp_cnn/b", 0.3), classes("mlp_cnn/a", 0.5)]
    fig = plots.draw_sweep(rec, {"mlp_cnn/b": 0.9, "mlp_cnn/a": 0.5}, "dropout")
    axes = panels(fig)
    assert len(fig.axes) == 5
    assert [ax.get_ylabel() for ax in fig.axes] == ["train loss", "valid loss", "train accuracy (%)", "valid accuracy (%)",
                                                    "final valid accuracy (%)"]
    for (name, ax), column in zip(axes.items(), ("train_loss", "valid_loss", "train_acc", "valid_acc")):
        part = name.split()[0]
        assert [line.get_label() for line in ax.lines] == [f"mlp_cnn/a {part}", f"mlp_cnn/b {part}"]
        for line, r in zip(ax.lines, reversed(rec)):
            assert np.allclose(line.get_ydata(), np.array(r["curves"][column]) * (100 if "acc" in column else 1))
            assert list(line.get_xdata()) == list(range(1, 51)) and line.get_linestyle() == "-"
        assert not ax.collections
    assert axes["train loss"].get_ylim() == axes["valid loss"].get_ylim() and axes["train acc"].get_ylim() == axes["valid acc"].get_ylim()
    assert axes["train loss"].get_ylim()[0] < 1 < 2.3 < axes["valid loss"].get_ylim()[1] and axes["valid acc"].get_ylim()[1] > 70
    legend = fig.legends[0]
    assert legend.get_title().get_text() == "dropout" and [text.get_text() for text in legend.get_texts()] == ["0.5", "0.9"]
    assert labels_of(axes["final"].xaxis) == ["0.5", "0.9"] and axes["final"].get_xlabel() == "dropout"
    assert not {"train", "valid", "generated data, not a measurement", "min–max of the seeds"} & set(texts(fig))


def test_sweep_of_seeds_has_means_and_bands():
    rec = [classes("x/a", seed=seed, train_loss=loss, n=2) for seed, loss in enumerate([[4, 2], [2, 1]])]
    fig = plots.draw_sweep(rec, {"x/a": 1}, "lr")
    axes = panels(fig)
    assert list(lines(axes["train loss"], "x/a train")[0].get_ydata()) == [3, 1.5]
    corners = {tuple(corner) for path in axes["train loss"].collections[0].get_paths() for corner in path.vertices}
    assert {(1, 4), (1, 2), (2, 2), (2, 1)} <= corners and "min–max of the seeds" in texts(fig)


def test_final_is_the_median_of_the_last_ten_epochs_of_each_seed():
    jump = np.r_[np.full(40, 0.1), np.full(9, 0.5), 0.1]
    rec = [classes("x/a", valid_acc=jump, seed=0), classes("x/a", valid_acc=jump, seed=1),
           classes("x/b", valid_acc=jump + 0.2, seed=0), classes("x/b", valid_acc=jump, seed=1)]
    ax = panels(plots.draw_sweep(rec, {"x/a": 0.2, "x/b": 0.4}, "dropout"))["final"]
    points = [(line.get_xdata()[0], round(line.get_ydata()[0], 9)) for label in ("x/a final", "x/b final") for line in lines(ax, label)]
    assert points == [(0.2, 50), (0.2, 50), (0.4, 70), (0.4, 50)]
    mean, = lines(ax, "mean")
    assert np.allclose(mean.get_xydata(), [(0.2, 50), (0.4, 60)])
    assert ax.get_title("left") == "final: median of the last 10 epochs; line: mean of 2 seeds" and ax.get_xlabel() == "dropout"
    low, high = ax.get_ylim()
    assert low < 50 and 70 < high


def test_short_sweep_says_how_many_epochs_are_final():
    ax = panels(plots.draw_sweep([classes("x/a", valid_acc=[0.1, 0.5, 0.2], n=3)], {"x/a": 0}, "dropout"))["final"]
    assert lines(ax, "x/a final")[0].get_ydata()[0] == 20 and ax.get_title("left") == "final: median of the last 3 epochs"


def test_swept_values_are_the_ticks_and_log_is_as_asked():
    rec = [classes(run) for run in LRS]
    ax = panels(plots.draw_sweep(rec, LRS, "learning rate", log=True))["final"]
    assert ax.get_xscale() == "log" and list(ax.get_xticks()) == sorted(LRS.values()) and not len(ax.get_xticks(minor=True))
    assert labels_of(ax.xaxis) == ["0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.1"]
    assert panels(plots.draw_sweep(rec, LRS, "learning rate"))["final"].get_xscale() == "linear"


@pytest.mark.parametrize("values, log", [(list(LRS.values()), True), ([0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9], False),
                                         ([1e-6, 2e-6, 1e-5, 1], True), ([4, 8, 16, 32, 64, 128, 256], False), ([0.001, 0.002, 0.003, 0.09], False)])
def test_tick_labels_do_not_overlap(values, log):
    values = {f"x/{i}": value for i, value in enumerate(values)}
    fig = plots.draw_sweep([classes(run) for run in values], values, "lr", log)
    fig.draw_without_rendering()
    boxes = [label.get_window_extent() for label in panels(fig)["final"].get_xticklabels() if label.get_text()]
    assert len(boxes) > len(values) / 2 and all(one.x1 < other.x0 for one, other in zip(boxes, boxes[1:]))


def test_sweep_legend_keeps_clear_of_the_panels():
    fig = plots.draw_sweep([classes(run) for run in LRS], LRS, "learning rate", log=True)
    fig.draw_without_rendering()
    top = min(fig.axes[-1].get_tightbbox().y0, *[label.get_window_extent().y0 for label in fig.axes[-1].get_xticklabels()])
    assert fig.legends[0].get_window_extent().y1 <= top
    inside = fig.legends[0].get_window_extent()
    assert 0 <= inside.x0 and inside.x1 <= fig.bbox.width


def test_sweep_colours_follow_the_value_and_are_not_faint():
    fig = plots.draw_sweep([classes(run) for run in reversed(LRS)], LRS, "learning rate", log=True)
    drawn = [lines(fig.axes[0], f"{run} train")[0] for run in sorted(LRS, key=LRS.get)]
    bright = [np.array(matplotlib.colors.to_rgb(line.get_color())) ** 2.2 @ [0.2126, 0.7152, 0.0722] for line in drawn]  # 1: white
    assert bright == sorted(bright) and bright[-1] < 0.55 and len({line.get_marker() for line in drawn}) == 7


def test_diverged_value_is_marked_and_leaves_a_gap():
    bad = classes("x/b", n=4, train_loss=[2.3, 9, 1e8, None], valid_loss=[2.3, 9, 1e9, None], valid_acc=[0.2, 0.15, 0.1, 0.1],
                  status="diverged")
    rec = [classes("x/a"), bad, classes("x/c", 0.6)]
    fig = plots.draw_sweep(rec, {"x/a": 0.1, "x/b": 0.2, "x/c": 0.3}, "lr")
    axes = panels(fig)
    assert "0.2 (diverged)" in texts(fig) and "diverged" in texts(fig)
    for name in ("train loss", "valid loss"):
        assert axes[name].get_ylim()[1] < 5
        cross, = lines(axes[name], "x/b diverged")
        assert cross.get_xdata()[0] == 3 and cross.get_transform() == axes[name].get_xaxis_transform()
        assert list(lines(axes[name], "x/b above the axis")[0].get_xdata()) == [2, 3]
    cross, = lines(axes["valid acc"], "x/b diverged")
    assert (cross.get_xdata()[0], cross.get_ydata()[0], cross.get_marker()) == (4, 10, "x")
    assert len(lines(axes["train acc"], "x/b diverged")) == 1
    cross, = lines(axes["final"], "x/b diverged")
    assert (cross.get_xdata()[0], cross.get_marker()) == (0.2, "x") and cross.get_ydata()[0] < 0.1
    assert cross.get_transform() == axes["final"].get_xaxis_transform() and not lines(axes["final"], "x/b final")
    assert np.isnan(lines(axes["final"], "mean")[0].get_ydata()).tolist() == [False, True, False]


def test_one_diverged_seed_is_marked_beside_the_others():
    rec = [classes("x/a", seed=0, valid_acc=[0.4] * 50), classes("x/a", seed=1, n=3, status="diverged"),
           classes("x/b", valid_acc=[0.5] * 50)]
    fig = plots.draw_sweep(rec, {"x/a": 0.1, "x/b": 0.2}, "lr")
    ax = panels(fig)["final"]
    assert "0.1 (1 of 2 diverged)" in texts(fig) and len(lines(ax, "x/a diverged")) == len(lines(ax, "x/a final")) == 1
    assert list(lines(ax, "mean")[0].get_ydata()) == [40, 50]
    assert ax.get_title("left") == "final: median of the last 10 epochs; line: mean of 1–2 seeds, less those that diverged"


def test_cross_of_the_final_panel_is_below_every_point():
    rec = [classes("x/a", 0.1, seed=0), classes("x/a", seed=1, n=3, status="diverged"), classes("x/b", 0.9)]
    ax = panels(plots.draw_sweep(rec, {"x/a": 0.1, "x/b": 0.2}, "lr"))["final"]
    lowest = ax.transAxes.inverted().transform(ax.transData.transform((0.1, lines(ax, "x/a final")[0].get_ydata()[0])))[1]
    assert lowest > lines(ax, "x/a diverged")[0].get_ydata()[0] + 0.04


def test_all_diverged_can_be_drawn(tmp_path):
    rec = [classes(f"x/{i}", n=1, status="diverged", train_loss=[None], valid_loss=[None]) for i in range(3)]
    final = panels(plots.draw_sweep(rec, {r["run"]: i for i, r in enumerate(rec)}, "dropout"))["final"]
    assert not len(final.get_yticks()) and all(lines(final, f"x/{i} diverged") for i in range(3)) and not lines(final, "x/0 final")
    plots.sweep([record("x/a", 1, status="diverged", train_loss=[None])], {"x/a": 1}, tmp_path / "sweep.png", "dropout")
    plots.sweep([record("x/a", train_loss=[0, 0], valid_loss=[0, 0])], {"x/a": 1}, tmp_path / "sweep.png", "dropout")
    plots.sweep([record("x/a", train_loss=[1, 1], valid_loss=[1, 100])], {"x/a": 1}, tmp_path / "sweep.png", "dropout")


@pytest.mark.parametrize("bad", [30, 1e8])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_values_that_lie_high_throughout_do_not_flatten_the_loss(bad, count):
    runs = list(LRS)
    rec = [classes(run, **{"train_loss": [bad] * 50, "valid_loss": [bad] * 50} if i < count else {}) for i, run in enumerate(runs)]
    fig = plots.draw_sweep(rec, LRS, "learning rate", log=True)
    for ax in fig.axes[:2]:
        assert 2.3 < ax.get_ylim()[1] < 4
    marks = [lines(fig.axes[1], f"{run} above the axis") for run in runs]
    assert [len(mark) for mark in marks] == [1] * count + [0] * (7 - count)
    seen = [set(mark.get_xdata()[slice(mark.get_markevery()[0], None, mark.get_markevery()[1])]) for mark, in marks[:count]]
    assert all(seen) and len(set.union(*seen)) == sum(map(len, seen))  # no triangle hides another


def test_value_without_a_run_is_named_and_keeps_its_tick():
    assert panels(plots.draw_sweep([classes("x/a")], {"x/a": 0.1, "x/b": 0.2}, "dropout"))["final"].get_xlim()[1] > 0.2
    values = {"x/a": 0.1, "x/b": 0.2, "x/c": 0.3}
    fig = plots.draw_sweep([classes("x/a"), classes("x/c")], values, "dropout")
    whole = plots.draw_sweep([classes(run) for run in values], values, "dropout")
    assert "0.2 (no run yet)" in texts(fig) and labels_of(panels(fig)["final"].xaxis) == ["0.1", "0.2", "0.3"]
    assert np.isnan(lines(panels(fig)["final"], "mean")[0].get_ydata()).tolist() == [False, True, False]
    assert lines(fig.axes[0], "x/c train")[0].get_color() == lines(whole.axes[0], "x/c train")[0].get_color()


def test_sweep_of_landmark_nets_ends_in_their_loss():
    losses = [down(900, 8), down(900, 20), [1e8] * 50]
    rec = [record(f"keypoints/{i}", train_loss=down(900, 5), valid_loss=loss) for i, loss in enumerate(losses)]
    fig = plots.draw_sweep(rec, {"keypoints/0": 0.01, "keypoints/1": 0.001, "keypoints/2": 0.1}, "learning rate", log=True)
    assert [ax.get_ylabel() for ax in fig.axes] == ["train MSE (px²)", "valid MSE (px²)", "final valid MSE (px²)"]
    final = fig.axes[2]
    assert lines(final, "keypoints/0 final")[0].get_ydata()[0] == pytest.approx(np.median(down(900, 8)[-10:]))
    assert final.get_ylim()[1] < 100 and lines(final, "keypoints/2 above the axis") and not lines(final, "keypoints/2 final")
    assert np.isnan(lines(final, "mean")[0].get_ydata()).tolist() == [False, False, True]  # a line to 1e8 would look like a wall
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim() and fig.axes[0].get_yscale() == "log"


def test_sweep_says_that_data_are_generated():
    made, real = classes("x/a", synthetic=True), classes("x/b")
    values = {"x/a": 0.1, "x/b": 0.2, "x/c": 0.3}
    assert "generated data, not a measurement" in texts(plots.draw_sweep([made], values, "dropout"))
    assert "0.1: generated data, not a measurement" in texts(plots.draw_sweep([made, real], values, "dropout"))


def test_sweep_refuses_what_it_cannot_place():
    with pytest.raises(ValueError, match="no records"):
        plots.draw_sweep([], {"x/a": 1}, "dropout")
    with pytest.raises(ValueError, match="x/b: no value of dropout"):
        plots.draw_sweep([classes("x/a"), classes("x/b")], {"x/a": 1}, "dropout")
    with pytest.raises(ValueError, match="x/a and x/b have the same dropout, 0.5"):
        plots.draw_sweep([classes("x/a")], {"x/a": 0.5, "x/b": 0.5}, "dropout")
    with pytest.raises(ValueError, match="x/a: no place on a log axis for dropout 0"):
        plots.draw_sweep([classes("x/a")], {"x/a": 0.0, "x/b": 0.5}, "dropout", log=True)


# ---- test accuracy by epoch ------------------------------------------------------------------------------------------

def by_epochs(run, *accuracies, **more):
    """A record with this test accuracy by epoch."""
    rec = record(run, len(accuracies), **more)
    rec["curves"]["test_acc"] = list(accuracies)
    return rec


def test_by_epoch_shows_measured_and_reported():
    rec = [by_epochs("net/a", 0.1, 0.2, 0.4), by_epochs("net/a", 0.2, 0.4, 0.6, seed=1),
           by_epochs("net/b", 0.3, 0.5, test_acc=0.9, train_acc=[0, 1])]
    fig = plots.draw_by_epoch(rec, {"net/a": {3: 0.45, 1: 0.25}})
    ax, = fig.axes
    assert sorted(line.get_label() for line in ax.lines) == ["net/a reported", "net/a test", "net/b test"]
    line, = lines(ax, "net/a test")
    assert np.allclose(line.get_xydata(), [(1, 15), (2, 30), (3, 50)]) and line.get_linestyle() == "-"
    corners = {(x, round(y, 6)) for path in ax.collections[0].get_paths() for x, y in path.vertices}
    assert len(ax.collections) == 1 and {(1, 10), (1, 20), (3, 40), (3, 60)} <= corners
    told, = lines(ax, "net/a reported")
    assert np.allclose(told.get_xydata(), [(1, 25), (3, 45)]) and told.get_linestyle() == "--"
    assert told.get_color() == line.get_color() != lines(ax, "net/b test")[0].get_color() and told.get_markerfacecolor() == "white"
    shorter = lines(ax, "net/b test")[0].get_ydata()
    assert list(shorter[:2]) == [30, 50] and np.ma.is_masked(shorter[2])
    said = texts(fig)
    assert [said.count(text) for text in ("a", "b", "measured (1–2 seeds)", "reported", "test accuracy (%)", "epoch")] == [1] * 6
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_by_epoch_without_reported_values():
    fig = plots.draw_by_epoch([by_epochs("net/a", 0.1, 0.2)], {})
    assert "measured (1 seed)" in texts(fig) and "reported" not in texts(fig)
    assert "reported" not in texts(plots.draw_by_epoch([by_epochs("net/a", 0.1, 0.2)], {"net/a": {}}))


def test_by_epoch_has_room_for_all_that_was_reported():
    fig = plots.draw_by_epoch([by_epochs("net/a", 0.1, 0.2)], {"net/b": {1: 0.3, 12: 0.9}})
    low, high = fig.axes[0].get_xlim()
    assert low < 1 and 12 <= high < 13 and fig.axes[0].get_ylim()[1] > 90 and {"a", "b (not measured)"} <= set(texts(fig))


def test_by_epoch_marks_divergence_and_generated_data():
    fig = plots.draw_by_epoch([by_epochs("net/a", 0.3, 0.1, status="diverged", synthetic=True), by_epochs("net/b", 0.3, 0.4)], {})
    cross, = lines(fig.axes[0], "net/a diverged")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 10)
    assert {"a (diverged)", "b", "a: generated data, not a measurement"} <= set(texts(fig))


def test_by_epoch_needs_test_accuracies(tmp_path):
    with pytest.raises(ValueError, match="test accuracy by epoch"):
        plots.by_epoch([classes("net/a", test_acc=0.5)], {"net/a": {1: 0.5}}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    fig = plots.draw_by_epoch([classes("net/a"), by_epochs("net/b", 0.3)], {})
    assert "a" not in texts(fig) and "b" in texts(fig)


# ---- single runs -----------------------------------------------------------------------------------------------------

def test_single_shows_train_valid_test_and_the_best_epoch():
    rec = classes("mlp_cnn/a", n=4, seed=3, valid_acc=[0.1, 0.6, 0.6, 0.5], valid_loss=[3, 2, 1, 2], test_loss=[5, 4, 3, 2], test_acc=0.55)
    rec["curves"]["test_acc"] = [0.1, 0.2, 0.3, 0.4]
    figures = plots.draw_single(rec)
    assert list(figures) == ["loss", "acc"]
    for metric, fig in figures.items():
        ax, = fig.axes
        assert [list(lines(ax, "best valid epoch")[0].get_xdata()), ax.get_title("left")] == [[2, 2], "mlp_cnn/a, seed 3"]
        drawn = [lines(ax, f"mlp_cnn/a {part}")[0] for part in ("train", "valid", "test")]
        assert len({line.get_color() for line in drawn}) == 3 and [line.get_linestyle() for line in drawn] == ["--", "-", ":"]
        said = texts(fig)
        assert {"train", "valid", "test by epoch", "best valid epoch (2)"} <= set(said) and ("final test" in said) == (metric == "acc")
        for part, line in zip(("train", "valid", "test by epoch"), drawn):
            key, = [key for key in fig.legends[0].get_lines() if key.get_label() == part]
            assert (key.get_color(), key.get_marker(), key.get_linestyle()) == (line.get_color(), line.get_marker(), line.get_linestyle())
        fig.draw_without_rendering()
        assert fig.legends[0].get_window_extent().x0 >= 0 and fig.legends[0].get_window_extent().x1 <= fig.bbox.width
    assert list(lines(figures["loss"].axes[0], "mlp_cnn/a test")[0].get_ydata()) == [5, 4, 3, 2]
    assert lines(figures["acc"].axes[0], "mlp_cnn/a final test")[0].get_ydata()[0] == pytest.approx(55)


def test_best_epoch_of_a_run_without_accuracy_has_the_lowest_loss():
    figures = plots.draw_single(record("keypoints/adam", train_loss=[9, 8, 7], valid_loss=[8, 6, 7]))
    assert list(figures) == ["loss"] and lines(figures["loss"].axes[0], "best valid epoch")[0].get_xdata()[0] == 2
    figures = plots.draw_single(record("lenet_vgg/all", train_loss=[9, 8, 7], train_acc=[0.1, 0.2, 0.3]))
    assert list(figures) == ["loss", "acc"] and not lines(figures["loss"].axes[0], "best valid epoch")


def test_single_names_its_files_as_the_report_does(tmp_path):
    settings = {"model": "mlp", "batch_size": 64}
    folder = write(tmp_path, classes("mlp_cnn/a"), lr=0.005, dropout=0.5, **settings)
    paths = plots.single(folder, tmp_path / "out")
    assert paths == [tmp_path / "out" / name for name in ("loss_mlp_64_0.005_0.5.png", "acc_mlp_64_0.005_0.5.png")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths) and len(os.listdir(tmp_path / "out")) == 2
    folder = write(tmp_path, record("keypoints/b", train_loss=[9, 8]), lr=1e-5, dropout=None, **settings)
    assert [path.name for path in plots.single(folder, tmp_path / "out")] == ["loss_mlp_64_1e-05_0.png"]


def test_single_says_what_it_lacks(tmp_path):
    with pytest.raises(ValueError, match="seed0: nothing to draw yet"):
        plots.single(tmp_path / "mlp_cnn/none/seed0", tmp_path)
    folder = write(tmp_path, classes("mlp_cnn/a"), model="mlp", batch_size=64, lr=0.1)
    with pytest.raises(ValueError, match=r"args\.json: no dropout in it"):
        plots.single(folder, tmp_path)
    (folder / "args.json").unlink()
    with pytest.raises(ValueError, match=r"args\.json: not there"):
        plots.single(folder, tmp_path)


def test_single_run_that_diverged_or_saw_generated_data_says_so():
    rec = classes("x/a", n=3, status="diverged", synthetic=True, train_loss=[2, 1e9, None], test_loss=[2, 2, 2])
    fig = plots.draw_single(rec)["loss"]
    fig.draw_without_rendering()
    assert fig.legends[0].get_window_extent().x0 >= 0 and fig.legends[0].get_window_extent().x1 <= fig.bbox.width  # six keys take two rows
    assert {"x/a, seed 0 (diverged)", "generated data, not a measurement", "diverged", "▲ loss: up to 1e+09"} <= set(texts(fig))


# ---- faces -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Three runs of toy nets, of which the last is no landmark net. -> the folder, and what each net was shown."""
    targets = torch.rand(20, 42, generator=torch.Generator().manual_seed(0)) * 112

    class Faces:
        def __init__(self, targets):
            self.targets, self.valid = targets, torch.arange(10, 20)

        def batch(self, idx):
            return idx[:, None, None, None].float().expand(-1, 1, 112, 112), self.targets[idx]

    shown = {}

    def restore(folder, data_dir=None, device="cpu"):
        run = folder.parent.name

        def model(x):
            shown[run] = x.clone()
            return torch.full((len(x), 42), 56.0)
        return None, model, Faces(torch.zeros(20) if run == "classes" else targets)

    def rotate(x, degrees, landmarks):
        return x + degrees[:, None, None, None] / 100, landmarks + degrees[:, None]

    monkeypatch.setitem(sys.modules, "train", types.SimpleNamespace(restore=restore))
    monkeypatch.setitem(sys.modules, "data", types.SimpleNamespace(rotate=rotate, DataError=KeyError))
    for run in ("adam", "bn", "classes"):
        folder = write(tmp_path, record(f"keypoints/{run}", valid_loss=[9, 8], synthetic=run == "bn"))
        (folder / "model.pt").touch()
    return tmp_path, shown, targets


def test_every_run_sees_the_same_held_out_faces_and_two_are_turned(nets):
    runs, shown, targets = nets
    seen = plots.predict({run: runs / "keypoints" / run / "seed0" for run in ("adam", "bn")}, "data", 4)
    assert torch.equal(shown["adam"], shown["bn"])
    assert shown["adam"][:, 0, 0, 0].tolist() == pytest.approx([10, 12, 15, 17, 17.3, 16.7])
    assert seen["heads"] == ["upright"] * 4 + ["turned +30°", "turned −30°"]
    assert np.allclose(seen["true"][[0, 3, 4]], torch.stack([targets[10], targets[17], targets[17] + 30]))
    assert seen["predicted"]["adam"].shape == (6, 42) and not seen["other"]


def test_faces_picture_has_a_row_per_run_and_says_the_error(nets):
    runs, _, targets = nets
    folders = {f"keypoints/{run}": runs / "keypoints" / run / "seed0" for run in ("adam", "bn")}
    fig = plots.draw_faces(plots.predict(folders, "data", 2), generated=["keypoints/bn"])
    assert len(fig.axes) == 8 and [fig.axes[i].get_ylabel() for i in (0, 4)] == ["adam", "bn"]
    assert [ax.get_title() for ax in fig.axes[:4]] == ["upright", "upright", "turned +30°", "turned −30°"]
    assert fig.axes[0].get_xlabel() == f"{float(((targets[10] - 56) ** 2).mean()):,.0f} px²"
    assert tuple(fig.axes[0].images[0].get_extent()) == (0, 112, 112, 0) and fig.axes[0].get_ylim() == (112, 0)
    true, predicted = fig.axes[0].lines
    assert np.allclose(true.get_xydata(), targets[10].view(21, 2)) and set(predicted.get_xdata()) == {56}
    assert "bn: generated data, not a measurement" in texts(fig)


def test_faces_says_which_points_are_out_of_sight():
    true, predicted = np.full((3, 42), 50.0), np.full((3, 42), 50.0)
    predicted[1, :3], predicted[2, 0] = 5000, np.nan
    shown = {"pictures": np.zeros((3, 112, 112)), "true": true, "heads": ["upright"] * 3, "predicted": {"keypoints/sgd": predicted}, "other": set()}
    assert [ax.get_xlabel() for ax in plots.draw_faces(shown).axes] == ["0 px²", "1.75e+06 px², 2 outside", "not finite"]


def test_faces_without_photo_have_no_pixels(nets, monkeypatch):
    runs, *_ = nets
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda fig, path: drawn.append(fig))
    assert plots.faces(runs, ["keypoints/adam"], 0, runs / "faces.png", "data", photo=False)
    assert not drawn[0].findobj(matplotlib.image.AxesImage) and len(drawn[0].axes[0].lines) > 2
    assert plots.faces(runs, ["keypoints/adam"], 0, runs / "faces.png", "data")
    assert drawn[1].findobj(matplotlib.image.AxesImage)


def test_faces_names_runs_that_it_leaves_out(nets, capsys):
    runs, *_ = nets
    assert plots.faces(runs, ["keypoints/none", "keypoints/classes", "keypoints/adam"], 0, runs / "faces.png", "data")
    assert (runs / "faces.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "keypoints/none" in said[0] and "model.pt" in said[0] and "keypoints/classes" in said[1]


def test_faces_of_nothing_draws_nothing(nets):
    runs, *_ = nets
    assert not plots.faces(runs, ["keypoints/none", "keypoints/classes"], 0, runs / "faces.png", "data")
    assert not (runs / "faces.png").exists()
    with pytest.raises(SystemExit, match="nothing to draw yet"):
        plots.main(["faces", "--runs", str(runs), "--out", str(runs), "keypoints/none"])


# ---- command line ----------------------------------------------------------------------------------------------------

def command(*words, cwd):
    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "MPLBACKEND", "WAYLAND_DISPLAY")}
    return subprocess.run([sys.executable, str(ROOT / "plots.py"), *words], cwd=cwd, env=env, capture_output=True, text=True)


def test_curves_from_the_command_line_without_a_display(tmp_path):
    for seed in (0, 1):
        write(tmp_path / "runs", record("keypoints/adam", seed=seed, valid_loss=down(900, 5)))
    done = command("curves", "--out", "made/here", "--seeds", "0 1 2", "--last", "20", "keypoints/adam", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(Path("made/here/curves.png"))]
    assert (tmp_path / "made/here/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "runs/keypoints/adam/seed2" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.fixture
def drawn(monkeypatch):
    """What goes into files, by path, instead of the files."""
    figures = {}
    monkeypatch.setattr(plots, "_save", lambda fig, path: figures.update({str(path): fig}))
    return figures


@pytest.mark.parametrize("what, values, shown, scale", [
    ("lr", [0.1, 0.01, 0.001], "learning rate", "log"), ("lr", [0.1, 0.011], "learning rate", "linear"),
    ("dropout", [0.0, 0.5], "dropout", "linear"), ("batch-size", [4, 400], "batch size", "log")])
def test_sweep_command_takes_values_from_args(tmp_path, drawn, capsys, what, values, shown, scale):
    for i, value in enumerate(values):
        for seed in (0, 1):
            write(tmp_path, classes(f"mlp_cnn/{i}", seed=seed), **{what.replace("-", "_"): value})
    runs = [f"mlp_cnn/{i}" for i in range(len(values))]
    plots.main(["sweep", "--what", what, "--runs", str(tmp_path), "--out", "made", "--seeds", "0 1 2", *runs])
    fig, = drawn.values()
    assert list(drawn) == ["made/sweep.png"] and capsys.readouterr().out == "made/sweep.png\n"
    assert fig.axes[4].get_xlabel() == shown and fig.axes[4].get_xscale() == scale
    assert labels_of(fig.axes[4].xaxis) == [f"{value:g}" for value in sorted(values)] and len(lines(fig.axes[4], "mlp_cnn/0 final")) == 2


def test_sweep_command_says_what_is_wrong(tmp_path, drawn, capsys):
    write(tmp_path, classes("x/a"), lr=0.1, dropout=None, model="mlp", flip=True)
    write(tmp_path, classes("x/b"), lr=0.1, dropout=0.5)
    write(tmp_path, classes("x/b", seed=1), lr=0.2)

    def fails(message, *words):
        with pytest.raises(SystemExit, match=message):
            plots.main(["sweep", "--runs", str(tmp_path), "--out", "made", *words])
    fails("x/a seed 0: its dropout is None, not a number", "--what", "dropout", "x/a", "x/b")
    fails("its model is 'mlp', not a number", "--what", "model", "x/a")
    fails("its flip is True, not a number", "--what", "flip", "x/a")
    fails(r"args\.json: no depth in it", "--what", "depth", "x/a")
    fails("x/b: its seeds differ in lr, 0.1 and 0.2", "--what", "lr", "--seeds", "0 1", "x/b")
    fails("x/a and x/b have the same learning rate", "--what", "lr", "x/a", "x/b")
    fails("nothing to draw yet.*x/c/seed0", "--what", "lr", "x/c")
    fails("2", "x/a")
    assert "--what" in capsys.readouterr().err and not drawn


def test_by_epoch_command(tmp_path, drawn):
    write(tmp_path, by_epochs("net/a", 0.3, 0.4))
    write(tmp_path, classes("net/b"))
    plots.main(["by-epoch", "--runs", str(tmp_path), "--out", "made", "net/a", "net/b"])
    assert list(drawn) == ["made/by-epoch.png"] and lines(drawn["made/by-epoch.png"].axes[0], "net/a test")
    with pytest.raises(SystemExit, match="plots.py by-epoch: no record has test accuracy by epoch"):
        plots.main(["by-epoch", "--runs", str(tmp_path), "--out", "made", "net/b"])


def test_single_command_keeps_runs_of_the_same_settings_apart(tmp_path, drawn, capsys):
    for seed in (0, 1):
        write(tmp_path, classes("x/a", seed=seed), model="mlp", batch_size=4, lr=0.1, dropout=0.0)
    plots.main(["single", "--runs", str(tmp_path), "--out", "made", "--seeds", "0 1 2", "x/a"])
    assert list(drawn) == [f"made/x/a/seed{seed}/{metric}_mlp_4_0.1_0.png" for seed in (0, 1) for metric in ("loss", "acc")]
    said = capsys.readouterr()
    assert said.out.split() == list(drawn) and "x/a/seed2" in said.err
    with pytest.raises(SystemExit, match="nothing to draw yet"):
        plots.main(["single", "--runs", str(tmp_path), "--out", "made", "x/none"])


def test_command_line_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit, match="nothing to draw yet.*keypoints/adam/seed0.*keypoints/sgd/seed0") as stopped:
        plots.main(["curves", "--runs", str(tmp_path), "--out", str(tmp_path / "made"), "keypoints/adam", "keypoints/sgd"])
    assert isinstance(stopped.value.code, str)  # Python prints it to stderr and exits with 1
    assert not (tmp_path / "made").exists()
    write(tmp_path, record("keypoints/adam", valid_loss=[9]), torn="rubbish\n")
    with pytest.raises(SystemExit, match=r"log\.jsonl, line 2"):
        plots.main(["curves", "--runs", str(tmp_path), "--out", str(tmp_path / "made"), "keypoints/adam"])
    with pytest.raises(SystemExit):
        plots.main(["tables", "keypoints/adam"])
    assert "curves" in capsys.readouterr().err


def test_importing_plots_needs_neither_torch_nor_a_backend():
    program = "import sys, plots; print(sorted({'torch', 'train', 'data', 'matplotlib.pyplot'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# ---- what a net of classes answers -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of base on generated data, and one whose classifier has learnt nothing."""
    runs = tmp_path_factory.mktemp("runs")
    flags = ["--model", "base", "--data", "caltech35", "--synthetic", "--batch-size", "32", "--lr", "0.05", "--max-steps", "20", "--threads", "1", "--runs", str(runs)]
    for more in (["--run", "c/base", "--label-noise", "0.2"], ["--run", "c/features", "--loss", "triplet-cosine", "--freeze", "classifier"]):
        done = subprocess.run([sys.executable, ROOT / "train.py", *flags, *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return runs


@pytest.fixture(scope="module")
def found(trained):
    return plots.answers(trained / "c/base/seed0")


def test_answers_are_the_nets_and_their_accuracy_is_the_results(trained, found):
    result = json.loads((trained / "c/base/seed0/result.json").read_text())
    assert {part: len(found[part]["labels"]) for part in found} == {"train": 560, "test": 140} and found["test"]["features"].shape == (140, 256)
    assert (found["test"]["labels"] == found["test"]["answers"]).mean() == pytest.approx(result["metrics"]["test_acc"])
    true = np.arange(560) % 35  # the twin's; a fifth was drawn anew
    assert (found["train"]["labels"] != true).mean() == pytest.approx(result["data"]["label_noise"], abs=1e-6) and result["data"]["label_noise"] > 0.15
    with pytest.raises(ValueError, match="answers with no class"):
        plots.answers(trained / "c/features/seed0")


def points(labels, answers, features):
    part = {"labels": np.array(labels), "answers": np.array(answers), "features": np.array(features, dtype=np.float32)}
    return {"train": part, "test": {key: value.copy() for key, value in part.items()}}


def test_description_in_numbers_worked_out_by_hand():
    labels = [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    apart = points(labels, [0, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5], [[10 * label, i % 2] for i, label in enumerate(labels)])
    text = plots.describe(apart)
    rows = text["confusion"]["test"]
    assert rows[1] == [0, 1, 1, 0, 0, 0] and rows[2] == [0, 0, 2, 0, 0, 0] and np.trace(rows) == 10 and text["confusion"]["train"] == rows
    # Two points of a class are 1 apart; those of the next are 10 and sqrt(101) away. Classes 3 and 5: 20 and sqrt(401).
    assert text["silhouette"]["1-5"] == pytest.approx(1 - 1 / ((10 + 101 ** 0.5) / 2), abs=1e-4)
    assert text["silhouette"]["3,5"] == pytest.approx(1 - 1 / ((20 + 401 ** 0.5) / 2), abs=1e-4)
    for at in ([3.0, 4.0], [0.0, 0.0]):
        assert plots.describe(points(labels, labels, [at] * len(labels)))["spread"] == 0
    assert plots.describe(points([0, 3], [0, 0], [[1, 0], [-1, 0]]))["spread"] == 1
    assert plots.describe(points([0, 3], [0, 0], [[2, 0], [0, 0]]))["spread"] == pytest.approx(0.5 ** 0.5, abs=1e-4)  # (1 + 1) / 2 around the mean, (4 + 0) / 2 in all
    some = points([1, 1, 3, 3], [1] * 4, [[1, 0], [1, 0], [0, 1], [0, 1]])  # of the classes asked for not all are there
    assert plots.describe(some)["silhouette"] == {"1-5": None, "3,5": None}
    assert json.loads(json.dumps(text)) == text


def test_train_and_test_are_described_apart():
    found = {"train": points([0, 1, 1], [0, 0, 1], [[9, 9]] * 3)["train"], "test": points([0, 2], [0, 1], [[1, 0], [-1, 0]])["test"]}
    text = plots.describe(found)
    assert text["confusion"] == {"train": [[1, 0, 0], [1, 1, 0], [0, 0, 0]], "test": [[1, 0, 0], [0, 0, 0], [0, 1, 0]]}  # as many classes as either has
    assert text["spread"] == 1  # of the test features
    swapped = plots.describe({"train": found["test"], "test": found["train"]})
    assert swapped["confusion"] == {"train": text["confusion"]["test"], "test": text["confusion"]["train"]} and swapped["spread"] == 0


def test_confusion_shows_counts_and_leaves_zeros_blank():
    fig = plots.draw_confusion({"train": [[5, 0], [1, 4]], "test": [[2, 0], [3, 0]]}, "c/base, seed 0")
    train, test = fig.axes
    assert train.get_title("left") == "train: 90.0 % of 10 right" and test.get_title("left") == "test: 40.0 % of 5 right"
    shown = {(text.get_position(), text.get_text()) for text in train.texts}
    assert shown == {((0, 0), "5"), ((0, 1), "1"), ((1, 1), "4")}  # x: called, y: true
    assert np.allclose(train.images[0].get_array(), [[1, 0], [0.2, 0.8]])
    assert {text.get_text(): text.get_color() for text in train.texts} == {"5": "white", "1": "black", "4": "white"}  # on dark, and on light
    assert plots.draw_confusion({"test": [[1, 1], [1, 1]]}, "x").axes[0].images[0].get_clim() == (0, 1)  # whatever the shares
    assert (train.get_xlabel(), train.get_ylabel()) == ("called class", "true class") and "c/base, seed 0" in texts(fig)
    fig = plots.draw_confusion({"test": [[1, 0], [0, 0]]}, "x", generated=True)  # a class without an image
    assert "x: generated data, not a measurement" in texts(fig) and np.array_equal(fig.axes[0].images[0].get_array(), [[1, 0], [0, 0]])


def test_confusion_of_35_classes_is_readable():
    counts = np.full((35, 35), 140)
    fig = plots.draw_confusion({"train": counts, "test": counts}, "x")
    fig.draw_without_rendering()
    for ax in fig.axes:
        cell = ax.get_window_extent().width / 35
        sizes = [text.get_window_extent() for text in ax.texts]
        assert max(size.width for size in sizes) < cell and max(size.height for size in sizes) < cell
        assert len(ax.get_xticklabels()) == 35 and min(text.get_fontsize() for text in ax.texts) >= 5


def test_features_side_by_side_for_train_and_test():
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 2, 3], 12)
    features = generator.normal(size=(36, 8)) + 20 * np.eye(3, 8)[labels - 1]
    found = points(labels, np.where(np.arange(36) == 0, 7, labels), features)  # 7: called, though no image is of it
    found["test"]["features"] += 1000  # far from train's: an own PCA would hide that
    fig = plots.draw_features(found, [1, 3], "c/base, seed 0")
    titles = [ax.get_title("left") for ax in fig.axes]
    assert titles[0].startswith("PCA, train: 24 images, ") and titles[1:] == ["t-SNE, train: 24 images", "PCA, test: 24 images", "t-SNE, test: 24 images"]
    for ax in fig.axes:
        drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
        assert {label: len(xy) for label, xy in drawn.items()} == {"class 1": 11, "class 1 called another": 1, "class 3": 12, "class 3 called another": 0}
        assert lines(ax, "class 1 called another")[0].get_markerfacecolor() == "none" != lines(ax, "class 1")[0].get_markerfacecolor()
        ones, threes = drawn["class 1"], drawn["class 3"]
        assert np.linalg.norm(ones.mean(0) - threes.mean(0)) > 2 * max(ones.std(0).max(), threes.std(0).max())  # both ways keep them apart
    first, second = (np.concatenate([line.get_xydata() for line in fig.axes[i].lines]) for i in (0, 2))
    assert np.abs(second - first).max() > 100  # train's axes, for both
    again = plots.draw_features(found, [1, 3], "c/base, seed 0")
    assert all(np.array_equal(a.get_xydata(), b.get_xydata()) for x, y in zip(fig.axes, again.axes) for a, b in zip(x.lines, y.lines))
    with pytest.raises(ValueError, match="no train image of class 7, 9"):
        plots.draw_features(found, [1, 7, 9], "x")
    said = texts(fig)
    assert {"class 1", "class 3", "hollow: called another class", "c/base, seed 0"} <= set(said) and "class 2" not in said
    assert "x: generated data, not a measurement" in texts(plots.draw_features(found, [1, 3], "x", generated=True))


class Backwards(torch.nn.Module):
    """Its layers are declared in another order than they run, and one of them has layers of its own."""
    input_shape = (3, 8, 8)

    def __init__(self):
        super().__init__()
        self.last, self.first = torch.nn.Linear(4 * 36, 5), torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))

    def forward(self, x):
        return self.last(self.first(x).flatten(1))


def test_layers_in_the_order_in_which_they_run():
    model = Backwards().train()
    rows = plots.layers(model, [2, 3, 8, 8])
    assert rows == [("first.0", "Conv2d", [2, 4, 6, 6], 112), ("first.1", "BatchNorm2d", [2, 4, 6, 6], 8), ("last", "Linear", [2, 5], 725)]
    assert model.training and model.first[1].num_batches_tracked == 0 and not model.last._forward_hooks
    table = plots.layer_table(model, 2).splitlines()
    assert table[2] == "| input | | [2, 3, 8, 8] | |" and table[-1] == "| all | | | 845 |" and len(table) == 7


def test_accuracy_against_a_share_has_a_line_for_every_series():
    records = [record(f"c/{kind}-{share}", seed=seed, valid_loss=[1], test_acc=0.5 - share / 100 + 0.02 * seed + 0.1 * (kind == "denoise"))
               for kind in ("noise", "denoise") for share in (0, 10, 30) for seed in (0, 1) if (kind, share) != ("denoise", 30)]
    values = {f"c/{kind}-{share}": share / 100 for kind in ("noise", "denoise") for share in (30, 0, 10)}
    ax = (fig := plots.draw_against(records, values, {"c/noise-10": 0.4, "c/noise-30": 0.3}, "label_noise")).axes[0]
    (noise,), (denoise,) = lines(ax, "c/noise mean"), lines(ax, "c/denoise mean")
    assert np.allclose(noise.get_xydata(), [[0, 51], [10, 41], [30, 21]]) and np.allclose(denoise.get_xydata(), [[0, 61], [10, 51]])
    assert [sorted(line.get_ydata()) for line in lines(ax, "c/noise measured")] == [pytest.approx([50, 52]), pytest.approx([40, 42]), pytest.approx([20, 22])]
    assert np.allclose(lines(ax, "c/noise reported")[0].get_xydata(), [[10, 40], [30, 30]]) and not lines(ax, "c/denoise reported")
    assert ax.get_xlabel() == "share of train labels drawn anew (%)" and list(ax.get_xticks()) == [0, 10, 30] and ax.get_xscale() == "linear"
    assert {"noise", "denoise", "measured (2 seeds)", "reported"} <= set(texts(fig)) and ax.get_ylabel() == "test accuracy (%)"
    told, = lines(ax, "c/noise reported")
    assert (told.get_linestyle(), told.get_markerfacecolor()) == ("--", "white") and lines(ax, "c/noise measured")[0].get_markerfacecolor() != "white"
    made = [record("c/noise-10", valid_loss=[1], test_acc=0.4, synthetic=True), *(record("c/other-10", seed=seed, valid_loss=[1], test_acc=0.9) for seed in (0, 1))]
    ax = (fig := plots.draw_against(made, {"c/noise-10": 0.1, "c/denoise-0": 0}, {}, "label_noise")).axes[0]
    assert lines(ax, "c/noise mean")[0].get_color() == plots.COLOURS[0]  # it was given first, whatever its value
    assert "noise: generated data, not a measurement" in texts(fig) and "denoise (not measured)" in texts(fig) and "reported" not in texts(fig)
    assert not lines(ax, "c/denoise mean") and "measured (1 seed)" in texts(fig)  # other-10 has no value here


def test_accuracy_against_the_learning_rate_is_on_a_log_axis():
    records = [record(f"c/base-lr-{n}", valid_loss=[1], test_acc=0.4) for n in (5, 10)]
    values = {"c/base-lr-5": 0.005, "c/base-lr-10": 0.01, "c/base-lr-1": 0.001, "c/block-lr-1": 0.001}
    ax = (fig := plots.draw_against(records, values, {"c/block-lr-1": 0.43}, "lr")).axes[0]
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate" and [text.get_text() for text in ax.get_xticklabels()] == ["0.001", "0.005", "0.01"]
    assert lines(ax, "c/base-lr mean")[0].get_xdata().tolist() == [0.005, 0.01]
    assert not ax.get_xticklabels(minor=True) and plots.draw_against(records, values, {}, "weight_decay").axes[0].get_xlabel() == "weight decay"
    assert {"base-lr", "block-lr (not measured)"} <= set(texts(fig))
    with pytest.raises(ValueError, match="no record has a test accuracy"):
        plots.draw_against([record("c/base-lr-5", valid_loss=[1])], values, {}, "lr")


def test_a_fall_of_the_learning_rate_is_marked_where_all_runs_share_it():
    falling = [record(f"c/{run}", valid_loss=[3, 2, 1, 1], lr=[0.1, 0.1, 0.01, 0.01]) for run in "ab"]
    fig = plots.draw_curves(falling)
    assert [line.get_xdata() for line in lines(fig.axes[0], "lr falls")] == [[2.5, 2.5]] and "learning rate falls" in texts(fig)
    gaps = record("c/gaps", valid_loss=[4, 3, 2, 1, 1], lr=[0.1, None, 0.2, 0.3, 0.01])  # an unknown rate is no fall, and a rise is none
    assert [line.get_xdata() for line in lines(plots.draw_curves([gaps]).axes[0], "lr falls")] == [[4.5, 4.5]]
    often = record("c/often", valid_loss=[3, 2, 1, 1], lr=[0.4, 0.3, 0.2, 0.1])  # three times, and once more would be too often
    assert len(lines(plots.draw_curves([often]).axes[0], "lr falls")) == 3
    del often["curves"]["lr"]  # a row of results/records.jsonl
    assert not lines(plots.draw_curves([often]).axes[0], "lr falls")
    for lr in ([0.1] * 4, [0.1, 0.05, 0.01, 0.01], [None] * 4):
        fig = plots.draw_curves([*falling, record("c/c", valid_loss=[3, 2, 1, 1], lr=lr)])
        assert not lines(fig.axes[0], "lr falls") and "learning rate falls" not in texts(fig)
    every = record("c/cosine", valid_loss=[5, 4, 3, 2, 1], lr=[0.5, 0.4, 0.3, 0.2, 0.1])
    assert not lines(plots.draw_curves([every]).axes[0], "lr falls")
    late = plots.draw_curves(falling, last=2)  # it is before the last two epochs
    assert [len(lines(ax, "lr falls")) for ax in late.axes] == [1, 0]


def test_pictures_of_answers_from_the_command_line(trained, found, tmp_path, capsys, monkeypatch):
    asked, drawn = [], {}
    monkeypatch.setattr(plots, "answers", lambda folder, data_dir: asked.append((folder, data_dir)) or found)
    monkeypatch.setattr(plots, "_save", lambda fig, path: drawn.update({path.name: fig}))
    words = ["--runs", str(trained), "--out", str(tmp_path)]
    for kind, more in (("confusion", ["--data-dir", "elsewhere"]), ("features", ["--classes", "4,2"]), ("layers", []), ("against", ["--what", "label-noise"])):
        plots.main([kind, *words, *more, "c/base"])
    out = tmp_path / "c/base/seed0"
    assert capsys.readouterr().out.split() == [str(out / "confusion.png"), str(out / "features.png"), str(out / "layers.md"), str(tmp_path / "against.png")]
    assert asked == [(trained / "c/base/seed0", "elsewhere"), (trained / "c/base/seed0", "data")] and list(drawn) == ["confusion.png", "features.png", "against.png"]
    for name in ("confusion.png", "features.png"):
        assert "c/base, seed 0: generated data, not a measurement" in texts(drawn[name])
    assert drawn["confusion.png"].axes[1].get_title("left").endswith("of 140 right") and "class 4" in texts(drawn["features.png"])
    assert len(drawn["against.png"].axes) == 1 and drawn["against.png"].axes[0].get_xlabel() == "share of train labels drawn anew (%)"
    assert "| all | | | 398,243 |" in (out / "layers.md").read_text() and "[32, 256, 14, 14]" in (out / "layers.md").read_text()


def test_pictures_of_answers_that_cannot_be_made(trained, tmp_path, capsys, monkeypatch):
    words = ["--runs", str(trained), "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match="answers with no class"):
        plots.main(["confusion", *words, "c/features"])
    one = points([1] * 4, [1] * 4, np.eye(4))
    with monkeypatch.context() as patched:
        patched.setattr(plots, "answers", lambda *_: one)
        with pytest.raises(SystemExit, match="no train image of class 2, 3, 4, 5"):  # the classes that are shown where none are named
            plots.main(["features", *words, "c/base"])

    import data

    def away(*_):
        raise data.DataError("no Caltech there")
    monkeypatch.setattr(plots, "answers", away)
    with pytest.raises(SystemExit, match="plots.py confusion: no Caltech there"):
        plots.main(["confusion", *words, "c/base"])
    write(tmp_path, record("c/bare", valid_loss=[1]))  # it has a log, and no weights
    plots.main(["confusion", "--runs", str(tmp_path), "--out", str(tmp_path), "c/bare"])
    assert "no model.pt, left out" in capsys.readouterr().err

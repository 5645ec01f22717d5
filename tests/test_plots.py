"""plots.py: curves, accuracy by epoch and against a setting, single runs, on records by hand and without a display."""
import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import plots
from conftest import ROOT
from drawing import by_epochs, classes, down, lines, printed, record, texts
from experiments import panels
from experiments.panels import Context

# ---- curves ---------------------------------------------------------------------------------------------------------


def test_seeds_give_mean_and_band_where_there_are_data():
    fig = plots.draw_curves([record("keypoints/adam", seed=0, valid_loss=[10, 8, 6]),
                             record("keypoints/adam", seed=1, valid_loss=[14, None])])
    ax, = fig.axes
    line, = lines(ax, "keypoints/adam valid")
    assert list(line.get_xdata()) == [1, 2, 3] and list(line.get_ydata()) == [12, 8, 6]
    corners = {tuple(corner) for path in ax.collections[0].get_paths() for corner in path.vertices}
    assert {(1, 10), (1, 14), (2, 8), (3, 6)} <= corners
    assert {y for x, y in corners if x == 1} == {10, 14}
    assert "adam (2 seeds)" in texts(fig) and "min–max of the seeds" in texts(fig)


def test_one_seed_has_no_band():
    fig = plots.draw_curves([record("keypoints/adam", valid_loss=[10, 8, 6])])
    assert not fig.axes[0].collections and "adam (1 seed)" in texts(fig)


def test_train_is_dashed_valid_solid_and_the_legend_says_so_once():
    fig = plots.draw_curves([record(f"keypoints/{run}", train_loss=[9, loss], valid_loss=[9, loss + 1])
                             for run, loss in (("adam", 8), ("sgd", 5))])
    ax, = fig.axes
    of_adam = {part: lines(ax, f"keypoints/adam {part}")[0] for part in ("train", "valid")}
    assert [line.get_linestyle() for line in of_adam.values()] == ["--", "-"]
    assert of_adam["valid"].get_color() == of_adam["train"].get_color()
    assert of_adam["valid"].get_color() != lines(ax, "keypoints/sgd valid")[0].get_color()
    said = [text for text in texts(fig) if text in ("train", "valid", "adam (1 seed)", "sgd (1 seed)")]
    assert said == ["adam (1 seed)", "sgd (1 seed)", "train", "valid"]


def test_classification_has_loss_and_accuracy_in_percent():
    fig = plots.draw_curves([record("net/bn", train_loss=[2, 1], train_acc=[0.3, 0.6], test_acc=0.65)])
    loss, accuracy = fig.axes
    assert (loss.get_title("left"), accuracy.get_title("left")) == ("train loss", "train accuracy (%)")
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


def test_test_accuracy_by_epoch_is_dotted_beside_a_valid_one():
    rec = record("net/baseline", train_loss=[2, 1], train_acc=[0.3, 0.6], valid_acc=[0.3, 0.5])
    rec["curves"]["test_acc"] = [0.2, 0.5]
    fig = plots.draw_curves([rec])
    line, = lines(fig.axes[1], "net/baseline test")
    assert line.get_linestyle() == ":" and list(line.get_ydata()) == [20, 50]


def test_test_loss_by_epoch_is_solid_where_there_is_no_valid_one():
    rec = record("net/baseline", train_loss=[2, 1], test_loss=[2.5, 1.5], train_acc=[0.3, 0.6])
    fig = plots.draw_curves([rec])
    line, = lines(fig.axes[0], "net/baseline test")
    assert line.get_linestyle() == "-" and list(line.get_ydata()) == [2.5, 1.5] and "test by epoch" in texts(fig)
    assert not lines(fig.axes[1], "net/baseline test")


def test_records_from_before_test_loss_can_be_drawn():
    rec = record("net/baseline", train_loss=[2, 1])
    del rec["curves"]["test_loss"]
    assert [line.get_label() for line in plots.draw_curves([rec]).axes[0].lines] == ["net/baseline train"]


def test_regression_has_one_panel_in_square_pixels():
    ax, = plots.draw_curves([record("keypoints/adam", train_loss=[9, 8], valid_loss=[9, 8])]).axes
    assert ax.get_title("left") == "MSE (px²)" and ax.get_yscale() == "log"  # as all of this report
    elsewhere = record("adhoc/mine", valid_loss=[9, 8])
    elsewhere["data"]["name"] = "faces21"
    assert plots.draw_curves([elsewhere]).axes[0].get_title("left") == "valid MSE (px²)"


def test_last_epochs_get_a_panel_with_a_range_of_their_own():
    falling = record("keypoints/adam", train_loss=down(900, 5, 250), valid_loss=down(900, 5, 250))
    fig = plots.draw_curves([falling], last=50)
    whole, last = fig.axes
    assert 200 < last.get_xlim()[0] <= 201 and 250 <= last.get_xlim()[1] < 252
    assert list(lines(last, "keypoints/adam valid")[0].get_xdata()) == list(range(201, 251))
    assert last.get_ylim()[1] < 20 < whole.get_ylim()[1] and "MSE (px²), last 50 epochs" in texts(fig)
    of_classes = record("net/bn", train_loss=down(2, 1), train_acc=down(0.1, 0.6))
    assert len(plots.draw_curves([of_classes], last=10).axes) == 4
    short = record("keypoints/adam", valid_loss=[9, 8])
    assert len(plots.draw_curves([short], last=50).axes) == 1  # the panel would repeat the first


def test_log_axis_only_where_the_range_needs_it():
    ax, = plots.draw_curves([record("keypoints/adam", train_loss=down(900, 5), valid_loss=down(900, 5))]).axes
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < 5 and high > 900
    ticks = [tick for tick in ax.yaxis.get_majorticklocs() if low <= tick <= high]
    shown = [ax.yaxis.get_major_formatter()(tick, 0) for tick in ticks]
    assert {"5", "10", "20", "50", "100"} <= set(shown)

    def scale(valid, train):
        rec = record("net/bn", train_loss=down(2.3, train), valid_loss=down(2.3, valid))
        return plots.draw_curves([rec]).axes[0].get_yscale()
    assert scale(valid=1.4, train=1.2) == "linear"
    # Overfitting: a train loss near 0 must not take the linear axis from the valid loss, whose rise is the point.
    assert scale(valid=1.2, train=0.01) == "linear"


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
    fig = plots.draw_curves([record("keypoints/adam", seed=seed, valid_loss=[12, 11, 1e8 if seed else 11, 11, 10])
                             for seed in range(3)])
    ax, = fig.axes
    mark, = lines(ax, "keypoints/adam above the axis")
    assert ax.get_ylim()[1] < 30 and list(mark.get_xdata()) == [3]


@pytest.mark.parametrize("n", [5, 20])
def test_a_moderate_jump_neither_flattens_nor_asks_for_a_log_axis(n):
    loss = down(2.3, 1.2, n)
    loss[3] = 60
    ax, = plots.draw_curves([record("net/bn", valid_loss=loss)]).axes
    assert ax.get_yscale() == "linear" and ax.get_ylim()[1] < 5 and lines(ax, "net/bn above the axis")


def test_a_run_that_lies_high_throughout_is_no_excursion():
    usual = [2.0, 1.9, 1.8, 1.7]
    ax, = plots.draw_curves([record("lenet_vgg/clip", train_loss=[13.259], valid_loss=[2.4]),
                             record("lenet_vgg/lr01", train_loss=usual, valid_loss=usual)]).axes
    assert ax.get_ylim()[1] > 13.259 and not lines(ax, "lenet_vgg/clip above the axis")


def test_diverged_and_unfinished_are_in_the_legend_and_marked():
    fig = plots.draw_curves([record("net/a", 7, status="diverged", train_loss=[3, 4, 5, 6, 7, 8, None]),
                             record("net/b", 180, status="unfinished", train_loss=down(3, 1, 180)),
                             record("net/c", 9, seed=0, train_loss=[1] * 9),
                             record("net/c", 1, seed=1, status="diverged", train_loss=[None])])
    said = {"a (1 seed; diverged, epoch 7)", "b (1 seed; unfinished, epoch 180)",
            "c (2 seeds; seed 1 diverged, epoch 1)"}
    assert said <= set(texts(fig))
    cross, = lines(fig.axes[0], "net/a lost")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (6, 8)
    assert lines(fig.axes[0], "net/c lost")[0].get_xdata()[0] == 1


def test_a_run_without_a_single_finite_number_can_be_drawn(tmp_path):
    for rec in (record("lenet_vgg/momentum99", 1, status="diverged", train_loss=[None]),
                record("lenet_vgg/zero", train_loss=[0, 0, 0], valid_loss=[0, 0, 0])):
        plots.curves([rec], tmp_path / f"{rec['status']}.png")
        assert (tmp_path / f"{rec['status']}.png").read_bytes().startswith(b"\x89PNG")
    merged = {**record("lenet_vgg/momentum99", 1, status="diverged", train_loss=[None]), "curves": {}}
    assert "momentum99 (1 seed; diverged, epoch 1)" in texts(plots.draw_curves([merged]))  # as in records.jsonl


def test_generated_data_are_called_so():
    synthetic = record("keypoints/adam", valid_loss=[9, 8], synthetic=True)
    real = record("keypoints/sgd", valid_loss=[9, 8])
    assert any("generated data" in text for text in texts(plots.draw_curves([synthetic])))
    assert "adam: generated data, not a measurement" in texts(plots.draw_curves([synthetic, real]))
    assert not any("generated" in text for text in texts(plots.draw_curves([real])))


def test_many_runs_have_colours_of_their_own():
    fig = plots.draw_curves([record(f"mlp_cnn/mlp-dropout-{i}", valid_loss=[2, 1]) for i in range(12)])
    assert len({tuple(line.get_color()) for line in fig.axes[0].lines}) == 12


def test_runs_of_the_same_name_keep_their_report():
    fig = plots.draw_curves([record("net/adam", valid_loss=[2, 1]), record("keypoints/adam", valid_loss=[3, 1])])
    assert {"net/adam (1 seed)", "keypoints/adam (1 seed)"} <= set(texts(fig)) and "adam (1 seed)" not in texts(fig)


def test_the_same_records_give_the_same_bytes_and_no_rubbish(tmp_path, monkeypatch):
    rec, out = record("keypoints/adam", valid_loss=[9, 8]), tmp_path / "made"
    for name in ("a.png", "b.png"):
        plots.curves([rec], out / name)
    assert (out / "a.png").read_bytes() == (out / "b.png").read_bytes()
    assert b"Software" not in (out / "a.png").read_bytes()  # matplotlib's version would change the bytes
    with monkeypatch.context() as patch:  # a failure while writing leaves the old picture whole
        patch.setattr(Figure, "savefig", lambda self, path, **_: (path.write_bytes(b"half"), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            plots.curves([rec], out / "a.png")
    assert (out / "a.png").read_bytes() == (out / "b.png").read_bytes()
    assert sorted(os.listdir(out)) == ["a.png", "b.png"]
    with pytest.raises(ValueError, match="no records"):
        plots.curves([], tmp_path / "none.png")


def falls(ax):
    """Returns where a panel has lines of a falling learning rate."""
    return [line.get_xdata() for line in lines(ax, "lr falls")]


def test_a_fall_of_the_learning_rate_is_marked_where_all_runs_share_it():
    falling = [record(f"c/{run}", valid_loss=[3, 2, 1, 1], lr=[0.1, 0.1, 0.01, 0.01]) for run in "ab"]
    fig = plots.draw_curves(falling)
    assert falls(fig.axes[0]) == [[2.5, 2.5]] and "learning rate falls" in texts(fig)
    gaps = record("c/gaps", valid_loss=[4, 3, 2, 1, 1], lr=[0.1, None, 0.2, 0.3, 0.01])
    assert falls(plots.draw_curves([gaps]).axes[0]) == [[4.5, 4.5]]  # an unknown rate is no fall, and a rise is none
    often = record("c/often", valid_loss=[3, 2, 1, 1], lr=[0.4, 0.3, 0.2, 0.1])
    assert len(falls(plots.draw_curves([often]).axes[0])) == 3  # one more would be too often
    del often["curves"]["lr"]  # as in a row of results/records.jsonl
    assert not falls(plots.draw_curves([often]).axes[0])
    for lr in ([0.1] * 4, [0.1, 0.05, 0.01, 0.01], [None] * 4):
        fig = plots.draw_curves([*falling, record("c/c", valid_loss=[3, 2, 1, 1], lr=lr)])
        assert not falls(fig.axes[0]) and "learning rate falls" not in texts(fig)
    every = record("c/cosine", valid_loss=[5, 4, 3, 2, 1], lr=[0.5, 0.4, 0.3, 0.2, 0.1])
    assert not falls(plots.draw_curves([every]).axes[0])
    late = plots.draw_curves(falling, last=2)  # it is before the last two epochs
    assert [len(falls(ax)) for ax in late.axes] == [1, 0]


# ---- test accuracy by epoch -----------------------------------------------------------------------------------------

def test_by_epoch_shows_measured_and_reported():
    rec = [by_epochs("net/a", 0.1, 0.2, 0.4), by_epochs("net/a", 0.2, 0.4, 0.6, seed=1),
           by_epochs("net/b", 0.3, 0.5, test_acc=0.9, train_acc=[0, 1])]
    numbers = [printed("net/a", "test_acc", epoch, accuracy)
               for epoch, accuracy in ((3, 0.45), (1, 0.25), (4, 0.5), (2, 0.35))]
    fig = plots.draw_by_epoch(rec, Context(printed=numbers))
    ax, = fig.axes
    assert sorted(line.get_label() for line in ax.lines) == ["net/a reported", "net/a test", "net/b test"]
    line, = lines(ax, "net/a test")
    assert np.allclose(line.get_xydata()[:3], [(1, 15), (2, 30), (3, 50)]) and line.get_linestyle() == "-"
    corners = {(x, round(y, 6)) for path in ax.collections[0].get_paths() for x, y in path.vertices}
    assert len(ax.collections) == 1 and {(1, 10), (1, 20), (3, 40), (3, 60)} <= corners
    told, = lines(ax, "net/a reported")
    assert np.allclose(told.get_xydata(), [(1, 25), (2, 35), (3, 45), (4, 50)]) and told.get_linestyle() == "--"
    assert told.get_color() == line.get_color() != lines(ax, "net/b test")[0].get_color()
    assert told.get_markerfacecolor() == "white"
    shorter = lines(ax, "net/b test")[0].get_ydata()
    assert list(shorter[:2]) == [30, 50] and np.ma.is_masked(shorter[2])
    said = texts(fig)
    once = ("a (2 seeds)", "b (1 seed)", "reported", "test accuracy (%)", "epoch")
    assert [said.count(text) for text in once] == [1] * 5
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_by_epoch_without_reported_values():
    other = Context(printed=[printed("net/a", "train_loss", 2, 1.5)])
    for context in (Context(), other):
        assert "reported" not in texts(plots.draw_by_epoch([by_epochs("net/a", 0.1, 0.2)], context))


def test_by_epoch_has_room_for_all_that_was_reported():
    numbers = [printed("net/b", "test_acc", 1, 0.3), printed("net/b", "test_acc", 12, 0.9)]
    fig = plots.draw_by_epoch([by_epochs("net/a", 0.1, 0.2)], Context(printed=numbers))
    low, high = fig.axes[0].get_xlim()
    assert low < 1 and 12 <= high < 13 and fig.axes[0].get_ylim()[1] > 90
    assert {"a (1 seed)", "b (not measured)"} <= set(texts(fig))


def test_by_epoch_marks_divergence_and_generated_data():
    fig = plots.draw_by_epoch([by_epochs("net/a", 0.3, 0.1, status="diverged", synthetic=True),
                               by_epochs("net/b", 0.3, 0.4)])
    cross, = lines(fig.axes[0], "net/a lost")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 10)
    assert {"a (1 seed; diverged, epoch 2)", "b (1 seed)", "a: generated data, not a measurement"} <= set(texts(fig))


def test_by_epoch_needs_test_accuracies(tmp_path):
    with pytest.raises(ValueError, match="test accuracy by epoch"):
        plots.by_epoch([classes("net/a", test_acc=0.5)], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    fig = plots.draw_by_epoch([classes("net/a"), by_epochs("net/b", 0.3)])
    assert "a (1 seed)" not in texts(fig) and "b (1 seed)" in texts(fig)


# ---- accuracy against a setting -------------------------------------------------------------------------------------

def test_accuracy_against_a_fraction_has_a_line_for_every_series():
    records = []
    for kind, fraction in [("noise", 0), ("noise", 10), ("noise", 30), ("denoise", 0), ("denoise", 10)]:
        for seed in (0, 1):
            accuracy = 0.5 - fraction / 100 + 0.02 * seed + 0.1 * (kind == "denoise")
            records.append(record(f"c/{kind}-{fraction}", seed=seed, valid_loss=[1], test_acc=accuracy))
    values = {f"c/{kind}-{fraction}": fraction / 100 for kind in ("noise", "denoise") for fraction in (30, 0, 10)}
    fig = plots.draw_against(records, values, {"c/noise-10": 0.4, "c/noise-30": 0.3}, "label_noise")
    ax, = fig.axes
    (noise,), (denoise,) = lines(ax, "c/noise mean"), lines(ax, "c/denoise mean")
    assert np.allclose(noise.get_xydata(), [[0, 51], [10, 41], [30, 21]])
    assert np.allclose(denoise.get_xydata(), [[0, 61], [10, 51]])
    measured = [sorted(line.get_ydata()) for line in lines(ax, "c/noise measured")]
    assert measured == [pytest.approx(pair) for pair in ([50, 52], [40, 42], [20, 22])]
    told, = lines(ax, "c/noise reported")
    assert np.allclose(told.get_xydata(), [[10, 40], [30, 30]]) and not lines(ax, "c/denoise reported")
    assert ax.get_xlabel() == "share of train labels drawn anew (%)" and list(ax.get_xticks()) == [0, 10, 30]
    assert ax.get_xscale() == "linear" and ax.get_ylabel() == "test accuracy (%)"
    assert {"noise", "denoise", "measured (2 seeds)", "reported"} <= set(texts(fig))
    assert (told.get_linestyle(), told.get_markerfacecolor()) == ("--", "white")
    assert lines(ax, "c/noise measured")[0].get_markerfacecolor() != "white"


def test_lines_against_a_setting_are_of_the_seeds_that_all_series_have():
    accuracies = {("noise", 0): 0.40, ("noise", 1): 0.20, ("clean", 0): 0.50, ("other", 7): 0.60}
    records = [record(f"c/{kind}-10", seed=seed, valid_loss=[1], test_acc=accuracy)
               for (kind, seed), accuracy in accuracies.items()]
    values = {"c/noise-10": 0.1, "c/clean-10": 0.1}
    ax, = plots.draw_against(records, values, {}, "label_noise").axes
    assert lines(ax, "c/noise mean")[0].get_ydata() == pytest.approx([40])  # and not the mean of both seeds
    assert sorted(lines(ax, "c/noise measured")[0].get_ydata()) == pytest.approx([20, 40])
    ax, = plots.draw_against(records, {**values, "c/other-10": 0.1}, {}, "label_noise").axes
    assert lines(ax, "c/noise mean")[0].get_ydata() == pytest.approx([30])  # no seed is shared


def test_accuracy_against_a_setting_says_what_is_not_measured_and_what_is_generated():
    records = [record("c/noise-10", valid_loss=[1], test_acc=0.4, synthetic=True)]
    records += [record("c/other-10", seed=seed, valid_loss=[1], test_acc=0.9) for seed in (0, 1)]
    fig = plots.draw_against(records, {"c/noise-10": 0.1, "c/denoise-0": 0}, {}, "label_noise")
    ax, = fig.axes
    assert lines(ax, "c/noise mean")[0].get_color() == panels.COLOURS[0]  # it was given first, whatever its value
    assert {"noise: generated data, not a measurement", "denoise (not measured)"} <= set(texts(fig))
    assert "reported" not in texts(fig) and not lines(ax, "c/denoise mean")
    assert "measured (1 seed)" in texts(fig)  # other-10 has no value here


def test_accuracy_against_the_learning_rate_is_on_a_log_axis():
    records = [record(f"c/base-lr-{n}", valid_loss=[1], test_acc=0.4) for n in (5, 10)]
    values = {"c/base-lr-5": 0.005, "c/base-lr-10": 0.01, "c/base-lr-1": 0.001, "c/block-lr-1": 0.001}
    fig = plots.draw_against(records, values, {"c/block-lr-1": 0.43}, "lr")
    ax, = fig.axes
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.001", "0.005", "0.01"]
    assert not ax.get_xticklabels(minor=True)
    assert lines(ax, "c/base-lr mean")[0].get_xdata().tolist() == [0.005, 0.01]
    assert {"base-lr", "block-lr (not measured)"} <= set(texts(fig))
    assert plots.draw_against(records, values, {}, "weight_decay").axes[0].get_xlabel() == "weight decay"
    with pytest.raises(ValueError, match="no record has a test accuracy"):
        plots.draw_against([record("c/base-lr-5", valid_loss=[1])], values, {}, "lr")


# ---- single runs ----------------------------------------------------------------------------------------------------

def test_single_shows_train_valid_test_and_the_best_epoch():
    rec = classes("mlp_cnn/a", n=4, seed=3, valid_acc=[0.1, 0.6, 0.6, 0.5], valid_loss=[3, 2, 1, 2],
                  test_loss=[5, 4, 3, 2], test_acc=0.55)
    rec["curves"]["test_acc"] = [0.1, 0.2, 0.3, 0.4]
    figures = plots.draw_single(rec)
    assert list(figures) == ["loss", "acc"]
    for metric, fig in figures.items():
        ax, = fig.axes
        assert list(lines(ax, "best valid epoch")[0].get_xdata()) == [2, 2]
        assert "mlp_cnn/a, seed 3" in texts(fig)
        drawn = [lines(ax, f"mlp_cnn/a {part}")[0] for part in ("train", "valid", "test")]
        assert len({line.get_color() for line in drawn}) == 3
        assert [line.get_linestyle() for line in drawn] == ["--", "-", ":"]
        said = set(texts(fig))
        assert {"train", "valid", "test by epoch", "best valid epoch (2)"} <= said
        assert ("final test" in said) == (metric == "acc")
        for part, line in zip(("train", "valid", "test by epoch"), drawn):
            key, = [key for key in fig.legends[0].get_lines() if key.get_label() == part]
            assert (key.get_color(), key.get_marker(), key.get_linestyle()) == (
                line.get_color(), line.get_marker(), line.get_linestyle())
        fig.draw_without_rendering()
        legend = fig.legends[0].get_window_extent()
        assert legend.x0 >= 0 and legend.x1 <= fig.bbox.width
    assert list(lines(figures["loss"].axes[0], "mlp_cnn/a test")[0].get_ydata()) == [5, 4, 3, 2]
    assert lines(figures["acc"].axes[0], "mlp_cnn/a final test")[0].get_ydata()[0] == pytest.approx(55)


def test_best_epoch_of_a_run_without_accuracy_has_the_lowest_loss():
    figures = plots.draw_single(record("keypoints/adam", train_loss=[9, 8, 7], valid_loss=[8, 6, 7]))
    assert list(figures) == ["loss"]
    assert lines(figures["loss"].axes[0], "best valid epoch")[0].get_xdata()[0] == 2
    figures = plots.draw_single(record("lenet_vgg/all", train_loss=[9, 8, 7], train_acc=[0.1, 0.2, 0.3]))
    assert list(figures) == ["loss", "acc"] and not lines(figures["loss"].axes[0], "best valid epoch")
    assert not any("best valid epoch" in text for text in texts(figures["loss"]))


def test_single_names_its_files_as_the_report_does(tmp_path):
    paths = plots.single(classes("mlp_cnn/a"), ["mlp", 64, 0.005, 0.5], tmp_path)
    assert paths == [tmp_path / name for name in ("loss_mlp_64_0.005_0.5.png", "acc_mlp_64_0.005_0.5.png")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths) and len(os.listdir(tmp_path)) == 2
    paths = plots.single(record("keypoints/b", train_loss=[9, 8]), ["mlp", 64, 1e-5, None], tmp_path)
    assert [path.name for path in paths] == ["loss_mlp_64_1e-05_0.png"]


def test_single_run_that_diverged_or_saw_generated_data_says_so():
    rec = classes("x/a", n=3, status="diverged", synthetic=True, train_loss=[2, 1e9, None], test_loss=[2, 2, 2])
    fig = plots.draw_single(rec)["loss"]
    fig.draw_without_rendering()
    legend = fig.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= fig.bbox.width  # six keys take two rows
    said = {"x/a, seed 0 (diverged)", "generated data, not a measurement", "diverged or blew up",
            "▲ loss: up to 1e+09"}
    assert said <= set(texts(fig))


# ---- imports --------------------------------------------------------------------------------------------------------

def test_importing_plots_needs_neither_torch_nor_a_backend():
    program = "import sys, plots; print(sorted({'torch', 'train', 'data', 'matplotlib.pyplot'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_legends_say_which_runs_were_made_in_bfloat16():
    full, half = record("a/b", valid=[1.0]), {**record("a/b", seed=1, valid=[1.0]), "precision": "bfloat16"}
    assert panels.note([full]) == " (1 seed)" and panels.note([half]) == " (1 seed; bfloat16)" and panels.note([]) == ""
    assert panels.note([full, half]) == " (2 seeds; bfloat16)" and panels.brief([half]) == " (bfloat16)"
    assert panels.brief([full, half]) == " (1 of 2 bfloat16)" and panels.brief([full]) == ""

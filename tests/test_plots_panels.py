"""plots.py and experiments/panels.py: printed numbers, panels of their own, runs that blew up, on records by hand."""
import numpy as np
import pytest

import plots
from drawing import classes, down, lines, printed, record, texts
from experiments import panels
from experiments.panels import Context


def titles(fig):
    return [ax.get_title("left").strip() for ax in fig.axes if ax.axison]


# ---- what the report printed ----------------------------------------------------------------------------------------

def test_printed_numbers_are_hollow_marks_at_their_epochs():
    rec = classes("x/a", n=5, test_acc=0.5)
    numbers = [printed("x/a", "train_loss", 5, 0.2), printed("x/a", "valid_acc", 2, 0.3, 0.4),
               printed("x/a", "test_acc", 5, 0.6), printed("x/gone", "valid_acc", 2, 0.9)]
    fig = plots.draw_curves([rec], context=Context(printed=numbers))
    loss, accuracy = fig.axes
    mark, = lines(loss, "x/a reported")
    assert mark.get_xydata().tolist() == [[5, 0.2]] and mark.get_markerfacecolor() == "white"
    assert loss.get_ylim()[0] < 0.2  # far below what was measured, and yet in sight
    valid, test = lines(accuracy, "x/a reported")
    assert (valid.get_marker(), test.get_marker()) == ("v", "*")
    assert test.get_markerfacecolor() == "none"  # the measured star may lie below it
    assert np.allclose(valid.get_xydata(), [[2, 35]]) and np.allclose(test.get_xydata(), [[5, 60]])
    bar, = accuracy.collections  # a range
    assert np.allclose(bar.get_segments()[0], [[2, 30], [2, 40]])
    assert {"reported", "final test", "final test, reported"} <= set(texts(fig))
    assert not lines(accuracy, "x/gone reported")


def test_a_printed_number_stands_once_beside_the_report_s_own_run():
    numbers = [printed(run, "valid_acc", 5, number) for run, number in (("x/ours", 0.3), ("x/a", 0.3), ("x/b", 0.4))]
    records = [classes(run, n=5) for run in ("x/ours", "x/a", "x/b")]
    ax = plots.draw_curves(records, context=Context(printed=numbers, ours=("x/ours",))).axes[1]
    assert [len(lines(ax, f"{run} reported")) for run in ("x/ours", "x/a", "x/b")] == [0, 1, 1]
    alone = plots.draw_curves(records[:1], context=Context(printed=numbers, ours=("x/ours",))).axes[1]
    assert len(lines(alone, "x/ours reported")) == 1  # nobody else's stands there


def test_a_printed_loss_that_was_divided_by_the_batch_size_says_so():
    numbers = [printed("x/a", "train_loss", 5, 0.2), printed("x/a", "valid_acc", 2, 0.3)]
    fig = plots.draw_curves([classes("x/a", n=5)], context=Context(printed=numbers, is_divided=True))
    assert {"reported", "reported, times the batch size"} <= set(texts(fig))


@pytest.mark.parametrize("weights, said", [("best", "test, by the weights of the best valid epoch"),
                                           ("final", "final test")])
def test_a_star_says_which_weights_were_scored(weights, said):
    rec = {**classes("x/a", n=5, test_acc=0.5), "test_weights": weights}
    rec["metrics"]["best_epoch"] = 3
    assert said in texts(plots.draw_curves([rec]))


def test_what_was_printed_of_later_epochs_than_a_trial_has_is_left_out(recwarn):
    numbers = [printed("x/a", "valid_acc", epoch, 0.3 + epoch / 100) for epoch in range(1, 13)]
    numbers += [printed("x/a", "train_loss", 12, 0.001), printed("x/a", "test_acc", 12, 0.9)]
    fig = plots.draw_curves([classes("x/a", n=2)], context=Context(printed=numbers))
    fig.draw_without_rendering()
    loss, accuracy = fig.axes
    mark, = lines(accuracy, "x/a reported")
    assert list(mark.get_xdata()) == [1, 2] and not lines(loss, "x/a reported") and loss.get_ylim()[0] > 0.001
    assert not recwarn.list  # matplotlib warns where a figure has no room for its panels


def test_many_printed_numbers_are_joined_by_a_line():
    for count, style in ((3, "None"), (4, "--")):
        numbers = [printed("x/a", "valid_acc", epoch, 0.3) for epoch in range(count, 0, -1)]
        fig = plots.draw_curves([classes("x/a", n=5)], context=Context(printed=numbers))
        mark, = lines(fig.axes[1], "x/a reported")
        assert mark.get_linestyle() == style and list(mark.get_xdata()) == list(range(1, count + 1))


def test_final_scores_of_several_runs_stand_side_by_side_behind_the_curves():
    numbers = [printed(run, "test_acc", 5, 0.5) for run in ("x/a", "x/b")] + [printed("x/a", "valid_acc", 5, 0.3)]
    recs = [classes(run, n=5, test_acc=0.5) for run in ("x/a", "x/b")]
    ax = plots.draw_curves(recs, context=Context(printed=numbers)).axes[1]
    (one,), (other,) = lines(ax, "x/a final test"), lines(ax, "x/b final test")
    assert 5 < one.get_xdata()[0] < other.get_xdata()[0] < ax.get_xlim()[1] and max(ax.get_xticks()) == 5
    told = [line for line in ax.lines if line.get_label().endswith("reported")]
    assert [line.get_xdata()[0] for line in told] == [one.get_xdata()[0]] * 2 + [other.get_xdata()[0]]
    ax = plots.draw_curves(recs[:1], context=Context(printed=numbers)).axes[1]
    assert lines(ax, "x/a final test")[0].get_xdata()[0] == 5 and ax.get_xlim()[1] < 5.5  # one needs no such place


def test_the_same_number_of_two_runs_is_a_ring_around_the_other():
    numbers = [printed(run, "valid_acc", 4, 0.3) for run in ("x/a", "x/b")]
    ax = plots.draw_curves([classes("x/a", n=5), classes("x/b", n=5)], context=Context(printed=numbers)).axes[1]
    (one,), (other,) = lines(ax, "x/a reported"), lines(ax, "x/b reported")
    assert other.get_markersize() > one.get_markersize() and other.get_zorder() < one.get_zorder()


def test_a_loss_with_the_l2_term_has_a_panel_of_its_own():
    rec = classes("x/a", n=3, train_loss=[2, 1, 1], penalty=[0.5, 0.4, 0.3], tail_loss=[1.9, 0.9, 0.8])
    numbers = [printed("x/a", "train_loss+penalty", 1, 2.4), printed("x/a", "tail_loss", 3, 0.7)]
    fig = plots.draw_curves([rec, classes("x/b", n=3)], context=Context(printed=numbers))
    assert titles(fig) == ["loss", "train loss + L2 term", "tail loss", "accuracy (%)"]
    loss, with_term, tail, _ = fig.axes
    assert not lines(loss, "x/a reported") and not lines(with_term, "x/b train")
    assert np.allclose(lines(with_term, "x/a train")[0].get_ydata(), [2.5, 1.4, 1.3])
    assert lines(with_term, "x/a reported")[0].get_xydata().tolist() == [[1, 2.4]]
    assert lines(tail, "x/a reported")[0].get_xydata().tolist() == [[3, 0.7]]
    # A quantity that was not measured has no panel.
    assert titles(plots.draw_curves([classes("x/a")], context=Context(printed=numbers))) == ["loss", "accuracy (%)"]


# ---- panels ---------------------------------------------------------------------------------------------------------

def test_every_kind_of_loss_has_a_panel():
    recs = [classes("x/a"), record("x/b", train_loss=down(0.3, 0.2)),
            record("x/c", train_loss=down(900, 1), valid_loss=down(900, 1))]
    losses = {"x/a": "cross-entropy", "x/b": "triplet loss", "x/c": "cross-entropy"}
    fig = plots.draw_curves(recs, context=Context(losses=losses))
    assert titles(fig) == ["cross-entropy", "train triplet loss", "accuracy (%)"]
    assert lines(fig.axes[0], "x/c train") and not lines(fig.axes[0], "x/b train") and lines(fig.axes[1], "x/b train")
    assert [ax.get_yscale() for ax in fig.axes] == ["log", "log", "linear"]  # one loss needs it: all have it


def test_more_than_three_runs_have_a_panel_for_train_and_one_for_valid():
    recs = [classes(f"x/{i}", end=0.5 + i / 50) for i in range(4)]
    assert titles(plots.draw_curves(recs[:3])) == ["loss", "accuracy (%)"]
    fig = plots.draw_curves(recs)
    assert titles(fig) == ["train loss", "valid loss", "train accuracy (%)", "valid accuracy (%)"]
    train, valid = fig.axes[:2]
    assert train.get_ylim() == valid.get_ylim()
    line, = lines(train, "x/0 train")
    assert line.get_linestyle() == "-" and not lines(train, "x/0 valid") and lines(valid, "x/0 valid")
    assert not {"train", "valid"} & set(texts(fig))  # the titles say it


def test_chance_is_a_line_on_an_axis_from_0_on():
    fig = plots.draw_curves([classes("x/a")], context=Context(chance=10))
    assert fig.axes[1].get_ylim()[0] == 0 and lines(fig.axes[1], "chance")[0].get_ydata()[0] == 10
    assert "chance" in texts(fig) and not lines(fig.axes[0], "chance")
    assert plots.draw_curves([classes("x/a")]).axes[1].get_ylim()[1] < 100


def test_a_loss_that_stands_still_looks_so():
    low, high = plots.draw_curves([record("x/a", train_loss=[2.302, 2.303, 2.302])]).axes[0].get_ylim()
    assert low < 2.2 and high > 2.4


def test_updates_on_the_axis():
    small, large = (classes(f"x/{i}", n=4) | {"steps": steps} for i, steps in enumerate((400, 40)))
    fig = plots.draw_curves([small, large], context=Context(by_update=True))
    ax = fig.axes[0]
    assert list(lines(ax, "x/0 train")[0].get_xdata()) == [100, 200, 300, 400]
    assert list(lines(ax, "x/1 train")[0].get_xdata()) == [10, 20, 30, 40]
    assert (ax.get_xlabel(), ax.get_xscale()) == ("updates", "log")
    low, high = ax.get_xlim()
    assert low < 10 and high > 400


def test_title_and_names_of_the_comparison():
    fig = plots.draw_curves([classes("x/a")], context=Context(title="exp-x: why", names={"x/a": "a = b"}))
    assert {"exp-x: why", "a = b (1 seed)"} <= set(texts(fig))
    long = plots.draw_curves([classes("x/a")], context=Context(title="exp-x: " + "word " * 40))
    long.draw_without_rendering()
    box = long.legends[-1].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= long.bbox.width


@pytest.mark.parametrize("count", [1, 3, 5, 7])
def test_nothing_of_a_figure_overlaps(count):
    recs = [classes(f"x/some-run-{i}", end=0.5 + i / 50, test_acc=0.5) for i in range(count)]
    numbers = [printed(f"x/some-run-{i}", "tail_loss", 2, 1) for i in range(count)]
    recs = [{**r, "curves": {**r["curves"], "tail_loss": [1.0] * 50}} for r in recs]
    title = "exp-x: " + "what is compared " * 9
    fig = plots.draw_curves(recs, context=Context(title=title, printed=numbers, chance=10))
    fig.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in fig.axes if ax.axison] + [box.get_window_extent() for box in fig.legends]
    boxes += [ax.get_legend().get_window_extent() for ax in fig.axes if ax.get_legend()]
    for i, one in enumerate(boxes):
        assert one.x0 >= -1 and one.x1 <= fig.bbox.width + 1
        for other in boxes[i + 1:]:
            assert one.x1 <= other.x0 + 1 or other.x1 <= one.x0 + 1 or one.y1 <= other.y0 + 1 or other.y1 <= one.y0 + 1


# ---- seeds, and runs that blew up -----------------------------------------------------------------------------------

def test_each_seed_has_a_line_where_the_mean_jumps():
    calm = [classes("x/a", seed=seed, n=3, valid_acc=[0.1, 0.2 + 0.1 * seed, 0.4]) for seed in (0, 1)]
    assert not lines(plots.draw_curves(calm).axes[1], "x/a valid seed")
    jumping = [classes("x/a", seed=seed, n=3, valid_acc=accuracies)
               for seed, accuracies in enumerate(([0.1, 0.2, 0.4], [0.4, 0.1, 0.4]))]
    fig = plots.draw_curves(jumping)
    thin = lines(fig.axes[1], "x/a valid seed")
    assert np.allclose([line.get_ydata() for line in thin], [[10, 20, 40], [40, 10, 40]])
    assert "single seeds" in texts(fig) and not lines(fig.axes[0], "x/a valid seed")


def test_a_mean_jumps_where_it_gets_worse_and_the_seeds_lie_apart():
    assert panels.mean_jumps(np.ma.array([[1, 1, 1], [1, 5, 1]]), False)
    assert not panels.mean_jumps(np.ma.array([[1, 5, 1], [1, 5, 1]]), False)  # all seeds do it
    assert not panels.mean_jumps(np.ma.array([[9, 1, 1], [5, 1, 1]]), False)  # it gets better
    assert not panels.mean_jumps(np.ma.array([[1.0], [5.0]]), False)


def test_titles_are_level_where_one_panel_says_what_is_above_it():
    jumping = record("keypoints/a", train_loss=[9, 8, 1e9, 8, 7, 7], valid_loss=[9, 8, 7, 8, 7, 7])
    others = [record(f"keypoints/{i}", train_loss=[9, 8, 7, 7, 7, 7], valid_loss=[9, 8, 7, 7, 7, 7]) for i in range(3)]
    train, valid = plots.draw_curves([jumping, *others]).axes
    assert train.get_title("right") == "▲ a: up to 1e+09" and not valid.get_title("right")
    assert (train.get_title("left"), valid.get_title("left")) == ("train MSE (px²)\n", "valid MSE (px²)\n")


def blown(seed=0, end=30, run="keypoints/adam"):
    loss = [*down(900, 5, end - 1), 1e12]
    rec = record(run, seed=seed, train_loss=loss, valid_loss=[1.2 * x for x in loss])
    return {**rec, "blew_up": end, "epochs": 60}


def test_a_run_that_blew_up_ends_there_with_a_cross_and_does_not_set_the_axis():
    fig = plots.draw_curves([blown(), blown(1, 40), record("keypoints/sgd", train_loss=down(900, 30, 60))])
    ax, = fig.axes
    assert len(lines(ax, "keypoints/adam train")) == 2  # a line for every seed, and no mean of what is left
    crosses = lines(ax, "keypoints/adam lost")
    assert [cross.get_xdata()[0] for cross in crosses] == [30, 40] and ax.get_ylim()[1] < 2000
    assert not lines(ax, "keypoints/adam above the axis")
    assert {"adam (2 seeds; seed 0 blew up, epoch 30; seed 1 blew up, epoch 40)", "sgd (1 seed)"} <= set(texts(fig))


def test_the_last_epochs_are_those_before_the_last_run_blew_up():
    fig = plots.draw_curves([blown(), blown(1, 40)], last=10)
    assert titles(fig) == ["MSE (px²)", "MSE (px²), epochs 31–40, until the last run blew up"]
    whole, last = fig.axes
    assert 30 < last.get_xlim()[0] <= 31 and last.get_xlim()[1] < 41 and whole.get_xlim()[1] > 60
    assert any(np.ma.count(line.get_ydata()) for line in lines(last, "keypoints/adam valid"))
    with_end = plots.draw_curves([blown(), record("keypoints/sgd", train_loss=down(900, 30, 60))], last=10)
    assert titles(with_end)[1] == "MSE (px²), last 10 epochs"


def test_one_curve_shines_out_from_under_the_same_one():
    fig = plots.draw_curves([blown(), blown(run="keypoints/adam-sgd"), blown(end=40, run="keypoints/other")])
    under, over = (lines(fig.axes[0], f"keypoints/{run} train")[0] for run in ("adam", "adam-sgd"))
    assert under.get_linewidth() > 2 * over.get_linewidth() and under.get_zorder() < over.get_zorder()
    assert "adam-sgd (1 seed; blew up, epoch 30), up to there the same as adam" in texts(fig)
    assert "other (1 seed; blew up, epoch 40)" in texts(fig)


# ---- runs that differ in one setting --------------------------------------------------------------------------------

def test_a_panel_for_every_group_with_the_printed_trace_once():
    recs = [classes(f"x/{net}-{lr}", n=3, penalty=[1, 1, 1], train_loss=[2, 1.5, 1 / lr])
            for net in "ab" for lr in (1, 2)]
    groups = [[f"x/{net}-{lr}" for lr in (1, 2)] for net in "ab"]
    values = {f"x/{net}-{lr}": f"lr {lr}" for net in "ab" for lr in (1, 2)}
    numbers = [printed(run, "train_loss+penalty", epoch, 2) for run in groups[0] for epoch in (1, 2, 3)]
    fig = plots.draw_apart(recs, groups, values, Context(printed=numbers))
    assert titles(fig) == ["a-1:\ntrain loss", "b-1:\nvalid loss", "a-1:\nvalid accuracy (%)",
                           "b-1:\nvalid accuracy (%)"]
    loss = fig.axes[0]
    told = [line for line in loss.lines if line.get_label().endswith("reported")]
    assert len(told) == 1 and told[0].get_color() == "black" and list(told[0].get_xdata()) == [1, 2, 3]
    one, other = lines(loss, "x/a-1 with L2 term")[0], lines(loss, "x/a-2 with L2 term")[0]
    assert np.allclose(one.get_ydata(), np.array(recs[0]["curves"]["train_loss"]) + 1)
    assert one.get_color() == lines(fig.axes[1], "x/b-1 valid")[0].get_color() != other.get_color()
    assert {"lr 1", "lr 2", "train loss with L2 term", "reported"} <= set(texts(fig))
    both = [*numbers, printed("x/a-1", "train_loss", 1, 2)]  # nobody knows which of the two was printed
    loss = plots.draw_apart(recs, groups, values, Context(printed=both)).axes[0]
    styles = [lines(loss, f"x/a-1 {part} L2 term")[0].get_linestyle() for part in ("with", "without")]
    assert styles == ["-", ":"]


@pytest.mark.parametrize("loss, said", [(9_712.3, "9,712"), (1e8, "1e+08"), (12.345, "12.3")])
def test_how_high_a_loss_goes(loss, said):
    assert panels.as_height(loss) == said

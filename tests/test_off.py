"""Printed numbers that are off: what would be printed so, how many deviations, which runs stand in the table."""
import math

import pytest

from experiments import off
from experiments.declarations import Wanted


def record(run, seed, metrics=(), status="finished", **curves):
    return {"run": f"net/{run}", "seed": seed, "status": status, "metrics": dict(metrics), "curves": curves}


def declared(**want):
    """Runs a, b of the report and one of ours, c, each with this want line."""
    runs = {name: "--act relu" for name in ("net/a", "net/b", "net/c")}
    return {"run": runs, "alias": {}, "want": {f"net/{name}": line for name, line in want.items()},
            "exp": {"first": ["net/a", "net/b"], "second": ["net/a", "net/c"]},
            "about": {"first": "Two.", "second": "Ours: a third."}}


def table(found, **want):
    return [[str(cell) for cell in row] for row in off.rows(declared(**want), "net", found)]


def accuracies(run, *numbers):
    return [record(run, seed, {"test_acc": x}) for seed, x in enumerate(numbers)]


@pytest.mark.parametrize("report, word, low, high", [
    ("net", "test_acc=0.65", 0.645, 0.655), ("net", "train_loss=0.779", 0.7785, 0.7795),
    ("net", "valid_loss=6", 5.5, 6.5),
    ("net", "test_acc=0.7480", 0.74795, 0.74805), ("net", "train_loss=1.209..1.211", 1.2085, 1.2115),
    ("lenet_vgg", "valid_acc=0.85", 0.85, 0.86), ("lenet_vgg", "valid_acc=0.64..0.65", 0.64, 0.66),
    ("lenet_vgg", "train_loss/4@1=0.563", 0.5625, 0.5635)])
def test_what_would_be_printed_so(report, word, low, high):
    quantity, _, text = word.partition("=")
    assert off.printed_range(report, Wanted(quantity, None, text)) == pytest.approx((low, high))


def test_what_lies_more_than_two_deviations_beyond_is_off():
    """Of 65 %, 64.5 is printed so; deviations of one point."""
    (row,) = table(accuracies("a", 0.60, 0.61, 0.62), a="test_acc=0.65")
    name, words, printed, measured, seeds, times, many = row
    assert (name, words, printed, measured, seeds) == ("a", "test acc", "65 %", "61.0 ± 1.0 %", "3")
    assert times == "3.5" and many == "1 of 1"
    assert table(accuracies("a", 0.615, 0.625, 0.635), a="test_acc=0.65") == []  # exactly two
    assert table(accuracies("a", 0.60, 0.65, 0.70), a="test_acc=0.65") == []
    assert table([], a="test_acc=0.65") == []


def test_a_single_seed_is_measured_by_the_deviations_of_the_others():
    found = [*accuracies("a", 0.50), *accuracies("b", 0.60, 0.61, 0.62)]
    (row,) = table(found, a="test_acc=0.65", b="test_acc=0.61")
    assert row[0] == "a" and row[5] == "14.5 *"
    assert table(accuracies("a", 0.50), a="test_acc=0.65") == []  # nobody knows how far that is


def test_of_several_epochs_the_worst_is_shown_and_all_are_counted():
    found = [record("a", seed, test_acc=[0.3 + seed / 100, 0.5 + seed / 100, 0.9]) for seed in range(3)]
    (row,) = table(found, a="test_acc@1=0.40 test_acc@2=0.51 test_acc@3=0.90")
    assert row[1] == "test acc, epoch 1" and row[6] == "1 of 3" and row[2] == "40 %"


def test_of_two_quantities_of_which_one_was_printed_the_nearer_one_counts():
    found = [record("a", seed, train_loss=[2.0 + seed / 100], penalty=[1.0]) for seed in range(3)]
    assert table(found, a="train_loss/4@1=0.753 train_loss+penalty/4@1=0.753") == []
    (row,) = table(found, a="train_loss/4@1=0.650 train_loss+penalty/4@1=0.650")
    assert row[1] == "loss + L2 ÷ 4, epoch 1" and float(row[5]) > 30


def test_runs_of_ours_stand_below_the_run_whose_numbers_they_have():
    found = [*accuracies("a", 0.50, 0.51), *accuracies("b", 0.65, 0.64), *accuracies("c", 0.65, 0.66)]
    want = "test_acc=0.65"
    assert [row[0] for row in table(found, a=want, b=want, c=want)] == ["a", "– c"]
    assert [row[0] for row in table(found, a=want, c="test_acc=0.66")] == ["a"]
    assert [row[0] for row in table(found, a=f"{want} train_loss=1", c=want)] == ["a", "– c"]  # numbers of this kind
    assert table(accuracies("c", 0.1, 0.11), c=want) == []  # ours alone is nobody's number


def test_runs_that_diverge_or_should():
    diverged = [record("a", seed, {"test_acc": None}, "diverged", train_loss=[None]) for seed in range(3)]
    (row,) = table(diverged, a="test_acc=0.65")
    assert row[3] == "diverged" and row[5] == "–" and row[4] == "3"
    assert table(diverged, a="train_loss@1=nan") == []
    (row,) = table([record("a", seed, train_loss=[2.1 + seed]) for seed in range(2)], a="train_loss@1=nan")
    assert row[2] == "nan" and row[6] == "1 of 1"


def test_hundreds_of_deviations_are_said_as_such():
    """As where a net learns nothing in any seed."""
    (row,) = table(accuracies("a", 0.1000, 0.1001), a="test_acc=0.65")
    assert row[5] == "over 100"
    (row,) = table(accuracies("a", 0.1, 0.1), a="test_acc=0.65")
    assert row[5] == "–" and math.isinf(off.compared("net", Wanted("test_acc", None, "0.65"),
                                                     accuracies("a", 0.1, 0.1)).times(None))


def test_report_1s_valid_loss_is_compared_with_that_of_the_best_epoch():
    """After a jump the last epoch scatters so much that nothing would be off."""
    metrics = [{"valid_loss": 9.0, "best_valid_loss": 9.0}, {"valid_loss": 900.0, "best_valid_loss": 9.2}]
    of_faces = {name: {f"keypoints/{run}": line for run, line in (("a", "valid_loss=6"), ("c", "valid_loss=6"),
                                                                  ("d", "valid_loss=7"))}
                for name in ("run", "want")}
    of_faces |= {"alias": {}, "exp": {"first": ["keypoints/a"], "second": [f"keypoints/{run}" for run in "acd"]},
                 "about": {"first": "Two.", "second": "Ours: two."}}
    found = [{**record("", seed, metrics[seed]), "run": f"keypoints/{run}"} for run in "acd" for seed in (0, 1)]
    (row, of_ours) = off.rows(of_faces, "keypoints", found)
    assert row[:4] == ["a", "valid loss (best epoch)", "6", "9.100 ± 0.141"] and of_ours[0] == "– c"


def test_nets_that_learned_nothing_are_no_yardstick():
    stuck = [{**one, "data": {"name": "cifar10"}} for one in accuracies("b", 0.1000, 0.1001, 0.1002)]
    found = [*accuracies("a", 0.60), *stuck]
    assert [row[0] for row in table(found, a="test_acc=0.65", b="test_acc=0.10")] == []
    learning = [*accuracies("a", 0.60), *accuracies("b", 0.59, 0.60, 0.61)]
    assert [row[0] for row in table(learning, a="test_acc=0.65", b="test_acc=0.60")] == ["a"]


def test_each_run_counts_once_for_the_yardstick():
    """Of a, with two epochs printed, the median deviation is a point; of b three points: the median of both is two."""
    found = [record("a", seed, test_acc=[0.30 + seed / 100, 0.50 + seed / 100]) for seed in range(3)]
    found += accuracies("b", 0.57, 0.60, 0.63)
    numbers = {f"net/{run}": off.of_run(declared(a="test_acc@1=0.3 test_acc@2=0.5", b="test_acc=0.6"), f"net/{run}",
                                        found) for run in "ab"}
    assert off.usual_deviations(numbers, found) == {"test_acc": pytest.approx(0.02)}


def test_a_run_of_ours_that_no_comparison_has_beside_it_stands_for_nothing():
    found = [*accuracies("b", 0.50, 0.51), *accuracies("c", 0.65, 0.66)]
    want = "test_acc=0.65"
    assert [row[0] for row in table(found, b=want, c=want)] == ["b"]


def test_the_range_of_two_ends_has_the_finer_unit():
    assert off.printed_range("caltech35", Wanted("train_acc", None, "0..0.05")) == pytest.approx((-0.005, 0.055))

"""experiments/prepared.py: titles, printed numbers, second names, where a run blew up; on declarations by hand."""
import pytest

from drawing import classes, down, printed, record
from experiments import declarations, prepared

# ---- records --------------------------------------------------------------------------------------------------------


def test_a_run_ends_where_its_loss_left_for_good():
    losses = [900, 40, 6, 70, 5, 8, 1e12, 1e9, 1e6, 1e4, 1e4, 1e4]  # the jump to 70 was not for good
    rec = record("keypoints/adam", train_loss=losses, valid_loss=down(900, 5, 12))
    cut = prepared.until_blow_up(rec)
    assert cut["blew_up"] == 7 and cut["curves"]["train_loss"] == losses[:7] and cut["curves"]["epoch"][-1] == 7
    assert len(cut["curves"]["valid_loss"]) == 7 and len(rec["curves"]["train_loss"]) == 12 and cut["epochs"] == 12


@pytest.mark.parametrize("losses, status", [
    ([900, 40, 6, 1e12, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6], "finished"),  # it came back
    ([3, 4, 5, 6, 7, 8, None], "diverged"),  # never ten times the smallest
    ([2, 1, 500, 2, None], "diverged"), ([None], "diverged"), ([2, 1], "unfinished")])
def test_a_run_whose_loss_did_not_leave_stays_whole(losses, status):
    rec = record("net/a", train_loss=losses, status=status)
    assert prepared.until_blow_up(rec) is rec


def test_two_names_of_one_training_share_a_line():
    declared = {"alias": {"a/second": "a/first", "a/alone": "a/elsewhere"}}
    found = [classes("a/first", seed=1), classes("a/first", seed=0), classes("a/elsewhere"), classes("a/other")]
    ours, called = prepared.shared(declared, ["a/second", "a/first", "a/alone"], found)
    assert [(r["run"], r["seed"]) for r in ours] == [("a/second", 0), ("a/second", 1), ("a/alone", 0)]
    assert called == {"a/second": "second = first"} and found[0]["run"] == "a/first"
    # Whoever copies records under their second names before gets the same.
    copies = [{**found[2], "run": "a/alone"}]
    assert prepared.shared(declared, ["a/alone"], copies)[0] == copies
    assert prepared.shared({}, ["a/other"], found) == ([found[3]], {})


# ---- printed numbers ------------------------------------------------------------------------------------------------

def test_printed_losses_are_multiplied_back_and_keep_what_is_in_them():
    declared = {"run": {"a/b": "--epochs 10 --lr 1", "a/c": "--epochs 3"},
                "want": {"a/b": "train_loss/4@1=0.5 train_loss+penalty/4=0.25 tail_loss=2.0 valid_acc@10=0.7..0.8 "
                                "valid_acc=0.75 train_loss/4@2=nan"}}
    assert prepared.printed_of(declared, ["a/b", "a/c"]) == (
        printed("a/b", "train_loss", 1, 2), printed("a/b", "train_loss+penalty", 10, 1),
        printed("a/b", "tail_loss", 10, 2), printed("a/b", "valid_acc", 10, 0.7, 0.8))


def test_everything_that_is_declared_can_be_read():
    declared = declarations.declarations()
    numbers = prepared.printed_of(declared, declared["want"])
    assert {number.run for number in numbers} | {"lenet_vgg/momentum99"} == set(declared["want"])
    assert all(number.epoch > 0 and 0 <= number.low <= number.high for number in numbers)


# ---- the whole ------------------------------------------------------------------------------------------------------

def context(flags, *ours, about="What it asks."):
    declared = {"run": flags, "want": {}, "about": {"x": about}, "exp": {"x": list(flags)}}
    return prepared.context_of(declared, "x", list(flags), list(ours))


def test_losses_have_names_where_they_differ():
    flags = {"a/b": "--loss square", "a/c": "", "a/d": "--loss triplet-euclid", "a/e": "--loss mean-square"}
    assert context(flags).losses == {"a/b": "sum of squares", "a/c": "cross-entropy", "a/d": "triplet loss",
                                     "a/e": "mean of squares"}
    assert context({"a/b": "", "a/c": "--lr 1"}).losses == {}


def test_updates_are_the_axis_where_batches_of_one_net_are_compared():
    steps = {**classes("a/b"), "steps": 100}
    same, several = {"a/b": "--model n --batch-size 4"}, {"a/c": "--model n --batch-size 8"}
    other = {"a/c": "--model other --batch-size 8"}
    assert context(same | several, steps).by_update
    assert not context(same, steps).by_update and not context(same | other, steps).by_update
    assert not context(same | several, steps, classes("a/c")).by_update  # of a run under way nobody knows its updates


def test_chance_is_shown_where_a_run_is_near_it_and_for_lenet():
    cifar, photographs = {"a/b": "--model n --data cifar10"}, {"a/b": "--model n --data caltech35"}
    assert context(cifar, classes("a/b", 0.15)).chance == 10
    assert context(cifar, classes("a/b", 0.25)).chance is None
    assert context(photographs, classes("a/b", 0.05)).chance == pytest.approx(100 / 35)
    assert context({"a/b": "--model lenet5 --data cifar10"}, classes("a/b", 0.9)).chance == 10
    assert context({"a/b": "--data faces21"}, record("a/b", valid_loss=[1])).chance is None


@pytest.mark.parametrize("about, title", [
    ("Mirrored images.", "exp-x: Mirrored images"), ("", "exp-x"),
    ("Ours: is it so? " + "And a long sentence more. " * 9, "exp-x: Ours: is it so?")])
def test_titles_name_the_comparison(about, title):
    assert context({"a/b": ""}, about=about).title == title

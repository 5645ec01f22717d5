"""Words and numbers as a reader wants them."""
import pytest

from by_hand import record
from experiments import words


def test_printed_numbers_as_a_reader_wants_them():
    assert words.shown_wants("valid_loss=6") == "valid loss 6"
    assert words.shown_wants("tail_loss=0.512..0.547 test_acc=0.68..0.69 valid_acc@10=0.8") == (
        "tail loss 0.512–0.547; test acc 68–69 %; valid acc 80 % at epoch 10")
    assert words.shown_wants("valid_acc@10=0.8 valid_acc@20=0.83") == "valid acc 80, 83 % at epochs 10, 20"
    assert words.shown_wants("test_acc=0.545 test_loss=1.43") == "test acc 54.5 %, test loss 1.43"
    assert words.shown_wants("test_acc=0.5 test_acc@1=0.1 test_acc@2=0.2 test_acc@3=0.3 test_acc@4=0.5") == (
        "test acc 50 %")


def test_what_was_printed_of_one_of_two_quantities_is_said_once():
    both = "train_loss/4@1=0.563 train_loss/4@2=0.5 train_loss+penalty/4@1=0.563 train_loss+penalty/4@2=0.5"
    assert words.shown_wants(both) == "loss ÷ 4 or loss + L2 ÷ 4 0.563, 0.5 at epochs 1, 2"
    assert words.shown_wants("train_loss/4@1=nan train_loss+penalty/4@1=0.5") == (
        "loss ÷ 4 nan at epoch 1; loss + L2 ÷ 4 0.5 at epoch 1")


@pytest.mark.parametrize("metric, head", [
    ("test_acc", "test acc %"), ("train_acc", "train acc % (running)"), ("train_acc_eval", "train acc % (eval)"),
    ("late_train_acc", "train acc % (running) late"), ("best_valid_loss", "valid loss (best epoch)"),
    ("train_loss", "train loss"), ("train_loss/4", "loss ÷ 4"), ("train_loss+penalty/batch", "loss + L2 ÷ batch"),
    ("tail_loss+penalty", "tail loss + L2")])
def test_heads_of_columns(metric, head):
    assert words.heading(metric) == head


def test_the_mean_and_sample_deviation_over_the_seeds():
    three = [record("a/b", seed=seed, valid=[9.0, loss], test_acc=accuracy)
             for seed, (loss, accuracy) in enumerate(((6.0, 0.5), (7.0, 0.6), (11.0, 0.61)))]
    assert words.measured(three, "valid_loss") == "8.000 ± 2.646"  # the median is 7
    assert words.measured(three, "test_acc") == "57.0 ± 6.1 %"  # the median is 60
    assert words.in_cell(three, "test_acc") == "57.0 ± 6.1"
    assert words.measured(three, "valid_loss@1") == "9.000 ± 0.000"
    assert words.measured(three[:1], "valid_loss") == "6.000" and words.measured(three[:1], "test_acc") == "50.0 %"
    large = [record("a/b", valid=[loss]) for loss in (20.0, 31.0)]
    assert words.measured(large, "valid_loss") == "25.5 ± 7.8"
    huge = [record("a/b", valid=[loss]) for loss in (1e8, 2e8)]
    assert words.measured(huge, "valid_loss") == "1.5e+08 ± 7.07e+07"


def test_what_was_not_measured_is_a_dash_and_what_diverged_nan():
    one, dead = record("a/b", valid=[9.0]), record("a/b", status="diverged", train=[None])
    assert words.measured([one], "test_acc") == "–" and words.measured([], "test_acc") == "–"
    assert words.measured([dead], "train_loss/4@1") == "nan" and words.measured([one, dead], "test_acc") == "–"
    assert words.measured([one, dead], "valid_loss") == "9.000"


def test_differences_are_taken_seed_by_seed():
    ours = [record("a/x", seed=seed, test_acc=accuracy) for seed, accuracy in ((0, 0.6), (1, 0.8), (2, 0.9))]
    base = [record("a/y", seed=seed, test_acc=accuracy) for seed, accuracy in ((1, 0.7), (0, 0.55), (3, 0.1))]
    differences = words.paired(ours, base, "test_acc")
    assert differences == [pytest.approx(0.05), pytest.approx(0.1)]  # neither 2 nor 3 is in both
    assert words.signed("test_acc", differences) == "+7.5 ± 3.5" and words.signed("test_acc", [-0.05]) == "-5.0"
    assert words.signed("valid_loss", [-0.25]) == "-0.250"
    assert words.signed("valid_loss", [20.0, -20.5]) == "-0.2 ± 28.6"
    assert words.signed("test_acc", [0.0001, -0.0001]) == "0.0 ± 0.0" and words.signed("test_acc", []) == "–"


def test_what_a_net_was_asked_for():
    asked = {**record("a/b", train_acc=0.9), "described": {"confusion": {"train": [[3, 1], [1, 5]]}, "spread": 0.4}}
    assert words.number_of(asked, "train_acc_eval") == 0.8 and words.number_of(asked, "train_acc") == 0.9
    assert words.number_of(asked, "spread") == 0.4 and words.number_of(record("a/b"), "spread") is None
    assert words.number_of(record("a/b"), "train_acc_eval") is None
    cleaned = {**record("a/b"), "data": {"dropped": 8, "dropped_noisy": 6}}
    assert words.measured([cleaned], "noisy_share") == "75.0 %"
    assert words.measured([record("a/b")], "noisy_share") == "–"


def test_a_table_is_aligned_markdown():
    assert words.markdown(["a", "long"], [["much", 1], ["x", "–"]]) == (
        "| a    | long |\n|------|------|\n| much | 1    |\n| x    | –    |")


def test_where_numbers_come_from_is_one_sentence():
    def on(device, torch):
        return {**record("a/b"), "versions": {"device": device, "torch": torch}, "data": {"source": "photographs"}}

    assert words.made_on([on("EPYC", "2.11"), on("A100", "2.11")]) == (
        "Measured on A100, EPYC with torch 2.11; data: photographs.")


def test_a_legend_explains_what_is_there_and_nothing_else():
    assert words.legend(["| test acc % measured |\n| 5.0 |"]) == []
    assert words.legend(["| Δ points | late"]) == [
        "Δ is the difference to the first row, over the seeds that both have.",
        "late: the median of the last 10 epochs."]
    assert len(words.legend(["1 ± 2", "(best epoch; blew up)"])) == 2

"""Tables of a comparison: what changed, what was printed, what was measured, and what stands below."""
import pytest

from by_hand import record
from experiments import tables


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def declared(runs, plots=(), want=None, name="x"):
    """Declarations of one comparison. runs: {run: flags}."""
    return {"exp": {name: list(runs)}, "plots": {name: list(plots) or ["curves"]}, "run": runs, "want": want or {},
            "about": {name: ""}}


def columns(of, found, *heads):
    """The columns with these heads, {run: [cell, ...]}."""
    head, _, *rows = cells(tables.parts(of, "x", found)[0][1])
    return {row[0]: [row[head.index(name)] for name in heads] for row in rows}


def head_of(of, found):
    return cells(tables.parts(of, "x", found)[0][1])[0]


# ---- the table of a comparison --------------------------------------------------------------------------------------

def test_a_row_says_what_changed_what_was_printed_and_what_was_measured():
    of = declared({"a/x": "--lr 1", "a/y": "--lr 2 --flip", "a/z": "--lr 3", "a/none": "--lr 4"},
                  want={"a/x": "test_acc=0.5..0.52 train_loss=1.2", "a/none": "test_acc=0.1"})
    found = [record("a/x", seed=seed, train=[2.0, 1.0], test_acc=0.4 + seed / 10, train_acc=0.9, valid_acc=None)
             for seed in (0, 1)]
    found += [record("a/y", status="diverged", train=[None]), record("b/other", test_acc=0.9, train_acc=0.9)]
    found += [record("a/z", train=[1.0], test_acc=0.3, train_acc=None)]
    head, _, *rows = cells(tables.parts(of, "x", found)[0][1])
    assert head == ["run", "what changed", "test acc % reported", "test acc % measured", "Δ points",
                    "train loss reported", "train loss measured", "train acc % (running)", "seeds"]
    assert rows == [
        ["x", "–", "50–52", "45.0 ± 7.1", "–", "1.2", "1.000 ± 0.000", "90.0 ± 0.0", "2"],
        ["y", "flip, lr 2", "–", "nan (blew up)", "–", "–", "nan", "nan", "1, 1 diverged"],
        ["z", "lr 3", "–", "30.0", "-10.0", "–", "1.000", "–", "1"],
        ["none", "lr 4", "10", "not run", "–", "–", "–", "–", "0"]]


def test_what_leads_is_what_the_report_printed_if_it_can_be():
    found = [record("a/x", test_acc=0.4, valid_acc=0.5, train_acc=0.9)]
    runs = {"a/x": ""}
    assert head_of(declared(runs), found)[2:4] == ["test acc % measured", "Δ points"]
    of_valid = declared(runs, want={"a/x": "valid_acc=0.6"})
    assert head_of(of_valid, found)[2:6] == ["valid acc % reported", "valid acc % measured", "Δ points", "test acc %"]
    both = declared(runs, want={"a/x": "valid_acc=0.6 test_acc=0.5"})
    assert head_of(both, found)[2:5] == ["test acc % reported", "test acc % measured", "Δ points"]
    untested = [record("a/x", train_acc=0.9, valid_acc=0.8)]
    assert head_of(declared(runs), untested)[2:] == [
        "valid acc % measured", "Δ points", "train acc % (running)", "seeds"]


def test_landmarks_have_losses():
    faces = [record("a/x", valid=[9.0, 8.0], train=[7.0, 6.0], best_valid_loss=8.0, valid_loss_turned=11.0)]
    of = declared({"a/x": "--model keypoint --data faces21"})
    head, _, row = cells(tables.parts(of, "x", faces)[0][1])
    assert head[2:] == ["valid loss measured", "Δ valid loss", "valid loss late", "train loss late",
                        "valid loss (best epoch)", "valid loss turned", "seeds"]
    assert row[2:] == ["8.000", "–", "8.500", "6.500", "8.000", "11.0", "1"]
    assert "squared errors in px²" in tables.table(of, "x", faces)


def test_train_accuracy_says_in_which_mode_it_is():
    found = [{**record("a/x", test_acc=0.4, train_acc=0.9), "described": {"confusion": {"train": [[3, 1], [0, 4]]}}}]
    of = declared({"a/x": ""}, want={"a/x": "train_acc=0..0.05"})
    found_columns = columns(of, found, "train acc % reported", "train acc % (running) measured", "train acc % (eval)")
    assert found_columns == {"x": ["0–5", "90.0", "87.5"]}
    assert "train acc % (eval)" not in head_of(of, [record("a/x", test_acc=0.4, train_acc=0.9)])


def test_a_run_that_blew_up_is_led_by_its_best_epoch():
    of = declared({"a/x": "--data faces21 --model keypoint", "a/y": "--data faces21 --model keypoint --lr 1"})
    calm = [record("a/x", seed=seed, train=[5.0, 4.0], valid=[6.0, 5.0], best_valid_loss=4.5) for seed in (0, 1)]
    blown = [record("a/y", seed=seed, train=[5.0, last], valid=[6.0, last], best_valid_loss=3.0)
             for seed, last in ((0, 1e8), (1, 4.0))]
    heads = "valid loss measured", "Δ valid loss"
    assert columns(of, calm + blown, *heads)["y"] == ["3.000 ± 0.000 (best epoch; 1 of 2 blew up)",
                                                      "-1.500 ± 0.000 (best epochs)"]
    assert columns(of, calm + blown[:1], *heads) == {"x": ["5.000 ± 0.000", "–"],
                                                     "y": ["3.000 (best epoch; blew up)", "-1.500 (best epochs)"]}
    assert "A run blew up if" in tables.table(of, "x", calm + blown)
    assert "A run blew up if" not in tables.table(of, "x", calm)


def test_where_a_blown_up_run_has_no_best_test_score_valid_stands_for_it():
    of = declared({"a/x": "", "a/y": "--lr 1"}, want={"a/x": "test_acc=0.5"})
    blown = record("a/y", train=[5.0, 1e8], test_acc=0.1, best_valid_acc=0.45)
    base = record("a/x", train=[5.0, 4.0], test_acc=0.5, best_valid_acc=0.4)
    heads = "test acc % measured", "Δ points"
    assert columns(of, [base, blown], *heads)["y"] == ["45.0 (valid, best epoch; blew up)", "+5.0 (best epochs)"]
    of_best = [{**row, "test_weights": "best"} for row in (base, blown)]
    assert columns(of, of_best, *heads)["y"] == ["10.0 (best epoch; blew up)", "-40.0"]
    no_valid = {**blown, "metrics": {**blown["metrics"], "best_valid_acc": None}}
    assert columns(of, [base, no_valid], *heads)["y"][0] == "10.0 (blew up)"


def test_a_printed_loss_stands_beside_both_quantities_that_it_may_be():
    """Batch 4: the loss and, apart, its L2 term are divided by 4."""
    both = "train_loss/4@1=0.5 train_loss/4@10=0.4 train_loss+penalty/4@1=0.5 train_loss+penalty/4@10=0.4"
    printed = {"a/both": both,
               "a/one": "train_loss+penalty/4@1=0.6 train_loss+penalty/4@10=0.3 valid_acc=0.6"}
    of = declared({"a/both": "", "a/one": "--flip", "a/none": "--lr 1"}, want=printed)
    curves = {"epoch": list(range(1, 11)), "penalty": [0.4] * 10, "valid_acc": [0.5] * 10}
    found = [record(run, train=[2.0, *[1.8] * 8, 1.6], curves=curves, train_acc=0.5, valid_acc=0.5)
             for run in of["run"]]
    head = head_of(of, found)
    assert head[2:11] == ["valid acc % reported", "valid acc % measured", "Δ points", "loss reported @1",
                          "loss ÷ 4 @1", "loss + L2 ÷ 4 @1", "loss reported @end", "loss ÷ 4 @end",
                          "loss + L2 ÷ 4 @end"]
    rows = columns(of, found, *head[5:11])
    assert rows["both"] == ["0.5", "0.500", "0.600", "0.4", "0.400", "0.500"]
    assert rows["one"] == ["0.6", "", "0.600", "0.3", "", "0.500"]  # nothing beside what it is not
    assert rows["none"] == ["–", "0.500", "0.600", "–", "0.400", "0.500"]
    text = tables.table(of, "x", found)
    assert "it stands beside both" in text and "@1 is after epoch 1" in text


def test_runs_of_other_batch_sizes_share_the_columns_of_printed_losses():
    of = declared({"a/x": "--batch-size 4", "a/y": "--batch-size 128"},
                  want={"a/x": "train_loss/4@10=0.5", "a/y": "train_loss/128@10=0.02"})
    found = [record(run, train=[2.56] * 10, train_acc=0.5, valid_acc=0.5) for run in of["run"]]
    assert columns(of, found, "loss reported", "loss ÷ batch") == {"x": ["0.5", "0.640"], "y": ["0.02", "0.020"]}


def test_the_first_epoch_and_the_end_are_in_the_table_and_the_others_below_it():
    of = declared({"a/x": "--epochs 4", "a/y": "--epochs 4 --lr 1", "a/short": "--epochs 1"},
                  want={"a/x": " ".join(f"valid_acc@{epoch}=0.{epoch}..0.{epoch}5" for epoch in (1, 2, 3, 4)),
                        "a/y": "valid_acc=0.6", "a/short": "valid_acc@1=0.1"})
    curves = {"epoch": [1, 2, 3, 4], "valid_acc": [0.15, 0.2, 0.3, 0.4]}
    found = [record(run, seed=seed, curves=curves, valid_acc=0.4 + seed / 10, train_acc=0.9)
             for run in ("a/x", "a/y") for seed in (0, 1)]
    found += [record("a/short", curves={"epoch": [1], "valid_acc": [0.2]}, valid_acc=0.2, train_acc=0.9)]
    heads = ["valid acc % reported @end", "valid acc % measured @end", "Δ points", "valid acc % reported @1",
             "valid acc % measured @1"]
    assert head_of(of, found)[2:7] == heads
    assert columns(of, found, *heads) == {
        "x": ["40–45", "45.0 ± 7.1", "–", "10–15", "15.0 ± 0.0"],
        "y": ["60", "45.0 ± 7.1", "0.0 ± 0.0", "–", "15.0 ± 0.0"],
        "short": ["", "", "-20.0", "10", "20.0"]}  # its first epoch is its last
    (summary, text), = tables.parts(of, "x", found)[1:]
    assert summary == "Valid acc % by epoch, means over the seeds"
    assert cells(text) == [["run", "", "1", "2", "3", "4"], ["-" * 5, "-" * 19, *["-" * 7] * 4],
                           ["x", "reported", "10–15", "20–25", "30–35", "40–45"],
                           ["x", "measured, 2 seeds", "15.0", "20.0", "30.0", "40.0"]]


def test_a_column_of_an_early_epoch_of_which_nothing_is_measured_is_left_out():
    of = declared({"a/x": "--epochs 4", "a/y": "--epochs 4 --lr 1"},
                  want={"a/x": "valid_acc@2=0.3 valid_acc=0.5", "a/y": "valid_acc=0.5"})
    assert "valid acc % reported @2" not in head_of(of, [record("a/y", valid_acc=0.4, train_acc=0.9)])
    assert "valid acc % reported @2" in head_of(of, [record("a/x", valid_acc=0.4, train_acc=0.9)])


def test_long_changes_are_cut_in_the_table_and_stand_below_it_in_full():
    flags = "--lr 0.002 --flip --pad-crop 4 --autoaugment 0.6 --weight-decay 1e-4 --schedule cosine --norm bn"
    of = declared({"a/x": "", "a/y": flags, "a/z": "--lr 1"})
    cut = columns(of, [], "what changed")
    assert len(cut["y"][0]) <= tables.WIDEST and cut["y"][0].endswith(", …") and cut["z"] == ["lr 1"]
    (summary, text), = tables.parts(of, "x", [])[1:]
    assert summary == "What changed, in full" and text.startswith("- y: ") and len(text.splitlines()) == 1
    assert all(words in text for words in ("cosine lr", "AutoAugment 0.6", "batch norm", "weight decay 1e-4"))


def test_a_run_with_wrong_flags_does_not_hide_the_others():
    of = declared({"a/x": "--lr 1", "a/y": "--lerning-rate 1"}, want={"a/y": "test_acc=0.5 train_loss/4@1=0.5"})
    assert columns(of, [], "what changed") == {"x": ["–"], "y": ["train.py refuses its flags"]}


def test_a_sweep_has_a_row_for_each_value_and_differences_within_a_net():
    of = declared({"a/m1": "--model mlp --dropout 0", "a/m2": "--model mlp --dropout 0.1", "a/c1": "--model cnn",
                   "a/c2": "--model cnn --dropout 0.3"}, ["sweep:dropout"])
    found = [record(run, test_acc=accuracy, train_acc=0.9, curves={"valid_acc": [0.5, 0.6], "train_acc": [0.7, 0.9]})
             for run, accuracy in zip(of["run"], (0.5, 0.6, 0.7, 0.75))]
    assert columns(of, found, "dropout", "Δ points") == {"m1": ["0", "–"], "m2": ["0.1", "+10.0"],
                                                         "c1": ["0.1", "–"], "c2": ["0.3", "+5.0"]}
    late = columns(of, found, "train acc % (running) late", "valid acc % late")
    assert late["m1"] == ["80.0", "55.0"] and "what changed" not in head_of(of, found)


def test_a_run_that_trains_features_alone_shows_its_train_loss_and_who_was_left_out():
    caltech = "--model base --data caltech35"
    of = declared({"a/features": f"{caltech} --loss triplet-cosine --freeze classifier",
                   "a/second": f"{caltech} --init-from=a/features"}, want={"a/features": "train_loss=0.1..0.2"})
    found = [record("a/features", train=[0.3, 0.2], curves={"left_out": [800, 900]}),
             record("a/second", train=[2.0], test_acc=0.4, train_acc=0.5)]
    assert columns(of, found, "test acc % measured", "train loss reported", "train loss measured", "left out") == {
        "features": ["–", "0.1–0.2", "0.200", "900"], "second": ["40.0", "–", "2.000", "–"]}


def test_report_3s_accuracies_by_epoch_have_a_table_of_their_own():
    of = declared({"net/baseline": "--lr 1", "net/adam": "--lr 2"}, ["curves", "by-epoch"],
                  {"net/baseline": "test_acc=0.5 test_acc@1=0.16 test_acc@2=0.29 test_acc@3=0.4 test_acc@4=0.5"})
    found = [record("net/baseline", seed=seed, train=[2, 1], test_acc=0.3, train_acc=0.3,
                    curves={"epoch": [1, 2], "test_acc": [0.1 + seed / 10, 0.3]}) for seed in (0, 1)]
    found += [record("net/adam", train=[2], test_acc=0.4, train_acc=0.4, curves={"epoch": [1], "test_acc": [0.4]})]
    assert head_of(of, found)[2:5] == ["test acc % reported", "test acc % measured", "Δ points"]
    (summary, text), = tables.parts(of, "x", found)[1:]
    lines = cells(text)
    assert summary == "Test acc % by epoch, means over the seeds"
    assert lines[0] == ["run", "", "1", "2"] and ["baseline", "reported", "16", "29"] in lines
    assert ["baseline", "measured, 2 seeds", "15.0", "30.0"] in lines
    assert ["adam", "measured, 1 seed", "40.0", ""] in lines and ["adam", "reported", "", ""] not in lines
    assert len(tables.parts(of, "x", [])) == 1


# ---- what stands below it -------------------------------------------------------------------------------------------

def test_valid_accuracy_picks_the_run_whose_test_score_counts():
    of = declared({"a/x": "--lr 1", "a/y": "--lr 2", "a/z": "--lr 3"}, ["curves", "pick"], {"a/x": "test_acc=0.85"})
    found = [record(f"a/{run}", best_valid_acc=valid, test_acc=test)
             for run, valid, test in (("x", 0.8, 0.9), ("y", 0.86, 0.85))]
    assert "valid accuracy picks y (best epoch 86.0 % valid, 85.0 % test)" in tables.table(of, "x", found)
    assert "picks x (best epoch 80.0 % valid, 90.0 % test)" in tables.table(of, "x", found[:1])
    assert "picks" not in tables.table({**of, "plots": {"x": ["curves"]}}, "x", found)
    assert "picks" not in tables.table(of, "x", [record("a/x", test_acc=0.9)])


def test_a_cleaned_run_says_what_it_dropped_and_what_that_gained():
    of = declared({"a/noise-30": "--lr 1 --label-noise 0.3",
                   "a/clean-30": "--lr 1 --label-noise 0.3 --clean-by=a/scorer --clean-share 0.3"})
    found = [{**record("a/noise-30", seed=seed, test_acc=0.40, train_acc=0.9), "data": {"label_noise": 0.29}}
             for seed in (0, 1)]
    of_data = {"label_noise": 0.29, "dropped": 1200, "dropped_noisy": 900}
    found += [{**record("a/clean-30", seed=seed, test_acc=0.435 + seed, train_acc=0.9), "data": of_data}
              for seed in (0, 2)]  # for seed 2 there is nothing to compare with
    (_, table), (summary, text) = tables.parts(of, "x", found)
    assert summary == "" and cells(text)[2] == ["clean-30", "1,200", "75.0", "29.0", "+3.5"]
    assert columns(of, found, "labels changed %") == {"noise-30": ["29.0"], "clean-30": ["29.0"]}
    assert len(tables.parts(of, "x", found[:2])) == 1
    diverged = {**found[-2], "seed": 1, "status": "diverged"}
    _, (_, text) = tables.parts(of, "x", [*found, diverged])
    assert cells(text)[2][-1] == "+3.5"  # of the seed that diverged there is no difference
    _, (_, text) = tables.parts(of, "x", [found[0], *({**r, "status": "diverged"} for r in found[1:])])
    assert cells(text)[2][-1] == "–"


def test_runs_that_lack_imagenet_weights_are_named():
    frozen = "--model resnet18 --data caltech35 --pretrained --freeze features"
    of = declared({"a/x": frozen, "a/y": f"{frozen} --side 224", "a/z": "--lr 1"})
    assert "Missing: a/x, a/y start from torchvision's ImageNet weights." in tables.table(of, "x", [])
    text = tables.table(of, "x", [record("a/x", test_acc=0.9, train_acc=0.9)])
    assert "Missing: a/y starts from torchvision's ImageNet weights. With a network train.py downloads them" in text


def test_runs_on_incomplete_data_are_named():
    of, found = declared({"a/x": "", "a/y": "--lr 1", "a/z": "--lr 2"}), []
    for run, seed, words in (("x", 0, "7 of 35 classes"), ("y", 0, "7 of 35 classes"), ("y", 1, "9 of 35 classes"),
                             ("z", 0, None)):
        of_data = {"name": "caltech35"} | ({"incomplete": words} if words else {})
        found.append({**record(f"a/{run}", seed=seed, test_acc=0.4, train_acc=0.5), "data": of_data})
    note = "Trained on incomplete data: x, y (7 of 35 classes); y (9 of 35 classes)."
    assert note in tables.table(of, "x", found).split("\n\n")
    assert "incomplete" not in tables.table(of, "x", [record("a/x", test_acc=0.4), *found[3:]])


def test_second_names_are_said():
    of = {**declared({"a/x": "--lr 1", "a/y": "--lr 1"}), "alias": {"a/y": "a/x", "a/other": "a/x"}}
    assert "The same training under a second name: y is x.\n" in tables.table(of, "x", [])
    assert "second name" not in tables.table({**of, "alias": {}}, "x", [])


def test_layers_are_those_of_the_declared_nets_at_the_declared_batch(small_data):
    of = declared({"a/base": "--model base --data caltech35 --batch-size 32", "a/lenet": "--act relu --batch-size 4"},
                  ["layers"])
    text = tables.table(of, "x", [record("a/base", test_acc=0.4)])
    order = ["Layers of base:", "| input | | [32, 3, 112, 112] | |", "| all | | | 398,243 |", "Layers of lenet:",
             "| input | | [4, 3, 32, 32] | |"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "Layers" not in tables.table({**of, "plots": {"x": ["curves"]}}, "x", [record("a/base", test_acc=0.4)])


def test_tables_say_which_runs_were_made_in_bfloat16_and_what_that_costs():
    full, half = (record("net/a", test_acc=x, seed=0) | {"seconds_per_epoch": s}
                  for x, s in ((0.5, 20.0), (0.48, 10.0)))
    half["precision"], full["precision"] = "bfloat16", "tf32"
    assert tables.seeds_cell([full]) == "1" and tables.seeds_cell([full, half]) == "2, 1 in bfloat16"
    assert tables.seeds_cell([half]) == "1, in bfloat16"
    assert tables.seeds_cell([{**half, "status": "diverged"}]) == "1, 1 diverged, in bfloat16"
    row = tables.precision_table([(full, half)]).splitlines()[2]
    assert cells(row)[0] == ["a", "0", "test acc", "50.0 %", "48.0 %", "20.0 s", "10.0 s"]


@pytest.mark.parametrize("metric, point, alone, heads", [
    ("test_acc", None, True, ["test acc % reported", "test acc % measured"]),
    ("test_acc", 3, True, ["test acc % reported @3", "test acc % measured @3"]),
    ("tail_loss", None, False, ["tail loss reported @end", "tail loss measured @end"]),
    ("train_loss+penalty/batch", 1, False, ["loss reported @1", "loss + L2 ÷ 4 @1"])])
def test_heads_of_columns(metric, point, alone, heads):
    assert tables.head_of(tables.Group(tables.family_of(metric), [metric], point, alone), "4") == heads

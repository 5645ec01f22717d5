"""Tables: words and numbers, the rows of a comparison, and what stands below them."""
from by_hand import record
from experiments import tables


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def declared(runs, plots=(), want=None, name="x"):
    """Declarations of one comparison. runs: {run: flags}."""
    return {"exp": {name: list(runs)}, "plots": {name: list(plots) or ["curves"]}, "run": runs, "want": want or {},
            "about": {name: ""}}


# ---- words and numbers ----------------------------------------------------------------------------------------------

def test_printed_numbers_as_a_reader_wants_them():
    assert tables.shown_wants("valid_loss=6") == "valid loss 6"
    assert tables.shown_wants("tail_loss=0.512..0.547 test_acc=0.68..0.69 valid_acc@10=0.8") == (
        "tail loss 0.512–0.547; test acc 68–69 %; valid acc 80 % at epoch 10")
    assert tables.shown_wants("valid_acc@10=0.8 valid_acc@20=0.83") == "valid acc 80, 83 % at epochs 10, 20"
    assert tables.shown_wants("test_acc=0.545 test_loss=1.43") == "test acc 54.5 %, test loss 1.43"
    assert tables.shown_wants("train_loss+penalty/4@1=0.663 train_loss/4@1=nan train_loss/4@2=0.5") == (
        "(train loss + L2 term) ÷ 4 0.663 at epoch 1; train loss ÷ 4 nan, 0.5 at epochs 1, 2")


def test_the_mean_and_sample_deviation_over_the_seeds():
    three = [record("a/b", seed=seed, valid=[9.0, loss], test_acc=accuracy)
             for seed, (loss, accuracy) in enumerate(((6.0, 0.5), (7.0, 0.6), (11.0, 0.61)))]
    assert tables.measured(three, "valid_loss") == "8.000 ± 2.646"  # the median is 7
    assert tables.measured(three, "test_acc") == "57.0 ± 6.1 %"  # the median is 60
    assert tables.measured(three, "valid_loss@1") == "9.000 ± 0.000"
    assert tables.measured(three[:1], "valid_loss") == "6.000" and tables.measured(three[:1], "test_acc") == "50.0 %"
    large = [record("a/b", valid=[loss]) for loss in (20.0, 31.0)]
    assert tables.measured(large, "valid_loss") == "25.5 ± 7.8"
    huge = [record("a/b", valid=[loss]) for loss in (1e8, 2e8)]
    assert tables.measured(huge, "valid_loss") == "1.5e+08 ± 7.07e+07"


def test_what_was_not_measured_is_a_dash_and_what_diverged_nan():
    one, dead = record("a/b", valid=[9.0]), record("a/b", status="diverged", train=[None])
    assert tables.measured([one], "test_acc") == "–" and tables.measured([], "test_acc") == "–"
    assert tables.measured([dead], "train_loss/4@1") == "nan" and tables.measured([one, dead], "test_acc") == "–"
    assert tables.measured([one, dead], "valid_loss") == "9.000"


def test_a_table_is_aligned_markdown():
    assert tables.markdown(["a", "long"], [["much", 1], ["x", "–"]]) == (
        "| a    | long |\n|------|------|\n| much | 1    |\n| x    | –    |")


def test_where_numbers_come_from_is_one_sentence():
    def on(device, torch, source="photographs", name="faces21"):
        return {**record("a/b"), "versions": {"device": device, "torch": torch},
                "data": {"name": name, "source": source}}

    assert tables.made_on([on("EPYC", "2.11"), on("A100", "2.11")]) == (
        "Losses are mean squared errors in px². Measured on A100, EPYC with torch 2.11; data: photographs. "
        "± is the sample deviation over seeds.")
    assert tables.made_on([on("EPYC", "2.11", "batches", "cifar10")]).startswith("Measured on EPYC with torch 2.11; ")


# ---- the table of a comparison --------------------------------------------------------------------------------------

def test_a_row_says_what_changed_what_was_printed_and_what_was_measured():
    of = declared({"a/x": "--lr 1", "a/y": "--lr 2 --flip", "a/z": "--lr 3", "a/none": "--lr 4"},
                  want={"a/x": "test_acc=0.5 train_loss=1.2", "a/none": "test_acc=0.1"})
    found = [record("a/x", seed=seed, train=[2.0, 1.0], test_acc=0.4 + seed / 10, train_acc=0.9, valid_acc=None)
             for seed in (0, 1)]
    found += [record("a/y", status="diverged", train=[None]), record("b/other", test_acc=0.9, train_acc=0.9)]
    found += [record("a/z", train=[1.0], test_acc=0.3, train_acc=None)]
    head, _, *rows = cells(tables.table(of, "x", found))
    assert head == ["run", "what changed", "reported", "measured", "train acc", "seeds"]
    assert rows == [
        ["x", "–", "test acc 50 %, train loss 1.2", "test acc 45.0 ± 7.1 %, train loss 1.000 ± 0.000",
         "90.0 ± 0.0 %", "2"],
        ["y", "lr 2, flip", "no number", "test acc nan", "nan", "1, 1 diverged"],
        ["z", "lr 3", "no number", "test acc 30.0 %", "–", "1"],
        ["none", "lr 4", "test acc 10 %", "missing", "–", "0"]]


def test_the_columns_are_those_that_the_data_have():
    faces = [record("a/x", valid=[9.0, 8.0], train=[7.0, 6.0], best_valid_loss=8.0, valid_loss_turned=11.0)]
    head, _, row = cells(tables.table(declared({"a/x": "--lr 1"}), "x", faces))
    assert head[3:] == ["measured", "valid loss, median of last 10 epochs", "train loss, median of last 10 epochs",
                        "best valid loss", "valid loss turned", "seeds"]
    assert row[3:] == ["valid loss 8.000", "8.500", "6.500", "8.000", "11.0", "1"]
    untested = [record("a/x", train_acc=0.9, valid_acc=0.8)]
    head, _, row = cells(tables.table(declared({"a/x": "--lr 1"}), "x", untested))
    assert head[3:] == ["measured", "train acc", "seeds"] and row[3:] == ["valid acc 80.0 %", "90.0 %", "1"]
    swept = [record("a/x", test_acc=0.7, train_acc=0.9, curves={"valid_acc": [0.5, 0.6], "train_acc": [0.7, 0.9]})]
    head, _, row = cells(tables.table(declared({"a/x": "--lr 1"}, ["sweep:lr"]), "x", swept))
    assert head[4:6] == ["train acc, median of last 10 epochs", "valid acc, median of last 10 epochs"]
    assert row[4:6] == ["80.0 %", "55.0 %"]


def test_a_run_that_trains_features_alone_shows_its_train_loss_and_who_was_left_out():
    of = declared({"a/features": "--loss triplet-cosine", "a/second": "--init-from=a/features"})
    found = [record("a/features", train=[0.3, 0.2], curves={"left_out": [800, 900]}),
             record("a/second", train=[2.0], test_acc=0.4, train_acc=0.5)]
    head, _, *rows = cells(tables.table(of, "x", found))
    assert head[-2:] == ["left out", "seeds"]
    assert [row[3] for row in rows] == ["train loss 0.200", "test acc 40.0 %"]
    assert [row[-2] for row in rows] == ["900", "–"]


def test_report_3s_accuracies_by_epoch_have_a_table_of_their_own():
    of = declared({"net/baseline": "--lr 1", "net/adam": "--lr 2"}, ["curves", "by-epoch"],
                  {"net/baseline": "test_acc=0.5 test_acc@1=0.16 test_acc@2=0.29 test_acc@3=0.4 test_acc@4=0.5"})
    found = [record("net/baseline", seed=seed, train=[2, 1], test_acc=0.3, train_acc=0.3,
                    curves={"epoch": [1, 2], "test_acc": [0.1 + seed / 10, 0.3]}) for seed in (0, 1)]
    found += [record("net/adam", train=[2], test_acc=0.4, train_acc=0.4, curves={"epoch": [1], "test_acc": [0.4]})]
    lines = cells(tables.table(of, "x", found))
    assert ["run", "", "1", "2"] in lines and ["baseline", "reported", "16", "29"] in lines
    assert ["baseline", "measured, 2 seeds", "15.0", "30.0"] in lines
    assert ["adam", "measured, 1 seed", "40.0", ""] in lines and ["adam", "reported", "", ""] not in lines
    # Not twelve numbers in one cell.
    assert lines[2][:4] == ["baseline", "–", "test acc 50 %", "test acc 30.0 ± 0.0 %"]
    assert "by epoch" not in tables.table({**of, "plots": {"x": ["curves"]}}, "x", found)
    assert "by epoch" not in tables.table(of, "x", [])


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
    found += [{**record("a/clean-30", seed=seed, test_acc=0.435, train_acc=0.9), "data": of_data}
              for seed in (0, 2)]  # for seed 2 there is nothing to compare with
    text = tables.table(of, "x", found)
    assert ("- clean-30, seed 0: dropped 1,200 images, 900 of them noisy (75%; by chance 29%); "
            "test accuracy +3.5 points against noise-30.") in text
    assert text.count("| 29.0 %, 29.0 % |") == 2 and text.count("dropped 1,200") == 1
    assert "dropped" not in tables.table(of, "x", found[:2])


def test_runs_that_lack_imagenet_weights_are_named():
    of = declared({"a/x": "--model resnet18 --pretrained", "a/y": "--model resnet18 --pretrained --side 224",
                   "a/z": "--lr 1"})
    assert "Missing: a/x, a/y start from torchvision's ImageNet weights." in tables.table(of, "x", [])
    text = tables.table(of, "x", [record("a/x", test_acc=0.9, train_acc=0.9)])
    assert "Missing: a/y starts from torchvision's ImageNet weights. With a network train.py downloads them" in text
    assert text.endswith("or train by hand with --weights FILE.")


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

"""The order of the runs, the longest first, and the table of core-hours and GPU-minutes."""
import io
import json
import math
import subprocess
import sys

import pytest

import train
from conftest import ROOT
from experiments import costs, declarations, jobs, runs

LENET = "--model lenet5 --data cifar10 --split all --epochs 10"
VGG = "--model vgg13 --data cifar10 --batch-size 128 --epochs 30"
DECLARED = declarations.declarations()
TRAINED = declarations.trained(DECLARED)


def record(run, flags, seconds, seed=0, device="AMD EPYC", **changes):
    epochs = changes.pop("epochs", int(declarations.as_dict(flags)["epochs"]))
    return {"run": run, "seed": seed, "flags": flags, "seconds": seconds, "seconds_per_epoch": seconds / epochs,
            "threads": 1, "epochs": epochs, "status": "finished", "versions": {"device": device}, **changes}


def step(flags, ms, threads=1, batch_size=100):
    """A row of bench.json: float32 takes `ms` in the slower layout and half of that in the faster one."""
    names = {"float32 contiguous": ms, "float32 channels_last": ms / 2, "bfloat16 contiguous": ms,
             "bfloat16 channels_last": ms / 4}
    return {"flags": flags, "threads": threads, "batch_size": batch_size,
            "ms": {name: {"median": number} for name, number in names.items()}}


# ---- one run --------------------------------------------------------------------------------------------------------

def test_a_measured_run_costs_the_median_over_its_seeds_in_core_seconds():
    found = [record("a/x", LENET, 10, 0), record("a/x", LENET, 30, 1, threads=2), record("a/x", LENET, 20, 2),
             record("a/y", LENET, 1), record("a/x", f"{LENET} --lr 1", 2)]  # declared otherwise then
    assert costs.cost("a/x", LENET, found, []) == (20, True)


def test_an_epoch_in_which_the_machine_was_suspended_does_not_count():
    assert costs.seconds_of({**record("a/x", LENET, 10), "seconds": 5000}) == 10


def test_a_run_is_estimated_from_the_one_that_is_most_like_it():
    found = [record("a/bn", f"{LENET} --norm bn", 100), record("a/plain", LENET, 10),
             record("a/died", f"{LENET} --norm bn", 1, status="diverged"), record("b/vgg", VGG, 1e6)]
    assert costs.cost("a/new", f"{LENET} --norm bn --lr 1", found, []) == (100, False)
    assert costs.cost("a/new", f"{LENET} --act relu", found, []) == (10, False)
    # Four times the epochs, and four fifths of the images.
    more = LENET.replace("--split all --epochs 10", "--epochs 40")
    assert costs.cost("a/new", more, found, [])[0] == pytest.approx(32)
    # One that stopped early did fewer epochs than its flags say.
    early = [record("a/early", LENET, 10, epochs=5)]
    assert costs.cost("a/new", f"{LENET} --lr 1", early, [])[0] == pytest.approx(20)


def test_without_a_run_that_is_like_it_the_steps_count():
    steps = [step(f"{VGG} --norm bn", 2000, threads=2), step(VGG, 1000), step(LENET, 1, batch_size=4)]
    assert costs.estimate(VGG, [], steps) == pytest.approx(30 * 40000 * 0.5 / 100)
    assert costs.estimate(f"{VGG} --norm bn", [], steps) == pytest.approx(30 * 40000 * 1.0 * 2 / 100)
    assert costs.estimate(f"{VGG} --bf16", [], steps) == pytest.approx(30 * 40000 * 0.25 / 100)
    # Both known: a run like it, by the ratio of their steps.
    wide = [step(LENET, 1, batch_size=4), step(f"{LENET} --channels 256,256", 50, batch_size=4)]
    found = [record("a/x", LENET, 10)]
    assert costs.estimate(f"{LENET} --channels 256,256", found, wide) == pytest.approx(500)
    # Four times the pixels.
    base = "--model base --data caltech35 --epochs 20"
    assert costs.estimate(f"{base} --side 224", [], [step(base, 100)]) == pytest.approx(20 * 2100 * 4 * 0.05 / 100)
    assert costs.estimate(VGG, [], []) == pytest.approx(30 * 40000 * costs.UNKNOWN)


def test_on_a_gpu_many_steps_cost_more_than_large_ones():
    steps = [step(VGG, 1400, threads=2, batch_size=128), step(LENET, 1, batch_size=4)]
    small, large = f"{LENET} --batch-size 4 --epochs 50", VGG
    assert costs.order({"a/small": small, "a/large": large}, [], steps) == ["a/large", "a/small"]
    assert costs.order({"a/large": large, "a/small": small}, [], steps, gpu=True) == ["a/small", "a/large"]


def test_records_of_the_other_kind_of_device_do_not_count():
    found = [record("a/x", LENET, 10), record("a/y", LENET, 20), record("a/x", LENET, 9, device="NVIDIA H200"),
             record("a/y", LENET, 5, device="NVIDIA H200", threads=16)]
    flags = {"a/x": LENET, "a/y": LENET}
    assert costs.order(flags, found, []) == ["a/y", "a/x"]
    assert costs.order(flags, found, [], gpu=True) == ["a/x", "a/y"]
    assert costs.cost("a/y", LENET, costs.of_kind(found, True), [], gpu=True) == (5, True)  # a GPU's own seconds
    assert [jobs.is_gpu(name) for name in ("NVIDIA H200", "Tesla T4", "AMD EPYC", "Intel(R) Xeon(R)")] == [
        True, True, False, False]


def test_precisions_are_told_apart():
    found = [record("a/x", LENET, 10), record("a/x", LENET, 4, precision="bfloat16")]
    assert costs.cost("a/x", LENET, found, []) == (10, True)
    assert costs.cost("a/x", f"{LENET} --bf16", found, []) == (4, True)


# ---- all runs -------------------------------------------------------------------------------------------------------

def test_the_longest_come_first_and_equals_as_they_come():
    found = [record("a/x", LENET, 10), record("a/y", f"{LENET} --lr 1", 30)]
    flags = {"a/same": f"{LENET} --lr 2", "a/x": LENET, "a/y": f"{LENET} --lr 1", "a/long": f"{LENET} --epochs 400"}
    assert costs.order(flags, found, []) == ["a/long", "a/y", "a/same", "a/x"]


@pytest.mark.parametrize("wrong", ["--data cifar", "--epochs many"])
def test_flags_that_train_py_refuses_come_last(wrong):
    flags = {"a/wrong": f"--model net {wrong}", "a/x": "--model net --epochs 1", "a/y": "--model net --epochs 2"}
    assert costs.order(flags, [], []) == ["a/y", "a/x", "a/wrong"]


def test_every_declared_run_has_a_place_in_the_order():
    found, steps = costs.read_records(), costs.read_steps()
    names = costs.order(TRAINED, found, steps)
    assert sorted(names) == sorted(TRAINED)
    for gpu in (False, True):
        of_kind = costs.of_kind(found, gpu)
        seconds = [costs.cost(run, flags, of_kind, steps, gpu)[0] for run, flags in TRAINED.items()]
        assert all(0 < x < math.inf for x in seconds)
    # What a quarter of an hour of reading would say, too.
    assert names.index("lenet_vgg/vgg6-bn") < names.index("lenet_vgg/relu-wide") < names.index("lenet_vgg/momentum99")
    assert names.index("mlp_cnn/cnn") < names.index("mlp_cnn/mlp") and names.index("net/best") < names.index("net/bn")


def test_visits_are_those_of_real_runs():
    for found in costs.read_records():
        flags = costs.flags_of(found)
        images = found["data"]["train"] * (2 if float(flags.get("rotated-copies", 0)) else 1)
        assert costs.visits(flags) == images * int(flags["epochs"]), found["run"]


def test_costly_flags_are_flags_of_train():
    known = train.make_parser()._option_string_actions
    assert {f"--{flag}" for flag in costs.COSTLY} <= set(known)


def test_flags_are_read_as_make_prints_them():
    lines = ["exp.adam=a/x a/y\n", "run.a/x=--lr 1 --init-from=a/y\n", "a/y=--lr 2\n", "want.a/x=test_acc=0.5\n", "\n",
             "claim.A1=x beats y", "alias.a/z=a/x"]
    found = costs.read_flags(lines)
    assert found["a/x"] == "--lr 1 --init-from=a/y" and found["a/y"] == "--lr 2" and list(found) == ["a/x", "a/y"]


def test_the_command_prints_every_name_once_without_loading_torch():
    code = ("import sys; sys.path.insert(0, '.'); from experiments import costs; costs.main(['order']); "
            "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == sorted(TRAINED)


def test_the_command_orders_what_stands_on_stdin(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"a/x={LENET}\na/y={LENET} --epochs 20\n"))
    monkeypatch.setattr(costs, "read_records", lambda: [record("a/x", LENET, 10)])
    monkeypatch.setattr(jobs, "has_gpu", lambda: False)
    assert costs.main(["order", "-"]) == 0 and capsys.readouterr().out.split() == ["a/y", "a/x"]
    assert costs.main(["sort"]) == runs.BAD_INPUT and "say order" in capsys.readouterr().err


def test_files_that_are_not_there_hold_nothing(tmp_path):
    assert costs.read_records(tmp_path / "no.jsonl") == [] and costs.read_steps(tmp_path / "no.json") == []
    (tmp_path / "records.jsonl").write_text(json.dumps({"run": "a/x"}) + "\n\n")
    assert costs.read_records(tmp_path / "records.jsonl") == [{"run": "a/x"}]


# ---- the table ------------------------------------------------------------------------------------------------------

def rows_of(text):
    """The rows of all tables in a text, lists of cells without the head."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [cells for cells in lines if not set("".join(cells)) <= set("-")]


def test_the_table_adds_up_what_was_measured_and_what_is_estimated():
    declared = {"run": {"a/x": LENET, "a/y": f"{LENET} --lr 1", "b/z": VGG},
                "pages": {"a": {"title": "Report 1: nets"}, "b": {"title": "Report 2: more"}}}
    found = [record("a/x", LENET, 3600, 0), record("a/x", LENET, 7200, 1), record("a/x", LENET, 600, device="NVIDIA A")]
    text = costs.page(declared, found, [step(VGG, 1200), step(LENET, 6)])
    cpu, gpu = text.split("## Minutes on a GPU")
    hours = f"{30 * 40000 * 0.6 / 100 / 3600:.1f}"
    assert rows_of(cpu)[1:] == [
        ["Report 1, `a`", "2", "1", "1.5", "1", "1.5", "3.0", "2", "3.0"],
        ["Report 2, `b`", "1", "0", "0.0", "1", hours, hours, "0", "0.0"],
        ["all", "3", "1", "1.5", "2", "3.5", "5.0", "2", "3.0"]]
    assert rows_of(gpu)[1][:6] == ["Report 1, `a`", "2", "1", "10.0", "1", "10.0"] and "estimated" in rows_of(gpu)[0][5]
    assert "No run has been measured on a GPU yet." not in gpu
    assert "No run has been measured on a GPU yet." in costs.page(declared, found[:2], [])


def test_a_run_with_two_names_counts_once():
    pages = {"a": {"title": "Report 1: nets"}}
    declared = {"run": {"a/x": LENET, "a/again": LENET}, "alias": {"a/again": "a/x"}, "pages": pages}
    found = [record("a/x", LENET, 3600), record("a/again", LENET, 3600)]  # as records.with_aliases leaves them
    assert costs.page(declared, found, []) == costs.page({"run": {"a/x": LENET}, "pages": pages}, found[:1], [])

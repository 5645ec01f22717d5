"""What the .mk files declare, and the promises of the Makefile, walked with runs of two steps in a project of their own."""
import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

import train
from conftest import ROOT

sys.path.insert(0, str(ROOT / "experiments"))
import report  # noqa: E402

REPORTS = ("caltech35", "keypoints", "lenet_vgg", "mlp_cnn", "net")

TINY = """
# Tiny: for the tests.
TINY = --act relu --synthetic --batch-size 100 --max-steps 2

## Two rates.
exp.tiny       = tiny/a tiny/b
plots.tiny     = curves
run.tiny/a     = $(TINY)
want.tiny/a    = test_acc=0.5
run.tiny/b     = $(TINY) --lr 0.01 --momentum 0.8
want.tiny/b    = none

## A run that starts from another.
exp.chain      = tiny/c tiny/a
plots.chain    = curves
run.tiny/c     = $(TINY) --init-from=tiny/a
want.tiny/c    = none

## A run that another one cleans the data of.
exp.clean      = tiny/cleaned tiny/judge
plots.clean    = curves confusion features:1,2:judge layers
run.tiny/judge = --model base --data caltech35 --synthetic --batch-size 32 --max-steps 2 --split val+addition
want.tiny/judge   = none
run.tiny/cleaned  = --model base --data caltech35 --synthetic --batch-size 32 --max-steps 2 --label-noise 0.5 --clean-by=tiny/judge --clean-share 0.5
want.tiny/cleaned = none

## What can go wrong: divergence, and data that are not there.
exp.wrong      = tiny/lacks tiny/diverges tiny/a
plots.wrong    = curves
run.tiny/lacks = --act relu --max-steps 2
want.tiny/lacks    = none
run.tiny/diverges  = $(TINY) --lr 1e18
want.tiny/diverges = none

## One that takes long.
exp.long       = tiny/long
plots.long     = curves
run.tiny/long  = --synthetic --batch-size 100 --epochs 100000
want.tiny/long = none
"""


def copy_project(folder):
    (folder / "experiments").mkdir(parents=True)
    for file in [ROOT / "Makefile", ROOT / "requirements.txt", *ROOT.glob("*.py")]:
        shutil.copy(file, folder)
    shutil.copy(ROOT / "experiments/report.py", folder / "experiments")
    (folder / "experiments/tiny.mk").write_text(TINY)
    return folder


def clean_environment():
    """make's own variables must not leak from the make that runs the tests into those that the tests run."""
    return {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "STOP_AT", "PYTHON", "FLAGS", "SEEDS", "RUNS", "DATA")}


def make(folder, *words, expect=0, start=False, prefix=()):
    command = [*prefix, "make", f"PYTHON={sys.executable}", *words]
    how = dict(cwd=folder, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    if start:
        return subprocess.Popen(command, **how)
    done = subprocess.run(command, **how)
    assert done.returncode == expect, done.stdout
    return done.stdout


def would_train(folder, *words):
    """The runs that `make -n` says it would train, in order."""
    return re.findall(r"^.*train\.py .*--run (\S+) --seed (\d+)", make(folder, "-n", *words), re.M)


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project in which exp-tiny was made once, and what make printed."""
    folder = copy_project(tmp_path_factory.mktemp("first") / "project")
    return folder, make(folder, "exp-tiny")


@pytest.fixture
def trained(first, tmp_path):
    """A copy of that project on "another box": no file has the time that it had."""
    folder = shutil.copytree(first[0], tmp_path / "project")
    for path in folder.rglob("*"):
        moment = random.uniform(0, time.time() + 10**6)
        os.utime(path, (moment, moment))
    return folder


def edit(folder, old, new, file="experiments/tiny.mk"):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


# ----------------------------------------------------------------------------------------------------------------- the Makefile


def test_a_comparison_is_trained_drawn_and_printed(first):
    folder, printed = first
    out = folder / "runs/figures/exp-tiny"
    assert {p.name for p in out.iterdir()} == {"curves.png", "table.md"}
    assert printed.count("begins") == 2 and "| a " in printed and "test acc 50 %" in printed and "lr 0.01, momentum 0.8" in printed
    assert printed.splitlines()[-1] == "status: 2 done" and (out / "table.md").read_text().splitlines()[0] in printed


def test_what_is_done_is_not_done_again_wherever_it_was_done(trained):
    assert would_train(trained, "exp-tiny") == []
    printed = make(trained, "exp-tiny")
    assert "train.py" not in printed and "status: 2 done" in printed


def test_editing_code_comments_and_spacing_makes_nothing_stale(trained):
    edit(trained, "TINY = --act relu", "# a comment\nTINY   =    --act   relu")
    edit(trained, "run.tiny/b     =", "run.tiny/b =\t")
    edit(trained, "import os\n", "import os  # edited\n", "train.py")
    assert would_train(trained, "exp-tiny") == []


def test_changed_flags_make_just_that_run_stale_and_the_old_one_is_kept(trained):
    old = (trained / "runs/tiny/b/seed0/model.pt").read_bytes()
    edit(trained, "--lr 0.01", "--lr 0.02")
    before = tree(trained)
    assert would_train(trained, "exp-tiny") == [("tiny/b", "0")]
    assert tree(trained) == before  # make -n touches nothing
    make(trained, "exp-tiny")
    assert (trained / "runs/tiny/b/seed0.1/model.pt").read_bytes() == old != (trained / "runs/tiny/b/seed0/model.pt").read_bytes()
    assert would_train(trained, "exp-tiny") == []


def test_the_same_flags_in_another_order_are_the_same_run(trained):
    old = tree(trained / "runs/tiny/b/seed0")
    edit(trained, "--lr 0.01 --momentum 0.8", "--momentum 0.8 --lr 0.01")
    assert "finished before" in make(trained, "exp-tiny")
    new = tree(trained / "runs/tiny/b/seed0")
    assert {k: v for k, v in new.items() if k.name != "result.json"} == {k: v for k, v in old.items() if k.name != "result.json"}
    assert would_train(trained, "exp-tiny") == []


def test_seeds_flags_and_generated_data_have_places_of_their_own(trained):
    assert would_train(trained, "exp-tiny", "SEEDS=0 1") == [("tiny/a", "1"), ("tiny/b", "1")]
    assert len(would_train(trained, "exp-tiny", "FLAGS=--lr 0.5")) == 2
    assert "--lr 0.5 --runs runs-flags --run tiny/a" in make(trained, "-n", "exp-tiny", "FLAGS=--lr 0.5")
    assert "--synthetic --runs runs-synthetic --run tiny/a" in make(trained, "-n", "exp-tiny", "SYNTHETIC=1")
    assert "--data-dir elsewhere" in make(trained, "-n", "exp-tiny", "RUNS=other", "DATA=elsewhere")


def test_flags_that_are_no_part_of_a_run_do_not_make_it_another(tmp_path):
    folder, words = copy_project(tmp_path / "project"), ("exp-tiny", "FLAGS=--device cpu --lr 0.1 --save-every=9")
    assert "status: 2 done" in make(folder, *words) and would_train(folder, *words) == []
    assert len(would_train(folder, "exp-tiny", "FLAGS=--device cpu --lr 0.2")) == 2


@pytest.mark.parametrize("words, said", [("SEEDS=0,1", "no list of whole numbers"), ("GPUS=0", "no number of GPUs"), ("RUNS=my runs", "spaces")])
def test_variables_that_make_no_sense_are_said_at_once(trained, words, said):
    assert said in make(trained, "exp-tiny", words, expect=2)
    assert would_train(trained, "exp-tiny", "SEEDS=0  0", "SYNTHETIC=0") == []


def test_a_result_with_other_flags_is_not_shown_as_the_declared_run(trained):
    edit(trained, "--lr 0.01 --momentum 0.8", "--lr 0.01 --momentum 0.7")
    (trained / "runs/tiny/.b.lock").touch()
    edit(trained, "import argparse", "raise SystemExit(2)\nimport argparse", "train.py")  # it cannot be trained again
    printed = make(trained, "exp-tiny", expect=2)
    assert re.search(r"^\| b .*\| 0 +\|$", printed, re.M) and "status: 1 done, 1 missing" in printed


def test_a_broken_result_is_named_and_the_others_are_shown(trained):
    (trained / "runs/tiny/a/seed0/result.json").write_text('{"torn')
    printed = make(trained, "exp-tiny", expect=2)
    assert "failed      tiny/a seed 0" in printed and "status: 1 done, 1 failed" in printed and "Traceback" not in printed


def test_a_run_waits_for_the_one_that_it_starts_from_and_follows_it(trained, tmp_path):
    fresh = copy_project(tmp_path / "fresh")
    assert would_train(fresh, "exp-chain") == [("tiny/a", "0"), ("tiny/c", "0")]
    make(trained, "-j4", "exp-chain")
    assert would_train(trained, "exp-chain") == []
    edit(trained, "--max-steps 2\n", "--max-steps 3\n")
    assert would_train(trained, "exp-chain") == [("tiny/a", "0"), ("tiny/c", "0")]
    edit(trained, "--max-steps 3\n", "--max-steps 2\n")
    edit(trained, "run.tiny/a     = $(TINY)", "run.tiny/a     = $(TINY) --lr 0.5")  # c's own flags are what they were
    assert would_train(trained, "exp-chain") == [("tiny/a", "0"), ("tiny/c", "0")]
    make(trained, "runs/tiny/a/seed0/result.json")  # stopped here, c would have a newer a than it started from
    assert would_train(trained, "exp-chain") == [("tiny/c", "0")]
    make(trained, "exp-chain")
    assert (trained / "runs/tiny/c/seed0.1").exists() and would_train(trained, "exp-chain") == []


def test_a_run_waits_for_the_one_that_judges_its_labels_and_follows_it(tmp_path):
    folder = copy_project(tmp_path / "project")
    assert would_train(folder, "exp-clean") == [("tiny/judge", "0"), ("tiny/cleaned", "0")]  # declared the other way round
    printed, out = make(folder, "-j2", "exp-clean"), folder / "runs/figures/exp-clean"
    assert {p.name for p in out.iterdir()} == {"curves.png", "confusion-cleaned.png", "confusion-judge.png", "features-judge.png", "table.md"}
    assert "- cleaned, seed 0: dropped" not in printed and "Layers of judge:" in printed  # no run is as cleaned, but not cleaned
    assert (folder / "runs/tiny/judge/seed0/described.json").exists() and would_train(folder, "exp-clean") == []
    edit(folder, "--split val+addition\n", "--split val+addition --lr 0.05\n")  # cleaned's own flags are what they were
    assert would_train(folder, "exp-clean") == [("tiny/judge", "0"), ("tiny/cleaned", "0")]
    make(folder, "runs/tiny/judge/seed0/result.json")  # stopped here, cleaned would have another judge than it says
    assert would_train(folder, "exp-clean") == [("tiny/cleaned", "0")]


def test_divergence_and_missing_data_do_not_stop_the_rest(trained):
    printed = make(trained, "exp-wrong", expect=2)
    assert "looked for" in printed and "python data.py fetch cifar10" in printed
    assert "1 diverged" in printed and "status: 1 done, 1 diverged, 1 missing" in printed and "Traceback" not in printed
    assert would_train(trained, "exp-wrong") == [("tiny/lacks", "0")]  # a diverged run is a result
    assert not (trained / "runs/tiny/lacks/seed0").exists()


def test_a_failed_run_is_named_and_mended_by_the_next_make(tmp_path):
    folder = copy_project(tmp_path / "project")
    printed = make(folder, "exp-tiny", expect=2, prefix=("bash", "-c", 'ulimit -f 100; exec "$@"', "bash"))  # no file above 100 kB
    assert "status: 2 failed" in printed
    assert "failed      tiny/a seed 0  OSError" in make(folder, "status")
    make(folder, "exp-tiny")
    assert not (folder / "runs/tiny/a/seed0/failed.txt").exists()


def test_two_makes_at_once_never_train_the_same_run(tmp_path):
    folder = copy_project(tmp_path / "project")
    printed = [process.communicate()[0] for process in [make(folder, "-j2", "exp-tiny", start=True) for _ in range(2)]]
    assert sum(p.count("begins") for p in printed) == 2, printed
    assert not list(folder.glob("runs/tiny/*/seed0.1")) and would_train(folder, "exp-tiny") == []


def test_a_signal_to_make_reaches_the_run_which_saves_and_goes_on_later(tmp_path):
    folder = copy_project(tmp_path / "project")
    process, run = make(folder, "exp-long", start=True), folder / "runs/tiny/long/seed0"
    while not (run / "log.jsonl").exists() or not (run / "log.jsonl").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    assert "running     tiny/long" in make(folder, "status")
    assert "another process" in make(folder, "exp-long", expect=2)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode != 0
    deadline = time.time() + 20
    while "interrupted tiny/long" not in make(folder, "status") and time.time() < deadline:
        time.sleep(0.1)
    assert (run / "checkpoint.pt").exists() and "stopped by SIGTERM" in (run / "train.log").read_text()
    printed = make(folder, "exp-long", "STOP_AFTER=6s", expect=2)
    assert "goes on after epoch" in printed and "stopped by the deadline" in printed and "1 interrupted" in printed
    assert (folder / "runs/figures/exp-long/curves.png").exists()


def test_a_deadline_that_is_over_starts_nothing(trained):
    printed = make(trained, "exp-chain", "STOP_AFTER=0s", expect=2)
    assert "no time left" in printed and "begins" not in printed and "status: 1 done, 1 missing" in printed
    assert "no time such as" in make(trained, "exp-tiny", "STOP_AFTER=soon", expect=2)
    left = re.findall(r"--stop-after (\d+)s", make(trained, "-n", "exp-chain", "STOP_AFTER=1h30m"))
    assert len(left) == 1 and 5390 <= int(left[0]) <= 5400
    assert 480 >= int(re.search(r"--stop-after (\d+)s", make(trained, "-n", "exp-chain", "STOP_AFTER=08m"))[1]) > 470


def test_gpus_are_taken_in_turn_and_cores_are_shared(tmp_path):
    folder = copy_project(tmp_path / "project")
    assert re.findall(r"CUDA_VISIBLE_DEVICES=(\d)", make(folder, "-n", "exp-wrong", "GPUS=2")) == ["0", "1", "0"]
    assert "CUDA_VISIBLE_DEVICES" not in make(folder, "-n", "exp-wrong")
    assert len(re.findall(r"--threads 1\b", make(folder, "-n", f"-j{os.cpu_count()}", "exp-wrong"))) == 3
    assert "--threads" not in make(folder, "-n", "exp-wrong")


def test_show_redo_list_status(trained):
    assert make(trained, "show", "RUN=tiny/b").strip() == (
        f"{sys.executable} train.py --act relu --synthetic --batch-size 100 --max-steps 2 --lr 0.01 --momentum 0.8 --run tiny/b --seed 0")
    for target in ("show", "redo"):
        assert "make list names the runs" in make(trained, target, "RUN=tiny/x", expect=2)
    printed = make(trained, "redo", "RUN=tiny/b")
    assert "begins" in printed and "done        tiny/b seed 0" in printed and (trained / "runs/tiny/b/seed0.1").exists()
    assert "exp-chain: A run that starts from another." in make(trained, "list")
    printed = make(trained, "status")
    assert "missing     tiny/lacks" in printed and "1 run cannot be trained as things are: No CIFAR-10" in printed and "status: 2 done, 6 missing" in printed


def test_a_comparison_of_an_undeclared_run_is_said_at_once(trained):
    edit(trained, "exp.tiny       = tiny/a tiny/b", "exp.tiny       = tiny/a tiny/bb")
    assert "exp.tiny names tiny/bb, which no run.tiny/bb declares" in make(trained, "help", expect=2)


def test_help_names_every_target():
    printed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, env=clean_environment()).stdout
    words = {line.split()[0] for line in printed.splitlines() if line.startswith("  ")}
    expected = {"quickstart", "test", "smoke", "all", "list", "status", "show", "redo", "report", "bench", "clean", "help"}
    assert expected | {f"exp-{name}" for name in report.declarations()["exp"]} | {f"report-{name}" for name in REPORTS} == words


def test_clean_leaves_data_results_and_runs(trained):
    for name in ("data", "results", "runs-flags", "runs-smoke", "runs-synthetic", "runs-quickstart"):
        (trained / name).mkdir()
        (trained / name / "file").write_text("")
    make(trained, "clean")
    assert {p.name for p in trained.iterdir() if p.is_dir()} == {"data", "results", "runs", "runs-flags", "experiments"}
    assert (trained / "runs/tiny/a/seed0/result.json").exists()


def test_report_writes_pages_figures_and_the_readme_from_records(trained):
    for name in "ab":  # as if they were full runs on real data
        file = trained / f"runs/tiny/{name}/seed0/result.json"
        result = json.loads(file.read_text())
        result["data"]["synthetic"], result["max_steps"] = False, None
        file.write_text(json.dumps(result))
    (trained / "README.md").write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    make(trained, "report")
    page, readme = (trained / "results/tiny.md").read_text(), (trained / "README.md").read_text()
    assert "## exp-tiny" in page and "](figures/exp-tiny-curves.png)" in page and "Not measured yet." in page
    assert (trained / "results/figures/exp-tiny-curves.png").exists()
    assert readme.startswith("before") and readme.endswith("after\n") and "old" not in readme and "| test acc 50 % |" in readme
    before = tree(trained)
    shutil.rmtree(trained / "runs")  # another box: the records are enough
    make(trained, "report")
    assert {k: v for k, v in before.items() if k.parts[0] != "runs"} == tree(trained)


# ----------------------------------------------------------------------------------------------------------------- declarations

DECLARED = report.declarations()


@pytest.mark.parametrize("run", DECLARED["run"])
def test_every_declared_run_has_flags_that_train_takes_and_what_was_reported(run):
    args = train.parse(DECLARED["run"][run].split() + ["--run", run])
    assert args.run == run and train.declared(DECLARED["run"][run].split()) == DECLARED["run"][run]
    assert any(run in runs for runs in DECLARED["exp"].values())
    want = DECLARED["want"][run]
    if want != "none":
        metrics = {"train_loss", "train_acc", "valid_loss", "valid_acc", "test_loss", "test_acc", "tail_loss"}
        metrics |= {"tail_loss+penalty", *(f"{loss}/{args.batch_size}" for loss in ("train_loss", "train_loss+penalty"))}  # report 2's losses
        for word in want.split():
            metric, epoch, numbers = re.fullmatch(r"([\w+/]+)(?:@(\d+))?=([\d.]+(?:\.\.[\d.]+)?|nan)", word).groups()
            assert metric in metrics and all(0 <= float(n) <= 1 for n in numbers.split("..") if "_acc" in metric) and int(epoch or 1) <= args.epochs


def test_declarations_fit_together():
    assert set(DECLARED["want"]) == set(DECLARED["run"]) and set(DECLARED["plots"]) == set(DECLARED["exp"])
    assert list(DECLARED["claim"]) == list(report.CLAIMS)  # one sentence there, one function here, in the same order
    assert {word.partition(":")[0] for words in DECLARED["plots"].values() for word in words} <= {
        "curves", "faces", "by-epoch", "sweep", "single", "pick", "against", "confusion", "features", "layers"}
    assert all(DECLARED["about"].values())
    flags = {run: json.dumps(train.identity(train.parse(f.split()))) for run, f in DECLARED["run"].items()}
    twice = [run for run, f in flags.items() if list(flags.values()).count(f) > 1]
    assert twice == ["lenet_vgg/vgg1-no-aug", "lenet_vgg/vggdrop-5"]  # the report has it under two names; no other two are the same training


def test_the_settings_of_report_1_are_the_reports():
    parse = {run: train.parse(flags.split()) for run, flags in DECLARED["run"].items() if run.startswith("keypoints/")}
    assert all((a.batch_size, a.model, a.data) == (64, "keypoint", "faces21") for a in parse.values())
    assert all(a.epochs == (400 if run.endswith("400") else 250) for run, a in parse.items())
    sgd, adam, switched, step, bn, dropout = (parse[f"keypoints/{r}"] for r in ("sgd", "adam", "adam-sgd", "adam-step", "adam-bn", "adam-bn-dropout"))
    assert (sgd.optim, sgd.lr) == ("sgd", 1e-5) and (adam.optim, adam.lr, adam.norm, adam.dropout) == ("adam", 0.01, "none", 0)
    assert (switched.switch_after, switched.switch_optim, switched.switch_lr) == (200, "sgd", 1e-5)
    assert (step.schedule, step.step_size, step.gamma) == ("step", 100, 0.5) and (bn.norm, dropout.norm, dropout.dropout) == ("bn", "bn", 0.3)


def test_the_settings_of_report_2_are_the_reports():
    parse = {run.partition("/")[2]: train.parse(flags.split()) for run, flags in DECLARED["run"].items() if run.startswith("lenet_vgg/")}

    def names(exp):
        return [run.partition("/")[2] for run in DECLARED["exp"][exp]]
    lenet = {run: a for run, a in parse.items() if a.model == "lenet5"}
    assert all((a.batch_size, a.optim, a.data) == (4, "sgd", "cifar10") for a in lenet.values())
    assert {run for run, a in parse.items() if a.split == "all"} == set(names("lenet-act"))
    named = [*names("clip"), *names("lenet-dropout"), *names("lenet-templates")]
    assert all((parse[r].l2, parse[r].split, parse[r].pool) == (0.01, "random", "avg" if r.startswith(("dropout", "all")) else "max") for r in named)
    assert {r: (parse[r].lr, parse[r].momentum, parse[r].clip, parse[r].epochs) for r in named} == {
        "momentum99": (0.001, 0.99, 0, 1), "momentum99-clip": (0.001, 0.99, 1, 1), "lr01-momentum9": (0.01, 0.9, 0, 4), "dropout-early": (0.01, 0.9, 0, 10),
        "fc2-dropout": (0.01, 0.99, 1, 10), "fc2-bn-dropout": (0.01, 0.99, 1, 10), "fc3-bn-dropout": (0.01, 0.99, 1, 10), "template1": (0.01, 0.9, 1, 50),
        "template2": (0.01, 0.9, 1, 50), "all-sigmoid": (0.01, 0.9, 0, 30), "all-relu": (0.01, 0.9, 0, 30)}
    assert all(parse[r].dropout == 0.5 and parse[r].norm == ("none" if r == "fc2-dropout" else "bn") for r in named)
    assert {r for r in named if parse[r].fc == (128,)} == {"fc2-dropout", "fc2-bn-dropout", "template2"}
    assert {r for r in parse if parse[r].fc_norm == "bn"} == {"dropout-early"} and {r for r in named if parse[r].dropconnect == 0.5} == {"all-sigmoid", "all-relu"}
    assert {r: parse[r].act for r in named if parse[r].act != "relu"} == {"all-sigmoid": "sigmoid"}
    half = [r for r, a in parse.items() if a.schedule == "multistep" and a.gamma == 0.5]  # at the start of epochs 5, 10, 15, ...
    assert all(parse[r].milestones == tuple(range(4, parse[r].epochs, 5)) for r in half)
    assert set(half) >= set(named) - set(names("clip"))

    vggs = [*names("vgg-ablation"), *names("vgg-dropout"), *names("vgg-depth")]
    assert set(names("vgg-final")) <= set(vggs) and {r for r, a in parse.items() if a.test_weights == "best"} == {*names("vgg-final"), "regularizers-early-stop"}
    common = dict(batch_size=128, optim="sgd", lr=0.01, momentum=0.9, epochs=30, split="random", dropconnect=0, act=None)
    assert all(vars(parse[r]).items() >= common.items() and r in half and parse[r].model == (r[:5] if r[:5] in ("vgg16", "vgg19") else "vgg13") for r in vggs)
    assert all(a.clip == (1 if a.l2 else 0) for r, a in parse.items() if r in vggs)
    assert {r: (parse[r].norm == "bn", parse[r].flip and parse[r].pad_crop == 4, parse[r].l2, parse[r].dropout) for r in vggs} == {
        "vgg1-all": (True, True, 0.01, 0.5), "vgg2-none": (False, False, 0, 0), "vgg1-no-aug": (True, False, 0.01, 0.5), "vgg1-no-l2": (True, True, 0, 0.5),
        "vgg1-no-bn": (False, True, 0.01, 0.5), "vgg1-no-dropout": (True, True, 0.01, 0), "vgg3-l2": (True, False, 0.05, 0), "vgg4-dropout": (True, False, 0, 0.5),
        "vgg5-aug": (True, True, 0, 0), "vgg6-bn": (True, False, 0, 0), **{f"vggdrop-{i}": (True, False, 0.01, i / 10) for i in range(1, 6)},
        "vggdrop-1-l2-3": (True, False, 0.03, 0.1), "vggdrop-1-l2-5": (True, False, 0.05, 0.1), "vgg16-all": (True, True, 0.01, 0.2),
        "vgg16-bn": (True, False, 0, 0), "vgg16-bn-dropout": (True, False, 0, 0.5), "vgg16-l2-10": (True, False, 0.1, 0), "vgg16-l2-5": (True, False, 0.05, 0),
        "vgg16-l2-1-aug": (True, True, 0.01, 0), "vgg16-l2-5-aug": (True, True, 0.05, 0), "vgg19-yy": (True, True, 0.05, 0), "vgg19-xx": (True, True, 0.05, 0.3),
        "vgg19-zz": (True, True, 0.05, 0.5), "vgg19-xx-l2-10": (True, True, 0.1, 0.3), "vgg19-l2": (True, False, 0.05, 0), "vgg19-aug": (True, True, 0, 0),
        "vgg19-plain": (True, False, 0, 0)}
    want = {r: [int(100 * float(x) + 0.5) for x in re.findall(r"valid_acc(?:@\d+)?=([\d.]+)", DECLARED["want"][f"lenet_vgg/{r}"])] for r in vggs}
    assert want == {**dict.fromkeys(vggs, []), "vgg1-all": [76, 78, 79], "vgg2-none": [9, 9, 9], "vgg1-no-bn": [9], "vggdrop-1": [80, 83, 83], "vggdrop-2": [80, 83, 84],
                    "vggdrop-3": [81, 84, 84], "vggdrop-4": [80, 83, 83], "vggdrop-5": [80, 82, 83], "vggdrop-1-l2-3": [82, 85, 86], "vggdrop-1-l2-5": [80, 86, 87],
                    "vgg5-aug": [85, 86, 86], "vgg6-bn": [84], "vgg16-bn": [83, 83, 84], "vgg16-bn-dropout": [83, 83, 84], "vgg16-l2-10": [82, 83, 83],
                    "vgg16-l2-5": [82, 83, 83], "vgg16-l2-5-aug": [82, 84, 85], "vgg19-yy": [83, 86, 86], "vgg19-xx": [83, 86, 86], "vgg19-zz": [83, 85, 85],
                    "vgg19-l2": [84, 85, 86], "vgg19-aug": [84, 86, 86]}

    for plain, scored in zip(names("protocol")[::2], names("protocol")[1::2]):
        assert train.identity(parse[scored]) == {**train.identity(parse[plain]), "protocol": "report"}
    base = dict(act="relu", channels=(16, 36), kernels=(5, 3), fc=(128, 96), split="random", lr=0.001, momentum=0.9, l2=0, dropout=0, norm="none")
    for exp in ("kernel", "lr-decay", "dropconnect", "regularizers"):  # one thing changed at a time
        first, *others = (vars(parse[r]) for r in names(exp))
        assert first.items() >= base.items()
        for other in others:
            assert {k for k in other if other[k] != first[k]} <= {"run", "kernels", "schedule", "step_size", "milestones", "gamma", "patience", "dropconnect", "label_smoothing",
                                                                  "input_noise", "input_dropout", "early_stop", "test_weights"}
    assert [parse[r].kernels for r in names("kernel")[1:]] == [(3, 3), (5, 5), (7, 7)] and {parse[r].norm for r in names("norm")} == {"none", "bn", "ln", "in", "gn"}
    assert [(parse[r].schedule, parse[r].step_size, parse[r].gamma) for r in ("lr-decay-step10", "lr-decay-step30")] == [("step", 10, 0.01), ("step", 30, 0.1)]
    assert [parse[r].model for r in names("architectures")] == ["vgg13", "nin", "googlenet", "resnet18"] and parse["architectures-resnet18"].stem == "cifar"
    assert report.ABLATION[0] == "vgg5-aug" and set(report.ABLATION) == set(names("vgg-ablation"))


def test_the_settings_of_report_3_are_the_reports():
    parse = {run.partition("/")[2]: train.parse(flags.split()) for run, flags in DECLARED["run"].items() if run.startswith("net/")}
    assert all((a.split, a.test_each_epoch, a.data, a.momentum) == ("all", True, "cifar10", 0.9) for a in parse.values())
    assert {run: a.batch_size for run, a in parse.items() if a.batch_size != 64} == {
        "batch-16": 16, "batch-32": 32, "batch-128": 128, "batch-128-lr2": 128, "batch-128-epochs24": 128}
    assert {run: a.epochs for run, a in parse.items() if a.epochs != 12} == {"batch-128-epochs24": 24}
    assert {run: a.lr for run, a in parse.items() if a.lr != 0.001} == dict.fromkeys(
        "batch-128-lr2 sgd-lr2 adam-lr2 sgd-step adam-step best best-augmix resnet18 resnet18-pretrained".split(), 0.002)
    assert {run for run, a in parse.items() if a.optim == "adam"} == set(
        "adam adam-lr2 adam-own-colours adam-step best best-augmix resnet18 resnet18-pretrained".split())
    assert {run for run, a in parse.items() if a.normalise != "half"} == {"baseline-own-colours", "adam-own-colours"}
    for run in ("sgd-step", "adam-step"):
        assert (parse[run].schedule, parse[run].step_size, parse[run].gamma) == ("step", 5, 0.5)
    best = vars(parse["best"])
    recipe = dict(weight_decay=1e-4, schedule="cosine", flip=True, pad_crop=2, autoaugment=0.6, augmix=0)
    assert best.items() >= dict(recipe, channels=(256, 256), norm="bn", dropout=0.1).items()
    assert vars(parse["resnet18"]).items() >= recipe.items() and not parse["resnet18"].pretrained
    assert (parse["resnet18-pretrained"].pretrained, parse["resnet18-pretrained"].freeze) == (True, "features")
    assert vars(parse["best-augmix"]).items() >= dict(recipe, autoaugment=0, augmix=0.6).items()
    assert (parse["bn"].norm, parse["kaiming"].init, parse["double"].channels, parse["flip"].flip) == ("bn", "kaiming", (12, 32), True)
    want = [float(x) for x in re.findall(r"test_acc@\d+=([\d.]+)", DECLARED["want"]["net/baseline"])]
    assert want == [0.16, 0.29, 0.36, 0.40, 0.43, 0.46, 0.48, 0.50, 0.51, 0.53, 0.55, 0.56]


def test_the_settings_of_report_4_are_the_reports():
    parse = {run.partition("/")[2]: train.parse(flags.split()) for run, flags in DECLARED["run"].items() if run.startswith("mlp_cnn/")}
    common = dict(split="last", epochs=50, batch_size=128, optim="adam", test_weights="best", test_each_epoch=False)
    assert all(vars(a).items() >= common.items() for a in parse.values())
    assert all(a.lr == {"mlp": 5e-3, "cnn": 2e-3}[a.model] for run, a in parse.items() if "-lr-" not in run)
    assert all(a.dropout == {"mlp": 0.5, "cnn": 0.1}[a.model] for run, a in parse.items() if "dropout" not in run or "dropout-bn" in run)
    values = {(flag, net): [getattr(parse[run.partition("/")[2]], flag) for run in DECLARED["exp"][f"{flag}-sweep"] if parse[run.partition("/")[2]].model == net]
              for flag in ("dropout", "lr") for net in ("mlp", "cnn")}
    assert values == {("dropout", "mlp"): [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], ("dropout", "cnn"): [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3],
                      ("lr", "mlp"): [1e-1, 5e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4], ("lr", "cnn"): [1e-2, 2e-3, 1e-3, 2e-4, 1e-4, 2e-5, 1e-5]}
    assert {run: a.order for run, a in parse.items() if a.order not in (None, "conv-bn-relu-dropout-pool")} == {
        "cnn-relu-bn": "conv-relu-bn-dropout-pool", "cnn-pool-first": "pool-conv-bn-relu-dropout", "cnn-dropout-bn": "conv-dropout-bn-relu-pool"}
    assert {run for run, a in parse.items() if a.norm == "none"} == {"mlp-no-bn", "cnn-no-bn"}
    assert {run.partition("/")[2]: want.split()[:2] for run, want in DECLARED["want"].items() if run.startswith("mlp_cnn/") and want != "none"} == {
        run: [f"test_acc={accuracy}", f"test_loss={loss}"] for run, accuracy, loss in (
            ("mlp", 0.545, 1.43), ("cnn", 0.748, 0.86), ("cnn-relu-bn", 0.728, "1.0602"), ("cnn-pool-first", 0.642, 1.0482), ("cnn-dropout-bn", 0.746, "0.8510"))}
    for sweep, names in (("dropout-sweep", report.DROPOUTS), ("lr-sweep", report.RATES)):  # the claims' lists are the comparisons' own
        assert [f"mlp_cnn/{name}" for net in ("mlp", "cnn") for name in names[net]] == DECLARED["exp"][sweep]


def test_the_settings_of_report_5_are_the_reports():
    parse = {run.partition("/")[2]: train.parse(flags.split()) for run, flags in DECLARED["run"].items() if run.startswith("caltech35/")}
    common = dict(data="caltech35", batch_size=32, optim="sgd", flip=True, drop_last=True, schedule="multistep", gamma=0.1, normalise="imagenet", test_each_epoch=False)
    assert all(vars(a).items() >= common.items() for a in parse.values())
    longer = {run: (a.epochs, a.milestones) for run, a in parse.items() if (a.epochs, a.milestones) != (20, (15,))}
    assert longer == {**{f"denoise-{s}": (30, (15, 25)) for s in (0, 10, 30, 50)}, **{f"{net}-60": (60, (45,)) for net in ("base", "bottleneck")}}
    assert {run: a.lr for run, a in parse.items() if a.lr != 0.01} == {
        "base-lr-5": 0.005, "base-lr-1": 0.001, "basic-block-lr-5": 0.005, "basic-block-lr-1": 0.001, "base-mse-scaled": 11.2,  # 0.01 * 32 * 35
        "basic-block-euclid-lr3-features": 0.001}
    noisy = [f"{kind}-{s}" for kind in ("noise", "denoise", "clean", "clean-resnet18") for s in (0, 10, 30, 50)[kind.startswith("clean"):]]
    assert {run for run, a in parse.items() if a.momentum != 0} == {"base-momentum", *noisy} and {a.momentum for a in parse.values()} == {0, 0.9}
    assert {run: a.label_noise for run, a in parse.items() if a.label_noise} == {run: int(run.rpartition("-")[2]) / 100 for run in noisy if not run.endswith("-0")}
    recipe = {run for run, a in parse.items() if (a.rotation, a.weight_decay) == (15, 0.001)}
    assert recipe == {f"denoise-{s}" for s in (0, 10, 30, 50)} and all((a.rotation, a.weight_decay) == (0, 0) for run, a in parse.items() if run not in recipe)
    assert all((a.clean_by, a.clean_share) == (f"caltech35/scorer{'-resnet18' * ('resnet18' in run)}", a.label_noise) if run.startswith("clean") else not a.clean_by
               for run, a in parse.items())
    more = {f"{net}-lr-{rate}": f"caltech35/{net}" for net in ("base", "basic-block") for rate in (5, 10, 1)} | dict.fromkeys(("base-momentum", "base-more-epochs"), "caltech35/base")
    stages = {run: f"caltech35/{run}-features" for run in parse if f"{run}-features" in parse}
    assert {run: a.init_from for run, a in parse.items() if a.init_from} == {**more, **stages} and len(stages) == 7
    assert {run: a.split for run, a in parse.items() if a.split != "given"} == {
        **{run: "all" for run in more if run != "base-more-epochs"}, "resnet18-224-more": "train+addition", "scorer": "val+addition", "scorer-resnet18": "val+addition",
        "basic-block-euclid-more": "train+addition", "basic-block-euclid-more-features": "train+addition"}
    for run, a in parse.items():  # what is frozen, and by what each part learns
        first, second = run.endswith("-features"), run in stages
        assert a.freeze == ("classifier" if first else "features" if second or a.pretrained else "none"), run
        assert a.loss == (("triplet-cosine" if "cosine" in run else "triplet-euclid") if first else
                          {"base-square": "square", "basic-block-square": "square", "base-mse": "mean-square", "base-mse-scaled": "mean-square"}.get(run, "cross-entropy")), run
        assert a.margin == (1 if "margin1" in run and first else 0.25)
        net = next((n for n in ("basic-block", "bottleneck", "vgg16", "resnet18") if run.startswith((n, f"scorer-{n}"))), "base")
        assert a.model == {"basic-block": "basic_block", "vgg16": "vgg16_imagenet"}.get(net, net) and a.pretrained == (net in ("vgg16", "resnet18"))
        assert a.side == (224 if "-224" in run or run == "scorer-resnet18" else 112), run
    want = {run: [float(x) for x in re.findall(r"\d+(?:\.\d+)?", DECLARED["want"][f"caltech35/{run}"].rpartition("=")[2])] for run in parse}
    assert {run: w for run, w in want.items() if w} == {
        "base": [0.38], "basic-block": [0.3979], "bottleneck": [0.3643], "vgg16-112": [0.8529], "resnet18-112": [0.7743], "vgg16-224": [0.9264], "resnet18-224": [0.9043],
        "base-cosine-features": [0.188, 0.235], "base-cosine": [0.2557], "basic-block-cosine-features": [0.246, 0.25], "basic-block-cosine": [0.1993],
        "base-euclid-features": [0.169, 0.321], "base-euclid": [0.2564], "basic-block-euclid-features": [0.163, 0.278], "basic-block-euclid": [0.0507],
        "base-square": [0.44], "basic-block-square": [0.2614], "base-mse": [0, 0.05], "base-lr-5": [0.4471], "base-lr-10": [0.4743], "base-lr-1": [0.4229],
        "basic-block-lr-5": [0.4471], "basic-block-lr-10": [0.4657], "basic-block-lr-1": [0.43], "base-momentum": [0.5443], "noise-10": [0.4679], "noise-30": [0.3786],
        "noise-50": [0.3021], "denoise-10": [0.4621], "denoise-30": [0.3836], "denoise-50": [0.3226, 0.3236]}
    assert [f"caltech35/{name}" for names in report.RATES_5.values() for name in sorted(names)] == sorted(DECLARED["exp"]["lr"])
    assert {run.partition("/")[2] for exp in ("nets", "pretrained") for run in DECLARED["exp"][exp]} | {"resnet18-224-more"} == {
        run.partition("/")[2] for run in DECLARED["exp"]["features"]}


# ----------------------------------------------------------------------------------------------------------------------- records


def record(run, seed=0, status="finished", valid=(), train_=(), curves={}, **metrics):
    """A record whose curves are `valid`, `train_` and more, and whose final numbers are their last."""
    valid, train_ = list(valid), list(train_)
    final = {"train_loss": train_[-1] if train_ else None, "valid_loss": valid[-1] if valid else None, "train_acc": None, "test_acc": None}
    return {"run": run, "seed": seed, "status": status, "metrics": {**final, **metrics}, "curves": {"valid_loss": valid, "train_loss": train_, **curves}}


def keypoint_records(**change):
    """Records in which every claim of report 1 holds; `change` replaces the arguments of a run's."""
    wave = [10 + (1 if e % 2 else -1) for e in range(50)]
    fall = [100 - e / 2 for e in range(180)]
    base = {
        "sgd": dict(valid=[40] * 250, train_=[40] * 250),
        "adam": dict(valid=fall + [10] * 20 + wave, train_=fall[:60] + [10] * 190, valid_loss_turned=50.0),
        "adam-sgd": dict(valid=fall + [10] * 20 + [15] * 50, train_=[10] * 250),
        "adam-step": dict(valid=fall + [14, 6] * 35, train_=fall[:70] + [10] * 180, valid_loss_turned=60.0),
        "adam-bn": dict(valid=[90] * 50 + [6] * 200, train_=[3] * 250, valid_loss_turned=30.0),
        "adam-bn-dropout": dict(valid=[90] * 50 + [6] * 200, train_=[5] * 250, valid_loss_turned=30.0),
        "adam-400": dict(valid=[10, 12] * 200, train_=[9] * 400), "adam-sgd-400": dict(valid=[9] * 400, train_=[9] * 400)}
    return [record(f"keypoints/{run}", **{**how, **change.get(run.replace("-", "_"), {})}) for run, how in base.items()]


def lenet_records(**change):
    """Records in which every claim of report 2 holds: by run, test accuracy, or valid accuracy and train accuracy of all 30 epochs."""
    tested = {"sigmoid-classic": 0.2, "sigmoid-wide": 0.21, "relu-classic": 0.62, "relu-wide": 0.68, "vgg19-aug": 0.85, "dropout-early": 0.5}
    falling = {"train_loss": [2 - 0.01 * e - (0.1 * ((e + 1) // 5)) for e in range(50)]}
    valid = {"fc2-dropout": 0.56, "fc2-bn-dropout": 0.60, "fc3-bn-dropout": 0.58, "template1": 0.64, "template2": 0.65, "all-relu": 0.1, "all-sigmoid": 0.1,
             "vgg2-none": 0.1, "vgg1-no-bn": 0.1, "vgg3-l2": 0.85, "vgg5-aug": 0.86, "vgg6-bn": 0.84, "vgg4-dropout": 0.84, "vgg1-all": 0.79, "vgg1-no-aug": 0.83,
             "vgg1-no-l2": 0.855, "vgg1-no-dropout": 0.855, "vggdrop-1": 0.83, "vggdrop-2": 0.835, "vggdrop-3": 0.84, "vggdrop-4": 0.832, "vggdrop-5": 0.825,
             "vggdrop-1-l2-3": 0.86, "vggdrop-1-l2-5": 0.87, "vgg16-bn": 0.84, "vgg16-l2-5": 0.83, "vgg19-plain": 0.82, "vgg19-l2": 0.86, "vgg19-aug": 0.87,
             "vgg19-yy": 0.86, "vgg19-xx": 0.86, "vgg19-zz": 0.85}
    slow = {run: [0.1] * 4 + [a] * 26 for run, a in valid.items()} | {"vgg5-aug": [0.1] * 3 + [0.86] * 27}
    fit = dict.fromkeys(valid, 0.99) | {"vgg3-l2": 0.95, "vgg16-l2-5": 0.95, "vgg19-l2": 0.95}
    clip = {"momentum99": dict(status="diverged", train_=[None]), "momentum99-clip": dict(train_=[1.9]), "lr01-momentum9": dict(train_=[1.7, 1.6, 1.5, 1.4])}
    records = []
    for run in [*tested, *(run for run in valid if run not in tested), *clip]:
        new = change.get(run.replace("-", "_"), {})
        how = {"test_acc": tested.get(run), "valid_acc": valid.get(run), "train_acc": fit.get(run), "curves": {"valid_acc": slow.get(run, [])}, **clip.get(run, {})}
        if run.startswith("template"):
            how["curves"].update(falling)
        records.append(record(f"lenet_vgg/{run}", **{**how, **(new if isinstance(new, dict) else {"valid_acc": new} if run in valid and run != "vgg19-aug" else {"test_acc": new})}))
    return records


NET = {"batch-16": 0.65, "batch-32": 0.63, "batch-128": 0.47, "bn": 0.65, "kaiming": 0.57, "double": 0.60, "best": 0.83, "resnet18": 0.83,
       "baseline": dict(test_acc=0.56, train_loss=1.21, curves={"test_acc": [0.16, 0.29, 0.36, 0.40, 0.43, 0.46, 0.47, 0.49, 0.51]}),
       "adam": dict(test_acc=0.65, train_loss=0.779, curves={"test_acc": [0.48]}), "flip": dict(test_acc=0.56, train_loss=1.226),
       "sgd-step": dict(test_acc=0.60, train_loss=1.068), "adam-step": dict(test_acc=0.65, train_loss=0.668)}


def net_records(**change):
    records = []
    for run, how in NET.items():
        how = dict(how) if isinstance(how, dict) else {"test_acc": how}
        new = change.get(run.replace("-", "_"), {})
        records.append(record(f"net/{run}", **{**how, **(new if isinstance(new, dict) else {"test_acc": new})}))
    return records


def mlp_cnn_records(**change):
    """Records in which every claim of report 4 holds; a run's final valid and train accuracy are those of its last ten epochs."""
    tested = {"mlp": 0.545, "cnn": 0.748, "mlp-no-bn": 0.50, "cnn-no-bn": 0.70, "mlp-no-dropout": 0.50, "cnn-no-dropout": 0.74, "cnn-relu-bn": 0.728,
              "cnn-pool-first": 0.642, "cnn-dropout-bn": 0.746}
    valid = dict(zip([*report.DROPOUTS["mlp"], *report.DROPOUTS["cnn"]], [0.50, 0.51, 0.52, 0.53, 0.528, 0.54, 0.55, 0.73, 0.74, 0.75, 0.74, 0.75, 0.74, 0.73]))
    fit = dict(zip(valid, [0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.5, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90, 0.89]))
    turning = {net: dict(valid=[2.0] * 9 + [1.4] + [1.6] * 40, train_=[2.0 - 0.02 * e for e in range(50)]) for net in ("mlp", "cnn")}
    large = {names[0]: dict(valid=[3.0] * 50, train_=[5.0] * 5 + [2.3] * 45) for names in report.RATES.values()}
    small = {names[-1]: dict(valid=[2.2 - 0.01 * e for e in range(50)], train_=[2.2 - 0.01 * e for e in range(50)]) for names in report.RATES.values()}
    records = []
    for run in dict.fromkeys([*tested, *valid, *report.RATES["mlp"], *report.RATES["cnn"]]):
        new = dict(change.get(run.replace("-", "_"), {}))
        accuracy, train_accuracy = new.pop("valid_acc", valid.get(run, 0.45)), new.pop("train_acc", fit.get(run, 0.5))
        base = turning.get(run) or large.get(run) or small.get(run) or dict(valid=[1.5] * 50, train_=[1.5] * 50)
        records.append(record(f"mlp_cnn/{run}", **{"curves": {"valid_acc": [accuracy] * 50, "train_acc": [train_accuracy] * 50}, "test_acc": tested.get(run, 0.5),
                                                   **base, **new}))
    return records


def described(train_right, test_right, silhouette=0.2, apart=0.0, spread=0.5, special=None, all_as=None, test=None):
    """What plots.describe gives of 35 classes of 100 images: shares right, the rest called the next class; special: another share of test images
    for classes 4, 8, 14, 16, 23, 24; all_as: the class that nine tenths of the wrong ones are called instead; test: the rows themselves."""
    def rows(share, other):
        rows = [[0] * 35 for _ in range(35)]
        for c in range(35):
            right = round(100 * (other if other is not None and c in (4, 8, 14, 16, 23, 24) else share))
            rows[c][c] += right
            rows[c][(c + 1) % 35] += (100 - right) // 10 if all_as is not None else 100 - right
            rows[c][all_as or 0] += 100 - right - (100 - right) // 10 if all_as is not None else 0
        return rows
    return {"confusion": {"train": rows(train_right, None), "test": test or rows(test_right, special)}, "silhouette": {"1-5": silhouette, "3,5": apart}, "spread": spread}


def confused(*counts, others=0, called=None):
    """Rows of 100 images a class: so many right by class (`others` of the rest), the wrong ones called the next class, or the class `called`."""
    rights = [*counts, *[others] * (35 - len(counts))]
    rows = [[0] * 35 for _ in range(35)]
    for c, right in enumerate(rights):
        rows[c][c] += right
        rows[c][(c + 1) % 35 if called in (None, c) else called] += 100 - right
    return rows


SIX = (4, 8, 14, 16, 23, 24)
JUMP = {"train_acc": [0.03 * e for e in range(15)] + [0.6] * 5, "valid_acc": [0.3] * 15 + [0.4] * 5, "train_loss": [2.0] * 20}


def caltech_records(**change):
    """Records in which every claim of report 5 holds: by run, (train accuracy, test accuracy, silhouette)."""
    runs = {"base": (0.75, 0.38, 0.1), "basic-block": (0.8, 0.4, 0.11), "bottleneck": (0.5, 0.36, 0.09), "vgg16-112": (0.99, 0.85, 0.3), "resnet18-112": (0.95, 0.77, 0.25),
            "vgg16-224": (0.99, 0.92, 0.34), "resnet18-224": (0.97, 0.90, 0.35), "base-cosine": (0.4, 0.25, 0), "base-euclid": (0.4, 0.25, 0),
            "basic-block-cosine": (0.3, 0.2, 0), "basic-block-euclid": (0.06, 0.05, 0), "base-square": (0.8, 0.44, 0), "basic-block-square": (0.4, 0.26, 0),
            "base-mse": (0.04, 0.03, 0), "base-lr-10": (0.97, 0.47, 0), "base-lr-5": (0.97, 0.45, 0), "base-lr-1": (0.96, 0.42, 0), "basic-block-lr-10": (0.98, 0.47, 0),
            "basic-block-lr-5": (0.98, 0.45, 0), "basic-block-lr-1": (0.97, 0.43, 0), "base-momentum": (1.0, 0.54, 0), "base-more-epochs": (0.97, 0.41, 0),
            **{f"noise-{s}": (0.9, a, 0) for s, a in ((0, 0.5), (10, 0.47), (30, 0.38), (50, 0.30))},
            **{f"denoise-{s}": (0.9, a, 0) for s, a in ((10, 0.46), (30, 0.40), (50, 0.32))}}
    own = {"base-lr-1": dict(train_=[1.0]), "basic-block-lr-1": dict(train_=[1.0]), "base-momentum": dict(curves={"train_acc": [0.5, 0.97]}),
           "base-lr-10": dict(train_=[0.1], curves={"train_acc": [0.5, 0.6, 0.97]}), **{net: dict(curves=JUMP) for net in report.SCRATCH}}
    records = []
    for run, (trained, tested, silhouette) in runs.items():
        new = change.get(run.replace("-", "_"), {})
        new = dict(new) if isinstance(new, dict) else {"test_acc": new}
        collapsed = {"all_as": 2, "spread": 0.01} if run == "basic-block-euclid" else {}
        of_net = {"train_right": trained, "test_right": tested, "silhouette": silhouette, "special": tested + 0.2, **collapsed, **new.pop("described", {})}
        how = {"train_": [0.2], "train_acc": trained, "test_acc": tested, **own.get(run, {}), **new}
        records.append({**record(f"caltech35/{run}", **how), "described": described(**of_net)})
    return records + [record("caltech35/basic-block-euclid-features", train_=[0.25], **change.get("basic_block_euclid_features", {}))]


RECORDS = {"C": caltech_records, "K": keypoint_records, "L": lenet_records, "N": net_records, "M": mlp_cnn_records}
BREAKING = [
    ("C1", dict(bottleneck=0.33)), ("C1", dict(bottleneck=dict(train_acc=0.76))), ("C1", dict(base=dict(status="diverged"))),
    ("C2", dict(base=dict(curves={**JUMP, "valid_acc": [0.39] * 15 + [0.4] * 5}))), ("C2", dict(bottleneck=dict(curves={**JUMP, "train_acc": [0.03 * e for e in range(15)] + [0.43] + [0.5] * 4}))),
    ("C3", dict(resnet18_112=0.4)), ("C3", dict(vgg16_224=0.85)), ("C3", dict(resnet18_224=0.77)), ("C3", dict(vgg16_112=0.76)), ("C3", dict(vgg16_224=0.89)),
    ("C4", dict(base_cosine=0.39)), ("C4", dict(basic_block_euclid=0.11)), ("C4", dict(basic_block_cosine=0.41)), ("C4", dict(basic_block_euclid=dict(described=dict(all_as=None)))),
    ("C5", dict(base_square=0.38)), ("C5", dict(base_mse=dict(train_acc=0.1))), ("C5", dict(base_mse=dict(status="diverged"))), ("C6", dict(base_lr_5=0.48)),
    ("C6", dict(basic_block_lr_5=0.42)), ("C6", dict(base_lr_1=dict(train_=[0.05]))), ("C6", dict(base_lr_1=dict(status="diverged"))), ("C7", dict(base_momentum=0.49)),
    ("C7", dict(base_momentum=dict(curves={"train_acc": [0.5, 0.6, 0.97]}))), ("C8", dict(noise_30=0.47)), ("C8", dict(noise_50=dict(status="diverged"))),
    ("C9", dict(denoise_50=0.33)), ("C9", dict(denoise_10=0.44)), ("C10", dict(base=dict(train_acc=0.69))), ("C10", dict(basic_block=dict(described=dict(apart=0.1)))),
    ("C10", dict(base=dict(described=dict(test_right=0.5)))), ("C11", dict(resnet18_224=dict(described=dict(silhouette=0.33)))),
    ("C11", dict(base=dict(described=dict(silhouette=0.36)))), ("C12", dict(basic_block_square=0.31)), ("C13", dict(base_square=dict(described=dict(special=0.5)))),
    ("C13", dict(basic_block_euclid=dict(described=dict(special=0.1)))), ("C14", dict(base_more_epochs=0.43)), ("C14", dict(base=0.43)), ("C15", dict(base_lr_1=dict(train_acc=0.94))),
    ("C15", dict(base_lr_10=0.61)), ("C15", dict(basic_block_lr_1=0.39)),
    ("C1", dict(bottleneck=dict(status="diverged"))), ("C1", dict(base=dict(train_acc=0.5))), ("C1", dict(basic_block=dict(train_acc=0.5))),
    ("C1", dict(base=dict(train_acc=0.52))), ("C2", dict(base=dict(curves={**JUMP, "train_acc": [0.03 * e for e in range(5)] + [0.5 + 0.001 * e for e in range(10)] + [0.6] * 5}))),
    ("C3", dict(vgg16_112=0.92)), ("C3", dict(vgg16_112=0.77)), ("C3", dict(vgg16_224=0.90)), ("C4", dict(base_cosine=0.38)), ("C4", dict(basic_block_cosine=0.40)),
    ("C4", dict(basic_block_euclid=dict(described=dict(test=confused(others=21, called=2))))), ("C5", dict(base=dict(status="diverged"))),
    ("C7", dict(base_momentum=dict(curves={"train_acc": [None, 0.5, 0.6]}))), ("C8", dict(noise_0=0.47)), ("C9", dict(denoise_30=0.41)),
    ("C10", dict(base=dict(described=dict(test=confused(30, 30, 30, 60, 30, 60, others=30))))), ("C11", dict(resnet18_224=dict(described=dict(silhouette=0.34)))),
    ("C11", dict(base=dict(test_acc=0.41, described=dict(silhouette=0.1)), basic_block=dict(described=dict(silhouette=0.1)), bottleneck=dict(described=dict(silhouette=0.1)),
                 resnet18_112=dict(described=dict(silhouette=0.3)))),  # equal separation of unequal nets is no agreement
    ("C13", dict(base_cosine=dict(described=dict(special=0.25)))), ("C13", dict(base_square=dict(described=dict(test=confused(*(0 if c == 24 else 50 if c in SIX else 30 for c in range(35))))))),
    ("K1", dict(adam=dict(train_=[100] * 100 + [10] * 150))), ("K1", dict(sgd=dict(train_=[5] * 250))), ("K2", dict(adam_sgd=dict(valid=[10] * 200 + [10, 20] * 25))),
    ("K3", dict(adam_step=dict(valid=[14] * 250))), ("K4", dict(adam_bn=dict(valid=[20] * 250))), ("K4", dict(adam_bn_dropout=dict(valid=[20] * 250))),
    ("K5", dict(adam_bn_dropout=dict(train_=[1] * 250))), ("K6", dict(adam_sgd_400=dict(valid=[30] * 400))), ("K6", dict(adam_sgd_400=dict(valid=[5, 9] * 200))),
    ("K7", dict(adam_bn=dict(valid=[90] * 249 + [6]))), ("K8", dict(adam_step=dict(train_=[10] * 250))), ("K8", dict(adam_step=dict(valid=[10] * 250))),
    ("K9", dict(adam_sgd=dict(valid=[5] * 250))), ("K10", dict(adam_step=dict(valid_loss_turned=40.0))), ("K10", dict(adam_bn=dict(valid_loss_turned=55.0))),
    ("N1", dict(batch_32=0.66)), ("N1", dict(batch_32=0.65)), ("N1", dict(batch_128=0.56)), ("N2", dict(flip=0.58)), ("N2", dict(flip=0.54)), ("N2", dict(flip=dict(train_loss=1.2))), ("N3", dict(adam=0.6099)), ("N4", dict(sgd_step=0.5799)),
    ("N4", dict(adam_step=0.67)), ("N4", dict(adam=dict(status="diverged"))), ("N4", dict(baseline=dict(status="diverged"))), ("N4", dict(adam_step=dict(train_loss=0.8))), ("N4", dict(sgd_step=dict(train_loss=1.3))), ("N5", dict(bn=0.6099)),
    ("N6", dict(kaiming=0.5801)), ("N6", dict(kaiming=0.5399)), ("N7", dict(double=0.5799)), ("N8", dict(best=0.7999)), ("N9", dict(resnet18=0.8099)), ("N9", dict(resnet18=0.8501)),
    ("N11", dict(adam=dict(curves={"test_acc": [0.465]}))), ("N11", dict(adam=dict(curves={"test_acc": [0.52]}))), ("N11", dict(adam=dict(curves={"test_acc": [None]}))),
    ("M1", dict(cnn=dict(test_acc=0.6949))), ("M2", dict(mlp_no_bn=dict(test_acc=0.55))), ("M2", dict(cnn_no_bn=dict(test_acc=0.75))),
    ("M3", dict(mlp_no_dropout=dict(test_acc=0.545))),
    ("M3", dict(cnn_no_dropout=dict(test_acc=0.69))), ("M3", dict(cnn=dict(status="diverged"))), ("M4", dict(cnn=dict(status="diverged"))), ("M8", dict(cnn=dict(status="diverged"))),
    ("M4", dict(cnn_dropout_bn=dict(test_acc=0.75))), ("M4", dict(cnn_relu_bn=dict(test_acc=0.75))), ("M4", dict(cnn_pool_first=dict(test_acc=0.75))),
    ("M5", {run.replace("-", "_"): dict(valid_acc=0.5 - i / 1000) for i, run in enumerate(report.DROPOUTS["mlp"])}),
    ("M5", {"mlp_dropout_0.3": dict(valid_acc=0.51)}), ("M5", {"mlp_dropout_0.6": dict(valid_acc=0.49)}), ("M6", {"mlp_lr_1e_3": dict(valid_acc=0.56)}),
    ("M6", {"cnn_lr_1e_2": dict(valid_acc=0.76)}), ("M7", dict(mlp=dict(valid=[2.0] * 9 + [1.4] + [1.46] * 40))), ("M7", dict(cnn=dict(train_=[1.5] * 50))),
    ("M8", dict(cnn_dropout_bn=dict(test_acc=0.7379))), ("M8", dict(cnn_pool_first=dict(test_acc=0.73))),
    ("M8", dict(cnn_relu_bn=dict(test_acc=0.747), cnn_pool_first=dict(test_acc=0.7465))), ("M9", dict(cnn=dict(train_acc=0.94))),
    ("M9", {"mlp_dropout_0.6": dict(train_acc=0.56)}), ("M10", {"cnn_dropout_0.3": dict(valid_acc=0.72)}),
    ("M10", {run.replace("-", "_"): dict(valid_acc=0.75 - i / 1000) for i, run in enumerate(report.DROPOUTS["cnn"])}),
    ("M10", {f"cnn_dropout_{p}": dict(valid_acc=a) for p, a in (("0.15", 0.751), ("0.2", 0.752), ("0.25", 0.753), ("0.3", 0.754))}),
    ("M11", {"mlp_lr_1e_1": dict(train_=[5.0] * 20 + [2.3] * 30)}), ("M11", {"cnn_lr_1e_2": dict(train_=[1.0] * 50)}),
    ("M11", {"cnn_lr_1e_5": dict(valid=[2.0] * 50)}), ("M11", {"cnn_lr_1e_5": dict(valid=[2.0] * 47 + [1.95] + [2.0] * 2)}), ("M11", {"cnn_lr_1e_2": dict(train_=[5.0] * 3 + [None], status="diverged")}),
    ("L1", dict(sigmoid_wide=0.3)), ("L1", dict(relu_classic=0.5)), ("L2", dict(relu_wide=0.6)), ("L11", dict(relu_classic=0.3)),
    ("L3", dict(momentum99=dict(status="finished", train_=[2.1]))), ("L3", dict(momentum99_clip=dict(status="diverged"))), ("L4", dict(fc2_bn_dropout=0.5799)),
    ("L4", dict(fc2_dropout=dict(status="diverged"), fc2_bn_dropout=dict(status="diverged"))), ("L5", dict(template1=dict(curves={"train_loss": [2 / (1 + e) for e in range(50)]}))),
    ("L5", dict(template2=dict(curves={"train_loss": [2 - 0.1 * ((e + 2) // 5) for e in range(50)]}))), ("L6", dict(vgg2_none=0.13)), ("L6", dict(vgg1_no_bn=0.5)),
    ("L7", dict(vgg3_l2=0.84)), ("L7", dict(vgg5_aug=0.83)), ("L8", dict(vggdrop_1=0.845)), ("L8", dict(vggdrop_5=0.84)), ("L9", dict(vggdrop_1=0.86)),
    ("L9", dict(vggdrop_1_l2_5=0.85)), ("L10", dict(vgg19_aug=0.8499)), ("L12", dict(all_relu=0.4)), ("L12", dict(all_sigmoid=0.4)), ("L13", dict(relu_classic=0.5)),
    ("L14", dict(fc3_bn_dropout=0.5901)), ("L15", dict(lr01_momentum9=dict(train_=[2.0, 1.6]))), ("L15", dict(lr01_momentum9=dict(status="diverged", train_=[1.7, None]))),
    ("L16", dict(vgg3_l2=dict(train_acc=1.0))), ("L16", dict(vgg16_l2_5=dict(train_acc=0.999))), ("L16", dict(vgg19_l2=dict(valid_acc=0.83, train_acc=0.9))),
    ("L17", dict(vgg1_no_l2=dict(curves={"valid_acc": [0.1, 0.81] * 15}))), ("L17", dict(vgg5_aug=dict(curves={"valid_acc": [0.7] * 30}))),
    ("L18", dict(vgg1_no_l2=0.87)), ("L18", dict(vgg1_no_dropout=0.87)), ("L18", dict(vgg19_zz=0.88)), ("L19", dict(vgg2_none=0.83)), ("L20", dict(vggdrop_1=dict(train_acc=0.9299))),
]


# On the right side of a threshold by a hair: with numbers whose difference is not exact in floating point.
HOLDING = [
    ("C1", dict(bottleneck=0.34)), ("C7", dict(base_momentum=0.50)), ("C9", dict(denoise_50=0.3299)), ("C12", dict(basic_block_square=0.30)), ("C14", dict(base_more_epochs=0.42)),
    ("C15", dict(base_lr_10=0.60)), ("C4", dict(basic_block_euclid=0.10)), ("C10", dict(base=dict(train_acc=0.70))),
    ("C2", dict(base=dict(curves={**JUMP, "valid_acc": [0.3] * 15 + [0.32] * 5}))), ("C2", dict(base=dict(curves={**JUMP, "train_acc": [0.0] * 4 + [0.4 + 0.001 * e for e in range(11)] + [0.6] * 5}))),
    ("C2", dict(base=dict(curves={**JUMP, "valid_acc": [0.9] * 12 + [0.2, 0.2, 0.5] + [0.4] * 3 + [0.1] * 2}))),  # epochs 13-15 and 16-18, none else
    ("C4", dict(basic_block_euclid=dict(described=dict(test=confused(20, 20, 80, others=20, called=2))))),
    ("C7", dict(base_lr_10=0.40, base_momentum=0.43)), ("C10", dict(base=dict(described=dict(train_right=0.8, test_right=0.5)))), ("C12", dict(basic_block=0.37, basic_block_square=0.27)),
    ("C13", dict(base_square=dict(described=dict(test=confused(*(30 if c in SIX else 17 if c > 32 else 18 for c in range(35))))))),  # 180 of 600 against 700 of 3500
    ("C14", dict(base=0.42)), ("C15", dict(base_lr_1=dict(train_acc=0.95))), ("C15", dict(basic_block_lr_1=0.40)),
    ("N2", dict(flip=0.5799)), ("N3", dict(adam=0.61)), ("N4", dict(sgd_step=dict(test_acc=0.58, train_loss=1.0))), ("N4", dict(adam_step=dict(test_acc=0.6699, train_loss=0.6))),
    ("N5", dict(bn=0.61)), ("N6", dict(kaiming=0.58)), ("N6", dict(kaiming=0.54)), ("N7", dict(double=0.58)), ("N8", dict(best=0.80)), ("N9", dict(resnet18=0.81)),
    ("N9", dict(resnet18=0.85)), ("N11", dict(adam=dict(curves={"test_acc": [0.505]}))), ("N11", dict(adam=dict(curves={"test_acc": [0.475]}))),
    ("N3", dict(adam=0.6123, baseline=0.5623)), ("M1", dict(cnn=dict(test_acc=0.695))), ("M8", dict(cnn_dropout_bn=dict(test_acc=0.738))),
    ("M7", dict(mlp=dict(valid=[2.0] * 9 + [1.4] + [1.471] * 40))), ("M10", {"cnn_dropout_0.3": dict(valid_acc=0.7201)}), ("M2", dict(mlp_no_bn=dict(status="diverged"))),
    ("L4", dict(fc2_bn_dropout=0.58)), ("L10", dict(vgg19_aug=0.85)), ("L14", dict(fc3_bn_dropout=0.59)), ("L20", dict(vggdrop_1=dict(train_acc=0.93))), ("L6", dict(vgg2_none=0.12)),
    ("L17", dict(vgg1_no_l2=dict(curves={"valid_acc": [0.1] * 3 + [0.81] * 27}))), ("L17", {run.replace("-", "_"): dict(curves={"valid_acc": [0.7] * 30}) for run in report.ABLATION[1:]}),
    ("M5", {"mlp_dropout_0.6": dict(valid_acc=0.535)}), ("M11", {"cnn_lr_1e_5": dict(valid=[2.0] * 40 + [1.98] * 10)}),
]


@pytest.mark.parametrize("claim, change", HOLDING)
def test_a_claim_holds_up_to_its_threshold(claim, change):
    assert report.verdict(claim, RECORDS[claim[0]](**change))[:2] == ("holds", 1)


@pytest.mark.parametrize("claim, breaking", BREAKING)
def test_every_claim_can_hold_and_can_fail(claim, breaking):
    records = RECORDS[claim[0]]
    assert report.verdict(claim, records())[:2] == ("holds", 1)
    assert report.verdict(claim, records(**breaking))[:2] == ("does not hold", 1)
    both = records() + [{**r, "seed": 1} for r in records(**breaking)]
    assert report.verdict(claim, both)[:2] == ("undecided (needs more seeds)", 2)
    assert report.verdict(claim, both + [{**r, "seed": s} for s in (2, 3, 4) for r in records()])[:2] == ("holds", 5)
    assert report.verdict(claim, [])[:2] == ("not run", 0)


def test_every_claim_is_tested():
    assert {claim for claim, _ in BREAKING} | set(report.COUNTED) == set(report.CLAIMS)


def test_claims_by_count_need_no_run_and_can_go_either_way(monkeypatch):
    from torch.utils.flop_counter import FlopCounterMode

    import models

    assert report.verdict("N10", []) == ("does not hold", 0, "11,181,642 against 2,438,510")
    word, seeds, seen = report.verdict("M12", [])
    assert (word, seeds) == ("holds", 0) and "93,770 parameters against 1,579,530" in seen
    # By hand: two convolutions at 30x30 and 12x12 and a linear layer, against two linear layers.
    assert f"{900 * 128 * 27 + 144 * 64 * 128 * 9 + 16000:,} multiplications an image against {3072 * 512 + 5120:,}" in seen
    count = models.count_parameters
    with monkeypatch.context() as patch:
        patch.setattr(FlopCounterMode, "get_total_flops", lambda self: 2)
        assert report.verdict("M12", [])[0] == "does not hold"
    monkeypatch.setattr(models, "count_parameters", lambda net: -count(net))
    assert report.verdict("N10", [])[0] == "holds" and report.verdict("M12", [])[0] == "does not hold"
    table = report.claims_table({"claim": {"N10": "fewer"}}, ["N10"], [])
    assert "| by count |" in table


def test_an_undescribed_net_leaves_its_claims_unjudged():
    records = [{k: v for k, v in r.items() if k != "described"} for r in caltech_records()]
    assert {claim for claim in report.CLAIMS if claim[0] == "C" and report.verdict(claim, records)[0] == "not run"} == {"C4", "C10", "C11", "C13"}


def test_a_net_that_diverged_is_described_as_knowing_nothing():
    runs = {"a": {"status": "diverged", "described": "left from before"}, "b": {"status": "finished", "described": "as it is"}}
    found = report.described_of(lambda run: runs[run.partition("/")[2]], "a")
    assert {report.right(found, part, *some) for part in ("train", "test") for some in ((), (3, 5), (34,))} == {0}
    assert found["silhouette"] == {"1-5": -1, "3,5": -1} and found["spread"] == float("inf")
    assert report.described_of(lambda run: runs["b"], "b") == "as it is"
    halves = {"confusion": {"train": [[1, 3], [0, 2]], "test": [[4, 0], [3, 1]]}}
    assert [report.right(halves, part, *some) for part in ("train", "test") for some in ((), (0,), (1,))] == [0.5, 0.25, 1, 0.625, 1, 0.25]


def test_a_net_is_described_once_and_the_description_kept(tmp_path, monkeypatch, capsys):
    import data
    import plots

    asked = []
    monkeypatch.setattr(plots, "answers", lambda folder, data_dir: asked.append((folder, data_dir)) or "found")
    monkeypatch.setattr(plots, "describe", lambda found: {"spread": len(asked)})
    rec = {"data": {"name": "caltech35"}, "status": "finished", "metrics": {"test_acc": 0.3}}
    assert report.described(rec, tmp_path, "there") == rec and not list(tmp_path.iterdir())  # no weights
    (tmp_path / "model.pt").write_text("")
    for other in ({**rec, "data": {"name": "cifar10"}}, {**rec, "metrics": {"test_acc": None}}, {**rec, "metrics": {}}, {**rec, "status": "diverged"}):
        assert report.described(other, tmp_path, "there") == other
    assert not asked
    for _ in range(2):
        assert report.described(rec, tmp_path, "there") == {**rec, "described": {"spread": 1}} and asked == [(tmp_path, "there")]
    assert {p.name for p in tmp_path.iterdir()} == {"model.pt", "described.json"} and "described" not in rec
    (tmp_path / "model.pt").unlink()  # what is kept is enough
    assert report.described(rec, tmp_path, "there")["described"] == {"spread": 1}

    def away(*_):
        raise data.DataError("no Caltech there")
    monkeypatch.setattr(plots, "answers", away)
    (tmp_path / "described.json").unlink()
    (tmp_path / "model.pt").write_text("")
    assert report.described(rec, tmp_path, "there") == rec and "no Caltech there" in capsys.readouterr().err
    assert not (tmp_path / "described.json").exists()


def test_layers_are_those_of_the_declared_nets_at_the_declared_batch():
    declared = {"exp": {"nets": ["a/base", "a/lenet"]}, "plots": {"nets": ["layers"]}, "want": {}, "about": {},
                "run": {"a/base": "--model base --data caltech35 --batch-size 32", "a/lenet": "--model lenet5 --act relu --batch-size 4"}}
    text = report.layers_of_nets(declared, "nets")
    assert text.index("Layers of base:") < text.index("| input | | [32, 3, 112, 112] | |") < text.index("| all | | | 398,243 |") < text.index("Layers of lenet:")
    assert "| input | | [4, 3, 32, 32] | |" in text
    assert text in report.table(declared, "nets", [record("a/base", test_acc=0.4)])
    assert "Layers" not in report.table({**declared, "plots": {"nets": ["curves"]}}, "nets", [record("a/base", test_acc=0.4)])


def test_a_run_lacks_what_the_run_lacks_that_it_comes_from(tmp_path):
    declared = {"run": {"a/judge": "--data caltech35", "a/clean": "--synthetic --clean-by=a/judge", "a/next": "--synthetic --init-from=a/judge",
                        "a/later": "--synthetic --init-from=a/next", "a/by-hand": "--synthetic --init-from=b/other"}}
    args = argparse.Namespace(runs=tmp_path / "runs", data_dir=tmp_path / "none", flags="")
    lack = report.what_lacks(declared, "a/judge", 0, args)
    assert "looked for caltech35" in lack
    assert [report.what_lacks(declared, run, 0, args) for run in ("a/clean", "a/next", "a/later", "a/by-hand")] == [lack, lack, lack, ""]
    (tmp_path / "runs/a/judge/seed0").mkdir(parents=True)
    (tmp_path / "runs/a/judge/seed0/result.json").write_text("{}")  # it was trained where the data were
    assert [report.what_lacks(declared, run, seed, args) for run in ("a/clean", "a/next") for seed in (0, 1)] == ["", lack, "", lack]


def test_pictures_of_report_5_are_those_that_plots_asks_for(tmp_path, monkeypatch, capsys):
    import data
    import plots

    drawn = {}
    for name in ("against", "confusion", "features"):
        monkeypatch.setattr(plots, name, lambda *args, name=name: drawn.setdefault(name, []).append(args))
    monkeypatch.setattr(plots, "answers", lambda folder, data_dir: (folder.parent.name, data_dir))
    runs = [f"a/{name}" for name in ("noise-10", "noise-30", "plain", "bare")]
    declared = {"exp": {"x": runs}, "plots": {"x": ["layers", "against:label-noise", "confusion", "features:1,2", "features:7,8,9:noise-30"]},
                "run": dict(zip(runs, ("--label-noise 0.1", "--label-noise 0.3", "--lr 1", "--lr 2"))),
                "want": {"a/noise-10": "test_acc=0.32..0.33", "a/noise-30": "train_acc=0.5", "a/plain": "test_acc=0.9"}}
    for run in runs[:3]:
        folder = tmp_path / "runs" / run / "seed0"
        folder.mkdir(parents=True)
        (folder / "model.pt").write_text("")
        (folder / "result.json").write_text(json.dumps({"status": "finished"}))
    (tmp_path / "runs/a/plain/seed0/model.pt").unlink()
    records = [{**record(run, seed=seed, test_acc=0.5), "data": {"synthetic": run == "a/noise-30"}} for run in runs for seed in (1, 0)]
    records = [{**r, "described": {"confusion": f"of {r['run']} {r['seed']}"}} if r["run"] != "a/plain" else r for r in records]

    def paths():
        return [path.name for path in report.draw(declared, "x", records, tmp_path / "out", "exp-", tmp_path / "runs", "there", 0)]
    # Of each run its first seed; only what has weights has features, and a run that is named in a word of its own has those alone.
    assert paths() == ["exp-against.png", "exp-confusion-noise-10.png", "exp-confusion-noise-30.png", "exp-confusion-bare.png",
                       "exp-features-noise-10.png", "exp-features-noise-30.png"]
    (mine, values, reported, path, flag), = drawn["against"]
    assert values == {"a/noise-10": 0.1, "a/noise-30": 0.3} and reported == {"a/noise-10": 0.32} and flag == "label_noise" and path.name == "exp-against.png"
    assert [args[:2] + args[3:] for args in drawn["confusion"]] == [
        (f"of a/{name} 0", f"a/{name}, seed 0", name == "noise-30") for name in ("noise-10", "noise-30", "bare")]
    assert [args[:3] + args[4:] for args in drawn["features"]] == [
        (("noise-10", "there"), [1, 2], "a/noise-10, seed 0", False), (("noise-30", "there"), [7, 8, 9], "a/noise-30, seed 0", True)]
    for other in ({"status": "finished", "flags": "--lr 9"}, {"status": "diverged"}):  # not the weights that the record is of
        (tmp_path / "runs/a/noise-30/seed0/result.json").write_text(json.dumps(other))
        assert "exp-features-noise-30.png" not in paths()

    def away(*_):
        raise data.DataError("no Caltech there")
    monkeypatch.setattr(plots, "answers", away)
    records = [r for r in records if r["run"] in ("a/plain", "a/bare")] + [{**r, "metrics": {"test_acc": None}} for r in records if r["run"] == "a/noise-10"]
    assert paths() == ["exp-confusion-noise-10.png", "exp-confusion-bare.png"]  # nothing to draw against noise, and no data for features
    assert capsys.readouterr().err.count("no Caltech there") == 1
    declared["plots"]["x"] = ["histogram"]
    with pytest.raises(SystemExit, match="asks for histogram"):
        paths()


def test_a_cleaned_run_says_what_it_dropped_and_what_that_gained():
    declared = {"exp": {"clean": ["a/noise-30", "a/clean-30"]}, "plots": {"clean": ["against:label-noise"]}, "about": {"clean": ""},
                "run": {"a/noise-30": "--lr 1 --label-noise 0.3", "a/clean-30": "--lr 1 --label-noise 0.3 --clean-by=a/scorer --clean-share 0.3"},
                "want": {"a/noise-30": "none", "a/clean-30": "none"}}
    records = [{**record("a/noise-30", seed=s, test_acc=0.40, train_acc=0.9), "data": {"label_noise": 0.29}} for s in (0, 1)]
    records += [{**record("a/clean-30", seed=s, test_acc=0.435, train_acc=0.9), "data": {"label_noise": 0.29, "dropped": 1200, "dropped_noisy": 900}} for s in (0, 2)]  # of seed 2 there is nothing to compare with
    text = report.table(declared, "clean", records)
    assert "clean-30, seed 0: dropped 1,200 images, 900 of them noisy (75%; by chance 29%); test accuracy +3.5 points against noise-30." in text
    assert text.count("| 29.0 %, 29.0 % |") == 2 and text.count("dropped 1,200") == 1


def test_report_3s_accuracies_by_epoch_have_a_table_of_their_own():
    declared = {"exp": {"optimizer": ["net/baseline", "net/adam"]}, "plots": {"optimizer": ["curves", "by-epoch"]}, "about": {"optimizer": ""},
                "run": {"net/baseline": "--lr 1", "net/adam": "--lr 2"},
                "want": {"net/baseline": "test_acc=0.5 test_acc@1=0.16 test_acc@2=0.29 test_acc@3=0.4 test_acc@4=0.5", "net/adam": "none"}}
    records = [record("net/baseline", seed=seed, train_=[2, 1], test_acc=0.3, train_acc=0.3, curves={"epoch": [1, 2], "test_acc": [0.1 + seed / 10, 0.3]})
               for seed in (0, 1)] + [record("net/adam", train_=[2], test_acc=0.4, train_acc=0.4, curves={"epoch": [1], "test_acc": [0.4]})]
    text = report.table(declared, "optimizer", records)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["run", "", "1", "2"] in lines and ["baseline", "reported", "16", "29"] in lines
    assert ["baseline", "measured, 2 seeds", "15.0", "30.0"] in lines and ["adam", "measured, 1 seed", "40.0", ""] in lines
    assert lines[2][:4] == ["baseline", "–", "test acc 50 %", "test acc 30.0 ± 0.0 %"]  # not twelve numbers in one cell
    assert report.by_epoch(declared, ["net/baseline"]) == {"net/baseline": {1: 0.16, 2: 0.29, 3: 0.4, 4: 0.5}}
    assert report.shown_wants("valid_acc@10=0.8 valid_acc@20=0.83") == "valid acc 80, 83 % at epochs 10, 20"


def test_valid_accuracy_picks_the_run_whose_test_score_counts():
    declared = {"exp": {"final": ["a/x", "a/y", "a/z"]}, "plots": {"final": ["curves", "pick"]}, "about": {"final": ""},
                "run": {"a/x": "--lr 1", "a/y": "--lr 2", "a/z": "--lr 3"}, "want": {"a/x": "test_acc=0.85", "a/y": "none", "a/z": "none"}}
    records = [record(f"a/{run}", best_valid_acc=valid, test_acc=test) for run, valid, test in (("x", 0.8, 0.9), ("y", 0.86, 0.85))]
    assert "valid accuracy picks y (best epoch 86.0 % valid, 85.0 % test)" in report.table(declared, "final", records)
    assert "picks x (best epoch 80.0 % valid, 90.0 % test)" in report.table(declared, "final", records[:1])
    declared["plots"]["final"] = ["curves"]
    assert "picks" not in report.table(declared, "final", records)


def test_more_runs_than_colours_are_drawn_in_figures_of_their_own_by_net_and_evenly(tmp_path):
    runs = [f"a/{net}{i}" for net, n in (("lenet5", 9), ("vgg13", 2)) for i in range(n)]
    declared = {"exp": {"many": runs, "few": runs[:7]}, "plots": {"many": ["curves", "pick"], "few": ["curves"]},
                "run": {run: f"--model {run[2:-1]}" for run in runs}}
    assert report.readable(declared, runs) == [runs[:5], runs[5:9], runs[9:]] and report.readable(declared, runs[:7]) == [runs[:7]]
    records = [record(run, valid=[2, 1], train_=[2, 1], curves={"epoch": [1, 2], "valid_loss": [2, 1]}, valid_acc=None) for run in runs[4:6]]
    assert [path.name for path in report.draw(declared, "many", records, tmp_path)] == ["curves-1.png", "curves-2.png"]  # numbers stay as runs come in
    assert [path.name for path in report.draw(declared, "few", records, tmp_path)] == ["curves.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"curves-1.png", "curves-2.png", "curves.png"}


def test_a_comparison_of_which_nothing_has_finished_yet_ends_with_the_status_line(tmp_path, capsys):
    folder = tmp_path / "net/baseline/seed0"
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text(json.dumps({"epoch": 1, "train_loss": 2.0, "train_acc": 0.2, "test_acc": 0.3}) + "\n")
    args = argparse.Namespace(runs=tmp_path, data_dir="data", seeds=[0], flags="")
    assert report.make_exp(DECLARED, ["optimizer"], args) == 2
    printed = capsys.readouterr().out
    assert "by-epoch.png" in printed and "status: 1 interrupted, 1 missing" in printed


def test_a_run_whose_imagenet_weights_are_not_here_is_missing_and_says_how_to_get_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    args = argparse.Namespace(runs=tmp_path / "runs", data_dir="data", seeds=[0], flags="--synthetic")
    resnet = record("net/resnet18", train_=[1.0], test_acc=0.8, train_acc=0.7, curves={"epoch": [1], "test_acc": [0.8]})
    text = report.table(DECLARED, "resnet18-pretrained", [resnet])
    assert re.search(r"\| resnet18-pretrained .*\| missing ", text) and "ImageNet weights. With a network train.py downloads them" in text and "--weights FILE" in text
    assert report.status(DECLARED, ["net/resnet18-pretrained"], args) == 2
    printed = capsys.readouterr().out
    assert "missing     net/resnet18-pretrained seed 0" in printed and "status: 1 missing" in printed
    assert f"not in {tmp_path}/hub/checkpoints/resnet18-f37072fd.pth" in printed and "copy resnet18-f37072fd.pth there" in printed
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints/resnet18-f37072fd.pth").write_text("")
    report.status(DECLARED, ["net/resnet18-pretrained"], args)
    assert "cannot be trained as things are" not in capsys.readouterr().out


def test_a_diverged_run_loses_every_comparison_and_is_judged():
    records = keypoint_records(adam_bn=dict(valid=[90] * 10 + [None], train_=[3] * 10 + [None], status="diverged"))
    word, seeds, seen = report.verdict("K4", records)
    assert (word, seeds) == ("does not hold", 1) and "inf" in seen
    for run in ("sgd", "adam", "adam_sgd", "adam_step", "adam_bn", "adam_400"):  # however short its curves are
        records = keypoint_records(**{run: dict(valid=[None], train_=[None], status="diverged", valid_loss_turned=None)})
        assert {report.verdict(claim, records)[1] for claim in report.CLAIMS if claim.startswith("K")} == {1}
    for letter, whole in RECORDS.items():  # in its first epoch, so that merging keeps no column
        for i, dead in enumerate(whole()):
            records = [{**r, "status": "diverged", "curves": {}, "metrics": {"test_acc": None, "train_loss": None, "train_acc": None}} if r is dead else r
                       for r in whole()[:i] + [dead] + whole()[i + 1:]]
            assert {report.verdict(claim, records)[1] for claim in report.CLAIMS if claim[0] == letter and claim not in report.COUNTED} == {1}
    for claim, dead in (("K3", "adam"), ("L1", "relu_wide"), ("L1", "sigmoid_wide"), ("L2", "relu_wide")):
        alive = keypoint_records if claim.startswith("K") else lenet_records
        records = [{**r, "status": "diverged"} if r["run"].endswith("/" + dead.replace("_", "-")) else r for r in alive()]
        assert report.verdict(claim, records)[0] == "does not hold"
    blown_up = dict(valid=[100] * 99 + [7] + [1e8] * 150)
    assert report.verdict("K7", keypoint_records(adam=blown_up))[0] == "holds"
    assert report.verdict("K7", keypoint_records(adam=dict(**blown_up, status="diverged"), adam_bn=dict(valid=[90] * 120 + [6])))[0] == "does not hold"
    assert report.verdict("K2", keypoint_records(adam=dict(valid=[30] * 5 + [None], status="diverged")))[0] == "holds"


def test_a_jump_in_the_last_epoch_does_not_decide():
    assert report.verdict("K4", keypoint_records(adam_bn=dict(valid=[6] * 249 + [900])))[0] == "holds"
    assert report.value(record("a/b", valid=[9.0] * 9 + [90.0]), "late_valid_loss") == 9.0


def test_numbers_as_reports_print_them():
    assert report.shown_wants("valid_loss=6") == "valid loss 6"
    assert report.shown_wants("tail_loss=0.512..0.547 test_acc=0.68..0.69 valid_acc@10=0.8") == "tail loss 0.512–0.547; test acc 68–69 %; valid acc 80 % at epoch 10"
    two = [record("a/b", valid=[9.0, 6.0]), record("a/b", seed=1, valid=[9.0, 8.0])]
    assert report.measured(two, "valid_loss") == "7.000 ± 1.414" and report.measured(two, "valid_loss@1") == "9.000 ± 0.000"
    of_loss = record("a/b", train_=[2.0, 1.0], curves={"penalty": [0.4, 0.2], "tail_loss": [None, 0.9]})
    assert report.value(of_loss, "train_loss+penalty/4@1") == 0.6 and report.value(of_loss, "train_loss/4@2") == 0.25
    assert report.value(of_loss, "tail_loss+penalty") == 1.1 and report.value(of_loss, "tail_loss+penalty@1") is None and report.value(of_loss, "valid_loss/4") is None
    assert report.shown_wants("train_loss+penalty/4@1=0.663 train_loss/4@1=nan train_loss/4@2=0.5") == (
        "(train loss + L2 term) ÷ 4 0.663 at epoch 1; train loss ÷ 4 nan, 0.5 at epochs 1, 2")
    assert report.measured([record("a/b", status="diverged", train_=[None])], "train_loss/4@1") == "nan"
    assert report.measured(two, "test_acc") == "–" and report.changed("--lr 0.1 --flip --lr 0.2", "--lr 0.1 --clip 1") == "lr 0.2, flip, no clip"


def test_merging_keeps_every_row_and_takes_the_newest(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RECORDS", tmp_path / "results/records.jsonl")
    declared = {"run": {"tiny/a": "--lr 1", "tiny/b": "--lr 2"}}

    def finished(run, seed, loss, flags="--lr 1", synthetic=False, max_steps=None, name=None, at="2026-01-02T00:00:00Z"):
        folder = tmp_path / "runs" / run / (name or f"seed{seed}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps({"run": run, "seed": seed, "status": "finished", "flags": flags, "max_steps": max_steps,
                                                        "data": {"synthetic": synthetic}, "metrics": {"valid_loss": loss}}))
        (folder / "train.log").write_text(f"begins\nfinished at {at}: valid_loss {loss}\n")
        (folder / "log.jsonl").write_text(json.dumps({"epoch": 1, "valid_loss": loss / 3, "valid_acc": None, "seconds": 1.0}) + "\n")

    finished("tiny/a", 0, 5.0)
    finished("tiny/a", 0, 4.0, name="seed0.1")  # put aside
    finished("tiny/a", 1, 3.0, synthetic=True)
    finished("tiny/a", 2, 3.0, max_steps=5)
    finished("tiny/b", 0, 3.0, flags="--lr 3")
    finished("tiny/c", 0, 3.0)
    report.merge(declared, tmp_path / "runs")
    rows = report.read_records()
    assert [(r["run"], r["seed"], r["metrics"]["valid_loss"]) for r in rows] == [("tiny/a", 0, 5.0)]
    assert rows[0]["curves"] == {"epoch": [1], "valid_loss": [1.6667]}  # five digits are enough for a figure; nothing that was never measured
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("generated data", "cut short", "made with other flags", "not declared"))
    shutil.rmtree(tmp_path / "runs")
    finished("tiny/b", 0, 7.0, flags="--lr 2")
    report.merge(declared, tmp_path / "runs")
    finished("tiny/b", 0, 6.0, flags="--lr 2")
    report.merge(declared, tmp_path / "runs")
    finished("tiny/b", 0, 9.0, flags="--lr 2", at="2026-01-01T00:00:00Z")  # an older box's
    report.merge(declared, tmp_path / "runs")
    assert "older than the record" in capsys.readouterr().out
    assert [(r["run"], r["metrics"]["valid_loss"]) for r in report.read_records()] == [("tiny/a", 5.0), ("tiny/b", 6.0)]


def test_committed_records_are_of_full_runs_on_real_data():
    rows = report.read_records()
    assert len({(r["run"], r["seed"]) for r in rows}) == len(rows)
    for r in rows:
        assert not r["data"]["synthetic"] and r["max_steps"] is None and r["status"] in ("finished", "diverged")
        assert {"versions", "commit", "params", "seconds"} <= set(r)

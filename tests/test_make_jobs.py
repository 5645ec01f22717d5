"""How many runs make trains at a time, on what cores and GPUs, and what it says on the way. Nothing is trained here."""
import os
import re
import subprocess
import sys

import pytest

from experiments import jobs
from makes import edit, fresh, make, most_at_once, result, stub, would_train  # noqa: F401 (two are fixtures)

FOUR = ("tiny/a", "tiny/b", "tiny/diverges", "tiny/long")


def notes_of(notes, word="begins"):
    """Returns {run: what the stub noted of it} for each run that began (or ended)."""
    lines = [line.split() for line in notes.read_text().splitlines()]
    return {line[1]: line[2:] for line in lines if line[0] == word}


def threads(folder, *words, **env):
    """Returns OMP_NUM_THREADS of each run that `make -n` would train, "" where it sets none."""
    return re.findall(r"^(?:.*OMP_NUM_THREADS=(\d+) )?.*train\.py", make(folder, "-n", *words, **env), re.M)


@pytest.fixture
def sixteen(fresh):  # noqa: F811
    """A project on a machine with 16 cores, memory for all of them and no GPU."""
    edit(fresh, "count = len(os.sched_getaffinity(0))", "return 16", "experiments/jobs.py")
    edit(fresh, "MEMORY_OF_A_RUN = 2 * 2**30", "MEMORY_OF_A_RUN = 1", "experiments/jobs.py")
    return fresh


# ---- at a time ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, env, at_once", [
    (["JOBS=1"], {}, 1), (["-j2", "JOBS=4"], {}, 2), (["-j"], {}, 4), ([], {"MAKEFLAGS": "-j3"}, 3),
    ([], {"JOBS": "3"}, 3)])
def test_so_many_runs_at_a_time_as_are_asked_for(fresh, stub, words, env, at_once):  # noqa: F811
    how, notes = stub
    printed = make(fresh, *words, *map(result, FOUR), PAUSE="0.1" if at_once == 1 else "0.8", **env, **how)
    assert most_at_once(notes.read_text().splitlines()) == at_once, printed
    bars = {tqdm_disable for _, _, tqdm_disable, _ in notes_of(notes).values()}
    assert bars == ({"1"} if at_once > 1 else {"-"})


def test_without_being_asked_as_many_runs_as_cores_and_memory_allow(fresh, stub):  # noqa: F811
    how, notes = stub
    make(fresh, *map(result, FOUR), PAUSE="0.8", CUDA_VISIBLE_DEVICES="", **how)
    expected = min(4, jobs.cores(), jobs.free_memory() // jobs.MEMORY_OF_A_RUN)
    assert most_at_once(notes.read_text().splitlines()) in (max(1, expected), max(1, expected - 1))  # memory changes
    assert make(fresh, *map(result, FOUR), **how) == ""


def test_the_cores_are_divided_among_the_runs_at_a_time(sixteen, stub):  # noqa: F811
    how, _ = stub
    assert threads(sixteen, "exp-wrong") == ["5"] * 3  # sixteen at a time would do, but three runs are all there are
    assert threads(sixteen, "exp-wrong", "-j2") == ["8"] * 2 + ["8"]
    assert threads(sixteen, "exp-wrong", "JOBS=3", "SEEDS=0 1") == ["5"] * 6
    assert threads(sixteen, "exp-wrong", "-j40", "SEEDS=" + " ".join(map(str, range(10)))) == ["1"] * 30
    assert threads(sixteen, "exp-wrong", "-j") == ["5"] * 3
    assert threads(sixteen, "exp-wrong", "JOBS=1") == [""] * 3 and threads(sixteen, "exp-wrong", "-j1") == [""] * 3
    assert threads(sixteen, "exp-chain") == ["8"] * 2  # tiny/c and what it starts from
    make(sixteen, result("tiny/a"), **how)
    assert threads(sixteen, "exp-wrong") == ["8"] * 2  # what is finished takes no core
    assert threads(sixteen, "exp-chain") == threads(sixteen, "redo", "RUN=tiny/a", "SEEDS=0 1")[:1] == [""]


def test_on_a_gpu_one_run_after_another_unless_asked(sixteen, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "bin/nvidia-smi").chmod(0o755)
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert threads(sixteen, "exp-wrong", **path) == [""] * 3
    assert threads(sixteen, "exp-wrong", **{**path, "CUDA_VISIBLE_DEVICES": ""}) == ["5"] * 3
    assert threads(sixteen, "exp-wrong", "GPUS=2", **path) == ["8"] * 3
    assert threads(sixteen, "exp-wrong", "-j4", **path) == ["5"] * 3
    # The one GPU is torch's choice.
    assert "CUDA_VISIBLE_DEVICES" not in make(sixteen, "-n", "exp-wrong", "-j4", **path)


def test_a_make_within_a_make_follows_its_jobs_without_a_warning(sixteen):
    edit(sixteen, "exp.tiny ", "exp.bn-dropout ")  # what quickstart makes
    edit(sixteen, "plots.tiny ", "plots.bn-dropout ")
    for words, expected in (([], "8"), (["-j2"], "8"), (["JOBS=1"], ""), (["-j1", "JOBS=2"], ""), (["JOBS=2"], "8")):
        assert threads(sixteen, "quickstart", *words) == [expected] * 2
        assert "warning" not in make(sixteen, "-n", "quickstart", *words)


# ---- GPUs -----------------------------------------------------------------------------------------------------------

def test_a_run_takes_the_gpu_that_is_free_first(fresh, stub):  # noqa: F811
    how, notes = stub
    make(fresh, "GPUS=2", result("tiny/lacks"), result("tiny/diverges"), result("tiny/a"), **how)
    lines = [line.split()[:3] for line in notes.read_text().splitlines()]
    gpu = {run: gpu for word, run, gpu in lines if word == "begins"}
    assert sorted((gpu["tiny/lacks"], gpu["tiny/diverges"])) == ["0", "1"]
    assert gpu["tiny/a"] == gpu["tiny/diverges"]
    order = [(word, run) for word, run, _ in lines]
    assert order.index(("ends", "tiny/diverges")) < order.index(("begins", "tiny/a"))
    assert order.index(("begins", "tiny/a")) < order.index(("ends", "tiny/lacks"))


def test_no_gpu_is_taken_twice_and_only_visible_ones_are_taken(fresh, stub):  # noqa: F811
    """Two makes at once, which may see the GPUs 6 and 7."""
    how, notes = stub
    of_make = [("tiny/a", "tiny/b"), ("tiny/diverges", "tiny/long")]
    processes = [make(fresh, "GPUS=2", *map(result, names), start=True, CUDA_VISIBLE_DEVICES="6,7", **how)
                 for names in of_make]
    assert [process.wait() for process in processes] == [0, 0], [process.stdout.read() for process in processes]
    taken, seen = set(), []
    for line in notes.read_text().splitlines():
        word, run, gpu = line.split()[:3]
        if word == "begins":
            assert gpu in ("6", "7") and gpu not in taken
            taken.add(gpu)
            seen.append(run)
        else:
            taken.remove(gpu)
    assert sorted(seen) == ["tiny/a", "tiny/b", "tiny/diverges", "tiny/long"] and not taken


def test_several_runs_share_a_gpu_and_are_spread_evenly(fresh, stub):  # noqa: F811
    how, notes = stub
    make(fresh, "-j5", "GPUS=2", *(result(run, seed) for run in FOUR for seed in "01"), "SEEDS=0 1", PAUSE="1.5", **how)
    lines = notes.read_text().splitlines()
    of_first = [line.split()[2] for line in lines[:5]]
    assert sorted(of_first) == ["0", "0", "0", "1", "1"] and most_at_once(lines) == 5
    for gpu in "01":
        assert most_at_once([line for line in lines if line.split()[2] == gpu]) <= 3  # 5 / 2, rounded up


# ---- what is made ---------------------------------------------------------------------------------------------------

def test_bf16_is_said_to_every_run_and_makes_nothing_stale(fresh, stub):  # noqa: F811
    how, _ = stub
    goals = [result("tiny/a"), result("tiny/c")]
    assert len(re.findall(r"train\.py .* --bf16 --run", make(fresh, "-n", "BF16=1", *goals))) == 2
    assert "--bf16" not in make(fresh, "-n", *goals) + make(fresh, "-n", "BF16=0", *goals)
    make(fresh, "BF16=1", *goals, **how)
    assert would_train(fresh, *goals) == would_train(fresh, *goals, "BF16=1") == []


def test_train_and_all_train_every_run_the_longest_first(fresh):  # noqa: F811
    asked = subprocess.run([sys.executable, "experiments/costs.py", "order"], cwd=fresh, capture_output=True, text=True)
    order = asked.stdout.split()
    assert len(order) == 8
    order.remove("tiny/a")  # tiny/c and tiny/cleaned come after what they start from, wherever they would stand
    order.remove("tiny/scorer")
    for goal in ("train", "all"):
        found = would_train(fresh, goal, "SEEDS=0 1")
        runs = [run for run, _ in found if run not in ("tiny/a", "tiny/scorer")]
        assert runs == [run for run in order for _ in "01"] and len(set(found)) == 16
        assert found.index(("tiny/a", "0")) < found.index(("tiny/c", "0"))
    edit(fresh, "def main", "def no_main", "experiments/costs.py")
    assert "does not say in which order" in make(fresh, "-n", "train", expect=2)


def test_train_ends_with_the_status_and_draws_nothing(fresh, stub):  # noqa: F811
    how, _ = stub
    for run in ("tiny/scorer", "tiny/cleaned", "tiny/lacks"):  # what would ask for data
        edit(fresh, f"run.{run} ", f"unused.{run} ")
    edit(fresh, "exp.clean ", "unused.clean ")
    edit(fresh, "plots.clean ", "unused.plots ")
    edit(fresh, "tiny/lacks tiny/diverges", "tiny/diverges")
    printed = make(fresh, "train", STOPS="tiny/b", PAUSE="0", expect=2, **how)
    assert "  interrupted tiny/b seed 0" in printed and "status: 4 done, 1 interrupted" in printed
    assert "ignored" not in printed and "done        " not in printed
    assert make(fresh, "train", PAUSE="0", **how) == "status: 5 done\n"
    assert not (fresh / "runs/figures").exists()


def test_after_each_run_make_says_how_many_are_left_and_until_when(fresh, stub):  # noqa: F811
    how, notes = stub
    printed = make(fresh, "JOBS=1", *map(result, FOUR), STOPS="tiny/b", PAUSE="0", expect=2, **how)
    line = r"(\d) of 4 runs left, until about \d\d:\d\d at this rate"
    assert re.findall(line, printed) == ["3", "1"]  # not after tiny/b, which was stopped
    assert len(re.findall("left", printed)) == len(re.findall(line, printed))
    assert make(fresh, result("tiny/b"), PAUSE="0", **how) == ""  # one run alone: nobody needs to be told
    assert "left" not in make(fresh, "-n", *map(result, FOUR), "SEEDS=0 1")
    said = {name for *_, name in notes_of(notes).values()}
    assert len(said) == 2 and all("make-" in name for name in said)  # what a make notes is noted in one place
    printed = make(fresh, "-j2", *(result(run, 1) for run in FOUR), "SEEDS=1", PAUSE="0", **how)
    assert re.search(r"^2 of 4 runs left, 2 at a time, until about ", printed, re.M)


def test_a_result_that_is_a_goal_has_to_be_there_in_the_end(fresh, stub):  # noqa: F811
    how, _ = stub
    assert "Error" in make(fresh, result("tiny/b"), STOPS="tiny/b", PAUSE="0", expect=2, **how)
    assert make(fresh, result("tiny/b"), STOPS="tiny/b", PAUSE="0", **how) == ""
    printed = make(fresh, result("tiny/a"), result("tiny/long"), "STOP_AFTER=0s", expect=2, **how)
    assert printed.count("no time left for ") == 1 and printed.count("Error") == 1  # the first fails for all
    for goal in ("tiny/a", "tiny/c"):  # tiny/c starts from tiny/a: it is not the first for which there is no time
        printed = make(fresh, result(goal), "STOP_AFTER=0s", expect=2, **how)
        assert "no time left for tiny/a" in printed and printed.count("Error") == 1


def test_results_for_which_time_is_up_cost_no_time_and_one_error(fresh, stub):  # noqa: F811
    """Of forty goals the first takes longer than there is time."""
    how, notes = stub
    goals = [result("tiny/long"), *(result(run, seed) for run in FOUR[:3] for seed in range(13))]
    seeds = "SEEDS=" + " ".join(map(str, range(13)))
    printed = make(fresh, "JOBS=1", *goals, seeds, "STOP_AFTER=5s", PAUSE="7", expect=2, **how)
    assert list(notes_of(notes)) == ["tiny/long"], printed
    assert printed.count("Error") == 1 and printed.count("no time left for tiny/a") == 1
    (fresh / result("tiny/a", 0)).parent.mkdir(parents=True)
    (fresh / result("tiny/a", 0)).write_text("{}")  # as of another make: there, but not made with these flags
    printed = make(fresh, "JOBS=1", *goals, seeds, "STOP_AFTER=0s", expect=2, **how)
    assert "tiny/a/seed1/result.json] Error" in printed and printed.count("Error") == 1


def test_a_run_waits_for_its_source_that_another_make_trains(fresh, stub):  # noqa: F811
    how, notes = stub
    first = make(fresh, result("tiny/a"), start=True, PAUSE="4", **how)
    while not notes.exists():
        assert first.poll() is None
    assert "waits for runs/tiny/a/seed0" in make(fresh, result("tiny/c"), PAUSE="0", **how)
    order = [line.split()[:2] for line in notes.read_text().splitlines()]
    assert order == [["begins", "tiny/a"], ["ends", "tiny/a"], ["begins", "tiny/c"], ["ends", "tiny/c"]]
    assert first.wait() == 0

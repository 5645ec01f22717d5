"""How many runs a machine takes at a time, what one make remembers, and the line on the runs that are left."""
import fcntl
import re
import shutil
import threading
import time

import pytest

import train
from experiments import jobs, runs, score


@pytest.fixture
def cgroup(tmp_path):
    """Writes files such as cpu.max into the folder in which Linux would say what a container is granted."""
    def grant(**files):
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return tmp_path
    return grant


@pytest.fixture
def in_a_make(tmp_path, monkeypatch):
    monkeypatch.setenv("SAID", str(tmp_path / "of-this-make.said"))
    return tmp_path / "of-this-make.said"


# ---- the machine ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("quota, expected", [(None, 64), ("max 100000", 64), ("400000 100000", 4), ("50000 100000", 1)])
def test_the_cores_are_those_that_are_granted(monkeypatch, cgroup, quota, expected):
    monkeypatch.setattr(jobs.os, "sched_getaffinity", lambda _: set(range(64)))
    assert jobs.cores(cgroup(cpu_max=quota) if quota else "/nowhere") == expected


def test_free_memory_is_what_linux_gives_and_the_container_is_granted(tmp_path, cgroup):
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemFree:  1 kB\nMemAvailable:  5000 kB\n")
    assert jobs.free_memory(tmp_path / "meminfo", "/nowhere") == 5000 * 1024
    # A million bytes granted, 900,000 used, of which 300,000 are copies of files.
    granted = cgroup(memory_max="1000000\n", memory_current="900000\n", memory_stat="anon 600000\nfile 300000\n")
    assert jobs.free_memory(tmp_path / "meminfo", granted) == 400_000
    assert jobs.free_memory(tmp_path / "meminfo", cgroup(memory_max="max\n")) == 5000 * 1024


@pytest.mark.parametrize("cores, gigabytes, gpus, gpu, expected", [
    (8, 100, 1, False, 8), (8, 7, 1, False, 3), (8, 1, 1, False, 1), (1, 100, 1, False, 1), (8, 100, 1, True, 1),
    (8, 100, 4, True, 4), (2, 1, 4, False, 4)])
def test_runs_at_a_time_fit_cores_and_memory_or_gpus(monkeypatch, cores, gigabytes, gpus, gpu, expected):
    monkeypatch.setattr(jobs, "cores", lambda: cores)
    monkeypatch.setattr(jobs, "free_memory", lambda: gigabytes * 2**30)
    monkeypatch.setattr(jobs, "has_gpu", lambda: gpu)
    assert jobs.runs_at_a_time(gpus) == expected


def test_a_gpu_is_seen_unless_it_is_hidden(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(jobs.glob, "glob", lambda pattern: [])
    assert not jobs.has_gpu()
    monkeypatch.setattr(jobs.glob, "glob", lambda pattern: ["/dev/nvidia3"] if pattern == "/dev/nvidia[0-9]*" else [])
    assert jobs.has_gpu()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not jobs.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert jobs.has_gpu()


def test_this_machine_has_a_core_and_memory(capsys):
    assert jobs.main(["machine", "3"]) == runs.FINISHED
    cores, at_once = map(int, capsys.readouterr().out.split())
    assert cores == jobs.cores() >= 1 and at_once == 3 and jobs.free_memory() > 2**20


# ---- what one make remembers ----------------------------------------------------------------------------------------

def test_missing_data_is_said_once_in_a_make_and_every_time_without_one(in_a_make, tmp_path, monkeypatch, capsys):
    command = f"--model keypoint --data faces21 --data-dir {tmp_path}/none --runs {tmp_path}".split()
    assert train.main([*command, "--seed", "0"]) == train.main([*command, "--seed", "1"]) == runs.BAD_INPUT
    assert capsys.readouterr().err.count("train.py: No faces21") == 1
    assert train.main(["--lr", "0"]) == runs.BAD_INPUT  # another sentence is said
    assert "--lr" in capsys.readouterr().err
    monkeypatch.delenv("SAID")
    for _ in range(2):
        assert train.main(command) == runs.BAD_INPUT
        assert capsys.readouterr().err.count("train.py: No faces21") == 1


def test_scoring_complains_once_too(in_a_make, tmp_path, capsys):
    for count in (1, 0):
        assert score.main(["--score", str(tmp_path)]) == runs.BAD_INPUT
        assert capsys.readouterr().err.count("There is no finished run in") == count


def test_of_many_that_complain_at_once_one_is_heard(in_a_make, capsys):
    threads = [threading.Thread(target=runs.complain, args=("train.py", "No data\nat all.")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().err == "train.py: No data\nat all.\n"


def test_where_nothing_can_be_noted_everything_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SAID", str(tmp_path / "none/said"))
    for _ in range(2):
        runs.complain("train.py", "No data.")
    assert capsys.readouterr().err == "train.py: No data.\n" * 2


# ---- runs that are left ---------------------------------------------------------------------------------------------

def test_the_runs_that_are_left_and_their_time_by_the_mean_of_those_that_ended(in_a_make, tmp_path, monkeypatch):
    noon = time.mktime((2026, 8, 3, 12, 0, 0, 0, 0, -1))
    monkeypatch.setattr(jobs.time, "time", lambda: noon)
    made, not_made = tmp_path / "result.json", tmp_path / "no-result.json"
    made.write_text("{}")
    assert jobs.left(made, noon - 600, 8, 1) == "7 of 8 runs left, until about 13:10 at this rate"
    assert jobs.left(not_made, noon - 3, 8, 1) == ""  # it has ended, and says nothing about the rate
    assert jobs.left(made, noon - 1200, 8, 1) == "5 of 8 runs left, until about 13:15 at this rate"  # 15 minutes each
    assert jobs.left(made, noon - 900, 8, 2) == "4 of 8 runs left, 2 at a time, until about 12:30 at this rate"
    assert jobs.left(made, noon - 900, 8, 16) == "3 of 8 runs left, 16 at a time, until about 12:15 at this rate"
    assert [jobs.left(made, noon - 900, 8, 16) != "" for _ in range(3)] == [True, True, False]  # the last one of all


def test_a_run_that_took_no_second_is_one_that_was_made(in_a_make, tmp_path):
    (tmp_path / "result.json").write_text("{}")
    assert jobs.left(tmp_path / "result.json", int(time.time()) + 1, 2, 1).startswith("1 of 2 runs left, until about ")


def test_moments_of_other_days_have_their_date():
    noon = time.mktime((2026, 8, 3, 12, 0, 0, 0, 0, -1))
    assert jobs.clock(noon + 7500, noon) == "14:05"
    assert jobs.clock(noon + 24 * 3600 + 7500, noon) == "Tue 4 Aug, 14:05"


def test_the_command_line_prints_one_line_or_none(in_a_make, tmp_path, capsys):
    (tmp_path / "result.json").write_text("{}")
    assert jobs.main(["left", str(tmp_path / "result.json"), str(int(time.time()) - 60), "3", "1"]) == runs.FINISHED
    assert re.fullmatch(r"2 of 3 runs left, until about .*\d\d:\d\d at this rate\n", capsys.readouterr().out)
    assert jobs.main(["left", str(tmp_path / "none.json"), "0", "3", "1"]) == runs.FINISHED
    assert capsys.readouterr().out == ""
    assert jobs.main(["count"]) == runs.BAD_INPUT and "none of machine, left, wait" in capsys.readouterr().err


# ---- waiting for another make's run ---------------------------------------------------------------------------------

def test_waiting_ends_with_the_lock_the_result_or_the_time(tmp_path, capsys):
    folder = tmp_path / "tiny/a/seed0"
    folder.mkdir(parents=True)
    began = time.monotonic()
    jobs.wait(folder / "result.json")  # nobody trains it
    assert capsys.readouterr().out == ""
    with open(runs.lock_file(folder), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jobs.wait(folder / "result.json", time.time())
        threading.Timer(0.7, lambda: fcntl.flock(lock, fcntl.LOCK_UN)).start()
        assert time.monotonic() < began + 0.5
        jobs.wait(folder / "result.json")
        assert time.monotonic() > began + 0.7
        assert capsys.readouterr().out == f"waits for {folder}, which another process trains\n"
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "result.json").write_text("{}")
        jobs.wait(folder / "result.json")

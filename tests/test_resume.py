"""Runs that are killed, stopped, resumed or find broken files: they end the same, bit for bit, or say what is wrong."""
import dataclasses
import itertools
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch

import data
import models
import train
from conftest import ROOT
from experiments import checkpoints, kills, runs, starts
from helpers import (FACES, OBJECTS, SMALL, Hostile, change_args, go, no_training, read, result_of, rows,
                     script_valid_scores, smaller_data, start, stop_every, substance)

SIZES = {"cifar10": 200, "faces21": 80, "caltech35": 3}  # 160, 64 and 48 train images: a run takes a second
FACES = FACES.replace("--batch-size 64", "--batch-size 16")  # 8 steps an epoch
SMALL = SMALL.replace("--batch-size 16", "--batch-size 7")  # 7 steps an epoch, 6 with --drop-last
OBJECTS = OBJECTS.replace("--batch-size 20", "--channels 6,16 --batch-size 10")  # 16 steps an epoch
# All that has a state: batch norm, dropout, both optimizers, the switch, rotation; and a checkpoint after every epoch.
EVERYTHING = (f"{FACES} --norm bn --dropout 0.3 --optim adam --lr 0.01 --epochs 5 --switch-after 3 --valid-rotation 30 "
              "--save-every 0")
WITHOUT_CHECKPOINTS = EVERYTHING.replace("--save-every 0", "--save-every 1000")


@pytest.fixture(scope="module", autouse=True)
def tiny_data():
    with smaller_data(**SIZES):
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_data):
    """What the run EVERYTHING comes to when nothing happens to it."""
    code, folder = go(tmp_path_factory.mktemp("whole"), EVERYTHING)
    assert code == 0
    return substance(folder)


def wait_for(is_there, process):
    """Waits until is_there(); fails the test if the process ends before."""
    while not is_there():
        time.sleep(0.01)
        assert process.exitcode is None


# ---- killed ---------------------------------------------------------------------------------------------------------

def test_killed_ten_times_at_random_instants_and_bit_identical_in_the_end(tmp_path, uninterrupted):
    seed = random.SystemRandom().randrange(10**6)
    print(f"kill instants from seed {seed}")
    instants, folder, killed, done = random.Random(seed), tmp_path / "runs/a/b/seed0", 0, itertools.count()
    while killed < 10:
        process = start(tmp_path, EVERYTHING, **SIZES)
        process.join(instants.uniform(0.05, 1.5))
        if process.exitcode == 0:  # it ended before the tenth kill: the next process trains anew, and kills count on
            assert substance(folder) == uninterrupted
            os.rename(folder, folder.with_name(f"done{next(done)}"))
        elif process.exitcode is None:
            process.kill()
            process.join()
            killed += 1
        else:
            pytest.fail(f"exit code {process.exitcode} after {killed} kills")
    process = start(tmp_path, EVERYTHING, **SIZES)
    process.join()
    assert process.exitcode == 0
    assert substance(folder) == uninterrupted
    assert not list(folder.glob("*.tmp")) and not list(folder.glob("checkpoint*"))


def test_killed_at_every_touch_of_the_disk(tmp_path):
    """Also in the middle of every write, between the renames of a checkpoint, and before the result is written."""
    flags = f"{OBJECTS} --batch-size 80 --epochs 2 --save-every 0"
    code, folder = go(tmp_path, flags, folder="whole")
    assert code == 0
    whole, touch, in_a_write = substance(folder), 0, 0
    while True:
        touch += 1
        process = start(tmp_path, flags, folder=f"runs{touch}", crash_at=touch, **SIZES)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode in (-signal.SIGKILL, -signal.SIGXFSZ)
        in_a_write += process.exitcode == -signal.SIGXFSZ
        code, folder = go(tmp_path, flags, folder=f"runs{touch}")
        assert code == 0 and substance(folder) == whole, f"killed at touch {touch}"
        assert not list(folder.glob("*.tmp"))
    # args.json, flags.txt, two checkpoints, two weights and the result are written; each is also synced and renamed.
    assert in_a_write == 7 and touch > 7 * 3


# ---- stopped --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_at_the_next_step_and_exits_75(tmp_path, uninterrupted, number):
    process = start(tmp_path, WITHOUT_CHECKPOINTS, **SIZES)
    folder = tmp_path / "runs/a/b/seed0"
    log = folder / "log.jsonl"
    wait_for(lambda: log.exists() and log.read_text(), process)
    time.sleep(0.1)
    os.kill(process.pid, number)
    os.kill(process.pid, number)  # `timeout make` and make itself each send one
    process.join()
    assert process.exitcode == 75 and (folder / "checkpoint.pt").exists()
    assert go(tmp_path, EVERYTHING)[0] == 0
    assert substance(folder) == uninterrupted


def test_stopped_at_every_step_around_the_switch(tmp_path, uninterrupted, monkeypatch):
    """A deadline that comes in the middle of epochs, and just before and after the optimizer changes."""
    stop_every(monkeypatch, 3)
    stops = 0
    while (code := go(tmp_path, WITHOUT_CHECKPOINTS)[0]) == 75:
        stops += 1
    # 5 epochs of 8 steps and one batch to score, then two of rotated images, three at a time.
    assert code == 0 and stops == (5 * 9 + 2) // 3
    assert substance(tmp_path / "runs/a/b/seed0") == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after", [0, 0.5])
def test_a_signal_before_training_begins_exits_75_at_once_and_makes_nothing(tmp_path, number, after):
    """While Python loads torch and the data are read, when there is nothing to save yet."""
    command = [sys.executable, "train.py", *FACES.split(), "--runs", str(tmp_path / "runs"), "--run", "a/b"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not kills.takes_signals(process.pid):
        time.sleep(0.001)
    time.sleep(after)
    began = time.monotonic()
    process.send_signal(number)
    said = process.communicate()[1]
    assert process.returncode == 75 and time.monotonic() - began < 3
    name = signal.Signals(number).name
    assert said == f"train.py: stopped by {name} before it began; the same command begins again\n"
    assert not (tmp_path / "runs").exists()


def test_a_run_stopped_while_it_is_scored_goes_on_there(tmp_path, monkeypatch):
    """Ten batches are scored after two steps. Nothing is trained twice, and the gradient's norm is not lost."""
    flags = f"{OBJECTS} --batch-size 80 --epochs 2 --protocol report --schedule step --step-size 1 --save-every 1000"
    plan_scoring = data.plan_scoring
    monkeypatch.setattr(data, "plan_scoring", lambda indices, draws, _: plan_scoring(indices, draws, 4))
    _, whole = go(tmp_path, flags, folder="whole")
    steps, train_step = [], train.train_step
    monkeypatch.setattr(train, "train_step", lambda *words: steps.append(1) or train_step(*words))
    with warnings.catch_warnings(), monkeypatch.context() as patch:
        warnings.simplefilter("error")
        for calls in (5, 14):  # in the scoring of the first epoch, and in that of the second
            stop_every(patch, calls)
            code, folder = go(tmp_path, flags)
            assert code == 75 and not list(folder.glob("*.tmp"))
        log = (folder / "train.log").read_text()
        stop_every(patch, 10**5)
        assert go(tmp_path, flags)[0] == 0
    assert log.count("stopped by the test while it was scored; the same command goes on from here") == 2
    assert substance(folder) == substance(whole) and len(steps) == 4


def test_a_run_stopped_while_the_test_set_is_scored_trains_no_further(tmp_path, monkeypatch):
    flags = f"{OBJECTS} --batch-size 80 --epochs 2 --save-every 1000"
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 6)  # twice two steps and a batch of valid images
    code, folder = go(tmp_path, flags)
    assert code == 75 and (folder / "model.pt").exists() and not (folder / "result.json").exists()
    no_training(monkeypatch)
    stop_every(monkeypatch, 10**5)
    assert go(tmp_path, flags)[0] == 0 and substance(folder) == substance(whole)


@pytest.mark.parametrize("deadline", ["--stop-after 0s", "--stop-at 1000000000"])
def test_a_deadline_that_has_passed_exits_75_and_loses_nothing(tmp_path, uninterrupted, deadline):
    code, folder = go(tmp_path, f"{EVERYTHING} {deadline}")
    assert code == 75 and "stopped by the deadline in epoch 1 at step 0 of 8" in (folder / "train.log").read_text()
    assert go(tmp_path, EVERYTHING)[0] == 0
    assert substance(folder) == uninterrupted


def test_checkpoints_that_a_kill_left_behind_a_result_are_removed_by_the_next_start(tmp_path, monkeypatch):
    """Killed between the result and their removal, they would stay for ever: of VGG hundreds of megabytes."""
    with monkeypatch.context() as patch:
        patch.setattr(runs, "remove_checkpoints", lambda folder: None)
        code, folder = go(tmp_path, f"{OBJECTS} --epochs 1")
    assert code == 0 and (folder / "checkpoint.pt").exists()
    assert go(tmp_path, f"{OBJECTS} --epochs 1")[0] == 0
    assert not (folder / "checkpoint.pt").exists() and (folder / "result.json").exists()


@pytest.mark.parametrize("drawn", [
    "--flip --pad-crop 4 --autoaugment 0.6", "--input-noise 0.2 --input-dropout 0.2 --dropconnect 0.3",
    "--protocol report --flip --pad-crop 4 --norm bn --dropout 0.3", "--augmix 0.5 --l2 0.01"])
def test_what_is_drawn_at_random_is_drawn_again_after_a_stop_in_mid_epoch(tmp_path, monkeypatch, drawn):
    flags = f"{OBJECTS} {drawn} --epochs 2"
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 20)  # two epochs of 16 steps, and batches that are scored
    codes = [go(tmp_path, flags)[0]]
    while codes[-1] == 75:
        codes.append(go(tmp_path, flags)[0])
    assert codes[-1] == 0 and len(codes) > 1
    assert substance(tmp_path / "runs/a/b/seed0") == substance(whole)


@pytest.mark.parametrize("schedule", ["step --step-size 2", "multistep --milestones 2,3", "cosine",
                                      "plateau --patience 0 --lr 1e-5"])
def test_a_schedule_goes_on_where_it_was(tmp_path, monkeypatch, schedule):
    """Stopped in every epoch, the learning rate falls when it does without stops."""
    flags = f"{OBJECTS} --batch-size 80 --lr 0.05 --epochs 5 --gamma 0.5 --schedule {schedule}"
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 1)  # epochs of two steps
    while (code := go(tmp_path, flags)[0]) == 75:
        pass
    assert code == 0 and substance(tmp_path / "runs/a/b/seed0") == substance(whole)
    assert len({row["lr"] for row in rows(whole)}) > 1


def test_a_triplet_run_with_label_noise_stopped_in_mid_epoch_ends_the_same(tmp_path, monkeypatch):
    flags = (f"{SMALL} --loss triplet-euclid --freeze classifier --label-noise 0.4 --flip --rotation 15 --drop-last "
             "--lr 0.05 --epochs 2 --save-every 1000")
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 5)  # two epochs of six steps and two batches to score
    codes = [go(tmp_path, flags)[0] for _ in range(4)]
    assert codes == [75, 75, 75, 0]
    assert substance(tmp_path / "runs/a/b/seed0") == substance(whole) and rows(whole)[-1]["left_out"] > 0


STOPPING = f"{OBJECTS} --batch-size 40 --lr 0.05 --epochs 5 --early-stop 2"
BEST_IN_EPOCH_2 = [(1.0, accuracy) for accuracy in (0.1, 0.3, 0.2, 0.3, 0.9)]


def test_an_early_stop_comes_at_the_same_epoch_after_any_number_of_interruptions(tmp_path, monkeypatch):
    script_valid_scores(monkeypatch, *BEST_IN_EPOCH_2)
    flags = f"{STOPPING} --save-every 1000"
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 5)
    stops = 0
    while (code := go(tmp_path, flags)[0]) == 75:
        stops += 1
    assert code == 0 and stops == 3  # four epochs of four steps, five at a time
    assert substance(tmp_path / "runs/a/b/seed0") == substance(whole)


def test_an_early_stop_that_died_before_its_result_was_written_trains_no_further(tmp_path, monkeypatch):
    script_valid_scores(monkeypatch, *BEST_IN_EPOCH_2)
    flags, save = f"{STOPPING} --save-every 0", runs.save_json
    _, whole = go(tmp_path, flags, folder="whole")

    def full(content, path):
        if path.name == "result.json":
            raise OSError(28, "No space left on device")
        save(content, path)
    with monkeypatch.context() as disk:
        disk.setattr(runs, "save_json", full)
        assert go(tmp_path, flags)[0] == 1
    no_training(monkeypatch)
    code, folder = go(tmp_path, flags)
    assert code == 0 and substance(folder) == substance(whole)


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --stop-after 0s")[0] == 75
    code, folder = go(tmp_path, OBJECTS.replace("--threads 1", "--threads 2 --epochs 1"))
    assert code == 0 and result_of(folder)["threads"] == 1 and torch.get_num_threads() == 1


@pytest.mark.parametrize("first, second", [("", " --bf16"), (" --bf16", "")])
def test_a_resumed_run_keeps_its_precision(tmp_path, monkeypatch, first, second):
    """Precision is no part of what a run is; but a run goes on in the one in which it began, and says so."""
    flags = f"{OBJECTS} --epochs 2"
    _, whole = go(tmp_path, flags + first, folder="whole")
    with monkeypatch.context() as patch:
        stop_every(patch, 20)
        assert go(tmp_path, flags + first)[0] == 75
    code, folder = go(tmp_path, flags + second)
    assert code == 0 and substance(folder) == substance(whole)
    assert result_of(folder)["precision"] == ("bfloat16" if first else "float32")
    assert read(folder / "args.json")["bf16"] is bool(first)
    assert result_of(folder)["flags"] == runs.identity_flags(flags.split())


@pytest.mark.parametrize("optimizer", ["sgd --momentum 0.9", "adam"])
def test_an_optimizer_whose_net_lies_otherwise_in_memory_goes_on_as_well(tmp_path, monkeypatch, optimizer):
    """A checkpoint may come from a version that chose another layout; fused optimizers do not look at layouts."""
    flags = f"{FACES} --optim {optimizer} --lr 0.001 --epochs 3"
    _, whole = go(tmp_path, flags, folder="whole")
    with monkeypatch.context() as patch:
        patch.setattr(models, "CHANNELS_LAST", ())
        stop_every(patch, 12)
        assert go(tmp_path, flags)[0] == 75
    code, folder = go(tmp_path, flags)
    assert code == 0
    ours, theirs = ([row["train_loss"] for row in rows(place)] for place in (folder, whole))
    assert ours == pytest.approx(theirs, rel=0.01)


def test_epochs_after_the_checkpoint_are_trained_again_and_logged_once(tmp_path, monkeypatch):
    """The log is longer than the checkpoint knows: the run died after an epoch's line and before the checkpoint."""
    flags = f"{OBJECTS} --batch-size 80 --epochs 3 --save-every 0"
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 3)
    code, folder = go(tmp_path, flags)
    assert code == 75
    with open(folder / "log.jsonl", "a") as log:
        log.write('{"epoch": 2, "lr": 1}\n{"epoch": 3, "l')
    stop_every(monkeypatch, 10**5)
    assert go(tmp_path, flags)[0] == 0 and substance(folder) == substance(whole)


# ---- files of older versions ----------------------------------------------------------------------------------------

def make_old(folder):
    """Makes of a half-finished run folder what older versions left: fewer files, more flags, tallies without names."""
    (folder / "flags.txt").unlink()
    change_args(folder, remove=["stop_at"], split_seed=0, classes=None, score=None, again=False)
    settings = read(folder / "args.json")
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    tallies = content["tallies"]
    counted = tallies["left_out"] if settings["loss"].startswith("triplet") else tallies["correct"]
    content["tallies"] = torch.stack([tallies["loss"], counted, tallies["penalty"]])
    torch.save(content, folder / "checkpoint.pt")


@pytest.mark.parametrize("flags", [
    f"{OBJECTS} --l2 0.01 --epochs 2", f"{SMALL} --loss triplet-cosine --epochs 3",
    f"{FACES} --norm bn --dropout 0.3 --optim adam --lr 0.01 --epochs 2 --switch-after 1"])
def test_a_half_finished_folder_of_an_older_version_goes_on_to_the_same_bits(tmp_path, monkeypatch, flags):
    _, whole = go(tmp_path, flags, folder="whole")
    stop_every(monkeypatch, 11)
    code, folder = go(tmp_path, flags)
    assert code == 75 and torch.load(folder / "checkpoint.pt", weights_only=True)["step"] > 0
    make_old(folder)
    stop_every(monkeypatch, 10**5)
    assert go(tmp_path, flags)[0] == 0 and substance(folder) == substance(whole)
    assert "goes on after epoch" in (folder / "train.log").read_text() and not (folder.parent / "seed0.1").exists()
    assert (folder / "flags.txt").read_text() == result_of(folder)["flags"] + "\n"


# ---- broken, hostile and changed files, full disks ------------------------------------------------------------------

def test_a_broken_checkpoint_is_said_and_the_one_before_is_taken(tmp_path, uninterrupted, capsys):
    process = start(tmp_path, f"{EVERYTHING} --stop-after 1h", **SIZES)
    folder = tmp_path / "runs/a/b/seed0"
    wait_for((folder / "checkpoint.1.pt").exists, process)
    process.kill()
    process.join()
    newest = folder / "checkpoint.pt"
    newest.write_bytes((folder / "checkpoint.1.pt").read_bytes()[:1000])
    assert go(tmp_path, EVERYTHING)[0] == 0
    said = capsys.readouterr().out
    assert f"{newest} holds no weights, or only a part of them; the one before it is used" in said
    assert "a/b seed 0: goes on after epoch" in said
    assert substance(folder) == uninterrupted


def test_hostile_checkpoints_are_not_run_and_nothing_is_lost(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --stop-after 0s")[0] == 75
    folder = tmp_path / "runs/a/b/seed0"
    torch.save(Hostile(tmp_path / "executed"), folder / "checkpoint.pt")
    assert go(tmp_path, OBJECTS)[0] == 2
    assert not (tmp_path / "executed").exists() and (folder / "checkpoint.pt").exists()
    assert "--restart" in (folder / "failed.txt").read_text()
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --restart")[0] == 0
    assert not (folder / "failed.txt").exists() and (tmp_path / "runs/a/b/seed0.1/checkpoint.pt").exists()


@pytest.mark.parametrize("name", ["args.json", "result.json"])
def test_a_broken_file_of_a_run_is_named_and_nothing_is_lost(tmp_path, capsys, name):
    code, folder = go(tmp_path, f"{OBJECTS} --max-steps 1")
    (folder / name).write_text("{")
    assert go(tmp_path, f"{OBJECTS} --max-steps 1")[0] == 2
    error = capsys.readouterr().err
    assert f"{folder / name} is not JSON" in error and "--restart" in error and (folder / "model.pt").exists()
    assert go(tmp_path, f"{OBJECTS} --max-steps 1 --restart")[0] == 0
    assert (tmp_path / "runs/a/b/seed0.1/model.pt").exists()


def test_a_disk_that_is_full_from_the_beginning_is_said(tmp_path):
    flags = f"{OBJECTS} --epochs 3 --save-every 0"
    process = start(tmp_path, flags, limit=100_000, **SIZES)  # args.json fits, a checkpoint does not
    process.join()
    folder = tmp_path / "runs/a/b/seed0"
    assert process.exitcode == 1 and "OSError" in (folder / "failed.txt").read_text()
    assert not list(folder.glob("*.tmp")) and not (folder / "result.json").exists()
    assert go(tmp_path, flags)[0] == 0


def test_a_disk_that_fills_up_leaves_the_last_checkpoint_which_is_gone_on_from(tmp_path, uninterrupted, monkeypatch):
    stop_every(monkeypatch, 20)  # in epoch 3 of 8 steps each
    code, folder = go(tmp_path, EVERYTHING)
    assert code == 75
    newest, oldest = ((folder / name).read_bytes() for name in ("checkpoint.pt", "checkpoint.1.pt"))
    assert newest != oldest
    process = start(tmp_path, EVERYTHING, limit=100_000, **SIZES)
    process.join()
    assert process.exitcode == 1 and "OSError" in (folder / "failed.txt").read_text()
    assert newest in [file.read_bytes() for file in folder.glob("checkpoint*.pt")]
    assert not list(folder.glob("*.tmp")) and not (folder / "result.json").exists()
    stop_every(monkeypatch, 10**5)
    assert go(tmp_path, EVERYTHING)[0] == 0 and substance(folder) == uninterrupted
    log = (folder / "train.log").read_text()
    assert log.count("goes on after epoch 2, step 2") == 2 and log.count("begins") == 1


def test_memory_that_runs_out_is_said_with_net_and_batch_size_and_nothing_is_lost(tmp_path, monkeypatch, capsys):
    flags = f"{OBJECTS} --epochs 2 --save-every 0"
    _, whole = go(tmp_path, flags, folder="whole")
    train_step, calls = train.train_step, iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(train, "train_step",
                      lambda *words: torch.empty(10**15) if next(calls) == 20 else train_step(*words))
        code, folder = go(tmp_path, flags)
    sentence = "memory ran out on cpu with --model lenet5 and --batch-size 10; a smaller batch or net needs less"
    assert code == 1 and capsys.readouterr().err.startswith(f"train.py: {sentence}; what was saved before is kept")
    assert (folder / "failed.txt").read_text().startswith(f"NoMemory: {sentence}\n")
    assert go(tmp_path, flags)[0] == 0 and substance(folder) == substance(whole)


@pytest.mark.parametrize("error, is_of_memory", [
    (MemoryError(), True), (torch.OutOfMemoryError("CUDA out of memory"), True), (RuntimeError("std::bad_alloc"), True),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True), (RuntimeError("shapes"), False),
    (RuntimeError("could not create a primitive"), True),
    (OSError(28, "No space left on device"), False)])
def test_errors_of_memory_are_told_from_others(error, is_of_memory):
    settings = train.parse(OBJECTS.split())
    explained = starts.explained(error, settings)
    assert isinstance(explained, starts.NoMemory) if is_of_memory else explained is error
    assert starts.explained(error, None) is error


@pytest.mark.parametrize("flags", [OBJECTS, FACES])
def test_an_epoch_whose_valid_loss_is_not_finite_is_never_the_best(tmp_path, flags):
    code, folder = go(tmp_path, f"{flags} --lr 1e10 --epochs 3")
    metrics = result_of(folder)["metrics"]
    assert code == 3 and metrics["best_epoch"] is None and metrics["best_valid_loss"] is None
    assert not (folder / "best.pt").exists() and (folder / "model.pt").exists()


def test_data_that_changed_under_a_run_are_refused(tmp_path, monkeypatch, capsys):
    assert go(tmp_path, f"{OBJECTS} --stop-after 0s")[0] == 75
    load = data.load
    monkeypatch.setattr(data, "load", lambda *a, **k: dataclasses.replace(load(*a, **k), fingerprint="other"))
    assert go(tmp_path, OBJECTS)[0] == 2
    assert "not those that" in capsys.readouterr().err and (tmp_path / "runs/a/b/seed0/checkpoint.pt").exists()


def test_an_error_in_training_leaves_its_reason_and_the_next_start_removes_it(tmp_path, monkeypatch):
    flags = f"{OBJECTS} --max-steps 2"

    def fail(*_):
        raise ZeroDivisionError("the test")
    with monkeypatch.context() as broken:
        broken.setattr(train, "train_step", fail)
        with pytest.raises(ZeroDivisionError):
            go(tmp_path, flags)
    reason = (tmp_path / "runs/a/b/seed0/failed.txt").read_text()
    assert reason.startswith("ZeroDivisionError: the test\n") and "Traceback" in reason
    code, folder = go(tmp_path, flags)
    assert code == 0 and not (folder / "failed.txt").exists()


@pytest.mark.parametrize("word", ["model", "optimizer", "rng", "tallies", "switched"])
def test_a_checkpoint_that_lacks_a_part_is_not_gone_on_from(tmp_path, capsys, word):
    code, folder = go(tmp_path, f"{OBJECTS} --epochs 1 --stop-after 0s")
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    del content[word]
    torch.save(content, folder / "checkpoint.pt")
    settings = train.parse(OBJECTS.split())
    model = starts.build(settings, data.for_run(settings))
    optimizer = train.make_optimizer(settings, model)
    state = train.State(optimizer, None)
    with pytest.raises(runs.BadInput, match="No checkpoint in .* can be used"):
        checkpoints.load_checkpoint(folder, model, state, settings, lambda: optimizer)
    assert code == 75 and f"is no checkpoint of this run: it lacks {word}" in capsys.readouterr().out

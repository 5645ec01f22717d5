"""experiments/runs.py, the keeper of run folders: whole files, the lock, logs, what makes a run a run, its status."""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import train
import by_hand
from conftest import ROOT
from experiments import checkpoints, runs, score, starts
from helpers import (FACES, OBJECTS, change_args, die_in_the_next_large_write, forkserver, go, is_same_run, read,
                     result_of, rows, weights)
from makes import forks

pytestmark = pytest.mark.usefixtures("small_data")


# ---- whole files or none --------------------------------------------------------------------------------------------

def in_another_process(function, *arguments):
    """Runs a function in a process of its own and returns its exit code, negative for a signal."""
    process = forkserver.Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def die_half_way(write, path):
    """Writes a file with `write` and is killed by the kernel in the middle of it."""
    die_in_the_next_large_write(5_000)
    write(path)


def write_bytes(path):
    runs.write_atomically(b"new" * 100_000, path)


def write_json(path):
    runs.save_json({"new": list(range(100_000))}, path)


def write_weights(path):
    checkpoints.save({"new": torch.zeros(100_000)}, path)


WRITERS = [write_bytes, write_json, write_weights]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_whose_writer_is_killed_in_the_middle_is_still_the_old_one(tmp_path, write):
    path = tmp_path / "file"
    path.write_text("old")
    assert in_another_process(die_half_way, write, path) == -signal.SIGXFSZ
    assert path.read_text() == "old"
    write(path)  # what was left behind does not disturb the next writer
    assert path.stat().st_size > 100_000


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_no_half_of_a_new_one(tmp_path, write):
    path = tmp_path / "file"
    path.write_text("old")
    assert in_another_process(find_the_disk_full, write, path) == 0
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def find_the_disk_full(write, path):
    """Ends with exit code 0 if `write` raises OSError where no file may have more than 5,000 bytes."""
    die_in_the_next_large_write(5_000)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        write(path)
    except OSError:
        sys.exit(0)
    sys.exit("no error was raised")


def test_a_file_is_on_disk_before_it_gets_its_name_and_the_folder_afterwards(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def record_fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(("fsync", path, path.read_bytes() if path.is_file() else None))
        fsync(descriptor)

    def record_replace(source, goal):
        calls.append(("replace", Path(source), Path(goal)))
        replace(source, goal)
    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "file"
    runs.write_atomically(b"content", file)
    part = calls[0][1]
    assert part.parent == folder and part != file and file.read_bytes() == b"content"
    assert calls == [("fsync", part, b"content"), ("replace", part, file), ("fsync", folder, None)]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_without_nan_and_infinity(tmp_path, number):
    with pytest.raises(ValueError):
        runs.save_json({"loss": number}, tmp_path / "result.json")
    assert not list(tmp_path.iterdir())


def test_json_that_is_missing_is_empty_and_json_that_is_broken_is_named(tmp_path):
    path = tmp_path / "args.json"
    assert runs.read_json(path) == {} and runs.read_json(path / "below a file") == {}
    runs.save_json({"lr": 0.1}, path)
    assert runs.read_json(path) == {"lr": 0.1} and runs.read_json(path / "below a file") == {}
    for content in (b"{", b"", b"\xff\xfe", b"[1]", b"null"):
        path.write_bytes(content)
        with pytest.raises(runs.BadInput, match="args.json is not .*Move it away"):
            runs.read_json(path)
        with pytest.raises(runs.BadInput, match="args.json is not .*--restart"):
            runs.read_args(tmp_path)


def test_two_checkpoints_are_kept_and_both_go_in_the_end(tmp_path):
    net, state = torch.nn.Linear(1, 1), train.State(None, None)
    state.optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for epoch in (1, 2, 3):
        state.epoch = epoch
        checkpoints.save_checkpoint(tmp_path, net, state)
    epochs = [weights(tmp_path, name)["epoch"] for name in ("checkpoint.pt", "checkpoint.1.pt")]
    assert epochs == [3, 2] and len(list(tmp_path.iterdir())) == 2
    runs.remove_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_keeper_needs_no_torch_until_weights_are_written():
    """The Makefile calls it before anything is installed."""
    program = "import sys; sys.modules['torch'] = None; from experiments import runs; sys.exit(runs.main(sys.argv[1:]))"
    for words, said in ((["seconds", "1h30m"], "5400"), (["identity", "--", "--lr", "1", "--seed", "3"], "--lr 1")):
        done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, said + "\n"), done.stderr


# ---- one process a run ----------------------------------------------------------------------------------------------

def test_one_process_trains_a_run(tmp_path, capsys):
    folder = tmp_path / "runs/a/b/seed0"
    folder.parent.mkdir(parents=True)
    with open(folder.parent / ".seed0.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert go(tmp_path, OBJECTS)[0] == 75
        assert "another process" in capsys.readouterr().err and not folder.exists()


def test_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    """`make status` asks whether a run is locked by taking its lock for an instant."""
    with open(tmp_path / ".seed0.lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(other, fcntl.LOCK_UN))
        with runs.locked(tmp_path / "seed0"):
            assert runs.is_locked(tmp_path / "seed0")


def test_a_lock_is_seen_and_goes_when_its_process_is_done(tmp_path):
    folder = tmp_path / "a" / "seed0"
    assert not runs.is_locked(folder)
    with runs.locked(folder):
        assert runs.is_locked(folder) and not runs.is_locked(tmp_path / "a" / "seed1")
        with pytest.raises(runs.Stopped, match="another process"), runs.locked(folder):
            pytest.fail("it was locked twice")
    assert not runs.is_locked(folder)
    with runs.locked(folder):
        pass


def test_an_old_folder_is_put_aside_under_the_first_free_name(tmp_path):
    for number in (1, 2, 3):
        (tmp_path / "seed0").mkdir()
        (tmp_path / "seed0" / f"{number}").touch()
        assert runs.put_aside(tmp_path / "seed0") == tmp_path / f"seed0.{number}"
    assert (tmp_path / "seed0.2/2").exists() and not (tmp_path / "seed0").exists()


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    assert go(tmp_path, OBJECTS)[0] == 2 and "cannot be made or written" in capsys.readouterr().err


# ---- logs and records -----------------------------------------------------------------------------------------------

def test_the_folder_of_a_finished_run(tmp_path):
    code, folder = go(tmp_path, f"{OBJECTS} --epochs 3")
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {"args.json", "flags.txt", "train.log", "log.jsonl", "model.pt",
                                                        "best.pt", "result.json"}
    log, result = rows(folder), result_of(folder)
    assert [row["epoch"] for row in log] == [1, 2, 3] and all(0 <= row["train_acc"] <= 1 for row in log)
    metrics, accuracies = result["metrics"], [row["valid_acc"] for row in log]
    assert metrics["valid_acc"] == accuracies[-1] and metrics["best_valid_acc"] == max(accuracies)
    assert metrics["best_epoch"] == accuracies.index(max(accuracies)) + 1
    assert result["status"] == "finished" and result["test_evaluations"] == 1 and result["test_weights"] == "final"
    assert result["data"]["train"] == 320 and result["data"]["synthetic"] is True and result["params"] == 185_806
    assert result["epochs"] == 3 and result["seconds"] == pytest.approx(sum(row["seconds"] for row in log), abs=0.002)
    assert result["seconds_per_epoch"] == sorted(row["seconds"] for row in log)[1]
    assert result["flags"] == f"{OBJECTS} --epochs 3".replace(" --threads 1", "")
    assert (folder / "flags.txt").read_text() == result["flags"] + "\n"
    assert read(folder / "args.json")["channels"] == [16, 36]
    assert result["precision"] == "float32"
    lines = (folder / "train.log").read_text().splitlines()
    assert len(lines) == 6 and all(line.startswith("a/b seed 0: ") for line in lines)
    assert lines[0] == f"a/b seed 0: begins with {result['flags']}"
    record = runs.read_run(folder)
    assert record.pop("curves") == {column: [row[column] for row in log] for column in runs.COLUMNS}
    assert record == result


def make_log(folder, *lines, end="\n"):
    """Writes a log of these lines, dicts or text, into a new run folder, which it returns."""
    folder.mkdir(parents=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "log.jsonl").write_text("\n".join(lines) + end)
    return folder


def test_the_record_of_an_unfinished_run_is_its_log(tmp_path):
    folder = make_log(tmp_path / "keypoints/adam/seed2", {"epoch": 1, "valid_loss": 9.0}, {"epoch": 2, "lr": 0.1},
                      '{"epoch": 3, "valid_lo', end="")
    runs.save_json(by_hand.args("keypoints/adam", 2, data="faces21", synthetic=True), folder / "args.json")
    record = runs.read_run(folder)
    curves = record.pop("curves")
    assert curves["epoch"] == [1, 2] and curves["valid_loss"] == [9.0, None] and curves["lr"] == [None, 0.1]
    assert set(curves) == set(runs.COLUMNS)
    assert record == {"status": "unfinished", "run": "keypoints/adam", "seed": 2, "metrics": {}, "epochs": 2,
                      "data": {"name": "faces21", "synthetic": True}}


def test_nothing_logged_is_no_record(tmp_path):
    assert runs.read_run(tmp_path / "keypoints/adam/seed0") is None
    assert runs.read_run(make_log(tmp_path / "keypoints/adam/seed1", end="")) is None


@pytest.mark.parametrize("broken", ['{"epoch": 2, "val', "[1, 2]", '{"valid_loss": 3}', '{"epoch": 0}', "\0\0\0"])
def test_a_broken_line_in_the_middle_of_a_log_is_named(tmp_path, broken):
    folder = make_log(tmp_path / "seed0", {"epoch": 1}, broken, {"epoch": 3})
    with pytest.raises(runs.BadInput, match=r"log\.jsonl, line 2"):
        runs.read_log(folder / "log.jsonl")


def test_a_broken_last_line_that_was_not_cut_off_is_named(tmp_path):
    folder = make_log(tmp_path / "seed0", {"epoch": 1}, '{"epoch": 2, "val')
    with pytest.raises(runs.BadInput, match=r"log\.jsonl, line 2"):
        runs.read_log(folder / "log.jsonl")


def test_an_epoch_as_a_line_of_text():
    row = {"epoch": 3, "lr": 0.0005, "train_loss": 1.23456, "train_acc": 0.5, "valid_loss": 123456.0, "valid_acc": None,
           "seconds": 1.25}
    assert runs.epoch_line(row, 20, ["train", "valid"]) == (
        "epoch 3/20  lr 0.0005  loss train 1.2346 valid 1.23e+05  acc train 50.00 % valid - %  1.2 s")
    without = {**row, "train_acc": None, "train_loss": None}
    assert runs.epoch_line(without, 20, ["train"]) == "epoch 3/20  lr 0.0005  loss train -  1.2 s"


def test_a_reader_that_goes_away_does_not_stop_the_training(tmp_path):
    command = f"{forks()} train.py {OBJECTS} --max-steps 2 --runs {tmp_path} --run a/b | head -c 1"
    subprocess.run(["bash", "-c", command], cwd=ROOT, stdout=subprocess.DEVNULL)
    assert (tmp_path / "a/b/seed0/result.json").exists()


# ---- what makes a run this run --------------------------------------------------------------------------------------

def test_the_flags_of_a_run_are_those_that_are_part_of_it():
    typed = ("--lr 0.01 --runs r --run a/b --seed=3 --flip --device cpu --threads 2 --restart --stop-after 5m "
             "--stop-at 99 --optim adam --data-dir d --save-every=1 --weights w.pth")
    assert runs.identity_flags(typed.split()) == "--lr 0.01 --flip --optim adam"
    assert runs.identity_flags([]) == ""
    assert runs.identity_flags(["--restart", "--lr", "1", "--data-dir", "my data"]) == "--lr 1"


def test_flags_that_are_no_part_of_a_run_exist_and_take_a_value_where_it_says_so():
    actions = {}
    for parser in (train.make_parser(), score.make_parser()):
        actions.update(parser._option_string_actions)
    for flag, takes_a_value in runs.NOT_IDENTITY.items():
        assert (actions[flag].nargs is None) == takes_a_value, flag


def test_each_flag_once_with_the_value_that_counts():
    assert runs.each_once("--lr 0.1 --flip --lr 0.2".split()) == "--lr 0.2 --flip"
    assert runs.each_once("python train.py --lr=0.1 --run a/b --lr 0.2".split()) == "python train.py --lr 0.2 --run a/b"
    assert runs.each_once([]) == ""


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("55m", 3300), ("1h", 3600), ("1h30m", 5400), ("45", 45),
                                           ("1h1m1s", 3661), ("0s", 0), ("08m", 480)])
def test_a_time_in_seconds(text, seconds, capsys):
    assert runs.seconds(text) == seconds
    assert runs.main(["seconds", text]) == 0 and capsys.readouterr().out == f"{seconds}\n"


@pytest.mark.parametrize("text", ["", "soon", "1m1h", "-5", "1.5h", "h", "5 m"])
def test_what_is_no_time(text, capsys):
    with pytest.raises(runs.argparse.ArgumentTypeError, match="such as 90s"):
        runs.seconds(text)
    assert runs.main(["seconds", text]) == 2 and capsys.readouterr().out == ""


def test_the_commands_that_the_makefile_asks(tmp_path, capsys):
    assert runs.main("identity -- --epochs 5 --threads 2".split()) == 0
    assert runs.main("once -- --lr 0.1 --flip --lr 0.2".split()) == 0
    assert capsys.readouterr().out == "--epochs 5\n--lr 0.2 --flip\n"
    assert runs.main(["guess"]) == 2 and "guess is none of" in capsys.readouterr().err


def test_the_name_of_a_run_made_from_its_flags():
    def name(flags):
        return train.parse(flags.split()).run

    assert name("--act relu") == "adhoc/lenet5-act-relu"
    typed = "--model lenet5 --flip --lr 0.01 --device cpu --runs elsewhere --seed 3"
    assert name(typed) == "adhoc/lenet5-flip-lr-0.01"
    assert name("--channels 6,16") == "adhoc/lenet5-channels-6,16"
    assert name("") == "adhoc/lenet5"
    assert name("--init-from a/b.pt --stop-after 5m") == "adhoc/lenet5-init-from-a_b.pt"
    long = ("--model net --channels 256,256 --norm bn --dropout 0.1 --optim adam --flip --pad-crop 2 --schedule cosine "
            "--test-each-epoch --split all --weight-decay")
    names = {name(f"{long} {decay}") for decay in ("1e-4", "1e-2")}
    assert len(names) == 2 and max(map(len, names)) <= 126 and all(map(runs.is_name, names))


@pytest.mark.parametrize("name, is_one", [
    ("a", True), ("a/b", True), ("keypoints/adam-bn_2,3=4.5", True), ("x" * 151, True), ("", False), ("../x", False),
    ("x/../y", False), ("/x", False), ("x/", False), ("x//y", False), (".x", False), ("x y", False),
    ("x" * 152, False)])
def test_the_name_of_a_run_stays_below_the_folder_of_the_runs(name, is_one):
    assert runs.is_name(name) == is_one


def test_finished_is_not_trained_again_and_content_decides(tmp_path, capsys):
    flags = f"{OBJECTS} --epochs 1 --momentum 0.8"
    code, folder = go(tmp_path, flags)
    before = (folder / "model.pt").read_bytes()
    in_other_words = flags.replace(" --epochs 1 --momentum 0.8", " --momentum 0.80 --epochs 1")
    assert go(tmp_path, f"{in_other_words} --device cpu --save-every 5 --stop-at 1")[0] == 0
    assert "finished before" in capsys.readouterr().out
    expected = "--act relu --synthetic --batch-size 20 --momentum 0.80 --epochs 1"
    assert result_of(folder)["flags"] == expected and (folder / "flags.txt").read_text() == expected + "\n"
    change_args(folder, remove=["bf16"])
    assert go(tmp_path, flags)[0] == 0 and "finished before" in capsys.readouterr().out  # made before there was --bf16
    assert go(tmp_path, f"{flags} --lr 0.002")[0] == 0  # other settings: the old result is kept
    old = folder.with_name("seed0.1")
    assert (old / "model.pt").read_bytes() == before and (folder / "model.pt").read_bytes() != before
    assert (folder / "flags.txt").read_text().endswith("--lr 0.002\n")
    assert go(tmp_path, f"{flags} --lr 0.002 --restart")[0] == 0
    assert folder.with_name("seed0.2").exists()


def test_a_folder_that_was_killed_before_it_had_settings_is_taken_over(tmp_path):
    folder = tmp_path / "runs/a/b/seed0"
    folder.mkdir(parents=True)
    (folder / "args.json.tmp").write_text("{")
    assert go(tmp_path, f"{OBJECTS} --max-steps 1")[0] == 0
    assert not folder.with_name("seed0.1").exists()


NEWER_FLAGS = ["loss", "margin", "side", "label_noise", "rotation", "clean_by", "clean_share", "drop_last"]


def test_a_folder_from_before_a_flag_existed_is_the_same_run(tmp_path):
    flags = f"{OBJECTS} --max-steps 2"
    folder = go(tmp_path, flags)[1]
    change_args(folder, remove=[
        "order", "init", "dropout", "normalise", "pretrained", "freeze", "autoaugment", "test_each_epoch", "early_stop",
        "label_smoothing", "input_noise", "input_dropout", "dropconnect", "fc_norm", "convs", "stem", "protocol",
        "stop_at", *NEWER_FLAGS])
    assert is_same_run(flags, folder) and not is_same_run(f"{flags} --dropout 0.1", folder)
    settings, model, dataset = starts.restore(folder)
    loss = train.evaluate(settings, model, dataset, dataset.test)[0]
    assert loss == result_of(folder)["metrics"]["test_loss"]


def test_a_folder_of_landmarks_from_before_losses_had_names_is_the_same_run(tmp_path, capsys):
    flags = f"{FACES} --max-steps 1"
    folder = go(tmp_path, flags)[1]
    change_args(folder, remove=NEWER_FLAGS)
    assert go(tmp_path, flags)[0] == 0 and "was finished before" in capsys.readouterr().out
    assert not is_same_run(f"{FACES} --max-steps 1 --drop-last", folder)
    settings, model, dataset = starts.restore(folder)
    loss = train.evaluate(settings, model, dataset, dataset.valid)[0]
    assert loss == result_of(folder)["metrics"]["valid_loss"]


@pytest.mark.parametrize("gone, is_same", [
    ({"split_seed": 0, "classes": None, "score": None, "again": False}, True), ({"split_seed": 5}, False),
    ({"classes": [1, 4]}, False)])
def test_a_folder_with_flags_that_are_gone_is_the_same_run_unless_they_did_something(tmp_path, capsys, gone, is_same):
    flags = f"{OBJECTS} --max-steps 1"
    folder = go(tmp_path, flags)[1]
    change_args(folder, **gone)
    assert is_same_run(flags, folder) == is_same
    (folder / "model.pt").write_bytes(b"the old one")
    capsys.readouterr()
    assert go(tmp_path, flags)[0] == 0
    said, aside = capsys.readouterr().out, folder.with_name("seed0.1")
    if is_same:
        assert "was finished before" in said and not aside.exists()
        assert (folder / "model.pt").read_bytes() == b"the old one"
    else:
        assert "made with other flags" in said and (aside / "model.pt").read_bytes() == b"the old one"
        assert weights(folder) and "split_seed" not in read(folder / "args.json")


@pytest.mark.parametrize("typed, is_same", [
    ("", True), ("--lr 0.002", False), ("--synthetic", False), ("--seed 1 --run c --threads 9 --device cpu", True),
    ("--momentum 0.90", True), ("--bf16", True), ("--deterministic", False), ("--max-steps 2", False),
    ("--channels 16,36", True), ("--channels 6,16", False)])
def test_which_settings_are_the_same_run(tmp_path, typed, is_same):
    args = {**train.parse([])._asdict(), "init_digest": None, "fingerprint": "0", "dropped": None}
    runs.save_json(args, tmp_path / "args.json")
    assert is_same_run(typed, tmp_path) == is_same


# ---- the line that the Makefile compares ----------------------------------------------------------------------------

def test_the_line_of_flags_of_a_folder(tmp_path):
    assert runs.flags_line(tmp_path) is None and runs.flags_line(tmp_path / "nothing") is None
    runs.save_json(by_hand.result(flags="--lr 1"), tmp_path / "result.json")
    assert runs.flags_line(tmp_path) == "--lr 1"
    runs.save_json(by_hand.result(flags="--lr 1", init_flags="--lr 2"), tmp_path / "result.json")
    assert runs.flags_line(tmp_path) == "--lr 1 < --lr 2"
    runs.write_flags_line("--lr 3 < --lr 4 < --lr 5", tmp_path)
    assert runs.flags_line(tmp_path) == "--lr 3 < --lr 4 < --lr 5"
    assert (runs.join_lines("--lr 1", None), runs.join_lines("--lr 1", "")) == ("--lr 1", "--lr 1 < ")


def test_folders_of_older_versions_get_their_line_of_flags(tmp_path, capsys):
    old, new, broken, unfinished = (tmp_path / name for name in ("old", "new", "broken", "unfinished"))
    for folder in (old, new, broken, unfinished):
        folder.mkdir()
    runs.save_json(by_hand.result(flags="--lr 1"), old / "result.json")
    runs.save_json(by_hand.result(flags="--lr 1"), new / "result.json")
    runs.write_flags_line("--lr 2", new)
    (broken / "result.json").write_text("{")
    assert runs.main(["adopt", *map(str, (broken, old, new, unfinished, tmp_path / "nowhere"))]) == 0
    assert (old / "flags.txt").read_text() == "--lr 1\n" and (new / "flags.txt").read_text() == "--lr 2\n"
    assert not (broken / "flags.txt").exists() and not list(unfinished.iterdir())
    error = capsys.readouterr().err
    assert "broken is taken for stale" in error and error.count("\n") == 1


def test_a_line_that_is_there_already_is_not_written_again(tmp_path, monkeypatch):
    runs.write_flags_line("--lr 1", tmp_path)
    monkeypatch.setattr(runs, "write_atomically", lambda *_: pytest.fail("it was written"))
    runs.write_flags_line("--lr 1", tmp_path)


# ---- where a run stands ---------------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    """A run folder with two epochs in its log and the flags --lr 1."""
    folder = make_log(tmp_path / "a/b/seed0", {"epoch": 1}, {"epoch": 2})
    runs.write_flags_line("--lr 1", folder)
    return folder


@pytest.mark.parametrize("status, state", [("finished", ("done", "")), ("diverged", ("diverged", "in epoch 2"))])
def test_a_finished_run_is_done_if_its_flags_are_the_declared_ones(folder, status, state):
    assert runs.state_of(folder, "--lr 1") == ("interrupted", "after epoch 2")
    runs.save_json(by_hand.result(status=status, epochs=2), folder / "result.json")
    assert runs.state_of(folder, "--lr 1") == state
    for line in ("--lr 2", "--lr 1 < --lr 1", "--lr", "--lr 1 --flip"):
        assert runs.state_of(folder, line) == ("missing", "what is there was made with other flags")


def test_a_run_that_is_trained_failed_or_not_there(folder):
    assert runs.state_of(folder.with_name("seed1"), "--lr 1") == ("missing", "")
    with runs.locked(folder):
        assert runs.state_of(folder, "--lr 1") == ("running", "after epoch 2")
    runs.fail(folder, ValueError("too hot"))
    assert runs.state_of(folder, "--lr 1") == ("failed", "ValueError: too hot")
    with runs.locked(folder.with_name("seed2")):
        assert runs.state_of(folder.with_name("seed2"), "--lr 1") == ("running", "after epoch 0")
    (folder / "result.json").write_text("{")
    state, word = runs.state_of(folder, "--lr 1")
    assert state == "failed" and "not JSON" in word


def test_every_state_is_one_of_the_six():
    assert set(runs.STATES) == {"done", "diverged", "running", "interrupted", "failed", "missing"}
    assert set(runs.DONE) == {"done", "diverged"}


# ---- stopping, machine, memory --------------------------------------------------------------------------------------

def test_the_deadline_is_the_earlier_of_the_two(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "time", lambda: 5000.0 + now)
    for stop_after, stop_at, seconds in ((60, None, 60), (None, 6040, 40), (60, 6040, 40), (30, 6040, 30)):
        now = 1000.0
        stop_reason = runs.watch(now, stop_after, stop_at)
        now = 1000.0 + seconds - 0.5
        assert stop_reason() is None
        now = 1000.0 + seconds
        assert stop_reason() == "the deadline"
    now = 1000.0
    stop_reason = runs.watch(now, None, None)
    now = 10.0**9
    assert stop_reason() is None


def signal_twice(seconds_between):
    """Gets SIGTERM twice. Ends with exit code 0 if it is still alive and has noticed the signal."""
    now = 0.0
    time.monotonic = lambda: now
    stop_reason = runs.watch(0.0, None, None)
    assert stop_reason() is None
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop_reason() == "SIGTERM"
    now = seconds_between
    os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(stop_reason() != "SIGTERM")


def test_a_second_signal_ends_the_process_at_once_unless_it_comes_with_the_first():
    assert in_another_process(signal_twice, 4.0) == 0
    assert in_another_process(signal_twice, 6.0) == -signal.SIGTERM


def test_who_made_a_result(tmp_path):
    made_with = runs.made_with(torch.device("cpu"))
    assert set(made_with) == {"versions", "commit", "dirty"}
    versions = made_with["versions"]
    assert set(versions) == {"python", "torch", "torchvision", "device"} and all(versions.values())
    assert runs.commit_of(tmp_path) == {"commit": None, "dirty": None}  # no git there


def test_the_commit_of_a_folder_and_whether_tracked_files_were_changed(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first", "--no-verify")
    (tmp_path / "untracked").write_text("1")
    clean = runs.commit_of(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean["commit"]) and clean["dirty"] is False
    (tmp_path / "file").write_text("2")
    assert runs.commit_of(tmp_path) == {**clean, "dirty": True}


def test_freed_memory_is_kept_for_the_next_step():
    program = """
import resource, torch
from experiments import runs
def pages():
    first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(16 << 20).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first
pages(), print(pages()), runs.keep_freed_memory(), pages(), print(pages())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept * 20 < given_back, done.stderr


def test_a_copied_folder_is_as_good_as_one_made_here(tmp_path, capsys):
    flags = f"{OBJECTS} --max-steps 1"
    folder = go(tmp_path, flags)[1]
    shutil.copytree(folder, tmp_path / "copied/a/b/seed0")
    capsys.readouterr()
    assert go(tmp_path, flags, folder="copied")[0] == 0 and "was finished before" in capsys.readouterr().out

"""train.py: what it promises of a run folder, of exit codes, and of being killed at any instant."""
import fcntl
import json
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

import data
import train
from conftest import ROOT

FACES = "--model keypoint --data faces21 --synthetic --batch-size 64 --rotated-copies 15 --threads 1"
OBJECTS = "--act relu --synthetic --batch-size 100 --threads 1"
# Everything that has a state: batch norm, dropout, both optimizers, the switch, rotation, and a checkpoint after every epoch.
EVERYTHING = f"{FACES} --norm bn --dropout 0.3 --optim adam --lr 0.01 --epochs 5 --switch-after 3 --valid-rotation 30 --save-every 0"


def go(tmp_path, flags, run="a/b", runs="runs"):
    """Runs train.py in this process; gives its exit code and the run's folder."""
    folder = tmp_path / runs / run / "seed0"
    return train.main(f"{flags} --runs {tmp_path / runs} --run {run}".split()), folder


def read(path):
    def strict(name):
        raise AssertionError(f"{name} is not JSON")
    return json.loads(path.read_text(), parse_constant=strict)


def rows(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def substance(folder):
    """All of a finished run that must not depend on how often it was killed: weights bit for bit, log and result but for times."""
    result = read(folder / "result.json")
    for key in ("seconds", "seconds_per_epoch", "commit", "dirty"):
        del result[key]
    return ((folder / "model.pt").read_bytes(), (folder / "best.pt").read_bytes() if (folder / "best.pt").exists() else None,
            [{k: v for k, v in row.items() if k != "seconds"} for row in rows(folder)], result)


# A process that has torch imported already and forks per run: a test that kills runs would otherwise wait 2 s for each import.
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["train"])


def child(argv, crash_at=None, limit=None):
    """train.main in a process of its own. crash_at=n: kill -9 at its n-th touch of the disk; limit: largest file in bytes."""
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if crash_at is not None:
        touches = 0

        def counted(function):
            def call(*args, **kwargs):
                nonlocal touches
                touches += 1
                if touches == crash_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)
            return call
        os.replace, os.fsync = counted(os.replace), counted(os.fsync)
        type(train.Path()).unlink = counted(type(train.Path()).unlink)
    sys.exit(train.main(argv))


def start(tmp_path, flags, runs="runs", **how):
    process = forkserver.Process(target=child, args=(f"{flags} --runs {tmp_path / runs} --run a/b".split(),), kwargs=how)
    process.start()
    return process


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    code, folder = go(tmp_path_factory.mktemp("whole"), EVERYTHING)
    assert code == 0
    return substance(folder)


# ------------------------------------------------------------------------------------------------------------- being killed


def test_killed_ten_times_at_random_instants_and_bit_identical_in_the_end(tmp_path, uninterrupted):
    seed = random.SystemRandom().randrange(10**6)
    print(f"kill instants from seed {seed}")
    instants, folder, kills = random.Random(seed), tmp_path / "runs/a/b/seed0", 0
    while kills < 10:
        process = start(tmp_path, EVERYTHING)
        process.join(instants.uniform(0.05, 1.5))
        if process.exitcode == 0:  # it got to the end before it was killed ten times: throw the run away, the kills count on
            assert substance(folder) == uninterrupted
            os.rename(folder, folder.with_name(f"done{kills}"))
        elif process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        else:
            pytest.fail(f"exit code {process.exitcode} after {kills} kills")
    process = start(tmp_path, EVERYTHING)
    process.join()
    assert process.exitcode == 0
    assert substance(folder) == uninterrupted
    assert not list(folder.glob("*.tmp")) and not list(folder.glob("checkpoint*"))


def test_killed_at_every_touch_of_the_disk(tmp_path):
    """Also between the two renames of a checkpoint, and between the last weights and the result."""
    flags = f"{OBJECTS} --batch-size 800 --epochs 2 --save-every 0"
    assert go(tmp_path, flags, runs="whole")[0] == 0
    whole, touch = substance(tmp_path / "whole/a/b/seed0"), 0
    while True:
        touch += 1
        process = start(tmp_path, flags, runs=f"runs{touch}", crash_at=touch)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        code, folder = go(tmp_path, flags, runs=f"runs{touch}")
        assert code == 0 and substance(folder) == whole, f"killed at touch {touch}"
    assert touch > 12  # args, 2 checkpoints, 2 weights, result: each some renames and syncs


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_at_the_next_step_and_exits_75(tmp_path, uninterrupted, number):
    process = start(tmp_path, EVERYTHING.replace("--save-every 0", "--save-every 1000"))
    folder = tmp_path / "runs/a/b/seed0"
    while not (folder / "log.jsonl").exists() or not (folder / "log.jsonl").read_text():
        time.sleep(0.01)
        assert process.exitcode is None
    time.sleep(0.1)
    os.kill(process.pid, number)
    os.kill(process.pid, number)  # `timeout make` and make itself each send one
    process.join()
    assert process.exitcode == 75 and (folder / "checkpoint.pt").exists()
    assert go(tmp_path, EVERYTHING)[0] == 0
    assert substance(folder) == uninterrupted


def test_stopped_at_every_step_around_the_switch(tmp_path, uninterrupted, monkeypatch):
    """A deadline that comes at each step in turn: in the middle of epochs, and just before and after the optimizer changes."""
    flags, asked = EVERYTHING.replace("--save-every 0", "--save-every 1000"), 0

    def watch(started, stop_after):
        calls = iter(range(10**6))
        return lambda: "the test" if next(calls) == 3 else None
    monkeypatch.setattr(train, "watch", watch)
    while (code := go(tmp_path, flags)[0]) == 75:
        asked += 1
    assert code == 0 and asked == 13  # 5 epochs of 8 steps, three at a time
    assert substance(tmp_path / "runs/a/b/seed0") == uninterrupted


def test_a_deadline_that_has_passed_exits_75_and_loses_nothing(tmp_path, uninterrupted):
    assert go(tmp_path, f"{EVERYTHING} --stop-after 0s")[0] == 75
    assert go(tmp_path, EVERYTHING)[0] == 0
    assert substance(tmp_path / "runs/a/b/seed0") == uninterrupted


def test_a_broken_checkpoint_is_said_and_the_one_before_is_taken(tmp_path, uninterrupted, capsys):
    flags = EVERYTHING.replace("--epochs 5", "--epochs 5 --stop-after 1h")
    process = start(tmp_path, flags)
    folder = tmp_path / "runs/a/b/seed0"
    while not (folder / "checkpoint.1.pt").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    newest = folder / "checkpoint.pt"
    newest.write_bytes((folder / "checkpoint.1.pt").read_bytes()[:1000])
    assert go(tmp_path, EVERYTHING)[0] == 0
    assert f"{newest} cannot be read" in capsys.readouterr().out
    assert substance(folder) == uninterrupted


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_hostile_checkpoints_are_not_run_and_nothing_is_lost(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --stop-after 0s")[0] == 75
    folder = tmp_path / "runs/a/b/seed0"
    torch.save(Hostile(tmp_path / "executed"), folder / "checkpoint.pt")
    assert go(tmp_path, OBJECTS)[0] == 2
    assert not (tmp_path / "executed").exists() and (folder / "checkpoint.pt").exists()
    assert "--restart" in (folder / "failed.txt").read_text()
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --restart")[0] == 0
    assert not (folder / "failed.txt").exists() and (tmp_path / "runs/a/b/seed0.1/checkpoint.pt").exists()


def test_a_full_disk_is_said_and_the_last_checkpoint_stays(tmp_path):
    flags = f"{OBJECTS} --epochs 3 --save-every 0"
    process = start(tmp_path, flags, limit=100_000)  # args.json fits, a checkpoint does not
    process.join()
    folder = tmp_path / "runs/a/b/seed0"
    assert process.exitcode == 1 and "OSError" in (folder / "failed.txt").read_text()
    assert not list(folder.glob("*.tmp")) and not (folder / "result.json").exists()
    assert go(tmp_path, flags)[0] == 0


# -------------------------------------------------------------------------------------------------------------- run folders


def test_the_folder_of_a_finished_run(tmp_path):
    code, folder = go(tmp_path, f"{OBJECTS} --epochs 3")
    assert code == 0
    assert {p.name for p in folder.iterdir()} == {"args.json", "train.log", "log.jsonl", "model.pt", "best.pt", "result.json"}
    log, result = rows(folder), read(folder / "result.json")
    assert [row["epoch"] for row in log] == [1, 2, 3] and all(0 <= row["train_acc"] <= 1 for row in log)
    metrics = result["metrics"]
    assert metrics["valid_acc"] == log[-1]["valid_acc"] and metrics["best_valid_acc"] == max(row["valid_acc"] for row in log)
    assert log[metrics["best_epoch"] - 1]["valid_acc"] == metrics["best_valid_acc"]
    assert result["status"] == "finished" and result["test_evaluations"] == 1 and result["test_weights"] == "final"
    assert result["data"]["train"] == 1600 and result["data"]["synthetic"] is True and result["params"] == 185_806
    assert result["flags"] == f"{OBJECTS} --epochs 3".replace(" --threads 1", "")
    assert read(folder / "args.json")["channels"] == [16, 36]
    assert len((folder / "train.log").read_text().splitlines()) == 5


def test_the_test_set_is_scored_once_with_the_weights_asked_for(tmp_path, monkeypatch):
    scored, evaluate = [], train.evaluate

    def spy(args, model, dataset, idx, *more):
        scored.append(torch.equal(idx, dataset.test))
        return evaluate(args, model, dataset, idx, *more)
    monkeypatch.setattr(train, "evaluate", spy)
    for weights in ("final", "best"):
        scored.clear()
        code, folder = go(tmp_path, f"{OBJECTS} --epochs 4 --lr 0.05 --test-weights {weights}", run=f"a/{weights}")
        assert code == 0 and scored == [False] * 4 + [True]
        args, model, dataset = train.restore(folder)
        model.load_state_dict(torch.load(folder / {"final": "model.pt", "best": "best.pt"}[weights], weights_only=True))
        metrics = read(folder / "result.json")["metrics"]
        assert evaluate(args, model, dataset, dataset.test) == (metrics["test_loss"], metrics["test_acc"])


def test_the_test_set_after_every_epoch_is_a_flag_and_the_record_says_so(tmp_path):
    code, folder = go(tmp_path, f"{OBJECTS} --split all --epochs 3 --test-each-epoch")
    result, log = read(folder / "result.json"), rows(folder)
    assert code == 0 and result["test_evaluations"] == 3 and all(row["valid_loss"] is None for row in log)
    assert all(0 <= row["test_acc"] <= 1 and row["test_loss"] > 0 for row in log)
    args, model, dataset = train.restore(folder)
    assert train.evaluate(args, model, dataset, dataset.test) == (result["metrics"]["test_loss"], result["metrics"]["test_acc"])
    assert result["metrics"]["test_acc"] == log[-1]["test_acc"]
    assert re.search(r"loss train [\d.]+ test [\d.]+  acc train [\d.]+ % test [\d.]+ %", (folder / "train.log").read_text())
    code, other = go(tmp_path, f"{OBJECTS} --split all --epochs 3", run="a/off")
    assert all(row["test_acc"] is None and row["test_loss"] is None for row in rows(other)) and read(other / "result.json")["test_evaluations"] == 1
    assert (folder / "model.pt").read_bytes() == (other / "model.pt").read_bytes()  # looking changes nothing


def test_a_diverged_run_has_no_test_score(tmp_path):
    for flags in ("--test-each-epoch --split all", "--split random"):
        code, folder = go(tmp_path, f"{OBJECTS} --epochs 3 --lr 1e12 {flags}", run=flags.split()[0].strip("-"))
        metrics = read(folder / "result.json")["metrics"]
        assert code == 3 and metrics["test_loss"] is metrics["test_acc"] is None


def test_train_loss_is_the_mean_per_image_of_an_epoch_with_a_smaller_last_batch(tmp_path):
    flags = "--synthetic --batch-size 300 --epochs 1 --lr 1e-30 --threads 1"  # 1600 = 5 * 300 + 100; the weights do not move
    code, folder = go(tmp_path, flags)
    args, model, dataset = train.restore(folder)
    loss, accuracy = train.evaluate(args, model, dataset, dataset.train)
    assert math.isclose(rows(folder)[0]["train_loss"], loss, rel_tol=1e-6)
    assert math.isclose(rows(folder)[0]["train_acc"], accuracy, rel_tol=1e-6)


def test_tail_loss_is_there_where_2000_batches_are(tmp_path):
    assert go(tmp_path, "--act relu --synthetic --batch-size 1 --split all --epochs 1 --threads 1")[0] == 0  # 2000 steps
    row = rows(tmp_path / "runs/a/b/seed0")[0]
    assert math.isclose(row["tail_loss"], row["train_loss"], rel_tol=1e-5) and row["valid_loss"] is None
    assert read(tmp_path / "runs/a/b/seed0/result.json")["metrics"]["best_epoch"] is None
    assert go(tmp_path, f"{OBJECTS} --epochs 1", run="a/short")[0] == 0
    assert rows(tmp_path / "runs/a/short/seed0")[0]["tail_loss"] is None


def test_a_diverged_run_is_a_result(tmp_path):
    for _ in range(2):  # a second time it is there already
        code, folder = go(tmp_path, f"{OBJECTS} --lr 1e18 --epochs 4")
        assert code == 3
    result = read(folder / "result.json")
    assert result["status"] == "diverged" and result["epochs"] == len(rows(folder)) < 4
    assert result["metrics"]["train_loss"] is None and result["test_evaluations"] == 0


def test_a_huge_but_finite_loss_is_not_divergence(tmp_path):
    code, folder = go(tmp_path, f"{FACES} --optim adam --lr 0.3 --max-steps 3")
    assert code == 0 and read(folder / "result.json")["metrics"]["train_loss"] > 1e6


def test_finished_is_not_trained_again_and_content_decides(tmp_path, capsys):
    flags = f"{OBJECTS} --epochs 1 --momentum 0.8"
    code, folder = go(tmp_path, flags)
    weights = (folder / "model.pt").read_bytes()
    again = flags.replace(" --epochs 1 --momentum 0.8", " --momentum 0.80 --epochs 1") + " --device cpu --save-every 5"
    assert go(tmp_path, again)[0] == 0 and "finished before" in capsys.readouterr().out  # the same settings in other words
    assert "--momentum 0.80 --epochs 1" in read(folder / "result.json")["flags"]
    (folder / "args.json").write_text(json.dumps({k: v for k, v in read(folder / "args.json").items() if k != "bf16"}))
    assert go(tmp_path, flags)[0] == 0 and "finished before" in capsys.readouterr().out  # made before train.py had that flag
    assert go(tmp_path, flags + " --lr 0.002")[0] == 0  # other settings: the old result is kept
    assert (folder.with_name("seed0.1") / "model.pt").read_bytes() == weights != (folder / "model.pt").read_bytes()
    assert go(tmp_path, flags + " --lr 0.002 --restart")[0] == 0
    assert folder.with_name("seed0.2").exists()


def test_one_process_a_run(tmp_path, capsys):
    (tmp_path / "runs/a/b").mkdir(parents=True)
    with open(tmp_path / "runs/a/b/.seed0.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert go(tmp_path, OBJECTS)[0] == 75
        assert "another process" in capsys.readouterr().err and not (tmp_path / "runs/a/b/seed0").exists()


def test_data_that_changed_under_a_run_are_refused(tmp_path, monkeypatch, capsys):
    assert go(tmp_path, f"{OBJECTS} --stop-after 0s")[0] == 75
    load = data.load
    monkeypatch.setattr(data, "load", lambda *a, **k: train.data.dataclasses.replace(load(*a, **k), fingerprint="other"))
    assert go(tmp_path, OBJECTS)[0] == 2
    assert "not those that" in capsys.readouterr().err and (tmp_path / "runs/a/b/seed0/checkpoint.pt").exists()


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --stop-after 0s")[0] == 75
    assert go(tmp_path, OBJECTS.replace("--threads 1", "--threads 2 --epochs 1"))[0] == 0
    assert read(tmp_path / "runs/a/b/seed0/result.json")["threads"] == 1 == torch.get_num_threads()


def test_a_test_loss_that_is_not_finite_is_divergence(tmp_path):
    code, folder = go(tmp_path, "--synthetic --act relu --split all --lr 1e38 --max-steps 1 --threads 1")
    assert code == 3 and read(folder / "result.json")["status"] == "diverged"


def test_a_reader_that_goes_away_does_not_stop_the_training(tmp_path):
    command = f"{sys.executable} train.py {OBJECTS} --max-steps 2 --runs {tmp_path} --run a/b | head -c 1"
    subprocess.run(["bash", "-c", command], cwd=ROOT, stdout=subprocess.DEVNULL)
    assert (tmp_path / "a/b/seed0/result.json").exists()


def test_init_from_a_run_or_a_file(tmp_path, capsys):
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --init-from a/first", run="a/second")[0] == 2
    assert "train that run first" in capsys.readouterr().err and not (tmp_path / "runs").exists()
    _, first = go(tmp_path, f"{OBJECTS} --epochs 1", run="a/first")
    code, second = go(tmp_path, f"{OBJECTS} --epochs 1 --lr 1e-30 --init-from a/first", run="a/second")
    weights = [torch.load(folder / "model.pt", weights_only=True) for folder in (first, second)]
    assert code == 0 and all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --fc 128 --init-from {first}/model.pt", run="a/third")[0] == 2
    assert "cannot be started from" in capsys.readouterr().err


PRETRAINED = "--model resnet18 --synthetic --split all --batch-size 50 --max-steps 2 --threads 1 --pretrained --freeze features"


def test_pretrained_weights_from_a_file_are_frozen_but_for_the_last_layer(tmp_path, imagenet):
    file, weights = imagenet
    code, folder = go(tmp_path, f"{PRETRAINED} --weights {file}")
    trained = torch.load(folder / "model.pt", weights_only=True)
    assert code == 0 and all(torch.equal(v, weights[k]) for k, v in trained.items() if not k.startswith("fc."))  # statistics of batch norm too
    result = read(folder / "result.json")
    assert result["params"] == 512 * 10 + 10 and len(result["init_digest"]) == 16 and result["metrics"]["test_acc"] is not None
    assert "--weights" not in result["flags"] and "--pretrained --freeze features" in result["flags"]
    args, model, dataset = train.restore(folder)  # without that file
    assert torch.equal(model.fc.weight, trained["fc.weight"])
    file.unlink()
    assert go(tmp_path, f"{PRETRAINED} --weights {file}") == (0, folder)  # a finished run needs it no more


def test_pretrained_weights_that_are_nowhere_exit_2_and_say_how_to_get_them(tmp_path, imagenet, capsys):
    assert go(tmp_path, PRETRAINED)[0] == 2
    err = capsys.readouterr().err
    assert "no network here" in err and "Put resnet18-f37072fd.pth there, or name a copy with --weights" in err and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_cache_that_cannot_be_made_and_a_file_that_cannot_be_read_exit_2(tmp_path, imagenet, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(imagenet[0] / "below a file"))
    assert go(tmp_path, PRETRAINED)[0] == 2 and "could not be downloaded" in capsys.readouterr().err

    def refuse(path):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(train, "digest_of", refuse)
    with pytest.raises(SystemExit) as stopped:
        go(tmp_path, f"{PRETRAINED} --weights {imagenet[0]}")
    assert stopped.value.code == 2 and "mine.pth cannot be read (Permission denied)" in capsys.readouterr().err


def test_frozen_batch_norm_needs_no_second_image(tmp_path, imagenet):
    flags = PRETRAINED.replace("--batch-size 50", "--batch-size 1")
    assert go(tmp_path, f"{flags} --weights {imagenet[0]}")[0] == 0


def test_a_pretrained_run_killed_and_gone_on_with_ends_the_same(tmp_path, imagenet):
    flags = PRETRAINED.replace("--max-steps 2", "--max-steps 4 --save-every 0") + f" --weights {imagenet[0]}"
    assert go(tmp_path, flags, runs="whole")[0] == 0
    args, asked = train.parse(f"{flags} --runs {tmp_path / 'runs'} --run a/b".split()), []
    stop = lambda: asked.append(1) or ("the test" if len(asked) == 3 else None)  # noqa: E731
    folder = tmp_path / "runs/a/b/seed0"
    assert train.train(args, folder, train.declared(flags.split()), stop) == 75
    assert go(tmp_path, flags)[0] == 0 and substance(folder) == substance(tmp_path / "whole/a/b/seed0")


# ------------------------------------------------------------------------------------------------------------------- flags


@pytest.mark.parametrize("flags, words", [
    ("--model alexnet", "'keypoint', 'lenet5'"), ("--act swish", "'relu'"), ("--data mnist", "'cifar10'"), ("--dropout 1.5", "below 1, not 1.5"),
    ("--lr nan", "not nan"), ("--lr -1", "above 0"), ("--lr fast", "invalid number"), ("--batch-size 0", "at least 1"), ("--epochs 2.5", "whole number"),
    ("--kernels 29,3", "leave no pixel"), ("--channels 6", "two --channels"), ("--channels a,b", "list of whole numbers"),
    ("--model keypoint --act relu", "keypoint has no --act"), ("--model keypoint", "--data cifar10 has 3x32x32"), ("--split photograph", "random, all"),
    ("--epochs 5 --switch-after 5", "after the last of 5"), ("--switch-lr 0.1", "--switch-after"), ("--switch-after 2 --schedule cosine", "exclude"),
    ("--schedule multistep", "needs --milestones"), ("--schedule multistep --milestones 20", "before the last of 10"),
    ("--milestones 3", "does nothing without --schedule multistep"), ("--gamma 0.5", "does nothing"), ("--schedule step --gamma 0", "above 0"),
    ("--split all --test-weights best", "valid set"), ("--model keypoint --data faces21 --flip", "away from their landmarks"), ("--stop-after soon", "such as 90s"),
    ("--device cuda:99", "cannot be used here"), ("--run ../x", "no name of a run"), ("--run x/../../y", "no name of a run"), ("--momentum 1", "below 1"),
    ("--mom 0.5", "unrecognized"), ("--pad-crop 40", "at most 16"), ("--seed -1", "at least 0"), ("--device meta", "none of cpu"), ("--batch-size 99999999999", "below 2^31"),
    ("--model keypoint --data faces21 --autoaugment 0.6", "--autoaugment would move"), ("--autoaugment 0.6 --augmix 0.6", "exclude"), ("--model keypoint --data faces21 --normalise half", "each face"), ("--augmix 1.1", "at most 1"),
    ("--test-each-epoch --test-weights best", "not the best on valid"), ("--model keypoint --data faces21 --test-each-epoch", "needs a test set"),
    ("--pretrained", "is for resnet18"), ("--model resnet18 --pretrained --init-from a/b", "excludes --init-from"), ("--weights w.pth", "without --pretrained"),
    ("--freeze features", "needs --pretrained or --init-from"), ("--model resnet18 --act relu", "it takes --stem"), ("--order conv-bn-relu-dropout-pool", "lenet5 has no --order"),
    ("--model cnn --order bn-conv", "pool-conv-bn-relu-dropout"), ("--model resnet18 --pretrained --weights nowhere.pth", "There is no file nowhere.pth"),
    ("--model mlp --batch-size 1599", "leaves a step with one image"), ("--model resnet18 --batch-size 1", "leaves a step with one image"),
    ("--schedule plateau --split all", "valid set"), ("--run " + "x" * 300, "no name of a run"), ("--init-from nowhere", "train that run first"),
])
def test_bad_flags_get_a_sentence_exit_2_and_no_folder(tmp_path, flags, words, capsys):
    try:
        code = train.main(f"--synthetic --runs {tmp_path / 'runs'} {flags}".split())
    except SystemExit as e:
        code = e.code
    err = capsys.readouterr().err
    assert code == 2 and words in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    assert go(tmp_path, OBJECTS)[0] == 2 and "cannot be made or written" in capsys.readouterr().err


def test_missing_data_get_two_sentences_and_exit_2(tmp_path, capsys):
    code = train.main(f"--runs {tmp_path / 'runs'} --data-dir {tmp_path / 'nothing'}".split())
    err = capsys.readouterr().err
    assert code == 2 and "looked for" in err and "python data.py fetch cifar10" in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_cut_short_run_may_end_before_its_schedule(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --schedule multistep --milestones 20 --max-steps 2")[0] == 0
    assert go(tmp_path, f"{FACES} --epochs 1 --switch-after 5 --max-steps 2", run="a/c")[0] == 0
    result = read(tmp_path / "runs/a/c/seed0/result.json")
    assert result["steps"] == 2 == result["max_steps"] and result["epochs"] == 1


def test_the_name_of_a_run_made_from_its_flags():
    assert train.parse(["--act", "relu"]).run == "adhoc/lenet5-act-relu"
    assert train.parse("--model lenet5 --flip --lr 0.01 --device cpu --runs elsewhere --seed 3".split()).run == "adhoc/lenet5-flip-lr-0.01"
    assert train.parse(["--channels", "6,16"]).run == "adhoc/lenet5-channels-6,16"
    assert train.parse([]).run == "adhoc/lenet5"
    long = "--model net --channels 256,256 --norm bn --dropout 0.1 --optim adam --flip --pad-crop 2 --schedule cosine --test-each-epoch --split all --weight-decay"
    names = {train.parse([*long.split(), decay]).run for decay in ("1e-4", "1e-2")}
    assert len(names) == 2 and max(map(len, names)) <= 126


def test_the_defaults_are_report_2as():
    args = train.parse([])
    assert (args.model, args.data, args.split, args.act, args.pool, args.channels, args.fc) == ("lenet5", "cifar10", "random", "sigmoid", "avg", (16, 36), (128, 96))
    assert (args.optim, args.lr, args.momentum, args.batch_size, args.epochs, args.seed, args.test_weights) == ("sgd", 0.001, 0.9, 4, 10, 0, "final")


def test_flags_that_are_not_given_are_left_to_the_net():
    assert {k: getattr(train.parse(["--model", "net"]), k) for k in ("channels", "norm", "init", "dropout", "act", "order")} == {
        "channels": (6, 16), "norm": "none", "init": "default", "dropout": 0.0, "act": None, "order": None}
    assert [getattr(train.parse(f"--model {net}".split()), k) for net in ("mlp", "cnn") for k in ("norm", "dropout")] == ["bn", 0.5, "bn", 0.1]
    assert train.parse("--model mlp --dropout 0 --norm none".split()).dropout == 0


def test_a_folder_from_before_a_flag_existed_is_the_same_run(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --max-steps 2")[0] == 0
    file = tmp_path / "runs/a/b/seed0/args.json"
    old = read(file)
    for flag in ("order", "init", "dropout", "normalise", "pretrained", "freeze", "autoaugment", "test_each_epoch"):
        del old[flag]
    file.write_text(json.dumps(old))
    assert train.same_run(train.parse(f"{OBJECTS} --max-steps 2".split()), file.parent)
    assert not train.same_run(train.parse(f"{OBJECTS} --max-steps 2 --dropout 0.1".split()), file.parent)
    args, model, dataset = train.restore(file.parent)
    assert train.evaluate(args, model, dataset, dataset.test)[0] == read(file.parent / "result.json")["metrics"]["test_loss"]


def test_declared_flags_leave_out_what_is_no_part_of_a_run():
    typed = "--lr 0.01 --runs r --run a/b --seed=3 --flip --device cpu --threads 2 --restart --stop-after 5m --optim adam --data-dir d"
    assert train.declared(typed.split()) == "--lr 0.01 --flip --optim adam"


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("55m", 3300), ("1h", 3600), ("1h30m", 5400), ("45", 45), ("1h1m1s", 3661)])
def test_durations(text, seconds):
    assert train.duration(text) == seconds


# ------------------------------------------------------------------------------------------------------- optimizer, schedule


@pytest.mark.parametrize("flags, expected", [
    ("--schedule step --step-size 2 --gamma 0.5", [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]),
    ("--schedule multistep --milestones 1,4 --gamma 0.1", [0.1, 0.01, 0.01, 0.01, 0.001, 0.001]),
    ("--schedule cosine", [0.05 * (1 + math.cos(math.pi * e / 6)) for e in range(6)]),
    ("--switch-after 4 --switch-lr 1e-5", [0.1] * 4 + [1e-5] * 2),
])
def test_the_learning_rate_by_epoch(tmp_path, flags, expected):
    code, folder = go(tmp_path, f"{OBJECTS} --lr 0.1 --batch-size 1600 --epochs 6 {flags}")
    assert code == 0 and [row["lr"] for row in rows(folder)] == pytest.approx(expected)


def test_plateau_falls_when_the_valid_loss_does_not(tmp_path):
    _, folder = go(tmp_path, f"{OBJECTS} --lr 1e-30 --batch-size 1600 --epochs 5 --schedule plateau --patience 1 --gamma 0.5")
    assert [row["lr"] for row in rows(folder)] == pytest.approx([1e-30] * 3 + [0.5e-30] * 2)


def one_step(flags):
    """The parameters before and after one step on the same batch."""
    args = train.parse(f"{OBJECTS} {flags}".split())
    dataset, model = train.prepare(args)
    before = [p.detach().clone() for p in model.parameters()]
    _, _, penalty, norm = train.train_step(args, model, train.make_optimizer(args, model), train.LOSSES["classes"], *dataset.batch(dataset.train[:100]))
    return before, [p.detach() for p in model.parameters()], penalty, norm


def test_l2_acts_on_all_parameters_as_twice_that_weight_decay():
    for ours, theirs in zip(one_step("--norm bn --l2 0.01")[1], one_step("--norm bn --weight-decay 0.02")[1]):
        assert torch.allclose(ours, theirs, atol=1e-7)
    before, _, penalty, _ = one_step("--norm bn --l2 0.01")
    assert math.isclose(penalty.item(), 0.01 * sum(p.square().sum().item() for p in before), rel_tol=1e-5)


def test_clipping_bounds_the_step_and_reports_the_norm_before():
    before, after, _, norm = one_step("--l2 10 --clip 1 --lr 1 --momentum 0")
    moved = torch.cat([(a - b).flatten() for a, b in zip(after, before)]).norm().item()
    assert norm > 10 and math.isclose(moved, 1, rel_tol=1e-3)


def test_the_l2_term_is_logged_apart(tmp_path):
    plain, with_l2 = (rows(go(tmp_path, f"{OBJECTS} --epochs 1 --lr 1e-30 --l2 {l2}", run=f"a/{l2}")[1])[0] for l2 in ("0", "0.5"))
    assert plain["penalty"] == 0 and with_l2["penalty"] > 1 and with_l2["train_loss"] == plain["train_loss"]


def test_an_epoch_visits_every_face_twice_once_upright():
    args = train.parse(FACES.split())
    dataset, _ = train.prepare(args)
    picks, draws = train.plan_epoch(args, dataset, 1)
    upright = draws["degrees"] == 0
    assert torch.equal(picks[upright].sort().values, dataset.train) and torch.equal(picks[~upright].sort().values, dataset.train)
    assert draws["degrees"].abs().max() <= 15 and draws["degrees"][~upright].std() > 5
    again, other = train.plan_epoch(args, dataset, 1), train.plan_epoch(args, dataset, 2)
    assert torch.equal(picks, again[0]) and torch.equal(draws["degrees"], again[1]["degrees"])
    assert not torch.equal(picks, other[0]) and not torch.equal(draws["degrees"].sort().values, other[1]["degrees"].sort().values)


def test_order_and_initial_weights_depend_on_the_seed_and_not_on_the_net():
    first, other = (train.parse(f"{FACES} --seed {seed}".split()) for seed in (0, 1))
    normed = train.parse(f"{FACES} --norm bn --dropout 0.3".split())
    (d, model), (_, model_other), (_, model_normed) = map(train.prepare, (first, other, normed))
    assert torch.equal(train.plan_epoch(first, d, 3)[0], train.plan_epoch(normed, d, 3)[0])
    assert not torch.equal(train.plan_epoch(first, d, 3)[0], train.plan_epoch(other, d, 3)[0])
    assert torch.equal(model.ip3.weight, model_normed.ip3.weight) and not torch.equal(model.ip3.weight, model_other.ip3.weight)


def test_evaluate_needs_no_particular_batch_size_and_leaves_the_mode_alone():
    args = train.parse(f"{FACES} --norm bn --dropout 0.5".split())
    dataset, model = train.prepare(args)
    model.train()
    whole, parts = (train.evaluate(args, model, dataset, dataset.valid, batch_size=n)[0] for n in (64, 7))
    assert model.training and math.isclose(whole, parts, rel_tol=1e-5)
    assert train.evaluate(args, model, dataset, dataset.valid, {"degrees": torch.full((len(dataset.valid),), 30.0)})[0] != whole


def test_flip_and_crop_train_and_resume(tmp_path, monkeypatch):
    flags = f"{OBJECTS} --flip --pad-crop 4 --autoaugment 0.6 --epochs 2"
    assert go(tmp_path, flags, runs="whole")[0] == 0
    asked = iter(range(10**6))
    monkeypatch.setattr(train, "watch", lambda started, stop_after: lambda: "the test" if next(asked) == 20 else None)
    assert [go(tmp_path, flags)[0] for _ in range(2)] == [75, 0]
    assert substance(tmp_path / "runs/a/b/seed0") == substance(tmp_path / "whole/a/b/seed0")


def test_l2_takes_channels_last_nets(tmp_path):
    assert go(tmp_path, f"{FACES} --l2 0.001 --max-steps 1")[0] == 0
    assert go(tmp_path, f"{OBJECTS} --bf16 --l2 0.001 --max-steps 1", run="a/c")[0] == 0


def test_bf16_trains(tmp_path):
    code, folder = go(tmp_path, f"{OBJECTS} --bf16 --epochs 3 --lr 0.02")
    assert code == 0 and rows(folder)[-1]["train_loss"] < rows(folder)[0]["train_loss"]


@pytest.mark.skipif(not (ROOT / "data/cifar10").exists(), reason="needs CIFAR-10 in data/cifar10")
def test_the_command_of_the_readme_on_real_images(tmp_path):
    command = [sys.executable, "train.py", "--model", "lenet5", "--act", "relu", "--runs", str(tmp_path), "--max-steps", "500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    result = read(tmp_path / "adhoc/lenet5-act-relu-max-steps-500/seed0/result.json")
    assert (result["data"]["train"], result["data"]["valid"], result["data"]["test"]) == (40_000, 10_000, 10_000)
    assert "\r" not in done.stderr and result["metrics"]["train_loss"] < 2.31  # no progress bars without a terminal

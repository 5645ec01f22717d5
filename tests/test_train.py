"""train.py: what it promises of a run folder, of exit codes, and of being killed at any instant."""
import fcntl
import functools
import hashlib
import json
import math
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.nn.functional as F

import data
import train
from conftest import ROOT

FACES = "--model keypoint --data faces21 --synthetic --batch-size 64 --rotated-copies 15 --threads 1"
OBJECTS = "--act relu --synthetic --batch-size 100 --threads 1"
# Everything that has a state: batch norm, dropout, both optimizers, the switch, rotation, and a checkpoint after every epoch.
EVERYTHING = f"{FACES} --norm bn --dropout 0.3 --optim adam --lr 0.01 --epochs 5 --switch-after 3 --valid-rotation 30 --save-every 0"
TRAINED = f"{OBJECTS} --channels 6,16 --epochs 2 --lr 0.05 --data-dir its-own"  # so far that its predictions are better than chance
BASE = "--model base --data caltech35 --threads 1"
SEVEN = f"{BASE} --synthetic --classes 0,1,2,3,4,5,6 --batch-size 16"  # 112 train, 28 valid and 28 test images
CLASS_LOSSES = ("cross-entropy", "square", "mean-square", "triplet-cosine", "triplet-euclid")


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


def weights(folder, name="model.pt"):
    return torch.load(folder / name, weights_only=True)


def same(some, others):
    return some.keys() == others.keys() and all(torch.equal(some[k], others[k]) for k in some)


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


def stop_every(monkeypatch, steps):
    """Lets every start of a run come to so many steps, and no further."""
    def watch(started, stop_after):
        calls = iter(range(10**6))
        return lambda: "the test" if next(calls) == steps else None
    monkeypatch.setattr(train, "watch", watch)


@pytest.fixture(scope="module", autouse=True)
def drawn_once():
    """Each generated data set is drawn once for all tests here. caltech35's at 224 would take ten seconds: it is the one at 112, enlarged."""
    draw = functools.cache(data._twin)

    def twin(name, side=32):
        if side != 224:
            return draw(name, side)
        raw = draw(name, 112)
        return {**raw, "images": raw["images"].repeat_interleave(2, 2).repeat_interleave(2, 3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "_twin", twin)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    code, folder = go(tmp_path_factory.mktemp("whole"), EVERYTHING)
    assert code == 0
    return substance(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two folders of the same run: scored on the test set in training, and not."""
    place = tmp_path_factory.mktemp("trained")
    return go(place, TRAINED, runs="scored")[1], go(place, f"{TRAINED} --test-weights none")[1]


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
    stop_every(monkeypatch, 3)
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
    ("--early-stop 3 --split all", "need a valid set"), ("--early-stop 3 --test-weights final", "leave out --test-weights final"), ("--early-stop -1", "at least 0"),
    ("--early-stop 3 --test-each-epoch", "not the best on valid"), ("--test-weights none --test-each-epoch", "scores the weights of each epoch"),
    ("--label-smoothing 1", "below 1"), ("--input-dropout 1", "below 1"), ("--input-noise inf", "finite"), ("--again", "does nothing without --score"),
    ("--model keypoint --data faces21 --label-smoothing 0.1", "is for cross-entropy"), ("--model keypoint --data faces21 --protocol report", "is for classes"),
    ("--model net --dropconnect 0.5", "net has no --dropconnect"), ("--model vgg13 --convs 1,1", "five --convs"), ("--model net --norm gn", "takes none or bn"),
    ("--model nin --fc-norm bn", "nin has no --fc-norm"), ("--model resnet18 --pretrained --stem cifar", "those of --stem imagenet"),
    ("--model mlp --batch-size 399 --protocol report", "leaves a step with one image"), ("--model mlp --batch-size 499 --protocol report", "leaves a step with one image"),
    ("--loss mse", "cifar10 has classes"), (f"{BASE} --loss mse", "caltech35 has classes"), (f"{BASE} --loss hinge", "'triplet-euclid'"),
    *((f"--model keypoint --data faces21 {flags}", "faces21 has landmarks") for flags in (
        *(f"--loss {loss}" for loss in CLASS_LOSSES), "--label-noise 0.1", "--classes 1")),
    *((f"{BASE} --margin 0.25 {loss}", "does nothing without --loss triplet-cosine or triplet-euclid") for loss in ("", "--loss square")),
    *((f"{BASE} --loss triplet-{kind} {flags}", "trains features, which answer nothing yet") for kind, flags in (
        ("cosine", "--test-weights final"), ("euclid", "--test-weights best"), ("cosine", "--test-each-epoch"), ("euclid", "--early-stop 3"),
        ("cosine", "--protocol report"))),
    (f"{BASE} --loss triplet-cosine --margin -1", "at least 0"), (f"{BASE} --loss triplet-euclid --init-from a/b --freeze features", "nothing would learn"),
    ("--model nin --freeze classifier", "NiN has no linear layer"), ("--model nin --loss triplet-cosine", "NiN has no linear layer"),
    *((f"{BASE} --label-smoothing 0.1 --loss {loss}", f"is for cross-entropy, not for {loss}") for loss in CLASS_LOSSES[1:]),
    (f"{BASE} --freeze features", "needs --pretrained or --init-from"), (f"{BASE} --drop-last --batch-size 561", "leaves nothing of 560 images"),
    (f"{BASE} --batch-size 43", "leaves a step with one image"), (f"{BASE} --label-noise 1.5", "at most 1"),
    (f"{BASE} --clean-by a/b", "go together"), (f"{BASE} --clean-share 0.1", "go together"), (f"{BASE} --clean-by a/b --clean-share 1", "below 1"),
    (f"{BASE} --clean-by a/b --clean-share 0.1", "Train that run first"), (f"{BASE} --clean-by a/b --clean-share 0.1 --init-from a/c", "excludes --init-from"),
    ("--model resnet18 --data caltech35 --pretrained --clean-by a/b --clean-share 0.1", "excludes --init-from and --pretrained"),
    ("--model keypoint --data faces21 --clean-by a/b --clean-share 0.1", "is for classes"),
    ("--side 112", "is for caltech35"), ("--model resnet18 --side 224", "is for caltech35"), (f"{BASE} --side 100", "invalid choice"),
    (f"{BASE} --side 224", "base takes 3x112x112 images and gives classes; --data caltech35 has 3x224x224"),
    (f"{BASE} --rotation 15 --rotated-copies 15", "exclude each other"), (f"{BASE} --rotation 181", "at most 180"),
    (f"{BASE} --split all --valid-rotation 30", "need a valid set"), (f"{BASE} --classes 3,35", "has no class 35: its classes are 0 to 34"), (f"{BASE} --classes cat", "list of whole numbers"),
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


OF_REPORT_5 = ("loss", "margin", "side", "classes", "label_noise", "rotation", "clean_by", "clean_share", "drop_last")


def test_a_folder_from_before_a_flag_existed_is_the_same_run(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --max-steps 2")[0] == 0
    file = tmp_path / "runs/a/b/seed0/args.json"
    old = read(file)
    for flag in ("order", "init", "dropout", "normalise", "pretrained", "freeze", "autoaugment", "test_each_epoch", "early_stop", "label_smoothing",
                 "input_noise", "input_dropout", "dropconnect", "fc_norm", "convs", "stem", "protocol", "score", "again", *OF_REPORT_5):
        del old[flag]
    file.write_text(json.dumps(old))
    assert train.same_run(train.parse(f"{OBJECTS} --max-steps 2".split()), file.parent)
    assert not train.same_run(train.parse(f"{OBJECTS} --max-steps 2 --dropout 0.1".split()), file.parent)
    args, model, dataset = train.restore(file.parent)
    assert train.evaluate(args, model, dataset, dataset.test)[0] == read(file.parent / "result.json")["metrics"]["test_loss"]


def test_a_folder_of_landmarks_from_before_losses_had_names_is_the_same_run(tmp_path, capsys):
    flags = f"{FACES} --max-steps 1"
    _, folder = go(tmp_path, flags)
    (folder / "args.json").write_text(json.dumps({k: v for k, v in read(folder / "args.json").items() if k not in OF_REPORT_5}))
    assert go(tmp_path, flags)[0] == 0 and "was finished before" in capsys.readouterr().out
    assert not train.same_run(train.parse(f"{FACES} --max-steps 1 --drop-last".split()), folder)
    args, model, dataset = train.restore(folder)
    assert train.evaluate(args, model, dataset, dataset.valid)[0] == read(folder / "result.json")["metrics"]["valid_loss"]


@pytest.mark.parametrize("flags, kind, what, expected", [
    ("--dropconnect 0.3", train.models.DropConnect, "p", [0.3] * 3),
    ("--norm gn --fc-norm bn", torch.nn.BatchNorm1d, "num_features", [128, 96]),
    ("--model vgg13 --convs 1,1,1,1,2", torch.nn.Conv2d, "out_channels", [64, 128, 256, 512, 512, 512]),
    ("--model resnet18 --stem cifar", torch.nn.MaxPool2d, "stride", []),
    ("--model resnet18", torch.nn.MaxPool2d, "stride", [2]),
])
def test_flags_reach_the_net(flags, kind, what, expected):
    _, model = train.prepare(train.parse(f"--synthetic {flags}".split()))
    assert [getattr(layer, what) for layer in model.modules() if isinstance(layer, kind)] == expected


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
    _, _, penalty, norm = train.train_step(args, model, train.make_optimizer(args, model), train.make_loss(args), *dataset.batch(dataset.train[:100]))
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


@pytest.mark.parametrize("drawn", ["--flip --pad-crop 4 --autoaugment 0.6", "--input-noise 0.2 --input-dropout 0.2 --dropconnect 0.3",
                                   "--protocol report --flip --pad-crop 4 --norm bn --dropout 0.3"])
def test_what_is_drawn_at_random_is_drawn_again_after_a_stop_in_mid_epoch(tmp_path, monkeypatch, drawn):
    flags = f"{OBJECTS} --channels 6,16 {drawn} --epochs 2"
    assert go(tmp_path, flags, runs="whole")[0] == 0
    asked = iter(range(10**6))
    monkeypatch.setattr(train, "watch", lambda started, stop_after: lambda: "the test" if next(asked) == 20 else None)
    assert [go(tmp_path, flags)[0] for _ in range(2)] == [75, 0]
    assert substance(tmp_path / "runs/a/b/seed0") == substance(tmp_path / "whole/a/b/seed0")


def test_label_smoothing_spreads_a_share_of_the_targets_in_the_training_loss_alone(tmp_path, trained):
    flags = f"{OBJECTS} --channels 6,16 --batch-size 300 --epochs 1 --lr 1e-30 --init-from {trained[0]}/model.pt"
    (_, plain), (_, smoothed) = go(tmp_path, flags, run="a/plain"), go(tmp_path, f"{flags} --label-smoothing 0.2", run="a/smoothed")
    _, model, dataset = train.restore(smoothed)
    x, y = dataset.batch(dataset.train)
    with torch.no_grad():
        surprise = -model(x).log_softmax(1)
    right, even = surprise[torch.arange(len(y)), y].mean().item(), surprise.mean().item()
    (row,), (row_plain,) = rows(smoothed), rows(plain)
    assert abs(even - right) > 0.01 and math.isclose(row_plain["train_loss"], right, rel_tol=1e-6)
    assert math.isclose(row["train_loss"], 0.8 * right + 0.2 * even, rel_tol=1e-6)
    assert all(row[k] == row_plain[k] for k in ("train_acc", "valid_loss", "valid_acc"))
    assert all(read(smoothed / "result.json")["metrics"][k] == read(plain / "result.json")["metrics"][k] for k in ("test_loss", "test_acc"))


def test_noise_dropout_and_dropconnect_act_in_training_alone(tmp_path, trained):
    def run(flags):
        code, folder = go(tmp_path, f"{OBJECTS} --channels 6,16 --epochs 1 --lr 1e-30 --init-from {trained[0]}/model.pt {flags}", run=f"a/{flags.replace(' ', '')}x")
        metrics = read(folder / "result.json")["metrics"]
        return metrics.pop("train_loss"), metrics.pop("train_acc"), metrics
    plain_loss, _, plain = run("")
    for flags in ("--input-noise 0.5", "--input-dropout 0.3", "--dropconnect 0.3"):
        loss, _, scores = run(flags)
        assert abs(loss - plain_loss) > 1e-4 and scores == plain, flags


@pytest.mark.parametrize("noise, dropout", [(0.5, 0), (0, 0.3), (0.5, 0.3)])
def test_every_step_sees_its_images_with_noise_and_dropout_of_its_own(monkeypatch, noise, dropout):
    args = train.parse(f"{OBJECTS} --input-noise {noise} --input-dropout {dropout}".split())
    (dataset, model), seen, predict = train.prepare(args), [], train.predict
    monkeypatch.setattr(train, "predict", lambda args, model, x: seen.append(x) or predict(args, model, x))
    x, y = dataset.batch(dataset.train[:100])
    for _ in range(2):
        train.train_step(args, model, train.make_optimizer(args, model), train.make_loss(args), x, y)
    assert torch.equal(x, dataset.batch(dataset.train[:100])[0])
    seen = torch.stack(seen)
    for pair, shown in ((seen, torch.stack([x, x])), (seen[0].view(2, 50, *x.shape[1:]), x.view(2, 50, *x.shape[1:]))):  # two steps, two halves
        zeroed = pair == 0
        assert all(math.isclose(some.double().mean(), dropout, abs_tol=0.01) for some in zeroed)
        assert math.isclose((zeroed[0] != zeroed[1]).double().mean(), 2 * dropout * (1 - dropout), abs_tol=0.01)
        first, other = (pair * (1 - dropout) - shown)[:, ~zeroed.any(0)]
        assert abs(first.mean()) < 0.01 and math.isclose(first.std(), noise, abs_tol=0.01)
        assert math.isclose((first - other).std(), math.sqrt(2) * noise, abs_tol=0.01)


def test_l2_takes_channels_last_nets(tmp_path):
    assert go(tmp_path, f"{FACES} --l2 0.001 --max-steps 1")[0] == 0
    assert go(tmp_path, f"{OBJECTS} --bf16 --l2 0.001 --max-steps 1", run="a/c")[0] == 0


def test_bf16_trains(tmp_path):
    code, folder = go(tmp_path, f"{OBJECTS} --bf16 --epochs 3 --lr 0.02")
    assert code == 0 and rows(folder)[-1]["train_loss"] < rows(folder)[0]["train_loss"]


# ---------------------------------------------------------------------------------------------------------- early stopping

STOPPING = f"{OBJECTS} --channels 6,16 --batch-size 400 --lr 0.05"


@pytest.fixture
def valid_accuracies(monkeypatch):
    """Called with some numbers, makes them the accuracies on the valid images after epochs 1, 2, ...; the test set is scored as ever."""
    evaluate = train.evaluate

    def make(*accuracies):
        def scripted(args, model, dataset, idx, draws=None):
            return (1.0, accuracies[draws - 1]) if torch.equal(idx, dataset.valid) else evaluate(args, model, dataset, idx, draws)
        monkeypatch.setattr(train, "valid_draws", lambda args, dataset, epoch: epoch)
        monkeypatch.setattr(train, "evaluate", scripted)
    return make


@pytest.mark.parametrize("task, patience, valid, last", [
    ("classes", 2, [0.1, 0.3, 0.2, 0.3, 0.9], 4), ("classes", 2, [0.1, 0.2, 0.1, 0.3, 0.2, 0.2, 0.9], 6), ("classes", 1, [0, 0, 0.9], 2),
    ("classes", 5, [0.3, 0.2, 0.1], 3), ("classes", 0, [0.3, 0.2, 0.1], 3), ("landmarks", 2, [9, 3, 5, 3, 1], 4), ("landmarks", 1, [9, 8, 0, 7, 6], 4),
])
def test_early_stopping_waits_for_a_better_epoch_so_long(task, patience, valid, last):
    args, model = train.parse(f"--early-stop {patience} --epochs {len(valid)}".split()), torch.nn.Linear(1, 1)
    model.task, state = task, {"epoch": 0, "steps": 0, "best": None}
    while not train.over(args, state):
        score = valid[state["epoch"]]
        state["epoch"] += 1
        row = {"epoch": state["epoch"], "valid_loss": 1.0, "valid_acc": score} if task == "classes" else {
            "epoch": state["epoch"], "valid_loss": score, "valid_acc": None}
        train.keep_best(state, row, model)
    assert state["epoch"] == last


def test_an_early_stop_keeps_scores_and_records_the_best_epoch(tmp_path, valid_accuracies):
    valid_accuracies(0.1, 0.3, 0.2, 0.3, 0.9)
    code, folder = go(tmp_path, f"{STOPPING} --epochs 5 --early-stop 2")
    result, (_, short) = read(folder / "result.json"), go(tmp_path, f"{STOPPING} --epochs 2", run="a/short")
    assert code == 0 and result["status"] == "finished" and [row["epoch"] for row in rows(folder)] == [1, 2, 3, 4] and result["epochs"] == 4
    assert same(weights(folder), weights(short)) and same(weights(folder, "best.pt"), weights(short))
    metrics, expected = result["metrics"], read(short / "result.json")["metrics"]
    assert result["test_weights"] == "best" and result["test_evaluations"] == 1
    assert (metrics["best_epoch"], metrics["best_valid_acc"]) == (2, 0.3) and metrics["train_loss"] == rows(folder)[-1]["train_loss"]
    assert (metrics["test_loss"], metrics["test_acc"]) == (expected["test_loss"], expected["test_acc"])
    log = (folder / "train.log").read_text()
    assert "epoch 4/5" in log and "epoch 5/5" not in log and "no better epoch than 2 in 2: stopped early" in log


def test_a_run_that_stopped_early_unscored_is_scored_by_its_best_weights(tmp_path, valid_accuracies):
    valid_accuracies(0.3, 0.2)
    code, folder = go(tmp_path, f"{STOPPING} --epochs 2 --early-stop 1 --test-weights none")
    assert code == 0 and read(folder / "result.json")["test_weights"] == "none" and score(folder) == 0
    assert read(folder / "result.json")["test_weights"] == "best"


def test_a_patience_beyond_the_epochs_changes_only_which_weights_are_kept(tmp_path, valid_accuracies):
    valid_accuracies(0.1, 0.3, 0.2)
    (_, patient), (_, plain) = (go(tmp_path, f"{STOPPING} --epochs 3 {flags}", run=f"a/{flags[2]}") for flags in ("--early-stop 5", "--test-weights best"))
    (_, best, log, result), (_, plain_best, plain_log, plain_result) = substance(patient), substance(plain)
    assert best == plain_best and log == plain_log and result["metrics"] == plain_result["metrics"] and result["epochs"] == 3
    assert same(weights(patient), weights(plain, "best.pt")) and not same(weights(patient), weights(plain))


def test_an_early_stop_comes_at_the_same_epoch_after_any_number_of_interruptions(tmp_path, valid_accuracies, monkeypatch):
    valid_accuracies(0.1, 0.3, 0.2, 0.3, 0.9)
    flags, asked = f"{STOPPING} --epochs 5 --early-stop 2 --save-every 1000", 0
    _, whole = go(tmp_path, flags, runs="whole")
    stop_every(monkeypatch, 5)
    while (code := go(tmp_path, flags)[0]) == 75:
        asked += 1
    assert code == 0 and asked == 3 and substance(tmp_path / "runs/a/b/seed0") == substance(whole)  # 4 epochs of 4 steps, five at a time


def test_an_early_stop_that_died_before_its_result_was_written_trains_no_further(tmp_path, valid_accuracies, monkeypatch):
    valid_accuracies(0.1, 0.3, 0.2, 0.3, 0.9)
    flags, save = f"{STOPPING} --epochs 5 --early-stop 2 --save-every 0", train.save_json
    _, whole = go(tmp_path, flags, runs="whole")

    def full(content, path):
        if path.name == "result.json":
            raise OSError(28, "No space left on device")
        save(content, path)
    with monkeypatch.context() as disk:
        disk.setattr(train, "save_json", full)
        assert go(tmp_path, flags)[0] == 1
    monkeypatch.setattr(train, "train_step", lambda *_: pytest.fail("it trains"))
    code, folder = go(tmp_path, flags)
    assert code == 0 and substance(folder) == substance(whole)


# ------------------------------------------------------------------------------------------------------ report 2's protocol

REPORT = f"{OBJECTS} --channels 6,16 --norm bn --dropout 0.3 --flip --pad-crop 4 --epochs 2 --lr 0.05"


def test_report_2s_protocol_changes_scores_and_no_weights(tmp_path):
    (_, ours), (_, theirs) = go(tmp_path, REPORT, run="a/ours"), go(tmp_path, f"{REPORT} --protocol report", run="a/theirs")
    assert (ours / "model.pt").read_bytes() == (theirs / "model.pt").read_bytes()
    for one, other in zip(rows(ours), rows(theirs), strict=True):
        assert all(one[k] == other[k] for k in ("train_loss", "train_acc", "grad_norm")) and one["valid_loss"] != other["valid_loss"]
    assert read(ours / "result.json")["metrics"]["test_loss"] != read(theirs / "result.json")["metrics"]["test_loss"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("net", ["--model lenet5 --norm bn --fc-norm bn --dropout 0.3", "--model mlp"])
def test_scoring_as_report_2_did_leaves_the_net_as_it_was(net, training):
    args, plain = (train.parse(f"--synthetic --batch-size 100 {net} {flags}".split()) for flags in ("--protocol report", ""))
    dataset, model = train.prepare(args)
    model.train(training)
    state, score = {k: v.clone() for k, v in model.state_dict().items()}, train.evaluate(plain, model, dataset, dataset.valid)

    def untouched():
        return same(model.state_dict(), state) and all(layer.training == training for layer in model.modules())
    assert train.evaluate(args, model, dataset, dataset.valid) != score
    assert untouched() and train.evaluate(plain, model, dataset, dataset.valid) == score
    with pytest.raises(KeyError), train.like_report_2(model.eval()):
        model(dataset.batch(dataset.valid)[0])
        raise KeyError
    assert not any(layer.training for layer in model.modules())
    model.train(training)
    assert untouched() and train.evaluate(plain, model, dataset, dataset.valid) == score


def normed(x, w, name):
    """Batch norm by the statistics of the batch."""
    dims, shape = [d for d in range(x.dim()) if d != 1], (1, -1) + (1,) * (x.dim() - 2)
    x = (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=0, keepdim=True) + 1e-5).sqrt()
    return x * w[f"{name}.weight"].view(shape) + w[f"{name}.bias"].view(shape)


def apply(layer, x, w, name):
    return layer(x, w[f"{name}.weight"], w[f"{name}.bias"])


def lenet5_by_hand(w, x):
    for block in ("conv1", "conv2"):
        x = 0.7 * normed(apply(F.conv2d, x, w, f"{block}.0"), w, f"{block}.1")
        x = F.avg_pool2d(F.relu(x), 2)
    x = apply(F.linear, x.flatten(1), w, "fc.0")
    if "fc.3.weight" in w:  # behind batch norm
        return apply(F.linear, F.relu(normed(x, w, "fc.1")), w, "fc.3")
    return apply(F.linear, F.relu(x), w, "fc.2")


def mlp_by_hand(w, x):
    return apply(F.linear, 0.6 * F.relu(normed(apply(F.linear, x.flatten(1), w, "net.1"), w, "net.2")), w, "net.5")


def cnn_by_hand(w, x):
    for block in ("block1", "block2"):
        x = 0.8 * F.relu(normed(apply(F.conv2d, F.max_pool2d(x, 3, 2), w, f"{block}.1"), w, f"{block}.2"))
    return apply(F.linear, x.flatten(1), w, "fc")


def augmented_by_hand(images, draws):
    images = [F.pad(image, (4, 4, 4, 4))[:, 4 + down:36 + down, 4 + right:36 + right] for image, (down, right) in zip(images, draws["shift"].tolist())]
    return torch.stack([image.flip(2) if mirrored else image for image, mirrored in zip(images, draws["flip"].tolist())])


@pytest.mark.parametrize("flags, forward", [
    ("--model lenet5 --act relu --fc 128 --norm bn --dropout 0.3", lenet5_by_hand), ("--model mlp --dropout 0.4", mlp_by_hand),
    ("--model lenet5 --act relu --fc 128 --norm bn --dropout 0.3 --fc-norm bn", lenet5_by_hand),
    ("--model cnn --order pool-conv-bn-relu-dropout --dropout 0.2", cnn_by_hand)])
def test_report_2s_scores_worked_out_by_hand(tmp_path, flags, forward):
    code, folder = go(tmp_path, f"{flags} --synthetic --threads 1 --batch-size 150 --flip --pad-crop 4 --lr 0.05 --max-steps 15 --protocol report")
    args, _, dataset = train.restore(folder)
    last, metrics, w = rows(folder)[-1], read(folder / "result.json")["metrics"], weights(folder)
    valid = augmented_by_hand(dataset.images[dataset.valid], train.valid_draws(args, dataset, 2))
    for images, idx, loss, accuracy in ((valid, dataset.valid, last["valid_loss"], last["valid_acc"]),
                                        (dataset.images[dataset.test], dataset.test, metrics["test_loss"], metrics["test_acc"])):
        logits = torch.cat([forward(w, (part - 127.5) / 127.5) for part in images.float().split(150)])
        assert math.isclose(loss, F.cross_entropy(logits, dataset.targets[idx]).item(), rel_tol=1e-5)
        assert math.isclose(accuracy, (logits.argmax(1) == dataset.targets[idx]).double().mean().item(), rel_tol=1e-12)
    assert code == 0 and last["epoch"] == 2


def test_report_2s_protocol_augments_valid_images_anew_every_epoch_and_test_images_never(tmp_path, trained):
    flags = f"{OBJECTS} --channels 6,16 --lr 1e-30 --epochs 2 --flip --pad-crop 4 --init-from {trained[0]}/model.pt"
    folders = go(tmp_path, flags, run="a/ours")[1], go(tmp_path, f"{flags} --protocol report", run="a/theirs")[1]
    (ours, ours_too), theirs = ([row["valid_loss"] for row in rows(folder)] for folder in folders)
    assert ours == ours_too and len({round(loss, 4) for loss in (ours, *theirs)}) == 3
    assert math.isclose(*(read(folder / "result.json")["metrics"]["test_loss"] for folder in folders), rel_tol=1e-6)


@pytest.mark.parametrize("flags", ["--model mlp", "--model mlp --norm none --protocol report", "--act relu --norm bn --protocol report"])
def test_one_image_left_for_scoring_is_no_hindrance_where_its_statistics_are_not_needed_or_can_be_taken(tmp_path, flags):
    assert go(tmp_path, f"{flags} --synthetic --batch-size 399 --max-steps 1 --threads 1")[0] == 0


@pytest.mark.parametrize("size", [399, 1])
def test_one_image_left_for_scoring_is_refused_with_frozen_batch_norm_too(tmp_path, capsys, size):
    torch.save(train.models.build("mlp").state_dict(), tmp_path / "mlp.pt")
    flags = f"--model mlp --synthetic --batch-size {size} --max-steps 1 --threads 1 --init-from {tmp_path / 'mlp.pt'} --freeze features"
    assert go(tmp_path, flags, run="a/default")[0] == 0
    assert go(tmp_path, f"{flags} --protocol report")[0] == 2 and "leaves a step with one image" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- report 5: losses, two stages


def prepared(flags):
    """(args, data set, net) as a run with these flags begins."""
    args = train.parse(flags.split())
    return args, *train.prepare(args)


def scores_of(folder, part="valid"):
    """(logits, features, labels) of a finished run on a part of its data, in one go, by the nets' own layers."""
    _, model, dataset = train.restore(folder)
    x, y = dataset.batch(getattr(dataset, part))
    with torch.no_grad():
        features = model.features(x)
        return model.classifier(features), features, y


@pytest.mark.parametrize("flags, loss", [("", "cross-entropy"), (BASE, "cross-entropy"), ("--model keypoint --data faces21", "mse"), (f"{BASE} --loss square", "square")])
def test_the_loss_where_none_is_named_is_that_of_the_data_set(flags, loss):
    assert train.parse(flags.split()).loss == loss


BY_HAND = {
    "cross-entropy": lambda logits, _, y: -logits.log_softmax(1)[range(len(y)), y].mean(),
    "square": lambda logits, _, y: (logits.softmax(1) - torch.eye(35)[y]).square().sum() / len(y),
    "mean-square": lambda logits, _, y: (logits.softmax(1) - torch.eye(35)[y]).square().mean(),
    "triplet-cosine": lambda _, f, y: hardest(-F.cosine_similarity(f[:, None], f[None], dim=2), y),
    "triplet-euclid": lambda _, f, y: hardest((f[:, None] - f[None]).square().sum(2).sqrt(), y)}


def hardest(distance, labels):
    """Of a batch in which each image has others of its class and of other classes, at a margin of 0.4."""
    return torch.stack([F.relu(row[labels == label].max() - row[labels != label].min() + 0.4) for row, label in zip(distance, labels)]).mean()


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_every_loss_of_classes_trains_and_is_the_one_logged(tmp_path, loss):
    flags = f"{SEVEN} --classes 0,1,2 --lr {0.5 if loss == 'mean-square' else 0.01} --epochs 3 --loss {loss}"  # 12 valid images: one batch
    code, folder = go(tmp_path, flags + " --margin 0.4" * loss.startswith("triplet"))
    log = rows(folder)
    assert code == 0 and log[-1]["train_loss"] < log[0]["train_loss"] and read(folder / "args.json")["loss"] == loss
    assert math.isclose(log[-1]["valid_loss"], BY_HAND[loss](*scores_of(folder)), rel_tol=1e-4)
    assert all((row["left_out"] is None) == (row["train_acc"] is not None) == (not loss.startswith("triplet")) for row in log)


def test_square_is_logged_per_image_whatever_the_batch_and_is_mean_square_times_the_classes(tmp_path):
    # without batch norm, and weights that do not move; 1600 train and 400 valid images leave smaller last batches
    flags = f"{OBJECTS} --epochs 1 --lr 1e-30"
    ways = ("--loss square --batch-size 100", "--loss square --batch-size 300", "--loss mean-square --batch-size 300")
    folders = [go(tmp_path, f"{flags} {way}", run=f"a/{n}")[1] for n, way in enumerate(ways)]
    for part in ("train_loss", "valid_loss"):
        some, other, mean = (rows(folder)[0][part] for folder in folders)
        assert math.isclose(some, other, rel_tol=1e-5) and math.isclose(some, 10 * mean, rel_tol=1e-5)
    args, model, dataset = train.restore(folders[0])
    expected = rows(folders[0])[0]["valid_loss"]
    assert all(math.isclose(train.evaluate(args, model, dataset, dataset.valid, batch_size=n)[0], expected, rel_tol=1e-5) for n in (400, 150, 7))


def test_a_step_of_square_is_that_of_mean_square_at_the_rate_times_batch_and_classes(tmp_path):
    ways = {"sum": "--loss square --lr 0.001", "mean": f"--loss mean-square --lr {0.001 * 16 * 35}", "same-rate": "--loss mean-square --lr 0.001"}
    sums, means, others = (weights(go(tmp_path, f"{SEVEN} --drop-last --max-steps 4 {way}", run=f"a/{run}")[1]) for run, way in ways.items())
    first = prepared(SEVEN)[2].state_dict()

    def apart(ours, theirs):
        return max((ours[k] - theirs[k]).abs().max().item() for k in ours if k.endswith("weight"))
    assert apart(sums, means) < 1e-5 and apart(sums, others) > 1e-3 and apart(sums, first) > 1e-3


TRIPLET = f"{SEVEN} --loss triplet-cosine --freeze classifier --lr 0.1 --epochs 2"


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    """A place with the run a/first, which trained features by a triplet loss."""
    place = tmp_path_factory.mktemp("stages")
    assert go(place, TRIPLET, run="a/first")[0] == 0
    return place


@pytest.fixture
def stages(first_stage, tmp_path):
    """A copy of that place, and the first run's folder in it."""
    shutil.copytree(first_stage / "runs", tmp_path / "runs")
    return tmp_path, tmp_path / "runs/a/first/seed0"


def test_a_triplet_run_has_losses_and_no_accuracies_and_is_not_scored(stages, capsys):
    _, folder = stages
    result, log = read(folder / "result.json"), rows(folder)
    assert all(row[k] is None for row in log for k in ("train_acc", "valid_acc", "test_loss", "test_acc"))
    assert all(row["train_loss"] > 0 and row["valid_loss"] > 0 for row in log)
    assert all(result["metrics"][k] is None for k in ("train_acc", "valid_acc", "best_valid_acc", "test_loss", "test_acc"))
    assert result["status"] == "finished" and (result["test_weights"], result["test_evaluations"]) == ("none", 0)
    assert " %" not in (folder / "train.log").read_text()
    for words in ([], ["--again"], ["--test-weights", "best"]):
        assert "its classifier has learnt nothing yet" in refusal(capsys, folder, *words)


def test_the_best_epoch_of_a_triplet_run_is_that_of_least_valid_loss(tmp_path, monkeypatch):
    losses, evaluate, seen = iter((0.3, 0.1, 0.2)), train.evaluate, []

    def scripted(args, model, dataset, idx, *more):
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return next(losses), evaluate(args, model, dataset, idx, *more)[1]
    monkeypatch.setattr(train, "evaluate", scripted)
    code, folder = go(tmp_path, f"{TRIPLET} --classes 0,1,2 --epochs 3")
    metrics = read(folder / "result.json")["metrics"]
    assert code == 0 and (metrics["best_epoch"], metrics["best_valid_loss"], metrics["valid_loss"]) == (2, 0.1, 0.2)
    assert same(weights(folder, "best.pt"), seen[1]) and same(weights(folder), seen[2]) and not same(seen[1], seen[2])


@pytest.mark.parametrize("size, drop_last", [(3, ""), (3, "--drop-last"), (9, "")])
def test_images_left_out_are_counted_in_every_epoch(tmp_path, size, drop_last):
    # 32 images of two classes: among batches of three there are some of a single class, among smaller last ones some of two that are alone
    code, folder = go(tmp_path, f"{BASE} --synthetic --classes 0,1 --batch-size {size} --loss triplet-euclid --epochs 2 {drop_last}")
    args, _, dataset = train.restore(folder)
    expected = []
    for epoch in (1, 2):
        picks = train.plan_epoch(args, dataset, epoch)[0].tolist()
        batches = [[dataset.targets[i].item() for i in picks[n:n + size]] for n in range(0, len(picks), size)]
        batches = [batch for batch in batches if len(batch) == size or not drop_last]
        expected.append(sum(batch.count(label) == 1 or len(set(batch)) == 1 for batch in batches for label in batch))
    assert code == 0 and [row["left_out"] for row in rows(folder)] == expected and (size == 9 or min(expected) > 3)


@pytest.mark.parametrize("training", [True, False])
def test_a_triplet_loss_is_scored_in_mixed_batches_of_the_runs_size_always_alike(first_stage, monkeypatch, training):
    args, model, dataset = train.restore(first_stage / "runs/a/first/seed0")
    expected, calls, batch = rows(first_stage / "runs/a/first/seed0")[-1]["valid_loss"], [], data.Dataset.batch
    model.train(training)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    by_class = dataset.valid[dataset.targets[dataset.valid].argsort(stable=True)]
    degrees = by_class.float() / 100  # an angle for each image, to tell whether it comes with its own
    monkeypatch.setattr(data.Dataset, "batch", lambda self, idx, draws=None: calls.append((idx, draws)) or batch(self, idx, draws))
    scores = [train.evaluate(args, model, dataset, by_class, {"degrees": degrees}) for _ in range(2)]
    assert train.evaluate(args, model, dataset, dataset.valid, batch_size=5) == (expected, None)
    assert all(layer.training == training for layer in model.modules()) and same(model.state_dict(), state)

    assert scores[0] == scores[1] and [len(idx) for idx, _ in calls] == [16, 12] * 3
    total = 0
    for idx, draws in calls[:2]:
        labels = dataset.targets[idx]
        assert labels.unique().numel() > 4 and torch.equal(draws["degrees"], idx.float() / 100)
        with torch.no_grad():
            features = model.eval().features(batch(dataset, idx, draws)[0])
        total += len(idx) * train.LOSSES["triplet-cosine"](features, labels).item()
    assert math.isclose(scores[0][0], total / 28, rel_tol=1e-6) and scores[0][1] is None
    assert torch.equal(torch.cat([idx for idx, _ in calls[:2]]).sort().values, dataset.valid)


def test_a_frozen_classifier_stays_as_it_was_drawn_while_the_features_learn(first_stage):
    begun, ended = prepared(TRIPLET)[2].state_dict(), weights(first_stage / "runs/a/first/seed0")
    assert all(torch.equal(ended[k], v) == k.startswith("classifier.") for k, v in begun.items())
    assert read(first_stage / "runs/a/first/seed0/result.json")["params"] == sum(v.numel() for k, v in begun.items() if re.match(
        r"features.*(weight|bias)", k))


SECOND = f"{SEVEN} --init-from=a/first --freeze features --lr 0.1"


def test_the_second_stage_begins_where_the_first_ended_and_trains_the_classifier_alone(stages):
    place, first = stages
    begun, before = prepared(f"{SECOND} --runs {place / 'runs'}")[2].state_dict(), weights(first)
    assert same(begun, before)
    code, second = go(place, f"{SECOND} --max-steps 2", run="a/second")
    ended, result = weights(second), read(second / "result.json")
    assert code == 0 and all(torch.equal(ended[k], v) == k.startswith("features.") for k, v in before.items())  # statistics of batch norm too
    assert result["init_flags"] == read(first / "result.json")["flags"] == TRIPLET.replace(" --threads 1", "")
    assert result["init_digest"] == hashlib.sha256((first / "model.pt").read_bytes()).hexdigest()[:16]
    assert result["test_evaluations"] == 1 and rows(second)[0]["train_acc"] is not None
    assert result["flags"] == f"{SECOND} --max-steps 2".replace(" --threads 1", "")


def test_a_first_stage_trained_anew_makes_the_second_be_trained_anew_too(stages, capsys):
    place, first = stages
    flags, second = f"{SECOND} --max-steps 1", go(place, f"{SECOND} --max-steps 1", run="a/second")[1]
    before, old = substance(second), read(second / "result.json")["init_digest"]
    assert go(place, f"{TRIPLET} --max-steps 1", run="a/first")[0] == 0 and first.with_name("seed0.1").exists()
    assert go(place, flags, run="a/second")[0] == 0 and "made with other flags" in capsys.readouterr().out
    assert substance(second.with_name("seed0.1")) == before and read(second / "result.json")["init_digest"] != old
    assert torch.equal(weights(second)["features.0.weight"], weights(first)["features.0.weight"])
    for gone in (False, True):  # it is up to date, and stays so without the folder of the first
        assert go(place, flags, run="a/second")[0] == 0 and "was finished before" in capsys.readouterr().out
        shutil.rmtree(first, ignore_errors=True)
    assert go(place, f"{flags} --lr 0.2", run="a/second")[0] == 2 and "train that run first" in capsys.readouterr().err
    assert not second.with_name("seed0.2").exists()


def test_a_triplet_run_with_label_noise_stopped_in_mid_epoch_ends_the_same(tmp_path, monkeypatch):
    flags = f"{SEVEN} --loss triplet-euclid --freeze classifier --label-noise 0.4 --flip --rotation 15 --drop-last --lr 0.05 --epochs 2 --save-every 1000"
    _, whole = go(tmp_path, flags, runs="whole")
    stop_every(monkeypatch, 5)  # two epochs of seven steps
    assert [go(tmp_path, flags)[0] for _ in range(3)] == [75, 75, 0]
    assert substance(tmp_path / "runs/a/b/seed0") == substance(whole) and rows(whole)[-1]["left_out"] > 0


# ---------------------------------------------------------------------------------------- report 5: which images, which labels


def test_drop_last_leaves_the_images_of_the_last_batch_out_of_the_steps_and_of_the_means(tmp_path):
    flags = f"{SEVEN} --batch-size 40 --lr 1e-30 --epochs 2 --drop-last"  # 112 = 2 * 40 + 32; the weights do not move
    code, folder = go(tmp_path, flags)
    args, dataset, model = prepared(flags)
    assert code == 0 and read(folder / "result.json")["steps"] == 4
    for row in rows(folder):
        batches = [dataset.batch(idx) for idx in train.plan_epoch(args, dataset, row["epoch"])[0][:80].split(40)]
        with torch.no_grad():
            scores = [(F.cross_entropy(z, y).item(), (z.argmax(1) == y).sum().item()) for x, y in batches for z in [model.train()(x)]]
        assert math.isclose(row["train_loss"], sum(loss for loss, _ in scores) / 2, rel_tol=1e-6)
        assert math.isclose(row["train_acc"], sum(right for _, right in scores) / 80, rel_tol=1e-9)


def test_a_batch_of_one_that_is_dropped_is_no_hindrance(tmp_path, capsys):
    flags = f"{SEVEN} --classes 0,1,2 --batch-size 47 --epochs 1"
    assert go(tmp_path, flags)[0] == 2 and "leaves a step with one image" in capsys.readouterr().err
    code, folder = go(tmp_path, f"{flags} --drop-last")
    assert code == 0 and read(folder / "result.json")["steps"] == 1
    code, folder = go(tmp_path, f"{flags} --batch-size 48 --drop-last", run="a/full")  # a full last batch is none to drop
    assert code == 0 and read(folder / "result.json")["steps"] == 1


def test_only_images_of_the_classes_asked_for_which_keep_their_numbers(tmp_path):
    code, folder = go(tmp_path, f"{BASE} --synthetic --classes 8,4,8 --batch-size 16 --max-steps 1")
    _, model, dataset = train.restore(folder)
    counts = read(folder / "result.json")["data"]
    assert code == 0 and (counts["train"], counts["valid"], counts["test"]) == (32, 8, 8) and model.classifier[-1].out_features == 35
    assert read(folder / "args.json")["classes"] == [4, 8]
    for part in (dataset.train, dataset.valid, dataset.test):
        assert dataset.targets[part].unique().tolist() == [4, 8]
    assert train.same_run(train.parse(f"{BASE} --synthetic --classes 4,8 --batch-size 16 --max-steps 1".split()), folder)


def test_images_of_224_pixels_reach_a_net_that_takes_them(tmp_path, monkeypatch):
    shapes, step = [], train.train_step
    monkeypatch.setattr(train, "train_step", lambda *a: shapes.append(tuple(a[4].shape)) or step(*a))
    flags = "--model resnet18 --data caltech35 --synthetic --classes 0 --split all --test-weights none --batch-size 2 --max-steps 1 --threads 1"
    code, folder = go(tmp_path, f"{flags} --side 224")
    assert code == 0 and read(folder / "args.json")["side"] == 224 and train.restore(folder)[2].images.shape[2:] == (224, 224)
    assert go(tmp_path, flags, run="a/small")[0] == 0 and shapes == [(2, 3, 224, 224), (2, 3, 112, 112)]
    assert not train.same_run(train.parse(flags.split()), folder)


def test_rotation_turns_every_image_once_by_an_angle_of_its_own(tmp_path):
    args = train.parse(f"{SEVEN} --rotation 15".split())
    dataset = train.load(args)
    picks, draws = train.plan_epoch(args, dataset, 1)
    degrees = draws["degrees"]
    assert torch.equal(picks.sort().values, dataset.train) and len(degrees) == 112 == degrees.unique().numel() and (degrees != 0).all()
    assert degrees.abs().max() <= 15 and degrees.max() > 12 and degrees.min() < -12
    assert not torch.equal(degrees, train.plan_epoch(args, dataset, 2)[1]["degrees"]) and "degrees" not in train.plan_epoch(
        train.parse(SEVEN.split()), dataset, 1)[1]
    flags = f"{SEVEN} --lr 1e-30 --max-steps 1"
    turned, plain = (rows(go(tmp_path, f"{flags} {more}", run=f"a/{more[2:5]}x")[1])[0] for more in ("--rotation 15", ""))
    assert abs(turned["train_loss"] - plain["train_loss"]) > 1e-5  # and it reaches the steps


def test_rotation_of_faces_turns_their_landmarks_along():
    args = train.parse(f"{FACES.replace('--rotated-copies', '--rotation')}".split())
    dataset = train.load(args)
    picks, draws = train.plan_epoch(args, dataset, 1)
    assert len(picks) == len(dataset.train) and draws["degrees"].abs().max() <= 15
    x, y = dataset.batch(picks, draws)
    turn = torch.deg2rad(-draws["degrees"])  # y points down: what turns counter-clockwise on the screen turns by a negative angle
    there = torch.polar(torch.ones_like(turn), turn)[:, None] * torch.view_as_complex(dataset.targets[picks].view(-1, 21, 2) - 56)
    assert torch.allclose(y.view(-1, 21, 2), torch.view_as_real(there) + 56, atol=1e-3)
    assert not torch.allclose(x, dataset.batch(picks)[0], atol=0.1)


def test_pretrained_weights_for_caltech35_leave_a_new_last_layer_of_35_to_learn(tmp_path, imagenet):
    file, given = imagenet
    flags = f"--model resnet18 --data caltech35 --synthetic --classes 0,1 --split all --test-weights none --batch-size 4 --max-steps 2 --threads 1"
    flags = f"{flags} --pretrained --freeze features --weights {file}"
    begun = prepared(flags)[2].state_dict()
    code, folder = go(tmp_path, flags)
    ended = weights(folder)
    assert code == 0 and ended["fc.weight"].shape == (35, 512) and read(folder / "result.json")["params"] == 512 * 35 + 35
    for k, v in given.items():  # statistics of batch norm too
        assert not torch.equal(ended[k], begun[k]) if k.startswith("fc.") else torch.equal(ended[k], v) and torch.equal(begun[k], v)


def test_label_noise_is_recorded_as_it_is_and_touches_train_labels_alone(tmp_path):
    code, folder = go(tmp_path, f"{SEVEN} --label-noise 0.5 --max-steps 1")
    labels, dataset = data.load("caltech35", synthetic=True).targets, train.restore(folder)[2]
    changed = (dataset.targets != labels).nonzero()[:, 0]
    assert code == 0 and read(folder / "result.json")["data"]["label_noise"] == round(len(changed) / 112, 6)
    assert 40 < len(changed) < 56 and torch.isin(changed, dataset.train).all()  # half are drawn anew, of which a seventh keep their own
    assert set(dataset.targets[changed].tolist()) == set(range(7))
    assert "label_noise" not in read(go(tmp_path, f"{SEVEN} --max-steps 1", run="a/clean")[1] / "result.json")["data"]


def test_label_noise_depends_on_seed_and_share_and_on_nothing_else():
    def labels(more):
        return train.load(train.parse(f"{SEVEN} --label-noise 0.3 {more}".split())).targets
    noise = labels("")
    for more in ("--rotation 15 --flip --weight-decay 0.001 --epochs 30 --lr 0.1", "--model basic_block --loss square --batch-size 8"):
        assert torch.equal(labels(more), noise)
    assert not torch.equal(labels("--seed 1"), noise) and not torch.equal(labels("--label-noise 0.5"), noise)


def test_labels_that_steps_see_are_the_noisy_ones(tmp_path, monkeypatch):
    seen, step = [], train.train_step
    monkeypatch.setattr(train, "train_step", lambda *a: seen.append(a[5]) or step(*a))
    assert go(tmp_path, f"{SEVEN} --classes 0,1,2 --label-noise 1 --epochs 1 --test-weights none")[0] == 0
    args, dataset, _ = prepared(f"{SEVEN} --classes 0,1,2 --label-noise 1")
    assert torch.equal(torch.cat(seen), dataset.targets[train.plan_epoch(args, dataset, 1)[0]])
    assert torch.cat(seen).bincount().tolist() != [16, 16, 16]


CLEANED = f"{SEVEN} --label-noise 0.5 --clean-by=a/scorer --clean-share 0.25"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    """A place with the run a/scorer, which has seen none of the images that train has, and a/seen, which has seen some."""
    place = tmp_path_factory.mktemp("scorer")
    assert go(place, f"{SEVEN} --split val+addition --max-steps 6 --lr 0.05", run="a/scorer")[0] == 0
    unfit = f"{SEVEN} --max-steps 1 --test-weights none"
    assert go(place, f"{unfit} --classes 0 --split all", run="a/seen")[0] == 0
    assert go(place, f"{unfit} --split val+addition --init-from=a/seen", run="a/heir")[0] == 0
    assert go(place, f"{unfit} --split val+addition --loss triplet-cosine", run="a/features")[0] == 0
    return place


def test_cleaning_drops_the_images_whose_labels_the_scorer_believes_least(tmp_path, scorer, capsys):
    shutil.copytree(scorer / "runs", tmp_path / "runs")
    judge, flags = tmp_path / "runs/a/scorer/seed0", f"{CLEANED} --max-steps 1"
    code, folder = go(tmp_path, flags)
    result, noisy = read(folder / "result.json"), train.load(train.parse(f"{SEVEN} --label-noise 0.5".split()))
    net = train.models.build("base").eval()
    net.load_state_dict(weights(judge))
    with torch.no_grad():
        surprise = -net(noisy.batch(noisy.train)[0]).log_softmax(1)[range(112), noisy.targets[noisy.train]]
    dropped = noisy.train[surprise.topk(28).indices]
    wrong = (data.load("caltech35", synthetic=True).targets != noisy.targets)[dropped].sum().item()
    counts = result["data"]
    assert code == 0 and (counts["train"], counts["dropped"], counts["dropped_noisy"]) == (84, 28, wrong) and 0 < wrong < 28
    assert counts["label_noise"] == round((noisy.targets != data.load("caltech35", synthetic=True).targets).sum().item() / 112, 6)
    train_on = train.load(train.parse(f"{CLEANED} --runs {tmp_path / 'runs'}".split())).train
    assert sorted([*train_on.tolist(), *dropped.tolist()]) == noisy.train.tolist()
    assert result["init_digest"] == hashlib.sha256((judge / "model.pt").read_bytes()).hexdigest()[:16]
    assert result["init_flags"] == read(judge / "result.json")["flags"]

    shutil.rmtree(judge)  # who looks at the run, or trains it again, needs the scorer no more
    args, model, dataset = train.restore(folder)
    assert torch.equal(dataset.train, torch.tensor(sorted(set(noisy.train.tolist()) - set(dropped.tolist())))) and read(folder / "args.json")["dropped"] == dropped.sort().values.tolist()
    assert train.evaluate(args, model, dataset, dataset.test)[0] == result["metrics"]["test_loss"]
    capsys.readouterr()
    assert go(tmp_path, flags)[0] == 0 and "was finished before" in capsys.readouterr().out


def test_what_was_dropped_at_the_beginning_stays_dropped(tmp_path, scorer, monkeypatch):
    """Judging again, with other threads or on another device, could tip who is last."""
    shutil.copytree(scorer / "runs", tmp_path / "runs")
    flags = f"{CLEANED} --max-steps 4"
    assert go(tmp_path, f"{flags} --stop-after 0s")[0] == 75
    kept, folder = read(tmp_path / "runs/a/b/seed0/args.json")["dropped"], tmp_path / "runs/a/b/seed0"
    monkeypatch.setattr(train, "judge", lambda *_: pytest.fail("judged again"))
    assert go(tmp_path, flags)[0] == 0 and read(folder / "args.json")["dropped"] == kept and read(folder / "result.json")["data"]["dropped"] == len(kept) == 28
    monkeypatch.setattr(train, "judge", lambda *_: kept[:5])
    assert go(tmp_path, f"{flags} --restart")[0] == 0 and read(folder / "result.json")["data"]["dropped"] == 5  # a new run, a new judgement


def test_the_net_of_a_cleaned_run_begins_as_without_cleaning(scorer):
    ours, theirs = prepared(f"{CLEANED} --runs {scorer / 'runs'}")[2], prepared(SEVEN)[2]
    assert same(ours.state_dict(), theirs.state_dict())  # the scorer judges; nothing starts from it


def test_a_scorer_that_is_not_fit_to_judge_is_refused(tmp_path, scorer, capsys):
    shutil.copytree(scorer / "runs", tmp_path / "runs")
    assert go(tmp_path, f"{OBJECTS} --max-steps 1", run="a/other")[0] == 0
    for judge, words in (("a/seen", "was trained on images that it is to judge"), ("a/heir", "or started from a run that may have been"),
                         ("a/features", "learnt nothing yet that could judge"), ("a/other", "was trained on cifar10 (2500 images)"),
                         ("a/nowhere", "Train that run first")):
        capsys.readouterr()
        code, folder = go(tmp_path, CLEANED.replace("a/scorer", judge))
        assert code == 2 and words in capsys.readouterr().err and not folder.parent.exists()
    assert go(tmp_path, f"{CLEANED} --seed 1")[0] == 2 and "seed1/model.pt" in capsys.readouterr().err


def test_freed_memory_is_kept_for_the_next_step():
    program = """
import resource, torch, train
def pages():
    first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(16 << 20).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first
pages(), print(pages()), train.keep_freed_memory(), pages(), print(pages())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept * 20 < given_back, done.stderr


# ------------------------------------------------------------------------------------------------------- scoring afterwards

@pytest.fixture
def unscored(trained, tmp_path):
    return shutil.copytree(trained[1], tmp_path / "runs/a/b/seed0")


def score(folder, *words):
    """Exit code of train.py --score."""
    try:
        return train.main(["--score", str(folder), *words])
    except SystemExit as e:
        return e.code


def refusal(capsys, folder, *words):
    """The sentence with which --score exits with 2, leaving every file as it was."""
    before = {file: file.read_bytes() for file in folder.glob("*") if file.is_file()}
    code, err = score(folder, *words), capsys.readouterr().err
    assert code == 2 and err.count("\n") == 1 and "Traceback" not in err
    assert {file: file.read_bytes() for file in folder.glob("*") if file.is_file()} == before
    return err


def test_a_run_scored_afterwards_is_as_if_scored_in_training(trained, unscored):
    before = read(unscored / "result.json")
    assert before["metrics"]["test_loss"] is before["metrics"]["test_acc"] is None
    assert before["test_weights"] == "none" and before["test_evaluations"] == 0
    assert score(unscored) == 0
    ours, theirs = substance(unscored), substance(trained[0])
    assert ours[3].pop("flags") == theirs[3].pop("flags") + " --test-weights none"
    assert ours == theirs and ours[3]["test_weights"] == "final" and ours[3]["test_evaluations"] == 1
    assert "scored on test with the final weights, evaluation 1" in (unscored / "train.log").read_text()
    assert {p.name for p in unscored.iterdir()} == {p.name for p in trained[0].iterdir()}


def test_the_test_set_is_not_scored_twice_unless_again_is_said_and_counted(unscored, capsys):
    assert score(unscored) == 0
    first = read(unscored / "result.json")
    assert f"was scored on the test set before: {100 * first['metrics']['test_acc']:.2f} %" in refusal(capsys, unscored)
    assert score(unscored, "--again") == 0
    assert read(unscored / "result.json") == {**first, "test_evaluations": 2}


def test_a_run_scored_in_training_is_not_scored_afterwards(trained, tmp_path, capsys):
    folder = shutil.copytree(trained[0], tmp_path / "seed0")
    assert "was scored on the test set before" in refusal(capsys, folder) and "--again" in refusal(capsys, folder, "--test-weights", "best")
    assert score(folder, "--again") == 0 and read(folder / "result.json")["test_evaluations"] == 2


def test_the_best_weights_are_scored_where_asked_for_and_stay_so(unscored):
    torch.save({k: v / 2 for k, v in weights(unscored, "best.pt").items()}, unscored / "best.pt")
    expected = {name: train.evaluate(args, model, dataset, dataset.test) for name in ("model.pt", "best.pt")
                for args, model, dataset in [train.restore(unscored, weights=name)]}
    assert expected["best.pt"] != expected["model.pt"]
    for words, name, kind in ((["--test-weights", "best"], "best.pt", "best"), (["--again"], "best.pt", "best"),
                              (["--again", "--test-weights", "final"], "model.pt", "final")):
        assert score(unscored, *words) == 0
        result = read(unscored / "result.json")
        assert result["test_weights"] == kind and (result["metrics"]["test_loss"], result["metrics"]["test_acc"]) == expected[name]


def test_scoring_takes_the_runs_own_data_folder_or_another_one(unscored, monkeypatch):
    folders, load = [], data.load
    monkeypatch.setattr(data, "load", lambda name, root, *more: folders.append(root) or load(name, root, *more))
    assert score(unscored) == 0 and score(unscored, "--again", "--data-dir", "other", "--device", "cpu") == 0
    assert folders == ["its-own", "other"]


def test_a_diverged_run_and_one_without_a_test_set_are_not_scored(tmp_path, capsys):
    code, folder = go(tmp_path, f"{OBJECTS} --lr 1e18 --epochs 4 --test-weights none", run="a/diverged")
    assert code == 3 and "diverged: there are no weights to score" in refusal(capsys, folder)
    code, folder = go(tmp_path, f"{FACES} --max-steps 1 --test-weights none", run="a/faces")
    assert code == 0 and "faces21 has no test set" in refusal(capsys, folder)


def test_a_run_that_is_not_there_or_not_finished_is_not_scored_and_nothing_is_made(tmp_path, capsys):
    for folder in ("seed0", "runs/a/b/seed0"):
        assert "no finished run" in refusal(capsys, tmp_path / folder)
    assert list(tmp_path.iterdir()) == []
    code, folder = go(tmp_path, f"{TRAINED} --stop-after 0s")
    assert code == 75 and "no finished run" in refusal(capsys, folder)


@pytest.mark.parametrize("how, name", [("missing", "best.pt"), *((how, "model.pt") for how in (
    "missing", "empty", "cut short", "no weights", "a list", "of another net"))])
def test_weights_that_cannot_be_read_are_not_scored(unscored, capsys, how, name):
    whole = (unscored / name).read_bytes()
    if how in ("a list", "of another net"):
        torch.save([1] if how == "a list" else train.models.build("mlp").state_dict(), unscored / name)
    else:
        (unscored / name).write_bytes({"cut short": whole[:1000], "no weights": b"something else"}.get(how, b""))
    if how == "missing":
        (unscored / name).unlink()
    kind = {"model.pt": "final", "best.pt": "best"}[name]
    assert f"The {kind} weights in {unscored} cannot be read" in refusal(capsys, unscored, "--test-weights", kind)


def test_hostile_weights_are_not_run(unscored, tmp_path, capsys):
    torch.save(Hostile(tmp_path / "executed"), unscored / "model.pt")
    assert "cannot be read" in refusal(capsys, unscored) and not (tmp_path / "executed").exists()


def test_data_other_than_those_of_the_training_are_not_scored(unscored, monkeypatch, capsys):
    load = data.load
    monkeypatch.setattr(data, "load", lambda *a, **k: data.dataclasses.replace(load(*a, **k), fingerprint="other"))
    assert "not those that" in refusal(capsys, unscored)


@pytest.mark.parametrize("words, said", [
    ("--lr 0.1", "leave out --lr"), ("--synthetic", "--synthetic"), ("--runs runs", "--runs"), ("--seed 0", "--seed"), ("--restart", "--restart"),
    ("--again --protocol report --batch-size 4", "leave out --batch-size, --protocol"), ("--test-weights none", "would score nothing"),
])
def test_flags_of_a_training_are_refused_beside_score(unscored, capsys, words, said):
    assert said in refusal(capsys, unscored, *words.split())


def test_an_empty_folder_name_is_not_taken_for_a_training(capsys):
    with pytest.raises(SystemExit) as stopped:
        train.parse(["--score", ""])
    assert stopped.value.code == 2


def test_a_scored_run_is_still_finished_for_the_command_that_trained_it(unscored, tmp_path, monkeypatch, capsys):
    assert score(unscored) == 0
    scored = (unscored / "result.json").read_bytes()
    monkeypatch.setattr(train, "train_step", lambda *_: pytest.fail("it trains"))
    assert go(tmp_path, f"{TRAINED} --test-weights none") == (0, unscored) and "was finished before" in capsys.readouterr().out
    assert (unscored / "result.json").read_bytes() == scored
    assert go(tmp_path, f"--test-weights none {TRAINED}")[0] == 0 and "was finished before" in capsys.readouterr().out
    assert read(unscored / "result.json")["metrics"] == json.loads(scored)["metrics"] and not unscored.with_name("seed0.1").exists()


def test_a_run_with_report_2s_protocol_is_scored_by_it(tmp_path):
    flags = f"{REPORT} --protocol report --epochs 1"
    (_, folder), (_, theirs) = go(tmp_path, f"{flags} --test-weights none"), go(tmp_path, flags, run="a/theirs")
    assert score(folder) == 0
    ours, theirs = (read(f / "result.json")["metrics"] for f in (folder, theirs))
    assert ours == theirs and ours["test_loss"] is not None
    args, model, dataset = train.restore(folder)
    args.protocol = "default"
    assert train.evaluate(args, model, dataset, dataset.test)[0] != ours["test_loss"]


@pytest.mark.parametrize("name", ["in full", "."])
def test_scoring_and_training_exclude_each_other(unscored, monkeypatch, capsys, name):
    monkeypatch.chdir(unscored)
    before = {p.name for p in unscored.iterdir()}
    with open(unscored.with_name(".seed0.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert score(unscored if name == "in full" else name) == 75 and "another process" in capsys.readouterr().err
    assert read(unscored / "result.json")["test_evaluations"] == 0 and {p.name for p in unscored.iterdir()} == before


def test_a_test_loss_that_is_not_finite_is_divergence_when_scored_afterwards_too(tmp_path):
    code, folder = go(tmp_path, "--synthetic --act relu --split all --lr 1e38 --max-steps 1 --threads 1 --test-weights none")
    assert code == 0 and score(folder) == 3
    result = read(folder / "result.json")
    assert result["status"] == "diverged" and result["metrics"]["test_loss"] is result["metrics"]["test_acc"] is None and result["test_evaluations"] == 1


@pytest.mark.skipif(not (ROOT / "data/cifar10").exists(), reason="needs CIFAR-10 in data/cifar10")
def test_the_command_of_the_readme_on_real_images(tmp_path):
    command = [sys.executable, "train.py", "--model", "lenet5", "--act", "relu", "--runs", str(tmp_path), "--max-steps", "500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    result = read(tmp_path / "adhoc/lenet5-act-relu-max-steps-500/seed0/result.json")
    assert (result["data"]["train"], result["data"]["valid"], result["data"]["test"]) == (40_000, 10_000, 10_000)
    assert "\r" not in done.stderr and result["metrics"]["train_loss"] < 2.31  # no progress bars without a terminal

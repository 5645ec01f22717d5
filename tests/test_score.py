"""experiments/score.py: `train.py --score` scores the test set once with the weights of a finished run."""
import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys

import pytest
import torch

import data
import models
import train
from conftest import ROOT
from experiments import score, starts
from helpers import (FACES, OBJECTS, SMALL, Hostile, change_args, go, no_training, put_weights, result_of,
                     script_valid_scores, smaller_data, substance, weights)
from makes import forks

pytestmark = pytest.mark.usefixtures("small_data")

# So far that its predictions are better than chance.
TRAINED = f"{OBJECTS} --channels 6,16 --epochs 2 --lr 0.05 --data-dir its-own"


@pytest.fixture(scope="module")
def both_folders(tmp_path_factory, small_data):
    """Two folders of the same run: scored on the test set in training, and not."""
    place = tmp_path_factory.mktemp("trained")
    scored = go(place, TRAINED, folder="scored")[1]
    return scored, go(place, f"{TRAINED} --test-weights none")[1]


@pytest.fixture
def unscored(both_folders, tmp_path):
    """A copy of the folder that is not scored, as the run a/b."""
    return shutil.copytree(both_folders[1], tmp_path / "runs/a/b/seed0")


def score_of(folder, *words):
    """Returns the exit code of train.py --score FOLDER."""
    return score.main(["--score", str(folder), *words])


def refusal(capsys, folder, *words):
    """Returns the sentence with which --score exits with 2, leaving every file as it was."""
    def content():
        return {file: file.read_bytes() for file in folder.glob("*") if file.is_file()}

    before = content()
    code, error = score_of(folder, *words), capsys.readouterr().err
    assert code == 2 and error.startswith("train.py: ") and error.count("\n") == 1 and "Traceback" not in error
    assert content() == before
    return error


# ---- what is scored -------------------------------------------------------------------------------------------------

def test_a_run_scored_afterwards_is_as_if_scored_in_training(both_folders, unscored):
    before = result_of(unscored)
    assert before["metrics"]["test_loss"] is None and before["metrics"]["test_acc"] is None
    assert before["test_weights"] == "none" and before["test_evaluations"] == 0
    assert score_of(unscored) == 0
    ours, theirs = substance(unscored), substance(both_folders[0])
    assert ours[3].pop("flags") == theirs[3].pop("flags") + " --test-weights none"
    assert ours == theirs and ours[3]["test_weights"] == "final" and ours[3]["test_evaluations"] == 1
    assert "scored on test with the final weights, evaluation 1" in (unscored / "train.log").read_text()
    assert {path.name for path in unscored.iterdir()} == {path.name for path in both_folders[0].iterdir()}


def test_the_best_weights_are_scored_where_asked_for_and_stay_so(unscored):
    put_weights({name: tensor / 2 for name, tensor in weights(unscored, "best.pt").items()}, unscored, "best.pt")
    expected = {}
    for name in ("model.pt", "best.pt"):
        settings, model, dataset = starts.restore(unscored, weights=name)
        expected[name] = train.evaluate(settings, model, dataset, dataset.test)
    assert expected["best.pt"] != expected["model.pt"]
    for words, name, kind in ((["--test-weights", "best"], "best.pt", "best"), (["--again"], "best.pt", "best"),
                              (["--again", "--test-weights", "final"], "model.pt", "final")):
        assert score_of(unscored, *words) == 0
        result = result_of(unscored)
        assert result["test_weights"] == kind
        assert (result["metrics"]["test_loss"], result["metrics"]["test_acc"]) == expected[name]


def test_a_run_that_stopped_early_unscored_is_scored_by_its_best_weights(tmp_path, monkeypatch):
    script_valid_scores(monkeypatch, (1.0, 0.3), (1.0, 0.2))
    code, folder = go(tmp_path, f"{OBJECTS} --channels 6,16 --batch-size 80 --lr 0.05 --epochs 2 --early-stop 1 "
                                "--test-weights none")
    assert code == 0 and result_of(folder)["test_weights"] == "none" and score_of(folder) == 0
    assert result_of(folder)["test_weights"] == "best"


def test_scoring_takes_the_runs_own_data_folder_or_another_one(unscored, monkeypatch):
    folders, load = [], data.load

    def spy(name, root, *more):
        folders.append(root)
        return load(name, root, *more)
    monkeypatch.setattr(data, "load", spy)
    assert score_of(unscored) == 0 and score_of(unscored, "--again", "--data-dir", "other", "--device", "cpu") == 0
    assert folders == ["its-own", "other"]


def test_a_run_with_report_2s_protocol_is_scored_by_it(tmp_path):
    flags = (f"{OBJECTS} --channels 6,16 --norm bn --dropout 0.3 --flip --pad-crop 4 --lr 0.05 --protocol report "
             "--epochs 1")
    folder, other = go(tmp_path, f"{flags} --test-weights none")[1], go(tmp_path, flags, run="a/theirs")[1]
    assert score_of(folder) == 0
    ours, theirs = result_of(folder)["metrics"], result_of(other)["metrics"]
    assert ours == theirs and ours["test_loss"] is not None
    settings, model, dataset = starts.restore(folder)
    plain = settings._replace(protocol="default")
    assert train.evaluate(plain, model, dataset, dataset.test)[0] != ours["test_loss"]


def test_a_test_loss_that_is_not_finite_is_divergence_when_scored_afterwards_too(tmp_path):
    code, folder = go(tmp_path, "--synthetic --act relu --split all --lr 1e38 --max-steps 1 --threads 1 "
                                "--test-weights none")
    assert code == 0 and score_of(folder) == 3
    result = result_of(folder)
    assert result["status"] == "diverged" and result["test_evaluations"] == 1
    assert result["metrics"]["test_loss"] is None and result["metrics"]["test_acc"] is None


def test_a_scored_run_is_still_finished_for_the_command_that_trained_it(unscored, tmp_path, monkeypatch, capsys):
    assert score_of(unscored) == 0
    scored = (unscored / "result.json").read_bytes()
    no_training(monkeypatch)
    assert go(tmp_path, f"{TRAINED} --test-weights none") == (0, unscored)
    assert "was finished before" in capsys.readouterr().out and (unscored / "result.json").read_bytes() == scored
    metrics = result_of(unscored)["metrics"]
    assert go(tmp_path, f"--test-weights none {TRAINED}")[0] == 0 and "was finished before" in capsys.readouterr().out
    assert result_of(unscored)["metrics"] == metrics and not unscored.with_name("seed0.1").exists()


# ---- once -----------------------------------------------------------------------------------------------------------

def test_the_test_set_is_not_scored_twice_unless_again_is_said_and_counted(unscored, capsys):
    assert score_of(unscored) == 0
    first = result_of(unscored)
    before = f"was scored on the test set before: {100 * first['metrics']['test_acc']:.2f} %"
    assert before in refusal(capsys, unscored)
    assert score_of(unscored, "--again") == 0
    assert result_of(unscored) == {**first, "test_evaluations": 2}


def test_a_run_scored_in_training_is_not_scored_afterwards(both_folders, tmp_path, capsys):
    folder = shutil.copytree(both_folders[0], tmp_path / "seed0")
    assert "was scored on the test set before" in refusal(capsys, folder)
    assert "--again" in refusal(capsys, folder, "--test-weights", "best")
    assert score_of(folder, "--again") == 0 and result_of(folder)["test_evaluations"] == 2


@pytest.mark.parametrize("name", ["in full", "."])
def test_scoring_and_training_exclude_each_other(unscored, monkeypatch, capsys, name):
    monkeypatch.chdir(unscored)
    before = {path.name for path in unscored.iterdir()}
    with open(unscored.with_name(".seed0.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert score_of(unscored if name == "in full" else name) == 75
    assert "another process" in capsys.readouterr().err
    assert result_of(unscored)["test_evaluations"] == 0 and {path.name for path in unscored.iterdir()} == before


# ---- what cannot be scored ------------------------------------------------------------------------------------------

def test_a_diverged_run_and_one_without_a_test_set_are_not_scored(tmp_path, capsys):
    code, folder = go(tmp_path, f"{OBJECTS} --lr 1e18 --epochs 4 --test-weights none", run="a/diverged")
    assert code == 3 and "diverged: there are no weights to score" in refusal(capsys, folder)
    code, folder = go(tmp_path, f"{FACES} --max-steps 1 --test-weights none", run="a/faces")
    assert code == 0 and "faces21 has no test set" in refusal(capsys, folder)


def test_a_run_of_a_triplet_loss_is_not_scored(tmp_path, capsys):
    code, folder = go(tmp_path, f"{SMALL} --loss triplet-cosine --max-steps 1")
    assert code == 0
    for words in ([], ["--again"], ["--test-weights", "best"]):
        assert "its classifier has learnt nothing yet" in refusal(capsys, folder, *words)


def test_a_run_that_is_not_there_or_not_finished_is_not_scored_and_nothing_is_made(tmp_path, capsys):
    for folder in ("seed0", "runs/a/b/seed0"):
        assert "no finished run" in refusal(capsys, tmp_path / folder)
    assert list(tmp_path.iterdir()) == []
    code, folder = go(tmp_path, f"{TRAINED} --stop-after 0s")
    assert code == 75 and "no finished run" in refusal(capsys, folder)


@pytest.mark.parametrize("how, name", [
    ("missing", "best.pt"), ("missing", "model.pt"), ("empty", "model.pt"), ("cut short", "model.pt"),
    ("no weights", "model.pt"), ("a list", "model.pt"), ("of another net", "model.pt"), ("of another run", "best.pt"),
    ("a flipped bit", "model.pt")])
def test_weights_that_cannot_be_read_are_not_scored(unscored, capsys, how, name):
    file = unscored / name
    if how == "missing":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "cut short":
        file.write_bytes(file.read_bytes()[:1000])
    elif how == "no weights":
        file.write_bytes(b"something else")
    elif how == "a list":
        put_weights([1], unscored, name)
    elif how == "of another net":
        put_weights(models.build("mlp").state_dict(), unscored, name)
    elif how == "of another run":  # they fit, but result.json does not speak of them
        torch.save({name: tensor / 2 for name, tensor in weights(unscored, name).items()}, file)
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    kind = {"model.pt": "final", "best.pt": "best"}[name]
    said = {"missing": "is not there", "empty": "holds no weights", "cut short": "holds no weights",
            "no weights": "holds no weights", "a list": "holds no weights, but something else",
            "of another net": "holds the weights of another net: conv1.0.weight is missing",
            "of another run": "is not the file that its result.json was written for",
            "a flipped bit": "has changed since it was written: the CRC-32 of"}[how]
    sentence = refusal(capsys, unscored, "--test-weights", kind)
    assert f"{file} {said}" in sentence and "--restart" in sentence and sentence.count(str(file)) == 1


def test_hostile_weights_are_not_run(unscored, tmp_path, capsys):
    torch.save(Hostile(tmp_path / "executed"), unscored / "model.pt")
    sentence = refusal(capsys, unscored)
    assert "wants to run code (io.open) and was not opened" in sentence and "weights_only" not in sentence
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["result.json", "args.json"])
def test_a_broken_file_of_the_run_is_named(unscored, capsys, name):
    (unscored / name).write_text("{")
    assert f"{name} is not JSON" in refusal(capsys, unscored)


def test_data_other_than_those_of_the_training_are_not_scored(unscored, monkeypatch, capsys):
    load = data.load
    monkeypatch.setattr(data, "load", lambda *a, **k: dataclasses.replace(load(*a, **k), fingerprint="other"))
    assert "not those that" in refusal(capsys, unscored)


def test_data_that_are_missing_are_said(unscored, tmp_path, capsys):
    change_args(unscored, synthetic=False)
    assert "looked for" in refusal(capsys, unscored, "--data-dir", str(tmp_path / "nothing"))


# ---- the command ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words", ["--lr 0.1", "--synthetic", "--runs runs", "--seed 0", "--restart",
                                   "--again --protocol report --batch-size 4", "--test-weights none", "--ag"])
def test_flags_of_a_training_are_refused_beside_score(unscored, capsys, words):
    error = refusal(capsys, unscored, *words.split())
    assert "--score takes its settings from the run" in error
    assert words.split()[-1] in error or words.split()[-2] in error


def test_a_device_that_cannot_be_used_is_refused(unscored, capsys):
    assert "cannot be used here" in refusal(capsys, unscored, "--device", "cuda:99")


@pytest.mark.parametrize("words", [["--score", ""], ["--score="], ["--score"]])
def test_an_empty_folder_name_is_refused(capsys, words):
    assert score.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: ") and error.count("\n") == 1


@pytest.mark.parametrize("words", [["--score", "runs/a"], ["--again", "--score=runs/a"], ["--score="]])
def test_train_py_hands_the_whole_command_over(monkeypatch, words):
    class HandedOver(Exception):
        pass

    def record(file, command):
        raise HandedOver(file, command)
    monkeypatch.setattr(os, "execv", record)
    with pytest.raises(HandedOver) as handed:
        train.main(words)
    python = sys.executable
    assert handed.value.args == (python, [python, str(ROOT / "experiments/score.py"), *words])


def test_the_command_as_typed(tmp_path):
    with smaller_data(cifar10=2000):  # all synthetic images, which the command draws too
        folder = go(tmp_path, f"{OBJECTS} --channels 6,16 --max-steps 5 --test-weights none")[1]
        settings, model, dataset = starts.restore(folder)
        expected = train.evaluate(settings, model, dataset, dataset.test)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # The fork becomes an interpreter of its own when train.py hands the command over.
    command = [forks(), str(ROOT / "train.py"), "--score", str(folder / "nothing")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.startswith("train.py: There is no finished run in "), done.stderr
    assert done.stderr.count("\n") == 1
    command[-1] = str(folder)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    metrics = result_of(folder)["metrics"]
    assert (metrics["test_loss"], metrics["test_acc"]) == expected

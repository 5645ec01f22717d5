"""experiments/starts.py: what runs start from. Weights of ImageNet or of other runs, noisy and cleaned labels."""
import hashlib
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

import data
import losses
import models
import train
from experiments import runs, starts
from helpers import (BASE, OBJECTS, SMALL, go, no_training, prepared, put_weights, read, result_of, rows, same,
                     smaller_data, stop_every, substance, weights)

pytestmark = pytest.mark.usefixtures("small_data")


def digest_of(file):
    """The first 16 digits of a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


# ---- another run or a file ------------------------------------------------------------------------------------------

def test_a_run_starts_from_the_final_weights_of_another_run_or_from_a_file(tmp_path, capsys):
    flags = f"{OBJECTS} --channels 6,16 --epochs 1"
    assert go(tmp_path, f"{flags} --init-from a/first", run="a/second")[0] == 2
    assert "Train that run first" in capsys.readouterr().err and not (tmp_path / "runs").exists()
    first = go(tmp_path, flags, run="a/first")[1]
    code, second = go(tmp_path, f"{flags} --lr 1e-30 --init-from a/first", run="a/second")
    assert code == 0 and same(weights(first), weights(second))
    code, third = go(tmp_path, f"{flags} --lr 1e-30 --init-from {first}/best.pt", run="a/third")
    assert code == 0 and same(weights(first, "best.pt"), weights(third))
    assert result_of(third)["init_digest"] == digest_of(first / "best.pt")
    assert go(tmp_path, f"{flags} --fc 128 --init-from {first}/model.pt", run="a/fourth")[0] == 2
    assert "holds the weights of another net" in capsys.readouterr().err
    own = "--act relu --synthetic --batch-size 20 --channels 6,16 --epochs 1"
    assert (first / "flags.txt").read_text() == f"{own}\n"
    assert (second / "flags.txt").read_text() == f"{own} --lr 1e-30 --init-from a/first < {own}\n"


def test_the_line_of_flags_of_a_run_follows_the_run_that_it_starts_from(tmp_path, capsys):
    """Also over two runs, and where the first was made with the same settings in other words."""
    flags = f"{OBJECTS} --channels 6,16 --max-steps 1"
    first = go(tmp_path, flags, run="a/first")[1]
    go(tmp_path, f"{flags} --init-from=a/first", run="a/second")
    third_flags = f"{flags} --lr 0.1 --init-from=a/second"
    third = go(tmp_path, third_flags, run="a/third")[1]
    own = "--act relu --synthetic --batch-size 20 --channels 6,16 --max-steps 1"
    line = f"{own} --lr 0.1 --init-from=a/second < {own} --init-from=a/first < {own}"
    assert runs.flags_line(third) == line
    other_words = "--max-steps 1 --act relu --synthetic --batch-size 20 --channels 6,16"
    go(tmp_path, f"{other_words} --threads 1", run="a/first")
    assert runs.flags_line(first) == other_words
    go(tmp_path, f"{flags} --init-from=a/first", run="a/second")
    capsys.readouterr()
    assert go(tmp_path, third_flags, run="a/third")[0] == 0 and "was finished before" in capsys.readouterr().out
    assert runs.flags_line(third) == f"{line.rpartition(' < ')[0]} < {other_words}"


# ---- how a run is made ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags, channels_last", [("--model base --data caltech35", True), ("--act relu", False),
                                                  ("--act relu --bf16", True)])
def test_a_nets_memory_layout_is_chosen_in_one_place(flags, channels_last):
    settings = train.parse([*flags.split(), "--synthetic"])
    model = starts.place(settings, models.build(settings.model))
    for _ in range(2):  # whatever it was before
        weight = next(p for p in model.parameters() if p.dim() == 4)
        assert weight.is_contiguous(memory_format=torch.channels_last) == channels_last
        assert weight.is_contiguous() != channels_last
        opposite = torch.contiguous_format if channels_last else torch.channels_last
        model = starts.place(settings, model.to(memory_format=opposite))


def test_what_a_run_keeps_of_its_first_start_and_how_often_it_saves(monkeypatch):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    small, large = models.build("lenet5"), torch.nn.Linear(10_000, 1_001)
    settings = train.parse(["--threads", "2"])
    begun = starts.as_begun(settings, {"threads": 3, "bf16": True}, small)
    assert (begun.threads, begun.bf16, begun.save_every, threads) == (3, True, 30, [3])
    assert starts.as_begun(settings, {"threads": 3}, small).bf16 is False  # begun before there was --bf16
    assert starts.as_begun(settings, {"threads": 3}, large).save_every == 300
    settings = train.parse(["--save-every", "0"])
    assert starts.as_begun(settings, {"threads": 3}, large).save_every == 0


def test_nets_too_small_for_two_threads_take_one(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert train.parse([]).threads == 1 and train.parse(["--threads", "4"]).threads == 4
    assert train.parse("--model base --data caltech35".split()).threads == 7


@pytest.mark.parametrize("flags, tf32_allowed, capability, precision", [
    ("--device cpu", True, None, "float32"), ("--device cpu --bf16", True, None, "bfloat16"),
    ("--device cuda:1", True, (9, 0), "tf32"), ("--device cuda:1", False, (9, 0), "float32"),
    ("--device cuda:1", True, (7, 5), "float32"), ("--device cuda:1 --bf16", True, (9, 0), "bfloat16")])
def test_the_precision_of_a_run(monkeypatch, flags, tf32_allowed, capability, precision):
    monkeypatch.setattr(starts, "device", lambda name: name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", {"cuda:1": capability}.get)
    with torch.backends.cudnn.flags(allow_tf32=tf32_allowed):
        assert starts.precision(train.parse(flags.split())) == precision


@pytest.mark.parametrize("flags, refused", [("--deterministic --device cuda", True), ("--deterministic", False),
                                            ("--device cuda", False)])
def test_a_net_without_deterministic_gradients_on_a_gpu_is_refused_before_it_is_built(monkeypatch, flags, refused):
    monkeypatch.setattr(starts, "device", lambda name: name or "cpu")
    settings = train.parse(f"--model vgg16_imagenet --data caltech35 {flags}".split())

    def build(*_, **__):
        raise ValueError("it is built")
    monkeypatch.setattr(models, "build", build)
    with pytest.raises(runs.BadInput, match="no such gradient" if refused else "it is built"):
        starts.build(settings, data.load("caltech35", synthetic=True))


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_a_run_says_where_bfloat16_is_only_slower(tmp_path, monkeypatch, capsys, has_bfloat16):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_bfloat16)
    go(tmp_path, f"{OBJECTS} --bf16 --max-steps 1")
    assert ("this processor does not have" in capsys.readouterr().out) != has_bfloat16


def test_a_bar_says_how_long_the_run_will_still_take(monkeypatch):
    shown = []
    monkeypatch.setattr(starts, "tqdm", lambda batches, title, total, **how: shown.append((title, total, how)))
    settings = train.parse("--run a/b --epochs 10".split())
    state = train.State(None, None, step=3)
    starts.with_bar([], settings, state, 20)
    state.rows, state.epoch = [{"seconds": 600.0}, {"seconds": 700.0}, {"seconds": 500.0}], 3
    starts.with_bar([], settings, state, 20)
    state.rows, state.epoch = [{"seconds": 600.0}] * 9, 9
    starts.with_bar([], settings, state, 20)
    assert [title for title, _, _ in shown] == ["a/b epoch 1/10", "a/b epoch 4/10, then 1 h 0 min", "a/b epoch 10/10"]
    # disable=None: only on a terminal; delay: only in long epochs
    assert all(total == 20 and how["initial"] == 3 and how["disable"] is None and how["delay"] == 2
               for _, total, how in shown)


def test_a_digest_is_of_the_content_of_a_file(tmp_path):
    file = tmp_path / "file"
    assert starts.digest(None) is None and starts.digest(file) is None and starts.digest(tmp_path) is None
    file.write_bytes(b"abc")
    assert starts.digest(file) == "ba7816bf8f01cfea"


@pytest.mark.parametrize("flags, file, folder", [
    ("", None, None), ("--init-from a/b --seed 3", "runs/a/b/seed3/model.pt", "runs/a/b/seed3"),
    ("--init-from x/y.pt", "x/y.pt", "x"),
    ("--clean-by a/b --clean-share 0.1 --runs else", "else/a/b/seed0/model.pt", "else/a/b/seed0"),
    ("--model resnet18 --pretrained --weights w.pth", "w.pth", None)])
def test_the_first_weights_that_flags_name(flags, file, folder):
    settings = train.parse(flags.split())
    assert starts.first_weights(settings) == (Path(file) if file else None)
    assert starts.first_run(settings) == (Path(folder) if folder else None)


# ---- ImageNet weights -----------------------------------------------------------------------------------------------

PRETRAINED = ("--model resnet18 --synthetic --split all --batch-size 50 --max-steps 2 --threads 1 --pretrained "
              "--freeze features")


def test_pretrained_weights_from_a_file_are_frozen_but_for_the_last_layer(tmp_path, imagenet, monkeypatch):
    file, given = imagenet
    code, folder = go(tmp_path, f"{PRETRAINED} --weights {file}")
    trained, result = weights(folder), result_of(folder)
    assert code == 0
    # Statistics of batch norm too.
    assert all(torch.equal(tensor, given[name]) for name, tensor in trained.items() if not name.startswith("fc."))
    assert result["params"] == 512 * 10 + 10 and result["metrics"]["test_acc"] is not None
    assert result["init_digest"] == digest_of(file) and result["init_flags"] is None
    assert "--weights" not in result["flags"] and "--pretrained --freeze features" in result["flags"]
    assert (folder / "flags.txt").read_text() == result["flags"] + "\n"
    file.unlink()
    _, model, _ = starts.restore(folder)  # neither this needs that file
    assert torch.equal(model.fc.weight, trained["fc.weight"])
    no_training(monkeypatch)
    assert go(tmp_path, f"{PRETRAINED} --weights {file}") == (0, folder)  # nor the command of a finished run


def test_pretrained_weights_that_are_nowhere_exit_2_and_say_how_to_get_them(tmp_path, imagenet, capsys):
    assert go(tmp_path, PRETRAINED)[0] == 2
    error = capsys.readouterr().err
    assert "no network here" in error and error.count("\n") == 1
    assert "Put resnet18-f37072fd.pth there, or name a copy with --weights" in error
    assert not (tmp_path / "runs").exists()


def test_a_cache_that_cannot_be_made_and_a_file_that_cannot_be_read_exit_2(tmp_path, imagenet, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(imagenet[0] / "below a file"))
    assert go(tmp_path, PRETRAINED)[0] == 2 and "could not be downloaded" in capsys.readouterr().err

    def refuse(path):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(type(imagenet[0]), "read_bytes", refuse)
    assert go(tmp_path, f"{PRETRAINED} --weights {imagenet[0]}")[0] == 2
    assert "mine.pth cannot be read (Permission denied)" in capsys.readouterr().err


def test_frozen_batch_norm_needs_no_second_image(tmp_path, imagenet):
    flags = PRETRAINED.replace("--batch-size 50", "--batch-size 1")
    assert go(tmp_path, f"{flags} --weights {imagenet[0]}")[0] == 0


def test_a_pretrained_run_stopped_and_gone_on_with_ends_the_same(tmp_path, imagenet, monkeypatch):
    flags = PRETRAINED.replace("--max-steps 2", "--max-steps 4 --save-every 0") + f" --weights {imagenet[0]}"
    whole = go(tmp_path, flags, folder="whole")[1]
    stop_every(monkeypatch, 2)
    codes = [go(tmp_path, flags)[0] for _ in range(3)]  # a batch is scored on valid, and one on test
    assert codes == [75, 75, 0] and substance(tmp_path / "runs/a/b/seed0") == substance(whole)


def test_pretrained_weights_for_caltech35_leave_a_new_last_layer_of_35_to_learn(tmp_path, imagenet):
    file, given = imagenet
    flags = ("--model resnet18 --data caltech35 --synthetic --split all --test-weights none --batch-size 4 "
             f"--max-steps 2 --threads 1 --pretrained --freeze features --weights {file}")
    with smaller_data(caltech35=2):
        begun = prepared(flags)[2].state_dict()
        code, folder = go(tmp_path, flags)
    ended = weights(folder)
    assert code == 0 and ended["fc.weight"].shape == (35, 512) and result_of(folder)["params"] == 512 * 35 + 35
    for name, tensor in given.items():  # statistics of batch norm too
        if name.startswith("fc."):
            assert not torch.equal(ended[name], begun[name])
        else:
            assert torch.equal(ended[name], tensor) and torch.equal(begun[name], tensor)


@pytest.mark.parametrize("size", [79, 1])
def test_one_image_left_for_scoring_is_refused_with_frozen_batch_norm_too(tmp_path, capsys, size):
    torch.save(models.build("mlp").state_dict(), tmp_path / "mlp.pt")
    flags = (f"--model mlp --synthetic --batch-size {size} --max-steps 1 --threads 1 "
             f"--init-from {tmp_path / 'mlp.pt'} --freeze features")
    assert go(tmp_path, flags, run="a/default")[0] == 0
    assert go(tmp_path, f"{flags} --protocol report")[0] == 2
    assert "leaves a step with one image" in capsys.readouterr().err


# ---- a finished run, brought back -----------------------------------------------------------------------------------

def test_a_run_brought_back_has_its_settings_weights_and_data(tmp_path):
    folder = go(tmp_path, f"{OBJECTS} --epochs 2 --normalise cifar10 --data-dir its-own")[1]
    settings, model, dataset = starts.restore(folder)
    assert (settings.normalise, settings.data_dir, settings.batch_size) == ("cifar10", "its-own", 20)
    assert not model.training and same(model.state_dict(), weights(folder))
    assert dataset.fingerprint == result_of(folder)["data"]["fingerprint"] and len(dataset.train) == 320
    assert starts.restore(folder, data_dir="other")[0].data_dir == "other"
    put_weights({name: tensor / 2 for name, tensor in weights(folder).items()}, folder, "best.pt")
    halves = starts.restore(folder, weights="best.pt")[1].state_dict()
    assert same(halves, weights(folder, "best.pt")) and not same(halves, weights(folder))


# ---- the triplet losses ---------------------------------------------------------------------------------------------

TRIPLET = f"{BASE} --synthetic --batch-size 12 --loss triplet-cosine --freeze classifier --lr 0.1 --epochs 2"


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory, small_data):
    """A place with the run a/first, which trained features by a triplet loss."""
    place = tmp_path_factory.mktemp("stages")
    assert go(place, TRIPLET, run="a/first")[0] == 0
    return place


def test_the_best_epoch_of_a_triplet_run_is_that_of_least_valid_loss(tmp_path, monkeypatch):
    valid_losses, evaluate, seen = iter((0.3, 0.1, 0.2)), train.evaluate, []

    def scripted(settings, model, dataset, indices, *more):
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(valid_losses), evaluate(settings, model, dataset, indices, *more)[1]
    monkeypatch.setattr(train, "evaluate", scripted)
    with smaller_data(caltech35=3):
        code, folder = go(tmp_path, f"{TRIPLET} --epochs 3")
    metrics = result_of(folder)["metrics"]
    assert code == 0 and (metrics["best_epoch"], metrics["best_valid_loss"], metrics["valid_loss"]) == (2, 0.1, 0.2)
    assert same(weights(folder, "best.pt"), seen[1]) and same(weights(folder), seen[2]) and not same(seen[1], seen[2])


@pytest.mark.parametrize("size, drop_last", [(3, ""), (3, "--drop-last"), (9, "")])
def test_images_left_out_are_counted_in_every_epoch(tmp_path, size, drop_last):
    """Of 32 images of two classes, some batches of three have one class, some smaller last ones two images alone."""
    with smaller_data(caltech35=2):
        code, folder = go(tmp_path, f"{SMALL} --batch-size {size} --loss triplet-euclid --epochs 2 {drop_last}")
        settings, _, dataset = starts.restore(folder)
    expected = []
    for epoch in (1, 2):
        labels = dataset.targets[data.plan_epoch(settings, dataset, epoch).indices].tolist()
        batches = [labels[first:first + size] for first in range(0, len(labels), size)]
        if drop_last:
            batches = [batch for batch in batches if len(batch) == size]
        expected.append(sum(batch.count(label) == 1 or len(set(batch)) == 1 for batch in batches for label in batch))
    assert code == 0 and [row["left_out"] for row in rows(folder)] == expected
    assert size == 9 or min(expected) > 3


@pytest.mark.parametrize("training", [True, False])
def test_a_triplet_loss_is_scored_in_mixed_batches_of_the_runs_size_always_alike(first_stage, monkeypatch, training):
    folder = first_stage / "runs/a/first/seed0"
    settings, model, dataset = starts.restore(folder)
    expected, calls, batch = rows(folder)[-1]["valid_loss"], [], data.Dataset.batch
    model.train(training)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    by_class = dataset.valid[dataset.targets[dataset.valid].argsort(stable=True)]
    degrees = by_class.float() / 100  # an angle for each image, to tell whether it comes with its own

    def spy(self, indices, draws=None):
        calls.append((indices, draws))
        return batch(self, indices, draws)
    monkeypatch.setattr(data.Dataset, "batch", spy)
    scores = [train.evaluate(settings, model, dataset, by_class, draws={"degrees": degrees}) for _ in range(2)]
    assert train.evaluate(settings, model, dataset, dataset.valid, batch_size=5) == (expected, None)
    assert all(layer.training == training for layer in model.modules()) and same(model.state_dict(), state)

    assert scores[0] == scores[1] and [len(indices) for indices, _ in calls] == [12, 4] * 3
    total = 0
    for (indices, draws), classes in zip(calls[:2], (4, 2)):  # in order, they would be 3 and 1
        labels = dataset.targets[indices]
        assert labels.unique().numel() >= classes and torch.equal(draws["degrees"], indices.float() / 100)
        with torch.no_grad():
            features = model.eval().features(batch(dataset, indices, draws)[0])
        total += len(indices) * losses.triplet_cosine(features, labels).item()
    assert math.isclose(scores[0][0], total / 16, rel_tol=1e-6) and scores[0][1] is None
    assert torch.equal(torch.cat([indices for indices, _ in calls[:2]]).sort().values, dataset.valid)


# ---- two stages: features by a triplet loss, then a classifier ------------------------------------------------------

@pytest.fixture
def stages(first_stage, tmp_path):
    """A copy of that place, and the first run's folder in it."""
    shutil.copytree(first_stage / "runs", tmp_path / "runs")
    return tmp_path, tmp_path / "runs/a/first/seed0"


def test_a_triplet_run_has_losses_and_no_accuracies(first_stage):
    folder = first_stage / "runs/a/first/seed0"
    result, log = result_of(folder), rows(folder)
    assert all(row[name] is None for row in log for name in ("train_acc", "valid_acc", "test_loss", "test_acc"))
    assert all(row["train_loss"] > 0 and row["valid_loss"] > 0 for row in log)
    missing = ("train_acc", "valid_acc", "best_valid_acc", "test_loss", "test_acc")
    assert all(result["metrics"][name] is None for name in missing)
    assert result["status"] == "finished" and (result["test_weights"], result["test_evaluations"]) == ("none", 0)
    assert " %" not in (folder / "train.log").read_text()


def test_a_frozen_classifier_stays_as_it_was_drawn_while_the_features_learn(first_stage):
    folder = first_stage / "runs/a/first/seed0"
    begun, ended = prepared(TRIPLET)[2].state_dict(), weights(folder)
    assert all(torch.equal(ended[name], tensor) == name.startswith("classifier.") for name, tensor in begun.items())
    of_features = [tensor.numel() for name, tensor in begun.items() if re.match(r"features.*(weight|bias)", name)]
    assert result_of(folder)["params"] == sum(of_features)


SECOND = f"{SMALL} --init-from=a/first --freeze features --lr 0.1"


def test_the_second_stage_begins_where_the_first_ended_and_trains_the_classifier_alone(stages):
    place, first = stages
    before = weights(first)
    assert same(prepared(f"{SECOND} --runs {place / 'runs'}")[2].state_dict(), before)
    code, second = go(place, f"{SECOND} --max-steps 2", run="a/second")
    ended, result = weights(second), result_of(second)
    # Statistics of batch norm too.
    assert code == 0
    assert all(torch.equal(ended[name], tensor) == name.startswith("features.") for name, tensor in before.items())
    assert result["init_flags"] == result_of(first)["flags"] == TRIPLET.replace(" --threads 1", "")
    assert result["init_digest"] == digest_of(first / "model.pt")
    assert result["test_evaluations"] == 1 and rows(second)[0]["train_acc"] is not None
    assert result["flags"] == f"{SECOND} --max-steps 2".replace(" --threads 1", "")
    assert runs.flags_line(second) == f"{result['flags']} < {result['init_flags']}"


def test_a_first_stage_trained_anew_makes_the_second_be_trained_anew_too(stages, capsys):
    place, first = stages
    flags = f"{SECOND} --max-steps 1"
    second = go(place, flags, run="a/second")[1]
    before, old_digest = substance(second), result_of(second)["init_digest"]
    assert go(place, f"{TRIPLET} --max-steps 1", run="a/first")[0] == 0 and first.with_name("seed0.1").exists()
    assert go(place, flags, run="a/second")[0] == 0 and "made with other flags" in capsys.readouterr().out
    assert substance(second.with_name("seed0.1")) == before and result_of(second)["init_digest"] != old_digest
    assert torch.equal(weights(second)["features.0.weight"], weights(first)["features.0.weight"])
    assert go(place, flags, run="a/second")[0] == 0 and "was finished before" in capsys.readouterr().out
    line = runs.flags_line(second)
    shutil.rmtree(first)  # it stays finished without the folder of the first
    assert go(place, flags, run="a/second")[0] == 0 and "was finished before" in capsys.readouterr().out
    assert runs.flags_line(second) == line
    assert go(place, f"{flags} --lr 0.2", run="a/second")[0] == 2
    assert "Train that run first" in capsys.readouterr().err and not second.with_name("seed0.2").exists()


# ---- label noise ----------------------------------------------------------------------------------------------------

def test_label_noise_is_recorded_as_it_is_and_touches_train_labels_alone(tmp_path):
    code, folder = go(tmp_path, f"{SMALL} --label-noise 0.5 --max-steps 1")
    labels, dataset = data.load("caltech35", synthetic=True).targets, starts.restore(folder)[2]
    changed = (dataset.targets != labels).nonzero()[:, 0]
    assert code == 0 and result_of(folder)["data"]["label_noise"] == round(len(changed) / 64, 6)
    # Half are drawn anew, of which a quarter keep their own.
    assert 16 < len(changed) < 32 and torch.isin(changed, dataset.train).all()
    assert set(dataset.targets[changed].tolist()) == set(range(4))
    clean = go(tmp_path, f"{SMALL} --max-steps 1", run="a/clean")[1]
    assert "label_noise" not in result_of(clean)["data"]


def test_label_noise_depends_on_seed_and_fraction_and_on_nothing_else():
    def labels(more):
        return data.for_run(train.parse(f"{SMALL} --label-noise 0.3 {more}".split())).targets

    noise = labels("")
    for more in ("--rotation 15 --flip --weight-decay 0.001 --epochs 30 --lr 0.1",
                 "--model basic_block --loss square --batch-size 8"):
        assert torch.equal(labels(more), noise)
    assert not torch.equal(labels("--seed 1"), noise) and not torch.equal(labels("--label-noise 0.5"), noise)


def test_labels_that_steps_see_are_the_noisy_ones(tmp_path, monkeypatch):
    seen, step = [], train.train_step

    def spy(*arguments):
        seen.append(arguments[5])
        return step(*arguments)
    monkeypatch.setattr(train, "train_step", spy)
    with smaller_data(caltech35=3):
        flags = f"{SMALL} --label-noise 1"
        assert go(tmp_path, f"{flags} --epochs 1 --test-weights none")[0] == 0
        settings, dataset, _ = prepared(flags)
    assert torch.equal(torch.cat(seen), dataset.targets[data.plan_epoch(settings, dataset, 1).indices])
    assert torch.cat(seen).bincount().tolist() != [16, 16, 16]


# ---- cleaned labels -------------------------------------------------------------------------------------------------

CLEANED = f"{SMALL} --label-noise 0.5 --clean-by=a/scorer --clean-share 0.25"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, small_data):
    """A place with the run a/scorer, which has seen none of the train images, and three runs that cannot score them."""
    place = tmp_path_factory.mktemp("scorer")
    assert go(place, f"{SMALL} --split val+addition --max-steps 6 --lr 0.05", run="a/scorer")[0] == 0
    unfit = f"{SMALL} --max-steps 1 --test-weights none"
    assert go(place, f"{unfit} --split all", run="a/seen")[0] == 0
    assert go(place, f"{unfit} --split val+addition --init-from=a/seen", run="a/heir")[0] == 0
    assert go(place, f"{unfit} --split val+addition --loss triplet-cosine", run="a/features")[0] == 0
    return place


def test_cleaning_drops_the_images_whose_labels_the_scorer_believes_least(tmp_path, scorer, capsys):
    shutil.copytree(scorer / "runs", tmp_path / "runs")
    scorer_folder, flags = tmp_path / "runs/a/scorer/seed0", f"{CLEANED} --max-steps 1"
    code, folder = go(tmp_path, flags)
    result, noisy = result_of(folder), data.for_run(train.parse(f"{SMALL} --label-noise 0.5".split()))
    net = models.build("base").eval()
    net.load_state_dict(weights(scorer_folder))
    with torch.no_grad():
        surprise = -net(noisy.batch(noisy.train)[0]).log_softmax(1)[range(64), noisy.targets[noisy.train]]
    dropped = noisy.train[surprise.topk(16).indices]
    is_wrong = data.load("caltech35", synthetic=True).targets != noisy.targets
    wrong = is_wrong[dropped].sum().item()
    counts = result["data"]
    assert code == 0 and (counts["train"], counts["dropped"], counts["dropped_noisy"]) == (48, 16, wrong)
    assert 0 < wrong < 16 and counts["label_noise"] == round(is_wrong.sum().item() / 64, 6)
    cleaned = train.prepare(train.parse(f"{CLEANED} --runs {tmp_path / 'runs'}".split()))[0]
    assert sorted([*cleaned.train.tolist(), *dropped.tolist()]) == noisy.train.tolist()
    assert result["init_digest"] == digest_of(scorer_folder / "model.pt")
    assert result["init_flags"] == result_of(scorer_folder)["flags"]
    assert runs.flags_line(folder) == f"{result['flags']} < {result['init_flags']}"

    shutil.rmtree(scorer_folder)  # neither who looks at the run nor who trains it again needs the scorer any more
    settings, model, dataset = starts.restore(folder)
    assert torch.equal(dataset.train, cleaned.train)
    assert read(folder / "args.json")["dropped"] == dropped.sort().values.tolist()
    assert train.evaluate(settings, model, dataset, dataset.test)[0] == result["metrics"]["test_loss"]
    capsys.readouterr()
    assert go(tmp_path, flags)[0] == 0 and "was finished before" in capsys.readouterr().out


def test_what_was_dropped_at_the_beginning_stays_dropped(tmp_path, scorer, monkeypatch):
    """Scoring again, with other threads or on another device, could tip who is last."""
    shutil.copytree(scorer / "runs", tmp_path / "runs")
    flags = f"{CLEANED} --max-steps 4"
    code, folder = go(tmp_path, f"{flags} --stop-after 0s")
    kept = read(folder / "args.json")["dropped"]
    monkeypatch.setattr(starts, "least_believed", lambda *_: pytest.fail("scored again"))
    assert code == 75 and go(tmp_path, flags)[0] == 0 and read(folder / "args.json")["dropped"] == kept
    assert result_of(folder)["data"]["dropped"] == len(kept) == 16
    monkeypatch.setattr(starts, "least_believed", lambda *_: kept[:5])
    assert go(tmp_path, f"{flags} --restart")[0] == 0  # a new run, scored anew
    assert result_of(folder)["data"]["dropped"] == 5


def test_the_net_of_a_cleaned_run_begins_as_without_cleaning(scorer):
    """Nothing starts from the scorer's weights."""
    cleaned, plain = prepared(f"{CLEANED} --runs {scorer / 'runs'}")[2], prepared(SMALL)[2]
    assert same(cleaned.state_dict(), plain.state_dict())


def test_a_scorer_that_is_not_fit_to_score_is_refused(tmp_path, scorer, capsys):
    shutil.copytree(scorer / "runs", tmp_path / "runs")
    assert go(tmp_path, f"{OBJECTS} --max-steps 1", run="a/other")[0] == 0
    for name, words in (("a/seen", "was trained on images that it is to score"),
                        ("a/heir", "or started from a run that may have been"),
                        ("a/features", "its classifier has learnt nothing to score by"),
                        ("a/other", "was trained on cifar10 (500 images)"), ("a/nowhere", "Train that run first")):
        capsys.readouterr()
        code, folder = go(tmp_path, CLEANED.replace("a/scorer", name))
        assert code == 2 and words in capsys.readouterr().err and not folder.parent.exists()
    assert go(tmp_path, f"{CLEANED} --seed 1")[0] == 2 and "seed1/model.pt" in capsys.readouterr().err

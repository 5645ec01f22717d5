"""train.py: the loop and what it logs, optimizers and schedules, flags, early stopping, how runs are scored."""
import math
import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

import data
import losses
import models
import train
from conftest import ROOT
from experiments import runs, starts
from helpers import (BASE, CLASS_LOSSES, FACES, OBJECTS, SMALL, go, is_same_run, prepared, read, result_of, rows, same,
                     script_valid_scores, smaller_data, substance, weights)

pytestmark = pytest.mark.usefixtures("small_data")


# ---- scoring the test set -------------------------------------------------------------------------------------------

def test_the_test_set_is_scored_once_with_the_weights_asked_for(tmp_path, monkeypatch):
    scored, evaluate = [], train.evaluate

    def spy(settings, model, dataset, indices, *more):
        scored.append("test" if torch.equal(indices, dataset.test) else "valid")
        return evaluate(settings, model, dataset, indices, *more)
    monkeypatch.setattr(train, "evaluate", spy)
    for asked, file in (("final", "model.pt"), ("best", "best.pt")):
        scored.clear()
        code, folder = go(tmp_path, f"{OBJECTS} --epochs 4 --lr 0.05 --test-weights {asked}", run=f"a/{asked}")
        assert code == 0 and scored == ["valid"] * 4 + ["test"]
        settings, model, dataset = starts.restore(folder, weights=file)
        metrics = result_of(folder)["metrics"]
        score = evaluate(settings, model, dataset, dataset.test)
        assert score == (metrics["test_loss"], metrics["test_acc"])


def test_the_test_set_after_every_epoch_is_a_flag_and_the_record_says_so(tmp_path):
    flags = f"{OBJECTS} --split all --epochs 3"
    code, folder = go(tmp_path, f"{flags} --test-each-epoch")
    result, log = result_of(folder), rows(folder)
    assert code == 0 and result["test_evaluations"] == 3 and all(row["valid_loss"] is None for row in log)
    assert all(0 <= row["test_acc"] <= 1 and row["test_loss"] > 0 for row in log)
    settings, model, dataset = starts.restore(folder)
    score = train.evaluate(settings, model, dataset, dataset.test)
    assert score == (result["metrics"]["test_loss"], result["metrics"]["test_acc"])
    assert score == (log[-1]["test_loss"], log[-1]["test_acc"])
    line = r"loss train [\d.]+ test [\d.]+  acc train [\d.]+ % test [\d.]+ %"
    assert re.search(line, (folder / "train.log").read_text())

    other = go(tmp_path, flags, run="a/off")[1]
    assert all(row["test_acc"] is None and row["test_loss"] is None for row in rows(other))
    assert result_of(other)["test_evaluations"] == 1
    assert (folder / "model.pt").read_bytes() == (other / "model.pt").read_bytes()  # looking changes nothing


def test_without_a_look_at_the_test_set_there_is_no_score(tmp_path):
    folder = go(tmp_path, f"{OBJECTS} --max-steps 2 --test-weights none")[1]
    result = result_of(folder)
    assert result["test_evaluations"] == 0 and result["test_weights"] == "none"
    assert result["metrics"]["test_loss"] is None and result["metrics"]["test_acc"] is None


# ---- divergence -----------------------------------------------------------------------------------------------------

def test_a_diverged_run_is_a_result(tmp_path):
    for _ in range(2):  # the second time it is there already
        code, folder = go(tmp_path, f"{OBJECTS} --lr 1e18 --epochs 4")
        assert code == 3
    result = result_of(folder)
    assert result["status"] == "diverged" and result["epochs"] == len(rows(folder)) < 4
    assert result["metrics"]["train_loss"] is None and result["test_evaluations"] == 0


@pytest.mark.parametrize("flags", ["--test-each-epoch --split all", "--split random"])
def test_a_diverged_run_has_no_test_score(tmp_path, flags):
    code, folder = go(tmp_path, f"{OBJECTS} --epochs 3 --lr 1e12 {flags}")
    metrics = result_of(folder)["metrics"]
    assert code == 3 and metrics["test_loss"] is None and metrics["test_acc"] is None


def test_a_huge_but_finite_loss_is_not_divergence(tmp_path):
    code, folder = go(tmp_path, f"{FACES} --optim adam --lr 0.3 --max-steps 3")
    assert code == 0 and result_of(folder)["metrics"]["train_loss"] > 1e6


def test_a_test_loss_that_is_not_finite_is_divergence(tmp_path):
    code, folder = go(tmp_path, "--synthetic --act relu --split all --lr 1e38 --max-steps 1 --threads 1")
    assert code == 3 and result_of(folder)["status"] == "diverged"


# ---- what is logged of an epoch -------------------------------------------------------------------------------------

def test_train_loss_is_the_mean_per_image_of_an_epoch_with_a_smaller_last_batch(tmp_path):
    # 320 = 5 * 60 + 20; the weights do not move.
    folder = go(tmp_path, "--synthetic --batch-size 60 --epochs 1 --lr 1e-30 --threads 1")[1]
    settings, model, dataset = starts.restore(folder)
    loss, accuracy = train.evaluate(settings, model, dataset, dataset.train)
    row = rows(folder)[0]
    assert math.isclose(row["train_loss"], loss, rel_tol=1e-6)
    assert math.isclose(row["train_acc"], accuracy, rel_tol=1e-6)


def test_tail_loss_is_there_where_2000_batches_are(tmp_path):
    with smaller_data(cifar10=2000):
        code, folder = go(tmp_path, "--act relu --channels 6,16 --synthetic --batch-size 1 --split all --epochs 1 "
                                "--threads 1")
    row = rows(folder)[0]
    assert code == 0 and math.isclose(row["tail_loss"], row["train_loss"], rel_tol=1e-5) and row["valid_loss"] is None
    assert result_of(folder)["metrics"]["best_epoch"] is None
    short = go(tmp_path, f"{OBJECTS} --epochs 1", run="a/short")[1]
    assert rows(short)[0]["tail_loss"] is None


@pytest.mark.parametrize("steps, mean", [(1999, None), (2000, 999.5), (2500, 1499.5), (5000, 3999.5)])
def test_tail_loss_is_the_mean_over_the_last_2000_batches_alone(steps, mean):
    settings = train.parse([])
    tallies = {"loss": torch.arange(steps).float(), "penalty": torch.zeros(steps), "correct": torch.zeros(steps)}
    sizes = torch.full((steps,), 4.0, dtype=torch.float64)
    means = train.training_means(settings, tallies, sizes)
    assert means["tail_loss"] == mean and means["train_loss"] == (steps - 1) / 2


def test_means_weigh_every_step_by_its_images():
    tallies = {"loss": [1.0, 4.0], "penalty": [2.0, 5.0], "correct": [2.0, 1.0]}
    tallies = {name: torch.tensor(steps) for name, steps in tallies.items()}
    sizes = torch.tensor([4.0, 2.0], dtype=torch.float64)
    assert train.training_means(train.parse([]), tallies, sizes) == {
        "train_loss": 2.0, "train_acc": 0.5, "left_out": None, "penalty": 3.0, "tail_loss": None}


def test_the_gradient_norm_is_that_of_the_last_step(tmp_path, monkeypatch):
    seen, step = [], train.train_step

    def spy(settings, model, *more):
        result = step(settings, model, *more)
        seen.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item())
        return result
    monkeypatch.setattr(train, "train_step", spy)
    folder = go(tmp_path, f"{OBJECTS} --batch-size 80 --epochs 2")[1]
    assert [row["grad_norm"] for row in rows(folder)] == pytest.approx([seen[3], seen[7]], rel=1e-5)


def test_the_l2_term_is_logged_apart(tmp_path):
    plain, with_l2 = (rows(go(tmp_path, f"{OBJECTS} --epochs 1 --lr 1e-30 --l2 {l2}", run=f"a/{l2}")[1])[0]
                      for l2 in ("0", "0.5"))
    assert plain["penalty"] == 0 and with_l2["penalty"] > 1 and with_l2["train_loss"] == plain["train_loss"]


# ---- optimizer and schedule -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags, expected", [
    ("--schedule step --step-size 2 --gamma 0.5", [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]),
    ("--schedule multistep --milestones 1,4 --gamma 0.1", [0.1, 0.01, 0.01, 0.01, 0.001, 0.001]),
    ("--schedule cosine", [0.05 * (1 + math.cos(math.pi * epoch / 6)) for epoch in range(6)]),
    ("--switch-after 4 --switch-lr 1e-5", [0.1] * 4 + [1e-5] * 2), ("", [0.1] * 6)])
def test_the_learning_rate_by_epoch(tmp_path, flags, expected):
    code, folder = go(tmp_path, f"{OBJECTS} --lr 0.1 --batch-size 320 --epochs 6 {flags}")
    assert code == 0 and [row["lr"] for row in rows(folder)] == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("patience, expected", [
    (0, [1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]), (1, [1, 1, 1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4]),
    (3, [1, 1, 1, 1, 1, 1, 1 / 2, 1 / 2]), (10, [1] * 8)])
def test_on_a_plateau_the_rate_falls_when_the_valid_loss_has_not_for_longer_than_the_patience(
        tmp_path, monkeypatch, patience, expected):
    """The best valid loss is that of epoch 2; what comes after epoch e sets the rate of epoch e + 1."""
    valid_losses = (1.0, 0.8, 0.9, 0.8, 0.9, 0.9, 0.8, 0.9)
    script_valid_scores(monkeypatch, *((loss, 0.5) for loss in valid_losses))
    folder = go(tmp_path, f"{OBJECTS} --lr 0.1 --batch-size 320 --epochs 8 --schedule plateau --patience {patience} "
                          "--gamma 0.5")[1]
    assert [row["lr"] for row in rows(folder)] == pytest.approx([0.1 * part for part in expected], rel=1e-9, abs=0)
    assert [row["valid_loss"] for row in rows(folder)] == list(valid_losses)


def updates_of(flags, steps=3, switched=False):
    """Trains some steps on the same batch. Returns (settings, parameters before each step and after, gradients).

    Parameters and gradients are lists of vectors of all the net's numbers, float64.
    """
    settings, dataset, model = prepared(f"{OBJECTS} {flags}")
    optimizer, loss_function = train.make_optimizer(settings, model, switched), losses.make(settings)
    x, y = dataset.batch(dataset.train[:100])

    def flat(tensors):
        return torch.cat([tensor.detach().flatten() for tensor in tensors]).double()

    parameters, gradients = [flat(model.parameters())], []
    for _ in range(steps):
        train.train_step(settings, model, optimizer, loss_function, x, y)
        gradients.append(flat(p.grad for p in model.parameters()))
        parameters.append(flat(model.parameters()))
    return settings, parameters, gradients


@pytest.mark.parametrize("flags, switched, eps", [
    ("--optim adam --lr 0.01 --weight-decay 0.1", False, 1e-8),
    ("--switch-optim adam --switch-lr 0.01 --weight-decay 0.1", True, 1e-8),
    ("--optim adam --lr 0.01 --weight-decay 0.1 --adam-eps 0.01", False, 0.01)])
def test_adam_worked_out_by_hand(flags, switched, eps):
    """Kingma and Ba (2015) with betas 0.9 and 0.999; the weight decay is added to the gradient."""
    _, parameters, gradients = updates_of(flags, switched=switched)
    w, first, second = parameters[0], 0, 0
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + 0.1 * w
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w = w - 0.01 * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + eps)
        assert torch.allclose(parameters[step], w, rtol=0, atol=2e-5)
        assert (parameters[step] - parameters[step - 1]).abs().max() > 1e-3


@pytest.mark.parametrize("flags, switched", [
    ("--lr 0.01 --momentum 0.7 --weight-decay 0.1", False),
    ("--optim adam --momentum 0.7 --switch-optim sgd --switch-lr 0.01 --weight-decay 0.1", True)])
def test_sgd_worked_out_by_hand_before_and_after_a_switch(flags, switched):
    _, parameters, gradients = updates_of(flags, switched=switched)
    w, velocity = parameters[0], 0
    for step, gradient in enumerate(gradients, 1):
        velocity = 0.7 * velocity + gradient + 0.1 * w
        w = w - 0.01 * velocity
        assert torch.allclose(parameters[step], w, rtol=0, atol=1e-6)
        assert (parameters[step] - parameters[step - 1]).abs().max() > 1e-4


def test_momentum_acts_after_the_switch(tmp_path):
    """One step before the switch, two after it: only the third one can tell the momentum."""
    flags = f"{OBJECTS} --optim adam --batch-size 320 --switch-after 1 --switch-lr 0.1"
    ends = [[weights(go(tmp_path, f"{flags} --epochs {epochs} --momentum {momentum}", run=f"a/{epochs}-{momentum}")[1])
             for momentum in (0, 0.9)] for epochs in (2, 3)]
    (slow_2, fast_2), (slow_3, fast_3) = ends
    assert same(slow_2, fast_2) and not same(slow_3, fast_3)


def test_l2_acts_on_all_parameters_as_twice_that_weight_decay():
    _, ours, _ = updates_of("--norm bn --l2 0.01", steps=1)
    _, theirs, _ = updates_of("--norm bn --weight-decay 0.02", steps=1)
    assert torch.allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-7)
    settings, dataset, model = prepared(f"{OBJECTS} --norm bn --l2 0.01")
    expected = 0.01 * sum(p.detach().square().sum().item() for p in model.parameters())
    optimizer, loss_function = train.make_optimizer(settings, model), losses.make(settings)
    _, _, penalty, _ = train.train_step(settings, model, optimizer, loss_function, *dataset.batch(dataset.train[:100]))
    assert math.isclose(penalty.item(), expected, rel_tol=1e-5)


def test_clipping_bounds_the_step_and_reports_the_norm_before(tmp_path):
    _, parameters, _ = updates_of("--l2 10 --clip 1 --lr 1 --momentum 0", steps=1)
    assert math.isclose((parameters[1] - parameters[0]).norm().item(), 1, rel_tol=1e-3)
    folder = go(tmp_path, f"{OBJECTS} --l2 10 --clip 1 --lr 1e-30 --max-steps 1")[1]
    assert rows(folder)[0]["grad_norm"] > 10


def test_l2_takes_channels_last_nets(tmp_path):
    assert go(tmp_path, f"{FACES} --l2 0.001 --max-steps 1")[0] == 0
    assert go(tmp_path, f"{OBJECTS} --bf16 --l2 0.001 --max-steps 1", run="a/c")[0] == 0


def test_bf16_trains(tmp_path):
    code, folder = go(tmp_path, f"{OBJECTS} --bf16 --epochs 3 --lr 0.02")
    assert code == 0 and rows(folder)[-1]["train_loss"] < rows(folder)[0]["train_loss"]


# ---- which images an epoch visits, and how they are changed ---------------------------------------------------------

def test_an_epoch_visits_every_face_twice_once_upright():
    settings, dataset, _ = prepared(FACES)
    plan = data.plan_epoch(settings, dataset, 1)
    indices, degrees = plan.indices, plan.draws["degrees"]
    upright = degrees == 0
    assert torch.equal(indices[upright].sort().values, dataset.train)
    assert torch.equal(indices[~upright].sort().values, dataset.train)
    assert degrees.abs().max() <= 15 and degrees[~upright].std() > 5
    again, other = data.plan_epoch(settings, dataset, 1), data.plan_epoch(settings, dataset, 2)
    assert torch.equal(indices, again.indices) and torch.equal(degrees, again.draws["degrees"])
    assert not torch.equal(indices, other.indices)
    assert not torch.equal(degrees.sort().values, other.draws["degrees"].sort().values)


def test_order_and_initial_weights_depend_on_the_seed_and_not_on_the_net():
    first, dataset, model = prepared(f"{FACES} --seed 0")
    other, _, other_model = prepared(f"{FACES} --seed 1")
    normed, _, normed_model = prepared(f"{FACES} --norm bn --dropout 0.3")
    order, other_order, normed_order = (data.plan_epoch(settings, dataset, 3).indices
                                        for settings in (first, other, normed))
    assert torch.equal(order, normed_order) and not torch.equal(order, other_order)
    assert torch.equal(model.ip3.weight, normed_model.ip3.weight)
    assert not torch.equal(model.ip3.weight, other_model.ip3.weight)


def test_what_the_net_draws_depends_on_seed_and_epoch_and_on_nothing_drawn_before():
    """Dropout, noise and what else is drawn in an epoch is the same, however many numbers were drawn before it."""
    def drawn(seed, epoch, before):
        settings, _, model = prepared(f"{OBJECTS} --channels 6,16 --seed {seed}")
        state = train.State(None, None, epoch=epoch)
        torch.rand(before)
        train.begin_epoch(settings, model, state, steps=1)
        return torch.rand(3)

    expected = drawn(seed=0, epoch=1, before=0)
    assert torch.equal(drawn(seed=0, epoch=1, before=100), expected)
    assert not torch.equal(drawn(seed=0, epoch=2, before=0), expected)
    assert not torch.equal(drawn(seed=1, epoch=1, before=0), expected)


def test_rotation_rotates_every_image_once_by_an_angle_of_its_own(tmp_path):
    settings = train.parse(f"{SMALL} --rotation 15".split())
    dataset = data.for_run(settings)
    plan = data.plan_epoch(settings, dataset, 1)
    degrees = plan.draws["degrees"]
    assert torch.equal(plan.indices.sort().values, dataset.train)
    assert len(degrees) == 64 == degrees.unique().numel() and (degrees != 0).all()
    assert degrees.abs().max() <= 15 and degrees.max() > 12 and degrees.min() < -12
    assert not torch.equal(degrees, data.plan_epoch(settings, dataset, 2).draws["degrees"])
    assert "degrees" not in data.plan_epoch(train.parse(SMALL.split()), dataset, 1).draws
    flags = f"{SMALL} --lr 1e-30 --max-steps 1"
    rotated = rows(go(tmp_path, f"{flags} --rotation 15", run="a/rotated")[1])[0]
    plain = rows(go(tmp_path, flags, run="a/plain")[1])[0]
    assert abs(rotated["train_loss"] - plain["train_loss"]) > 1e-5  # and it reaches the steps


def test_rotation_of_faces_rotates_their_landmarks_too():
    settings = train.parse(FACES.replace("--rotated-copies", "--rotation").split())
    dataset = data.for_run(settings)
    plan = data.plan_epoch(settings, dataset, 1)
    degrees = plan.draws["degrees"]
    assert len(plan.indices) == len(dataset.train) and degrees.abs().max() <= 15
    x, y = dataset.batch(plan.indices, plan.draws)
    # y points down: what is rotated counter-clockwise on the screen is rotated by a negative angle.
    angle = torch.deg2rad(-degrees)
    factor = torch.polar(torch.ones_like(angle), angle)[:, None]
    about_the_centre = torch.view_as_complex(dataset.targets[plan.indices].view(-1, 21, 2) - 56)
    expected = torch.view_as_real(factor * about_the_centre) + 56
    assert torch.allclose(y.view(-1, 21, 2), expected, atol=1e-3)
    assert not torch.allclose(x, dataset.batch(plan.indices)[0], atol=0.1)


def test_the_score_of_rotated_valid_images_is_the_mean_of_both_ways(tmp_path):
    folder = go(tmp_path, f"{FACES} --optim adam --lr 0.01 --max-steps 20 --valid-rotation 30")[1]
    settings, model, dataset = starts.restore(folder)

    def loss_at(angle):
        draws = {"degrees": torch.full((len(dataset.valid),), angle)}
        return train.evaluate(settings, model, dataset, dataset.valid, draws=draws)[0]

    one_way, other_way = loss_at(30.0), loss_at(-30.0)
    assert abs(one_way - other_way) > 1e-3 * one_way
    metrics = result_of(folder)["metrics"]
    assert math.isclose(metrics["valid_loss_turned"], (one_way + other_way) / 2, rel_tol=1e-6)
    assert metrics["valid_loss_turned"] > metrics["valid_loss"]
    plain = go(tmp_path, f"{FACES} --max-steps 1", run="a/plain")[1]
    assert "valid_loss_turned" not in result_of(plain)["metrics"]


def test_faces_of_which_none_is_rotated_in_a_batch_train(tmp_path):
    code, folder = go(tmp_path, FACES.replace("--batch-size 64", "--batch-size 1 --optim adam --max-steps 40"))
    assert code == 0 and result_of(folder)["steps"] == 40


def test_images_of_224_pixels_reach_a_net_that_takes_them(tmp_path, monkeypatch):
    shapes, step = [], train.train_step

    def spy(*arguments):
        shapes.append(tuple(arguments[4].shape))
        return step(*arguments)
    monkeypatch.setattr(train, "train_step", spy)
    flags = ("--model resnet18 --data caltech35 --synthetic --split all --test-weights none --batch-size 2 "
             "--max-steps 1 --threads 1")
    with smaller_data(caltech35=1):
        code, folder = go(tmp_path, f"{flags} --side 224")
        assert code == 0 and read(folder / "args.json")["side"] == 224
        assert starts.restore(folder)[2].images.shape[2:] == (224, 224)
        assert go(tmp_path, flags, run="a/small")[0] == 0 and shapes == [(2, 3, 224, 224), (2, 3, 112, 112)]
    assert not is_same_run(flags, folder)


@pytest.mark.parametrize("noise, dropout", [(0.5, 0), (0, 0.3), (0.5, 0.3)])
def test_every_step_sees_its_images_with_noise_and_dropout_of_its_own(monkeypatch, noise, dropout):
    settings, dataset, model = prepared(f"{OBJECTS} --input-noise {noise} --input-dropout {dropout}")
    seen, predict = [], train.predict

    def spy(settings, model, x):
        seen.append(x)
        return predict(settings, model, x)
    monkeypatch.setattr(train, "predict", spy)
    x, y = dataset.batch(dataset.train[:100])
    optimizer, loss_function = train.make_optimizer(settings, model), losses.make(settings)
    for _ in range(2):
        train.train_step(settings, model, optimizer, loss_function, x, y)
    assert torch.equal(x, dataset.batch(dataset.train[:100])[0])
    two_steps = torch.stack(seen), torch.stack([x, x])
    two_halves = seen[0].view(2, 50, *x.shape[1:]), x.view(2, 50, *x.shape[1:])
    for pair, shown in (two_steps, two_halves):
        zeroed = pair == 0
        assert all(math.isclose(some.double().mean(), dropout, abs_tol=0.01) for some in zeroed)
        differ = (zeroed[0] != zeroed[1]).double().mean()
        assert math.isclose(differ, 2 * dropout * (1 - dropout), abs_tol=0.01)
        first, other = (pair * (1 - dropout) - shown)[:, ~zeroed.any(0)]
        assert abs(first.mean()) < 0.01 and math.isclose(first.std(), noise, abs_tol=0.01)
        assert math.isclose((first - other).std(), math.sqrt(2) * noise, abs_tol=0.01)


def test_noise_dropout_and_dropconnect_act_in_training_alone(tmp_path, trained):
    def run(flags):
        name = "a/" + (flags.replace(" ", "") or "plain")
        folder = go(tmp_path, f"{OBJECTS} --channels 6,16 --epochs 1 --lr 1e-30 --init-from {trained} {flags}", name)[1]
        metrics = result_of(folder)["metrics"]
        return metrics.pop("train_loss"), metrics.pop("train_acc"), metrics

    plain_loss, _, plain = run("")
    for flags in ("--input-noise 0.5", "--input-dropout 0.3", "--dropconnect 0.3"):
        loss, _, scores = run(flags)
        assert abs(loss - plain_loss) > 1e-4 and scores == plain, flags


def test_drop_last_leaves_the_images_of_the_last_batch_out_of_the_steps_and_of_the_means(tmp_path):
    # 48 = 2 * 20 + 8; the weights do not move.
    flags = f"{SMALL} --batch-size 20 --lr 1e-30 --epochs 2 --drop-last"
    with smaller_data(caltech35=3):
        code, folder = go(tmp_path, flags)
        settings, dataset, model = prepared(flags)
    assert code == 0 and result_of(folder)["steps"] == 4
    for row in rows(folder):
        loss = correct = 0
        for indices in data.plan_epoch(settings, dataset, row["epoch"]).indices[:40].split(20):
            x, y = dataset.batch(indices)
            with torch.no_grad():
                logits = model.train()(x)
            loss += F.cross_entropy(logits, y).item() / 2
            correct += (logits.argmax(1) == y).sum().item()
        assert math.isclose(row["train_loss"], loss, rel_tol=1e-6)
        assert math.isclose(row["train_acc"], correct / 40, rel_tol=1e-9)


def test_a_batch_of_one_that_is_dropped_is_no_hindrance(tmp_path, capsys):
    with smaller_data(caltech35=3):  # 48 train images
        flags = f"{SMALL} --batch-size 47 --epochs 1"
        assert go(tmp_path, flags)[0] == 2 and "leaves a step with one image" in capsys.readouterr().err
        code, folder = go(tmp_path, f"{flags} --drop-last")
        assert code == 0 and result_of(folder)["steps"] == 1
        code, folder = go(tmp_path, f"{flags} --batch-size 48 --drop-last", run="a/full")  # nothing to drop
        assert code == 0 and result_of(folder)["steps"] == 1


# ---- flags ----------------------------------------------------------------------------------------------------------

KEYPOINT = "--model keypoint --data faces21"
CLEANED = f"{BASE} --clean-by a/b --clean-share 0.1"
PLATEAU_OF_ALL = "--schedule plateau --split all"


@pytest.mark.parametrize("flags, words", [
    # values
    ("--model alexnet", "'keypoint', 'lenet5'"), ("--act swish", "'relu'"), ("--data mnist", "'cifar10'"),
    ("--dropout 1.5", "below 1, not 1.5"), ("--lr nan", "not nan"), ("--lr -1", "between 1e-37 and 1e38"),
    ("--lr fast", "invalid number"), ("--batch-size 0", "at least 1"), ("--epochs 2.5", "whole number"),
    ("--momentum 1", "below 1"), ("--pad-crop 40", "at most 16"), ("--seed -1", "at least 0"),
    ("--batch-size 99999999999", "below 2^31"), ("--augmix 1.1", "at most 1"), ("--label-smoothing 1", "below 1"),
    ("--input-dropout 1", "below 1"), ("--input-noise inf", "between 1e-37 and 1e38"),
    ("--early-stop -1", "at least 0"), ("--schedule step --gamma 0", "above 0"),
    ("--channels a,b", "list of whole numbers"),
    ("--stop-after soon", "such as 90s"), ("--stop-at soon", "whole number"), ("--split photograph", "random, all"),
    (f"{BASE} --label-noise 1.5", "at most 1"), (f"{BASE} --rotation 181", "at most 180"),
    (f"{BASE} --side 100", "invalid choice"), (f"{BASE} --loss hinge", "'triplet-euclid'"),
    (f"{BASE} --loss triplet-cosine --margin -1", "must be 0 or"), (f"{CLEANED} --clean-share 1", "below 1"),
    # names, places, what there is not
    ("--mom 0.5", "unrecognized"), ("--classes 1", "unrecognized"), ("--split-seed 1", "unrecognized"),
    ("--again", "unrecognized"), ("--device cuda:99", "cannot be used here"), ("--device meta", "none of cpu"),
    ("--run ../x", "no name of a run"), ("--run x/../../y", "no name of a run"),
    (f"--run {'x' * 300}", "no name of a run"), ("--run=", "--run is given an empty value"),
    ("--data-dir=", "--data-dir is given an empty value"), ("--init-from=", "--init-from is given an empty value"),
    ("--init-from nowhere", "Train that run first"),
    ("--model resnet18 --pretrained --weights nowhere.pth", "There is no file nowhere.pth"),
    (CLEANED, "Train that run first"),
    # the net's flags
    ("--kernels 29,3", "leave no pixel"), ("--channels 6", "two --channels"),
    ("--model keypoint --act relu", "keypoint has no --act"), ("--model resnet18 --act relu", "it takes --stem"),
    ("--order conv-bn-relu-dropout-pool", "lenet5 has no --order"),
    ("--model cnn --order bn-conv", "pool-conv-bn-relu-dropout"), ("--model nin --fc-norm bn", "nin has no --fc-norm"),
    ("--model net --dropconnect 0.5", "net has no --dropconnect"), ("--model vgg13 --convs 1,1", "five --convs"),
    ("--model net --norm gn", "takes none or bn"), ("--pretrained", "is for resnet18"),
    ("--model resnet18 --pretrained --init-from a/b", "excludes --init-from"),
    ("--model resnet18 --pretrained --stem cifar", "those of --stem imagenet"),
    ("--freeze features", "needs --pretrained or --init-from"),
    (f"{BASE} --freeze features", "needs --pretrained or --init-from"),
    ("--model nin --freeze classifier", "NiN has no linear layer"),
    ("--model nin --loss triplet-cosine", "NiN has no linear layer"),
    # the net and the data
    ("--model keypoint", "--data cifar10 has 3x32x32"), ("--side 112", "is for caltech35"),
    ("--model resnet18 --side 224", "is for caltech35"),
    (f"{BASE} --side 224", "base takes 3x112x112 images and gives classes; --data caltech35 has 3x224x224"),
    (f"{KEYPOINT} --flip", "away from their landmarks"), (f"{KEYPOINT} --autoaugment 0.6", "--autoaugment would move"),
    (f"{KEYPOINT} --normalise half", "each face"), (f"{KEYPOINT} --label-noise 0.1", "faces21 has landmarks"),
    (f"{KEYPOINT} --clean-by a/b --clean-share 0.1", "is for classes"),
    ("--autoaugment 0.6 --augmix 0.6", "exclude"), (f"{BASE} --rotation 15 --rotated-copies 15", "exclude each other"),
    (f"{BASE} --clean-by a/b", "go together"), (f"{BASE} --clean-share 0.1", "go together"),
    (f"{CLEANED} --init-from a/c", "excludes --init-from"),
    ("--model resnet18 --data caltech35 --pretrained --clean-by a/b --clean-share 0.1", "--init-from and --pretrained"),
    # losses
    ("--loss mse", "cifar10 has classes"), (f"{BASE} --loss mse", "caltech35 has classes"),
    (f"{KEYPOINT} --label-smoothing 0.1", "is for cross-entropy"),
    *((f"{KEYPOINT} --loss {loss}", "faces21 has landmarks") for loss in CLASS_LOSSES),
    *((f"{BASE} --label-smoothing 0.1 --loss {loss}", f"is for cross-entropy, not for {loss}")
      for loss in CLASS_LOSSES[1:]),
    *((f"{BASE} --loss triplet-{flags}", "trains features, which answer nothing yet") for flags in (
        "cosine --test-weights final", "euclid --test-weights best", "cosine --test-each-epoch",
        "euclid --early-stop 3", "cosine --protocol report")),
    (f"{BASE} --loss triplet-euclid --init-from a/b --freeze features", "nothing would learn"),
    # schedules
    ("--epochs 5 --switch-after 5", "after the last of 5"), ("--switch-after 2 --schedule cosine", "exclude"),
    ("--schedule multistep", "needs --milestones"),
    ("--schedule multistep --milestones 20", "before the last of 10"),
    ("--schedule multistep --milestones 3,10", "--milestones 10 do not come before"),
    # valid and test images
    ("--split all --test-weights best", "valid set"), (PLATEAU_OF_ALL, "valid set"),
    ("--early-stop 3 --split all", "need a valid set"), (f"{BASE} --split all --valid-rotation 30", "need a valid set"),
    (f"{BASE} --split val+addition --early-stop 3", "need a valid set"),
    ("--early-stop 3 --test-weights final", "leave out --test-weights final"),
    ("--early-stop 3 --test-each-epoch", "not the best on valid"),
    ("--test-each-epoch --test-weights best", "not the best on valid"),
    ("--test-weights none --test-each-epoch", "scores the weights of each epoch"),
    (f"{KEYPOINT} --test-each-epoch", "needs a test set"), (f"{KEYPOINT} --protocol report", "is for classes"),
    # sizes of batches: 320 train, 80 valid and 100 test images here; 64 train images of caltech35
    ("--model mlp --batch-size 319", "leaves a step with one image"),
    ("--model resnet18 --batch-size 1", "leaves a step with one image"),
    (f"{BASE} --batch-size 21", "leaves a step with one image"),
    ("--model mlp --batch-size 79 --protocol report", "leaves a step with one image"),
    ("--model mlp --batch-size 99 --protocol report", "leaves a step with one image"),
    (f"{BASE} --drop-last --batch-size 65", "leaves nothing of 64 images"),
])
def test_bad_flags_get_a_sentence_exit_2_and_no_folder(tmp_path, flags, words, capsys):
    code = train.main(f"--synthetic --runs {tmp_path / 'runs'} {flags}".split())
    error = capsys.readouterr().err
    assert code == 2 and words in error and error.count("\n") == 1 and "Traceback" not in error
    assert error.startswith("train.py: ") and not (tmp_path / "runs").exists()


def test_bad_flags_raise_bad_input_where_they_are_parsed():
    with pytest.raises(runs.BadInput, match="between 1e-37 and 1e38, not -1. See python train.py --help."):
        train.parse(["--lr", "-1"])


@pytest.mark.parametrize("flags", [
    "--margin 0.5", "--step-size 3", "--gamma 0.5", "--patience 3", "--milestones 3", "--switch-lr 0.1",
    "--switch-optim adam", "--weights w.pth", f"{BASE} --margin 0.5 --loss square"])
def test_flags_that_do_nothing_here_are_no_error(flags):
    assert train.parse(flags.split()).model in ("lenet5", "base")


def test_settings_cannot_be_changed():
    settings = train.parse([])
    with pytest.raises(AttributeError):
        settings.lr = 1
    assert settings._replace(lr=1).lr == 1 and settings.lr == 0.001


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as stopped:
        train.parse(["--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert all(f"--{name.replace('_', '-')}" in said for name in train.parse([])._asdict())
    assert "--score FOLDER" in said


def test_missing_data_get_two_sentences_and_exit_2(tmp_path, capsys):
    code = train.main(f"--runs {tmp_path / 'runs'} --data-dir {tmp_path / 'nothing'}".split())
    error = capsys.readouterr().err
    assert code == 2 and "looked for" in error and "python data.py fetch cifar10" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_cut_short_run_may_end_before_its_schedule(tmp_path):
    assert go(tmp_path, f"{OBJECTS} --epochs 1 --schedule multistep --milestones 20 --max-steps 2")[0] == 0
    code, folder = go(tmp_path, f"{FACES} --epochs 1 --switch-after 5 --max-steps 2", run="a/c")
    result = result_of(folder)
    assert code == 0 and result["steps"] == 2 == result["max_steps"] and result["epochs"] == 1


def test_the_defaults_are_report_2as():
    settings = train.parse([])
    assert (settings.model, settings.data, settings.split, settings.act, settings.pool) == (
        "lenet5", "cifar10", "random", "sigmoid", "avg")
    assert (settings.channels, settings.kernels, settings.fc) == ((16, 36), (5, 3), (128, 96))
    assert (settings.optim, settings.lr, settings.momentum, settings.batch_size, settings.epochs) == (
        "sgd", 0.001, 0.9, 4, 10)
    assert (settings.seed, settings.test_weights, settings.loss) == (0, "final", "cross-entropy")


def test_flags_that_are_not_given_are_left_to_the_net():
    settings = train.parse(["--model", "net"])
    names = ("channels", "norm", "init", "dropout", "act", "order")
    assert [getattr(settings, name) for name in names] == [(6, 16), "none", "default", 0.0, None, None]
    mlp, cnn = train.parse(["--model", "mlp"]), train.parse(["--model", "cnn"])
    assert (mlp.norm, mlp.dropout, cnn.norm, cnn.dropout) == ("bn", 0.5, "bn", 0.1)
    assert train.parse("--model mlp --dropout 0 --norm none".split()).dropout == 0


@pytest.mark.parametrize("flags, weights", [
    ("", "final"), ("--early-stop 3", "best"), ("--early-stop 3 --test-weights none", "none"),
    (f"{BASE} --loss triplet-cosine", "none"), ("--test-weights best", "best")])
def test_the_weights_that_are_scored_where_none_are_named(flags, weights):
    assert train.parse(flags.split()).test_weights == weights


@pytest.mark.parametrize("flags, kind, what, expected", [
    ("--dropconnect 0.3", models.DropConnect, "p", [0.3] * 3),
    ("--norm gn --fc-norm bn", torch.nn.BatchNorm1d, "num_features", [128, 96]),
    ("--model vgg13 --convs 1,1,1,1,2", torch.nn.Conv2d, "out_channels", [64, 128, 256, 512, 512, 512]),
    ("--model resnet18 --stem cifar", torch.nn.MaxPool2d, "stride", []),
    ("--model resnet18", torch.nn.MaxPool2d, "stride", [2]),
])
def test_flags_reach_the_net(flags, kind, what, expected):
    _, _, model = prepared(f"--synthetic {flags}")
    assert [getattr(layer, what) for layer in model.modules() if isinstance(layer, kind)] == expected


# ---- early stopping -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("task, patience, valid, last", [
    ("classes", 2, [0.1, 0.3, 0.2, 0.3, 0.9], 4), ("classes", 2, [0.1, 0.2, 0.1, 0.3, 0.2, 0.2, 0.9], 6),
    ("classes", 1, [0, 0, 0.9], 2), ("classes", 5, [0.3, 0.2, 0.1], 3), ("classes", 0, [0.3, 0.2, 0.1], 3),
    ("landmarks", 2, [9, 3, 5, 3, 1], 4), ("landmarks", 1, [9, 8, 0, 7, 6], 4)])
def test_early_stopping_waits_for_a_better_epoch_so_long(task, patience, valid, last):
    settings = train.parse(f"--early-stop {patience} --epochs {len(valid)}".split())
    state = train.State(None, None)
    while not train.is_over(settings, state):
        score = valid[state.epoch]
        state.epoch += 1
        row = {"epoch": state.epoch, "valid_loss": score, "valid_acc": None}
        if task == "classes":
            row.update(valid_loss=1.0, valid_acc=score)
        train.keep_best(state, row, torch.nn.Linear(1, 1))
    assert state.epoch == last


STOPPING = f"{OBJECTS} --channels 6,16 --batch-size 80 --lr 0.05"


def script_valid_accuracies(monkeypatch, *accuracies):
    script_valid_scores(monkeypatch, *((1.0, accuracy) for accuracy in accuracies))


def test_an_early_stop_keeps_scores_and_records_the_best_epoch(tmp_path, monkeypatch):
    script_valid_accuracies(monkeypatch, 0.1, 0.3, 0.2, 0.3, 0.9)
    code, folder = go(tmp_path, f"{STOPPING} --epochs 5 --early-stop 2")
    short = go(tmp_path, f"{STOPPING} --epochs 2", run="a/short")[1]
    result = result_of(folder)
    assert code == 0 and result["status"] == "finished" and result["epochs"] == 4
    assert [row["epoch"] for row in rows(folder)] == [1, 2, 3, 4]
    assert same(weights(folder), weights(short)) and same(weights(folder, "best.pt"), weights(short))
    metrics, expected = result["metrics"], result_of(short)["metrics"]
    assert result["test_weights"] == "best" and result["test_evaluations"] == 1
    assert (metrics["best_epoch"], metrics["best_valid_acc"]) == (2, 0.3)
    assert metrics["train_loss"] == rows(folder)[-1]["train_loss"]
    assert (metrics["test_loss"], metrics["test_acc"]) == (expected["test_loss"], expected["test_acc"])
    log = (folder / "train.log").read_text()
    assert "epoch 4/5" in log and "epoch 5/5" not in log and "no better epoch than 2 in 2: stopped early" in log


def test_a_patience_beyond_the_epochs_changes_only_which_weights_are_kept(tmp_path, monkeypatch):
    script_valid_accuracies(monkeypatch, 0.1, 0.3, 0.2)
    patient = go(tmp_path, f"{STOPPING} --epochs 3 --early-stop 5", run="a/patient")[1]
    plain = go(tmp_path, f"{STOPPING} --epochs 3 --test-weights best", run="a/plain")[1]
    _, best, log, result = substance(patient)
    _, plain_best, plain_log, plain_result = substance(plain)
    assert best == plain_best and log == plain_log and result["metrics"] == plain_result["metrics"]
    assert result["epochs"] == 3 and "stopped early" not in (patient / "train.log").read_text()
    assert same(weights(patient), weights(plain, "best.pt")) and not same(weights(patient), weights(plain))


# ---- evaluation -----------------------------------------------------------------------------------------------------

def test_evaluate_needs_no_particular_batch_size_and_leaves_the_mode_alone():
    settings, dataset, model = prepared(f"{FACES} --norm bn --dropout 0.5")
    model.train()
    whole, parts = (train.evaluate(settings, model, dataset, dataset.valid, batch_size=size)[0] for size in (64, 7))
    assert model.training and math.isclose(whole, parts, rel_tol=1e-5)
    rotated = {"degrees": torch.full((len(dataset.valid),), 30.0)}
    assert train.evaluate(settings, model, dataset, dataset.valid, draws=rotated)[0] != whole


# ---- the losses of report 5 -----------------------------------------------------------------------------------------

def scores_of(folder):
    """Returns (logits, features, labels) of a finished run on its valid images, by the net's own layers."""
    _, model, dataset = starts.restore(folder)
    x, y = dataset.batch(dataset.valid)
    with torch.no_grad():
        features = model.features(x)
        return model.classifier(features), features, y


@pytest.mark.parametrize("flags, loss", [("", "cross-entropy"), (BASE, "cross-entropy"), (KEYPOINT, "mse"),
                                         (f"{BASE} --loss square", "square")])
def test_the_loss_where_none_is_named_is_that_of_the_data_set(flags, loss):
    assert train.parse(flags.split()).loss == loss


def hardest(distance, labels):
    """Of a batch in which each image has others of its class and of other classes, at a margin of 0.4."""
    each = [F.relu(row[labels == label].max() - row[labels != label].min() + 0.4)
            for row, label in zip(distance, labels)]
    return torch.stack(each).mean()


BY_HAND = {
    "cross-entropy": lambda logits, _, y: -logits.log_softmax(1)[range(len(y)), y].mean(),
    "square": lambda logits, _, y: (logits.softmax(1) - torch.eye(35)[y]).square().sum() / len(y),
    "mean-square": lambda logits, _, y: (logits.softmax(1) - torch.eye(35)[y]).square().mean(),
    "triplet-cosine": lambda _, f, y: hardest(-F.cosine_similarity(f[:, None], f[None], dim=2), y),
    "triplet-euclid": lambda _, f, y: hardest((f[:, None] - f[None]).square().sum(2).sqrt(), y)}


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_every_loss_of_classes_trains_and_is_the_one_logged(tmp_path, loss):
    of_features = loss.startswith("triplet")
    flags = f"{SMALL} --lr {0.5 if loss == 'mean-square' else 0.01} --epochs 3 --loss {loss}"
    if of_features:
        flags += " --margin 0.4"
    with smaller_data(caltech35=3):  # 12 valid images: one batch
        code, folder = go(tmp_path, flags)
        log = rows(folder)
        assert math.isclose(log[-1]["valid_loss"], BY_HAND[loss](*scores_of(folder)), rel_tol=1e-4)
    assert code == 0 and log[-1]["train_loss"] < log[0]["train_loss"] and read(folder / "args.json")["loss"] == loss
    assert all((row["left_out"] is not None) == of_features for row in log)
    assert all((row["train_acc"] is None) == of_features for row in log)


def test_square_is_logged_per_image_whatever_the_batch_and_is_mean_square_times_the_classes(tmp_path):
    # Without batch norm, and weights that do not move; 320 train and 80 valid images leave smaller last batches.
    flags = f"{OBJECTS} --epochs 1 --lr 1e-30"
    ways = ("--loss square --batch-size 20", "--loss square --batch-size 60", "--loss mean-square --batch-size 60")
    folders = [go(tmp_path, f"{flags} {way}", run=f"a/{number}")[1] for number, way in enumerate(ways)]
    for column in ("train_loss", "valid_loss"):
        some, other, mean = (rows(folder)[0][column] for folder in folders)
        assert math.isclose(some, other, rel_tol=1e-5) and math.isclose(some, 10 * mean, rel_tol=1e-5)
    settings, model, dataset = starts.restore(folders[0])
    expected = rows(folders[0])[0]["valid_loss"]
    for size in (80, 30, 7):
        loss = train.evaluate(settings, model, dataset, dataset.valid, batch_size=size)[0]
        assert math.isclose(loss, expected, rel_tol=1e-5)


def test_a_step_of_square_is_that_of_mean_square_at_the_rate_times_batch_and_classes(tmp_path):
    def train_with(run, way):
        flags = f"{SMALL} --drop-last --max-steps 4 --split all --test-weights none {way}"  # no scores
        return weights(go(tmp_path, flags, run=f"a/{run}")[1])

    sums = train_with("sum", "--loss square --lr 0.001")
    means = train_with("mean", f"--loss mean-square --lr {0.001 * 16 * 35}")
    others = train_with("same-rate", "--loss mean-square --lr 0.001")
    first = prepared(SMALL)[2].state_dict()

    def apart(ours, theirs):
        return max((ours[name] - theirs[name]).abs().max().item() for name in ours if name.endswith("weight"))

    assert apart(sums, means) < 1e-5 and apart(sums, others) > 1e-3 and apart(sums, first) > 1e-3


def test_label_smoothing_spreads_a_fraction_of_the_targets_in_the_training_loss_alone(tmp_path, trained):
    flags = f"{OBJECTS} --channels 6,16 --batch-size 60 --epochs 1 --lr 1e-30 --init-from {trained}"
    plain = go(tmp_path, flags, run="a/plain")[1]
    smoothed = go(tmp_path, f"{flags} --label-smoothing 0.2", run="a/smoothed")[1]
    _, model, dataset = starts.restore(smoothed)
    x, y = dataset.batch(dataset.train)
    with torch.no_grad():
        surprise = -model(x).log_softmax(1)
    correct, even = surprise[torch.arange(len(y)), y].mean().item(), surprise.mean().item()
    (row,), (row_plain,) = rows(smoothed), rows(plain)
    assert abs(even - correct) > 0.01 and math.isclose(row_plain["train_loss"], correct, rel_tol=1e-6)
    assert math.isclose(row["train_loss"], 0.8 * correct + 0.2 * even, rel_tol=1e-6)
    assert all(row[name] == row_plain[name] for name in ("train_acc", "valid_loss", "valid_acc"))
    scores, scores_plain = result_of(smoothed)["metrics"], result_of(plain)["metrics"]
    assert all(scores[name] == scores_plain[name] for name in ("test_loss", "test_acc"))


# ---- the command ----------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not (ROOT / "data/cifar10").exists(), reason="needs CIFAR-10 in data/cifar10")
def test_the_command_of_the_readme_on_real_images(tmp_path):
    command = [sys.executable, "train.py", "--model", "lenet5", "--act", "relu", "--runs", str(tmp_path),
               "--max-steps", "500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    result = read(tmp_path / "adhoc/lenet5-act-relu-max-steps-500/seed0/result.json")
    assert [result["data"][part] for part in ("train", "valid", "test")] == [40_000, 10_000, 10_000]
    assert "\r" not in done.stderr and result["metrics"]["train_loss"] < 2.31  # no progress bars without a terminal

"""experiments/bench.py on synthetic photographs: both ways must see the same images, or their times mean nothing."""
import copy
import subprocess
import sys

import pytest
import torch

import data
import models
import train
from conftest import ROOT
from experiments import bench

SOME = torch.tensor([0, 1, 7, 160, 319])  # of both label.txt files


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    bench.write_faces(folder)
    bench.write_objects(folder)
    return folder


def as_reports(read, folder, second=0):
    """SOME as the reports' way reads them; second=1: the faces' rotated copies."""
    photographs = read(folder, SOME.tolist())
    first = second * len(SOME)
    x, y = zip(*(photographs[first + i] for i in range(len(SOME))))
    targets = torch.stack(y) if read is bench.Faces else torch.tensor(y)
    return torch.stack(x), targets


def test_generated_photographs_hold_the_drawn_faces(root):
    read, drawn = data.load("faces21", root), data.load("faces21", synthetic=True)
    order = torch.cat([torch.arange(0, 320, 2), torch.arange(1, 320, 2)])  # they are dealt out to I and II by turns
    assert torch.allclose(read.targets, drawn.targets[order], atol=1e-2)
    # Of 255: they were resized twice and are JPEGs.
    assert (read.images.float() - drawn.images[order].float()).abs().mean() < 8


def test_generated_photographs_hold_the_drawn_objects(root):
    read, drawn = data.load("caltech35", root), data.load("caltech35", synthetic=True)
    order = drawn.train[drawn.targets[drawn.train].argsort(stable=True)]  # read class by class
    assert torch.equal(read.targets[read.train], drawn.targets[order])
    assert (read.images[read.train].float() - drawn.images[order].float()).abs().mean() < 12


def test_upright_faces_are_the_same_both_ways(root):
    x, y = data.load("faces21", root).batch(SOME)
    their_x, their_y = as_reports(bench.Faces, root / "faces21")
    assert torch.allclose(x, their_x, atol=1e-4) and torch.allclose(y, their_y, atol=1e-4)


@pytest.mark.parametrize("degrees", [-14.0, 9.0])
def test_rotated_faces_agree(root, monkeypatch, degrees):
    monkeypatch.setattr(bench.random, "uniform", lambda low, high: degrees)
    x, y = data.load("faces21", root).batch(SOME, {"degrees": torch.full((len(SOME),), degrees)})
    their_x, their_y = as_reports(bench.Faces, root / "faces21", second=1)
    assert torch.allclose(y, their_y, atol=1e-3)
    # The centre alone: their corners are black, ours the mean.
    for ours, theirs in zip(x[:, 0, 28:84, 28:84], their_x[:, 0, 28:84, 28:84]):
        assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("flipped", [True, False])
def test_objects_are_the_same_both_ways(root, monkeypatch, flipped):
    monkeypatch.setattr(bench.random, "random", lambda: 0.0 if flipped else 0.9)
    x, y = data.load("caltech35", root).batch(SOME, {"flip": torch.full((len(SOME),), flipped)})
    their_x, their_y = as_reports(bench.Objects, root / "caltech35")
    assert torch.allclose(x, their_x, atol=1e-4) and torch.equal(y, their_y)


def test_the_net_as_reported_is_the_same_function_with_the_same_gradients():
    torch.manual_seed(0)
    ours = models.build("base").double()
    theirs = bench.as_reported(copy.deepcopy(ours))
    kinds = [type(layer).__name__ for layer in theirs.features]
    assert kinds[2:4] == kinds[6:8] == ["ReLU", "MaxPool2d"] and theirs.features[0].weight.is_contiguous()
    x = torch.randn(8, 3, 112, 112, dtype=torch.float64)
    for net in (ours, theirs):
        (net(x) ** 2).sum().backward()
    assert all(torch.allclose(p.grad, q.grad, atol=1e-9) for p, q in zip(ours.parameters(), theirs.parameters()))


def counted_epoch(epoch, settings, model):
    """Does an epoch and returns (its steps, the images that it scored, whether the net is left in train mode)."""
    steps, scored = [], []

    def count_scored(net, inputs, output):
        if not net.training:
            scored.append(len(inputs[0]))

    optimizer = train.make_optimizer(settings, model)
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    model.register_forward_hook(count_scored)
    epoch(optimizer)
    return len(steps), sum(scored), model.training


def test_both_ways_take_the_same_steps(root):
    """Both leave out the last batch where the report does."""
    settings = train.parse([*bench.BASE, "--data-dir", str(root), "--batch-size", "48"])
    dataset, ours = train.prepare(settings)
    _, theirs = train.prepare(settings)
    dataset.train, dataset.valid = dataset.train[:100], dataset.valid[:60]
    photographs = bench.Objects(root / "caltech35", dataset.train.tolist())
    held_out = bench.Objects(root / "caltech35", dataset.valid.tolist())

    def our_epoch(optimizer):
        bench.epoch_as_train(settings, dataset, ours, optimizer, 1)

    def their_epoch(optimizer):
        bench.epoch_as_reports(settings, photographs, held_out, theirs, optimizer)

    assert counted_epoch(our_epoch, settings, ours) == (2, 60, True)
    assert counted_epoch(their_epoch, settings, theirs) == (2, 60, True)


def test_the_script_runs_without_any_data(tmp_path):
    command = [sys.executable, ROOT / "experiments" / "bench.py", "--data-dir", tmp_path, "--images", "32",
               "--rounds", "1", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Generated photographs: faces21, caltech35" in done.stdout and "keypoint: epoch of 64 images" in done.stdout
    assert "base: epoch of 32 images" in done.stdout
    assert "keypoint: start to first step" in done.stdout and "lenet5: step of batch 4 (generated)" in done.stdout
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_used_is_said_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")  # which main would set for good
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--images", "31"])
    assert "must be at least 32, a batch, not 31" in capsys.readouterr().err
    assert bench.main(["--data-dir", ""]) == 2
    assert "--data-dir is given an empty value" in capsys.readouterr().err

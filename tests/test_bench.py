"""experiments/bench.py, on generated photographs: both ways must see the same images, or their times mean nothing."""
import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "experiments")]

import bench  # noqa: E402
import data  # noqa: E402
import train  # noqa: E402

SOME = torch.tensor([0, 1, 7, 160, 319])  # of both label.txt files


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    bench.write_faces(folder)
    bench.write_objects(folder)
    return folder


def as_reports(read, folder, second=0):
    """SOME as the reports' way reads them; second=1: the faces' turned copies."""
    photographs = read(folder, SOME.tolist())
    x, y = zip(*(photographs[i + second * len(SOME)] for i in range(len(SOME))))
    return torch.stack(x), torch.stack(y) if read is bench.Faces else torch.tensor(y)


def test_generated_photographs_hold_the_drawn_faces(root):
    read, drawn = data.load("faces21", root), data.load("faces21", synthetic=True)
    order = torch.cat([torch.arange(0, 320, 2), torch.arange(1, 320, 2)])  # they are dealt out to I and II by turns
    assert torch.allclose(read.targets, drawn.targets[order], atol=1e-2)
    assert (read.images.float() - drawn.images[order].float()).abs().mean() < 8  # of 255: resized twice, and a JPEG


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
def test_turned_faces_agree(root, monkeypatch, degrees):
    monkeypatch.setattr(bench.random, "uniform", lambda low, high: degrees)
    x, y = data.load("faces21", root).batch(SOME, {"degrees": torch.full((len(SOME),), degrees)})
    their_x, their_y = as_reports(bench.Faces, root / "faces21", second=1)
    assert torch.allclose(y, their_y, atol=1e-3)
    for a, b in zip(x[:, 0, 28:84, 28:84], their_x[:, 0, 28:84, 28:84]):  # the centre: their corners are black, ours the mean
        assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("flipped", [True, False])
def test_objects_are_the_same_both_ways(root, monkeypatch, flipped):
    monkeypatch.setattr(bench.random, "random", lambda: 0.0 if flipped else 0.9)
    x, y = data.load("caltech35", root).batch(SOME, {"flip": torch.full((len(SOME),), flipped)})
    their_x, their_y = as_reports(bench.Objects, root / "caltech35")
    assert torch.allclose(x, their_x, atol=1e-4) and torch.equal(y, their_y)


def test_the_net_as_reported_is_the_same_function_with_the_same_gradients():
    torch.manual_seed(0)
    ours = train.models.build("base").double()
    theirs = bench.as_reported(copy.deepcopy(ours))
    kinds = [type(layer).__name__ for layer in theirs.features]
    assert kinds[2:4] == kinds[6:8] == ["ReLU", "MaxPool2d"] and theirs.features[0].weight.is_contiguous()
    x = torch.randn(8, 3, 112, 112, dtype=torch.float64)
    for net in (ours, theirs):
        (net(x) ** 2).sum().backward()
    assert all(torch.allclose(p.grad, q.grad, atol=1e-9) for p, q in zip(ours.parameters(), theirs.parameters()))


def test_both_ways_take_the_same_steps(root):
    """Both leave out the last batch where the report does."""
    args = train.parse([*bench.BASE, "--data-dir", str(root), "--batch-size", "48"])
    (dataset, model), (_, theirs) = train.prepare(args), train.prepare(args)
    dataset.train, dataset.valid, counted = dataset.train[:100], dataset.valid[:60], []
    objects = [bench.Objects(root / "caltech35", idx.tolist()) for idx in (dataset.train, dataset.valid)]
    for net, epoch in ((model, lambda *words: bench.epoch_as_train(args, dataset, *words, 1)), (theirs, lambda *words: bench.epoch_as_reports(args, *objects, *words))):
        optimizer, taken, seen = train.make_optimizer(args, net), [], []
        optimizer.register_step_post_hook(lambda *_, taken=taken: taken.append(1))
        net.register_forward_hook(lambda net, inputs, _, seen=seen: None if net.training else seen.append(len(inputs[0])))
        epoch(net, optimizer)
        counted.append((len(taken), sum(seen), net.training))
    assert counted == [(2, 60, True)] * 2


def test_the_script_runs_without_any_data(tmp_path):
    words = [sys.executable, ROOT / "experiments" / "bench.py", "--data-dir", tmp_path, "--images", "32", "--rounds", "1", "--threads", "1"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Generated photographs: faces21, caltech35" in done.stdout and "keypoint: epoch of 64 images" in done.stdout
    assert "base: epoch of 32 images" in done.stdout
    assert not list(tmp_path.iterdir())

"""experiments/bench.py and what it times: both ways must do the same work, or their times mean nothing."""
import copy
import json
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import data
import models
import train
from conftest import ROOT
from experiments import bench, bench_page, declarations, hand_written, reported_way, timing
from helpers import forkserver
from makes import forks

SOME = torch.tensor([0, 1, 7, 160, 319])  # of both label.txt files
BASE = declarations.declarations()["run"]["caltech35/base"].split()
CIFAR = ["--act", "relu", "--synthetic", "--threads", "1"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    reported_way.write_faces(folder)
    reported_way.write_objects(folder)
    return folder


# ---- both see the same images ---------------------------------------------------------------------------------------

def as_reports(read, folder, second=0):
    """SOME as the reports' way reads them; second=1: the faces' rotated copies."""
    photographs = read(folder, SOME.tolist())
    first = second * len(SOME)
    x, y = zip(*(photographs[first + i] for i in range(len(SOME))))
    targets = torch.stack(y) if read is reported_way.Faces else torch.tensor(y)
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
    their_x, their_y = as_reports(reported_way.Faces, root / "faces21")
    assert torch.allclose(x, their_x, atol=1e-4) and torch.allclose(y, their_y, atol=1e-4)


@pytest.mark.parametrize("degrees", [-14.0, 9.0])
def test_rotated_faces_agree(root, monkeypatch, degrees):
    monkeypatch.setattr(reported_way.random, "uniform", lambda low, high: degrees)
    x, y = data.load("faces21", root).batch(SOME, {"degrees": torch.full((len(SOME),), degrees)})
    their_x, their_y = as_reports(reported_way.Faces, root / "faces21", second=1)
    assert torch.allclose(y, their_y, atol=1e-3)
    # The centre alone: their corners are black, ours the mean.
    for ours, theirs in zip(x[:, 0, 28:84, 28:84], their_x[:, 0, 28:84, 28:84]):
        assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("flipped", [True, False])
def test_objects_are_the_same_both_ways(root, monkeypatch, flipped):
    monkeypatch.setattr(reported_way.random, "random", lambda: 0.0 if flipped else 0.9)
    x, y = data.load("caltech35", root).batch(SOME, {"flip": torch.full((len(SOME),), flipped)})
    their_x, their_y = as_reports(reported_way.Objects, root / "caltech35")
    assert torch.allclose(x, their_x, atol=1e-4) and torch.equal(y, their_y)


def test_pictures_are_the_same_both_ways():
    dataset = data.load("cifar10", synthetic=True)
    x, y = dataset.batch(SOME)
    pictures = reported_way.Pictures(train.parse(CIFAR), dataset, SOME)
    their_x, their_y = zip(*(pictures[i] for i in range(len(SOME))))
    assert torch.allclose(x, torch.stack(their_x), atol=1e-5) and y.tolist() == list(their_y)


def test_flipped_and_cropped_pictures_are_among_those_that_we_draw():
    dataset = data.load("cifar10", synthetic=True)
    pictures = reported_way.Pictures(train.parse([*CIFAR, "--flip", "--pad-crop", "2"]), dataset, SOME[2:3])
    shifts = torch.cartesian_prod(torch.arange(-2, 3), torch.arange(-2, 3)).repeat(2, 1)
    flips = torch.arange(50) < 25
    all_ways, _ = dataset.batch(SOME[2:3].expand(50), {"shift": shifts, "flip": flips})
    torch.manual_seed(0)
    seen = set()
    for _ in range(40):
        x, _ = pictures[0]
        distance, found = (all_ways - x).abs().amax((1, 2, 3)).min(0)
        assert distance < 1e-5
        seen.add(found.item())
    assert len(seen) > 15 and len({number < 25 for number in seen}) == 2


# ---- both do the same work ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, flags", [
    ("base", {}), ("cnn", {"dropout": 0.0}), ("mlp", {"dropout": 0.0}), ("net", {"norm": "bn"}),
    ("lenet5", {"act": "relu", "pool": "max", "norm": "bn"})])
def test_the_net_as_reported_is_the_same_function_with_the_same_gradients(name, flags):
    torch.manual_seed(0)
    ours = models.build(name, **flags).double()
    x = torch.randn(8, *ours.input_shape, dtype=torch.float64)
    ours(x + 1)  # the running statistics of batch norm are no longer those that it begins with, and below its weights
    with torch.no_grad():
        for p in ours.parameters():
            p += 0.1 * torch.rand_like(p)
    theirs = reported_way.as_reported(copy.deepcopy(ours).to(memory_format=torch.channels_last))
    assert all(p.is_contiguous() for p in theirs.parameters())
    for net in (ours, theirs):
        (net(x) ** 2).sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-9 * (1 + p.grad.abs().max().item()))
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-9)  # the running statistics of batch norm are alike


def test_the_net_as_reported_has_none_of_our_layers():
    base = reported_way.as_reported(models.build("base"))
    kinds = [type(layer).__name__ for layer in base.features]
    assert kinds[2:4] == kinds[6:8] == ["ReLU", "MaxPool2d"]
    assert not any(getattr(layer, "inplace", False) for layer in base.modules())
    layers = list(reported_way.as_reported(models.build("cnn", dropout=0.3)).modules())
    assert not any(isinstance(layer, (hand_written.BatchNorm, hand_written.Dropout)) for layer in layers)
    assert [layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)] == [0.3, 0.3]
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers) == 2


@pytest.mark.parametrize("flags", ["--norm bn --l2 0.01 --clip 0.5 --lr 0.1", "--optim adam --weight-decay 0.1"])
def test_a_step_changes_the_weights_alike_both_ways(flags):
    """So L2 term, clipping, loss and optimizer are the same, too."""
    settings = train.parse([*CIFAR, *flags.split(), "--batch-size", "16"])
    dataset, ours = train.prepare(settings)
    theirs = reported_way.as_reported(copy.deepcopy(ours))
    batch = dataset.batch(dataset.train[:16])
    before = copy.deepcopy(ours.state_dict())
    optimizer = train.make_optimizer(settings, ours)
    train.train_step(settings, ours, optimizer, train.losses.make(settings), *batch)
    reported_way.train_on(settings, [batch], theirs, reported_way.make_optimizer(settings, theirs))
    for name, p in ours.named_parameters():
        assert torch.allclose(p, theirs.get_parameter(name), atol=1e-6), name
        assert not torch.equal(p, before[name])


def counted(model, optimizer, train_once):
    """Trains and returns (steps, images trained on, images scored, whether the net is left in train mode)."""
    steps, trained, scored = [], [], []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    model.register_forward_hook(lambda net, inputs, _: (trained if net.training else scored).append(len(inputs[0])))
    train_once()
    return len(steps), sum(trained), sum(scored), model.training


def test_an_epoch_has_the_same_steps_both_ways(root):
    """Both leave out the last batch where the report does, and score the valid images."""
    settings = train.parse([*BASE, "--data-dir", str(root), "--batch-size", "48", "--threads", "1"])
    dataset, ours = train.prepare(settings)
    dataset = timing.part_of(dataset, settings, 100, None)
    photographs, held_out = (timing.photographs_of(settings, dataset, dataset.train[:100]),
                             timing.photographs_of(settings, dataset, dataset.valid[:100]))
    _, theirs = train.prepare(settings)
    theirs = reported_way.as_reported(theirs)
    optimizer = train.make_optimizer(settings, ours)
    assert counted(ours, optimizer, lambda: timing.fit(settings, dataset, ours, optimizer)) == (2, 96, 100, True)
    optimizer = reported_way.make_optimizer(settings, theirs)
    epoch = (settings, photographs, held_out, theirs, optimizer)
    assert counted(theirs, optimizer, lambda: reported_way.epoch(*epoch)) == (2, 96, 100, True)


@pytest.mark.parametrize("from_memory", [True, False])
def test_steps_are_of_the_same_images_both_ways(monkeypatch, from_memory):
    """So many steps, however few images there are; nothing is scored."""
    flags, seen = [*CIFAR, "--batch-size", "64", "--test-each-epoch"], []
    timing.prepare("a", flags, None, 40)
    prepared = timing.PREPARED.pop("a")
    ours = counted(prepared["model"], prepared["optimizer"], lambda: seen.append(timing.fit(**prepared)))
    assert ours == (40, 2560, 0, True) and seen[0] > 0

    monkeypatch.setattr(reported_way, "WORKERS", 0)
    build, made = reported_way.make_optimizer, []

    def make_optimizer(settings, model):
        made[:] = [model, build(settings, model)]
        return made[1]
    monkeypatch.setattr(reported_way, "make_optimizer", make_optimizer)
    step = timing.prepare_reported(flags, None, 40, from_memory)
    assert counted(*made, lambda: seen.append(step())) == ours and seen[1] > 0


@pytest.mark.parametrize("most, mean", [(math.inf, 3.0), (3, 2.0)])
def test_the_clock_of_steps_starts_after_the_first_and_may_end_them(monkeypatch, most, mean):
    clock = iter([10.0, 10.0, 11.0, 14.0, 19.0])  # it is read twice after the first step
    monkeypatch.setattr(reported_way.time, "perf_counter", lambda: next(clock))
    settings = train.parse([*CIFAR, "--batch-size", "8"])
    dataset, model = train.prepare(settings)
    optimizer, batches = reported_way.make_optimizer(settings, model), [dataset.batch(dataset.train[:8])] * 4
    assert reported_way.step(settings, batches, model, optimizer, most) == mean


def test_a_step_is_the_epoch_over_its_steps(monkeypatch):
    timing.prepare("a", [*CIFAR, "--batch-size", "32"], None, 5)
    monkeypatch.setattr(timing, "fit", lambda **_: 10.0)
    assert timing.step("a") == 2.0 and timing.epoch("a") == 10.0
    del timing.PREPARED["a"]


# ---- measuring ------------------------------------------------------------------------------------------------------

def test_turns_are_taken_forwards_and_backwards_until_the_budget_is_spent(monkeypatch, capsys):
    calls = []
    ways = {"a": lambda: calls.append("a") or 1.0, "b": lambda: calls.append("b") or 2.5}
    assert timing.by_turns("things", ways, 3) == {"a": [1.0] * 3, "b": [2.5] * 3}
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert "things: round 3 of 3: a 1, b 2.5" in capsys.readouterr().out
    clock = iter([0, 0, 4, 8, 12])
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(clock))
    assert timing.by_turns("things", ways, 9, budget=7) == {"a": [1.0] * 2, "b": [2.5] * 2}


def test_figures_and_their_ratio():
    ours, theirs = timing.figures([3.0, 1.00004, 2.0]), timing.figures([8.0, 4.0])
    assert ours == {"median": 2.0, "lowest": 1.0, "highest": 3.0, "rounds": 3}
    assert theirs["median"] == 6.0 and timing.ratio(ours, theirs) == 0.333


def test_commands_run_so_many_at_a_time(monkeypatch):
    lock, running, most, seen = threading.Lock(), [0], [0], []

    def run_command(words, env):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            seen.append((words[1], env["OMP_NUM_THREADS"]))
        time.sleep(0.05)
        with lock:
            running[0] -= 1
    monkeypatch.setattr(timing, "run_command", run_command)
    for at_a_time in (1, 2):
        seen.clear()
        most[0] = 0
        seconds = timing.trainings([["a"], ["b"], ["c"], ["d"]], at_a_time, timing.environment(1))
        assert most[0] == at_a_time and seconds >= 0.2 / at_a_time
        assert sorted(seen) == [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]
    assert "OMP_NUM_THREADS" not in timing.environment()


def start_and_wait(sender):
    """Starts a process of our own, tells its number and lets it work for a minute. Runs in a process itself."""
    with timing.own_process() as call:
        sender.send(call(os.getpid))
        call(time.sleep, 60)


def test_a_process_of_our_own_ends_with_the_one_that_started_it():
    receiver, sender = multiprocessing.Pipe()
    parent = forkserver.Process(target=start_and_wait, args=(sender,))
    parent.start()
    child = receiver.recv()
    time.sleep(0.2)
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(sys, "executable", str(forks()))
    with pytest.raises(SystemExit, match="ended with 2: train.py: .*sigmoido"):
        timing.trainings([["--act", "sigmoido"]], 1)


def test_a_step_is_timed_in_every_layout_and_precision(monkeypatch):
    net, made = ["--model", "net", "--synthetic", "--threads", "1"], []

    def make_optimizer(settings, model):
        made.append(model)
        return torch.optim.SGD(model.parameters(), lr=settings.lr)
    monkeypatch.setattr(train, "make_optimizer", make_optimizer)
    monkeypatch.setattr(timing, "LEAST_SECONDS", 0.01)
    found = timing.layouts(net, 4, 2, 60)
    assert list(found) == ["float32 contiguous", "float32 channels_last", "bfloat16 contiguous",
                           "bfloat16 channels_last"]
    assert all(len(numbers) == 2 and min(numbers) > 0 for numbers in found.values())
    assert [model.conv1[0].weight.is_contiguous() for model in made] == [True, False, True, False]
    monkeypatch.setattr(timing, "SIMULATED", 0)
    for has_it in (True, False):  # simulated, it is left out where it takes long
        monkeypatch.setattr(timing, "has_bfloat16", lambda device: has_it)
        assert len(timing.layouts(net, 4, 1, 60)) == (4 if has_it else 2)


def test_the_layout_taken_is_that_of_train():
    for flags, layout in (("--model keypoint --data faces21", "channels_last"), ("--model lenet5", "contiguous"),
                          ("--model lenet5 --bf16", "channels_last")):
        assert timing.layout_taken(train.parse([*flags.split(), "--synthetic"])) == layout


def test_everything_that_matters_is_measured():
    declared = declarations.declarations()["run"]
    assert {train.parse(declared[run].split()).model for run in bench.NETS} == set(models.MODELS)
    measured = {train.parse(declared[case.run].split()).model for case in bench.CASES}
    assert {"lenet5", "net", "keypoint", "cnn", "vgg13", "base"} == measured
    template = train.parse(declared[bench.L2_RUN].split())
    assert template.l2 and template.clip and template.batch_size == 4


# ---- what is written ------------------------------------------------------------------------------------------------

def made_up(numbers):
    return {"median": numbers[1], "lowest": numbers[0], "highest": numbers[2], "rounds": 3}


MACHINE = {"versions": {"device": "EPYC", "torch": "2.15", "torchvision": "0.29", "python": "3.11"},
           "commit": "abcdef0123", "dirty": False, "cores": 2, "load": 0.1, "threads": 2, "bfloat16": False,
           "at": "2026-01-02T03:04:05Z"}


def part(*rows, **changes):
    return {"machine": {**MACHINE, **changes}, "images": None, "generated": [], "rows": list(rows)}


def test_the_page_says_what_is_met_and_which_layout_is_faster():
    row = {"what": "cnn", "precision": "float32", "unit": "ms a step", "counts": "arithmetic", "threads": 1,
           "ours": made_up((0.9, 1.0, 1.25)), "reported": made_up((1.5, 2.0, 2.5)), "ratio": 0.5,
           "aim": 0.95}
    net = {"what": "mlp", "run": "mlp_cnn/mlp", "batch_size": 128, "threads": 2,
           "taken": {"float32": "contiguous", "bfloat16": "channels_last"},
           "ms": {name: made_up((x, x, x)) for name, x in (("float32 contiguous", 123.4), ("float32 channels_last", 99),
                                                           ("bfloat16 contiguous", 7.125),
                                                           ("bfloat16 channels_last", 8))}}
    text = bench_page.page({"reports": part(row, {**row, "precision": "bfloat16", "ratio": 0.96}),
                            "layouts": part(net)})
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    of_cnn = ["arithmetic", "1 (0.9–1.25)", "2 (1.5–2.5)", "ms a step", "0.500", "at most 0.95: met", "1"]
    assert ["cnn", *of_cnn] in lines
    assert any(cells[0] == "cnn, ours in bfloat16" and cells[6] == "at most 0.95: missed" for cells in lines)
    assert ["mlp", "128", "2", "123", "**99**", "**7.12**", "8", "contiguous (channels_last)",
            "`mlp_cnn/mlp`"] in lines
    assert text.count("Measured on 2 cores of EPYC with torch 2.15") == 1 and "commit abcdef0." in text
    assert "no instructions for bfloat16" in text and "busy" not in text and "quick look" not in text


def test_the_page_says_what_spoils_its_figures():
    one, other = part(load=2.5), part(cores=16)
    text = bench_page.page({"reports": {**one, "images": 64, "generated": ["cifar10"]}, "cores": other})
    assert "on a busy machine" in text and "A quick look" in text and "Generated images: cifar10." in text
    assert text.count("Measured on 2 cores") == text.count("Measured on 16 cores") == 1  # each part its own


def test_the_committed_page_is_made_from_the_committed_figures():
    content = json.loads((ROOT / "results/bench.json").read_text())
    assert (ROOT / "results/bench.md").read_text() == bench_page.page(content)
    assert set(content) == set(bench.PARTS)
    of_reports = content["reports"]["rows"]
    assert [(row["what"], row["precision"]) for row in of_reports] == [
        (case.what, precision) for case in bench.CASES
        for precision in ("float32", "bfloat16")[:1 + (case.bf16 and content["reports"]["machine"]["bfloat16"])]]
    for row in of_reports:
        assert math.isclose(row["ratio"], row["ours"]["median"] / row["reported"]["median"], rel_tol=0.01)


def look(folder, data_dir, *words):
    """Runs bench.py with little to do; returns (exit code, what it printed)."""
    command = [forks(), ROOT / "experiments" / "bench.py", "--data-dir", data_dir, "--images", "32", "--rounds", "1",
               "--threads", "1", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_the_script_looks_without_any_data(tmp_path):
    code, printed = look(tmp_path, tmp_path / "data", "--reports", "--only", "every face")
    assert code == 0, printed
    assert "| keypoint, every face " in printed and "s an epoch: round 1 of 1" in printed
    assert "Generated images: caltech35, cifar10, faces21." in printed and "A quick look" in printed
    assert not list(tmp_path.iterdir())


def test_the_script_writes_its_figures_and_leaves_those_of_other_parts(tmp_path, root):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/bench.json").write_text(json.dumps({"cores": part()}))
    code, printed = look(tmp_path, root, "--l2", "--out", "out")
    assert code == 0, printed
    content = json.loads((tmp_path / "out/bench.json").read_text())
    assert list(content) == ["l2", "cores"] and content["cores"] == part()
    measured, row = content["l2"], content["l2"]["rows"][0]
    assert measured["generated"] == ["cifar10"]  # the photographs of the others are there
    assert measured["images"] == 32 and set(measured["machine"]) == set(MACHINE)
    assert measured["machine"]["threads"] == row["threads"] == 1
    assert row["share"] == pytest.approx(1 - row["without"]["median"] / row["with"]["median"], abs=1e-3)
    assert row["with"]["rounds"] == 1 and row["with"]["lowest"] > 0
    assert (tmp_path / "out/bench.md").read_text() == bench_page.page(content)


def test_what_cannot_be_used_is_said_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")  # which main would set for good
    for words, sentence in ((["--images", "31"], "must be at least 32, a batch, not 31"),
                            (["--only", "cnn", "--out", "x"], "--out writes whole parts")):
        with pytest.raises(SystemExit, match="2"):
            bench.main(words)
        assert sentence in capsys.readouterr().err
    assert bench.main(["--data-dir", ""]) == 2
    assert "--data-dir is given an empty value" in capsys.readouterr().err

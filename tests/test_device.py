"""Nothing mixes devices and no step waits for the device: tried on a stand-in, which needs no GPU."""
import contextlib
import shutil

import pytest
import torch

import helpers
from device_checks import (LENET, NETS, RUNS, SIZES, assert_close, guarded, log_and_weights, make_start_and_scorer,
                           train_run, train_steps)
from experiments import score, starts
from stand_in import StandIn


@pytest.fixture
def device():
    """The stand-in, in use."""
    with StandIn() as device:
        yield device


def counted(device):
    """Returns a guard for device_checks: device.steps lists what each loop over batches waited for, a list a loop."""
    device.steps = []

    @contextlib.contextmanager
    def guard():
        before = len(device.waits)
        yield
        device.steps.append(device.waits[before:])
    return guard


def waited_in_no_step(device):
    """Were there steps of training or batches to score, and did none wait?"""
    assert sum(device.steps, []) == []
    return bool(device.steps)


# ---- the stand-in itself --------------------------------------------------------------------------------------------

def a(*shape):
    """A tensor on the stand-in."""
    return torch.ones(shape, device="meta")


MIXED = {
    "add": lambda: a(3) + torch.ones(3), "add in place": lambda: torch.ones(3).add_(a(3)),
    "a number in place": lambda: torch.tensor(1.0).add_(a()), "matmul": lambda: torch.ones(2, 2) @ a(2, 2),
    "cat": lambda: torch.cat([a(2), torch.ones(2)]), "where": lambda: torch.where(torch.ones(2) > 0, a(2), a(2)),
    "layer": lambda: torch.nn.Linear(2, 2)(a(1, 2)), "index on the device": lambda: torch.ones(3)[a(1).long()],
    "index_select": lambda: a(3).index_select(0, torch.tensor([1])),
    "values by index": lambda: a(3).index_put_((torch.tensor([1]),), torch.ones(1)),
    "a list": lambda: torch._foreach_add([a(2)], [torch.ones(2)]),
    "generator": lambda: torch.randperm(3, device="meta", generator=torch.Generator())}
WAITS = {
    "item": lambda: a(1).item(), "tolist": lambda: a(2).tolist(), "if": lambda: 1 if a() else 0,
    "float": lambda: float(a()), "to the CPU": lambda: a(2).cpu(), "from the CPU": lambda: torch.ones(2).to("meta"),
    "to the CPU, not blocking": lambda: a(2).to("cpu", non_blocking=True),
    "tensor": lambda: torch.tensor(1, device="meta"),
    "copy in": lambda: a(2).copy_(torch.ones(2)), "copy out": lambda: torch.ones(2).copy_(a(2)),
    "nonzero": lambda: a(2).nonzero(), "unique": lambda: a(2).unique(), "by a mask": lambda: a(2)[a(2) > 0],
    "masked_select": lambda: a(2).masked_select(a(2) > 0), "set by a mask": lambda: a(2).__setitem__(a(2) > 0, a(2)),
    "index on the CPU": lambda: a(2)[torch.tensor([0])], "bincount": lambda: a(2).long().bincount(),
    "repeat": lambda: a(2).repeat_interleave(a(2).long()), "equal": lambda: torch.equal(a(2), a(2))}
FREE = {
    "number": lambda: a(2) * torch.tensor(2.0),
    "from the CPU, not blocking": lambda: torch.ones(2).to("meta", non_blocking=True),
    "index": lambda: a(2)[a(1).long()], "set by index": lambda: a(2).__setitem__(a(1).long(), 5.0),
    "slice": lambda: a(4)[1:3].mul_(2), "masked_fill": lambda: a(2).masked_fill(a(2) > 0, 3.0),
    "like": lambda: torch.zeros_like(a(2)) + a(2).new_zeros(2), "sort": lambda: a(3).sort(),
    "set by a mask": lambda: a(2).__setitem__(a(2) > 0, 5.0),
    "on the CPU": lambda: torch.ones(3).nonzero().tolist(), "where": lambda: torch.where(a(2) > 0, a(2), 0.0)}


@pytest.mark.parametrize("name", MIXED)
def test_the_stand_in_refuses_two_devices(device, name):
    with pytest.raises(RuntimeError, match="of the CPU|on the CPU"):
        MIXED[name]()


@pytest.mark.parametrize("name", WAITS)
def test_the_stand_in_counts_a_wait(device, name):
    WAITS[name]()
    assert len(device.waits) == 1


@pytest.mark.parametrize("name", FREE)
def test_the_stand_in_counts_no_wait_where_there_is_none(device, name):
    FREE[name]()
    assert device.waits == []


def test_the_stand_in_computes_gradients_views_and_changes_in_place(device):
    x = torch.arange(6.0).view(2, 3).to("meta").requires_grad_()
    y = x * 2
    y[0].mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [[6, 6, 6], [2, 2, 2]] and y.device.type == x.grad.device.type == "meta"
    assert type(torch.nn.Linear(2, 2).to("meta").weight.data) is type(y)


def test_what_the_stand_in_saves_can_be_loaded_anywhere(device, tmp_path):
    torch.save({"on": a(2), "off": torch.ones(2)}, tmp_path / "file")
    for place in ("cpu", "meta"):
        content = torch.load(tmp_path / "file", map_location=place, weights_only=True)
        assert [value.device.type for value in content.values()] == [place, place]
        assert content["on"].tolist() == content["off"].tolist() == [1, 1]


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_the_stand_in_refuses_two_memory_layouts_in_a_fused_optimizer(device, make):
    weight = a(4, 4, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    optimizer = make([weight], lr=0.1, fused=True)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    weight.grad = a(4, 4, 3, 3)
    with pytest.raises(RuntimeError, match="two memory layouts"):
        optimizer.step()


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_optimizers_and_clipping_take_many_tensors_at_a_time_as_on_cuda(device, make, monkeypatch):
    called = []
    for name in ("_foreach_add_", "_foreach_addcmul_", "_foreach_norm", "_foreach_mul_"):
        function = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *args, name=name, function=function, **how:
                            called.append(name) or function(*args, **how))
    net = torch.nn.Linear(2, 2).to("meta")
    net(a(1, 2)).sum().backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    make(net.parameters(), lr=0.1).step()
    assert {"_foreach_norm", "_foreach_mul_", "_foreach_add_"} <= set(called)
    assert ("_foreach_addcmul_" in called) == (make is torch.optim.Adam)


# ---- runs -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def made_before(tmp_path_factory):
    """A folder with the runs that others begin with."""
    place = tmp_path_factory.mktemp("before")
    make_start_and_scorer(place)
    return place


@pytest.mark.parametrize("name", NETS)
def test_every_net_trains_on_one_device_without_waiting(tmp_path, name):
    on_cpu = train_steps(NETS[name], tmp_path, "cpu")
    with StandIn() as device:
        on_device = train_steps(NETS[name], tmp_path, "meta", counted(device))
    assert waited_in_no_step(device)
    assert_close(on_device, on_cpu)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_stopped_waits_in_no_step_and_ends_as_on_the_cpu(tmp_path, name, made_before):
    """What it saves, loads and scores is on one device too."""
    for place in ("cpu", "device"):
        shutil.copytree(made_before, tmp_path / place)
    on_cpu = train_run(RUNS[name], tmp_path / "cpu", "cpu")
    with StandIn() as device:
        on_device = train_run(RUNS[name], tmp_path / "device", "meta", counted(device), stop_at=1)
        assert device.waits  # between the epochs
    assert waited_in_no_step(device)
    assert_close(log_and_weights(on_device), log_and_weights(on_cpu))
    for metric, value in helpers.result_of(on_cpu)["metrics"].items():
        expected = value if value is None else pytest.approx(value, rel=1e-4)
        assert helpers.result_of(on_device)["metrics"][metric] == expected, metric


def test_scoring_a_finished_run_mixes_no_devices(tmp_path, monkeypatch):
    folder = train_run(f"{LENET} --test-weights none", tmp_path, "cpu")
    copy = shutil.copytree(folder, tmp_path / "copy/a/b/seed0")
    monkeypatch.setattr(starts, "device", lambda name: name)
    with helpers.smaller_data(**SIZES):
        assert score.score(folder, device="cpu") == 0
        with StandIn() as device:
            with guarded(counted(device)):
                assert score.score(copy, device="meta") == 0
    assert waited_in_no_step(device) and device.waits
    assert helpers.result_of(copy)["metrics"]["test_loss"] == pytest.approx(
        helpers.result_of(folder)["metrics"]["test_loss"], rel=1e-5)

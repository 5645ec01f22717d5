"""experiments/checkpoints.py: flipped bits, torn and hostile files, the weights of other nets and runs."""
import os
import random
import shutil

import pytest
import torch

import train
from experiments import checkpoints, runs
from helpers import OBJECTS, Hostile, go, prepared, put_weights, same, smaller_data, stop_every, substance, weights

HALF_WAY = f"{OBJECTS} --channels 6,16 --batch-size 40 --epochs 4 --lr 0.05 --optim adam --save-every 0"


@pytest.fixture(scope="module", autouse=True)
def tiny_data():
    with smaller_data(cifar10=200):
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_data):
    """The folder of the run HALF_WAY when nothing happens to it."""
    code, folder = go(tmp_path_factory.mktemp("whole"), HALF_WAY)
    assert code == 0
    return folder


@pytest.fixture(scope="module")
def half_finished(tmp_path_factory, tiny_data):
    """The folder of the run HALF_WAY, stopped in its third epoch, with two checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        stop_every(patch, 12)
        code, folder = go(tmp_path_factory.mktemp("half"), HALF_WAY)
    assert code == 75 and all((folder / name).exists() for name in checkpoints.CHECKPOINTS)
    return folder


@pytest.fixture
def copied(half_finished, tmp_path):
    """A copy of the half-finished folder, as the run a/b."""
    return shutil.copytree(half_finished, tmp_path / "runs/a/b/seed0")


def flip(file, bit):
    """Flips one bit of a file."""
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


# ---- what has changed on the disk -----------------------------------------------------------------------------------

def test_a_file_with_a_flipped_bit_is_refused_or_holds_the_same(tmp_path):
    """In every part of the file, also in the names, sizes and offsets of the zip that it is."""
    content = {"weight": torch.arange(60.0), "bias": torch.ones(3)}
    file, drawn = tmp_path / "weights.pt", random.Random(0)
    checkpoints.save(content, file)
    whole, refused = file.read_bytes(), 0
    for bit in drawn.sample(range(8 * len(whole)), 400):
        file.write_bytes(whole)
        flip(file, bit)
        try:
            found = checkpoints.read(file)
        except checkpoints.Unusable as e:
            assert str(file) in str(e)
            refused += 1
            continue
        assert same(found, content), f"bit {bit}"
    assert refused > 100


@pytest.mark.parametrize("length", [0, 1, 100, -100, -1])
def test_a_file_that_was_cut_is_refused(tmp_path, length):
    file = tmp_path / "weights.pt"
    checkpoints.save({"weight": torch.arange(60.0)}, file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(checkpoints.Unusable, match="weights.pt holds no weights, or only a part of them"):
        checkpoints.read(file)


def test_a_bit_that_flipped_in_a_checkpoint_costs_only_the_time_since_the_one_before(copied, whole, capsys):
    newest = copied / "checkpoint.pt"
    at = newest.read_bytes().index(torch.load(newest, weights_only=True)["model"]["fc.0.weight"].numpy().tobytes())
    flip(newest, 8 * at + 77)
    assert go(copied.parents[3], HALF_WAY)[0] == 0 and substance(copied) == substance(whole)
    said = capsys.readouterr().out
    assert f"{newest} has changed since it was written: the CRC-32 of" in said and "the one before it is used" in said


def test_bits_that_flipped_in_both_checkpoints_are_refused_and_nothing_is_lost(copied, capsys):
    for name in checkpoints.CHECKPOINTS:
        flip(copied / name, 4 * (copied / name).stat().st_size)
    assert go(copied.parents[3], HALF_WAY)[0] == 2
    assert f"No checkpoint in {copied} can be used. Train anew with --restart" in capsys.readouterr().err
    assert (copied / "checkpoint.1.pt").exists() and not (copied / "result.json").exists()


def test_a_run_does_not_start_from_weights_that_have_changed(tmp_path, whole, capsys):
    first = shutil.copytree(whole, tmp_path / "runs/a/first/seed0")
    torch.save({name: tensor + 1 for name, tensor in weights(first).items()}, first / "model.pt")
    code, folder = go(tmp_path, f"{HALF_WAY} --init-from a/first")
    assert code == 2 and not folder.exists()
    assert "is not the file that its result.json was written for" in capsys.readouterr().err
    put_weights(weights(first), first)
    assert go(tmp_path, f"{HALF_WAY} --init-from a/first --epochs 1")[0] == 0


def test_weights_of_older_versions_without_a_digest_are_taken(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "seed0")
    result = runs.read_json(folder / "result.json")
    assert set(result.pop("weights")) == set(checkpoints.WEIGHTS)
    runs.save_json(result, folder / "result.json")
    assert same(checkpoints.read_weights(folder, "model.pt"), weights(whole))


# ---- what is something else -----------------------------------------------------------------------------------------

def test_no_pickle_is_executed_and_the_sentence_is_ours(tmp_path):
    file = tmp_path / "weights.pt"
    torch.save({"weight": Hostile(tmp_path / "executed")}, file)
    with pytest.raises(checkpoints.Unusable) as raised:
        checkpoints.read(file)
    assert str(raised.value) == f"{file} wants to run code (io.open) and was not opened: weights need none"
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("make, said", [
    (lambda file: None, "is not there"), (lambda file: file.mkdir(), "is no regular file"),
    (os.mkfifo, "is no regular file"), (lambda file: file.write_text("PK"), "holds no weights"),
    (lambda file: file.symlink_to("nowhere"), "is not there")])
def test_what_is_no_file_is_refused_at_once(tmp_path, make, said):
    make(tmp_path / "weights.pt")
    with pytest.raises(checkpoints.Unusable, match=said):
        checkpoints.read(tmp_path / "weights.pt")


@pytest.mark.parametrize("content, said", [
    ([1, 2], "holds no weights, but something else"), ({"weight": 1}, "holds no weights, but something else"),
    ({"weight": torch.zeros(2, 3)}, "of another net: bias is missing"),
    ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)}, "net: more is one too many"),
    ({"weight": torch.zeros(4, 3), "bias": torch.zeros(2)}, "of another net: weight is 4x3 there and 2x3 here"),
    ({"weight": torch.zeros(2, 3), "bias": torch.tensor(1.0)}, "of another net: bias is a number there and 2 here"),
    ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2, dtype=torch.complex64)}, "of another net: bias is")])
def test_the_weights_of_another_net_are_named_and_leave_the_net_as_it_was(content, said):
    net = torch.nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(checkpoints.Unusable, match=said):
        checkpoints.load_weights(net, content, "weights.pt")
    assert same(net.state_dict(), before)


def test_a_checkpoint_that_fails_after_the_switch_leaves_the_first_optimizer_to_the_one_before(copied):
    """The newest says that the optimizer was switched, and then lacks its state."""
    newest = copied / "checkpoint.pt"
    content = torch.load(newest, weights_only=True)
    content.update(switched=True, optimizer={"state": {}, "param_groups": []})
    torch.save(content, newest)
    settings, _, model = prepared(HALF_WAY)
    optimizer = train.make_optimizer(settings, model)
    state = checkpoints.State(optimizer, None)
    settings = settings._replace(switch_after=1)
    checkpoints.load_checkpoint(copied, model, state, settings, lambda: torch.optim.SGD(model.parameters()))
    assert state.optimizer is optimizer and not state.switched and state.epoch > 0

"""experiments/protocol.py and train.py's --protocol report: scores as report 2's scripts worked them out."""
import math

import pytest
import torch
import torch.nn.functional as F

import data
import train
from experiments import protocol, starts
from helpers import OBJECTS, go, prepared, result_of, rows, same, weights

pytestmark = pytest.mark.usefixtures("small_data")

REPORT = f"{OBJECTS} --channels 6,16 --norm bn --dropout 0.3 --flip --pad-crop 4 --epochs 2 --lr 0.05"


def test_report_2s_protocol_changes_scores_and_no_weights(tmp_path):
    ours = go(tmp_path, REPORT, run="a/ours")[1]
    theirs = go(tmp_path, f"{REPORT} --protocol report", run="a/theirs")[1]
    assert (ours / "model.pt").read_bytes() == (theirs / "model.pt").read_bytes()
    for one, other in zip(rows(ours), rows(theirs), strict=True):
        assert all(one[name] == other[name] for name in ("train_loss", "train_acc", "grad_norm"))
        assert one["valid_loss"] != other["valid_loss"]
    assert result_of(ours)["metrics"]["test_loss"] != result_of(theirs)["metrics"]["test_loss"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("net", ["--model lenet5 --norm bn --fc-norm bn --dropout 0.3", "--model mlp"])
def test_scoring_as_report_2_did_leaves_the_net_as_it_was(net, training):
    plain, dataset, model = prepared(f"--synthetic --batch-size 40 {net}")
    report = plain._replace(protocol="report")
    model.train(training)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    score = train.evaluate(plain, model, dataset, dataset.valid)

    def untouched():
        return same(model.state_dict(), state) and all(layer.training == training for layer in model.modules())

    assert train.evaluate(report, model, dataset, dataset.valid) != score
    assert untouched() and train.evaluate(plain, model, dataset, dataset.valid) == score
    with pytest.raises(KeyError), protocol.scored_as_report_2(model.eval()):
        model(dataset.batch(dataset.valid)[0])
        raise KeyError
    assert not any(layer.training for layer in model.modules())
    model.train(training)
    assert untouched() and train.evaluate(plain, model, dataset, dataset.valid) == score


def normed(x, w, name):
    """Batch norm by the statistics of the batch."""
    dims, shape = [dim for dim in range(x.dim()) if dim != 1], (1, -1) + (1,) * (x.dim() - 2)
    x = (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=0, keepdim=True) + 1e-5).sqrt()
    return x * w[f"{name}.weight"].view(shape) + w[f"{name}.bias"].view(shape)


def apply(layer, x, w, name):
    """A layer, a function of torch, with the weights of this name."""
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
    """uint8 images (n, 3, 32, 32), padded by 4, cropped and mirrored one by one."""
    out = []
    for image, (down, right), mirrored in zip(images, draws["shift"].tolist(), draws["flip"].tolist()):
        image = F.pad(image, (4, 4, 4, 4))[:, 4 + down:36 + down, 4 + right:36 + right]
        out.append(image.flip(2) if mirrored else image)
    return torch.stack(out)


@pytest.mark.parametrize("flags, forward", [
    ("--model lenet5 --act relu --fc 128 --norm bn --dropout 0.3", lenet5_by_hand),
    ("--model mlp --dropout 0.4", mlp_by_hand),
    ("--model lenet5 --act relu --fc 128 --norm bn --dropout 0.3 --fc-norm bn", lenet5_by_hand),
    ("--model cnn --order pool-conv-bn-relu-dropout --dropout 0.2", cnn_by_hand)])
def test_report_2s_scores_worked_out_by_hand(tmp_path, flags, forward):
    code, folder = go(tmp_path, f"{flags} --synthetic --threads 1 --batch-size 30 --flip --pad-crop 4 --lr 0.05 "
                                "--max-steps 15 --protocol report")
    settings, _, dataset = starts.restore(folder)
    last, metrics, w = rows(folder)[-1], result_of(folder)["metrics"], weights(folder)
    valid = augmented_by_hand(dataset.images[dataset.valid], data.valid_draws(settings, dataset, 2))
    test = dataset.images[dataset.test]
    for images, indices, loss, accuracy in ((valid, dataset.valid, last["valid_loss"], last["valid_acc"]),
                                            (test, dataset.test, metrics["test_loss"], metrics["test_acc"])):
        logits = torch.cat([forward(w, (part - 127.5) / 127.5) for part in images.float().split(30)])
        targets = dataset.targets[indices]
        assert math.isclose(loss, F.cross_entropy(logits, targets).item(), rel_tol=1e-5)
        assert math.isclose(accuracy, (logits.argmax(1) == targets).double().mean().item(), rel_tol=1e-12)
    assert code == 0 and last["epoch"] == 2


def test_report_2s_protocol_augments_valid_images_anew_every_epoch_and_test_images_never(tmp_path, trained):
    flags = f"{OBJECTS} --channels 6,16 --lr 1e-30 --epochs 2 --flip --pad-crop 4 --init-from {trained}"
    ours, theirs = go(tmp_path, flags, run="a/ours")[1], go(tmp_path, f"{flags} --protocol report", run="a/theirs")[1]
    plain, plain_again = (row["valid_loss"] for row in rows(ours))
    augmented, augmented_again = (row["valid_loss"] for row in rows(theirs))
    assert plain == plain_again and len({round(loss, 4) for loss in (plain, augmented, augmented_again)}) == 3
    test_losses = [result_of(folder)["metrics"]["test_loss"] for folder in (ours, theirs)]
    assert math.isclose(*test_losses, rel_tol=1e-6)


@pytest.mark.parametrize("flags", ["--model mlp", "--model mlp --norm none --protocol report",
                                   "--act relu --norm bn --protocol report"])
def test_one_image_left_for_scoring_is_no_hindrance_where_batch_norm_can_do_with_it(tmp_path, flags):
    """Its statistics are not needed, or can be taken over the positions of the image."""
    assert go(tmp_path, f"{flags} --synthetic --batch-size 79 --max-steps 1 --threads 1")[0] == 0

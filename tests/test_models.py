"""models.py: sizes by hand count, places of batch norm and dropout, what each flag changes; batch norm by hand against torch.nn's."""
import pytest
import torch
from torch import nn

import models


def by_hand(convs, linears, prelus=0, norms=()):
    """Parameters of a net given its layers as (in, out, kernel) and (in, out)."""
    return (sum(o * (i * k * k + 1) for i, o, k in convs) + sum(o * (i + 1) for i, o in linears) + prelus + sum(2 * c for c in norms))


KEYPOINT_CONVS = [(1, 8, 5), (8, 16, 3), (16, 16, 3), (16, 24, 3), (24, 24, 3), (24, 40, 3), (40, 80, 3)]
KEYPOINT_LINEARS = [(1280, 128), (128, 128), (128, 42)]


@pytest.mark.parametrize("name, flags, expected, known", [
    ("keypoint", {}, by_hand(KEYPOINT_CONVS, KEYPOINT_LINEARS, 9), 235_851),
    ("keypoint", {"norm": "bn", "dropout": 0.3}, by_hand(KEYPOINT_CONVS, KEYPOINT_LINEARS, 9, (8, 16, 24)), 235_947),
    ("lenet5", {}, by_hand([(3, 16, 5), (16, 36, 3)], [(1296, 128), (128, 96), (96, 10)]), 185_806),
    ("lenet5", {"channels": (6, 16), "kernels": (5, 5), "fc": (120, 84)}, by_hand([(3, 6, 5), (6, 16, 5)], [(400, 120), (120, 84), (84, 10)]), 62_006),
    ("lenet5", {"fc": (128,)}, by_hand([(3, 16, 5), (16, 36, 3)], [(1296, 128), (128, 10)]), 173_742),
    ("lenet5", {"norm": "bn", "dropout": 0.5}, by_hand([(3, 16, 5), (16, 36, 3)], [(1296, 128), (128, 96), (96, 10)], 0, (16, 36)), 185_910),
    ("net", {}, by_hand([(3, 6, 5), (6, 16, 5)], [(400, 120), (120, 84), (84, 10)]), 62_006),
    ("net", {"norm": "bn", "init": "kaiming"}, by_hand([(3, 6, 5), (6, 16, 5)], [(400, 120), (120, 84), (84, 10)], 0, (6, 16, 120)), 62_290),
    ("net", {"channels": (12, 32)}, by_hand([(3, 12, 5), (12, 32, 5)], [(800, 120), (120, 84), (84, 10)]), 117_678),
    ("net", {"channels": (256, 256), "norm": "bn", "dropout": 0.1}, by_hand([(3, 256, 5), (256, 256, 5)], [(6400, 120), (120, 84), (84, 10)],
                                                                            0, (256, 256, 120)), 2_438_510),
    ("mlp", {}, by_hand([], [(3072, 512), (512, 10)], 0, (512,)), 1_579_530),
    ("mlp", {"norm": "none"}, by_hand([], [(3072, 512), (512, 10)]), 1_578_506),
    ("cnn", {}, by_hand([(3, 128, 3), (128, 64, 3)], [(1600, 10)], 0, (128, 64)), 93_770),
    ("cnn", {"order": "pool-conv-bn-relu-dropout"}, by_hand([(3, 128, 3), (128, 64, 3)], [(1024, 10)], 0, (128, 64)), 88_010),
])
def test_parameter_counts(name, flags, expected, known):
    model = models.build(name, **flags)
    assert models.count_parameters(model) == expected == known
    shape = (2, *model.input_shape)
    assert model(torch.randn(shape)).shape == ((2, 42) if name == "keypoint" else (2, 10))


def test_keypoint_shapes_are_the_reports():
    model, sizes = models.build("keypoint"), {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
    model(torch.zeros(1, 1, 112, 112))
    assert sizes["conv1_1"] == (8, 54, 54) and sizes["pool1"] == (8, 27, 27) and sizes["pool2"] == (16, 12, 12)
    assert sizes["pool3"] == (24, 4, 4) and sizes["flatten"] == (1280,) and sizes["ip3"] == (42,)


def test_batch_norm_sits_between_convolution_and_prelu_at_the_three_named_places():
    model = models.build("keypoint", norm="bn")
    normed = [name for name, layer in model.named_children() if any(isinstance(part, nn.BatchNorm2d) for part in layer.modules())]
    assert normed == ["conv1_1", "conv2_2", "conv3_2"]
    assert [type(part) for part in model.conv2_2] == [nn.Conv2d, nn.BatchNorm2d, nn.PReLU]


def test_every_convolution_and_two_linear_layers_have_a_prelu_of_their_own():
    prelus = [m for m in models.build("keypoint").modules() if isinstance(m, nn.PReLU)]
    assert len(prelus) == len({id(p.weight) for p in prelus}) == 9


@pytest.mark.parametrize("name, share", [("keypoint", 0.3), ("lenet5", 0.5), ("net", 0.1), ("mlp", 0.5), ("cnn", 0.1)])
def test_dropout_is_active_in_training_only(name, share):
    model = models.build(name, dropout=share)
    x = torch.randn(4, *model.input_shape)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_keypoint_dropout_zeroes_that_share_of_the_flattened_features():
    model, seen = models.build("keypoint", dropout=0.3), []
    model.dropout.register_forward_hook(lambda _, inputs, out: seen.append((out == 0).float().mean() - (inputs[0] == 0).float().mean()))
    model(torch.randn(64, 1, 112, 112))
    assert abs(seen[0].item() - 0.3) < 0.01


def test_lenet_blocks_in_the_reports_order():
    block = models.build("lenet5", act="relu", pool="max", norm="bn", dropout=0.5).conv1
    assert [type(part) for part in block] == [nn.Conv2d, nn.BatchNorm2d, nn.Dropout, nn.ReLU, nn.MaxPool2d]


def kinds(*layers):
    return [type(layer).__name__ for layer in layers]


def test_net_has_batch_norm_after_each_pool_and_after_fc1_and_dropout_behind_it():
    model = models.build("net", norm="bn", dropout=0.1)
    assert kinds(*model.conv2) == ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d", "Dropout"]
    assert kinds(*model.fc1) == ["Linear", "ReLU", "BatchNorm1d", "Dropout"] and kinds(*model.fc2) == ["Linear", "ReLU"]
    assert [m.num_features for m in model.modules() if hasattr(m, "num_features")] == [6, 16, 120]
    assert not {"BatchNorm2d", "Dropout"} & set(kinds(*models.build("net").modules()))


def test_kaiming_fills_its_bound_and_the_default_a_smaller_one():
    for init, factor in (("kaiming", 6 ** 0.5), ("default", 1)):
        model = models.build("net", channels=(64, 64), init=init)
        for layer in (model.conv1[0], model.conv2[0], model.fc1[0], model.fc2[0], model.fc3):
            bound = factor / layer.weight[0].numel() ** 0.5
            assert 0.95 * bound < layer.weight.abs().max() <= bound * (1 + 1e-6)
            assert layer.bias.abs().max() <= 1 / layer.weight[0].numel() ** 0.5  # biases are PyTorch's own in both


@pytest.mark.parametrize("order, expected, side", [
    ("conv-bn-relu-dropout-pool", "Conv2d BatchNorm2d ReLU Dropout MaxPool2d", 5), ("conv-relu-bn-dropout-pool", "Conv2d ReLU BatchNorm2d Dropout MaxPool2d", 5),
    ("pool-conv-bn-relu-dropout", "MaxPool2d Conv2d BatchNorm2d ReLU Dropout", 4), ("conv-dropout-bn-relu-pool", "Conv2d Dropout BatchNorm2d ReLU MaxPool2d", 5)])
def test_orders_of_the_cnn(order, expected, side):
    model = models.build("cnn", order=order)
    assert kinds(*model.block1) == kinds(*model.block2) == expected.split()
    assert model.block2(model.block1(torch.zeros(2, 3, 32, 32))).shape == (2, 64, side, side)
    assert [kind for kind in kinds(*models.build("cnn", order=order, norm="none").block1)] == [k for k in expected.split() if k != "BatchNorm2d"]


def test_nets_of_report_4_use_the_layers_written_by_hand():
    for name in ("mlp", "cnn"):
        layers = [m for m in models.build(name).modules() if type(m).__name__.startswith(("BatchNorm", "Dropout"))]
        assert len(layers) == {"mlp": 2, "cnn": 4}[name] and all(type(m).__module__ == "models" for m in layers)
    assert kinds(*models.build("mlp").net) == ["Flatten", "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]


@pytest.mark.parametrize("name, flags, words", [("lenet5", {"kernels": (29, 3)}, "leave no pixel"), ("lenet5", {"channels": (6,)}, "two --channels"),
                                                ("lenet5", {"kernels": (3, 3, 3)}, "two --kernels"), ("net", {"channels": (6, 16, 3)}, "two --channels")])
def test_flags_that_make_no_net_are_refused(name, flags, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **flags)


def test_flags_of_a_net_are_its_arguments():
    assert models.flags_of("keypoint") == {"norm": "none", "dropout": 0.0}
    with pytest.raises(KeyError):
        models.build("alexnet")
    with pytest.raises(TypeError):
        models.build("keypoint", act="relu")


# ---------------------------------------------------------------------------------------------------------- report 4's layers


def pair(dims, features=3, **how):
    """Ours and torch.nn's batch norm in float64, with the same random weights."""
    ours, theirs = {1: (models.BatchNorm1d, nn.BatchNorm1d), 2: (models.BatchNorm2d, nn.BatchNorm2d)}[dims]
    ours, theirs = ours(features, **how).double(), theirs(features, **how).double()
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn(features))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def same(a, b):
    assert torch.allclose(a, b, rtol=0, atol=1e-10), (a - b).abs().max()


def compare(ours, theirs, x):
    """Outputs, gradients of input and weights, and running statistics of both on one batch."""
    x1, x2 = x.clone().requires_grad_(), x.clone().requires_grad_()
    y1, y2 = ours(x1), theirs(x2)
    same(y1, y2)
    weights = torch.randn_like(y2)
    (y1 * weights).sum().backward()
    (y2 * weights).sum().backward()
    same(x1.grad, x2.grad)
    for (name1, p1), (name2, p2) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name1 == name2
        same(p1.grad, p2.grad)
        p1.grad = p2.grad = None
    state1, state2 = ours.state_dict(), theirs.state_dict()
    assert list(state1) == list(state2) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    for key in state2:
        assert state1[key].dtype == state2[key].dtype
        same(state1[key].double(), state2[key].double())


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, 0.37, None])
@pytest.mark.parametrize("dims, shape", [(1, (8, 3)), (1, (2, 3)), (1, (4, 3, 5)), (2, (4, 3, 5, 6)), (2, (4, 3, 1, 1)), (2, (1, 3, 2, 2))])
def test_batch_norm_is_torchs_in_training_and_eval(dims, shape, momentum):
    torch.manual_seed(0)
    ours, theirs = pair(dims, momentum=momentum)
    for _ in range(3):  # running statistics move with every batch
        compare(ours, theirs, 2 * torch.randn(shape, dtype=torch.float64) + 1)
    ours.eval(), theirs.eval()
    for _ in range(2):  # and stay in eval
        compare(ours, theirs, torch.randn(shape, dtype=torch.float64))


@pytest.mark.parametrize("dims, shape", [(1, (6, 3)), (2, (4, 3, 5, 5))])
def test_batch_norm_of_constant_channels_and_another_eps(dims, shape):
    ours, theirs = pair(dims, eps=1e-3)
    x = torch.randn(shape, dtype=torch.float64)
    x[:, 1] = 7.0
    compare(ours, theirs, x)
    compare(ours, theirs, torch.zeros(shape, dtype=torch.float64))


def test_batch_norm_is_torchs_in_float32_and_takes_bfloat16():
    ours, theirs = (layer.float() for layer in pair(2, 16))
    x = torch.randn(32, 16, 9, 9) * 5 + 3
    assert torch.allclose(ours(x), theirs(x), atol=2e-5)
    assert torch.allclose(ours.running_var, theirs.running_var) and ours.running_mean.dtype == torch.float32
    assert torch.allclose(ours(x.bfloat16()), theirs(x.bfloat16().float()), atol=2e-5)


@pytest.mark.parametrize("dims, shape", [(1, (1, 3)), (2, (1, 3, 1, 1))])
def test_batch_norm_refuses_a_single_value_per_channel_in_training_as_torch_does(dims, shape):
    for layer in pair(dims):
        before = {k: v.clone() for k, v in layer.state_dict().items()}
        with pytest.raises(ValueError, match="(?i)expected more than 1 value per channel"):
            layer(torch.randn(shape, dtype=torch.float64))
        assert all(torch.equal(before[k], v) for k, v in layer.state_dict().items() if k != "num_batches_tracked")
        layer.eval()(torch.randn(shape, dtype=torch.float64))


@pytest.mark.parametrize("dims, shape", [(1, (4, 3, 5, 5)), (1, (3,)), (2, (4, 3)), (2, (4, 3, 5))])
def test_batch_norm_refuses_other_dimensions_as_torch_does(dims, shape):
    for layer in pair(dims):
        with pytest.raises(ValueError, match="expected"):
            layer(torch.randn(shape, dtype=torch.float64))


def test_gradients_of_the_layers_by_hand():
    for dims, shape in ((1, (5, 3)), (2, (3, 3, 2, 2))):
        layer = pair(dims)[0]
        assert torch.autograd.gradcheck(layer, torch.randn(shape, dtype=torch.float64, requires_grad=True))
        assert torch.autograd.gradcheck(layer.eval(), torch.randn(shape, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("p", [0, 0.1, 0.5, 0.9, 1])
def test_dropout_is_torchs_draw_for_draw(p):
    results = []
    for layer in (models.Dropout(p), nn.Dropout(p)):
        torch.manual_seed(3)
        x = torch.randn(50, 40, dtype=torch.float64, requires_grad=True)
        y = layer(x)
        y.sum().backward()
        results.append((y, x.grad))
        assert torch.equal(layer.eval()(x), x) and layer.train().training
    same(results[0][0], results[1][0])
    same(results[0][1], results[1][1])
    y, grad = results[0]
    assert abs((y == 0).double().mean() - p) < 0.05 and torch.equal(grad == 0, y == 0)


def test_dropout_keeps_the_mean_and_refuses_what_is_no_probability():
    x = torch.ones(100_000)
    assert abs(models.Dropout(0.6)(x).mean() - 1) < 0.01
    for p in (-0.1, 1.1):
        for layer in (models.Dropout, nn.Dropout):
            with pytest.raises(ValueError, match="between 0 and 1"):
                layer(p)


# ------------------------------------------------------------------------------------------------- ImageNet weights, freezing


def torchvisions_copy(file):
    """Puts the file where torchvision keeps its own."""
    kept = models.imagenet_file("resnet18")
    assert kept.name == "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    return file.rename(kept)


@pytest.mark.parametrize("named", [False, True])
def test_imagenet_weights_fill_all_but_a_new_last_layer(imagenet, named):
    file, weights = imagenet
    model = models.build("resnet18")
    drawn = model.fc.weight.clone()
    if not named:
        torchvisions_copy(file)
    models.load_imagenet(model, "resnet18", file if named else None)
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items() if not k.startswith("fc."))
    assert torch.equal(model.fc.weight, drawn) and model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_imagenet_weights_that_are_not_there_or_not_these(imagenet):
    file, weights = imagenet
    model = models.build("resnet18")
    with pytest.raises(models.NoWeights, match="There is no file nowhere.pth"):
        models.load_imagenet(model, "resnet18", "nowhere.pth")
    kept = torchvisions_copy(file)
    for content in (b"no weights", None):
        kept.write_bytes(content) if content else torch.save({k: v for k, v in weights.items() if k != "conv1.weight"}, kept)
        with pytest.raises(models.NoWeights, match="does not hold ImageNet weights of resnet18 .* Put resnet18-f37072fd.pth there"):
            models.load_imagenet(model, "resnet18")
        with pytest.raises(models.NoWeights, match="does not hold ImageNet weights of resnet18 .* Name another with --weights"):
            models.load_imagenet(model, "resnet18", kept)
    kept.unlink()
    with pytest.raises(models.NoWeights, match=r"could not be downloaded .*no network here.* Put resnet18-f37072fd.pth there, or name a copy with --weights"):
        models.load_imagenet(model, "resnet18")
    assert not list(kept.parent.iterdir())


def test_frozen_features_learn_nothing_and_keep_their_statistics():
    model = models.build("net", norm="bn", dropout=0.5)
    frozen = models.freeze(model, "features")
    assert models.count_parameters(model) == 84 * 10 + 10 and model.fc3 not in frozen
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9)
    model.train()
    for layer in frozen:
        layer.eval()
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 3, 32, 32)).square().sum().backward()
        optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"fc3.weight", "fc3.bias"}
    assert models.freeze(models.build("net"), "none") == []

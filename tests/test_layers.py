"""models.py, what its nets are made of and start from: report 2's norms and DropConnect, batch norm and dropout by hand
of report 4 against torch.nn's, features and frozen parts."""
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import models


def near(a, b, to=1e-10):
    return a.shape == b.shape and (a - b).abs().max().item() <= to


def leaves(model):
    """Kinds of the layers that have no layers in them, in order."""
    return [type(layer).__name__ for layer in model.modules() if not list(layer.children())]


# ---- report 2's layers ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, theirs", [("ln", lambda c: nn.LayerNorm((c, 5, 7))),
                                          ("in", lambda c: nn.InstanceNorm2d(c, affine=True)), ("bn", nn.BatchNorm2d)])
def test_norms_are_torchs(kind, theirs):
    (ours,), theirs = models.norm2d(kind, 6), theirs(6).double()
    x = 3 * torch.randn(4, 6, 5, 7, dtype=torch.float64) + 2 * torch.randn(6, 1, 1, dtype=torch.float64)
    assert near(ours.double()(x), theirs(x))
    assert [tuple(p.shape) for p in ours.parameters()] == [(6,), (6,)]


def test_no_norm_is_no_layer():
    assert models.norm2d("none", 6) == []


@pytest.mark.parametrize("channels, groups", [(6, 2), (16, 4), (36, 4), (60, 4), (64, 32), (96, 32), (100, 4),
                                              (512, 32)])
def test_group_norm_normalises_each_group_of_each_image(channels, groups):
    (layer,) = models.norm2d("gn", channels)
    x = 3 * torch.randn(2, channels, 3, 3, dtype=torch.float64) + 2 * torch.randn(channels, 1, 1, dtype=torch.float64)
    grouped = x.view(2, groups, -1)
    deviation = (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    by_group = ((grouped - grouped.mean(2, keepdim=True)) / deviation).view_as(x)
    assert layer.num_groups == groups and near(layer.double()(x), by_group)
    with torch.no_grad():
        layer.weight.uniform_(), layer.bias.uniform_()
    assert near(layer(x), by_group * layer.weight.view(-1, 1, 1) + layer.bias.view(-1, 1, 1))


def dropped(layer):
    """A DropConnect layer's weights of one call in training, as the identity matrix shows them."""
    return (layer(torch.eye(layer.in_features, dtype=layer.weight.dtype)) - layer.bias).T


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropconnect_zeroes_that_fraction_of_the_weights_and_scales_the_others(p):
    torch.manual_seed(0)
    layer = models.DropConnect(100, 80, p).double()
    seen = dropped(layer)
    kept = seen.abs() > 1e-12
    assert abs(kept.double().mean() - (1 - p)) < 0.02
    assert near(seen, layer.weight * kept / (1 - p))
    assert not torch.equal(kept, dropped(layer).abs() > 1e-12)


def test_dropconnect_in_eval_is_the_linear_layer_and_the_mean_over_its_draws():
    torch.manual_seed(0)
    layer, plain = models.DropConnect(7, 5, 0.5).double(), nn.Linear(7, 5).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(3, 7, dtype=torch.float64)
    mean = sum(layer(x) for _ in range(4000)) / 4000
    assert torch.equal(layer.eval()(x), plain(x)) and 0 < (mean - plain(x)).abs().max() < 0.05


def test_dropconnect_draws_one_mask_for_the_batch_and_dropped_weights_get_no_gradient():
    layer = models.DropConnect(30, 20, 0.5).double()
    y = layer(torch.ones(6, 30, dtype=torch.float64))
    assert near(y, y[:1].expand(6, 20))
    y.sum().backward()
    assert set(layer.weight.grad.unique().tolist()) == {0.0, 12.0} and set(layer.bias.grad.tolist()) == {6.0}


def test_without_dropconnect_a_step_draws_nothing_and_with_it_the_same_first_weights():
    torch.manual_seed(4)
    plain = models.build("lenet5")
    before = torch.get_rng_state()
    plain(torch.zeros(2, 3, 32, 32))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    other = models.build("lenet5", dropconnect=0.5)
    assert all(torch.equal(w, other.state_dict()[key]) for key, w in plain.state_dict().items())
    other(torch.zeros(2, 3, 32, 32))
    assert not torch.equal(torch.get_rng_state(), before)


# ---- report 4's layers ----------------------------------------------------------------------------------------------

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
@pytest.mark.parametrize("dims, shape", [(1, (8, 3)), (1, (2, 3)), (1, (4, 3, 5)), (2, (4, 3, 5, 6)),
                                         (2, (4, 3, 1, 1)), (2, (1, 3, 2, 2))])
def test_batch_norm_is_torchs_in_training_and_eval(dims, shape, momentum):
    torch.manual_seed(0)
    ours, theirs = pair(dims, momentum=momentum)
    for _ in range(3):  # running statistics move with every batch
        compare(ours, theirs, 2 * torch.randn(shape, dtype=torch.float64) + 1)
    ours.eval(), theirs.eval()
    for _ in range(2):  # and stay in eval
        compare(ours, theirs, torch.randn(shape, dtype=torch.float64))


@pytest.mark.parametrize("dims", [1, 2])
def test_batch_norm_starts_as_torchs_does(dims):
    ours, theirs = ((models.BatchNorm1d, nn.BatchNorm1d), (models.BatchNorm2d, nn.BatchNorm2d))[dims - 1]
    ours, theirs = ours(5), theirs(5)
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in theirs.state_dict().items())
    assert (ours.eps, ours.momentum) == (theirs.eps, theirs.momentum)


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
    halved = ours(x.bfloat16())  # worked out in float32, and rounded at the end
    assert halved.dtype == torch.bfloat16
    assert torch.allclose(halved.float(), theirs(x.bfloat16().float()).bfloat16().float(), rtol=0.01)


def step_of(layer, x, g):
    """What a layer makes of x with the gradient g behind it: output, gradients and running statistics, by name."""
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(g)
    return {"y": y.detach(), "x": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad,
            "mean": layer.running_mean, "var": layer.running_var}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape, layout", [
    ((16, 8, 16, 16), torch.contiguous_format), ((16, 8, 16, 16), torch.channels_last),
    ((4, 6, 14, 14), torch.contiguous_format), ((128, 32), torch.contiguous_format)])
@pytest.mark.parametrize("mean", [0, 10, 1e3, 1e5])
def test_batch_norm_is_as_exact_as_torchs_where_the_mean_is_large_beside_the_deviation(mean, shape, layout, training):
    """Against float64, relative to the largest value: at most 1.5 times torch's error and six roundings of float32."""
    torch.manual_seed(1)
    x, g = ((torch.randn(shape) + add).contiguous(memory_format=layout) for add in (mean, 0))
    ours, theirs = (layer.float() for layer in pair(len(shape) // 2, shape[1]))
    for layer in (ours, theirs):
        layer.running_mean.fill_(mean + 0.03), layer.running_var.fill_(1.1), layer.train(training)
    found, theirs_found = (step_of(layer, x, g) for layer in (ours, copy.deepcopy(theirs)))
    exact = step_of(theirs.double(), x.double(), g.double())
    for name, right in exact.items():
        size = max(right.abs().max(), 1) if name == "mean" else right.abs().max()  # beside the deviation, which is 1
        error, torchs = ((value[name] - right).abs().max() / size for value in (found, theirs_found))
        assert error <= 1.5 * torchs + 6 * torch.finfo(torch.float32).eps, (name, error, torchs)


def test_batch_norm_of_equal_values_is_the_bias_however_their_mean_is_rounded():
    """Where one of them is the next number of float32, rounding may leave a variance below 0: its root is no number."""
    values = torch.logspace(4, 15, 40)
    x = values.view(1, 40, 1, 1).repeat(128, 1, 30, 30)
    assert models.BatchNorm2d(40)(x)[:, values < 1e5].abs().max() < 1e-3
    x[0, :, 0, 0] = torch.nextafter(values, 2 * values)
    assert models.BatchNorm2d(40)(x).isfinite().all()


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
    assert abs(models.Dropout(0.6)(x).mean() - 1) < 0.01 and models.Dropout().p == 0.5
    for p in (-0.1, 1.1):
        for layer in (models.Dropout, nn.Dropout):
            with pytest.raises(ValueError, match="between 0 and 1"):
                layer(p)


# ---- features and classifier ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, size", [("resnet18", 512), ("vgg16_imagenet", 25088), ("base", 256),
                                        ("basic_block", 128), ("bottleneck", 256)])
def test_features_are_what_enters_the_classifier_and_leave_no_hook(name, size):
    torch.manual_seed(0)
    model, x = models.build(name, classes=35, side=112).eval(), torch.randn(2, 3, 112, 112)
    classifier = model.fc if name == "resnet18" else model.classifier
    with torch.no_grad():
        logits, features = models.with_features(model, x)
        assert features.shape == (2, size) and torch.equal(logits, model(x))
        assert torch.equal(logits, classifier(features))
        assert logits.shape == (2, 35) and logits[0].ne(logits[1]).any()
        with pytest.raises(RuntimeError):
            models.with_features(model, x[:, :1])  # one colour
    assert not any(layer._forward_pre_hooks for layer in model.modules())


def test_features_of_a_net_without_a_named_classifier_enter_its_last_linear_layer():
    model, x = models.build("net").eval(), torch.randn(2, 3, 32, 32)
    assert models.last_linear(model) == ("fc3", model.fc3) and models.classifier_of(model) is model.fc3
    logits, features = models.with_features(model, x)
    assert features.shape == (2, 84) and torch.equal(logits, model.fc3(features))


def test_a_net_without_linear_layers_has_no_classifier():
    model = models.build("nin")
    for ask in (models.last_linear, models.classifier_of, lambda net: models.freeze(net, "features")):
        with pytest.raises(ValueError, match="NiN has no linear layer"):
            ask(model)
    assert models.freeze(model, "none") == []


@pytest.mark.parametrize("name", ["base", "bottleneck"])
def test_features_or_the_classifier_can_be_frozen(name):
    for part, learns in (("features", "classifier"), ("classifier", "features")):
        model = models.build(name)
        frozen = models.freeze(model, part)
        assert {key.partition(".")[0] for key, p in model.named_parameters() if p.requires_grad} == {learns}
        expected = [m for m in getattr(model, part).modules() if not list(m.children())]
        assert {id(layer) for layer in frozen} == {id(layer) for layer in expected}
    assert models.freeze(models.build(name), "none") == []


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


VGG16_FEATURES = 14_714_688  # the 13 convolutions of configuration D (Simonyan and Zisserman, 2015)


@pytest.mark.parametrize("name, features, classifier, known", [
    ("resnet18", 11_181_642 - 513 * 10, 513 * 35, 17_955),
    ("vgg16_imagenet", VGG16_FEATURES, 25089 * 4096 + 4097 * 4096 + 4097 * 35, 119_689_251)])
def test_what_learns_of_torchvisions_nets_beside_a_frozen_part(name, features, classifier, known):
    with torch.device("meta"):
        for part, learning in (("features", classifier), ("classifier", features), ("none", features + classifier)):
            model = models.build(name, classes=35)
            frozen = models.freeze(model, part)
            assert models.count_parameters(model) == learning and (part != "features" or learning == known)
            if part == "classifier":  # its dropout too
                whole = model.classifier if name == "vgg16_imagenet" else model.fc
                assert [type(layer).__name__ for layer in frozen] == leaves(whole)


@pytest.mark.parametrize("name, side", [("resnet18", 64), ("base", 112), ("bottleneck", 112)])
@pytest.mark.parametrize("part", ["features", "classifier"])
def test_steps_change_nothing_of_the_frozen_part_and_everything_of_the_other(name, side, part):
    torch.manual_seed(0)
    model, of_classifier = models.build(name, classes=35, side=side), "fc." if name == "resnet18" else "classifier."
    frozen = models.freeze(model, part)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9)
    model.train()
    for layer in frozen:
        layer.eval()
    for _ in range(2):
        logits, features = models.with_features(model, torch.randn(4, 3, side, side))
        optimizer.zero_grad()
        (logits if part == "features" else features).square().mean().backward()
        optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if k.startswith(of_classifier) == (part == "features")}


def test_the_global_pooling_is_a_maximum_whose_gradient_goes_to_its_place():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    y = models.GlobalMaxPool()(x)
    assert torch.equal(y, x.amax((2, 3)))
    y.sum().backward()
    assert torch.equal(x.grad, (x == y[:, :, None, None]).double())

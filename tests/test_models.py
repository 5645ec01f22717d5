"""models.py: sizes by hand count, places of norms and dropout, what each flag changes; VGG's trunks and GoogLeNet's blocks against torchvision's,
batch norm by hand against torch.nn's."""
import copy

import pytest
import torch
import torch.nn.functional as F
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
    ("lenet5", {"norm": "gn", "fc_norm": "bn", "dropconnect": 0.5}, by_hand([(3, 16, 5), (16, 36, 3)], [(1296, 128), (128, 96), (96, 10)], 0,
                                                                            (16, 36, 128, 96)), 186_358),
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


VGG13_CONVS = [(3, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), *2 * [(256, 256, 3)], (256, 512, 3), *5 * [(512, 512, 3)]]
VGG19_CONVS = [(3, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), *3 * [(256, 256, 3)], (256, 512, 3), *7 * [(512, 512, 3)]]
VGG_LINEARS = [(512, 4096), (4096, 4096), (4096, 10)]
NIN_CONVS = [(3, 192, 5), (192, 160, 1), (160, 96, 1), (96, 192, 5), (192, 192, 1), (192, 192, 1), (192, 192, 3), (192, 192, 1), (192, 10, 1)]
# the paper's table 1: in, 1x1, reduction, 3x3, reduction, 5x5, behind the pooling
INCEPTIONS = [(192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64), (480, 192, 96, 208, 16, 48, 64),
              (512, 160, 112, 224, 24, 64, 64), (512, 128, 128, 256, 24, 64, 64), (512, 112, 144, 288, 32, 64, 64),
              (528, 256, 160, 320, 32, 128, 128), (832, 256, 160, 320, 32, 128, 128), (832, 384, 192, 384, 48, 128, 128)]
GOOGLENET_CONVS = [(3, 64, 3), (64, 64, 1), (64, 192, 3)] + [
    conv for i, c1, r3, c3, r5, c5, p in INCEPTIONS for conv in ((i, c1, 1), (i, r3, 1), (r3, c3, 3), (i, r5, 1), (r5, c5, 5), (i, p, 1))]


@pytest.mark.parametrize("name, convs, linears, known", [
    ("vgg13", VGG13_CONVS, VGG_LINEARS, 33_638_218), ("vgg16", VGG13_CONVS, VGG_LINEARS, 33_638_218), ("vgg19", VGG19_CONVS, VGG_LINEARS, 38_947_914),
    ("nin", NIN_CONVS, [], 966_986), ("googlenet", GOOGLENET_CONVS, [(1024, 10)], 5_976_122)])
def test_parameter_counts_of_the_larger_nets_and_of_their_norms(name, convs, linears, known):
    normed = [c_out for _, c_out, _ in convs if c_out > 10]  # nin's last convolution is not
    with torch.device("meta"):  # sizes without numbers
        model = models.build(name)
        assert models.count_parameters(model) == by_hand(convs, linears) == known
        assert [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in model.modules() if isinstance(m, nn.Conv2d)] == convs
        for norm in ("bn", "ln", "in", "gn"):
            assert models.count_parameters(models.build(name, norm=norm)) == known + 2 * sum(normed)
        assert not name.startswith("vgg") or models.count_parameters(models.build(name, dropconnect=0.5)) == known


@pytest.mark.parametrize("stem, first, known", [("imagenet", 3 * 64 * 49, 11_181_642), ("cifar", 3 * 64 * 9, 11_173_962)])
def test_parameter_counts_of_resnet18(stem, first, known):
    convs = first + 4 * 64 * 64 * 9 + sum(c // 2 * c * 9 + 3 * c * c * 9 + c // 2 * c for c in (128, 256, 512))
    with torch.device("meta"):
        assert models.count_parameters(models.build("resnet18", stem=stem)) == convs + 2 * 5 * (64 + 128 + 256 + 512) + 513 * 10 == known


@pytest.mark.parametrize("name", models.MODELS)
def test_what_each_net_wants_and_gives(name):
    shape, outputs = {"keypoint": ((1, 112, 112), 42), "vgg16_imagenet": ((3, 224, 224), 35),
                      **dict.fromkeys(("base", "basic_block", "bottleneck"), ((3, 112, 112), 35))}.get(name, ((3, 32, 32), 10))
    with torch.device("meta"):
        model = models.build(name)
        assert (model.input_shape, model.task) == (shape, "landmarks" if name == "keypoint" else "classes")
        assert model(torch.empty(5, *shape)).shape == (5, outputs)


@pytest.mark.parametrize("name, flags", [("lenet5", {"norm": "gn", "act": "relu", "dropconnect": 0.5}), ("vgg19", {"norm": "gn", "dropconnect": 0.5}),
                                         ("nin", {"norm": "ln"}), ("googlenet", {"norm": "gn"}), ("resnet18", {"stem": "cifar"})])
def test_gradients_reach_every_parameter(name, flags):
    torch.manual_seed(0)
    model = models.build(name, **flags)
    F.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([3, 8])).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()] == []


def sizes_in(model):
    """The output sizes of a net's parts, (c, h, w) of an image, by name."""
    sizes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
    model(torch.zeros(2, *model.input_shape))
    return sizes


def test_keypoint_shapes_are_the_reports():
    sizes = sizes_in(models.build("keypoint"))
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


@pytest.mark.parametrize("name, share", [("keypoint", 0.3), ("lenet5", 0.5), ("net", 0.1), ("mlp", 0.5), ("cnn", 0.1), ("vgg13", 0.5), ("nin", 0.5),
                                         ("googlenet", 0.4)])
def test_dropout_is_active_in_training_only(name, share):
    model = models.build(name, dropout=share)
    x = torch.randn(2, *model.input_shape)
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


def leaves(model):
    """Kinds of the layers that have no layers in them, in order."""
    return kinds(*(layer for layer in model.modules() if not list(layer.children())))


def test_the_reports_dropout_early_net_layer_by_layer():
    model = models.build("lenet5", act="relu", channels=(6, 16), kernels=(5, 5), fc=(120, 84), norm="bn", fc_norm="bn", dropout=0.5)
    block = ["Conv2d", "BatchNorm2d", "Dropout", "ReLU", "AvgPool2d"]
    assert leaves(model) == [*block, *block, "Flatten", "Linear", "BatchNorm1d", "ReLU", "Linear", "ReLU", "BatchNorm1d", "Linear"]
    assert [m.num_features for m in model.modules() if hasattr(m, "num_features")] == [6, 16, 120, 84]
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("fc, expected", [((128,), "Linear BatchNorm1d Sigmoid Linear"),
                                          ((30, 20, 15), "Linear BatchNorm1d Sigmoid" + 2 * " Linear Sigmoid BatchNorm1d" + " Linear")])
def test_fc_norm_is_before_the_first_hidden_activation_and_after_the_further_ones(fc, expected):
    model = models.build("lenet5", fc=fc, fc_norm="bn")
    assert kinds(*model.fc) == expected.split() and "BatchNorm2d" not in leaves(model)
    assert not any("BatchNorm" in kind for kind in leaves(models.build("lenet5", fc=fc)))
    assert [m.num_features for m in model.fc if isinstance(m, nn.BatchNorm1d)] == list(fc)


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
                                                ("lenet5", {"kernels": (3, 3, 3)}, "two --kernels"), ("net", {"channels": (6, 16, 3)}, "two --channels"),
                                                ("vgg13", {"convs": (2, 2, 3, 3)}, "five --convs"), ("vgg16", {"convs": ()}, "five --convs"),
                                                ("vgg19", {"convs": (2, 2, 4, 4, 4, 4)}, "five --convs"), ("lenet5", {"fc_norm": "ln"}, "none or bn")])
def test_flags_that_make_no_net_are_refused(name, flags, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **flags)


def test_flags_of_a_net_are_its_arguments():
    assert models.flags_of("keypoint") == models.flags_of("nin") == models.flags_of("googlenet") == {"norm": "none", "dropout": 0.0}
    assert models.flags_of("vgg16") == models.flags_of("vgg13") == {**models.flags_of("vgg19"), "convs": (2, 2, 3, 3, 3)}
    with pytest.raises(KeyError):
        models.build("alexnet")
    with pytest.raises(TypeError):
        models.build("keypoint", act="relu")


@pytest.mark.parametrize("name, classes, side", [("resnet18", 10, 32), ("resnet18", 35, 112), ("resnet18", 35, 224), ("vgg16_imagenet", 35, 112),
                                                 ("vgg16_imagenet", 10, 224)])
def test_outputs_and_side_of_torchvisions_nets_follow_the_data(name, classes, side):
    with torch.device("meta"):
        model = models.build(name, classes=classes, side=side)
        assert model.input_shape == (3, side, side) and model(torch.empty(2, 3, side, side)).shape == (2, classes)
        assert models.last_linear(model)[1].out_features == classes


@pytest.mark.parametrize("name", [name for name in models.MODELS if name not in ("resnet18", "vgg16_imagenet")])
def test_nets_made_for_one_size_keep_their_own_whatever_the_data(name):
    with torch.device("meta"):
        model, own = models.build(name, classes=7, side=64), models.build(name)
        assert model.input_shape == own.input_shape != (3, 64, 64)
        assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in own.state_dict().items()}


def test_what_the_data_say_is_no_flag_of_a_net():
    assert not any({"classes", "side"} & set(models.flags_of(name)) for name in models.MODELS)
    assert models.flags_of("resnet18") == {"stem": "imagenet"} and models.flags_of("vgg16_imagenet") == {}


# ----------------------------------------------------------------------------------------------------------- report 2's layers


def near(a, b, to=1e-10):
    return a.shape == b.shape and (a - b).abs().max().item() <= to


@pytest.mark.parametrize("kind, theirs", [("ln", lambda c: nn.LayerNorm((c, 5, 7))), ("in", lambda c: nn.InstanceNorm2d(c, affine=True)),
                                          ("bn", nn.BatchNorm2d)])
def test_norms_are_torchs(kind, theirs):
    (ours,), theirs = models.norm2d(kind, 6), theirs(6).double()
    x = 3 * torch.randn(4, 6, 5, 7, dtype=torch.float64) + 2 * torch.randn(6, 1, 1, dtype=torch.float64)
    assert near(ours.double()(x), theirs(x))
    assert [tuple(p.shape) for p in ours.parameters()] == [(6,), (6,)]


@pytest.mark.parametrize("channels, groups", [(6, 2), (16, 4), (36, 4), (64, 32), (512, 32)])
def test_group_norm_normalises_each_group_of_each_image(channels, groups):
    (layer,) = models.norm2d("gn", channels)
    x = 3 * torch.randn(2, channels, 3, 3, dtype=torch.float64) + 2 * torch.randn(channels, 1, 1, dtype=torch.float64)
    grouped = x.view(2, groups, -1)
    by_group = (grouped - grouped.mean(2, keepdim=True)) / (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    assert layer.num_groups == groups and near(layer.double()(x), by_group.view_as(x))
    with torch.no_grad():
        layer.weight.uniform_(), layer.bias.uniform_()
    assert near(layer(x), by_group.view_as(x) * layer.weight.view(-1, 1, 1) + layer.bias.view(-1, 1, 1))


@pytest.mark.parametrize("norm, alone", [("ln", True), ("in", True), ("gn", True), ("bn", False)])
def test_only_batch_norm_sees_the_other_images_of_the_batch(norm, alone):
    x, others = torch.randn(3, 3, 32, 32, dtype=torch.float64), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for name in ("lenet5", "nin"):
        model = models.build(name, norm=norm).double()
        assert near(model(x)[:1], model(torch.cat([x[:1], others]))[:1]) == alone


@pytest.mark.parametrize("name", ["keypoint", "net", "mlp", "cnn"])
def test_nets_whose_report_knows_batch_norm_only_refuse_other_norms(name):
    for norm in ("ln", "in", "gn"):
        with pytest.raises(ValueError, match=f"--norm {norm} is for lenet5, nin, googlenet and the vggs"):
            models.build(name, norm=norm)


@pytest.mark.parametrize("norm, kind", [("none", None), ("bn", "BatchNorm2d"), ("ln", "GroupNorm"), ("in", "GroupNorm"), ("gn", "GroupNorm")])
@pytest.mark.parametrize("name, convs, act", [("lenet5", 2, "Sigmoid"), ("vgg13", 13, "ReLU"), ("vgg19", 16, "ReLU"), ("nin", 8, "ReLU"),
                                              ("googlenet", 57, "ReLU")])
def test_norms_sit_between_convolution_and_activation_everywhere(name, convs, act, norm, kind):
    with torch.device("meta"):
        found = " ".join(leaves(models.build(name, norm=norm)))
    assert found.count(" ".join(filter(None, ("Conv2d", kind, act)))) == convs == found.count("Conv2d") - (name == "nin")
    assert found.count("Norm") == (convs if kind else 0)


def dropped(layer):
    """A DropConnect layer's weights of one call in training, as the identity matrix shows them."""
    return (layer(torch.eye(layer.in_features, dtype=layer.weight.dtype)) - layer.bias).T


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropconnect_zeroes_that_share_of_the_weights_and_scales_the_others(p):
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


@pytest.mark.parametrize("name, linears", [("lenet5", 3), ("vgg13", 3), ("vgg16", 3), ("vgg19", 3)])
def test_dropconnect_is_in_every_linear_layer_of_a_net_or_in_none(name, linears):
    with torch.device("meta"):
        for p, kind in ((0.3, models.DropConnect), (0.0, nn.Linear)):
            found = [layer for layer in models.build(name, dropconnect=p).modules() if isinstance(layer, nn.Linear)]
            assert [type(layer) for layer in found] == linears * [kind] and all(layer.p == p for layer in found if p)


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


# ----------------------------------------------------------------------------------------------- VGG, NiN, GoogLeNet, ResNet-18


def blank(build, part):
    """A part of a net with memory for its weights, but no weights; the rest takes none."""
    with torch.device("meta"):
        model = build()
    return getattr(model, part).to_empty(device="cpu")


def fill(layers):
    """Random weights that keep the size of outputs from layer to layer, and random statistics."""
    for name, t in layers.state_dict().items():
        if t.dim() > 1:
            nn.init.kaiming_normal_(t)
        elif name.endswith("num_batches_tracked"):
            t.zero_()
        else:
            t.uniform_(-0.2, 0.2).add_(0 if name.endswith(("bias", "mean")) else 1)


@pytest.mark.parametrize("norm", ["none", "bn"])
@pytest.mark.parametrize("name, arch", [("vgg13", "vgg16"), ("vgg16", "vgg16"), ("vgg19", "vgg19")])
def test_convolutions_of_the_vggs_are_torchvisions_layer_by_layer(name, arch, norm):
    import torchvision

    torch.manual_seed(0)
    theirs = blank(getattr(torchvision.models, arch + "_bn" * (norm == "bn")), "features")
    fill(theirs)
    ours = blank(lambda: models.build(name, norm=norm), "features")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert kinds(*ours) == kinds(*theirs) + ["AvgPool2d"] * (name != "vgg13")
    for training in (True, False):
        a = b = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            for our, their in zip(ours.train(training), theirs.train(training)):
                a, b = our(a), their(b)
                assert near(a, b, 1e-5)
            assert a.shape == (2, 512, 1, 1) and a.std() > 0.1 and torch.equal(ours[len(theirs):](a), a)


def test_the_reports_vgg16_computes_what_its_vgg13_does():
    x, found = torch.randn(3, 3, 32, 32), []
    for name in ("vgg13", "vgg16"):
        torch.manual_seed(6)
        found.append(models.build(name, norm="bn", dropout=0.5)(x))
    assert torch.equal(*found) and found[0].std() > 0.01


def test_head_of_the_vggs_and_their_convs():
    with torch.device("meta"):
        model = models.build("vgg19", dropout=0.3, convs=(1, 2, 1, 3, 1))
    assert kinds(*model.head) == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [(layer.in_features, layer.out_features) for layer in model.head if isinstance(layer, nn.Linear)] == VGG_LINEARS
    assert model.head[2].p == model.head[5].p == 0.3
    assert [layer.out_channels for layer in model.features if isinstance(layer, nn.Conv2d)] == [64, 128, 128, 256, 512, 512, 512, 512]
    assert kinds(*model.features).count("MaxPool2d") == 5


def test_nin_sizes_and_places_of_its_dropout():
    model = models.build("nin", dropout=0.4)
    sizes = sizes_in(model)
    assert sizes["block1"] == (96, 32, 32) and sizes["pool1"] == (96, 16, 16)
    assert sizes["block2"] == (192, 16, 16) and sizes["pool2"] == (192, 8, 8) and sizes["block3"] == (10, 8, 8)
    assert kinds(*model.pool1) == ["MaxPool2d", "Dropout"] and kinds(*model.pool2) == ["AvgPool2d", "Dropout"]
    assert model.pool1[1].p == model.pool2[1].p == 0.4 and leaves(model).count("Dropout") == 2
    assert torch.equal(model.eval().pool2(torch.ones(1, 192, 16, 16)), torch.ones(1, 192, 8, 8))  # borders are means of what is there


def test_nin_averages_a_channel_per_class_over_all_positions():
    torch.manual_seed(0)
    model, seen = models.build("nin"), []
    model.block3.register_forward_hook(lambda _, __, out: seen.append(out))
    y = model(torch.randn(2, 3, 32, 32))
    assert near(y, seen[0].view(2, 10, 64).sum(2) / 64, 1e-6) and y.min() < 0 < y.max()


def test_googlenet_sizes_and_place_of_its_dropout():
    model, seen = models.build("googlenet", dropout=0.4), []
    model.stage5.register_forward_hook(lambda _, __, out: seen.append(out))
    model.dropout.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    sizes = sizes_in(model)
    assert (sizes["stem"], sizes["stage3"], sizes["stage4"]) == ((192, 32, 32), (480, 32, 32), (832, 16, 16))
    assert (sizes["stage5"], sizes["dropout"], sizes["fc"]) == ((1024, 8, 8), (1024,), (10,))
    assert near(seen[1], seen[0].view(2, 1024, 64).sum(2) / 64, 1e-6)
    assert model.dropout.p == 0.4 and leaves(model).count("Dropout") == 1 and kinds(model.pool) == ["MaxPool2d"]


def test_inception_blocks_of_googlenet_are_torchvisions():
    from torchvision.models import GoogLeNet
    from torchvision.models.googlenet import Inception

    with torch.device("meta"):
        theirs = [m for m in GoogLeNet(aux_logits=False, init_weights=False).modules() if isinstance(m, Inception)]
        ours = [m for m in models.build("googlenet", norm="bn").modules() if isinstance(m, models.Inception)]
    torch.manual_seed(0)
    for our, their, (c_in, *_) in zip(ours, theirs, INCEPTIONS, strict=True):
        our.to_empty(device="cpu").double(), fill(their.to_empty(device="cpu").double())
        pairs = [[m for m in block.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))] for block in (our, their)]
        for mine, its in zip(*pairs, strict=True):
            state = its.state_dict()
            if isinstance(mine, nn.BatchNorm2d):
                mine.eps = its.eps
            else:
                wider = (mine.kernel_size[0] - its.kernel_size[0]) // 2  # 1 for the 5x5, which is 3x3 at torchvision
                state = {"weight": F.pad(state["weight"], 4 * (wider,)), "bias": torch.zeros(mine.out_channels)}
            mine.load_state_dict(state)
        with torch.no_grad():
            x = torch.randn(2, c_in, 6, 6, dtype=torch.float64)
            assert near(our(x), their(x)) and their(x).std() > 0.1


def test_stems_of_resnet18():
    torch.manual_seed(0)
    cifar = models.build("resnet18", stem="cifar")
    sizes = sizes_in(cifar)
    assert [sizes[key] for key in ("conv1", "layer1", "layer2", "layer3", "layer4")] == [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert abs(cifar.conv1.weight.std() / (2 / (64 * 9)) ** 0.5 - 1) < 0.1 and cifar.conv1.bias is None
    with torch.device("meta"):
        sizes = sizes_in(models.build("resnet18"))
        assert sizes["conv1"] == (64, 16, 16) and sizes["layer4"] == (512, 1, 1)


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


# ------------------------------------------------------------------------------------------------------------- report 5's nets


def with_bn(*convs):
    """Weights of convolutions without bias, (in, out, kernel), each with batch norm."""
    return sum(c_in * c_out * kernel ** 2 + 2 * c_out for c_in, c_out, kernel in convs)


@pytest.mark.parametrize("name, features, known", [
    ("base", 256, by_hand([(3, 64, 7), (64, 128, 3), (128, 256, 3)], [(256, 64), (64, 35)], 0, (64, 128, 256, 64))),
    ("basic_block", 128, with_bn((3, 64, 7), (64, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (64, 128, 1)) + 129 * 35),
    ("bottleneck", 256, with_bn((3, 64, 7), (64, 32, 1), (32, 32, 3), (32, 128, 1), (64, 128, 1), (128, 64, 1), (64, 64, 3), (64, 256, 1), (128, 256, 1)) + 257 * 35)])
def test_report_5s_nets_their_sizes_and_feature_vectors(name, features, known):
    model = models.build(name)
    sizes, x = sizes_in(model), torch.randn(2, 3, 112, 112)
    assert models.count_parameters(model) == known and (name != "base" or known == 398_243)
    assert sizes["features"] == (features,) and sizes["classifier"] == (35,)
    assert torch.equal(model.eval()(x), model.classifier(model.features(x)))
    grids = []
    for layer in model.features[:-1]:
        x = layer(x)
        grids.append(x.shape[-1])
    assert grids == ([56, 56, 28, 28, 28, 28, 14, 14, 14] if name == "base" else [56, 56, 56, 28])
    assert torch.equal(model.features[-1](x), x.amax((2, 3)))  # a global maximum


def test_bases_features_are_taken_before_batch_norm_and_relu():
    model = models.build("base")
    assert kinds(*model.features) == "Conv2d BatchNorm2d MaxPool2d ReLU Conv2d BatchNorm2d MaxPool2d ReLU Conv2d GlobalMaxPool".split()
    assert kinds(*model.classifier) == "BatchNorm1d ReLU Linear BatchNorm1d ReLU Linear".split()


@pytest.mark.parametrize("ours, theirs", [
    (lambda: models.basic(64, 64), lambda blocks, project: blocks.BasicBlock(64, 64)),
    (lambda: models.basic(64, 128, 2), lambda blocks, project: blocks.BasicBlock(64, 128, 2, project(64, 128, 2))),
    (lambda: models.bottleneck(64, 32, 128), lambda blocks, project: blocks.Bottleneck(64, 32, 1, project(64, 128, 1))),
    (lambda: models.bottleneck(128, 64, 256, 2), lambda blocks, project: blocks.Bottleneck(128, 64, 2, project(128, 256, 2)))])
def test_residual_blocks_are_torchvisions(ours, theirs):
    from torchvision.models import resnet

    torch.manual_seed(0)
    ours, theirs = ours().double(), theirs(resnet, lambda c_in, c_out, stride: nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))).double()
    fill(theirs)
    pairs = [[m for m in block.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))] for block in (ours, theirs)]
    if isinstance(theirs, resnet.Bottleneck) or len(pairs[0]) > 4:  # torchvision lists its norms and its projection elsewhere
        convs, norms = ([m for m in pairs[1] if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d))
        pairs[1] = [layer for two in zip(convs, norms, strict=True) for layer in two]
    for mine, its in zip(*pairs, strict=True):
        mine.load_state_dict(its.state_dict())
    x = torch.randn(2, ours.body[0][0].in_channels, 7, 7, dtype=torch.float64)
    for training in (False, True):
        assert near(ours.train(training)(x), theirs.train(training)(x))


@pytest.mark.parametrize("name", ["base", "bottleneck"])
def test_features_or_the_classifier_can_be_frozen(name):
    for part, learns in (("features", "classifier"), ("classifier", "features")):
        model = models.build(name)
        frozen = models.freeze(model, part)
        assert {key.partition(".")[0] for key, p in model.named_parameters() if p.requires_grad} == {learns}
        assert {id(layer) for layer in frozen} == {id(m) for m in getattr(model, part).modules() if not list(m.children())}
    assert models.freeze(models.build(name), "none") == []


@pytest.mark.parametrize("name", ["base", "basic_block", "bottleneck"])
def test_channels_last_of_report_5s_nets_is_only_a_layout(name):
    torch.manual_seed(0)
    model = models.build(name).double()
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    wide = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size > (1, 1)]  # 1x1 is the same in both
    assert all(w.is_contiguous(memory_format=torch.channels_last) and not w.is_contiguous() for w in wide)
    x = torch.randn(3, 3, 112, 112, dtype=torch.float64)
    for training in (True, False):
        assert near(model.train(training)(x), plain.train(training)(x))


@pytest.mark.parametrize("name, size", [("resnet18", 512), ("vgg16_imagenet", 25088), ("base", 256), ("basic_block", 128), ("bottleneck", 256)])
def test_features_are_what_enters_the_classifier_and_leave_no_hook(name, size):
    torch.manual_seed(0)
    model, x = models.build(name, classes=35, side=112).eval(), torch.randn(2, 3, 112, 112)
    classifier = model.fc if name == "resnet18" else model.classifier
    with torch.no_grad():
        logits, features = models.with_features(model, x)
        assert features.shape == (2, size) and torch.equal(logits, model(x)) and torch.equal(logits, classifier(features))
        assert logits.shape == (2, 35) and logits[0].ne(logits[1]).any()
        with pytest.raises(RuntimeError):
            models.with_features(model, x[:, :1])  # one colour
    assert not any(layer._forward_pre_hooks for layer in model.modules())


@pytest.mark.parametrize("name, features, classifier, known", [
    ("resnet18", 11_181_642 - 513 * 10, 513 * 35, 17_955),
    ("vgg16_imagenet", by_hand(VGG13_CONVS, []), by_hand([], [(25088, 4096), (4096, 4096), (4096, 35)]), 119_689_251)])
def test_what_learns_of_torchvisions_nets_beside_a_frozen_part(name, features, classifier, known):
    with torch.device("meta"):
        for part, learning in (("features", classifier), ("classifier", features), ("none", features + classifier)):
            model = models.build(name, classes=35)
            frozen = models.freeze(model, part)
            assert models.count_parameters(model) == learning and (part != "features" or learning == known)
            if part == "classifier":
                assert kinds(*frozen) == leaves(model.classifier if name == "vgg16_imagenet" else model.fc)  # its dropout too


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


@pytest.fixture(scope="module")
def of_1000_classes(tmp_path_factory):
    """{net: (file, weights)} in the format of torchvision's ImageNet weights: random numbers for each weight of its nets. Each tensor is a window
    that slides over a few thousand numbers, so that VGG-16's file has less than a megabyte, not 550."""
    import torchvision

    made, generator = {}, torch.Generator().manual_seed(6)
    for name, theirs in (("resnet18", "resnet18"), ("vgg16_imagenet", "vgg16")):
        with torch.device("meta"):
            empty = getattr(torchvision.models, theirs)().state_dict()
        weights = {k: (9 * torch.rand(1 + sum(v.shape), generator=generator)).as_strided(v.shape, [1] * v.dim()).to(v.dtype) for k, v in empty.items()}
        made[name] = tmp_path_factory.mktemp("of_1000_classes") / f"{name}.pth", weights
        torch.save(weights, made[name][0])
    return made


@pytest.mark.parametrize("name", models.IMAGENET)
@pytest.mark.parametrize("side", [112, 224])
def test_imagenet_weights_at_either_side_leave_35_new_outputs_as_they_were_drawn(of_1000_classes, name, side):
    file, weights = of_1000_classes[name]
    model = models.build(name, classes=35, side=side)
    key, last = models.last_linear(model)
    drawn = {k: v.clone() for k, v in last.state_dict(prefix=key + ".").items()}
    models.load_imagenet(model, name, file)
    own = model.state_dict()
    assert own.keys() == weights.keys() and last.weight.shape[0] == len(last.bias) == 35 and weights[key + ".bias"].shape == (1000,)
    assert [k for k, v in own.items() if not torch.equal(v, drawn.get(k, weights[k]))] == []
    assert model.input_shape == (3, side, side)


@pytest.mark.parametrize("name", models.IMAGENET)
def test_imagenet_weights_of_another_net_or_from_nowhere_are_refused_by_name(of_1000_classes, imagenet, name):
    with torch.device("meta" if name == "vgg16_imagenet" else "cpu"):  # the large one without its numbers: no weight of the other has a place in it
        model = models.build(name, classes=35)
    with pytest.raises(models.NoWeights, match=f"There is no file elsewhere/mine.pth with the ImageNet weights of {name}"):
        models.load_imagenet(model, name, "elsewhere/mine.pth")
    for other in set(models.IMAGENET) - {name}:
        with pytest.raises(models.NoWeights, match=f"{other}.pth does not hold ImageNet weights of {name} "):
            models.load_imagenet(model, name, of_1000_classes[other][0])
    kept = {"resnet18": "resnet18-f37072fd.pth", "vgg16_imagenet": "vgg16-397923af.pth"}[name]
    with pytest.raises(models.NoWeights, match=f"{kept} and could not be downloaded .*no network here.* Put {kept} there"):
        models.load_imagenet(model, name)

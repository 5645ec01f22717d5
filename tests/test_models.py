"""models.py, the nets and their flags: sizes counted by hand, layers in their order, outputs against the same nets in
torch's functions, blocks against torchvision's. test_layers.py tests layers, frozen parts and ImageNet weights."""
import argparse
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losses
import models


def by_hand(convs, linears, prelus=0, norms=()):
    """Parameters of a net given its layers as (in, out, kernel) and (in, out)."""
    of_convs = sum(c_out * (c_in * kernel ** 2 + 1) for c_in, c_out, kernel in convs)
    of_linears = sum(c_out * (c_in + 1) for c_in, c_out in linears)
    return of_convs + of_linears + prelus + sum(2 * channels for channels in norms)


def near(a, b, to=1e-10):
    return a.shape == b.shape and (a - b).abs().max().item() <= to


def kinds(*layers):
    return [type(layer).__name__ for layer in layers]


def leaves(model):
    """Kinds of the layers that have no layers in them, in order."""
    return kinds(*(layer for layer in model.modules() if not list(layer.children())))


def sizes_in(model):
    """The output sizes of a net's parts, (c, h, w) of an image, by name."""
    sizes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
    model(torch.zeros(2, *model.input_shape))
    return sizes


# ---- parameters, shapes ---------------------------------------------------------------------------------------------

KEYPOINT_CONVS = [(1, 8, 5), (8, 16, 3), (16, 16, 3), (16, 24, 3), (24, 24, 3), (24, 40, 3), (40, 80, 3)]
KEYPOINT_LINEARS = [(1280, 128), (128, 128), (128, 42)]
WIDE = [(3, 16, 5), (16, 36, 3)], [(1296, 128), (128, 96), (96, 10)]
SMALL = [(3, 6, 5), (6, 16, 5)], [(400, 120), (120, 84), (84, 10)]
CLASSIC = {"channels": (6, 16), "kernels": (5, 5), "fc": (120, 84)}


@pytest.mark.parametrize("name, flags, expected, known", [
    ("keypoint", {}, by_hand(KEYPOINT_CONVS, KEYPOINT_LINEARS, 9), 235_851),
    ("keypoint", {"norm": "bn", "dropout": 0.3}, by_hand(KEYPOINT_CONVS, KEYPOINT_LINEARS, 9, (8, 16, 24)), 235_947),
    ("lenet5", {}, by_hand(*WIDE), 185_806),
    ("lenet5", CLASSIC, by_hand(*SMALL), 62_006),
    ("lenet5", {"fc": (128,)}, by_hand([(3, 16, 5), (16, 36, 3)], [(1296, 128), (128, 10)]), 173_742),
    ("lenet5", {"norm": "bn", "dropout": 0.5}, by_hand(*WIDE, 0, (16, 36)), 185_910),
    ("lenet5", {"unused": True}, by_hand(*WIDE, 0, (128, 96)), 186_254),
    ("lenet5", {"norm": "gn", "fc_norm": "bn", "dropconnect": 0.5}, by_hand(*WIDE, 0, (16, 36, 128, 96)), 186_358),
    ("net", {}, by_hand(*SMALL), 62_006),
    ("net", {"norm": "bn", "init": "kaiming"}, by_hand(*SMALL, 0, (6, 16, 120)), 62_290),
    ("net", {"channels": (12, 32)}, by_hand([(3, 12, 5), (12, 32, 5)], [(800, 120), (120, 84), (84, 10)]), 117_678),
    ("net", {"channels": (256, 256), "norm": "bn", "dropout": 0.1},
     by_hand([(3, 256, 5), (256, 256, 5)], [(6400, 120), (120, 84), (84, 10)], 0, (256, 256, 120)), 2_438_510),
    ("mlp", {}, by_hand([], [(3072, 512), (512, 10)], 0, (512,)), 1_579_530),
    ("mlp", {"norm": "none"}, by_hand([], [(3072, 512), (512, 10)]), 1_578_506),
    ("cnn", {}, by_hand([(3, 128, 3), (128, 64, 3)], [(1600, 10)], 0, (128, 64)), 93_770),
    ("cnn", {"order": "pool-conv-bn-relu-dropout"},
     by_hand([(3, 128, 3), (128, 64, 3)], [(1024, 10)], 0, (128, 64)), 88_010),
])
def test_parameter_counts(name, flags, expected, known):
    model = models.build(name, **flags)
    assert models.count_parameters(model) == expected == known
    shape = (2, *model.input_shape)
    assert model(torch.randn(shape)).shape == ((2, 42) if name == "keypoint" else (2, 10))


VGG13_CONVS = [(3, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), *2 * [(256, 256, 3)],
               (256, 512, 3), *5 * [(512, 512, 3)]]
VGG19_CONVS = [(3, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), *3 * [(256, 256, 3)],
               (256, 512, 3), *7 * [(512, 512, 3)]]
VGG_LINEARS = [(512, 4096), (4096, 4096), (4096, 10)]
NIN_CONVS = [(3, 192, 5), (192, 160, 1), (160, 96, 1), (96, 192, 5), (192, 192, 1), (192, 192, 1),
             (192, 192, 3), (192, 192, 1), (192, 10, 1)]
# the paper's table 1: in, 1x1, reduction, 3x3, reduction, 5x5, behind the pooling
INCEPTIONS = [(192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64), (480, 192, 96, 208, 16, 48, 64),
              (512, 160, 112, 224, 24, 64, 64), (512, 128, 128, 256, 24, 64, 64), (512, 112, 144, 288, 32, 64, 64),
              (528, 256, 160, 320, 32, 128, 128), (832, 256, 160, 320, 32, 128, 128),
              (832, 384, 192, 384, 48, 128, 128)]
GOOGLENET_CONVS = [(3, 64, 3), (64, 64, 1), (64, 192, 3)]
for i, c1, r3, c3, r5, c5, p in INCEPTIONS:
    GOOGLENET_CONVS += [(i, c1, 1), (i, r3, 1), (r3, c3, 3), (i, r5, 1), (r5, c5, 5), (i, p, 1)]


@pytest.mark.parametrize("name, convs, linears, known", [
    ("vgg13", VGG13_CONVS, VGG_LINEARS, 33_638_218), ("vgg16", VGG13_CONVS, VGG_LINEARS, 33_638_218),
    ("vgg19", VGG19_CONVS, VGG_LINEARS, 38_947_914), ("nin", NIN_CONVS, [], 966_986),
    ("googlenet", GOOGLENET_CONVS, [(1024, 10)], 5_976_122)])
def test_parameter_counts_of_the_larger_nets_and_of_their_norms(name, convs, linears, known):
    normed = [c_out for _, c_out, _ in convs if c_out > 10]  # nin's last convolution is not
    with torch.device("meta"):  # sizes without numbers
        model = models.build(name)
        found = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
        assert models.count_parameters(model) == by_hand(convs, linears) == known
        assert [(layer.in_channels, layer.out_channels, layer.kernel_size[0]) for layer in found] == convs
        for norm in ("bn", "ln", "in", "gn"):
            assert models.count_parameters(models.build(name, norm=norm)) == known + 2 * sum(normed)
        if name.startswith("vgg"):
            assert models.count_parameters(models.build(name, dropconnect=0.5)) == known


@pytest.mark.parametrize("stem, first, known", [("imagenet", 3 * 64 * 49, 11_181_642),
                                                ("cifar", 3 * 64 * 9, 11_173_962)])
def test_parameter_counts_of_resnet18(stem, first, known):
    convs = first + 4 * 64 * 64 * 9 + sum(c // 2 * c * 9 + 3 * c * c * 9 + c // 2 * c for c in (128, 256, 512))
    norms = 2 * 5 * (64 + 128 + 256 + 512)
    with torch.device("meta"):
        assert models.count_parameters(models.build("resnet18", stem=stem)) == convs + norms + 513 * 10 == known


def with_bn(*convs):
    """Weights of convolutions without bias, (in, out, kernel), each with batch norm."""
    return sum(c_in * c_out * kernel ** 2 + 2 * c_out for c_in, c_out, kernel in convs)


BASIC_BLOCK = [(3, 64, 7), (64, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (64, 128, 1)]
BOTTLENECK = [(3, 64, 7), (64, 32, 1), (32, 32, 3), (32, 128, 1), (64, 128, 1),
              (128, 64, 1), (64, 64, 3), (64, 256, 1), (128, 256, 1)]


@pytest.mark.parametrize("name, features, known", [
    ("base", 256, by_hand([(3, 64, 7), (64, 128, 3), (128, 256, 3)], [(256, 64), (64, 35)], 0, (64, 128, 256, 64))),
    ("basic_block", 128, with_bn(*BASIC_BLOCK) + 129 * 35), ("bottleneck", 256, with_bn(*BOTTLENECK) + 257 * 35)])
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


@pytest.mark.parametrize("name", models.MODELS)
def test_what_each_net_takes_and_returns(name):
    shape, outputs = (3, 32, 32), 10
    if name == "keypoint":
        shape, outputs = (1, 112, 112), 42
    elif name == "vgg16_imagenet":
        shape, outputs = (3, 224, 224), 35
    elif name in ("base", "basic_block", "bottleneck"):
        shape, outputs = (3, 112, 112), 35
    with torch.device("meta"):
        model = models.build(name)
        assert (model.input_shape, model.task) == (shape, "landmarks" if name == "keypoint" else "classes")
        assert model(torch.empty(5, *shape)).shape == (5, outputs)


@pytest.mark.parametrize("name, flags", [
    ("lenet5", {"norm": "gn", "act": "relu", "dropconnect": 0.5}), ("vgg19", {"norm": "gn", "dropconnect": 0.5}),
    ("nin", {"norm": "ln"}), ("googlenet", {"norm": "gn"}), ("resnet18", {"stem": "cifar"})])
def test_gradients_reach_every_parameter(name, flags):
    torch.manual_seed(0)
    model = models.build(name, **flags)
    F.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([3, 8])).backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.any() and p.grad.isfinite().all(), key


@pytest.mark.parametrize("name, classes, side", [
    ("resnet18", 10, 32), ("resnet18", 35, 112), ("resnet18", 35, 224), ("vgg16_imagenet", 35, 112),
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


# ---- every net again, with torch's functions and the net's weights ---------------------------------------------------

def apply(function, x, w, name, **how):
    return function(x, w[f"{name}.weight"], w[f"{name}.bias"], **how)


def normed(x, w, name):
    """Batch norm in eval mode."""
    return F.batch_norm(x, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"])


def halved(x):
    """Means of 2x2 windows. Where the side is odd, those at the border are means of what is there."""
    if x.shape[2] % 2:
        x = F.pad(x, (0, 1, 0, 1), "replicate")
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def keypoint_by_hand(x, w):
    for name, how, pooled in (("conv1_1", {"stride": 2}, True), ("conv2_1", {}, False), ("conv2_2", {}, True),
                              ("conv3_1", {}, False), ("conv3_2", {}, True), ("conv4_1", {"padding": 1}, False),
                              ("conv4_2", {"padding": 1}, False)):
        x = apply(F.conv2d, x, w, f"{name}.0", **how)
        act = 1
        if f"{name}.2.weight" in w:  # the middle one of three is batch norm
            x, act = normed(x, w, f"{name}.1"), 2
        x = F.prelu(x, w[f"{name}.{act}.weight"])
        if pooled:
            x = halved(x)
    x = x.flatten(1)
    for name in ("ip1", "ip2"):
        x = F.prelu(apply(F.linear, x, w, f"{name}.0"), w[f"{name}.1.weight"])
    return apply(F.linear, x, w, "ip3")


def lenet5_by_hand(act, pool, fc_norm):
    """The net of two hidden layers, with or without fc_norm="bn"."""
    def forward(x, w):
        for block in ("conv1", "conv2"):
            x = apply(F.conv2d, x, w, f"{block}.0")
            if f"{block}.1.weight" in w:
                x = normed(x, w, f"{block}.1")
            x = pool(act(x))
        x = apply(F.linear, x.flatten(1), w, "fc.0")
        if not fc_norm:
            return apply(F.linear, act(apply(F.linear, act(x), w, "fc.2")), w, "fc.4")
        x = act(normed(x, w, "fc.1"))
        x = normed(act(apply(F.linear, x, w, "fc.3")), w, "fc.5")
        return apply(F.linear, x, w, "fc.6")
    return forward


def net_by_hand(x, w):
    for block in ("conv1", "conv2"):
        x = F.max_pool2d(F.relu(apply(F.conv2d, x, w, f"{block}.0")), 2)
        x = normed(x, w, f"{block}.3") if f"{block}.3.weight" in w else x
    x = F.relu(apply(F.linear, x.flatten(1), w, "fc1.0"))
    x = normed(x, w, "fc1.2") if "fc1.2.weight" in w else x
    return apply(F.linear, F.relu(apply(F.linear, x, w, "fc2.0")), w, "fc3")


def mlp_by_hand(x, w):
    x = apply(F.linear, x.flatten(1), w, "net.1")
    return apply(F.linear, F.relu(normed(x, w, "net.2")), w, "net.5")


def cnn_by_hand(x, w):
    for block in ("block1", "block2"):
        x = F.max_pool2d(F.relu(normed(apply(F.conv2d, x, w, f"{block}.0"), w, f"{block}.1")), 3, 2)
    return apply(F.linear, x.flatten(1), w, "fc")


def cnn_pool_first_by_hand(x, w):
    for block in ("block1", "block2"):
        x = F.relu(normed(apply(F.conv2d, F.max_pool2d(x, 3, 2), w, f"{block}.1"), w, f"{block}.2"))
    return apply(F.linear, x.flatten(1), w, "fc")


def base_by_hand(x, w):
    x = apply(F.conv2d, x, w, "features.0", stride=2, padding=3)
    x = F.max_pool2d(F.relu(normed(x, w, "features.1")), 2)  # in the report's order
    x = apply(F.conv2d, x, w, "features.4", padding=1)
    x = F.max_pool2d(F.relu(normed(x, w, "features.5")), 2)
    x = apply(F.conv2d, x, w, "features.8", padding=1).amax((2, 3))
    x = apply(F.linear, F.relu(normed(x, w, "classifier.0")), w, "classifier.2")
    return apply(F.linear, F.relu(normed(x, w, "classifier.3")), w, "classifier.5")


def conv_bn_by_hand(x, w, name, stride=1):
    weight = w[f"{name}.0.weight"]
    return normed(F.conv2d(x, weight, None, stride, padding=weight.shape[-1] // 2), w, f"{name}.1")


def residual_by_hand(strides, with_stride):
    """Report 5's net of two residual blocks with these strides, which are those of the convolution `with_stride`."""
    def forward(x, w):
        x = F.relu(conv_bn_by_hand(x, w, "features.0", 2))
        for block, stride in zip(("features.2", "features.3"), strides):
            y = x
            convs = [i for i in (0, 2, 4) if f"{block}.body.{i}.0.weight" in w]
            for i in convs:
                y = conv_bn_by_hand(y, w, f"{block}.body.{i}", stride if i == with_stride else 1)
                y = y if i == convs[-1] else F.relu(y)
            if f"{block}.shortcut.0.weight" in w:
                x = conv_bn_by_hand(x, w, f"{block}.shortcut", stride)
            x = F.relu(x + y)
        return apply(F.linear, x.amax((2, 3)), w, "classifier")
    return forward


def fill(layers):
    """Random weights that keep the size of outputs from layer to layer, and random statistics."""
    for name, t in layers.state_dict().items():
        if t.dim() > 1:
            nn.init.kaiming_normal_(t)
        elif name.endswith("num_batches_tracked"):
            t.zero_()
        else:
            t.uniform_(-0.2, 0.2).add_(0 if name.endswith(("bias", "mean")) else 1)


@pytest.mark.parametrize("name, flags, forward", [
    ("keypoint", {}, keypoint_by_hand), ("keypoint", {"norm": "bn", "dropout": 0.3}, keypoint_by_hand),
    ("lenet5", {}, lenet5_by_hand(torch.sigmoid, halved, False)),
    ("lenet5", {"act": "tanh", "pool": "max", "norm": "bn"},
     lenet5_by_hand(torch.tanh, lambda x: F.max_pool2d(x, 2), False)),
    ("lenet5", {**CLASSIC, "act": "relu", "fc_norm": "bn"}, lenet5_by_hand(F.relu, halved, True)),
    ("net", {}, net_by_hand), ("net", {"norm": "bn", "dropout": 0.1, "channels": (12, 32)}, net_by_hand),
    ("mlp", {}, mlp_by_hand), ("cnn", {}, cnn_by_hand), ("cnn", {"order": models.ORDERS[2]}, cnn_pool_first_by_hand),
    ("base", {}, base_by_hand), ("basic_block", {}, residual_by_hand((1, 2), 0)),
    ("bottleneck", {}, residual_by_hand((1, 2), 2))])
def test_outputs_of_the_nets_by_hand(name, flags, forward):
    torch.manual_seed(0)
    model = models.build(name, **flags).double().eval()
    fill(model)
    x = torch.randn(3, *model.input_shape, dtype=torch.float64)
    with torch.no_grad():
        y = model(x)
        assert near(y, forward(x, model.state_dict())) and y.std(0).min() > 1e-4


# ---- the nets layer by layer ----------------------------------------------------------------------------------------

def test_keypoint_shapes_are_the_reports():
    sizes = sizes_in(models.build("keypoint"))
    assert sizes["conv1_1"] == (8, 54, 54) and sizes["pool1"] == (8, 27, 27) and sizes["pool2"] == (16, 12, 12)
    assert sizes["pool3"] == (24, 4, 4) and sizes["flatten"] == (1280,) and sizes["ip3"] == (42,)


def test_batch_norm_sits_between_convolution_and_prelu_at_the_three_named_places():
    model = models.build("keypoint", norm="bn")
    found = [name for name, layer in model.named_children() if "BatchNorm2d" in leaves(layer)]
    assert found == ["conv1_1", "conv2_2", "conv3_2"]
    for name in found:
        assert kinds(*getattr(model, name)) == ["Conv2d", "BatchNorm2d", "PReLU"]


def test_every_convolution_and_two_linear_layers_have_a_prelu_of_their_own():
    prelus = [m for m in models.build("keypoint").modules() if isinstance(m, nn.PReLU)]
    assert len(prelus) == len({id(p.weight) for p in prelus}) == 9


def test_keypoint_pools_by_averages_and_keeps_the_border():
    found = {name: layer for name, layer in models.build("keypoint").named_children() if name.startswith("pool")}
    assert list(found) == ["pool1", "pool2", "pool3"] and kinds(*found.values()) == 3 * ["AvgPool2d"]
    for layer in found.values():
        means = layer(torch.tensor([[[[1.0, 2, 6], [3, 6, 0], [4, 2, 5]]]]))
        assert means.tolist() == [[[[3, 3], [3, 5]]]]


DROPOUTS = {"keypoint": 1, "lenet5": 2, "net": 3, "mlp": 1, "cnn": 2, "vgg13": 2, "vgg16": 2, "vgg19": 2, "nin": 2,
            "googlenet": 1}


@pytest.mark.parametrize("name", models.MODELS)
def test_dropout_of_each_net_has_the_probability_asked_for_in_all_its_places(name):
    def found(**flags):
        with torch.device("meta"):
            return [m.p for m in models.build(name, **flags).modules() if isinstance(m, (nn.Dropout, models.Dropout))]

    own = models.flags_of(name).get("dropout")
    assert (own is not None) == (name in DROPOUTS)
    if own is not None:
        for p in (0.15, 0.7):
            assert found(dropout=p) == DROPOUTS[name] * [p]
        assert own == {"mlp": 0.5, "cnn": 0.1}.get(name, 0.0) and set(found()) <= {own}


@pytest.mark.parametrize("name, p", [("keypoint", 0.3), ("lenet5", 0.5), ("net", 0.1), ("mlp", 0.5), ("cnn", 0.1),
                                     ("vgg13", 0.5), ("nin", 0.5), ("googlenet", 0.4)])
def test_dropout_is_active_in_training_only(name, p):
    model = models.build(name, dropout=p)
    x = torch.randn(2, *model.input_shape)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_keypoint_dropout_zeroes_that_fraction_of_the_flattened_features():
    model, seen = models.build("keypoint", dropout=0.3), []

    def compare(_, inputs, out):
        seen.append((out == 0).float().mean() - (inputs[0] == 0).float().mean())

    model.dropout.register_forward_hook(compare)
    model(torch.randn(64, 1, 112, 112))
    assert abs(seen[0].item() - 0.3) < 0.01


def test_lenet_blocks_in_the_reports_order():
    block = models.build("lenet5", act="relu", pool="max", norm="bn", dropout=0.5).conv1
    assert [type(part) for part in block] == [nn.Conv2d, nn.BatchNorm2d, nn.Dropout, nn.ReLU, nn.MaxPool2d]


@pytest.mark.parametrize("act, kind", [("sigmoid", "Sigmoid"), ("relu", "ReLU"), ("tanh", "Tanh")])
@pytest.mark.parametrize("pool, pooling", [("avg", "AvgPool2d"), ("max", "MaxPool2d")])
def test_activation_and_pooling_of_lenet_are_those_asked_for_everywhere(act, kind, pool, pooling):
    block = ["Conv2d", kind, pooling]
    expected = [*block, *block, "Flatten", "Linear", kind, "Linear", kind, "Linear"]
    assert leaves(models.build("lenet5", act=act, pool=pool)) == expected


def test_the_reports_dropout_early_net_layer_by_layer():
    model = models.build("lenet5", act="relu", **CLASSIC, norm="bn", fc_norm="bn", dropout=0.5)
    block = ["Conv2d", "BatchNorm2d", "Dropout", "ReLU", "AvgPool2d"]
    assert leaves(model) == [*block, *block, "Flatten", "Linear", "BatchNorm1d", "ReLU", "Linear", "ReLU",
                             "BatchNorm1d", "Linear"]
    assert [m.num_features for m in model.modules() if hasattr(m, "num_features")] == [6, 16, 120, 84]
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("fc, expected", [
    ((128,), "Linear BatchNorm1d Sigmoid Linear"),
    ((30, 20, 15), "Linear BatchNorm1d Sigmoid" + 2 * " Linear Sigmoid BatchNorm1d" + " Linear")])
def test_fc_norm_is_before_the_first_hidden_activation_and_after_the_further_ones(fc, expected):
    model = models.build("lenet5", fc=fc, fc_norm="bn")
    assert kinds(*model.fc) == expected.split() and "BatchNorm2d" not in leaves(model)
    assert not any("BatchNorm" in kind for kind in leaves(models.build("lenet5", fc=fc)))
    assert [m.num_features for m in model.fc if isinstance(m, nn.BatchNorm1d)] == list(fc)


def test_net_has_batch_norm_after_each_pool_and_after_fc1_and_dropout_behind_it():
    model = models.build("net", norm="bn", dropout=0.1)
    for block in (model.conv1, model.conv2):
        assert kinds(*block) == ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d", "Dropout"]
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
    ("conv-bn-relu-dropout-pool", "Conv2d BatchNorm2d ReLU Dropout MaxPool2d", 5),
    ("conv-relu-bn-dropout-pool", "Conv2d ReLU BatchNorm2d Dropout MaxPool2d", 5),
    ("pool-conv-bn-relu-dropout", "MaxPool2d Conv2d BatchNorm2d ReLU Dropout", 4),
    ("conv-dropout-bn-relu-pool", "Conv2d Dropout BatchNorm2d ReLU MaxPool2d", 5)])
def test_orders_of_the_cnn(order, expected, side):
    model, expected = models.build("cnn", order=order), expected.split()
    assert kinds(*model.block1) == kinds(*model.block2) == expected
    assert model.block2(model.block1(torch.zeros(2, 3, 32, 32))).shape == (2, 64, side, side)
    plain = models.build("cnn", order=order, norm="none")
    assert kinds(*plain.block1) == kinds(*plain.block2) == [kind for kind in expected if kind != "BatchNorm2d"]


def test_nets_of_report_4_use_the_layers_written_by_hand():
    for name, count in (("mlp", 2), ("cnn", 4)):
        layers = [m for m in models.build(name).modules() if type(m).__name__.startswith(("BatchNorm", "Dropout"))]
        assert len(layers) == count and all(type(m).__module__ == "experiments.hand_written" for m in layers)
    assert kinds(*models.build("mlp").net) == ["Flatten", "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert kinds(*models.build("mlp", norm="none").net) == ["Flatten", "Linear", "ReLU", "Dropout", "Linear"]


def test_bases_features_are_taken_before_batch_norm_and_relu():
    model, block = models.build("base"), ["Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU"]
    assert kinds(*model.features) == [*block, *block, "Conv2d", "GlobalMaxPool"]
    assert kinds(*model.classifier) == ["BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]


@pytest.mark.parametrize("fc, layers", [((128, 96), 2), ((128,), 4)])
def test_unused_layers_change_no_output_and_learn_by_the_l2_term_alone(fc, layers):
    nets = []
    for unused in (False, True):
        torch.manual_seed(3)
        nets.append(models.build("lenet5", act="relu", norm="bn", fc=fc, unused=unused))
    plain, model = nets
    x, y = torch.randn(4, 3, 32, 32), torch.arange(4)
    assert torch.equal(plain(x), model(x)) and models.classifier_of(model) is model.fc[-1]
    assert len(model.unused) == layers
    F.cross_entropy(model(x), y).backward()
    assert all(p.grad is None for p in model.unused.parameters())
    of_used = losses.add_l2(plain.parameters(), 0.01)
    of_all = losses.add_l2(model.parameters(), 0.01)
    squares = sum(p.square().sum() for p in model.unused.parameters())
    assert squares >= 128 + 96 and torch.isclose(of_all - of_used, 0.01 * squares, rtol=1e-4)
    assert all(torch.allclose(p.grad, 0.02 * p) for p in model.unused.parameters())


def test_batch_norm_behind_the_activation():
    before, behind = (models.build("keypoint", norm="bn", bn_last=last) for last in (False, True))
    for name in ("conv1_1", "conv2_2", "conv3_2"):
        assert kinds(*getattr(before, name)) == ["Conv2d", "BatchNorm2d", "PReLU"]
        assert kinds(*getattr(behind, name)) == ["Conv2d", "PReLU", "BatchNorm2d"]
    assert kinds(*behind.conv2_1) == ["Conv2d", "PReLU"]
    with pytest.raises(ValueError, match="--bn-last .* needs --norm bn"):
        models.build("keypoint", bn_last=True)


@pytest.mark.parametrize("name", models.CHANNELS_LAST)
def test_channels_last_is_only_a_layout(name):
    torch.manual_seed(0)
    plain = models.build(name)
    if name == "vgg16_imagenet":
        plain.classifier = nn.Identity()  # 119 million weights, which have no layout
    plain.double()
    for layer in plain.modules():
        if isinstance(layer, (nn.Dropout, models.Dropout)):
            layer.p = 0.0  # it draws in the order of memory
    model = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    # VGG takes images of any size, and most of the time.
    shape = (2, 3, 64, 64) if name == "vgg16_imagenet" else (3, *model.input_shape)
    x = torch.randn(shape, dtype=torch.float64)
    for training in (True, False):
        assert near(model.train(training)(x), plain.train(training)(x))


# ---- VGG, NiN, GoogLeNet, ResNet-18 ---------------------------------------------------------------------------------

def blank(build, part):
    """A part of a net with memory for its weights, but no weights; the rest takes none."""
    with torch.device("meta"):
        model = build()
    return getattr(model, part).to_empty(device="cpu")


@pytest.mark.parametrize("norm", ["none", "bn"])
@pytest.mark.parametrize("name, arch", [("vgg13", "vgg16"), ("vgg16", "vgg16"), ("vgg19", "vgg19")])
def test_convolutions_of_the_vggs_are_torchvisions_layer_by_layer(name, arch, norm):
    import torchvision

    torch.manual_seed(0)
    theirs = blank(getattr(torchvision.models, arch + ("_bn" if norm == "bn" else "")), "features")
    fill(theirs)
    ours = blank(lambda: models.build(name, norm=norm), "features")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert kinds(*ours) == kinds(*theirs) + ([] if name == "vgg13" else ["AvgPool2d"])
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
    assert [(m.in_features, m.out_features) for m in model.head if isinstance(m, nn.Linear)] == VGG_LINEARS
    assert model.head[2].p == model.head[5].p == 0.3
    channels = [layer.out_channels for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert channels == [64, 128, 128, 256, 512, 512, 512, 512]
    assert kinds(*model.features).count("MaxPool2d") == 5


@pytest.mark.parametrize("name, linears", [("lenet5", 3), ("vgg13", 3), ("vgg16", 3), ("vgg19", 3)])
def test_dropconnect_is_in_every_linear_layer_of_a_net_or_in_none(name, linears):
    with torch.device("meta"):
        for p, kind in ((0.3, models.DropConnect), (0.0, nn.Linear)):
            found = [m for m in models.build(name, dropconnect=p).modules() if isinstance(m, nn.Linear)]
            assert [type(layer) for layer in found] == linears * [kind]
            assert all(layer.p == p for layer in found if p)


def test_nin_sizes_and_places_of_its_dropout():
    model = models.build("nin", dropout=0.4)
    sizes = sizes_in(model)
    assert sizes["block1"] == (96, 32, 32) and sizes["pool1"] == (96, 16, 16)
    assert sizes["block2"] == (192, 16, 16) and sizes["pool2"] == (192, 8, 8) and sizes["block3"] == (10, 8, 8)
    assert kinds(*model.pool1) == ["MaxPool2d", "Dropout"] and kinds(*model.pool2) == ["AvgPool2d", "Dropout"]
    assert model.pool1[1].p == model.pool2[1].p == 0.4 and leaves(model).count("Dropout") == 2
    ones = torch.ones(1, 192, 16, 16)
    assert torch.equal(model.eval().pool2(ones), ones[:, :, :8, :8])  # borders are means of what is there


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
    assert model.dropout.p == 0.4 and leaves(model).count("Dropout") == 1
    assert kinds(model.pool) == ["MaxPool2d"] and leaves(model.stem) == 3 * ["Conv2d", "ReLU"]


def test_googlenets_stages_and_pools_follow_each_other():
    torch.manual_seed(0)
    model, x = models.build("googlenet", norm="bn").eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        y = F.max_pool2d(model.stage3(model.stem(x)), 3, 2, padding=1)
        y = model.stage5(F.max_pool2d(model.stage4(y), 3, 2, padding=1))
        assert near(model(x), model.fc(y.mean((2, 3))), 1e-6)


def test_inception_blocks_of_googlenet_are_torchvisions():
    from torchvision.models import GoogLeNet
    from torchvision.models.googlenet import Inception

    with torch.device("meta"):
        theirs = GoogLeNet(aux_logits=False, init_weights=False).modules()
        ours = models.build("googlenet", norm="bn").modules()
        theirs = [m for m in theirs if isinstance(m, Inception)]
        ours = [m for m in ours if isinstance(m, models.Inception)]
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
    assert sizes["conv1"] == sizes["layer1"] == (64, 32, 32) and sizes["layer2"] == (128, 16, 16)
    assert sizes["layer3"] == (256, 8, 8) and sizes["layer4"] == (512, 4, 4)
    assert abs(cifar.conv1.weight.std() / (2 / (64 * 9)) ** 0.5 - 1) < 0.1 and cifar.conv1.bias is None
    with torch.device("meta"):
        sizes = sizes_in(models.build("resnet18"))
        assert sizes["conv1"] == (64, 16, 16) and sizes["layer4"] == (512, 1, 1)


@pytest.mark.parametrize("ours, theirs", [
    (lambda: models.basic(64, 64), lambda resnet, project: resnet.BasicBlock(64, 64)),
    (lambda: models.basic(64, 128, 2), lambda resnet, project: resnet.BasicBlock(64, 128, 2, project(64, 128, 2))),
    (lambda: models.bottleneck(64, 32, 128), lambda resnet, project: resnet.Bottleneck(64, 32, 1, project(64, 128, 1))),
    (lambda: models.bottleneck(128, 64, 256, 2),
     lambda resnet, project: resnet.Bottleneck(128, 64, 2, project(128, 256, 2)))])
def test_residual_blocks_are_torchvisions(ours, theirs):
    from torchvision.models import resnet

    def project(c_in, c_out, stride):
        return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    torch.manual_seed(0)
    ours, theirs = ours().double(), theirs(resnet, project).double()
    fill(theirs)
    pairs = [[m for m in block.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))] for block in (ours, theirs)]
    if isinstance(theirs, resnet.Bottleneck) or len(pairs[0]) > 4:  # torchvision lists norms and projection elsewhere
        convs, norms = ([m for m in pairs[1] if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d))
        pairs[1] = [layer for two in zip(convs, norms, strict=True) for layer in two]
    for mine, its in zip(*pairs, strict=True):
        mine.load_state_dict(its.state_dict())
    x = torch.randn(2, ours.body[0][0].in_channels, 7, 7, dtype=torch.float64)
    for training in (False, True):
        assert near(ours.train(training)(x), theirs.train(training)(x))


# ---- norms in the nets ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("norm, alone", [("ln", True), ("in", True), ("gn", True), ("bn", False)])
def test_only_batch_norm_sees_the_other_images_of_the_batch(norm, alone):
    x, others = torch.randn(3, 3, 32, 32, dtype=torch.float64), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for name in ("lenet5", "nin"):
        model = models.build(name, norm=norm).double()
        assert near(model(x)[:1], model(torch.cat([x[:1], others]))[:1]) == alone


@pytest.mark.parametrize("norm, kind", [("none", None), ("bn", "BatchNorm2d"), ("ln", "GroupNorm"), ("in", "GroupNorm"),
                                        ("gn", "GroupNorm")])
@pytest.mark.parametrize("name, convs, act", [("lenet5", 2, "Sigmoid"), ("vgg13", 13, "ReLU"), ("vgg19", 16, "ReLU"),
                                              ("nin", 8, "ReLU"), ("googlenet", 57, "ReLU")])
def test_norms_sit_between_convolution_and_activation_everywhere(name, convs, act, norm, kind):
    with torch.device("meta"):
        found = " ".join(leaves(models.build(name, norm=norm)))
    expected = f"Conv2d {kind} {act}" if kind else f"Conv2d {act}"
    assert found.count(expected) == convs == found.count("Conv2d") - (name == "nin")
    assert found.count("Norm") == (convs if kind else 0)


# ---- flags ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["keypoint", "net", "mlp", "cnn"])
def test_nets_whose_report_knows_batch_norm_only_refuse_other_norms(name):
    for norm in ("ln", "in", "gn"):
        with pytest.raises(ValueError, match=f"--norm {norm} is for lenet5, nin, googlenet and the vggs"):
            models.build(name, norm=norm)


@pytest.mark.parametrize("name, flags, words", [
    ("lenet5", {"kernels": (29, 3)}, "29,3 leave no pixel"), ("lenet5", {"kernels": (5, 15)}, "leave no pixel"),
    ("lenet5", {"channels": (6,)}, "two --channels"), ("lenet5", {"kernels": (3, 3, 3)}, "two --kernels"),
    ("net", {"channels": (6, 16, 3)}, "two --channels"), ("vgg13", {"convs": (2, 2, 3, 3)}, "five --convs"),
    ("vgg16", {"convs": ()}, "five --convs"), ("vgg19", {"convs": (2, 2, 4, 4, 4, 4)}, "five --convs"),
    ("lenet5", {"fc_norm": "ln"}, "none or bn")])
def test_flags_that_make_no_net_are_refused(name, flags, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **flags)


def test_the_largest_kernels_that_leave_a_pixel_make_a_net():
    assert models.build("lenet5", kernels=(5, 13))(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_flags_of_a_net_are_its_arguments():
    assert models.flags_of("keypoint") == {"norm": "none", "bn_last": False, "dropout": 0.0}
    assert models.flags_of("nin") == models.flags_of("googlenet") == {"norm": "none", "dropout": 0.0}
    assert models.flags_of("vgg13") == {"convs": (2, 2, 3, 3, 3), "norm": "none", "dropout": 0.0, "dropconnect": 0.0}
    assert models.flags_of("vgg16") == models.flags_of("vgg13")
    assert models.flags_of("vgg19") == {**models.flags_of("vgg13"), "convs": (2, 2, 4, 4, 4)}
    with pytest.raises(KeyError):
        models.build("alexnet")
    with pytest.raises(TypeError):
        models.build("keypoint", act="relu")


def test_what_the_data_say_is_no_flag_of_a_net():
    assert not any({"classes", "side"} & set(models.flags_of(name)) for name in models.MODELS)
    assert models.flags_of("resnet18") == {"stem": "imagenet"} and models.flags_of("vgg16_imagenet") == {}


def make_parser():
    parser = argparse.ArgumentParser()
    models.add_flags(parser)
    return parser


def resolve(line):
    """The flags of a command line as resolve_flags leaves them."""
    parser = make_parser()
    flags = parser.parse_args(line.split())
    unset = argparse.Namespace(**dict.fromkeys(vars(flags), None))
    given = {k: v for k, v in vars(parser.parse_args(line.split(), unset)).items() if v is not None}
    models.resolve_flags(flags, given)
    return flags


ALL_FLAGS = {"act", "pool", "channels", "kernels", "fc", "convs", "norm", "fc_norm", "dropout", "dropconnect", "stem",
             "order", "init", "bn_last", "unused"}


def test_every_flag_of_a_net_can_be_typed_and_has_no_default_of_its_own():
    assert {flag for name in models.MODELS for flag in models.flags_of(name)} == ALL_FLAGS
    assert vars(make_parser().parse_args([])) == {"model": "lenet5", "pretrained": False, "weights": None,
                                                  "freeze": "none", "init_from": None}
    (group,) = [g for g in make_parser()._action_groups if g.title == "model"]
    typed = {action.dest for action in group._group_actions}
    assert typed == ALL_FLAGS | {"model", "pretrained", "weights", "init_from", "freeze"}
    assert all(action.help for action in group._group_actions) and "--fc-norm" in make_parser().format_help()


@pytest.mark.parametrize("name", models.MODELS)
def test_flags_that_are_not_given_are_the_nets_own_or_none(name):
    flags = vars(resolve(f"--model {name}"))
    own = models.flags_of(name)
    assert ALL_FLAGS <= set(flags) and flags["model"] == name
    for flag in ALL_FLAGS:
        assert flags[flag] == own.get(flag) and (flags[flag] is None) == (flag not in own), flag
    models.build(name, **{flag: flags[flag] for flag in own})


def test_flags_that_are_given_are_kept():
    flags = resolve("--act tanh --pool max --channels 6,16 --kernels 3,7 --fc 120 --norm gn --fc-norm bn --dropout 0 "
                    "--dropconnect 0.5 --unused")
    assert {flag: getattr(flags, flag) for flag in models.flags_of("lenet5")} == {
        "act": "tanh", "pool": "max", "channels": (6, 16), "kernels": (3, 7), "fc": (120,), "norm": "gn",
        "fc_norm": "bn", "dropout": 0.0, "dropconnect": 0.5, "unused": True}
    assert resolve("--model keypoint --norm bn --bn-last").bn_last is True
    assert resolve("--model mlp --dropout 0 --norm none").dropout == 0.0  # not the net's own 0.5
    assert resolve("--model vgg13 --convs 1,1,1,1,1").convs == (1, 1, 1, 1, 1)
    assert resolve("--model net --init kaiming").init == "kaiming"
    assert resolve(f"--model cnn --order {models.ORDERS[3]}").order == models.ORDERS[3]
    assert resolve("--model resnet18 --stem cifar").stem == "cifar"


@pytest.mark.parametrize("line, words", [
    ("--stem cifar", "lenet5 has no --stem; it takes --act, --pool, --channels, --kernels, --fc, --norm, --dropout, "
                     "--fc-norm, --dropconnect, --unused"),
    ("--model nin --fc-norm bn", "nin has no --fc-norm; it takes --norm, --dropout"),
    ("--model keypoint --act relu", "keypoint has no --act; it takes --norm, --bn-last, --dropout"),
    ("--model resnet18 --act relu", "resnet18 has no --act; it takes --stem"),
    ("--model vgg16_imagenet --norm bn", "vgg16_imagenet has no --norm; it takes none of these flags"),
    ("--model base --dropout 0.1", "base has no --dropout; it takes none of these flags"),
    ("--pretrained", "--pretrained is for resnet18, vgg16_imagenet and excludes --init-from"),
    ("--model resnet18 --pretrained --init-from a/b",
     "--pretrained is for resnet18, vgg16_imagenet and excludes --init-from"),
    ("--model resnet18 --pretrained --stem cifar", "--pretrained weights are those of --stem imagenet"),
    ("--freeze features", "--freeze features keeps them as they are: it needs --pretrained or --init-from")])
def test_flags_that_contradict_the_net_or_each_other_are_refused_with_a_sentence(line, words):
    with pytest.raises(ValueError) as e:
        resolve(line)
    assert str(e.value) == words


@pytest.mark.parametrize("line", [
    "--model resnet18 --pretrained", "--model vgg16_imagenet --pretrained --freeze features --weights mine.pth",
    "--freeze features --init-from a/b", "--model resnet18 --pretrained --stem imagenet --freeze classifier",
    "--model resnet18 --stem cifar --init-from a/b", "--freeze classifier", "--weights mine.pth"])
def test_weights_and_freezing_that_make_sense_are_accepted(line):
    flags = resolve(line)
    assert flags.pretrained == ("--pretrained" in line) and (flags.weights == "mine.pth") == ("mine" in line)
    assert flags.freeze in line or flags.freeze == "none"


@pytest.mark.parametrize("line, words", [
    ("--model alexnet", "'keypoint', 'lenet5'"), ("--act swish", "'relu'"), ("--pool sum", "'avg'"),
    ("--norm l2", "'none', 'bn'"), ("--fc-norm ln", "'none', 'bn'"), ("--stem mine", "'imagenet'"),
    ("--order bn-conv", "pool-conv-bn-relu-dropout"), ("--init ones", "'kaiming'"), ("--freeze all", "'classifier'"),
    ("--channels a,b", "list of whole numbers"), ("--channels 6,", "list of whole numbers"),
    ("--kernels 0,3", "each at least 1 and at most 65536, not 0,3"), ("--fc 65537", "at most 65536, not 65537"),
    ("--channels 1000000,1000000", "at most 65536"), ("--convs 1001,1,1,1,1", "at most 1000"),
    (f"--fc 1{400 * '0'}", "at most 65536"), (f"--convs 1{5000 * '0'}", "list of whole numbers"),
    ("--convs=-1,1,1,1,1", "list of whole numbers"), ("--channels 6.5,16", "list of whole numbers"),
    ("--dropout 1", "at least 0 and below 1, not 1"), ("--dropconnect -0.1", "at least 0 and below 1, not -0.1"),
    ("--dropout nan", "not nan"), ("--dropout half", "invalid probability")])
def test_values_that_no_flag_can_have_are_refused(line, words, capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(line.split())
    assert words in capsys.readouterr().err


def test_values_at_the_ends_of_what_a_flag_can_have():
    assert models.widths("1,2147483647") == (1, 2**31 - 1) and models.widths("6, 16") == (6, 16)
    flags = make_parser().parse_args("--channels 65536,1 --fc 65536 --convs 1000,1,1,1,1".split())
    assert (flags.channels, flags.fc, flags.convs) == ((65536, 1), (65536,), (1000, 1, 1, 1, 1))
    assert models.probability("0") == 0 and models.probability("0.999") == 0.999

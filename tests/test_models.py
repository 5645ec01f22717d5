"""models.py: sizes by hand count, places of batch norm and dropout, and what each flag changes."""
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


@pytest.mark.parametrize("name, share", [("keypoint", 0.3), ("lenet5", 0.5)])
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


@pytest.mark.parametrize("flags, words", [({"kernels": (29, 3)}, "leave no pixel"), ({"channels": (6,)}, "two --channels"), ({"kernels": (3, 3, 3)}, "two --kernels")])
def test_flags_that_make_no_net_are_refused(flags, words):
    with pytest.raises(ValueError, match=words):
        models.build("lenet5", **flags)


def test_flags_of_a_net_are_its_arguments():
    assert models.flags_of("keypoint") == {"norm": "none", "dropout": 0.0}
    with pytest.raises(KeyError):
        models.build("alexnet")
    with pytest.raises(TypeError):
        models.build("keypoint", act="relu")

"""Every net of the five reports, as plain modules that read top-down like the reports' tables.

    python train.py --model keypoint --data faces21 --optim adam --norm bn
    python -c "import models; print(models.build('lenet5', act='relu'))"

A net is built from its own flags and nothing else: the keyword arguments of its class (or function) are the flags of train.py
that it takes, their defaults its own, and MODELS is the list of names. Each says what it wants and gives: `input_shape` (c, h, w)
and `task`. Nothing here imports the rest of the project.
"""
import inspect
import math
import socket
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
NORMS = ("none", "bn", "ln", "in", "gn")
INITS = ("default", "kaiming")
STEMS = ("imagenet", "cifar")
ORDERS = ("conv-bn-relu-dropout-pool", "conv-relu-bn-dropout-pool", "pool-conv-bn-relu-dropout", "conv-dropout-bn-relu-pool")


def norm2d(kind, channels):
    """What normalises (n, channels, h, w), as a list of one layer, or of none: "bn" batch norm; the others normalise each image by itself:
    "ln" over all channels and positions, "in" channel by channel, "gn" by groups of channels (Wu and He, 2018): 32 groups, or 4 where there
    are fewer than 64 channels; fewer where that does not divide the channels. All have a learned factor and offset per channel.
    """
    if kind == "none":
        return []
    if kind == "bn":
        return [nn.BatchNorm2d(channels)]
    return [nn.GroupNorm({"ln": 1, "in": channels, "gn": math.gcd(channels, 32 if channels >= 64 else 4)}[kind], channels)]


def has_bn(norm):
    """Is it "bn"? For nets whose report knows batch norm or none; raises ValueError for other norms."""
    if norm not in ("none", "bn"):
        raise ValueError(f"--norm {norm} is for lenet5, nin, googlenet and the vggs; this net takes none or bn")
    return norm == "bn"


class DropConnect(nn.Linear):
    """Report 2: a linear layer of which in training each weight is zeroed with probability p and the others are divided by 1 - p, drawn anew
    every step for the whole batch (Wan et al., 2013, draw for every image). Eval takes the weights as they are: their expectation.
    """

    def __init__(self, c_in, c_out, p):
        super().__init__(c_in, c_out)
        self.p = p

    def forward(self, x):
        return F.linear(x, F.dropout(self.weight, self.p, self.training), self.bias)


def linear(c_in, c_out, dropconnect):
    return DropConnect(c_in, c_out, dropconnect) if dropconnect else nn.Linear(c_in, c_out)


class Keypoint(nn.Module):
    """Report 1: the landmark net, (n, 1, 112, 112) -> (n, 42) pixel coordinates x1 y1 ... x21 y21.

    norm="bn" adds batch norm after conv1_1, conv2_2 and conv3_2, between the convolution and its PReLU (the report's text;
    its "conv3_3" does not exist, the last convolution of that block is meant). dropout is the share of the 1280 flattened
    features that is zeroed (the report's "keep 70 %" is dropout 0.3).
    """

    input_shape = (1, 112, 112)
    task = "landmarks"

    def __init__(self, norm="none", dropout=0.0):
        super().__init__()

        def conv(c_in, c_out, kernel, stride=1, padding=0, normed=False):
            layers = [nn.Conv2d(c_in, c_out, kernel, stride, padding)]
            if normed and has_bn(norm):
                layers.append(nn.BatchNorm2d(c_out))
            return nn.Sequential(*layers, nn.PReLU())

        def pool():
            return nn.AvgPool2d(2, ceil_mode=True)

        self.conv1_1 = conv(1, 8, 5, stride=2, normed=True)  # 112 -> 54
        self.pool1 = pool()  # 27
        self.conv2_1 = conv(8, 16, 3)  # 25
        self.conv2_2 = conv(16, 16, 3, normed=True)  # 23
        self.pool2 = pool()  # 12
        self.conv3_1 = conv(16, 24, 3)  # 10
        self.conv3_2 = conv(24, 24, 3, normed=True)  # 8
        self.pool3 = pool()  # 4
        self.conv4_1 = conv(24, 40, 3, padding=1)
        self.conv4_2 = conv(40, 80, 3, padding=1)
        self.flatten = nn.Flatten()  # 80 * 4 * 4 = 1280
        self.dropout = nn.Dropout(dropout)
        self.ip1 = nn.Sequential(nn.Linear(1280, 128), nn.PReLU())
        self.ip2 = nn.Sequential(nn.Linear(128, 128), nn.PReLU())
        self.ip3 = nn.Linear(128, 42)
        self.to(memory_format=torch.channels_last)  # only a layout; on a CPU a step takes two thirds of the time

    def forward(self, x):
        x = self.pool1(self.conv1_1(x))
        x = self.pool2(self.conv2_2(self.conv2_1(x)))
        x = self.pool3(self.conv3_2(self.conv3_1(x)))
        x = self.conv4_2(self.conv4_1(x))
        x = self.dropout(self.flatten(x))
        return self.ip3(self.ip2(self.ip1(x)))


class LeNet5(nn.Module):
    """Report 2a: LeNet-5 for CIFAR-10, (n, 3, 32, 32) -> logits (n, 10).

    Two rounds of convolution, [norm], [dropout], activation, pooling by 2; then the fully connected layers. The report's
    *wide* net is the default; its *classic* one is channels 6,16, kernels 5,5, fc 120,84; its *2-FC* nets have fc 128 only.
    Dropout sits on the convolutions' outputs, before the activation, as the report has it. fc_norm="bn" adds batch norm before the
    first hidden layer's activation and after those of further ones (its dropout-early). dropconnect is the share of the weights of
    all linear layers that is zeroed in training.

    channels and kernels hold two numbers each, fc the widths of the hidden layers. Raises ValueError where the kernels leave
    no pixel.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, act="sigmoid", pool="avg", channels=(16, 36), kernels=(5, 3), fc=(128, 96), norm="none", dropout=0.0, fc_norm="none", dropconnect=0.0):
        super().__init__()
        if len(channels) != 2 or len(kernels) != 2:
            raise ValueError(f"lenet5 has two convolutions: two --channels and two --kernels, not {channels} and {kernels}")
        side = ((32 - kernels[0] + 1) // 2 - kernels[1] + 1) // 2
        if side < 1:
            raise ValueError(f"--kernels {kernels[0]},{kernels[1]} leave no pixel of a 32x32 image")

        def block(c_in, c_out, kernel):
            layers = [nn.Conv2d(c_in, c_out, kernel), *norm2d(norm, c_out)]
            if dropout:
                layers.append(nn.Dropout(dropout))
            return nn.Sequential(*layers, ACTIVATIONS[act](), POOLINGS[pool](2))

        self.conv1 = block(3, channels[0], kernels[0])
        self.conv2 = block(channels[0], channels[1], kernels[1])
        self.flatten = nn.Flatten()
        hidden, width = [], channels[1] * side * side  # wide: 36 * 6 * 6 = 1296; classic: 16 * 5 * 5 = 400
        for out in fc:
            layers = [ACTIVATIONS[act]()]
            if has_bn(fc_norm):
                layers.insert(1 if hidden else 0, nn.BatchNorm1d(out))
            hidden += [linear(width, out, dropconnect), *layers]
            width = out
        self.fc = nn.Sequential(*hidden, linear(width, 10, dropconnect))

    def forward(self, x):
        return self.fc(self.flatten(self.conv2(self.conv1(x))))


class Net(nn.Module):
    """Report 3: the small net of its questions, (n, 3, 32, 32) -> logits (n, 10).

    Two rounds of 5x5 convolution, ReLU and max pooling by 2, then 120 and 84 features. norm="bn" adds batch norm after each pooling
    and after fc1's ReLU (the report's Net1), dropout acts right behind each of these three places, init="kaiming" draws the weights
    of all convolutions and linear layers by Kaiming's uniform rule for ReLU, fan-in (Net2; PyTorch's default is the same rule with
    a = sqrt(5), a bound smaller by sqrt(6)). channels: 12,32 is Net3, 256,256 Net4. Raises ValueError unless there are two.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, channels=(6, 16), norm="none", dropout=0.0, init="default"):
        super().__init__()
        if len(channels) != 2:
            raise ValueError(f"net has two convolutions: two --channels, not {channels}")

        def regulariser(normed):
            return ([normed] if has_bn(norm) else []) + ([nn.Dropout(dropout)] if dropout else [])

        def block(c_in, c_out):
            return nn.Sequential(nn.Conv2d(c_in, c_out, 5), nn.ReLU(), nn.MaxPool2d(2), *regulariser(nn.BatchNorm2d(c_out)))

        self.conv1 = block(3, channels[0])  # 32 -> 28 -> 14
        self.conv2 = block(channels[0], channels[1])  # 10 -> 5
        self.flatten = nn.Flatten()  # 16 * 5 * 5 = 400
        self.fc1 = nn.Sequential(nn.Linear(25 * channels[1], 120), nn.ReLU(), *regulariser(nn.BatchNorm1d(120)))
        self.fc2 = nn.Sequential(nn.Linear(120, 84), nn.ReLU())
        self.fc3 = nn.Linear(84, 10)
        if init == "kaiming":
            for layer in self.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        x = self.flatten(self.conv2(self.conv1(x)))
        return self.fc3(self.fc2(self.fc1(x)))


def resnet18(stem="imagenet", classes=10, side=32):
    """torchvision's ResNet-18 (reports 3 and 5), (n, 3, side, side) -> logits (n, classes): 11.18 M parameters with 10; its last layer is fc,
    its feature vector of 512 what enters it.

    stem="cifar" (report 2) begins with a 3x3 convolution of stride 1 and no pooling, so that 32x32 pixels, not 8x8, reach the first block.
    """
    from torchvision.models import resnet18  # here: importing torchvision takes as long as importing torch

    model = resnet18(num_classes=classes)
    if stem == "cifar":
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision draws its convolutions
    model.input_shape, model.task = (3, side, side), "classes"
    return model


def vgg16_imagenet(classes=35, side=224):
    """torchvision's VGG-16, as it was built for ImageNet (report 5), (n, 3, side, side) -> logits (n, classes): a feature vector of 25088 and
    then 4096, 4096 and the outputs. Not report 2's vgg16, which is made for 32x32."""
    from torchvision.models import vgg16

    model = vgg16(num_classes=classes)
    model.input_shape, model.task = (3, side, side), "classes"
    return model


class VGG(nn.Module):
    """Report 2b: VGG (Simonyan and Zisserman, 2015) for CIFAR-10, (n, 3, 32, 32) -> logits (n, 10).

    Five blocks of 3x3 convolutions, [norm] and ReLU, each ended by max pooling; then 512 -> 4096 -> 4096 -> 10 with ReLU and dropout
    between. convs: convolutions in each block. last_pool adds the average pooling 1x1 that the report's vgg16 and vgg19 have, which changes
    nothing. dropconnect: share of the linear layers' weights that is zeroed in training. Raises ValueError unless there are five blocks.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, convs, norm="none", dropout=0.0, dropconnect=0.0, last_pool=False):
        super().__init__()
        if len(convs) != 5:
            raise ValueError(f"VGG has five blocks: five --convs, not {convs}")
        layers, c_in = [], 3
        for count, channels in zip(convs, (64, 128, 256, 512, 512)):
            for _ in range(count):
                layers += [nn.Conv2d(c_in, channels, 3, padding=1), *norm2d(norm, channels), nn.ReLU()]
                c_in = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers, *[nn.AvgPool2d(1)] * last_pool)  # 32 -> 16 -> 8 -> 4 -> 2 -> 1
        self.flatten = nn.Flatten()
        self.head = nn.Sequential(linear(512, 4096, dropconnect), nn.ReLU(), nn.Dropout(dropout), linear(4096, 4096, dropconnect), nn.ReLU(),
                                  nn.Dropout(dropout), linear(4096, 10, dropconnect))

    def forward(self, x):
        return self.head(self.flatten(self.features(x)))


def vgg13(convs=(2, 2, 3, 3, 3), norm="none", dropout=0.0, dropconnect=0.0):
    """VGG with 13 convolutions, named so by report 2 (elsewhere VGG-16, configuration D): 33,638,218 parameters without norm."""
    return VGG(convs, norm, dropout, dropconnect)


def vgg16(convs=(2, 2, 3, 3, 3), norm="none", dropout=0.0, dropconnect=0.0):
    """Report 2's vgg16: its vgg13 and a pooling that changes nothing."""
    return VGG(convs, norm, dropout, dropconnect, last_pool=True)


def vgg19(convs=(2, 2, 4, 4, 4), norm="none", dropout=0.0, dropconnect=0.0):
    """VGG with 16 convolutions (configuration E), report 2's vgg19: 38,947,914 parameters without norm."""
    return VGG(convs, norm, dropout, dropconnect, last_pool=True)


def conv_relu(c_in, c_out, kernel, norm):
    """A convolution that keeps the size, [norm], ReLU: what NiN and GoogLeNet are made of."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), *norm2d(norm, c_out), nn.ReLU())


class NiN(nn.Module):
    """Report 2: Network in Network (Lin et al., 2014) for CIFAR-10, (n, 3, 32, 32) -> logits (n, 10): 966,986 parameters without norm.

    Three blocks of a convolution and two 1x1 convolutions; the last one gives a channel per class, averaged over all positions. Pooling
    and dropout behind the first two. Its last convolution has neither norm nor ReLU here, so that logits may be negative.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, norm="none", dropout=0.0):
        super().__init__()

        def block(c_in, c1, c2, c3, kernel):
            return nn.Sequential(conv_relu(c_in, c1, kernel, norm), conv_relu(c1, c2, 1, norm), conv_relu(c2, c3, 1, norm))

        self.block1 = block(3, 192, 160, 96, 5)
        self.pool1 = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.Dropout(dropout))  # 32 -> 16
        self.block2 = block(96, 192, 192, 192, 5)
        self.pool2 = nn.Sequential(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.Dropout(dropout))  # 8
        self.block3 = nn.Sequential(conv_relu(192, 192, 3, norm), conv_relu(192, 192, 1, norm), nn.Conv2d(192, 10, 1))

    def forward(self, x):
        x = self.pool2(self.block2(self.pool1(self.block1(x))))
        return self.block3(x).mean((2, 3))


class Inception(nn.Module):
    """GoogLeNet's block: 1x1, 3x3 and 5x5 convolutions, the larger ones behind 1x1 reductions, and a pooling with a 1x1, side by side."""

    def __init__(self, c_in, c1, reduce3, c3, reduce5, c5, pooled, norm):
        super().__init__()
        self.by1 = conv_relu(c_in, c1, 1, norm)
        self.by3 = nn.Sequential(conv_relu(c_in, reduce3, 1, norm), conv_relu(reduce3, c3, 3, norm))
        self.by5 = nn.Sequential(conv_relu(c_in, reduce5, 1, norm), conv_relu(reduce5, c5, 5, norm))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv_relu(c_in, pooled, 1, norm))

    def forward(self, x):
        return torch.cat([self.by1(x), self.by3(x), self.by5(x), self.pool(x)], 1)


class GoogLeNet(nn.Module):
    """Report 2: GoogLeNet (Szegedy et al., 2015, table 1) for CIFAR-10, (n, 3, 32, 32) -> logits (n, 10), without its auxiliary outputs.

    The stem neither strides nor pools, so that its three stages see 32, 16 and 8 pixels a side, for 28, 14 and 7 in the paper.
    dropout acts on the 1024 averaged features.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, norm="none", dropout=0.0):
        super().__init__()
        self.stem = nn.Sequential(conv_relu(3, 64, 3, norm), conv_relu(64, 64, 1, norm), conv_relu(64, 192, 3, norm))
        self.stage3 = nn.Sequential(Inception(192, 64, 96, 128, 16, 32, 32, norm), Inception(256, 128, 128, 192, 32, 96, 64, norm))
        self.stage4 = nn.Sequential(
            Inception(480, 192, 96, 208, 16, 48, 64, norm), Inception(512, 160, 112, 224, 24, 64, 64, norm),
            Inception(512, 128, 128, 256, 24, 64, 64, norm), Inception(512, 112, 144, 288, 32, 64, 64, norm),
            Inception(528, 256, 160, 320, 32, 128, 128, norm))
        self.stage5 = nn.Sequential(Inception(832, 256, 160, 320, 32, 128, 128, norm), Inception(832, 384, 192, 384, 48, 128, 128, norm))
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, 10)

    def forward(self, x):
        x = self.pool(self.stage3(self.stem(x)))
        x = self.stage5(self.pool(self.stage4(x)))
        return self.fc(self.dropout(x.mean((2, 3))))


class BatchNorm(nn.Module):
    """Report 4: batch norm by hand (Ioffe and Szegedy, 2015), per channel (dimension 1). What torch.nn's does, under the same names.

    In training it normalises by mean and (biased) variance of the batch, and moves running_mean and running_var a share `momentum`
    towards the batch's mean and (unbiased) variance; momentum None: their plain average over all batches. In eval it normalises by
    the running ones. Raises ValueError for an input of other dimensions, and in training for a single value per channel.
    """

    dims = ()  # of the inputs it takes

    def __init__(self, features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        if x.dim() not in self.dims:
            raise ValueError(f"expected an input of {' or '.join(map(str, self.dims))} dimensions, got {x.dim()}")
        x = x.to(torch.promote_types(x.dtype, self.weight.dtype))  # after bfloat16 layers too, statistics are taken in float32
        if self.training:
            n = x.numel() // x.shape[1]
            if n < 2:
                raise ValueError(f"expected more than 1 value per channel when training, got an input of {tuple(x.shape)}")
            var, mean = torch.var_mean(x, [d for d in range(x.dim()) if d != 1], correction=0)
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = 1 / self.num_batches_tracked.double() if self.momentum is None else self.momentum
                self.running_mean += share * (mean - self.running_mean)
                self.running_var += share * (var * n / (n - 1) - self.running_var)
        else:
            mean, var = self.running_mean, self.running_var
        # (x - mean) / sqrt(var + eps) * weight + bias, as one multiplication and one addition an element
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x * scale.view(shape) + shift.view(shape)


class BatchNorm1d(BatchNorm):
    """Batch norm of (n, c) or (n, c, l)."""

    dims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch norm of (n, c, h, w)."""

    dims = (4,)


class Dropout(nn.Module):
    """Report 4: dropout by hand, inverted (Srivastava et al., 2014, section 10): in training each value is zeroed with probability p and the
    others are divided by 1 - p, so that eval needs no change. Draws the same values from torch's generator as torch.nn's on a CPU.
    """

    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout must be a probability between 0 and 1, not {p}")
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return x * 0
        return x * torch.empty_like(x).bernoulli_(1 - self.p).div_(1 - self.p)


class MLP(nn.Module):
    """Report 4: flatten 3072, linear 512, batch norm, ReLU, dropout, linear; (n, 3, 32, 32) -> logits (n, 10). norm="none" leaves batch norm out."""

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, norm="bn", dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 512), *([BatchNorm1d(512)] if has_bn(norm) else []), nn.ReLU(), Dropout(dropout),
                                 nn.Linear(512, 10))

    def forward(self, x):
        return self.net(x)


class CNN(nn.Module):
    """Report 4: two blocks of 3x3 convolution (128 and 64 channels, no padding) and max pooling 3 with stride 2, then one linear layer;
    (n, 3, 32, 32) -> logits (n, 10).

    order: the layers of a block, one of ORDERS. Pooling first leaves 4x4 positions instead of 5x5, and the linear layer follows.
    norm="none" leaves batch norm out.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, norm="bn", dropout=0.1, order=ORDERS[0]):
        super().__init__()

        def block(c_in, c_out):
            layers = {"conv": nn.Conv2d(c_in, c_out, 3), "bn": BatchNorm2d(c_out), "relu": nn.ReLU(), "dropout": Dropout(dropout), "pool": nn.MaxPool2d(3, 2)}
            return nn.Sequential(*(layers[name] for name in order.split("-") if name != "bn" or has_bn(norm)))

        self.block1 = block(3, 128)  # 32 -> 30 -> 14; pool first: 15 -> 13
        self.block2 = block(128, 64)  # 12 -> 5; pool first: 6 -> 4
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64 * (16 if order.startswith("pool") else 25), 10)

    def forward(self, x):
        return self.fc(self.flatten(self.block2(self.block1(x))))


class GlobalMaxPool(nn.Module):
    """(n, c, h, w) -> (n, c), the largest of each channel. Not torch's AdaptiveMaxPool2d, whose gradient on CUDA is not deterministic."""

    def forward(self, x):
        return F.max_pool2d(x, x.shape[2:]).flatten(1)


class FeatureNet(nn.Module):
    """Report 5: layers that end in a global max pooling, whose output is the feature vector, then a classifier; (n, 3, 112, 112) -> logits (n, 35)."""

    input_shape = (3, 112, 112)
    task = "classes"

    def __init__(self, layers, classifier):
        super().__init__()
        self.features = nn.Sequential(*layers, GlobalMaxPool())
        self.classifier = classifier
        self.to(memory_format=torch.channels_last)  # only a layout; on a CPU a step takes two thirds to four fifths of the time

    def forward(self, x):
        return self.classifier(self.features(x))


def base():
    """Report 5's net of three convolutions: 398,243 parameters, a feature vector of 256, taken before batch norm and ReLU. The report has ReLU
    before pooling; after it, it is the same function with the same gradients, of a quarter of the values."""
    return FeatureNet(
        [nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # 112 -> 56 -> 28
         nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # 14
         nn.Conv2d(128, 256, 3, padding=1)],
        nn.Sequential(nn.BatchNorm1d(256), nn.ReLU(inplace=True), nn.Linear(256, 64), nn.BatchNorm1d(64), nn.ReLU(inplace=True), nn.Linear(64, 35)))


def conv_bn(c_in, c_out, kernel, stride=1):
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out))


class Residual(nn.Module):
    """ReLU of `body` plus shortcut (He et al., 2016): the input itself, or a 1x1 convolution of it where its size changes."""

    def __init__(self, body, c_in, c_out, stride=1):
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if c_in == c_out and stride == 1 else conv_bn(c_in, c_out, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.body(x) + self.shortcut(x))


def basic(c_in, c_out, stride=1):
    """A basic block: two 3x3 convolutions."""
    return Residual(nn.Sequential(conv_bn(c_in, c_out, 3, stride), nn.ReLU(inplace=True), conv_bn(c_out, c_out, 3)), c_in, c_out, stride)


def bottleneck(c_in, middle, c_out, stride=1):
    """A bottleneck: 1x1 down to `middle` channels, 3x3 (which strides, as torchvision's does), 1x1 up."""
    return Residual(nn.Sequential(conv_bn(c_in, middle, 1), nn.ReLU(inplace=True), conv_bn(middle, middle, 3, stride), nn.ReLU(inplace=True), conv_bn(middle, c_out, 1)),
                    c_in, c_out, stride)


def basic_block():
    """Report 5's net of two basic blocks; a feature vector of 128."""
    return FeatureNet([conv_bn(3, 64, 7, stride=2), nn.ReLU(inplace=True), basic(64, 64), basic(64, 128, stride=2)], nn.Linear(128, 35))  # 112 -> 56 -> 28


def bottleneck_net():
    """Report 5's net of two bottlenecks; a feature vector of 256."""
    return FeatureNet([conv_bn(3, 64, 7, stride=2), nn.ReLU(inplace=True), bottleneck(64, 32, 128), bottleneck(128, 64, 256, stride=2)], nn.Linear(256, 35))


MODELS = {"keypoint": Keypoint, "lenet5": LeNet5, "vgg13": vgg13, "vgg16": vgg16, "vgg19": vgg19, "nin": NiN, "googlenet": GoogLeNet,
          "resnet18": resnet18, "vgg16_imagenet": vgg16_imagenet, "net": Net, "mlp": MLP, "cnn": CNN, "base": base, "basic_block": basic_block,
          "bottleneck": bottleneck_net}
IMAGENET = {"resnet18": "ResNet18_Weights.IMAGENET1K_V1", "vgg16_imagenet": "VGG16_Weights.IMAGENET1K_V1"}  # torchvision's names of the weights
SET_BY_DATA = ("classes", "side")  # what a data set tells those nets that are made for more than one


def flags_of(name):
    """The flags that the net `name` takes, with their defaults: {"norm": "none", ...}."""
    return {key: p.default for key, p in inspect.signature(MODELS[name]).parameters.items() if key not in SET_BY_DATA}


def build(name, classes=None, side=None, **flags):
    """The net `name` with PyTorch's default initialisation, drawn from torch's global generator.

    classes, side: outputs and side of the images in pixels, for the nets that are made for more than one; the others keep their own.
    Raises KeyError for an unknown name, TypeError for a flag that the net does not take, ValueError for one that makes no sense.
    """
    own = inspect.signature(MODELS[name]).parameters
    of_data = {key: number for key, number in (("classes", classes), ("side", side)) if key in own and number is not None}
    return MODELS[name](**flags, **of_data)


def last_linear(model):
    """Name and layer of the last linear layer of a net: the one that a new task replaces. Raises ValueError for a net without any."""
    found = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if not found:
        raise ValueError(f"{type(model).__name__} has no linear layer: where its features end and its classifier begins cannot be said")
    return found[-1]


def classifier_of(model):
    """What follows a net's feature vector: model.classifier or, in a net without one, the last linear layer."""
    return model.classifier if hasattr(model, "classifier") else last_linear(model)[1]


def with_features(model, x):
    """(logits, feature vectors (n, d)) of images: the features are what enters the classifier, whatever the net."""
    entered = []
    hook = classifier_of(model).register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    try:
        return model(x), entered[0]
    finally:
        hook.remove()


def freeze(model, part):
    """Freezes "features", "classifier" or "none" of a net: their parameters learn nothing. The features are all but the classifier. Gives the
    frozen layers, which are to stay in eval mode, so that batch norm keeps its statistics and dropout is off."""
    if part == "none":
        return []
    classifier = set(classifier_of(model).modules())
    frozen = [layer for layer in model.modules() if not list(layer.children()) and (layer in classifier) == (part == "classifier")]
    for layer in frozen:
        layer.requires_grad_(False)
    return frozen


class NoWeights(Exception):
    """Pretrained weights are not here or not these. The message says what was looked for and how to get it."""


def imagenet_file(name, file=None):
    """Path of the ImageNet weights of the net `name`: `file`, or where torchvision keeps them (they may not be there yet)."""
    from torchvision.models import get_weight

    return Path(file) if file else Path(torch.hub.get_dir(), "checkpoints", Path(get_weight(IMAGENET[name]).url).name)


def load_imagenet(model, name, file=None):
    """Loads torchvision's ImageNet weights into `model`, all but those of its last linear layer, which stays as it was drawn.

    They come from `file`, or from torchvision's cache, or are downloaded into it. Raises NoWeights where they cannot be had or do not fit.
    """
    from torchvision.models import get_weight

    path = imagenet_file(name, file)
    how = "Name another with --weights." if file else f"Put {path.name} there, or name a copy with --weights FILE."
    if not path.is_file():
        if file:
            raise NoWeights(f"There is no file {file} with the ImageNet weights of {name}. Name one in torchvision's format, or leave --weights out.")
        waiting = socket.getdefaulttimeout()
        socket.setdefaulttimeout(20)  # torch would wait for ever where packets get lost
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(get_weight(IMAGENET[name]).url, path, path.stem.rpartition("-")[2], progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as e:  # no network, or not the file of that digest
            raise NoWeights(f"The ImageNet weights of {name} are not in {path} and could not be downloaded ({e}). {how}") from e
        finally:
            socket.setdefaulttimeout(waiting)
    name_of_last, _ = last_linear(model)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict({**weights, **{k: v for k, v in model.state_dict().items() if k.startswith(name_of_last + ".")}})
    except Exception as e:  # whatever torch makes of a file that is no weights, or other weights
        raise NoWeights(f"{path} does not hold ImageNet weights of {name} ({' '.join(str(e).split())[:200]}). {how}") from e


def count_parameters(model):
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)

"""Every net of the five reports, as plain modules that read top-down like the reports' tables, and the nets' flags.

    python train.py --model keypoint --data faces21 --optim adam --norm bn
    python -c "import models; print(models.build('lenet5', act='relu'))"

The flags of a net are the arguments of its class or function, and their defaults are its own. MODELS lists the nets by
name. Each has an `input_shape` (c, h, w) and a `task`, "classes" or "landmarks".
"""
import argparse
import functools
import inspect
import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from experiments.hand_written import BatchNorm1d, BatchNorm2d, Dropout

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
NORMS = ("none", "bn", "ln", "in", "gn")
INITS = ("default", "kaiming")
STEMS = ("imagenet", "cifar")
ORDERS = ("conv-bn-relu-dropout-pool", "conv-relu-bn-dropout-pool", "pool-conv-bn-relu-dropout",
          "conv-dropout-bn-relu-pool")


def norm2d(kind, channels):
    """Returns what normalises an input (n, channels, h, w): a list of one layer, or an empty list for "none".

    "bn" is batch norm. The others normalise each image by itself: "ln" over all channels and positions, "in" channel by
    channel, "gn" by groups of channels (Wu and He, 2018): 32 groups, or 4 for fewer than 64 channels, and fewer where
    that number does not divide the channels. Each kind learns a factor and an offset per channel.
    """
    if kind == "none":
        return []
    if kind == "bn":
        return [nn.BatchNorm2d(channels)]
    most = 32 if channels >= 64 else 4
    groups = {"ln": 1, "in": channels, "gn": math.gcd(channels, most)}
    return [nn.GroupNorm(groups[kind], channels)]


def has_bn(norm):
    """Returns whether `norm` is "bn", for nets whose report has no other norm. Raises ValueError for other norms."""
    if norm not in ("none", "bn"):
        raise ValueError(f"--norm {norm} is for lenet5, nin, googlenet and the vggs; this net takes none or bn")
    return norm == "bn"


class DropConnect(nn.Linear):
    """Report 2: a linear layer that drops its weights. In training each is zeroed with probability p and the others are
    divided by 1 - p, by one draw for the whole batch; Wan et al. (2013) draw for each image. Eval mode drops none."""

    def __init__(self, c_in, c_out, p):
        super().__init__(c_in, c_out)
        self.p = p

    def forward(self, x):
        weight = F.dropout(self.weight, self.p, self.training)
        return F.linear(x, weight, self.bias)


def linear(c_in, c_out, dropconnect):
    """Returns a linear layer, with DropConnect where its probability `dropconnect` is not 0."""
    return DropConnect(c_in, c_out, dropconnect) if dropconnect else nn.Linear(c_in, c_out)


class Keypoint(nn.Sequential):
    """Report 1: the landmark net, (n, 1, 112, 112) -> (n, 42) pixel coordinates x1 y1 ... x21 y21.

    The layers run in the order in which they are listed. norm="bn" adds batch norm after conv1_1, conv2_2 and conv3_2,
    between the convolution and its PReLU. (The report says conv3_3, which the net does not have; we take the last
    convolution of that block.) bn_last=True puts it behind the PReLU, where the report's script has it, against its
    text. dropout acts on the 1280 flattened features: 0.3 for the report's "keep 70 %".
    """

    input_shape = (1, 112, 112)
    task = "landmarks"

    def __init__(self, norm="none", bn_last=False, dropout=0.0):
        super().__init__()
        bn = has_bn(norm)
        if bn_last and not bn:
            raise ValueError("--bn-last says where batch norm is: it needs --norm bn")

        def conv(c_in, c_out, kernel, stride=1, padding=0, normed=False):
            layers = [nn.Conv2d(c_in, c_out, kernel, stride, padding), nn.PReLU()]
            if normed:
                layers.insert(2 if bn_last else 1, nn.BatchNorm2d(c_out))
            return nn.Sequential(*layers)

        self.conv1_1 = conv(1, 8, 5, stride=2, normed=bn)  # 112 -> 54
        self.pool1 = nn.AvgPool2d(2, ceil_mode=True)  # 27
        self.conv2_1 = conv(8, 16, 3)  # 25
        self.conv2_2 = conv(16, 16, 3, normed=bn)  # 23
        self.pool2 = nn.AvgPool2d(2, ceil_mode=True)  # 12
        self.conv3_1 = conv(16, 24, 3)  # 10
        self.conv3_2 = conv(24, 24, 3, normed=bn)  # 8
        self.pool3 = nn.AvgPool2d(2, ceil_mode=True)  # 4
        self.conv4_1 = conv(24, 40, 3, padding=1)
        self.conv4_2 = conv(40, 80, 3, padding=1)
        self.flatten = nn.Flatten()  # 80 * 4 * 4 = 1280
        self.dropout = nn.Dropout(dropout)
        self.ip1 = nn.Sequential(nn.Linear(1280, 128), nn.PReLU())
        self.ip2 = nn.Sequential(nn.Linear(128, 128), nn.PReLU())
        self.ip3 = nn.Linear(128, 42)


class CifarNet(nn.Sequential):
    """A net for CIFAR-10, (n, 3, 32, 32) -> logits (n, 10); its layers run in the order in which they are listed."""

    input_shape = (3, 32, 32)
    task = "classes"


class Unused(nn.ModuleList):
    """Layers that a net has and never calls: what enters leaves as it is. Their parameters count in the L2 term."""

    def forward(self, x):
        return x


class LeNet5(CifarNet):
    """Report 2a: LeNet-5. Two blocks of convolution, [norm], [dropout], activation, pooling by 2; then linear layers.

    The defaults are the report's *wide* net; its *classic* one has channels 6,16, kernels 5,5 and fc 120,84, its *2-FC*
    nets fc 128. fc holds the widths of the hidden layers. fc_norm="bn" adds batch norm before the first hidden layer's
    activation and after those of further ones (the report's dropout-early). dropconnect is DropConnect's probability in
    all linear layers. unused=True adds the layers that the report's nets list and never call: batch norm of 128 and of
    96 features and, where there is one hidden layer, linear layers from 128 to 96 and on to 10. The other layers begin
    with the same weights as without them. Raises ValueError unless there are two channels and two kernels that leave a
    pixel.
    """

    def __init__(self, act="sigmoid", pool="avg", channels=(16, 36), kernels=(5, 3), fc=(128, 96), norm="none",
                 dropout=0.0, fc_norm="none", dropconnect=0.0, unused=False):
        super().__init__()
        if len(channels) != 2 or len(kernels) != 2:
            raise ValueError(f"lenet5 takes two --channels and two --kernels, not {channels} and {kernels}")
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
        width = channels[1] * side * side  # wide: 36 * 6 * 6 = 1296; classic: 16 * 5 * 5 = 400
        layers, bn = [], has_bn(fc_norm)
        for number, out in enumerate(fc):
            layers.append(linear(width, out, dropconnect))
            if bn and number == 0:
                layers.append(nn.BatchNorm1d(out))
            layers.append(ACTIVATIONS[act]())
            if bn and number > 0:
                layers.append(nn.BatchNorm1d(out))
            width = out
        layers.append(linear(width, 10, dropconnect))
        if unused:  # drawn last, listed before the last layer, which stays the classifier
            self.unused = Unused([nn.BatchNorm1d(128), nn.BatchNorm1d(96)])
            if len(fc) == 1:
                self.unused.extend([nn.Linear(128, 96), nn.Linear(96, 10)])
        self.fc = nn.Sequential(*layers)


class VGG(CifarNet):
    """Report 2b: VGG (Simonyan and Zisserman, 2015). Five blocks of 3x3 convolutions, [norm] and ReLU, then the head.

    convs holds the number of convolutions in each block. last_pool adds the 1x1 average pooling that the report's vgg16
    and vgg19 have, which changes nothing. dropconnect is DropConnect's probability in all linear layers. Raises
    ValueError unless there are five blocks.
    """

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
        if last_pool:
            layers.append(nn.AvgPool2d(1))
        self.features = nn.Sequential(*layers)  # 32 -> 16 -> 8 -> 4 -> 2 -> 1
        self.flatten = nn.Flatten()
        self.head = nn.Sequential(linear(512, 4096, dropconnect), nn.ReLU(), nn.Dropout(dropout),
                                  linear(4096, 4096, dropconnect), nn.ReLU(), nn.Dropout(dropout),
                                  linear(4096, 10, dropconnect))


def vgg13(convs=(2, 2, 3, 3, 3), norm="none", dropout=0.0, dropconnect=0.0):
    """Report 2's vgg13: VGG with 13 convolutions (elsewhere VGG-16, configuration D), 33,638,218 parameters."""
    return VGG(convs, norm, dropout, dropconnect)


def vgg16(convs=(2, 2, 3, 3, 3), norm="none", dropout=0.0, dropconnect=0.0):
    """Report 2's vgg16: its vgg13 and a pooling that changes nothing."""
    return VGG(convs, norm, dropout, dropconnect, last_pool=True)


def vgg19(convs=(2, 2, 4, 4, 4), norm="none", dropout=0.0, dropconnect=0.0):
    """Report 2's vgg19: VGG with 16 convolutions (configuration E), 38,947,914 parameters."""
    return VGG(convs, norm, dropout, dropconnect, last_pool=True)


def conv_relu(c_in, c_out, kernel, norm):
    """Returns a convolution that keeps the size, [norm] and ReLU: what NiN and GoogLeNet are made of."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), *norm2d(norm, c_out), nn.ReLU())


class NiN(CifarNet):
    """Report 2: Network in Network (Lin et al., 2014), three blocks; 966,986 parameters without norm.

    The last block gives a channel per class, which is averaged over all positions. Its last convolution has neither
    norm nor ReLU here, so that logits may be negative.
    """

    def __init__(self, norm="none", dropout=0.0):
        super().__init__()
        self.block1 = nn.Sequential(
            conv_relu(3, 192, 5, norm), conv_relu(192, 160, 1, norm), conv_relu(160, 96, 1, norm))
        self.pool1 = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.Dropout(dropout))  # 32 -> 16
        self.block2 = nn.Sequential(
            conv_relu(96, 192, 5, norm), conv_relu(192, 192, 1, norm), conv_relu(192, 192, 1, norm))
        self.pool2 = nn.Sequential(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.Dropout(dropout))  # 8
        self.block3 = nn.Sequential(conv_relu(192, 192, 3, norm), conv_relu(192, 192, 1, norm), nn.Conv2d(192, 10, 1))

    def forward(self, x):
        x = self.pool2(self.block2(self.pool1(self.block1(x))))
        return self.block3(x).mean((2, 3))


class Inception(nn.Module):
    """GoogLeNet's block: four branches side by side, whose channels are joined. They are a 1x1 convolution; a 3x3 and a
    5x5 one, each behind a 1x1 convolution that reduces the channels; a max pooling with a 1x1 convolution."""

    def __init__(self, c_in, c1, reduce3, c3, reduce5, c5, pooled, norm):
        super().__init__()
        self.by1 = conv_relu(c_in, c1, 1, norm)
        self.by3 = nn.Sequential(conv_relu(c_in, reduce3, 1, norm), conv_relu(reduce3, c3, 3, norm))
        self.by5 = nn.Sequential(conv_relu(c_in, reduce5, 1, norm), conv_relu(reduce5, c5, 5, norm))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv_relu(c_in, pooled, 1, norm))

    def forward(self, x):
        return torch.cat([self.by1(x), self.by3(x), self.by5(x), self.pool(x)], 1)


class GoogLeNet(CifarNet):
    """Report 2: GoogLeNet (Szegedy et al., 2015, table 1) without its auxiliary outputs.

    The stem neither strides nor pools, so that the three stages see 32, 16 and 8 pixels a side; in the paper they see
    28, 14 and 7. dropout acts on the 1024 averaged features.
    """

    def __init__(self, norm="none", dropout=0.0):
        super().__init__()
        self.stem = nn.Sequential(conv_relu(3, 64, 3, norm), conv_relu(64, 64, 1, norm), conv_relu(64, 192, 3, norm))
        self.stage3 = nn.Sequential(
            Inception(192, 64, 96, 128, 16, 32, 32, norm),
            Inception(256, 128, 128, 192, 32, 96, 64, norm))
        self.stage4 = nn.Sequential(
            Inception(480, 192, 96, 208, 16, 48, 64, norm),
            Inception(512, 160, 112, 224, 24, 64, 64, norm),
            Inception(512, 128, 128, 256, 24, 64, 64, norm),
            Inception(512, 112, 144, 288, 32, 64, 64, norm),
            Inception(528, 256, 160, 320, 32, 128, 128, norm))
        self.stage5 = nn.Sequential(
            Inception(832, 256, 160, 320, 32, 128, 128, norm),
            Inception(832, 384, 192, 384, 48, 128, 128, norm))
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, 10)

    def forward(self, x):
        x = self.pool(self.stage3(self.stem(x)))
        x = self.stage5(self.pool(self.stage4(x)))
        return self.fc(self.dropout(x.mean((2, 3))))


def resnet18(stem="imagenet", classes=10, side=32):
    """torchvision's ResNet-18 (reports 2, 3 and 5), (n, 3, side, side) -> logits (n, classes).

    11.18 M parameters with 10 classes; the feature vector is the 512 values that enter its last layer, fc. stem="cifar"
    (report 2) is a 3x3 convolution of stride 1 without pooling, which leaves 32x32 positions of an image, not 8x8.
    """
    from torchvision.models import resnet18  # here: importing torchvision takes as long as importing torch
    model = resnet18(num_classes=classes)
    if stem == "cifar":
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # torchvision's own rule
    model.input_shape, model.task = (3, side, side), "classes"
    return model


def vgg16_imagenet(classes=35, side=224):
    """torchvision's VGG-16 for ImageNet (report 5), (n, 3, side, side) -> logits (n, classes).

    A feature vector of 25088, then 4096, 4096 and the outputs. Report 2's vgg16 is another net, made for 32x32 images.
    """
    from torchvision.models import vgg16
    model = vgg16(num_classes=classes)
    model.input_shape, model.task = (3, side, side), "classes"
    return model


class Net(CifarNet):
    """Report 3: two blocks of 5x5 convolution, ReLU and max pooling by 2, then linear layers to 120, 84 and 10.

    norm="bn" adds batch norm after each pooling and after fc1's ReLU (the report's Net1), and dropout acts in the same
    places, behind it. channels 12,32 is Net3, 256,256 Net4. init="kaiming" (Net2) draws the weights, not the biases, by
    Kaiming's uniform rule for ReLU, fan-in; PyTorch's default is the same rule with a = sqrt(5), whose bound is smaller
    by the factor sqrt(6). Raises ValueError unless there are two channels.
    """

    def __init__(self, channels=(6, 16), norm="none", dropout=0.0, init="default"):
        super().__init__()
        if len(channels) != 2:
            raise ValueError(f"net takes two --channels, not {channels}")
        c1, c2 = channels
        bn = has_bn(norm)

        def block(layers, norm_layer):
            if bn:
                layers.append(norm_layer)
            if dropout:
                layers.append(nn.Dropout(dropout))
            return nn.Sequential(*layers)

        self.conv1 = block([nn.Conv2d(3, c1, 5), nn.ReLU(), nn.MaxPool2d(2)], nn.BatchNorm2d(c1))  # 32 -> 28 -> 14
        self.conv2 = block([nn.Conv2d(c1, c2, 5), nn.ReLU(), nn.MaxPool2d(2)], nn.BatchNorm2d(c2))  # 10 -> 5
        self.flatten = nn.Flatten()  # 16 * 5 * 5 = 400
        self.fc1 = block([nn.Linear(c2 * 5 * 5, 120), nn.ReLU()], nn.BatchNorm1d(120))
        self.fc2 = nn.Sequential(nn.Linear(120, 84), nn.ReLU())
        self.fc3 = nn.Linear(84, 10)
        if init == "kaiming":
            for layer in self.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")


class MLP(CifarNet):
    """Report 4: flatten 3072, linear 512, batch norm, ReLU, dropout, linear. norm="none" leaves batch norm out."""

    def __init__(self, norm="bn", dropout=0.5):
        super().__init__()
        layers = [nn.Flatten(), nn.Linear(3072, 512)]
        if has_bn(norm):
            layers.append(BatchNorm1d(512))
        self.net = nn.Sequential(*layers, nn.ReLU(), Dropout(dropout), nn.Linear(512, 10))


class CNN(CifarNet):
    """Report 4: two blocks of 3x3 convolution and max pooling 3x3 with stride 2, then one linear layer.

    order is the order of a block's layers, one of ORDERS. With pooling first, 4x4 positions are left instead of 5x5,
    and the linear layer's input follows. norm="none" leaves batch norm out.
    """

    def __init__(self, norm="bn", dropout=0.1, order=ORDERS[0]):
        super().__init__()
        names = order.split("-")
        if not has_bn(norm):
            names.remove("bn")

        def block(c_in, c_out):
            layers = {"conv": nn.Conv2d(c_in, c_out, 3), "bn": BatchNorm2d(c_out), "relu": nn.ReLU(),
                      "dropout": Dropout(dropout), "pool": nn.MaxPool2d(3, 2)}
            return nn.Sequential(*[layers[name] for name in names])

        self.block1 = block(3, 128)  # 32 -> 30 -> 14; pooling first: 15 -> 13
        self.block2 = block(128, 64)  # 12 -> 5; pooling first: 6 -> 4
        self.flatten = nn.Flatten()
        side = 4 if names[0] == "pool" else 5
        self.fc = nn.Linear(64 * side * side, 10)


class GlobalMaxPool(nn.Module):
    """The largest value of each channel, (n, c, h, w) -> (n, c). Unlike that of torch's AdaptiveMaxPool2d, its gradient
    on CUDA is deterministic."""

    def forward(self, x):
        return F.max_pool2d(x, x.shape[2:]).flatten(1)


class FeatureNet(nn.Sequential):
    """Report 5: layers, a global max pooling, whose output is the feature vector, and a classifier that runs on it;
    (n, 3, 112, 112) -> logits (n, 35)."""

    input_shape = (3, 112, 112)
    task = "classes"

    def __init__(self, layers, classifier):
        super().__init__()
        self.features = nn.Sequential(*layers, GlobalMaxPool())
        self.classifier = classifier


def base():
    """Report 5's net of three convolutions: 398,243 parameters, a feature vector of 256 (before batch norm and ReLU).

    The report has ReLU before pooling. Here it comes after, which gives the same values and gradients with less work.
    """
    layers = [nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64), nn.MaxPool2d(2), nn.ReLU(inplace=True),
              nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.MaxPool2d(2), nn.ReLU(inplace=True),
              nn.Conv2d(128, 256, 3, padding=1)]
    classifier = nn.Sequential(nn.BatchNorm1d(256), nn.ReLU(inplace=True), nn.Linear(256, 64),
                               nn.BatchNorm1d(64), nn.ReLU(inplace=True), nn.Linear(64, 35))
    return FeatureNet(layers, classifier)


def conv_bn(c_in, c_out, kernel, stride=1):
    """Returns a convolution without bias and its batch norm; with stride 1 it keeps the size."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class Residual(nn.Module):
    """ReLU of body(x) + shortcut(x) (He et al., 2016). The shortcut is x, or a 1x1 convolution if the size changes."""

    def __init__(self, body, c_in, c_out, stride=1):
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if c_in == c_out and stride == 1 else conv_bn(c_in, c_out, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.body(x) + self.shortcut(x))


def basic(c_in, c_out, stride=1):
    """Returns a basic block: two 3x3 convolutions."""
    body = nn.Sequential(conv_bn(c_in, c_out, 3, stride), nn.ReLU(inplace=True), conv_bn(c_out, c_out, 3))
    return Residual(body, c_in, c_out, stride)


def bottleneck(c_in, middle, c_out, stride=1):
    """Returns a bottleneck: 1x1 down to `middle` channels, 3x3 (which strides, as in torchvision), 1x1 up."""
    body = nn.Sequential(conv_bn(c_in, middle, 1), nn.ReLU(inplace=True),
                         conv_bn(middle, middle, 3, stride), nn.ReLU(inplace=True), conv_bn(middle, c_out, 1))
    return Residual(body, c_in, c_out, stride)


def basic_block():
    """Report 5's net of two basic blocks; a feature vector of 128."""
    layers = [conv_bn(3, 64, 7, stride=2), nn.ReLU(inplace=True), basic(64, 64), basic(64, 128, stride=2)]
    return FeatureNet(layers, nn.Linear(128, 35))  # 112 -> 56 -> 28


def bottleneck_net():
    """Report 5's net of two bottlenecks; a feature vector of 256."""
    layers = [conv_bn(3, 64, 7, stride=2), nn.ReLU(inplace=True),
              bottleneck(64, 32, 128), bottleneck(128, 64, 256, stride=2)]
    return FeatureNet(layers, nn.Linear(256, 35))  # 112 -> 56 -> 28


MODELS = {"keypoint": Keypoint, "lenet5": LeNet5, "vgg13": vgg13, "vgg16": vgg16, "vgg19": vgg19, "nin": NiN,
          "googlenet": GoogLeNet, "resnet18": resnet18, "vgg16_imagenet": vgg16_imagenet, "net": Net, "mlp": MLP,
          "cnn": CNN, "base": base, "basic_block": basic_block, "bottleneck": bottleneck_net}
# The nets whose step is faster with channels_last memory, channel by channel of a pixel (results/bench.md). It is only
# a layout; but dropout draws in the order of memory, and so for other values.
CHANNELS_LAST = ("keypoint", "vgg13", "vgg16", "vgg19", "nin", "googlenet", "vgg16_imagenet", "cnn", "base",
                 "basic_block", "bottleneck")
SMALL = ("lenet5", "net", "mlp")  # their steps are too short to gain from a second CPU thread
IMAGENET = ("resnet18", "vgg16_imagenet")  # torchvision has ImageNet weights of these


def flags_of(name):
    """Returns the flags that the net `name` takes, with their defaults: {"norm": "none", ...}."""
    arguments = inspect.signature(MODELS[name]).parameters
    set_by_data = ("classes", "side")
    return {flag: argument.default for flag, argument in arguments.items() if flag not in set_by_data}


def build(name, classes=None, side=None, **flags):
    """Returns the net `name` with PyTorch's default initialisation, drawn from torch's global generator.

    classes, side: number of classes and side of the images in pixels, for the nets that take more than one; the others
    keep their own. Raises KeyError for an unknown name, TypeError for a flag that the net does not take, and ValueError
    for one that makes no sense.
    """
    takes = inspect.signature(MODELS[name]).parameters
    if "classes" in takes and classes is not None:
        flags["classes"] = classes
    if "side" in takes and side is not None:
        flags["side"] = side
    return MODELS[name](**flags)


def probability(text):
    """An argparse type: a number, at least 0 and below 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text}")
    return value


def widths(text, most=2**31 - 1):
    """An argparse type: whole numbers with commas, such as 16,36, each from 1 to `most`, as a tuple."""
    words = text.split(",")
    if not all(re.fullmatch(r"\s*\d{1,10}\s*", word) and 0 < int(word) <= most for word in words):
        raise argparse.ArgumentTypeError("must be a list of whole numbers such as 16,36, each at least 1 and at most "
                                         f"{most}, not {text}")
    return tuple(int(word) for word in words)


def add_flags(parser):
    """Adds the group "model" to an argparse parser. A net's own flags have no default there: the net decides."""
    group = parser.add_argument_group("model", "each net takes some of these flags and refuses the others",
                                      argument_default=argparse.SUPPRESS)
    add = group.add_argument
    up_to_65536, up_to_1000 = (functools.partial(widths, most=most) for most in (65536, 1000))
    add("--model", default="lenet5", choices=MODELS, help="the net")
    add("--act", choices=ACTIVATIONS, help="activation (lenet5: sigmoid)")
    add("--pool", choices=POOLINGS, help="pooling (lenet5: avg)")
    add("--channels", type=up_to_65536, help="channels of the convolutions (lenet5: 16,36, classic 6,16; net: 6,16)")
    add("--kernels", type=up_to_65536, help="kernel sizes of the convolutions (lenet5: 5,3; classic 5,5)")
    add("--fc", type=up_to_65536, help="widths of the hidden linear layers (lenet5: 128,96; classic 120,84; 2-FC 128)")
    add("--convs", type=up_to_1000, help="convolutions in each block (vgg13, vgg16: 2,2,3,3,3; vgg19: 2,2,4,4,4)")
    add("--norm", choices=NORMS, help="batch, layer, instance or group norm (mlp, cnn: bn; others: none)")
    add("--fc-norm", choices=("none", "bn"), help="norm of the hidden linear layers (lenet5: none)")
    add("--bn-last", action="store_true", help="batch norm behind the activation (keypoint: before it)")
    add("--dropout", type=probability, help="probability that a feature is zeroed (mlp: 0.5; cnn: 0.1; others: 0)")
    add("--dropconnect", type=probability, help="probability that a linear layer's weight is zeroed (default: 0)")
    add("--unused", action="store_true", help="the layers that report 2's nets list and never call (lenet5: without)")
    add("--stem", choices=STEMS, help="first layers (resnet18: imagenet, torchvision's)")
    add("--order", choices=ORDERS, help=f"order of the layers in a block (cnn: {ORDERS[0]})")
    add("--init", choices=INITS, help="how the first weights are drawn (net: default, PyTorch's own)")
    add("--pretrained", action="store_true", default=False,
        help=f"start from torchvision's ImageNet weights, but for a new last layer ({', '.join(IMAGENET)})")
    add("--weights", default=None, metavar="FILE", help="their file; default: torchvision's cache, filled by download")
    add("--init-from", default=None, metavar="RUN", help="start from this run's final weights, by seed, or a .pt file")
    add("--freeze", default="none", choices=("none", "features", "classifier"),
        help="what learns nothing: the classifier (the last layer of a net that names none) or all layers before it")


def resolve_flags(flags, given):
    """Sets every net's flags: as given, by the net's default, or to None where the net does not have the flag.

    flags: argparse.Namespace of all flags, which is changed. given: {name: value} of those that were typed. Raises
    ValueError with a sentence for a flag that the net does not take and for contradictions.
    """
    takes = flags_of(flags.model)
    for flag in sorted({flag for name in MODELS for flag in flags_of(name)}):
        if flag in given and flag not in takes:
            refused = "--" + flag.replace("_", "-")
            taken = ", ".join("--" + name.replace("_", "-") for name in takes) or "none of these flags"
            raise ValueError(f"{flags.model} has no {refused}; it takes {taken}")
        setattr(flags, flag, given.get(flag, takes.get(flag)))
    if flags.pretrained and (flags.model not in IMAGENET or flags.init_from):
        raise ValueError(f"--pretrained is for {', '.join(IMAGENET)} and excludes --init-from")
    if flags.pretrained and flags.stem == "cifar":
        raise ValueError("--pretrained weights are those of --stem imagenet")
    if flags.freeze == "features" and not (flags.pretrained or flags.init_from):
        raise ValueError("--freeze features keeps them as they are: it needs --pretrained or --init-from")


def last_linear(model):
    """Returns (name, layer) of a net's last linear layer, which a new task replaces. Raises ValueError without any."""
    found = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if not found:
        raise ValueError(f"{type(model).__name__} has no linear layer that would part its features from its classifier")
    return found[-1]


def classifier_of(model):
    """Returns what follows a net's feature vector: model.classifier or, in a net without one, the last linear layer."""
    return model.classifier if hasattr(model, "classifier") else last_linear(model)[1]


def with_features(model, x):
    """Returns (logits, feature vectors (n, d)) of images. The features are what enters the classifier, in any net."""
    entered = []
    hook = classifier_of(model).register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    try:
        return model(x), entered[0]
    finally:
        hook.remove()


def freeze(model, part):
    """Freezes "features" (all but the classifier), "classifier" or "none": these parameters learn nothing. Returns the
    frozen layers, which the caller keeps in eval mode, so that batch norm keeps its statistics and dropout is off."""
    if part == "none":
        return []
    classifier = set(classifier_of(model).modules())
    frozen = []
    for layer in model.modules():
        lies_in = "classifier" if layer in classifier else "features"
        if lies_in == part and not list(layer.children()):
            frozen.append(layer.requires_grad_(False))
    return frozen


def count_parameters(model):
    """Returns the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)

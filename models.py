"""Every net of the five reports, as plain modules that read top-down like the reports' tables.

    python train.py --model keypoint --data faces21 --optim adam --norm bn
    python -c "import models; print(models.build('lenet5', act='relu'))"

A net is built from its own flags and nothing else: the keyword arguments of its class are the flags of train.py that it
takes, and MODELS is the list of names. Nothing here imports the rest of the project.
"""
import inspect

import torch
from torch import nn

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
NORMS = ("none", "bn")


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
            if normed and norm == "bn":
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

    Two rounds of convolution, [batch norm], [dropout], activation, pooling by 2; then the fully connected layers. The report's
    *wide* net is the default; its *classic* one is channels 6,16, kernels 5,5, fc 120,84; its *2-FC* nets have fc 128 only.
    Dropout sits on the convolutions' outputs, before the activation, as the report has it.

    channels and kernels hold two numbers each, fc the widths of the hidden layers. Raises ValueError where the kernels leave
    no pixel.
    """

    input_shape = (3, 32, 32)
    task = "classes"

    def __init__(self, act="sigmoid", pool="avg", channels=(16, 36), kernels=(5, 3), fc=(128, 96), norm="none", dropout=0.0):
        super().__init__()
        if len(channels) != 2 or len(kernels) != 2:
            raise ValueError(f"lenet5 has two convolutions: two --channels and two --kernels, not {channels} and {kernels}")
        side = ((32 - kernels[0] + 1) // 2 - kernels[1] + 1) // 2
        if side < 1:
            raise ValueError(f"--kernels {kernels[0]},{kernels[1]} leave no pixel of a 32x32 image")

        def block(c_in, c_out, kernel):
            layers = [nn.Conv2d(c_in, c_out, kernel)]
            if norm == "bn":
                layers.append(nn.BatchNorm2d(c_out))
            if dropout:
                layers.append(nn.Dropout(dropout))
            return nn.Sequential(*layers, ACTIVATIONS[act](), POOLINGS[pool](2))

        self.conv1 = block(3, channels[0], kernels[0])
        self.conv2 = block(channels[0], channels[1], kernels[1])
        self.flatten = nn.Flatten()
        hidden, width = [], channels[1] * side * side  # wide: 36 * 6 * 6 = 1296; classic: 16 * 5 * 5 = 400
        for out in fc:
            hidden += [nn.Linear(width, out), ACTIVATIONS[act]()]
            width = out
        self.fc = nn.Sequential(*hidden, nn.Linear(width, 10))

    def forward(self, x):
        return self.fc(self.flatten(self.conv2(self.conv1(x))))


MODELS = {"keypoint": Keypoint, "lenet5": LeNet5}


def flags_of(name):
    """The flags that the net `name` takes, with their defaults: {"norm": "none", ...}."""
    return {key: p.default for key, p in inspect.signature(MODELS[name]).parameters.items()}


def build(name, **flags):
    """The net `name` with PyTorch's default initialisation, drawn from torch's global generator.

    Raises KeyError for an unknown name, TypeError for a flag that the net does not take, ValueError for one that makes no sense.
    """
    return MODELS[name](**flags)


def count_parameters(model):
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)

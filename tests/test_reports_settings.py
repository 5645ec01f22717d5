"""Every run that the reports name, or that the choices made for them name, held to its settings and printed numbers.

The table is written from the reports, not from experiments/*.mk; five of its runs are declared as second names of
others. It says nothing about other runs: a comparison that is
added needs no line here. A setting that a line does not name, nor what is common to its report, must be off, or
train.py's default for that net and data set.
"""
import pytest
import torch

import models
import train
from experiments import declarations, runs

DECLARED = declarations.declarations()

# What a run does only if its line says so.
OFF = dict(pretrained=False, init_from=None, freeze="none", synthetic=False, flip=False, pad_crop=0, autoaugment=0,
           augmix=0, input_noise=0, input_dropout=0, rotated_copies=0, rotation=0, label_noise=0, clean_by=None,
           clean_share=0, drop_last=False, loss="cross-entropy", l2=0, label_smoothing=0, weight_decay=0, clip=0,
           schedule="none", switch_after=0, early_stop=0, test_weights="final", test_each_epoch=False,
           protocol="default", valid_rotation=0, max_steps=None)
TABLE = {}  # {run: (settings, printed numbers)}


def add(report, common, rows):
    """Adds lines of a report, {run: what differs from `common`} or {run: (what differs, printed numbers)}."""
    for run, line in rows.items():
        changes, want = line if isinstance(line, tuple) else (line, "")
        TABLE[f"{report}/{run}"] = OFF | common | changes, want


def multistep(gamma, *milestones):
    return dict(schedule="multistep", gamma=gamma, milestones=milestones)


def step(size, gamma):
    return dict(schedule="step", step_size=size, gamma=gamma)


def half(epochs):
    """The rate is halved at the start of epochs 5, 10, 15, ..."""
    return multistep(0.5, *range(4, epochs, 5))


# ---- report 1 -------------------------------------------------------------------------------------------------------

FACES = dict(model="keypoint", data="faces21", split="photograph", normalise=None, loss="mse", rotated_copies=15,
             batch_size=64, epochs=250, valid_rotation=30, norm="none", dropout=0)
ADAM = dict(optim="adam", lr=0.01)
THEN_SGD = dict(switch_optim="sgd", switch_lr=1e-5, momentum=0.9)
LEAK = ADAM | dict(norm="bn", split="leak", rotated_copies=0)
add("keypoints", FACES, {
    "sgd": dict(optim="sgd", lr=1e-5, momentum=0.9),
    "adam": ADAM,
    "adam-sgd": ADAM | THEN_SGD | dict(switch_after=200),
    "adam-step": ADAM | step(100, 0.5),
    "adam-bn": (ADAM | dict(norm="bn"), "valid_loss=6"),
    "adam-bn-dropout": (ADAM | dict(norm="bn", dropout=0.3), "valid_loss=6"),
    "adam-lr-1e-1": ADAM | dict(lr=0.1),
    "adam-lr-1e-3": ADAM | dict(lr=0.001),
    "adam-lr-1e-4": ADAM | dict(lr=0.0001),
    "adam-400": ADAM | dict(epochs=400),
    "adam-sgd-400": ADAM | THEN_SGD | dict(switch_after=350, epochs=400),
    "adam-bn-leak": (LEAK, "valid_loss=6"),
    "adam-bn-dropout-leak": (LEAK | dict(dropout=0.3), "valid_loss=6"),
})

# ---- report 2a ------------------------------------------------------------------------------------------------------


def losses(batch_size, by_epoch, with_l2=(False,)):
    """Printed losses {epoch: loss}, means over the batch size; with the L2 term, without it, or both: not known."""
    names = ["train_loss+penalty" if l2 else "train_loss" for l2 in with_l2]
    return " ".join(f"{loss}/{batch_size}@{epoch}={x}" for loss in names for epoch, x in by_epoch.items())


NOT_KNOWN = (False, True)
LENET = dict(model="lenet5", data="cifar10", normalise="half", split="random", batch_size=4, optim="sgd", lr=0.01,
             momentum=0.9, act="relu", pool="max", norm="none", fc_norm="none", dropout=0, dropconnect=0)
CLASSIC = dict(channels=(6, 16), kernels=(5, 5), fc=(120, 84))
WIDE = dict(channels=(16, 36), kernels=(5, 3), fc=(128, 96))
TWO_FC = dict(channels=(16, 36), kernels=(5, 3), fc=(128,))
FIRST = dict(split="all", pool="avg", lr=0.001, epochs=10)  # on all 50,000 training images
L2 = dict(l2=0.01)
BN_DROPOUT = L2 | dict(norm="bn", dropout=0.5)
MOMENTUM_99 = L2 | half(10) | dict(dropout=0.5, momentum=0.99, clip=1, epochs=10)
TEMPLATE = BN_DROPOUT | half(50) | dict(clip=1, epochs=50)
ALL = BN_DROPOUT | half(30) | CLASSIC | dict(pool="avg", dropconnect=0.5, epochs=30)
add("lenet_vgg", LENET, {
    "sigmoid-classic": (FIRST | CLASSIC | dict(act="sigmoid"), "tail_loss=2.055"),
    "sigmoid-wide": (FIRST | WIDE | dict(act="sigmoid"), "tail_loss=2.084 test_acc=0.20"),
    "relu-wide": (FIRST | WIDE, "tail_loss=0.512..0.547 test_acc=0.68..0.69"),
    "relu-classic": (FIRST | CLASSIC, "tail_loss=0.891 test_acc=0.62"),
    "momentum99": (WIDE | BN_DROPOUT | dict(lr=0.001, momentum=0.99, epochs=1), losses(4, {1: "nan"})),
    "momentum99-clip": (WIDE | BN_DROPOUT | dict(lr=0.001, momentum=0.99, epochs=1, clip=1),
                        losses(4, {1: 13.259}, NOT_KNOWN)),
    "lr01-momentum9": (WIDE | BN_DROPOUT | dict(epochs=4),
                       losses(4, {1: 0.563, 2: 0.453, 3: 0.450, 4: 0.448}, NOT_KNOWN)),
    "dropout-early": (CLASSIC | BN_DROPOUT | half(10) | dict(pool="avg", fc_norm="bn", epochs=10),
                      losses(4, {1: 0.569, 10: 0.385}, NOT_KNOWN) + " valid_acc=0.50"),
    "fc2-dropout": (TWO_FC | MOMENTUM_99, losses(4, {1: 0.592, 10: 0.351}, NOT_KNOWN) + " valid_acc=0.56"),
    "fc2-bn-dropout": (TWO_FC | MOMENTUM_99 | dict(norm="bn"),
                       losses(4, {1: 0.662, 10: 0.374}, [True]) + " valid_acc=0.60"),
    "fc3-bn-dropout": (WIDE | MOMENTUM_99 | dict(norm="bn"),
                       losses(4, {1: 0.636, 10: 0.398}, [True]) + " valid_acc=0.58"),
    "template1": (WIDE | TEMPLATE, losses(4, {1: 0.633, 50: 0.347}, [True]) + " valid_acc=0.64"),
    "template2": (TWO_FC | TEMPLATE, losses(4, {1: 0.409, 50: 0.249}) + " valid_acc=0.64..0.65"),
    "all-sigmoid": (ALL | dict(act="sigmoid"),
                    "tail_loss+penalty@25=2.311..2.326 tail_loss+penalty@30=2.311..2.326"),
    "all-relu": ALL,
    "protocol-fc2-bn-dropout": (TWO_FC | MOMENTUM_99 | dict(norm="bn", protocol="report"), "valid_acc=0.60"),
    "protocol-template2": (TWO_FC | TEMPLATE | dict(protocol="report"), "valid_acc=0.64..0.65"),
})

# ---- report 2b ------------------------------------------------------------------------------------------------------


def at_10_20_30(*percentages):
    """Printed valid accuracies in %, cut off, not rounded."""
    return " ".join(f"valid_acc@{epoch}={x / 100:.2f}" for epoch, x in zip((10, 20, 30), percentages))


def l2(strength):
    return dict(l2=strength, clip=1)


VGG = half(30) | dict(data="cifar10", normalise="half", split="random", batch_size=128, optim="sgd", lr=0.01,
                      momentum=0.9, epochs=30, dropout=0)
AUG = dict(flip=True, pad_crop=4)
BN = dict(norm="bn")
SCORED = dict(test_weights="best")  # those of exp-vgg-final
VGG13 = VGG | dict(model="vgg13", convs=(2, 2, 3, 3, 3))
VGG16 = VGG | dict(model="vgg16", convs=(2, 2, 3, 3, 3))
VGG19 = VGG | dict(model="vgg19", convs=(2, 2, 4, 4, 4))


def dropout(probability):
    return dict(dropout=probability)


add("lenet_vgg", VGG13, {
    "vgg1-all": (BN | AUG | l2(0.01) | dropout(0.5),
                 at_10_20_30(76, 78, 79) + " " + losses(128, {1: 0.014, 30: 0.004})),
    "vgg1-no-aug": BN | l2(0.01) | dropout(0.5),
    "vgg1-no-l2": BN | AUG | dropout(0.5),
    "vgg1-no-bn": (AUG | l2(0.01) | dropout(0.5) | dict(norm="none"), at_10_20_30(9) + " " + losses(128, {10: 0.018})),
    "vgg1-no-dropout": BN | AUG | l2(0.01),
    "vgg2-none": (dict(norm="none"), at_10_20_30(9, 9, 9) + " " + losses(128, {30: 0.018})),
    "vgg3-l2": BN | l2(0.05),
    "vgg4-dropout": BN | dropout(0.5),
    "vgg5-aug": (BN | AUG, at_10_20_30(85, 86, 86)),
    "vgg6-bn": (BN, "valid_acc=0.84"),
    "vggdrop-1": (BN | l2(0.01) | dropout(0.1), at_10_20_30(80, 83, 83) + " " + losses(128, {1: 0.013, 30: 0.002})),
    "vggdrop-2": (BN | l2(0.01) | dropout(0.2), at_10_20_30(80, 83, 84) + " " + losses(128, {1: 0.013, 30: 0.002})),
    "vggdrop-3": (BN | l2(0.01) | dropout(0.3), at_10_20_30(81, 84, 84)),
    "vggdrop-4": (BN | l2(0.01) | dropout(0.4), at_10_20_30(80, 83, 83)),
    "vggdrop-5": (BN | l2(0.01) | dropout(0.5), at_10_20_30(80, 82, 83)),
    "vggdrop-1-l2-3": (BN | l2(0.03) | dropout(0.1), at_10_20_30(82, 85, 86)),
    "vggdrop-1-l2-5": (BN | l2(0.05) | dropout(0.1), at_10_20_30(80, 86, 87)),
    "protocol-vgg1-all": (BN | AUG | l2(0.01) | dropout(0.5) | dict(protocol="report"), at_10_20_30(76, 78, 79)),
})
add("lenet_vgg", VGG16 | BN, {
    "vgg16-all": AUG | l2(0.01) | dropout(0.2),
    "vgg16-bn": ({}, at_10_20_30(83, 83, 84)),
    "vgg16-bn-dropout": (dropout(0.5), at_10_20_30(83, 83, 84)),
    "vgg16-l2-10": (l2(0.1), at_10_20_30(82, 83, 83)),
    "vgg16-l2-5": (l2(0.05), at_10_20_30(82, 83, 83)),
    "vgg16-l2-1-aug": AUG | l2(0.01),
    "vgg16-l2-5-aug": (AUG | l2(0.05), at_10_20_30(82, 84, 85)),
})
add("lenet_vgg", VGG19 | BN, {
    "vgg19-yy": (AUG | l2(0.05) | SCORED, at_10_20_30(83, 86, 86)),
    "vgg19-xx": (AUG | l2(0.05) | dropout(0.3) | SCORED, at_10_20_30(83, 86, 86)),
    "vgg19-zz": (AUG | l2(0.05) | dropout(0.5), at_10_20_30(83, 85, 85)),
    "vgg19-xx-l2-10": (AUG | l2(0.1) | dropout(0.3) | SCORED, "test_acc=0.85"),
    "vgg19-l2": (l2(0.05), at_10_20_30(84, 85, 86)),
    "vgg19-aug": (AUG | SCORED, at_10_20_30(84, 86, 86) + " test_acc=0.85"),
    "vgg19-plain": {},
})

# ---- report 2c, named EXP-VARIANT -----------------------------------------------------------------------------------

BASE_2C = LENET | WIDE | dict(pool="avg", lr=0.001, epochs=10)
add("lenet_vgg", BASE_2C, {
    "norm-bn": BN, "norm-ln": dict(norm="ln"), "norm-in": dict(norm="in"), "norm-gn": dict(norm="gn"),
    "kernel-3": dict(kernels=(3, 3)), "kernel-5": dict(kernels=(5, 5)), "kernel-7": dict(kernels=(7, 7)),
    "dropconnect-0.5": dict(dropconnect=0.5)})
add("lenet_vgg", VGG13, {
    "norm-vgg-ln": dict(norm="ln"), "norm-vgg-in": dict(norm="in"), "norm-vgg-gn": dict(norm="gn")})
add("lenet_vgg", BASE_2C | dict(epochs=40), {
    "lr-decay-none": {}, "lr-decay-half5": half(40), "lr-decay-step10": step(10, 0.01),
    "lr-decay-step30": step(30, 0.1), "lr-decay-multistep": multistep(0.1, 10, 20, 30),
    "lr-decay-cosine": dict(schedule="cosine"), "lr-decay-plateau": dict(schedule="plateau", patience=3, gamma=0.1)})
add("lenet_vgg", BASE_2C | dict(epochs=20), {
    "regularizers-none": {}, "regularizers-smoothing": dict(label_smoothing=0.1),
    "regularizers-noise": dict(input_noise=0.1), "regularizers-input-dropout": dict(input_dropout=0.2),
    "regularizers-early-stop": dict(early_stop=3, test_weights="best")})
add("lenet_vgg", VGG, {
    "architectures-nin": dict(model="nin", norm="bn"), "architectures-googlenet": dict(model="googlenet", norm="bn"),
    "architectures-resnet18": dict(model="resnet18", stem="cifar", dropout=None)})

# ---- report 3 -------------------------------------------------------------------------------------------------------


def by_epoch(*percentages):
    return " ".join(f"test_acc@{epoch}={x / 100:.2f}" for epoch, x in enumerate(percentages, 1))


NET = dict(model="net", data="cifar10", split="all", normalise="half", test_each_epoch=True, batch_size=64, epochs=12,
           optim="sgd", lr=0.001, momentum=0.9, channels=(6, 16), norm="none", dropout=0, init="default")
BEST_RECIPE = dict(optim="adam", lr=0.002, weight_decay=1e-4, schedule="cosine", flip=True, pad_crop=2)
BEST = BEST_RECIPE | dict(channels=(256, 256), norm="bn", dropout=0.1)
RESNET = NET | BEST_RECIPE | dict(model="resnet18", channels=None, norm=None, dropout=None, init=None,
                                  stem="imagenet", autoaugment=0.6)
STEP_5 = step(5, 0.5) | dict(lr=0.002)
add("net", NET, {
    "baseline": ({}, "test_acc=0.56 train_loss=1.209..1.211 "
                 + by_epoch(16, 29, 36, 40, 43, 46, 48, 50, 51, 53, 55, 56)),
    "batch-16": (dict(batch_size=16), "test_acc=0.65"),
    "batch-32": (dict(batch_size=32), "test_acc=0.63"),
    "batch-128": (dict(batch_size=128), "test_acc=0.47"),
    "flip": (dict(flip=True), "test_acc=0.56 train_loss=1.226"),
    "adam": (dict(optim="adam"), "test_acc=0.65 train_loss=0.779 "
             + by_epoch(48, 54, 57, 60, 62, 62, 63, 64, 63, 65, 64, 65)),
    "sgd-step": (STEP_5, "test_acc=0.60 train_loss=1.068"),
    "adam-step": (STEP_5 | dict(optim="adam"), "test_acc=0.65 train_loss=0.668"),
    "bn": (BN, "test_acc=0.65"),
    "kaiming": (dict(init="kaiming"), "test_acc=0.57"),
    "double": (dict(channels=(12, 32)), "test_acc=0.60"),
    "best": (BEST | dict(autoaugment=0.6), "test_acc=0.83"),
    "best-augmix": BEST | dict(augmix=0.6),
    "batch-128-lr2": dict(batch_size=128, lr=0.002),
    "batch-128-epochs24": dict(batch_size=128, epochs=24),
    "sgd-lr2": dict(lr=0.002),
    "adam-lr2": dict(optim="adam", lr=0.002),
})
add("net", RESNET, {
    "resnet18": ({}, "test_acc=0.83"),
    "resnet18-pretrained": dict(pretrained=True, freeze="features"),
})

# ---- report 4 -------------------------------------------------------------------------------------------------------

CIFAR_4 = dict(data="cifar10", split="last", normalise="half", optim="adam", batch_size=128, epochs=50, norm="bn",
               test_weights="best")
MLP = CIFAR_4 | dict(model="mlp", lr=5e-3, dropout=0.5)
CNN = CIFAR_4 | dict(model="cnn", lr=2e-3, dropout=0.1, order="conv-bn-relu-dropout-pool")
add("mlp_cnn", MLP, {
    "mlp": ({}, "test_acc=0.545 test_loss=1.43"),
    "mlp-no-bn": dict(norm="none"),
    "mlp-no-dropout": dropout(0),
    "mlp-weight-decay": dict(weight_decay=1e-4),
    **{f"mlp-dropout-{p}": dropout(p) for p in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9)},
    **{f"mlp-lr-{lr}": dict(lr=float(lr)) for lr in ("1e-1", "5e-2", "1e-2", "1e-3", "5e-4", "1e-4")},
})
add("mlp_cnn", CNN, {
    "cnn": ({}, "test_acc=0.748 test_loss=0.86"),
    "cnn-no-bn": dict(norm="none"),
    "cnn-no-dropout": dropout(0),
    "cnn-relu-bn": (dict(order="conv-relu-bn-dropout-pool"),
                    "train_loss=0.1766 train_acc=0.9361 valid_loss=1.2656 valid_acc=0.7228 test_loss=1.0602 "
                    "test_acc=0.728"),
    "cnn-pool-first": (dict(order="pool-conv-bn-relu-dropout"),
                       "train_loss=0.7826 train_acc=0.8241 valid_loss=1.2519 valid_acc=0.6258 test_loss=1.0482 "
                       "test_acc=0.642"),
    "cnn-dropout-bn": (dict(order="conv-dropout-bn-relu-pool"),
                       "train_loss=0.1920 train_acc=0.9313 valid_loss=0.9881 valid_acc=0.7300 test_loss=0.8510 "
                       "test_acc=0.746"),
    **{f"cnn-dropout-{p}": dropout(p) for p in (0.05, 0.15, 0.2, 0.25, 0.3)},
    **{f"cnn-lr-{lr}": dict(lr=float(lr)) for lr in ("1e-2", "1e-3", "2e-4", "1e-4", "2e-5", "1e-5")},
})

# ---- report 5 -------------------------------------------------------------------------------------------------------

OBJECTS = multistep(0.1, 15) | dict(data="caltech35", split="given", side=112, normalise="imagenet", flip=True,
                                    drop_last=True, batch_size=32, optim="sgd", lr=0.01, momentum=0, epochs=20)
BASE, BLOCK, BOTTLENECK = (OBJECTS | dict(model=net) for net in ("base", "basic_block", "bottleneck"))
FROZEN = dict(pretrained=True, freeze="features")
LARGE = dict(side=224)
# A first stage trains features alone: it has no classifier to score.
COSINE = dict(loss="triplet-cosine", margin=0.25, freeze="classifier", test_weights="none")
EUCLID = dict(loss="triplet-euclid", margin=0.25, freeze="classifier", test_weights="none")


def printed(accuracy):
    return f"test_acc={accuracy}"


def second_stage(run):
    return dict(init_from=f"caltech35/{run}-features", freeze="features")


def more_data(run):
    return dict(init_from=f"caltech35/{run}", split="all")


def noise(percentage):
    return dict(momentum=0.9, label_noise=percentage / 100)


def denoise(percentage):
    return noise(percentage) | multistep(0.1, 15, 25) | dict(rotation=15, weight_decay=0.001, epochs=30)


def clean(percentage):
    return noise(percentage) | dict(clean_by="caltech35/scorer", clean_share=percentage / 100)


add("caltech35", BASE, {
    "base": ({}, printed(0.38)),
    "base-cosine-features": (COSINE, "train_loss=0.188..0.235"),
    "base-cosine": (second_stage("base-cosine"), printed(0.2557)),
    "base-euclid-features": (EUCLID, "train_loss=0.169..0.321"),
    "base-euclid": (second_stage("base-euclid"), printed(0.2564)),
    "base-square": (dict(loss="square"), printed(0.44)),
    "base-mse": (dict(loss="mean-square"), "train_acc=0..0.05"),
    "base-mse-scaled": dict(loss="mean-square", lr=11.2),  # 0.01 * 32 * 35
    "base-lr-5": (more_data("base") | dict(lr=0.005), printed(0.4471)),
    "base-lr-10": (more_data("base"), printed(0.4743)),
    "base-lr-1": (more_data("base") | dict(lr=0.001), printed(0.4229)),
    "base-momentum": (more_data("base") | dict(momentum=0.9), printed(0.5443)),
    "base-more-epochs": dict(init_from="caltech35/base"),
    "noise-0": noise(0),
    "noise-10": (noise(10), printed(0.4679)),
    "noise-30": (noise(30), printed(0.3786)),
    "noise-50": (noise(50), printed(0.3021)),
    "denoise-0": denoise(0),
    "denoise-10": (denoise(10), printed(0.4621)),
    "denoise-30": (denoise(30), printed(0.3836)),
    "denoise-50": (denoise(50), "test_acc=0.3226..0.3236"),
    "scorer": dict(split="val+addition"),  # it has not seen the labels that it scores
    "clean-10": clean(10), "clean-30": clean(30), "clean-50": clean(50),
})
add("caltech35", BLOCK, {
    "basic-block": ({}, printed(0.3979)),
    "basic-block-cosine-features": (COSINE, "train_loss=0.246..0.250"),
    "basic-block-cosine": (second_stage("basic-block-cosine"), printed(0.1993)),
    "basic-block-euclid-features": (EUCLID, "train_loss=0.163..0.278"),
    "basic-block-euclid": (second_stage("basic-block-euclid"), printed(0.0507)),
    "basic-block-square": (dict(loss="square"), printed(0.2614)),
    "basic-block-lr-5": (more_data("basic-block") | dict(lr=0.005), printed(0.4471)),
    "basic-block-lr-10": (more_data("basic-block"), printed(0.4657)),
    "basic-block-lr-1": (more_data("basic-block") | dict(lr=0.001), printed(0.43)),
})
add("caltech35", BOTTLENECK, {"bottleneck": ({}, printed(0.3643))})
add("caltech35", OBJECTS | FROZEN | dict(model="vgg16_imagenet"), {
    "vgg16-112": ({}, printed(0.8529)), "vgg16-224": (LARGE, printed(0.9264))})
add("caltech35", OBJECTS | FROZEN | dict(model="resnet18", stem="imagenet"), {
    "resnet18-112": ({}, printed(0.7743)), "resnet18-224": (LARGE, printed(0.9043)),
    "resnet18-224-more": LARGE | dict(split="train+addition")})

# ---- the comparisons, and the runs that they show in this order; others may stand between them ----------------------

COMPARISONS = {
    "keypoints": {
        "adam": "sgd adam", "adam-sgd": "adam adam-sgd", "steplr": "adam adam-step",
        "bn-dropout": "adam adam-bn adam-bn-dropout", "adam-lr": "adam-lr-1e-1 adam adam-lr-1e-3 adam-lr-1e-4",
        "adam-sgd-400": "adam-400 adam-sgd-400", "split": "adam-bn-leak adam-bn-dropout-leak"},
    "lenet_vgg": {
        "lenet-act": "sigmoid-classic sigmoid-wide relu-wide relu-classic",
        "clip": "momentum99 momentum99-clip lr01-momentum9",
        "lenet-dropout": "dropout-early fc2-dropout fc2-bn-dropout fc3-bn-dropout",
        "lenet-templates": "template1 template2 all-sigmoid all-relu",
        "vgg-ablation": "vgg1-all vgg1-no-aug vgg1-no-l2 vgg1-no-bn vgg1-no-dropout vgg2-none vgg3-l2 vgg4-dropout "
                        "vgg5-aug vgg6-bn",
        "vgg-dropout": "vggdrop-1 vggdrop-2 vggdrop-3 vggdrop-4 vggdrop-5 vggdrop-1-l2-3 vggdrop-1-l2-5",
        "vgg-depth": "vgg16-all vgg16-bn vgg16-bn-dropout vgg16-l2-10 vgg16-l2-5 vgg16-l2-1-aug vgg16-l2-5-aug "
                     "vgg19-yy vgg19-xx vgg19-zz vgg19-xx-l2-10 vgg19-l2 vgg19-aug vgg19-plain",
        "vgg-final": "vgg19-aug vgg19-xx vgg19-xx-l2-10 vgg19-yy",
        "norm": "norm-bn norm-ln norm-in norm-gn norm-vgg-ln norm-vgg-in norm-vgg-gn",
        "kernel": "kernel-3 kernel-5 kernel-7", "depth": "vgg6-bn vgg16-bn vgg19-plain",
        "lr-decay": "lr-decay-none lr-decay-half5 lr-decay-step10 lr-decay-step30 lr-decay-multistep lr-decay-cosine "
                    "lr-decay-plateau",
        "dropconnect": "dropconnect-0.5",
        "regularizers": "regularizers-none regularizers-smoothing regularizers-noise regularizers-input-dropout "
                        "regularizers-early-stop",
        "architectures": "vgg6-bn architectures-nin architectures-googlenet architectures-resnet18",
        "protocol": "fc2-bn-dropout protocol-fc2-bn-dropout template2 protocol-template2 vgg1-all protocol-vgg1-all"},
    "net": {
        "batch-size": "batch-16 batch-32 baseline batch-128", "flip": "baseline flip", "optimizer": "baseline adam",
        "scheduler": "baseline adam sgd-step adam-step", "net-bn": "baseline bn", "kaiming": "baseline kaiming",
        "double": "baseline double", "best": "best", "resnet18": "best resnet18",
        "resnet18-pretrained": "resnet18-pretrained", "batch-size-scaled": "batch-128-lr2 batch-128-epochs24",
        "scheduler-lr": "sgd-lr2 sgd-step adam-lr2 adam-step", "augmix": "best best-augmix"},
    "mlp_cnn": {
        "mlp-cnn": "mlp cnn", "no-bn": "mlp mlp-no-bn cnn cnn-no-bn", "layer-order": "cnn cnn-relu-bn cnn-pool-first "
        "cnn-dropout-bn", "no-dropout": "mlp mlp-no-dropout cnn cnn-no-dropout",
        "dropout-sweep": "mlp-no-dropout mlp-dropout-0.1 mlp-dropout-0.2 mlp-dropout-0.3 mlp-dropout-0.4 mlp "
                         "mlp-dropout-0.6 cnn-no-dropout cnn-dropout-0.05 cnn cnn-dropout-0.15 cnn-dropout-0.2 "
                         "cnn-dropout-0.25 cnn-dropout-0.3",
        "lr-sweep": "mlp-lr-1e-1 mlp-lr-5e-2 mlp-lr-1e-2 mlp mlp-lr-1e-3 mlp-lr-5e-4 mlp-lr-1e-4 cnn-lr-1e-2 cnn "
                    "cnn-lr-1e-3 cnn-lr-2e-4 cnn-lr-1e-4 cnn-lr-2e-5 cnn-lr-1e-5",
        "mlp-cures": "mlp-weight-decay mlp-dropout-0.8 mlp-dropout-0.9"},
    "caltech35": {
        "nets": "base basic-block bottleneck", "pretrained": "vgg16-112 resnet18-112 vgg16-224 resnet18-224",
        "features": "base basic-block bottleneck vgg16-112 resnet18-112 vgg16-224 resnet18-224 resnet18-224-more",
        "losses": "base-cosine-features base-cosine basic-block-cosine-features basic-block-cosine "
                  "base-euclid-features base-euclid basic-block-euclid-features basic-block-euclid base-square "
                  "basic-block-square base-mse",
        "lr": "base-lr-5 base-lr-10 base-lr-1 basic-block-lr-5 basic-block-lr-10 basic-block-lr-1",
        "momentum": "base-lr-10 base-momentum", "noise": "noise-0 noise-10 noise-30 noise-50 denoise-0 denoise-10 "
        "denoise-30 denoise-50", "mse-scaled": "base-square base-mse base-mse-scaled",
        "clean": "clean-10 clean-30 clean-50", "more-data": "base base-more-epochs base-lr-10"}}

# ---- the nets: parameters, all and those that learn, as the reports print them or by hand ---------------------------

VGG_CONVS = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 2, (256, 512), *[(512, 512)] * 5]
VGG_HEAD = 513 * 4096 + 4097 * 4096 + 4097 * 10
FACE_CONVS = [(8, 16), (16, 16), (16, 24), (24, 24), (24, 40), (40, 80)]
FACE_HEAD = 1281 * 128 + 129 * 128 + 129 * 42
PARAMETERS = {
    "keypoints/adam": 8 * 26 + sum(9 * a * b + b for a, b in FACE_CONVS) + FACE_HEAD + 9,  # and nine PReLUs
    "lenet_vgg/relu-classic": 6 * 76 + 16 * 151 + 401 * 120 + 121 * 84 + 85 * 10,
    "lenet_vgg/relu-wide": 16 * 76 + 36 * 145 + 1297 * 128 + 129 * 96 + 97 * 10,
    "lenet_vgg/fc2-dropout": 16 * 76 + 36 * 145 + 1297 * 128 + 129 * 10,
    "lenet_vgg/vgg2-none": sum(9 * a * b + b for a, b in VGG_CONVS) + VGG_HEAD,
    "net/baseline": 6 * 76 + 16 * 151 + 401 * 120 + 121 * 84 + 85 * 10,
    "net/double": 12 * 76 + 32 * 301 + 801 * 120 + 121 * 84 + 85 * 10,
    "net/best": 2_438_510, "net/resnet18": 11_181_642, "mlp_cnn/mlp": 1_579_530, "mlp_cnn/cnn": 93_770,
    "mlp_cnn/cnn-pool-first": 128 * 28 + 64 * 1153 + 2 * 192 + 1025 * 10, "caltech35/base": 398_243}
LEARNING = {"caltech35/resnet18-112": 17_955, "caltech35/resnet18-224": 17_955, "caltech35/vgg16-112": 119_689_251}


# ---- the tests ------------------------------------------------------------------------------------------------------

def parsed(run):
    return train.parse([*DECLARED["run"][run].split(), "--run", run])


def numbers_of(want):
    """A want line as {metric: (from, to)}, numbers but for nan."""
    found = {}
    for word in want.split():
        metric, _, numbers = word.partition("=")
        found[metric] = tuple(x if x == "nan" else float(x) for x in numbers.split(".."))
    return found


@pytest.mark.parametrize("run", TABLE)
def test_a_run_has_the_settings_and_the_printed_numbers_of_its_report(run):
    expected, want = TABLE[run]
    if run in DECLARED["alias"] and expected["model"] == "vgg16":
        expected = expected | dict(model="vgg13")  # the two compute the same: test_models.py compares them
    settings = runs.identity(parsed(run)._asdict())
    default = train.parse(["--model", expected["model"], "--data", expected["data"]])
    everything = runs.identity(default._asdict() | expected)
    assert settings.keys() == everything.keys()
    assert {name: (settings[name], x) for name, x in everything.items() if settings[name] != x} == {}
    assert numbers_of(DECLARED["want"].get(run, "")) == numbers_of(want)


def test_what_report_2_trained_twice_has_two_names():
    of_vgg16 = {"vgg16-bn": "vgg6-bn", "vgg16-bn-dropout": "vgg4-dropout", "vgg16-l2-5": "vgg3-l2",
                "vgg16-l2-1-aug": "vgg1-no-dropout"}
    expected = {f"lenet_vgg/{name}": f"lenet_vgg/{run}" for name, run in of_vgg16.items()}
    assert DECLARED["alias"] == expected | {"lenet_vgg/vgg1-no-aug": "lenet_vgg/vggdrop-5"}


@pytest.mark.parametrize("report", COMPARISONS)
def test_a_comparison_shows_the_runs_of_its_report_in_their_order(report):
    for name, of_report in COMPARISONS[report].items():
        names = [f"{report}/{run}" for run in of_report.split()]
        assert set(names) <= set(TABLE) and DECLARED["report"][name] == report
        assert [run for run in DECLARED["exp"][name] if run in names] == names, name


def test_every_run_of_the_table_is_in_a_comparison_of_its_report():
    shown = {f"{report}/{run}" for report, of_report in COMPARISONS.items()
             for names in of_report.values() for run in names.split()}
    assert set(TABLE) - shown == {"caltech35/scorer"}


def net_of(run):
    """The net of a run, without its weights, as built for its data set."""
    settings = parsed(run)
    flags = {flag: getattr(settings, flag) for flag in models.flags_of(settings.model)}
    with torch.device("meta"):
        model = models.build(settings.model, 35 if settings.data == "caltech35" else None, **flags)
    models.freeze(model, settings.freeze)
    return model


@pytest.mark.parametrize("run", PARAMETERS)
def test_a_net_has_as_many_parameters_as_printed_or_counted_by_hand(run):
    assert models.count_parameters(net_of(run)) == PARAMETERS[run]


@pytest.mark.parametrize("run", LEARNING)
def test_as_many_parameters_learn_as_printed(run):
    assert sum(p.numel() for p in net_of(run).parameters() if p.requires_grad) == LEARNING[run]

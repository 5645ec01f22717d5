"""The claims of report 3, judged: one function for each sentence of net.mk.

    make report-net SEEDS="0 1 2"                # trains, draws, and judges them
    python experiments/report.py exp optimizer   # those about one comparison

Each takes `run`, which gives the record of a run for one seed, and returns whether the claim holds for that seed, and
the numbers that say so. Accuracies are those of the test set after the last epoch.
"""
import itertools
import math

import models
from experiments.records import difference, final, number, percent, tested, value

COUNTED = {"N10"}  # judged by the nets alone: no run is needed


def gain(run, name, base="baseline"):
    """By how much run `name` is better than `base` in test accuracy, and the words for it."""
    ours, theirs = tested(run, "net", name, base)
    return difference(ours, theirs), f"{name} {percent(ours)} against {percent(theirs)}"


def N1(run):
    accuracies = tested(run, "net", "batch-16", "batch-32", "baseline", "batch-128")
    return all(smaller > larger for smaller, larger in itertools.pairwise(accuracies)), percent(*accuracies)


def N2(run):
    points, seen = gain(run, "flip")
    flip, baseline = (final(run(f"net/{name}"), "train_loss") for name in ("flip", "baseline"))
    holds = abs(points) < 0.02 and flip > baseline
    return holds, f"{seen}; train loss {number(flip)} against {number(baseline)}"


def N3(run):
    points, seen = gain(run, "adam")
    return points >= 0.05, seen


def N4(run):
    points_sgd, seen_sgd = gain(run, "sgd-step")
    points_adam, seen_adam = gain(run, "adam-step", "adam")
    names = ("sgd-step", "baseline", "adam-step", "adam")
    sgd_step, sgd, adam_step, adam = (final(run(f"net/{name}"), "train_loss") for name in names)
    helps_sgd_alone = points_sgd >= 0.02 and -math.inf < points_adam < 0.02
    return helps_sgd_alone and sgd_step < sgd and adam_step < adam, (
        f"{seen_sgd}, {seen_adam}; train losses {number(sgd_step)} against {number(sgd)}, "
        f"{number(adam_step)} against {number(adam)}")


def N5(run):
    points, seen = gain(run, "bn")
    return points >= 0.05, seen


def N6(run):
    points, seen = gain(run, "kaiming")
    return abs(points) <= 0.02, seen


def N7(run):
    points, seen = gain(run, "double")
    return points >= 0.02, seen


def N8(run):
    best, = tested(run, "net", "best")
    return best >= 0.80, percent(best)


def N9(run):
    points, seen = gain(run, "resnet18", "best")
    return abs(points) <= 0.02, seen


def N10():
    resnet18 = models.count_parameters(models.build("resnet18"))
    best = models.count_parameters(models.build("net", channels=(256, 256), norm="bn", dropout=0.1))
    return resnet18 < best, f"{resnet18:,} against {best:,}"


def N11(run):
    seventh, ninth = (value(run("net/baseline"), f"test_acc@{epoch}") for epoch in (7, 9))
    adam = value(run("net/adam"), "test_acc@1")
    if None in (seventh, ninth, adam):
        return False, "one of them diverged"
    return seventh <= adam <= ninth, (f"Adam {percent(adam)} after epoch 1; SGD {percent(seventh)} after epoch 7, "
                                      f"{percent(ninth)} after epoch 9")

"""The claims of report 4: one function for each sentence of mlp_cnn.mk, which returns the parts it is judged by.

    make report-mlp_cnn SEEDS="0 1 2"            # trains, draws, and judges them
    python experiments/report.py exp lr-sweep    # those about one comparison

Test accuracies are those of the weights of the best valid accuracy. In the sweeps train and valid accuracies are
medians of the last 10 epochs.
"""
import functools
import itertools
import math
import statistics

import torch
from torch.utils.flop_counter import FlopCounterMode

import models
from experiments.records import column, final, finals, tested
from experiments.verdicts import COUNT, GAINS, LOSS, POINTS, TIMES, NotJudgeable, Part, sound

COUNTED = {"M12"}  # judged by the nets alone: no run is needed

# The sweeps, in the order of the value.
DROPOUTS = {
    "mlp": ("mlp-no-dropout", "mlp-dropout-0.1", "mlp-dropout-0.2", "mlp-dropout-0.3", "mlp-dropout-0.4", "mlp",
            "mlp-dropout-0.6"),
    "cnn": ("cnn-no-dropout", "cnn-dropout-0.05", "cnn", "cnn-dropout-0.15", "cnn-dropout-0.2", "cnn-dropout-0.25",
            "cnn-dropout-0.3")}
RATES = {
    "mlp": ("mlp-lr-1e-1", "mlp-lr-5e-2", "mlp-lr-1e-2", "mlp", "mlp-lr-1e-3", "mlp-lr-5e-4", "mlp-lr-1e-4"),
    "cnn": ("cnn-lr-1e-2", "cnn", "cnn-lr-1e-3", "cnn-lr-2e-4", "cnn-lr-1e-4", "cnn-lr-2e-5", "cnn-lr-1e-5")}


def gain(threshold, says, name, base):
    """By how much run `name` is better than `base` in test accuracy."""
    return Part(threshold, says, lambda run: tested(run, "mlp_cnn", name, base), POINTS)


def sweep(run, names, metric="late_valid_acc"):
    """An accuracy of the runs of a sweep, in the order of its values."""
    return finals(run, "mlp_cnn", *names, metric=metric)


def step(run, names, choose, metric="late_valid_acc"):
    """The largest or smallest (choose: max or min) rise from one value of a sweep to the next: after it, before it.

    Raises NotJudgeable where a run of the sweep diverged: to it and from it there is no rise.
    """
    accuracies = sweep(run, names, metric)
    if not all(map(math.isfinite, accuracies)):
        raise NotJudgeable("a run of the sweep diverged")
    pairs = itertools.pairwise(accuracies)
    before, after = choose(pairs, key=lambda pair: pair[1] - pair[0])
    return after, before


def M1():
    return [gain("M1", "", "cnn", "mlp")]


def M2():
    return [gain("M2.mlp", "mlp: without batch norm minus with it", "mlp-no-bn", "mlp"),
            gain("M2.cnn", "cnn: without batch norm minus with it", "cnn-no-bn", "cnn")]


def M3():
    def losses(run):
        mlp, mlp_without, cnn, cnn_without = tested(run, "mlp_cnn", "mlp", "mlp-no-dropout", "cnn", "cnn-no-dropout")
        return mlp - mlp_without, cnn - cnn_without

    return [Part("M3", "", losses, GAINS)]


def M4():
    return [gain("M4.relu-bn", "ReLU before batch norm minus the default", "cnn-relu-bn", "cnn"),
            gain("M4.pool-first", "pooling first minus the default", "cnn-pool-first", "cnn"),
            gain("M4.dropout-bn", "dropout before batch norm minus the default", "cnn-dropout-bn", "cnn")]


def M5():
    def whole(run):
        accuracies = sweep(run, DROPOUTS["mlp"])
        return accuracies[-1], accuracies[0]

    return [Part("M5.steps", "the step between two values that gains least",
                 lambda run: step(run, DROPOUTS["mlp"], min), POINTS),
            Part("M5.whole", "dropout 0.6 minus none", whole, POINTS)]


def M6():
    def own_and_best_other(net):
        def sides(run):
            accuracies = dict(zip(RATES[net], sweep(run, RATES[net])))
            own = accuracies.pop(net)
            return own, max(accuracies.values())
        return sides

    return [Part(f"M6.{net}", f"{net}: its valid accuracy minus the best other's", own_and_best_other(net), POINTS)
            for net in RATES]


def M7():
    """At the end: the median of the last 10 epochs. At the turn: where the valid loss has its minimum."""
    def valid(net):
        def sides(run):
            record = sound(run(f"mlp_cnn/{net}"))
            return final(record), min(column(record, "valid_loss", 1, 50))
        return sides

    def train(net):
        def sides(run):
            record = sound(run(f"mlp_cnn/{net}"))
            losses = column(record, "valid_loss", 1, 50)
            turn = losses.index(min(losses))
            return final(record, "late_train_loss"), column(record, "train_loss", 1, 50)[turn]
        return sides

    parts = []
    for net in ("mlp", "cnn"):
        parts += [Part(f"M7.{net}-valid", f"{net}: valid loss at the end, over its minimum", valid(net), TIMES),
                  Part(f"M7.{net}-train", f"{net}: train loss at the end, minus at that minimum", train(net), LOSS)]
    return parts


def M8():
    def others_and_pooling(run):
        relu_bn, dropout_bn, pool_first = tested(run, "mlp_cnn", "cnn-relu-bn", "cnn-dropout-bn", "cnn-pool-first")
        return min(relu_bn, dropout_bn), pool_first

    return [Part("M8.pooling", "the worse of the other two, minus pooling first", others_and_pooling, POINTS),
            gain("M8.dropout", "dropout before batch norm minus the default", "cnn-dropout-bn", "cnn")]


def M9():
    return [Part(f"M9.{net}", f"{net}: the step between two values that gains most",
                 functools.partial(step, names=names, choose=max, metric="late_train_acc"), POINTS)
            for net, names in DROPOUTS.items()]


def M10():
    def best_and_worst(run):
        accuracies = sweep(run, DROPOUTS["cnn"])
        return max(accuracies), min(accuracies)

    return [Part("M10.range", "the best value minus the worst", best_and_worst, POINTS),
            Part("M10.up", "the step that gains most", lambda run: step(run, DROPOUTS["cnn"], max), POINTS),
            Part("M10.down", "the step that gains least", lambda run: step(run, DROPOUTS["cnn"], min), POINTS)]


def M11():
    """Settles: its train loss of epoch 10 is the final one. Worse: than that of the report's rate. Not done: falls."""
    parts = []
    for net, names in RATES.items():
        largest, smallest = names[0], names[-1]
        parts += [
            Part(f"M11.{net}-settles", f"{largest}: train loss in epoch 10, over the end",
                 functools.partial(early_and_end, name=largest), TIMES),
            Part(f"M11.{net}-worse", f"{largest}: train loss at the end, minus {net}'s",
                 lambda run, names=(largest, net): finals(run, "mlp_cnn", *names, metric="late_train_loss"), LOSS),
            Part(f"M11.{net}-falling", f"{smallest}: valid loss, epochs 46–50 over 36–40",
                 functools.partial(last_and_before, name=smallest), TIMES)]
    return parts


def early_and_end(run, name):
    """The train loss of a run in epoch 10 and at the end."""
    record = run(f"mlp_cnn/{name}")
    return column(record, "train_loss", 10, 10)[0], final(record, "late_train_loss")


def last_and_before(run, name):
    """The mean valid loss of a run in epochs 46 to 50, and in epochs 36 to 40."""
    losses = column(run(f"mlp_cnn/{name}"), "valid_loss", 1, 50)
    return statistics.mean(losses[45:50]), statistics.mean(losses[35:40])


def M12():
    """Compute: multiplications for one image, half of the floating-point operations that torch counts."""
    parameters, work = {}, {}
    for net in ("mlp", "cnn"):
        model = models.build(net).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, *model.input_shape))
        parameters[net] = models.count_parameters(model)
        work[net] = counter.get_total_flops() // 2
    return [Part("M12.parameters", "parameters, cnn minus mlp",
                 lambda run: (parameters["cnn"], parameters["mlp"]), COUNT),
            Part("M12.compute", "multiplications an image, cnn minus mlp",
                 lambda run: (work["cnn"], work["mlp"]), COUNT)]

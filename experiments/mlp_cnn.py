"""The claims of report 4, judged: one function for each sentence of mlp_cnn.mk.

    make report-mlp_cnn SEEDS="0 1 2"            # trains, draws, and judges them
    python experiments/report.py exp lr-sweep    # those about one comparison

Each takes `run`, which gives the record of a run for one seed, and returns whether the claim holds for that seed, and
the numbers that say so. Test accuracies are those of the weights of the best valid accuracy.
"""
import itertools
import math
import statistics

import torch
from torch.utils.flop_counter import FlopCounterMode

import models
from experiments.records import column, difference, final, finals, number, percent, tested

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


def late_valid(run, names):
    """Valid accuracies of runs of this report, medians over their last 10 epochs."""
    return finals(run, "mlp_cnn", *names, metric="late_valid_acc")


def steps(accuracies):
    """The differences of each accuracy from the one before."""
    return [difference(after, before) for before, after in itertools.pairwise(accuracies)]


def M1(run):
    cnn, mlp = tested(run, "mlp_cnn", "cnn", "mlp")
    return difference(cnn, mlp) >= 0.15, f"{percent(cnn)} against {percent(mlp)}"


def M2(run):
    mlp, mlp_without, cnn, cnn_without = tested(run, "mlp_cnn", "mlp", "mlp-no-bn", "cnn", "cnn-no-bn")
    holds = mlp_without < mlp and cnn_without < cnn
    return holds, (f"mlp {percent(mlp_without)} against {percent(mlp)}, "
                   f"cnn {percent(cnn_without)} against {percent(cnn)}")


def M3(run):
    mlp, mlp_without, cnn, cnn_without = tested(run, "mlp_cnn", "mlp", "mlp-no-dropout", "cnn", "cnn-no-dropout")
    holds = math.isfinite(min(mlp, cnn)) and difference(mlp, mlp_without) > difference(cnn, cnn_without)
    return holds, (f"mlp {percent(mlp_without)} against {percent(mlp)}, "
                   f"cnn {percent(cnn_without)} against {percent(cnn)}")


def M4(run):
    cnn, *others = tested(run, "mlp_cnn", "cnn", "cnn-relu-bn", "cnn-pool-first", "cnn-dropout-bn")
    return math.isfinite(cnn) and max(others) <= cnn, f"{percent(*others)} against {percent(cnn)}"


def M5(run):
    accuracies = late_valid(run, DROPOUTS["mlp"])
    holds = min(steps(accuracies)) >= -0.005 and accuracies[-1] > accuracies[0]
    return holds, percent(*accuracies)


def M6(run):
    holds, seen = [], []
    for net, names in RATES.items():
        accuracies = late_valid(run, names)
        highest = max(accuracies)
        best = names[accuracies.index(highest)]
        holds.append(best == net)
        seen.append(f"best {best} {percent(highest)}")
    return all(holds), ", ".join(seen)


def M7(run):
    """Goes on falling: the train loss is lower at the end than where the valid loss has its minimum.

    At the end: the median of the last 10 epochs.
    """
    holds, seen = [], []
    for net in ("mlp", "cnn"):
        record = run(f"mlp_cnn/{net}")
        valid, train = column(record, "valid_loss", 1, 50), column(record, "train_loss", 1, 50)
        lowest, valid_end, train_end = min(valid), final(record), final(record, "late_train_loss")
        epoch = valid.index(lowest) + 1
        train_then = train[epoch - 1]
        holds.append(1.05 * lowest <= valid_end and train_end < train_then)
        seen.append(f"{net} valid {number(lowest)} in epoch {epoch}, {number(valid_end)} at the end, "
                    f"train {number(train_then)} and {number(train_end)}")
    return all(holds), ", ".join(seen)


def M8(run):
    names = ("cnn", "cnn-relu-bn", "cnn-pool-first", "cnn-dropout-bn")
    cnn, relu_bn, pool_first, dropout_bn = tested(run, "mlp_cnn", *names)
    pooling_harms_most = math.isfinite(cnn) and pool_first < min(relu_bn, dropout_bn)
    return pooling_harms_most and difference(dropout_bn, cnn) >= -0.01, (
        f"{percent(cnn)}; pooling first {percent(pool_first)}, ReLU before BN {percent(relu_bn)}, "
        f"dropout before BN {percent(dropout_bn)}")


def M9(run):
    holds, seen = [], []
    for net, names in DROPOUTS.items():
        accuracies = finals(run, "mlp_cnn", *names, metric="late_train_acc")
        holds.append(all(before > after for before, after in itertools.pairwise(accuracies)))
        seen.append(f"{net} {percent(*accuracies)}")
    return all(holds), ", ".join(seen)


def M10(run):
    accuracies = late_valid(run, DROPOUTS["cnn"])
    within_3_points = difference(min(accuracies), max(accuracies)) > -0.03
    up_and_down = min(steps(accuracies)) < 0 < max(steps(accuracies))
    return within_3_points and up_and_down, percent(*accuracies)


def M11(run):
    """Settles: its train loss of epoch 10 is within a tenth of the final one. Worse: than that of the report's rate."""
    holds, seen = [], []
    for net, names in RATES.items():
        large, own, small = (run(f"mlp_cnn/{name}") for name in (names[0], net, names[-1]))
        early, end = column(large, "train_loss", 10, 10)[0], final(large, "late_train_loss")
        own_end = final(own, "late_train_loss")
        before, after = (statistics.mean(column(small, "valid_loss", first, first + 4)) for first in (36, 46))
        settles_on_worse = own_end < end < math.inf and abs(early - end) <= 0.1 * end
        holds.append(settles_on_worse and after <= 0.99 * before)
        seen.append(f"{names[0]} train loss {number(early)} in epoch 10, {number(end)} at the end "
                    f"({net} {number(own_end)}); {names[-1]} valid loss {number(before)} in epochs 36 to 40, "
                    f"{number(after)} in 46 to 50")
    return all(holds), ", ".join(seen)


def M12():
    """Compute: multiplications for one image, half of the floating-point operations that torch counts."""
    params, work = {}, {}
    for net in ("mlp", "cnn"):
        model = models.build(net).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, *model.input_shape))
        params[net] = models.count_parameters(model)
        work[net] = counter.get_total_flops() // 2
    holds = params["cnn"] < params["mlp"] and work["cnn"] > work["mlp"]
    return holds, (f"{params['cnn']:,} parameters against {params['mlp']:,}; "
                   f"{work['cnn']:,} multiplications an image against {work['mlp']:,}")

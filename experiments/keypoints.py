"""The claims of report 1, judged: one function for each sentence of keypoints.mk.

    make report-keypoints SEEDS="0 1 2"          # trains, draws, and judges them
    python experiments/report.py exp bn-dropout  # those about one comparison

Each takes `run`, which gives the record of a run for one seed, and returns whether the claim holds for that seed, and
the numbers that say so. Losses are mean squared errors in px².
"""
import math
import statistics

from experiments.records import column, final, first_epoch, number, unsteadiness


def K1(run):
    adam, sgd = run("keypoints/adam"), run("keypoints/sgd")
    at_70 = column(adam, "train_loss")[69]
    at_end = final(adam, "late_train_loss")
    of_sgd = final(sgd, "late_train_loss")
    holds = at_end / 2 <= at_70 <= 2 * at_end and at_70 < of_sgd
    return holds, f"train loss: Adam {number(at_70)} at epoch 70, {number(at_end)} at the end; SGD {number(of_sgd)}"


def K2(run):
    switched = unsteadiness(run("keypoints/adam-sgd"), 201, 250)
    adam = unsteadiness(run("keypoints/adam"), 201, 250)
    return switched < adam, f"mean change {number(switched)} against {number(adam)}"


def K3(run):
    step, adam = final(run("keypoints/adam-step")), final(run("keypoints/adam"))
    holds = math.isfinite(adam) and abs(step - adam) <= 0.2 * adam
    return holds, f"{number(step)} against {number(adam)}"


def K4(run):
    adam, bn = final(run("keypoints/adam")), final(run("keypoints/adam-bn"))
    dropout = final(run("keypoints/adam-bn-dropout"))
    return max(bn, dropout) < adam, f"{number(bn)} and {number(dropout)} against {number(adam)}"


def K5(run):
    def gap(name):
        record = run(name)
        return abs(final(record, "late_valid_loss") - final(record, "late_train_loss"))

    bn, dropout = gap("keypoints/adam-bn"), gap("keypoints/adam-bn-dropout")
    return dropout < bn, f"gap {number(dropout)} against {number(bn)}"


def K6(run):
    """Better: a lower mean of the valid loss over the last 50 epochs, those of SGD. Steadier: over the same."""
    switched, adam = run("keypoints/adam-sgd-400"), run("keypoints/adam-400")
    level = [statistics.mean(column(record, "valid_loss", 351, 400)) for record in (switched, adam)]
    change = [unsteadiness(record, 351, 400) for record in (switched, adam)]
    holds = level[0] < level[1] and change[0] < change[1]
    return holds, (f"mean valid loss {number(level[0])} against {number(level[1])}, "
                   f"mean change {number(change[0])} against {number(change[1])}")


def K7(run):
    """Where Adam blew up, as it can at 0.01, its lowest loss stands for what it had reached."""
    adam, bn, dropout = run("keypoints/adam"), run("keypoints/adam-bn"), run("keypoints/adam-bn-dropout")
    goal = final(adam)
    if goal > column(adam)[0]:
        goal = min(column(adam))
    of_bn, of_dropout, of_adam = (first_epoch(r, "valid_loss", lambda loss: loss <= goal) for r in (bn, dropout, adam))
    holds = max(of_bn, of_dropout) < of_adam
    return holds, f"below {number(goal)} in epochs {of_bn:g} and {of_dropout:g} against {of_adam:g}"


def K8(run):
    """More slowly: later at a train loss that both reach. Varies more: its valid loss, after the rate first halves."""
    step, adam = run("keypoints/adam-step"), run("keypoints/adam")
    goal = 1.5 * max(min(column(step, "train_loss")), min(column(adam, "train_loss")))
    epochs = [first_epoch(record, "train_loss", lambda loss: loss <= goal) for record in (step, adam)]
    change = [unsteadiness(record, 101, 250) for record in (step, adam)]
    holds = epochs[0] > epochs[1] and change[0] > change[1]
    return holds, (f"train loss below {number(goal)} from epoch {epochs[0]:g} against {epochs[1]:g}; "
                   f"mean change of the valid loss after epoch 100 {number(change[0])} against {number(change[1])}")


def K9(run):
    switched = statistics.mean(column(run("keypoints/adam-sgd"), "valid_loss", 201, 250))
    adam = statistics.mean(column(run("keypoints/adam"), "valid_loss", 201, 250))
    return switched > adam, f"mean {number(switched)} against {number(adam)}"


def K10(run):
    names = ("adam-step", "adam", "adam-bn", "adam-bn-dropout")
    step, adam, bn, dropout = (final(run(f"keypoints/{name}"), "valid_loss_turned") for name in names)
    holds = step > adam > max(bn, dropout)
    return holds, f"step {number(step)}, Adam {number(adam)}, BN {number(bn)}, BN and dropout {number(dropout)}"

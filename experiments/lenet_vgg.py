"""The claims of report 2, judged: one function for each sentence of lenet_vgg.mk.

    make report-lenet_vgg SEEDS="0 1 2"          # trains, draws, and judges them
    python experiments/report.py exp lenet-act   # those about one comparison

Each takes `run`, which gives the record of a run for one seed, and returns whether the claim holds for that seed, and
the numbers that say so. Accuracies are fractions; a run that diverged has -inf.
"""
import contextlib
import math
import statistics

from experiments.records import NotRun, column, difference, final, finals, first_epoch, number, percent, tested

# The nets of exp-vgg-ablation, the one with augmentation and batch norm alone first.
ABLATION = ("vgg5-aug", "vgg1-all", "vgg2-none", "vgg1-no-aug", "vgg1-no-l2", "vgg1-no-bn", "vgg1-no-dropout",
            "vgg3-l2", "vgg4-dropout", "vgg6-bn")


def on_valid(run, *names):
    """Valid accuracies of runs of this report."""
    return finals(run, "lenet_vgg", *names, metric="valid_acc")


def on_train(run, *names):
    """Train accuracies of runs of this report."""
    return finals(run, "lenet_vgg", *names, metric="train_acc")


def L1(run):
    sigmoid_names, relu_names = ("sigmoid-classic", "sigmoid-wide"), ("relu-classic", "relu-wide")
    sigmoid, relu = tested(run, "lenet_vgg", *sigmoid_names), tested(run, "lenet_vgg", *relu_names)
    stuck = all(math.isfinite(accuracy) and accuracy <= 0.25 for accuracy in sigmoid)
    seen = [f"{name} {100 * a:.1f} %" for name, a in zip(sigmoid_names + relu_names, sigmoid + relu)]
    return stuck and min(relu) >= 0.55, ", ".join(seen)


def L2(run):
    wide, classic = tested(run, "lenet_vgg", "relu-wide", "relu-classic")
    return wide > classic, f"{percent(wide)} against {percent(classic)}"


def L3(run):
    free, clipped = run("lenet_vgg/momentum99"), run("lenet_vgg/momentum99-clip")
    holds = free["status"] == "diverged" and clipped["status"] == "finished"
    return holds, (f"without clipping {free['status']}, train loss {number(final(free, 'train_loss'))}; "
                   f"with it {clipped['status']}, {number(final(clipped, 'train_loss'))}")


def L4(run):
    bn, without = on_valid(run, "fc2-bn-dropout", "fc2-dropout")
    return difference(bn, without) >= 0.02, f"{percent(bn)} against {percent(without)}"


def L5(run):
    holds, seen = [], []
    for name in ("template1", "template2"):
        loss = [None, *column(run(f"lenet_vgg/{name}"), "train_loss", 1, 50)]  # loss[1] is that of epoch 1
        fall = {epoch: loss[epoch - 1] - loss[epoch] for epoch in range(2, 51)}
        halved = statistics.mean(fall[epoch] for epoch in (5, 10, 15, 20))
        around = statistics.mean(fall[epoch] for epoch in (4, 6, 9, 11, 14, 16, 19, 21))
        holds.append(halved > around)
        seen.append(f"{name} {halved:.4f} against {around:.4f}")
    return all(holds), "mean fall of the train loss: " + ", ".join(seen)


def L6(run):
    accuracies = on_valid(run, "vgg2-none", "vgg1-no-bn")
    return -math.inf < min(accuracies) and max(accuracies) <= 0.12, percent(*accuracies)


def L7(run):
    l2, aug, bn = on_valid(run, "vgg3-l2", "vgg5-aug", "vgg6-bn")
    return min(l2, aug) > bn, f"L2 {percent(l2)}, augmentation {percent(aug)} against {percent(bn)}"


def L8(run):
    accuracies = on_valid(run, "vggdrop-1", "vggdrop-2", "vggdrop-3", "vggdrop-4", "vggdrop-5")
    first, *between, last = accuracies
    return max(between) > max(first, last), percent(*accuracies)


def L9(run):
    weak, middle, strong = on_valid(run, "vggdrop-1", "vggdrop-1-l2-3", "vggdrop-1-l2-5")
    return weak < middle < strong, percent(weak, middle, strong)


def L10(run):
    accuracy, = tested(run, "lenet_vgg", "vgg19-aug")
    return accuracy >= 0.85, percent(accuracy)


def L11(run):
    relu, sigmoid, wide = tested(run, "lenet_vgg", "relu-classic", "sigmoid-classic", "relu-wide")
    by_relu, by_width = relu - sigmoid, wide - relu
    return by_relu > by_width, f"ReLU adds {100 * by_relu:.1f} points, channels {100 * by_width:.1f}"


def L12(run):
    relu, sigmoid = on_valid(run, "all-relu", "all-sigmoid")
    holds = max(relu, sigmoid) <= 0.15 and math.isfinite(min(relu, sigmoid))
    return holds, f"ReLU {percent(relu)}, sigmoid {percent(sigmoid)}"


def L13(run):
    early, classic = tested(run, "lenet_vgg", "dropout-early", "relu-classic")
    return early < classic, f"{percent(early)} against {percent(classic)}"


def L14(run):
    """At 50 epochs, the open question: template1 has three layers, template2 two. Shown where they have been run."""
    three, two = on_valid(run, "fc3-bn-dropout", "fc2-bn-dropout")
    seen = f"{percent(three)} against {percent(two)}"
    with contextlib.suppress(NotRun):
        three_at_50, two_at_50 = on_valid(run, "template1", "template2")
        seen += f"; at 50 epochs {percent(three_at_50)} against {percent(two_at_50)}"
    return difference(two, three) >= 0.01, seen


def L15(run):
    """Slows: a higher train loss after epoch 1. Not needed: the run without it, at a smaller momentum, finishes."""
    clipped, free = run("lenet_vgg/momentum99-clip"), run("lenet_vgg/lr01-momentum9")
    with_clipping, without = (column(record, "train_loss", 1, 1)[0] for record in (clipped, free))
    holds = free["status"] == "finished" and with_clipping > without
    return holds, (f"train loss in epoch 1 {number(with_clipping)} with clipping, {number(without)} without, "
                   f"which {free['status']}")


def L16(run):
    holds, gains, seen = [], [], []
    for plain_name, l2_name in (("vgg6-bn", "vgg3-l2"), ("vgg16-bn", "vgg16-l2-5"), ("vgg19-plain", "vgg19-l2")):
        plain, l2 = on_valid(run, plain_name, l2_name)
        plain_train, l2_train = on_train(run, plain_name, l2_name)
        plain_gap, l2_gap = difference(plain_train, plain), difference(l2_train, l2)
        holds.append(math.isfinite(min(plain, l2)) and l2_gap < plain_gap)
        gains.append(difference(l2, plain))
        seen.append(f"{l2_name} {percent(l2, plain)} without, train minus valid {percent(l2_gap, plain_gap)} without")
    of_vgg13, _, of_vgg19 = gains
    return all(holds) and of_vgg19 > of_vgg13, "; ".join(seen)


def L17(run):
    """A tie with the next is enough, unless neither gets there."""
    def reached(accuracy):
        return 0.8 <= accuracy < math.inf  # infinite: there is no number, as after a divergence

    epochs = {name: first_epoch(run(f"lenet_vgg/{name}"), "valid_acc", reached) for name in ABLATION}
    aug = epochs.pop("vgg5-aug")
    soonest = min(epochs, key=epochs.get)
    return math.isfinite(aug) and aug <= epochs[soonest], f"epoch {aug:g}; the next, {soonest}, {epochs[soonest]:g}"


def L18(run):
    """Judged with 13 convolutions, one of the two added, and with 16, the L2 term and dropout 0, 0.3 and 0.5 added."""
    aug_13, *others_13 = on_valid(run, "vgg5-aug", "vgg1-no-dropout", "vgg1-no-l2")
    aug_19, *others_19 = on_valid(run, "vgg19-aug", "vgg19-yy", "vgg19-xx", "vgg19-zz")
    not_beaten = max(others_13) <= aug_13 and max(others_19) <= aug_19
    return not_beaten and math.isfinite(aug_13 + aug_19), (
        f"vgg13 {percent(aug_13)}, with L2 and with dropout {percent(*others_13)}; "
        f"vgg19 {percent(aug_19)}, with both {percent(*others_19)}")


def L19(run):
    """Added to it: the L2 term of 0.05, dropout 0.5, augmentation."""
    none, bn, *more = on_valid(run, "vgg2-none", "vgg6-bn", "vgg3-l2", "vgg4-dropout", "vgg5-aug")
    by_bn, by_more = difference(bn, none), max(difference(accuracy, bn) for accuracy in more)
    return by_bn > by_more, (f"{percent(none)} without, {percent(bn)} with it; "
                             f"L2, dropout, augmentation added {percent(*more)}")


def L20(run):
    train_accuracy, valid_accuracy = on_train(run, "vggdrop-1")[0], on_valid(run, "vggdrop-1")[0]
    holds = difference(train_accuracy, valid_accuracy) >= 0.1
    return holds, f"train {percent(train_accuracy)}, valid {percent(valid_accuracy)}"

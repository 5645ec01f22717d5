"""The claims of report 2: one function for each sentence of lenet_vgg.mk, which returns the parts it is judged by.

    make report-lenet_vgg SEEDS="0 1 2"          # trains, draws, and judges them
    python experiments/report.py exp lenet-act   # those about one comparison

The first four runs are judged by test accuracy, all others by valid accuracy, both after the last epoch.
"""
import math
import statistics

from experiments.records import CLASSES, at_chance, column, final, finals, first_epoch, tested
from experiments.verdicts import EPOCHS, GAINS, LOSS, PERCENT, POINTS, YES_OR_NO, NotJudgeable, Part

# Claims whose parts are one question, answered by two ways of scoring the same nets.
READINGS = {"L4"}

# The nets of exp-vgg-ablation, the one with augmentation and batch norm alone first.
ABLATION = ("vgg5-aug", "vgg1-all", "vgg2-none", "vgg1-no-aug", "vgg1-no-l2", "vgg1-no-bn", "vgg1-no-dropout",
            "vgg3-l2", "vgg4-dropout", "vgg6-bn")


def on_valid(run, *names):
    """Valid accuracies of runs of this report, in the order of their names."""
    return finals(run, "lenet_vgg", *names, metric="valid_acc")


def on_train(run, *names):
    """Train accuracies of runs of this report, in the order of their names."""
    return finals(run, "lenet_vgg", *names, metric="train_acc")


def gain(threshold, says, name, base, judged=True):
    """By how much run `name` is better than `base` in valid accuracy."""
    return Part(threshold, says, lambda run: on_valid(run, name, base), POINTS, judged)


def test_gain(threshold, says, name, base):
    """By how much run `name` is better than `base` in test accuracy."""
    return Part(threshold, says, lambda run: tested(run, "lenet_vgg", name, base), POINTS)


def reaches(threshold, says, name, metric="valid_acc"):
    """The accuracy of a run."""
    return Part(threshold, says, lambda run: finals(run, "lenet_vgg", name, metric=metric), PERCENT)


def L1():
    return [reaches(f"L1.{name}", f"{name}: test accuracy", name, "test_acc")
            for name in ("sigmoid-classic", "sigmoid-wide", "relu-classic", "relu-wide")]


def L2():
    return [test_gain("L2", "", "relu-wide", "relu-classic")]


def L3():
    def diverges(name):
        return lambda run: [run(f"lenet_vgg/{name}")["status"] == "diverged"]

    return [Part("L3.free", "without clipping it diverges", diverges("momentum99"), YES_OR_NO),
            Part("L3.clipped", "with clipping it diverges", diverges("momentum99-clip"), YES_OR_NO)]


def L4():
    """Of the nets as printed, with unused layers and a momentum of 0.9: so their printed losses come out."""
    with_bn, without = "fc2-bn-dropout-unused", "fc2-dropout-unused"
    return [gain("L4.report", "scored as the report's scripts did", f"protocol-{with_bn}", f"protocol-{without}"),
            gain("L4.eval", "the same weights, scored in eval mode", with_bn, without)]


def L5():
    def falls(name):
        def sides(run):
            loss = [math.inf, *column(run(f"lenet_vgg/{name}"), "train_loss", 1, 50)]  # loss[1] is that of epoch 1
            fall = {epoch: loss[epoch - 1] - loss[epoch] for epoch in range(2, 51)}
            where_halved = statistics.mean(fall[epoch] for epoch in (5, 10, 15, 20))
            around = statistics.mean(fall[epoch] for epoch in (4, 6, 9, 11, 14, 16, 19, 21))
            return where_halved, around
        return sides

    return [Part(f"L5.{name}", f"{name}: fall of train loss, halved minus around", falls(name), LOSS)
            for name in ("template1", "template2")]


def L6():
    return [reaches("L6.none", "with nothing: valid accuracy", "vgg2-none"),
            reaches("L6.no-bn", "with all but batch norm: valid accuracy", "vgg1-no-bn")]


def L7():
    return [gain("L7.l2", "an L2 term of 0.05", "vgg3-l2", "vgg6-bn"),
            gain("L7.aug", "augmentation", "vgg5-aug", "vgg6-bn")]


def L8():
    def between_and_ends(run):
        first, *between, last = on_valid(run, "vggdrop-1", "vggdrop-2", "vggdrop-3", "vggdrop-4", "vggdrop-5")
        return max(between), max(first, last)

    return [Part("L8", "best of 0.2, 0.3, 0.4 minus best of 0.1, 0.5", between_and_ends, POINTS)]


def L9():
    return [gain("L9.middle", "0.03 minus 0.01", "vggdrop-1-l2-3", "vggdrop-1"),
            gain("L9.strong", "0.05 minus 0.03", "vggdrop-1-l2-5", "vggdrop-1-l2-3")]


def L10():
    return [reaches("L10", "", "vgg19-aug", "test_acc")]


def L11():
    def gains(run):
        relu, sigmoid, wide = tested(run, "lenet_vgg", "relu-classic", "sigmoid-classic", "relu-wide")
        return relu - sigmoid, wide - relu

    return [Part("L11", "what ReLU adds minus what width adds", gains, GAINS)]


def L12():
    return [reaches("L12.relu", "all-relu: valid accuracy", "all-relu"),
            reaches("L12.sigmoid", "all-sigmoid: valid accuracy", "all-sigmoid")]


def L13():
    def early_and_classic(run):
        early, = on_valid(run, "dropout-early")
        if at_chance(early, CLASSES["cifar10"]):
            raise NotJudgeable("dropout-early learns nothing")
        return tested(run, "lenet_vgg", "dropout-early", "relu-classic")

    return [Part("L13", "", early_and_classic, POINTS)]


def L14():
    """Of the nets that L4 takes. The open question, at 50 epochs: template1 has three layers, template2 two."""
    return [gain("L14", "three minus two, 10 epochs", "fc3-bn-dropout-unused", "fc2-bn-dropout-unused"),
            gain("L14.open", "open: three minus two, 50 epochs", "template1-unused", "template2-unused", judged=False)]


def L15():
    """Both nets, settings and first weights are the same but for clipping; until epoch 4 also their learning rates."""
    def losses(run):
        records = run("lenet_vgg/template1"), run("lenet_vgg/lr01-momentum9")
        return [column(record, "train_loss", 1, 1)[0] for record in records]

    def accuracies(run):
        records = run("lenet_vgg/lr01-momentum9"), run("lenet_vgg/template1")
        return [column(record, "valid_acc", 4, 4)[0] for record in records]

    return [Part("L15.slows", "train loss in epoch 1, clipped minus not", losses, LOSS),
            Part("L15.needless", "valid accuracy after epoch 4, not clipped minus clipped", accuracies, POINTS)]


def L16():
    """vgg16 is vgg13 under a second name, and shows nothing more."""
    def gap_with_and_without(l2, plain):
        def gaps(run):
            return [train - valid for train, valid in zip(on_train(run, l2, plain), on_valid(run, l2, plain))]
        return gaps

    def gains(run):
        vgg19_l2, vgg19, vgg13_l2, vgg13 = on_valid(run, "vgg19-l2", "vgg19-plain", "vgg3-l2", "vgg6-bn")
        return vgg19_l2 - vgg19, vgg13_l2 - vgg13

    return [Part("L16.vgg13", "vgg13: train minus valid, with L2 minus without",
                 gap_with_and_without("vgg3-l2", "vgg6-bn"), GAINS),
            Part("L16.vgg19", "vgg19: train minus valid, with L2 minus without",
                 gap_with_and_without("vgg19-l2", "vgg19-plain"), GAINS),
            Part("L16.more", "what L2 adds to vgg19 minus to vgg13", gains, GAINS)]


def L17():
    """A tie with the next is enough."""
    def reached(accuracy):
        return accuracy >= 0.8

    def first_epochs(run):
        aug, *others = [first_epoch(run(f"lenet_vgg/{name}"), "valid_acc", reached) for name in ABLATION]
        if min(others) == math.inf:
            raise NotJudgeable("no other net gets there")
        return aug, min(others)

    return [Part("L17", "vgg5-aug minus the next", first_epochs, EPOCHS)]


def L18():
    """With 13 convolutions one of the two is added, with 16 the L2 term and dropout 0, 0.3 and 0.5."""
    def best_and(aug, *others):
        return lambda run: (max(on_valid(run, *others)), *on_valid(run, aug))

    return [Part("L18.vgg13", "vgg13: best with L2 or dropout, minus augmentation alone",
                 best_and("vgg5-aug", "vgg1-no-dropout", "vgg1-no-l2"), POINTS),
            Part("L18.vgg19", "vgg19: best with L2 or both, minus augmentation alone",
                 best_and("vgg19-aug", "vgg19-yy", "vgg19-xx", "vgg19-zz"), POINTS)]


def L19():
    """Added to it: the L2 term of 0.05, dropout 0.5, augmentation."""
    def gains(run):
        none, bn, *more = on_valid(run, "vgg2-none", "vgg6-bn", "vgg3-l2", "vgg4-dropout", "vgg5-aug")
        return bn - none, max(more) - bn

    return [Part("L19", "what batch norm adds minus the best added to it", gains, GAINS)]


def L20():
    return [Part("L20", "", lambda run: (*on_train(run, "vggdrop-1"), *on_valid(run, "vggdrop-1")), POINTS)]

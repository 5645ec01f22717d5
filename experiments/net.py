"""The claims of report 3: one function for each sentence of net.mk, which returns the parts it is judged by.

    make report-net SEEDS="0 1 2"                # trains, draws, and judges them
    python experiments/report.py exp optimizer   # those about one comparison

Accuracies are those of the test set after the last epoch, train losses those of the last epoch.
"""
import models
from experiments.records import NotRun, final, tested, value
from experiments.verdicts import COUNT, LOSS, PERCENT, POINTS, NotJudgeable, Part, sound

COUNTED = {"N10"}  # judged by the nets alone: no run is needed


def gain(threshold, says, name, base="baseline"):
    """By how much run `name` is better than `base` in test accuracy."""
    return Part(threshold, says, lambda run: tested(run, "net", name, base), POINTS)


def rise(threshold, says, name, base="baseline"):
    """By how much the last train loss of run `name` is higher than that of `base`. Neither may have blown up."""
    def losses(run):
        return [final(sound(run(f"net/{of_run}")), "train_loss") for of_run in (name, base)]

    return Part(threshold, says, losses, LOSS)


def N1():
    return [gain("N1.16", "batch 16 minus batch 32", "batch-16", "batch-32"),
            gain("N1.32", "batch 32 minus batch 64", "batch-32"),
            gain("N1.64", "batch 64 minus batch 128", "baseline", "batch-128")]


def N2():
    return [gain("N2.accuracy", "test accuracy, mirrored minus not", "flip"),
            rise("N2.loss", "train loss, mirrored minus not", "flip")]


def N3():
    return [gain("N3", "", "adam")]


def N4():
    return [gain("N4.sgd", "SGD: test accuracy, with StepLR minus without", "sgd-step"),
            gain("N4.adam", "Adam: test accuracy, with StepLR minus without", "adam-step", "adam"),
            rise("N4.sgd-loss", "SGD: train loss, with StepLR minus without", "sgd-step"),
            rise("N4.adam-loss", "Adam: train loss, with StepLR minus without", "adam-step", "adam")]


def N5():
    return [gain("N5", "", "bn")]


def N6():
    return [gain("N6", "", "kaiming")]


def N7():
    return [gain("N7", "", "double")]


def N8():
    return [Part("N8", "", lambda run: tested(run, "net", "best"), PERCENT)]


def N9():
    return [gain("N9", "", "resnet18", "best")]


def N10():
    resnet18 = models.count_parameters(models.build("resnet18"))
    best = models.count_parameters(models.build("net", channels=(256, 256), norm="bn", dropout=0.1))
    return [Part("N10", "", lambda run: (resnet18, best), COUNT)]


def N11():
    def first_of_adam_and(epoch):
        def sides(run):
            adam, baseline = run("net/adam"), run("net/baseline")
            both = value(adam, "test_acc@1"), value(baseline, f"test_acc@{epoch}")
            if None in both and "diverged" in (adam["status"], baseline["status"]):
                raise NotJudgeable("one of the two diverged")
            if None in both:
                raise NotRun
            return both
        return sides

    return [Part("N11.seventh", "Adam after epoch 1, minus SGD after epoch 7", first_of_adam_and(7), POINTS),
            Part("N11.ninth", "Adam after epoch 1, minus SGD after epoch 9", first_of_adam_and(9), POINTS)]

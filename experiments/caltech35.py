"""The claims of report 5: one function for each sentence of caltech35.mk, which returns the parts it is judged by.

    make report-caltech35 SEEDS="0 1 2"          # trains, draws, and judges them
    python experiments/report.py exp losses      # those about one comparison

Accuracies are those of the test set, and of the train set as running means of the last epoch, unless it is said
otherwise. Some parts ask what a net answers, in numbers: a record's "described" (see experiments/ask.py).
"""
import itertools
import math
import statistics

from experiments.records import CLASSES, NotRun, at_chance, column, final, finals
from experiments.verdicts import GAINS, LOSS, NUMBER, PERCENT, POINTS, TIMES, NotJudgeable, Part, sound

# The nets that are trained from scratch, and those that the second training of section 3.3.1 gives.
SCRATCH = ("base", "basic-block", "bottleneck")
SECOND = {"base": ("base-lr-10", "base-lr-5", "base-lr-1"),
          "basic-block": ("basic-block-lr-10", "basic-block-lr-5", "basic-block-lr-1")}
# Every loss of exp-losses, on both nets where the report has both.
OF_LOSSES = ("base", "base-cosine", "base-euclid", "base-square", "base-mse",
             "basic-block", "basic-block-cosine", "basic-block-euclid", "basic-block-square")
MARGIN = 0.25  # of the triplet losses
SHORT = {"base": "base", "basic-block": "block"}  # in the names of thresholds


def on_test(run, *names):
    """Test accuracies of runs of this report, in the order of their names."""
    return finals(run, "caltech35", *names, metric="test_acc")


def on_train(run, *names):
    """Train accuracies of runs of this report, in the order of their names."""
    return finals(run, "caltech35", *names, metric="train_acc")


def gain(threshold, says, name, base):
    """By how much run `name` is better than `base` in test accuracy."""
    return Part(threshold, says, lambda run: on_test(run, name, base), POINTS)


def described_of(run, name):
    """What the net of a run answers, in numbers.

    Raises NotRun where nobody has asked it, NotJudgeable for a net that diverged.
    """
    record = run(f"caltech35/{name}")
    if record["status"] == "diverged":
        raise NotJudgeable(f"{name} diverged")
    if "described" not in record:
        raise NotRun
    return record["described"]


def silhouette_of(run, name, classes):
    """How far the net of a run sets classes apart, "1-5" or "3,5". Raises NotRun where one of them has no image."""
    silhouette = described_of(run, name)["silhouette"][classes]
    if silhouette is None:
        raise NotRun(f"one of the classes {classes} has no test image")
    return silhouette


def fraction_correct(described, part, *classes):
    """The fraction of the images of these classes (of all, if none is named) that are called what they are.

    Raises NotRun where there is no image of them.
    """
    rows = described["confusion"][part]
    chosen = [c for c in classes or range(len(rows)) if c < len(rows)]
    images = sum(sum(rows[c]) for c in chosen)
    if images == 0:
        raise NotRun(f"the classes {classes} have no {part} image")
    return sum(rows[c][c] for c in chosen) / images


def C1():
    def best_and_worst(run):
        accuracies = on_test(run, *SCRATCH)
        return max(accuracies), min(accuracies)

    def gaps(name):
        def sides(run):
            names = name, "bottleneck"
            return [train - test for train, test in zip(on_train(run, *names), on_test(run, *names))]
        return sides

    return [Part("C1.range", "the best minus the worst", best_and_worst, POINTS),
            Part("C1.base", "train minus test, base minus bottleneck", gaps("base"), GAINS),
            Part("C1.block", "train minus test, basic-block minus bottleneck", gaps("basic-block"), GAINS)]


def C2():
    """A step is what train accuracy gains from one epoch to the next, in epochs 6 to 20. The first few are large."""
    def steps(name):
        def sides(run):
            trained = [math.nan, *column(sound(run(f"caltech35/{name}")), "train_acc", 1, 20)]  # [1] is epoch 1's
            steps = {epoch: trained[epoch] - trained[epoch - 1] for epoch in range(6, 21)}
            into_16 = steps.pop(16)
            return into_16, max(steps.values())
        return sides

    def valid(run):
        losses = column(run("caltech35/base"), "valid_acc", 1, 20)
        return statistics.mean(losses[15:18]), statistics.mean(losses[12:15])

    parts = [Part(f"C2.{SHORT.get(name, name)}", f"{name}: the step into epoch 16 minus the next largest", steps(name),
                  GAINS) for name in SCRATCH]
    return [*parts, Part("C2.valid", "base: valid accuracy, epochs 16–18 minus 13–15", valid, POINTS, judged=False)]


def C3():
    def frozen_and_scratch(run):
        return min(on_test(run, "vgg16-112", "resnet18-112")), max(on_test(run, *SCRATCH))

    return [Part("C3.frozen", "the worse frozen net at 112 minus the best from scratch", frozen_and_scratch, POINTS),
            gain("C3.vgg-size", "VGG-16: 224 minus 112", "vgg16-224", "vgg16-112"),
            gain("C3.resnet-size", "ResNet-18: 224 minus 112", "resnet18-224", "resnet18-112"),
            gain("C3.at-112", "at 112: VGG-16 minus ResNet-18", "vgg16-112", "resnet18-112"),
            gain("C3.at-224", "at 224: VGG-16 minus ResNet-18", "vgg16-224", "resnet18-224")]


def C4():
    """The report's reason for the collapse is left open there: features nearly one point, a loss near its margin."""
    def most_called(run):
        rows = described_of(run, "basic-block-euclid")["confusion"]["test"]
        called = [sum(counts) for counts in zip(*rows)]  # how often each class was answered
        return [max(called) / sum(called)]

    def spreads(run):
        return [described_of(run, name)["spread"] for name in ("basic-block-euclid", "basic-block")]

    def loss_and_margin(run):
        return final(run("caltech35/basic-block-euclid-features"), "train_loss"), MARGIN

    return [gain("C4.base-cosine", "base: cosine minus cross-entropy", "base-cosine", "base"),
            gain("C4.base-euclid", "base: Euclidean minus cross-entropy", "base-euclid", "base"),
            gain("C4.block-cosine", "basic-block: cosine minus cross-entropy", "basic-block-cosine", "basic-block"),
            gain("C4.block-euclid", "basic-block: Euclidean minus cross-entropy", "basic-block-euclid", "basic-block"),
            Part("C4.low", "basic-block-euclid: test accuracy",
                 lambda run: on_test(run, "basic-block-euclid"), PERCENT),
            Part("C4.one-class", "its images called the one class most often called", most_called, PERCENT),
            Part("C4.spread", "open: spread of its features, over basic-block's", spreads, TIMES, judged=False),
            Part("C4.margin", "open: its last triplet loss minus the margin", loss_and_margin, LOSS, judged=False)]


def C5():
    def of_mean(run):
        return [fraction_correct(described_of(run, "base-mse"), "train")]

    return [gain("C5.sum", "base-square minus base", "base-square", "base"),
            Part("C5.mean", "base-mse: train accuracy in eval mode", of_mean, PERCENT)]


def C6():
    def best(names):
        def sides(run):
            own, *others = on_test(run, *names)
            return own, max(others)
        return sides

    def worst(names):
        def sides(run):
            sound(run(f"caltech35/{names[-1]}"))  # one that diverges is not slow
            *others, smallest = on_test(run, *names)
            return smallest, min(others)
        return sides

    def slowest(names):
        def sides(run):
            sound(run(f"caltech35/{names[-1]}"))
            *others, smallest = finals(run, "caltech35", *names, metric="train_loss")
            return smallest, max(others)
        return sides

    parts = []
    for net, names in SECOND.items():
        key = f"C6.{SHORT[net]}"
        parts += [Part(f"{key}-best", f"{net}: 0.01 minus the best other", best(names), POINTS),
                  Part(f"{key}-worst", f"{net}: 0.001 minus the worst other", worst(names), POINTS),
                  Part(f"{key}-slowest", f"{net}: train loss, 0.001 minus the highest other", slowest(names), LOSS)]
    return parts


def C7():
    def mean_accuracies(run):
        records = run("caltech35/base-momentum"), run("caltech35/base-lr-10")
        return [statistics.mean(column(record, "train_acc", 1, 15)) for record in records]

    return [gain("C7.better", "test accuracy, with minus without", "base-momentum", "base-lr-10"),
            Part("C7.faster", "mean train accuracy of epochs 1–15, with minus without", mean_accuracies, POINTS)]


def C8():
    return [gain("C8.10", "0 minus 10 % noise", "noise-0", "noise-10"),
            gain("C8.30", "10 minus 30 % noise", "noise-10", "noise-30"),
            gain("C8.50", "30 minus 50 % noise", "noise-30", "noise-50")]


def C9():
    return [gain(f"C9.{share}", f"at {share} % noise, with minus without", f"denoise-{share}", f"noise-{share}")
            for share in (10, 30, 50)]


def C10():
    """Mixed: their two clouds of features are minus apart than those of classes 1 to 5 are, by silhouette."""
    def apart(name):
        def sides(run):
            return silhouette_of(run, name, "3,5"), silhouette_of(run, name, "1-5")
        return sides

    def learnt(name):
        def sides(run):
            found = described_of(run, name)
            return fraction_correct(found, "train", 3, 5), fraction_correct(found, "test", 3, 5)
        return sides

    parts = []
    for name, short in SHORT.items():
        parts += [Part(f"C10.{short}", f"{name}: train accuracy", lambda run, name=name: on_train(run, name), PERCENT),
                  Part(f"C10.{short}-mixed", f"{name}: silhouette of 3 and 5 minus of 1 to 5", apart(name), NUMBER),
                  Part(f"C10.{short}-overfit", f"{name}: classes 3 and 5, train minus test", learnt(name), POINTS)]
    return parts


def C11():
    """A pair agrees if the net of the higher test accuracy has the higher silhouette, too."""
    names = [*SCRATCH, "vgg16-112", "resnet18-112", "vgg16-224", "resnet18-224"]

    def silhouettes(run, *names):
        return [silhouette_of(run, name, "1-5") for name in names]

    def agreeing(run):
        pairs = itertools.combinations(zip(on_test(run, *names), silhouettes(run, *names)), 2)
        return [statistics.mean((a > b) == (s > t) for (a, s), (b, t) in pairs)]

    return [Part("C11.pairs", "pairs of nets whose order is the same by both", agreeing, PERCENT),
            Part("C11.vgg", "silhouette, vgg16-224 minus resnet18-224",
                 lambda run: silhouettes(run, "vgg16-224", "resnet18-224"), NUMBER)]


def C12():
    def block_and_square(run):
        block, square = on_test(run, "basic-block", "basic-block-square")
        if at_chance(square, CLASSES["caltech35"]):
            raise NotJudgeable("basic-block-square learns nothing")
        return block, square

    return [Part("C12", "basic-block minus basic-block-square", block_and_square, POINTS)]


def C13():
    """The classes 4, 8, 14, 16, 23 and 24 together against all 35."""
    def six_and_all(name):
        def sides(run):
            found = described_of(run, name)
            return fraction_correct(found, "test", 4, 8, 14, 16, 23, 24), fraction_correct(found, "test")
        return sides

    return [Part("C13", f"{name}: the six minus all classes, on test", six_and_all(name), POINTS) for name in OF_LOSSES]


def C14():
    return [gain("C14.base", "more data and epochs minus base", "base-lr-10", "base"),
            gain("C14.epochs", "more data and epochs minus more epochs", "base-lr-10", "base-more-epochs")]


def C15():
    names = [*SECOND["base"], *SECOND["basic-block"]]
    return [Part("C15.train", "the lowest train accuracy of six", lambda run: [min(on_train(run, *names))], PERCENT),
            Part("C15.lowest", "the lowest test accuracy of six", lambda run: [min(on_test(run, *names))], PERCENT),
            Part("C15.highest", "the highest test accuracy of six", lambda run: [max(on_test(run, *names))], PERCENT)]

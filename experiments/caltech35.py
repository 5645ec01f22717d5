"""The claims of report 5, judged: one function for each sentence of caltech35.mk.

    make report-caltech35 SEEDS="0 1 2"          # trains, draws, and judges them
    python experiments/report.py exp losses      # those about one comparison

Each takes `run`, which gives the record of a run for one seed, and returns whether the claim holds for that seed, and
the numbers that say so. Some ask what a net answers, in numbers: a record's "described" (see experiments/ask.py).
"""
import itertools
import math
import statistics

from experiments.records import NotRun, column, difference, final, finals, first_epoch, number, percent

# The nets that are trained from scratch, and those that the second training of section 3.3.1 gives.
SCRATCH = ("base", "basic-block", "bottleneck")
SECOND = {"base": ("base-lr-10", "base-lr-5", "base-lr-1"),
          "basic-block": ("basic-block-lr-10", "basic-block-lr-5", "basic-block-lr-1")}
CLASSES = 35


def on_test(run, *names):
    """Test accuracies of runs of this report."""
    return finals(run, "caltech35", *names, metric="test_acc")


def on_train(run, *names):
    """Train accuracies of runs of this report."""
    return finals(run, "caltech35", *names, metric="train_acc")


def described_of(run, name):
    """What the net of a run answers, in numbers. Raises NotRun where nobody has asked it.

    A net that diverged has every class wrong, and features without any order.
    """
    record = run(f"caltech35/{name}")
    if record["status"] == "diverged":
        wrong = [[int(called == (true + 1) % CLASSES) for called in range(CLASSES)] for true in range(CLASSES)]
        return {"confusion": {"train": wrong, "test": wrong}, "silhouette": {"1-5": -1.0, "3,5": -1.0},
                "spread": math.inf}
    if "described" not in record:
        raise NotRun
    return record["described"]


def fraction_correct(described, part, *classes):
    """The fraction of the images of these classes (of all, if none is named) that are called what they are."""
    rows = described["confusion"][part]
    classes = classes or range(len(rows))
    return sum(rows[c][c] for c in classes) / sum(sum(rows[c]) for c in classes)


def C1(run):
    tested, trained = on_test(run, *SCRATCH), on_train(run, *SCRATCH)
    gaps = [difference(a, b) for a, b in zip(trained, tested)]
    base, block, bottleneck = gaps
    within_6_points = math.isfinite(min(tested)) and difference(max(tested), min(tested)) <= 0.06
    holds = within_6_points and min(base, block) > bottleneck
    return holds, f"test {percent(*tested)}; train minus test {percent(*gaps)}"


def C2(run):
    """Valid: the mean of epochs 16 to 18 against that of 13 to 15."""
    holds, seen = [], []
    for name in SCRATCH:
        record = run(f"caltech35/{name}")
        trained = [None, *column(record, "train_acc", 1, 20)]  # trained[1] is that of epoch 1
        rises = {epoch: difference(trained[epoch], trained[epoch - 1]) for epoch in range(2, 21)}
        before, after = (statistics.mean(column(record, "valid_acc", first, first + 2)) for first in (13, 16))
        jump = difference(after, before)
        largest = max(rises[epoch] for epoch in range(6, 21))
        holds.append(jump >= 0.02 and rises[16] == largest)
        seen.append(f"{name} train {100 * rises[16]:+.1f} points in epoch 16, "
                    f"valid {100 * jump:+.1f} from epochs 13–15 to 16–18")
    return all(holds), "; ".join(seen)


def C3(run):
    scratch = on_test(run, *SCRATCH)
    vgg, resnet, vgg224, resnet224 = on_test(run, "vgg16-112", "resnet18-112", "vgg16-224", "resnet18-224")
    beat_scratch = min(vgg, resnet) > max(scratch)
    larger_beats_smaller = vgg224 > vgg and resnet224 > resnet
    vgg_beats_resnet = vgg > resnet and vgg224 > resnet224
    return beat_scratch and larger_beats_smaller and vgg_beats_resnet, (
        f"scratch {percent(*scratch)}; at 112 {percent(vgg, resnet)}, at 224 {percent(vgg224, resnet224)}")


def C4(run):
    base, base_cosine, base_euclid = on_test(run, "base", "base-cosine", "base-euclid")
    block, block_cosine, block_euclid = on_test(run, "basic-block", "basic-block-cosine", "basic-block-euclid")
    loss = final(run("caltech35/basic-block-euclid-features"), "train_loss")
    collapsed, whole = described_of(run, "basic-block-euclid"), described_of(run, "basic-block")
    called = [sum(counts) for counts in zip(*collapsed["confusion"]["test"])]  # how often each class was answered
    most, images = max(called), sum(called)
    worse = max(base_cosine, base_euclid) < base and max(block_cosine, block_euclid) < block
    holds = worse and block_euclid <= 0.1 and most >= 0.8 * images
    return holds, (
        f"base {percent(base)}, cosine and Euclidean {percent(base_cosine, base_euclid)}; "
        f"basic-block {percent(block)}, {percent(block_cosine, block_euclid)}. "
        f"basic-block-euclid calls {most / images:.0%} of the test images class {called.index(most)}; "
        f"its last triplet loss is {number(loss)} (margin 0.25), "
        f"the spread of its features {collapsed['spread']:.2f} (basic-block {whole['spread']:.2f})")


def C5(run):
    (base, square), (mean,) = on_test(run, "base", "base-square"), on_train(run, "base-mse")
    holds = square > base > -math.inf and 0 <= mean < 0.1
    return holds, f"{percent(square)} against {percent(base)}; train accuracy of the mean {percent(mean)}"


def C6(run):
    holds, seen = [], []
    for names in SECOND.values():
        accuracies, losses = on_test(run, *names), finals(run, "caltech35", *names, metric="train_loss")
        at_10, _, at_1 = accuracies
        best_and_worst = at_10 == max(accuracies) and -math.inf < at_1 == min(accuracies)
        slowest = losses[2] == max(losses)
        holds.append(best_and_worst and slowest)
        seen.append(f"{', '.join(names)} {percent(*accuracies)}, last train loss {', '.join(map(number, losses))}")
    return all(holds), "; ".join(seen)


def C7(run):
    plain, momentum = on_test(run, "base-lr-10", "base-momentum")
    goal, = on_train(run, "base-lr-10")

    def first(name):
        return first_epoch(run(f"caltech35/{name}"), "train_acc", lambda accuracy: goal <= accuracy < math.inf)

    sooner, later = first("base-momentum"), first("base-lr-10")
    holds = difference(momentum, plain) >= 0.03 and sooner < later
    return holds, (f"{percent(momentum)} against {percent(plain)}; "
                   f"train accuracy {percent(goal)} in epoch {sooner:g} against {later:g}")


def C8(run):
    accuracies = on_test(run, "noise-0", "noise-10", "noise-30", "noise-50")
    holds = all(less > more > -math.inf for less, more in itertools.pairwise(accuracies))
    return holds, percent(*accuracies)


def C9(run):
    noise = on_test(run, "noise-10", "noise-30", "noise-50")
    denoise = on_test(run, "denoise-10", "denoise-30", "denoise-50")
    gains = [difference(with_recipe, without) for with_recipe, without in zip(denoise, noise)]
    return max(map(abs, gains)) < 0.03, f"{percent(*denoise)} against {percent(*noise)}"


def C10(run):
    trained, holds, seen = on_train(run, "base", "basic-block"), [], []
    for name in ("base", "basic-block"):
        found = described_of(run, name)
        learnt, known = fraction_correct(found, "train", 3, 5), fraction_correct(found, "test", 3, 5)
        apart = found["silhouette"]["3,5"]
        holds.append(difference(learnt, known) >= 0.3 and apart < 0.1)
        seen.append(f"{name}: classes 3 and 5 {percent(learnt)} of train right, {percent(known)} of test, "
                    f"silhouette of the two {apart:.2f}")
    return min(trained) >= 0.7 and all(holds), f"train {percent(*trained)}; " + "; ".join(seen)


def C11(run):
    """A pair agrees if the net of the higher test accuracy has the higher silhouette, too."""
    names = [*SCRATCH, "vgg16-112", "resnet18-112", "vgg16-224", "resnet18-224"]
    accuracies = on_test(run, *names)
    silhouettes = [described_of(run, name)["silhouette"]["1-5"] for name in names]
    pairs = itertools.combinations(zip(accuracies, silhouettes), 2)
    agree = [(a > b) == (s > t) for (a, s), (b, t) in pairs]
    vgg224, resnet224 = silhouettes[5:]
    seen = [f"{name} {percent(a)}, silhouette {s:.2f}" for name, a, s in zip(names, accuracies, silhouettes)]
    return statistics.mean(agree) >= 0.8 and vgg224 < resnet224, ", ".join(seen)


def C12(run):
    square, block = on_test(run, "basic-block-square", "basic-block")
    return difference(block, square) >= 0.1, f"{percent(square)} against {percent(block)}"


def C13(run):
    """base-mse, which does not learn, is left out."""
    holds, seen = [], []
    for name in ("base", "base-cosine", "base-euclid", "base-square",
                 "basic-block", "basic-block-cosine", "basic-block-euclid", "basic-block-square"):
        found = described_of(run, name)
        six, every = fraction_correct(found, "test", 4, 8, 14, 16, 23, 24), fraction_correct(found, "test")
        holds.append(difference(six, every) >= 0.1)
        seen.append(f"{name} {percent(six)}, all classes {percent(every)}")
    return all(holds), "; ".join(seen)


def C14(run):
    base, more_data, more_epochs = on_test(run, "base", "base-lr-10", "base-more-epochs")
    holds = difference(more_data, base) >= 0.05 and difference(more_data, more_epochs) >= 0.05
    return holds, (f"{percent(base)}; with 20 more epochs {percent(more_epochs)}, "
                   f"with these and more data {percent(more_data)}")


def C15(run):
    names = [*SECOND["base"], *SECOND["basic-block"]]
    trained, tested = on_train(run, *names), on_test(run, *names)
    holds = min(trained) >= 0.95 and min(tested) >= 0.4 and max(tested) <= 0.6
    return holds, f"train {percent(*trained)}; test {percent(*tested)}"

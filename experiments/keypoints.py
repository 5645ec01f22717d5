"""The claims of report 1: one function for each sentence of keypoints.mk, which returns the parts it is judged by.

    make report-keypoints SEEDS="0 1 2"          # trains, draws, and judges them
    python experiments/report.py exp bn-dropout  # those about one comparison

Losses are mean squared errors in px²; at the end: medians of the last 10 epochs. Where a run blew up that was to be
compared, its loss at the end says nothing of the optimizer or the net, and the claim is not judgeable.
"""
import statistics

from experiments.records import column, final, first_epoch, unsteadiness
from experiments.verdicts import EPOCHS, PX2, TIMES, Part, sound


# At the report's rate of 0.01 Adam blows up. These claims are judged once more, by the same runs at 0.001.
ONCE_MORE = {
    "title": "The same at a tenth of the rate",
    "about": "At 0.001 instead of the report's 0.01, where Adam lasts (`exp-adam-lr-1e-3`, ours).",
    "claims": ["K1", "K2", "K3", "K4", "K5", "K7", "K8", "K9", "K10"],
    "runs": {"keypoints/adam": "keypoints/adam-lr-1e-3", "keypoints/adam-sgd": "keypoints/adam-sgd-lr-1e-3",
             "keypoints/adam-step": "keypoints/adam-step-lr-1e-3",
             "keypoints/adam-bn": "keypoints/adam-bn-lr-1e-3",
             "keypoints/adam-bn-dropout": "keypoints/adam-bn-dropout-lr-1e-3"}}


def sound_run(run, name):
    """The record of a run of this report that did not blow up."""
    return sound(run(f"keypoints/{name}"))


def ends(run, *names, metric="late_valid_loss"):
    """A loss at the end of runs that did not blow up, in the order of their names."""
    return [final(sound_run(run, name), metric) for name in names]


def late_change(run, *names, first, last):
    """The mean change of the valid loss from epoch to epoch, of runs that did not blow up."""
    return [unsteadiness(sound_run(run, name), first, last) for name in names]


def mean_valid(run, *names, first, last):
    """The mean valid loss of some epochs, of runs that did not blow up."""
    return [statistics.mean(column(sound_run(run, name), "valid_loss", first, last)) for name in names]


def K1():
    def at_70_and_end(run):
        adam = sound_run(run, "adam")
        return column(adam, "train_loss")[69], final(adam, "late_train_loss")

    def at_70_and_sgd(run):
        return column(sound_run(run, "adam"), "train_loss")[69], final(run("keypoints/sgd"), "late_train_loss")

    return [Part("K1.done", "Adam's train loss at epoch 70, over that at the end", at_70_and_end, TIMES),
            Part("K1.sgd", "Adam's train loss at epoch 70, minus SGD's at the end", at_70_and_sgd, PX2)]


def K2():
    return [Part("K2", "", lambda run: late_change(run, "adam-sgd", "adam", first=201, last=250), PX2)]


def K3():
    return [Part("K3", "", lambda run: ends(run, "adam-step", "adam"), TIMES)]


def K4():
    return [Part("K4.bn", "batch norm minus plain", lambda run: ends(run, "adam-bn", "adam"), PX2),
            Part("K4.dropout", "batch norm and dropout minus plain",
                 lambda run: ends(run, "adam-bn-dropout", "adam"), PX2)]


def K5():
    def gaps(run):
        gaps = []
        for name in ("adam-bn-dropout", "adam-bn"):
            valid, = ends(run, name)
            train, = ends(run, name, metric="late_train_loss")
            gaps.append(abs(valid - train))
        return gaps

    return [Part("K5", "", gaps, PX2)]


def K6():
    names = ("adam-sgd-400", "adam-400")
    return [Part("K6.better", "mean valid loss of epochs 351 to 400",
                 lambda run: mean_valid(run, *names, first=351, last=400), PX2),
            Part("K6.steadier", "its mean change from epoch to epoch",
                 lambda run: late_change(run, *names, first=351, last=400), PX2)]


def K7():
    def first_epochs(name):
        def of_both(run):
            goal, = ends(run, "adam")
            records = run(f"keypoints/{name}"), run("keypoints/adam")
            return [first_epoch(record, "valid_loss", lambda loss: loss <= goal) for record in records]
        return of_both

    return [Part("K7.bn", "batch norm minus plain", first_epochs("adam-bn"), EPOCHS),
            Part("K7.dropout", "batch norm and dropout minus plain", first_epochs("adam-bn-dropout"), EPOCHS)]


def K8():
    """More slowly: later at a train loss that both reach. Varies more: its valid loss, after the rate first halves."""
    names = ("adam-step", "adam")

    def first_epochs(run):
        records = [sound_run(run, name) for name in names]
        goal = 1.5 * max(min(column(record, "train_loss")) for record in records)
        return [first_epoch(record, "train_loss", lambda loss: loss <= goal) for record in records]

    return [Part("K8.slower", "first epoch at 1.5 times the lowest train loss of both", first_epochs, EPOCHS),
            Part("K8.varies", "mean change of the valid loss in epochs 101 to 250",
                 lambda run: late_change(run, *names, first=101, last=250), PX2)]


def K9():
    return [Part("K9", "", lambda run: mean_valid(run, "adam-sgd", "adam", first=201, last=250), PX2)]


def K10():
    def turned(*names):
        return lambda run: ends(run, *names, metric="valid_loss_turned")

    return [Part("K10.step", "StepLR minus plain Adam", turned("adam-step", "adam"), PX2),
            Part("K10.bn", "plain Adam minus batch norm", turned("adam", "adam-bn"), PX2),
            Part("K10.dropout", "plain Adam minus batch norm and dropout", turned("adam", "adam-bn-dropout"), PX2)]

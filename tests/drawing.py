"""What tests of figures share: records by hand, run folders made of them, and what can be read in a figure."""
import json
from pathlib import Path

import matplotlib
import numpy as np

import by_hand
from experiments import runs
from experiments.panels import Printed


def record(run, epochs=None, seed=0, status="finished", synthetic=False, test_acc=None, **columns):
    """Returns a record with the columns given, e.g. valid_loss=[...]; the rest is absent."""
    n = epochs or max(len(column) for column in columns.values())
    curves = {column: [None] * n for column in runs.COLUMNS} | {"epoch": list(range(1, n + 1))} | columns
    for column, values in curves.items():
        curves[column] = [v if v is None or column == "epoch" else float(v) for v in values]
    return {"status": status, "run": run, "seed": seed, "metrics": {"test_acc": test_acc}, "epochs": n,
            "data": {"synthetic": synthetic}, "curves": curves}


def printed(run, quantity, epoch, low, high=None):
    """Returns a number that a report printed, or a range."""
    return Printed(run, quantity, epoch, low, low if high is None else high)


def classes(run, end=0.5, seed=0, n=50, **more):
    """Returns a record of a classification run whose valid accuracy comes to `end`."""
    rising = np.linspace(0.1, end, n)
    columns = {"train_loss": down(2.3, 1, n), "valid_loss": down(2.3, 1.3, n), "train_acc": rising + 0.2,
               "valid_acc": rising}
    return record(run, seed=seed, **columns | more)


def by_epochs(run, *accuracies, **more):
    """Returns a record with this test accuracy by epoch."""
    rec = record(run, len(accuracies), **more)
    rec["curves"]["test_acc"] = list(accuracies)
    return rec


def down(start, end, n=50):
    """Returns a loss that falls, by n epochs."""
    return np.geomspace(start, end, n)


def write(runs_dir, rec, result=True, torn="", lacks=(), **flags):
    """Writes the run folder that a run like this record leaves behind.

    flags: settings in its args.json; lacks: settings that are not in there.
    """
    folder = Path(runs_dir) / rec["run"] / f"seed{rec['seed']}"
    folder.mkdir(parents=True)
    curves = rec["curves"]
    rows = [{column: curves[column][i] for column in curves} for i in range(len(curves["epoch"]))]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
    of_run = {"data": "faces21", "synthetic": rec["data"]["synthetic"], **flags}
    args = {name: value for name, value in by_hand.args(rec["run"], rec["seed"], **of_run).items() if name not in lacks}
    (folder / "args.json").write_text(json.dumps(args))
    if result:
        left = by_hand.result(**{key: rec[key] for key in rec if key != "curves"})
        (folder / "result.json").write_text(json.dumps(left))
    return folder


def points(labels, answers, features):
    """Returns what ask.answers returns, with the same images in train and test."""
    part = {"labels": np.array(labels), "answers": np.array(answers), "features": np.array(features, dtype=np.float32)}
    return {"train": part, "test": {key: value.copy() for key, value in part.items()}}


def texts(fig):
    """Returns everything a reader can read in a figure, line by line."""
    found = [line for text in fig.findobj(matplotlib.text.Text) for line in text.get_text().splitlines()]
    return [line for line in found if line]


def lines(ax, label):
    """Returns the lines of a panel with this label."""
    return [line for line in ax.lines if line.get_label() == label]


def labels_of(axis):
    """Returns the texts at the ticks of an axis."""
    return [label.get_text() for label in axis.get_ticklabels()]

"""Records made by hand, for tests: what a run left behind, without a run."""


def record(run, seed=0, status="finished", valid=(), train=(), curves=None, **metrics):
    """A record with the loss curves `valid` and `train` and more curves, whose final numbers are their last.

    metrics: final numbers that the curves do not give.
    """
    valid, train = list(valid), list(train)
    final = {"train_loss": train[-1] if train else None, "valid_loss": valid[-1] if valid else None, "train_acc": None,
             "test_acc": None}
    return {"run": run, "seed": seed, "status": status, "metrics": {**final, **metrics},
            "curves": {"valid_loss": valid, "train_loss": train, **(curves or {})}}


def result(run="a/b", seed=0, metrics=(), data=(), **changes):
    """The content of a finished run's result.json, with these changes, as every version wrote it.

    metrics, data: changes within these.
    """
    of_metrics = dict.fromkeys(["train_loss", "train_acc", "valid_loss", "valid_acc", "best_epoch", "best_valid_loss",
                                "best_valid_acc", "test_loss", "test_acc"])
    of_data = {"name": "cifar10", "source": "batches", "fingerprint": "0", "synthetic": False, "train": 4, "valid": 1,
               "test": 1}
    versions = {"python": "3.11", "torch": "2.11", "torchvision": "0.26", "device": "EPYC"}
    return {"status": "finished", "run": run, "seed": seed, "metrics": {**of_metrics, **dict(metrics)},
            "test_weights": "final", "test_evaluations": 0, "params": 10, "steps": 2, "max_steps": None, "threads": 1,
            "data": {**of_data, **dict(data)}, "flags": "--lr 1", "versions": versions, "epochs": 1, "seconds": 1.0,
            "seconds_per_epoch": 1.0, **changes}


def args(run="a/b", seed=0, **changes):
    """The content of a run's args.json, with these changes: the settings that every version wrote."""
    return {"model": "lenet5", "data": "cifar10", "data_dir": "data", "run": run, "seed": seed, "epochs": 1,
            "batch_size": 4, "lr": 1.0, "threads": 1, "synthetic": False, "fingerprint": "0", **changes}


def changes_of(change, run):
    """What replaces a run's arguments among keyword arguments: those of run adam-bn are under adam_bn."""
    return change.get(run.replace("-", "_"), {})


def in_first_epoch_diverged(record):
    """The record as merging leaves it of a run that diverged in its first epoch: no column has a number."""
    return {**record, "status": "diverged", "curves": {},
            "metrics": {"test_acc": None, "train_loss": None, "train_acc": None}}


def in_second_epoch_diverged(record):
    """The record of a run that diverged in its second epoch: of the first it has all numbers."""
    return {**record, "status": "diverged", "metrics": dict.fromkeys(record["metrics"]),
            "curves": {name: [*column[:1], None] for name, column in record["curves"].items()}}

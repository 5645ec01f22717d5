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


def changes_of(change, run):
    """What replaces a run's arguments among keyword arguments: those of run adam-bn are under adam_bn."""
    return change.get(run.replace("-", "_"), {})


def in_first_epoch_diverged(record):
    """The record as merging leaves it of a run that diverged in its first epoch: no column has a number."""
    return {**record, "status": "diverged", "curves": {},
            "metrics": {"test_acc": None, "train_loss": None, "train_acc": None}}

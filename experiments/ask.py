"""Asks trained nets: landmarks on faces, answers and features of nets of classes, the layers that a net has.

    python plots.py confusion caltech35/base     # asks a net for its answers to all images, and draws them
    python plots.py layers caltech35/base        # writes a table of a net's layers

Nothing here trains or draws. Torch and scikit-learn, which take seconds to load, are imported where they are used.
"""
import json
import math
import os
import sys
from pathlib import Path

import numpy as np

from experiments import runs


def predict(folders, data_dir, count=4, best=()):
    """Runs landmark nets on the same held-out faces. Returns a dict, or None if no net gives 21 landmarks.

    folders: {run: run folder}. The faces are `count` of the valid set, evenly spread, then the last of these rotated by
    +30° and -30°. The dict has "pictures": (faces, 112, 112), "true": (faces, 42) in pixels, "heads": what each face
    is, "predicted": {run: (faces, 42)}, "other": the runs that trained with another split, and so may have seen
    these faces, and "unread": what is wrong with the runs of which a file is broken. The runs in `best` answer with the
    weights of their best epoch, best.pt, all others with their final ones. A run that is broken, or whose
    net does not give 21 landmarks, is named on stderr and left out. Raises data.DataError where the data are not there.
    """
    import torch

    import data
    from experiments import starts

    shown, valid, unread = None, None, []
    for run, folder in folders.items():
        weights = "best.pt" if run in best else "model.pt"
        try:
            _, model, dataset = starts.restore(folder, data_dir=data_dir, device="cpu", weights=weights)
        except runs.BadInput as e:
            print(f"{run}: left out of the faces: {e}", file=sys.stderr)
            unread.append(str(e))
            continue
        if tuple(dataset.targets.shape[1:]) != (42,):
            print(f"{run}: its net does not give 21 landmarks, left out of the faces", file=sys.stderr)
            continue
        if shown is None:
            valid = dataset.valid
            n = max(1, min(count, len(valid)))
            x, y = dataset.batch(valid[torch.arange(n) * len(valid) // n])
            # The same face upright and rotated, so that the rotation is all that differs.
            rotated, landmarks = data.rotate(x[[-1, -1]], torch.tensor([30.0, -30.0]), y[[-1, -1]])
            x, y = torch.cat([x, rotated]), torch.cat([y, landmarks])
            heads = ["upright"] * n + ["turned +30°", "turned −30°"]
            shown = {"pictures": x[:, 0].numpy(), "true": y.numpy(), "heads": heads, "predicted": {}, "other": set(),
                     "unread": unread}
        if not torch.equal(dataset.valid, valid):
            shown["other"].add(run)
        with torch.no_grad():
            shown["predicted"][run] = model(x).float().numpy()
    return shown


def answers(folder, data_dir=None):
    """Returns what the final weights of a run folder make of its train and test images, in eval mode, not augmented.

    {"train": {"labels": (n,), "answers": (n,), "features": (n, d)}, "test": ...}, numpy arrays; the train labels are
    those it was trained with, and the features what enters the classifier. Nothing is chosen by it. Raises ValueError
    where the net's output is no class, data.DataError where the data are not there.
    """
    import torch

    import losses
    import models
    from experiments import starts

    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings, model, dataset = starts.restore(folder, data_dir=data_dir, device=device)
    if settings.loss not in losses.OF_LOGITS:
        raise ValueError(f"{folder}: its net answers with no class")
    found = {}
    with torch.no_grad():
        for part, indices in (("train", dataset.train), ("test", dataset.test)):
            of_batches = {"labels": [], "answers": [], "features": []}
            for some in indices.split(128):
                x, y = dataset.batch(some)
                logits, features = models.with_features(model, x)
                of_batches["labels"].append(y)
                of_batches["answers"].append(logits.argmax(1))
                of_batches["features"].append(features)
            found[part] = {name: torch.cat(batches).cpu().numpy() for name, batches in of_batches.items()}
    return found


def describe(found):
    """Returns in numbers what `answers` found, as JSON.

    "confusion": {"train": rows, "test": rows}, counts, a row per true class. "silhouette": how far the test features of
    classes 1 to 5 and of 3 and 5 lie apart, the mean silhouette, -1 to 1, or None where one of them has no image.
    "spread" of the test features: root mean square distance from their mean over root mean square length, 0 where all
    are one point.
    """
    from sklearn.metrics import confusion_matrix

    test = found["test"]
    classes = np.arange(max(test["labels"].max(), found["train"]["labels"].max()) + 1)
    confusion = {}
    for part, of_part in found.items():
        confusion[part] = confusion_matrix(of_part["labels"], of_part["answers"], labels=classes).tolist()
    features = test["features"].astype(np.float64)
    mean_square = np.square(features).sum(1).mean()
    spread = math.sqrt(features.var(0).sum() / max(mean_square, 1e-30))
    silhouette = {"1-5": silhouette_of(features, test["labels"], [1, 2, 3, 4, 5]),
                  "3,5": silhouette_of(features, test["labels"], [3, 5])}
    return {"confusion": confusion, "silhouette": silhouette, "spread": round(spread, 4)}


def silhouette_of(features, labels, classes):
    """Returns the mean silhouette of the features, (n, d), of some classes; None where a class has no image."""
    from sklearn.metrics import silhouette_score

    chosen = np.isin(labels, classes)
    if len(set(labels[chosen])) < len(classes):
        return None
    return round(float(silhouette_score(features[chosen], labels[chosen])), 4)


def described(record, folder, data_dir):
    """Returns a finished record of caltech35 with "described": what its net answers, as `describe` has it.

    It is worked out once from the weights and kept in the run folder, in described.json. A record of other data or
    without a test score, or whose weights or data are not there, comes back as it is. Raises BadInput where
    described.json is broken.
    """
    file = Path(folder) / "described.json"
    has_answers = record["status"] == "finished" and record["metrics"].get("test_acc") is not None
    if record["data"].get("name") != "caltech35" or not has_answers:
        return record
    if not os.path.lexists(file):
        found = answers_or_none(folder, data_dir)
        if found is None:
            return record
        runs.write_atomically(json.dumps(describe(found)).encode(), file)
    found = runs.read_checked(file, runs.wrong_with_description, "Remove it, and it is worked out again.")
    return {**record, "described": found}


def answers_or_none(folder, data_dir):
    """Returns the answers of a run folder, or None where it has no weights or they cannot be used.

    The latter is said on stderr: a comparison is drawn without the figures that need this net.
    """
    if not (Path(folder) / "model.pt").exists():
        return None
    try:
        return answers(folder, data_dir)
    except Exception as e:  # data that are not there, and whatever torch makes of a broken file
        reason = " ".join(str(e).split())[:300]
        print(f"report.py: the net of {folder} cannot be asked: {reason}", file=sys.stderr)
        return None


def layers(model, shape):
    """Returns rows (name, kind, output shape, parameters) of a net's layers, in the order in which they run.

    shape: of the input, with the batch. Layers within layers stand for themselves; the net is left as it was.
    """
    import torch

    rows, hooks = [], []
    for name, layer in model.named_modules():
        if list(layer.children()):
            continue

        def note(layer, _, output, name=name):
            rows.append((name, type(layer).__name__, list(output.shape), sum(p.numel() for p in layer.parameters())))
        hooks.append(layer.register_forward_hook(note))
    was_training = model.training
    with torch.no_grad():
        model.eval()(torch.zeros(shape))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


def layer_table(model, batch_size):
    """Returns the layers of a net and their sum as a Markdown table, for a batch of so many of the net's images."""
    shape = [batch_size, *model.input_shape]
    rows = layers(model, shape)
    parameters = sum(count for *_, count in rows)
    lines = ["| layer | | output | parameters |", "|---|---|---|---:|", f"| input | | {shape} | |"]
    lines += [f"| {name} | {kind} | {output} | {count:,} |" for name, kind, output, count in rows]
    return "\n".join([*lines, f"| all | | | {parameters:,} |"])

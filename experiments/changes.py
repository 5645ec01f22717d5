"""What changed from one run to another, in short words: "Adam, lr 0.01, batch norm".

What is compared are the settings that train.py makes of the flags, not the flags as they are typed: --lr 0.1 --lr 0.01
is lr 0.01, and a flag that says what is the default anyway changes nothing.
"""
import functools

import losses
import models
import train
from experiments import runs
from experiments.declarations import short

# They change what is scored, not what is trained.
ONLY_SCORING = ("test_weights", "test_each_epoch", "valid_rotation", "max_steps", "synthetic")
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}


@functools.cache
def settings_of(flags):
    """The settings that train.py makes of a line of flags, a named tuple. Raises BadInput for wrong flags."""
    return train.parse(flags.split())


def changed(flags, base):
    """How the run with `flags` differs from that with the flags `base`: a list of short phrases, [] for no difference.

    A setting without effect is not named, such as the momentum of Adam. Raises BadInput for flags that train.py
    refuses.
    """
    ours, theirs = with_effect(settings_of(flags)), with_effect(settings_of(base))
    other_net = ours["model"] != theirs["model"]
    phrases = []
    for name, value in ours.items():
        if value is None or value == theirs[name]:
            continue
        if other_net and is_default(ours, name) and is_default(theirs, name):
            continue  # another net has other defaults, as the name of the net says already
        phrases.append(phrase(name, value, theirs[name]))
    return with_what_is_gone_last(phrases)


def with_what_is_gone_last(phrases):
    """The same phrases, with those that begin with "no" as one, "no flip, crop or dropout", behind the others."""
    gone = [phrase.removeprefix("no ") for phrase in phrases if phrase.startswith("no ")]
    kept = [phrase for phrase in phrases if not phrase.startswith("no ")]
    if not gone:
        return kept
    *before, last = gone
    return [*kept, f"no {', '.join(before)} or {last}" if before else f"no {last}"]


def with_effect(settings):
    """Settings as {name: value}, with None for those that do nothing here.

    What belongs together is one value: "schedule" and "switch_after" are phrases.
    """
    values = runs.identity(settings._asdict())
    for name in ONLY_SCORING:
        values.pop(name, None)
    if settings.optim == "adam":
        values["momentum"] = None
    if settings.loss in losses.OF_FEATURES:
        values["freeze"] = None  # the classifier takes no part in this loss
    else:
        values["margin"] = None
    if settings.split == "leak":  # this split makes its rotated copies itself
        values["rotated_copies"] = None
    values["init_from"] = short(settings.init_from) or settings.init_from if settings.init_from else ""
    values["clean_by"] = f"{short(settings.clean_by)} ({settings.clean_share:.0%})" if settings.clean_by else ""
    values["schedule"] = schedule_of(settings)
    values["switch_after"] = switch_of(settings)
    for name in ("step_size", "milestones", "gamma", "patience", "switch_optim", "switch_lr", "clean_share"):
        del values[name]
    return values


def schedule_of(settings):
    """The schedule of the learning rate in words."""
    gamma, milestones = plain(settings.gamma), settings.milestones or ()
    if settings.schedule == "step":
        return f"StepLR({settings.step_size}, {gamma})"
    if settings.schedule == "cosine":
        return "cosine lr"
    if settings.schedule == "plateau":
        return f"lr × {gamma} on a plateau of {settings.patience}"
    if settings.schedule == "none":
        return "constant lr"
    every = milestones[0] + 1  # report 2 halves it at the start of epochs 5, 10, 15, ...
    if len(milestones) > 1 and list(milestones) == [every * n - 1 for n in range(1, len(milestones) + 1)]:
        return f"lr × {gamma} every {every} epochs"
    return f"lr × {gamma} after epoch{'s' if len(milestones) > 1 else ''} {', '.join(map(str, milestones))}"


def switch_of(settings):
    """The change of the optimizer in words."""
    if not settings.switch_after:
        return "no switch"
    momentum = f", momentum {plain(settings.momentum)}" if settings.switch_optim == "sgd" else ""
    return (f"{OPTIMIZERS[settings.switch_optim]} at {plain(settings.switch_lr)}{momentum} "
            f"from epoch {settings.switch_after + 1}")


def is_default(values, name):
    """Is this setting of nets as the net has it by default? True, too, where the net has no such setting."""
    if not any(name in models.flags_of(model) for model in models.MODELS):
        return False
    defaults = models.flags_of(values["model"])
    if name not in defaults:
        return True
    default = defaults[name]
    return values[name] == (list(default) if isinstance(default, tuple) else default)


def plain(x):
    """A number as one types it: 0.01, 1e-5; a list with commas."""
    if isinstance(x, (list, tuple)):
        return ",".join(map(plain, x))
    if not isinstance(x, (int, float)):
        return str(x)
    text = f"{x:g}"
    if 0 < x < 0.001 and "e" not in text:  # 0.0001 is harder to read than 1e-4
        digits, _, exponent = f"{x:.6e}".partition("e")
        text = f"{float(digits):g}e{exponent}"
    return text.replace("e-0", "e-").replace("e+0", "e+")


# What a value is called where the flag's own name and its value are not clear.
NAMES = {
    "act": {"relu": "ReLU", "sigmoid": "sigmoid"},
    "pool": {"avg": "average pooling", "max": "max pooling"},
    "norm": {"bn": "batch norm", "ln": "layer norm", "in": "instance norm", "gn": "group norm"},
    "fc_norm": {"bn": "batch norm on linear layers", "none": "no norm on linear layers"},
    "init": {"kaiming": "Kaiming's rule", "default": "PyTorch's first weights"},
    "stem": {"cifar": "CIFAR stem", "imagenet": "ImageNet stem"},
    "freeze": {"features": "features frozen", "classifier": "classifier frozen", "none": "nothing frozen"},
    "pretrained": {True: "ImageNet weights", False: "no ImageNet weights"},
    "split": {"all": "all train images", "random": "random split", "leak": "rotated copies before the split",
              "photograph": "split by photograph", "given": "train images alone", "last": "the last 10,000 valid",
              "train+addition": "train + addition", "val+addition": "val + addition"},
    "normalise": {"half": "normalised by 0.5 and 0.5", "cifar10": "normalised by CIFAR-10's colours",
                  "imagenet": "normalised by ImageNet's colours", "copied": "normalised by the copied deviations"},
    "loss": {"triplet-cosine": "triplet loss (cosine)", "triplet-euclid": "triplet loss (Euclidean)",
             "square": "sum of squares", "mean-square": "mean of squares", "cross-entropy": "cross-entropy"},
    "optim": OPTIMIZERS,
    "protocol": {"report": "scored the report's way", "default": "scored in eval mode"},
    "drop_last": {True: "last batch dropped", False: "last batch kept"},
    "unused": {True: "uncalled layers in the L2 term", False: "no uncalled layers"},
    "bn_last": {True: "batch norm behind the activation", False: "batch norm before the activation"},
    "copies_once": {True: "rotated copies made once", False: "rotated copies drawn anew"},
    "own_positive": {True: "lone images as their own positives", False: "lone images left out"},
    "init_from": {"": "starts anew"},
    "clean_by": {"": "not cleaned"},
}
# What an amount is called, where the flag is not: {} is the amount.
AMOUNTS = {"batch_size": "batch {}", "epochs": "{} epochs", "clip": "clipping at {}", "l2": "L2 term {}",
           "dropconnect": "DropConnect {}", "autoaugment": "AutoAugment {}", "augmix": "AugMix {}", "side": "{} px",
           "pad_crop": "crop after padding {}", "rotation": "rotation ±{}°",
           "rotated_copies": "copies rotated ±{}°", "early_stop": "early stopping {}",
           "init_from": "starts from {}", "clean_by": "cleaned by {}", "adam_eps": "Adam's eps {}",
           "jpeg_again": "compressed again as JPEG {}",
           "convs": "convolutions {}", "model": "{}", "order": "{}", "schedule": "{}", "switch_after": "{}"}


def phrase(name, value, base):
    """A setting and its value in short words; of one that is off, what is not there: "no dropout".

    base: the value that it has in the run that this one is compared with.
    """
    known = NAMES.get(name, {})
    if name == "norm" and value == "none":
        return f"no {known.get(base, 'norm')}"
    if value in known.values() or isinstance(value, (str, bool)) and value in known:
        return known.get(value, value)
    amount = AMOUNTS.get(name, f"{name.replace('_', ' ')} {{}}")
    off = amount.partition(" {}")[0].removesuffix(" at").removesuffix(" ±")
    off = {"clip": "clipping", "rotation": "rotation", "rotated_copies": "rotated copies",
           "pad_crop": "crop"}.get(name, off)
    if value is True:
        return off
    if value is False or value == 0:
        return f"no {off}"
    return amount.format(plain(value))

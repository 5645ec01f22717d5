"""Every loss of the five reports, as functions of a net's output and its targets, and the flags of the losses.

    python train.py --model keypoint --data faces21       # mse, in px^2
    python train.py --model lenet5 --l2 0.01              # cross-entropy plus the report's L2 term
    python train.py --model base --data caltech35 --batch-size 32 --loss triplet-cosine --freeze classifier
"""
import argparse
import functools
import math

import torch
import torch.nn.functional as F


def mse(predicted, landmarks):
    """Report 1: the mean squared error in px^2, the mean over images and coordinates; both arguments (n, 42)."""
    return F.mse_loss(predicted, landmarks)


def cross_entropy(logits, labels, smoothing=0.0):
    """The mean cross-entropy in nats; logits (n, classes), labels (n,) integers.

    smoothing is the fraction of each target that is spread evenly over all classes (Szegedy et al., 2016).
    """
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def square(logits, labels):
    """Report 5: the squared differences of softmax and one-hot label, summed over batch and classes.

    logits (n, classes), labels (n,).
    """
    probabilities = logits.softmax(1)
    one_hot = F.one_hot(labels, probabilities.shape[1]).to(probabilities)
    return F.mse_loss(probabilities, one_hot, reduction="sum")


def mean_square(logits, labels):
    """Report 5: the mean of the same, which is `square` / (n * classes)."""
    return square(logits, labels) / logits.numel()


def triplet_cosine(features, labels, margin=0.25, own_positive=False):
    """Report 5: the batch-hard triplet loss (Hermans et al., 2017) by cosine similarity; features (n, d), labels (n,).

    The loss of an anchor is max(0, a - b + margin): a is its similarity to the most similar image of another class, b
    that to the least similar image of its own class. Returns the mean over the anchors of the batch, 0 without any.
    An image is an anchor if the batch has another image of its class and one of another class (see `left_out`). With
    own_positive=True it has itself as one of its class: who is alone in it is an anchor, too, with a loss near 0.
    """
    unit = F.normalize(features)
    return _batch_hard(-unit @ unit.T, labels, margin, own_positive)


def triplet_euclid(features, labels, margin=0.25, own_positive=False):
    """Report 5: the same by Euclidean distance.

    The loss of an anchor is max(0, a - b + margin): a is its distance to the farthest image of its own class, b that to
    the nearest one of another class. Where two features coincide, their distance has the gradient 0.
    """
    distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    return _batch_hard(distance, labels, margin, own_positive)


def _batch_hard(distance, labels, margin, own_positive):
    """The mean over anchors of max(0, farthest positive - nearest negative + margin), by distances (n, n)."""
    positive, negative, anchors = _pairs(labels, own_positive)
    farthest = distance.masked_fill(~positive, -math.inf).amax(1)
    nearest = distance.masked_fill(~negative, math.inf).amin(1)
    hardest = farthest - nearest  # -inf, and so no loss, for images that are no anchors
    return F.relu(hardest + margin).sum() / anchors.sum().clamp_min(1)


def _pairs(labels, own_positive):
    """Masks of a batch: pairs of one class (n, n), pairs of two classes (n, n), images that are in both kinds (n,).

    own_positive: is an image with itself a pair of one class?
    """
    same = labels[:, None] == labels
    positive = same
    if not own_positive:
        positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchors = positive.any(1) & ~same.all(1)
    return positive, ~same, anchors


def left_out(labels, own_positive=False):
    """Returns the number of a batch's images, labels (n,), that are no anchors of a triplet loss, a tensor."""
    _, _, anchors = _pairs(labels, own_positive)
    return len(labels) - anchors.sum()


@torch.no_grad()
def add_l2(parameters, factor):
    """Report 2's term: factor * the sum of squares of all parameters, biases and norms too.

    Adds its gradient, 2 * factor * p, to that of every parameter p that learns, and returns its value, a tensor. Called
    between backward and clipping, this is what autograd makes of the term as a part of the loss, for less. It is not
    --weight-decay, which adds lambda * p, and behind clipping.
    """
    parameters = list(parameters)
    learning = [p for p in parameters if p.requires_grad]
    for p in learning:
        if p.grad is None:  # the loss does not depend on it
            p.grad = torch.zeros_like(p)
    torch._foreach_add_([p.grad for p in learning], learning, alpha=2 * factor)
    flat = torch.cat([p.reshape(-1) for p in parameters])  # a sum for each parameter would cost a small net more
    return factor * torch.dot(flat, flat)


def correct(logits, labels):
    """Returns the number of correct answers, a tensor; logits (n, classes), labels (n,)."""
    return (logits.argmax(1) == labels).sum()


# ---- losses by name, their flags ------------------------------------------------------------------------------------

LOSSES = {"mse": mse, "cross-entropy": cross_entropy, "square": square, "mean-square": mean_square,
          "triplet-cosine": triplet_cosine, "triplet-euclid": triplet_euclid}
OF_LOGITS = ("cross-entropy", "square", "mean-square")
OF_FEATURES = ("triplet-cosine", "triplet-euclid")  # of feature vectors; mse is of landmarks
SUMS = ("square",)  # sums over the batch; the others are means
LOSS_OF = {"cifar10": "cross-entropy", "caltech35": "cross-entropy", "faces21": "mse"}  # the loss where none is named


def not_negative(text):
    """An argparse type: 0 or a number above it that float32 can hold, and its double too."""
    value = float(text)
    if value != 0 and not 1e-37 <= value <= 1e38:
        raise argparse.ArgumentTypeError(f"must be 0 or between 1e-37 and 1e38, not {text}")
    return value


def fraction(text):
    """An argparse type: a number, at least 0 and below 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text}")
    return value


def add_flags(parser):
    """Adds the group "loss" to an argparse parser."""
    group = parser.add_argument_group("loss")
    group.add_argument("--loss", choices=LOSSES,
                       help="default: mse for landmarks, cross-entropy for classes; the triplet losses train features")
    group.add_argument("--margin", default=0.25, type=not_negative, help="margin of the triplet losses")
    group.add_argument("--own-positive", action="store_true",
                       help="triplet losses: an image that is alone in its class in a batch is its own positive")
    group.add_argument("--l2", default=0.0, type=not_negative, metavar="LAMBDA",
                       help="report 2's term: LAMBDA times the sum of all squared parameters is added to the loss")
    group.add_argument("--label-smoothing", default=0.0, type=fraction, metavar="FRACTION",
                       help="fraction of each target that is spread evenly over all classes, in training")


def resolve_flags(flags, given):
    """Sets flags.loss where none is named, and checks the flags of the losses.

    flags: argparse.Namespace of all flags, which is changed. given: {name: value} of those that were typed; no check
    here depends on it. Raises ValueError with a sentence for a loss that does not fit the data set's targets, for
    --own-positive with another loss than a triplet's, and for label smoothing with another one than cross-entropy.
    """
    if flags.loss is None:
        flags.loss = LOSS_OF[flags.data]
    landmarks = LOSS_OF[flags.data] == "mse"
    if landmarks and flags.loss != "mse":
        raise ValueError(f"--loss {flags.loss} is for classes; {flags.data} has landmarks")
    if flags.loss == "mse" and not landmarks:
        raise ValueError(f"--loss mse is for landmarks; {flags.data} has classes")
    if flags.own_positive and flags.loss not in OF_FEATURES:
        raise ValueError(f"--own-positive is for {' and '.join(OF_FEATURES)}, not for {flags.loss}")
    if flags.label_smoothing and flags.loss != "cross-entropy":
        raise ValueError(f"--label-smoothing is for cross-entropy, not for {flags.loss}")


def make(settings, training=True):
    """Returns the loss that the settings ask for, as a function (output, targets) -> scalar.

    The output is what the loss is of: landmarks, logits or feature vectors. Labels are smoothed in training only.
    """
    loss = LOSSES[settings.loss]
    if settings.loss in OF_FEATURES:
        return functools.partial(loss, margin=settings.margin, own_positive=settings.own_positive)
    if training and settings.label_smoothing:
        return functools.partial(loss, smoothing=settings.label_smoothing)
    return loss

"""Every loss of the five reports, as functions of a net's output and its target. They import nothing of the project.

    python train.py --model keypoint --data faces21       # mse, in px^2
    python train.py --model lenet5 --l2 0.01              # cross-entropy plus the report's L2 term
    python train.py --model base --data caltech35 --batch-size 32 --loss triplet-cosine --freeze classifier
"""
import math

import torch
import torch.nn.functional as F


def mse(predicted, landmarks):
    """Report 1: mean squared error over the 42 coordinates, in px^2; both (n, 42), the mean over images and coordinates."""
    return F.mse_loss(predicted, landmarks)


def cross_entropy(logits, labels, smoothing=0.0):
    """Mean cross-entropy in nats; logits (n, classes), labels (n,) integers. smoothing: the share of each target that is spread evenly over
    all classes (label smoothing, Szegedy et al., 2016)."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def square(logits, labels):
    """Report 5: the sum over batch and classes of the squared differences of softmax and one-hot label; logits (n, classes), labels (n,)."""
    p = logits.softmax(1)
    return F.mse_loss(p, F.one_hot(labels, p.shape[1]).to(p), reduction="sum")


def mean_square(logits, labels):
    """The mean of the same: a factor 1 / (n * classes), which is one of the learning rate."""
    return square(logits, labels) / logits.numel()


def triplet_cosine(features, labels, margin=0.25):
    """Report 5: batch-hard triplet loss (Hermans et al., 2017) by cosine similarity s of the features (n, d): the mean over anchors of
    max(0, s to the most alike image of another class - s to the least alike one of its own + margin).

    Anchors without an image of their class or of another one in the batch are left out (see `left_out`); 0 where that leaves none.
    """
    unit = F.normalize(features)
    return _batch_hard(-unit @ unit.T, labels, margin)


def triplet_euclid(features, labels, margin=0.25):
    """The same by Euclidean distance: max(0, farthest of its class - nearest of another + margin). Where two features coincide, their
    distance has the gradient 0."""
    return _batch_hard(torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist"), labels, margin)


def _batch_hard(distance, labels, margin):
    positive, negative, anchors = _pairs(labels)
    hardest = distance.masked_fill(~positive, -math.inf).amax(1) - distance.masked_fill(~negative, math.inf).amin(1)  # -inf for those left out
    return F.relu(hardest + margin).sum() / anchors.sum().clamp_min(1)


def _pairs(labels):
    """Which pairs of a batch are of one class, of two, and which images have both: masks (n, n), (n, n), (n,)."""
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return positive, ~same, positive.any(1) & ~same.all(1)


def left_out(labels):
    """The number of a batch's images (n,) that are no anchors of a triplet, a tensor."""
    return len(labels) - _pairs(labels)[2].sum()


def l2_penalty(model):
    """Report 2: the sum of squares of *all* parameters, biases and batch-norm weights too; the caller multiplies by lambda.

    Not --weight-decay, which adds lambda * w to the gradient: this term's gradient is 2 * lambda * w, and clipping sees it.
    """
    flat = torch.cat([p.reshape(-1) for p in model.parameters()])  # one vector: a sum a parameter would triple a small net's step
    return torch.dot(flat, flat)


LOSSES = {"mse": mse, "cross-entropy": cross_entropy, "square": square, "mean-square": mean_square, "triplet-cosine": triplet_cosine,
          "triplet-euclid": triplet_euclid}
OF_LOGITS, OF_FEATURES = ("cross-entropy", "square", "mean-square"), ("triplet-cosine", "triplet-euclid")  # the others are of landmarks
SUMS = ("square",)  # over the batch; the others are means

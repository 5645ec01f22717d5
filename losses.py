"""Every loss of the five reports, as functions of a net's output and its target. They import nothing of the project.

    python train.py --model keypoint --data faces21       # mse, in px^2
    python train.py --model lenet5 --l2 0.01              # cross-entropy plus the report's L2 term
"""
import torch
import torch.nn.functional as F


def mse(predicted, landmarks):
    """Report 1: mean squared error over the 42 coordinates, in px^2; both (n, 42), the mean over images and coordinates."""
    return F.mse_loss(predicted, landmarks)


def cross_entropy(logits, labels, smoothing=0.0):
    """Mean cross-entropy in nats; logits (n, classes), labels (n,) integers. smoothing: the share of each target that is spread evenly over
    all classes (label smoothing, Szegedy et al., 2016)."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def l2_penalty(model):
    """Report 2: the sum of squares of *all* parameters, biases and batch-norm weights too; the caller multiplies by lambda.

    Not --weight-decay, which adds lambda * w to the gradient: this term's gradient is 2 * lambda * w, and clipping sees it.
    """
    flat = torch.cat([p.reshape(-1) for p in model.parameters()])  # one vector: a sum a parameter would triple a small net's step
    return torch.dot(flat, flat)


LOSSES = {"landmarks": mse, "classes": cross_entropy}  # by the task of a net

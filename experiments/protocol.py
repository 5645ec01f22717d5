"""Report 2's own way of scoring a net, for train.py's --protocol report."""
import contextlib

import torch

import models


@contextlib.contextmanager
def scored_as_report_2(model):
    """While it lasts, a net in eval mode answers as report 2's scripts made it answer. Afterwards it is as before.

    They never called eval(), so that batch norm took the statistics of the batch. And they replaced dropout by a factor
    of 1 - p, although torch's dropout divides by 1 - p in training already.
    """
    def scale(dropout, _, output):
        return output * (1 - dropout.p)

    normed = [layer for layer in model.modules() if hasattr(layer, "running_mean")]
    kept = [{name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in normed]
    dropouts = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Dropout, models.Dropout))]
    hooks = [layer.register_forward_hook(scale) for layer in dropouts]
    for layer in normed:
        layer.train()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, buffers in zip(normed, kept):
            layer.eval()
            for name, buffer in layer.named_buffers():
                buffer.copy_(buffers[name])

"""Report 4's point: batch norm and dropout written by hand. Each equals torch.nn's.

    python train.py --model mlp --optim adam --lr 5e-3 --batch-size 128      # both are in its net
"""
import torch
from torch import nn


class NormaliseByBatch(torch.autograd.Function):
    """y = weight * (x - mean) / sqrt(var + eps) + bias by the batch's own mean and variance, and its gradients.

    With s = 1 / sqrt(var + eps), the normalised z = (x - mean) * s, the gradient g of y, and sums over the n values of
    a channel (Ioffe and Szegedy, 2015, section 3):
        d bias   = sum(g)
        d weight = sum(g * z)
        d x      = weight * s * (g - d bias / n - z * d weight / n)
    A mean that is large beside the deviation is rounded, and x - mean is off by `rest`, the same for all values of a
    channel. The sums are corrected for it. Autograd would walk three times as often through memory, which is what these
    layers wait for.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        over, shape = [0, 2, 3][:x.dim() - 1], [1, -1, 1, 1][:x.dim()]  # over all dimensions but 1
        mean = x.mean(over)
        centred = x - mean.view(shape)
        rest = centred.mean(over)
        # As exact as torch.var, which takes four times as long. Equal values, too, differ by rounding: never below 0.
        var = ((centred * centred).mean(over) - rest * rest).clamp_min_(0)
        s = torch.rsqrt(var + eps)
        mean = mean + rest
        ctx.save_for_backward(centred, rest, weight, s)
        ctx.mark_non_differentiable(mean, var)
        return torch.addcmul((bias - rest * weight * s).view(shape), centred, (weight * s).view(shape)), mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g, *_):
        centred, rest, weight, s = ctx.saved_tensors
        over, shape, n = [0, 2, 3][:g.dim() - 1], [1, -1, 1, 1][:g.dim()], g.numel() // g.shape[1]
        d_bias = g.sum(over)
        d_weight = ((g * centred).sum(over) - rest * d_bias) * s
        offset = weight * s * (rest * s * d_weight - d_bias) / n
        d_x = torch.addcmul(offset.view(shape), g, (weight * s).view(shape))
        d_x.addcmul_(centred, (-weight * s * s * d_weight / n).view(shape))
        return d_x, d_weight, d_bias, None


class BatchNorm(nn.Module):
    """Report 4: batch norm by hand (Ioffe and Szegedy, 2015), for each channel (dimension 1); it equals torch.nn's.

    In training it normalises by the mean and biased variance of the batch, and moves running_mean and running_var by
    the fraction `momentum` towards its mean and unbiased variance (None: they are averages over all batches). In eval
    mode it normalises by running_mean and running_var. Raises ValueError for an input of another number of dimensions,
    and in training for a single value per channel.
    """

    dims = ()  # the numbers of dimensions that an input may have

    def __init__(self, features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        if x.dim() not in self.dims:
            raise ValueError(f"expected an input of {' or '.join(map(str, self.dims))} dimensions, got {x.dim()}")
        dtype = x.dtype
        x = x.to(torch.promote_types(dtype, self.weight.dtype))  # of bfloat16 inputs, statistics are in float32
        if not self.training:  # x - mean first: scale * x - scale * mean would lose what both have in common
            shape = [1, -1, 1, 1][:x.dim()]
            centred, scale = x - self.running_mean.view(shape), self.weight * torch.rsqrt(self.running_var + self.eps)
            return torch.addcmul(self.bias.view(shape), centred, scale.view(shape)).to(dtype)
        n = x.numel() // x.shape[1]
        if n < 2:
            raise ValueError(f"expected more than 1 value per channel when training, got {tuple(x.shape)}")
        y, mean, var = NormaliseByBatch.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked += 1
            fraction = 1 / self.num_batches_tracked.double() if self.momentum is None else self.momentum
            self.running_mean += fraction * (mean - self.running_mean)
            self.running_var += fraction * (var * n / (n - 1) - self.running_var)
        return y.to(dtype)


class BatchNorm1d(BatchNorm):
    """Batch norm of (n, c) or (n, c, l)."""

    dims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch norm of (n, c, h, w)."""

    dims = (4,)


class Dropout(nn.Module):
    """Report 4: inverted dropout by hand (Srivastava et al., 2014, section 10).

    In training each value is zeroed with probability p and the others are divided by 1 - p, so that eval mode changes
    nothing. On a CPU it draws the same values as torch.nn's. Raises ValueError unless p is between 0 and 1.
    """

    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout must be a probability between 0 and 1, not {p}")
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return x * 0
        return x * torch.empty_like(x).bernoulli_(1 - self.p).div_(1 - self.p)

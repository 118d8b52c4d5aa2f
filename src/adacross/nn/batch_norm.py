"""BatchNorm, also by the statistics of a batch that is divided over processes.

Over processes forward and backward take one sum each. With averages over all rows of all processes, and
h = (x - mean) / std,

    dx = weight / std * (g - avg(g) - h * avg(g h)).

The local passes are torch's own kernels for given statistics, on any device and in any memory layout.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import Reducer, batch_reducer, statistics_are_shared, unbiased
from adacross.errors import UserError


class BatchNorm1d(nn.BatchNorm1d):
    """BatchNorm of rows `(n, C)`: by the batch while training, by the running statistics otherwise."""

    def forward(self, x: Float[Tensor, "n C"]) -> Float[Tensor, "n C"]:
        return _over_processes(self, x) if self.training and statistics_are_shared() else super().forward(x)


class BatchNorm2d(nn.BatchNorm2d):
    """BatchNorm of images `(n, C, H, W)`, as `BatchNorm1d`."""

    def forward(self, x: Float[Tensor, "n C H W"]) -> Float[Tensor, "n C H W"]:
        return _over_processes(self, x) if self.training and statistics_are_shared() else super().forward(x)


def check_batch(network: nn.Module, rows: Tensor) -> None:
    """Refuse to train the BatchNorm of a network on a single row `(n, ...)`, which has no variance."""
    if network.training and len(rows) < 2:
        raise UserError(
            f"{type(network).__name__} cannot train on a batch of 1 (BatchNorm needs 2); give more, or "
            "call eval()."
        )


def running(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor, float]:
    """Return running mean and variance, and their momentum; while training, count a batch as torch does."""
    state = norm.get_buffer  # they are there, which torch's types do not know
    if norm.training:
        state("num_batches_tracked").add_(1)
    momentum = 0.1 if norm.momentum is None else norm.momentum
    return state("running_mean"), state("running_var"), momentum


def _over_processes(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalize by mean and variance over all processes; n of `(n, C, ...)` may differ between them."""
    normal, mean, var = _SyncBatchNorm.apply(x, norm.weight, norm.bias, norm.eps, batch_reducer())
    running_mean, running_var, momentum = running(norm)
    with torch.no_grad():
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_(var.to(running_var.dtype), momentum)
    return normal


class _SyncBatchNorm(torch.autograd.Function):
    """The normalized rows, the mean and the unbiased variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, average: Reducer
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = x.numel() // x.shape[1]
        # The kernel gives its statistics the type of the running ones, which it moves: let it move copies.
        own, spread = torch.batch_norm_update_stats(x, torch.zeros_like(weight), torch.ones_like(weight), 1.0)
        moments = torch.stack([own, spread]).to(torch.float64)
        moments[1] += moments[0].square()
        (mean, squares), count = average(moments, rows)
        var = squares - mean.square()
        inverse = torch.rsqrt(var + eps).to(weight.dtype)
        mean, var = mean.to(weight.dtype), var.to(weight.dtype)
        ctx.save_for_backward(x, weight, mean, var, inverse)
        ctx.eps, ctx.average, ctx.rows = eps, average, rows
        unbiased_var = unbiased(var, count)
        ctx.mark_non_differentiable(mean, unbiased_var)
        normal = torch.nn.functional.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)
        return normal, mean, unbiased_var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, mean, var, inverse = ctx.saved_tensors
        # As if the statistics did not depend on x: weight / std * g, sum g h, sum g.
        to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, var, mean, inverse, False, ctx.eps, [True, True, True]
        )
        (by_weight, by_bias), _ = ctx.average(torch.stack([to_weight, to_bias]) / ctx.rows, ctx.rows)
        slope = -weight * inverse * inverse * by_weight
        constant = -weight * inverse * by_bias - slope * mean
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        to_x += torch.addcmul(constant.view(shape), x, slope.view(shape)).to(to_x.dtype)
        return to_x, to_weight, to_bias, None, None

"""Depth-wise convolution of maps that are known at some positions and 0 elsewhere.

Only known positions are computed: each adds up those in its window, in vectors of channels. Nothing is laid
out on a map but the rows' numbers. The gradient is the same convolution with its window turned.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from adacross.ops.compiler import kernel

_PARTS = 16  # the sum over positions is made in so many parts, by any number of threads


def masked_convolution(
    x: Float[Tensor, "m C"],
    places: Int64[Tensor, " m"],
    shape: tuple[int, int, int],
    weight: Float[Tensor, "C 1 d d"],
    bias: Float[Tensor, " C"],
) -> Float[Tensor, "m C"]:
    """The convolution at the m known positions; d is odd.

    `places` are their numbers among the positions of all maps, row by row; `shape` is the number of maps, of
    their rows and of their columns.
    """
    (count, rows, columns), d = shape, weight.shape[3]
    wide = columns + d - 1
    row = places // columns
    corners = (
        row // rows * (rows + d - 1) + row % rows
    ) * wide + places % columns  # of windows, with margins
    numbers = torch.full((count * (rows + d - 1) * wide,), -1)
    numbers[corners + (d // 2) * (wide + 1)] = torch.arange(len(places))
    steps = (torch.arange(d)[:, None] * wide + torch.arange(d)).flatten()
    taps = weight.flatten(1).T  # (d^2, C)
    return _Convolution.apply(x, taps, bias, numbers[corners[:, None] + steps])


class _Convolution(torch.autograd.Function):
    """`around (m, d^2)` are the rows in each window, -1 where there is none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, bias: Tensor, around: Tensor) -> Tensor:
        x, taps = x.contiguous(), taps.contiguous()
        ctx.save_for_backward(x, taps, around)
        mixed = bias.expand_as(x).clone(memory_format=torch.contiguous_format)
        _convolve.over(len(x), x.numpy(), taps.numpy(), around.numpy(), mixed.numpy())
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, taps, around = ctx.saved_tensors
        grad, turned, to_x = grad.contiguous(), taps.flip(0), torch.zeros_like(x)
        to_taps = taps.new_zeros(_PARTS, *taps.shape)
        _convolve.over(len(x), grad.numpy(), turned.numpy(), around.numpy(), to_x.numpy())
        _correlate.over(_PARTS, x.numpy(), grad.numpy(), around.numpy(), to_taps.numpy())
        return to_x, to_taps.sum(0), grad.sum(0), None


@kernel
def _convolve(
    first: int, last: int, x: np.ndarray, taps: np.ndarray, around: np.ndarray, mixed: np.ndarray
) -> None:
    for i in range(first, last):
        for t in range(len(taps)):
            j = around[i, t]
            if j >= 0:
                for c in range(x.shape[1]):
                    mixed[i, c] += taps[t, c] * x[j, c]


@kernel
def _correlate(
    first: int, last: int, x: np.ndarray, grad: np.ndarray, around: np.ndarray, to_taps: np.ndarray
) -> None:
    for part in range(first, last):
        for i in range(len(x) * part // len(to_taps), len(x) * (part + 1) // len(to_taps)):
            for t in range(around.shape[1]):
                j = around[i, t]
                if j >= 0:
                    for c in range(x.shape[1]):
                        to_taps[part, t, c] += grad[i, c] * x[j, c]

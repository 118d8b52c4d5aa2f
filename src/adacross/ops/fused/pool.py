"""A point-wise layer and its maximum over points, without the layer's output.

PointNet ends in (Qi et al. 2017, arXiv 1612.00593, eq. 1)

    f = max_n ReLU(gain * (W x_n - mean) / std + bias),

whose last layer is 1,024 wide: nine tenths of the arithmetic and nearly all of the memory. The maximum
commutes with everything monotone, so only max_n W x_n is kept. Backward, BatchNorm's gradient is that of one
point a channel plus a part that is affine in x_n, so the wide matrix products shrink to `(Cin, Cin)` ones.
The result and all gradients equal the plain layers' to rounding.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import mean_point
from adacross.ops.fused.blocks import block_by_block, outputs_at_a_time
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.fused.maxima import maxima


def pooled_layer(x: Float[Tensor, "B N Cin"], layer: NormalizedLayer) -> Float[Tensor, "B C"]:
    """Matrix product, BatchNorm, (Leaky)ReLU and maximum over points: `(B, N, Cin)` to `(B, C)`.

    Of several points with the same maximum the first receives the gradient (in evaluation mode they share
    it); with a gain of 0 that is point 0.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        points, layer = x.to(dtype), layer.to(dtype)
        if not layer.training:
            scale, offset = layer.evaluated()
            weight = layer.weight * scale[:, None]
            best = block_by_block(
                "pool", lambda clouds: nn.functional.linear(clouds, weight).amax(1), points, weight
            )
            return nn.functional.leaky_relu(best + offset, layer.negative_slope).to(x.dtype)

        # BatchNorm does not see a shift of all points; around their mean, squares lose no digits.
        shift, sign = mean_point(points), layer.sign
        centered, weight = points - shift, layer.weight * sign[:, None]
        best, moments = _LargestProduct.apply(centered, weight)
        if (layer.gain == 0).any():
            best = torch.where(layer.gain == 0, nn.functional.linear(centered[:, 0], weight), best)
        rows = points.shape[0] * points.shape[1]
        affine = layer.by_batch(layer.turned(moments), rows, layer.weight @ shift)
        return layer.activated(best, *affine).to(x.dtype)


class _LargestProduct(torch.autograd.Function):
    """max_n y_n with y = W x, and the means of y and y^2 over all points.

    With g the gradient of the maximum, a and b those of the means, and M = B * N points,

        dy_n = g [n chosen] + a / M + 2 b y_n / M,

    from which dW = sum_n dy_n x_n^T and dx_n = W^T dy_n need `sum_n x_n x_n^T` and `W^T diag W`, not y.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        best, chosen, squares = [], [], torch.zeros(len(weight), device=x.device, dtype=torch.float64)
        for clouds in x.split(outputs_at_a_time("pool", x, len(weight))):
            largest, places, sums = maxima(nn.functional.linear(clouds, weight))
            best.append(largest)
            chosen.append(places)
            squares += sums[1]
        ctx.save_for_backward(x, weight, torch.cat(chosen).to(torch.int64))
        mean = (weight @ x.mean((0, 1))).to(torch.float64)
        return torch.cat(best), torch.stack([mean, squares / (x.shape[0] * x.shape[1])])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_best: Tensor, to_moments: Tensor) -> tuple[Tensor, Tensor]:
        x, weight, chosen = ctx.saved_tensors
        B, N, width = x.shape
        flat = x.reshape(B * N, width)
        rows = chosen + (torch.arange(B, device=x.device) * N)[:, None]
        constant, growth = (to_moments / (B * N)).to(x.dtype)
        growth = 2 * growth

        to_weight = constant[:, None] * flat.sum(0) + growth[:, None] * (weight @ (flat.T @ flat))
        to_x = torch.addmm(constant @ weight, flat, weight.T @ (weight * growth[:, None]))
        for b in range(B):
            to_weight.addcmul_(flat.index_select(0, rows[b]), to_best[b, :, None])
            to_x.index_add_(0, rows[b], weight * to_best[b, :, None])
        return to_x.view_as(x), to_weight

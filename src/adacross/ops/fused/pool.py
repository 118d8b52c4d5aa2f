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

from adacross.distributed.batch import batch_reducer, mean_point, unbiased
from adacross.ops.fused.blocks import block_by_block, outputs_at_a_time
from adacross.ops.fused.layer import NormalizedLayer


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
        normal, mean, var = _NormalizedMax.apply(
            points - shift, layer.weight * sign[:, None], layer.eps, layer.gain == 0
        )
        layer.update(sign * mean + layer.weight @ shift, var)
        best = torch.addcmul(layer.bias, normal, layer.gain * sign)
        return nn.functional.leaky_relu(best, layer.negative_slope).to(x.dtype)


class _NormalizedMax(torch.autograd.Function):
    """h = (max_n y_n - mean) / std with y = W x, mean and variance over all points.

    Also that mean, and the variance that divides by one point less.

    With g the gradient of h and averages over the M = B * N points,

        dy_n = (g [n chosen] - avg(g) - (y_n - mean) / std * avg(g h)) / std,

    from which dW = sum_n dy_n x_n^T and dx_n = W^T dy_n need `sum_n x_n x_n^T` and `W^T diag W`, not y.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, eps: float, zero_gain: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        B, N, _ = x.shape
        C = len(weight)
        labels = torch.arange(N - 1, -1, -1, device=x.device, dtype=x.dtype)[:, None]
        squares = torch.zeros(C, device=x.device, dtype=torch.float64)
        best, chosen = [], []
        for clouds in x.split(outputs_at_a_time("pool", x, C)):
            product = nn.functional.linear(clouds, weight)
            largest = torch.where(zero_gain, product[:, 0], product.amax(1))
            squares += product.square().sum(1).sum(0, dtype=torch.float64)
            best.append(largest)
            chosen.append(N - 1 - product.eq_(largest[:, None]).mul_(labels).amax(1))
        ctx.average = batch_reducer()
        moments = torch.stack([(weight @ x.mean((0, 1))).to(torch.float64), squares / (B * N)])
        (mean, square), count = ctx.average(moments, B * N)
        var = (square - mean.square()).clamp_min(0)
        inverse = torch.rsqrt(var + eps).to(x.dtype)
        mean, var = mean.to(x.dtype), unbiased(var, count).to(x.dtype)
        normal = (torch.cat(best) - mean) * inverse
        ctx.save_for_backward(x, weight, torch.cat(chosen).to(torch.int64), mean, inverse, normal)
        ctx.mark_non_differentiable(mean, var)
        return normal, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight, chosen, mean, inverse, normal = ctx.saved_tensors
        B, N, width = x.shape
        flat = x.reshape(B * N, width)
        rows = chosen + (torch.arange(B, device=x.device) * N)[:, None]
        sums = torch.stack([grad.sum(0), (grad * normal).sum(0)])
        (constant, slope), _ = ctx.average(sums / (B * N), B * N)
        slope = slope * inverse
        constant = constant - slope * mean

        to_weight = torch.zeros_like(weight)
        to_x = torch.addmm(
            (constant * inverse) @ weight, flat, weight.T @ (weight * (slope * inverse)[:, None])
        )
        to_x.neg_()
        scaled = grad * inverse
        for b in range(B):
            to_weight.addcmul_(flat.index_select(0, rows[b]), grad[b, :, None])
            to_x.index_add_(0, rows[b], weight * scaled[b, :, None])
        to_weight -= constant[:, None] * flat.sum(0) + slope[:, None] * (weight @ (flat.T @ flat))
        return to_x.view_as(x), to_weight * inverse[:, None], None, None

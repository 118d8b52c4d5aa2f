"""A point-wise layer with its maximum and its mean over points, without the layer's normalized output.

DGCNN ends in (Wang et al. 2019, arXiv 1801.07829, figure 3; the released programs pool both ways)

    a_n = gain * (W x_n - mean) / std + bias,   f = [max_n LeakyReLU(a_n) ; avg_n LeakyReLU(a_n)],

512 to 1,024 channels: most of the network's arithmetic and memory. Only the product z = W x is kept. The
maximum commutes with everything monotone. The mean follows from two sums a cloud and channel, with s the
slope below 0 and m_n = 1 where a_n > 0, which is where z_n exceeds a threshold:

    avg_n LeakyReLU(a_n) = s avg_n a_n + (1 - s) avg_n m_n a_n.

Gradients are those of the plain layers, written cloud by cloud. The result equals theirs to rounding.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import batch_reducer, mean_point, unbiased
from adacross.ops.fused.blocks import block_by_block, outputs_at_a_time
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.fused.maxima import maxima
from adacross.ops.kernels import use_kernels


def max_and_mean_layer(x: Float[Tensor, "B N Cin"], layer: NormalizedLayer) -> Float[Tensor, "B twice_C"]:
    """Matrix product, BatchNorm and LeakyReLU; maxima over points, then means: `(B, N, Cin)` to `(B, 2 * C)`.

    Of several points with the same maximum the first receives its gradient (in evaluation mode they share
    it); with a gain of 0 that is point 0.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        points, layer = x.to(dtype), layer.to(dtype)
        if not layer.training:
            scale, offset = layer.evaluated()
            return _evaluated(points, layer.weight * scale[:, None], offset, layer.negative_slope).to(x.dtype)

        # BatchNorm does not see a shift of all points; around their mean, squares lose no digits.
        shift, sign = mean_point(points), layer.sign
        signed = layer.weight * sign[:, None], layer.gain * sign
        best, average, mean, var = _MaxAndMean.apply(
            points - shift, *signed, layer.bias, layer.eps, layer.negative_slope
        )
        layer.update(sign * mean + layer.weight @ shift, var)
        return torch.cat([best, average], 1).to(x.dtype)


def _evaluated(
    x: Float[Tensor, "B N Cin"], weight: Float[Tensor, "C Cin"], offset: Float[Tensor, " C"], slope: float
) -> Float[Tensor, "B twice_C"]:
    """The layer with BatchNorm folded into its product."""

    def pooled(clouds: Tensor) -> Tensor:
        active = nn.functional.leaky_relu(nn.functional.linear(clouds, weight, offset), slope)
        return torch.cat([active.amax(1), active.mean(1)], 1)

    return block_by_block("max and mean", pooled, x, weight)


class _MaxAndMean(torch.autograd.Function):
    """The maximum and the mean of LeakyReLU(gain * h + bias), h = (W x - mean) / std.

    Also that mean, and the variance that divides by one point less.

    With G_n the gradient of a_n = gain * h_n + bias and averages over all M = B * N points,

        dz_n = gain / std * (G_n - avg(G) - h_n avg(G h)),
        G_n = g_mean / N * (s + (1 - s) m_n) + g_max LeakyReLU'(a_n) [n chosen],

    so a cloud's sums of m, h m and h give BatchNorm's two averages, and z gives the rest.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gain: Tensor, bias: Tensor, eps: float, slope: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        B, N, _ = x.shape
        C, size = len(weight), outputs_at_a_time("max and mean", x, len(weight))
        blocks = [slice(start, start + size) for start in range(0, B, size)]
        z, best, chosen = x.new_empty(B, N, C), x.new_empty(B, C), x.new_empty(B, C, dtype=torch.int64)
        squares = torch.zeros(C, device=x.device, dtype=torch.float64)
        for block in blocks:
            torch.matmul(x[block], weight.T, out=z[block])
            best[block], chosen[block], sums = maxima(z[block])
            squares += sums[1]
        best, chosen = torch.where(gain == 0, z[:, 0], best), torch.where(gain == 0, 0, chosen)
        middle = x.mean(1) @ weight.T
        ctx.average = batch_reducer()
        moments = torch.stack([middle.mean(0).to(torch.float64), squares / (B * N)])
        (mean, square), rows = ctx.average(moments, B * N)
        var = (square - mean.square()).clamp_min(0)
        inverse = torch.rsqrt(var + eps).to(x.dtype)
        mean, var = mean.to(x.dtype), unbiased(var, rows).to(x.dtype)

        threshold = mean - bias / (gain * inverse)  # gain is not negative; 0 divides to the infinity wanted
        counted = [_positives(z[block], threshold) for block in blocks]
        count, above = (torch.cat(each) for each in zip(*counted, strict=True))
        h_max, h_mean = (best - mean) * inverse, (middle - mean) * inverse
        h_above = (above - mean * count) * inverse / N
        share = count / N
        average = slope * (gain * h_mean + bias) + (1 - slope) * (gain * h_above + bias * share)
        ctx.save_for_backward(
            x, weight, gain, bias, z, chosen, threshold, mean, inverse, h_max, h_mean, h_above, share
        )
        ctx.slope = slope
        ctx.mark_non_differentiable(mean, var)
        return nn.functional.leaky_relu(torch.addcmul(bias, h_max, gain), slope), average, mean, var

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_max: Tensor, to_mean: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        x, weight, gain, bias, z, chosen, threshold, mean, inverse, *averages = ctx.saved_tensors
        h_max, h_mean, h_above, share = averages
        slope, (B, N, C) = ctx.slope, z.shape
        to_max = torch.where(torch.addcmul(bias, h_max, gain) > 0, to_max, to_max * slope)
        to_bias = (to_mean * (slope + (1 - slope) * share) + to_max).sum(0)
        to_gain = (to_mean * (slope * h_mean + (1 - slope) * h_above) + to_max * h_max).sum(0)

        (by_bias, by_gain), _ = ctx.average(torch.stack([to_bias, to_gain]) / (B * N), B * N)
        scale = gain * inverse
        growth = -scale * inverse * by_gain  # of dz with z
        below = scale * (slope / N * to_mean - by_bias) - growth * mean
        above = below + scale * ((1 - slope) / N) * to_mean
        to_best = scale * to_max
        to_x, to_weight = torch.empty_like(x), torch.zeros_like(weight)
        size = outputs_at_a_time("max and mean", x, C)
        for start in range(0, B, size):
            block = slice(start, start + size)
            levels = below[block], above[block]
            to_z = _gradient(z[block], threshold, levels, growth, chosen[block], to_best[block])
            torch.matmul(to_z, weight, out=to_x[block])
            to_weight.addmm_(to_z.flatten(0, 1).T, x[block].flatten(0, 1))
        return to_x, to_weight, to_gain, to_bias, None, None


def _positives(
    z: Float[Tensor, "B N C"], threshold: Float[Tensor, " C"]
) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B C"]]:
    """Count the points above the threshold, and sum them, cloud by cloud."""
    if use_kernels(z, threshold):
        from adacross.ops.kernels.max_and_mean import positives

        return positives(z, threshold)
    positive = z.gt(threshold).to(z.dtype)
    return positive.sum(1), positive.mul_(z).sum(1)


def _gradient(
    z: Float[Tensor, "B N C"],
    threshold: Float[Tensor, " C"],
    levels: tuple[Float[Tensor, "B C"], Float[Tensor, "B C"]],
    growth: Float[Tensor, " C"],
    chosen: Int64[Tensor, "B C"],
    to_best: Float[Tensor, "B C"],
) -> Float[Tensor, "B N C"]:
    """Make z's gradient: a level below and one above the threshold, growth * z, the chosen points'."""
    if use_kernels(z, to_best):
        from adacross.ops.kernels.max_and_mean import gradient

        return gradient(z, threshold, levels, growth, chosen, to_best)
    below, above = levels
    to_z = torch.where(z > threshold, above[:, None], below[:, None]).addcmul_(z, growth)
    return to_z.scatter_add_(1, chosen[:, None], to_best[:, None])

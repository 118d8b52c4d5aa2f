"""Input of the fused layers: a product's weight, and the BatchNorm and activation that follow it.

While training, each of them updates the running statistics in place, as `torch.nn.BatchNorm1d` does (unbiased
variance over all rows of the batch). Half precision is computed in float32 and rounded once.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from adacross.distributed.batch import batch_reducer, unbiased


class NormalizedLayer(NamedTuple):
    """A product `(C, Cin)` without bias, BatchNorm of its C channels and (Leaky)ReLU."""

    weight: Tensor  # of the product, (C, Cin)
    gain: Tensor  # BatchNorm's weight
    bias: Tensor  # BatchNorm's bias
    running_mean: Tensor  # updated in place while training, as running_var
    running_var: Tensor
    training: bool  # normalize by the batch, or by the running statistics
    momentum: float = 0.1  # of the running statistics
    eps: float = 1e-5  # added to the variance
    negative_slope: float = 0.2  # of LeakyReLU; 0 for ReLU

    def to(self, dtype: torch.dtype) -> "NormalizedLayer":
        """With weight, gain and bias in another type; the running statistics are the same tensors."""
        return self._replace(weight=self.weight.to(dtype), gain=self.gain.to(dtype), bias=self.bias.to(dtype))

    @property
    def sign(self) -> Tensor:
        """-1 for the channels with a gain below 0, whose maximum is a minimum of their product; `(C,)`."""
        return torch.where(self.gain < 0, -1.0, 1.0).to(self.gain.dtype)

    def affine(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """BatchNorm by these statistics as `scale * x + offset`."""
        scale = self.gain * torch.rsqrt(var.to(self.gain.dtype) + self.eps)
        return scale, self.bias - mean.to(self.gain.dtype) * scale

    def evaluated(self) -> tuple[Tensor, Tensor]:
        """BatchNorm by the running statistics as `scale * x + offset`."""
        return self.affine(self.running_mean, self.running_var)

    def by_batch(
        self, moments: Float64[Tensor, "2 C"], count: int, shift: Float[Tensor, " C"] | float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """BatchNorm by a batch as `scale * x + offset`; updates the running statistics. Differentiable.

        Args:
            moments: mean of the product over this process's rows, and mean of its square.
            count: of these rows.
            shift: what the running mean has and the product has not.
        """
        (mean, square), total = batch_reducer()(moments, count)
        var = (square - mean.square()).clamp_min(0)
        self.update(mean + shift, unbiased(var, total))
        return self.affine(mean, var)

    def turned(self, moments: Float64[Tensor, "2 C"]) -> Float64[Tensor, "2 C"]:
        """The moments of the product, from those of the product by the weight times `sign`."""
        return moments * torch.stack([self.sign, self.sign.square()])

    def activated(
        self, best: Float[Tensor, "*rows C"], scale: Float[Tensor, " C"], offset: Float[Tensor, " C"]
    ) -> Float[Tensor, "*rows C"]:
        """BatchNorm and activation of a maximum of the product by the weight times `sign`."""
        normal = torch.addcmul(offset, best, scale * self.sign)
        return nn.functional.leaky_relu(normal, self.negative_slope)

    @torch.no_grad()
    def update(self, mean: Tensor, unbiased_var: Tensor) -> None:
        """Move the running statistics, as `torch.nn.BatchNorm2d` does, towards a batch's."""
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_var.to(self.running_var.dtype), self.momentum)

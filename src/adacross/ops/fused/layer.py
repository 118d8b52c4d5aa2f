"""Input of the fused layers: a product's weight, and the BatchNorm and activation that follow it.

While training, each of them updates the running statistics in place, as `torch.nn.BatchNorm1d` does (unbiased
variance over all rows of the batch). Half precision is computed in float32 and rounded once.
"""

from typing import NamedTuple

import torch
from torch import Tensor


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

    @torch.no_grad()
    def update(self, mean: Tensor, unbiased_var: Tensor) -> None:
        """Move the running statistics, as `torch.nn.BatchNorm2d` does, towards a batch's."""
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_var.to(self.running_var.dtype), self.momentum)

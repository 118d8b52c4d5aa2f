"""A BatchNorm module and a weight as what the fused layers take, and a BatchNorm of any state."""

import torch
from torch import Tensor, nn

from adacross.ops.fused.layer import NormalizedLayer


def layer_of(weight: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d, slope: float = 0.2) -> NormalizedLayer:
    return NormalizedLayer(
        weight,
        norm.weight,
        norm.bias,
        norm.running_mean,
        norm.running_var,
        norm.training,
        norm.momentum,
        norm.eps,
        slope,
    )


def random_norm(kind: type[nn.Module], channels: int, dtype: torch.dtype) -> nn.Module:
    """Gains below and above 0, running statistics as if it had been trained."""
    norm = kind(channels, momentum=0.3)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels))
        norm.bias.copy_(torch.randn(channels))
        norm.running_mean.copy_(torch.randn(channels))
        norm.running_var.copy_(torch.rand(channels) + 0.5)
    assert (norm.weight < 0).any()
    assert (norm.weight > 0).any()
    return norm.to(dtype)

"""Block sizes of the fused layers, chosen to fit the cache."""

from collections.abc import Callable

import torch
from torch import Tensor

_MIB = 2**20
CPU = {  # bytes that a processor's cache holds, measured for each layer
    "edge": 4 * _MIB,  # of neighbors' rows
    "edge pair": 2 * _MIB,  # of edges
    "group pool": _MIB,  # of the wide layer's output, as below
    "max and mean": 4 * _MIB,
    "pool": 8 * _MIB,
    "knn": 4 * _MIB,  # of distances
}
GPU = 256 * _MIB  # what keeps it busy


def block_size(layer: str, row_bytes: int, device: torch.device) -> int:
    """Return how many rows of so many bytes a layer (a key of `CPU`) works on at a time, at least 1."""
    return max(1, (CPU[layer] if device.type == "cpu" else GPU) // row_bytes)


def block_by_block(function: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor, size: int) -> Tensor:
    """Apply a function of x and a weight to `size` clouds at a time where no gradient is asked for.

    An exported graph, too, gets all of them at once: it must not depend on their number.
    """
    needs_grad = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if needs_grad or torch.compiler.is_compiling():
        return function(x)
    return torch.cat([function(clouds) for clouds in x.split(size)])

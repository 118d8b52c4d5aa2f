"""Block sizes of the fused layers, chosen to fit the cache."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

_MIB = 2**20
CPU = {  # bytes that a processor's cache holds, measured for each layer
    "edge": 4 * _MIB,  # of neighbors' rows
    "edge pair": 2 * _MIB,  # of edges
    "group pool": 2 * _MIB,  # of the wide layer's output, as below
    "max and mean": 4 * _MIB,
    "pool": 8 * _MIB,
    "knn": 4 * _MIB,  # of distances
}
GPU = 256 * _MIB  # what keeps it busy


def block_size(layer: str, row_bytes: int, device: torch.device) -> int:
    """Return how many rows of so many bytes a layer (a key of `CPU`) works on at a time, at least 1."""
    return max(1, (CPU[layer] if device.type == "cpu" else GPU) // row_bytes)


def outputs_at_a_time(layer: str, x: Float[Tensor, "B N Cin"], C: int) -> int:
    """Return of how many of the B clouds (or groups) a layer makes the outputs `(N, C)` at a time."""
    return block_size(layer, x.shape[1] * C * x.element_size(), x.device)


def block_by_block(
    layer: str,
    function: Callable[[Tensor], Tensor],
    x: Float[Tensor, "B N Cin"],
    weight: Float[Tensor, "C Cin"],
) -> Tensor:
    """Apply a function of x and a weight to some clouds at a time where no gradient is asked for.

    An exported graph, too, gets all of them at once: it must not depend on their number.
    """
    needs_grad = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if needs_grad or torch.compiler.is_compiling():
        return function(x)
    return torch.cat([function(clouds) for clouds in x.split(outputs_at_a_time(layer, x, len(weight)))])

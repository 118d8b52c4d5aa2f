"""Block sizes of the fused layers, chosen to fit the cache."""

import torch

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
    """Return how many rows of so many bytes are worked on at a time, at least 1.

    Args:
        layer: a key of `CPU`.
        row_bytes: bytes of one row.
        device: where they lie.
    """
    return max(1, (CPU[layer] if device.type == "cpu" else GPU) // row_bytes)

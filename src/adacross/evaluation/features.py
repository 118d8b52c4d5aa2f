"""Frozen features: what every protocol starts from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradient and eval mode whatever state the module was left in; its state comes back afterwards.

    In training mode BatchNorm reads the batch, and a class-sorted file then leaks the class into the
    features: an untrained DGCNN then seemed to score 93.1 % on ModelNet40 instead of 87.3 % (measured before
    this program was written).
    """
    states = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for child, training in states.items():
            child.training = training


def in_batches(
    function: Callable[[Tensor], Tensor], items: np.ndarray | Tensor, batch_size: int, device: torch.device
) -> Float[np.ndarray, "n D"]:
    """Apply `function` to batches of items and stack the results as float32."""
    tensor = torch.as_tensor(items)
    parts = [function(batch.to(device)).float().cpu() for batch in tensor.split(batch_size)]
    return torch.cat(parts).numpy()


def encode(
    encoder: nn.Module,
    clouds: Float[np.ndarray, "n N 3"] | Float[Tensor, "n N 3"],
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
) -> Float[np.ndarray, "n D"]:
    """Features of clouds by a frozen encoder in eval mode.

    Args:
        encoder: maps `(B, N, 3)` to `(B, D)`; moved to `device`.
        clouds: `(n, N, 3)`, y up, in the unit sphere.
        batch_size: clouds at a time; does not change the result.
        device: where to compute.

    Returns:
        `(n, D)` float32.
    """
    target = torch.device(device)
    encoder.to(target)
    with frozen(encoder):
        return in_batches(encoder, clouds, batch_size, target)

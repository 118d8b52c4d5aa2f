"""Features of clouds in memory, whose frame nobody has checked yet."""

import warnings

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.features import encode as features

_OUTSIDE = 1.01  # largest norm of a cloud in the unit sphere, with room for rounding
_SMALL = 0.5  # largest norm below which a cloud does not fill it, even if only some points are left
_OFF_CENTER = 0.1  # of the centroid, beside what is left by chance of a shape whose points were drawn


def encode(
    encoder: nn.Module,
    clouds: features.Clouds,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
) -> Float[np.ndarray, "n D"]:
    """Encode clouds with a frozen encoder in evaluation mode.

    Encoders are trained on clouds whose centroid is the origin and whose farthest point is at distance 1,
    with y up. Clouds in another frame, such as millimeters, are encoded as they are, with a warning: their
    features are meaningless.

    Args:
        encoder: maps `(B, N, 3)` to `(B, D)`; moved to `device`.
        clouds: `(n, N, 3)`, an array or tensor of any integer or floating type, or a list of n clouds with
            the same number of points.
        batch_size: clouds at a time; does not change the result.
        device: where to compute: cpu, cuda, or auto.

    Returns:
        `(n, D)` float32.

    Raises:
        UserError: another shape or type, clouds of unequal size, a coordinate that is NaN, infinite or beyond
            float32's squares, a batch size below 1, or no such device.

    Warns:
        UserWarning: clouds that are not centered in the unit sphere, once a call.
    """
    array = features.as_clouds(clouds)
    found = features.encode(encoder, array, batch_size=batch_size, device=device)
    if difference := _frame(array):
        warnings.warn(difference, stacklevel=2)
    return found


def _frame(clouds: np.ndarray | Tensor) -> str:
    """Describe clouds that are not in the frame of training; empty if all are."""
    strange: list[str] = []
    chance = 4 / clouds.shape[1] ** 0.5  # a centroid of N points drawn from a shape lies within 1 / sqrt(N)
    for start, batch in features.in_double(clouds):
        radius = np.linalg.norm(batch, axis=2).max(1, initial=0)
        away = np.linalg.norm(batch.mean(1), axis=1)
        outside = (radius > _OUTSIDE) | (radius < _SMALL) | (away > _OFF_CENTER + chance)
        strange += [
            f"cloud {start + i}: farthest point at distance {radius[i]:.4g}, centroid at {away[i]:.4g}"
            for i in np.flatnonzero(outside)
        ]
    if not strange:
        return ""
    return (
        f"{len(strange)} of {len(clouds)} clouds are not centered in the unit sphere, as those were that the "
        f"encoder was trained with ({strange[0]}; counted from 0). Their features mean little. Subtract each "
        "cloud's mean and divide by its largest norm, or let `adacross embed` read the files."
    )

"""Whether onnxruntime computes from a file what the encoder computes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32

from adacross.encoders import Encoder
from adacross.errors import UserError, one_line

# Of the features' norm. Rounding alone gives 1e-7. Where two points are equally far to rounding, the two
# programs may choose differently among them, which moves some numbers of one point by some thousandths. A
# point that is computed wrongly shows far above this, even as one of a thousand.
TOLERANCE = 5e-3


@dataclass(frozen=True)
class Difference:
    """How far onnxruntime's features are from the encoder's.

    Attributes:
        clouds: in the batch that was compared.
        points: of each.
        largest: difference of two numbers, as a share of the largest number.
        norm: of all differences, as a share of the norm of all numbers.
    """

    clouds: int
    points: int
    largest: float
    norm: float


def sizes_to_compare(least: int, trained_with: int | None) -> list[tuple[int, int]]:
    """Clouds and points of each comparison: the smallest cloud, odd numbers, and the size of training."""
    usual = max(least, trained_with or 1024)
    return [(1, least), (3, least + 37), (2, usual), (1, usual + 301)]


def compare(
    encoder: Encoder, path: Path, sizes: list[tuple[int, int]], point_features: bool = False
) -> list[Difference]:
    """The differences at each size, the larger ones of both outputs.

    Args:
        encoder: in evaluation mode, float32, on the CPU.
        path: the ONNX file.
        sizes: `(clouds, points)` of each comparison.
        point_features: whether the file gives them, too.

    Raises:
        UserError: onnxruntime cannot read or run the file, or the difference's norm is above `TOLERANCE`.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    # Every one that onnxruntime has; they share no base but Exception.
    errors = tuple(
        kind for kind in vars(states).values() if isinstance(kind, type) and issubclass(kind, Exception)
    )
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        differences = [_difference(session, encoder, made_up_clouds(*size), point_features) for size in sizes]
    except errors as error:
        reason = one_line(error)
        raise UserError(
            f"onnxruntime {onnxruntime.__version__} cannot run the exported {encoder.kind} ({reason}); "
            "nothing was written. Try the versions in constraints.txt."
        ) from error
    worst = differences[int(np.argmax([difference.norm for difference in differences]))]  # NaN is the worst
    if not worst.norm <= TOLERANCE:
        raise UserError(
            f"onnxruntime's features of {worst.clouds} clouds of {worst.points} points differ from the "
            f"encoder's by {worst.norm:.1e} of their norm, more than {TOLERANCE:.0e}; nothing was written. "
            "Try the versions in constraints.txt."
        )
    return differences


def made_up_clouds(clouds: int, points: int) -> Float32[np.ndarray, "B N 3"]:
    """Bent surfaces in the unit sphere, another one each: what an encoder is made for."""
    draw = np.random.default_rng(0)
    u, v = draw.uniform(0, 2 * np.pi, (2, clouds, points))
    thickness, twist = draw.uniform(0.1, 0.6, (clouds, 1)), draw.integers(0, 4, (clouds, 1))
    radius = 1 + thickness * np.cos(v + twist * u)
    cloud = np.stack([radius * np.cos(u), thickness * np.sin(v + twist * u) + 0.2 * u, radius * np.sin(u)], 2)
    cloud -= cloud.mean(1, keepdims=True)
    cloud /= np.linalg.norm(cloud, axis=2).max(1)[:, None, None]
    return cloud.astype(np.float32)


def _difference(
    session: Any, encoder: Encoder, clouds: Float[np.ndarray, "B N 3"], point_features: bool
) -> Difference:
    found = session.run(None, {"points": clouds})
    with torch.no_grad():
        expected = [encoder(torch.from_numpy(clouds)).numpy()]
        if point_features:
            expected.append(encoder.point_features(torch.from_numpy(clouds)).numpy())
    pairs = list(zip(found, expected, strict=True))
    return Difference(
        clouds=clouds.shape[0],
        points=clouds.shape[1],
        largest=float(np.max([np.abs(a - b).max() / np.abs(b).max() for a, b in pairs])),
        norm=float(np.max([np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in pairs])),
    )

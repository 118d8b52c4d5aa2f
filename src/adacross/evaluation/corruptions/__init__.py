"""Corruptions of clouds: the 15 kinds of ModelNet40-C, at 5 severities.

Which kinds there are is ModelNet40-C's (Sun et al., "Benchmarking robustness of 3D point cloud recognition
against common corruptions", 2022, arXiv 2201.12296). Everything is computed here, from clouds only, by our
own programs; no file of the benchmark was at hand. Each function says whether its severities are recalled
from the benchmark, which could not be checked, or ours. So no figure may be compared with a published one
point for point.

A corrupted cloud is a function of its points, the seed, the kind, the severity and the number its shape is
known by, never of the batch. A shape draws the same numbers at every severity: a severity is the same damage,
only worse.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Int64

from adacross.errors import UserError, one_of
from adacross.evaluation.corruptions import density, noise, transformation
from adacross.evaluation.corruptions.draws import Changed, Clouds, Draws

SEVERITIES = (1, 2, 3, 4, 5)
LEAST_POINTS = 64  # with fewer, shares of the points round to nothing
KINDS: dict[str, Callable[[Clouds, int, Draws], Changed]] = {
    "occlusion": density.occlusion,
    "lidar": density.lidar,
    "density_inc": density.density_inc,
    "density": density.density,
    "cutout": density.cutout,
    "uniform": noise.uniform,
    "gaussian": noise.gaussian,
    "impulse": noise.impulse,
    "upsampling": noise.upsampling,
    "background": noise.background,
    "rotation": transformation.rotation,
    "shear": transformation.shear,
    "distortion": transformation.distortion,
    "distortion_rbf": transformation.distortion_rbf,
    "distortion_rbf_inv": transformation.distortion_rbf_inv,
}
_BLOCK = 64  # clouds at a time: what is computed for each then fits a processor's cache


def corrupt(kind: str, clouds: Clouds, severity: int, seed: int, shapes: Int64[np.ndarray, " n"]) -> Changed:
    """Corrupt clouds, then bring each to the unit sphere as `prepare` would: centroid 0, largest norm 1.

    Clouds are in the unit sphere, y up, of at least 64 points; `shapes` are the numbers that they are known
    by, their indices in the collection. The number of points that are left depends on N, the kind and the
    severity alone.

    Raises:
        UserError: another kind or severity, too few points, or shapes that do not fit.
    """
    function = KINDS[one_of("corruption", kind, KINDS)]
    if severity not in SEVERITIES:
        raise UserError(f"severity {severity} was given; expected 1 (mild) to 5 (severe).")
    _check(clouds, seed, shapes)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(clouds), _BLOCK)]
    changed = [function(clouds[block], severity, Draws(seed, kind, shapes[block])) for block in blocks]
    return np.concatenate([_unit_sphere(block) for block in changed])


def rotate(about: Literal["y", "any"], clouds: Clouds, seed: int, shapes: Int64[np.ndarray, " n"]) -> Clouds:
    """Turn each cloud, by any angle about the up axis ("y") or by any rotation ("any"), drawn uniformly.

    Arguments and errors are as of `corrupt`.
    """
    _check(clouds, seed, shapes)
    return transformation.turn(clouds, about, Draws(seed, f"turn about {about}", shapes))


def _check(clouds: Clouds, seed: int, shapes: np.ndarray) -> None:
    """Refuse clouds, a seed or shape numbers that do not suit."""
    if len(clouds) < 1 or clouds.shape[1] < LEAST_POINTS:
        raise UserError(
            f"clouds of shape {clouds.shape} were given to be corrupted; expected at least one, of at least "
            f"{LEAST_POINTS} points. Use more points."
        )
    if len(shapes) != len(clouds) or shapes.min() < 0 or seed < 0:
        raise UserError(
            f"{len(shapes)} shape numbers were given for {len(clouds)} clouds, and seed {seed}; expected a "
            "number for each, none below 0, and a seed of 0 or more."
        )


def _unit_sphere(clouds: Changed) -> Changed:
    centered = clouds - clouds.mean(axis=1, keepdims=True)
    radius = np.linalg.norm(centered, axis=2).max(axis=1)[:, None, None]
    return centered / np.maximum(radius, np.finfo(np.float32).tiny)

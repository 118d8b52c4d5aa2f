"""Shapes that are turned, slanted and bent."""

from collections.abc import Callable
from math import comb
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from adacross.evaluation.corruptions.draws import Clouds, Draws

ANGLES = (2.5, 5.0, 7.5, 10.0, 15.0)  # degrees
ANGLE_WIDTH = 2.5
SHEARS = (0.05, 0.1, 0.15, 0.2, 0.25)
SHEAR_WIDTH = 0.05
BENDS = (0.1, 0.2, 0.3, 0.4, 0.5)  # of a free-form deformation, whose control points pull weakly
WARPS = (0.025, 0.05, 0.075, 0.1, 0.125)  # of radial basis functions, which follow their control points
LATTICE = 5  # control points along each axis of the cube from -1 to 1
REACH = 0.5  # of a radial basis function: the distance between neighboring control points


def rotation(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Turn about x, y, z by a - 2.5 to a + 2.5 degrees either way, a = 2.5, 5, 7.5, 10, 15 (recalled)."""
    angle = ANGLES[severity - 1] + draws.uniform(-ANGLE_WIDTH, ANGLE_WIDTH, 3)
    x, y, z = np.radians(angle * draws.signs(3)).T
    return _mapped(_mapped(_mapped(clouds, _about(0, x)), _about(1, y)), _about(2, z))


def shear(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Add to each coordinate ± (c - 0.05 to c + 0.05) times each other one, c = 0.05, 0.1, 0.15, 0.2, 0.25.

    The range is recalled; that all six pairs of coordinates take part is ours.
    """
    amount = SHEARS[severity - 1] + draws.uniform(-SHEAR_WIDTH, SHEAR_WIDTH, 3, 3)
    slant = np.where(np.eye(3, dtype=bool), np.float32(1), amount * draws.signs(3, 3))
    return _mapped(clouds, slant)


def distortion(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Bend space by a free-form deformation (Sederberg and Parry, SIGGRAPH 1986).

    Each of 5 x 5 x 5 control points moves by 0.1, 0.2, 0.3, 0.4, 0.5 in a direction drawn for it; a point
    moves by their mean, weighted by Bernstein polynomials of degree 4 of its place in the cube from -1 to 1.
    The sizes are recalled, the lattice and the directions are ours.
    """
    moved = BENDS[severity - 1] * draws.directions(LATTICE, LATTICE, LATTICE)
    place = np.clip((clouds + 1) / 2, 0, 1)[..., None]
    power = np.arange(LATTICE, dtype=np.float32)
    chances = np.array([comb(LATTICE - 1, k) for k in range(LATTICE)], dtype=np.float32)
    weights = chances * place**power * (1 - place) ** (LATTICE - 1 - power)  # (n, N, 3, 5)
    bent = np.einsum("nabcd,nic->niabd", moved, weights[:, :, 2], optimize=True)
    bent = np.einsum("niabd,nib->niad", bent, weights[:, :, 1], optimize=True)
    return clouds + np.einsum("niad,nia->nid", bent, weights[:, :, 0], optimize=True)


def distortion_rbf(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Bend space by Gaussian radial basis functions exp(-r² / 0.5²).

    Each of 5 x 5 x 5 control points moves by 0.025, 0.05, 0.075, 0.1, 0.125 in a direction drawn for it;
    what lies between follows by interpolation. The sizes are recalled; the lattice, the directions and the
    reach are ours.
    """
    return _warped(clouds, WARPS[severity - 1], draws, lambda squared: np.exp(-squared / REACH**2))


def distortion_rbf_inv(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Bend space as `distortion_rbf` does, by inverse multi-quadrics 1 / √(r² + 0.5²), which reach farther.

    Control points move by 0.025, 0.05, 0.075, 0.1, 0.125 (recalled, the rest is ours).
    """
    return _warped(clouds, WARPS[severity - 1], draws, lambda squared: 1 / np.sqrt(squared + REACH**2))


def turn(clouds: Clouds, about: Literal["y", "any"], draws: Draws) -> Clouds:
    """Turn each cloud by any angle about the up axis ("y"), or by any rotation at all ("any"), uniformly.

    For the latter a quaternion of four normal numbers, which prefer no direction, is scaled to length 1.
    """
    if about == "y":
        return _mapped(clouds, _about(1, draws.uniform(0.0, 2 * np.pi)))
    quaternion = draws.normal(4)
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]  # fmt: skip
    return _mapped(clouds, np.stack(rows, axis=1).reshape(-1, 3, 3))


def lattice() -> Float[np.ndarray, "K 3"]:
    """Return the control points, `(125, 3)`."""
    ticks = np.linspace(-1, 1, LATTICE)
    return np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)


def _about(axis: int, angle: Float[np.ndarray, " n"]) -> Float32[np.ndarray, "n 3 3"]:
    """Return rotations about one axis, `(n, 3, 3)`."""
    matrices = np.zeros((len(angle), 3, 3), dtype=np.float32)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices[:, axis, axis] = 1
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angle)
    matrices[:, second, first] = np.sin(angle)
    matrices[:, first, second] = -matrices[:, second, first]
    return matrices


def _mapped(clouds: Clouds, matrices: Float32[np.ndarray, "n 3 3"]) -> Clouds:
    """Multiply every point of a cloud by the cloud's matrix; numpy 1 has no `.mT`."""
    return clouds @ matrices.swapaxes(1, 2)


def _warped(clouds: Clouds, amount: float, draws: Draws, basis: Callable[[np.ndarray], np.ndarray]) -> Clouds:
    """Move every point by Σ w_k φ(|x - p_k|²), where w makes control point p_k move as drawn."""
    control = lattice()
    between = ((control[:, None] - control) ** 2).sum(2)
    moved = amount * draws.directions(len(control))
    weights = (np.linalg.inv(basis(between)) @ moved).astype(np.float32)
    near = control.astype(np.float32)
    squared = (clouds**2).sum(2)[:, :, None] - 2 * clouds @ near.T + (near**2).sum(1)
    return clouds + basis(np.maximum(squared, 0)) @ weights

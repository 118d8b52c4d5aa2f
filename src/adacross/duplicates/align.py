"""Alignment of two surfaces that may be one: principal axes, then iterated closest points."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product

import numpy as np
from jaxtyping import Float64

from adacross.duplicates.signature import Points
from adacross.duplicates.surface import Surface

Rotation = Float64[np.ndarray, "3 3"]

ALIKE = 0.12  # relative difference of two variances up to which their axes may be swapped or turned
UNLIKE, LEAST = 0.3, 0.02  # relative difference of variances, and least one, of what cannot be a copy
COARSE = 64  # points that choose among starting orientations
EXACT = 1e-4  # distance, in units of the size, below which nothing is left to refine
MOVED = 256  # points that refinement looks at
KEPT = 3  # starting orientations that are refined
STALLED = 0.9999  # error of a step, relative to the one before, at which refinement ends
STEPS = 60  # of refinement, at most
LOOK, HOPELESS = 8, 0.05  # the step at which, and the mean distance beyond which, a start is given up
TURNS = 72  # about an axis of symmetry


@dataclass(frozen=True, eq=False)
class Fit:
    """The best placement of one surface on another."""

    distance: float  # the largest between the two, in units of the larger diagonal
    mirrored: bool


def fit(one: Surface, other: Surface, *, mirrored: bool, enough: float) -> Fit:
    """Turn one surface onto another and measure what is left.

    Args:
        one: a surface in its principal frame.
        other: another.
        mirrored: try mirrored placements, too.
        enough: distance below which no other placement is tried.
    """
    best = Fit(np.inf, False)
    if (np.abs(one.variances - other.variances) > UNLIKE * np.maximum(one.variances, LEAST)).any():
        return best
    for flip in (False, True) if mirrored else (False,):
        starts = _starts(one, other, flip)
        few = one.probes[:COARSE]
        coarse = [np.mean(other.closest(few @ start.T)[1] ** 2) for start in starts]
        for place in np.argsort(coarse)[:KEPT]:
            found = _refined(one, other, starts[place])
            if found < best.distance:
                best = Fit(found, flip)
            if best.distance < enough:
                return best
    return best


def _starts(one: Surface, other: Surface, flip: bool) -> Float64[np.ndarray, "n 3 3"]:
    """Return the rotations (or reflections, with `flip`) that bring principal axes onto each other."""
    middle = (one.variances + other.variances) / 2
    alike = np.diff(middle) < ALIKE * middle[1:]
    turns = _signs()
    if alike.all():  # no axis stands out
        turns = _everywhere()
    elif alike.any():  # one does: turn about it
        turns = _about(2 if alike[0] else 0)
    return turns[(np.linalg.det(turns) < 0) == flip]


@lru_cache(maxsize=1)
def _signs() -> Float64[np.ndarray, "8 3 3"]:
    return np.array([np.diag(signs) for signs in product((-1.0, 1.0), repeat=3)])


@lru_cache(maxsize=3)
def _about(axis: int) -> Float64[np.ndarray, "n 3 3"]:
    """Return turns about an axis, each with every choice of signs."""
    i, j = [place for place in range(3) if place != axis]
    turns = np.tile(np.eye(3), (TURNS, 1, 1))
    angle = np.arange(TURNS) * (2 * np.pi / TURNS)
    turns[:, i, i] = turns[:, j, j] = np.cos(angle)
    turns[:, i, j], turns[:, j, i] = -np.sin(angle), np.sin(angle)
    ends = [np.diag(np.where(np.arange(3) == axis, s, 1.0)) @ np.diag(np.where(np.arange(3) == i, t, 1.0))
            for s, t in product((-1.0, 1.0), repeat=2)]  # fmt: skip
    return np.concatenate([turns @ end for end in ends])


@lru_cache(maxsize=1)
def _everywhere() -> Float64[np.ndarray, "n 3 3"]:
    """Return orientations all over, at most some 30 degrees from any other, and the 48 of a cube."""
    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(240, 4))
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    turns = np.stack(rows, 1).reshape(-1, 3, 3)
    cube = [np.eye(3)[list(order)] * np.array(signs) for order in permutations(range(3))
            for signs in product((-1.0, 1.0), repeat=3)]  # fmt: skip
    return np.concatenate([turns, -turns, cube])


def _refined(one: Surface, other: Surface, start: Rotation) -> float:
    """Return the largest distance after refinement, in units of the diagonal."""
    matrix, shift, last, probes = start, np.zeros(3), np.inf, one.probes[:MOVED]
    exact = other.closest(one.probes[:COARSE] @ matrix.T)[1].max()
    for step in range(STEPS if exact > EXACT else 0):
        found, distance = other.closest(probes @ matrix.T + shift)
        error = float(np.mean(distance**2))
        if error > STALLED * last:
            break
        if step == LOOK and error > HOPELESS**2:
            return np.inf
        last = error
        matrix, shift = _similarity(probes, found, bool(np.linalg.det(start) < 0))
    forth = other.closest(one.probes @ matrix.T + shift)[1]
    back = one.closest((other.probes - shift) @ np.linalg.inv(matrix).T)[1] * np.cbrt(
        abs(np.linalg.det(matrix))
    )
    diagonal = max(np.linalg.norm(np.ptp(each.probes, axis=0)) for each in (one, other))
    return float(max(forth.max(), back.max()) / diagonal)


def _similarity(
    points: Points, targets: Points, mirrored: bool
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
    """Return the rotation, scale and shift that bring points nearest to their targets (Umeyama 1991)."""
    here, there = points.mean(0), targets.mean(0)
    points = points - here
    u, stretch, v = np.linalg.svd((targets - there).T @ points)
    ends = np.array((1.0, 1.0, np.sign(np.linalg.det(u @ v)) * (-1 if mirrored else 1)))
    matrix = (u * ends) @ v * float((stretch * ends).sum() / (points**2).sum())
    return matrix, there - matrix @ here

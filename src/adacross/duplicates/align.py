"""Alignment of two surfaces that may be one: principal axes, then nearest points by Gauss-Newton steps."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation as Turn

from adacross.data.formats.invariants import Points
from adacross.duplicates.surface import Surface

Matrix = Float64[np.ndarray, "3 3"]

ALIKE = 0.12  # relative difference of two variances up to which their axes may be swapped or turned
UNLIKE, LEAST = 0.3, 0.02  # relative difference of variances, and least one, of what cannot be a copy
COARSE = 32  # points that choose among starting orientations
MOVED = 128  # points of either surface that refinement looks at
KEPT = 3  # starting orientations that are refined
FAR = 0.02  # mean distance, in units of the diagonal, beyond which none is
EXACT = 1e-4  # distance, in units of the size, below which nothing is left to refine
ALONG = 0.1  # weight of the distance along a surface, relative to that from it
STEPS, STALLED = 12, 0.98  # of refinement, at most; error relative to the step before at which it ends
LAST, FLOOR = 4, 0.05  # steps in which large distances count most; weight of small ones there
TURNS = 72  # about an axis of symmetry


@dataclass(frozen=True, eq=False)
class Fit:
    """The best placement of one surface on another."""

    distance: float  # the largest between the two, in units of the larger diagonal; infinite if not measured
    mirrored: bool


def fit(one: Surface, other: Surface, *, mirrored: bool, enough: float, most: float = np.inf) -> Fit:
    """Turn one surface onto another, both in their principal frames, and measure what is left.

    Below a distance of `enough` no other placement is tried; beyond `most` the two are no copies, and nothing
    need be measured.
    """
    best = Fit(np.inf, False)
    if (np.abs(one.variances - other.variances) > UNLIKE * np.maximum(one.variances, LEAST)).any():
        return best
    diagonal = max(float(np.linalg.norm(np.ptp(each.probes, axis=0))) for each in (one, other))
    few = one.probes[:COARSE]
    for flip in (False, True) if mirrored else (False,):
        starts, apart = _starts(one, other, flip)
        distance = other.closest((few @ starts.transpose(0, 2, 1)).reshape(-1, 3))[1].reshape(-1, COARSE)
        error = (distance**2).mean(1)
        for place in np.argsort(error)[:KEPT]:
            if error[place] > (max(most, FAR) * diagonal + apart) ** 2:
                break
            found = _refined(one, other, starts[place], most * diagonal) / diagonal
            if found < best.distance:
                best = Fit(found, flip)
            if best.distance < enough:
                return best
    return best


def _starts(one: Surface, other: Surface, flip: bool) -> tuple[Float64[np.ndarray, "n 3 3"], float]:
    """Return the rotations (or reflections, with `flip`) that bring principal axes onto each other.

    The second value is the largest angle in radians between the one that is sought and the nearest of them.
    """
    middle = (one.variances + other.variances) / 2
    alike = np.diff(middle) < ALIKE * middle[1:]
    turns, apart = _signs(), 0.0
    if alike.all():  # no axis stands out
        turns, apart = _everywhere(), np.pi / 6
    elif alike.any():  # one does: turn about it
        turns, apart = _about(2 if alike[0] else 0), np.pi / TURNS
    return turns[(np.linalg.det(turns) < 0) == flip], apart


@cache
def _signs() -> Float64[np.ndarray, "8 3 3"]:
    return np.array([np.diag(signs) for signs in product((-1.0, 1.0), repeat=3)])


@cache
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


@cache
def _everywhere() -> Float64[np.ndarray, "n 3 3"]:
    """Return orientations all over, at most some 30 degrees from any other, and the 48 of a cube."""
    rng = np.random.default_rng(0)
    turns = Turn.from_quat(rng.normal(size=(240, 4))).as_matrix()
    cube = [np.eye(3)[list(order)] * np.array(signs) for order in permutations(range(3))
            for signs in product((-1.0, 1.0), repeat=3)]  # fmt: skip
    return np.concatenate([turns, -turns, cube])


def _refined(one: Surface, other: Surface, start: Matrix, most: float) -> float:
    """Return the largest distance between the surfaces, or infinity as soon as it is known to be beyond."""
    place = start, np.zeros(3)
    some = one.probes[:MOVED], other.probes[:MOVED]
    if other.closest(some[0][:COARSE] @ start.T)[1].max() > EXACT:
        last = np.inf
        for _ in range(STEPS):
            pairs = _pairs(one, other, *some, *place)
            error = float(np.mean(pairs.distance**2))
            if error > STALLED * last:
                break
            last = error
            place = _step(pairs, np.ones(len(pairs.distance)), *place)
        if error > (most / 2) ** 2:
            return np.inf
        found = []
        for _ in range(LAST):
            pairs = _pairs(one, other, *some, *place)
            largest = float(pairs.distance.max())
            found.append((largest, place))
            place = _step(pairs, FLOOR + (pairs.distance / max(largest, 1e-300)) ** 2, *place)
        largest, place = min(found, key=lambda each: each[0])
        if largest > most:
            return np.inf
    return float(_pairs(one, other, one.probes, other.probes, *place).distance.max())


class _Pairs(NamedTuple):
    """Points of a surface that was moved, the nearest ones of the other surface, and what is between them."""

    moved: Points
    aims: Points
    normals: Points  # of one of the two surfaces
    distance: Float64[np.ndarray, " n"]


def _pairs(
    one: Surface,
    other: Surface,
    points: Points,
    targets: Points,
    matrix: Matrix,
    shift: Float64[np.ndarray, "3"],
) -> _Pairs:
    """Pair points of `one` with the nearest of `other`, and points of `other` with the nearest of `one`."""
    moved = points @ matrix.T + shift
    aims, forth, normals = other.closest(moved)
    scale = float(np.cbrt(abs(np.linalg.det(matrix))))
    found, back, turned = one.closest((targets - shift) @ np.linalg.inv(matrix).T)
    return _Pairs(
        np.concatenate([moved, found @ matrix.T + shift]),
        np.concatenate([aims, targets]),
        np.concatenate([normals, turned @ matrix.T / scale]),
        np.concatenate([forth, back * scale]),
    )


def _step(
    pairs: _Pairs, weights: Float64[np.ndarray, " n"], matrix: Matrix, shift: Float64[np.ndarray, "3"]
) -> tuple[Matrix, Float64[np.ndarray, "3"]]:
    """Turn, scale and shift once more, so that points come nearest to the planes of those they aim at.

    Linear in the turn, as usual for distances to planes (Chen and Medioni 1992); a small weight on the
    distance along the planes holds a shape that could slide.
    """
    points, gap = pairs.moved, pairs.aims - pairs.moved
    turns = np.cross(np.eye(3), points[:, None])  # (n, 3, 3): how each coordinate's turn moves a point
    shifts = np.broadcast_to(np.eye(3), turns.shape)
    moves = np.concatenate([turns, shifts, points[:, None]], axis=1)  # (n, 7, 3)
    across = np.einsum("nkd,nd->nk", moves, pairs.normals)
    held = (moves * np.sqrt(weights)[:, None, None]).transpose(1, 0, 2).reshape(7, -1)
    weighted = across * weights[:, None]
    system = weighted.T @ across + ALONG**2 * held @ held.T
    wanted = weighted.T @ np.einsum("nd,nd->n", gap, pairs.normals)
    wanted += ALONG**2 * np.einsum("nkd,nd->k", moves, gap * weights[:, None])
    best = np.linalg.solve(system + 1e-9 * np.trace(system) * np.eye(7), wanted)
    turn = Turn.from_rotvec(best[:3]).as_matrix() * (1 + best[6])
    return turn @ matrix, turn @ shift + best[3:6]

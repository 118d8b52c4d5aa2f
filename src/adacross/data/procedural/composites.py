"""Nameless shapes: primitives turned, shifted, mirrored and joined, with relief, a cut and a wire frame.

Point-MAE-Zero (Chen et al. 2024, arXiv 2411.17467) showed that shapes without a meaning teach a point encoder
about as much as ShapeNet. The ingredients are its own: 1 to 9 primitives (odds 1:2:3:7:10:7:3:2:1), height
fields, cuts, wire frames. How they are made, and symmetry, are our choice.

A primitive is a function `level` of points, below 1 inside. All but the torus are gauges, homogeneous of
degree 1, so a grid of directions divided by their levels is the surface. Union and cut need no mesh boolean:
a face is dropped if the levels at its corners say that all of it is hidden, or cut away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from adacross.data.procedural.curves import Rng, chance, pick
from adacross.data.procedural.kit import Solid, join, rotation, sweep
from adacross.data.procedural.parts import palette
from adacross.data.procedural.solids import cube_grid, torus
from adacross.data.shape import Mesh

Points = Float64[np.ndarray, "n 3"]
Level = Callable[[Points], Float64[np.ndarray, " n"]]

COUNTS = np.array((1, 2, 3, 7, 10, 7, 3, 2, 1)) / 36  # odds of 1 to 9 primitives
SMALLEST = 0.1  # half axis of a piece; up to 1, log-uniform: plates and rods, too
RELIEF, CUT, WIRE = 0.4, 0.4, 0.2  # probabilities of a height field a piece, a cut and a frame a shape
MIRRORED, AROUND = 0.3, 0.15  # of pieces in pairs, and in rings about the upright axis
_LINES = tuple(np.linspace(-1.0, 1.0, 11).tolist())
STRAIGHT = 0.5  # of shapes whose pieces are turned by right angles only


@dataclass(frozen=True, eq=False)
class _Piece:
    """A closed surface with its level function, both in the shape's frame."""

    name: str
    solid: Solid
    level: Level

    def moved(self, matrix: Float64[np.ndarray, "3 3"], shift: Float64[np.ndarray, "3"]) -> "_Piece":
        """Return the piece after `p -> matrix p + shift`."""
        faces = self.solid.faces if np.linalg.det(matrix) > 0 else self.solid.faces[:, ::-1].copy()
        inverse, level = np.linalg.inv(matrix).T, self.level
        moved = Solid(self.solid.vertices @ matrix.T + shift, faces)
        return _Piece(self.name, moved, lambda points: level((points - shift) @ inverse))


def make_composite(seed: int) -> Mesh:
    """Make one nameless shape: y up, a part for each kind of primitive, colors a part.

    The same seed (0 or more) always gives the same mesh. Its surface is that of the union: faces inside
    another piece are left out, so points sampled on it lie outside.

    Example:
        >>> mesh = make_composite(7)
        >>> mesh.vertices.shape[1], len(mesh.faces) > 100
        (3, True)
    """
    rng = np.random.default_rng((0xC0, seed))
    surfaces = _surfaces(rng)
    while not surfaces:  # a cut took all there was
        surfaces = _surfaces(rng)
    names = tuple(dict.fromkeys(name for name, _ in surfaces))
    solid = join(*(solid for _, solid in surfaces)).turn("y", rng.uniform(0, 2 * np.pi))
    labels = np.repeat([names.index(name) for name, _ in surfaces], [len(s.faces) for _, s in surfaces])
    colors = palette(len(names), rng)[labels]
    return Mesh(solid.vertices, solid.faces, colors, labels.astype(np.int64), names)


def _surfaces(rng: Rng) -> list[tuple[str, Solid]]:
    """Draw the outer faces of each piece, of what is cut, and of wires, each with its name; none empty."""
    pieces = _pile(rng)
    cutters = [_cutter(pieces, rng)] if chance(rng, CUT) else []
    surfaces = []
    for piece in pieces:
        others = [other.level for other in [*pieces, *cutters] if other is not piece]
        surfaces.append((piece.name, _outside(piece.solid, others)))
    for cutter in cutters:
        within = np.any([piece.level(cutter.solid.vertices) < 1 for piece in pieces], axis=0)
        faces = cutter.solid.faces[within[cutter.solid.faces].any(1), ::-1]
        surfaces.append(("cut", Solid(cutter.solid.vertices, faces)))
    if chance(rng, WIRE):
        surfaces.append(("wire", _outside(_frame(rng), [piece.level for piece in pieces])))
    return [(name, solid) for name, solid in surfaces if len(solid.faces)]


def _pile(rng: Rng) -> list[_Piece]:
    """Put pieces together, each centered near the surface of what is there."""
    straight = chance(rng, STRAIGHT)
    pieces: list[_Piece] = []
    count = 1 + int(rng.choice(len(COUNTS), p=COUNTS))
    while len(pieces) < count:
        piece = _primitive(rng)
        place = np.zeros(3)
        if pieces:
            base = pick(rng, pieces).solid.vertices
            place = base.mean(0) + rng.uniform(0.5, 1.1) * (_row(base, rng) - base.mean(0))
        piece = piece.moved(_turn(rng, straight) * np.exp(rng.uniform(np.log(SMALLEST), 0.0, 3)), place)
        copies = [np.eye(3)]
        if pieces and chance(rng, MIRRORED):
            copies.append(np.diag((-1.0, 1.0, 1.0)))
        elif pieces and chance(rng, AROUND):
            steps = int(rng.integers(3, 7))
            copies = [rotation("y", 2 * np.pi * k / steps) for k in range(steps)]
        pieces += [piece.moved(copy, np.zeros(3)) for copy in copies]
    return pieces


def _primitive(rng: Rng) -> _Piece:
    """Draw a primitive within the unit cube."""
    name = pick(rng, ("ellipsoid", "box", "cylinder", "cone", "prism", "superquadric", "torus"))
    if name == "torus":
        tube = rng.uniform(0.1, 0.45)
        return _Piece(name, torus(1 - tube, tube, 32, 16), _torus_level(tube))
    gauge = _gauge(name, rng)
    directions, faces = cube_grid(_LINES) if name in ("box", "superquadric") else _globe()
    if chance(rng, RELIEF):
        gauge = _with_relief(gauge, rng)
    return _Piece(name, Solid(directions / gauge(directions)[:, None], faces), gauge)


def _gauge(name: str, rng: Rng) -> Level:
    """Return the gauge of a kind of primitive, with its own proportions."""
    match name:
        case "box":
            return lambda p: np.abs(p).max(1)
        case "ellipsoid":
            return lambda p: np.linalg.norm(p, axis=1)
        case "cylinder":
            return lambda p: np.maximum(np.hypot(p[:, 0], p[:, 2]), np.abs(p[:, 1]))
        case "cone":
            top = rng.uniform(0, 0.6)  # radius there; 1 at the bottom
            slope, reach = (1 - top) / (1 + top), 2 / (1 + top)
            return lambda p: np.maximum(reach * np.hypot(p[:, 0], p[:, 2]) + slope * p[:, 1], np.abs(p[:, 1]))
        case "prism":
            outline = _outline(rng)
            return lambda p: np.maximum(
                np.hypot(p[:, 0], p[:, 2]) / outline(np.arctan2(p[:, 2], p[:, 0])), np.abs(p[:, 1])
            )
        case _:
            a, b = rng.uniform(0.3, 2.0, 2)  # 2 / exponent: below 1 boxy, 1 round, 2 a double pyramid
            return lambda p: (
                (
                    (np.abs(p[:, 0]) ** (2 / a) + np.abs(p[:, 2]) ** (2 / a)) ** (a / b)
                    + np.abs(p[:, 1]) ** (2 / b)
                )
                ** (b / 2)
            )


def _outline(rng: Rng) -> Level:
    """Return a star-shaped outline: the radius, up to 1, for an angle; a polygon, a star or a soft curve."""
    sides, sharp = int(rng.integers(3, 9)), rng.uniform(0, 1)
    phase = rng.uniform(0, 2 * np.pi)

    def radius(angle: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        within = np.mod(angle + phase, 2 * np.pi / sides) - np.pi / sides
        polygon = np.cos(np.pi / sides) / np.cos(within)
        wave = 0.75 + 0.25 * np.cos(sides * angle + phase)
        return np.asarray(sharp * polygon + (1 - sharp) * wave)

    return radius


def _torus_level(tube: float) -> Level:
    return lambda p: np.hypot(np.hypot(p[:, 0], p[:, 2]) - (1 - tube), p[:, 1]) / tube


def _with_relief(gauge: Level, rng: Rng) -> Level:
    """Return the gauge of the same body with waves of up to a fifth on its surface."""
    waves = rng.normal(size=(5, 3)) * rng.uniform(1.5, 4)
    phases, height = rng.uniform(0, 2 * np.pi, 5), rng.uniform(0.05, 0.2) / 5

    def level(points: Points) -> Float64[np.ndarray, " n"]:
        directions = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        return np.asarray(gauge(points) / (1 + height * np.sin(directions @ waves.T + phases).sum(1)))

    return level


def _cutter(pieces: Sequence[_Piece], rng: Rng) -> _Piece:
    """Draw what is cut away, centered on the surface."""
    place = _row(pick(rng, pieces).solid.vertices, rng)
    return _primitive(rng).moved(_turn(rng, chance(rng, STRAIGHT)) * rng.uniform(0.25, 0.6, 3), place)


def _row(points: Points, rng: Rng) -> Float64[np.ndarray, "3"]:
    return np.asarray(points[int(rng.integers(len(points)))])


def _turn(rng: Rng, straight: bool) -> Float64[np.ndarray, "3 3"]:
    """Draw a rotation: any, or one of the 24 that keep the axes."""
    if straight:
        turns = rng.integers(0, 4, 3) * (np.pi / 2)
        return rotation("x", turns[0]) @ rotation("y", turns[1]) @ rotation("z", turns[2])
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def _frame(rng: Rng) -> Solid:
    """Return the twelve edges of a box as bars."""
    half, radius = rng.uniform(0.2, 1.0, 3), rng.uniform(0.01, 0.03)
    bars = []
    for axis in range(3):
        for signs in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            ends = np.empty((8, 3))
            ends[:, axis] = np.linspace(-1, 1, 8)
            ends[:, [i for i in range(3) if i != axis]] = signs
            bars.append(sweep(ends * half, radius, 6))
    return join(*bars)


def _outside(solid: Solid, others: Sequence[Level]) -> Solid:
    """Return a solid without the faces that lie in one of the others with all their corners."""
    hidden = np.zeros(len(solid.faces), dtype=np.bool_)
    for level in others:
        hidden |= (level(solid.vertices) < 1)[solid.faces].all(1)
    return Solid(solid.vertices, solid.faces[~hidden])


@lru_cache(maxsize=1)
def _globe(segments: int = 32, rings: int = 16) -> tuple[Points, Int64[np.ndarray, "F 3"]]:
    """Directions on circles of latitude, one of them at 45 degrees on either side: a cylinder's rims."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)[1:-1, None]
    angle = np.arange(segments) * (2 * np.pi / segments)
    circle = np.cos(latitude) * np.cos(angle), np.sin(latitude) + 0 * angle, np.cos(latitude) * np.sin(angle)
    rows = np.arange((rings - 1) * segments).reshape(rings - 1, segments)
    low, high = rows[:-1], rows[1:]
    low_next, high_next = np.roll(low, -1, 1), np.roll(high, -1, 1)
    south, north = np.full(segments, rows.size), np.full(segments, rows.size + 1)
    faces = [(low, high, high_next), (low, high_next, low_next)]
    faces += [(south, rows[0], np.roll(rows[0], -1)), (north, np.roll(rows[-1], -1), rows[-1])]
    vertices = np.concatenate([np.stack(circle, -1).reshape(-1, 3), [[0, -1.0, 0], [0, 1.0, 0]]])
    return vertices, np.concatenate([np.stack(face, -1).reshape(-1, 3) for face in faces])

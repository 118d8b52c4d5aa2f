"""From named solids to a colored, varied mesh."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64, UInt8

from adacross.data.procedural.curves import Number, Rng, chance, pick
from adacross.data.procedural.kit import Solid, join, rotation
from adacross.data.shape import Mesh

Parts = list[tuple[str, Solid]]  # named pieces of an object; several may carry one name


def named(**pieces: Solid | Iterable[Solid]) -> Parts:
    """Return a part for each argument, called as the argument is; several solids are joined."""
    return [(name, made if isinstance(made, Solid) else join(*made)) for name, made in pieces.items()]


def posed(parts: Parts, rng: Rng) -> Parts:
    """Lay an object that has no fixed way up: standing, lying on either side, or leaning."""
    yaw = pick(rng, (0.0, np.pi / 2, np.pi))
    tilt = pick(rng, (0.0, np.pi / 2, np.pi / 2)) + rng.uniform(-0.2, 0.2)
    return [(name, solid.turn("y", yaw).turn("x", tilt)) for name, solid in parts]


def mesh_of(parts: Parts, rng: Rng) -> Mesh:
    """Join parts into a mesh: a color per part, then the variation that every category shares."""
    names = tuple(dict.fromkeys(name for name, _ in parts))
    solid = join(*(piece for _, piece in parts))
    labels = np.repeat([names.index(name) for name, _ in parts], [len(piece.faces) for _, piece in parts])
    return Mesh(
        vertices=vary(solid.vertices, rng),
        faces=solid.faces,
        face_colors=palette(len(names), rng)[labels],
        face_parts=labels.astype(np.int64),
        part_names=names,
    )


def palette(count: int, rng: Rng) -> UInt8[np.ndarray, "count 3"]:
    """Return colors that say nothing about the category: unrelated, of one hue, or all but equal."""
    style = pick(rng, ("free", "family", "one"))
    hue = rng.random(count) if style == "free" else np.full(count, rng.random())
    if style == "family":
        hue = hue + rng.uniform(-0.06, 0.06, count)
    saturation = rng.uniform(0.0, 0.75, 1 if style == "one" else count)
    value = rng.uniform(0.3, 0.95, 1 if style == "one" else count) * np.ones(count)
    value = np.clip(value + rng.uniform(-0.06, 0.06, count), 0.0, 1.0)
    # Hue, saturation, value to RGB: each channel is full within a third of the circle and fades beside it.
    ramp = np.abs(np.mod(hue[:, None] * 6.0 - np.array((0.0, 2.0, 4.0)) + 3.0, 6.0) - 3.0)
    pure = np.clip(2.0 - ramp, 0.0, 1.0)
    shade = value[:, None] * (1.0 - saturation[:, None] * (1.0 - pure))
    return np.rint(255 * shade).astype(np.uint8)


def vary(vertices: Float64[np.ndarray, "V 3"], rng: Rng) -> Float64[np.ndarray, "V 3"]:
    """Stretch the axes, on some objects taper, lean or bend them mildly, and turn them by a random yaw.

    Extents then do not tell a category. Every map keeps orientation, so the winding stays outward.
    There is no twist: it would bend the sides of a thin board through each other.
    """
    low, high = vertices.min(0), vertices.max(0)
    points = (vertices - (low + high) / 2) / (high - low).max()
    points *= rng.uniform(0.75, 1.35, 3)
    if chance(rng, 0.3):
        points[:, ::2] *= 1.0 + rng.uniform(-0.35, 0.35) * points[:, 1:2]
    if chance(rng, 0.2):
        points[:, pick(rng, (0, 2))] += rng.uniform(-0.3, 0.3) * points[:, 1]
    if chance(rng, 0.25):
        # a slight lean that grows upwards: a horizontal axis sheared by the square of the height
        rate, axis = rng.uniform(-0.4, 0.4), pick(rng, (0, 2))
        points[:, axis] += rate * points[:, 1] * np.abs(points[:, 1])
    return points @ rotation("y", rng.uniform(0.0, 2 * np.pi)).T


def across(count: int, span: Number) -> Sequence[float]:
    """Return `count` even positions that share a span centered at 0, half a gap from its ends."""
    return [float(x) for x in (np.arange(count) + 0.5) / count * span - span / 2]

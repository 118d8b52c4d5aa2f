"""Cutlery: one kind of handle along -y and a working end from the origin up."""

import numpy as np
from jaxtyping import Float64

from adacross.data.procedural.curves import chance, smooth
from adacross.data.procedural.kit import loft, ribbon, sweep
from adacross.data.procedural.parts import Part, Parts, part, posed
from adacross.data.procedural.solid import Solid


def knife(rng: np.random.Generator) -> Parts:
    """A straight or curved blade with one edge, from table knife to cleaver."""
    length, wide = rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.2)
    t = np.linspace(0.0, 1.0, 14)
    belly = wide * (1 - t ** rng.uniform(2.5, 8.0))
    spine = np.stack((-0.4 * wide * np.ones(14) + rng.uniform(0.0, 0.35) * wide * t**3, t * length), 1)
    edge = spine + np.stack((belly + 0.006, np.zeros(14)), 1)
    return posed(
        [part("blade", ribbon(spine, edge, np.linspace(0.02, 0.006, 14))), cutlery_grip(rng, 0.035)], rng
    )


def fork(rng: np.random.Generator) -> Parts:
    """Two to four tines on a curved neck."""
    tines, wide = int(rng.integers(2, 5)), rng.uniform(0.07, 0.12)
    long, palm, dip = rng.uniform(0.18, 0.4), rng.uniform(0.08, 0.18), rng.uniform(0.0, 0.08)
    t = np.linspace(0.0, 1.0, 8)
    half = 0.018 + (wide - 0.018) * t**0.6
    base = _bowed(half, np.full(8, 0.012), t * palm, -dip * t)
    rod = smooth([(0, palm, -dip), (0, palm + long * 0.5, -dip * 1.2), (0, palm + long, 0.0)], 8)
    tine = sweep(rod, np.column_stack((np.full(8, wide * 0.55 / tines), np.linspace(0.013, 0.005, 8))), 6)
    spots = (np.arange(tines) / (tines - 1) * 2 - 1) * (wide - wide * 0.5 / tines)
    return posed(
        [part("head", base), part("tine", *(tine.at(float(x)) for x in spots)), cutlery_grip(rng, 0.022)], rng
    )


def spoon(rng: np.random.Generator) -> Parts:
    """A hollow oval on a curved neck, from tea spoon to ladle."""
    long, wide = rng.uniform(0.25, 0.5), rng.uniform(0.08, 0.19)
    deep = rng.uniform(0.03, 0.12)
    t = np.linspace(0.0, 1.0, 14)
    half = wide * np.sin(np.pi * t ** rng.uniform(0.75, 1.1)) ** 0.6 + 0.012
    outer = np.stack((t * long, -deep * np.sin(np.pi * t) ** 0.8), 1)
    angle = np.linspace(0.0, np.pi, 9)
    skin = np.empty((14, 9, 3))
    skin[..., 0] = half[:, None] * np.cos(angle)
    skin[..., 1] = outer[:, :1]
    skin[..., 2] = outer[:, 1:] * np.sin(angle)
    inside = skin + np.array((0.0, 0.0, 0.012))
    return posed(
        [part("head", loft(np.concatenate((skin, inside[:, ::-1]), 1))), cutlery_grip(rng, 0.022)], rng
    )


def cutlery_grip(rng: np.random.Generator, half: float) -> Part:
    """A table handle along -y that begins at the origin, flat or round, wider at its end."""
    long, end = rng.uniform(0.45, 0.8), rng.uniform(1.0, 2.0) * half
    t = np.linspace(0.0, 1.0, 9)
    bend = rng.uniform(-0.05, 0.08) * t**2
    if chance(rng, 0.6):
        widths = half * 0.6 + (end - half * 0.6) * t**1.5
        return part("handle", _bowed(widths, np.full(9, 0.02), 0.01 - t * long, bend))
    path = np.stack((np.zeros(9), 0.01 - t * long, bend), 1)
    return part(
        "handle", sweep(path, half * rng.uniform(0.6, 1.0) * (0.7 + 0.5 * np.sin(np.pi * t) + 0.3 * t), 8)
    )


def _bowed(
    half: Float64[np.ndarray, " K"],
    thick: Float64[np.ndarray, " K"],
    y: Float64[np.ndarray, " K"],
    z: Float64[np.ndarray, " K"],
) -> Solid:
    """A flat bar along y whose half width, thickness and height z vary along it."""
    corners = np.array(((-1.0, -0.5), (1.0, -0.5), (1.0, 0.5), (-1.0, 0.5)))
    rings = np.empty((len(y), 4, 3))
    rings[..., 0] = half[:, None] * corners[:, 0]
    rings[..., 1] = y[:, None]
    rings[..., 2] = z[:, None] + thick[:, None] * corners[:, 1]
    return loft(rings)

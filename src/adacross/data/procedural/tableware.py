"""Vessels: one lathe, many profiles. Openings, handles, feet and spouts tell them apart, not proportions."""

import numpy as np

from adacross.data.procedural.curves import Curve, Rng, arc, chance, pick, smooth
from adacross.data.procedural.kit import Solid, lathe, sweep
from adacross.data.procedural.parts import Parts, named
from adacross.data.procedural.solids import cylinder, ellipsoid, rounded_box, torus


def vessel(outline: Curve, wall: float = 0.03, floor: float = 0.04, count: int = 14) -> Solid:
    """An open vessel with an inner skin: knots of `(radius, y)` from the foot, y = 0, to the rim."""
    outer = smooth(outline, count)
    outer[:, 0] = np.maximum(outer[:, 0], 1.6 * wall)
    top = outer[-1, 1]
    inner = outer - (wall, 0.0)
    inner[:, 1] = floor + (inner[:, 1] - outer[0, 1]) * (top - floor) / (top - outer[0, 1])
    return lathe(np.concatenate((outer, inner[::-1])))


def ear(rng: Rng, x: float, low: float, high: float, reach: float) -> Solid:
    """A handle in the x-y plane from `(x, low)` out by `reach` and back to `(x, high)`."""
    thick, sag = rng.uniform(0.03, 0.055), rng.uniform(0.0, 0.3) * (high - low)
    if chance(rng, 0.3):
        knots = [(x, low), (x + reach, low), (x + reach, high), (x, high)]
    else:
        bow = [(x + reach * 0.8, low + sag), (x + reach, (low + high) / 2), (x + reach * 0.7, high)]
        knots = [(x, low), *bow, (x, high)]
    path = np.column_stack((smooth(knots, 14), np.zeros(14)))
    return sweep(path, np.ones((14, 2)) * (thick * rng.uniform(0.8, 2.0), thick))


def mug(rng: Rng) -> Parts:
    """A straight or bellied drinking vessel with a handle."""
    foot, belly, rim = rng.uniform(0.32, 0.5), rng.uniform(0.42, 0.6), rng.uniform(0.4, 0.55)
    height = rng.uniform(0.8, 1.5)
    outline = [(foot, 0), (belly, height * 0.3), (belly, height * 0.65), (rim, height)]
    edge = min(belly, rim) - 0.06
    low, high = rng.uniform(0.1, 0.3) * height, rng.uniform(0.7, 0.9) * height
    return named(body=vessel(outline, 0.05), handle=ear(rng, edge, low, high, rng.uniform(0.2, 0.45)))


def cup(rng: Rng) -> Parts:
    """A flared tea cup on a foot ring, with a small handle, a saucer or both."""
    rim, height, foot = rng.uniform(0.5, 0.75), rng.uniform(0.45, 0.85), rng.uniform(0.2, 0.32)
    outline = [(foot, 0), (foot, 0.06), (rim * rng.uniform(0.75, 0.92), height * 0.45), (rim, height)]
    parts = named(body=vessel(outline, 0.03, 0.09))
    saucer = chance(rng, 0.55)
    if chance(rng, 0.75) or not saucer:
        parts += named(handle=ear(rng, rim * 0.78, height * 0.3, height * 0.82, rng.uniform(0.15, 0.3)))
    if saucer:
        wide = rim * rng.uniform(1.3, 1.8)
        dish = [(foot * 1.2, -0.08), (wide * 0.8, -0.03), (wide, 0.06)]
        dish += [(wide * 0.98, 0.09), (wide * 0.75, 0.02), (0, -0.02)]
        parts += named(saucer=lathe(dish, 28))
    return parts


def glass(rng: Rng) -> Parts:
    """A drinking glass on a stem."""
    rim, belly, bowl = rng.uniform(0.22, 0.5), rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.8)
    stem, base = rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.42)
    outline = [(0.07, 0), (belly * 0.75, bowl * 0.15), (belly, bowl * 0.5), (rim, bowl)]
    rod = [(base, 0), (base, 0.03), (base * 0.4, 0.07), (0.05, 0.16)]
    rod += [(rng.uniform(0.035, 0.09), stem * 0.7), (0.06, stem + 0.02)]
    return named(body=vessel(outline, 0.025).at(y=stem), stem=lathe(rod))


def bowl(rng: Rng) -> Parts:
    """A wide open vessel, round or with straight sides, some with a foot ring."""
    rim, height = rng.uniform(0.6, 1.0), rng.uniform(0.3, 0.8)
    foot = rim * rng.uniform(0.3, 0.65)
    outline = [(foot, 0), (rim * rng.uniform(0.7, 0.95), height * 0.4), (rim, height)]
    parts = named(body=vessel(outline, rng.uniform(0.03, 0.07)))
    if chance(rng, 0.5):
        parts += named(foot=lathe([(foot * 0.9, -0.1), (foot * 0.95, 0.03)]))
    if chance(rng, 0.3):
        parts += named(rim=torus(rim, 0.04, 28, 8).at(y=height))
    return parts


def vase(rng: Rng) -> Parts:
    """A tall vessel that swells and narrows, open at the top, a few with two handles."""
    height = rng.uniform(1.0, 1.9)
    foot, belly, neck = rng.uniform(0.18, 0.4), rng.uniform(0.35, 0.65), rng.uniform(0.13, 0.35)
    lip = neck * rng.uniform(1.0, 1.7)
    swell = rng.uniform(0.25, 0.6) * height
    outline = [(foot, 0), (belly, swell), (neck, height * rng.uniform(0.75, 0.88)), (lip, height)]
    if chance(rng, 0.25):
        outline = [(foot, 0), (foot * 0.9, height * 0.4), (lip * 1.2, height)]
    parts = named(body=vessel(outline, 0.03, 0.06, 18))
    if chance(rng, 0.2) and len(outline) == 4:
        loop = ear(rng, neck * 0.9, height * 0.6, height * 0.88, belly * 0.6)
        parts += named(handle=[loop, loop.turn("y", np.pi)])
    if chance(rng, 0.3):
        parts += named(base=lathe([(foot * 1.3, -0.06), (foot * 1.2, 0.02)]))
    return parts


def bottle(rng: Rng) -> Parts:
    """A closed slim vessel: body, shoulder, neck, and a cap or cork."""
    radius, height, neck = rng.uniform(0.24, 0.45), rng.uniform(0.7, 1.3), rng.uniform(0.07, 0.14)
    shoulder, stretch = rng.uniform(0.1, 0.5), rng.uniform(0.15, 0.5)
    waist = radius * rng.uniform(0.8, 1.05)
    body = [(radius * 0.92, 0), (radius, 0.05), (waist, height * 0.5), (radius, height)]
    curve = smooth([(radius, height), (radius * 0.8, height + shoulder * 0.5), (neck, height + shoulder)], 8)
    top = height + shoulder + stretch
    skin = np.concatenate((smooth(body, 8), curve[1:], [(neck, top)]))
    solid = lathe(skin, int(pick(rng, (20, 20, 20, 8, 4))))
    parts = named(body=solid)
    if chance(rng, 0.7):
        cap = rng.uniform(1.05, 1.5) * neck
        parts += named(cap=cylinder(cap, rng.uniform(0.1, 0.2), 16).at(y=top - 0.05))
    else:
        parts += named(cap=torus(neck, 0.03, 16, 8).at(y=top - 0.04))
    if chance(rng, 0.4):
        parts += named(label=cylinder(max(radius, waist) * 1.02, height * 0.4).at(y=height * 0.25))
    return parts


def jar(rng: Rng) -> Parts:
    """A closed pot with a lid and mostly a knob on it."""
    foot, belly, mouth = rng.uniform(0.3, 0.5), rng.uniform(0.42, 0.65), rng.uniform(0.28, 0.45)
    height = rng.uniform(0.6, 1.3)
    body = vessel([(foot, 0), (belly, height * rng.uniform(0.35, 0.65)), (mouth, height)], 0.04)
    return named(body=body) + _lid(rng, mouth * 1.12, height)


def teapot(rng: Rng) -> Parts:
    """A bellied pot with a lid, a spout and a handle, which may span the top."""
    foot, belly, mouth = rng.uniform(0.3, 0.45), rng.uniform(0.5, 0.7), rng.uniform(0.2, 0.35)
    height = rng.uniform(0.65, 1.1)
    swell = rng.uniform(0.35, 0.55) * height
    start = np.array((belly * 0.8, swell * 0.8, 0))
    tip = np.array((belly + rng.uniform(0.25, 0.5), height * rng.uniform(0.85, 1.1), 0))
    middle = (start + tip) / 2 + (rng.uniform(-0.02, 0.12), rng.uniform(-0.12, 0.0), 0)
    spout = sweep(smooth([start, middle, tip], 10), np.linspace(rng.uniform(0.11, 0.17), 0.06, 10), 12)
    handle = ear(rng, belly * 0.8, height * 0.2, height * 0.8, belly * rng.uniform(0.45, 0.8))
    handle = handle.turn("y", np.pi)
    if chance(rng, 0.25):
        hoop = arc(1.0, 0.0, np.pi, 16) * (belly * 0.8, height * 0.75)
        handle = sweep(np.column_stack((hoop[:, 0], hoop[:, 1] + height * 0.75, np.zeros(16))), 0.04, 8)
    body = vessel([(foot, 0), (belly, swell), (mouth, height)], 0.04)
    return named(body=body, spout=spout, handle=handle) + _lid(rng, mouth * 1.1, height)


def jug(rng: Rng) -> Parts:
    """A tall open vessel with one handle and a drawn-out lip."""
    foot, belly, neck = rng.uniform(0.25, 0.45), rng.uniform(0.38, 0.6), rng.uniform(0.22, 0.36)
    height = rng.uniform(1.0, 1.7)
    outline = [(foot, 0), (belly, height * 0.35), (neck, height * 0.8), (neck * 1.15, height)]
    body = vessel(outline, 0.03, 0.06, 18)
    points = body.vertices.copy()
    forward = np.clip(points[:, 0] / neck, 0, None) ** 3 * np.clip(points[:, 1] / height - 0.8, 0, None) * 5
    points[:, 0] += rng.uniform(0.12, 0.25) * forward
    points[:, 2] *= 1.0 - 0.3 * np.minimum(forward, 1.0)
    handle = ear(rng, neck * 0.9, height * rng.uniform(0.3, 0.5), height * 0.9, belly * rng.uniform(0.6, 0.9))
    return named(body=Solid(points, body.faces), handle=handle.turn("y", np.pi))


def pan(rng: Rng) -> Parts:
    """A flat frying pan or a cooking pot: one long handle or two ears, some with a lid."""
    rim, height = rng.uniform(0.5, 0.8), rng.uniform(0.15, 0.7)
    parts = named(body=vessel([(rim * rng.uniform(0.75, 1.0), 0), (rim, height)], 0.04, 0.05, 6))
    if height < 0.45:
        length = rng.uniform(0.6, 1.1)
        rod = rounded_box(length, 0.07, rng.uniform(0.08, 0.16), 0.03).turn("z", rng.uniform(0.0, 0.3))
        parts += named(handle=rod.at(rim * 0.95 + length / 2, height * 0.75))
    else:
        loop = ear(rng, 0.0, -0.18, 0.18, 0.2).turn("x", np.pi / 2).at(rim * 0.95, height * 0.8)
        parts += named(handle=[loop, loop.turn("y", np.pi)])
    if chance(rng, 0.4):
        parts += _lid(rng, rim, height)
    return parts


def _lid(rng: Rng, radius: float, y: float) -> Parts:
    """A lid resting at height `y`, flat or domed, with a knob."""
    curve = arc(1.0, 0.0, np.pi / 2 * 0.92, 8) * (radius, rng.uniform(0.04, 0.3)) + (0, 0.05)
    dome = np.concatenate(([(radius, 0.0)], curve))
    size = rng.uniform(0.06, 0.12)
    knob = ellipsoid(size, size * rng.uniform(0.6, 1.2), size, 12)
    return named(lid=lathe(np.add(dome, (0.0, y))), knob=knob.at(y=y + float(dome[-1, 1]) + size * 0.5))

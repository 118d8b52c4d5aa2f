"""Hand tools and cutlery: a handle along y and a working end, which is where they differ."""

import numpy as np
from jaxtyping import Float64

from adacross.data.procedural.curves import Rng, arc, chance, pick, regular, smooth
from adacross.data.procedural.kit import Solid, extrude, join, lathe, loft, ribbon, sweep
from adacross.data.procedural.parts import Parts, named, posed
from adacross.data.procedural.solids import box, cylinder, frustum, rounded_box, tapered_box


def hammer(rng: Rng) -> Parts:
    """A small steel head with a face on one side and a claw, wedge or ball on the other."""
    length, size = rng.uniform(0.7, 1.2), rng.uniform(0.06, 0.1)
    reach = size * rng.uniform(1.6, 2.4)
    face = lathe([(size * 0.6, 0), (size * 0.6, reach * 0.5), (size, reach * 0.6), (size, reach)], 16)
    block = rounded_box(size * 1.7, size * 2, size * 1.5, size * 0.3)
    head = [block.at(y=-size), face.turn("z", -np.pi / 2).at(size * 0.3)]
    style = pick(rng, ("claw", "claw", "wedge", "ball"))
    if style == "claw":
        path = smooth([(0, 0.0, 0), (-reach * 0.7, size * 0.25, 0), (-reach * 1.3, -size * 0.5, 0)], 10)
        prong = sweep(path, np.linspace((size * 0.35, size * 0.6), (size * 0.2, size * 0.1), 10), 8)
        head += [prong.at(z=size * 0.4).turn("y", 0.08), prong.at(z=-size * 0.4).turn("y", -0.08)]
    elif style == "wedge":
        wedge = tapered_box((size * 1.6, size * 1.4), (size * 0.2, size * 1.4), reach * 1.2)
        head.append(wedge.turn("z", np.pi / 2))
    else:
        ball = [(0.5, 0.0), (0.5, 0.5), (0.85, 0.75), (0.5, 1.1)] * np.array((size, reach))
        head.append(lathe(ball, 14).turn("z", np.pi / 2))
    return posed(grip(rng, length) + named(head=(piece.at(y=length - size) for piece in head)), rng)


def mallet(rng: Rng) -> Parts:
    """A thick symmetric head of wood or rubber, round or square."""
    length, radius = rng.uniform(0.6, 1.1), rng.uniform(0.1, 0.2)
    long = radius * rng.uniform(2.2, 4.0)
    style = pick(rng, ("round", "square", "barrel"))
    if style == "square":
        head = tapered_box((radius * 1.8, radius * 1.6), (radius * 1.8, radius * 1.6), long)
        head = rounded_box(radius * 1.8, long, radius * 1.6, radius * 0.1) if chance(rng, 0.5) else head
    else:
        belly = radius * (rng.uniform(1.05, 1.3) if style == "barrel" else 1.0)
        end = radius * 0.92
        middle = [(radius, long * 0.08), (belly, long * 0.5), (radius, long * 0.92)]
        head = lathe([(end, 0), *middle, (end, long)])
    top = length - radius * 0.6
    parts = grip(rng, length) + named(head=head.at(y=-long / 2).turn("z", np.pi / 2).at(y=top))
    if chance(rng, 0.35) and style != "square":
        band = cylinder(radius * 1.06, long * 0.1).at(y=-long * 0.05)
        parts += named(band=(band.at(y=s * long * 0.36).turn("z", np.pi / 2).at(y=top) for s in (-1, 1)))
    return posed(parts, rng)


def axe(rng: Rng) -> Parts:
    """A wedge that widens to a curved edge, on one side or on both."""
    length, reach = rng.uniform(0.7, 1.3), rng.uniform(0.16, 0.34)
    edge, thick = rng.uniform(0.1, 0.26), rng.uniform(0.04, 0.08)
    t = np.linspace(0.0, 1.0, 9)
    flare = 0.07 + (edge - 0.07) * t ** rng.uniform(1.0, 2.5)
    drop = rng.uniform(0.0, 0.6) * edge * t**2
    x = 0.02 + reach * t
    blade = ribbon(np.stack((x, flare), 1), np.stack((x, -flare - drop), 1), np.linspace(thick, 0.004, 9))
    head = [rounded_box(0.1, 0.15, thick * 1.3, 0.015).at(y=-0.075), blade]
    if chance(rng, 0.25):
        head.append(blade.turn("y", np.pi))
    elif chance(rng, 0.5):
        head.append(box(0.09, 0.11, thick * 1.1).at(-0.08, -0.055))
    return posed(grip(rng, length) + named(head=(piece.at(y=length - 0.1) for piece in head)), rng)


def screwdriver(rng: Rng) -> Parts:
    """A thick grip, a thin shaft and a flat or pointed tip."""
    hold, shaft, radius = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.8), rng.uniform(0.05, 0.1)
    thin = radius * rng.uniform(0.2, 0.38)
    waves = radius * (1 + np.array((-0.3, 0.0, -0.1, 0.1, -0.35, -0.1, -0.5)) * rng.uniform(0.3, 1.2))
    handle = lathe(smooth(np.column_stack((waves, np.linspace(0, hold, 7))), 16), int(pick(rng, (6, 8, 18))))
    parts = named(handle=handle, shaft=cylinder(thin, shaft, 10).at(y=hold))
    if chance(rng, 0.55):
        tip = tapered_box((thin * 2, thin * 2), (thin * 3.2, thin * 0.4), thin * 4)
    else:
        cross = frustum(thin * 1.2, thin * 0.2, thin * 4, 4)
        tip = join(cross, cross.turn("y", np.pi / 4))
    parts += named(tip=tip.at(y=hold + shaft))
    if chance(rng, 0.4):
        parts += named(collar=cylinder(radius * 0.75, 0.05, 12).at(y=hold - 0.01))
    return posed(parts, rng)


def wrench(rng: Rng) -> Parts:
    """A flat bar with an open jaw, a ring or one of each."""
    length, width, thick = rng.uniform(0.7, 1.2), rng.uniform(0.05, 0.09), rng.uniform(0.03, 0.07)
    size = width * rng.uniform(1.6, 2.4)
    pairs = (("head", "ring"), ("head", "head"), ("ring", "ring"), ("head", "knob"), ("knob", "head"))
    low, high = pick(rng, pairs)
    parts = named(handle=rounded_box(width * 1.3, length, thick * 0.7, thick * 0.3))
    parts += named(**{low: _wrench_end(rng, low, size, thick).turn("z", np.pi)})
    parts += named(**{high: _wrench_end(rng, high, size * rng.uniform(0.85, 1.1), thick).at(y=length)})
    return posed(parts, rng)


def saw(rng: Rng) -> Parts:
    """A toothed blade with a loop to hold."""
    length, wide, narrow = rng.uniform(0.7, 1.2), rng.uniform(0.15, 0.3), rng.uniform(0.06, 0.14)
    teeth = int(rng.integers(10, 24))
    t = np.linspace(0.0, 1.0, 2 * teeth + 1)
    notch = np.where(np.arange(2 * teeth + 1) % 2 == 0, 0.0, 0.025 + 0.2 / teeth)
    spine = np.stack((np.full_like(t, -wide / 2), t * length), 1)
    edge = np.stack((-wide / 2 + wide + (narrow - wide) * t + notch, t * length), 1)
    loop = arc(1.0, 0.0, 2 * np.pi, 17)[:-1] * (max(wide * 0.6, 0.11), 0.17)
    hole = loop * rng.uniform(0.45, 0.65)
    handle = ribbon(loop, hole, 0.05, wrap=True).turn("z", rng.uniform(-0.3, 0.3)).at(y=-0.11)
    return posed(named(handle=handle, blade=ribbon(spine, edge, 0.012)), rng)


def grip(rng: Rng, length: float) -> Parts:
    """The handle of a striking tool along y from 0 to `length`."""
    thick = rng.uniform(0.03, 0.05)
    style = pick(rng, ("round", "swell", "flat", "curved"))
    if style == "round":
        return named(handle=cylinder(thick, length, 12))
    if style == "swell":
        radii = thick * np.array((1.2, 1.3, 1.0, rng.uniform(0.6, 0.9), 0.8))
        return named(handle=lathe(smooth(np.column_stack((radii, np.linspace(0, length, 5))), 14), 12))
    if style == "flat":
        return named(handle=rounded_box(thick * 2.2, length, thick * 1.4, thick * 0.5))
    bow = rng.uniform(0.03, 0.09)
    path = smooth([(bow, 0, 0), (0, length * 0.15, 0), (-bow * 0.5, length * 0.5, 0), (0, length, 0)], 12)
    return named(handle=sweep(path, np.full((12, 2), (thick * 0.75, thick * 1.1)), 10))


def _wrench_end(rng: Rng, kind: str, size: float, thick: float) -> Solid:
    """An end that points along +y: an open jaw, a ring or a plain rounding."""
    if kind == "ring":
        outer, hole = regular(24, size, 24), regular(6, size * 0.62, 24)
        return ribbon(outer, hole, thick * 1.3, wrap=True).at(y=size * 0.7)
    if kind == "knob":
        return extrude(regular(16, size * 0.6, 16), thick)
    mouth = rng.uniform(0.5, 0.75)
    skew = rng.uniform(-0.35, 0.35)
    outer = arc(size, np.pi / 2 + mouth, np.pi / 2 + 2 * np.pi - mouth, 16)
    inner = arc(size * 0.5, np.pi / 2 + mouth * 1.1, np.pi / 2 + 2 * np.pi - mouth * 1.1, 16)
    inner[[0, -1], 1] = outer[[0, -1], 1] * 0.97
    return ribbon(outer, inner, thick).turn("z", skew).at(y=size * 0.7)


def knife(rng: Rng) -> Parts:
    """A straight or curved blade with one edge, from table knife to cleaver."""
    length, wide = rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.2)
    t = np.linspace(0.0, 1.0, 14)
    belly = wide * (1 - t ** rng.uniform(2.5, 8.0))
    spine = np.stack((-0.4 * wide * np.ones(14) + rng.uniform(0.0, 0.35) * wide * t**3, t * length), 1)
    edge = spine + np.stack((belly + 0.006, np.zeros(14)), 1)
    blade = ribbon(spine, edge, np.linspace(0.02, 0.006, 14))
    return posed(named(blade=blade) + cutlery_grip(rng, 0.035), rng)


def fork(rng: Rng) -> Parts:
    """Two to four tines on a curved neck."""
    tines, wide = int(rng.integers(2, 5)), rng.uniform(0.07, 0.12)
    long, palm, dip = rng.uniform(0.18, 0.4), rng.uniform(0.08, 0.18), rng.uniform(0.0, 0.08)
    t = np.linspace(0.0, 1.0, 8)
    base = _bowed(0.018 + (wide - 0.018) * t**0.6, 0.012, t * palm, -dip * t)
    rod = smooth([(0, palm, -dip), (0, palm + long * 0.5, -dip * 1.2), (0, palm + long, 0.0)], 8)
    tine = sweep(rod, np.column_stack((np.full(8, wide * 0.55 / tines), np.linspace(0.013, 0.005, 8))), 6)
    spots = (np.arange(tines) / (tines - 1) * 2 - 1) * (wide - wide * 0.5 / tines)
    return posed(named(head=base, tine=(tine.at(float(x)) for x in spots)) + cutlery_grip(rng, 0.022), rng)


def spoon(rng: Rng) -> Parts:
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
    return posed(named(head=loft(np.concatenate((skin, inside[:, ::-1]), 1))) + cutlery_grip(rng, 0.022), rng)


def cutlery_grip(rng: Rng, half: float) -> Parts:
    """A table handle along -y that begins at the origin, flat or round, wider at its end."""
    long, end = rng.uniform(0.45, 0.8), rng.uniform(1.0, 2.0) * half
    t = np.linspace(0.0, 1.0, 9)
    bend = rng.uniform(-0.05, 0.08) * t**2
    if chance(rng, 0.6):
        widths = half * 0.6 + (end - half * 0.6) * t**1.5
        return named(handle=_bowed(widths, 0.02, 0.01 - t * long, bend))
    path = np.stack((np.zeros(9), 0.01 - t * long, bend), 1)
    thick = half * rng.uniform(0.6, 1.0) * (0.7 + 0.5 * np.sin(np.pi * t) + 0.3 * t)
    return named(handle=sweep(path, thick, 8))


def _bowed(half: Float64[np.ndarray, " K"], thick: float, y: np.ndarray, z: np.ndarray) -> Solid:
    """A flat bar along y whose half width and height z vary along it."""
    corners = np.array(((-1.0, -0.5), (1.0, -0.5), (1.0, 0.5), (-1.0, 0.5)))
    rings = np.empty((len(y), 4, 3))
    rings[..., 0] = half[:, None] * corners[:, 0]
    rings[..., 1] = y[:, None]
    rings[..., 2] = z[:, None] + thick * corners[:, 1]
    return loft(rings)

"""Things that drive, fly and float. Forward is +z."""

import numpy as np

from adacross.data.procedural.curves import Rng, chance, pick, smooth
from adacross.data.procedural.kit import Solid, around, join, lathe, loft, ribbon
from adacross.data.procedural.parts import Parts, across, named
from adacross.data.procedural.solids import box, cylinder, ellipsoid, frustum, rounded_box, tapered_box


def airplane(rng: Rng) -> Parts:
    """An airliner, a propeller plane or a glider."""
    length, girth, nose = rng.uniform(4.0, 7.0), rng.uniform(0.25, 0.55), rng.uniform(0.3, 0.8)
    knots = [(girth * 0.15, -length / 2), (girth * 0.7, -length * 0.25), (girth, 0), (girth, length * 0.3)]
    knots.append((girth * 0.7, length * 0.5 - nose * 0.3))
    fuselage = lathe(np.concatenate((smooth(knots, 14), [(0.0, length / 2)])), 16).turn("x", np.pi / 2)
    span, chord, sweep_back = rng.uniform(1.6, 3.6), rng.uniform(0.6, 1.3), rng.uniform(0.0, 1.4)
    level = pick(rng, (-0.55, 0.0, 0.85)) * girth
    wing = _wing(span, chord, chord * rng.uniform(0.3, 0.9), sweep_back, rng.uniform(-0.05, 0.3))
    wing = wing.at(y=level, z=rng.uniform(0.2, 0.6))
    tail_span, tail = rng.uniform(0.7, 1.2), -length * 0.42
    fin_height = rng.uniform(0.7, 1.2)
    fin = _wing(fin_height, chord * 0.75, chord * 0.4, 0.45, 0.0).turn("z", np.pi / 2)
    lift = girth * 0.3 + (fin_height if chance(rng, 0.25) else 0.0)
    stabilizer = _wing(tail_span, chord * 0.6, chord * 0.35, 0.4, 0.0).at(y=lift, z=tail)
    tails = [fin.at(y=girth * 0.3, z=tail), stabilizer, stabilizer.scale(x=-1)]
    parts = named(body=fuselage, wing=[wing, wing.scale(x=-1)], tail=tails)
    style = pick(rng, ("jets", "jets", "propeller", "props", "glider"))
    if style in ("jets", "props"):
        pod = lathe([(0.14, -0.4), (0.2, -0.1), (0.2, 0.35), (0.12, 0.38)], 12).turn("x", np.pi / 2)
        along = [0.35 * span] if chance(rng, 0.6) else [0.28 * span, 0.58 * span]
        spots = [(s * x, sweep_back * x / span) for x in along for s in (-1, 1)]
        parts += named(engine=(pod.at(x, level - 0.2, 0.5 - back) for x, back in spots))
        if style == "props":
            blades = _propeller(rng, 0.45)
            parts += named(propeller=(blades.at(x, level - 0.2, 0.95 - back) for x, back in spots))
    elif style == "propeller":
        parts += named(propeller=_propeller(rng, rng.uniform(0.6, 0.9)).at(z=length / 2))
    if chance(rng, 0.4):
        strut, tire = cylinder(0.04, 0.55, 8), cylinder(0.16, 0.12, 12).turn("z", np.pi / 2)
        gear = [(-0.5, 0.0), (0.5, 0.0), (0.0, length * 0.35)]
        parts += named(wheel=(join(strut, tire.at(x=0.06)).at(x, -girth - 0.35, z) for x, z in gear))
    return parts


def boat(rng: Rng) -> Parts:
    """A hull with a bow: rowing boat, motor boat, sailing boat or small ship."""
    length, beam, depth = rng.uniform(3.0, 6.0), rng.uniform(0.45, 0.9), rng.uniform(0.4, 0.9)
    parts = named(body=_hull(length, beam, depth, rng.uniform(0.3, 0.9), rng.uniform(0.1, 0.5)))
    style = pick(rng, ("rowing", "motor", "sail", "ship"))
    if style == "rowing":
        bench = box(beam * 1.7, 0.06, 0.25)
        places = across(int(rng.integers(2, 4)), length * 0.6)
        parts += named(seat=(bench.at(y=depth * 1.02, z=z) for z in places))
        oar = join(cylinder(0.03, beam * 2.6, 8), box(0.05, 0.5, 0.2).at(y=-0.45)).turn("z", -1.2)
        oar = oar.at(-beam * 2.2, depth * 0.7)
        return parts + named(oar=[oar, oar.scale(x=-1)])
    low, high = (beam * 1.3, length * 0.3), (beam * 1.1, length * 0.22)
    cabin = tapered_box(low, high, rng.uniform(0.35, 0.7), -0.05)
    parts += named(cabin=cabin.at(y=depth * 0.98, z=rng.uniform(-0.15, 0.05) * length))
    if style == "sail":
        tall, foot = rng.uniform(2.5, 4.5), length * rng.uniform(0.3, 0.42)
        parts += named(mast=cylinder(0.05, tall, 8).at(y=depth, z=0.1 * length))
        sheets = [_sail(foot, tall * 0.85, -1.0)]
        if chance(rng, 0.7):
            sheets.append(_sail(foot * 0.8, tall * 0.75, 1.0))
        parts += named(sail=(sheet.at(y=depth + 0.35, z=0.1 * length) for sheet in sheets))
    elif style == "ship":
        stacks = int(rng.integers(1, 4))
        funnel = frustum(0.16, 0.13, rng.uniform(0.6, 1.2), 14)
        parts += named(funnel=(funnel.at(y=depth + 0.4, z=z * 0.7) for z in across(stacks, length * 0.4)))
        parts += named(deck=box(beam * 1.2, 0.25, length * 0.5).at(y=depth * 0.95, z=-0.1 * length))
    else:
        shield = box(beam * 1.2, rng.uniform(0.3, 0.5), 0.05).turn("x", -0.5)
        parts += named(window=shield.at(y=depth + 0.1, z=0.16 * length))
        parts += named(engine=rounded_box(0.3, 0.7, 0.3, 0.1).at(y=depth * 0.4, z=-length / 2 - 0.1))
    return parts


def _wing(span: float, root: float, tip: float, back: float, rise: float) -> Solid:
    """A wing from the origin along +x: chords `root` and `tip`, the tip moved back and up."""
    outline = np.array([(1.0, 0.0), (0.6, 0.06), (0.0, 0.07), (-1.0, 0.0), (0.0, -0.03), (0.6, -0.03)])
    rings = np.zeros((2, 6, 3))
    for ring, (x, chord, z, y) in enumerate(((0.0, root, 0.0, 0.0), (span, tip, -back, rise * span))):
        rings[ring, :, 0] = x
        rings[ring, :, 2], rings[ring, :, 1] = outline[:, 0] * chord / 2 + z, outline[:, 1] * chord + y
    return loft(rings)


def _propeller(rng: Rng, radius: float) -> Solid:
    """Blades and a spinner about z."""
    count = int(rng.integers(2, 5))
    blade = tapered_box((0.12, 0.03), (0.06, 0.02), radius).turn("y", 0.4)
    return join(ellipsoid(0.1, 0.1, 0.2, 10), *around(blade, count, "z"))


def _hull(length: float, beam: float, depth: float, bow: float, stern: float) -> Solid:
    """Cross sections from stern to bow: flat deck, rounded bottom, sheer rising to the bow."""
    t = np.linspace(0.0, 1.0, 12)
    half = beam * np.minimum(1.0, (1.0 - t**3) ** bow)
    half = half * (1 - stern * (1 - np.minimum(t * 2.5, 1)) ** 2) + 0.02
    angle = np.linspace(np.pi, 2 * np.pi, 9)
    sheer, keel = depth * (1 + 0.35 * t**2), depth * (0.25 * t**4)
    rings = np.empty((12, 9, 3))
    rings[..., 0] = half[:, None] * np.cos(angle)
    rings[..., 1] = (sheer - keel)[:, None] * (np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7)
    rings[..., 1] += sheer[:, None]
    rings[..., 2] = (t - 0.5)[:, None] * length
    return loft(rings)


def _sail(foot: float, tall: float, side: float) -> Solid:
    """A triangular sail with a little belly, behind (-1) or before (1) the mast."""
    t = np.linspace(0.0, 1.0, 8)
    luff = np.stack((0.06 * side * np.ones(8), t * tall), 1)
    leech = luff + np.stack((side * (foot * (1 - t) + 0.05), np.zeros(8)), 1)
    return ribbon(luff, leech, 0.03).turn("y", -np.pi / 2)


def car(rng: Rng) -> Parts:
    """A sedan, hatchback, estate or pick-up on four wheels."""
    length, width, body = rng.uniform(3.4, 4.8), rng.uniform(1.6, 1.95), rng.uniform(0.5, 0.8)
    wheel = rng.uniform(0.28, 0.42)
    style = pick(rng, ("sedan", "hatch", "estate", "pickup"))
    rear = {"sedan": -0.28, "hatch": -0.42, "estate": -0.46, "pickup": -0.02}[style] * length
    front, cabin, rake = length * rng.uniform(0.14, 0.26), rng.uniform(0.45, 0.7), rng.uniform(0.2, 0.5)
    low = rounded_box(width, body, length, 0.25)
    if chance(rng, 0.4):
        low = tapered_box((width, length), (width * 0.96, length * 0.96), body)
    slope = 0.05 if style in ("estate", "pickup") else rng.uniform(0.2, 0.5)
    narrow = width * rng.uniform(0.7, 0.85)
    rings = (width * 0.94, 0.0, rear, front), (narrow, cabin, rear + slope, front - rake)
    corners = [[(-w / 2, y, r), (w / 2, y, r), (w / 2, y, f), (-w / 2, y, f)] for w, y, r, f in rings]
    roof = loft(np.array(corners))
    parts = named(body=low.at(y=wheel * 0.7), cabin=roof.at(y=wheel * 0.7 + body * 0.97))
    parts += wheels(rng, wheel, width * 0.9, [-0.31 * length, 0.31 * length])
    parts += lights(rng, width, wheel * 0.7 + body * 0.6, length * 0.485)
    if style == "pickup":
        bed = -0.02 * length - 0.47 * length
        side = box(0.06, body * 0.35, 0.42 * length).at(y=wheel * 0.7 + body * 0.95, z=bed / 2)
        parts += named(bed=[side.at(width * 0.44), side.at(-width * 0.44)])
    if chance(rng, 0.2):
        wing = box(width * 0.9, 0.04, 0.25).at(y=wheel * 0.7 + body + 0.22, z=-0.45 * length)
        stand = box(0.05, 0.25, 0.1).at(y=wheel * 0.7 + body, z=-0.45 * length)
        parts += named(spoiler=[wing, stand.at(0.4), stand.at(-0.4)])
    return parts


def truck(rng: Rng) -> Parts:
    """A separate cab before a load: a box, a tank, a flat bed or a tipper."""
    length, width, wheel = rng.uniform(3.6, 7.5), rng.uniform(1.8, 2.3), rng.uniform(0.35, 0.5)
    cab, cab_height = rng.uniform(1.2, 1.9), rng.uniform(1.4, 2.2)
    level, end = wheel * 1.3, length / 2
    parts = named(chassis=box(width * 0.5, 0.2, length * 0.97).at(y=level - 0.2))
    if chance(rng, 0.4):
        nose = cab * 0.45
        hood = rounded_box(width * 0.8, cab_height * 0.5, nose, 0.12).at(y=level - 0.15, z=end - nose / 2)
        house = tapered_box((width, cab - nose), (width * 0.95, (cab - nose) * 0.8), cab_height)
        parts += named(cab=[hood, house.at(y=level - 0.15, z=end - nose - (cab - nose) / 2)])
    else:
        house = tapered_box((width, cab), (width * 0.97, cab * 0.88), cab_height, -cab * 0.05)
        parts += named(cab=house.at(y=level - 0.2, z=end - cab / 2))
    pane = box(width * 0.8, cab_height * 0.32, 0.1)
    parts += named(window=pane.at(y=level + cab_height * 0.5, z=end - cab * 0.5 + cab * 0.46))
    load = length - cab - rng.uniform(0.08, 0.35)
    parts += _load(rng, width, load, level, -end + load / 2)
    shares = pick(rng, ((0.2,), (0.15, 0.38), (0.12, 0.3, 0.48)))
    axles = [end - cab * 0.5, *(-end + load * f for f in shares)]
    parts += wheels(rng, wheel, width * 0.88, axles) + lights(rng, width, level, end)
    if chance(rng, 0.3):
        parts += named(exhaust=cylinder(0.07, cab_height * 1.15, 8).at(width * 0.46, level, end - cab - 0.06))
    return parts


def bus(rng: Rng) -> Parts:
    """A long closed body with rows of windows; some have two decks."""
    length, width, height = rng.uniform(4.2, 10.0), rng.uniform(1.9, 2.4), rng.uniform(1.7, 2.5)
    wheel, decks = rng.uniform(0.32, 0.48), 1 + int(chance(rng, 0.25))
    height *= 1.0 if decks == 1 else 1.55
    level = wheel * 0.8
    parts = named(body=rounded_box(width, height, length, rng.uniform(0.08, 0.4)).at(y=level))
    panes = int(rng.integers(3, 9))
    tall = 0.36 * height / decks
    pane = box(width * 1.03, tall, length * 0.86 / panes * rng.uniform(0.7, 0.92))
    rows = [level + height * (0.55 if decks == 1 else f) for f in (0.25, 0.68)[:decks]]
    windows = [pane.at(y=y, z=z) for y in rows for z in across(panes, length * 0.88)]
    shield = box(width * 0.85, tall * 1.2, 0.1)
    windows += [shield.at(y=y, z=end * (length / 2 - 0.03)) for y in rows for end in (-1, 1)]
    axles = pick(rng, ([-0.3, 0.33], [-0.33, 0.36], [-0.36, -0.24, 0.34]))
    parts += named(window=windows) + wheels(rng, wheel, width * 0.92, [length * a for a in axles])
    parts += lights(rng, width, level + height * 0.15, length / 2)
    if chance(rng, 0.35):
        roof = rounded_box(width * 0.6, 0.22, length * rng.uniform(0.2, 0.6), 0.08)
        parts += named(roof=roof.at(y=level + height * 0.98))
    return parts


def wheels(rng: Rng, radius: float, track: float, axles: list[float]) -> Parts:
    """Pairs of wheels that stand on y = 0, with hubs."""
    wide = radius * rng.uniform(0.5, 0.75)
    profile = [(radius * 0.5, -0.1), (radius * 0.55, 0), (radius * 0.95, 0), (radius, wide * 0.2)]
    profile += [(radius, wide * 0.8), (radius * 0.95, wide), (radius * 0.55, wide)]
    profile.append((radius * 0.5, wide * 0.9))
    tire = lathe(np.array(profile) - (0, wide / 2), 18).turn("z", np.pi / 2).at(y=radius)
    return named(wheel=(tire.at(side * track / 2, 0, z) for z in axles for side in (-1, 1)))


def lights(rng: Rng, width: float, y: float, z: float) -> Parts:
    """Two front lights and maybe a bumper."""
    lamp = ellipsoid(0.12, 0.1, 0.06, 8) if chance(rng, 0.5) else box(0.3, 0.12, 0.08)
    parts = named(light=[lamp.at(width * 0.33, y, z), lamp.at(-width * 0.33, y, z)])
    if chance(rng, 0.5):
        parts += named(bumper=rounded_box(width * 0.98, 0.14, 0.14, 0.05).at(y=y - 0.35, z=z + 0.03))
    return parts


def _load(rng: Rng, width: float, length: float, y: float, z: float) -> Parts:
    """The load of a truck."""
    style = pick(rng, ("box", "box", "tank", "flat", "tipper"))
    height = rng.uniform(1.2, 2.4)
    if style == "box":
        return named(load=box(width, height, length).at(y=y, z=z))
    if style == "tank":
        radius = height * 0.42
        ends = [(radius * 0.7, 0), (radius, 0.12), (radius, length - 0.12), (radius * 0.7, length)]
        return named(load=lathe(ends).turn("x", np.pi / 2).at(y=y + radius, z=z - length / 2))
    floor = box(width, 0.12, length).at(y=y, z=z)
    if style == "tipper":
        sides = [box(0.08, height * 0.5, length).at(s * width * 0.48, y + 0.1, z) for s in (-1, 1)]
        tilt = join(floor, *sides, box(width * 0.95, height * 0.5, 0.08).at(y=y + 0.1, z=z + length * 0.48))
        return named(load=tilt)
    stake = box(0.07, height * 0.4, 0.07)
    stakes = [stake.at(s * width * 0.47, y + 0.1, z + a) for a in across(4, length) for s in (-1, 1)]
    cargo = rounded_box(width * 0.7, height * 0.45, length * rng.uniform(0.2, 0.6), 0.03).at(y=y + 0.11, z=z)
    return named(bed=[floor, *stakes], load=cargo)

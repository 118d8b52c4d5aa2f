"""Machine parts about y. Most are rings or rods; threads, flats, teeth and bores tell them apart."""

import numpy as np
from jaxtyping import Float64

from adacross.data.procedural.curves import Rng, arc, chance, circle, pick, regular
from adacross.data.procedural.kit import Solid, around, extrude, join, lathe, ribbon, sweep, tube
from adacross.data.procedural.parts import Parts, named, posed
from adacross.data.procedural.solids import box, cylinder, torus


def ring_plate(outline: Float64[np.ndarray, "S 2"], hole: Float64[np.ndarray, "S 2"], height: float) -> Solid:
    """A plate on y = 0 with any outline and any hole, given by paired points."""
    return ribbon(outline, hole, height, wrap=True).turn("x", -np.pi / 2).at(y=height / 2)


def bolt(rng: Rng) -> Parts:
    """A threaded shank under a head: hexagonal, square, round or countersunk; some carry a nut."""
    radius, length = rng.uniform(0.12, 0.25), rng.uniform(0.5, 1.6)
    start = length * rng.uniform(0.0, 0.5)
    size, height = radius * rng.uniform(1.5, 2.3), radius * rng.uniform(0.8, 1.8)
    # rings of a saw-tooth profile, which from a step away is a thread
    turns = max(3, int((length - start) / rng.uniform(0.06, 0.11)))
    teeth = np.where(np.arange(2 * turns + 1) % 2 == 0, radius * rng.uniform(0.75, 0.88), radius)
    thread = lathe(np.column_stack((teeth, np.linspace(0.0, length - start, 2 * turns + 1))), 14)
    parts = named(thread=thread, shank=cylinder(radius, start + 0.05, 16).at(y=length - start))
    style = pick(rng, ("hex", "hex", "square", "socket", "round", "sunk"))
    if style in ("hex", "square"):
        sides = 6 if style == "hex" else 4
        head = extrude(regular(sides, size, sides), height).turn("x", -np.pi / 2).at(y=height / 2)
    elif style == "socket":
        head = ring_plate(regular(24, size, 24), regular(6, size * 0.55, 24), height)
        head = join(head, cylinder(size * 0.9, height * 0.4))
    elif style == "round":
        head = lathe(np.concatenate(([(size, 0.0)], arc(1.0, 0.05, 1.45, 7) * (size, height))), 18)
    else:
        head = lathe([(radius, -height), (size * 1.1, 0), (size * 1.1, height * 0.1)])
    parts += named(head=head.at(y=length))
    if chance(rng, 0.25):
        nut_height = radius * rng.uniform(0.8, 1.4)
        nut_ring = ring_plate(regular(6, radius * 1.9, 24), regular(24, radius * 1.05, 24), nut_height)
        parts += named(nut=nut_ring.at(y=rng.uniform(0.05, 0.4) * length))
    return posed(parts, rng)


def nut(rng: Rng) -> Parts:
    """A polygon with a round threaded bore; some with a flange, a dome, slots or wings."""
    size, height = rng.uniform(0.45, 0.6), rng.uniform(0.2, 0.7)
    sides, bore = pick(rng, (6, 6, 6, 4, 8)), rng.uniform(0.5, 0.68) * size
    parts = named(body=ring_plate(regular(sides, size, 48), bore * circle(48), height))
    # closed profile of an inner thread: a straight outside, teeth inside
    outer, tall = bore * 0.97, height * 0.9
    teeth = np.where(np.arange(11) % 2 == 0, outer * 0.98, bore * 0.86)
    teeth = np.column_stack((teeth, np.linspace(0.0, tall, 11)))
    thread = np.add(np.concatenate(([(outer, tall), (outer, 0.0)], teeth)), (0.0, height * 0.05))
    parts += named(thread=lathe(thread, wrap=True))
    style = pick(rng, ("plain", "plain", "flange", "dome", "crown", "wings"))
    if style == "flange":
        outline = size * rng.uniform(1.05, 1.35) * circle(32)
        parts += named(flange=ring_plate(outline, bore * circle(32), height * 0.2))
    elif style == "dome":
        cap = arc(1.0, 0.0, 1.45, 7) * (size * 0.8, size * 0.7) + (0, height * 0.98)
        parts += named(cap=lathe(cap))
    elif style == "crown":
        tooth = box(size * 0.35, height * 0.35, size - bore).at(z=(size + bore) * 0.47)
        parts += named(crown=around(tooth.at(y=height), 6))
    elif style == "wings":
        wing = extrude(circle(14) * (0.28, 0.36), 0.09).at(size * 1.25, height * 1.1)
        parts += named(wing=[wing, wing.turn("y", np.pi)])
    return posed(parts, rng)


def gear(rng: Rng) -> Parts:
    """Teeth around a disc or a rim with spokes, with a bored hub; straight or slanting."""
    teeth, height = int(rng.integers(8, 33)), rng.uniform(0.1, 0.5)
    depth, bore = rng.uniform(0.07, 0.2), rng.uniform(0.1, 0.3)
    outline = _toothed(teeth, 1.0 - depth, 1.0)
    spoked = chance(rng, 0.3)
    inside = 1.0 - depth - rng.uniform(0.1, 0.2) if spoked else bore
    rim = ring_plate(outline, inside * circle(len(outline)), height)
    if chance(rng, 0.3):
        twist = rng.uniform(0.2, 0.6) / teeth * 6
        upper = rim.vertices[:, 1] > height / 2
        rim = Solid(np.where(upper[:, None], rim.turn("y", twist).vertices, rim.vertices), rim.faces)
    parts = named(tooth=rim)
    long = height * rng.uniform(1.1, 2.0)
    hub = lathe([(bore * 1.6, -height * 0.15), (bore * 1.6, long), (bore, height), (bore, 0)], wrap=True)
    if spoked:
        spokes = int(rng.integers(3, 7))
        spoke = box(0.12, height * 0.6, inside - bore * 1.2).at(y=height * 0.2, z=(inside + bore * 1.2) / 2)
        parts += named(spoke=around(spoke, spokes))
    if spoked or chance(rng, 0.6):
        parts += named(hub=hub)
    return posed(parts, rng)


def flange(rng: Rng) -> Parts:
    """A disc with a ring of bolts and a pipe neck through it."""
    bore, height = rng.uniform(0.25, 0.5), rng.uniform(0.1, 0.25)
    neck, wall = rng.uniform(0.2, 1.1), rng.uniform(0.06, 0.12)
    parts = named(disc=ring_plate(circle(32), bore * circle(32), height))
    outer = bore + wall
    skirt = outer + rng.uniform(0.0, 0.2)
    profile = [(bore, height * 0.9), (bore, height + neck), (outer, height + neck), (skirt, height * 0.9)]
    parts += named(neck=lathe(profile, 28, wrap=True))
    bolts, size = int(rng.integers(4, 11)), rng.uniform(0.05, 0.09)
    at = (1.0 + bore + wall) / 2
    stud = extrude(regular(6, size, 6), 0.1).turn("x", -np.pi / 2).at(at, height + 0.05)
    stud = join(stud, cylinder(size * 0.55, height + 0.2, 8).at(at, -0.1))
    parts += named(bolt=around(stud, bolts))
    if chance(rng, 0.4):
        face = ring_plate(rng.uniform(0.65, 0.8) * circle(32), bore * circle(32), 0.06)
        parts += named(face=face.at(y=-0.05))
    return posed(parts, rng)


def washer(rng: Rng) -> Parts:
    """A thin ring: flat, conical, split and sprung, or with locking teeth."""
    bore, height = rng.uniform(0.35, 0.75), rng.uniform(0.05, 0.2)
    style = pick(rng, ("flat", "flat", "cone", "split", "teeth", "square"))
    if style == "cone":
        rise = rng.uniform(0.1, 0.4)
        solid = lathe([(1, 0), (1, height), (bore, rise + height), (bore, rise)], 32, wrap=True)
    elif style == "split":
        turn = np.linspace(0.1, 2 * np.pi - 0.1, 30)
        middle, half = (1 + bore) / 2, (1 - bore) / 2
        path = np.stack((np.cos(turn) * middle, turn * rng.uniform(0.02, 0.08), np.sin(turn) * middle), 1)
        solid = sweep(path, np.full((30, 2), (height, half)), 6)
    elif style == "teeth":
        teeth = int(rng.integers(8, 17))
        jagged = _toothed(teeth, bore, bore * 0.75 if chance(rng, 0.5) else bore * 1.15)
        solid = ring_plate(circle(len(jagged)), jagged, height)
        if chance(rng, 0.5):
            outward = _toothed(teeth, 0.85, 1.0)
            solid = ring_plate(outward, bore * 0.9 * circle(len(outward)), height)
    else:
        outline = regular(4, 1.2, 48) if style == "square" else circle(48)
        solid = ring_plate(outline, bore * circle(48), height)
    return posed(named(body=solid), rng)


def elbow(rng: Rng) -> Parts:
    """A bent pipe with plain, collared or flanged ends; some branch like a tee."""
    radius, wall, bend = rng.uniform(0.15, 0.3), rng.uniform(0.03, 0.06), rng.uniform(0.35, 0.8)
    angle, straight = pick(rng, (np.pi / 2, np.pi / 2, np.pi / 4, np.pi * 0.75)), rng.uniform(0.05, 0.5)
    curve = arc(bend, 0.0, angle, 12)
    out = np.array((-np.sin(angle), np.cos(angle)))
    path = np.concatenate(([(bend, -straight)], curve, [curve[-1] + straight * out]))
    path = np.column_stack((path, np.zeros(14)))
    parts = named(body=tube(path, radius, radius - wall, 18))
    style = pick(rng, ("plain", "collar", "flange", "flange"))
    if style != "plain":
        wide, thick = (1.25, 0.12) if style == "collar" else (rng.uniform(1.5, 1.9), 0.07)
        near, far = radius * 0.97, radius * wide
        ring = lathe([(near, 0), (far, 0), (far, thick), (near, thick)], 20, wrap=True)
        first = ring.at(bend, -straight)
        last = ring.at(y=-thick).turn("z", angle).at(*(float(v) for v in path[-1, :2]))
        parts += named(**{style: [first, last]})
    if chance(rng, 0.2):
        path = np.array([(bend, 0.0, 0.0), (bend, 0.01 - straight - radius * 2, 0.0)])
        branch = tube(path, radius * 0.9, radius * 0.8, 18)
        parts += named(branch=branch.at(-bend).turn("z", -np.pi / 2).at(bend))
    return posed(parts, rng)


def pulley(rng: Rng) -> Parts:
    """A grooved wheel with a hub: a disc or spokes."""
    height, groove, bore = rng.uniform(0.15, 0.5), rng.uniform(0.08, 0.25), rng.uniform(0.1, 0.25)
    spoked = chance(rng, 0.5)
    inside = 0.95 - groove - rng.uniform(0.06, 0.12) if spoked else bore
    lip = height * rng.uniform(0.08, 0.2)
    profile = [(inside, 0), (1, 0), (1, lip), (1 - groove, height * 0.4), (1 - groove, height * 0.6)]
    profile += [(1, height - lip), (1, height), (inside, height)]
    low, high, wide = -height * 0.2, height * 1.2, bore * 1.8
    hub = lathe([(bore, low), (wide, low), (wide, high), (bore, high)], wrap=True)
    parts = named(rim=lathe(profile, 32, wrap=True), hub=hub)
    if spoked:
        spokes = int(rng.integers(3, 7))
        spoke = box(0.11, height * 0.5, inside - bore * 1.3)
        spoke = spoke.at(y=height * 0.25, z=(inside + bore * 1.3) / 2 + 0.02)
        parts += named(spoke=around(spoke, spokes))
    return posed(parts, rng)


def spring(rng: Rng) -> Parts:
    """A coil of wire, straight or conical, with flat or hooked ends."""
    turns, height = rng.uniform(3.0, 8.0), rng.uniform(0.8, 2.2)
    wire = min(rng.uniform(0.04, 0.1), 0.35 * height / turns)
    count = int(turns * 16)
    t = np.linspace(0.0, 1.0, count)
    radius = 0.4 * (1 + rng.uniform(-0.5, 0.3) * t) if chance(rng, 0.4) else np.full(count, 0.4)
    angle = 2 * np.pi * turns * t
    path = np.stack((radius * np.cos(angle), t * height, radius * np.sin(angle)), 1)
    parts = named(coil=sweep(path, wire, 7))
    if chance(rng, 0.5):
        ring = torus(0.3, wire, 20, 7)
        if chance(rng, 0.4):
            hook = ring.turn("x", np.pi / 2)
            parts += named(end=[hook.at(y=-0.28), hook.at(y=height + 0.28)])
        else:
            parts += named(end=[ring.at(y=0), ring.at(y=height)])
    return posed(parts, rng)


def _toothed(teeth: int, low: float, high: float) -> Float64[np.ndarray, "S 2"]:
    """An outline of trapezoidal teeth between two radii, four points a tooth at even angles."""
    return circle(4 * teeth) * np.tile((low, low, high, high), teeth)[:, None]

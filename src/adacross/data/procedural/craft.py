"""Things that fly and float. Forward is +z."""

import numpy as np
from jaxtyping import Float64

from adacross.data.procedural.curves import chance, pick, smooth
from adacross.data.procedural.kit import (
    box,
    cylinder,
    ellipsoid,
    frustum,
    lathe,
    loft,
    ribbon,
    rounded_box,
    tapered_box,
)
from adacross.data.procedural.parts import Part, Parts, across, part
from adacross.data.procedural.solid import Solid, join


def airplane(rng: np.random.Generator) -> Parts:
    """An airliner, a propeller plane or a glider."""
    length, girth, nose = rng.uniform(4.0, 7.0), rng.uniform(0.25, 0.55), rng.uniform(0.3, 0.8)
    knots = [
        (girth * 0.15, -length / 2),
        (girth * 0.7, -length * 0.25),
        (girth, 0),
        (girth, length * 0.3),
        (girth * 0.7, length * 0.5 - nose * 0.3),
    ]
    hull = np.concatenate((smooth(knots, 14), [(0.0, length / 2)]))
    fuselage = lathe(hull, 16).turn("x", np.pi / 2)
    span, chord, sweep_back = rng.uniform(1.6, 3.6), rng.uniform(0.6, 1.3), rng.uniform(0.0, 1.4)
    level = pick(rng, (-0.55, 0.0, 0.85)) * girth
    wing = _wing(span, chord, chord * rng.uniform(0.3, 0.9), sweep_back, rng.uniform(-0.05, 0.3)).at(
        y=level, z=rng.uniform(0.2, 0.6)
    )
    tail_span, tail = rng.uniform(0.7, 1.2), -length * 0.42
    fin_height = rng.uniform(0.7, 1.2)
    fin = (
        _wing(fin_height, chord * 0.75, chord * 0.4, 0.45, 0.0).turn("z", np.pi / 2).at(y=girth * 0.3, z=tail)
    )
    lift = girth * 0.3 + (fin_height if chance(rng, 0.25) else 0.0)
    stabiliser = _wing(tail_span, chord * 0.6, chord * 0.35, 0.4, 0.0).at(y=lift, z=tail)
    parts = [
        Part("body", fuselage),
        part("wing", wing, wing.scale(x=-1)),
        part("tail", fin, stabiliser, stabiliser.scale(x=-1)),
    ]
    style = pick(rng, ("jets", "jets", "propeller", "props", "glider"))
    if style in ("jets", "props"):
        pod = lathe([(0.14, -0.4), (0.2, -0.1), (0.2, 0.35), (0.12, 0.38)], 12).turn("x", np.pi / 2)
        spots = [0.35 * span] if chance(rng, 0.6) else [0.28 * span, 0.58 * span]
        pods = [pod.at(s * x, level - 0.2, 0.5 - sweep_back * x / span) for x in spots for s in (-1, 1)]
        parts.append(part("engine", *pods))
        if style == "props":
            blades = _propeller(rng, 0.45)
            parts.append(
                part(
                    "propeller",
                    *(
                        blades.at(s * x, level - 0.2, 0.95 - sweep_back * x / span)
                        for x in spots
                        for s in (-1, 1)
                    ),
                )
            )
    elif style == "propeller":
        parts.append(part("propeller", _propeller(rng, rng.uniform(0.6, 0.9)).at(z=length / 2)))
    if chance(rng, 0.4):
        strut, tyre = cylinder(0.04, 0.55, 8), cylinder(0.16, 0.12, 12).turn("z", np.pi / 2)
        gear = [(-0.5, 0.0), (0.5, 0.0), (0.0, length * 0.35)]
        parts.append(part("wheel", *(join(strut, tyre.at(x=0.06)).at(x, -girth - 0.35, z) for x, z in gear)))
    return parts


def boat(rng: np.random.Generator) -> Parts:
    """A hull with a bow: rowing boat, motor boat, sailing boat or small ship."""
    length, beam, depth = rng.uniform(3.0, 6.0), rng.uniform(0.45, 0.9), rng.uniform(0.4, 0.9)
    parts = [Part("body", _hull(length, beam, depth, rng.uniform(0.3, 0.9), rng.uniform(0.1, 0.5)))]
    style = pick(rng, ("rowing", "motor", "sail", "ship"))
    if style == "rowing":
        bench = box(beam * 1.7, 0.06, 0.25)
        parts.append(
            part(
                "seat",
                *(bench.at(y=depth * 1.02, z=z) for z in across(int(rng.integers(2, 4)), length * 0.6)),
            )
        )
        oar = join(cylinder(0.03, beam * 2.6, 8), box(0.05, 0.5, 0.2).at(y=-0.45)).turn("z", -1.2)
        oar = oar.at(-beam * 2.2, depth * 0.7)
        parts.append(part("oar", oar, oar.scale(x=-1)))
        return parts
    cabin = tapered_box(
        (beam * 1.3, length * 0.3), (beam * 1.1, length * 0.22), rng.uniform(0.35, 0.7), -0.05
    )
    parts.append(part("cabin", cabin.at(y=depth * 0.98, z=rng.uniform(-0.15, 0.05) * length)))
    if style == "sail":
        tall, foot = rng.uniform(2.5, 4.5), length * rng.uniform(0.3, 0.42)
        parts.append(part("mast", cylinder(0.05, tall, 8).at(y=depth, z=0.1 * length)))
        sheets = [_sail(foot, tall * 0.85, -1.0)] + (
            [_sail(foot * 0.8, tall * 0.75, 1.0)] if chance(rng, 0.7) else []
        )
        parts.append(part("sail", *(sheet.at(y=depth + 0.35, z=0.1 * length) for sheet in sheets)))
    elif style == "ship":
        stacks = int(rng.integers(1, 4))
        funnel = frustum(0.16, 0.13, rng.uniform(0.6, 1.2), 14)
        parts.append(
            part("funnel", *(funnel.at(y=depth + 0.4, z=z * 0.7) for z in across(stacks, length * 0.4)))
        )
        parts.append(part("deck", box(beam * 1.2, 0.25, length * 0.5).at(y=depth * 0.95, z=-0.1 * length)))
    else:
        shield = box(beam * 1.2, rng.uniform(0.3, 0.5), 0.05).turn("x", -0.5)
        parts.append(part("window", shield.at(y=depth + 0.1, z=0.16 * length)))
        motor = rounded_box(0.3, 0.7, 0.3, 0.1)
        parts.append(part("engine", motor.at(y=depth * 0.4, z=-length / 2 - 0.1)))
    return parts


def _wing(span: float, root: float, tip: float, back: float, rise: float) -> Solid:
    """A wing from the origin along +x: chords `root` and `tip`, the tip moved back and up."""
    outline = np.array([(1.0, 0.0), (0.6, 0.06), (0.0, 0.07), (-1.0, 0.0), (0.0, -0.03), (0.6, -0.03)])
    rings = np.zeros((2, 6, 3))
    for ring, (x, chord, z, y) in enumerate(((0.0, root, 0.0, 0.0), (span, tip, -back, rise * span))):
        rings[ring, :, 0] = x
        rings[ring, :, 2], rings[ring, :, 1] = outline[:, 0] * chord / 2 + z, outline[:, 1] * chord + y
    return loft(rings)


def _propeller(rng: np.random.Generator, radius: float) -> Solid:
    """Blades and a spinner about z."""
    count = int(rng.integers(2, 5))
    blade = tapered_box((0.12, 0.03), (0.06, 0.02), radius).turn("y", 0.4)
    hub = ellipsoid(0.1, 0.1, 0.2, 10)
    return join(hub, *(blade.turn("z", k * 2 * np.pi / count) for k in range(count)))


def _hull(length: float, beam: float, depth: float, bow: float, stern: float) -> Solid:
    """Cross sections from stern to bow: flat deck, rounded bottom, sheer rising to the bow."""
    t = np.linspace(0.0, 1.0, 12)
    half = (
        beam * np.minimum(1.0, (1.0 - t**3) ** bow) * (1 - stern * (1 - np.minimum(t * 2.5, 1)) ** 2) + 0.02
    )
    angle = np.linspace(np.pi, 2 * np.pi, 9)
    section: Float64[np.ndarray, "9 2"] = np.stack(
        (np.cos(angle), np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7), 1
    )
    sheer = depth * (1 + 0.35 * t**2)
    keel = depth * (0.25 * t**4)
    rings = np.empty((12, 9, 3))
    rings[..., 0] = half[:, None] * section[:, 0]
    rings[..., 1] = sheer[:, None] + (sheer - keel)[:, None] * section[:, 1]
    rings[..., 2] = (t - 0.5)[:, None] * length
    return loft(rings)


def _sail(foot: float, tall: float, side: float) -> Solid:
    """A triangular sail with a little belly, behind (-1) or before (1) the mast."""
    t = np.linspace(0.0, 1.0, 8)
    luff = np.stack((0.06 * side * np.ones(8), t * tall), 1)
    leech = luff + np.stack((side * (foot * (1 - t) + 0.05), np.zeros(8)), 1)
    return ribbon(luff, leech, 0.03).turn("y", -np.pi / 2)

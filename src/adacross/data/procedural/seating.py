"""Things to sit on. They share seats, legs and backs, so only their combination tells them apart."""

import numpy as np

from adacross.data.procedural.curves import arc, chance, pick, smooth
from adacross.data.procedural.kit import (
    box,
    cylinder,
    extrude,
    frustum,
    lathe,
    rounded_box,
    sweep,
    tapered_box,
)
from adacross.data.procedural.parts import Part, Parts, across, part
from adacross.data.procedural.solid import Solid, join


def chair(rng: np.random.Generator) -> Parts:
    """A seat for one with a back and no arms."""
    width, depth, height = rng.uniform(0.38, 0.6), rng.uniform(0.38, 0.55), rng.uniform(0.3, 0.6)
    back_height = rng.uniform(0.25, 0.65)
    return [
        *supports(rng, width, depth, height),
        *seat(rng, width, depth, height),
        *back(rng, width, back_height, height, -depth / 2),
    ]


def armchair(rng: np.random.Generator) -> Parts:
    """A seat for one with a back and arms: padded like a sofa or light like a chair."""
    if chance(rng, 0.55):
        return _padded(rng, rng.uniform(0.75, 1.05), cushions=1)
    width, depth, height = rng.uniform(0.48, 0.65), rng.uniform(0.42, 0.6), rng.uniform(0.3, 0.5)
    rise, thick = rng.uniform(0.15, 0.28), rng.uniform(0.015, 0.035)
    rod = cylinder(thick, rise, 10).at(z=depth * rng.uniform(0.2, 0.42))
    rest = rounded_box(thick * 3, thick * 1.5, depth * rng.uniform(0.75, 1.0), thick).at(y=rise)
    arm = join(rod, rest)
    if chance(rng, 0.4):
        loop = [(0, 0, depth * 0.4), (0, rise, depth * 0.42), (0, rise, 0), (0, rise * 0.9, -depth * 0.5)]
        arm = sweep(smooth(loop, 14), thick)
    return [
        *supports(rng, width, depth, height),
        *seat(rng, width, depth, height),
        *back(rng, width, rng.uniform(0.3, 0.6), height, -depth / 2),
        part("arm", *(arm.at(side * width * 0.48, height + 0.02) for side in (-1, 1))),
    ]


def stool(rng: np.random.Generator) -> Parts:
    """A seat for one without a back; a few bar stools have a low rail."""
    width, height = rng.uniform(0.3, 0.45), rng.uniform(0.28, 0.85)
    depth = width * rng.uniform(0.75, 1.1)
    parts = [*supports(rng, width, depth, height), *seat(rng, width, depth, height)]
    if chance(rng, 0.15):
        rail = sweep(_arched(width, depth), (rng.uniform(0.015, 0.03)))
        parts.append(part("back", rail.at(y=height + rng.uniform(0.08, 0.14))))
    return parts


def bench(rng: np.random.Generator) -> Parts:
    """A long hard seat, often of slats, with or without a back."""
    width, depth, height = rng.uniform(0.8, 1.6), rng.uniform(0.3, 0.5), rng.uniform(0.35, 0.55)
    slats, thick = int(rng.integers(1, 5)), rng.uniform(0.025, 0.06)
    board = box(width, thick, depth / slats * (0.85 if slats > 1 else 1.0))
    parts = [
        *supports(rng, width * 0.92, depth, height, styles=("four", "four", "panel", "runner")),
        part("seat", *(board.at(y=height, z=z) for z in across(slats, depth))),
    ]
    if chance(rng, 0.45):
        parts += back(rng, width, rng.uniform(0.25, 0.5), height, -depth / 2)
    if chance(rng, 0.25):
        arm = join(box(0.05, 0.2, 0.05).at(z=depth * 0.35), box(0.06, 0.04, depth).at(y=0.2))
        parts.append(part("arm", *(arm.at(side * width * 0.46, height) for side in (-1, 1))))
    return parts


def sofa(rng: np.random.Generator) -> Parts:
    """A padded seat for two or more."""
    cushions = int(rng.integers(2, 5))
    return _padded(rng, rng.uniform(0.5, 0.65) * cushions + 0.25, cushions)


def supports(
    rng: np.random.Generator,
    width: float,
    depth: float,
    height: float,
    styles: tuple[str, ...] = ("four", "four", "splayed", "pedestal", "star", "runner", "panel"),
) -> Parts:
    """Legs of many kinds that carry something of this footprint at this height."""
    style = pick(rng, styles)
    thick = rng.uniform(0.018, 0.04)
    x, z = width / 2 - thick, depth / 2 - thick
    corners = [(x, z), (-x, z), (-x, -z), (x, -z)]
    if style in ("four", "splayed"):
        lean = rng.uniform(0.04, 0.12) if style == "splayed" else 0.0
        leg = _leg(rng, thick, height)
        corners = corners if chance(rng, 0.85) else [(0.0, z), (-x, -z), (x, -z)]
        legs = [
            leg.turn("x", -np.sign(b) * lean).turn("z", np.sign(a) * lean).at(a, 0, b) for a, b in corners
        ]
        parts = [part("leg", *legs)]
        if chance(rng, 0.4):
            y, bar = height * rng.uniform(0.15, 0.45), thick * 0.7
            bars = [box(bar, bar, 2 * z).at(a, y, 0) for a in (-x, x)]
            bars += [box(2 * x, bar, bar).at(0, y, b) for b in ((-z, z) if chance(rng, 0.5) else (0.0,))]
            parts.append(part("stretcher", *bars))
        return parts
    if style == "runner":
        bend, count = height * 0.12, 16
        loop = np.array(
            [(0, height, z), (0, bend, z * 1.05), (0, 0, z * 0.8), (0, 0, -z * 0.8), (0, bend, -z * 1.05)]
        )
        path = smooth(np.concatenate((loop, [(0, height, -z)])), count)
        return [part("leg", *(sweep(path, thick * 0.7, 8).at(side * x) for side in (-1, 1)))]
    if style == "panel":
        panel = tapered_box((thick, depth * rng.uniform(0.7, 1.0)), (thick, depth), height)
        return [part("leg", *(panel.at(side * x * rng.uniform(0.85, 1.0)) for side in (-1, 1)))]
    reach = rng.uniform(0.35, 0.55) * min(width, depth)
    post = part("leg", cylinder(thick * rng.uniform(0.7, 1.6), height * 0.96, 12).at(y=height * 0.04))
    if style == "pedestal":
        plate = [(reach, 0), (reach, 0.02), (reach * 0.5, 0.04), (thick * 2, height * rng.uniform(0.1, 0.4))]
        return [post, part("foot", lathe(plate))]
    prongs = int(rng.integers(3, 6))
    prong = tapered_box((thick, thick), (thick * 1.6, thick * 1.6), reach * 1.2).turn("x", np.pi / 2 - 0.1)
    prong = prong.turn("x", np.pi).at(y=height * 0.1, z=0.0)
    return [post, part("foot", *(prong.turn("y", k * 2 * np.pi / prongs) for k in range(prongs)))]


def seat(rng: np.random.Generator, width: float, depth: float, height: float) -> Parts:
    """A board, a round, a polygon or a cushion whose underside lies at `height`."""
    thick = rng.uniform(0.025, 0.06)
    style = pick(rng, ("board", "round", "cushion", "padded", "trapeze"))
    if style == "round":
        profile = [(0.8, 0), (1, thick * 0.3), (1, thick * 0.7), (0.9, thick)]
        return [Part("seat", lathe(profile, 24).scale(width / 2, 1, depth / 2).at(y=height))]
    if style == "trapeze":
        front = rng.uniform(1.05, 1.25)
        outline = np.array([(-front, -1), (front, -1), (1, 1), (-1, 1)]) * (width / 2, depth / 2)
        return [Part("seat", extrude(outline, thick).turn("x", -np.pi / 2).at(y=height + thick / 2))]
    if style == "padded":
        cushion = rounded_box(width * 0.94, thick * 1.6, depth * 0.94, thick)
        return [
            Part("seat", box(width, thick * 0.6, depth).at(y=height)),
            Part("cushion", cushion.at(y=height + thick * 0.6)),
        ]
    solid = box(width, thick, depth) if style == "board" else rounded_box(width, thick * 2, depth, thick)
    return [Part("seat", solid.at(y=height))]


def back(rng: np.random.Generator, width: float, rise: float, height: float, z: float) -> Parts:
    """A back of a slab, slats, rails or a hoop, leaning away from the seat."""
    style = pick(rng, ("slab", "padded", "slats", "rails", "hoop"))
    thick, lean = rng.uniform(0.018, 0.04), rng.uniform(0.0, 0.3)
    posts = [box(thick, rise, thick).at(side * (width - thick) / 2) for side in (-1, 1)]
    if style == "slab":
        solids = [tapered_box((width, thick), (width * rng.uniform(0.7, 1.0), thick), rise)]
    elif style == "padded":
        gap = rise * rng.uniform(0.0, 0.35)
        solids = [rounded_box(width, rise - gap, thick * 2.5, thick).at(y=gap), *posts]
    elif style == "slats":
        slat = box(width * 0.06, rise, thick * 0.6)
        rail = box(width, rise * 0.14, thick * 1.2).at(y=rise * 0.93)
        solids = [rail, *posts, *(slat.at(x) for x in across(int(rng.integers(3, 7)), width * 0.9))]
    elif style == "rails":
        count = int(rng.integers(2, 5))
        rail = box(width, rise * 0.4 / count, thick * 0.7)
        solids = [*posts, *(rail.at(y=rise * (0.35 + 0.6 * k / count)) for k in range(count))]
    else:
        bow = arc(1.0, 0.0, np.pi, 14) * (width / 2, rise)
        hoop = sweep(np.column_stack((bow, np.zeros(14))), thick * 0.6, 8)
        bars = [
            cylinder(thick * 0.3, rise * 0.93 * np.sqrt(1 - (2 * x / width) ** 2), 6).at(x)
            for x in across(5, width)
        ]
        solids = [hoop, *bars]
    return [Part("back", join(*solids).turn("x", -lean).at(y=height, z=z + thick))]


def _leg(rng: np.random.Generator, thick: float, height: float) -> Solid:
    """One leg standing on the origin."""
    style = pick(rng, ("square", "tapered", "round", "turned"))
    if style == "square":
        return box(2 * thick, height, 2 * thick)
    if style == "tapered":
        return tapered_box((thick, thick), (2 * thick, 2 * thick), height)
    if style == "round":
        return frustum(thick * rng.uniform(0.4, 0.9), thick, height, 12)
    radii = rng.uniform(0.5, 1.3, 9)
    return lathe(smooth(np.column_stack((radii * thick, np.linspace(0, height, 9))), 17), 12)


def _arched(width: float, depth: float) -> np.ndarray:
    """A low rail around the back half of a seat."""
    curve = arc(1.0, np.pi, 2 * np.pi, 14) * (width / 2, depth / 2)
    return np.column_stack((curve[:, 0], np.zeros(14), curve[:, 1]))


def _padded(rng: np.random.Generator, width: float, cushions: int) -> Parts:
    """A sofa or an armchair: padded base, back and arms, loose cushions, short feet."""
    depth, base, foot = rng.uniform(0.7, 0.95), rng.uniform(0.15, 0.3), rng.uniform(0.03, 0.15)
    arm, rise, soft = rng.uniform(0.1, 0.24), rng.uniform(0.4, 0.7), rng.uniform(0.02, 0.08)
    inner = width - 2 * arm
    arm_height = base + rng.uniform(0.12, 0.3)
    cushion = rounded_box(inner / cushions * 0.97, rng.uniform(0.1, 0.2), depth * 0.72, soft)
    pillow = rounded_box(inner / cushions * 0.95, rise * 0.62, 0.16, soft).turn("x", -rng.uniform(0.05, 0.25))
    arm_solid = rounded_box(arm, arm_height, depth * rng.uniform(0.8, 1.0), soft)
    if chance(rng, 0.35):
        roll = cylinder(arm * 0.65, depth * 0.9, 14).turn("x", np.pi / 2).at(y=arm_height, z=-depth * 0.45)
        arm_solid = join(arm_solid, roll)
    leg = frustum(0.02, 0.035, foot, int(pick(rng, (4, 10))))
    corners = [(x, z) for x in (-0.46 * width, 0.46 * width) for z in (-0.42 * depth, 0.42 * depth)]
    parts = [
        part("leg", *(leg.at(x, 0, z) for x, z in corners)),
        part("seat", box(width * 0.99, base, depth * 0.96).at(y=foot)),
        part("cushion", *(cushion.at(x, foot + base, depth * 0.1) for x in across(cushions, inner))),
        part(
            "back",
            rounded_box(width * rng.uniform(0.85, 1.0), rise + base, 0.18, soft).at(
                0, foot, 0.09 - depth / 2
            ),
        ),
        part("arm", *(arm_solid.at(side * (width - arm) / 2, foot) for side in (-1, 1))),
    ]
    if chance(rng, 0.5):
        parts.append(
            part("pillow", *(pillow.at(x, foot + base + 0.1, -depth * 0.22) for x in across(cushions, inner)))
        )
    return parts

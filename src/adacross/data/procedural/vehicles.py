"""Things that drive. Forward is +z."""

import numpy as np

from adacross.data.procedural.curves import chance, pick
from adacross.data.procedural.kit import box, cylinder, ellipsoid, lathe, loft, rounded_box, tapered_box
from adacross.data.procedural.parts import Part, Parts, across, part
from adacross.data.procedural.solid import Solid, join


def car(rng: np.random.Generator) -> Parts:
    """A saloon, hatchback, estate or pick-up on four wheels."""
    length, width, body = rng.uniform(3.4, 4.8), rng.uniform(1.6, 1.95), rng.uniform(0.5, 0.8)
    wheel = rng.uniform(0.28, 0.42)
    style = pick(rng, ("saloon", "hatch", "estate", "pickup"))
    rear = {"saloon": -0.28, "hatch": -0.42, "estate": -0.46, "pickup": -0.02}[style] * length
    front, cabin, rake = length * rng.uniform(0.14, 0.26), rng.uniform(0.45, 0.7), rng.uniform(0.2, 0.5)
    low = (
        tapered_box((width, length), (width * 0.96, length * 0.96), body)
        if chance(rng, 0.4)
        else rounded_box(width, body, length, 0.25)
    )
    slope = 0.05 if style in ("estate", "pickup") else rng.uniform(0.2, 0.5)
    roof = _cabin(
        base=width * 0.94,
        top=width * rng.uniform(0.7, 0.85),
        height=cabin,
        rear=rear,
        front=front,
        slope=slope,
        rake=rake,
    )
    parts = [
        Part("body", low.at(y=wheel * 0.7)),
        Part("cabin", roof.at(y=wheel * 0.7 + body * 0.97)),
        wheels(rng, wheel, width * 0.9, [-0.31 * length, 0.31 * length]),
        *lights(rng, width, wheel * 0.7 + body * 0.6, length * 0.485),
    ]
    if style == "pickup":
        bed = -0.02 * length - 0.47 * length
        side = box(0.06, body * 0.35, 0.42 * length).at(y=wheel * 0.7 + body * 0.95, z=bed / 2)
        parts.append(part("bed", side.at(width * 0.44), side.at(-width * 0.44)))
    if chance(rng, 0.2):
        wing = box(width * 0.9, 0.04, 0.25).at(y=wheel * 0.7 + body + 0.22, z=-0.45 * length)
        stand = box(0.05, 0.25, 0.1).at(y=wheel * 0.7 + body, z=-0.45 * length)
        parts.append(part("spoiler", wing, stand.at(0.4), stand.at(-0.4)))
    return parts


def truck(rng: np.random.Generator) -> Parts:
    """A separate cab before a load: a box, a tank, a flat bed or a tipper."""
    length, width, wheel = rng.uniform(3.6, 7.5), rng.uniform(1.8, 2.3), rng.uniform(0.35, 0.5)
    cab, cab_height = rng.uniform(1.2, 1.9), rng.uniform(1.4, 2.2)
    level, end = wheel * 1.3, length / 2
    parts = [Part("chassis", box(width * 0.5, 0.2, length * 0.97).at(y=level - 0.2))]
    if chance(rng, 0.4):
        nose = cab * 0.45
        hood = rounded_box(width * 0.8, cab_height * 0.5, nose, 0.12).at(y=level - 0.15, z=end - nose / 2)
        house = tapered_box((width, cab - nose), (width * 0.95, (cab - nose) * 0.8), cab_height)
        parts.append(part("cab", hood, house.at(y=level - 0.15, z=end - nose - (cab - nose) / 2)))
    else:
        house = tapered_box((width, cab), (width * 0.97, cab * 0.88), cab_height, -cab * 0.05)
        parts.append(part("cab", house.at(y=level - 0.2, z=end - cab / 2)))
    pane = box(width * 0.8, cab_height * 0.32, 0.1)
    parts.append(part("window", pane.at(y=level + cab_height * 0.5, z=end - cab * 0.5 + (cab * 0.46))))
    load = length - cab - rng.uniform(0.08, 0.35)
    parts += _load(rng, width, load, level, -end + load / 2)
    axles = [
        end - cab * 0.5,
        *(-end + load * f for f in pick(rng, ((0.2,), (0.15, 0.38), (0.12, 0.3, 0.48)))),
    ]
    parts += [wheels(rng, wheel, width * 0.88, axles), *lights(rng, width, level, end)]
    if chance(rng, 0.3):
        parts.append(
            part("exhaust", cylinder(0.07, cab_height * 1.15, 8).at(width * 0.46, level, end - cab - 0.06))
        )
    return parts


def bus(rng: np.random.Generator) -> Parts:
    """A long closed body with rows of windows; some have two decks."""
    length, width, height = rng.uniform(4.2, 10.0), rng.uniform(1.9, 2.4), rng.uniform(1.7, 2.5)
    wheel, decks = rng.uniform(0.32, 0.48), 1 + int(chance(rng, 0.25))
    height *= 1.0 if decks == 1 else 1.55
    level = wheel * 0.8
    parts = [Part("body", rounded_box(width, height, length, rng.uniform(0.08, 0.4)).at(y=level))]
    panes = int(rng.integers(3, 9))
    tall = 0.36 * height / decks
    pane = box(width * 1.03, tall, length * 0.86 / panes * rng.uniform(0.7, 0.92))
    rows = [level + height * (0.55 if decks == 1 else f) for f in (0.25, 0.68)[:decks]]
    windows = [pane.at(y=y, z=z) for y in rows for z in across(panes, length * 0.88)]
    shield = box(width * 0.85, tall * 1.2, 0.1)
    windows += [shield.at(y=y, z=end * (length / 2 - 0.03)) for y in rows for end in (-1, 1)]
    axles = pick(rng, ([-0.3, 0.33], [-0.33, 0.36], [-0.36, -0.24, 0.34]))
    parts += [part("window", *windows), wheels(rng, wheel, width * 0.92, [length * a for a in axles])]
    parts += lights(rng, width, level + height * 0.15, length / 2)
    if chance(rng, 0.35):
        parts.append(
            part(
                "roof",
                rounded_box(width * 0.6, 0.22, length * rng.uniform(0.2, 0.6), 0.08).at(
                    y=level + height * 0.98
                ),
            )
        )
    return parts


def wheels(rng: np.random.Generator, radius: float, track: float, axles: list[float]) -> Part:
    """Pairs of wheels that stand on y = 0, with hubs."""
    wide = radius * rng.uniform(0.5, 0.75)
    profile = [
        (radius * 0.5, -0.1),
        (radius * 0.55, 0),
        (radius * 0.95, 0),
        (radius, wide * 0.2),
        (radius, wide * 0.8),
    ]
    profile += [(radius * 0.95, wide), (radius * 0.55, wide), (radius * 0.5, wide * 0.9)]
    tyre = lathe(np.array(profile) - (0, wide / 2), 18).turn("z", np.pi / 2).at(y=radius)
    return part("wheel", *(tyre.at(side * track / 2, 0, z) for z in axles for side in (-1, 1)))


def lights(rng: np.random.Generator, width: float, y: float, z: float) -> Parts:
    """Two front lights and maybe a bumper."""
    lamp = ellipsoid(0.12, 0.1, 0.06, 8) if chance(rng, 0.5) else box(0.3, 0.12, 0.08)
    parts = [part("light", lamp.at(width * 0.33, y, z), lamp.at(-width * 0.33, y, z))]
    if chance(rng, 0.5):
        bar = rounded_box(width * 0.98, 0.14, 0.14, 0.05)
        parts.append(part("bumper", bar.at(y=y - 0.35, z=z + 0.03)))
    return parts


def _cabin(
    *, base: float, top: float, height: float, rear: float, front: float, slope: float, rake: float
) -> Solid:
    """A car's upper half: narrower towards the roof, raked at both ends."""
    rings = np.empty((2, 4, 3))
    for ring, (wide, y, back, ahead) in enumerate(
        ((base, 0.0, rear, front), (top, height, rear + slope, front - rake))
    ):
        rings[ring] = [(-wide / 2, y, back), (wide / 2, y, back), (wide / 2, y, ahead), (-wide / 2, y, ahead)]
    return loft(rings)


def _load(rng: np.random.Generator, width: float, length: float, y: float, z: float) -> Parts:
    """What a truck carries."""
    style = pick(rng, ("box", "box", "tank", "flat", "tipper"))
    height = rng.uniform(1.2, 2.4)
    if style == "box":
        return [part("load", box(width, height, length).at(y=y, z=z))]
    if style == "tank":
        radius = height * 0.42
        ends = [(radius * 0.7, 0), (radius, 0.12), (radius, length - 0.12), (radius * 0.7, length)]
        return [part("load", lathe(ends).turn("x", np.pi / 2).at(y=y + radius, z=z - length / 2))]
    floor = box(width, 0.12, length).at(y=y, z=z)
    if style == "tipper":
        sides = [box(0.08, height * 0.5, length).at(s * width * 0.48, y + 0.1, z) for s in (-1, 1)]
        tilt = join(floor, *sides, box(width * 0.95, height * 0.5, 0.08).at(y=y + 0.1, z=z + length * 0.48))
        return [part("load", tilt)]
    stakes = [
        box(0.07, height * 0.4, 0.07).at(s * width * 0.47, y + 0.1, z + a)
        for a in across(4, length)
        for s in (-1, 1)
    ]
    cargo = rounded_box(width * 0.7, height * 0.45, length * rng.uniform(0.2, 0.6), 0.03).at(y=y + 0.11, z=z)
    return [part("bed", floor, *stakes), part("load", cargo)]

"""Furniture to put things on or into."""

import numpy as np

from adacross.data.procedural.curves import chance, circle, pick, regular, smooth
from adacross.data.procedural.kit import box, cylinder, ellipsoid, extrude, lathe, rounded_box, sweep, torus
from adacross.data.procedural.parts import Part, Parts, across, part
from adacross.data.procedural.seating import supports
from adacross.data.procedural.solid import Solid, join


def table(rng: np.random.Generator) -> Parts:
    """A top on legs: square, round, long or low."""
    width, height, thick = rng.uniform(0.6, 1.6), rng.uniform(0.3, 0.95), rng.uniform(0.02, 0.06)
    depth = width * rng.uniform(0.5, 1.0)
    styles = (
        ("four", "four", "splayed", "panel", "runner")
        if depth < 0.7 * width
        else ("four", "splayed", "pedestal", "star")
    )
    reach = rng.uniform(0.7, 1.0)
    parts = supports(rng, width * reach, depth * reach, height, styles)
    outline = pick(rng, ("box", "box", "soft", "round", "polygon"))
    if outline in ("box", "soft"):
        top = box(width, thick, depth) if outline == "box" else rounded_box(width, thick, depth, thick / 2)
    else:
        sides = 24 if outline == "round" else int(pick(rng, (6, 8)))
        top = extrude(circle(sides) * 0.5, thick).turn("x", np.pi / 2).at(y=thick / 2).scale(width, 1, depth)
    parts.append(part("top", top.at(y=height)))
    if chance(rng, 0.35) and outline in ("box", "soft"):
        apron = box(width * 0.9, height * 0.1, depth * 0.9)
        parts.append(part("apron", apron.at(y=height * 0.9)))
    if chance(rng, 0.2):
        parts.append(
            part("shelf", box(width * 0.85 * reach, thick * 0.6, depth * 0.85 * reach).at(y=height * 0.3))
        )
    return parts


def desk(rng: np.random.Generator) -> Parts:
    """A top with drawers beneath it or a pedestal of drawers at one or both sides."""
    width, depth, height = rng.uniform(0.9, 1.6), rng.uniform(0.5, 0.75), rng.uniform(0.6, 0.85)
    thick = rng.uniform(0.02, 0.05)
    parts: Parts = [part("top", box(width, thick, depth).at(y=height))]
    sides = pick(rng, ((-1,), (1,), (-1, 1), ()))
    stack = width * rng.uniform(0.2, 0.32)
    for side in sides:
        rows = int(rng.integers(2, 5))
        x = side * (width - stack) / 2 * 0.97
        lift = pick(rng, (0.0, height * 0.3))
        parts += fronts(rng, stack, height - lift, depth * 0.9, rows=rows, columns=1, x=x, y=lift)
    if len(sides) < 2:
        parts += supports(rng, width * 0.95, depth * 0.92, height, ("four", "four", "panel", "runner"))
        if not sides:
            parts += fronts(
                rng,
                width * 0.85,
                height * 0.2,
                depth * 0.85,
                rows=1,
                columns=int(rng.integers(2, 4)),
                y=height * 0.8,
            )
    if chance(rng, 0.4):
        parts.append(
            part("panel", box(width * 0.9, height * 0.5, thick * 0.5).at(0, height * 0.5, -depth * 0.4))
        )
    if chance(rng, 0.3):
        hutch = [
            box(width, thick, depth * 0.3).at(y=0.3),
            *(box(thick, 0.3, depth * 0.3).at(x) for x in across(3, width * 1.4)),
        ]
        parts.append(part("shelf", join(*hutch).at(0, height + thick, -depth * 0.34)))
    return parts


def nightstand(rng: np.random.Generator) -> Parts:
    """A small box on short legs with one or two drawers, sometimes an open compartment."""
    width, depth, body = rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.45), rng.uniform(0.2, 0.45)
    leg = rng.uniform(0.05, 0.35)
    parts = supports(rng, width, depth, leg, ("four", "four", "splayed", "panel"))
    parts += fronts(rng, width, body, depth, rows=int(rng.integers(1, 3)), columns=1, y=leg)
    parts.append(part("top", box(width * 1.06, 0.03, depth * 1.06).at(y=leg + body)))
    if chance(rng, 0.3):
        parts.append(part("shelf", box(width * 0.9, 0.02, depth * 0.9).at(y=leg * 0.4)))
    return parts


def cabinet(rng: np.random.Generator) -> Parts:
    """A closed body with doors or many drawers."""
    width, depth, body = rng.uniform(0.6, 1.3), rng.uniform(0.35, 0.6), rng.uniform(0.6, 1.7)
    leg = pick(rng, (0.0, 0.08, 0.2))
    rows, columns = pick(rng, ((1, 2), (1, 2), (1, 3), (3, 1), (4, 1), (3, 2), (5, 1), (2, 2)))
    parts = fronts(rng, width, body, depth, rows=rows, columns=columns, y=leg)
    parts += (
        supports(rng, width, depth, leg, ("four", "splayed"))
        if leg
        else [part("base", box(width * 0.95, 0.08, depth * 0.9).at(y=-0.08))]
    )
    if chance(rng, 0.5):
        parts.append(part("top", box(width * 1.08, 0.04, depth * 1.08).at(y=leg + body)))
    return parts


def shelf(rng: np.random.Generator) -> Parts:
    """Open boards between sides or posts, some with a back, dividers or a few books."""
    width, depth, height = rng.uniform(0.5, 1.3), rng.uniform(0.22, 0.45), rng.uniform(0.6, 1.9)
    boards, thick = int(rng.integers(3, 7)), rng.uniform(0.015, 0.035)
    gap = (height - thick) / (boards - 1)
    parts = [part("board", *(box(width, thick, depth).at(y=k * gap + 0.001) for k in range(boards)))]
    if chance(rng, 0.65):
        parts.append(
            part("side", *(box(thick, height, depth * 1.01).at(side * width / 2) for side in (-1, 1)))
        )
        if chance(rng, 0.5):
            parts.append(part("back", box(width, height * 0.98, 0.012).at(z=-depth / 2)))
    else:
        posts = [(x, z) for x in (-0.48, 0.48) for z in (-0.45, 0.45)]
        parts.append(
            part(
                "leg",
                *(cylinder(thick * 0.8, height * 1.03, 8).at(x * width, 0, z * depth) for x, z in posts),
            )
        )
    if chance(rng, 0.35):
        walls = across(int(rng.integers(2, 4)), width)
        parts.append(part("divider", *(box(thick, height * 0.98, depth * 0.95).at(x) for x in walls)))
    elif chance(rng, 0.5):
        parts.append(_books(rng, width, depth, gap, boards))
    return parts


def bed(rng: np.random.Generator) -> Parts:
    """A frame with mattress, pillows and a headboard, for one or two."""
    width, length, leg = rng.uniform(0.8, 1.9), rng.uniform(1.8, 2.1), rng.uniform(0.05, 0.3)
    frame, mattress = rng.uniform(0.08, 0.25), rng.uniform(0.12, 0.3)
    rise, level = rng.uniform(0.3, 0.9), leg + frame
    parts = supports(rng, width, length, leg, ("four", "four", "panel"))
    parts.append(part("frame", box(width, frame, length).at(y=leg)))
    parts.append(part("mattress", rounded_box(width * 0.95, mattress, length * 0.95, 0.06).at(y=level)))
    head = box(width, rise + level, 0.06)
    if chance(rng, 0.4):
        bars = [box(0.05, rise + level, 0.05).at(x) for x in across(int(rng.integers(4, 8)), width * 1.1)]
        head = join(box(width, 0.08, 0.07).at(y=rise + level), *bars)
    parts.append(part("headboard", head.at(z=-length / 2)))
    if chance(rng, 0.5):
        foot = box(width, level + mattress * rng.uniform(0.6, 1.6), 0.05)
        parts.append(part("footboard", foot.at(z=length / 2)))
    pillows = 1 if width < 1.2 else 2
    pillow = rounded_box(width / pillows * 0.75, 0.12, 0.38, 0.06).turn("x", 0.15)
    spots = across(pillows, width * 0.92)
    parts.append(part("pillow", *(pillow.at(x, level + mattress, 0.32 - length / 2) for x in spots)))
    if chance(rng, 0.5):
        blanket = rounded_box(width * 1.02, mattress * 0.9, length * rng.uniform(0.4, 0.65), 0.05)
        parts.append(part("blanket", blanket.at(y=level + mattress * 0.2, z=length * 0.16)))
    return parts


def lamp(rng: np.random.Generator) -> Parts:
    """A table, floor or desk lamp: base, stem and shade."""
    height, base = rng.uniform(0.4, 1.5), rng.uniform(0.1, 0.2)
    size = min(1.0, height / 0.7)
    low, drop = size * rng.uniform(0.12, 0.3), size * rng.uniform(0.12, 0.3)
    high = low * rng.uniform(0.3, 1.0)
    wall = 0.01
    shade = lathe(
        [(low, 0), (high, drop), (high - wall, drop), (low - wall, 0)], int(pick(rng, (24, 24, 6))), wrap=True
    )
    foot = lathe([(base, 0), (base, 0.02), (base * 0.6, 0.035), (0.012, 0.05)], 24)
    if chance(rng, 0.3):
        foot = extrude(regular(4, base * 1.3, 4), 0.03).turn("x", np.pi / 2).turn("y", np.pi / 4).at(y=0.015)
    style = pick(rng, ("straight", "body", "arm", "bow"))
    if style == "arm":
        elbow, head = (0.0, height * 0.5, -0.12), (0.0, height * 0.72, 0.25)
        stem = join(sweep([(0, 0.02, 0), elbow], 0.012, 8), sweep([elbow, head], 0.012, 8))
        cone = (
            shade.scale(0.6, 0.6, 0.6)
            .turn("x", -rng.uniform(0.2, 0.9))
            .at(0, height * 0.72 - drop * 0.5, 0.28)
        )
        return [part("foot", foot), part("stem", stem), part("shade", cone)]
    if style == "bow":
        reach = rng.uniform(0.25, 0.5)
        path = smooth(
            [(0, 0.02, 0), (0, height * 0.8, 0), (0, height, reach * 0.5), (0, height * 0.85, reach)], 16
        )
        return [
            part("foot", foot),
            part("stem", sweep(path, 0.014, 8)),
            part("shade", shade.at(0, height * 0.85 - drop, reach)),
        ]
    stem = cylinder(rng.uniform(0.008, 0.02), height, 10)
    parts = [part("foot", foot), part("stem", stem), part("shade", shade.at(y=height - drop * 0.8))]
    if style == "body":
        swell = rng.uniform(0.03, 0.14, 5) * min(1.0, height / 0.9)
        profile = smooth(np.column_stack((swell, np.linspace(0.02, height * 0.65, 5))), 14)
        parts[1] = part("stem", stem, lathe(np.maximum(profile, (0.01, 0.0))))
    else:
        parts.append(part("bulb", ellipsoid(0.04, 0.05, 0.04, 12).at(y=height - drop * 0.4)))
    return parts


def fronts(
    rng: np.random.Generator,
    width: float,
    height: float,
    depth: float,
    *,
    rows: int,
    columns: int,
    x: float = 0.0,
    y: float = 0.0,
) -> Parts:
    """A closed body with a grid of drawer or door fronts, each with a handle, placed at `(x, y)`."""
    body = box(width, height, depth).at(x, y)
    cell_x, cell_y = width / columns, height / rows
    front = box(cell_x * 0.92, cell_y * 0.9, 0.02)
    grip = _grip(rng, cell_x, cell_y)
    spots = [(x + a, y + height / 2 + b) for a in across(columns, width) for b in across(rows, height)]
    name = "drawer" if cell_y < cell_x * 1.2 else "door"
    return [
        Part("body", body),
        part(name, *(front.at(a, b - cell_y * 0.45, depth / 2) for a, b in spots)),
        part("handle", *(grip.at(a, b, depth / 2 + 0.01) for a, b in spots)),
    ]


def _grip(rng: np.random.Generator, width: float, height: float) -> Solid:
    """A knob, a bar or a ring to pull at, facing z."""
    style = pick(rng, ("knob", "bar", "ring"))
    if style == "knob":
        return lathe([(0.01, 0), (0.01, 0.02), (0.022, 0.03), (0.018, 0.045)], 10).turn("x", np.pi / 2)
    if style == "ring":
        return torus(0.03, 0.006, 12, 6).turn("x", np.pi / 2).at(z=0.012)
    bar = rounded_box(min(0.5 * width, 0.25), 0.02, 0.02, 0.008)
    return bar.at(y=-0.01, z=0.03) if width > height * 0.8 else bar.turn("z", np.pi / 2).at(y=0.0, z=0.03)


def _books(rng: np.random.Generator, width: float, depth: float, gap: float, boards: int) -> Part:
    """A few upright books on random boards."""
    books = []
    for level in range(boards - 1):
        start = rng.uniform(-0.45, 0.1) * width
        for thick in rng.uniform(0.02, 0.06, int(rng.integers(1, 5))):
            start += thick
            books.append(
                box(thick * 0.9, gap * rng.uniform(0.5, 0.8), depth * 0.7).at(start, level * gap + 0.02, 0.02)
            )
    return part("book", *books)

"""Furniture. It shares seats, legs and backs, so only their combination tells it apart."""

import numpy as np

from adacross.data.procedural.curves import Rng, arc, chance, circle, pick, regular, smooth
from adacross.data.procedural.kit import Solid, around, both, extrude, join, lathe, sweep
from adacross.data.procedural.parts import Parts, across, named
from adacross.data.procedural.solids import box, cylinder, ellipsoid, frustum, rounded_box, tapered_box, torus

_SUPPORTS = ("four", "four", "splayed", "pedestal", "star", "runner", "panel")


def chair(rng: Rng) -> Parts:
    """A seat for one with a back and no arms."""
    width, depth, height = rng.uniform(0.38, 0.6), rng.uniform(0.38, 0.55), rng.uniform(0.3, 0.6)
    back_height = rng.uniform(0.25, 0.65)
    parts = supports(rng, width, depth, height) + seat(rng, width, depth, height)
    return parts + back(rng, width, back_height, height, -depth / 2)


def armchair(rng: Rng) -> Parts:
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
    parts = supports(rng, width, depth, height) + seat(rng, width, depth, height)
    parts += back(rng, width, rng.uniform(0.3, 0.6), height, -depth / 2)
    return parts + named(arm=both(arm, width * 0.48, height + 0.02))


def stool(rng: Rng) -> Parts:
    """A seat for one without a back; a few bar stools have a low rail."""
    width, height = rng.uniform(0.3, 0.45), rng.uniform(0.28, 0.85)
    depth = width * rng.uniform(0.75, 1.1)
    parts = supports(rng, width, depth, height) + seat(rng, width, depth, height)
    if chance(rng, 0.15):
        x, z = (arc(1.0, np.pi, 2 * np.pi, 14) * (width / 2, depth / 2)).T
        rail = sweep(np.column_stack((x, np.zeros(14), z)), rng.uniform(0.015, 0.03))
        parts += named(back=rail.at(y=height + rng.uniform(0.08, 0.14)))
    return parts


def bench(rng: Rng) -> Parts:
    """A long hard seat, often of slats, with or without a back."""
    width, depth, height = rng.uniform(0.8, 1.6), rng.uniform(0.3, 0.5), rng.uniform(0.35, 0.55)
    slats, thick = int(rng.integers(1, 5)), rng.uniform(0.025, 0.06)
    board = box(width, thick, depth / slats * (0.85 if slats > 1 else 1.0))
    parts = supports(rng, width * 0.92, depth, height, ("four", "four", "panel", "runner"))
    parts += named(seat=(board.at(y=height, z=z) for z in across(slats, depth)))
    if chance(rng, 0.45):
        parts += back(rng, width, rng.uniform(0.25, 0.5), height, -depth / 2)
    if chance(rng, 0.25):
        arm = join(box(0.05, 0.2, 0.05).at(z=depth * 0.35), box(0.06, 0.04, depth).at(y=0.2))
        parts += named(arm=both(arm, width * 0.46, height))
    return parts


def sofa(rng: Rng) -> Parts:
    """A padded seat for two or more."""
    cushions = int(rng.integers(2, 5))
    return _padded(rng, rng.uniform(0.5, 0.65) * cushions + 0.25, cushions)


def supports(
    rng: Rng, width: float, depth: float, height: float, styles: tuple[str, ...] = _SUPPORTS
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
        leaning = [leg.turn("x", -np.sign(b) * lean).turn("z", np.sign(a) * lean) for a, b in corners]
        parts = named(leg=(leg.at(a, 0, b) for leg, (a, b) in zip(leaning, corners, strict=True)))
        if chance(rng, 0.4):
            y, bar = height * rng.uniform(0.15, 0.45), thick * 0.7
            bars = [box(bar, bar, 2 * z).at(a, y, 0) for a in (-x, x)]
            bars += [box(2 * x, bar, bar).at(0, y, b) for b in ((-z, z) if chance(rng, 0.5) else (0.0,))]
            parts += named(stretcher=bars)
        return parts
    if style == "runner":
        front = [(height, z), (height * 0.12, z * 1.05), (0, z * 0.8)]
        loop = [(0, a, b) for a, b in front] + [(0, a, -b) for a, b in reversed(front)]
        return named(leg=both(sweep(smooth(loop, 16), thick * 0.7, 8), x))
    if style == "panel":
        panel = tapered_box((thick, depth * rng.uniform(0.7, 1.0)), (thick, depth), height)
        return named(leg=(panel.at(side * x * rng.uniform(0.85, 1.0)) for side in (-1, 1)))
    reach = rng.uniform(0.35, 0.55) * min(width, depth)
    post = named(leg=cylinder(thick * rng.uniform(0.7, 1.6), height * 0.96, 12).at(y=height * 0.04))
    if style == "pedestal":
        plate = [(reach, 0), (reach, 0.02), (reach * 0.5, 0.04), (thick * 2, height * rng.uniform(0.1, 0.4))]
        return post + named(foot=lathe(plate))
    prongs = int(rng.integers(3, 6))
    prong = tapered_box((thick, thick), (thick * 1.6, thick * 1.6), reach * 1.2).turn("x", np.pi / 2 - 0.1)
    prong = prong.turn("x", np.pi).at(y=height * 0.1, z=0.0)
    return post + named(foot=around(prong, prongs))


def seat(rng: Rng, width: float, depth: float, height: float) -> Parts:
    """A board, a round, a polygon or a cushion whose underside lies at `height`."""
    thick = rng.uniform(0.025, 0.06)
    style = pick(rng, ("board", "round", "cushion", "padded", "trapeze"))
    if style == "round":
        profile = [(0.8, 0), (1, thick * 0.3), (1, thick * 0.7), (0.9, thick)]
        return named(seat=lathe(profile, 24).scale(width / 2, 1, depth / 2).at(y=height))
    if style == "trapeze":
        front = rng.uniform(1.05, 1.25)
        outline = np.array([(-front, -1), (front, -1), (1, 1), (-1, 1)]) * (width / 2, depth / 2)
        return named(seat=extrude(outline, thick).turn("x", -np.pi / 2).at(y=height + thick / 2))
    if style == "padded":
        board, cushion = thick * 0.6, rounded_box(width * 0.94, thick * 1.6, depth * 0.94, thick)
        return named(seat=box(width, board, depth).at(y=height), cushion=cushion.at(y=height + board))
    solid = box(width, thick, depth) if style == "board" else rounded_box(width, thick * 2, depth, thick)
    return named(seat=solid.at(y=height))


def back(rng: Rng, width: float, rise: float, height: float, z: float) -> Parts:
    """A back of a slab, slats, rails or a hoop, leaning away from the seat."""
    style = pick(rng, ("slab", "padded", "slats", "rails", "hoop"))
    thick, lean = rng.uniform(0.018, 0.04), rng.uniform(0.0, 0.3)
    posts = both(box(thick, rise, thick), (width - thick) / 2)
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
        spots = [(x, rise * 0.93 * np.sqrt(1 - (2 * x / width) ** 2)) for x in across(5, width)]
        solids = [hoop, *(cylinder(thick * 0.3, tall, 6).at(x) for x, tall in spots)]
    return named(back=join(*solids).turn("x", -lean).at(y=height, z=z + thick))


def _leg(rng: Rng, thick: float, height: float) -> Solid:
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


def _padded(rng: Rng, width: float, cushions: int) -> Parts:
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
    panel = rounded_box(width * rng.uniform(0.85, 1.0), rise + base, 0.18, soft)
    parts = named(
        leg=(leg.at(x, 0, z) for x, z in corners),
        seat=box(width * 0.99, base, depth * 0.96).at(y=foot),
        cushion=(cushion.at(x, foot + base, depth * 0.1) for x in across(cushions, inner)),
        back=panel.at(0, foot, 0.09 - depth / 2),
        arm=both(arm_solid, (width - arm) / 2, foot),
    )
    if chance(rng, 0.5):
        spots = across(cushions, inner)
        parts += named(pillow=(pillow.at(x, foot + base + 0.1, -depth * 0.22) for x in spots))
    return parts


def table(rng: Rng) -> Parts:
    """A top on legs: square, round, long or low."""
    width, height, thick = rng.uniform(0.6, 1.6), rng.uniform(0.3, 0.95), rng.uniform(0.02, 0.06)
    depth = width * rng.uniform(0.5, 1.0)
    styles: tuple[str, ...] = ("four", "four", "splayed", "panel", "runner")
    if depth >= 0.7 * width:
        styles = ("four", "splayed", "pedestal", "star")
    reach = rng.uniform(0.7, 1.0)
    parts = supports(rng, width * reach, depth * reach, height, styles)
    outline = pick(rng, ("box", "box", "soft", "round", "polygon"))
    if outline in ("box", "soft"):
        top = box(width, thick, depth) if outline == "box" else rounded_box(width, thick, depth, thick / 2)
    else:
        sides = 24 if outline == "round" else int(pick(rng, (6, 8)))
        top = extrude(circle(sides) * 0.5, thick).turn("x", np.pi / 2).at(y=thick / 2).scale(width, 1, depth)
    parts += named(top=top.at(y=height))
    if chance(rng, 0.35) and outline in ("box", "soft"):
        parts += named(apron=box(width * 0.9, height * 0.1, depth * 0.9).at(y=height * 0.9))
    if chance(rng, 0.2):
        parts += named(shelf=box(width * 0.85 * reach, thick * 0.6, depth * 0.85 * reach).at(y=height * 0.3))
    return parts


def desk(rng: Rng) -> Parts:
    """A top with drawers beneath it or a pedestal of drawers at one or both sides."""
    width, depth, height = rng.uniform(0.9, 1.6), rng.uniform(0.5, 0.75), rng.uniform(0.6, 0.85)
    thick = rng.uniform(0.02, 0.05)
    parts = named(top=box(width, thick, depth).at(y=height))
    sides = pick(rng, ((-1,), (1,), (-1, 1), ()))
    stack = width * rng.uniform(0.2, 0.32)
    for side in sides:
        rows = int(rng.integers(2, 5))
        x = side * (width - stack) / 2 * 0.97
        lift = pick(rng, (0.0, height * 0.3))
        parts += fronts(rng, stack, height - lift, depth * 0.9, (rows, 1), x, lift)
    if len(sides) < 2:
        parts += supports(rng, width * 0.95, depth * 0.92, height, ("four", "four", "panel", "runner"))
        if not sides:
            grid = (1, int(rng.integers(2, 4)))
            parts += fronts(rng, width * 0.85, height * 0.2, depth * 0.85, grid, y=height * 0.8)
    if chance(rng, 0.4):
        parts += named(panel=box(width * 0.9, height * 0.5, thick * 0.5).at(0, height * 0.5, -depth * 0.4))
    if chance(rng, 0.3):
        walls = [box(thick, 0.3, depth * 0.3).at(x) for x in across(3, width * 1.4)]
        hutch = join(box(width, thick, depth * 0.3).at(y=0.3), *walls)
        parts += named(shelf=hutch.at(0, height + thick, -depth * 0.34))
    return parts


def nightstand(rng: Rng) -> Parts:
    """A small box on short legs with one or two drawers, sometimes an open compartment."""
    width, depth, body = rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.45), rng.uniform(0.2, 0.45)
    leg = rng.uniform(0.05, 0.35)
    parts = supports(rng, width, depth, leg, ("four", "four", "splayed", "panel"))
    parts += fronts(rng, width, body, depth, (int(rng.integers(1, 3)), 1), y=leg)
    parts += named(top=box(width * 1.06, 0.03, depth * 1.06).at(y=leg + body))
    if chance(rng, 0.3):
        parts += named(shelf=box(width * 0.9, 0.02, depth * 0.9).at(y=leg * 0.4))
    return parts


def cabinet(rng: Rng) -> Parts:
    """A closed body with doors or many drawers."""
    width, depth, body = rng.uniform(0.6, 1.3), rng.uniform(0.35, 0.6), rng.uniform(0.6, 1.7)
    leg = pick(rng, (0.0, 0.08, 0.2))
    grid = pick(rng, ((1, 2), (1, 2), (1, 3), (3, 1), (4, 1), (3, 2), (5, 1), (2, 2)))
    parts = fronts(rng, width, body, depth, grid, y=leg)
    if leg:
        parts += supports(rng, width, depth, leg, ("four", "splayed"))
    else:
        parts += named(base=box(width * 0.95, 0.08, depth * 0.9).at(y=-0.08))
    if chance(rng, 0.5):
        parts += named(top=box(width * 1.08, 0.04, depth * 1.08).at(y=leg + body))
    return parts


def shelf(rng: Rng) -> Parts:
    """Open boards between sides or posts, some with a back, dividers or a few books."""
    width, depth, height = rng.uniform(0.5, 1.3), rng.uniform(0.22, 0.45), rng.uniform(0.6, 1.9)
    boards, thick = int(rng.integers(3, 7)), rng.uniform(0.015, 0.035)
    gap = (height - thick) / (boards - 1)
    parts = named(board=(box(width, thick, depth).at(y=k * gap + 0.001) for k in range(boards)))
    if chance(rng, 0.65):
        parts += named(side=both(box(thick, height, depth * 1.01), width / 2))
        if chance(rng, 0.5):
            parts += named(back=box(width, height * 0.98, 0.012).at(z=-depth / 2))
    else:
        post = cylinder(thick * 0.8, height * 1.03, 8)
        corners = [(x, z) for x in (-0.48, 0.48) for z in (-0.45, 0.45)]
        parts += named(leg=(post.at(x * width, 0, z * depth) for x, z in corners))
    if chance(rng, 0.35):
        walls = across(int(rng.integers(2, 4)), width)
        parts += named(divider=(box(thick, height * 0.98, depth * 0.95).at(x) for x in walls))
    elif chance(rng, 0.5):
        books = []
        for level in range(boards - 1):
            start = rng.uniform(-0.45, 0.1) * width
            for thick in rng.uniform(0.02, 0.06, int(rng.integers(1, 5))):
                start += thick
                book = box(thick * 0.9, gap * rng.uniform(0.5, 0.8), depth * 0.7)
                books.append(book.at(start, level * gap + 0.02, 0.02))
        parts += named(book=books)
    return parts


def bed(rng: Rng) -> Parts:
    """A frame with mattress, pillows and a headboard, for one or two."""
    width, length, leg = rng.uniform(0.8, 1.9), rng.uniform(1.8, 2.1), rng.uniform(0.05, 0.3)
    frame, mattress = rng.uniform(0.08, 0.25), rng.uniform(0.12, 0.3)
    rise, level = rng.uniform(0.3, 0.9), leg + frame
    parts = supports(rng, width, length, leg, ("four", "four", "panel"))
    parts += named(frame=box(width, frame, length).at(y=leg))
    parts += named(mattress=rounded_box(width * 0.95, mattress, length * 0.95, 0.06).at(y=level))
    head = box(width, rise + level, 0.06)
    if chance(rng, 0.4):
        bars = [box(0.05, rise + level, 0.05).at(x) for x in across(int(rng.integers(4, 8)), width * 1.1)]
        head = join(box(width, 0.08, 0.07).at(y=rise + level), *bars)
    parts += named(headboard=head.at(z=-length / 2))
    if chance(rng, 0.5):
        foot = box(width, level + mattress * rng.uniform(0.6, 1.6), 0.05)
        parts += named(footboard=foot.at(z=length / 2))
    pillows = 1 if width < 1.2 else 2
    pillow = rounded_box(width / pillows * 0.75, 0.12, 0.38, 0.06).turn("x", 0.15)
    spots = across(pillows, width * 0.92)
    parts += named(pillow=(pillow.at(x, level + mattress, 0.32 - length / 2) for x in spots))
    if chance(rng, 0.5):
        blanket = rounded_box(width * 1.02, mattress * 0.9, length * rng.uniform(0.4, 0.65), 0.05)
        parts += named(blanket=blanket.at(y=level + mattress * 0.2, z=length * 0.16))
    return parts


def lamp(rng: Rng) -> Parts:
    """A table, floor or desk lamp: base, stem and shade."""
    height, base = rng.uniform(0.4, 1.5), rng.uniform(0.1, 0.2)
    size = min(1.0, height / 0.7)
    low, drop = size * rng.uniform(0.12, 0.3), size * rng.uniform(0.12, 0.3)
    high = low * rng.uniform(0.3, 1.0)
    profile = [(low, 0), (high, drop), (high - 0.01, drop), (low - 0.01, 0)]
    shade = lathe(profile, int(pick(rng, (24, 24, 6))), wrap=True)
    foot = lathe([(base, 0), (base, 0.02), (base * 0.6, 0.035), (0.012, 0.05)], 24)
    if chance(rng, 0.3):
        foot = extrude(regular(4, base * 1.3, 4), 0.03).turn("x", np.pi / 2).turn("y", np.pi / 4).at(y=0.015)
    style = pick(rng, ("straight", "body", "arm", "bow"))
    if style == "arm":
        elbow, head = (0.0, height * 0.5, -0.12), (0.0, height * 0.72, 0.25)
        stem = join(sweep([(0, 0.02, 0), elbow], 0.012, 8), sweep([elbow, head], 0.012, 8))
        cone = shade.scale(0.6, 0.6, 0.6).turn("x", -rng.uniform(0.2, 0.9))
        return named(foot=foot, stem=stem, shade=cone.at(0, height * 0.72 - drop * 0.5, 0.28))
    if style == "bow":
        reach = rng.uniform(0.25, 0.5)
        knots = [(0, 0.02, 0), (0, height * 0.8, 0), (0, height, reach * 0.5), (0, height * 0.85, reach)]
        path = smooth(knots, 16)
        return named(foot=foot, stem=sweep(path, 0.014, 8), shade=shade.at(0, height * 0.85 - drop, reach))
    stem = cylinder(rng.uniform(0.008, 0.02), height, 10)
    parts = named(foot=foot, stem=stem, shade=shade.at(y=height - drop * 0.8))
    if style == "body":
        swell = rng.uniform(0.03, 0.14, 5) * min(1.0, height / 0.9)
        body = smooth(np.column_stack((swell, np.linspace(0.02, height * 0.65, 5))), 14)
        parts[1:2] = named(stem=[stem, lathe(np.maximum(body, (0.01, 0.0)))])
    else:
        parts += named(bulb=ellipsoid(0.04, 0.05, 0.04, 12).at(y=height - drop * 0.4))
    return parts


def fronts(
    rng: Rng, width: float, height: float, depth: float, grid: tuple[int, int], x: float = 0.0, y: float = 0.0
) -> Parts:
    """A closed body at `(x, y)` with rows and columns (`grid`) of drawers or doors, each with a handle."""
    body, (rows, columns) = box(width, height, depth).at(x, y), grid
    cell_x, cell_y = width / columns, height / rows
    front = box(cell_x * 0.92, cell_y * 0.9, 0.02)
    grip = _grip(rng, cell_x, cell_y)
    spots = [(x + a, y + height / 2 + b) for a in across(columns, width) for b in across(rows, height)]
    name = "drawer" if cell_y < cell_x * 1.2 else "door"
    doors = {name: [front.at(a, b - cell_y * 0.45, depth / 2) for a, b in spots]}
    return named(body=body, **doors, handle=[grip.at(a, b, depth / 2 + 0.01) for a, b in spots])


def _grip(rng: Rng, width: float, height: float) -> Solid:
    """A knob, a bar or a ring to pull at, facing z."""
    style = pick(rng, ("knob", "bar", "ring"))
    if style == "knob":
        return lathe([(0.01, 0), (0.01, 0.02), (0.022, 0.03), (0.018, 0.045)], 10).turn("x", np.pi / 2)
    if style == "ring":
        return torus(0.03, 0.006, 12, 6).turn("x", np.pi / 2).at(z=0.012)
    bar = rounded_box(min(0.5 * width, 0.25), 0.02, 0.02, 0.008)
    return bar.at(y=-0.01, z=0.03) if width > height * 0.8 else bar.turn("z", np.pi / 2).at(y=0.0, z=0.03)

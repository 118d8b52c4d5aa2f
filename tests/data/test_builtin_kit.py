"""The kit's solids against closed forms, and their skins against holes and wrong winding."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from adacross.data.procedural import kit, solids
from adacross.data.procedural.curves import arc, circle, regular, smooth
from adacross.data.procedural.kit import Solid, join, rotation, volume

HELIX = [(np.cos(t), 0.2 * t, np.sin(t)) for t in np.linspace(0, 9, 60)]
SOLIDS: dict[str, Callable[[], Solid]] = {
    "box": lambda: solids.box(1.0, 2.0, 3.0),
    "tapered_box": lambda: solids.tapered_box((2.0, 1.0), (1.0, 0.2), 1.5, 0.3),
    "cylinder": lambda: solids.cylinder(0.5, 2.0),
    "frustum": lambda: solids.frustum(1.0, 0.2, 2.0),
    "lathe_cup": lambda: kit.lathe([(0.5, 0), (1, 1), (0.9, 1), (0.4, 0.1)]),
    "lathe_downward": lambda: kit.lathe([(0.0, 1.0), (1.0, 0.5), (0.0, 0.0)]),
    "torus": lambda: solids.torus(1.0, 0.3),
    "ellipsoid": lambda: solids.ellipsoid(1.0, 2.0, 0.5),
    "sweep": lambda: kit.sweep(HELIX, 0.1),
    "tube": lambda: kit.tube([(0, 0, 0), (0, 1, 0), (0.5, 2, 0)], 0.3, 0.2),
    "extrude": lambda: kit.extrude(regular(5, 1.0, 5), 0.4),
    "ribbon": lambda: kit.ribbon([(0, 0), (0, 1), (0.3, 2)], [(1, 0), (1, 1), (0.5, 2)], 0.1),
    "ribbon_ring": lambda: kit.ribbon(regular(6, 1.0, 24), 0.5 * circle(24), 0.2, wrap=True),
    "rounded_box": lambda: solids.rounded_box(1.0, 2.0, 3.0, 0.2),
}


def area(solid: Solid) -> float:
    a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2


@pytest.mark.parametrize("name", SOLIDS)
def test_every_edge_is_met_once_in_each_direction_and_the_inside_is_inside(name: str) -> None:
    solid = SOLIDS[name]()
    # By position, not by index: the rounded box has seams that coincide without being welded.
    _, index = np.unique(np.round(solid.vertices, 9), axis=0, return_inverse=True)
    faces = index.reshape(-1)[solid.faces]
    edges = Counter((int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3))
    assert all(count == 1 and edges[b, a] == 1 for (a, b), count in edges.items())
    assert volume(solid) > 0


def test_box_has_the_size_it_was_asked_for() -> None:
    solid = solids.box(1.0, 2.0, 3.0)
    assert volume(solid) == pytest.approx(6.0)
    assert area(solid) == pytest.approx(22.0)
    assert np.allclose((solid.vertices.min(0), solid.vertices.max(0)), ((-0.5, 0, -1.5), (0.5, 2, 1.5)))


def test_tapered_box_is_a_prismatoid() -> None:
    # Simpson's rule over height is exact here; the shift shears the box and keeps its volume.
    bottom, top, middle = 2.0 * 1.0, 1.0 * 0.2, 1.5 * 0.6
    solid = solids.tapered_box((2.0, 1.0), (1.0, 0.2), 1.5, 0.3)
    assert volume(solid) == pytest.approx(1.5 / 6 * (bottom + 4 * middle + top), rel=0.03)


def test_round_solids_approach_their_closed_forms() -> None:
    fine = 256
    pi = np.pi
    assert volume(solids.cylinder(0.5, 2.0, fine)) == pytest.approx(pi * 0.25 * 2, rel=1e-3)
    assert area(solids.cylinder(0.5, 2.0, fine)) == pytest.approx(2 * pi * 0.25 + 2 * pi * 0.5 * 2, rel=1e-3)
    assert volume(solids.frustum(1.0, 0.2, 2.0, fine)) == pytest.approx(
        pi * 2 / 3 * (1 + 0.2 + 0.04), rel=1e-3
    )
    assert volume(solids.ellipsoid(1.0, 2.0, 0.5, fine)) == pytest.approx(4 / 3 * pi, rel=1e-3)
    assert volume(solids.torus(1.0, 0.3, fine, fine)) == pytest.approx(2 * pi**2 * 0.09, rel=1e-3)
    assert area(solids.torus(1.0, 0.3, fine, fine)) == pytest.approx(4 * pi**2 * 0.3, rel=1e-3)


def test_a_hollow_lathe_and_a_tube_hold_only_their_walls() -> None:
    cup = kit.lathe([(1.0, 0.0), (1.0, 2.0), (0.9, 2.0), (0.9, 0.1)], 256)
    assert volume(cup) == pytest.approx(np.pi * (2.0 - 0.81 * 1.9), rel=1e-3)
    pipe = kit.tube([(0, 0, 0), (0, 3, 0)], 0.5, 0.4, 256)
    assert volume(pipe) == pytest.approx(np.pi * (0.25 - 0.16) * 3, rel=1e-3)


def test_a_bent_sweep_obeys_pappus() -> None:
    path = np.column_stack((arc(2.0, 0.0, np.pi / 2, 200), np.zeros(200)))
    assert volume(kit.sweep(path, 0.3, 128)) == pytest.approx(np.pi * 0.09 * np.pi, rel=2e-3)


def test_an_elliptic_sweep_is_wide_across_the_plane_of_its_path() -> None:
    path = np.column_stack((arc(2.0, 0.0, np.pi, 50), np.zeros(50)))
    solid = kit.sweep(path, np.full((50, 2), (0.5, 0.1)), 40)
    assert solid.vertices[:, 2].max() == pytest.approx(0.5, rel=1e-2)
    assert np.linalg.norm(solid.vertices[:, :2], axis=1).max() == pytest.approx(2.1, rel=1e-2)


def test_ring_and_prism_volumes() -> None:
    ring = kit.ribbon(2.0 * circle(256), circle(256), 0.5, wrap=True)
    assert volume(ring) == pytest.approx(np.pi * 3 * 0.5, rel=1e-3)
    hexagon = kit.extrude(regular(6, 1.0, 6), 0.5)
    assert volume(hexagon) == pytest.approx(1.5 * np.sqrt(3) * 0.5)


def test_rounded_box_is_a_box_swept_by_a_ball() -> None:
    x, y, z, r = 1.0, 2.0, 3.0, 0.2
    a, b, c = x - 2 * r, y - 2 * r, z - 2 * r
    exact = a * b * c + 2 * r * (a * b + b * c + c * a) + np.pi * r**2 * (a + b + c) + 4 / 3 * np.pi * r**3
    solid = solids.rounded_box(x, y, z, r, steps=24)
    assert volume(solid) == pytest.approx(exact, rel=1e-3)
    assert np.allclose((solid.vertices.min(0), solid.vertices.max(0)), ((-0.5, 0, -1.5), (0.5, 2, 1.5)))


def test_a_mirror_keeps_the_winding_outward() -> None:
    solid = solids.tapered_box((1.0, 1.0), (0.5, 0.2), 1.0)
    assert volume(solid.scale(x=-2.0)) == pytest.approx(2 * volume(solid))
    assert volume(solid.scale(x=-1.0, z=-1.0)) == pytest.approx(volume(solid))


def test_turns_follow_the_right_hand() -> None:
    assert np.allclose(rotation("y", np.pi / 2) @ (0, 0, 1), (1, 0, 0))
    assert np.allclose(rotation("z", np.pi / 2) @ (1, 0, 0), (0, 1, 0))
    assert np.allclose(rotation("x", np.pi / 2) @ (0, 1, 0), (0, 0, 1))


def test_joining_adds_volumes_and_shifts_indices() -> None:
    both = join(solids.box(1.0, 1.0, 1.0), solids.cylinder(0.5, 1.0).at(x=3.0))
    assert volume(both) == pytest.approx(
        volume(solids.box(1.0, 1.0, 1.0)) + volume(solids.cylinder(0.5, 1.0))
    )
    assert both.faces.max() == len(both.vertices) - 1


def test_smooth_meets_its_knots_and_keeps_straight_lines_straight() -> None:
    knots = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0), (4.0, 4.0)])
    curve = smooth(knots, 31)
    assert np.allclose(curve[[0, 10, 20, 30]], knots)
    line = smooth([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)], 9)
    assert np.allclose(line, np.linspace(0, 2, 9)[:, None])


def test_regular_polygon_has_its_corners_and_flats() -> None:
    outline = regular(6, 1.0, 24)
    radii = np.linalg.norm(outline, axis=1)
    assert np.allclose(radii[::4], 1.0)
    assert np.allclose(radii[2::4], np.cos(np.pi / 6))

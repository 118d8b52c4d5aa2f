"""Distances to triangles and alignment: against a slow reference, compiled and plain."""

from dataclasses import replace

import numpy as np
import pytest

from adacross.data.procedural import make_composite, make_mesh
from adacross.data.procedural.kit import rotation
from adacross.data.procedural.solids import box, torus
from adacross.data.shape import Mesh
from adacross.duplicates.align import fit
from adacross.duplicates.surface import Surface
from adacross.duplicates.triangles import Triangles, closest_in_triangles
from adacross.version import KERNELS


@pytest.mark.parametrize("kernels", ["1", "0"])
@pytest.mark.parametrize("count", [1, 7, 500])
def test_the_nearest_point_is_that_of_all_triangles(
    kernels: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KERNELS, kernels)
    rng = np.random.default_rng(count)
    corners, points = rng.normal(size=(count, 3, 3)), rng.normal(size=(300, 3)) * 2
    everything = closest_in_triangles(points[:, None], np.broadcast_to(corners, (300, *corners.shape)))
    expected = np.linalg.norm(everything - points[:, None], axis=2).min(1)
    found, distance, _ = Triangles.of(corners).closest(points)
    assert np.allclose(distance, expected)
    assert np.allclose(np.linalg.norm(found - points, axis=1), expected)


MOLD = 4  # a shape without symmetry


def test_the_nearest_point_of_a_triangle_is_that_of_a_fine_grid() -> None:
    rng = np.random.default_rng(0)
    corners, points = rng.normal(size=(200, 1, 3, 3)), rng.normal(size=(200, 1, 3))
    u, v = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60))
    inside = u + v <= 1
    weights = np.stack([1 - u - v, u, v], -1)[inside]
    grid = np.einsum("gc,ncd->ngd", weights, corners[:, 0])
    coarse = np.linalg.norm(grid - points, axis=2).min(1)
    exact = np.linalg.norm(closest_in_triangles(points, corners) - points, axis=2)[:, 0]
    assert (exact <= coarse + 1e-9).all()
    assert (exact >= coarse - 0.1).all()


SOLIDS = {"cube": box(1, 1, 1), "plate": box(1, 0.1, 1), "ring": torus(1, 0.3)}


@pytest.mark.parametrize("name", ["teapot", "wrench", "gear", *SOLIDS])
def test_a_turned_copy_lies_on_its_original(name: str) -> None:
    solid = SOLIDS.get(name)
    mesh = Mesh(solid.vertices, solid.faces) if solid else make_mesh(name, 3)
    turned = replace(mesh, vertices=mesh.vertices @ (rotation("z", 1.1) @ rotation("y", 0.4)).T * 3 + 1)
    found = fit(Surface.of(turned), Surface.of(mesh), mirrored=False, enough=1e-6)
    assert found.distance < (0.02 if name in ("gear", "ring") else 1e-3)  # between teeth, or facets, it turns
    assert not found.mirrored


def test_a_mirrored_copy_needs_a_mirror() -> None:
    mesh = make_composite(MOLD)
    other = Surface.of(replace(mesh, vertices=mesh.vertices * (1, 1, -1)))
    found = fit(other, Surface.of(mesh), mirrored=True, enough=1e-6)
    assert found.distance < 1e-3
    assert found.mirrored
    assert fit(other, Surface.of(mesh), mirrored=False, enough=1e-6).distance > 0.005


def test_a_stretched_copy_is_near_and_another_part_is_not() -> None:
    mesh = make_composite(MOLD)
    stretched = replace(mesh, vertices=mesh.vertices * (1, 1.05, 1))
    assert fit(Surface.of(stretched), Surface.of(mesh), mirrored=True, enough=1e-6).distance < 0.02
    assert (
        fit(Surface.of(make_mesh("hammer", 1)), Surface.of(mesh), mirrored=True, enough=1e-6).distance > 0.05
    )

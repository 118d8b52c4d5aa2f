"""Rotation-free moments: closed forms, and what they must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
from trimesh.remesh import subdivide

from adacross.data.formats.invariants import PROFILE, Signature, frame, signature
from adacross.data.procedural import make_composite, make_mesh
from adacross.data.procedural.kit import rotation
from adacross.data.procedural.solids import box
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud

TURN = rotation("x", 0.7) @ rotation("y", 2.1)

MOLD = 4  # a shape without symmetry


def subdivided(mesh: Mesh) -> Mesh:
    """The same surface, each triangle cut into four."""
    return Mesh(*subdivide(mesh.vertices, mesh.faces))


def test_the_moments_of_a_cube_are_those_of_its_integrals() -> None:
    solid = box(2, 2, 2)
    cube = Mesh(solid.vertices + 5, solid.faces)
    center, size, second = frame(cube)
    assert np.allclose(center, (5, 6, 5))
    assert np.isclose(size**2, 5 / 3)  # a side at distance 1: 1 + 2/3
    assert np.allclose(second, np.eye(3) / 3)
    # over the surface <x^4> = (2 * 1 + 4 * 1/5) / 6 = 7/15 and <x^2 y^2> = (4 * 1/3 + 2 * 1/9) / 6 = 7/27
    fourth = signature(cube).invariants[8] * size**8
    assert np.isclose(fourth, 3 * (7 / 15) ** 2 + 18 * (7 / 27) ** 2)


def test_the_signature_does_not_depend_on_frame_unit_or_mesh() -> None:
    mesh = make_composite(MOLD)
    one = signature(mesh)
    turned = replace(mesh, vertices=mesh.vertices @ TURN.T * 25.4 + 100)
    for other in (turned, subdivided(turned)):
        found = signature(other)
        assert np.allclose(found.invariants, one.invariants, atol=1e-9)
        assert np.isclose(found.handedness, one.handedness)
        assert np.isclose(found.size / one.size, 25.4)
        assert np.abs(found.profile - one.profile).mean() < 0.02
    other = signature(make_mesh("jug", 1))
    assert np.abs(other.invariants - one.invariants).max() > 1e-3
    assert np.abs(other.profile - one.profile).mean() > 0.03


def test_a_signature_is_read_as_it_was_stored() -> None:
    one = signature(make_composite(MOLD))
    found = Signature.read(one.stored())
    assert found is not None
    assert (found.size, found.handedness) == (one.size, one.handedness)
    assert np.array_equal(found.invariants, one.invariants)
    assert np.array_equal(found.profile, one.profile)
    assert len(found.profile) == PROFILE
    assert Signature.read(None) is None
    assert Signature.read([1.0]) is None


def test_many_triangles_are_summed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    one = signature(make_composite(MOLD))
    monkeypatch.setattr("adacross.data.formats.invariants._BLOCK", 7)
    other = signature(make_composite(MOLD))
    assert np.allclose(one.invariants, other.invariants)
    assert np.isclose(one.size, other.size)


def test_a_mirror_shows_in_the_handedness_alone() -> None:
    mesh = make_composite(MOLD)
    one, other = signature(mesh), signature(replace(mesh, vertices=mesh.vertices * (-1, 1, 1)))
    assert np.allclose(one.invariants, other.invariants)
    assert np.isclose(one.handedness, -other.handedness)
    assert abs(one.handedness) > 1e-6


def test_what_has_no_extent_is_refused() -> None:
    with pytest.raises(BrokenShapeError, match="no face has an area"):
        signature(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))
    with pytest.raises(BrokenShapeError, match="all points coincide"):
        signature(PointCloud(np.ones((5, 3))))

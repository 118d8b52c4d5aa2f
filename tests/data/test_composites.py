"""Nameless shapes: reproducible, valid for any seed, without what no ray can reach."""

from pathlib import Path

import numpy as np
import pytest

from adacross.data.formats.builtin import Builtin
from adacross.data.procedural import make_composite
from adacross.data.procedural.composites import _gauge, _outside, _Piece, _primitive
from adacross.data.procedural.kit import Solid, rotation, volume
from adacross.data.procedural.solids import box


def test_every_shape_is_valid() -> None:
    kinds: set[str] = set()
    for seed in range(30):
        mesh = make_composite(seed)
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert mesh.face_parts is not None
        assert np.array_equal(np.unique(mesh.face_parts), np.arange(len(mesh.part_names)))
        assert np.linalg.norm(np.ptp(mesh.vertices, axis=0)) < 20
        kinds.update(mesh.part_names)
    names = {"box", "cone", "cut", "cylinder", "ellipsoid", "prism", "superquadric", "torus", "wire"}
    assert kinds == names


def test_a_seed_whose_cut_takes_all_there_is_draws_again() -> None:
    mesh = make_composite(1717)
    assert len(mesh.faces) > 0
    assert mesh.face_parts is not None
    assert mesh.part_names


def test_the_same_seed_gives_the_same_shape() -> None:
    first, again, other = make_composite(3), make_composite(3), make_composite(4)
    assert np.array_equal(first.vertices, again.vertices)
    assert first.face_colors is not None
    assert again.face_colors is not None
    assert np.array_equal(first.face_colors, again.face_colors)
    assert first.vertices.shape != other.vertices.shape or not np.allclose(first.vertices, other.vertices)


@pytest.mark.parametrize("seed", range(12))
def test_the_level_of_a_primitive_is_1_on_its_surface(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rotation("x", 0.4) @ np.diag((0.5, -0.3, 0.8))  # mirrored, too
    piece = _primitive(rng).moved(matrix, np.array((0.1, -0.2, 0.3)))
    tolerance = 0.05 if piece.name == "torus" else 1e-9  # a torus of flat faces
    assert np.allclose(piece.level(piece.solid.vertices), 1, atol=tolerance)
    assert volume(piece.solid) > 0
    middle = piece.solid.vertices * 0.999 + 0.001 * piece.solid.vertices.mean(0)
    if piece.name != "torus":
        assert (piece.level(middle) < 1).all()


def test_what_lies_inside_another_piece_is_left_out() -> None:
    cube = box(1, 1, 1).at(y=-0.5)
    level = _gauge("box", np.random.default_rng(0))
    half = _Piece("box", cube, lambda points: level(points) / 0.5)
    inner = box(0.5, 0.5, 0.5).at(y=-0.25)
    assert len(_outside(inner, [half.level]).faces) == 0
    through = box(0.5, 3, 0.5).at(y=-1.5)
    assert len(_outside(through, [half.level]).faces) == len(through.faces)
    assert isinstance(_outside(cube, []), Solid)


def test_they_are_a_source_without_labels() -> None:
    found = Builtin("composite", count=5, seed=2)
    index = found.find(Path("builtin"))
    assert [item.id for item in index.items][:2] == ["composite/00000", "composite/00001"]
    assert index.classes == []
    assert {item.label for item in index.items} == {-1}
    assert all(name.startswith("composite/") for name in found.load(index.items[0]).part_names)

"""Built-in meshes: reproducible, valid for any seed, and not told apart by color."""

from functools import cache

import numpy as np
import pytest

from adacross.data.procedural import CATEGORIES, make_mesh
from adacross.data.procedural.kit import Solid, rotation, volume
from adacross.data.procedural.parts import palette, vary
from adacross.data.sampling import face_areas
from adacross.data.shape import Mesh
from adacross.errors import UserError

SEEDS = range(20)
SMALLEST_FACE = 1e-9
"""Area of the smallest face allowed, in squared diagonals of the mesh."""


@cache
def made(category: str, seed: int) -> Mesh:
    """Most tests look at the same meshes; making them under a type checker is what takes the time."""
    return make_mesh(category, seed)


def mean_color(mesh: Mesh) -> np.ndarray:
    weights = face_areas(mesh)
    assert mesh.face_colors is not None
    return (mesh.face_colors * weights[:, None]).sum(0) / weights.sum()


def test_there_are_many_categories() -> None:
    assert len(CATEGORIES) >= 28
    assert list(CATEGORIES) == sorted(set(CATEGORIES))


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_mesh_is_valid(category: str) -> None:
    for seed in SEEDS:
        mesh = made(category, seed)
        assert mesh.vertices.dtype == np.float64
        assert np.isfinite(mesh.vertices).all()
        assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices))), (
            "a vertex is unused or missing"
        )
        assert mesh.face_parts is not None
        assert mesh.face_colors is not None
        assert len(mesh.face_parts) == len(mesh.face_colors) == len(mesh.faces)
        assert np.array_equal(np.unique(mesh.face_parts), np.arange(len(mesh.part_names))), (
            "a named part is unused"
        )
        diagonal = float((np.ptp(mesh.vertices, axis=0) ** 2).sum())
        assert face_areas(mesh).min() > SMALLEST_FACE * diagonal
        for part in range(len(mesh.part_names)):
            skin = Solid(mesh.vertices, mesh.faces[mesh.face_parts == part])
            assert volume(skin) > 0, f"{mesh.part_names[part]} of seed {seed} is inside out"


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_same_seed_gives_the_same_mesh_and_another_seed_another(category: str) -> None:
    first, again, other = make_mesh(category, 3), make_mesh(category, 3), make_mesh(category, 4)
    assert np.array_equal(first.vertices, again.vertices)
    assert np.array_equal(first.faces, again.faces)
    assert np.array_equal(first.face_colors, again.face_colors)
    assert first.part_names == again.part_names
    assert first.vertices.shape != other.vertices.shape or not np.allclose(first.vertices, other.vertices)


def test_categories_do_not_share_their_dice() -> None:
    assert make_mesh("mug", 0).vertices[0, 0] != make_mesh("jug", 0).vertices[0, 0]


def test_shapes_of_a_category_differ_in_their_parts() -> None:
    varied = sum(len({made(category, seed).part_names for seed in SEEDS}) > 1 for category in CATEGORIES)
    assert varied >= 0.6 * len(CATEGORIES)


def test_extents_overlap_between_neighbors() -> None:
    def heights(category: str) -> np.ndarray:
        sizes = [np.ptp(made(category, seed).vertices, axis=0) for seed in SEEDS]
        return np.array([size[1] / np.hypot(size[0], size[2]) for size in sizes])

    for one, other in (
        ("stool", "chair"),
        ("mug", "jug"),
        ("desk", "table"),
        ("car", "truck"),
        ("nut", "gear"),
    ):
        a, b = heights(one), heights(other)
        assert a.min() < np.median(b) < a.max()
        assert b.min() < np.median(a) < b.max()


def test_color_does_not_tell_the_category() -> None:
    colors = np.array([[mean_color(made(c, seed)) for seed in SEEDS] for c in CATEGORIES])
    centroids = colors[:, :10].mean(1)
    distance = ((colors[:, 10:, None] - centroids) ** 2).sum(-1)
    hits = (distance.argmin(-1) == np.arange(len(CATEGORIES))[:, None]).mean()
    # Chance is 1 in 44; 440 guesses spread by about 0.7 points.
    assert hits < 0.06


def test_parts_of_a_shape_are_mostly_told_apart_by_color() -> None:
    rng = np.random.default_rng(0)
    differ = [len(np.unique(palette(4, rng), axis=0)) == 4 for _ in range(50)]
    assert np.mean(differ) > 0.9


def test_variation_is_mild_and_keeps_handedness() -> None:
    corners = np.array([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
    for seed in range(50):
        moved = vary(corners, np.random.default_rng(seed))
        assert np.linalg.det(moved[1:] - moved[0]) > 0
        assert 0.4 < np.ptp(moved, axis=0).max() < 3.0


@pytest.mark.slow
def test_yaw_covers_the_circle() -> None:
    # A bus is long along z before its yaw.
    angles = []
    for seed in range(200):
        flat = make_mesh("bus", seed).vertices[:, ::2]
        axis = np.linalg.eigh(np.cov(flat.T))[1][:, 1]
        angles.append(np.arctan2(axis[1], axis[0]) % np.pi)
    counts = np.histogram(angles, bins=4, range=(0, np.pi))[0]
    assert counts.min() >= 30


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"Did you mean 'chair'.*airplane.*wrench"):
        make_mesh("chairr", 0)
    with pytest.raises(UserError, match="0 or more, got -1"):
        make_mesh("chair", -1)


def test_rotation_is_proper() -> None:
    matrix = rotation("y", 0.7)
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1.0)

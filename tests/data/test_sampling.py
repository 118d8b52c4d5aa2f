import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacross.data.sampling import face_areas, sample_surface, to_y_up, unit_sphere
from adacross.data.shape import BrokenShapeError, Mesh

# A square of area 1 at z = 0 (two triangles), a triangle of area 3 at z = 5, and one without area.
MESH = Mesh(
    vertices=np.array(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 2, 5]], dtype=np.float64
    ),
    faces=np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [0, 1, 1]], dtype=np.int64),
    face_colors=np.array([[10, 0, 0], [20, 0, 0], [30, 0, 0], [40, 0, 0]], dtype=np.uint8),
    face_parts=np.array([0, 0, 1, 2], dtype=np.int64),
    part_names=("square", "triangle", "nothing"),
)


def test_areas() -> None:
    np.testing.assert_allclose(face_areas(MESH), [0.5, 0.5, 3.0, 0.0])


def test_faces_are_hit_in_proportion_to_their_area() -> None:
    cloud = sample_surface(MESH, 40_000, np.random.default_rng(0))
    assert cloud.part is not None
    assert cloud.colors is not None
    assert cloud.normals is not None
    counts = np.bincount(cloud.part, minlength=3)
    assert counts[2] == 0
    assert abs(counts[1] / 40_000 - 0.75) < 0.01  # 4.6 standard deviations
    np.testing.assert_array_equal(cloud.part == 1, cloud.points[:, 2] > 4)
    np.testing.assert_array_equal(cloud.part == 1, cloud.colors[:, 0] == 30)
    np.testing.assert_allclose(cloud.normals, np.tile([0, 0, 1], (40_000, 1)), atol=1e-6)


def test_points_are_uniform_within_a_face() -> None:
    cloud = sample_surface(MESH, 40_000, np.random.default_rng(1))
    x, y = cloud.points[cloud.points[:, 2] > 4, :2].T
    assert (x >= 0).all()
    assert (y >= 0).all()
    assert (x / 3 + y / 2 <= 1 + 1e-6).all()
    # A uniform triangle has its mean at the centroid and a variance of side^2 / 18 along each leg.
    np.testing.assert_allclose([x.mean(), y.mean()], [1, 2 / 3], atol=0.02)
    np.testing.assert_allclose([x.var(), y.var()], [9 / 18, 4 / 18], rtol=0.03)


def test_same_generator_same_points() -> None:
    a, b = (sample_surface(MESH, 50, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a.points, b.points)


@pytest.mark.parametrize("faces", [np.zeros((0, 3)), np.array([[0, 1, 1], [2, 2, 2]])])
def test_surface_without_area_is_broken(faces: np.ndarray) -> None:
    with pytest.raises(BrokenShapeError, match="no face has an area"):
        sample_surface(Mesh(MESH.vertices, faces.astype(np.int64)), 5, np.random.default_rng(0))


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e6), st.floats(-1e6, 1e6))
def test_unit_sphere_is_normal_and_can_be_undone(seed: int, size: float, shift: float) -> None:
    points = np.random.default_rng(seed).normal(size=(20, 3)) * size + shift
    normal, center, scale = unit_sphere(points)
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1).max(), 1, rtol=1e-6)
    np.testing.assert_allclose(normal * scale + center, points, atol=1e-6 * size + 1e-9 * abs(shift))


@pytest.mark.parametrize("points", [np.ones((4, 3)), np.full((4, 3), np.nan), np.zeros((0, 3))])
def test_points_that_are_no_shape(points: np.ndarray) -> None:
    with pytest.raises(BrokenShapeError):
        unit_sphere(points)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_up_becomes_y_without_mirroring(up: str) -> None:
    basis = np.eye(3)
    turned = to_y_up(basis, up)
    np.testing.assert_array_equal(turned["xyz".index(up)], [0, 1, 0])
    assert np.linalg.det(turned) == pytest.approx(1)

"""Cameras: where they stand, what they see, and that their two descriptions of a pixel agree."""

import math

import numpy as np
import pytest

from adacross.data.rendering.camera import ELEVATIONS, FIELD_OF_VIEW, Camera, orbit
from adacross.errors import UserError


def polar(camera: Camera) -> tuple[float, float, float]:
    x, y, z = camera.position
    distance = math.sqrt(x * x + y * y + z * z)
    return math.degrees(math.atan2(x, z)) % 360, math.degrees(math.asin(y / distance)), distance


def test_orbit_is_one_even_turn_at_one_height() -> None:
    azimuth, elevation, distance = np.array([polar(camera) for camera in orbit(8)]).T
    assert np.allclose(np.diff(azimuth) % 360, 45)
    assert np.allclose(elevation, 27.5)
    assert np.allclose(distance, distance[0])


def test_orbit_holds_the_unit_sphere_exactly() -> None:
    """The tangent cone from the camera to the unit sphere has the field of view's opening angle."""
    for camera in orbit(3):
        assert math.isclose(2 * math.degrees(math.asin(1 / polar(camera)[2])), FIELD_OF_VIEW)


def test_orbit_with_a_generator_stays_in_its_steps_and_repeats() -> None:
    cameras = orbit(12, np.random.default_rng(3))
    azimuth, elevation, _ = np.array([polar(camera) for camera in cameras]).T
    assert (np.floor(azimuth / 30) == np.arange(12)).all()
    assert ((elevation >= ELEVATIONS[0] - 1e-9) & (elevation <= ELEVATIONS[1] + 1e-9)).all()
    assert np.ptp(elevation) > 0.5
    assert cameras == orbit(12, np.random.default_rng(3))
    assert cameras != orbit(12, np.random.default_rng(4))


def test_orbit_of_nothing_is_a_user_error() -> None:
    with pytest.raises(UserError, match="at least 1"):
        orbit(0)


@pytest.mark.parametrize("camera", [*orbit(5), Camera((0.0, 3.0, 0.0)), Camera((0.0, -3.0, 0.0))])
def test_rotation_is_right_handed_and_looks_at_the_target(camera: Camera) -> None:
    rotation = camera.rotation
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.isclose(np.linalg.det(rotation), 1)
    seen = camera.view(np.zeros((1, 3)))[0]
    assert np.allclose(seen[:2], 0)
    assert seen[2] < 0


def test_up_in_the_world_is_up_in_the_picture() -> None:
    camera = orbit(1)[0]
    points = np.array([[0.0, 0.5, 0.0], [0.0, -0.5, 0.0], list(0.5 * camera.rotation[0])])
    x, y, w = camera.homogeneous(points, 64).T
    assert y[0] / w[0] < 31.5 < y[1] / w[1]
    assert x[2] / w[2] > 31.5
    assert np.isclose(x[0] / w[0], 31.5)


def test_a_ray_through_a_pixel_projects_back_onto_it() -> None:
    camera, size = orbit(7)[3], 9
    rays = camera.rays(size)
    for depth in (0.5, 2.0):
        x, y, w = camera.homogeneous(np.array(camera.position) + depth * rays, size).T
        rows, columns = np.divmod(np.arange(size * size), size)
        assert np.allclose(w, depth, atol=1e-5)
        assert np.allclose(x / w, columns, atol=1e-4)
        assert np.allclose(y / w, rows, atol=1e-4)
    assert np.array_equal(camera.rays(size, np.array([5, 80])), rays[[5, 80]])


def touched_pixels(camera: Camera, vertices: np.ndarray, size: int) -> np.ndarray:
    """Pixels whose square holds one of many points drawn inside the triangles."""
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 400)
    inside = (weights @ vertices.reshape(-1, 3, 3)).reshape(-1, 3)
    x, y, w = camera.homogeneous(inside, size).T
    columns, rows = np.rint(x / w).astype(int), np.rint(y / w).astype(int)
    kept = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    return np.unique(rows[kept] * size + columns[kept])


@pytest.mark.parametrize("spread", [0.05, 0.4, 3.0])
def test_surroundings_hold_every_pixel_a_shape_touches(spread: float) -> None:
    rng = np.random.default_rng(0)
    for camera in orbit(5, rng):
        vertices = rng.normal(scale=spread, size=(30, 3)).clip(-1.5, 1.5)
        around = camera.surroundings(vertices, 80)
        assert (np.diff(around) > 0).all()
        touched = touched_pixels(camera, vertices, 80)
        assert np.isin(touched, around).all()


def test_surroundings_of_a_ball_are_its_octagon() -> None:
    """The octagon around a disc of radius r has area 8 (sqrt 2 - 1) r^2; half a pixel is added all around."""
    camera = orbit(1)[0]
    directions = np.random.default_rng(0).normal(size=(20000, 3))
    directions *= 0.6 / np.linalg.norm(directions, axis=1, keepdims=True)
    distance = math.dist(camera.position, (0, 0, 0))
    radius = 0.6 / math.sqrt(distance**2 - 0.36) / camera.slope * 100
    found = len(camera.surroundings(directions, 200))
    low, high = (8 * (math.sqrt(2) - 1) * (radius + margin) ** 2 for margin in (-0.2, 1.2))
    assert low < found < high


def test_surroundings_of_nothing_and_of_what_reaches_behind_the_camera() -> None:
    camera = orbit(1)[0]
    assert len(camera.surroundings(np.zeros((0, 3)), 9)) == 0
    behind = np.array([[0.0, 0, 0], list(np.array(camera.position) * 2)])
    assert np.array_equal(camera.surroundings(behind, 9), np.arange(81))
    assert len(camera.surroundings(5 * camera.rotation[:1], 9)) == 0  # far to the right

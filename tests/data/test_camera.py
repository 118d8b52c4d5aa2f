"""Cameras: where they stand and what they see."""

import math

import numpy as np
import pytest

from adacross.data.rendering.camera import ELEVATIONS, FIELD_OF_VIEW, Camera, orbit
from adacross.errors import UserError


def polar(camera: Camera) -> tuple[float, float, float]:
    x, y, z = camera.position
    distance = math.sqrt(x * x + y * y + z * z)
    return math.degrees(math.atan2(x, z)) % 360, math.degrees(math.asin(y / distance)), distance


def projected(camera: Camera, points: np.ndarray, size: int) -> np.ndarray:
    """Column and row, each times the depth, and the depth."""
    projection = camera.projection(size)
    return projection[:, :3] @ points.T + projection[:, 3:]


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
    seen = rotation @ -np.array(camera.position)
    assert np.allclose(seen[:2], 0)
    assert seen[2] < 0


def test_up_in_the_world_is_up_in_the_picture() -> None:
    camera = orbit(1)[0]
    points = np.array([[0.0, 0.5, 0.0], [0.0, -0.5, 0.0], list(0.5 * camera.rotation[0])])
    x, y, w = projected(camera, points, 64)
    assert y[0] / w[0] < 31.5 < y[1] / w[1]
    assert x[2] / w[2] > 31.5
    assert np.isclose(x[0] / w[0], 31.5)


def test_a_ray_through_a_pixel_projects_back_onto_it() -> None:
    camera, size = orbit(7)[3], 9
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * camera.slope
    x, y = np.meshgrid(steps, -steps)
    rays = np.stack([x, y, np.full_like(x, -1)], axis=-1).reshape(-1, 3) @ camera.rotation
    for depth in (0.5, 2.0):
        x, y, w = projected(camera, np.array(camera.position) + depth * rays, size)
        rows, columns = np.divmod(np.arange(size * size), size)
        assert np.allclose(w, depth)
        assert np.allclose(x / w, columns)
        assert np.allclose(y / w, rows)

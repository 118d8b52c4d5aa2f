"""The scanner: exact counts, true labels, one side only, reproducible."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from adacross.data.procedural import CATEGORIES, make_mesh, scan
from adacross.data.procedural.scan import CLUTTER, _visible
from adacross.data.procedural.solids import ellipsoid
from adacross.data.sampling import sample_surface
from adacross.data.shape import Mesh


def sphere() -> Mesh:
    solid = ellipsoid(2.0, 2.0, 2.0, 40)
    parts = np.zeros(len(solid.faces), dtype=np.int64)
    return Mesh(solid.at(5.0, -3.0, 1.0).vertices, solid.faces, face_parts=parts, part_names=("body",))


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_scan_has_its_count_and_its_labels(category: str) -> None:
    for seed in range(3):
        mesh = make_mesh(category, seed)
        cloud = scan(mesh, 512, np.random.default_rng(seed))
        assert cloud.points.shape == (512, 3)
        assert np.isfinite(cloud.points).all()
        assert cloud.part is not None
        assert cloud.normals is not None
        assert set(cloud.part.tolist()) <= {CLUTTER, *range(len(mesh.part_names))}
        assert (cloud.part != CLUTTER).mean() > 0.25
        assert np.allclose(np.linalg.norm(cloud.normals, axis=1), 1.0, atol=1e-5)


def test_the_same_generator_gives_the_same_scan() -> None:
    mesh = make_mesh("chair", 0)
    first, again, other = (scan(mesh, 300, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.part, again.part)
    assert not np.array_equal(first.points, other.points)


@pytest.mark.parametrize("category", ["chair", "mug", "bolt", "airplane"])
def test_points_lie_on_the_surface_within_noise(category: str) -> None:
    mesh = make_mesh(category, 1)
    radius = np.linalg.norm(np.ptp(mesh.vertices, axis=0)) / 2
    dense = cKDTree(sample_surface(mesh, 40_000, np.random.default_rng(0)).points)
    cloud = scan(mesh, 1024, np.random.default_rng(1))
    distance = dense.query(cloud.points[cloud.part != CLUTTER])[0] / radius
    # Noise has a standard deviation of at most 0.01; the dense sample is about 0.01 apart.
    assert np.median(distance) < 0.015
    assert distance.max() < 0.06


def test_a_ball_shows_one_half_and_its_labels_follow_the_points() -> None:
    for seed in range(10):
        cloud = scan(sphere(), 1000, np.random.default_rng(seed))
        own = cloud.points[cloud.part == 0] - np.array((5.0, -3.0, 1.0))
        # A cap of a ball lies on one side of a plane through its middle.
        view = own.mean(0) / np.linalg.norm(own.mean(0))
        directions = own / np.linalg.norm(own, axis=1, keepdims=True)
        assert np.linalg.norm(own.mean(0)) > 0.6
        assert (directions @ view > -0.45).all()
        assert np.abs(np.linalg.norm(own, axis=1) - 2.0).max() < 0.25
        other = cloud.points[cloud.part == CLUTTER] - np.array((5.0, -3.0, 1.0))
        assert (np.linalg.norm(other, axis=1) > 1.9).mean() > 0.9 if len(other) else True


def test_visibility_agrees_with_exact_rays_among_balls() -> None:
    rng = np.random.default_rng(0)
    agreement, hidden = [], 0
    for _ in range(10):
        centers, radii = rng.uniform(-0.6, 0.6, (6, 3)), rng.uniform(0.1, 0.35, 6)
        ball = rng.choice(6, 12_000, p=radii**2 / (radii**2).sum())
        normals = rng.normal(size=(12_000, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        points = centers[ball] + radii[ball, None] * normals
        ray = rng.normal(size=3)
        ray /= np.linalg.norm(ray)
        # The way to the scanner meets a ball that lies ahead of the point and close to the line.
        to_center = centers - points[:, None]
        ahead = to_center @ ray
        miss = (to_center**2).sum(-1) - ahead**2
        inside = (to_center**2).sum(-1) < radii**2 - 1e-9
        reach = ahead + np.sqrt(np.maximum(radii**2 - miss, 0)) > 1e-6
        blocked = ((miss < radii**2) & reach & (np.arange(6) != ball[:, None])) | inside
        blocked[np.arange(12_000), ball] = False
        facing = normals @ ray
        exact = (facing > 0) & ~blocked.any(1)
        clear = np.abs(facing) > 0.2
        agreement.append((_visible(points, normals, ray) == exact)[clear].mean())
        hidden += int((clear & (facing > 0) & ~exact).sum())
    assert hidden > 1000
    assert min(agreement) > 0.93
    assert np.mean(agreement) > 0.96


def test_clutter_and_holes_come_and_go() -> None:
    mesh = make_mesh("table", 2)
    shares = [(scan(mesh, 400, np.random.default_rng(s)).part == CLUTTER).mean() for s in range(30)]
    assert min(shares) == 0.0
    assert 0.05 < max(shares) < 0.75


def test_a_cloud_without_colors_or_parts_stays_without() -> None:
    full = make_mesh("bowl", 0)
    cloud = scan(Mesh(full.vertices, full.faces), 200, np.random.default_rng(0))
    assert cloud.colors is None
    assert cloud.part is None

"""Clouds: a dense one looks like its mesh, a poor one is still drawn."""

import warnings

import numpy as np
import pytest
import trimesh

from adacross.data.rendering import splats
from adacross.data.rendering.camera import Camera, orbit
from adacross.data.rendering.render import render_cloud, render_mesh
from adacross.data.rendering.splats import local_frames
from adacross.data.shape import Mesh, PointCloud
from adacross.errors import UserError
from adacross.version import KERNELS, kernels_usable


@pytest.fixture(autouse=True, params=["1", "0"], ids=["kernels", "numpy"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test is run by kernels and by NumPy."""
    monkeypatch.setenv(KERNELS, request.param)
    return str(request.param)


def solid(name: str) -> trimesh.Trimesh:
    if name == "box":
        return trimesh.creation.box(extents=(1.1, 0.7, 0.5))
    if name == "torus":
        return trimesh.creation.torus(0.7, 0.25)
    table = [trimesh.creation.box(extents=(1.2, 0.06, 0.9))]
    for x in (-0.5, 0.5):
        for z in (-0.35, 0.35):
            leg = trimesh.creation.box(extents=(0.08, 0.7, 0.08))
            leg.apply_translation((x, -0.38, z))
            table.append(leg)
    return trimesh.util.concatenate(table)


def sampled(name: str, count: int, normals: bool = False) -> PointCloud:
    source = solid(name)
    points, faces = trimesh.sample.sample_surface(source, count, seed=0)
    given = np.asarray(source.face_normals)[faces].astype(np.float32) if normals else None
    return PointCloud(np.asarray(points, dtype=np.float32), normals=given)


def seen(pictures: np.ndarray) -> np.ndarray:
    return (pictures < 250).any(-1)


@pytest.mark.parametrize("size", [64, pytest.param(224, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "dense", "sparse"), [("box", 0.95, 0.90), ("torus", 0.95, 0.86), ("table", 0.90, 0.80)]
)
def test_a_cloud_covers_its_meshs_silhouette(name: str, dense: float, sparse: float, size: int) -> None:
    """Intersection over union with the mesh's picture, over 4 views, from 8,192 and from 1,024 points."""
    source, cameras = solid(name), orbit(4)
    mesh = Mesh(np.asarray(source.vertices, np.float64), np.asarray(source.faces, np.int64))
    expected = seen(render_mesh(mesh, cameras, size))
    for count, bound in ((8192, dense), (1024, sparse)):
        found = seen(render_cloud(sampled(name, count), cameras, size))
        assert (expected & found).sum() / (expected | found).sum() > bound


def test_shading_follows_the_mesh() -> None:
    """Inside the silhouette brightness correlates with the mesh's: estimated normals do their work."""
    source, cameras = solid("torus"), orbit(4)
    mesh = Mesh(np.asarray(source.vertices, np.float64), np.asarray(source.faces, np.int64))
    expected = render_mesh(mesh, cameras, 96)[..., 0].astype(float)
    found = render_cloud(sampled("torus", 2048), cameras, 96)[..., 0].astype(float)
    both = (expected < 250) & (found < 250)
    assert np.corrcoef(expected[both], found[both])[0, 1] > 0.75


def test_gaps_close_and_openings_stay(form: str) -> None:
    """Hardly a see-through pixel inside a sheet of 1,024 points; the hole of a torus is still a hole."""
    rng = np.random.default_rng(0)
    sheet = np.concatenate([rng.uniform(-0.6, 0.6, (1024, 2)), np.zeros((1024, 1))], axis=1).astype(
        np.float32
    )
    for size in (64, 224):
        inner = slice(round(size * 0.3), round(size * 0.7))
        camera = Camera((0.0, 0.0, 3.3))
        filled = seen(render_cloud(PointCloud(sheet), [camera], size))[0, inner, inner].mean()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(KERNELS, "0")
            patch.setattr(splats, "CLOSING", ())
            bare = seen(render_cloud(PointCloud(sheet), [camera], size))[0, inner, inner].mean()
        assert filled > 0.99
        assert 1 - filled <= (1 - bare) / 2
        middle = seen(render_cloud(sampled("torus", 1024), [camera], size))[0, size // 2, size // 2]
        assert not middle


def test_the_sign_of_normals_does_not_matter() -> None:
    cloud = sampled("torus", 1024, normals=True)
    assert cloud.normals is not None
    flipped = PointCloud(cloud.points, normals=-cloud.normals)
    assert np.array_equal(render_cloud(cloud, orbit(2), 64), render_cloud(flipped, orbit(2), 64))


def test_zero_normals_are_estimated_instead() -> None:
    """Some sources write zeros where they have none."""
    cloud = sampled("torus", 512)
    zeros = PointCloud(cloud.points, normals=np.zeros_like(cloud.points))
    assert np.array_equal(render_cloud(cloud, orbit(1), 64), render_cloud(zeros, orbit(1), 64))


def test_the_nearer_of_two_sheets_is_seen() -> None:
    rng = np.random.default_rng(0)
    sheet = np.concatenate([rng.uniform(-0.5, 0.5, (1500, 2)), np.zeros((1500, 1))], axis=1)
    ahead = np.array([0.0, 0.0, 0.3])
    points = np.concatenate([sheet + ahead, sheet - ahead]).astype(np.float32)
    colors = np.repeat(np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8), 1500, axis=0)
    front, back = render_cloud(
        PointCloud(points, colors=colors), [Camera((0.0, 0.0, 3.3)), Camera((0.0, 0.0, -3.3))], 64
    )
    assert (front[22:42, 22:42].reshape(-1, 3).argmax(-1) == 0).all()
    assert (back[22:42, 22:42].reshape(-1, 3).argmax(-1) == 2).all()


def test_balls_show_where_points_are_and_nothing_else() -> None:
    """One ball is a disc of its radius and of one color; between two there is a gap."""
    camera, size = Camera((0.0, 0.0, 3.3)), 200
    colors = np.array([[250, 120, 30]] * 2, dtype=np.uint8)
    apart = PointCloud(np.array([[-0.5, 0, 0], [0.5, 0, 0]], dtype=np.float32), colors=colors)
    picture = render_cloud(apart, [camera], size, ball=0.2)[0]
    assert not seen(picture)[:, 75:125].any()
    radius = 0.2 / 3.3 / camera.slope * size / 2
    assert seen(picture).sum() == pytest.approx(2 * np.pi * radius**2, rel=0.1)
    shift = [np.roll(seen(picture), (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    whole = picture[np.all(shift, axis=0)]  # without the smooth rim
    hues = whole / whole.sum(1, keepdims=True)
    np.testing.assert_allclose(hues, np.broadcast_to([0.625, 0.3, 0.075], hues.shape), atol=0.02)


def test_balls_leave_a_sheet_open() -> None:
    sheet = sampled("box", 300)
    surface, balls = (seen(render_cloud(sheet, orbit(1), 160, ball=ball)).sum() for ball in (None, 0.02))
    assert balls < surface / 2


@pytest.mark.parametrize("ball", [0.0, -1.0])
def test_a_ball_without_extent_is_refused(ball: float) -> None:
    with pytest.raises(UserError, match="above 0"):
        render_cloud(sampled("box", 50), orbit(1), 32, ball=ball)


def test_pictures_repeat_and_do_not_depend_on_the_batch() -> None:
    cloud, cameras = sampled("table", 1024), orbit(4, np.random.default_rng(1))
    together = render_cloud(cloud, cameras, 70)
    assert together.shape == (4, 70, 70, 3)
    assert np.array_equal(together, render_cloud(cloud, cameras, 70))
    for camera, picture in zip(cameras, together, strict=True):
        assert np.array_equal(render_cloud(cloud, [camera], 70)[0], picture)


def test_turning_the_object_is_turning_the_camera() -> None:
    cloud, cameras = sampled("table", 1024), orbit(4)
    quarter = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=np.float32)
    moved = render_cloud(PointCloud(cloud.points @ quarter.T), cameras, 64).astype(int)
    still = render_cloud(cloud, cameras, 64).astype(int)
    assert (np.abs(np.roll(moved, -1, axis=0) - still) > 8).any(-1).mean() < 0.01


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_poor_clouds_are_drawn_without_complaint(count: int) -> None:
    rng = np.random.default_rng(0)
    line = np.zeros((count, 3), dtype=np.float32)
    line[:, 0] = np.linspace(-0.9, 0.9, count)
    same = np.full((count, 3), 0.3, dtype=np.float32)
    mostly_same = np.concatenate([np.repeat(same, 3, axis=0), line])
    far_out = rng.normal(scale=50, size=(count, 3)).astype(np.float32)  # many behind the camera
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for points in (line, same, mostly_same, far_out):
            pictures = render_cloud(PointCloud(points), orbit(2), 64)
            assert pictures.shape == (2, 64, 64, 3)
    if count:
        assert seen(render_cloud(PointCloud(line), orbit(2), 64)).any(axis=(1, 2)).all()


@pytest.mark.parametrize("size", [1, 2, 5, 64, 110])
def test_a_cloud_may_reach_over_the_borders(size: int) -> None:
    points = np.random.default_rng(0).uniform(-2, 2, (600, 3)).astype(np.float32)
    pictures = render_cloud(PointCloud(points), orbit(2), size)
    assert pictures.shape == (2, size, size, 3)
    assert seen(pictures).mean() > 0.5


def test_a_picture_without_pixels_is_a_user_error() -> None:
    with pytest.raises(UserError, match="at least 1"):
        render_cloud(sampled("box", 64), orbit(1), 0)


def test_kernels_draw_what_numpy_draws(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to rounding; a splat at the border of what blends may count for one and not for the other."""
    colors = np.random.default_rng(0).integers(0, 256, (1024, 3), dtype=np.uint8)
    for name in ("box", "torus", "table"):
        cloud = sampled(name, 1024)
        colored = PointCloud(cloud.points, colors=colors)
        for given, size, ball in (
            (cloud, 64, None),
            (cloud, 31, None),
            (colored, 150, None),
            (colored, 90, 0.05),
        ):
            monkeypatch.setenv(KERNELS, "1")
            ours = render_cloud(given, orbit(2), size, ball).astype(int)
            monkeypatch.setenv(KERNELS, "0")
            expected = render_cloud(given, orbit(2), size, ball).astype(int)
            assert (np.abs(ours - expected) > 1).any(-1).mean() < 0.0005


@pytest.mark.parametrize("count", [1, 5, 16, 17, 700])
def test_kernels_measure_the_neighborhoods_that_scipy_and_numpy_do(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 3)) * [1, 0.6, 0.2]
    ours, plain = (local_frames(points, compiled) for compiled in (kernels_usable(), False))
    assert np.array_equal(np.sort(ours.neighbors), np.sort(plain.neighbors))
    for mine, other in zip(ours[1:4], plain[1:4], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-9)
    if count > 16:
        np.testing.assert_allclose(np.abs((ours.normals * plain.normals).sum(1)), 1, atol=1e-9)


def test_points_without_a_place_are_left_out() -> None:
    cloud = sampled("torus", 600, normals=True)
    points = np.concatenate([cloud.points, np.array([[np.nan, 0, 0], [np.inf, 0, 0]], np.float32)])
    broken = PointCloud(points, normals=np.concatenate([cloud.normals, cloud.normals[:2]]))
    assert np.array_equal(render_cloud(broken, orbit(2), 50), render_cloud(cloud, orbit(2), 50))


def normals_of(points: np.ndarray) -> np.ndarray:
    return local_frames(points, kernels_usable()).normals


def test_normals_of_a_sphere_and_of_a_plane() -> None:
    points = np.random.default_rng(0).normal(size=(1500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    cosine = np.abs((normals_of(points) * points).sum(1))
    assert cosine.min() > 0.9
    assert cosine.mean() > 0.99
    points[:, 1] = 0.25
    assert np.allclose(np.abs(normals_of(points)[:, 1]), 1, atol=1e-5)


def test_degenerate_clouds_have_unit_normals() -> None:
    line = np.zeros((40, 3), dtype=np.float32)
    line[:, 0] = np.linspace(-1, 1, 40)
    for points in (line, np.ones((20, 3), np.float32), line[:1], line[:2], np.repeat(line[:4], 10, axis=0)):
        assert np.allclose(np.linalg.norm(normals_of(points), axis=1), 1, atol=1e-5)

"""Normals of points whose surface is known."""

import numpy as np

from adacross.data.rendering.normals import estimate_normals


def sphere(count: int, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def test_a_sphere_has_its_own_points_as_normals() -> None:
    points = sphere(1500)
    normals = estimate_normals(points)
    cosine = (normals * points).sum(1)
    assert cosine.min() > 0.9  # outward, every one
    assert cosine.mean() > 0.99


def test_two_separate_spheres_both_face_outwards() -> None:
    half = sphere(800) * 0.3
    aside = np.array([2.0, 0.0, 0.0])
    normals = estimate_normals(np.concatenate([half + aside, half - aside]).astype(np.float32))
    assert ((normals * np.tile(half, (2, 1))).sum(1) > 0).all()


def test_a_plane_has_one_normal_with_one_sign() -> None:
    points = np.random.default_rng(1).random((300, 3)).astype(np.float32)
    points[:, 1] = 0.25
    normals = estimate_normals(points)
    assert np.allclose(np.abs(normals[:, 1]), 1, atol=1e-5)
    assert len(np.unique(np.sign(normals[:, 1]))) == 1


def test_signs_agree_round_a_fold() -> None:
    """An open box corner: every normal points into the same one of the two sides."""
    rng = np.random.default_rng(2)
    floor, wall = rng.random((600, 3)), rng.random((600, 3))
    floor[:, 1], wall[:, 0] = 0, 0
    normals = estimate_normals(np.concatenate([floor, wall]).astype(np.float32))
    flat = normals[:600][floor[:, 0] > 0.3, 1]
    upright = normals[600:][wall[:, 1] > 0.3, 0]
    assert len(np.unique(np.sign(flat))) == 1
    assert np.sign(flat[0]) == np.sign(upright[0])
    assert len(np.unique(np.sign(upright))) == 1


def test_degenerate_clouds_give_unit_normals() -> None:
    line = np.zeros((40, 3), dtype=np.float32)
    line[:, 0] = np.linspace(-1, 1, 40)
    for points in (line, np.ones((20, 3), np.float32), line[:1], line[:2], np.repeat(line[:4], 10, axis=0)):
        normals = estimate_normals(points)
        assert normals.shape == points.shape
        assert normals.dtype == np.float32
        assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)

"""The corruptions against slow and obvious versions of themselves, and what they promise."""

from collections.abc import Callable
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from adacross.errors import UserError
from adacross.evaluation.corruptions import KINDS, SEVERITIES, corrupt, density, rotate
from adacross.evaluation.corruptions.draws import Draws
from adacross.evaluation.corruptions.transformation import lattice

N = 256


def clouds(count: int = 3, points: int = N, seed: int = 0) -> np.ndarray:
    """Balls of points, centered, with largest norm 1."""
    made = np.random.default_rng(seed).normal(size=(count, points, 3))
    made -= made.mean(axis=1, keepdims=True)
    return (made / np.linalg.norm(made, axis=2).max(axis=1)[:, None, None]).astype(np.float32)


def spheres(count: int = 2, points: int = 1024) -> np.ndarray:
    made = np.random.default_rng(1).normal(size=(count, points, 3))
    return (made / np.linalg.norm(made, axis=2, keepdims=True)).astype(np.float32)


def shapes(count: int = 3) -> np.ndarray:
    return 10 + np.arange(count)


def raw(kind: str, given: np.ndarray, severity: int, seed: int = 0) -> np.ndarray:
    """The corruption alone, before the cloud goes back into the unit sphere."""
    return KINDS[kind](given, severity, Draws(seed, kind, shapes(len(given))))


def rows(cloud: np.ndarray) -> set[tuple[float, ...]]:
    return set(map(tuple, cloud.tolist()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cloud_depends_on_itself_and_the_seed_not_on_the_batch(kind: str):
    given = clouds(70)  # more than a block
    whole = corrupt(kind, given, 3, 5, shapes(70))
    some = np.array([66, 2])
    np.testing.assert_array_equal(corrupt(kind, given[some], 3, 5, shapes(70)[some]), whole[some])
    np.testing.assert_array_equal(corrupt(kind, given, 3, 5, shapes(70)), whole)
    assert not np.array_equal(corrupt(kind, given[some], 3, 6, shapes(70)[some]), whole[some])
    assert not np.array_equal(corrupt(kind, given[some], 3, 5, shapes(70)[some] + 1), whole[some])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("points", [64, 300])
def test_the_number_of_points_is_fixed_and_all_lie_in_the_unit_sphere(kind: str, points: int):
    place, hole = round(points * 100 / 1024), round(points * 30 / 1024)
    for severity, holes, added in zip(SEVERITIES, (2, 3, 5, 7, 10), (5, 4, 3, 2, 1), strict=True):
        expected = points
        if kind == "density":
            expected -= severity * round(0.75 * place)
        elif kind == "cutout":
            expected -= holes * hole
        elif kind == "upsampling":
            expected += round(points / added)
        elif kind == "background":
            expected += round(points / (45, 40, 35, 30, 20)[severity - 1])
        for given in (clouds(2, points), spheres(2, points)):
            made = corrupt(kind, given, severity, 0, shapes(2))
            assert made.shape == (2, expected, 3)
            assert made.dtype == np.float32
            assert np.abs(made.mean(axis=1)).max() < 1e-5
            np.testing.assert_allclose(np.linalg.norm(made, axis=2).max(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("uniform", (0.01, 0.02, 0.03, 0.04, 0.05)),
        ("gaussian", (0.01, 0.015, 0.02, 0.025, 0.03)),
        ("distortion", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("distortion_rbf", (0.025, 0.05, 0.075, 0.1, 0.125)),
        ("distortion_rbf_inv", (0.025, 0.05, 0.075, 0.1, 0.125)),
    ],
)
def test_a_severity_is_the_same_damage_only_worse(kind: str, sizes: tuple[float, ...]):
    given = clouds()
    first = raw(kind, given, 1) - given
    for severity, size in zip(SEVERITIES, sizes, strict=True):
        np.testing.assert_allclose(raw(kind, given, severity) - given, first * size / sizes[0], atol=2e-5)


def test_noise_is_as_large_as_it_says():
    given = clouds(40)
    uniform = raw("uniform", given, 5) - given
    assert 0.0499 < np.abs(uniform).max() <= 0.05 + 1e-6
    assert uniform.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.02)
    assert (raw("gaussian", given, 3) - given).std() == pytest.approx(0.02, rel=0.02)
    moved = raw("impulse", given, 5) - given
    hit = np.abs(moved).max(axis=2) > 0.05
    assert (hit.sum(axis=1) == round(N / 10)).all()
    np.testing.assert_allclose(np.abs(moved[hit]), 0.1, atol=1e-6)
    assert np.abs(moved[~hit]).max() < 1e-6


def test_added_points_leave_the_others_alone():
    given = clouds()
    for severity in SEVERITIES:
        for kind in ("upsampling", "background"):
            np.testing.assert_array_equal(raw(kind, given, severity)[:, :N], given)
    copies = raw("upsampling", given, 5)[:, N:]  # one of every point
    gaps = np.abs(copies[:, :, None] - given[:, None]).max(axis=3).min(axis=2)
    assert gaps.max() <= 0.05 + 1e-6
    far = raw("background", np.tile(given, (1, 20, 1)), 5)[:, 20 * N :]
    assert np.abs(far).max() <= 1
    assert np.abs(far).mean() == pytest.approx(0.5, abs=0.03)


def slowly_without(cloud: np.ndarray, draws: Draws, places: int, size: int, lost: int) -> np.ndarray:
    """One cloud, one place after another, with lists."""
    rank, chance = draws.orders(len(cloud))[0].tolist(), draws.orders(len(cloud))[0].tolist()
    left = list(range(len(cloud)))
    for _ in range(places):
        center = cloud[min(left, key=lambda i: rank[i])]
        near = sorted(left, key=lambda i: float(((cloud[i] - center) ** 2).sum()))[:size]
        for gone in sorted(near, key=lambda i: chance[i])[:lost]:
            left.remove(gone)
    return cloud[left]


def test_holes_are_those_of_the_slow_version():
    given = clouds(1)
    for severity, holes in zip(SEVERITIES, (2, 3, 5, 7, 10), strict=True):
        draws = [Draws(0, kind, shapes(1)) for kind in ("density", "cutout")]
        thinned = slowly_without(given[0], draws[0], severity, 25, 19)
        np.testing.assert_array_equal(raw("density", given, severity)[0], thinned)
        cut = slowly_without(given[0], draws[1], holes, 8, 8)
        np.testing.assert_array_equal(raw("cutout", given, severity)[0], cut)
        assert rows(raw("cutout", given, 5)[0]) <= rows(cut) < rows(given[0])


def test_a_denser_place_has_half_as_many_points_again():
    given = clouds(1, 512)
    changed = raw("density_inc", given, 1)[0]
    center = given[0, Draws(0, "density_inc", shapes(1)).orders(512)[0, 0]]
    near = np.sort(np.linalg.norm(given[0] - center, axis=1))[:50]
    new = (changed != given[0]).any(axis=1)
    assert new.sum() == 25  # points that are gone, from elsewhere
    assert (np.linalg.norm(given[0][new] - center, axis=1) > near[-1]).all()
    middles = (given[0][:, None] + given[0]).reshape(-1, 3) / 2
    gaps = np.linalg.norm(changed[new][:, None] - middles, axis=2).min(axis=1)
    assert gaps.max() < 1e-6  # half way between two points
    inside = (np.linalg.norm(changed - center, axis=1) <= near[-1]).sum()
    assert 60 < inside <= 75


def test_rotation_is_about_the_three_axes_within_its_range():
    given = clouds(200, 64)
    for severity, angle in zip(SEVERITIES, (2.5, 5, 7.5, 10, 15), strict=True):
        turned = raw("rotation", given, severity)
        draws = Draws(0, "rotation", shapes(200))
        angles = angle + draws.uniform(-2.5, 2.5, 3)
        angles *= draws.signs(3)
        assert np.abs(np.abs(angles) - angle).max() <= 2.5
        assert 0.4 < (angles > 0).mean() < 0.6
        matrices = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        np.testing.assert_allclose(turned, np.einsum("nij,nkj->nki", matrices, given), atol=1e-5)


def test_shear_keeps_the_diagonal():
    given = np.tile(np.eye(3, dtype=np.float32), (50, 22, 1))[:, :64]
    for severity in SEVERITIES:
        columns = raw("shear", given, severity)[:, :3]  # row i: where the unit vector i went
        off = np.abs(columns[:, ~np.eye(3, dtype=bool)])
        np.testing.assert_array_equal(columns[:, np.eye(3, dtype=bool)], 1)
        assert off.min() >= 0.05 * (severity - 1) - 1e-6
        assert off.max() <= 0.05 * (severity + 1) + 1e-6


def test_free_form_deformation_is_the_triple_sum():
    given = clouds(2, 64)
    moved = 0.3 * Draws(0, "distortion", shapes(2)).directions(5, 5, 5)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=-1), 0.3, rtol=1e-5)
    bent = raw("distortion", given, 3)
    for cloud, result, control in zip(given, bent, moved, strict=True):
        for point, found in zip(cloud[:5], result[:5], strict=True):
            s, t, u = (point.astype(float) + 1) / 2
            expected = point.astype(float)
            for i in range(5):
                for j in range(5):
                    for k in range(5):
                        weight = comb(4, i) * s**i * (1 - s) ** (4 - i)
                        weight *= comb(4, j) * t**j * (1 - t) ** (4 - j)
                        weight *= comb(4, k) * u**k * (1 - u) ** (4 - k)
                        expected = expected + weight * control[i, j, k]
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "basis"),
    [
        ("distortion_rbf", lambda r: np.exp(-((r / 0.5) ** 2))),
        ("distortion_rbf_inv", lambda r: 1 / np.sqrt(r**2 + 0.25)),
    ],
)
def test_radial_basis_functions_move_control_points_as_drawn(
    kind: str, basis: Callable[[np.ndarray], np.ndarray]
):
    control = lattice()
    drawn = 0.1 * Draws(0, kind, shapes(1)).directions(125)[0]
    moved = raw(kind, control[None].astype(np.float32), 4)[0] - control
    np.testing.assert_allclose(
        moved, drawn, atol=1e-3
    )  # float32 beside a matrix that is not well conditioned
    point = np.array([0.3, -0.2, 0.55])
    weights = np.linalg.solve(basis(np.linalg.norm(control[:, None] - control, axis=2)), drawn.astype(float))
    expected = point + basis(np.linalg.norm(control - point, axis=1)) @ weights
    found = raw(kind, np.tile(point, (1, 64, 1)).astype(np.float32), 4)[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_of_a_sphere_the_near_cap_is_visible():
    given = spheres()
    sensors = density.station(np.array([20.0, 200.0]), np.array([10.0, 40.0]))
    np.testing.assert_allclose(np.linalg.norm(sensors, axis=1), 2.5, rtol=1e-6)
    seen = density.visible(given, sensors)
    facing = np.einsum("nij,nj->ni", given, sensors)  # above 1: the sphere does not hide itself
    assert seen[facing > 1.1].mean() > 0.99
    assert seen[facing < 0.4].mean() < 0.01


def test_occlusion_keeps_points_and_more_stations_keep_more():
    given = spheres()
    kept = [rows(raw("occlusion", given, severity)[0]) for severity in SEVERITIES]
    assert kept[0] <= rows(given[0])
    for more, fewer in pairwise(kept):
        assert fewer < more
    _, counts = np.unique(raw("occlusion", given, 5)[0], axis=0, return_counts=True)
    assert counts.max() - counts.min() <= 1  # repeated evenly


def test_lidar_sees_one_side_on_scan_lines():
    given = spheres()
    for severity, rings in zip(SEVERITIES, (32, 24, 16, 12, 8), strict=True):
        draws = Draws(0, "lidar", shapes(2))
        sensors = density.station(draws.uniform(0.0, 360.0), draws.uniform(0.0, 45.0))
        made = raw("lidar", given, severity)
        for cloud, sensor, original in zip(made, sensors, given, strict=True):
            ahead = -sensor / np.linalg.norm(sensor)
            right = np.cross(ahead, [0, 1, 0])
            up = np.cross(right / np.linalg.norm(right), ahead)
            rays = cloud - sensor
            lengths = np.linalg.norm(rays, axis=1)
            angles = np.unique(np.arcsin(rays @ up / lengths).round(4))
            assert len(angles) <= rings
            gap = 2 * np.arcsin(1 / 2.5) / rings
            np.testing.assert_allclose(np.diff(angles) / gap, np.round(np.diff(angles) / gap), atol=5e-3)
            gaps = np.linalg.norm(cloud[:, None] - original, axis=2).min(axis=1)
            assert gaps.max() < 3.5 * gap / 2  # no point went farther than half a gap
            distances = np.linalg.norm(original - sensor, axis=1)
            assert np.abs(lengths[:, None] - distances).min(axis=1).max() < 1e-4  # nor nearer or away


def test_flat_and_thin_clouds_survive_everything():
    rng = np.random.default_rng(0)
    plate = np.concatenate([rng.uniform(-0.7, 0.7, (128, 2)), np.zeros((128, 1))], axis=1)
    stick = np.stack([np.linspace(-1, 1, 128), *np.zeros((2, 128))], axis=1)
    doubled = np.repeat(clouds(1, 64)[0], 2, axis=0)
    given = np.stack([plate, stick, doubled]).astype(np.float32)
    for kind in KINDS:
        for severity in (1, 5):
            assert np.isfinite(corrupt(kind, given, severity, 0, shapes())).all(), kind


def test_any_rotation_is_any_rotation():
    given = np.zeros((3000, 64, 3), dtype=np.float32)
    given[:, :3] = np.eye(3)
    matrices = rotate("any", given, 0, np.arange(3000))[:, :3].transpose(0, 2, 1).astype(float)
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (3000, 1, 1)), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-5)
    assert np.abs(matrices.mean(axis=0)).max() < 0.04
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.03)
    turns = np.sort(Rotation.from_matrix(matrices).magnitude())  # density (1 - cos t) / pi over 0 to pi
    expected = (turns - np.sin(turns)) / np.pi
    assert np.abs(expected - np.linspace(0, 1, 3000)).max() < 0.03


def test_rotation_about_y_keeps_height_and_goes_all_around():
    given = clouds(500, 64)
    turned = rotate("y", given, 0, shapes(500))
    np.testing.assert_array_equal(turned[:, :, 1], given[:, :, 1])
    np.testing.assert_allclose(np.linalg.norm(turned, axis=2), np.linalg.norm(given, axis=2), atol=1e-5)
    before, after = (np.arctan2(c[:, 0, 0], c[:, 0, 2]) for c in (given, turned))
    angles = np.sort((after - before) % (2 * np.pi))
    assert np.abs(angles / (2 * np.pi) - np.linspace(0, 1, 500)).max() < 0.08
    np.testing.assert_array_equal(rotate("y", given[[7]], 0, shapes(500)[[7]]), turned[[7]])


def test_there_are_fifteen_kinds():
    assert len(KINDS) == 15
    texts = [function.__doc__ or "" for function in KINDS.values()]
    assert all("recalled" in text or "ours" in text for text in texts)


@pytest.mark.parametrize(
    ("kind", "points", "severity", "seed", "numbers", "message"),
    [
        ("cutoff", 64, 1, 0, [0], "unknown corruption 'cutoff'.*Did you mean 'cutout'"),
        ("cutout", 64, 0, 0, [0], "severity 0 was given; expected 1"),
        ("cutout", 63, 1, 0, [0], "at least 64 points"),
        ("cutout", 64, 1, 0, [-1], "none below 0"),
        ("cutout", 64, 1, -1, [0], "a seed of 0 or more"),
    ],
)
def test_what_cannot_be_done_is_refused(
    kind: str, points: int, severity: int, seed: int, numbers: list[int], message: str
):
    with pytest.raises(UserError, match=message):
        corrupt(kind, clouds(1, points), severity, seed, np.array(numbers))

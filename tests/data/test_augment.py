"""The published augmentations: ranges by statistics, order by construction."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from adacross.data import augment
from adacross.data.augment import (
    augment_points,
    augment_views,
    draw_points,
    jitter_colors,
    plain_views,
    rotate_y,
    unit_sphere,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def elongated(batch: int, count: int = 256) -> torch.Tensor:
    """Boxes of 1 x 2 x 4 off the origin, so that axes and extents can be told apart."""
    points = torch.rand(1, count, 3, generator=generator(1)) * torch.tensor([1.0, 2.0, 4.0]) + 5
    return points.expand(batch, -1, -1).clone()


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Switch steps off, to look at the others alone."""

    def switch_off(*steps: str) -> None:
        values = {
            "scale": ("SCALE", (1.0, 1.0)),
            "translate": ("TRANSLATION", 0.0),
            "jitter": ("JITTER_STD", 0.0),
            "dropout": ("DROPOUT", 0.0),
        }
        for step in set(steps) - {"rotate"}:
            monkeypatch.setattr(augment, *values[step])
        if "rotate" in steps:
            monkeypatch.setattr(augment, "rotate_y", lambda points, angle: points)

    return switch_off


def test_unit_sphere_is_centred_and_touches_one():
    points = unit_sphere(elongated(3))
    assert torch.allclose(points.mean(1), torch.zeros(3, 3), atol=1e-6)
    assert torch.allclose(points.norm(dim=2).amax(1), torch.ones(3))


def test_unit_sphere_of_one_repeated_point_is_finite():
    assert torch.isfinite(unit_sphere(torch.full((1, 40, 3), 2.5))).all()


def test_rotation_is_about_y_and_keeps_lengths():
    points = torch.eye(3)[None]
    turned = rotate_y(points, torch.tensor([torch.pi / 2]))
    expected = torch.tensor([[[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    assert torch.allclose(turned, expected, atol=1e-6)


def test_scale_is_one_factor_for_all_axes_from_half_to_two(without):
    without("rotate", "translate", "jitter", "dropout")
    points = elongated(4000, 32)
    ratio = augment_points(points, generator()) / unit_sphere(points)
    factor = ratio.flatten(1).median(dim=1).values
    assert torch.allclose(ratio, factor[:, None, None].expand_as(ratio), rtol=1e-3)
    assert factor.min() >= 0.5
    assert factor.max() <= 2.0
    assert factor.min() < 0.51
    assert factor.max() > 1.99
    assert factor.mean() == pytest.approx(1.25, abs=0.03)  # uniform, not log-uniform (1.08)
    assert factor.std() == pytest.approx(1.5 / 12**0.5, abs=0.02)


def test_rotation_angle_is_uniform_over_the_circle(without):
    without("scale", "translate", "jitter", "dropout")
    points = elongated(4000, 32)
    before, after = unit_sphere(points), augment_points(points, generator())
    assert torch.allclose(before[..., 1], after[..., 1], atol=1e-5)
    angle = torch.atan2(before[:, 0, 2], before[:, 0, 0]) - torch.atan2(after[:, 0, 2], after[:, 0, 0])
    counts = torch.histc(angle % (2 * torch.pi), 8, 0, 2 * torch.pi)
    assert ((counts - 500).abs() < 5 * 500**0.5).all()


def test_translation_is_within_half_the_current_extent_per_axis(without):
    without("rotate", "jitter", "dropout")
    points = elongated(4000, 64)
    after = augment_points(points, generator())
    extent = after.amax(1) - after.amin(1)  # after scaling: shifting comes later
    shift = after.mean(1) / extent
    assert shift.abs().max() <= 0.5 + 1e-4
    assert (shift.amax(0) > 0.49).all()
    assert (shift.mean(0).abs() < 0.03).all()
    assert (shift.std(0) - 1 / 12**0.5).abs().max() < 0.02
    correlation = torch.corrcoef(shift.T) - torch.eye(3)
    assert correlation.abs().max() < 0.08


def test_jitter_is_gaussian_and_clipped_and_comes_after_scaling(without):
    without("rotate", "translate", "dropout")
    points = elongated(400, 64)
    noisy = augment_points(points, generator())
    without("jitter")
    noise = noisy - augment_points(points, generator())
    assert noise.std() == pytest.approx(0.01, rel=0.02)  # independent of the scale drawn
    per_cloud = noise.flatten(1).std(dim=1)
    assert per_cloud.max() < 0.012
    assert noise.abs().max() <= 0.05 + 1e-6


def test_jitter_clips(without, monkeypatch: pytest.MonkeyPatch):
    without("scale", "rotate", "translate", "dropout")
    monkeypatch.setattr(augment, "JITTER_STD", 1.0)
    points = elongated(4, 64)
    noise = augment_points(points, generator()) - unit_sphere(points)
    assert noise.abs().max() == pytest.approx(0.05, abs=1e-6)


def test_dropout_overwrites_by_point_zero_at_rates_up_to_seven_eighths():
    points = augment_points(elongated(3000, 128), generator())
    dropped = (points[:, 1:] == points[:, :1]).all(dim=2).float().mean(dim=1)
    assert dropped.mean() == pytest.approx(0.4375, abs=0.02)
    assert dropped.max() < 0.99
    assert (dropped > 0.8).float().mean() == pytest.approx(0.075 / 0.875, abs=0.03)


def test_views_are_independent_and_reproducible():
    points = elongated(2)
    source = generator(3)
    first, second = augment_points(points, source), augment_points(points, source)
    assert not torch.allclose(first, second)
    assert torch.equal(first, augment_points(points, generator(3)))
    assert not torch.allclose(first[0], first[1])


def test_draw_points_takes_different_stored_points():
    points = torch.arange(2 * 64 * 3, dtype=torch.float32).view(2, 64, 3)
    drawn = draw_points(points, 40, generator())
    for cloud, stored in zip(drawn, points, strict=True):
        rows = {tuple(row.tolist()) for row in cloud}
        assert len(rows) == 40
        assert rows <= {tuple(row.tolist()) for row in stored}
    assert draw_points(points, None, generator()) is points
    assert draw_points(points, 64, generator()) is points


def picture(batch: int, size: int = 48, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    return torch.from_numpy(pixels)


def test_each_color_operation_is_pillows(monkeypatch: pytest.MonkeyPatch):
    """With one factor away from 1 at a time the batched blend is Pillow's enhancer to a grey level."""
    pixels = picture(1)
    image = Image.fromarray(pixels[0].numpy())
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind, enhancer in enumerate(enhancers):
        factor = 1.3
        factors = torch.ones(1, 3)
        factors[0, kind] = factor
        draws = iter([torch.tensor([[0.0, 0.1, 0.2]]), factors])  # the order, then the factors
        monkeypatch.setattr(augment, "_uniform", lambda *args, draws=draws: next(draws))
        ours = jitter_colors(pixels.permute(0, 3, 1, 2).float() / 255, generator())[0] * 255
        theirs = torch.from_numpy(np.array(enhancer(image).enhance(factor))).permute(2, 0, 1).float()
        assert (ours - theirs).abs().max() <= 1.5


def test_jitter_factors_stay_within_forty_percent():
    flat = torch.full((4000, 3, 2, 2), 0.5)  # on uniform grey only brightness shows
    factor = jitter_colors(flat, generator())[:, 0, 0, 0] / 0.5
    assert factor.min() >= 0.6 - 1e-5
    assert factor.max() <= 1.4 + 1e-5
    assert factor.std() == pytest.approx(0.8 / 12**0.5, abs=0.01)


def test_rgb_and_gray_show_the_same_view_flipped_independently():
    views = picture(400, 16)
    rgb, gray = augment_views(views, 16, generator())
    plain = plain_views(views, 16)
    luma = (views.float() / 255 @ torch.tensor(augment.LUMA) - 0.485) / 0.229
    gray_flipped = torch.isclose(gray[:, 0].flip(-1), luma, atol=1e-4).flatten(1).all(1)
    gray_kept = torch.isclose(gray[:, 0], luma, atol=1e-4).flatten(1).all(1)
    assert (gray_flipped ^ gray_kept).all()  # grey is never jittered
    rgb_flipped = (rgb.flip(-1) - plain).abs().mean((1, 2, 3)) < (rgb - plain).abs().mean((1, 2, 3))
    for share in (gray_flipped, rgb_flipped):
        assert share.float().mean() == pytest.approx(0.5, abs=0.1)
    assert (gray_flipped ^ rgb_flipped).float().mean() == pytest.approx(0.5, abs=0.1)


def test_resizing_ignores_the_aspect_ratio_and_agrees_with_pillow():
    views = torch.from_numpy(np.array(Image.radial_gradient("L").resize((100, 60)).convert("RGB"))[None])
    resized = plain_views(views, 32)[0]
    theirs = np.array(Image.fromarray(views[0].numpy()).resize((32, 32), Image.Resampling.BILINEAR))
    restored = (
        resized * torch.tensor(augment.RGB_STD)[:, None, None] + torch.tensor(augment.RGB_MEAN)[:, None, None]
    )
    assert (restored.permute(1, 2, 0) * 255 - torch.from_numpy(theirs).float()).abs().max() <= 1.5

"""The published augmentations: every range and its distribution, and the order of the steps.

Samples follow from fixed seeds. One scale for all axes commutes with a turn about the origin and with a shift
in parts of the extent, so its place among these cannot be seen, and need not be.
"""

from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy.stats import kstest

from adacross.data import transforms as augment
from adacross.data.transforms import (
    augment_points,
    augment_views,
    draw_points,
    plain_views,
    rotate_any,
    rotate_y,
    scale_and_shift,
    unit_sphere,
)
from adacross.methods.base import build_augmentation
from adacross.version import KERNELS


@pytest.fixture(autouse=True, params=["1", "0"], ids=["kernels", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Test every augmentation twice: by compiled kernels, and in its plain torch form."""
    monkeypatch.setenv(KERNELS, request.param)
    return request.param == "1"


def jitter_colors(images: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    jitter = augment._Jitter.draw(len(images), images, source)
    return jitter.apply_(images.clone(), slice(None))


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
            "rotate": ("TURN", 0.0),
            "translate": ("TRANSLATION", 0.0),
            "jitter": ("JITTER_STD", 0.0),
            "dropout": ("DROPOUT", 0.0),
        }
        for step in steps:
            monkeypatch.setattr(augment, *values[step])

    return switch_off


def test_unit_sphere_is_centered_and_touches_one():
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


def uniform(sample: torch.Tensor, low: float, high: float) -> None:
    """Nothing outside the range, and Kolmogorov-Smirnov finds no fault with the rest."""
    assert sample.min() >= low - 1e-4
    assert sample.max() <= high + 1e-4
    assert kstest(sample.numpy(), "uniform", args=(low, high - low)).pvalue > 0.001


def independent(*samples: torch.Tensor) -> None:
    correlation = torch.corrcoef(torch.stack(samples)) - torch.eye(len(samples))
    assert correlation.abs().max() < 4 / len(samples[0]) ** 0.5


def test_scale_is_one_factor_for_all_axes_uniform_from_half_to_two(without):
    without("rotate", "translate", "jitter", "dropout")
    points = elongated(4000, 32)
    ratio = augment_points(points, generator()) / unit_sphere(points)
    factor = ratio.flatten(1).median(dim=1).values
    assert torch.allclose(ratio, factor[:, None, None].expand_as(ratio), rtol=1e-3)
    uniform(factor, 0.5, 2.0)


def test_rotation_angle_is_uniform_over_the_circle(without):
    without("scale", "translate", "jitter", "dropout")
    points = elongated(4000, 32)
    before, after = unit_sphere(points), augment_points(points, generator())
    assert torch.allclose(before[..., 1], after[..., 1], atol=1e-5)
    angle = torch.atan2(before[:, 0, 2], before[:, 0, 0]) - torch.atan2(after[:, 0, 2], after[:, 0, 0])
    uniform(angle % (2 * torch.pi), 0.0, 2 * torch.pi)


def test_shift_is_uniform_within_half_the_extent_that_the_turned_cloud_has_on_each_axis(without):
    """Were clouds turned after they are shifted, shifts would not fit the extents on the axes seen here."""
    without("jitter", "dropout")
    points = elongated(4000, 64)
    after = augment_points(points, generator())
    shift = after.mean(1) / (after.amax(1) - after.amin(1))  # the centroid was at 0
    for axis in range(3):
        uniform(shift[:, axis], -0.5, 0.5)
    independent(*shift.T)


def test_jitter_is_gaussian_independent_and_comes_after_scaling(without):
    without("rotate", "translate", "dropout")
    points = elongated(400, 64)
    noisy = augment_points(points, generator())
    without("jitter")
    noise = noisy - augment_points(points, generator())
    assert kstest(noise.flatten()[::16].numpy(), "norm", args=(0.0, 0.01)).pvalue > 0.001
    assert noise.flatten(1).std(dim=1).max() < 0.012  # whatever the scale drawn
    independent(*noise.flatten(0, 1).T)


def test_jitter_is_clipped_on_the_final_axes_whatever_came_before(without, monkeypatch: pytest.MonkeyPatch):
    """Before scaling, turning or shifting, which looks at the extent, noise could reach farther than 0.05."""
    without("dropout")
    monkeypatch.setattr(augment, "JITTER_STD", 1.0)
    points = elongated(400, 64)
    noisy = augment_points(points, generator())
    without("jitter")
    noise = noisy - augment_points(points, generator())
    assert noise.abs().max() == pytest.approx(0.05, abs=1e-5)
    assert (noise.abs() > 0.0499).float().mean() > 0.9


def test_dropout_rate_is_uniform_up_to_seven_eighths_and_every_point_alike():
    after = augment_points(elongated(1500, 1024), generator())
    dropped = (after[:, 1:] == after[:, :1]).all(dim=2).float()
    rate = dropped.mean(1)
    assert kstest(rate.numpy(), "uniform", args=(0.0, 0.875)).pvalue > 0.001
    assert rate.max() < 0.875 + 4 * (0.875 * 0.125 / 1023) ** 0.5
    assert (dropped.mean(0) - 0.4375).abs().max() < 5 * (0.4375 * 0.5625 / 1500) ** 0.5


def test_dropout_comes_last(without):
    """Dropped points are point 0 as it is in the end; the others lie where they would without dropout."""
    after = augment_points(elongated(200, 128), generator())
    without("dropout")
    whole = augment_points(elongated(200, 128), generator())
    dropped = (after != whole).any(2)
    assert torch.equal(after, torch.where(dropped[..., None], whole[:, :1], whole))
    assert 0.3 < dropped.float().mean() < 0.6


def test_normalizing_comes_first():
    """Where a cloud lies and how large it is does not matter, so nothing random has happened before."""
    points = elongated(50)
    moved = augment_points(7 * points + 3, generator())
    assert torch.allclose(augment_points(points, generator()), moved, atol=1e-4)


def test_point_m2aes_view_scales_and_shifts_every_axis_by_itself():
    points = elongated(4000, 32)
    after = scale_and_shift(points, generator())
    span, spread = (cloud.amax(1) - cloud.amin(1) for cloud in (points, after))
    scale = spread / span
    shift = after.mean(1) - scale * points.mean(1)
    for axis in range(3):
        uniform(scale[:, axis], 2 / 3, 3 / 2)
        uniform(shift[:, axis], -0.2, 0.2)
    independent(*scale.T, *shift.T)


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
    """With one factor away from 1 at a time the batched blend is Pillow's enhancer to a gray level."""
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


def test_each_color_factor_is_uniform_within_forty_percent_and_independent():
    """Read off a picture of four pixels, too pale to be clipped, so that the operations commute."""
    pixels = torch.tensor([[0.25] * 3, [0.35] * 3, [0.40, 0.25, 0.25], [0.30] * 3])
    pictures = pixels.T.reshape(1, 3, 2, 2).expand(4000, -1, -1, -1)
    after = jitter_colors(pictures, generator()).flatten(2)
    luma = torch.tensor(augment.LUMA)
    light, light_before = after.mT @ luma, pixels @ luma
    brightness = light.mean(1) / light_before.mean()
    contrast = (light[:, 1] - light[:, 0]) / 0.1 / brightness
    chroma = (after[:, 0, 2] - light[:, 2]) / (0.40 - light_before[2])
    saturation = chroma / brightness / contrast
    for factor in (brightness, contrast, saturation):
        uniform(factor, 0.6, 1.4)
    independent(brightness, contrast, saturation)


def blended(pixels: np.ndarray, order: tuple[int, ...], factor: float) -> np.ndarray:
    """Brightness (0), contrast (1) and saturation (2) of `(S, S, 3)` one after the other; no hue."""
    for kind in order:
        light = (pixels @ np.array(augment.LUMA))[:, :, None]
        reference = (np.zeros(1), light.mean(), light)[kind]
        pixels = np.clip(factor * pixels + (1 - factor) * reference, 0, 1)
    return pixels


def test_color_operations_come_in_each_of_six_orders_equally_often(monkeypatch: pytest.MonkeyPatch):
    """On a glaring picture, where clipping makes every order give another one."""
    draw = augment._uniform

    def with_fixed_factors(shape, low, high, like, source):
        return draw(shape, low, high, like, source) if low == 0.0 else torch.full(shape, 1.35)

    monkeypatch.setattr(augment, "_uniform", with_fixed_factors)
    pixels = np.random.default_rng(0).uniform(0, 1, (4, 4, 3))
    candidates = np.stack([blended(pixels, order, 1.35) for order in permutations(range(3))])
    picture = torch.from_numpy(pixels).permute(2, 0, 1).float()
    found = jitter_colors(picture.expand(600, -1, -1, -1), generator()).permute(0, 2, 3, 1).numpy()
    distance = np.abs(found[:, None] - candidates).max((2, 3, 4))
    assert distance.min(1).max() < 1e-5
    counts = np.bincount(distance.argmin(1), minlength=6)
    assert (np.sort(distance, 1)[:, 1] > 1e-3).all()
    assert np.abs(counts - 100).max() < 4 * (600 * 1 / 6 * 5 / 6) ** 0.5


def restored(rgb: torch.Tensor) -> torch.Tensor:
    """Pictures before they were normalized."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (augment.RGB_MEAN, augment.RGB_STD))
    return rgb * std + mean


def test_pictures_are_resized_before_and_normalized_after_their_colors_change():
    """A fine checkerboard is gray when small. Gray can be made lighter; white cannot."""
    board = torch.from_numpy(np.indices((64, 64)).sum(0) % 2 * 255).to(torch.uint8)
    views = board[None, :, :, None].expand(300, -1, -1, 3).contiguous()
    light = restored(augment_views(views, 8, generator())[0])[:, :, 2:6, 2:6].mean((1, 2, 3))
    assert light.max() > 0.65
    colors = restored(augment_views(picture(300, 16), 16, generator())[0])
    assert colors.min() == pytest.approx(0, abs=1e-6)  # clipped as colors, not as normalized numbers
    assert colors.max() == pytest.approx(1, abs=1e-6)


def test_rgb_and_gray_show_the_same_view_flipped_independently():
    views = picture(400, 16)
    rgb, gray = augment_views(views, 16, generator())
    plain = plain_views(views, 16)
    luma = (views.float() / 255 @ torch.tensor(augment.LUMA) - 0.485) / 0.229
    gray_flipped = torch.isclose(gray[:, 0].flip(-1), luma, atol=1e-4).flatten(1).all(1)
    gray_kept = torch.isclose(gray[:, 0], luma, atol=1e-4).flatten(1).all(1)
    assert (gray_flipped ^ gray_kept).all()  # gray is never jittered
    rgb_flipped = (rgb.flip(-1) - plain).abs().mean((1, 2, 3)) < (rgb - plain).abs().mean((1, 2, 3))
    for share in (gray_flipped, rgb_flipped):
        assert share.float().mean() == pytest.approx(0.5, abs=0.1)
    assert (gray_flipped ^ rgb_flipped).float().mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("size", [48, 20])
def test_pictures_made_one_by_one_are_those_made_together(size: int):
    """Against the published steps one after the other, on pictures that are clipped and on pale ones."""
    views = torch.cat([picture(60), 90 + picture(60, seed=1) // 3])
    source = generator(5)
    images = augment._to_float(views, size)
    turned = torch.rand(len(views), 1, 1, 1, generator=source) < 0.5
    jittered = jitter_colors(images, source)
    mirrored = torch.rand(len(views), 1, 1, 1, generator=source) < 0.5
    luma = torch.einsum("bchw,c->bhw", images, torch.tensor(augment.LUMA))[:, None]
    rgb, gray = augment_views(views, size, generator(5))
    expected = (augment.normalize_rgb(jittered), augment.normalize_gray(luma))
    for found, plain, flip in zip((rgb, gray), expected, (mirrored, turned), strict=True):
        assert torch.allclose(found, torch.where(flip, plain.flip(-1), plain), atol=5e-6)


def test_resizing_ignores_the_aspect_ratio_and_agrees_with_pillow():
    views = torch.from_numpy(np.array(Image.radial_gradient("L").resize((100, 60)).convert("RGB"))[None])
    resized = restored(plain_views(views, 32))[0]
    theirs = np.array(Image.fromarray(views[0].numpy()).resize((32, 32), Image.Resampling.BILINEAR))
    assert (resized.permute(1, 2, 0) * 255 - torch.from_numpy(theirs).float()).abs().max() <= 1.5


def test_gray_is_pillows():
    views = picture(1)
    theirs = Image.fromarray(views[0].numpy()).convert("L").resize((24, 24), Image.Resampling.BILINEAR)
    ours = (plain_views(views, 24, gray=True)[0, 0] * 0.229 + 0.485) * 255
    assert (ours - torch.from_numpy(np.array(theirs)).float()).abs().max() <= 1.5


def test_any_rotation_is_uniform() -> None:
    axes = torch.eye(3).expand(4000, -1, -1)
    turned = rotate_any(axes, generator()).mT  # columns are where the axes go
    assert torch.allclose(turned @ turned.mT, axes, atol=1e-5)
    assert torch.allclose(torch.linalg.det(turned), torch.ones(4000), atol=1e-5)
    cosine = (turned.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    angle = cosine.clamp(-1, 1).arccos().numpy()
    assert kstest(angle, lambda theta: (theta - np.sin(theta)) / np.pi).pvalue > 0.01  # Haar measure
    assert kstest(turned[:, 1, 0].numpy(), "uniform", (-1, 2)).pvalue > 0.01  # Archimedes: a sphere's height
    assert torch.equal(rotate_any(axes[:2], generator(5)), rotate_any(axes[:2], generator(5)))


@pytest.mark.parametrize("count", [1, 7, 301])
def test_compiled_kernels_change_clouds_as_the_torch_form_does(count, monkeypatch: pytest.MonkeyPatch):
    points = torch.cat([elongated(5, count), torch.zeros(3, count, 3)])
    found = augment_points(points, generator(4))
    monkeypatch.setenv(KERNELS, "0")
    assert torch.allclose(found, augment_points(points, generator(4)), atol=2e-6)


@pytest.mark.parametrize("size", [1, 5, 37])
def test_compiled_kernels_change_pictures_as_the_torch_form_does(size, monkeypatch: pytest.MonkeyPatch):
    """Views as the loader has them (planes) and as an image file has them, resized and not."""
    views = picture(40, size)
    for stored in (views, views.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1), picture(40)):
        monkeypatch.setenv(KERNELS, "1")
        found = augment_views(stored, size, generator(4))
        monkeypatch.setenv(KERNELS, "0")
        for ours, plain in zip(found, augment_views(stored, size, generator(4)), strict=True):
            assert torch.allclose(ours, plain, atol=5e-6)


def test_a_coordinate_that_is_no_number_spoils_its_own_cloud_alone():
    points = elongated(3)
    points[1, 5, 0] = torch.nan
    after = augment_points(points, generator())
    assert after[1, :, 0].isnan().all()
    assert torch.isfinite(after[[0, 2]]).all()


def test_mild_turns_about_y_and_scales_each_axis_a_little():
    points = unit_sphere(torch.randn(6, 256, 3, generator=torch.Generator().manual_seed(0)))
    moved = build_augmentation("mild")(points, torch.Generator().manual_seed(1))
    assert torch.equal(moved, build_augmentation("mild")(points, torch.Generator().manual_seed(1)))
    centered, wanted = moved - moved.mean(1, keepdim=True), points - points.mean(1, keepdim=True)
    # Up stays up: y is scaled by one number a cloud, but for the noise.
    scale = (centered[..., 1] * wanted[..., 1]).sum(1) / (wanted[..., 1] ** 2).sum(1)
    assert ((scale > 0.6) & (scale < 1.6)).all()
    assert (centered[..., 1] - scale[:, None] * wanted[..., 1]).std() < 0.02
    assert not torch.allclose(centered[..., 0], scale[:, None] * wanted[..., 0], atol=0.1)
    assert (moved.mean(1) - points.mean(1)).abs().max() < 0.5

"""The published augmentations, batched, on the device of their input, from a seeded generator.

Order and ranges are those of the released CrossPoint, CrossNet and AdaCrossNet programs, which agree. The
paper text of CrossPoint also lists elastic distortion of points and random crops of images (recalled, not
re-checked); neither exists in its released program, nor here.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn.functional import interpolate

SCALE = (0.5, 2.0)
TRANSLATION = 0.5  # of the bounding box's extent, per axis
JITTER_STD, JITTER_CLIP = 0.01, 0.05
DROPOUT = 0.875
COLOR_JITTER = 0.4
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAY_MEAN, GRAY_STD = 0.485, 0.229
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as in Pillow's mode "L"


def _uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: Generator) -> Tensor:
    sample = torch.rand(shape, device=like.device, dtype=like.dtype, generator=generator)
    return sample * (high - low) + low


def unit_sphere(points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
    """Move each cloud's centroid to 0 and its farthest point to distance 1."""
    centred = points - points.mean(dim=1, keepdim=True)
    radius = centred.norm(dim=2).amax(dim=1)[:, None, None]
    return centred / radius.clamp_min(torch.finfo(points.dtype).tiny)


def rotate_y(points: Float[Tensor, "B N 3"], angle: Float[Tensor, " B"]) -> Float[Tensor, "B N 3"]:
    """Turn each cloud about the up axis (+y) by its own `angle` in radians."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, zero, sin, zero, torch.ones_like(angle), zero, -sin, zero, cos]
    rotation = torch.stack(rows, dim=1).view(-1, 3, 3)
    return points @ rotation.mT


def augment_points(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    """Draw one augmented view of every cloud, as the three released programs do.

    In this order, every step with probability 1: unit sphere; one scale for all axes, U(0.5, 2); rotation
    about +y, U(0, 2 pi); shift per axis, U(-0.5, 0.5) of the cloud's extent on that axis; Gaussian jitter
    of 0.01 clipped at 0.05 per coordinate; dropout with a rate r ~ U(0, 0.875) per cloud, a dropped point
    being overwritten by the cloud's point 0 so that N stays.

    Args:
        points: `(B, N, 3)`, y up.
        generator: a generator on the same device as `points`; the only source of randomness.
    """
    batch, count, _ = points.shape
    points = unit_sphere(points)
    points = points * _uniform((batch, 1, 1), *SCALE, points, generator)
    points = rotate_y(points, _uniform((batch,), 0.0, 2 * torch.pi, points, generator))
    extent = points.amax(dim=1, keepdim=True) - points.amin(dim=1, keepdim=True)
    points = points + extent * _uniform((batch, 1, 3), -TRANSLATION, TRANSLATION, points, generator)
    noise = torch.randn(points.shape, device=points.device, dtype=points.dtype, generator=generator)
    points = points + (JITTER_STD * noise).clamp(-JITTER_CLIP, JITTER_CLIP)
    rate = _uniform((batch, 1), 0.0, DROPOUT, points, generator)
    dropped = _uniform((batch, count), 0.0, 1.0, points, generator) < rate
    return torch.where(dropped[:, :, None], points[:, :1], points)


def scale_and_shift(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    """Draw one view of every cloud as Point-M2AE pre-trains: a scale and a shift for each axis by itself.

    Scale U(2/3, 3/2), then shift U(-0.2, 0.2); no rotation.

    Args:
        points: `(B, N, 3)` in the unit sphere.
        generator: on the same device; the only source of randomness.
    """
    scale = _uniform((len(points), 1, 3), 2 / 3, 3 / 2, points, generator)
    return points * scale + _uniform((len(points), 1, 3), -0.2, 0.2, points, generator)


def draw_points(
    points: Float[Tensor, "B N 3"], count: int | None, generator: Generator
) -> Float[Tensor, "B M 3"]:
    """Draw `count` different points of every cloud, or all of them in place if `count` is None or N."""
    if count is None or count == points.shape[1]:
        return points
    scores = _uniform(points.shape[:2], 0.0, 1.0, points, generator)
    chosen = scores.topk(count, dim=1, sorted=False).indices
    return points.gather(1, chosen[:, :, None].expand(-1, -1, 3))


def _to_float(views: UInt8[Tensor, "B H W 3"], size: int) -> Float[Tensor, "B 3 S S"]:
    images = views.permute(0, 3, 1, 2).float() / 255
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, size=(size, size), mode="bilinear", antialias=True).clamp(0, 1)


def _luma(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1 S S"]:
    return torch.einsum("bchw,c->bhw", images, images.new_tensor(LUMA))[:, None]


def _flip(images: Tensor, generator: Generator) -> Tensor:
    flipped = _uniform((len(images), 1, 1, 1), 0.0, 1.0, images, generator) < 0.5
    return torch.where(flipped, images.flip(-1), images)


def jitter_colors(images: Float[Tensor, "B 3 S S"], generator: Generator) -> Float[Tensor, "B 3 S S"]:
    """Brightness, contrast and saturation, each by a factor U(0.6, 1.4), in an order drawn per image.

    Each of the three is a blend with a reference: black, the image's mean grey, the image's grey version.
    """
    batch = len(images)
    order = _uniform((batch, 3), 0.0, 1.0, images, generator).argsort(dim=1)
    factors = _uniform((batch, 3), 1 - COLOR_JITTER, 1 + COLOR_JITTER, images, generator)
    for slot in range(3):
        kind = order[:, slot, None, None, None]
        factor = factors[:, slot, None, None, None]
        gray = _luma(images)
        reference = torch.where(kind == 1, gray.mean(dim=(2, 3), keepdim=True), gray)
        reference = torch.where(kind == 0, 0.0, reference)
        images = (factor * images + (1 - factor) * reference).clamp(0, 1)
    return images


def normalize_rgb(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Subtract the usual RGB mean and divide by the usual deviation (ImageNet's)."""
    return (images - images.new_tensor(RGB_MEAN)[:, None, None]) / images.new_tensor(RGB_STD)[:, None, None]


def normalize_gray(images: Float[Tensor, "B 1 S S"]) -> Float[Tensor, "B 1 S S"]:
    """Subtract the published mean of one channel and divide by its deviation."""
    return (images - GRAY_MEAN) / GRAY_STD


def augment_views(
    views: UInt8[Tensor, "B H W 3"], size: int, generator: Generator
) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B 1 S S"]]:
    """Draw the RGB and the grey picture of one view each: resize, jitter (RGB only), flip, normalise.

    The two pictures come from the same view; their flips are drawn independently, as published.

    Args:
        views: `(B, H, W, 3)` pictures as stored.
        size: side length S in pixels (224 in the papers); the aspect ratio is not kept.
        generator: a generator on the same device as `views`.
    """
    images = _to_float(views, size)
    gray = normalize_gray(_flip(_luma(images), generator))
    rgb = normalize_rgb(_flip(jitter_colors(images, generator), generator))
    return rgb, gray


def plain_views(
    views: UInt8[Tensor, "B H W 3"], size: int, *, gray: bool = False
) -> Float[Tensor, "B C S S"]:
    """The RGB pictures (C = 3) or the grey ones (C = 1) without augmentation, for evaluation."""
    images = _to_float(views, size)
    return normalize_gray(_luma(images)) if gray else normalize_rgb(images)

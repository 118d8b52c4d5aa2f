"""A training step's shapes, and the published augmentations: batched, on their device, seeded.

Order and ranges are those of the released CrossPoint, CrossNet and AdaCrossNet programs, which agree. The
paper text of CrossPoint also lists elastic distortion of points and random crops of images (recalled, not
re-checked); neither exists in its released program, nor here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from adacross.distributed.batch import sample_for_batch
from adacross.ops.kernels import use_kernels

SCALE = (0.5, 2.0)
TURN = 2 * torch.pi  # about the up axis
TRANSLATION = 0.5  # of the bounding box's extent, per axis
JITTER_STD, JITTER_CLIP = 0.01, 0.05
DROPOUT = 0.875
COLOR_JITTER = 0.4
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAY_MEAN, GRAY_STD = 0.485, 0.229
_BRIGHTNESS, _CONTRAST, _SATURATION = range(3)
_GPU_BLOCK = 256 * 2**20  # bytes of pictures worked on at a time: what keeps it busy
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as in Pillow's mode "L"


@dataclass(frozen=True)
class RawBatch:
    """B shapes as stored, from which a method makes its own batch on its device."""

    points: Float[Tensor, "B N 3"]  # y up, in the unit sphere
    views: UInt8[Tensor, "B H W 3"] | None  # an image of each, drawn at random; None for a method without


def _uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: Generator) -> Tensor:
    sample = sample_for_batch(torch.rand, shape, device=like.device, dtype=like.dtype, generator=generator)
    return sample * (high - low) + low


def unit_sphere(points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
    """Move each cloud's centroid to 0 and its farthest point to distance 1."""
    columns = points.mT.contiguous()  # coordinates that lie side by side are worked on several times faster
    columns = columns - columns.mean(dim=2, keepdim=True)
    radius = columns.square().sum(dim=1).amax(dim=1).sqrt()[:, None, None]
    return (columns / radius.clamp_min(torch.finfo(points.dtype).tiny)).mT.contiguous()


def rotate_y(points: Float[Tensor, "B N 3"], angle: Float[Tensor, " B"]) -> Float[Tensor, "B N 3"]:
    """Turn each cloud about the up axis (+y) by its own `angle` in radians."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, zero, sin, zero, torch.ones_like(angle), zero, -sin, zero, cos]
    return (torch.stack(rows, dim=1).view(-1, 3, 3) @ points.mT).mT


def rotate_any(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    """Turn each cloud by its own rotation, uniform over all: the quaternion of a normal 4-vector."""
    options = {"device": points.device, "dtype": points.dtype, "generator": generator}
    drawn = sample_for_batch(torch.randn, (len(points), 4), **options)
    w, x, y, z = torch.nn.functional.normalize(drawn, dim=1).unbind(1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return (torch.stack(rows, dim=1).view(-1, 3, 3) @ points.mT).mT


def augment_points(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    """Draw one augmented view of every cloud `(B, N, 3)`, y up, as the three released programs do.

    In this order, every step with probability 1: unit sphere; one scale for all axes, U(0.5, 2); rotation
    about +y, U(0, 2 pi); shift per axis, U(-0.5, 0.5) of the cloud's extent on that axis; Gaussian jitter
    of 0.01 clipped at 0.05 per coordinate; dropout with a rate r ~ U(0, 0.875) per cloud, a dropped point
    being overwritten by the cloud's point 0 so that N stays. The generator is on the points' device.
    """
    batch, count, _ = points.shape
    options = {"device": points.device, "dtype": points.dtype, "generator": generator}
    scale = _uniform((batch, 1, 1), *SCALE, points, generator)
    angle = _uniform((batch,), 0.0, TURN, points, generator)
    shift = _uniform((batch, 1, 3), -TRANSLATION, TRANSLATION, points, generator)
    noise = sample_for_batch(torch.randn, points.shape, **options)
    rate = _uniform((batch, 1), 0.0, DROPOUT, points, generator)
    draws = sample_for_batch(torch.rand, (batch, count), **options)
    if use_kernels(points):
        from adacross.ops.kernels.clouds import augment_clouds

        drawn = (scale.flatten(), angle, shift[:, 0], noise, rate[:, 0], draws)
        return augment_clouds(points, *drawn, JITTER_STD, JITTER_CLIP)
    columns = rotate_y(unit_sphere(points) * scale, angle).mT.contiguous()  # (B, 3, N), see `unit_sphere`
    extent = columns.amax(dim=2, keepdim=True) - columns.amin(dim=2, keepdim=True)
    columns = columns.add_(extent * shift.mT)
    columns = columns.add_(noise.mul_(JITTER_STD).clamp_(-JITTER_CLIP, JITTER_CLIP).mT.contiguous())
    dropped = (draws < rate).to(points.dtype)[:, None]
    # to multiply by 0 and 1 is exact, and faster than to choose
    return (columns * (1 - dropped)).addcmul_(columns[:, :, :1], dropped).mT.contiguous()


def scale_and_shift(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    """Draw one view of every cloud as Point-M2AE pre-trains: per axis scale U(2/3, 3/2), shift +-0.2."""
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


def _resized(views: UInt8[Tensor, "B H W 3"], size: int) -> UInt8[Tensor, "B 3 S S"]:
    """Bilinear and antialiased, to whole levels, as Pillow does; a view of what was given if it fits."""
    images = views.permute(0, 3, 1, 2)
    if images.shape[-2:] == (size, size):
        return images
    if views.device.type == "cpu":
        return interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    resized = interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).byte()


def _to_float(views: UInt8[Tensor, "B H W 3"], size: int) -> Float[Tensor, "B 3 S S"]:
    return _resized(views, size).contiguous().float().mul_(1 / 255)


def _luma(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1 S S"]:
    red, green, blue = images.split(1, 1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


class _Jitter(NamedTuple):
    """Draws for B pictures: the order of brightness 0, contrast 1 and saturation 2, and their factors."""

    order: Tensor  # (B, 3)
    factors: Tensor  # (B, 3), by place in the order

    @classmethod
    def draw(cls, batch: int, like: Tensor, generator: Generator) -> "_Jitter":
        order = _uniform((batch, 3), 0.0, 1.0, like, generator).argsort(dim=1)
        return cls(order, _uniform((batch, 3), 1 - COLOR_JITTER, 1 + COLOR_JITTER, like, generator))

    def apply_(self, images: Float[Tensor, "B 3 S S"], rows: slice) -> Float[Tensor, "B 3 S S"]:
        """Jitter in place the pictures that `rows` were drawn for."""
        for kinds, factors in zip(self.order[rows].T, self.factors[rows].T, strict=True):
            kind, factor = kinds[:, None, None, None], factors[:, None, None, None]
            gray = _luma(images)
            mean = (kind == _CONTRAST) * gray.mean(dim=(2, 3), keepdim=True)
            reference = gray.mul_(kind == _SATURATION).add_(mean)
            torch.lerp(reference, images, factor, out=images).clamp_(0, 1)
        return images

    def blends(self) -> tuple[Float[Tensor, "B 2 2"], Float[Tensor, "B 3 3"]]:
        """Return what comes before the contrast, and all three, as `ops.kernels.views` takes them."""
        light, mean = ((1 - self.factors) * (self.order == kind) for kind in (_SATURATION, _CONTRAST))
        blends = torch.stack([self.factors, light, mean], dim=2)
        later = (self.order == _CONTRAST).cumsum(1).bool()[:, :2, None]
        return torch.where(later, self.factors.new_tensor([1.0, 0.0]), blends[:, :2, :2]), blends


def normalize_rgb(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Subtract the usual RGB mean and divide by the usual deviation (ImageNet's)."""
    scale = 1 / images.new_tensor(RGB_STD)[:, None, None]
    return (images * scale).sub_(images.new_tensor(RGB_MEAN)[:, None, None] * scale)


def normalize_gray(images: Float[Tensor, "B 1 S S"]) -> Float[Tensor, "B 1 S S"]:
    """Subtract the published mean of one channel and divide by its deviation."""
    return (images - GRAY_MEAN).div_(GRAY_STD)


def augment_views(
    views: UInt8[Tensor, "B H W 3"], size: int, generator: Generator
) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B 1 S S"]]:
    """Draw the RGB and the gray picture of one view each: resize, jitter (RGB only), flip, normalize.

    The two come from the same view `(B, H, W, 3)`; their flips are drawn independently, as published. `size`
    is the side in pixels (224 in the papers); the aspect ratio is not kept. All is on the views' device.
    """
    batch, like = len(views), torch.empty(0, device=views.device)
    turned = _uniform((batch, 1, 1, 1), 0.0, 1.0, like, generator) < 0.5
    jitter = _Jitter.draw(batch, like, generator)
    mirrored = _uniform((batch, 1, 1, 1), 0.0, 1.0, like, generator) < 0.5
    if use_kernels(views):
        from adacross.ops.kernels.views import augment_images

        flips = (turned.flatten(), mirrored.flatten())
        means, stds = (*RGB_MEAN, GRAY_MEAN), (*RGB_STD, GRAY_STD)
        return augment_images(_resized(views, size), *jitter.blends(), *flips, LUMA, means, stds)
    rgb, gray = like.new_empty(batch, 3, size, size), like.new_empty(batch, 1, size, size)
    step = max(1, _GPU_BLOCK // (12 * size * size))
    for start in range(0, batch, step):
        rows = slice(start, start + step)
        images = _to_float(views[rows], size)
        grays = normalize_gray(_luma(images))
        torch.where(turned[rows], grays.flip(-1), grays, out=gray[rows])
        colors = normalize_rgb(jitter.apply_(images, rows))
        torch.where(mirrored[rows], colors.flip(-1), colors, out=rgb[rows])
    return rgb, gray


def plain_views(
    views: UInt8[Tensor, "B H W 3"], size: int, *, gray: bool = False
) -> Float[Tensor, "B C S S"]:
    """Return the RGB pictures (C = 3) or the gray ones (C = 1) without augmentation, for evaluation."""
    images = _to_float(views, size)
    return normalize_gray(_luma(images)) if gray else normalize_rgb(images)

"""The released programs' transforms, one sample at a time, written plainly with NumPy and Pillow.

Order and ranges are those of `adacross.data.transforms`, whose docstrings say where they come from.
"""

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def plain_cloud(points: np.ndarray, rng: np.random.Generator) -> Tensor:
    """One augmented view `(N, 3)` of one cloud `(N, 3)`: six transforms, each a new array."""
    points = points - points.mean(0)
    points = points / np.sqrt((points**2).sum(1)).max()
    points = points * rng.uniform(0.5, 2)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    points = points @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    extent = points.max(0) - points.min(0)
    points = points + rng.uniform(-0.5, 0.5, 3) * extent
    points = points + np.clip(rng.normal(0, 0.01, points.shape), -0.05, 0.05)
    dropped = rng.random(len(points)) <= rng.uniform(0, 0.875)
    points[dropped] = points[0]
    return torch.from_numpy(points).float()


def plain_rgb(picture: Image.Image, size: int, rng: np.random.Generator) -> Tensor:
    """A color picture `(3, size, size)`: resized, jittered in a drawn order, flipped or not, normalized."""
    picture = picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    jitters = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind in rng.permutation(3):
        picture = jitters[kind](picture).enhance(rng.uniform(0.6, 1.4))
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
    return (pixels - MEAN) / STD


def plain_gray(picture: Image.Image, size: int, rng: np.random.Generator) -> Tensor:
    """A gray picture `(1, size, size)`: resized, flipped or not, normalized."""
    picture = picture.convert("L").resize((size, size), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    return (torch.from_numpy(np.array(picture))[None].float().div(255) - 0.485) / 0.229


def plain_batch(
    points: np.ndarray, pictures: list[Image.Image], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples one after the other, then collated: two clouds `(B, N, 3)`, RGB and gray pictures."""
    samples = [
        (plain_cloud(p, rng), plain_cloud(p, rng), plain_rgb(v, size, rng), plain_gray(v, size, rng))
        for p, v in zip(points, pictures, strict=True)
    ]
    first, second, rgb, gray = (torch.stack(parts) for parts in zip(*samples, strict=True))
    return first, second, rgb, gray

"""Augmentation of images: colors blended, mirrored and normalized, and the gray image beside them."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from adacross.ops.compiler import kernel

_BLACK, _WHITE = np.float32(0), np.float32(255)


def augment_images(
    images: UInt8[Tensor, "B 3 S S"],
    before: Float[Tensor, "B 2 2"],
    blends: Float[Tensor, "B 3 3"],
    turned: Bool[Tensor, " B"],
    mirrored: Bool[Tensor, " B"],
    luma: tuple[float, float, float],
    means: tuple[float, float, float, float],
    stds: tuple[float, float, float, float],
) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B 1 S S"]]:
    """Return the color and the gray image of each image, normalized.

    A blend `(factor, light, mean)` turns colors into `factor * color + light * luma + mean * average`,
    clipped to what an image can show. `average` is an image's mean luma after the blends of `before`.

    Args:
        images: `(B, 3, S, S)`, 0 to 255.
        before: factor and light of the blends that come before the average is taken; `(1, 0)` changes
            nothing.
        blends: factor, light and mean of the three blends of the color image.
        turned: gray images that are mirrored.
        mirrored: color images that are.
        luma: weights of red, green and blue.
        means: subtracted from red, green, blue and gray in 0 to 1.
        stds: divisors of the same.
    """
    size = images.shape[-1]
    rgb, gray = torch.empty(len(images), 3, size, size), torch.empty(len(images), 1, size, size)
    weights = np.array(luma, dtype=np.float32)
    scales = np.array([(1 / (255 * std), -mean / std) for mean, std in zip(means, stds, strict=True)])
    arrays: list[Any] = [each.contiguous().numpy() for each in (images, before, blends, turned, mirrored)]
    _augment.over(len(images), *arrays, weights, scales.astype(np.float32), rgb.numpy(), gray.numpy())
    return rgb, gray


@kernel
def _augment(
    first: int,
    last: int,
    images: np.ndarray,
    before: np.ndarray,
    blends: np.ndarray,
    turned: np.ndarray,
    mirrored: np.ndarray,
    luma: np.ndarray,
    scales: np.ndarray,
    rgb: np.ndarray,
    gray: np.ndarray,
) -> None:
    """Fill in `rgb` and `gray`; each pixel is read twice, as a byte, and blended in registers."""
    size = images.shape[3]
    of_red, of_green, of_blue = luma
    reverse = np.empty(images.shape[1:], np.uint8)
    for i in range(first, last):
        if turned[i] or mirrored[i]:
            for c in range(3):
                for y in range(size):
                    row, reversed_row = images[i, c, y], reverse[c, y]
                    for x in range(size):  # an unsigned index is never checked for counting from the end
                        reversed_row[x] = row[np.uint64(size - 1 - x)]
        image = reverse if turned[i] else images[i]
        total = np.float64(0)
        for y in range(size):
            red, green, blue = image[0, y], image[1, y], image[2, y]
            light = gray[i, 0, y]
            row_total = np.float32(0)
            for x in range(size):
                r, g, b = np.float32(red[x]), np.float32(green[x]), np.float32(blue[x])
                value = of_red * r + of_green * g + of_blue * b
                light[x] = value * scales[3, 0] + scales[3, 1]
                for k in range(2):
                    reference = before[i, k, 1] * value
                    r = min(max(before[i, k, 0] * r + reference, _BLACK), _WHITE)
                    g = min(max(before[i, k, 0] * g + reference, _BLACK), _WHITE)
                    b = min(max(before[i, k, 0] * b + reference, _BLACK), _WHITE)
                    value = of_red * r + of_green * g + of_blue * b
                row_total += value
            total += float(row_total)
        average = np.float32(total / size**2)
        image = reverse if mirrored[i] else images[i]
        for y in range(size):
            red, green, blue = image[0, y], image[1, y], image[2, y]
            new_red, new_green, new_blue = rgb[i, 0, y], rgb[i, 1, y], rgb[i, 2, y]
            for x in range(size):
                r, g, b = np.float32(red[x]), np.float32(green[x]), np.float32(blue[x])
                for k in range(3):
                    value = of_red * r + of_green * g + of_blue * b
                    reference = blends[i, k, 1] * value + blends[i, k, 2] * average
                    r = min(max(blends[i, k, 0] * r + reference, _BLACK), _WHITE)
                    g = min(max(blends[i, k, 0] * g + reference, _BLACK), _WHITE)
                    b = min(max(blends[i, k, 0] * b + reference, _BLACK), _WHITE)
                new_red[x] = r * scales[0, 0] + scales[0, 1]
                new_green[x] = g * scales[1, 0] + scales[1, 1]
                new_blue[x] = b * scales[2, 0] + scales[2, 1]

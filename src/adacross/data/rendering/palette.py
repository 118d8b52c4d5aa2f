"""Colors of classes and parts."""

import math
from collections.abc import Iterable

# Plotly's markers, which tell classes apart beside the colors.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "x")


def palette(size: int) -> list[str]:
    """Return `size` colors, neighbors far apart, that read on light and on dark ground.

    Hues follow the golden angle, lightness and chroma three levels; from OKLCH (Björn Ottosson, 2020).
    """
    levels = ((0.66, 0.15), (0.56, 0.13), (0.74, 0.12))
    hues = (25.0 + 137.508 * index for index in range(size))
    return [_oklch(*levels[index % 3], hue) for index, hue in enumerate(hues)]


def part_colors(names: Iterable[str]) -> list[str]:
    """Return one color for each part, far apart where there are few."""
    size = len(list(names))
    return [_oklch(0.68, 0.15, 250.0 + 360.0 * index / max(size, 1)) for index in range(size)]


def _oklch(lightness: float, chroma: float, hue: float) -> str:
    """One OKLCH color as an sRGB hex string, clipped to the gamut."""
    a = chroma * math.cos(math.radians(hue))
    b = chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    clipped = [min(max(part, 0.0), 1.0) for part in linear]
    # linear light to sRGB (IEC 61966-2-1)
    encoded = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in clipped]
    return "#" + "".join(f"{round(255 * part):02x}" for part in encoded)

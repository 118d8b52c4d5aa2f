"""Images of clouds as balls, and of depth maps in color, as WebP files."""

import io
import math

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from adacross.data.rendering.render import orbit, render_cloud
from adacross.data.shape import PointCloud
from adacross.evaluation.reconstruction import CompletedMap, CompletedShape

Color = tuple[int, int, int]

GIVEN: Color = (147, 149, 152)
PREDICTED: Color = (199, 90, 25)
LIGHT = 0.78  # how much of their color balls show (adacross.data.rendering.shading, seen from the front)
# Depth 0 (nothing there) and from the farthest, 0.2, to the nearest; lightness rises all the way.
NOTHING: Color = (24, 25, 30)
DEPTHS: tuple[tuple[float, Color], ...] = (
    (0.0, NOTHING), (0.2, (52, 56, 150)), (0.45, (38, 132, 142)), (0.7, (94, 182, 92)), (1.0, (253, 220, 70)),
)  # fmt: skip
HIDDEN: tuple[Color, Color] = (226, 226, 222), (198, 198, 194)  # ground and stripes of what is not shown
STRIPE, PERIOD = 3, 10  # pixels along a row
SIDE = 320  # pixels of an image: twice what is shown, for fine screens and smooth edges
BALL = 0.9  # radius times the root of the number of points: a surface is about covered
ROOM = 0.9  # clouds are drawn this much smaller: predicted points may lie outside the unit sphere


def draw_clouds(shape: CompletedShape) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Return the cloud, its visible points and the completed cloud, seen by one camera."""
    size, given = ball(len(shape.points)), np.zeros(len(shape.points), dtype=np.int64)
    colors = np.array([GIVEN, PREDICTED])
    return [
        draw_cloud(shape.points, colors[given], size),
        draw_cloud(shape.points[shape.visible], colors[given[shape.visible]], size),
        draw_cloud(shape.completed, colors[shape.predicted.astype(int)], size),
    ]


def ball(count: int) -> float:
    """Return the radius of balls of which so many about cover a surface."""
    return BALL * ROOM / math.sqrt(count)


def draw_maps(depth: CompletedMap) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Return the map, its visible patches, the completed and the redrawn map, each `SIDE` wide or wider."""
    times = max(1, -(-SIDE // len(depth.given)))
    images = [
        np.kron(depth_colors(values), np.ones((times, times, 1), dtype=np.uint8))
        for values in (depth.given, depth.given, depth.completed, depth.redrawn)
    ]
    hide(images[1], ~np.kron(depth.visible, np.ones((times, times), dtype=bool)))
    return images


def depth_colors(values: Float32[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return depths, 0 to 1, as colors from dark to light."""
    stops, colors = zip(*DEPTHS, strict=True)
    channels = [np.interp(values, stops, channel) for channel in zip(*colors, strict=True)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def hide(image: UInt8[np.ndarray, "H W 3"], hidden: Bool[np.ndarray, "H W"]) -> None:
    """Cover pixels with light stripes, which no depth looks like, in place."""
    rows, columns = np.nonzero(hidden)
    image[rows, columns] = np.array(HIDDEN, dtype=np.uint8)[((rows + columns) % PERIOD < STRIPE).astype(int)]


def draw_cloud(
    points: Float[np.ndarray, "N 3"],
    colors: Int[np.ndarray, "N 3"] | None = None,
    radius: float | None = None,
) -> UInt8[np.ndarray, "S S 3"]:
    """Return the image of a cloud in the unit sphere as balls; colors are 0 to 255, as they shall look."""
    if colors is not None:
        colors = (colors / LIGHT).clip(0, 255).round().astype(np.uint8)
    cloud = PointCloud((ROOM * points).astype(np.float32), colors=colors)
    image: UInt8[np.ndarray, "S S 3"] = render_cloud(cloud, orbit(1), SIDE, radius or ball(len(points)))[0]
    return image


def rgb(color: str) -> Color:
    """Return "#rrggbb" as numbers."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def webp(image: UInt8[np.ndarray, "H W 3"], size: int) -> bytes:
    """Return an image as a WebP file, at most `size` pixels wide."""
    from PIL import Image

    encoded = Image.fromarray(image)
    if max(encoded.size) > size:
        encoded.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    encoded.save(buffer, "WEBP", quality=78, method=4)
    return buffer.getvalue()

"""Shapes as images in HTML, for notebooks and pages: all text is escaped, all styles are inline."""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from adacross.data.rendering.render import orbit, render_cloud, render_mesh
from adacross.data.shape import Mesh, PointCloud, Shape

SIZE = 192  # pixels of a rendered image
_FIGURE = "margin:0;min-width:0;text-align:left"
_IMAGE = (
    "display:block;width:100%;aspect-ratio:1;border-radius:6px;background:#fff;box-shadow:0 0 0 1px #8886"
)
_CAPTION = "margin-top:.35rem;display:flex;justify-content:space-between;gap:.5rem"
_FAINT = "color:#767a82;overflow-wrap:anywhere"


def png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Encode an image as PNG."""
    stream = BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def data_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """Return an image as an address that needs no request."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def cloud_image(points: Float[np.ndarray, "N 3"], size: int = SIZE) -> UInt8[np.ndarray, "S S 3"]:
    """Render points of the unit sphere."""
    image: UInt8[np.ndarray, "S S 3"] = render_cloud(PointCloud(points.astype(np.float32)), orbit(1), size)[0]
    return image


def figure_html(
    image: UInt8[np.ndarray, "H W 3"], title: str, *, value: str = "", name: str = "", width: str = "auto"
) -> str:
    """Return an image with a title, a value beside it, and a name below it; `width` as in CSS."""
    return (
        f'<figure style="{_FIGURE};width:{width}"><img style="{_IMAGE}" src="{data_uri(image)}" '
        f'alt="{escape(name or title)}"><figcaption style="{_CAPTION}"><span>{escape(title)}</span>'
        f'<span style="font-variant-numeric:tabular-nums">{escape(value)}</span></figcaption>'
        f'<small style="{_FAINT}">{escape(name)}</small></figure>'
    )


def gallery_html(figures: Iterable[str], width: int = 160) -> str:
    """Return figures in rows, each about `width` pixels wide."""
    columns = f"repeat(auto-fill,minmax({width}px,1fr))"
    return f'<div style="display:grid;gap:1rem;grid-template-columns:{columns}">{"".join(figures)}</div>'


def facts_html(title: str, facts: Mapping[str, str]) -> str:
    """Return a title and a line of names and values."""
    line = " · ".join(f"{escape(name)} {escape(value)}" for name, value in facts.items() if value)
    return f'<div style="margin-bottom:.6rem"><b>{escape(title)}</b><br><small>{line}</small></div>'


def shape_html(shape: Mesh | PointCloud | Shape) -> str:
    """Return a shape as a rendered image, its size below it."""
    width = f"{SIZE}px"
    if isinstance(shape, Shape):
        image = shape.views[0] if len(shape.views) else cloud_image(shape.points)
        size = f"{len(shape.points):,} points"
        return figure_html(image, size, value=shape.split, name=shape.id, width=width)
    points = shape.vertices[shape.faces].reshape(-1, 3) if isinstance(shape, Mesh) else shape.points
    points = points.astype(np.float64)
    if not (len(points) and (np.abs(points) < 1e100).all()):  # NaN is not
        return figure_html(cloud_image(np.zeros((0, 3))), "nothing to render", width=width)
    low, high = points.min(0), points.max(0)
    center = (low + high) / 2
    radius = np.linalg.norm(points - center, axis=1).max() or 1.0
    if isinstance(shape, Mesh):
        unit = Mesh((shape.vertices - center) / radius, shape.faces, shape.face_colors)
        image, size = render_mesh(unit, orbit(1), SIZE)[0], f"{len(shape.faces):,} triangles"
    else:
        cloud = PointCloud(((points - center) / radius).astype(np.float32), shape.normals, shape.colors)
        image, size = render_cloud(cloud, orbit(1), SIZE)[0], f"{len(points):,} points"
    return figure_html(image, size, name=" × ".join(f"{side:.4g}" for side in high - low), width=width)

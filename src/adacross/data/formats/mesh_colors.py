"""Colours of the faces of a mesh that trimesh has read."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8

from adacross.data.images import FORMATS, IMAGE_ERRORS, LARGEST_SIDE
from adacross.data.shape import BrokenShapeError
from adacross.errors import one_line

_TEXTURES = (*FORMATS, "GIF", "TGA", "TIFF", None)  # None: made by trimesh itself
# What trimesh paints a file that names no material, as a colour and as a texture: stands for no colour.
_UNTOUCHED = ((102, 102, 102), (100, 100, 100))


def face_colors(visual: Any, faces: Int64[np.ndarray, "F 3"]) -> UInt8[np.ndarray, "F 3"] | None:
    """Return the colour of each face of a trimesh visual, or None where it has none.

    Args:
        visual: colours of faces or vertices (then the mean of a face's three), or a material.
        faces: `(F, 3)` indices into the visual's vertices.
    """
    if visual.kind == "face":
        return np.asarray(visual.face_colors, dtype=np.uint8)[:, :3].copy()
    if visual.kind == "vertex":
        return np.asarray(visual.vertex_colors)[faces][..., :3].mean(1).round().astype(np.uint8)
    if visual.kind != "texture" or visual.material is None:
        return None
    material = visual.material
    color = _base_color(getattr(material, "baseColorFactor", getattr(material, "diffuse", None)))
    image = getattr(material, "baseColorTexture", getattr(material, "image", None))
    image = image if visual.uv is None else _decoded(image)
    if image is not None and visual.uv is not None and not _untouched(image):
        texels = _texels(image, np.asarray(visual.uv, dtype=np.float64)[faces].mean(1))
        return texels if color is None else (texels * (color / 255)).round().astype(np.uint8)
    return None if color is None else np.tile(color.astype(np.uint8), (len(faces), 1))


def _base_color(factor: Any) -> Float[np.ndarray, "3"] | None:
    """Return a material's colour as 0..255, or None where nobody chose it."""
    if factor is None:
        return None
    values = np.asarray(factor)[:3]
    if values.dtype.kind == "f" and values.max() <= 1:
        values = (values * 255).round()
    return None if tuple(values.tolist()) in _UNTOUCHED else values.astype(np.float64)


def _decoded(image: Any) -> Any:
    """Return a texture, which trimesh has opened and not read, as RGB.

    Raises:
        BrokenShapeError: it is damaged, too large, or of a kind that is not read.
    """
    if image is None:
        return None
    try:
        if image.format not in _TEXTURES:
            raise ValueError(f"a {image.format} file")
        if max(image.size) > LARGEST_SIDE:
            raise ValueError(f"{image.width} x {image.height} pixels")
        return image.convert("RGB")
    except IMAGE_ERRORS as error:
        reason = one_line(error, 120)
        raise BrokenShapeError(f"its texture cannot be read ({reason})") from error


def _untouched(image: Any) -> bool:
    single = image.getcolors(1)  # None where there are several colours
    return bool(single) and single[0][1] in _UNTOUCHED


def _texels(image: Any, uv: Float[np.ndarray, "F 2"]) -> UInt8[np.ndarray, "F 3"]:
    """Look up an RGB picture at texture coordinates, which repeat beyond 0..1 and grow upwards."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    u, v = np.moveaxis(np.nan_to_num(uv) % 1.0, -1, 0)
    column = np.minimum((u * width).astype(np.int64), width - 1)
    row = np.minimum(((1 - v) * height).astype(np.int64), height - 1)
    return pixels[row, column]

"""Ready-made pictures of a shape: read, put on white, made square, resized."""

import io
import re
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from adacross.data.rendering.shading import BACKGROUND
from adacross.data.workers.local import shortage
from adacross.io.files import READER_ERRORS, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow knows more, and runs Ghostscript for one of them
LARGEST_SIDE = 8192  # pixels; a thin picture is made square, so its area alone says little
MOST_SCANS = 100  # of a progressive JPEG, each of which is drawn over all pixels; programs write about ten
IMAGE_ERRORS = (*READER_ERRORS, Image.DecompressionBombError, Image.DecompressionBombWarning)
_ORIENTATION = 0x0112  # EXIF's tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SCREEN = 1 / 2.2  # gamma of an image that is stored as screens show it
_LINEAR = ("L", "LA", "RGB", "RGBA")  # modes that a curve is applied to
_MARK = re.compile(rb"\xff+[^\xff\x00\x01\xd0-\xd7]")  # of JPEG
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_LISTED = 3  # broken files that a remark names


def read_views(
    paths: Sequence[Path], views: int, size: int
) -> tuple[UInt8[np.ndarray, "V size size 3"] | None, list[str]]:
    """Read the first `views` images that can be read; where there are fewer, they are repeated in turn.

    A view drawn at random from the repeated ones is one drawn at random from those that are there.

    Returns `(V, size, size, 3)` RGB, as `on_white` and bilinear resizing (antialiased, as the released
    training's) make them, or None if no file can be read; and remarks: which files cannot be read, sizes that
    differ, images that repeat.
    """
    found: list[UInt8[np.ndarray, "size size 3"]] = []
    widths: set[int] = set()
    broken: list[str] = []
    for path in paths:
        if len(found) == views:
            break
        try:
            image = open_picture(read_bytes(path))
            found.append(resized(image, size))
            widths.add(max(image.size))
        except IMAGE_ERRORS as error:
            if shortage(error):  # no fault of the file
                raise
            text = " ".join(str(error).replace(str(path), path.name).split())[:120] or type(error).__name__
            broken.append(f"{path.name} cannot be read ({text})")
    remarks = broken[:_LISTED]
    if len(broken) > _LISTED:
        remarks.append(f"{len(broken) - _LISTED} more images cannot be read")
    if not found:
        return None, remarks
    sides = sorted(widths)
    if len(sides) > 1:
        remarks.append(f"its images have sides from {sides[0]} to {sides[-1]} pixels; all are resized")
    if len(found) < views:
        remarks.append(f"{len(found)} of {views} images, repeated in turn")
    return np.stack([found[view % len(found)] for view in range(views)]), remarks


def open_picture(
    content: bytes, largest_side: int = LARGEST_SIDE, formats: tuple[str, ...] = FORMATS
) -> Image.Image:
    """Decode an image as a viewer shows it: turned as its camera was, in 8 bits, with its gamma.

    Raises one of `IMAGE_ERRORS` if it is damaged, of another format, or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=formats)
        except UnidentifiedImageError:
            raise ValueError(f"no picture: none of {', '.join(formats)}") from None
    if max(image.size) > largest_side:
        raise ValueError(f"{image.width} x {image.height} pixels, more than {largest_side:,} along a side")
    if image.format in ("JPEG", "MPO") and _scans(content) > MOST_SCANS:
        raise ValueError(f"a JPEG of more than {MOST_SCANS} scans")
    image.load()
    return _as_shown(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF data says; broken EXIF data says nothing."""
    with warnings.catch_warnings(action="ignore"):
        try:
            turn = _TURNS.get(int(image.getexif().get(_ORIENTATION, 1)))
        except (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError, struct.error):
            turn = None
    return image if turn is None else image.transpose(turn)


def _as_shown(image: Image.Image) -> Image.Image:
    """Return an image in 8 bits, encoded for screens as nearly all images are."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64)
        full = 1.0 if image.mode == "F" else 65535.0
        shown = Image.fromarray((np.nan_to_num(values) / full * 255).clip(0, 255).round().astype(np.uint8))
        shown.info = image.info
        image = shown
    gamma = image.info.get("gamma", _SCREEN)  # of a PNG, ignored beside a better description of its colors
    described = "srgb" in image.info or "icc_profile" in image.info
    if described or not 0.1 < gamma < 10 or abs(gamma - _SCREEN) < 0.05 or image.mode not in _LINEAR:
        return image
    curve = [round(255 * (value / 255) ** (_SCREEN / gamma)) for value in range(256)]
    straight = list(range(256))
    return image.point([*curve * len(image.mode.removesuffix("A")), *straight * image.mode.endswith("A")])


def _scans(content: bytes) -> int:
    """Count the scans of a JPEG, up to one more than `MOST_SCANS`."""
    scans, at = 0, 0
    # Between pixels 0xff is followed by 0 or a restart's mark; all else begins a segment of a given length.
    while scans <= MOST_SCANS and (mark := _MARK.search(content, at)):
        kind, at = mark[0][-1], mark.end()
        if kind == _END:
            break
        if kind != _START:
            at += int.from_bytes(content[at : at + 2], "big")
        scans += kind == _SCAN
    return scans


def resized(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Return an image on white, in a square, of `size` pixels along each side (bilinear, antialiased)."""
    return np.asarray(on_white(image).resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def on_white(image: Image.Image) -> Image.Image:
    """Return an image as RGB on white, like our own drawings, in a square that is filled up on both sides.

    Transparency of any kind (RGBA, gray with alpha, a palette's) is blended with white.
    """
    rgba = image.convert("RGBA")
    side = max(rgba.size)
    canvas = Image.new("RGB", (side, side), (BACKGROUND,) * 3)
    corner = ((side - rgba.width) // 2, (side - rgba.height) // 2)
    canvas.paste(rgba.convert("RGB"), corner, rgba.getchannel("A"))
    return canvas

"""Queries: a file's shape or image."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import numpy as np
from jaxtyping import Float32, UInt8

from adacross.data.collection.sample import load_shape
from adacross.data.formats.files import SUFFIXES
from adacross.data.images import FORMATS
from adacross.data.isolated import TIMEOUT, views_apart
from adacross.data.shape import Axis
from adacross.errors import UserError

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # endings of `adacross.data.images.FORMATS`
SHAPES = SUFFIXES
_READERS = Semaphore(2)  # files that are read at a time: each may take much memory


@dataclass(frozen=True, eq=False)
class Query:
    """A shape or an image."""

    name: str  # shown on pages and in tables
    points: Float32[np.ndarray, "N 3"] | None = None  # y up, in the unit sphere
    image: UInt8[np.ndarray, "S S 3"] | None = None  # RGB on white
    index: int | None = None  # of a shape of the collection, which does not find itself
    vectors: Float32[np.ndarray, "t D"] | None = None  # of length 1, one an orientation; once encoded


def read_query(
    path: Path,
    *,
    points: int,
    size: int,
    up: Axis | None = None,
    name: str | None = None,
    timeout: float = TIMEOUT,
) -> Query:
    """Read a mesh, a cloud or an image of `size` pixels, as the file's ending says, in a separate process.

    Up is the file type's own axis by default; `name` is for messages, if the file is a temporary one.
    """
    name = name or path.name
    suffix = path.suffix.lower()
    if suffix not in (*IMAGES, *SHAPES):
        endings = ", ".join(dict.fromkeys((*SHAPES, *IMAGES)))
        raise UserError(
            f"{name} is neither a shape nor an image that can be read; expected one of {endings}."
        )
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a shape's id, or the file of a shape or an image.")
    if suffix in IMAGES:
        with _READERS, closing(views_apart([path], size, timeout)) as images:
            _, image, reason = next(images)
        if image is None:
            reason = reason.removeprefix(f"{path.name} ")
            raise UserError(f"{name} {reason}; expected an image: {', '.join(FORMATS)}.")
        return Query(name, image=image)
    try:
        with _READERS:
            return Query(name, points=load_shape(path, points=points, up=up, timeout=timeout).points)
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from None

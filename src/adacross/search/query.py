"""What is searched for: a file's shape or picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from adacross.data.formats.files import SUFFIXES
from adacross.data.pictures import FORMATS, read_views
from adacross.data.single import load_shape
from adacross.data.source import Axis
from adacross.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # what `adacross.data.pictures.FORMATS` are called
SHAPES = SUFFIXES


@dataclass(frozen=True, eq=False)
class Query:
    """A shape or a picture: one of the two is there.

    Attributes:
        name: what people call it.
        points: `(N, 3)`, y up, in the unit sphere.
        picture: `(S, S, 3)` on white.
        own: the index of a shape of the collection, which is not to find itself.
        vector: what it is compared by, of length 1, once `SearchIndex.encoded` has made it.
    """

    name: str
    points: Float32[np.ndarray, "N 3"] | None = None
    picture: UInt8[np.ndarray, "S S 3"] | None = None
    own: int | None = None
    vector: Float32[np.ndarray, " D"] | None = None


def read_query(
    path: Path,
    *,
    points: int,
    size: int,
    up: Axis | None = None,
    name: str | None = None,
    timeout: float | None = None,
) -> Query:
    """A file's mesh, cloud or picture; which of them its ending says.

    Args:
        path: the file.
        points: how many of a shape's points there are to be.
        size: side of the picture, in pixels; that of the pictures it is compared with.
        up: the axis that points up in a mesh or a cloud; the file type's own by default.
        name: what to call it in messages, where the file is a temporary one.
        timeout: seconds that reading a shape may take; given, a process of its own reads it, and may crash.

    Raises:
        UserError: no such file, of another kind, or damaged.
    """
    name = name or path.name
    suffix = path.suffix.lower()
    if suffix not in (*PICTURES, *SHAPES):
        endings = ", ".join(dict.fromkeys((*SHAPES, *PICTURES)))
        raise UserError(
            f"{name} is neither a shape nor a picture that can be read; expected one of {endings}."
        )
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a shape's id, or the file of a shape or a picture.")
    if suffix in PICTURES:
        views, remarks = read_views([path], 1, size)
        if views is None:
            reason = remarks[0].removeprefix(f"{path.name} ") if remarks else "cannot be read"
            raise UserError(f"{name} {reason}; expected a picture: {', '.join(FORMATS)}.")
        return Query(name, picture=views[0])
    try:
        return Query(name, points=load_shape(path, points=points, up=up, timeout=timeout).points)
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from None

"""What is searched for: a file's shape or picture."""

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

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # what `adacross.data.images.FORMATS` are called
SHAPES = SUFFIXES
_READING = Semaphore(2)  # files that are read at once, however many people ask: each may take much memory


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
    timeout: float = TIMEOUT,
) -> Query:
    """A file's mesh, cloud or picture; which of them its ending says.

    Args:
        path: the file.
        points: how many of a shape's points there are to be.
        size: side of the picture, in pixels; that of the pictures it is compared with.
        up: the axis that points up in a mesh or a cloud; the file type's own by default.
        name: what to call it in messages, where the file is a temporary one.
        timeout: seconds that a process of its own, which may crash, has for reading it.

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
        with _READING, closing(views_apart([path], size, timeout)) as found:
            _, picture, reason = next(found)
        if picture is None:
            reason = reason.removeprefix(f"{path.name} ")
            raise UserError(f"{name} {reason}; expected a picture: {', '.join(FORMATS)}.")
        return Query(name, picture=picture)
    try:
        with _READING:
            return Query(name, points=load_shape(path, points=points, up=up, timeout=timeout).points)
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from None

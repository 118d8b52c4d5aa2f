"""One shape from one file, without a collection."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from adacross.data.collection.pipeline import SERVE, make_shape, read_answer
from adacross.data.formats.files import SUFFIXES
from adacross.data.formats.mesh_files import UP
from adacross.data.formats.meshes import stamp_of
from adacross.data.shape import Shape
from adacross.data.source import Axis, BrokenShapeError, Item
from adacross.data.workers.local import Died, each
from adacross.errors import UserError, one_of

_WANTED: dict[str, Any] = {"kind": "files", "split": "test", "views": 0, "size": 1, "parts": []}


def file_item(path: Path, up: Axis | None = None) -> Item:
    """What is to be read of a mesh's or a cloud's file.

    Args:
        path: also its id, as it was given.
        up: the axis that points up in it; None takes the file type's own (`mesh_files.UP`), y for clouds.
    """
    axis = up or UP.get(path.suffix.lower(), "y")
    return Item(str(path), str(path), up=axis, stamp=stamp_of(path))


def load_shape(
    path: str | Path,
    *,
    points: int = 2048,
    up: Axis | None = None,
    seed: int = 0,
    timeout: float | None = None,
) -> Shape:
    """Read one mesh or cloud as `prepare` would: sampled, turned y up, in the unit sphere, without pictures.

    Args:
        path: OFF, OBJ, PLY, STL or GLB; or a cloud as PLY, NPY, or text with a point a line.
        points: how many; of a larger cloud they are drawn, of a smaller one some are repeated.
        up: the axis that points up in the file; by default z for OFF, y for all else.
        seed: of the sampling.
        timeout: seconds that reading may take; given, a process of its own reads the file, and may crash.

    Raises:
        UserError: no such file, or it cannot become a shape; names it.
    """
    path = Path(path)
    one_of("up axis", up or "y", ("x", "y", "z"))
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a file that ends in {', '.join(SUFFIXES)}.")
    item = file_item(path, up)
    wanted = _WANTED | {"points": points, "seed": seed}
    try:
        return make_shape(item, **wanted).shape if timeout is None else _apart(item, wanted, timeout)
    except (BrokenShapeError, MemoryError) as error:
        raise UserError(f"{path} is no shape: {error}.") from None


def _apart(item: Item, wanted: dict[str, Any], timeout: float) -> Shape:
    """As `make_shape`, in a process whose end costs nothing."""
    with closing(each(SERVE, [{"item": asdict(item)} | wanted], 1, timeout)) as answers:
        _, answer = next(answers)
    if isinstance(answer, Died):
        raise BrokenShapeError(answer.reason)
    found = read_answer(answer)
    if found.points is None:
        raise BrokenShapeError(found.remark)
    return Shape(item.id, found.points.copy(), "test", None, None, np.zeros((0, 1, 1, 3), np.uint8))

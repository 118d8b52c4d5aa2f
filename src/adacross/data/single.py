"""One shape from one file, without a collection."""

from pathlib import Path

from adacross.data.formats.files import SUFFIXES
from adacross.data.formats.mesh_files import UP
from adacross.data.formats.meshes import stamp_of
from adacross.data.pipeline import make_shape
from adacross.data.shape import Shape
from adacross.data.source import Axis, BrokenShapeError, Item
from adacross.errors import UserError, one_of


def file_item(path: Path, up: Axis | None = None) -> Item:
    """What is to be read of a mesh's or a cloud's file.

    Args:
        path: also its id, as it was given.
        up: the axis that points up in it; None takes the file type's own (`mesh_files.UP`), y for clouds.
    """
    axis = up or UP.get(path.suffix.lower(), "y")
    return Item(str(path), str(path), up=axis, stamp=stamp_of(path))


def load_shape(path: str | Path, *, points: int = 2048, up: Axis | None = None, seed: int = 0) -> Shape:
    """Read one mesh or cloud as `prepare` would: sampled, turned y up, in the unit sphere, without pictures.

    Args:
        path: OFF, OBJ, PLY, STL or GLB; or a cloud as PLY, NPY, or text with a point a line.
        points: how many; of a larger cloud they are drawn, of a smaller one some are repeated.
        up: the axis that points up in the file; by default z for OFF, y for all else.
        seed: of the sampling.

    Raises:
        UserError: no such file, or it cannot become a shape; names it.
    """
    path = Path(path)
    one_of("up axis", up or "y", ("x", "y", "z"))
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a file that ends in {', '.join(SUFFIXES)}.")
    try:
        made = make_shape(
            file_item(path, up),
            kind="files",
            split="test",
            points=points,
            views=0,
            size=1,
            seed=seed,
            parts=[],
        )
    except (BrokenShapeError, MemoryError) as error:
        raise UserError(f"{path} is no shape: {error}.") from None
    return made.shape

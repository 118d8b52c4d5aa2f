"""Collections of arrays in memory."""

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image

from adacross.data.collection.build import build_collection, target_of
from adacross.data.collection.sample import Row, SampleOptions, finish_sample
from adacross.data.collection.schema import to_batch
from adacross.data.formats.base import DatasetIndex, SampleRef, as_points, as_sample, keep_points
from adacross.data.images import resized
from adacross.data.sampling import unit_sphere
from adacross.data.shape import Axis, BrokenShapeError
from adacross.errors import UserError, one_of

_POINTS = 2048  # of unequal clouds


def write_arrays(
    points: Sequence[np.ndarray] | np.ndarray,
    labels: Sequence[int | str | None] | np.ndarray | None,
    images: Sequence[np.ndarray] | np.ndarray | None,
    ids: Sequence[str] | None,
    class_names: Sequence[str] | None,
    *,
    folder: str | Path,
    sample: int | None,
    views: int,
    size: int,
    up: Axis,
    test_fraction: float,
    seed: int,
    overwrite: bool,
) -> Path:
    """Write a collection and return its folder; see `Collection.from_arrays`."""
    one_of("up axis", up, ("x", "y", "z"))
    if not 0 <= test_fraction < 1:
        raise UserError(f"test_fraction is {test_fraction}; it must be at least 0 and below 1.")
    count = len(points)
    if count == 0:
        raise UserError("points holds no cloud; expected one array (N, 3) a shape.")
    for name, given in (("labels", labels), ("images", images), ("ids", ids)):
        if given is not None and len(given) != count:
            raise UserError(f"{name} has {len(given):,} entries for {count:,} clouds; expected one for each.")
    names = [str(name) for name in ids] if ids is not None else [f"{i:06d}" for i in range(count)]
    if len(set(names)) != count:
        raise UserError("ids are not unique; expected another name for every shape.")
    classes, numbers = _classes([None] * count if labels is None else _plain(labels), class_names)
    lengths = {len(cloud) for cloud in points}
    kept = sample or (lengths.pop() if len(lengths) == 1 else _POINTS)
    how = SampleOptions("arrays", kept, views if images is None else len(images[0]), size, seed)
    digest = hashlib.blake2b(digest_size=16)
    for i, name in enumerate(names):
        given = [points[i], *([] if images is None else [_checked(images[i], how.views, name)])]
        digest.update(b"".join(np.ascontiguousarray(array).tobytes() for array in given))
        try:
            unit_sphere(as_points(np.asarray(points[i])))
        except BrokenShapeError as error:
            raise UserError(f"shape {name}: {error}.") from None

    def rows(index: DatasetIndex, todo: Sequence[int]) -> Generator[tuple[int, Row], None, None]:
        for place, number in enumerate(todo):
            rng = np.random.default_rng([seed, number])
            raw = keep_points(as_sample(np.asarray(points[number])), "random", kept, rng)
            own = None if images is None else _resized(images[number], size)
            made = finish_sample(raw, index.items[number], how, own)
            batch = to_batch(made.shape, made.center, made.scale)
            yield place, Row(pa.Table.from_batches([batch]), made.warnings)

    items = [SampleRef(name, label=label, up=up) for name, label in zip(names, numbers, strict=True)]
    index = DatasetIndex(items, classes, format="arrays", location="arrays")
    target = target_of(folder, overwrite)
    options = {"points": kept, "views": how.views, "size": size, "test_fraction": test_fraction, "seed": seed}
    build_collection(target, index, how, rows, options, content=digest.hexdigest(), overwrite=overwrite)
    return target


def _classes(labels: Sequence[int | str | None], names: Sequence[str] | None) -> tuple[list[str], list[int]]:
    """Return the names of the classes, and the number of each shape's, -1 for none.

    Raises:
        UserError: a label that is no class, or labels of both kinds.
    """
    given = [label for label in labels if label is not None]
    if all(isinstance(label, str) for label in given):
        classes = list(names) if names is not None else sorted({str(label) for label in given})
        if unknown := set(given) - set(classes):
            raise UserError(f"label {min(map(str, unknown))!r} is not in class_names.")
        return classes, [-1 if label is None else classes.index(str(label)) for label in labels]
    if not all(isinstance(label, int) and label >= -1 for label in given):
        raise UserError("labels must all be names of classes, or whole numbers from 0, -1 or None for none.")
    numbers = [-1 if label is None else int(label) for label in labels]
    classes = list(names) if names is not None else [f"{i:02d}" for i in range(max(numbers, default=-1) + 1)]
    if max(numbers, default=-1) >= len(classes):
        raise UserError(f"label {max(numbers)} is beyond the {len(classes)} class_names.")
    return classes, numbers


def _plain(labels: Sequence[Any] | np.ndarray) -> list[Any]:
    return [label.item() if isinstance(label, np.generic) else label for label in labels]


def _checked(given: np.ndarray, views: int, name: str) -> np.ndarray:
    """Return the images of one shape.

    Raises:
        UserError: they are something else.
    """
    array = np.asarray(given)
    if array.ndim != 4 or array.dtype != np.uint8 or array.shape[3] != 3 or len(array) != views or not views:
        raise UserError(
            f"images of shape {name} are {array.dtype} {array.shape}; expected uint8 ({views}, H, W, 3)."
        )
    return array


def _resized(given: np.ndarray, size: int) -> UInt8[np.ndarray, "V size size 3"]:
    return np.stack([resized(Image.fromarray(image), size) for image in np.asarray(given)])

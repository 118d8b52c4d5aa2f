"""Collections of arrays in memory."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image

from adacross.console import progress_bar
from adacross.data.collection.description import (
    VERSION,
    CollectionInfo,
    check_target,
    write_description,
)
from adacross.data.collection.sample import SampleOptions, finish_sample
from adacross.data.collection.schema import arrow_schema, shard_name, to_batch, write_shard
from adacross.data.collection.split import splits_of
from adacross.data.collection.work_folder import SHARD
from adacross.data.formats.base import SampleRef, as_sample, keep_points
from adacross.data.images import resized
from adacross.data.shape import Axis, BrokenShapeError
from adacross.errors import UserError, one_of
from adacross.io.files import locked, whole_folder
from adacross.io.remote import local_target
from adacross.version import __version__

_POINTS = 2048  # of unequal clouds


def write_arrays(
    points: Sequence[np.ndarray] | np.ndarray,
    labels: Sequence[int | str | None] | np.ndarray | None,
    images: Sequence[np.ndarray] | np.ndarray | None,
    ids: Sequence[str] | None,
    *,
    folder: str | Path,
    class_names: Sequence[str] | None,
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
    views = views if images is None else len(images[0])
    options = SampleOptions("arrays", kept, views, size, seed)
    items = [SampleRef(name, label=label, up=up) for name, label in zip(names, numbers, strict=True)]
    splits = splits_of(items, test_fraction, seed)
    target = Path(os.path.realpath(local_target(str(folder))))
    check_target(target, overwrite)
    shards = [shard_name(shard, -(-count // SHARD)) for shard in range(-(-count // SHARD))]
    with locked(target, "from_arrays"), whole_folder(target) as temporary, progress_bar("shapes") as progress:
        bar = progress.add_task("preparing", total=count, note="")
        rows: list[pa.Table] = []
        content = hashlib.blake2b(repr([names, numbers, splits]).encode(), digest_size=16)
        for i, (item, split) in enumerate(zip(items, splits, strict=True)):
            own = None if images is None else _images(images[i], views, size, item.id)
            try:
                rng = np.random.default_rng([seed, i])
                raw = keep_points(as_sample(np.asarray(points[i])), "random", kept, rng)
                made = finish_sample(raw, replace(item, split=split), options, own)
            except BrokenShapeError as error:
                raise UserError(f"shape {item.id}: {error}.") from None
            content.update(made.shape.points.tobytes() + made.shape.views.tobytes())
            rows.append(pa.Table.from_batches([to_batch(made.shape, made.center, made.scale)]))
            if len(rows) == SHARD or i == count - 1:
                write_shard(temporary / shards[i // SHARD], rows, arrow_schema(kept, parts=False))
                rows = []
            progress.advance(bar)
        info = CollectionInfo(
            version=VERSION,
            name=target.name,
            source="arrays",
            format="arrays",
            source_up=up,
            count=count,
            points=kept,
            views=views,
            view_size=size,
            classes=classes,
            parts=[],
            splits={"train": splits.count("train"), "test": splits.count("test")},
            made={
                "options": {"test_fraction": test_fraction, "seed": seed},
                "seed": seed,
                "adacross": __version__,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        write_description(temporary, info, shards, content.hexdigest())
        check_target(target, overwrite)
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


def _images(given: np.ndarray, views: int, size: int, name: str) -> UInt8[np.ndarray, "V size size 3"]:
    """Return the images of one shape, square and resized.

    Raises:
        UserError: they are something else.
    """
    array = np.asarray(given)
    if array.ndim != 4 or array.dtype != np.uint8 or array.shape[3] != 3 or len(array) != views:
        raise UserError(
            f"images of shape {name} are {array.dtype} {array.shape}; expected uint8 ({views}, H, W, 3)."
        )
    found = np.empty((views, size, size, 3), dtype=np.uint8)
    for place, image in zip(found, array, strict=True):
        place[:] = resized(Image.fromarray(image), size)
    return found

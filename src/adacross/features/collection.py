"""An encoder's features of a whole collection, computed once and cached on disk."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from adacross.console import console, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.features.sources import usual_device
from adacross.io.files import whole_file
from adacross.io.weights import check_header

BLOCK = 256  # shapes between two updates of the progress bar, and in a block of an unfinished cache
DEFAULT_POINTS = 1024  # points a cloud for encoders that do not state how many they were trained with
LAYOUT = 2  # of the cached files; files of another number are ignored

Arrays = dict[str, np.ndarray]


def weights_digest(module: nn.Module) -> str:
    """Return a digest of a network's options and weights.

    The options count because some leave no trace in the weights, such as a DGCNN's k.
    """
    digest = hashlib.blake2b(repr(getattr(module, "options", None)).encode(), digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class FeatureCache:
    """Arrays of one encoder, one collection and one number of points, as safetensors files."""

    folder: Path  # of the files
    key: str  # digest of everything that the arrays depend on; part of each file's name

    @classmethod
    def of(cls, encoder: Encoder, collection: Collection, points: int, place: Path) -> "FeatureCache":
        """Return the cache in `place/features/`, where `place` is a run or the collection's folder."""
        depends = [LAYOUT, encoder.kind, points, collection.digest(), weights_digest(encoder)]
        key = hashlib.blake2b(json.dumps(depends).encode(), digest_size=10).hexdigest()
        return cls(place / "features", key)

    def load_or_compute(
        self, name: str, compute: Callable[[], Arrays], rows: int, *, quiet: bool = False
    ) -> Arrays:
        """Return the cached arrays called `name`, of `rows` rows, or compute and cache them.

        If they cannot be written, a message says so unless `quiet`.
        """
        path = self.folder / f"{name}-{self.key}.safetensors"
        if (arrays := _load(path, rows)) is not None:
            return arrays
        arrays = compute()
        try:
            with whole_file(path) as temporary:
                # safetensors writes an array's memory, whatever its order
                save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, temporary)
        except UserError as error:  # a read-only or full folder
            if not quiet:
                console.print(f"{error} They will be computed again next time.", style="yellow")
        return arrays

    def files(self, name: str) -> list[Path]:
        """Return the files whose names begin with `name`."""
        return list(self.folder.glob(f"{name}*-{self.key}.safetensors"))

    def remove(self, name: str) -> None:
        """Delete the files whose names begin with `name`."""
        for path in self.files(name):
            with suppress(OSError):  # in a read-only folder
                path.unlink()


def _load(path: Path, rows: int) -> Arrays | None:
    """Return the arrays of a file; None if it is missing or damaged."""
    try:
        check_header(path)
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError):
        return None
    valid = all(len(array) == rows and np.isfinite(array).all() for array in arrays.values())
    return arrays if arrays and valid else None


def collection_features(
    encoder: Encoder,
    collection: Collection,
    indices: Int64[np.ndarray, " k"] | None = None,
    *,
    points: int | None = None,
    batch_size: int = 32,
    device: str | None = None,
    cache: FeatureCache | None = None,
) -> Float32[np.ndarray, "k D"]:
    """Encode a collection's shapes (all by default) with a frozen encoder, behind a progress bar.

    With a cache (of this encoder, collection and number of points) all shapes are encoded once, block by
    block, so an interrupted call continues; the message of its `KeyboardInterrupt` says how. `points` are the
    first ones stored, by default as many as the encoder was trained with.
    """
    count = points_for(encoder, points, collection.info.points)
    print_differences(encoder, count)
    rows = np.arange(len(collection)) if indices is None else np.asarray(indices)

    def compute(start: int, block: Int64[np.ndarray, " b"]) -> Arrays:
        clouds = collection.points(block)[:, :count]
        return {"features": encode(encoder, clouds, batch_size=batch_size, device=target)}

    target = usual_device(device)
    if cache is None:
        return _in_blocks(rows, encoder.dim, compute)["features"]

    def cached(start: int, block: Int64[np.ndarray, " b"]) -> Arrays:
        name = f"block{start:08d}"
        return cache.load_or_compute(name, partial(compute, start, block), len(block), quiet=True)

    every = np.arange(len(collection))
    try:
        arrays = cache.load_or_compute("features", lambda: _in_blocks(every, encoder.dim, cached), len(every))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted. {len(cache.files('block'))} blocks of {BLOCK} shapes are kept in {cache.folder}; "
            "run the same command again to continue."
        ) from None
    cache.remove("block")
    return arrays["features"][rows]


def feature_blocks(
    encoder: Encoder,
    collection: Collection,
    start: int,
    *,
    points: int,
    batch_size: int = 32,
    device: str | None = None,
) -> Iterator[Float32[np.ndarray, "b D"]]:
    """Encode a collection's shapes from `start` on, in blocks; arguments are as of `collection_features`."""
    print_differences(encoder, points)
    target = usual_device(device)
    for _, block in _blocks(np.arange(start, len(collection))):
        yield encode(encoder, collection.points(block)[:, :points], batch_size=batch_size, device=target)


def _in_blocks(
    rows: Int64[np.ndarray, " k"], dim: int, compute: Callable[[int, Int64[np.ndarray, " b"]], Arrays]
) -> Arrays:
    """Compute features in blocks of `BLOCK` rows; `compute` takes a block's position and rows."""
    features = np.empty((len(rows), dim), dtype=np.float32)
    for start, block in _blocks(rows):
        features[start : start + len(block)] = compute(start, block)["features"]
    return {"features": features}


def _blocks(rows: Int64[np.ndarray, " k"]) -> Iterator[tuple[int, Int64[np.ndarray, " b"]]]:
    """Yield positions and rows of blocks, behind a progress bar."""
    with progress_bar("shapes") as progress:
        bar = progress.add_task("encoding", total=len(rows), note="")
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            yield start, block
            progress.update(bar, completed=start + len(block))


def points_for(encoder: Encoder, requested: int | None, stored: int | None) -> int:
    """Return the number of points of a cloud to encode: as requested, else as the encoder was trained.

    More than `stored` are refused; None if any number can be sampled.
    """
    if requested is not None and stored is not None and requested > stored:
        raise UserError(
            f"points is {requested}; the data has {stored} a shape. Give --points {stored} or less."
        )
    wanted = requested or encoder.inputs.points or DEFAULT_POINTS
    return wanted if stored is None else min(wanted, stored)


def print_differences(encoder: Encoder, points: int) -> None:
    """Say that clouds have other numbers of points than in training: results are less good, not wrong."""
    trained = encoder.inputs.points
    if trained not in (None, points):
        console.print(f"the encoder was trained with {trained:,} points a cloud, these have {points:,}.")

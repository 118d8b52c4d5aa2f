"""The features of a whole collection: computed once, kept beside the run or in the collection's folder."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import frozen, in_batches
from adacross.errors import UserError
from adacross.evaluation.results import subject
from adacross.features.collection import BLOCK, Compute, Rows, features_of
from adacross.io.files import whole_file
from adacross.io.weights import check_header
from adacross.methods import CrossModal
from adacross.search.whitening import LEAST, Whitening

LAYOUT = 1  # of the files; another number makes old ones count no more
FOLDER = "search"
_BLOCK = "block"  # of features, kept until all are there

Network = Encoder | CrossModal
Kept = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Features:
    """What shapes are compared by, rows of length 1.

    Attributes:
        own: `(n, D)` the encoder's features.
        shared: `(n, E)` their projections into the space shared with pictures, None without an image tower.
        whitening: of `own`, None where there are too few shapes for it.
    """

    own: Float32[np.ndarray, "n D"]
    shared: Float32[np.ndarray, "n E"] | None
    whitening: Whitening | None = None

    @cached_property
    def compared(self) -> Float32[np.ndarray, "n K"]:
        """What shapes are compared with shapes by: `own`, whitened where that is known."""
        return self.own if self.whitening is None else unit_rows(self.whitening(self.own))

    def like(self, rows: Float[np.ndarray, "k D"]) -> Float32[np.ndarray, "k K"]:
        """An encoder's features as they are compared with `compared`."""
        unit = unit_rows(rows)
        return unit if self.whitening is None else unit_rows(self.whitening(unit))


@dataclass(frozen=True)
class Store:
    """Files that hold for one collection, one network and one number of points only.

    Attributes:
        folder: where they lie.
        key: a digest of all that they depend on.
    """

    folder: Path
    key: str

    @classmethod
    def of(cls, collection: Collection, network: Network, points: int, run: Path | None) -> "Store":
        """The store in a run's folder, or in the collection's where the encoder is from no run."""
        depends = {"layout": LAYOUT, "points": points} | subject(collection, [network])
        text = json.dumps(depends, sort_keys=True, default=str)
        key = hashlib.blake2b(text.encode(errors="replace"), digest_size=10).hexdigest()
        return cls((run or collection.folder) / FOLDER, key)

    def once(self, name: str, compute: Callable[[], Kept], rows: int, *, quiet: bool = False) -> Kept:
        """The arrays called `name`: what was kept of them, or what `compute` returns, which is then kept.

        Args:
            name: first part of the file's name.
            compute: makes arrays of `rows` rows.
            rows: a kept array with another number of rows is computed again.
            quiet: say nothing where they cannot be kept.
        """
        path = self.folder / f"{name}-{self.key}.safetensors"
        if (kept := _read(path, rows)) is not None:
            return kept
        arrays = compute()
        try:
            with whole_file(path) as temporary:
                # safetensors writes an array's memory, whatever its order
                save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
        except UserError as error:  # a folder that is read-only, or full: searching works all the same
            if not quiet:
                console.print(f"{error} They will be computed again next time.", style="yellow")
        return arrays

    def files(self, name: str) -> list[Path]:
        """The files whose names begin with `name`."""
        return list(self.folder.glob(f"{name}*-{self.key}.safetensors"))

    def forget(self, name: str) -> None:
        """Delete the files whose names begin with `name`."""
        for path in self.files(name):
            with suppress(OSError):  # read-only by now: it costs space, no more
                path.unlink()


def collection_features(
    collection: Collection, network: Network, points: int, device: torch.device, store: Store
) -> Features:
    """Features of every shape, read from `store` where they were computed before, as far as they were.

    Raises:
        UserError: the encoder gives numbers that are not finite.
        KeyboardInterrupt: Ctrl-C; its message says how to go on.
    """
    try:
        kept = store.once(
            "features", lambda: _computed(collection, network, points, device, store), rows=len(collection)
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted. {len(store.files(_BLOCK))} blocks of {BLOCK} shapes are kept in {store.folder}; "
            "run the same command again to go on."
        ) from None
    store.forget(_BLOCK)
    return Features(kept["own"], kept.get("shared"), _whitening(kept["own"], store))


def _whitening(own: Float32[np.ndarray, "n D"], store: Store) -> Whitening | None:
    if len(own) < LEAST:
        return None
    kept = store.once("whitening", lambda: vars(Whitening.of(own)), rows=own.shape[1])
    return Whitening(kept["mean"], kept["axes"])


def unit_rows(rows: Float[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    """Rows scaled to length 1, so that a product of two is their cosine.

    Raises:
        UserError: a number is not finite.
    """
    if not np.isfinite(rows).all():
        raise UserError("the encoder gives NaN or infinite features; its weights are damaged.")
    length = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return (rows / np.maximum(length, 1e-12)).astype(np.float32)


def _computed(
    collection: Collection, network: Network, points: int, device: torch.device, store: Store
) -> Kept:
    def once(start: int, compute: Compute) -> Rows:
        rows = min(BLOCK, len(collection) - start)
        kept = store.once(f"{_BLOCK}{start:08d}", lambda: {"own": compute()}, rows, quiet=True)
        return kept["own"]

    encoder = network.encoder if isinstance(network, CrossModal) else network
    features = features_of(encoder, collection, points=points, device=str(device), once=once)
    arrays = {"own": unit_rows(features)}
    if isinstance(network, CrossModal):
        network.to(device)
        with frozen(network):
            arrays["shared"] = unit_rows(in_batches(network.point_head, features, 1024, device))
    return arrays


def _read(path: Path, rows: int) -> Kept | None:
    """What a file holds; None where there is none, or a damaged one."""
    try:
        check_header(path)
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError):
        return None
    whole = all(len(array) == rows and np.isfinite(array).all() for array in arrays.values())
    return arrays if arrays and whole else None

"""A collection: a folder of prepared shapes, read without copies.

`data-*.arrow` are memory-mapped Arrow files that `datasets.load_from_disk(folder)` opens, too, so people can
look at a collection with their own tools or push it to the hub. `collection.json` says what it is.
"""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64, UInt8

from adacross.data.collection.partial import partial_of
from adacross.data.collection.schema import decode_view, read_shard
from adacross.data.images import READER_ERRORS
from adacross.data.rendering.notebook import cloud_image, facts_html, figure_html, gallery_html
from adacross.data.shape import Shape
from adacross.errors import UserError, listed, one_of
from adacross.io.files import fits, read_json, write_json
from adacross.io.remote import local_folder

if TYPE_CHECKING:
    from rich.console import RenderableType

VERSION = 1
DESCRIPTION = "collection.json"
MOST_PIXELS = 2**29  # of a shape's pictures, which are decoded together: 1.6 GB


@dataclass(frozen=True)
class CollectionInfo:
    """What a collection is and how it was made (`collection.json`).

    Attributes:
        version: of the layout; this code reads `VERSION`.
        name: the folder's name when it was made.
        source: the folder it was made from, or "builtin".
        kind: which format it was read by (`adacross.data.source.Kind`).
        source_up: the axis that pointed up in the source ("x", "y", "z", or "mixed" where file types differ);
            the collection itself is y up.
        count: number of shapes.
        points: points a shape.
        views: pictures a shape.
        view_size: their side in pixels.
        classes: class names, empty for an unlabelled collection.
        parts: part names, empty where points carry no part.
        splits: number of shapes in each split.
        skipped: what could not be prepared: `{"name": ..., "reason": ...}`.
        remarks: the same of shapes that were prepared, but not as their source promises.
        made: options, seed, version of adacross and date.
    """

    version: int
    name: str
    source: str
    kind: str
    source_up: str
    count: int
    points: int
    views: int
    view_size: int
    classes: list[str]
    parts: list[str]
    splits: dict[str, int]
    skipped: list[dict[str, str]] = field(default_factory=list)
    remarks: list[dict[str, str]] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)

    def table(self) -> "RenderableType":
        """Return it as tables for the terminal; the last ones name what was not as usual, and was skipped."""
        from rich.console import Group

        from adacross.data.collection.summary import facts, notes

        rows = {
            "shapes": f"{self.count:,} ({', '.join(f'{name} {n:,}' for name, n in self.splits.items())})",
            "classes": str(len(self.classes)) if self.classes else "none: unlabelled",
            "parts": str(len(self.parts)) if self.parts else "none",
            "points": f"{self.points:,} a shape, y up, centroid 0, largest norm 1",
            "views": f"{self.views} a shape, {self.view_size} x {self.view_size} pixels",
            "source": f"{self.source} ({self.kind}, up was {self.source_up})",
            "made": self._made(),
            "skipped": f"{len(self.skipped)}" if self.skipped else "none",
        }
        return Group(facts(f"collection {self.name}", rows), *notes(self.remarks, self.skipped))

    def _made(self) -> str:
        made = self.made
        options = ", ".join(
            f"{name} {value}" for name, value in made.get("options", {}).items() if name != "source"
        )
        return (
            f"{made.get('date', 'at an unknown time')} with adacross {made.get('adacross', '?')} ({options})"
        )

    def write(self, folder: Path) -> None:
        """Write `collection.json`."""
        write_json(folder / DESCRIPTION, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "CollectionInfo":
        """Read `collection.json`.

        Raises:
            UserError: the folder is missing, not a collection, unfinished, or of another version.
        """
        path = folder / DESCRIPTION
        if not path.is_file():
            raise UserError(_why_not(folder))
        raw = read_json(path, "a collection's description")
        version = raw.get("version") if isinstance(raw, dict) else None
        if version != VERSION:
            source = raw.get("source", "SOURCE") if isinstance(raw, dict) else "SOURCE"
            raise UserError(
                f"{folder} is a collection of version {version}; this adacross reads version {VERSION}. "
                f"Prepare it again: adacross prepare {source} {folder} --overwrite"
            )
        known = get_type_hints(cls)
        if wrong := [name for name, kind in known.items() if name in raw and not fits(raw[name], kind)]:
            raise UserError(f"{path}: {wrong[0]} is of a wrong type. Prepare the collection again.")
        try:
            info = cls(**{name: value for name, value in raw.items() if name in known})
        except TypeError as error:
            raise UserError(f"{path} is incomplete ({error}). Prepare the collection again.") from None
        if not (0 < info.points < 2**31 and all(0 <= size < 2**31 for size in (info.views, info.view_size))):
            raise UserError(f"{path} promises impossible sizes. Prepare the collection again.")
        return info


class Collection:
    """A prepared folder, open for reading. Cheap to open, safe to send to worker processes.

    Attributes:
        folder: where it lies.
        info: what it is.
        ids: `n` ids.
        labels: `(n,)` int64, -1 for none.
    """

    def __init__(self, folder: Path, info: CollectionInfo, shards: list[pa.Table]) -> None:
        self.folder = folder
        self.info = info
        self.ids: list[str] = [i for shard in shards for i in shard["id"].to_pylist()]
        self.labels: Int64[np.ndarray, " n"] = _joined([s["label"].to_numpy() for s in shards], np.int64)
        self._splits = np.array([s for shard in shards for s in shard["split"].to_pylist()], dtype="<U5")
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self._points = [_block(shard, "points").reshape(-1, info.points, 3) for shard in shards]
        self._parts = [_block(s, "part").reshape(-1, info.points) for s in shards if info.parts]
        self._centers = [_block(shard, "center").reshape(-1, 3) for shard in shards]
        self._scales = [_block(shard, "scale") for shard in shards]
        self._views = [_only(shard, "views") for shard in shards]

    @classmethod
    def open(cls, folder: str | Path) -> "Collection":
        """Open a prepared folder, or the copy of one whose URL is given (see `adacross.io.remote`).

        Raises:
            UserError: missing, not a collection, unfinished, of another version, or damaged.
        """
        folder = local_folder(folder)
        info = CollectionInfo.read(folder)
        if info.views * info.view_size**2 > MOST_PIXELS:
            size = f"{info.views:,} pictures a shape, {info.view_size:,} pixels along a side"
            raise UserError(f"{folder} promises {size}. Prepare it again with smaller ones or fewer.")
        paths = sorted(folder.glob("data-*-of-*.arrow"))
        sizes = (info.points, info.views, len(info.classes), len(info.parts))
        shards = [read_shard(path, *sizes) for path in paths]
        collection = cls(folder, info, [shard for shard in shards if len(shard)])
        if len(collection) != info.count:
            raise UserError(
                f"{folder} is damaged: it promises {info.count} shapes and holds {len(collection)} in "
                "data-*.arrow. Prepare it again with --overwrite."
            )
        return collection

    def _repr_html_(self) -> str:
        """Render counts, classes and a strip of images, for notebooks."""
        info = self.info
        splits = ", ".join(f"{name} {count:,}" for name, count in info.splits.items())
        facts = {
            "shapes": f"{len(self):,} ({splits})",
            "points": f"{info.points:,}",
            "images": f"{info.views} of {info.view_size} pixels" if info.views else "",
            "classes": f"{len(info.classes)} ({listed(info.classes)})" if info.classes else "",
        }
        figures = []
        for i in np.linspace(0, len(self) - 1, min(len(self), 8)).astype(int).tolist():
            label = self.labels[i]
            title = info.classes[label] if label >= 0 else ""
            figures.append(figure_html(self.thumbnail(i), title, name=self.ids[i]))
        return facts_html(info.name, facts) + gallery_html(figures, 96)

    def thumbnail(self, i: int) -> UInt8[np.ndarray, "S S 3"]:
        """Return the first stored image of shape `i`; its rendered points if none is stored.

        Raises:
            IndexError: no such shape.
        """
        return self.view(i, 0) if self.info.views else cloud_image(self.points(np.array([i]))[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return Collection.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Shape:
        """Return shape `i` with all its views decoded."""
        shard, row = self._where(i)
        label = int(self.labels[self._starts[shard] + row])
        part = self._parts[shard][row].astype(np.int64) if self.info.parts else None
        return Shape(
            id=self.ids[self._starts[shard] + row],
            points=self.points(np.array([i]))[0],
            split="test" if self._splits[self._starts[shard] + row] == "test" else "train",
            label=None if label < 0 else label,
            part=part,
            views=np.stack([self.view(i, v) for v in range(self.info.views)]),
        )

    def indices(self, split: str) -> Int64[np.ndarray, " k"]:
        """Return the indices of "train", "test" or "all", ascending.

        Raises:
            UserError: another word.
        """
        one_of("split", split, ("train", "test", "all"))
        return np.flatnonzero((self._splits == split) | (split == "all")).astype(np.int64)

    def points(self, indices: Int64[np.ndarray, " k"]) -> Float32[np.ndarray, "k N 3"]:
        """Return the points of some shapes, `(k, N, 3)`, a fresh array.

        Raises:
            IndexError: an index outside `-n..n-1`.
        """
        return self._gather(self._points, indices)

    def digest(self) -> str:
        """Return a digest of the shapes: equal for equal collections, wherever they lie.

        Ids, labels and splits of all shapes count, and the points and images of up to 64 of them.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr([self.info.points, self.info.views, self.info.view_size, self.ids]).encode())
        digest.update(self.labels.tobytes() + "".join(self._splits).encode())
        for i in range(0, len(self), max(1, len(self) // 64)):
            shard, row = self._where(i)
            digest.update(self._points[shard][row].tobytes())
            digest.update(repr(self._views[shard][row].as_py()).encode())
        return digest.hexdigest()

    def frames(
        self, indices: Int64[np.ndarray, " k"]
    ) -> tuple[Float32[np.ndarray, "k 3"], Float32[np.ndarray, " k"]]:
        """Return the centers `(k, 3)` and scales `(k,)` that undo the normalisation of some shapes.

        `points * scale + center` are the source's own coordinates, in its unit, turned y up.

        Raises:
            IndexError: an index outside `-n..n-1`.
        """
        return self._gather(self._centers, indices), self._gather(self._scales, indices)

    def part_labels(self, indices: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, "k N"]:
        """Return which part each point of some shapes belongs to, `(k, N)`, -1 for none.

        Raises:
            UserError: the collection has no parts.
            IndexError: an index outside `-n..n-1`.
        """
        if not self.info.parts:
            raise UserError(
                f"{self.folder} has no parts. Give a collection of ShapeNetPart, S3DIS or built-in shapes."
            )
        return self._gather(self._parts, indices).astype(np.int64)

    def view(self, i: int, v: int) -> UInt8[np.ndarray, "H W 3"]:
        """Return picture `v` of shape `i`; only this one is decoded.

        Raises:
            IndexError: no such shape or picture.
        """
        shard, row = self._where(i)
        if not -self.info.views <= v < self.info.views:
            raise IndexError(f"view {v} of a shape with {self.info.views} views")
        views = self._views[shard]
        flat = views.offsets[row].as_py() + v % self.info.views
        side = self.info.view_size
        try:
            picture = decode_view(views.values.field("bytes")[flat].as_py(), side)
            if picture.shape != (side, side, 3):
                raise ValueError(f"{picture.shape[1]} x {picture.shape[0]} pixels, expected {side} x {side}")
        except READER_ERRORS as error:
            where = f"picture {v} of {self.ids[i]} in {self.folder}"
            raise UserError(f"{where} is damaged ({error}). Prepare it again with --overwrite.") from error
        return picture

    def _gather(self, blocks: list[np.ndarray], indices: Int64[np.ndarray, " k"]) -> np.ndarray:
        """Return some rows of a column that lies in one block a shard, as a fresh array.

        Raises:
            IndexError: an index outside `-n..n-1`.
            UserError: numbers that are not finite.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if len(wanted) and not (-len(self) <= wanted.min() and wanted.max() < len(self)):
            raise IndexError(f"an index is outside the {len(self)} shapes of {self.folder}")
        wanted = wanted % max(len(self), 1)
        owner = np.searchsorted(self._starts, wanted, side="right") - 1
        found = np.empty((len(wanted), *blocks[0].shape[1:]), dtype=blocks[0].dtype)
        for shard in np.unique(owner):
            here = owner == shard
            found[here] = blocks[shard][wanted[here] - self._starts[shard]]
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            row = int(np.argmin(np.isfinite(found).reshape(len(found), -1).all(1)))
            raise UserError(
                f"{self.ids[wanted[row]]} in {self.folder} is damaged (NaN or infinite numbers). "
                "Prepare it again with --overwrite."
            )
        return found

    def _where(self, i: int) -> tuple[int, int]:
        """Return the shard of shape `i` and its row there."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"shape {i} of {len(self)}")
        shard = int(np.searchsorted(self._starts, i % len(self), side="right")) - 1
        return shard, int(i % len(self) - self._starts[shard])


def is_collection(folder: Path) -> bool:
    """Return whether a folder is a collection, possibly a damaged one or of another version.

    Other programs write a `collection.json`, too; none has these keys, or shards of these names beside it.
    """
    if not (folder / DESCRIPTION).is_file():
        return False
    if any(folder.glob("data-*-of-*.arrow")):
        return True
    try:
        raw = read_json(folder / DESCRIPTION, "a collection's description")
    except UserError:
        return False
    return isinstance(raw, dict) and {"version", "kind", "splits", "points", "views"} <= raw.keys()


def _why_not(folder: Path) -> str:
    """Say what a folder without `collection.json` is, and what to do."""
    if partial_of(folder).is_dir():
        return (
            f"{folder} is not finished: its preparation was interrupted. Run the same prepare command again."
        )
    if not folder.exists():
        return f"{folder} does not exist; expected a collection. Make one: adacross prepare SOURCE {folder}"
    return f"{folder} is not a collection: it has no {DESCRIPTION}. Make one: adacross prepare {folder} NAME"


def _only(shard: pa.Table, column: str) -> Any:
    """Return a column of a shard as one array; a shard is written as one batch."""
    return shard[column].combine_chunks() if shard[column].num_chunks != 1 else shard[column].chunk(0)


def _block(shard: pa.Table, column: str) -> np.ndarray:
    """Return a column of nested fixed-size lists as one flat array over the mapped file."""
    array = _only(shard, column)
    while pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    return array.to_numpy(zero_copy_only=True)


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if arrays else np.zeros(0, dtype=dtype)

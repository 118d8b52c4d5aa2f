"""A collection: a folder of prepared shapes, read without copies.

`data-*.arrow` are memory-mapped Arrow files that `datasets.load_from_disk(folder)` opens, too, so people can
look at a collection with their own tools or push it to the hub. `collection.json` says what it is.
"""

import hashlib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, Int64, UInt8
from PIL import Image

from adacross.data.collection.build import build_collection, check_options, target_of
from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.sample import Row, SampleOptions, finish_sample
from adacross.data.collection.schema import decode_view, read_shard, signatures_of, to_batch
from adacross.data.formats.base import DatasetIndex, SampleRef, as_points, as_sample, keep_points
from adacross.data.formats.invariants import Signature
from adacross.data.images import IMAGE_ERRORS, resized
from adacross.data.rendering.notebook import cloud_image, facts_html, figure_html, gallery_html
from adacross.data.sampling import unit_sphere
from adacross.data.shape import Axis, BrokenShapeError, Shape, Split
from adacross.errors import UserError, listed, one_of
from adacross.io.remote import local_folder

if TYPE_CHECKING:
    from rich.console import RenderableType

UNEQUAL = 2048  # points that are drawn of clouds of unequal lengths
MOST_PIXELS = 2**29  # of a shape's images, which are decoded together: 1.6 GB


class Collection:
    """A prepared folder, open for reading. Cheap to open, safe to send to worker processes.

    Attributes:
        folder: where it lies.
        info: what it is.
        ids: `n` ids.
        labels: `(n,)` int64, -1 for none.
    """

    def __init__(self, folder: Path, info: CollectionInfo, shards: list[pa.Table]) -> None:
        self.folder, self.info = folder, info
        self.ids: list[str] = [i for shard in shards for i in shard["id"].to_pylist()]
        labels = [np.zeros(0, np.int64), *(shard["label"].to_numpy() for shard in shards)]
        self.labels: Int64[np.ndarray, " n"] = np.concatenate(labels).astype(np.int64)
        self._splits = np.array([s for shard in shards for s in shard["split"].to_pylist()], dtype="<U5")
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self._points = [_block(shard, "points").reshape(-1, info.points, 3) for shard in shards]
        self._parts = [_block(s, "part").reshape(-1, info.points) for s in shards if info.parts]
        self._centers = [_block(shard, "center").reshape(-1, 3) for shard in shards]
        self._scales = [_block(shard, "scale") for shard in shards]
        self._views = [_only(shard, "views") for shard in shards]
        self._shards = shards
        self._paths = [""] * len(self.ids)
        if info.measured:  # a file that holds several shapes has no digest
            paths, digests = ([x for s in shards for x in s[name].to_pylist()] for name in ("path", "sha256"))
            self._paths = [path if digest else "" for path, digest in zip(paths, digests, strict=True)]

    @classmethod
    def open(cls, folder: str | Path) -> "Collection":
        """Open a prepared folder, or the copy of one whose URL is given (see `adacross.io.remote`).

        Raises UserError if it is missing, not a collection, unfinished, of another version, or damaged.
        """
        folder = local_folder(folder)
        info = CollectionInfo.read(folder)
        if info.views * info.view_size**2 > MOST_PIXELS:
            size = f"{info.views:,} images a shape, {info.view_size:,} pixels along a side"
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

    @classmethod
    def from_arrays(
        cls,
        points: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[int | str | None] | np.ndarray | None = None,
        images: Sequence[np.ndarray] | np.ndarray | None = None,
        ids: Sequence[str] | None = None,
        *,
        folder: str | Path,
        class_names: Sequence[str] | None = None,
        sample: int | None = None,
        views: int = 12,
        size: int = 224,
        up: Axis = "y",
        test_fraction: float = 0.2,
        seed: int = 0,
        overwrite: bool = False,
    ) -> "Collection":
        """Make a collection of clouds in memory, and open it.

        Args:
            points: one array `(N, 3)` a shape, of any type of number and any frame; further columns are
                ignored.
            labels: of each shape a class's name or its number, None or -1 for none.
            images: of each shape `(V, H, W, 3)` uint8, V the same for all; None renders the clouds.
            ids: unique names; by default the shapes' numbers.
            folder: the folder to make.
            class_names: names of the classes; by default those of `labels`, sorted, or their numbers.
            sample: points a shape; by default all if every cloud has as many, otherwise 2,048. They
                are drawn; of a smaller cloud some are repeated.
            views: images to render of a shape; 0 makes a collection without images, which is quick.
            size: side of an image in pixels; images that are given are put on white and resized.
            up: axis that points up in the arrays; the collection is y up.
            test_fraction: part of the shapes that is set aside for testing, equally from every class.
            seed: of every random choice.
            overwrite: replace a collection of that name.

        Raises:
            UserError: arrays that do not fit each other, a cloud that is not a shape (names it), or a
                collection that is already there.

        Example:
            >>> import tempfile
            >>> clouds = np.random.default_rng(0).normal(size=(4, 64, 3))
            >>> made = Collection.from_arrays(
            ...     clouds, ["cup", "cup", "jar", "jar"], folder=tempfile.mkdtemp(), views=0
            ... )
            >>> made.info.classes, made.points(made.indices("all")).shape
            (['cup', 'jar'], (4, 64, 3))
        """
        check_options(up, test_fraction)
        count = len(points)
        if count == 0:
            raise UserError("points holds no cloud; expected one array (N, 3) a shape.")
        for name, given in (("labels", labels), ("images", images), ("ids", ids)):
            if given is not None and len(given) != count:
                raise UserError(
                    f"{name} has {len(given):,} entries for {count:,} clouds; expected one for each."
                )
        names = [str(name) for name in ids] if ids is not None else [f"{i:06d}" for i in range(count)]
        if len(set(names)) != count:
            raise UserError("ids are not unique; expected another name for every shape.")
        classes, numbers = _class_numbers([None] * count if labels is None else labels, class_names)
        lengths = {len(cloud) for cloud in points}
        kept = sample or (lengths.pop() if len(lengths) == 1 else UNEQUAL)
        views = views if images is None else len(images[0])
        how = SampleOptions("arrays", kept, views, size, seed)
        digest = hashlib.blake2b(digest_size=16)
        for i, name in enumerate(names):
            parts = [points[i], *([] if images is None else [_checked(images[i], views, name)])]
            digest.update(b"".join(np.ascontiguousarray(array).tobytes() for array in parts))
            try:
                unit_sphere(as_points(np.asarray(points[i])))
            except BrokenShapeError as error:
                raise UserError(f"shape {name}: {error}.") from None

        def rows(index: DatasetIndex, todo: Sequence[int]) -> Generator[tuple[int, Row], None, None]:
            for place, i in enumerate(todo):
                raw = as_sample(np.asarray(points[i]))
                raw = keep_points(raw, "random", kept, np.random.default_rng([seed, i]))
                own = [] if images is None else [resized(Image.fromarray(one), size) for one in images[i]]
                made = finish_sample(raw, index.items[i], how, np.stack(own) if own else None)
                yield place, Row(pa.Table.from_batches([to_batch(*made[:3])]), made.warnings)

        items = [SampleRef(name, label=label, up=up) for name, label in zip(names, numbers, strict=True)]
        index = DatasetIndex(items, classes, format="arrays", location="arrays")
        options = {"points": kept, "views": views, "size": size, "test_fraction": test_fraction, "seed": seed}
        target = target_of(folder, overwrite)
        build_collection(target, index, how, rows, options, content=digest.hexdigest(), overwrite=overwrite)
        return cls.open(target)

    def table(self) -> "RenderableType":
        """Return the description as tables for the terminal."""
        return self.info.table()

    def __repr__(self) -> str:
        return f"Collection({str(self.folder)!r}, {len(self):,} shapes)"

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
        titles = [*info.classes, ""]  # the last one for -1
        shown = np.linspace(0, len(self) - 1, min(len(self), 8)).astype(int).tolist()
        figures = (figure_html(self.thumbnail(i), titles[self.labels[i]], name=self.ids[i]) for i in shown)
        return facts_html(info.name, facts) + gallery_html(figures, 96)

    def thumbnail(self, i: int) -> UInt8[np.ndarray, "S S 3"]:
        """Return the first stored image of shape `i`; its rendered points if none is stored."""
        return self.view(i, 0) if self.info.views else cloud_image(self.points(np.array([i]))[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return Collection.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Shape:
        """Return shape `i` with all its views decoded."""
        shard, row = self._where(i)
        part = self._parts[shard][row].astype(np.int64) if self.info.parts else None
        label = None if self.labels[i] < 0 else int(self.labels[i])
        split: Split = "test" if self._splits[i] == "test" else "train"
        return Shape(self.ids[i], self.points(np.array([i]))[0], split, label, part, self.views(i))

    def indices(self, split: str) -> Int64[np.ndarray, " k"]:
        """Return the indices of "train", "test" or "all", ascending; UserError for another word."""
        one_of("split", split, ("train", "test", "all"))
        return np.flatnonzero((self._splits == split) | (split == "all")).astype(np.int64)

    def points(self, indices: Int64[np.ndarray, " k"]) -> Float32[np.ndarray, "k N 3"]:
        """Return the points of some shapes, `(k, N, 3)`, a fresh array; IndexError outside `-n..n-1`."""
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
        """Return centers `(k, 3)` and scales `(k,)`: `points * scale + center` is as in the source, y up."""
        return self._gather(self._centers, indices), self._gather(self._scales, indices)

    def sizes(self) -> Float64[np.ndarray, "n 3"]:
        """Return the sides of all bounding boxes along x, y and z of the source, in its unit.

        Of arrays, which nothing measured, those of the stored points, y up.
        """
        if not self.info.measured:
            sides = [np.ptp(block, axis=1) for block in self._points]
            return np.concatenate(sides) * np.concatenate(self._scales)[:, None]
        return box_sides(self._shards)

    def files(self) -> list[Path | None]:
        """Return the file that each shape was prepared from; None for a shared file, and one that is gone."""
        source = Path(self.info.source)
        found = [None if not path else source / path for path in self._paths]
        return [path if path is not None and path.is_file() else None for path in found]

    def signatures(self) -> list[Signature | None]:
        """Return how copies of each shape are found; None where `prepare` did not keep it."""
        return [kept for shard in self._shards for kept in signatures_of(shard)]

    def part_labels(self, indices: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, "k N"]:
        """Return the part of each point of some shapes, `(k, N)`, -1 for none; UserError without parts."""
        if not self.info.parts:
            raise UserError(
                f"{self.folder} has no parts. Give a collection of ShapeNetPart, S3DIS or built-in shapes."
            )
        return self._gather(self._parts, indices).astype(np.int64)

    def view(self, i: int, v: int) -> UInt8[np.ndarray, "H W 3"]:
        """Return image `v` of shape `i`, decoding no other; IndexError without it, UserError if damaged."""
        shard, row = self._where(i)
        if not -self.info.views <= v < self.info.views:
            raise IndexError(f"view {v} of a shape with {self.info.views} views")
        views = self._views[shard]
        flat = views.offsets[row].as_py() + v % self.info.views
        side = self.info.view_size
        try:
            image = decode_view(views.values.field("bytes")[flat].as_py(), side)
            if image.shape != (side, side, 3):
                raise ValueError(f"{image.shape[1]} x {image.shape[0]} pixels, expected {side} x {side}")
        except IMAGE_ERRORS as error:
            where = f"image {v} of {self.ids[i]} in {self.folder}"
            raise UserError(f"{where} is damaged ({error}). Prepare it again with --overwrite.") from error
        return image

    def views(self, i: int) -> UInt8[np.ndarray, "V H W 3"]:
        """Return all images of shape `i`, `(V, H, W, 3)`; UserError for a damaged one."""
        size = self.info.view_size
        found = np.empty((self.info.views, size, size, 3), dtype=np.uint8)
        for number in range(len(found)):
            found[number] = self.view(i, number)
        return found

    def _gather(self, blocks: list[np.ndarray], indices: Int64[np.ndarray, " k"]) -> np.ndarray:
        """Return some rows of a column; IndexError outside `-n..n-1`, UserError for NaN."""
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


def box_sides(tables: Sequence[pa.Table]) -> Float64[np.ndarray, "n 3"]:
    """Return the sides of bounding boxes, whose corners are columns of a collection; NaN for unknown ones."""
    upper, lower = (
        [corner or [np.nan] * 3 for table in tables for corner in table[name].to_pylist()]
        for name in ("upper", "lower")
    )
    return np.subtract(upper, lower, dtype=np.float64).reshape(-1, 3)


def _only(shard: pa.Table, column: str) -> Any:
    """Return a column of a shard as one array; a shard is written as one batch."""
    return shard[column].combine_chunks() if shard[column].num_chunks != 1 else shard[column].chunk(0)


def _block(shard: pa.Table, column: str) -> np.ndarray:
    """Return a column of nested fixed-size lists as one flat array over the mapped file."""
    array = _only(shard, column)
    while pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    return array.to_numpy(zero_copy_only=True)


def _class_numbers(labels: Iterable[Any], names: Sequence[str] | None) -> tuple[list[str], list[int]]:
    """Return the names of the classes and each shape's number, -1 for none; UserError for another label."""
    labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
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


def _checked(given: np.ndarray, views: int, name: str) -> np.ndarray:
    """Return the images of one shape; UserError if they are something else."""
    array = np.asarray(given)
    if array.ndim != 4 or array.dtype != np.uint8 or array.shape[3] != 3 or len(array) != views or not views:
        raise UserError(
            f"images of shape {name} are {array.dtype} {array.shape}; expected uint8 ({views}, H, W, 3)."
        )
    return array

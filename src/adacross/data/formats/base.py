"""Formats: a list of the shapes that a folder holds, and a way to read each of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from adacross.data.formats.archives import stat_of
from adacross.data.images import IMAGE_ERRORS
from adacross.data.sampling import draw_rows
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud, Split
from adacross.errors import install, one_line

MOST_COLUMNS = 9  # of points: coordinates, color, normal
# What parsers raise on bytes that are not what they expect. Anything else ends the worker process, and the
# file is named for that.
_PARSER_ERRORS: tuple[type[Exception], ...] = (*IMAGE_ERRORS, AssertionError, ImportError, NameError)

Keep = Literal["random", "first", "cycle"]
Skipped = list[dict[str, str]]  # {"name": of what is left out, "reason": ...}


@dataclass(frozen=True)
class SampleRef:
    """Reference to one shape of a source that nothing has read yet. Plain values: it travels as JSON.

    Attributes:
        id: unique within the source.
        path: file to read; "" if the format needs none.
        row: row in that file.
        label: a class's name, or its index into the index's `classes`; -1 for none.
        split: split that the source itself gives, or None.
        up: axis that points up; None takes the format's.
        fingerprint: changes when the file does, so that a restart notices; by default from size and time.
        extra: what only the format itself needs, JSON values.
        group: name that items of one object share, which a drawn split keeps together; "" for none.
    """

    id: str
    path: str = ""
    row: int = 0
    label: int | str = -1
    split: Split | None = None
    up: Axis | None = None
    fingerprint: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class DatasetIndex:
    """Content of a source before anything is read.

    Attributes:
        items: one a shape, in the order that the collection keeps.
        classes: class names; empty takes the items' own, sorted.
        parts: names of the parts that points may belong to.
        points: points a shape has in the source, None where any number can be sampled.
        images: images a shape has in the source, None where any number can be rendered.
        variant: which of several sets in the same files, "" where there is one.
        note: what people should know before the work begins, a sentence, or "".
        missing: files that belong to the layout and are not there.
        skipped: what is already known to be unreadable.
        unread: number of files by ending that are not shapes.
        format: name of the format; `index_source` fills it in.
        location: the folder, absolute, or "builtin"; `index_source` fills it in.
    """

    items: list[SampleRef]
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    points: int | None = None
    images: int | None = None
    variant: str = ""
    note: str = ""
    missing: list[str] = field(default_factory=list)
    skipped: Skipped = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    format: str = ""
    location: str = ""

    @property
    def up(self) -> str:
        """Axis that the items share, or "mixed" where their file types disagree."""
        axes = {str(item.up) for item in self.items}
        return axes.pop() if len(axes) == 1 else "mixed"

    def class_of(self, item: SampleRef) -> str | None:
        """Return the name of an item's class, or None."""
        if isinstance(item.label, str):
            return item.label or None
        return self.classes[item.label] if item.label >= 0 else None


@dataclass(frozen=True, eq=False)
class RawSample:
    """One shape as read, in the source's own frame: a mesh, a cloud or both."""

    mesh: Mesh | None = None  # source of the images, and of the points if there is no cloud
    cloud: PointCloud | None = None  # source of the points
    whole: PointCloud | None = None  # the cloud before points of it were chosen
    images: tuple[Path, ...] = ()  # ready-made images, in order, which are kept in place of rendered ones
    warnings: tuple[str, ...] = ()  # what is unusual, beside the warnings of mesh and cloud


class Format(ABC):
    """A kind of data set or file that `prepare`, `inspect` and `embed` can read.

    Derive a class, and name it: `prepare data/ out/ --format my_package.formats:MyFormat`, or register it
    under the entry point group `adacross.formats`, which is then also asked to recognize folders. Parameters
    of the constructor called `variant`, `classes`, `count` and `seed` receive those options of `prepare`.
    Worker processes make the class without arguments and only call `load`.

    Attributes:
        layout: what such a folder holds, for messages.
        up: axis that points up, unless an item or the user says otherwise.
        keep: which points of a cloud that has more or fewer than are asked for: "random" draws them and
            repeats some of a smaller cloud; "first" takes the first and refuses a smaller cloud; "cycle"
            takes the first and repeats a smaller cloud in turn.

    Example:
        >>> class Numbers(Format):
        ...     layout = "arrays in .num files"
        ...     def recognise(self, folder):
        ...         return any(folder.glob("*.num"))
        ...     def find(self, folder):
        ...         return [SampleRef(path.stem, str(path)) for path in sorted(folder.glob("*.num"))]
        ...     def load(self, item):
        ...         return np.loadtxt(item.path)
    """

    layout: ClassVar[str] = ""
    up: ClassVar[Axis] = "y"
    keep: ClassVar[Keep] = "random"

    @abstractmethod
    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds files of this format."""

    @abstractmethod
    def find(self, folder: Path) -> DatasetIndex | Iterable[SampleRef]:
        """List the shapes of a folder, without reading them; UserError if there are none."""

    @abstractmethod
    def load(self, item: SampleRef) -> Mesh | PointCloud | Float[np.ndarray, "N C"] | RawSample:
        """Read one shape, or raise BrokenShapeError; the first three columns of an array are coordinates."""

    def sample(self, item: SampleRef, points: int, rng: np.random.Generator) -> RawSample:
        """Read one shape and keep `points` points of its cloud, as `keep` says; errors as `load`."""
        return keep_points(as_sample(self.load(item)), self.keep, points, rng)


def keep_points(found: RawSample, keep: Keep, points: int, rng: np.random.Generator) -> RawSample:
    """Keep as many points of a cloud, if there is one, as `Format.keep` says; BrokenShapeError if too few."""
    if found.cloud is None:
        return found
    count = len(found.cloud.points)
    if count == 0:
        raise BrokenShapeError("there is no point in it")
    if keep == "random":
        return replace(found, cloud=found.cloud[draw_rows(count, points, rng)], whole=found.cloud)
    warnings = found.warnings
    if count < points and keep == "first":
        raise BrokenShapeError(
            f"{count:,} points, fewer than the {points:,} of the collection (--points {count} would keep it)"
        )
    if count < points:
        warnings += (f"{count:,} real points, fewer than {points:,}; they are repeated in turn",)
    chosen = found.cloud[np.arange(points) % count]
    return replace(found, cloud=chosen, whole=found.cloud, warnings=warnings)


def as_sample(found: Mesh | PointCloud | np.ndarray | RawSample) -> RawSample:
    """Return what a format's `load` returned as a `RawSample`."""
    if isinstance(found, np.ndarray):
        found = PointCloud(as_points(found))
    if isinstance(found, Mesh):
        return RawSample(mesh=found, warnings=found.warnings)
    return RawSample(cloud=found, warnings=found.warnings) if isinstance(found, PointCloud) else found


def as_points(array: np.ndarray) -> Float[np.ndarray, "N 3"]:
    """Return the first three columns of an array, in all their digits; BrokenShapeError for other forms."""
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise BrokenShapeError(f"an array of {array.dtype} {array.shape}, expected (N, 3) numbers")
    if array.shape[0] < 1 or array.shape[1] < 3:
        raise BrokenShapeError(f"an array of shape {array.shape}, expected (N, 3)")
    if array.shape[0] < array.shape[1] > MOST_COLUMNS:
        raise BrokenShapeError(f"an array of shape {array.shape}, expected (N, 3); is it transposed?")
    exact = array[:, :3].astype(np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    if array.dtype.itemsize <= 4 and array.dtype.kind == "f":
        return rounded
    return np.where(np.isfinite(rounded), exact, rounded)  # centers are stored as float32


@contextmanager
def readable(kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what parsers raise on damaged bytes into a BrokenShapeError that names the format."""
    try:
        yield
    except BrokenShapeError:
        raise
    except _PARSER_ERRORS + errors as error:
        raise BrokenShapeError(f"not a readable {kind} file ({one_line(error, 200)})") from error


def optional(module: str, use: str, extra: str) -> ModuleType:
    """Import a package for `use`; without it a BrokenShapeError says how to install the extra it is in."""
    try:
        return import_module(module)
    except ImportError:
        raise BrokenShapeError(f"{use}. {install(extra)}") from None


def fingerprint_of(*paths: Path) -> str:
    """Return a text that changes when one of the files does: summed sizes and latest change."""
    try:
        states = [stat_of(path) for path in paths]
    except OSError:  # a dangling link: reading it will say so, and name it
        return "unreadable"
    return f"{sum(state.st_size for state in states)}.{max(state.st_mtime_ns for state in states)}"


def median_of(counts: Sequence[int]) -> int | None:
    """Return what at least half of the counts reach: one broken file must not decide for all."""
    return sorted(counts)[len(counts) // 2] if counts else None


def printable(name: str) -> str:
    """Return a file's name as text, bytes that are not UTF-8 as `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def finite(cloud: PointCloud) -> PointCloud:
    """Return a cloud without points that are not finite, and with a warning that says how many there were.

    Numbers beyond float32, which centers are stored in, count as infinite. Raises BrokenShapeError if no
    point is finite.
    """
    whole = (np.abs(cloud.points) <= np.finfo(np.float32).max).all(axis=1)  # NaN is not
    if whole.all():
        return cloud
    if not whole.any():
        raise BrokenShapeError("no point is finite: each has a NaN or infinite coordinate")
    said = f"{np.sum(~whole):,} of {len(whole):,} points have a NaN or infinite coordinate and are left out"
    kept = cloud[np.flatnonzero(whole)]
    return replace(kept, warnings=(*kept.warnings, said))

"""Labeled sets of images: folders of a class each, and the pickles of CIFAR-FS and CIFAR-100.

Pickles are read without running anything. `adacross.io.pickled` reads their plain data; here is what numpy
writes in place of an array (protocols 0 to 5, of Python 2 and 3, numpy 1 and 2). numpy's part is done by
`np.frombuffer` on checked numbers, and all else is refused by name.
"""

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int64, UInt8

from adacross.console import console, progress_bar
from adacross.data.formats.base import printable
from adacross.data.isolated import views_apart
from adacross.errors import UserError, one_line, one_of
from adacross.io.files import READER_ERRORS, file_size
from adacross.io.pickled import Machine, Name, RefusedError, exactly

SPLITS = ("train", "val", "test")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
_NAMED = 3  # unreadable files that a message names
_EXPECTED = (
    "Expected <class>/*.png or *.jpg; <split>/<class>/* with splits train, val and test; "
    "CIFAR_FS_test.pickle; or the files train, test and meta of CIFAR-100 (python version)."
)
LARGEST = 1_000_000_000  # bytes of a file
MOST_STEPS = 20_000_000  # of the machine; a CIFAR file takes less than a million
_DTYPES = ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labeled images, RGB."""

    folder: Path
    layout: str  # in words
    split: str  # train, val or test, or "all" where there are no splits
    classes: list[str]  # in the order of the labels
    pictures: UInt8[np.ndarray, "n H W 3"]
    labels: Int64[np.ndarray, " n"]
    skipped: list[str] = field(default_factory=list)  # files that could not be read, and why


def read_image_set(folder: str | Path, size: int, split: str = "test") -> ImageSet:
    """Read a labeled set of images: the `split` where there are some. Layouts, in the order of looking:

    * `CIFAR_FS_{train,val,test}.pickle`, each a dictionary of `data` `(n, H, W, 3)` uint8 and `labels`, `n`
      whole numbers; the classes of the splits differ;
    * `train`, `test`, `meta`: CIFAR-100's python version, `data` `(n, 3072)`, `fine_labels`; both splits have
      all classes;
    * `<split>/<class>/*`, with a folder `test`; or `<class>/*`, which has no splits.

    Pickles are not executed. Of folders, every image is put on white, made square and resized to `size`
    pixels; one that cannot be read is named and skipped. Raises UserError for no such folder, another layout,
    a damaged or forbidden pickle, labels that do not fit the images, or fewer than two classes.
    """
    one_of("split", split, SPLITS)
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; expected one of pictures. {_EXPECTED}")
    cifar_fs = {name: root / f"CIFAR_FS_{name}.pickle" for name in SPLITS}
    if any(path.is_file() for path in cifar_fs.values()):
        found = _pickled(root, "CIFAR-FS pickles", split, cifar_fs[split], [])
    elif (root / "meta").is_file() and any((root / name).is_file() for name in SPLITS):
        meta = root / "meta"
        names = read_pickled_table(meta).get("fine_label_names")
        if not isinstance(names, list):
            wanted = "expected CIFAR-100's description of its classes"
            raise UserError(f"{meta} has no fine_label_names; {wanted}.")
        found = _pickled(root, "CIFAR-100 pickles", split, root / split, [*map(_text, names)])
    else:
        found = _folders(root, size, split)
    if len(found.classes) < 2:
        raise UserError(
            f"{root} has pictures of one class ({found.classes[0]}); expected 2 classes or more. {_EXPECTED}"
        )
    return found


def holds_pictures(folder: Path) -> bool:
    """Return whether a folder looks like one that `read_image_set` reads, without reading it."""
    if any((folder / f"CIFAR_FS_{name}.pickle").is_file() for name in SPLITS) or (folder / "meta").is_file():
        return True
    deep = (path for pattern in ("*/*", "*/*/*") for path in folder.glob(pattern))
    return any(path.suffix.lower() in SUFFIXES for path in deep)


def _pickled(root: Path, layout: str, split: str, path: Path, names: Sequence[str]) -> ImageSet:
    """Pictures of a pickle; without names a class is called by its number."""
    table = read_pickled_table(path)
    pictures = _pictures(path, table.get("data"))
    labels = _labels(path, table.get("labels", table.get("fine_labels")), len(pictures))
    values, indices = np.unique(labels, return_inverse=True)
    if names and values.max(initial=0) >= len(names):
        raise UserError(f"{path} has label {values.max()}, but meta names {len(names)} classes.")
    classes = [names[value] if names else f"class {value}" for value in values.tolist()]
    return ImageSet(root, layout, split, classes, pictures, indices.astype(np.int64))


def _pictures(path: Path, data: Any) -> UInt8[np.ndarray, "n H W 3"]:
    """`data` as pictures; rows of 3,072 are CIFAR's 32 x 32, a color after the other."""
    if isinstance(data, np.ndarray) and data.ndim == 2 and data.shape[1] == 3072:
        data = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[3:] != (3,) or not data.size:
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise UserError(f"{path}: data is {got}; expected pictures, uint8 (n, height, width, 3).")
    return np.ascontiguousarray(data)


def _labels(path: Path, labels: Any, count: int) -> Int64[np.ndarray, " n"]:
    values = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 2**31 for value in values):
        raise UserError(
            f"{path}: labels are no list of whole numbers; expected one for each of {count} pictures."
        )
    if len(values) != count:
        raise UserError(f"{path}: {len(values)} labels for {count} pictures. Download it again.")
    return np.array(values, dtype=np.int64)


def _folders(root: Path, size: int, split: str) -> ImageSet:
    """Pictures of a folder of class folders."""
    splits = [name for name in SPLITS if any(child.is_dir() for child in _listed(root / name))]
    if splits and split not in splits:
        raise UserError(f"{root} has {', '.join(splits)}, but no {split}/<class>/*. {_EXPECTED}")
    layout, part = ("image folder with splits", split) if splits else ("image folder", "all")
    below = _listed(root / split if splits else root)
    paths = [file for child in below for file in _listed(child) if file.suffix.lower() in SUFFIXES]
    found: dict[int, UInt8[np.ndarray, "H W 3"]] = {}
    broken: dict[int, str] = {}
    with progress_bar("pictures") as progress:
        task = progress.add_task("reading pictures", total=len(paths), note="")
        for place, picture, reason in views_apart(paths, size):
            if picture is None:
                broken[place] = printable(f"{paths[place].parent.name}/{reason}")
            else:
                found[place] = picture
            progress.advance(task)
    owners = [paths[place].parent.name for place in sorted(found)]
    classes = {name: label for label, name in enumerate(dict.fromkeys(owners))}
    labels = np.array([classes[name] for name in owners], dtype=np.int64)
    skipped = [broken[place] for place in sorted(broken)]
    if not found:
        raise UserError(f"{root} has no pictures that can be read. {_EXPECTED}")
    if skipped:
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        console.print(f"left out: {'; '.join(skipped[:_NAMED])}{more}", style="yellow")
    pictures = np.stack([found[place] for place in sorted(found)])
    return ImageSet(root, layout, part, list(map(printable, classes)), pictures, labels, skipped)


def _listed(folder: Path) -> list[Path]:
    """Return what is in a folder, by name, without hidden files; nothing if it is none."""
    children = folder.iterdir() if folder.is_dir() else ()
    return sorted(child for child in children if not child.name.startswith("."))


@dataclass
class _Dtype:
    """Stands for `numpy.dtype` until its byte order is known."""

    code: str
    order: str = "="

    @property
    def real(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


@dataclass
class _Array:
    """Stands for an array until its content is known."""

    content: np.ndarray | None = None


def read_pickled_table(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary of lists, numbers, text and arrays; nothing in it is executed.

    Keys that are bytes become text, arrays hold whole numbers or truth values. Raises UserError for no such
    file, one above 1 GB, damaged, no dictionary, or a pickle that asks for anything else (and names it).
    """
    try:
        size = file_size(path)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            table = _ArrayMachine(MOST_STEPS).run(content) if size <= LARGEST else None
    except RefusedError as refused:
        raise UserError(
            f"{path} asks for {refused}, which no table of pictures needs; it was not run. Expected a "
            "dictionary of numpy arrays, lists, whole numbers and text. Get the file from its publisher."
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from None
    except READER_ERRORS as error:
        what = one_line(error, 120)
        raise UserError(f"{path} is damaged, or no pickle ({what}). Download it again.") from None
    if size > LARGEST:
        raise UserError(f"{path} has {size:,} bytes; expected a pickle of at most {LARGEST:,}.")
    if not isinstance(table, dict):
        raise UserError(f"{path} holds a pickled {type(table).__name__}; expected a dictionary.")
    return {_text(key): value for key, value in table.items()}


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


class _ArrayMachine(Machine):
    """Knows the names that numpy writes for an array."""

    known: ClassVar = {
        "numpy.ndarray": "class",
        "numpy.dtype": "dtype",
        "_codecs.encode": "bytes",  # how Python 3 writes bytes in protocols 0 to 2
        **{f"{module}._reconstruct": "empty" for module in _MULTIARRAY},
        **{f"{module}.scalar": "number" for module in _MULTIARRAY},
        **{f"{module}._frombuffer": "array" for module in ("numpy.core.numeric", "numpy._core.numeric")},
    }

    def __init__(self, most_steps: int) -> None:
        super().__init__(most_steps)
        self.encoded: dict[str, bytes] = {}  # once each: a text may be referred to any number of times

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what numpy's constructors stand for."""
        match function, arguments:
            case Name("empty"), (_, _, _):
                return _Array()
            case Name("dtype"), (str(code), *_):
                if code not in _DTYPES:
                    self.refuse(f"a numpy array of type {code!r}")
                return _Dtype(code)
            case Name("number"), (_Dtype() as dtype, raw):
                return int(_array(self._raw(raw), dtype, (), fortran=False))
            case Name("array"), (raw, _Dtype() as dtype, tuple(shape), str(order)):
                return _Array(_array(self._raw(raw), dtype, shape, fortran=order == "F"))
            case Name("bytes"), (str(text), "latin1"):
                return self._raw(text)
        raise TypeError("a call of another form than numpy's")

    def build(self, made: Any, state: Any) -> None:
        """Take the second half of what numpy writes: byte order, content."""
        match made, state:
            case _Dtype(), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
                made.order = order
            case _Array(), (int(), tuple(shape), _Dtype() as dtype, fortran, raw):
                made.content = _array(self._raw(raw), dtype, shape, fortran=bool(fortran))
            case _, tuple():
                self.refuse("an object with a state of its own")
            case _:
                raise TypeError("a state of another form than numpy's")

    def _raw(self, value: Any) -> bytes:
        """Return bytes, or those that a text of Python 2 stands for."""
        if not isinstance(value, str):
            return exactly(bytes, value)
        if value not in self.encoded:
            self.encoded[value] = value.encode("latin-1")
        return self.encoded[value]

    def finished(self, value: Any) -> Any:
        """Return an array's content."""
        return value.content if isinstance(value, _Array) else value


def _array(raw: bytes, dtype: _Dtype, shape: tuple[Any, ...], *, fortran: bool) -> np.ndarray:
    if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 8:
        raise ValueError("an array's sides are no whole numbers")
    if math.prod(shape) * dtype.real.itemsize != len(raw):
        raise ValueError(f"an array of {len(raw):,} bytes where {math.prod(shape)} numbers are promised")
    return np.frombuffer(raw, dtype.real).reshape(shape, order="F" if fortran else "C")

"""Text: decoded and turned into numbers, and the lists of shapes that data sets come with."""

import codecs
import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from adacross.data.formats.base import DatasetIndex, SampleRef, Skipped
from adacross.data.shape import BrokenShapeError, Split
from adacross.errors import UserError
from adacross.io.files import read_bytes

_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_WINDOWS_NAN = re.compile(r"-?(?:nan\(\w*\)|1\.#\w+)", re.IGNORECASE)


def decode_text(data: bytes) -> str:
    """Return text whose lines end in a line feed: UTF-16 (also without a byte order mark), UTF-8 or Latin-1.

    Raises BrokenShapeError if the data is binary.
    """
    zeros = [byte == 0 for byte in data[:4]]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    elif zeros in ([False, True] * 2, [True, False] * 2):
        text = data.decode("utf-16-be" if zeros[0] else "utf-16-le", errors="replace")
    else:
        data = data.removeprefix(codecs.BOM_UTF8)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    if "\0" in text:
        raise BrokenShapeError("binary data where text belongs")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbers(text: str) -> Float64[np.ndarray, " n"]:
    """Return the numbers of a text, which white space separates; ValueError if anything else is in it."""
    if not text or text.isspace():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy before 2.3 warns where it now raises
        with suppress(DeprecationWarning, ValueError):
            return np.fromstring(text, sep=" ")
        with suppress(DeprecationWarning, ValueError):
            return np.fromstring(_WINDOWS_NAN.sub("nan", text), sep=" ")
    if found := _DECIMAL_COMMA.search(text):
        point = found[0].replace(",", ".")
        raise BrokenShapeError(f"a decimal comma ({found[0]}): export it again with points ({point})")
    raise ValueError(f"{_first_word(text)!r} is not a number")


def integers(values: Shaped[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return numbers as integers; NaN and what is too large become the least one."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.int64)


def _first_word(text: str) -> str:
    """Return the first word that is not a number, or its start."""
    for word in text.split():
        try:
            float(word)
        except ValueError:
            return word[:40]
    return ""


def lines_of(path: Path) -> list[str]:
    """Return the stripped lines of a text file that are not blank; none if there is no such file."""
    if not path.is_file():
        return []
    try:
        text = read_bytes(path).decode("utf-8-sig", errors="replace")
    except (OSError, MemoryError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', error)}.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def file_below(folder: Path, name: str) -> Path | None:
    """Return the file that a list in a folder names; None without one, or for a name that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return None
    try:
        return folder / path if (folder / path).is_file() else None
    except (OSError, ValueError):  # too long for a name, or no name at all
        return None


class Listed(NamedTuple):
    """Shape that the list `source` names: its file is `place`, its label None for a class that is unknown."""

    id: str
    place: str
    source: str
    split: Split
    label: str | None


def find_listed(folder: Path, entries: Iterable[Listed], unknown: str) -> DatasetIndex:
    """List the shapes that lists name and that are there; others are skipped, `unknown` for no class."""
    items: dict[str, SampleRef] = {}
    skipped: Skipped = []
    gone = 0
    for entry in entries:
        if entry.id in items:
            reason = "named twice; its first place counts"
        elif entry.label is None:
            reason = unknown
        elif (file := file_below(folder, entry.place)) is None:
            reason, gone = f"{entry.place} is not there", gone + 1
        else:
            items[entry.id] = SampleRef(entry.id, str(file), label=entry.label, split=entry.split)
            continue
        skipped.append({"name": f"{entry.id} in {entry.source}", "reason": reason})
    missing = [f"{gone:,} of the files that the lists name"] if gone else []
    return DatasetIndex(list(items.values()), missing=missing, skipped=skipped)


def read_rows(path: Path, widths: tuple[int, ...], sep: str | None = None) -> Float32[np.ndarray, "n C"]:
    """Read numbers from a file, as many in every line (one of `widths`); blank lines are left out.

    `sep` None means spaces or tabs. Raises BrokenShapeError if the file is not readable or empty, a
    line is something else, or a number is not finite.
    """
    try:
        lines = [line for line in read_bytes(path).decode("utf-8-sig").splitlines() if line.strip()]
        exact = np.loadtxt(lines or ["0"], delimiter=sep, ndmin=2, comments=None)
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error
    except (ValueError, MemoryError) as error:
        reason = (str(error) or "not enough memory").splitlines()[0].split(";", maxsplit=1)[0]
        raise BrokenShapeError(f"not a cloud of points: {reason}") from error
    if not lines:
        raise BrokenShapeError("the file is empty")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused as such
        rows = exact.astype(np.float32)
    if rows.shape[1] not in widths:
        expected = " or ".join(str(width) for width in widths)
        raise BrokenShapeError(f"{rows.shape[1]} numbers a line, expected {expected}")
    if not np.isfinite(rows).all():
        number = int((~np.isfinite(rows)).any(1).argmax()) + 1
        raise BrokenShapeError(f"a number of point {number:,} is not finite (NaN or infinite)")
    return rows

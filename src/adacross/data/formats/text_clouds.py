"""Clouds in text, a point a line, as CloudCompare, PTS, spreadsheets, pandas, R and PowerShell write them.

Before the points there may be comments, a title, the number of points and a line of column names. Names say
which columns are x, y and z; without names they are the first three of 3 to 9, after a column that counts.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from adacross.data.formats.archives import file_size, read_bytes, read_head
from adacross.data.formats.base import MOST_COLUMNS, as_points
from adacross.data.formats.text import decode_text
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.errors import shortened

ENDINGS = (".asc", ".csv", ".pts", ".txt", ".xyz")
_SEPARATORS = (";", "\t", ",", None)  # in the order in which they are tried; None: spaces and tabs
_HEAD = 100  # lines among which the first point must be
_TITLES = 2  # lines before the points that are neither comments nor numbers
_LONGEST = 100_000  # characters of a line
_GLANCE = 2**14  # bytes that tell whether a file in a folder is a cloud or a note
_FEWEST = 5  # points of a cloud in a folder: matrices and settings have fewer lines

_COMMENTS = ("#", "//", "%")
_REMARK = re.compile(r"(?:^|\s)(?:#|//).*")
_MISSING = re.compile(r"|n/?a|null|none|[+-]?(?:nan\(.*\)|1\.#\w*)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(?<![\d,.])[+-]?\d+,\d+(?:e[+-]?\d+)?(?![\d,.])", re.IGNORECASE)
_UNIT = re.compile(r"[\[(].*")
_AXIS = re.compile(
    r"(?P<of>points?|pos(?:ition)?|coord(?:inate)?s?|vert(?:ex|ices)|cartesian|location)?[ _.:-]*"
    r"(?P<axis>[xyz]|(?(of)[012]))(?:[ _.:-]*(?:coord\w*|pos\w*|[cm]?m|meters?))?"
)
_AXES = {axis: place for place, axes in enumerate(("x0", "y1", "z2")) for axis in axes} | {
    "easting": 0, "northing": 1, "elevation": 2, "height": 2, "altitude": 2,
}  # fmt: skip


class _Layout(NamedTuple):
    first: int  # line of the first point
    separator: str | None
    fields: int  # of the first point's line
    columns: list[int] | None  # of x, y and z, where names say so
    numbers: int  # that the first point's line begins with
    title: str  # line before the points that is passed over, or ""


def read_text_cloud(path: Path) -> PointCloud:
    """Read the points of a text file; those with a missing coordinate are NaN.

    Raises BrokenShapeError if a line is not a point, fewer points are there than promised, or columns have
    names, and none are x, y and z.
    """
    text = decode_text(read_bytes(path))
    lines = _lines(text)
    layout = _layout(lines)
    counts = [int(line) for line in lines if _is_count(line)]
    body = [x for x in lines[layout.first :] if not (x.startswith(_COMMENTS) or _is_count(x))]
    if len(body) < sum(counts):
        raise BrokenShapeError(f"truncated: {sum(counts):,} points promised, {len(body):,} there")
    if "#" in text or "//" in text:
        body = [_REMARK.sub("", line) for line in body]
    if body[0].startswith("\t"):  # indented
        body = [line.lstrip() for line in body]
    last = len(_split(body[-1], layout.separator))
    if last < layout.numbers:
        raise BrokenShapeError(f"truncated: {last} numbers in its last line, {layout.numbers} in the first")
    table = _table(body, layout)
    warnings = [f"the line {layout.title!r} is passed over"] if layout.title else []
    width = layout.fields
    if layout.columns is None:
        counted = width > 3 and len(table) > 1 and table[0, 0] in (0, 1)
        if counted and np.array_equal(table[:, 0], table[0, 0] + np.arange(len(table))):
            warnings.append("its first column counts the points and is passed over")
            table, width = table[:, 1:], width - 1
        table = table[:, :3]
    if width > 3:
        warnings.append(f"only x, y and z of its {width} columns are read")
    return PointCloud(as_points(table), warnings=tuple(warnings))


def looks_like_points(path: Path) -> bool:
    """Return whether a text file begins with points: notes, matrices and tables have the same endings."""
    try:
        lines = _lines(decode_text(read_head(path, _GLANCE)))
        lines = lines[:-1] if file_size(path) > _GLANCE else lines  # the last one is cut
        return len(lines) - _layout(lines).first >= _FEWEST
    except (OSError, BrokenShapeError):
        return False


def _lines(text: str) -> list[str]:
    """Return the lines that are not blank, without the spaces at their ends; a tab may stand for a field."""
    lines = [line.strip(" ") for line in text.splitlines() if line and not line.isspace()]
    if lines and max(map(len, lines)) > _LONGEST:
        raise BrokenShapeError(f"not a cloud of points: a line of more than {_LONGEST:,} characters")
    return lines


def _layout(lines: list[str]) -> _Layout:
    """Find the first point, what separates its numbers, and the columns of x, y and z."""
    if not lines:
        raise BrokenShapeError("the file is empty")
    for first, line in enumerate(lines[:_HEAD]):
        for separator in () if line.startswith(_COMMENTS) else _SEPARATORS:
            fields = _trimmed(_split(_REMARK.sub("", line).strip(), separator))
            numbers = [_number(field, separator) is not None for field in fields]
            if sum(numbers) < 3:
                continue
            if _is_range(fields) and "." in "".join(lines[first + 1 : first + 2]):
                break  # columns that pandas has numbered
            leading = [*numbers, False].index(False)
            return _named(lines[:first], _Layout(first, separator, len(fields), None, leading, ""), line)
    raise BrokenShapeError(_no_point(next((x for x in lines if not x.startswith(_COMMENTS)), lines[0])))


def _named(head: list[str], layout: _Layout, row: str) -> _Layout:
    """Complete a layout by the lines before the first point, the nearest first."""
    called: list[str] = []
    titles = []
    for line in filter(None, reversed(head)):
        comment = line.startswith(_COMMENTS)
        bare = line.lstrip("#/% ") if comment else line
        for names in (_trimmed(_split(bare, layout.separator)), re.split(r"[\s,;]+", bare.strip())):
            # R gives no name to its first column.
            shift = int(not comment and len(names) + 1 == layout.fields)
            if len(names) + shift != layout.fields:
                continue
            found = [_AXES.get(_plain(name), -1) for name in names]
            if {0, 1, 2} <= set(found):
                return layout._replace(columns=[found.index(axis) + shift for axis in range(3)])
            if not comment and any(map(str.isalpha, bare)):
                called = names
        if not comment and not _is_count(line):
            titles.append(line)
    if len(titles) > _TITLES:
        raise BrokenShapeError(_no_point(titles[-1]))
    if called:
        raise BrokenShapeError(
            f"its columns are called {shortened(', '.join(called))}. Call three of them x, y and z"
        )
    if layout.numbers < 3:
        raise BrokenShapeError(_no_point(row))
    if layout.numbers > MOST_COLUMNS:
        raise BrokenShapeError(
            f"{layout.numbers} numbers a line, expected 3 to {MOST_COLUMNS}, or a line before them that "
            "names x, y and z"
        )
    return layout._replace(title=shortened(titles[0]) if titles else "")


def _is_range(fields: list[str]) -> bool:
    """Return whether fields are 0, 1, 2, ..., after one that may be empty."""
    words = [field.strip('" ') for field in fields]
    return words[int(not words[0]) :] == [str(i) for i in range(len(words) - (not words[0]))]


def _plain(name: str) -> str:
    """Return the name of an axis, "x" for "Points:0" or "X [mm]"; other names in lower case."""
    name = _UNIT.sub("", name.lower()).strip("\"' #/")
    found = _AXIS.fullmatch(name)
    return found["axis"] if found else name


def _split(line: str, separator: str | None) -> list[str]:
    """Return the fields of a line, quoted ones without their quotes."""
    if '"' not in line:
        return line.split(separator)
    return next(csv.reader([line if separator else " ".join(line.split())], delimiter=separator or " "))


def _trimmed(fields: list[str]) -> list[str]:
    """Return fields without the empty one that a separator at a line's end begins."""
    return fields if fields[-1:] != [""] else fields[:-1]


def _number(field: str, separator: str | None) -> float | None:
    """Return the number in a field, NaN for one that is missing, None for anything else."""
    text = field.strip(" \t\"'")
    try:
        return float(text.replace(",", ".") if separator else text)
    except ValueError:
        return float("nan") if _MISSING.fullmatch(text) else None


def _is_count(line: str) -> bool:
    return len(line) < 12 and line.strip().isdecimal()


def _table(lines: list[str], layout: _Layout) -> Float64[np.ndarray, "n C"]:
    """Return the numbers of x, y and z, or those that the lines begin with, four at most."""
    columns = layout.columns or list(range(min(layout.numbers, 4)))
    try:
        quote = '"' if '"' in lines[0] else None
        return np.loadtxt(
            lines, delimiter=layout.separator, usecols=columns, quotechar=quote, comments=None, ndmin=2
        )
    except ValueError:  # a missing number, a decimal comma, or no number at all
        pass
    table = np.empty((len(lines), len(columns)))
    for place, line in enumerate(lines):
        fields = _split(line, layout.separator)
        values = [_number(fields[i], layout.separator) if i < len(fields) else None for i in columns]
        if None in values:
            raise BrokenShapeError(_no_point(line))
        table[place] = values
    return table


def _no_point(line: str) -> str:
    """Return the reason to refuse a line."""
    if _DECIMAL_COMMA.search(line) and len(line.split()) > 1:
        return f"decimal commas between spaces ({shortened(line)!r}). Write 0.5 for 0,5, or separate by ;"
    numbers = [_number(word, None) is not None for word in line.split()]
    if all(numbers):
        return f"{len(numbers)} numbers a line, expected 3 to {MOST_COLUMNS}"
    return f"not a cloud of points: expected x y z, found the line {shortened(line)!r}"

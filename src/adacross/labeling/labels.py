"""Labels in CSV files.

| column | means |
|---|---|
| id | a shape's id |
| class | its label; empty for none |
| proposed | its proposed class |
| confidence | of the proposal, 0 to 1 |
| next | its rank among the shapes to label next, 1 first; empty for all others |
| doubt | its rank among the labels that look wrong, 1 first; only in files where one does |

Pages, spreadsheets and `suggest` may all write to one file, so a label changes the file's current content.
Names that a spreadsheet would take for a formula (`=1+1.off`) are written with a leading apostrophe.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from adacross.console import cell, from_cell
from adacross.errors import UserError
from adacross.io.files import locked, read_bytes, whole_file

MAX_BYTES = 64 * 2**20  # of a file of labels
MAX_ROWS, MAX_COLUMNS = 1_000_000, 100  # in memory a row has a cell for every column
LOCK_TIMEOUT = 10.0  # seconds to wait for another writer of the file
_COLUMNS = ("id", "class", "proposed", "confidence", "next")
_NAMES = ("id", "class", "proposed")  # columns that hold names
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16"}  # byte order marks; both are written again


@dataclass
class _Table:
    """The unchanged cells of a CSV file, and its dialect."""

    header: list[str]
    rows: list[list[str]]
    delimiter: str = ","
    encoding: str = "utf-8"
    ending: str = "\r\n"

    @property
    def columns(self) -> list[str]:
        """Names of the columns; those that mean something here are in lower case without spaces."""
        plain = [name.strip().lower() for name in self.header]
        return [
            simple if simple in _COLUMNS else name for simple, name in zip(plain, self.header, strict=True)
        ]

    def records(self) -> list[dict[str, str]]:
        """Return the rows by column; missing cells are empty, cells beyond the header are dropped."""
        columns = self.columns
        records = [dict(zip_longest(columns, row[: len(columns)], fillvalue="")) for row in self.rows]
        for record in records:
            for name in record.keys() & set(_NAMES):
                record[name] = from_cell(record[name].strip() if name == "class" else record[name])
        return records

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with whole_file(path) as temporary, temporary.open("w", newline="", encoding=self.encoding) as file:
            writer = csv.writer(file, delimiter=self.delimiter, lineterminator=self.ending)
            writer.writerow(self.header)
            writer.writerows(self.rows)


def read_labels(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Read the labels of a file by id; rows without a class are ignored.

    Columns other than id and class are ignored, so the output of `suggest` can be completed and read again.
    Commas, semicolons or tabs, with or without a byte order mark, as spreadsheets write them.

    Raises:
        UserError: no such file, no such columns, an id that is not among `ids`, or an id with two classes.
    """
    return _labels(path, _read(path), ids)


def read_records(path: Path) -> dict[str, dict[str, str]]:
    """Read all columns of a file of labels, by id."""
    return {row["id"]: row for row in _read(path).records()}


def write_labels(path: Path, rows: Sequence[Mapping[str, str]], like: Path | None = None) -> None:
    """Write rows with the columns above, and their other columns, in the dialect of the file `like`."""
    dialect = _read(like) if like else _Table([], [])
    columns = list(dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row))))
    cells = [
        [cell(row.get(name, "")) if name in _NAMES else row.get(name, "") for name in columns] for row in rows
    ]
    _Table(columns, cells, dialect.delimiter, dialect.encoding, dialect.ending).write(path)


def change_label(
    path: Path, ids: Sequence[str], names: str | Sequence[str], kind: str | None, *, create: bool = True
) -> dict[str, str]:
    """Set the class of one or several shapes in a file of labels, or remove it (None); return all, by id.

    The file is read, changed and written under its lock, so changes of other programs that use the lock are
    kept. A row without a class and without other values is dropped. A missing file is made if `create`.

    Raises:
        UserError: the file is not a table of labels of the shapes `ids`, cannot be written, is missing
            without `create`, or is locked by another program; it is unchanged.
    """
    with locked(path, "label", wait=LOCK_TIMEOUT):
        if not (path.exists() or create):
            raise UserError(f"{path} is gone, and its labels with it. Restore it, and try again.")
        table = _read(path) if path.exists() else _Table(list(_COLUMNS), [])
        _labels(path, table, ids)
        wanted = dict.fromkeys([names] if isinstance(names, str) else names)
        given = list(zip(table.rows, [record["id"] for record in table.records()], strict=True))
        if kind:
            known = {name for _, name in given}
            given += [
                ([cell(name) if title == "id" else "" for title in table.columns], name)
                for name in wanted
                if name not in known
            ]
        column = table.columns.index("class")
        table.rows = []
        for row, name in given:
            if name in wanted:
                row.extend([""] * (column + 1 - len(row)))
                row[column] = cell(kind or "")
            if kind or name not in wanted or any(value for value in row if from_cell(value) != name):
                table.rows.append(row)
        table.write(path)
        return _labels(path, table, ids)


def _labels(path: Path, table: _Table, ids: Sequence[str]) -> dict[str, str]:
    """Return the classes in a table by id, once they are known to be of these shapes."""
    known, classes = set(ids), dict[str, str]()
    for number, row in enumerate(table.records(), 2):
        name, kind = row["id"], row["class"]
        if name not in known:
            raise UserError(
                f"{path}, row {number}: there is no shape {name!r}. Ids are as in the embeddings, "
                f"for example {next(iter(ids), '')!r}."
            )
        if kind and classes.setdefault(name, kind) != kind:
            raise UserError(f"{path}, row {number}: {name!r} is {kind!r} here and {classes[name]!r} before.")
    return classes


def _read(path: Path) -> _Table:
    """Read the cells of a file of labels."""
    try:
        data = read_bytes(path, MAX_BYTES)
        encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
        text = data.decode(encoding)
        first = next(filter(str.strip, text.splitlines()), "")
        if (lines := text.count("\n")) > MAX_ROWS:
            raise UserError(f"{path} has {lines:,} lines; expected at most {MAX_ROWS:,} labels.")
        headers = {mark: _Table(next(csv.reader([first], delimiter=mark), []), []) for mark in ",;\t"}
        delimiter = next((mark for mark in headers if {"id", "class"} <= set(headers[mark].columns)), ",")
        spaced = f"{delimiter} " in first  # "id, class"
        cells = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True, skipinitialspace=spaced)
        header, *rows = [row for row in cells if row] or [[]]
        table = _Table(header, rows, delimiter, encoding, "\r\n" if "\r\n" in text else "\n")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; expected a CSV file with the columns id and class. "
            "A header line is enough to start."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a readable CSV file in UTF-8 ({error}).") from None
    if any(table.columns.count(name) != 1 for name in ("id", "class")):
        raise UserError(f"{path} begins with {first[:80]!r}; expected a header line with id and class.")
    if len(header) > MAX_COLUMNS:
        raise UserError(f"{path} has {len(header):,} columns; expected at most {MAX_COLUMNS}.")
    return table

"""Labels in CSV files: `id, class` in, the same with proposals out, and in again.

| column | means |
|---|---|
| id | a shape's id |
| class | the class that somebody gave it; empty for none |
| proposed | the class that is proposed for it |
| confidence | of the proposal, 0 to 1 |
| next | its place among the shapes most worth labelling next, 1 first; empty for all others |

Pages, spreadsheets and `suggest` may all write to one file, so a label is one change to the file as it is
then. Names that a spreadsheet would take for a formula (`=1+1.off`) are written behind an apostrophe.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adacross.console import cell, from_cell
from adacross.errors import UserError
from adacross.io.files import locked, read_bytes, whole_file

MOST = 64 * 2**20  # bytes of a file of labels
MOST_ROWS, MOST_COLUMNS = 1_000_000, 100  # of it: in memory a row has a cell for every column
PATIENCE = 10.0  # seconds to wait for another writer of the file
_COLUMNS = ("id", "class", "proposed", "confidence", "next")
_NAMES = ("id", "class", "proposed")  # columns that hold names


@dataclass
class _Table:
    """The cells of a CSV file, each as it stands there."""

    header: list[str]
    rows: list[list[str]]
    delimiter: str = ","
    encoding: str = "utf-8"
    ending: str = "\r\n"

    def records(self) -> list[dict[str, str]]:
        """Return the rows by column; missing cells are empty, and those beyond the header are left out."""
        width = len(self.header)
        full = [row + [""] * (width - len(row)) for row in self.rows]
        records = [dict(zip(self.header, row, strict=False)) for row in full]
        return [
            row
            | {
                name: from_cell(row[name].strip() if name == "class" else row[name])
                for name in _NAMES
                if name in row
            }
            for row in records
        ]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with (
            whole_file(path) as temporary,
            temporary.open("w", newline="", encoding=self.encoding) as file,
        ):
            writer = csv.writer(file, delimiter=self.delimiter, lineterminator=self.ending)
            writer.writerow(self.header)
            writer.writerows(self.rows)


def read_labels(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Read the classes that were given, by id; rows without a class say nothing.

    Other columns than id and class are passed over, so what `suggest` wrote can be completed and given again.
    Commas or semicolons, with or without a byte order mark: as spreadsheets write them.

    Args:
        path: the CSV file.
        ids: the ids that there are.

    Raises:
        UserError: no such file, no such columns, an id that is not there, or one with two classes.
    """
    return _labels(path, _read(path), ids)


def read_records(path: Path) -> dict[str, dict[str, str]]:
    """Read all columns of a file of labels, by id.

    Raises:
        UserError: no such file, or no such columns.
    """
    return {row["id"]: row for row in _read(path).records()}


def write_labels(path: Path, rows: Sequence[Mapping[str, str]], like: Path | None = None) -> None:
    """Write rows of the columns above, and of others that they have, in the dialect of the file `like`."""
    read = _read(like) if like else _Table([], [])
    columns = list(dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row))))
    cells = [
        [cell(row.get(name, "")) if name in _NAMES else row.get(name, "") for name in columns] for row in rows
    ]
    _Table(columns, cells, read.delimiter, read.encoding, read.ending).write(path)


def change_label(
    path: Path, ids: Sequence[str], name: str, kind: str | None, *, create: bool = True
) -> dict[str, str]:
    """Give one shape a class in a file of labels, or take it back; everything else in the file stays.

    The file is read, changed and written under its lock, so changes of other programs that use it are kept. A
    row whose class is taken back and that says nothing else is left out.

    Args:
        path: the CSV file.
        ids: the ids that there are.
        name: the shape's id.
        kind: its class; None takes it back.
        create: whether to make the file if it is missing.

    Returns:
        All classes in the file, by id, as `read_labels` reads them.

    Raises:
        UserError: the file is no table of labels, cannot be written, is missing although it should not be, or
            another program keeps its lock; the file is as it was.
    """
    with locked(path, "label", wait=PATIENCE):
        if not (path.exists() or create):
            raise UserError(f"{path} is gone, and with it the labels in it. Put it back, and try again.")
        table = _read(path) if path.exists() else _Table(list(_COLUMNS), [])
        _labels(path, table, ids)
        own = [row for row, record in zip(table.rows, table.records(), strict=True) if record["id"] == name]
        column = table.header.index("class")
        if kind and not own:
            own = [[cell(name) if title == "id" else "" for title in table.header]]
            table.rows += own
        for row in own:
            row.extend([""] * (column + 1 - len(row)))
            row[column] = cell(kind or "")
            if not kind and not any(one for one in row if from_cell(one) != name):
                table.rows.remove(row)
        table.write(path)
        return _labels(path, table, ids)


def _labels(path: Path, table: _Table, ids: Sequence[str]) -> dict[str, str]:
    """The classes in a table, by id, once they are known to be of these shapes."""
    known, found = set(ids), dict[str, str]()
    for number, row in enumerate(table.records(), 2):
        name, kind = row["id"], row["class"]
        if name not in known:
            raise UserError(
                f"{path}, row {number}: no shape is called {name!r}. Ids are as in the embeddings, "
                f"for example {next(iter(ids), '')!r}."
            )
        if kind and found.setdefault(name, kind) != kind:
            raise UserError(f"{path}, row {number}: {name!r} is {kind!r} here and {found[name]!r} before.")
    return found


def _read(path: Path) -> _Table:
    """The cells of a file of labels."""
    try:
        data = read_bytes(path, MOST)
        text = data.decode("utf-8-sig")
        first = text.splitlines()[0] if text.strip() else ""
        delimiter = ";" if ";" in first else ","
        if (lines := text.count("\n")) > MOST_ROWS:
            raise UserError(f"{path} has {lines:,} lines; expected at most {MOST_ROWS:,} labels.")
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row]
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; expected a CSV file with the columns id and class. "
            "One with the header line alone is enough to begin."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no readable CSV file in UTF-8 ({error}).") from None
    header = rows[0] if rows else []
    if header.count("id") != 1 or header.count("class") != 1:
        raise UserError(f"{path} begins with {first[:80]!r}; expected a header line with id and class.")
    if len(header) > MOST_COLUMNS:
        raise UserError(f"{path} has {len(header):,} columns; expected at most {MOST_COLUMNS}.")
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    return _Table(header, rows[1:], delimiter, encoding, "\r\n" if "\r\n" in text else "\n")

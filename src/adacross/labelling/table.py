"""Labels in CSV files: `id, class` in, the same with proposals out, and in again.

| column | means |
|---|---|
| id | a shape's id |
| class | the class that somebody gave it; empty for none |
| proposed | the class that is proposed for it |
| confidence | of the proposal, 0 to 1 |
| next | its place among the shapes most worth labelling next, 1 first; empty for all others |
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from adacross.errors import UserError
from adacross.files import read_bytes, whole_file

MOST = 256 * 2**20  # bytes of a file of labels
_COLUMNS = ("id", "class", "proposed", "confidence", "next")


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
    known, found = set(ids), dict[str, str]()
    for number, row in enumerate(_read(path), 2):
        name, kind = row["id"], row["class"].strip()
        if name not in known:
            raise UserError(
                f"{path}, row {number}: no shape is called {name!r}. Ids are as in the embeddings, "
                f"for example {next(iter(ids), '')!r}."
            )
        if kind and found.setdefault(name, kind) != kind:
            raise UserError(f"{path}, row {number}: {name!r} is {kind!r} here and {found[name]!r} before.")
    return found


def write_labels(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows of the columns above, and of others that they have, whole or not at all."""
    columns = dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row)))
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def update_labels(path: Path, given: Mapping[str, str]) -> None:
    """Write classes by id into a file of labels; its other rows stay, and what its other columns say.

    A row whose class is taken back and that says nothing else is left out.

    Raises:
        UserError: the file is no table of labels, or cannot be written.
    """
    rows: dict[str, dict[str, str]] = {}
    for row in _read(path) if path.exists() else []:
        taken_back = row["class"] and row["id"] not in given
        if not taken_back or any(value for column, value in row.items() if column not in ("id", "class")):
            rows[row["id"]] = row | {"class": given.get(row["id"], "")}
    for name, kind in given.items():
        rows.setdefault(name, {"id": name, "class": kind})
    write_labels(path, list(rows.values()))


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a file of labels, by column."""
    try:
        text = read_bytes(path, MOST).decode("utf-8-sig")
        header = text.splitlines()[0] if text.strip() else ""
        rows = list(
            csv.DictReader(io.StringIO(text), delimiter=";" if header.count(";") else ",", strict=True)
        )
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; expected a CSV file with the columns id and class. "
            "One with the header line alone is enough to begin."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no readable CSV file in UTF-8 ({error}).") from None
    if not {"id", "class"} <= set(header.replace('"', "").replace(";", ",").split(",")):
        raise UserError(f"{path} begins with {header[:80]!r}; expected a header line with id and class.")
    # cells beyond the header lie under None, missing ones are None
    return [{name: value or "" for name, value in row.items() if name is not None} for row in rows]

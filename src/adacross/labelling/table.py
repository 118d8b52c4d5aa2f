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
    known, found = set(ids), dict[str, str]()
    for number, row in enumerate(rows, 2):
        name, kind = row["id"] or "", (row["class"] or "").strip()
        if name not in known:
            raise UserError(
                f"{path}, row {number}: no shape is called {name!r}. Ids are as in the embeddings, "
                f"for example {next(iter(ids), '')!r}."
            )
        if kind and found.setdefault(name, kind) != kind:
            raise UserError(f"{path}, row {number}: {name!r} is {kind!r} here and {found[name]!r} before.")
    return found


def write_labels(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows of the columns above, whole or not at all."""
    columns = ("id", "class", "proposed", "confidence", "next")
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)

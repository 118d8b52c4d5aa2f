"""`adacross suggest`: a few labels in, labels for the rest and what to label next out."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adacross.console import Table, console, words
from adacross.embeddings.table import read_embeddings
from adacross.errors import UserError, check_ending, shortened
from adacross.io.files import check_free, locked
from adacross.labeling.propose import propose
from adacross.labeling.table import PATIENCE, read_labels, read_records, write_labels

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Suggested:
    """What `suggest` did.

    Attributes:
        path: the CSV file.
        given: shapes that had a class.
        proposed: shapes for which one is proposed.
        classes: how many shapes of each class, given and proposed.
        next: ids most worth labelling next.
    """

    path: Path
    given: int
    proposed: int
    classes: dict[str, tuple[int, int]]
    next: list[str]

    def table(self) -> "RenderableType":
        """Return a line, a table of the classes, and what to label next."""
        from rich.console import Group

        table = Table("class", "given", "proposed")
        for name, (given, proposed) in self.classes.items():
            table.add_row(shortened(name), f"{given:,}", f"{proposed:,}")
        line = f"{self.given:,} labels given, {self.proposed:,} proposed: {self.path}"
        ask = f"Label next: {', '.join(self.next[:5])}{' ...' if len(self.next) > 5 else ''}"
        return Group(words(line), *([table] if self.classes else []), words(ask))


def suggest(
    embeddings: str, labels: str, output: str, *, ask: int = 20, overwrite: bool = False
) -> Suggested:
    """Propose a class for every shape from a few labels, and choose the shapes to label next.

    Fill in the column `class` of what is written, of the rows with a number in `next` first, and give that
    file as LABELS again. Other columns of LABELS are kept.

    Args:
        embeddings: a file that embed wrote.
        labels: CSV file with the columns id and class; the header alone is enough to begin.
        output: CSV file to write: id, class, proposed, confidence, next.
        ask: number of shapes to label next.
        overwrite: replace an existing output file.

    Raises:
        UserError: a file that cannot be read, an id that is not there, a file that is already there.
    """
    target = check_ending(output, ".csv", "suggest writes CSV")
    if ask < 0:
        raise UserError(f"ask is {ask}; it must be at least 0.")
    check_free(target, overwrite)
    shapes = read_embeddings(embeddings)
    given = read_labels(Path(labels), shapes.ids)
    names = sorted(set(given.values()))
    known = np.array([names.index(given[one]) if one in given else -1 for one in shapes.ids], dtype=np.int64)
    with console.status("proposing"):
        found = propose(shapes.features, known, ask=ask)
    place = {int(row): str(number) for number, row in enumerate(found.order, 1)}
    with locked(target, "suggest", wait=PATIENCE):
        given = read_labels(Path(labels), shapes.ids)  # again: a page may have given some meanwhile
        stated = read_records(Path(labels))
        rows = [
            stated.get(one, {})
            | {
                "id": one,
                "class": given.get(one, ""),
                "proposed": names[label] if label >= 0 else "",
                "confidence": f"{confidence:.3f}" if label >= 0 else "",
                "next": place.get(row, ""),
            }
            for row, (one, label, confidence) in enumerate(
                zip(shapes.ids, found.label, found.confidence, strict=True)
            )
        ]
        write_labels(target, rows, Path(labels))
    if len(names) < 2:
        console.print(f"labels of {len(names)} classes: classes are proposed once there are two.")
    first = Counter(given.values())
    rest = Counter(row["proposed"] for row in rows if row["proposed"] and not row["class"])
    return Suggested(
        target,
        len(given),
        sum(rest.values()),
        {name: (first[name], rest[name]) for name in sorted({*names, *first})},
        [shapes.ids[row] for row in found.order],
    )

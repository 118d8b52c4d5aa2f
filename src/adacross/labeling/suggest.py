"""`adacross suggest`: classes for all shapes from a few labels, and the shapes to label next."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adacross.console import Table, console, words
from adacross.embeddings.table import read_embeddings
from adacross.errors import check_ending, check_least, listed, shortened
from adacross.io.files import check_free, locked
from adacross.labeling.labels import LOCK_TIMEOUT, read_labels, read_records, write_labels
from adacross.labeling.propose import doubtful, propose

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Suggested:
    """Result of `suggest`."""

    path: Path  # the CSV file
    labeled: int  # number of labeled shapes
    proposed: int  # number of shapes with a proposed class
    classes: dict[str, tuple[int, int]]  # labeled and proposed shapes of each class
    next: list[str]  # ids of the most informative shapes to label next
    doubtful: dict[str, tuple[str, str]]  # given class, and the one it looks like, of labels that look wrong

    def table(self) -> "RenderableType":
        """Render as a line, a table of the classes, and the shapes to label next."""
        from rich.console import Group

        table = Table("class", "labeled", "proposed")
        for name, (labeled, proposed) in self.classes.items():
            table.add_row(shortened(name), f"{labeled:,}", f"{proposed:,}")
        line = f"{self.labeled:,} shapes labeled, {self.proposed:,} classes proposed: {self.path}"
        ask = f"Label next: {', '.join(self.next[:5])}{' ...' if len(self.next) > 5 else ''}"
        doubts = [f"{i} ({given}; looks like {other})" for i, (given, other) in self.doubtful.items()]
        look = f"Look again at {listed(doubts, 5)}"
        lines = [ask, *([look] if doubts else [])]
        return Group(words(line), *([table] if self.classes else []), *map(words, lines))


def suggest(
    embeddings: str, labels: str, output: str, *, ask: int = 20, overwrite: bool = False
) -> Suggested:
    """Propose a class for every shape from a few labels, and choose the shapes to label next.

    Fill in the column `class` of what is written, of the rows with a number in `next` first, and give that
    file as LABELS again. Other columns of LABELS are kept.

    Args:
        embeddings: a file that embed wrote.
        labels: CSV file with the columns id and class; a header is enough to begin.
        output: CSV file to write: id, class, proposed, confidence, next, and doubt where a label looks wrong.
        ask: number of shapes to label next.
        overwrite: replace an existing output file.

    Raises:
        UserError: a file that cannot be read, an id that is not there, a file that is already there.
    """
    target = check_ending(output, ".csv", "suggest writes CSV")
    check_least(0, ask=ask)
    check_free(target, overwrite)
    shapes = read_embeddings(embeddings)
    classes = read_labels(Path(labels), shapes.ids)
    names = sorted(set(classes.values()))
    known = np.array([names.index(classes[i]) if i in classes else -1 for i in shapes.ids], dtype=np.int64)
    with console.status("fitting a classifier"):
        proposal = propose(shapes.features, known, ask=ask)
        doubts = doubtful(shapes.features, known)
    doubted = {row: str(number) for number, row in enumerate(doubts, 1)}
    place = {int(row): str(number) for number, row in enumerate(proposal.order, 1)}
    with locked(target, "suggest", wait=LOCK_TIMEOUT):
        classes = read_labels(Path(labels), shapes.ids)  # again, for labels of another program
        records = read_records(Path(labels))
        doubting = bool(doubts) or any("doubt" in record for record in records.values())
        rows = [
            records.get(name, {})
            | {
                "id": name,
                "class": classes.get(name, ""),
                "proposed": names[doubts.get(row, label)] if label >= 0 else "",
                "confidence": f"{confidence:.3f}" if label >= 0 else "",
                "next": place.get(row, ""),
            }
            | ({"doubt": doubted.get(row, "")} if doubting else {})
            for row, (name, label, confidence) in enumerate(
                zip(shapes.ids, proposal.label, proposal.confidence, strict=True)
            )
        ]
        write_labels(target, rows, Path(labels))
    if len(names) < 2:
        console.print(f"labels of {len(names)} classes: classes are proposed from two labeled classes on.")
    labeled = Counter(classes.values())
    proposed = Counter(row["proposed"] for row in rows if row["proposed"] and not row["class"])
    return Suggested(
        target,
        len(classes),
        sum(proposed.values()),
        {name: (labeled[name], proposed[name]) for name in sorted({*names, *labeled})},
        [shapes.ids[row] for row in proposal.order],
        {shapes.ids[row]: (names[known[row]], names[other]) for row, other in doubts.items()},
    )

"""The CSV file of the labels that are assigned on the page."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adacross.errors import UserError
from adacross.labeling.labels import change_label, read_labels
from adacross.labeling.propose import Proposal, propose
from adacross.search.index import SearchIndex


@dataclass(eq=False)
class LabelFile:
    """Classes by shape's id, and their file.

    Other pages and programs may write to the file, too: every change reads it, changes one label, and writes
    it.

    Attributes:
        path: the CSV file.
        index: of the shapes.
        classes_by_id: the file's content when last read or written; replaced as a whole, because several
            threads read it.
    """

    path: Path
    index: SearchIndex
    classes_by_id: dict[str, str]

    @classmethod
    def read(cls, path: Path, index: SearchIndex) -> "LabelFile":
        """Read a file of labels; a missing one is empty.

        Raises:
            UserError: the file is not a table of labels, or is of other shapes.
        """
        return cls(path, index, read_labels(path, index.collection.ids) if path.exists() else {})

    @property
    def classes(self) -> list[str]:
        """The collection's classes and those of the file."""
        return sorted({*self.index.collection.info.classes, *self.classes_by_id.values()})

    def assign(self, i: int, name: str) -> dict[str, str]:
        """Label shape `i` in the file, and return all labels there.

        Raises:
            UserError: an empty name, or a file that cannot be read or written; then the shape is not labeled.
        """
        if not name.strip():
            raise UserError("the class has no name; choose one, or type a new one.")
        return self._change(i, name.strip())

    def remove(self, i: int) -> dict[str, str]:
        """Remove the label of shape `i` from the file, and return all labels there.

        Raises:
            UserError: the file cannot be read or written; then the label stays.
        """
        return self._change(i, None)

    def propose(self, ask: int) -> tuple[Proposal, list[str]]:
        """Propose classes for all shapes from the file's labels; also return the classes' names.

        Raises:
            UserError: the file can no longer be read.
        """
        ids = self.index.collection.ids
        if self.classes_by_id or self.path.exists():
            self.classes_by_id = read_labels(self.path, ids)
        labels = self.classes_by_id
        names = sorted(set(labels.values()))
        known = [names.index(labels[i]) if i in labels else -1 for i in ids]
        return propose(self.index.features, np.array(known, dtype=np.int64), ask=ask), names

    def _change(self, i: int, kind: str | None) -> dict[str, str]:
        ids = self.index.collection.ids
        self.classes_by_id = change_label(self.path, ids, ids[i], kind, create=not self.classes_by_id)
        return self.classes_by_id

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
    """Classes by shape's id, and their file, which other pages and programs may change, too.

    Attributes:
        path: the CSV file; every change reads it, changes one label, and writes it.
        index: of the shapes.
        classes_by_id: its content when last read or written; replaced as a whole, for other threads.
    """

    path: Path
    index: SearchIndex
    classes_by_id: dict[str, str]

    @classmethod
    def read(cls, path: Path, index: SearchIndex) -> "LabelFile":
        """Read a file of labels; a missing one is empty."""
        return cls(path, index, read_labels(path, index.collection.ids) if path.exists() else {})

    @property
    def classes(self) -> list[str]:
        """The collection's classes and those of the file."""
        return sorted({*self.index.collection.info.classes, *self.classes_by_id.values()})

    def assign(self, i: int, name: str | None) -> dict[str, str]:
        """Label shape `i` in the file, or remove its label (None), and return all labels there.

        Raises:
            UserError: an empty name, or a file that cannot be read or written; then nothing is changed.
        """
        if name is not None and not (name := name.strip()):
            raise UserError("the class has no name; choose one, or type a new one.")
        ids, create = self.index.collection.ids, not self.classes_by_id
        self.classes_by_id = change_label(self.path, ids, ids[i], name, create=create)
        return self.classes_by_id

    def propose(self, ask: int) -> tuple[Proposal, list[str]]:
        """Propose classes for all shapes from the file's labels; also return the classes' names."""
        ids = self.index.collection.ids
        if self.classes_by_id or self.path.exists():
            self.classes_by_id = read_labels(self.path, ids)
        labels = self.classes_by_id
        names = sorted(set(labels.values()))
        known = [names.index(labels[i]) if i in labels else -1 for i in ids]
        return propose(self.index.features, np.array(known, dtype=np.int64), ask=ask), names

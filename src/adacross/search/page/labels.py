"""The labels that are given on the page, and the CSV file that keeps them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adacross.errors import UserError
from adacross.labeling.propose import Proposal, propose
from adacross.labeling.table import change_label, read_labels
from adacross.search.index import SearchIndex


@dataclass(eq=False)
class Labels:
    """Classes by shape's id, and where they are written.

    Other pages and programs may write to the file, too: a change is made to the file as it is then, and what
    it holds is read again.

    Attributes:
        path: the CSV file.
        index: of the shapes that are labelled.
        given: what the file held when it was last read or written; replaced as a whole, never changed, since
            several threads read it.
    """

    path: Path
    index: SearchIndex
    given: dict[str, str]

    @classmethod
    def read(cls, path: Path, index: SearchIndex) -> "Labels":
        """The labels of a file; none where it is not there yet.

        Raises:
            UserError: the file is no table of labels, or of other shapes.
        """
        return cls(path, index, read_labels(path, index.collection.ids) if path.exists() else {})

    @property
    def classes(self) -> list[str]:
        """The collection's own classes and those that were given."""
        return sorted({*self.index.collection.info.classes, *self.given.values()})

    def give(self, i: int, name: str) -> dict[str, str]:
        """Label shape `i` in the file, and return all labels there.

        Raises:
            UserError: an empty name, or a file that cannot be read or written; then the label is not given.
        """
        if not name.strip():
            raise UserError("the class has no name; choose one, or type a new one.")
        return self._change(i, name.strip())

    def take_back(self, i: int) -> dict[str, str]:
        """Take the label of shape `i` out of the file, and return all labels there.

        Raises:
            UserError: the file cannot be read or written; then the label stays.
        """
        return self._change(i, None)

    def propose(self, ask: int) -> tuple[Proposal, list[str]]:
        """Propose classes for all shapes from the file's labels; also return the numbered classes' names.

        Raises:
            UserError: the file cannot be read any more.
        """
        ids = self.index.collection.ids
        if self.given or self.path.exists():
            self.given = read_labels(self.path, ids)
        given = self.given
        names = sorted(set(given.values()))
        known = [names.index(given[one]) if one in given else -1 for one in ids]
        return propose(self.index.features.own, np.array(known, dtype=np.int64), ask=ask), names

    def _change(self, i: int, kind: str | None) -> dict[str, str]:
        ids = self.index.collection.ids
        self.given = change_label(self.path, ids, ids[i], kind, create=not self.given)
        return self.given

"""The labels that are given on the page, and the CSV file that keeps them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adacross.errors import UserError
from adacross.labelling.propose import Proposal, propose
from adacross.labelling.table import read_labels, update_labels
from adacross.search.index import SearchIndex


@dataclass(frozen=True, eq=False)
class Labels:
    """Classes by shape's id, and where they are written.

    Attributes:
        path: the CSV file.
        index: of the shapes that are labelled.
        given: changed by `give` and `take_back` only, which write the file.
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

    def give(self, i: int, name: str) -> None:
        """Label shape `i`, and write the file.

        Raises:
            UserError: a name of nothing, or a file that cannot be written; then the label is not given.
        """
        if not name.strip():
            raise UserError("the class has no name; choose one, or type a new one.")
        self._change(self.given | {self.index.collection.ids[i]: name.strip()})

    def take_back(self, i: int) -> None:
        """Forget the label of shape `i`, and write the file.

        Raises:
            UserError: the file cannot be written; then the label stays.
        """
        own = self.index.collection.ids[i]
        self._change({name: kind for name, kind in self.given.items() if name != own})

    def propose(self, ask: int) -> tuple[Proposal, list[str]]:
        """What the labels say of all shapes, and the names of the classes that the proposal numbers."""
        names = sorted(set(self.given.values()))
        ids = self.index.collection.ids
        known = [names.index(self.given[one]) if one in self.given else -1 for one in ids]
        return propose(self.index.features.own, np.array(known, dtype=np.int64), ask=ask), names

    def _change(self, given: dict[str, str]) -> None:
        update_labels(self.path, given)
        self.given.clear()
        self.given.update(given)

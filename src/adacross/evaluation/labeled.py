"""Labeled shapes of a collection, ready for a classifier."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.result import Data


@dataclass(frozen=True, eq=False)
class Labeled:
    """Training and test shapes with a label.

    Attributes:
        collection: of the shapes.
        train: `(n,)` indices of training shapes.
        test: `(m,)` indices of test shapes whose class has a training shape.
        left_out: reasons by what was left out.
    """

    collection: Collection
    train: Int64[np.ndarray, " n"]
    test: Int64[np.ndarray, " m"]
    left_out: dict[str, str]

    @classmethod
    def of(cls, collection: Collection) -> "Labeled":
        """Take the shapes that can be learned from and tested. No option changes which shapes are tested.

        Raises:
            UserError: no classes, no test split, or fewer than two classes.
        """
        labels, classes, where = collection.labels, collection.info.classes, collection.folder
        train, test = (
            indices[labels[indices] >= 0]
            for indices in (collection.indices("train"), collection.indices("test"))
        )
        if not classes:
            raise UserError(
                f"{where} has no classes, which a classifier needs. Prepare one subfolder a class."
            )
        if not len(test):
            raise UserError(f"{where} has no test shapes. Prepare it again with --test-fraction 0.2.")
        if len(np.unique(labels[train])) < 2:
            raise UserError(f"{where} has training shapes of fewer than 2 classes; a classifier needs 2.")
        known = np.isin(labels[test], labels[train])
        missing, counts = np.unique(labels[test[~known]], return_counts=True)
        left_out = {
            f"{classes[label]} ({count} test shape{'s' if count > 1 else ''})": "no training shape"
            for label, count in zip(missing, counts, strict=True)
        }
        if not known.any():
            raise UserError(f"{where} has no test shape of a class with training shapes. Prepare it again.")
        return cls(collection, train, test[known], left_out)

    @property
    def labels(self) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
        """Labels of the training and of the test shapes."""
        return self.collection.labels[self.train], self.collection.labels[self.test]

    @property
    def ids(self) -> list[str]:
        """Ids of the test shapes."""
        return [self.collection.ids[i] for i in self.test]

    @property
    def majority(self) -> float:
        """Accuracy of the most frequent training class on the test shapes."""
        train, test = self.labels
        return float(np.mean(test == np.bincount(train).argmax()))

    def data(self) -> Data:
        """Describe the shapes for a result."""
        return Data(
            name=data_name(self.collection),
            digest=self.collection.digest(),
            train=len(self.train),
            test=len(self.test),
            classes=self.collection.info.classes,
            left_out=self.left_out,
        )


def data_name(collection: Collection) -> str:
    """Return a collection's name: that of its folder."""
    return collection.folder.resolve().name or collection.info.name

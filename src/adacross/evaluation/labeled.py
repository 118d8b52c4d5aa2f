"""Labeled shapes of a collection, ready for a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.result import Data


@dataclass(frozen=True, eq=False)
class Labeled:
    """Training and test shapes with a label."""

    collection: Collection  # of the shapes
    train: Int64[np.ndarray, " n"]  # indices of training shapes
    test: Int64[np.ndarray, " m"]  # indices of test shapes whose class has a training shape
    left_out: dict[str, str]  # reasons by what was left out

    @classmethod
    def of(cls, collection: Collection) -> "Labeled":
        """Take the shapes that can be learned from and tested. No option changes which shapes are tested.

        Raises:
            UserError: no classes, no test split, or fewer than two classes.
        """
        labels, classes, where = collection.labels, collection.info.classes, collection.folder
        splits = (collection.indices(split) for split in ("train", "test"))
        train, test = (indices[labels[indices] >= 0] for indices in splits)
        if not classes:
            raise UserError(
                f"{where} has no classes, which a classifier needs. Prepare one subfolder a class."
            )
        if not len(test):
            raise UserError(f"{where} has no test shapes. Prepare it again with --test-fraction 0.2.")
        if len(np.unique(labels[train])) < 2:
            raise UserError(f"{where} has training shapes of fewer than 2 classes; a classifier needs 2.")
        known, left_out = learnable(labels[train], labels[test], classes)
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
        return described(self.collection, len(self.train), len(self.test), self.left_out)


def learnable(
    learned: Int64[np.ndarray, " n"], tested: Int64[np.ndarray, " m"], classes: Sequence[str]
) -> tuple[Bool[np.ndarray, " m"], dict[str, str]]:
    """Return which test labels are among the training labels, and reasons by what is left out."""
    known = np.isin(tested, learned)
    missing, counts = np.unique(tested[~known], return_counts=True)
    return known, {
        f"{classes[label]} ({test_shapes(count)})": "no training shape"
        for label, count in zip(missing.tolist(), counts.tolist(), strict=True)
    }


def test_shapes(count: int) -> str:
    """Return a number of test shapes in words."""
    return f"{count} test shape{'s' if count > 1 else ''}"


def described(
    collection: Collection,
    train: int,
    test: int,
    left_out: dict[str, str],
    classes: Sequence[str] | None = None,
) -> Data:
    """Describe shapes of a collection for a result; by default by the names of its classes."""
    names = collection.info.classes if classes is None else list(classes)
    return Data(collection.folder.resolve().name, collection.digest(), train, test, names, left_out)

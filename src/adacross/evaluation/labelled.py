"""Labelled shapes of a collection, ready for a classifier."""

import numpy as np
from jaxtyping import Int64

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.errors import UserError, listed


def labelled(
    collection: Collection, folds: int | None = None
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """Indices of training and of test shapes with a label.

    Args:
        collection: with classes and a test split.
        folds: of a cross-validation on the training shapes, if there is one; classes with fewer training
            shapes than folds are left out, and named.

    Raises:
        UserError: fewer than 2 folds, no classes, no test split, or fewer than two classes left.
    """
    if folds is not None and folds < 2:
        raise UserError(
            f"folds is {folds}; expected at least 2: cross-validation fits on all but one of them."
        )
    fewest = folds or 1
    labels = collection.labels
    train, test = (
        indices[labels[indices] >= 0] for indices in (collection.indices("train"), collection.indices("test"))
    )
    where = collection.folder
    if not collection.info.classes:
        raise UserError(
            f"{where} has no classes, which a classifier needs. Prepare a folder with a subfolder a class."
        )
    if not len(test):
        raise UserError(f"{where} has no test shapes. Prepare it again with --test-fraction 0.2.")
    counts = np.bincount(labels[train], minlength=len(collection.info.classes))
    few = [collection.info.classes[i] for i in np.flatnonzero((counts > 0) & (counts < fewest))]
    if few:
        console.print(f"fewer than {fewest} training shapes, left out: {listed(few)}", style="yellow")
    kept = np.flatnonzero(counts >= fewest)
    if len(kept) < 2:
        raise UserError(f"{where} has fewer than 2 classes with {fewest} training shapes each; expected 2.")
    return train[np.isin(labels[train], kept)], test[np.isin(labels[test], kept)]


def check_points(points: int | None, collection: Collection) -> None:
    """Refuse a number of points per cloud that the collection does not store.

    Raises:
        UserError: fewer than 1, or more than are stored.
    """
    stored = collection.info.points
    if points is not None and not 1 <= points <= stored:
        raise UserError(
            f"points is {points}; expected 1 to {stored:,}, which {collection.folder} stores per shape."
        )

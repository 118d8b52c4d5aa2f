"""Labelled shapes of a collection, ready for a classifier."""

import numpy as np
from jaxtyping import Int64

from adacross.console import console
from adacross.data.collection import Collection
from adacross.errors import UserError, listed


def labelled(
    collection: Collection, fewest: int = 1
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """Indices of training and of test shapes with a label.

    Args:
        collection: with classes and a test split.
        fewest: training shapes a class must have; classes with fewer are left out, and named.

    Raises:
        UserError: no classes, no test split, or fewer than two classes left.
    """
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

"""Which shapes are for training and which for testing."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from adacross.data.formats.base import SampleRef
from adacross.data.shape import Split


def splits_of(items: Sequence[SampleRef], test_fraction: float, seed: int) -> list[Split]:
    """Give every item a split: the source's own, or a seeded draw stratified by class.

    The source's own counts where it knows both, training and testing; with one alone there would be nothing
    to test on (or to train on). An item without a split in such a source is drawn like the rest.

    Args:
        items: in the collection's order.
        test_fraction: part of the drawn items that is for testing, in [0, 1); 0 makes all of them training.
        seed: of the draw.

    Returns:
        One split an item. Of `n` drawn items `round(test_fraction * n)` are for testing, spread over the
        classes by largest remainder, so each class has its share to within one shape.
    """
    own = {item.split for item in items} >= {"train", "test"}
    splits: list[Split] = [item.split if own and item.split else "train" for item in items]
    drawn = [i for i, item in enumerate(items) if not (own and item.split)]
    for i in _draw(np.array(drawn, dtype=np.int64), items, test_fraction, np.random.default_rng([seed, 1])):
        splits[i] = "test"
    return splits


def spread(count: int, most: int) -> Int64[np.ndarray, " m"]:
    """Choose at most `most` of `count` positions: one at random of each of as many equal stretches.

    Shapes may be sorted by class, or be of several classes in turn; neither leaves a class out.
    """
    edges = np.arange(min(count, most) + 1) * count // max(min(count, most), 1)
    return np.random.default_rng(0).integers(edges[:-1], edges[1:])


def _draw(
    drawn: np.ndarray, items: Sequence[SampleRef], test_fraction: float, rng: np.random.Generator
) -> list[int]:
    """Choose the drawn items that are for testing."""
    labels = np.array([items[i].label for i in drawn], dtype=np.int64)
    classes, sizes = np.unique(labels, return_counts=True)
    shares = test_fraction * sizes
    quota = np.floor(shares + 1e-9).astype(np.int64)  # 0.29 * 100 is 28.999999999999996 and means 29
    missing = int(np.floor(shares.sum() + 0.5)) - int(quota.sum())
    order = np.lexsort((rng.permutation(len(classes)), -(shares - quota).round(9)))
    quota[order[: max(missing, 0)]] += 1
    chosen: list[int] = []
    for name, count in zip(classes, quota, strict=True):
        members = drawn[labels == name]
        chosen += rng.permutation(members)[:count].tolist()
    return chosen

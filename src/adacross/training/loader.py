"""Batches of raw shapes from a collection, in an order that depends on the seed and the step alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from adacross.data.batch import RawBatch
from adacross.data.collection import Collection


class Loader:
    """Deals a collection's shapes, each once an epoch, a random picture with each.

    The order of epoch e and the pictures of step t follow from (seed, e) and (seed, t) alone, so a run
    resumed at step t sees exactly what an uninterrupted one would have seen, and nothing needs saving. The
    incomplete last batch of an epoch is dropped, as in the released programs.

    Args:
        collection: where the shapes are.
        indices: which of its shapes to deal.
        batch_size: shapes a batch.
        seed: the run's seed.
        pictures: whether to read pictures, too.
    """

    def __init__(
        self, collection: Collection, indices: np.ndarray, batch_size: int, seed: int, pictures: bool = True
    ) -> None:
        self.collection = collection
        self.indices = indices
        self.batch_size = batch_size
        self.seed = seed
        self.pictures = pictures
        self.steps_per_epoch = len(indices) // batch_size

    def members(self, step: int) -> np.ndarray:
        """Indices of the shapes of one step, `(batch_size,)`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.indices)
        return order[position * self.batch_size : (position + 1) * self.batch_size]

    def load(self, step: int) -> RawBatch:
        """Read and decode one step's shapes."""
        members = self.members(step)
        points = torch.from_numpy(self.collection.points(members))
        if not self.pictures:
            return RawBatch(points, None)
        rng = np.random.default_rng([self.seed, step, 1])
        drawn = rng.integers(self.collection.info.views, size=len(members))
        views = [self.collection.view(int(i), int(v)) for i, v in zip(members, drawn, strict=True)]
        return RawBatch(points, torch.from_numpy(np.stack(views)))

    def batches(self, start: int, stop: int) -> Iterator[RawBatch]:
        """Steps `start` to `stop - 1`, the next one being read while the caller works on this one."""
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.load, start) if start < stop else None
            for step in range(start, stop):
                batch = ahead.result()  # type: ignore[union-attr]  # submitted whenever there is a step
                ahead = reader.submit(self.load, step + 1) if step + 1 < stop else None
                yield batch

"""Batches of raw shapes from a collection, in an order that depends on the seed and the step alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.transforms.batch import RawBatch
from adacross.distributed.batch import BatchSlice


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
        pictures: the collection's pictures, if they are looked at, too.
        share: which shapes of every batch to read; all if not given.
    """

    def __init__(
        self,
        collection: Collection,
        indices: np.ndarray,
        batch_size: int,
        seed: int,
        pictures: DecodedViews | None = None,
        share: BatchSlice | None = None,
    ) -> None:
        self.collection = collection
        self.indices = indices
        self.batch_size = batch_size
        self.seed = seed
        self.pictures = pictures
        self.share = share or BatchSlice(0, batch_size, batch_size)
        self.steps_per_epoch = len(indices) // batch_size
        self._order = (-1, indices)

    def members(self, step: int) -> np.ndarray:
        """Indices of the shapes of one step, `(batch_size,)`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self._order
        if order[0] != epoch:
            order = self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.indices)
        return order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def load(self, step: int) -> RawBatch:
        """Read and decode one step's shapes: this process's share of them."""
        members = self.members(step)[self.share.rows]
        points = torch.from_numpy(self.collection.points(members))
        if self.pictures is None:
            return RawBatch(points, None)
        rng = np.random.default_rng([self.seed, step, 1])
        drawn = rng.integers(self.collection.info.views, size=self.batch_size)[self.share.rows]
        return RawBatch(points, torch.from_numpy(self.pictures.views(members, drawn)))

    def batches(self, start: int, stop: int) -> Iterator[RawBatch]:
        """Steps `start` to `stop - 1`, the next one being read while the caller works on this one."""
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.load, start) if start < stop else None
            for step in range(start, stop):
                batch = ahead.result()  # type: ignore[union-attr]  # submitted whenever there is a step
                ahead = reader.submit(self.load, step + 1) if step + 1 < stop else None
                yield batch

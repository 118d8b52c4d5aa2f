"""Batches of stored shapes, in an order that follows from (seed, step)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.fresh import Drawn, FreshShapes
from adacross.data.transforms import RawBatch
from adacross.distributed.batch import BatchSlice


@dataclass(eq=False)
class BatchLoader:
    """Yield batches of a collection's shapes, each shape once an epoch, with a random view of each.

    The order of epoch e and the views of batch b follow only from (seed, e) and (seed, b), so a resumed run
    sees what an uninterrupted one would have seen, and nothing needs saving. The incomplete last step of an
    epoch is dropped, as in the released programs.
    """

    collection: Collection
    indices: np.ndarray  # of the shapes to load
    batch_size: int
    seed: int
    images: DecodedViews | None = None  # of the collection, if the method uses any
    share: BatchSlice | None = None  # rows of every batch that this process reads; None: all
    accumulate: int = 1  # batches a step
    _order: tuple[int, np.ndarray] | None = field(default=None, init=False, repr=False)  # an epoch's shapes

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return len(self.indices) // (self.batch_size * self.accumulate)

    @property
    def rows(self) -> slice:
        """This process's rows of a batch."""
        return slice(None) if self.share is None else self.share.rows

    def members(self, batch: int) -> np.ndarray:
        """Return the indices of the shapes of a batch, counted from 0 over the whole run: `(batch_size,)`."""
        epoch, position = divmod(batch, self.steps_per_epoch * self.accumulate)
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._order = epoch, rng.permutation(self.indices)
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def names(self, batch: int) -> list[str]:
        """Return the names of the shapes of a batch."""
        return [self.collection.ids[index] for index in self.members(batch)]

    def load(self, batch: int) -> RawBatch:
        """Read and decode this process's rows of a batch."""
        members = self.members(batch)[self.rows]
        points = torch.from_numpy(self.collection.points(members))
        if self.images is None:
            return RawBatch(points, None)
        rng = np.random.default_rng([self.seed, batch, 1])
        drawn = rng.integers(self.collection.info.views, size=self.batch_size)[self.rows]
        return RawBatch(points, torch.from_numpy(self.images.views(members, drawn)))

    def batches(self, start: int, stop: int) -> Iterator[RawBatch]:
        """Yield batches `start` to `stop - 1`; the next one is read while the caller works on this one."""
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.load, start) if start < stop else None
            for batch in range(start, stop):
                raw = ahead.result()  # type: ignore[union-attr]  # submitted whenever there is a batch
                ahead = reader.submit(self.load, batch + 1) if batch + 1 < stop else None
                yield raw


class FreshLoader(BatchLoader):
    """Yield batches of built-in shapes that are drawn for them: no shape comes twice.

    Shape `i` of the run follows only from the seed, so a resumed run sees the same ones. An epoch has
    `count` shapes, drawn by `workers` processes; the monitor looks at `collection`.
    """

    def __init__(
        self,
        collection: Collection,
        fresh: FreshShapes,
        count: int,
        batch_size: int,
        share: BatchSlice | None = None,
        accumulate: int = 1,
        workers: int = 1,
    ) -> None:
        super().__init__(collection, np.arange(count), batch_size, fresh.seed, None, share, accumulate)
        self.fresh = fresh
        self.workers = workers

    def members(self, batch: int) -> np.ndarray:
        return np.arange(batch * self.batch_size, (batch + 1) * self.batch_size)

    def names(self, batch: int) -> list[str]:
        return [self.fresh.name(number) for number in self.members(batch).tolist()]

    def load(self, batch: int) -> RawBatch:
        return _raw(self.fresh.draw(self._numbers(batch)))

    def batches(self, start: int, stop: int) -> Iterator[RawBatch]:
        with closing(self.fresh.batches(map(self._numbers, range(start, stop)), self.workers)) as drawn:
            yield from map(_raw, drawn)

    def _numbers(self, batch: int) -> list[int]:
        numbers: list[int] = self.members(batch)[self.rows].tolist()
        return numbers


def _raw(drawn: Drawn) -> RawBatch:
    points, images = drawn
    return RawBatch(torch.from_numpy(points), None if images is None else torch.from_numpy(images))


def step_seed(seed: int, step: int) -> int:
    """Return the seed of one step's random numbers, a function of (seed, step), so that nothing is saved."""
    drawn = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return int(drawn >> np.uint64(1))

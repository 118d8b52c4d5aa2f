"""A batch divided over processes, computed as if it were whole.

Each process holds some of a step's shapes. Whatever depends on all of them comes from here: means over the
batch, the rows that a contrastive loss compares, BatchNorm's statistics, random numbers. Outside
`distributed_batch`, and in a single process, all of it is local and plain.

One collective has a gradient, the sum. Every process's copy of a total depends on every process's addend, so
an addend's gradient is the sum of all processes' gradients. A loss over the whole batch is the sum of the
processes' parts (`mean_contribution`), and the gradients of parameters *add up* over processes to those that
one process would have. Where a wrapper averages them, the loss is multiplied by the number of processes
first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

Reducer = Callable[[Tensor, int], tuple[Tensor, int | Tensor]]


@dataclass(frozen=True)
class BatchSlice:
    """The shapes `start` to `stop - 1` of a batch of `total`: one process's.

    Shares of all processes make up the batch, and differ by one shape at most.
    """

    start: int
    stop: int
    total: int

    @classmethod
    def of(cls, total: int, process: int, processes: int) -> "BatchSlice":
        """The share of one of so many processes, counted from 0."""
        return cls(total * process // processes, total * (process + 1) // processes, total)

    @property
    def rows(self) -> slice:
        """The share's place in the batch."""
        return slice(self.start, self.stop)


# Arguments of `distributed_batch`.
_sharing: ContextVar[tuple[BatchSlice, bool] | None] = ContextVar("sharing", default=None)


@contextmanager
def distributed_batch(share: BatchSlice, statistics: bool = True) -> Iterator[None]:
    """Compute as part of a batch that all processes share, each of them inside this block at the same time.

    Backward passes of what was computed inside may be made outside, by all processes in the same order.

    Args:
        share: this process's shapes.
        statistics: whether BatchNorm normalizes by the whole batch, or only by each process's share.
    """
    token = _sharing.set((share, statistics))
    try:
        yield
    finally:
        _sharing.reset(token)


def mean_contribution(values: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """This process's part of the mean over all processes' values; the parts add up to it."""
    if _sharing.get() is None:
        return values.mean()
    return values.sum() / _Sum.apply(values.new_full((), values.numel()))


def all_gather(rows: Float[Tensor, "n D"]) -> tuple[Float[Tensor, "total D"], int]:
    """All processes' rows, and where this one's begin among them. Differentiable."""
    if _sharing.get() is None:
        return rows, 0
    process = distributed.get_rank()
    counts = torch.zeros(distributed.get_world_size(), dtype=torch.int64, device=rows.device)
    counts[process] = len(rows)
    distributed.all_reduce(counts)
    before, after = int(counts[:process].sum()), int(counts[process + 1 :].sum())
    return _Sum.apply(torch.nn.functional.pad(rows, (0, 0, before, after))), before


def sample_for_batch(
    sampler: Callable[..., Tensor], shape: tuple[int, ...], **options: Any
) -> Shaped[Tensor, "B *_"]:
    """Return this process's rows of `sampler(shape)` drawn for the whole batch; no division changes them.

    `sampler` is `torch.rand` or another that takes a shape and `options`, such as a generator, which must be
    in the same state in all processes. `shape` is `(B, ...)`: a row for each shape that this process holds,
    or, where a network sees several views of them in one pass, for each one's first view, then for each
    one's second, and so on, as one process would hold them.
    """
    sharing = _sharing.get()
    if sharing is None:
        return sampler(shape, **options)
    (share, _), rows = sharing, shape[0]
    views, rest = divmod(rows, share.stop - share.start)
    if rest:
        raise ValueError(f"{rows} rows are not the same number of each of {share.stop - share.start} shapes")
    whole = sampler((views * share.total, *shape[1:]), **options)
    return whole.unflatten(0, (views, share.total))[:, share.rows].flatten(0, 1)


def batch_reducer() -> Reducer:
    """Return how BatchNorm averages: over all processes, or over this one where statistics are not shared.

    The function takes averages over a process's rows and how many there are, and returns the averages over
    all processes' rows and their number. It is differentiable. Ask for it in the forward pass and keep it for
    backward, which may run outside `distributed_batch`.
    """
    sharing = _sharing.get()
    return _over_processes if sharing and sharing[1] else _own


def mean_point(points: Float[Tensor, "B N C"]) -> Float[Tensor, " C"]:
    """The mean of all points that BatchNorm sees, without gradient: a common origin near them."""
    return batch_reducer()(points.detach().mean((0, 1)), points.shape[0] * points.shape[1])[0]


def statistics_are_shared() -> bool:
    """Return whether `batch_reducer` reaches beyond this process."""
    return batch_reducer() is _over_processes


def unbiased(variance: Float[Tensor, "*shape"], count: int | Tensor) -> Float[Tensor, "*shape"]:
    """The variance as BatchNorm's running statistics keep it, from the one that divides by `count`."""
    rest = count - 1 if isinstance(count, Tensor) else max(count - 1, 1)
    return variance * (count / rest)


def _own(averages: Tensor, count: int) -> tuple[Tensor, int | Tensor]:
    return averages, count


def _over_processes(averages: Tensor, count: int) -> tuple[Tensor, int | Tensor]:
    """In float64: sums over processes lose no digits. The counts travel with the sums."""
    wide = averages.to(torch.float64).flatten()
    total = _Sum.apply(torch.cat([wide * count, wide.new_full((1,), count)]))
    return (total[:-1] / total[-1]).view(averages.shape).to(averages.dtype), total[-1].detach()


class _Sum(torch.autograd.Function):
    """The sum over processes, whose gradient is the sum over processes of its gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _all_reduced(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _all_reduced(grad)


def _all_reduced(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total

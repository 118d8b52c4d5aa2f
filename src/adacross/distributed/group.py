"""The processes of a run: starting, agreeing, stopping together."""

import atexit
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any, Literal

import torch
from torch import Tensor, distributed

from adacross.console import console, results
from adacross.distributed.batch import BatchSlice, distributed_batch
from adacross.distributed.device import find_device
from adacross.errors import UserError, one_line

_BUCKET = 2**24  # numbers that travel together; 64 MiB of float32
CONTROL_TIMEOUT = timedelta(days=30)  # other ranks wait while rank 0 evaluates or saves
_runs = itertools.count()


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, of which this is one; a single one without a launcher."""

    device: torch.device  # this process's
    process: int = 0  # its rank; rank 0 reads checkpoints, evaluates, writes and prints
    count: int = 1  # number of processes
    control: distributed.ProcessGroup | None = None  # gloo, for messages on the CPU, without timeout
    run: int = 0  # number of runs that these processes began before

    @classmethod
    def start(cls, device: Literal["auto", "cpu", "cuda"]) -> "ProcessGroup":
        """Find the device, and join the other processes that torchrun or accelerate started."""
        launched, here, local = (
            int(os.environ.get(name, default))
            for name, default in (("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
        found = find_device(device)
        cuda = found.type == "cuda"
        if launched == 1:
            return cls(found)
        if cuda and here > torch.cuda.device_count():
            raise UserError(
                f"started as {here} processes on this machine, which has {torch.cuda.device_count()} GPUs. "
                "Start one process a GPU, or give --device cpu."
            )
        if cuda:
            found = torch.device("cuda", local)
            torch.cuda.set_device(found)
        if not distributed.is_initialized():
            try:
                distributed.init_process_group("nccl" if cuda else "gloo")
            except ValueError as error:
                raise UserError(
                    f"WORLD_SIZE says that {launched} processes were started, but this one cannot join the "
                    f"others ({one_line(error)}). Start them with torchrun or accelerate launch, or unset "
                    "WORLD_SIZE."
                ) from None
            atexit.register(_leave)
        control = distributed.new_group(backend="gloo", timeout=CONTROL_TIMEOUT)
        rank = distributed.get_rank()
        console.quiet = results.quiet = rank > 0
        return cls(found, rank, distributed.get_world_size(), control, next(_runs))

    @property
    def first(self) -> bool:
        """True in the process that writes and prints."""
        return self.process == 0

    def share(self, batch_size: int) -> BatchSlice:
        """Return this process's rows of a batch."""
        return BatchSlice.of(batch_size, self.process, self.count)

    def batch(self, batch_size: int, statistics: bool) -> AbstractContextManager[None]:
        """Compute a batch as one of the processes that share it (`distributed_batch`)."""
        return nullcontext() if self.count == 1 else distributed_batch(self.share(batch_size), statistics)

    def totals(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sum loss terms over processes: the same numbers in all, without gradient."""
        if self.count == 1:
            return terms
        values = torch.stack([term.detach() for term in terms.values()])
        distributed.all_reduce(values)
        return dict(zip(terms, values, strict=True))

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over processes, many at a time."""
        if self.count == 1:
            return
        for bucket in _buckets(tensors):
            together = torch.cat([tensor.flatten() for tensor in bucket])
            distributed.all_reduce(together)
            totals = together.split([tensor.numel() for tensor in bucket])
            for tensor, total in zip(bucket, totals, strict=True):
                tensor.copy_(total.view(tensor.shape))

    def any(self, asked: bool) -> bool:
        """Return whether any process asks; all of them return the same."""
        if self.count == 1:
            return asked
        answer = torch.tensor(int(asked))
        distributed.all_reduce(answer, group=self.control)
        return bool(answer)

    def wait(self) -> None:
        """Wait for all processes, without a timeout."""
        if self.count > 1:
            distributed.barrier(group=self.control)

    def from_first(self, state: Any) -> Any:
        """Broadcast the first process's tensors and plain values; they arrive on the CPU."""
        if self.count == 1:
            return state
        content = BytesIO()
        if self.first:
            torch.save(state, content)
        size = torch.tensor(content.tell())
        distributed.broadcast(size, 0, group=self.control)
        message = torch.empty(int(size), dtype=torch.uint8)
        if self.first:
            message.copy_(torch.frombuffer(content.getbuffer(), dtype=torch.uint8))
        distributed.broadcast(message, 0, group=self.control)
        return torch.load(BytesIO(message.numpy().tobytes()), map_location="cpu", weights_only=True)

    @contextmanager
    def one_message(self) -> Iterator[None]:
        """Let one process say why the run ends, the first that fails; the others exit silently."""
        try:
            yield
        except BaseException as error:
            if self.count == 1:
                raise
            if not self._first_to_fail():
                raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 2) from None
            console.quiet = False
            collective = isinstance(error, distributed.DistError) or "gloo" in str(error).lower()
            if isinstance(error, RuntimeError) and collective:
                raise UserError(
                    f"process {self.process} lost contact with another one, which ended or cannot be reached "
                    f"({one_line(error)}). Continue with the same command and --resume auto."
                ) from error
            raise

    def _first_to_fail(self) -> bool:
        """Return whether this process is the first to end."""
        try:
            store = distributed.distributed_c10d._get_default_store()
            return store.add(f"adacross/{self.run}/ended", 1) == 1
        except RuntimeError:  # the process that keeps the store has ended
            return False


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type after the other, about `_BUCKET` numbers together."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and (
            bucket[0].dtype != tensor.dtype or sum(map(Tensor.numel, bucket)) + tensor.numel() > _BUCKET
        ):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()

"""A device that this machine does not have, pretended: devices are checked, values are computed on the CPU.

Torch's `FakeTensorMode` knows no values, which masked methods need to know how much is masked, and on a build
without CUDA it cannot index. Of the devices without a library "lazy" alone can be indexed and has a backward.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import optimizer
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("lazy", 0)
_MOVES = (torch.ops.aten._to_copy, torch.ops.aten.copy_, torch.ops.aten.to)


class Pretended(Tensor):
    """A tensor that says it is on `DEVICE`; `actual` is the one that holds its values."""

    actual: Tensor

    @staticmethod
    def __new__(cls, actual: Tensor) -> "Pretended":
        """Make one of the same size, strides and type."""
        size, start = actual.shape, actual.storage_offset()
        made = Tensor._make_wrapper_subclass(
            cls, size, actual.stride(), start, dtype=actual.dtype, device=DEVICE
        )
        made.actual = actual
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute an operation of this device."""
        return _computed(func, args, kwargs or {})


class _Pretending(TorchDispatchMode):
    """Functions that make tensors make them on `DEVICE`, where that is asked for."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


class _Generator(torch.Generator):
    """The CPU's random numbers, for `DEVICE`."""

    device = DEVICE


def _computed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute an operation on the CPU; refuse tensors of two devices, but for single numbers and copies."""
    given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    there = any(isinstance(each, Pretended) for each in given)
    left = [tuple(each.shape) for each in given if not isinstance(each, Pretended) and each.ndim]
    if there and left and func.overloadpacket not in _MOVES:
        raise RuntimeError(f"{func} takes tensors of {DEVICE} and tensors left on the CPU, of shapes {left}")
    asked = kwargs.get("device")
    actual, options = tree_map_only(Pretended, lambda each: each.actual, (args, kwargs))
    result = func(*actual, **options | ({"device": torch.device("cpu")} if asked else {}))
    if torch.device(asked or (DEVICE if there else "cpu")) != DEVICE:
        return result
    made = tree_map_only(Tensor, Pretended, result)
    return made if asked else return_and_correct_aliasing(func, args, kwargs, made)


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """Compute with a device that takes what a GPU takes."""
    with pytest.MonkeyPatch.context() as patch, _Pretending():
        patch.setattr(torch, "Generator", lambda device: _Generator())
        patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows devices by name
        patch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: [DEVICE.type])
        torch._C._set_only_lift_cpu_tensors(True)  # new tensors of numbers come from the CPU
        try:
            yield DEVICE
        finally:
            torch._C._set_only_lift_cpu_tensors(False)

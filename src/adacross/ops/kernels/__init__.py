"""Compiled CPU kernels, each beside the plain torch form that it must equal.

Kernels work on float32 tensors of the CPU. Everything else (a GPU, float64, export, a machine without Numba,
`ADACROSS_KERNELS=0` in the environment) takes the torch form, which gives the same result.
"""

import torch
from torch import Tensor

from adacross.version import kernels_usable

# Subclasses (FakeTensor, functional wrappers) hold no data of their own.
_PLAIN = (Tensor, torch.nn.Parameter)


def use_kernels(*tensors: Tensor) -> bool:
    """Return True if compiled kernels take these tensors: float32 or integers, on the CPU, with real data."""
    return (
        kernels_usable()
        and not torch.compiler.is_compiling()
        and all(type(each) in _PLAIN and each.device.type == "cpu" and _taken(each) for each in tensors)
    )


def _taken(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 or not tensor.dtype.is_floating_point

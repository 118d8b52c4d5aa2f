"""Precision of products of float32 matrices."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def rounded_products(enabled: bool) -> Iterator[None]:
    """Round the factors of float32 products to bfloat16 (TensorFloat-32 on a GPU); sums stay in float32.

    A processor without bfloat16 arithmetic computes them exactly. The setting is the process's, not the
    thread's, and so holds for the backward pass, too, which runs in threads of its own.
    """
    with _precision("medium" if enabled else torch.get_float32_matmul_precision()):
        yield


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Compute products in the tensors' own type, inside autocast and `rounded_products`, too."""
    with torch.autocast(device.type, enabled=False):
        if torch.compiler.is_compiling():  # an exported graph has no such setting
            yield
        else:
            with _precision("highest"):
                yield


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)

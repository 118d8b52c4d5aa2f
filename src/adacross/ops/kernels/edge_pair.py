"""Passes over the edges of `ops.fused.edge_pair` before and after its matrix products, block by block."""

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from adacross.ops.compiler import kernel

_CHANNELS = 32  # that a thread adds up at a time: threads share no line of the cache


def activated(
    u: Float[Tensor, "BN H"], v: Float[Tensor, "b H"], rows: Int64[Tensor, "b k"], slope: float
) -> Float[Tensor, "b k H"]:
    """Compute the edges' activations, LeakyReLU(u_j + v_i)."""
    active = u.new_empty(*rows.shape, u.shape[1])
    arrays = [each.detach().contiguous().numpy() for each in (u, v, rows)]
    _activate.over(len(active), *arrays, np.float32(slope), active.numpy())
    return active


def collect(
    to_edges: Float[Tensor, "b k H"],
    active: Float[Tensor, "b k H"],
    rows: Int64[Tensor, "b k"],
    slope: float,
    to_u: Float[Tensor, "BN H"],
    to_v: Float[Tensor, "b H"],
) -> None:
    """Sum the gradients of activations to those of `v`, and add them to those of `u`."""
    H = to_u.shape[1]
    width = _CHANNELS if H % _CHANNELS == 0 else H
    parts = [each.unflatten(-1, (-1, width)).numpy() for each in (to_edges, active, to_u, to_v)]
    _collect.over(H // width, *parts, rows.numpy(), np.float32(slope))


@kernel
def _activate(
    first: int,
    last: int,
    u: np.ndarray,
    v: np.ndarray,
    rows: np.ndarray,
    slope: np.float32,
    active: np.ndarray,
) -> None:
    for i in range(first, last):
        for n in range(rows.shape[1]):
            j = rows[i, n]
            if j < 0 or j >= len(u):
                raise IndexError("a neighbor's index is not one of the clouds' points")
            for c in range(u.shape[1]):
                edge = u[j, c] + v[i, c]
                active[i, n, c] = edge if edge > 0 else slope * edge


@kernel
def _collect(
    first: int,
    last: int,
    to_edges: np.ndarray,
    active: np.ndarray,
    to_u: np.ndarray,
    to_v: np.ndarray,
    rows: np.ndarray,
    slope: np.float32,
) -> None:
    width, one = to_u.shape[2], np.float32(1)
    for part in range(first, last):
        for i in range(len(rows)):
            for c in range(width):
                to_v[i, part, c] = 0
            for n in range(rows.shape[1]):
                j = rows[i, n]
                for c in range(width):
                    slant = one if active[i, n, part, c] > 0 else slope
                    to_u[j, part, c] += slant * to_edges[i, n, part, c]
                for c in range(width):
                    slant = one if active[i, n, part, c] > 0 else slope
                    to_v[i, part, c] += slant * to_edges[i, n, part, c]

"""Passes of `ops.fused.group_pool` between its matrix products, over numbers that are still in the cache.

Inner loops run over channels, which are contiguous, and write to one array each, so that they become vector
instructions. The gradient of a maximum has one entry for each group and channel: instead of products with a
matrix that is 0 elsewhere, the rows that won are added up.
"""

import numpy as np
import torch
from torch import Tensor

from adacross.ops.compiler import kernel
from adacross.ops.fused.group_passes import Hidden

_PARTS = 16  # sums over groups are made in so many parts, by any number of threads


def maxima(products: Tensor) -> tuple[Tensor, Tensor]:
    """See `group_passes.maxima`."""
    n, _, C = products.shape
    largest, places = products.new_empty(n, C), torch.empty(n, C, dtype=torch.int32)
    _maxima.over(n, products.numpy(), largest.numpy(), places.numpy())
    return largest, places


@kernel
def _maxima(first: int, last: int, products: np.ndarray, largest: np.ndarray, places: np.ndarray) -> None:
    _, k, C = products.shape
    for i in range(first, last):
        for c in range(C):
            largest[i, c] = products[i, 0, c]
            places[i, c] = 0
        for j in range(1, k):
            for c in range(C):
                better = products[i, j, c] > largest[i, c]
                largest[i, c] = products[i, j, c] if better else largest[i, c]
                places[i, c] = j if better else places[i, c]


def centered(z: Tensor, once: Tensor) -> Tensor:
    """See `group_passes.centered`."""
    squares = z.new_zeros(len(z), z.shape[2])
    _centered.over(len(z), z.numpy(), once.numpy(), squares.numpy())
    return squares.sum(0, dtype=torch.float64)


@kernel
def _centered(first: int, last: int, z: np.ndarray, once: np.ndarray, squares: np.ndarray) -> None:
    _, k, S = z.shape
    for i in range(first, last):
        for j in range(k):
            for s in range(S):
                each = z[i, j, s] + once[i, s]
                z[i, j, s] = each
                squares[i, s] += each * each


def activated(hidden: Hidden) -> Tensor:
    """See `group_passes.activated`."""
    active = torch.empty_like(hidden.z)
    _activated.over(len(active), *_arrays(hidden), active.numpy())
    return active


@kernel
def _activated(
    first: int,
    last: int,
    z: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    slope: np.float32,
    active: np.ndarray,
) -> None:
    _, k, S = z.shape
    for i in range(first, last):
        for j in range(k):
            for s in range(S):
                normal = z[i, j, s] * scale[s] + bias[s]
                active[i, j, s] = normal if normal > 0 else slope * normal


def last_gradients(
    hidden: Hidden, last: Tensor, grad: Tensor, places: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """See `group_passes.last_gradients`."""
    D, S = last.shape
    to_last, to_bias, by_product = (last.new_zeros(_PARTS, *shape) for shape in ((D, S), (S,), (S,)))
    given = [each.numpy() for each in (last, grad, places, to_last, to_bias, by_product)]
    _last_gradients.over(_PARTS, *_arrays(hidden), *given)
    return to_last.sum(0), to_bias.sum(0), by_product.sum(0)


@kernel
def _last_gradients(
    first: int,
    end: int,
    z: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    slope: np.float32,
    last: np.ndarray,
    grad: np.ndarray,
    places: np.ndarray,
    to_last: np.ndarray,
    to_bias: np.ndarray,
    by_product: np.ndarray,
) -> None:
    n, k, S = z.shape
    active, passed = np.empty((k, S), z.dtype), np.empty((k, S), z.dtype)
    for part in range(first, end):
        for i in range(n * part // len(to_last), n * (part + 1) // len(to_last)):
            for j in range(k):
                for s in range(S):
                    normal = z[i, j, s] * scale[s] + bias[s]
                    active[j, s] = normal if normal > 0 else slope * normal
            for j in range(k):
                for s in range(S):
                    passed[j, s] = 0
            for d in range(len(last)):
                error, j = grad[i, d], places[i, d]
                for s in range(S):
                    passed[j, s] += error * last[d, s]
                for s in range(S):
                    to_last[part, d, s] += error * active[j, s]
            for j in range(k):
                for s in range(S):
                    positive = z[i, j, s] * scale[s] + bias[s] > 0
                    passed[j, s] *= np.float32(1) if positive else slope
                for s in range(S):
                    to_bias[part, s] += passed[j, s]
                for s in range(S):
                    by_product[part, s] += passed[j, s] * z[i, j, s]


def product_gradients(
    hidden: Hidden, last: Tensor, grad: Tensor, places: Tensor, constant: Tensor, along: Tensor
) -> tuple[Tensor, Tensor]:
    """See `group_passes.product_gradients`."""
    to_z, once = torch.empty_like(hidden.z), hidden.z.new_zeros(len(hidden.z), hidden.z.shape[2])
    given = [each.numpy() for each in (last, grad, places, constant, along, to_z, once)]
    _product_gradients.over(len(to_z), *_arrays(hidden), *given)
    return to_z, once


@kernel
def _product_gradients(
    first: int,
    end: int,
    z: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    slope: np.float32,
    last: np.ndarray,
    grad: np.ndarray,
    places: np.ndarray,
    constant: np.ndarray,
    along: np.ndarray,
    to_z: np.ndarray,
    once: np.ndarray,
) -> None:
    _, k, S = z.shape
    passed = np.empty((k, S), z.dtype)
    for i in range(first, end):
        for j in range(k):
            for s in range(S):
                passed[j, s] = 0
        for d in range(len(last)):
            error, j = grad[i, d], places[i, d]
            for s in range(S):
                passed[j, s] += error * last[d, s]
        for j in range(k):
            for s in range(S):
                slant = np.float32(1) if z[i, j, s] * scale[s] + bias[s] > 0 else slope
                to_z[i, j, s] = passed[j, s] * slant * scale[s] + (constant[s] + along[s] * z[i, j, s])
            for s in range(S):
                once[i, s] += to_z[i, j, s]


def through_maximum(grad: Tensor, places: Tensor, x: Tensor, weight: Tensor, to_x: Tensor) -> Tensor:
    """See `group_passes.through_maximum`."""
    to_weight = weight.new_zeros(_PARTS, *weight.shape)
    given = [each.numpy() for each in (grad, places, x, weight, to_x, to_weight)]
    _through_maximum.over(_PARTS, *given)
    return to_weight.sum(0)


@kernel
def _through_maximum(
    first: int,
    end: int,
    grad: np.ndarray,
    places: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    to_x: np.ndarray,
    to_weight: np.ndarray,
) -> None:
    n, _, F = x.shape
    for part in range(first, end):
        for i in range(n * part // len(to_weight), n * (part + 1) // len(to_weight)):
            for c in range(len(weight)):
                error, j = grad[i, c], places[i, c]
                for f in range(F):
                    to_x[i, j, f] += error * weight[c, f]
            for c in range(len(weight)):
                error, j = grad[i, c], places[i, c]
                for f in range(F):
                    to_weight[part, c, f] += error * x[i, j, f]


def _arrays(hidden: Hidden) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.float32]:
    z, scale, bias, slope = hidden
    return z.numpy(), scale.numpy(), bias.numpy(), np.float32(slope)

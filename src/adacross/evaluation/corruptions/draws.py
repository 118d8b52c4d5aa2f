"""Random numbers for a batch of shapes, each from a generator of its own."""

import zlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32, Int, Int64, Shaped

Rng = np.random.Generator
Clouds = Float32[np.ndarray, "n N 3"]
Changed = Float32[np.ndarray, "n M 3"]  # with another number of points


class Draws:
    """Random numbers for `n` shapes; those of a shape do not depend on the others.

    They are functions of a seed, a purpose, and the number that a shape is known by in any batch.
    """

    def __init__(self, seed: int, purpose: str, shapes: Int64[np.ndarray, " n"]) -> None:
        key = zlib.crc32(purpose.encode())
        self._generators = [np.random.default_rng([seed, key, shape]) for shape in shapes.tolist()]

    def uniform(self, low: float, high: float, *size: int) -> Float32[np.ndarray, "n *size"]:
        """Return numbers from [low, high)."""
        return low + (high - low) * self._each(lambda rng: rng.random(size, dtype=np.float32))

    def normal(self, *size: int) -> Float32[np.ndarray, "n *size"]:
        """Return standard normal numbers."""
        return self._each(lambda rng: rng.standard_normal(size, dtype=np.float32))

    def signs(self, *size: int) -> Float32[np.ndarray, "n *size"]:
        """Return -1 or 1."""
        return np.where(self.uniform(0.0, 1.0, *size) < 0.5, np.float32(-1), np.float32(1))

    def directions(self, *size: int) -> Float32[np.ndarray, "n *size 3"]:
        """Return unit vectors, uniform over the sphere."""
        vectors = self.normal(*size, 3)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def orders(self, count: int) -> Int[np.ndarray, "n count"]:
        """Return permutations of 0 to count - 1."""
        return self._each(lambda rng: rng.permutation(count))

    def picks(self, count: int, *size: int) -> Int[np.ndarray, "n *size"]:
        """Return whole numbers from 0 to count - 1."""
        return self._each(lambda rng: rng.integers(count, size=size))

    def _each(self, draw: Callable[[Rng], np.ndarray]) -> Shaped[np.ndarray, "n *size"]:
        return np.stack([draw(generator) for generator in self._generators])


def take(values: Float[np.ndarray, "n N 3"], indices: Int[np.ndarray, "n M"]) -> Float[np.ndarray, "n M 3"]:
    """Return each cloud's points by index."""
    return np.take_along_axis(values, indices[:, :, None], axis=1)


def share(points: int, part: float) -> int:
    """Return how many of `points` a part of them is, at least one."""
    return max(1, round(points * part))

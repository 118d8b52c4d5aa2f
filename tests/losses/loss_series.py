"""Losses and gradient norms over a training, and a weighting that sees them."""

import numpy as np

from adacross.losses.weighting import Weighting


def series(steps: int, seed: int = 0) -> list[dict[str, float]]:
    """Two noisy losses that fall at different rates."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    intra = 1 + 3 * np.exp(-t / 200) + rng.normal(0, 0.05, steps)
    cross = 1 + 4 * np.exp(-t / 2000) + rng.normal(0, 0.05, steps)
    return [{"intra": float(a), "cross": float(b)} for a, b in zip(intra, cross, strict=True)]


def norm_series(steps: int, seed: int = 1) -> list[dict[str, float]]:
    """Norms of their gradients, noisy, of different size."""
    rng = np.random.default_rng(seed)
    intra, cross = 0.5 * rng.lognormal(0, 0.3, steps), 2 * rng.lognormal(0, 0.3, steps)
    return [{"intra": float(a), "cross": float(b)} for a, b in zip(intra, cross, strict=True)]


def run(
    weighting: Weighting, losses: list[dict[str, float]], norms: list[dict[str, float]] | None = None
) -> list[dict[str, float]]:
    """The weights of every step."""
    if norms is None:
        return [weighting.update(step) for step in losses]
    return [weighting.update(step, norm) for step, norm in zip(losses, norms, strict=True)]

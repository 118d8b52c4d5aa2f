"""Displaced points, and added ones."""

import numpy as np

from adacross.evaluation.corruptions.draws import Changed, Clouds, Draws, share, take

UNIFORM = (0.01, 0.02, 0.03, 0.04, 0.05)
GAUSSIAN = (0.01, 0.015, 0.02, 0.025, 0.03)
IMPULSE = (1 / 30, 1 / 25, 1 / 20, 1 / 15, 1 / 10)
LEAP = 0.1  # how far an impulse moves a coordinate
UPSAMPLING = (1 / 5, 1 / 4, 1 / 3, 1 / 2, 1.0)
HALO = 0.05  # how far an added point may lie from an old one, on each axis
BACKGROUND = (1 / 45, 1 / 40, 1 / 35, 1 / 30, 1 / 20)


def uniform(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Shift every coordinate by U(-c, c), c = 0.01, 0.02, 0.03, 0.04, 0.05 (recalled)."""
    return clouds + UNIFORM[severity - 1] * draws.uniform(-1.0, 1.0, *clouds.shape[1:])


def gaussian(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Shift every coordinate by a normal number of deviation 0.01, 0.015, 0.02, 0.025, 0.03 (recalled)."""
    return clouds + GAUSSIAN[severity - 1] * draws.normal(*clouds.shape[1:])


def impulse(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Shift a 30th, 25th, 20th, 15th, 10th of the points by 0.1 up or down on every axis (recalled)."""
    hit = draws.orders(clouds.shape[1]) < share(clouds.shape[1], IMPULSE[severity - 1])
    return clouds + np.where(hit[:, :, None], LEAP * draws.signs(*clouds.shape[1:]), np.float32(0))


def upsampling(clouds: Clouds, severity: int, draws: Draws) -> Changed:
    """Add N / 5, 4, 3, 2, 1 points: copies of drawn ones, each axis shifted by U(-0.05, 0.05) (recalled)."""
    count = clouds.shape[1]
    added = share(count, UPSAMPLING[severity - 1])
    copies = take(clouds, draws.orders(count)) + draws.uniform(-HALO, HALO, count, 3)
    return np.concatenate([clouds, copies[:, :added]], axis=1)


def background(clouds: Clouds, severity: int, draws: Draws) -> Changed:
    """Add N / 45, 40, 35, 30, 20 points, uniform in the cube from -1 to 1 (recalled)."""
    added = share(clouds.shape[1], BACKGROUND[severity - 1])
    return np.concatenate([clouds, draws.uniform(-1.0, 1.0, clouds.shape[1], 3)[:, :added]], axis=1)

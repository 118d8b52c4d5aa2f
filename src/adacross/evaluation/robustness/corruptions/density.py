"""Points that are missing or too many, here and there. Where: drawn."""

import numpy as np
from jaxtyping import Bool, Float32, Int

from adacross.evaluation.robustness.corruptions.draws import Draws, share

PLACES = (1, 2, 3, 4, 5)  # where the density changes
PLACE = 100 / 1024  # part of the points that belongs to each
NEIGHBORS = 4  # a new point lies half way to one of so many
HOLES = (2, 3, 5, 7, 10)
HOLE = 30 / 1024  # part of the points that goes with each


def density_inc(
    clouds: Float32[np.ndarray, "n N 3"], severity: int, draws: Draws
) -> Float32[np.ndarray, "n N 3"]:
    """Make the cloud denser around 1, 2, 3, 4, 5 drawn points, thinner elsewhere; N stays (counts recalled).

    The nearest 100 (of 1,024) points of each place are its own. Half of all those get a new point, half way
    to one of their four nearest neighbours; as many points elsewhere go (ours: there is no surface to draw
    more points from).
    """
    from scipy.spatial import cKDTree

    size = clouds.shape[1]
    own = np.zeros(clouds.shape[:2], dtype=bool)
    for place in draws.orders(size)[:, : PLACES[severity - 1]].T:
        near = _nearest(clouds, np.ones_like(own), place, share(size, PLACE))
        np.put_along_axis(own, near, values=True, axis=1)
    result = clouds.copy()
    for cloud, inside, order, pick in zip(
        result, own, draws.orders(size), 1 + draws.picks(NEIGHBORS, size), strict=True
    ):
        grown = order[inside[order]][: inside.sum() // 2]
        gone = order[~inside[order]][: len(grown)]
        neighbors = cKDTree(cloud).query(cloud[grown], k=NEIGHBORS + 1)[1]
        cloud[gone] = (cloud[grown] + cloud[neighbors[np.arange(len(grown)), pick[grown]]]) / 2
    return result


def density(
    clouds: Float32[np.ndarray, "n N 3"], severity: int, draws: Draws
) -> Float32[np.ndarray, "n M 3"]:
    """Take away three quarters of the 100 (of 1,024) points around 1, 2, 3, 4, 5 drawn ones (recalled)."""
    size = share(clouds.shape[1], PLACE)
    return _without(clouds, PLACES[severity - 1], size, round(0.75 * size), draws)


def cutout(clouds: Float32[np.ndarray, "n N 3"], severity: int, draws: Draws) -> Float32[np.ndarray, "n M 3"]:
    """Cut 2, 3, 5, 7, 10 holes: for each, a drawn point and those around it go, 30 of 1,024 (recalled)."""
    size = share(clouds.shape[1], HOLE)
    return _without(clouds, HOLES[severity - 1], size, size, draws)


def _without(
    clouds: Float32[np.ndarray, "n N 3"], places: int, size: int, lost: int, draws: Draws
) -> Float32[np.ndarray, "n M 3"]:
    """Remove `lost` of the `size` points around each place, of those that are left: M is always the same."""
    rank, chance = draws.orders(clouds.shape[1]), draws.orders(clouds.shape[1])
    left = np.ones(rank.shape, dtype=bool)
    for _ in range(places):
        near = _nearest(clouds, left, np.where(left, rank, rank.shape[1]).argmin(axis=1), size)
        luck = np.take_along_axis(chance, near, axis=1).argsort(axis=1)[:, :lost]
        np.put_along_axis(left, np.take_along_axis(near, luck, axis=1), values=False, axis=1)
    return clouds[left].reshape(len(clouds), -1, 3)


def _nearest(
    clouds: Float32[np.ndarray, "n N 3"],
    among: Bool[np.ndarray, "n N"],
    place: Int[np.ndarray, " n"],
    count: int,
) -> Int[np.ndarray, "n count"]:
    """The `count` points among those given that are nearest to the point with index `place`."""
    center = clouds[np.arange(len(clouds)), place][:, None]
    squared = np.where(among, ((clouds - center) ** 2).sum(2), np.float32(np.inf))
    return squared.argpartition(count - 1, axis=1)[:, :count]

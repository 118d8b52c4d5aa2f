"""Points that are missing, hidden, or too many here and there.

ModelNet40-C casts rays at meshes to find what a sensor sees (recalled). Here there are only points, so what
is hidden is found by spherical flipping (Katz, Tal and Basri, "Direct visibility of point sets", SIGGRAPH
2007): each point is mirrored at a large sphere around the sensor; those on the convex hull of the result and
the sensor are visible. For 1,024 points of built-in meshes it finds 86 % of the points that rays see, and 9 %
of the others.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from adacross.evaluation.corruptions.draws import Changed, Clouds, Draws, share, take

PLACES = (1, 2, 3, 4, 5)  # where the density changes
PLACE = 100 / 1024  # part of the points that belongs to each
NEIGHBORS = 4  # a new point lies half way to one of so many
HOLES = (2, 3, 5, 7, 10)
HOLE = 30 / 1024  # part of the points that goes with each

STATIONS = (5, 4, 3, 2, 1)
STEP = 60.0  # degrees between one station and the next
ELEVATION = 45.0  # degrees a sensor may stand above the middle
DISTANCE = 2.5
FLIP = 10**1.5  # radius of the sphere that points are flipped at, in largest distances from the sensor
RINGS = (32, 24, 16, 12, 8)


def occlusion(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Keep what is seen from 5, 4, 3, 2, 1 stations, 60 degrees apart, around the up axis.

    The first stands at a drawn azimuth, all at a drawn elevation of 0 to 45 degrees. Visible points are
    repeated in a drawn order until there are N again. All of it is ours.
    """
    azimuth, elevation = draws.uniform(0.0, 360.0), draws.uniform(0.0, ELEVATION)
    seen = np.zeros(clouds.shape[:2], dtype=bool)
    for number in range(STATIONS[severity - 1]):
        seen |= visible(clouds, station(azimuth + STEP * number, elevation))
    return _filled(clouds, seen, draws)


def lidar(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Keep what is seen from one station, on 32, 24, 16, 12, 8 scan lines over the unit sphere.

    The station is drawn as for `occlusion`. A point is kept at its distance and turned up or down to the
    nearest scan line, all of which have the same angle between them. Repeated as for `occlusion`. All of it
    is ours.
    """
    azimuth, elevation = draws.uniform(0.0, 360.0), draws.uniform(0.0, ELEVATION)
    sensor = station(azimuth, elevation)
    points = _filled(clouds, visible(clouds, sensor), draws)
    axes = _axes(sensor)
    right, up, ahead = np.moveaxis((points - sensor[:, None]) @ axes.swapaxes(-1, -2), 2, 0)
    level = np.hypot(right, ahead)
    opening = 2 * np.arcsin(1 / DISTANCE)
    gap = opening / RINGS[severity - 1]
    angle = gap * (np.floor((np.arctan2(up, level) + opening / 2) / gap) + 0.5) - opening / 2
    away = np.hypot(level, up)
    stretch = away * np.cos(angle) / level
    snapped = np.stack([right * stretch, away * np.sin(angle), ahead * stretch], axis=2)
    return (snapped @ axes + sensor[:, None]).astype(np.float32)


def density_inc(clouds: Clouds, severity: int, draws: Draws) -> Clouds:
    """Make the cloud denser around 1, 2, 3, 4, 5 drawn points, thinner elsewhere; N stays (counts recalled).

    The nearest 100 (of 1,024) points of each place are its own. Half of all those get a new point, half way
    to one of their four nearest neighbors; as many points elsewhere go (ours: there is no surface to draw
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


def density(clouds: Clouds, severity: int, draws: Draws) -> Changed:
    """Take away three quarters of the 100 (of 1,024) points around 1, 2, 3, 4, 5 drawn ones (recalled)."""
    size = share(clouds.shape[1], PLACE)
    return _without(clouds, PLACES[severity - 1], size, round(0.75 * size), draws)


def cutout(clouds: Clouds, severity: int, draws: Draws) -> Changed:
    """Cut 2, 3, 5, 7, 10 holes: for each, a drawn point and those around it go, 30 of 1,024 (recalled)."""
    size = share(clouds.shape[1], HOLE)
    return _without(clouds, HOLES[severity - 1], size, size, draws)


def station(
    azimuth: Float[np.ndarray, " n"], elevation: Float[np.ndarray, " n"]
) -> Float32[np.ndarray, "n 3"]:
    """Return where sensors stand, from angles in degrees, all at the same distance of the middle."""
    turn, lift = np.radians(azimuth), np.radians(elevation)
    direction = [np.sin(turn) * np.cos(lift), np.sin(lift), np.cos(turn) * np.cos(lift)]
    return (DISTANCE * np.stack(direction, axis=1)).astype(np.float32)


def visible(clouds: Clouds, sensor: Float32[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n N"]:
    """Return which points a sensor sees, by spherical flipping."""
    from scipy.spatial import ConvexHull, QhullError

    rays = clouds.astype(np.float64) - sensor[:, None]
    length = np.linalg.norm(rays, axis=2, keepdims=True)
    flipped = rays * (2 * FLIP * length.max(axis=1, keepdims=True) / length - 1)
    seen = np.zeros((len(clouds), clouds.shape[1] + 1), dtype=bool)
    for points, row in zip(flipped, seen, strict=True):
        around = np.vstack([points, np.zeros(3)])
        try:
            hull = ConvexHull(around)
        except QhullError:  # all in one plane with the sensor: shaken a little
            hull = ConvexHull(around, qhull_options="QJ")
        row[hull.vertices] = True
    return seen[:, :-1]


def _axes(sensor: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3 3"]:
    """Return a sensor's right, up and ahead as rows, `(n, 3, 3)`."""
    ahead = -sensor / np.linalg.norm(sensor, axis=1, keepdims=True)
    right = np.cross(ahead, np.array([0, 1, 0], dtype=np.float32))
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(right, ahead), ahead], axis=1)


def _filled(clouds: Clouds, kept: Bool[np.ndarray, "n N"], draws: Draws) -> Clouds:
    """Return the points kept, in a drawn order, again and again until there are N."""
    order = draws.orders(kept.shape[1])
    gone = ~np.take_along_axis(kept, order, axis=1)
    order = np.take_along_axis(order, gone.argsort(axis=1, kind="stable"), axis=1)
    place = np.arange(kept.shape[1]) % kept.sum(axis=1, keepdims=True)
    return take(clouds, np.take_along_axis(order, place, axis=1))


def _without(clouds: Clouds, places: int, size: int, lost: int, draws: Draws) -> Changed:
    """Remove `lost` of the `size` points around each place, of those that are left: M is always the same."""
    rank, chance = draws.orders(clouds.shape[1]), draws.orders(clouds.shape[1])
    left = np.ones(rank.shape, dtype=bool)
    for _ in range(places):
        near = _nearest(clouds, left, np.where(left, rank, rank.shape[1]).argmin(axis=1), size)
        luck = np.take_along_axis(chance, near, axis=1).argsort(axis=1)[:, :lost]
        np.put_along_axis(left, np.take_along_axis(near, luck, axis=1), values=False, axis=1)
    return clouds[left].reshape(len(clouds), -1, 3)


def _nearest(
    clouds: Clouds, among: Bool[np.ndarray, "n N"], place: Int[np.ndarray, " n"], count: int
) -> Int[np.ndarray, "n count"]:
    """Return the `count` points among those given that are nearest to the point with index `place`."""
    center = clouds[np.arange(len(clouds)), place][:, None]
    squared = np.where(among, ((clouds - center) ** 2).sum(2), np.float32(np.inf))
    return squared.argpartition(count - 1, axis=1)[:, :count]

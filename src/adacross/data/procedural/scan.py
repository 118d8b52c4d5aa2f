"""A cloud as a depth scanner would see it: one side, noise, holes, and things that do not belong."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from adacross.data.procedural.curves import Rng, chance
from adacross.data.sampling import sample_surface
from adacross.data.shape import Mesh, PointCloud

Points = Float64[np.ndarray, "N 3"]
Samples = tuple[Float64[np.ndarray, "M 3"], Float64[np.ndarray, "M 3"]]
CLUTTER = -1
OVERSAMPLING = 6
GRAZING = 0.12  # cosine between ray and normal under which a scanner gets no echo


def scan(mesh: Mesh, count: int, rng: Rng) -> PointCloud:
    """Emulate one depth scan of a mesh from a random viewpoint slightly above it: exactly `count` points.

    Only the side that faces the scanner and is not hidden by something nearer is seen; pieces are missing,
    bits of the floor or of a neighboring object are present (`part` = -1), and every point is off by
    measurement noise, mostly along its ray. The emulation is our choice.

    The mesh's parts are closed, y up, in any unit; the points are in its frame, with the true surface's
    normals, colors and parts.
    """
    dense = sample_surface(mesh, OVERSAMPLING * count, rng)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    points = (dense.points - middle) / radius
    clutter, clutter_normals = _clutter(points, count, rng)
    scene = np.concatenate((points, clutter))
    normals = np.concatenate((np.asarray(dense.normals, dtype=np.float64), clutter_normals))

    # from the object to a far scanner, 5 to 45 degrees above the horizon
    azimuth, elevation = rng.uniform(0.0, 2 * np.pi), np.radians(rng.uniform(5.0, 45.0))
    flat = np.cos(elevation)
    ray = np.array((flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)))
    visible = _visible(scene, normals, ray)
    kept = visible & ~_missing(scene, rng)
    # Holes that would swallow a small object are left out.
    seen = np.flatnonzero(kept if kept.sum() > 0.3 * visible.sum() else visible)
    chosen = seen[rng.permutation(len(seen))[:count]]
    if len(chosen) < count:
        chosen = np.concatenate((chosen, rng.choice(chosen, count - len(chosen))))

    noise = rng.uniform(0.002, 0.01)
    along = rng.normal(0.0, noise, (count, 1)) * ray
    measured = scene[chosen] + along + rng.normal(0.0, noise / 3, (count, 3))
    gray = np.full((len(clutter), 3), rng.integers(90, 200), dtype=np.uint8)
    none = np.full(len(clutter), CLUTTER, dtype=np.int64)
    return PointCloud(
        points=(measured * radius + middle).astype(np.float32),
        normals=normals[chosen].astype(np.float32),
        colors=None if dense.colors is None else np.concatenate((dense.colors, gray))[chosen],
        part=None if dense.part is None else np.concatenate((dense.part, none))[chosen],
    )


def _visible(points: Points, normals: Points, ray: Float64[np.ndarray, "3"]) -> Bool[np.ndarray, " N"]:
    """Return which samples a scanner sees that a ray points to: facing it, and not behind nearer ones."""
    facing = normals @ ray
    side = np.cross(ray, (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    plane = np.stack((points @ side, points @ np.cross(side, ray)), 1)
    cell = 7.0 / np.sqrt(len(points))
    bins: Int64[np.ndarray, "N 2"] = np.floor((plane - plane.min(0)) / cell).astype(np.int64)
    key = bins[:, 0] * (bins[:, 1].max() + 1) + bins[:, 1]
    depth = points @ ray
    nearest = np.full(int(key.max()) + 1, -np.inf)
    np.maximum.at(nearest, key, depth)
    slope = np.sqrt(np.maximum(1.0 - facing**2, 0.0)) / np.maximum(facing, GRAZING)
    return (facing > GRAZING) & (depth >= nearest[key] - cell * (0.5 + 1.2 * slope))


def _missing(points: Points, rng: Rng) -> Bool[np.ndarray, " N"]:
    """Up to three balls around random points, and on some scans all beyond a plane."""
    gone = np.zeros(len(points), dtype=bool)
    for center in points[rng.integers(len(points), size=int(rng.integers(0, 4)))]:
        offset = points - center
        gone |= np.einsum("nd,nd->n", offset, offset) < rng.uniform(0.1, 0.28) ** 2
    if chance(rng, 0.35):
        direction = rng.normal(size=3)
        height = points @ (direction / np.linalg.norm(direction))
        gone |= height > np.quantile(height, rng.uniform(0.7, 0.9))
    return gone


def _clutter(points: Points, count: int, rng: Rng) -> Samples:
    """Samples and normals of a patch of floor and of a rounded neighbor, either of which may be absent."""
    base = float(points[:, 1].min())
    solids, normals = [np.zeros((0, 3))], [np.zeros((0, 3))]
    if chance(rng, 0.6):
        amount = int(count * rng.uniform(0.1, 0.6))
        spread = rng.uniform(0.25, 0.9) * np.sqrt(rng.random(amount))
        angle = rng.uniform(0.0, 2 * np.pi, amount)
        offset = rng.uniform(-0.4, 0.4, 2)
        x, z = spread * np.cos(angle) + offset[0], spread * np.sin(angle) + offset[1]
        solids.append(np.stack((x, np.full(amount, base - 0.005), z), 1))
        normals.append(np.tile((0.0, 1.0, 0.0), (amount, 1)))
    if chance(rng, 0.5):
        amount = int(count * rng.uniform(0.1, 0.5))
        size, azimuth = rng.uniform(0.1, 0.3, 3), rng.uniform(0.0, 2 * np.pi)
        away = np.array((np.cos(azimuth), 0.0, np.sin(azimuth)))
        outward = rng.normal(size=(amount, 3))
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        center = (np.quantile(points @ away, 0.95) + 0.2) * away + (0.0, base + size[1], 0.0)
        solids.append(center + outward * size)
        tilted = outward / size
        normals.append(tilted / np.linalg.norm(tilted, axis=1, keepdims=True))
    return np.concatenate(solids), np.concatenate(normals)

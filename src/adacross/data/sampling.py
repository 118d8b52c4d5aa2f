"""Points from surfaces, and the frame they are kept in."""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud
from adacross.errors import UserError

# Rows are where the new x, y, z come from. Proper rotations, so nothing is mirrored.
_TO_Y_UP: dict[str, tuple[tuple[int, int, int], ...]] = {
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
}


def spread(count: int, most: int) -> Int64[np.ndarray, " m"]:
    """Choose at most `most` of `count` positions: one at random of each of as many equal stretches."""
    edges = np.arange(min(count, most) + 1) * count // max(min(count, most), 1)
    return np.random.default_rng(0).integers(edges[:-1], edges[1:])


def face_areas(mesh: Mesh) -> Float64[np.ndarray, " F"]:
    """Return the area `(F,)` of each triangle, in the mesh's unit squared."""
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.linalg.norm(cross, axis=1) / 2


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> PointCloud:
    """Sample points (float64) uniformly over a mesh's area, with their faces' unit normals, colors and parts.

    Triangles are drawn by area; within one the point is uniform through the square root of one of its two
    barycentric draws (Osada et al., Shape Distributions, 2002, eq. 1). BrokenShapeError without any area.
    """
    areas = face_areas(mesh)
    cumulative = np.cumsum(areas)
    total = float(cumulative[-1]) if len(cumulative) else 0.0
    if not (np.isfinite(total) and total > 0):
        raise BrokenShapeError("no face has an area (every triangle is degenerate)")
    chosen = np.searchsorted(cumulative, rng.random(count) * total, side="right")
    # Rounding may carry a draw past the last face that has an area.
    chosen = np.minimum(chosen, np.flatnonzero(areas)[-1])
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces[chosen]], 1, 0)
    root, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    points = (1 - root) * a + root * (1 - along) * b + root * along * c
    normals = np.cross(b - a, c - a) / (2 * areas[chosen])[:, None]
    return PointCloud(
        points=points,
        normals=normals.astype(np.float32),
        colors=None if mesh.face_colors is None else mesh.face_colors[chosen],
        part=None if mesh.face_parts is None else mesh.face_parts[chosen],
        part_names=mesh.part_names,
    )


def sample_points(shape: Mesh | PointCloud, count: int, seed: int = 0) -> Float32[np.ndarray, "count 3"]:
    """Sample points of a shape and bring them into the unit sphere: centroid 0, largest norm 1.

    The shape is not turned: its axes stay those of its file.

    Args:
        shape: a mesh, on whose surface points are drawn uniformly by area; or a cloud, whose points are
            drawn without replacement. Of a cloud that has fewer all are taken once, and then some repeated.
        count: number of points.
        seed: of the draw.

    Returns:
        Points `(count, 3)`.

    Raises:
        UserError: a mesh without an area, a cloud whose points coincide, or a `count` below 1.

    Example:
        >>> triangle = Mesh(np.eye(3), np.array([[0, 1, 2]]))
        >>> points = sample_points(triangle, 100)
        >>> points.shape, round(float(np.linalg.norm(points, axis=1).max()), 5)
        ((100, 3), 1.0)
    """
    if count < 1:
        raise UserError(f"count is {count}; expected at least 1 point.")
    rng = np.random.default_rng(seed)
    try:
        if isinstance(shape, Mesh):
            return unit_sphere(sample_surface(shape, count, rng).points)[0]
        return unit_sphere(shape.points[draw_rows(len(shape.points), count, rng)])[0]
    except BrokenShapeError as error:
        raise UserError(f"no points can be sampled of the shape: {error}.") from None


def draw_rows(there: int, count: int, rng: np.random.Generator) -> Int64[np.ndarray, " count"]:
    """Draw `count` of the `there` rows of a cloud; where there are fewer, all of them and some again."""
    if there == 0:
        raise BrokenShapeError("there is no point in it")
    rows = rng.permutation(there)[:count]
    return np.concatenate([rows, rng.integers(0, there, count - len(rows))])


def unit_sphere(
    points: Float[np.ndarray, "N 3"],
) -> tuple[Float32[np.ndarray, "N 3"], Float64[np.ndarray, "3"], float]:
    """Move the centroid to 0 and scale the largest norm to 1.

    Returns the new points, the old centroid `(3,)` and the scale: `points = new * scale + center`. Raises
    BrokenShapeError if a coordinate is not finite, or all points coincide.
    """
    if len(points) == 0 or not np.isfinite(points).all():
        raise BrokenShapeError("a point is not finite (NaN or infinite coordinates)")
    exact = points.astype(np.float64)
    center = exact.mean(0)
    centered = exact - center
    scale = float(np.linalg.norm(centered, axis=1).max())
    # Far from the origin float32 leaves only rounding noise; that is no shape either.
    if not scale > 1e-12 * max(1.0, float(np.abs(exact).max())):
        raise BrokenShapeError("all points coincide")
    if not max(scale, float(np.abs(center).max())) < np.finfo(np.float32).max:  # a collection keeps float32
        raise BrokenShapeError("coordinates are beyond 3e38")
    return (centered / scale).astype(np.float32), center, scale


def to_y_up(points: Float[np.ndarray, "N 3"], up: Axis) -> Float[np.ndarray, "N 3"]:
    """Rotate `(N, 3)` points or normals so that the axis `up` becomes y: z up `(x, y, z)` -> `(x, z, -y)`."""
    if up == "y":
        return points
    return points @ np.array(_TO_Y_UP[up], dtype=points.dtype).T


def stratified(labels: Int64[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """Choose at most `most` positions, ascending, each class in proportion to its size.

    A fixed draw, whatever the order of the shapes; those without a class (-1) are a class, too. Only with
    more classes than `most` are classes left out.
    """
    rng = np.random.default_rng(0)
    share = np.empty(len(labels))  # of its class that is chosen before a shape
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        share[members] = np.arange(len(members)) / len(members)
    order = np.lexsort((rng.permutation(len(labels)), share))
    return np.sort(order[:most])

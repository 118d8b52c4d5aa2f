"""Normals of bare points."""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64


def local_frames(
    points: Float[np.ndarray, "N 3"], k: int
) -> tuple[Float64[np.ndarray, "N 3"], Float64[np.ndarray, "N 3 3"], Int64[np.ndarray, "N k2"]]:
    """Principal axes of each point's `k` nearest neighbours, the point itself included.

    Returns:
        variances `(N, 3)`, ascending; axes `(N, 3, 3)`, `[:, :, i]` belongs to variance i, so `[:, :, 0]` is
        the normal; neighbours `(N, min(k, N))`, nearest first.
    """
    from scipy.spatial import cKDTree

    points = points.astype(np.float64)
    _, neighbors = cKDTree(points).query(points, k=np.arange(1, min(k, len(points)) + 1))
    near = points[neighbors]
    near = near - near.mean(1, keepdims=True)
    variances, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near) / near.shape[1])
    return variances.clip(0), axes, neighbors


def estimate_normals(points: Float[np.ndarray, "N 3"], k: int = 16) -> Float32[np.ndarray, "N 3"]:
    """Return unit normals `(N, 3)` of points on a surface, signs agreeing between neighbours.

    The direction of least variance among the `k` nearest neighbours; signs spread along a minimum spanning
    tree of the neighbour graph from each connected piece's outermost point, which faces outwards (Hoppe et
    al., SIGGRAPH 1992). On thin or open surfaces the sign is a guess; the direction is not.

    Args:
        points: `(N, 3)`, N >= 1; duplicates and collinear points are fine.
        k: neighbours, the point itself included; fewer points than `k` use all.
    """
    _, axes, neighbors = local_frames(points, k)
    return orient(points.astype(np.float64), axes[:, :, 0], neighbors).astype(np.float32)


def orient(
    points: Float64[np.ndarray, "N 3"],
    normals: Float64[np.ndarray, "N 3"],
    neighbors: Int64[np.ndarray, "N k"],
) -> Float64[np.ndarray, "N 3"]:
    """Flip normals so that they agree along the neighbour graph's minimum spanning tree."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    count = len(points)
    rows, columns = np.repeat(np.arange(count), neighbors.shape[1]), neighbors.ravel()
    cosine = np.einsum("nd,nd->n", normals[rows], normals[columns])
    # the 1e-6 keeps edges between parallel normals: a stored zero means "no edge" to scipy
    graph = coo_matrix((1 - np.abs(cosine) + 1e-6, (rows, columns)), shape=(count, count)).tocsr()
    tree = minimum_spanning_tree(graph.maximum(graph.T))
    pieces, piece = connected_components(tree, directed=False)
    outward = points - points.mean(0)
    radius = np.linalg.norm(outward, axis=1)
    signs = np.ones(count)
    for index in range(pieces):
        members = np.flatnonzero(piece == index)
        root = members[radius[members].argmax()]
        order, parent = breadth_first_order(tree, root, directed=False)
        signs[root] = 1.0 if normals[root] @ outward[root] >= 0 else -1.0
        for node in order[1:]:
            agrees = normals[node] @ normals[parent[node]] >= 0
            signs[node] = signs[parent[node]] if agrees else -signs[parent[node]]
    return normals * signs[:, None]

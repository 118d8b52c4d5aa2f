"""Distances from points to a surface: exact to the triangles near them, not to sampled points."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

from adacross.data.sampling import face_areas, sample_surface
from adacross.data.shape import Mesh, PointCloud
from adacross.duplicates.signature import Points, moments
from adacross.duplicates.triangles import Triangles

SPARSE = 1024  # points that are compared with another surface


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh, or a cloud whose points stand for small discs, in the frame of its principal axes.

    The centroid is 0, the root of the mean squared distance from it 1, variances ascend from x to z.

    Attributes:
        variances: along the axes.
        probes: `(SPARSE, 3)` points on it, which stand for it when it is compared with another.
        whole: the surface that others are measured against.
    """

    variances: Float64[np.ndarray, "3"]
    probes: Points
    whole: "Triangles | Discs"

    @classmethod
    def of(cls, shape: Mesh | PointCloud) -> "Surface":
        """Bring a shape into its frame."""
        center, size, second, *_ = moments(shape)
        variances, axes = np.linalg.eigh(second)
        axes[:, 0] *= np.sign(np.linalg.det(axes))
        rng = np.random.default_rng(0)
        if isinstance(shape, Mesh):
            shape = replace(shape, vertices=(shape.vertices - center) / size @ axes)
            probes = sample_surface(shape, SPARSE, rng).points.astype(np.float64)
            return cls(variances, probes, Triangles.of(shape.vertices[shape.faces][face_areas(shape) > 0]))
        points = (shape.points.astype(np.float64) - center) / size @ axes
        return cls(variances, points[rng.permutation(len(points))[:SPARSE]], Discs.of(points))

    def closest(self, points: Points) -> tuple[Points, Float64[np.ndarray, " n"]]:
        """Return the nearest points of the surface `(n, 3)` and their distances `(n,)`."""
        return self.whole.closest(points)


@dataclass(frozen=True, eq=False)
class Discs:
    """Points of a cloud, each on a plane through its neighbors: what lies between them counts as surface."""

    tree: cKDTree
    normals: Points

    @classmethod
    def of(cls, points: Points) -> "Discs":
        """Fit the planes."""
        tree = cKDTree(points)
        _, near = tree.query(points, k=np.arange(1, min(12, len(points)) + 1))
        local = points[near] - points[near].mean(1, keepdims=True)
        return cls(tree, np.linalg.eigh(np.einsum("nki,nkj->nij", local, local))[1][:, :, 0])

    def closest(self, points: Points) -> tuple[Points, Float64[np.ndarray, " n"]]:
        """Return the nearest points of the nearest discs' planes, and the distances."""
        _, near = self.tree.query(points)
        normals = self.normals[near]
        along = np.einsum("nd,nd->n", points - self.tree.data[near], normals)
        return points - along[:, None] * normals, np.abs(along)

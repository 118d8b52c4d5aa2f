"""Distances from points to a surface: exact to the triangles near them, not to sampled points."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

from adacross.data.formats.invariants import Points, frame
from adacross.data.sampling import face_areas, sample_surface
from adacross.data.shape import Mesh, PointCloud
from adacross.duplicates.triangles import Triangles

SPARSE = 1024  # points that are compared with another surface


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh, or a cloud whose points stand for small discs, in the frame of its principal axes.

    The centroid is 0, the root of the mean squared distance from it 1, variances ascend from x to z.
    """

    variances: Float64[np.ndarray, "3"]  # along the axes
    probes: Points  # at most `SPARSE` points on it, which stand for it when it is compared with another
    whole: "Triangles | Discs"  # that others are measured against

    @classmethod
    def of(cls, shape: Mesh | PointCloud) -> "Surface":
        """Bring a shape into its frame."""
        center, size, second = frame(shape)
        variances, axes = np.linalg.eigh(second)
        axes[:, 0] *= np.sign(np.linalg.det(axes))
        rng = np.random.default_rng(0)
        if isinstance(shape, Mesh):
            shape = replace(shape, vertices=(shape.vertices - center) / size @ axes)
            probes = sample_surface(shape, SPARSE, rng).points.astype(np.float64)
            return cls(variances, probes, Triangles.of(shape.vertices[shape.faces][face_areas(shape) > 0]))
        points = (shape.points.astype(np.float64) - center) / size @ axes
        return cls(variances, points[rng.permutation(len(points))[:SPARSE]], Discs.of(points))

    def closest(self, points: Points) -> tuple[Points, Float64[np.ndarray, " n"], Points]:
        """Return the nearest points of the surface `(n, 3)`, their distances `(n,)` and normals `(n, 3)`."""
        return self.whole.closest(points)


@dataclass(frozen=True, eq=False)
class Discs:
    """Points of a cloud, each a disc through its neighbors: what lies between them counts as surface."""

    tree: cKDTree
    normals: Points
    radii: Float64[np.ndarray, " n"]

    @classmethod
    def of(cls, points: Points) -> "Discs":
        """Fit the discs."""
        tree = cKDTree(points)
        distance, near = tree.query(points, k=np.arange(1, min(12, len(points)) + 1))
        local = points[near] - points[near].mean(1, keepdims=True)
        normals = np.linalg.eigh(np.einsum("nki,nkj->nij", local, local))[1][:, :, 0]
        return cls(tree, normals, distance[:, -1])

    def closest(self, points: Points) -> tuple[Points, Float64[np.ndarray, " n"], Points]:
        """Return the nearest points of the nearest points' discs, the distances and the normals."""
        _, near = self.tree.query(points)
        normals, offset = self.normals[near], points - self.tree.data[near]
        flat = offset - np.einsum("nd,nd->n", offset, normals)[:, None] * normals
        length = np.linalg.norm(flat, axis=1)
        inside = np.minimum(1.0, self.radii[near] / np.maximum(length, 1e-300))[:, None]
        return points - offset + inside * flat, np.linalg.norm(offset - inside * flat, axis=1), normals

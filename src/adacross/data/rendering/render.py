"""Shaded pictures of meshes and of point clouds, without GPU, window system or system libraries."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, UInt8

from adacross.data.rendering.camera import Camera, orbit
from adacross.data.rendering.shading import BACKGROUND, GREY, lights_of
from adacross.data.rendering.splats import ball_splats, surface_splats
from adacross.data.shape import Mesh, PointCloud
from adacross.errors import UserError
from adacross.version import kernels_usable

__all__ = ["load_kernels", "orbit", "render_cloud", "render_mesh"]


def load_kernels() -> None:
    """Load the machine code that draws, or compile it: later drawings need no memory for that."""
    if kernels_usable():
        corners = np.eye(3) / 2
        render_mesh(Mesh(corners, np.array([[0, 1, 2]])), orbit(1), 1)
        render_cloud(PointCloud(np.concatenate([corners, -corners])), orbit(1), 1)


def render_mesh(mesh: Mesh, cameras: Sequence[Camera], size: int) -> UInt8[np.ndarray, "V size size 3"]:
    """Draw a mesh from each camera: flat shading, its own face colors or light gray, white background.

    The mesh is inside the unit sphere, as `orbit`'s cameras expect it; both sides of a face are drawn. An
    image depends on its own camera only, and its pixels are means of 2 x 2 samples.
    """
    images = _blank(cameras, size)
    if len(mesh.faces) == 0 or len(cameras) == 0:
        return images
    if not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
        raise IndexError(
            f"faces name vertices {mesh.faces.min()} to {mesh.faces.max()} of {len(mesh.vertices)}"
        )
    vertices, faces = np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces)
    scene = *_seen_by(cameras, size), vertices, faces, _colors(mesh.face_colors, len(faces)), images
    if kernels_usable():
        from adacross.data.rendering import raster

        raster.draw_faces.over(len(cameras), *scene)
    else:
        from adacross.data.rendering import plain

        plain.draw_faces(*scene)
    return images


def render_cloud(
    cloud: PointCloud, cameras: Sequence[Camera], size: int, ball: float | None = None
) -> UInt8[np.ndarray, "V size size 3"]:
    """Draw a cloud from each camera, as `render_mesh`: shaded by normal and depth, white background.

    Uses the cloud's normals and colors where it has them; otherwise normals are estimated and the color is
    light gray. The sign of a normal does not matter. 1,024 points fill most surfaces. With `ball` points are
    balls of that radius, evenly lit, with nothing between them.
    """
    images = _blank(cameras, size)
    if ball is not None and ball <= 0:
        raise UserError(f"points are to be balls of radius {ball}; it must be above 0.")
    placed = np.isfinite(cloud.points).all(1)
    if not placed.any() or len(cameras) == 0:
        return images
    cloud = cloud if placed.all() else cloud[np.flatnonzero(placed)]
    compiled = kernels_usable()
    splats = surface_splats(cloud, compiled) if ball is None else ball_splats(cloud, ball)
    projections, lights = _seen_by(cameras, size)
    orders = np.argsort(projections[:, 2, :3] @ splats.centers.T, axis=1)
    colors, closed = _colors(cloud.colors, len(cloud.points)), ball is None
    if compiled:
        from adacross.data.rendering import raster

        raster.draw_splats.over(len(cameras), projections, lights, orders, *splats, colors, closed, images)
    else:
        from adacross.data.rendering import plain

        plain.draw_splats(projections, lights, orders, splats, colors, closed, images)
    return images


def _blank(cameras: Sequence[Camera], size: int) -> UInt8[np.ndarray, "V size size 3"]:
    if size < 1:
        raise UserError(f"the picture size is {size} pixels; it must be at least 1.")
    return np.full((len(cameras), size, size, 3), BACKGROUND, dtype=np.uint8)


def _seen_by(
    cameras: Sequence[Camera], size: int
) -> tuple[Float64[np.ndarray, "V 3 4"], Float64[np.ndarray, "V 3 3"]]:
    """Return the projections of cameras onto the samples of images, and their lights."""
    projections = [camera.projection(2 * size) for camera in cameras]
    return np.stack(projections), np.stack([lights_of(camera) for camera in cameras])


def _colors(given: UInt8[np.ndarray, "N 3"] | None, count: int) -> UInt8[np.ndarray, "N 3"]:
    return np.full((count, 3), GREY, np.uint8) if given is None else np.ascontiguousarray(given)

"""Shaded pictures of meshes, without GPU, window system or system libraries."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int, UInt8

from adacross.data.camera import Camera, orbit
from adacross.data.shading import BACKGROUND, mean_of, shade, to_bytes
from adacross.data.shape import Mesh
from adacross.data.splat import render_cloud
from adacross.errors import UserError, one_of

__all__ = ["Backend", "orbit", "render_cloud", "render_mesh"]

Backend = Literal["auto", "embree", "zbuffer"]
# (camera, size, flat pixel indices or None for all) -> the face each pixel sees, -1 for none
Visibility = Callable[[Camera, int, "np.ndarray | None"], Int[np.ndarray, " P"]]

FINE = 128  # up to this size every pixel is refined
SAMPLES = 2  # along each side of a pixel that is refined
CONTRAST = 20  # neighbours that differ by more, in 0..255, are refined


def render_mesh(
    mesh: Mesh, cameras: Sequence[Camera], size: int, backend: Backend = "auto"
) -> UInt8[np.ndarray, "V size size 3"]:
    """Draw a mesh from each camera: flat shading, its own face colours or light grey, white background.

    A pixel is the mean of 2 x 2 samples: every pixel of a picture up to 128 x 128, in larger pictures those
    that differ visibly from a neighbour.

    Args:
        mesh: inside the unit sphere, as `orbit`'s cameras expect it.
        cameras: the viewpoints; each picture depends on its own camera only.
        size: pixels along each side.
        backend: "embree" (ray casting), "zbuffer" (plain torch, a few times slower, works everywhere) or
            "auto": embree where it is installed. They agree apart from single pixels on edges.

    Returns:
        `(V, size, size, 3)` RGB.

    Raises:
        UserError: unknown backend, embree asked for but not installed, or `size` below 1.
    """
    if size < 1:
        raise UserError(f"the picture size is {size} pixels; it must be at least 1.")
    visible = _visibility(mesh, backend)
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    pictures = np.empty((len(cameras), size, size, 3), dtype=np.uint8)
    for picture, camera in zip(pictures, cameras, strict=True):
        # one colour a face, and white at the end: that is where face -1 (nothing hit) points to
        palette = np.full((len(mesh.faces) + 1, 3), BACKGROUND, dtype=np.uint8)
        palette[:-1] = to_bytes(shade(mesh.face_colors, normals, corners[:, 0], camera))
        edges = np.ones((size, size), dtype=bool)
        if size > FINE:  # in a small picture a thin arm may hide between the pixel centres
            picture[:] = palette.take(visible(camera, size, None), axis=0).reshape(size, size, 3)
            edges = _edges(picture)
        _refine(picture, edges, palette, visible, camera)
    return pictures


def _edges(picture: UInt8[np.ndarray, "size size 3"]) -> Bool[np.ndarray, "size size"]:
    """Pixels that differ from a neighbour."""
    level = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.int16)
    edges = np.zeros(picture.shape[:2], dtype=bool)
    across = (np.abs(level[:, :, 1:] - level[:, :, :-1]) > CONTRAST).any(0)
    down = (np.abs(level[:, 1:] - level[:, :-1]) > CONTRAST).any(0)
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def _refine(
    picture: UInt8[np.ndarray, "size size 3"],
    chosen: Bool[np.ndarray, "size size"],
    palette: UInt8[np.ndarray, "F1 3"],
    visible: Visibility,
    camera: Camera,
) -> None:
    """Replace the chosen pixels by the mean of 2 x 2 samples, in place."""
    fine = len(picture) * SAMPLES
    rows, columns = np.nonzero(chosen)
    offset = np.arange(SAMPLES)
    fine_rows = (rows * SAMPLES)[:, None, None] + offset[:, None]
    pixels = fine_rows * fine + (columns * SAMPLES)[:, None, None] + offset
    samples = palette.take(visible(camera, fine, pixels.ravel()), axis=0).astype(np.float32)
    picture[rows, columns] = to_bytes(mean_of([samples[k :: SAMPLES**2] for k in range(SAMPLES**2)]))


def _visibility(mesh: Mesh, backend: str) -> Visibility:
    one_of("render backend", backend, ("auto", "embree", "zbuffer"))
    installed = find_spec("embreex") is not None
    if backend == "embree" and not installed:
        raise UserError(
            "the render backend 'embree' needs embreex, which is not installed. Run `pip install embreex`, "
            "or choose 'zbuffer', which needs nothing."
        )
    if len(mesh.faces) == 0:
        return lambda camera, size, pixels: np.full(size * size if pixels is None else len(pixels), -1)
    if installed and backend != "zbuffer":
        return _embree(mesh)
    from adacross.data.zbuffer import visible_faces  # brings torch, which embree does not need

    return partial(visible_faces, mesh)


def _embree(mesh: Mesh) -> Visibility:
    """Build the ray caster's tree once; every view of the mesh uses it."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene: Any = EmbreeScene()
    TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))

    def visible(camera: Camera, size: int, pixels: np.ndarray | None) -> Int[np.ndarray, " P"]:
        rays = camera.rays(size, pixels)
        origins = np.empty_like(rays)
        origins[:] = camera.position
        faces: Int[np.ndarray, " P"] = scene.run(origins, rays)
        return faces

    return visible

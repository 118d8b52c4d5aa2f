"""Shaded pictures of meshes, without GPU, window system or system libraries."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt8

from adacross.data.rendering.camera import Camera, orbit
from adacross.data.rendering.shading import BACKGROUND, mean_of, shade, to_bytes
from adacross.data.rendering.splat import render_cloud
from adacross.data.rendering.zbuffer import visible_faces
from adacross.data.shape import Mesh
from adacross.errors import UserError, one_of

__all__ = ["Backend", "orbit", "render_cloud", "render_mesh"]

Backend = Literal["auto", "embree", "zbuffer"]
# (camera, size, flat pixel indices) -> the face each pixel sees, -1 for none
Visibility = Callable[[Camera, int, np.ndarray], Int[np.ndarray, " P"]]

FINE = 128  # up to this size every pixel is refined
SAMPLES = 2  # along each side of a pixel that is refined
CONTRAST = 20  # neighbors that differ by more, in 0..255, are refined


def render_mesh(
    mesh: Mesh, cameras: Sequence[Camera], size: int, backend: Backend = "auto"
) -> UInt8[np.ndarray, "V size size 3"]:
    """Draw a mesh from each camera: flat shading, its own face colors or light gray, white background.

    A pixel is the mean of 2 x 2 samples: every pixel of an image up to 128 x 128, in larger images those that
    differ visibly from a neighbor.

    Args:
        mesh: inside the unit sphere, as `orbit`'s cameras expect it.
        cameras: the viewpoints; each image depends on its own camera only.
        size: pixels along each side.
        backend: "embree" (ray casting), "zbuffer" (plain NumPy, about as fast up to 20,000 faces, works
            everywhere) or "auto": embree where it is installed. They agree apart from single pixels on edges.
    """
    if size < 1:
        raise UserError(f"the picture size is {size} pixels; it must be at least 1.")
    visible = _visibility(mesh, backend)
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    normals, places = normals.astype(np.float32), corners[:, 0].astype(np.float32)
    pictures = np.full((len(cameras), size, size, 3), BACKGROUND, dtype=np.uint8)
    for picture, camera in zip(pictures, cameras, strict=True):
        # one color a face, and white at the end: that is where face -1 (nothing hit) points to
        palette = np.full((len(mesh.faces) + 1, 3), BACKGROUND, dtype=np.uint8)
        palette[:-1] = to_bytes(shade(mesh.face_colors, normals, places, camera))
        pixels = camera.surroundings(mesh.vertices, size)
        if size > FINE:  # in a small picture a thin arm may hide between the pixel centers
            picture.reshape(-1, 3)[pixels] = palette.take(visible(camera, size, pixels), axis=0)
            pixels = np.flatnonzero(_edges(picture))
        _refine(picture, pixels, palette, visible, camera)
    return pictures


def _edges(picture: UInt8[np.ndarray, "size size 3"]) -> Bool[np.ndarray, "size size"]:
    """Return the pixels that differ visibly from a neighbor in any channel."""
    beside = (picture[:, :-1], picture[:, 1:]), (picture[:-1], picture[1:])
    far = [np.maximum(one, other) - np.minimum(one, other) > CONTRAST for one, other in beside]
    across, down = (channels[..., 0] | channels[..., 1] | channels[..., 2] for channels in far)
    edges = np.pad(across, ((0, 0), (1, 0))) | np.pad(across, ((0, 0), (0, 1)))
    return edges | np.pad(down, ((1, 0), (0, 0))) | np.pad(down, ((0, 1), (0, 0)))


def _refine(
    picture: UInt8[np.ndarray, "size size 3"],
    pixels: Int64[np.ndarray, " P"],
    palette: UInt8[np.ndarray, "F1 3"],
    visible: Visibility,
    camera: Camera,
) -> None:
    """Replace the chosen pixels by the mean of 2 x 2 samples, in place."""
    size, fine = len(picture), len(picture) * SAMPLES
    rows, columns = np.divmod(pixels, size)
    first = rows * (SAMPLES * fine) + columns * SAMPLES
    offsets = (np.arange(SAMPLES)[:, None] * fine + np.arange(SAMPLES)).ravel()
    samples = palette.take(visible(camera, fine, (first[:, None] + offsets).ravel()), axis=0)
    samples = samples.astype(np.float32)
    mean = mean_of([samples[k :: SAMPLES**2] for k in range(SAMPLES**2)])
    picture.reshape(-1, 3)[pixels] = to_bytes(mean)


def _visibility(mesh: Mesh, backend: str) -> Visibility:
    one_of("render backend", backend, ("auto", "embree", "zbuffer"))
    installed = find_spec("embreex") is not None
    if backend == "embree" and not installed:
        raise UserError(
            "the render backend 'embree' needs embreex, which is not installed. Run `pip install embreex`, "
            "or choose 'zbuffer', which needs nothing."
        )
    if len(mesh.faces) == 0:
        return lambda camera, size, pixels: np.full(len(pixels), -1)
    if installed and backend != "zbuffer":
        return _embree(mesh)
    return partial(visible_faces, mesh)


def _embree(mesh: Mesh) -> Visibility:
    """Build the ray caster's tree once; every view of the mesh uses it."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene: Any = EmbreeScene()
    TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))

    def visible(camera: Camera, size: int, pixels: np.ndarray) -> Int[np.ndarray, " P"]:
        rays = camera.rays(size, pixels)
        origins = np.empty_like(rays)
        origins[:] = camera.position
        faces: Int[np.ndarray, " P"] = scene.run(origins, rays)
        return faces

    return visible

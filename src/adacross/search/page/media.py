"""Files that the browser loads of a shape: its thumbnail, its mesh, and its source."""

from contextlib import closing
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from adacross.data.collection.collection import Collection
from adacross.data.formats import FILES, format_of
from adacross.data.formats.base import SampleRef
from adacross.data.formats.files import file_ref
from adacross.data.isolated import TIMEOUT
from adacross.data.rendering.notebook import cloud_image, png
from adacross.data.sampling import to_y_up
from adacross.data.shape import BrokenShapeError
from adacross.data.workers.local import Request, WorkerCrash, each, shortage

THUMBNAIL = 224  # pixels
MOST_TRIANGLES = 400_000  # of a mesh that is sent to a browser: 20 MB
_WHITE = 250  # of 255: what is darker belongs to the shape
_TRIANGLE = np.dtype(
    [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
)  # of binary STL


def thumbnail(collection: Collection, i: int) -> bytes:
    """Return as PNG the stored view that shows most of a shape; its rendered points if none is stored."""
    if not collection.info.views:
        return png(cloud_image(collection.points(np.array([i]))[0], THUMBNAIL))
    views = collection.views(i)
    shown = (views < _WHITE).any(axis=-1).sum(axis=(1, 2))
    image = Image.fromarray(views[int(shown.argmax())])
    return png(np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)))


@lru_cache(maxsize=8)
def mesh(file: Path) -> bytes | None:
    """Return a file's mesh as binary STL, z up, in the unit sphere.

    None if the file holds none, cannot be read, or has more than `MOST_TRIANGLES`. A process of its own
    reads it.
    """
    request: Request = {"item": asdict(file_ref(file, None))}
    with closing(each(f"{__name__}:serve_mesh", [request], 1, TIMEOUT)) as answers:
        _, answer = next(answers)
    return None if isinstance(answer, WorkerCrash) else answer or None


def serve_mesh(request: Request) -> bytes:
    """Read a mesh as STL; empty if there is none. Runs in a worker process."""
    item = SampleRef(**request["item"])
    try:
        mesh = format_of(FILES).sample(item, 2048, np.random.default_rng(0)).mesh
    except BrokenShapeError as error:
        if shortage(error):
            raise
        return b""
    if mesh is None or len(mesh.faces) > MOST_TRIANGLES:
        return b""
    return stl(to_y_up(mesh.vertices, item.up or "y")[mesh.faces])


def stl(triangles: Float[np.ndarray, "f 3 3"]) -> bytes:
    """Return triangles of a y-up shape as binary STL, z up, in the unit sphere."""
    corners = triangles.reshape(-1, 3)
    middle = (corners.min(0) + corners.max(0)) / 2
    placed = (triangles - middle) / max(float(np.linalg.norm(corners - middle, axis=1).max()), 1e-30)
    rows = np.zeros(len(placed), _TRIANGLE)
    rows["corners"] = placed[..., [0, 2, 1]] * np.array((1, -1, 1))
    first, second, third = rows["corners"].transpose(1, 0, 2)
    normals = np.cross(second - first, third - first)
    rows["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return bytes(80) + np.uint32(len(rows)).tobytes() + rows.tobytes()

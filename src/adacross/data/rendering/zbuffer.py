"""The triangle that each pixel sees, in plain NumPy: for machines where embreex has no wheel."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64

from adacross.data.rendering.camera import Camera
from adacross.data.shape import Mesh

BLOCK = 4  # pixels along each side of what is worked on together
BLOCKS = 250_000  # held at a time, about 400 bytes each
LAST_FACE = 0xFFFFFFFF  # faces are counted down from here, so that of two at one depth the first wins
TOUCH = 2e-4  # pixels: a center this close is on a triangle, so that none slips through between two
BESIDE = 1e-9  # depth, below which projecting says nothing

Box = Int[np.ndarray, "4 F"]  # left, top, one past right, one past bottom
Table = Int[np.ndarray, "size1 size1"]
Planes = Float32[np.ndarray, "3 4 F"]
IntArray = Int[np.ndarray, " P"]


def visible_faces(
    mesh: Mesh, camera: Camera, size: int, pixels: Int64[np.ndarray, " P"] | None = None
) -> Int64[np.ndarray, " P"]:
    """Return the first face behind each of some pixels, row * size + column (None for all), -1 for none.

    What a ray caster finds, by homogeneous rasterization (Olano and Greer, 1997): a triangle's three edge
    functions are linear in the pixel even where a vertex lies behind the camera, so nothing is clipped. Each
    triangle's box is cut into blocks of 4 x 4 pixels, and one pixel of all blocks is looked at at a time.
    """
    corners = np.ascontiguousarray(camera.homogeneous(mesh.vertices, size).T)
    faces = np.ascontiguousarray(mesh.faces.T)
    box = _boxes(corners, faces, size)
    pixels = np.arange(size * size) if pixels is None else pixels
    wanted = np.zeros((size, size), dtype=np.int32)
    wanted.ravel()[pixels] = 1  # and their number above and left of each corner of a pixel
    table = np.pad(wanted.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))
    touched = np.flatnonzero((box[0] < box[2]) & (box[1] < box[3]) & _wanted(table, box))
    box = box.take(touched, axis=1)
    stride = size + BLOCK  # a block may hang over the border
    nearest = np.zeros(stride * stride, dtype=np.int64)
    parts = np.flatnonzero(np.diff(_blocks(box).prod(0).cumsum() // BLOCKS)) + 1
    for part in np.split(np.arange(len(touched)), parts) if len(touched) else ():
        some, places = touched[part], box.take(part, axis=1)
        planes = _planes(corners.take(faces.take(some, axis=1), axis=1), places)
        _draw(LAST_FACE - some, planes, places, table, nearest.reshape(stride, stride))
    found = nearest.take(pixels + BLOCK * (pixels // size))
    return np.where(found == 0, -1, LAST_FACE - (found & LAST_FACE))


def _boxes(corners: Float64[np.ndarray, "3 V"], faces: Int64[np.ndarray, "3 F"], size: int) -> Box:
    """Return the pixels each triangle can touch: the whole image if it reaches behind the camera."""
    x, y, w = corners
    box = np.empty((4, faces.shape[1]), dtype=np.int32)
    for axis, place in enumerate((x, y)):
        a, b, c = (place / np.maximum(w, BESIDE)).clip(-1, size).take(faces)
        box[axis] = np.ceil(np.minimum(np.minimum(a, b), c) - TOUCH).clip(0)
        box[axis + 2] = np.floor(np.maximum(np.maximum(a, b), c) + TOUCH).clip(None, size - 1) + 1
    if len(w) and w.min() <= BESIDE:
        box[:, (w <= BESIDE).take(faces).any(0)] = np.array([[0], [0], [size], [size]])
    return box


def _wanted(table: Table, box: Box) -> Bool[np.ndarray, " F"]:
    """Return whether each box holds a wanted pixel."""
    left, top, right, bottom = box
    above, below = table.take(np.stack([top, bottom])[:, None] * len(table) + np.stack([left, right]))
    return below[1] - above[1] > below[0] - above[0]


def _planes(corners: Float64[np.ndarray, "3 3 F"], box: Box) -> Planes:
    """Return inverse depth and edges as `(3, 4, F)`: value at the box's first pixel, slopes along x and y."""
    a, b, c = corners.transpose(1, 0, 2)
    edges = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1)
    volume = (a * edges[:, 0]).sum(0)
    planes = np.empty((3, 4, len(volume)), dtype=np.float32)
    with np.errstate(all="ignore"):  # seen from the side: not a finite number, and never drawn
        depth = edges.sum(1) / volume
        edges *= np.copysign(1, volume) / (np.abs(edges[0]) + np.abs(edges[1]))
        for plane, (along, down, constant) in zip(
            planes.transpose(1, 0, 2), (depth, *edges.transpose(1, 0, 2)), strict=True
        ):
            plane[:] = along * box[0] + down * box[1] + constant, along, down
    return planes


def _cross(p: Float64[np.ndarray, "3 F"], q: Float64[np.ndarray, "3 F"]) -> Float64[np.ndarray, "3 F"]:
    """Cross products, several times faster than numpy's for vectors that lie in columns."""
    return np.stack([p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]])


def _draw(
    keys: Int64[np.ndarray, " F"], planes: Planes, box: Box, table: Table, nearest: Int64[np.ndarray, "S S"]
) -> None:
    """Raise `nearest`, the depth key, in place wherever a triangle lies in front of what is there."""
    stride = len(nearest)
    sound = np.isfinite(planes).all((0, 1))  # not what is seen from its side
    if not sound.all():
        keys, planes, box = keys[sound], planes[:, :, sound], box[:, sound]
    owner, x, y = _cut(box, table, stride - BLOCK)
    if owner is not None:
        left, top = box[0].take(owner), box[1].take(owner)
        keys, planes = keys.take(owner), planes.take(owner, axis=2)
        planes[0] += (x - left) * planes[1] + (y - top) * planes[2]
    value, along, down = planes
    reach = (BLOCK - 1) * (np.maximum(along[1:], 0) + np.maximum(down[1:], 0))
    met = np.flatnonzero((value[1:] + reach).min(0) >= -TOUCH)
    value, along, down = (term.take(met, axis=1) for term in (value, along, down))
    keys, place = keys.take(met), (y * stride + x).take(met)
    for row in range(BLOCK):
        depth, *edges = value + row * down
        for column in range(BLOCK):
            hit = np.flatnonzero(np.minimum(np.minimum(edges[0], edges[1]), edges[2]) >= -TOUCH)
            inverse = np.maximum(depth.take(hit) + column * along[0].take(hit), 0)
            # as float32 its bits order like integers: one maximum finds the face
            found = inverse.view(np.int32).astype(np.int64) << 32 | keys.take(hit)
            np.maximum.at(nearest.ravel(), place.take(hit) + (row * stride + column), found)
            edges = [edge + slope for edge, slope in zip(edges, along[1:], strict=True)]


def _cut(box: Box, table: Table, size: int) -> tuple[IntArray | None, IntArray, IntArray]:
    """Cut boxes into blocks: owner, first column and row of each; no owner if they are the triangles' own."""
    across, down = _blocks(box)
    counts = across * down
    if counts.max(initial=0) <= 1:
        return None, box[0], box[1]
    owner = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(owner)) - np.repeat(counts.cumsum() - counts, counts)
    row, column = np.divmod(step, across.take(owner))
    x, y = box[0].take(owner) + BLOCK * column, box[1].take(owner) + BLOCK * row
    held = np.flatnonzero(_wanted(table, np.stack([x, y, *np.minimum([x + BLOCK, y + BLOCK], size)])))
    return owner.take(held), x.take(held), y.take(held)


def _blocks(box: Box) -> Int[np.ndarray, "2 F"]:
    """Return the number of blocks that cover each box, along x and y."""
    return -(-(box[2:] - box[:2]) // BLOCK)

"""Which triangle each pixel sees, in plain torch: for machines where embreex has no wheel."""

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from adacross.data.camera import Camera
from adacross.data.shape import Mesh

PAIRS = 4_000_000  # (triangle, pixel) pairs held at a time, about 100 bytes each
LAST_FACE = 0xFFFFFFFF  # faces are counted down from here, so that of two at one depth the first wins


def visible_faces(
    mesh: Mesh, camera: Camera, size: int, pixels: Int64[np.ndarray, " P"] | None = None
) -> Int64[np.ndarray, " P"]:
    """Return the first face behind each pixel centre of a `size` x `size` picture, -1 for none.

    Exactly what a ray caster finds, by homogeneous rasterisation (Olano and Greer, 1997): a triangle's three
    edge functions are linear in the pixel even where a vertex lies behind the camera, so nothing is ever
    clipped. Row by row they bound one run of pixels, and only covered pixels are looked at.

    Args:
        mesh: what is seen.
        camera: who looks.
        size: pixels along each side.
        pixels: flat indices (row * size + column) of the wanted pixels; None for all, row by row.
    """
    corners = torch.from_numpy(camera.homogeneous(mesh.vertices, size)[mesh.faces])
    edges = torch.linalg.cross(corners[:, [1, 2, 0]], corners[:, [2, 0, 1]])
    volume = (corners[:, 0] * edges[:, 0]).sum(1)
    box = _boxes(corners, size)
    cost = (box[:, 2:] - box[:, :2]).clamp(min=0).prod(1)
    faces = torch.nonzero((volume != 0) & (cost > 0) & _wanted(box, size, pixels)).flatten()
    nearest = torch.full((size, size), -1, dtype=torch.int64)
    if len(faces) > 0:
        edges = edges * volume.sign()[:, None, None]
        chunk = cost[faces].cumsum(0) // PAIRS
        for part in faces.split(torch.unique_consecutive(chunk, return_counts=True)[1].tolist()):
            shape = edges[part].permute(1, 2, 0).contiguous()
            _draw(part, shape, volume[part].abs(), box[part], nearest)
    found = torch.where(nearest < 0, -1, LAST_FACE - (nearest & LAST_FACE)).view(-1).numpy()
    return found if pixels is None else found[pixels]


def _wanted(
    box: Int64[Tensor, "F 4"], size: int, pixels: Int64[np.ndarray, " P"] | None
) -> Bool[Tensor, " F"]:
    """Which triangles' boxes hold a wanted pixel, by a summed-area table."""
    if pixels is None:
        return torch.ones(len(box), dtype=torch.bool)
    wanted = torch.zeros(size * size, dtype=torch.int32)
    wanted[torch.from_numpy(pixels)] = 1
    table = torch.zeros(size + 1, size + 1, dtype=torch.int32)
    table[1:, 1:] = wanted.view(size, size).cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32)
    left, top, right, bottom = box.T
    return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left] > 0


def _boxes(corners: Float64[Tensor, "F 3 3"], size: int) -> Int64[Tensor, "F 4"]:
    """Left, top, right, bottom (the latter two one past the end) of the pixels each triangle can touch.

    A triangle that reaches behind the camera may touch the whole picture.
    """
    depth = corners[..., 2:]
    flat = corners[..., :2] / depth.clamp(min=1e-9)
    box = torch.cat([flat.amin(1).ceil(), flat.amax(1).floor() + 1], 1).clamp(0, size)
    whole = torch.tensor([0, 0, size, size], dtype=box.dtype)
    return torch.where((depth <= 1e-9).any(1), whole, box).long()


def _draw(
    faces: Int64[Tensor, " f"],
    edges: Float64[Tensor, "3 3 f"],
    volume: Float64[Tensor, " f"],
    box: Int64[Tensor, "f 4"],
    nearest: Int64[Tensor, "size size"],
) -> None:
    """Raise `nearest`, the depth key, in place wherever one of `faces` lies in front of what is there."""
    left, top, right, bottom = box.T
    owner, step = _expand(bottom - top)
    row = top[owner] + step
    first, last = left[owner].double(), right[owner].double() - 1
    slope_sum, rest_sum = torch.zeros_like(first), torch.zeros_like(first)
    for x, y, constant in edges:
        # inside is slope * column + rest >= 0: a lower bound where the slope is positive, else an upper one
        slope, rest = x[owner], y[owner] * row + constant[owner]
        root = -rest / slope
        first = torch.where(slope > 0, torch.maximum(first, root), first)
        last = torch.where(slope < 0, torch.minimum(last, root), last)
        last = torch.where((slope == 0) & (rest < 0), -1.0, last)
        slope_sum += slope
        rest_sum += rest
    begin = first.clamp(max=len(nearest)).ceil().long()  # a bound may be astronomical on a sliver
    run, step = _expand((last.clamp(min=-1).floor().long() - begin + 1).clamp(min=0))
    # 1 / depth is linear in the column; as float32 its bits order like integers: one maximum finds the face
    scale = 1 / volume[owner]
    inverse = (rest_sum + slope_sum * begin) * scale
    inverse = (inverse[run] + (slope_sum * scale)[run] * step).clamp(min=0).float()
    key = (inverse.view(torch.int32).long() << 32) | (LAST_FACE - faces[owner])[run]
    nearest.view(-1).scatter_reduce_(0, (row * len(nearest) + begin)[run] + step, key, "amax")


def _expand(counts: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Owner and position of every item, owner i having `counts[i]`: [2, 0, 1] -> [0, 0, 2], [0, 1, 0]."""
    owner = torch.repeat_interleave(counts)
    return owner, torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner]

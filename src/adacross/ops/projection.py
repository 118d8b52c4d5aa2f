"""Depth maps of point clouds: parallel projection along an axis, the same again for further points.

Provenance. The geometry (cell size, densifying, centering, cyclic views) and the reduction "released" are
those of I2P-MAE's released code (Zhang et al. 2022, arXiv 2212.06785), known to us by description. It comes
from the group of Joint-MAE (Guo et al. 2023, arXiv 2302.14007), whose own code was not released. Our
substitute: which way a map is turned, "nearest" and "mean" over background 0, and soft splatting.

A map has side S. Of a view's three coordinates the first grows to the right, the second upwards, the third
towards the viewer, where a map is brighter. With y up, view 0 (x, y, z) shows an object upright from +z,
view 1 (z, x, y) from above, view 2 (y, z, x) from +x and lying on its side.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adacross.errors import UserError, one_of

Reduction = Literal["nearest", "mean", "released"]
Splat = Literal["hard", "soft"]

VIEWS = ((0, 1, 2), (2, 0, 1), (1, 2, 0))  # which coordinates go right, up and to the viewer
MARGIN = 3  # a cloud's longer side measures S - MARGIN cells
MOST_RADIUS = 16  # pixels of a map around a point's own: (2 r + 1)^2 numbers a point
FARTHEST = 0.2  # value of the farthest point; the nearest has 1, the background 0
OPACITY = 4.0  # soft: a point right in a pixel's middle covers 1 - exp(-OPACITY) of it
SHARPNESS = 20.0  # soft "nearest": a value higher by 1 / SHARPNESS counts e times as much
_TINY = 1e-6  # soft: weight below which a pixel counts as empty


@dataclass(frozen=True, eq=False)
class Projection:
    """Projection of B clouds to maps, made by `fit_projection`; lays further points the same way."""

    order: Int64[Tensor, "B 3"]  # which coordinates go right, up and to the viewer
    # where the map's first cell and the depth range begin, in that order of coordinates
    low: Float[Tensor, "B 3"]
    cell: Float[Tensor, " B"]  # side of a cell, in the points' unit: g of the recipe
    depth: Float[Tensor, " B"]  # length of the depth range: the cloud's own, at least one cell
    # cells added to the right and upwards to center the cloud, the recipe's +1 included
    offset: Int64[Tensor, "B 2"]
    size: int  # S, pixels along each side

    def cells(self, points: Float[Tensor, "B M 3"]) -> Int64[Tensor, "B M 2"]:
        """Return row and column of the pixel that each point falls on, `(B, M, 2)`; no gradient.

        Rows count from the top, columns from the left, both 0..S-1. Points beyond the map are clamped to its
        border, however far they are (the released code moves them by one cell and asserts that it was
        enough).
        """
        with torch.no_grad():
            cell, _, _ = _locate(points, self)
            right, up = cell.clamp(0, self.size - 1).unbind(2)
            return torch.stack([self.size - 1 - up, right], 2)

    def patches(self, points: Float[Tensor, "B M 3"], patch: int = 16) -> Int64[Tensor, "B M"]:
        """Return the index of the patch that each point falls on, in the order of `patchify`: `(B, M)`."""
        along = _patches_along(self.size, patch)
        row, column = (self.cells(points) // patch).unbind(2)
        return row * along + column


def fit_projection(points: Float[Tensor, "B N 3"], view: Int64[Tensor, " B"], size: int = 224) -> Projection:
    """Choose cells and offsets so that each cloud, seen along its view, fills its map and is centered.

    Steps 1, 2, 4 and 7 of the released recipe: the view takes the coordinates in cyclic order; a cell's side
    is g = max(range_right, range_up) / (S - 3); a point falls on the cell floor((p - min) / g); per axis
    S/2 - floor((max + min) / 2) - 1 is added, max and min over the cells written to: those of the points,
    shifted by 1 and densified by 2 on either side. Half precision is computed in float32; no gradient flows.

    A cloud without extent across the view falls on one pixel in the middle. Its cells have the size its
    extent in depth would give, or 1 if it is a single point.

    Args:
        points: `(B, N, 3)`, any unit; N at least 1.
        view: `(B,)` 0, 1 or 2 for each cloud: (x, y, z), (z, x, y) or (y, z, x).
        size: S, pixels along each side, 4 or more; 224 as released.

    Raises:
        UserError: `size` below 4, or a view other than 0, 1 and 2.
    """
    if size <= MARGIN:
        raise UserError(f"a depth map of side {size} has no room for a cloud; give at least {MARGIN + 1}.")
    if ((view < 0) | (view >= len(VIEWS))).any():
        raise UserError(
            f"views go from {int(view.min())} to {int(view.max())}; expected 0 (drops z), 1 (y) and 2 (x)."
        )
    with torch.no_grad():
        order = torch.tensor(VIEWS, device=points.device)[view]
        seen = _reorder(points.to(torch.promote_types(points.dtype, torch.float32)), order)
        low = seen.amin(1)
        extent = seen.amax(1) - low
        side = extent[:, :2].amax(1)
        tiny = torch.finfo(side.dtype).tiny * size
        side = torch.where(side < tiny, extent[:, 2], side)
        cell = torch.where(side < tiny, 1.0, side / (size - MARGIN))
        last = (extent[:, :2] / cell[:, None]).floor().long()
        offset = size // 2 - (last + 2) // 2  # step 4's -1 and the shift by +1 cancel
        depth = torch.maximum(extent[:, 2], cell)
        low[:, 2] -= (depth - extent[:, 2]) / 2  # a flat cloud lies in the middle of its range
        return Projection(order, low, cell, depth, offset, size)


def depth_map(
    points: Float[Tensor, "B M 3"],
    projection: Projection,
    reduction: Reduction = "nearest",
    splat: Splat = "hard",
    radius: int = 2,
) -> Float[Tensor, "B 1 S S"]:
    """Draw clouds as depth maps with a given projection, their own or another's.

    Every point writes to the (2 radius + 1)^2 pixels around its own. "nearest" and "mean" [ours] draw the
    value v = 0.2 + 0.8 t, t from 0 to 1 along the depth range stored in the projection and clamped to it.

    | reduction | hard | soft |
    |---|---|---|
    | "nearest" | v of the point nearest to the viewer | mean as below, nearer points weigh far more |
    | "mean" | mean of v | mean of v weighted by closeness, times coverage |
    | "released" | sigmoid of the sum of depths, empty 0.5, as I2P-MAE | refused |

    Hard: gradient flows to the points through depth only; through positions across the view it is exactly 0.
    With "nearest" points not seen get none, equal ones share it. What falls beyond the border is clamped to
    it: the recipe's step 5, however far.

    Soft: gradient flows through depth and through position. At a distance (dx, dy) of the pixel's middle from
    the point's exact place the weight is w = (1 - (dx/R)^2)^2 (1 - (dy/R)^2)^2 with R = radius + 1/2. It ends
    at 0 with slope 0 where the block ends: nothing jumps when a point moves to the next cell. A pixel shows

        sum(w k v) / (sum(w k) + 1e-6) * (1 - exp(-4 sum(w))),

    with k = 1 for "mean" and exp(20 (v - 0.2)) for "nearest", and 0 where nothing was written. What falls
    beyond the border is not drawn.

    Half precision is computed in float32. A depth outside the stored range has no gradient, except in
    "released", which draws the coordinate itself.

    Args:
        points: `(B, M, 3)`: those the projection was fitted to, or others in the same unit.
        projection: of B clouds.
        reduction: what a pixel shows of several points.
        splat: "hard" writes alike to all pixels of the block, "soft" by distance.
        radius: pixels on each side, 0 or more; 2 as released.

    Returns:
        `(B, 1, S, S)` within 0..1, row 0 on top, in float32 or wider; the same each time on the CPU. The
        released code repeats it to three channels and applies ImageNet's mean and deviation.

    Raises:
        UserError: an unknown reduction or splat, "released" with soft splatting, or a radius out of range.
    """
    check_drawing(reduction, splat, radius)
    cell, fraction, depth = _locate(points, projection)
    steps = torch.arange(-radius, radius + 1, device=points.device)
    block = cell[..., None] + steps
    pixels = _pixels(block.clamp(0, projection.size - 1), projection.size)
    if reduction == "released":
        return _sums(depth[..., None].expand(pixels.shape), pixels, projection.size).sigmoid()
    share = (depth - projection.low[:, None, 2]) / projection.depth[:, None]
    value = FARTHEST + (1 - FARTHEST) * share.clamp(0, 1)
    if splat == "hard":
        return _hard(value[..., None].expand(pixels.shape), pixels, projection.size, reduction)
    away = (fraction[..., None] - 0.5 - steps) / (radius + 0.5)
    side = (1 - away.square()).square() * ((block >= 0) & (block < projection.size))
    weight = (side[:, :, 1, :, None] * side[:, :, 0, None, :]).flatten(2)  # row by row of the block
    return _soft(value[..., None], weight, pixels, projection.size, reduction)


def check_drawing(reduction: str, splat: str, radius: int) -> None:
    """Refuse what `depth_map` cannot draw."""
    one_of("reduction", reduction, get_args(Reduction))
    one_of("splat", splat, get_args(Splat))
    if not 0 <= radius <= MOST_RADIUS:
        raise UserError(
            f"the radius is {radius} pixels; give 0 (the point's own pixel only) to {MOST_RADIUS}."
        )
    if reduction == "released" and splat == "soft":
        raise UserError(
            "the reduction 'released' is an exact recipe with hard splatting; "
            "choose 'nearest' or 'mean' for soft splatting, or splat 'hard'."
        )


def patchify(maps: Float[Tensor, "B 1 S S"], patch: int = 16) -> Float[Tensor, "B P area"]:
    """Cut maps into square patches: `(B, 1, S, S)` gives `(B, (S / patch)^2, patch^2)`, row by row."""
    along = _patches_along(maps.shape[3], patch)
    tiles = maps.reshape(len(maps), along, patch, along, patch).transpose(2, 3)
    return tiles.flatten(3).flatten(1, 2)


def unpatchify(patches: Float[Tensor, "B P area"]) -> Float[Tensor, "B 1 S S"]:
    """Put the patches of `patchify` together again: `(B, P, area)` gives `(B, 1, S, S)`, S^2 = P * area."""
    B, P, area = patches.shape
    along, patch = math.isqrt(P), math.isqrt(area)
    if along**2 != P or patch**2 != area:
        raise UserError(
            f"{P} patches of {area} pixels do not make a square map; both must be square numbers."
        )
    rows = patches.reshape(B, along, along, patch, patch).transpose(2, 3)
    return rows.reshape(B, 1, along * patch, along * patch)


def _patches_along(size: int, patch: int) -> int:
    """Return how many patches a map has along its side."""
    if patch < 1 or size % patch:
        raise UserError(
            f"patches of {patch} pixels do not tile a map of side {size}; choose a side that {patch} divides."
        )
    return size // patch


def _reorder(points: Float[Tensor, "B M 3"], order: Int64[Tensor, "B 3"]) -> Float[Tensor, "B M 3"]:
    """Coordinates in the order right, up, to the viewer."""
    return points.gather(2, order[:, None].expand(points.shape))


def _locate(
    points: Float[Tensor, "B M 3"], projection: Projection
) -> tuple[Int64[Tensor, "B M 2"], Float[Tensor, "B M 2"], Float[Tensor, "B M"]]:
    """Return each point's cell to the right and upwards, not clamped, its place in the cell, its depth."""
    seen = _reorder(points.to(torch.promote_types(points.dtype, projection.low.dtype)), projection.order)
    place = (seen[..., :2] - projection.low[:, None, :2]) / projection.cell[:, None, None]
    place = place.clamp(-2 * projection.size, 2 * projection.size)  # beyond any map, yet an integer
    corner = place.detach().floor()
    return corner.long() + projection.offset[:, None], place - corner, seen[..., 2]


def _pixels(block: Int64[Tensor, "B M 2 K"], size: int) -> Int64[Tensor, "B M KK"]:
    """Indices into the flattened map of each block's pixels, row by row; row 0 is the highest cell."""
    right, up = block.unbind(2)
    return ((size - 1 - up)[..., None] * size + right[..., None, :]).flatten(2)


def _sums(
    values: Float[Tensor, "B M KK"], pixels: Int64[Tensor, "B M KK"], size: int
) -> Float[Tensor, "B 1 S S"]:
    """Return the sum of what the points write to each pixel."""
    empty = values.new_zeros(len(values), size * size)
    return empty.scatter_add(1, pixels.flatten(1), values.flatten(1)).view(-1, 1, size, size)


def _hard(
    values: Float[Tensor, "B M KK"], pixels: Int64[Tensor, "B M KK"], size: int, reduction: Reduction
) -> Float[Tensor, "B 1 S S"]:
    """The greatest or the mean value on each pixel, 0 where there is none."""
    if reduction == "mean":
        return _sums(values, pixels, size) / _sums(torch.ones_like(values), pixels, size).clamp_min(1)
    empty = values.new_zeros(len(values), size * size)
    return empty.scatter_reduce(1, pixels.flatten(1), values.flatten(1), "amax").view(-1, 1, size, size)


def _soft(
    values: Float[Tensor, "B M 1"],
    weights: Float[Tensor, "B M KK"],
    pixels: Int64[Tensor, "B M KK"],
    size: int,
    reduction: Reduction,
) -> Float[Tensor, "B 1 S S"]:
    """The weighted mean value on each pixel times how much of it is covered."""
    total = _sums(weights, pixels, size)
    coverage = -torch.expm1(-OPACITY * total)
    if reduction == "nearest":
        weights = weights * (SHARPNESS * (values - FARTHEST)).exp()
        total = _sums(weights, pixels, size)
    return _sums(weights * values, pixels, size) / (total + _TINY) * coverage

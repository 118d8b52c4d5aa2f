"""Held-out shapes completed by a masked method: the input, its visible part, and the completion."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Generator, Tensor

from adacross.data.transforms import unit_sphere
from adacross.encoders.frozen import frozen
from adacross.errors import UserError
from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.model import MaskedPairs
from adacross.nn.point_tokens import TokenGroups
from adacross.ops.projection import VIEWS, patchify, unpatchify


@dataclass(frozen=True, eq=False)
class CompletedMap:
    """A depth map of side S, masked and completed; values 0 (nothing) to 1 (nearest)."""

    view: int  # the side it is seen from, an index into `adacross.ops.projection.VIEWS`
    given: Float32[np.ndarray, "S S"]  # the true map
    visible: Bool[np.ndarray, "S S"]  # which pixels are in visible patches
    # the true pixels where visible, the predicted ones, clamped to 0..1, where hidden
    completed: Float32[np.ndarray, "S S"]
    # drawn from the completed cloud, as the term `cross` compares it
    redrawn: Float32[np.ndarray, "S S"]


@dataclass(frozen=True, eq=False)
class CompletedShape:
    """A shape, masked and completed."""

    points: Float32[np.ndarray, "N 3"]  # the cloud, in the unit sphere, not augmented
    visible: Bool[np.ndarray, " N"]  # which points are in a visible group of the finest level
    # `(M, 3)` the visible points, then the points predicted for each hidden group of the level that the
    # method reconstructs, where they lie
    completed: Float32[np.ndarray, "M 3"]
    predicted: Bool[np.ndarray, " M"]  # which of those are predicted
    groups: Bool[np.ndarray, " G"]  # which of the coarsest groups are visible
    depth: CompletedMap | None  # the depth map; None for a method that has none


def complete_shapes(
    method: JointMAE | PointM2AEMethod, clouds: Float32[np.ndarray, "n N 3"], seed: int = 0
) -> list[CompletedShape]:
    """Mask shapes as in pre-training, but without its augmentation, and let a method complete them.

    The method is in eval mode meanwhile and gets no gradient; it is left as it was. Everything is computed in
    one batch, on the method's device.

    Args:
        method: trained.
        clouds: `(n, N, 3)` as stored; the first `method.points` of each are used.
        seed: of the masks and, where the method draws them, the sides of the depth maps.

    Raises:
        UserError: no shape, or clouds of fewer points than the encoder has groups.
    """
    if not len(clouds):
        raise UserError("there is no shape to complete; give at least one cloud.")
    device = next(method.parameters()).device
    points = unit_sphere(torch.as_tensor(clouds[:, : method.points], device=device))
    generator = Generator(device).manual_seed(seed)
    with frozen(method):
        maps: list[CompletedMap | None] = [None] * len(points)
        if isinstance(method, JointMAE):
            pairs = method.masked(points, generator)
            levels, visible, decoded = method.complete(pairs)
            offsets, level = decoded.offsets, method.level
            maps[:] = _maps(pairs, decoded.patches, method.redraw(pairs, levels, visible, offsets))
        else:
            levels, visible, offsets = method.complete(method.masked(points, generator))
            level = 1
        placed = levels[level].centers[:, :, None] + offsets
        seen = _visible_points(levels[0], visible[0], points.shape[1])
        parts = [tensor.numpy(force=True) for tensor in (points, seen, placed, ~visible[level], visible[2])]
    return [_shape(*part) for part in zip(*parts, maps, strict=True)]


def _shape(
    points: Float32[np.ndarray, "N 3"],
    visible: Bool[np.ndarray, " N"],
    placed: Float32[np.ndarray, "H m 3"],
    hidden: Bool[np.ndarray, " H"],
    groups: Bool[np.ndarray, " G"],
    depth: CompletedMap | None,
) -> CompletedShape:
    """Put the points predicted for hidden groups beside the visible ones."""
    known, made = points[visible], placed[hidden].reshape(-1, 3)
    predicted = np.arange(len(known) + len(made)) >= len(known)
    return CompletedShape(points, visible, np.concatenate([known, made]), predicted, groups, depth)


def _visible_points(finest: TokenGroups, visible: Bool[Tensor, "B G"], count: int) -> Bool[Tensor, "B N"]:
    """Which of `count` points are members of a visible group."""
    members = torch.where(visible[:, :, None], finest.neighbors, count).flatten(1)
    marks = torch.zeros(len(visible), count + 1, dtype=torch.bool, device=visible.device)
    return marks.scatter_(1, members, True)[:, :count]


def _maps(
    pairs: MaskedPairs, patches: Float[Tensor, "B P area"], redrawn: Float[Tensor, "B 1 S S"]
) -> list[CompletedMap]:
    """Put predicted patches beside the visible ones, for each shape."""
    shown = pairs.visible_patches[:, :, None]
    completed = unpatchify(torch.where(shown, patchify(pairs.depth), patches.clamp(0, 1)))
    visible = unpatchify(shown.expand(patches.shape).float()) > 0
    views = [VIEWS.index((right, up, near)) for right, up, near in pairs.projection.order.tolist()]
    parts = [maps[:, 0].numpy(force=True) for maps in (pairs.depth, visible, completed, redrawn)]
    return [CompletedMap(*part) for part in zip(views, *parts, strict=True)]

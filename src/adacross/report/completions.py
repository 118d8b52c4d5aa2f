"""Held-out shapes completed by a masked method: the input, its visible part, and the completion."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Generator, Tensor

from adacross.data.collection.collection import Collection
from adacross.data.transforms import unit_sphere
from adacross.encoders.frozen import frozen
from adacross.errors import UserError
from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.depth_tokens import PATCH
from adacross.methods.joint_mae.model import MaskedPairs
from adacross.nn.point_tokens import TokenGroups
from adacross.ops.projection import VIEWS, patchify, unpatchify
from adacross.report.names import MASKED
from adacross.report.page import Section, missing, section
from adacross.report.run import RunData
from adacross.report.shapes import (
    GIVEN,
    IMAGE,
    PREDICTED,
    SIDE,
    Color,
    ball,
    class_of,
    draw_cloud,
    varied,
    webp,
)
from adacross.training.networks import load_method

_SIDES = ("the front", "above", "the side, lying down")  # in the order of `VIEWS`
# Depth 0 (nothing there) and from the farthest, 0.2, to the nearest; lightness rises all the way.
NOTHING: Color = (24, 25, 30)
DEPTHS: tuple[tuple[float, Color], ...] = (
    (0.0, NOTHING), (0.2, (52, 56, 150)), (0.45, (38, 132, 142)), (0.7, (94, 182, 92)), (1.0, (253, 220, 70)),
)  # fmt: skip
HIDDEN: tuple[Color, Color] = (226, 226, 222), (198, 198, 194)  # ground and stripes of what is not shown
STRIPE, PERIOD = 3, 10  # pixels along a row


@dataclass(frozen=True, eq=False)
class CompletedMap:
    """A depth map of side S, masked and completed; values 0 (nothing) to 1 (nearest)."""

    view: int  # the side it is seen from, an index into `adacross.ops.projection.VIEWS`
    given: Float32[np.ndarray, "S S"]
    visible: Bool[np.ndarray, "S S"]  # pixels in visible patches
    completed: Float32[np.ndarray, "S S"]  # predicted, clamped to 0..1, where it is not visible
    redrawn: Float32[np.ndarray, "S S"]  # from the completed cloud, as the term `cross` compares it


@dataclass(frozen=True, eq=False)
class CompletedShape:
    """A shape, masked and completed."""

    points: Float32[np.ndarray, "N 3"]  # the cloud, in the unit sphere, not augmented
    visible: Bool[np.ndarray, " N"]  # points in a visible group of the finest level
    completed: Float32[np.ndarray, "M 3"]  # visible points, then those predicted for each hidden group
    predicted: Bool[np.ndarray, " M"]  # which of those are predicted
    groups: Bool[np.ndarray, " G"]  # which of the coarsest groups are visible
    depth: CompletedMap | None  # None for a method without depth maps


def completions(run: RunData) -> Section | None:
    """Return a row for each of six shapes: input, visible part, completion. None if nothing is masked."""
    if run.method not in MASKED:
        return None
    title, collection = "Masked reconstruction", run.collection
    if collection is None:
        return missing("completed", title, run.absent.get("collection", "The collection is unknown."))
    split, chosen = varied(collection, run.seed)
    if not len(chosen):
        return missing("completed", title, "The collection holds no shapes.")
    try:
        method, _ = load_method(run.folder)
        if not isinstance(method, JointMAE | PointM2AEMethod):
            raise UserError(f"{run.folder} was trained with {type(method).__name__}, which does not mask.")
        made = complete_shapes(method, collection.points(chosen), run.seed)
    except UserError as error:
        reason = f"The method cannot be read: {error}"
        return missing("completed", title, reason, run.train("--resume", "auto"))
    first, area = made[0], PATCH * PATCH  # of each shape the same number is hidden
    depth = first.depth
    return section(
        "completed",
        title,
        shapes=[_drawn(collection, int(index), one) for index, one in zip(chosen, made, strict=True)],
        split=split,
        seed=run.seed,
        groups=(int((~first.groups).sum()), len(first.groups)),
        patches=(int((~depth.visible).sum()) // area, depth.visible.size // area) if depth else None,
        visible=sorted(float(one.visible.mean()) for one in made),
        colors={"given": GIVEN, "predicted": PREDICTED, "ground": HIDDEN[0], "stripe": HIDDEN[1]},
        depths=[color for _, color in DEPTHS],
    )


def _drawn(collection: Collection, index: int, shape: CompletedShape) -> dict[str, Any]:
    """Return the names of a shape, its share of visible points, and its images as WebP."""
    return {
        "id": collection.ids[index],
        "class_name": class_of(collection, index),
        "visible": float(shape.visible.mean()),
        "clouds": [webp(image, IMAGE) for image in draw_clouds(shape)],
        "maps": [webp(image, IMAGE) for image in draw_maps(shape.depth)] if shape.depth else [],
        "view": _SIDES[shape.depth.view] if shape.depth else "",
    }


def complete_shapes(
    method: JointMAE | PointM2AEMethod, clouds: Float32[np.ndarray, "n N 3"], seed: int = 0
) -> list[CompletedShape]:
    """Mask shapes as in pre-training, but without its augmentation, and let a method complete them.

    The first `method.points` points of each are used, in one batch, on the method's device. The seed is of
    the masks and, where the method draws them, of the sides of the depth maps.

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
    completed = []
    for cloud, shown, offered, hidden, groups, depth in zip(*parts, maps, strict=True):
        known, made = cloud[shown], offered[hidden].reshape(-1, 3)
        predicted = np.repeat([False, True], [len(known), len(made)])
        both = np.concatenate([known, made])
        completed.append(CompletedShape(cloud, shown, both, predicted, groups, depth))
    return completed


def _visible_points(finest: TokenGroups, visible: Bool[Tensor, "B G"], count: int) -> Bool[Tensor, "B N"]:
    """Return which of `count` points are members of a visible group."""
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


def draw_clouds(shape: CompletedShape) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Return the cloud, its visible points and the completed cloud, seen by one camera."""
    size, given = ball(len(shape.points)), np.zeros(len(shape.points), dtype=np.int64)
    colors = np.array([GIVEN, PREDICTED])
    return [
        draw_cloud(shape.points, colors[given], size),
        draw_cloud(shape.points[shape.visible], colors[given[shape.visible]], size),
        draw_cloud(shape.completed, colors[shape.predicted.astype(int)], size),
    ]


def draw_maps(depth: CompletedMap) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Return the map, its visible patches, the completed and the redrawn map, each `SIDE` wide or wider."""
    times = max(1, -(-SIDE // len(depth.given)))
    images = [
        np.kron(depth_colors(values), np.ones((times, times, 1), dtype=np.uint8))
        for values in (depth.given, depth.given, depth.completed, depth.redrawn)
    ]
    hide(images[1], ~np.kron(depth.visible, np.ones((times, times), dtype=bool)))
    return images


def depth_colors(values: Float32[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return depths, 0 to 1, as colors from dark to light."""
    stops, colors = zip(*DEPTHS, strict=True)
    channels = [np.interp(values, stops, channel) for channel in zip(*colors, strict=True)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def hide(image: UInt8[np.ndarray, "H W 3"], hidden: Bool[np.ndarray, "H W"]) -> None:
    """Cover pixels with light stripes, which no depth looks like, in place."""
    rows, columns = np.nonzero(hidden)
    image[rows, columns] = np.array(HIDDEN, dtype=np.uint8)[((rows + columns) % PERIOD < STRIPE).astype(int)]

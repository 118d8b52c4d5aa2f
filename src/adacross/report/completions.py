"""Masked shapes completed by a run's method, as images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.reconstruction import CompletedShape, complete_shapes
from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.depth_tokens import PATCH
from adacross.report.drawing import draw_clouds, draw_maps, webp
from adacross.report.inputs import Completion, Completions
from adacross.training.networks import load_method

IMAGE = 160  # pixels


def completions(
    folder: Path, collection: Collection, split: str, chosen: Int64[np.ndarray, " n"], seed: int
) -> Completions | None:
    """Let the run's method complete the chosen shapes.

    Args:
        folder: a run of a method that masks.
        collection: where the shapes are.
        split: which split they are of, for the page.
        chosen: their indices.
        seed: of the masks, and of the sides that depth maps are seen from.

    Returns:
        What it made of them; None if there are no shapes.

    Raises:
        UserError: the run is not finished, its files are damaged, or the clouds are too small for it.
    """
    method, _ = load_method(folder)
    if not isinstance(method, JointMAE | PointM2AEMethod):
        raise UserError(f"{folder} was trained with {type(method).__name__}, which does not mask.")
    if not len(chosen):
        return None
    made = complete_shapes(method, collection.points(chosen), seed)
    shapes = tuple(_drawn(collection, int(index), shape) for index, shape in zip(chosen, made, strict=True))
    first = made[0]  # of each the same number is hidden
    groups = int((~first.groups).sum()), len(first.groups)
    patches = None
    if first.depth:
        area = PATCH * PATCH
        patches = int((~first.depth.visible).sum()) // area, first.depth.visible.size // area
    return Completions(shapes, split, seed, groups, patches)


def _drawn(collection: Collection, index: int, shape: CompletedShape) -> Completion:
    label = int(collection.labels[index])
    given, visible, completed = _files(draw_clouds(shape))
    return Completion(
        id=collection.ids[index],
        class_name=collection.info.classes[label] if label >= 0 else None,
        clouds=(given, visible, completed),
        visible=float(shape.visible.mean()),
        maps=_files(draw_maps(shape.depth)) if shape.depth else (),
        view=shape.depth.view if shape.depth else None,
    )


def _files(images: Sequence[UInt8[np.ndarray, "S S 3"]]) -> tuple[bytes, ...]:
    return tuple(webp(image, IMAGE) for image in images)

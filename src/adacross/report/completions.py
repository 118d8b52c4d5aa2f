"""Masked shapes and their completion by a run's method."""

from typing import Any

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.reconstruction import CompletedShape, complete_shapes
from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.depth_tokens import PATCH
from adacross.report.drawing import DEPTHS, GIVEN, HIDDEN, PREDICTED, draw_clouds, draw_maps, webp
from adacross.report.names import MASKED
from adacross.report.page import Section, missing, section
from adacross.report.run import RunData
from adacross.report.shapes import IMAGE, class_of, varied
from adacross.training.networks import load_method

VIEWS = ("the front", "above", "the side, lying down")  # of adacross.ops.projection.VIEWS


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
        "view": VIEWS[shape.depth.view] if shape.depth else "",
    }

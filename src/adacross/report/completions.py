"""Masked shapes and their completion by a run's method."""

from collections.abc import Sequence
from dataclasses import dataclass

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.reconstruction import CompletedShape, complete_shapes
from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.depth_tokens import PATCH
from adacross.report.drawing import DEPTHS, GIVEN, HIDDEN, PREDICTED, Color, draw_clouds, draw_maps, webp
from adacross.report.names import MASKED
from adacross.report.page import Section, missing, section
from adacross.report.run import RunData
from adacross.report.shapes import IMAGE, class_of, varied
from adacross.training.networks import load_method

VIEWS = ("the front", "above", "the side, lying down")  # of adacross.ops.projection.VIEWS


@dataclass(frozen=True)
class Completion:
    """A shape that a method masked and completed; images are WebP.

    Attributes:
        id: of the shape.
        class_name: None without a label.
        visible: share of the points that are visible.
        clouds: caption, description and image of the cloud, its visible points, and the completed cloud.
        maps: the same of the depth map, its visible patches, the completed map, and the map drawn from the
            completed cloud; empty for a method that has none.
        view: the side that the map is seen from.
    """

    id: str
    class_name: str | None
    visible: float
    clouds: list[tuple[str, str, bytes]]
    maps: list[tuple[str, str, bytes]]
    view: str


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
    shapes = [_drawn(collection, int(index), one) for index, one in zip(chosen, made, strict=True)]
    first, area = made[0], PATCH * PATCH  # of each shape the same number is hidden
    patches = (
        (int((~first.depth.visible).sum()) // area, first.depth.visible.size // area) if first.depth else None
    )
    return section(
        "completed",
        title,
        shapes=shapes,
        split=split,
        seed=run.seed,
        groups=(int((~first.groups).sum()), len(first.groups)),
        patches=patches,
        visible=sorted(one.visible for one in shapes),
        legend=_legend(maps=patches is not None),
    )


def _drawn(collection: Collection, index: int, shape: CompletedShape) -> Completion:
    class_name = class_of(collection, index)
    name, seen = class_name or collection.ids[index], float(shape.visible.mean())
    clouds = (
        ("cloud", f"cloud of {name}"),
        ("shown", f"visible: {seen:.0%} of the points"),
        ("completed", f"completed cloud of {name}, predicted points in orange"),
    )
    view = ""
    maps: tuple[tuple[str, str], ...] = ()
    images = [webp(image, IMAGE) for image in draw_clouds(shape)]
    if shape.depth:
        view = VIEWS[shape.depth.view]
        maps = (
            ("depth map", f"depth map of {name} from {view}"),
            ("shown", "visible: the patches that are not striped"),
            ("completed", f"completed depth map of {name}"),
            ("redrawn", f"depth map drawn from the completed cloud of {name}"),
        )
        images += [webp(image, IMAGE) for image in draw_maps(shape.depth)]
    named = [(*words, image) for words, image in zip((*clouds, *maps), images, strict=True)]
    return Completion(collection.ids[index], class_name, seen, named[:3], named[3:], view)


def _legend(*, maps: bool) -> list[tuple[str, str]]:
    """Return backgrounds and their meanings."""
    items = [(_rgb(GIVEN), "given"), (_rgb(PREDICTED), "predicted")]
    if maps:
        ground, stripe = map(_rgb, HIDDEN)
        (_, nothing), *shades = DEPTHS
        items += [
            (f"repeating-linear-gradient(135deg, {stripe} 0 2px, {ground} 2px 6px)", "hidden"),
            (_rgb(nothing), "nothing there"),
            (f"linear-gradient(90deg, {', '.join(_rgb(color) for _, color in shades)})", "far to near"),
        ]
    return items


def _rgb(color: Sequence[int] | Color) -> str:
    return f"rgb({', '.join(map(str, color))})"

"""Intersection over union: of parts, shapes, categories and whole scenes."""

import numpy as np
from jaxtyping import Bool, Float64, Int64


def overlaps(
    predicted: Int64[np.ndarray, "n N"], truth: Int64[np.ndarray, "n N"], parts: int
) -> tuple[Int64[np.ndarray, "n parts"], Int64[np.ndarray, "n parts"]]:
    """Points of every shape in the intersection and in the union of each part.

    Args:
        predicted: `(n, N)` parts, 0 to `parts` - 1.
        truth: `(n, N)` parts; points of -1 do not count, whatever was predicted there.
        parts: how many there are.

    Returns:
        Intersections and unions, `(n, parts)` each.
    """
    shape, point = np.nonzero(truth >= 0)
    said, is_ = predicted[shape, point], truth[shape, point]

    def count(chosen: slice | np.ndarray, part: np.ndarray) -> np.ndarray:
        flat = np.bincount(shape[chosen] * parts + part[chosen], minlength=len(truth) * parts)
        return flat.reshape(len(truth), parts).astype(np.int64)

    everything = slice(None)
    intersection = count(said == is_, is_)
    return intersection, count(everything, said) + count(everything, is_) - intersection


def shape_ious(
    predicted: Int64[np.ndarray, "n N"], truth: Int64[np.ndarray, "n N"], counted: Bool[np.ndarray, "n parts"]
) -> Float64[np.ndarray, " n"]:
    """Mean IoU of every shape over the parts that count for it.

    A part absent in truth and in prediction counts 1 (the contrastive programs and Point-M2AE's).

    Args:
        predicted: `(n, N)` parts, also such as do not count for the shape: those are errors.
        truth: `(n, N)` parts, -1 for points that do not count.
        counted: `(n, parts)` the parts of each shape's category, one at least.
    """
    intersection, union = overlaps(predicted, truth, counted.shape[1])
    iou = np.where(union > 0, intersection / np.maximum(union, 1), 1.0)
    return (iou * counted).sum(1) / counted.sum(1)


def category_means(
    values: Float64[np.ndarray, " n"], category: Int64[np.ndarray, " n"], categories: int
) -> list[float | None]:
    """Mean of the shapes' values in each category; None where there is no shape."""
    total = np.bincount(category, values, categories)
    count = np.bincount(category, minlength=categories)
    return [float(t / c) if c else None for t, c in zip(total, count, strict=True)]


def mean_of_known(values: list[float | None]) -> float:
    """Mean of the values that are there: class mIoU from `category_means`, scene mIoU from `scene_ious`."""
    return float(np.mean([value for value in values if value is not None]))


def scene_ious(
    intersection: Int64[np.ndarray, " parts"], union: Int64[np.ndarray, " parts"]
) -> list[float | None]:
    """IoU of each class from points counted over all blocks; None for a class that nobody saw or said."""
    return [float(i / u) if u else None for i, u in zip(intersection, union, strict=True)]


def point_accuracy(predicted: Int64[np.ndarray, "n N"], truth: Int64[np.ndarray, "n N"]) -> float:
    """Share of the points with a known part that are right."""
    known = truth >= 0
    return float((predicted == truth)[known].mean())

"""Pictures below the table of a result, from its predictions and from what its protocol keeps in `details`.

Each is optional: without its key, or without the collection that was measured on, it is left out.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64
from markupsafe import Markup
from PIL import ImageColor

from adacross.data.rendering.palette import part_colors
from adacross.evaluation.corruptions import KINDS, corrupt
from adacross.evaluation.result import PRETRAINED, Result
from adacross.report.page import percent, render
from adacross.report.run import RunData
from adacross.report.shapes import CHARACTERS, GIVEN, IMAGE, PREDICTED, ROWS, ball, draw_cloud, match, webp

_CLASSES = 100  # of a confusion matrix; with more it is a page of its own
_WAYS = 10  # classes of an episode that are drawn
_SEVERITY = 3  # of the corruptions that are drawn
_OTHER, _NONE = "#2f3033", "#b9bbbd"  # another category's part, and none
_SEARCHES = ("examples", "shape_examples")  # image to shape, and shape to image
FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of a file that was changed


def pictures(run: RunData, result: Result) -> list[Markup]:
    """Return the pictures of a result; one whose values contradict each other is a note."""
    found = []
    for draw in _PICTURES:
        try:
            found.append(draw(run, result))
        except FAILURES as error:
            note = Markup('<p class="note">Its pictures cannot be drawn ({}: {}).</p>')
            found.append(note.format(type(error).__name__, error))
    return [one for one in found if one]


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix `(C, C)` of named classes: rows truth, columns prediction."""

    names: list[str]
    counts: Int64[np.ndarray, "C C"]

    @classmethod
    def of(cls, names: Sequence[str], truth: Sequence[int], predicted: Sequence[int]) -> "Confusion":
        """Count predictions of the classes that occur.

        Example:
            >>> Confusion.of(["mug", "bowl", "vase"], [0, 0, 2], [0, 2, 2]).counts
            array([[1, 1],
                   [0, 1]])
        """
        present, codes = np.unique([truth, predicted], return_inverse=True)
        counts = np.zeros((len(present), len(present)), dtype=np.int64)
        np.add.at(counts, tuple(codes.reshape(2, -1)), 1)
        return cls([names[label][:CHARACTERS] for label in present], counts)

    def worst(self, most: int = 3) -> str:
        """Return one sentence on the most frequent confusions."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        if not wrong.any():
            return "No test shape was misclassified."
        totals = self.counts.sum(axis=1)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        named = [
            f"{self.names[truth]} as {self.names[guess]} ({wrong[truth, guess]} of {totals[truth]})"
            for truth, guess in zip(*np.unravel_index(order, wrong.shape), strict=True)
            if wrong[truth, guess]
        ]
        share = percent(wrong.sum() / totals.sum())
        return f"Error rate: {share}. Most frequent: {'; '.join(named)}."


def _confusion(_: RunData, result: Result) -> Markup | None:
    """Draw the first predictions of the pre-trained encoder."""
    for score in result.scores:
        predicted = score.predictions[0] if score.predictions else []
        if score.network == PRETRAINED and 0 < len(predicted) == len(result.truth) and result.data.classes:
            matrix = Confusion.of(result.data.classes, result.truth, predicted)
            return render("confusion", matrix=matrix, score=score, most=_CLASSES)
    return None


def _searches(run: RunData, result: Result) -> Markup | None:
    """Draw queries with what was found: `details` has lists of `query`, `view`, `results` and `views`."""
    examples = {name: result.details.get(name) for name in _SEARCHES}
    if result.task != "retrieval" or not any(examples.values()):
        return None
    collection = run.measured_on(result)
    if collection is None:
        return Markup('<p class="note">The examples are of another collection, and are not drawn.</p>')
    shown = {
        name: [match(collection, example) for example in found[:ROWS]]
        for name, found in examples.items()
        if found
    }
    return render("matches", searches=shown, labeled=run.labeled)


def _segmented(_: RunData, result: Result) -> Markup | None:
    """Draw test clouds colored by part: truth, predictions, and where they are wrong.

    `details["examples"]` are dictionaries of `id`, `category`, `points` `(N, 3)` in thousandths, `truth`
    `(N,)` (-1 for none) and `predicted`, `(N,)` by kind of network; `details["parts"]` are the parts' names.
    """
    examples = result.details.get("examples")
    if result.task not in ("part-seg", "sem-seg") or not examples:
        return None
    names = result.details.get("parts") or result.data.classes
    return render(
        "segmented",
        examples=[_painted(example, names) for example in examples[:ROWS]],
        right=f"rgb{GIVEN}",
        wrong=f"rgb{PREDICTED}",
    )


def _painted(example: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return an example's images, with a color for every part of its own category."""
    points = np.array(example["points"], dtype=np.float64) / 1000
    truth = np.array(example["truth"], dtype=np.int64)
    predicted = {name: np.array(parts, np.int64) for name, parts in example["predicted"].items()}
    every = np.unique(np.concatenate([truth, *predicted.values()]))
    present: list[int] = every[every >= 0].tolist()
    prefix = f"{example['category']}/"
    own = [part for part in present if names[part].startswith(prefix)] or present
    meaning = dict(zip(own, part_colors(map(str, own)), strict=True))
    colors = meaning | {part: _OTHER for part in present if part not in meaning} | {-1: _NONE}
    known = truth >= 0

    def drawn(labels: Int64[np.ndarray, " N"]) -> bytes:
        rgb = np.array([ImageColor.getrgb(colors[part]) for part in labels.tolist()])
        return webp(draw_cloud(points, rgb), IMAGE)

    figures = [("truth", drawn(truth))]
    wrong = []
    for name, labels in predicted.items():
        right = float((labels == truth)[known].mean()) if known.any() else 0.0
        figures.append((f"{name}, {percent(right, 0)}", drawn(labels)))
        marked = np.array([GIVEN, PREDICTED])[(known & (labels != truth)).astype(int)]
        wrong.append((f"{name}, wrong", webp(draw_cloud(points, marked), IMAGE)))
    keys = [(color, names[part].removeprefix(prefix)) for part, color in meaning.items()]
    keys += [(_OTHER, "another category's")] if len(present) > len(own) else []
    keys += [(_NONE, "unknown")] if not known.all() else []
    return {
        "id": example["id"],
        "name": example["category"] or example["id"],
        "figures": figures + wrong,
        "keys": keys,
    }


def _episode(_: RunData, result: Result) -> Markup | None:
    """Draw the first episode of few-shot images.

    `details["example"]` has `setting`, `accuracy`, `classes`, `support` (images of each class) and `queries`
    (`image`, `truth`, `predicted`); images are WebP in base64.
    """
    example = result.details.get("example")
    if result.task != "images" or not example:
        return None
    classes = example["classes"][:_WAYS]
    support = [[_decoded(image) for image in images] for images in example["support"][:_WAYS]]
    queries = [[one for one in example["queries"] if one["truth"] == name] for name in classes]
    asked = [
        (one["truth"], one["predicted"], _decoded(one["image"]))
        for row in zip(*queries, strict=False)
        for one in row
    ]
    return render(
        "episode",
        setting=example["setting"],
        accuracy=float(example["accuracy"]),
        classes=classes,
        support=[image for row in zip(*support, strict=False) for image in zip(classes, row, strict=True)],
        asked=asked,
    )


def _corrupted(_: RunData, result: Result) -> Markup | None:
    """Draw a shape under each corruption: `details["example"]` has `index`, `id`, `class` and `points`."""
    example = result.details.get("example")
    if result.task != "robustness" or not example:
        return None
    points, index = np.array(example["points"], dtype=np.float32)[None], np.array([example["index"]])
    images = [("clean", webp(draw_cloud(points[0]), IMAGE))]
    for kind in KINDS:
        damaged = corrupt(kind, points, _SEVERITY, 0, index)[0]
        images.append((kind.replace("_", " "), webp(draw_cloud(damaged, radius=ball(len(points[0]))), IMAGE)))
    return render("corrupted", example=example, images=images, severity=_SEVERITY)


def _decoded(image: str) -> bytes:
    return base64.b64decode(image, validate=True)


_PICTURES: tuple[Callable[[RunData, Result], Markup | None], ...] = (
    _confusion,
    _searches,
    _segmented,
    _corrupted,
    _episode,
)

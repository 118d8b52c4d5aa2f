"""Shapes with parts, ready to be learnt; one training and its scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.segmentation.metrics import category_means, mean_of_known, point_accuracy, shape_ious
from adacross.evaluation.segmentation.segmenter import Segmenter, part_segmenter
from adacross.evaluation.segmentation.training import Clouds, Protocol, new_segmenter, predict, train

SHOWN = 6  # test shapes whose predictions are kept
CONVENTIONS = ("all", "known")  # parts among which the arg-max is taken: all, or those of the known category


@dataclass(frozen=True)
class PartTask:
    """Training and test shapes that have a category and a point with a part.

    Attributes:
        train: training shapes.
        test: test shapes.
        tested: their places in the collection.
        counted: `(categories, parts)` which parts each category has.
        shown: places among the test shapes of those whose predictions are kept.
        protocol: of the training.
        device: where to train.
    """

    train: Clouds
    test: Clouds
    tested: Int64[np.ndarray, " m"]
    counted: Bool[np.ndarray, "categories parts"]
    shown: Int64[np.ndarray, " s"]
    protocol: Protocol
    device: str

    def measure(
        self, encoder: Encoder, chosen: Int64[np.ndarray, " k"], seed: int, **how: Any
    ) -> dict[str, Any]:
        """Train on the chosen shapes, score on the test shapes.

        Args:
            encoder: where the training starts; it stays as it is.
            chosen: places among the training shapes.
            seed: of head, order, drawn points.
            how: `progress`, `note` and `checkpoint` of `train`.

        Returns:
            For each of `CONVENTIONS` instance mIoU, class mIoU, share of points right, and each category's
            mean IoU; the predictions among all parts for the shapes shown.
        """
        network = new_segmenter(self._with_head, self.protocol.prepared(encoder), seed)
        train(network, self.train.shapes(chosen), self.protocol, seed=seed, device=self.device, **how)
        test = self.test.thinned(self.protocol.points, seed)
        counted = self.counted[test.labels]
        said = predict(network, test, allowed=counted, device=self.device)
        piece: dict[str, Any] = {"shown": said[0][self.shown].tolist()}
        for name, predicted in zip(CONVENTIONS, said, strict=True):
            ious = shape_ious(predicted, test.part, counted)
            means = category_means(ious, test.labels, len(self.counted))
            right = point_accuracy(predicted, test.part)
            piece[name] = {"figures": [float(ious.mean()), mean_of_known(means), right], "categories": means}
        return piece

    def _with_head(self, encoder: Encoder) -> Segmenter:
        return part_segmenter(encoder, *self.counted.shape)


def part_task(collection: Collection, protocol: Protocol, device: str) -> PartTask:
    """Take the shapes of a collection that can be learnt and tested.

    Raises:
        UserError: no parts, no test shapes with parts, or no training shapes.
    """
    info, where = collection.info, collection.folder
    if not info.parts:
        raise UserError(f"{where} has no parts; expected a collection made of ShapeNetPart or of builtin.")
    part = collection.part_labels(collection.indices("all"))
    labels = collection.labels if info.classes else np.zeros(len(collection), dtype=np.int64)
    usable = (part >= 0).any(1) & (labels >= 0)
    learnt, tested = (
        indices[usable[indices]] for indices in (collection.indices("train"), collection.indices("test"))
    )
    tested = tested[np.isin(labels[tested], labels[learnt])]  # what nobody taught cannot be asked for
    if not len(tested):
        raise UserError(
            f"{where} has {len(learnt)} training shapes with parts, and no test shape of a category among "
            "them. Prepare it again with --test-fraction 0.2."
        )

    def clouds(indices: Int64[np.ndarray, " k"]) -> Clouds:
        return Clouds(collection.points(indices), part[indices], labels[indices])

    return PartTask(
        train=clouds(learnt),
        test=clouds(tested),
        tested=tested,
        counted=category_parts(info, part, labels),
        shown=_varied(labels[tested]),
        protocol=protocol,
        device=device,
    )


def category_parts(
    info: CollectionInfo, part: Int64[np.ndarray, "n N"], labels: Int64[np.ndarray, " n"]
) -> Bool[np.ndarray, "categories parts"]:
    """Which parts each category has.

    Parts named "category/part" belong to that category; a category without such names has the parts that
    occur in its shapes, as in ShapeNetPart. Without classes all shapes are of one category.

    Args:
        info: names of classes and parts.
        part: `(n, N)` of all its shapes, -1 for none.
        labels: `(n,)` their categories, -1 for none.
    """
    classes, names = info.classes or [""], info.parts
    counted = np.zeros((len(classes), len(names)), dtype=bool)
    for category, name in enumerate(classes):
        counted[category] = [bool(name) and part_name.startswith(f"{name}/") for part_name in names]
        if not counted[category].any():
            occurring = np.unique(part[labels == category])
            counted[category, occurring[occurring >= 0]] = True
    return counted


def _varied(labels: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " s"]:
    """Places of a few shapes drawn at random (seed 0), of different categories as long as there are any."""
    order = np.random.default_rng(0).permutation(len(labels))
    first = np.sort(np.unique(labels[order], return_index=True)[1])
    return np.concatenate([order[first], np.delete(order, first)])[:SHOWN].astype(np.int64)

"""Shapes found by image, images by shape, and shapes by shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from adacross.console import progress_bar
from adacross.data.collection.collection import Collection
from adacross.distributed.device import find_device
from adacross.encoders import Encoder
from adacross.encoders.frozen import frozen, in_batches
from adacross.encoders.inputs import MIN_POINTS
from adacross.errors import UserError, check_least
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.labeled import described
from adacross.evaluation.result import CHANCE, PRETRAINED, Measured, Score
from adacross.features.metrics import (
    average_precision,
    chance_hit_at,
    chance_precision,
    cosine_ranking,
    hit_at,
    recall_at,
    without_self,
)
from adacross.features.sources import NamedEncoder
from adacross.methods import CrossModal
from adacross.training.networks import load_towers

IMAGE_TO_SHAPE, SHAPE_TO_IMAGE = "image to shape", "shape to image"
TO_CLASS, OTHER_POINTS = "shape to its class", "shape, other points"
RANKS = (1, 5, 10)
EXAMPLES, RESULTS = 8, 5  # queries to draw, and results of each

T = TypeVar("T")
Outcomes = dict[str, Float[np.ndarray, " u"]]  # by metric, a value a query


@protocol("retrieval", data="a prepared collection with a test split")
def retrieval(bench: Bench, points: int | None = None, seeds: int = 3) -> Measured:
    """Retrieve shapes by image, images by shape and shapes by shape: recall@1/5/10 and mAP on the test split.

    Images need a run of crosspoint, crossnet or adacrossnet, which has an image tower; shapes find shapes of
    their class, and themselves from other points, with any encoder, beside the same encoder untrained and a
    shape histogram.

    Args:
        seeds: draws of an image of each shape, and untrained encoders.

    Raises:
        UserError: no such encoder or collection, too few test shapes.

    Example:
        result = retrieval("runs/parts", "collections/parts")
        print(result.score("pre-trained", "mAP", search="shape to its class").estimate)
    """
    # `details` holds `points`; `views` of a shape; `counted`, the rows of `ids` that "shape to its class" and
    # mAP are of; and what to draw (`Gallery.example`): `neighbors` (shape to shape), and with an image tower
    # `examples` (image to shape) and `shape_examples` (shape to image).
    check_least(seeds=seeds)
    gallery, count = Gallery.of(bench.collection), bench.points(points)
    collection, half = gallery.collection, min(count, gallery.collection.info.points // 2)
    by_image, shown = _by_image(bench, gallery, count, seeds)
    scores = by_image + _by_shape(bench, gallery, count, half, seeds)
    if not scores:
        raise UserError(
            f"{collection.folder} has no classes, no images for this encoder, and too few points to halve; "
            "there is nothing to find. Prepare it again with classes or --points 1024."
        )
    features = bench.features(bench.encoders[0], count)[gallery.test]
    ranking = without_self(cosine_ranking(features, features))
    views = collection.info.views
    drawn = f", one of {views} drawn for each shape and repetition" if views > 1 else ""
    images = f"; images: projections into the shared space{drawn}" if by_image else ""
    return Measured(
        data=described(collection, 0, len(gallery.test), gallery.left_out),
        scores=scores,
        protocol="test shapes search the test shapes by cosine; recall@k: the very shape, or one of its "
        f"class, is among the first k; mAP: of the class; frozen features of {count:,} points{images}",
        notes=[f"other points: {half:,} points search {half:,} others"] if half >= MIN_POINTS else [],
        ids=[collection.ids[i] for i in gallery.test],
        truth=gallery.labels.tolist(),
        details={
            "points": count,
            "views": views,
            "counted": np.flatnonzero(gallery.counted).tolist(),
            "neighbors": [gallery.example(row, ranking[row]) for row in gallery.draw(0)[1]],
            **shown,
        },
    )


@dataclass(frozen=True, eq=False)
class Gallery:
    """Test shapes, which search each other."""

    collection: Collection  # of the shapes and their images
    test: Int64[np.ndarray, " n"]  # their indices
    labels: Int64[np.ndarray, " n"]  # their classes, -1 for none
    # number of shapes of each one's class, itself among them; 0 without a class
    relevant: Int64[np.ndarray, " n"]

    @classmethod
    def of(cls, collection: Collection) -> "Gallery":
        """Take a collection's test shapes.

        Raises:
            UserError: too few.
        """
        test = collection.indices("test")
        if len(test) < max(RANKS):
            raise UserError(
                f"{collection.folder} has {len(test)} test shapes; retrieval needs at least {max(RANKS)}. "
                "Prepare it again with `--test-fraction 0.2 --overwrite`."
            )
        labels = collection.labels[test]
        sizes = np.bincount(labels[labels >= 0], minlength=1)
        return cls(collection, test, labels, np.where(labels >= 0, sizes[labels], 0))

    @property
    def counted(self) -> Bool[np.ndarray, " n"]:
        """Shapes of a class that another one has."""
        return self.relevant > 1

    @property
    def left_out(self) -> dict[str, str]:
        """Shapes without another of their class."""
        alone, unlabeled = self.labels[self.relevant == 1], int((self.labels < 0).sum())
        names = [self.collection.info.classes[label] for label in alone]
        reasons = {f"{name} (1 test shape)": "no other of its class to find" for name in names}
        return reasons | ({f"{unlabeled} test shapes": "no class to find"} if unlabeled else {})

    def outcomes(
        self, queries: Float[np.ndarray, "n D"], gallery: Float[np.ndarray, "n D"], *, others: bool = False
    ) -> Outcomes:
        """Let the features of each shape search others of each shape; return recall, and mAP of the class.

        Recall is of the very shape, or, with `others`, of its class without itself. Where no class has two
        shapes, there is nothing that needs classes.
        """
        known, counted = self.labels >= 0, self.counted[self.labels >= 0]
        found = {} if others else _named(recall_at(cosine_ranking(queries, gallery), RANKS))
        if counted.any():
            labels, ranking = self.labels[known], cosine_ranking(queries[known], gallery[known])
            ranking = without_self(ranking) if others else ranking
            hits = _named(hit_at(ranking, labels, labels, RANKS)) if others else {}
            of_class = hits | {"mAP": average_precision(ranking, labels, labels)}
            found |= {metric: values[counted] for metric, values in of_class.items()}
        return found

    def scores(
        self,
        search: str,
        found: Mapping[str, Sequence[Mapping[str, Any]]],
        networks: Sequence[int] | None = None,
    ) -> list[Score]:
        """Return a score for each network and metric, and those of a random ranking, in closed form.

        `found` are outcomes by network, repetition and metric, the same metrics in all.
        """
        known, relevant = int((self.labels >= 0).sum()), self.relevant[self.counted]
        recall: Mapping[int, Any] = {k: k / len(self.test) for k in RANKS}
        if search == TO_CLASS:  # without itself
            known, relevant = known - 1, relevant - 1
            recall = chance_hit_at(relevant, known, RANKS)
        chance = _named(recall) | {"mAP": chance_precision(relevant, known)}
        metrics = list(found[PRETRAINED][0])
        return [
            Score.of(network, metric, [one[metric] for one in each], networks=networks, search=search)
            for network, each in found.items()
            for metric in metrics
        ] + [Score.of(CHANCE, metric, [chance[metric]], search=search) for metric in metrics]

    def draw(self, seed: int) -> tuple[Int64[np.ndarray, " n"], list[int]]:
        """Draw an image of every shape, and the rows of the examples."""
        rng = np.random.default_rng(seed)
        views = rng.integers(max(self.collection.info.views, 1), size=len(self.test))
        return views, np.sort(rng.permutation(len(self.test))[:EXAMPLES]).tolist()

    def example(
        self,
        row: int,
        ranking: Int64[np.ndarray, " g"],
        view: int = 0,
        views: Int64[np.ndarray, " n"] | None = None,
    ) -> dict[str, Any]:
        """Return a query and its first results, by index in the collection and by id, the nearest first.

        `view` is the image that searches, or that the query may be drawn by; `views` are the images that were
        found, none where shapes were searched.
        """
        query, first = int(self.test[row]), ranking[:RESULTS]
        results = self.test[first].tolist()
        return {
            "query": query,
            "query_id": self.collection.ids[query],
            "view": view,
            "results": results,
            "result_ids": [self.collection.ids[i] for i in results],
            "views": [] if views is None else views[first].tolist(),
        }


def _by_image(bench: Bench, gallery: Gallery, count: int, seeds: int) -> tuple[list[Score], dict[str, Any]]:
    """Let one image of each shape find shapes, and shapes images; return scores and examples."""
    towers = [load_towers(NamedEncoder("", *each)) for each in zip(bench.encoders, bench.runs, strict=True)]
    methods = [tower for tower in towers if isinstance(tower, CrossModal)]
    if len(methods) not in (0, len(towers)):
        raise UserError("some encoders have an image tower and some have none; expected one kind.")
    if not methods or not gallery.collection.info.views:
        return [], {}
    found = []
    networks = [seed % len(methods) for seed in range(max(seeds, len(methods)))]
    if gallery.collection.info.views == 1:  # nothing is drawn
        networks = networks[: len(methods)]
    with progress_bar("draws of an image") as progress:
        bar = progress.add_task("images", total=len(networks), note="")
        for seed, which in enumerate(networks):
            features = bench.features(bench.encoders[which], count)[gallery.test]
            piece = partial(_one_draw, gallery, methods[which], features, seed, bench.device)
            found.append(bench.ledger.once(f"images-seed{seed}", piece))
            progress.advance(bar)
    scores = [
        gallery.scores(search, {PRETRAINED: [each[search] for each in found]}, networks)
        for search in (IMAGE_TO_SHAPE, SHAPE_TO_IMAGE)
    ]
    return scores[0] + scores[1], found[0]["shown"]


def _one_draw(
    gallery: Gallery, method: CrossModal, features: Float32[np.ndarray, "n D"], seed: int, device: str
) -> dict[str, Any]:
    """Return outcomes of both searches with the images that a seed draws, and examples."""
    drawn, rows = gallery.draw(seed)
    images = [gallery.collection.view(int(i), int(v)) for i, v in zip(gallery.test, drawn, strict=True)]
    target = find_device(device)
    method.to(target)
    with frozen(method):
        by_shape = in_batches(method.point_head, features, 256, target)
        by_image = in_batches(method.embed_pictures, np.stack(images), 32, target)
    shapes, pictures = (
        cosine_ranking(queries[rows], searched)
        for queries, searched in ((by_image, by_shape), (by_shape, by_image))
    )
    return {
        IMAGE_TO_SHAPE: _plain(gallery.outcomes(by_image, by_shape)),
        SHAPE_TO_IMAGE: _plain(gallery.outcomes(by_shape, by_image)),
        "shown": {
            "examples": [gallery.example(row, shapes[i], int(drawn[row])) for i, row in enumerate(rows)],
            "shape_examples": [gallery.example(row, pictures[i], views=drawn) for i, row in enumerate(rows)],
        },
    }


def _by_shape(bench: Bench, gallery: Gallery, count: int, half: int, seeds: int) -> list[Score]:
    """Let shapes find their class, and themselves from `half` other points."""
    networks = bench.networks(seeds)
    to_class: dict[str, list[Outcomes]] = {network: [] for network in networks}
    other_points: dict[str, list[Outcomes]] = {network: [] for network in networks}
    clouds = gallery.collection.points(gallery.test)
    halves = [clouds[:, start::2][:, :half] for start in (0, 1)]  # they share no point

    def find_itself(encoder: Encoder | None) -> dict[str, list[float]]:
        one, other = (bench.encode(encoder, part) for part in halves)
        return _plain(_named(recall_at(cosine_ranking(one, other), RANKS)))

    with progress_bar("networks") as progress:
        bar = progress.add_task("shapes", total=sum(map(len, networks.values())), note="")
        for network, encoders in networks.items():
            for number, encoder in enumerate(encoders):
                features = bench.features(encoder, count)[gallery.test]
                to_class[network].append(gallery.outcomes(features, features, others=True))
                if half >= MIN_POINTS:
                    name = f"other-points-{network.replace(' ', '-')}{number}"
                    other_points[network].append(bench.ledger.once(name, partial(find_itself, encoder)))
                progress.update(bar, advance=1, note=network)
    scores = gallery.scores(TO_CLASS, to_class)
    return scores + (gallery.scores(OTHER_POINTS, other_points) if half >= MIN_POINTS else [])


def _named(recall: Mapping[int, T]) -> dict[str, T]:
    return {f"recall@{k}": values for k, values in recall.items()}


def _plain(outcomes: Outcomes) -> dict[str, list[float]]:
    return {metric: values.tolist() for metric, values in outcomes.items()}

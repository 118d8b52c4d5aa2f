"""Finding shapes by picture, pictures by shape, and shapes by shape."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from rich.table import Table

from adacross.data.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.features import encode, frozen, in_batches
from adacross.evaluation.metrics import cosine_ranking, mean_average_precision, recall_at
from adacross.evaluation.results import save
from adacross.methods import CrossModal
from adacross.training.run import load_method

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalResult:
    """What `evaluate retrieval` measured.

    Recall@k counts the very object; mAP counts shapes of the query's class (0 without classes).
    """

    task: str
    data: str
    gallery: int
    queries: int
    points: int
    chance_recall_at_1: float
    image_to_shape: dict[str, float]
    shape_to_image: dict[str, float]
    examples: list[dict[str, int | list[int]]]
    neighbours: list[dict[str, int | list[int]]]

    def table(self) -> Table:
        """The result as people read it."""
        title = f"{self.data}: retrieval among {self.gallery} test shapes, one picture each"
        table = Table(title=title, caption=f"chance recall@1 {100 * self.chance_recall_at_1:.2f} %")
        table.add_column("direction")
        for name in self.image_to_shape:
            table.add_column(name)
        for direction in ("image_to_shape", "shape_to_image"):
            figures = getattr(self, direction).values()
            table.add_row(direction.replace("_", " "), *(f"{100 * value:.1f} %" for value in figures))
        return table


def _figures(
    queries: Float[np.ndarray, "n D"], gallery: Float[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"]
) -> dict[str, float]:
    figures = {f"recall@{k}": value for k, value in recall_at(queries, gallery, RANKS).items()}
    known = np.flatnonzero(labels >= 0)
    ranking = cosine_ranking(queries[known], gallery[known])
    return figures | {"mAP": mean_average_precision(ranking, labels[known], labels[known])}


def measure_retrieval(
    method: CrossModal,
    collection: Collection,
    *,
    points: int | None = None,
    examples: int = 8,
    seed: int = 0,
    device: str = "cpu",
) -> RetrievalResult:
    """Recall and mAP between the test shapes and one picture of each.

    Every test shape is compared with one of its pictures, drawn by `seed`, by the cosine of their projections
    into the shared space. Neighbours from shape to shape use the encoder's own features.

    Args:
        method: a trained method with both towers.
        collection: with a test split.
        points: points of each cloud; 1,024 or all there are if not given.
        examples: how many queries to keep as examples.
        seed: of the pictures and the examples.
        device: where to compute.

    Raises:
        UserError: the collection has no test shapes.
    """
    test = collection.indices("test")
    if len(test) < max(RANKS):
        raise UserError(
            f"{collection.folder} has {len(test)} test shapes; retrieval needs at least {max(RANKS)}. "
            "Prepare it again with `--test-fraction 0.2 --overwrite`."
        )
    rng = np.random.default_rng(seed)
    drawn = rng.integers(collection.info.views, size=len(test))
    count = min(points or 1024, collection.info.points)
    clouds = collection.points(test)[:, :count]
    views = np.stack([collection.view(int(i), int(v)) for i, v in zip(test, drawn, strict=True)])
    target = torch.device(device)
    method.to(target)
    with frozen(method):
        shapes = in_batches(method.embed_clouds, clouds, 32, target)
        pictures = in_batches(method.embed_pictures, views, 32, target)
    features = encode(method.encoder, clouds, device=target)
    labels = collection.labels[test]
    found, similar = cosine_ranking(pictures, shapes), cosine_ranking(features, features)
    shown = np.sort(rng.permutation(len(test))[:examples])
    return RetrievalResult(
        task="retrieval",
        data=collection.info.name,
        gallery=len(test),
        queries=len(test),
        points=count,
        chance_recall_at_1=1 / len(test),
        image_to_shape=_figures(pictures, shapes, labels),
        shape_to_image=_figures(shapes, pictures, labels),
        examples=[
            {"query": int(test[i]), "view": int(drawn[i]), "results": test[found[i, :5]].tolist()}
            for i in shown
        ],
        neighbours=[
            {"query": int(test[i]), "results": test[similar[i][similar[i] != i][:5]].tolist()} for i in shown
        ],
    )


def evaluate_retrieval(
    run: str,
    data: str,
    points: int | None = None,
    seed: int = 0,
    device: str | None = None,
    output: str | None = None,
) -> RetrievalResult:
    """Picture to shape, shape to picture: recall@1/5/10 and mAP on the test split.

    Args:
        run: a finished pre-training run; both of its towers are needed, not the encoder alone.
        data: a prepared collection with a test split.
        points: points of each cloud; 1,024 or all there are if not given.
        seed: of the pictures compared and the examples kept.
        device: cpu or cuda; cuda if there is one.
        output: where to write the result as JSON; by default `evaluation/retrieval.json` of the run.

    Raises:
        UserError: no such run or collection, no test shapes.
    """
    method, config = load_method(Path(run))
    if not isinstance(method, CrossModal):
        raise UserError(
            f"{run} was pre-trained with {config.method}, which brings clouds and pictures into no common "
            "space. Evaluate a run of crosspoint, crossnet or adacrossnet."
        )
    result = measure_retrieval(
        method,
        Collection.open(Path(data)),
        points=points,
        seed=seed,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
    )
    save(result, output, Path(run), "retrieval")
    return result

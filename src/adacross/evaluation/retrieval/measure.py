"""Finding shapes by picture, pictures by shape, and shapes by shape."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adacross.console import progress_bar
from adacross.data.collection.collection import Collection
from adacross.distributed.device import find_device
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.labelled import check_points
from adacross.evaluation.results import Figure, Ledger, check_output, result_path, save, subject
from adacross.evaluation.retrieval.result import PICTURES, RANKS, Example, RetrievalResult, Search
from adacross.evaluation.retrieval.searching import Gallery
from adacross.features.sources import Found, find_encoders, untrained_like, usual_device
from adacross.methods import CrossModal, method_class
from adacross.training.config import PretrainConfig
from adacross.training.networks import load_method

__all__ = ["Example", "RetrievalResult", "Search", "evaluate_retrieval", "measure_retrieval"]


def measure_retrieval(
    trained: Sequence[Encoder | CrossModal],
    collection: Collection,
    *,
    points: int | None = None,
    seeds: int = 3,
    examples: int = 8,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    result: Path | None = None,
) -> RetrievalResult:
    """Recall and mAP between the test shapes, and between them and one picture of each.

    Pictures and shapes are compared by the cosine of their projections into the shared space, shapes and
    shapes by that of the encoder's own features. A repetition draws a picture of every shape, the points
    (where fewer are asked for than stored) and an untrained encoder, which searches shapes beside the trained
    one. Several encoders, which should differ in their pre-training seed only, take turns, one a repetition.

    Args:
        trained: methods with both towers, or encoders, which find shapes by shapes only.
        collection: with a test split.
        points: points of each cloud; 1,024 or all there are if not given.
        seeds: repetitions, at least one for each encoder.
        examples: how many queries to keep as examples, of the first repetition.
        device: where to compute.
        names: the encoders' names, for the record.
        result: where the result will be written; finished repetitions are kept beside it until then.

    Raises:
        UserError: too few test shapes, no repetition, or encoders and methods mixed.
    """
    test = collection.indices("test")
    if len(test) < max(RANKS):
        raise UserError(
            f"{collection.folder} has {len(test)} test shapes; retrieval needs at least {max(RANKS)}. "
            "Prepare it again with `--test-fraction 0.2 --overwrite`."
        )
    if len({isinstance(item, CrossModal) for item in trained}) != 1:
        raise UserError(f"{list(names)}: some have an image tower and some have none; expected one kind.")
    check_points(points, collection)
    if seeds < 1:
        raise UserError(f"seeds is {seeds}; expected at least 1.")
    count = min(points or 1024, collection.info.points)
    gallery = Gallery(collection, test, collection.points(test), count, find_device(device))
    repetitions = list(range(max(seeds, len(trained))))
    ledger = Ledger(result, {"protocol": [count, examples]} | subject(collection, trained))
    found = []
    with progress_bar("encoders") as progress:
        task = progress.add_task("retrieval", total=len(repetitions), note="")
        for seed in repetitions:
            which = seed % len(trained)
            found.append(
                ledger.once(
                    f"seed{seed}", partial(_repetition, gallery, trained[which], which, seed, examples)
                )
            )
            progress.advance(task)
    chances = gallery.chances()
    pictures = {name: _over(found, "pretrained", name) for name in PICTURES}
    first = {kind: [Example(**item) for item in kept] for kind, kept in found[0]["examples"].items()}
    return RetrievalResult(
        task="retrieval",
        data=collection.info.name,
        encoders=list(names),
        gallery=len(test),
        queries=len(test),
        points=count,
        spread=_spread(len(trained), bool(pictures["image_to_shape"]), gallery.draws, len(repetitions)),
        seeds=repetitions,
        chance_recall_at_1=1 / len(test),
        **{kind: {name: figure.mean for name, figure in both.items()} for kind, both in pictures.items()},
        std={kind: {name: figure.std for name, figure in both.items()} for kind, both in pictures.items()},
        chance=chances["pictures"],
        shape_to_shape=_search(found, "shape_to_shape", count, chances),
        same_object=_search(found, "same_object", gallery.pair_points, chances),
        examples=first.get("examples", []),
        shape_examples=first.get("shape_examples", []),
        neighbours=first["neighbours"],
    )


def _repetition(
    gallery: Gallery, trained: Encoder | CrossModal, which: int, seed: int, examples: int
) -> dict[str, Any]:
    """Figures by encoder and kind of search, and examples."""
    encoder = trained.encoder if isinstance(trained, CrossModal) else trained
    features = gallery.features(encoder, seed, which)
    figures = gallery.shapes(encoder, features, seed)
    kept: dict[str, Any] = {"neighbours": gallery.neighbours(features, seed, examples)}
    if isinstance(trained, CrossModal) and gallery.collection.info.views:
        found, more = gallery.pictures(trained, features, seed, examples)
        figures |= found
        kept |= more
    fresh = untrained_like(encoder, seed)
    untrained = gallery.shapes(fresh, gallery.features(fresh, seed), seed)
    return {"pretrained": figures, "untrained": untrained, "examples": kept}


def _over(found: Sequence[dict[str, Any]], arm: str, kind: str) -> dict[str, Figure]:
    """Every figure over the repetitions."""
    each = [piece[arm][kind] for piece in found if kind in piece[arm]]
    return {name: Figure.of([figures[name] for figures in each]) for name in (each[0] if each else ())}


def _search(
    found: Sequence[dict[str, Any]], kind: str, points: int, chances: dict[str, dict[str, float]]
) -> Search | None:
    pretrained, untrained = (_over(found, arm, kind) for arm in ("pretrained", "untrained"))
    return Search(points, pretrained, untrained, chances[kind]) if pretrained else None


def _spread(encoders: int, pictures: bool, draws: bool, repetitions: int) -> str:
    """Describe what the standard deviation is taken over."""
    several = {
        f"{encoders} pre-training seeds": encoders > 1,
        "the pictures compared": pictures,
        "the points drawn": draws,
    }
    varied = ", ".join(words for words, there in several.items() if there) or "no difference"
    return f"mean ± standard deviation of {repetitions}: {varied}; untrained: also the initialisation"


def evaluate_retrieval(
    encoder: str | list[str],
    data: str,
    points: int | None = None,
    seeds: int = 3,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> RetrievalResult:
    """Retrieve shapes by image, images by shape and shapes by shape: recall@1/5/10 and mAP on the test split.

    Pictures need a run of crosspoint, crossnet or adacrossnet, which has an image tower; shapes find shapes
    with any encoder, beside the same encoder untrained.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection with a test split.
        points: points per cloud; 1,024 by default, or all if fewer are stored. If fewer than are stored,
            shapes are also retrieved by their other points.
        seeds: repetitions, each with its own images, points and untrained encoder.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/retrieval.json` in the (first) run.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, too few test shapes.
    """
    check_output(output, overwrite)
    found = find_encoders(encoder)
    result = measure_retrieval(
        [_trained(item) for item in found],
        Collection.open(data),
        points=points,
        seeds=seeds,
        device=usual_device(device),
        names=[item.name for item in found],
        result=result_path(output, found[0].run, "retrieval"),
    )
    save(result, output, found[0].run, "retrieval")
    return result


def _trained(item: Found) -> Encoder | CrossModal:
    """The whole method where it has an image tower, the encoder where not."""
    if item.run and issubclass(method_class(PretrainConfig.load(item.run).method), CrossModal):
        method, _ = load_method(item.run)
        if isinstance(method, CrossModal):
            return method
    return item.encoder

"""Reads the collection and the encoder of a run: pictures, features, clouds."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int64

from adacross.console import console
from adacross.errors import UserError
from adacross.features.projection import nearest_same_class, project, random_precision
from adacross.io.remote import is_address, local_path
from adacross.report.completions import completions
from adacross.report.drawing import webp
from adacross.report.inputs import (
    Card,
    CollectionFacts,
    EmbeddingMap,
    Example,
    Linear,
    Match,
    Retrieval,
    RunData,
    Turnable,
)
from adacross.report.names import MASKED
from adacross.report.reading import (
    MOST_LETTERS,
    read_config,
    read_environment,
    read_linear,
    read_log,
    read_retrieval,
    run_folder,
)
from adacross.report.tasks import read_results

if TYPE_CHECKING:
    from adacross.data.collection.collection import Collection

MAP_SHAPES = 1000  # t-SNE stays in seconds and the file in megabytes
ROWS, RESULTS = 8, 5
TURNABLES = 6  # each is a WebGL context, of which browsers allow eight to sixteen
THUMBNAIL, PICTURE = 112, 160  # pixels
# Rows of pictures, and the examples of `retrieval.json` that they draw.
_MATCHES = {"neighbours": "neighbours", "retrieved": "examples", "pictured": "shape_examples"}


def read_run(run: Path, *, collection: str | None = None, seed: int = 0) -> RunData:
    """Read a run folder, and the collection and encoder it names.

    Args:
        run: what `adacross pretrain` wrote.
        collection: a folder or URL to read instead of the one that the run names.
        seed: of the choice of shapes, of masks and of t-SNE.

    Raises:
        UserError: `run` is not a run folder, or one of its files cannot be read.
    """
    folder = run_folder(run)
    config, config_text = read_config(folder)
    linear, retrieval = read_linear(folder), read_retrieval(folder)
    shown = gather(folder, config, linear, retrieval, place=collection, seed=seed)
    return RunData(
        folder=folder,
        config=config,
        config_text=config_text,
        environment=read_environment(folder),
        log=read_log(folder),
        linear=linear,
        retrieval=retrieval,
        results=read_results(folder),
        **shown,
    )


def gather(
    folder: Path,
    config: dict[str, Any],
    linear: Linear | None,
    retrieval: Retrieval | None,
    *,
    place: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the fields of `RunData` that need the collection or the encoder.

    What cannot be read is left out, with its reason in `absent`.

    Args:
        folder: of the run.
        config: the run's options.
        linear: the run's linear probe.
        retrieval: the run's retrieval.
        place: folder or URL of the collection as the user typed it; by default what the run names.
        seed: of the choice of shapes, and of the map.

    Raises:
        UserError: `place` cannot be read.
    """
    from adacross.data.collection.collection import Collection

    shown: dict[str, Any] = {}
    absent: dict[str, str] = {}
    written = str(config["collection"])
    try:
        collection = Collection.open(place or find_collection(folder, written))
    except UserError as error:
        if place:
            raise
        reason = f"The collection cannot be read: {error} {_remedy(folder, written)}"
        console.print(reason, soft_wrap=True)  # with a command to copy
        fields = ("facts", "embedding", "turnables", "completions", *_MATCHES)
        return {"absent": dict.fromkeys(fields, reason)}
    rng = np.random.default_rng(seed)
    shown["facts"] = _facts(collection)
    shown["turnables"] = turnables(collection, rng)
    try:
        points = linear.points if linear else config.get("points")
        shown["embedding"] = embedding(folder, collection, points, rng, seed)
    except UserError as error:
        absent["embedding"] = f"The encoder cannot be read: {error}"
    if config["method"] in MASKED:
        split, chosen = varied(collection, np.random.default_rng(seed))
        try:
            shown["completions"] = completions(folder, collection, split, chosen, seed)
        except UserError as error:
            absent["completions"] = f"The method cannot be read: {error}"
    if retrieval is not None:
        try:
            evaluated = _evaluated(folder, collection, retrieval)
            for name, kind in _MATCHES.items():
                shown[name] = matches(evaluated, getattr(retrieval, kind))
        except UserError as error:
            absent |= dict.fromkeys(_MATCHES, str(error))
        else:
            gallery = collection.labels[collection.indices("test")]
            if len(gallery) == retrieval.gallery:
                shown["random_precision"] = random_precision(gallery)
    return shown | {"absent": absent}


def _remedy(folder: Path, written: str) -> str:
    """Return the advice for a collection that cannot be read."""
    if is_address(written):
        command = shlex.join(["adacross", "report", str(folder), "--collection", written])
        return f"If you know and trust that address, run: {command}"
    command = shlex.join(["adacross", "report", str(folder)])
    return f"Put it there or beside the run, or give its folder or URL: {command} --collection COLLECTION"


def find_collection(folder: Path, written: str, source: str = "config.yaml") -> Path:
    """Return where a run's collection is: as written, or beside the run if both were moved together.

    Args:
        folder: of the run.
        written: the folder that a file of the run names.
        source: the file.

    Raises:
        UserError: the file names an address, which is opened only if the user types it.
    """
    given = local_path(written, folder / source)
    beside = folder.resolve().parent / given.name
    return beside if not given.is_dir() and beside.is_dir() else given


def spread(labels: Int64[np.ndarray, " n"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """Return `count` positions, drawn at random from as many classes as possible."""
    order = rng.permutation(len(labels))
    turn = np.zeros(len(labels), dtype=np.int64)  # how many of the same class come earlier
    seen: dict[int, int] = {}
    for position in order:
        label = int(labels[position])
        turn[position] = seen.get(label, 0)
        seen[label] = turn[position] + 1
    return order[np.argsort(turn[order], kind="stable")][:count]


def varied(collection: "Collection", rng: np.random.Generator) -> tuple[str, Int64[np.ndarray, " m"]]:
    """Return six shapes of different classes and their split: "test", or "all" where there is none."""
    split: Literal["test", "all"] = "test" if len(collection.indices("test")) else "all"
    available = collection.indices(split)
    return split, available[spread(collection.labels[available], TURNABLES, rng)]


def embedding(
    folder: Path, collection: "Collection", points: int | None, rng: np.random.Generator, seed: int
) -> EmbeddingMap | None:
    """Encode at most `MAP_SHAPES` test shapes (all shapes where none is a test shape) and lay them out."""
    from adacross.encoders import load
    from adacross.encoders.frozen import encode
    from adacross.features.sources import usual_device

    if not (folder / "encoder").is_dir():
        raise UserError(
            f"{folder} has none yet; finish the training with `adacross pretrain ... --resume auto`."
        )
    split = "test" if len(collection.indices("test")) else "all"
    available = collection.indices("test" if split == "test" else "all")
    chosen = np.sort(rng.permutation(available)[:MAP_SHAPES])
    if not len(chosen):
        return None
    encoder = load(folder / "encoder")
    features = encode(encoder, collection.points(chosen)[:, :points], device=usual_device())
    xy, projection = project(features, seed)
    labels = collection.labels[chosen]
    same, chance = nearest_same_class(features, labels) if (labels >= 0).all() else (None, None)
    cards = tuple(card(collection, int(index), 0, THUMBNAIL) for index in chosen)
    return EmbeddingMap(xy, cards, projection, split, len(available), same, chance)


def card(collection: "Collection", index: int, view: int, size: int) -> Card:
    """Return one shape's picture with its names."""
    label = int(collection.labels[index])
    name = collection.info.classes[label][:MOST_LETTERS] if label >= 0 else None
    return Card(collection.ids[index], name, webp(collection.view(index, view), size))


def turnables(collection: "Collection", rng: np.random.Generator) -> tuple[Turnable, ...]:
    """Return clouds of different classes, from the test split where there is one."""
    _, chosen = varied(collection, rng)
    shapes = [(int(index), collection[int(index)]) for index in chosen]
    parts = tuple(collection.info.parts)
    return tuple(
        Turnable(card(collection, index, 0, PICTURE), shape.points, shape.part, parts)
        for index, shape in shapes
    )


def matches(collection: "Collection", examples: Sequence[Example]) -> tuple[Match, ...]:
    """Return the first `ROWS` examples as pictures.

    Raises:
        UserError: an index is outside the collection.
    """
    found = []
    for example in examples[:ROWS]:
        results = example.results[:RESULTS]
        views = example.views if len(example.views) == len(example.results) else [0] * len(results)
        if not all(0 <= index < len(collection) for index in (example.query, *results)):
            raise UserError(
                f"retrieval.json names shape {max(example.query, *results)}, but {collection.folder} holds "
                f"{len(collection)}: it was evaluated on another collection. "
                "Run `adacross evaluate retrieval` again."
            )
        label = collection.labels[example.query]
        view = example.view % collection.info.views
        found.append(
            Match(
                query=card(collection, example.query, view, PICTURE),
                results=tuple(
                    card(collection, index, view % collection.info.views, PICTURE)
                    for index, view in zip(results, views, strict=False)
                ),
                same_class=tuple(bool(label >= 0 and collection.labels[index] == label) for index in results),
                same_object=tuple(index == example.query for index in results),
            )
        )
    return tuple(found)


def _evaluated(folder: Path, collection: "Collection", retrieval: Retrieval) -> "Collection":
    """The collection that retrieval was measured on: the run's own unless its name says otherwise."""
    from adacross.data.collection.collection import Collection

    if Path(retrieval.data).name in (collection.folder.name, collection.info.name):
        return collection
    return Collection.open(find_collection(folder, retrieval.data, "evaluation/retrieval.json"))


def _facts(collection: "Collection") -> CollectionFacts:
    info = collection.info
    return CollectionFacts(
        name=info.name,
        kind=info.kind,
        source=info.source,
        count=info.count,
        points=info.points,
        views=info.views,
        view_size=info.view_size,
        classes=tuple(info.classes),
        splits=dict(info.splits),
        skipped=len(info.skipped),
        made=dict(info.made),
    )

"""Data of a report: sections read neither files nor encoders nor collections."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64


@dataclass(frozen=True, eq=False)
class Log:
    """The curves of `log.jsonl`; NaN where a line lacks a value.

    Attributes:
        steps: `(S,)` optimiser steps, rising.
        epochs: `(S,)`.
        values: total loss ("loss"), learning rate ("lr"), "seconds", "shapes_per_second", each `(S,)`.
        terms: every loss term, unweighted, `(S,)`.
        weights: every term's weight, `(S,)`.
        monitor_steps: `(M,)`.
        monitor: "probe_accuracy" and "recall_at_1", `(M,)`, as far as measured.
        truncated: the last line was cut off (a run that was stopped hard).
    """

    steps: Int64[np.ndarray, " S"]
    epochs: Float64[np.ndarray, " S"]
    values: dict[str, Float64[np.ndarray, " S"]]
    terms: dict[str, Float64[np.ndarray, " S"]]
    weights: dict[str, Float64[np.ndarray, " S"]]
    monitor_steps: Int64[np.ndarray, " M"]
    monitor: dict[str, Float64[np.ndarray, " M"]]
    truncated: bool = False


@dataclass(frozen=True)
class Probe:
    """Linear probe of one encoder: accuracy and C of every seed, mean and standard deviation."""

    accuracy: tuple[float, ...]
    mean: float
    std: float
    C: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Linear:
    """`evaluation/linear.json`.

    `confusion` is `(C, C)`, rows truth, columns prediction; `spread` says what the ± stands for; `encoders`
    counts the pre-trainings in the mean.
    """

    data: str
    points: int
    train: int
    test: int
    classifier: str
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    pretrained: Probe
    untrained: Probe
    gain: float
    confusion: Int64[np.ndarray, "C C"]
    spread: str = "mean ± standard deviation over seeds"
    encoders: int = 1


@dataclass(frozen=True)
class Direction:
    """Recall by k, mAP, and their standard deviations over repetitions ("recall@1", "mAP")."""

    recall: dict[int, float]
    mean_average_precision: float | None
    std: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """Shape-to-shape retrieval: pre-trained, untrained and chance."""

    points: int
    pretrained: Direction
    untrained: Direction
    chance: Direction


@dataclass(frozen=True)
class Example:
    """A query and its results, as indices into the collection, with their views."""

    query: int
    view: int
    results: tuple[int, ...]
    views: tuple[int, ...] = ()


@dataclass(frozen=True)
class Retrieval:
    """`evaluation/retrieval.json`; figures that it lacks are empty or None."""

    data: str
    gallery: int
    queries: int
    chance_recall_at_1: float
    image_to_shape: Direction
    shape_to_image: Direction
    examples: tuple[Example, ...]
    neighbors: tuple[Example, ...]
    shape_examples: tuple[Example, ...] = ()
    shape_to_shape: Search | None = None
    same_object: Search | None = None
    chance_precision: float | None = None
    spread: str = ""


@dataclass(frozen=True)
class CollectionFacts:
    """Facts about a collection."""

    name: str
    kind: str
    source: str
    count: int
    points: int
    views: int
    view_size: int
    classes: tuple[str, ...]
    splits: dict[str, int]
    skipped: int
    made: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """An image of a shape: `class_name` is None without a label, `image` is WebP."""

    id: str
    class_name: str | None
    image: bytes


@dataclass(frozen=True)
class Match:
    """A query with its results, each of the same class or object or not."""

    query: Card
    results: tuple[Card, ...]
    same_class: tuple[bool, ...]
    same_object: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Encoder features in two dimensions.

    Attributes:
        xy: `(n, 2)`.
        cards: one a point.
        projection: how `xy` was made ("t-SNE" or "PCA").
        split: which shapes ("test", or "all" where there is no test split).
        available: how many shapes that split has.
        same_class_neighbor: share of the points whose nearest other feature has their class, None where
            there are no labels.
        chance: the same share for a random neighbor.
    """

    xy: Float64[np.ndarray, "n 2"]
    cards: tuple[Card, ...]
    projection: str
    split: str
    available: int
    same_class_neighbor: float | None = None
    chance: float | None = None


@dataclass(frozen=True, eq=False)
class InteractiveCloud:
    """An interactive point cloud: `points` `(N, 3)` y up, `part` `(N,)` index into `parts`, or None."""

    card: Card
    points: Float32[np.ndarray, "N 3"]
    part: Int64[np.ndarray, " N"] | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """A shape that a method masked and completed; images are WebP.

    Attributes:
        id: of the shape.
        class_name: None without a label.
        clouds: the points given, those visible, the completed cloud.
        visible: share of the points that are visible.
        maps: the depth map given, its visible patches, the completed map, and the map drawn from the
            completed cloud; empty for a method that has none.
        view: side the map is seen from, an index into `adacross.ops.projection.VIEWS`.
    """

    id: str
    class_name: str | None
    clouds: tuple[bytes, bytes, bytes]
    visible: float
    maps: tuple[bytes, ...] = ()
    view: int | None = None


@dataclass(frozen=True)
class Completions:
    """Shapes that a method masked and completed.

    Attributes:
        shapes: of different classes.
        split: which shapes ("test", or "all" where there is no test split).
        seed: of the choice of shapes and of the masks.
        groups: how many of a cloud's coarsest groups were hidden, and of how many.
        patches: the same for a map's patches; None for a method that has none.
    """

    shapes: tuple[Completion, ...]
    split: str
    seed: int
    groups: tuple[int, int]
    patches: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class RunData:
    """The content of a report.

    Attributes:
        folder: the run's folder as the user gave it.
        config: `config.yaml`; `config_text` is the file itself.
        environment: `environment.json`, empty where there is none.
        log: the curves.
        linear: None before `adacross evaluate linear`; `retrieval` likewise.
        facts: the collection, None where it cannot be read.
        embedding: None where the encoder or the collection cannot be read.
        neighbors: shape -> shape by encoder features.
        image_to_shape: image -> shape.
        shape_to_image: shape -> image.
        clouds: at most six.
        completions: masked and completed shapes; None for a method that does not mask.
        random_precision: mAP of a random ranking, None where labels are not known.
        results: other results, by task (`adacross.report.tasks`).
        absent: reasons for empty attributes, by name.
    """

    folder: Path
    config: dict[str, Any]
    config_text: str
    environment: dict[str, Any]
    log: Log
    linear: Linear | None = None
    retrieval: Retrieval | None = None
    facts: CollectionFacts | None = None
    embedding: EmbeddingMap | None = None
    neighbors: tuple[Match, ...] = ()
    image_to_shape: tuple[Match, ...] = ()
    shape_to_image: tuple[Match, ...] = ()
    clouds: tuple[InteractiveCloud, ...] = ()
    completions: Completions | None = None
    random_precision: float | None = None
    results: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

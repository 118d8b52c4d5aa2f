"""Images of shapes, their nearest neighbors, and interactive clouds."""

import base64
import io
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Int64, UInt8
from PIL import Image

from adacross.data.collection.collection import Collection
from adacross.data.rendering.palette import part_colors
from adacross.data.rendering.render import orbit, render_cloud
from adacross.data.shape import PointCloud
from adacross.features.metrics import unit_rows
from adacross.report.page import Section, missing, section
from adacross.report.run import RunData

CLOUDS = 6
ROWS, FOUND = 8, 5  # queries, and results of each
THUMBNAIL, IMAGE = 112, 160  # pixels
_POINTS = 2048  # of an interactive cloud; more add bytes and hide nothing
CHARACTERS = 100  # of a class's name

Color = tuple[int, int, int]
GIVEN: Color = (147, 149, 152)
PREDICTED: Color = (199, 90, 25)
SIDE = 320  # pixels of a drawing: twice what is shown, for fine screens and smooth edges
_LIGHT = 0.78  # how much of their color balls show (adacross.data.rendering.shading, seen from the front)
_BALL = 0.9  # radius times the root of the number of points: a surface is about covered
_ROOM = 0.9  # clouds are drawn this much smaller: predicted points may lie outside the unit sphere

Kind = Literal["", "right", "wrong", "object"]


@dataclass(frozen=True)
class Card:
    """An image of a shape."""

    id: str  # of the shape
    class_name: str | None  # None without a label
    image: bytes  # a WebP file
    kind: Kind = ""  # a result of the query's class, of another, or the query itself

    @property
    def name(self) -> str:
        """The class, or the id without one."""
        return self.class_name or self.id

    @property
    def mark(self) -> str:
        """A sign of the kind, which needs no color."""
        return {"right": "✓", "wrong": "✗", "object": "★"}.get(self.kind, "")


def card(collection: Collection, index: int, size: int, view: int = 0, kind: Kind = "") -> Card:
    """Return one of a shape's images, at most `size` pixels wide, with its names."""
    image = webp(collection.view(index, view % collection.info.views), size)
    return Card(collection.ids[index], class_of(collection, index), image, kind)


def class_of(collection: Collection, index: int) -> str | None:
    """Return the name of a shape's class, None without a label."""
    label = int(collection.labels[index])
    return collection.info.classes[label][:CHARACTERS] if label >= 0 else None


def match(collection: Collection, example: Mapping[str, Any]) -> tuple[Card, list[Card]]:
    """Return a query with its first results as images.

    `query` and `results` of an example are indices in the collection; `view` and `views` say which images.
    """
    query, results = int(example["query"]), [int(index) for index in example["results"]][:FOUND]
    views = [int(view) for view in example.get("views") or [0] * len(results)]
    if not all(0 <= index < len(collection) for index in (query, *results)):
        raise IndexError(f"shape {max(query, *results)} of {len(collection)}")
    label = collection.labels[query]

    def kind(index: int) -> Kind:
        if index == query:
            return "object"
        return "" if label < 0 else "right" if collection.labels[index] == label else "wrong"

    asked, found = int(example.get("view", 0)), zip(results, views, strict=False)
    shown = [card(collection, index, IMAGE, view, kind(index)) for index, view in found]
    return card(collection, query, IMAGE, asked), shown


def neighbors(run: RunData) -> Section:
    """Return random shapes with the shapes whose features are most similar."""
    title, features = "Nearest neighbors", run.features
    if features is None or run.collection is None:
        return missing("neighbors", title, run.absent.get("features", "The collection holds no shapes."))
    if len(features.indices) < 2:
        return missing("neighbors", title, "A single shape has no neighbors.")
    unit = unit_rows(features.values)
    labels = run.collection.labels[features.indices]
    queries = spread(labels, ROWS, np.random.default_rng(run.seed))
    cosines = unit[queries] @ unit.T
    cosines[np.arange(len(queries)), queries] = -np.inf
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : min(FOUND, len(unit) - 1)]
    places = features.indices
    matches = [
        match(run.collection, {"query": places[query], "results": places[found]})
        for query, found in zip(queries, nearest, strict=True)
    ]
    which = "test shapes" if features.split == "test" else "shapes"
    return section(
        "neighbors", title, matches=matches, which=which, labeled=bool((labels >= 0).any()), found=FOUND
    )


def spread(labels: Int64[np.ndarray, " n"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """Return `count` positions, drawn at random from as many classes as possible."""
    order = rng.permutation(len(labels))
    seen: defaultdict[int, Iterator[int]] = defaultdict(itertools.count)
    turn = [next(seen[label]) for label in labels[order].tolist()]  # how many of the class come earlier
    return order[np.argsort(turn, kind="stable")][:count]


def varied(collection: Collection, seed: int) -> tuple[Literal["test", "all"], Int64[np.ndarray, " m"]]:
    """Return six shapes of different classes and their split: "test", or "all" where there is none."""
    split: Literal["test", "all"] = "test" if len(collection.indices("test")) else "all"
    available = collection.indices(split)
    return split, available[spread(collection.labels[available], CLOUDS, np.random.default_rng(seed))]


def point_clouds(run: RunData) -> Section:
    """Return interactive clouds, colored by height or by part."""
    title = "Interactive point clouds"
    if run.collection is None:
        return missing("shapes", title, run.absent.get("collection", "The collection is unknown."))
    _, chosen = varied(run.collection, run.seed)
    if not len(chosen):
        return missing("shapes", title, "The collection holds no shapes.")
    scenes = [_scene(run.collection, int(index)) for index in chosen]
    return section("shapes", title, scenes=scenes, by_part=any(scene["parts"] for scene in scenes))


def _scene(collection: Collection, index: int) -> dict[str, Any]:
    """Return a cloud as `report.js` reads it: coordinates in 1/32767, base64."""
    shape = collection[index]
    scene = {
        "card": card(collection, index, IMAGE),
        "count": len(shape.points),
        "points": _encoded((32767 * shape.points[:_POINTS].clip(-1, 1)).round().astype("<i2")),
        "part": "",
        "parts": [],
        "colors": [],
    }
    if shape.part is not None:
        part, names = shape.part[:_POINTS], collection.info.parts
        known: list[int] = np.unique(part[part >= 0]).tolist()
        scene |= {
            "part": _encoded(
                np.where(part < 0, 255, np.searchsorted(known, part)).clip(0, 255).astype(np.uint8)
            ),
            "parts": [names[value] if value < len(names) else str(value) for value in known],
            "colors": part_colors(map(str, known)),
        }
    return scene


def _encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def ball(count: int) -> float:
    """Return the radius of balls of which so many about cover a surface."""
    return _BALL * _ROOM / math.sqrt(count)


def draw_cloud(
    points: Float[np.ndarray, "N 3"],
    colors: Int[np.ndarray, "N 3"] | None = None,
    radius: float | None = None,
) -> UInt8[np.ndarray, "S S 3"]:
    """Return the image of a cloud in the unit sphere as balls; colors are 0 to 255, as they shall look."""
    if colors is not None:
        colors = (colors / _LIGHT).clip(0, 255).round().astype(np.uint8)
    cloud = PointCloud((_ROOM * points).astype(np.float32), colors=colors)
    image: UInt8[np.ndarray, "S S 3"] = render_cloud(cloud, orbit(1), SIDE, radius or ball(len(points)))[0]
    return image


def webp(image: UInt8[np.ndarray, "H W 3"], size: int) -> bytes:
    """Return an image as a WebP file, at most `size` pixels wide."""
    encoded = Image.fromarray(image)
    if max(encoded.size) > size:
        encoded.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    encoded.save(buffer, "WEBP", quality=78, method=4)
    return buffer.getvalue()

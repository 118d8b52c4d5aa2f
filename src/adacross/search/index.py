"""Nearest-neighbor search in a collection, by shape or by image."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Union

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8

from adacross.data.collection.collection import Collection
from adacross.data.sampling import unit_sphere
from adacross.data.shape import Axis, BrokenShapeError
from adacross.distributed.device import find_device
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode, frozen, in_batches
from adacross.errors import UserError, check_least, listed, one_of
from adacross.features.collection import BLOCK, FeatureCache, collection_features, feature_blocks, points_for
from adacross.features.sources import find_encoder
from adacross.features.whitening import FEWEST, Whitening, unit_rows
from adacross.methods import CrossModal
from adacross.search.facts import Facts
from adacross.search.lance import LanceRows
from adacross.search.query import Query, read_query
from adacross.search.results import Neighbors
from adacross.search.turns import turned
from adacross.training.networks import load_towers

MANY = 500_000  # shapes from which features lie in LanceDB
SAMPLE = 2**16  # of them, to which a whitening is fitted there
NO_CLASS = "(none)"  # listed for shapes without a class


Rows = Union[Float32[np.ndarray, "n D"], LanceRows]  # noqa: UP007  as below
Orientation = Literal["up", "any"]
QueryLike = Union[int, str, Path, Query, np.ndarray]  # noqa: UP007  the tests' type checker evaluates it


class SearchIndex:
    """Features of a collection, and the networks that encode queries.

    Features are computed once and cached in `features/` of the run, or of the collection for an encoder
    without a run. Search is exact: one matrix product a query, tens of milliseconds for 50,000 shapes. With a
    `store`, and from 500,000 shapes on where LanceDB is installed, features lie in LanceDB instead of memory,
    and a search looks into the nearest partitions (docs/embed.md has its recall).

    Args:
        collection: a prepared collection, or its folder.
        encoder: a run, an encoder folder, hf://owner/name, an encoder, or a method with an image tower.
        points: points of each cloud; by default as many as the encoder was trained with, 1,024 if unknown,
            all if fewer are stored.
        device: cpu or cuda; cuda if available.
        store: folder or s3:// address of a LanceDB database for the features.

    Attributes:
        collection: the searched collection.
        network: the encoder, or the method with both towers.
        features: `(n, D)` the encoder's features, rows of length 1 (with a store, of any length).
        vectors: `(n, K)` rows that shapes are compared by: `features`, whitened if there are enough shapes.
        joint: `(n, E)` projections into the joint space of clouds and images; None without an image tower.
        points: points of each shape that are encoded.
        device: where queries are encoded.
        cache: of everything that is computed from the features.

    Raises:
        UserError: no such collection or encoder, an empty collection, more points than are stored, or damaged
            files.

    Example:
        >>> index = SearchIndex("collections/parts", "runs/parts")  # doctest: +SKIP
        >>> index.search("bracket.stl", top=10).table()  # doctest: +SKIP
    """

    def __init__(
        self,
        collection: Collection | str | Path,
        encoder: Encoder | CrossModal | str | Path,
        *,
        points: int | None = None,
        device: str | None = None,
        store: str | Path | None = None,
    ) -> None:
        self.collection = collection if isinstance(collection, Collection) else Collection.open(collection)
        if not len(self.collection):
            raise UserError(f"{self.collection.folder} holds no shapes, so there is nothing to search.")
        check_least(points=points)
        network, run = encoder, None
        if not isinstance(network, torch.nn.Module):
            entry = find_encoder(str(network))
            network, run = load_towers(entry), entry.run
        self.device = find_device(device)
        self.network = network.to(self.device).eval()
        self.points = points_for(self.encoder, points, self.collection.info.points)
        place = run or self.collection.folder
        self.cache = FeatureCache.of(self.encoder, self.collection, self.points, place)
        self._whitening: Whitening | None = None
        self.features: Rows
        self.vectors: Rows
        self.joint: Rows | None = None
        if store is None and len(self) >= MANY and find_spec("lancedb"):
            store = self.cache.folder / "lance"
        if store is None:
            features = collection_features(
                self.encoder, self.collection, points=self.points, device=str(self.device), cache=self.cache
            )
            self.features = unit_rows(features)
            self._whiten(lambda: self.features[:])
            self.vectors = self._transform(self.features[:])
            if isinstance(self.network, CrossModal):
                self.joint = self._project(features)
        else:
            self._open(str(store))

    def _open(self, store: str) -> None:
        """Open the features in a LanceDB database, after computing what it lacks."""
        open_rows = partial(LanceRows.open, store, count=len(self))
        key = self.cache.key
        encoded = partial(
            feature_blocks, self.encoder, self.collection, points=self.points, device=str(self.device)
        )
        features = open_rows(name=f"features-{key}", blocks=encoded, searched=False)
        self.features = features
        sample = np.sort(np.random.default_rng(0).permutation(len(self))[:SAMPLE])
        self._whiten(lambda: unit_rows(features[sample]))

        def blocks(start: int, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
            yield from (change(features[i : i + BLOCK]) for i in range(start, len(self), BLOCK))

        vectors = partial(blocks, change=lambda rows: self._transform(unit_rows(rows)))
        self.vectors = open_rows(name=f"vectors-{key}", blocks=vectors)
        if isinstance(self.network, CrossModal):
            self.joint = open_rows(name=f"joint-{key}", blocks=partial(blocks, change=self._project))

    def _whiten(self, sample: Callable[[], np.ndarray]) -> None:
        """Fit the whitening to features of length 1, if there are shapes enough."""
        if len(self) >= FEWEST:
            arrays = self.cache.load_or_compute(
                "whitening", lambda: vars(Whitening.fit(sample())), rows=self.features.shape[1]
            )
            self._whitening = Whitening(arrays["mean"], arrays["axes"])

    def _project(self, features: Float32[np.ndarray, "k D"]) -> Float32[np.ndarray, "k E"]:
        """Return features in the joint space of clouds and images."""
        if not isinstance(self.network, CrossModal):
            raise TypeError("an encoder alone has no joint space")
        with frozen(self.network):
            return unit_rows(in_batches(self.network.point_head, features, 1024, self.device))

    def __repr__(self) -> str:
        encoder = type(self.encoder).__name__
        return f"SearchIndex({str(self.collection.folder)!r}, {encoder}, {self.points} points)"

    def __len__(self) -> int:
        return len(self.collection)

    @property
    def encoder(self) -> Encoder:
        """The encoder of shapes."""
        return self.network.encoder if isinstance(self.network, CrossModal) else self.network

    @cached_property
    def facts(self) -> Facts:
        """Sizes, paths, copies and names of the shapes."""
        return Facts.of(self.collection)

    def class_of(self, i: int) -> str | None:
        """Return the name of shape `i`'s class, None where it has none."""
        label = int(self.collection.labels[i])
        return self.collection.info.classes[label] if label >= 0 else None

    def search(
        self,
        query: QueryLike,
        top: int = 10,
        *,
        classes: Iterable[str] | None = None,
        up: Axis | None = None,
        orientation: Orientation = "up",
        among: Bool[np.ndarray, " n"] | None = None,
    ) -> Neighbors:
        """Return the `top` shapes most similar to a query, by cosine similarity.

        Args:
            query: a shape's index or id; the file of a mesh, a cloud or an image; points `(N, 3)`; or an
                image `(H, W, 3)` uint8. A shape of the collection does not find itself.
            top: number of results; fewer if there are not as many.
            classes: names of the classes to search in; all by default.
            up: the axis that points up in a file.
            orientation: any, if a shape may lie as it likes: it is compared in 48 orientations, and of each
                similarity the best is kept. With an encoder that was trained on any orientation, both are
                the same.
            among: the shapes to search in, `(n,)`; all by default.

        Raises:
            UserError: no such shape or file, a damaged one, an image without an image tower, or an unknown
                class.
        """
        check_least(top=top)
        query = self.encode(query if isinstance(query, Query) else self.query(query, up), orientation)
        rows = self.compared(query)
        candidates = self.candidates(classes)
        if among is not None:
            candidates &= among
        if query.index is not None:
            candidates[query.index] = False
        found, similarities = nearest(rows, np.asarray(query.vectors), candidates, top)
        order = np.lexsort((found, -similarities))
        space = "shapes" if query.image is None else "images"
        return Neighbors(query, self.collection, space, found[order], similarities[order])

    def query(self, query: QueryLike, up: Axis | None = None) -> Query:
        """Read a query, so that `search` can take it repeatedly; errors are as of `search`."""
        if isinstance(query, Query):
            return query
        if isinstance(query, np.ndarray):
            return _query_from_array(query)
        if isinstance(query, str) and query in self.collection.ids:
            query = self.collection.ids.index(query)
        if isinstance(query, int):
            if not 0 <= query < len(self):
                raise UserError(f"there is no shape {query}; expected 0 to {len(self) - 1}.")
            return Query(self.collection.ids[query], self.cloud(query), index=query)
        if not Path(query).exists() and len(named := self.facts.find(str(query))):
            if len(named) == 1:
                return self.query(int(named[0]))
            names = listed([self.collection.ids[i] for i in named])
            raise UserError(
                f"{query} is the name of {len(named):,} shapes ({names}); expected the id of one."
            )
        return read_query(Path(query), points=self.points, size=self.image_size, up=up)

    def encode(self, query: Query, orientation: Orientation = "up") -> Query:
        """Return a query with its vectors, so that searching again does not encode again."""
        one_of("orientation", orientation, ("up", "any"))
        turning = orientation == "any" and query.image is None and self.encoder.inputs.up != "any"
        if query.vectors is not None and (len(query.vectors) > 1) == turning:
            return query
        if query.image is not None:
            return replace(query, vectors=self._encode_image(query.image))
        if query.index is not None and not turning:
            return replace(query, vectors=self.vectors[query.index][None])
        if query.points is None:
            raise UserError(
                f"the query {query.name!r} is empty; expected points, an image or a shape's index."
            )
        clouds = turned(query.points) if turning else query.points[None]
        return replace(
            query, vectors=self._transform(unit_rows(encode(self.encoder, clouds, device=self.device)))
        )

    def compared(self, query: Query) -> Rows:
        """Return the rows that an encoded query is compared with."""
        return self.vectors if query.image is None or self.joint is None else self.joint

    def similarities(self, query: Query) -> Float32[np.ndarray, " n"]:
        """Return the cosines of all shapes and an encoded query, the best of its orientations each."""
        return best_of(self.compared(query), np.asarray(query.vectors))

    def cloud(self, i: int) -> Float32[np.ndarray, "N 3"]:
        """Return the points of shape `i` that are encoded."""
        return self.collection.points(np.array([i]))[0, : self.points]

    @property
    def image_size(self) -> int:
        """Side of a query image in pixels: that of the collection's images."""
        size = self.network.image_size if isinstance(self.network, CrossModal) else 224
        return self.collection.info.view_size if self.collection.info.views else size

    def candidates(self, classes: Iterable[str] | None) -> Bool[np.ndarray, " n"]:
        """Return a mask of the shapes of some classes; of all shapes for None."""
        names, labels = self.collection.info.classes, self.collection.labels
        if classes is None:
            return np.ones(len(labels), dtype=bool)
        wanted = list(classes)
        for name in wanted:
            one_of("class", name, [*names, NO_CLASS])
        return np.isin(labels, [-1 if name == NO_CLASS else names.index(name) for name in wanted])

    def _transform(self, features: Float32[np.ndarray, "k D"]) -> Float32[np.ndarray, "k K"]:
        """Return the encoder's features as they are compared with `vectors`."""
        return features if self._whitening is None else unit_rows(self._whitening(features))

    def _encode_image(self, image: UInt8[np.ndarray, "S S 3"]) -> Float32[np.ndarray, "1 E"]:
        if not isinstance(self.network, CrossModal):
            raise UserError(
                "an image query needs an image tower, which an encoder alone does not have. Give the run of "
                "crosspoint, crossnet or adacrossnet that it comes from, or a mesh or a cloud as the query."
            )
        with frozen(self.network):
            vector = self.network.embed_pictures(torch.from_numpy(image.copy())[None].to(self.device))
        return unit_rows(vector.float().cpu().numpy())


def best_of(rows: Rows, vectors: Float32[np.ndarray, "o D"]) -> Float32[np.ndarray, " n"]:
    """Return the largest product of each row with any of some vectors."""
    best: Float32[np.ndarray, " n"] = np.max([rows @ vector for vector in vectors], axis=0)
    return best


def nearest(
    rows: Rows, vectors: Float32[np.ndarray, "o D"], candidates: Bool[np.ndarray, " n"], top: int
) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """Return the `top` candidates most similar to any of the vectors, unordered, and their similarities."""
    if isinstance(rows, LanceRows) and len(vectors) == 1:
        close = rows.nearest(vectors[0], candidates, top)
        if close is not None:
            return close
    similarities = best_of(rows, vectors)
    similarities[~candidates] = -np.inf
    count = min(top, int(candidates.sum()))
    found = np.argpartition(-similarities, count - 1)[:count] if count else np.zeros(0, dtype=np.int64)
    return found.astype(np.int64), similarities[found]


def _query_from_array(array: np.ndarray) -> Query:
    """Return the query of a cloud `(N, 3)` or an image `(H, W, 3)`."""
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8:
        return Query("an image", image=array)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise UserError(
            f"an array {array.shape} of {array.dtype} is not a query; expected points (N, 3), or an image "
            "(H, W, 3) of uint8."
        )
    try:
        return Query("a cloud", points=unit_sphere(array)[0])
    except BrokenShapeError as error:
        raise UserError(f"the cloud is not a query: {error}.") from None

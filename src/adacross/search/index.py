"""An index of a collection: what lies nearest to a shape or a picture."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from adacross.console import Table
from adacross.data.collection.collection import Collection
from adacross.data.sampling import unit_sphere
from adacross.data.source import Axis, BrokenShapeError
from adacross.distributed.device import find_device
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode, frozen
from adacross.errors import UserError, one_of, shortened
from adacross.features.collection import points_for
from adacross.features.sources import find_encoders
from adacross.methods import CrossModal, method_class
from adacross.search.features import Features, Network, Store, collection_features, unit_rows
from adacross.search.query import Query, read_query
from adacross.training.config import PretrainConfig
from adacross.training.networks import load_method

NO_CLASS = "(none)"  # what shapes without a class are listed under

Asked = Union[int, str, Path, Query, np.ndarray]  # noqa: UP007  the tests' type checker evaluates it


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The shapes nearest to a query, the most similar first.

    Attributes:
        query: what was searched for.
        compared: by what: "shapes" (the encoder's features) or "pictures" (the space shared with clouds).
        indices: `(k,)` their places in the collection.
        similarities: `(k,)` cosines, 1 for the same direction.
        ids: their ids.
        classes: the names of their classes, None where there is none.
    """

    query: Query
    compared: str
    indices: Int64[np.ndarray, " k"]
    similarities: Float32[np.ndarray, " k"]
    ids: tuple[str, ...]
    classes: tuple[str | None, ...]

    def table(self) -> Table:
        """Rank, id, class and similarity."""
        table = Table(title=f"nearest to {self.query.name}")
        for name, side in (("rank", "right"), ("id", "left"), ("class", "left"), ("similarity", "right")):
            table.add_column(name, justify="right" if side == "right" else "left")
        rows = zip(self.ids, self.classes, self.similarities, strict=True)
        for rank, (name, class_name, similarity) in enumerate(rows, 1):
            table.add_row(str(rank), name, shortened(class_name or ""), f"{similarity:.3f}")
        return table


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """A collection's features, and the networks that make a query's. Made by `build`.

    Attributes:
        collection: what is searched.
        network: the encoder, or the method with both towers.
        features: of every shape.
        points: of each shape that are encoded.
        device: where queries are encoded.
        store: where what was computed is kept.
    """

    collection: Collection
    network: Network
    features: Features
    points: int
    device: torch.device
    store: Store

    @classmethod
    def build(
        cls,
        collection: Collection | str | Path,
        encoder: Network | str | Path,
        *,
        points: int | None = None,
        device: str | None = None,
    ) -> "SearchIndex":
        """Encode a collection, or read the features that an earlier call has kept.

        Args:
            collection: a prepared collection, or its folder.
            encoder: a run, an encoder's folder, hf://owner/name, an encoder, or a method with an image tower.
            points: points of each cloud; by default as many as the encoder was trained with, 1,024 where
                that is not known, all where there are fewer.
            device: cpu or cuda; cuda if there is one.

        Raises:
            UserError: no such collection or encoder, an empty collection, more points than are stored, or
                damaged files.
        """
        opened = collection if isinstance(collection, Collection) else Collection.open(collection)
        if not len(opened):
            raise UserError(f"{opened.folder} holds no shapes, so there is nothing to search.")
        network, run = (encoder, None) if isinstance(encoder, torch.nn.Module) else _found(str(encoder))
        own = network.encoder if isinstance(network, CrossModal) else network
        if points is not None and points < 1:
            raise UserError(f"points is {points}; expected at least 1.")
        count = points_for(own, points, opened.info.points)
        target = find_device(device)
        store = Store.of(opened, network, count, run)
        features = collection_features(opened, network, count, target, store)
        return cls(opened, network.to(target).eval(), features, count, target, store)

    @property
    def encoder(self) -> Encoder:
        """What makes features of shapes."""
        return self.network.encoder if isinstance(self.network, CrossModal) else self.network

    @property
    def knows_pictures(self) -> bool:
        """Whether a picture can be a query."""
        return self.features.shared is not None

    def class_of(self, i: int) -> str | None:
        """The name of shape `i`'s class, None where it has none."""
        label = int(self.collection.labels[i])
        return self.collection.info.classes[label] if label >= 0 else None

    def nearest(
        self, query: Asked, top: int = 10, *, classes: Iterable[str] | None = None, up: Axis | None = None
    ) -> Neighbours:
        """Return the `top` shapes most similar to a query, by cosine.

        Args:
            query: a shape's index or id; the file of a mesh, a cloud or a picture; points `(N, 3)`; or a
                picture `(H, W, 3)` uint8. A shape of the collection does not find itself.
            top: how many; fewer where there are not so many.
            classes: names of the classes to search in; all by default.
            up: the axis that points up in a file.

        Raises:
            UserError: no such shape or file, a damaged one, a picture where there is no image tower, or an
                unknown class.
        """
        if top < 1:
            raise UserError(f"top is {top}; expected at least 1.")
        asked = query if isinstance(query, Query) else self.query(query, up)
        asked = self.encoded(asked)
        shared = self.features.shared if asked.picture is not None else None
        similarities = (self.features.compared if shared is None else shared) @ asked.vector
        allowed = self.allowed(classes)
        if asked.own is not None:
            allowed[asked.own] = False
        similarities[~allowed] = -np.inf
        count = min(top, int(allowed.sum()))
        first = np.argpartition(-similarities, count - 1)[:count] if count else np.zeros(0, dtype=np.int64)
        order = first[np.lexsort((first, -similarities[first]))].astype(np.int64)
        return Neighbours(
            asked,
            "shapes" if asked.picture is None else "pictures",
            order,
            similarities[order],
            tuple(self.collection.ids[i] for i in order),
            tuple(self.class_of(int(i)) for i in order),
        )

    def query(self, given: Asked, up: Axis | None = None) -> Query:
        """What a user gave as a query that `nearest` can take again and again.

        Raises:
            UserError: as `nearest`.
        """
        if isinstance(given, Query):
            return given
        if isinstance(given, np.ndarray):
            return _of_array(given)
        if isinstance(given, str) and given in self.collection.ids:
            given = self.collection.ids.index(given)
        if isinstance(given, int):
            if not 0 <= given < len(self.collection):
                raise UserError(f"shape {given} is not there; expected 0 to {len(self.collection) - 1}.")
            return Query(self.collection.ids[given], self.cloud(given), own=given)
        return read_query(Path(given), points=self.points, size=self.picture_side, up=up)

    def cloud(self, i: int) -> Float32[np.ndarray, "N 3"]:
        """The points of shape `i` that are encoded."""
        return self.collection.points(np.array([i]))[0, : self.points]

    @property
    def picture_side(self) -> int:
        """Side of a picture as the image tower knows them: that of the collection's own, in pixels."""
        size = self.network.image_size if isinstance(self.network, CrossModal) else 224
        return self.collection.info.view_size if self.collection.info.views else size

    def allowed(self, classes: Iterable[str] | None) -> np.ndarray:
        """Which shapes are of the classes."""
        names = self.collection.info.classes
        labels = self.collection.labels
        if classes is None:
            return np.ones(len(labels), dtype=bool)
        wanted = list(classes)
        for name in wanted:
            one_of("class", name, [*names, NO_CLASS])
        return np.isin(labels, [-1 if name == NO_CLASS else names.index(name) for name in wanted])

    def encoded(self, query: Query) -> Query:
        """A query with its vector, so that searching again does not encode again.

        Raises:
            UserError: a picture where there is no image tower, or neither points nor a picture.
        """
        if query.vector is not None:
            return query
        if query.picture is not None:
            return replace(query, vector=self._picture_vector(query.picture))
        if query.own is not None:
            return replace(query, vector=self.features.compared[query.own])
        if query.points is None:
            raise UserError(
                f"the query {query.name!r} is empty; expected points, a picture or a shape's index."
            )
        found = encode(self.encoder, query.points[None], device=self.device)
        return replace(query, vector=self.features.like(found)[0])

    def _picture_vector(self, picture: UInt8[np.ndarray, "S S 3"]) -> Float32[np.ndarray, " E"]:
        if not self.knows_pictures or not isinstance(self.network, CrossModal):
            raise UserError(
                "a picture cannot be searched for with an encoder alone. Give the run of crosspoint, "
                "crossnet or adacrossnet that it comes from, or a mesh or a cloud as the query."
            )
        with frozen(self.network):
            found = self.network.embed_pictures(torch.from_numpy(picture.copy())[None].to(self.device))
        return unit_rows(found.float().cpu().numpy())[0]


def _found(name: str) -> tuple[Network, Path | None]:
    """A run's method where it has an image tower, else the encoder; and the run."""
    (found, *others) = find_encoders(name)
    if others:
        raise UserError(f"{name} matches {len(others) + 1} runs; expected one.")
    if found.run and issubclass(method_class(PretrainConfig.load(found.run).method), CrossModal):
        method, _ = load_method(found.run)
        if isinstance(method, CrossModal):
            return method, found.run
    return found.encoder, found.run


def _of_array(given: np.ndarray) -> Query:
    """A cloud `(N, 3)` or a picture `(H, W, 3)`."""
    if given.ndim == 3 and given.shape[2] == 3 and given.dtype == np.uint8:
        return Query("a picture", picture=given)
    if given.ndim != 2 or given.shape[1] != 3 or given.dtype.kind not in "fiu":
        raise UserError(
            f"an array {given.shape} of {given.dtype} is no query; expected points (N, 3), or a picture "
            "(H, W, 3) of uint8."
        )
    try:
        return Query("a cloud", points=unit_sphere(given)[0])
    except BrokenShapeError as error:
        raise UserError(f"the cloud is no query: {error}.") from None

"""What `evaluate retrieval` measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from adacross.console import Table
from adacross.evaluation.results import Figure

RANKS = (1, 5, 10)
NAMES = (*(f"recall@{rank}" for rank in RANKS), "mAP")
PICTURES = ("image_to_shape", "shape_to_image")


@dataclass(frozen=True)
class Example:
    """One query and its first results, as indices into the collection.

    Attributes:
        query: the shape.
        view: the picture of it that was asked with, or that it may be drawn by.
        results: shapes, the nearest first.
        views: which picture of each was found, where pictures were searched.
    """

    query: int
    view: int
    results: list[int]
    views: list[int]


@dataclass(frozen=True)
class Search:
    """Shapes that search shapes: recall@1, 5, 10 and mAP, by name.

    Attributes:
        points: of each cloud.
        pretrained: with the encoder's features.
        untrained: with those of the same encoder, freshly drawn.
        chance: of a random ranking, exactly.
    """

    points: int
    pretrained: dict[str, Figure]
    untrained: dict[str, Figure]
    chance: dict[str, float]


@dataclass(frozen=True)
class RetrievalResult:
    """What `evaluate retrieval` measured.

    Every test shape searches the test shapes. What is not there is empty, or None.

    Attributes:
        gallery: how many are searched.
        queries: how many search.
        image_to_shape: shapes found by one picture of each, in the space shared with pictures. Recall@k
            counts the very object, mAP shapes of its class. Means over the repetitions, whose deviations are
            in `std`.
        shape_to_image: the other way round.
        chance: of both, for a random ranking.
        shape_to_shape: shapes of its class among the others, found by a shape.
        same_object: the very object, found from points of it that the gallery's cloud does not have.
        examples: pictures and the shapes they find.
        shape_examples: shapes and the pictures they find.
        neighbours: shapes and the nearest others.
    """

    task: str
    data: str
    encoders: list[str]
    gallery: int
    queries: int
    points: int
    spread: str
    seeds: list[int]
    chance_recall_at_1: float
    image_to_shape: dict[str, float]
    shape_to_image: dict[str, float]
    std: dict[str, dict[str, float]]
    chance: dict[str, float]
    shape_to_shape: Search | None
    same_object: Search | None
    examples: list[Example]
    shape_examples: list[Example]
    neighbours: list[Example]

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.data}: retrieval among {self.gallery} test shapes, {self.points} points, per cent"
        table = Table(title=title, caption=self.spread)
        table.add_column("search")
        for column in ("by", *NAMES):
            table.add_column(column, no_wrap=True)
        for direction in PICTURES:
            if found := getattr(self, direction):
                std = self.std[direction]
                figures = {name: Figure([], mean, std[name]) for name, mean in found.items()}
                table.add_row(direction.replace("_", " "), "pre-trained", *_cells(figures))
        if self.image_to_shape:
            table.add_row("", "chance", *_cells(self.chance), end_section=True)
        both = (("shape to its class", self.shape_to_shape), ("shape, other points", self.same_object))
        for what, search in ((what, search) for what, search in both if search):
            table.add_row(what, "pre-trained", *_cells(search.pretrained))
            table.add_row("", "untrained", *_cells(search.untrained))
            table.add_row("", "chance", *_cells(search.chance), end_section=True)
        return table


def _cells(figures: Mapping[str, Figure | float]) -> list[str]:
    return [_cell(figures.get(name)) for name in NAMES]


def _cell(figure: Figure | float | None) -> str:
    if figure is None:
        return "–"
    return f"{100 * figure:.2f}" if isinstance(figure, float) else str(figure).removesuffix(" %")

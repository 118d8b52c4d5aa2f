"""Tables of cross-modal and shape-to-shape retrieval."""

from collections.abc import Sequence

from adacross.report import commands
from adacross.report.html import Html, join, missing, percent, plural, table, tag
from adacross.report.inputs import Direction, Retrieval, RunData
from adacross.report.names import masks, no_shared_space


def retrieval_tables(data: RunData, retrieval: Retrieval) -> Html:
    """Return the tables of cross-modal and of shape-to-shape retrieval."""
    parts = []
    if retrieval.image_to_shape.recall:
        parts += [tag("h3", "Cross-modal retrieval"), _images(data, retrieval)]
    elif masks(data):
        parts += [tag("p", no_shared_space(data), class_="note")]
    if retrieval.shape_to_shape or retrieval.same_object:
        parts += [tag("h3", "Shape-to-shape retrieval"), _shapes(retrieval)]
    elif data.facts and data.facts.classes:
        reason = "Shape-to-shape retrieval has not been evaluated yet."
        parts += [missing(reason, commands.evaluate(data, "retrieval"))]
    return join(parts)


def _images(data: RunData, retrieval: Retrieval) -> Html:
    ranks = sorted(retrieval.image_to_shape.recall)
    both = (
        ("image → shape", retrieval.image_to_shape),
        ("shape → image", retrieval.shape_to_image),
    )
    labeled = data.facts is None or bool(data.facts.classes)
    rows = [[name, *_figures(direction, ranks, labeled=labeled)] for name, direction in both]
    chances = [percent(min(rank * retrieval.chance_recall_at_1, 1.0), 2) for rank in ranks]
    random = data.random_precision if retrieval.chance_precision is None else retrieval.chance_precision
    rows.append(["chance", *chances, percent(random) if random and labeled else "–"])
    note = (
        f"{plural(retrieval.queries, 'query')} against {plural(retrieval.gallery, 'test shape')} of "
        f"“{retrieval.data}”. recall@k: the same object is among the first k. "
        f"mAP: mean average precision for objects of the same class.{_spread(retrieval)}"
    )
    columns = ("direction", *(f"recall@{rank}" for rank in ranks), "mAP")
    return table(f"Retrieval on {retrieval.data}", columns, rows, note=note, class_="numbers")


def _shapes(retrieval: Retrieval) -> Html:
    ranks: list[int] = []
    rows = []
    notes = []
    same_class, itself = retrieval.shape_to_shape, retrieval.same_object
    if same_class:
        notes.append("Same class: every test shape queries the other test shapes for its class.")
    if itself:
        notes.append(
            f"Itself: every test shape, by {plural(itself.points, 'point')} of it, queries all test shapes, "
            "each given by as many other points."
        )
    for what, search in (("same class", same_class), ("itself, other points", itself)):
        if search is None:
            continue
        ranks = ranks or sorted(search.pretrained.recall)
        rows += [
            [f"{what}, pre-trained", *_figures(search.pretrained, ranks)],
            [f"{what}, untrained", *_figures(search.untrained, ranks)],
            [f"{what}, chance", *_figures(search.chance, ranks, digits=2)],
        ]
    columns = ("search", *(f"recall@{rank}" for rank in ranks), "mAP")
    note = f"{' '.join(notes)} Encoder features, cosine similarity.{_spread(retrieval)}"
    return table(f"Shape-to-shape retrieval on {retrieval.data}", columns, rows, note=note, class_="numbers")


def _figures(
    direction: Direction, ranks: Sequence[int], *, labeled: bool = True, digits: int = 1
) -> list[str]:
    std = direction.std
    cells = [_cell(direction.recall.get(rank), std.get(f"recall@{rank}"), digits) for rank in ranks]
    return [*cells, _cell(direction.mean_average_precision if labeled else None, std.get("mAP"), digits)]


def _cell(mean: float | None, std: float | None, digits: int) -> str:
    if mean is None:
        return "–"
    return f"{100 * mean:.1f} ± {100 * std:.1f}\u00a0%" if std else percent(mean, digits)


def _spread(retrieval: Retrieval) -> str:
    return f" ±: {retrieval.spread}." if retrieval.spread else ""

"""Examples of nearest neighbors and of retrieval."""

from adacross.report import commands
from adacross.report.html import Html, Section, image, join, missing, tag
from adacross.report.inputs import Card, Match, RunData
from adacross.report.names import masks, no_shared_space


def retrieval_examples(data: RunData) -> Section:
    """Return shape -> shape neighbors, image -> shape and shape -> image retrieval."""
    title = "Neighbors and retrieval"
    near = _rows(
        data,
        "neighbors",
        data.neighbors,
        "A shape and the five test shapes with the most similar features (cosine). "
        "The encoder sees only the points.",
        objects=False,
    )
    found = _rows(
        data,
        "image_to_shape",
        data.image_to_shape,
        "An image and the five shapes nearest to it in the joint space, the same object marked with a star.",
        objects=True,
        asked="image of",
    )
    imaged = _rows(
        data,
        "shape_to_image",
        data.shape_to_image,
        "A shape and the five images nearest to it in the joint space, among one of each test shape, "
        "the same object marked with a star.",
        objects=True,
    )
    drawn = "Queries are chosen at random."
    intro = [tag("p", drawn)] if data.neighbors or data.image_to_shape else []
    body = [*intro, tag("h3", "Shape → shape"), near]
    if masks(data):
        body += [tag("p", no_shared_space(data), class_="note")]
    else:
        body += [tag("h3", "Image → shape"), found, tag("h3", "Shape → image"), imaged]
    return Section("neighbors", title, join(body))


def _rows(
    data: RunData, field: str, matches: tuple[Match, ...], text: str, *, objects: bool, asked: str = "query"
) -> Html:
    if not matches:
        if field in data.absent:
            return missing(data.absent[field])
        if data.retrieval is None:
            return missing("Retrieval has not been evaluated yet.", commands.evaluate(data, "retrieval"))
        return missing("The evaluation has no examples.", commands.evaluate(data, "retrieval"))
    labeled = any(match.query.class_name for match in matches)
    rows = [_row(match, asked, objects=objects, labeled=labeled) for match in matches]
    legend = _legend(objects=objects, labeled=labeled)
    return join([tag("p", text), legend, tag("div", *rows, class_="matches")])


def _legend(*, objects: bool, labeled: bool) -> Html:
    items = []
    if objects:
        items.append(tag("span", tag("i", class_="swatch object"), "★ the same object"))
    if labeled:
        items.append(tag("span", tag("i", class_="swatch right"), "✓ same class"))
        items.append(tag("span", tag("i", class_="swatch wrong"), "✗ another class"))
    return tag("p", *items, class_="legend") if items else Html("")


def _row(match: Match, asked: str, *, objects: bool, labeled: bool) -> Html:
    cells = [_figure(match.query, asked, "query", "")]
    for rank, (card, same_class, same_object) in enumerate(
        zip(match.results, match.same_class, match.same_object, strict=True), start=1
    ):
        if objects and same_object:
            kind, mark = "object", "★"
        elif labeled:
            kind, mark = ("right", "✓") if same_class else ("wrong", "✗")
        else:
            kind, mark = "", ""
        cells.append(_figure(card, f"result {rank}", kind, mark))
    return tag("div", *cells, class_="match", role="group", aria_label=f"{asked} {match.query.id}")


def _figure(card: Card, role: str, kind: str, mark: str) -> Html:
    said = {"object": ", the same object", "right": ", same class", "wrong": ", another class"}.get(kind, "")
    name = card.class_name or card.id
    label = [tag("span", f"{mark} ", class_="mark")] if mark else []
    return tag(
        "figure",
        image(card.image, f"{role}: {name}{said}", 160),
        tag("figcaption", *label, name, tag("small", card.id) if card.class_name else "", title=card.id),
        class_=f"card {kind}".strip(),
    )

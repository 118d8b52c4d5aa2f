"""Neighbours and retrieval as pictures."""

from adacross.report import commands
from adacross.report.html import Html, Section, join, missing, picture, tag
from adacross.report.inputs import Card, Match, RunData
from adacross.report.names import masks, no_shared_space


def pictures(data: RunData) -> Section:
    """Return shape -> shape neighbours, picture -> shape and shape -> picture retrieval."""
    title = "Neighbours and retrieval"
    near = _rows(
        data,
        "neighbours",
        data.neighbours,
        "A shape and the five test shapes whose features are nearest (cosine). "
        "Each is drawn by one of its pictures; the encoder saw only the points.",
        objects=False,
    )
    found = _rows(
        data,
        "retrieved",
        data.retrieved,
        "A picture and the five shapes nearest to it in the joint space, "
        "each drawn by one of its own pictures. The true object carries a star.",
        objects=True,
        asked="picture of",
    )
    pictured = _rows(
        data,
        "pictured",
        data.pictured,
        "A shape, of which the encoder saw only the points, and the five pictures nearest to it in the joint "
        "space, among one picture of each test shape. That of the true object carries a star.",
        objects=True,
    )
    drawn = "Queries were drawn at random, not chosen by hand."
    intro = [tag("p", drawn)] if data.neighbours or data.retrieved else []
    body = [*intro, tag("h3", "Shape → shape"), near]
    if masks(data):
        body += [tag("p", no_shared_space(data), class_="note")]
    else:
        body += [tag("h3", "Picture → shape"), found, tag("h3", "Shape → picture"), pictured]
    return Section("neighbours", title, join(body))


def _rows(
    data: RunData, field: str, matches: tuple[Match, ...], text: str, *, objects: bool, asked: str = "query"
) -> Html:
    if not matches:
        if field in data.absent:
            return missing(data.absent[field])
        if data.retrieval is None:
            return missing("Retrieval has not been measured yet.", commands.evaluate(data, "retrieval"))
        return missing("The evaluation kept no examples.", commands.evaluate(data, "retrieval"))
    labelled = any(match.query.class_name for match in matches)
    rows = [_row(match, asked, objects=objects, labelled=labelled) for match in matches]
    legend = _legend(objects=objects, labelled=labelled)
    return join([tag("p", text), legend, tag("div", *rows, class_="matches")])


def _legend(*, objects: bool, labelled: bool) -> Html:
    items = []
    if objects:
        items.append(tag("span", tag("i", class_="swatch object"), "★ the same object"))
    if labelled:
        items.append(tag("span", tag("i", class_="swatch right"), "✓ same class"))
        items.append(tag("span", tag("i", class_="swatch wrong"), "✗ another class"))
    return tag("p", *items, class_="legend") if items else Html("")


def _row(match: Match, asked: str, *, objects: bool, labelled: bool) -> Html:
    cells = [_figure(match.query, asked, "query", "")]
    for rank, (card, same_class, same_object) in enumerate(
        zip(match.results, match.same_class, match.same_object, strict=True), start=1
    ):
        if objects and same_object:
            kind, mark = "object", "★"
        elif labelled:
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
        picture(card.picture, f"{role}: {name}{said}", 160),
        tag("figcaption", *label, name, tag("small", card.id) if card.class_name else "", title=card.id),
        class_=f"card {kind}".strip(),
    )

"""Markup that is safe by construction: plain strings are escaped, only `Html` passes through.

Class names, file names and options come from users; every piece of the page is built by `tag`, so none of
them can become markup.
"""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_VOID = {"img", "input", "meta", "link", "br"}


class Html(str):
    """A string that is markup already."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        anchor: the id that the navigation links to.
        title: the heading.
        body: the markup below the heading.
        figures: what `report.js` draws, by the id of the element it draws into.
    """

    anchor: str
    title: str
    body: Html
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)


def escape(text: str) -> Html:
    """Return `text` as markup that shows it literally; `Html` is returned as it is."""
    return text if isinstance(text, Html) else Html(html.escape(text, quote=True))


def join(parts: Iterable[str]) -> Html:
    """Concatenate, escaping what is not `Html`."""
    return Html("".join(escape(part) for part in parts))


def tag(name: str, /, *children: str, **attributes: str | bool | None) -> Html:
    """Return one element.

    Args:
        name: the element's name.
        children: escaped unless they are `Html`.
        attributes: `class_` means class, `data_x` data-x; True is a bare attribute; None and False are
            left out.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        written.append(
            f" {attribute}" if value is True else f' {attribute}="{html.escape(str(value), quote=True)}"'
        )
    opening = f"<{name}{''.join(written)}>"
    return Html(opening) if name in _VOID else Html(f"{opening}{join(children)}</{name}>")


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    note: str | None = None,
    class_: str | None = None,
) -> Html:
    """Return a table whose first column is the rows' header, in a box that scrolls when it is too wide.

    `note` stands below the box, so that it wraps where the table scrolls.
    """
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), class_=class_)
    box = tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
    return join([box, tag("p", note, class_="note")]) if note else box


def data_uri(webp: bytes) -> str:
    """Return a WebP file as an address that needs no request."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def image(webp: bytes, alt: str, size: int) -> Html:
    """Return a square image of `size` CSS pixels at most."""
    return tag(
        "img",
        src=data_uri(webp),
        alt=alt,
        width=str(size),
        height=str(size),
        loading="lazy",
        decoding="async",
    )


def plot(anchor: str, description: str, *, class_: str = "", style: str | None = None) -> Html:
    """Return the empty box that `report.js` draws a figure into; `description` is read aloud instead."""
    return tag(
        "div", id=anchor, class_=f"plot {class_}".strip(), role="img", aria_label=description, style=style
    )


def missing(reason: str, command: str | None = None) -> Html:
    """Return the place holder of a section without data: why, and what command would fill it."""
    parts: list[str] = [tag("p", reason)]
    if command:
        parts += [tag("p", "To fill it in:"), tag("pre", tag("code", command))]
    return tag("div", *parts, class_="missing")


def percent(share: float, digits: int = 1) -> str:
    """0.8123 -> "81.2 %" (with a no-break space)."""
    return f"{100 * share:.{digits}f}\u00a0%"


def count(number: int) -> str:
    """1600 -> "1,600"."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """(1, "seed") -> "1 seed", (3, "class") -> "3 classes", (2, "query") -> "2 queries"."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count(number)} {noun}"

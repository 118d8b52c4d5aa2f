"""The page around the sections: one file, no request, nothing executed but its own script.

Every text of a run (names of classes, files and options) is escaped by the templates.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

SPACE = "\u00a0"  # between a number and its unit


@dataclass(frozen=True)
class Section:
    """A section: its id, its heading, the markup below it, and plain values that `report.js` reads."""

    anchor: str
    title: str
    body: Markup
    data: dict[str, Any] = field(default_factory=dict)


def section(
    template: str, title: str, anchor: str | None = None, *, script: Any = None, **context: Any
) -> Section:
    """Return a section rendered from a template; `script` are plain values that `report.js` reads."""
    anchor = anchor or template
    return Section(anchor, title, render(template, anchor=anchor, **context), script or {})


def missing(anchor: str, title: str, reason: str, command: str | None = None) -> Section:
    """Return a section without data: the reason, and the command that would fill it."""
    return section("missing", title, anchor, reason=reason, command=command)


def render(template: str, **context: Any) -> Markup:
    """Return a template as markup."""
    return Markup(_environment().get_template(f"{template}.html.j2").render(**context))


def page(title: str, kicker: str, sections: Sequence[Section], footer: str) -> str:
    """Return the HTML document; its content security policy allows our script, by hash, and no connection."""
    script = _resource("report.js").replace("\r\n", "\n")  # browsers hash text with normalized line ends
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = {name: value for each in sections for name, value in each.data.items()}
    return render(
        "page",
        title=title,
        kicker=kicker,
        sections=sections,
        footer=footer,
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        style=Markup(_resource("style.css")),
        script=Markup(script),
        data=embed_json(data),
    )


def embed_json(value: Any) -> Markup:
    """Return JSON that is safe inside a script element, whatever the strings in it are.

    `<`, `>` and `&` are written as escapes, so neither a closing tag nor a comment can appear.

    Raises:
        ValueError: for a number that is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)


def data_uri(webp: bytes) -> str:
    """Return a WebP file as an address that needs no request."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def percent(share: float, digits: int = 1) -> str:
    """Return a share in per cent: 0.8123 -> "81.2 %", with a no-break space."""
    return f"{100 * share:.{digits}f}{SPACE}%"


def signed(difference: float) -> str:
    """Return a difference of shares in percentage points: -0.021 -> "−2.1"."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: (1, "seed") -> "1 seed", (1200, "query") -> "1,200 queries"."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun}"


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital letter and a period."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def duration(seconds: float) -> str:
    """Return a time: 9284 -> "2 h 34 min", 252 -> "4 min 12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60}{SPACE}s"
    return f"{whole // 3600}{SPACE}h {whole % 3600 // 60}{SPACE}min"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("adacross.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (data_uri, percent, signed, plural, sentence, duration)
    found.filters.update({each.__name__: each for each in filters})
    return found


def _resource(name: str) -> str:
    return (files("adacross.report") / name).read_text(encoding="utf-8")

"""The page around the sections: one file, no request, nothing executed but our own scripts."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from adacross.report.html import Html, Section, join, tag
from adacross.report.plots import embed_json


def page(title: str, kicker: str, sections: Sequence[Section], footer: str) -> str:
    """Return the whole HTML document.

    plotly.js is inlined once. A content security policy allows exactly our scripts, by hash, and no
    connection at all.

    Args:
        title: of the run; any text.
        kicker: the small line above the title.
        sections: in the order of the page.
        footer: the last line.
    """
    from plotly.offline import get_plotlyjs

    figures = {name: figure for section in sections for name, figure in section.figures.items()}
    plotly = get_plotlyjs() if figures else ""
    scripts = [_script_text(text) for text in (plotly, _resource("report.js")) if text]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Html(_resource("style.css"))),
    ]
    body = [
        tag("header", tag("p", kicker, class_="kicker"), tag("h1", title)),
        _navigation(sections),
        tag("main", *(_section(section) for section in sections)),
        tag("footer", footer),
        tag("div", id="hover-card", hidden=True, aria_hidden="true"),
        tag("script", Html(embed_json(figures)), type="application/json", id="report-data"),
        *(tag("script", Html(text)) for text in scripts),
    ]
    root = tag("html", tag("head", *head), tag("body", *body), lang="en")
    return f"<!doctype html>\n{root}\n"


def _section(section: Section) -> Html:
    heading = tag("h2", section.title, id=f"{section.anchor}-title")
    return tag("section", heading, section.body, id=section.anchor, aria_labelledby=f"{section.anchor}-title")


def _navigation(sections: Sequence[Section]) -> Html:
    links = (tag("li", tag("a", section.title, href=f"#{section.anchor}")) for section in sections)
    return tag("nav", tag("ul", *links), aria_label="Sections")


def _policy(scripts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {allowed}"


def _script_text(text: str) -> str:
    """Return a script that does not end its own element; browsers hash text with normalised line ends."""
    return join([Html(text)]).replace("</script", "<\\/script").replace("\r\n", "\n").replace("\r", "\n")


def _resource(name: str) -> str:
    return (files("adacross.report") / name).read_text(encoding="utf-8")

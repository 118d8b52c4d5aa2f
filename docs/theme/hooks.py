"""Additions to MkDocs: the command-line reference, equations as MathML, diagrams in the page's own colors.

All are made while building, so that a page needs neither network nor script.
"""

import re
from html import unescape
from pathlib import Path
from typing import Any

import command_line
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_EQUATION = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
_DIAGRAM = re.compile(r'<p>\s*<img alt="([^"]*)" src="[^"]*images/diagrams/([\w-]+)\.svg"\s*/?>\s*</p>')
_FETCHED = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
# Browsers know MathML Core: of letters' variants the upright one alone, of tables no alignment but CSS's.
_IN_BROWSERS = (
    ('<mi mathvariant="script">L</mi>', "<mi>ℒ</mi>"),
    ('<mtd columnalign="left">', '<mtd style="text-align: left">'),
)
_FOLDER = Path(__file__).parents[1] / "images" / "diagrams"


def _mathml(match: re.Match[str]) -> str:
    block = match[1] == "div"
    equation = unescape(match[2]).strip()[2:-2]  # without \( and \), or \[ and \]
    made = convert(equation, display="block" if block else "inline")
    for old, new in _IN_BROWSERS:
        made = made.replace(old, new)
    return f'<div class="equation">{made}</div>' if block else made


def _inline(match: re.Match[str]) -> str:
    """Return the drawing itself instead of a reference to it: only then do the page's colors reach it."""
    drawing = (_FOLDER / f"{match[2]}.svg").read_text(encoding="utf-8")
    label = f'<svg role="img" aria-label="{match[1]}"'
    return f'<div class="drawing">{drawing.replace("<svg", label, 1)}</div>'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the command-line reference to the pages."""
    files.append(File.generated(config, "command_line.md", content=command_line.page()))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Put equations and diagrams into a page's body."""
    return _DIAGRAM.sub(_inline, _EQUATION.sub(_mathml, html))


def on_post_page(output: str, page: Any, **_: Any) -> None:
    """End the build if a page would fetch anything from the network."""
    if found := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} fetches from the network: {found[0]}")

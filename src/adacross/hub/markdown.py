"""Cards are Markdown behind a YAML head, as the hub reads them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.table import Table

from adacross.errors import UserError

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def check_license(given: str | None) -> str | None:
    """Return a licence's identifier if it is written as the hub writes them.

    Raises:
        UserError: it is not.
    """
    if given is not None and not _LICENSE.fullmatch(given):
        raise UserError(
            f"license is {given!r}; expected one of the hub's identifiers, such as apache-2.0, mit, "
            "cc-by-4.0, cc-by-nc-4.0, or other."
        )
    return given


def head(license: str | None, **values: Any) -> str:  # noqa: A002  the hub's word
    """Return a card's YAML, with a licence only if there is one."""
    stated = {"license": license} if license else {}
    return f"---\n{yaml.safe_dump(stated | values, sort_keys=False, allow_unicode=True)}---\n"


def licence(license: str | None, what: str) -> str:  # noqa: A002
    """Return the section that says under which licence something may be used."""
    if license:
        return f"## Licence\n\n{what} shared under `{license}`."
    return (
        f"## Licence\n\nNo licence was stated when {what} shared. Ask the owner of this repository before "
        "you use what is here for anything but a look."
    )


def text(value: Any) -> str:
    """Return a value as it can stand in a line or a table's cell, whatever it is."""
    if value is None or value in ("", {}, []):
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{text(name)} {text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    plain = f"{value:g}" if isinstance(value, float) else str(value)
    plain = " ".join(plain.encode("utf-8", "backslashreplace").decode().split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", plain)


def facts(rows: Mapping[str, Any]) -> str:
    """Return a table of names and values; what is None is left out."""
    lines = [f"| {name} | {text(value)} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines])


def table(shown: Table) -> str:
    """Return a result's table as Markdown, its caption below it; its cells are plain text."""
    names = [text(str(column.header)) for column in shown.columns]
    cells = [[text(str(cell)) for cell in column.cells] for column in shown.columns]
    lines = [_row(names), _row(["---"] * len(names)), *map(_row, zip(*cells, strict=True))]
    return "\n".join([*lines, "", f"{text(str(shown.caption))}."] if shown.caption else lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

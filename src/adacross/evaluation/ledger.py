"""Finished pieces of an unfinished measurement."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adacross.console import console
from adacross.errors import UserError
from adacross.io.files import read_json, remove_own, write_json

_IDENTITY, _MARK = "protocol.json", "adacross measurement"
_OWN = re.compile(r"[^/]+\.(json|pt)")  # files of a ledger


class Ledger:
    """Keeps the pieces of a long measurement as they are finished, so that it can be interrupted.

    The pieces lie in `<result>.pieces/`, a JSON file each, until the result is saved, and count for one
    identity only: everything that they depend on, as plain values. Without a place for the result nothing is
    kept.

    Raises:
        UserError: the folder holds pieces of another measurement, or something else.
    """

    def __init__(self, result: Path | None, identity: Mapping[str, Any]) -> None:
        self.folder = result.with_suffix(".pieces") if result else None
        self._written = {_MARK: json.loads(json.dumps(identity))}
        if self.folder is None or not self.folder.exists() or not any(self.folder.iterdir()):
            return
        kept = _kept(self.folder / _IDENTITY)
        if not (isinstance(kept, dict) and _MARK in kept):
            raise UserError(f"{self.folder} exists and is not an unfinished measurement. Move it away.")
        if kept != self._written:
            raise UserError(
                f"{self.folder} holds an unfinished measurement with other options, data or weights. Repeat "
                "that command to finish it, delete the folder to discard it, or give another --output."
            )
        console.print(f"continuing the unfinished measurement in {self.folder}")

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return the piece called `name`, as it was kept or as `measure` returns it."""
        if self.folder is None:
            return measure()
        path = self.folder / f"{name}.json"
        if path.is_file() and (kept := _kept(path)) is not None:
            return kept
        started = self._started()
        value = measure()
        if not started or self._started():  # else another process has finished this measurement
            if not started:
                write_json(self.folder / _IDENTITY, self._written)
            write_json(path, value)
        return value

    def trained(self, note: str, measure: Callable[[Path | None], Any]) -> Any:
        """Return the piece of a training that a note describes, as `once` does.

        `measure` is given the file for the state of the training.
        """
        name = re.sub(r"[^\w.]+", "-", note)
        return self.once(name, lambda: measure(self.checkpoint(name)))

    def checkpoint(self, name: str) -> Path | None:
        """Return the file for the state of a piece that takes long; the folder is marked for it."""
        if self.folder is None:
            return None
        if not self._started():
            write_json(self.folder / _IDENTITY, self._written)
        return self.folder / f"{name}.pt"

    def remove(self) -> None:
        """Delete the pieces; files of others stay."""
        if self.folder and self._started():
            remove_own(self.folder, _OWN)

    def _started(self) -> bool:
        return self.folder is not None and _kept(self.folder / _IDENTITY) == self._written


def _kept(path: Path) -> Any:
    """Return the content of a ledger's file; None if it is damaged or missing."""
    try:
        return read_json(path, "a piece of a measurement")
    except UserError:
        return None

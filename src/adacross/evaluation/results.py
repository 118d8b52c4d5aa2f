"""What every result is made of, and how it is kept: figures with their spread, JSON, what was done half."""

import builtins
import json
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from torch import nn

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.errors import UserError, check_ending
from adacross.features.collection import weights_digest
from adacross.io.files import check_free, read_json, remove_own, write_json

_PROTOCOL, _MARK = "protocol.json", "adacross measurement"
_OWN = re.compile(r"[^/]+\.(json|pt)")  # files of a ledger
R = TypeVar("R")
Paper = Literal["crosspoint", "crossnet", "adacrossnet", "point-m2ae", "joint-mae"]


@dataclass(frozen=True)
class Figure:
    """A figure that was measured several times.

    Attributes:
        values: one a repetition, shares from 0 to 1.
        mean: their mean.
        std: their standard deviation (n - 1), 0 for one repetition.
    """

    values: list[float]
    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Summarise repetitions."""
        std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls([float(value) for value in values], float(np.mean(values)), std)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.std:.1f} %"

    @property
    def each(self) -> str:
        """Every value, in per cent."""
        return " ".join(f"{100 * value:.1f}" for value in self.values)


def result_path(output: str | None, run: Path | None, task: str) -> Path | None:
    """Where a result goes: `output`, or into its run, or nowhere."""
    return Path(output) if output else run / "evaluation" / f"{task}.json" if run else None


def check_output(
    output: str | None, overwrite: bool, beside: Callable[[Path], list[Path]] | None = None
) -> None:
    """Refuse an output that is there already, or not called JSON, before anything is measured.

    Args:
        output: the file that was asked for; a result that goes into its run is not looked at.
        overwrite: whether a file may be replaced.
        beside: the files that are written with it. Those that an interrupted measurement of the same output
            left are its own.

    Raises:
        UserError: another ending than .json, or a file is there.
    """
    if output:
        path = check_ending(output, ".json", "expected a name that ends in .json")
        check_free(path, overwrite)
        if beside and _protocol(_pieces(path)) is None:
            for other in beside(path):
                check_free(other, overwrite)


def save(result: Any, output: str | None, run: Path | None, task: str) -> None:
    """Write a result to `output`, or into its run, if there is either; its ledger is not needed any more."""
    path = result_path(output, run, task)
    if path:
        write_json(path, asdict(result))
        if _protocol(_pieces(path)) is not None:
            remove_own(_pieces(path), _OWN)


def _pieces(result: Path) -> Path:
    """The folder of a result's ledger."""
    return result.with_suffix(".pieces")


def _protocol(folder: Path) -> Any:
    """The protocol of the ledger in `folder`; None if the folder is not a ledger."""
    kept = _kept(folder / _PROTOCOL)
    return kept.get(_MARK) if isinstance(kept, dict) else None


def load(kind: type[R], path: Path) -> R:
    """Read what `save` wrote.

    Raises:
        UserError: the file is missing, or is not a result of this kind.
    """
    value = read_json(path, "a measurement's result")
    try:
        return _rebuilt(kind, value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} cannot be used ({what}); delete it and measure again.") from None


def _rebuilt(kind: Any, value: Any) -> Any:
    """A value read from JSON as the type it was written from."""
    arguments = get_args(kind)
    if is_dataclass(kind):
        make: Any = kind
        hints = get_type_hints(kind)
        return make(**{item.name: _rebuilt(hints[item.name], value[item.name]) for item in fields(kind)})
    match get_origin(kind) or kind:
        case builtins.list:
            return [_rebuilt(arguments[0], item) for item in value]
        case builtins.dict:
            return {key: _rebuilt(arguments[1], item) for key, item in value.items()}
        case types.UnionType:
            return None if value is None else _rebuilt(arguments[0], value)
        case builtins.float:
            return float(value)
        case builtins.int | builtins.str | builtins.bool as plain if not isinstance(value, plain):
            raise TypeError(f"{value!r} where {plain.__name__} is expected")
    return value


def subject(collection: Collection, networks: Sequence[nn.Module]) -> dict[str, Any]:
    """What is measured, for a ledger's protocol: another preparation or other weights, other pieces."""
    return {
        "collection": [collection.info.name, collection.info.made, len(collection)],
        "networks": [weights_digest(network) for network in networks],
    }


class Ledger:
    """Keeps the pieces of a long measurement as they are finished, so that it can be interrupted.

    The pieces lie in `<result>.pieces/`, a JSON file each, until the result is saved, and count for one
    protocol only. Without a place for the result nothing is kept.

    Args:
        result: where the whole result will go, or None.
        protocol: everything that the pieces depend on, as plain values.

    Raises:
        UserError: the folder holds pieces of another protocol, or something else.
    """

    def __init__(self, result: Path | None, protocol: Mapping[str, Any]) -> None:
        self.folder = _pieces(result) if result else None
        if self.folder is None:
            return
        written = json.loads(json.dumps(protocol))
        kept = _protocol(self.folder)
        if kept == written:
            console.print(f"continuing the unfinished measurement in {self.folder}")
        elif kept is not None:
            raise UserError(
                f"{self.folder} holds an unfinished measurement with other options, data or weights. Repeat "
                "that command to finish it, delete the folder to discard it, or give another --output."
            )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise UserError(f"{self.folder} exists and is not an unfinished measurement. Move it away.")
        else:
            write_json(self.folder / _PROTOCOL, {_MARK: written})

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """The piece called `name`: what was kept of it, or what `measure` returns, which is then kept."""
        path = self.folder / f"{name}.json" if self.folder else None
        if path and path.is_file() and (kept := _kept(path)) is not None:
            return kept
        value = measure()
        if path and path.with_name(_PROTOCOL).is_file():  # else another process has finished this measurement
            write_json(path, value)
        return value

    def checkpoint(self, name: str) -> Path | None:
        """Where a piece that takes long may keep what it has so far."""
        return self.folder / f"{name}.pt" if self.folder else None


def _kept(path: Path) -> Any:
    """What a file of a ledger holds, None where it is damaged."""
    try:
        return read_json(path, "a piece of a measurement")
    except UserError:
        return None

"""Errors that a user can put right. The command line turns them into one line and exit code 2."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

_LISTED, _LONG = 60, 80  # names in a message, and characters of each
_COMPARED = 1000  # names that a wrong one is compared with


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message says what was given, what was expected and what to do next.
    """


def one_of(kind: str, given: str, valid: Iterable[str]) -> str:
    """Return `given` if it is among `valid`, otherwise raise a `UserError` that lists the valid names.

    Args:
        kind: what is being named, for the message ("method", "encoder").
        given: the name the user gave.
        valid: the names that exist.
    """
    names = list(valid)
    if given in names:
        return given
    # Names from a file may be many and long: comparing takes the product of their lengths.
    short = [name for name in names[:_COMPARED] if len(name) <= _LONG]
    close = get_close_matches(given, short, n=1) if len(given) <= _LONG else []
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UserError(f"unknown {kind} {shortened(given)!r}.{hint} Valid: {listed(names)}.")


def check_least(least: int = 1, **values: int | None) -> None:
    """Raise a `UserError` if a value, by its option's name, is given and below `least`."""
    for name, value in values.items():
        if value is not None and value < least:
            raise UserError(f"{name} is {value}; expected at least {least}.")


def one_line(error: BaseException, longest: int = 300) -> str:
    """Return an error's message as the start of one line, or the name of its type if it says nothing."""
    return " ".join(str(error).split())[:longest].rstrip(".") or type(error).__name__


def shortened(name: str, longest: int = _LONG) -> str:
    """Return a name, without its middle if it is longer than `longest` characters."""
    tail = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """Return names as one text, at most `most` of them, long ones shortened."""
    given = list(names)
    rest = f" ... ({len(given):,} in all)" if len(given) > most else ""
    return f"{', '.join(map(shortened, given[:most]))}{rest}"


def check_ending(path: str | Path, endings: str | Sequence[str], writes: str) -> Path:
    """Return the path of an output whose name ends as what is written there.

    Args:
        path: the output.
        endings: those that its name may have, in lower case (".parquet").
        writes: what is written, for the message ("embed writes Parquet").

    Raises:
        UserError: another ending, or none.
    """
    path, valid = Path(path), [endings] if isinstance(endings, str) else list(endings)
    if path.suffix.lower() not in valid:
        has = f"ends in {path.suffix}" if path.suffix else "has no ending"
        better = " or ".join(str(path.with_suffix(ending)) for ending in valid) if path.name else valid[0]
        raise UserError(f"{path} {has}; {writes}: give {better}.")
    return path


def install(extra: str) -> str:
    """Return how the packages of an extra are installed.

    From the checkout: the name `adacross` is not ours on the package index, and anybody could register it.
    """
    return f"In adacross's checkout: pip install '.[{extra}]'"


def check_options(
    owner: str, function: Callable[..., Any], options: Iterable[str], hidden: Sequence[str] = ()
) -> None:
    """Raise a `UserError` if an option is none of the function's parameters that have a default.

    Args:
        owner: whose options they are, for the message ("encoder dgcnn").
        function: what they will be given to; a class stands for its constructor.
        options: the names the user gave.
        hidden: parameters that a user sets otherwise.
    """
    valid = [
        name
        for name, parameter in signature(function).parameters.items()
        if parameter.default is not parameter.empty and name not in hidden
    ]
    for name in options:
        if not valid:
            raise UserError(f"{owner} has no options; {name!r} was given.")
        one_of(f"option of {owner}", name, valid)

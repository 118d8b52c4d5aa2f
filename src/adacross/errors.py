"""What a user can put right. The command line turns these into one line and exit code 2."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any


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
    close = get_close_matches(given, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UserError(f"unknown {kind} {given!r}.{hint} Valid: {', '.join(names)}.")


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

"""What a user can put right. The command line turns these into one line and exit code 2."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any

LONGEST_NAME, MOST_NAMES = 100, 200  # characters of a name, and names, in a message


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
    short = [name[:LONGEST_NAME] for name in names[:MOST_NAMES]]
    close = get_close_matches(given[:LONGEST_NAME], short, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    raise UserError(f"unknown {kind} {given[:LONGEST_NAME]!r}.{hint} Valid: {', '.join(short)}{more}.")


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

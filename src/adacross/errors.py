"""What a user can put right. The command line turns these into one line and exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches


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

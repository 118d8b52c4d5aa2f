"""The command line: a command is a typed function, its options are the function's signature."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from inspect import signature
from io import TextIOWrapper
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from adacross.commands import COMMANDS, command_named, encoder_first, overview, split_command, tasks
from adacross.errors import UserError, shortened
from adacross.plugins import allow_working_folder, working_folder_allowed

if TYPE_CHECKING:
    from adacross.arguments import Parser

_HELP = ("-h", "--help")
LONGEST_MESSAGE = 4000  # characters of an error


def function_of(name: str) -> tuple[Callable[..., Any], Any]:
    """Return a command's function, and the dataclass of options that it takes, or None."""
    command = command_named(name)
    if name in COMMANDS:
        function: Callable[..., Any] = resolve_name(command.function)
    else:
        from adacross.evaluation import find_protocol

        function = find_protocol(command.function)
    first = get_type_hints(function).get(next(iter(signature(function).parameters), ""))
    return function, first if is_dataclass(first) else None


def parser_of(name: str) -> "Parser":
    """Return a command's parser; the reference in the documentation is made of all of them."""
    from adacross.arguments import Parser

    function, options = function_of(name)
    summary = (function.__doc__ or "").split("\n", 1)[0]
    return Parser(name, options or function, summary, command_named(name).examples)


def run(name: str, words: Sequence[str]) -> None:
    """Call a command's function with what was typed, print its result and what to type next.

    A function whose first parameter is a dataclass takes that dataclass's fields as options, and with
    `--config RECIPE` any of them from its constructor `recipe(name, **typed)`.
    """
    command = command_named(name)
    function, options = function_of(name)
    parser = parser_of(name)
    if any(word in _HELP for word in words):
        sys.stdout.write(parser.format_help())
        return
    typed = parser.read(words)
    _check_order(name, words, [typed[place] for place in parser.needed])
    if options:
        values = options.recipe(typed.pop("config", None), **typed)
        result = function(values)
    else:
        bound = signature(function).bind(**typed)
        bound.apply_defaults()
        values = SimpleNamespace(**bound.arguments)
        result = function(**typed)
    show(result, list(command.next(values, result)))


def _check_order(name: str, words: Sequence[str], given: Sequence[str | list[str]]) -> None:
    """Refuse a collection in the place of an encoder, and an encoder in the place of a collection."""
    if len(given) < 2 or not encoder_first(name):
        return
    from adacross.features.sources import kind_of

    first, data = given[:2]
    places = [*([first] if isinstance(first, str) else first), str(data)]
    kinds = {place: kind_of(place) for place in places}
    wrong = next((place for place in places[:-1] if kinds[place] == "collection"), None)
    if wrong is None and kinds[places[-1]] != "encoder":
        return
    mistake, other = f"{places[-1]} is an encoder", "a collection"
    if wrong is not None:
        mistake, other = f"{wrong} is a collection", "an encoder"
    ordered = sorted(places, key=lambda place: ("encoder", "", "collection").index(kinds[place]))
    if ordered[-1] == places[-1]:
        raise UserError(f"{mistake}, where {other} is expected. See: adacross {name} --help")
    swapped = iter(ordered)
    right = [next(swapped) if word in kinds else word for word in words]
    raise UserError(
        f"{mistake}; the encoder comes first. Type: {shlex.join(['adacross', *name.split(), *right])}"
    )


def show(result: Any, following: Sequence[Sequence[object]] = ()) -> None:
    """Print a result (a table if it has one, or a path) and, to standard error, what can be typed next."""
    from adacross.console import console, results, words

    if hasattr(result, "table"):
        results.print(result.table())
    elif result is not None:
        results.print(str(result))
    results.file.flush()
    program = "PYTHONPATH=. adacross" if working_folder_allowed() else "adacross"
    for lead, command in zip(("next:", *["  or:"] * len(following)), following, strict=False):
        line = f"{lead} {program} {shlex.join(map(str, command))}"
        console.print(words(line, "dim"), soft_wrap=True)


def _open_streams() -> None:
    """Give the process standard streams that can be written to, whatever it was started with."""
    # A closed one leads nowhere from now on: else the next file that is opened takes its number, and receives
    # what libraries print. Characters that a stream's encoding lacks are spelled out.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(ValueError):  # closed by a program that calls `main`
                stream.reconfigure(errors="backslashreplace")


def _say(message: object) -> None:
    """Write an error to standard error, which may be closed."""
    from adacross.console import plain

    with suppress(OSError, ValueError):
        sys.stderr.write(f"adacross: {plain(shortened(str(message), LONGEST_MESSAGE))}\n")


def _give_up_output() -> None:
    """Lead standard output to nowhere if it cannot be written to: Python flushes it once more at the end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if it worked, 2 for a user's mistake, 130 if it was interrupted.
    """
    # Threads that spin for long while they wait make torch ten times slower as soon as another program wants
    # a core; threads that never spin lose a third on a quiet machine. This many turns lie between.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    _open_streams()
    try:
        _answer(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except UserError as error:
        _say(error)
        return 2
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _say(f"cannot read or write{where}: {error.strerror or error}.")
        _give_up_output()
        return 2
    except (MemoryError, RuntimeError) as error:
        signs = ("out of memory", "can't allocate", "can't start new thread")
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in signs):
            raise
        _say("not enough memory. Give fewer points or a smaller batch, or use a machine with more.")
        return 2
    except KeyboardInterrupt as stop:
        _say(stop if str(stop) else "interrupted")
        return 130
    return 0


def _answer(given: list[str]) -> None:
    """Print help, or run a command, in a working folder that is there: torch cannot be loaded without."""
    if given[:1] == ["help"]:
        given = [*given[1:], "--help"]
    if not given or given[0] in _HELP:
        sys.stdout.write(overview() + "\n")
    elif given[0] == "--version":
        from adacross.version import __version__, kernels

        sys.stdout.write(f"adacross {__version__}, {kernels()}\n")
    elif tasks(given[0]) and (len(given) == 1 or given[1] in _HELP):
        sys.stdout.write(overview(given[0]) + "\n")
    else:
        name, rest = split_command(given)
        try:
            Path.cwd()
        except OSError:
            raise UserError("the working folder does not exist any more. Change to one that does.") from None
        allow_working_folder(given)
        run(name, rest)

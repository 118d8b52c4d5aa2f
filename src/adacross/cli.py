"""The command line: a command is a typed function, its flags are the function's signature."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from io import TextIOWrapper
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from adacross.commands import COMMANDS, overview, split_command, tasks
from adacross.errors import UserError, shortened

_HELP = ("-h", "--help")
_WRITTEN = {  # types that a shell's words have to be put together for
    "a list of whole numbers": "[5, 10]",
    "a list of numbers": "[0.1, 0.5]",
    "a list of texts": "[chair, table]",
    "names with values": '{"k": 20}',
}
LONGEST_MESSAGE = 4000  # characters of an error


def _underscores(argument: str) -> str:
    """`--batch-size 4` and `--batch_size 4` are the same flag."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    name = flag[2:].replace("-", "_")
    return f"--{name}_{equals}{value}" if name == "as" else f"--{name}{equals}{value}"  # `as` is Python's


def _spoken_out(arguments: Sequence[str], switches: Sequence[str]) -> list[str]:
    """Put `true` behind a switch that stands alone: `--full` is `--full true`."""
    spoken: list[str] = []
    for argument, after in zip_longest(arguments, arguments[1:], fillvalue=""):
        spoken.append(argument)
        if argument.removeprefix("--") in switches and after not in ("true", "false"):
            spoken.append("true")
    return spoken


def _gathered(arguments: list[str]) -> list[str]:
    """Make one list, as jsonargparse reads it, of all words before the last that come before any flag."""
    flags = next((i for i, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    words, rest = arguments[:flags], arguments[flags:]
    return [json.dumps(words[:-1]), words[-1], *rest] if len(words) > 1 else arguments


def _with_recipes(arguments: list[str]) -> list[str]:
    """Put recipes first, as checked paths: an option that is typed wins, wherever `--config demo` stands."""
    spoken = [word for given in arguments for word in given.split("=", given.startswith("--config="))]
    recipes: list[str] = []
    while "--config" in spoken[:-1]:
        from adacross.training.config import checked_recipe

        place = spoken.index("--config")
        flag, given = spoken[place : place + 2]
        recipes += [flag, str(checked_recipe(given))]
        del spoken[place : place + 2]
    return recipes + spoken


def run(name: str, arguments: Sequence[str]) -> Any:
    """Parse `arguments` for the command called `name` and call its function.

    A function whose one parameter is a dataclass of options takes that dataclass's fields as flags, and
    `--config FILE` with any of them.

    Raises:
        SystemExit: an argument is missing, unknown, or not of its type; says so.
        UserError: as the command.
    """
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    from adacross.io.remote import is_address

    class HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
        """Keeps the examples' lines apart, and writes the flag `--as` without the underscore of its name."""

        def format_help(self) -> str:
            return super().format_help().replace("--as_ ", "--as ").replace("as_: ", "as: ")

    class Parser(ArgumentParser):
        """Says in a sentence where it cannot read an argument."""

        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            named = [one for action in self._actions for one in action.option_strings]
            known = [_flag(one[2:]) for one in named if one.startswith("--")]
            _say(f"{_sentence(message, flags, known)} See: adacross {name} --help")
            raise SystemExit(2)

    command = COMMANDS[name]
    module, _, attribute = command.function.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    hints = get_type_hints(function)
    parameters = [hints[parameter] for parameter in signature(function).parameters]
    options: Any = parameters[0] if len(parameters) == 1 and is_dataclass(parameters[0]) else None
    flags = get_type_hints(options) if options else hints
    summary = (function.__doc__ or "").split("\n", 1)[0]
    examples = "\n".join(("examples:", *(f"  {example}" for example in command.examples)))
    parser = Parser(
        prog=f"adacross {name}", description=f"{summary}\n\n{examples}", formatter_class=HelpFormatter
    )
    if options is None:
        parser.add_function_arguments(function, as_positional=True, fail_untyped=True)
    else:
        parser.add_argument(
            "--config", action="config", help="a recipe: YAML of options, or a built-in one's name"
        )
        parser.add_class_arguments(options, as_positional=True, fail_untyped=True)
    given = _gathered(list(arguments)) if command.gathers else arguments
    switches = [flag for flag, kind in flags.items() if kind is bool]
    typed = _with_recipes(_spoken_out([_underscores(argument) for argument in given], switches))
    values = parser.parse_args(typed).as_dict()
    values.pop("config", None)
    for option in values if options else ():
        place = values[option]
        if isinstance(place, str) and is_address(place) and not any(word.endswith(place) for word in typed):
            raise UserError(
                f"the recipe's {option} is {place}; an address that is read in a file is not opened. "
                "Type it, if you know and trust it."
            )
    return function(options(**values)) if options else function(**values)


def _sentence(message: str, kinds: Mapping[str, Any], known: Sequence[str]) -> str:
    """Rewrite jsonargparse's message about an argument without Python's types.

    Args:
        message: jsonargparse's.
        kinds: the arguments' types, by name.
        known: the flags that there are.
    """
    from adacross.options import described

    text = " ".join(message.split())
    key = re.match(r'Parser key "([^"]*)":', text)
    if key and key[1] in kinds:
        value = re.split(r"(?:Got|Given) value: ", text)[1:]
        given = f"is {value[-1][:200].strip(chr(39))!r}" if value else "cannot be read"
        wanted = described(kinds[key[1]]).removesuffix(" or nothing")
        written = _WRITTEN.get(wanted)
        return f"{_flag(key[1])} {given}; expected {wanted}{f', such as {written!r}' if written else ''}."
    if unknown := re.match(r"unrecognized arguments: (.*)$", text, re.IGNORECASE):
        flag = unknown[1].split()[0].partition("=")[0]
        close = get_close_matches(flag, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"unknown {'option' if flag.startswith('-') else 'argument'} {unknown[1]!r}.{hint}"
    if missing := re.match(r"the following arguments are required: (.*)$", text):
        return f"the argument {missing[1]} is missing."
    return re.sub(r"<class '(\w+)'>", r"\1", text[:500]).rstrip(".") + "."


def _flag(name: str) -> str:
    return f"--{name.rstrip('_')}"  # as --help writes it


def show(result: Any) -> None:
    """Print what a command returned: a table if it has one, a path, or nothing."""
    from adacross.console import results

    if hasattr(result, "table"):
        results.print(result.table())
    elif result is not None:
        results.print(str(result))


def _open_streams() -> None:
    """Give the process standard streams that can be written to, whatever it was started with.

    A closed one leads nowhere from now on: else the next file that is opened takes its number, and receives
    what libraries print. Characters that a stream's encoding lacks are spelled out.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(ValueError):  # closed by a program that calls `main`
                stream.reconfigure(errors="backslashreplace")


def _say(message: object) -> None:
    """Write an error to standard error, on which nobody may be listening."""
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


def _out_of_memory(error: BaseException) -> bool:
    signs = ("out of memory", "can't allocate", "can't start new thread")
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in signs)


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
        if not _out_of_memory(error):
            raise
        _say("not enough memory. Give fewer points or a smaller batch, or use a machine with more.")
        return 2
    except KeyboardInterrupt as stop:
        _say(stop if str(stop) else "interrupted")
        return 130
    return 0


def _answer(given: list[str]) -> None:
    """Print help, or run a command and print what it returned.

    Raises:
        UserError: as the command; or the working folder was deleted, without which torch cannot be loaded.
    """
    if given[:1] == ["help"]:
        given = [*given[1:], "--help"]
    if not given or given[0] in _HELP:
        sys.stdout.write(overview() + "\n")
    elif given[0] == "--version":
        from adacross.version import __version__

        sys.stdout.write(f"adacross {__version__}\n")
    elif tasks(given[0]) and given[1:2] and given[1] in _HELP:
        sys.stdout.write(overview(given[0]) + "\n")
    else:
        name, rest = split_command(given)
        try:
            Path.cwd()
        except OSError:
            raise UserError("the working folder does not exist any more. Change to one that does.") from None
        show(run(name, rest))

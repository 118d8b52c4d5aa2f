"""The command line: a command is a typed function, its flags are the function's signature."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from inspect import signature
from itertools import zip_longest
from typing import Any, get_type_hints

from adacross.commands import COMMANDS
from adacross.errors import UserError, one_of


def overview() -> str:
    """What `adacross --help` says."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: adacross COMMAND ...",
            "",
            "A folder of unlabelled 3-D shapes in, an encoder that understands them out.",
            "",
            *lines,
            "",
            "adacross COMMAND --help tells a command's options; adacross --version the version.",
        ]
    )


def split_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Separate the command's words from its arguments.

    Raises:
        UserError: there is no such command; lists those there are.
    """
    words = [word for word in arguments[:2] if not word.startswith("-")]
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, list(arguments[len(name.split()) :])
    first = words[0] if words else arguments[0]
    family = [name for name in COMMANDS if name.startswith(f"{first} ")]
    if family:
        given = words[1] if len(words) > 1 else ""
        one_of(f"{first} task", given, [name.split()[1] for name in family])
    one_of("command", first, COMMANDS)
    raise UserError(f"unknown command {first!r}.")


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
    """
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    from adacross.data.remote import is_address

    class HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
        """Keeps the examples' lines apart, and writes the flag `--as` without the underscore of its name."""

        def format_help(self) -> str:
            return super().format_help().replace("--as_ ", "--as ").replace("as_: ", "as: ")

    command = COMMANDS[name]
    module, _, attribute = command.function.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    hints = get_type_hints(function)
    parameters = [hints[parameter] for parameter in signature(function).parameters]
    options: Any = parameters[0] if len(parameters) == 1 and is_dataclass(parameters[0]) else None
    summary = (function.__doc__ or "").split("\n", 1)[0]
    examples = "\n".join(("examples:", *(f"  {example}" for example in command.examples)))
    parser = ArgumentParser(
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
    flags = get_type_hints(options) if options else hints
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


def show(result: Any) -> None:
    """Print what a command returned: a table if it has one, a path, or nothing."""
    from adacross.console import results

    if hasattr(result, "table"):
        results.print(result.table())
    elif result is not None:
        results.print(str(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if it worked, 2 for a user's mistake, 130 if it was interrupted.
    """
    # Threads that spin for long while they wait make torch ten times slower as soon as another program wants
    # a core; threads that never spin lose a third on a quiet machine. This many turns lie between.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview() + "\n")
        return 0
    if given[0] == "--version":
        from adacross import __version__

        sys.stdout.write(f"adacross {__version__}\n")
        return 0
    try:
        name, rest = split_command(given)
        show(run(name, rest))
    except UserError as error:
        sys.stderr.write(f"adacross: {error}\n")
        return 2
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        sys.stderr.write(f"adacross: cannot read or write{where}: {error.strerror or error}.\n")
        return 2
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"adacross: {stop or 'interrupted'}\n")
        return 130
    return 0

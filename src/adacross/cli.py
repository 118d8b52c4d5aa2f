"""The command line: a command is a typed function, its flags are the function's signature."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from inspect import signature
from typing import Any, get_type_hints

from adacross.errors import UserError, one_of


@dataclass(frozen=True)
class Command:
    """Where a command's function lives, what it is for, and how it is typed."""

    function: str
    summary: str
    examples: tuple[str, ...]


COMMANDS = {
    "demo": Command(
        "adacross.demo:demo",
        "everything on built-in shapes, in minutes on a laptop; ends with report.html",
        ("adacross demo", "adacross demo --folder my-demo --seeds 3"),
    ),
    "prepare": Command(
        "adacross.data.prepare:prepare",
        "meshes, clouds or built-in shapes -> a collection with pictures",
        (
            "adacross prepare parts/ collections/parts --up z",
            "adacross prepare modelnet40_ply_hdf5_2048/ collections/modelnet40 --size 64",
            "adacross prepare crosspoint-data/ collections/shapenet --views 24 --size 137 --test-fraction 0",
            "adacross prepare builtin collections/builtin --count 3000 --variant scanned",
        ),
    ),
    "inspect": Command(
        "adacross.data.inspect:inspect",
        "what is this folder, what is missing, what is broken; draws a contact sheet",
        ("adacross inspect collections/parts", "adacross inspect parts/"),
    ),
    "pretrain": Command(
        "adacross.training.pretrain:pretrain",
        "collection -> a run with an encoder",
        (
            "adacross pretrain collections/parts --method adacrossnet --encoder dgcnn",
            "adacross pretrain collections/parts --config adacrossnet_pointnet_laptop --epochs 50",
            "adacross pretrain collections/parts --config joint_mae_laptop",
            "adacross pretrain collections/parts --config recipe.yaml --resume auto",
        ),
    ),
    "evaluate linear": Command(
        "adacross.evaluation.linear:evaluate_linear",
        "linear SVM on frozen features, beside the same encoder untrained",
        (
            "adacross evaluate linear runs/parts collections/parts",
            "adacross evaluate linear 'runs/parts-seed*' collections/parts",
        ),
    ),
    "evaluate retrieval": Command(
        "adacross.evaluation.retrieval:evaluate_retrieval",
        "picture to shape and shape to picture: recall@k, mAP",
        ("adacross evaluate retrieval runs/parts collections/parts",),
    ),
    "report": Command(
        "adacross.report:write_report",
        "a run -> one HTML page to look at",
        ("adacross report runs/parts",),
    ),
}


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
    return "--" + flag[2:].replace("-", "_") + equals + value


def _with_recipes(arguments: list[str]) -> list[str]:
    """Put the path of a recipe where its name was given: `--config demo`."""
    from adacross.recipes import recipe_path

    paths = list(arguments)
    for place, argument in enumerate(arguments):
        if argument == "--config" and place + 1 < len(arguments):
            paths[place + 1] = str(recipe_path(arguments[place + 1]))
        elif argument.startswith("--config="):
            paths[place] = f"--config={recipe_path(argument.removeprefix('--config='))}"
    return paths


def run(name: str, arguments: Sequence[str]) -> Any:
    """Parse `arguments` for the command called `name` and call its function.

    A function whose one parameter is a dataclass of options takes that dataclass's fields as flags, and
    `--config FILE` with any of them.
    """
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    class HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
        """Keeps the examples' lines apart."""

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
    typed = _with_recipes([_underscores(argument) for argument in arguments])
    values = parser.parse_args(typed).as_dict()
    values.pop("config", None)
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

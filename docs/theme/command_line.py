"""The command-line reference, in Markdown, from the parsers that the commands use."""

from argparse import SUPPRESS, Action
from html import escape
from inspect import cleandoc

from adacross.cli import parser_of
from adacross.commands import COMMANDS

_HEAD = """
    # Command line

    `adacross COMMAND --help` prints the same for one command. A list is typed with spaces; a `NAME=VALUE`
    option takes several pairs. The exit code is 0 on success, 2 for a mistake that the message explains, and
    130 after Ctrl-C. Results go to standard output, progress and messages to standard error. Every option of
    `pretrain` is also a key of a recipe.

    | command | |
    |---|---|
"""


def _entry(action: Action) -> str:
    """Return a definition of an argument; each flag is shown with its value."""
    value = "" if action.nargs == 0 else f"{action.metavar}{' ...' if action.nargs == '+' else ''}"
    flags = action.option_strings or [""]
    term = ", ".join(f"`{f'{flag} {value}'.strip()}`" for flag in flags)
    return f"{term}\n:   {escape((action.help or '').replace('%%', '%'), quote=False)}\n"


def page() -> str:
    """Return the whole page."""
    listed = [
        f"| [`{name}`](#{name.replace(' ', '-')}) | {each.summary.replace('->', 'to')} |"
        for name, each in COMMANDS.items()
    ]
    parts = [cleandoc(_HEAD) + "\n" + "\n".join(listed)]
    for name, command in COMMANDS.items():
        parser = parser_of(name)
        actions = [action for action in parser._actions if action.help != SUPPRESS and action.dest != "help"]
        summary = (parser.description or "").split("\n", 1)[0]
        usage = parser.format_usage().removeprefix("usage: ").strip()
        parts += [
            f"## {name}",
            summary,
            "\n".join(f"    {line}" for line in (f"{usage}\n", *command.examples)),
            "\n".join(_entry(action) for action in actions),
        ]
    return "\n\n".join(parts) + "\n"

"""From a function's signature and docstring to a command's parser: its arguments, its help, its errors."""

import json
from argparse import (
    SUPPRESS,
    ArgumentParser,
    ArgumentTypeError,
    BooleanOptionalAction,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from inspect import Parameter, signature
from shutil import get_terminal_size
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring

from adacross.errors import UserError, shortened
from adacross.options import alternatives, described, read_word

_WIDEST = 100  # columns of a help text
_METAVARS = {int: "N", float: "X"}
RECIPE = "a recipe: a built-in name (see adacross recipes) or a YAML file; options typed beside it win"


class Parser(ArgumentParser):
    """A parser whose errors are `UserError`s, and which returns only what was typed.

    Its options are the parameters of `owner`, a function or a dataclass of options; those without a default
    are positional, and in `needed`. `command` is its words ("evaluate linear"); summary and examples are for
    the help.

    Example:
        >>> def few_shot(encoder: str, data: str, ways: list[int] | None = None) -> None:
        ...     "Measure."
        >>> Parser("few-shot", few_shot, "Measure.").read(["run", "shapes", "--ways", "5", "10"])
        {'ways': [5, 10], 'encoder': 'run', 'data': 'shapes'}
    """

    def __init__(
        self, command: str, owner: Callable[..., Any], summary: str, examples: Sequence[str] = ()
    ) -> None:
        text = parse_docstring(owner.__doc__ or "")
        parameters = signature(owner).parameters.values()
        hints = get_type_hints(owner)
        self.needed = [one.name for one in parameters if one.default is one.empty]
        positionals = [_metavar(name, hints[name], positional=True) for name in self.needed]
        listed = "\n".join(("examples:", *(f"  {example}" for example in examples)))
        super().__init__(
            prog=f"adacross {command}",
            usage=" ".join(("%(prog)s", *positionals, "[options]")),
            description=f"{summary}\n\n{listed}",
            formatter_class=_HelpFormatter,
            argument_default=SUPPRESS,
            add_help=False,
            allow_abbrev=False,
        )
        about = {one.arg_name: one.description or "" for one in text.params}
        for one in parameters:
            self._add(one, hints[one.name], about.get(one.name, ""), switch_off=is_dataclass(owner))
        if is_dataclass(owner):
            self.add_argument("--config", metavar="RECIPE", help=RECIPE)
        self.add_argument("-h", "--help", action="store_true", help="show this text")

    def _add(self, one: Parameter, hint: Any, about: str, *, switch_off: bool) -> None:
        """Add a parameter; `switch_off` gives every switch a `--no-...` beside it."""
        kinds = alternatives(hint)
        options: dict[str, Any] = {"help": _help(about, one.default)}
        lists = [kind for kind in kinds if get_origin(kind) in (list, tuple, Sequence)]
        if bool in kinds:
            options["action"] = BooleanOptionalAction if switch_off or one.default else "store_true"
        elif any(get_origin(kind) in (dict, Mapping) for kind in kinds):
            options |= {"nargs": "+", "action": "extend", "type": _pairs, "metavar": "NAME=VALUE"}
        else:
            word = get_args(lists[0])[0] if lists else hint
            options |= {"type": _reader(word), "metavar": _metavar(one.name, word, one.default is one.empty)}
            if lists:
                options |= {"nargs": "+", "action": "extend"}
        if one.default is one.empty:
            self.add_argument(one.name, **options | {"action": "store"})
            return
        flag = f"--{one.name.strip('_')}"  # `as` is Python's own, its parameter is `as_`
        self.add_argument(flag.replace("_", "-"), dest=one.name, **options)
        if "_" in flag:
            self.add_argument(flag, dest=one.name, **options | {"help": SUPPRESS})

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the values of the arguments that were typed, by the parameter's name."""
        given, unknown = self.parse_known_intermixed_args(list(words))
        if unknown:
            flag = unknown[0].partition("=")[0]
            known = [flag for action in self._actions for flag in action.option_strings]
            close = get_close_matches(flag, known, n=1)
            kind = "option" if flag.startswith("-") else "argument"
            self.error(f"unknown {kind} {unknown[0]!r}.{f' Did you mean {close[0]}?' if close else ''}")
        values = vars(given)
        for name, value in values.items():
            if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
                values[name] = {key: item for pairs in value for key, item in pairs.items()}
        return values

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError` of one sentence."""
        sentence = message.removeprefix("argument ").rstrip(".")
        end = "" if sentence.endswith("?") else "."
        raise UserError(f"{sentence}{end} See: {self.prog} --help")


class _HelpFormatter(RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(get_terminal_size().columns - 2, _WIDEST))


def _help(about: str, default: Any) -> str:
    """Return a parameter's line of help, with its default where that is a number, a word or a switch's on."""
    text = " ".join(about.replace("`", "").split()).rstrip(".").replace("%", "%%")
    if default is True:
        return f"{text} (default: on)"
    if isinstance(default, (int, float)) and default is not False:
        return f"{text} (default: {default:g})"
    return f"{text} (default: {default})" if isinstance(default, str) else text


def _metavar(name: str, kind: Any, positional: bool) -> str:
    """Return what stands for a value in the help: a positional's name, the choices, or the kind of value."""
    kinds = alternatives(kind)
    if positional:
        several = any(get_origin(each) in (list, tuple, Sequence) for each in kinds)
        return name.upper() + (" ..." if several else "")
    choices = [str(value) for each in kinds if get_origin(each) is Literal for value in get_args(each)]
    if choices:
        return f"{{{','.join(choices)}}}"
    return next((_METAVARS[each] for each in kinds if each in _METAVARS), name.replace("_", "-").upper())


def _reader(kind: Any) -> Callable[[str], Any]:
    def read(word: str) -> Any:
        try:
            return read_word(word, kind)
        except ValueError:
            wanted = described(kind).removesuffix(" or null")
            raise ArgumentTypeError(f"expected {wanted}, not {shortened(word)!r}") from None

    return read


def _pairs(word: str) -> dict[str, Any]:
    """Return `name=value` as a dictionary; the value is JSON or text. A whole JSON object serves, too."""
    name, equals, value = word.partition("=")
    if equals and name.isidentifier():
        return {name: _json(value, value)}
    if isinstance(given := _json(word, None), dict):
        return given
    raise ArgumentTypeError(f"expected names with values, such as k=20, not {shortened(word)!r}")


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise

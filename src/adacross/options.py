"""Type checks of options from a recipe, a configuration or Python."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from inspect import isclass
from math import isnan
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from adacross.errors import UserError

_PLAIN: dict[Any, tuple[type, ...]] = {each: (each,) for each in (bool, int, str, NoneType)}
_PLAIN[float] = (int, float)
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}


def check_values(owner: str, function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise a `UserError` if a value, by its name, is not of the type that a function's parameter has.

    Numbers must be Python's own, since a run's `config.yaml` holds them. A list serves as a tuple, which YAML
    does not have, and a path as text. Types that YAML cannot express are not checked, nor are names that the
    function (or a class's constructor) does not have. `owner` is for the message ("method crossnet").
    """
    hints = get_type_hints(function.__init__ if isclass(function) else function)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise UserError(
                f"option {name} of {owner} is {repr(value)[:200]}; "
                f"expected {described(hints[name])}.{_yaml(value)}"
            )


def plain(value: Any) -> Any:
    """Return a value as YAML holds it: lists for tuples, text for paths, dictionaries for mappings."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of the type `hint`; what YAML cannot express fits every value."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if hint in _PLAIN:
        number = not (isinstance(value, float) and isnan(value))  # .nan is a float, and no number
        return (number and type(value) in _PLAIN[hint]) or (hint is str and isinstance(value, PurePath))
    if origin in (list, tuple, Sequence):
        return isinstance(value, (list, tuple)) and _items_fit(value, hint)
    if origin in (dict, Mapping):
        keys, items = inner
        return isinstance(value, Mapping) and all(fits(k, keys) and fits(v, items) for k, v in value.items())
    return True


def alternatives(hint: Any) -> list[Any]:
    """Return the types that a union allows beside None; of any other type, itself.

    Example:
        >>> alternatives(int | str | None)
        [<class 'int'>, <class 'str'>]
    """
    inner = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [one for one in inner if one is not NoneType]


def read_word(word: str, hint: Any) -> Any:
    """Return the value that a typed word stands for; of several types the first that can be read.

    Raises:
        ValueError: the word is no value of the type.

    Example:
        >>> read_word("10", int | str), read_word("some.json", int | str), read_word("18", Literal[18, 50])
        (10, 'some.json', 18)
    """
    for one in alternatives(hint):
        if get_origin(one) is Literal:
            choices = {str(value): value for value in get_args(one)}
            if word in choices:
                return choices[word]
        elif one in (int, float, str):
            with suppress(ValueError):
                value = one(word)
                if fits(value, one):
                    return value
    raise ValueError(word)


def described(hint: Any) -> str:
    """A type in words: "a number or null", "'con' or 'joint'"."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _either([repr(valid) for valid in inner])
    if origin in (Union, UnionType):
        return _either([described(one) for one in inner])
    if origin in (list, tuple, Sequence):
        count = f"{len(inner)} " if origin is tuple and Ellipsis not in inner else ""
        return f"a list of {count}{_MANY.get(inner[0], 'values')}"
    if origin in (dict, Mapping):
        return f"names with {_MANY.get(inner[1], 'values')}"
    return _WORDS.get(hint, str(hint))


def _items_fit(values: Sequence[Any], hint: Any) -> bool:
    """Return whether items are of the types in the brackets of `hint`: one for each (tuple), or for all."""
    inner = get_args(hint)
    each = inner if get_origin(hint) is tuple and Ellipsis not in inner else inner[:1] * len(values)
    return len(values) == len(each) and all(map(fits, values, each))


def _either(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _yaml(value: Any) -> str:
    """Return what to do about a number that arrived as text, as 1e-3 does from YAML 1.1."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        return ""
    return " In YAML leave out the quotes, and write 1.0e-3 rather than 1e-3, which is text."

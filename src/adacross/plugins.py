"""Names of classes: built-in ones, `package.module:Name`, and those that installed packages registered.

Wherever an encoder, method, weighting, format, augmentation, image tower or callback is named (command line,
YAML, Python, `config.json`), all three are valid. A package registers names under an entry point group:

    [project.entry-points."adacross.encoders"]
    my-net = "my_package.nets:MyNet"
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from adacross.errors import UserError, one_line, one_of

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def find(kind: str, name: str, builtin: Mapping[str, Any], base: type[T]) -> Callable[..., T]:
    """Return the class that a name stands for, or a function that makes its instances.

    Only classes derived from `base`, and functions annotated to return one, are accepted: a name may come
    from a file that somebody else wrote.

    Args:
        kind: what is being named, in the singular ("encoder"); entry points are in the group
            `adacross.<kind>s`.
        name: a built-in name, `package.module:Name`, or the name of an entry point.
        builtin: the built-in ones by name.
        base: the class that it must derive from.

    Raises:
        UserError: no such name, a module that cannot be imported, or something of another type.

    Example:
        >>> from collections import OrderedDict
        >>> find("mapping", "collections:OrderedDict", {}, dict) is OrderedDict
        True
    """
    if name in builtin:
        return builtin[name]
    if is_plugin(name):
        found = _imported(kind, name)
    else:
        registered = _registered(kind)
        one_of(kind, name, [*builtin, *registered, "package.module:Name"])
        found = _imported(kind, registered[name])
    if not _makes(found, base):
        raise UserError(
            f"{kind} {name} is not a class derived from {base.__module__}.{base.__qualname__}, nor a "
            "function annotated to return one. Name one that is."
        )
    return found


def is_plugin(name: str) -> bool:
    """Return whether a name has the form `package.module:Name`.

    Example:
        >>> is_plugin("my_package.nets:MyNet"), is_plugin("pointnet"), is_plugin("s3://bucket")
        (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def names(kind: str, builtin: Iterable[str]) -> list[str]:
    """Return the built-in names and those that installed packages registered."""
    return [*builtin, *_registered(kind)]


def allow_working_folder(arguments: Iterable[str]) -> None:
    """Let modules of the working folder be imported if an argument that was typed names one.

    A name that is only read in a file reaches installed packages and `PYTHONPATH`.
    """
    words = (word for argument in arguments for word in argument.split("="))
    if any(is_plugin(word) for word in words) and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def working_folder_allowed() -> bool:
    """Return whether `allow_working_folder` let modules of the working folder be imported."""
    return sys.path[-1] == str(Path.cwd())


def _registered(kind: str) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=f"adacross.{kind.replace(' ', '_')}s")}


def _imported(kind: str, name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = import_module(module)
    except Exception as error:
        raise UserError(
            f"{kind} {name}: cannot import {module} ({one_line(error)}). Install its package, or set "
            "PYTHONPATH to the folder that it lies in."
        ) from error
    if not hasattr(found, attribute):
        raise UserError(f"{kind} {name}: module {module} has no {attribute}. Check the name.")
    return getattr(found, attribute)


def _makes(found: Any, base: type) -> bool:
    if not isinstance(found, type):
        try:
            found = get_type_hints(found).get("return")
        except (NameError, TypeError):
            return False
    return isinstance(found, type) and issubclass(found, base)

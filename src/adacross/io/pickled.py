"""A stack machine for pickles of plain data, which looks nothing up and calls nothing.

A pickle is a program for a small stack machine, and `pickle.load` lets it call any function there is; even
the few functions that torch's restricted loader allows can be made to take any amount of memory, as
`bytearray(10**10)` does. This machine knows the operations that plain data need: it makes dictionaries,
lists, tuples, text, bytes and numbers, each no larger than the part of the pickle that asks for it. A name
in a pickle is looked up in the table of a subclass, which decides what a call of it stands for.
"""

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, TypeVar

T = TypeVar("T")
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_KEYS = {str, bytes, int, float, bool, type(None)}  # a nested tuple's hash could exhaust the stack
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class RefusedError(ValueError):
    """A pickle asks for something that is not plain data; the message names it."""


@dataclass(frozen=True)
class Name:
    """A known name in a pickle; no text in a file can be taken for it."""

    what: str


def exactly(kind: type[T], value: Any) -> T:
    """Return the value if it is of exactly this type, else raise a TypeError: a file may hold anything."""
    if type(value) is not kind:
        raise TypeError(f"a {type(value).__name__} where a {kind.__name__} is expected")
    return value


class Machine:
    """Runs the operations of one pickle on values that are data or stand for data.

    Attributes:
        known: names that a pickle may contain, with the `Name.what` of each.
        literals: operations whose argument is a value.
        most_steps: operations of one pickle.
    """

    known: ClassVar[Mapping[str, str]] = {}
    literals: ClassVar[set[str]] = _LITERALS

    def __init__(self, most_steps: int) -> None:
        self.most_steps = most_steps
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, file: Any) -> Any:
        """Return the value of the pickle at the position of a binary file or map, which is then behind it.

        Raises:
            RefusedError: it is not plain data, or takes more than `most_steps`.
            IndexError, KeyError, TypeError, ValueError: it is damaged.
        """
        self.stack, self.marks, self.memo = [], [], {}
        for step, (operation, argument, _) in enumerate(pickletools.genops(file)):
            if step == self.most_steps:
                raise RefusedError(f"more than {self.most_steps:,} steps of reading")
            self._step(operation.name, argument)
        (value,) = self.stack
        return value

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return the value that a call of a known name stands for."""
        raise TypeError("a call")

    def build(self, made: Any, state: Any) -> None:
        """Give a value that a call stands for its state."""
        raise RefusedError("an object with a state of its own")

    def persistent(self, reference: Any) -> Any:
        """Return the value that lies outside the pickle under `reference`."""
        self.refuse("the operation BINPERSID")

    def finished(self, value: Any) -> Any:
        """Return the data that a value on the stack stands for."""
        return value

    def refuse(self, what: str) -> NoReturn:
        """Raise the error for a pickle that asks for `what`."""
        raise RefusedError(what[:80])

    def _step(self, name: str, argument: Any) -> None:  # noqa: PLR0912, PLR0915  a case for each operation
        stack = self.stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(self._known(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                module, attribute = self._pop(2)
                stack.append(self._known(f"{exactly(str, module)}.{exactly(str, attribute)}"))
            case "INST":
                self.refuse(argument.replace(" ", "."))
            case "REDUCE":
                function, arguments = self._pop(2)
                stack.append(self.call(function, exactly(tuple, arguments)))
            case "BUILD":
                (state,) = self._pop(1)
                self.build(stack[-1], state)
            case "BINPERSID":
                (reference,) = self._pop(1)
                stack.append(self.persistent(reference))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "LIST":
                stack.append(self._since_mark())
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "DICT":
                values = self._since_mark()
                stack.append({})
                self._fill(stack[-1], values)
            case "APPEND" | "APPENDS":
                values = self._pop(1) if name == "APPEND" else self._since_mark()
                exactly(list, stack[-1]).extend(map(self.finished, values))
            case "SETITEM" | "SETITEMS":
                values = self._pop(2) if name == "SETITEM" else self._since_mark()
                self._fill(exactly(dict, stack[-1]), values)
            case _ if name in _TUPLES:
                stack.append(tuple(self._pop(_TUPLES[name])))
            case _ if name in self.literals:
                stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
            case _ if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case _:
                self.refuse(f"the operation {name}")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("an operation without operands")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def _known(self, name: str) -> Name:
        if name not in self.known:
            self.refuse(name)
        return Name(self.known[name])

    def _fill(self, table: dict[Any, Any], values: list[Any]) -> None:
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in _KEYS:
                raise TypeError(f"a {type(key).__name__} as a key")
            table[key] = self.finished(value)

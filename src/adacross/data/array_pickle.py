"""Pickled arrays, read without running anything.

A pickle is a program for a small stack machine, and `pickle.load` lets it call any function there is. CIFAR
and CIFAR-FS come as pickles all the same. So this is a stack machine of its own, for the operations that
plain data need: it makes dictionaries, lists, tuples, text, bytes and whole numbers, knows what numpy writes
in place of an array (protocols 0 to 5, of Python 2 and 3, numpy 1 and 2), and refuses all else by name.
Nothing is looked up and nothing is called; numpy's part is done by `np.frombuffer` on checked numbers.
"""

import math
import mmap
import pickletools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from adacross.errors import UserError

T = TypeVar("T")
LARGEST = 1_000_000_000  # bytes of a file
MOST_STEPS = 20_000_000  # of the machine; a CIFAR file takes less than a million
_DTYPES = ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_KNOWN = {
    "numpy.ndarray": "class",
    "numpy.dtype": "dtype",
    "_codecs.encode": "bytes",  # how Python 3 writes bytes in protocols 0 to 2
    **{f"{module}._reconstruct": "empty" for module in _MULTIARRAY},
    **{f"{module}.scalar": "number" for module in _MULTIARRAY},
    **{f"{module}._frombuffer": "array" for module in ("numpy.core.numeric", "numpy._core.numeric")},
}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    """Stands for a function of numpy's; no text in a file can be taken for it."""

    what: str


@dataclass
class _Dtype:
    """Stands for `numpy.dtype` until its byte order is known."""

    code: str
    order: str = "="

    @property
    def real(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


@dataclass
class _Array:
    """Stands for an array until its content is known."""

    content: np.ndarray | None = None


def read_pickled_table(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary of lists, numbers, text and arrays; nothing in it is executed.

    Keys that are bytes become text. Text of Python 2 is read as Latin-1. Arrays may hold whole numbers of any
    size, or truth values.

    Raises:
        UserError: no such file, larger than 1 GB, damaged or cut off, not a dictionary, or a pickle that asks
            for anything else (the message names it).
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UserError(f"{path} has {size:,} bytes; expected a pickle of at most {LARGEST:,}.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            table = _Machine(path, size).run(pickletools.genops(content))  # type: ignore[arg-type]  # read as a file
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path} is damaged, or no pickle ({what}). Download it again.") from None
    if not isinstance(table, dict):
        raise UserError(f"{path} holds a pickled {type(table).__name__}; expected a dictionary.")
    return {_text(key): value for key, value in table.items()}


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _content(value: Any) -> Any:
    return value.content if isinstance(value, _Array) else value


def _of(kind: type[T], value: Any) -> T:
    """The value if it is of a kind; what a damaged or made-up file holds may be anything."""
    if type(value) is not kind:
        raise TypeError(f"a {type(value).__name__} where a {kind.__name__} is expected")
    return value


class _Machine:
    """Runs one pickle's operations on values that are data or stand for data."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.room = size  # bytes that text may still become: as many as the file has
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, operations: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> Any:
        """The value that the pickle stands for."""
        for step, (operation, argument, _) in enumerate(operations):
            if step == MOST_STEPS:
                raise UserError(
                    f"{self.path} takes more than {MOST_STEPS:,} steps to read; expected a table."
                )
            self._step(operation.name, argument)
        (value,) = self.stack
        return value

    def _step(self, name: str, argument: Any) -> None:
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
                stack.append(self._known(f"{_of(str, module)}.{_of(str, attribute)}"))
            case "INST":
                self._refuse(argument.replace(" ", "."))
            case "REDUCE":
                function, arguments = self._pop(2)
                stack.append(self._call(function, _of(tuple, arguments)))
            case "BUILD":
                (state,) = self._pop(1)
                self._build(stack[-1], _of(tuple, state))
            case _:
                self._collect(name, argument)

    def _collect(self, name: str, argument: Any) -> None:
        """Operations that make or fill containers, and literals."""
        stack = self.stack
        match name:
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
                _fill(stack[-1], values)
            case "APPEND" | "APPENDS":
                values = self._pop(1) if name == "APPEND" else self._since_mark()
                _of(list, stack[-1]).extend(map(_content, values))
            case "SETITEM" | "SETITEMS":
                values = self._pop(2) if name == "SETITEM" else self._since_mark()
                _fill(_of(dict, stack[-1]), values)
            case _ if name in _TUPLES:
                stack.append(tuple(self._pop(_TUPLES[name])))
            case _ if name in _LITERALS:
                stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
            case _ if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case _:
                self._refuse(f"the operation {name}")

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

    def _known(self, name: str) -> _Name:
        if name not in _KNOWN:
            self._refuse(name)
        return _Name(_KNOWN[name])

    def _refuse(self, what: str) -> NoReturn:
        raise UserError(
            f"{self.path} asks for {what[:80]}, which no table of pictures needs; it was not run. Expected a "
            "dictionary of numpy arrays, lists, whole numbers and text. Get the file from its publisher."
        )

    def _call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """What numpy's constructors stand for."""
        match function, arguments:
            case _Name("empty"), (_, _, _):
                return _Array()
            case _Name("dtype"), (str(code), *_):
                if code not in _DTYPES:
                    self._refuse(f"a numpy array of type {code!r}")
                return _Dtype(code)
            case _Name("number"), (_Dtype() as dtype, raw):
                return int(_array(self._raw(raw), dtype, (), fortran=False))
            case _Name("array"), (raw, _Dtype() as dtype, tuple(shape), str(order)):
                return _Array(_array(self._raw(raw), dtype, shape, fortran=order == "F"))
            case _Name("bytes"), (str(text), "latin1"):
                return self._raw(text)
        raise TypeError("a call of another form than numpy's")

    def _raw(self, value: Any) -> bytes:
        """Return bytes, or those that Python 2 wrote as text.

        Raises:
            ValueError: the same text again and again, until it is more than the file.
        """
        if not isinstance(value, str):
            return _of(bytes, value)
        self.room -= len(value)
        if self.room < 0:
            raise ValueError("its texts stand for more bytes than it has")
        return value.encode("latin-1")

    def _build(self, made: Any, state: tuple[Any, ...]) -> None:
        """The second half of what numpy writes: byte order, content."""
        match made, state:
            case _Dtype(), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
                made.order = order
            case _Array(), (int(), tuple(shape), _Dtype() as dtype, fortran, raw):
                made.content = _array(self._raw(raw), dtype, shape, fortran=bool(fortran))
            case _:
                self._refuse("an object with a state of its own")


def _fill(table: dict[Any, Any], values: list[Any]) -> None:
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) not in (str, bytes, int):  # a nested tuple's hash could exhaust the stack
            raise TypeError(f"a {type(key).__name__} as a key")
        table[key] = _content(value)


def _array(raw: bytes, dtype: _Dtype, shape: tuple[Any, ...], *, fortran: bool) -> np.ndarray:
    if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 8:
        raise ValueError("an array's sides are no whole numbers")
    if math.prod(shape) * dtype.real.itemsize != len(raw):
        raise ValueError(f"an array of {len(raw):,} bytes where {math.prod(shape)} numbers are promised")
    return np.frombuffer(raw, dtype.real).reshape(shape, order="F" if fortran else "C")

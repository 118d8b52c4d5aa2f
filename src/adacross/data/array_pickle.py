"""Pickled arrays, read without running anything.

CIFAR and CIFAR-FS come as pickles. `adacross.io.pickled` reads their plain data; this file adds what numpy
writes in place of an array (protocols 0 to 5, of Python 2 and 3, numpy 1 and 2). numpy's part is done by
`np.frombuffer` on checked numbers, and all else is refused by name.
"""

import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from adacross.errors import UserError, one_line
from adacross.io.files import READER_ERRORS, file_size
from adacross.io.pickled import Machine, Name, RefusedError, exactly

LARGEST = 1_000_000_000  # bytes of a file
MOST_STEPS = 20_000_000  # of the machine; a CIFAR file takes less than a million
_DTYPES = ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")


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
        size = file_size(path)
        if size > LARGEST:
            raise UserError(f"{path} has {size:,} bytes; expected a pickle of at most {LARGEST:,}.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            table = _ArrayMachine(MOST_STEPS).run(content)
    except UserError:
        raise
    except RefusedError as refused:
        raise UserError(
            f"{path} asks for {refused}, which no table of pictures needs; it was not run. Expected a "
            "dictionary of numpy arrays, lists, whole numbers and text. Get the file from its publisher."
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from None
    except READER_ERRORS as error:
        what = one_line(error, 120)
        raise UserError(f"{path} is damaged, or no pickle ({what}). Download it again.") from None
    if not isinstance(table, dict):
        raise UserError(f"{path} holds a pickled {type(table).__name__}; expected a dictionary.")
    return {_text(key): value for key, value in table.items()}


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


class _ArrayMachine(Machine):
    """Knows the names that numpy writes for an array."""

    known: ClassVar = {
        "numpy.ndarray": "class",
        "numpy.dtype": "dtype",
        "_codecs.encode": "bytes",  # how Python 3 writes bytes in protocols 0 to 2
        **{f"{module}._reconstruct": "empty" for module in _MULTIARRAY},
        **{f"{module}.scalar": "number" for module in _MULTIARRAY},
        **{f"{module}._frombuffer": "array" for module in ("numpy.core.numeric", "numpy._core.numeric")},
    }

    def __init__(self, most_steps: int) -> None:
        super().__init__(most_steps)
        self.encoded: dict[str, bytes] = {}  # once each: a text may be referred to any number of times

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what numpy's constructors stand for."""
        match function, arguments:
            case Name("empty"), (_, _, _):
                return _Array()
            case Name("dtype"), (str(code), *_):
                if code not in _DTYPES:
                    self.refuse(f"a numpy array of type {code!r}")
                return _Dtype(code)
            case Name("number"), (_Dtype() as dtype, raw):
                return int(_array(self._raw(raw), dtype, (), fortran=False))
            case Name("array"), (raw, _Dtype() as dtype, tuple(shape), str(order)):
                return _Array(_array(self._raw(raw), dtype, shape, fortran=order == "F"))
            case Name("bytes"), (str(text), "latin1"):
                return self._raw(text)
        raise TypeError("a call of another form than numpy's")

    def build(self, made: Any, state: Any) -> None:
        """Take the second half of what numpy writes: byte order, content."""
        match made, state:
            case _Dtype(), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
                made.order = order
            case _Array(), (int(), tuple(shape), _Dtype() as dtype, fortran, raw):
                made.content = _array(self._raw(raw), dtype, shape, fortran=bool(fortran))
            case _, tuple():
                self.refuse("an object with a state of its own")
            case _:
                raise TypeError("a state of another form than numpy's")

    def _raw(self, value: Any) -> bytes:
        """Return bytes, or those that a text of Python 2 stands for."""
        if not isinstance(value, str):
            return exactly(bytes, value)
        if value not in self.encoded:
            self.encoded[value] = value.encode("latin-1")
        return self.encoded[value]

    def finished(self, value: Any) -> Any:
        """Return an array's content."""
        return value.content if isinstance(value, _Array) else value


def _array(raw: bytes, dtype: _Dtype, shape: tuple[Any, ...], *, fortran: bool) -> np.ndarray:
    if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 8:
        raise ValueError("an array's sides are no whole numbers")
    if math.prod(shape) * dtype.real.itemsize != len(raw):
        raise ValueError(f"an array of {len(raw):,} bytes where {math.prod(shape)} numbers are promised")
    return np.frombuffer(raw, dtype.real).reshape(shape, order="F" if fortran else "C")

"""Text of meshes and clouds, decoded and turned into numbers."""

import codecs
import re
import warnings
from contextlib import suppress

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from adacross.data.shape import BrokenShapeError

_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_WINDOWS_NAN = re.compile(r"-?(?:nan\(\w*\)|1\.#\w+)", re.IGNORECASE)


def decode_text(data: bytes) -> str:
    """Return text whose lines end in a line feed: UTF-16 (also without a byte order mark), UTF-8 or Latin-1.

    Raises BrokenShapeError if the data is binary.
    """
    zeros = [byte == 0 for byte in data[:4]]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    elif zeros in ([False, True] * 2, [True, False] * 2):
        text = data.decode("utf-16-be" if zeros[0] else "utf-16-le", errors="replace")
    else:
        data = data.removeprefix(codecs.BOM_UTF8)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    if "\0" in text:
        raise BrokenShapeError("binary data where text belongs")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbers(text: str) -> Float64[np.ndarray, " n"]:
    """Return the numbers of a text, which white space separates; ValueError if anything else is in it."""
    if not text or text.isspace():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy before 2.3 warns where it now raises
        with suppress(DeprecationWarning, ValueError):
            return np.fromstring(text, sep=" ")
        with suppress(DeprecationWarning, ValueError):
            return np.fromstring(_WINDOWS_NAN.sub("nan", text), sep=" ")
    refuse_decimal_commas(text)
    raise ValueError(f"{_first_word(text)!r} is not a number")


def integers(values: Shaped[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return numbers as integers; NaN and what is too large become the least one."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.int64)


def refuse_decimal_commas(text: str) -> None:
    """Raise a BrokenShapeError that names the first number written with a comma, if there is one."""
    if found := _DECIMAL_COMMA.search(text):
        point = found[0].replace(",", ".")
        raise BrokenShapeError(f"a decimal comma ({found[0]}): export it again with points ({point})")


def _first_word(text: str) -> str:
    """Return the first word that is not a number, or its start."""
    for word in text.split():
        try:
            float(word)
        except ValueError:
            return word[:40]
    return ""

"""Files that `torch.save` wrote, read without running anything and without trusting their sizes."""

import struct
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251  the name of an error; nothing is unpickled here
from typing import Any

import torch

from adacross.files import file_size

# What torch's readers raise on files that are not what they expect.
_READER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def load_plain(path: Path) -> Any:
    """The tensors and plain values of a file, on the CPU; code in it is refused, not run.

    Raises:
        OSError: no such file, or none that can be read.
        ValueError: damaged, packed, or anything but tensors and plain values; says why.
    """
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old file formats warn; what matters is raised
            return torch.load(path, map_location="cpu", weights_only=True)
    except _READER_ERRORS as error:
        lines = str(error).strip().splitlines()
        raise ValueError(lines[0][:300] if lines else type(error).__name__) from error


def _check_archive(path: Path) -> None:
    """Refuse what is no file, an archive that unpacks to more than it is, and damaged parts.

    torch itself packs nothing, and does not compare a part with the checksum beside it.

    Raises:
        OSError: no file.
        ValueError: packed, of parts that overlap, or damaged.
    """
    size = file_size(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type for part in parts) or sum(part.file_size for part in parts) > size:
                raise ValueError(f"an archive that unpacks to more than its {size:,} bytes")
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"its part {damaged} is damaged")

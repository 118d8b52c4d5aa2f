"""Clouds in text files, one point a line."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from adacross.data.shape import BrokenShapeError
from adacross.io.files import read_bytes


def read_rows(
    path: Path, widths: tuple[int, ...], separator: str | None = None
) -> Float32[np.ndarray, "n C"]:
    """Read numbers, as many in every line.

    Args:
        path: the file; blank lines are left out.
        widths: how many numbers a line may have.
        separator: between two numbers; None means spaces or tabs.

    Raises:
        BrokenShapeError: not readable, empty, a line of something else, or a number that is not finite.
    """
    try:
        lines = [line for line in read_bytes(path).decode("utf-8").splitlines() if line.strip()]
        exact = np.loadtxt(lines or ["0"], delimiter=separator, ndmin=2, comments=None)
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error
    except (ValueError, MemoryError) as error:
        reason = (str(error) or "not enough memory").splitlines()[0].split(";", maxsplit=1)[0]
        raise BrokenShapeError(f"not a cloud of points: {reason}") from error
    if not lines:
        raise BrokenShapeError("the file is empty")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused as such
        rows = exact.astype(np.float32)
    if rows.shape[1] not in widths:
        expected = " or ".join(str(width) for width in widths)
        raise BrokenShapeError(f"{rows.shape[1]} numbers a line, expected {expected}")
    if not np.isfinite(rows).all():
        number = int((~np.isfinite(rows)).any(1).argmax()) + 1
        raise BrokenShapeError(f"a number of point {number:,} is not finite (NaN or infinite)")
    return rows

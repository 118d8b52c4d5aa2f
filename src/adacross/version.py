"""The installed version, and that of the compiler of its kernels."""

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__version__ = version("adacross")
KERNELS = "ADACROSS_KERNELS"  # the environment's variable that turns compiled kernels off: "0"


def numba_version() -> str | None:
    """Return the version of Numba; None if it is not installed, or turned off."""
    return None if os.environ.get(KERNELS) == "0" else _installed("numba")


def kernels_usable() -> bool:
    """Return True if Numba is installed, fits the installed NumPy, and is not turned off."""
    return numba_version() is not None and _works()


def kernels() -> str:
    """Return in words what computes on the CPU."""
    if os.environ.get(KERNELS) == "0":
        return f"plain torch ({KERNELS}=0)"
    found = numba_version()
    return (
        f"compiled kernels (Numba {found})"
        if found
        else "plain torch (pip install numba for compiled kernels)"
    )


@cache
def _works() -> bool:
    try:
        import numba  # noqa: F401  one that does not fit the installed NumPy refuses to be imported
    except ImportError:
        return False
    return True


@cache
def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

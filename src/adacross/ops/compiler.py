"""Compilation of kernels by Numba, and the threads that run them.

A kernel is a function of arrays whose first two arguments are the range of rows it works on. It runs without
the interpreter's lock, so threads run it in parallel: no second OpenMP runtime beside torch's, no trouble
after a fork, and as many threads as torch itself uses. Its machine code is kept on disk for the next process.
"""

import gc
import inspect
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numba

from adacross.console import console

# Sums may be reordered and fused, which vector instructions need. NaN and infinity keep their meaning.
FAST_MATH = frozenset({"reassoc", "contract", "arcp", "nsz"})
_PIECES = 4  # a thread: those that a busy machine delays take fewer
_ONCE = "Compiling kernels for this processor; their code is kept for the next time ..."


class Kernel:
    """A function that Numba compiles when it is first called."""

    def __init__(self, function: Callable[..., Any], fast_math: frozenset[str] = FAST_MATH) -> None:
        self.function = inspect.unwrap(function)  # without the checks of types that tests add
        options = _options(fast_math)
        try:
            self.compiled = numba.njit(cache=True, **options)(self.function)
        except RuntimeError:  # no folder for its code can be written
            self.compiled = numba.njit(**options)(self.function)

    def __call__(self, *arguments: Any) -> Any:
        if self.compiled.signatures:
            return self.compiled(*arguments)
        self._announce()
        collects = gc.isenabled()
        gc.disable()  # a compiler's objects stay: looking for garbage among them takes a tenth of its time
        try:
            return self.compiled(*arguments)
        finally:
            if collects:
                gc.enable()

    def over(self, rows: int, *arguments: Any) -> None:
        """Call the kernel on all rows, in pieces: `kernel(first, last, *arguments)`, one for each piece."""
        threads = min(_threads(), rows)
        if threads <= 1:
            self(0, rows, *arguments)
            return
        self(0, 0, *arguments)  # compiled before threads ask for it
        pieces = min(rows, _PIECES * threads)
        bounds = iter([(rows * i // pieces, rows * (i + 1) // pieces) for i in range(pieces)])
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    piece = next(bounds, None)
                if piece is None:
                    return
                self.compiled(*piece, *arguments)

        others = [_pool(os.getpid(), threads).submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            other.result()

    def _announce(self) -> None:
        """Say that this takes a few seconds, if no code of this kernel is on disk."""
        place = self.compiled.stats.cache_path
        name = f"{Path(self.function.__code__.co_filename).stem}.{self.function.__qualname__}-*.nbi"
        if place is None or not any(Path(place).glob(name)):
            _announce_once()


def kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a function of arrays and numbers when it is first called (a decorator)."""
    return Kernel(function)


def function(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call (a decorator); it becomes part of their code.

    Nothing else can call it, so it is not compiled by itself.
    """
    options = _options(FAST_MATH) | {"no_cpython_wrapper": True}
    return numba.njit(**options)(inspect.unwrap(function))


def _options(fast_math: frozenset[str]) -> dict[str, Any]:
    return {
        "nogil": True,
        "fastmath": set(fast_math),
        "error_model": "numpy",
        "no_cfunc_wrapper": True,  # nothing calls from C
    }


def _threads() -> int:
    """Return torch's number of threads; in a process that has no need of torch, the environment's."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads() if torch else os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


@cache
def _announce_once() -> None:
    console.print(_ONCE, style="dim")


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the threads of this process; a fork has none of its parent's."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="adacross-kernels")

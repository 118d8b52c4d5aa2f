"""The compiler of kernels: threads, forks, machine code on disk, machines without it."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.ops.compiler import Kernel
from adacross.ops.kernels import use_kernels
from adacross.ops.neighbors import farthest_point_sample
from adacross.version import KERNELS


def count(first, last, times):
    for i in range(first, last):
        times[i] += 1


def counted(rows: int) -> np.ndarray:
    times = np.zeros(rows)
    Kernel(count).over(rows, times)
    return times


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [0, 1, 2, 25])
def test_every_row_is_worked_on_once(threads, rows):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert counted(rows).tolist() == [1] * rows
    finally:
        torch.set_num_threads(before)


def test_a_mistake_in_a_thread_is_raised():
    def wrong(first, last, times):
        for i in range(first, last):
            if i == 7:
                raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        Kernel(wrong).over(8, np.zeros(8))


def test_a_fork_has_threads_of_its_own():
    if "fork" not in multiprocessing.get_all_start_methods():
        assert counted(9).sum() == 9  # nothing to test: this system does not fork
        return
    counted(9)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(counted, (9,)).sum() == 9


def test_who_takes_the_torch_form(kernels, monkeypatch):
    x = torch.zeros(1, 4, 3)
    assert use_kernels(x, torch.zeros(2, dtype=torch.int64)) == kernels
    assert not use_kernels(x.double())
    assert not use_kernels(x.half())
    assert not use_kernels(torch.empty(1, device="meta"))
    monkeypatch.setenv(KERNELS, "0")
    assert not use_kernels(x)


def run(*lines: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=os.environ | environment,
        text=True,
        capture_output=True,
        check=True,
    )


CHOOSE = (
    "import torch",
    "from adacross.ops.neighbors import farthest_point_sample",
    "print(farthest_point_sample(torch.arange(24.).view(1, 8, 3), 3).tolist())",
)


@pytest.mark.slow
def test_without_numba_torch_does_the_same():
    hidden = run("import sys; sys.modules['numba'] = None", *CHOOSE)
    assert hidden.stdout == "[[0, 7, 3]]\n"
    assert hidden.stderr == ""


@pytest.mark.slow
def test_machine_code_is_kept_and_compiling_is_said(kernels, tmp_path: Path):
    if not kernels:
        assert run(*CHOOSE, NUMBA_CACHE_DIR=str(tmp_path)).stderr == ""
        return
    first = run(*CHOOSE, NUMBA_CACHE_DIR=str(tmp_path))
    assert first.stdout == "[[0, 7, 3]]\n"
    assert "Compiling kernels" in first.stderr
    assert list(tmp_path.rglob("*.nbc"))
    assert run(*CHOOSE, NUMBA_CACHE_DIR=str(tmp_path)).stderr == ""


def test_without_a_folder_for_machine_code(monkeypatch: pytest.MonkeyPatch):
    import numba

    def njit(function=None, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiled(**options)

    compiled = numba.njit
    monkeypatch.setattr(numba, "njit", njit)
    assert counted(5).tolist() == [1] * 5
    assert farthest_point_sample(torch.zeros(1, 4, 3), 2).tolist() == [[0, 0]]

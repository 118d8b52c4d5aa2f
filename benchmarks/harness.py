"""What the benchmarks share: turns, peak memory, the machine's own limits, one table and one JSON.

A benchmark compares a *published formulation*, written plainly beside it, with ours: same process, same
inputs, results checked equal first. The two take turns, so that a busy machine slows both alike; the ratio is
that of the medians.
"""

import ctypes
import ctypes.util
import gc
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from adacross.console import progress_bar
from adacross.io.files import write_json
from adacross.version import kernels

LIBRARIES = ("torch", "numpy", "scikit-learn", "datasets", "trimesh")


@dataclass(frozen=True)
class Timing:
    """Seconds of one job: the median of several turns and their quartiles; peak MiB of the turn before."""

    median: float
    low: float
    high: float
    turns: int
    mib: float | None = None

    @classmethod
    def of(cls, seconds: list[float], mib: float | None = None) -> "Timing":
        """From single measurements."""
        low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        return cls(median, low, high, len(seconds), mib)


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: is compared, with its sizes.
        device: "cpu, 2 threads" or the GPU's name.
        plain: the published formulation's time.
        ours: our time.
        goal: the ratio aimed at, if one is.
        difference: largest relative difference of the two results.
        plain_mib: peak memory above the idle process.
        ours_mib: the same.
        memory_goal: 5 means that ours is to need at most a fifth; None: no goal.
        floor: seconds that arithmetic or traffic alone would take on this machine.
        floor_words: how the floor was worked out.
    """

    what: str
    device: str
    plain: Timing
    ours: Timing
    goal: float | None = None
    difference: float | None = None
    plain_mib: float | None = None
    ours_mib: float | None = None
    memory_goal: float | None = None
    floor: float | None = None
    floor_words: str = ""

    @classmethod
    def of(
        cls,
        what: str,
        device: str,
        times: dict[str, Timing],
        goal: float | None = None,
        difference: float | None = None,
        memory_goal: float | None = None,
        floor: float | None = None,
        floor_words: str = "",
    ) -> "Row":
        """From what `compare` says of "plain" and "ours"."""
        plain, ours = times["plain"], times["ours"]
        return cls(
            what, device, plain, ours, goal, difference, plain.mib, ours.mib, memory_goal, floor, floor_words
        )

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.plain.median / self.ours.median

    @property
    def memory_ratio(self) -> float | None:
        """How many times less memory ours needs."""
        if self.plain_mib is None or self.ours_mib is None:
            return None
        return self.plain_mib / max(self.ours_mib, 0.1)

    @property
    def met(self) -> bool | None:
        """Whether every goal of the row is met; None if it has none."""
        goals = [(self.ratio, self.goal), (self.memory_ratio, self.memory_goal)]
        checked = [value >= goal for value, goal in goals if value is not None and goal is not None]
        return all(checked) if checked else None


def compare(
    jobs: dict[str, Callable[[], object]],
    turns: int,
    device: str | torch.device = "cpu",
    warm_up: bool = True,
) -> dict[str, Timing]:
    """Time jobs that take turns.

    A first turn warms up and says how much memory is needed; it counts only with `warm_up` false, for jobs of
    minutes.
    """
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    memory: dict[str, float | None] = {}
    with progress_bar("turns") as progress:
        task = progress.add_task(" and ".join(jobs), total=turns + warm_up, note="")
        for name, job in jobs.items():
            start = time.perf_counter()
            memory[name] = peak_mib(job, device)
            if not warm_up:
                seconds[name].append(time.perf_counter() - start)
        for _ in range(turns - (not warm_up)):
            progress.advance(task)
            for name, job in jobs.items():
                wait()
                start = time.perf_counter()
                job()
                wait()
                seconds[name].append(time.perf_counter() - start)
    return {name: Timing.of(values, memory[name]) for name, values in seconds.items()}


def peak_mib(job: Callable[[], object], device: str | torch.device = "cpu") -> float | None:
    """Peak memory of one call above what the process holds before it, in MiB.

    On a CPU the process's resident memory, as Linux counts it (None elsewhere), after freed memory went back
    to the system; on a GPU torch's own count.
    """
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        job()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    if platform.system() != "Linux":
        return None
    ctypes.CDLL(ctypes.util.find_library("c")).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="utf-8"
    )  # the peak starts again at what is resident now
    before = resident_mib()
    job()
    return resident_mib("VmHWM") - before


def resident_mib(line: str = "VmRSS") -> float:
    """This process's resident memory (`VmRSS`) or its peak (`VmHWM`) in MiB; Linux only."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(rf"{line}:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def difference(ours: torch.Tensor, plain: torch.Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((ours - plain).abs().max() / plain.abs().max().clamp_min(1e-30))


def must_agree(what: str, found: float, allowed: float) -> float:
    """The difference, if it is small; times of two things that differ mean nothing."""
    if found > allowed:
        raise SystemExit(f"{what}: the two formulations differ by {found:.1e} (allowed: {allowed:.0e}).")
    return found


@dataclass(frozen=True)
class Limits:
    """What this machine can do at best: floors are worked out from these.

    Attributes:
        gflops: float32 matrix product of 2,048 x 2,048, 10^9 operations a second.
        gigabytes: copied a second (read and written), blocks of 256 MiB.
    """

    gflops: float
    gigabytes: float

    @classmethod
    def measured(cls, device: str | torch.device = "cpu") -> "Limits":
        """Best of ten."""
        a = torch.randn(2048, 2048, device=device)
        source = torch.randn(2**26, device=device)
        target = torch.empty_like(source)
        product = best(lambda: a @ a, device)
        copy = best(lambda: target.copy_(source), device)
        return cls(2 * 2048**3 / product / 1e9, 2 * source.nbytes / copy / 1e9)

    def seconds(self, operations: float = 0.0, traffic: float = 0.0) -> float:
        """The longer of arithmetic (operations) and memory traffic (bytes)."""
        return max(operations / self.gflops, traffic / self.gigabytes) / 1e9


def best(job: Callable[[], object], device: str | torch.device) -> float:
    """Seconds of the fastest of ten calls."""
    timing = []
    for _ in range(10):
        start = time.perf_counter()
        job()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        timing.append(time.perf_counter() - start)
    return min(timing)


def device_name(device: str | torch.device) -> str:
    """Threads of a CPU ("cpu, 2 threads"), or the GPU's name."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def machine() -> dict[str, str | int]:
    """Processor, system and versions."""
    cpu = re.search(r"model name\s*: (.+)", _read("/proc/cpuinfo"))
    return {
        "processor": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "kernels": kernels(),
    }


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def publish(title: str, rows: list[Row], out: Path | None, **extra: object) -> None:
    """Print the rows as a table; write them with the machine and `extra` as JSON if `out` is given."""
    table = Table(title=title)
    for name in (
        "",
        "plain s",
        "ours s",
        "ratio",
        "goal",
        "plain MiB",
        "ours MiB",
        "ratio",
        "goal",
        "floor s",
    ):
        table.add_column(name, justify="left" if not name else "right")
    for row in rows:
        memory = (row.plain_mib, row.ours_mib, row.memory_ratio, row.memory_goal)
        table.add_row(
            row.what,
            *(f"{value:.4g}" for value in (row.plain.median, row.ours.median)),
            f"[{ {True: 'green', False: 'red', None: 'default'}[row.met] }]{row.ratio:.1f}",
            *("" if value is None else f"{value:.3g}" for value in (row.goal, *memory, row.floor)),
        )
    Console(width=150).print(table)
    if out is not None:
        found = [
            {**asdict(row), "ratio": row.ratio, "memory_ratio": row.memory_ratio, "met": row.met}
            for row in rows
        ]
        write_json(out, {"title": title, "machine": machine(), "rows": found, **extra})

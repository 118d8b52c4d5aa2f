"""Does a long run stay as it began: memory flat, no file handle more, nothing missing from the log?

A pre-training (CrossPoint, PointNet, a thin ResNet-18) on a prepared collection, and beside it a process that
prepares a collection, removes it, and begins again. Both are looked at every few seconds. At the end the
training is stopped by SIGTERM, resumed for some steps, and stopped again. Prints a table, writes JSON, and
ends with code 1 if any check failed. Linux only. Time counts only while the training is not paused (SIGSTOP).

    python benchmarks/soak.py [--minutes 60] [--folder runs/soak] [--out benchmarks/results/soak.json]
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from harness import machine
from rich.console import Console
from rich.table import Table

from adacross.console import progress_bar
from adacross.data.collection.prepare import prepare
from adacross.io.files import write_json
from adacross.training.checkpoint import KEEP

WARM_UP = 0.15  # part of the time that is not judged
MEMORY = 32.0  # MiB that a process may grow by, from the first third to the last, and along a fitted line
HANDLES = 2  # file handles at rest, the same: a preparation opens pipes to its workers and closes them
LEAST = 10  # steps before the first stop, enough for some checkpoints
AFTER = 20  # steps of the resumed run
OPTIONS = [
    *(
        "--method",
        "crosspoint",
        "--encoder",
        "pointnet",
        "--image-encoder",
        "resnet18",
        "--image-encoder-args",
        "width=16",
    ),
    *("--image-size", "32", "--points", "512", "--batch-size", "32", "--schedule", "constant"),
    *("--monitor-every", "5", "--epochs", "1000000", "--device", "cpu"),
]


@dataclass(frozen=True)
class Sample:
    """One look at a process: seconds since the start, MiB of its own memory, file handles, threads."""

    seconds: float
    mib: float
    handles: int
    threads: int

    @classmethod
    def of(cls, process: int, seconds: float) -> "Sample":
        """Look now."""
        status = _status(process)
        handles = len(list(Path(f"/proc/{process}/fd").iterdir()))
        return cls(seconds, int(status["RssAnon"].split()[0]) / 1024, handles, int(status["Threads"]))


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    what: str
    found: str
    allowed: str
    met: bool


def growth(samples: list[Sample], quantity: str, level: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """By how much a quantity grew after the warm-up.

    Returns:
        `level` of the last third minus that of the first, and the rise of a line fitted to the second half.
    """
    judged = [sample for sample in samples if sample.seconds >= WARM_UP * samples[-1].seconds]
    values = np.array([getattr(sample, quantity) for sample in judged], dtype=float)
    seconds = np.array([sample.seconds for sample in judged])
    third, half = max(len(values) // 3, 1), len(values) // 2
    slope = np.polyfit(seconds[half:], values[half:], 1)[0]
    rise = slope * (seconds[-1] - seconds[half])
    return float(level(values[-third:]) - level(values[:third])), float(rise)


def flat(name: str, samples: list[Sample]) -> list[Check]:
    """Whether a process's memory and file handles stayed as they were."""
    checks = []
    quantities = (("mib", "MiB", MEMORY, np.max), ("handles", "file handles", HANDLES, np.min))
    for quantity, unit, limit, level in quantities:
        step, rise = growth(samples, quantity, level)
        found = f"{step:+.1f}, {rise:+.1f} {unit}"
        allowed = f"at most {limit:.0f} more by thirds, by a line"
        checks.append(Check(f"{name}: {unit}", found, allowed, step <= limit and rise <= limit))
    return checks


def log_check(run: Path, when: str, least: int) -> Check:
    """Whether `log.jsonl` has every step once and in order, and no torn line."""
    text = (run / "log.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "step"]
    times = [record["seconds"] for record in records]
    whole = text.endswith("\n") and steps == list(range(1, len(steps) + 1)) and times == sorted(times)
    found = f"{len(steps):,} steps, {'each once, in order' if whole else 'with gaps or repetitions'}"
    return Check(
        f"log {when}",
        found,
        f"steps 1, 2, ... without a gap, {least:,} or more",
        whole and len(steps) >= least,
    )


def pruned(run: Path, most: int) -> Check:
    """Whether old checkpoints went as new ones came, and nothing half written lies about."""
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    parts = [str(path.relative_to(run)) for path in run.rglob("*.part")]
    found = f"{len(names)} at the end, {most} at most, {len(parts)} half written"
    return Check(
        "checkpoints", found, f"{KEEP}, {KEEP + 1}, 0", len(names) == KEEP and most <= KEEP + 1 and not parts
    )


def _status(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _last_step(run: Path) -> int:
    """The newest step in the log, read from its end."""
    path = run / "log.jsonl"
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().split(b"\n")[:-1]
    return json.loads(lines[-1])["step"] if lines else 0


def _wait_for_step(process: subprocess.Popen[str], run: Path, step: int) -> None:
    while _last_step(run) < step:
        if process.poll() is not None:
            raise SystemExit(
                f"soak.py: the training ended by itself ({process.returncode}); see {run.parent}."
            )
        time.sleep(0.2)


def _stop(process: subprocess.Popen[str], run: Path, when: str) -> Check:
    """SIGTERM, and whether the training said what it should."""
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=600)
    message = " ".join((run.parent / "messages.txt").read_text(encoding="utf-8").splitlines()[-1:])
    met = code == 130 and f"stopped after step {_last_step(run)} of" in message and "--resume auto" in message
    return Check(f"SIGTERM {when}", f"code {code}: {message[:60]}...", "code 130, how to continue", met)


def prepare_for_ever(folder: Path, count: int) -> None:
    """Prepare a collection, remove it, again, until killed."""
    while True:
        prepare("builtin", str(folder), count=count, points=512, views=1, size=32, workers=1)
        shutil.rmtree(folder)


def watch(
    training: int, preparing: int, run: Path, minutes: float, every: float
) -> tuple[dict[str, list[Sample]], int]:
    """Look at both processes until the time is over.

    Returns:
        The samples, and the largest number of checkpoints that lay in the run at once.
    """
    samples: dict[str, list[Sample]] = {"training": [], "preparing": []}
    most, elapsed, before = 0, 0.0, time.monotonic()
    with progress_bar("s") as progress:
        task = progress.add_task("soak", total=round(60 * minutes), note="")
        while elapsed < 60 * minutes:
            time.sleep(every)
            now = time.monotonic()
            passed, before = now - before, now
            if _status(training)["State"][0] == "T":
                continue  # somebody measures something else on this machine
            elapsed += min(passed, 2 * every)  # all of us may have been paused
            for name, process in (("training", training), ("preparing", preparing)):
                samples[name].append(Sample.of(process, elapsed))
            most = max(most, len(list((run / "checkpoints").glob("step-*.pt"))))
            note = f"step {_last_step(run):,}, {samples['training'][-1].mib:.0f} MiB"
            progress.update(task, completed=int(elapsed), note=note)
    return samples, most


def soak(folder: Path, minutes: float, shapes: int) -> tuple[list[Check], dict[str, list[Sample]]]:
    """Everything: prepare, train beside a preparing process, watch, stop, resume, stop."""
    data, run, here = folder / "collection", folder / "run", str(Path(__file__).resolve())
    prepare("builtin", str(data), count=shapes, points=512, views=2, size=32, workers=2, overwrite=True)
    command = [sys.executable, "-m", "adacross", "pretrain", str(data), "--run", str(run), *OPTIONS]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # one core trains, the other prepares
    least = LEAST if minutes < 5 else int(5 * minutes)
    with (folder / "messages.txt").open("w", encoding="utf-8") as told:
        beside = [
            sys.executable,
            here,
            "--prepare-for-ever",
            str(folder / "again"),
            "--shapes",
            str(shapes // 4),
        ]
        preparing = subprocess.Popen(beside, stderr=subprocess.DEVNULL, env=environment)
        training = subprocess.Popen([*command, "--overwrite"], stderr=told, text=True, env=environment)
        try:
            _wait_for_step(training, run, 1)
            samples, most = watch(training.pid, preparing.pid, run, minutes, min(5.0, minutes * 0.6))
            _wait_for_step(training, run, LEAST)  # a short soak on a busy machine
            checks = [check for name, looks in samples.items() for check in flat(name, looks)]
            alive = preparing.poll() is None
            checks.append(Check("preparing", "alive" if alive else "ended", "alive", alive))
            checks += [
                _stop(training, run, "at the end"),
                log_check(run, "at the end", least),
                pruned(run, most),
            ]
            goal = _last_step(run) + AFTER
            training = subprocess.Popen(
                [*command, "--resume", "auto"], stderr=told, text=True, env=environment
            )
            _wait_for_step(training, run, goal)
            checks += [_stop(training, run, "after resuming"), log_check(run, "after resuming", goal)]
        finally:
            for process in (training, preparing):
                process.kill()
                process.wait()
    return checks, samples


def main(arguments: list[str] | None = None) -> int:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("--minutes", type=float, default=60.0, help="0.5 to see whether it runs at all")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/soak"), help="of the collections and the run"
    )
    parser.add_argument("--shapes", type=int, default=800, help="of the collection that is trained on")
    parser.add_argument("--out", type=Path, help="JSON of checks and samples")
    parser.add_argument("--prepare-for-ever", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.prepare_for_ever is not None:
        prepare_for_ever(given.prepare_for_ever, given.shapes)
    given.folder.mkdir(parents=True, exist_ok=True)
    began = time.time()
    checks, samples = soak(given.folder, given.minutes, given.shapes)
    table = Table(title=f"{given.minutes:g} minutes, {_last_step(given.folder / 'run'):,} steps")
    for name in ("", "found", "allowed", "met"):
        table.add_column(name)
    for check in checks:
        table.add_row(check.what, check.found, check.allowed, "[green]yes" if check.met else "[red]no")
    Console(width=150).print(table)
    if given.out is not None:
        found = {name: [asdict(sample) for sample in looks] for name, looks in samples.items()}
        written = {"machine": machine(), "minutes": given.minutes, "began": began, "ended": time.time()}
        write_json(given.out, written | {"checks": [asdict(check) for check in checks], "samples": found})
    return 0 if all(check.met for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())

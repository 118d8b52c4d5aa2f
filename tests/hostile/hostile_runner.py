"""Starts the processes that read damaged files, and counts what became of them."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hostile_readers import READERS

GROUPS = tuple(dict.fromkeys(reader.group for reader in READERS))
SECONDS = 2.0  # of the processor, at most, for one file
_CHILD = Path(__file__).with_name("hostile_child.py")


@dataclass
class Tally:
    """What became of one reader's files.

    Attributes:
        outcomes: how many ended as "error", "skip" or "valid".
        wrong: those that broke a promise, and how.
        slowest: seconds of the processor for one file.
        memory: bytes above an idle process.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0

    @property
    def mutants(self) -> int:
        return self.outcomes.total()


def run_group(group: str, folder: Path) -> dict[str, Tally]:
    """Read all damaged files of a group in child processes: one, and another after each crash."""
    work = folder / group.replace(" ", "-")
    (work / "outside").mkdir(parents=True)
    (work / "here").mkdir()
    (work / "outside" / "secret.txt").write_text("newmtl skin\nKd 1 0 0\n")
    results = folder / f"{work.name}.jsonl"
    tallies = {reader.name: Tally() for reader in READERS if reader.group == group}
    first, done = 0, False
    while not done:
        command = [sys.executable, str(_CHILD), str(work), group, str(first)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
            code = subprocess.run(
                command, env=environment, stderr=errors, stdout=subprocess.DEVNULL, check=False
            ).returncode
            errors.seek(0)
            last = errors.read()[-3000:]
        lines = results.read_text().splitlines() if results.exists() else []
        records = [json.loads(line) for line in lines]
        results.unlink(missing_ok=True)
        begun = {}
        for record in records:
            if "reader" in record:
                begun = record
            elif "outcome" in record:
                _add(tallies[begun["reader"]], begun["mutant"], record)
                first = record["number"]
        done = bool(records) and records[-1].get("done", False)
        if not done:
            if not begun or begun["number"] == first:
                raise RuntimeError(f"the process that reads {group} ended with {code}:\n{last}")
            tally = tallies[begun["reader"]]
            tally.outcomes["WRONG"] += 1
            tally.wrong.append(f"{begun['mutant']}: the process ended with {code}: {last}")
            first = begun["number"]
    return tallies


def _add(tally: Tally, mutant: str, record: dict) -> None:
    tally.outcomes[record["outcome"]] += 1
    tally.slowest = max(tally.slowest, record["seconds"])
    tally.memory = max(tally.memory, record["memory"])
    if record["outcome"] == "WRONG":
        tally.wrong.append(f"{mutant}: {record['said']}")
    elif record["seconds"] > SECONDS:
        tally.wrong.append(f"{mutant}: took {record['seconds']:.1f} s")

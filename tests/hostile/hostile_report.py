"""How many damaged files each reader was given, and what became of them.

`python tests/hostile/hostile_report.py`, or with groups of readers behind it, `meshes` or `"data sets"`.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from hostile_runner import GROUPS, Tally, run_group  # noqa: E402  the path above first


def main(groups: list[str]) -> int:
    """Print a line for each reader, a sum, and every promise that was broken; return how many were."""
    start = time.monotonic()
    tallies: dict[str, Tally] = {}
    for group in groups or GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            tallies |= run_group(group, Path(folder))
    whole = Tally(
        sum((tally.outcomes for tally in tallies.values()), start=Tally().outcomes),
        [f"{name}, {text}" for name, tally in tallies.items() for text in tally.wrong],
        max(tally.slowest for tally in tallies.values()),
        max(tally.memory for tally in tallies.values()),
    )
    lines = [
        f"{'reader':<34} files errors  skips  valid  broken  slowest    memory",
        *(_line(name, tally) for name, tally in tallies.items()),
        f"{_line('all', whole)}  ({time.monotonic() - start:.0f} s in all)",
        *(f"BROKEN {text}" for text in whole.wrong),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return len(whole.wrong)


def _line(name: str, tally: Tally) -> str:
    numbers = (
        tally.mutants,
        *(tally.outcomes[kind] for kind in ("error", "skip", "valid")),
        len(tally.wrong),
    )
    counts = " ".join(f"{number:6d}" for number in numbers)
    return f"{name:<32} {counts}  {tally.slowest:6.2f} s {tally.memory / 2**20:5.0f} MiB"


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))

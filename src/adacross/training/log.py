"""The run's log: one JSON object a line, and the same as a table."""

import csv
import json
import time
from pathlib import Path
from typing import Any


def _flatten(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def read_log(path: Path) -> list[dict[str, Any]]:
    """The whole records of a `log.jsonl`; a last line cut off by a crash is left out."""
    records = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return records


class Log:
    """Appends to `log.jsonl`; `log.csv` is made from it on `close`.

    Args:
        run: the run's folder.
        step: where training starts; records of later steps, from before an interruption, are dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / "log.jsonl"
        kept = [record for record in read_log(self.path) if record["step"] <= step]
        self.began = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        text = "".join(json.dumps(record) + "\n" for record in kept)
        self.path.write_text(text, encoding="utf-8")
        self.file = self.path.open("a", encoding="utf-8", buffering=1)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, with the seconds spent so far (over all resumptions)."""
        self.file.write(json.dumps(record | {"seconds": time.monotonic() - self.began}) + "\n")

    def close(self) -> None:
        """Close the log and write its steps as `log.csv`."""
        self.file.close()
        rows = [_flatten(record) for record in read_log(self.path) if record["kind"] == "step"]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with self.path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

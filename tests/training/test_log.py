"""The log survives crashes and resumption."""

import csv
from pathlib import Path

from adacross.training.log import Log, read_log


def step(number: int) -> dict[str, object]:
    return {"kind": "step", "step": number, "loss": 1 / number, "terms": {"intra": 2.0, "cross": 3.0}}


def test_records_come_back_and_a_table_is_made(tmp_path: Path):
    log = Log(tmp_path, 0)
    log.write(step(1))
    log.write({"kind": "monitor", "step": 1, "recall_at_1": 0.5})
    log.write(step(2))
    log.close()
    records = read_log(tmp_path / "log.jsonl")
    assert [record["kind"] for record in records] == ["step", "monitor", "step"]
    assert records[0]["seconds"] <= records[2]["seconds"]
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert rows[1]["terms.cross"] == "3.0"


def test_resuming_drops_what_came_after_the_checkpoint_and_a_torn_line(tmp_path: Path):
    log = Log(tmp_path, 0)
    for number in (1, 2, 3, 4):
        log.write(step(number))
    log.file.write(b'{"kind": "st')
    log.close()
    seconds = read_log(tmp_path / "log.jsonl")[1]["seconds"]
    log = Log(tmp_path, 2)
    log.write(step(3))
    log.close()
    records = read_log(tmp_path / "log.jsonl")
    assert [record["step"] for record in records] == [1, 2, 3]
    assert records[2]["seconds"] >= seconds

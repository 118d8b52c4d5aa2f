"""The soak: what it calls growth, what it calls a whole log, and all of it at toy size."""

import json
from pathlib import Path

import pytest
import soak
from soak import Sample


def samples(slope: float, noise: float = 3.0, handles: float = 0.0) -> list[Sample]:
    """An hour of looks: 300 MiB and a rise of `slope` an hour after a warm-up of 200 MiB; 20 handles."""
    found = []
    for number in range(720):
        hours = number / 720
        warm = 300 - 200 * max(0.0, 1 - hours / 0.1)
        wave = noise * (number % 3 - 1)
        found.append(Sample(3600 * hours, warm + wave + slope * hours, 20 + int(handles * hours), 4))
    return found


@pytest.mark.parametrize(("slope", "flat"), [(0.0, True), (-50.0, True), (10.0, True), (100.0, False)])
def test_a_leak_is_told_from_noise_and_from_the_warm_up(slope: float, flat: bool):
    memory, handles = soak.flat("training", samples(slope))
    assert memory.met == flat
    assert handles.met


def test_growing_handles_are_found():
    memory, handles = soak.flat("training", samples(0.0, handles=60))
    assert memory.met
    assert not handles.met


@pytest.mark.parametrize(
    ("steps", "whole"),
    [([1, 2, 3], True), ([1, 3], False), ([1, 2, 2, 3], False), ([1, 3, 2], False)],
)
def test_a_log_with_gaps_or_repetitions_is_found(tmp_path: Path, steps: list[int], whole: bool):
    records = [{"kind": "step", "step": step, "seconds": float(place)} for place, step in enumerate(steps)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert soak.log_check(tmp_path, "now", 1).met == whole
    assert not soak.log_check(tmp_path, "now", 4).met


@pytest.mark.slow
def test_all_of_it_at_toy_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Too short to judge memory by, or to see a preparation at rest; everything else must hold."""
    monkeypatch.setattr(soak, "AFTER", 3)
    monkeypatch.setattr(soak, "HANDLES", 8)
    out = tmp_path / "soak.json"
    sizes = ["--minutes", "0.1", "--shapes", "160", "--folder", str(tmp_path)]
    soak.main([*sizes, "--out", str(out)])
    found = json.loads(out.read_text())
    judged = {check["what"]: check for check in found["checks"] if "MiB" not in check["what"]}
    assert {"preparing", "checkpoints", "SIGTERM at the end", "log after resuming"} <= judged.keys()
    assert [check for check in judged.values() if not check["met"]] == []
    assert len(found["samples"]["training"]) > 10
    assert "SIGTERM" in capsys.readouterr().out

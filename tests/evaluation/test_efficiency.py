"""Efficiency from made-up logs whose figures are known, and from a real run."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from adacross.errors import UserError
from adacross.evaluation.efficiency import Efficiency, efficiency
from adacross.evaluation.result import read_as

BATCH, PER_EPOCH = 8, 10


def made_up(folder: Path, accuracies: list[float], *, threads: int = 2, epochs: int | None = None) -> Path:
    """A run of 10 steps an epoch, 0.5 s each, with an evaluation of the monitor after every epoch."""
    (folder / "evaluation").mkdir(parents=True)
    config = {
        "collection": "parts",
        "batch_size": BATCH,
        "accumulate": 2,
        "epochs": epochs or len(accuracies),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    machine = {"device": "cpu", "threads": threads, "cores": 4, "processes": 2}
    (folder / "environment.json").write_text(json.dumps(machine))
    lines = []
    for step in range(1, PER_EPOCH * len(accuracies) + 1):
        at = {"step": step, "epoch": step / PER_EPOCH, "seconds": step / 2}
        lines.append({"kind": "step", "loss": 5 - 0.01 * step, "gradient_norm": 1.0 + step % 2, **at})
        if step % PER_EPOCH == 0:
            accuracy = accuracies[step // PER_EPOCH - 1]
            first = {"untrained_accuracy": 0.25} if step == PER_EPOCH else {}
            lines.append({"kind": "monitor", "probe_accuracy": accuracy, **first, **at})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def figures(entry) -> dict[str, str]:
    return {one.name: str(one) for one in entry.figures}


def test_a_run_costs_what_its_log_says(tmp_path: Path):
    """40 % is reached after 3 epochs: 30 steps, 15 s on 2 processes of 2 threads, 30 x 16 shapes."""
    run = made_up(tmp_path / "a", [0.3, 0.35, 0.4, 0.38, 0.5])
    (entry,) = efficiency([str(run)], [0.5, 0.4, 0.6]).entries
    found = figures(entry)
    assert found["steps to 40 %"] == "30"
    assert found["core-seconds to 40 %"] == "60"
    assert found["shapes seen to 40 %"] == "480"
    assert found["steps to 50 %"] == "50"
    assert found["steps to 60 %"] == "never"
    assert found["final accuracy"] == "50.0 %"
    assert found["untrained accuracy"] == "25.0 %"
    last = 5 - 0.01 * np.arange(41, 51)
    assert entry.figures[2].values == [pytest.approx(np.std(last, ddof=1) / np.mean(last))]
    norms = 1.0 + np.arange(41, 51) % 2
    assert entry.figures[3].values == [pytest.approx(np.std(norms, ddof=1) / np.mean(norms))]
    assert entry.curves[0]["epoch"] == [1, 2, 3, 4, 5]
    assert entry.curves[0]["loss"] == pytest.approx([5 - 0.01 * (10 * epoch + 5.5) for epoch in range(5)])


def test_seeds_have_an_interval_and_a_run_that_never_gets_there_is_counted(tmp_path: Path):
    for seed, accuracies in enumerate([[0.3, 0.5, 0.7], [0.5, 0.6, 0.6], [0.3, 0.4, 0.6]]):
        made_up(tmp_path / f"a-seed{seed}", accuracies)
    made_up(tmp_path / "b", [0.2, 0.3], epochs=4)
    found = efficiency([str(tmp_path / "a-seed*"), str(tmp_path / "b")], [0.5, 0.7])
    assert found.columns == ["figure", "a-seed*", "b"]
    several, alone = map(figures, found.entries)
    steps = [20, 10, 30]
    interval = stats.t.interval(0.95, 2, np.mean(steps), stats.sem(steps))
    figure = next(one for one in found.entries[0].figures if one.name == "steps to 50 %")
    assert figure.values == steps
    assert figure.interval == (max(0, interval[0]), pytest.approx(interval[1]))
    assert several["steps to 50 %"] == "20 [0, 45]"
    assert several["steps to 70 %"] == "1 of 3 runs, at 30"
    assert alone["steps to 50 %"] == "never"
    assert "b is not finished" in found.caption
    record = next(r for r in found.records() if (r["encoder"], r["figure"]) == ("a-seed*", "steps to 70 %"))
    assert (record["n"], record["runs"], record["low"]) == (1, 3, None)


def test_files_are_written_and_kept(tmp_path: Path):
    run = made_up(tmp_path / "a", [0.32, 0.41, 0.52])
    found = efficiency([str(run)])
    assert found.reach == [0.35, 0.4, 0.45, 0.5]
    place = run / "evaluation"
    assert sorted(path.name for path in place.iterdir()) == [
        f"efficiency.{ending}" for ending in ("csv", "json", "md", "tex")
    ]
    assert read_as(Efficiency, place / "efficiency.json") == found
    lines = list(csv.DictReader((place / "efficiency.csv").read_text().splitlines()))
    assert [line["figure"] for line in lines] == [one.name for one in found.entries[0].figures]
    efficiency([str(run)])
    assert len(list(place.glob("*.json"))) == 1
    efficiency([str(run)], [0.4])
    assert len(list(place.glob("*.json"))) == 2
    assert read_as(Efficiency, place / "efficiency.json").reach == found.reach


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [([0.5, 0.4, 0.45], [0.5]), ([0.02, 0.04], [0.04]), ([0.1, 0.95], [0.15, 0.4, 0.7, 0.95])],
)
def test_default_accuracies_are_reached(tmp_path: Path, accuracies: list[float], expected: list[float]):
    found = efficiency([str(made_up(tmp_path / "a", accuracies))])
    assert found.reach == pytest.approx(expected)
    assert not any(str(figure) == "never" for figure in found.entries[0].figures)


def test_a_run_without_a_monitor_has_its_spread(tmp_path: Path):
    run = made_up(tmp_path / "a", [0.3, 0.4])
    lines = [line for line in (run / "log.jsonl").read_text().splitlines() if "monitor" not in line]
    (run / "log.jsonl").write_text("\n".join(lines) + "\n")
    found = efficiency([str(run)])
    assert found.reach == []
    assert figures(found.entries[0])["final accuracy"] == "–"
    assert figures(found.entries[0])["spread of the loss"] != "–"


def test_mistakes(tmp_path: Path):
    run = made_up(tmp_path / "a", [0.3])
    with pytest.raises(UserError, match="nothing is neither a run nor a pattern of runs"):
        efficiency([str(run), str(tmp_path / "nothing")])
    with pytest.raises(UserError, match="given twice"):
        efficiency([str(run), str(run)])
    with pytest.raises(UserError, match="reach is 40; expected accuracies above 0"):
        efficiency([str(run)], [40.0])
    (run / "log.jsonl").write_text("")
    with pytest.raises(UserError, match="has no steps"):
        efficiency([str(run)])


@pytest.mark.slow
def test_a_real_run(toy_run: Path, tmp_path: Path):
    shutil.copytree(toy_run, tmp_path / "run")
    (entry,) = efficiency([str(tmp_path / "run")]).entries
    assert all(figure.known for figure in entry.figures if figure.share)
    assert len(entry.curves[0]["epoch"]) == 2

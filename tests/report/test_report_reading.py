"""The run folder's files, whole and damaged."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import TOY_RETRIEVAL

from adacross.errors import UserError
from adacross.report import reading, write_report

LINEAR: dict[str, Any] = {
    "task": "linear", "data": "shapes", "points": 1024, "train": 8, "test": 4, "classifier": "linear SVM",
    "seeds": [0, 1], "classes": ["a", "b"],
    "pretrained": {"accuracy": [1, 0.5], "mean": 0.75, "std": 0.25, "C": [0.1, 1]},
    "untrained": {"accuracy": [0.5, 0.5], "mean": 0.5, "std": 0.0, "C": [1, 1]},
    "gain": 0.25, "confusion": [[2, 0], [1, 1]],
}  # fmt: skip


def step(number: int, loss: float | None = 1.0, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "step": number, "epoch": number / 10, "loss": loss, "lr": 1e-3, **more}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("collection: gone\nmethod: adacrossnet\nencoder: pointnet\n")
    return folder


def write_log(run: Path, *records: dict[str, Any], tail: str = "") -> None:
    (run / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records) + tail)


def test_the_curves_come_back_with_gaps_as_nan(run: Path) -> None:
    write_log(
        run,
        step(1, 3.0, terms={"intra": 2.0}),
        step(2, None, terms={"intra": 1.5, "cross": 4.0}, weights={"intra": 0.5}),
        {"kind": "monitor", "step": 2, "epoch": 0.2, "probe_accuracy": 0.4, "recall_at_1": None},
    )
    log = reading.read_log(run)
    np.testing.assert_array_equal(log.steps, [1, 2])
    np.testing.assert_array_equal(log.values["loss"], [3.0, math.nan])
    np.testing.assert_array_equal(log.terms["cross"], [math.nan, 4.0])
    np.testing.assert_array_equal(log.weights["intra"], [math.nan, 0.5])
    np.testing.assert_array_equal(log.monitor["probe_accuracy"], [0.4])
    assert np.isnan(log.monitor["recall_at_1"]).all()
    assert not log.truncated


def test_a_last_line_cut_off_is_left_out(run: Path) -> None:
    write_log(run, step(1), step(2), tail='{"kind": "step", "st')
    log = reading.read_log(run)
    assert log.steps.tolist() == [1, 2]
    assert log.truncated


def test_steps_repeated_after_a_resumption_count_once(run: Path) -> None:
    write_log(run, step(1, 5.0), step(2, 4.0), step(3, 3.0), step(2, 40.0), step(3, 30.0))
    log = reading.read_log(run)
    assert log.steps.tolist() == [1, 2, 3]
    assert log.values["loss"].tolist() == [5.0, 40.0, 30.0]


@pytest.mark.parametrize("bad", ["not json", "[1]", '{"kind": "step"}', '{"step": "two"}'])
def test_a_damaged_line_in_the_middle_is_named(run: Path, bad: str) -> None:
    write_log(run, step(1), tail=f"{bad}\n{json.dumps(step(3))}\n")
    with pytest.raises(UserError, match="line 2"):
        reading.read_log(run)


def test_a_run_without_log_has_no_steps(run: Path) -> None:
    assert reading.read_log(run).steps.size == 0


def test_results_come_back(run: Path) -> None:
    (run / "evaluation").mkdir()
    (run / "evaluation" / "linear.json").write_text(json.dumps(LINEAR))
    (run / "evaluation" / "retrieval.json").write_text(json.dumps(TOY_RETRIEVAL))
    linear, retrieval = reading.read_linear(run), reading.read_retrieval(run)
    assert linear is not None
    assert linear.pretrained.accuracy == (1.0, 0.5)
    assert linear.confusion.tolist() == [[2, 0], [1, 1]]
    assert retrieval is not None
    assert retrieval.image_to_shape.recall == {1: 0.5, 10: 1.0}
    assert retrieval.shape_to_image.mean_average_precision is None
    assert retrieval.examples[0].results == (3, 2)
    assert retrieval.neighbors[0].view == 0


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("linear", {"confusion": [[1, 2, 3]]}),
        ("linear", {"pretrained": None}),
        ("linear", {"gain": "much"}),
        ("retrieval", {"image_to_shape": []}),
        ("retrieval", {"examples": [{"view": 0}]}),
    ],
)
def test_a_result_of_another_form_is_refused(run: Path, task: str, change: dict[str, Any]) -> None:
    (run / "evaluation").mkdir()
    good = LINEAR if task == "linear" else TOY_RETRIEVAL
    (run / "evaluation" / f"{task}.json").write_text(json.dumps(good | change))
    read = reading.read_linear if task == "linear" else reading.read_retrieval
    with pytest.raises(UserError, match=f"adacross evaluate {task}"):
        read(run)


@pytest.mark.parametrize(
    "text", ["a: [", "just text", "method: x\n", "collection: 3\nmethod: a\nencoder: b\n", "\x00"]
)
def test_a_config_of_another_form_is_refused(run: Path, text: str) -> None:
    (run / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no config"):
        write_report(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_environment_is_refused(run: Path, text: str) -> None:
    (run / "environment.json").write_text(text)
    with pytest.raises(UserError, match="environment"):
        write_report(run)

"""The run folder's files, whole and damaged, with a collection and an encoder, both tiny."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.features import collection as feature_cache
from adacross.report import write_report
from adacross.report.run import RunData, read_curves, read_run
from adacross.training.log import MOST_COLUMNS


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
    log = read_curves(run)
    np.testing.assert_array_equal(log.steps, [1, 2])
    np.testing.assert_array_equal(log.values["loss"], [3.0, math.nan])
    np.testing.assert_array_equal(log.terms["cross"], [math.nan, 4.0])
    np.testing.assert_array_equal(log.weights["intra"], [math.nan, 0.5])
    np.testing.assert_array_equal(log.monitor["probe_accuracy"], [0.4])
    assert np.isnan(log.monitor["recall_at_1"]).all()


def test_a_last_line_cut_off_is_left_out_and_no_log_has_no_steps(run: Path) -> None:
    assert read_curves(run).steps.size == 0
    write_log(run, step(1), step(2), tail='{"kind": "step", "st')
    assert read_curves(run).steps.tolist() == [1, 2]


def test_steps_repeated_after_a_resumption_count_once(run: Path) -> None:
    write_log(run, step(1, 5.0), step(2, 4.0), step(3, 3.0), step(2, 40.0), step(3, 30.0))
    log = read_curves(run)
    assert log.steps.tolist() == [1, 2, 3]
    assert log.values["loss"].tolist() == [5.0, 40.0, 30.0]


@pytest.mark.parametrize("bad", ["not json", "[1]", '{"kind": "step"}', '{"step": "two"}'])
def test_a_damaged_line_in_the_middle_is_named(run: Path, bad: str) -> None:
    write_log(run, step(1), tail=f"{bad}\n{json.dumps(step(3))}\n")
    with pytest.raises(UserError, match="line 2"):
        read_curves(run)


def test_a_log_of_too_many_terms_is_refused(run: Path) -> None:
    write_log(run, *(step(number, terms={f"t{number}": 1.0}) for number in range(MOST_COLUMNS + 1)))
    with pytest.raises(UserError, match="terms of the loss"):
        read_curves(run)


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


@pytest.mark.slow
def test_a_run_is_read(full_run: RunData, toy_collection: Collection) -> None:
    assert full_run.absent == {}
    assert full_run.collection
    assert full_run.collection.digest() == toy_collection.digest()
    assert full_run.features
    assert full_run.features.split == "test"
    assert full_run.features.indices.tolist() == toy_collection.indices("test").tolist()
    (result,) = full_run.results
    assert full_run.own(result)
    assert full_run.measured_on(result)


@pytest.mark.slow
def test_features_of_the_evaluation_are_read_not_computed(
    full_run: RunData, measured_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(feature_cache, "encode")
    again = read_run(measured_run)
    assert again.features
    assert full_run.features
    np.testing.assert_array_equal(again.features.values, full_run.features.values)


@pytest.mark.slow
def test_the_report_is_the_same_for_the_same_seed(measured_run: Path, tmp_path: Path) -> None:
    one, two = (write_report(measured_run, output=tmp_path / f"{name}.html", seed=4) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_a_run_and_collection_that_moved_together_are_found(
    toy_run: Path, toy_collection: Collection, tmp_path: Path
) -> None:
    shutil.copytree(toy_run, tmp_path / "run")
    shutil.copytree(toy_collection.folder, tmp_path / toy_collection.folder.name)
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(toy_collection.folder.parent), "/elsewhere"))
    assert read_run(tmp_path / "run").collection is not None


@pytest.mark.slow
def test_without_encoder_or_collection_the_rest_is_there(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = (toy_run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config)
    data = read_run(run)
    assert "--resume auto" in data.absent["features"]
    assert data.collection
    (run / "config.yaml").write_text(config.replace("/toy", "/nothing"))
    data = read_run(run)
    assert data.collection is None
    assert "does not exist" in data.absent["collection"]
    assert "adacross report" in data.absent["collection"]
    assert write_report(run).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_address_in_a_file_is_not_opened(run: Path) -> None:
    (run / "config.yaml").write_text("collection: s3://bucket/shapes\nmethod: x\nencoder: y\n")
    reason = read_run(run).absent["collection"]
    assert "an address that is read in a file is not opened" in reason
    assert f"adacross report {run} --collection s3://bucket/shapes" in reason

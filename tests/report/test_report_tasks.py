"""Results of further measurements: found by name, drawn, and told apart where a paper's protocol was used."""

import json
from pathlib import Path

import pytest

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.report import render
from adacross.report.gather import read_run
from adacross.report.tasks import PRESETS, TASKS, read_results, task_sections


@pytest.fixture(scope="module")
def measured(toy_run: Path, toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with fine-tuning under our protocol and under a paper's."""
    run = tmp_path_factory.mktemp("runs") / "measured"
    run.mkdir()
    for name in ("config.yaml", "environment.json", "log.jsonl"):
        (run / name).write_text((toy_run / name).read_text())
    (run / "encoder").symlink_to(toy_run / "encoder")
    small = ["--epochs", "1", "--points", "48", "--seeds", "1", "--device", "cpu"]
    command = ["evaluate", "fine-tune", str(run), str(toy_collection.folder), *small]
    assert main([*command, "--fractions", "0.3", "1.0"]) == 0
    assert main([*command, "--as", "crossnet", "--fractions", "0.3", "1.0"]) == 0
    return run


def test_both_protocols_stand_in_the_report_under_their_own_names(measured: Path):
    assert set(read_results(measured)) == {"fine-tune", "fine-tune-as-crossnet"}
    data = read_run(measured)
    ours, papers = task_sections(data)
    assert (ours.anchor, papers.anchor) == ("fine-tuning", "fine-tuning-crossnet")
    assert papers.title == "Fine-tuning, as CrossNet measures"
    for section in (ours, papers):
        assert len(section.figures) == 1
        assert all(f'id="{plot}"' in section.body for plot in section.figures)
    assert not set(ours.figures) & set(papers.figures)
    text = render(data)
    assert text.count('id="fine-tune-plot"') == text.count('id="fine-tune-plot-crossnet"') == 1
    assert "Sgd 0.1 to 0.001, 1 epochs" in text


def test_a_file_that_is_no_result_is_named(measured: Path):
    path = measured / "evaluation" / "fine-tune.json"
    kept = path.read_text()
    path.write_text(json.dumps({"task": "fine-tune"}))
    with pytest.raises(UserError, match=r"fine-tune\.json cannot be used"):
        read_results(measured)
    path.write_text(kept)


def test_every_task_names_a_type_and_a_section_that_exist():
    from importlib import import_module

    for kind, draw in [*TASKS.values(), *PRESETS.values()]:
        for place in (kind, draw):
            module, _, name = place.partition(":")
            assert hasattr(import_module(module), name), place

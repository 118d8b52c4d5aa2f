"""`adacross.pretrain` and `Run`: pre-training as one writes it in Python."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from toy import TOY
from toy_runs import same

import adacross
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.methods import Method
from adacross.training.log import read_log


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY))
    return path


def test_pretrain_returns_the_run(toy_collection: Collection, toy_run: Path, recipe: Path, tmp_path: Path):
    run = adacross.pretrain(toy_collection, recipe, run=str(tmp_path / "run"))
    assert same(run.folder, toy_run)
    assert run.config.collection == str(toy_collection.folder)
    assert [path.name for path in run.checkpoints] == ["step-00000014.pt"]
    steps = [each for each in read_log(run.folder / "log.jsonl") if each["kind"] == "step"]
    assert run.log["loss"].tolist() == [each["loss"] for each in steps]
    assert run.log["terms.intra"].tolist() == [each["terms"]["intra"] for each in steps]
    assert run.monitor["epoch"].tolist() == [1.0, 2.0]
    assert np.isfinite(run.monitor["probe_accuracy"]).all()
    points = torch.randn(2, 64, 3)
    assert isinstance(run.method, Method)
    assert torch.equal(run.encoder(points), run.method.encoder(points))


def test_the_default_folder_and_options_without_a_recipe(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = TOY | {"epochs": 1, "monitor_every": 0}
    run = adacross.pretrain(str(toy_collection.folder), **options)
    assert run.folder == Path("runs") / "toy-adacrossnet-pointnet-seed0"
    assert repr(run) == f"Run({str(run.folder)!r}: adacrossnet with pointnet, epoch 1 of 1)"
    assert run.monitor == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "unknown option of pre-training 'epoch'. Did you mean 'epochs'"),
        ({"recipe": "dmo"}, "unknown recipe 'dmo'"),
        ({"epochs": 0}, "epochs is 0"),
    ],
)
def test_wrong_options_are_a_sentence(toy_collection: Collection, options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        adacross.pretrain(toy_collection, **options)


def test_an_address_in_a_recipe_is_not_opened(toy_collection: Collection, tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text("init: hf://owner/name\n")
    with pytest.raises(UserError, match=r"init is hf://owner/name; an address that is read in a file"):
        adacross.pretrain(toy_collection, tmp_path / "recipe.yaml")


def test_a_run_is_opened_evaluated_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On its own collection, which its configuration names relative to the working folder."""
    monkeypatch.chdir(shutil.copytree(Path(__file__).parents[1] / "old", tmp_path / "old"))
    run = adacross.Run.open("finished")
    result = run.evaluate("linear", seeds=1, folds=2)
    assert list((run.folder / "evaluation").glob("*/linear-seeds-1-folds-2.json"))
    assert result.data.test == 6
    assert run.report() == run.folder / "report.html"
    with pytest.raises(UserError, match=r"unknown protocol 'liner'\. Did you mean 'linear'"):
        run.evaluate("liner")


def test_a_runs_own_address_is_not_opened(toy_run: Path, tmp_path: Path):
    folder = shutil.copytree(toy_run, tmp_path / "run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"collection": "s3://bucket/shapes"}))
    with pytest.raises(UserError, match=r"trained on s3://bucket/shapes; an address that is read in a file"):
        adacross.Run(folder).evaluate("linear")


def test_a_notebook_shows_a_small_table(toy_run: Path, tmp_path: Path):
    folder = shutil.copytree(toy_run, tmp_path / "a<b>")
    shown = adacross.Run(folder)._repr_html_()
    assert "a&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "adacrossnet, pointnet" in shown
    assert "probe accuracy" in shown
    assert len(shown) < 2000


def test_what_is_no_run_or_not_finished_is_a_sentence(toy_run: Path, tmp_path: Path):
    with pytest.raises(UserError, match="is not a run"):
        adacross.Run(tmp_path)
    folder = shutil.copytree(toy_run, tmp_path / "run")
    shutil.rmtree(folder / "encoder")
    with pytest.raises(UserError, match="is not finished"):
        _ = adacross.Run(folder).encoder

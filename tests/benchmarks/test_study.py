"""A study at toy size: runs, tables, and going on after an interruption."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import weightings
from methods import RECIPES
from study import Variant, probe_table, sizes, spread, study
from toy import TOY

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.methods import METHODS
from adacross.recipes import recipe_path
from adacross.training.config import PretrainConfig

pytestmark = pytest.mark.slow

CHANGES = TOY | {"epochs": 1, "monitor_every": 0}
VARIANTS = {
    rule: Variant("adacrossnet_pointnet_laptop", CHANGES | {"weighting": rule}) for rule in ("fixed", "dwa")
}


@pytest.fixture(scope="module")
def finished(
    toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("studies") / "toy"
    return study(str(toy_collection.folder), VARIANTS, (0, 1), folder, jobs=2, folds=3), folder


def test_every_variant_and_seed_is_trained_and_probed(finished: tuple[dict[str, Any], Path]):
    record, folder = finished
    for rule in VARIANTS:
        for seed in (0, 1):
            config = PretrainConfig.load(folder / f"{rule}-seed{seed}")
            assert (config.weighting, config.seed, config.points) == (rule, seed, TOY["points"])
        found = record["variants"][rule]
        assert found["linear"]["encoders"] == [f"{rule}-seed0", f"{rule}-seed1"]
        assert len(found["linear"]["values"]) == 2
        assert len(found["terms"]["cross"]["each"]) == 2
    assert record["variants"]["fixed"]["weights"]["intra"]["each"] == [1.0, 1.0]
    assert record["environment"]["torch"]
    assert json.loads((folder / "study.json").read_text()) == record


def test_tables_hold_the_figures_of_the_record(finished: tuple[dict[str, Any], Path]):
    record, _ = finished
    table = probe_table(record)
    for rule in VARIANTS:
        linear = record["variants"][rule]["linear"]
        (row,) = [line for line in table.splitlines() if line.startswith(f"| {rule} |")]
        shown = [spread(linear["values"]), *(f for f in linear["figures"] if f["encoder"] == "gain")]
        assert f"{100 * shown[0]['mean']:.1f} ± {100 * shown[0]['std']:.1f} %" in row
        assert f"{100 * shown[1]['value']:+.1f}" in row
        (row,) = [
            line for line in weightings.end_table(record).splitlines() if line.startswith(f"| {rule} |")
        ]
        assert f"{record['variants'][rule]['terms']['cross']['mean']:.3f}" in row
    assert "over 2 pre-trainings" in table
    assert f"{record['variants']['dwa']['steps']} steps" in table


def test_a_study_goes_on_and_repeats_nothing(finished: tuple[dict[str, Any], Path], tmp_path: Path):
    record, folder = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "dwa-seed1")
    (copy / "study.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in copy.glob("*/method.safetensors")}
    assert len(kept) == 3
    collection = PretrainConfig.load(folder / "fixed-seed0").collection
    again = study(collection, VARIANTS, (0, 1), copy, jobs=2, folds=3)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for rule in VARIANTS:  # the run that was lost comes back the same
        assert again["variants"][rule]["terms"] == record["variants"][rule]["terms"]
        assert again["variants"][rule]["linear"] == record["variants"][rule]["linear"]
    assert (copy / "study.json").exists()


def test_runs_with_other_options_or_data_are_refused(finished: tuple[dict[str, Any], Path], tmp_path: Path):
    _, folder = finished
    collection = PretrainConfig.load(folder / "fixed-seed0").collection
    other = {"fixed": Variant("adacrossnet_pointnet_laptop", CHANGES | {"weighting": "dwa"})}
    with pytest.raises(UserError, match="weighting was 'fixed', is 'dwa'"):
        study(collection, other, (0,), folder, jobs=1)
    with pytest.raises(UserError, match="another --folder"):
        study(str(tmp_path), VARIANTS, (0,), folder, jobs=1)


def test_a_run_that_fails_is_named_with_the_file_that_says_why(toy_collection: Collection, tmp_path: Path):
    wrong = {"large": Variant("adacrossnet_pointnet_laptop", CHANGES | {"batch_size": 5000})}
    with pytest.raises(UserError, match=r"run large-seed0 ended with code 2; .*large-seed0\.log"):
        study(str(toy_collection.folder), wrong, (0,), tmp_path, jobs=1)
    assert "batch_size is 5000" in (tmp_path / "large-seed0.log").read_text()


def test_the_picture_of_the_weightings_is_drawn_from_the_logs(
    finished: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
):
    _, folder = finished
    monkeypatch.setattr(weightings, "RULES", {rule: weightings.RULES[rule] for rule in VARIANTS})
    svg = weightings.picture(folder, seeds=2, epochs=1)
    for text in (">fixed<", ">dwa<", ">cross term<"):
        assert text in svg


def test_dwa_averages_over_an_epoch(toy_collection: Collection):
    chosen = weightings.variants(str(toy_collection.folder), CHANGES)
    kept_back = round(0.1 * len(toy_collection.indices("train")))
    steps = (len(toy_collection.indices("train")) - kept_back) // TOY["batch_size"]
    assert chosen["dwa"].changes["weighting_args"] == {"period": steps}
    assert {name: variant.changes["weighting"] for name, variant in chosen.items()} == {
        name: name for name in chosen
    }


def test_every_method_has_a_recipe_of_its_own():
    for name, recipe in RECIPES.items():
        assert name in METHODS
        assert PretrainConfig.recipe(recipe, "anything").method == name
        assert recipe_path(recipe).is_file()


def test_spread():
    assert spread([1.0, 3.0]) == {"each": [1.0, 3.0], "mean": 2.0, "std": pytest.approx(2**0.5)}
    assert spread([0.25])["std"] == 0.0


def test_sizes_are_options_of_pretraining():
    from study import options

    given = options("").parse_args(["data", "--folder", "runs/x", "--epochs", "30"])
    config = PretrainConfig.recipe("adacrossnet_pointnet_laptop", "data", **sizes(given))
    assert (config.epochs, config.monitor_every, config.image_encoder_args) == (30, 6, {"width": 16})
    assert config.augmentation == "crosspoint"

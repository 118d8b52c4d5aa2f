"""A run from end to end at toy size: what it writes, what it reads, how it resumes."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
import yaml
from safetensors.torch import load_file
from toy import TOY
from toy_runs import ITS_OWN, configured, logged, same
from waiting import HANGS

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.collection.prepare import prepare
from adacross.encoders import load
from adacross.errors import UserError
from adacross.evaluation import evaluate
from adacross.methods import METHODS
from adacross.recipes import recipe_names, recipe_path
from adacross.training.checkpoint import checkpoints
from adacross.training.config import PretrainConfig
from adacross.training.loader import BatchLoader
from adacross.training.log import read_log
from adacross.training.monitor import split_validation
from adacross.training.networks import load_method
from adacross.training.pretrain import pretrain


def test_a_run_holds_everything_it_should(toy_run: Path):
    files = {"config.yaml", "environment.json", "log.jsonl", "log.csv", "method.safetensors"}
    assert {path.name for path in toy_run.iterdir()} == files | {"checkpoints", "encoder"}
    steps = [record for record in read_log(toy_run / "log.jsonl") if record["kind"] == "step"]
    config = PretrainConfig.load(toy_run)
    assert [record["step"] for record in steps] == list(range(1, len(steps) + 1))
    assert steps[-1]["epoch"] == config.epochs
    for record in steps:
        assert set(record["terms"]) == set(record["weights"]) == {"intra", "cross"}
        weighted = sum(record["weights"][name] * record["terms"][name] for name in record["terms"])
        assert record["loss"] == pytest.approx(weighted, rel=1e-5)
    looks = [record for record in read_log(toy_run / "log.jsonl") if record["kind"] == "monitor"]
    assert [look["epoch"] for look in looks] == [1.0, 2.0]
    assert 0 <= looks[0]["probe_accuracy"] <= 1
    environment = json.loads((toy_run / "environment.json").read_text())
    assert environment["torch"] == torch.__version__


def test_the_encoder_loads_and_equals_the_methods(toy_run: Path):
    method, _ = load_method(toy_run)
    encoder = load(toy_run / "encoder")
    points = torch.randn(2, 64, 3)
    assert not encoder.training
    assert torch.equal(encoder(points), method.encoder(points))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    assert same(toy_run, pretrain(configured(toy_collection, tmp_path / "again")))
    assert not same(
        toy_run, pretrain(configured(toy_collection, tmp_path / "other", seed=1, monitor_every=0))
    )


def test_each_shape_once_an_epoch_and_never_a_test_shape(toy_collection: Collection):
    train, validation = split_validation(toy_collection.indices("train"), 0.2, seed=0)
    loader = BatchLoader(toy_collection, train, 4, seed=0)
    dealt = np.concatenate([loader.members(step) for step in range(loader.steps_per_epoch)])
    assert len(set(dealt)) == len(dealt) == 4 * loader.steps_per_epoch
    assert not set(dealt) & set(toy_collection.indices("test"))
    assert not set(dealt) & set(validation)
    assert set(train) | set(validation) == set(toy_collection.indices("train"))
    following = np.concatenate(
        [loader.members(step) for step in range(loader.steps_per_epoch, 2 * loader.steps_per_epoch)]
    )
    assert not np.array_equal(dealt, following)


def test_batches_are_those_of_load_in_order(toy_collection: Collection):
    pictures = DecodedViews(toy_collection, toy_collection.folder, limit=10**6)
    loader = BatchLoader(toy_collection, toy_collection.indices("train"), 4, seed=0, images=pictures)
    for step, batch in enumerate(loader.batches(2, 5), start=2):
        assert torch.equal(batch.points, loader.load(step).points)
        assert torch.equal(batch.views, loader.load(step).views)
    assert list(loader.batches(3, 3)) == []


COMMAND = [sys.executable, "-m", "adacross", "pretrain"]
SIGNALED = """
import os, sys
from adacross.cli import main
from adacross.training.log import Log
number, write = int(sys.argv.pop(1)), Log.write
def write_and_signal(log, record):
    write(log, record)
    if record["step"] == 3:
        os.kill(os.getpid(), number)
Log.write = write_and_signal
sys.exit(main())
"""


def flags(options: dict[str, Any]) -> list[str]:
    return [
        word
        for name, value in options.items()
        for word in (
            f"--{name.replace('_', '-')}",
            json.dumps(value) if isinstance(value, dict) else str(value),
        )
    ]


LONGER = TOY | {"epochs": 6, "monitor_every": 0}


@pytest.fixture(scope="module")
def uninterrupted(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(configured(toy_collection, tmp_path_factory.mktemp("runs") / "whole", **LONGER))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_to_the_same_weights(
    toy_collection: Collection, uninterrupted: Path, tmp_path: Path, number: int
):
    run = tmp_path / "stopped"
    options = [str(toy_collection.folder), "--run", str(run), *flags(LONGER)]
    signaled = [sys.executable, "-c", SIGNALED, str(int(number)), "pretrain", *options]
    stopped = subprocess.run(signaled, capture_output=True, text=True, check=False, timeout=HANGS)
    assert stopped.returncode == 130, stopped.stderr
    assert "--resume auto" in stopped.stderr
    assert not (run / "encoder").exists()
    command = [*COMMAND, *options, "--resume", "auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    assert same(uninterrupted, run)
    numbers = [record["step"] for record in read_log(run / "log.jsonl")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_resuming_with_other_options_is_refused(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"learning_rate was 0.001, is 0.5"):
        pretrain(configured(toy_collection, toy_run, resume="auto", learning_rate=0.5))


@pytest.mark.slow
def test_resume_auto_of_a_finished_run_changes_nothing(toy_collection: Collection, tmp_path: Path):
    config = configured(toy_collection, tmp_path / "run", epochs=1, monitor_every=0)
    first = load_file(pretrain(config) / "method.safetensors")
    pretrain(configured(toy_collection, tmp_path / "run", epochs=1, monitor_every=0, resume="auto"))
    second = load_file(tmp_path / "run" / "method.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 4096}, r"batch_size is 4096, but .* has 119 shapes to train on"),
        ({"points": 2000}, "stores 64 a shape"),
        ({"encoder_args": {"depth": 3}}, "unknown option of encoder pointnet 'depth'"),
        ({"encoder_args": {"width": 0}}, "width is 0"),
        ({"method_args": {"tau": 0.1}}, "option of method adacrossnet 'tau'.*Valid: variant, temperature"),
        ({"method_args": {"temperature": -0.1}}, "temperature is -0.1"),
        ({"weighting_args": {"gamma": 1.0}}, "option of weighting adacrossnet 'gamma'.*Valid: alpha, beta"),
        ({"weighting": "gradnorm", "weighting_args": {"alpha": -1.0}}, "expected alpha >= 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_written(
    toy_collection: Collection, tmp_path: Path, changes: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=message):
        pretrain(configured(toy_collection, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_existing_run_is_not_overwritten_unasked(toy_collection: Collection, tmp_path: Path):
    config = configured(toy_collection, tmp_path / "run", epochs=1, monitor_every=0)
    pretrain(config)
    with pytest.raises(UserError, match="already holds a run"):
        pretrain(config)
    for mistake in ("encoder_args", "method_args", "weighting_args"):
        with pytest.raises(UserError, match="'magic'"):
            pretrain(configured(toy_collection, tmp_path / "run", overwrite=True, **{mistake: {"magic": 1}}))
        assert (tmp_path / "run" / "method.safetensors").exists()  # a mistake costs nothing
    pretrain(configured(toy_collection, tmp_path / "run", epochs=1, monitor_every=0, overwrite=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_runs_at_toy_size(toy_collection: Collection, tmp_path: Path, name: str):
    options = yaml.safe_load(recipe_path(name).read_text())
    if "warmup" in options:  # a whole number of epochs is fine with all but the tests' type checker
        options["warmup"] = float(options["warmup"])
    recipe = PretrainConfig(str(toy_collection.folder), run=str(tmp_path / "run"), **options)
    small = TOY | ITS_OWN.get(recipe.method, {}) | {"epochs": 1, "batch_size": 8, "monitor_every": 0}
    small |= {"warmup": min(recipe.warmup, 1.0), "fresh": min(recipe.fresh, 16)}
    # weights to start from are of the recipe's own encoder
    small["encoder_args"] = recipe.encoder_args | ({} if recipe.init else small["encoder_args"])
    if "group_points" in recipe.method_args:  # fewer than a toy cloud has
        small["method_args"] = recipe.method_args | {"group_points": 16}
    kept = {"encoder": recipe.encoder, "image_encoder": recipe.image_encoder}
    run = pretrain(replace(recipe, **(small | kept)))
    assert np.isfinite(logged(run, "step", "loss")).all()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_names_its_term_and_keeps_the_last_checkpoint(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = METHODS["adacrossnet"].losses
    calls = []

    def poisoned(self: Any, batch: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        terms = original(self, batch)
        return terms | {"cross": terms["cross"] * float("nan")} if len(calls) > 7 else terms

    monkeypatch.setattr(METHODS["adacrossnet"], "losses", poisoned)
    with pytest.raises(UserError, match=r"'cross' became nan at step 7"):
        pretrain(configured(toy_collection, tmp_path / "run", epochs=3, monitor_every=0))
    assert checkpoints(tmp_path / "run")
    assert not (tmp_path / "run" / "encoder").exists()


@pytest.mark.slow
def test_mixed_precision_trains(toy_collection: Collection, tmp_path: Path):
    run = pretrain(configured(toy_collection, tmp_path / "run", precision="bf16", epochs=1))
    records = [record for record in read_log(run / "log.jsonl") if record["kind"] == "step"]
    assert all(np.isfinite(record["loss"]) for record in records)
    assert load(run / "encoder")(torch.randn(1, 40, 3)).dtype == torch.float32


@pytest.mark.slow
def test_shapes_without_classes_train_and_have_no_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "parts").mkdir()
    for number in range(12):
        trimesh.creation.box(extents=(1, 1 + number, 2)).export(tmp_path / "parts" / f"{number}.off")
    data = tmp_path / "data"
    prepare(str(tmp_path / "parts"), str(data), points=64, views=1, size=32, workers=1)
    options = TOY | {"batch_size": 4, "validation_fraction": 0.3, "epochs": 1}
    run = pretrain(PretrainConfig(str(data), run=str(tmp_path / "run"), **options))
    (look,) = [record for record in read_log(run / "log.jsonl") if record["kind"] == "monitor"]
    assert "recall_at_1" in look
    assert "probe_accuracy" not in look
    with pytest.raises(UserError, match="has no classes"):
        evaluate("linear", str(run), str(data))

"""Options of pre-training: what is refused, and with which words."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adacross.errors import UserError
from adacross.recipes import FOLDER, recipe_path
from adacross.training.config import PretrainConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "adacrosnet"}, "Did you mean 'adacrossnet'.*Valid: adacrossnet, crossnet, crosspoint"),
        ({"encoder": "resnet"}, "unknown encoder 'resnet'.*Valid: pointnet, dgcnn"),
        ({"weighting": "magic"}, "unknown weighting 'magic'.*Valid: fixed, adacrossnet, convergence, dwa"),
        (
            {"method_args": {"negative": "released"}},
            "Did you mean 'negatives'.*Valid: variant, temperature, neg",
        ),
        ({"method_args": {"points": 64}}, "unknown option of method adacrossnet 'points'"),
        ({"method_args": {"image_size": 64}}, "unknown option of method adacrossnet 'image_size'"),
        ({"method_args": {"encoder": "dgcnn"}}, "unknown option of method adacrossnet 'encoder'"),
        (
            {"method": "crosspoint", "method_args": {"variant": "con"}},
            "crosspoint 'variant'.*Valid: temperature",
        ),
        ({"weighting_args": {"alfa": 5.0}}, "option of weighting adacrossnet 'alfa'.*Valid: alpha, beta"),
        (
            {"weighting": "dwa", "weighting_args": {"alpha": 5.0}},
            "weighting dwa 'alpha'.*Valid: period, temp",
        ),
        ({"weighting": "dwa", "weighting_args": {"period": 0}}, "period 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"accumulate": 0}, "accumulate is 0; expected a number of at least 1"),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0; expected a number of at least 1"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0; expected a positive number"),
        ({"batch_size": 1}, "at least 2"),
        ({"points": 8}, "at least 32"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"schedule": "epoch", "warmup": 5.0}, "has none; choose cosine"),
        ({"epochs": 3, "warmup": 5.0}, "warmup is 5.0, longer than the 3 epochs"),
        ({"warmup": -1.0}, "warmup is -1.0; expected a number of at least 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; expected a number of at least 0"),
        ({"monitor_every": -1}, "monitor_every is -1; expected a number of at least 0"),
        ({"seed": -1}, "seed is -1; expected a number of at least 0"),
        ({"seed": 2**63}, "seed is 9223372036854775808; expected at most"),
        ({"image_size": 16}, "image_size is 16; expected a number of at least 32"),
        ({"learning_rate": math.nan}, "learning_rate of pre-training is nan; expected a number"),
        ({"learning_rate": math.inf}, "learning_rate is inf; expected a positive number"),
        ({"weight_decay": math.inf}, "weight_decay is inf; expected a number"),
        ({"image_cache": math.inf}, "image_cache is inf; expected a number"),
        ({"method_args": {"temperature": math.nan}}, "temperature of method adacrossnet is nan"),
        ({"weighting_args": {"alpha": math.nan}}, "alpha of weighting adacrossnet is nan"),
        ({"weighting": "fixed", "weighting_args": {"weights": {"intra": math.nan}}}, "weights of weighting"),
    ],
)
def test_impossible_options_are_refused_at_once(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        PretrainConfig("anything", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method_args": {"temperature": "warm"}},
            "option temperature of method adacrossnet is 'warm'; expected a num",
        ),
        ({"method_args": {"variant": 3}}, "expected 'con', 'joint', 'color' or 'gray'"),
        (
            {"weighting_args": {"beta": [0.9]}},
            r"option beta of weighting adacrossnet is \[0.9\]; expected a number",
        ),
        (
            {"weighting": "fixed", "weighting_args": {"weights": {"cross": "half"}}},
            "expected names with numbers",
        ),
        ({"encoder_args": {"k": 2.5}}, "option k of encoder dgcnn is 2.5; expected a whole number"),
        ({"encoder_args": {"k": True}}, "option k of encoder dgcnn is True"),
    ],
)
def test_a_wrong_type_among_the_named_options_is_a_sentence(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        PretrainConfig("anything", **changes)


@pytest.mark.slow
def test_a_wrong_type_of_an_option_itself_is_a_sentence(tmp_path: Path):
    """From a recipe, as plain Python, where no type checker of the tests stands in front."""
    mistakes = {
        "optimizer: adamm": "option optimizer of pre-training is 'adamm'; expected 'adam', 'adamw', 'sgd' or",
        "schedule: cosin": "option schedule of pre-training is 'cosin'; expected 'cosine', 'epoch'",
        "selection: best": "option selection of pre-training is 'best'; expected 'last' or 'released'",
        "learning_rate: 1e-3": "expected a number. In YAML leave out the quotes, and write 1.0e-3",
        "epochs: 2.5": "option epochs of pre-training is 2.5; expected a whole number.",
        "epochs: yes": "option epochs of pre-training is True; expected a whole number.",
        "method_args: warm": "option method_args of pre-training is 'warm'; expected names with values",
        "method_args: {3: 3}": "option method_args of pre-training is {3: 3}; expected names with values",
        "points: [64]": "option points of pre-training is [64]; expected a whole number or null.",
        "method: 3": "option method of pre-training is 3; expected text.",
    }
    (tmp_path / "mistakes.json").write_text(json.dumps(list(mistakes)))
    program = f"""
import json
from pathlib import Path
from adacross.errors import UserError
from adacross.training.config import PretrainConfig
folder = Path({str(tmp_path)!r})
for line in json.loads((folder / "mistakes.json").read_text()):
    (folder / "recipe.yaml").write_text(line)
    try:
        print(PretrainConfig.recipe(str(folder / "recipe.yaml"), "anything"))
    except UserError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for message, line in zip(mistakes.values(), done.stdout.splitlines(), strict=True):
        assert message in line


def test_named_options_survive_saving(tmp_path: Path):
    """Including a small number, which YAML would read back as text if it were written without a point."""
    config = PretrainConfig(
        "anything",
        run=str(tmp_path),
        method="crossnet",
        method_args={"variant": "con", "negatives": "released", "temperature": 1e-3},
        weighting="fixed",
        weighting_args={"weights": {"cross": 0.5}},
        learning_rate=1e-5,
        selection="released",
    )
    config.save(tmp_path)
    PretrainConfig.load(tmp_path).must_match(config.compared())
    with pytest.raises(UserError, match=r"method_args was .*, is \{\}"):
        PretrainConfig("anything", method="crossnet").must_match(config.compared())


def test_recipes_are_found_by_name_and_by_path():
    assert recipe_path("demo") == FOLDER / "demo.yaml"
    assert recipe_path(str(FOLDER / "demo.yaml")) == FOLDER / "demo.yaml"
    with pytest.raises(UserError, match=r"Valid: .*demo"):
        recipe_path("dmo")
    with pytest.raises(UserError, match="no recipe file"):
        recipe_path("nowhere/demo.yaml")


@pytest.mark.parametrize("content", ["- a list", "{", "collection: x\nnonsense: 1\n", "method: adacrossnet"])
def test_a_damaged_configuration_is_named(tmp_path: Path, content: str):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml"):
        PretrainConfig.load(tmp_path)


def test_tuples_and_paths_are_the_lists_and_texts_that_a_run_keeps(tmp_path: Path):
    """The same script resumes its own run: config.yaml has no tuples."""
    options: dict[str, Any] = {
        "method": "joint-mae",
        "method_args": {"conv_depths": (1, 1)},
        "encoder_args": {"groups": (16, 8, 4), "neighbors": (8, 4, 4), "radii": (0.3, 0.6, 1)},
        "weighting_args": {"weights": {"points": 2.0}},
    }
    config = PretrainConfig("shapes", **options)
    assert config.encoder_args["groups"] == [16, 8, 4]
    assert config.method_args == {"conv_depths": [1, 1]}
    assert options["encoder_args"]["groups"] == (16, 8, 4), "the caller's own are left as they were"
    config.save(tmp_path)
    PretrainConfig("shapes", **options).must_match(PretrainConfig.load(tmp_path).compared())
    changed = PretrainConfig("shapes", **options | {"encoder_args": {"groups": (16, 8, 2)}})
    with pytest.raises(UserError, match=r"cannot resume with other options \(encoder_args was"):
        changed.must_match(PretrainConfig.load(tmp_path).compared())


@pytest.mark.parametrize("device", ["mps", "gpu", "cuda:0"])
def test_a_device_is_auto_cpu_or_cuda(tmp_path: Path, device: str):
    (tmp_path / "config.yaml").write_text(f"collection: shapes\ndevice: {device}\n")
    with pytest.raises(UserError, match=r"device of pre-training is .*expected 'auto', 'cpu' or 'cuda'"):
        PretrainConfig.load(tmp_path)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("point-m2ae", ["image_encoder", "image_encoder_args", "image_size", "image_cache"]),
        ("joint-mae", ["image_encoder", "image_encoder_args", "image_cache"]),
        ("crosspoint", []),
    ],
)
def test_options_that_a_method_does_not_use_are_told(method: str, told: list[str]):
    changes: dict[str, Any] = {
        "image_encoder": "resnet18",
        "image_encoder_args": {"width": 8},
        "image_size": 64,
        "image_cache": 0.0,
    }
    assert PretrainConfig("shapes", method=method, **changes).without_effect() == told
    assert PretrainConfig("shapes", method=method).without_effect() == []


def test_files_of_version_0_1_are_read_under_present_names(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("collection: shapes\npicture_size: 64\npicture_cache: 1.0\n")
    config = PretrainConfig.load(tmp_path)
    assert (config.image_size, config.image_cache) == (64, 1.0)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("picture_size: 64\n")
    assert PretrainConfig.recipe(recipe, "shapes").image_size == 64


def test_what_may_differ_when_a_run_goes_on():
    changes: dict[str, Any] = {"keep_checkpoints": 3, "callbacks": ["a:B"], "track": "tensorboard"}
    PretrainConfig("shapes", **changes).must_match(PretrainConfig("others").compared())
    with pytest.raises(UserError, match=r"clip_norm was None, is 1\.0"):
        PretrainConfig("shapes", clip_norm=1.0).must_match(PretrainConfig("shapes").compared())

"""Classes of another package, by name, from the command line: tests/plugin_package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import TOY

from adacross.console import markdown_text
from adacross.data.collection.collection import Collection
from adacross.data.transforms import RawBatch
from adacross.encoders import build_encoder, load
from adacross.errors import UserError
from adacross.evaluation.segmentation import segmenter
from adacross.methods import CrossPoint, ImageTowerConfig, build_method
from adacross.training.config import PretrainConfig
from adacross.training.networks import load_method
from adacross.training.optim import make_optimizer
from adacross.training.pretrain import pretrain

PACKAGE = Path(__file__).parent / "plugin_package"
ENCODER, TOWER = "adacross_example.encoder:MaxNet", "adacross_example.image_tower:pretrained"
OPTIONS = {
    "encoder": ENCODER,
    "encoder-args": "width=24",
    "method": "adacross_example.method:WithImages",
    "weighting": "adacross_example.weighting:EqualShares",
    "augmentation": "adacross_example.augmentation:Jitter",
    "image-encoder": TOWER,
    "image-encoder-args": "width=8",
    "image-frozen": "",
    "image-size": "32",
    "callbacks": "adacross_example.callbacks:Curve",
    "epochs": "1",
    "batch-size": "16",
    "device": "cpu",
}


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package were installed."""
    monkeypatch.syspath_prepend(str(PACKAGE))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the package, with its entry points."""
    source, target = tmp_path_factory.mktemp("source") / "package", tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)], check=True
    )
    return target


def adacross(folder: Path, installed: Path, *words: str) -> str:
    """Type a command in a folder."""
    path = os.pathsep.join((str(installed), *filter(None, [os.environ.get("PYTHONPATH")])))
    done = subprocess.run(
        [sys.executable, "-m", "adacross", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_every_command_takes_classes_of_another_package(installed: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    for i in range(48):
        path = tmp_path / "scans" / ("cup", "jar")[i % 2] / f"{i:03d}.xyzc"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, np.hstack([rng.normal(size=(64, 3)) * (1, 2, 8), rng.integers(0, 256, (64, 3))]))
    prepared = ["--points", "64", "--views", "1", "--size", "32", "--workers", "2"]
    adacross(tmp_path, installed, "prepare", "scans", "data", *prepared)  # recognized by its entry point
    assert Collection.open(tmp_path / "data").info.format == "example-xyzc"
    flags = [word for name, value in OPTIONS.items() for word in (f"--{name}", value) if word]
    adacross(tmp_path, installed, "pretrain", "data", "--run", "run", *flags)
    first = (tmp_path / "run" / "method.safetensors").read_bytes()
    assert len((tmp_path / "run" / "curve.txt").read_text().splitlines()) == 1
    adacross(tmp_path, installed, "pretrain", "data", "--run", "run", *flags, "--resume", "auto")
    assert (tmp_path / "run" / "method.safetensors").read_bytes() == first
    saved = json.loads((tmp_path / "run" / "encoder" / "config.json").read_text())
    assert (saved["encoder"], saved["options"]) == (ENCODER, {"width": 24})
    adacross(tmp_path, installed, "evaluate", "linear", "run", "data", "--folds", "2", "--device", "cpu")
    theirs = "adacross_example.protocols:centroid"
    said = adacross(tmp_path, installed, "evaluate", theirs, "run", "data", "--device", "cpu")
    assert "centroid on data" in said
    adacross(tmp_path, installed, "embed", "run", "data", "found.parquet", "--device", "cpu")
    adacross(tmp_path, installed, "search", "run", "data", "--query", "cup/000", "--device", "cpu")
    adacross(tmp_path, installed, "share", "run", "owner/name", "--dry-run", "look")
    adacross(tmp_path, installed, "report", "run")
    card = (tmp_path / "look" / "README.md").read_text()
    assert markdown_text(ENCODER) in card
    assert "frozen" in card
    assert "checked with onnxruntime" in adacross(tmp_path, installed, "export", "run", "run.onnx")


def test_an_image_tower_of_another_package_serves_crosspoint(
    importable: None, toy_collection: Collection, tmp_path: Path
):
    names = {"encoder": ENCODER, "encoder_args": {}, "image_encoder": TOWER, "image_frozen": True}
    own = TOY | names | {"method": "crosspoint", "epochs": 1, "image_encoder_args": {}}
    run = pretrain(PretrainConfig(str(toy_collection.folder), run=str(tmp_path / "run"), **own))
    method, _ = load_method(run)
    assert isinstance(method, CrossPoint)
    tower = method.towers["rgb"]
    assert torch.equal(tower.encoder.patches.weight, torch.full((16, 3, 8, 8), 0.01))
    assert not tower.train().encoder.training
    assert method.embed_pictures(torch.zeros(2, 40, 40, 3, dtype=torch.uint8)).shape == (2, 256)
    assert load(run)(torch.rand(2, 48, 3)).shape == (2, 64)


def test_a_frozen_image_encoder_is_not_optimized_and_sees_gray_images_as_rgb(importable: None):
    for frozen in (False, True):
        images = ImageTowerConfig(TOWER, {}, frozen, 32)
        method = build_method("crossnet", build_encoder("pointnet", width=16), images)
        trained = make_optimizer("adamw", method, 1e-3, 0.1).param_groups
        given = {id(parameter) for group in trained for parameter in group["params"]}
        encoders = [tower.encoder for tower in method.towers.values()]
        weights = [parameter for encoder in encoders for parameter in encoder.parameters()]
        assert all((id(weight) in given) != frozen for weight in weights)
        batch = method.batch(
            RawBatch(torch.rand(4, 40, 3), torch.zeros(4, 32, 32, 3, dtype=torch.uint8)), torch.Generator()
        )
        sum(method.losses(batch).values()).backward()
        assert all((weight.grad is None) == frozen for weight in weights)


def test_an_augmentation_by_name_replaces_the_methods_own(importable: None):
    images = ImageTowerConfig()
    point = build_encoder("pointnet", width=16)
    method = build_method(
        "adacross_example.method:Contrast", point, images, 40, "adacross_example.augmentation:Jitter"
    )
    points = torch.nn.functional.normalize(torch.randn(3, 64, 3), dim=2)
    clouds = method.batch(RawBatch(points, None), torch.Generator()).clouds
    assert clouds.shape == (2, 3, 40, 3)
    assert (clouds.norm(dim=3) - 1).abs().max() < 0.2  # neither scaled nor shifted


def test_an_encoder_without_features_of_points_is_refused_by_segmentation(importable: None):
    encoder = build_encoder(ENCODER)
    with pytest.raises(UserError, match="has no features of points"):
        segmenter(encoder, 4, categories=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "adacross_example.encoder:Absent"}, "module adacross_example.encoder has no Absent"),
        ({"encoder": "adacross_absent:Net"}, "cannot import adacross_absent"),
        ({"encoder": ENCODER, "encoder_args": {"depth": 3}}, "unknown option of encoder"),
        ({"encoder": ENCODER, "encoder_args": {"width": "wide"}}, "expected a whole number"),
        ({"method": ENCODER}, "is not a class derived from adacross.methods.base.Method"),
        ({"augmentation": "jitter"}, "unknown augmentation 'jitter'"),
        ({"image_encoder": "resnet34"}, "unknown image encoder 'resnet34'"),
        ({"image_encoder": TOWER, "image_encoder_args": {"depth": 3}}, "unknown option of image encoder"),
        ({"weighting": "os:getcwd"}, "weighting os:getcwd is not a class derived from"),
    ],
)
def test_wrong_names_are_one_sentence(importable: None, options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        PretrainConfig("shapes", **options)


def test_options_of_a_config_of_0_1_are_read(toy_run: Path, tmp_path: Path):
    text = (toy_run / "config.yaml").read_text()
    old = text.replace("image_encoder: resnet18\n", "image_depth: 18\n")
    old = old.replace("image_encoder_args:\n  width: 8\n", "image_width: 8\n")
    old = old.replace("image_frozen: false\n", "").replace("augmentation: null\n", "")
    assert "image_encoder" not in old
    (tmp_path / "config.yaml").write_text(old)
    assert PretrainConfig.load(tmp_path) == PretrainConfig.load(toy_run)

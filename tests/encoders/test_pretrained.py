"""Encoders to and from a folder, and what is said when the folder is not right."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from adacross.encoders import DGCNN, PointNet, load
from adacross.errors import UserError
from adacross.features.sources import find_encoders


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    DGCNN(k=5, width=16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "encoder", [DGCNN(k=5, width=16), PointNet(width=16)], ids=lambda encoder: encoder.kind
)
def test_round_trip(encoder, tmp_path):
    encoder(torch.randn(2, 40, 3))  # moves the running statistics
    encoder.save_pretrained(tmp_path / "a")
    for loaded in (load(tmp_path / "a"), type(encoder).from_pretrained(str(tmp_path / "a"))):
        assert type(loaded) is type(encoder)
        assert loaded.options == encoder.options
        assert not loaded.training
        assert all(
            torch.equal(tensor, encoder.state_dict()[name]) for name, tensor in loaded.state_dict().items()
        )
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["config.json", "model.safetensors"]


def test_saving_again_replaces_two_files_if_told(saved):
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds a saved encoder"):
        PointNet(width=8).save_pretrained(saved)
    PointNet(width=8).save_pretrained(saved, overwrite=True)
    assert load(saved).dim == 8
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]


@pytest.mark.parametrize("config", [None, '{"model_type": "bert"}', '{"encoder": {"hidden_size": 8}}'])
def test_saving_never_touches_other_folders(tmp_path, config):
    (tmp_path / "thesis.txt").write_text("mine")
    if config:
        (tmp_path / "config.json").write_text(config)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match="is not a saved encoder"):
        PointNet(width=8).save_pretrained(tmp_path, overwrite=config is not None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_loading_does_not_disturb_random_numbers_of_weights(saved):
    assert all(
        torch.equal(a, b) for a, b in zip(load(saved).parameters(), load(saved).parameters(), strict=True)
    )


def test_wrong_kind(saved):
    with pytest.raises(UserError, match="holds a 'dgcnn' encoder, not 'pointnet'"):
        PointNet.from_pretrained(saved)


def edit(saved: Path, **changes) -> None:
    file = saved / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda saved: edit(saved, encoder="dgcn"), "unknown encoder 'dgcn'. Did you mean 'dgcnn'"),
        (lambda saved: edit(saved, encoder=3), "names no encoder"),
        (lambda saved: edit(saved, options=[1]), "expected a JSON object"),
        (lambda saved: edit(saved, options={"depth": 3}), "does not fit DGCNN.*depth"),
        (
            lambda saved: edit(saved, options={"k": 5, "width": 17}),
            r"last.linear.weight is \(16, 512\), expected \(17",
        ),
        (lambda saved: (saved / "config.json").unlink(), "config.json does not exist"),
        (lambda saved: (saved / "config.json").write_text("{"), "not valid JSON"),
        (lambda saved: (saved / "model.safetensors").unlink(), "model.safetensors does not exist"),
        (lambda saved: (saved / "model.safetensors").write_bytes(b"no"), "damaged or no safetensors file"),
        (
            lambda saved: (saved / "model.safetensors").write_bytes(
                (saved / "model.safetensors").read_bytes()[:-9]
            ),
            "damaged or no safetensors file",
        ),
    ],
)
def test_damaged_folders(saved, damage, message):
    damage(saved)
    with pytest.raises(UserError, match=message):
        load(saved)


def test_paths_that_are_no_folder(saved, tmp_path):
    with pytest.raises(UserError, match="is a file; expected the folder"):
        load(saved / "config.json")
    for path in (tmp_path / "none", "nowhere", "./nowhere/at/all"):
        with pytest.raises(UserError, match="does not exist"):
            load(path)


def test_a_path_that_is_not_here_is_not_asked_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    for name in ("runs/none", "collections/parts"):
        message = rf"{name} does not exist here\..* on the Hugging Face hub write hf://{name}\."
        with pytest.raises(UserError, match=message):
            load(name)
        with pytest.raises(UserError, match=message):
            DGCNN.from_pretrained(name)
        with pytest.raises(UserError, match=message):
            find_encoders(name)
    with pytest.raises(UserError, match="is not a name on the Hugging Face hub"):
        load("hf://runs/none/encoder")


def test_hub_ids(saved, monkeypatch, capsys):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(saved))
    assert load("hf://somebody/encoder").kind == "dgcnn"
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"hf://somebody/encoder of the Hugging Face hub, revision {saved.name}"
    (found,) = find_encoders("hf://somebody/encoder")
    assert found.name == "hf://somebody/encoder"

    def offline(*_, **__):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"did not give somebody/encoder.*no network"):
        load("hf://somebody/encoder")

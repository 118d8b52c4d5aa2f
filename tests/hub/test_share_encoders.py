"""An encoder's card says what its run says, and nothing that nobody knows."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from adacross import PointNet, UserError, load, share
from adacross.evaluation import evaluate
from adacross.hub import share as sharing


def card_of(source: Path, look: Path, **options: object) -> tuple[dict, str]:
    share(str(source), "owner/toy-encoder", dry_run=str(look), **options)
    text = (look / "README.md").read_text()
    assert str(look.parent) not in text
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_run_that_was_measured(run, toy_collection, tmp_path):
    measured = tmp_path / "runs" / "toy"
    shutil.copytree(run, measured)
    result = evaluate("linear", measured, toy_collection, seeds=2, C=1.0)
    head, body = card_of(measured, tmp_path / "look", license="cc-by-4.0")
    index = head.pop("model-index")
    assert head == {
        "license": "cc-by-4.0",
        "library_name": "adacross",
        "tags": ["adacross", "point-cloud", "3d", "self-supervised"],
    }
    (measurement,) = index[0]["results"]
    assert index[0]["name"] == "toy-encoder"
    assert measurement["dataset"]["name"] == "toy"
    accuracy, nearest = measurement["metrics"]
    figure = result.score().estimate
    assert (accuracy["type"], accuracy["value"]) == ("accuracy", round(100 * figure.mean, 2))
    assert accuracy["args"]["interval"] == pytest.approx([figure.low, figure.high])
    assert "linear SVM" in accuracy["args"]["protocol"]
    assert nearest["type"] == "5-NN accuracy"
    assert "@article{putra2025adacrossnet" in body
    assert 'adacross.load("hf://owner/toy-encoder")' in body
    assert "    adacross embed hf://owner/toy-encoder shapes/ shapes.parquet" in body
    assert "shared under `cc-by-4.0`" in body
    for row in (
        "method | AdaCrossNet", "encoder | PointNet", "encoder's options | width 32", "epochs | 2",
        "batch size | 16", "seed | 0", "weighting of the terms | adacrossnet", "up in the source | y",
        "source | builtin", "these weights are | the last step's", "points a cloud | 48 in training",
    ):  # fmt: skip
        assert f"| {row}" in body, row
    assert f"| shapes | 220 (train {toy_collection.info.splits['train']}" in body
    assert "| steps | 12 |" in body
    assert "### linear-seeds-2-C-1 on toy" in body
    assert result.to_markdown() in body
    assert "95 % interval over test shapes" in body
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    assert load(tmp_path / "look").dim == load(run / "encoder").dim


def test_figures_of_others_are_not_on_the_card(run, toy_collection, tmp_path, capsys):
    """The first edition put the mean over several runs on the first one's card, as its own."""
    runs = [shutil.copytree(run, tmp_path / name) for name in ("one", "two")]
    evaluate("linear", [str(each) for each in runs], toy_collection, seeds=1, C=1.0)
    evaluate("linear", runs[0], toy_collection, seeds=1, C=2.0)
    (path,) = (runs[0] / "evaluation" / "toy").glob("*C-2.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": ["of yesterday"]}))
    head, body = card_of(runs[0], tmp_path / "look")
    assert "Not evaluated." in body
    assert "model-index" not in head
    assert "is of other weights" in " ".join(capsys.readouterr().err.split())


def test_a_run_that_was_not_measured_and_has_no_license(run, tmp_path):
    head, body = card_of(run, tmp_path / "look")
    assert "license" not in head
    assert "No license was stated" in body
    assert "Not evaluated." in body
    _, same = card_of(run / "encoder", tmp_path / "look 2")  # a run's encoder knows its run
    assert same == body


def test_an_encoder_without_a_run(tmp_path):
    PointNet(width=16).save_pretrained(tmp_path / "encoder")
    _, body = card_of(tmp_path / "encoder", tmp_path / "look")
    assert "How it was trained is unknown." in body
    assert "| points a cloud | unknown" in body
    for heading in ("## Data", "## Training", "## Results"):
        assert heading not in body


def test_a_run_whose_collection_has_gone_and_whose_weights_were_chosen_on_the_test_split(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    changed = config | {"collection": "/customers/acme/bolts", "selection": "released"}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(changed))
    (tmp_path / "run" / "environment.json").unlink()
    _, body = card_of(tmp_path / "run", tmp_path / "look")
    assert "The collection `bolts`, which was not available" in body
    assert "acme" not in body
    assert "best accuracy on the TEST split" in body
    assert "| versions |" not in body


def test_shapes_drawn_while_training_are_told_from_those_of_the_monitor(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    changed = config | {"fresh": 64, "augmentation": "mild", "orientation": "any", "init": "builtin-base"}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(changed))
    _, body = card_of(tmp_path / "run", tmp_path / "look")
    assert "Training used 128 built-in shapes, drawn while training" in body
    assert "served the monitor" in body
    assert "Training used the split `train`" not in body
    assert "| augmentation | mild |" in body
    assert "| orientation | any |" in body
    assert "| started from | builtin-base |" in body


def test_names_cannot_leave_their_cells(run, toy_collection, tmp_path):
    folder = tmp_path / "collection"
    shutil.copytree(toy_collection.folder, folder)
    description = json.loads((folder / "collection.json").read_text())
    description["classes"][0] = "a|b\n# <script>`[x](y)"
    description["skipped"] = [{"name": "bad|shape", "reason": "NaN"}]
    (folder / "collection.json").write_text(json.dumps(description))
    _, body = card_of(folder, tmp_path / "look")
    assert "a\\|b \\# \\<script\\>\\`\\[x\\](y)" in body
    assert "| bad\\|shape | NaN |" in body


def test_what_cannot_be_shared(run, tmp_path):
    for source, message in (
        (tmp_path / "nowhere", "nowhere does not exist; expected a run"),
        (tmp_path, "is not a run, an encoder folder or a collection"),
    ):
        with pytest.raises(UserError, match=message):
            share(str(source), "owner/name", dry_run=str(tmp_path / "look"))
    shutil.copytree(run, tmp_path / "torn")
    shutil.rmtree(tmp_path / "torn" / "encoder")
    with pytest.raises(UserError, match="torn is not finished"):
        share(str(tmp_path / "torn"), "owner/name", dry_run=str(tmp_path / "look"))
    shutil.copytree(run / "encoder", tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match=r"model.safetensors is damaged"):
        share(str(tmp_path / "damaged"), "owner/name", dry_run=str(tmp_path / "look"))
    assert not (tmp_path / "look").exists()


@pytest.mark.parametrize(
    "name",
    ["name", "a/b/c", "owner/", "/name", "ow ner/name", "../name", "owner/a--b", "owner/-a", "o/" + 95 * "a"],
)
def test_names_are_refused_before_any_work(name, monkeypatch):
    monkeypatch.setattr(sharing, "local_folder", lambda *_: pytest.fail("looked"))
    with pytest.raises(UserError, match="is not a name on the Hugging Face hub; expected owner/name"):
        share("runs/a", name)
    with pytest.raises(UserError, match="expected one of the hub's identifiers"):
        share("runs/a", "owner/name", license="All rights reserved")

"""Retrieval: every direction against a direct count, what it needs, what it keeps, the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import Encoder, PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.evaluation.results import load
from adacross.evaluation.retrieval import measure
from adacross.evaluation.retrieval.measure import RetrievalResult, evaluate_retrieval, measure_retrieval
from adacross.features.sources import untrained_like
from adacross.methods import CrossModal
from adacross.training.networks import load_method


@pytest.fixture(scope="module")
def method(toy_run: Path) -> CrossModal:
    loaded, _ = load_method(toy_run)
    assert isinstance(loaded, CrossModal)
    return loaded


@pytest.fixture(scope="module")
def result(method: CrossModal, toy_collection: Collection) -> RetrievalResult:
    """All stored points: shapes do not search themselves."""
    return measure_retrieval([method], toy_collection, seeds=2)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def direct(scores: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """Hits and mAP by plain loops; scores and relevance `(queries, gallery)`, NaN where not allowed."""
    hits: dict[int, list[bool]] = {1: [], 5: [], 10: []}
    precisions = []
    for row, right in zip(scores, relevant, strict=True):
        order = [item for item in np.argsort(-row, kind="stable") if not np.isnan(row[item])]
        found = [bool(right[item]) for item in order]
        if not any(found):
            continue
        for k, kept in hits.items():
            kept.append(any(found[:k]))
        ranks = [place + 1 for place, good in enumerate(found) if good]
        precisions.append(np.mean([(place + 1) / rank for place, rank in enumerate(ranks)]))
    return {f"recall@{k}": float(np.mean(kept)) for k, kept in hits.items()} | {
        "mAP": float(np.mean(precisions))
    }


def test_shapes_find_their_class(method: CrossModal, toy_collection: Collection, result: RetrievalResult):
    test = toy_collection.indices("test")
    labels = toy_collection.labels[test]
    found = result.shape_to_shape
    assert found
    encoders: tuple[tuple[dict, Encoder], ...] = (
        (found.pretrained, method.encoder),
        (found.untrained, untrained_like(method.encoder, 0)),
    )
    for figures, encoder in encoders:
        features = unit(encode(encoder, toy_collection.points(test)))
        scores = features @ features.T
        np.fill_diagonal(scores, np.nan)  # not itself
        expected = direct(scores, labels[:, None] == labels)
        assert {name: figure.values[0] for name, figure in figures.items()} == pytest.approx(expected)
    assert found.pretrained["mAP"].std == 0  # nothing is drawn
    assert found.untrained["mAP"].std > 0
    size = len(test) - 1
    relevant = np.bincount(labels)[labels] - 1
    assert found.chance["recall@1"] == pytest.approx((relevant[relevant > 0] / size).mean())
    assert found.points == 64
    assert result.same_object is None


def test_pictures_find_shapes_and_shapes_pictures(
    method: CrossModal, toy_collection: Collection, result: RetrievalResult
):
    """One picture of every shape; the collection has one."""
    test = toy_collection.indices("test")
    labels = toy_collection.labels[test]
    views = np.stack([toy_collection.view(int(index), 0) for index in test])
    with torch.inference_mode():
        shapes = unit(method.embed_clouds(torch.from_numpy(toy_collection.points(test))).numpy())
        pictures = unit(method.embed_pictures(torch.from_numpy(views)).numpy())
    scores = pictures @ shapes.T
    for figures, found in ((result.image_to_shape, scores), (result.shape_to_image, scores.T)):
        recall = direct(found, np.eye(len(test), dtype=bool))
        precision = direct(found, labels[:, None] == labels)
        assert figures == pytest.approx(recall | {"mAP": precision["mAP"]})
    assert result.chance["recall@5"] == pytest.approx(5 / len(test))
    assert result.chance_recall_at_1 == 1 / len(test)
    assert result.std["image_to_shape"]["recall@1"] == 0


def test_examples_are_the_first_results(
    method: CrossModal, toy_collection: Collection, result: RetrievalResult
):
    test = toy_collection.indices("test").tolist()
    assert len(result.examples) == len(result.shape_examples) == len(result.neighbours) == 8
    queries = [example.query for example in result.examples]
    assert queries == [example.query for example in result.shape_examples]
    assert queries == [example.query for example in result.neighbours]
    assert set(queries) <= set(test)
    features = unit(encode(method.encoder, toy_collection.points(np.array(test))))
    for example in result.neighbours:
        assert example.query not in example.results
        similar = features @ features[test.index(example.query)]
        order = [test[item] for item in np.argsort(-similar, kind="stable") if test[item] != example.query]
        assert example.results == order[:5]
        assert example.views == []
    for example in result.shape_examples:
        assert len(example.views) == len(example.results) == 5


def test_shapes_find_themselves_by_other_points(method: CrossModal, toy_collection: Collection):
    found = measure_retrieval([method], toy_collection, points=32, seeds=2)
    itself = found.same_object
    assert itself
    assert itself.points == 32
    assert set(itself.pretrained) == {"recall@1", "recall@5", "recall@10"}
    test = toy_collection.indices("test")
    order = np.random.default_rng([1, 3]).permutation(64)
    assert not set(order[:32]) & set(order[32:])
    one, other = (
        unit(encode(method.encoder, toy_collection.points(test)[:, part]))
        for part in (order[:32], order[32:])
    )
    expected = direct(one @ other.T, np.eye(len(test), dtype=bool))
    for name, figure in itself.pretrained.items():
        assert figure.values[1] == pytest.approx(expected[name])
    assert itself.pretrained["recall@1"].mean > 10 * itself.chance["recall@1"]
    assert "the points drawn" in found.spread


def test_too_few_other_points_are_not_compared(method: CrossModal, toy_collection: Collection):
    gallery = measure.Gallery(
        toy_collection, np.arange(12), toy_collection.points(np.arange(12)), 60, torch.device("cpu")
    )
    assert gallery.pair_points == 32  # half of what is stored
    assert (
        measure.Gallery(gallery.collection, gallery.test, gallery.clouds, 31, gallery.device).pair_points == 0
    )
    assert (
        measure.Gallery(gallery.collection, gallery.test, gallery.clouds, 64, gallery.device).pair_points == 0
    )


def test_encoders_without_pictures_find_shapes_by_shapes(toy_collection: Collection):
    found = measure_retrieval(
        [PointNet(width=32), PointNet(width=32)], toy_collection, seeds=1, names=["a", "b"]
    )
    assert found.image_to_shape == found.shape_to_image == {}
    assert found.examples == found.shape_examples == []
    assert found.shape_to_shape
    assert len(found.shape_to_shape.pretrained["mAP"].values) == 2
    assert found.seeds == [0, 1]
    assert "2 pre-training seeds" in found.spread
    assert "pictures" not in found.spread


def test_the_state_an_encoder_was_left_in_does_not_matter(method: CrossModal, toy_collection: Collection):
    method.train()
    again = measure_retrieval([method], toy_collection, seeds=1)
    assert method.training
    method.eval()
    assert again == measure_retrieval([method], toy_collection, seeds=1)


def test_without_classes_there_is_no_class_to_find(tmp_path: Path):
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    for index in range(12):
        text = f"OFF\n4 4 0\n0 0 0\n1 0 0\n0 {1 + index} 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
        (meshes / f"{index}.off").write_text(text)
    prepare(str(meshes), str(tmp_path / "plain"), points=64, views=1, size=32, workers=1, test_fraction=0.9)
    found = measure_retrieval([PointNet(width=32)], Collection.open(tmp_path / "plain"), points=32, seeds=1)
    assert found.shape_to_shape is None
    assert found.same_object
    assert "mAP" not in found.chance
    found.table()


def test_what_cannot_be_measured_is_refused(method: CrossModal, toy_collection: Collection, tmp_path: Path):
    with pytest.raises(UserError, match="expected one kind"):
        measure_retrieval([method, method.encoder], toy_collection)
    for wrong in ({"points": 0}, {"seeds": 0}):
        with pytest.raises(UserError, match=r"expected (at least )?1"):
            measure_retrieval([method], toy_collection, **wrong)  # type: ignore[arg-type]
    prepare(
        "builtin", str(tmp_path / "few"), count=44, points=64, views=1, size=32, workers=1, test_fraction=0.0
    )
    with pytest.raises(UserError, match="0 test shapes; retrieval needs at least 10"):
        measure_retrieval([method], Collection.open(tmp_path / "few"))


def test_an_interrupted_measurement_goes_on(
    method: CrossModal, toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[int] = []
    real = measure._repetition

    def stopping(gallery: object, trained: object, which: int, seed: int, examples: int) -> object:
        if seed == 1 and len(done) == 1:
            raise KeyboardInterrupt
        done.append(seed)
        return real(gallery, trained, which, seed, examples)  # type: ignore[arg-type]

    monkeypatch.setattr(measure, "_repetition", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure_retrieval([method], toy_collection, seeds=2, result=tmp_path / "r.json")
    done.append(-1)
    again = measure_retrieval([method], toy_collection, seeds=2, result=tmp_path / "r.json")
    assert done == [0, -1, 1]
    monkeypatch.setattr(measure, "_repetition", real)
    assert again == measure_retrieval([method], toy_collection, seeds=2)


def test_the_command_as_typed(
    toy_run: Path,
    toy_collection: Collection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    output = tmp_path / "retrieval.json"
    words = [str(toy_collection.folder), "--points", "32", "--seeds", "2", "--output", str(output)]
    assert main(["evaluate", "retrieval", str(toy_run), *words]) == 0
    out = capsys.readouterr().out
    for text in (
        "image to shape",
        "shape to image",
        "shape to its class",
        "untrained",
        "chance",
        "recall@10",
    ):
        assert text in out
    found = load(RetrievalResult, output)
    assert found.task == "retrieval"
    assert found.points == 32
    assert not output.with_suffix(".pieces").exists()
    assert found == evaluate_retrieval(
        str(toy_run), str(toy_collection.folder), 32, 2, "cpu", str(tmp_path / "again.json")
    )


def test_an_encoder_folder_and_a_masking_run_have_shapes_only(
    toy_run: Path, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "retrieval.json"
    words = [str(toy_collection.folder), "--seeds", "1", "--output", str(output)]
    assert main(["evaluate", "retrieval", str(toy_run / "encoder"), *words]) == 0
    assert "image to shape" not in capsys.readouterr().out
    assert json.loads(output.read_text())["image_to_shape"] == {}
    masking = (
        tmp_path / "masking"
    )  # what a run of a method without pictures leaves behind, as far as this goes
    shutil.copytree(toy_run / "encoder", masking / "encoder")
    config = (toy_run / "config.yaml").read_text().replace("method: adacrossnet", "method: point-m2ae")
    (masking / "config.yaml").write_text(config)
    assert main(["evaluate", "retrieval", str(masking), str(toy_collection.folder), "--seeds", "1"]) == 0
    found = load(RetrievalResult, masking / "evaluation" / "retrieval.json")
    assert found.image_to_shape == {}
    assert found.shape_to_shape

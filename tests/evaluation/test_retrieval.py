"""Retrieval: every search against a direct count, what it needs, and what it keeps."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import Encoder, PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.evaluation import driver
from adacross.evaluation import retrieval as module
from adacross.evaluation.result import CHANCE, HISTOGRAM, PRETRAINED, UNTRAINED, Result, load
from adacross.evaluation.retrieval import IMAGE_TO_SHAPE, OTHER_POINTS, SHAPE_TO_IMAGE, TO_CLASS, retrieval
from adacross.features.histogram import shape_histogram
from adacross.features.sources import untrained_like
from adacross.methods import CrossModal
from adacross.training.networks import load_method

RECALL = ["recall@1", "recall@5", "recall@10"]


@pytest.fixture(scope="module")
def run(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path_factory.mktemp("runs") / "toy"))


@pytest.fixture(scope="module")
def collection(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A copy, beside which features may be cached."""
    copied = shutil.copytree(toy_collection.folder, tmp_path_factory.mktemp("collections") / "toy")
    return Collection.open(copied)


@pytest.fixture(scope="module")
def method(run: Path) -> CrossModal:
    loaded, _ = load_method(run)
    assert isinstance(loaded, CrossModal)
    return loaded


@pytest.fixture(scope="module")
def result(run: Path, collection: Collection) -> Result:
    return retrieval(str(run), collection, points=64, seeds=2)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def direct(scores: np.ndarray, relevant: np.ndarray) -> dict[str, list[float]]:
    """Hits and average precision by plain loops; scores `(queries, gallery)`, NaN where not allowed."""
    found: dict[str, list[float]] = {name: [] for name in (*RECALL, "mAP")}
    for row, right in zip(scores, relevant, strict=True):
        order = [item for item in np.argsort(-row, kind="stable") if not np.isnan(row[item])]
        hits = [bool(right[item]) for item in order]
        for name in RECALL:
            found[name].append(float(any(hits[: int(name.split("@")[1])])))
        ranks = [place + 1 for place, good in enumerate(hits) if good]
        found["mAP"].append(float(np.mean([(place + 1) / rank for place, rank in enumerate(ranks)])))
    return found


def test_shapes_find_their_class(method: CrossModal, collection: Collection, result: Result):
    test = collection.indices("test")
    labels, clouds = collection.labels[test], collection.points(test)
    for network, row, features in (
        (PRETRAINED, 0, encode(method.encoder, clouds)),
        (UNTRAINED, 1, encode(untrained_like(method.encoder, 1), clouds)),
        (HISTOGRAM, 0, shape_histogram(clouds)),
    ):
        scores = unit(features) @ unit(features).T
        np.fill_diagonal(scores, np.nan)  # not itself
        for metric, expected in direct(scores, labels[:, None] == labels).items():
            found = result.score(network, metric, search=TO_CLASS)
            assert found.outcomes[row] == pytest.approx(expected)
    assert len(result.score(UNTRAINED, "mAP", search=TO_CLASS).outcomes) == 2
    relevant = np.bincount(labels)[labels] - 1
    chance = result.score(CHANCE, "recall@1", search=TO_CLASS)
    assert chance.values == pytest.approx([(relevant / (len(test) - 1)).mean()])
    assert result.data.left_out == {}
    assert result.details["counted"] == list(range(len(test)))
    assert result.ids == [collection.ids[i] for i in test]


def test_images_find_shapes_and_shapes_images(method: CrossModal, collection: Collection, result: Result):
    """One image of every shape; the collection has one, so that nothing is drawn."""
    test = collection.indices("test")
    labels = collection.labels[test]
    views = np.stack([collection.view(int(index), 0) for index in test])
    with torch.inference_mode():
        shapes = unit(method.embed_clouds(torch.from_numpy(collection.points(test))).numpy())
        images = unit(method.embed_pictures(torch.from_numpy(views)).numpy())
    for search, scores in ((IMAGE_TO_SHAPE, images @ shapes.T), (SHAPE_TO_IMAGE, shapes @ images.T)):
        own = direct(scores, np.eye(len(test), dtype=bool))
        expected = own | {"mAP": direct(scores, labels[:, None] == labels)["mAP"]}
        for metric, values in expected.items():
            found = result.score(PRETRAINED, metric, search=search)
            assert found.outcomes == [pytest.approx(values)]
        assert result.score(CHANCE, "recall@5", search=search).values == pytest.approx([5 / len(test)])


def test_shapes_find_themselves_by_other_points(method: CrossModal, collection: Collection, result: Result):
    clouds = collection.points(collection.indices("test"))
    one, other = (unit(encode(method.encoder, clouds[:, start::2])) for start in (0, 1))
    expected = direct(one @ other.T, np.eye(len(clouds), dtype=bool))
    for metric in RECALL:
        found = result.score(PRETRAINED, metric, search=OTHER_POINTS)
        assert found.outcomes == [expected[metric]]
    with pytest.raises(UserError, match="no score of pre-trained, mAP"):
        result.score(PRETRAINED, "mAP", search=OTHER_POINTS)
    chance = result.score(CHANCE, "recall@1", search=OTHER_POINTS).values[0]
    assert result.score(PRETRAINED, "recall@1", search=OTHER_POINTS).values[0] > 10 * chance


def test_examples_are_the_first_results(method: CrossModal, collection: Collection, result: Result):
    test = collection.indices("test").tolist()
    each = [result.details[name] for name in ("examples", "shape_examples", "neighbors")]
    queries = [[example["query"] for example in several] for several in each]
    assert queries[0] == queries[1] == queries[2]
    assert len(queries[0]) == 8
    assert set(queries[0]) <= set(test)
    features = unit(encode(method.encoder, collection.points(np.array(test))))
    for example in result.details["neighbors"]:
        similar = features @ features[test.index(example["query"])]
        order = [test[i] for i in np.argsort(-similar, kind="stable") if test[i] != example["query"]]
        assert example["results"] == order[:5]
        assert example["result_ids"] == [collection.ids[i] for i in order[:5]]
        assert example["query_id"] == collection.ids[example["query"]]
        assert example["views"] == []
    assert all(len(example["views"]) == 5 for example in result.details["shape_examples"])


@pytest.mark.slow
def test_several_images_are_repetitions_on_one_network(run: Path, tmp_path: Path):
    folder = tmp_path / "views"
    prepare(
        "builtin", str(folder), count=160, points=64, views=3, size=32, workers=1, test_fraction=0.4
    )  # of some classes one test shape
    found = retrieval(str(run), str(folder), seeds=2, output=str(tmp_path / "r.json"))
    score = found.score(PRETRAINED, "recall@10", search=IMAGE_TO_SHAPE)
    assert score.networks == [0, 0]
    assert score.outcomes[0] != score.outcomes[1]
    assert "one of 3" in found.protocol
    counted = np.bincount(found.truth)[found.truth] > 1
    assert found.details["counted"] == np.flatnonzero(counted).tolist()
    assert len(found.score(search=TO_CLASS).outcomes[0]) == counted.sum() < len(found.ids)
    assert len(found.data.left_out) == (~counted).sum()


@pytest.mark.slow
def test_encoders_without_images_find_shapes_by_shapes(collection: Collection):
    encoders: list[Encoder] = [PointNet(width=32), PointNet(width=32)]
    found = retrieval(encoders, collection, points=48, seeds=1)
    assert {one.setting["search"] for one in found.scores} == {TO_CLASS, OTHER_POINTS}
    score = found.score(PRETRAINED, "mAP")
    assert score.networks == [0, 1]
    assert "2 pre-trainings" in found.uncertainty
    assert "examples" not in found.details
    assert len(found.details["neighbors"]) == 8


@pytest.mark.slow
def test_a_masking_run_has_shapes_only(run: Path, collection: Collection, tmp_path: Path):
    masking = tmp_path / "masking"  # a run of a method without images, as far as this goes
    shutil.copytree(run / "encoder", masking / "encoder")
    config = (run / "config.yaml").read_text().replace("method: adacrossnet", "method: point-m2ae")
    (masking / "config.yaml").write_text(config)
    found = retrieval(str(masking), collection, seeds=1)
    assert {one.setting["search"] for one in found.scores} == {TO_CLASS, OTHER_POINTS}
    assert load(masking / "evaluation" / "toy" / "retrieval-seeds-1.json") == found
    with pytest.raises(UserError, match="expected one kind"):
        retrieval([str(run), str(masking)], collection)


@pytest.mark.slow
def test_without_classes_there_is_no_class_to_find(tmp_path: Path):
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    for index in range(12):
        text = f"OFF\n4 4 0\n0 0 0\n1 0 0\n0 {1 + index} 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
        (meshes / f"{index}.off").write_text(text)
    for points in (64, 62):
        folder = tmp_path / f"plain{points}"
        prepare(str(meshes), str(folder), points=points, views=1, size=32, workers=1, test_fraction=0.9)
    found = retrieval(PointNet(width=32), str(tmp_path / "plain64"), seeds=1)
    assert {one.setting["search"] for one in found.scores} == {OTHER_POINTS}
    assert list(found.data.left_out.values()) == ["no class to find"]
    found.table()
    with pytest.raises(UserError, match="there is nothing to find"):
        retrieval(PointNet(width=32), str(folder), seeds=1)  # 31 points are too few


@pytest.mark.slow
def test_mistakes(run: Path, collection: Collection, tmp_path: Path):
    with pytest.raises(UserError, match="seeds is 0; expected at least 1"):
        retrieval(str(run), collection, seeds=0)
    prepare(
        "builtin", str(tmp_path / "few"), count=44, points=64, views=1, size=32, workers=1, test_fraction=0.0
    )
    with pytest.raises(UserError, match="0 test shapes; retrieval needs at least 10"):
        retrieval(str(run), str(tmp_path / "few"))


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on(
    run: Path, collection: Collection, tmp_path: Path, result: Result, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []

    def stopping(*halves: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    real = module._one_draw

    def counting(*given: Any) -> dict[str, Any]:
        done.append("images")
        return real(*given)

    monkeypatch.setattr(module, "_one_draw", counting)
    monkeypatch.setattr(driver, "shape_histogram", stopping)
    output = tmp_path / "r.json"
    with pytest.raises(KeyboardInterrupt):
        retrieval(str(run), collection, points=64, seeds=2, output=str(output))
    assert output.with_suffix(".pieces").is_dir()
    monkeypatch.setattr(driver, "shape_histogram", shape_histogram)
    again = retrieval(str(run), collection, points=64, seeds=2, output=str(output))
    assert done == ["images"]
    assert not output.with_suffix(".pieces").exists()
    assert again.scores == result.scores
    assert load(output) == again

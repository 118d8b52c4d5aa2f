"""The linear probe against plain scikit-learn, and the traps of the protocol."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import DGCNN, Encoder, PointNet
from adacross.encoders.frozen import encode, frozen
from adacross.errors import UserError
from adacross.evaluation.corruptions import rotate
from adacross.evaluation.labeled import Labeled
from adacross.evaluation.linear import PRESETS, linear
from adacross.evaluation.result import Paper
from adacross.features.histogram import shape_histogram
from adacross.features.knn import knn
from adacross.features.sources import untrained_like
from adacross.features.svm import fit_svm, fixed_svm


@pytest.fixture(scope="module")
def shapes(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A copy that features may be cached in."""
    folder = tmp_path_factory.mktemp("linear") / "shapes"
    return Collection.open(shutil.copytree(toy_collection.folder, folder))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(3)
    return PointNet(width=32).eval()


def split_features(encoder: Encoder, collection: Collection, points: int) -> list[np.ndarray]:
    return [
        encode(encoder, collection.points(collection.indices(split))[:, :points])
        for split in ("train", "test")
    ]


@pytest.mark.slow
def test_figures_are_those_of_scikit_learn(shapes: Collection, encoder: Encoder):
    result = linear(encoder, shapes, points=40, folds=3, seeds=2)
    train, test = (shapes.labels[shapes.indices(split)] for split in ("train", "test"))
    networks = {"pre-trained": [encoder], "untrained": [untrained_like(encoder, seed) for seed in range(2)]}
    for name, each in networks.items():
        score, nearest = result.score(name, "accuracy"), result.score(name, "5-NN accuracy")
        for row, network in enumerate(each):
            features = split_features(network, shapes, 40)
            machines = fit_svm(features[0], train, 3, seed=0)
            predicted = machines.predict(features[1])
            assert score.predictions[row] == predicted.tolist()
            assert score.outcomes[row] == (predicted == test).tolist()
            assert result.details["C"][name][row] == machines.C
            assert nearest.predictions[row] == knn(features[0], train, features[1]).tolist()
    assert result.score("chance").values == [float(np.mean(test == np.bincount(train).argmax()))]
    assert result.truth == test.tolist()
    assert result.ids == [shapes.ids[i] for i in shapes.indices("test")]


def test_the_nearest_neighbors_vote_by_their_similarity():
    rng = np.random.default_rng(0)
    train, labels, test = rng.normal(size=(90, 7)), rng.integers(0, 4, 90) * 3, rng.normal(size=(50, 7))
    for query, found in zip(test, knn(train, labels, test), strict=True):
        cosines = train @ query / np.linalg.norm(train, axis=1) / np.linalg.norm(query)
        nearest = cosines.argsort()[-5:]
        votes = {label: (1 + cosines[nearest])[labels[nearest] == label].sum() for label in np.unique(labels)}
        assert found == max(votes, key=votes.__getitem__)
    assert set(knn(train[:2], labels[:2], test)) <= set(labels[:2])


def test_a_histogram_counts_what_it_says():
    clouds = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 20, 3)).astype(np.float32)
    found = shape_histogram(clouds)
    for cloud, row in zip(clouds, found, strict=True):
        pairs = [np.linalg.norm(cloud[i] - cloud[j]) for i in range(20) for j in range(i + 1, 20)]
        expected = np.histogram(pairs, 64, (0, 2))[0] / len(pairs)
        assert row[:64] ** 2 == pytest.approx(expected, abs=1e-6)
        heights = np.histogram(cloud[:, 1], 32, (-1, 1))[0] / 20
        assert row[96:] ** 2 == pytest.approx(heights, abs=1e-6)


@pytest.mark.parametrize(
    ("paper", "penalty"),
    [
        ("crosspoint", 0.01),
        ("crossnet", 0.01),
        ("adacrossnet", 0.01),
        ("point-m2ae", 0.012),
        ("joint-mae", 0.012),
    ],
)
def test_a_preset_is_plain_svc_on_unscaled_features_of_the_first_points(
    shapes: Collection, encoder: Encoder, paper: Paper, penalty: float
):
    """Features grown to where C matters; there neither another C nor scaled features predict the same."""
    grown = copy.deepcopy(encoder)
    last = [module for module in grown.modules() if isinstance(module, torch.nn.BatchNorm1d)][-1]
    train = shapes.labels[shapes.indices("train")]
    factor = (30 / float(split_features(grown, shapes, 48)[0].var(axis=0).mean())) ** 0.5
    with torch.no_grad():
        last.weight.mul_(factor)
        last.bias.mul_(factor)
    fit, test = split_features(grown, shapes, 48)

    def plain(fit: np.ndarray, test: np.ndarray, C: float) -> list[int]:
        return SVC(kernel="linear", C=C).fit(fit, train).predict(test).tolist()

    score = linear(grown, shapes, points=48, as_=paper, seeds=1).score()
    assert score.predictions == [plain(fit, test, penalty)]
    assert score.predictions != [plain(fit, test, 1e-5)]
    scaler = StandardScaler().fit(fit)
    assert score.predictions != [plain(scaler.transform(fit), scaler.transform(test), penalty)]


def test_presets_differ_on_scanned_objects(toy_collection: Collection):
    assert set(PRESETS) == set(get_args(Paper))
    scanned = copy.copy(toy_collection)
    scanned.info = replace(toy_collection.info, format="scanobjectnn")
    found = {name: preset.penalty(scanned) for name, preset in PRESETS.items()}
    assert found == dict.fromkeys(("crosspoint", "crossnet", "adacrossnet"), 0.01) | dict.fromkeys(
        ("point-m2ae", "joint-mae"), 0.042
    )


def test_what_is_given_beside_a_preset_wins_and_is_said(shapes: Collection, encoder: Encoder):
    given = linear(encoder, shapes, points=40, as_="crosspoint", C=0.1, seeds=1)
    assert (given.details["points"], given.details["C"]["pre-trained"]) == (40, [0.1])
    assert given.name == "linear-points-40-seeds-1-C-0.1-as-crosspoint"
    assert "C = 0.1" in given.protocol
    assert "as CrossPoint's notebook" in given.caption
    assert linear(encoder, shapes, as_="crosspoint", seeds=1).details["points"] == shapes.info.points


def test_several_pretrainings_are_each_measured_once(shapes: Collection, encoder: Encoder):
    others = [encoder, *(untrained_like(encoder, seed) for seed in (11, 12))]
    together = linear(others, shapes, C=1.0, seeds=1).score()
    assert together.outcomes == [linear(one, shapes, C=1.0, seeds=1).score().outcomes[0] for one in others]
    assert together.estimate.count == 3


class Norms(Encoder):
    """Features that no rotation changes."""

    kind = "norms"

    def __init__(self) -> None:
        super().__init__()
        self.dim = 8

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return points.norm(dim=2).sort(dim=1).values[:, :: points.shape[1] // 8][:, :8]


def test_any_orientation_turns_every_shape(shapes: Collection, encoder: Encoder):
    up, turned = (linear(Norms(), shapes, C=1.0, seeds=1, orientation=each) for each in ("up", "any"))
    assert turned.score().outcomes == up.score().outcomes
    clouds = shapes.points(shapes.indices("all"))
    clouds = rotate("any", clouds, 0, shapes.indices("all"))
    train, test = (encode(encoder, clouds[shapes.indices(split)]) for split in ("train", "test"))
    expected = fixed_svm(train, shapes.labels[shapes.indices("train")], test, 1.0)
    found = linear(encoder, shapes, C=1.0, seeds=1, orientation="any", points=shapes.info.points)
    assert found.score().predictions[0] == expected.tolist()
    assert "each shape turned by any rotation" in found.protocol


def test_features_in_training_mode_cannot_leak_the_class(shapes: Collection):
    """BatchNorm in training mode reads the batch, and in a file sorted by class the batch is the class."""
    torch.manual_seed(0)
    encoder = DGCNN(k=4, width=32)
    expected = linear(encoder.eval(), shapes, points=48, C=10.0, seeds=1)
    shutil.rmtree(shapes.folder / "features")
    found = linear(encoder.train(), shapes, points=48, C=10.0, seeds=1)
    assert encoder.training
    assert found.scores == expected.scores
    clouds = torch.from_numpy(shapes.points(shapes.indices("train")[:6])[:, :48])
    with torch.no_grad():
        leaking = copy.deepcopy(encoder).train()(clouds).numpy()
    assert not np.allclose(leaking, encode(encoder, clouds), rtol=0.1)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two classes, one with two training shapes, and a class that only the test split has."""
    rng = np.random.default_rng(0)
    labels = ["a"] * 12 + ["b"] * 4 + ["c"] * 2
    splits = ["train"] * 8 + ["test"] * 4 + ["train"] * 2 + ["test"] * 2 + ["test"] * 2
    folder = tmp_path_factory.mktemp("uneven")
    for label, split in zip(labels, splits, strict=True):
        (folder / "clouds" / label / split).mkdir(parents=True, exist_ok=True)
    for number, (label, split) in enumerate(zip(labels, splits, strict=True)):
        points = rng.normal(size=(80, 3)) * (1, 1 + 2 * (label == "b"), 1 + (label == "c"))
        np.save(folder / "clouds" / label / split / f"{number}.npy", points.astype(np.float32))
    prepare(str(folder / "clouds"), str(folder / "uneven"), points=64, views=0, workers=1)
    return Collection.open(folder / "uneven")


@pytest.mark.parametrize("folds", [2, 5, 20])
def test_the_tested_shapes_do_not_depend_on_the_folds(uneven: Collection, folds: int):
    """The first edition left out classes with fewer training shapes than folds, and their test shapes."""
    result = linear(PointNet(width=8), uneven, folds=folds, seeds=1)
    assert (result.data.train, result.data.test) == (10, 6)
    assert result.data.left_out == {"c (2 test shapes)": "no training shape"}
    assert "Left out: c (2 test shapes)" in result.caption
    assert ("2 folds instead of" in result.caption) == (folds > 2)


def test_mistakes(toy_collection: Collection, encoder: Encoder):
    for wrong in ({"C": 0.0}, {"folds": 1}, {"seeds": 0}):
        with pytest.raises(UserError, match="expected C above 0, at least 1 seed and 2 folds"):
            linear(encoder, toy_collection, **wrong)
    for points in (0, -3, 65):
        with pytest.raises(UserError, match=f"points is {points}; expected 1 to 64"):
            linear(encoder, toy_collection, points=points)
        with pytest.raises(UserError, match=f"points is {points}; expected 1 to 64"):
            linear(encoder, toy_collection, points=points, as_="crosspoint")
    with pytest.raises(TypeError, match="unexpected keyword argument 'pints'"):
        linear(encoder, toy_collection, pints=3)


def test_an_edge_of_the_grid_is_said(shapes: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch):
    assert "edge" not in linear(encoder, shapes, folds=2, seeds=1, overwrite=True).caption
    monkeypatch.setattr("adacross.features.svm.C_GRID", (1e-9, 1e-8))
    assert "C lies at an edge of its grid for" in linear(encoder, shapes, folds=2, seeds=1).caption


@pytest.mark.parametrize("network", [PointNet(width=32), DGCNN(k=4, width=32)], ids=["pointnet", "dgcnn"])
def test_features_do_not_depend_on_batch_or_on_the_state_the_encoder_was_left_in(network: torch.nn.Module):
    """In training mode a class-sorted file leaks the class through BatchNorm."""
    clouds = np.random.default_rng(0).normal(size=(10, 64, 3)).astype(np.float32)
    network.train()
    expected = encode(network, clouds, batch_size=10)
    assert network.training
    assert np.allclose(encode(network, clouds, batch_size=3), expected, atol=1e-5)
    assert np.allclose(encode(network, clouds[::-1].copy(), batch_size=4)[::-1], expected, atol=1e-5)
    network.eval()
    assert np.allclose(encode(network, torch.from_numpy(clouds)), expected, atol=1e-5)


def test_frozen_restores_mixed_states_after_an_error():
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2))
    module[1].eval()
    with pytest.raises(RuntimeError), frozen(module):  # noqa: PT012  both lines are the point
        assert not module[0].training
        raise RuntimeError
    assert module[0].training
    assert not module[1].training


def test_labeled_shapes_of_the_toy_collection(toy_collection: Collection):
    shapes = Labeled.of(toy_collection)
    assert np.array_equal(shapes.train, toy_collection.indices("train"))
    assert np.array_equal(shapes.test, toy_collection.indices("test"))
    assert shapes.left_out == {}


def test_a_run_keeps_its_figures(toy_run: Path, toy_collection: Collection, tmp_path: Path):
    run = shutil.copytree(toy_run, tmp_path / "run")
    linear(run, toy_collection, seeds=1, folds=3)
    assert (run / "evaluation" / "toy" / "linear-seeds-1-folds-3.json").is_file()
    assert list((run / "features").glob("features-*.safetensors"))

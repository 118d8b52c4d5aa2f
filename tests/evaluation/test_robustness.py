"""Robustness against a slow way of measuring it, and ModelNet-C's files."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from adacross.data.collection.collection import Collection
from adacross.encoders import DGCNN, PointM2AE
from adacross.encoders import load as load_encoder
from adacross.errors import UserError
from adacross.evaluation import robustness as module
from adacross.evaluation.corruptions import KINDS, SEVERITIES, corrupt, rotate
from adacross.evaluation.corruptions.modelnet_c import ModelNetC
from adacross.evaluation.labeled import Labeled
from adacross.evaluation.linear import linear
from adacross.evaluation.result import CHANCE, HISTOGRAM, PRETRAINED, UNTRAINED, Result, Score, load
from adacross.evaluation.robustness import Condition, robustness, stratified, summarize
from adacross.features.histogram import shape_histogram
from adacross.features.sources import untrained_like
from adacross.features.svm import fit_svm

FOLDS, SHAPES = 3, 50
NETWORKS = (PRETRAINED, UNTRAINED, HISTOGRAM)
M2AE: dict[str, Any] = {
    "groups": [50, 12, 6], "neighbors": [8, 4, 4], "dims": [16, 32, 48], "width": 8, "depths": [0, 0, 1],
    "heads": 4, "drop_path": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path_factory.mktemp("runs") / "toy"))


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("robustness") / "result.json"
    return {"points": 64, "seeds": 2, "folds": FOLDS, "test_shapes": SHAPES, "output": str(output)}


@pytest.fixture(scope="module")
def result(run: Path, toy_collection: Collection, options: dict[str, Any]) -> Result:
    return robustness(str(run), toy_collection, **options)


@pytest.mark.slow
def test_what_was_done_is_in_the_result(result: Result, toy_collection: Collection, options: dict[str, Any]):
    shapes = Labeled.of(toy_collection)
    assert (result.data.train, result.data.test) == (len(shapes.train), SHAPES)
    assert result.data.left_out == {
        f"{len(shapes.test) - SHAPES} of {len(shapes.test)} test shapes": "test_shapes"
    }
    assert "C by 3-fold" in result.protocol
    assert result.scores[0].setting == {"corruption": "clean"}
    assert result.scores[3].network == CHANCE
    settings = [(one.setting["corruption"], one.setting.get("severity")) for one in result.scores]
    corrupted = [(kind, str(severity)) for kind in KINDS for severity in SEVERITIES]
    others = [
        ("clean", None),
        ("all", None),
        *((kind, None) for kind in KINDS),
        ("any rotation", None),
        ("any rotation about y", None),
        ("32 points", None),
    ]
    assert list(dict.fromkeys(settings)) == others + corrupted
    assert result.score(PRETRAINED, corruption="lidar", severity="5").networks == [0, 0]
    assert result.score(UNTRAINED, corruption="lidar", severity="5").networks == [0, 1]
    assert result.score(HISTOGRAM, corruption="lidar", severity="5").networks == [0, 0]
    assert result.score(PRETRAINED, corruption="32 points").networks == [0]  # nothing is drawn
    assert result.details["corruptions"] == list(KINDS)
    example = result.details["example"]
    assert toy_collection.ids[example["index"]] == example["id"]
    assert example["id"].startswith(example["class"])
    np.testing.assert_allclose(toy_collection[example["index"]].points, example["points"], atol=6e-5)
    assert load(Path(options["output"])) == result
    assert not Path(options["output"]).with_suffix(".pieces").exists()


@pytest.mark.slow
def test_outcomes_are_those_of_the_slow_way(result: Result, run: Path, toy_collection: Collection):
    """One shape at a time."""
    encoder = load_encoder(run / "encoder").eval()
    shapes = Labeled.of(toy_collection)
    labels = toy_collection.labels
    test = shapes.test[stratified(labels[shapes.test], SHAPES)]
    seed = 1

    def features(clouds: list[np.ndarray], network: Any) -> np.ndarray:
        if network is None:
            return np.concatenate([shape_histogram(cloud[None]) for cloud in clouds])
        with torch.no_grad():
            return torch.cat([network(torch.from_numpy(cloud[None])) for cloud in clouds]).numpy()

    clouds = [toy_collection.points(np.array([i])) for i in test]
    numbers = [np.array([i]) for i in test]
    pairs = list(zip(clouds, numbers, strict=True))
    changed = {
        (kind, str(severity)): [corrupt(kind, cloud, severity, seed, number)[0] for cloud, number in pairs]
        for kind, severity in (("cutout", 2), ("lidar", 5), ("distortion_rbf", 3))
    }
    changed["any rotation", ""] = [rotate("any", cloud, seed, number)[0] for cloud, number in pairs]
    changed["any rotation about y", ""] = [rotate("y", cloud, seed, number)[0] for cloud, number in pairs]
    networks = {PRETRAINED: encoder, UNTRAINED: untrained_like(encoder, seed), HISTOGRAM: None}
    for name, network in networks.items():
        fitted = features(list(toy_collection.points(shapes.train)), network)
        machines = fit_svm(fitted, labels[shapes.train], FOLDS, seed=0)
        for (kind, severity), each in changed.items():
            predicted = machines.predict(features(each, network))
            assert pytest.approx(result.details["C"][name][-1], rel=1e-3) == machines.C
            setting = {"corruption": kind} | ({"severity": severity} if severity else {})
            found = np.array(result.score(name, **setting).outcomes[1])
            assert np.mean(found != (predicted == labels[test])) <= 0.02
        few = [cloud[0, :32] for cloud in clouds]
        predicted = machines.predict(features(few, network))
        found = np.array(result.score(name, corruption="32 points").outcomes[-1])
        assert np.mean(found != (predicted == labels[test])) <= 0.02


@pytest.mark.slow
def test_mce_is_that_of_a_direct_implementation(result: Result):
    errors: dict[str, dict[str, float]] = {network: {} for network in NETWORKS}
    for network in NETWORKS:
        clean = result.score(network, corruption="clean").estimate.mean
        for kind in KINDS:
            figures = [
                result.score(network, corruption=kind, severity=str(severity)).values
                for severity in SEVERITIES
            ]
            errors[network][kind] = float(1 - np.mean(figures))
        plain = float(np.mean(list(errors[network].values())))
        score = result.score(network, "mCE")
        assert score.estimate.mean == pytest.approx(plain)
        assert len(score.outcomes[0]) == SHAPES
        assert result.score(network, "accuracy lost").estimate.mean == pytest.approx(clean - (1 - plain))
    for network in (PRETRAINED, HISTOGRAM):
        ratios = [errors[network][kind] / errors[UNTRAINED][kind] for kind in KINDS]
        assert result.score(network, "normalized mCE").values == pytest.approx([np.mean(ratios)])
    with pytest.raises(UserError):
        result.score(UNTRAINED, "normalized mCE")


def scores(right: dict[str, list[list[int]]]) -> list[Score]:
    """Accuracies of three networks on two shapes: clean, and corruptions "a" and "b" at two severities."""
    found = [Score.of(network, "accuracy", [1, 1], corruption="clean") for network in NETWORKS]
    for network, each in right.items():
        for place, outcomes in enumerate(each):
            found.append(
                Score.of(network, "accuracy", outcomes, corruption="ab"[place // 2], severity=str(place % 2))
            )
    return found


def test_mce_by_hand():
    pretrained, histogram = [[1, 0], [1, 1], [0, 0], [1, 0]], [[1, 1], [1, 1], [1, 1], [0, 1]]
    untrained = [[0, 0], [1, 0], [1, 0], [1, 0]]
    found = summarize(
        scores({PRETRAINED: pretrained, UNTRAINED: untrained, HISTOGRAM: histogram}), ["a", "b"]
    )
    by_name = {(one.network, one.metric): one for one in found}
    assert by_name[PRETRAINED, "mCE"].outcomes == [[0.25, 0.75]]
    assert by_name[PRETRAINED, "mCE"].setting == {"corruption": "all"}
    assert by_name[PRETRAINED, "normalized mCE"].values == [((1 / 4) / (3 / 4) + (3 / 4) / (2 / 4)) / 2]
    assert by_name[HISTOGRAM, "normalized mCE"].values == [(0 + (1 / 4) / (2 / 4)) / 2]
    assert by_name[PRETRAINED, "accuracy lost"].outcomes == [[0.25, 0.75]]


def test_a_reference_without_errors_cannot_normalize():
    right = [[1, 1], [1, 1], [1, 1], [0, 1]]
    found = summarize(scores(dict.fromkeys(NETWORKS, right)), ["a", "b"])
    assert {one.metric for one in found} == {"mCE", "accuracy lost"}


@pytest.mark.slow
def test_clean_accuracy_is_the_linear_probe_s(
    run: Path, toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same points, folds and classifier; a corruption that changes nothing costs nothing."""
    monkeypatch.setattr(module, "KINDS", {"none": None})
    monkeypatch.setattr(module, "corrupt", lambda kind, clouds, *given: clouds)
    given = {"points": 64, "seeds": 2, "folds": FOLDS}
    ours = robustness(str(run), toy_collection, **given, output=str(tmp_path / "ours.json"))
    probe = linear(str(run), toy_collection, **given, output=str(tmp_path / "probe.json"))
    for network in NETWORKS:
        assert ours.score(network, corruption="clean").outcomes == probe.score(network, "accuracy").outcomes
        assert ours.score(network, "accuracy lost").values == pytest.approx(
            [0.0] * (2 if network == UNTRAINED else 1)
        )
    assert ours.details["C"] == probe.details["C"]
    assert ours.score(CHANCE).values == probe.score(CHANCE).values


@pytest.mark.slow
def test_several_encoders_take_turns(
    run: Path, toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "KINDS", {"uniform": KINDS["uniform"]})
    other = Path(shutil.copytree(run, tmp_path / "other"))
    given = {"points": 64, "seeds": 3, "folds": FOLDS, "test_shapes": SHAPES}
    found = robustness([str(run), str(other)], toy_collection, **given, output=str(tmp_path / "r.json"))
    one = found.score(PRETRAINED, corruption="uniform", severity="5")
    assert one.networks == [0, 1, 0]
    assert found.score(PRETRAINED, corruption="clean").networks == [0, 1]
    assert found.score(PRETRAINED, "normalized mCE").estimate.count == 2
    assert "2 pre-trainings" in found.uncertainty


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on(
    result: Result,
    run: Path,
    toy_collection: Collection,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    done: list[tuple[str, int]] = []

    def stopping(kind: str, clouds: np.ndarray, severity: int, *rest: Any) -> np.ndarray:
        if len(clouds) > 1:  # not the trial
            done.append((kind, severity))
            if done.count(("impulse", 3)) == 1 and kind == "impulse" and severity == 3:
                raise KeyboardInterrupt
        return corrupt(kind, clouds, severity, *rest)

    monkeypatch.setattr(module, "corrupt", stopping)
    path = tmp_path / "again.json"
    with pytest.raises(KeyboardInterrupt):
        robustness(str(run), toy_collection, **options | {"output": str(path)})
    first = len(done)
    assert path.with_suffix(".pieces").is_dir()
    again = robustness(str(run), toy_collection, **options | {"output": str(path)})
    kept = list(KINDS).index("impulse")
    assert first == kept * len(SEVERITIES) + 3
    assert len(done) - first == (2 * len(KINDS) - kept) * len(SEVERITIES)
    assert (again.scores, again.details) == (result.scores, result.details)


def test_chosen_test_shapes_keep_the_shares_of_the_classes():
    labels = np.repeat([3, 7, 9], [60, 30, 10])
    np.random.default_rng(0).shuffle(labels)
    chosen = stratified(labels, 20)
    assert np.bincount(labels[chosen])[[3, 7, 9]].tolist() == [12, 6, 2]
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(stratified(labels, 20), chosen)
    np.testing.assert_array_equal(stratified(labels, 1000), np.arange(100))
    assert set(stratified(labels, 10)) <= set(chosen)


def test_an_encoder_that_needs_more_points_is_refused_before_anything_is_measured():
    cloud = np.random.default_rng(0).normal(size=(1, 64, 3)).astype(np.float32)
    assert module._fewer(PointM2AE(**M2AE), cloud, "cpu") == []
    assert module._fewer(DGCNN(k=4, width=32), np.tile(cloud, (1, 4, 1)), "cpu") == [128, 64, 32]
    few = Condition("dropout", {"0": lambda seed, rows: cloud, "1": lambda seed, rows: cloud[:, :44]})
    with pytest.raises(UserError, match=r"'dropout' keeps only 44 of 64 points: .*50"):
        module._try_out(PointM2AE(**M2AE), [few], 64, "cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 50}, "use 50 points; expected at least 64"),
        ({"test_shapes": 0}, "test_shapes is 0; expected at least 1"),
        ({"seeds": 0}, "seeds is 0; expected at least 1"),
        ({"folds": 1}, "folds is 1; expected at least 2"),
        ({"corrupted": "nowhere"}, "nowhere has no clean.h5 with files like scale_0.h5"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str, run: Path, toy_collection: Collection):
    with pytest.raises(UserError, match=message):
        robustness(str(run), toy_collection, **options)


def published(folder: Path, clouds: np.ndarray, labels: np.ndarray, columns: bool = True) -> Path:
    """Files as ModelNet-C has them, of two corruptions at two severities."""
    folder.mkdir()
    halves = np.concatenate([clouds, 0.5 * clouds[:, :8]], axis=1)
    files = {"clean": clouds, "dropout_global_0": clouds[:, :40], "dropout_global_4": clouds[:, :32]}
    files |= {"add_local_0": halves, "add_local_1": np.tile(halves, (1, 2, 1))}
    for name, data in files.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["data"] = data.astype(np.float32)
            file["label"] = labels[:, None] if columns else labels
    return folder


@pytest.mark.slow
def test_published_clouds_are_tested_as_they_are(run: Path, toy_collection: Collection, tmp_path: Path):
    test = toy_collection.indices("test")
    clouds, labels = toy_collection.points(test)[:, :56], toy_collection.labels[test]
    folder = published(tmp_path / "modelnet_c", clouds, labels)
    given = {"folds": FOLDS, "seeds": 2, "corrupted": str(folder)}
    found = robustness(str(run), toy_collection, **given, output=str(tmp_path / "r.json"))
    settings = [(one.setting["corruption"], one.setting.get("severity")) for one in found.scores]
    assert list(dict.fromkeys(settings)) == [
        ("clean", None), ("all", None), ("add_local", None), ("dropout_global", None),
        ("add_local", "0"), ("add_local", "1"),
        ("dropout_global", "0"), ("dropout_global", "4"),
    ]  # fmt: skip
    assert found.details["points"] == 56  # as many as the clean clouds have
    assert found.details["corruptions"] == ["add_local", "dropout_global"]
    assert found.truth == labels.tolist()
    assert found.ids[3] == "clean/00003"
    assert not any("order of its classes" in note for note in found.notes)
    assert found.data.left_out == {
        f"{len(test)} test shapes of the collection": "those of modelnet_c are tested"
    }
    probe = linear(str(run), toy_collection, points=56, folds=FOLDS, seeds=2, output=str(tmp_path / "l.json"))
    for network in NETWORKS:
        assert found.score(network, corruption="clean").outcomes == probe.score(network, "accuracy").outcomes
    one = found.score(PRETRAINED, corruption="dropout_global", severity="4")
    assert one.networks == [0]  # nothing is drawn
    assert found.score(UNTRAINED, corruption="dropout_global", severity="4").networks == [0, 1]
    few = robustness(str(run), toy_collection, **given, test_shapes=20, output=str(tmp_path / "few.json"))
    rows = stratified(labels, 20)
    again = few.score(PRETRAINED, corruption="dropout_global", severity="4")
    assert again.outcomes == [[one.outcomes[0][row] for row in rows]]


def test_published_files_that_do_not_suit_are_refused(run: Path, toy_collection: Collection, tmp_path: Path):
    test = toy_collection.indices("test")
    clouds, labels = toy_collection.points(test), toy_collection.labels[test]
    classes = toy_collection.info.classes

    def refused(folder: Path, message: str) -> None:
        with pytest.raises(UserError, match=message):
            robustness(str(run), toy_collection, corrupted=str(folder))

    uneven = labels.copy()
    uneven[:2] = (labels[:2] + 1) % len(classes)
    refused(
        published(tmp_path / "order", clouds, uneven), "but not of each class.*in the same order, by name"
    )
    many = labels + 20
    refused(published(tmp_path / "classes", clouds, many), f"label {len(classes)}, but the collection has")
    whole = published(tmp_path / "whole", clouds, labels)
    with pytest.raises(UserError, match="points is 0; expected 1 to"):
        robustness(str(run), toy_collection, corrupted=str(whole), points=0)
    other = published(tmp_path / "mixed", clouds, labels, columns=False)
    with h5py.File(other / "add_local_1.h5", "r+") as file:
        file["label"][...] = labels[::-1].copy()
    refused(other, "add_local_1.h5 has other labels than clean.h5")
    (other / "add_local_1.h5").write_bytes(b"not HDF5")
    refused(other, r"no shape in the HDF5 files .* can be read \(add_local_1.h5")


def test_published_clouds_come_by_name_and_row(tmp_path: Path):
    clouds = np.random.default_rng(0).normal(size=(70, 48, 3)).astype(np.float32)
    folder = published(tmp_path / "files", clouds, np.arange(70) % 3, columns=False)
    files = ModelNetC.open(folder, ["a", "b", "c"])
    assert list(files.items) == ["clean", "add_local", "dropout_global"]
    rows = np.array([3, 69])
    np.testing.assert_array_equal(files.clouds("clean", "", rows), clouds[rows])
    np.testing.assert_array_equal(files.clouds("dropout_global", "4", rows), clouds[rows, :32])
    (folder / "clean.h5").unlink()
    with pytest.raises(UserError, match=r"no clean.h5"):
        ModelNetC.open(folder, ["a", "b", "c"])

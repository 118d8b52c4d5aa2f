"""Robustness against a slow way of measuring it, and as a user types it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.encoders import DGCNN, PointM2AE
from adacross.encoders import load as load_encoder
from adacross.errors import UserError
from adacross.evaluation.labelled import labelled
from adacross.evaluation.linear import measure_linear
from adacross.evaluation.results import load
from adacross.evaluation.robustness import damage
from adacross.evaluation.robustness.corruptions import KINDS, SEVERITIES, corrupt, rotate
from adacross.evaluation.robustness.damage import Recognised, fewer_points, try_out
from adacross.evaluation.robustness.errors import mean_corruption_error, summarise
from adacross.evaluation.robustness.measure import RobustnessResult, measure_robustness, stratified
from adacross.features.svm import fit_svm, svm

pytestmark = pytest.mark.slow


FOLDS, SHAPES = 3, 50
M2AE: dict[str, Any] = {
    "groups": [50, 12, 6], "neighbors": [8, 4, 4], "dims": [16, 32, 48], "width": 8, "depths": [0, 0, 1],
    "heads": 4, "drop_path": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured(toy_run: Path, toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes."""
    path = tmp_path_factory.mktemp("robustness") / "result.json"
    data = str(toy_collection.folder)
    limits = ["--seeds", "2", "--folds", str(FOLDS), "--test-shapes", str(SHAPES), "--output", str(path)]
    assert main(["evaluate", "robustness", str(toy_run), data, *limits]) == 0
    assert not path.with_suffix(".pieces").exists()
    return path


@pytest.fixture(scope="module")
def result(measured: Path) -> RobustnessResult:
    return load(RobustnessResult, measured)


def test_what_was_done_is_in_the_result(result: RobustnessResult, toy_collection: Collection):
    train, test = labelled(toy_collection, FOLDS)
    assert (result.task, result.data, result.points) == ("robustness", "toy", 64)
    assert (result.train, result.test, result.available) == (len(train), SHAPES, len(test))
    assert "clean training clouds, C by 3-fold" in result.classifier
    assert "of 2: corruptions, cross-validation folds; untrained: also the init" in result.spread
    assert result.seeds == [0, 1]
    assert list(result.pretrained.corrupted) == list(KINDS)
    assert list(result.pretrained.fewer) == ["32"]
    example = result.example
    assert toy_collection.ids[example.shape] == example.id
    assert example.id.startswith(example.class_name)
    np.testing.assert_allclose(toy_collection[example.shape].points, example.points, atol=6e-5)


def test_figures_are_those_of_the_slow_way(
    result: RobustnessResult, toy_run: Path, toy_collection: Collection
):
    """One shape at a time through plain scikit-learn's prediction."""
    encoder = load_encoder(toy_run / "encoder").train()  # left in training mode
    encoder.eval()
    train, test = labelled(toy_collection, FOLDS)
    labels = toy_collection.labels
    test = test[stratified(labels[test], SHAPES)]
    seed = 1

    def features(clouds: list[np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return torch.cat([encoder(torch.from_numpy(cloud[None])) for cloud in clouds]).numpy()

    fitted = features(list(toy_collection.points(train)))

    def accuracy(clouds: list[np.ndarray]) -> float:
        predicted, penalty = svm(fitted, labels[train], features(clouds), FOLDS, seed)
        assert penalty == pytest.approx(result.pretrained.C[seed], rel=1e-3)
        return float(np.mean(predicted == labels[test]))

    clouds = [toy_collection.points(np.array([i])) for i in test]
    numbers = [np.array([i]) for i in test]
    pairs = list(zip(clouds, numbers, strict=True))
    for kind, severity in (("cutout", 2), ("lidar", 5), ("distortion_rbf", 3)):
        slow = accuracy([corrupt(kind, cloud, severity, seed, number)[0] for cloud, number in pairs])
        assert result.pretrained.corrupted[kind][severity - 1].values[seed] == pytest.approx(slow, abs=0.021)
    for about in ("any", "y"):
        slow = accuracy([rotate(about, cloud, seed, number)[0] for cloud, number in pairs])
        assert result.pretrained.rotated[about].values[seed] == pytest.approx(slow, abs=0.021)
    assert result.pretrained.fewer["32"].values[seed] == pytest.approx(
        accuracy([cloud[0, :32] for cloud in clouds]), abs=0.021
    )
    assert result.pretrained.clean.values[seed] == pytest.approx(accuracy([c[0] for c in clouds]), abs=0.021)


def test_mce_is_that_of_a_direct_implementation(result: RobustnessResult):
    for network in (result.pretrained, result.untrained):
        for seed in range(2):
            plain, ratios, lost = 0.0, 0.0, 0.0
            for kind in KINDS:
                ours, reference = 0.0, 0.0
                for severity in range(5):
                    right = network.corrupted[kind][severity].values[seed]
                    ours += 1 - right
                    reference += 1 - result.untrained.corrupted[kind][severity].values[seed]
                    plain += (1 - right) / 75
                    lost += (network.clean.values[seed] - right) / 75
                ratios += ours / reference / 15
                assert network.error[kind].values[seed] == pytest.approx(ours / 5)
            assert network.mce_plain.values[seed] == pytest.approx(plain)
            assert network.mce_normalised is not None
            assert network.mce_normalised.values[seed] == pytest.approx(ratios)
            assert network.lost.values[seed] == pytest.approx(lost)
    assert result.untrained.mce_normalised is not None
    assert result.untrained.mce_normalised.values == pytest.approx([1, 1])


def test_mce_by_hand():
    errors, reference = np.array([[0.1, 0.3], [0.6, 0.6]]), np.array([[0.4, 0.4], [0.5, 0.7]])
    assert mean_corruption_error(errors) == pytest.approx(0.4)
    assert mean_corruption_error(errors, reference) == pytest.approx((0.4 / 0.8 + 1.2 / 1.2) / 2)
    assert mean_corruption_error(errors, np.zeros((2, 2))) is None


def test_a_reference_without_errors_cannot_normalise():
    right = {kind: [[0.5] * 5, [0.5] * 5] for kind in KINDS} | {"shear": [[0.5] * 5, [1.0] * 5]}
    right |= {"clean": [[0.5], [1.0]], "rotated": [[0.5, 0.5]] * 2, "fewer": [[], []]}
    summed = summarise([Recognised(right, [1.0, 1.0])], 0, 1, [])
    assert summed.mce_normalised is None
    assert summed.mce_plain.mean == pytest.approx(0.5)


def test_clean_accuracy_is_the_linear_probe_s(toy_run: Path, toy_collection: Collection, monkeypatch):
    """The same points, the same folds, the same classifier."""
    monkeypatch.setattr(damage, "KINDS", {})  # nothing but clean, turned, fewer
    monkeypatch.setattr("adacross.evaluation.robustness.errors.KINDS", {"clean": None})
    encoder = load_encoder(toy_run / "encoder").train()
    ours = measure_robustness([encoder], toy_collection, seeds=2, folds=FOLDS)
    linear = measure_linear([encoder], toy_collection, seeds=2, folds=FOLDS)
    assert ours.pretrained.clean.values == pytest.approx(linear.pretrained.accuracy)
    assert ours.untrained.clean.values == pytest.approx(linear.untrained.accuracy)
    assert pytest.approx(linear.pretrained.C) == ours.pretrained.C
    assert encoder.training


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on(
    measured: Path, toy_run: Path, toy_collection: Collection, tmp_path: Path, monkeypatch
):
    path, done = tmp_path / "again.json", []

    def stopping(kind: str, clouds: np.ndarray, severity: int, *rest: Any) -> np.ndarray:
        if len(clouds) > 1:  # not the trial
            done.append((kind, severity))
            if done.count(("impulse", 3)) == 1 and kind == "impulse" and severity == 3:
                raise KeyboardInterrupt
        return corrupt(kind, clouds, severity, *rest)

    monkeypatch.setattr(damage, "corrupt", stopping)
    data = str(toy_collection.folder)
    limits = ["--seeds", "2", "--folds", str(FOLDS), "--test-shapes", str(SHAPES), "--output", str(path)]
    command = ["evaluate", "robustness", str(toy_run), data, *limits]
    assert main(command) == 130
    first = len(done)
    assert path.with_suffix(".pieces").is_dir()
    assert main(command) == 0
    kept = list(KINDS).index("impulse")
    assert first == kept * len(SEVERITIES) + 3
    assert len(done) - first == (2 * len(KINDS) - kept) * len(SEVERITIES)
    assert load(RobustnessResult, path) == load(RobustnessResult, measured)


def test_chosen_test_shapes_keep_the_shares_of_the_classes():
    labels = np.repeat([3, 7, 9], [60, 30, 10])
    np.random.default_rng(0).shuffle(labels)
    chosen = stratified(labels, 20)
    assert np.bincount(labels[chosen])[[3, 7, 9]].tolist() == [12, 6, 2]
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(stratified(labels, 20), chosen)
    np.testing.assert_array_equal(stratified(labels, 1000), np.arange(100))
    assert set(stratified(labels, 10)) <= set(chosen)


def test_one_fit_predicts_as_many_sets_as_one_likes():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = (rng.normal(size=(3, 8))[labels] + rng.normal(size=(90, 8))).astype(np.float32)
    fitted = fit_svm(features[:60], labels[:60], 3, 0)
    for part in (features[60:], features[70:80]):
        predicted, penalty = svm(features[:60], labels[:60], part, 3, 0)
        np.testing.assert_array_equal(fitted.predict(part), predicted)
        assert penalty == fitted.C


def test_an_encoder_that_needs_more_points_is_refused_before_anything_is_measured():
    cloud = np.random.default_rng(0).normal(size=(1, 64, 3)).astype(np.float32)
    assert fewer_points(PointM2AE(**M2AE), cloud, "cpu") == []
    assert fewer_points(DGCNN(k=4, width=32), np.tile(cloud, (1, 4, 1)), "cpu") == [128, 64, 32]
    with pytest.raises(UserError, match=r"keeps only 44 of 64 points: .*50"):
        try_out(PointM2AE(**M2AE), cloud[:, :64], "cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 50}, "use 50 points; expected at least 64"),
        ({"points": 0}, "points is 0; expected 1 to"),
        ({"test_shapes": 0}, "test_shapes is 0; expected at least 1"),
        ({"seeds": 0}, "seeds is 0; expected at least 1"),
        ({"folds": 1}, "folds is 1; expected at least 2"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    options: dict[str, int], message: str, toy_run: Path, toy_collection: Collection
):
    encoder = load_encoder(toy_run / "encoder")
    with pytest.raises(UserError, match=message):
        measure_robustness([encoder], toy_collection, **({"folds": FOLDS} | options))


def test_the_table_names_both_conventions(result: RobustnessResult):
    table = result.table()
    rows = list(table.columns[0].cells)
    assert rows[:2] == ["accuracy, clean", "occlusion, severities 1 to 5"]
    assert {"mCE, plain", "mCE, normalised by untrained", "any rotation", "32 points"} <= set(rows)
    assert list(table.columns[2].cells)[rows.index("mCE, normalised by untrained")] == "100.0 ± 0.0 %"
    assert f"{SHAPES} of {result.available}, drawn by class test" in str(table.title)

"""The monitor: a stratified sample, and the probe of `evaluate linear` beside the untrained encoder's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC
from toy_runs import configured, logged

from adacross.data.collection.collection import Collection
from adacross.data.sampling import spread, stratified
from adacross.distributed.group import ProcessGroup
from adacross.encoders.frozen import encode
from adacross.features.sources import untrained_like
from adacross.features.svm import C_GRID
from adacross.training import monitor as module
from adacross.training import pretrain
from adacross.training.monitor import Monitor, split_validation
from adacross.training.networks import new_method


def test_the_monitor_looks_at_all_classes(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The shapes are sorted by class, as those of a folder of meshes are; the monitor looks at a few."""
    labels = toy_collection.labels
    assert (np.diff(labels) >= 0).all()
    count = len(np.unique(labels))
    monkeypatch.setattr(module, "LARGEST", 10)
    monkeypatch.setattr(module, "REFERENCE", count + 10)
    config = configured(toy_collection, tmp_path / "run", validation_fraction=0.45)
    _, monitor = pretrain._data(config, ProcessGroup.start("cpu"))
    train, validation = split_validation(toy_collection.indices("train"), 0.45, config.seed)
    for sample, most, of in ((monitor.validation, 10, validation), (monitor.reference, count + 10, train)):
        assert len(sample) == most
        assert np.isin(sample, of).all()
        assert len(np.unique(labels[sample])) == min(most, len(np.unique(labels[of])))


def slow_shares(labels: np.ndarray, most: int) -> dict[int, float]:
    """Number of shapes of each class in proportion to its size."""
    return {int(label): most * float(np.mean(labels == label)) for label in np.unique(labels)}


@pytest.mark.parametrize("most", [3, 20, 57, 200])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_stratified_sample_is_in_proportion_and_leaves_no_class_out(most: int, shuffled: bool):
    labels = np.repeat([-1, 0, 1, 2], [40, 1, 100, 59])
    if shuffled:
        labels = np.random.default_rng(0).permutation(labels)
    chosen = stratified(labels, most)
    assert len(chosen) == most
    assert (np.diff(chosen) > 0).all()
    if most >= 4:
        for label, share in slow_shares(labels, most).items():
            count = int((labels[chosen] == label).sum())
            assert count >= 1
            assert abs(count - share) <= 1
    assert stratified(labels[:0], most).shape == (0,)
    assert np.array_equal(stratified(labels, 1000), np.arange(200))


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")  # classes of one shape or two
def test_the_probe_is_that_of_evaluate_linear(toy_collection: Collection, tmp_path: Path):
    """SVC with C by cross-validation on the reference shapes, by scikit-learn's grid search."""
    train, validation = split_validation(toy_collection.indices("train"), 0.2, seed=0)
    monitor = Monitor(toy_collection, train, validation, 48, torch.device("cpu"))
    method = new_method(configured(toy_collection, tmp_path / "run")).eval()
    found = monitor.evaluate(method, untrained=True)
    labels = toy_collection.labels
    fit, check = train, validation[np.isin(labels[validation], labels[train])]
    for key, encoder in (
        ("probe_accuracy", method.encoder),
        ("untrained_accuracy", untrained_like(method.encoder, 0)),
    ):
        known, asked = (encode(encoder, toy_collection.points(part)[:, :48]) for part in (fit, check))
        grid = {"C": [c / known.astype(np.float64).var(axis=0).mean() for c in C_GRID]}
        folds = StratifiedKFold(2, shuffle=True, random_state=0)
        search = GridSearchCV(SVC(kernel="linear"), grid, cv=folds).fit(known, labels[fit])
        assert found[key] == pytest.approx(search.score(asked, labels[check]))
    assert set(found) == {"probe_accuracy", "untrained_accuracy", "recall_at_1"}
    assert "untrained_accuracy" not in monitor.evaluate(method)


def test_without_stored_images_there_is_no_recall(toy_collection: Collection, tmp_path: Path):
    """Beside `--fresh`, images are drawn for training alone: an epoch ended in an IndexError."""
    everything = toy_collection.indices("all")
    bare = Collection.from_arrays(
        toy_collection.points(everything),
        toy_collection.labels[everything].tolist(),
        folder=tmp_path / "bare",
        views=0,
    )
    train, validation = split_validation(bare.indices("train"), 0.2, seed=0)
    monitor = Monitor(bare, train, validation, 48, torch.device("cpu"))
    assert set(monitor.evaluate(new_method(configured(toy_collection, tmp_path / "run")))) == {
        "probe_accuracy"
    }


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "every"), [(3, 1), (3, 2), (1, 5)])
def test_the_untrained_accuracy_is_logged_once(
    toy_collection: Collection, tmp_path: Path, epochs: int, every: int
):
    run = pretrain.pretrain(
        configured(toy_collection, tmp_path / "run", epochs=epochs, monitor_every=every, batch_size=48)
    )
    looks = logged(run, "monitor")
    assert all(0 <= look["probe_accuracy"] <= 1 for look in looks)
    assert [index for index, look in enumerate(looks) if "untrained_accuracy" in look] == [0]


@pytest.mark.parametrize("count", [0, 1, 8, 9, 80])
def test_spread(count: int):
    chosen = spread(count, 8)
    assert len(chosen) == min(count, 8)
    assert (np.diff(chosen) > 0).all()
    assert np.isin(chosen, np.arange(count)).all()


@pytest.mark.parametrize("classes", [2, 4, 8, 10])
def test_classes_that_take_turns_are_all_seen(classes: int):
    """Sources may list a shape of every class in turn, whose every eighth shape is of one class."""
    seen = np.unique(spread(8 * 100, 100) % classes)
    assert len(seen) == classes

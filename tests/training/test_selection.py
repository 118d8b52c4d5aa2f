"""Which networks are the result: the last step's, or those that the test split likes best."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from safetensors.torch import load_file
from sklearn.svm import SVC
from toy_runs import PowerCutError, configured, cut_power, logged, same

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import Encoder, load
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.training.as_released import BestOnTest
from adacross.training.config import PretrainConfig
from adacross.training.networks import new_method
from adacross.training.pretrain import pretrain

pytestmark = pytest.mark.slow


# A rate at which training does harm: the first epoch is the best by far.
HARMFUL: dict[str, Any] = {
    "selection": "released",
    "learning_rate": 1.0,
    "schedule": "constant",
    "epochs": 4,
    "monitor_every": 0,
}


def test_accuracy_of(encoder: Encoder, collection: Collection) -> float:
    """The released programs' figure, written out: linear SVM with C 0.01, fitted on train, scored on test."""
    train, test = collection.indices("train"), collection.indices("test")
    fit, check = (encode(encoder, collection.points(rows)[:, :48]) for rows in (train, test))
    machine = SVC(kernel="linear", C=0.01).fit(fit, collection.labels[train])
    return float(np.mean(machine.predict(check) == collection.labels[test]))


test_accuracy_of.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def selected(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(configured(toy_collection, tmp_path_factory.mktemp("runs") / "selected", **HARMFUL))


def test_the_result_is_the_epoch_that_scored_best_on_the_test_split(
    toy_collection: Collection, selected: Path, tmp_path: Path
):
    accuracies = logged(selected, "selection", "test_accuracy")
    assert logged(selected, "selection", "epoch") == [1.0, 2.0, 3.0, 4.0]
    best = int(np.argmax(accuracies))
    assert best < 3  # else the last step's would be the same
    result = load_file(selected / "method.safetensors")
    kept = torch.load(selected / "checkpoints" / "best-on-test.pt", weights_only=True)["method"]
    assert all(torch.equal(result[name], kept[name]) for name in result)
    encoder = load(selected / "encoder")
    assert test_accuracy_of(encoder, toy_collection) == pytest.approx(accuracies[best])
    # A run that ends there, at the same constant rate, has those very weights.
    shorter = configured(
        toy_collection, tmp_path / "shorter", **(HARMFUL | {"epochs": best + 1, "selection": "last"})
    )
    assert same(selected, pretrain(shorter))


def test_of_equally_good_epochs_the_first_is_kept(toy_collection: Collection, tmp_path: Path):
    method = new_method(configured(toy_collection, tmp_path))
    best = BestOnTest(toy_collection, 48, torch.device("cpu"), tmp_path)
    first = best.evaluate(method)
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    with torch.no_grad():
        method.point_head[0].weight.zero_()  # a projection is no part of what is scored
    assert best.evaluate(method) == first
    best.restore(method)
    assert all(torch.equal(value, weights[name]) for name, value in method.state_dict().items())


@pytest.mark.slow
def test_looking_leaves_training_as_it_was(toy_collection: Collection, selected: Path, tmp_path: Path):
    """Scores come from eval mode and no gradient; losses are those of a run that does not look."""
    plain = pretrain(configured(toy_collection, tmp_path / "plain", **(HARMFUL | {"selection": "last"})))
    assert logged(plain, "step", "step", "terms") == logged(selected, "step", "step", "terms")
    assert not same(plain, selected)


@pytest.mark.slow
def test_resuming_keeps_the_best_so_far(toy_collection: Collection, selected: Path, tmp_path: Path):
    """Cut off after the second epoch; the first, before the interruption, stays the best."""
    run = tmp_path / "cut"
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, step=14)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, run, **HARMFUL))
    assert len(logged(run, "selection", "epoch")) == 2
    assert int(np.argmax(logged(selected, "selection", "test_accuracy"))) < 2
    pretrain(configured(toy_collection, run, resume="auto", **HARMFUL))
    assert same(run, selected)
    assert logged(run, "selection", "epoch", "test_accuracy") == logged(
        selected, "selection", "epoch", "test_accuracy"
    )


@pytest.fixture(scope="module")
def unfit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Collection]:
    """Collections that nothing can be chosen by."""
    folder = tmp_path_factory.mktemp("unfit")
    prepare(
        "builtin", str(folder / "one"), count=44, points=64, views=1, size=32, workers=1, test_fraction=0.0
    )
    (folder / "meshes").mkdir()
    for number in range(30):
        trimesh.creation.box(extents=(1, 1 + number, 2)).export(folder / "meshes" / f"{number}.off")
    prepare(str(folder / "meshes"), str(folder / "two"), points=64, views=1, size=32, workers=1)
    return {"no test split": Collection.open(folder / "one"), "no classes": Collection.open(folder / "two")}


@pytest.mark.parametrize("lacking", ["no test split", "no classes"])
def test_a_collection_that_cannot_choose_is_refused_before_anything_is_written(
    unfit: dict[str, Collection], tmp_path: Path, lacking: str
):
    collection = unfit[lacking]
    assert (not len(collection.indices("test"))) == (lacking == "no test split")
    with pytest.raises(UserError, match="lacks a test split or classes"):
        pretrain(configured(collection, tmp_path / "run", selection="released"))
    assert not (tmp_path / "run").exists()


def test_by_default_no_test_shape_is_ever_read(toy_collection: Collection, tmp_path: Path):
    forbidden = set(toy_collection.indices("test").tolist())
    seen: set[int] = set()

    def watched(read: Any, what: str) -> Any:
        def reading(self: Collection, which: Any, *rest: Any) -> Any:
            rows = set(np.atleast_1d(which).tolist())
            assert not rows & forbidden, f"{what} of a test shape was read"
            seen.update(rows)
            return read(self, which, *rest)

        return reading

    assert PretrainConfig("anything").selection == "last"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("points", "view", "__getitem__"):
            patch.setattr(Collection, name, watched(getattr(Collection, name), name))
        pretrain(configured(toy_collection, tmp_path / "last", epochs=1, monitor_every=1))
        with pytest.raises(AssertionError, match="points of a test shape was read"):
            pretrain(configured(toy_collection, tmp_path / "released", epochs=1, selection="released"))
    assert seen == set(
        toy_collection.indices("train").tolist()
    )  # all of the others were: training and monitor

"""The monitor's sample: part of the validation shapes, from all classes of a collection sorted by class."""

from pathlib import Path

import numpy as np
import pytest
from toy_runs import configured

from adacross.data.collection.collection import Collection
from adacross.data.sampling import spread
from adacross.distributed.group import ProcessGroup
from adacross.training import pretrain


def test_the_monitor_looks_at_all_classes(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The shapes are sorted by class, as those of a folder of meshes are; the monitor looks at a few."""
    labels = toy_collection.labels
    assert (np.diff(labels) >= 0).all()
    monkeypatch.setattr(pretrain, "LARGEST", 10)
    monkeypatch.setattr(pretrain, "REFERENCE", 20)
    config = configured(toy_collection, tmp_path / "run", validation_fraction=0.45)
    _, monitor = pretrain._data(config, ProcessGroup.start("cpu"))
    for sample, most in ((monitor.validation, 10), (monitor.reference, 20)):
        assert len(sample) == most
        assert labels[sample].min() < 0.2 * labels.max()
        assert labels[sample].max() > 0.8 * labels.max()


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

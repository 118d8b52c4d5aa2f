"""The monitor's sample: part of the validation shapes, from all classes of a collection sorted by class."""

from pathlib import Path

import numpy as np
import pytest
from toy_runs import configured

from adacross.data.collection import Collection
from adacross.training import pretrain
from adacross.training.group import Group
from adacross.training.monitor import spread


def test_the_monitor_looks_at_all_classes(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The shapes are sorted by class, as those of a folder of meshes are; the monitor looks at a few."""
    labels = toy_collection.labels
    assert (np.diff(labels) >= 0).all()
    monkeypatch.setattr(pretrain, "LARGEST", 10)
    monkeypatch.setattr(pretrain, "REFERENCE", 20)
    config = configured(toy_collection, tmp_path / "run", validation_fraction=0.45)
    _, monitor = pretrain._data(config, Group.start("cpu"))
    for sample, most in ((monitor.validation, 10), (monitor.reference, 20)):
        assert most / 2 < len(sample) <= most
        assert labels[sample].min() < 0.2 * labels.max()
        assert labels[sample].max() > 0.8 * labels.max()


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (8, 8), (9, 5), (80, 8)])
def test_spread(count: int, expected: int):
    chosen = spread(np.arange(count), 8)
    assert len(chosen) == expected
    assert len(np.unique(np.diff(chosen))) <= 1

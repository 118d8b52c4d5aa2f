"""What `benchmarks/search_precision.py` counts, on rows with known neighbors, and all of it at toy size."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import search_precision

import adacross
from adacross.data.collection.collection import Collection


def test_a_neighbor_of_the_class_counts_and_the_query_does_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search_precision, "FIRST", (1, 2))
    angles = np.radians([0, 10, 30, 35])  # nearest first: 10 30, 0 30, 35 10, 30 10
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = search_precision.precision(rows, np.array([0, 0, 1, 0]))
    assert found == {"first 1": pytest.approx(2 / 4), "first 2": pytest.approx((1 + 1 + 0 + 1) / 8)}


def test_all_of_it_at_toy_size(toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = shutil.copytree(toy_collection.folder, tmp_path / "toy")  # features are kept in it
    adacross.PointNet(width=8).save_pretrained(tmp_path / "encoder")
    words = [
        "search_precision.py",
        str(own),
        str(tmp_path / "encoder"),
        "--out",
        str(tmp_path / "found.json"),
    ]
    monkeypatch.setattr("sys.argv", words)
    search_precision.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["shapes"] == len(toy_collection)
    assert all(0 <= value <= 1 for row in found["precision"].values() for value in row.values())

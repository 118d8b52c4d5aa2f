"""Encoders, runs, checkpoints and embeddings: whole ones are read, larger promises are not."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import seed_runs
import seed_use
import torch

from adacross.data.collection.collection import Collection
from adacross.embeddings.table import read_embeddings
from adacross.encoders import load
from adacross.errors import UserError
from adacross.io.weights import load_plain
from adacross.training.checkpoint import load_checkpoint


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff\xe9")
    folder.mkdir()
    seed_runs.collection(folder)
    assert len(Collection.open(folder)) == 2
    seed_runs.encoder(folder)
    assert load(folder / "encoder").dim == 8
    seed_use.embeddings(folder)
    assert len(read_embeddings(folder / "parts.parquet")) == 6
    seed_runs.checkpoint(folder)
    assert load_checkpoint(folder / "checkpoints" / "step-00000007.pt")["step"] == 7


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert (found.dtype, found.stride()) == (expected.dtype, expected.stride())
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert_same(list(found.values()), list(expected.values()))
    elif isinstance(expected, list | tuple):
        assert (type(found), len(found)) == (type(expected), len(expected))
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("archive", [True, False])
def test_torch_files_of_both_forms_are_read_as_torch_reads_them(archive: bool, tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    state = {
        "network": network.state_dict(),
        "optimizer": torch.optim.Adam(network.parameters()).state_dict(),
        "view": torch.arange(10)[3:7].reshape(2, 2).T,
        "kinds": [torch.zeros(3).half(), torch.ones(2, dtype=torch.bfloat16), torch.tensor([True])],
        "none of them": torch.zeros(0, 3),
        "plain": (1.5, None, "x", 2**40, -1, True),
        "parameter": network[0].weight,
    }
    path = tmp_path / "x.pth"
    torch.save(state, path, _use_new_zipfile_serialization=archive)
    assert_same(load_plain(path), torch.load(path, weights_only=True))


@pytest.mark.parametrize("archive", [True, False])
def test_released_checkpoints_keep_more_than_tensors(archive: bool, tmp_path: Path) -> None:
    state = {
        "base_model": {"weight": torch.ones(2, 3)},
        "metrics": {"acc": np.float64(0.9), "epoch": np.int64(3)},
        "milestones": Counter([10, 20]),
        "device": torch.device("cpu"),
        "frozen": {"a", "b"},
        "random": b"\x00\xff",
        "by": {None: 1, 0.5: 2, True: 3},
    }
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=archive)
    found = load_plain(tmp_path / "x.pth")
    assert found["base_model"]["weight"].equal(torch.ones(2, 3))
    assert {name for name, value in found["metrics"].items() if value is None} == {"acc", "epoch"}
    assert found["by"] == state["by"]


@pytest.mark.parametrize("archive", [True, False])
def test_views_of_the_same_numbers(archive: bool, tmp_path: Path) -> None:
    numbers = torch.arange(3e5).reshape(500, 600)
    state = {
        "a": numbers,
        "b": numbers.t(),
        "c": numbers[1:],
        "d": numbers[:1].expand(500, 600),
        "e": numbers,
    }
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=archive)
    assert_same(load_plain(tmp_path / "x.pth"), state)


def test_pages_of_more_values_than_the_footer_says(tmp_path: Path) -> None:
    path = tmp_path / "parts.parquet"
    seed_use.embeddings(tmp_path)
    content = path.read_bytes()
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    start = column.data_page_offset
    values = content.index(bytes([0x2C, 0x15, 2 * 48]), start) + 2  # the header's structure, its first field
    path.write_bytes(content[:values] + bytes([2 * 63]) + content[values + 1 :])
    with pytest.raises(UserError, match=r"features\.list\.element is larger than it may be"):
        read_embeddings(path)

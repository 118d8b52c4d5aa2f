"""The benchmark of masked pre-training, at toy sizes: the two formulations agree, and it writes its rows."""

import json

import masked
import pytest
import torch


@pytest.mark.slow
def test_both_formulations_agree_and_every_row_is_written(tmp_path):
    masked.main(["--quick", "--turns", "1", "--out", str(tmp_path / "masked.json")])
    found = json.loads((tmp_path / "masked.json").read_text())
    assert [row["goal"] for row in found["rows"]] == [masked.GOALS.get(case[0]) for case in masked.QUICK]
    for row in found["rows"]:
        assert row["difference"] < 1e-7
        assert row["plain"]["median"] > 0
        assert row["ours"]["median"] > 0
        assert 0 < row["floor"] < row["ours"]["median"]
        assert "GFLOP" in row["floor_words"]


def test_formulations_that_differ_are_not_timed():
    what, ours, plain, encoder, options, count, points = masked.QUICK[0]
    torch.manual_seed(0)
    method = ours(masked.PointM2AE(**encoder), **options)
    other = plain(method)
    with torch.no_grad():
        other.stack.blocks[0].enter.weight[0, 0] += 0.01
    with pytest.raises(SystemExit, match="differ"):
        masked.check_same(what, method, other, masked.clouds(count, points, "cpu"), frozen=False)

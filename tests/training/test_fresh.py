"""Shapes that are drawn while a network trains: the same ones whoever draws them, none of them twice."""

from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import TOY
from toy_runs import logged

import adacross
from adacross.data.fresh import FreshShapes
from adacross.distributed.batch import BatchSlice
from adacross.errors import UserError
from adacross.training import pretrain
from adacross.training.loader import FreshLoader

SHAPES = FreshShapes(seed=3, points=64, size=16)


def test_a_shape_follows_from_its_number_alone() -> None:
    points, images = SHAPES.draw([5, 2])
    again, one = SHAPES.draw([2])
    assert np.array_equal(points[1], again[0])
    assert images is not None
    assert one is not None
    assert np.array_equal(images[1], one[0])
    assert not np.array_equal(points[0], points[1])
    assert not np.array_equal(FreshShapes(4, 64, 16).draw([2])[0], again)
    assert np.allclose(np.linalg.norm(points, axis=2).max(1), 1, atol=1e-6)
    assert FreshShapes(3, 64, 0).draw([2])[1] is None


def test_both_kinds_are_drawn() -> None:
    kinds = [SHAPES.name(i).partition("/")[0] for i in range(200)]
    assert 0.4 < kinds.count("composite") / 200 < 0.6
    assert len(set(kinds)) > 30


@pytest.mark.slow
def test_processes_draw_the_same_in_order_and_can_be_left() -> None:
    batches = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(7)]
    for batch, (points, images) in zip(batches, SHAPES.batches(batches, 3), strict=True):
        expected, drawn = SHAPES.draw(batch)
        assert np.array_equal(points, expected)
        assert images is not None
        assert drawn is not None
        assert np.array_equal(images, drawn)
    endless = SHAPES.batches(([i] for i in count()), 2)
    assert len(list(islice(endless, 3))) == 3
    endless.close()


def test_each_process_of_a_group_draws_its_rows(toy_collection: adacross.Collection) -> None:
    whole = FreshLoader(toy_collection, SHAPES, 8, 4).load(1)
    second = FreshLoader(toy_collection, SHAPES, 8, 4, BatchSlice(2, 4, 4)).load(1)
    assert torch.equal(second.points, whole.points[2:])
    assert whole.views is not None
    assert second.views is not None
    assert torch.equal(second.views, whole.views[2:])


@pytest.mark.slow
def test_a_run_on_fresh_shapes_resumes_as_it_would_have_gone_on(
    toy_collection: adacross.Collection, tmp_path: Path
) -> None:
    options = TOY | {"batch_size": 4, "fresh": 8, "monitor_every": 0}
    whole = adacross.pretrain(toy_collection, run=str(tmp_path / "whole"), **options | {"epochs": 2})
    assert logged(whole.folder, "step", "step") == [1, 2, 3, 4]

    class Stop(adacross.Callback):
        def on_step(self, training: object) -> None:
            if training.step == 3:  # type: ignore[attr-defined]
                raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        adacross.pretrain(
            toy_collection, callbacks=[Stop()], run=str(tmp_path / "parts"), **options | {"epochs": 2}
        )
    parts = adacross.pretrain(
        toy_collection, run=str(tmp_path / "parts"), **options | {"epochs": 2, "resume": "auto"}
    )
    weights = [run.folder / "encoder" / "model.safetensors" for run in (whole, parts)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
def test_builtin_shapes_are_prepared_where_they_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrain, "BUILTIN_COUNT", 44)
    options = TOY | {"batch_size": 4, "fresh": 8, "monitor_every": 0}
    run = adacross.pretrain("builtin", **options)
    shapes = adacross.Collection.open(tmp_path / "collections" / "builtin")
    assert shapes.info.count == 44
    assert run.config.collection == str(shapes.folder)
    made = shapes.folder.stat().st_ino
    adacross.pretrain("builtin", **options | {"seed": 1})
    assert shapes.folder.stat().st_ino == made


def test_fewer_than_one_step_are_refused(toy_collection: adacross.Collection, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"batch_size is 4, but fresh is 2\. Give a smaller --batch-size"):
        adacross.pretrain(toy_collection, run=str(tmp_path / "run"), **TOY | {"batch_size": 4, "fresh": 2})

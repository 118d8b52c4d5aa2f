"""Masked shapes come back whole: what was given stays, what was hidden is predicted."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from toy import TOY_M2AE

from adacross.encoders.point_m2ae import PointM2AE
from adacross.errors import UserError
from adacross.methods import ImageTowerConfig, JointMAE, PointM2AEMethod, build_method
from adacross.ops.projection import depth_map, fit_projection
from adacross.report.completions import CompletedMap, CompletedShape, complete_shapes

POINTS, PATCH = 48, 16
both = pytest.mark.parametrize("name", ["joint-mae", "point-m2ae"])
targets = pytest.mark.parametrize(
    ("name", "options", "each"),
    [("joint-mae", {}, 4), ("joint-mae", {"target": "coarse", "group_points": 9}, 9), ("point-m2ae", {}, 16)],
    ids=["middle", "coarse", "point-m2ae"],
)


def built(name: str, **options: Any) -> JointMAE | PointM2AEMethod:
    torch.manual_seed(0)
    method = build_method(name, PointM2AE(**TOY_M2AE), ImageTowerConfig(size=64), POINTS, **options)
    assert isinstance(method, JointMAE | PointM2AEMethod)
    return method


def clouds(count: int = 3) -> np.ndarray:
    """Points on an ellipsoid, off center and too large: stored clouds are not trusted to be normal."""
    points = np.random.default_rng(0).normal(size=(count, 64, 3))
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    return (3 * points * (1.0, 0.5, 0.3) + 2).astype(np.float32)


def depth(shape: CompletedShape) -> CompletedMap:
    assert shape.depth is not None
    return shape.depth


def members(neighbors: torch.Tensor, groups: set[int]) -> set[int]:
    return {int(member) for group in groups for member in neighbors[group]}


@targets
def test_exactly_the_points_of_visible_groups_are_visible(name: str, options: dict[str, Any], each: int):
    method = built(name, **options)
    for shape in complete_shapes(method, clouds()):
        fine, middle, coarse = method.encoder.group(torch.from_numpy(shape.points)[None])
        shown = members(coarse.neighbors[0], set(np.flatnonzero(shape.groups).tolist()))
        points = members(fine.neighbors[0], members(middle.neighbors[0], shown))
        assert set(np.flatnonzero(shape.visible).tolist()) == points
        hidden = (~shape.groups).sum() if "target" in options else 12 - len(shown)
        assert shape.predicted.sum() == hidden * each
        np.testing.assert_array_equal(shape.completed[~shape.predicted], shape.points[shape.visible])


@both
def test_clouds_are_the_first_points_in_the_unit_sphere_and_no_more_changed(name: str):
    stored = clouds()
    for shape, cloud in zip(complete_shapes(built(name), stored), stored[:, :POINTS], strict=True):
        centered = cloud - cloud.mean(0)
        expected = centered / np.linalg.norm(centered, axis=1).max()
        np.testing.assert_allclose(shape.points, expected, atol=1e-5)


@pytest.mark.parametrize(("ratio", "hidden"), [(0.75, 4), (0.5, 3), (0.2, 1)])
def test_as_much_is_hidden_as_in_training(ratio: float, hidden: int):
    for shape in complete_shapes(built("joint-mae", mask_ratio=ratio, patch_mask_ratio=ratio), clouds()):
        assert (~shape.groups).sum() == hidden
        patches = depth(shape).visible.reshape(4, PATCH, 4, PATCH).swapaxes(1, 2).reshape(16, -1)
        assert (patches.any(1) == patches.all(1)).all()
        assert (~patches[:, 0]).sum() == int(ratio * 16)
    for shape in complete_shapes(built("point-m2ae", mask_ratio=ratio), clouds()):
        assert (~shape.groups).sum() == hidden
        assert shape.depth is None


@targets
def test_predicted_points_lie_where_their_group_is(name: str, options: dict[str, Any], each: int):
    """A head that says 0 puts every predicted point on the center of its group."""
    method = built(name, **options)
    head = method.decoder.points.head if isinstance(method, JointMAE) else method.reconstruct.head
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    for shape in complete_shapes(method, clouds()):
        _, middle, coarse = method.encoder.group(torch.from_numpy(shape.points)[None])
        shown = members(coarse.neighbors[0], set(np.flatnonzero(shape.groups).tolist()))
        if "target" in options:
            centers = coarse.centers[0, np.flatnonzero(~shape.groups)]
        else:
            centers = middle.centers[0, [group for group in range(12) if group not in shown]]
        found = shape.completed[shape.predicted].reshape(len(centers), each, 3)
        expected = centers.numpy()[:, None]
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)


@pytest.mark.parametrize(("said", "drawn"), [(7.0, 1.0), (-7.0, 0.0), (0.25, 0.25)])
def test_a_completed_map_is_true_where_visible_and_predicted_within_range_elsewhere(
    said: float, drawn: float
):
    method = built("joint-mae")
    assert isinstance(method, JointMAE)
    torch.nn.init.zeros_(method.decoder.head.weight)
    torch.nn.init.constant_(method.decoder.head.bias, said)
    for shape in complete_shapes(method, clouds()):
        made = depth(shape)
        np.testing.assert_array_equal(made.completed[made.visible], made.given[made.visible])
        assert (made.completed[~made.visible] == drawn).all()


@pytest.mark.parametrize("view", [0, 1, 2, None])
def test_maps_are_of_the_shape_and_of_the_completed_shape(view: int | None):
    """With hard splats of the nearest point a point drawn twice changes nothing."""
    for shape in complete_shapes(built("joint-mae", view=view, splat="hard"), clouds(), seed=2):
        made = depth(shape)
        assert view is None or made.view == view
        projection = fit_projection(torch.from_numpy(shape.points)[None], torch.tensor([made.view]), 64)
        for points, found in ((shape.points, made.given), (shape.completed, made.redrawn)):
            expected = depth_map(torch.from_numpy(points)[None], projection)[0, 0].numpy()
            assert (np.abs(found - expected) > 1e-5).mean() < 0.01  # rounding moves a point to the next pixel
    if view is None:
        shapes = complete_shapes(built("joint-mae"), clouds(12))
        assert {depth(shape).view for shape in shapes} == {0, 1, 2}


@both
def test_the_seed_decides_and_nothing_else(name: str):
    method = built(name)
    before = torch.get_rng_state()
    first, again, other = (complete_shapes(method, clouds(), seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    for one, two in zip(first, again, strict=True):
        for key, value in asdict(one).items():
            np.testing.assert_equal(asdict(two)[key], value)
    assert any((one.groups != two.groups).any() for one, two in zip(first, other, strict=True))


@both
def test_the_method_is_left_as_it_was_and_gets_no_gradient(name: str):
    method = built(name).train()
    method.encoder.norms.eval()
    modes = {key: module.training for key, module in method.named_modules()}
    state = {key: value.clone() for key, value in method.state_dict().items()}
    seen = []
    for part in (method.encoder.embeddings[0], method.encoder.stacks[2]):
        part.register_forward_hook(lambda part, given, made: seen.append((part.training, made.requires_grad)))
    complete_shapes(method, clouds())
    assert seen == [(False, False)] * 2
    assert {key: module.training for key, module in method.named_modules()} == modes
    assert all(torch.equal(value, state[key]) for key, value in method.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())


def test_no_shape_and_too_few_points_are_refused():
    with pytest.raises(UserError, match="at least one cloud"):
        complete_shapes(built("joint-mae"), clouds(0))
    with pytest.raises(UserError, match="at least"):
        complete_shapes(built("point-m2ae"), clouds()[:, :20])

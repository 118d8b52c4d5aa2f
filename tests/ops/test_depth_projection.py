"""Depth maps against the recipe written out point by point, closed forms and finite differences."""

import inspect
import math

import pytest
import torch

from adacross.errors import UserError
from adacross.ops.projection import depth_map, fit_projection, patchify, unpatchify

VIEWS = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]
HARD = [("nearest", "hard"), ("mean", "hard"), ("released", "hard")]
SOFT = [("nearest", "soft"), ("mean", "soft")]
ALL = HARD + SOFT


def clouds(B=3, N=60, dtype=torch.float64, seed=0):
    """Different extents per axis, not centered."""
    points = torch.randn(B, N, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    return points * torch.tensor([0.5, 1.0, 0.3]).to(dtype) + torch.tensor([3.0, -2.0, 1.0]).to(dtype)


class Recipe:
    """Steps 1 to 5 and 7 of the released recipe for one cloud, in Python's numbers."""

    def __init__(self, cloud, view, size, radius=2):
        self.order, self.size, self.radius = VIEWS[view], size, radius
        rows = [[p[axis] for axis in self.order] for p in cloud.tolist()]
        self.low = [min(row[axis] for row in rows) for axis in range(3)]
        extent = [max(row[axis] for row in rows) - self.low[axis] for axis in range(3)]
        self.g, self.depth = max(extent[:2]) / (size - 3), extent[2]
        self.offset = []
        for axis in range(2):
            written = [
                math.floor((row[axis] - self.low[axis]) / self.g) + step + 1
                for row in rows
                for step in range(-radius, radius + 1)
            ]
            self.offset.append(size // 2 - (max(written) + min(written)) // 2 - 1)

    def places(self, points):
        """Exact place to the right and upwards, in cells of the map, and depth."""
        for p in points.tolist():
            x, y, z = (p[axis] for axis in self.order)
            right, up = (
                (value - self.low[axis]) / self.g + self.offset[axis] + 1 for axis, value in enumerate((x, y))
            )
            yield right, up, z

    def value(self, z):
        return 0.2 + 0.8 * min(max((z - self.low[2]) / self.depth, 0), 1)

    def hard(self, points, reduction):
        steps, size = range(-self.radius, self.radius + 1), self.size
        written = [[[] for _ in range(size)] for _ in range(size)]
        for right, up, z in self.places(points):
            for i in steps:
                for j in steps:
                    column = min(max(math.floor(right) + i, 0), size - 1)
                    height = min(max(math.floor(up) + j, 0), size - 1)
                    written[size - 1 - height][column].append(z if reduction == "released" else self.value(z))
        pixel = {
            "nearest": lambda values: max(values, default=0),
            "mean": lambda values: sum(values) / max(len(values), 1),
            "released": lambda values: 1 / (1 + math.exp(-sum(values))),
        }[reduction]
        return torch.tensor([[[pixel(values) for values in row] for row in written]], dtype=torch.float64)

    def soft(self, points, reduction):
        """Every pixel asks every point, near or not."""
        reach, size = self.radius + 0.5, self.size
        drawn = torch.zeros(1, size, size, dtype=torch.float64)
        for row in range(size):
            for column in range(size):
                total = covered = shown = 0.0
                for right, up, z in self.places(points):
                    dx, dy = right - (column + 0.5), up - (size - 1 - row + 0.5)
                    if max(abs(dx), abs(dy)) < reach:
                        w = (1 - (dx / reach) ** 2) ** 2 * (1 - (dy / reach) ** 2) ** 2
                        k = math.exp(20 * (self.value(z) - 0.2)) if reduction == "nearest" else 1
                        covered, total, shown = covered + w, total + w * k, shown + w * k * self.value(z)
                drawn[0, row, column] = shown / (total + 1e-6) * (1 - math.exp(-4 * covered))
        return drawn


@pytest.mark.parametrize(("reduction", "splat"), ALL)
@pytest.mark.parametrize(("size", "radius"), [(32, 2), (20, 1), (19, 0)])
def test_maps_are_those_of_the_recipe(reduction, splat, size, radius):
    points, view = clouds(), torch.arange(3)
    found = depth_map(points, fit_projection(points, view, size), reduction, splat, radius)
    assert found.shape == (3, 1, size, size)
    for i in range(3):
        expected = getattr(Recipe(points[i], i, size, radius), splat)(points[i], reduction)
        torch.testing.assert_close(found[i], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("reduction", "splat"), ALL)
def test_other_points_are_drawn_by_the_stored_projection(reduction, splat):
    """Also those far beyond the map and the depth range: hard clamps them to the border, soft leaves them."""
    points, view = clouds(), torch.tensor([2, 0, 1])
    others = (points[:, :20] - points.mean(1, keepdim=True)) * 3 + points.mean(1, keepdim=True)
    found = depth_map(others, fit_projection(points, view, 24), reduction, splat)
    for i in range(3):
        expected = getattr(Recipe(points[i], int(view[i]), 24), splat)(others[i], reduction)
        torch.testing.assert_close(found[i], expected, rtol=1e-10, atol=1e-12)


def test_a_point_lights_the_pixel_it_maps_to():
    points, view = clouds(N=100), torch.arange(3)
    projection = fit_projection(points, view, 64)
    cells = projection.cells(points)
    drawn = depth_map(points, projection, radius=0)
    for cloud in range(3):
        lit = {tuple(cell) for cell in drawn[cloud, 0].nonzero().tolist()}
        assert lit == {tuple(cell) for cell in cells[cloud].tolist()}
    around = depth_map(points, projection, radius=2)
    assert (around[drawn > 0] >= drawn[drawn > 0]).all()


def test_cells_are_those_of_the_recipe_and_clamped_to_the_map():
    points = clouds()
    projection = fit_projection(points, torch.arange(3), 32)
    for i, cells in enumerate(projection.cells(points)):
        exact = [
            (31 - math.floor(up), math.floor(right))
            for right, up, _ in Recipe(points[i], i, 32).places(points[i])
        ]
        assert [tuple(cell) for cell in cells.tolist()] == exact
    far = torch.tensor([[1e30, 1e30, 0], [-1e30, 9.0, 0], [torch.inf, -torch.inf, 0]])
    cells = fit_projection(points, torch.zeros(3, dtype=torch.int64), 32).cells(far.expand(3, 3, 3))
    assert cells[0].tolist() == [[0, 31], [0, 0], [31, 31]]


def test_right_is_right_up_is_up_and_near_is_bright():
    """A long foot, a head straight above its left end, and a nose before the head."""
    points = torch.tensor([[[0.0, 0, 0], [221, 0, 0], [0, 110, 0], [0, 110, 90]]])  # cells of side 1
    front = torch.zeros(1, dtype=torch.int64)
    projection = fit_projection(points, front, 224)
    left, right, head, nose = projection.cells(points)[0].tolist()
    assert [left[1], right[1]] == [1, 222], "the longer side fills the map but for the block's margin"
    assert left[0] == right[0]
    assert head[1] == nose[1] == 1
    assert left[0] - head[0] == 110
    assert left[0] + head[0] in (222, 223, 224), "the shorter side is centered"
    drawn = depth_map(points, projection)[0, 0]
    torch.testing.assert_close(drawn[*head].item(), 1.0)
    torch.testing.assert_close(drawn[*left].item(), 0.2)
    assert depth_map(points, projection, "mean")[0, 0][*head] == pytest.approx(0.6)
    assert depth_map(points, projection, "nearest", "soft")[0, 0][*head] > 0.95
    assert drawn.count_nonzero() == 3 * 5 * 4, "each block's outer column is clamped to the border"
    assert (drawn[:, 0] > 0).sum() == (drawn[:, 223] > 0).sum() * 2 == 10


@pytest.mark.parametrize(("reduction", "splat"), ALL)
def test_other_views_are_view_0_of_turned_clouds(reduction, splat):
    points = clouds(B=1).expand(3, -1, -1)
    found = depth_map(points, fit_projection(points, torch.arange(3), 40), reduction, splat)
    turned = torch.stack([points[view][:, list(order)] for view, order in enumerate(VIEWS)])
    front = fit_projection(turned, torch.zeros(3, dtype=torch.int64), 40)
    assert torch.equal(found, depth_map(turned, front, reduction, splat))
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize(("reduction", "splat"), ALL)
def test_neither_the_batch_nor_the_order_of_points_matters(reduction, splat):
    points, view = clouds(B=4), torch.tensor([1, 0, 2, 1])
    found = depth_map(points, fit_projection(points, view, 40), reduction, splat)
    alone = [
        depth_map(points[i : i + 1], fit_projection(points[i : i + 1], view[i : i + 1], 40), reduction, splat)
        for i in range(4)
    ]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-13, atol=1e-13)
    shuffled = points[:, torch.randperm(60)]
    again = depth_map(shuffled, fit_projection(shuffled, view, 40), reduction, splat)
    torch.testing.assert_close(found, again, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("reduction", "splat"), ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types_are_computed_in_float32_and_stay_within_range(reduction, splat, dtype):
    points, view = clouds(N=2000, dtype=torch.float32).to(dtype), torch.arange(3)
    projection = fit_projection(points, view)
    found = depth_map(points, projection, reduction, splat)
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.max() > 0.9
    same = depth_map(points.float(), fit_projection(points.float(), view), reduction, splat)
    assert torch.equal(found, same)
    empty = 0.5 if reduction == "released" else 0
    assert (found == empty).any()
    if splat == "hard" and reduction != "released":
        assert found[found > 0].min() >= 0.2


@pytest.mark.parametrize(("reduction", "splat"), SOFT)
def test_soft_gradients_agree_with_finite_differences(reduction, splat):
    points, view = clouds(B=2, N=12), torch.tensor([0, 1])
    projection = fit_projection(points, view, 12)
    inside = (points.mean(1, keepdim=True) + 0.7 * (points - points.mean(1, keepdim=True))).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: depth_map(p, projection, reduction, splat), (inside,))
    (grad,) = torch.autograd.grad(depth_map(inside, projection, reduction, splat).square().sum(), inside)
    assert (grad != 0).all(), "every point, every coordinate"


@pytest.mark.parametrize("reduction", ["nearest", "mean"])
def test_soft_maps_do_not_jump_between_cells(reduction):
    points = clouds(B=1)
    projection = fit_projection(points, torch.zeros(1, dtype=torch.int64), 32)
    step = projection.low[:, None, :2] + projection.cell * torch.tensor([[[11.0, 7.0]]])
    before, after = (torch.cat([step + sign * 1e-9, points[:, :1, 2:]], 2) for sign in (-1, 1))
    assert not torch.equal(projection.cells(before), projection.cells(after))
    maps = [depth_map(side, projection, reduction, "soft") for side in (before, after)]
    assert maps[0].max() > 0.1
    torch.testing.assert_close(maps[0], maps[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("reduction", "splat"), HARD)
@pytest.mark.parametrize("view", [0, 1, 2])
def test_hard_gradients_flow_through_depth_only(reduction, splat, view):
    points = clouds(B=1, N=12)
    projection = fit_projection(points, torch.tensor([view]), 24)
    inside = (points.mean(1, keepdim=True) + 0.9 * (points - points.mean(1, keepdim=True))).requires_grad_()
    (grad,) = torch.autograd.grad(depth_map(inside, projection, reduction, splat).square().sum(), inside)
    right, up, depth = VIEWS[view]
    assert torch.equal(grad[..., [right, up]], torch.zeros(1, 12, 2, dtype=torch.float64))
    assert (grad[..., depth] != 0).sum() > 6
    assert torch.autograd.gradcheck(
        lambda z: depth_map(
            torch.cat([inside.detach()[..., :depth], z, inside.detach()[..., depth + 1 :]], 2),
            projection,
            reduction,
            splat,
        ),
        (inside[..., depth : depth + 1].detach().requires_grad_(),),
    )


def test_hard_nearest_teaches_seen_points_only():
    points = torch.tensor([[[0.0, 0, 0], [0, 0, 0.5], [1, 1, 1]]], requires_grad=True)
    projection = fit_projection(points, torch.zeros(1, dtype=torch.int64), 16)
    assert not projection.low.requires_grad
    depth_map(points, projection).sum().backward()
    assert (points.grad[0, :, 2] != 0).tolist() == [False, True, True]


def degenerate():
    generator = torch.Generator().manual_seed(0)
    along = torch.rand(50, 1, generator=generator)
    axes = torch.eye(3)
    lines = [0.3 + along * axis for axis in axes]
    planes = [torch.rand(50, 3, generator=generator) * (1 - axis) for axis in axes]
    return torch.stack([torch.full((50, 3), 0.3), torch.zeros(50, 3), *lines, *planes, lines[0] * 1e-39])


@pytest.mark.parametrize(("reduction", "splat"), ALL)
@pytest.mark.parametrize("view", [0, 1, 2])
def test_degenerate_clouds_have_maps_and_gradients(reduction, splat, view):
    points = degenerate().requires_grad_()
    projection = fit_projection(points, torch.full((9,), view), 32)
    drawn = depth_map(points, projection, reduction, splat)
    assert drawn.isfinite().all()
    assert ((drawn >= 0) & (drawn <= 1)).all()
    (grad,) = torch.autograd.grad(drawn.square().sum(), points)
    assert grad.isfinite().all()
    if (reduction, splat) == ("nearest", "hard"):
        assert torch.equal(projection.cells(points)[0], torch.tensor([[16, 15]]).expand(50, 2)), (
            "in the middle"
        )
        torch.testing.assert_close(drawn[0].amax().item(), 0.6)
        assert (drawn.flatten(1) > 0).any(1).all()
        to_viewer = 2 + VIEWS[view][2]
        assert torch.equal(projection.cells(points)[to_viewer], torch.tensor([[16, 15]]).expand(50, 2))
        assert drawn[to_viewer].amax() == 1, "a line to the viewer has its own depth range"


@pytest.mark.parametrize(("reduction", "splat"), ALL)
def test_values_that_are_not_numbers_and_no_points_break_nothing(reduction, splat):
    points = clouds(B=2, dtype=torch.float32)
    projection = fit_projection(points, torch.tensor([0, 2]), 32)
    expected = depth_map(points, projection, reduction, splat)
    broken = points.clone()
    broken[0, :3] = torch.tensor([[torch.nan], [torch.inf], [-torch.inf]])
    found = depth_map(broken, projection, reduction, splat)
    assert found[0].isnan().any()
    assert torch.equal(found[1], expected[1])
    nothing = depth_map(points[:, :0], projection, reduction, splat)
    assert torch.equal(nothing, torch.full((2, 1, 32, 32), 0.5 if reduction == "released" else 0.0))


def test_patches_are_cut_row_by_row_and_put_together_again():
    maps = torch.arange(2 * 48 * 48.0).view(2, 1, 48, 48)
    patches = patchify(maps)
    assert patches.shape == (2, 9, 256)
    for row in range(3):
        for column in range(3):
            expected = maps[1, 0, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            assert torch.equal(patches[1, 3 * row + column].view(16, 16), expected)
    assert torch.equal(unpatchify(patches), maps)
    assert torch.equal(unpatchify(patchify(maps, 4)), maps)


def test_a_point_lies_in_the_patch_it_lights():
    points = clouds(N=20)
    projection = fit_projection(points, torch.arange(3), 64)
    lit = patchify(depth_map(points, projection, radius=0)).amax(2) > 0
    found = projection.patches(points)
    for cloud in range(3):
        assert set(found[cloud].tolist()) == set(lit[cloud].nonzero().flatten().tolist())


def test_refusals():
    points, view = clouds(), torch.arange(3)
    projection = fit_projection(points, view, 40)
    with pytest.raises(UserError, match="'released' is an exact recipe"):
        depth_map(points, projection, "released", "soft")
    with pytest.raises(UserError, match="radius is -1"):
        depth_map(points, projection, radius=-1)
    with pytest.raises(UserError, match="side 3 has no room"):
        fit_projection(points, view, 3)
    for wrong in (-1, 3):
        with pytest.raises(UserError, match=rf"views go from .*{wrong}"):
            fit_projection(points, torch.tensor([0, wrong, 1]), 40)
    for call in (
        lambda: projection.patches(points, 16),
        lambda: patchify(depth_map(points, projection), 16),
        lambda: patchify(depth_map(points, projection), 0),
    ):
        with pytest.raises(UserError, match="do not tile a map of side 40"):
            call()
    with pytest.raises(UserError, match="8 patches of 256 pixels"):
        unpatchify(torch.zeros(1, 8, 256))
    unchecked = inspect.unwrap(depth_map)  # the tests' type checker would speak first
    with pytest.raises(UserError, match=r"unknown reduction 'max'.*nearest, mean, released"):
        unchecked(points, projection, "max")
    with pytest.raises(UserError, match=r"unknown splat 'softer'.*hard, soft"):
        unchecked(points, projection, "mean", "softer")

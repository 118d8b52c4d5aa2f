"""Joint-MAE and Point-M2AE's pre-training: terms against their definitions, and that nothing leaks."""

import copy

import pytest
import torch

from adacross.data.transforms import RawBatch
from adacross.encoders import PointM2AE, PointNet
from adacross.errors import UserError
from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.depth_tokens import DepthEmbedding, sine_positions
from adacross.methods.joint_mae.model import aligned_patches, joint_attention
from adacross.methods.point_m2ae import draw_visible
from adacross.ops.projection import depth_map, patchify

SMALL = {
    "groups": (24, 12, 6),
    "neighbors": (8, 4, 3),
    "dims": (8, 16, 24),
    "width": 8,
    "depths": (1, 1, 2),
    "heads": 4,
    "drop_path": 0.0,
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def joint(**options):
    method = JointMAE(PointM2AE(**SMALL), conv_depths=(1, 1), image_size=64, points=48, **options)
    return method.eval()


def raw(shapes=4):
    return RawBatch(torch.randn(shapes, 64, 3), None)


def drawn(method, seed=0, shapes=4):
    torch.manual_seed(7)
    return method.batch(raw(shapes), torch.Generator().manual_seed(seed))


def test_masks_have_their_ratio_and_are_independent():
    method = joint(mask_ratio=0.7, patch_mask_ratio=0.75)
    batch = drawn(method, shapes=512)
    assert (batch.visible_points.sum(1) == 6 - int(0.7 * 6)).all()
    assert (batch.visible_patches.sum(1) == 4).all()
    # Every token is hidden equally often, and whether it is says nothing of any patch.
    assert batch.visible_points.float().mean(0).sub(2 / 6).abs().max() < 0.1
    both = torch.cat([batch.visible_points[:, :1], batch.visible_patches], 1).float()
    assert torch.corrcoef(both.T)[0, 1:].abs().max() < 0.2
    assert set(batch.projection.order[:, 0].tolist()) == {0, 1, 2}, "a random side a shape"


def test_a_batch_follows_from_the_generator():
    method = joint()
    a, b, c = drawn(method, 3), drawn(method, 3), drawn(method, 4)
    for name in ("points", "depth", "visible_points", "visible_patches"):
        assert torch.equal(getattr(a, name), getattr(b, name))
        assert not torch.equal(getattr(a, name), getattr(c, name))
    assert a.points.shape == (4, 48, 3)
    assert a.depth.shape == (4, 1, 64, 64)
    assert torch.equal(a.depth, depth_map(a.points, a.projection, "nearest", "soft", method.radius))
    fixed = drawn(joint(view=1), 3)
    assert (fixed.projection.order == torch.tensor([2, 0, 1])).all()


@pytest.mark.parametrize("target", ["middle", "coarse"])
def test_terms_are_their_definitions(target):
    """Shape by shape, hidden group by hidden group, nearest point by nearest point."""
    method = joint(target=target, splat="hard")  # soft maps depend a little on how often a point is there
    batch = drawn(method)
    terms = method.losses(batch)
    assert set(terms) == {"points", "depth", "cross"}
    done = method.complete(batch)
    level = {"middle": 1, "coarse": 2}[target]
    centers, distances = done.levels[level].centers, []
    cloud = [[] for _ in range(4)]
    for shape in range(4):
        for group, center in enumerate(centers[shape]):
            if target == "middle":
                truth = done.levels[0].centers[shape][done.levels[1].neighbors[shape, group]]
            else:
                nearest = (batch.points[shape] - center).norm(dim=1).argsort()[: method.group_points]
                truth = batch.points[shape][nearest]
            made = center + done.decoded.offsets[shape, group]
            if done.visible[level][shape, group]:
                cloud[shape].append(center + (truth - center))  # rounded as when it is put together
                continue
            cloud[shape].append(made)
            table = torch.cdist(made, truth).square()
            distances.append(table.amin(0).mean() + table.amin(1).mean())
        seen = done.levels[0].neighbors[shape][done.visible[0][shape]]
        cloud[shape].append(batch.points[shape][seen.flatten()])
    torch.testing.assert_close(terms["points"], torch.stack(distances).mean(), rtol=1e-4, atol=1e-6)
    hidden = ~batch.visible_patches
    truth, predicted = patchify(batch.depth), done.decoded.patches
    errors = [(predicted[shape, hidden[shape]] - truth[shape, hidden[shape]]).square() for shape in range(4)]
    torch.testing.assert_close(terms["depth"], torch.cat(errors).mean())
    maps = torch.cat(
        [
            depth_map(
                torch.cat(cloud[shape])[None], part(batch.projection, shape), "nearest", "hard", method.radius
            )
            for shape in range(4)
        ]
    )
    error = (patchify(maps) - patchify(batch.depth))[~batch.visible_patches].square().mean()
    torch.testing.assert_close(terms["cross"], error)


def part(projection, shape):
    """The projection of one shape of a batch."""
    one = {
        name: getattr(projection, name)[shape : shape + 1]
        for name in ("order", "low", "cell", "depth", "offset")
    }
    return type(projection)(**one, size=projection.size)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("alignment", ["exact", "radius", "none"])
def test_changing_what_is_masked_changes_no_visible_token(training, alignment):
    method = joint(alignment=alignment).train(training)
    batch = drawn(method)
    levels = method.encoder.group(batch.points)
    visible = method.complete(batch).visible
    before = method.encode(batch, levels, visible)
    levels[0].offsets[~visible[0]] += 10
    side = method.image_size // 16
    pixels = batch.visible_patches.view(-1, 1, side, side).repeat_interleave(16, 2).repeat_interleave(16, 3)
    changed = copy.copy(batch)
    object.__setattr__(changed, "depth", torch.where(pixels, batch.depth, torch.rand_like(batch.depth)))
    for a, b in zip(before, method.encode(changed, levels, visible), strict=True):
        assert torch.equal(a, b)
    object.__setattr__(changed, "depth", torch.where(pixels, batch.depth + 0.1, batch.depth))
    assert not torch.equal(before[1], method.encode(changed, levels, visible)[1]), "visible patches matter"


def test_the_gradient_of_a_visible_token_reaches_no_hidden_pixel():
    embedding = DepthEmbedding((8, 16, 24), (2, 2)).double()
    maps = torch.rand(3, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    visible = draw_visible(3, 16, 0.75, torch.Generator().manual_seed(1))
    tokens = embedding(maps, visible)
    assert tokens.shape == (3, 16, 24)
    tokens[visible].square().sum().backward()
    reached = patchify(maps.grad).abs().sum(2) > 0
    assert torch.equal(reached, visible)


def test_permuting_the_batch_permutes_the_result():
    method = joint()
    batch = drawn(method)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = type(batch)(
        batch.points[order],
        type(batch.projection)(
            *(getattr(batch.projection, name)[order] for name in ("order", "low", "cell", "depth", "offset")),
            size=64,
        ),
        batch.depth[order],
        batch.visible_points[order],
        batch.visible_patches[order],
    )
    one, other = method.complete(batch), method.complete(shuffled)
    torch.testing.assert_close(other.decoded.offsets, one.decoded.offsets[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.decoded.patches, one.decoded.patches[order], rtol=1e-4, atol=1e-5)


def test_local_aligned_attention_follows_the_projection_of_every_point():
    batch = drawn(joint())
    levels = PointM2AE(**SMALL).group(batch.points)
    found = aligned_patches("exact", levels, batch.points, batch.projection)
    cells = batch.projection.cells(batch.points)
    for shape in range(4):
        for token in range(6):
            middle = levels[2].neighbors[shape, token]
            fine = levels[1].neighbors[shape, middle].flatten()
            points = levels[0].neighbors[shape, fine].flatten().unique()
            landed = {int(r // 16 * 4 + c // 16) for r, c in cells[shape, points]}
            assert set(found[shape, token].nonzero().flatten().tolist()) == landed
    near = aligned_patches("radius", levels, batch.points, batch.projection)
    middles = batch.projection.cells(levels[2].centers) // 16
    every = torch.stack([torch.arange(16) // 4, torch.arange(16) % 4], 1)
    assert torch.equal(near, (middles[:, :, None] - every).abs().amax(3) <= 1)
    assert aligned_patches("none", levels, batch.points, batch.projection).all()


def test_the_joint_mask_leaves_no_row_empty_and_is_symmetric():
    aligned = torch.rand(4, 6, 16) < 0.2
    aligned[0] = False
    tokens, patches = torch.tensor([[0, 2, 5]] * 4), torch.tensor([[1, 4, 7, 11]] * 4)
    sees = joint_attention(aligned, tokens, patches)
    assert sees.shape == (4, 7, 7)
    assert sees[:, :3, :3].all()
    assert sees[:, 3:, 3:].all()
    assert torch.equal(sees, sees.mT)
    for row, token in enumerate(tokens[0]):
        for column, patch in enumerate(patches[0]):
            assert torch.equal(sees[:, row, 3 + column], aligned[:, token, patch])


def test_the_kept_encoder_is_the_point_path_without_pictures():
    """With every token visible and no patch seen, the joint encoder is the encoder alone."""
    method = joint(alignment="none")
    batch = drawn(method)
    levels = method.encoder.group(batch.points)
    features = method.encoder(batch.points)
    top = method.encoder.features(levels)[2]
    assert torch.equal(features, top.mean(1) + top.amax(1))
    assert {name.split(".")[0] for name, _ in method.named_parameters()} == {
        "encoder",
        "embed_depth",
        "modality_token",
        "patch_norm",
        "decoder",
    }


@pytest.mark.parametrize("target", ["middle", "coarse"])
def test_every_network_learns_and_shares_the_parameters_it_says(target):
    method = joint(target=target).train()
    terms = method.losses(drawn(method))
    shared = method.shared_parameters()
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, shared, retain_graph=True)
        assert all(gradient.any() for gradient in gradients), name
    sum(terms.values()).backward()
    idle = {name for name, parameter in method.named_parameters() if parameter.grad is None}
    skips = {f"encoder.norms.{level}.{part}" for level in (0, 1) for part in ("weight", "bias")}
    assert idle <= skips
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in method.parameters()
        if parameter.grad is not None
    )


def test_soft_splatting_moves_points_across_the_view_and_hard_does_not():
    for splat, moves in (("soft", True), ("hard", False)):
        method = joint(splat=splat, view=0)
        batch = drawn(method)
        done = method.complete(batch)
        offsets = done.decoded.offsets.detach().requires_grad_()
        drawn_map = method.redraw(batch, done.levels, done.visible, offsets)
        drawn_map.square().sum().backward()
        across, depth = offsets.grad[..., :2].abs().sum(), offsets.grad[..., 2].abs().sum()
        assert (across > 0) == moves
        assert depth > 0


def test_mixed_precision_trains():
    for method in (joint(), PointM2AEMethod(PointM2AE(**SMALL), points=48)):
        method.train()
        with torch.autocast("cpu", torch.bfloat16):
            terms = method.losses(drawn(method))
        sum(terms.values()).backward()
        assert all(term.dtype == torch.float32 for term in terms.values())
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


@pytest.mark.slow
def test_all_terms_fall():
    method = joint().train()
    optimizer = torch.optim.AdamW(method.parameters(), 2e-3)
    batch = drawn(method)
    history = []
    for _ in range(60):
        terms = method.losses(batch)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        history.append({name: term.item() for name, term in terms.items()})
    fallen = {name: history[-1][name] / history[0][name] for name in history[0]}
    assert fallen["points"] < 0.3, fallen
    assert fallen["depth"] < 0.3, fallen
    assert fallen["cross"] < 0.9, fallen


def test_sine_positions_tell_every_patch_apart():
    grid = sine_positions(14, 384)
    assert grid.shape == (196, 384)
    distance = torch.cdist(grid, grid) + 1e9 * torch.eye(196)
    nearest = distance.argmin(1)
    rows, columns = torch.arange(196) // 14, torch.arange(196) % 14
    assert ((rows - rows[nearest]).abs() + (columns - columns[nearest]).abs() == 1).all()
    with pytest.raises(UserError, match="channels in fours"):
        sine_positions(4, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_ratio": 0.1}, "mask_ratio is 0.1, which masks 0 of 6 tokens"),
        ({"patch_mask_ratio": 1.0}, "patch_mask_ratio is 1.0, which masks 16 of 16"),
        ({"view": 3}, "view is 3; expected 0, 1 or 2"),
        ({"splat": "soft", "reduction": "released"}, "exact recipe with hard splatting"),
        ({"radius": -1}, "the radius is -1 pixels"),
        ({"group_points": 99}, "group_points is 99, but target 'middle' .* which have 4 points"),
        ({"group_points": 0, "target": "coarse"}, "group_points is 0; expected at least 1"),
        ({"shared_depth": 0}, "shared_depth is 0; expected at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused_when_the_method_is_made(options, message):
    with pytest.raises(UserError, match=message):
        joint(**options)


def test_group_points_decide_the_groups_of_either_target():
    assert joint().group_points == joint(group_points=4).group_points == 4
    assert joint(target="coarse").group_points == 32
    method = joint(target="coarse", group_points=7)
    batch = method.batch(raw(), torch.Generator())
    assert method.true_offsets(batch, method.encoder.group(batch.points)).shape == (4, 6, 7, 3)
    with pytest.raises(UserError, match="group_points is 0; expected at least 1"):
        PointM2AEMethod(PointM2AE(**SMALL), group_points=0)


def test_other_encoders_and_map_sizes_are_refused():
    with pytest.raises(UserError, match="joint-mae needs an encoder with tokens; 'pointnet' has none"):
        JointMAE(PointNet(width=8))
    with pytest.raises(UserError, match="point-m2ae needs an encoder with tokens"):
        PointM2AEMethod(PointNet(width=8))
    with pytest.raises(UserError, match="image_size is 100; joint-mae needs a multiple of 16"):
        JointMAE(PointM2AE(**SMALL), image_size=100)


def test_masks_that_leave_nothing_to_reconstruct_are_refused():
    everywhere = SMALL | {"neighbors": (8, 24, 12)}
    for method in (
        JointMAE(PointM2AE(**everywhere), image_size=64),
        PointM2AEMethod(PointM2AE(**everywhere)),
    ):
        with pytest.raises(UserError, match="part of a visible one; raise mask_ratio"):
            method.losses(drawn(method))


def test_point_m2ae_masks_its_ratio():
    method = PointM2AEMethod(PointM2AE(**SMALL), mask_ratio=0.5, points=48)
    batch = method.batch(raw(), torch.Generator().manual_seed(0))
    assert (batch.visible.sum(1) == 3).all()
    assert batch.points.shape == (4, 48, 3)
    assert set(method.losses(batch)) == {"points"}

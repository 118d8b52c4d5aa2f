"""Groups, masks over levels, the hierarchical encoder. Its values are checked in test_golden.py."""

import copy

import pytest
import torch

from adacross.encoders import PointM2AE, load, load_official
from adacross.errors import UserError
from adacross.methods.joint_mae.model import covered_patches
from adacross.nn.point_tokens import GroupEmbedding, TokenPacking, build_groups, visible_levels
from adacross.ops.neighbors import interpolate

SMALL = {
    "groups": (24, 12, 6),
    "neighbors": (8, 4, 3),
    "dims": (8, 16, 24),
    "width": 8,
    "depths": (1, 1, 2),
    "heads": 4,
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def encoder(**changes):
    return PointM2AE(**(SMALL | changes)).double()


def clouds(count=3, points=64):
    return torch.randn(count, points, 3, dtype=torch.float64)


def test_groups_hold_their_centers_nearest():
    points = clouds()
    below = points
    for level, k in zip(build_groups(points, (20, 8, 4), (6, 5, 3)), (6, 5, 3), strict=True):
        distance = torch.cdist(level.centers, below)
        nearest = distance.topk(k, largest=False).indices.sort(2).values
        assert torch.equal(level.neighbors.sort(2).values, nearest)
        members = torch.stack([cloud[index] for cloud, index in zip(below, level.neighbors, strict=True)])
        assert torch.equal(level.offsets, members - level.centers[:, :, None])
        assert all(
            (center == cloud).all(1).any()
            for cloud, centers in zip(below, level.centers, strict=True)
            for center in centers
        ), "centers are points of the level below"
        below = level.centers


def test_a_finer_token_is_visible_if_a_visible_coarser_one_is_made_of_it():
    levels = build_groups(clouds(4), (24, 12, 6), (8, 4, 3))
    top = torch.rand(4, 6) < 0.4
    top[0] = True
    top[1] = False
    found = visible_levels(levels, top)
    assert torch.equal(found[2], top)
    for level in (1, 0):
        coarse = levels[level + 1]
        for shape in range(4):
            expected = {
                int(member)
                for token in range(coarse.neighbors.shape[1])
                if found[level + 1][shape, token]
                for member in coarse.neighbors[shape, token]
            }
            assert set(found[level][shape].nonzero().flatten().tolist()) == expected


def test_covered_patches_follow_the_stored_neighbors_down_to_the_points():
    levels = build_groups(clouds(2), (24, 12, 6), (8, 4, 3))
    patches = torch.randint(9, (2, 64))
    found = covered_patches(levels, patches, 9)
    for shape in range(2):
        for token in range(6):
            points = {
                int(point)
                for middle in levels[2].neighbors[shape, token]
                for fine in levels[1].neighbors[shape, middle]
                for point in levels[0].neighbors[shape, fine]
            }
            expected = {int(patches[shape, point]) for point in points}
            assert set(found[shape, token].nonzero().flatten().tolist()) == expected


def test_packing_keeps_order_and_puts_tokens_back():
    visible = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]).bool()
    tokens = torch.randn(3, 5, 2)
    packing = TokenPacking.of(visible)
    assert packing.indices.shape == (3, 3), "no longer than the most visible"
    assert torch.equal(packing.pack(tokens)[0], tokens[0, [1, 2, 4]])
    back = packing.unpack(packing.pack(tokens), 5)
    assert torch.equal(back, tokens * visible[:, :, None])
    assert torch.equal(packing.unpack(packing.place(tokens[visible]), 5), back)


def test_a_group_embedding_is_its_layers_written_out():
    layer = GroupEmbedding(3, 5, (4, 6, 7)).double().eval()
    members = torch.randn(10, 8, 3, dtype=torch.float64)
    local = layer.local(layer.first(members))
    both = torch.cat([local.amax(1, keepdim=True).expand_as(local), local], 2)
    expected = layer.last(layer.second(both)).amax(1)
    torch.testing.assert_close(layer(members), expected, rtol=1e-10, atol=1e-12)
    order = torch.randperm(8)
    torch.testing.assert_close(layer(members[:, order]), expected, rtol=1e-10, atol=1e-12)


def test_masked_encoding_equals_encoding_each_shape_with_its_visible_tokens_alone():
    """No padding, no neighbor in the batch and no masked token has any part in it."""
    network = encoder(drop_path=0.0).eval()
    points = clouds()
    levels = network.group(points)
    top = torch.tensor([[1, 0, 0, 1, 0, 0], [1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]]).bool()
    visible = visible_levels(levels, top)
    assert len({int(seen.sum()) for seen in visible[0]}) > 1, "shapes differ in how many are visible"
    together = network.features(levels, visible)
    for shape in range(3):
        alone_levels = network.group(points[shape : shape + 1])
        alone = network.features(alone_levels, visible_levels(alone_levels, top[shape : shape + 1]))
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[shape], b[0], rtol=1e-9, atol=1e-10)
    everything = [torch.ones_like(seen) for seen in visible]
    for a, b in zip(network.features(levels, everything), network.features(levels), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_changing_masked_groups_changes_no_visible_token(training):
    network = encoder(drop_path=0.0).train(training)
    levels = network.group(clouds())
    visible = visible_levels(levels, torch.tensor([[1, 0, 0, 1, 0, 0]] * 3).bool())
    before = network.features(levels, visible)
    hidden = ~visible[0]
    levels[0].offsets[hidden] += 100 * torch.randn_like(levels[0].offsets[hidden])
    for a, b in zip(before, network.features(levels, visible), strict=True):
        assert torch.equal(a, b)
    # The released program embeds masked groups, too: while training, BatchNorm lets them through.
    leaky = network.features(levels, visible, embed_masked=True)
    levels[0].offsets[hidden] += 1
    again = network.features(levels, visible, embed_masked=True)
    assert torch.equal(leaky[2], again[2]) != training


def test_points_interpolate_between_their_three_nearest():
    sources, features = clouds(2, 7), torch.randn(2, 7, 4, dtype=torch.float64)
    targets = clouds(2, 9)
    found = interpolate(targets, sources, features)
    for shape in range(2):
        for target in range(9):
            squared = (sources[shape] - targets[shape, target]).square().sum(1)
            nearest = squared.argsort()[:3]
            weights = 1 / (squared[nearest] + 1e-8)
            expected = (weights[:, None] * features[shape, nearest]).sum(0) / weights.sum()
            torch.testing.assert_close(found[shape, target], expected)
    torch.testing.assert_close(interpolate(sources, sources, features), features, rtol=1e-4, atol=1e-5)
    assert interpolate(targets, sources[:, :2], features[:, :2]).shape == (2, 9, 4)


def test_features_of_clouds_and_of_points():
    network = encoder().eval()
    points = clouds()
    assert network.dim == 24
    top = network.features(network.group(points))[2]
    torch.testing.assert_close(network(points), top.mean(1) + top.amax(1))
    assert network.point_features(points).shape == (3, 64, 8 + 16 + 24)
    alone = torch.cat([network(cloud[None]) for cloud in points])
    torch.testing.assert_close(network(points), alone, rtol=1e-9, atol=1e-9)


def test_order_of_points_beyond_the_first_does_not_matter():
    """Farthest points are chosen from index 0 on, as released; the others may stand in any order."""
    network = encoder().eval()
    points = clouds()
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(63)])
    torch.testing.assert_close(network(points[:, order]), network(points), rtol=1e-9, atol=1e-9)
    found, expected = network.point_features(points[:, order]), network.point_features(points)[:, order]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_radii_limit_attention():
    points = clouds()
    everywhere, wide, narrow = (
        copy.deepcopy(encoder(radii=radii)) for radii in (None, [99.0] * 3, [1e-6] * 3)
    )
    for other in (wide, narrow):
        other.load_state_dict(everywhere.state_dict())
    a, b, c = (network.eval()(points) for network in (everywhere, wide, narrow))
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, c)


def test_duplicates_types_and_mixed_precision():
    network = PointM2AE(**SMALL).train()
    points = torch.randn(3, 64, 3)
    points[:, 8:] = points[:, :1]
    points[2] = 0
    network(points).square().sum().backward()
    idle = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert idle == {f"norms.{level}.{part}" for level in (0, 1) for part in ("weight", "bias")}
    gradients = (parameter.grad for parameter in network.parameters() if parameter.grad is not None)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(3, 64, 3)).square().mean().backward()
    network.eval()
    points = torch.randn(4, 64, 3).bfloat16().float()
    half = copy.deepcopy(network).bfloat16()(points.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - network(points)).norm() < 0.2 * network(points).norm()


def test_saving_and_loading(tmp_path):
    network = PointM2AE(**SMALL, radii=[0.3, 0.6, 1.2]).eval()
    network.save_pretrained(tmp_path / "encoder")
    loaded = load(tmp_path / "encoder")
    points = torch.randn(2, 64, 3)
    assert loaded.options == network.options
    assert torch.equal(loaded(points), network(points))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": (24, 12)}, "expected one for each of 3 levels"),
        ({"groups": (12, 24, 6)}, "fewer groups from level to level"),
        ({"neighbors": (8, 25, 3)}, "more neighbors than the level below has tokens"),
        ({"dims": (8, 16, 22)}, "22 channels cannot be shared by 4 heads"),
        ({"drop_path": 1.0}, "drop_path is 1.0"),
        ({"width": 0}, "nothing negative"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        encoder(**changes)


def test_too_few_points_are_refused():
    with pytest.raises(UserError, match="clouds have 40 points, this Point-M2AE makes 48 groups of 8"):
        encoder(groups=(48, 12, 6))(clouds(1, 40))


def test_a_released_file_inside_a_checkpoint_and_one_that_lacks_a_part(tmp_path):
    """Under the key `base_model`, with `module.` before every name and a decoder beside the encoder."""
    import numpy as np
    from test_golden import FOLDER

    numbers = np.load(FOLDER / "point_m2ae.npz")
    state = {
        f"module.{key[6:]}": torch.from_numpy(numbers[key]) for key in numbers if key.startswith("state/")
    }
    sizes = {"groups": (64, 32, 16), "neighbors": (16, 8, 8)}
    torch.save({"base_model": state, "epoch": 299}, tmp_path / "checkpoint.pth")
    network, projection = load_official(tmp_path / "checkpoint.pth", **sizes)
    assert projection is None
    feature = network.double()(torch.from_numpy(numbers["input/points"]))
    torch.testing.assert_close(feature, torch.from_numpy(numbers["eval/feature"]), rtol=1e-8, atol=1e-8)
    for missing in ("encoder_norms.1.weight", "encoder_pos_embeds.0.0.bias"):
        rest = {name: tensor for name, tensor in state.items() if missing not in name}
        torch.save(rest, tmp_path / "broken.pth")
        with pytest.raises(UserError, match=r"broken\.pth.* is missing"):
            load_official(tmp_path / "broken.pth", **sizes)

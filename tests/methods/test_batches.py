"""What the contrastive methods make of stored shapes."""

import itertools

import numpy as np
import pytest
import torch
from contrastive import built, stored

from adacross.errors import UserError
from adacross.methods import Batch, base


def drawn(seed: int, points: int | None = 48) -> Batch:
    return built("crossnet", points).batch(stored(), torch.Generator().manual_seed(seed))


def equal(one: Batch, two: Batch) -> list[bool]:
    return [torch.equal(getattr(one, name), getattr(two, name)) for name in ("clouds", "rgb", "gray")]


def test_a_batch_follows_from_the_generators_seed():
    assert equal(drawn(5), drawn(5)) == [True, True, True]
    assert equal(drawn(5), drawn(6)) == [False, False, False]


def test_a_batch_neither_reads_nor_moves_global_randomness():
    method, batches = built("adacrossnet", 48), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  the global state is what is meant
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        batches.append(method.batch(stored(), torch.Generator().manual_seed(9)))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert equal(*batches) == [True, True, True]


def test_following_batches_of_one_generator_differ():
    method, source = built("crosspoint"), torch.Generator().manual_seed(3)
    first, second = (method.batch(stored(), source) for _ in range(2))
    assert equal(first, second) == [False, False, False]


@pytest.mark.parametrize(("points", "expected"), [(None, 64), (64, 64), (40, 40)])
def test_points_and_pictures_have_the_size_asked_for(points: int | None, expected: int):
    made = drawn(0, points)
    assert made.clouds.shape == (2, 6, expected, 3)
    assert made.rgb.shape == (6, 3, 32, 32)
    assert made.gray.shape == (6, 1, 32, 32)


def test_the_two_clouds_are_drawn_and_augmented_independently(monkeypatch: pytest.MonkeyPatch):
    subsets = []
    draw = base.draw_points
    monkeypatch.setattr(base, "draw_points", lambda *given: subsets.append(draw(*given)) or subsets[-1])
    made = drawn(0, 40)
    first, second = ({tuple(row.tolist()) for row in cloud[0]} for cloud in subsets)
    assert first != second
    one, two = (cloud - cloud.mean(1, keepdim=True) for cloud in made.clouds)
    assert not torch.allclose(one.norm(dim=2).amax(1), two.norm(dim=2).amax(1), rtol=0.01)  # scales differ


def test_shapes_without_pictures_are_refused_by_name():
    with pytest.raises(UserError, match="CrossPoint needs an image of every shape"):
        built("crosspoint").batch(stored(pictures=False), torch.Generator())


def test_stored_clouds_are_left_as_they_are():
    raw = stored()
    before = raw.points.clone()
    built("crosspoint").batch(raw, torch.Generator().manual_seed(0))
    assert torch.equal(raw.points, before)


def flat_pictures(*colors: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(colors, dtype=torch.uint8)[:, None, None].expand(-1, 40, 40, 3).contiguous()


def equally_light() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Two colors of one luma: 0.299 r + 0.587 g + 0.114 b moves by exactly 0 along this step."""
    step = next(
        (r, g, b)
        for r, g, b in itertools.product(range(1, 100), range(-99, 0), range(-99, 100))
        if 299 * r + 587 * g + 114 * b == 0
    )
    return (100, 128, 128), tuple(at + by for at, by in zip((100, 128, 128), step, strict=True))


def test_the_gray_variant_looks_through_its_gray_tower():
    pictures = flat_pictures(*equally_light())
    assert not torch.equal(pictures[0], pictures[1])
    one, two = built("crossnet", variant="gray").embed_pictures(pictures)
    assert one.shape == (256,)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    one, two = built("crossnet", variant="con").embed_pictures(pictures)
    assert (one - two).norm() > 0.01 * one.norm()


def test_embedded_pictures_are_normalized_as_published():
    """A picture of the published mean color is 0 to the tower, one of a deviation more is 1."""
    method = built("crossnet", variant="gray")
    light = torch.full((1, 1, 32, 32), (128 / 255 - 0.485) / 0.229)
    torch.testing.assert_close(
        method.embed_pictures(flat_pictures((128, 128, 128))),
        method.towers["gray"](light),
        atol=1e-4,
        rtol=1e-4,
    )

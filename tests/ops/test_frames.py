"""Principal frames of clouds: against an eigendecomposition, of turned clouds, of flat ones."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from adacross.ops.frames import principal_frames


def clouds(count: int = 50, points: int = 200) -> Tensor:
    """Clouds with three clearly different variances, in all orientations."""
    generator = torch.Generator().manual_seed(0)
    stretched = torch.randn(count, points, 3, generator=generator) * torch.tensor([3.0, 2.0, 1.0])
    return stretched @ rotations(count).mT + 0.5


def rotations(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix()).float()


def test_the_axes_are_eigenvectors_in_the_order_of_their_variances() -> None:
    points = clouds()
    centered = (points - points.mean(1, keepdim=True)).double()
    _, vectors = torch.linalg.eigh(centered.mT @ centered)
    expected = vectors.mT.flip(1)
    for frame in principal_frames(points).unbind(1):
        torch.testing.assert_close(
            (frame.double() * expected).sum(2).abs(), torch.ones(50, 3).double(), atol=1e-5, rtol=0
        )


def test_the_frames_are_four_different_rotations() -> None:
    frames = principal_frames(clouds())
    torch.testing.assert_close(frames @ frames.mT, torch.eye(3).expand(50, 4, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(50, 4))
    products = torch.einsum("btij,bsij->bts", frames, frames)  # the traces of T S': 3 for equal ones, else -1
    torch.testing.assert_close(products, (4 * torch.eye(4) - 1).expand(50, 4, 4), atol=1e-5, rtol=0)


def test_those_of_a_rotated_cloud_are_rotated() -> None:
    points, turn = clouds(), rotations(50, seed=1)
    before, after = principal_frames(points) @ turn.mT[:, None], principal_frames(points @ turn.mT)
    same = torch.einsum("btij,bsij->bts", before, after).sub(3).abs() < 1e-3
    assert same.sum(1).eq(1).all()
    assert same.sum(2).eq(1).all()


@pytest.mark.parametrize("extent", [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_and_round_clouds_have_frames(extent: tuple[float, ...], dtype: torch.dtype) -> None:
    angle = torch.linspace(0, 2 * np.pi, 33, dtype=dtype)[:-1]
    ring = torch.stack([torch.zeros_like(angle), angle.cos(), angle.sin()], dim=1)
    points = torch.cat([ring, ring.roll(1, 1), ring.roll(2, 1)]) * torch.tensor(extent, dtype=dtype)
    (frames,) = principal_frames(points[None])
    torch.testing.assert_close(frames @ frames.mT, torch.eye(3, dtype=dtype).expand(4, 3, 3))

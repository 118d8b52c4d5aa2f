"""The contrastive methods at a size for tests, their data, and NT-Xent as its definition has it."""

from typing import Any

import torch
from torch import Tensor

from adacross.data.transforms import RawBatch
from adacross.encoders import PointNet
from adacross.methods import Batch, CrossModal, ImageTowerConfig, build_method

IMAGES = ImageTowerConfig("resnet18", {"width": 8}, size=32)
CONTRASTIVE: list[tuple[str, dict[str, Any]]] = [
    ("adacrossnet", {}),
    ("crosspoint", {}),
    *[("crossnet", {"variant": variant}) for variant in ("con", "joint", "color", "gray")],
]


def built(name: str, points: int | None = None, **options: Any) -> CrossModal:
    """A method with the same weights at every call, in eval mode: BatchNorm then treats rows one by one."""
    torch.manual_seed(1)
    method = build_method(name, PointNet(width=32), IMAGES, points, **options)
    assert isinstance(method, CrossModal)
    return method.eval()


def batch() -> Batch:
    torch.manual_seed(0)
    return Batch(torch.randn(2, 6, 40, 3), torch.randn(6, 3, 32, 32), torch.randn(6, 1, 32, 32))


def stored(shapes: int = 6, points: int = 64, pictures: bool = True) -> RawBatch:
    source = torch.Generator().manual_seed(2)
    views = torch.randint(256, (shapes, 40, 40, 3), dtype=torch.uint8, generator=source)
    clouds = torch.rand(shapes, points, 3, generator=source) - 0.5
    return RawBatch(clouds, views if pictures else None)


def by_definition(a: Tensor, b: Tensor, temperature: float, objects: list[int] | None = None) -> Tensor:
    """NT-Xent, row by row; rows of one of the `objects` are no negatives of each other."""
    rows = torch.nn.functional.normalize(torch.cat([a, b]).double(), dim=1)
    M = len(a)
    shown = (objects or list(range(M))) * 2
    total = torch.zeros((), dtype=torch.double)
    for p in range(2 * M):
        partner = (p + M) % (2 * M)
        negatives = [q for q in range(2 * M) if q not in (p, partner) and shown[q] != shown[p]]
        similar = (rows[p] @ rows.T / temperature).exp()
        total = total - (similar[partner] / (similar[partner] + similar[negatives].sum())).log()
    return total / (2 * M)


def agree(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """The same terms, to float32's precision."""
    assert set(found) == set(expected)
    for name, value in found.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)

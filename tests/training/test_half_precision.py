"""Layers, losses and whole methods in half precision: off by its rounding, and by nothing more."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from toy import TOY_M2AE
from toy_runs import configured

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.distributed.group import ProcessGroup
from adacross.encoders import DGCNN, ENCODERS, PointM2AE, PointNet, ResNet
from adacross.losses.nt_xent import nt_xent
from adacross.methods import METHODS
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer
from adacross.ops.neighbors import knn
from adacross.ops.precision import rounded_products
from adacross.training.checkpoint import checkpoints, load_checkpoint
from adacross.training.loader import BatchLoader
from adacross.training.loop import loss_terms, to_device
from adacross.training.networks import new_method
from adacross.training.pretrain import pretrain
from adacross.version import KERNELS

ROUNDING = {torch.bfloat16: 2**-8, torch.float16: 2**-11}  # half the distance of two numbers next to 1
HALF = pytest.mark.parametrize("dtype", ROUNDING)
CHANNELS, POINTS, NEIGHBORS = 6, 1500, 12
LAYERS: dict[str, tuple[Any, Any]] = {
    "edge": (lambda: EdgeLayer(CHANNELS, 16), lambda layer, x, around: layer(x, around)),
    "edge pair": (lambda: EdgePairLayer(CHANNELS, 12, 16), lambda layer, x, around: layer(x, around)),
    "pool": (lambda: PointLayer(CHANNELS, 16), lambda layer, x, around: layer.pooled(x)),
    "max and mean": (lambda: PointLayer(CHANNELS, 16, 0.2), lambda layer, x, around: layer.max_and_mean(x)),
    "groups": (
        lambda: nn.ModuleList([PointLayer(2 * 8, 16, bias=True), nn.Linear(CHANNELS, 8), nn.Linear(16, 10)]),
        lambda three, x, around: three[0].pooled_groups(x.reshape(-1, 60, CHANNELS), *three[1:]),
    ),
}


def far_off(dtype: torch.dtype) -> Tensor:
    """Features a hundred deviations from 0, rounded: a sum of so many in half precision would stand still."""
    torch.manual_seed(0)
    return (torch.randn(2, POINTS, CHANNELS, dtype=torch.float64) * 4 + 400).to(dtype)


def buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: each for name, each in module.named_buffers() if each.is_floating_point()}


def close(found: Tensor, expected: Tensor, allowed: float) -> None:
    assert found.isfinite().all()
    difference = (found.double() - expected.double()).abs().max() / expected.double().abs().max()
    assert difference <= allowed, float(difference)


@HALF
@pytest.mark.parametrize("name", LAYERS)
def test_a_fused_layer_counts_its_statistics_in_float32_and_rounds_once(name: str, dtype: torch.dtype):
    make, call = LAYERS[name]
    torch.manual_seed(1)
    layer = make().train()
    exact = copy.deepcopy(layer).double()
    x = far_off(dtype).requires_grad_()
    wide = x.detach().double().requires_grad_()
    around = knn(wide.detach(), NEIGHBORS)
    found, expected = call(layer, x, around), call(exact, wide, around)
    assert found.dtype == dtype
    close(found, expected, ROUNDING[dtype] + 1e-3)
    for key, value in buffers(exact).items():
        assert buffers(layer)[key].dtype == torch.float32
        close(buffers(layer)[key], value, 1e-4)
    slope = torch.randn(expected.shape, dtype=torch.float64)
    parameters, its = list(layer.parameters()), list(exact.parameters())
    gradients = torch.autograd.grad(found, [x, *parameters], slope.to(dtype))
    for one, other in zip(gradients, torch.autograd.grad(expected, [wide, *its], slope), strict=True):
        if other.abs().max() > 1e-9:  # a product's own bias has none: BatchNorm takes it away
            assert torch.cosine_similarity(one.double().flatten(), other.flatten(), dim=0) > 0.995


@HALF
def test_nt_xent_of_large_features_neither_overflows_nor_loses_digits(dtype: torch.dtype):
    """The squares of such features overflow float16, and their sums stand still in bfloat16."""
    torch.manual_seed(0)
    a, b = (300 * torch.randn(2, 64, 256)).to(dtype)
    found, expected = nt_xent(a, b, 0.1), nt_xent(a.double(), b.double(), 0.1)
    assert found.dtype == torch.float32
    close(found, expected, 1e-6)


def test_neighbors_and_losses_are_exact_where_other_products_are_rounded(monkeypatch: pytest.MonkeyPatch):
    """Torch's search for neighbors: a kernel's products are never rounded."""
    monkeypatch.setenv(KERNELS, "0")
    torch.manual_seed(0)
    features, others = 3 + torch.randn(2, 40, 64)
    points = 3 + 0.1 * torch.randn(2, 300, 64)
    with rounded_products(True):
        assert torch.get_float32_matmul_precision() == "medium"
        found = knn(points, 5), nt_xent(features, others, 0.1)
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.equal(found[0], knn(points, 5))
    assert torch.equal(found[1], nt_xent(features, others, 0.1))


def test_the_precision_of_products_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), rounded_products(True):
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_backward_pass_of_a_bf16_run_rounds_products(toy_collection: Collection, tmp_path: Path):
    """In the threads of autograd, too: the setting is seen while gradients are computed."""
    seen = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return grad

    class Watching(PointNet):
        def forward(self, points: Tensor) -> Tensor:
            return Watched.apply(super().forward(points))

    options = {"precision": "bf16", "epochs": 1, "monitor_every": 0, "encoder": "watching"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "watching", Watching)
        pretrain(configured(toy_collection, tmp_path / "run", **options))
    assert set(seen) == {"medium"}


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_terms_in_bf16_are_those_of_float32_but_for_rounding(
    toy_collection: Collection, tmp_path: Path, method: str
):
    """The same weights, shapes and random numbers: terms come out in float32, gradients point one way."""
    terms, gradients = {}, {}
    for precision in ("float32", "bf16"):
        config = configured(toy_collection, tmp_path / "run", method=method, precision=precision)
        network = new_method(config)
        pictures = None
        if METHODS[method].uses_images:
            pictures = DecodedViews(toy_collection, tmp_path, 0)
        loader = BatchLoader(toy_collection, np.arange(48), 48, 0, pictures)
        group = ProcessGroup(torch.device("cpu"))
        terms[precision] = loss_terms(network, to_device(loader.load(0), group.device), config, 0, group)
        sum(terms[precision].values()).backward()
        every = [each.grad.flatten() for each in network.encoder.parameters() if each.grad is not None]
        gradients[precision] = torch.cat(every)
    for name, term in terms["bf16"].items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(terms["float32"][name].item(), rel=0.02)
    assert torch.cosine_similarity(gradients["bf16"], gradients["float32"], dim=0) > 0.9


class Products(TorchDispatchMode):
    """Counts forward products and convolutions by the type of what they multiply."""

    def __init__(self) -> None:
        super().__init__()
        self.count = {torch.bfloat16: 0, torch.float32: 0}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in ("mm", "addmm", "bmm", "convolution"):
            self.count[next(each.dtype for each in args if isinstance(each, Tensor) and each.ndim > 1)] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("make", "shape", "bfloat16", "float32"),
    [
        (lambda: DGCNN(k=5, width=32), (2, 64, 3), 0, 4 * 3 + 1),
        (lambda: PointNet(width=32), (2, 64, 3), 4, 1),
        (lambda: ResNet(18, 3, 8), (2, 3, 32, 32), 20, 0),
        (lambda: PointM2AE(**TOY_M2AE), (2, 64, 3), 13, 18),
    ],
    ids=["dgcnn", "pointnet", "resnet", "point-m2ae"],
)
def test_what_is_computed_in_bfloat16(
    make: Any, shape: tuple[int, ...], bfloat16: int, float32: int, monkeypatch: pytest.MonkeyPatch
):
    """What the help of `--precision` says: fused layers, and the search for neighbors, stay in float32."""
    monkeypatch.setenv(KERNELS, "0")  # a kernel's products are not torch's, and float32 always
    network = make().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Products() as products:
        network(torch.randn(shape))
    assert products.count == {torch.bfloat16: bfloat16, torch.float32: float32}


@pytest.mark.slow
def test_weights_optimizer_and_statistics_of_a_bf16_run_are_float32(
    toy_collection: Collection, tmp_path: Path
):
    options = {"precision": "bf16", "epochs": 1, "monitor_every": 0}
    run = pretrain(configured(toy_collection, tmp_path / "run", **options))
    state = load_checkpoint(checkpoints(run)[-1])
    kept = list(state["method"].values())
    for entry in state["optimizer"]["state"].values():
        kept += entry.values()
    assert {each.dtype for each in kept if each.is_floating_point()} == {torch.float32}

"""What processes that share a batch must agree on with one process that has all of it. Run by `ranks`."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ranks import same_ratio
from torch import Tensor, distributed, nn
from toy import TOY_M2AE

from adacross.data.transforms import RawBatch
from adacross.distributed.batch import (
    BatchSlice,
    all_gather,
    distributed_batch,
    mean_contribution,
    sample_for_batch,
)
from adacross.encoders import ENCODERS
from adacross.losses.nt_xent import nt_xent
from adacross.methods import ImageTowerConfig, Method, build_method
from adacross.nn.batch_norm import BatchNorm1d, BatchNorm2d
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer

SHAPES = 8  # in 3 processes: 2, 3 and 3


def share(total: int = SHAPES) -> BatchSlice:
    return BatchSlice.of(total, distributed.get_rank(), distributed.get_world_size())


def rows(tensor: Tensor) -> Tensor:
    """This process's, as a leaf of its own."""
    return tensor[share(len(tensor)).rows].detach().clone().requires_grad_(tensor.requires_grad)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def total(part: Tensor) -> Tensor:
    whole = part.detach().clone()
    distributed.all_reduce(whole)
    return whole


def compare(
    network: nn.Module, x: Tensor, run: Callable[[nn.Module, Tensor], Tensor], skip: Iterable[str] = ()
) -> None:
    """A network on this process's rows against itself on all: values, gradients, running statistics."""
    network = network.double().train()
    for parameter in network.parameters():
        parameter.data.copy_(random(*parameter.shape))  # some gains are negative
    alone = deepcopy(network)
    x = x.detach().clone().requires_grad_()
    mine = rows(x)
    with distributed_batch(share(len(x))):
        output = run(network, mine)
    direction = random(len(x), *output.shape[1:])
    expected = run(alone, x)
    same_ratio(output, expected[share(len(x)).rows], "values")
    (expected * direction).sum().backward()
    (output * rows(direction)).sum().backward()
    same_ratio(mine.grad, x.grad[share(len(x)).rows], "the input's gradient")
    for (name, parameter), other in zip(network.named_parameters(), alone.parameters(), strict=True):
        if name not in skip:
            same_ratio(total(parameter.grad), other.grad, f"gradient of {name}")
    for (name, buffer), other in zip(network.named_buffers(), alone.buffers(), strict=True):
        same_ratio(buffer, other, name)


def check_shares_make_up_the_batch(folder: Path) -> None:
    whole = random(7, 3)
    mine = rows(whole)
    with distributed_batch(share(7)):
        every, before = all_gather(mine)
        assert torch.equal(every, whole)
        assert before == share(7).start
        same_ratio(total(mean_contribution(mine)), whole.mean(), "mean")
        sampled = sample_for_batch(torch.rand, (len(mine), 2), generator=torch.Generator().manual_seed(1))
    assert torch.equal(sampled, rows(torch.rand(7, 2, generator=torch.Generator().manual_seed(1))))
    assert all_gather(mine)[0] is mine  # outside, every process is by itself


def check_nt_xent_compares_with_all_processes(folder: Path) -> None:
    owners = [
        BatchSlice.of(7, process, distributed.get_world_size())
        for process in range(distributed.get_world_size())
    ]
    shown = torch.cat([torch.arange(one.stop - one.start) // 2 + 10 * one.start for one in owners])
    for objects in (None, shown):
        a, b = (side.clone().requires_grad_() for side in random(2, 7, 5))
        mine_a, mine_b = rows(a), rows(b)
        expected = nt_xent(a, b, 0.1, objects=objects)
        with distributed_batch(share(7)):  # numbers of objects are a process's own
            mine = None if objects is None else rows(objects) - 10 * share(7).start
            part = nt_xent(mine_a, mine_b, 0.1, objects=mine)
        expected.backward()
        part.backward()
        same_ratio(total(part), expected, "loss")
        for mine, other in ((mine_a, a), (mine_b, b)):
            same_ratio(mine.grad, other.grad[share(7).rows], "gradient")


def check_batch_norm_of_rows_and_pictures(folder: Path) -> None:
    compare(BatchNorm1d(4), random(7, 4) + 5, lambda norm, x: norm(x))
    pictures = random(7, 4, 3, 5).contiguous(memory_format=torch.channels_last)
    compare(BatchNorm2d(4), pictures, lambda norm, x: norm(x))


def check_point_layers(folder: Path) -> None:
    clouds = random(7, 11, 3) + torch.arange(7)[:, None, None]  # each process's points lie elsewhere
    compare(PointLayer(3, 6, bias=True), clouds, lambda layer, x: layer(x), skip=["linear.bias"])
    compare(PointLayer(3, 6), clouds, lambda layer, x: layer.pooled(x))
    compare(PointLayer(3, 6, negative_slope=0.2), clouds, lambda layer, x: layer.max_and_mean(x))


def check_edge_layers(folder: Path) -> None:
    clouds = random(7, 11, 3) + torch.arange(7)[:, None, None]
    neighbors = torch.randint(11, (7, 11, 4), generator=torch.Generator().manual_seed(0))
    for layer in (EdgeLayer(3, 6), EdgePairLayer(3, 5, 6)):
        compare(layer, clouds, lambda layer, x: layer(x, neighbors if len(x) == 7 else rows(neighbors)))


def check_group_layer(folder: Path) -> None:
    class Groups(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.local, self.layer = nn.Linear(3, 4), PointLayer(8, 5, bias=True)
            self.last = nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer.pooled_groups(x, self.local, self.last)

    skip = ["layer.linear.bias", "local.bias"]
    compare(Groups(), random(7, 6, 3) + 2, lambda layer, x: layer(x), skip=skip)


def check_statistics_of_each_process_alone(folder: Path) -> None:
    x, norm = random(7, 4), BatchNorm1d(4).double()
    plain = nn.BatchNorm1d(4).double()
    with distributed_batch(share(7), statistics=False):
        assert torch.equal(norm(rows(x)), plain(rows(x)))
    assert torch.equal(norm.running_var, plain.running_var)


def double(batch: Any) -> Any:
    """A batch's floating tensors in float64."""
    for name, value in vars(batch).items():
        if isinstance(value, Tensor) and value.is_floating_point():
            object.__setattr__(batch, name, value.double())
    return batch


def check_draws_of_several_views(folder: Path) -> None:
    """Rows of a network that sees two views of each shape in one pass, those of view 1 first."""
    torch.manual_seed(3)
    whole = sample_for_batch(torch.rand, (2 * SHAPES, 3))
    expected = torch.cat([rows(view) for view in whole.chunk(2)])
    torch.manual_seed(3)
    with distributed_batch(share()):
        assert torch.equal(sample_for_batch(torch.rand, (len(expected), 3)), expected)


METHODS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("crosspoint", "dgcnn", {"k": 5}, {}),
    ("crossnet", "dgcnn-partseg", {"k": 5}, {"negatives": "others"}),
    ("crossnet", "pointnet-partseg", {}, {"variant": "joint"}),
    ("adacrossnet", "pointnet", {"width": 32}, {"negatives": "released"}),
    ("crosspoint", "point-m2ae", TOY_M2AE | {"depths": [1, 1, 1], "drop_path": 0.3}, {}),
    ("joint-mae", "point-m2ae", TOY_M2AE | {"drop_path": 0.3}, {}),
    ("point-m2ae", "point-m2ae", TOY_M2AE | {"depths": [1, 1, 1], "drop_path": 0.3}, {}),
]


def losses(method: Method, points: Tensor, views: Tensor) -> dict[str, Tensor]:
    """A step's terms; augmentation, masks and dropped branches are drawn from the same seeds."""
    batch = method.batch(RawBatch(points, views), torch.Generator().manual_seed(5))
    torch.manual_seed(7)
    terms = method.losses(double(batch))
    sum(terms.values()).backward()
    return {name: term.detach() for name, term in terms.items()}


def check_every_method_has_one_processs_gradient(folder: Path) -> None:
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(size=(SHAPES, 64, 3)))
    views = torch.from_numpy(rng.integers(255, size=(SHAPES, 32, 32, 3), dtype=np.uint8))
    for name, encoder, encoder_options, method_options in METHODS:
        network = ENCODERS[encoder](**encoder_options)
        images = ImageTowerConfig("resnet18", {"width": 4}, False, 64 if encoder == "point-m2ae" else 32)
        method = build_method(name, network, images, 48, **method_options).double().train()
        alone = deepcopy(method)
        with distributed_batch(share()):
            parts = losses(method, points[share().rows], views[share().rows])
        found = {f"term {term}": total(part) for term, part in parts.items()}
        found |= dict(method.named_buffers())
        for parameter_name, parameter in method.named_parameters():
            if parameter.grad is not None:
                found[parameter_name] = total(parameter.grad)
        if distributed.get_rank() > 0:  # all have the same
            continue
        expected = {f"term {term}": value for term, value in losses(alone, points, views).items()}
        expected |= dict(alone.named_buffers())
        gradients = {key: p.grad for key, p in alone.named_parameters() if p.grad is not None}
        assert found.keys() == (expected | gradients).keys()
        noise = 1e-10 * max(float(gradient.norm()) for gradient in gradients.values())
        for key, value in (expected | gradients).items():
            if key not in gradients or value.norm() > noise:  # a bias before BatchNorm has none but rounding
                same_ratio(found[key], value, f"{name}, {encoder}: {key}")

"""How much faster are the pre-training steps of Point-M2AE and Joint-MAE?

Forward and backward, 2,048 points in 512, 256 and 64 tokens, and the sizes of the laptop recipe, against the
published formulation: all groups embedded, a loop over the clouds that packs visible tokens, dense masks,
whole depth maps. Same weights, inputs and masks. Losses and gradients are compared first: as they are where
ours embeds masked groups, too ("all groups embedded"); else with BatchNorm's running statistics, as the
published formulation lets masked groups into the statistics of the batch, and ours does not.

    python benchmarks/masked.py [--device cuda] [--out masked.json]
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from harness import Limits, Row, compare, device_name, difference, must_agree, publish
from published_masked import PlainJointMAE, PlainPointM2AE
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adacross.encoders import PointM2AE
from adacross.methods import JointMAE, PointM2AEMethod

PAPER = {"groups": (512, 256, 64), "neighbors": (16, 8, 8), "dims": (96, 192, 384), "drop_path": 0.0}
LAPTOP = {
    "groups": (64, 32, 16),
    "neighbors": (8, 8, 8),
    "dims": (48, 96, 192),
    "width": 32,
    "drop_path": 0.0,
}
TOY = LAPTOP | {"groups": (32, 16, 8), "neighbors": (8, 4, 4), "dims": (12, 24, 48), "width": 8}
LAPTOP_JOINT = {
    "target": "coarse",
    "group_points": 64,
    "splat": "hard",
    "radius": 1,
    "conv_depths": (1, 1),
    "shared_depth": 1,
    "image_size": 64,
}
# Name; ours; the published formulation; encoder's options, method's options, clouds, points.
Case = tuple[str, type, type, dict[str, Any], dict[str, Any], int, int]
M2AE, JOINT = (PointM2AEMethod, PlainPointM2AE), (JointMAE, PlainJointMAE)
GOALS = {"Point-M2AE": 4, "Joint-MAE": 3, "Point-M2AE, laptop": 3, "Joint-MAE, laptop": 3}
CASES: list[Case] = [
    ("Point-M2AE, all groups embedded", *M2AE, PAPER, {"embed_masked": True}, 8, 2048),
    ("Point-M2AE", *M2AE, PAPER, {}, 8, 2048),
    ("Joint-MAE", *JOINT, PAPER | {"depths": (0, 0, 12)}, {}, 8, 2048),
    ("Point-M2AE, laptop", *M2AE, LAPTOP | {"depths": (1, 1, 4)}, {}, 32, 512),
    ("Joint-MAE, laptop", *JOINT, LAPTOP | {"depths": (1, 1, 4)}, LAPTOP_JOINT, 32, 512),
]
QUICK: list[Case] = [
    ("Point-M2AE, all groups embedded", *M2AE, TOY | {"depths": (1, 1, 1)}, {"embed_masked": True}, 3, 64),
    ("Point-M2AE", *M2AE, TOY | {"depths": (1, 1, 1)}, {}, 3, 64),
    ("Joint-MAE", *JOINT, TOY | {"depths": (1, 1, 1)}, {"image_size": 64}, 3, 64),
    ("Joint-MAE, laptop", *JOINT, TOY | {"depths": (1, 1, 1)}, LAPTOP_JOINT | {"group_points": 16}, 3, 64),
]


def clouds(count: int, points: int, device: str) -> Tensor:
    """Points on ellipsoids in the unit sphere."""
    directions = nn.functional.normalize(torch.randn(count, points, 3), dim=2)
    return (directions * (0.3 + 0.7 * torch.rand(count, 1, 3))).to(device)


def step(method: nn.Module, batch: object) -> dict[str, Tensor]:
    """Forward and backward; the terms."""
    method.zero_grad(set_to_none=True)
    terms = method.losses(batch)
    sum(terms.values()).backward()
    return {name: term.detach() for name, term in terms.items()}


def check_same(what: str, ours: nn.Module, plain: nn.Module, points: Tensor, frozen: bool) -> float:
    """Largest relative difference of the terms and of all gradients, of three clouds.

    In float64, where neither rounding nor a tie that falls another way hides a mistake.
    """
    for method in (ours, plain):
        method.double().train(not frozen)
    batch = ours.masked(points[:3].double(), torch.Generator(points.device).manual_seed(1))
    terms, others = (step(method, batch) for method in (ours, plain))
    found = [difference(terms[name], others[name]) for name in terms]
    gradients = {name: own.grad for name, own in plain.named_parameters() if own.grad is not None}
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, own in ours.named_parameters():
        if own.grad is not None:  # some are 0 but for rounding: biases that a BatchNorm takes away again
            gradient = gradients[name].view_as(own)
            scale = max(float(gradient.abs().max()), 1e-4 * largest)
            found.append(float((own.grad - gradient).abs().max()) / scale)
    for method in (ours, plain):
        method.float().train()
    return must_agree(what, max(found), 1e-7)


def products(method: nn.Module, batch: object) -> int:
    """Operations of the matrix products, convolutions and attentions of a step, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        step(method, batch)
    return counter.get_total_flops()


def measured(case: Case, turns: int, device: str, limits: Limits) -> Row:
    """One comparison, and the floor: the products of our step at the rate of a large one."""
    what, our_class, plain_class, encoder, options, count, points = case
    torch.manual_seed(0)
    ours = our_class(PointM2AE(**encoder), **options).to(device)
    plain = plain_class(ours).to(device)
    cloud = clouds(count, points, device)
    found = check_same(what, ours, plain, cloud, frozen=not options.get("embed_masked", False))
    batch = ours.masked(cloud, torch.Generator(device).manual_seed(0))
    jobs = {"plain": lambda: step(plain, batch), "ours": lambda: step(ours, batch)}
    times = compare(jobs, turns, device)
    needed, published = products(ours, batch), products(plain, batch)
    words = (
        f"{what}: {needed / 1e9:.0f} of the published formulation's {published / 1e9:.0f} GFLOP of products"
    )
    goal, what = GOALS.get(what), f"{what}, {count} x {points:,} points"
    return Row.of(what, device_name(device), times, goal, found, None, limits.seconds(needed), words)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    limits = Limits.measured(options.device)
    cases = QUICK if options.quick else CASES
    rows = [measured(case, options.turns, options.device, limits) for case in cases]
    publish("A step of masked pre-training, forward and backward", rows, options.out)


if __name__ == "__main__":
    main()

"""How much faster is a whole step of AdaCrossNet?

Augmentation, forward, both loss terms, weights, backward and Adam, from points and pictures in memory. The
published formulation augments sample by sample, builds every edge or convolves `(B, C, N)`, and sees pictures
in the order `(B, C, H, W)`. Both towers start with the same weights; the losses of one augmented batch are
first checked to be equal.

    python benchmarks/step.py [--out step.json]
    python benchmarks/step.py --device cuda [--bf16]    (DGCNN, two ResNet-50 at 224 px, batch 32)

The floor is the time of the convolutions alone, each measured on this machine forward and backward in the
order of memory that is faster, and of PointNet's products at the measured rate of matrix products. Both ways
must do these.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from harness import Limits, Row, best, compare, device_name, must_agree, publish
from PIL import Image
from published import PLAIN
from published_samples import plain_batch
from torch import Tensor, nn

from adacross.data.transforms import RawBatch
from adacross.encoders import DGCNN, Encoder, PointNet, ResNet
from adacross.losses.nt_xent import nt_xent
from adacross.losses.weighting import WEIGHTINGS
from adacross.methods import AdaCrossNet
from adacross.training.networks import on_device
from adacross.training.optim import make_optimizer


class PlainResNet(nn.Module):
    """One of our ResNets in the usual order of memory."""

    def __init__(self, ours: ResNet) -> None:
        super().__init__()
        self.first = nn.Sequential(ours.conv1, ours.bn1, nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.layers = nn.Sequential(ours.layer1, ours.layer2, ours.layer3, ours.layer4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(self.first(images.contiguous())).mean((2, 3))


class PlainStep:
    """The published step: per-sample transforms, plain networks, the released weighting."""

    def __init__(self, ours: AdaCrossNet, size: int, device: str) -> None:
        twin = AdaCrossNet(
            type(ours.encoder)(**ours.encoder.options),
            ResNet(ours.towers["rgb"].encoder.depth, 3),
            ResNet(ours.towers["gray"].encoder.depth, 1),
        )
        twin.load_state_dict(ours.state_dict())
        self.encoder = PLAIN[type(ours.encoder)](twin.encoder)
        self.head = twin.point_head
        self.images = nn.ModuleDict({
            name: nn.Sequential(PlainResNet(tower.encoder), tower.head) for name, tower in twin.towers.items()
        })  # fmt: skip
        self.network = nn.ModuleList([self.encoder, self.head, self.images]).to(device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        self.weighting = WEIGHTINGS["adacrossnet"]()
        self.size, self.device, self.rng = size, device, np.random.default_rng(0)

    def terms(self, first: Tensor, second: Tensor, rgb: Tensor, gray: Tensor) -> dict[str, Tensor]:
        """The two losses of an augmented batch."""
        cloud_1, cloud_2 = self.head(self.encoder(torch.cat([first, second]))).chunk(2)
        clouds = torch.cat([cloud_1, cloud_2])
        pictures = torch.cat([self.images["rgb"](rgb), self.images["gray"](gray)])
        objects = torch.arange(len(first), device=first.device).repeat(2)
        return {
            "intra": nt_xent(cloud_1, cloud_2, 0.2),
            "cross": nt_xent(clouds, pictures, 0.2, objects=objects),
        }

    def __call__(self, points: np.ndarray, pictures: list[Image.Image]) -> None:
        """One step."""
        batch = plain_batch(points, pictures, self.size, self.rng)
        finish(self.terms(*(part.to(self.device) for part in batch)), self.weighting, self.optimizer)


def finish(terms: dict[str, Tensor], weighting: object, optimizer: torch.optim.Optimizer) -> None:
    """Weights, backward and optimizer: the same for both."""
    weights = weighting.update({name: float(term.detach()) for name, term in terms.items()})
    loss = sum(weights[name] * term for name, term in terms.items())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def convolution_seconds(network: ResNet, images: Tensor) -> float:
    """Time of the network's convolutions alone, forward and backward, each in its faster order of memory."""
    calls: list[tuple[nn.Conv2d, Tensor]] = []
    hooks = [
        each.register_forward_pre_hook(lambda module, given: calls.append((module, given[0])))
        for each in network.modules()
        if isinstance(each, nn.Conv2d)
    ]
    with torch.no_grad():
        network.train()(images)
    for hook in hooks:
        hook.remove()
    orders = (torch.channels_last, torch.contiguous_format)
    return sum(min(_convolution(*call, order) for order in orders) for call in calls)


def _convolution(module: nn.Conv2d, given: Tensor, order: torch.memory_format) -> float:
    """Seconds of one convolution, forward and backward; best of ten. Images need no gradient."""
    x = given.detach().contiguous(memory_format=order).requires_grad_(given.shape[1] > 3)
    weight = module.weight.detach().contiguous(memory_format=order).requires_grad_()
    needed = [weight, x] if x.requires_grad else [weight]

    def job() -> Tensor:
        y = nn.functional.conv2d(x, weight, None, module.stride, module.padding)
        torch.autograd.grad(y, needed, torch.ones_like(y))
        return y

    return best(job, given.device)


def measure(
    encoder: Encoder, depth: int, shapes: int, points: int, size: int, options: argparse.Namespace
) -> Row:
    """One row: the two formulations' steps on the same shapes."""
    torch.manual_seed(0)
    device = options.device
    ours = AdaCrossNet(encoder, ResNet(depth, 3), ResNet(depth, 1), image_size=size)
    ours = on_device(ours, torch.device(device)).train()
    plain = PlainStep(ours, size, device)
    optimizer, weighting = make_optimizer("adam", ours, 1e-3, 0.0), WEIGHTINGS["adacrossnet"]()
    rng = np.random.default_rng(0)
    clouds = rng.standard_normal((shapes, points, 3), dtype=np.float32)
    views = rng.integers(0, 256, (shapes, size, size, 3), dtype=np.uint8)
    pictures = [Image.fromarray(view) for view in views]
    raw = RawBatch(torch.from_numpy(clouds).to(device), torch.from_numpy(views).to(device))
    generator = torch.Generator(device).manual_seed(0)

    batch = ours.batch(raw, generator)
    with torch.no_grad():
        theirs = plain.terms(*batch.clouds, batch.rgb, batch.gray)
        found = ours.losses(batch)
    apart = max(float(abs(found[name] / theirs[name] - 1)) for name in found)
    must_agree("a step's losses", apart, 1e-3)

    def our_step() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=options.bf16):
            terms = ours.losses(ours.batch(raw, generator))
        finish(terms, weighting, optimizer)

    times = compare({"plain": lambda: plain(clouds, pictures), "ours": our_step}, options.turns, device)
    floor = sum(
        convolution_seconds(tower.encoder, images)
        for tower, images in zip(ours.towers.values(), (batch.rgb, batch.gray), strict=True)
    )
    words = "the convolutions alone, as measured"
    if isinstance(encoder, PointNet):
        products = sum(2.0 * 2 * shapes * points * p.numel() for p in encoder.parameters() if p.ndim == 2)
        floor += Limits.measured(device).seconds(3 * products)
        words += ", and PointNet's products"
    name = type(encoder).__name__
    what = f"AdaCrossNet step, {name} + 2 ResNet-{depth}, {shapes} shapes, {points:,} points, {size} px"
    goal = 8 if isinstance(encoder, DGCNN) else 2.5
    return Row.of(what, device_name(device), times, goal, apart, None, floor, words)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="ours under bfloat16 autocast")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    if options.quick:
        rows = [measure(PointNet(64), 18, 3, 64, 32, options)]
    elif torch.device(options.device).type == "cuda":
        rows = [measure(DGCNN(), 50, 32, 2048, 224, options)]
    else:
        rows = [measure(PointNet(), 18, 16, points, 112, options) for points in (1024, 2048)]
    publish("A step of AdaCrossNet against the published formulation", rows, options.out)


if __name__ == "__main__":
    main()

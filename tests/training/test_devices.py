"""Training on a device that is not the CPU: no tensor is left behind, and the numbers are the CPU's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pretended import DEVICE, Pretended, pretended_device
from torch import nn
from toy import TOY, TOY_M2AE

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.distributed.group import ProcessGroup
from adacross.encoders import ENCODERS
from adacross.losses.weighting import WEIGHTINGS
from adacross.methods import METHODS
from adacross.training.config import PretrainConfig
from adacross.training.loader import BatchLoader
from adacross.training.loop import Training
from adacross.training.monitor import Monitor
from adacross.training.networks import new_method, on_device
from adacross.training.optim import make_optimizer

pytestmark = pytest.mark.slow

ENCODER_ARGS: dict[str, dict[str, Any]] = {
    "pointnet": {"width": 32},
    "pointnet-partseg": {"width": 32},
    "point-m2ae": TOY_M2AE | {"depths": [1, 1, 1], "drop_path": 0.1},
}
MASKED: dict[str, Any] = {"encoder": "point-m2ae", "image_size": 64, "optimizer": "adamw"}
JOBS: list[dict[str, Any]] = [
    *({"method": "adacrossnet", "encoder": name} for name in ENCODERS),
    {"method": "crosspoint", "optimizer": "adamw", "clip_norm": 0.1},
    *({"method": "crossnet", "method_args": {"variant": variant}} for variant in ("joint", "gray")),
    {"method": "crossnet", "optimizer": "sgd", "weighting": "gradnorm", "accumulate": 2},
    *(
        MASKED | {"method": method, "method_args": arguments}
        for method, arguments in (
            ("point-m2ae", {}),
            ("point-m2ae", {"embed_masked": True}),
            ("joint-mae", {}),
            ("joint-mae", {"target": "coarse", "splat": "hard", "radius": 1}),
        )
    ),
]


def job(options: dict[str, Any]) -> PretrainConfig:
    """The options of a toy run."""
    chosen = TOY | options
    arguments = ENCODER_ARGS.get(chosen["encoder"], {"k": 5, "width": 32})
    return PretrainConfig("toy", **chosen | {"batch_size": 4, "encoder_args": arguments})


def training(config: PretrainConfig, collection: Collection, folder: Path, device: torch.device) -> Training:
    """A run that has not begun."""
    method = on_device(new_method(config), device)
    shapes = collection.indices("train")
    images = DecodedViews(collection, folder, 0) if method.uses_images else None
    return Training(
        config,
        folder,
        ProcessGroup(device),
        method,
        make_optimizer(config.optimizer, method, config.learning_rate, config.weight_decay),
        WEIGHTINGS[config.weighting_name](),
        BatchLoader(collection, shapes, config.batch_size, config.seed, images, None, config.accumulate),
        Monitor(collection, shapes[:8], shapes[8:16], 64, device),
    )


def step(run: Training, number: int) -> list[float]:
    """Terms and the gradient's norm of one step."""
    each = run.config.accumulate
    record = run._step(list(run.loader.batches(number * each, (number + 1) * each)))
    return [*record["terms"].values(), record["gradient_norm"]]


def test_every_method_is_tried():
    assert {options["method"] for options in JOBS} == set(METHODS)


@pytest.mark.parametrize("options", JOBS, ids=lambda options: " ".join(map(str, options.values())))
def test_a_step_leaves_nothing_on_the_cpu(
    options: dict[str, Any], toy_collection: Collection, tmp_path: Path
):
    config = job(options)
    here = step(training(config, toy_collection, tmp_path, torch.device("cpu")), 0)
    with pretended_device():
        run = training(config, toy_collection, tmp_path, DEVICE)
        there = step(run, 0)
        step(run, 1)  # with the optimizer's state of the first
    assert there == pytest.approx(here, rel=1e-3)
    state = [*run.method.state_dict().values(), *(each.grad for each in run.method.parameters())]
    assert all(isinstance(each, Pretended) for each in state if each is not None)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_in_evaluation_leaves_nothing_on_the_cpu(name: str):
    encoder = new_method(job({"method": "adacrossnet", "encoder": name})).encoder.eval()
    points = torch.rand(3, 64, 3)
    with torch.no_grad():
        here = encoder(points)
        with pretended_device():
            there = encoder.to(DEVICE)(points.to(DEVICE))
            assert there.device == DEVICE
    torch.testing.assert_close(there.cpu(), here)


@pytest.mark.parametrize(
    "forgotten",
    [
        lambda x: x + torch.ones(3),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x @ torch.eye(3),
        lambda x: torch.cat([x, torch.zeros(1, 3)]),
        lambda x: x.mul_(torch.ones(4, 3)),
        nn.Linear(3, 2),
        lambda x: torch.arange(3.0).add_(x[0]),
    ],
)
def test_a_tensor_that_is_left_on_the_cpu_is_found(forgotten: Any):
    with pretended_device(), pytest.raises(RuntimeError, match="left on the CPU, of shapes"):
        forgotten(torch.rand(4, 3, device=DEVICE))


def test_values_come_back_to_the_cpu_only_when_asked():
    with pretended_device():
        x = torch.ones(2, 3, device=DEVICE)
        assert (float(x.sum()), bool((x > 0).any()), x[x > 0].shape) == (6.0, True, (6,))
        assert x.cpu().numpy().tolist() == [[1.0] * 3] * 2
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()

"""One step's loss terms, a function of weights, shapes, seed and step: it can be taken again at any time."""

import numpy as np
import torch
from torch import Tensor, nn

from adacross.data.transforms.batch import RawBatch
from adacross.distributed.group import Group
from adacross.methods import Method
from adacross.training.config import PretrainConfig


def step_seed(seed: int, step: int) -> int:
    """The seed of one step's randomness: a function of seed and step, so that nothing needs saving."""
    drawn = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return int(drawn >> np.uint64(1))


def loss_terms(
    method: Method, raw: RawBatch, config: PretrainConfig, step: int, group: Group
) -> dict[str, Tensor]:
    """The method's terms at `step` (from 0) on this process's shapes, with gradient, before any weighting.

    Seeds torch's global generators. BatchNorm's running statistics move; no result depends on them.

    Args:
        method: on the group's device.
        raw: this process's shapes, on that device.
        config: for seed, precision and batch size.
        step: steps taken before.
        group: the processes that share the batch.
    """
    device = group.device
    seed = step_seed(config.seed, step)
    method.train()
    with group.batch(config.batch_size, config.sync_batchnorm):
        batch = method.batch(raw, torch.Generator(device).manual_seed(seed))
        torch.manual_seed(seed)  # of what networks draw themselves: branches that are dropped
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            terms: dict[str, Tensor] = method(batch)
    return terms


def gradient_norms(
    terms: dict[str, Tensor], parameters: list[nn.Parameter], group: Group
) -> dict[str, float]:
    """Euclidean norm of each term's gradient with respect to `parameters`, taken together."""
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, parameters, retain_graph=True)
        group.add(gradients)
        norms[name] = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    return norms


def moved(raw: RawBatch, device: torch.device) -> RawBatch:
    """A raw batch on another device."""
    return RawBatch(raw.points.to(device), None if raw.views is None else raw.views.to(device))

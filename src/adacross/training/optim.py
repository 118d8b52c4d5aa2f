"""Optimizers and learning-rate schedules."""

from math import cos, pi
from typing import Any

import torch
from torch import nn

from adacross.training.as_released import freeze_image_towers, released_rate
from adacross.training.config import Optimizer, Schedule

MOMENTUM = 0.9


def make_optimizer(
    name: Optimizer, network: nn.Module, rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return an optimizer of a network's parameters (a method's or a classifier's) that require gradients.

    - `adam`: weight decay is an L2 term in the gradient (the contrastive papers).
    - `adamw`: decoupled weight decay; none on biases, norms and learned tokens (Point-M2AE, and so Joint-MAE
      by fallback).
    - `sgd`: momentum 0.9; a rate of 0.1 for the released SGD.
    - `sgd-released`: `sgd` without the image towers, see `as_released.freeze_image_towers`.
    """
    if name == "sgd-released":
        freeze_image_towers(network)
    trained = {each: parameter for each, parameter in network.named_parameters() if parameter.requires_grad}
    match name:
        case "adam":
            return torch.optim.Adam(trained.values(), rate, weight_decay=weight_decay, fused=True)
        case "adamw":
            decaying, rest = list[nn.Parameter](), list[nn.Parameter]()
            for each, weight in trained.items():
                (decaying if weight.ndim > 1 and not each.endswith("token") else rest).append(weight)
            groups: list[dict[str, Any]] = [{"params": decaying}, {"params": rest, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, rate, weight_decay=weight_decay, fused=True)
    return torch.optim.SGD(trained.values(), rate, momentum=MOMENTUM, weight_decay=weight_decay)


def learning_rate(
    schedule: Schedule, base: float, step: int, steps_per_epoch: int, epochs: int, warmup: int = 0
) -> float:
    """Return the learning rate at `step` (from 0).

    - `cosine`: half a cosine over the whole run, from `base` to 0, after `warmup` steps of linear rise. Ours.
    - `epoch`: CrossPoint's: constant within an epoch, the scheduler stepped before each epoch, so that the
      first runs below `base` and the last at exactly 0.
    - `released`: CrossNet's and AdaCrossNet's, see `as_released.released_rate`.
    - `constant`: `base`, after the warmup.

    Example:
        >>> [learning_rate("cosine", 0.1, step, steps_per_epoch=2, epochs=1) for step in range(2)]
        [0.1, 0.05]
    """
    match schedule:
        case "epoch":
            return base * (1 + cos(pi * (step // steps_per_epoch + 1) / epochs)) / 2
        case "released":
            return released_rate(base, step, epochs)
    if step < warmup:
        return base * (step + 1) / (warmup + 1)
    if schedule == "constant":
        return base
    return base * (1 + cos(pi * (step - warmup) / max(1, steps_per_epoch * epochs - warmup))) / 2

"""The optimisers of the papers and of their released programs."""

from typing import Literal

import torch
from torch import nn

from adacross.errors import UserError
from adacross.methods import CrossModal

Optimizer = Literal["adam", "adamw", "sgd", "sgd-released"]
MOMENTUM = 0.9


def make_optimizer(
    name: Optimizer, network: nn.Module, rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimiser of a network's parameters (a method's, or a classifier's).

    - `adam`: all networks; weight decay is an L2 term in the gradient (the contrastive papers).
    - `adamw`: all networks; weight decay is apart from the gradient, and there is none on biases, norms and
      learnt tokens (Point-M2AE, and so Joint-MAE by fallback).
    - `sgd`: momentum 0.9, all networks.
    - `sgd-released`: what `--use_sgd` of the released CrossNet and AdaCrossNet programs does: the optimiser
      is given the point network and its projection alone, so the ResNets stay as they were drawn.

    Args:
        name: which of them.
        network: whose parameters; with `sgd-released` its other networks stop asking for gradients.
        rate: learning rate (0.1 for the released SGD).
        weight_decay: coefficient.

    Raises:
        UserError: `sgd-released` for a method that has no image towers to leave out.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    match name:
        case "adam":
            return torch.optim.Adam(trained, rate, weight_decay=weight_decay, fused=True)
        case "adamw":
            groups = [
                {"params": _decaying(network, True), "weight_decay": weight_decay},
                {"params": _decaying(network, False), "weight_decay": 0.0},
            ]
            return torch.optim.AdamW(groups, rate, fused=True)
        case "sgd-released":
            if not isinstance(network, CrossModal):
                raise UserError(
                    "optimizer sgd-released leaves image towers untrained, and this method has none; use sgd."
                )
            network.towers.requires_grad_(False)
    trained = [parameter for parameter in trained if parameter.requires_grad]
    return torch.optim.SGD(trained, rate, momentum=MOMENTUM, weight_decay=weight_decay)


def _decaying(network: nn.Module, decays: bool) -> list[nn.Parameter]:
    """The parameters with weight decay, or those without: vectors, and tokens, which are learnt rows."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.ndim > 1 and not name.endswith("token")) == decays
    ]

"""Oddities of the released CrossNet and AdaCrossNet programs, for checking their figures only."""

from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from torch import nn

from adacross.data.collection.collection import Collection
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.features.svm import fixed_svm
from adacross.methods import CrossModal, Method
from adacross.training.checkpoint import load_checkpoint, save_state

RELEASED_C = 0.01  # CrossNet's and AdaCrossNet's; CrossPoint's loop has 0.1
_BEST = "best-on-test.pt"


def released_rate(base: float, step: int, epochs: int) -> float:
    """Return the learning rate of a cosine whose half period is as many *iterations* as the run has epochs.

    It swings between `base` and 0 through the whole run and may end at its maximum.

    Example:
        >>> [round(released_rate(0.1, step, epochs=2), 6) for step in range(5)]
        [0.1, 0.05, 0.0, 0.05, 0.1]
    """
    return base * (1 + cos(pi * step / epochs)) / 2


def freeze_image_towers(network: nn.Module) -> None:
    """Leave the image towers as they were drawn.

    With `--use_sgd` the released programs give the optimizer only the point network and its projection.
    """
    if not isinstance(network, CrossModal):
        raise UserError(
            "optimizer sgd-released leaves image towers untrained, and this method has none; use sgd."
        )
    network.towers.requires_grad_(False)


@dataclass
class BestOnTest:
    """The epoch whose encoder scores best on the TEST split, which the three released programs keep.

    The figure that it leads to, `best`, is a maximum over the test set, not an estimate. The best weights so
    far lie beside the run's checkpoints. A collection without classes or a test split is refused.
    """

    collection: Collection
    points: int
    device: torch.device
    run: Path
    best: float = -1.0

    def __post_init__(self) -> None:
        labels = self.collection.labels
        if not len(self.collection.indices("test")) or labels.min() < 0 or labels.max() < 1:
            raise UserError(
                f"selection is released, but {self.collection.folder} lacks a test split or classes to "
                "choose by. Give --selection last."
            )

    def evaluate(self, method: Method) -> float:
        """Return the encoder's test accuracy; keep the method's weights if it is the best so far."""
        labels = self.collection.labels
        splits = [self.collection.indices("train"), self.collection.indices("test")]
        train, test = (
            encode(method.encoder, self.collection.points(split)[:, : self.points], device=self.device)
            for split in splits
        )
        predicted = fixed_svm(train, labels[splits[0]], test, RELEASED_C)
        accuracy = float(np.mean(predicted == labels[splits[1]]))
        if accuracy > self.best:
            self.best = accuracy
            save_state(self.run / "checkpoints" / _BEST, {"method": method.state_dict()})
        return accuracy

    def restore(self, method: Method) -> None:
        """Load the best epoch's weights into the method."""
        method.load_state_dict(load_checkpoint(self.run / "checkpoints" / _BEST)["method"])

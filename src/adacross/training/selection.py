"""Which networks are a run's result: the last step's, or, as released, those the test set likes best."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from adacross.data.collection.collection import Collection
from adacross.encoders.frozen import encode
from adacross.features.svm import fixed_svm
from adacross.methods import Method
from adacross.training.checkpoint import load_checkpoint, save_state

Selection = Literal["last", "released"]
RELEASED_C = 0.01  # CrossNet's and AdaCrossNet's; CrossPoint's loop has 0.1
_BEST = "best-on-test.pt"


@dataclass
class BestOnTest:
    """Keeps the epoch whose encoder scores best on the TEST split, as the three released programs do.

    For checking their numbers only: the figure it leads to is a maximum over the test set, not an estimate.

    Attributes:
        collection: with classes and a test split.
        points: points of each cloud.
        device: where to compute.
        run: the run's folder, which holds the best so far beside the checkpoints.
        best: the best accuracy so far.
    """

    collection: Collection
    points: int
    device: torch.device
    run: Path
    best: float = -1.0

    def look(self, method: Method) -> float:
        """Score the encoder after an epoch, and keep the method if it is the best so far."""
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
        """Put the best epoch's weights into the method."""
        method.load_state_dict(load_checkpoint(self.run / "checkpoints" / _BEST)["method"])

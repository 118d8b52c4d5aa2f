"""A cheap evaluation of the encoder while it trains, on shapes held out of the training split.

It informs and selects nothing: the run's result is its last step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64

from adacross.data.collection.collection import Collection
from adacross.encoders.frozen import encode, frozen, in_batches
from adacross.features.metrics import cosine_ranking, recall_at
from adacross.features.svm import fixed_svm
from adacross.methods import CrossModal, Method

LARGEST = 512  # validation shapes, at most
REFERENCE = 1024  # training shapes that the probe is fitted on, at most


def split_validation(
    indices: Int64[np.ndarray, " n"], fraction: float, seed: int
) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]:
    """Split training shapes at random into training and validation indices, both sorted."""
    order = np.random.default_rng([seed, 7]).permutation(indices)
    held_out = round(fraction * len(indices))
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def probe_accuracy(
    train: Float[np.ndarray, "n D"],
    train_labels: Int64[np.ndarray, " n"],
    test: Float[np.ndarray, "m D"],
    test_labels: Int64[np.ndarray, " m"],
) -> float:
    """Return the accuracy of a linear SVM at C = 1 on features divided by their overall deviation.

    Without the division the features of an untrained network, which are tiny, would need another C.
    """
    scale = train.std() + 1e-12
    predicted = fixed_svm(train / scale, train_labels, test / scale, C=1.0)
    return float(np.mean(predicted == test_labels))


@dataclass(frozen=True)
class Monitor:
    """Evaluation of a method while it trains.

    Attributes:
        collection: the data.
        reference: indices of training shapes that the probe is fitted on.
        validation: indices of held-out shapes that it is scored on.
        points: points of each cloud.
        device: of the method.
    """

    collection: Collection
    reference: Int64[np.ndarray, " n"]
    validation: Int64[np.ndarray, " m"]
    points: int
    device: torch.device

    def evaluate(self, method: Method) -> dict[str, float]:
        """Return `probe_accuracy` if there are classes, `recall_at_1` if images and shapes share a space.

        Both lie between 0 and 1. Nothing is returned without validation shapes.
        """
        if not len(self.validation):
            return {}
        clouds = self.collection.points(self.validation)[:, : self.points]
        seen = {"recall_at_1": self._recall(method, clouds)} if isinstance(method, CrossModal) else {}
        labels = self.collection.labels
        known = self.reference[labels[self.reference] >= 0]
        if len(np.unique(labels[known])) > 1 and (labels[self.validation] >= 0).all():
            fit = encode(method.encoder, self.collection.points(known)[:, : self.points], device=self.device)
            check = encode(method.encoder, clouds, device=self.device)
            seen["probe_accuracy"] = probe_accuracy(fit, labels[known], check, labels[self.validation])
        return seen

    def _recall(self, method: CrossModal, clouds: Float[np.ndarray, "m N 3"]) -> float:
        views = np.stack([self.collection.view(int(index), 0) for index in self.validation])
        with frozen(method):
            shapes = in_batches(method.embed_clouds, clouds, 32, self.device)
            pictures = in_batches(method.embed_pictures, views, 32, self.device)
        return float(recall_at(cosine_ranking(pictures, shapes), (1,))[1].mean())

"""A cheap evaluation of the encoder while it trains, on shapes held out of the training split.

It informs and selects nothing: the run's result is its last step. The probe is that of `evaluate linear`, on
fewer shapes. It costs the encoding of `REFERENCE` + `LARGEST` clouds, no gradients, and about a second for
the SVM: with a PointNet and 512 points some 4 s on two cores.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64

from adacross.data.collection.collection import Collection
from adacross.data.sampling import stratified
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode, frozen, in_batches
from adacross.features.metrics import cosine_ranking, recall_at
from adacross.features.sources import untrained_like
from adacross.features.svm import enough_folds, fit_svm
from adacross.methods import CrossModal, Method

LARGEST = 256  # validation shapes, at most
REFERENCE = 512  # training shapes that the probe is fitted on, at most
_FOLDS = 5  # that choose C, as in `evaluate linear`


def split_validation(
    indices: Int64[np.ndarray, " n"], fraction: float, seed: int
) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]:
    """Split training shapes at random into training and validation indices, both sorted."""
    order = np.random.default_rng([seed, 7]).permutation(indices)
    held_out = round(fraction * len(indices))
    return np.sort(order[held_out:]), np.sort(order[:held_out])


@dataclass(eq=False)
class Monitor:
    """Evaluation of a method while it trains, on clouds of `points` points.

    A probe is fitted on the training shapes `reference` and scored on the held-out shapes `validation`, a
    stratified part of the given ones.
    """

    collection: Collection
    reference: Int64[np.ndarray, " n"]
    validation: Int64[np.ndarray, " m"]
    points: int
    device: torch.device

    def __post_init__(self) -> None:
        labels = self.collection.labels
        self.reference = self.reference[stratified(labels[self.reference], REFERENCE)]
        self.validation = self.validation[stratified(labels[self.validation], LARGEST)]

    def evaluate(self, method: Method, untrained: bool = False) -> dict[str, float]:
        """Return `probe_accuracy` if there are classes, `recall_at_1` if images and shapes share a space.

        Both lie between 0 and 1. Nothing is returned without validation shapes. With `untrained`, also
        `untrained_accuracy`, of the same encoder with newly initialized weights.
        """
        if not len(self.validation):
            return {}
        seen = {}
        if isinstance(method, CrossModal) and self.collection.info.views:  # `--fresh` trains without them
            seen["recall_at_1"] = self._recall(method)
        labels = self.collection.labels
        fit = self.reference[labels[self.reference] >= 0]
        check = self.validation[np.isin(labels[self.validation], labels[fit])]
        if len(np.unique(labels[fit])) > 1 and len(check):
            seen["probe_accuracy"] = self._accuracy(method.encoder, fit, check)
            if untrained:
                fresh = untrained_like(method.encoder, seed=0).to(self.device)
                seen["untrained_accuracy"] = self._accuracy(fresh, fit, check)
        return seen

    def _accuracy(
        self, encoder: Encoder, fit: Int64[np.ndarray, " a"], check: Int64[np.ndarray, " b"]
    ) -> float:
        """Fit the probe of `evaluate linear` on some shapes' features; return its accuracy on others."""
        labels = self.collection.labels
        known, asked = (encode(encoder, self._clouds(part), device=self.device) for part in (fit, check))
        machines = fit_svm(known, labels[fit], enough_folds(labels[fit], _FOLDS), seed=0)
        return float(np.mean(machines.predict(asked) == labels[check]))

    def _clouds(self, indices: Int64[np.ndarray, " k"]) -> Float[np.ndarray, "k N 3"]:
        return self.collection.points(indices)[:, : self.points]

    def _recall(self, method: CrossModal) -> float:
        views = np.stack([self.collection.view(int(index), 0) for index in self.validation])
        with frozen(method):
            shapes = in_batches(method.embed_clouds, self._clouds(self.validation), 32, self.device)
            pictures = in_batches(method.embed_pictures, views, 32, self.device)
        return float(recall_at(cosine_ranking(pictures, shapes), (1,))[1].mean())

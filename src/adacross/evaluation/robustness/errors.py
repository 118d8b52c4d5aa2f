"""Accuracies under corruptions, summed up: the mean corruption error in both of its conventions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from adacross.evaluation.results import Figure
from adacross.evaluation.robustness.corruptions import KINDS
from adacross.evaluation.robustness.damage import Recognised


@dataclass(frozen=True)
class Robustness:
    """How one encoder stands it.

    Attributes:
        clean: accuracy on clouds as they are.
        corrupted: accuracy under each corruption, a figure a severity from 1 to 5.
        error: error rate under each corruption, mean over severities.
        mce_plain: mean corruption error: mean of `error` over the corruptions.
        mce_normalised: mean over the corruptions of `error` divided by the untrained encoder's, as ImageNet-C
            and its followers divide by a reference network's; None: the reference made no error somewhere.
        lost: what corruptions cost: clean accuracy less mean corrupted accuracy.
        rotated: accuracy under a rotation drawn for each shape: "any", or about "y", the up axis.
        fewer: accuracy with fewer points, by their number.
        C: the penalty that cross-validation chose in each repetition.
    """

    clean: Figure
    corrupted: dict[str, list[Figure]]
    error: dict[str, Figure]
    mce_plain: Figure
    mce_normalised: Figure | None
    lost: Figure
    rotated: dict[str, Figure]
    fewer: dict[str, Figure]
    C: list[float]

    def right(self, kind: str) -> Figure:
        """Accuracy under a corruption, mean over severities."""
        return Figure.of([1 - error for error in self.error[kind].values])


def mean_corruption_error(
    errors: Float[np.ndarray, "K S"], reference: Float[np.ndarray, "K S"] | None = None
) -> float | None:
    """Mean corruption error from the error rates of K corruptions at S severities.

    Plain: the mean of all. With a reference network's errors: the mean over corruptions of the ratio of both
    sums over severities (Hendrycks and Dietterich, ICLR 2019, for ImageNet-C), or None where a sum is 0.
    """
    if reference is None:
        return float(errors.mean())
    allowed = reference.sum(axis=1)
    return float((errors.sum(axis=1) / allowed).mean()) if (allowed > 0).all() else None


def summarise(measured: Sequence[Recognised], which: int, reference: int, fewer: Sequence[int]) -> Robustness:
    """Figures over repetitions.

    Args:
        measured: the repetitions.
        which: the network whose figures they are.
        reference: the network whose errors `mce_normalised` divides by.
        fewer: numbers of points.
    """
    errors, allowed = (
        [1 - np.array([one.accuracy[kind][network] for kind in KINDS]) for one in measured]
        for network in (which, reference)
    )

    def figures(piece: str) -> list[Figure]:
        """Of one piece, a figure a test set."""
        return [
            Figure.of(values)
            for values in zip(*(one.accuracy[piece][which] for one in measured), strict=True)
        ]

    plain = [float(one.mean()) for one in errors]
    normalised = [mean_corruption_error(*pair) for pair in zip(errors, allowed, strict=True)]
    known = [value for value in normalised if value is not None]
    clean = figures("clean")[0]
    return Robustness(
        clean=clean,
        corrupted={kind: figures(kind) for kind in KINDS},
        error={kind: Figure.of([one[k].mean() for one in errors]) for k, kind in enumerate(KINDS)},
        mce_plain=Figure.of(plain),
        mce_normalised=Figure.of(known) if len(known) == len(normalised) else None,
        lost=Figure.of([right - (1 - error) for right, error in zip(clean.values, plain, strict=True)]),
        rotated=dict(zip(("any", "y"), figures("rotated"), strict=True)),
        fewer=dict(zip(map(str, fewer), figures("fewer"), strict=True)),
        C=[one.C[which] for one in measured],
    )

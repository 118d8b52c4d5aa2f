"""Learning-rate schedules: pure functions of the step."""

from math import cos, pi
from typing import Literal

Schedule = Literal["cosine", "epoch", "released", "constant"]


def learning_rate(
    schedule: Schedule, base: float, step: int, steps_per_epoch: int, epochs: int, warmup: int = 0
) -> float:
    """The rate used at `step` (from 0).

    - `cosine`: half a cosine over the whole run, from `base` to 0, after `warmup` steps of linear rise. Ours.
    - `epoch`: CrossPoint's: constant within an epoch, the scheduler stepped before each epoch, so that the
      first runs below `base` and the last at exactly 0.
    - `released`: CrossNet's and AdaCrossNet's: the half period is as many *iterations* as the run has epochs,
      so the rate swings between `base` and 0 through the whole run and may end at its maximum.
    - `constant`: `base`, after the warm-up.

    Args:
        schedule: which of them.
        base: the largest rate.
        step: optimiser steps already taken.
        steps_per_epoch: optimiser steps an epoch.
        epochs: epochs of the whole run.
        warmup: steps of linear rise, for `cosine` and `constant`.
    """
    match schedule:
        case "epoch":
            return base * (1 + cos(pi * (step // steps_per_epoch + 1) / epochs)) / 2
        case "released":
            return base * (1 + cos(pi * step / epochs)) / 2
    if step < warmup:
        return base * (step + 1) / (warmup + 1)
    if schedule == "constant":
        return base
    return base * (1 + cos(pi * (step - warmup) / max(1, steps_per_epoch * epochs - warmup))) / 2

"""An augmentation of point clouds."""

import torch
from torch import Generator, Tensor

from adacross.methods import Augmentation


class Jitter(Augmentation):
    """Gaussian noise on every coordinate."""

    def __call__(self, points: Tensor, generator: Generator) -> Tensor:
        return points + 0.02 * torch.randn(points.shape, device=points.device, generator=generator)

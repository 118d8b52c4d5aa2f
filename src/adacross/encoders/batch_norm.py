"""torch's BatchNorm, which reaches over all processes that share a batch (`adacross.ops.processes`)."""

from jaxtyping import Float
from torch import Tensor, nn

from adacross.ops.batch_norm import shared_batch_norm
from adacross.ops.processes import statistics_are_shared


class BatchNorm1d(nn.BatchNorm1d):
    """Rows `(n, C)`."""

    def forward(self, x: Float[Tensor, "n C"]) -> Float[Tensor, "n C"]:
        """Normalised by the batch while training, by the running statistics otherwise."""
        return _over_processes(self, x) if self.training and statistics_are_shared() else super().forward(x)


class BatchNorm2d(nn.BatchNorm2d):
    """Pictures `(n, C, H, W)`."""

    def forward(self, x: Float[Tensor, "n C H W"]) -> Float[Tensor, "n C H W"]:
        """Normalised by the batch while training, by the running statistics otherwise."""
        return _over_processes(self, x) if self.training and statistics_are_shared() else super().forward(x)


def running(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor, float]:
    """Running mean and variance, and their momentum; while training a batch is counted, as torch does."""
    state = norm.get_buffer  # they are there, which torch's types do not know
    if norm.training:
        state("num_batches_tracked").add_(1)
    momentum = 0.1 if norm.momentum is None else norm.momentum
    return state("running_mean"), state("running_var"), momentum


def _over_processes(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    return shared_batch_norm(x, norm.weight, norm.bias, *running(norm), norm.eps)

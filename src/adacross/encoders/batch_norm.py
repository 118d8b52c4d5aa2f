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


def _over_processes(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    state = norm.get_buffer  # they are there, which torch's types do not know
    state("num_batches_tracked").add_(1)
    momentum = 0.1 if norm.momentum is None else norm.momentum
    running = state("running_mean"), state("running_var")
    return shared_batch_norm(x, norm.weight, norm.bias, *running, momentum, norm.eps)

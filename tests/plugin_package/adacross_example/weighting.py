"""A weighting of loss terms: what is in `state` is saved in checkpoints."""

from adacross.losses.weighting import Weighting


class EqualShares(Weighting):
    """Every term contributes the same amount."""

    def __init__(self, memory: float = 0.9) -> None:
        super().__init__("mean")
        self.memory = memory

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        mean = self.state["mean"]
        for name, loss in losses.items():
            mean[name] = self.memory * mean.get(name, loss) + (1 - self.memory) * loss
        return {name: 1 / value for name, value in mean.items()}

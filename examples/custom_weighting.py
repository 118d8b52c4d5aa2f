"""A weighting of your own: a class with one method, used by name like any other.

    python examples/custom_weighting.py demo/shapes runs/equal [epochs]

This one lets every term contribute the same amount, whatever its scale. Its name is `module:Class`, so every
command finds it again that can import the module (docs/extend.md).
"""

import sys

import adacross
from adacross.losses.weighting import Weighting


class EqualShares(Weighting):
    """w_i = K / (m_i sum_j 1/m_j), m_i a running mean of term i; the K weights sum to K.

    What is in `state` is saved in checkpoints, and so a resumed run goes on as if nothing had happened.
    """

    def __init__(self, memory: float = 0.98) -> None:
        super().__init__("mean")
        self.memory = memory

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        mean = self.state["mean"]
        for name, loss in losses.items():
            mean[name] = self.memory * mean.get(name, loss) + (1 - self.memory) * loss
        total = sum(1 / value for value in mean.values())
        return {name: len(mean) / (value * total) for name, value in mean.items()}


def main(collection: str, run: str, epochs: int = 12) -> None:
    done = adacross.pretrain(
        collection, "demo", run=run, epochs=epochs, batch_size=32, weighting="custom_weighting:EqualShares"
    )
    print("the weights are in", done.folder / "log.csv")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))

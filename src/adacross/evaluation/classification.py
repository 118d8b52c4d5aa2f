"""Fine-tuned classifiers: heads and trainings of the papers, one training, predictions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from rich.progress import Progress
from torch import Generator, Tensor, nn

from adacross.data.transforms import draw_points, rotate_y, scale_and_shift
from adacross.distributed.device import find_device
from adacross.encoders import Encoder
from adacross.encoders.frozen import frozen, in_batches
from adacross.evaluation.driver import Bench
from adacross.evaluation.result import Paper
from adacross.evaluation.supervised import FineTuning, Schedule, fit
from adacross.nn.batch_norm import check_batch
from adacross.ops.neighbors import farthest_point_sample, gather

BATCH = 32  # clouds at a time in testing


@dataclass(frozen=True)
class Training(FineTuning):
    """Settings of fine-tuning a classifier, beside those of `FineTuning`."""

    hidden: tuple[int, ...] = (512, 256)  # widths of the head's layers
    negative_slope: float = 0.2  # of their LeakyReLU
    # points that a step trains on: "first", the same; "random", drawn at every step; "farthest", drawn at
    # every step from 1.17 times as many that farthest point sampling chose (Point-M2AE: 1,024 of 1,200)
    draw: Literal["first", "random", "farthest"] = "first"
    rotate_y: bool = False  # rotate each cloud by a random angle about the up axis

    def __str__(self) -> str:
        """Return the settings in a line."""
        rotated = "random rotations about the up axis, " if self.rotate_y else ""
        head = "-".join(map(str, self.hidden))
        return (
            f"{self.schedule}, head {head}, {self.draw} {self.points:,} points, {rotated}scale and shift, "
            "last step"
        )

    def augment(self, clouds: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B M 3"]:
        """Draw the points of a step, rotate them if asked for, scale and shift them."""
        points = draw_points(clouds, self.points, generator)
        if self.rotate_y:
            angles = torch.rand(len(points), generator=generator, device=points.device)
            points = rotate_y(points, 2 * math.pi * angles)
        return scale_and_shift(points, generator)

    def candidates(self, clouds: Float32[np.ndarray, "n N 3"]) -> Float32[np.ndarray, "n M 3"]:
        """Return the points of each cloud from which a step may draw."""
        match self.draw:
            case "first":
                return clouds[:, : self.points]
            case "random":
                return clouds
        more = min(round(self.points * 1200 / 1024), clouds.shape[1])
        parts = torch.from_numpy(clouds).split(64)
        return torch.cat([gather(part, farthest_point_sample(part, more)) for part in parts]).numpy()


_CROSSNET = Training(Schedule(epochs=200))
_POINT_M2AE = Training(
    Schedule(
        epochs=300, optimizer="adamw", learning_rate=5e-4, last_rate=1e-6, weight_decay=0.05, warmup=10,
        label_smoothing=0.3, clip=10.0,
    ),
    hidden=(256, 256), negative_slope=0.0, draw="farthest", radii=(0.32, 0.64, 1.28),
)  # fmt: skip
OURS = Training(
    Schedule(epochs=20, least_steps=200, optimizer="adam", learning_rate=1e-3, last_rate=1e-5), draw="random"
)
# CrossNet, AdaCrossNet: `downstream/classification` of their programs (SGD, because its flag is always on; 16
# neighbors there, here as many as the encoder was made with). Point-M2AE: its program. Joint-MAE published
# none: Point-M2AE's by fallback. CrossPoint fine-tuned no classifier.
PRESETS: dict[Paper, Training] = {
    "crossnet": _CROSSNET,
    "adacrossnet": _CROSSNET,
    "point-m2ae": _POINT_M2AE,
    "joint-mae": _POINT_M2AE,
}


class ClassificationHead(nn.Sequential):
    """Layers with BatchNorm, LeakyReLU and dropout of 0.5, then one score per class.

    The defaults are those of CrossNet's and AdaCrossNet's programs; the slope is DGCNN's (recalled).
    """

    def __init__(
        self, inputs: int, classes: int, hidden: Sequence[int] = (512, 256), negative_slope: float = 0.2
    ) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, *hidden)):
            norm, activation = nn.BatchNorm1d(after), nn.LeakyReLU(negative_slope)
            layers += [nn.Linear(before, after), norm, activation, nn.Dropout(0.5)]
        super().__init__(*layers, nn.Linear((inputs, *hidden)[-1], classes))

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B classes"]:
        """Return scores before softmax; a single row, which BatchNorm cannot train on, is a `UserError`."""
        check_batch(self, features)
        return super().forward(features)


def new_classifier(encoder: Encoder, classes: int, training: Training, seed: int) -> nn.Sequential:
    """Return a copy of an encoder, then a head that depends on the seed: clouds to scores `(B, classes)`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = ClassificationHead(encoder.dim, classes, training.hidden, training.negative_slope)
    return nn.Sequential(training.prepared(encoder), head)


def fine_tuned_predictions(
    bench: Bench,
    note: str,
    encoder: Encoder,
    train: tuple[Float32[np.ndarray, "n N 3"], Int64[np.ndarray, " n"]],
    test: Float32[np.ndarray, "m N 3"],
    classes: int,
    training: Training,
    *,
    seed: int,
    progress: Progress,
    votes: int = 0,
) -> Int64[np.ndarray, "k m"]:
    """Train a copy of an encoder and a new head, and classify the test clouds as `classify` does.

    The predictions are a piece of the bench's ledger, by the name `note`.

    Raises:
        UserError: fewer than 2 clouds to train on, or a loss that is not finite.
        Interrupted: Ctrl-C or SIGTERM; the same call continues.
    """
    device = bench.device

    def measure(checkpoint: Path | None) -> list[list[int]]:
        network = new_classifier(encoder, classes, training, seed)
        clouds = torch.from_numpy(training.candidates(train[0]))
        labels = torch.from_numpy(train[1]).to(device)

        def loss(batch: Int64[Tensor, " b"], generator: Generator) -> Float[Tensor, ""]:
            scores = network(training.augment(clouds[batch].to(device), generator))
            smoothing = training.schedule.label_smoothing
            return nn.functional.cross_entropy(scores, labels[batch], label_smoothing=smoothing)

        fit(
            network, len(clouds), loss, training.schedule, seed=seed, device=device, progress=progress,
            note=note, checkpoint=checkpoint,
        )  # fmt: skip
        predicted = classify(network, test[:, : training.points], votes=votes, seed=seed, device=device)
        return [row.tolist() for row in predicted]

    return np.array(bench.ledger.trained(note, measure), dtype=np.int64)


def classify(
    network: nn.Module,
    clouds: Float32[np.ndarray, "n N 3"],
    *,
    votes: int = 0,
    seed: int = 0,
    device: str = "cpu",
) -> Int64[np.ndarray, "k n"]:
    """Predict classes in evaluation mode; state and weights of the network stay as they are.

    With votes a second row is returned: the class probabilities of so many scaled and shifted copies, drawn
    by the seed, are added.
    """
    target, test = find_device(device), torch.from_numpy(clouds)
    generator = Generator().manual_seed(seed)
    with frozen(network):
        predicted = [in_batches(network, test, BATCH, target).argmax(axis=1)]
        if votes:
            copies = (scale_and_shift(test, generator) for _ in range(votes))
            scores = [torch.from_numpy(in_batches(network, each, BATCH, target)) for each in copies]
            predicted.append(torch.stack(scores).softmax(2).sum(0).argmax(1).numpy())
    return np.stack(predicted).astype(np.int64)

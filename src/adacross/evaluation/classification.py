"""Fine-tuned classifiers: the papers' heads and schedules, one training and its score."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64
from rich.progress import Progress
from torch import Tensor, nn

from adacross.data.transforms import draw_points, scale_and_shift
from adacross.distributed.device import find_device
from adacross.encoders import Encoder, PointM2AE
from adacross.encoders.frozen import frozen, in_batches
from adacross.evaluation.classifier import ClassificationHead, Classifier
from adacross.evaluation.results import Paper
from adacross.evaluation.supervised import Schedule, fit
from adacross.ops.neighbors import farthest_point_sample, gather


@dataclass(frozen=True)
class Protocol:
    """How a classifier is fine-tuned.

    Attributes:
        schedule: of the training.
        hidden: widths of the head's layers.
        negative_slope: of their LeakyReLU.
        points: points of each cloud; the first ones are tested on.
        draw: the points trained on: "first", those; "random", drawn at every step; "farthest", drawn at every
            step from 1.17 times as many that farthest point sampling chose (Point-M2AE's: 1,024 of 1,200).
        radii: of a Point-M2AE's attention while fine-tuning.
    """

    schedule: Schedule
    hidden: tuple[int, ...] = (512, 256)
    negative_slope: float = 0.2
    points: int = 1024
    draw: Literal["first", "random", "farthest"] = "first"
    radii: tuple[float, ...] | None = None

    @property
    def words(self) -> str:
        """The protocol in a line."""
        schedule = self.schedule
        least = f" (at least {schedule.least_steps} steps)" if schedule.least_steps else ""
        head = "-".join(map(str, self.hidden))
        return (
            f"{schedule.optimizer} {schedule.learning_rate:g} to {schedule.last_rate:g}, "
            f"{schedule.epochs} epochs{least}, batch {schedule.batch_size}, label smoothing "
            f"{schedule.label_smoothing:g}, head {head}, {self.draw} points, last step"
        )


_CROSSNET = Protocol(Schedule(epochs=200))
_POINT_M2AE = Protocol(
    Schedule(
        epochs=300, optimizer="adamw", learning_rate=5e-4, last_rate=1e-6, weight_decay=0.05, warmup=10,
        label_smoothing=0.3, clip=10.0,
    ),
    hidden=(256, 256), negative_slope=0.0, draw="farthest", radii=(0.32, 0.64, 1.28),
)  # fmt: skip
OURS = Protocol(
    Schedule(epochs=20, least_steps=200, optimizer="adam", learning_rate=1e-3, last_rate=1e-5), draw="random"
)
# CrossNet, AdaCrossNet: their `downstream/classification` (SGD, for its flag is always on; it looks at 16
# neighbours, ours at as many as the encoder was made with). Point-M2AE: its program. Joint-MAE published
# none; Point-M2AE's by fallback. CrossPoint fine-tuned no classifier.
PRESETS: dict[Paper, Protocol] = {
    "crossnet": _CROSSNET,
    "adacrossnet": _CROSSNET,
    "point-m2ae": _POINT_M2AE,
    "joint-mae": _POINT_M2AE,
}


@dataclass(frozen=True)
class Task:
    """Labelled clouds and how to learn them."""

    clouds: tuple[Float32[np.ndarray, "n N 3"], Float32[np.ndarray, "m N 3"]]
    labels: tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]
    classes: int
    protocol: Protocol
    votes: int
    device: str

    def measure(
        self,
        encoder: Encoder,
        chosen: np.ndarray,
        seed: int,
        progress: Progress,
        note: str,
        kept: Path | None,
    ) -> list[float]:
        """Train on the chosen shapes; what `score` says."""
        network = self.network(encoder, seed)
        clouds = torch.from_numpy(self.candidates(self.clouds[0][chosen]))
        labels = torch.from_numpy(self.labels[0][chosen]).to(self.device)
        smoothing = self.protocol.schedule.label_smoothing

        def loss(batch: Int64[Tensor, " b"], generator: torch.Generator) -> Tensor:
            points = draw_points(clouds[batch].to(self.device), self.protocol.points, generator)
            scores = network(scale_and_shift(points, generator))
            return torch.nn.functional.cross_entropy(scores, labels[batch], label_smoothing=smoothing)

        fit(
            network, len(chosen), loss, self.protocol.schedule, seed=seed, device=self.device,
            progress=progress, note=note, checkpoint=kept,
        )  # fmt: skip
        return self.score(network, seed)

    def score(self, network: nn.Module, seed: int) -> list[float]:
        """Overall and per-class accuracy on the test shapes, and voted if there are votes."""
        test = torch.from_numpy(self.clouds[1][:, : self.protocol.points])
        truth = self.labels[1]
        target = find_device(self.device)
        with frozen(network):
            right = in_batches(network, test, 32, target).argmax(1) == truth
            votes = np.zeros((len(test), self.classes), np.float32)
            generator = torch.Generator().manual_seed(seed)
            for _ in range(self.votes):
                scores = in_batches(network, scale_and_shift(test, generator), 32, target)
                votes += torch.from_numpy(scores).softmax(1).numpy()
        per_class = [float(right[truth == label].mean()) for label in np.unique(truth)]
        voted = [float((votes.argmax(1) == truth).mean())] if self.votes else []
        return [float(right.mean()), float(np.mean(per_class)), *voted]

    def network(self, encoder: Encoder, seed: int) -> Classifier:
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # both starts get the same head
            head = ClassificationHead(
                encoder.dim, self.classes, self.protocol.hidden, self.protocol.negative_slope
            )
        copied = copy.deepcopy(encoder).requires_grad_(True)
        if isinstance(copied, PointM2AE) and self.protocol.radii:
            copied.radii = self.protocol.radii
        return Classifier(copied, head).to(self.device)

    def candidates(self, clouds: Float32[np.ndarray, "k N 3"]) -> Float32[np.ndarray, "k M 3"]:
        """The points of each cloud that a step may draw from."""
        points = self.protocol.points
        match self.protocol.draw:
            case "first":
                return clouds[:, :points]
            case "random":
                return clouds
        more = min(round(points * 1200 / 1024), clouds.shape[1])
        parts = [
            gather(part, farthest_point_sample(part, more)) for part in torch.from_numpy(clouds).split(64)
        ]
        return torch.cat(parts).numpy()

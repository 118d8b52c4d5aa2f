"""What part and semantic segmentation share: points with parts, one training, its predictions."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from rich.progress import Progress
from torch import Tensor

from adacross.data.transforms import scale_and_shift
from adacross.encoders import Encoder, PointM2AE
from adacross.encoders.frozen import frozen
from adacross.evaluation.segmentation.segmenter import Segmenter, with_neighbors
from adacross.evaluation.supervised import Schedule, fit

ARMS = ("pretrained", "scratch")
SHOWN_POINTS = 1024  # of an example


@dataclass(frozen=True)
class Protocol:
    """How a segmentation network is trained.

    Attributes:
        schedule: of the training.
        points: points of each cloud, drawn anew in every step, in random order.
        neighbors: k of a DGCNN while it is fine-tuned; None: as it was pre-trained.
        augment: a scale and a shift for each axis, as Point-M2AE does.
        radii: of a Point-M2AE's attention while fine-tuning; None: as it was pre-trained.
    """

    schedule: Schedule
    points: int = 1024
    neighbors: int | None = None
    augment: bool = False
    radii: tuple[float, ...] | None = None

    @property
    def words(self) -> str:
        """The protocol in a line."""
        plan = self.schedule
        least = f" (at least {plan.least_steps} steps)" if plan.least_steps else ""
        rates = f"{plan.learning_rate:g}" + (
            f" to {plan.last_rate:g}" if plan.last_rate != plan.learning_rate else ", constant"
        )
        near = f", k {self.neighbors}" if self.neighbors else ""
        near += f", attention within {' '.join(map(str, self.radii))}" if self.radii else ""
        moved = "scale and shift" if self.augment else "no augmentation"
        return (
            f"{plan.optimizer} {rates}, {plan.epochs} epochs{least}, batch {plan.batch_size}, "
            f"label smoothing {plan.label_smoothing:g}{near}, {moved}, last step"
        )

    def prepared(self, encoder: Encoder) -> Encoder:
        """A copy of an encoder to fine-tune: with this protocol's neighbours and radii."""
        copied = with_neighbors(encoder, self.neighbors) if self.neighbors else copy.deepcopy(encoder)
        if isinstance(copied, PointM2AE) and self.radii:
            copied.radii = self.radii
        return copied.requires_grad_(True)


@dataclass(frozen=True)
class Clouds:
    """Clouds with a part for every point.

    Attributes:
        points: `(n, N, 3)`.
        part: `(n, N)`, -1 for none.
        labels: `(n,)` the objects' categories; 0 where there is none.
    """

    points: Float32[np.ndarray, "n N 3"]
    part: Int64[np.ndarray, "n N"]
    labels: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.points)

    def shapes(self, chosen: Int64[np.ndarray, " k"]) -> "Clouds":
        """Some of the clouds."""
        return Clouds(self.points[chosen], self.part[chosen], self.labels[chosen])

    def thinned(self, count: int, seed: int) -> "Clouds":
        """`count` points of every cloud, the same numbers for all: what a trained network is tested on."""
        stored = self.points.shape[1]
        if count >= stored:
            return self
        drawn = np.random.default_rng(seed).permutation(stored)[:count]
        return Clouds(self.points[:, drawn], self.part[:, drawn], self.labels)


@dataclass(frozen=True)
class Example:
    """A test cloud, its parts, and what two networks said of it.

    Attributes:
        id: in the collection.
        category: its name; empty where there is none.
        points: `(N, 3)`, in thousandths of the unit sphere's radius.
        truth: `(N,)` parts, -1 for none.
        pretrained: `(N,)` predicted parts.
        scratch: `(N,)` predicted by the network from scratch.
    """

    id: str
    category: str
    points: list[list[int]]
    truth: list[int]
    pretrained: list[int]
    scratch: list[int]


def new_segmenter(make: Callable[[Encoder], Segmenter], encoder: Encoder, seed: int) -> Segmenter:
    """What `make` makes of an encoder, with a head drawn by `seed`: the same for every encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make(encoder)


def train(
    network: Segmenter,
    clouds: Clouds,
    protocol: Protocol,
    *,
    seed: int,
    device: str,
    progress: Progress | None = None,
    note: str = "training",
    checkpoint: Path | None = None,
) -> None:
    """Fine-tune encoder and head together: cross-entropy over all parts, points without a part left out."""
    points, part, labels = map(torch.from_numpy, (clouds.points, clouds.part, clouds.labels))

    def loss(batch: Int64[Tensor, " b"], generator: torch.Generator) -> Tensor:
        given, wanted = draw(points[batch].to(device), part[batch].to(device), protocol.points, generator)
        if protocol.augment:
            given = scale_and_shift(given, generator)
        scores = network(given, labels[batch].to(device)).flatten(0, 1)
        wanted = wanted.flatten()
        smoothing = protocol.schedule.label_smoothing
        total = torch.nn.functional.cross_entropy(
            scores, wanted, ignore_index=-1, label_smoothing=smoothing, reduction="sum"
        )
        return total / (wanted >= 0).sum().clamp_min(1)

    fit(
        network, len(clouds), loss, protocol.schedule, seed=seed, device=device, progress=progress, note=note,
        checkpoint=checkpoint,
    )  # fmt: skip


def draw(points: Tensor, part: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` points of every cloud in random order `(B, count, 3)`, with their parts `(B, count)`."""
    order = torch.rand(part.shape, generator=generator, device=part.device).argsort(1)[:, :count]
    return points.gather(1, order[:, :, None].expand(-1, -1, 3)), part.gather(1, order)


def predict(
    network: Segmenter,
    clouds: Clouds,
    *,
    allowed: Bool[np.ndarray, "n parts"] | None = None,
    device: str,
    batch_size: int = 16,
) -> list[Int64[np.ndarray, "n N"]]:
    """The best part of every point: among all, and then, with `allowed`, among those allowed for its shape.

    The network is in eval mode; the size of a batch does not matter.
    """
    said: list[list[Tensor]] = [[], []]
    network.to(device)
    with frozen(network):
        for rows in np.array_split(np.arange(len(clouds)), max(1, -(-len(clouds) // batch_size))):
            points = torch.from_numpy(clouds.points[rows]).to(device)
            scores = network(points, torch.from_numpy(clouds.labels[rows]).to(device))
            said[0].append(scores.argmax(2).cpu())
            if allowed is not None:
                closed = ~torch.from_numpy(allowed[rows]).to(device)
                said[1].append(scores.masked_fill(closed[:, None], -torch.inf).argmax(2).cpu())
    return [torch.cat(parts).numpy() for parts in said if parts]


def examples(
    clouds: Clouds,
    said: tuple[Int64[np.ndarray, "n N"], Int64[np.ndarray, "n N"]],
    names: Sequence[tuple[str, str]],
) -> list[Example]:
    """Clouds beside what the pre-trained network and the one from scratch said of them.

    Args:
        clouds: in the unit sphere.
        said: predictions of the two.
        names: id and category of each.
    """
    first = slice(SHOWN_POINTS)
    return [
        Example(
            id=name,
            category=category,
            points=np.round(1000 * clouds.points[i, first]).astype(int).tolist(),
            truth=clouds.part[i, first].tolist(),
            pretrained=said[0][i, first].tolist(),
            scratch=said[1][i, first].tolist(),
        )
        for i, (name, category) in enumerate(names)
    ]


def mean_over_seeds(values: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Means of what each seed measured of each label; None where none of them could."""
    known = [[value for value in column if value is not None] for column in zip(*values, strict=True)]
    return [float(np.mean(column)) if column else None for column in known]

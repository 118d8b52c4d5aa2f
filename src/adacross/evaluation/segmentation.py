"""Metrics, networks and training that part and semantic segmentation share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from rich.progress import Progress
from torch import Tensor, nn

from adacross.data.transforms import scale_and_shift
from adacross.encoders import Encoder, PointM2AE, PointNetPartSeg
from adacross.encoders.base import load_strict
from adacross.encoders.frozen import frozen
from adacross.errors import UserError
from adacross.evaluation.driver import Bench
from adacross.evaluation.supervised import FineTuning, Schedule, both_starts, fit, fraction_of
from adacross.nn.heads import PartSegHead, PointM2AEPartSegHead, PointNetPartSegHead, SemSegHead

SHOWN_POINTS = 1024  # of an example


def overlaps(
    predicted: Int64[np.ndarray, "n N"], truth: Int64[np.ndarray, "n N"], parts: int
) -> tuple[Int64[np.ndarray, "n parts"], Int64[np.ndarray, "n parts"]]:
    """Count the points of every shape in the intersection and in the union of each part.

    Points whose truth is -1 do not count, whatever was predicted there.
    """
    shape, point = np.nonzero(truth >= 0)
    cell = (shape * parts + truth[shape, point]) * parts + predicted[shape, point]
    confusion = np.bincount(cell, minlength=len(truth) * parts * parts).reshape(-1, parts, parts)
    intersection = confusion.diagonal(axis1=1, axis2=2)
    return intersection, confusion.sum(1) + confusion.sum(2) - intersection


def shape_ious(
    predicted: Int64[np.ndarray, "n N"], truth: Int64[np.ndarray, "n N"], counted: Bool[np.ndarray, "n parts"]
) -> Float64[np.ndarray, " n"]:
    """Return the mean IoU of every shape over the parts that count for it, those of its category.

    A part absent in truth and in prediction counts 1 (the contrastive programs and Point-M2AE's). Points
    whose truth is -1 do not count; a predicted part of another category is an error.
    """
    intersection, union = overlaps(predicted, truth, counted.shape[1])
    iou = np.where(union > 0, intersection / np.maximum(union, 1), 1.0)
    return (iou * counted).sum(1) / counted.sum(1)


def ratio_outcomes(
    parts: Int64[np.ndarray, "u K"], wholes: Int64[np.ndarray, "u K"]
) -> Float64[np.ndarray, " u"]:
    """Return an outcome a unit for a figure that is a mean of ratios of sums, such as an mIoU over rooms.

    The figure is `m`, the mean over columns of `parts.sum(0) / wholes.sum(0)`; columns whose wholes are all 0
    do not count. The outcomes are jackknifed: `m + (u - 1) * (mean of the m_i - m_i)`, where `m_i` is the
    figure without unit i (Tukey 1958). Their mean is exactly `m` and their standard error the jackknife's, so
    that intervals and paired tests are those of any mean. An outcome may lie outside 0 and 1.

    Example:
        >>> float(ratio_outcomes(np.array([[1], [4]]), np.array([[2], [6]])).mean())  # 5 of 8
        0.625
    """

    def figure(part: Int64[np.ndarray, "*u K"], whole: Int64[np.ndarray, "*u K"]) -> Any:
        return (part / np.maximum(whole, 1)).sum(-1) / np.maximum((whole > 0).sum(-1), 1)

    whole = figure(parts.sum(0), wholes.sum(0))
    without = figure(parts.sum(0) - parts, wholes.sum(0) - wholes)
    return whole + (len(parts) - 1) * (without.mean() - without)


class Segmenter(nn.Module):
    """An encoder, then a segmentation head, which may also take the category of the object."""

    def __init__(self, encoder: Encoder, head: nn.Module, uses_category: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.uses_category = uses_category

    def forward(
        self, points: Float[Tensor, "B N 3"], category: Int64[Tensor, " B"]
    ) -> Float[Tensor, "B N labels"]:
        """Return scores before softmax."""
        features = self.encoder.both_features(points)
        return self.head(*features, category) if self.uses_category else self.head(*features)


def segmenter(encoder: Encoder, labels: int, categories: int | None = None) -> Segmenter:
    """Return the encoder with a new head for so many parts, or classes of points.

    With a number of categories it is the part segmentation head of the encoder's paper, `PartSegHead` where
    there is none (`DGCNN`, `PointNet`); Point-M2AE's is as wide in proportion to the encoder as the papers'.
    Without, it is DGCNN's for semantic segmentation. An encoder without features of points is a `UserError`.
    """
    if not encoder.has_point_features:
        raise UserError(
            f"encoder {encoder.kind} has no features of points (`point_features`), which segmentation needs. "
            "Choose another encoder."
        )
    match encoder:
        case _ if categories is None:
            head: nn.Module = SemSegHead(encoder.dim, encoder.point_dim, labels)
        case PointNetPartSeg():
            head = PointNetPartSegHead(encoder.dim, encoder.point_dim, categories, labels)
        case PointM2AE():
            width = max(8, round(1024 * encoder.dim / 384))
            head = PointM2AEPartSegHead(encoder.dims, categories, labels, width)
        case _:
            head = PartSegHead(encoder.dim, encoder.point_dim, categories, labels)
    return Segmenter(encoder, head, uses_category=categories is not None)


def with_neighbors(encoder: Encoder, k: int) -> Encoder:
    """Return a copy of a DGCNN, of any kind, with k neighbors: its weights do not depend on k."""
    if "k" not in encoder.options:
        raise UserError(f"{type(encoder).__name__} has no neighbors k to change; leave neighbors out.")
    copied = type(encoder)(**(encoder.options | {"k": k}))
    load_strict(copied, encoder.state_dict(), f"the encoder with k {encoder.options['k']}")
    return copied.eval()


@dataclass(frozen=True)
class Training(FineTuning):
    """Settings of fine-tuning a segmentation network, beside those of `FineTuning`.

    The points of a step are drawn in random order.
    """

    neighbors: int | None = None  # k of a DGCNN while it is fine-tuned; None: as it was pre-trained
    augment: bool = False  # a scale and a shift for each axis, as Point-M2AE does

    @classmethod
    def chosen(cls, bench: Bench, *given: Any, neighbors: int | None = None, **changes: Any) -> "Training":
        """Return settings as `FineTuning.chosen`, without k or radii where the encoder has none."""
        training, encoder = super().chosen(bench, *given, **changes), bench.encoders[0]
        if neighbors is not None and ("k" not in encoder.options or neighbors <= 0):
            has = "expected above 0" if "k" in encoder.options else f"{type(encoder).__name__} has none"
            raise UserError(f"neighbors is {neighbors}; {has}. Leave it out, or give another number.")
        near = (neighbors or training.neighbors) if "k" in encoder.options else None
        radii = training.radii if isinstance(encoder, PointM2AE) else None
        return replace(training, neighbors=near, radii=radii)

    def __str__(self) -> str:
        """Return the settings in a line."""
        near = f", k {self.neighbors}" if self.neighbors else ""
        near += f", attention within {' '.join(map(str, self.radii))}" if self.radii else ""
        augmentation = "scale and shift" if self.augment else "no augmentation"
        return f"{self.schedule}{near}, {augmentation}, last step; {self.points:,} points"

    def prepared(self, encoder: Encoder) -> Encoder:
        """Return a copy of an encoder to fine-tune, with these neighbors and radii."""
        return super().prepared(with_neighbors(encoder, self.neighbors) if self.neighbors else encoder)


# Settled on a held-out fifth of the built-in shapes' training split: of the rates 0.0003, 0.001 and 0.003 the
# last is best with either start, and more than some 400 steps bring nothing with a tenth of the labels.
OURS = Training(
    Schedule(epochs=20, least_steps=400, batch_size=16, optimizer="adam", learning_rate=3e-3, last_rate=1e-5)
)
# CrossNet's program, for parts and for rooms. The rate is constant: its cosine ends where it starts.
CROSSNET = Schedule(
    epochs=200, batch_size=32, optimizer="adam", learning_rate=1e-3, last_rate=1e-3, weight_decay=1e-4
)


@dataclass(frozen=True, eq=False)
class Clouds:
    """Clouds with a part for every point."""

    points: Float32[np.ndarray, "n N 3"]
    part: Int64[np.ndarray, "n N"]  # -1 for none
    labels: Int64[np.ndarray, " n"]  # the objects' categories; 0 where there is none

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: Any) -> "Clouds":
        """Return some clouds, by index, or some points of all, such as `clouds[:, :1024]`."""
        clouds = chosen[0] if isinstance(chosen, tuple) else chosen
        return Clouds(self.points[chosen], self.part[chosen], self.labels[clouds])


def train(network: Segmenter, clouds: Clouds, training: Training, *, device: str, **how: Any) -> None:
    """Fine-tune encoder and head together: cross-entropy over all parts, points without a part left out.

    `how` has seed, progress, note and checkpoint of `supervised.fit`.
    """
    points, part, labels = map(torch.from_numpy, (clouds.points, clouds.part, clouds.labels))
    smoothing = training.schedule.label_smoothing

    def loss(batch: Int64[Tensor, " b"], generator: torch.Generator) -> Tensor:
        given, wanted = draw(points[batch].to(device), part[batch].to(device), training.points, generator)
        if training.augment:
            given = scale_and_shift(given, generator)
        scores = network(given, labels[batch].to(device)).flatten(0, 1)
        wanted = wanted.flatten()
        total = nn.functional.cross_entropy(
            scores, wanted, ignore_index=-1, label_smoothing=smoothing, reduction="sum"
        )
        return total / (wanted >= 0).sum().clamp_min(1)

    fit(network, len(clouds), loss, training.schedule, device=device, **how)


def draw(points: Tensor, part: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `count` points of every cloud in random order `(B, count, 3)`, with their parts `(B, count)`."""
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
    """Return the best part of every point: among all, and then, with `allowed`, among its shape's.

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


def fine_tune_both(
    bench: Bench,
    training: Training,
    seeds: int,
    what: str,
    make: Callable[[Encoder], Segmenter],
    score: Callable[[Segmenter], Any],
    clouds: Clouds,
    share: float = 1.0,
) -> Iterator[tuple[str, list[int], list[Any]]]:
    """Fine-tune pre-trained networks and networks from scratch, and score each; see `both_starts`.

    Both learn the same clouds in the same order with the same head: a share of the clouds of each category,
    others for every seed. `make` puts a new head on an encoder; `score` returns plain values for the ledger.
    """

    def measure(encoder: Encoder, seed: int, note: str, progress: Progress) -> Any:
        def scored(checkpoint: Path | None) -> Any:
            with torch.random.fork_rng():
                torch.manual_seed(seed)  # of the head
                network = make(training.prepared(encoder))
            chosen = clouds if share == 1 else clouds[fraction_of(clouds.labels, share, seed)]
            train(
                network, chosen, training, device=bench.device, seed=seed, progress=progress,
                note=note, checkpoint=checkpoint,
            )  # fmt: skip
            return score(network)

        return bench.ledger.trained(note, scored)

    return both_starts(bench, seeds, what, measure)


def examples(
    names: Sequence[tuple[str, str]], clouds: Clouds, said: Mapping[str, Int64[np.ndarray, "n N"]]
) -> list[dict[str, Any]]:
    """Return test clouds, by id and category ("" for none), beside what the first seed's networks predicted.

    Each has `id`, `category`, `points` `(N, 3)` in thousandths of the unit sphere's radius, `truth` `(N,)`
    parts, -1 for none, and `predicted`, `(N,)` parts by kind of network.
    """
    first = slice(SHOWN_POINTS)
    return [
        {
            "id": name,
            "category": category,
            "points": np.round(1000 * clouds.points[i, first]).astype(int).tolist(),
            "truth": clouds.part[i, first].tolist(),
            "predicted": {network: parts[i, first].tolist() for network, parts in said.items()},
        }
        for i, (name, category) in enumerate(names)
    ]

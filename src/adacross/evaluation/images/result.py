"""What `evaluate images` measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adacross.console import Table
from adacross.evaluation.images.episodes import PIXELS, half_width
from adacross.evaluation.results import Figure

NAMES = {"pretrained": "pre-trained", "untrained": "untrained", "pixels": f"pixels, {PIXELS} x {PIXELS}"}


@dataclass(frozen=True)
class EpisodeScore:
    """Accuracy over episodes.

    Attributes:
        accuracy: mean over a seed's episodes, one a seed.
        interval: half the width of the 95 % confidence interval over a seed's episodes, one a seed.
    """

    accuracy: Figure
    interval: list[float]

    @classmethod
    def of(cls, episodes: Sequence[Sequence[float]]) -> "EpisodeScore":
        """Summarise the accuracies of every seed's episodes."""
        return cls(
            Figure.of([float(np.mean(each)) for each in episodes]), [half_width(each) for each in episodes]
        )

    def __str__(self) -> str:
        return f"{100 * self.accuracy.mean:.2f} ± {100 * float(np.mean(self.interval)):.2f} %"


@dataclass(frozen=True)
class Setting:
    """N-way K-shot.

    Attributes:
        ways: classes an episode.
        shots: pictures of each that are learnt from.
        pretrained: the pre-trained tower.
        untrained: the same tower, freshly drawn.
        pixels: no tower at all.
        gain: pre-trained minus untrained, episode by episode.
    """

    ways: int
    shots: int
    pretrained: EpisodeScore
    untrained: EpisodeScore
    pixels: EpisodeScore
    gain: EpisodeScore

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.ways}-way {self.shots}-shot"


@dataclass(frozen=True)
class Query:
    """A picture that was asked for (WebP in base64), its class, and the class it was taken for."""

    picture: str
    truth: str
    predicted: str


@dataclass(frozen=True)
class Example:
    """The first episode of the first seed, solved by the pre-trained tower.

    Attributes:
        setting: N-way K-shot.
        accuracy: over all of its queries.
        classes: their names.
        support: pictures of each class that were learnt from (WebP in base64).
        queries: the first queries of each class.
    """

    setting: str
    accuracy: float
    classes: list[str]
    support: list[list[str]]
    queries: list[Query]


@dataclass(frozen=True)
class ImageFewShotResult:
    """What `evaluate images` measured, and under which protocol."""

    task: str
    data: str
    layout: str
    split: str
    classes: list[str]
    pictures: int
    skipped: int
    encoders: list[str]
    tower: str
    network: str
    size: int
    queries: int
    episodes: int
    classifier: str
    spread: str
    seeds: list[int]
    settings: list[Setting]
    example: Example

    @property
    def source(self) -> str:
        """Where episodes come from, in words."""
        part = "all" if self.split == "all" else f"the {self.split} split's"
        return f"{part} {len(self.classes)} classes, {self.pictures:,} pictures ({self.layout})"

    def table(self) -> Table:
        """Render as a rich table."""
        title = (
            f"{self.data}: few-shot pictures, {self.episodes} episodes a seed, {self.queries} queries a class"
        )
        caption = (
            f"{self.source}, {self.size} pixels; {self.network}; {self.classifier}; {self.spread}; gain: "
            "pre-trained minus untrained, episode by episode"
        )
        table = Table(title=title, caption=caption)
        for column in ("episodes", "features", "accuracy, 95 % CI", "std over seeds", "each seed"):
            table.add_column(column)
        for setting in self.settings:
            for arm, name in NAMES.items():
                score: EpisodeScore = getattr(setting, arm)
                std = f"{100 * score.accuracy.std:.2f}"
                table.add_row(setting.name, name, str(score), std, score.accuracy.each)
            gain = setting.gain
            std, each = f"{100 * gain.accuracy.std:.2f}", gain.accuracy.each
            table.add_row(setting.name, "gain", str(gain).replace("%", "points"), std, each)
            table.add_row(setting.name, "chance", f"{100 / setting.ways:.2f} %")
        return table

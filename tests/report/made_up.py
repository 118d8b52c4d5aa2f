"""Results made by hand, and a reader of markup."""

import base64
import io
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

from adacross.evaluation.result import CHANCE, HISTOGRAM, PRETRAINED, UNTRAINED, Data, Result, Score

EVIL = "</script><img src=x onerror=alert(1)>\"'&<!--{{"


class Reader(HTMLParser):
    """Collects elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a name."""
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


def said(markup: str) -> str:
    return Reader(markup).text


def share(right: int, of: int = 100) -> list[float]:
    """Outcomes of which the first `right` are 1."""
    return [1.0] * right + [0.0] * (of - right)


def made(task: str = "linear", scores: list[Score] | None = None, **changes: Any) -> Result:
    """A result; by default pre-training is right on 70 of 100 shapes, untrained on 60."""
    values: dict[str, Any] = {
        "data": Data("shapes", "digest of shapes", 480, 100, ["mug", "vase", "bowl"]),
        "scores": scores
        or [
            Score.of(PRETRAINED, "accuracy", share(70)),
            Score.of(UNTRAINED, "accuracy", [share(60), share(58), share(62)]),
            Score.of(HISTOGRAM, "accuracy", share(50)),
            Score.of(CHANCE, "accuracy", [0.1]),
        ],
        "protocol": "a protocol",
        "task": task,
        "name": task,
        "encoders": ["run"],
        "weights": ["weights"],
        "version": "0.2.0",
        "date": "2026-01-31T10:20:30+00:00",
    }
    return Result(**values | changes)


def webp(size: int = 8) -> str:
    """A picture as WebP in base64."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), 128, np.uint8)).save(buffer, "WEBP")
    return base64.b64encode(buffer.getvalue()).decode()


def episode(*names: str) -> dict[str, Any]:
    """An episode of images, whose second class is taken for the first."""
    queries = [{"image": webp(), "truth": name, "predicted": names[0]} for name in names]
    support = [[webp()] for _ in names]
    return {
        "setting": "2-way 1-shot",
        "accuracy": 0.5,
        "classes": [*names],
        "support": support,
        "queries": queries,
    }


def segmented(category: str = "mug") -> dict[str, Any]:
    """A cloud of two parts, of which one network gets half the points wrong."""
    points = (600 * np.random.default_rng(0).normal(size=(64, 3))).clip(-900, 900).astype(int)
    truth = [0] * 32 + [1] * 32
    predicted = {"pre-trained": truth, "from scratch": [0] * 64}
    return {
        "id": f"{category}/1",
        "category": category,
        "points": points.tolist(),
        "truth": truth,
        "predicted": predicted,
    }

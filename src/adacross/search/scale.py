"""Similarities of one encoder and one collection in words, in place of cosines."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["shapes", "turned shapes", "images"]
WORDS = ("same", "very like", "like", "unlike")
_POOR = 0.5  # recall@10 below which queries of a kind find little


@dataclass(frozen=True)
class Scale:
    """Similarities in words, and how well shapes of the collection find themselves."""

    kind: Kind  # of the queries: shapes by other points of theirs, the same in any orientation, or images
    asked: int  # queries, each of a shape of the collection, of its test split where there is one
    recall_1: float  # share of them that find their shape first
    recall_10: float  # share of them that find it among the first ten
    same: (
        float  # similarity that 19 of 20 shapes have with themselves; above 1 if most find another one first
    )
    very_like: float  # similarity that 1 of 100 pairs of shapes exceeds
    like: float  # similarity that 1 of 10 pairs of shapes exceeds

    def word(self, similarity: float) -> str:
        """Return a similarity in words: same, very like, like, or unlike."""
        bounds = (max(self.same, self.very_like), self.very_like, self.like, float("-inf"))
        return next(word for word, bound in zip(WORDS, bounds, strict=True) if similarity >= bound)

    @property
    def finds_little(self) -> bool:
        """True if most queries of this kind do not find their own shape among the first ten."""
        return self.recall_10 < _POOR

    def summary(self) -> str:
        """Return a sentence: how often a shape was found."""
        by = {
            "shapes": "by other points of it",
            "turned shapes": "by other points of it, turned",
            "images": "by an image of it",
        }[self.kind]
        found = (
            f"Measured here: {by}, a shape is found first in {100 * self.recall_1:.0f} %, among the first "
            f"ten in {100 * self.recall_10:.0f} % ({self.asked} tried)."
        )
        advice = " Such queries find little here: try another kind of query, or another encoder."
        return found + advice * self.finds_little

"""Few-shot episodes: support and query shapes, drawn by a seed, kept as JSON."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from adacross.data.collection.collection import Collection
from adacross.errors import UserError, listed, one_of
from adacross.evaluation.result import read_as
from adacross.features.statistics import grouped_mean
from adacross.io.files import read_json


@dataclass(frozen=True)
class Rule:
    """Settings of the drawing."""

    episodes: int = 10  # of each setting
    queries: int = 20  # query shapes per class
    # split of the query shapes; support shapes are always training shapes
    queries_from: Literal["train", "test"] = "test"
    # leave out classes with fewer query shapes; otherwise they are asked with all they have
    exact: bool = False


@dataclass(frozen=True)
class Episode:
    """A small classification task: ids of shapes, a list for each class in the order of `classes`."""

    classes: list[str]
    support: list[list[str]]
    query: list[list[str]]

    @property
    def learned(self) -> list[str]:
        """Support shapes, class by class."""
        return [shape for group in self.support for shape in group]

    @property
    def asked(self) -> list[str]:
        """Query shapes, class by class."""
        return [shape for group in self.query for shape in group]

    @property
    def targets(self) -> tuple[Int64[np.ndarray, " s"], Int64[np.ndarray, " q"]]:
        """Classes of `learned` and of `asked`, from 0 to N - 1."""
        counts = ([len(group) for group in groups] for groups in (self.support, self.query))
        learned, asked = (np.repeat(np.arange(len(self.classes)), count) for count in counts)
        return learned, asked

    def indices(self, places: Mapping[str, int]) -> tuple[Int64[np.ndarray, " s"], Int64[np.ndarray, " q"]]:
        """Return the indices of `learned` and of `asked`, given the index of each id."""
        learned, asked = (np.array([places[shape] for shape in ids]) for ids in (self.learned, self.asked))
        return learned, asked

    def accuracy(self, right: Bool[np.ndarray, " q"]) -> float:
        """Return the mean over classes of the share of right answers to `asked`."""
        return grouped_mean(right, self.targets[1])


@dataclass(frozen=True)
class Setting:
    """N-way K-shot: its episodes, and the classes that have too few shapes for it."""

    ways: int
    shots: int
    without: list[str]
    episodes: list[Episode]

    @property
    def name(self) -> str:
        """The setting in the field's words."""
        return f"{self.ways}-way {self.shots}-shot"

    @property
    def shapes(self) -> list[str]:
        """Query shapes of all episodes, each once."""
        return list(dict.fromkeys(shape for episode in self.episodes for shape in episode.asked))

    def by_shape(self, right: Sequence[Bool[np.ndarray, " _"]]) -> Float64[np.ndarray, " s"]:
        """Return the share of right answers for each of `shapes`, given those of each episode's `asked`."""
        places = {shape: place for place, shape in enumerate(self.shapes)}
        asked = [places[shape] for episode in self.episodes for shape in episode.asked]
        return np.bincount(asked, weights=np.concatenate(right)) / np.bincount(asked)


@dataclass(frozen=True)
class EpisodeSet:
    """Episodes of several settings, as a result keeps them."""

    collection: str  # name of the collection
    seed: int  # of the drawing
    queries_from: str  # split of the query shapes
    settings: list[Setting]
    left_out: dict[str, str]  # reasons by settings that the collection cannot fill


def draw_episodes(
    collection: Collection,
    ways: Sequence[int] = (5, 10),
    shots: Sequence[int] = (10, 20),
    rule: Rule = Rule(),
    seed: int = 0,
) -> EpisodeSet:
    """Draw episodes of every setting, N of `ways` and K of `shots`, that the collection can fill.

    An episode is a function of (seed, N, K, its number): more episodes begin with the same ones.

    Raises:
        UserError: no classes, a number below 1 (of ways: 2), or no setting that can be filled.
    """
    names = collection.info.classes
    if not names:
        raise UserError(
            f"{collection.folder} has no classes, which few-shot episodes need. "
            "Prepare a folder with a subfolder a class."
        )
    least = min((*shots, rule.episodes, rule.queries))
    if least < 1 or min(ways, default=0) < 2 or not shots:
        raise UserError(
            f"ways {list(ways)}, shots {list(shots)}, {rule.episodes} episodes, {rule.queries} queries; "
            "expected at least 2 ways, and at least 1 of the others."
        )
    train, test = (_members(collection, split) for split in ("train", "test"))
    sizes, test_sizes = (np.array([len(group) for group in groups]) for groups in (train, test))
    needed = rule.queries if rule.exact else 1
    settings, left_out = [], {}
    for n, k in product(dict.fromkeys(ways), dict.fromkeys(shots)):
        able = (sizes >= k) & ((sizes - k if rule.queries_from == "train" else test_sizes) >= needed)
        setting = Setting(n, k, [name for name, fills in zip(names, able, strict=True) if not fills], [])
        if able.sum() < n:
            has = f"{k} training and {needed} test shape{'s' if needed > 1 else ''}"
            if rule.queries_from == "train":
                has = f"{k} + {needed} training shapes"
            left_out[setting.name] = f"only {able.sum()} classes have {has}"
            continue
        for number in range(rule.episodes):
            rng = np.random.default_rng([seed, n, k, number])
            episode = Episode([], [], [])
            for label in rng.choice(np.flatnonzero(able), n, replace=False):
                known = rng.permutation(train[label])
                asked = known[k:] if rule.queries_from == "train" else rng.permutation(test[label])
                episode.classes.append(names[label])
                episode.support.append([collection.ids[i] for i in known[:k]])
                episode.query.append([collection.ids[i] for i in asked[: rule.queries]])
            setting.episodes.append(episode)
        settings.append(setting)
    if not settings:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UserError(
            f"{collection.folder} cannot fill any setting ({reasons}). "
            "Give smaller numbers, such as --ways 5 --shots 1."
        )
    return EpisodeSet(collection.info.name, seed, rule.queries_from, settings, left_out)


def _members(collection: Collection, split: str) -> list[Int64[np.ndarray, " k"]]:
    """Return indices of a split's shapes, an array for each class."""
    indices = collection.indices(split)
    labels = collection.labels[indices]
    return [indices[labels == label] for label in range(len(collection.info.classes))]


def read_episodes(path: Path, collection: Collection) -> EpisodeSet:
    """Read the episodes of a few-shot result, or of a file with the fields of `EpisodeSet`, and check them.

    Raises:
        UserError: not such a file; shapes that the collection lacks, has in another class or (support) in
            its test split; a shape that is both support and query.
    """
    if path.suffix != ".json" and not path.exists():
        raise UserError(f"episodes is {str(path)!r}; expected a number, or a file that this command wrote.")
    content = read_json(path, "a file of few-shot episodes")
    within = ("details", "episodes") if isinstance(content, dict) and "details" in content else ()
    episodes = read_as(EpisodeSet, path, "a file of few-shot episodes", *within)
    one_of(f"split in {path}", episodes.queries_from, ("train", "test"))
    names = [*collection.info.classes, ""]  # the last is of -1, no class
    classes = {shape: names[label] for shape, label in zip(collection.ids, collection.labels, strict=True)}
    train, asked = (
        {collection.ids[i] for i in collection.indices(split)} for split in ("train", episodes.queries_from)
    )
    for setting in episodes.settings:
        for one in setting.episodes:
            _check_form(path, setting, one)
            _check(path, f"names shapes that {collection.folder} lacks", [*one.learned, *one.asked], classes)
            for name, *groups in zip(one.classes, one.support, one.query, strict=True):
                members = [shape for group in groups for shape in group]
                same = {shape for shape in members if classes[shape] == name}
                _check(path, f"counts as {name} what {collection.folder} does not", members, same)
            _check(path, "learns from shapes that are not of the training split", one.learned, train)
            _check(path, f"asks shapes that are not of the {episodes.queries_from} split", one.asked, asked)
            _check(path, "asks shapes that it learns from", one.asked, {*one.asked} - {*one.learned})
    if not episodes.settings or not all(setting.episodes for setting in episodes.settings):
        raise UserError(f"{path} holds no episode of a setting; expected at least one.")
    return episodes


def _check_form(path: Path, setting: Setting, episode: Episode) -> None:
    lists = (episode.classes, episode.support, episode.query)
    if {len(part) for part in lists} != {setting.ways} or len(set(episode.classes)) != setting.ways:
        raise UserError(f"{path} has an episode of {setting.name} that is not of {setting.ways} classes.")
    if not all(episode.query) or {len(group) for group in episode.support} != {setting.shots}:
        raise UserError(
            f"{path} has an episode of {setting.name} in which a class has other than {setting.shots} shapes "
            "to learn from, or none to ask."
        )


def _check(path: Path, what: str, given: Sequence[str], valid: Container[str]) -> None:
    """Raise an error that names the shapes that are not valid."""
    if wrong := [shape for shape in given if shape not in valid]:
        raise UserError(f"{path} {what}: {listed(wrong)}. Give episodes of this collection.")

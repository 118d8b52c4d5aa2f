"""Few-shot episodes: which shapes are learnt from and which are asked; drawn by a seed, kept as JSON."""

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64

from adacross.data.collection.collection import Collection
from adacross.errors import UserError, one_of
from adacross.evaluation.results import load
from adacross.io.files import write_json

MOST_NAMED = 6  # shapes that an error names


@dataclass(frozen=True)
class Rule:
    """How episodes are drawn.

    Attributes:
        episodes: of each setting.
        queries: shapes of each class that are asked.
        queries_from: the split they come from; what is learnt from is always of the training split.
        exact: a class with fewer queries is not drawn; otherwise it is asked with all it has.
    """

    episodes: int = 10
    queries: int = 20
    queries_from: Literal["train", "test"] = "test"
    exact: bool = False


@dataclass(frozen=True)
class Episode:
    """One small classification: ids of shapes, a list for each class in the order of `classes`."""

    classes: list[str]
    support: list[list[str]]
    query: list[list[str]]

    @property
    def learnt(self) -> list[str]:
        """Every shape that is learnt from, class by class."""
        return [shape for group in self.support for shape in group]

    @property
    def asked(self) -> list[str]:
        """Every shape that is asked, class by class."""
        return [shape for group in self.query for shape in group]

    @property
    def targets(self) -> tuple[Int64[np.ndarray, " s"], Int64[np.ndarray, " q"]]:
        """Which class, from 0 to N - 1, each shape of `learnt` and of `asked` is of."""
        counts = ([len(group) for group in groups] for groups in (self.support, self.query))
        learnt, asked = (np.repeat(np.arange(len(self.classes)), count) for count in counts)
        return learnt, asked


@dataclass(frozen=True)
class Setting:
    """N-way K-shot: its episodes, and the classes that have too few shapes for it."""

    ways: int
    shots: int
    without: list[str]
    episodes: list[Episode]

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.ways}-way {self.shots}-shot"


@dataclass(frozen=True)
class EpisodeSet:
    """Episodes of several settings: the content of `few-shot-episodes.json`.

    Attributes:
        collection: the name of the collection whose shapes they are.
        seed: that they were drawn by.
        queries_from: the split of the shapes that are asked.
        settings: with their episodes.
        left_out: settings that the collection cannot fill, and why.
    """

    collection: str
    seed: int
    queries_from: str
    settings: list[Setting]
    left_out: dict[str, str]

    def save(self, path: Path) -> None:
        """Write them as JSON, for `read_episodes` or another program."""
        write_json(path, asdict(self))


def draw_episodes(
    collection: Collection,
    ways: Sequence[int] = (5, 10),
    shots: Sequence[int] = (10, 20),
    rule: Rule | None = None,
    seed: int = 0,
) -> EpisodeSet:
    """Draw episodes of every N-way K-shot setting that the collection can fill.

    An episode is a function of (seed, N, K, its number): more episodes begin with the same ones.

    Args:
        collection: with classes.
        ways: numbers N of classes.
        shots: numbers K of shapes of each class to learn from.
        rule: how many episodes and queries, and from where; `Rule()` if not given.
        seed: of everything drawn.

    Raises:
        UserError: no classes, a number below 1 (of ways: 2), or no setting that can be filled.
    """
    rule = rule or Rule()
    if not collection.info.classes:
        raise UserError(
            f"{collection.folder} has no classes, which few-shot episodes need. "
            "Prepare a folder with a subfolder a class."
        )
    least = min((*shots, rule.episodes, rule.queries), default=0)
    if least < 1 or min(ways, default=0) < 2 or not shots:
        raise UserError(
            f"ways {list(ways)}, shots {list(shots)}, {rule.episodes} episodes, {rule.queries} queries; "
            "expected at least 2 ways, and at least 1 of the others."
        )
    members = [_members(collection, split) for split in ("train", "test")]
    settings, left_out = [], {}
    for n in ways:
        for k in shots:
            able = [_fills(members, label, k, rule) for label in range(len(collection.info.classes))]
            without = [name for name, fills in zip(collection.info.classes, able, strict=True) if not fills]
            setting = Setting(n, k, without, [])
            if sum(able) < n:
                left_out[setting.name] = f"only {sum(able)} classes have {_needed(k, rule)}"
                continue
            for number in range(rule.episodes):
                rng = np.random.default_rng([seed, n, k, number])
                chosen = rng.choice(np.flatnonzero(able), n, replace=False)
                setting.episodes.append(_draw(collection, members, chosen.tolist(), k, rule, rng))
            settings.append(setting)
    if not settings:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UserError(
            f"{collection.folder} cannot fill any setting ({reasons}). "
            "Give smaller numbers, such as --ways 5 --shots 1."
        )
    return EpisodeSet(collection.info.name, seed, rule.queries_from, settings, left_out)


def _members(collection: Collection, split: str) -> list[np.ndarray]:
    """Indices of a split's shapes, an array for each class."""
    indices = collection.indices(split)
    labels = collection.labels[indices]
    return [indices[labels == label] for label in range(len(collection.info.classes))]


def _fills(members: list[list[np.ndarray]], label: int, shots: int, rule: Rule) -> bool:
    """Whether a class has enough shapes."""
    train, test = (len(split[label]) for split in members)
    left = train - shots if rule.queries_from == "train" else test
    return train >= shots and left >= (rule.queries if rule.exact else 1)


def _needed(shots: int, rule: Rule) -> str:
    asked = rule.queries if rule.exact else 1
    if rule.queries_from == "train":
        return f"{shots} + {asked} training shapes"
    return f"{shots} training and {asked} test shape{'s' if asked > 1 else ''}"


def _draw(
    collection: Collection,
    members: list[list[np.ndarray]],
    labels: list[int],
    shots: int,
    rule: Rule,
    rng: np.random.Generator,
) -> Episode:
    episode = Episode([], [], [])
    for label in labels:
        known = rng.permutation(members[0][label])
        asked = known[shots:] if rule.queries_from == "train" else rng.permutation(members[1][label])
        episode.classes.append(collection.info.classes[label])
        episode.support.append([collection.ids[i] for i in known[:shots]])
        episode.query.append([collection.ids[i] for i in asked[: rule.queries]])
    return episode


def read_episodes(path: Path, collection: Collection) -> EpisodeSet:
    """Read episodes that a measurement or another program saved, and check them against a collection.

    Raises:
        UserError: not such a file; shapes that the collection lacks, has in another class or (to learn from)
            in its test split; a shape that is both learnt from and asked.
    """
    if path.suffix != ".json" and not path.exists():
        raise UserError(f"episodes is {str(path)!r}; expected a number, or a file that this command wrote.")
    episodes = load(EpisodeSet, path)
    one_of(f"split in {path}", episodes.queries_from, ("train", "test"))
    classes = {name: label for label, name in enumerate(collection.info.classes)}
    labels = dict(zip(collection.ids, collection.labels.tolist(), strict=True))
    splits = {
        split: {collection.ids[i] for i in collection.indices(split)}
        for split in ("train", episodes.queries_from)
    }
    for setting in episodes.settings:
        for episode in setting.episodes:
            _check_form(path, setting, episode)
            learnt, asked, where = episode.learnt, episode.asked, episodes.queries_from
            _complain(path, f"names shapes that {collection.folder} lacks", [*learnt, *asked], labels)
            for name, *groups in zip(episode.classes, episode.support, episode.query, strict=True):
                members = [shape for group in groups for shape in group]
                same = {shape for shape in members if labels[shape] == classes.get(name)}
                _complain(path, f"counts as {name} what {collection.folder} does not", members, same)
            _complain(path, "learns from shapes that are not of the training split", learnt, splits["train"])
            _complain(path, f"asks shapes that are not of the {where} split", asked, splits[where])
            _complain(path, "asks shapes that it learns from", asked, set(asked) - set(learnt))
    if not any(setting.episodes for setting in episodes.settings):
        raise UserError(f"{path} holds no episode; expected at least one.")
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


def _complain(path: Path, what: str, given: Sequence[str], valid: Container[str]) -> None:
    """Raise an error that names those given that are not valid."""
    wrong = [shape for shape in given if shape not in valid]
    if wrong:
        more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        names = ", ".join(wrong[:MOST_NAMED])
        raise UserError(f"{path} {what}: {names}{more}. Give episodes of this collection.")

"""Few-shot classification: a few labelled shapes of a few classes, over many episodes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from adacross.console import Table, console, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError, one_of
from adacross.evaluation.few_shot.episodes import EpisodeSet, Setting, draw_episodes, read_episodes
from adacross.evaluation.few_shot.learners import FineTuned, Frozen
from adacross.evaluation.few_shot.protocol import OURS, PRESETS, FewShotProtocol
from adacross.evaluation.labelled import check_points
from adacross.evaluation.results import Figure, Ledger, Paper, check_output, result_path, save, subject
from adacross.features.sources import find_encoders, usual_device

ARMS = ("pretrained", "untrained")


@dataclass(frozen=True)
class SettingResult:
    """One N-way K-shot setting.

    Attributes:
        ways: N classes an episode.
        shots: K shapes of each to learn from.
        queries: the fewest and the most shapes of a class that are asked.
        without: classes that have too few shapes and are never drawn.
        chance: accuracy of a guess.
        pretrained: accuracy of each episode.
        untrained: the same encoder freshly drawn, in the same episodes.
        gain: the difference in each episode.
    """

    ways: int
    shots: int
    queries: list[int]
    without: list[str]
    chance: float
    pretrained: Figure
    untrained: Figure
    gain: Figure

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.ways}-way {self.shots}-shot"


@dataclass(frozen=True)
class FewShotResult:
    """What `evaluate few-shot` measured, and under which protocol.

    Attributes:
        protocol: "ours", or the paper it follows.
        classifier: what is learnt in an episode, and how.
        queries_from: the split that is asked.
        spread: what the ± is over.
        episodes: the file of the episodes, beside this one; None where nothing was saved.
        settings: one each.
        left_out: settings that the data cannot fill, and why.
    """

    task: str
    data: str
    encoders: list[str]
    points: int
    train: int
    test: int
    protocol: str
    classifier: str
    queries_from: str
    spread: str
    seed: int
    episodes: str | None
    settings: list[SettingResult]
    left_out: dict[str, str]

    @property
    def asked(self) -> str:
        """How many shapes of a class are asked, and of which split."""
        least = min(row.queries[0] for row in self.settings)
        most = max(row.queries[1] for row in self.settings)
        count = f"{most}" if least == most else f"{least} to {most}"
        return f"{count} shapes of a class, of the {self.queries_from} split"

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.data}: few-shot as {self.protocol}, {self.points} points; {self.classifier}"
        left_out = "".join(f"\n{name} left out: {reason}" for name, reason in self.left_out.items())
        table = Table(title=title, caption=f"asked: {self.asked}; {self.spread}{left_out}")
        for column in ("setting", "chance", "pre-trained", "untrained", "gain", "better in"):
            table.add_column(column, no_wrap=True)
        for row in self.settings:
            better = f"{sum(gain > 0 for gain in row.gain.values)} of {len(row.gain.values)}"
            gain = f"{100 * row.gain.mean:+.1f} ± {100 * row.gain.std:.1f}"
            figures = (f"{100 * row.chance:.0f} %", str(row.pretrained), str(row.untrained), gain, better)
            table.add_row(row.name, *figures)
        return table


def measure_few_shot(
    encoders: Sequence[Encoder],
    collection: Collection,
    episodes: EpisodeSet,
    protocol: FewShotProtocol = OURS,
    *,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    result: Path | None = None,
) -> FewShotResult:
    """Learn every episode's support set, ask its queries; the same with the encoder untrained.

    Accuracy is the mean over an episode's classes, which is the share of right answers where every class is
    asked as often as the others. Several encoders take turns, one an episode; untrained ones, too.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: whose shapes the episodes name.
        episodes: from `draw_episodes` or `read_episodes`.
        protocol: what is learnt in an episode.
        device: where to compute.
        names: the encoders' names, for the record.
        result: where the result will be written; what is finished is kept beside it until then.

    Raises:
        UserError: fewer points than asked for in the protocol that a network can read.
        Interrupted: asked to stop while fine-tuning; the same call goes on.
    """
    points = min(protocol.points or collection.info.points, collection.info.points)
    ledger = Ledger(
        result,
        {"protocol": asdict(replace(protocol, points=points)), "episodes": asdict(episodes)}
        | subject(collection, encoders),
    )
    rows = []
    with progress_bar("steps" if protocol.fine_tune else "shapes") as progress:
        kind = FineTuned if protocol.fine_tune else Frozen
        learner = kind(encoders, collection, protocol, points, episodes.seed, device, progress, ledger)
        for setting in episodes.settings:
            scores = [learner.accuracies(setting, arm == "untrained") for arm in ARMS]
            rows.append(_row(setting, *scores))
    return FewShotResult(
        task="few-shot",
        data=collection.info.name,
        encoders=list(names),
        points=points,
        train=len(collection.indices("train")),
        test=len(collection.indices("test")),
        protocol=protocol.name,
        classifier=protocol.words,
        queries_from=episodes.queries_from,
        spread=_spread(len(encoders), learner.turns, learner.draws, episodes),
        seed=episodes.seed,
        episodes=_episodes_path(result).name if result else None,
        settings=rows,
        left_out=episodes.left_out,
    )


def _row(setting: Setting, pretrained: list[float], untrained: list[float]) -> SettingResult:
    counts = [len(group) for episode in setting.episodes for group in episode.query]
    return SettingResult(
        ways=setting.ways,
        shots=setting.shots,
        queries=[min(counts), max(counts)],
        without=setting.without,
        chance=1 / setting.ways,
        pretrained=Figure.of(pretrained),
        untrained=Figure.of(untrained),
        gain=Figure.of([a - b for a, b in zip(pretrained, untrained, strict=True)]),
    )


def _spread(encoders: int, turns: int | None, draws: bool, episodes: EpisodeSet) -> str:
    """Describe what the standard deviation is taken over."""
    count = max(len(setting.episodes) for setting in episodes.settings)
    several = f"{encoders} pre-training seeds" if encoders > 1 else ""
    varied = [words for words in (several, f"{turns} draws of points" if draws else "") if words]
    also = f" ({', '.join(varied)} take turns)" if varied else ""
    fresh = f"{turns} initialisations take turns" if turns else "a fresh one in each"
    return (
        f"mean ± standard deviation over {count} episodes{also}; untrained: {fresh}, in the very same "
        f"episodes; seed {episodes.seed}"
    )


def _episodes_path(result: Path) -> Path:
    return result.with_name(f"{result.stem}-episodes.json")


def evaluate_few_shot(
    encoder: str | list[str],
    data: str,
    ways: list[int] | None = None,
    shots: list[int] | None = None,
    queries: int | None = None,
    episodes: int | str | None = None,
    points: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    as_: Paper | None = None,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> FewShotResult:
    """Classify from a few labeled shapes of a few classes, over many episodes.

    An episode draws N classes and K training shapes of each to learn from, then asks test shapes of the same
    classes. Features are frozen; a scaler and a linear SVM with C = 1 are fitted on the N x K shapes alone,
    so there is nothing to choose. The episodes are saved beside the result, and both encoders see the same.

    Two protocols were published, whose figures must not be compared: CrossPoint's (OcCo's, cTree's) asks
    training shapes and freezes the features; Point-BERT's (Point-M2AE's, Joint-MAE's) asks test shapes and
    fine-tunes the whole network. Ours asks test shapes and freezes the features. With --as the result has a
    file of its own, `few-shot-as-PAPER.json`.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection with classes.
        ways: classes per episode; 5 and 10 by default.
        shots: labeled shapes per class; 10 and 20 by default.
        queries: test shapes per class; 20 by default, or all of a class that has fewer. With --as a class
            needs that many.
        episodes: episodes per setting, 10 by default; or a file of episodes that an earlier measurement
            saved, which sets ways, shots and queries.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        epochs: epochs of fine-tuning with --as point-m2ae or joint-mae; 150 by default.
        seed: random seed.
        as_: follow a paper's protocol. crosspoint: 10 episodes (--episodes 50 as in its script), all stored
            points; its script uses 5 neighbors with a DGCNN trained with 15, here an encoder keeps its own.
            point-m2ae and joint-mae: 10 episodes, 1,024 points, fine-tuned. Other options take precedence.
        device: cpu or cuda; cuda if available.
        output: JSON file to write, the episodes beside it; by default `evaluation/few-shot.json` in the
            (first) run, `few-shot-as-PAPER.json` with --as.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, no classes, no setting that can be filled, options that do
            not go together, a paper without few-shot figures, a file of episodes of another collection.
    """
    check_output(output, overwrite, lambda path: [_episodes_path(path)])
    if as_ and as_ not in PRESETS:
        raise UserError(f"no few-shot figures of {as_} are known; --as knows {', '.join(PRESETS)}.")
    protocol = PRESETS[as_] if as_ else OURS
    if epochs is not None:
        protocol = protocol.with_epochs(epochs)
    found = find_encoders(encoder)
    collection = Collection.open(data)
    check_points(points, collection)
    if isinstance(episodes, str):
        given: dict[str, Any] = {"ways": ways, "shots": shots, "queries": queries}
        if beside := [name for name, value in given.items() if value is not None]:
            raise UserError(f"{', '.join(beside)} given beside --episodes FILE, which says them already.")
        drawn = read_episodes(Path(episodes), collection)
        one_of("split asked by these episodes", drawn.queries_from, [protocol.rule.queries_from])
    else:
        usual = protocol.rule
        rule = replace(
            usual,
            episodes=usual.episodes if episodes is None else episodes,
            queries=usual.queries if queries is None else queries,
        )
        drawn = draw_episodes(collection, ways or (5, 10), shots or (10, 20), rule, seed)
    for name, reason in drawn.left_out.items():
        console.print(f"{name} is left out: {reason}", style="yellow")
    task = f"few-shot-as-{as_}" if as_ else "few-shot"
    path = result_path(output, found[0].run, task)
    if path:
        drawn.save(_episodes_path(path))
    result = measure_few_shot(
        [item.encoder for item in found],
        collection,
        drawn,
        replace(protocol, points=points or protocol.points),
        device=usual_device(device),
        names=[item.name for item in found],
        result=path,
    )
    save(result, output, found[0].run, task)
    return result

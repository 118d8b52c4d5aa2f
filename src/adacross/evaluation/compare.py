"""Encoders side by side: the results of a protocol, and whether their differences are more than chance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from adacross.errors import UserError, check_options, one_of
from adacross.evaluation import find_protocol
from adacross.evaluation.driver import file_name, keep, named_entries
from adacross.evaluation.result import BASELINES, PRETRAINED, Data, Key, Result, Score
from adacross.evaluation.tabular import Tabular, check_output
from adacross.features.sources import find_runs
from adacross.features.statistics import Difference, Estimate, holm
from adacross.version import __version__

_EPISODES = "episodes"  # share shapes, so they are no independent units


@dataclass(frozen=True)
class ComparedRow:
    """A figure of a comparison, of an entry or of what stands beside the entries."""

    encoder: str  # name of the entry, or "untrained pointnet", "chance", ...
    metric: str
    setting: dict[str, str]  # such as {"labels": "10 %"}
    figure: Estimate
    difference: Difference | None = None  # from the baseline's figure, of other entries
    p_holm: float | None = None  # corrected for all comparisons of the table; None where there is no test


@dataclass(frozen=True)
class Comparison(Tabular):
    """Entries of encoders, measured by one protocol on the same shapes, and their differences.

    What is not explained here is as of a `Result`.
    """

    task: str
    data: Data
    options: dict[str, Any]
    baseline: str  # the entry that the others are compared with
    entries: dict[str, list[str]]  # names of encoders; those of an entry differ in their pre-training seed
    weights: dict[str, list[str]]  # digests of their weights
    protocol: str
    notes: list[str]
    rows: list[ComparedRow]  # the figures, setting by setting
    version: str
    date: str

    @property
    def identity(self) -> dict[str, Any]:
        own = ("task", "options", "baseline", "weights")
        return {name: getattr(self, name) for name in own} | {"data": self.data.digest}

    @property
    def title(self) -> str:
        return f"{self.task} on {self.data.name}: {self.data.train:,} train / {self.data.test:,} test"

    @property
    def caption(self) -> str:
        return ". ".join([self.protocol, *self.notes])

    @property
    def columns(self) -> list[str]:
        settings = dict.fromkeys(name for row in self.rows for name in row.setting)
        return [*settings, "metric", "encoder", "figure", f"difference from {self.baseline}", "p (Holm)"]

    def text_rows(self) -> list[list[str]]:
        """Return the rows as text; "–" where nothing is compared."""
        return [
            [
                *(row.setting.get(name, "") for name in self.columns[:-5]),
                *(row.metric, row.encoder, str(row.figure), str(row.difference or "–")),
                "–" if row.p_holm is None else "< 0.001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}",
            ]
            for row in self.rows
        ]

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for every row; figures are shares from 0 to 1."""
        apart = [field.name for field in fields(Difference)]
        return [
            {"task": self.task, "data": self.data.name, **row.setting}
            | {"encoder": row.encoder, "metric": row.metric, **asdict(row.figure), "baseline": self.baseline}
            | {f"difference_{name}": getattr(row.difference, name, None) for name in apart}
            | {"p_holm": row.p_holm}
            for row in self.rows
        ]


def compare(
    encoders: list[str],
    data: str,
    task: str = "linear",
    baseline: str | None = None,
    points: int | None = None,
    seeds: int | None = None,
    folds: int | None = None,
    ways: list[int] | None = None,
    shots: list[int] | None = None,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> Comparison:
    """Compare encoders on the same test shapes: one table with significance, also as Markdown, CSV and LaTeX.

    Each entry is measured by the protocol itself; what was measured before is not measured again. The
    untrained encoder of each architecture and the other baselines come from the same results. Differences
    from the baseline have a 95 % interval and a p-value, corrected for their number (Holm). For a claim about
    methods give several pre-trainings an entry, as quoted patterns: the test is over these. With a single one
    the difference must be significant over test shapes, and beyond the spread of untrained encoders with
    other seeds, which stands for the unknown spread of the pre-training; more --seeds make it better known.

    Args:
        encoders: runs, encoder folders, hf://owner/name, builtin-small, builtin-base, builtin-any; a quoted
            pattern ('runs/a-seed*') is one entry of several pre-trainings.
        data: a prepared collection with classes, or what the task measures on.
        task: protocol to measure by: linear, few-shot, fine-tune, part-seg, sem-seg, retrieval, robustness or
            package.module:name.
        baseline: entry to compare the others with, by its name in the table; the first by default.
        points: points per cloud, for tasks that have the option; its default otherwise.
        seeds: the task's seeds; its default otherwise.
        folds: the task's cross-validation folds; its default otherwise.
        ways: classes of few-shot episodes; the task's default otherwise.
        shots: labeled shapes per class of few-shot episodes; the task's default otherwise.
        device: cpu or cuda; cuda if available.
        output: JSON file to write, with .md, .csv and .tex beside it; by default
            evaluation/DATA/compare-TASK.json in the first run.
        overwrite: replace existing output files.

    Raises:
        UserError: an encoder given twice, an option that the task does not have, no such task, encoder, data
            or baseline, data that do not suit.
    """
    protocol = find_protocol(task)
    options = {"points": points, "seeds": seeds, "folds": folds, "ways": ways, "shots": shots}
    given = {name: value for name, value in options.items() if value is not None}
    check_options(f"task {task}", protocol, given)
    check_output(output, "a comparison", overwrite)
    named = named_entries(encoders)
    if baseline is not None and baseline not in encoders:
        one_of("baseline", baseline, named)
    chosen = next((name for name, word in named.items() if baseline in (name, word)), None)
    results = {name: protocol(word, data, **given, device=device) for name, word in named.items()}
    comparison = compare_results(results, chosen)
    runs = find_runs(encoders)
    folder = runs[0] / "evaluation" / file_name(comparison.data.name) if runs else None
    keep(comparison, output, folder, file_name(f"compare-{task}"))
    return comparison


def compare_results(results: Mapping[str, Result], baseline: str | None = None) -> Comparison:
    """Compare results of one protocol, by name of the entry, with the baseline's (by default the first).

    Raises:
        UserError: no such baseline, or results of other tasks, data, options or test units.
    """
    baseline = one_of("baseline", baseline or next(iter(results), ""), results)
    reference = results[baseline]
    weights = [digest for result in results.values() for digest in result.weights]
    if len(set(weights)) < len(weights):
        raise UserError(f"two of {', '.join(results)} hold the same encoder. Give each encoder once.")
    for name, result in results.items():
        if any(getattr(result, what) != getattr(reference, what) for what in ("task", "options", "ids")):
            raise UserError(
                f"{name} and {baseline} were not tested on the same shapes with the same task and options. "
                "Measure both again in the same way."
            )
    entries = {name: _scores(result, PRETRAINED) for name, result in results.items()}
    if not entries[baseline]:
        raise UserError(
            f"task {reference.task} has figures over episodes only, which share shapes: there is no test of "
            "them. Choose another --task."
        )
    fresh = {
        name: {key: one for network in BASELINES for key, one in _scores(result, network).items()}
        for name, result in results.items()
    }
    rows = []
    for key in dict.fromkeys(key for scores in entries.values() for key in scores):
        other = entries[baseline].get(key)
        for name, scores in (entries | _beside(results)).items():
            if one := scores.get(key):
                apart = None
                if other and name in entries and name != baseline:
                    apart = one.minus(other, (fresh[name].get(key), fresh[baseline].get(key)))
                rows.append(ComparedRow(name, one.metric, one.setting, one.estimate, apart))
    tested = {
        i: row.difference.p for i, row in enumerate(rows) if row.difference and row.difference.p is not None
    }
    for i, p in zip(tested, holm(list(tested.values())), strict=True):
        rows[i] = replace(rows[i], p_holm=p)
    return Comparison(
        task=reference.task,
        data=reference.data,
        options=reference.options,
        baseline=baseline,
        entries={name: result.encoders for name, result in results.items()},
        weights={name: result.weights for name, result in results.items()},
        protocol=reference.protocol,
        notes=_notes(results, baseline, rows),
        rows=rows,
        version=__version__,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _scores(result: Result, network: str) -> dict[Key, Score]:
    """Return a network's scores by metric and setting, without those over episodes."""
    own = (one for one in result.scores if one.network == network and one.units != _EPISODES)
    return {one.key: one for one in own}


def _beside(results: Mapping[str, Result]) -> dict[str, dict[Key, Score]]:
    """Return the scores of what stands beside the entries, each architecture and each baseline once."""
    found: dict[str, dict[str, dict[Key, Score]]] = {}
    networks = dict.fromkeys(one.network for result in results.values() for one in result.scores)
    for network in networks:
        for name, result in results.items():
            called = f"{network} {result.kind}" if network in BASELINES else network
            scores, known = _scores(result, network), found.setdefault(called, {})
            if network != PRETRAINED and scores and scores not in known.values():
                known[name] = scores
    return {
        called if len(each) == 1 else f"{called}, like {name}": scores
        for called, each in found.items()
        for name, scores in each.items()
    }


def _notes(results: Mapping[str, Result], baseline: str, rows: list[ComparedRow]) -> list[str]:
    """Return what the p-values are about, and the protocol's notes."""
    counts = {name: len(result.encoders) for name, result in results.items()}
    once = [name for name, count in counts.items() if count == 1]
    over = [n for n, count in counts.items() if n != baseline and min(count, counts[baseline]) > 1]
    paired = [name for name in counts if name not in (baseline, *over)]
    notes = ["figures: [95 % interval over test shapes], or ± standard deviation over pre-trainings"]
    if paired:
        notes.append(
            f"p of {', '.join(paired)} is about these encoders on other test shapes, and with other seeds if "
            "pre-training spreads as initializations do; it is not about methods, since pre-trained once: "
            f"{', '.join(once)}"
        )
    if over:
        notes.append(f"p of {', '.join(over)} is over pre-trainings: it is about the methods")
    if tested := sum(row.p_holm is not None for row in rows):
        notes.append(f"p is corrected by Holm (number of comparisons: {tested}), intervals are not")
    differences = [(row.encoder, row.difference) for row in rows if row.difference]
    notes += dict.fromkeys(f"{name}: {each.test}" for name, each in differences if each.p is None)
    return [*notes, *dict.fromkeys(note for result in results.values() for note in result.notes)]

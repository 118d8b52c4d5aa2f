"""Several encoders under the same seeds, in one table with significance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from adacross.console import progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError, one_of
from adacross.evaluation.compare.comparison import ComparedRow, Comparison, as_csv, as_markdown
from adacross.evaluation.compare.significance import FEWEST, holm, independent, paired_test
from adacross.evaluation.compare.tasks import TASKS, Options, Task
from adacross.evaluation.labelled import check_points
from adacross.evaluation.results import Figure, Ledger, check_output, result_path, save, subject
from adacross.features.sources import find_encoders, untrained_like, usual_device
from adacross.io.files import whole_file

Measured = Literal["linear", "few-shot", "retrieval-shape"]
_BESIDE = (".md", ".csv")  # written beside the result


@dataclass(frozen=True)
class Entry:
    """Encoders that count as one: the pre-trainings of a pattern, in turn, or one that is drawn anew."""

    name: str
    encoders: Sequence[Encoder]
    names: Sequence[str]
    pretrained: bool = True

    def turns(self, seeds: int) -> int:
        """How many different networks are measured."""
        return len(self.encoders) if self.pretrained else seeds

    def network(self, turn: int) -> Encoder:
        """The encoder of a turn."""
        return self.encoders[turn] if self.pretrained else untrained_like(self.encoders[0], turn)


def measure_compare(
    entries: Mapping[str, Sequence[Encoder]],
    collection: Collection,
    task: Measured = "linear",
    *,
    seeds: int = 5,
    baseline: str | None = None,
    points: int | None = None,
    folds: int = 5,
    ways: int = 5,
    shots: int = 10,
    device: str = "cpu",
    names: Mapping[str, Sequence[str]] | None = None,
    result: Path | None = None,
) -> Comparison:
    """Measure several encoders under the same seeds, and the untrained encoder of each kind.

    A seed stands for the same points and folds (or episodes) for every encoder, so that what is hard about
    them cancels in the difference. What the paired t-test can tell is whether the difference would come back
    under other seeds: with one pre-training an entry, other points, folds or episodes; with several, other
    pre-trainings, whose repetitions are averaged first. What it cannot tell: whether it would come back on
    other test shapes, for all seeds share these; nor, with one pre-training, after pre-training anew.

    Args:
        entries: pre-trained encoders by name; several of one name differ in their pre-training seed and take
            turns.
        collection: with classes and a test split.
        task: what to measure.
        seeds: repetitions; raised until every pre-training is measured equally often.
        baseline: the name that the others are compared with; the first if not given.
        points: points of each cloud, drawn by the seed where more are stored; 1,024 if not given.
        folds: of the linear probe's cross-validation.
        ways: of few-shot episodes.
        shots: of the same.
        device: where to compute.
        names: of each entry's encoders, for the record.
        result: where the result will be written; what is finished is kept beside it until then.

    Raises:
        UserError: no entry, no such task or baseline, seeds or points below 1, or data that do not suit.
    """
    one_of("task", task, TASKS)
    check_points(points, collection)
    if not entries or seeds < 1:
        raise UserError(f"{len(entries)} encoders, seeds {seeds}; expected at least 1 of each.")
    together = math.lcm(*(len(encoders) for encoders in entries.values()))
    repetitions = -(-seeds // together) * together
    compared = [Entry(name, e, (names or {}).get(name, [name])) for name, e in entries.items()]
    compared += _untrained(compared)
    reference = one_of("baseline", baseline or compared[0].name, [entry.name for entry in compared])
    count = min(points or 1024, collection.info.points)
    options = Options(count, folds, ways, shots, device)
    ready = TASKS[task](collection, options)
    protocol = {
        "task": ready.protocol,
        "points": count,
        "seeds": repetitions,
        "entries": [[entry.name, len(entry.encoders)] for entry in compared],
    } | subject(collection, [encoder for entry in compared for encoder in entry.encoders])
    values = _measure(compared, ready, repetitions, Ledger(result, protocol))
    rows = _rows(compared, values, reference)
    return Comparison(
        task="compare",
        measured=task,
        data=collection.info.name,
        protocol=ready.protocol,
        figure=ready.figure,
        points=count,
        train=ready.train,
        test=ready.test,
        seeds=list(range(repetitions)),
        baseline=reference,
        spread=f"mean ± standard deviation over {repetitions} seeds: "
        f"{ready.varies or 'nothing else'}, and the entry's own pre-trainings or initialisations",
        notes=_notes(compared, rows),
        rows=rows,
    )


def _untrained(entries: Sequence[Entry]) -> list[Entry]:
    """One entry of fresh weights for each kind of encoder, by kind and options."""
    kinds: dict[str, Entry] = {}
    for entry in entries:
        kinds.setdefault(f"{entry.encoders[0].kind} {entry.encoders[0].options}", entry)
    labels = [entry.encoders[0].kind for entry in kinds.values()]
    return [
        Entry(
            f"untrained {kind}" + (f", like {entry.name}" if labels.count(kind) > 1 else ""),
            entry.encoders[:1],
            [],
            pretrained=False,
        )
        for kind, entry in zip(labels, kinds.values(), strict=True)
    ]


def _measure(entries: Sequence[Entry], task: Task, seeds: int, ledger: Ledger) -> list[list[float]]:
    """The figure of every entry under every seed."""
    measured = []
    with progress_bar("") as progress:
        bar = progress.add_task("measurements", total=len(entries) * seeds, note="")
        for number, entry in enumerate(entries):
            values = [0.0] * seeds
            turns = entry.turns(seeds)
            for turn in range(turns):
                own = list(range(turn, seeds, turns))
                progress.update(bar, note=entry.name)
                network = entry.network(turn)
                once = partial(task.measure, network, own, progress)
                values[turn::turns] = ledger.once(f"{number}-{turn}", once)
                progress.advance(bar, len(own))
            measured.append(values)
    return measured


def _rows(entries: Sequence[Entry], values: Sequence[Sequence[float]], baseline: str) -> list[ComparedRow]:
    names = [entry.name for entry in entries]
    reference = names.index(baseline)
    seeds = len(values[0])
    tests, differences, units = [], [], []
    for entry, own in zip(entries, values, strict=True):
        difference = [a - b for a, b in zip(own, values[reference], strict=True)]
        apart = independent(difference, [entry.turns(seeds), entries[reference].turns(seeds)])
        differences.append(Figure.of(difference))
        units.append(len(apart))
        tests.append(None if entry.name == baseline else paired_test(apart))
    tested = [i for i, test in enumerate(tests) if test]
    corrected = dict(zip(tested, holm([test.p for test in tests if test]), strict=True))
    return [
        ComparedRow(
            name=entry.name,
            pretrained=entry.pretrained,
            encoders=list(entry.names),
            accuracy=Figure.of(values[i]),
            difference=None if i == reference else differences[i],
            units=units[i],
            low=test.low if test else None,
            high=test.high if test else None,
            p=test.p if test else None,
            p_holm=corrected.get(i),
        )
        for i, (entry, test) in enumerate(zip(entries, tests, strict=True))
    ]


def _notes(entries: Sequence[Entry], rows: Sequence[ComparedRow]) -> list[str]:
    """What a reader must know to read the p-values."""
    trained = [entry for entry in entries if entry.pretrained]
    once = [entry.name for entry in trained if len(entry.encoders) == 1]
    untested = [row for row in rows if row.difference and row.p is None]
    few = [row.name for row in untested if row.units < FEWEST]
    alike = [row.name for row in untested if row.units >= FEWEST]
    notes = [
        "Each p is that of a two-sided paired t-test over the seeds, corrected by Holm for all rows; "
        "intervals are not corrected. All seeds share the test shapes: p is about other seeds, not about "
        "other shapes."
    ]
    if len(once) < len(trained):
        notes.append(
            "Seeds that share a pre-training are averaged first: there the test is over pre-trainings."
        )
    if once:
        notes.append(f"Pre-trained once, so that it is not known how repeats differ: {', '.join(once)}.")
    if few:
        notes.append(f"No p-value, for fewer than {FEWEST} independent differences: {', '.join(few)}.")
    if alike:
        notes.append(f"No p-value, for the difference is the same under every seed: {', '.join(alike)}.")
    return notes


def evaluate_compare(
    encoders: list[str],
    data: str,
    task: Measured = "linear",
    seeds: int = 5,
    baseline: str | None = None,
    points: int | None = None,
    folds: int = 5,
    ways: int = 5,
    shots: int = 10,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> Comparison:
    """Compare several encoders on the same seeds: one table with significance, also as Markdown and CSV.

    A seed draws the same points, folds or episodes for every encoder, and the untrained encoder of each kind
    is measured beside them. Differences to the first encoder have a paired t-test over the seeds, corrected
    for their number (Holm), and a 95 % interval. It is about other seeds, not about other test shapes; over
    pre-trainings where patterns name several of them, which is what a claim about a method needs.

    Args:
        encoders: runs, encoder folders, hf://owner/name or builtin-small; a quoted pattern ('runs/a-seed*')
            is one entry, whose pre-trainings take turns.
        data: a collection with classes.
        task: what to measure.
        seeds: repetitions; raised until every pre-training is measured equally often.
        baseline: entry to compare the others with, by its name in the table; the first by default.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        folds: cross-validation folds of the linear probe.
        ways: classes per few-shot episode; 10 episodes per seed.
        shots: labeled shapes per class.
        device: cpu or cuda; cuda if available.
        output: JSON file to write, with .md and .csv beside it; by default `evaluation/compare.json` in the
            first run.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder, collection or baseline, an encoder given twice, data that do not suit.
    """
    check_output(output, overwrite, lambda path: [path.with_suffix(ending) for ending in _BESIDE])
    found = {word: find_encoders(word) for word in dict.fromkeys(encoders)}
    if len(found) < len(encoders):
        raise UserError(f"an encoder was given twice: {', '.join(encoders)}.")
    short = {word: Path(word).name for word in found}
    called = {w: s if list(short.values()).count(s) == 1 else w for w, s in short.items()}
    run = next((item.run for items in found.values() for item in items if item.run), None)
    path = result_path(output, run, "compare")
    result = measure_compare(
        {called[word]: [item.encoder for item in items] for word, items in found.items()},
        Collection.open(data),
        task,
        seeds=seeds,
        baseline=called.get(baseline, baseline) if baseline else None,
        points=points,
        folds=folds,
        ways=ways,
        shots=shots,
        device=usual_device(device),
        names={called[word]: [item.name for item in items] for word, items in found.items()},
        result=path,
    )
    save(result, output, run, "compare")
    if path:
        for ending, text in zip(_BESIDE, (as_markdown(result), as_csv(result)), strict=True):
            with whole_file(path.with_suffix(ending)) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return result

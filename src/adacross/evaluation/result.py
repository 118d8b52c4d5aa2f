"""Results of all protocols: outcomes per test shape, and every table and figure computed from them."""

import builtins
import json
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from adacross.errors import UserError
from adacross.evaluation.tabular import Tabular
from adacross.features.statistics import Difference, Estimate, difference, estimate, grouped_mean
from adacross.io.files import read_json, write_whole

PRETRAINED, UNTRAINED, SCRATCH = "pre-trained", "untrained", "from scratch"
HISTOGRAM, CHANCE, GAIN = "shape histogram", "chance", "gain"
METRIC = "metric"  # a column of tables
BASELINES = (UNTRAINED, SCRATCH)  # networks that a gain is over
LAYOUT = 2  # of result files; 0.1 wrote files without a number, which are not read

Paper = Literal["crosspoint", "crossnet", "adacrossnet", "point-m2ae", "joint-mae"]
_NUMBERS = re.compile(r"\[[\d\s.,e+-]+\]")  # a JSON list of numbers
_ONES = re.compile(r"\b([01])\.0\b")
T = TypeVar("T")
Key = tuple[Any, ...]
Row = dict[str, str | Estimate | Difference]


@dataclass(frozen=True)
class Score:
    """Outcomes of one kind of network in one setting.

    Attributes:
        network: "pre-trained", "untrained", "from scratch", "shape histogram", "chance", ...
        metric: name of the figure, the mean of the outcomes: "accuracy", "instance mIoU", "mAP", ...
        outcomes: a row a repetition, a value a unit: 1 or 0 for right or wrong, or an IoU, a precision, ...
        networks: which network each repetition measured: repetitions on one network are averaged first.
        setting: what tells the rows of a table apart, such as {"labels": "10 %"}.
        units: what the columns are: "test shapes", "episodes", "blocks".
        groups: class of each unit, if the figure is the mean over classes; empty otherwise.
        predictions: predicted classes, as `outcomes`; empty where the outcome is no prediction.
        detail: True for a score that tables leave out, such as one of many that another is the mean of.
    """

    network: str
    metric: str
    outcomes: list[list[float]]
    networks: list[int]
    setting: dict[str, str] = field(default_factory=dict)
    units: str = "test shapes"
    groups: list[int] = field(default_factory=list)
    predictions: list[list[int]] = field(default_factory=list)
    detail: bool = False

    def __post_init__(self) -> None:
        lengths = {len(row) for row in self.outcomes}
        if len(lengths) != 1 or 0 in lengths or len(self.networks) != len(self.outcomes):
            raise ValueError(f"outcomes of {self.network} ({self.metric}) are not a full table")
        if not np.isfinite(np.array(self.outcomes)).all():
            raise ValueError(f"outcomes of {self.network} ({self.metric}) are not finite")
        if any(not -(2**31) <= label < 2**31 for row in (self.groups, *self.predictions) for label in row):
            raise ValueError(f"classes of {self.network} ({self.metric}) are beyond all labels")
        if self.groups and {len(self.groups)} != lengths:
            raise ValueError(f"{self.metric} has {len(self.groups)} groups for {lengths.pop()} {self.units}")

    @classmethod
    def of(
        cls,
        network: str,
        metric: str,
        outcomes: ArrayLike,
        *,
        networks: Sequence[int] | None = None,
        units: str = "test shapes",
        groups: ArrayLike = (),
        predictions: ArrayLike = (),
        **setting: str,
    ) -> "Score":
        """Return a score from arrays: outcomes and predictions `(r, u)`, or `(u,)` of one repetition.

        By default each repetition is of another network.

        Example:
            >>> score = Score.of("pre-trained", "accuracy", [1, 1, 0, 1], labels="10 %")
            >>> print(score.estimate)
            75.0 % [30.1, 95.4]
        """
        rows = np.atleast_2d(np.asarray(outcomes, dtype=np.float64))
        return cls(
            network=network,
            metric=metric,
            outcomes=rows.tolist(),
            networks=list(range(len(rows)) if networks is None else networks),
            setting=setting,
            units=units,
            groups=np.asarray(groups, dtype=np.int64).tolist(),
            predictions=np.asarray(predictions, dtype=np.int64).tolist(),
        )

    @property
    def key(self) -> Key:
        """Metric and setting, which scores of several networks share."""
        return (self.metric, *self.setting.items())

    @property
    def by_network(self) -> Float64[np.ndarray, "n u"]:
        """Outcomes of each network, mean over its repetitions."""
        rows, networks = np.array(self.outcomes), np.array(self.networks)
        return np.stack([rows[networks == network].mean(axis=0) for network in np.unique(networks)])

    @property
    def classes(self) -> Int64[np.ndarray, " u"] | None:
        """Class of each unit, or None."""
        return np.array(self.groups, dtype=np.int64) if self.groups else None

    @property
    def estimate(self) -> Estimate:
        """The figure: with an interval over units for one network, a deviation over several."""
        return estimate(self.by_network, self.classes)

    @property
    def values(self) -> list[float]:
        """The figure of each repetition."""
        return [grouped_mean(row, self.classes) for row in self.outcomes]

    def minus(self, other: "Score", fresh: "tuple[Score | None, Score | None]" = (None, None)) -> Difference:
        """Subtract another score of the same setting and metric.

        `fresh` are scores of untrained networks of both architectures; see `statistics.difference`.
        """
        first, second = (each.by_network if each else None for each in fresh)
        return difference(self.by_network, other.by_network, self.classes, fresh=(first, second))


@dataclass(frozen=True)
class Data:
    """Data of a measurement."""

    name: str  # of the collection or image set
    digest: str  # of its content
    train: int  # number of shapes that could be learned from
    test: int  # number of shapes that were tested
    classes: list[str] = field(default_factory=list)
    # reasons by what was left out, such as {"lamp (2 test shapes)": "no training shape"}
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """Scores of a protocol, with all that explains them.

    Attributes:
        data: what was measured on.
        scores: one for each kind of network, setting and metric; the headline first.
        protocol: the protocol in a sentence.
        notes: caveats.
        ids: of the units, in the order of the outcomes.
        truth: their classes.
        details: what only this protocol has, as plain values.
    """

    data: Data
    scores: list[Score]
    protocol: str
    notes: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("it has no score")


@dataclass(frozen=True)
class Result(Measured, Tabular):
    """Scores of a protocol, with encoders, options and date.

    Attributes:
        task: the protocol's name ("linear").
        name: the file's name without its ending ("linear-as-crosspoint").
        encoders: names of the pre-trained encoders.
        kind: their architecture.
        weights: digests of their weights.
        options: options that were given.
        version: of adacross.
        date: when it was measured, UTC.
        seconds: how long that took.
        layout: of the file.
    """

    task: str = ""
    name: str = ""
    encoders: list[str] = field(default_factory=list)
    kind: str = ""
    weights: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    date: str = ""
    seconds: float = 0.0
    layout: int = LAYOUT

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values that are equal for two measurements of the same thing."""
        return {"task": self.task, "data": self.data.digest, "weights": self.weights, "options": self.options}

    def score(self, network: str = PRETRAINED, metric: str | None = None, **setting: str) -> Score:
        """Return the first score of a network, and of a metric and setting if they are given.

        Raises:
            UserError: there is none.
        """
        for one in self.scores:
            named = one.network == network and metric in (None, one.metric)
            if named and setting.items() <= one.setting.items():
                return one
        wanted = ", ".join(filter(None, (network, metric, *(f"{k} {v}" for k, v in setting.items()))))
        raise UserError(f"result {self.name} has no score of {wanted}; see its rows().")

    def gains(self) -> Iterator[tuple[Score, Difference]]:
        """Yield each pre-trained score that has an untrained counterpart, with the difference."""
        others = {one.key: one for one in self.scores if one.network in BASELINES}
        for one in self.scores:
            if one.network == PRETRAINED and (other := others.get(one.key)):
                yield one, one.minus(other)

    def rows(self, *, details: bool = False) -> list[Row]:
        """Return the table's rows: a setting and a metric as text, then a figure a network, and the gain.

        With `details` also rows of scores that tables leave out.
        """
        rows: dict[Key, Row] = {}
        settings = list(dict.fromkeys(tuple(one.setting.items()) for one in self.scores))
        shown = [one for one in self.scores if details or not one.detail]
        for one in sorted(shown, key=lambda one: settings.index(tuple(one.setting.items()))):
            rows.setdefault(one.key, {**one.setting, METRIC: one.metric})[one.network] = one.estimate
        for one, gain in self.gains():
            if one.key in rows:
                rows[one.key][GAIN] = gain
        return list(rows.values())

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `rows`."""
        settings = dict.fromkeys(name for one in self.scores for name in one.setting if not one.detail)
        networks = sorted(dict.fromkeys(one.network for one in self.scores), key=CHANCE.__eq__)
        return [*settings, METRIC, *networks, *([GAIN] if any(self.gains()) else [])]

    @property
    def uncertainty(self) -> str:
        """A sentence on the uncertainty that stands behind the figures."""
        main = next((one for one in self.scores if one.network == PRETRAINED), self.scores[0])
        count, units = len(set(main.networks)), main.units
        own = f"mean ± standard deviation over {count} pre-trainings"
        fresh = {one.network: len(set(one.networks)) for one in self.scores if one.network in BASELINES}
        several = [f"{network}: ± over {n} initializations" for network, n in fresh.items() if n > 1]
        return "; ".join([own if count > 1 else f"[95 % interval over {units}]", *several])

    @property
    def caption(self) -> str:
        """Protocol, data, uncertainty and notes."""
        left_out = "; ".join(f"{what}: {why}" for what, why in self.data.left_out.items())
        said = (self.protocol, self.uncertainty, left_out and f"Left out: {left_out}", *self.notes)
        return ". ".join(filter(None, said))

    @property
    def title(self) -> str:
        """Task, data and sizes."""
        return f"{self.name} on {self.data.name}: {self.data.train:,} train / {self.data.test:,} test"

    def text_rows(self) -> list[list[str]]:
        """Return `rows` as text, a cell a column; empty where there is no figure."""
        return [[str(row.get(column, "")) for column in self.columns] for row in self.rows()]

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for every figure: setting, metric, encoder, value, low, high, std, n, p."""
        return [
            {name: text for name, text in row.items() if isinstance(text, str)}
            | {"encoder": network, "value": figure.mean, "low": figure.low, "high": figure.high}
            | {name: getattr(figure, own, None) for name, own in (("std", "std"), ("n", "count"), ("p", "p"))}
            for row in self.rows(details=True)
            for network, figure in row.items()
            if not isinstance(figure, str)
        ]

    def __repr__(self) -> str:
        """Return task, data and the headline."""
        return f"Result({self.name} on {self.data.name}: {self.scores[0].estimate})"


def save(result: Any, path: Path) -> None:
    """Write a dataclass of plain values as JSON, whole or not at all; a list of numbers takes one line."""
    text = json.dumps(asdict(result), indent=2, ensure_ascii=False)
    text = _NUMBERS.sub(lambda found: _ONES.sub(r"\1", " ".join(found[0].split())), text)
    write_whole(path, text + "\n")


def load(path: Path) -> Result:
    """Read a result file; one that is missing, damaged or of adacross 0.1 is a `UserError`."""
    return read_as(Result, path)


def read_as(kind: type[T], path: Path, what: str = "a measurement's result", *within: str) -> T:
    """Read JSON, or what lies in it at the keys `within`, as a dataclass of plain values and dataclasses.

    Raises:
        UserError: the file is missing, or does not hold what it should.
    """
    value = read_json(path, what)
    try:
        for key in within:
            value = value[key]
        if kind is Result and isinstance(value, Mapping) and "layout" not in value:
            raise ValueError("it was written by adacross 0.1, without outcomes per test shape")
        return _rebuilt(kind, value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} cannot be used ({reason}); delete it and measure again.") from None


def _rebuilt(kind: Any, value: Any) -> Any:
    arguments = get_args(kind)
    if is_dataclass(kind):
        make: Any = kind
        hints = get_type_hints(kind)
        return make(**{item.name: _rebuilt(hints[item.name], value[item.name]) for item in fields(kind)})
    match get_origin(kind) or kind:
        case builtins.list:
            if not isinstance(value, list):
                raise TypeError(f"{value!r:.60} where a list is expected")
            return [_rebuilt(arguments[0], item) for item in value]
        case builtins.dict:
            return {key: _rebuilt(arguments[1], item) for key, item in value.items()}
        case types.UnionType:
            return None if value is None else _rebuilt(arguments[0], value)
        case builtins.float:
            return float(value)
        case builtins.int | builtins.str | builtins.bool as plain if not isinstance(value, plain):
            raise TypeError(f"{value!r:.60} where {plain.__name__} is expected")
    return value

"""Content of a run's folder, and the collection and the encoder that it names."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.encoders import load as load_encoder
from adacross.errors import UserError
from adacross.evaluation.compare import Comparison
from adacross.evaluation.efficiency import Efficiency
from adacross.evaluation.result import Result, read_as
from adacross.features.collection import FeatureCache, collection_features, points_for, weights_digest
from adacross.io.files import read_json, read_yaml
from adacross.io.remote import is_address, local_path
from adacross.report.names import TASKS
from adacross.training.log import columns

MAP_SHAPES = 1000  # t-SNE stays in seconds and the file in megabytes
Columns = dict[str, Float64[np.ndarray, " S"]]


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of `log.jsonl`; NaN where a record lacks a value."""

    steps: Int64[np.ndarray, " S"]  # optimizer steps, rising
    values: Columns  # "epoch", "loss", "lr", "seconds"
    terms: Columns  # every loss term, unweighted
    weights: Columns  # every term's weight
    monitor_steps: Int64[np.ndarray, " M"]
    # "probe_accuracy", "untrained_accuracy" and "recall_at_1"
    monitor: dict[str, Float64[np.ndarray, " M"]]


@dataclass(frozen=True, eq=False)
class Features:
    """An encoder's features of the shapes that are shown."""

    indices: Int64[np.ndarray, " n"]  # of the shapes in the collection
    values: Float32[np.ndarray, "n D"]
    split: Literal["test", "all"]  # which shapes: "test", or "all" where there is no test split
    available: int  # number of shapes of that split


@dataclass(frozen=True, eq=False)
class RunData:
    """The content of a report."""

    folder: Path  # as the user gave it
    config: dict[str, Any]  # `config.yaml`
    config_text: str  # the file itself
    environment: dict[str, Any]  # `environment.json`, empty where there is none
    log: Curves
    results: tuple[Result, ...] = ()  # every result that can be read, in the order of the page
    tables: tuple[Comparison | Efficiency, ...] = ()  # comparisons of encoders, and efficiency
    unreadable: dict[str, str] = field(default_factory=dict)  # reasons by the files that cannot be read
    collection: Collection | None = None  # None where it cannot be read
    features: Features | None = None  # None where the encoder or the collection cannot be read
    weights: str | None = None  # digest of the encoder's weights; None without an encoder
    absent: dict[str, str] = field(default_factory=dict)  # reasons for empty attributes, by name
    seed: int = 0  # of the choice of shapes, of masks and of the map

    @property
    def method(self) -> str:
        """Name of the pre-training method."""
        return str(self.config["method"])

    @property
    def labeled(self) -> bool:
        """False if the collection is known to have no classes."""
        return self.collection is None or bool(self.collection.info.classes)

    def evaluate(self, task: str) -> str:
        """Return the command that evaluates this run."""
        return shlex.join(["adacross", "evaluate", task, str(self.folder), str(self.config["collection"])])

    def train(self, *options: str) -> str:
        """Return the command that trains this run again, or continues it."""
        config = ["--config", str(self.folder / "config.yaml"), *options]
        return shlex.join(["adacross", "pretrain", str(self.config["collection"]), *config])

    def own(self, result: Result) -> bool:
        """Return True if a result is of this run's weights, as far as they are known."""
        return self.weights is None or self.weights in result.weights

    def measured_on(self, result: Result) -> Collection | None:
        """Return the collection if a result was measured on it."""
        known = self.collection is not None and self.collection.digest() == result.data.digest
        return self.collection if known else None


def read_run(folder: Path, *, collection: str | None = None, seed: int = 0) -> RunData:
    """Read a run's folder, the encoder, and the collection that it names, or the one that is given.

    Raises:
        UserError: it is not a run, one of its files cannot be read, or `collection` cannot.
    """
    config, config_text = _read_config(folder)
    written, absent = str(config["collection"]), {}
    opened, features, weights = None, None, None
    try:
        opened = Collection.open(collection or find_collection(folder, written))
    except UserError as error:
        if collection:
            raise
        remedy = "Put it there or beside the run, or give its folder or URL:"
        command, place = shlex.join(["adacross", "report", str(folder), "--collection"]), "COLLECTION"
        if is_address(written):
            remedy, place = "If you know and trust that address, run:", shlex.quote(written)
        reason = f"The collection cannot be read: {error} {remedy} {command} {place}"
        console.print(reason, soft_wrap=True)  # with a command to copy
        absent = dict.fromkeys(("collection", "features"), reason)
    try:
        features, weights = _read_encoder(folder, opened, seed)
    except UserError as error:
        absent.setdefault("features", f"The encoder cannot be read: {error}")
    results, tables, unreadable = read_results(folder)
    digest = opened.digest() if opened else ""

    def order(result: Result) -> tuple[Any, ...]:
        """Sort by weights, protocol, data and name: the run's own first, few options first."""
        stale = weights is not None and weights not in result.weights
        task, data, name = [*TASKS, result.task].index(result.task), result.data, result.name
        return stale, task, data.digest != digest, data.name, len(name), name

    return RunData(
        folder=folder,
        config=config,
        config_text=config_text,
        environment=_read_environment(folder / "environment.json"),
        log=read_curves(folder),
        results=tuple(sorted(results, key=order)),
        tables=tuple(tables),
        unreadable=unreadable,
        collection=opened,
        features=features,
        weights=weights,
        absent=absent,
        seed=seed,
    )


def read_curves(folder: Path) -> Curves:
    """Return the curves of a run's `log.jsonl`, empty where there is none.

    Raises:
        UserError: a line other than the last is damaged, or there are too many terms.
    """
    steps, monitor = (columns(folder / "log.jsonl", kind) for kind in ("step", "monitor"))

    def some(found: Columns, *names: str) -> Columns:
        unknown = np.full_like(found.get("step", np.zeros(0)), np.nan)
        return {name: found.get(name, unknown) for name in names}

    def group(prefix: str) -> Columns:
        return {n.removeprefix(prefix): values for n, values in steps.items() if n.startswith(prefix)}

    return Curves(
        steps=some(steps, "step")["step"].astype(np.int64),
        values=some(steps, "epoch", "loss", "lr", "seconds"),
        terms=group("terms."),
        weights=group("weights."),
        monitor_steps=some(monitor, "step")["step"].astype(np.int64),
        monitor=some(monitor, "probe_accuracy", "untrained_accuracy", "recall_at_1"),
    )


def read_results(folder: Path) -> tuple[list[Result], list[Comparison | Efficiency], dict[str, str]]:
    """Return a run's results, tables of several runs, and reasons by files that cannot be read."""
    results: list[Result] = []
    tables: list[Comparison | Efficiency] = []
    unreadable: dict[str, str] = {}
    place = folder / "evaluation"
    for path in [*sorted(place.glob("*.json")), *sorted(place.glob("*/*.json"))]:
        if path.parent.suffix == ".pieces":  # of an unfinished measurement
            continue
        try:
            if path.stem.startswith("compare-"):
                tables.append(read_as(Comparison, path))
            elif path.stem.startswith("efficiency"):
                tables.append(read_as(Efficiency, path))
            else:
                results.append(read_as(Result, path))
        except UserError as error:
            unreadable[str(path.relative_to(folder))] = str(error)
    return results, tables, unreadable


def find_collection(folder: Path, written: str) -> Path:
    """Return where a run's collection is: as written, or beside the run if both were moved together.

    Raises:
        UserError: `config.yaml` names an address, which is opened only if the user types it.
    """
    given = local_path(written, folder / "config.yaml")
    beside = folder.resolve().parent / given.name
    return beside if not given.is_dir() and beside.is_dir() else given


def _read_encoder(
    folder: Path, collection: Collection | None, seed: int
) -> tuple[Features | None, str | None]:
    """Return features of at most `MAP_SHAPES` test shapes (of any where none is a test shape), and a digest.

    Features that an evaluation has cached in the run are read; otherwise only these shapes are encoded.
    """
    if not (folder / "encoder").is_dir():
        raise UserError(
            f"{folder} has none yet; finish the training with `adacross pretrain ... --resume auto`."
        )
    encoder = load_encoder(folder / "encoder")
    weights = weights_digest(encoder)
    if collection is None or not len(collection):
        return None, weights
    split: Literal["test", "all"] = "test" if len(collection.indices("test")) else "all"
    available = collection.indices(split)
    chosen = np.sort(np.random.default_rng(seed).permutation(available)[:MAP_SHAPES])
    points = points_for(encoder, None, collection.info.points)
    cache = FeatureCache.of(encoder, collection, points, folder)
    values = collection_features(
        encoder, collection, chosen, points=points, cache=cache if cache.files("features") else None
    )
    return Features(chosen, values, split, len(available)), weights


def _read_config(folder: Path) -> tuple[dict[str, Any], str]:
    """Return a run's `config.yaml` as a dictionary and as text."""
    path = folder / "config.yaml"
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected a run, as `adacross pretrain` writes it.")
    if not path.is_file():
        raise UserError(
            f"{folder} is not a run: it has no config.yaml. Make one with `adacross pretrain COLLECTION`."
        )
    config = read_yaml(path, "the options of a training")
    wanted = ("collection", "method", "encoder")
    if not isinstance(config, dict) or not all(isinstance(config.get(key), str) for key in wanted):
        raise UserError(f"{path} is not a run's configuration; expected at least {', '.join(wanted)}.")
    return {str(key): value for key, value in config.items()}, path.read_text(encoding="utf-8")


def _read_environment(path: Path) -> dict[str, Any]:
    value = read_json(path, "the run's environment") if path.exists() else {}
    if not isinstance(value, dict):
        raise UserError(
            f"{path} holds {type(value).__name__}; expected the run's environment, a JSON object."
        )
    return value

"""The driver of all protocols: finds encoders, opens data, shares features, keeps pieces, saves the result.

A protocol is a function from a `Bench` and its own options to a `Measured`, declared with `@protocol`:

    @protocol("linear")
    def linear(bench: Bench, points: int | None = None, folds: int = 5) -> Measured:
        ...

which makes `linear(encoder, data, points=..., output=...)`, and `adacross evaluate linear`.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial, wraps
from inspect import Parameter, Signature, cleandoc, signature
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import numpy as np
from jaxtyping import Float32

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.errors import UserError, check_ending, check_least
from adacross.evaluation.ledger import Ledger
from adacross.evaluation.result import (
    HISTOGRAM,
    PRETRAINED,
    SCRATCH,
    UNTRAINED,
    Measured,
    Result,
    read_as,
    save,
)
from adacross.evaluation.tabular import BESIDE, Tabular
from adacross.features.collection import FeatureCache, collection_features, points_for, weights_digest
from adacross.features.histogram import shape_histogram
from adacross.features.sources import NamedEncoder, check_alike, find_encoders, untrained_like, usual_device
from adacross.io.files import check_free, content_digest, write_whole
from adacross.options import alternatives
from adacross.version import __version__

Kept = TypeVar("Kept", bound=Tabular)
_LONGEST = 80  # letters of a result's name
_ENCODER = """a run, an encoder folder, hf://owner/name, builtin-small, builtin-base or builtin-any; several
        runs that differ in their seed are measured together, and the spread is over them."""
# Options by name, for a protocol whose docstring says nothing else of them.
_SHARED = {
    "points": "points per cloud, the first ones stored; by default as the encoder was trained.",
    "folds": """cross-validation folds that choose C; as many as the smallest class has shapes if that is
        less.""",
    "batch_size": "shapes per step.",
    "learning_rate": "peak learning rate.",
    "neighbors": "k of a DGCNN during fine-tuning; as in pre-training by default.",
    "device": "cpu or cuda; cuda if available.",
    "output": """JSON file to write; by default evaluation/DATA/{task}.json in the (first) run, with the
        options that were given in its name.""",
    "overwrite": "measure again what has been measured, and replace an existing output file.",
}
_KIND = Parameter.POSITIONAL_OR_KEYWORD
_GIVEN = (
    Parameter("encoder", _KIND, annotation=str | list[str]),
    Parameter("data", _KIND, annotation=str),
)
_COMMON = (
    Parameter("device", _KIND, default=None, annotation=str | None),
    Parameter("output", _KIND, default=None, annotation=str | None),
    Parameter("overwrite", _KIND, default=False, annotation=bool),
)


@dataclass(frozen=True, eq=False)
class Bench:
    """Encoders, data and caches for a protocol to measure with.

    Attributes:
        encoders: pre-trained encoders of one architecture, which differ in their seed.
        runs: the run that each comes from, or None.
        data: the collection, or whatever the protocol opens.
        device: where to compute.
        ledger: keeps pieces that take long.
    """

    encoders: Sequence[Encoder]
    runs: Sequence[Path | None]
    data: Any
    device: str
    ledger: Ledger

    @property
    def collection(self) -> Collection:
        """The data of a protocol that opens a collection."""
        return cast(Collection, self.data)

    def points(self, requested: int | None) -> int:
        """Return the number of points of a cloud: as requested, else as the encoder was trained.

        Raises:
            UserError: fewer than 1, or more than are stored.
        """
        stored = self.collection.info.points
        if requested is not None and not 1 <= requested <= stored:
            raise UserError(
                f"points is {requested}; expected 1 to {stored:,}, which {self.collection.folder} stores per "
                "shape."
            )
        return points_for(self.encoders[0], requested, stored)

    def untrained(self, seed: int) -> Encoder:
        """Return the same encoder with newly drawn weights."""
        return untrained_like(self.encoders[0], seed)

    def networks(self, seeds: int) -> dict[str, list[Encoder | None]]:
        """Return the sources of frozen features by kind; None is the shape histogram, without parameters."""
        return {
            PRETRAINED: [*self.encoders],
            UNTRAINED: [self.untrained(seed) for seed in range(seeds)],
            HISTOGRAM: [None],
        }

    def turns(self, seeds: int) -> dict[str, list[int]]:
        """Return the network that each repetition measures, by kind: pre-trained encoders take turns.

        Raises:
            UserError: fewer than 1 seed.
        """
        check_least(seeds=seeds)
        repetitions = range(self.repetitions(seeds))
        return {PRETRAINED: [seed % len(self.encoders) for seed in repetitions], SCRATCH: [*repetitions]}

    def repetitions(self, seeds: int) -> int:
        """Return the number of repetitions: `seeds`, at least one for each encoder."""
        return max(seeds, len(self.encoders))

    def encode(self, encoder: Encoder | None, clouds: Float32[np.ndarray, "n N 3"]) -> np.ndarray:
        """Return features `(n, D)` of clouds; of None their shape histograms."""
        return encode(encoder, clouds, device=self.device) if encoder else shape_histogram(clouds)

    def features(self, encoder: Encoder | None, points: int) -> Float32[np.ndarray, "n D"]:
        """Encode the first `points` points of every shape of the collection, or read them from the cache.

        The cache is shared by all protocols, the report and search. It lies in the run, or in the
        collection's folder.
        """
        collection = self.collection
        if encoder is None:
            return shape_histogram(collection.points(collection.indices("all"))[:, :points])
        cache = FeatureCache.of(encoder, collection, points, self.runs[0] or collection.folder)
        return collection_features(encoder, collection, points=points, device=self.device, cache=cache)


def protocol(
    task: str,
    *,
    open_data: Callable[[str], Any] = Collection.open,
    data: str = "a prepared collection with classes",
) -> Callable[[Callable[..., Measured]], Callable[..., Result]]:
    """Declare a protocol: a function of encoder, data and options, whose signature makes the command line.

    Args:
        task: its name, typed behind `adacross evaluate` and part of its file's name.
        open_data: opens the data by name; they need `digest()`.
        data: what the data are, for the help text.
    """

    def declare(measure: Callable[..., Measured]) -> Callable[..., Result]:
        own, hints = list(signature(measure).parameters.values())[1:], get_type_hints(measure)
        parameters = [*_GIVEN, *(one.replace(annotation=hints[one.name]) for one in own), *_COMMON]
        form = Signature(parameters, return_annotation=Result)

        @wraps(measure)
        def evaluate(*given: Any, **named: Any) -> Result:
            options = form.bind(*given, **named).arguments
            encoder, given_data, device, output, overwrite = (
                options.pop(one.name, None) for one in (*_GIVEN, *_COMMON)
            )
            if output is not None:
                check_free(check_ending(output, ".json", "a result is JSON"), bool(overwrite))
            encoders = named_encoders(encoder)
            opened = given_data if hasattr(given_data, "digest") else open_data(str(given_data))
            defaults = {name: one.default for name, one in form.parameters.items()}
            changed = {
                name: _plain(value, hints.get(name))
                for name, value in options.items()
                if value != defaults[name]
            }
            run = partial(measure, **options)
            return _measured(task, run, encoders, opened, changed, device, output, bool(overwrite))

        described: Any = evaluate
        described.__signature__ = form
        described.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": Result}
        names = [one.name for one in (*own, *_COMMON)]
        described.__doc__ = _documented(measure.__doc__ or "", names, task, data)
        return evaluate

    return declare


def _measured(
    task: str,
    measure: Callable[[Bench], Measured],
    found: Sequence[NamedEncoder],
    data: Any,
    options: dict[str, Any],
    device: str | None,
    output: str | Path | None,
    overwrite: bool,
) -> Result:
    """Measure, save and return the result, or return what was measured before in the same way."""
    started = time.monotonic()
    if isinstance(data, Collection) and (copied := data.info.copied):
        console.print(
            f"Copies of training shapes in the test split: {copied:,}; figures are too good. List them "
            f"with adacross inspect {data.folder}, take one of each away and prepare again.",
            style="yellow",
            soft_wrap=True,
        )
    encoders, runs = [one.encoder for one in found], [one.run for one in found]
    name, weights = _name(task, options, len(found)), list(map(weights_digest, encoders))
    identity = {"task": task, "weights": weights, "options": options, "data": data.digest()}
    path = None if output is None else Path(output)
    if path is None and (run := runs[0]) is not None:
        folder = file_name(Path(data.folder).resolve().name) or "data"
        path, kept = place(run / "evaluation" / folder, name, identity, Result)
        if kept and not overwrite:
            console.print(
                f"{path} was measured on {kept.date[:10]} with these weights, data and options; "
                "--overwrite measures again.",
                soft_wrap=True,
            )
            return kept
    ledger = Ledger(path, identity)
    measured = measure(Bench(encoders, runs, data, usual_device(device), ledger))
    result = Result(
        **{item.name: getattr(measured, item.name) for item in fields(measured)},
        task=task,
        name=name,
        encoders=[one.name for one in found],
        kind=encoders[0].kind,
        weights=weights,
        options=options,
        version=__version__,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
    )
    if path:
        save(result, path)
        ledger.remove()
    return result


def named_encoders(given: Any) -> list[NamedEncoder]:
    """Return encoders by name, path, `Run` or as they are; several in a list must be of one architecture."""
    each = list(given) if isinstance(given, (list, tuple)) else [given]
    if not any(isinstance(one, Encoder) for one in each):
        return find_encoders([str(getattr(one, "folder", one)) for one in each])
    if not all(isinstance(one, Encoder) for one in each):
        raise UserError("encoders were given both as names and as modules; expected one of the two.")
    return check_alike([NamedEncoder(type(one).__name__, one, None) for one in each])


def named_entries(words: Sequence[str]) -> dict[str, str]:
    """Return what was typed, each once, by its path's last part, or by all of it if others share that."""
    if len(set(words)) < len(words):
        raise UserError(f"an entry was given twice: {', '.join(words)}. Give each once.")
    short = [Path(word).name for word in words]
    return {(name if short.count(name) == 1 else word): word for name, word in zip(short, words, strict=True)}


def place(folder: Path, name: str, identity: Mapping[str, Any], kind: type[Kept]) -> tuple[Path, Kept | None]:
    """Return the file for a result of this name, and what it holds if its identity is the same.

    A file that holds another measurement is left as it is; then the name has a digest.
    """
    digest = _digest(json.dumps(identity, sort_keys=True).encode())
    for path in (folder / f"{name}.json", folder / f"{name}-{digest}.json"):
        if not path.exists():
            return path, None
        kept = read_as(kind, path)
        if kept.identity == identity:
            return path, kept
    raise UserError(f"{path} holds another measurement. Move it away, or give --output.")


def keep(result: Tabular, output: str | None, folder: Path | None, name: str) -> None:
    """Write a table as JSON, with Markdown, CSV and LaTeX beside it: to `output`, or into a folder if any."""
    if output is None and folder is None:
        return
    path = Path(output) if output else place(cast(Path, folder), name, result.identity, type(result))[0]
    save(result, path)
    markdown = f"{result.title}\n\n{result.to_markdown()}\n\n{result.caption}\n"
    for ending, text in zip(BESIDE, (markdown, result.to_csv(), result.to_latex()), strict=True):
        write_whole(path.with_suffix(ending), text, newline="")


def _name(task: str, options: Mapping[str, Any], encoders: int) -> str:
    """Return a result's name: the task, the options that were given, and how many runs if several.

    Example:
        >>> _name("few-shot", {"as_": "crosspoint", "ways": [5, 10]}, 3)
        'few-shot-as-crosspoint-ways-5-10-of-3-runs'
    """
    words = [task]
    for name, value in options.items():
        each = value if isinstance(value, (list, tuple)) else [value]
        words += [name.strip("_"), *(f"{one:g}" if isinstance(one, float) else str(one) for one in each)]
    if encoders > 1:
        words.append(f"of-{encoders}-runs")
    name = file_name("-".join(words))
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 7]}-{_digest(name.encode())}"


def _plain(value: Any, hint: Any) -> Any:
    """Return an option as JSON keeps it; a file or folder as its name and a digest of its content."""
    if value and isinstance(value, str) and str in alternatives(hint):
        path = Path(value)
        if path.is_file():
            return f"{path.name} {_digest(path.read_bytes())}"
        if path.is_dir():
            return f"{path.resolve().name} {content_digest(path, path.rglob('*'))[:6]}"
    return json.loads(json.dumps(value))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=3).hexdigest()


def file_name(text: str) -> str:
    """Return text without what no file's name should have.

    Example:
        >>> file_name("my shapes/v2")
        'my-shapes-v2'
    """
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")


def _documented(text: str, options: Sequence[str], task: str, data: str) -> str:
    """Return a protocol's docstring with the arguments that protocols share, instead of its bench."""
    before, _, rest = cleandoc(text).partition("\n\nArgs:\n")
    own, *after = rest.split("\n\n", 1)
    entries = re.split(r"\n    (?=\w+:)", f"\n{own}")[1:]
    said = dict(entry.split(": ", 1) for entry in entries)
    shared = {"encoder": _ENCODER, "data": f"{data}.", **_SHARED} | said
    lines = [f"    {name}: {shared[name]}" for name in ("encoder", "data", *options) if name in shared]
    return "\n\n".join([before, "\n".join(["Args:", *lines]).replace("{task}", task), *after])

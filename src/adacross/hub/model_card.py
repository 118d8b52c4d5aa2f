"""README.md of an encoder: what it is, what it saw, how well it does; nothing that is not known."""

from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from adacross.data.collection.collection import DESCRIPTION, CollectionInfo
from adacross.encoders import Encoder
from adacross.evaluation.results import load
from adacross.hub import markdown
from adacross.hub.facts import collection_facts, without_path
from adacross.io.files import read_json
from adacross.io.remote import is_address
from adacross.onnx.to_onnx import least_points
from adacross.report.gather import find_collection
from adacross.report.names import ENCODERS, MASKED, METHODS
from adacross.report.tasks import PRESETS
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log

_TAGS = ["adacross", "point-cloud", "3d", "self-supervised"]
_RESULTS = {task: kind for task, (kind, _) in PRESETS.items()}  # by what a result says of itself: its type
_RESULTS["retrieval"] = "adacross.evaluation.retrieval.result:RetrievalResult"


def model_card(encoder: Encoder, name: str, *, run: Path | None, license: str | None) -> str:  # noqa: A002
    """Return the card of an encoder.

    Args:
        encoder: itself.
        name: `owner/name` on the hub.
        run: the run it came from; None where that is not known.
        license: the hub's identifier of one; None: none was stated.

    Raises:
        UserError: files of the run are damaged.
    """
    sections = [
        markdown.head(license, library_name="adacross", tags=_TAGS) + f"\n# {name.partition('/')[2]}",
        _what(encoder, run),
        _use(encoder, name),
        _clouds(encoder),
        *(_of_run(run) if run else []),
        markdown.licence(license, "These weights were" if license else "these weights were"),
    ]
    return "\n\n".join(sections) + "\n"


def _what(encoder: Encoder, run: Path | None) -> str:
    kind = ENCODERS.get(encoder.kind, encoder.kind)
    what = f"An encoder of 3-D point clouds ({kind}): clouds `(B, N, 3)` to features `(B, {encoder.dim})`"
    if run is None:
        return f"{what}. How it was trained is not known here."
    method = PretrainConfig.load(run).method
    return f"{what}, pre-trained without labels by {METHODS.get(method, method)} with adacross."


def _use(encoder: Encoder, name: str) -> str:
    return f"""## Use

```python
import adacross

encoder = adacross.load("hf://{name}")
features = encoder(points)  # (B, N, 3) float32 to (B, {encoder.dim})
```

Or of a folder of meshes or clouds, which the command turns (`--up`) and scales itself:

    adacross embed hf://{name} shapes/ shapes.parquet"""


def _clouds(encoder: Encoder) -> str:
    inputs = encoder.inputs
    trained = (
        "not known"
        if inputs.points is None
        else f"{inputs.points:,} in training; others work, perhaps less well"
    )
    rows = {
        "up": f"{inputs.up} points up",
        "place and size": f"{inputs.scale}: the centroid at 0, the largest norm 1",
        "points a cloud": f"{trained}; at least {least_points(encoder)}",
    }
    return f"## How clouds must be\n\n{markdown.facts(rows)}"


def _of_run(run: Path) -> list[str]:
    """The sections about data, training and figures."""
    config = PretrainConfig.load(run)
    return [
        f"## Data\n\n{_data(run, config)}",
        f"## Training\n\n{markdown.facts(_training(run, config))}",
        f"## Measured\n\n{_measured(run, config)}",
    ]


def _data(run: Path, config: PretrainConfig) -> str:
    held = f"{100 * config.validation_fraction:g} %"
    used = f"Training saw the split `train` alone, and no label; {held} of it were kept out, to monitor it."
    place = None if is_address(config.collection) else find_collection(run, config.collection)
    if place is None or not (place / DESCRIPTION).is_file():
        name = Path(config.collection).name
        return f"The collection `{name}`, which was not at hand when this card was written.\n\n{used}"
    info = without_path(CollectionInfo.read(place))
    return f"{markdown.facts(collection_facts(info))}\n\n{used}"


def _training(run: Path, config: PretrainConfig) -> dict[str, Any]:
    path = run / "environment.json"
    there = read_json(path, "versions and machine of a run") if path.is_file() else {}
    environment: dict[str, Any] = there if isinstance(there, dict) else {}
    steps = [record.get("step") for record in read_log(run / "log.jsonl") if isinstance(record, dict)]
    released = "of the epoch that is best on the TEST split, as the released programs choose it"
    return {
        "method": METHODS.get(config.method, config.method),
        "method's options": config.method_args or None,
        "encoder": ENCODERS.get(config.encoder, config.encoder),
        "encoder's options": config.encoder_args or None,
        "weighting of the terms": config.weighting_name,
        "weighting's options": config.weighting_args or None,
        "points a cloud": "all that are stored" if config.points is None else config.points,
        "learnt from": MASKED.get(config.method, "point clouds against pictures"),
        "image tower": None if config.method in MASKED else _image_tower(config),
        "epochs": config.epochs,
        "steps": steps[-1] if steps else None,
        "batch size": config.batch_size,
        "optimizer": f"{config.optimizer}, learning rate {config.learning_rate:g} ({config.schedule}), "
        f"weight decay {config.weight_decay:g}",
        "seed": config.seed,
        "precision": config.precision,
        "these weights are": "the last step's" if config.selection == "last" else released,
        "versions": ", ".join(_versions(environment)) or None,
        "device": environment.get("device"),
        "date": environment.get("date"),
    }


def _image_tower(config: PretrainConfig) -> str:
    name = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}.get(config.image_encoder, config.image_encoder)
    options = [f"{option} {value}" for option, value in config.image_encoder_args.items()]
    frozen = ["frozen"] if config.image_frozen else []
    return ", ".join([name, *options, *frozen, f"{config.image_size} pixels"])


def _versions(environment: dict[str, Any]) -> Iterator[str]:
    for name in ("adacross", "torch", "python"):
        if name in environment:
            yield f"{name} {environment[name]}"
    if commit := environment.get("git_commit"):
        yield f"commit {str(commit)[:12]}"


def _measured(run: Path, config: PretrainConfig) -> str:
    results = dict(_results(run))
    if not results:
        return "No measurement was made."
    chosen = (
        "\n\nThe weights were chosen on the test split: figures on it are better than on shapes nobody saw."
        if config.selection == "released"
        else ""
    )
    about = (
        "Train and test shapes are those of the splits `train` and `test` of the data that is named. "
        "Untrained and from scratch: the same network without pre-training."
    )
    return "\n\n".join([about + chosen, *(_section(name, result) for name, result in results.items())])


def _results(run: Path) -> Iterator[tuple[str, Any]]:
    """Every result in a run's `evaluation/` by its file's name, in order; other files are left aside."""
    for path in sorted((run / "evaluation").glob("*.json")):
        raw = read_json(path, "a measurement's result")
        task = raw.get("task") if isinstance(raw, dict) else None
        if isinstance(task, str) and task in _RESULTS:
            yield path.stem, load(resolve_name(_RESULTS[task]), path)


def _section(name: str, result: Any) -> str:
    shown = result.table()
    seeds = getattr(result, "seeds", None) or [result.seed]
    lines = [
        f"### {name}",
        markdown.text(str(shown.title)) + ".",
        markdown.table(shown),
        f"Seeds: {markdown.text(seeds)}.",
    ]
    return "\n\n".join(lines)

"""README.md of an encoder or a collection on the hub: Markdown behind a YAML head, without unknown facts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml

from adacross.console import markdown_table, markdown_text
from adacross.data.collection.description import DESCRIPTION, LISTED, CollectionInfo
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.results import load
from adacross.hub.parquet import SPLITS
from adacross.io.files import read_json
from adacross.io.remote import is_address
from adacross.onnx.to_onnx import least_points
from adacross.report.gather import find_collection
from adacross.report.names import ENCODERS, MASKED, METHODS
from adacross.report.tasks import PRESETS
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_TAGS = ["adacross", "point-cloud", "3d"]
_CLASSES = 60  # names of classes that a card lists
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_COLUMNS = """## Columns

| column | type | content |
|---|---|---|
| id | string | unique within the collection |
| split | string | train, test |
| label | class label | index into the classes, -1 for none |
| points | float32 (N, 3) | y up, centroid 0, largest norm 1 |
| center, scale | float32 (3,), float32 | points \\* scale + center: the source's coordinates, turned y up |
| views | images | rendered images of the shape, lossless WebP |{part}
| index | int64 | the shape's place in the collection |"""
_PART = "\n| part | int16 (N,) | index into the parts (in collection.json), -1 for none |"
_RESULTS = {task: kind for task, (kind, _) in PRESETS.items()}  # result types by task
_RESULTS["retrieval"] = "adacross.evaluation.retrieval.result:RetrievalResult"


def check_license(license: str | None) -> None:  # noqa: A002  the hub's word
    """Refuse a license that is not written as the hub's identifiers are.

    Raises:
        UserError: it is not.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise UserError(
            f"license is {license!r}; expected one of the hub's identifiers, such as apache-2.0, mit, "
            "cc-by-4.0, cc-by-nc-4.0, or other."
        )


def without_path(info: CollectionInfo) -> CollectionInfo:
    """Return a description that names the source without the folder of this machine that it lies in."""
    place = Path(info.source)
    if not (place.is_absolute() and place.name):
        return info

    def shorten(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(info.source, place.name)
        if isinstance(value, list):
            return [shorten(item) for item in value]
        if isinstance(value, dict):
            return {name: shorten(item) for name, item in value.items()}
        return value

    return CollectionInfo(**shorten(asdict(info)))


def dataset_card(info: CollectionInfo, name: str, license: str | None) -> str:  # noqa: A002
    """Return the card of a collection.

    Args:
        info: its description.
        name: `owner/name` on the hub.
        license: the hub's identifier of one; None if none was stated.
    """
    own = name.partition("/")[2]
    sections = [
        f"{info.count:,} 3-D shapes as points and images: a collection of adacross, ready to train on.",
        _facts(_collection_facts(info)),
        f"""## Use

The same collection, for training and evaluation:

    adacross fetch {name} collections/{own}

Or the table alone, without adacross:

```python
import datasets

shapes = datasets.load_dataset("{name}", split="train")
```""",
        _COLUMNS.format(part=_PART if info.parts else ""),
    ]
    for title, entries in (("Included with warnings", info.warnings), ("Left out", info.skipped)):
        if entries:
            rows = [(entry.get("name"), entry.get("reason")) for entry in entries[:LISTED]]
            if len(entries) > LISTED:
                rows.append((f"... and {len(entries) - LISTED} more", "all are in collection.json"))
            sections.append(f"## {title}: {len(entries)}\n\n{markdown_table(('shape', 'reason'), rows)}")
    return _card(
        own,
        [*sections, _license(license, "this collection was") + " The shapes' source may have its own terms."],
        license,
        pretty_name=info.name,
        tags=_TAGS,
        size_categories=[next((size for bound, size in _SIZES if info.count < bound), "1M<n<10M")],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in SPLITS
                    if info.splits.get(split)
                ],
            }
        ],
    )


def model_card(encoder: Encoder, name: str, run: Path | None, license: str | None) -> str:  # noqa: A002
    """Return the card of an encoder.

    Args:
        encoder: the encoder.
        name: `owner/name` on the hub.
        run: the run it came from; None if unknown.
        license: the hub's identifier of one; None if none was stated.

    Raises:
        UserError: files of the run are damaged.
    """
    own = name.partition("/")[2]
    config = PretrainConfig.load(run) if run else None
    kind = ENCODERS.get(encoder.kind, encoder.kind)
    about = f"An encoder of 3-D point clouds ({kind}): clouds `(B, N, 3)` to features `(B, {encoder.dim})`"
    if config is None:
        about += ". How it was trained is unknown."
    else:
        method = METHODS.get(config.method, config.method)
        about += f", pre-trained without labels by {method} with adacross."
    points = encoder.inputs.points
    trained = "unknown" if points is None else f"{points:,} in training; others work, perhaps less well"
    clouds = {
        "up": f"{encoder.inputs.up} points up",
        "place and size": f"{encoder.inputs.scale}: the centroid at 0, the largest norm 1",
        "points a cloud": f"{trained}; at least {least_points(encoder)}",
    }
    sections = [
        about,
        f"""## Use

```python
import adacross

encoder = adacross.load("hf://{name}")
features = encoder(points)  # (B, N, 3) float32 to (B, {encoder.dim})
```

Or for a folder of meshes or clouds, which the command orients (`--up`) and scales:

    adacross embed hf://{name} shapes/ shapes.parquet""",
        f"## Input\n\n{_facts(clouds)}",
    ]
    if run and config:
        sections += [
            f"## Data\n\n{_data(run, config)}",
            f"## Training\n\n{_facts(_training(run, config))}",
            f"## Results\n\n{_measured(run, config)}",
        ]
    sections.append(_license(license, "these weights were"))
    return _card(own, sections, license, library_name="adacross", tags=[*_TAGS, "self-supervised"])


def _card(title: str, sections: list[str], license: str | None, **head: Any) -> str:  # noqa: A002
    """Return a card: the YAML head, a title and sections."""
    values = ({"license": license} if license else {}) | head
    front = f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"
    return "\n\n".join([f"{front}\n# {title}", *sections]) + "\n"


def _license(license: str | None, subject: str) -> str:  # noqa: A002
    """Return the section on the license; `subject` is such as "these weights were"."""
    if license:
        return f"## License\n\n{subject[0].upper()}{subject[1:]} shared under `{license}`."
    return (
        f"## License\n\nNo license was stated when {subject} shared. Ask the owner of this repository before "
        "you use its content for anything but a look."
    )


def _facts(rows: Mapping[str, Any]) -> str:
    """Return a table of names and values without those that are None."""
    return markdown_table(("", ""), [row for row in rows.items() if row[1] is not None])


def _collection_facts(info: CollectionInfo) -> dict[str, Any]:
    """Return the facts about a collection by name."""
    more = f", and {len(info.classes) - _CLASSES} more" if len(info.classes) > _CLASSES else ""
    names = ", ".join(info.classes[:_CLASSES]) + more
    return {
        "collection": info.name,
        "source": f"{Path(info.source).name} ({info.format})" if info.source != info.format else info.format,
        "variant": info.made.get("options", {}).get("variant"),
        "shapes": f"{info.count:,} ({', '.join(f'{name} {n:,}' for name, n in info.splits.items())})",
        "classes": f"{len(info.classes)}: {names}" if info.classes else "none: unlabeled",
        "parts": f"{len(info.parts)} names, one a point" if info.parts else "none",
        "points": f"{info.points:,} a shape, y up, centroid 0, largest norm 1",
        "views": f"{info.views} a shape, {info.view_size} x {info.view_size} pixels",
        "up in the source": info.source_up,
        "left out": f"{len(info.skipped)} shapes that could not be prepared" if info.skipped else None,
        "prepared": f"{info.made.get('date', 'at an unknown time')} with adacross "
        f"{info.made.get('adacross', 'of an unknown version')}",
    }


def _data(run: Path, config: PretrainConfig) -> str:
    held_out = f"{100 * config.validation_fraction:g} %"
    used = (
        f"Training used the split `train` alone, and no label; {held_out} of it was held out to monitor it."
    )
    place = None if is_address(config.collection) else find_collection(run, config.collection)
    if place is None or not (place / DESCRIPTION).is_file():
        name = Path(config.collection).name
        return f"The collection `{name}`, which was not available when this card was written.\n\n{used}"
    return f"{_facts(_collection_facts(without_path(CollectionInfo.read(place))))}\n\n{used}"


def _training(run: Path, config: PretrainConfig) -> dict[str, Any]:
    path = run / "environment.json"
    raw = read_json(path, "versions and machine of a run") if path.is_file() else {}
    environment: dict[str, Any] = raw if isinstance(raw, dict) else {}
    steps = [record.get("step") for record in read_log(run / "log.jsonl") if isinstance(record, dict)]
    released = "of the epoch with the best accuracy on the TEST split, as the released programs choose it"
    versions = [
        f"{name} {environment[name]}" for name in ("adacross", "torch", "python") if name in environment
    ]
    if commit := environment.get("git_commit"):
        versions.append(f"commit {str(commit)[:12]}")
    name = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}.get(config.image_encoder, config.image_encoder)
    options = [f"{option} {value}" for option, value in config.image_encoder_args.items()]
    frozen = ["frozen"] if config.image_frozen else []
    tower = ", ".join([name, *options, *frozen, f"{config.image_size} pixels"])
    return {
        "method": METHODS.get(config.method, config.method),
        "method's options": config.method_args or None,
        "encoder": ENCODERS.get(config.encoder, config.encoder),
        "encoder's options": config.encoder_args or None,
        "weighting of the terms": config.weighting_name,
        "weighting's options": config.weighting_args or None,
        "points a cloud": "all that are stored" if config.points is None else config.points,
        "learned from": MASKED.get(config.method, "point clouds against images"),
        "image tower": None if config.method in MASKED else tower,
        "epochs": config.epochs,
        "steps": steps[-1] if steps else None,
        "batch size": config.batch_size,
        "optimizer": f"{config.optimizer}, learning rate {config.learning_rate:g} ({config.schedule}), "
        f"weight decay {config.weight_decay:g}",
        "seed": config.seed,
        "precision": config.precision,
        "these weights are": "the last step's" if config.selection == "last" else released,
        "versions": ", ".join(versions) or None,
        "device": environment.get("device"),
        "date": environment.get("date"),
    }


def _measured(run: Path, config: PretrainConfig) -> str:
    sections = [_result(name, result) for name, result in _results(run)]
    if not sections:
        return "Not evaluated."
    about = (
        "Train and test shapes are those of the splits `train` and `test` of the data that is named. "
        "Untrained and from scratch: the same network without pre-training."
    )
    if config.selection == "released":
        about += (
            "\n\nThe weights were chosen on the test split: figures on it are better than on unseen shapes."
        )
    return "\n\n".join([about, *sections])


def _results(run: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name and content of the results in a run's `evaluation/`, by file name."""
    for path in sorted((run / "evaluation").glob("*.json")):
        raw = read_json(path, "a measurement's result")
        task = raw.get("task") if isinstance(raw, dict) else None
        if isinstance(task, str) and task in _RESULTS:
            yield path.stem, load(resolve_name(_RESULTS[task]), path)


def _result(name: str, result: Any) -> str:
    """Return a result's own table as a section."""
    table = result.table()
    rows = zip(*(map(str, column.cells) for column in table.columns), strict=True)
    lines = [
        f"### {name}",
        f"{markdown_text(str(table.title))}.",
        markdown_table([str(column.header) for column in table.columns], list(rows)),
        f"{markdown_text(str(table.caption))}." if table.caption else "",
        f"Seeds: {markdown_text(getattr(result, 'seeds', None) or [result.seed])}.",
    ]
    return "\n\n".join(filter(None, lines))

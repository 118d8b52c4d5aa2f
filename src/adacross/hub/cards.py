"""README.md of an encoder or a collection on the hub: Markdown behind YAML metadata."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import CardData, DatasetCardData, EvalResult, ModelCardData

from adacross.console import console, markdown_table, markdown_text
from adacross.data.collection.description import DESCRIPTION, CollectionInfo, first_of
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.result import PRETRAINED, Result, load
from adacross.features.collection import weights_digest
from adacross.hub.parquet import SPLITS
from adacross.io.files import read_json
from adacross.io.remote import is_address
from adacross.onnx.to_onnx import least_points
from adacross.report.names import MASKED, encoder_name, learns_from, method_name
from adacross.report.run import find_collection
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log

if TYPE_CHECKING:
    from jinja2 import Environment

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_TAGS = ["adacross", "point-cloud", "3d"]
_CLASSES = 60  # names of classes that a card lists
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_TASK_TYPES = {"part-seg": "point-cloud-segmentation", "sem-seg": "point-cloud-segmentation"}


def check_license(license: str | None) -> None:  # noqa: A002  the hub's word
    """Refuse a license that is not written as the hub's identifiers are."""
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
    """Return the card of a collection, named `owner/name` on the hub."""
    splits = [split for split in SPLITS if info.splits.get(split)]
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    data = DatasetCardData(
        license=license,
        pretty_name=info.name,
        tags=_TAGS,
        size_categories=[next((size for bound, size in _SIZES if info.count < bound), "1M<n<10M")],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return _card(
        "dataset",
        data,
        name=name,
        title=name.partition("/")[2],
        info=info,
        license=license,
        data_facts=_facts(_collection_facts(info)),
        notices=(("Included with warnings", info.warnings), ("Left out", info.skipped)),
        shapes=_shapes,
    )


def model_card(encoder: Encoder, name: str, run: Path | None, license: str | None) -> str:  # noqa: A002
    """Return the card of an encoder, named `owner/name` on the hub, and of its run, if that is known.

    Only results of this encoder count, not those over several pre-trainings or of other weights.

    Raises:
        UserError: files of the run are damaged.
    """
    config = PretrainConfig.load(run) if run else None
    title = name.partition("/")[2]
    results = list(_results(run, encoder)) if run else []
    data = ModelCardData(
        license=license,
        library_name="adacross",
        tags=[*_TAGS, "self-supervised"],
        model_name=title if results else None,
        eval_results=[each for result in results for each in _eval_results(result)] or None,
    )
    points = encoder.inputs.points
    trained = "unknown" if points is None else f"{points:,} in training; others work, perhaps less well"
    return _card(
        "model",
        data,
        name=name,
        title=title,
        encoder=encoder,
        kind=encoder_name(config.encoder if config else encoder.kind),
        config=config,
        method=method_name(config.method) if config else None,
        clouds={
            "up": "any orientation" if encoder.inputs.up == "any" else f"{encoder.inputs.up} points up",
            "place and size": f"{encoder.inputs.scale}: the centroid at 0, the largest norm 1",
            "points a cloud": f"{trained}; at least {least_points(encoder)}",
        },
        facts=_facts,
        data_facts=_data(run, config) if run and config else None,
        training=_training(run, config) if run and config else None,
        results=results,
        license=license,
        citation=_citation(config.method) if config else None,
    )


def _card(template: str, data: CardData, **context: Any) -> str:
    """Return a card: YAML metadata, and a rendered template."""
    body = _templates().get_template(f"{template}.md.j2").render(**context)
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Markdown, not HTML: names go through `text`, which shows them literally.
    environment = Environment(
        loader=PackageLoader("adacross.hub"),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = markdown_text
    return environment


def _citation(method: str) -> str | None:
    """Return the BibTeX entry of a built-in method's paper."""
    entries = (Path(__file__).parent / "templates" / "methods.bib").read_text(encoding="utf-8")
    found = re.search(rf"^% {re.escape(method)}\n(.*?\n}})\n", entries, re.MULTILINE | re.DOTALL)
    return found[1] if found else None


def _eval_results(result: Result) -> Iterator[EvalResult]:
    """Yield the pre-trained figures as the hub's `model-index`."""
    for score in result.scores:
        if score.network != PRETRAINED:
            continue
        figure = score.estimate
        setting = ", ".join(f"{name} {value}" for name, value in score.setting.items())
        args = {"protocol": result.protocol, "interval": [figure.low, figure.high], **score.setting}
        yield EvalResult(
            task_type=_TASK_TYPES.get(result.task, "point-cloud-classification"),
            task_name=result.name,
            dataset_type="point-cloud",
            dataset_name=result.data.name,
            dataset_split="test",
            metric_type=score.metric,
            metric_name=f"{score.metric} ({setting})" if setting else score.metric,
            metric_value=round(100 * figure.mean, 2),
            metric_args=args,
        )


def _results(run: Path, encoder: Encoder) -> Iterator[Result]:
    """Yield only the results of this encoder, by file name; others are named on the console."""
    digest = weights_digest(encoder)
    for path in sorted((run / "evaluation").glob("*/*.json")):
        raw = read_json(path, "a measurement's result")
        if not (isinstance(raw, dict) and "scores" in raw):
            continue
        result = load(path)
        if result.weights == [digest]:
            yield result
        elif len(result.weights) == 1:
            console.print(
                f"{path} is of other weights; it is not on the card. Measure again.", style="yellow"
            )


def _shapes(entries: list[dict[str, str]]) -> str:
    return markdown_table(("shape", "reason"), first_of(entries))


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
    place = None if is_address(config.collection) else find_collection(run, config.collection)
    if place is None or not (place / DESCRIPTION).is_file():
        name = Path(config.collection).name
        return f"The collection `{name}`, which was not available when this card was written."
    return _facts(_collection_facts(without_path(CollectionInfo.read(place))))


def _training(run: Path, config: PretrainConfig) -> dict[str, Any]:
    path = run / "environment.json"
    raw = read_json(path, "versions and machine of a run") if path.is_file() else {}
    environment: dict[str, Any] = raw if isinstance(raw, dict) else {}
    steps = [record.get("step") for record in read_log(run / "log.jsonl")]
    released = "of the epoch with the best accuracy on the TEST split, as the released programs choose it"
    stated = environment | {"commit": str(environment.get("git_commit") or "")[:12] or None}
    known = [name for name in ("adacross", "torch", "python", "commit") if stated.get(name) is not None]
    versions = ", ".join(f"{name} {stated[name]}" for name in known)
    name = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}.get(config.image_encoder, config.image_encoder)
    options = [f"{option} {value}" for option, value in config.image_encoder_args.items()]
    frozen = ["frozen"] if config.image_frozen else []
    tower = ", ".join([name, *options, *frozen, f"{config.image_size} pixels"])
    return {
        "method": method_name(config.method),
        "method's options": config.method_args or None,
        "encoder": encoder_name(config.encoder),
        "encoder's options": config.encoder_args or None,
        "weighting of the terms": config.weighting_name,
        "weighting's options": config.weighting_args or None,
        "points a cloud": "all that are stored" if config.points is None else config.points,
        "augmentation": config.augmentation,
        "orientation": "any" if config.orientation == "any" else None,
        "started from": config.init,
        "learned from": learns_from(config.method),
        "image tower": None if config.method in MASKED else tower,
        "epochs": config.epochs,
        "steps": steps[-1] if steps else None,
        "batch size": config.batch_size,
        "optimizer": f"{config.optimizer}, learning rate {config.learning_rate:g} ({config.schedule}), "
        f"weight decay {config.weight_decay:g}",
        "seed": config.seed,
        "precision": config.precision,
        "these weights are": "the last step's" if config.selection == "last" else released,
        "versions": versions or None,
        "device": environment.get("device"),
        "date": environment.get("date"),
    }

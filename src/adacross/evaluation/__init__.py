"""Protocols that measure what an encoder learned."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, cast

from adacross.plugins import find

if TYPE_CHECKING:
    from adacross.data.collection.collection import Collection
    from adacross.encoders import Encoder
    from adacross.evaluation.result import Result

PROTOCOLS = {
    "linear": "adacross.evaluation.linear:linear",
    "few-shot": "adacross.evaluation.few_shot:few_shot",
    "fine-tune": "adacross.evaluation.fine_tune:fine_tune",
    "part-seg": "adacross.evaluation.part_seg:part_seg",
    "sem-seg": "adacross.evaluation.sem_seg:sem_seg",
    "retrieval": "adacross.evaluation.retrieval:retrieval",
    "robustness": "adacross.evaluation.robustness:robustness",
    "images": "adacross.evaluation.images:images",
}


def evaluate(
    task: str, encoder: "str | Path | Encoder | list[Any]", data: "str | Path | Collection", **options: Any
) -> "Result":
    """Measure an encoder by a protocol, save the result in its run, and return it.

    Args:
        task: a protocol: "linear", "few-shot", "fine-tune", "part-seg", "sem-seg", "retrieval", "robustness",
            "images", or `package.module:name` of another.
        encoder: a run, an encoder folder, hf://owner/name, builtin-small, builtin-base, builtin-any, a `Run`,
            an `Encoder`, or a list of them that differ in their pre-training seed.
        data: a prepared collection; for "images" a folder of images.
        options: of the protocol, as `adacross evaluate TASK --help` lists them; `device`, `output` and
            `overwrite` besides.

    Raises:
        UserError: no such protocol, encoder, data or option, or data that do not suit.

    Example:
        result = adacross.evaluate("linear", "runs/parts", "collections/parts")
        result.score("pre-trained").estimate, result.to_dataframe()
    """
    return find_protocol(task)(encoder, data, **options)


def find_protocol(task: str) -> "Callable[..., Result]":
    """Return a protocol by its name; an unknown one is refused."""
    from adacross.evaluation.result import Result

    if task in PROTOCOLS:
        return cast("Callable[..., Result]", resolve_name(PROTOCOLS[task]))
    return find("protocol", task, dict.fromkeys(PROTOCOLS), Result)

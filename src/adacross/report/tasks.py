"""Sections about measurements beyond probe and retrieval: one for each result that the run has."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adacross.report.html import Section

if TYPE_CHECKING:
    from adacross.report.inputs import RunData

# The result's file in `evaluation/`, its type, and what draws it: `(data, result) -> Section`.
TASKS = {
    "few-shot": ("adacross.evaluation.few_shot.measure:FewShotResult", "adacross.report.few_shot:few_shot"),
    "fine-tune": ("adacross.evaluation.fine_tune:FineTuneResult", "adacross.report.fine_tuning:fine_tuning"),
    "part-seg": (
        "adacross.evaluation.segmentation.parts:PartSegResult",
        "adacross.report.segmentation:part_segmentation",
    ),
    "sem-seg": (
        "adacross.evaluation.segmentation.scenes:SemSegResult",
        "adacross.report.segmentation:semantic_segmentation",
    ),
    "robustness": (
        "adacross.evaluation.robustness.measure:RobustnessResult",
        "adacross.report.robustness:robustness",
    ),
    "images": (
        "adacross.evaluation.images.measure:ImageFewShotResult",
        "adacross.report.image_few_shot:image_few_shot",
    ),
    "compare": ("adacross.evaluation.compare.comparison:Comparison", "adacross.report.comparison:comparison"),
}


def read_results(folder: Path) -> dict[str, Any]:
    """Return the results that a run has, by task.

    Raises:
        UserError: a file is not a result of its task.
    """
    from adacross.evaluation.results import load

    paths = {task: folder / "evaluation" / f"{task}.json" for task in TASKS}
    return {task: load(_named(TASKS[task][0]), path) for task, path in paths.items() if path.is_file()}


def task_sections(data: "RunData") -> list[Section]:
    """Return a section for every result."""
    return [_named(TASKS[task][1])(data, result) for task, result in data.results.items()]


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

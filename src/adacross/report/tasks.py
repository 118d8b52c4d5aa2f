"""Sections of results other than probe and retrieval, one for each result of the run."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adacross.errors import UserError
from adacross.report.html import Html, Section
from adacross.report.names import METHODS

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


# A paper's way of probing; the fair probe has its place in the overview.
PRESETS = TASKS | {
    "linear": ("adacross.evaluation.linear:LinearResult", "adacross.report.linear_preset:linear_preset")
}


def read_results(folder: Path) -> dict[str, Any]:
    """Return the results that a run has, by the name of their file: a task, or a task as a paper measures it.

    Raises:
        UserError: a file is not a result of its task.
    """
    from adacross.evaluation.results import load

    kinds = {task: kind for task, (kind, _) in TASKS.items()}
    kinds |= {f"{task}-as-{paper}": kind for task, (kind, _) in PRESETS.items() for paper in METHODS}
    paths = {name: folder / "evaluation" / f"{name}.json" for name in kinds}
    return {name: load(_named(kinds[name]), path) for name, path in paths.items() if path.is_file()}


def task_sections(data: "RunData") -> list[Section]:
    """Return a section for every result.

    Raises:
        UserError: the parts of a result do not fit each other (a corruption that there is not, a curve of no
            points).
    """
    sections = []
    for name, result in data.results.items():
        task, _, paper = name.partition("-as-")
        try:
            section: Section = _named(PRESETS[task][1])(data, result)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            path = data.folder / "evaluation" / f"{name}.json"
            what = f"{type(error).__name__}: {error}"
            raise UserError(f"{path} cannot be rendered ({what}); delete it and measure again.") from error
        sections.append(as_measured_by(section, paper) if paper else section)
    return sections


def as_measured_by(section: Section, paper: str) -> Section:
    """Return a section whose names say whose protocol it is, so that it can stand beside the fair one."""
    if section.anchor.endswith(paper):
        return section
    body: str = section.body
    for plot in section.figures:
        body = body.replace(f'id="{plot}"', f'id="{plot}-{paper}"')
    return replace(
        section,
        anchor=f"{section.anchor}-{paper}",
        title=f"{section.title}, as {METHODS[paper]} measures",
        body=Html(body),
        figures={f"{plot}-{paper}": figure for plot, figure in section.figures.items()},
    )


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

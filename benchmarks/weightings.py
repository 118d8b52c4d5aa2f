"""What does each weighting do on the same runs?

CrossNet's two terms, pre-trained under each of the six rules: same data, sizes, steps and seeds. `fixed` is
CrossNet, `adacrossnet` is AdaCrossNet as released. Every rule has its defaults, but dwa's period is an epoch,
as in its paper. Prints tables; writes study.json, study.md and weightings.svg into the folder. Interrupted,
the same command goes on.

    python benchmarks/weightings.py collections/shapes --folder runs/weightings
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chart import Group, Line, Panel, draw
from study import Variant, options, probe_table, sizes, steps_of, study

from adacross.console import markdown_table
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.losses.weighting import WEIGHTINGS
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log
from adacross.training.monitor import split_validation

RECIPE = "adacrossnet_pointnet_laptop"
TERMS = {"intra": "#0072b2", "cross": "#d55e00"}
DASHED = {"fixed": "6 4", "cross": "6 4"}  # lines that may lie exactly on another
COLORS = ("#222222", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
RULES = dict(zip(WEIGHTINGS, COLORS, strict=True))


def variants(collection: str, changes: Mapping[str, Any]) -> dict[str, Variant]:
    """One a rule."""
    config = PretrainConfig.recipe(RECIPE, collection, **changes)
    shapes = Collection.open(Path(collection)).indices("train")
    trained, _ = split_validation(shapes, config.validation_fraction, config.seed)
    epoch = {"period": max(1, len(trained) // config.batch_size)}
    arguments = {"dwa": epoch, "softadapt": epoch}
    return {
        rule: Variant(RECIPE, {**changes, "weighting": rule, "weighting_args": arguments.get(rule, {})})
        for rule in WEIGHTINGS
    }


def end_table(record: Mapping[str, Any]) -> str:
    """Weights and unweighted terms, means over the last epoch, as Markdown."""
    rows = []
    for rule, variant in record["variants"].items():
        found = [variant[quantity][term] for quantity in ("weights", "terms") for term in TERMS]
        ratio = variant["weights"]["cross"]["mean"] / variant["weights"]["intra"]["mean"]
        cells = [f"{value['mean']:.3f} ± {value['std']:.3f}" for value in found]
        rows.append((rule, *cells[:2], f"{ratio:.2f}", *cells[2:]))
    header = ("rule", "weight intra", "weight cross", "cross : intra", "loss intra", "loss cross")
    return markdown_table(header, rows)


def courses(runs: Sequence[Path], quantity: str, term: str) -> tuple[np.ndarray, np.ndarray]:
    """One number of every step of several runs: steps `(n,)` and values `(runs, n)`."""
    logs = [steps_of(read_log(run / "log.jsonl")) for run in runs]
    values = np.array([[record[quantity][term] for record in log] for log in logs])
    return np.array([record["step"] for record in logs[0]], dtype=float), values


def by_epoch(values: np.ndarray, epochs: int) -> np.ndarray:
    """Means over every epoch: `(..., epochs * n)` to `(..., epochs)`."""
    return np.asarray(values.reshape(*values.shape[:-1], epochs, -1).mean(-1))


def line(name: str, color: str, x: np.ndarray, values: np.ndarray) -> Line:
    """Mean over the runs, with a band of one standard deviation each way."""
    deviation = values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(x)
    return Line(name, color, x, values.mean(0), deviation, DASHED.get(name, ""))


def losses(runs: Mapping[str, Sequence[Path]], epochs: int, beside_fixed: bool) -> list[Panel]:
    """A panel a term, its mean of every epoch under each rule; or that less fixed's with the same seed."""
    panels = []
    for term in TERMS:
        _, plain = courses(runs["fixed"], "terms", term)
        lines = []
        for rule, color in RULES.items():
            steps, values = courses(runs[rule], "terms", term)
            shown = by_epoch(values - plain if beside_fixed else values, epochs)
            lines.append(line(rule, color, by_epoch(steps, epochs), shown))
        panels.append(Panel(f"{term} term", lines[1:] + lines[:1]))  # fixed's dashes lie on top
    return panels


def weights(runs: Mapping[str, Sequence[Path]]) -> list[Panel]:
    """A panel a rule, the weights of its terms at every fourth step."""
    panels = []
    for rule in RULES:
        lines = []
        for term, color in TERMS.items():
            steps, values = courses(runs[rule], "weights", term)
            lines.append(line(term, color, steps[::4], values[:, ::4]))
        panels.append(Panel(rule, lines))
    return panels


def picture(folder: Path, seeds: int, epochs: int) -> str:
    """Each rule's weights, and the two terms, as SVG: means over the seeds with bands of a deviation."""
    runs = {rule: [folder / f"{rule}-seed{seed}" for seed in range(seeds)] for rule in RULES}
    of_losses = {
        "unweighted loss terms, mean of every epoch": losses(runs, epochs, beside_fixed=False),
        "the same, less those of fixed with the same seed": losses(runs, epochs, beside_fixed=True),
    }
    return draw([
        Group("weight of each term", "step", weights(runs), columns=3, shared=True),
        *(Group(heading, "step", panels, columns=2, shared=False) for heading, panels in of_losses.items()),
    ])  # fmt: skip


def main() -> None:
    given = options(__doc__ or "").parse_args()
    try:
        chosen = variants(given.collection, sizes(given))
        record = study(
            given.collection, chosen, range(given.seeds), given.folder, given.jobs, points=given.points
        )
    except UserError as error:
        raise SystemExit(f"weightings.py: {error}") from None
    tables = f"{probe_table(record)}\n\n{end_table(record)}"
    print(tables)
    (given.folder / "study.md").write_text(tables + "\n", encoding="utf-8")
    svg = picture(given.folder, given.seeds, given.epochs)
    (given.folder / "weightings.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()

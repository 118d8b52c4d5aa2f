"""The whole job on built-in shapes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from adacross.console import Table, console, words
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.errors import check_least
from adacross.evaluation import evaluate
from adacross.evaluation.compare import Comparison, compare
from adacross.evaluation.result import CHANCE, METRIC, PRETRAINED, Result
from adacross.io.files import whole_folder
from adacross.report import write_report
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain

SHAPES, VIEWS, PICTURE = 2000, 6, 64
POINTS = 1024
MINUTES, FULL_MINUTES = 3, 20  # of a pre-training with all around it, and of the rest of `--full`
SMALL, EPOCHS = 256, 30  # points and epochs of what `--full` fine-tunes, encodes many times over


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo and the path of its report."""

    linear: Result
    retrieval: Result
    report: Path
    further: tuple[Result | Comparison, ...] = ()

    def table(self) -> Group:
        """Render as rich tables; the headline comes last."""
        table = Table(title="adacross demo", show_header=False, caption=self.linear.caption)
        for name, figure in self.linear.rows()[0].items():
            if name != METRIC:
                table.add_row(f"linear SVM, {name}", str(figure))
        for score in self.retrieval.scores:
            if score.network == PRETRAINED and score.metric == "recall@1":
                chance = self.retrieval.score(CHANCE, score.metric, **score.setting).estimate
                name = f"{score.setting['search']}, recall@1"
                table.add_row(name, f"{score.estimate}, chance {chance}")
        data = self.linear.data
        table.add_row("data", f"{data.train:,} train / {data.test:,} test built-in shapes")
        return Group(*(result.table() for result in self.further), table, words(f"report: {self.report}"))


def demo(folder: str = "demo", seeds: int = 1, encoder: str | None = None, full: bool = False) -> DemoResult:
    """Run the whole pipeline on built-in shapes: prepare, pre-train AdaCrossNet, evaluate, report.

    After an interruption, the same call continues.

    Args:
        folder: output folder.
        seeds: number of pre-trainings with different seeds; the reported spread is over them.
        encoder: pointnet or dgcnn; the recipe's by default.
        full: also run every other evaluation at small sizes (few-shot, fine-tuning, segmentation, robustness,
            images, scanned shapes, and CrossPoint for comparison): some twenty minutes more on two cores.

    Raises:
        UserError: a folder that cannot be written, an unknown encoder.
    """
    check_least(seeds=seeds)
    root = Path(folder)
    shapes, runs = root / "shapes", [root / f"run-seed{seed}" for seed in range(seeds)]
    changes = {"encoder": encoder} if encoder else {}
    configs = [
        PretrainConfig.recipe("demo", str(shapes), run=str(run), seed=seed, resume="auto", **changes)
        for seed, run in enumerate(runs)
    ]
    minutes = MINUTES * seeds + (FULL_MINUTES if full else 0)
    console.print(f"about {minutes} minutes on two cores; interrupted, the same command continues.")
    if not (shapes / "collection.json").exists():
        _say("1/4", f"{SHAPES} built-in shapes, {VIEWS} images each")
        prepare("builtin", str(shapes), count=SHAPES, views=VIEWS, size=PICTURE, points=POINTS)
    for config in configs:
        _say("2/4", f"pre-training {config.method} on {config.encoder}, seed {config.seed}")
        pretrain(config)
    _say("3/4", "linear probe and retrieval on held-out shapes")
    linear = evaluate("linear", list(runs), shapes)
    retrieval = evaluate("retrieval", runs[0], shapes)
    further = everything(root, shapes, runs[0], configs[0]) if full else ()
    _say("4/4", "report")
    return DemoResult(linear, retrieval, write_report(runs[0]), further)


def _say(step: str, text: str) -> None:
    console.print(Text.assemble((step, "bold"), " ", text))


def everything(
    root: Path, shapes: Path, run: Path, config: PretrainConfig
) -> tuple[Result | Comparison, ...]:
    """Measure the first run by every other protocol; what was measured before is kept."""
    small: dict[str, Any] = {"points": SMALL, "epochs": EPOCHS}
    steps: dict[str, dict[str, Any]] = {
        "few-shot": {},
        "fine-tune": small | {"fractions": [0.03, 0.1, 0.3], "seeds": 2},
        "part-seg": small | {"fractions": [0.1], "seeds": 2},
        "sem-seg": small | {"epochs": max(1, EPOCHS // 8), "seeds": 1},
        "robustness": {"points": SMALL, "seeds": 2, "test_shapes": 200},
        "images": {"episodes": 200, "queries": 4, "seeds": 1},
    }
    data = {"images": pictures(shapes, root / "pictures")}
    results: list[Result | Comparison] = []
    for number, (task, options) in enumerate(steps.items(), start=1):
        _say(f"3.{number}/4", task)
        results.append(evaluate(task, run, data.get(task, shapes), **options))
    _say(f"3.{len(steps) + 1}/4", "linear probe on scanned shapes")
    results.append(evaluate("linear", run, scanned(root / "scanned")))
    _say(f"3.{len(steps) + 2}/4", "comparison with CrossPoint")
    results.append(compare([str(run), str(rival(root / "crosspoint", config))], str(shapes)))
    return tuple(results)


def pictures(shapes: Path, folder: Path) -> Path:
    """The test shapes' pictures as a folder with a subfolder a class, as sets of pictures come."""
    from PIL import Image

    collection = Collection.open(shapes)
    if not folder.is_dir():
        with whole_folder(folder) as temporary:
            for index in collection.indices("test"):
                place = temporary / collection.info.classes[int(collection.labels[index])]
                place.mkdir(exist_ok=True)
                for view in range(collection.info.views):
                    Image.fromarray(collection.view(int(index), view)).save(place / f"{index}-{view}.png")
    return folder


def scanned(folder: Path) -> Path:
    """Other built-in shapes, as a depth camera sees them."""
    if not (folder / "collection.json").exists():
        scale: dict[str, Any] = {"count": SHAPES // 2, "views": 1, "size": 32, "points": POINTS}
        prepare("builtin", str(folder), **scale, variant="scanned", seed=1)
    return folder


def rival(run: Path, config: PretrainConfig) -> Path:
    """CrossPoint, pre-trained as long as the demo's AdaCrossNet."""
    return pretrain(replace(config, run=str(run), method="crosspoint", method_args={"temperature": 0.1}))

"""The whole job on built-in shapes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from adacross.console import Table, console, words
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.errors import UserError
from adacross.evaluation.compare.comparison import Comparison
from adacross.evaluation.compare.measure import evaluate_compare
from adacross.evaluation.few_shot.measure import FewShotResult, evaluate_few_shot
from adacross.evaluation.fine_tune import FineTuneResult, evaluate_fine_tune
from adacross.evaluation.images.measure import ImageFewShotResult, evaluate_images
from adacross.evaluation.linear import LinearResult, evaluate_linear
from adacross.evaluation.results import load
from adacross.evaluation.retrieval.measure import RetrievalResult, evaluate_retrieval
from adacross.evaluation.robustness.measure import RobustnessResult, evaluate_robustness
from adacross.evaluation.segmentation.parts import PartSegResult, evaluate_part_seg
from adacross.evaluation.segmentation.scenes import SemSegResult, evaluate_sem_seg
from adacross.io.files import whole_folder
from adacross.report import write_report
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain

SHAPES, VIEWS, PICTURE = 2000, 6, 64
POINTS = 1024
MINUTES, FULL_MINUTES = 5, 20  # of a pre-training with all around it, and of the rest of `--full`
SMALL, EPOCHS = 256, 30  # points and epochs of what `--full` fine-tunes, encodes many times over


@dataclass(frozen=True)
class DemoResult:
    """The demo's headline figures and where its page is."""

    linear: LinearResult
    retrieval: RetrievalResult
    report: Path
    further: list[Any] = field(default_factory=list)

    def table(self) -> Group:
        """Render as rich tables."""
        table = Table(title="adacross demo", show_header=False)
        table.add_row("linear SVM, pre-trained", str(self.linear.pretrained))
        table.add_row("linear SVM, untrained", str(self.linear.untrained))
        table.add_row("gain", f"{100 * self.linear.gain:+.1f} points")
        for name, figures in (
            ("image → shape", self.retrieval.image_to_shape),
            ("shape → image", self.retrieval.shape_to_image),
        ):
            text = ", ".join(f"{key} {100 * value:.1f} %" for key, value in figures.items())
            table.add_row(f"{name} (chance {100 * self.retrieval.chance_recall_at_1:.2f} %)", text)
        table.add_row("data", f"{self.linear.train} train / {self.linear.test} test built-in shapes")
        table.add_row("protocol", f"{self.linear.classifier}; {self.linear.spread}")
        return Group(*(result.table() for result in self.further), table, words(f"report: {self.report}"))


def demo(folder: str = "demo", seeds: int = 1, encoder: str | None = None, full: bool = False) -> DemoResult:
    """Run the whole pipeline on built-in shapes: prepare, pre-train AdaCrossNet, evaluate, report.

    Interrupted, it goes on where it stopped when called again.

    Args:
        folder: output folder.
        seeds: number of pre-trainings with different seeds; the reported spread is over them.
        encoder: pointnet or dgcnn; the recipe's by default.
        full: also run every other evaluation at small sizes (few-shot, fine-tuning, segmentation, robustness,
            images, scanned shapes, and CrossPoint for comparison): some twenty minutes more on two cores.

    Raises:
        UserError: a folder that cannot be written, an unknown encoder.
    """
    if seeds < 1:
        raise UserError(f"seeds is {seeds}; expected at least 1.")
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
    linear = evaluate_linear([str(run) for run in runs], str(shapes))
    retrieval = evaluate_retrieval(str(runs[0]), str(shapes))
    further = everything(root, shapes, runs[0], configs[0]) if full else []
    _say("4/4", "report")
    return DemoResult(linear, retrieval, write_report(runs[0]), further)


def _say(step: str, text: str) -> None:
    console.print(Text.assemble((step, "bold"), " ", text))


def everything(root: Path, shapes: Path, run: Path, config: PretrainConfig) -> list[Any]:
    """Every protocol beyond the linear probe and retrieval, on the first run; what is measured is kept."""
    who, where = str(run), str(shapes)
    steps: dict[str, tuple[type, Callable[[], Any]]] = {
        "few-shot": (FewShotResult, lambda: evaluate_few_shot(who, where)),
        "fine-tune": (
            FineTuneResult,
            lambda: evaluate_fine_tune(
                who, where, fractions=[0.03, 0.1, 0.3], epochs=EPOCHS, points=SMALL, seeds=2
            ),
        ),
        "part-seg": (
            PartSegResult,
            lambda: evaluate_part_seg(who, where, fractions=[0.1], epochs=EPOCHS, points=SMALL, seeds=2),
        ),
        "sem-seg": (
            SemSegResult,
            lambda: evaluate_sem_seg(who, where, epochs=max(1, EPOCHS // 8), points=SMALL, seeds=1),
        ),
        "robustness": (
            RobustnessResult,
            lambda: evaluate_robustness(who, where, points=SMALL, seeds=2, test_shapes=200),
        ),
        "images": (
            ImageFewShotResult,
            lambda: evaluate_images(
                who, str(pictures(shapes, root / "pictures")), episodes=200, queries=4, seeds=1
            ),
        ),
        "linear-scanned": (
            LinearResult,
            lambda: evaluate_linear(
                who,
                str(scanned(root / "scanned")),
                output=str(run / "evaluation" / "linear-scanned.json"),
            ),
        ),
        "compare": (
            Comparison,
            lambda: evaluate_compare([who, str(rival(root / "crosspoint", config))], where),
        ),
    }
    results = []
    for number, (task, (kind, measure)) in enumerate(steps.items(), start=1):
        kept = run / "evaluation" / f"{task}.json"
        _say(f"3.{number}/4", f"{task}{' (kept)' if kept.is_file() else ''}")
        results.append(load(kind, kept) if kept.is_file() else measure())
    return results


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
        prepare(
            "builtin",
            str(folder),
            count=SHAPES // 2,
            views=1,
            size=32,
            points=POINTS,
            variant="scanned",
            seed=1,
        )
    return folder


def rival(run: Path, config: PretrainConfig) -> Path:
    """CrossPoint, pre-trained as long as the demo's AdaCrossNet."""
    return pretrain(replace(config, run=str(run), method="crosspoint", method_args={"temperature": 0.1}))

"""The whole job on built-in shapes."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table

from adacross.console import console
from adacross.data.prepare import prepare
from adacross.errors import UserError
from adacross.evaluation.linear import LinearResult, evaluate_linear
from adacross.evaluation.retrieval import RetrievalResult, evaluate_retrieval
from adacross.report import write_report
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain

SHAPES, VIEWS, PICTURE = 2000, 6, 64
POINTS = 1024


@dataclass(frozen=True)
class DemoResult:
    """The demo's headline figures and where its page is."""

    linear: LinearResult
    retrieval: RetrievalResult
    report: Path

    def table(self) -> Group:
        """The figures as people read them."""
        table = Table(title="adacross demo", show_header=False)
        table.add_row("linear SVM, pre-trained", str(self.linear.pretrained))
        table.add_row("linear SVM, untrained", str(self.linear.untrained))
        table.add_row("gain", f"{100 * self.linear.gain:+.1f} points")
        for name, figures in (
            ("picture → shape", self.retrieval.image_to_shape),
            ("shape → picture", self.retrieval.shape_to_image),
        ):
            text = ", ".join(f"{key} {100 * value:.1f} %" for key, value in figures.items())
            table.add_row(f"{name} (chance {100 * self.retrieval.chance_recall_at_1:.2f} %)", text)
        table.add_row("data", f"{self.linear.train} train / {self.linear.test} test built-in shapes")
        table.add_row("protocol", f"{self.linear.classifier}; {self.linear.spread}")
        return Group(table, f"report: {self.report}")


def demo(folder: str = "demo", seeds: int = 1, encoder: str | None = None) -> DemoResult:
    """Make built-in shapes, render them, pre-train AdaCrossNet, measure, write report.html.

    Interrupted, it goes on where it stopped when called again.

    Args:
        folder: where everything goes.
        seeds: how many times to pre-train, each with another seed; the probe's spread is over them.
        encoder: pointnet or dgcnn, instead of the recipe's.

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
    if not (shapes / "collection.json").exists():
        console.print(f"[bold]1/4[/bold] {SHAPES} built-in shapes, {VIEWS} pictures each")
        prepare("builtin", str(shapes), count=SHAPES, views=VIEWS, size=PICTURE, points=POINTS)
    for config in configs:
        console.print(
            f"[bold]2/4[/bold] pre-training {config.method} on {config.encoder}, seed {config.seed}"
        )
        pretrain(config)
    console.print("[bold]3/4[/bold] linear probe and retrieval on held-out shapes")
    linear = evaluate_linear([str(run) for run in runs], str(shapes))
    retrieval = evaluate_retrieval(str(runs[0]), str(shapes))
    console.print("[bold]4/4[/bold] report")
    return DemoResult(linear, retrieval, write_report(runs[0]))

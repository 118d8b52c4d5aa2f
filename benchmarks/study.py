"""What several studies share: one pre-training with one thing changed, over seeds, and one probe of them all.

Every variant is pre-trained once a seed, each run in a process of its own, then probed beside the same
encoder untrained. A study that was interrupted goes on where it stopped; what is finished is not computed
again.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from adacross.console import markdown_table, progress_bar
from adacross.errors import UserError
from adacross.evaluation import evaluate
from adacross.io.files import read_json, write_json
from adacross.training.config import PretrainConfig
from adacross.training.environment import environment
from adacross.training.log import read_log

APART = ("collection", "run", "resume", "overwrite")  # options given on the command line, not in the file


@dataclass(frozen=True)
class Variant:
    """One of the things compared.

    Attributes:
        recipe: the recipe it starts from.
        changes: options that are different, by name.
    """

    recipe: str
    changes: dict[str, Any]


def study(
    collection: str,
    variants: Mapping[str, Variant],
    seeds: Sequence[int],
    folder: Path,
    jobs: int,
    folds: int = 5,
    points: int | None = None,
) -> dict[str, Any]:
    """Pre-train and probe every variant; write `study.json` into `folder`, beside the runs.

    Args:
        collection: a prepared folder with classes and a test split; nothing is chosen on that split.
        variants: by name, which becomes the runs' name.
        seeds: of pre-training; also the number of the probe's repetitions.
        folder: of this study, for one collection and one choice of sizes.
        jobs: runs at the same time; each has its share of the cores.
        folds: of the probe's cross-validation.
        points: of each cloud that is probed; the probe's own choice (1,024) if not given.

    Returns:
        What the file holds: machine and versions, then for every variant its options, the probe's result,
        and weights and loss terms at the end of training.

    Raises:
        UserError: a run failed, or the folder holds runs with other options.
    """
    configs = {
        name: [_config(variant, collection, folder / f"{name}-seed{seed}", seed) for seed in seeds]
        for name, variant in variants.items()
    }
    _pretrain([config for same_seed in zip(*configs.values(), strict=True) for config in same_seed], jobs)
    record = {
        "collection": Path(collection).name,
        "seeds": list(seeds),
        "jobs": jobs,
        "environment": environment(torch.device("cpu")),
        "commits_of_runs": sorted({_commit(config) for each in configs.values() for config in each}),
        "variants": {
            name: asdict(variants[name]) | _measure(collection, configs[name], folds, points)
            for name in variants
        },
    }
    write_json(folder / "study.json", record)
    return record


def _config(variant: Variant, collection: str, run: Path, seed: int) -> PretrainConfig:
    options = variant.changes | {"run": str(run), "seed": seed, "resume": "auto"}
    return PretrainConfig.recipe(variant.recipe, collection, **options)


def _pretrain(configs: Sequence[PretrainConfig], jobs: int) -> None:
    """Run what is not finished, `jobs` at a time; the first failure ends it."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    due = [config for config in configs if not _finished(config)]
    with progress_bar("runs") as progress, ThreadPoolExecutor(jobs) as workers:
        task = progress.add_task("study", total=len(configs), completed=len(configs) - len(due), note="")
        waiting = [workers.submit(_pretrain_apart, config, threads) for config in due]
        try:
            for done in as_completed(waiting):
                progress.update(task, advance=1, note=f"{done.result()} done")
        finally:
            workers.shutdown(wait=False, cancel_futures=True)


def _finished(config: PretrainConfig) -> bool:
    """Whether a run is complete.

    Raises:
        UserError: the folder holds a run on another collection or with other options.
    """
    run = config.run_folder
    if not (run / "config.yaml").exists():
        return False
    earlier = PretrainConfig.load(run)
    config.must_match(earlier.compared())
    if Path(earlier.collection) != Path(config.collection).resolve():
        raise UserError(
            f"{run} was trained on {earlier.collection}, not on {config.collection}. Give another --folder."
        )
    return (run / "method.safetensors").exists()


def _pretrain_apart(config: PretrainConfig, threads: int) -> str:
    """One run in a process of its own; its messages go to a file beside the run. Returns the run's name."""
    run = config.run_folder
    options, messages = run.with_name(f"{run.name}.yaml"), run.with_name(f"{run.name}.log")
    run.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in asdict(config).items() if name not in APART}
    options.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "adacross", "pretrain", config.collection, "--config", str(options)]
    command += ["--run", str(run), "--resume", "auto"]
    with messages.open("ab") as file:
        done = subprocess.run(
            command,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise UserError(f"run {run.name} ended with code {done.returncode}; {messages} says why.")
    return run.name


def _commit(config: PretrainConfig) -> str:
    return str(read_json(config.run_folder / "environment.json", "a run's environment")["git_commit"])


def _measure(
    collection: str, configs: Sequence[PretrainConfig], folds: int, points: int | None
) -> dict[str, Any]:
    """The probe of a variant's runs, and how its training ended."""
    runs = [config.run_folder for config in configs]
    linear = evaluate("linear", list(runs), collection, points=points, folds=folds, seeds=len(runs))
    logs = [read_log(run / "log.jsonl") for run in runs]
    return {
        "steps": logs[0][-1]["step"],
        "seconds": spread(log[-1]["seconds"] for log in logs),
        "linear": {
            "encoders": linear.encoders,
            "accuracy": {name: str(figure) for name, figure in linear.rows()[0].items()},
            "values": linear.score().values,
            "figures": linear.records(),
            "protocol": f"{linear.title}; {linear.caption}",
        },
        "weights": _at_the_end(logs, "weights"),
        "terms": _at_the_end(logs, "terms"),
    }


def steps_of(log: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A log's records of steps, without the monitor's."""
    return [record for record in log if record["kind"] == "step"]


def _at_the_end(logs: Sequence[Sequence[dict[str, Any]]], quantity: str) -> dict[str, Any]:
    """`quantity` (terms or weights) by term: its mean over the last epoch's steps, spread over the runs."""
    means: dict[str, list[float]] = {}
    for log in logs:
        steps = steps_of(log)
        last = [record[quantity] for record in steps if record["epoch"] > steps[-1]["epoch"] - 1]
        for name in last[0]:
            means.setdefault(name, []).append(float(np.mean([values[name] for values in last])))
    return {name: spread(values) for name, values in means.items()}


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Values, their mean and their standard deviation (n - 1; 0 for one value)."""
    each = list(values)
    std = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    return {"each": each, "mean": float(np.mean(each)), "std": std}


def probe_table(record: Mapping[str, Any]) -> str:
    """Return every variant's accuracy beside its untrained encoder's, as Markdown, with the protocol."""
    rows = []
    for name, variant in record["variants"].items():
        linear = variant["linear"]
        accuracy = linear["accuracy"]
        each = " ".join(f"{100 * value:.1f}" for value in linear["values"])
        rows.append((name, accuracy["pre-trained"], each, accuracy["untrained"], accuracy["gain"]))
    return (
        markdown_table(("", "accuracy", "each seed", "untrained", "gain"), rows) + "\n\n" + protocol(record)
    )


def protocol(record: Mapping[str, Any]) -> str:
    """Return the protocol behind a study's figures, in words."""
    first = next(iter(record["variants"].values()))
    return f"{first['linear']['protocol']}; {first['steps']} steps."


def options(description: str) -> argparse.ArgumentParser:
    """The flags that every study has; the defaults are of the size that two cores manage in minutes a run."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", help="a prepared folder with classes and a test split")
    parser.add_argument("--folder", type=Path, required=True, help="where runs and figures go")
    parser.add_argument("--seeds", type=int, default=3, help="runs a variant")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--points", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--image-width", type=int, default=16)
    return parser


def sizes(given: argparse.Namespace) -> dict[str, Any]:
    """The flags that are options of pre-training, the papers' augmentation, and a look now and then."""
    seldom = max(1, given.epochs // 5)
    names = ("epochs", "batch_size", "points", "image_size")
    return {name: getattr(given, name) for name in names} | {
        "augmentation": "crosspoint",
        "image_encoder_args": {"width": given.image_width},
        "monitor_every": seldom,
        "checkpoint_every": seldom,
    }

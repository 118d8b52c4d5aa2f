"""Tiny whole examples of what adacross itself writes, and of released weights."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import seed_files
from seed_files import example, write
from toy import TOY_RETRIEVAL

RESULTS = {
    "few-shot": "adacross.evaluation.few_shot.measure:FewShotResult",
    "fine-tune": "adacross.evaluation.fine_tune:FineTuneResult",
}
_FIGURES = {"accuracy": [1, 0.5], "mean": 0.75, "std": 0.25, "C": [0.1, 1]}
LINEAR: dict[str, Any] = {
    "task": "linear", "data": "shapes", "points": 64, "train": 8, "test": 4, "classifier": "linear SVM",
    "seeds": [0, 1], "classes": ["a", "b"], "pretrained": _FIGURES, "untrained": _FIGURES,
    "gain": 0.25, "confusion": [[2, 0], [1, 1]],
}  # fmt: skip


def collection(root: Path) -> None:
    """Prepared from two boxes, in this process."""
    import numpy as np
    import pyarrow as pa

    from adacross.data.collection.description import VERSION, CollectionInfo
    from adacross.data.collection.schema import arrow_schema, to_batch, to_bytes
    from adacross.data.shape import Shape

    points = seed_files.clouds(1)[0]
    views = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    splits = ("train", "test")
    batches = [
        to_batch(Shape(f"a/{split}", points, split, 0, None, views), np.zeros(3), 1.0) for split in splits
    ]
    table = pa.Table.from_batches(batches, arrow_schema(len(points), parts=False)).combine_chunks()
    (batch,) = table.to_batches()
    write(root, "data-00000-of-00001.arrow", to_bytes(batch))
    counts = dict.fromkeys(splits, 1)
    CollectionInfo(
        VERSION, "toy", "boxes", "meshes", "z", 2, len(points), 2, 16, ["a"], [], counts, made={"options": {}}
    ).write(root)


def unfinished(root: Path) -> None:
    plan = {"options": {"points": 40}, "items": 100, "digest": "0"}
    write(root, "progress/plan.json", json.dumps(plan))
    note = {"skipped": [{"name": "a.off", "reason": "torn"}], "remarks": []}
    write(root, "progress/shard-00000.json", json.dumps(note))


def recipe(root: Path) -> None:
    lines = (
        "method: crossnet", "method_args:", "  temperature: 0.1", "encoder: dgcnn", "encoder_args: {k: 15}",
        "epochs: 100", "batch_size: 20", "learning_rate: 1.0e-3", "weight_decay: 0.00001", "points: 1024",
        "weighting_args: {}", "seed: 0", "resume: 'no'", "overwrite: false",
    )  # fmt: skip
    write(root, "recipe.yaml", "\n".join(lines) + "\n")


def run(root: Path) -> None:
    write(root, "config.yaml", "collection: gone\nmethod: adacrossnet\nencoder: pointnet\npoints: 64\n")
    write(root, "environment.json", json.dumps({"adacross": "0", "date": "2026-01-01"}))
    steps = [
        {"kind": "step", "step": i, "epoch": i / 10, "loss": 1.5, "lr": 1e-3, "terms": {"intra": 2.0}}
        for i in range(6)
    ]
    look = {"kind": "monitor", "step": 3, "epoch": 0.3, "probe_accuracy": 0.5, "recall_at_1": 0.5}
    write(root, "log.jsonl", "".join(json.dumps(record) + "\n" for record in (*steps, look)))
    write(root, "evaluation/linear.json", json.dumps(LINEAR, indent=1))
    write(root, "evaluation/retrieval.json", json.dumps(TOY_RETRIEVAL, indent=1))
    for task, kind in RESULTS.items():
        module, _, name = kind.partition(":")
        value = example(getattr(import_module(module), name))
        write(root, f"evaluation/{task}.json", json.dumps(value, indent=1))


def encoder(root: Path) -> None:
    from adacross.encoders import PointNet

    PointNet(width=8).save_pretrained(root / "encoder")


def encoder_m2ae(root: Path) -> None:
    from toy import TOY_M2AE

    from adacross.encoders import PointM2AE

    PointM2AE(**TOY_M2AE).save_pretrained(root / "encoder")


def released(root: Path) -> None:
    """PointNet as the papers' programs save it, as narrow as it may be."""
    import numpy as np
    import torch

    golden = Path(__file__).parents[1] / "golden" / "pointnet_cls.npz"
    with np.load(golden) as file:
        state = {key[6:]: torch.from_numpy(file[key]) for key in file if key.startswith("state/")}
    torch.save(state, root / "best.pth")


def checkpoint(root: Path) -> None:
    import torch

    from adacross.training.checkpoint import save_checkpoint

    state = {"step": 7, "method": {"weight": torch.zeros(3, 4)}, "weighting": {"values": [1.0, 2.0]}}
    save_checkpoint(root, 7, state)

"""Tiny whole examples of what adacross itself writes, and of released weights."""

import json
from pathlib import Path
from typing import Any

import seed_files
from seed_files import write

_SCORE: dict[str, Any] = {
    "network": "pre-trained", "metric": "accuracy", "outcomes": [[1, 0, 1, 1]], "networks": [0],
    "setting": {}, "units": "test shapes", "groups": [], "predictions": [[0, 1, 1, 1]], "detail": False,
}  # fmt: skip
LINEAR: dict[str, Any] = {
    "data": {"name": "shapes", "digest": "d", "train": 8, "test": 4, "classes": ["a", "b"], "left_out": {}},
    "scores": [_SCORE, _SCORE | {"network": "untrained", "outcomes": [[0, 0, 1, 1]] * 2, "networks": [0, 1]}],
    "protocol": "linear SVM", "notes": [], "ids": ["1", "2", "3", "4"], "truth": [0, 0, 1, 1],
    "details": {"points": 64}, "task": "linear", "name": "linear", "encoders": ["run"], "kind": "pointnet",
    "weights": ["w"], "options": {}, "version": "0", "date": "2026-01-01", "seconds": 1.0, "layout": 2,
}  # fmt: skip
_QUERY = {"query": 1, "query_id": "2", "view": 0, "results": [0], "result_ids": ["1"], "views": [0]}
RETRIEVAL: dict[str, Any] = LINEAR | {
    "task": "retrieval", "name": "retrieval", "truth": [],
    "scores": [_SCORE | {"metric": "recall@1", "setting": {"search": "image to shape"}, "predictions": []}],
    "details": {"points": 64, "views": 1, "examples": [_QUERY], "shape_examples": [_QUERY], "neighbors": []},
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
    for result in (LINEAR, RETRIEVAL):
        write(root, f"evaluation/shapes/{result['task']}.json", json.dumps(result, indent=1))


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

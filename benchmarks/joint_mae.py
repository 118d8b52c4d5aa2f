"""What do Joint-MAE's masks, its local-aligned attention and its cross term do?

The laptop recipe, and the same with one thing changed; same data, sizes, steps and seeds, probed on as many
points as it trains with. Prints two tables; writes study.json and study.md into the folder. Interrupted, the
same command goes on.

    python benchmarks/joint_mae.py collections/shapes --folder runs/jm-shapes
    python benchmarks/joint_mae.py collections/modelnet40 --folder runs/jm-modelnet40 --only recipe --epochs 2
    python benchmarks/joint_mae.py collections/meshes --folder runs/jm-meshes --only recipe --epochs 60
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from study import Variant, probe_table, steps_of, study

from adacross.console import markdown_table
from adacross.data.collection.collection import Collection
from adacross.data.transforms import RawBatch
from adacross.encoders.frozen import frozen
from adacross.errors import UserError
from adacross.methods import JointMAE
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log
from adacross.training.networks import load_method

RECIPE = "joint_mae_laptop"
TERMS = ("points", "depth", "cross")
LOOKED_AT = 256  # test shapes, for what the decoder owes to the encoder
CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {},
    "masks of 50 %": {"method_args": {"mask_ratio": 0.5}},
    "masks of 50 %, every token sees every patch": {"method_args": {"mask_ratio": 0.5, "alignment": "none"}},
    "masks of 50 %, without the cross term": {
        "method_args": {"mask_ratio": 0.5},
        "weighting_args": {"weights": {"cross": 0.0}},
    },
    "masks of 50 %, soft splatting": {"method_args": {"mask_ratio": 0.5, "splat": "soft"}},
}


def variants(collection: str, only: list[str] | None, sizes: dict[str, Any]) -> dict[str, Variant]:
    """The recipe, and the same with one thing changed."""
    usual = PretrainConfig.recipe(RECIPE, collection).method_args
    found = {}
    for name, changes in CHANGES.items():
        if only and name not in only:
            continue
        options = dict(changes)
        if "method_args" in options:
            options["method_args"] = usual | options["method_args"]
        found[name.replace(" %", "").replace(",", "").replace(" ", "-")] = Variant(RECIPE, sizes | options)
    return found


def without_the_encoder(run: Path, collection: Collection) -> dict[str, tuple[float, float]]:
    """Each term on test shapes, with their own coarse tokens and with those of another shape.

    All shapes get the mask of the first, so that another's tokens stand in the right places. The smaller the
    difference, the less the decoder owes to the encoder: it is told the centers of hidden groups.
    """
    method, _ = load_method(run)
    if not isinstance(method, JointMAE):
        raise UserError(f"{run} is no run of joint-mae.")
    clouds = torch.from_numpy(collection.points(collection.indices("test")[:LOOKED_AT]))
    batch = method.batch(RawBatch(clouds, None), torch.Generator().manual_seed(0))
    batch = replace(
        batch,
        visible_points=batch.visible_points[:1].expand_as(batch.visible_points),
        visible_patches=batch.visible_patches[:1].expand_as(batch.visible_patches),
    )
    encode = method.encode

    def others(*given: Any) -> tuple[torch.Tensor, ...]:
        skip, points, patches = encode(*given)
        return skip, points.roll(1, 0), patches.roll(1, 0)

    with frozen(method):
        own = method.losses(batch)
        method.encode = others  # type: ignore[method-assign, assignment]
        strange = method.losses(batch)
    return {term: (float(own[term]), float(strange[term])) for term in TERMS}


def terms_table(record: Mapping[str, Any], folder: Path, collection: Collection) -> str:
    """How far every term fell, and what it would be with another shape's tokens, as Markdown."""
    rows = []
    for name in record["variants"]:
        log = steps_of(read_log(folder / f"{name}-seed0" / "log.jsonl"))
        owed = without_the_encoder(folder / f"{name}-seed0", collection)
        cells = []
        for term in TERMS:
            first = sum(step["terms"][term] for step in log[:10]) / 10
            last = sum(step["terms"][term] for step in log[-10:]) / 10
            cells += [f"{first:.3f} → {last:.3f}", f"{owed[term][0]:.4f} / {owed[term][1]:.4f}"]
        rows.append((name, *cells))
    header = [cell for term in TERMS for cell in (term, "own / another's tokens")]
    return markdown_table(("", *header), rows)


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("collection", help="a prepared folder with classes and a test split")
    parser.add_argument("--folder", type=Path, required=True, help="where runs and figures go")
    parser.add_argument("--seeds", type=int, default=3, help="runs a variant")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=CHANGES, help="some of the variants")
    given = parser.parse_args()
    sizes = {"epochs": given.epochs, "monitor_every": given.epochs, "checkpoint_every": given.epochs}
    try:
        chosen = variants(given.collection, given.only, sizes)
        trained_with = PretrainConfig.recipe(RECIPE, given.collection).points
        record = study(
            given.collection, chosen, range(given.seeds), given.folder, given.jobs, points=trained_with
        )
        terms = terms_table(record, given.folder, Collection.open(Path(given.collection)))
    except UserError as error:
        raise SystemExit(f"joint_mae.py: {error}") from None
    text = (
        f"{probe_table(record)}\n\nUnweighted terms of seed 0: means of the first and the last ten steps; on "
        f"test shapes with their own coarse tokens and with another shape's:\n\n{terms}"
    )
    print(text)
    (given.folder / "study.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

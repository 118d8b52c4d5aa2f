"""What do Joint-MAE's masks, its local-aligned attention and its cross term do?

The laptop recipe, and the same with one thing changed; same data, sizes, steps and seeds, probed on as many
points as it trains with. Prints a table; writes study.json and study.md into the folder. Interrupted, the
same command goes on.

    python benchmarks/joint_mae.py collections/shapes --folder runs/joint-mae
    python benchmarks/joint_mae.py collections/modelnet40 --folder runs/jm-modelnet40 --only recipe --epochs 4
    python benchmarks/joint_mae.py collections/meshes --folder runs/jm-meshes --only recipe --epochs 60
"""

import argparse
from pathlib import Path
from typing import Any

from study import Variant, markdown, probe_table, study

from adacross.errors import UserError
from adacross.training.config import PretrainConfig

RECIPE = "joint_mae_laptop"
CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {},
    "masks of 75 %": {"method_args": {"mask_ratio": 0.75}},
    "every token sees every patch": {"method_args": {"alignment": "none"}},
    "without the cross term": {"weighting_args": {"weights": {"cross": 0.0}}},
    "without pictures": {"weighting_args": {"weights": {"depth": 0.0, "cross": 0.0}}},
    "middle groups": {"method_args": {"target": "middle", "group_points": None}},
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
        found[name.replace(" ", "-").replace("-%", "")] = Variant(RECIPE, sizes | options)
    return found


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("collection", help="a prepared folder with classes and a test split")
    parser.add_argument("--folder", type=Path, required=True, help="where runs and figures go")
    parser.add_argument("--seeds", type=int, default=3, help="runs a variant")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", nargs="*", choices=CHANGES, help="some of the variants")
    given = parser.parse_args()
    sizes = {"epochs": given.epochs, "monitor_every": given.epochs, "checkpoint_every": given.epochs}
    try:
        chosen = variants(given.collection, given.only, sizes)
        trained_with = PretrainConfig.recipe(RECIPE, given.collection).points
        record = study(
            given.collection, chosen, range(given.seeds), given.folder, given.jobs, points=trained_with
        )
    except UserError as error:
        raise SystemExit(f"joint_mae.py: {error}") from None
    terms = markdown(
        ("", "points", "depth", "cross"),
        [
            (name, *(f"{variant['terms'][term]['mean']:.4f}" for term in ("points", "depth", "cross")))
            for name, variant in record["variants"].items()
        ],
    )
    text = f"{probe_table(record)}\n\nUnweighted terms, means over the last epoch:\n\n{terms}"
    print(text)
    (given.folder / "study.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

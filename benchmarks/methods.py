"""Which method teaches the encoder most, all else equal?

Same data, encoder, sizes, steps and seeds; every method keeps its own loss, temperature and weighting. Prints
a table; writes study.json and study.md into the folder. Interrupted, the same command goes on.

    python benchmarks/methods.py collections/shapes --folder runs/methods-shapes --epochs 4
    python benchmarks/methods.py collections/meshes --folder runs/methods-meshes --epochs 40
"""

from study import Variant, options, probe_table, sizes, study

from adacross.errors import UserError

RECIPES = {
    "crosspoint": "crosspoint_pointnet_laptop",
    "crossnet": "crossnet_pointnet_laptop",
    "adacrossnet": "adacrossnet_pointnet_laptop",
}


def main() -> None:
    given = options(__doc__ or "").parse_args()
    changes = sizes(given) | {"monitor_every": given.epochs}
    variants = {name: Variant(recipe, changes) for name, recipe in RECIPES.items()}
    try:
        record = study(
            given.collection, variants, range(given.seeds), given.folder, given.jobs, points=given.points
        )
    except UserError as error:
        raise SystemExit(f"methods.py: {error}") from None
    table = probe_table(record)
    print(table)
    (given.folder / "study.md").write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""README.md of a collection: what it holds, where it comes from, how it is read."""

from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.summary import LISTED
from adacross.hub import markdown
from adacross.hub.facts import collection_facts
from adacross.hub.layout import SPLITS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_COLUMNS = """| column | type | content |
|---|---|---|
| id | string | unique within the collection |
| split | string | train, test |
| label | class label | index into the classes, -1 for none |
| points | float32 (N, 3) | y up, centroid 0, largest norm 1 |
| center, scale | float32 (3,), float32 | points \\* scale + center: the source's coordinates, turned y up |
| views | images | pictures of the shape, lossless WebP |{part}
| index | int64 | the shape's place in the collection |"""
_PART = "\n| part | int16 (N,) | index into the parts (in collection.json), -1 for none |"


def dataset_card(info: CollectionInfo, name: str, *, license: str | None) -> str:  # noqa: A002
    """Return the card of a collection.

    Args:
        info: what it is.
        name: `owner/name` on the hub.
        license: the hub's identifier of one; None: none was stated.
    """
    files = [
        {"split": split, "path": f"data/{split}-*.parquet"} for split in SPLITS if info.splits.get(split)
    ]
    head = markdown.head(
        license,
        pretty_name=info.name,
        tags=["adacross", "point-cloud", "3d"],
        size_categories=[next((size for bound, size in _SIZES if info.count < bound), "1M<n<10M")],
        configs=[{"config_name": "default", "data_files": files}],
    )
    sections = [
        f"{head}\n# {name.partition('/')[2]}",
        f"{info.count:,} 3-D shapes as points and pictures: a collection of adacross, ready to train on.",
        markdown.facts(collection_facts(info)),
        _use(name),
        f"## Columns\n\n{_COLUMNS.format(part=_PART if info.parts else '')}",
        *_notes(info),
        markdown.licence(license, "This collection was" if license else "this collection was")
        + " The shapes' source may have terms of its own.",
    ]
    return "\n\n".join(sections) + "\n"


def _use(name: str) -> str:
    return f"""## Use

The same collection, to train on and to measure with:

    adacross fetch {name} collections/{name.partition("/")[2]}

Or the table alone, without adacross:

```python
import datasets

shapes = datasets.load_dataset("{name}", split="train")
```"""


def _notes(info: CollectionInfo) -> list[str]:
    """Sections about shapes that are unusual, and about those that are left out."""
    found = (("Included with warnings", info.warnings), ("Left out", info.skipped))
    return [_listed(title, entries) for title, entries in found if entries]


def _listed(title: str, entries: list[dict[str, str]]) -> str:
    lines = [
        f"| {markdown.text(entry.get('name'))} | {markdown.text(entry.get('reason'))} |"
        for entry in entries[:LISTED]
    ]
    if len(entries) > LISTED:
        lines.append(f"| ... and {len(entries) - LISTED} more | all are in collection.json |")
    return "\n".join([f"## {title}: {len(entries)}", "", "| shape | reason |", "|---|---|", *lines])

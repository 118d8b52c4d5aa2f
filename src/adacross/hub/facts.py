"""What cards say about a collection, and what they leave unsaid."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from adacross.data.collection.description import CollectionInfo

_LISTED = 60  # names of classes that a card lists


def collection_facts(info: CollectionInfo) -> dict[str, Any]:
    """What a card says about a collection, by name; None is not said."""
    more = f", and {len(info.classes) - _LISTED} more" if len(info.classes) > _LISTED else ""
    names = ", ".join(info.classes[:_LISTED]) + more
    return {
        "collection": info.name,
        "source": f"{Path(info.source).name} ({info.format})" if info.source != info.format else info.format,
        "variant": info.made.get("options", {}).get("variant"),
        "shapes": f"{info.count:,} ({', '.join(f'{name} {n:,}' for name, n in info.splits.items())})",
        "classes": f"{len(info.classes)}: {names}" if info.classes else "none: unlabelled",
        "parts": f"{len(info.parts)} names, one a point" if info.parts else "none",
        "points": f"{info.points:,} a shape, y up, centroid 0, largest norm 1",
        "views": f"{info.views} a shape, {info.view_size} x {info.view_size} pixels",
        "up in the source": info.source_up,
        "left out": f"{len(info.skipped)} shapes that could not be prepared" if info.skipped else None,
        "prepared": f"{info.made.get('date', 'at an unknown time')} with adacross "
        f"{info.made.get('adacross', 'of an unknown version')}",
    }


def without_path(info: CollectionInfo) -> CollectionInfo:
    """Return a description that names the source, but not the folder of this machine that it lies in."""
    place = Path(info.source)
    if not (place.is_absolute() and place.name):
        return info

    def shorten(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(info.source, place.name)
        if isinstance(value, list):
            return [shorten(item) for item in value]
        if isinstance(value, dict):
            return {name: shorten(item) for name, item in value.items()}
        return value

    return CollectionInfo(**shorten(asdict(info)))

"""Formats of shapes, one file each: meshes, clouds, the field's data sets as they come, built-in shapes."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

from adacross import plugins
from adacross.data.formats import archives
from adacross.data.formats.antao import AnTao
from adacross.data.formats.axes import Up
from adacross.data.formats.base import DatasetIndex, Format, SampleRef, fingerprint_of, printable
from adacross.data.formats.builtin import Builtin
from adacross.data.formats.files import SUFFIXES, axis_of, file_ref, files_below
from adacross.data.formats.folder import Files, holdings, survey
from adacross.data.formats.modelnet import ModelNet40, ModelNetText
from adacross.data.formats.s3dis import S3DIS
from adacross.data.formats.scanobjectnn import ScanObjectNN
from adacross.data.formats.shapenet import ShapeNet, ShapeNet55
from adacross.data.formats.shapenetpart import ShapeNetPart
from adacross.data.shape import Axis
from adacross.errors import UserError
from adacross.io.remote import at_home

BUILTIN, FILES = "builtin", "files"
FORMATS: dict[str, type[Format]] = {  # in the order in which they are asked to recognize a folder
    "shapenetpart": ShapeNetPart,
    "s3dis": S3DIS,
    "shapenet": ShapeNet,
    "shapenet55": ShapeNet55,
    "modelnet40": ModelNet40,
    "modelnet_text": ModelNetText,
    "scanobjectnn": ScanObjectNN,
    "antao": AnTao,
    BUILTIN: Builtin,
    FILES: Files,
}
_EARLIER = {"meshes": FILES, "clouds": FILES}  # names of formats until version 0.2
_NEAR = 100  # neighbors that are looked at when a folder is not what was expected


@cache
def format_of(name: str) -> Format:
    """Return the format of a name, made without options: enough to read what it has found."""
    return plugins.find("format", name, FORMATS, Format)()


def index_source(
    source: str, *, format: str | None = None, up: Up | None = None, **options: Any
) -> DatasetIndex:
    """List what a source holds, without reading it.

    Args:
        source: a folder, an archive or a file of one shape, or the word "builtin".
        format: name of the format; None asks all of them whether they recognize the folder.
        up: the axis that points up in it; None and "by-format" take the items' own, or the format's.
        options: for the format: `variant`, `classes`, `count`, `seed`; None, and what it lacks, is left out.

    Raises UserError for no such folder, nothing known in it, or options that the format has not.
    """
    if source == BUILTIN and format is None:
        format = BUILTIN
    format = _EARLIER.get(format or "", format)
    axis = None if up == "by-format" else up
    folder = at_home(source)
    note = ""
    if format != BUILTIN:
        packed = archives.is_archive(folder)
        if archives.is_file(folder) and not packed and format in (None, FILES):
            return _completed(_single(folder), Files(), axis)
        if not folder.is_dir() and not (packed and format in (None, FILES)):
            what = "is a file, not a folder" if folder.exists() else "does not exist"
            raise UserError(f"{source} {what}. {_known()}")
        folder = folder.resolve()
        if packed:
            _check_archive(folder)
        if format is None:
            format, note, options["without"] = _recognize(folder)
    given = {name: value for name, value in options.items() if value is not None}
    made = plugins.find("format", format, FORMATS, Format)
    known = signature(made).parameters
    for option in ("variant", "classes"):
        if option in given and option not in known:
            raise UserError(
                f"{option} {given[option]} was given, but {folder} has none ({format}). Omit --{option}."
            )
    reader = made(**{option: value for option, value in given.items() if option in known})
    found = reader.find(folder)
    if not isinstance(found, DatasetIndex):
        found = DatasetIndex(list(found))
    if not found.items:
        raise UserError(f"{folder} holds no shape of format {format} ({reader.layout}).")
    location = BUILTIN if format == BUILTIN else found.location or str(folder)
    found = replace(found, format=format, location=location, note=" ".join(filter(None, (note, found.note))))
    return _completed(found, reader, axis)


def _check_archive(path: Path) -> None:
    """Refuse an archive that cannot be read, or holds no shape: a data set is read only from its folder."""
    try:
        shapes, others = survey(path, files_below(path, None))
    except OSError as error:
        raise UserError(f"{path} is not a source: {error.strerror or error}.") from error
    if not shapes:
        raise UserError(f"{path} holds no shapes: {holdings(others)}. Data sets are read unpacked.")


def _single(path: Path) -> DatasetIndex:
    """Return one file as a source; UserError for an unknown ending."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{path} is a file that ends in {path.suffix or 'nothing'}, which is not read. Give a folder, "
            f"or a file that ends in {', '.join(SUFFIXES)}."
        )
    path = path.resolve()
    item = replace(file_ref(path), id=path.name)
    return DatasetIndex([item], format=FILES, location=str(path))


def _completed(index: DatasetIndex, reader: Format, up: Axis | None) -> DatasetIndex:
    """Return an index whose items have labels by number, an axis, a fingerprint and printable ids."""
    said = {item.label for item in index.items if isinstance(item.label, str)}
    names = index.classes or sorted(said - {""})
    labels = {name: label for label, name in reversed(list(enumerate(names)))}
    stamps: dict[str, str] = {"": ""}

    def completed(item: SampleRef) -> SampleRef:
        if item.path not in stamps:
            stamps[item.path] = fingerprint_of(Path(item.path))
        label = labels.get(item.label, -1) if isinstance(item.label, str) else item.label
        stamp = item.fingerprint or stamps[item.path]
        axis = (up and axis_of(Path(item.path), up)) or item.up or reader.up
        return replace(item, id=printable(item.id), label=label, up=axis, fingerprint=stamp)

    items = [completed(item) for item in index.items]
    classes = [printable(name) for name in names]
    index = replace(index, items=items, classes=classes, note=printable(index.note))
    if index.up == "mixed":
        axes = {str(item.up): Path(item.path).suffix.lower() for item in reversed(items)}
        listed = ", ".join(f"{axis} for {ending}" for axis, ending in sorted(axes.items()))
        note = f"The up axis differs by file type ({listed}, ...); --up gives one to all."
        index = replace(index, note=f"{index.note} {note}".strip())
    return index


def _recognize(folder: Path) -> tuple[str, str, list[str]]:
    """Return a folder's format, and a note about data of other layouts below it and their folders.

    Raises UserError, which says what is there, if it has no format.
    """
    if archives.is_archive(folder):
        return FILES, "", []
    if (name := _data_set(folder)) is not None:
        return name, "", []
    below = _data_sets(sorted(place for place in folder.glob("[!.]*") if place.is_dir()))
    files = Files(without=below)
    if files.recognise(folder):
        others = ", ".join(below[:3])
        said = f"only files of single shapes are read; data of another layout is in {others}."
        return FILES, said * bool(below), below
    near = [*_data_sets([folder.parent]), *below][:3]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    _, there = survey(folder, files_below(folder, None))
    raise UserError(f"{folder} holds no shapes of a known format: {holdings(there)}.{hint} {_known()}")


def _data_set(folder: Path) -> str | None:
    """Return the name of the first format but those of single files that recognizes a folder."""
    names = [name for name in plugins.names("format", FORMATS) if name != FILES]
    return next((name for name in names if format_of(name).recognise(folder)), None)


def _data_sets(folders: Iterable[Path]) -> list[str]:
    """Return those of some folders that hold a data set; of very many only the first are looked at."""
    known = []
    for folder in list(folders)[:_NEAR]:
        with suppress(OSError):  # no permission to look
            known += [str(folder)] if _data_set(folder) else []
    return known


def _known() -> str:
    return f"Give a folder that holds one of these: {'; '.join(made.layout for made in FORMATS.values())}."

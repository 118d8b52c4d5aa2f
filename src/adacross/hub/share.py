"""`adacross share` and `adacross fetch`: encoders to the hub, collections to it and back."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from adacross.console import Table, console
from adacross.data.collection.description import DESCRIPTION, CollectionInfo, check_target
from adacross.encoders import load
from adacross.encoders.base import CONFIG_FILE, WEIGHTS_FILE
from adacross.errors import UserError
from adacross.features.sources import encoder_folder
from adacross.hub.cards import check_license, dataset_card, model_card, without_path
from adacross.hub.parquet import SHARDS, read_parquet, write_parquet
from adacross.io import hub
from adacross.io.files import locked, whole_folder
from adacross.io.remote import is_url, local_folder, local_target

_CARD = "README.md"
_DATA = "data/*.parquet"
_LISTED = 20


@dataclass(frozen=True)
class Shared:
    """The files of a repository, uploaded or written for inspection."""

    name: str  # `owner/name` on the hub
    kind: hub.Kind  # of the repository, "model" or "dataset"
    url: str | None  # its address; None after a dry run
    folder: Path | None  # folder of a dry run, else None
    files: dict[str, int]  # sizes in bytes by name

    def table(self) -> Table:
        """Render as a rich table."""
        if self.url:
            title = f"uploaded to {self.url}"
        else:
            title = f"dry run: {self.folder} holds what would be uploaded to {self.name} ({self.kind})"
        total = sum(self.files.values())
        table = Table(title=title, caption=f"{len(self.files)} files, {total:,} bytes")
        table.add_column("file")
        table.add_column("bytes", justify="right")
        for name, size in list(self.files.items())[:_LISTED]:
            table.add_row(name, f"{size:,}")
        if len(self.files) > _LISTED:
            table.add_row(f"... and {len(self.files) - _LISTED} more", "")
        return table


def share(
    source: str,
    name: str,
    *,
    dry_run: str | None = None,
    license: str | None = None,  # noqa: A002  the hub's word
    private: bool = False,
) -> Shared:
    """Upload an encoder with a card made from its run, or a collection as Parquet, to the Hugging Face hub.

    Of a run its encoder is uploaded, and a card that says how it was made and what was measured; of a
    collection everything, but for the path of the folder that it was made from. Look first, with --dry-run.

    Args:
        source: a run, an encoder folder, a collection or its URL.
        name: owner/name of the repository (of models for an encoder, of datasets for a collection); created
            if missing.
        dry_run: new folder for the files; nothing is uploaded.
        license: license by the hub's name: apache-2.0, mit, cc-by-4.0 ...; the card says so if none is
            stated.
        private: create a private repository.

    Returns:
        What was uploaded or written.

    Raises:
        UserError: another kind of `source`, an unfinished or a damaged one; an invalid name or license; no
            login, no permission, no network, no space; `dry_run` exists already.
    """
    name = hub.check_hub_id(name)
    check_license(license)
    folder = local_folder(source)
    kind = _kind(folder, source)
    if dry_run is not None:
        target = local_target(dry_run)
        _check_empty(target)
        with locked(target, "share"), whole_folder(target) as temporary:
            _write(folder, kind, name, license, temporary)
            _check_empty(target)
        return Shared(name, kind, None, target, _sizes(target))
    hub.check_login()
    with TemporaryDirectory(prefix="adacross-share-") as work:
        whole = Path(work) / "whole"
        with whole_folder(whole) as temporary:
            _write(folder, kind, name, license, temporary)
        files = _sizes(whole)
        console.print(f"uploading {sum(files.values()):,} bytes to {name}")
        url = hub.upload(whole, name, kind, private=private, replaces=[_DATA] if kind == "dataset" else [])
    return Shared(name, kind, url, None, files)


def fetch(name: str, folder: str, *, overwrite: bool = False) -> CollectionInfo:
    """Download a shared collection from the Hugging Face hub, identical in every value.

    What is downloaded stays in the hub's cache; every shard is checked against the digest that was taken when
    the collection was shared.

    Args:
        name: owner/name of the repository, or a folder that share --dry-run wrote.
        folder: the collection to create.
        overwrite: replace an existing collection.

    Returns:
        The collection's description.

    Raises:
        UserError: no such repository, no permission, no network, no space; it holds no collection, or a
            damaged one; a folder that is already there.
    """
    target = local_target(folder)
    check_target(target, overwrite)
    shared = Path(name)
    if not shared.is_dir():
        if not hub.is_hub_id(name.removeprefix(hub.SCHEME)):
            raise UserError(f"{name} is neither a folder nor a name on the hub; expected owner/name.")
        shared = hub.download(name, "dataset", [DESCRIPTION, SHARDS, _DATA])
    with locked(target, "fetch"), whole_folder(target) as temporary:
        info = read_parquet(shared, temporary)
        check_target(target, overwrite)  # after hours of download, another program's files may lie there
    return info


def _check_empty(target: Path) -> None:
    """Refuse a target that is a file, or a folder that holds anything."""
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target} exists; choose a new or empty folder.")


def _kind(folder: Path, source: str) -> hub.Kind:
    """Return the kind of repository for a folder; what cannot be shared is refused."""
    if (folder / DESCRIPTION).is_file():
        return "dataset"
    if (folder / "config.yaml").is_file():
        encoder_folder(folder)
        return "model"
    if (folder / CONFIG_FILE).is_file():
        return "model"
    if folder.is_dir() or is_url(source):
        raise UserError(f"{source} is not a run, an encoder folder or a collection. Give one of these.")
    raise UserError(f"{source} does not exist; expected a run, an encoder folder or a collection.")


def _write(folder: Path, kind: hub.Kind, name: str, license: str | None, target: Path) -> None:  # noqa: A002
    """Write the files of a repository into an empty folder."""
    if kind == "dataset":
        info = without_path(CollectionInfo.read(folder))
        write_parquet(folder, info, target)
        card = dataset_card(info, name, license)
    else:
        run = folder if (folder / "config.yaml").is_file() else _run_of(folder)
        saved = folder / "encoder" if run == folder else folder
        encoder = load(saved)  # a damaged one is not shared
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            shutil.copyfile(saved / file, target / file)
        card = model_card(encoder, name, run, license)
    (target / _CARD).write_text(card, encoding="utf-8")


def _run_of(encoder: Path) -> Path | None:
    """Return the run that an encoder's folder lies in, or None."""
    run = encoder.resolve().parent
    return run if encoder.resolve().name == "encoder" and (run / "config.yaml").is_file() else None


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}

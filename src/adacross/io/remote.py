"""Collections on S3-style storage: `s3://bucket/collection`, and URLs of a few other protocols.

A URL is opened only where the user types it. One that is read in a file is not (`local_path`): its author
would choose what this machine requests, and from where. fsspec knows protocols that read other
files, put environment variables into addresses, or are chained with `::`; only those of `PROTOCOLS` reach it.

Training reads shapes in random order, again in every epoch, so a collection is copied into a cache folder at
its first use and mapped from there. The copy's name follows from the URL and from what the storage says about
each file (size, checksum, date): a collection that changes there gets a new copy, one that does not is never
copied again. A copy is whole or not there; an interrupted one goes on with the files that it lacks.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from adacross.console import console, progress_bar
from adacross.errors import UserError, install, one_line
from adacross.io.files import FULL, locked, whole_file

CACHE = "ADACROSS_CACHE"  # the variable that names the cache folder
STREAMS = 8  # files that are copied at once: a request's delay, not the line, bounds small files
_FILES = re.compile(r"(collection|state|dataset_info)\.json|data-\d{5,}-of-\d{5,}\.arrow")  # no paths
_INSTALL = {  # how the package of a protocol is installed
    **dict.fromkeys(("s3", "s3a"), install("s3")),
    **dict.fromkeys(("gs", "gcs"), "Install it with: pip install 'gcsfs'"),
    **dict.fromkeys(("az", "abfs"), "Install it with: pip install 'adlfs'"),
    **dict.fromkeys(("http", "https"), "Install it with: pip install 'aiohttp'"),
}
PROTOCOLS = (*_INSTALL, "memory")  # the last is fsspec's, in RAM
# No chains, no templates, and no password, which the run would keep.
_URL = re.compile(rf"({'|'.join(PROTOCOLS)})://(?!.*(::|://))(?![^/]*@)[^{{}}\s]+")
_MIB = 2**20


def is_url(place: str | Path) -> bool:
    """Return whether a place is a URL such as `s3://bucket/collection`, and no path."""
    return isinstance(place, str) and "://" in place


def is_address(place: str | Path) -> bool:
    """Return whether a place is on another machine: a URL, or a network share as `\\\\host\\share`."""
    return is_url(place) or PureWindowsPath(place).drive.startswith("\\\\")


def local_path(place: str, source: Path) -> Path:
    """Return the path that the file `source` names, if it is one of this machine."""
    if is_address(place):
        raise UserError(f"{source} names {place}; an address that is read in a file is not opened.")
    return Path(place)


def absolute(place: str) -> str:
    """Return a path that holds from every working directory; a URL does as it is."""
    return place if is_url(place) else str(Path(place).resolve())


def local_target(place: str) -> Path:
    """Return the folder to write to; a URL is refused."""
    if is_url(place):
        raise UserError(
            f"{place} is not a folder of this machine, and unfinished work must lie in one. Give a folder, "
            f"and copy it when it is done, for instance: aws s3 cp --recursive FOLDER {place}"
        )
    return at_home(place)


def at_home(place: str | Path) -> Path:
    """Return a path with `~` expanded; `~NAME` of an unknown user is a name like others."""
    try:
        return Path(place).expanduser()
    except RuntimeError:
        return Path(place)


def cache_folder() -> Path:
    """Return where copies lie: `ADACROSS_CACHE`, or the folder `adacross` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    named = os.environ.get(CACHE) or f"{caches}/adacross"
    try:
        return Path(named).expanduser() / "collections"
    except RuntimeError:  # no HOME, and a user without an entry; or ~NAME of an unknown user
        raise UserError(
            f"copies would lie in {named}, but this user has no home. Name a folder in {CACHE}."
        ) from None


def local_folder(place: str | Path) -> Path:
    """Return the folder in which a collection can be read: of a URL its copy, which is made if need be.

    Several processes may ask at once; one copies, the others wait for it. Raises UserError for no such
    storage, bucket or collection, no permission, a package that is missing, or no space.
    """
    if not is_url(place):
        return at_home(place)
    url = str(place).rstrip("/")
    if not _URL.fullmatch(url):
        raise UserError(
            f"{url} cannot be opened. Expected a folder, or a URL that begins with s3://, gs://, az://, "
            "abfs:// or https:// and has no ::, {, }, space or password."
        )
    files, storage = _look(url)
    name = re.sub(r"[^\w-]", "_", PurePosixPath(url).name)[:60]
    digest = hashlib.blake2b(json.dumps([url, files]).encode(), digest_size=8).hexdigest()
    folder = cache_folder() / f"{name}-{digest}"
    if folder.is_dir():
        return folder
    with locked(folder, "copy", wait=-1.0):
        if not folder.is_dir():
            _copy(storage, url, files, folder)
    return folder


def _look(url: str) -> tuple[dict[str, dict[str, str]], Any]:
    """Return what the storage says about each of the collection's files, and the storage.

    Only names that a collection has are looked at. They hold no separator, so nothing that a listing says can
    lead out of the folder that a copy is written to, or to another address than the one that was given.
    """
    with _explained(url):
        from fsspec import url_to_fs

        storage, root = url_to_fs(url)
        storage.invalidate_cache()
        listing = sorted(storage.ls(root, detail=True), key=lambda about: about["name"])
        found = {
            name: about
            for about in listing
            if about["type"] == "file" and _FILES.fullmatch(name := about["name"].rpartition("/")[2])
        }
        for name, about in found.items():
            if about["size"] is None:  # a web server's listing has only names
                found[name] = storage.info(f"{root}/{name}")
    files = {
        name: {key: str(value) for key, value in sorted(about.items())} | {"name": f"{root}/{name}"}
        for name, about in found.items()
    }
    if "collection.json" not in files:
        raise UserError(
            f"{url} is not a collection: no collection.json is there. Copy a prepared folder to it, whole."
        )
    return files, storage


def _copy(storage: Any, url: str, files: dict[str, dict[str, str]], folder: Path) -> None:
    """Copy the files into a folder beside the cached one, which then gets its name."""
    partial = folder.with_name(f"{folder.name}.partial")
    for torn in partial.glob(".*"):  # what a killed process left
        torn.unlink()
    there = {path.name for path in partial.glob("*")}
    try:
        sizes = {name: int(about["size"]) for name, about in files.items()}
    except ValueError:
        raise UserError(
            f"{url} does not say how large its files are. Copy the folder to this machine."
        ) from None
    lacking = [name for name in files if name not in there]
    needed, free = sum(sizes[name] for name in lacking), shutil.disk_usage(folder.parent).free
    if free < needed:
        raise UserError(
            f"{url} needs {needed // _MIB:,} MiB and {folder.parent} has {free // _MIB:,} MiB left. "
            f"Free some space, or name another folder in {CACHE}."
        )
    console.print(f"copying {url} to {folder}")
    total = sum(sizes.values())
    with progress_bar("MiB") as progress, ThreadPoolExecutor(STREAMS) as streams:
        done = total - needed
        bar = progress.add_task("copying", total=-(-total // _MIB), completed=done // _MIB, note="")
        arriving = {streams.submit(_fetch, storage, files[n], partial / n, url): n for n in lacking}
        try:
            for finished in as_completed(arriving):
                finished.result()
                done += sizes[arriving[finished]]
                progress.update(bar, completed=-(-done // _MIB))
        except BaseException:
            streams.shutdown(cancel_futures=True)
            raise
    if _look(url)[0] != files:
        shutil.rmtree(partial)
        raise UserError(f"{url} was changed while it was copied. Run the same command again.")
    partial.replace(folder)


def _fetch(storage: Any, about: dict[str, str], path: Path, url: str) -> None:
    """Copy one file, whole or not at all."""
    with whole_file(path) as temporary, _explained(url):
        storage.get_file(about["name"], str(temporary))
        came, expected = temporary.stat().st_size, int(about["size"])
        if came != expected:
            raise UserError(f"{url}: {path.name} came with {came:,} of {expected:,} bytes. Try again.")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn whatever a storage's library raises into a sentence."""
    protocol = url.partition("://")[0]
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        hint = _INSTALL.get(protocol, f"{error}.")
        raise UserError(f"{url}: {protocol}:// needs a package that is not installed. {hint}") from None
    except FileNotFoundError as error:
        raise UserError(f"{url} does not exist ({one_line(error)}).") from None
    except PermissionError as error:
        raise UserError(f"{url}: no permission ({one_line(error)}). {_credentials(protocol)}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (*FULL, errno.EROFS):
            raise  # this machine's trouble, which `whole_file` explains
        # Every protocol's library has errors of its own, and none of them is imported here.
        raise UserError(f"cannot read {url}: {one_line(error)}. {_credentials(protocol)}") from error


def _credentials(protocol: str) -> str:
    if not protocol.startswith("s3"):
        return f"Check the address, the network, and what fsspec needs for {protocol}://."
    return (
        "Check the address, the network and the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "AWS_PROFILE; AWS_ENDPOINT_URL for storage that is not Amazon's; FSSPEC_S3_ANON=true if public)."
    )

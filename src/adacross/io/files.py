"""Files and folders that are written whole or not at all, by one writer at a time, and read within bounds."""

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from adacross.errors import UserError, one_line

LARGEST = 2**31  # bytes of a file that is read as a whole; a larger one is a mistake or hostile
MOST_PACKED = 100  # bytes that a compressed byte may stand for; of shapes it is 2 to 10
LARGEST_JSON = 2**27  # its values take up to twenty times as much memory
LARGEST_YAML = 100_000  # as many take PyYAML a second or two
DEEPEST_YAML = 16  # lists and mappings in one another
# What libraries raise on a file that is damaged, or something else than its name says.
READER_ERRORS = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
    TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.(?P<kind>part|old)")
# Version 0.1's.
_EARLIER = re.compile(
    r"\.(step-\d{8}\.pt|method\.safetensors|log\.jsonl|config\.yaml|encoder)\.\d+\.(part|old)"
)
# Cached features in a run or a collection, by relative path; `search/` is version 0.1's.
CACHED_FEATURES = r"(features|search)/(features|whitening|map|block\d{8})-[0-9a-f]{20}\.safetensors"
_NOTHING = re.compile(r"(?!)")
_ABANDONED = 24 * 3600  # seconds after which a temporary file of another machine counts as left over
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_ADVICE = {
    **dict.fromkeys(FULL, "Free some space or choose another folder."),
    **dict.fromkeys(FORBIDDEN, "Choose a folder that you may write to."),
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def cannot_write(path: Path, error: BaseException) -> UserError:
    """The error of a write that the system refused, with advice that fits the reason."""
    code = _system_error(error)
    reason = os.strerror(code) if code else one_line(error)
    return UserError(f"cannot write {path}: {reason}. {_ADVICE.get(code, 'Check the path.')}")


def _system_error(error: BaseException) -> int:
    """Return the system's error number in an exception, or in a library's words for it; 0 without one."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    said = str(error)
    codes = (*FULL, *FORBIDDEN)
    return next((code for code in codes if os.strerror(code) in said or f"os error {code})" in said), 0)


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse to write over an existing file unless told to."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; expected the name of a file to write.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists. Choose another name, or replace it with --overwrite.")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it vanishes.

    A reader sees the old file or the new one, never a part. A link stays a link, and a file keeps its mode.
    Raises UserError for a full disk or a folder that cannot be written.
    """
    path = Path(os.path.realpath(given := Path(path)))
    with _temporary_beside(path, given) as temporary:
        if path.exists():  # private from its first byte on, if the old file is
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield temporary
        _to_disk(temporary)
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
        _entries_to_disk(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `path` on success, in place of a folder of that name.

    The caller checks that a folder to be replaced is its own (`check_replaceable`). Errors as `whole_file`.
    """
    path = Path(os.path.realpath(given := Path(path)))
    with _temporary_beside(path, given) as temporary:
        temporary.mkdir()
        yield temporary
        for inner, _, names in os.walk(temporary):
            for name in names:
                _to_disk(Path(inner) / name)
            _entries_to_disk(Path(inner))
        replace_folder(temporary, path)


@contextmanager
def _temporary_beside(path: Path, given: Path) -> Iterator[Path]:
    """Yield a free name beside `path`, delete what is left there, and explain the system's errors."""
    temporary = _temporary(path, "part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        yield temporary
    except Exception as error:
        if isinstance(error, UserError) or not (isinstance(error, OSError) or _system_error(error)):
            raise
        raise cannot_write(given, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def replace_folder(new: Path, path: Path) -> None:
    """Rename the folder `new` to `path`; a folder that was there is deleted, but stays if that fails."""
    old = _temporary(path, "old")
    if path.exists():
        path.replace(old)
    try:
        new.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise
    _entries_to_disk(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def strangers(folder: Path, own: re.Pattern[str] = _NOTHING) -> list[str]:
    """Return the files in `folder`, by relative POSIX path, that are neither `own` nor lock nor temporary."""
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    return [name for name in names if not own.fullmatch(name) and not _is_temporary(Path(name).name)]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]


def remove_own(folder: Path, own: re.Pattern[str]) -> None:
    """Delete the files in `folder` whose relative POSIX path matches `own`, and folders that this empties."""
    emptied: set[Path] = set()
    for path in _files(folder):
        if own.fullmatch(path.relative_to(folder).as_posix()):
            path.unlink(missing_ok=True)
            emptied.update(place for place in path.parents if place.is_relative_to(folder))
    for place in sorted(emptied, reverse=True):  # children before parents
        with suppress(OSError):
            place.rmdir()


def check_replaceable(folder: Path, what: str, marked: bool, own: re.Pattern[str], overwrite: bool) -> None:
    """Refuse (UserError) to replace a folder that holds anything but `what`, or that may not be replaced.

    `what` is its role, for the message ("a collection"), `marked` whether it carries the marker of it, and
    `own` matches the relative POSIX paths of the files that belong to it.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not marked:
        raise UserError(f"{folder} exists and is not {what}. Choose another name, or move it away.")
    if not overwrite:
        raise UserError(f"{folder} exists. Choose another name, or replace it with --overwrite.")
    if foreign := strangers(folder, own):
        listed = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise UserError(
            f"{folder} holds files that adacross did not write ({listed}), and --overwrite would delete "
            "them. Move them away, or choose another name."
        )


@contextmanager
def locked(path: Path, what: str, *, wait: float = 0.0, inside: bool = False) -> Iterator[None]:
    """Be the only writer of `path`, a file or a folder, among all processes that ask here.

    The lock ends with its process, however that ends. Raises UserError, with its name, if another writes.

    Args:
        what: the work, for the message that another process shows ("pretrain").
        wait: seconds to wait for another writer, -1 for as long as it takes.
        inside: whether the lock lies in the folder `path` instead of beside it.
    """
    from filelock import FileLock, Timeout

    path = Path(os.path.realpath(path))
    lock = path / ".lock" if inside else path.with_name(f".{path.name}.lock")
    owner = lock.with_name(lock.name.removesuffix("lock") + "owner")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock, thread_local=False)
        held.acquire(timeout=wait, poll_interval=0.02)
    except Timeout:
        try:
            name = read_bytes(owner, 1000).decode("utf-8", errors="replace")
        except OSError:
            name = "another process"
        raise UserError(
            f"{path} is in use: {name} writes it. Wait until it has ended, or choose another name."
        ) from None
    except (OSError, NotImplementedError) as error:  # also of a file system without locks
        raise cannot_write(path, error) from error
    try:
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        with suppress(OSError):  # only for the message of others
            where = f"process {os.getpid()} on {platform.node() or 'this machine'}, since {since}"
            owner.write_text(f"adacross {what} ({where})", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            owner.unlink(missing_ok=True)
        if os.name == "posix":  # while it is held: filelock takes no lock on a file that is gone
            with suppress(OSError):
                lock.unlink(missing_ok=True)
        held.release()


def content_digest(folder: Path, paths: Iterable[Path]) -> str:
    """Return a digest of the files among paths in a folder: of their names there and their content.

    What is no file, or cannot be read, is left out.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(paths):
        if path.is_file() and os.access(path, os.R_OK):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "blake2b").hexdigest()
            digest.update(repr((path.relative_to(folder).as_posix(), content)).encode())
    return digest.hexdigest()


def sweep(folder: Path, alone: bool = False) -> None:
    """Delete what killed writers left in `folder` itself, and put back a folder that they had moved aside.

    `alone`: the caller holds the folder's lock, so that no other writer can be alive.
    """
    for path in folder.glob(".*"):
        found = _TEMPORARY.fullmatch(path.name)
        with suppress(OSError):
            if not (found or _EARLIER.fullmatch(path.name)):
                continue
            if not alone and not (found and _abandoned(path, found["host"], int(found["pid"]))):
                continue
            if found and found["kind"] == "old" and not (place := path.with_name(found["name"])).exists():
                path.replace(place)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


def _abandoned(path: Path, host: str, pid: int) -> bool:
    """Return whether the writer of a temporary file has ended, as far as this process can tell."""
    if host == _host() and sys.platform != "win32":
        try:
            os.kill(pid, 0)
        except OSError as error:
            return isinstance(error, ProcessLookupError)
        return False
    return time.time() - path.stat().st_mtime > _ABANDONED


@cache
def _host() -> str:
    """A digest of this machine and, in a container, of its numbering of processes."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.blake2b(f"{platform.node()} {namespace}".encode(), digest_size=4).hexdigest()


def _temporary(path: Path, kind: str) -> Path:
    """A name beside `path` that no other writer has, in this process or any other."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def _is_temporary(name: str) -> bool:
    return bool(_TEMPORARY.fullmatch(name) or _EARLIER.fullmatch(name) or name in (".lock", ".owner"))


def _to_disk(path: Path) -> None:
    with path.open("r+b") as handle:  # Windows brings only what may be written to the disk
        os.fsync(handle.fileno())


def _entries_to_disk(folder: Path) -> None:
    if os.name != "posix":  # Windows has no way to ask
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(handle)


def write_whole(path: Path, text: str, newline: str | None = None) -> None:
    """Write text as UTF-8, whole or not at all; bytes of file names that are not text become `\\udcff`."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline=newline)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def file_size(path: Path) -> int:
    """Return a file's size in bytes; OSError for no file, or a pipe, whose reader would wait for ever."""
    state = Path(path).stat()
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "Not a file but a pipe, a socket or a device", str(path))
    return state.st_size


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Read a whole file of at most `most` bytes; OSError as `file_size`, or for a larger one."""
    if (size := file_size(path)) > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes are more than the {most:,} it may have", str(path))
    return Path(path).read_bytes()


def read_json(path: Path, what: str) -> Any:
    """Read JSON; UserError if it cannot be read, in which `what` names the file's role ("a result")."""
    return _parsed(path, what, "JSON", LARGEST_JSON, json.loads)


def read_yaml(path: Path, what: str) -> Any:
    """Read YAML of plain values, at most `LARGEST_YAML` bytes; errors are as of `read_json`.

    Tags and aliases are refused: a tag may ask for a class to be made, and a few lines of aliases of aliases
    stand for more values than any memory holds. So are values nested more than `DEEPEST_YAML` deep, over
    which PyYAML takes seconds.
    """
    import yaml

    class Plain(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("an alias, *name, is not read; write its value out")
            if self.depth == DEEPEST_YAML:
                raise ValueError(f"its values are nested more than {DEEPEST_YAML} deep")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    def parse(text: str) -> Any:
        try:
            return yaml.load(text, Plain)
        except (yaml.YAMLError, AttributeError, LookupError, TypeError) as error:  # all of them PyYAML's
            raise ValueError(str(error) or type(error).__name__) from error

    return _parsed(path, what, "YAML", LARGEST_YAML, parse)


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value read from JSON is of a type made of plain ones, as `dict[str, list[int]]`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, inner[1]) for item in value.values())
    if origin is UnionType:
        return any(fits(value, one) for one in inner)
    return hint is Any or type(value) is hint


def _parsed(path: Path, what: str, language: str, most: int, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(read_bytes(path, most).decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; expected {what}.") from None
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise UserError(f"{path} is not valid {language} ({one_line(error)}); expected {what}.") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; expected {what}.") from None

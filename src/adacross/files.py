"""Files that are written whole or not at all, and read within bounds."""

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from adacross.errors import UserError

LARGEST = 2**31  # bytes of a file that is read as a whole; a larger one is a mistake, or meant badly
LARGEST_YAML = 100_000  # as many take PyYAML a second or two


def _cannot_write(path: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError(f"cannot write {path}: {reason}. Free some space or choose another folder.")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it vanishes.

    A reader sees the old file or the new one, never a part. A full disk or a read-only folder raises
    `UserError` and leaves what was there.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        _settle(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """The same for a folder: yield an empty temporary folder that becomes `path` on success."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.replace(path)
        _settle(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Wait until a folder's entries are on the disk (Windows has no way to ask)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with whole_file(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        # Names of files may be no text at all; their bytes become \udcff, which is JSON.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def file_size(path: Path) -> int:
    """Return a file's size in bytes; what is no file is refused before anybody opens it.

    A named pipe would let its reader wait for ever, and a device never ends.

    Raises:
        OSError: nothing there, or a folder, a pipe, a socket or a device.
    """
    state = Path(path).stat()
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "Not a file but a pipe, a socket or a device", str(path))
    return state.st_size


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Read a whole file of at most `most` bytes.

    Raises:
        OSError: as `file_size`, larger, or not to be read.
    """
    if (size := file_size(path)) > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes are more than the {most:,} it may have", str(path))
    return Path(path).read_bytes()


def read_json(path: Path, what: str) -> Any:
    """Read JSON; `what` names the file's role in the error ("a collection's description").

    Raises:
        UserError: no such file, one that cannot be read, not JSON, or nested too deeply.
    """
    return _parsed(path, what, "JSON", LARGEST, json.loads)


def read_yaml(path: Path, what: str) -> Any:
    """Read YAML of plain values, at most `LARGEST_YAML` bytes, without tags and aliases.

    A tag may ask for a class to be made, and a few lines of aliases of aliases stand for more values than any
    memory holds.

    Raises:
        UserError: as `read_json`.
    """
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("an alias, *name, is not read; write its value out")
            return super().compose_node(parent, index)

    def parse(text: str) -> Any:
        try:
            return yaml.load(text, Plain)
        except (yaml.YAMLError, AttributeError, LookupError, TypeError) as error:  # all of them PyYAML's
            raise ValueError(str(error) or type(error).__name__) from error

    return _parsed(path, what, "YAML", LARGEST_YAML, parse)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value read from JSON is of a type made of plain ones, as `dict[str, list[int]]`."""
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
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{path} is not valid {language} ({reason}); expected {what}.") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; expected {what}.") from None

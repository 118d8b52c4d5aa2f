"""Files in ZIP and TAR archives, read in place: a path may lead into an archive (`parts.zip/a/bolt.stl`).

Nothing is unpacked to the disk, links are not followed, and archives within archives stay closed.
"""

import errno
import hashlib
import io
import lzma
import mmap
import os
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from adacross.errors import one_line
from adacross.io import files
from adacross.io.files import LARGEST, MOST_PACKED

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
_SMALL = 2**26  # bytes that any archive may unpack to
_BLOCK = 2**24  # bytes of a gzip file that are unpacked together
_PIECE = 2**18  # packed bytes that are read at once
_LINK = "a link, which is not followed in an archive"
_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
    NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Return whether a path is a file that ends as archives do."""
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def stem(name: str) -> str:
    """Return a name without the ending of an archive."""
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def is_archived(path: Path) -> bool:
    """Return whether a path leads into an archive."""
    return _archive_above(path) is not None


def members(path: Path) -> Iterator[Path]:
    """Yield the paths of an archive's visible files, and of its links; OSError for a damaged archive."""
    for name in _opened(path).members:
        if not any(part.startswith(".") and part != ".." for part in name.split("/")):
            yield path / name


def is_file(path: Path) -> bool:
    """Return whether a file is there, on the disk or in an archive."""
    with suppress(OSError):  # a damaged archive
        found = _found(path)
        return found[1] in found[0].members if found else path.is_file()
    return False


def stat_of(path: Path) -> os.stat_result:
    """Return the state of a file, or of the archive that it is in."""
    return (_archive_above(path) or path).stat()


def file_size(path: Path) -> int:
    """Return a file's size in bytes; OSError as `adacross.io.files.file_size`."""
    found = _found(path)
    return found[0].member(found[1]).size if found else files.file_size(path)


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Read a whole file of at most `most` bytes; OSError as `adacross.io.files.read_bytes`."""
    if not (found := _found(path)):
        return files.read_bytes(path, most)
    if (size := found[0].member(found[1]).size) > most:
        raise _refused(f"{size:,} bytes are more than the {most:,} it may have", path)
    return found[0].read(found[1], size)


def read_head(path: Path, most: int) -> bytes:
    """Read the first bytes of a file, at most `most`; OSError as `read_bytes`."""
    if found := _found(path):
        return found[0].read(found[1], min(most, found[0].member(found[1]).size))
    files.file_size(path)  # refuses pipes and devices
    with path.open("rb") as file:
        return file.read(most)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; OSError as `read_bytes`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: Path) -> io.BufferedIOBase:
    """Open a file to read its bytes; one in an archive is read into memory. OSError as `read_bytes`."""
    if is_archived(path):
        return io.BytesIO(read_bytes(path))
    files.file_size(path)
    return path.open("rb")


class _Member(NamedTuple):
    """File in an archive."""

    size: int  # bytes
    refusal: str  # why it is not read, or ""
    read: Callable[[int], bytes]  # of so many bytes from its start


class _Archive:
    """An open archive; OSError if it is damaged, or unpacks to much more than its own size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[str, _Member] = {}
        size = files.file_size(path)
        most = max(_SMALL, MOST_PACKED * size)
        try:
            for written, member in _in_zip(path) if path.suffix.lower() == ".zip" else _in_tar(path, most):
                parts = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".")]
                name = "/".join(parts)
                out = ".." in parts or PureWindowsPath(name).drive
                refusal = "its name leads out of the archive" if out else member.refusal
                self.members[name] = member._replace(refusal=refusal)
        except _ERRORS as error:
            raise _refused(f"not a readable archive ({one_line(error, 200)})", path) from error
        if (total := sum(member.size for member in self.members.values())) > most:
            raise _refused(f"it unpacks to {total:,} bytes, out of proportion to its own {size:,}", path)

    def member(self, name: str) -> _Member:
        """Return a file of the archive; OSError if there is none, or it is not to be read."""
        if name not in self.members:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path / name))
        if refusal := self.members[name].refusal:
            raise _refused(refusal, self.path / name)
        return self.members[name]

    def read(self, name: str, count: int) -> bytes:
        """Read the first bytes of a file; OSError if the archive is damaged there."""
        try:
            data = self.member(name).read(count)
        except _ERRORS as error:
            raise _refused(f"damaged in its archive ({one_line(error, 200)})", self.path / name) from error
        if len(data) < count:
            raise _refused(f"truncated in its archive: {len(data):,} of {count:,} bytes", self.path / name)
        return data


def _in_zip(path: Path) -> Iterator[tuple[str, _Member]]:
    archive = zipfile.ZipFile(path)

    def read(info: zipfile.ZipInfo, count: int) -> bytes:
        with archive.open(info) as file:
            return file.read(count)

    for info in archive.infolist():
        refusal = _LINK if stat.S_ISLNK(info.external_attr >> 16) else ""
        refusal = "encrypted" if info.flag_bits & 1 else refusal
        if not info.is_dir():
            yield info.filename, _Member(info.file_size, refusal, partial(read, info))


def _in_tar(path: Path, most: int) -> Iterator[tuple[str, _Member]]:
    lock = threading.Lock()
    with path.open("rb") as opened:  # a map ends at the file's end, whatever a header promises
        file: Any = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    if path.suffix.lower() != ".tar":
        file = _Gunzipped(file, most)

    def read(place: int, count: int) -> bytes:
        with lock:
            file.seek(place)
            return file.read(count)

    with tarfile.open(fileobj=file, mode="r:") as listing:
        for info in listing:
            if not info.isdir():
                refusal = "" if info.isreg() else _LINK
                refusal = "stored with holes" if info.issparse() else refusal
                yield info.name, _Member(info.size, refusal, partial(read, info.offset_data))


class _Gunzipped:
    """A gzip file, read at any place, that unpacks to at most `most` bytes (ValueError).

    It is unpacked block by block; the decompressor's states at their starts make going back cheap.
    """

    def __init__(self, file: mmap.mmap, most: int) -> None:
        self._file, self._most, self._at = file, most, 0
        self._starts = [(0, zlib.decompressobj(31))]  # place in the file, state; 31: with gzip's header
        self._last = -1, b""  # number and content of the block that was unpacked last

    def seek(self, place: int) -> None:
        """Go to a place, which may be beyond the end."""
        self._at = place

    def tell(self) -> int:
        """Return the present place."""
        return self._at

    def read(self, count: int) -> bytes:
        """Read from the present place; fewer bytes at the end."""
        pieces = []
        while count > 0:
            number, start = divmod(self._at, _BLOCK)
            if not (piece := self._block(number)[start : start + count]):
                break
            pieces.append(piece)
            self._at += len(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _block(self, number: int) -> bytes:
        """Return a block, shorter at the end; those before it are unpacked, too, if none has been so far."""
        if number == self._last[0]:
            return self._last[1]
        for place in range(min(number, len(self._starts) - 1), number + 1):
            if place == len(self._starts):
                return b""
            at, state = self._starts[place]
            self._file.seek(at)
            block, state = bytearray(), state.copy()
            while len(block) < _BLOCK:
                packed = state.unconsumed_tail
                if state.eof:  # another gzip stream may follow
                    packed, state = state.unused_data, zlib.decompressobj(31)
                    packed = packed or self._file.read(_PIECE)
                    if not packed.strip(b"\0"):
                        break
                packed = packed or self._file.read(_PIECE)
                if not packed:
                    raise EOFError("truncated")
                block += state.decompress(packed, _BLOCK - len(block))
            if place * _BLOCK + len(block) > self._most:
                raise ValueError(
                    f"it unpacks to more than {self._most:,} bytes, out of proportion to its size"
                )
            self._last = place, bytes(block)
            if len(block) == _BLOCK and place + 1 == len(self._starts):
                self._starts.append((self._file.tell(), state))
        return self._last[1]


def _archive_above(path: Path) -> Path | None:
    """Return the archive that a path leads into, or None."""
    return next((parent for parent in path.parents if is_archive(parent)), None)


def _found(path: Path) -> tuple[_Archive, str] | None:
    if (archive := _archive_above(path)) is None:
        return None
    return _opened(archive), path.relative_to(archive).as_posix()


def _opened(path: Path) -> _Archive:
    state = path.stat()
    return _kept(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _kept(path: Path, size: int, changed: int) -> _Archive:
    return _Archive(path)


def _refused(reason: str, path: Path) -> OSError:
    return OSError(errno.EINVAL, reason, str(path))

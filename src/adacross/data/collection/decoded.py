"""Pictures that were decoded once, kept on disk for the rest of a training."""

import errno
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8

from adacross.data.collection.collection import Collection
from adacross.errors import UserError

SPARED = 2 * 2**30  # bytes of the disk that are left to checkpoints and to others


class DecodedViews:
    """A collection's images; each is decoded when it is first asked for, and copied from then on.

    Decoded images lie in a file of `folder` without a name that vanishes with the process, however it ends.
    What does not fit `limit` bytes, or would leave less than `SPARED` of the disk to checkpoints, is decoded
    every time. Raises UserError for a collection without images.
    """

    def __init__(self, collection: Collection, folder: Path, limit: int) -> None:
        info = collection.info
        if not info.views:
            raise UserError(
                f"{collection.folder} has no images, and this method needs them. Prepare it with --views 12."
            )
        self.collection = collection
        self._shape = (3, info.view_size, info.view_size)  # planes, which augmentation reads fastest
        self._bytes = info.view_size**2 * 3
        self._room = limit // self._bytes
        self._places: dict[int, int] = {}
        self._folder = folder
        self._lock = Lock()
        self._file: Any = None

    def views(self, shapes: np.ndarray, numbers: np.ndarray) -> UInt8[np.ndarray, "B H W 3"]:
        """Return image `numbers[b]` of shape `shapes[b]` for every b; UserError for a damaged one."""
        found = np.empty((len(shapes), *self._shape), dtype=np.uint8)
        for picture, shape, number in zip(found, shapes, numbers, strict=True):
            key = int(shape) * self.collection.info.views + int(number)
            if not self._read(key, picture):
                picture[:] = self.collection.view(int(shape), int(number)).transpose(2, 0, 1)
                self._keep(key, picture)
        return found.transpose(0, 2, 3, 1)

    def _read(self, key: int, picture: np.ndarray) -> bool:
        """Fill `picture` if it is there."""
        place = self._places.get(key)
        if self._file is None or place is None:
            return False
        with self._lock:
            self._file.seek(place * self._bytes)
            return self._file.readinto(picture.data) == self._bytes

    def _keep(self, key: int, picture: np.ndarray) -> None:
        """Write `picture` if there is room."""
        with self._lock:
            place = len(self._places)
            if place >= self._room or key in self._places:
                return
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
                    weakref.finalize(self, self._file.close)
                if shutil.disk_usage(self._folder).free < SPARED:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._file.seek(place * self._bytes)
                written = self._file.write(picture.data)
            except OSError:  # a full disk or a folder that cannot be written to: what there is, is enough
                written = 0
            if written == self._bytes:
                self._places[key] = place
            else:
                self._room = place

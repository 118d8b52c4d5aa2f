"""Files beside a mesh, and textures among them."""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from jaxtyping import Float, UInt8

from adacross.data.formats.archives import is_file, read_bytes
from adacross.data.images import FORMATS, IMAGE_ERRORS, open_picture
from adacross.data.workers.local import shortage
from adacross.errors import one_line, shortened

_FORMATS = (*FORMATS, "GIF", "TGA", "TIFF")


def companion(folder: Path, name: str, other: Path | None = None) -> Path | None:
    """Return the file of a name in a mesh's own folder, a resolved path, or below it; None if there is none.

    The name may be a path on somebody else's machine, as exporters write it: then the file's own name is
    looked for. A comment may follow it. `other` is a second folder to look in, that of the file that has the
    name. Nothing outside `folder` is opened, and no other host is asked: on Windows that would send it the
    user's credentials.
    """
    written = (PureWindowsPath(text.strip().strip('"')) for text in (name, name.partition(" #")[0]))
    names = dict.fromkeys(
        text for path in written for text in (path.relative_to(path.anchor).as_posix(), path.name)
    )
    for place in dict.fromkeys((folder, other or folder)):
        for relative in names:
            try:
                found = (place / relative).resolve()
                if found.is_relative_to(folder) and is_file(found):
                    return found
            except (OSError, ValueError):  # too long for a name, or none at all
                continue
    return None


@dataclass(frozen=True, eq=False)
class Texture:
    """An image that colors a surface; without pixels, and with a warning, if it cannot be used."""

    pixels: UInt8[np.ndarray, "H W 3"] | None
    warnings: tuple[str, ...] = ()

    def at(self, uv: Float[np.ndarray, "T 3 2"]) -> UInt8[np.ndarray, "T 3"]:
        """Return the texel at the center of each triangle.

        Texture coordinates repeat beyond 0..1 and grow upwards. Without pixels a texture has none.
        """
        if self.pixels is None:
            raise ValueError("a texture without pixels has no color")
        height, width = self.pixels.shape[:2]
        with np.errstate(invalid="ignore", over="ignore"):
            u, v = np.nan_to_num(uv.astype(np.float64).mean(1) % 1.0).T
        column = np.minimum((u * width).astype(np.int64), width - 1)
        row = np.minimum(((1 - v) * height).astype(np.int64), height - 1)
        return self.pixels[row, column]


def texture_beside(folder: Path, name: str) -> Texture:
    """Read the texture of a name that `companion` finds."""
    if path := companion(folder, name):
        return read_texture(path)
    return Texture(None, (f"its texture {shortened(name)} is not beside it",))


def read_texture(path: Path) -> Texture:
    """Read the texture in a file."""
    try:
        image = open_picture(read_bytes(path), formats=_FORMATS).convert("RGB")
    except IMAGE_ERRORS as error:
        if shortage(error):  # no fault of the file
            raise
        reason = one_line(error, 120).replace(str(path), path.name)
        return Texture(None, (f"its texture {shortened(path.name)} cannot be used ({reason})",))
    return Texture(np.asarray(image))

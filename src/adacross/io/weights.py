"""Safetensors files, read without trusting their sizes."""

from pathlib import Path

from torch import Tensor

from adacross.errors import UserError
from adacross.io.files import file_size, read_bytes

LARGEST_HEADER = 2**20  # bytes of a safetensors file's header: about 10,000 tensors


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        UserError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        check_header(path)
        return load(read_bytes(path))  # of a name, load_file asks that it be UTF-8
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; expected the weights of a saved encoder.") from None
    except (SafetensorError, OSError, LookupError, MemoryError, RuntimeError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path} is damaged or no safetensors file ({reason}); save or download it again."
        ) from None


def check_header(path: Path) -> None:
    """Refuse a safetensors file that lists more tensors than any network here has.

    Each takes about 60 bytes in the file's header, and far more time and memory once it is an object.

    Raises:
        OSError: no file, or none that can be read.
        ValueError: a header of more than `LARGEST_HEADER` bytes.
    """
    file_size(path)  # refuses pipes and devices
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes; expected at most {LARGEST_HEADER:,}")

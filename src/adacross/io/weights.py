"""Tensors in files, read without running anything and without trusting their sizes.

`torch.load(weights_only=True)` runs no code of the file's, but it calls what the file names among a hundred
functions, and several of them take any amount of memory: `bytearray(10**10)` fits into 40 bytes. So of what
`torch.save` wrote only the format is read here, by the machine of `adacross.io.pickled`: an archive with
`data.pkl` and one part for each storage, or, before torch 1.6, five pickles with the storages behind them.
"""

import struct
import sys
import zipfile
from collections.abc import Callable
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from adacross.errors import UserError, one_line
from adacross.io.files import READER_ERRORS, file_size, read_bytes
from adacross.io.pickled import Machine, Name, RefusedError, exactly

MOST_STEPS = 5_000_000  # of the machine; a tensor takes about 25
_SHARED = 2**26  # bytes that views of the same numbers may have, however small the file
_DTYPES = {  # by the name of their storage
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Byte": torch.uint8, "Char": torch.int8, "Short": torch.int16, "Int": torch.int32, "Long": torch.int64,
    "Bool": torch.bool,
}  # fmt: skip
_BESIDE = (  # what makes the values that training programs keep beside the weights
    *(f"{module}.{kind}" for module in ("builtins", "__builtin__")
      for kind in ("set", "bytearray", "complex")),
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    "numpy.dtype", "_codecs.encode", "collections.Counter", "torch.device",
)  # fmt: skip
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what a file of the old form begins with
LARGEST_HEADER = 2**20  # bytes of a safetensors file's header: about 10,000 tensors


class _Storage(NamedTuple):
    """The numbers that tensors are views of."""

    numbers: Tensor

    @property
    def memory(self) -> memoryview:
        """Their bytes."""
        return self.numbers.view(torch.uint8).numpy().data


def load_plain(path: Path) -> Any:
    """Read the tensors and plain values of a file onto the CPU; code in it is refused, not run.

    Sets, bytes, devices and numpy's numbers, which nothing here needs, become None. Tensors may be views of
    the same numbers: together they have at most twice the file's bytes, or 64 MiB.

    Raises:
        OSError: no such file, or none that can be read.
        ValueError: damaged, packed, or anything but tensors and plain values; says why.
    """
    size = file_size(path)
    try:
        with Path(path).open("rb") as file:
            value = _from_archive(file, size) if zipfile.is_zipfile(file) else _from_pickles(file, size)
        _check_tensors(value, size)
        return value
    except RefusedError as refused:
        raise ValueError(f"it asks for {refused}, which is not a plain value") from None
    except OSError:
        raise
    except (*READER_ERRORS, zipfile.BadZipFile) as error:
        raise ValueError(one_line(error)) from error


class _TensorMachine(Machine):
    """Knows the names that torch writes for tensors, of a file of `size` bytes.

    `fill` reads the storage of a key into memory; None: the caller fills `storages` afterwards.
    """

    known: ClassVar = {
        "collections.OrderedDict": "dict",
        "torch.Size": "size",
        "torch._utils._rebuild_tensor": "tensor",
        "torch._utils._rebuild_tensor_v2": "tensor",
        "torch._utils._rebuild_parameter": "parameter",
        "torch._utils._rebuild_meta_tensor_no_storage": "nowhere",
        **{f"torch.{kind}Storage": kind for kind in _DTYPES},
        **{f"torch.cuda.{kind}Storage": kind for kind in _DTYPES},
        **dict.fromkeys(_BESIDE, "beside"),
        **{f"torch.{dtype}".replace("torch.torch", "torch"): "dtype" for dtype in _DTYPES.values()},
    }
    literals: ClassVar = Machine.literals | {"BINFLOAT"}

    def __init__(self, size: int, fill: Callable[[str, memoryview], None] | None) -> None:
        super().__init__(MOST_STEPS)
        self.size, self.fill = size, fill
        self.storages: dict[str, _Storage] = {}
        self.taken = 0  # bytes of them

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        match function, arguments:
            case Name("dict"), ():
                return {}
            case Name("size"), (tuple(sides),):
                return sides
            case Name("tensor"), (_Storage(numbers), int(offset), tuple(sides), tuple(strides), *_):
                return numbers.as_strided(sides, strides, offset)
            case Name("parameter"), (Tensor() as tensor, *_):
                return tensor
            case Name("beside"), _:
                return None
            case Name("nowhere"), _:
                return torch.empty(1, device="meta")
        raise TypeError("a call of another form than torch's")

    def build(self, made: Any, state: Any) -> None:
        # A state dict's attributes are the versions of modules; a number's are its byte order.
        if made is not None:
            exactly(dict, made)

    def persistent(self, reference: Any) -> Any:
        """Return a storage: ("storage", type, key, location, count), in the old form a None, too."""
        match reference:
            case ("storage", Name(kind), str(key), _, int(count), *more) if kind in _DTYPES and more in (
                [],
                [None],
            ):
                dtype = _DTYPES[kind]
                if key not in self.storages:
                    self.taken += count * dtype.itemsize
                    if count < 0 or self.taken > self.size:
                        raise ValueError(f"its storages are larger than its {self.size:,} bytes")
                    self.storages[key] = _Storage(torch.empty(count, dtype=dtype))
                    if self.fill is not None:
                        self.fill(key, self.storages[key].memory)
                numbers = self.storages[key].numbers
                if (len(numbers), numbers.dtype) != (count, dtype):
                    raise ValueError(f"its storage {key[:20]} is of two sizes")
                return self.storages[key]
        raise RefusedError("a storage of another form than torch's")


def _from_archive(file: BufferedReader, size: int) -> Any:
    """Read an archive; the checksum of every part that is read is compared."""
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
        parts = {part.filename: part for part in listed}
        if any(part.compress_type for part in listed) or sum(part.file_size for part in listed) > size:
            raise ValueError(f"an archive that unpacks to more than its {size:,} bytes")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"its part {damaged} is damaged")
        roots = [name.removesuffix("data.pkl") for name in parts if name.endswith("/data.pkl")]
        if len(roots) != 1 or len(parts) < len(listed):
            raise ValueError("an archive of another form than torch's")
        (root,) = roots
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in parts else sys.byteorder.encode()
        if order != sys.byteorder.encode():
            raise ValueError("it was written on a machine of another byte order")

        def fill(key: str, memory: memoryview) -> None:
            name = f"{root}data/{key}"
            if (size := parts[name].file_size) != len(memory):
                raise ValueError(f"its storage {key[:20]} has {size:,} of {len(memory):,} bytes")
            memory[:] = archive.read(name)

        return _TensorMachine(size, fill).run(BytesIO(archive.read(f"{root}data.pkl")))


def _from_pickles(file: BufferedReader, size: int) -> Any:
    """Read the old form: magic number, protocol, the machine that wrote it, value, keys, storages."""
    file.seek(0)
    machine = _TensorMachine(size, None)
    if machine.run(file) != _MAGIC or machine.run(file) != _PROTOCOL:
        raise ValueError("it is not a file that torch.save wrote")
    if not exactly(dict, machine.run(file)).get("little_endian"):
        raise ValueError("it was written on a machine of another byte order")
    value = machine.run(file)
    keys = exactly(list, machine.run(file))
    if sorted(keys) != sorted(machine.storages):
        raise ValueError("its storages are not those that its tensors name")
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        memory = machine.storages[key].memory
        if count != len(machine.storages[key].numbers) or file.readinto(memory) < len(memory):
            raise ValueError(f"its storage {key[:20]} is cut off, or of two sizes")
    return value


def _check_tensors(value: Any, size: int) -> None:
    """Refuse tensors that repeat one number, or one storage, until they are larger than the file."""
    seen: set[int] = set()
    waiting = [("it", value)]
    taken = 0
    while waiting:
        name, found = waiting.pop()
        if isinstance(found, Tensor):
            if found.is_meta or found.nbytes > max(found.untyped_storage().nbytes(), _SHARED):
                raise ValueError(f"is truncated in {name}")
            taken += found.nbytes
            if taken > max(2 * size, _SHARED):
                raise ValueError(f"has tensors of more than twice its {size:,} bytes")
        elif isinstance(found, dict | list | tuple) and id(found) not in seen:
            seen.add(id(found))
            items = found.items() if isinstance(found, dict) else enumerate(found)
            waiting += [(str(key)[:100], item) for key, item in items]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name."""
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
    """Refuse (ValueError) a safetensors file that lists more tensors than any network here has.

    Each takes about 60 bytes in the file's header, and far more time and memory once it is an object.
    """
    file_size(path)  # refuses pipes and devices
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes; expected at most {LARGEST_HEADER:,}")

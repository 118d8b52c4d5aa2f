"""Files that stand for much more than they hold: each function writes one of size `n`.

A reader without bounds takes some hundred MiB or some seconds for `n` = 1, and `n` times as much for others.
"""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from crafted_meshes import png
from PIL import Image
from seed_files import glb_of

FACES = 5_000


def _mesh() -> tuple[dict[str, Any], bytes]:
    """Return the description of a GLB file of one mesh of `FACES` faces, and its numbers."""
    points = np.random.default_rng(0).normal(size=(FACES, 3)).astype("<f4")
    corners = np.random.default_rng(1).integers(0, FACES, size=3 * FACES).astype("<u4")
    binary = points.tobytes() + corners.tobytes()
    views = [
        {"buffer": 0, "byteOffset": 0, "byteLength": points.nbytes},
        {"buffer": 0, "byteOffset": points.nbytes, "byteLength": corners.nbytes},
    ]
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": FACES, "type": "VEC3"},
        {"bufferView": 1, "componentType": 5125, "count": 3 * FACES, "type": "SCALAR"},
    ]
    description = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    return description, binary


def _glb(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    description, binary = _mesh()
    change(description)
    path = folder / "a.glb"
    path.write_bytes(glb_of(description, binary))
    return path


def nodes_that_share_a_mesh(folder: Path, n: int) -> Path:
    count = 100 * n
    return _glb(
        folder, lambda d: d.update(nodes=[{"mesh": 0}] * count, scenes=[{"nodes": list(range(count))}])
    )


def nodes_in_each_other(folder: Path, n: int) -> Path:
    count = 100 * n
    nodes = [{"mesh": 0, "children": [i + 1]} for i in range(count - 1)] + [{"mesh": 0}]
    return _glb(folder, lambda d: d.update(nodes=nodes))


def primitives_that_share_their_numbers(folder: Path, n: int) -> Path:
    primitive = {"attributes": {"POSITION": 0}, "indices": 1}
    return _glb(folder, lambda d: d["meshes"][0].update(primitives=[primitive] * (100 * n)))


def points_that_share_their_bytes(folder: Path, n: int) -> Path:
    """Every byte begins a new point."""

    def change(description: dict[str, Any]) -> None:
        description["bufferViews"][0]["byteStride"] = 1
        description["accessors"][0]["count"] = 12 * FACES * n

    return _glb(folder, change)


def black_png(folder: Path, n: int) -> Path:
    side = 4096 * n
    path = folder / "a.png"
    path.write_bytes(png(side, side, bytes((side // 8 + 1) * side)))
    return path


def scans(count: int, side: int = 1024) -> bytes:
    """Return a progressive JPEG whose last scan comes `count` times."""
    sink = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(sink, "JPEG", progressive=True)
    whole = sink.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * count + whole[-2:]


def jpeg_of_many_scans(folder: Path, n: int) -> Path:
    path = folder / "a.jpg"
    path.write_bytes(scans(5_000 * n))
    return path


def _hdf5(folder: Path, fill: Callable[[Any], None]) -> Path:
    import h5py

    path = folder / "ply_data_train0.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def labels_never_written(folder: Path, n: int) -> Path:
    def fill(file: Any) -> None:
        rows = 10**7 * n
        file.create_dataset("data", shape=(rows, 1, 3), dtype="u1", chunks=(1000, 1, 3), compression="gzip")
        file.create_dataset("label", shape=(rows,), dtype="u1", chunks=(1000,))
        file.create_dataset("more", data=np.random.default_rng(0).integers(0, 255, 30_000 * n))

    return _hdf5(folder, fill)


def clouds_of_packed_zeros(folder: Path, n: int) -> Path:
    def fill(file: Any) -> None:
        shape = (8 * n, 10**6, 3)
        data = file.create_dataset(
            "data", shape=shape, dtype="f8", chunks=(1, *shape[1:]), compression="gzip"
        )
        zeros = np.zeros(shape[1:])
        for row in range(0, shape[0], 8):  # the rest is never written
            data[row] = zeros
        file["label"] = np.zeros(shape[0], np.uint8)

    return _hdf5(folder, fill)


def one_chunk_of_zeros(folder: Path, n: int) -> Path:
    def fill(file: Any) -> None:
        shape = (n, 9 * 10**6, 3)
        file.create_dataset("data", shape=shape, dtype="f4", chunks=shape, compression="gzip")
        file["label"] = np.zeros(shape[0], np.uint8)

    return _hdf5(folder, fill)


def npy_of_holes(folder: Path, n: int) -> Path:
    path = folder / "a.npy"
    head = json.dumps({"descr": "<f8", "fortran_order": False, "shape": [2**26 * n, 3]})
    head = head.replace("false", "False").replace("[", "(").replace("]", ")").ljust(117) + "\n"
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        file.truncate(10 + len(head) + 24 * 2**26 * n)
    return path


def npz_of_zeros(folder: Path, n: int) -> Path:
    path = folder / "a.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("points.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(16 * n):
            member.write(bytes(2**24))
    return path


def pcd_of_repeats(folder: Path, n: int) -> Path:
    """Three bytes say that the one before them comes 264 times more."""
    path, points = folder / "a.pcd", 264 * 10**5 * n // 12
    packed = b"\0\0" + b"\xe0\xff\0" * (10**5 * n)
    header = (
        "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {points}\nHEIGHT 1\nPOINTS {points}\nDATA binary_compressed\n"
    )
    path.write_bytes(header.encode() + struct.pack("<II", len(packed), 12 * points) + packed)
    return path


def text_of_holes(folder: Path, n: int) -> Path:
    path = folder / "a.off"
    with path.open("wb") as file:
        file.write(b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
        file.truncate(400 * 2**20 * n)
    return path


def faces_of_many_corners(folder: Path, n: int) -> Path:
    path = folder / "a.off"
    with path.open("w") as file:
        file.write(f"OFF\n4 1 0\n0 0 0\n1 0 0\n0 1 0\n1 1 1\n{4 * 10**6 * n} ")
        for _ in range(100 * n):
            file.write("0 1 2 3 " * 10**4)
    return path


SHAPES = (
    nodes_that_share_a_mesh,
    nodes_in_each_other,
    primitives_that_share_their_numbers,
    points_that_share_their_bytes,
    npy_of_holes,
    npz_of_zeros,
    pcd_of_repeats,
    text_of_holes,
    faces_of_many_corners,
)
SETS = (labels_never_written, clouds_of_packed_zeros, one_chunk_of_zeros)
PICTURES = (black_png, jpeg_of_many_scans)

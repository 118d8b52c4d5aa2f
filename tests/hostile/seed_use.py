"""Tiny whole examples of what is given to a trained encoder, and of what it writes."""

import io
import struct
from pathlib import Path

import numpy as np
from seed_files import clouds, rows, write


def npy(root: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, clouds(1)[0])
    write(root, "cloud.npy", stream.getvalue())


def xyz(root: Path) -> None:
    write(root, "cloud.xyz", rows(clouds(1, 6)[0]))


def npz(root: Path) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, points=clouds(1)[0])
    write(root, "cloud.npz", stream.getvalue())


def csv(root: Path) -> None:
    write(root, "cloud.csv", "index;x;y;z;label\n" + rows(np.arange(40)[:, None] + clouds(1, 5)[0], ";"))


def _pcd_head(storage: str) -> str:
    fields = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1"
    return f"VERSION 0.7\n{fields}\nWIDTH 40\nHEIGHT 1\nPOINTS 40\nDATA {storage}\n"


def pcd_text(root: Path) -> None:
    write(root, "cloud.pcd", _pcd_head("ascii") + rows(clouds(1)[0]))


def pcd_binary(root: Path) -> None:
    write(root, "cloud.pcd", _pcd_head("binary").encode() + clouds(1)[0].tobytes())


def pcd_packed(root: Path) -> None:
    columns = clouds(1)[0].T.tobytes()
    pieces = [columns[start : start + 32] for start in range(0, len(columns), 32)]
    packed = b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)  # LZF that repeats nothing
    sizes = struct.pack("<II", len(packed), len(columns))
    write(root, "cloud.pcd", _pcd_head("binary_compressed").encode() + sizes + packed)


def las(root: Path, ending: str = "las") -> None:
    import laspy

    cloud = laspy.LasData(laspy.LasHeader(point_format=3, version="1.2"))
    cloud.x, cloud.y, cloud.z = clouds(1)[0].T
    cloud.write(root / f"cloud.{ending}")


def laz(root: Path) -> None:
    las(root, "laz")


def embeddings(root: Path) -> None:
    from adacross.embeddings.table import Embeddings

    features = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    ids = [f"a/{number}" for number in range(6)]
    Embeddings(ids, ["a", None] * 3, ["train", "test"] * 3, features, {"points": 64}).write(
        root / "parts.parquet"
    )


def labels(root: Path) -> None:
    write(root, "labels.csv", "id,class\na,box\nb,ball\nc,\n")


def npys() -> dict[str, bytes]:
    """Headers that promise too much, and an array of objects."""
    head = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"

    def file(kind: str, shape: tuple[int, ...], content: bytes = b"\0" * 96) -> bytes:
        text = head.format(kind, shape).ljust(117).encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content

    return {
        "a billion points": file("<f4", (10**9, 3)),
        "more points than numbers have": file("<f8", (2**62, 3)),
        "fewer than none": file("<f4", (-3, 3)),
        "objects": file("|O", (8, 3)),
        "text": file("<U4", (2, 3)),
        "ten axes": file("<f4", (1,) * 10),
        "a header that is a program": b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').abort()".ljust(32),
    }

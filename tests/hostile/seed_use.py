"""Tiny whole examples of what is given to a trained encoder, and of what it writes."""

import io
from pathlib import Path

import numpy as np
from seed_files import clouds, rows, write


def npy(root: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, clouds(1)[0])
    write(root, "cloud.npy", stream.getvalue())


def xyz(root: Path) -> None:
    write(root, "cloud.xyz", rows(clouds(1, 6)[0]))


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

"""Files of data sets that somebody made to do harm: HDF5, pickles, lists of names, points as text."""

import json
import pickle  # noqa: TID251  to make what must not be run
import struct
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import seed_files
from crafted_runs import Creates, zipped
from seed_files import POINTS


def hdf5(fill: Callable[[Any], None]) -> bytes:
    """What h5py writes."""
    import h5py

    with TemporaryDirectory() as folder:
        path = Path(folder) / "made.h5"
        with h5py.File(path, "w") as file:
            fill(file)
        return path.read_bytes()


def hdf5_files() -> dict[str, bytes]:
    """`data` and `label` that are not what they should be."""
    import h5py

    good, labels = seed_files.clouds(2), np.zeros(2, dtype=np.uint8)
    flat = {"dtype": "f4", "chunks": (1, POINTS, 3), "compression": "gzip"}

    def both(data: Any, label: Any = labels) -> Callable[[Any], None]:
        return lambda file: (file.create_dataset("data", data=data), file.create_dataset("label", data=label))

    def declared(shape: tuple[int, ...], label: tuple[int, ...], **options: Any) -> Callable[[Any], None]:
        return lambda file: (
            file.create_dataset("data", shape=shape, **options),
            file.create_dataset("label", shape=label, dtype="u1", chunks=(2,)),
        )

    def linked(link: Any) -> Callable[[Any], None]:
        return lambda file: (file.__setitem__("data", link), file.create_dataset("label", data=labels))

    def outside(file: Any) -> None:
        file.create_dataset(
            "data", shape=(2, POINTS, 3), dtype="u1", external=[("outside/secret.txt", 0, 10**6)]
        )
        file.create_dataset("label", data=labels)

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout(shape=(2, POINTS, 3), dtype="f4")
        layout[:] = h5py.VirtualSource("../outside/secret.h5", "data", shape=(2, POINTS, 3))
        file.create_virtual_dataset("data", layout)
        file.create_dataset("label", data=labels)

    def circle(file: Any) -> None:
        file["data"] = file.create_group("inside")
        file["inside/inside"] = file["inside"]
        file.create_dataset("label", data=labels)

    return {
        "a billion shapes, never written": hdf5(declared((10**9, POINTS, 3), (10**9,), **flat)),
        "a billion points, never written": hdf5(declared((2, 10**9, 3), (2,), **flat)),
        "a billion labels": hdf5(
            lambda f: (
                f.create_dataset("data", data=good),
                f.create_dataset("label", shape=(10**9,), dtype="u1", chunks=(1000,)),
            )
        ),
        "160 MB of zeros, packed": hdf5(
            lambda f: (
                f.create_dataset(
                    "data", shape=(2, 999_999, 3), dtype="f4", chunks=(1, 999_999, 3), compression="gzip"
                ),
                f["data"].write_direct(np.zeros((2, 999_999, 3), dtype="f4")),
                f.create_dataset("label", data=labels),
            )
        ),
        "no shapes": hdf5(both(good[:0], labels[:0])),
        "shapes of no points": hdf5(both(good[:, :0])),
        "one point a shape": hdf5(both(good[:, :1])),
        "all points alike": hdf5(both(good * 0 + 1)),
        "NaN": hdf5(both(good * np.nan)),
        "infinite": hdf5(both(np.full_like(good, np.inf))),
        "beyond float32": hdf5(both(good.astype("f8") * 1e300)),
        "two coordinates": hdf5(both(good[..., :2])),
        "a number": hdf5(both(np.float32(1), np.uint8(1))),
        "text": hdf5(both(np.array([b"x"]))),
        "text of any length": hdf5(both(["x", "y"])),
        "complex numbers": hdf5(both(good.astype("c8"))),
        "records": hdf5(both(np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))),
        "whole numbers": hdf5(both((good * 100).astype("i8"))),
        "half precision": hdf5(both(good.astype("f2"))),
        "labels that are NaN": hdf5(both(good, np.full(2, np.nan))),
        "labels beyond int64": hdf5(both(good, np.full(2, 2**64 - 1, dtype="u8"))),
        "labels below 0": hdf5(both(good, np.full(2, -5))),
        "too few labels": hdf5(both(good, labels[:1])),
        "a folder where data belong": hdf5(lambda file: file.create_group("data")),
        "a folder within itself": hdf5(circle),
        "a link to another file": hdf5(linked(h5py.ExternalLink("../outside/secret.h5", "data"))),
        "a link to a device": hdf5(linked(h5py.ExternalLink("/dev/zero", "data"))),
        "a link to itself": hdf5(linked(h5py.SoftLink("/data"))),
        "data in another file": hdf5(outside),
        "data put together from another file": hdf5(virtual),
    }


def pickles() -> dict[str, bytes]:
    """Programs, bombs and riddles for a reader of pickles."""

    def ring() -> Any:
        table: dict[str, Any] = {"labels": [0, 1]}
        table["data"] = table
        return table

    doubled: list[Any] = [0]
    for _ in range(40):
        doubled = [doubled, doubled]
    name = b"numpy.core.multiarray\n_reconstruct\n"
    return {
        **{f"a program, protocol {p}": pickle.dumps({"data": Creates(), "labels": [0]}, p) for p in range(6)},
        "a program, nothing else": b"cposix\nsystem\n(S'touch ../executed'\ntR.",
        "a program in an old way": b"(S'touch ../executed'\niposix\nsystem\n.",
        "a program by an alias": b"\x80\x02cnumpy.f2py.crackfortran\nmyeval\nX\x01\x00\x00\x001\x85R.",
        "an import alone": b"\x80\x02cantigravity\nfly\n.",
        "a hidden program": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x11touch ../executed\x85R.",
        "numpy's loader of pickles": b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R.",
        "a table within itself": pickle.dumps(ring(), 4),
        "a trillion items in 40 lists": pickle.dumps({"data": doubled, "labels": doubled}, 4),
        "10,000 lists in each other": b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".",
        "10,000 tuples in each other": b"\x80\x02)" + b"\x85" * 10_000 + b".",
        "8 exabytes of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**63 - 1) + b"x.",
        "4 GB of text": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"x.",
        "2 GB of digits": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
        "fewer than no digits": b"\x80\x02\x8b" + struct.pack("<i", -5) + b"1.",
        "5,000 digits": b"I" + b"9" * 5000 + b"\n.",
        "a frame of 8 exabytes": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"}.",
        "an array of a billion rows": b"\x80\x02c"
        + name
        + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J\x00\xca\x9a;"
        b"\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x01xtb.",
        "an array of objects": pickle.dumps({"data": np.array([{}, []], dtype=object), "labels": [0, 1]}, 4),
        "numbers in place of pictures": pickle.dumps({"data": np.zeros((2, 8, 8, 3)), "labels": [0, 1]}, 4),
        "pictures of no pixels": pickle.dumps({"data": np.zeros((2, 0, 0, 3), "u1"), "labels": [0, 1]}, 4),
        "labels that are true": pickle.dumps(
            {"data": np.zeros((2, 8, 8, 3), "u1"), "labels": [True, False]}, 4
        ),
        "an unknown object of somebody's": b"\x80\x02Pperson\n.",
        "a stack that is empty": b"\x80\x02.",
        "a mark that was never set": b"\x80\x02t.",
        "memory that was never filled": b"\x80\x02h\x07.",
        "an archive": zipped({"data.pkl": b"."}),
    }


LISTS: dict[str, dict[str, bytes]] = {
    "ModelNet40, its files": {
        "out of the folder": b"../../outside/secret.h5\n",
        "of the system": b"/etc/passwd\n",
        "the folder above": b"..\n",
        "a long name": b"x" * 10_000 + b"\n",
        "no name": b"a\0b.h5\n",
        "100,000 names": b"ply_data_train0.h5\n" * 100_000,
    },
    "ModelNet40, its names": {"100,000 names": b"x\n" * 100_000, "names of no encoding": b"\xff\xfe\n\x80\n"},
    "ModelNet40, text": {
        "one point": b"0,0,0,1,0,0\n",
        "all alike": b"1,1,1,0,0,1\n" * POINTS,
        "a million numbers": b"1," * 10**6,
        "NaN": b"nan,nan,nan,nan,nan,nan\n" * POINTS,
        "beyond float32": b"1e300,1e300,0,1,0,0\n" * POINTS,
        "normals that are NaN": b"".join(b"%d,1,0,nan,0,0\n" % i for i in range(POINTS)),
        "comments": b"# nothing\n" * 50,
        "hexadecimal": b"0x10,0,0,0,0,0\n" * POINTS,
    },
    "ModelNet40, text, its list": {
        "out of the folder": b"../outside/secret_0001\n",
        "the folder above": b".._0001\n.\n..\n",
        "no name": b"airplane_\0001\n",
        "30,000 names": b"airplane_0001\n" * 30_000,
    },
    "ShapeNetPart, text": {
        "one point": b"0 0 0 1 0 0 0\n",
        "all alike": b"1 1 1 0 0 1 0\n" * POINTS,
        "parts beyond int64": b"1 2 3 0 0 1 1e30\n" * POINTS,
        "parts below 0": b"1 2 3 0 0 1 -1\n" * POINTS,
        "parts of another": b"1 2 3 0 0 1 49\n" * POINTS,
        "parts that are NaN": b"1 2 3 0 0 1 nan\n" * POINTS,
    },
    "ShapeNetPart, its list": {
        "out of the folder": json.dumps(["shape_data/../../outside/secret"] * 3).encode(),
        "the folder above": json.dumps(["../secret", "..", "/", "", "a/../../secret"]).encode(),
        "no name": json.dumps(["shape_data/02691156/a\0b", "shape_data/02691156/" + "x" * 9000]).encode(),
        "half a letter": b'["shape_data/02691156/\\ud800"]',
        "50,000 times the same": json.dumps(["shape_data/02691156/a"] * 50_000).encode(),
        "numbers": b"[1, 2.5, null, true, NaN]",
        "nested 50,000 deep": b"[" * 50_000 + b"]" * 50_000,
        "a number": b"9" * 5000,
    },
    "ShapeNetPart, its folders": {
        "out of the folder": b"Airplane\t../../outside\nMug\t..\n",
        "the same folder twice": b"Airplane\t02691156\nMug\t02691156\n",
    },
    "S3DIS, its rooms": {"another's room": b"../../outside\n" * 4, "a line too many": b"Area_1_x_1\n" * 5},
}

"""Files made to do harm, for the readers of what adacross writes itself, and of released weights."""

import io
import json
import pickle  # noqa: TID251  to make what must not be run
import struct
import zipfile
from collections.abc import Callable
from typing import Any


class Creates:
    """Pickled, it is a call that writes a file into the folder above."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('../executed', 'w').close()",)


def zipped(parts: dict[str, bytes], packed: bool = False) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return sink.getvalue()


LAUGHS = b"a: &a [x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (c, c, *[c - 1] * 8)
    for c in range(ord("b"), ord("k"))
)
JSONS = {
    "nested 100,000 deep": b"[" * 100_000,
    "objects nested 100,000 deep": b'{"a":' * 100_000,
    "a number of 5,000 digits": b'{"version": ' + b"9" * 5000 + b"}",
    "a number beyond float64": b'{"version": 1e999, "step": 1e999}',
    "no number": b'{"version": NaN, "step": -Infinity}',
    "a text": b'"x"',
    "nothing": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "half a letter": b'{"encoder": "\\ud800", "method": "\\ud800"}',
    "UTF-16": '{"version": 1}'.encode("utf-16"),
    "a mark before it": b'\xef\xbb\xbf{"version": 1}',
    "the same name twice": b'{"version": 1, "version": 2}',
}
YAMLS = {
    "a program": b"!!python/object/apply:os.system ['touch ../executed']\n",
    "a program among the options": b"method_args: {a: !!python/object/apply:os.system ['touch ../executed']}",
    "a function": b"method: !!python/name:os.system\n",
    "a module": b"method: !!python/module:antigravity\n",
    "an object": b"method: !!python/object/new:subprocess.Popen [[touch, ../executed]]\n",
    "a trillion values in ten lines": b"method_args:\n"
    + b"".join(b"  " + x + b"\n" for x in LAUGHS.splitlines()),
    "a list within itself": b"method_args: &a [*a]\n",
    "nested 50,000 deep": b"method_args: " + b"[" * 50_000,
    "blocks nested 300 deep": b"".join(b" " * i + b"a:\n" for i in range(300)),
    "a number of 5,000 digits": b"epochs: " + b"9" * 5000 + b"\n",
    "a billion epochs of NaN": b"epochs: 1000000000\nlearning_rate: .nan\n",
    "an infinite rate": b"learning_rate: .inf\n",
    "a date that is none": b"epochs: 2020-99-99\n",
    "an integer that is none": b"epochs: !!int abc\n",
    "a date of no form": b"epochs: !!timestamp x\n",
    "a truth that is none": b"overwrite: !!bool x\n",
    "bytes that are none": b"method: !!binary '*'\n",
    "a merge with nothing": b"<<: 3\n",
    "a list as a name": b"? [a]\n: b\n",
    "two documents": b"epochs: 1\n---\nepochs: 2\n",
    "half a megabyte": b"# " + b"x" * 500_000 + b"\n",
    "10,000 options": b"".join(b"option%d: 1\n" % i for i in range(10_000)),
    "a huge encoder": b"encoder_args: {k: 1000000000, width: 1000000000}\n",
    "tabs": b"\tmethod: crossnet\n",
    "a name that is markup": b"method: '<script>alert(1)</script>'\n",
}


def safetensors(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(shape: list[int], start: int = 0, end: int = 0, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


SAFETENSORS = {
    "a header of 8 exabytes": safetensors({}, length=2**63 - 1),
    "a header of 100 MB": safetensors({}, length=10**8),
    "a header of -1": safetensors({}, length=2**64 - 1),
    "no header": struct.pack("<Q", 0),
    "a billion numbers": safetensors({"a": tensor([10**9], 0, 4 * 10**9)}, b"1234"),
    "a billion numbers in no bytes": safetensors({"a": tensor([10**9])}),
    "sides whose product wraps": safetensors({"a": tensor([2**32, 2**32], 0, 0)}),
    "fewer than no numbers": safetensors({"a": tensor([-1], 0, 4)}, b"1234"),
    "tensors that overlap": safetensors({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, b"1234"),
    "an end before the start": safetensors({"a": tensor([1], 4, 0)}, b"12345678"),
    "an unknown kind": safetensors({"a": tensor([1], 0, 4, "OBJECT")}, b"1234"),
    "numbers of 8 bits": safetensors({"a": tensor([4], 0, 4, "F8_E4M3")}, b"1234"),
    "no tensors": safetensors({}),
    "nested 50,000 deep": safetensors(b'{"a":' * 50_000),
    "20,000 tensors": safetensors({f"t{i}": tensor([0]) for i in range(20_000)}),
    "a pickle": pickle.dumps(Creates()),
}


def encoders(kind: str, **options: Any) -> bytes:
    return json.dumps({"encoder": kind, "options": options}).encode()


ENCODERS = JSONS | {
    "a billion wide": encoders("pointnet", width=10**9),
    "wider than int64": encoders("pointnet", width=10**30),
    "as wide as text": encoders("pointnet", width="8"),
    "as wide as a list": encoders("pointnet", width=[8]),
    "an option of Python's own": encoders("pointnet", self=1),
    "no such option": encoders("pointnet", __class__=1),
    "another kind": encoders("dgcnn", k=10**9),
    "a name that is a path": encoders("../../outside/secret"),
    "options that are none": b'{"encoder": "pointnet", "options": [1]}',
}
_M2AE: dict[str, Any] = {
    "groups": [24, 12, 6],
    "neighbors": [8, 4, 4],
    "dims": [16, 32, 48],
    "width": 8,
    "heads": 4,
}
ENCODERS_M2AE = {
    "a billion blocks": encoders("point-m2ae", **_M2AE, depths=[0, 0, 10**9]),
    "a billion groups": encoders("point-m2ae", **_M2AE | {"groups": [10**9] * 3}, depths=[0, 0, 1]),
    "a billion wide": encoders("point-m2ae", **_M2AE | {"dims": [10**9] * 3}, depths=[0, 0, 1]),
    "no heads": encoders("point-m2ae", **_M2AE | {"heads": 0}, depths=[0, 0, 1]),
    "a drop of NaN": b'{"encoder": "point-m2ae", "options": {"drop_path": NaN}}',
}


def saved(state: Any, **options: Any) -> bytes:
    import torch

    sink = io.BytesIO()
    torch.save(state, sink, **options)
    return sink.getvalue()


def torch_files() -> dict[str, bytes]:
    """Programs, bombs and riddles for a reader of released weights."""
    import torch

    whole = saved({"conv1.weight": torch.zeros(64, 3, 1)})
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    root = next(name for name in parts if name.endswith("data.pkl")).removesuffix("data.pkl")
    program = pickle.dumps({"conv1.weight": Creates()}, 2)
    return {
        "a program": saved({"conv1.weight": Creates()}),
        "a program, old form": saved({"conv1.weight": Creates()}, _use_new_zipfile_serialization=False),
        "a program put in place": zipped(parts | {f"{root}data.pkl": program}),
        "a program alone": program,
        "a module of somebody's": b"\x80\x02ctorch.hub\nload\nX\x01\x00\x00\x00x\x85R.",
        "5 MB of zeros, packed": zipped(parts | {f"{root}data/0": bytes(5 * 10**6)}, packed=True),
        "names out of the archive": zipped(parts | {"../../executed": b"x", "/tmp/executed": b"x"}),
        "links in the archive": zipped(parts | {f"{root}data/0": b"/etc/passwd"}),
        "no tensors in the archive": zipped({f"{root}data.pkl": parts[f"{root}data.pkl"]}),
        "an archive of nothing": zipped({}),
        "a billion numbers from one": saved({"conv1.weight": torch.zeros(1).expand(10**9)}),
        "a billion by none": saved(
            {"conv1.weight": torch.zeros(64, 3, 1), "conv5.weight": torch.zeros(10**9, 0, 1)}
        ),
        "a billion wide, of one number": saved(
            {"conv1.weight": torch.zeros(64, 3, 1), "conv5.weight": torch.zeros(1).expand(10**9, 128, 1)}
        ),
        "no numbers": saved({}),
        "a tensor": saved(torch.zeros(3)),
        "a sparse tensor": saved({"conv1.weight": torch.zeros(64, 3, 1).to_sparse()}),
        "a tensor of nowhere": saved({"conv1.weight": torch.zeros(64, 3, 1, device="meta")}),
        "complex numbers": saved({"conv1.weight": torch.zeros(64, 3, 1, dtype=torch.complex64)}),
        "numbers as names": saved({1: torch.zeros(1), (2,): torch.zeros(1)}),
        "a base model that is empty": saved({"base_model": {}}),
        "lists in each other": saved({"base_model": [[[[1]]]]}),
        "an old file of Torch": struct.pack("<3i3si17s", 4, 1, 3, b"V 1", 17, b"torch.FloatTensor"),
        "an archive of another kind": b"PK\x05\x06" + b"\xff" * 18,
    }


def arrows() -> dict[str, bytes]:
    """Arrow streams that promise what they do not hold."""
    import pyarrow as pa

    from adacross.data.collection.schema import arrow_schema

    def written(table: pa.Table, **options: Any) -> bytes:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table)
        return sink.getvalue()

    schema = arrow_schema(40, parts=False)
    row: dict[str, Any] = {
        "id": "a/train",
        "split": "train",
        "label": 0,
        "points": [[0.0, 0.0, 1.0]] * 40,
        "center": [0.0] * 3,
        "scale": 1.0,
        "views": [{"bytes": b"x", "path": None}] * 2,
    }
    rows = {
        "nothing": [],
        "no pictures": [row | {"views": []}] * 2,
        "pictures that are nothing": [row | {"views": [{"bytes": None, "path": None}] * 2}] * 2,
        "no points": [row | {"points": None}] * 2,
        "no name": [row | {"id": None}] * 2,
        "NaN": [row | {"points": [[float("nan")] * 3] * 40}] * 2,
        "a label of no class": [row | {"label": 7}] * 2,
        "a label below none": [row | {"label": -2}] * 2,
        "names that lead away": [row | {"id": "../../outside/a/train"}] * 2,
        "a billion rows": [row] * 2,
    }
    made = {name: written(pa.Table.from_pylist(values, schema)) for name, values in rows.items()}
    zeros = pa.Table.from_pylist([row] * 2_000, schema)
    return made | {
        "packed zeros": written(zeros, compression="zstd"),
        "another table": written(pa.table({"x": list(range(5))})),
        "tables in a table": written(pa.table({name: pa.array([{"a": [1]}]) for name in schema.names})),
        "a file of Parquet": b"PAR1" + bytes(100) + b"PAR1",
    }


def logs() -> dict[str, bytes]:
    return {
        f"first: {name}": content + b'\n{"kind": "step", "step": 1}\n' for name, content in JSONS.items()
    } | {
        "steps beyond int64": b'{"kind": "step", "step": 1e300, "loss": 1e308}\n' * 3,
        "a step of a list": b'{"kind": "step", "step": [1]}\n' * 3,
        "terms that are markup": b'{"kind": "step", "step": 1, "terms": {"<script>alert(1)</script>": 1}}\n'
        * 3,
        "500 terms": json.dumps(
            {"kind": "step", "step": 1, "terms": {f"t{i}": 1 for i in range(500)}}
        ).encode(),
    }


def markup(value: Any) -> Any:
    """The same result with a program for a browser in every text."""
    if isinstance(value, dict):
        return {key: markup(item) for key, item in value.items()}
    if isinstance(value, list):
        return [markup(item) for item in value]
    return "<script>alert(1)</script>" if isinstance(value, str) else value


def linear() -> dict[str, bytes]:
    from seed_runs import LINEAR

    def score(**change: object) -> bytes:
        return json.dumps(LINEAR | {"scores": [LINEAR["scores"][0] | change]}).encode()

    return JSONS | {
        "markup": json.dumps(markup(LINEAR)).encode(),
        "rows of unequal length": score(outcomes=[[1, 0], [1]], networks=[0, 1]),
        "predictions beyond all classes": score(predictions=[[2**40, -7, 0, 1]]),
        "predictions beyond int64": score(predictions=[[2**70, 0, 0, 1]]),
        "outcomes beyond all numbers": score(outcomes=[[1e308, 1e308, 1e999, 0]]),
        "no score": json.dumps(LINEAR | {"scores": []}).encode(),
        "truth of another size": json.dumps(LINEAR | {"truth": [1] * 9}).encode(),
    }


def retrieval() -> dict[str, bytes]:
    from seed_runs import RETRIEVAL

    def example(**change: object) -> bytes:
        details = {"examples": [RETRIEVAL["details"]["examples"][0] | change]}
        return json.dumps(RETRIEVAL | {"details": details}).encode()

    return JSONS | {
        "markup": json.dumps(markup(RETRIEVAL)).encode(),
        "shape -1": example(query=-1, results=[10**12]),
        "no list": example(results=3),
    }


CRAFTED: dict[str, dict[str, bytes] | Callable[[], dict[str, bytes]]] = {
    "collection.json": JSONS,
    "collection, Arrow": arrows,
    "unfinished collection, plan": JSONS,
    "unfinished collection, note": JSONS,
    "recipe": YAMLS,
    "recipe, as typed": YAMLS,
    "run, config.yaml": YAMLS,
    "run, environment.json": JSONS,
    "run, linear.json": linear,
    "run, retrieval.json": retrieval,
    "run, log.jsonl": logs,
    "encoder, config.json": ENCODERS,
    "encoder, PointM2AE's config.json": ENCODERS_M2AE,
    "encoder, safetensors": SAFETENSORS,
    "released weights, .pth": torch_files,
    "checkpoint": torch_files,
}

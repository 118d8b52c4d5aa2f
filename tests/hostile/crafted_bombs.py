"""Files of collections, encoders, runs and labels that stand for much more than they hold, of any size.

`BOMBS[name](folder, n)` writes one, and returns how a command reads it. At `n` = 1 a reader without bounds
takes some hundred MiB or some seconds, and `n` times that, or its square, for others.
`python crafted_bombs.py FOLDER` reads all of them at 1, 2 and 4, and prints
`{name: [[MiB, seconds, what was said], ...]}`.
"""

import io
import json
import logging
import pickle  # noqa: TID251  to make what must not be run
import resource
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "hostile")]

import numpy as np  # noqa: E402  the paths above first
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import seed_runs  # noqa: E402
import torch  # noqa: E402
from crafted_meshes import png  # noqa: E402
from crafted_runs import safetensors, saved, tensor, zipped  # noqa: E402
from seed_files import POINTS  # noqa: E402

Read = Callable[[], Any]
MEMORY = 3 * 2**30  # bytes that the process may take, so that a broken bound ends in an error


def _collection(folder: Path, change: Callable[[pa.Table], pa.Table], rows: int, **options: Any) -> Read:
    """Write a collection of `rows` empty shapes, changed."""
    from adacross.data.collection.collection import Collection

    seed_runs.collection(folder)
    path = folder / "data-00000-of-00001.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    table = table.take(pa.array(np.zeros(rows, np.int64))).combine_chunks()
    place = table.schema.get_field_index("points")
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * POINTS * 3, np.float32)), 3)
    points = pa.FixedSizeListArray.from_arrays(zeros, POINTS)
    table = change(table.set_column(place, table.schema.field(place), points))
    with pa.ipc.new_stream(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    about = json.loads((folder / "collection.json").read_text()) | {"count": rows}
    (folder / "collection.json").write_text(json.dumps(about))
    return lambda: Collection.open(folder)[0]


def _replaced(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values)


def buffers_of_zstandard(folder: Path, n: int) -> Read:
    return _collection(folder, lambda table: table, 100_000 * n, compression="zstd")


def buffers_of_lz4(folder: Path, n: int) -> Read:
    return _collection(folder, lambda table: table, 100_000 * n, compression="lz4")


def a_dictionary_beside(folder: Path, n: int) -> Read:
    beside = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4, np.int8)), pa.array(["x" * 10**6 * n]))
    return _collection(folder, lambda table: table.append_column("more", beside), 4)


def a_split_of_a_long_name(folder: Path, n: int) -> Read:
    rows = 500 * n
    splits = pa.array(["x" * 500_000 * n, *["train"] * (rows - 1)])
    return _collection(folder, _replaced("split", splits), rows)


def pictures_larger_than_promised(folder: Path, n: int) -> Read:
    side = 2048 * n
    picture = {"bytes": png(side, side, bytes((side // 8 + 1) * side)), "path": None}
    kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    return _collection(folder, _replaced("views", pa.array([[picture] * 2] * 2, kind)), 2)


def a_thousand_pictures_a_shape(folder: Path, n: int) -> Read:
    from adacross.data.collection.collection import Collection

    seed_runs.collection(folder)
    about = json.loads((folder / "collection.json").read_text()) | {"views": 1000 * n, "view_size": 8192}
    (folder / "collection.json").write_text(json.dumps(about))
    return lambda: Collection.open(folder)


def _embeddings(folder: Path, rows: int, width: int, kind: str = "a", **options: Any) -> Read:
    from adacross.embeddings.table import read_embeddings

    path = folder / "parts.parquet"
    kinds = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([kind]))
    columns = {
        "id": pa.array([f"a/{number}" for number in range(rows)]),
        "class": kinds,
        "split": pa.array([None] * rows, pa.string()),
        "features": pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * width, np.float32)), width),
    }
    pq.write_table(pa.table(columns).replace_schema_metadata({b"adacross": b"{}"}), path, **options)
    return lambda: read_embeddings(path)


def features_of_zeros(folder: Path, n: int) -> Read:
    return _embeddings(folder, 50_000 * n, 1024)


def features_of_zstandard(folder: Path, n: int) -> Read:
    return _embeddings(folder, 50_000 * n, 256, compression="zstd", use_dictionary=False)


def one_long_class_for_all(folder: Path, n: int) -> Read:
    read = _embeddings(folder, 20_000, 8, "x" * 100_000 * n)
    return lambda: _refuse(read())


def _torch_file(folder: Path, content: bytes) -> Read:
    from adacross.encoders import load_official

    path = folder / "best.pth"
    path.write_bytes(content)
    return lambda: load_official(path)


def _pickled(folder: Path, program: bytes) -> Read:
    whole = saved({"a": torch.zeros(1)})
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    root = next(name for name in parts if name.endswith("data.pkl"))
    return _torch_file(folder, zipped(parts | {root: program}))


def _called(function: str, count: int) -> bytes:
    return b"\x80\x02c" + function.encode() + pickle.dumps(count, 2)[2:-1] + b"\x85R."


def a_call_of_bytearray(folder: Path, n: int) -> Read:
    return _pickled(folder, _called("builtins\nbytearray\n", 400_000_000 * n))


def a_call_of_bytearray_in_the_old_form(folder: Path, n: int) -> Read:
    start = b"".join(
        pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    )
    return _torch_file(folder, start + _called("builtins\nbytearray\n", 400_000_000 * n))


def a_call_of_a_storage(folder: Path, n: int) -> Read:
    return _pickled(folder, _called("torch\nFloatStorage\n", 100_000_000 * n))


def a_call_of_a_tensor(folder: Path, n: int) -> Read:
    return _pickled(folder, _called("torch\nFloatTensor\n", 100_000_000 * n))


def a_dictionary_made_again_and_again(folder: Path, n: int) -> Read:
    pairs = pickle.dumps([[str(number), number] for number in range(1000 * n)], 2)[2:-1]
    again = b"j\xff\xff\xff\0j\xfe\xff\xff\0\x85R" * 2000 * n
    start = b"\x80\x02](ccollections\nOrderedDict\nr\xff\xff\xff\0" + pairs + b"r\xfe\xff\xff\0"
    return _pickled(folder, start + again + b"e.")


def one_storage_under_many_names(folder: Path, n: int) -> Read:
    from adacross.training.checkpoint import load_checkpoint

    numbers = torch.zeros(250_000 * n)
    path = folder / "step-00000001.pt"
    path.write_bytes(saved({f"layers.{number}": numbers.view(-1) for number in range(200 * n)}))
    return lambda: [tensor.clone() for tensor in load_checkpoint(path).values()]


def one_number_for_all_places(folder: Path, n: int) -> Read:
    wide = torch.zeros(1).expand(200_000 * n, 512, 1)
    return _torch_file(folder, saved({"conv1.0.weight": torch.zeros(64, 6, 1, 1), "conv5.0.weight": wide}))


def _encoder(folder: Path, config: dict[str, Any] | None = None, weights: bytes | None = None) -> Read:
    from adacross.encoders import load

    seed_runs.encoder(folder)
    path = folder / "encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | (config or {})))
    if weights is not None:
        (folder / "encoder" / "model.safetensors").write_bytes(weights)
    return lambda: load(folder / "encoder")


def a_million_tensors(folder: Path, n: int) -> Read:
    return _encoder(folder, weights=safetensors({f"t{i}": tensor([0]) for i in range(20_000 * n)}))


def a_billion_points(folder: Path, n: int) -> Read:
    return _encoder(folder, {"inputs": {"up": "y", "scale": "unit sphere", "points": 10**9 * n}})


def points_below_none(folder: Path, n: int) -> Read:
    return _encoder(folder, {"inputs": {"up": "y", "scale": "unit sphere", "points": 1 - n}})


def _run(folder: Path, *lines: str) -> Read:
    from adacross.training.networks import load_method

    seed_runs.run(folder)
    seed_runs.encoder(folder)
    shutil.copy(folder / "encoder" / "model.safetensors", folder / "method.safetensors")
    text = "\n".join(("collection: gone", "points: 64", *lines)) + "\n"
    (folder / "config.yaml").write_text(text)
    return lambda: load_method(folder)


def a_wide_image_tower(folder: Path, n: int) -> Read:
    return _run(
        folder, "method: crosspoint", "encoder: pointnet", "image_depth: 18", f"image_width: {240 * n}"
    )


def a_wide_point_encoder(folder: Path, n: int) -> Read:
    wide = f"encoder_args: {{width: {500_000 * n}}}"
    return _run(folder, "method: crosspoint", "encoder: pointnet", "image_width: 8", wide)


def large_depth_maps(folder: Path, n: int) -> Read:
    return _run(folder, "method: joint-mae", "encoder: point-m2ae", f"image_size: {16_000 * n}")


def broad_splats(folder: Path, n: int) -> Read:
    return _run(folder, "method: joint-mae", "encoder: point-m2ae", f"method_args: {{radius: {1000 * n}}}")


def deep_decoders(folder: Path, n: int) -> Read:
    deep = f"method_args: {{decoder_depth: {20_000 * n}}}"
    return _run(folder, "method: point-m2ae", "encoder: point-m2ae", deep)


def a_term_a_step(folder: Path, n: int) -> Read:
    from adacross.report.run import read_curves

    lines = (f'{{"kind": "step", "step": {i}, "terms": {{"t{i}": 1}}}}\n' for i in range(2_000 * n))
    (folder / "log.jsonl").write_text("".join(lines))
    return lambda: read_curves(folder)


def classes_of_long_names(folder: Path, n: int) -> Read:
    from adacross.data.collection.collection import Collection
    from adacross.data.collection.contact_sheet import write_contact_sheet

    seed_runs.collection(folder)
    about = json.loads((folder / "collection.json").read_text()) | {"classes": ["ab cd" * 2_000 * n]}
    (folder / "collection.json").write_text(json.dumps(about))
    return lambda: _refuse(write_contact_sheet(Collection.open(folder), folder / "sheet.png"))


def a_confusion_of_long_names(folder: Path, n: int) -> Read:
    from adacross.report import write_report

    seed_runs.run(folder)
    names = [f"{number} " + "x" * 8_000 * n for number in range(40)]
    changed = {"data": seed_runs.LINEAR["data"] | {"classes": names}}
    (folder / "evaluation" / "shapes" / "linear.json").write_text(json.dumps(seed_runs.LINEAR | changed))
    return lambda: _refuse(write_report(folder))


def a_name_among_many(folder: Path, n: int) -> Read:
    from adacross.errors import one_of

    names = [f"{number}" + "ab" * 4_000 for number in range(1000 * n)]
    return lambda: one_of("class", "ab" * 4_000, names)


def _labels(folder: Path, text: str) -> Read:
    from adacross.labeling.labels import read_labels

    (folder / "labels.csv").write_text(text)
    return lambda: read_labels(folder / "labels.csv", ["a"])


def columns_for_every_row(folder: Path, n: int) -> Read:
    columns = ",".join(f"c{number}" for number in range(2_000 * n))
    return _labels(folder, f'id,class,"\n",{columns}\n' + "a,b\n" * 2_000 * n)


def a_row_a_byte(folder: Path, n: int) -> Read:
    return _labels(folder, "id,class\n" + "a\n" * 2_000_000 * n)


def a_field_of_megabytes(folder: Path, n: int) -> Read:
    return _labels(folder, "id,class\na," + "b" * 5 * 10**6 * n + "\n")


def _refuse(made: object) -> None:
    """Say that something was made of the file."""
    from adacross.errors import UserError

    raise UserError(f"made {type(made).__name__}")


BOMBS: dict[str, Callable[[Path, int], Read]] = {
    f.__name__: f
    for f in (
        buffers_of_zstandard, buffers_of_lz4, a_dictionary_beside, a_split_of_a_long_name,
        pictures_larger_than_promised, a_thousand_pictures_a_shape,
        features_of_zeros, features_of_zstandard, one_long_class_for_all,
        a_call_of_bytearray, a_call_of_bytearray_in_the_old_form, a_call_of_a_storage, a_call_of_a_tensor,
        a_dictionary_made_again_and_again, one_storage_under_many_names, one_number_for_all_places,
        a_million_tensors, a_billion_points, points_below_none,
        a_wide_image_tower, a_wide_point_encoder, large_depth_maps, broad_splats, deep_decoders,
        a_term_a_step, classes_of_long_names, a_confusion_of_long_names, a_name_among_many,
        columns_for_every_row, a_row_a_byte, a_field_of_megabytes,
    )
}  # fmt: skip


def taken(read: Read) -> tuple[float, float, str]:
    """Return the MiB and seconds of the processor that reading took, and what was said."""
    from hostile_child import memory

    from adacross.errors import UserError

    Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory so far
    idle, start = memory("VmRSS"), time.process_time()
    try:
        read()
        said = ""
    except UserError as error:
        said = str(error)[:500]
    except Exception as error:  # noqa: BLE001  whatever it is, it is not what was promised
        said = f"WRONG {type(error).__name__}: {str(error)[:300]}"
    return (memory("VmHWM") - idle) / 2**20, time.process_time() - start, said


def main(folder: Path, names: list[str]) -> None:
    import adacross.encoders
    import adacross.report
    import adacross.training.networks  # noqa: F401  before memory is counted

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    found = {}
    for name in names or BOMBS:
        found[name] = []
        for n in (1, 2, 4):
            place = folder / name / str(n)
            place.mkdir(parents=True)
            read = BOMBS[name](place, n)
            if n == 1:
                taken(read)  # once unmeasured, for the libraries that it imports
            found[name].append(taken(read))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""Everything that adacross reads: a whole example, the file in it that is damaged, and how it is read.

A `read` function does what a command does with the folder and returns what was left out or remarked, as
(name, reason); nothing means that all of it was read. What is read is checked: finite points, faces and
labels in range.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import seed_files
import seed_runs
import seed_use

Notes = list[tuple[str, str]]


class InsaneError(Exception):
    """A damaged file was accepted, and what came of it makes no sense."""


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        name: what the table calls it.
        group: which child process reads it: they import different libraries.
        fill: writes a whole example into a folder.
        target: the file that is damaged, as its path in that folder.
        read: reads the folder.
        rounds: how often each mutator damages it.
        also: other words that name it: the shape in it, or the mesh whose texture it is.
    """

    name: str
    group: str
    fill: Callable[[Path], None]
    target: str
    read: Callable[[Path], Notes]
    rounds: int = 2
    also: tuple[str, ...] = ()


def sane(condition: object, what: str) -> None:
    if not condition:
        raise InsaneError(what)


def each_here(function: str, requests: Iterable[dict[str, Any]], *_: object) -> Iterator[tuple[int, Any]]:
    """Take the place of `workers.each` in a process that has its own limits."""
    from adacross.data.workers.local import WorkerCrash, shortage

    module, name = function.split(":")
    for number, request in enumerate(requests):
        try:
            yield number, getattr(import_module(module), name)(json.loads(json.dumps(request)))
        except (MemoryError, OSError, ValueError) as error:
            if shortage(error) != "memory":
                raise
            yield number, WorkerCrash("reading it needs more memory than there is")


def prepared(folder: Path) -> Notes:
    """As `adacross prepare` does, without its worker processes."""
    from adacross.data.collection.sample import SERVE, SampleOptions, read_row
    from adacross.data.collection.schema import decode_view
    from adacross.data.formats import format_of, index_source

    source = index_source(str(folder))
    notes = [(entry["name"], entry["reason"]) for entry in source.skipped]
    notes += [("missing", entry) for entry in source.missing]
    points = min(source.points or 32, 32)
    options = asdict(SampleOptions(source.format, points, views=1, size=24, parts=source.parts))
    for item in source.items:
        ((_, found),) = each_here(SERVE, [{"item": asdict(item), "options": options}])
        answer = read_row(found)
        if answer.note:
            notes.append((item.id, answer.note))
        sane(answer.table is not None or answer.note, f"{item.id} was left out without a reason")
        if answer.table is None:
            continue
        mesh = format_of(source.format).sample(item, points, np.random.default_rng(0)).mesh
        if mesh is not None:
            sane(mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices), "faces")
            sane(np.isfinite(mesh.vertices[mesh.faces]).all(), "vertices")
        (row,) = answer.table.to_pylist()
        cloud = np.array(row["points"], dtype=np.float64)
        sane(cloud.shape == (points, 3), f"{item.id} has points {cloud.shape}")
        sane(
            np.isfinite(cloud).all() and np.linalg.norm(cloud, axis=1).max() < 1.001,
            "points not in the sphere",
        )
        sane(np.isfinite([*row["center"], row["scale"]]).all() and row["scale"] > 0, "no frame")
        sane(-1 <= row["label"] < max(len(source.classes), 1), f"label {row['label']}")
        sane(not source.parts or -1 <= min(row["part"]) <= max(row["part"]) < len(source.parts), "parts")
        sane(decode_view(row["views"][0]["bytes"]).shape == (24, 24, 3), "picture")
    return notes


def archive(suffix: str, folder: Path) -> Notes:
    return [(f"a.{suffix}: {name}", reason) for name, reason in prepared(folder / f"a.{suffix}")]


def image_set(folder: Path) -> Notes:
    from adacross.data.image_set import read_image_set

    found = read_image_set(folder, 16)
    sane(found.pictures.ndim == 4 and found.pictures.shape[3] == 3, f"pictures {found.pictures.shape}")
    sane(len(found.labels) == len(found.pictures), "labels")
    sane(found.labels.min() >= 0 and found.labels.max() < len(found.classes), "labels")
    return [("", reason) for reason in found.skipped]


def collection(folder: Path) -> Notes:
    from adacross.data.collection.collection import Collection
    from adacross.data.collection.inspect import inspect

    inspect(str(folder), str(folder / "sheet.png")).table()
    found = Collection.open(folder)
    every = np.arange(len(found))
    sane(np.isfinite(found.points(every)).all(), "points")
    sane(found.points(every).shape == (len(found), found.info.points, 3), "points")
    sane(all(np.isfinite(values).all() for values in found.frames(every)), "frames")
    for index in every.tolist():
        shape = found[index]
        sane(shape.label is None or shape.label < len(found.info.classes), f"label {shape.label}")
        sane(isinstance(shape.id, str) and shape.views.shape[0] == found.info.views, "views")
    return []


def unfinished(folder: Path) -> Notes:
    from adacross.data.collection.inspect import inspect

    inspect(str(folder)).table()
    return []


def recipe(folder: Path) -> Notes:
    from adacross.training.config import PretrainConfig

    PretrainConfig.recipe(str(folder / "recipe.yaml"), "gone")
    return []


def typed_recipe(folder: Path) -> Notes:
    """The same, as it is typed; a whole recipe gets as far as the collection, which is not there."""
    import contextlib
    import io

    from adacross.cli import main
    from adacross.errors import UserError

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(
                ["pretrain", "gone", "--config", str(folder / "recipe.yaml"), "--run", str(folder / "run")]
            )
        except SystemExit as stop:
            code = stop.code
    sane(code == 2, f"exit code {code}")
    said = errors.getvalue()
    if "gone does not exist" in said:
        return []
    ranges = (
        said.startswith("adacross: ") and "recipe" not in said
    )  # flags may have changed what the recipe says
    raise UserError(f"recipe: {said}" if ranges else said)


def run(folder: Path) -> Notes:
    from adacross.report import write_report
    from adacross.training.log import read_log

    read_log(folder / "log.jsonl")
    text = write_report(folder).read_text(encoding="utf-8")
    sane("<html" in text and "<script>alert" not in text, "report")
    return []


def result(folder: Path) -> Notes:
    from adacross.evaluation.result import load

    notes = run(folder)  # names on the page what cannot be read
    for path in sorted(folder.glob("evaluation/*/*.json")):
        load(path).table()
    return notes


def single(suffix: str, folder: Path) -> Notes:
    """As `adacross search` and `adacross embed` read one file."""
    from adacross.data.collection.sample import load_shape

    cloud = load_shape(folder / f"cloud.{suffix}", points=32).points
    sane(cloud.shape == (32, 3) and np.isfinite(cloud).all(), f"points {cloud.shape}")
    sane(np.linalg.norm(cloud.astype(np.float64), axis=1).max() < 1.001, "points not in the sphere")
    return []


def embeddings(folder: Path) -> Notes:
    from adacross.embeddings.table import read_embeddings

    found = read_embeddings(folder / "parts.parquet")
    sane(found.features.dtype == np.float32 and np.isfinite(found.features).all(), "features")
    sane(len(found.features) == len(found.ids) == len(set(found.ids)) == len(found.classes), "rows")
    return []


def labels(folder: Path) -> Notes:
    from adacross.labeling.labels import read_labels

    found = read_labels(folder / "labels.csv", ["a", "b", "c"])
    sane(found.keys() <= {"a", "b", "c"} and all(found.values()), "labels")
    return []


def encoder(folder: Path) -> Notes:
    import torch

    from adacross.encoders import load

    found = load(folder / "encoder")
    sane(all(torch.isfinite(tensor).all() for tensor in found.state_dict().values()), "weights")
    return []


def released(folder: Path) -> Notes:
    import torch

    from adacross.encoders import load_official

    found, head = load_official(folder / "best.pth")
    for network in (found, head):
        tensors = network.state_dict().values() if network is not None else []
        sane(all(torch.isfinite(tensor).all() for tensor in tensors), "weights")
    return []


def checkpoint(folder: Path) -> Notes:
    from adacross.training.checkpoint import load_checkpoint

    sane(isinstance(load_checkpoint(folder / "checkpoints" / "step-00000007.pt"), dict), "checkpoint")
    return []


_PART = "train_test_split/shuffled_train_file_list.json"
READERS: tuple[Reader, ...] = (
    Reader("OFF", "meshes", seed_files.off, "box/a.off", prepared, 3),
    Reader("OBJ", "meshes", seed_files.obj, "box/a.obj", prepared, 3),
    Reader("OBJ's materials", "meshes", seed_files.obj, "box/a.mtl", prepared, 1, ("a.obj",)),
    Reader("OBJ's texture", "meshes", seed_files.obj, "box/skin.png", prepared, 2, ("a.obj",)),
    Reader("PLY, text", "meshes", seed_files.ply_text, "box/a.ply", prepared, 3),
    Reader("PLY, binary", "meshes", seed_files.ply_binary, "box/a.ply", prepared, 3),
    Reader("STL, text", "meshes", seed_files.stl_text, "box/a.stl", prepared, 2),
    Reader("STL, binary", "meshes", seed_files.stl_binary, "box/a.stl", prepared, 2),
    Reader("GLB", "meshes", seed_files.glb, "box/a.glb", prepared, 4),
    Reader("glTF", "meshes", seed_files.gltf_text, "box/a.gltf", prepared, 3),
    Reader("glTF's numbers", "meshes", seed_files.gltf_text, "box/box.bin", prepared, 2, ("a.gltf",)),
    Reader("glTF's texture", "meshes", seed_files.gltf_text, "box/skin.png", prepared, 1, ("a.gltf",)),
    Reader("archive, ZIP", "meshes", seed_files.zipped, "a.zip", partial(archive, "zip"), 3),
    Reader("archive, TAR", "meshes", seed_files.tarred, "a.tar", partial(archive, "tar"), 2),
    Reader("archive, TAR, packed", "meshes", seed_files.gzipped, "a.tgz", partial(archive, "tgz"), 3),
    Reader("3MF", "meshes", seed_files.threemf, "box/a.3mf", prepared, 3),
    Reader("ModelNet40, HDF5", "data sets", seed_files.modelnet40, "ply_data_train0.h5", prepared, 4),
    Reader("ModelNet40, its files", "data sets", seed_files.modelnet40, "train_files.txt", prepared, 1),
    Reader("ModelNet40, its names", "data sets", seed_files.modelnet40, "shape_names.txt", prepared, 1),
    Reader(
        "ModelNet40, text", "data sets", seed_files.modelnet_text, "airplane/airplane_0001.txt", prepared, 2
    ),
    Reader(
        "ModelNet40, text, its list",
        "data sets",
        seed_files.modelnet_text,
        "modelnet40_train.txt",
        prepared,
        1,
    ),
    Reader(
        "ScanObjectNN", "data sets", seed_files.scanobjectnn, "main_split/test_objectdataset.h5", prepared, 2
    ),
    Reader(
        "ShapeNet, PLY", "data sets", seed_files.shapenet, "ShapeNet/02691156/a.ply", prepared, 2, ("(a)",)
    ),
    Reader(
        "ShapeNetRendering",
        "data sets",
        seed_files.shapenet,
        "ShapeNetRendering/02691156/a/rendering/00.png",
        prepared,
        2,
    ),
    Reader(
        "ShapeNetPart, text",
        "data sets",
        seed_files.shapenetpart,
        "02691156/a.txt",
        prepared,
        2,
        ("02691156/a",),
    ),
    Reader("ShapeNetPart, its list", "data sets", seed_files.shapenetpart, _PART, prepared, 1),
    Reader(
        "ShapeNetPart, its folders",
        "data sets",
        seed_files.shapenetpart,
        "synsetoffset2category.txt",
        prepared,
        1,
    ),
    Reader(
        "ShapeNetPart, HDF5", "data sets", seed_files.shapenetpart_hdf5, "ply_data_train0.h5", prepared, 2
    ),
    Reader("S3DIS", "data sets", seed_files.s3dis, "ply_data_all_0.h5", prepared, 2),
    Reader("S3DIS, its rooms", "data sets", seed_files.s3dis, "room_filelist.txt", prepared, 1),
    Reader("cloud, NPY", "use", seed_use.npy, "cloud.npy", partial(single, "npy"), 3),
    Reader("cloud, NPZ", "use", seed_use.npz, "cloud.npz", partial(single, "npz"), 2),
    Reader("cloud, text", "use", seed_use.xyz, "cloud.xyz", partial(single, "xyz"), 2),
    Reader("cloud, CSV with names", "use", seed_use.csv, "cloud.csv", partial(single, "csv"), 2),
    Reader("cloud, PCD, text", "use", seed_use.pcd_text, "cloud.pcd", partial(single, "pcd"), 2),
    Reader("cloud, PCD, binary", "use", seed_use.pcd_binary, "cloud.pcd", partial(single, "pcd"), 2),
    Reader("cloud, PCD, compressed", "use", seed_use.pcd_packed, "cloud.pcd", partial(single, "pcd"), 2),
    Reader("cloud, LAS", "use", seed_use.las, "cloud.las", partial(single, "las"), 3),
    Reader("cloud, LAZ", "use", seed_use.laz, "cloud.laz", partial(single, "laz"), 3),
    Reader("embeddings, Parquet", "use", seed_use.embeddings, "parts.parquet", embeddings, 4),
    Reader("labels, CSV", "use", seed_use.labels, "labels.csv", labels, 2),
    Reader("pictures, PNG", "pictures", seed_files.pictures, "a/0.png", image_set, 2),
    Reader("pictures, JPEG", "pictures", seed_files.pictures, "a/1.jpg", image_set, 2),
    Reader("pictures, WebP", "pictures", seed_files.pictures, "b/0.webp", image_set, 2),
    Reader("pictures, BMP", "pictures", seed_files.pictures, "b/1.bmp", image_set, 2),
    Reader("CIFAR-FS, pickle", "pictures", seed_files.cifar_fs, "CIFAR_FS_test.pickle", image_set, 5),
    Reader("CIFAR-100, pickle", "pictures", seed_files.cifar_100, "test", image_set, 3),
    Reader("CIFAR-100, names", "pictures", seed_files.cifar_100, "meta", image_set, 3),
    Reader("collection.json", "collections", seed_runs.collection, "collection.json", collection, 2),
    Reader(
        "collection, Arrow",
        "collections",
        seed_runs.collection,
        "data-00000-of-00001.arrow",
        collection,
        4,
        ("a/train", "a/test", "data-*.arrow"),
    ),
    Reader(
        "unfinished collection, plan", "collections", seed_runs.unfinished, "progress/plan.json", unfinished
    ),
    Reader(
        "unfinished collection, note",
        "collections",
        seed_runs.unfinished,
        "progress/shard-00000.json",
        unfinished,
    ),
    Reader("recipe", "runs", seed_runs.recipe, "recipe.yaml", recipe, 4),
    Reader("recipe, as typed", "runs", seed_runs.recipe, "recipe.yaml", typed_recipe, 1),
    Reader("run, config.yaml", "runs", seed_runs.run, "config.yaml", run, 1),
    Reader("run, log.jsonl", "runs", seed_runs.run, "log.jsonl", run, 1),
    Reader("run, environment.json", "runs", seed_runs.run, "environment.json", run, 1),
    Reader("run, linear.json", "runs", seed_runs.run, "evaluation/shapes/linear.json", result, 2),
    Reader("run, retrieval.json", "runs", seed_runs.run, "evaluation/shapes/retrieval.json", result, 2),
    Reader("encoder, config.json", "networks", seed_runs.encoder, "encoder/config.json", encoder, 3),
    Reader(
        "encoder, PointM2AE's config.json",
        "networks",
        seed_runs.encoder_m2ae,
        "encoder/config.json",
        encoder,
        2,
    ),
    Reader("encoder, safetensors", "networks", seed_runs.encoder, "encoder/model.safetensors", encoder, 5),
    Reader("released weights, .pth", "networks", seed_runs.released, "best.pth", released, 6),
    Reader("checkpoint", "networks", seed_runs.checkpoint, "checkpoints/step-00000007.pt", checkpoint, 3),
)

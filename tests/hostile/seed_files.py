"""A tiny whole example of everything that adacross reads: each function fills an empty folder."""

import io
import json
import pickle  # noqa: TID251  the tests write what the library must read without it
import struct
import tarfile
import zipfile
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import h5py
import numpy as np
from PIL import Image

POINTS = 40
SIDE = 32
SYNSETS = {"Airplane": "02691156", "Mug": "03797390"}
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 2)]
SQUARES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = [(s[0], s[i], s[i + 1]) for s in SQUARES for i in (1, 2)]


def write(root: Path, name: str, content: str | bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def picture(size: int = SIDE, kind: str = "PNG", seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    image = Image.fromarray(np.kron(pixels, np.ones((8, 8, 1), dtype=np.uint8)))
    sink = io.BytesIO()
    image.save(sink, kind)
    return sink.getvalue()


def clouds(count: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, POINTS, channels)).astype(np.float32)


def rows(table: np.ndarray, separator: str = " ") -> str:
    return "".join(separator.join(f"{value:.4f}" for value in row) + "\n" for row in table)


def off(root: Path) -> None:
    corners = "".join(f"{x} {y} {z}\n" for x, y, z in CORNERS)
    faces = "".join("4 " + " ".join(map(str, square)) + " 200 10 10\n" for square in SQUARES)
    write(root, "box/a.off", f"OFF\n{len(CORNERS)} {len(SQUARES)} 0\n{corners}{faces}")


def obj(root: Path) -> None:
    corners = "".join(f"v {x} {y} {z}\nvt {x} {y}\n" for x, y, z in CORNERS)
    faces = "".join("f " + " ".join(f"{i + 1}/{i + 1}" for i in square) + "\n" for square in SQUARES)
    write(root, "box/a.obj", f"mtllib a.mtl\n{corners}usemtl skin\n{faces}")
    write(root, "box/a.mtl", "newmtl skin\nKd 0.5 0.25 1.0\nillum 2\nmap_Kd skin.png\n")
    write(root, "box/skin.png", picture())


def zipped(root: Path) -> None:
    obj(root / "in")
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((root / "in" / "box").iterdir()):
            archive.write(path, path.name)


def tarred(root: Path, name: str = "a.tar", mode: Literal["w", "w:gz"] = "w") -> None:
    obj(root / "in")
    with tarfile.open(root / name, mode) as archive:
        for path in sorted((root / "in" / "box").iterdir()):
            archive.add(path, path.name)


def gzipped(root: Path) -> None:
    tarred(root, "a.tgz", "w:gz")


def _ply_head(kind: str, faces: bool) -> str:
    element = f"element face {len(TRIANGLES)}\nproperty list uchar int vertex_indices\n" if faces else ""
    return (
        f"ply\nformat {kind} 1.0\ncomment ours\nelement vertex {len(CORNERS) if faces else POINTS}\n"
        f"property float x\nproperty float y\nproperty float z\n{element}end_header\n"
    )


def ply_text(root: Path) -> None:
    corners = "".join(f"{x} {y} {z}\n" for x, y, z in CORNERS)
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in TRIANGLES)
    write(root, "box/a.ply", _ply_head("ascii", faces=True) + corners + faces)


def ply_binary(root: Path) -> None:
    corners = b"".join(struct.pack("<3f", *corner) for corner in CORNERS)
    faces = b"".join(struct.pack("<B3i", 3, *triangle) for triangle in TRIANGLES)
    write(root, "box/a.ply", _ply_head("binary_little_endian", faces=True).encode() + corners + faces)


def _facets() -> list[list[tuple[int, int, int]]]:
    return [[CORNERS[i] for i in triangle] for triangle in TRIANGLES]


def stl_text(root: Path) -> None:
    body = "".join(
        "facet normal 0 0 1\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*corner) for corner in facet)
        + "endloop\nendfacet\n"
        for facet in _facets()
    )
    write(root, "box/a.stl", f"solid box\n{body}endsolid box\n")


def stl_binary(root: Path) -> None:
    body = b"".join(
        struct.pack("<12fH", 0, 0, 1, *(x for corner in facet for x in corner), 0) for facet in _facets()
    )
    write(root, "box/a.stl", b"ours".ljust(80) + struct.pack("<I", len(TRIANGLES)) + body)


def glb(root: Path) -> None:
    write(root, "box/a.glb", glb_of(gltf()))


def gltf_text(root: Path) -> None:
    """The same as `.gltf`, with its numbers and its texture beside it."""
    description = gltf()
    description["buffers"][0]["uri"] = "box.bin"
    description["images"] = [{"uri": "skin.png"}]
    write(root, "box/a.gltf", json.dumps(description))
    write(root, "box/box.bin", glb_binary())
    write(root, "box/skin.png", picture(8))


def threemf(root: Path) -> None:
    """Two boxes on a plate, one of them colored."""
    write(root, "box/a.3mf", threemf_of(threemf_model()))


def threemf_model() -> str:
    corners = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in CORNERS)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in TRIANGLES)
    mesh = f"<mesh><vertices>{corners}</vertices><triangles>{faces}</triangles></mesh>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<model unit="millimeter" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
        '<resources><basematerials id="5"><base name="red" displaycolor="#FF0000"/></basematerials>\n'
        f'<object id="1" name="red" type="model" pid="5" pindex="0">{mesh}</object>\n'
        '<object id="2" type="model"><components><component objectid="1"/>'
        '<component objectid="1" transform="1 0 0 0 1 0 0 0 1 5 0 0"/></components></object></resources>\n'
        '<build><item objectid="2" transform="2 0 0 0 2 0 0 0 2 0 0 7"/><item objectid="1"/></build>\n'
        "</model>\n"
    )


def threemf_of(model: str | bytes, **more: str | bytes) -> bytes:
    """A 3MF archive of one model and other files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", model)
        for name, content in more.items():
            archive.writestr(name, content)
    return sink.getvalue()


def gltf() -> dict[str, Any]:
    """A textured box in two places; its binary part is `glb_binary()`."""
    corners, indices, skin = len(CORNERS) * 12, len(TRIANGLES) * 12, len(picture(8))
    attributes = {"POSITION": 0, "TEXCOORD_0": 2}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0, "translation": [3, 0, 0]}, {"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(CORNERS), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": len(TRIANGLES) * 3, "type": "SCALAR"},
            {"bufferView": 2, "componentType": 5126, "count": len(CORNERS), "type": "VEC2"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": corners},
            {"buffer": 0, "byteOffset": corners, "byteLength": indices},
            {"buffer": 0, "byteOffset": corners + indices, "byteLength": len(CORNERS) * 8},
            {"buffer": 0, "byteOffset": corners + indices + len(CORNERS) * 8, "byteLength": skin},
        ],
        "buffers": [{"byteLength": len(glb_binary())}],
    }  # fmt: skip


def glb_binary() -> bytes:
    corners = np.array(CORNERS, dtype="<f4")
    indices = np.array(TRIANGLES, dtype="<u4")
    return corners.tobytes() + indices.tobytes() + corners[:, :2].tobytes() + picture(8)


def glb_of(description: Any, binary: bytes | None = None) -> bytes:
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    content = glb_binary() if binary is None else binary
    text, content = text + b" " * (-len(text) % 4), content + bytes(-len(content) % 4)
    chunks = ((b"JSON", text), (b"BIN\0", content))
    body = b"".join(struct.pack("<I4s", len(chunk), kind) + chunk for kind, chunk in chunks)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def hdf5(root: Path, name: str, **arrays: np.ndarray) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip")


def modelnet40(root: Path) -> None:
    hdf5(root, "ply_data_train0.h5", data=clouds(3), label=np.array([[0], [1], [1]], dtype=np.uint8))
    hdf5(root, "ply_data_test0.h5", data=clouds(2, seed=1), label=np.array([0, 1]))
    write(root, "shape_names.txt", "airplane\nbathtub\n")
    write(root, "train_files.txt", "data/modelnet40_ply_hdf5_2048/ply_data_train0.h5\n")


def modelnet_text(root: Path) -> None:
    for number, name in enumerate(("airplane_0001", "night_stand_0002")):
        write(root, f"{name[:-5]}/{name}.txt", rows(clouds(1, 6, seed=number)[0], ","))
    write(root, "modelnet40_shape_names.txt", "airplane\nnight_stand\n")
    write(root, "modelnet40_train.txt", "airplane_0001\n")
    write(root, "modelnet40_test.txt", "night_stand_0002\n")


def scanobjectnn(root: Path) -> None:
    for word, count in (("training", 3), ("test", 2)):
        mask = np.zeros((count, POINTS), dtype=np.int32)
        hdf5(
            root, f"main_split/{word}_objectdataset.h5", data=clouds(count), label=np.arange(count), mask=mask
        )


def shapenet(root: Path) -> None:
    write(
        root,
        "ShapeNet/02691156/a.ply",
        _ply_head("binary_little_endian", faces=False).encode() + clouds(1)[0].tobytes(),
    )
    for number in range(2):
        write(root, f"ShapeNetRendering/02691156/a/rendering/{number:02d}.png", picture(seed=number))


def shapenetpart(root: Path) -> None:
    for number, (name, synset) in enumerate(SYNSETS.items()):
        table = clouds(1, 7, seed=number)[0]
        table[:, 6] = {"Airplane": 0, "Mug": 36}[name] + np.arange(POINTS) % 2
        write(root, f"{synset}/a.txt", rows(table))
    write(root, "synsetoffset2category.txt", "".join(f"{a}\t{b}\n" for a, b in SYNSETS.items()))
    for word, synset in (("train", "02691156"), ("test", "03797390")):
        listed = json.dumps([f"shape_data/{synset}/a"])
        write(root, f"train_test_split/shuffled_{word}_file_list.json", listed)
    write(root, "train_test_split/shuffled_val_file_list.json", "[]")


def shapenetpart_hdf5(root: Path) -> None:
    pid = (np.arange(2 * POINTS) % 4).reshape(2, POINTS).astype(np.uint8)
    for word in ("train", "val", "test"):
        hdf5(root, f"ply_data_{word}0.h5", data=clouds(2), label=np.zeros((2, 1), dtype=np.uint8), pid=pid)


def s3dis(root: Path) -> None:
    for number in range(2):
        label = (np.arange(2 * POINTS) % 13).reshape(2, POINTS).astype(np.uint8)
        hdf5(root, f"ply_data_all_{number}.h5", data=clouds(2, 9, seed=number), label=label)
    write(root, "all_files.txt", "ply_data_all_0.h5\nply_data_all_1.h5\n")
    write(root, "room_filelist.txt", "Area_1_office_1\n" * 2 + "Area_5_hallway_1\n" * 2)


def pictures(root: Path) -> None:
    kinds = {"a/0.png": "PNG", "a/1.jpg": "JPEG", "b/0.webp": "WEBP", "b/1.bmp": "BMP"}
    for number, (name, kind) in enumerate(kinds.items()):
        write(root, name, picture(kind=kind, seed=number))


def cifar_fs(root: Path) -> None:
    table = {"data": np.zeros((4, 8, 8, 3), dtype=np.uint8), "labels": [0, 0, 1, 1]}
    write(root, "CIFAR_FS_test.pickle", pickle.dumps(table, protocol=2))


def cifar_100(root: Path) -> None:
    table = {b"data": np.zeros((4, 3072), dtype=np.uint8)[:, :3072], b"fine_labels": [0, 1, 1, 0]}
    write(root, "test", pickle.dumps(table, protocol=4))
    write(root, "meta", pickle.dumps({b"fine_label_names": [b"apple", b"bear"]}, protocol=4))


def example(kind: Any) -> Any:
    """Some value of a type, as JSON writes it."""
    arguments = get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {item.name: example(hints[item.name]) for item in fields(kind)}
    match get_origin(kind) or kind:
        case plain if plain is list:
            return [example(arguments[0])] * 2
        case plain if plain is dict:
            return {"a": example(arguments[1])}
        case plain if plain in (Union, UnionType, Literal):
            return arguments[0] if plain is Literal else example(arguments[0])
        case plain if plain is tuple:
            return [example(one) for one in arguments if one is not Ellipsis]
    return {int: 3, float: 0.5, str: "word", bool: True}.get(kind)


def as_json(value: Any) -> str:
    return json.dumps(asdict(value) if is_dataclass(value) else value, indent=1)

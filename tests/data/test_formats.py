"""Tiny real files of every format, most of them written here byte by byte."""

import os
import socket
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh
from PIL import Image

from adacross.data.formats import format_of, index_source
from adacross.data.formats.base import SampleRef
from adacross.data.formats.files import read_mesh, read_shape
from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import UserError

SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
OBJ = "".join(f"v {x} {y} {z}\n" for x, y, z in SQUARE)
OFF = "".join(f"{x} {y} {z}\n" for x, y, z in SQUARE)
PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
{colors}element face {faces}
property list uchar int vertex_indices
end_header
"""


def stl(triangles: int, written: int | None = None) -> bytes:
    """A binary STL of equal triangles; `written` of them are really there."""
    triangle = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
    return (
        b"binary".ljust(80)
        + struct.pack("<I", triangles)
        + triangle * (triangles if written is None else written)
    )


def ply(body: str, faces: int, colors: bool = False) -> str:
    extra = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue")) if colors else ""
    return PLY.format(faces=faces, colors=extra) + body


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


WHOLE = {
    "plain.off": "OFF\n4 1 0\n" + OFF + "4 0 1 2 3\n",
    "modelnet.off": "OFF4 2 0\n" + OFF + "3 0 1 2\n3 0 2 3\n",
    "UPPER.OFF": "OFF # a comment\n\n4 2 0\n" + OFF + "3 0 1 2\n3 0 2 3\n",
    "quad.obj": OBJ + "f 1 2 3 4\n",
    "Backward.Obj": OBJ + "f -4 -3 -2\nf -4 -2 -1\n",
    "slashes.obj": OBJ + "vt 0 0\nvn 0 0 1\nf 1/1/1 2/1/1 3/1/1 4/1/1\n",
    "quad.ply": ply(OFF + "4 0 1 2 3\n", 1),
    "two.stl": stl(2),
    "text.stl": "solid x\n"
    + "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 1 1 0\nendloop\nendfacet\n"
    + "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 1 0\nvertex 0 1 0\nendloop\nendfacet\n"
    + "endsolid x\n",
}


def mesh_of(path: Path) -> Mesh:
    mesh = read_mesh(path)
    assert isinstance(mesh, Mesh)
    return mesh


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files(tmp_path: Path, name: str) -> None:
    mesh = mesh_of(write(tmp_path, name, WHOLE[name]))
    assert mesh.faces.shape == (2, 3)
    assert face_areas(mesh).sum() == pytest.approx(1)
    assert mesh.face_colors is None


def test_binary_files_round_trip(tmp_path: Path) -> None:
    box = trimesh.creation.box(extents=(1, 2, 3))
    for kind in ("ply", "stl", "off", "obj"):
        mesh = mesh_of(write(tmp_path, f"box.{kind}", box.export(file_type=kind)))
        assert len(mesh.faces) == 12
        assert face_areas(mesh).sum() == pytest.approx(22)


BROKEN = {
    "empty.obj": ("", "empty"),
    "blank.stl": ("  \n ", "empty"),
    "words.obj": ("hello\nworld\n", "no face"),
    "words.off": ("hello\nworld\n", "not an OFF file"),
    "words.ply": ("hello\nworld\n", "not a readable PLY"),
    "words.stl": ("hello\nworld\n", "truncated"),
    "picture.obj": (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe" * 9, "binary data where text belongs"),
    "lines.obj": (OBJ + "l 1 2\nl 2 3\n", r"no face in it: 2 lines or free-form surfaces .l. are not read"),
    "edges.off": ("OFF\n4 1 0\n" + OFF + "2 0 1\n", r"no face in it .only 4 points"),
    "header.off": ("OFF\n", "ends after its header"),
    "short.off": (
        "OFF\n4 2 0\n" + OFF + "3 0 1 2\n",
        "truncated: the header promises 4 vertices and 2 faces",
    ),
    "corners.off": ("OFF\n4 1 0\n" + OFF + "4 0 1\n", "truncated: a face promises 4 corners"),
    "words2.off": ("OFF\n4 1 0\n" + OFF.replace("1 1 0", "1 x 0") + "3 0 1 2\n", "not a readable OFF"),
    "short.stl": (stl(5, 2), "truncated: 5 triangles take 334 bytes, the file has 184"),
    "short.ply": (ply(OFF + "3 0 1 2\n", 2), "truncated|not a readable PLY"),
    "beyond.off": ("OFF\n4 1 0\n" + OFF + "3 0 1 7\n", "vertex 7, but there are only 4"),
    "below.off": ("OFF\n4 1 0\n" + OFF + "3 0 1 -2\n", "vertex -2"),
    "beyond.obj": (OBJ + "f 1 2 9\n", "vertex 8, but there are only 4"),
    "beyond.ply": (ply(OFF + "3 0 1 9\n", 1), "vertex 9, but there are only 4"),
    "nan.off": ("OFF\n4 1 0\n" + OFF.replace("1 1 0", "1 nan 0") + "3 0 1 2\n", "NaN or infinite"),
    "nan.obj": (OBJ.replace("1 1 0", "1 nan 0") + "f 1 2 3\n", "NaN or infinite"),
    "infinite.ply": (ply(OFF.replace("1 1 0", "1 inf 0") + "3 0 1 2\n", 1), "NaN or infinite"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_what_is_wrong(tmp_path: Path, name: str) -> None:
    content, reason = BROKEN[name]
    with pytest.raises(BrokenShapeError, match=reason):
        read_mesh(write(tmp_path, name, content))


def test_missing_and_unreadable_files_are_broken_shapes(tmp_path: Path) -> None:
    with pytest.raises(BrokenShapeError, match="No such file"):
        read_mesh(tmp_path / "gone.obj")


def colors_of(path: Path) -> list[list[int]]:
    mesh = mesh_of(path)
    assert mesh.face_colors is not None
    return mesh.face_colors.tolist()


def test_colors_of_faces_and_vertices(tmp_path: Path) -> None:
    two = "OFF\n4 2 0\n" + OFF + "3 0 1 2 255 0 10\n3 0 2 3\n"
    assert colors_of(write(tmp_path, "a.off", two)) == [[255, 0, 10], [200, 200, 200]]
    part = "OFF\n4 1 0\n" + OFF + "4 0 1 2 3 1.0 0.0 0.5 1.0\n"
    assert colors_of(write(tmp_path, "b.off", part)) == [[255, 0, 128]] * 2
    rows = ["0 0 0 255 0 0 255", "1 0 0 0 255 0 255", "1 1 0 0 0 255 255"]
    assert colors_of(write(tmp_path, "c.off", "COFF\n3 1 0\n" + "\n".join(rows) + "\n3 0 1 2\n")) == [
        [85, 85, 85]
    ]
    body = "0 0 0 90 0 0\n1 0 0 90 0 0\n1 1 0 0 0 60\n0 1 0 0 0 0\n3 0 1 2\n"
    assert colors_of(write(tmp_path, "d.ply", ply(body, 1, colors=True))) == [[60, 0, 20]]
    painted = "v 0 0 0 1 0 0\nv 1 0 0 1 0 0\nv 1 1 0 1 0 0\nf 1 2 3\n"
    assert colors_of(write(tmp_path, "e.obj", painted)) == [[255, 0, 0]]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "m\u00f6bel.mtl").write_bytes("# Möbel\nnewmtl rot\nKd 1 0 0\n".encode("latin-1"))
    text = "# Möbel\nmtllib m\u00f6bel.mtl\n" + OBJ + "usemtl rot\nf 1 2 3\n"
    assert colors_of(write(tmp_path, "a.obj", text.encode("latin-1"))) == [[255, 0, 0]]


def test_colors_of_materials_and_textures(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[0, 0, 250], [0, 250, 0]]], np.uint8)).save(tmp_path / "blue_green.png")
    write(
        tmp_path,
        "paint.mtl",
        "newmtl red\nKd 1 0 0\nnewmtl map\nKd 1 1 1\nmap_Kd C:\\somebody\\else\\blue_green.png\n",
    )
    faces = "vt .1 .5\nvt .2 .5\nvt .9 .5\nusemtl red\nf 1 2 3\nusemtl map\nf 1/1 2/1 3/2\nf 1/3 3/3 4/3\n"
    found = colors_of(write(tmp_path, "a.obj", "mtllib paint.mtl\n" + OBJ + faces))
    assert sorted(found) == [[0, 0, 250], [0, 250, 0], [255, 0, 0]]


def test_files_outside_the_folder_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path, "secret.mtl", "newmtl red\nKd 1 0 0\n")
    for name in ("../secret.mtl", str(tmp_path / "secret.mtl")):
        path = write(tmp_path, "in/a.obj", f"mtllib {name}\n{OBJ}usemtl red\nf 1 2 3\n")
        assert mesh_of(path).face_colors is None
    (tmp_path / "in" / "link.mtl").symlink_to(tmp_path / "secret.mtl")
    path = write(tmp_path, "in/a.obj", f"mtllib link.mtl\n{OBJ}usemtl red\nf 1 2 3\n")
    assert mesh_of(path).face_colors is None


@pytest.mark.parametrize(
    "name", ["//127.0.0.1/share/paint.mtl", "\\\\127.0.0.1\\share\\paint.mtl", "http://127.0.0.1:9/paint.mtl"]
)
def test_a_mesh_makes_no_connection(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, looking for a share's file asks its host."""
    looked, resolve = [], Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda self: looked.append(self) or resolve(self))
    monkeypatch.setattr(socket.socket, "connect", None)
    write(tmp_path, "paint.mtl", "newmtl red\nKd 1 0 0\nmap_Kd //127.0.0.1/share/map.png\n")
    found = colors_of(write(tmp_path, "a.obj", f"mtllib {name}\n{OBJ}usemtl red\nf 1 2 3\n"))
    np.testing.assert_array_equal(found, [[255, 0, 0]])
    assert all(path.is_relative_to(tmp_path) for path in looked)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.off", "b.OBJ"], {"a.off": (None, None), "b.OBJ": (None, None)}),
        (
            ["chair/a.off", "lamp/deep/er/b.off", "c.off"],
            {"chair/a.off": ("chair", None), "lamp/deep/er/b.off": ("lamp", None), "c.off": (None, None)},
        ),
        (
            ["chair/train/a.off", "chair/test/b.off", "train/train/c.off"],
            {
                "chair/train/a.off": ("chair", "train"),
                "chair/test/b.off": ("chair", "test"),
                "train/train/c.off": ("train", "train"),
            },
        ),
        (
            ["train/chair/a.off", "test/chair/b.off", "test/c.off"],
            {
                "train/chair/a.off": ("chair", "train"),
                "test/chair/b.off": ("chair", "test"),
                "test/c.off": (None, "test"),
            },
        ),
    ],
)
def test_layouts(
    tmp_path: Path, names: list[str], expected: dict[str, tuple[str | None, str | None]]
) -> None:
    for name in [*names, ".hidden.off", "chair/readme.txt"]:
        write(tmp_path, name, "")
    source = index_source(str(tmp_path), classes="folder")
    found = {i.id: (source.classes[i.label] if i.label >= 0 else None, i.split) for i in source.items}
    assert found == expected
    assert source.classes == sorted(source.classes)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["bolt/1.off", "bolt/2.off", "nut/1.off", "nut/2.off"], ["bolt", "nut"]),
        (["bolt/1.off", "bolt/2.off", "nut/1.off"], ["bolt", "nut"]),
        (["bolt/train/1.off", "bolt/test/2.off", "nut/train/3.off", "nut/train/4.off"], ["bolt", "nut"]),
        (["train/bolt/1.off", "train/bolt/2.off", "test/nut/1.off", "test/nut/2.off"], ["bolt", "nut"]),
        (["bolt/a1/model.obj", "bolt/b2/model.obj", "nut/c3/model.obj", "nut/d4/model.obj"], ["bolt", "nut"]),
        (["1.off", "2.off", "3.off"], []),  # a flat export
        (["bolt/1.off", "bolt/2.off", "nut/1.off", "nut/2.off", "template.off"], []),
        (["p1/p1.stl", "p2/p2.stl", "p3/p3.stl"], []),  # one folder a part
        (["p1/p1.stl", "p1/p1.obj", "p2/p2.stl", "p2/p2.obj"], []),  # in two formats
        (["001/google_16k/textured.obj", "002/google_16k/textured.obj"], []),
        (["x/1.off", "x/deep/er/2.off", "y/1.off", "y/2.off"], []),  # depth varies
        (["parts/1.off", "parts/2.off"], []),  # one folder
    ],
)
def test_folders_that_look_like_classes(tmp_path: Path, names: list[str], classes: list[str]) -> None:
    for name in names:
        write(tmp_path, name, "")
    source = index_source(str(tmp_path))
    assert source.classes == classes
    other = "none" if classes else "folder"
    assert (f"--classes {other}" in source.note) == any("/" in name for name in names)
    chosen = {way: index_source(str(tmp_path), classes=way) for way in ("folder", "none")}
    assert chosen["none"].classes == []
    assert all(item.label == -1 for item in chosen["none"].items)
    below = [name.split("/") for name in names if "/" in name]
    tops = {place[1] if {place[0]} <= {"train", "test"} else place[0] for place in below}
    assert chosen["folder"].classes == sorted(tops)
    assert "--classes" not in chosen["folder"].note + chosen["none"].note


def test_read_shape(tmp_path: Path) -> None:
    mesh = read_shape(write(tmp_path, "a.off", WHOLE["plain.off"]))
    assert isinstance(mesh, Mesh)
    assert (mesh.faces.shape, mesh.warnings) == ((2, 3), ())
    cloud = read_shape(str(write(tmp_path, "a.xyz", "0 0 0\n1 2 3\n")))
    assert isinstance(cloud, PointCloud)
    np.testing.assert_array_equal(cloud.points, [[0, 0, 0], [1, 2, 3]])
    with pytest.raises(UserError, match=r"a\.stl is not a shape: the file is empty"):
        read_shape(write(tmp_path, "a.stl", ""))
    with pytest.raises(UserError, match="does not exist; expected a file that ends in"):
        read_shape(tmp_path / "gone.stl")


def test_up_axis_by_file_type_unless_given(tmp_path: Path) -> None:
    for name in ("a.off", "b.glb"):
        write(tmp_path, name, "")
    assert [item.up for item in index_source(str(tmp_path), classes="folder").items] == ["z", "y"]
    assert [item.up for item in index_source(str(tmp_path), up="x").items] == ["x", "x"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    write(tmp_path, "real/a.off", "")
    (tmp_path / "real" / "again").symlink_to(tmp_path)
    assert [item.id for item in index_source(str(tmp_path), classes="folder").items] == ["real/a.off"]


def test_meshes_and_clouds_in_one_folder(tmp_path: Path) -> None:
    write(tmp_path, "chair/a.xyz", "0 0 0\n1 1 1 \n0 2 1\n" * 2)
    write(tmp_path, "chair/b.csv", "\n" + "0,0,0,.5\n1,1,1,.5\n0,1,0,.5\n" * 9)
    write(tmp_path, "table/test/c.ply.txt", "0 0 0 0 0 1\n1 1 1 0 0 1\n" * 9)
    for name, content in (("labels.csv", "id,class\na,b\n"), ("readme.txt", "2 chairs"), ("empty.txt", "")):
        write(tmp_path, name, content)
    os.mkfifo(tmp_path / "pipe.xyz")  # whoever opens it waits for ever
    np.save(tmp_path / "chair" / "d.npy", np.random.default_rng(0).normal(size=(5, 3)))
    source = index_source(str(tmp_path))
    assert source.format == "files"
    assert source.unread == {".csv": 1, ".txt": 2, ".xyz": 1}
    assert [item.id for item in source.items] == [
        "chair/a.xyz", "chair/b.csv", "chair/d.npy", "table/test/c.ply.txt"
    ]  # fmt: skip
    assert [item.split for item in source.items] == [None] * 4  # one folder called test is no split
    assert {item.up for item in source.items} == {"y"}
    loaded = format_of(source.format).sample(source.items[0], 2, np.random.default_rng(0))
    assert loaded.cloud is not None
    assert loaded.cloud.points.shape == (2, 3)
    write(tmp_path, "chair/e.off", "")
    assert len(index_source(str(tmp_path)).items) == 5


def test_sources_that_are_none(tmp_path: Path) -> None:
    options = {"up": None, "count": 1, "variant": None, "seed": 0}
    with pytest.raises(UserError, match=r"HDF5.*\.glb, \.gltf, .*\.obj, \.off, \.ply, .*\.stl"):
        index_source(str(tmp_path), **options)
    with pytest.raises(UserError, match="does not exist"):
        index_source(str(tmp_path / "nowhere"), **options)
    with pytest.raises(UserError, match=r"ends in \.pdf, which is not read. Give a folder"):
        index_source(str(write(tmp_path, "a.pdf", "")), **options)


def hdf5(path: Path, shapes: np.ndarray, labels: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=shapes, compression="gzip")
        file.create_dataset("label", data=labels)


def test_modelnet40_rows_splits_and_names(tmp_path: Path) -> None:
    clouds = np.random.default_rng(0).normal(size=(70, 8, 3)).astype(np.float32)
    hdf5(tmp_path / "ply_data_train0.h5", clouds, np.arange(70, dtype=np.uint8)[:, None] % 3)
    hdf5(tmp_path / "ply_data_test0.h5", clouds[:2, :6], np.array([1, 9]))
    write(tmp_path, "ply_data_train1.h5", "not HDF5")
    write(tmp_path, "shape_names.txt", "cup\nmug\njar\n")
    source = index_source(str(tmp_path))
    assert source.format == "modelnet40"
    assert source.classes == ["cup", "mug", "jar"]
    assert source.points == 6
    assert [item.split for item in source.items] == ["train"] * 70 + ["test"]
    assert [entry["name"] for entry in source.skipped] == ["ply_data_train1.h5", "ply_data_test0/00001"]
    assert "not an HDF5 file" in source.skipped[0]["reason"]
    assert "only 3 names" in source.skipped[1]["reason"]
    item = source.items[66]
    assert (item.id, item.label) == ("ply_data_train0/00066", 0)
    loaded = format_of("modelnet40").sample(item, 5, np.random.default_rng(0))
    assert loaded.cloud is not None
    np.testing.assert_array_equal(loaded.cloud.points, clouds[66, :5])


def test_modelnet40_with_normals_behind_the_coordinates(tmp_path: Path) -> None:
    clouds = np.random.default_rng(0).normal(size=(2, 8, 6)).astype(np.float32)
    hdf5(tmp_path / "ply_data_train0.h5", clouds, np.array([0, 1]))
    source = index_source(str(tmp_path))
    loaded = format_of("modelnet40").sample(source.items[1], 8, np.random.default_rng(0))
    assert loaded.cloud is not None
    np.testing.assert_array_equal(loaded.cloud.points, clouds[1, :, :3])


def test_modelnet40_listing_decides_and_must_be_complete(tmp_path: Path) -> None:
    clouds = np.zeros((2, 4, 3), dtype=np.float32)
    for number in (0, 1):
        hdf5(tmp_path / f"ply_data_train{number}.h5", clouds, np.array([0, 2]))
    write(tmp_path, "train_files.txt", "data/somewhere/ply_data_train1.h5\n")
    source = index_source(str(tmp_path))
    assert {Path(item.path).name for item in source.items} == {"ply_data_train1.h5"}
    assert source.classes == ["00", "01", "02"]
    write(tmp_path, "train_files.txt", "ply_data_train7.h5\n")
    with pytest.raises(UserError, match=r"lists ply_data_train7\.h5, which is not there"):
        index_source(str(tmp_path))


@pytest.mark.parametrize(
    ("shape", "labels", "reason"),
    [
        ((2, 4), [0, 0], "expected"),
        ((2, 4, 2), [0, 0], "expected"),
        ((2, 4, 3), [0], "2 shapes but 1 labels"),
    ],
)
def test_modelnet40_files_of_another_form(
    tmp_path: Path, shape: tuple[int, ...], labels: list[int], reason: str
) -> None:
    hdf5(tmp_path / "ply_data_train0.h5", np.zeros(shape, dtype=np.float32), np.array(labels))
    with pytest.raises(UserError, match=reason):
        index_source(str(tmp_path))


def test_builtin_is_even_and_knows_every_part() -> None:
    source = index_source("builtin", count=100, variant="clean", seed=3)
    counts = np.bincount([item.label for item in source.items])
    assert counts.sum() == 100
    assert counts.max() - counts.min() <= 1
    assert len({item.id for item in source.items}) == 100
    for item in source.items[::9]:
        loaded = format_of("builtin").sample(item, 32, np.random.default_rng(0))
        assert loaded.cloud is None
        assert set(loaded.mesh.part_names) <= set(source.parts)
    other = index_source("builtin", count=100, variant="clean", seed=4)
    assert {item.extra["seed"] for item in other.items}.isdisjoint(
        {item.extra["seed"] for item in source.items}
    )


def test_builtin_scans_come_with_a_mesh_for_the_pictures() -> None:
    item: SampleRef = index_source("builtin", count=1, variant="scanned", seed=0).items[0]
    loaded = format_of("builtin").sample(item, 32, np.random.default_rng(0))
    assert loaded.mesh is not None
    assert loaded.cloud is not None
    assert loaded.cloud.points.shape == (32, 3)

"""Folders as people have them: splits, classes, objects in several formats, files that are no shapes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import trimesh
from layout_files import inspected

from adacross.data.collection.build import splits_of
from adacross.data.collection.collection import Collection
from adacross.data.collection.inspect import inspect
from adacross.data.collection.prepare import prepare
from adacross.data.collection.schema import mapped, read_stream, signatures_of
from adacross.data.formats import index_source, measures
from adacross.data.formats.base import DatasetIndex, RawSample, SampleRef
from adacross.data.formats.measures import measure, mixed_units
from adacross.data.shape import Mesh
from adacross.errors import UserError

CLOUD = "0 0 0\n1 2 3\n4 5 7\n" * 6
TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TRIANGLE if path.suffix == ".off" else CLOUD)
    return folder


def several(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number}.off" for folder in folders for number in range(count)]


def splits(index: DatasetIndex) -> dict[str | None, set[str]]:
    """The first split's words of the items' ids, by split."""
    found: dict[str | None, set[str]] = {}
    for item in index.items:
        word = next(word for word in item.id.lower().split("/") if word[:2] in ("tr", "te", "va"))
        found.setdefault(item.split, set()).add(word)
    return found


@pytest.mark.parametrize("training", ["train", "Train", "TRAINING", "train_set", "trainval"])
@pytest.mark.parametrize(
    "layout", ["{}/chair|{}/table", "chair/{}|table/{}", "data/v2/{}/chair|data/v2/{}/table"]
)
def test_folders_give_the_split_above_or_below_the_class(tmp_path: Path, training: str, layout: str) -> None:
    for split in (training, "Testing"):
        tree(tmp_path, *several(*layout.format(split, split).split("|")))
    source = index_source(str(tmp_path))
    assert source.classes == ["chair", "table"]
    assert splits(source) == {"train": {training.lower()}, "test": {"testing"}}
    assert f"The split is that of the folders {', '.join(sorted([training, 'Testing']))}." in source.note


@pytest.mark.parametrize("word", ["val", "Validation", "valid", "dev"])
def test_validation_is_trained_on_beside_a_test_split_and_tested_on_without(
    tmp_path: Path, word: str
) -> None:
    tree(tmp_path, *several("train/a", "train/b", f"{word}/a", f"{word}/b"))
    source = index_source(str(tmp_path))
    assert {item.split for item in source.items if item.id.startswith(word)} == {"test"}
    assert "no test folder: the 6 shapes of val are tested on, not trained on" in source.note
    tree(tmp_path, *several("test/a", "test/b"))
    source = index_source(str(tmp_path))
    assert {item.split for item in source.items if item.id.startswith(word)} == {"train"}
    assert "6 shapes of val are trained on, not tested on" in source.note


@pytest.mark.parametrize("stray", ["template.off", "extra/deep/0.off", "chair/mean.off"])
def test_files_beside_the_split_are_left_out_and_named(tmp_path: Path, stray: str) -> None:
    tree(tmp_path, *several("chair/train", "chair/test", "table/train", "table/test"), stray)
    source = index_source(str(tmp_path))
    assert source.classes == ["chair", "table"]
    assert [entry["name"] for entry in source.skipped] == [stray]
    assert "1 files beside these folders are left out" in source.note


def test_a_split_of_few_files_among_many_does_not_drop_the_rest(tmp_path: Path) -> None:
    tree(tmp_path, *several("train", "test", count=2), *several("parts", count=9))
    source = index_source(str(tmp_path))
    assert len(source.items) == 13
    assert [item.split for item in source.items if item.id.startswith("parts")] == [None] * 9
    assert "9 files beside these folders are drawn for training and testing" in source.note


def test_a_class_called_train_is_no_split(tmp_path: Path) -> None:
    tree(tmp_path, *several("bus", "train"))
    source = index_source(str(tmp_path))
    assert source.classes == ["bus", "train"]
    assert {item.split for item in source.items} == {None}
    inner = tree(tmp_path / "both", *several("train/train", "train/bus", "test/train", "test/bus"))
    source = index_source(str(inner))
    assert source.classes == ["bus", "train"]
    assert {(item.id.split("/")[0], item.split) for item in source.items} == {("train",) * 2, ("test",) * 2}


def test_one_split_alone_is_said(tmp_path: Path) -> None:
    source = index_source(str(tree(tmp_path, *several("Train/cup", "Train/jar"))))
    assert source.classes == ["cup", "jar"]
    assert "Train is the only split, so test shapes are drawn from it." in source.note


@pytest.mark.parametrize("path", ["glbs/000-00{}/{}", "original/{}/B07{}{}"])
def test_folders_that_only_keep_others_short_are_no_classes(tmp_path: Path, path: str) -> None:
    names = [f"{path.format(one, two, one)}.off" for one in "12" for two in "78"]
    source = index_source(str(tree(tmp_path, *names)))
    assert source.classes == []
    assert "their names are numbers, or letters" in source.note


@pytest.mark.parametrize("pair", [("x.off", "x.xyz"), ("plain.off", "colored.xyz")])
def test_files_of_one_object_are_on_one_side(tmp_path: Path, pair: tuple[str, str]) -> None:
    tree(tmp_path, *(f"{number:02d}/model/{name}" for number in range(12) for name in pair))
    source = index_source(str(tmp_path))
    assert "24 files are of 12 objects in several formats" in source.note
    drawn = splits_of(source.items, 0.25, 0)
    assert drawn[::2] == drawn[1::2]
    assert drawn.count("test") == 6


def test_groups_change_no_draw_of_single_items() -> None:
    items = [SampleRef(str(number), label=number % 3) for number in range(50)]
    paired = [SampleRef(f"{item.id}{way}", label=item.label, group=item.id) for item in items for way in "ab"]
    assert splits_of(paired, 0.3, 5)[::2] == splits_of(items, 0.3, 5)


def test_shapes_of_one_class_in_mixed_formats_are_not_one_object(tmp_path: Path) -> None:
    source = index_source(str(tree(tmp_path, "nut/a.off", "nut/b.xyz", "bolt/c.off", "bolt/d.xyz")))
    assert source.classes == ["bolt", "nut"]
    assert {item.group for item in source.items} == {""}


@pytest.mark.slow
def test_every_file_that_is_not_read_is_counted(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a/0.off", "a/1.xyz", "a/2.off", "b/4.fbx", "b/5.FBX", "LICENSE", ".hidden.fbx")
    (tmp_path / "in" / "calib.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n")
    (tmp_path / "in" / "a" / "skin.png").write_bytes(b"")
    found = prepare(str(tmp_path / "in"), str(tmp_path / "c"), points=16, views=0, workers=1)
    assert found.info.count == 3
    assert found.info.unread == {".fbx": 2, ".png": 1, ".txt": 1, "without ending": 1}
    assert "2 .fbx (b/4.fbx, b/5.FBX), 1 .png (a/skin.png), 1 .txt (calib.txt)" in found.info.note
    assert "2 .fbx (b/4.fbx, b/5.FBX)" in inspected(tmp_path / "in")[1]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.fbx", "b/c.blend"], r"it holds \.blend 1, \.fbx 1, none of which is read; export them as \.3mf"),
        (["a.zip", "b.off.gz"], r"it holds \.gz 1, \.zip 1; unpack b\.off\.gz first"),
        (["train0.h5"], r"it holds \.h5 1; HDF5 files are read where they are named as those of a data set"),
        ([], "it is empty"),
    ],
)
def test_a_refusal_says_first_what_is_there(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(UserError, match=f"holds no shapes of a known format: {said}"):
        index_source(str(tree(tmp_path, *names)))
    if names:
        with pytest.raises(UserError, match=f"holds no shapes: {said}"):
            index_source(str(tmp_path), format="files")


def test_file_types_of_other_axes_are_named(tmp_path: Path) -> None:
    tree(tmp_path, "a.off", "b.xyz")
    assert "The up axis differs by file type (y for .xyz, z for .off" in index_source(str(tmp_path)).note
    assert "axis" not in index_source(str(tmp_path), up="z").note


@pytest.mark.slow
def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).normal(size=(50, 3)))
    found = prepare(str(tmp_path / "scan.npy"), str(tmp_path / "c"), points=16, views=0, workers=1)
    assert found.ids == ["scan.npy"]
    assert inspect(str(tmp_path / "scan.npy")).kind == "files"
    assert index_source(str(tmp_path / "scan.npy"), format="clouds").format == "files"  # an earlier name


@pytest.mark.slow
def test_the_size_of_every_shape_is_kept(tmp_path: Path) -> None:
    box = trimesh.creation.box((2, 4, 6))
    for name in ("box.off", "box.stl", "box.obj"):
        write_mesh(tmp_path / "in" / name, box)
    box.update_faces(np.arange(12) > 1)
    write_mesh(tmp_path / "in" / "open.off", box)
    cloud = np.random.default_rng(0).normal(size=(400, 3))
    np.save(tmp_path / "in" / "scan.npy", cloud)
    options = {"points": 16, "views": 0, "workers": 1, "test_fraction": 0.0, "up": "by-format"}
    made = prepare(str(tmp_path / "in"), str(tmp_path / "c"), **options)  # type: ignore[arg-type]
    table = read_stream(mapped(next(made.folder.glob("data-*.arrow"))))
    rows = {row["id"]: row for row in table.to_pylist()}
    for name in ("box.off", "box.stl", "box.obj"):
        row = rows[name]
        assert (row["lower"], row["upper"]) == ([-1, -2, -3], [1, 2, 3])
        assert (row["watertight"], row["triangles"], row["path"]) == (True, 12, name)
        assert (row["area"], row["volume"]) == pytest.approx((88, 48))
        assert row["sha256"] == hashlib.sha256((tmp_path / "in" / name).read_bytes()).hexdigest()
        assert row["content"] == rows["box.off"]["content"]
    assert (rows["open.off"]["watertight"], rows["open.off"]["volume"]) == (False, None)
    scan = rows["scan.npy"]
    assert (scan["area"], scan["volume"], scan["triangles"]) == (None, None, 0)
    np.testing.assert_allclose(scan["upper"], cloud.max(0), rtol=1e-6)  # of all its points


def test_a_mesh_of_many_triangles_is_measured_without_its_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    box = trimesh.creation.box((1, 2, 3))
    raw = RawSample(mesh=Mesh(np.array(box.vertices, np.float64), np.array(box.faces, np.int64)))
    assert measure(raw).watertight
    monkeypatch.setattr(measures, "MOST", 11)
    found = measure(raw)
    assert (found.watertight, found.volume, found.content, found.triangles) == (None, None, "", 12)
    assert found.area == pytest.approx(22)


def test_copies_of_training_shapes_are_named(tmp_path: Path) -> None:
    box = trimesh.creation.box((2, 4, 6))
    for name in ("train/a.off", "test/same.off", "test/other.stl"):
        write_mesh(tmp_path / "in" / name, box)
    write_mesh(tmp_path / "in" / "test/cone.off", trimesh.creation.cone(1, 2))
    info = prepare(str(tmp_path / "in"), str(tmp_path / "c"), points=16, views=0, workers=1).info
    assert info.warnings == [
        {"name": "test/other.stl", "reason": "the same surface or cloud as train/a.off, which is trained on"},
        {"name": "test/same.off", "reason": "the same file as train/a.off, which is trained on"},
    ]
    assert "2 test shapes are copies of training shapes." in info.note


def test_turned_and_resized_copies_are_named_and_signatures_kept(tmp_path: Path) -> None:
    write_mesh(tmp_path / "in/train/a.off", trimesh.creation.box((2, 4, 6)))
    write_mesh(tmp_path / "in/test/b.off", trimesh.creation.box((3, 2, 1)).subdivide())
    write_mesh(tmp_path / "in/test/c.off", trimesh.creation.box((3, 2, 2)))
    made = prepare(str(tmp_path / "in"), str(tmp_path / "c"), points=16, views=0, workers=1)
    reason = "the same surface, turned or resized, as train/a.off, which is trained on"
    assert made.info.warnings == [{"name": "test/b.off", "reason": reason}]
    assert made.info.copied == 1
    sizes = {name: kept.size for name, kept in zip(made.ids, made.signatures(), strict=True) if kept}
    assert sizes["train/a.off"] == pytest.approx(2 * sizes["test/b.off"])
    table = pa.concat_tables([read_stream(mapped(path)) for path in made.folder.glob("data-*.arrow")])
    assert signatures_of(table.drop_columns("signature")) == [None, None, None]  # an older collection


@pytest.mark.parametrize(("factor", "said"), [(25.4, "inches"), (1000.0, "meters"), (6.0, None)])
def test_two_groups_of_sizes_are_said(factor: float, said: str | None) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.uniform(8, 14, 40)
    sizes[::2] *= factor
    found = mixed_units(sizes)
    assert (said is None) == (found == "")
    assert said is None or f"some are in {said}" in found
    assert not mixed_units(np.geomspace(1, 1000, 60))  # bolts and beams of one unit
    assert not mixed_units(np.zeros(9))


def test_inspect_says_sizes_and_mixed_units(tmp_path: Path) -> None:
    for number in range(6):
        size = (1 + 0.1 * number) * (25.4 if number % 2 else 1)
        write_mesh(tmp_path / f"{number}.off", trimesh.creation.box((size, 1, 1)))
    _, said = inspected(tmp_path)
    assert "1 to 38.1, the longest side" in said
    assert "perhaps some are in inches" in said


def write_mesh(path: Path, mesh: trimesh.Trimesh) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh.export(path)


@pytest.mark.slow
def test_an_update_keeps_objects_together_and_names_new_copies(tmp_path: Path) -> None:
    def made(name: str) -> Collection:
        return prepare(
            str(tmp_path / name), str(tmp_path / f"c-{name}"), points=16, views=0, workers=1, update=True
        )

    for number in range(6):
        write_mesh(tmp_path / "drawn" / f"{number}.obj", trimesh.creation.box((1, 2, 3 + number)))
    old = made("drawn")
    for number in range(6):
        write_mesh(tmp_path / "drawn" / f"{number}.glb", trimesh.creation.box((1, 2, 3 + number)))
    new = made("drawn")
    sides = {new.ids[i]: new[i].split for i in range(len(new))}
    assert all(sides[f"{number}.glb"] == sides[f"{number}.obj"] for number in range(6))
    assert all(sides[old.ids[i]] == old[i].split for i in range(len(old)))
    assert not new.info.warnings
    for name, height in (("train/a.obj", 1), ("test/b.obj", 2)):
        write_mesh(tmp_path / "given" / name, trimesh.creation.box((1, 2, height)))
    assert not made("given").info.warnings
    write_mesh(tmp_path / "given" / "test/c.glb", trimesh.creation.box((1, 2, 1)))
    said = {"name": "test/c.glb", "reason": "the same surface or cloud as train/a.obj, which is trained on"}
    assert made("given").info.warnings == [said]
    assert made("given").info.warnings == [said]


@pytest.mark.slow
def test_an_update_reads_only_what_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(**options: Any) -> Collection:
        small = {"points": 16, "views": 1, "size": 16, "workers": 1, "classes": "folder"}
        return prepare(str(tmp_path / "in"), str(tmp_path / "c"), **small | options)

    def add(*names: str) -> None:
        for number, name in enumerate(names):
            write_mesh(tmp_path / "in" / f"{name}.off", trimesh.creation.box((1, 2, 3 + number + len(name))))

    add("jar/a", "jar/b", "jar/c", "jar/d", "pan/a", "pan/b", "pan/c", "pan/d")
    old = made(update=True, test_fraction=0.25)  # there is none yet
    before = {old.ids[i]: old[i] for i in range(len(old))}
    add("cup/new", "cup/newer", "pan/d")
    (tmp_path / "in" / "jar/b.off").unlink()
    capsys.readouterr()
    new = made(update=True, test_fraction=0.25)
    assert "update: 6 shapes are kept, 3 are read, 1 are gone." in capsys.readouterr().err
    assert new.info.classes == ["cup", "jar", "pan"]
    assert new.ids == ["cup/new.off", "cup/newer.off", *(n for n in old.ids if n != "jar/b.off")]
    for i, name in enumerate(new.ids[2:], 2):
        assert new[i].split == before[name].split
        assert new.info.classes[new[i].label or 0] == name.split("/")[0]
        assert np.array_equal(new[i].points, before[name].points) == (name != "pan/d.off")
    with pytest.raises(UserError, match=r"other options \(seed was 0, is 1\)"):
        made(update=True, test_fraction=0.25, seed=1)
    with pytest.raises(UserError, match="--overwrite"):
        made(test_fraction=0.25)

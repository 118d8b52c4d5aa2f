"""Features of a collection, a folder of meshes, a list of files: `adacross embed`."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trimesh

import adacross
from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.single import load_shape
from adacross.embeddings import command, features_of, read_embeddings
from adacross.errors import UserError


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Two boxes, a ball, and a file that is no mesh."""
    folder = tmp_path / "parts"
    for name, mesh in (
        ("box/a.stl", trimesh.creation.box((1, 2, 3))),
        ("box/b.stl", trimesh.creation.box((1, 1, 3))),
        ("ball/c.stl", trimesh.creation.icosphere(2)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        mesh.export(folder / name)
    (folder / "ball/broken.stl").write_bytes(b"no mesh")
    return folder


def test_a_collection(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    out = tmp_path / "toy.parquet"
    done = adacross.embed(str(toy_run), str(toy_collection.folder), str(out))
    found = read_embeddings(out)
    assert (done.count, done.points, done.skipped) == (len(toy_collection), 48, [])
    assert found.ids == toy_collection.ids
    assert found.classes == [toy_collection.info.classes[label] for label in toy_collection.labels]
    test = toy_collection.indices("test")
    assert [i for i, split in enumerate(found.splits) if split == "test"] == test.tolist()
    encoder = adacross.load(toy_run / "encoder")
    assert np.array_equal(found.features, features_of(encoder, toy_collection))
    expected = adacross.encode(encoder, toy_collection.points(np.array([7]))[:, :48])
    assert np.allclose(found.features[7], expected[0], atol=1e-5)
    assert found.about["encoder"]["inputs"] == {"up": "y", "scale": "unit sphere", "points": 48}
    assert not (tmp_path / "toy.parquet.partial").exists()


def test_other_programs_read_it(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    import datasets

    out = tmp_path / "toy.parquet"
    adacross.embed(str(toy_run), str(toy_collection.folder), str(out))
    rows = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    assert rows.column_names == ["id", "class", "split", "features"]
    assert len(rows[3]["features"]) == read_embeddings(out).features.shape[1]


def test_a_folder_of_meshes_with_a_broken_one(
    meshes: Path, toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "parts.parquet"
    assert main(["embed", str(toy_run), str(meshes), str(out), "--up", "z", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "3 shapes" in printed
    assert "ball/broken.stl" in printed
    found = read_embeddings(out)
    assert found.ids == ["ball/c.stl", "box/a.stl", "box/b.stl"]
    assert found.classes == ["ball", "box", "box"]
    assert found.splits == [None, None, None]


def test_an_axis_that_was_not_given_is_said(
    meshes: Path, toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    adacross.embed(str(toy_run), str(meshes), str(tmp_path / "a.parquet"), workers=1)
    said = " ".join(capsys.readouterr().err.split())
    assert "taken as y up" in said
    adacross.embed(str(toy_run), str(meshes), str(tmp_path / "b.parquet"), workers=1, points=64)
    assert "trained with 48 points a cloud, these have 64" in " ".join(capsys.readouterr().err.split())


def test_a_list_of_files(meshes: Path, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [str(meshes / "box/b.stl"), str(meshes / "ball/c.stl"), str(meshes / "box/b.stl")]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(paths) + "\n\n"))
    out = tmp_path / "list.parquet"
    assert main(["embed", str(toy_run), "-", str(out), "--up", "z", "--workers", "1"]) == 0
    found = read_embeddings(out)
    assert found.ids == paths[:2]
    encoder = adacross.load(toy_run / "encoder")
    shape = load_shape(paths[0], points=48, up="z")
    assert np.allclose(found.features[0], adacross.encode(encoder, shape.points[None])[0], atol=1e-5)


def test_one_file(meshes: Path, toy_run: Path, tmp_path: Path):
    path, out = meshes / "ball/c.stl", tmp_path / "one.parquet"
    assert adacross.embed(str(toy_run), str(path), str(out), up="y", workers=1).count == 1
    assert read_embeddings(out).ids == [str(path)]


def test_a_damaged_note_of_an_interrupted_embed_is_named(
    toy_collection: Collection, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "BLOCK", 50)
    calls = []

    def stopped(encoder: object, clouds: np.ndarray, **options: object) -> np.ndarray:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return adacross.encode(encoder, clouds)

    monkeypatch.setattr(command, "encode", stopped)
    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        adacross.embed(str(toy_run), str(toy_collection.folder), str(out))
    note = tmp_path / "out.parquet.partial" / "part-000000.json"
    note.write_text('{"name": 3}')
    with pytest.raises(UserError, match=r"part-000000\.json is not a block's note"):
        adacross.embed(str(toy_run), str(toy_collection.folder), str(out))
    note.unlink()
    assert adacross.embed(str(toy_run), str(toy_collection.folder), str(out)).count == len(toy_collection)


def test_an_interrupted_embed_goes_on(
    toy_collection: Collection, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    monkeypatch.setattr(command, "BLOCK", 50)
    arguments = (str(toy_run), str(toy_collection.folder))
    adacross.embed(*arguments, str(whole))
    encode, calls = command.encode, []

    def stopped(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(*args, **options)

    monkeypatch.setattr(command, "encode", stopped)
    with pytest.raises(KeyboardInterrupt, match="2 blocks of 50 shapes are kept"):
        adacross.embed(*arguments, str(out))
    assert not out.exists()
    adacross.embed(*arguments, str(out))
    assert len(calls) == 3 + 3  # of five blocks two were done
    assert read_embeddings(out).ids == read_embeddings(whole).ids
    assert np.array_equal(read_embeddings(out).features, read_embeddings(whole).features)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"points": 65}, "points is 65; the data has 64 a shape"),
        ({"points": 0}, "points is 0"),
        ({"up": "z"}, "is a collection: y up already"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_options_that_cannot_be(
    options: dict, said: str, toy_collection: Collection, toy_run: Path, tmp_path: Path
):
    with pytest.raises(UserError, match=said):
        adacross.embed(str(toy_run), str(toy_collection.folder), str(tmp_path / "a.parquet"), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    out = tmp_path / "a.parquet"
    out.write_text("precious")
    with pytest.raises(UserError, match="--overwrite"):
        adacross.embed(str(toy_run), str(toy_collection.folder), str(out))
    assert out.read_text() == "precious"


def test_nothing_readable_ends_in_the_reasons(toy_run: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/broken.stl").write_bytes(b"no mesh")
    with pytest.raises(UserError, match=r"none of the 1 shapes(.|\n)*broken\.stl"):
        adacross.embed(str(toy_run), str(tmp_path / "in"), str(tmp_path / "a.parquet"), workers=1)
    assert not (tmp_path / "a.parquet.partial").exists()


def test_a_block_of_broken_files_costs_only_itself(
    meshes: Path, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "BLOCK", 1)
    out = tmp_path / "parts.parquet"
    done = adacross.embed(str(toy_run), str(meshes), str(out), up="z", workers=1)
    assert (done.count, [entry["name"] for entry in done.skipped]) == (3, ["ball/broken.stl"])
    assert read_embeddings(out).ids == ["ball/c.stl", "box/a.stl", "box/b.stl"]


def test_an_encoder_of_another_axis_is_refused(toy_run: Path, tmp_path: Path):
    folder = tmp_path / "encoder"
    adacross.load(toy_run / "encoder").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"inputs": {"up": "z"}}))
    with pytest.raises(UserError, match="z up, unit sphere; here all clouds are y up"):
        adacross.load(folder)
    (folder / "config.json").write_text(json.dumps(config | {"inputs": {"points": "many"}}))
    with pytest.raises(UserError, match="points is 'many'"):
        adacross.load(folder)
    del config["inputs"]  # as older versions wrote
    (folder / "config.json").write_text(json.dumps(config))
    assert adacross.load(folder).inputs.points is None


def table(**changed: pa.Array) -> pa.Table:
    columns = {
        "id": pa.array(["a", "b"]),
        "class": pa.array([None, "x"]),
        "split": pa.array(["train", None]),
        "features": pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4], pa.float32()), 2),
    }
    return pa.table(columns | changed).replace_schema_metadata({"adacross": "{}"})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (table().drop_columns("id"), "no embeddings"),
        (table(id=pa.array(["a", "a"])), "an id twice"),
        (table(id=pa.array([1, 2])), "no embeddings"),
        (table(features=pa.array([[1.0], [2.0]])), "no embeddings"),
        (table().replace_schema_metadata({}), "no embeddings"),
        (
            table(features=pa.FixedSizeListArray.from_arrays(pa.array([1, np.nan], pa.float32()), 1)),
            "NaN or infinite",
        ),
    ],
)
def test_other_parquet_files_are_refused(wrong: pa.Table, said: str, tmp_path: Path):
    pq.write_table(wrong, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=said):
        read_embeddings(tmp_path / "a.parquet")


def test_damaged_and_missing_files_are_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"a\.parquet does not exist"):
        read_embeddings(tmp_path / "a.parquet")
    pq.write_table(table(), tmp_path / "a.parquet")
    assert len(read_embeddings(tmp_path / "a.parquet")) == 2
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"a\.parquet holds no embeddings"):
        read_embeddings(tmp_path / "a.parquet")

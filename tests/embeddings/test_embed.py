"""Features of a collection, a folder of meshes, a list of files: `adacross embed`."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trimesh
from PIL import Image

import adacross
from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.sample import load_shape
from adacross.embeddings import embed as module
from adacross.embeddings.table import Embeddings, read_embeddings
from adacross.errors import UserError
from adacross.features import collection as features_module
from adacross.features.collection import collection_features
from adacross.features.projection import clusters_of
from adacross.search.map import compute_map


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
    assert repr(found) == f"Embeddings(220 shapes x {done.dim} features)"
    assert found.classes == [toy_collection.info.classes[label] for label in toy_collection.labels]
    test = toy_collection.indices("test")
    assert [i for i, split in enumerate(found.splits) if split == "test"] == test.tolist()
    encoder = adacross.load(toy_run / "encoder")
    assert np.array_equal(found.features, collection_features(encoder, toy_collection))
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


COLUMNS = ["path", "size_x", "size_y", "size_z", "thumbnail", "x", "y", "cluster"]


@pytest.mark.slow
def test_columns_of_a_collection(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    out = tmp_path / "toy.parquet"
    wanted = ["path", "size", "thumbnail", "map", "cluster"]
    adacross.embed(str(toy_run), str(toy_collection.folder), str(out), columns=wanted)
    found = pq.read_table(out)
    assert found.column_names == ["id", "class", "split", *COLUMNS, "features"]
    assert found["path"].null_count == len(found)  # built-in shapes are in no file
    sides = [found[f"size_{axis}"].to_numpy() for axis in "xyz"]
    assert np.allclose(np.stack(sides, axis=1), toy_collection.sizes())
    image = Image.open(io.BytesIO(found["thumbnail"][7]["bytes"].as_py()))
    assert np.array_equal(np.asarray(image.convert("RGB")), toy_collection.thumbnail(7))
    xy = np.stack([found["x"], found["y"]], axis=1)
    assert np.array_equal(xy, compute_map(adacross.SearchIndex(toy_collection, toy_run, device="cpu")).xy)
    assert found["cluster"].to_pylist() == clusters_of(xy).tolist()
    assert list(read_embeddings(out, ["x"]).columns) == ["x"]


def test_other_programs_see_the_thumbnails(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    import datasets

    out = tmp_path / "toy.parquet"
    adacross.embed(str(toy_run), str(toy_collection.folder), str(out), columns=["thumbnail"])
    rows = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    assert np.array_equal(np.asarray(rows[3]["thumbnail"].convert("RGB")), toy_collection.thumbnail(3))


def test_csv(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    out = tmp_path / "toy.csv"
    assert main(["embed", str(toy_run), str(toy_collection.folder), str(out), "--columns", "size"]) == 0
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == toy_collection.ids
    assert list(rows[0])[:7] == ["id", "class", "split", "size_x", "size_y", "size_z", "feature_0"]
    features = [[float(row[name]) for name in row if name.startswith("feature_")] for row in rows]
    expected = collection_features(adacross.load(toy_run / "encoder"), toy_collection)
    assert np.array_equal(np.array(features, np.float32), expected)


def test_text_that_a_spreadsheet_would_run_is_text_in_csv(tmp_path: Path):
    rows = Embeddings(["=1+1"], [None], [None], np.ones((1, 2), np.float32), {})
    rows.write(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith('"\'=1+1",,,1')


@pytest.mark.parametrize(
    ("name", "columns", "said"),
    [
        ("a.txt", [], r"a\.txt ends in \.txt; embed writes Parquet and CSV: give .*a\.parquet or .*a\.csv"),
        ("a", [], "a has no ending"),
        ("a.csv", ["thumbnail"], r"a\.csv cannot hold thumbnails; give .*a\.parquet"),
    ],
)
def test_tables_that_cannot_be(
    name: str, columns: list[str], said: str, toy_collection: Collection, toy_run: Path, tmp_path: Path
):
    with pytest.raises(UserError, match=said):
        adacross.embed(str(toy_run), str(toy_collection.folder), str(tmp_path / name), columns=columns)
    assert list(tmp_path.iterdir()) == []


def test_another_ending_ends_the_command_in_a_sentence(
    toy_run: Path, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["embed", str(toy_run), str(toy_collection.folder), str(tmp_path / "a.xlsx")]) == 2
    assert "embed writes Parquet and CSV" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_columns_of_files(meshes: Path, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(meshes.parent)
    out = tmp_path / "parts.parquet"
    wanted = ["path", "size", "thumbnail", "map", "cluster"]
    adacross.embed(str(toy_run), "parts", str(out), up="z", workers=1, columns=wanted)
    found = pq.read_table(out)
    assert found["path"].to_pylist() == [str(meshes / name) for name in found["id"].to_pylist()]
    assert [found[f"size_{axis}"][1].as_py() for axis in "xyz"] == pytest.approx([1, 2, 3])
    image = np.asarray(Image.open(io.BytesIO(found["thumbnail"][0]["bytes"].as_py())))
    assert image.shape == (224, 224, 3)
    assert image.std() > 10
    assert found["cluster"].to_pylist() == [-1, -1, -1]
    plain = tmp_path / "plain.parquet"
    adacross.embed(str(toy_run), "parts", str(plain), up="z", workers=1)
    assert np.array_equal(read_embeddings(plain).features, read_embeddings(out).features)


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_axis_that_was_not_given_is_said(
    meshes: Path, toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    adacross.embed(str(toy_run), str(meshes), str(tmp_path / "a.parquet"), workers=1)
    said = " ".join(capsys.readouterr().err.split())
    assert "taken as z up" in said
    adacross.embed(str(toy_run), str(meshes), str(tmp_path / "b.parquet"), workers=1, points=64)
    assert "trained with 48 points a cloud, these have 64" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_interrupted_embed_of_files_goes_on_and_a_damaged_note_is_named(
    meshes: Path, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "BLOCK", 1)
    encode, calls = module.encode, []

    def stopped(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(*args, **options)

    monkeypatch.setattr(module, "encode", stopped)
    out = tmp_path / "out.parquet"
    options = {"up": "z", "workers": 1}
    with pytest.raises(KeyboardInterrupt, match="3 blocks of 1 shapes are kept"):  # one of them is broken
        adacross.embed(str(toy_run), str(meshes), str(out), **options)
    assert not out.exists()
    note = tmp_path / "out.parquet.partial" / "part-000001.json"
    note.write_text('{"name": 3}')
    with pytest.raises(UserError, match=r"part-000001\.json is not a block's note"):
        adacross.embed(str(toy_run), str(meshes), str(out), **options)
    note.unlink()
    done = adacross.embed(str(toy_run), str(meshes), str(out), **options)
    assert len(calls) == 3 + 2  # the block without a note, and the last
    assert (done.count, [entry["name"] for entry in done.skipped]) == (3, ["ball/broken.stl"])
    assert read_embeddings(out).ids == ["ball/c.stl", "box/a.stl", "box/b.stl"]
    assert not (tmp_path / "out.parquet.partial").exists()


def test_an_interrupted_embed_of_a_collection_goes_on_and_is_cached(
    toy_collection: Collection, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(features_module, "BLOCK", 50)
    encode, calls = features_module.encode, []

    def stopped(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(*args, **options)

    monkeypatch.setattr(features_module, "encode", stopped)
    arguments = (str(toy_run), str(toy_collection.folder))
    with pytest.raises(KeyboardInterrupt, match="2 blocks of 50 shapes are kept"):
        adacross.embed(*arguments, str(tmp_path / "out.parquet"))
    assert not (tmp_path / "out.parquet").exists()
    adacross.embed(*arguments, str(tmp_path / "out.parquet"))
    assert len(calls) == 3 + 3  # of five blocks two were done
    adacross.embed(*arguments, str(tmp_path / "again.parquet"))
    adacross.SearchIndex(toy_collection, toy_run, device="cpu")
    assert len(calls) == 6  # one cache for `embed` and `search`
    found = read_embeddings(tmp_path / "out.parquet")
    assert found.ids == toy_collection.ids
    assert np.array_equal(found.features, read_embeddings(tmp_path / "again.parquet").features)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"points": 65}, "points is 65; the data has 64 a shape"),
        ({"points": 0}, "points is 0"),
        ({"up": "z"}, "a collection is y up already"),
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


@pytest.mark.slow
def test_a_block_of_broken_files_costs_only_itself(
    meshes: Path, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "BLOCK", 1)
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
        (table().drop_columns("id"), "not a file of embeddings"),
        (table(id=pa.array(["a", "a"])), "an id twice"),
        (table(id=pa.array([1, 2])), "not a file of embeddings"),
        (table(features=pa.array([[1.0], [2.0]])), "not a file of embeddings"),
        (table().replace_schema_metadata({}), "not a file of embeddings"),
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
    with pytest.raises(UserError, match=r"a\.parquet is not a file of embeddings") as caught:
        read_embeddings(tmp_path / "a.parquet")
    assert str(caught.value).count("a.parquet") == 1

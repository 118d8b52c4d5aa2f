"""Bugs that damaged files brought to light, one case each."""

import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import seed_files
import seed_runs
import torch
from crafted import crafted_for
from hostile_readers import prepared
from layout_files import inspected
from PIL import EpsImagePlugin

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.inspect import inspect
from adacross.data.formats import index_source
from adacross.data.formats.files import read_mesh
from adacross.data.formats.gltf import read_gltf
from adacross.data.formats.text import file_below
from adacross.data.image_set import read_image_set
from adacross.data.images import LARGEST_SIDE, read_views
from adacross.data.shape import BrokenShapeError, Mesh
from adacross.encoders import PointM2AE, PointNet, load, load_official
from adacross.errors import UserError
from adacross.io.files import LARGEST_YAML, file_size, fits, read_bytes, read_json, read_yaml, write_json
from adacross.report import write_report
from adacross.training.checkpoint import load_checkpoint
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ghostscript is there, and to start it fails the test."""

    def started(*_: Any, **__: Any) -> None:
        pytest.fail("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    monkeypatch.setattr(EpsImagePlugin.subprocess, "check_call", started)


@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_opened(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match=r"Not a file|Is a directory"):
        file_size(path)
    with pytest.raises(
        UserError, match=f"cannot read .*{what}: (Not a file|Is a directory).*expected a note"
    ):
        read_json(path, "a note")


def test_larger_files_than_allowed_are_not_read(tmp_path: Path) -> None:
    path = put(tmp_path / "x", b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="5 bytes are more than the 4"):
        read_bytes(path, 4)


@pytest.mark.parametrize("content", [b"[" * 99_999, b"9" * 5000, b"\xff", b"{", b""])
def test_json_that_python_cannot_read_is_named(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"note.json is not valid JSON"):
        read_json(put(tmp_path / "note.json", content), "a note")


def test_names_that_are_no_text_survive_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"chair-\xff.off")
    write_json(tmp_path / "x.json", {name: name})
    assert read_json(tmp_path / "x.json", "names") == {name: name}


def test_yaml_of_plain_values_only(tmp_path: Path) -> None:
    assert read_yaml(put(tmp_path / "a.yaml", b"a: [1, 2.5, x]\n"), "options") == {"a": [1, 2.5, "x"]}
    for content, reason in (
        (b"a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"a: &x [1]\nb: *x", "an alias"),
        (b"a: &x [*x]", "an alias"),
        (b"[" * 5000, "nested more than 16 deep"),
        (b"#" * (LARGEST_YAML + 1), "bytes are more than"),
        (b"a: !!timestamp x", "groupdict"),
    ):
        with pytest.raises(UserError, match=f"b.yaml.*{reason}"):
            read_yaml(put(tmp_path / "b.yaml", content), "options")


def test_values_of_json_and_types() -> None:
    assert fits({"a": [1, 2]}, dict[str, list[int]])
    assert not fits({"a": [1, True]}, dict[str, list[int]])
    assert not fits([{"a": 1.0}], list[dict[str, str]])
    assert fits(None, Any)


def test_a_thin_picture_does_not_become_a_huge_square(tmp_path: Path) -> None:
    files = crafted_for("pictures, PNG")
    path = put(tmp_path / "thin.png", files["thin, and a square of 3 billion"])
    views, remarks = read_views([path], 1, 16)
    assert views is None
    assert f"thin.png cannot be read (60000 x 1 pixels, more than {LARGEST_SIDE:,}" in remarks[0]


def test_a_picture_bomb_is_named_without_a_warning(tmp_path: Path) -> None:
    path = put(tmp_path / "bomb.png", crafted_for("pictures, PNG")["400 million pixels, packed"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_views([path], 1, 16)[0] is None


def test_no_program_is_started_for_a_picture(no_programs: None, tmp_path: Path) -> None:
    script = crafted_for("pictures, PNG")["PostScript, which is a program"]
    assert read_views([put(tmp_path / "a.png", script)], 1, 16)[1] == [
        "a.png cannot be read (no picture: none of PNG, JPEG, WEBP, BMP)"
    ]
    seed_files.obj(tmp_path)
    put(tmp_path / "box" / "skin.png", script)
    (said,) = read_mesh(tmp_path / "box" / "a.obj").warnings
    assert said.startswith("its texture skin.png cannot be used (no picture: none of PNG")
    shining = crafted_for("GLB")["a shining texture in PostScript"]
    read_gltf(put(tmp_path / "a.glb", shining))
    assert EpsImagePlugin.gs_binary == "gs"


@pytest.mark.parametrize("place", [60, 80, 100])
def test_a_damaged_texture_costs_the_color_alone(place: int, tmp_path: Path) -> None:
    seed_files.obj(tmp_path)
    skin = tmp_path / "box" / "skin.png"
    whole = skin.read_bytes()
    skin.write_bytes(whole[:place] + b"\xff\xff\xff" + whole[place + 3 :])
    mesh = read_mesh(tmp_path / "box" / "a.obj")
    assert isinstance(mesh, Mesh)
    assert len(mesh.faces) == 12
    assert mesh.warnings[0].startswith("its texture skin.png cannot be used")


def test_ten_thousand_materials_do_not_take_minutes(tmp_path: Path) -> None:
    mesh = read_mesh(put(tmp_path / "a.obj", crafted_for("OBJ")["10,000 materials"]))
    assert isinstance(mesh, Mesh)
    assert len(mesh.faces) == 10_000


def test_zeros_that_lie_nowhere_in_a_glb(tmp_path: Path) -> None:
    with pytest.raises(BrokenShapeError, match="1,000,000,000 numbers promised that are not in the file"):
        read_gltf(put(tmp_path / "a.glb", crafted_for("GLB")["a billion points out of nothing"]))


@pytest.mark.parametrize(
    "name",
    [
        "a billion shapes, never written", "a billion points, never written", "a billion labels",
        "a link to another file", "data in another file", "data put together from another file",
        "text of any length", "a folder within itself",
    ],
)  # fmt: skip
def test_hdf5_that_promises_or_points_elsewhere(name: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = seed_files.clouds(2)
    seed_files.modelnet40(tmp_path / "source")
    put(tmp_path / "source" / "ply_data_train0.h5", crafted_for("ModelNet40, HDF5")[name])
    skipped = index_source(str(tmp_path / "source")).skipped
    assert [entry["name"] for entry in skipped] == ["ply_data_train0.h5"]


def test_names_in_lists_stay_in_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "source"
    seed_files.shapenetpart(root)
    (tmp_path / "secret.txt").write_text(seed_files.rows(seed_files.clouds(1, 4)[0] * 0))
    put(root / "train_test_split" / "shuffled_train_file_list.json", b'["shape_data/../secret"]')
    put(root / "synsetoffset2category.txt", b"Airplane\t..\nMug\t03797390\n")
    source = index_source(str(root))
    assert [Path(item.path).parent.name for item in source.items] == ["03797390"]
    assert "../secret.txt is not there" in source.skipped[0]["reason"]
    for name in ("../secret.txt", "a/../../secret.txt", str(tmp_path / "secret.txt"), "x" * 999, "a\0", ".."):
        assert file_below(root, name) is None
    assert file_below(tmp_path, "secret.txt") == tmp_path / "secret.txt"


def test_an_empty_list_of_files_is_named(tmp_path: Path) -> None:
    seed_files.modelnet40(tmp_path)
    put(tmp_path / "train_files.txt", b"\n")
    with pytest.raises(UserError, match=r"train_files.txt lists no file"):
        index_source(str(tmp_path))


def test_one_link_in_a_circle_does_not_cost_the_other_pictures(tmp_path: Path) -> None:
    seed_files.shapenet(tmp_path)
    path = tmp_path / "ShapeNetRendering" / "02691156" / "a" / "rendering" / "00.png"
    path.unlink()
    path.symlink_to(path.name)
    ((name, remark),) = prepared(tmp_path)
    assert name == "02691156/a.ply"
    assert "00.png cannot be read" in remark
    assert "rendered" not in remark


@pytest.mark.slow
def test_file_names_that_are_no_text_are_prepared_and_shown(tmp_path: Path) -> None:
    seed_files.off(tmp_path / "whole")
    root = tmp_path / "source"
    content = (tmp_path / "whole" / "box" / "a.off").read_bytes()
    put(root / os.fsdecode(b"ch\xffair") / os.fsdecode(b"\xfe.off"), content)
    put(root / "torn" / os.fsdecode(b"\xfd.off"), b"OFF")
    for name in (b"ch\xffair", b"torn"):
        put(root / os.fsdecode(name) / "b.off", content)
    source = index_source(str(root))
    assert {item.id for item in source.items} >= {"ch\\udcffair/\\udcfe.off", "torn/\\udcfd.off"}
    assert source.classes == ["ch\\udcffair", "torn"]
    assert [name for name, _ in prepared(root)] == ["torn/\\udcfd.off"]
    assert "ch\\udcffair 2" in inspected(root)[1]


def test_classes_of_pictures_that_are_no_text(tmp_path: Path) -> None:
    for name in (b"\xff", b"b"):
        put(tmp_path / os.fsdecode(name) / "0.png", seed_files.picture())
    assert read_image_set(tmp_path, 16).classes == ["b", "\\udcff"]


@pytest.mark.parametrize(
    "name", [*["no pictures", "no points", "no name", "a label of no class", "a label below none"]]
)
def test_arrow_files_that_hold_less_than_they_promise(name: str, tmp_path: Path) -> None:
    seed_runs.collection(tmp_path)
    put(tmp_path / "data-00000-of-00001.arrow", crafted_for("collection, Arrow")[name])
    with pytest.raises(UserError, match=r"data-00000-of-00001.arrow is damaged"):
        Collection.open(tmp_path)


def test_offsets_that_lead_out_of_an_arrow_file(tmp_path: Path) -> None:
    seed_runs.collection(tmp_path)
    path = tmp_path / "data-00000-of-00001.arrow"
    whole = path.read_bytes()
    ends = (0).to_bytes(4, "little") + (7).to_bytes(4, "little") + (13).to_bytes(4, "little")
    assert whole.count(ends) == 1  # of the two ids, "a/train" and "a/test"
    path.write_bytes(whole.replace(ends, ends[:8] + (2**30).to_bytes(4, "little")))
    with pytest.raises(UserError, match="is damaged"):
        Collection.open(tmp_path)


def test_numbers_of_a_collection_that_are_not_finite_name_the_shape(tmp_path: Path) -> None:
    seed_runs.collection(tmp_path)
    path = tmp_path / "data-00000-of-00001.arrow"
    value = seed_files.clouds(1)[0][3, 1].tobytes()
    path.write_bytes(path.read_bytes().replace(value, np.float32(np.nan).tobytes(), 1))
    collection = Collection.open(tmp_path)
    for read in (lambda: collection.points(np.arange(2)), lambda: collection[0]):
        with pytest.raises(UserError, match=r"a/train in .* is damaged \(NaN or infinite"):
            read()
    assert np.isfinite(collection.points(np.array([1]))).all()


def test_a_damaged_picture_of_a_collection_is_named(tmp_path: Path) -> None:
    seed_runs.collection(tmp_path)
    path = tmp_path / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes().replace(b"WEBP", b"WEBX", 1))
    with pytest.raises(UserError, match=r"image 0 of a/train in .* is damaged"):
        Collection.open(tmp_path).view(0, 0)


@pytest.mark.parametrize(
    ("key", "value"), [("points", "64"), ("classes", "abc"), ("skipped", [1]), ("views", -1), ("made", [])]
)
def test_descriptions_of_other_types_are_named(key: str, value: Any, tmp_path: Path) -> None:
    seed_runs.collection(tmp_path)
    path = tmp_path / "collection.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=r"collection.json.*(wrong type|impossible)"):
        Collection.open(tmp_path)


def test_a_note_without_a_reason_is_named(tmp_path: Path) -> None:
    seed_runs.unfinished(tmp_path)
    put(tmp_path / "progress" / "shard-00000.json", b'{"skipped": [{"name": "a"}]}')
    with pytest.raises(UserError, match=r"shard-00000.json is not a shard's note"):
        inspect(str(tmp_path))


def test_an_encoder_is_not_made_before_its_weights_fit(tmp_path: Path) -> None:
    seed_runs.encoder(tmp_path)
    put(tmp_path / "encoder" / "config.json", b'{"encoder": "pointnet", "options": {"width": 1000000000}}')
    with pytest.raises(UserError, match=r"last.linear.weight is \(8, 128\), expected \(1000000000, 128\)"):
        load(tmp_path / "encoder")
    with pytest.raises(UserError, match=r"depths .*1000000000.*at most 100"):
        PointM2AE(depths=[0, 0, 10**9])
    with torch.device("meta"):
        assert next(PointM2AE().parameters()).is_meta


def test_options_that_make_no_encoder_name_their_file(tmp_path: Path) -> None:
    seed_runs.encoder(tmp_path)
    put(tmp_path / "encoder" / "config.json", b'{"encoder": "pointnet", "options": {"width": -7}}')
    with pytest.raises(UserError, match=r"config.json and model.safetensors\): PointNet's width is -7"):
        load(tmp_path / "encoder")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    encoder = PointNet(width=8)
    with torch.no_grad():
        encoder.last.linear.weight[3, 2] = value
    encoder.save_pretrained(tmp_path / "encoder")
    with pytest.raises(UserError, match=r"last.linear.weight has numbers that are NaN or infinite"):
        load(tmp_path / "encoder")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a billion wide, of one number", "is truncated in conv5.weight"),
        ("a billion by none", "is truncated in conv5.weight"),
        ("a tensor of nowhere", "is truncated in conv1.weight"),
        ("5 MB of zeros, packed", "an archive that unpacks to more"),
        ("a program", "holds no plain tensors"),
        ("a program put in place", "holds no plain tensors"),
    ],
)
def test_released_weights_that_are_none(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"best.pth {reason}|best.pth holds no plain tensors .{reason}"):
        load_official(put(tmp_path / "best.pth", crafted_for("released weights, .pth")[name]))


def test_a_checkpoint_that_is_a_tensor(tmp_path: Path) -> None:
    sink = io.BytesIO()
    torch.save(torch.zeros(3), sink)
    with pytest.raises(UserError, match=r"step-1.pt cannot be read \(it holds a Tensor"):
        load_checkpoint(put(tmp_path / "step-1.pt", sink.getvalue()))


@pytest.mark.parametrize("line", [b"\xff\xfe", b"9" * 5000, b"[" * 99_999])
def test_a_log_that_is_no_text(line: bytes, tmp_path: Path) -> None:
    path = put(tmp_path / "log.jsonl", b'{"kind": "step", "step": 1}\n' + line + b"\n")
    assert read_log(path) == [{"kind": "step", "step": 1}]


@pytest.mark.parametrize(
    "change", [{"outcomes": [[1e999, 0, 1, 1]]}, {"predictions": [[2**70, 0, 1, 1]]}, {"networks": [0, 1, 2]}]
)
def test_results_beyond_all_numbers_lose_no_page(change: dict[str, Any], tmp_path: Path) -> None:
    seed_runs.run(tmp_path)
    path = tmp_path / "evaluation" / "shapes" / "linear.json"
    score = seed_runs.LINEAR["scores"][0] | change
    path.write_text(json.dumps(seed_runs.LINEAR | {"scores": [score]}))
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "evaluation/shapes/linear.json" in page
    assert "cannot be used" in page


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"epochs: -7\n", r"recipe.yaml: epochs is -7"),
        (b"epochs: many\n", r"recipe.yaml: option epochs of pre-training is 'many'"),
        (b"epoch: 3\n", r"recipe.yaml has options that this version does not know \('epoch'\)"),
        (b"method_args: {a: &a [1], b: *a}\n", r"recipe.yaml is not valid YAML \(an alias"),
    ],
)
def test_recipes_are_named_in_what_is_said_of_them(
    content: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path / "recipe.yaml", content)
    with pytest.raises(UserError, match=reason):
        PretrainConfig.recipe(str(path), "anything")
    if b"-7" not in content:  # a number's range is checked when flags have been laid over the recipe
        assert main(["pretrain", "gone", "--config", str(path)]) == 2
        assert main(["pretrain", "gone", f"--config={path}"]) == 2
        assert "recipe.yaml" in capsys.readouterr().err

"""Exported files against their encoders: other sizes, what they say of themselves, what is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from toy import TOY_M2AE

from adacross import __version__
from adacross.encoders import ENCODERS, Encoder, FrameAveraged, load
from adacross.encoders.inputs import InputSpec
from adacross.errors import UserError
from adacross.onnx import to_onnx
from adacross.onnx.to_onnx import compare, export, least_points, synthetic_clouds

pytestmark = pytest.mark.slow

SMALL = {
    "pointnet": {"width": 24},
    "dgcnn": {"k": 6, "width": 24},
    "pointnet-partseg": {"width": 24},
    "dgcnn-partseg": {"k": 6, "width": 24},
    "dgcnn-semseg": {"k": 34, "width": 24},
    "point-m2ae": TOY_M2AE | {"radii": [0.32, 0.64, 1.28]},
    "frame-averaged": {"encoder": "dgcnn", "encoder_args": {"k": 6, "width": 24}},
}
KINDS = ENCODERS | {FrameAveraged.kind: FrameAveraged}


def small(kind: str) -> Encoder:
    """An encoder whose running statistics are those of a cloud's features."""
    torch.manual_seed(0)
    encoder = KINDS[kind](**SMALL[kind]).train()
    with torch.no_grad():
        for _ in range(20):
            encoder(torch.from_numpy(synthetic_clouds(4, 64)))
    encoder.inputs = InputSpec(points=200)
    return encoder.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A folder of encoders and of files, as the command line writes them.

    In a process without the tests' type checks: torch.export cannot look through them.
    """
    folder = tmp_path_factory.mktemp("exported")
    for kind in KINDS:
        small(kind).save_pretrained(folder / kind)
    code = (
        "import sys, torch\nfrom adacross.cli import main\ntorch.set_num_threads(1)\n"
        f"for kind in {list(KINDS)!r}:\n"
        f"    folder = {str(folder)!r} + '/' + kind\n"
        "    failed = main(['export', folder, folder + '.onnx', '--point-features'])\n"
        "    if failed: sys.exit(failed)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [line for line in done.stderr.splitlines() if not line.startswith("next: ")]
    assert told == [], "torch's exporter talks"
    assert done.stdout.count("checked with onnxruntime") == len(KINDS)
    return folder


def test_every_encoder_is_tried():
    assert SMALL.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_files_take_any_number_of_clouds_and_points(exported: Path, kind: str):
    session = onnxruntime.InferenceSession(exported / f"{kind}.onnx")
    encoder = load(exported / kind)
    generator = torch.Generator().manual_seed(1)
    for clouds, points in ((1, least_points(encoder)), (5, 101), (2, 640)):
        batch = torch.randn(clouds, points, 3, generator=generator).clamp(-1, 1)
        with torch.no_grad():
            local, whole = encoder.both_features(batch)
        found, found_local = session.run(["features", "point_features"], {"points": batch.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), whole, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(torch.from_numpy(found_local), local, rtol=1e-4, atol=1e-4)


def test_point_m2ae_of_a_cloud_with_few_distinct_points(exported: Path):
    """Farthest points then repeat index 0, in the file's loop as in torch."""
    session = onnxruntime.InferenceSession(exported / "point-m2ae.onnx")
    cloud = torch.randn(1, 8, 3).repeat(1, 8, 1)
    with torch.no_grad():
        expected = load(exported / "point-m2ae")(cloud)
    (found,) = session.run(["features"], {"points": cloud.numpy()})
    assert np.isfinite(found).all()
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


def test_a_file_says_what_it_is(exported: Path):
    about = onnxruntime.InferenceSession(exported / "dgcnn-semseg.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(about.pop("options")) == {"k": 34, "width": 24, "fused": True}
    assert about == {
        "adacross": __version__,
        "encoder": "dgcnn-semseg",
        "dim": "24",
        "up": "y",
        "scale": "unit sphere",
        "points": "200",
        "least_points": "35",
    }


def test_the_example_runs_without_torch(exported: Path, tmp_path: Path):
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(300, 3)) * 4 + 7)
    example = Path(__file__).parents[2] / "examples" / "onnx_without_torch.py"
    assert len(example.read_text().splitlines()) <= 20
    code = (
        "import runpy, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'adacross'):\n"
        "            raise RuntimeError(f'{name} was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.argv = ['example', {str(exported / 'dgcnn.onnx')!r}, 'cloud.npy']\n"
        f"runpy.run_path({str(example)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "dgcnn (y up, unit sphere, 200 points): (1, 48)\n"
    cloud = np.load(tmp_path / "cloud.npy").astype(np.float32)
    cloud -= cloud.mean(0)
    cloud /= np.linalg.norm(cloud, axis=1).max()
    with torch.no_grad():
        expected = load(exported / "dgcnn")(torch.from_numpy(cloud)[None])
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_file_of_other_weights_is_found_out_and_not_written(exported: Path, tmp_path: Path, monkeypatch):
    def wrong(network, path, least, about):
        shutil.copy(exported / "dgcnn.onnx", path)

    torch.manual_seed(1)
    other = ENCODERS["dgcnn"](**SMALL["dgcnn"]).eval()
    monkeypatch.setattr(to_onnx, "_write", wrong)
    with pytest.raises(UserError, match=r"differ from the encoder's by .* nothing was written"):
        export(other, tmp_path / "other.onnx", point_features=True)
    assert not list(tmp_path.iterdir())
    assert export(load(exported / "dgcnn"), tmp_path / "same.onnx", point_features=True).size


def test_one_wrong_point_is_above_the_tolerance(exported: Path):
    encoder = load(exported / "pointnet")
    clouds = torch.from_numpy(synthetic_clouds(1, 1024))
    with torch.no_grad():
        local = encoder.point_features(clouds)
    wrong = local.clone()
    wrong[0, 7] = local[0, 8]
    assert float((wrong - local).norm() / local.norm()) > to_onnx.TOLERANCE


def test_a_file_that_is_none_is_said(tmp_path: Path):
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(UserError, match=r"onnxruntime .* cannot run the exported pointnet \(.*nothing was"):
        compare(small("pointnet"), tmp_path / "no.onnx", [(1, 32)])


def test_what_is_refused(tmp_path: Path, monkeypatch):
    small("pointnet").save_pretrained(tmp_path / "encoder")
    with pytest.raises(UserError, match="is a folder; give the file to write"):
        export(str(tmp_path / "encoder"), str(tmp_path))
    with pytest.raises(UserError, match="does not exist"):
        export(str(tmp_path / "none"), str(tmp_path / "model.onnx"))
    shutil.copytree(tmp_path / "encoder", tmp_path / "encoder2")
    with pytest.raises(UserError, match="matches 2 runs; expected one"):
        export(str(tmp_path / "encoder*"), str(tmp_path / "model.onnx"))
    monkeypatch.setattr(to_onnx, "find_spec", lambda name: None if name == "onnxscript" else "there")
    with pytest.raises(UserError, match=r"needs onnxscript, .*pip install '\.\[onnx\]'"):
        export(str(tmp_path / "encoder"), str(tmp_path / "model.onnx"))
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "2.4.1+cpu")
    with pytest.raises(UserError, match=r"needs torch 2.9 or newer; this is 2.4.1"):
        export(str(tmp_path / "encoder"), str(tmp_path / "model.onnx"))


def test_an_onnxscript_that_does_not_know_this_torch_is_said(tmp_path: Path, monkeypatch):
    def lacking(*_, **__):
        raise ModuleNotFoundError("No module named 'onnxscript._framework_apis.torch_2_11'")

    monkeypatch.setattr(torch.onnx, "export", lacking)
    with pytest.raises(UserError, match=r"cannot export this encoder \(No module .*constraints\.txt"):
        export(small("pointnet"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_exporting_leaves_the_encoder_as_it_is(exported: Path, tmp_path: Path, monkeypatch):
    encoder = load(exported / "pointnet").double().train()
    monkeypatch.setattr(to_onnx, "_write", lambda _n, path, *_: shutil.copy(exported / "pointnet.onnx", path))
    export(encoder, tmp_path / "model.onnx", point_features=True)
    assert encoder.training
    assert next(encoder.parameters()).dtype == torch.float64

"""The driver: files, identities, interrupted measurements, plug-in protocols."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross import Collection, Encoder, PointNet
from adacross.cli import main
from adacross.data.collection.description import COPIED
from adacross.encoders import DGCNN
from adacross.errors import UserError
from adacross.evaluation import PROTOCOLS, evaluate, find_protocol
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.ledger import Ledger
from adacross.evaluation.result import Data, Measured, Score, load
from adacross.features.collection import weights_digest

calls: list[dict[str, object]] = []


@protocol("first-point")
def first_point(
    bench: Bench, height: float = 0.0, names: list[str] | None = None, beside: int | str = 0
) -> Measured:
    """Measure whether the first point lies above a height.

    Args:
        bench: what to measure with.
        height: of a plane.
        names: of anything.
        beside: a number, a file or a folder.
    """
    calls.append({"height": height, "names": names})
    points = bench.collection.points(bench.collection.indices("test"))
    found = bench.ledger.once("above", lambda: (points[:, 0, 1] > height).astype(float).tolist())
    data = Data("x", bench.data.digest(), 0, len(points))
    return Measured(data, [Score.of("pre-trained", "above", found)], "made up", details={"height": height})


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


@pytest.fixture
def shapes(toy_collection: Collection, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_collection.folder, tmp_path / "shapes"))


def test_a_second_data_set_and_other_options_have_files_of_their_own(run: Path, shapes: Path, tmp_path: Path):
    """The first edition wrote all of them over linear.json."""
    others = shutil.copytree(shapes, tmp_path / "others")
    for data, options in (
        (shapes, {}),
        (others, {}),
        (shapes, {"height": 0.5}),
        (shapes, {"names": ["a", "b/c"]}),
    ):
        first_point(str(run), str(data), **options)
    assert sorted(str(path.relative_to(run / "evaluation")) for path in run.glob("evaluation/*/*")) == [
        "others/first-point.json",
        "shapes/first-point-height-0.5.json",
        "shapes/first-point-names-a-b-c.json",
        "shapes/first-point.json",
    ]


def test_copies_of_training_shapes_in_the_test_split_are_said(
    run: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
):
    first_point(run, shapes)
    assert "Copies" not in capsys.readouterr().err
    path = shapes / "collection.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    info["warnings"] = [
        {"name": "a", "reason": f"the same file as b, {COPIED}"},
        {"name": "c", "reason": "torn"},
    ]
    path.write_text(json.dumps(info), encoding="utf-8")
    first_point(run, shapes, overwrite=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "Copies of training shapes in the test split: 1;" in said
    assert "prepare again" in said


def test_what_was_measured_is_not_measured_again(run: Path, shapes: Path, capsys: pytest.CaptureFixture[str]):
    first = first_point(run, shapes)
    assert first_point(run, Collection.open(shapes)) == first
    assert len(calls) == 1
    assert "--overwrite measures again" in capsys.readouterr().err
    assert first_point(run, shapes, overwrite=True).scores == first.scores
    assert len(calls) == 2


@pytest.mark.parametrize("place", ["episodes", "folder/inner/clean.h5"])
def test_files_of_other_content_are_measured_again(run: Path, shapes: Path, tmp_path: Path, place: str):
    file = tmp_path / "given" / place
    file.parent.mkdir(parents=True)
    given = str(file if place == "episodes" else tmp_path / "given" / "folder")
    for content, measured in (("one", 1), ("one", 1), ("two", 2), ("one", 2)):
        file.write_text(content)
        first_point(run, shapes, beside=given)
        assert len(calls) == measured
    file.rename(file.with_name("renamed"))
    first_point(run, shapes, beside=str(file.with_name("renamed")) if place == "episodes" else given)
    assert len(calls) == 3


def test_another_measurement_of_the_same_name_stays(run: Path, shapes: Path):
    """Of other weights or another collection of the same name; the newer one has a digest in its name."""
    first_point(run, shapes)
    path = run / "evaluation" / "shapes" / "first-point.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"weights": ["of yesterday"]}))
    before = path.read_bytes()
    first_point(run, shapes)
    assert path.read_bytes() == before
    (newer,) = set(path.parent.iterdir()) - {path}
    assert newer.name.startswith("first-point-")
    assert load(newer).weights != ["of yesterday"]
    first_point(run, shapes)
    assert len(calls) == 2


def test_several_runs_do_not_pass_for_the_first_one(run: Path, shapes: Path, tmp_path: Path):
    other = shutil.copytree(run, tmp_path / "run-2")
    result = first_point([str(run), str(other)], shapes)
    assert result.encoders == ["run", "run-2"]
    assert (run / "evaluation" / "shapes" / "first-point-of-2-runs.json").is_file()


def test_an_output_is_written_instead_and_never_over_another(run: Path, shapes: Path, tmp_path: Path):
    first_point(run, shapes, output=str(tmp_path / "a.json"))
    assert not (run / "evaluation").exists()
    with pytest.raises(UserError, match=r"a\.json exists"):
        first_point(run, shapes, output=str(tmp_path / "a.json"))
    with pytest.raises(UserError, match=r"a\.txt ends in \.txt"):
        first_point(run, shapes, output=str(tmp_path / "a.txt"))
    assert len(calls) == 1


def test_encoders_as_modules(shapes: Path):
    assert first_point([PointNet(width=8), PointNet(width=8)], shapes).encoders == ["PointNet", "PointNet"]
    for others in (PointNet(width=16), DGCNN(k=4, width=8)):
        with pytest.raises(UserError, match=r"differ in more than their seed.*evaluate compare"):
            first_point([PointNet(width=8), others], shapes)
    with pytest.raises(UserError, match="both as names and as modules"):
        first_point([PointNet(width=8), "run"], shapes)


def test_encoders_of_another_k_are_another_architecture(shapes: Path, tmp_path: Path):
    """The first edition averaged them as one."""
    for k in (4, 6):
        DGCNN(k=k, width=8).save_pretrained(tmp_path / f"k{k}")
    with pytest.raises(UserError, match="differ in more than their seed"):
        first_point(str(tmp_path / "k*"), shapes)


def test_features_are_computed_once_for_all_protocols(
    run: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
):
    encoded = []
    from adacross.features import collection as module

    real = module.encode

    def counting(encoder: object, clouds: np.ndarray, **options: object) -> np.ndarray:
        encoded.append(len(clouds))
        return real(encoder, clouds, **options)

    monkeypatch.setattr(module, "encode", counting)
    evaluate("linear", run, shapes, seeds=1, folds=2)
    once = sum(encoded)
    assert once == 2 * 220
    evaluate("linear", run, shapes, seeds=1, folds=3)
    assert sum(encoded) == once


def test_somebody_elses_protocol_from_the_command_line(
    run: Path,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    source = Path(__file__).read_text(encoding="utf-8")
    (tmp_path / "their_protocols.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "their_protocols:first_point", str(run), str(shapes), "--height", "0.25"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "first-point-height-0.25 on x" in out
    assert f"adacross report {run}" in err
    assert main([*words[:2], "--help"]) == 0
    assert "--height X" in capsys.readouterr().out
    with pytest.raises(UserError, match="Did you mean 'linear'"):
        find_protocol("liner")
    with pytest.raises(UserError, match="is not a class derived from"):
        find_protocol("their_protocols:calls")


def test_help_texts_name_all_options():
    for task in PROTOCOLS:
        found = find_protocol(task)
        text = found.__doc__ or ""
        for name in found.__signature__.parameters:
            assert f"\n    {name}: " in text, (task, name)
        assert "bench" not in text


def test_a_ledger_keeps_pieces_until_it_is_removed(tmp_path: Path):
    made: list[str] = []

    def measure(name: str, identity: dict[str, int]) -> int:
        return Ledger(tmp_path / "toy.json", identity).once(name, lambda: made.append(name) or len(made))

    assert [measure(name, {"k": 1}) for name in ("a", "b", "a")] == [1, 2, 1]
    (tmp_path / "toy.pieces" / "b.json").write_text("{")  # damaged: measured again
    assert measure("b", {"k": 1}) == 3
    with pytest.raises(UserError, match="an unfinished measurement with other options"):
        measure("a", {"k": 2})
    Ledger(tmp_path / "toy.json", {"k": 1}).remove()
    assert not (tmp_path / "toy.pieces").exists()
    assert Ledger(None, {}).once("a", lambda: 7) == 7


def test_folders_of_other_work_stay(tmp_path: Path):
    """`prepare` and `embed` keep unfinished work beside their targets, too."""
    for folder in ("toy.partial", "toy.pieces"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data-00000-of-00002.arrow").write_text("hours")
    with pytest.raises(UserError, match="is not an unfinished measurement"):
        Ledger(tmp_path / "toy.json", {"k": 1})
    assert len(list(tmp_path.glob("*/*.arrow"))) == 2


def test_of_two_processes_that_measure_the_same_the_slower_one_leaves_nothing(tmp_path: Path):
    slower, faster = (Ledger(tmp_path / "toy.json", {"k": 1}) for _ in range(2))
    slower.once("a", lambda: 1)
    faster.remove()
    assert slower.once("b", lambda: faster.remove() or 2) == 2
    slower.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_tells_encoders_apart_whose_weights_are_the_same():
    """k is no weight; pieces of a measurement with another k must not be taken up."""
    few = DGCNN(k=4, width=8)
    more = DGCNN(k=9, width=8)
    more.load_state_dict(few.state_dict())
    assert weights_digest(few) != weights_digest(more)


class Largest(Encoder):
    """Features without weights."""

    dim = 3

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return points.amax(1)


class Mean(Largest):
    """Others."""

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return points.mean(1)


def test_two_classes_with_the_same_weights_have_features_of_their_own(shapes: Path):
    collection = Collection.open(shapes)
    cached = [
        Bench([one], [None], collection, "cpu", Ledger(None, {})).features(one, 32)
        for one in (Largest(), Mean())
    ]
    assert not np.allclose(*cached)

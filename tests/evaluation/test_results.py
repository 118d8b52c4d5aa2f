"""Figures, results on disk, and measurements that are taken up again."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from adacross.encoders import DGCNN
from adacross.errors import UserError
from adacross.evaluation.results import Figure, Ledger, check_output, load, result_path, save
from adacross.evaluation.segmentation import with_neighbors
from adacross.features.collection import weights_digest


@dataclass(frozen=True)
class Made:
    task: str
    n: int
    figure: Figure
    maybe: Figure | None
    rows: list[list[float]]
    named: dict[str, Figure]


RESULT = Made("toy", 3, Figure.of([0.5, 0.7]), None, [[1.0, 2.0]], {"a": Figure.of([1.0])})


def test_a_figure_is_mean_and_sample_deviation():
    figure = Figure.of([0.5, 0.6, 0.7])
    assert (figure.mean, figure.std) == (pytest.approx(0.6), pytest.approx(0.1))
    assert str(figure) == "60.0 ± 10.0 %"
    assert figure.each == "50.0 60.0 70.0"
    assert Figure.of([0.5]).std == 0


def test_a_result_comes_back_as_it_was_saved(tmp_path: Path):
    save(RESULT, None, tmp_path, "toy")
    assert load(Made, tmp_path / "evaluation" / "toy.json") == RESULT
    save(RESULT, str(tmp_path / "other.json"), tmp_path, "toy")
    assert load(Made, tmp_path / "other.json") == RESULT
    assert result_path(None, None, "toy") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"task": "toy"}', "'n' is missing"),
        ('{"task": 1, "n": 3}', "1 where str is expected"),
        ("[1]", "cannot be used"),
        ("{", "not valid JSON"),
    ],
)
def test_another_file_is_named_and_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "toy.json").write_text(text)
    with pytest.raises(UserError, match=message):
        load(Made, tmp_path / "toy.json")


def test_a_ledger_keeps_pieces_until_the_result_is_saved(tmp_path: Path):
    made: list[str] = []

    def measure(name: str, protocol: dict[str, int]) -> int:
        ledger = Ledger(tmp_path / "toy.json", protocol)
        return ledger.once(name, lambda: made.append(name) or len(made))

    assert [measure(name, {"k": 1}) for name in ("a", "b", "a")] == [1, 2, 1]
    (tmp_path / "toy.pieces" / "b.json").write_text("{")  # damaged: measured again
    assert measure("b", {"k": 1}) == 3
    with pytest.raises(UserError, match="an unfinished measurement with other options"):
        measure("a", {"k": 2})
    save(RESULT, str(tmp_path / "toy.json"), None, "toy")
    assert not (tmp_path / "toy.pieces").exists()
    assert Ledger(None, {}).once("a", lambda: 7) == 7


def test_folders_of_other_work_stay(tmp_path: Path):
    """`prepare` and `embed` keep unfinished work beside their targets, too."""
    for folder in ("toy.partial", "toy.pieces"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data-00000-of-00002.arrow").write_text("hours")
    save(RESULT, str(tmp_path / "toy.json"), None, "toy")
    with pytest.raises(UserError, match="is not an unfinished measurement"):
        Ledger(tmp_path / "toy.json", {"k": 1})
    assert len(list(tmp_path.glob("*/*.arrow"))) == 2


def test_of_two_processes_that_measure_the_same_the_slower_one_leaves_nothing(tmp_path: Path):
    slower, faster = (Ledger(tmp_path / "toy.json", {"k": 1}) for _ in range(2))
    faster.once("a", lambda: 1)
    save(RESULT, str(tmp_path / "toy.json"), None, "toy")
    assert slower.once("b", lambda: 2) == 2
    save(RESULT, str(tmp_path / "toy.json"), None, "toy")
    assert [path.name for path in tmp_path.iterdir()] == ["toy.json"]


def test_files_beside_an_output_are_free_only_to_its_own_ledger(tmp_path: Path):
    (tmp_path / "toy.csv").write_text("mine")
    (tmp_path / "toy.pieces").mkdir()
    beside = (str(tmp_path / "toy.json"), False, lambda path: [path.with_suffix(".csv")])
    with pytest.raises(UserError, match=r"toy.csv exists"):
        check_output(*beside)
    Ledger(tmp_path / "toy.json", {"k": 1})
    check_output(*beside)


def test_a_fingerprint_tells_encoders_apart_whose_weights_are_the_same():
    """k is no weight; pieces of a measurement with another k must not be taken up."""
    few = DGCNN(k=4, width=8)
    assert weights_digest(few) == weights_digest(with_neighbors(few, 4))
    assert weights_digest(few) != weights_digest(with_neighbors(few, 9))


def test_a_fingerprint_tells_weights_apart():
    layer = torch.nn.Linear(2, 2)
    before = weights_digest(layer)
    assert before == weights_digest(layer)
    with torch.no_grad():
        layer.bias[0] += 1
    assert weights_digest(layer) != before

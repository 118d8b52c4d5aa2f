"""A few labels given, the rest proposed: what `propose` and `adacross suggest` promise."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from adacross.cli import main
from adacross.console import cell, from_cell
from adacross.embeddings.table import Embeddings, read_embeddings
from adacross.errors import UserError
from adacross.labeling.labels import change_label, read_labels, write_labels
from adacross.labeling.propose import doubtful, propose
from adacross.labeling.suggest import suggest

CLASSES = ("bolt", "gear", "nut", "plate")


def blobs(each: int = 60, spread: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Features of four classes around corners of a cube in 16 dimensions."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), each)
    centers = rng.normal(size=(4, 16))
    return (centers[truth] + spread * rng.normal(size=(len(truth), 16))).astype(np.float32), truth


def some_labels(truth: np.ndarray, rows: np.ndarray) -> np.ndarray:
    labels = np.full(len(truth), -1, dtype=np.int64)
    labels[rows] = truth[rows]
    return labels


def test_one_label_a_class_names_well_separated_classes():
    features, truth = blobs()
    found = propose(features, some_labels(truth, np.array([0, 60, 120, 180])))
    assert (found.label == truth).mean() > 0.98
    assert (found.confidence[[0, 60, 120, 180]] == 1).all()
    assert (found.confidence <= 1).all()
    assert (found.confidence > 0).all()


def test_given_labels_are_never_changed():
    features, truth = blobs()
    labels = some_labels(truth, np.array([0, 60, 120, 180]))
    labels[1] = 2  # somebody knows better
    found = propose(features, labels)
    assert found.label[1] == 2
    assert not set(found.order) & {0, 1, 60, 120, 180}


def test_without_labels_the_first_questions_are_of_every_class():
    features, truth = blobs()
    found = propose(features, np.full(len(truth), -1, dtype=np.int64), ask=4)
    assert set(truth[found.order]) == {0, 1, 2, 3}
    assert (found.label == -1).all()
    assert (found.confidence == 0).all()


def test_a_class_for_every_label_is_no_warning():
    features, _ = blobs()
    labels = np.full(len(features), -1, dtype=np.int64)
    labels[:30] = np.arange(30)
    assert set(propose(features, labels).label) == set(range(30))


def test_one_class_alone_proposes_nothing():
    features, truth = blobs()
    found = propose(features, some_labels(truth, np.array([0, 1])), ask=3)
    assert (found.label[2:] == -1).all()
    assert len(found.order) == 3


def test_what_is_asked_lies_between_classes():
    features, truth = blobs(spread=0.1)
    between = (features[0] + features[60]) / 2
    features = np.vstack([features, between])
    labels = np.append(some_labels(truth, np.arange(0, 240, 20)), -1)
    assert 240 in propose(features, labels, ask=5).order


def test_all_are_asked_once_where_few_are_left():
    features, truth = blobs(each=3)
    found = propose(features, some_labels(truth, np.array([0, 3, 6])), ask=50)
    assert sorted(found.order) == [1, 2, 4, 5, 7, 8, 9, 10, 11]
    assert propose(features, truth.astype(np.int64)).order.size == 0


def test_duplicates_are_asked_once_each():
    features = np.zeros((6, 4), dtype=np.float32)
    found = propose(features, np.array([0, 1, -1, -1, -1, -1]), ask=3)
    assert len(set(found.order.tolist())) == 3


def test_labels_that_are_wrong_are_doubted_and_others_are_not():
    features, truth = blobs()
    labels = some_labels(truth, np.arange(0, 240, 3))
    assert doubtful(features, labels) == {}
    labels[[0, 66, 192]] = [1, 3, 0]
    assert doubtful(features, labels).items() == {0: 0, 66: 1, 192: 3}.items()


def test_classes_of_few_labels_are_not_doubted():
    features, truth = blobs()
    labels = some_labels(truth, np.array([0, 1, 60, 61]))
    labels[1] = 1
    assert doubtful(features, labels) == {}
    assert doubtful(features, np.full(len(truth), -1, dtype=np.int64)) == {}


def test_a_wrong_label_is_named_and_kept(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    embeddings, labels = files
    ids = read_embeddings(embeddings).ids
    classes = {name: name.split("/")[0] for name in ids[::2]} | {ids[0]: "plate"}
    labels.write_text("id,class\n" + "".join(f"{name},{kind}\n" for name, kind in classes.items()))
    out = labels.with_name("out.csv")
    assert main(["suggest", str(embeddings), str(labels), str(out)]) == 0
    assert f"Look again at {ids[0]} (plate; looks like bolt)" in capsys.readouterr().out
    with out.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["id"], row["class"], row["proposed"], row["doubt"]) == (ids[0], "plate", "bolt", "1")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Embeddings of four classes and one label of each."""
    features, truth = blobs(each=20)
    ids = [f"{CLASSES[label]}/{i}.stl" for i, label in enumerate(truth)]
    nothing = [None] * len(ids)
    Embeddings(ids, nothing, nothing, features, {}).write(tmp_path / "parts.parquet")
    rows = "".join(f"{ids[i]},{CLASSES[truth[i]]}\n" for i in (0, 20, 40, 60))
    (tmp_path / "labels.csv").write_text("id,class\n" + rows)
    return tmp_path / "parts.parquet", tmp_path / "labels.csv"


def test_csv_in_csv_out_and_in_again(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    embeddings, labels = files
    out = embeddings.parent / "out.csv"
    assert main(["suggest", str(embeddings), str(labels), str(out), "--ask", "3"]) == 0
    assert "4 shapes labeled, 76 classes proposed" in capsys.readouterr().out
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    right = [row["id"].startswith(row["proposed"]) for row in rows]
    assert sum(right) > 76
    assert sorted(row["next"] for row in rows if row["next"]) == ["1", "2", "3"]
    # Somebody answers the three questions in the same file and gives it again.
    for row in rows:
        if row["next"]:
            row["class"] = row["id"].split("/")[0]
    with out.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    again = suggest(str(embeddings), str(out), str(out), overwrite=True)
    assert (again.labeled, again.proposed) == (7, 73)
    assert json.dumps(again.classes)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_spreadsheets_file_stays_one(files: tuple[Path, Path], ending: str):
    embeddings, labels = files
    name = read_embeddings(embeddings).ids[0]
    labels.write_bytes(f"\ufeffclass;id;note{ending}bolt;{name};a, b{ending}".encode())
    suggest(str(embeddings), str(labels), str(labels), overwrite=True)
    change_label(labels, read_embeddings(embeddings).ids, name, "nut")
    written = labels.read_bytes().decode()
    assert written.startswith(f"\ufeffid;class;proposed;confidence;next;note{ending}{name};nut;")
    assert written.count("\n") == written.count(ending)


def test_a_header_alone_is_enough_to_begin(files: tuple[Path, Path]):
    embeddings, labels = files
    labels.write_text("id,class\n")
    done = suggest(str(embeddings), str(labels), str(embeddings.parent / "out.csv"), ask=4)
    assert (done.labeled, done.proposed) == (0, 0)
    assert {one.split("/")[0] for one in done.next} == set(CLASSES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,class\na,b\n", "expected a header line with id and class"),
        ("", "expected a header line"),
        ("id,class\nnut/99.stl,nut\n", r"row 2: there is no shape 'nut/99.stl'.*for example 'bolt/0.stl'"),
        (
            "id,class\nbolt/0.stl,nut\nbolt/0.stl,bolt\n",
            "row 3: 'bolt/0.stl' is 'bolt' here and 'nut' before",
        ),
    ],
)
def test_files_of_labels_that_cannot_be(content: str, said: str, files: tuple[Path, Path]):
    embeddings, labels = files
    labels.write_text(content)
    with pytest.raises(UserError, match=said):
        suggest(str(embeddings), str(labels), str(embeddings.parent / "out.csv"))
    assert not (embeddings.parent / "out.csv").exists()


def test_labels_that_are_no_text_or_not_there(files: tuple[Path, Path]):
    embeddings, labels = files
    labels.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a readable CSV file in UTF-8"):
        suggest(str(embeddings), str(labels), "out.csv")
    labels.unlink()
    with pytest.raises(UserError, match="header line is enough"):
        suggest(str(embeddings), str(labels), "out.csv")


def test_an_unfinished_line_gives_no_class(tmp_path: Path):
    (tmp_path / "labels.csv").write_text("id,class\na\n")
    assert read_labels(tmp_path / "labels.csv", ["a"]) == {}


RUN = [
    "=1+1",
    "+1",
    "-1",
    "@sum",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "''=1",
    "-1.5",
    '=HYPERLINK("http://x")',
    "=a;b",
]
NOT_RUN = ["'", "'a", "a=1", "0.5", " =1", "", "chair", "''"]


@pytest.mark.parametrize("name", [*RUN, *NOT_RUN])
def test_a_spreadsheet_runs_no_cell_and_all_comes_back(name: str, tmp_path: Path):
    assert from_cell(cell(name)) == name
    assert (cell(name) == name) == (name in NOT_RUN)
    path = tmp_path / "labels.csv"
    write_labels(path, [{"id": name, "class": name.strip()}])
    with path.open(newline="", encoding="utf-8") as file:
        written = [one for row in csv.reader(file) for one in row]
    assert not [one for one in written if one[:1] in tuple("=+-@\t\r\n") and one]
    assert read_labels(path, [name]) == ({name: name.strip()} if name.strip() else {})


def test_class_names_that_spreadsheets_would_run_are_whole(tmp_path: Path):
    path = tmp_path / "labels.csv"
    write_labels(path, [{"id": str(i), "class": name} for i, name in enumerate(RUN)])
    assert read_labels(path, [str(i) for i in range(len(RUN))]) == {
        str(i): name for i, name in enumerate(RUN)
    }


def test_numbers_are_numbers():
    assert [cell(value) for value in (-1.5, -1, 0, None, True)] == [-1.5, -1, 0, None, True]

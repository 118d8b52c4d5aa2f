"""A file of labels that several programs write to."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adacross.embeddings.table import Embeddings
from adacross.errors import UserError
from adacross.io.files import locked
from adacross.labeling import labels as labels_module
from adacross.labeling import suggest as suggest_module
from adacross.labeling.labels import change_label, read_labels, write_labels
from adacross.labeling.suggest import suggest
from adacross.search.index import SearchIndex
from adacross.search.page import label_tab
from adacross.search.page.label_tab import LabelFile

IDS = [f"parts/{i}.stl" for i in range(60)]
INDEX = object.__new__(SearchIndex)  # as far as labels go
vars(INDEX).update(
    collection=SimpleNamespace(ids=IDS, info=SimpleNamespace(classes=["box"])),
    facts=SimpleNamespace(copy_of=np.arange(len(IDS))),
    features=np.random.default_rng(0).normal(size=(len(IDS), 4)).astype(np.float32),
)
CHILD = """
import sys
from pathlib import Path
from adacross.labeling.suggest import suggest
from adacross.labeling.labels import change_label
ids = [f"parts/{i}.stl" for i in range(60)]
for i in range(int(sys.argv[2]), 60, 2):
    change_label(Path(sys.argv[1]), ids, ids[i], f"class {sys.argv[2]}")
"""


def test_two_processes_of_many_labels_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    children = [subprocess.Popen([sys.executable, "-c", CHILD, str(path), name]) for name in ("0", "1")]
    assert [child.wait() for child in children] == [0, 0]
    assert read_labels(path, IDS) == {one: f"class {i % 2}" for i, one in enumerate(IDS)}
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".csv")] == ["labels.csv"]


def test_two_pages_and_a_spreadsheet_keep_each_others_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    first, second = LabelFile.read(path, INDEX), LabelFile.read(path, INDEX)
    for i in range(5):
        first.assign(i, " mug ")
    second.assign(5, "jar")
    assert second.classes_by_id == dict.fromkeys(IDS[:5], "mug") | {IDS[5]: "jar"}
    path.write_text(path.read_text().replace(f"{IDS[0]},mug", f"{IDS[0]},cup") + f"{IDS[6]},cup\n")
    assert first.assign(1, None) == {
        IDS[0]: "cup", IDS[2]: "mug", IDS[3]: "mug", IDS[4]: "mug", IDS[5]: "jar", IDS[6]: "cup",
    }  # fmt: skip
    second.propose(3)
    assert second.classes_by_id == first.classes_by_id == read_labels(path, IDS)
    assert second.classes == ["box", "cup", "jar", "mug"]
    path.unlink()
    for change in (lambda: first.assign(7, "jar"), lambda: first.propose(3)):
        with pytest.raises(UserError, match=r"labels\.csv"):
            change()
    assert not path.exists()


def test_copies_are_labeled_together_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_of = np.arange(len(IDS))
    copy_of[1:20] = 0
    monkeypatch.setattr(INDEX.facts, "copy_of", copy_of)
    labels = LabelFile.read(tmp_path / "labels.csv", INDEX)
    proposal, _ = labels.propose(len(IDS))
    assert sorted(proposal.order.tolist()) == [0, *range(20, 60)]
    labels.assign(7, "mug")
    assert labels.classes_by_id == dict.fromkeys(IDS[:20], "mug")
    labels.assign([20, 21], "jar")
    proposal, names = labels.propose(len(IDS))
    assert sorted(proposal.order.tolist()) == list(range(22, 60))
    assert {names[i] for i in proposal.label[:20]} == {"mug"}
    labels.assign(3, None)
    assert read_labels(labels.path, IDS) == dict.fromkeys(IDS[20:22], "jar")


def test_a_label_that_is_given_while_others_are_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = LabelFile.read(tmp_path / "labels.csv", INDEX)
    labels.assign(0, "mug")
    labels.assign(1, "jar")
    read = label_tab.read_labels

    class Given(dict[str, str]):
        """Labels, one of which another tab takes back as soon as they are looked at."""

        def __contains__(self, name: object) -> bool:
            if len(labels.classes_by_id) == 2:
                labels.assign(1, None)
            return super().__contains__(name)

    monkeypatch.setattr(label_tab, "read_labels", lambda path, ids: Given(read(path, ids)))
    found, names = labels.propose(3)
    assert names == ["jar", "mug"]
    assert found.label[:2].tolist() == [1, 0]
    assert labels.classes_by_id == {IDS[0]: "mug"}


def test_a_change_leaves_everything_else_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "id;class;proposed;note;note\n"
        "parts/0.stl;;cup;seen;twice\n"
        "parts/1.stl;mug;;;\n"
        "parts/2.stl;mug\n"
        "parts/3.stl;\n"
        "parts/4.stl;jar;;a;b;beyond the header\n"
        "parts/4.stl;jar\n",
        encoding="utf-8-sig",
    )
    change_label(path, IDS, "parts/0.stl", "jar")
    change_label(path, IDS, "parts/2.stl", None)
    change_label(path, IDS, "parts/4.stl", "mug")
    change_label(path, IDS, "parts/1.stl", None)
    after = change_label(path, IDS, "parts/5.stl", "big; blue")
    assert after == {"parts/0.stl": "jar", "parts/4.stl": "mug", "parts/5.stl": "big; blue"}
    assert path.read_text(encoding="utf-8").splitlines() == [
        "\ufeffid;class;proposed;note;note",
        "parts/0.stl;jar;cup;seen;twice",
        "parts/3.stl;",  # a shape to be labeled yet
        "parts/4.stl;mug;;a;b;beyond the header",
        "parts/4.stl;mug",
        'parts/5.stl;"big; blue";;;',
    ]


@pytest.mark.parametrize(
    "content",
    [
        "Id,Class\nparts/1.stl,box\n",
        "id, class\nparts/1.stl, box\n",
        "id,class,note;x\nparts/1.stl,box,y\n",
        "ID;Note;CLASS\r\nparts/1.stl;a, b;box\r\n",
        '"id"\t"class"\nparts/1.stl\tbox\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_spellings_of_spreadsheets(tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode(encoding))
    assert read_labels(path, IDS) == {"parts/1.stl": "box"}
    assert change_label(path, IDS, "parts/2.stl", "ring") == {"parts/1.stl": "box", "parts/2.stl": "ring"}
    text = path.read_bytes().decode(encoding)
    header, before = (one.splitlines()[0].replace('"', "").replace(" ", "") for one in (text, content))
    assert header == before
    assert ("\r\n" in text) == ("\r\n" in content)


def test_links_and_modes_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "private" / "labels.csv", tmp_path / "labels.csv"
    real.parent.mkdir()
    real.write_text("id,class\n")
    real.chmod(0o600)
    link.symlink_to(real)
    change_label(link, IDS, IDS[0], "mug")
    assert link.is_symlink()
    assert read_labels(real, IDS) == {IDS[0]: "mug"}
    assert real.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in real.parent.iterdir()] == ["labels.csv"]


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"", b"name,kind\n", b"id,class\nof another/collection.stl,mug\n", b'id,class\n"'],
)
def test_a_file_that_became_unreadable_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"labels\.csv"):
        change_label(path, IDS, IDS[0], "mug")
    assert path.read_bytes() == content


def test_a_file_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv is gone"):
        change_label(tmp_path / "labels.csv", IDS, IDS[0], "mug", create=False)
    assert list(tmp_path.iterdir()) == []


def test_another_writer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "LOCK_TIMEOUT", 0.0)
    path = tmp_path / "labels.csv"
    with (
        locked(path, "suggest"),
        pytest.raises(UserError, match=rf"in use: adacross suggest \(process {os.getpid()}"),
    ):
        change_label(path, IDS, IDS[0], "mug")


def test_names_that_a_spreadsheet_would_compute_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    names = ["=1+1.off", "+a.off", "-b.off", "@c.off", "'=d.off", "'e.off", "\tf.off"]
    for name in names:
        change_label(path, names, name, f"={name}")
    assert read_labels(path, names) == {name: f"={name}" for name in names}
    with path.open(newline="") as file:
        cells = [cell for row in list(csv.reader(file))[1:] for cell in row if cell]
    assert all(cell[0] not in "=+-@\t" for cell in cells)
    assert change_label(path, names, "=1+1.off", None).keys() == {*names[1:]}
    path.write_text("id,class\n=1+1.off,=cup\n")  # as an earlier version wrote it
    assert read_labels(path, names) == {"=1+1.off": "=cup"}
    write_labels(path, [{"id": name, "class": name.strip()} for name in names])
    assert read_labels(path, names) == {name: name.strip() for name in names}


def test_suggest_keeps_what_a_page_gives_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels' file and the output are one; a page labels a shape while classes are proposed."""
    nothing = [None] * len(IDS)
    features = np.random.default_rng(0).normal(size=(len(IDS), 4)).astype(np.float32)
    Embeddings(IDS, nothing, nothing, features, {}).write(tmp_path / "parts.parquet")
    path = tmp_path / "labels.csv"
    path.write_text(f"id,class,note\n{IDS[0]},mug,mine\n{IDS[1]},jar,\n")
    propose = suggest_module.propose

    def meanwhile(*given: object, **options: object) -> object:
        change_label(path, IDS, IDS[2], "new")
        return propose(*given, **options)

    monkeypatch.setattr(suggest_module, "propose", meanwhile)
    done = suggest(str(tmp_path / "parts.parquet"), str(path), str(path), overwrite=True)
    assert read_labels(path, IDS) == {IDS[0]: "mug", IDS[1]: "jar", IDS[2]: "new"}
    assert done.classes["new"] == (1, 0)
    with path.open(newline="") as file:
        assert next(iter(csv.DictReader(file)))["note"] == "mine"

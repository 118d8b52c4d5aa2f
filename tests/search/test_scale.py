"""Similarities in words, names, copies and sizes."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

import adacross
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.search.calibrate import explained, measure_scale
from adacross.search.facts import Facts
from adacross.search.index import SearchIndex
from adacross.search.rows import match_rows, shape_row, to_csv
from adacross.search.scale import Scale


def test_words_follow_the_bounds() -> None:
    scale = Scale("shapes", 10, 1.0, 1.0, same=0.98, very_like=0.9, like=0.7)
    assert [scale.word(value) for value in (1.0, 0.98, 0.95, 0.9, 0.8, 0.7, 0.69, -1.0)] == [
        "same", "same", "very like", "very like", "like", "like", "unlike", "unlike",
    ]  # fmt: skip
    assert not scale.finds_little
    assert "first in 100 %" in scale.summary()


def test_nothing_is_the_same_where_queries_do_not_find_themselves() -> None:
    scale = Scale("images", 64, 0.02, 0.1, same=2.0, very_like=0.9, like=0.7)
    assert scale.word(0.999) == "very like"
    assert scale.finds_little
    assert "find little" in scale.summary()


def test_a_scale_is_measured_on_the_collection_and_kept(
    search_index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = measure_scale(search_index, "shapes")
    assert scale is not None
    assert scale.asked == 64
    assert scale.like <= scale.very_like <= 1
    assert 0 <= scale.recall_1 <= scale.recall_10 <= 1
    images = measure_scale(search_index, "images")
    assert images is not None

    def never(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(SearchIndex, "encode", never)
    assert measure_scale(search_index, "shapes") == scale
    assert measure_scale(search_index, "images") == images


def test_ninety_in_a_hundred_pairs_are_unlike(search_index: SearchIndex) -> None:
    found = explained(search_index, search_index.search(3, len(search_index)))
    assert set(found.likeness) <= {"same", "very like", "like", "unlike"}
    assert list(found.similarities) == sorted(found.similarities, reverse=True)
    places = [("same", "very like", "like", "unlike").index(word) for word in found.likeness]
    assert places == sorted(places)


def test_too_few_shapes_have_no_scale(search_index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adacross.search.calibrate.FEWEST", 1000)
    assert measure_scale(search_index, "shapes") is None
    assert set(explained(search_index, search_index.search(0, 3)).likeness) == {""}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A folder of boxes, two of which are one."""
    folder = tmp_path_factory.mktemp("vault") / "parts"
    (folder / "brackets").mkdir(parents=True)
    for name, sides in {
        "brackets/BRK-0042": (3, 2, 1),
        "brackets/copy": (3, 2, 1),
        "PLATE-7": (80, 20, 5),
    }.items():
        trimesh.creation.box(sides).export(folder / f"{name}.obj")
    made = folder.with_name("collection")
    return adacross.prepare(str(folder), str(made), points=64, views=2, size=32, workers=1, classes="none")


def test_sizes_copies_and_paths_are_those_of_the_source(parts: Collection) -> None:
    facts = Facts.of(parts)
    ids = {name: i for i, name in enumerate(parts.ids)}
    bracket, copy, plate = (
        ids[name] for name in ("brackets/BRK-0042.obj", "brackets/copy.obj", "PLATE-7.obj")
    )
    assert facts.size(plate) == "80 × 20 × 5"
    assert facts.largest[bracket] == 3
    assert facts.copy_of[copy] == facts.copy_of[bracket] == min(bracket, copy)
    assert facts.copy_of[plate] == plate
    assert facts.paths[plate] == "PLATE-7.obj"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("brk-0042", ["brackets/BRK-0042.obj"]),
        ("ATE-7", ["PLATE-7.obj"]),
        ("bracket copy", ["brackets/copy.obj"]),
        ("obj p", ["PLATE-7.obj", "brackets/copy.obj"]),
        ("", ["PLATE-7.obj", "brackets/BRK-0042.obj", "brackets/copy.obj"]),
        ("nut", []),
    ],
)
def test_names_are_found_by_any_part(text: str, found: list[str], parts: Collection) -> None:
    assert sorted(parts.ids[i] for i in Facts.of(parts).find(text)) == found


def test_what_a_name_begins_with_comes_first(toy_collection: Collection) -> None:
    names = ["old/bolt", "bolt/1", "xbolt", "a/bolt-7"]
    facts = Facts(np.full((4, 3), np.nan), np.arange(4), [""] * 4, names)
    assert [names[i] for i in facts.find("BOLT")] == ["old/bolt", "bolt/1", "a/bolt-7", "xbolt"]
    assert facts.size(0) == ""


def test_a_query_may_be_a_part_of_a_name(parts: Collection) -> None:
    index = SearchIndex(parts, adacross.PointNet(width=8), device="cpu")
    assert index.query("BRK-0042").index == parts.ids.index("brackets/BRK-0042.obj")
    with pytest.raises(UserError, match="the name of 2 shapes"):
        index.query("brackets")
    rows = [shape_row(index, i) for i in range(3)]
    assert [row["length"] for row in rows] == ["80", "3", "3"]
    found = list(match_rows(index, index.search("PLATE-7", 2)))
    assert [row["rank"] for row in found] == ["1", "2"]
    assert to_csv(found).splitlines()[0] == "query,rank,similarity,likeness,id,class,length,width,height,path"
    assert to_csv([{"id": "=1+1"}]).splitlines() == ["id", "'=1+1"]


def test_a_folder_of_queries_becomes_a_table(
    own_run: Path, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from adacross.cli import main

    new = tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    for i, name in ((4, "one.npy"), (9, "deep/two.npy")):
        np.save(new / name, toy_collection.points(np.array([i]))[0, :48])  # as many as are compared
    (new / "broken.stl").write_bytes(b"solid nothing")
    (new / "notes.txt").write_text("not a shape", encoding="utf-8")
    words = ["search", str(own_run), str(toy_collection.folder), "--device", "cpu", "--query", str(new)]
    assert main([*words, "--top", "3", "--output", str(tmp_path / "matches.csv")]) == 0
    out = capsys.readouterr().out
    assert "broken.stl is not a shape" in out
    assert toy_collection.ids[4] in out
    import csv

    with (tmp_path / "matches.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["query"], row["rank"]) for row in rows] == [
        (name, rank) for name in ("two.npy", "one.npy") for rank in "123"
    ]
    assert rows[0]["id"] == toy_collection.ids[9]
    assert rows[3]["id"] == toy_collection.ids[4]
    assert main([*words, "--output", str(tmp_path / "found.html")]) == 2
    assert "results of a folder are written as CSV" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main([*words[:-1], str(tmp_path / "empty")]) == 2
    assert "holds no shape and no image" in capsys.readouterr().err

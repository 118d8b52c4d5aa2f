import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import trimesh

from adacross.data.collection import build
from adacross.data.collection import prepare as prepare_module
from adacross.data.collection.build import WorkFolder, splits_of
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.data.collection.sample import serve_sample
from adacross.data.formats.base import SampleRef
from adacross.data.workers.local import WorkerCrash
from adacross.errors import UserError
from adacross.io.files import locked

SMALL: dict[str, Any] = {"points": 32, "views": 2, "size": 16, "classes": "folder", "up": "by-format"}
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
BROKEN = {
    "box/empty.obj": ("", "the file is empty"),
    "box/nan.obj": (TRIANGLE.replace("1 0 0", "nan 0 0") + "f 1 2 3\n", "NaN or infinite coordinates"),
    "box/flat.obj": (TRIANGLE + "f 1 2 2\n", "no face has an area (every triangle is degenerate)"),
    "cone/cut.off": ("OFF\n9 9 0\n0 0 0\n", "truncated: the header promises 9 vertices and 9 faces"),
    "cone/text.stl": ("not a mesh at all", "truncated: a binary STL file has at least 84 bytes"),
    "cone/far.off": ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 5\n", "a face points to vertex 5"),
}


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    return write_meshes(tmp_path / "meshes")


@pytest.fixture(scope="module")
def by_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same meshes, prepared by two worker processes, in shards of 4 and files of 8."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "SHARD", 4)
        patch.setattr(build, "FILE", 8)
        prepare(str(write_meshes(folder / "meshes")), str(folder / "c"), workers=2, **SMALL)
    return folder / "c"


def write_meshes(folder: Path) -> Path:
    """Six boxes, four cones, one in the root without a class; and every kind of breakage."""
    for i in range(6):
        box = trimesh.creation.box(extents=(1, 2 + i, 3))
        save(folder / f"box/{i}.{('obj', 'ply', 'stl', 'glb', 'PLY', 'obj')[i]}", box)
    for i in range(4):
        save(folder / f"cone/{i}.off", trimesh.creation.cone(1, 2 + i, sections=8))
    save(folder / "ball.obj", trimesh.creation.icosphere(1))
    for name, (text, _) in BROKEN.items():
        (folder / name).write_text(text)
    return folder


def save(path: Path, mesh: trimesh.Trimesh) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = mesh.export(file_type=path.suffix[1:].lower())
    path.write_bytes(content.encode() if isinstance(content, str) else content)


Each = Callable[[str, list[dict[str, Any]], int], Iterator[tuple[int, bytes | WorkerCrash]]]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Replace the worker processes by this one; return a way to shuffle, count and interrupt the work."""

    def install(stop_after: int | None = None, order: int = 0, fatal: str = "") -> list[str]:
        asked: list[str] = []

        def each(
            function: str, requests: list[dict[str, Any]], workers: int, timeout: float
        ) -> Iterator[tuple[int, bytes | WorkerCrash]]:
            numbers = list(range(len(requests)))
            random.Random(order).shuffle(numbers)
            for number in numbers:
                if stop_after is not None and len(asked) >= stop_after:
                    raise KeyboardInterrupt
                asked.append(requests[number]["item"]["id"])
                yield number, WorkerCrash("boom") if asked[-1] == fatal else serve_sample(requests[number])

        monkeypatch.setattr(prepare_module, "each", each)
        return asked

    monkeypatch.setattr(build, "SHARD", 4)
    monkeypatch.setattr(build, "FILE", 8)
    return install


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "collection.json"}


def test_good_shapes_are_in_and_broken_ones_named(by_processes: Path) -> None:
    collection = Collection.open(by_processes)
    info = collection.info
    assert info.count == 11
    assert info.classes == ["box", "cone"]
    assert info.source_up == "mixed"
    assert {entry["name"] for entry in info.skipped} == BROKEN.keys()
    for entry in info.skipped:
        assert entry["reason"].startswith(BROKEN[entry["name"]][1])
    assert collection.labels.tolist() == [-1, *[0] * 6, *[1] * 4]
    points = collection.points(collection.indices("all"))
    np.testing.assert_allclose(points.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points, axis=2).max(1), 1, rtol=1e-6)
    shape = collection[collection.ids.index("cone/0.off")]
    assert shape.views.shape == (2, 16, 16, 3)
    assert (shape.views != 255).any(axis=(1, 2, 3)).all()
    assert sorted(path.name for path in by_processes.iterdir()) == [
        "collection.json",
        *(f"data-{file:05d}-of-00003.arrow" for file in range(3)),
        "dataset_info.json",
        "state.json",
    ]
    assert sorted(path.name for path in by_processes.parent.iterdir()) == ["c", "meshes"]


@pytest.mark.slow
def test_result_does_not_depend_on_workers_or_interruptions(
    by_processes: Path, tmp_path: Path, in_process: Callable[..., list[str]]
) -> None:
    meshes = str(by_processes.parent / "meshes")
    in_process(stop_after=14, order=1)  # whatever the order, 14 of 17 items complete 2 of 5 shards or more
    with pytest.raises(KeyboardInterrupt, match=r"of 5 parts.*run the same command again"):
        prepare(meshes, str(tmp_path / "c"), **SMALL)
    assert not (tmp_path / "c").exists()
    asked = in_process(order=2)
    info = prepare(meshes, str(tmp_path / "c"), **SMALL).info
    assert 3 <= len(asked) <= 12
    assert content(tmp_path / "c") == content(by_processes)
    assert info.skipped == Collection.open(by_processes).info.skipped


@pytest.mark.slow
def test_finished_files_are_put_together_again_after_an_interruption(
    by_processes: Path, tmp_path: Path, in_process: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes = str(by_processes.parent / "meshes")
    in_process()
    write = build.write_shard

    def interrupted(path: Path, *rest: Any) -> None:
        if path.name == "data-00001-of-00003.arrow":
            raise KeyboardInterrupt
        write(path, *rest)

    monkeypatch.setattr(build, "write_shard", interrupted)
    with pytest.raises(KeyboardInterrupt, match="5 of 5 parts"):
        prepare(meshes, str(tmp_path / "c"), **SMALL)
    monkeypatch.setattr(build, "write_shard", write)
    asked = in_process()
    prepare(meshes, str(tmp_path / "c"), **SMALL)
    assert not asked
    assert content(tmp_path / "c") == content(by_processes)


def test_files_are_bounded_in_items_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build._files([1] * 130) == [list(range(64)), list(range(64, 128)), [128, 129]]
    monkeypatch.setattr(build, "FILE_BYTES", 10)
    assert build._files([4, 4, 4, 30, 1]) == [[0, 1], [2], [3], [4]]


@pytest.mark.slow
def test_unfinished_work_of_other_options_or_files_is_kept(
    meshes: Path, tmp_path: Path, in_process: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**options: Any) -> None:
        in_process(stop_after=12)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(meshes), str(tmp_path / "c"), **SMALL | options)

    def told() -> str:
        return " ".join(capsys.readouterr().err.split())

    interrupted()
    with pytest.raises(UserError, match=r"unfinished work with other options \(seed was 0\).*--overwrite"):
        prepare(str(meshes), str(tmp_path / "c"), **SMALL, seed=1)
    interrupted(seed=1, overwrite=True)
    assert "discarding unfinished work with other options (seed was 0)" in told()
    (meshes / "box" / "new.obj").write_text(TRIANGLE + "f 1 2 3\n")
    with pytest.raises(UserError, match="the source has changed"):
        prepare(str(meshes), str(tmp_path / "c"), **SMALL, seed=1)
    (meshes / "box" / "new.obj").unlink()
    asked = in_process()
    prepare(str(meshes), str(tmp_path / "c"), seed=1, **SMALL)
    assert "continuing: " in told()
    assert len(asked) < 17


@pytest.mark.slow
def test_a_second_prepare_of_one_target_is_refused(meshes: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "c", "prepare"),
        pytest.raises(UserError, match=rf"c is in use: adacross prepare \(process {os.getpid()} on "),
    ):
        prepare(str(meshes), str(tmp_path / "c"), **SMALL)
    assert prepare(str(meshes), str(tmp_path / "c"), **SMALL).info.count == 11
    assert {path.name for path in tmp_path.iterdir()} <= {"c", "meshes"}


@pytest.mark.slow
def test_files_of_somebody_else_in_a_collection_are_not_replaced(meshes: Path, tmp_path: Path) -> None:
    prepare(str(meshes), str(tmp_path / "c"), **SMALL)
    (tmp_path / "c" / "labels.csv").write_text("id,class\n")
    with pytest.raises(UserError, match=r"did not write \(labels.csv\)"):
        prepare(str(meshes), str(tmp_path / "c"), **SMALL, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "collection.json").write_text('{"version": 3, "postman": []}')
    with pytest.raises(UserError, match="is not a collection"):
        prepare(str(meshes), str(tmp_path / "other"), **SMALL, overwrite=True)


@pytest.mark.slow
def test_a_target_that_fills_meanwhile_is_not_replaced(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(self: WorkFolder, *arguments: Any) -> None:
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "thesis.txt").write_text("mine")

    monkeypatch.setattr(WorkFolder, "describe", describe)
    with pytest.raises(UserError, match="c exists and is not a collection"):
        prepare(str(meshes), str(tmp_path / "c"), **SMALL)
    assert (tmp_path / "c" / "thesis.txt").read_text() == "mine"


def test_a_crash_names_its_shape(meshes: Path, tmp_path: Path, in_process: Callable[..., list[str]]) -> None:
    in_process(fatal="cone/1.off")
    info = prepare(str(meshes), str(tmp_path / "c"), **SMALL).info
    assert {"name": "cone/1.off", "reason": "boom"} in info.skipped
    assert info.count == 10


@pytest.mark.slow
def test_seed_decides_points_and_cameras(
    meshes: Path, tmp_path: Path, in_process: Callable[..., list[str]]
) -> None:
    in_process()
    shapes = []
    for seed in (0, 0, 1):
        prepare(str(meshes), str(tmp_path / "c"), seed=seed, overwrite=True, **SMALL)
        shapes.append(Collection.open(tmp_path / "c")[3])
    np.testing.assert_array_equal(shapes[0].points, shapes[1].points)
    assert not np.array_equal(shapes[0].points, shapes[2].points)
    assert not np.array_equal(shapes[0].views, shapes[2].views)


def test_up_axis_and_the_way_back(tmp_path: Path, in_process: Callable[..., list[str]]) -> None:
    """A tall box, its height along z in an OFF file, along y after preparation."""
    import datasets

    in_process()
    box = trimesh.creation.box(extents=(1, 2, 8))
    box.apply_translation([100, 0, 0])
    save(tmp_path / "m" / "tall.off", box)
    info = prepare(str(tmp_path / "m"), str(tmp_path / "c"), points=500, views=1, size=16).info
    assert info.source_up == "z"
    assert info.classes == []
    assert info.splits == {"train": 1, "test": 0}
    shape = Collection.open(tmp_path / "c")[0]
    assert shape.label is None
    assert np.ptp(shape.points, axis=0).argmax() == 1
    row = datasets.load_from_disk(str(tmp_path / "c"))[0]
    original = shape.points * row["scale"] + np.array(row["center"])
    np.testing.assert_allclose(original.max(0), [100.5, 4, 1], atol=0.2)
    assert (original <= np.array([100.5, 4, 1]) + 1e-3).all()
    prepare(str(tmp_path / "m"), str(tmp_path / "d"), points=500, views=1, size=16, up="x")
    assert np.ptp(Collection.open(tmp_path / "d")[0].points, axis=0).argmax() == 2


@pytest.mark.slow
def test_modelnet40_folder(
    tmp_path: Path, in_process: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    in_process()
    folder = tmp_path / "m"
    folder.mkdir()
    clouds = np.random.default_rng(0).normal(size=(6, 40, 3)).astype(np.float32)
    clouds[1, 3, 0] = np.nan
    for split, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            file["data"], file["label"] = (
                clouds[rows],
                np.array([[0], [1], [0], [1]])[: rows.stop - rows.start],
            )
    info = prepare(str(folder), str(tmp_path / "c"), points=64, views=1, size=16).info
    assert "40 points a shape, fewer than the 64 asked for" in capsys.readouterr().err
    assert (info.points, info.format, info.source_up) == (40, "modelnet40", "y")
    assert info.splits == {"train": 3, "test": 2}
    assert info.skipped == [
        {"name": "ply_data_train0/00001", "reason": "a point is not finite (NaN or infinite coordinates)"}
    ]
    cloud = clouds[5] - clouds[5].mean(0)
    cloud /= np.linalg.norm(cloud, axis=1).max()
    np.testing.assert_allclose(Collection.open(tmp_path / "c")[4].points, cloud, atol=1e-6)
    prepare(str(folder), str(tmp_path / "first"), points=8, views=1, size=16)
    cloud = clouds[5, :8] - clouds[5, :8].mean(0)
    cloud /= np.linalg.norm(cloud, axis=1).max()
    np.testing.assert_allclose(Collection.open(tmp_path / "first")[4].points, cloud, atol=1e-6)


def test_builtin_shapes_carry_parts(tmp_path: Path, in_process: Callable[..., list[str]]) -> None:
    in_process()
    for variant in ("clean", "scanned"):
        info = prepare(
            "builtin", str(tmp_path / variant), count=9, variant=variant, **SMALL | {"classes": "auto"}
        ).info
        assert info.count == 9
        assert not info.skipped
        collection = Collection.open(tmp_path / variant)
        for i in range(9):
            shape = collection[i]
            assert shape.part is not None
            assert shape.label is not None
            owners = {info.parts[p].split("/")[0] for p in shape.part if p >= 0}
            assert owners == {info.classes[shape.label]}
    other = prepare("builtin", str(tmp_path / "other"), count=3, seed=1, **SMALL | {"classes": "auto"})
    assert len(other.info.made["options"]) == 9


def test_full_disk_keeps_the_finished_part(
    meshes: Path, tmp_path: Path, in_process: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process()
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "data-00002" in path.name:
            write_bytes(path, data[:50])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        UserError, match=r"No space left on device.*Free some space.*run the same command again"
    ):
        prepare(str(meshes), str(tmp_path / "c"), **SMALL)
    assert not (tmp_path / "c").exists()
    assert not list((tmp_path / "c.partial").glob("*data-00002*"))
    monkeypatch.undo()


@pytest.mark.slow
def test_a_real_limit_on_file_size_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "m" / "box.obj", trimesh.creation.box())
    # Python would keep the first bytes of a module's bytecode, and no later process could import the module.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from adacross.cli import main\n"
        f"sys.exit(main(['prepare', {str(tmp_path / 'm')!r}, {str(tmp_path / 'c')!r}, '--workers', '1']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 0}, "points is 0; it must be at least 1"),
        ({"points": 2**20 + 1}, "points is 1,048,577; an encoder takes at most"),
        ({"views": 100, "size": 4096}, "1,677,721,600 pixels a shape; expected at most"),
        ({"views": -1}, "views is -1"),
        ({"size": 8}, "size is 8; it must be at least 16"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"workers": 0}, "workers is 0"),
        ({"count": 0}, "count is 0"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"test_fraction": -0.1}, "test_fraction is -0.1"),
        ({"test_fraction": float("nan")}, "test_fraction is nan"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare("builtin", str(tmp_path / "c"), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_is_already_there_is_not_touched(
    meshes: Path, tmp_path: Path, in_process: Callable[..., list[str]]
) -> None:
    in_process()
    with pytest.raises(UserError, match="exists and is not a collection"):
        prepare(str(meshes), str(meshes), overwrite=True, **SMALL)
    (tmp_path / "empty").mkdir()
    prepare(str(meshes), str(tmp_path / "empty"), **SMALL)
    with pytest.raises(UserError, match="--overwrite"):
        prepare(str(meshes), str(tmp_path / "empty"), **SMALL)
    prepare(str(meshes), str(tmp_path / "empty"), overwrite=True, **SMALL | {"points": 5})
    assert Collection.open(tmp_path / "empty").info.points == 5
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    (tmp_path / "d.partial").mkdir()
    (tmp_path / "d.partial" / "thesis.tex").touch()
    with pytest.raises(UserError, match="not an unfinished preparation"):
        prepare(str(meshes), str(tmp_path / "d"), **SMALL)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_link_stays_a_link_and_the_working_folder_can_be_the_target(
    meshes: Path, tmp_path: Path, in_process: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")  # nothing is there yet
    for overwrite in (False, True):
        prepare(str(meshes), str(link), overwrite=overwrite, **SMALL)
    assert link.is_symlink()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert prepare(str(meshes), ".", **SMALL).info.name == "here"
    assert {path.name for path in tmp_path.iterdir()} == {"meshes", "link", "real", "here"}


def test_nothing_readable_leaves_nothing(tmp_path: Path, in_process: Callable[..., list[str]]) -> None:
    in_process()
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.obj").touch()
    with pytest.raises(UserError, match=r"none of the 1 shapes .*\n.*a\.obj: the file is empty"):
        prepare(str(tmp_path / "m"), str(tmp_path / "c"), **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def items(labels: list[int], splits: list[Any] | None = None) -> list[SampleRef]:
    given = splits or [None] * len(labels)
    return [
        SampleRef(str(i), "", label=label, split=split)
        for i, (label, split) in enumerate(zip(labels, given, strict=True))
    ]


def test_drawn_split_is_stratified_and_exact() -> None:
    labels = [0] * 10 + [1] * 13 + [2] * 3 + [-1] * 24
    for seed in range(5):
        splits = splits_of(items(labels), 0.3, seed)
        assert splits.count("test") == 15
        for label in (-1, 0, 1, 2):
            own = [split for split, mine in zip(splits, labels, strict=True) if mine == label]
            assert abs(own.count("test") - 0.3 * len(own)) < 1
    assert splits_of(items(labels), 0.3, 1) == splits_of(items(labels), 0.3, 1)
    assert splits_of(items(labels), 0.3, 1) != splits_of(items(labels), 0.3, 2)
    assert set(splits_of(items(labels), 0.0, 1)) == {"train"}


def test_own_split_counts_where_it_has_both_sides() -> None:
    assert splits_of(items([0, 0, 0], ["train", "test", "test"]), 0.0, 0) == ["train", "test", "test"]
    assert splits_of(items([0] * 4, ["train"] * 4), 0.5, 0).count("test") == 2
    assert splits_of(items([0] * 6, ["train", "test", None, None, None, None]), 0.25, 0).count("test") == 2

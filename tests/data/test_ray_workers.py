"""Ray on this machine alone, then a cluster of two nodes with a core each, made once for all that follows."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import trimesh
from ray.cluster_utils import Cluster
from waiting import HANGS, wait_until

from adacross.data.collection import build
from adacross.data.collection.build import WorkFolder
from adacross.data.collection.prepare import prepare
from adacross.data.workers import ray as ray_workers
from adacross.data.workers.local import WorkerCrash
from adacross.data.workers.ray import each
from adacross.embeddings.embed import embed
from adacross.embeddings.table import read_embeddings
from adacross.errors import UserError

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
SMALL: dict[str, Any] = {"points": 32, "views": 1, "size": 16}
ANSWER = "ray_answers:answer"

pytestmark = pytest.mark.slow


def number(answer: bytes | WorkerCrash) -> int | str:
    return answer.reason if isinstance(answer, WorkerCrash) else int(answer.split()[0])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster that ends with the module; `tests/conftest.py` checks that none of its processes stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # or whatever else runs here starves Ray
        made = Cluster(initialize_head=True, head_node_args=NODE)
        made.add_node(**NODE)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SHARD", 4)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes, a broken file, and a file that is none."""
    folder = tmp_path_factory.mktemp("source") / "meshes" / "box"
    folder.mkdir(parents=True)
    for i in range(12):
        trimesh.creation.box(extents=(1, 2 + i, 3)).export(folder / f"{i:02d}.off")
    (folder / "05.off").write_text("OFF\n9 9 0\n0 0 0\n")
    (folder / "06.off").write_text("")
    return folder.parent


@pytest.fixture(scope="module")
def by_processes(meshes: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "SHARD", 4)
        prepare(str(meshes), str(meshes.parent / "c"), workers=2, **SMALL)
    return meshes.parent / "c"


def content(folder: Path) -> dict[str, Any]:
    """Every byte of a collection, but for the date."""
    files: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    files["collection.json"] = json.loads(files["collection.json"])
    del files["collection.json"]["made"]["date"]
    return files


def test_without_ray_it_says_how_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install '\.\[ray\]'"):
        prepare("builtin", str(tmp_path / "c"), engine="ray", count=3, **SMALL)


def test_no_such_cluster(closed_port: int, tmp_path: Path) -> None:
    for address in ("nonsense", f"127.0.0.1:{closed_port}"):
        with pytest.raises(UserError, match=rf"cannot join the Ray cluster {address} \(.*ray start --head"):
            prepare("builtin", str(tmp_path / "c"), engine="ray", ray_address=address, count=3, **SMALL)


ALONE = """
import json, os, sys
import psutil, ray
from adacross.cli import main
from adacross.data.collection import build
build.SHARD = 4
listening, shutdown, before = set(), ray.shutdown, dict(os.environ)
def note_and_shut_down():
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        found = (one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
        listening.update((process.name().partition(":")[0], one.laddr.ip) for one in found)
    shutdown()
ray.shutdown = note_and_shut_down
code = main(sys.argv[1:])
left = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=300)[1]
changed = [name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)]
print(json.dumps([code, sorted(listening), ray.is_initialized(), len(left), changed]))
"""


def test_this_machine_alone(meshes: Path, by_processes: Path, tmp_path: Path) -> None:
    """In a process of its own: Ray cannot join a cluster in one in which it listened at loopback."""
    options = [f"--{name}={value}" for name, value in SMALL.items()]
    command = ["prepare", str(meshes), str(tmp_path / "c"), "--engine", "ray", "--workers", "1", *options]
    program = [sys.executable, "-c", ALONE, *command]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    code, listening, initialized, left, changed = json.loads(done.stdout.splitlines()[-1])
    assert (code, initialized, left) == (0, False, 0), done.stderr
    assert {address.removeprefix("::ffff:") for _, address in listening} == {"127.0.0.1"}
    assert {name for name, _ in listening} >= {"gcs_server", "raylet", "ray"}
    assert not [name for name in changed if "CLUSTER" in name]
    assert content(tmp_path / "c") == content(by_processes)


def test_crashes_and_hangs_name_their_request(cluster: Cluster) -> None:
    requests: list[dict[str, Any]] = [{"do": "answer", "number": i} for i in range(8)]
    requests[1]["do"], requests[2]["do"], requests[3]["do"] = "crash", "hang", "raise"
    answers = {place: number(found) for place, found in each(ANSWER, requests, timeout=20.0)}
    assert answers == dict(enumerate(range(8))) | {
        1: "the process that read it was killed by SIGSEGV",
        2: "reading it took longer than 20 s",
        3: "KeyError: 'no such thing'",
    }


def starts(folder: Path, count: int) -> list[int]:
    """Wait until work has begun `count` times; return Ray's processes."""

    def found() -> list[Path]:
        return [path for path in folder.iterdir() if path.name != "go"]

    wait_until(lambda: len(found()) >= count, found)
    return [
        int(path.name.split("-")[2]) for path in sorted(found(), key=lambda path: path.stat().st_mtime_ns)
    ]


def answers_while(folder: Path, event: Callable[[], None], count: int) -> dict[int, int | str]:
    """Send requests that wait, let something happen to those who work on them, and give the sign to go on."""
    requests = [{"do": "wait", "number": i, "folder": str(folder)} for i in range(count)]
    errors: list[AssertionError] = []

    def play() -> None:
        try:
            event()
        except AssertionError as error:
            errors.append(error)
        finally:
            (folder / "go").touch()

    thread = threading.Thread(target=play)
    thread.start()
    found = {place: number(answer) for place, answer in each(ANSWER, requests)}
    thread.join()
    assert not errors
    return found


def test_a_killed_worker_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    def kill() -> None:
        for killed in range(2):
            os.kill(starts(tmp_path, 2 + killed)[-1], signal.SIGKILL)
        starts(tmp_path, 4)

    assert answers_while(tmp_path, kill, 6) == dict(enumerate(range(6)))


def test_a_removed_node_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    def remove() -> None:
        starts(tmp_path, 2)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        starts(tmp_path, 2)

    try:
        assert answers_while(tmp_path, remove, 4) == dict(enumerate(range(4)))
        assert len(list(tmp_path.iterdir())) == 1 + 4 + 1  # the sign, and one request begun twice
    finally:
        cluster.add_node(**NODE)


def test_what_always_takes_its_worker_down_is_given_up(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "TRIES", 2)

    def kill() -> None:
        for killed in range(2):
            os.kill(starts(tmp_path, 1 + killed)[-1], signal.SIGKILL)

    found = answers_while(tmp_path, kill, 1)[0]
    assert str(found).startswith("its machine or process was lost 2 times (")


def test_a_machine_that_cannot_work_stops_the_command(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UserError, match=r"a machine of the Ray cluster cannot work: it does not see .*missing"
    ):
        list(each(ANSWER, [{"do": "answer", "number": 0}], folder=str(tmp_path / "missing")))
    with pytest.raises(UserError, match=r"could not start.*no_such_module"):
        list(each("no_such_module:function", [{}]))
    monkeypatch.setattr(ray_workers, "__version__", "0.0.0")
    with pytest.raises(UserError, match=r"and the command was given with 0\.0\.0.*constraints\.txt"):
        list(each(ANSWER, [{"do": "answer", "number": 0}]))


@pytest.mark.parametrize(("first", "second"), [("ray", "local"), ("local", "ray")])
def test_the_engines_go_on_with_each_others_work(
    first: Any, second: Any, cluster: Cluster, meshes: Path, by_processes: Path, tmp_path: Path,
    small_shards: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    save, saved = WorkFolder.save, []

    def interrupted(self: WorkFolder, shard: int, *rest: Any) -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(shard)
        save(self, shard, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "save", interrupted)
        with pytest.raises(KeyboardInterrupt, match="1 of 3 parts of the work are kept"):
            prepare(str(meshes), str(tmp_path / "c"), engine=first, workers=2, **SMALL)
    info = prepare(str(meshes), str(tmp_path / "c"), engine=second, workers=2, **SMALL).info
    assert "continuing: 1 of 3 shards are done" in capsys.readouterr().err
    assert content(tmp_path / "c") == content(by_processes)
    assert [entry["name"] for entry in info.skipped] == ["box/05.off", "box/06.off"]


def test_control_c_keeps_what_is_done(cluster: Cluster, tmp_path: Path) -> None:
    """A program of its own that joins the cluster, as a user would."""
    command = ["prepare", "builtin", str(tmp_path / "c"), "--engine", "ray", "--ray-address", cluster.address]
    command += ["--count", "20000", *(f"--{name}={value}" for name, value in SMALL.items())]
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background ignores Ctrl-C
    code = f"import signal, sys; {heed}; from adacross.cli import main; sys.exit(main())"
    program = [sys.executable, "-c", code, *command]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as running:
        kept = "c.partial/progress/shard-*.json"
        wait_until(lambda: list(tmp_path.glob(kept)) or running.poll() is not None)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=HANGS)
    assert running.returncode == 130, said
    assert "of 313 parts of the work are kept" in said
    assert "Traceback" not in said
    assert not (tmp_path / "c").exists()


def test_embed_reads_files_on_the_cluster(
    cluster: Cluster, meshes: Path, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for engine in ("local", "ray"):
        out = tmp_path / f"{engine}.parquet"
        done = embed(str(toy_run), str(meshes), str(out), up="z", workers=2, engine=engine, columns=["size"])
        assert [entry["name"] for entry in done.skipped] == ["box/05.off", "box/06.off"]
        found.append(read_embeddings(out, ["size_y"]))
    assert found[0].ids == found[1].ids
    assert np.array_equal(found[0].features, found[1].features)
    assert found[1].columns["size_y"].to_pylist()[:2] == [2, 3]

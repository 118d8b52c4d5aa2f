"""A run folder: nothing deleted that is not a run's, one writer, and only its own checkpoints resumed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import PowerCutError, configured, cut_power

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.errors import UserError
from adacross.io.files import locked
from adacross.training.checkpoint import checkpoints, is_run, load_checkpoint
from adacross.training.log import read_log
from adacross.training.pretrain import pretrain

pytestmark = pytest.mark.slow


FOREIGN = {
    "checkpoints/thesis.pt": "weights",
    "encoder/notes.txt": "notes",
    "evaluation/results.csv": "figures",
    "report.html": "report",
    "log.csv": "log",
}


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


ENDLESS = [  # seconds that no float holds, and none that the log could go on from
    f'{{"kind": "step", "step": 3, "seconds": {seconds}}}'
    for seconds in ("1" + "0" * 400, "1e999", "NaN", "-1")
]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of somebody's project, with the most usual names of the field."""
    for name, text in FOREIGN.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    return tmp_path / "mine"


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


@pytest.mark.parametrize("config", [None, "model: resnet\n", "collection: x\nmethod: y\n", "a: ["])
@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": "auto"}])
def test_a_folder_that_is_no_run_is_refused_and_kept(
    toy_collection: Collection, foreign: Path, config: str | None, options: dict[str, Any]
):
    if config is not None:
        (foreign / "config.yaml").write_text(config)
    before = content(foreign)
    with pytest.raises(UserError, match="holds files and is not a run"):
        pretrain(configured(toy_collection, foreign, **options))
    assert content(foreign) == before


def test_overwriting_a_run_keeps_what_is_not_its_own(toy_collection: Collection, run: Path):
    extra = (
        "mine.txt",
        "checkpoints/best.pt",
        "encoder/README.md",
        "evaluation/notes.md",
        "evaluation/x/y.z",
    )
    for name in extra:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("mine")
    (run / "evaluation" / "linear.json").write_text("{}")
    pretrain(configured(toy_collection, run, epochs=1, monitor_every=0, overwrite=True))
    assert {name: (run / name).read_text() for name in extra} == dict.fromkeys(extra, "mine")
    assert not (run / "evaluation" / "linear.json").exists()


def test_a_finished_run_without_checkpoints_is_not_replaced(toy_collection: Collection, run: Path):
    shutil.rmtree(run / "checkpoints")
    before = content(run)
    with pytest.raises(UserError, match="a finished run without checkpoints"):
        pretrain(configured(toy_collection, run, resume="auto"))
    assert content(run) == before


@pytest.mark.parametrize("options", [{}, {"overwrite": True, "seed": 1}, {"resume": "auto"}])
def test_a_run_in_use_is_refused(toy_collection: Collection, run: Path, options: dict[str, Any]):
    before = content(run)
    with locked(run, "pretrain", inside=True), pytest.raises(UserError, match="in use: adacross pretrain"):
        pretrain(configured(toy_collection, run, **options))
    assert content(run) == before


def test_a_run_that_ended_is_not_in_use(toy_collection: Collection, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 3)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, tmp_path / "run"))
    assert is_run(tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))
    pretrain(configured(toy_collection, tmp_path / "run", resume="auto"))


def test_another_collection_is_refused(toy_collection: Collection, run: Path, tmp_path: Path):
    """Also one of the same form, and the same shapes prepared with another seed."""
    options = {"points": 64, "views": 1, "size": 32, "workers": 1, "test_fraction": 0.4}
    prepare("builtin", str(tmp_path / "other"), count=220, seed=9, **options)
    with pytest.raises(UserError, match="other holds other shapes than the run was trained on"):
        pretrain(configured(Collection.open(tmp_path / "other"), run, resume="auto"))


def test_a_collection_may_move(toy_collection: Collection, run: Path, tmp_path: Path):
    moved = Path(shutil.copytree(toy_collection.folder, tmp_path / "moved"))
    assert Collection.open(moved).digest() == toy_collection.digest()
    pretrain(configured(Collection.open(moved), run, resume="auto"))


def test_a_checkpoint_of_another_run_is_refused(toy_collection: Collection, run: Path, tmp_path: Path):
    other = pretrain(configured(toy_collection, tmp_path / "other"))
    theirs = checkpoints(other)[-1]
    with pytest.raises(UserError, match="the checkpoint belongs to another run"):
        pretrain(configured(toy_collection, run, resume=str(theirs)))
    shutil.copy(theirs, checkpoints(run)[-1])
    with pytest.raises(UserError, match="the checkpoint belongs to another run"):
        pretrain(configured(toy_collection, run, resume="auto"))


def tampered(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    state = load_checkpoint(path)
    change(state)
    torch.save(state, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state["identity"]["options"].update(seed=7), "seed was 7, is 0"),
        (lambda state: state["identity"].update(data="0"), "holds other shapes"),
        (lambda state: state.update(identity=3), "identity is damaged"),
        (lambda state: state.pop("optimizer"), "does not fit the run"),
        (lambda state: state["method"].popitem(), "does not fit the run"),
        (lambda state: state.update(step="many"), "does not fit the run"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_a_sentence(
    toy_collection: Collection, run: Path, change: Callable[[dict[str, Any]], Any], message: str
):
    tampered(checkpoints(run)[-1], change)
    with pytest.raises(UserError, match=message):
        pretrain(configured(toy_collection, run, resume="auto"))


def test_a_run_of_version_0_1_resumes(
    toy_collection: Collection, run: Path, capsys: pytest.CaptureFixture[str]
):
    for path in checkpoints(run):
        tampered(path, lambda state: state.pop("identity"))
    about = json.loads((run / "environment.json").read_text())
    del about["run"]
    (run / "environment.json").write_text(json.dumps(about))
    pretrain(configured(toy_collection, run, resume="auto"))
    assert "whether it saw the same shapes is not known" in " ".join(capsys.readouterr().err.split())


def test_python_options_with_tuples_resume(toy_collection: Collection, tmp_path: Path):
    options = {"method": "joint-mae", "epochs": 1, "monitor_every": 0}
    config = configured(toy_collection, tmp_path / "run", **options)
    groups = {name: tuple(v) if isinstance(v, list) else v for name, v in config.encoder_args.items()}
    pretrain(configured(toy_collection, tmp_path / "run", **options, encoder_args=groups))
    pretrain(configured(toy_collection, tmp_path / "run", **options, encoder_args=groups, resume="auto"))


@pytest.mark.parametrize("left", [None, "{", "[1]"])
def test_a_run_whose_environment_is_lost_keeps_its_name(
    toy_collection: Collection, run: Path, left: str | None
):
    about = run / "environment.json"
    name = json.loads(about.read_text())["run"]
    about.write_text(left) if left else about.unlink()
    pretrain(configured(toy_collection, run, resume="auto"))
    assert json.loads(about.read_text())["run"] == name


@pytest.mark.parametrize("line", ["{", '{"kind": "step"', "5", "[]", *ENDLESS])
def test_a_damaged_line_within_the_log_is_named(toy_collection: Collection, run: Path, line: str):
    log = run / "log.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n")
    before = content(run)
    with pytest.raises(UserError, match=r"log.jsonl, line 3 is damaged"):
        pretrain(configured(toy_collection, run, resume="auto"))
    assert content(run) == before | {"config.yaml": content(run)["config.yaml"]} | {
        "environment.json": content(run)["environment.json"]
    }


@pytest.mark.parametrize(
    "change",
    [lambda lines: [*lines[:2], *lines[4:]], lambda lines: lines[::-1], lambda lines: [*lines[:3], *lines]],
    ids=["missing", "reversed", "twice"],
)
def test_missing_steps_within_the_log_are_named(
    toy_collection: Collection, run: Path, change: Callable[[list[str]], list[str]]
):
    log = run / "log.jsonl"
    log.write_text("\n".join(change(log.read_text().splitlines())) + "\n")
    with pytest.raises(UserError, match=r"log.jsonl does not hold every step from 1 to \d+ once"):
        pretrain(configured(toy_collection, run, resume="auto"))


@pytest.mark.parametrize("line", ["5", "{}", '{"kind": "st', "null"])
def test_a_torn_last_line_is_dropped(toy_collection: Collection, run: Path, line: str):
    log = run / "log.jsonl"
    whole = read_log(log)
    with log.open("a") as file:
        file.write(line)
    pretrain(configured(toy_collection, run, resume="auto"))
    assert read_log(log) == whole


def test_a_log_that_was_moved_away_begins_anew(
    toy_collection: Collection, run: Path, capsys: pytest.CaptureFixture[str]
):
    (run / "log.jsonl").unlink()
    pretrain(configured(toy_collection, run, resume="auto"))
    assert "log.jsonl has no steps before" in capsys.readouterr().err

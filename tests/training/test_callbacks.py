"""Callbacks, as objects and by name, and trackers, which are callbacks."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy import TOY
from toy_runs import PowerCutError, configured, cut_power, logged, same
from waiting import HANGS

import adacross
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.training import trackers
from adacross.training.loop import Callback, Training
from adacross.training.pretrain import pretrain

SHORT: dict[str, Any] = {"epochs": 2, "monitor_every": 2}
EXAMPLES = Path(__file__).parents[1] / "plugin_package"


class Recorder(Callback):
    """Records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.accuracies: list[float | None] = []
        self.saved = False

    def on_start(self, training: Training) -> None:
        self.calls.append(("start", training.step))

    def on_step(self, training: Training) -> None:
        assert training.record["step"] == training.step
        self.calls.append(("step", training.step))

    def on_epoch(self, training: Training) -> None:
        self.calls.append(("epoch", training.step))
        self.accuracies.append(training.metrics.get("probe_accuracy"))

    def on_end(self, training: Training) -> None:
        self.calls.append(("end", training.step))
        self.saved = (training.folder / "encoder").exists()


@pytest.mark.slow
def test_callbacks_are_called_in_order_and_change_nothing(
    toy_collection: Collection, toy_run: Path, tmp_path: Path
):
    recorder = Recorder()
    run = pretrain(configured(toy_collection, tmp_path / "run"), [recorder])
    epoch = [("step", step) for step in range(1, 8)], [("step", step) for step in range(8, 15)]
    called = [("start", 0), *epoch[0], ("epoch", 7), *epoch[1], ("epoch", 14), ("end", 14)]
    assert recorder.calls == called
    assert recorder.saved
    assert recorder.accuracies == logged(run, "monitor", "probe_accuracy")
    assert same(run, toy_run)


@pytest.mark.slow
def test_a_run_that_fails_or_resumes_calls_start_and_end(toy_collection: Collection, tmp_path: Path):
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 8)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, tmp_path / "run", **SHORT), [recorder])
    assert recorder.calls[-2:] == [("step", 8), ("end", 8)]
    assert not recorder.saved
    recorder = Recorder()
    pretrain(configured(toy_collection, tmp_path / "run", **SHORT, resume="auto"), [recorder])
    assert recorder.calls[:2] == [("start", 7), ("step", 8)]
    assert recorder.saved


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Curve", "callback no_such_module:Curve: cannot import no_such_module"),
        ("subprocess:Popen", "callback subprocess:Popen is not a class derived from adacross"),
        ("curve", "unknown callback 'curve'"),
    ],
)
def test_what_is_no_callback_is_refused_before_anything_is_written(
    toy_collection: Collection, tmp_path: Path, name: str, message: str
):
    with pytest.raises(UserError, match=message):
        pretrain(configured(toy_collection, tmp_path / "run", callbacks=[name]))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_callback_of_another_package_is_named_on_the_command_line(
    toy_collection: Collection, tmp_path: Path
):
    (tmp_path / "recipe.yaml").write_text("".join(f"{name}: {value}\n" for name, value in TOY.items()))
    command = [sys.executable, "-m", "adacross", "pretrain", str(toy_collection.folder)]
    command += ["--config", str(tmp_path / "recipe.yaml"), "--run", str(tmp_path / "run"), "--epochs", "2"]
    command += ["--callbacks", "adacross_example.callbacks:Curve"]
    paths = os.pathsep.join([str(EXAMPLES), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    losses = logged(tmp_path / "run", "step", "loss")
    lines = (tmp_path / "run" / "curve.txt").read_text().splitlines()
    assert lines == [f"1 {losses[6]:.4f}", f"2 {losses[13]:.4f}"]
    assert adacross.Run(tmp_path / "run").config.callbacks == ["adacross_example.callbacks:Curve"]


def scalars(run: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


@pytest.mark.slow
def test_tensorboard_reads_what_was_tracked_also_after_an_interruption(
    toy_collection: Collection, tmp_path: Path
):
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 9)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, run, track="tensorboard", **SHORT))
    pretrain(configured(toy_collection, run, track="tensorboard", resume="auto", **SHORT))
    losses = logged(run, "step", "loss")
    assert scalars(run, "loss") == [(step, pytest.approx(loss)) for step, loss in enumerate(losses, 1)]
    terms = [terms["intra"] for terms in logged(run, "step", "terms")]
    assert [value for _, value in scalars(run, "terms/intra")] == pytest.approx(terms)
    (accuracy,) = logged(run, "monitor", "probe_accuracy")
    assert scalars(run, "monitor/probe_accuracy") == [(14, pytest.approx(accuracy))]
    assert sorted(run.glob("tensorboard/events*"))
    often = configured(toy_collection, tmp_path / "often", track="tensorboard", epochs=4, monitor_every=2)
    pretrain(often)
    steps = [step for step, _ in scalars(tmp_path / "often", "monitor/probe_accuracy")]
    assert steps == logged(tmp_path / "often", "monitor", "step") == [14, 28]
    pretrain(configured(toy_collection, run, overwrite=True, **SHORT))
    assert not (run / "tensorboard").exists()  # it was the run's own


@pytest.mark.parametrize(("name", "how"), [("tensorboard", r"\[track\]"), ("wandb", "pip install wandb")])
def test_a_tracker_that_is_not_installed_is_a_sentence(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"--track {name} needs the package {name}\. .*{how}"):
        pretrain(configured(toy_collection, tmp_path / "run", track=name))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_other_trackers_are_given_options_and_metrics(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    """Their packages are replaced: both send figures to elsewhere."""
    sent: dict[str, Any] = {"steps": [], "ended": False}

    def log(values: dict[str, float], step: int) -> None:
        sent["steps"].append((step, values))

    def end() -> None:
        sent["ended"] = True

    def start(project: str, config: dict[str, Any], **_: Any) -> Any:
        sent.update(project=project, options=config)
        return SimpleNamespace(log=log, finish=end)

    modules = {
        "wandb": SimpleNamespace(init=start, Error=OSError),
        "mlflow": SimpleNamespace(
            set_experiment=lambda project: sent.update(project=project),
            start_run=lambda run_name: None,
            log_params=lambda options: sent.update(options=options),
            log_metrics=log,
            end_run=end,
            MlflowException=OSError,
        ),
    }
    monkeypatch.setitem(sys.modules, name, modules[name])
    monkeypatch.setattr(trackers, "find_spec", lambda name: name)
    run = pretrain(configured(toy_collection, tmp_path / "run", track=name, **SHORT))
    assert sent["project"] == "adacross"
    assert sent["options"]["encoder"] == "pointnet"
    assert sent["ended"]
    losses = [(step, values["loss"]) for step, values in sent["steps"] if "loss" in values]
    assert losses == list(enumerate(logged(run, "step", "loss"), 1))

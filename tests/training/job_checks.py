"""The job itself in several processes, in float64, so that nothing but a mistake tells it from one process.

Run by `ranks`; one process's runs, `alone`, lie beside the group's folder.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from toy_runs import MASKED, configured

from adacross.data.collection.collection import Collection
from adacross.data.transforms import RawBatch
from adacross.distributed.group import ProcessGroup
from adacross.errors import UserError
from adacross.methods.image_tower import ImageTower
from adacross.training import loop, pretrain
from adacross.training.checkpoint import checkpoints
from adacross.training.config import PretrainConfig
from adacross.training.interrupt import Interrupted
from adacross.training.networks import new_method

EXACT = {
    "optimizer": "sgd",
    "learning_rate": 1e-2,
    "monitor_every": 0,
    "epochs": 1,
    "image_encoder_args": {"width": 4},
    "validation_fraction": 0.5,
}
RUNS: dict[str, dict[str, Any]] = {  # every kind of method, BatchNorm and weighting
    "crossnet": {"method": "crossnet", "encoder": "dgcnn", "encoder_args": {"k": 5}, "weighting": "gradnorm"},
    "joint-mae": {"method": "joint-mae", **MASKED, "weighting": "convergence"},
}
STOP = 2  # the step that a run is stopped after


@contextmanager
def exactly() -> Iterator[pytest.MonkeyPatch]:
    """Runs in this block compute in float64."""
    with pytest.MonkeyPatch.context() as patch:
        see = ImageTower.forward

        def to_device(raw: RawBatch, device: torch.device) -> RawBatch:
            return RawBatch(raw.points.to(device).double(), raw.views)

        patch.setattr(loop, "to_device", to_device)
        patch.setattr(pretrain, "new_method", lambda config: new_method(config).double())
        patch.setattr(ImageTower, "forward", lambda tower, images: see(tower, images.double()))
        yield patch


def options(folder: Path, name: str, run: Path, **changes: Any) -> PretrainConfig:
    """Of one of `RUNS`."""
    collection = Collection.open(Path((folder.parent / "collection").read_text()))
    return configured(collection, run, **(EXACT | RUNS[name] | changes))


def ending(config: PretrainConfig) -> BaseException:
    """What a run ends in that does not come to its end."""
    try:
        pretrain.pretrain(config)
    except (Interrupted, UserError, SystemExit) as error:
        return error
    raise AssertionError("the run came to its end")


def speakers(end: BaseException) -> int:
    """How many processes say why they stop."""
    speaks = torch.tensor(int(not isinstance(end, SystemExit)))
    distributed.all_reduce(speaks)
    return int(speaks)


def at_step(patch: pytest.MonkeyPatch, step: int, process: int, act: Callable[[], None]) -> None:
    """In one process, before a step's losses are added up, let something happen."""
    totals = ProcessGroup.totals

    def acting(group: ProcessGroup, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        acting.step += 1
        if acting.step == step and group.process == process:
            terms = act() or terms
        return totals(group, terms)

    acting.step = -1
    patch.setattr(ProcessGroup, "totals", acting)


def stopped(config: PretrainConfig, process: int = 0) -> BaseException:
    """How a run ends that one process is asked to stop during step `STOP`."""
    with exactly() as patch:
        at_step(patch, STOP - 1, process, lambda: os.kill(os.getpid(), signal.SIGTERM))
        return ending(config)


def digest(training: loop.Training) -> str:
    """Of all that a process has learnt, to the bit."""
    found = sha256(repr(training.weighting.state_dict()).encode())
    for tensor in training.method.state_dict().values():
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def check_runs(folder: Path) -> None:
    """Here: that all processes have the same networks and adaptive weights at the end."""
    fit, digests = loop.Training.fit, [""] * distributed.get_world_size()

    def fit_and_compare(training: loop.Training) -> None:
        fit(training)
        distributed.all_gather_object(digests, digest(training))

    for name in RUNS:
        with exactly() as patch:
            patch.setattr(loop.Training, "fit", fit_and_compare)
            pretrain.pretrain(options(folder, name, folder / name))
        assert len(set(digests)) == 1, name


def check_a_run_of_one_process_goes_on_in_several(folder: Path) -> None:
    if distributed.get_rank() == 0:
        shutil.copytree(folder.parent / "stopped", folder / "resumed")
    distributed.barrier()
    with exactly():
        pretrain.pretrain(options(folder, "crossnet", folder / "resumed", resume="auto"))


def check_one_process_asks_and_all_stop_after_the_same_step(folder: Path) -> None:
    end = stopped(options(folder, "crossnet", folder / "stopped"), process=1)
    assert speakers(end) == 1
    if isinstance(end, SystemExit):
        assert end.code == 130
    else:
        assert f"stopped after step {STOP} of" in str(end)
    assert [path.name for path in checkpoints(folder / "stopped")] == [f"step-{STOP:08d}.pt"]


def check_one_process_says_that_a_loss_is_not_finite(folder: Path) -> None:
    spoilt = {"intra": torch.tensor(torch.nan), "cross": torch.tensor(1.0)}
    with exactly() as patch:
        at_step(patch, 2, 1, lambda: {name: value.double() for name, value in spoilt.items()})
        end = ending(options(folder, "crossnet", folder / "spoilt"))
    assert speakers(end) == 1
    if isinstance(end, SystemExit):
        assert end.code == 2
    else:
        assert "'intra' became nan at step 2" in str(end)


def check_a_batch_is_large_enough_for_all(folder: Path) -> None:
    end = ending(options(folder, "crossnet", folder / "small", batch_size=3))
    assert speakers(end) == 1
    if not isinstance(end, SystemExit):
        assert "each needs at least 2 shapes" in str(end)


def check_last_that_others_follow_a_process_that_ends(folder: Path) -> None:
    """One of two ends with a message; one of three without, killed."""
    polite = distributed.get_world_size() == 2

    def end() -> None:
        if polite:
            raise UserError("a picture is damaged")
        os.kill(os.getpid(), signal.SIGKILL)

    with exactly() as patch:
        at_step(patch, 2, 1, end)
        found = ending(options(folder, "crossnet", folder / "ended"))
    told = "" if isinstance(found, SystemExit) else str(found)
    (folder / f"ending-{distributed.get_rank()}").write_text(told)

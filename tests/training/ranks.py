"""Groups of gloo processes for tests: a list of checks run in each, what went wrong returned by name."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, distributed
from waiting import HANGS


def outcomes(modules: Sequence[str], world: int, folder: Path) -> dict[str, str]:
    """Run the functions `check_...(folder)` of some modules, one after the other, in `world` processes.

    Returns:
        By the function's name: nothing, or the first traceback of a process.
    """
    folder.mkdir()
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        for rank in range(world):
            errors = stack.enter_context((folder / f"stderr-{rank}").open("w"))
            command = [sys.executable, __file__, str(rank), str(world), str(folder), *modules]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            process = subprocess.Popen(command, stderr=errors, env=environment)
            stack.enter_context(process)
            stack.callback(process.kill)  # the rest of a group that hangs
            processes.append(process)
        for process in processes:
            process.wait(timeout=HANGS)
    found = dict.fromkeys(checks_of(modules), "")
    for rank in range(world):
        path = folder / f"outcome-{rank}.json"
        told = json.loads(path.read_text() if path.exists() else "{}")
        for name in found:
            found[name] = found[name] or told.get(name, f"process {rank} of {world} did not get there")
    return found


def checks_of(modules: Sequence[str]) -> dict[str, Callable[[Path], None]]:
    """The checks of some modules, in their order."""
    functions = {name: value for module in modules for name, value in vars(import_module(module)).items()}
    return {name: value for name, value in functions.items() if name.startswith("check_")}


def _process(rank: int, world: int, folder: Path, modules: Sequence[str]) -> None:
    """One process of a group."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    os.environ.update({name: str(value) for name, value in own.items()})
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'meeting'}",  # no port that another program could take
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=HANGS),
    )
    told: dict[str, str] = {}
    for name, check in checks_of(modules).items():
        told[name] = f"process {rank} of {world} did not finish"
        (folder / f"outcome-{rank}.json").write_text(json.dumps(told))
        torch.manual_seed(0)  # the same networks in every process
        try:
            check(folder)
            told[name] = ""
        except BaseException:  # noqa: BLE001  an exit is told, too
            told[name] = f"in process {rank} of {world}:\n{traceback.format_exc()}"
        (folder / f"outcome-{rank}.json").write_text(json.dumps(told))
        if told[name]:
            break  # the others may be waiting for this one, and no later check would meet them


def same_ratio(mine: Tensor, expected: Tensor, what: str, tolerance: float = 1e-6) -> None:
    """Refuse a tensor that is not the expected one within the tolerance, compared by its Euclidean norm."""
    size = expected.double().norm().item()
    error = (mine.double() - expected.double()).norm().item()
    assert error <= tolerance * size + 1e-13, f"{what}: off by {error / max(size, 1e-300):.1e} of {size:.1e}"


if __name__ == "__main__":
    _process(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])

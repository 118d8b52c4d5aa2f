"""The same as `local.py` on a Ray cluster: each request goes to whichever machine is free.

Ray places the work and tells when a machine or one of its own processes is lost; the request is then sent out
again. What reads a file is, here too, a process of its own below Ray's, so a crash and a file that hangs are
told apart from a lost machine and name their culprit. Only the caller writes.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from adacross.console import console
from adacross.data.workers.local import (
    Answers,
    Engine,
    Request,
    Worker,
    WorkerCrash,
    most_memory,
    share_of,
    tried_twice,
)
from adacross.errors import UserError, install, one_line
from adacross.version import __version__

TRIES = 5  # a request that loses its machine so often is given up: it may be what takes them down
AHEAD = 2  # requests sent out for each core, so that none waits for the next
STORE = 2**28  # bytes of shared memory for Ray where it runs on only this machine; a row has about 2^17
LOOK = 5.0  # seconds between two looks at how many cores there are


def each(
    function: str,
    requests: Iterable[Request],
    workers: int | None = None,
    timeout: float | None = None,
    *,
    address: str | None = None,
    folder: str | None = None,
) -> Answers:
    """Answer every request on a Ray cluster, as `local.each` does on this machine.

    Args:
        workers: requests under way at once; by default as many as keep all cores of the cluster busy, also
            those of machines that join later.
        address: of the cluster, as `ray.init` takes it, or "local" for a new one of only this machine. By
            default what RAY_ADDRESS says, or "local".
        folder: what every machine must see.

    Raises UserError without Ray or a cluster, or for a machine that lacks adacross, its version or `folder`.
    """
    try:
        import ray
    except ImportError:
        raise UserError(f"the ray engine needs Ray, which is not installed. {install('ray')}") from None
    memory = most_memory()
    with _connected(ray, address, workers) as stays:
        task = ray.remote(num_cpus=1, max_retries=0)(_answer)

        def engine(alone: bool) -> Engine:
            def send(request: Request) -> Any:
                return task.remote(function, json.dumps(request), timeout, memory, alone, __version__, folder)

            def room() -> int:
                return 1 if alone else workers or AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))

            return lambda todo: _exchange(ray, send, iter(todo), room, stays)

        try:
            yield from tried_twice(requests, engine(alone=False), engine(alone=True))
        except ray.exceptions.RayTaskError as error:
            why = str(error.cause) or type(error.cause).__name__
            raise UserError(
                f"a machine of the Ray cluster cannot work: {why}. All of them need the same adacross (and "
                "the packages of its constraints.txt) and the same folders."
            ) from None
        except ray.exceptions.RayError as error:
            raise UserError(f"the Ray cluster failed: {one_line(error)}.") from error


def _exchange(
    ray: Any,
    send: Callable[[Request], Any],
    todo: Iterator[tuple[int, Request]],
    room: Callable[[], int],
    cancel: bool,
) -> Answers:
    """Keep as many requests under way as there is room for, and send the lost ones again.

    `cancel` takes back what is under way at the end, as closing the connection does without the risk that Ray
    aborts the process because a canceled request is answered after all.
    """
    names = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ObjectLostError")
    lost = tuple(getattr(ray.exceptions, name) for name in names)
    running: dict[Any, tuple[int, Request, int]] = {}
    places, looked = room(), time.monotonic()
    try:
        while True:
            if time.monotonic() - looked > LOOK:
                places, looked = room(), time.monotonic()
            for number, request in islice(todo, max(0, places - len(running))):
                running[send(request)] = number, request, 1
            if not running:
                return
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            for reference in ready or ray.wait(list(running), timeout=LOOK)[0]:
                number, request, tries = running.pop(reference)
                try:
                    answer = ray.get(reference)
                except lost as error:
                    if tries < TRIES:
                        running[send(request)] = number, request, tries + 1
                        continue
                    answer = WorkerCrash(f"its machine or process was lost {tries} times ({one_line(error)})")
                yield number, answer
    finally:
        for reference in running if cancel else ():
            with suppress(ray.exceptions.RayError):
                ray.cancel(reference, force=True)


@contextmanager
def _connected(ray: Any, address: str | None, workers: int | None) -> Iterator[bool]:
    """Join a cluster, the caller's own or a new one; yield whether the connection stays afterwards."""
    if ray.is_initialized():
        yield True
        return
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if place == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's makers need no report
            os.environ.setdefault("RAY_worker_niceness", "0")  # as polite as the local engine, not more
            with _loopback():
                ray.init(
                    "local", num_cpus=workers, object_store_memory=STORE, include_dashboard=False, **quiet
                )
        else:
            _check_reachable(place)
            ray.init(place, **quiet)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise UserError(
            f"cannot join the Ray cluster {place} ({one_line(error)}). "
            "Start one with `ray start --head`, and give its address, host:port."
        ) from error
    nodes = sum(node["Alive"] for node in ray.nodes())
    console.print(f"Ray: {nodes} machines, {ray.cluster_resources().get('CPU', 0):g} cores")
    try:
        yield False
    finally:
        ray.shutdown()


@contextmanager
def _loopback() -> Iterator[None]:
    """Let the Ray that is started meanwhile listen only at 127.0.0.1, instead of at every address.

    `_node_ip_address="127.0.0.1"` does not. This setting, which spares Windows and macOS the questions of
    their firewalls, was read by this process at import; the processes that Ray starts read the environment.
    """
    from ray._private import ray_constants

    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    said = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        if said is not None:
            os.environ[name] = said


def _check_reachable(place: str) -> None:
    """Raise OSError at once if no program listens at host:port; Ray itself would try for minutes."""
    host, _, port = place.rpartition(":")
    if host and port.isdecimal() and "://" not in place:
        socket.create_connection((host, int(port)), timeout=10).close()


def _answer(
    function: str,
    request: str,
    timeout: float | None,
    memory: float,
    alone: bool,
    version: str,
    folder: str | None,
) -> bytes | WorkerCrash:
    """Answer a request on a machine of the cluster; UserError if it cannot do the caller's work."""
    if version != __version__:
        raise UserError(f"it has adacross {__version__}, and the command was given with {version}")
    if folder and not Path(folder).exists():
        raise UserError(f"it does not see {folder}; sources must lie on storage that all machines share")
    if alone:
        with closing(Worker(function, timeout, share_of(memory, 1))) as worker:
            return worker.ask(json.loads(request))
    return _worker(function, timeout, share_of(memory, os.cpu_count() or 1)).ask(json.loads(request))


@cache
def _worker(function: str, timeout: float | None, memory: float) -> Worker:
    """Return the one process that reads below this process of Ray's; it ends with it."""
    return Worker(function, timeout, memory)

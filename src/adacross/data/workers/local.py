"""Work spread over processes in such a way that one crash costs one item.

Parsers of files are native code: a bad file can end the whole process, take all of the memory, or
hang. Each worker here is a Python process of its own that holds one request at a time, so a death names its
culprit; a fresh worker takes its place. Two limits hold for a request: time, by the caller's clock, which
also ends a process that is frozen, and memory, by the kernel (`RLIMIT_DATA`; Linux only).

A request that fails for lack of something that others may have held is tried a second time, alone and in a
new process: memory, file handles, or a signal that ended its process. SIGKILL is sent by the kernel's
out-of-memory killer, and native code that is refused memory crashes. So the answers depend neither on the
number of workers, nor on other requests, nor on other programs.

Requests are JSON lines and answers plain bytes, so nothing is pickled; and the caller's script is not
imported again (no `if __name__ == "__main__"` needed in a user's script).
"""

import errno
import faulthandler
import json
import logging
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from adacross.errors import UserError

Request = dict[str, Any]
MEMORY = "ADACROSS_MEMORY"  # the variable that names the GiB which one request may take
# Beyond an idle worker. A mesh of two million faces and its drawings take 0.7 (PLY) to 1.3 (OFF), so about 6
# million faces of any format can be read.
_USUAL = 4.0
_LEAST = 0.5  # GiB that a worker has, however many of them share the machine
_STARTING = 300.0  # seconds that a process may take until it is ready
_STARTS = 5  # of a process that something outside ends before it is ready
_ORPHANED = 5.0  # seconds after its time is up at which a worker ends itself, should its caller be gone
_PIECES = 20  # in which the caller's clock waits
_AHEAD = 512  # answers that wait for a caller who is slower than the workers
_ASIDE = 16  # requests that wait for their second try; callers hold on to what belongs beside their answers
_HEAD = struct.Struct("<cq")
_ANSWER, _SHORT = b"+", b"-"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class WorkerCrash:
    """A worker ended while it held a request, or could not do it."""

    reason: str  # the signal, the limit that was passed, or the last line on standard error
    again: bool = False  # it may be the machine's fault, so a second try makes sense


Answers = Generator[tuple[int, bytes | WorkerCrash], None, None]
Engine = Callable[[Iterable[tuple[int, Request]]], Answers]


def each(function: str, requests: Iterable[Request], workers: int, timeout: float | None = None) -> Answers:
    """Answer every request in worker processes; yield `(number of the request, answer)` as they finish.

    Closing the iterator (also by an exception in the caller, Ctrl-C included) ends all workers at once. On
    Linux a request may take `most_memory()` beyond an idle worker. Several workers share the machine's memory
    evenly, and a request that needs more than its share is tried alone.

    Args:
        function: "package.module:name" of a function `(request: dict) -> bytes`. If its module has a function
            `before_<name>`, each worker calls that first; the memory that it takes does not count.
        requests: dictionaries of JSON values.
        workers: number of processes, each with one thread for its mathematics.
        timeout: seconds a request may take before its worker is ended.
    """
    memory = most_memory()

    def engine(workers: int) -> Engine:
        return lambda todo: _in_processes(function, todo, workers, timeout, share_of(memory, workers))

    yield from tried_twice(requests, engine(workers), engine(1))


def tried_twice(requests: Iterable[Request], together: Engine, alone: Engine) -> Answers:
    """Number requests and have them answered `together`; those to be tried again, one by one `alone`."""
    todo = enumerate(requests)
    asked: dict[int, Request] = {}
    aside: dict[int, Request] = {}

    def some(first: tuple[int, Request]) -> Iterator[tuple[int, Request]]:
        for number, request in chain([first], todo):
            asked[number] = request
            yield number, request
            if len(aside) >= _ASIDE:
                return

    while (first := next(todo, None)) is not None:
        with closing(together(some(first))) as arriving:
            for number, answer in arriving:
                request = asked.pop(number)
                if isinstance(answer, WorkerCrash) and answer.again:
                    aside[number] = request
                else:
                    yield number, answer
        for item in aside.items():
            with closing(alone([item])) as arriving:
                for number, answer in arriving:
                    yield number, WorkerCrash(answer.reason) if isinstance(answer, WorkerCrash) else answer
        aside.clear()


def most_memory() -> float:
    """Return the GiB that one request may take beyond an idle worker: 4, or as `ADACROSS_MEMORY` says."""
    given = os.environ.get(MEMORY, "")
    try:
        memory = float(given or _USUAL)
    except ValueError:
        memory = 0.0
    if not memory > 0:
        raise UserError(f"{MEMORY} is {given!r}; expected GiB that reading one file may take, for example 8.")
    return memory


def share_of(memory: float, workers: int) -> float:
    """Return the GiB that each of some workers may take: `memory`, or an even share of the machine's."""
    return min(memory, max(_LEAST, _machine() / workers))


def _machine() -> float:
    """Return the GiB of memory of this machine, or of the container; infinite where nothing says."""
    sizes: list[float] = []
    if sys.platform != "win32":
        with suppress(OSError, ValueError):
            sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for place in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            sizes.append(int(Path("/sys/fs/cgroup", place).read_text(encoding="ascii")))
    return min(sizes, default=math.inf) / 2**30


def _in_processes(
    function: str, requests: Iterable[tuple[int, Request]], workers: int, timeout: float | None, memory: float
) -> Answers:
    """Answer numbered requests in so many processes, each of which may take `memory` GiB."""
    results: SimpleQueue[tuple[int, bytes | WorkerCrash] | BaseException | None] = SimpleQueue()
    todo = iter(requests)
    lock = threading.Lock()
    stop = threading.Event()
    room = threading.Semaphore(_AHEAD)
    processes = [Worker(function, timeout, memory) for _ in range(workers)]

    def drive(worker: Worker) -> None:
        try:
            while room.acquire() and not stop.is_set():
                with lock:
                    number, request = next(todo, (-1, {}))
                if number < 0:
                    break
                results.put((number, worker.ask(request)))
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            results.put(error)
        finally:
            worker.close()
            results.put(None)

    threads = [threading.Thread(target=drive, args=(worker,), daemon=True) for worker in processes]
    try:
        for thread in threads:
            thread.start()
        running = workers
        while running:
            result = results.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
                room.release()
    finally:
        stop.set()
        room.release(len(threads))
        for worker in processes:
            worker.kill()
        for thread in threads:
            if thread.ident is not None:  # where memory lacks, not all of them could start
                thread.join()


class Worker:
    """One process, started at its first request and again after each death; one thread may drive it."""

    def __init__(self, function: str, timeout: float | None = None, memory: float = _USUAL) -> None:
        self._function = function
        self._timeout = timeout
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._killed = False
        self._late = False

    def ask(self, request: Request) -> bytes | WorkerCrash:
        """Send one request and wait for its answer; a death is an answer, too."""
        process = self._process or self._start()
        if self._errors is not None:  # drop stderr of earlier requests
            self._errors.seek(0)
            self._errors.truncate()
        line = json.dumps(request).encode() + b"\n"
        with self._clock(process, self._timeout):
            # A worker that is already gone breaks the pipe; the missing answer then tells so.
            with suppress(OSError):
                _pipe(process.stdin).write(line)
                _pipe(process.stdin).flush()
            received = _receive(_pipe(process.stdout))
        if received is None:
            return self._reap()
        kind, answer = received
        if kind == _SHORT:
            self.close()  # what it still holds would be missing again
            return self._short(answer.decode())
        if self._late:
            self.close()
        return answer

    def kill(self) -> None:
        """End the process now and for good."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process, which must be idle or dead, and free what it leaves."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    @contextmanager
    def _clock(self, process: "subprocess.Popen[bytes]", seconds: float | None) -> Iterator[None]:
        """End the process if the block takes longer; time in which this process was stopped hardly counts."""
        self._late = False
        if seconds is None:
            yield
            return
        done = threading.Event()

        def watch() -> None:
            if not any(done.wait(seconds / _PIECES) for _ in range(_PIECES)):
                self._late = True
                process.kill()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _start(self) -> "subprocess.Popen[bytes]":
        """Start a process and wait until it has imported the function; again if a signal ended it."""
        for _ in range(_STARTS):
            process = self._launch()
            with self._clock(process, _STARTING):
                ready = _receive(_pipe(process.stdout))
            if ready is not None:
                return process
            died = self._reap()
            if self._killed or not died.again:
                break
        raise UserError(
            f"a process that reads files could not start: {died.reason}. See that memory, processes and file "
            "handles are left (`ulimit -a`), and try again."
        )

    def _launch(self) -> "subprocess.Popen[bytes]":
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, self._function, str(self._timeout or 0), str(self._memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | _ONE_THREAD,
            # Ctrl-C goes to a whole process group; only the caller shall hear it.
            process_group=0 if os.name == "posix" else None,
        )
        self._process = process
        if self._killed:
            process.kill()
        return process

    def _reap(self) -> WorkerCrash:
        """Collect a process that has ended, or is about to, and return why."""
        process, errors = self._process, self._errors
        if process is None or errors is None:
            return WorkerCrash("it was never started")
        self._process = self._errors = None
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
        errors.close()
        if self._late:
            return WorkerCrash(f"reading it took longer than {self._timeout:g} s")
        if "std::bad_alloc" in said:
            return self._short("memory")
        if code < 0:
            name = signal.Signals(-code).name
            return WorkerCrash(f"the process that read it was killed by {name}", again=True)
        last = said.rpartition("\n")[2]
        return WorkerCrash(last[:300] or f"the process that read it ended with code {code}")

    def _short(self, what: str) -> WorkerCrash:
        if what != "memory":
            return WorkerCrash(f"the machine had no {what} left to read it", again=True)
        limit = f"{self._memory:.3g} GiB of memory" if sys.platform == "linux" else "the machine's memory"
        return WorkerCrash(f"reading it needs more than {limit}", again=True)


def shortage(error: BaseException | None) -> str:
    """Return the thing whose lack caused an error, "memory" or "file handles", or ""."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return "memory"
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
            return "file handles"
        error = error.__cause__ or error.__context__
    return ""


def serve() -> None:
    """Be a worker: answer requests from standard input until it closes. Runs in the worker process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not land between the answers
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    place, name = sys.argv[1].split(":")
    timeout, memory = float(sys.argv[2]), float(sys.argv[3])
    module = import_module(place)
    function: Callable[[Request], bytes] = getattr(module, name)
    getattr(module, f"before_{name}", lambda: None)()
    _limit(memory)
    _send(answers, _ANSWER, b"ready")
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if timeout:  # the caller's clock is earlier; this one is for a caller that was killed
            faulthandler.dump_traceback_later(timeout + _ORPHANED, exit=True)
        try:
            kind, answer = _ANSWER, function(request)
        except (MemoryError, OSError, ValueError) as error:
            what = shortage(error)
            if not what:
                raise
            kind, answer = _SHORT, what.encode()
        faulthandler.cancel_dump_traceback_later()
        _send(answers, kind, answer)


def _limit(memory: float) -> None:
    """Let this process take so many GiB of private memory more, and be the first to go when there is none."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    most = pages * resource.getpagesize() + int(memory * 2**30)
    for kind, limit in ((resource.RLIMIT_DATA, most), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _send(pipe: IO[bytes], kind: bytes, answer: bytes) -> None:
    pipe.write(_HEAD.pack(kind, len(answer)))
    pipe.write(answer)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Read one whole answer and its kind, or None if the other side ended first."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    answer = pipe.read(length)
    return (kind, answer) if len(answer) == length else None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """Narrow the type of a pipe that `Popen` was told to make."""
    if pipe is None:
        raise RuntimeError("the worker process has no pipe")
    return pipe

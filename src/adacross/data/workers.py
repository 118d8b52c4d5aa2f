"""Work spread over processes in such a way that one crash costs one item.

Parsers and ray casters are native code, and a bad file can take the whole process down. Each worker here is a
Python process of its own that holds one request at a time, so a death names its culprit; a fresh worker takes
its place. A parser that hangs is ended by an alarm that its process sets itself, which works without its
caller, too. Requests are JSON lines and answers plain bytes, so nothing is pickled; and the caller's script
is not imported again (no `if __name__ == "__main__"` needed in a user's script).
"""

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from queue import SimpleQueue
from typing import IO, Any

Request = dict[str, Any]
_LENGTH = struct.Struct("<q")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Died:
    """A worker ended while it held a request.

    Attributes:
        reason: the signal or the last line it wrote to standard error.
    """

    reason: str


def each(
    function: str, requests: Iterable[Request], workers: int, timeout: float | None = None
) -> Generator[tuple[int, bytes | Died], None, None]:
    """Answer every request in worker processes; yield `(number of the request, answer)` as they finish.

    Closing the iterator (also by an exception in the caller, Ctrl-C included) ends all workers at once.

    Args:
        function: "package.module:name" of a function `(request: dict) -> bytes`, imported by the workers.
        requests: dictionaries of JSON values.
        workers: number of processes, each with one thread for its mathematics.
        timeout: seconds a request may take before its worker is ended. Not on Windows, which has no alarms.

    Raises:
        RuntimeError: a worker could not even start, which is no fault of a request.
    """
    results: SimpleQueue[tuple[int, bytes | Died] | BaseException | None] = SimpleQueue()
    todo = iter(enumerate(requests))
    lock = threading.Lock()
    stop = threading.Event()
    crew = [Worker(function, timeout) for _ in range(workers)]

    def drive(worker: Worker) -> None:
        try:
            while not stop.is_set():
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

    threads = [threading.Thread(target=drive, args=(worker,), daemon=True) for worker in crew]
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
    finally:
        stop.set()
        for worker in crew:
            worker.kill()
        for thread in threads:
            thread.join()


class Worker:
    """One process, started at its first request and again after each death.

    One thread drives it; only `kill` may be called from another.
    """

    def __init__(self, function: str, timeout: float | None = None) -> None:
        self._function = function
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._killed = False

    def ask(self, request: Request) -> bytes | Died:
        """Send one request and wait for its answer; a death is an answer, too."""
        process = self._process or self._start()
        if self._errors is not None:  # what earlier requests wrote explains nothing
            self._errors.seek(0)
            self._errors.truncate()
        line = json.dumps(request).encode() + b"\n"
        # A worker that is already gone breaks the pipe; the missing answer then tells so.
        with suppress(BrokenPipeError):
            _pipe(process.stdin).write(line)
            _pipe(process.stdin).flush()
        answer = _receive(_pipe(process.stdout))
        return Died(self._bury()) if answer is None else answer

    def kill(self) -> None:
        """End the process now and for good."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process, which must be idle or dead, and free what it leaves."""
        if self._process is not None:
            self._process.kill()
            self._bury()

    def _start(self) -> "subprocess.Popen[bytes]":
        """Start a process and wait until it has imported the function.

        Raises:
            RuntimeError: it ended before that.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        code = f"import sys; sys.path[:] = {sys.path!r}; from adacross.data.workers import serve; serve()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, self._function, str(self._timeout or 0)],
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
        if _receive(_pipe(process.stdout)) is None:
            raise RuntimeError(f"a worker process could not start: {self._bury()}")
        return process

    def _bury(self) -> str:
        """Collect a process that has ended, or is about to, and return why."""
        process, errors = self._process, self._errors
        if process is None or errors is None:
            return "it was never started"
        self._process = self._errors = None
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                _pipe(pipe).close()
        errors.seek(0)
        last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
        errors.close()
        if self._timeout and code == -getattr(signal, "SIGALRM", 0):
            return f"reading it took longer than {self._timeout:g} s"
        if code < 0:
            return f"the process that read it was killed by {signal.Signals(-code).name}"
        return last[0][:300] if last else f"the process that read it ended with code {code}"


def serve() -> None:
    """Be a worker: answer requests from standard input until it closes. Runs in the worker process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not land between the answers
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    module, name = sys.argv[1].split(":")
    function: Callable[[Request], bytes] = getattr(import_module(module), name)
    alarm = _alarm(float(sys.argv[2]))
    _send(answers, b"ready")
    for line in sys.stdin.buffer:
        request = json.loads(line)
        alarm(True)
        try:
            answer = function(request)
        finally:
            alarm(False)
        _send(answers, answer)


def _alarm(timeout: float) -> Callable[[bool], None]:
    """Return a switch for an alarm that ends this process, also within native code that never returns."""
    if not timeout or not hasattr(signal, "setitimer"):
        return lambda on: None
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def alarm(on: bool) -> None:
        signal.setitimer(signal.ITIMER_REAL, timeout if on else 0)

    return alarm


def _send(pipe: IO[bytes], answer: bytes) -> None:
    pipe.write(_LENGTH.pack(len(answer)) + answer)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    """Read one whole answer, or None if the other side ended first."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    answer = pipe.read(length)
    return answer if len(answer) == length else None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """Narrow the type of a pipe that `Popen` was told to make."""
    if pipe is None:
        raise RuntimeError("the worker process has no pipe")
    return pipe

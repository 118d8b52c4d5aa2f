"""What runs below Ray's processes in `test_ray_workers.py`. They find this module by PYTHONPATH."""

import os
import signal
import time
from pathlib import Path
from typing import Any


def answer(request: dict[str, Any]) -> bytes:
    match request["do"]:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raise":
            raise KeyError("no such thing")
        case "hang":
            time.sleep(600)
        case "wait":  # say who works on it, and wait for a sign
            folder = Path(request["folder"])
            (folder / f"{request['number']}-{os.getpid()}-{os.getppid()}").touch()
            while not (folder / "go").exists():
                time.sleep(0.02)
    return b"%d " % request["number"] + b"x" * 200_000  # more than what travels with the message

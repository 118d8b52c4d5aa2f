"""Waiting for other processes without a claim about their speed."""

import time
from collections.abc import Callable

HANGS = 600  # seconds after which a test counts as hanging


def wait_until(
    condition: Callable[[], object], describe: Callable[[], object] = lambda: "nothing more"
) -> None:
    """Return once `condition` holds; fail, with a description of what there was, where it never does."""
    end = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < end, f"waited for {HANGS} s; found {describe()}"
        time.sleep(0.02)

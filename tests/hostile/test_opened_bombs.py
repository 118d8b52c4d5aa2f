"""Collections, encoders, runs and labels: memory and time must not follow the same bomb at n, 2n and 4n."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from crafted_bombs import BOMBS

pytestmark = pytest.mark.slow

MOST_MIB, MOST_SECONDS = 160, 10.0  # of the processor; without bounds minutes


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[float, float, str]]]:
    """What every bomb took, read in one process of its own."""
    child = Path(__file__).with_name("crafted_bombs.py")
    done = subprocess.run(
        [sys.executable, str(child), str(tmp_path_factory.mktemp("bombs"))],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_and_time_do_not_follow_a_bomb(bomb: str, measured: dict[str, list]) -> None:
    for memory, seconds, said in measured[bomb]:
        assert said, "it was read"
        assert not said.startswith("WRONG"), said
        assert memory < MOST_MIB, measured[bomb]
        assert seconds < MOST_SECONDS, measured[bomb]

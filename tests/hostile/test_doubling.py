"""The same bomb at n, 2n and 4n: memory must not follow, neither the caller's nor the reading process's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bombs
import pytest

pytestmark = pytest.mark.slow

LIMIT = 256  # MiB that the reading process may take beyond an idle one (ADACROSS_MEMORY)
SLACK = 64  # MiB for libraries that are loaded with the first file of a kind, and for pages in between
CASES = [
    *(("loaded", bomb) for bomb in bombs.SHAPES),
    ("embedded", bombs.nodes_that_share_a_mesh),
    *(("prepared", bomb) for bomb in bombs.SETS),
    *(("inspected", bomb) for bomb in (bombs.npy_of_holes, bombs.clouds_of_packed_zeros)),
    *(("queried", bomb) for bomb in (bombs.nodes_that_share_a_mesh, *bombs.PICTURES)),
    ("evaluated", bombs.black_png),
]


@pytest.mark.parametrize(("reader", "bomb"), [(reader, bomb.__name__) for reader, bomb in CASES])
def test_memory_does_not_follow_a_bomb(reader: str, bomb: str, tmp_path: Path) -> None:
    child = Path(__file__).with_name("doubling_child.py")
    done = subprocess.run(
        [sys.executable, str(child), reader, bomb, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "ADACROSS_MEMORY": str(LIMIT / 1024)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    idle, *after = json.loads(done.stdout)
    for record in after:
        caller, reading = (now - before for now, before in zip(record["memory"], idle["memory"], strict=True))
        assert caller <= SLACK, (after, idle)
        assert reading <= LIMIT + SLACK, (after, idle)
    assert after[-1]["said"], "the largest must be refused or left out"

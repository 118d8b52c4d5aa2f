"""The quick tests with the oldest and with the newest packages that pyproject.toml allows.

    python3.11 tests/dependency_sets.py             both, in .versions/, each of some three gigabytes
    python3.13 tests/dependency_sets.py newest      one of them, on the Python that runs this

The oldest set is every lower bound of pyproject.toml as an equality, the newest what pip finds without
constraints. torch is the same in both: first and pinned, so that pip takes a CPU build if it knows of
one. The tests are those of `make test`.
"""

import argparse
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH = "torch==2.13.0"
EXTRAS = ("app", "clouds", "onnx", "ray", "s3", "test")


def requirements(kind: str) -> list[str]:
    """What pip is asked for: our dependencies and those of the extras, `oldest` or `newest`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    others = [line for line in named if not line.startswith(("adacross[", "torch>="))]
    return [line.replace(">=", "==") for line in others] if kind == "oldest" else others


def environment(kind: str) -> Path:
    """Make a fresh environment of a kind, with adacross as a wheel, and return its Python."""
    folder = ROOT / ".versions" / f"{kind}-{sys.version_info.major}.{sys.version_info.minor}"
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    for asked in ([TORCH], [TORCH, *requirements(kind)], ["--no-deps", str(ROOT)]):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *asked], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    return python


def tests(python: Path) -> int:
    """Run the quick tests and return pytest's exit status."""
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    ).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["oldest", "newest"], help="oldest, newest; or both")
    sys.exit(max(tests(environment(kind)) for kind in parser.parse_args().kinds))

"""The rooms of docs/architecture.md in their order."""

import ast
import subprocess
import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import adacross

PACKAGE = Path(adacross.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FLOORS = """
errors version console plugins options recipes
io
distributed ops nn
data.shape data.sampling data.rendering data.procedural data.workers data.images data.formats
data.isolated data.image_set data.collection data.transforms data.fresh
losses encoders
methods features training evaluation
embeddings labeling onnx report duplicates search hub
commands run demo arguments cli __main__
"""
ROOMS = FLOORS.split()  # a file imports from its own room or from those before it


def module(path: Path) -> str:
    name = ".".join(("adacross", *path.relative_to(PACKAGE).with_suffix("").parts))
    return name.removesuffix(".__init__")


def imports(path: Path, known: Mapping[str, object]) -> set[str]:
    """The modules of this package that a file imports, inside functions, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & known.keys()) or {node.module}
    return {name for name in found if name in known and name != module(path)}


def room(name: str) -> str:
    pieces = name.split(".")[1:]
    return ".".join(pieces[: 2 if pieces[:1] == ["data"] else 1])


def graph() -> dict[str, set[str]]:
    known = {module(path): path for path in FILES}
    return {name: imports(path, known) for name, path in known.items()}


def test_a_file_imports_from_its_own_room_or_from_one_below():
    found = graph()
    places = {name: ROOMS.index(room(name)) for name in found if room(name) not in ("", "data")}
    wrong = [
        f"{name} imports {other}"
        for name in sorted(places)
        for other in sorted(found[name])
        if places.get(other, len(ROOMS)) > places[name]
    ]
    assert not wrong, "imports from a room above:\n" + "\n".join(wrong)
    assert {room(name) for name in places} == set(ROOMS)


def test_no_two_files_import_each_other_by_any_way():
    try:
        list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_text_files_are_utf8_on_every_system():
    """Without an encoding Windows would use its code page."""
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and opens_text(node):
                wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}")
    assert not wrong, "text files without an encoding:\n" + "\n".join(wrong)


def opens_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text and gives no encoding."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    constants = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
    modes = [value for value in constants if isinstance(value, str) and {*value} <= {*"rwabxt+"}]
    return name in ("read_text", "write_text") or (
        name in ("open", "fdopen") and any(modes) and not any("b" in mode for mode in modes)
    )


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_everything_imports_with_torchvision_made_to_raise():
    modules = [module(path) for path in FILES if path.name != "__main__.py"]
    run(
        "import importlib, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torchvision', 'timm', 'lightly'):\n"
        "            raise RuntimeError(f'{name} was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "assert not {'torchvision', 'timm', 'lightly'} & set(sys.modules)\n"
    )


def test_import_and_help_are_light():
    heavy = "{'torch', 'sklearn', 'datasets', 'trimesh', 'plotly', 'scipy', 'h5py'}"
    run(f"import sys, adacross; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)")
    run(
        "import sys\nfrom adacross.cli import main\nassert main(['--help']) == 0\n"
        f"assert not {heavy} & set(sys.modules)"
    )


def test_public_names_are_there():
    for name in adacross.__all__:
        assert getattr(adacross, name) is not None
    assert set(adacross.__all__) <= set(dir(adacross))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = adacross.nonsense

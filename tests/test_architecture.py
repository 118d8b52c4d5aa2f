"""The floors of docs/architecture.md, held."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import adacross

PACKAGE = Path(adacross.__file__).parent
FLOORS = [  # a file imports from its own floor or below
    {"cli", "commands", "__main__", "demo"},
    {"report", "search", "sharing"},
    {"embeddings", "labelling", "export"},
    {"evaluation", "training", "recipes"},
    {"methods"},
    {"losses", "encoders", "data"},
    {"ops"},
    {"errors", "files", "pickled", "console", "hub"},
]
FILES = sorted(PACKAGE.rglob("*.py"))


def part(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "adacross"


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def ours(path: Path) -> set[str]:
    """Modules of this package that a file imports, also inside its functions."""
    return {module for module in imports(path) if module.startswith("adacross.")}


def test_a_file_imports_from_its_own_floor_or_below():
    wrong = []
    for path in FILES:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own != "__init__":
            above = (module for module in ours(path) if floor(part(module)) < floor(own))
            wrong += [f"{path.relative_to(PACKAGE)} imports {module}" for module in sorted(above)]
    assert not wrong, "imports from a floor above:\n" + "\n".join(wrong)


def test_losses_encoders_and_data_do_not_know_each_other():
    wrong = []
    for name in ("losses", "encoders", "data"):
        others = {"losses", "encoders", "data"} - {name}
        for path in sorted((PACKAGE / name).rglob("*.py")):
            sideways = sorted(module for module in ours(path) if part(module) in others)
            wrong += [f"{path.relative_to(PACKAGE)} imports {module}" for module in sideways]
    assert not wrong, "imports between packages of one floor:\n" + "\n".join(wrong)


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


def test_everything_imports_with_torchvision_made_to_raise():
    modules = [
        ".".join(("adacross", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in FILES
        if path.name != "__main__.py"
    ]
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
    heavy = "{'torch', 'sklearn', 'datasets', 'trimesh', 'plotly', 'scipy', 'accelerate', 'h5py'}"
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

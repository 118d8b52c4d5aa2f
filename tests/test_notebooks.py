"""The notebooks run from a clean folder, and what they make shows itself."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from waiting import HANGS

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "first_hour.ipynb"


def html(cell: nbformat.NotebookNode) -> str:
    return "".join(output.data.get("text/html", "") for output in cell.outputs if "data" in output)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # its connection is not encrypted
def test_first_hour(tmp_path: Path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=HANGS, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = {cell.source.splitlines()[-1].partition("  #")[0]: html(cell) for cell in cells}
    assert "ipywidgets" not in "".join(shown.values())
    for last in ("shapes", "shapes[0]", "index.search(0, top=5)", "cup"):
        assert "<img" in shown[last]
    assert "crosspoint" in shown["run"] or "adacrossnet" in shown["run"]
    assert "untrained" in shown["result"]
    assert "inches and millimeters" in shown["adacross.find_duplicates(parts)"]
    assert "132 shapes" in shown[")"]
    assert "first_hour/run/report.html" in shown['IFrame(run.report(), width="100%", height=700)']


def test_notebooks_are_kept_without_outputs():
    for path in NOTEBOOK.parent.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)

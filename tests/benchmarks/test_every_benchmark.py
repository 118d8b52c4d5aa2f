"""Every benchmark runs at toy size, checks that both ways agree, and writes what the page is made from."""

import json
from importlib import import_module
from pathlib import Path

import page
import pytest
import run
from harness import Row, Timing

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.mark.slow
@pytest.mark.parametrize("name", run.NAMES)
def test_a_benchmark_writes_figures_for_the_page(name: str, tmp_path: Path, capsys):
    out = tmp_path / f"{name}.json"
    import_module(name).main(["--quick", "--out", str(out)])
    found = json.loads(out.read_text())
    assert capsys.readouterr().out
    assert found["machine"]["torch"]
    kinds = {match[2] for match in page.MARKED.finditer(PAGE.read_text()) if match[3] == name}
    assert kinds
    for kind in kinds:
        assert page.FILLERS[kind](found).strip()
    for row in found.get("rows", ()):
        assert row["ratio"] > 0
        assert row["plain"]["median"] > 0
        assert row["ours"]["median"] > 0


def test_goals_are_met_only_if_all_of_them_are():
    plain, ours = Timing(4.0, 3.0, 5.0, 3, mib=30.0), Timing(1.0, 0.9, 1.1, 3, mib=10.0)
    times = {"plain": plain, "ours": ours}
    assert Row.of("", "cpu", times, goal=4, memory_goal=3).met
    assert not Row.of("", "cpu", times, goal=4.1, memory_goal=3).met
    assert not Row.of("", "cpu", times, goal=4, memory_goal=3.1).met
    assert Row.of("", "cpu", times).met is None


def test_seconds_have_a_unit_that_suits():
    assert page.seconds(2.3456) == "2.35 s"
    assert page.seconds(0.0123) == "12.3 ms"

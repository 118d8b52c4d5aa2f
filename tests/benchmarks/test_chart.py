"""The line charts of the documentation."""

from xml.etree import ElementTree

import numpy as np
import pytest
from chart import PLOT, Frame, Group, Line, Panel, draw, ticks


@pytest.mark.parametrize(("low", "high"), [(0, 440), (0.93, 1.07), (-3, 12), (1, 1), (0, 2.0000001)])
def test_ticks_are_round_rising_and_span_the_range(low: float, high: float):
    found = ticks(low, high, 5)
    assert found[0] <= low + 1e-9
    assert found[-1] >= high - 1e-6 * max(1, abs(high))
    steps = np.diff(found)
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0])
    assert f"{steps[0]:.0e}"[0] in "125"


def test_a_frame_puts_the_ends_of_its_ranges_on_its_edges():
    frame = Frame(10, 20, 100, 40, [1, 2])
    assert frame.x(np.array([0, 20, 40])).tolist() == [10, 60, 110]
    assert frame.y(np.array([1, 2])).tolist() == [20 + PLOT, 20]


def test_a_drawing_is_xml_with_every_curve_band_and_name():
    x = np.arange(10.0)
    lines = [
        Line(name, "#000", x, x * k, np.ones(10), dash)
        for k, (name, dash) in enumerate([("a<b", ""), ("c", "4 2")])
    ]
    svg = draw([Group("heading", "step", [Panel("p", lines), Panel("q", lines[:1])], columns=2, shared=True)])
    root = ElementTree.fromstring(svg)
    paths = [element for element in root.iter() if element.tag.endswith("path")]
    curves = [path for path in paths if path.get("class") == "line" and " L" in path.get("d", "")]
    bands = [path for path in paths if path.get("class") == "band"]
    assert (len(curves), len(bands)) == (3, 3)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert texts.count("a<b") == 1
    assert {"heading", "p", "q", "c", "step"} <= set(texts)

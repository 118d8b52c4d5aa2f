"""Types of options: which values fit, and what a type is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from adacross.errors import UserError
from adacross.options import check_values, described, fits, plain


@pytest.mark.parametrize(
    ("hint", "fitting", "others"),
    [
        (int, [0, -3], [True, 2.0, "2", None]),
        (float, [0.5, 2, float("inf")], [False, "0.5", "1e-3", None, [1.0]]),
        (bool, [True, False], [0, 1, "true"]),
        (str, ["", "warm", Path("a")], [3, None, b"warm"]),
        (float | None, [None, 1, 0.5], ["", "none"]),
        (Literal["con", 18], ["con", 18], ["cone", "18", None]),
        (Sequence[int], [[], [1, 2], (1, 2)], [3, [1.5], ["1"], "12", {1: 2}]),
        (tuple[int, float], [[1, 2.5], (1, 2)], [[1], [1, 2, 3], [1.5, 2]]),
        (tuple[int, ...], [[], [1, 2, 3]], [["a"]]),
        (Mapping[str, float], [{}, {"cross": 2}], [{"cross": "two"}, {3: 1.0}, [("cross", 1.0)]]),
        (dict[str, Any], [{}, {"k": None}], [{3: 3}, "k", None]),
        (Path, [Path("a"), "what YAML cannot express is left alone"], []),
    ],
)
def test_which_values_fit(hint: Any, fitting: list[Any], others: list[Any]):
    assert [value for value in fitting if not fits(value, hint)] == []
    assert [value for value in others if fits(value, hint)] == []


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int | None, "a whole number or null"),
        (Literal["a", "b", "c"], "'a', 'b' or 'c'"),
        (Literal["a"], "'a'"),
        (tuple[int, int], "a list of 2 whole numbers"),
        (tuple[float, ...], "a list of numbers"),
        (Mapping[str, float], "names with numbers"),
        (dict[str, Any], "names with values"),
    ],
)
def test_types_in_words(hint: Any, words: str):
    assert described(hint) == words


def test_the_first_value_that_does_not_fit_is_named_and_unknown_names_are_left_to_others():
    def function(k: int = 3, *, name: str = "x", anything=None) -> None: ...

    check_values("it", function, {"k": 5, "name": "y", "anything": object(), "nonsense": object()})
    with pytest.raises(UserError, match=r"^option name of it is 3; expected text\.$"):
        check_values("it", function, {"k": 5, "name": 3})


@pytest.mark.parametrize(("value", "helped"), [("1e-3", True), ("5", True), ("many", False), (None, False)])
def test_a_number_that_arrived_as_text_is_explained(value: Any, helped: bool):
    def function(rate: float) -> None: ...

    with pytest.raises(UserError) as caught:
        check_values("it", function, {"rate": value})
    assert ("write 1.0e-3" in str(caught.value)) == helped


def test_values_as_yaml_holds_them():
    given = {"groups": (1, (2, 3)), "run": Path("a/b"), "deep": {"paths": [Path("c")]}, "k": 2.5}
    assert plain(given) == {"groups": [1, [2, 3]], "run": "a/b", "deep": {"paths": ["c"]}, "k": 2.5}
    assert given["groups"] == (1, (2, 3))

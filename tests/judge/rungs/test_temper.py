"""A model whose reference does not agree with itself is told so before any rung."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.rungs.temper import check, unjudgeable


def case(top1: float, foreign: bool = False) -> Any:
    folder = SimpleNamespace(path=SimpleNamespace(name="nervous"))
    floor = SimpleNamespace(top1=top1)
    return SimpleNamespace(foreign=foreign, folder=folder, large=False, floor=floor)


def test_a_model_that_is_too_nervous_is_refused_in_one_line_that_says_how_nervous_it_is() -> None:
    with pytest.raises(InputError) as refused:
        check(case(0.36), None)
    said = str(refused.value)
    assert said.startswith("nervous: nothing can be judged by its floor: the reference agrees with itself on 36 % of")
    assert "--rungs 0,2a" in said
    assert "\n" not in said


@pytest.mark.parametrize("names", [("0", "2a"), ("0",)])
def test_rungs_that_ask_nothing_of_the_floor_can_be_climbed_all_the_same(names: tuple[str, ...]) -> None:
    asked = []

    class Unmeasured:
        foreign, large = False, False

        @property
        def floor(self) -> Any:
            asked.append("floor")
            return SimpleNamespace(top1=0.1)

    check(Unmeasured(), names)  # type: ignore[arg-type]
    assert asked == []


def test_a_calm_model_and_a_file_of_another_maker_are_not_refused() -> None:
    check(case(0.41), None)
    check(case(0.1, foreign=True), None)
    assert unjudgeable(0.4) == ""


def test_a_file_that_has_no_floor_is_left_to_the_rungs() -> None:
    asked = []

    class Damaged:
        foreign, large = False, False

        @property
        def floor(self) -> Any:
            asked.append("floor")
            raise CannotRunError("the weights are not the checkpoint's")

    check(Damaged(), None)  # type: ignore[arg-type]
    assert asked == ["floor"]

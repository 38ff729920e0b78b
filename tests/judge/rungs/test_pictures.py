"""The figures of questions about pictures, which questions are asked, and how the reference answers them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_tests.errors import CannotRunError
from runtime_tests.reference.vision.patches import Patches, Sizes
from runtime_tests.results import Check
from runtime_tests.rungs.images.accuracy import Asked, Sight, drawn, judge
from tests.support.vision.questions import question

SIZES = Sizes(patch=16, kernel=3, positions=210)
STOP = 1


def told(found: list[Check]) -> dict[str, Check]:
    return {check.name.removeprefix("pictures: "): check for check in found}


def sights(*families: str) -> list[Sight]:
    return [Sight(question(family=family), 70, SIZES) for family in families]


def test_an_artifact_may_be_half_a_point_away() -> None:
    asked, right = sights(*["count"] * 150, *["color"] * 50), ["3"] * 200
    away = "artifact away from the reference, same pixels"
    found = told(judge(asked, right, right, "a runtime"))
    assert all(check.passed for check in found.values())
    assert found["right in a runtime, same pixels"].note == "color 50 of 50, count 150 of 150"
    assert found["answered by the reference"].note == "of 200"
    assert told(judge(asked, right, ["4", *right[1:]], "a runtime"))[away].passed
    found = told(judge(asked, right, ["4", "4", *right[2:]], "a runtime"))
    assert not found[away].passed
    assert found[away].note == "2 lost, 0 gained, 2 answers differ"
    assert not told(judge(asked, ["4", "4", *right[2:]], right, "a runtime"))[away].passed


def test_a_reference_that_answers_nothing_shows_nothing() -> None:
    found = told(judge(sights("count"), ["4"], ["4"], "a runtime"))
    assert not found["answered by the reference"].passed


def test_questions_are_drawn_evenly_from_each_family_and_told() -> None:
    every = [replace(question(family=f"f{i % 5}"), id=f"{i}") for i in range(100)]
    assert drawn(every, 100) == drawn(every, 1000) == every
    some = drawn(every, 20)  # every fifth in a row would be of one family
    assert len(some) == 20
    assert [int(each.id) for each in some] == sorted(int(each.id) for each in some)
    assert [sum(each.family == f"f{i}" for each in some) for i in range(5)] == [4] * 5
    found = told(judge([Sight(each, 70, SIZES) for each in some], ["3"] * 20, ["3"] * 20, "a runtime", len(every)))
    assert found["answered by the reference"].note == "of 20, evenly drawn from 100"


def asked(answer: list[int], calls: list[int], steps: int = 5, count: int = 1) -> Asked:
    """Questions of a reference that always gives these tokens after a prompt of three."""

    def together(sequences: Any, images: Any, first: int) -> Any:
        calls.append(len(sequences[0]) - 3)
        out = np.zeros((len(sequences), len(sequences[0]) - first, 10), np.float32)
        for ids, logits in zip(sequences, out, strict=True):
            for row, place in enumerate(range(first, len(ids))):
                # What was fed must be the answer so far; else anything follows.
                so_far = [int(each) for each in ids[3 : place + 1]]
                right = so_far == answer[: len(so_far)]
                logits[row, answer[place - 2] if right and place - 2 < len(answer) else 9] = 1
        return out

    made = object.__new__(Asked)
    case = SimpleNamespace(stops=[STOP], detokenize=lambda ids: " ".join(map(str, ids)), dims=SimpleNamespace(hidden=4))
    made._case, made.whole, made.steps = cast(Any, case), cast(Any, SimpleNamespace(together=together)), steps
    made.sights, made.ids = sights(*["count"] * count), [np.array([2, 2, 2], np.int32)] * count
    return made


@pytest.mark.parametrize(
    ("draft", "passes"),
    [
        ([5, 6, STOP], [2]),
        ([5, 6], [2]),
        ([5, 7, 7, 7, 7, 7], [4, 2]),  # read up to where it parts, and gone on from there
        ([4], [1, 1, 2]),
        ([], [0, 1, 2]),
    ],
)
def test_the_references_answer_is_its_own_whatever_was_drafted(draft: list[int], passes: list[int]) -> None:
    calls: list[int] = []
    assert asked([5, 6, STOP], calls).reference([draft]) == ["5 6"]
    assert calls == passes


def test_questions_of_one_length_go_through_the_reference_together() -> None:
    calls: list[int] = []
    drafts = [[5, 6, STOP], [4], [5, 6], *[[7, 7]] * 9]
    assert asked([5, 6, STOP], calls, count=12).reference(drafts) == ["5 6"] * 12
    assert calls == [2, 2, 1, 1, 1, 2, 2]  # eleven drafts of two tokens, one of one; then ten that parted, twice


def test_an_answer_without_an_end_is_cut() -> None:
    assert asked([5, 6, 7, 8, 5, 6, 7], [], steps=4).reference([[5, 6, 7, 8, 5, 6]]) == ["5 6 7 8"]


def test_a_picture_of_another_number_of_rows_cannot_be_put_in_place() -> None:
    def short(image: Patches) -> Any:
        return np.zeros((image.rows - 1, 4), np.float32)

    with pytest.raises(CannotRunError, match=r"picture 384-2/0 becomes \[63, 4\], expected \[64, 4\]"):
        asked([], []).rows(short)

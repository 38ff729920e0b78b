"""Intervals and paired tests against known values and their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_tests.measures.statistics import paired, wilson

OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def columns(pairs: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    first, second = zip(*pairs, strict=True)
    return np.array(first), np.array(second)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # R, prop.test(k, n, correct = FALSE); the last one: R. G. Newcombe, Statistics in Medicine 17 (1998), table I.
    [(8, 10, 0.4901625, 0.9433178), (0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_interval_has_its_published_values(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 2000), st.data())
def test_wilsons_interval_holds_the_estimate_and_narrows_with_more_questions(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, total))
    low, high = wilson(correct, total)
    assert 0.0 <= low <= correct / total + 1e-12
    assert correct / total - 1e-12 <= high <= 1.0
    more = wilson(4 * correct, 4 * total)
    assert more[1] - more[0] < high - low


def test_mcnemar_is_the_binomial_of_the_discordant_pairs() -> None:
    reference = np.array([True] * 10 + [False] * 2 + [True] * 50)
    system = np.array([False] * 10 + [True] * 2 + [True] * 50)
    found = paired(reference, system)
    assert (found.lost, found.gained) == (10, 2)
    assert found.p == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert found.points == pytest.approx(-100 * 8 / 62)


@given(OUTCOMES)
def test_mcnemar_is_symmetric_and_blind_to_agreement(pairs: list[tuple[bool, bool]]) -> None:
    a, b = columns(pairs)
    there, back = paired(a, b), paired(b, a)
    assert (there.p, there.points, there.lost) == (back.p, -back.points, back.gained)
    agreeing = paired(np.append(a, [True] * 7), np.append(b, [True] * 7))
    assert agreeing.p == there.p


@given(OUTCOMES)
def test_a_system_that_loses_one_question_more_is_never_less_suspect(pairs: list[tuple[bool, bool]]) -> None:
    a, b = columns(pairs)
    if paired(a, b).lost >= paired(a, b).gained:
        assert paired(np.append(a, True), np.append(b, False)).p <= paired(a, b).p + 1e-12


def test_outcomes_of_other_lengths_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="3 outcomes of the reference, 2 of the system"):
        paired(np.ones(3, bool), np.ones(2, bool))

"""Distances, near-ties, verdicts."""

from __future__ import annotations

import doctest
import math
from importlib import import_module

import numpy as np
import pytest

from runtime_tests.measures import metrics
from runtime_tests.results import Check, at_least, at_most, none, rung, stated
from tests.support.commands import REPOSITORY

JUDGE = REPOSITORY / "runtime_tests"
EXAMPLES = sorted(
    path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".")
    for path in JUDGE.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_a_found_value_that_is_not_a_number_has_the_worst_ratio() -> None:
    assert metrics.snr_db(np.ones(3), np.array([1.0, np.nan, 1.0])) == -metrics.CAP_DB


def test_a_wrong_answer_to_silence_has_the_worst_ratio() -> None:
    assert metrics.snr_db(np.zeros(3), np.ones(3)) == -metrics.CAP_DB


def test_divergence_is_infinite_when_a_logit_is_not_a_number() -> None:
    assert metrics.mean_kl(np.zeros((1, 4)), np.array([[0.0, np.nan, 0.0, 0.0]])) == math.inf


def test_divergence_does_not_depend_on_a_shift_of_the_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 30)) * 10
    assert metrics.mean_kl(logits, logits + 1e4) == pytest.approx(0.0, abs=1e-9)


def test_a_near_tie_is_declared_from_the_reference_alone() -> None:
    logits = np.array([[0.0, 1.0, -5.0], [0.0, 1.0, -5.0]])
    assert metrics.near_ties(logits, np.array([0.49, 0.5])).tolist() == [False, True]


def test_a_figure_that_is_not_a_number_never_keeps_its_bar() -> None:
    assert not at_least("x", math.nan, 1.0, "dB").passed
    assert not at_most("x", math.nan, 1.0, "dB").passed


def test_a_rung_that_only_states_figures_did_not_run() -> None:
    outcome = rung("0", "?", [stated("x", 1.0, "dB")])
    assert (outcome.status, outcome.why) == ("not run", "nothing could be compared")


def test_one_failed_check_fails_the_rung() -> None:
    assert rung("0", "?", [at_least("x", 2.0, 1.0, "dB"), none("y", ["z"], "tensors", 1)]).status == "fail"


def test_a_list_of_offenders_names_three_and_counts_the_rest() -> None:
    check = none("x", ["a", "b", "c", "d", "e"], "tensors", 9)
    assert (check.found, check.note) == (5.0, "a; b; c; and 2 more")


def test_a_stated_figure_passes_no_judgement() -> None:
    assert Check("x", math.nan, None, "stated", "dB").passed

"""The measurement behind what the README says of the demo's static activations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convert import demo
from runtime_tests.reference.model import Reference
from tests.demo_task import answer, compare, encode, sets

COUNT = 24


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(demo.folder(), 1)


@pytest.mark.slow
def test_leaving_the_static_activations_out_costs_nothing_and_a_grid_of_four_bits_costs_much(
    reference: Reference,
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo.folder())
    asked = [encode(tokenizer, question) for question in sets(COUNT)["its own questions"]]
    plain = answer(reference, asked)
    assert plain.right.sum() >= COUNT - 2
    with reference.activation_steps(0):
        without = answer(reference, asked)
    assert not np.array_equal(without.logits, plain.logits)
    assert abs(int(without.right.sum()) - int(plain.right.sum())) <= 1
    with reference.activation_steps(16):
        coarse = answer(reference, asked)
    assert coarse.right.sum() < plain.right.sum() - 3
    assert "lost" in compare(plain, coarse)
    assert np.array_equal(answer(reference, asked).logits, plain.logits)


def test_the_harder_questions_are_harder_in_what_they_say_and_have_right_answers() -> None:
    found = sets(COUNT)
    assert {len(questions) for questions in found.values()} == {COUNT}
    own = [json.loads(line)["answer"] for line in (demo.folder() / "evaluation.jsonl").read_text().splitlines()]
    assert [question.last.answer for question in found["its own questions"]] == own[:COUNT]
    for question in found["numbers of 3 digits"]:
        a, b = (int(word) for word in question.last.question.removesuffix("?").split() if word.isdigit())
        assert a + b == int(question.last.answer)
    assert all(len(question.last.answer) == 8 for question in found["words of 8 letters"])
    assert all(len(question.before) == 6 for question in found["sums after 6 turns"])

"""Which prompt shows the engine stopping, and what is said of answers that go on behind a stop token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from runtime_tests.litert.engine import stopping
from runtime_tests.litert.runners.engine import Answer
from runtime_tests.questions.prompts import PROMPTS


class Told:
    """A case whose reference and artifact answer as they are told; every text is one token's number."""

    def __init__(self, stops: list[int], next_token: Callable[[list[int]], int], vocab: int = 400) -> None:
        self.start, self.stops, self.asked = 2, stops, 0
        self.dims = SimpleNamespace(vocab=vocab)
        self.artifact = SimpleNamespace(path=Path(__file__))
        self._next, self._own = next_token, next_token
        self.reference = self

    def render(self, chat: object) -> str:
        return "3 "

    def tokenize(self, text: str) -> list[int]:
        return [int(word) for word in text.replace("Red.", "4").replace("Blue", "5").split()]

    def detokenize(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))

    def many(self, sequences: Any, firsts: Any) -> Any:
        """Of each sequence the last row, whose best token is the next one."""
        assert list(firsts) == [len(ids) - 1 for ids in sequences]
        for i, ids in enumerate(sequences):
            yield i, np.eye(1, self.dims.vocab, self._next([int(t) for t in ids]), np.float32), []

    def greedy(self, prompts: Any, steps: Any) -> Any:
        """As the artifact's own: a prompt that ends in a stop token has no continuation."""
        self.asked += 1
        return [
            np.array([] if int(p[-1]) in self.stops else [self._own([int(t) for t in p])], np.int32) for p in prompts
        ]


def prompt(case: Told) -> str | None:
    found = stopping.stopping_prompt(case)  # type: ignore[arg-type]
    return None if found is None else found.text


def test_a_token_that_is_itself_a_stop_token_is_no_prompt() -> None:
    case = Told([1, 106], lambda ids: 106 if ids[-1] in (1, 106, 300) else 9)
    assert prompt(case) == "300"
    assert case.asked == 1, "the two stop tokens are not even tried"
    assert prompt(Told([1, 106], lambda ids: 106 if ids[-1] in (1, 106) else 9)) is None


def test_a_finished_turn_that_ends_in_a_stop_token_itself_is_passed_over() -> None:
    case = Told([106], lambda ids: 106 if ids[-1] in (106, 300) else 9)
    case.render = lambda chat: "106 "  # type: ignore[method-assign]
    assert prompt(case) == "300"


def test_a_finished_turn_is_tried_before_single_tokens() -> None:
    assert prompt(Told([106], lambda ids: 106 if ids[-2:] == [3, 4] or ids == [2, 7] else 9)) == "3 Red."


def test_an_artifact_that_disagrees_is_asked_a_few_times_only() -> None:
    case = Told([106], lambda ids: 106)
    case._own = lambda ids: 9
    assert prompt(case) is None
    assert case.asked == stopping.TRIED


def test_a_large_vocabulary_is_searched_all_over_and_not_from_its_beginning() -> None:
    asked: list[int] = []
    prompt(Told([106], lambda ids: asked.append(ids[-1]) or 9, vocab=262_144))
    assert len(asked) <= stopping.SEARCHED + 3
    assert max(asked) == 262_143


THREE = stopping.Stopping("300", 106)


def _answer(texts: list[str], expected: list[str], stopping: list[int] | None) -> Answer:
    count = len(PROMPTS)
    tokens = [[0]] * count + ([stopping] if stopping else [])
    return Answer(texts[:count] + ([""] if stopping else []), tokens, expected, texts[count:], [], [], [], 2, [])


def _judged(own: list[list[int]], texts: list[str]) -> list[Any]:
    case = Told([106], lambda ids: 106)
    ids = [np.array(tokens, np.int32) for tokens in own]
    answer = _answer(texts, ["a"] * len(own), None)
    return stopping.judge_stops(case, ids, answer, None)  # type: ignore[arg-type]


def test_an_answer_that_goes_on_behind_a_stop_token_fails() -> None:
    own = [[7] * 16] * len(PROMPTS) + [[7, 106]]
    good = _judged(own, ["a"] * len(own))
    assert [(check.name, check.passed, check.found) for check in good] == [
        ("runs past a stop token", True, 0),
        ("answers that end by themselves", True, 1),
    ]
    assert good[1].note == "at 106 106"
    past = _judged(own, ["a"] * len(PROMPTS) + ["a<turn|>b"])
    assert [check.passed for check in past] == [False, True]
    assert past[0].note == "'a<turn|>b', expected 'a'"


def test_text_behind_the_stopping_prompt_fails() -> None:
    own = [[7] * 16] * len(PROMPTS)
    case, answer = Told([106], lambda ids: 106), _answer(["a"] * len(own), ["a"] * len(own), [300])
    ids = [np.array(tokens, np.int32) for tokens in own]
    assert all(c.passed for c in stopping.judge_stops(case, ids, answer, THREE))  # type: ignore[arg-type]
    spoken = replace(answer, texts=[*answer.texts[:-1], "b"])
    assert not all(c.passed for c in stopping.judge_stops(case, ids, spoken, THREE))  # type: ignore[arg-type]
    otherwise = replace(answer, tokens=[*answer.tokens[:-1], [3, 0, 0]])
    assert not all(c.passed for c in stopping.judge_stops(case, ids, otherwise, THREE))  # type: ignore[arg-type]


def test_a_model_that_stops_nowhere_is_said_to_show_nothing() -> None:
    (only,) = _judged([[7] * 16] * len(PROMPTS), ["a"] * len(PROMPTS))
    assert (only.sense, only.found, only.note) == ("stated", 0, "not shown: the reference stops nowhere")

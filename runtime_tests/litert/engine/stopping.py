"""Rung 3, the end of an answer: does the engine stop where the model chooses a stop token?

The metadata check says that the file names every stop token. Here the engine is seen stopping: at answers that end by
themselves, and at a prompt after which the first choice is a stop token, so that nothing may follow. A model that
chooses none anywhere proves nothing, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from runtime_tests.case import SMALL
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.runners.engine import Answer
from runtime_tests.questions.prompts import CHAT, CHAT_STEPS, GREEDY_STEPS
from runtime_tests.reference.model import Ids
from runtime_tests.results import Check, none, stated

SEARCHED, SEARCHED_LARGE = 1500, 256  # one-token prompts that the reference continues
TRIED = 8  # prompts that the artifact continues, which costs a prefill and a decode each
_ANSWERS = ("Red.", "Blue", "")


@dataclass(frozen=True)
class Stopping:
    """A prompt, and the stop token that the reference chooses after it."""

    text: str
    token: int


def stopping_prompt(case: LitertCase) -> Stopping | None:
    """A prompt after which the reference's and the artifact's first choice is a stop token; None when none is found."""
    for found in islice(_candidates(case), TRIED):
        (chosen,) = case.greedy([_ids(case, found.text)], [1])
        if len(chosen) and int(chosen[0]) in case.stops:
            return found
    return None


def judge_stops(case: LitertCase, own: Sequence[Ids], answer: Answer, stopping: Stopping | None) -> list[Check]:
    """Whether the engine ends its answers where the file's own tokens end.

    Args:
        own: the artifact's tokens in the bare interpreter, of the prompts and then of the chats.
        stopping: what :func:`stopping_prompt` gave, asked after the prompts.
    """
    count = len(own) - len(answer.chats)
    found = [*answer.texts[:count], *answer.chats]
    limits = [GREEDY_STEPS] * count + [CHAT_STEPS] * len(answer.chats)
    past, shown = [], []
    for tokens, limit, text, expected in zip(own, limits, found, answer.expected[-len(own) :], strict=True):
        if 0 < len(tokens) < limit and int(tokens[-1]) in case.stops:
            shown.append(int(tokens[-1]))
            if text != expected and text.startswith(expected):
                past.append(f"{text[:24]!r}, expected {expected[:24]!r}")
    if stopping is not None:
        shown.append(stopping.token)
        if answer.texts[count]:
            past.append(f"{answer.texts[count][:24]!r} after {stopping.text[-24:]!r}")
        if answer.tokens[count] != case.tokenize(stopping.text):
            past.append(f"{stopping.text[-24:]!r} is tokenized otherwise")
    if not shown:
        return [stated("answers that end by themselves", 0, "answers", "not shown: the reference stops nowhere")]
    kinds = ", ".join(f"{token} {case.detokenize([token])}" for token in sorted(set(shown)))
    return [
        none("runs past a stop token", past, "answers", len(shown)),
        stated("answers that end by themselves", len(shown), "answers", f"at {kinds}"),
    ]


def _ids(case: LitertCase, text: str) -> Ids:
    return np.array([case.start, *case.tokenize(text)], np.int32)


def _candidates(case: LitertCase) -> Iterator[Stopping]:
    """Prompts after which the reference's choice is a stop token, those of a finished turn first."""
    turns = [case.render(CHAT) + words for words in _ANSWERS]
    limit = SEARCHED if case.artifact.path.stat().st_size < SMALL else SEARCHED_LARGE
    tokens = np.unique(np.linspace(0, case.dims.vocab - 1, min(limit, case.dims.vocab)).astype(np.int32))
    # After a stop token there is no next choice: the artifact's continuation ends before it begins.
    tokens = tokens[~np.isin(tokens, case.stops)]
    prompts = [*(_ids(case, text) for text in turns), *(np.array([case.start, token], np.int32) for token in tokens)]
    choices = {i: int(rows[0].argmax()) for i, rows, _ in case.reference.many(prompts, [len(p) - 1 for p in prompts])}
    for i, ids in enumerate(prompts):
        if choices[i] in case.stops:
            text = turns[i] if i < len(turns) else case.detokenize([int(ids[1])])
            if i < len(turns) or (text and case.tokenize(text) == [ids[1]]):
                yield Stopping(text, choices[i])

"""Rung 3 for ONNX: does onnxruntime-genai, driving the shipped files, produce the reference's tokens?

Bare models say nothing of how they are driven: those are run token by token in ONNX Runtime. Eight prompts and the
chats are decoded greedily and held to the reference's tokens, up to its first near-tie. A chat that is asked twice
gives the same answer: nothing is left of the one between.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.onnx import genai
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.questions.prompts import CHAT_STEPS, GREEDY_STEPS
from runtime_tests.reference.model import Ids
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs import fitting
from runtime_tests.rungs.continuations import Continuation, continuations


def climb(case: OnnxCase) -> list[Check]:
    """The models go first: their tokens are what the reference reads."""
    prompts, chats = fitting.prompts(case), fitting.chats(case)
    talks = [_ids(case, case.render(chat)) for chat in chats]
    asked = [*(_ids(case, text) for text in prompts), *talks]
    steps, folder = [GREEDY_STEPS] * len(prompts) + [CHAT_STEPS] * len(chats), case.decoder.path.parent
    driven = genai.drives(folder)
    said = genai.greedy(folder, asked, steps, case.threads) if driven else case.greedy(asked, steps)
    own, replies = said[: len(prompts)], said[len(prompts) :]
    case.heard.update((ids.tobytes(), reply) for ids, reply in zip(talks, replies, strict=True))
    case.release()
    found = continuations(case, own, (talks[0], replies[0]))
    checks = _judge([*found, *case.further], [*own, *replies[: len(case.further)]])
    left = [] if np.array_equal(replies[0], replies[-1]) else ["the first chat is answered otherwise when asked again"]
    return [
        *checks,
        stated("driven by onnxruntime-genai", int(driven), "of 1"),
        none("a conversation leaves something to a later one", left, "conversations", len(chats)),
        *fitting.left_out(case),
    ]


def _judge(expected: list[Continuation], own: list[Ids]) -> list[Check]:
    parted = [line for i, (item, ids) in enumerate(zip(expected, own, strict=True)) if (line := _parted(i, item, ids))]
    sure, total = sum(item.sure for item in expected), sum(len(item.new) for item in expected)
    where = f"{total - sure} of {total} tokens lie at or after a near-tie"
    checks = [stated("tokens certain enough to be compared", sure, "tokens", where)]
    if sure:  # with none, equal tokens would be no evidence
        checks.append(none("not the reference's first choice before a near-tie", parted, "tokens", sure))
    return checks


def _parted(index: int, expected: Continuation, own: Ids) -> str:
    for step, token in enumerate(expected.new[: expected.sure]):
        if step >= len(own) or own[step] != token:
            said = own[step] if step < len(own) else "nothing"
            return f"prompt {index}, step {step}: {said}, expected {token}"
    return ""


def _ids(case: OnnxCase, text: str) -> Ids:
    return np.array([case.start, *case.tokenize(text)], np.int32)

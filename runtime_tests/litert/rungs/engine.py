"""Rung 3: does the shipped file in the shipped engine produce the reference's tokens?

Eight prompts are decoded greedily by the stock engine. Its text is held to two things: the reference's tokens, up to
the first near-tie of the reference; and the tokens that the same file gives in the bare interpreter, all of them. The
second stays sharp where a noise floor makes the first say little. Chats, one with a history, show that the reply is the
file's own, and that none leaves anything to the next. Where the model chooses a stop token, the engine is seen
stopping: stopping.py. The chat template is held against the checkpoint's own in many conversations: template.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.drafter.spoken import compare_spoken
from runtime_tests.litert.engine import spelling
from runtime_tests.litert.engine.metadata import compare_metadata
from runtime_tests.litert.engine.stopping import judge_stops, stopping_prompt
from runtime_tests.litert.engine.template import adaptation, asked, compare_templates
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.litert.vision.answers import compare_answers
from runtime_tests.measures.evidence import Evidence
from runtime_tests.questions.prompts import CHAT_STEPS, GREEDY_STEPS
from runtime_tests.reference.model import Ids
from runtime_tests.results import Check, Findings, none, stated
from runtime_tests.rungs import fitting
from runtime_tests.rungs.continuations import Continuation, continuations
from runtime_tests.rungs.fitting import Chat


def climb(case: LitertCase) -> Findings:
    """Metadata, then the engine."""
    checks, seen = compare_metadata(case), Evidence(template=adaptation(case))
    return Findings([*checks, *_in_engine(case)], seen)


def _in_engine(case: LitertCase) -> list[Check]:
    """What the artifact says in the interpreter, the reference of it, and the engine to the same."""
    prompts, chats = fitting.prompts(case), fitting.chats(case)
    # The artifact goes first: its tokens are what the reference reads.
    talks = [_ids(case, case.render(chat)) for chat in chats]
    asked_of = [*(_ids(case, text) for text in prompts), *talks]
    said_own = case.greedy(asked_of, [GREEDY_STEPS] * len(prompts) + [CHAT_STEPS] * len(chats))
    own, replies = said_own[: len(prompts)], said_own[len(prompts) :]
    case.heard.update((ids.tobytes(), reply) for ids, reply in zip(talks, replies, strict=True))
    case.release()  # the reference reads next, and then the engine packs the weights in a process of its own
    stopping = stopping_prompt(case)
    case.release()
    # Where no own question will be asked, golden.json asks the first chat.
    expected = continuations(case, own, None if case.own else (talks[0], replies[0]))
    asks = prompts if stopping is None else (*prompts, stopping.text)
    spoken = [(e.new, e.sure) for e in expected] + [(o, len(o)) for o in [*own, *replies]]
    texts = [tuple(_spoken(case, ids[:n])) for ids, n in spoken]
    said = spelling.texts(case)
    request = Request(
        str(case.artifact.path), asks, GREEDY_STEPS, tuple(texts), chats, CHAT_STEPS, case.threads, asked(), said
    )
    case.release()
    try:
        answer = ask(request)
    except RuntimeError as error:
        return [none("the engine runs", [str(error)], "failures", 1)]
    otherwise = spelling.differing(case, said, answer.spelled, answer.again)
    checks = [none("the whole vocabulary, tokenized otherwise", otherwise, "texts", len(said))]
    checks += [*_judge(case, expected, own, answer), *judge_stops(case, [*own, *replies], answer, stopping)]
    checks += [*compare_templates(case, answer), *_judge_chat(case, answer, chats, replies)]
    try:
        checks += compare_spoken(case, request, answer, asked_of, said_own, [item.sure for item in expected])
    except RuntimeError as error:
        checks.append(none("the engine runs with its drafter", [str(error)], "failures", 1))
    return [*checks, *compare_answers(case), *fitting.left_out(case)]


def _ids(case: LitertCase, text: str) -> Ids:
    """Token ids of a text, start token first."""
    return np.array([case.start, *case.tokenize(text)], np.int32)


def _spoken(case: LitertCase, ids: Ids) -> list[int]:
    """Tokens that reach the reader: those before a stop token."""
    return [int(token) for token in ids if int(token) not in case.stops]


def _judge(case: LitertCase, expected: list[Continuation], own: list[Ids], answer: Answer) -> list[Check]:
    prompts = fitting.prompts(case)
    count = len(prompts)
    tokens = [f"prompt {i}" for i in range(count) if answer.tokens[i] != case.tokenize(prompts[i])]
    parted = [line for i in range(count) if (line := _parted(i, expected[i], own[i]))]
    same, strayed = [], []
    for i in range(count):
        sure, exact = answer.expected[i], answer.expected[count + i]
        whole = expected[i].sure == len(expected[i].new)
        # A cut inside a character ends in replacement characters that the longer text does not have.
        fits = answer.texts[i] == sure if whole else answer.texts[i].startswith(sure.rstrip("\ufffd"))
        if not fits:
            same.append(f"prompt {i}: {answer.texts[i][:24]!r}, expected {sure[:24]!r}")
        if answer.texts[i] != exact:
            strayed.append(f"prompt {i}: {answer.texts[i][:24]!r}, expected {exact[:24]!r}")
    sure_tokens = sum(item.sure for item in expected)
    total = sum(len(item.new) for item in expected)
    where = f"{total - sure_tokens} of {total} tokens lie at or after a near-tie"
    checks = [
        none("the engine answers every prompt", answer.failed, "prompts", len(answer.texts) + len(answer.chats)),
        none("prompts tokenized otherwise", tokens, "prompts", count),
    ]
    if sure_tokens:  # with none, equal texts would be no evidence
        checks.append(none("not the reference's first choice before a near-tie", parted, "tokens", sure_tokens))
        checks.append(none("text differs from the reference's before a near-tie", same, "prompts", count))
    return [
        *checks,
        stated("tokens certain enough to be compared", sure_tokens, "tokens", where),
        none("text differs from the same file in the interpreter", strayed, "prompts", count),
    ]


def _parted(index: int, expected: Continuation, own: Ids) -> str:
    """Where the artifact's token is not the reference's while that one is certain; empty where there is none."""
    for step, token in enumerate(expected.new[: expected.sure]):
        if step >= len(own) or own[step] != token:
            said = own[step] if step < len(own) else "nothing"
            return f"prompt {index}, step {step}: {said}, expected {token}"
    return ""


def _judge_chat(case: LitertCase, answer: Answer, chats: Sequence[Chat], replies: list[Ids]) -> list[Check]:
    own = answer.expected[-len(answer.chats) :]
    strayed = [f"{a[:24]!r}, expected {b[:24]!r}" for a, b in zip(answer.chats, own, strict=True) if a != b]
    first, last = answer.chats[0], answer.chats[-1]
    left = [] if first == last else [f"{last[:24]!r}, before {first[:24]!r}"]
    counts = [len(_ids(case, case.render(chat))) + len(reply) for chat, reply in zip(chats, replies, strict=True)]
    pairs = zip(answer.chat_tokens, counts, strict=True)
    more = [f"chat {i}: {found}, expected {count}" for i, (found, count) in enumerate(pairs) if found != count]
    stops = sorted(stop[0] for stop in answer.stops if len(stop) == 1)
    return [
        none("reply differs from the same file in the interpreter", strayed, "conversations", len(own)),
        none("a conversation leaves something to a later one", left, "conversations", 1),
        none("stop tokens seen by the engine", [] if stops == case.stops else [f"{stops}"], "differences", 1),
        none("tokens in the cache after a chat", more, "conversations", len(counts)),
    ]

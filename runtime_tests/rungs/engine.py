"""Rung 3: does the shipped file in the shipped engine produce the reference's tokens?

Eight prompts are decoded greedily by the stock engine. Its text is held to two things: the reference's tokens, up to
the first near-tie of the reference; and the tokens that the same file gives in the bare interpreter, all of them. The
second stays sharp where a noise floor makes the first say little. Chats, one with a history, show that the reply is the
file's own, and that none leaves anything to the next. Where the model chooses a stop token, the engine is seen
stopping: stopping.py. The chat template is held against the checkpoint's own in many conversations: template.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests import fitting, metrics
from runtime_tests.case import DECODER, EMBEDDER, PER_LAYER, Case
from runtime_tests.fitting import Chat
from runtime_tests.floor import measure, widen
from runtime_tests.prompts import CHAT_STEPS, GREEDY_STEPS
from runtime_tests.reference import Floats, Ids
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs import spelling
from runtime_tests.rungs.metadata import compare_metadata
from runtime_tests.rungs.stopping import judge_stops, stopping_prompt
from runtime_tests.rungs.template import adaptation, asked, compare_templates
from runtime_tests.runners.engine import Answer, Request, ask
from runtime_tests.runners.litert import Session, lookup, prefill_lengths

DRAWS = 8  # a short prompt has few roundings that can flip


@dataclass(frozen=True)
class Continuation:
    """A prompt, greedily continued by the reference.

    Attributes:
        ids: the prompt's tokens, start token included.
        new: the reference's tokens; a stop token ends them and is included.
        sure: how many of them come before the first near-tie.
        logits: what chose them, ``[K, V]``.
        deviation, typical: the noise floor of each of these rows, ``[K]``: of the worst draw, and on average.
    """

    ids: Ids
    new: Ids
    sure: int
    logits: Floats
    deviation: NDArray[np.float64]
    typical: NDArray[np.float64]


def climb(case: Case) -> list[Check]:
    """Metadata, then the engine."""
    checks = compare_metadata(case)
    case.evidence.template = adaptation(case)
    expected = continuations(case)
    stopping = stopping_prompt(case, _interpreted)
    prompts, chats = fitting.prompts(case), fitting.chats(case)
    prompts = prompts if stopping is None else (*prompts, stopping)
    own = [_interpreted(case, item.ids) for item in expected]
    replies = [_interpreted(case, _ids(case, chat), CHAT_STEPS) for chat in chats]
    spoken = [(e.new, e.sure) for e in expected] + [(o, len(o)) for o in [*own, *replies]]
    texts = [tuple(_spoken(case, ids[:n])) for ids, n in spoken]
    said = spelling.texts(case)
    request = Request(
        str(case.artifact.path), prompts, GREEDY_STEPS, tuple(texts), chats, CHAT_STEPS, case.threads, asked(), said
    )
    try:
        answer = ask(request)
    except RuntimeError as error:
        return [*checks, none("the engine runs", [str(error)], "failures", 1)]
    otherwise = spelling.differing(case, said, answer.spelled, answer.again)
    checks.append(none("the whole vocabulary, tokenized otherwise", otherwise, "texts", len(said)))
    checks += [*_judge(case, expected, own, answer), *judge_stops(case, [*own, *replies], answer, stopping)]
    checks += [*compare_templates(case, answer), *_judge_chat(case, answer, chats, replies)]
    return [*checks, *fitting.left_out(case)]


def continuations(case: Case) -> list[Continuation]:
    """The reference's greedy tokens for every prompt that fits, and how far they are certain; made once a case."""
    if not case.continuations:
        case.continuations = continue_greedily(case, [(prompt, GREEDY_STEPS) for prompt in fitting.prompts(case)])
    return case.continuations


def continue_greedily(case: Case, prompts: list[tuple[str, int]]) -> list[Continuation]:
    """The reference's greedy tokens, for each text at most so many."""
    drawn = []
    for prompt, steps in prompts:
        ids = np.array([case.start, *case.tokenize(prompt)], np.int32)
        new, chose = case.reference.greedy(ids, steps, frozenset(case.stops))
        whole = np.concatenate([ids, new[:-1]])
        drawn.append((ids, new, chose, whole, *measure(case.reference, whole, len(ids) - 1, DRAWS)))
    floors = [floor for *_, floor in drawn]
    if not case.lattice_fault:
        with case.on_lattice():
            floors = [
                widen(floor, logits, case.reference.logits(whole, first=len(ids) - 1))
                for ids, _, _, whole, logits, floor in drawn
            ]
    out = []
    for (ids, new, chose, *_), floor in zip(drawn, floors, strict=True):
        deviation, typical = floor.deviation, floor.typical
        ties = metrics.near_ties(chose, deviation)
        sure = int(np.argmax(ties)) if ties.any() else len(new)
        out.append(Continuation(ids, new, sure, chose, deviation, typical))
    return out


def _ids(case: Case, chat: Chat) -> Ids:
    """Token ids of a chat, start token first, up to where the reply begins."""
    return np.array([case.start, *case.tokenize(case.render(chat))], np.int32)


def _interpreted(case: Case, ids: Ids, steps: int = GREEDY_STEPS) -> Ids:
    """Greedy tokens of the artifact in the bare interpreter, fed as the engine does: all but the last token first."""
    session = Session(case.interpreter(DECODER), case.model(DECODER))

    def tables(tokens: Ids) -> tuple[Floats, Floats | None]:
        first = lookup(case.interpreter(EMBEDDER), case.model(EMBEDDER), tokens)
        wide = case.dims.per_layer_width
        return first, lookup(case.interpreter(PER_LAYER), case.model(PER_LAYER), tokens) if wide else None

    longest = max(prefill_lengths(case.model(DECODER)))
    for start in range(0, len(ids) - 1, longest):
        session.prefill(*tables(ids[start : min(start + longest, len(ids) - 1)]))
    chosen: list[int] = []
    last = int(ids[-1])
    while len(chosen) < steps and last not in case.stops:
        last = int(session.decode(*tables(np.array([last], np.int32))).argmax())
        chosen.append(last)
    return np.array(chosen, np.int32)


def _spoken(case: Case, ids: Ids) -> list[int]:
    """Tokens that reach the reader: those before a stop token."""
    return [int(token) for token in ids if int(token) not in case.stops]


def _judge(case: Case, expected: list[Continuation], own: list[Ids], answer: Answer) -> list[Check]:
    prompts = fitting.prompts(case)
    count = len(prompts)
    tokens = [f"prompt {i}" for i in range(count) if answer.tokens[i] != case.tokenize(prompts[i])]
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
        checks.append(none("text differs from the reference's before a near-tie", same, "prompts", count))
    return [
        *checks,
        stated("tokens certain enough to be compared", sure_tokens, "tokens", where),
        none("text differs from the same file in the interpreter", strayed, "prompts", count),
    ]


def _judge_chat(case: Case, answer: Answer, chats: Sequence[Chat], replies: list[Ids]) -> list[Check]:
    own = answer.expected[-len(answer.chats) :]
    strayed = [f"{a[:24]!r}, expected {b[:24]!r}" for a, b in zip(answer.chats, own, strict=True) if a != b]
    first, last = answer.chats[0], answer.chats[-1]
    left = [] if first == last else [f"{last[:24]!r}, before {first[:24]!r}"]
    counts = [len(_ids(case, chat)) + len(reply) for chat, reply in zip(chats, replies, strict=True)]
    pairs = zip(answer.chat_tokens, counts, strict=True)
    more = [f"chat {i}: {found}, expected {count}" for i, (found, count) in enumerate(pairs) if found != count]
    stops = sorted(stop[0] for stop in answer.stops if len(stop) == 1)
    return [
        none("reply differs from the same file in the interpreter", strayed, "conversations", len(own)),
        none("a conversation leaves something to a later one", left, "conversations", 1),
        none("stop tokens seen by the engine", [] if stops == case.stops else [f"{stops}"], "differences", 1),
        none("tokens in the cache after a chat", more, "conversations", len(counts)),
    ]

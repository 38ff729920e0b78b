"""Rung 3, last part: with the drafter the engine says what it says without, in fewer steps.

Every draft is verified, so the text must be the same, token for token. The model verifies several tokens in one call
where it decodes one, and kernels add up several rows in another order: at a near-tie of the reference, either text
is right. The engine drops a group of drafts that would exceed the limit, so it is given room for one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.litert.runners.interpreter import VERIFY, entry_lengths
from runtime_tests.questions.prompts import CHAT_STEPS, GREEDY_STEPS
from runtime_tests.reference.model import Ids
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs.asked import Asked

QUESTIONS = 48  # of the checkpoint's own, asked with and without


@dataclass(frozen=True)
class Pair:
    """A prompt's text without and with the drafter.

    Attributes:
        name: for messages.
        ids: the prompt's tokens.
        limit: tokens that were asked for, at most.
        tokens: of the text without, where they are known.
        sure: how many of these come before the first near-tie of the reference, where that is known.
    """

    name: str
    ids: Ids
    plain: str
    drafted: str
    limit: int
    tokens: Ids | None = None
    sure: int | None = None


def compare_spoken(
    case: LitertCase,
    request: Request,
    answer: Answer,
    prompts: Sequence[Ids],
    own: Sequence[Ids],
    sure: Sequence[int],
) -> list[Check]:
    """Asks the engine again, with the drafter.

    Args:
        request, answer: without it; prompts that were asked come first, of which only these are compared.
        prompts: their tokens, and then those of the chats.
        own: the file's own tokens after each of these.
        sure: how many of these come before the reference's first near-tie, of the prompts alone.

    Raises:
        RuntimeError: the engine failed or crashed.
    """
    if not case.holds_drafter:
        return []
    more = entry_lengths(case.model(DECODER))[VERIFY]
    texts, ids, limits = _questions(case)
    count, chats = len(prompts) - len(request.chats), len(request.chats)
    bare = replace(request, prompts=texts, steps=limits, detokenize=(), chats=(), renders=(), spell=())
    alone = ask(bare) if texts else None
    drafted = ask(
        replace(
            bare,
            prompts=(*request.prompts[:count], *texts),
            steps=(*[GREEDY_STEPS + more] * count, *(limit + more for limit in limits)),
            chats=request.chats,
            chat_steps=CHAT_STEPS + more,
            drafted=True,
        )
    )
    plain = [*answer.texts[:count], *(alone.texts if alone else []), *answer.chats]
    names = [*(f"prompt {i}" for i in range(count)), *(f"question {i}" for i in range(len(texts)))]
    names += [f"chat {i}" for i in range(chats)]
    asked = [*prompts[:count], *ids, *prompts[count:]]
    most = [*[GREEDY_STEPS] * count, *limits, *[CHAT_STEPS] * chats]
    tokens = [*own[:count], *[None] * len(texts), *own[count:]]
    until = [*sure, *[None] * (len(texts) + chats)]
    said = [*drafted.texts, *drafted.chats]
    found = [Pair(*item) for item in zip(names, asked, plain, said, most, tokens, until, strict=True)]
    other = [pair for pair in found if not _same(case, pair)]
    ties = [pair for pair in other if _near_tie(case, pair)]
    wrong = [f"{pair.name}: {pair.drafted[:24]!r}, without {pair.plain[:24]!r}" for pair in other if pair not in ties]
    gave_up = [*drafted.failed, *(alone.failed if alone else [])]
    kept = zip(answer.chats, drafted.chats, answer.chat_tokens, drafted.chat_tokens, strict=True)
    fewer = max((before - after for mine, theirs, before, after in kept if mine == theirs), default=0)
    told = "the engine's own: a stop token among accepted drafts is not kept in the cache" if fewer > 0 else ""
    rates = f"{drafted.success:.0%} of the drafts accepted by the engine's log" if drafted.success is not None else ""
    return [
        none("the engine answers with its drafter", gave_up, "prompts", len(found)),
        none("text with the drafter differs from that without", wrong, "prompts", len(found)),
        *([stated("texts that part at a near-tie of the reference", len(ties), "prompts")] if ties else []),
        stated("tokens that a chat with the drafter leaves out of the cache", fewer, "tokens", told),
        stated("tokens of a verifying step", 1 + (more - 1) * (drafted.success or 0.0), "tokens", rates),
    ]


def _questions(case: LitertCase) -> tuple[tuple[str, ...], list[Ids], tuple[int, ...]]:
    """Texts, tokens and limits of some of the checkpoint's own questions."""
    if case.own is None:
        return (), [], ()
    try:
        asked = Asked(case, case.own.drawn(min(QUESTIONS, len(case.own.questions))))
    except CannotRunError:  # none has room in a short context
        return (), [], ()
    return asked.texts, asked.ids, asked.limits


def _same(case: LitertCase, pair: Pair) -> bool:
    """Equal; or the limit has cut the text without the drafter, and the other one goes on."""
    if pair.plain == pair.drafted:
        return True
    # A cut inside a character ends in replacement characters that the longer text does not have.
    whole = pair.plain.rstrip("\ufffd")
    return len(case.tokenize(pair.plain)) >= pair.limit and pair.drafted.startswith(whole)


def _near_tie(case: LitertCase, pair: Pair) -> bool:
    """Whether the texts part at or behind a near-tie of the reference."""
    tokens = np.array(case.tokenize(pair.plain), np.int32) if pair.tokens is None else pair.tokens
    same = 0
    while same < len(tokens) and pair.drafted.startswith(case.detokenize(tokens[: same + 1].tolist()).rstrip("\ufffd")):
        same += 1
    if pair.sure is not None:
        return same >= pair.sure
    logits = case.reference.logits(np.concatenate([pair.ids, tokens[:same]]).astype(np.int32), first=0)[-1]
    second, best = np.sort(logits)[-2:]
    return bool(best - second <= 2.0 * np.max(case.floor.deviation))

"""The reference's greedy continuations, found by reading the artifact's own tokens instead of generating.

The artifact continues each prompt first. One pass of the reference over prompt and tokens then says of every token
whether it is the reference's first choice; up to the first that is not, the tokens are the reference's greedy ones. Its
own choice there ends the continuation. So every token of it is truly the reference's, whatever the artifact said; an
artifact only decides how far it goes. Near-ties come from the same pass, over the reference's tokens alone: from its
margins, and from how far its disturbed copies move a logit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.questions.prompts import GREEDY_STEPS
from runtime_tests.reference.answers import answers
from runtime_tests.reference.floor import RELATIVE
from runtime_tests.reference.model import Floats, Ids
from runtime_tests.rungs import fitting

DRAWS = 8  # a short prompt has few roundings that can flip
BEFORE = 8  # rows of the prompt that say, with those of the continuation, how far a draw usually moves a logit
TOP = 5


@dataclass(frozen=True)
class Continuation:
    """A prompt, greedily continued by the reference.

    Attributes:
        ids: the prompt's tokens, start token included.
        new: the reference's tokens, ``[K]``; a stop token ends them and is included, and so does the first token that
            the artifact did not choose.
        sure: how many of them come before the first near-tie.
        best: the tokens with the largest logits at each step, best first, ``[K, TOP]``, and their logits.
        sizes: root mean square of all logits of a step, ``[K]``.
        deviation: the noise floor of each step, ``[K]``: the farthest logit of the worst draw.
        typical: of the tokens in ``best`` on average over the draws, ``[K]``.
    """

    ids: Ids
    new: Ids
    sure: int
    best: Ids
    logits: Floats
    sizes: NDArray[np.float64]
    deviation: NDArray[np.float64]
    typical: NDArray[np.float64]


def continuations(
    case: Case, own: Sequence[Ids] | None = None, chat: tuple[Ids, Ids] | None = None
) -> list[Continuation]:
    """The reference's greedy tokens for every general prompt that fits; made once a case.

    Args:
        own: the artifact's tokens after each, where they are known already.
        chat: a conversation that golden.json will ask, and the artifact's reply: kept in ``case.further``. A pass over
            a large model costs the same for one prompt more.
    """
    if not case.continuations:
        ids = _ids(case, fitting.prompts(case))
        said = own or drafts(case, ids, [GREEDY_STEPS] * len(ids))
        more = [] if chat is None else [chat]
        found = along(case, [*ids, *(one for one, _ in more)], [*said, *(reply for _, reply in more)])
        case.continuations, case.further = found[: len(ids)], found[len(ids) :]
    return case.continuations


def continue_greedily(
    case: Case, prompts: Sequence[tuple[str, int]], own: Sequence[Ids] | None = None
) -> list[Continuation]:
    """The reference's greedy tokens for each text, at most so many."""
    ids = _ids(case, [text for text, _ in prompts])
    return along(case, ids, own or drafts(case, ids, [steps for _, steps in prompts]))


def _ids(case: Case, texts: Sequence[str]) -> list[Ids]:
    """Token ids of each text, start token first."""
    return [np.array([case.start, *case.tokenize(text)], np.int32) for text in texts]


def drafts(case: Case, prompts: Sequence[Ids], steps: Sequence[int]) -> list[Ids]:
    """What the artifact says, which is most likely what the reference says; without it the reference generates."""
    known = [case.heard.get(ids.tobytes()) for ids in prompts]
    if all(new is not None for new in known):  # an earlier rung has asked the same
        return [new[:most] for new, most in zip(known, steps, strict=True) if new is not None]
    try:
        return case.greedy(prompts, steps)
    except CannotRunError:
        return [item.new for item in answers(case.reference, prompts, steps, frozenset(case.stops))]


def along(case: Case, prompts: Sequence[Ids], given: Sequence[Ids]) -> list[Continuation]:
    """The reference's continuations as far as given tokens are its own, each ended by its own choice where they part.

    Args:
        prompts: token ids, start token included.
        given: tokens to read after each; a stop token may only be the last.
    """
    sequences = [np.concatenate([ids, new[:-1]]).astype(np.int32) for ids, new in zip(prompts, given, strict=True)]
    firsts = [max(0, len(ids) - 1 - BEFORE) for ids in prompts]
    lattice = not case.lattice_fault
    out: dict[int, Continuation] = {}
    rows: dict[int, Floats] = {}
    for i, plain, moved in case.reference.many(sequences, firsts, case.draws(DRAWS), RELATIVE):
        before = len(prompts[i]) - 1 - firsts[i]
        end = before + _agreeing(plain[before:], given[i])
        worst, mean, best = np.zeros(end), np.zeros(end), _best(plain[:end])
        for draw in moved:
            worst = np.maximum(worst, _distance(plain[:end], draw[:end]))
            mean += _distance(_at(plain[:end], best), _at(draw[:end], best)) / len(moved)
        # Few draws may leave a single position undisturbed by luck.
        worst = np.maximum(worst, np.median(worst))
        out[i] = _continuation(prompts[i], plain[before:end], worst[before:], mean[before:])
        if lattice:
            rows[i] = plain[:end].copy()
    # In a calm model few draws flip a rounding at all, and one that does moves every later logit: by luck none of a
    # prompt's draws may. What a flip does after one prompt it may do after another.
    usual = [float(np.median(item.deviation)) for item in (*out.values(), *case.continuations)]
    out = {i: replace(item, deviation=np.maximum(item.deviation, max(usual))) for i, item in out.items()}
    if lattice:
        out = dict(_widened(case, out, rows, sequences, firsts))
    return [_sure(out[i]) for i in range(len(prompts))]


def _agreeing(rows: Floats, given: Ids) -> int:
    """How many steps the reference makes along given tokens: up to the first that is not its choice, and that one."""
    differs = rows.argmax(axis=-1)[: len(given)] != given[: len(rows)]
    return int(np.argmax(differs)) + 1 if differs.any() else len(rows)


def _distance(one: Floats, other: Floats) -> NDArray[np.float64]:
    """The largest change of a logit of each row."""
    return np.abs(one - other).max(axis=-1).astype(np.float64)


def _best(rows: Floats) -> Ids:
    """The tokens with the largest logits of each row, best first, ``[K, TOP]``."""
    few = np.argpartition(-rows, TOP, axis=-1)[:, : TOP + 1]
    few.sort(axis=-1)  # of equal logits the smaller token comes first, as argmax takes it
    order = np.argsort(-_at(rows, few), axis=-1, kind="stable")[:, :TOP]
    return np.take_along_axis(few, order, axis=-1).astype(np.int32)


def _at(rows: Floats, tokens: NDArray[np.integer]) -> Floats:
    """The logits of some tokens of each row."""
    return np.take_along_axis(rows, tokens, axis=-1)


def _continuation(ids: Ids, rows: Floats, deviation: NDArray[np.float64], typical: NDArray[np.float64]) -> Continuation:
    best = _best(rows)
    sizes = np.sqrt([np.mean(np.square(row, dtype=np.float64)) for row in rows])
    return Continuation(ids, best[:, 0].copy(), 0, best, _at(rows, best), sizes, deviation, typical)


def _widened(
    case: Case,
    found: dict[int, Continuation],
    rows: dict[int, Floats],
    sequences: Sequence[Ids],
    firsts: Sequence[int],
) -> Iterator[tuple[int, Continuation]]:
    """What the rounding of a q4_0 checkpoint's stored weights does counts like a draw."""
    with case.on_lattice():
        for i, other, _ in case.reference.many(sequences, firsts):
            item = found[i]
            far, last = _distance(rows[i], other[: len(rows[i])]), len(item.new)
            usual = _distance(item.logits, _at(other[: len(rows[i])][-last:], item.best))
            far = np.maximum(far, np.median(far))[-last:]
            wider = np.maximum(item.deviation, far), np.maximum(item.typical, usual)
            yield i, replace(item, deviation=wider[0], typical=wider[1])


def _sure(item: Continuation) -> Continuation:
    ties = metrics.near_ties(item.logits, item.deviation)
    return replace(item, sure=int(np.argmax(ties)) if ties.any() else len(item.new))

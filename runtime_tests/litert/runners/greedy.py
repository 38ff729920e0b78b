"""Greedy tokens of an artifact in the bare interpreter, fed as the engine does: all but the last token first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from runtime_tests.litert.runners.interpreter import Session, lookup
from runtime_tests.litert.runners.protocol import Runner
from runtime_tests.readers.litert.tflite import Tflite
from runtime_tests.reference.model import Floats, Ids

Section = tuple[Runner, Tflite]
GROUP = 16  # prompts whose caches are kept while others are prefilled


def greedy(
    decoder: Section,
    tables: tuple[Section, Section | None],
    prompts: Sequence[Ids],
    steps: Sequence[int],
    stops: Collection[int],
    sparing: bool = False,
) -> list[Ids]:
    """Continues each prompt by at most so many tokens; a stop token ends it and is included.

    All prompts of a group are prefilled before the first is continued: a runner that holds one signature at a time
    loads two a group.

    Args:
        tables: of the token embeddings, and of the per-layer ones where the model has them.
        prompts: token ids, start token included; where one ends in a stop token nothing follows.
        sparing: see :class:`Session`.
    """
    first, second = tables

    def rows(tokens: Ids) -> tuple[Floats, Floats | None]:
        return lookup(*first, tokens), None if second is None else lookup(*second, tokens)

    def prefilled(ids: Ids) -> Session:
        session = Session(*decoder, sparing)
        for start in range(0, len(ids) - 1, session.longest):
            session.prefill(*rows(ids[start : min(start + session.longest, len(ids) - 1)]))
        session.park()
        return session

    def continued(session: Session, last: int, most: int) -> Ids:
        chosen: list[int] = []
        while len(chosen) < most and last not in stops:
            last = int(session.decode(*rows(np.array([last], np.int32))).argmax())
            chosen.append(last)
        return np.array(chosen, np.int32)

    made: list[Ids] = []
    for begin in range(0, len(prompts), GROUP):
        group = slice(begin, begin + GROUP)
        sessions = [prefilled(ids) for ids in prompts[group]]
        sessions.reverse()  # each is let go when it has spoken
        for ids, most in zip(prompts[group], steps[group], strict=True):
            made.append(continued(sessions.pop(), int(ids[-1]), most))
    return made

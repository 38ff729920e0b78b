"""Greedy tokens of an artifact in the bare interpreter, fed as the engine does: all but the last token first."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from runtime_tests.readers.tflite import Tflite
from runtime_tests.reference import Floats, Ids
from runtime_tests.runners.litert import Session, lookup
from runtime_tests.runners.protocol import Runner

Section = tuple[Runner, Tflite]


def greedy(
    decoder: Section,
    tables: tuple[Section, Section | None],
    ids: Ids,
    steps: int,
    stops: Collection[int],
    sparing: bool = False,
) -> Ids:
    """Continues a prompt by at most ``steps`` tokens; a stop token ends it and is included.

    Args:
        tables: of the token embeddings, and of the per-layer ones where the model has them.
        ids: the prompt, start token included; where it ends in a stop token nothing follows.
        sparing: see :class:`Session`.
    """
    first, second = tables
    session = Session(*decoder, sparing)

    def rows(tokens: Ids) -> tuple[Floats, Floats | None]:
        return lookup(*first, tokens), None if second is None else lookup(*second, tokens)

    for start in range(0, len(ids) - 1, session.longest):
        session.prefill(*rows(ids[start : min(start + session.longest, len(ids) - 1)]))
    chosen: list[int] = []
    last = int(ids[-1])
    while len(chosen) < steps and last not in stops:
        last = int(session.decode(*rows(np.array([last], np.int32))).argmax())
        chosen.append(last)
    return np.array(chosen, np.int32)

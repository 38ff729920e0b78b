"""The forced sequence through a package: a prompt in chunks of odd lengths, then given tokens one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.evaluator import Evaluator
from runtime_tests.coreml.session import prefill_lengths
from runtime_tests.reference import Ids
from runtime_tests.rungs.lowering import chunks

if TYPE_CHECKING:
    from runtime_tests.coreml.case import CoremlCase


def forced_logits(case: CoremlCase, evaluator: Evaluator, ids: Ids, prompt: int) -> NDArray[np.float64]:
    """Logits of the tokens from ``prompt`` on, each decoded after its given predecessors, ``[T - prompt, V]``.

    States are carried from call to call, from the prefill functions into decode and from token to token.
    """
    first, second = case.lookup(ids)
    session = case.session(evaluator)
    for start, stop in _fitting(case, prompt):
        session.position = start
        session.prefill(first[start:stop], None if second is None else second[start:stop])
    session.position = prompt
    rows = [
        session.decode(first[i : i + 1], None if second is None else second[i : i + 1]) for i in range(prompt, len(ids))
    ]
    return np.stack(rows)


def _fitting(case: CoremlCase, prompt: int) -> list[tuple[int, int]]:
    """Chunks of odd lengths; one whose padding would reach past the end begins earlier and computes some rows again."""
    lengths = prefill_lengths(case.package.functions)
    out = []
    for start, stop in chunks(prompt, max(lengths)):
        size = next(n for n in lengths if n >= stop - start)
        out.append((min(start, case.context - size), stop))
    return out

"""The forced sequence through a package: a prompt in chunks of odd lengths, then given tokens one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.program.evaluator import Arithmetic
from runtime_tests.coreml.program.layered import Call, Layered
from runtime_tests.coreml.session import DECODE, Fed
from runtime_tests.questions.chunks import chunks
from runtime_tests.reference.model import Ids


def forced_logits(case: Fed, arithmetic: Arithmetic, ids: Ids, prompt: int) -> NDArray[np.float64]:
    """Logits of the tokens from ``prompt`` on, each decoded after its given predecessors, ``[T - prompt, V]``.

    States are carried from call to call, from the prefill functions into decode and from token to token.
    """
    calls = forced_calls(case, ids, prompt)
    Layered(case.package, arithmetic).run(calls)
    rows = [call.outputs["logits"].numpy().reshape(-1) for call in calls if call.function == DECODE]
    return np.stack(rows).astype(np.float64)


def forced_calls(case: Fed, ids: Ids, prompt: int) -> list[Call]:
    """The calls of the forced sequence, in order."""
    lengths = case.lengths
    spans = [(start, stop, lengths[_size(lengths, stop - start)]) for start, stop in _fitting(case, prompt)]
    spans += [(i, i + 1, DECODE) for i in range(prompt, len(ids))]
    first, second = case.lookup(ids)
    out = []
    for start, stop, name in spans:
        per_layer = None if second is None else second[start:stop]
        out.append(Call(name, case.feed.inputs(case.package.functions[name], start, first[start:stop], per_layer)))
    return out


def _size(lengths: dict[int, str], tokens: int) -> int:
    return next(n for n in lengths if n >= tokens)


def _fitting(case: Fed, prompt: int) -> list[tuple[int, int]]:
    """Chunks of odd lengths; one whose padding would reach past the end begins earlier and computes some rows again."""
    lengths = case.lengths
    return [
        (min(start, case.context - _size(lengths, stop - start)), stop) for start, stop in chunks(prompt, max(lengths))
    ]

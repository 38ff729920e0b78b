"""The forced sequence through a package: a prompt in chunks of odd lengths, then given tokens one by one."""

from __future__ import annotations

from collections.abc import Iterator

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
    rows = [call.outputs["logits"].numpy().reshape(-1) for call in calls[-(len(ids) - prompt) :]]
    return np.stack(rows).astype(np.float64)


def forced_calls(case: Fed, ids: Ids, prompt: int) -> list[Call]:
    """The calls of the forced sequence, in order; the last ones decode a token each, from ``prompt`` on."""
    spans = [*_prefilled(case, prompt), *((i, i + 1, DECODE) for i in range(prompt, len(ids)))]
    first, second = case.lookup(ids)
    out = []
    for start, stop, name in spans:
        per_layer = None if second is None else second[start:stop]
        out.append(Call(name, case.feed.inputs(case.package.functions[name], start, first[start:stop], per_layer)))
    return out


def _size(lengths: dict[int, str], tokens: int) -> int:
    return next(n for n in lengths if n >= tokens)


def _prefilled(case: Fed, prompt: int) -> Iterator[tuple[int, int, str]]:
    """Chunks of odd lengths; one whose padding would reach past the end goes token by token."""
    lengths = case.lengths
    for start, stop in chunks(prompt, max(lengths)):
        size = _size(lengths, stop - start)
        if start + size <= case.context:
            yield start, stop, lengths[size]
        else:
            yield from ((i, i + 1, DECODE) for i in range(start, stop))

"""Greedy answers of a package to many prompts, in the evaluator: what rung 4 counts.

Prompts of one length go through the program together: its functions take one sequence, and ``torch.vmap`` runs them
over a stack of sequences whose positions are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.evaluator import Evaluator, State
from runtime_tests.coreml.session import DECODE, prefill_lengths
from runtime_tests.errors import CannotRunError

Ids = NDArray[np.int32]
TOGETHER = 16  # sequences: the states of more leave the processor's caches


def answers(
    case: CoremlCase, evaluator: Evaluator, prompts: Sequence[Ids], steps: int, stops: frozenset[int]
) -> list[Ids]:
    """Continues every prompt by at most ``steps`` tokens; a stop token ends an answer and is included.

    Args:
        evaluator: of the case; ``case.evaluator(activations=False)`` leaves the activation quantization out.
        prompts: token ids, start token included.

    Raises:
        CannotRunError: a prompt and its answer do not fit the context.
    """
    out: dict[int, Ids] = {}
    longest = max((len(ids) for ids in prompts), default=0)
    if longest + steps > case.context:
        raise CannotRunError(f"a prompt of {longest} tokens and {steps} more do not fit a context of {case.context}")
    for together in _groups([len(ids) for ids in prompts]):
        found = _continue(case, evaluator, np.stack([prompts[i] for i in together]), steps, stops)
        out.update(zip(together, found, strict=True))
    return [out[i] for i in range(len(prompts))]


def _groups(lengths: list[int]) -> Iterator[list[int]]:
    """Indices of prompts of one length, at most ``TOGETHER`` at a time."""
    for length in sorted(set(lengths)):
        same = [i for i, found in enumerate(lengths) if found == length]
        for start in range(0, len(same), TOGETHER):
            yield same[start : start + TOGETHER]


def _continue(case: CoremlCase, evaluator: Evaluator, prompts: Ids, steps: int, stops: frozenset[int]) -> list[Ids]:
    count, length = prompts.shape
    state = {name: value.expand(count, *value.shape) for name, value in evaluator.new_state(DECODE).items()}
    for name, start, stop in _chunks(case, length - 1):
        _, state = _call(case, evaluator, name, start, prompts[:, start:stop], state)
    last = prompts[:, -1]
    chosen: list[Ids] = []
    going = np.ones(count, bool)
    while len(chosen) < steps and going.any():
        logits, state = _call(case, evaluator, DECODE, length - 1 + len(chosen), last[:, None], state)
        last = logits.reshape(count, -1).argmax(dim=-1).numpy().astype(np.int32)
        chosen.append(last)
        going &= ~np.isin(last, list(stops))
    new = np.stack(chosen, axis=1)
    ends = [next((k + 1 for k, token in enumerate(row) if int(token) in stops), len(row)) for row in new]
    return [row[:end] for row, end in zip(new, ends, strict=True)]


def _chunks(case: CoremlCase, total: int) -> Iterator[tuple[str, int, int]]:
    """Functions and their tokens: the longest prefill while it is filled, then the shortest that holds the rest."""
    lengths, start = prefill_lengths(case.package.functions), 0
    while start < total:
        longest = max(lengths)
        size = next((n for n in lengths if n >= total - start), longest)
        stop = min(total, start + size)
        begin = min(start, case.context - size)
        yield lengths[size], begin, stop
        start = stop


def _call(
    case: CoremlCase, evaluator: Evaluator, name: str, start: int, tokens: Ids, state: State
) -> tuple[Any, State]:
    """One function over sequences ``tokens [N, m]``; states have the sequences first."""
    function = evaluator.function(name)
    rows = [case.lookup(sequence) for sequence in tokens]
    stacked = [case.feed.inputs(function, start, first, second) for first, second in rows]
    own = [key for key in ("embeddings", "per_layer_embeddings") if key in stacked[0]]
    shared = {key: value for key, value in stacked[0].items() if key not in own}
    batched = {key: torch.from_numpy(np.stack([item[key] for item in stacked])).to(evaluator.working) for key in own}

    def one(inputs: dict[str, Any], states: State) -> tuple[Any, State]:
        states = dict(states)
        return evaluator.run(name, {**shared, **inputs}, states)[function.outputs[0]], states

    found, states = torch.vmap(one)(batched, state)
    return found, states

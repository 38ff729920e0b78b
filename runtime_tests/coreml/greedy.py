"""Greedy answers of a package to many prompts, in the evaluator: what rung 4 counts.

The program's functions take one sequence; ``torch.vmap`` runs them over a stack of sequences at one position. What all
prompts of a stack are long enough for is prefilled. From there on every sequence takes its next token, which is the
prompt's until that ends and then its own choice. So prompts of different lengths go together and none is padded.
Rows of images stand in place of the embeddings of single positions of a prompt.
The cache is cut down to the positions that are reached (``shorter.py``), where the program allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime_tests.coreml.program.evaluator import Evaluator, State
from runtime_tests.coreml.session import DECODE, Fed, Floats
from runtime_tests.errors import CannotRunError

Ids = NDArray[np.int32]
Placed = Mapping[int, Floats]  # rows float32 [H] by position
TOGETHER, TOGETHER_BYTES = 64, 64 << 20  # sequences, and their states: those of more leave the processor's caches
LARGE_BYTES = 1 << 30  # the same for a large package: each call unpacks all weights, for however many sequences
STEP = 32  # positions: caches are cut to multiples of it
UNPACK_NS = 5.0  # for a weight, on one core, the product with a few rows included


def reach(case: Fed, prompts: Sequence[Ids], steps: int) -> int:
    """Positions of the cache that the prompts and their answers touch, padding of their chunks included.

    Raises:
        CannotRunError: a prompt and its answer do not fit the context.
    """
    longest = max((len(ids) for ids in prompts), default=0)
    if longest + steps > case.context:
        raise CannotRunError(f"a prompt of {longest} tokens and {steps} more do not fit a context of {case.context}")
    lengths = case.lengths
    padded = [begin + n for n, begin, _ in chunks(lengths, longest - 1, case.context)]
    wanted = max([longest + steps, *padded])
    return min(case.context, -(-wanted // STEP) * STEP)


def answers(
    case: Fed,
    evaluator: Evaluator,
    prompts: Sequence[Ids],
    steps: int,
    stops: frozenset[int],
    placed: Sequence[Placed] = (),
) -> list[Ids]:
    """Continues every prompt by at most ``steps`` tokens; a stop token ends an answer and is included.

    Args:
        evaluator: of the case; ``case.evaluator(activations=False)`` leaves the activation quantization out, and
            ``case.evaluator(positions=reach(...))`` is the faster one.
        prompts: token ids, start token included.
        placed: of each prompt the rows that stand in place of its tokens' embeddings; what else a position takes, such
            as a per-layer row, is still its token's. None for prompts of text alone.

    Raises:
        CannotRunError: a prompt and its answer do not fit the context.
    """
    reach(case, prompts, steps)
    out: dict[int, Ids] = {}
    for group in _groups(case, evaluator, prompts):
        rows = [placed[i] if placed else {} for i in group]
        stack = _Stack(case, evaluator, [prompts[i] for i in group], steps, stops, rows)
        out.update(zip(group, stack.run(), strict=True))
    return [out[i] for i in range(len(prompts))]


def _groups(case: Fed, evaluator: Evaluator, prompts: Sequence[Ids]) -> Iterator[list[int]]:
    """Prompts of similar length, as many as go through the program together."""
    size = sum(prod(type.shape) for type in evaluator.function(DECODE).inputs.values() if type.state) * 4
    together = max(1, min(TOGETHER, (LARGE_BYTES if case.large else TOGETHER_BYTES) // max(1, size)))
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    yield from (order[start : start + together] for start in range(0, len(order), together))


def expected(case: Fed, evaluator: Evaluator, prompts: Sequence[Ids], steps: int) -> float:
    """Seconds that :func:`answers` takes at most for a large package: each call reads and unpacks all weights."""
    lengths, calls = case.lengths, 0
    for group in _groups(case, evaluator, prompts):
        short, long = len(prompts[group[0]]), len(prompts[group[-1]])
        calls += len(list(chunks(lengths, short - 1, case.context))) + long - short + steps
    shapes = {name: type.shape for name, type in case.decode.types.items() if name.endswith("_weight")}
    return calls * sum(map(prod, shapes.values())) * UNPACK_NS * 1e-9


class _Stack:
    """Sequences that go through the program together. ``going`` are the indices of those that are not finished."""

    def __init__(
        self,
        case: Fed,
        evaluator: Evaluator,
        prompts: list[Ids],
        steps: int,
        stops: frozenset[int],
        placed: list[Placed],
    ) -> None:
        self.case, self.evaluator, self.prompts, self.steps, self.stops = case, evaluator, prompts, steps, stops
        self.placed = placed
        self.going = list(range(len(prompts)))
        self.chosen: list[list[int]] = [[] for _ in prompts]
        count = len(prompts)
        self.state = {name: value.expand(count, *value.shape) for name, value in evaluator.new_state(DECODE).items()}

    def run(self) -> list[Ids]:
        """Each sequence's new tokens."""
        lengths, position = self.case.lengths, min(map(len, self.prompts)) - 1
        context = self.case.feed.context(self.evaluator.function(DECODE))
        for size, start, stop in chunks(lengths, position, context):
            self._call(lengths.get(size, DECODE), start, np.stack([ids[start:stop] for ids in self.prompts]))
        while self.going:
            tokens = np.array([[self._token(i, position)] for i in self.going], np.int32)
            best = self._call(DECODE, position, tokens).reshape(len(tokens), -1).argmax(dim=-1).tolist()
            kept = [k for k, i in enumerate(self.going) if not self._finished(i, position, best[k])]
            if len(kept) < len(self.going):
                self.state = {name: value[kept] for name, value in self.state.items()}
                self.going = [self.going[k] for k in kept]
            position += 1
        return [np.array(tokens, np.int32) for tokens in self.chosen]

    def _token(self, i: int, position: int) -> int:
        prompt = self.prompts[i]
        return int(prompt[position]) if position < len(prompt) else self.chosen[i][-1]

    def _finished(self, i: int, position: int, best: int) -> bool:
        if position < len(self.prompts[i]) - 1:
            return False  # the prompt goes on
        self.chosen[i].append(best)
        return best in self.stops or len(self.chosen[i]) == self.steps

    def _call(self, name: str, start: int, tokens: Ids) -> torch.Tensor:
        """One function over ``tokens [N, m]`` of those that are going; states have the sequences first."""
        evaluator = self.evaluator
        function = evaluator.function(name)
        first, second = self.case.lookup(tokens.reshape(-1))
        rows = self._in_place(first.reshape(*tokens.shape, *first.shape[1:]), start)
        per_layer = None if second is None else second.reshape(*tokens.shape, *second.shape[1:])
        shared = self.case.feed.inputs(function, start, rows[0], None if per_layer is None else per_layer[0])
        own: dict[str, torch.Tensor] = {}
        for key, found in (("embeddings", rows), ("per_layer_embeddings", per_layer)):
            if key in shared and found is not None:
                padded = np.zeros((len(tokens), *shared.pop(key).shape), np.float32)
                padded[:, 0, : tokens.shape[1]] = found
                own[key] = torch.from_numpy(padded).to(evaluator.working)

        def one(inputs: dict[str, Any], states: State) -> tuple[Any, State]:
            states = dict(states)
            return evaluator.run(name, {**shared, **inputs}, states)[function.outputs[0]], states

        found, self.state = torch.vmap(one)(own, self.state)
        return found

    def _in_place(self, embeddings: Floats, start: int) -> Floats:
        """Embeddings ``[N, m, H]`` of positions from ``start`` on, with the rows that stand in place of some."""
        positions = range(start, start + embeddings.shape[1])
        there = [(k, at) for k, i in enumerate(self.going) for at in positions if at in self.placed[i]]
        if there:
            embeddings = embeddings.copy()
        for k, at in there:
            embeddings[k, at - start] = self.placed[self.going[k]][at]
        return embeddings


def chunks(lengths: dict[int, str], total: int, context: int, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Lengths of functions, where each is called and up to which token: the longest while it is filled, then the
    shortest that holds the rest.

    Where that would reach past the end, the longest that is filled instead, or ``decode``, token by token.

    Args:
        start: so many tokens are in the cache already.
    """
    while start < total:
        left = total - start
        size = next((n for n in lengths if n >= left and start + n <= context), None)
        size = size or max((n for n in lengths if n <= left), default=1)
        stop = min(total, start + size)
        yield size, start, stop
        start = stop

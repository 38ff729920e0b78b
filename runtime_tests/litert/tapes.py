"""What is played to every runtime: blocks on the reference's inputs, and a short forced decode."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime_tests.case import SMALL
from runtime_tests.errors import CannotRunError
from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.cuts.forced import Cut, Forced
from runtime_tests.litert.forced_calls import expected_logits, fed
from runtime_tests.litert.runners.interpreter import empty_cache, feed, lookup, prefill_lengths, shortest
from runtime_tests.litert.runners.protocol import Arrays, Call, Tape
from runtime_tests.litert.runners.replay import play

CHUNK = 13  # odd, and shorter than any prefill signature: the rest of it is padding


@dataclass(frozen=True)
class Block:
    """A tape of a block, and what the reference has where its calls keep floats, by name, one entry a call."""

    tape: Tape
    expected: tuple[Arrays, ...]


def here(run: Callable[[str, Arrays], Arrays], tape: Tape) -> list[Arrays]:
    """Plays a tape in this process."""
    calls = [vars(call) for call in tape.calls]
    return play(run, calls, {name: np.zeros(shape, dtype) for name, (shape, dtype) in tape.state.items()})


def blocks(case: LitertCase, positions: int = 4) -> tuple[list[Block], str]:
    """Decode, cut at its named boundaries, at some positions beyond the sliding window.

    A small decoder is one tape. Of a large one, plain kernels and copies on disk forbid to play all layers: there is a
    tape for the first layer, the last, and one of each kind.

    Returns:
        the tapes, and which layers they are; empty for all.

    Raises:
        CannotRunError: the file has no boundaries to be cut at.
    """
    cut, layout = Cut(case.model(DECODER), "decode"), Cache(case)
    last = len(case.ids) - 1
    first = min(case.dims.window + 1, last)
    where = sorted({int(p) for p in np.linspace(first, last, positions)})
    if small(case):
        return [_tape(case, cut.join(cut.parts), where, layout)], ""
    sample = _sample(case, cut)
    return [_tape(case, cut.join([part]), where, layout) for part in sample], (
        f"of {case.dims.layers} layers {', '.join(map(str, sample))}: the first, the last, one of each kind and bits"
    )


def small(case: LitertCase) -> bool:
    """Whether a decoder is so small that other runtimes play all of it."""
    return case.artifact.path.stat().st_size < SMALL


def _tape(case: LitertCase, forced: Forced, where: list[int], layout: Cache) -> Block:
    keep = tuple(sorted({*forced.boundaries, *forced.codes, *({"logits"} & forced.outputs)}))
    calls = [Call("forced", fed(case, "decode", (p, 1), forced, layout), (), keep) for p in where]
    logits = expected_logits(layout, where) if "logits" in keep else {}
    expected = [{key: layout.rows(key, slice(p, p + 1)) for key in sorted(forced.boundaries)} for p in where]
    for position, floats in zip(where, expected, strict=True):
        floats.update({"logits": logits[position]} if logits else {})
    return Block(Tape(forced.model(), tuple(calls)), tuple(expected))


def _sample(case: LitertCase, cut: Cut) -> list[int]:
    """The first layer, the last, and the first of each kind: attention, keys of its own or another's, bits."""
    graph, dims = case.model(DECODER).subgraph("decode"), case.dims
    types: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for tensor in graph.tensors:
        if (match := re.fullmatch(r"layers\.(\d+)\.(.*)\.weight", tensor.name)) and tensor.index not in graph.producer:
            types[int(match[1])].append((match[2], tensor.type))
    layers = [part for part in cut.parts if isinstance(part, int)]
    kinds: dict[object, int] = {}
    for layer in layers:
        kinds.setdefault((dims.kinds[layer], layer < dims.first_shared, tuple(sorted(types[layer]))), layer)
    return sorted({layers[0], layers[-1], *kinds.values()})


def steps(case: LitertCase, count: int) -> Tape:
    """A short prompt in one padded chunk, then given tokens one by one; logits of each.

    Raises:
        CannotRunError: the signatures are not those that the engine calls, or the decoder is too large.
    """
    model = case.model(DECODER)
    if not small(case):
        size = len(model.data)
        raise CannotRunError(f"each runtime would load {size / 1e9:.1f} GB for it; single layers are compared instead")
    prompt = min(CHUNK, max(prefill_lengths(model), default=0))
    ids = case.ids[: prompt + count]
    first = lookup(case.interpreter(EMBEDDER), case.model(EMBEDDER), ids)
    wide = case.dims.per_layer_width
    second = lookup(case.interpreter(PER_LAYER), case.model(PER_LAYER), ids) if wide else None
    caches = empty_cache(model)
    calls = []
    for start, stop in [(0, prompt)] * bool(prompt) + [(i, i + 1) for i in range(prompt, len(ids))]:
        name = "decode" if start >= prompt else shortest(model, stop - start)
        inputs = feed(model, name, start, first[start:stop], None if second is None else second[start:stop])
        wanted = model.signatures[name].inputs
        carry = tuple(key for key in caches if key in wanted)
        inputs = {key: value for key, value in inputs.items() if key in wanted}
        calls.append(Call(name, inputs, carry, ("logits",) if name == "decode" else ()))
    state = {name: (value.shape, str(value.dtype)) for name, value in caches.items()}
    return Tape(_bytes(case), tuple(calls), state)


def _bytes(case: LitertCase) -> bytes:
    return bytes(case.artifact.model(DECODER).data)

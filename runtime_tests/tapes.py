"""What is played to every runtime: blocks on the reference's inputs, and a short forced decode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime_tests.cache import Cache
from runtime_tests.case import DECODER, EMBEDDER, PER_LAYER, SMALL, Case
from runtime_tests.forced import force
from runtime_tests.rungs.blocks import fed
from runtime_tests.runners.litert import empty_cache, feed, lookup, prefill_lengths, shortest
from runtime_tests.runners.protocol import Arrays, Call, Tape
from runtime_tests.runners.replay import play

CHUNK = 13  # odd, and shorter than any prefill signature: the rest of it is padding


def here(run: Callable[[str, Arrays], Arrays], tape: Tape) -> list[Arrays]:
    """Plays a tape in this process."""
    calls = [vars(call) for call in tape.calls]
    return play(run, calls, {name: np.zeros(shape, dtype) for name, (shape, dtype) in tape.state.items()})


def blocks(case: Case, positions: int = 4) -> Tape:
    """Decode, cut at its named boundaries, at some positions beyond the sliding window.

    Raises:
        CannotRunError: the file has no boundaries to be cut at.
    """
    forced, layout = force(case.model(DECODER), "decode"), Cache(case)
    keep = tuple(sorted({*forced.boundaries, *forced.codes, "logits"}))
    last = len(case.ids) - 1
    first = min(case.dims.window + 1, last)
    where = sorted({int(p) for p in np.linspace(first, last, positions)})
    calls = [Call("forced", fed(case, "decode", (p, 1), forced.given, layout), (), keep) for p in where]
    return Tape(forced.model, tuple(calls))


def steps(case: Case, count: int) -> Tape:
    """A short prompt in one padded chunk, then given tokens one by one; logits of each.

    A large model decodes its tokens alone: a padded chunk on one thread of plain kernels would take minutes.

    Raises:
        CannotRunError: the signatures are not those that the engine calls.
    """
    model, small = case.model(DECODER), case.artifact.path.stat().st_size < SMALL
    prompt = min(CHUNK, max(prefill_lengths(model), default=0)) if small else 0
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


def _bytes(case: Case) -> bytes:
    return bytes(case.artifact.model(DECODER).data)

"""Calls of a cut signature on the reference's inputs, and how far what they give is from the reference's outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.cuts.forced import GIVEN, Forced
from runtime_tests.litert.runners.interpreter import VERIFY, Interpreter, feed
from runtime_tests.measures import metrics
from runtime_tests.measures.flips import farthest, touched
from runtime_tests.questions.chunks import ODD

Quality = Callable[[str, NDArray[np.float32], NDArray[np.float32]], float]
Call = tuple[int, int]  # the position of the first token, and the number of tokens
POSITIONS = 50  # a bar on a fraction of the tokens asks for many: of 13, two that noise touched would be too many


@dataclass(frozen=True)
class Linear:
    """The int8 outputs of one linear over all calls of a signature.

    Attributes:
        key: its module path.
        count, different: elements, and those that are not the reference's.
        far: the largest difference, in steps, less what flips before it excuse (flips.py).
        disturbed: fraction of the tokens with more differences than noise makes; see flips.py.
    """

    key: str
    count: int
    different: int
    far: int
    disturbed: float


@dataclass
class Pairs:
    """Expected and found values of one part, collected by name over the calls; the expected logits by position."""

    logits: dict[int, NDArray[np.float32]]
    floats: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    codes: dict[str, list[tuple[NDArray[np.int32], NDArray[np.int32]]]] = field(
        default_factory=lambda: defaultdict(list)
    )


@dataclass
class Tally:
    """What came out of one signature, part by part; ``compared``: names of all outputs that were held to something."""

    compared: set[str] = field(default_factory=set)
    linears: list[Linear] = field(default_factory=list)
    cache: list[str] = field(default_factory=list)
    writes: int = 0
    ends: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)


def pooled(key: str, expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """SNR of all tokens of a float output together, dB; arrays ``[T, width]``."""
    return metrics.snr_db(expected, found)


def measure(
    case: LitertCase,
    name: str,
    made: list[Call],
    interpreter: Interpreter,
    forced: Forced,
    layout: Cache,
    tally: Tally,
    quality: Quality = pooled,
) -> dict[str, float]:
    """Makes the calls and compares everything that comes out.

    Args:
        quality: dB of a float output by its name, from what was expected and found, ``[T, width]``.

    Returns:
        dB of the float outputs over all calls, by boundary; everything else goes into the tally.
    """
    positions = [start + row for start, count in made for row in range(count)]
    pairs = Pairs(expected_logits(layout, positions) if "logits" in forced.outputs else {})
    for call in made:
        _run(case, name, call, interpreter, forced, layout, pairs, tally)
    qualities = {}
    for key, found in pairs.floats.items():
        expected, got = (np.concatenate([pair[i].reshape(len(pair[i]), -1) for pair in found]) for i in (0, 1))
        qualities[key] = quality(key, expected, got)
    joined = {k: tuple(np.concatenate([pair[i] for pair in both]) for i in (0, 1)) for k, both in pairs.codes.items()}
    codes = {key: (a, b) for key, (a, b) in joined.items()}
    far, disturbed = farthest(codes), touched(codes, 1 - case.budget.equal_codes)
    for key, (a, b) in codes.items():
        tally.linears.append(Linear(key, a.size, int(np.count_nonzero(a != b)), far[key], disturbed[key]))
    return qualities


def expected_logits(layout: Cache, positions: list[int]) -> dict[int, NDArray[np.float32]]:
    """The reference's logits by position, ``[1, V]`` each; in one product, for a head takes long to unpack."""
    found = layout.trace.logits(positions)
    return {position: found[i : i + 1] for i, position in enumerate(positions)}


def calls(case: LitertCase, name: str, length: int) -> list[tuple[int, int]]:
    """Start and number of tokens of every call of a signature."""
    total = len(case.ids)
    if name == "decode":
        window = case.dims.window
        wanted = {0, 1, window - 1, window, window + 1, 2 * window, total - 1}
        spread = np.linspace(2, total - 2, POSITIONS - len(wanted)).round().astype(int)
        return [(int(p), 1) for p in sorted({*wanted, *spread}) if 0 <= p < total]
    if name == VERIFY:  # always whole, and as many logits as of decode
        window, last = case.dims.window, total - length
        spread = np.linspace(0, last, POSITIONS // length - 3).round().astype(int)
        return [(int(p), length) for p in sorted({*spread, window - 2, window, 2 * window - 2}) if 0 <= p <= last]
    made: list[tuple[int, int]] = []
    start = 0
    while start < total:
        piece = ODD[len(made)] if len(made) < len(ODD) else length
        count = min(piece, length, total - start)
        made.append((start, count))
        start += count
    return made


def invoke(
    case: LitertCase, name: str, call: tuple[int, int], interpreter: Interpreter, forced: Forced, layout: Cache
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """One call of a cut signature with the reference's values everywhere.

    Returns:
        the outputs, and the caches before the call.
    """
    inputs = fed(case, name, call, forced, layout)
    out = interpreter.run("forced", inputs)
    # A cache may come out under a name that it did not come in under: a fault that has to be told.
    return out, {**inputs, **layout.filled(call[0], out.keys() - inputs.keys())}


def _run(
    case: LitertCase,
    name: str,
    call: tuple[int, int],
    interpreter: Interpreter,
    forced: Forced,
    layout: Cache,
    pairs: Pairs,
    tally: Tally,
) -> None:
    start, count = call
    rows = slice(start, start + count)
    out, before = invoke(case, name, call, interpreter, forced, layout)
    for key, value in out.items():
        expected = layout.codes(key, rows) if key in forced.codes else None
        if key in forced.boundaries:
            pairs.floats[key].append((layout.rows(boundary=key, rows=rows), layout.pick(name, key, value, count)))
        elif key == "logits":
            logits = np.concatenate([pairs.logits[position] for position in range(start, start + count)])
            pairs.floats[key].append((logits, np.asarray(value).reshape(-1, logits.shape[1])[:count]))
        elif key == "activations":
            hidden = layout.trace.norm()[rows]
            pairs.floats[key].append((hidden, np.asarray(value).reshape(-1, hidden.shape[1])[:count]))
        elif key.startswith("kv_cache_"):
            tally.writes += 1
            if wrong := layout.written(key, before[key], value, rows):
                tally.cache.append(f"{name} at {start}: {wrong}")
        elif expected is not None:
            pairs.codes[key].append((expected, value.reshape(-1, value.shape[-1])[:count].astype(np.int32)))
        else:
            continue
        tally.compared.add(key)


def fed(
    case: LitertCase, name: str, call: tuple[int, int], forced: Forced, layout: Cache
) -> dict[str, NDArray[np.generic]]:
    """Inputs of a cut signature for a call that starts at a position and has so many tokens: the reference's own."""
    start, count = call
    trace, model = layout.trace, case.model(DECODER)
    rows = slice(start, start + count)
    per_layer = None if trace.per_layer is None else trace.per_layer[rows]
    inputs = {**feed(model, name, start, trace.embeddings[rows], per_layer), **layout.filled(start, forced.inputs)}
    inputs = {key: value for key, value in inputs.items() if key in forced.inputs}
    return {**inputs, **{boundary + GIVEN: layout.place(name, boundary, rows) for boundary in forced.given}}

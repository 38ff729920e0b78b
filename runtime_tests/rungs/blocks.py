"""Rung 2a: given the reference's own inputs, does each block of the artifact give the reference's outputs?

The shipped subgraphs are cut at their named boundaries (``forced.py``) and fed what the reference had there: residuals,
per-layer inputs, keys, values and caches. So a difference belongs to the block it appears in. Every prefill signature
runs over the sequence in chunks of odd lengths; decode runs at single positions up to the end and across the window.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.cache import Cache, check_end_of_context
from runtime_tests.case import DECODER, EMBEDDER, PER_LAYER, Case
from runtime_tests.forced import GIVEN, force
from runtime_tests.results import Check, at_least, at_most, none, stated
from runtime_tests.runners.litert import Interpreter, feed, lookup, prefill_lengths

ODD = (13, 7, 25)
POSITIONS = 14


@dataclass
class Tally:
    """Pairs of expected and found values, collected by name over the calls."""

    floats: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    codes: dict[str, list[tuple[NDArray[np.int32], NDArray[np.int32]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    cache: list[str] = field(default_factory=list)
    writes: int = 0


def climb(case: Case) -> list[Check]:
    """Runs every signature on the reference's inputs."""
    checks = _tables(case)
    model, everything = case.model(DECODER), 0
    layout = Cache(case)
    for length, name in [*prefill_lengths(model).items(), (1, "decode")]:
        forced = force(model, name)
        interpreter = Interpreter(forced.model, threads=case.threads)
        tally = Tally()
        for call in calls(case, name, length):
            _run(case, name, call, interpreter, forced.given, layout, tally)
        everything += len(tally.floats) + len(tally.codes)
        checks += _judge(case, name, tally)
        checks += check_end_of_context(case, name, length, forced, interpreter, layout)
        del interpreter
    checks.append(stated("tensors compared", everything, "tensors"))
    return checks


def calls(case: Case, name: str, length: int) -> list[tuple[int, int]]:
    """Start and number of tokens of every call of a signature."""
    total = len(case.ids)
    if name == "decode":
        window = case.dims.window
        wanted = {0, 1, window - 1, window, window + 1, 2 * window, total - 1}
        spread = np.linspace(2, total - 2, POSITIONS - len(wanted)).round().astype(int)
        return [(int(p), 1) for p in sorted({*wanted, *spread}) if 0 <= p < total]
    made: list[tuple[int, int]] = []
    start = 0
    while start < total:
        piece = ODD[len(made)] if len(made) < len(ODD) else length
        count = min(piece, length, total - start)
        made.append((start, count))
        start += count
    return made


def invoke(
    case: Case, name: str, call: tuple[int, int], interpreter: Interpreter, given: frozenset[str], layout: Cache
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """One call of a cut signature with the reference's values everywhere.

    Returns:
        the outputs, and the caches before the call.
    """
    before = layout.filled(call[0])
    inputs = fed(case, name, call, given, layout)
    return interpreter.run("forced", inputs), before


def _run(
    case: Case,
    name: str,
    call: tuple[int, int],
    interpreter: Interpreter,
    given: frozenset[str],
    layout: Cache,
    tally: Tally,
) -> None:
    captured, (start, count) = layout.captured, call
    rows = slice(start, start + count)
    out, before = invoke(case, name, call, interpreter, given, layout)
    for key, value in out.items():
        if "/" in key:
            tally.floats[key].append((layout.rows(boundary=key, rows=rows), layout.pick(name, key, value, count)))
        elif key == "logits":
            tally.floats[key].append((captured.logits[rows], np.asarray(value).reshape(1, -1)))
        elif key.startswith("kv_cache_"):
            tally.writes += 1
            if wrong := layout.written(key, before[key], value, rows):
                tally.cache.append(f"{name} at {start}: {wrong}")
        elif key in captured.scales:
            expected = np.rint(captured.linears[key][rows] / np.float32(captured.scales[key])).astype(np.int32)
            tally.codes[key].append((expected, value.reshape(-1, value.shape[-1])[:count].astype(np.int32)))


def fed(
    case: Case, name: str, call: tuple[int, int], given: frozenset[str], layout: Cache
) -> dict[str, NDArray[np.generic]]:
    """Inputs of a cut signature for a call that starts at a position and has so many tokens: the reference's own."""
    start, count = call
    captured, model = layout.captured, case.model(DECODER)
    rows = slice(start, start + count)
    per_layer = None if captured.per_layer is None else captured.per_layer[rows]
    inputs = {**feed(model, name, start, captured.embeddings[rows], per_layer), **layout.filled(start)}
    inputs = {key: value for key, value in inputs.items() if key in model.signatures[name].inputs}
    return {**inputs, **{boundary + GIVEN: layout.place(name, boundary, rows) for boundary in given}}


def _judge(case: Case, name: str, tally: Tally) -> list[Check]:
    budget, checks = case.budget, []
    if tally.codes:
        checks += _judge_codes(case, name, tally)
    by_kind: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for key, pairs in tally.floats.items():
        expected, found = (np.concatenate([pair[i].reshape(len(pair[i]), -1) for pair in pairs]) for i in (0, 1))
        quality = metrics.snr_db(expected, found)
        by_kind[key.rsplit("/", 1)[-1]].append((quality, key))
        case.evidence.add_block(key, quality)
    for kind in sorted(by_kind):
        worst, where = min(by_kind[kind])
        bar = budget.logits_db if kind == "logits" else budget.block_bar(kind)
        if kind == "logits":
            where = "what the kernel of lm_head costs: its activations are not static"
        checks.append(at_least(f"{name}: {kind}, worst of {len(by_kind[kind])}", worst, bar, "dB", where))
    checks.append(none(f"{name}: cache rows written where they belong", tally.cache, "caches", tally.writes))
    return checks


def _judge_codes(case: Case, name: str, tally: Tally) -> list[Check]:
    budget = case.budget
    joined = {key: tuple(np.concatenate([p[i] for p in pairs]) for i in (0, 1)) for key, pairs in tally.codes.items()}
    equal, step = metrics.steps_off(*(np.concatenate([pair[i].ravel() for pair in joined.values()]) for i in (0, 1)))
    far = {key: metrics.steps_off(*pair)[1] for key, pair in joined.items()}
    disturbed = {key: float(np.mean(np.any(pair[0] != pair[1], axis=1))) for key, pair in joined.items()}
    worst = max(disturbed, key=lambda key: disturbed[key])
    farthest = max(far, key=lambda key: far[key])
    total = sum(pair[0].size for pair in joined.values())
    # Figures are rounded for reading; the count tells "all" from "nearly all".
    count = f"{sum(int((a != b).sum()) for a, b in joined.values())} of {total} in {len(joined)} linears differ"
    return [
        at_least(f"{name}: int8 outputs equal", equal, budget.equal_codes, "of 1", count),
        at_most(f"{name}: largest difference", step, budget.step, "steps", farthest),
        at_most(f"{name}: tokens touched, worst linear", disturbed[worst], budget.disturbed_rows, "of 1", worst),
    ]


def _tables(case: Case) -> list[Check]:
    """The embedding sections against the reference's lookups, over the sequence and the table's ends."""
    vocab = case.dims.vocab
    ids = np.unique(np.concatenate([case.ids, [0, vocab - 1]])).astype(np.int32)
    first, second = case.reference.embeddings(ids)
    checks, budget = [], case.budget.embedding_db
    for name, expected in ((EMBEDDER, first), (PER_LAYER, second)):
        if expected is not None:
            found = lookup(case.interpreter(name), case.model(name), ids)
            label = f"{name.removeprefix('tf_lite_')}: rows of {len(ids)} tokens"
            checks.append(at_least(label, metrics.snr_db(expected, found), budget, "dB"))
    return checks

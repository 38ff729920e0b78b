"""Rung 2a: given the reference's own inputs, does each block of the artifact give the reference's outputs?

The shipped subgraphs are cut at their named boundaries (``forced.py``) and fed what the reference had there: residuals,
per-layer inputs, keys, values and caches. So a difference belongs to the block it appears in. Every prefill signature
runs over the sequence in chunks of odd lengths; decode runs at single positions up to the end and across the window.
One layer at a time, of the artifact and of the reference: all signatures of it, then the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.cache import Cache, end_of_context, last_rows
from runtime_tests.case import DECODER, EMBEDDER, PER_LAYER, Case
from runtime_tests.errors import CannotRunError
from runtime_tests.flips import farthest, touched
from runtime_tests.forced import GIVEN, Cut, Forced, Part
from runtime_tests.progress import walk
from runtime_tests.results import Check, at_least, at_most, none, stated
from runtime_tests.runners.litert import Interpreter, feed, lookup, prefill_lengths

ODD = (13, 7, 25)
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
    qualities: list[tuple[str, float]] = field(default_factory=list)
    linears: list[Linear] = field(default_factory=list)
    cache: list[str] = field(default_factory=list)
    writes: int = 0
    ends: list[str] = field(default_factory=list)


def climb(case: Case) -> list[Check]:
    """Runs every signature on the reference's inputs, layer by layer."""
    checks = _tables(case)
    model, layout = case.model(DECODER), Cache(case)
    names = {**{name: length for length, name in prefill_lengths(model).items()}, "decode": 1}
    cuts = {name: Cut(model, name) for name in names}
    for name, cut in cuts.items():
        if odd := sorted(item for item in cut.boundaries if not layout.known(item)):
            raise CannotRunError(f"{name} names a boundary {odd[0]}, which the model does not have")
    tallies, wanted = {name: Tally() for name in names}, dict[Part, set[str]]()
    parts: list[Part] = ["front", *range(case.dims.layers), "head"]
    for part in walk("layers", parts):
        wanted[part] = layout.names(part)
        for name, length in names.items():
            forced = cuts[name].part(part)
            if forced is not None:
                _climb_part(case, name, length, forced, layout, tallies[name])
    caches = 2 * len(layout.owners)
    for name, length in names.items():
        checks += _judge(case, name, tallies[name])
        label = f"{name}: last {last_rows(case, length)} rows of the context written in place"
        checks.append(none(label, tallies[name].ends, "caches", caches))
    checks.append(_complete(case, layout, tallies, wanted))
    everything = sum(len(tally.qualities) + len(tally.linears) for tally in tallies.values())
    checks.append(stated("tensors compared", everything, "tensors"))
    return checks


def sequence(cuts: Iterable[Cut]) -> list[Part]:
    """The parts of all signatures in order of execution: the front, the layers, the head."""
    found = {part for cut in cuts for part in cut.parts}
    layers = sorted(part for part in found if isinstance(part, int))
    ordered: list[Part] = ["front", *layers, "head"]
    return [part for part in ordered if part in found]


def _complete(case: Case, layout: Cache, tallies: dict[str, Tally], wanted: dict[Part, set[str]]) -> Check:
    """Everything that the reference has must be found by name in every signature, or it was not compared.

    A signature that gives no logits may end where the last owner's keys and values are made: nothing behind them
    reaches a cache.
    """
    last, absent, total = layout.owners[-1], list[str](), 0
    every = set[str]().union(*wanted.values())
    made = {name for name in wanted[last] if name.endswith(("/key", "/value", ".k_proj", ".v_proj"))}
    early = made.union(*(some for part, some in wanted.items() if isinstance(part, int) and part < last))
    early |= wanted["front"] if last else set()
    caches = {f"kv_cache_{letter}_{number}" for number in range(len(layout.owners)) for letter in "kv"}
    for name, tally in tallies.items():
        whole = name == "decode" or "logits" in case.model(DECODER).signatures[name].outputs
        needed = caches | (every if whole else early)
        absent += [f"{name}: {key}" for key in sorted(needed - tally.compared)]
        total += len(needed)
    return none("boundaries and int8 outputs that a signature does not name", absent, "names", total)


def _climb_part(case: Case, name: str, length: int, forced: Forced, layout: Cache, tally: Tally) -> None:
    made = calls(case, name, length)
    interpreter = forced.interpreter(threads=case.threads)
    pairs = Pairs(expected_logits(layout, [start for start, _ in made]) if "logits" in forced.outputs else {})
    for call in made:
        _run(case, name, call, interpreter, forced, layout, pairs, tally)
    for key, found in pairs.floats.items():
        expected, got = (np.concatenate([pair[i].reshape(len(pair[i]), -1) for pair in found]) for i in (0, 1))
        tally.qualities.append((key, metrics.snr_db(expected, got)))
    joined = {k: tuple(np.concatenate([pair[i] for pair in both]) for i in (0, 1)) for k, both in pairs.codes.items()}
    codes = {key: (a, b) for key, (a, b) in joined.items()}
    far, disturbed = farthest(codes), touched(codes, 1 - case.budget.equal_codes)
    for key, (a, b) in codes.items():
        tally.linears.append(Linear(key, a.size, int(np.count_nonzero(a != b)), far[key], disturbed[key]))
    if any(key.startswith("kv_cache_") for key in forced.outputs):
        tally.ends += end_of_context(case, name, length, forced, interpreter, layout)
    forced.release()


def expected_logits(layout: Cache, positions: list[int]) -> dict[int, NDArray[np.float32]]:
    """The reference's logits by position, ``[1, V]`` each; in one product, for a head takes long to unpack."""
    found = layout.trace.logits(positions)
    return {position: found[i : i + 1] for i, position in enumerate(positions)}


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
    case: Case, name: str, call: tuple[int, int], interpreter: Interpreter, forced: Forced, layout: Cache
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
    case: Case,
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
            pairs.floats[key].append((pairs.logits[start], np.asarray(value).reshape(1, -1)))
        elif key.startswith("kv_cache_"):
            tally.writes += 1
            if wrong := layout.written(key, before[key], value, rows):
                tally.cache.append(f"{name} at {start}: {wrong}")
        elif expected is not None:
            pairs.codes[key].append((expected, value.reshape(-1, value.shape[-1])[:count].astype(np.int32)))
        else:
            continue
        tally.compared.add(key)


def fed(case: Case, name: str, call: tuple[int, int], forced: Forced, layout: Cache) -> dict[str, NDArray[np.generic]]:
    """Inputs of a cut signature for a call that starts at a position and has so many tokens: the reference's own."""
    start, count = call
    trace, model = layout.trace, case.model(DECODER)
    rows = slice(start, start + count)
    per_layer = None if trace.per_layer is None else trace.per_layer[rows]
    inputs = {**feed(model, name, start, trace.embeddings[rows], per_layer), **layout.filled(start, forced.inputs)}
    inputs = {key: value for key, value in inputs.items() if key in forced.inputs}
    return {**inputs, **{boundary + GIVEN: layout.place(name, boundary, rows) for boundary in forced.given}}


def _judge(case: Case, name: str, tally: Tally) -> list[Check]:
    budget, checks = case.budget, []
    if tally.linears:
        checks += _judge_codes(case, name, tally)
    by_kind: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for key, quality in tally.qualities:
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
    budget, linears = case.budget, tally.linears
    total, different = sum(item.count for item in linears), sum(item.different for item in linears)
    worst = max(linears, key=lambda item: item.disturbed)
    farthest = max(linears, key=lambda item: item.far)
    # Figures are rounded for reading; the count tells "all" from "nearly all".
    count = f"{different} of {total} in {len(linears)} linears differ"
    return [
        at_least(f"{name}: int8 outputs equal", 1 - different / total, budget.equal_codes, "of 1", count),
        at_most(f"{name}: largest difference", farthest.far, budget.step, "steps", farthest.key),
        at_most(f"{name}: tokens touched, worst linear", worst.disturbed, budget.disturbed_rows, "of 1", worst.key),
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

"""Rung 2a for Core ML: given the reference's own inputs, does each block of the program give the reference's outputs?

The shipped functions are evaluated with their named boundaries given: what reads a boundary gets the reference's value,
what makes it is compared. States are filled with the reference's rows before each call. So each layer is judged by
itself, and the program is run layer by layer (``layered.py``). A float16 program is evaluated in float64, so that what
is judged is the program; what float16's rounding adds in each block is stated.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.boundaries import Boundaries, Owned, length_of
from runtime_tests.coreml.case import FIRST, SECOND, CoremlCase
from runtime_tests.coreml.program.layered import Call, Layered, Part
from runtime_tests.coreml.program.segments import Segment
from runtime_tests.coreml.session import DECODE, prefill_lengths
from runtime_tests.coreml.vision.blocks import compare_blocks as compare_images
from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, worst_by_layer
from runtime_tests.measures.flips import farthest, touched
from runtime_tests.readers.coreml.program import Function
from runtime_tests.results import Check, Findings, at_least, at_most, none, stated

ODD = (13, 7, 25)
POSITIONS = 14
LAST = 3  # tokens of a call at the end of the context
TOKENS = 1024  # a function runs over the whole sequence if its calls take no more than this, padding included

_BOUNDARY = re.compile(r"^layers_(\d+)_")

Pairs = list[tuple[NDArray[Any], NDArray[Any]]]


@dataclass
class Tally:
    """How what a function makes differs from what was expected, over all its calls.

    Attributes:
        qualities: SNR in dB of each float value.
        broken: float values that hold something that is no number.
        equal: equal codes of each linear, and all of them.
        far: largest difference in steps, by linear, less what flips before it excuse (flips.py).
        touched: fraction of the tokens with more differing codes than noise makes, by linear.
        states: what is wrong with the states.
        ended: the call at the end of the context runs so far.
    """

    qualities: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    equal: dict[str, tuple[int, int]] = field(default_factory=dict)
    far: dict[str, int] = field(default_factory=dict)
    touched: dict[str, float] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    ended: bool = True

    def add_floats(self, name: str, pairs: Pairs) -> None:
        """Expected and found values of all calls."""
        expected, found = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        self.qualities[name] = metrics.snr_db(expected, found)
        self.broken += [] if np.isfinite(found).all() else [name]

    def add_codes(self, pairs: Mapping[str, Pairs], spared: float) -> None:
        """The same of int8 outputs, of all linears of a layer together; ``spared``: see flips.py."""
        joined = {
            name: tuple(np.concatenate([pair[i] for pair in found]) for i in (0, 1)) for name, found in pairs.items()
        }
        codes = {name: (a, b) for name, (a, b) in joined.items()}
        self.far |= farthest(codes)
        self.touched |= touched(codes, spared)
        for name, (expected, found) in codes.items():
            self.equal[name] = int((expected == found).sum()), expected.size


@dataclass(frozen=True)
class _Run:
    """A function's calls in one arithmetic: start and number of tokens of each, and what is known of the outcome.

    Attributes:
        end: position and number of tokens of a call whose padding ends where the context does, and the call. Rings have
            come round many times there. No sequence of the judge's is that long: what it writes is given, and only
            where that lands is looked at.
    """

    function: Function
    spans: list[tuple[int, int]]
    calls: list[Call]
    end: tuple[int, int, Call]
    tally: Tally


def climb(case: CoremlCase) -> Findings:
    """Runs every function on the reference's inputs."""
    boundaries, half = Boundaries(case), case.precision == "float16"
    names = [*prefill_lengths(case.package.functions).values(), DECODE]
    for name in names:
        if not (found := boundaries.of(case.package.functions[name])):
            raise CannotRunError(f"{name} names no boundaries such as layers_0_attention")
        if odd := [item for item in found if not boundaries.known(item)]:
            raise CannotRunError(f"{name} names a boundary {odd[0]}, which the model does not have")
    checks, exact = _tables(case), Layered(case.package, "float64" if half else "declared")
    runs = [_prepare(case, case.package.functions[name]) for name in names]
    # Rounding is stated of what runs through few tokens; the longer functions do the same to the same tokens.
    few = [run.function for run in runs if sum(length_of(run.function) for _ in run.spans) < TOKENS]
    rounded = [_prepare(case, function) for function in few] if half else []
    declared, codes = Layered(case.package) if half else exact, dict[int, set[str]]()
    for number, segment in enumerate(exact.walk()):
        after = exact.segments[number + 1].layer if number + 1 < len(exact.segments) else case.dims.layers + 1
        layers = [layer for layer in range(segment.layer, after) if layer < case.dims.layers]
        for layer in layers:
            codes[layer] = set(boundaries.codes(layer))
        for layered, some in ((exact, runs), (declared, rounded))[: 2 if half else 1]:
            with layered.part(segment) as part:
                for run in some:
                    _compare(boundaries, layered, part, run, layers)
    for run in runs:
        checks += _judge(case, run)
        checks += [check for other in rounded if other.function is run.function for check in _rounding(other)]
    checks.append(_complete(case, boundaries, runs, codes))
    compared = sum(len(run.tally.qualities) + len(run.tally.equal) for run in runs)
    checks.append(stated("values compared", compared, "values"))
    checks += compare_images(case)
    seen = ((_BOUNDARY.sub(r"layers.\1/", key), dB) for run in runs for key, dB in run.tally.qualities.items())
    return Findings(checks, Evidence(blocks=worst_by_layer(seen)))


def _prepare(case: CoremlCase, function: Function) -> _Run:
    length, trace = length_of(function), case.trace
    spans, at, few = _calls(case, function, length), case.context - length, min(LAST, length, len(case.ids))

    def call(start: int, rows: slice) -> Call:
        per_layer = None if trace.per_layer is None else trace.per_layer[rows]
        return Call(function.name, case.feed.inputs(function, start, trace.embeddings[rows], per_layer))

    calls = [call(start, slice(start, start + count)) for start, count in spans]
    return _Run(function, spans, calls, (at, few, call(at, slice(0, few))), Tally())


def _complete(case: CoremlCase, boundaries: Boundaries, runs: list[_Run], codes: dict[int, set[str]]) -> Check:
    """Everything that the reference has must be found by name in every function, or it was not compared.

    A function that gives no logits may end where the last owner's keys and values are made.
    """
    kinds = ["attention", "mlp", "output", *(["per_layer_input"] if case.dims.per_layer_width else [])]
    wanted = {i: {f"layers_{i}_{kind}" for kind in kinds} | codes[i] for i in range(case.dims.layers)}
    made = {i: {f"layers_{i}_{kind}" for kind in ("key", "value")} for i in boundaries.owners}
    last, absent, total = boundaries.owners[-1], list[str](), 0
    own = {name for name in codes[last] if re.search(r"_[kv]_proj_", name)}
    for run in runs:
        name, tally = run.function.name, run.tally
        whole = name == DECODE or "logits" in run.function.outputs
        needed = own.union(*made.values(), *(some for i, some in wanted.items() if whole or i < last))
        needed |= {"logits"} if whole else set()
        absent += [f"{name}: {key}" for key in sorted(needed - tally.qualities.keys() - tally.equal.keys())]
        total += len(needed)
    return none("boundaries and int8 outputs that a function does not name", absent, "names", total)


def _compare(boundaries: Boundaries, layered: Layered, part: Part, run: _Run, layers: list[int]) -> None:
    """One segment in all calls of a function."""
    segment, name = part.segment, run.function.name
    if name not in segment.functions:
        return
    function, length = segment.functions[name], length_of(run.function)
    names, places = boundaries.of(function), _places(boundaries, segment, name, layers)
    filled, checked = places
    codes = {n: key for layer in layers for n, key in boundaries.codes(layer).items() if n in function.producer}
    last = _last_owner(boundaries, run)
    floats, steps = defaultdict[str, Pairs](list), defaultdict[str, Pairs](list)
    logits = [start for (start, _), call in zip(run.spans, run.calls, strict=True) if "logits" in function.outputs]
    expected = dict(zip(logits, boundaries.trace.logits(logits), strict=True)) if logits else {}
    for (start, count), call in zip(run.spans, run.calls, strict=True):
        rows = slice(start, start + count)
        before, states = layered.empty(segment), layered.empty(segment)
        for some in (before, states):
            boundaries.fill(some, filled, start)
        given = {n: boundaries.place(run.function, n, rows) for n in names}
        made = part.run(call, states, given, (*names, *codes))
        for n in names:
            floats[n].append((boundaries.rows(n, rows), made[n].numpy().reshape(length, -1)[:count]))
        for n, key in codes.items():
            found = made[n].numpy().reshape(length, -1)[:count]
            steps[n].append((boundaries.expected_codes(key, rows), found))
        if start in expected:
            floats["logits"].append((expected[start][None], call.outputs.pop("logits").numpy().reshape(1, -1)))
        wrong = boundaries.written(before, states, checked, rows, length, last)
        run.tally.states.extend(f"{name}: {line}" for line in wrong)
    run.tally.states.extend(f"{name}: {line}" for line in _at_the_end(boundaries, layered, part, run, places))
    for n, pairs in floats.items():
        run.tally.add_floats(n, pairs)
    run.tally.add_codes(steps, 1 - boundaries.case.budget.equal_codes)


def _last_owner(boundaries: Boundaries, run: _Run) -> int:
    """The last layer whose keys a function makes; below 0: it makes none."""
    return max((int(n.split("_")[1]) for n in boundaries.of(run.function) if n.endswith("_key")), default=-1)


def _at_the_end(
    boundaries: Boundaries, layered: Layered, part: Part, run: _Run, places: tuple[list[Owned], list[Owned]]
) -> list[str]:
    """What is wrong with the states after the call at the end of the context, of which one segment is run.

    A call that does not run there is wrong in the first segment that says so.
    """
    if not run.tally.ended:
        return []
    (at, count, call), (filled, checked), segment = run.end, places, part.segment
    rows, before, states = slice(0, count), layered.empty(segment), layered.empty(segment)
    for some in (before, states):
        boundaries.disturb(some, filled)
    names = boundaries.of(segment.functions[run.function.name])
    try:
        part.run(call, states, {n: boundaries.place(run.function, n, rows) for n in names})
    except CannotRunError as error:
        run.tally.ended = False
        return [f"at {at}: {error}"]
    call.outputs.clear()
    last = _last_owner(boundaries, run)
    return boundaries.written(before, states, checked, rows, length_of(run.function), last, at)


def _places(
    boundaries: Boundaries, segment: Segment, function: str, layers: list[int]
) -> tuple[list[Owned], list[Owned]]:
    """Where a segment's states have to be filled, and where to look afterwards.

    That is where its layers' keys and values belong, whether it writes there or not, and wherever else it writes.
    """
    states = {name for f in segment.functions.values() for name, type in f.inputs.items() if type.state}
    own = {place for place in boundaries.owned(layers) if place[0] in states}
    every = boundaries.owned(boundaries.owners)
    writes = segment.writes[function]
    checked = {place for place in every if place in own or _within(place, writes)}
    return [place for place in every if place in checked or _within(place, segment.reads)], sorted(checked)


def _within(place: Owned, extents: dict[str, list[tuple[int, int]]]) -> bool:
    return any(low <= place[1] < high for low, high in extents.get(place[0], ()))


def _calls(case: CoremlCase, function: Function, length: int) -> list[tuple[int, int]]:
    """Start and number of tokens of every call: chunks of odd lengths, or single positions across the window.

    Where the sequence takes many calls, there are the odd ones, one across the window and the last. A function so long
    that padding would be most of the work gets one call, behind where the odd ones end.
    """
    total, window = len(case.ids), case.dims.window
    if function.name == DECODE:
        wanted = {0, 1, window - 1, window, window + 1, 2 * window, total - 1}
        spread = np.linspace(2, total - 2, POSITIONS - len(wanted)).round().astype(int)
        return [(int(p), 1) for p in sorted({*wanted, *spread}) if 0 <= p < total]
    out: list[tuple[int, int]] = []
    start = 0
    while start < total and start + length <= case.context:
        count = min(ODD[len(out)] if len(out) < len(ODD) else length, length, total - start)
        out.append((start, count))
        start += count
    if len(out) * length <= TOKENS:
        return out
    if 2 * length >= TOKENS and len(out) > len(ODD):
        return [out[len(ODD)]]
    across = next((span for span in out if span[0] <= window < sum(span)), out[-1])
    return sorted({*out[: len(ODD)], across, out[-1]})


def _judge(case: CoremlCase, run: _Run) -> list[Check]:
    budget, checks, tally, name = case.budget, [], run.tally, run.function.name
    if tally.equal:
        checks += _judge_codes(case, name, tally)
    for kind, (worst, where, count) in _worst(tally.qualities).items():
        bar = {"logits": budget.logits_db, "per_layer_input": budget.front_db}.get(kind, budget.block_db)
        checks.append(at_least(f"{name}: {kind}, worst of {count}", worst, bar, "dB", where))
    checks.append(none(f"{name}: state rows written where they belong", tally.states, "calls", len(run.calls) + 1))
    return checks


def _rounding(run: _Run) -> list[Check]:
    """The same comparison with float16's rounding, stated; only numbers that are none are a failure."""
    name, tally = run.function.name, run.tally
    worst, where = min((worst, where) for worst, where, _ in _worst(tally.qualities).values())
    out = [
        none(f"{name}: float16 overflows", sorted(tally.broken), "values", len(tally.qualities)),
        stated(f"{name}: with float16's rounding, worst value", worst, "dB", where),
    ]
    if tally.equal:
        equal, step = _equal(tally), max(tally.far.values())
        out.append(
            stated(f"{name}: with float16's rounding, int8 outputs equal", equal, "of 1", f"{step} steps at most")
        )
    return out


def _equal(tally: Tally) -> float:
    return sum(same for same, _ in tally.equal.values()) / sum(size for _, size in tally.equal.values())


def _worst(qualities: dict[str, float]) -> dict[str, tuple[float, str, int]]:
    """Lowest SNR, its place and the number of values, by kind of boundary."""
    by_kind: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for key, quality in qualities.items():
        kind = key.split("_", 2)[2] if key.startswith("layers_") else key
        by_kind[kind].append((quality, key))
    return {kind: (*min(found), len(found)) for kind, found in sorted(by_kind.items())}


def _judge_codes(case: CoremlCase, name: str, tally: Tally) -> list[Check]:
    budget, struck, far = case.budget, tally.touched, tally.far
    worst, most = max(struck, key=lambda key: struck[key]), max(far, key=lambda key: far[key])
    differ = sum(size - same for same, size in tally.equal.values())
    note = f"{differ} of {sum(size for _, size in tally.equal.values())} in {len(tally.equal)} linears differ"
    return [
        at_least(f"{name}: int8 outputs equal", _equal(tally), budget.equal_codes, "of 1", note),
        at_most(f"{name}: largest difference", far[most], budget.step, "steps", most),
        at_most(f"{name}: tokens touched, worst linear", struck[worst], budget.disturbed_rows, "of 1", worst),
    ]


def _tables(case: CoremlCase) -> list[Check]:
    """The row tables against the reference's lookups, over the sequence and the tables' ends."""
    ids = np.unique(np.concatenate([case.ids, [0, case.dims.vocab - 1]])).astype(np.int32)
    checks = []
    for key, expected, found in zip((FIRST, SECOND), case.reference.embeddings(ids), case.lookup(ids), strict=True):
        if expected is not None and found is not None:
            quality = metrics.snr_db(expected, found)
            checks.append(at_least(f"{key}: rows of {len(ids)} tokens", quality, case.budget.embedding_db, "dB"))
    return checks

"""Rung 2a for Core ML: given the reference's own inputs, does each block of the program give the reference's outputs?

The shipped functions are evaluated with their named boundaries given: what reads a boundary gets the reference's value,
what makes it is compared. States are filled with the reference's rows before each call. A float16 program is evaluated
in float64, so that what is judged is the program; what float16's rounding adds in each block is stated.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.case import Case
from runtime_tests.coreml.boundaries import Boundaries, length_of
from runtime_tests.coreml.case import FIRST, SECOND, CoremlCase
from runtime_tests.coreml.evaluator import Evaluator
from runtime_tests.coreml.session import DECODE, prefill_lengths
from runtime_tests.errors import CannotRunError
from runtime_tests.flips import farthest
from runtime_tests.readers.program import Function
from runtime_tests.results import Check, at_least, at_most, none, stated

ODD = (13, 7, 25)
POSITIONS = 14

Pairs = dict[str, list[tuple[NDArray[Any], NDArray[Any]]]]


@dataclass
class Tally:
    """Pairs of expected and found values by name, over the calls."""

    floats: Pairs = field(default_factory=lambda: defaultdict(list))
    codes: Pairs = field(default_factory=lambda: defaultdict(list))
    states: list[str] = field(default_factory=list)
    calls: int = 0


def climb(case: Case) -> list[Check]:
    """Runs every function on the reference's inputs."""
    own = cast(CoremlCase, case)
    boundaries, checks, compared = Boundaries(own), _tables(own), 0
    half = own.precision == "float16"
    exact = own.evaluator("float64" if half else "declared")
    for name in [*prefill_lengths(own.package.functions).values(), DECODE]:
        function = own.package.functions[name]
        if not boundaries.of(function):
            raise CannotRunError(f"{name} names no boundaries such as layers_0_attention")
        tally = _run(own, exact, boundaries, function)
        compared += len(tally.floats) + len(tally.codes)
        checks += _judge(own, name, tally)
        if half:
            checks += _rounding(name, _run(own, own.evaluator(), boundaries, function))
    checks.append(_complete(own, boundaries))
    return [*checks, stated("values compared", compared, "values")]


def _complete(case: CoremlCase, boundaries: Boundaries) -> Check:
    """Every boundary and every int8 output that the reference has must be found by name, or nothing was compared."""
    wanted = {f"layers_{i}_{kind}" for i in range(case.dims.layers) for kind in ("attention", "mlp", "output")}
    wanted |= {f"layers_{i}_{kind}" for i in boundaries.owners for kind in ("key", "value")} | set(boundaries.codes)
    absent = sorted(wanted - set(case.decode.producer))
    return none("boundaries and int8 outputs that decode does not name", absent, "names", len(wanted))


def _run(case: CoremlCase, evaluator: Evaluator, boundaries: Boundaries, function: Function) -> Tally:
    tally, names = Tally(), boundaries.of(function)
    codes = [name for name in boundaries.codes if name in function.producer]
    last = max((int(name.split("_")[1]) for name in names if name.endswith("_key")), default=-1)
    captured, length = case.captured, length_of(function)
    for start, count in _calls(case, function, length):
        rows = slice(start, start + count)
        per_layer = None if captured.per_layer is None else captured.per_layer[rows]
        inputs = case.feed.inputs(function, start, captured.embeddings[rows], per_layer)
        before = boundaries.states(start)
        state = {name: torch.from_numpy(value).to(evaluator.working) for name, value in before.items()}
        given = {name: boundaries.place(function, name, rows) for name in names}
        made = evaluator.run(function.name, inputs, state, given, (*names, *codes))
        for name in names:
            found = made[name].numpy().reshape(length, -1)[:count]
            tally.floats[name].append((boundaries.rows(name, rows), found))
        for name in codes:
            found = made[name].numpy().reshape(length, -1)[:count]
            tally.codes[name].append((boundaries.expected_codes(name, rows), found))
        if "logits" in made:
            tally.floats["logits"].append((captured.logits[rows], made["logits"].numpy().reshape(1, -1)))
        tally.states += [f"{function.name}: {line}" for line in boundaries.written(before, state, rows, length, last)]
        tally.calls += 1
    return tally


def _calls(case: CoremlCase, function: Function, length: int) -> list[tuple[int, int]]:
    """Start and number of tokens of every call: chunks of odd lengths, or single positions across the window."""
    total, start = len(case.ids), 0
    out: list[tuple[int, int]] = []
    if function.name == DECODE:
        window = case.dims.window
        wanted = {0, 1, window - 1, window, window + 1, 2 * window, total - 1}
        spread = np.linspace(2, total - 2, POSITIONS - len(wanted)).round().astype(int)
        return [(int(p), 1) for p in sorted({*wanted, *spread}) if 0 <= p < total]
    while start < total and start + length <= case.context:
        piece = ODD[len(out)] if len(out) < len(ODD) else length
        count = min(piece, length, total - start)
        out.append((start, count))
        start += count
    return out


def _judge(case: CoremlCase, name: str, tally: Tally) -> list[Check]:
    budget, checks = case.budget, []
    if tally.codes:
        checks += _judge_codes(case, name, tally.codes)
    for key, quality in _qualities(tally.floats).items():
        case.evidence.add_block(re.sub(r"^layers_(\d+)_", r"layers.\1/", key), quality)
    for kind, (worst, where, count) in _worst(tally.floats).items():
        bar = {"logits": budget.logits_db, "per_layer_input": budget.front_db}.get(kind, budget.block_db)
        checks.append(at_least(f"{name}: {kind}, worst of {count}", worst, bar, "dB", where))
    checks.append(none(f"{name}: state rows written where they belong", tally.states, "calls", tally.calls))
    return checks


def _rounding(name: str, tally: Tally) -> list[Check]:
    """The same comparison with float16's rounding, stated; only numbers that are none are a failure."""
    broken = sorted(key for key, pairs in tally.floats.items() if not all(np.isfinite(b).all() for _, b in pairs))
    worst, where = min((worst, where) for worst, where, _ in _worst(tally.floats).values())
    out = [
        none(f"{name}: float16 overflows", broken, "values", len(tally.floats)),
        stated(f"{name}: with float16's rounding, worst value", worst, "dB", where),
    ]
    if tally.codes:
        pairs = [pair for items in tally.codes.values() for pair in items]
        equal, step = metrics.steps_off(*(np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1)))
        out.append(
            stated(f"{name}: with float16's rounding, int8 outputs equal", equal, "of 1", f"{step} steps at most")
        )
    return out


def _qualities(floats: Pairs) -> dict[str, float]:
    """SNR in dB of each boundary over all calls."""
    joined = {key: [np.concatenate([pair[i] for pair in pairs]) for i in (0, 1)] for key, pairs in floats.items()}
    return {key: metrics.snr_db(expected, found) for key, (expected, found) in joined.items()}


def _worst(floats: Pairs) -> dict[str, tuple[float, str, int]]:
    """Lowest SNR, its place and the number of values, by kind of boundary."""
    by_kind: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for key, quality in _qualities(floats).items():
        kind = key.split("_", 2)[2] if key.startswith("layers_") else key
        by_kind[kind].append((quality, key))
    return {kind: (*min(found), len(found)) for kind, found in sorted(by_kind.items())}


def _judge_codes(case: CoremlCase, name: str, codes: Pairs) -> list[Check]:
    budget = case.budget
    joined = {key: tuple(np.concatenate([pair[i] for pair in pairs]) for i in (0, 1)) for key, pairs in codes.items()}
    equal, _ = metrics.steps_off(*(np.concatenate([pair[i].ravel() for pair in joined.values()]) for i in (0, 1)))
    far = farthest({key: (a, b) for key, (a, b) in joined.items()})
    touched = {key: float(np.mean(np.any(pair[0] != pair[1], axis=1))) for key, pair in joined.items()}
    worst, most = max(touched, key=lambda key: touched[key]), max(far, key=lambda key: far[key])
    differ = sum(int((a != b).sum()) for a, b in joined.values())
    note = f"{differ} of {sum(pair[0].size for pair in joined.values())} in {len(joined)} linears differ"
    return [
        at_least(f"{name}: int8 outputs equal", equal, budget.equal_codes, "of 1", note),
        at_most(f"{name}: largest difference", far[most], budget.step, "steps", most),
        at_most(f"{name}: tokens touched, worst linear", touched[worst], budget.disturbed_rows, "of 1", worst),
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

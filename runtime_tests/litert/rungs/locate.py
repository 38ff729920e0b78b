"""Where does an artifact depart? Names the first layer and sub-block that is wrong by itself.

Two runs of the shipped bytes are compared with the reference's hidden states. Forced: every block gets the reference's
own inputs (``forced.py``), and inside a block every linear and norm is looked at, in order; the first that departs is
the culprit, and what follows it in the same block its victims. Free: the artifact runs by itself, prefill and forced
tokens, and the hidden states show how far the fault is carried. Both take one layer at a time through all tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.cuts.forced import BETWEEN, GIVEN, INSIDE, Cut, Forced, sequence
from runtime_tests.litert.cuts.stages import FRONT, HEAD, Stage, chains
from runtime_tests.litert.forced_calls import calls, expected_logits, invoke
from runtime_tests.litert.runners.interpreter import empty_cache, entry_lengths, feed, lookup, prefill_lengths, shortest
from runtime_tests.measures import metrics
from runtime_tests.measures.flips import touched
from runtime_tests.questions.chunks import chunks
from runtime_tests.reference.trace import Trace
from runtime_tests.rungs.located import Block, Located, Place

STORED_DB = 45.0  # the rounding of q4_0 weights for storage moves a block by less
MOST_OF_A_CHANNEL = 0.1  # float noise flips codes of single tokens here and there, a fault those of one channel
FLOAT_ONLY = ("input_layernorm", "pre_feedforward_layernorm", "per_layer_model_projection", "per_layer_projection_norm")


@dataclass
class Seen:
    """What was measured of one stage: the worst over the signatures."""

    quality: float = metrics.CAP_DB
    signature: str = ""
    departs: bool = False

    def add(self, signature: str, quality: float, departs: bool) -> None:
        if not self.signature or (departs, -quality) > (self.departs, -self.quality):
            self.quality, self.signature, self.departs = quality, signature, departs


@dataclass
class _Pairs:
    """Expected and found rows of one signature, by stage."""

    rows: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = field(default_factory=lambda: defaultdict(list))
    cache: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


def locate(case: LitertCase) -> Located:
    """Runs both comparisons.

    Raises:
        CannotRunError: the graph names no boundaries, or cannot be cut.
    """
    trace, exact = _insides(case)
    model, layout, seen = case.model(DECODER), Cache(case, trace), defaultdict[str, Seen](Seen)
    _look_up(case, seen)
    names = entry_lengths(model)
    cuts = {name: Cut(model, name, inside=True) for name in names}
    for part in sequence(cuts.values()):
        for name, length in names.items():
            forced = cuts[name].part(part)
            if forced is not None:
                pairs = _collect(case, name, calls(case, name, length), forced, layout)
                _measure(case, name, exact, pairs, seen)
    return Located(tuple(_places(case, seen)), frozenset(seen), _table(seen), _free(case, layout))


def _insides(case: LitertCase) -> tuple[Trace, bool]:
    """The reference's insides, and whether its weights are those that the artifact is to have.

    Where the weights of a q4_0 checkpoint lie on no lattice, its stored weights serve, with a lower bar.
    """
    try:
        case.trace.entering(case.dims.layers)
        return case.trace, True
    except CannotRunError:
        return Trace(case.reference, case.ids), False


def _look_up(case: LitertCase, seen: dict[str, Seen]) -> None:
    """Rows of the two embedding sections."""
    first, second = case.reference.embeddings(case.ids)
    for name, expected in ((EMBEDDER, first), (PER_LAYER, second)):
        if expected is not None:
            quality = metrics.snr_db(expected, lookup(case.interpreter(name), case.model(name), case.ids))
            seen[name].add(name, quality, quality < case.budget.embedding_db)


def _collect(case: LitertCase, name: str, made: list[tuple[int, int]], forced: Forced, layout: Cache) -> _Pairs:
    interpreter, pairs = forced.interpreter(threads=case.threads), _Pairs()
    positions = [start + row for start, count in made for row in range(count)]
    logits = expected_logits(layout, positions) if "logits" in forced.outputs else {}
    for start, count in made:
        rows = slice(start, start + count)
        out, before = invoke(case, name, (start, count), interpreter, forced, layout)
        for key, value in out.items():
            path = key.removeprefix(INSIDE)
            if key in forced.boundaries:
                pairs.rows[key].append((layout.rows(key, rows), layout.pick(name, key, value, count)))
            elif key == "logits":
                wanted = np.concatenate([logits[position] for position in range(start, start + count)])
                pairs.rows[key].append((wanted, np.asarray(value).reshape(-1, wanted.shape[1])[:count]))
            elif key.startswith("kv_cache_"):
                layer = layout.owners[int(key.rsplit("_", 1)[1])]
                pairs.cache[layer] += [wrong] if (wrong := layout.written(key, before[key], value, rows)) else []
            elif key in forced.codes and (expected := layout.codes(key, rows)) is not None:
                pairs.rows[key].append((expected, value.reshape(-1, value.shape[-1])[:count].astype(np.int32)))
            elif key != path and path not in forced.codes and (known := layout.inside(path)) is not None:
                found = np.asarray(value, np.float32).reshape(layout.lengths[name], -1)[:count]
                pairs.rows[path].append((known[rows], found))
    forced.release()
    return pairs


def _measure(case: LitertCase, name: str, exact: bool, pairs: _Pairs, seen: dict[str, Seen]) -> None:
    joined = {k: tuple(np.concatenate([pair[i] for pair in found]) for i in (0, 1)) for k, found in pairs.rows.items()}
    codes = {key: (a, b) for key, (a, b) in joined.items() if a.dtype == np.int32}
    struck = touched(codes, 1 - case.budget.equal_codes)
    for key, (expected, got) in joined.items():
        quality = metrics.snr_db(expected.astype(np.float32), got.astype(np.float32))
        departs = _departs(case, key, expected, got, quality, struck.get(key, 0.0)) if exact else quality < STORED_DB
        seen[key].add(name, quality, departs)
    for layer, wrong in pairs.cache.items():
        seen[f"layers.{layer}/cache"].add(name, -metrics.CAP_DB if wrong else metrics.CAP_DB, bool(wrong))


def _departs(
    case: LitertCase, key: str, expected: NDArray[Any], found: NDArray[Any], quality: float, struck: float
) -> bool:
    budget = case.budget
    if expected.dtype == np.int32:
        _, step = metrics.steps_off(expected, found)
        differs = expected != found
        channel = int(differs.sum(axis=0).max())
        return (
            step > budget.step or struck > budget.disturbed_rows or channel > max(2, MOST_OF_A_CHANNEL * len(differs))
        )
    last = key.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
    if last == "logits":
        return quality < budget.logits_db
    if last in FLOAT_ONLY or key == "norm":
        return quality < budget.front_db
    return quality < budget.block_bar(last)


def _places(case: LitertCase, seen: dict[str, Seen]) -> Iterable[Place]:
    """The first departure of every chain; each layer and block once, in order of execution."""
    wide = bool(case.dims.per_layer_width)
    names: dict[str, str] = {EMBEDDER: "table of embeddings", PER_LAYER: "table of per-layer embeddings"}
    ordered: list[list[Stage]] = [[Stage(name, None, "embedding", fault)] for name, fault in names.items()]
    ordered.append(FRONT)
    for layer in range(case.dims.layers):
        ordered += chains(layer, wide)
    ordered.append(HEAD)
    told: set[tuple[int | None, Block]] = set()
    front = False  # a fault in front of all layers shows in what each of them is given
    for chain in ordered:
        before = metrics.CAP_DB
        for stage in chain:
            if stage.name not in seen:
                continue
            found = seen[stage.name]
            if found.departs:
                victim = front and stage.name.endswith("/per_layer_input")
                if (stage.layer, stage.block) not in told and not victim:
                    yield Place(
                        stage.layer, stage.block, stage.name, stage.fault, found.signature, before, found.quality
                    )
                told.add((stage.layer, stage.block))
                front = front or stage in FRONT
                break
            before = found.quality


def _table(seen: dict[str, Seen]) -> dict[str, dict[int, float]]:
    out: dict[str, dict[int, float]] = {}
    for key, found in seen.items():
        layer, _, kind = key.removeprefix("layers.").partition("/")
        if key.startswith("layers.") and layer.isdecimal() and kind != "cache":
            out.setdefault(kind, {})[int(layer)] = found.quality
    return out


def _free(case: LitertCase, layout: Cache) -> dict[str, dict[int, float]]:
    """Hidden states of the decode steps, after a prefill, with nothing given but the tokens."""
    model, table = case.model(DECODER), dict[str, dict[int, float]]()
    pieces = chunks(case.prompt, max(prefill_lengths(model)))
    calls = [(shortest(model, stop - start), start, stop) for start, stop in pieces]
    calls += [("decode", i, i + 1) for i in range(case.prompt, len(case.ids))]
    cuts = {name: Cut(model, name, BETWEEN) for name, _, _ in calls}
    made: dict[str, NDArray[np.float32]] = {}  # the artifact's own hidden states between the layers, ``[T, width]``
    first = lookup(case.interpreter(EMBEDDER), case.model(EMBEDDER), case.ids)
    wide = case.dims.per_layer_width
    second = lookup(case.interpreter(PER_LAYER), case.model(PER_LAYER), case.ids) if wide else None
    cache, steps = empty_cache(model), slice(case.prompt, len(case.ids))
    for part in sequence(cuts.values()):
        forced = {name: piece for name, cut in cuts.items() if (piece := cut.part(part)) is not None}
        run = {name: piece.interpreter(threads=case.threads).run for name, piece in forced.items()}
        rows: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for name, start, stop in calls:
            if name not in forced:
                continue
            inputs = feed(model, name, start, first[start:stop], None if second is None else second[start:stop])
            inputs = {key: value for key, value in {**inputs, **cache}.items() if key in forced[name].inputs}
            for boundary in forced[name].given:
                inputs[boundary + GIVEN] = layout.laid(name, boundary, made[boundary][start:stop])
            out = run[name]("forced", inputs)
            cache.update({key: value for key, value in out.items() if key in cache})
            for boundary in forced[name].boundaries:
                rows[boundary].append(layout.pick(name, boundary, out[boundary], stop - start))
        for boundary, parts in rows.items():
            layer, kind = boundary.removeprefix("layers.").split("/")
            found = np.concatenate(parts)[-(steps.stop - steps.start) :]
            table.setdefault(kind, {})[int(layer)] = metrics.snr_db(layout.rows(boundary, steps), found)
            if kind in BETWEEN:
                made[boundary] = np.zeros((len(case.ids), found.shape[1]), np.float32)
                whole = np.concatenate(parts)
                made[boundary][len(case.ids) - len(whole) :] = whole
    return table

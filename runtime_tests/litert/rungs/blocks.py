"""Rung 2a: given the reference's own inputs, does each block of the artifact give the reference's outputs?

The shipped subgraphs are cut at their named boundaries (``forced.py``) and fed what the reference had there: residuals,
per-layer inputs, keys, values and caches. So a difference belongs to the block it appears in. Every prefill signature
runs over the sequence in chunks of odd lengths; decode runs at single positions up to the end and across the window.
One layer at a time, of the artifact and of the reference: all signatures of it, then the next.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.compare.grids import cache_grids
from runtime_tests.litert.cuts.forced import Cut, Forced, Part
from runtime_tests.litert.drafter.drafts import compare_drafts
from runtime_tests.litert.ends import end_of_context, last_rows, looks
from runtime_tests.litert.forced_calls import Tally, calls, measure
from runtime_tests.litert.rungs.plain import Float, bar_of, weigh
from runtime_tests.litert.runners.interpreter import entry_lengths, lookup
from runtime_tests.litert.vision.blocks import compare_blocks
from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, worst_by_layer
from runtime_tests.progress import walk
from runtime_tests.results import Check, Findings, at_least, at_most, none, stated


def climb(case: LitertCase) -> Findings:
    """Runs every signature on the reference's inputs, layer by layer."""
    checks = _tables(case)
    model, layout = case.model(DECODER), Cache(case)
    names = entry_lengths(model)
    cuts = {name: Cut(model, name) for name in names}
    for name, cut in cuts.items():
        if odd := sorted(item for item in cut.boundaries if not layout.known(item)):
            raise CannotRunError(f"{name} names a boundary {odd[0]}, which the model does not have")
    tallies, wanted = {name: Tally() for name in names}, dict[Part, set[str]]()
    floats: dict[str, list[Float]] = {name: [] for name in names}
    parts: list[Part] = ["front", *range(case.dims.layers), "head"]
    for part in walk("layers", parts):
        wanted[part] = layout.names(part)
        found = {}
        for name, length in names.items():
            forced = cuts[name].part(part)
            if forced is not None:
                found[name] = _climb_part(case, name, length, forced, layout, tallies[name])
        for name, weighed in weigh(case, part, names, cuts, layout, found).items():
            floats[name] += weighed
    caches = 2 * len(layout.owners)
    for name, length in names.items():
        checks += _judge(case, name, tallies[name], floats[name])
        label = f"{name}: last {last_rows(case, length)} rows of the context written in place"
        checks.append(none(label, tallies[name].ends, "caches", caches))
        label = f"{name}: at the end of the context tokens look back as far as they should and no further"
        checks.append(none(label, tallies[name].looks, "layers", case.dims.layers))
    checks.append(_complete(case, layout, tallies, wanted))
    everything = sum(len(floats[name]) + len(tally.linears) for name, tally in tallies.items())
    checks.append(stated("tensors compared", everything, "tensors"))
    checks += [*cache_grids(case, layout), *compare_drafts(case), *compare_blocks(case)]
    return Findings(
        checks, Evidence(blocks=worst_by_layer((i.key, i.quality) for some in floats.values() for i in some))
    )


def _complete(case: LitertCase, layout: Cache, tallies: dict[str, Tally], wanted: dict[Part, set[str]]) -> Check:
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


def _climb_part(
    case: LitertCase, name: str, length: int, forced: Forced, layout: Cache, tally: Tally
) -> dict[str, float]:
    interpreter = forced.interpreter(threads=case.threads)
    found = measure(case, name, calls(case, name, length), interpreter, forced, layout, tally)
    if any(key.startswith("kv_cache_") for key in forced.outputs):
        tally.ends += end_of_context(case, name, length, forced, interpreter, layout)
    tally.looks += looks(case, name, length, forced, interpreter, layout)
    forced.release()
    return found


def _judge(case: LitertCase, name: str, tally: Tally, floats: list[Float]) -> list[Check]:
    checks: list[Check] = []
    if tally.linears:
        checks += _judge_codes(case, name, tally)
    by_kind: dict[str, list[Float]] = defaultdict(list)
    for item in floats:
        by_kind[item.key.rsplit("/", 1)[-1]].append(item)
    for kind, items in sorted(by_kind.items()):
        worst = min(items, key=lambda item: (item.quality - item.bar, item.key))
        where = worst.key
        if kind == "logits":
            where = "what the kernel of lm_head costs: its activations are not static"
        checks.append(at_least(f"{name}: {kind}, worst of {len(items)}", worst.quality, worst.bar, "dB", where))
        asked = [(item.plain, item.key) for item in items if item.plain is not None]
        if asked:
            quality, where = min(asked)
            label = f"{name}: {kind} by plain kernels, worst of {len(asked)}"
            checks.append(at_least(label, quality, bar_of(case, where), "dB", where))
    checks.append(none(f"{name}: cache rows written where they belong", tally.cache, "caches", tally.writes))
    return checks


def _judge_codes(case: LitertCase, name: str, tally: Tally) -> list[Check]:
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


def _tables(case: LitertCase) -> list[Check]:
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

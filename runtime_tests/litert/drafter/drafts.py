"""Rung 2a, last part: does the drafter draft what transformers' drafter drafts, given the same?

Both are given the reference's hidden states, embeddings, keys and values. A chain of drafts is followed as the engine
follows it, on the reference's own tokens and states, so that no difference reaches the next draft. Of the sliding
layer's rows transformers is given those that a token at this position sees in the model itself. Behind the rows that
count, the caches hold what an earlier conversation left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DRAFTER, LitertCase
from runtime_tests.litert.drafter.reference import DrafterReference
from runtime_tests.litert.runners.interpreter import MASKED
from runtime_tests.litert.weights.lattice import Lattice, open_lattice
from runtime_tests.measures import metrics
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.modules.drafter import ORDERING
from runtime_tests.results import Check, at_least, none, stated

Floats = NDArray[np.float32]
CHAIN = 4  # drafts that follow one another
# Four layers of products in float32 or 24 bits: 117 dB and more were seen of narrow ones. XNNPACK adds up a product of
# 6,144 columns at 91 dB, which leaves as much room as there.
BAR_DB = 80.0
AGREES = "where transformers scores some groups of tokens alone, these are compared"


def compare_drafts(case: LitertCase) -> list[Check]:
    """Chains of drafts from positions within the window, at its edge and far behind it."""
    if case.drafter is None:
        return []
    reference = DrafterReference(case.drafter.path, _lattice(case))
    layout, model = Cache(case), case.model(DRAFTER)
    (signature,) = model.signatures.values()
    total, window = len(case.ids), case.window
    wanted = {1, 2, window - 1, window, window + 1, 2 * window, total // 2, total - 1}
    logits: list[tuple[Floats, Floats]] = []
    states: list[tuple[Floats, Floats]] = []
    best: list[str] = []
    by_groups = any(ORDERING in graph.by_name for graph in model.subgraphs)
    above: list[str] = []
    for count in sorted(count for count in wanted if 0 < count < total):
        embedding, hidden = layout.trace.embeddings[count], layout.trace.norm()[count - 1]
        caches = _rows(case, layout, count)
        for step in range(CHAIN):
            inputs = _inputs(layout, signature.inputs, case.context, count, embedding, hidden)
            out = case.interpreter(DRAFTER).run(signature.name, inputs)
            found = np.asarray(out["logits"]).reshape(-1)
            state = np.asarray(out["projected_activations"]).reshape(-1)
            expected, hidden = reference.draft(embedding, hidden, count, caches)
            scored = expected > expected.min() if reference.ordered else np.ones(len(expected), np.bool_)
            logits.append((expected[scored], found[scored]))
            states.append((hidden, state))
            if by_groups and not scored.all() and found[~scored].max() >= found[scored].min():
                above.append(f"draft {step} behind {count} tokens")
            token = int(expected.argmax())
            if int(np.where(scored, found, -np.inf).argmax()) != token and _apart(expected, found, token):
                best.append(f"draft {step} behind {count} tokens")
            embedding = case.reference.embeddings(np.array([token], np.int32))[0][0]
    return [
        at_least(f"drafter: logits, worst of {len(logits)}", _worst(logits), BAR_DB, "dB"),
        at_least(f"drafter: state for the next draft, worst of {len(states)}", _worst(states), BAR_DB, "dB"),
        none("drafter: another best token", best, "drafts", len(logits)),
        *([none("drafter: tokens of other groups not below", above, "drafts", len(logits))] if by_groups else []),
        *([stated("drafter: tokens scored", len(logits[0][0]), "tokens", AGREES)] if reference.ordered else []),
    ]


def _apart(expected: Floats, found: Floats, token: int) -> bool:
    """Whether the reference's best token leads by more than the two differ."""
    second = float(np.partition(expected, -2)[-2])
    return float(expected[token]) - second > 2 * float(np.abs(found - expected).max())


def _worst(pairs: list[tuple[Floats, Floats]]) -> float:
    return min(metrics.snr_db(expected, found) for expected, found in pairs)


def _lattice(case: LitertCase) -> dict[str, Floats]:
    """The weights that the drafter multiplies with, where the checkpoint stores them rounded: rung 0 compares them."""
    model, out = case.model(DRAFTER), dict[str, Floats]()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.type == "INT4" and tensor.index not in graph.producer:
                lattice = open_lattice(model, graph, tensor)
                if isinstance(lattice, Lattice):
                    out[tensor.name.removesuffix(".weight")] = lattice.rows(0, lattice.shape[0])
    return out


def _rows(case: LitertCase, layout: Cache, count: int) -> dict[str, tuple[Floats, Floats]]:
    """By kind of layer, the last owner's rows that a token at position ``count`` sees, as its cache holds them."""
    out: dict[str, tuple[Floats, Floats]] = {}
    for owner in case.dims.owners:  # in order: the last of a kind stays
        kind = case.dims.kinds[owner.layer]
        first = max(0, count - case.window + 1) if kind == SLIDING else 0
        keys, values = (rows[:, first:count] for rows in layout.trace.rows(owner.layer))
        if owner.layer in case.cache_scales:
            by_key, by_value = case.cache_scales[owner.layer]
            keys, values = _rounded(keys, by_key), _rounded(values, by_value)
        out[kind] = np.ascontiguousarray(keys), np.ascontiguousarray(values)
    return out


def _rounded(rows: Floats, scale: float) -> Floats:
    return np.asarray(np.clip(np.rint(rows / np.float32(scale)), -128, 127) * np.float32(scale), np.float32)


def _inputs(
    layout: Cache, names: dict[str, int], context: int, count: int, embedding: Floats, hidden: Floats
) -> dict[str, NDArray[Any]]:
    """As the engine calls the drafter: the position is the last that the caches hold, and what they hold is open."""
    mask = np.full((1, 1, 1, context), MASKED, np.float32)
    mask[..., :count] = 0.0
    given: dict[str, NDArray[Any]] = {
        "activations": np.concatenate([embedding, hidden])[None, None].astype(np.float32),
        "input_pos": np.array([count - 1], np.int32),
        "mask": mask,
    }
    return {**given, **layout.filled(count, [name for name in names if name.startswith("kv_cache_")])}

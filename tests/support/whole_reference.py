"""The reference at one go, as its pieces in the judge must have it: all insides of one pass, and plain generation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from runtime_tests.reference.capture import Capture, watch_layer, watch_outside
from runtime_tests.reference.model import Floats, Ids, Reference


@dataclass(frozen=True)
class Whole:
    """Insides, logits ``[T, V]`` and rows of the embedding ``[T, H]`` of one pass over ``T`` tokens."""

    inside: Capture
    logits: Floats
    embeddings: Floats


def capture(reference: Reference, ids: Ids) -> Whole:
    """Runs the reference once, with hooks in all layers."""
    out = Capture()
    handles = watch_outside(out, reference.decoder)
    for index, layer in enumerate(reference.decoder.layers):
        handles += watch_layer(out, index, layer, norms=True)
    cache = reference.cache()
    try:
        logits = reference.logits(ids, cache)
    finally:
        for handle in handles:
            handle.remove()
    for index, (keys, values) in cache.rows.items():
        out.keys[index], out.values[index] = keys[0].float().numpy(), values[0].float().numpy()
    return Whole(out, logits, reference.embeddings(ids)[0])


def greedy(reference: Reference, ids: Ids, steps: int, stops: frozenset[int]) -> tuple[Ids, Floats]:
    """Continues one prompt token by token with a cache; a stop token ends it and is included.

    Returns:
        the new token ids ``[K]`` and the logits that chose them ``[K, V]``.
    """
    cache, tokens = reference.cache(), torch.from_numpy(ids.astype(np.int64))[None]
    chosen: list[int] = []
    rows: list[Floats] = []
    with torch.no_grad():
        while len(chosen) < steps and (not chosen or chosen[-1] not in stops):
            out = reference.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            rows.append(out.logits[0, -1].float().numpy())
            chosen.append(int(rows[-1].argmax()))
            tokens = torch.tensor([[chosen[-1]]])
    return np.array(chosen, np.int32), np.stack(rows)

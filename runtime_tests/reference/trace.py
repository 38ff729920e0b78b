"""The reference's insides layer by layer: transformers' own layers in order, one layer's values held at a time.

transformers' decoder is run once with its layers taken out, which tells what it calls each of them with: masks, rotary
tables, per-layer inputs. The layers then run one after another, when somebody asks for them, each on what the one
before gave. What a layer was given is kept, so that any of them can be run again by itself; what happens inside is kept
for small models alone.
"""

from __future__ import annotations

import contextlib
from collections import UserDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime_tests.reference.capture import Capture, watch_layer, watch_outside
from runtime_tests.reference.int8_cache import new_cache
from runtime_tests.reference.model import Floats, Ids, Reference
from runtime_tests.reference.widening import Source

KEPT_BYTES = 128 << 20  # of the insides of layers; a small model's fit, and no layer of it runs twice


class Trace:
    """One forward pass over ``T`` tokens, made as far as it is asked for.

    Attributes:
        ids: the tokens.
        embeddings, per_layer: what the tables gave, ``[T, H]`` and ``[T, L, P]`` (None without them).
        front: what the projection and the norm in front of all layers made, in ``linears`` and ``norms``.
    """

    def __init__(self, reference: Reference, ids: Ids, weights: Source | None = None) -> None:
        """Runs what lies in front of the layers.

        Args:
            ids: tokens ``[T]``.
            weights: other weights of the linears, by module path; see :meth:`Reference.weights`.
        """
        self.ids, self.front = ids, Capture()
        self._reference, self._weights = reference, weights
        self._scales = dict(reference.cache_scales)
        self.embeddings, self.per_layer = reference.embeddings(ids)
        self._calls = self._look_ahead()
        self._given = [self._calls[0][0][0]]  # the input of every layer that was reached, and the last output
        self._shared: Any = UserDict()
        self._rows: dict[int, tuple[Floats, Floats]] = {}
        self._kept: dict[int, Capture] = {}
        self._bytes = 0
        self._norm: Any = None

    def layer(self, index: int) -> Capture:
        """The insides of one layer, norms included; runs the layers up to it, or this one again."""
        if index in self._kept:
            return self._kept[index]
        while len(self._given) <= index:
            self._run(len(self._given) - 1, None)
        out = Capture()
        self._run(index, out)
        size = _size(out)
        while self._kept and self._bytes + size > KEPT_BYTES:
            oldest = next(iter(self._kept))
            self._bytes -= _size(self._kept.pop(oldest))
        self._kept[index], self._bytes = out, self._bytes + size  # the latest in any case: it is looked at many times
        return out

    def rows(self, owner: int) -> tuple[Floats, Floats]:
        """Keys and values of a KV-owning layer, ``[kv heads, T, head_dim]``, before any rounding for the cache."""
        if owner not in self._rows:
            self.layer(owner)
        return self._rows[owner]

    def forget(self) -> None:
        """Lets go of what running a layer once more gives again."""
        self._kept.clear()
        self._rows.clear()
        self._bytes = 0

    def entering(self, index: int) -> Floats:
        """What a layer was given, ``[T, H]``; for the number of layers what the last one made."""
        while len(self._given) <= index:
            self.layer(len(self._given) - 1)
        return np.asarray(self._given[index][0].numpy())

    def per_layer_input(self, index: int) -> Floats:
        """What a layer was given of the token, ``[T, P]``."""
        return np.asarray(self._calls[index][0][1][0].float().numpy())

    def norm(self) -> Floats:
        """What the last norm made, ``[T, H]``."""
        return np.asarray(self._last().numpy())

    def logits(self, positions: Sequence[int]) -> Floats:
        """Logits of some positions, softcap included, ``[N, V]``."""
        import torch

        with torch.no_grad(), self._exchanged():
            return np.asarray(self._reference.head(self._last()[list(positions)]).numpy())

    def _last(self) -> Any:
        import torch

        if self._norm is None:
            self.entering(len(self._calls))
            with torch.no_grad():
                self._norm = self._reference.decoder.norm(self._given[-1])[0]
        return self._norm

    def _exchanged(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._weights is None else self._reference.weights(self._weights)

    def _run(self, index: int, out: Capture | None) -> None:
        """Runs a layer whose input is known."""
        import torch

        layer, cache = self._reference.decoder.layers[index], new_cache(self._scales)
        args, kwargs = self._calls[index]
        handles = [] if out is None else watch_layer(out, index, layer, norms=True)
        try:
            with torch.no_grad(), self._exchanged():
                made = layer(
                    self._given[index],
                    *args[1:],
                    **{**kwargs, "shared_kv_states": self._shared, "past_key_values": cache},
                )
        finally:
            for handle in handles:
                handle.remove()
        if index + 1 == len(self._given):
            self._given.append(made)
        for owner, (keys, values) in cache.rows.items():
            self._rows[owner] = keys[0].float().numpy(), values[0].float().numpy()
            if out is not None:
                out.keys[owner], out.values[owner] = self._rows[owner]

    def _look_ahead(self) -> list[tuple[Any, dict[str, Any]]]:
        """What transformers calls each layer with; the hidden states are the embeddings in all of them."""
        import torch

        calls: list[tuple[Any, dict[str, Any]]] = []

        class Told(torch.nn.Module):
            """Stands in for a layer."""

            def forward(self, *args: Any, **kwargs: Any) -> Any:
                calls.append((args, kwargs))
                return args[0]

        decoder = self._reference.decoder
        layers, handles = decoder.layers, watch_outside(self.front, decoder)
        tokens = torch.from_numpy(self.ids.astype(np.int64))[None]
        try:
            decoder.layers = torch.nn.ModuleList([Told() for _ in layers])
            with torch.no_grad(), self._exchanged():
                decoder(input_ids=tokens, past_key_values=new_cache(self._scales), use_cache=True)
        finally:
            decoder.layers = layers
            for handle in handles:
                handle.remove()
        self.front.norms.pop("norm", None)  # of the embeddings, as no layer ran
        return calls


def _size(found: Capture) -> int:
    return sum(item.nbytes for group in (found.boundary, found.linears, found.norms) for item in group.values())

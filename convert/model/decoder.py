"""The Gemma 4 text decoder, once, on semantic operations.

It follows transformers' ``modeling_gemma4.py`` (``Gemma4TextModel``, batch of one, no vision, no experts) in float32.
All positions of the KV cache are attended to through a mask, as a runtime with fixed shapes must do it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic

import torch
import torch.nn.functional as F

from convert.checkpoint.config import SLIDING, Layer, TextConfig
from convert.model.ops import C, Ops
from convert.model.rope import angles, inverse_frequencies, rotate
from convert.model.symbol import T

# Added to scores outside the window. Finite: a padded row may be masked everywhere, and must not become NaN, because
# its keys and values stay in the cache until they are overwritten.
OUTSIDE_WINDOW = -1e9


class Decoder(Generic[T, C]):
    """The decoder's mathematics over given operations.

    Args:
        config: dimensions.
        ops: where weights come from and how the semantic operations run.
    """

    def __init__(self, config: TextConfig, ops: Ops[T, C]) -> None:
        self.config, self.ops = config, ops
        head_dims = {layer.kind: layer.head_dim for layer in config.layers}
        self.frequencies = {kind: inverse_frequencies(config.ropes[kind], dim) for kind, dim in head_dims.items()}

    def __call__(
        self,
        embeddings: T,
        per_layer_embeddings: T | None,
        input_pos: T,
        mask: T,
        caches: Mapping[int, tuple[C, C]],
        logits: bool,
    ) -> tuple[T | None, dict[int, tuple[C, C]]]:
        """Runs n tokens.

        Args:
            embeddings: ``[1, n, hidden]``, already times sqrt(hidden).
            per_layer_embeddings: ``[1, n, layers, per_layer_width]``, already times sqrt(per_layer_width), or None.
            input_pos: int32 ``[n]``, consecutive; positions of padding do not matter.
            mask: ``[1, 1, n, context]``, 0 where a token may look, a large negative number elsewhere.
            caches: by owning layer: keys ``[1, kv, context, head_dim]``, values ``[1, kv, head_dim, context]``.
            logits: whether to go on to the logits; without them the work ends at the last layer that owns a cache.

        Returns:
            Logits ``[1, n, vocab]`` or None, and the caches after the write.
        """
        turns, masks = self.turns(input_pos), self.masks(mask, input_pos)
        x, written = self.stream(embeddings, per_layer_embeddings, turns, masks, input_pos, caches, logits)
        return self.logits(x) if logits else None, written

    def turns(self, input_pos: T) -> dict[str, tuple[T, T]]:
        """Cosines and sines of tokens at some positions, by kind of layer, see ``layers``."""
        return {kind: angles(input_pos, frequencies) for kind, frequencies in self.frequencies.items()}

    def stream(
        self,
        embeddings: T,
        per_layer_embeddings: T | None,
        turns: Mapping[str, tuple[T, T]],
        masks: Mapping[str, T | None],
        input_pos: T,
        caches: Mapping[int, tuple[C, C]],
        logits: bool,
    ) -> tuple[T, dict[int, tuple[C, C]]]:
        """The same up to the residual stream behind the last layer that runs, ``[1, n, hidden]``.

        For ``turns`` and ``masks`` see ``layers``: a target may make them in its own way.
        """
        given = self.per_layer_inputs(embeddings, per_layer_embeddings)
        written: dict[int, tuple[C, C]] = {}
        x = embeddings
        for _, found in self.layers(embeddings, given, turns, masks, input_pos, caches, written, logits):
            x = found
        return x, written

    def layers(
        self,
        embeddings: T,
        per_layer_inputs: T | None,
        turns: Mapping[str, tuple[T, T]],
        masks: Mapping[str, T | None],
        input_pos: T,
        caches: Mapping[int, tuple[C, C]],
        written: dict[int, tuple[C, C]],
        logits: bool,
    ) -> Iterator[tuple[Layer, T]]:
        """Runs one layer after the other. A target can cut the work between two of them.

        Args:
            per_layer_inputs: what the method of that name gave.
            turns: by kind of layer: cosines and sines ``[1, n, 1, head_dim / 2]``.
            masks: by kind of layer: as ``mask`` of a call, for sliding layers narrowed to the window; as wide as what
                the target's ``attention`` finds in a cache.
            written: the caches after the write; those of each layer are added.
            logits: False ends the work where the last cache is written.

        Yields:
            A layer that is done and the residual stream behind it, ``[1, n, hidden]``. Besides this stream, later
            layers read the per-layer inputs and the caches in ``written``.
        """
        per_layer = None if per_layer_inputs is None else self.by_layer(per_layer_inputs)
        x = embeddings
        for layer in self.config.layers:
            found = self.layer(x, layer, per_layer, turns, masks, input_pos, caches, written, logits)
            if found is None:
                return
            x = found
            yield layer, x

    def layer(
        self,
        x: T,
        layer: Layer,
        per_layer: Sequence[T] | None,
        turns: Mapping[str, tuple[T, T]],
        masks: Mapping[str, T | None],
        input_pos: T,
        caches: Mapping[int, tuple[C, C]],
        written: dict[int, tuple[C, C]],
        logits: bool,
    ) -> T | None:
        """One layer: ``[1, n, hidden]`` to the same.

        Args:
            per_layer: what :meth:`by_layer` gave.
            written: the caches so far; those of this layer are added.
            logits: False ends the work, with None, where the last cache is written.
        """
        normed = self._norm(x, f"layers.{layer.index}.input_layernorm")
        if layer.owns_kv:
            written[layer.index] = self._write_kv(normed, layer, turns[layer.kind], input_pos, caches[layer.index])
            if not logits and layer.index == self.config.owners[-1].index:
                return None
        x = x + self._attention(normed, layer, turns[layer.kind], masks[layer.kind], written[layer.owner])
        x = self.ops.mark(x, f"layers.{layer.index}/attention")
        x = x + self._mlp(x, layer)
        x = self.ops.mark(x, f"layers.{layer.index}/mlp")
        if per_layer is not None:
            x = x + self._per_layer_input(x, layer, per_layer[layer.index])
        x = self.ops.scale(x, f"layers.{layer.index}.layer_scalar")
        return self.ops.mark(x, f"layers.{layer.index}/output")

    def _norm(self, x: T, key: str) -> T:
        return self.ops.scale(self.ops.normalize(x, self.config.norm_eps), f"{key}.weight")

    def masks(self, mask: T, input_pos: T) -> dict[str, T]:
        """The given causal mask for full layers, and the same narrowed to the window for sliding ones."""
        kinds = {layer.kind for layer in self.config.layers}
        masks = dict.fromkeys(kinds, mask)
        if SLIDING in kinds:
            columns = torch.arange(mask.shape[-1], dtype=torch.int32).reshape(1, 1, 1, -1)
            oldest = input_pos.reshape(1, 1, -1, 1) - (self.config.window - 1)
            outside = (columns < oldest).float() * OUTSIDE_WINDOW
            masks[SLIDING] = mask + outside
        return masks

    def per_layer_inputs(self, embeddings: T, table: T | None) -> T | None:
        """What the layers get of each token: its row of the table and a projection of its embedding, averaged.

        Returns:
            ``[1, n, layers, per_layer_width]``, or None where there is no table.
        """
        if table is None:
            return None
        projected = self.ops.linear(embeddings, "per_layer_model_projection") * self.config.hidden**-0.5
        projected = self._norm(projected.reshape(table.shape), "per_layer_projection_norm")
        return (projected + table) * 2.0**-0.5

    def by_layer(self, both: T) -> list[T]:
        """The per-layer inputs of each layer, ``[1, n, per_layer_width]``."""
        return [
            self.ops.mark(both[:, :, layer.index, :], f"layers.{layer.index}/per_layer_input")
            for layer in self.config.layers
        ]

    def _write_kv(
        self,
        normed: T,
        layer: Layer,
        turn: tuple[T, T],
        input_pos: T,
        cache: tuple[C, C],
    ) -> tuple[C, C]:
        prefix, n = f"layers.{layer.index}.self_attn", normed.shape[1]
        shape = (1, n, layer.kv_heads, layer.head_dim)
        keys = self._norm(self.ops.linear(normed, f"{prefix}.k_proj").reshape(shape), f"{prefix}.k_norm")
        keys = self.ops.mark(rotate(keys, *turn), f"layers.{layer.index}/key")
        values = self.ops.normalize(self.ops.linear(normed, f"{prefix}.v_proj").reshape(shape), self.config.norm_eps)
        values = self.ops.mark(values, f"layers.{layer.index}/value")
        start = input_pos[0]
        write = self.ops.write_cache
        return (
            write(cache[0], keys.permute(0, 2, 1, 3), start, axis=2, owner=layer.index, part="key"),
            write(cache[1], values.permute(0, 2, 3, 1), start, axis=3, owner=layer.index, part="value"),
        )

    def _attention(
        self,
        normed: T,
        layer: Layer,
        turn: tuple[T, T],
        mask: T | None,
        cache: tuple[C, C],
    ) -> T:
        prefix, n, heads = f"layers.{layer.index}.self_attn", normed.shape[1], self.config.heads
        query = self.ops.linear(normed, f"{prefix}.q_proj").reshape(1, n, heads, layer.head_dim)
        query = rotate(self._norm(query, f"{prefix}.q_norm"), *turn).permute(0, 2, 1, 3)
        mixed = self.ops.attention(query, *cache, mask, layer)
        mixed = mixed.permute(0, 2, 1, 3).reshape(1, n, heads * layer.head_dim)
        return self._norm(self.ops.linear(mixed, f"{prefix}.o_proj"), f"layers.{layer.index}.post_attention_layernorm")

    def _mlp(self, x: T, layer: Layer) -> T:
        prefix = f"layers.{layer.index}"
        normed = self._norm(x, f"{prefix}.pre_feedforward_layernorm")
        gate = F.gelu(self.ops.linear(normed, f"{prefix}.mlp.gate_proj"), approximate="tanh")
        down = self.ops.linear(gate * self.ops.linear(normed, f"{prefix}.mlp.up_proj"), f"{prefix}.mlp.down_proj")
        return self._norm(down, f"{prefix}.post_feedforward_layernorm")

    def _per_layer_input(self, x: T, layer: Layer, given: T) -> T:
        prefix = f"layers.{layer.index}"
        gate = F.gelu(self.ops.linear(x, f"{prefix}.per_layer_input_gate"), approximate="tanh")
        projected = self.ops.linear(gate * given, f"{prefix}.per_layer_projection")
        return self._norm(projected, f"{prefix}.post_per_layer_input_norm")

    def last(self, x: T) -> T:
        """The residual stream behind the last layer, normed: the last hidden states, ``[1, n, hidden]``."""
        return self._norm(x, "norm")

    def logits(self, x: T) -> T:
        """The residual stream behind the last layer, ``[1, n, hidden]``, to logits ``[1, n, vocab]``."""
        return self.head(self.last(x))

    def head(self, last: T) -> T:
        """Last hidden states ``[1, n, hidden]`` to logits ``[1, n, vocab]``."""
        logits = self.ops.linear(last, "lm_head")
        if self.config.softcap is not None:
            logits = torch.tanh(logits / self.config.softcap) * self.config.softcap
        return logits

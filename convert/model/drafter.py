"""The drafter's mathematics on the same semantic operations as the decoder's.

It follows transformers' ``Gemma4AssistantForCausalLM`` for one token in float32. Its layers are a decoder's that own no
keys and values: they read the model's caches and write none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic

from convert.checkpoint.modules.drafter import DrafterConfig
from convert.model.decoder import Decoder
from convert.model.ops import C, Ops
from convert.model.symbol import T


class Drafter(Generic[T, C]):
    """The drafter over given operations.

    Args:
        config: dimensions.
        ops: where weights come from and how the semantic operations run.
        head: what scores tokens instead of the head as a whole, from last hidden states ``[1, 1, hidden]``.
    """

    def __init__(self, config: DrafterConfig, ops: Ops[T, C], head: Callable[[T], T] | None = None) -> None:
        self._ops, self._head = ops, head
        self._decoder: Decoder[T, C] = Decoder(config.text, ops)

    @property
    def window(self) -> int:
        """Positions that a sliding layer looks back."""
        return self._decoder.config.window

    def masks(self, mask: T, input_pos: T) -> dict[str, T]:
        """By kind of layer, of a mask as the model's ``[1, 1, 1, context]``; ``input_pos`` as of a call."""
        return self._decoder.masks(mask, input_pos + 1)

    def __call__(
        self, activations: T, input_pos: T, masks: Mapping[str, T | None], caches: Mapping[int, tuple[C, C]]
    ) -> tuple[T, T]:
        """Drafts one token.

        Args:
            activations: ``[1, 1, 2 * hidden]`` of the model: the last token's embedding, times sqrt(hidden), and behind
                it the model's last hidden state after its final norm, or what the draft before gave.
            input_pos: int32 ``[1]``, the last position that the caches hold. The last token stands behind it, and all
                drafts are made from there.
            masks: by kind of layer, as :meth:`masks` gives them, as wide as what ``attention`` finds in a cache.
            caches: of the model, by layer; those that this drafter reads.

        Returns:
            Logits ``[1, 1, vocab]``, without a softcap, and what stands for the hidden state in the next draft,
            ``[1, 1, hidden]``.
        """
        turns = self._decoder.turns(input_pos + 1)
        x = self._ops.linear(activations, "pre_projection")
        for _, found in self._decoder.layers(x, None, turns, masks, input_pos, {}, dict(caches), logits=True):
            x = found
        last = self._decoder.last(x)
        score = self._decoder.head if self._head is None else self._head
        return score(last), self._ops.linear(last, "post_projection")

"""Which tensors a Gemma 4 checkpoint must hold, and the accounting that finds every one that is missing or too many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convert.checkpoint.config import TextConfig
from convert.checkpoint.safetensors import Tensor
from convert.checkpoint.strict_json import shown
from convert.checkpoint.tensors import FLOATS, StoredFloats
from convert.errors import CheckpointError

# transformers' names of the decoder: inside Gemma4ForConditionalGeneration, and in Gemma4ForCausalLM.
NESTED, BARE = "model.language_model.", "model."
_HEAD, _TABLE = "lm_head", "embed_tokens.weight"
_TOWERS = re.compile(r"(?:model\.)?(vision_tower|audio_tower|embed_vision|embed_audio)\..+")
_SHARED = re.compile(r"layers\.([0-9]{1,6})\.self_attn\.(?:k_proj|v_proj|k_norm|v_norm)\..+")


@dataclass(frozen=True)
class Part:
    """Something that the decoder computes with.

    Attributes:
        key: module path below the decoder; for ``plain`` the tensor's name below the decoder.
        kind: ``linear`` and ``embedding`` may be quantized, ``plain`` never is.
        shape: ``[out, in]``, ``[rows, width]``, or the tensor's shape.
    """

    key: str
    kind: Literal["linear", "embedding", "plain"]
    shape: tuple[int, ...]


def parts(config: TextConfig) -> tuple[Part, ...]:
    """The decoder's parts in the order of computation (transformers 5.22.2, ``Gemma4TextModel``)."""
    found = [Part("embed_tokens", "embedding", (config.vocab, config.hidden))]
    ple = config.per_layer_width
    if ple:
        wide = len(config.layers) * ple
        found.append(Part("embed_tokens_per_layer", "embedding", (config.per_layer_vocab, wide)))
        found.append(Part("per_layer_model_projection", "linear", (wide, config.hidden)))
        found.append(Part("per_layer_projection_norm.weight", "plain", (ple,)))
    for layer in config.layers:
        at = f"layers.{layer.index}."
        attention, hidden = config.heads * layer.head_dim, config.hidden
        norms = [
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        ]
        norms += ["post_per_layer_input_norm"] if ple else []
        found += [Part(f"{at}{norm}.weight", "plain", (hidden,)) for norm in norms]
        found.append(Part(f"{at}layer_scalar", "plain", (1,)))
        found.append(Part(f"{at}self_attn.q_proj", "linear", (attention, hidden)))
        found.append(Part(f"{at}self_attn.q_norm.weight", "plain", (layer.head_dim,)))
        if layer.owns_kv:
            keys = layer.kv_heads * layer.head_dim
            found.append(Part(f"{at}self_attn.k_proj", "linear", (keys, hidden)))
            found.append(Part(f"{at}self_attn.v_proj", "linear", (keys, hidden)))
            found.append(Part(f"{at}self_attn.k_norm.weight", "plain", (layer.head_dim,)))
        found.append(Part(f"{at}self_attn.o_proj", "linear", (hidden, attention)))
        found.append(Part(f"{at}mlp.gate_proj", "linear", (layer.intermediate, hidden)))
        found.append(Part(f"{at}mlp.up_proj", "linear", (layer.intermediate, hidden)))
        found.append(Part(f"{at}mlp.down_proj", "linear", (hidden, layer.intermediate)))
        if ple:
            found.append(Part(f"{at}per_layer_input_gate", "linear", (ple, hidden)))
            found.append(Part(f"{at}per_layer_projection", "linear", (hidden, ple)))
    found.append(Part("norm.weight", "plain", (config.hidden,)))
    if not config.tied:
        found.append(Part(_HEAD, "linear", (config.vocab, config.hidden)))
    return tuple(found)


class Ledger:
    """Hands out every stored tensor at most once; what nobody took in the end is unexpected.

    Args:
        tensors: all tensors of the checkpoint by published name; see ``convert.checkpoint.names``.
        config: the decoder's dimensions, to know which layers share keys and values.
        asked: what the user wanted, for messages.
        nested: the decoder is part of a ``Gemma4ForConditionalGeneration``.
    """

    def __init__(self, tensors: Mapping[str, Tensor], config: TextConfig, asked: str, nested: bool = True) -> None:
        self.asked, self._config = asked, config
        self._tensors, self._open = tensors, set(tensors)
        self._prefix = NESTED if nested else BARE

    def name(self, key: str) -> str:
        """The published name of a module or tensor of the decoder, which is also its name in transformers."""
        return key if key.split(".", 1)[0] == _HEAD else self._prefix + key

    def has(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, shapes: Iterable[tuple[int, ...]], dtypes: tuple[str, ...], why: str = "") -> Tensor:
        """The tensor of this published name, which must have one of the shapes and dtypes.

        Args:
            why: the reason for the expectation, added to the message.

        Raises:
            CheckpointError: it is missing, or has another shape or dtype.
        """
        tensor = self._tensors.get(name)
        if tensor is None:
            raise CheckpointError(self.asked, f"tensor {name} is missing", "Download the checkpoint again")
        expected = tuple(shapes)
        if tensor.shape not in expected or tensor.dtype not in dtypes:
            wanted = f"{' or '.join(dtypes)} {' or '.join(str(list(shape)) for shape in expected)}"
            found = f"tensor {name} is {tensor.dtype} {list(tensor.shape)}; config.json asks for {wanted}{why}"
            raise CheckpointError(self.asked, found, "Use a checkpoint whose config.json belongs to it")
        self._open.discard(name)
        return tensor

    def floats(self, part: Part) -> tuple[str, StoredFloats]:
        """Key and tensor of a part that is stored as floating-point numbers.

        Vectors are small and are checked here to be finite; matrices are read later, by whoever streams them.
        """
        key = part.key if part.kind == "plain" else f"{part.key}.weight"
        stored = StoredFloats(self.take(self.name(key), [part.shape], FLOATS))
        if part.kind == "plain" and not np.isfinite(stored.float32()).all():
            raise CheckpointError(
                self.asked, f"tensor {stored.name} holds a number that is not finite", "Do not use it"
            )
        return key, stored

    def close(self) -> Mapping[str, str]:
        """Ends the accounting: tensors that are recognized but not converted, by name, with the reason.

        Raises:
            CheckpointError: a tensor belongs to nothing that is known, or the tied head is not the embedding.
        """
        twice = self._tied_head()
        left_out = {}
        for name in sorted(self._open):
            reason = twice if twice and name == f"{_HEAD}.weight" else self._reason(name)
            if reason is None:
                more = sum(self._reason(other) is None for other in self._open) - 1
                found = f"unexpected tensor {shown(name)}" + (f" and {more} more" if more else "")
                raise CheckpointError(self.asked, found, "Use a checkpoint whose config.json belongs to it")
            left_out[name] = reason
        return left_out

    def _tied_head(self) -> str | None:
        """Why a head that is stored although it is tied to the embedding is left out: it is equal, byte for byte."""
        head, table = self._tensors.get(f"{_HEAD}.weight"), self._tensors.get(self._prefix + _TABLE)
        if head is None or table is None or not self._config.tied:
            return None
        same = (head.dtype, head.shape) == (table.dtype, table.shape)
        for (start, mine), (_, theirs) in zip(head.chunks(), table.chunks(), strict=True) if same else ():
            if not np.array_equal(mine, theirs):
                row = start + int(np.flatnonzero((mine != theirs).any(axis=1))[0])
                where = f"row {row} of tensor {head.name} is not that of {table.name}"
                break
        else:
            if same:
                return "the head, tied to the embedding and equal to it, byte for byte"
            where = f"tensor {head.name} is {head.dtype} {list(head.shape)}, {table.name} is not"
        found = f"config.json ties the head to the embedding, and {where}"
        action = "Set tie_word_embeddings to false if the model was trained with a head of its own, or remove the head"
        raise CheckpointError(self.asked, found, action)

    def _reason(self, name: str) -> str | None:
        tower = _TOWERS.fullmatch(name)
        if tower:
            return f"{'vision' if 'vision' in tower[1] else 'audio'} encoder; only the text decoder is converted"
        shared = _SHARED.fullmatch(name.removeprefix(self._prefix)) if name.startswith(self._prefix) else None
        if shared and int(shared[1]) < len(self._config.layers):
            layer = self._config.layers[int(shared[1])]
            if not layer.owns_kv:
                return f"layer {layer.index} reads the keys and values of layer {layer.owner}"
        return None

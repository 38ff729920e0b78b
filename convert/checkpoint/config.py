"""The dimensions of a Gemma 4 text decoder, read from config.json; nothing is assumed from the model's name.

Field names, types and defaults follow transformers' ``Gemma4TextConfig``: null means the default only where that class
allows None, and a field of the wrong type is refused even if nothing here reads it, because transformers, which is what
the result is compared with, refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.checkpoint.fields import Fields
from convert.checkpoint.strict_json import read_object, shown
from convert.errors import CheckpointError

SLIDING, FULL = "sliding_attention", "full_attention"
CONFIG = "config.json"
_MAX_LAYERS = 1024
# What transformers checks the type of and this decoder has no use for: None stands for null.
_ALSO_TYPED: Mapping[str, tuple[type | None, ...]] = {
    "use_cache": (bool,),
    "tie_word_embeddings": (bool,),
    "initializer_range": (float,),
    "attention_dropout": (int, float, None),
    "num_experts": (int, None),
    "top_k_experts": (int, None),
    "moe_intermediate_size": (int, None),
}
_TYPE_WORDS: Mapping[type | None, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    None: "null",
}
_DEFAULT_ROPES: Mapping[str, Mapping[str, Any]] = {
    SLIDING: {"rope_type": "default", "rope_theta": 10_000.0},
    FULL: {"rope_type": "proportional", "rope_theta": 1_000_000.0, "partial_rotary_factor": 0.25},
}


@dataclass(frozen=True)
class Rope:
    """Rotary embedding of one kind of layer.

    Attributes:
        theta: base of the frequencies.
        kind: ``default``, or ``proportional``: the first ``partial`` of the pairs turn, the others stand still.
        partial: part of the head dimension that turns (1.0 for ``default``).
    """

    theta: float
    kind: str
    partial: float


@dataclass(frozen=True)
class Layer:
    """Everything that differs from layer to layer.

    Attributes:
        kind: ``sliding_attention`` or ``full_attention``.
        head_dim: size of a query, key or value head.
        kv_heads: number of key/value heads.
        intermediate: width of the MLP.
        owner: index of the layer whose keys and values this one reads; its own index when it owns them.
    """

    index: int
    kind: str
    head_dim: int
    kv_heads: int
    intermediate: int
    owner: int

    @property
    def owns_kv(self) -> bool:
        return self.owner == self.index


@dataclass(frozen=True)
class TextConfig:
    """A Gemma 4 text decoder.

    Attributes:
        per_layer_width: ``hidden_size_per_layer_input``; 0 when the model has no per-layer embeddings.
        per_layer_vocab: rows of the per-layer embedding table.
        softcap: ``final_logit_softcapping`` or None.
        max_context: ``max_position_embeddings``, in tokens.
        tied: lm_head shares the embedding's weights and is not stored.
    """

    vocab: int
    hidden: int
    heads: int
    window: int
    max_context: int
    norm_eps: float
    softcap: float | None
    per_layer_vocab: int
    per_layer_width: int
    tied: bool
    ropes: Mapping[str, Rope]
    layers: tuple[Layer, ...]

    @property
    def owners(self) -> tuple[Layer, ...]:
        """Layers with keys and values of their own, in order: the index into this is the KV cache's number."""
        return tuple(layer for layer in self.layers if layer.owns_kv)


def read_config(folder: Path) -> TextConfig:
    """Reads the text decoder's dimensions from ``config.json``: a ``gemma4`` configuration or a bare ``gemma4_text``.

    Defaults are those of transformers 5.22.2, ``configuration_gemma4.py``; owners of shared keys and values and the
    double-wide MLP follow ``modeling_gemma4.py`` (``Gemma4TextAttention``, ``Gemma4TextMLP``).

    Raises:
        CheckpointError: the file is missing or malformed, a field has a wrong type or an absurd value, or asks for
            something that the decoder does not do.
    """
    text, whole = read_fields(folder)
    _refuse_unsupported(text)
    kinds = _kinds(text)
    return TextConfig(
        vocab=text.integer("vocab_size", 262_144),
        hidden=text.integer("hidden_size", 2304),
        heads=text.integer("num_attention_heads", 8),
        window=text.integer("sliding_window", 512),
        max_context=text.integer("max_position_embeddings", 131_072),
        norm_eps=_fraction(text, "rms_norm_eps", 1e-6),
        softcap=_fraction(text, "final_logit_softcapping") if text.has("final_logit_softcapping") else None,
        per_layer_vocab=text.integer("vocab_size_per_layer_input", 262_144),
        per_layer_width=text.integer("hidden_size_per_layer_input", 256, low=0),
        tied=_tied(text, whole),
        ropes=_ropes(text, kinds),
        layers=_layers(text, kinds),
    )


def read_fields(folder: Path) -> tuple[Fields, Fields]:
    """The fields of the text decoder and those of the whole ``config.json`` (the same for a text-only model).

    ``model_type`` may stand at the text level alone; ``architectures`` is not read.

    Raises:
        CheckpointError: missing, malformed, or of a model that is not Gemma 4.
    """
    asked = f"read {folder}"
    whole = Fields(read_object(folder / CONFIG, asked), CONFIG, asked)
    below = whole.values.get("text_config")
    if not whole.has("model_type") and isinstance(below, dict) and below.get("model_type") == "gemma4_text":
        return whole.object("text_config"), whole
    if whole.choice("model_type", ("gemma4", "gemma4_text")) == "gemma4_text":
        return whole, whole
    text = whole.object("text_config")
    text.choice("model_type", (None, "gemma4_text"))
    return text, whole


def _tied(text: Fields, whole: Fields) -> bool:
    # transformers asks the configuration of the model it loads, which is the outer one for a multimodal checkpoint.
    if "tie_word_embeddings" not in whole.values and not text.boolean("tie_word_embeddings", True):
        raise whole.fail("tie_word_embeddings", "false as in text_config: left out, it counts as true in transformers")
    return whole.boolean("tie_word_embeddings", True)


def _fraction(fields: Fields, name: str, default: float | None = None) -> float:
    """A number that transformers takes with a decimal point only."""
    if type(fields.values.get(name)) is int:
        raise fields.fail(name, "a number above 0 with a decimal point, as transformers wants it")
    return fields.number(name, default)


def _refuse_unsupported(text: Fields) -> None:
    for name in ("enable_moe_block", "attention_k_eq_v", "attention_bias"):
        if text.boolean(name, False):
            raise text.fail(name, "false: E2B, E4B and their relatives are what this decoder computes")
    text.choice("use_bidirectional_attention", (None, "vision"))
    text.choice("hidden_activation", ("gelu_pytorch_tanh",), "gelu_pytorch_tanh")
    for name, types in _ALSO_TYPED.items():
        value = text.values.get(name)
        if name in text.values and type(value) not in types and not (value is None and None in types):
            raise text.fail(name, " or ".join(_TYPE_WORDS[one] for one in types))


def _kinds(text: Fields) -> tuple[str, ...]:
    count = text.integer("num_hidden_layers", 30)
    if count > _MAX_LAYERS:
        raise text.fail("num_hidden_layers", f"at most {_MAX_LAYERS}")
    kinds = text.values.get("layer_types")
    if kinds is None:
        if text.has("sliding_window_pattern"):  # as above
            raise text.fail("sliding_window_pattern", "left out, and layer_types given")
        kinds = [FULL if index % 6 == 5 else SLIDING for index in range(count)]
    if not isinstance(kinds, list) or len(kinds) != count or any(kind not in (SLIDING, FULL) for kind in kinds):
        raise text.fail("layer_types", f"a list of {count} words, each '{SLIDING}' or '{FULL}'")
    return (*kinds[:-1], FULL)  # transformers forces the last layer to full attention


def _ropes(text: Fields, kinds: tuple[str, ...]) -> Mapping[str, Rope]:
    # transformers lets it replace rope_parameters.
    if text.has("rope_scaling"):
        raise text.fail("rope_scaling", "left out: rope_parameters says it in Gemma 4")
    if text.has("rope_parameters"):
        given = text.object("rope_parameters")
    else:
        # transformers would ignore these old spellings and take the defaults.
        for name in ("rope_theta", "rope_local_base_freq", "partial_rotary_factor"):
            if text.has(name):
                raise text.fail(name, "in rope_parameters, once for each kind of layer")
        given = Fields(_DEFAULT_ROPES, f"{text.path}: rope_parameters", text.asked)
    return {kind: _rope(given.object(kind)) for kind in (SLIDING, FULL) if kind in kinds}


def _rope(fields: Fields) -> Rope:
    kind = fields.choice("rope_type", ("default", "proportional"), "default")
    if fields.number("factor", 1.0) != 1.0:
        raise fields.fail("factor", "1: scaled rotary embeddings are not supported")
    partial = fields.number("partial_rotary_factor", 1.0)
    if partial > 1:
        raise fields.fail("partial_rotary_factor", "at most 1")
    # The default kind turns the whole head, whatever partial_rotary_factor says.
    return Rope(fields.number("rope_theta"), str(kind), partial if kind == "proportional" else 1.0)


def _layers(text: Fields, kinds: tuple[str, ...]) -> tuple[Layer, ...]:
    shared = text.integer("num_kv_shared_layers", 0, low=0)
    first_shared = len(kinds) - shared
    if first_shared <= 0:
        raise text.fail("num_kv_shared_layers", f"below the number of layers, {len(kinds)}")
    double = text.boolean("use_double_wide_mlp", False)
    width = text.integer("intermediate_size", 9216)
    last_owner = {kind: index for index, kind in enumerate(kinds[:first_shared])}
    overrides = _overrides(text, len(kinds))
    layers = []
    for index, kind in enumerate(kinds):
        if index >= first_shared and kind not in last_owner:
            raise text.fail("num_kv_shared_layers", f"smaller: layer {index} finds no {kind} layer to share with")
        head_dim, kv_heads = _per_layer(text, overrides, index, kind)
        layers.append(
            Layer(
                index=index,
                kind=kind,
                head_dim=head_dim,
                kv_heads=kv_heads,
                intermediate=width * (2 if double and index >= first_shared else 1),
                owner=last_owner[kind] if index >= first_shared else index,
            )
        )
    _check_heads(text, layers)
    return tuple(layers)


def _overrides(text: Fields, count: int) -> Mapping[int, Fields] | None:
    """``per_layer_config`` by layer index; None when the field is not there. Null overrides nothing."""
    if "per_layer_config" not in text.values:
        return None
    if not text.has("per_layer_config"):
        return {}
    given = text.object("per_layer_config")
    layers: dict[int, Fields] = {}
    for key in given.values:
        # transformers pads the numbers with zeros so that they sort.
        if not (key.isascii() and key.isdigit() and len(key) <= 8) or int(key) >= count or int(key) in layers:
            action = f"Its keys must be different layer numbers below {count}"
            raise CheckpointError(text.asked, f"{given.path} has key {shown(key)}", action)
        layers[int(key)] = layer = given.object(key)
        odd = sorted(set(layer.values) - {"head_dim", "num_key_value_heads"})
        if odd:
            raise layer.fail(odd[0], "left out: only head_dim and num_key_value_heads may differ from layer to layer")
    return layers


def _per_layer(text: Fields, overrides: Mapping[int, Fields] | None, index: int, kind: str) -> tuple[int, int]:
    """Head size and key/value heads of a layer.

    ``per_layer_config`` if it is there, else ``global_head_dim`` on full-attention layers, else the common value.
    ``num_global_key_value_heads`` counts only together with ``attention_k_eq_v``, which is refused.
    """
    head_dim, kv_heads = text.integer("head_dim", 256), text.integer("num_key_value_heads", 4)
    if overrides is None:
        return (text.integer("global_head_dim", 512) if kind == FULL else head_dim), kv_heads
    if index not in overrides:
        return head_dim, kv_heads
    return overrides[index].integer("head_dim", head_dim), overrides[index].integer("num_key_value_heads", kv_heads)


def _check_heads(text: Fields, layers: list[Layer]) -> None:
    heads = text.integer("num_attention_heads", 8)
    first: dict[str, Layer] = {}
    for layer in layers:
        if heads % layer.kv_heads:
            raise text.fail(
                "num_attention_heads", f"a multiple of layer {layer.index}'s {layer.kv_heads} key/value heads"
            )
        if layer.head_dim % 2:
            raise text.fail("head_dim", f"even; layer {layer.index} has {layer.head_dim}")
        same = first.setdefault(layer.kind, layer)
        if (same.head_dim, same.kv_heads) != (layer.head_dim, layer.kv_heads):
            raise text.fail(
                "per_layer_config", f"the same for all {layer.kind} layers, which share their rotary embedding"
            )

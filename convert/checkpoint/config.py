"""The dimensions of a Gemma 4 text decoder, read from config.json; nothing is assumed from the model's name.

Field names, types and defaults follow transformers' ``Gemma4TextConfig``: null means the default only where that class
allows None, and a field of the wrong type is refused even if nothing here reads it, because transformers, which is what
the result is compared with, refuses it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, InstanceOf

from convert.checkpoint.fields import Count, Fields, Flag, Model, Natural, Positive, Share, one_of
from convert.checkpoint.strict_json import read_object, shown
from convert.errors import CheckpointError

SLIDING, FULL = "sliding_attention", "full_attention"
CONFIG = "config.json"
_DEFAULT_ROPES: Mapping[str, Mapping[str, Any]] = {
    SLIDING: {"rope_type": "default", "rope_theta": 10_000.0},
    FULL: {"rope_type": "proportional", "rope_theta": 1_000_000.0, "partial_rotary_factor": 0.25},
}
_POINT = "a number above 0 with a decimal point, as transformers wants it"
_Fraction = Annotated[InstanceOf[float], Field(gt=0, lt=math.inf, description=_POINT)]
_OFF = "false: E2B, E4B and their relatives are what this decoder computes"
_Off = Annotated[bool, one_of(False), Field(description=_OFF)]
_None = Annotated[int, Field(ge=0, le=0, description="0: a drafter has no per-layer embeddings")]
_Whole = Annotated[int | None, Field(description="a whole number or null")]


class _Text(Model):
    """The text decoder's fields: those that say how it is made, then those of which this decoder takes one value."""

    vocab_size: Count = 262_144
    vocab_size_per_layer_input: Count = 262_144
    hidden_size: Count = 2304
    hidden_size_per_layer_input: Natural = 256
    intermediate_size: Count = 9216
    use_double_wide_mlp: Flag = False
    num_hidden_layers: Annotated[int, Field(ge=1, le=1024, description="a whole number from 1 to 1024")] = 30
    num_kv_shared_layers: Natural = 0
    num_attention_heads: Count = 8
    num_key_value_heads: Count = 4
    head_dim: Count = 256
    global_head_dim: Count = 512
    sliding_window: Count = 512
    max_position_embeddings: Count = 131_072
    rms_norm_eps: _Fraction = 1e-6
    final_logit_softcapping: Annotated[_Fraction | None, Field(description=_POINT)] = None
    tie_word_embeddings: Flag = True

    model_type: Literal[None, "gemma4_text"] = None
    enable_moe_block: _Off = False
    attention_k_eq_v: _Off = False
    attention_bias: _Off = False
    use_bidirectional_attention: Literal[None, "vision"] = None
    hidden_activation: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"
    # Nothing here reads these.
    use_cache: Flag = True
    initializer_range: Annotated[InstanceOf[float], Field(description="a number with a decimal point")] = 0.02
    attention_dropout: Annotated[float | None, Field(description="a number or null")] = None
    num_experts: _Whole = None
    top_k_experts: _Whole = None
    moe_intermediate_size: _Whole = None


class _Reader(_Text):
    """Of a decoder all of whose layers read the keys and values of another one."""

    hidden_size_per_layer_input: _None = 0
    vocab_size_per_layer_input: _None = 0
    use_double_wide_mlp: Annotated[bool, one_of(False), Field(description="false, as in every drafter")] = False


class _Rope(Model):
    rope_type: Literal["default", "proportional"] = "default"
    rope_theta: Positive
    partial_rotary_factor: Share = 1.0
    factor: Annotated[float, Field(ge=1, le=1, description="1: scaled rotary embeddings are not supported")] = 1.0


class _Override(Model, extra="forbid"):
    """What differs in a layer; 0: nothing."""

    OTHERS = "left out: only head_dim and num_key_value_heads may differ from layer to layer"
    head_dim: Count = 0
    num_key_value_heads: Count = 0


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
        lent: the owner is a layer of another module, as it is for all layers of a drafter.
    """

    index: int
    kind: str
    head_dim: int
    kv_heads: int
    intermediate: int
    owner: int
    lent: bool = False

    @property
    def owns_kv(self) -> bool:
        return self.owner == self.index and not self.lent


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
    fields, whole = read_fields(folder)
    return _read(fields, whole, fields.read(_Text), None)


def read_reader(fields: Fields, whole: Fields, lent: Mapping[str, int]) -> TextConfig:
    """The same of a decoder that owns no keys and values and has no per-layer embeddings, as a drafter's is.

    Args:
        fields, whole: of the decoder, and of the model that it is a part of.
        lent: by kind of layer, the layer of another module whose keys and values are read.

    Raises:
        CheckpointError: as ``read_config``; or a layer finds nothing to read.
    """
    return _read(fields, whole, fields.read(_Reader), lent)


def _read(fields: Fields, whole: Fields, text: _Text, lent: Mapping[str, int] | None) -> TextConfig:
    kinds = _kinds(fields, text)
    return TextConfig(
        vocab=text.vocab_size,
        hidden=text.hidden_size,
        heads=text.num_attention_heads,
        window=text.sliding_window,
        max_context=text.max_position_embeddings,
        norm_eps=text.rms_norm_eps,
        softcap=text.final_logit_softcapping,
        per_layer_vocab=text.vocab_size_per_layer_input,
        per_layer_width=text.hidden_size_per_layer_input,
        tied=_tied(text, whole),
        ropes=_ropes(fields, kinds),
        layers=_layers(fields, text, kinds, lent),
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
    if whole.values.get("model_type") not in ("gemma4", "gemma4_text"):
        raise whole.fail("model_type", "'gemma4' or 'gemma4_text'")
    return (whole.object("text_config") if whole.values["model_type"] == "gemma4" else whole), whole


def _tied(text: _Text, whole: Fields) -> bool:
    # transformers asks the configuration of the model it loads, which is the outer one for a multimodal checkpoint.
    if "tie_word_embeddings" not in whole.values and not text.tie_word_embeddings:
        raise whole.fail("tie_word_embeddings", "false as in text_config: left out, it counts as true in transformers")
    tied = whole.values.get("tie_word_embeddings", True)
    if not isinstance(tied, bool):
        raise whole.fail("tie_word_embeddings", "true or false")
    return tied


def _kinds(fields: Fields, text: _Text) -> tuple[str, ...]:
    count, kinds = text.num_hidden_layers, fields.values.get("layer_types")
    if kinds is None:
        if fields.has("sliding_window_pattern"):  # transformers would ignore this old spelling and take the default
            raise fields.fail("sliding_window_pattern", "left out, and layer_types given")
        kinds = [FULL if index % 6 == 5 else SLIDING for index in range(count)]
    if not isinstance(kinds, list) or len(kinds) != count or any(kind not in (SLIDING, FULL) for kind in kinds):
        raise fields.fail("layer_types", f"a list of {count} words, each '{SLIDING}' or '{FULL}'")
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
    ropes = {kind: given.object(kind).read(_Rope) for kind in (SLIDING, FULL) if kind in kinds}
    # The default kind turns the whole head, whatever partial_rotary_factor says.
    return {
        kind: Rope(rope.rope_theta, rope.rope_type, rope.partial_rotary_factor if rope.rope_type != "default" else 1.0)
        for kind, rope in ropes.items()
    }


def _layers(fields: Fields, text: _Text, kinds: tuple[str, ...], lent: Mapping[str, int] | None) -> tuple[Layer, ...]:
    first_shared = len(kinds) - text.num_kv_shared_layers
    if lent is not None:
        # transformers takes 0 for all of them.
        if text.num_kv_shared_layers not in (0, len(kinds)):
            raise fields.fail("num_kv_shared_layers", f"the number of layers, {len(kinds)}, or 0")
        first_shared = 0
    elif first_shared <= 0:
        raise fields.fail("num_kv_shared_layers", f"below the number of layers, {len(kinds)}")
    last_owner = {kind: index for index, kind in enumerate(kinds[:first_shared])} if lent is None else lent
    overrides = _overrides(fields, len(kinds))
    layers = []
    for index, kind in enumerate(kinds):
        if index >= first_shared and kind not in last_owner:
            raise fields.fail("num_kv_shared_layers", f"smaller: layer {index} finds no {kind} layer to share with")
        head_dim, kv_heads = _per_layer(text, overrides, index, kind)
        layers.append(
            Layer(
                index=index,
                kind=kind,
                head_dim=head_dim,
                kv_heads=kv_heads,
                intermediate=text.intermediate_size * (2 if text.use_double_wide_mlp and index >= first_shared else 1),
                owner=last_owner[kind] if index >= first_shared else index,
                lent=lent is not None,
            )
        )
    _check_heads(fields, text.num_attention_heads, layers)
    return tuple(layers)


def _overrides(text: Fields, count: int) -> Mapping[int, _Override] | None:
    """``per_layer_config`` by layer index; None when the field is not there. Null overrides nothing."""
    if "per_layer_config" not in text.values:
        return None
    if not text.has("per_layer_config"):
        return {}
    given = text.object("per_layer_config")
    layers: dict[int, _Override] = {}
    for key in given.values:
        # transformers pads the numbers with zeros so that they sort.
        if not (key.isascii() and key.isdigit() and len(key) <= 8) or int(key) >= count or int(key) in layers:
            action = f"Its keys must be different layer numbers below {count}"
            raise CheckpointError(text.asked, f"{given.path} has key {shown(key)}", action)
        layers[int(key)] = given.object(key).read(_Override)
    return layers


def _per_layer(text: _Text, overrides: Mapping[int, _Override] | None, index: int, kind: str) -> tuple[int, int]:
    """Head size and key/value heads of a layer.

    ``per_layer_config`` if it is there, else ``global_head_dim`` on full-attention layers, else the common value.
    ``num_global_key_value_heads`` counts only together with ``attention_k_eq_v``, which is refused.
    """
    head_dim, kv_heads = text.head_dim, text.num_key_value_heads
    if overrides is None:
        return (text.global_head_dim if kind == FULL else head_dim), kv_heads
    layer = overrides.get(index, _Override())
    return layer.head_dim or head_dim, layer.num_key_value_heads or kv_heads


def _check_heads(fields: Fields, heads: int, layers: list[Layer]) -> None:
    first: dict[str, Layer] = {}
    for layer in layers:
        if heads % layer.kv_heads:
            raise fields.fail(
                "num_attention_heads", f"a multiple of layer {layer.index}'s {layer.kv_heads} key/value heads"
            )
        if layer.head_dim % 2:
            raise fields.fail("head_dim", f"even; layer {layer.index} has {layer.head_dim}")
        same = first.setdefault(layer.kind, layer)
        if (same.head_dim, same.kv_heads) != (layer.head_dim, layer.kv_heads):
            raise fields.fail(
                "per_layer_config", f"the same for all {layer.kind} layers, which share their rotary embedding"
            )

"""The vision encoder and its projection into the text decoder: what a checkpoint has to hold of them.

Field names, types and defaults follow transformers' ``Gemma4VisionConfig``. It is converted where images are asked for,
else recognized and left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, InstanceOf

from convert.checkpoint import image_processor
from convert.checkpoint.fields import Count, Fields, Flag, Model, Positive, one_of
from convert.checkpoint.module import Given, Kind
from convert.checkpoint.outline import Outline, Part

TOWER, EMBEDDER = "vision_tower", "embed_vision"
TABLE = f"{TOWER}.patch_embedder.position_embedding_table"
BOUNDS = ("input_min", "input_max", "output_min", "output_max")
_CONFIG = "vision_config"
_CHANNELS = 3
_QUESTIONS = "evaluation_images.jsonl"  # which the judge asks, and nobody here reads
_PLAIN = "false: what is added or standardized beside the tower of E2B and E4B is not computed"


class _Vision(Model):
    """The tower's fields: those that say how it is made, then those of which it takes one value."""

    hidden_size: Count = 768
    intermediate_size: Count = 3072
    num_hidden_layers: Annotated[int, Field(ge=1, le=1024, description="a whole number from 1 to 1024")] = 16
    num_attention_heads: Count = 12
    num_key_value_heads: Count = 12
    head_dim: Count = 64
    position_embedding_size: Count = 10_240
    rms_norm_eps: Annotated[
        InstanceOf[float], Field(gt=0, lt=math.inf, description="a number above 0 with a decimal point")
    ] = 1e-6
    use_clipped_linears: Flag = False
    default_output_length: Count = 280

    model_type: Literal[None, "gemma4_vision"] = None
    hidden_activation: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"
    attention_bias: Annotated[bool | None, one_of(False, None), Field(description=_PLAIN)] = False
    standardize: Annotated[bool, one_of(False), Field(description=_PLAIN)] = False
    # The engines that cut an image into patches are told these, and were run with these alone.
    patch_size: Annotated[int, one_of(16), Field(description="16, as in every Gemma 4")] = 16
    pooling_kernel_size: Annotated[int, one_of(3), Field(description="3, as in every Gemma 4")] = 3


class _Rope(Model):
    # transformers takes "default" for its axial one.
    rope_type: Literal["default", "axial"] = "axial"
    rope_theta: Positive = 100.0


@dataclass(frozen=True)
class VisionConfig:
    """A vision tower.

    Attributes:
        positions: rows of each of the two tables of position embeddings, of x and of y.
        patch: side of a patch in pixels.
        pool: a soft token is the mean of ``pool * pool`` patches.
        theta: base of the rotary embedding's frequencies.
        clipped: each linear of the layers clips its input and its output.
        tokens: rows of the text decoder that an image becomes, at most, as the tower was trained.
        width: hidden size of the text decoder.
        sees_ahead: in sliding layers of the decoder, rows of an image see all of that image.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    head_dim: int
    positions: int
    patch: int
    pool: int
    norm_eps: float
    theta: float
    clipped: bool
    tokens: int
    width: int
    sees_ahead: bool

    @property
    def pixels(self) -> int:
        """Numbers of a patch."""
        return _CHANNELS * self.patch**2


def _outline(given: Given) -> Outline[VisionConfig] | None:
    if not given.nested or not given.whole.has(_CONFIG):
        return None
    config = _read(given.whole.object(_CONFIG), given)
    return Outline(config=config, name="model.{}".format, parts=tuple(_parts(config)), floats=True)


def _read(fields: Fields, given: Given) -> VisionConfig:
    read = fields.read(_Vision)
    rope = fields.object("rope_parameters").read(_Rope) if fields.has("rope_parameters") else _Rope()
    if read.num_key_value_heads != read.num_attention_heads:
        raise fields.fail("num_key_value_heads", f"{read.num_attention_heads}, as num_attention_heads")
    if read.head_dim % 4:
        raise fields.fail("head_dim", "a multiple of 4: half of its pairs turn by x, half by y")
    text = given.whole.values.get("text_config", {})
    return VisionConfig(
        layers=read.num_hidden_layers,
        hidden=read.hidden_size,
        intermediate=read.intermediate_size,
        heads=read.num_attention_heads,
        head_dim=read.head_dim,
        positions=read.position_embedding_size,
        patch=read.patch_size,
        pool=read.pooling_kernel_size,
        norm_eps=read.rms_norm_eps,
        theta=rope.rope_theta,
        clipped=read.use_clipped_linears,
        tokens=read.default_output_length,
        width=given.text.hidden,
        sees_ahead=text.get("use_bidirectional_attention") == "vision",
    )


def _parts(config: VisionConfig) -> Iterator[Part]:
    """In the order of computation (transformers 5.22.2, ``Gemma4VisionModel``, ``Gemma4MultimodalEmbedder``)."""
    hidden = config.hidden
    yield Part(f"{TOWER}.patch_embedder.input_proj", "linear", (hidden, config.pixels), rounded="perhaps")
    yield Part(TABLE, "plain", (2, config.positions, hidden))
    for index in range(config.layers):
        yield from _layer(config, f"{TOWER}.encoder.layers.{index}")
    yield Part(f"{EMBEDDER}.embedding_projection", "linear", (config.width, hidden), rounded="perhaps")


def _layer(config: VisionConfig, at: str) -> Iterator[Part]:
    hidden, inner, wide = config.hidden, config.heads * config.head_dim, config.intermediate
    yield Part(f"{at}.input_layernorm.weight", "plain", (hidden,))
    for leaf in "qkv":
        yield from _linear(config, f"{at}.self_attn.{leaf}_proj", (inner, hidden))
    for leaf in "qk":
        yield Part(f"{at}.self_attn.{leaf}_norm.weight", "plain", (config.head_dim,))
    yield from _linear(config, f"{at}.self_attn.o_proj", (hidden, inner))
    yield Part(f"{at}.post_attention_layernorm.weight", "plain", (hidden,))
    yield Part(f"{at}.pre_feedforward_layernorm.weight", "plain", (hidden,))
    yield from _linear(config, f"{at}.mlp.gate_proj", (wide, hidden))
    yield from _linear(config, f"{at}.mlp.up_proj", (wide, hidden))
    yield from _linear(config, f"{at}.mlp.down_proj", (hidden, wide))
    yield Part(f"{at}.post_feedforward_layernorm.weight", "plain", (hidden,))


def _linear(config: VisionConfig, at: str, shape: tuple[int, int]) -> Iterator[Part]:
    """A ``Gemma4ClippableLinear``."""
    yield Part(f"{at}.linear", "linear", shape, rounded="perhaps")
    for bound in BOUNDS if config.clipped else ():
        yield Part(f"{at}.{bound}", "bound", ())


MODULE = Kind(
    title="vision encoder",
    roots=(TOWER, EMBEDDER),
    config=_CONFIG,
    outline=_outline,
    modality="image",
    files=(*image_processor.FILES, _QUESTIONS),
    beside=image_processor.check,
)

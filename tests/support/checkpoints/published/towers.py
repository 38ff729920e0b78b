"""Which tensors the vision and audio towers of a published Gemma 4 checkpoint hold: names, dtypes and shapes.

Source of the names: transformers 5.22.2, ``models/gemma4/modeling_gemma4.py``. In the mobile format all floats of the
audio tower and the two projections into the decoder are float32; in q4_0 everything is bfloat16, and each linear that
is clipped has four bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.demo.writing.stored import Matrix, Tensor, stored_matrix
from tests.support.checkpoints.published.tower_shapes import Audio, Towers, Vision

ROOTS = ("vision_tower.", "audio_tower.")
_PREFIX = "model."
_BOUNDS = ("input_max", "input_min", "output_max", "output_min")


def tensors(towers: Towers, hidden: int, format: str) -> Iterator[Tensor]:
    """Every tensor of both towers and of their projections into a decoder of width ``hidden``, unsorted."""
    mobile = format == "mobile"
    for matrix in (*_vision_linears(towers.vision, towers.vision_bits), *_audio_linears(towers)):
        if mobile:
            yield from stored_matrix(_PREFIX + matrix.key, matrix)
            continue
        yield Tensor(f"{_PREFIX}{matrix.key}.weight", "BF16", (matrix.rows, matrix.columns), matrix.key, "tower")
        for bound in _BOUNDS:
            name = f"{matrix.key.removesuffix('.linear')}.{bound}"
            yield Tensor(_PREFIX + name, "BF16", (), name, "bound")
    for name, shape in _vision_floats(towers.vision):
        yield Tensor(_PREFIX + name, "BF16", shape, name, "tower")
    yield from (
        Tensor(_PREFIX + name, "F32" if mobile else "BF16", shape, name, "tower")
        for name, shape in (*_audio_floats(towers.audio), *_projections(towers, hidden))
    )


def _vision_linears(vision: Vision, bits: int) -> Iterator[Matrix]:
    hidden, wide = vision.hidden, vision.intermediate
    for i in range(vision.layers):
        at = f"vision_tower.encoder.layers.{i}."
        for leaf in "qkvo":
            yield Matrix(f"{at}self_attn.{leaf}_proj.linear", hidden, hidden, bits)
        yield Matrix(f"{at}mlp.gate_proj.linear", wide, hidden, bits)
        yield Matrix(f"{at}mlp.up_proj.linear", wide, hidden, bits)
        yield Matrix(f"{at}mlp.down_proj.linear", hidden, wide, bits)


def _vision_floats(vision: Vision) -> Iterator[tuple[str, tuple[int, ...]]]:
    for i in range(vision.layers):
        at = f"vision_tower.encoder.layers.{i}."
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            yield f"{at}{norm}_layernorm.weight", (vision.hidden,)
        for leaf in "qk":
            yield f"{at}self_attn.{leaf}_norm.weight", (vision.head_dim,)
    at = "vision_tower.patch_embedder."
    yield at + "input_proj.weight", (vision.hidden, 3 * vision.patch**2)
    yield at + "position_embedding_table", (2, vision.positions, vision.hidden)


def _audio_linears(towers: Towers) -> Iterator[Matrix]:
    hidden, bits = towers.audio.hidden, towers.audio_bits
    for i in range(towers.audio.layers):
        at = f"audio_tower.layers.{i}."
        for half in ("feed_forward1", "feed_forward2"):
            yield Matrix(f"{at}{half}.ffw_layer_1.linear", 4 * hidden, hidden, bits)
            yield Matrix(f"{at}{half}.ffw_layer_2.linear", hidden, 4 * hidden, bits)
        yield Matrix(f"{at}lconv1d.linear_start.linear", 2 * hidden, hidden, towers.start_bits)
        yield Matrix(f"{at}lconv1d.linear_end.linear", hidden, hidden, bits)
        for leaf in ("q_proj", "k_proj", "v_proj", "post"):
            yield Matrix(f"{at}self_attn.{leaf}.linear", hidden, hidden, bits)


def _audio_floats(audio: Audio) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = audio.hidden
    for i in range(audio.layers):
        at = f"audio_tower.layers.{i}."
        for half in ("feed_forward1", "feed_forward2"):
            for norm in ("pre", "post"):
                yield f"{at}{half}.{norm}_layer_norm.weight", (hidden,)
        for norm in ("lconv1d.conv_norm", "lconv1d.pre_layer_norm", "norm_out", "norm_post_attn", "norm_pre_attn"):
            yield f"{at}{norm}.weight", (hidden,)
        yield f"{at}lconv1d.depthwise_conv1d.weight", (hidden, 1, audio.kernel)
        yield f"{at}self_attn.per_dim_scale", (hidden // audio.heads,)
        yield f"{at}self_attn.relative_k_proj.weight", (hidden, hidden)
    yield "audio_tower.output_proj.bias", (audio.output,)
    yield "audio_tower.output_proj.weight", (audio.output, hidden)
    at, before = "audio_tower.subsample_conv_projection.", 1
    for i, channels in enumerate(audio.channels):
        yield f"{at}layer{i}.conv.weight", (channels, before, 3, 3)
        yield f"{at}layer{i}.norm.weight", (channels,)
        before = channels
    yield at + "input_proj_linear.weight", (hidden, before * audio.bands // 4)


def _projections(towers: Towers, hidden: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embed_audio.embedding_projection.weight", (hidden, towers.audio.output)
    yield "embed_vision.embedding_projection.weight", (hidden, towers.vision.hidden)

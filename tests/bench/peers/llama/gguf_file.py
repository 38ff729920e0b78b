"""Writes a GGUF file in the shape of a Gemma 4 checkpoint, of random Q4_0 blocks. Run by a Python that has gguf.

``python gguf_file.py CONFIG.JSON FILE`` prints, as JSON, how many bytes of the file each token reads. Matrices and both
tables of embeddings are Q4_0, the embedding being the head as well; the projection to the per-layer inputs is float16
and norms are float32, for llama.cpp's own quantizer leaves both alone (``src/llama-quant.cpp``). Names, shapes and
settings are those that it asks of the architecture ``gemma4`` (``src/models/gemma4.cpp``). Without a vocabulary a model
can be fed by numbers alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # values of a block, which is a float16 scale and half a byte for each
PIECE = 1 << 20  # blocks
UNTURNED = 1e30  # divides the angle of what a full-attention head does not turn
Q4_0, F16, F32 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32
TABLE = "per_layer_token_embd.weight"

Tensor = tuple[str, tuple[int, ...], Any]


def heads(text: dict[str, Any], layer: int) -> int:
    """Head size of a layer."""
    return int(text["head_dim" if text["layer_types"][layer] == "sliding_attention" else "global_head_dim"])


def tensors(text: dict[str, Any]) -> Iterator[Tensor]:
    """Names, shapes (rows first) and types."""
    hidden, layers, vocab = text["hidden_size"], text["num_hidden_layers"], text["vocab_size"]
    wide, owners = text["hidden_size_per_layer_input"], layers - text["num_kv_shared_layers"]
    yield "token_embd.weight", (vocab, hidden), Q4_0
    yield TABLE, (vocab, layers * wide), Q4_0
    yield "per_layer_model_proj.weight", (layers * wide, hidden), F16
    yield "per_layer_proj_norm.weight", (wide,), F32
    yield "output_norm.weight", (hidden,), F32
    yield "rope_freqs.weight", (text["global_head_dim"] // 2,), F32
    for i in range(layers):
        base, head = f"blk.{i}.", heads(text, i)
        queries, keys = text["num_attention_heads"] * head, text["num_key_value_heads"] * head
        mlp = text["intermediate_size"] * (2 if text["use_double_wide_mlp"] and i >= owners else 1)
        matrices = {
            "attn_q": (queries, hidden),
            **({"attn_k": (keys, hidden), "attn_v": (keys, hidden)} if i < owners else {}),
            "attn_output": (hidden, queries),
            "ffn_gate": (mlp, hidden),
            "ffn_up": (mlp, hidden),
            "ffn_down": (hidden, mlp),
            "inp_gate": (wide, hidden),
            "proj": (hidden, wide),
        }
        norms = dict.fromkeys(("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "post_norm"), hidden)
        norms |= {"attn_q_norm": head, "layer_output_scale": 1} | ({"attn_k_norm": head} if i < owners else {})
        yield from ((f"{base}{name}.weight", shape, Q4_0) for name, shape in matrices.items())
        yield from ((f"{base}{name}.weight", (size,), F32) for name, size in norms.items())


def settings(writer: Any, text: dict[str, Any]) -> None:
    """What ``config.json`` says, in llama.cpp's words."""
    layers, shared, rope = text["num_hidden_layers"], text["num_kv_shared_layers"], text["rope_parameters"]
    mlp, double = text["intermediate_size"], text["use_double_wide_mlp"]
    numbers = {
        "context_length": text["max_position_embeddings"],
        "embedding_length": text["hidden_size"],
        "embedding_length_per_layer_input": text["hidden_size_per_layer_input"],
        "block_count": layers,
        "attention.head_count": text["num_attention_heads"],
        "attention.head_count_kv": text["num_key_value_heads"],
        "attention.key_length": text["global_head_dim"],
        "attention.value_length": text["global_head_dim"],
        "attention.key_length_swa": text["head_dim"],
        "attention.value_length_swa": text["head_dim"],
        "attention.sliding_window": text["sliding_window"],
        "attention.shared_kv_layers": shared,
        "rope.dimension_count": text["global_head_dim"],
        "rope.dimension_count_swa": text["head_dim"],
        "vocab_size": text["vocab_size"],
    }
    floats = {
        "attention.layer_norm_rms_epsilon": text["rms_norm_eps"],
        "rope.freq_base": rope["full_attention"]["rope_theta"],
        "rope.freq_base_swa": rope["sliding_attention"]["rope_theta"],
        "final_logit_softcapping": text["final_logit_softcapping"],
    }
    for name, number in numbers.items():
        writer.add_uint32(f"gemma4.{name}", number)
    for name, value in floats.items():
        writer.add_float32(f"gemma4.{name}", value)
    sliding = [kind == "sliding_attention" for kind in text["layer_types"]]
    writer.add_array("gemma4.attention.sliding_window_pattern", sliding)
    widths = [mlp * (2 if double and i >= layers - shared else 1) for i in range(layers)]
    writer.add_array("gemma4.feed_forward_length", widths)
    writer.add_string("tokenizer.ggml.model", "none")


def fill(tensor: Tensor, turned: int, random: np.random.Generator) -> Iterator[NDArray[Any]]:
    """A tensor's bytes, in pieces. Products of rows of size one keep their size."""
    name, shape, kind = tensor
    if kind == Q4_0:
        scale = np.float16(1 / (4.6 * np.sqrt(shape[-1])))  # 4.6: the spread of codes from -8 to 7
        left = int(np.prod(shape)) // BLOCK
        while left:
            blocks = np.empty((min(left, PIECE), 2 + BLOCK // 2), np.uint8)
            blocks[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
            blocks[:, 2:] = random.integers(0, 256, (len(blocks), BLOCK // 2), np.uint8)
            left -= len(blocks)
            yield blocks
    elif kind == F16:
        yield (random.standard_normal(shape, np.float32) / np.sqrt(shape[-1])).astype(np.float16)
    elif name == "rope_freqs.weight":
        yield np.where(np.arange(shape[0]) < turned, 1, UNTURNED).astype(np.float32)
    else:
        yield np.ones(shape, np.float32)


def write(config: Path, file: Path) -> int:
    """Writes the file and gives the bytes that every token reads: all but the rows of the per-layer table."""
    text = json.loads(config.read_text("utf-8"))["text_config"]
    writer, made, read = gguf.GGUFWriter(str(file), "gemma4"), list(tensors(text)), 0
    settings(writer, text)
    for name, shape, kind in made:
        count, size = gguf.GGML_QUANT_SIZES[kind]
        nbytes = int(np.prod(shape)) // count * size
        writer.add_tensor_info(name, shape, np.dtype(np.float32), nbytes, kind)
        read += nbytes if name != TABLE else 0
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    out, random = writer.fout[0], np.random.default_rng(0)
    partial = text["rope_parameters"]["full_attention"]["partial_rotary_factor"]
    turned = int(text["global_head_dim"] * partial) // 2
    for tensor in made:
        writer.write_padding(out, out.tell())
        for piece in fill(tensor, turned, random):
            piece.tofile(out)
    writer.write_padding(out, out.tell())
    writer.close()
    return read


if __name__ == "__main__":
    print(json.dumps({"read": write(Path(sys.argv[1]), Path(sys.argv[2]))}))  # noqa: T201

"""A tiny checkpoint in each published format, written by the safetensors library, and what opening it gives.

Names and shapes are spelled out here, not taken from the code under test; other test modules bend these checkpoints.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from convert.checkpoint import open_checkpoint, with_digests
from convert.lattice import QuantTensor, dequantize

HIDDEN, VOCAB, HEADS, KV, FFN, PLE, LAYERS, OWNERS = 64, 37, 2, 1, 96, 32, 5, 3
KINDS = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention"]
TEXT = "model.language_model."
BF16 = ml_dtypes.bfloat16
BITS = {"embed_tokens": 2, "embed_tokens_per_layer": 4, "lm_head": 2, "self_attn": 4, "mlp": 2, "per_layer": 8}


def head_dim(layer):
    return 32 if KINDS[layer] == "full_attention" else 16


def text_config(**changes):
    config = {
        "model_type": "gemma4_text",
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "head_dim": 16,
        "global_head_dim": 32,
        "num_kv_shared_layers": LAYERS - OWNERS,
        "use_double_wide_mlp": True,
        "layer_types": KINDS,
        "sliding_window": 24,
        "max_position_embeddings": 512,
        "final_logit_softcapping": 30.0,
        "vocab_size_per_layer_input": VOCAB,
        "hidden_size_per_layer_input": PLE,
        "tie_word_embeddings": False,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional", "rope_theta": 1000000.0, "partial_rotary_factor": 0.25},
        },
    }
    return config | changes


def quantization_config(**changes):
    settings = {
        "quant_method": "gemma",
        "num_bits": 4,
        "quantize_embeddings": True,
        "module_quant_configs": {
            r"^lm_head$": {"num_bits": 2},
            r"language_model\.embed_tokens$": {"num_bits": 2},
            r"language_model\.layers\.\d+\.mlp\.": {"num_bits": 2},
            r"language_model\.layers\.\d+\.per_layer_input_gate$": {"num_bits": 8},
            r"language_model\.layers\.\d+\.per_layer_projection$": {"num_bits": 8},
        },
        "modules_to_not_convert": ["model.vision_tower.patch_embedder", "per_layer_model_projection"],
    }
    return settings | changes


def config_json(tied=False, **changes):
    text = text_config(tie_word_embeddings=tied)
    return {"model_type": "gemma4", "tie_word_embeddings": tied, "text_config": text} | changes


def linears():
    """Module path and [out, in] of every linear that a mobile checkpoint quantizes, lm_head apart."""
    for layer in range(LAYERS):
        heads, ffn = head_dim(layer), FFN * (2 if layer >= OWNERS else 1)
        yield f"layers.{layer}.self_attn.q_proj", (HEADS * heads, HIDDEN)
        if layer < OWNERS:
            yield f"layers.{layer}.self_attn.k_proj", (KV * heads, HIDDEN)
            yield f"layers.{layer}.self_attn.v_proj", (KV * heads, HIDDEN)
        yield f"layers.{layer}.self_attn.o_proj", (HIDDEN, HEADS * heads)
        yield f"layers.{layer}.mlp.gate_proj", (ffn, HIDDEN)
        yield f"layers.{layer}.mlp.up_proj", (ffn, HIDDEN)
        yield f"layers.{layer}.mlp.down_proj", (HIDDEN, ffn)
        yield f"layers.{layer}.per_layer_input_gate", (PLE, HIDDEN)
        yield f"layers.{layer}.per_layer_projection", (HIDDEN, PLE)


def plain(rng):
    """Tensors that stay bfloat16 in both formats."""
    tensors = {"norm.weight": HIDDEN, "per_layer_projection_norm.weight": PLE}
    for layer in range(LAYERS):
        at = f"layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm"):
            tensors[f"{at}{norm}.weight"] = HIDDEN
        tensors[f"{at}post_feedforward_layernorm.weight"] = HIDDEN
        tensors[f"{at}post_per_layer_input_norm.weight"] = HIDDEN
        tensors[f"{at}layer_scalar"] = 1
        tensors[f"{at}self_attn.q_norm.weight"] = head_dim(layer)
        if layer < OWNERS:
            tensors[f"{at}self_attn.k_norm.weight"] = head_dim(layer)
    found = {TEXT + name: rng.standard_normal(size).astype(BF16) for name, size in tensors.items()}
    projection = rng.standard_normal((LAYERS * PLE, HIDDEN)).astype(BF16)
    return found | {f"{TEXT}per_layer_model_projection.weight": projection}


def module_bits(module):
    return next(
        bits for part, bits in BITS.items() if part in module and not (part == "embed_tokens" and "per" in module)
    )


def google_bytes(codes, bits):
    """Codes as Google stores them: unsigned, the first column in the lowest bits."""
    if bits == 8:
        return codes
    per_byte = 8 // bits
    unsigned = np.pad(codes.astype(np.int64) + (1 << (bits - 1)), [(0, 0), (0, -codes.shape[1] % per_byte)])
    return sum(unsigned[:, i::per_byte] << (bits * i) for i in range(per_byte)).astype(np.uint8)


def random_codes(rng, shape, bits):
    return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape).astype(np.int8)


def mobile_tensors(seed=0):
    """Tensors by stored name, and the codes that were packed by module path."""
    rng = np.random.default_rng(seed)
    tensors, codes = plain(rng), {}

    def scales(rows, groups):
        return rng.uniform(0.001, 0.1, (rows, groups)).astype(np.float32)

    tables = {"embed_tokens": (VOCAB, HIDDEN, 1), "embed_tokens_per_layer": (VOCAB, LAYERS * PLE, LAYERS)}
    for module, (rows, columns, groups) in tables.items():
        codes[module] = random_codes(rng, (rows, columns), module_bits(module))
        tensors[f"{TEXT}{module}.embedding_quantized"] = google_bytes(codes[module], module_bits(module))
        tensors[f"{TEXT}{module}.embedding_scale"] = scales(rows, groups)
    for module, shape in [*linears(), ("lm_head", (VOCAB, HIDDEN))]:
        codes[module] = random_codes(rng, shape, module_bits(module))
        at = module if module == "lm_head" else TEXT + module
        tensors[f"{at}.weight"] = google_bytes(codes[module], module_bits(module))
        tensors[f"{at}.weight_scale"] = scales(shape[0], 1)
        for side in ("input", "output"):
            scale = 0.0 if module == "lm_head" else rng.uniform(0.01, 0.1)
            tensors[f"{at}.{side}_activation_scale"] = np.array(scale, np.float32)
    for layer in range(LAYERS):
        for side in ("k", "v"):
            tensors[f"{TEXT}layers.{layer}.self_attn.{side}_cache_scale"] = np.array(0.02 + layer / 100, np.float32)
    return tensors, codes


def lattice(rng, shape):
    """bfloat16 weights on a Q4_0 lattice with the codes and scales they were made from; the extremum's code is -8."""
    codes = rng.integers(-8, 8, (shape[0], shape[1] // 32, 32)).astype(np.int8)
    codes[:, :, 5] = -8
    scales = (rng.choice([-1, 1], codes.shape[:2]) * rng.uniform(0.001, 0.02, codes.shape[:2])).astype(BF16)
    weights = (codes.astype(np.float32) * scales.astype(np.float32)[:, :, None]).astype(BF16)
    return weights.reshape(shape), codes.reshape(shape), scales.astype(np.float32)


def q4_0_tensors(seed=0):
    """Tensors by stored name, and (codes, scales) by module path."""
    rng = np.random.default_rng(seed)
    tensors, made = plain(rng), {}
    for module, shape in linears():
        tensors[f"{TEXT}{module}.weight"], *made[module] = lattice(rng, shape)
    tensors[f"{TEXT}embed_tokens.weight"] = rng.standard_normal((VOCAB, HIDDEN)).astype(BF16)
    tensors[f"{TEXT}embed_tokens_per_layer.weight"] = rng.standard_normal((VOCAB, LAYERS * PLE)).astype(BF16)
    return tensors, made


def write(folder: Path, tensors, config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def mobile(folder, change=None, **config):
    """Writes a mobile checkpoint after ``change`` has bent its tensors."""
    tensors, _ = mobile_tensors()
    if change:
        change(tensors)
    return write(folder, tensors, config_json(quantization_config=quantization_config()) | config)


def q4_0(folder, change=None, **config):
    tensors, _ = q4_0_tensors()
    if change:
        change(tensors)
    return write(folder, tensors, config_json(tied=True) | config)


def test_a_mobile_checkpoint_gives_back_the_codes_and_scales_it_was_written_from(tmp_path):
    checkpoint = open_checkpoint(mobile(tmp_path / "tiny"))
    tensors, codes = mobile_tensors()
    assert checkpoint.format == "mobile"
    assert set(checkpoint.quants) == set(codes)
    for module, matrix in checkpoint.quants.items():
        assert isinstance(matrix, QuantTensor)
        assert matrix.bits == module_bits(module)
        assert np.array_equal(matrix.codes(0, matrix.rows), codes[module])
        embedding = module.startswith("embed")
        at = module if module == "lm_head" else TEXT + module
        stored = tensors[f"{at}.embedding_scale" if embedding else f"{at}.weight_scale"]
        assert np.array_equal(matrix.scales(0, matrix.rows), stored)
        assert np.array_equal(matrix.codes(3, 7), codes[module][3:7])
        if not embedding:
            scales = checkpoint.activations[module]
            assert scales.input == tensors[f"{at}.input_activation_scale"]
            assert scales.output == tensors[f"{at}.output_activation_scale"]
    assert set(checkpoint.activations) == {module for module in codes if not module.startswith("embed")}
    assert checkpoint.caches[2].key == np.float32(0.04)


def test_float_tensors_are_widened_exactly(tmp_path):
    checkpoint = open_checkpoint(mobile(tmp_path / "tiny"))
    tensors, _ = mobile_tensors()
    projection = checkpoint.floats["per_layer_model_projection.weight"]
    stored = tensors[f"{TEXT}per_layer_model_projection.weight"]
    assert projection.dtype == "BF16"
    assert np.array_equal(projection.float32(2, 9), stored[2:9].astype(np.float32))
    assert np.array_equal(projection.bits16(2, 9), stored[2:9].view(np.uint16))
    assert checkpoint.floats["layers.4.layer_scalar"].float32().shape == (1,)
    assert len(checkpoint.floats) == len(plain(np.random.default_rng(0)))


def test_a_q4_0_checkpoint_gives_back_its_lattice_and_keeps_the_rest_as_floats(tmp_path):
    checkpoint = open_checkpoint(q4_0(tmp_path / "tiny"))
    tensors, made = q4_0_tensors()
    assert checkpoint.format == "q4_0"
    assert set(checkpoint.quants) == set(made)
    for module, (codes, scales) in made.items():
        matrix = checkpoint.quants[module]
        assert (matrix.bits, matrix.groups) == (4, codes.shape[1] // 32)
        assert np.array_equal(matrix.codes(0, matrix.rows), codes)
        assert np.array_equal(matrix.scales(0, matrix.rows), scales)
        weights = dequantize(matrix.codes(1, 3), matrix.scales(1, 3)).astype(BF16)
        assert np.array_equal(weights, tensors[f"{TEXT}{module}.weight"][1:3])
    assert {"embed_tokens.weight", "embed_tokens_per_layer.weight"} <= set(checkpoint.floats)
    assert checkpoint.activations == {}


def test_codes_and_scales_may_be_read_in_any_order_and_changed_by_the_reader(tmp_path):
    checkpoint = open_checkpoint(q4_0(tmp_path / "tiny"))
    _, made = q4_0_tensors()
    one, other = "layers.0.mlp.up_proj", "layers.1.mlp.up_proj"
    for module, part, rows in [
        (one, 0, 4),
        (one, 1, 4),
        (one, 1, 4),
        (other, 0, 4),
        (one, 0, 4),
        (one, 1, 8),
        (one, 0, 4),
    ]:
        matrix = checkpoint.quants[module]
        found = matrix.scales(0, rows) if part else matrix.codes(0, rows)
        assert np.array_equal(found, made[module][part][:rows])
        found[:] = 0
    assert np.array_equal(checkpoint.quants[one].packed(0, 4), google_bytes(made[one][0][:4], 4) ^ 0x88)


def test_a_text_only_checkpoint_has_shorter_names(tmp_path):
    tensors, made = q4_0_tensors()
    tensors = {name.replace(TEXT, "model."): tensor for name, tensor in tensors.items()}
    checkpoint = open_checkpoint(write(tmp_path / "tiny", tensors, text_config(tie_word_embeddings=True)))
    assert set(checkpoint.quants) == set(made)


def test_vision_audio_and_shared_layers_tensors_are_listed_with_a_reason(tmp_path):
    def change(tensors):
        tensors["model.vision_tower.encoder.layers.0.mlp.down_proj.linear.weight"] = np.zeros((2, 2), np.int8)
        tensors["model.audio_tower.layers.0.self_attn.per_dim_scale"] = np.zeros(4, BF16)
        tensors["model.embed_audio.embedding_projection.weight"] = np.zeros((2, 2), BF16)
        tensors[f"{TEXT}layers.3.self_attn.k_proj.weight"] = np.zeros((16, 32), np.uint8)

    left_out = open_checkpoint(mobile(tmp_path / "tiny", change)).left_out
    assert list(left_out.values()) == [
        "audio encoder; only the text decoder is converted",
        "audio encoder; only the text decoder is converted",
        "layer 3 reads the keys and values of layer 2",
        "vision encoder; only the text decoder is converted",
    ]


def test_an_opened_checkpoint_names_its_folder_but_no_path(tmp_path):
    source = open_checkpoint(mobile(tmp_path / "tiny")).source
    assert (source.id, source.revision, dict(source.files)) == ("tiny", None, {})


def test_digests_cover_configuration_weights_and_tokenizer(tmp_path):
    folder = mobile(tmp_path / "tiny")
    (folder / "tokenizer.json").write_bytes(b"{}")
    (folder / "notes.txt").write_bytes(b"not read")
    files = with_digests(open_checkpoint(folder)).source.files
    assert list(files) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert files["tokenizer.json"] == ("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2)


@pytest.mark.parametrize("width", [61, 62, 63])
def test_unused_bits_at_the_end_of_a_row_are_zero_codes(tmp_path, width):
    from convert.checkpoint.formats.mobile import PackedMatrix
    from convert.checkpoint.safetensors import read_file

    codes = random_codes(np.random.default_rng(1), (3, width), 2)
    stored = google_bytes(codes, 2)
    stored[:, -1] |= np.uint8(0xFF << (2 * width % 8) & 0xFF)
    save_file({"w": stored, "s": np.ones((3, 1), np.float32)}, tmp_path / "w.safetensors")
    tensors = read_file(tmp_path / "w.safetensors", "test")
    matrix = PackedMatrix(tensors["w"], tensors["s"], width, 2, 1)
    assert np.array_equal(matrix.codes(0, 3), codes)
    assert not (matrix.packed(0, 3)[:, -1] >> (2 * width % 8)).any()

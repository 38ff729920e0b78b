"""A tiny checkpoint in each published format, written by the safetensors library.

Names and shapes are spelled out here, not taken from the code under test; tests bend these checkpoints.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

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

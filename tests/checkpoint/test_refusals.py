"""Bad checkpoints: each is refused with one message that names the file, tensor or field."""

import json
import struct

import numpy as np
import pytest

from convert.checkpoint import open_checkpoint
from convert.errors import CheckpointError, LatticeError
from tests.support.tiny_checkpoint import (
    BF16,
    TEXT,
    config_json,
    mobile,
    mobile_tensors,
    q4_0,
    quantization_config,
    write,
)

Q = f"{TEXT}layers.0.self_attn.q_proj"


def refusal(folder, kind=CheckpointError):
    with pytest.raises(kind) as caught:
        open_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_a_folder_without_config_is_refused(tmp_path):
    (tmp_path / "README.md").touch()
    assert "config.json is missing" in refusal(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config_json(tied=True)))
    assert "neither model.safetensors nor model.safetensors.index.json" in refusal(tmp_path)


def test_a_name_that_is_neither_a_folder_nor_an_id_is_refused():
    assert "no such folder" in refusal("./nowhere/at/all")


def test_a_truncated_file_is_refused_with_found_and_expected_size(tmp_path):
    weights = mobile(tmp_path) / "model.safetensors"
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.truncate(size - 1000)
    expected = f"model.safetensors is truncated: {size - 1000:,} bytes found, {size:,} expected"
    assert expected in refusal(tmp_path)


def test_a_header_that_claims_2_to_the_60_bytes_is_refused(tmp_path):
    weights = mobile(tmp_path) / "model.safetensors"
    weights.write_bytes(struct.pack("<Q", 1 << 60) + weights.read_bytes()[8:])
    assert "model.safetensors claims a header of 1,152,921,504,606,846,976 bytes" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        (f"{Q}.weight_scale", np.nan, "is nan at [3, 0]"),
        (f"{Q}.weight_scale", np.inf, "is inf at [3, 0]"),
        (f"{Q}.weight_scale", 0.0, "is 0.0 at [3, 0]"),
        (f"{Q}.weight_scale", -0.5, "is -0.5 at [3, 0]"),
        (f"{TEXT}embed_tokens_per_layer.embedding_scale", np.nan, "is nan at [3, 0]"),
    ],
)
def test_a_weight_scale_that_is_not_finite_and_positive_is_refused_by_name(tmp_path, name, value, shown):
    def change(tensors):
        tensors[name][3, 0] = value

    assert f"tensor {name} {shown}" in refusal(mobile(tmp_path, change))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("name", [f"{Q}.input_activation_scale", f"{Q}.output_activation_scale"])
def test_an_activation_scale_that_is_negative_or_not_finite_is_refused_by_name(tmp_path, name, value):
    def change(tensors):
        tensors[name] = np.array(value, np.float32)

    assert f"tensor {name} is {value}; it must be finite and not negative" in refusal(mobile(tmp_path, change))


def test_a_cache_scale_of_zero_is_refused_by_name(tmp_path):
    name = f"{TEXT}layers.1.self_attn.k_cache_scale"

    def change(tensors):
        tensors[name] = np.array(0, np.float32)

    assert f"tensor {name} is 0.0; it must be finite and above 0" in refusal(mobile(tmp_path, change))


def test_cache_scales_may_be_left_out_of_layers_alone_that_read_anothers(tmp_path):
    def without(layer):
        names = [f"{TEXT}layers.{layer}.self_attn.{side}_cache_scale" for side in ("k", "v")]
        return mobile(tmp_path / str(layer), lambda tensors: [tensors.pop(name) for name in names])

    assert sorted(open_checkpoint(without(4)).text.caches) == [0, 1, 2, 3]
    assert f"tensor {TEXT}layers.2.self_attn.k_cache_scale is missing" in refusal(without(2))


def test_a_norm_that_is_not_finite_is_refused_by_name(tmp_path):
    def change(tensors):
        tensors[f"{TEXT}norm.weight"][5] = np.nan

    assert f"tensor {TEXT}norm.weight holds a number that is not finite" in refusal(mobile(tmp_path, change))


@pytest.mark.parametrize("name", sorted(mobile_tensors()[0])[::7])
def test_any_missing_tensor_is_refused_by_name(tmp_path, name):
    assert f"tensor {name} is missing" in refusal(mobile(tmp_path, lambda tensors: tensors.pop(name)))


def test_extra_tensors_are_refused_by_name(tmp_path):
    def change(tensors):
        tensors[f"{TEXT}layers.0.self_attn.q_proj.bias"] = np.zeros(4, BF16)
        tensors["zz"] = np.zeros(4, BF16)

    assert f"unexpected tensor '{TEXT}layers.0.self_attn.q_proj.bias' and 1 more" in refusal(mobile(tmp_path, change))


def test_a_layer_beyond_the_last_is_refused_by_name(tmp_path):
    def change(tensors):
        tensors[f"{TEXT}layers.5.self_attn.k_proj.weight"] = np.zeros((2, 2), np.uint8)

    assert f"unexpected tensor '{TEXT}layers.5.self_attn.k_proj.weight'" in refusal(mobile(tmp_path, change))


def test_a_wrong_shape_is_refused_with_both_shapes(tmp_path):
    def change(tensors):
        tensors[f"{Q}.weight"] = tensors[f"{Q}.weight"][:-1]

    message = refusal(mobile(tmp_path, change))
    assert f"tensor {Q}.weight is U8 [31, 32]; config.json asks for U8 [32, 32] for 4 bits" in message


def test_a_wrong_dtype_is_refused_with_both_dtypes(tmp_path):
    def change(tensors):
        tensors[f"{Q}.weight_scale"] = tensors[f"{Q}.weight_scale"].astype(np.float64)

    assert f"tensor {Q}.weight_scale is F64 [32, 1]; config.json asks for F32 [32, 1]" in refusal(
        mobile(tmp_path, change)
    )


def test_per_layer_scales_shared_by_all_layers_are_refused(tmp_path):
    name = f"{TEXT}embed_tokens_per_layer.embedding_scale"

    def change(tensors):
        tensors[name] = tensors[name][:, :1].copy()

    assert f"tensor {name} is F32 [37, 1]; config.json asks for F32 [37, 5]" in refusal(mobile(tmp_path, change))


@pytest.mark.parametrize("bits", [3, 0, -4, 16, "4", True, None, 4.0])
def test_bits_other_than_2_4_and_8_are_refused(tmp_path, bits):
    settings = quantization_config(num_bits=bits)
    message = refusal(mobile(tmp_path, quantization_config=settings))
    assert f"config.json: quantization_config: num_bits is {bits!r}" in message


def test_bits_3_in_a_pattern_are_refused(tmp_path):
    settings = quantization_config(module_quant_configs={"self_attn": {"num_bits": 3}})
    message = refusal(mobile(tmp_path, quantization_config=settings))
    assert "num_bits is 3. It must be 2, 4 or 8" in message


def test_bits_that_do_not_fit_the_stored_bytes_are_refused(tmp_path):
    settings = quantization_config(num_bits=8)
    message = refusal(mobile(tmp_path, quantization_config=settings))
    assert "asks for I8 [37, 160] for 8 bits" in message


def test_an_unknown_quant_method_is_refused_with_the_known_ones(tmp_path):
    message = refusal(mobile(tmp_path, quantization_config={"quant_method": "gptq"}))
    assert "quant_method is 'gptq'. Read are 'gemma' (mobile) and checkpoints without one" in message


def test_compressed_tensors_is_refused_with_the_sibling_repository(tmp_path):
    message = refusal(mobile(tmp_path, quantization_config={"quant_method": "compressed-tensors"}))
    assert "...-qat-mobile-transformers for a ...-qat-mobile-ct" in message


def test_an_unknown_quantization_setting_is_refused(tmp_path):
    message = refusal(mobile(tmp_path, quantization_config=quantization_config(zero_point=True)))
    assert "zero_point is True. It must be left out: its meaning is not known" in message


@pytest.mark.parametrize("names", [[""], [1], "lm_head", [None], {"a": 1}])
def test_modules_that_are_not_named_by_words_are_refused(tmp_path, names):
    message = refusal(mobile(tmp_path, quantization_config=quantization_config(modules_to_not_convert=names)))
    assert f"quantization_config: modules_to_not_convert is {names!r}. It must be a list of module names" in message


@pytest.mark.parametrize("key", ["two\nlines", "half \ud800", "long" * 300, "\x1b[31m"])
def test_a_key_that_is_no_plain_word_stays_within_its_line(tmp_path, key):
    shown = repr(key)[:100]
    for at, settings in enumerate(({key: 1}, {"module_quant_configs": {"a": {key: 1}}})):
        message = refusal(mobile(tmp_path / str(at), quantization_config=quantization_config(**settings)))
        assert f": {shown}" in message
    settings = quantization_config(module_quant_configs={key: {"num_bits": 3}})
    assert f"module_quant_configs.{shown}" in refusal(mobile(tmp_path / "pattern", quantization_config=settings))


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*b",
        "(?:a*){9}",
        ".*.*.*.*",
        "a" * 257,
        "(",
        "(?x)(a+) +",
        "(a+)(?#)+",
        "(?i)a",
        "a)|(b",
        "a{99999999999}",
    ],
)
def test_a_pattern_that_could_run_for_ever_or_is_invalid_is_refused(tmp_path, pattern):
    settings = quantization_config(module_quant_configs={pattern: {"num_bits": 4}})
    assert "config.json: quantization_config: pattern " in refusal(mobile(tmp_path / "a", quantization_config=settings))
    settings = quantization_config(modules_to_not_convert=[pattern])
    assert "config.json: quantization_config: pattern " in refusal(mobile(tmp_path / "b", quantization_config=settings))


def test_too_many_patterns_are_refused(tmp_path):
    settings = quantization_config(module_quant_configs={f"m{i}": {} for i in range(65)})
    assert "has 65 patterns; at most 64 are read" in refusal(mobile(tmp_path, quantization_config=settings))


def test_quantization_settings_inside_text_config_are_read(tmp_path):
    config = config_json()
    config["text_config"]["quantization_config"] = quantization_config()
    assert open_checkpoint(write(tmp_path, mobile_tensors()[0], config)).format == "mobile"


def test_contradicting_quantization_settings_are_refused(tmp_path):
    config = config_json(quantization_config=quantization_config())
    config["text_config"]["quantization_config"] = quantization_config(num_bits=8)
    message = refusal(write(tmp_path, mobile_tensors()[0], config))
    assert "config.json: text_config: quantization_config" in message
    assert "the same as the one at the top level" in message


def test_a_bf16_checkpoint_that_is_not_qat_is_refused_with_what_to_use_instead(tmp_path):
    rng = np.random.default_rng(0)

    def change(tensors):
        for name, tensor in tensors.items():
            tensors[name] = rng.standard_normal(tensor.shape).astype(BF16)

    message = refusal(q4_0(tmp_path, change))
    assert "not a QAT checkpoint: none of the decoder's 41 matrices lies on a Q4_0 lattice" in message
    assert "it-qat-mobile-transformers" in message
    assert "it-qat-q4_0-unquantized" in message


def test_one_matrix_of_noise_among_matrices_on_the_lattice_is_refused_by_name(tmp_path):
    def change(tensors):
        tensors[f"{Q}.weight"] = np.random.default_rng(0).standard_normal((32, 64)).astype(BF16)

    assert f"tensor {Q}.weight is not on the Q4_0 lattice at row 0" in refusal(q4_0(tmp_path, change), LatticeError)


def test_a_per_layer_input_matrix_off_the_lattice_is_carried_as_floats(tmp_path):
    key, kept = "layers.0.per_layer_input_gate", {}

    def change(tensors):
        name = f"model.language_model.{key}.weight"
        kept[name] = np.random.default_rng(0).standard_normal(tensors[name].shape).astype(BF16)
        tensors[name] = kept[name]

    checkpoint = open_checkpoint(q4_0(tmp_path, change))
    (noise,) = kept.values()
    assert key not in checkpoint.text.quants
    assert np.array_equal(checkpoint.text.floats[f"{key}.weight"].bits16(0, len(noise)), noise.view(np.uint16))


@pytest.mark.parametrize("row", [0, 14])
def test_one_flipped_bit_is_refused_with_tensor_row_and_block(tmp_path, row):
    def change(tensors):
        tensors[f"{Q}.weight"].view(np.uint16)[row, 40] ^= 1

    folder = q4_0(tmp_path, change)
    expected = f"tensor {Q}.weight is not on the Q4_0 lattice at row {row}, block 1 (columns 32..63)"
    if row == 0:  # among the sampled rows: refused on opening
        assert expected in refusal(folder, LatticeError)
        return
    matrix = open_checkpoint(folder).text.quants["layers.0.self_attn.q_proj"]
    for read in (matrix.codes, matrix.scales, matrix.packed):
        with pytest.raises(LatticeError, match=r"at row 14, block 1") as caught:
            read(0, matrix.rows)
        assert expected in str(caught.value)


def test_rows_that_are_no_multiple_of_32_are_refused_by_name(tmp_path):
    config = config_json(tied=True)
    config["text_config"]["intermediate_size"] = 80
    rng = np.random.default_rng(0)

    def change(tensors):
        for name in list(tensors):
            if ".mlp." in name:
                ffn = 160 if ".3." in name or ".4." in name else 80
                tensors[name] = rng.standard_normal((64, ffn) if "down" in name else (ffn, 64)).astype(BF16)

    message = refusal(q4_0(tmp_path, change, **config), LatticeError)
    assert "layers.0.mlp.down_proj.weight has rows of 80 numbers, which is no multiple of 32" in message


def test_another_lm_head_beside_tied_weights_is_refused(tmp_path):
    def change(tensors):
        tensors["lm_head.weight"] = np.zeros((37, 64), BF16)

    message = refusal(q4_0(tmp_path, change))
    assert f"row 0 of tensor lm_head.weight is not that of {TEXT}embed_tokens.weight" in message
    assert "Set tie_word_embeddings to false" in message


def test_a_head_that_is_tied_to_an_embedding_of_integers_is_refused(tmp_path):
    def change(tensors):
        for name in [name for name in tensors if name.startswith("lm_head.")]:
            tensors.pop(name)

    message = refusal(mobile(tmp_path, change, **config_json(tied=True)))
    assert "config.json ties lm_head to embed_tokens, which is stored as integers" in message

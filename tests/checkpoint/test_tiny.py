"""A tiny checkpoint in each published format: what opening it gives."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from convert.checkpoint import open_checkpoint, with_digests
from convert.lattice import QuantTensor, dequantize
from tests.support.tiny_checkpoint import (
    BF16,
    TEXT,
    google_bytes,
    mobile,
    mobile_tensors,
    module_bits,
    plain,
    q4_0,
    q4_0_tensors,
    random_codes,
    text_config,
    write,
)


def test_a_mobile_checkpoint_gives_back_the_codes_and_scales_it_was_written_from(tmp_path):
    checkpoint = open_checkpoint(mobile(tmp_path / "tiny"))
    tensors, codes = mobile_tensors()
    assert checkpoint.format == "mobile"
    assert set(checkpoint.text.quants) == set(codes)
    for module, matrix in checkpoint.text.quants.items():
        assert isinstance(matrix, QuantTensor)
        assert matrix.bits == module_bits(module)
        assert np.array_equal(matrix.codes(0, matrix.rows), codes[module])
        embedding = module.startswith("embed")
        at = module if module == "lm_head" else TEXT + module
        stored = tensors[f"{at}.embedding_scale" if embedding else f"{at}.weight_scale"]
        assert np.array_equal(matrix.scales(0, matrix.rows), stored)
        assert np.array_equal(matrix.codes(3, 7), codes[module][3:7])
        if not embedding:
            scales = checkpoint.text.activations[module]
            assert scales.input == tensors[f"{at}.input_activation_scale"]
            assert scales.output == tensors[f"{at}.output_activation_scale"]
    assert set(checkpoint.text.activations) == {module for module in codes if not module.startswith("embed")}
    assert checkpoint.text.caches[2].key == np.float32(0.04)


def test_float_tensors_are_widened_exactly(tmp_path):
    checkpoint = open_checkpoint(mobile(tmp_path / "tiny"))
    tensors, _ = mobile_tensors()
    projection = checkpoint.text.floats["per_layer_model_projection.weight"]
    stored = tensors[f"{TEXT}per_layer_model_projection.weight"]
    assert projection.dtype == "BF16"
    assert np.array_equal(projection.float32(2, 9), stored[2:9].astype(np.float32))
    assert np.array_equal(projection.bits16(2, 9), stored[2:9].view(np.uint16))
    assert checkpoint.text.floats["layers.4.layer_scalar"].float32().shape == (1,)
    assert len(checkpoint.text.floats) == len(plain(np.random.default_rng(0)))


def test_a_q4_0_checkpoint_gives_back_its_lattice_and_keeps_the_rest_as_floats(tmp_path):
    checkpoint = open_checkpoint(q4_0(tmp_path / "tiny"))
    tensors, made = q4_0_tensors()
    assert checkpoint.format == "q4_0"
    assert set(checkpoint.text.quants) == set(made)
    for module, (codes, scales) in made.items():
        matrix = checkpoint.text.quants[module]
        assert (matrix.bits, matrix.groups) == (4, codes.shape[1] // 32)
        assert np.array_equal(matrix.codes(0, matrix.rows), codes)
        assert np.array_equal(matrix.scales(0, matrix.rows), scales)
        weights = dequantize(matrix.codes(1, 3), matrix.scales(1, 3)).astype(BF16)
        assert np.array_equal(weights, tensors[f"{TEXT}{module}.weight"][1:3])
    assert {"embed_tokens.weight", "embed_tokens_per_layer.weight"} <= set(checkpoint.text.floats)
    assert checkpoint.text.activations == {}


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
        matrix = checkpoint.text.quants[module]
        found = matrix.scales(0, rows) if part else matrix.codes(0, rows)
        assert np.array_equal(found, made[module][part][:rows])
        found[:] = 0
    assert np.array_equal(checkpoint.text.quants[one].packed(0, 4), google_bytes(made[one][0][:4], 4) ^ 0x88)


def test_a_text_only_checkpoint_has_shorter_names(tmp_path):
    tensors, made = q4_0_tensors()
    tensors = {name.replace(TEXT, "model."): tensor for name, tensor in tensors.items()}
    checkpoint = open_checkpoint(write(tmp_path / "tiny", tensors, text_config(tie_word_embeddings=True)))
    assert set(checkpoint.text.quants) == set(made)


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

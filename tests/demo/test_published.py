"""Small checkpoints with the traits of Google's files, each trait by itself, and how everybody reads them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from convert.checkpoint import open_checkpoint
from convert.demo.writing import tokenizer
from convert.demo.writing.layout import linears, tables
from runtime_tests.readers.checkpoint import Folder
from tests.support.checkpoints.layout import idle, tensors
from tests.support.checkpoints.published import companions as published
from tests.support.checkpoints.published import full_tokenizer
from tests.support.checkpoints.shapes import E2B, E4B, PUBLISHED_E2B, PUBLISHED_E4B, Shape

# SHA-256 of Google's file.
GENERATION = "fb53f4c64e58896a63472e8eb304397db4a39453e1da0f5d57625ec5a8c1050e"
SHAPES = [E2B, E4B, PUBLISHED_E2B, PUBLISHED_E4B]
REGIONS = ["F32", "BF16", "I8", "U8"]


@pytest.fixture(scope="module")
def vocabulary() -> tokenizer.Pieces:
    return full_tokenizer.pieces()


def header(file: Path) -> tuple[int, dict[str, Any]]:
    """Where the data begin, and the entries."""
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    return 8 + size, json.loads(raw[8 : 8 + size])


def shape_of(folder: Path) -> Shape:
    return PUBLISHED_E2B if folder.name.endswith("e2b") else PUBLISHED_E4B


def test_generation_config_is_the_published_file_byte_for_byte(any_checkpoint: Path) -> None:
    assert hashlib.sha256((any_checkpoint / "generation_config.json").read_bytes()).hexdigest() == GENERATION


def test_mobile_tensors_lie_by_dtype_then_name_without_metadata(any_checkpoint: Path) -> None:
    if not any_checkpoint.name.startswith("mobile"):
        pytest.skip("known of the mobile files alone")
    start, entries = header(any_checkpoint / "model.safetensors")
    assert "__metadata__" not in entries
    by_offset = sorted(entries, key=lambda name: entries[name]["data_offsets"])
    assert by_offset == sorted(entries, key=lambda name: (REGIONS.index(entries[name]["dtype"]), name))
    for dtype, remainder in (("F32", 0), ("I8", 2), ("U8", 2)):
        first = next(entries[name]["data_offsets"][0] for name in by_offset if entries[name]["dtype"] == dtype)
        if any_checkpoint.name == "mobile_e2b":  # E4B has an even number of layer scalars
            assert (start + first) % 4 == remainder, dtype


def test_shared_layers_of_mobile_carry_projections_and_scales_that_nobody_reads(any_checkpoint: Path) -> None:
    shape, mobile = shape_of(any_checkpoint), any_checkpoint.name.startswith("mobile")
    checkpoint = open_checkpoint(any_checkpoint)
    shared = [i for i in range(shape.layers) if not shape.owns_kv(i)]
    parts = ("weight", "weight_scale", "input_activation_scale", "output_activation_scale")
    names = {
        f"model.language_model.layers.{i}.self_attn.{leaf}_proj.{part}"
        for i in shared
        for leaf in "kv"
        for part in parts
    }
    assert {name for name in checkpoint.left_out if "language_model" in name} == (names if mobile else set())
    assert not any("k_norm" in name for name in checkpoint.left_out if "language_model" in name)
    assert sorted(checkpoint.text.caches) == (list(range(shape.layers)) if mobile else [])
    reasons = set(checkpoint.left_out.values())
    assert {
        "vision encoder; only the text decoder is converted",
        "audio encoder; only the text decoder is converted",
    } <= reasons


def test_towers_have_clip_bounds_in_q4_0_alone(any_checkpoint: Path) -> None:
    bounds = [name for name in open_checkpoint(any_checkpoint).left_out if name.endswith(("_min", "_max"))]
    config = json.loads((any_checkpoint / "config.json").read_text())
    clipped = any_checkpoint.name.startswith("q4_0")
    assert config["vision_config"]["use_clipped_linears"] is config["audio_config"]["use_clipped_linears"] is clipped
    assert len(bounds) == (4 * (7 + 10) if clipped else 0)
    assert not clipped or any(name.endswith("mlp.down_proj.output_max") for name in bounds)


def test_transformers_loads_text_and_towers_by_its_own_loader(any_checkpoint: Path) -> None:
    import torch
    from transformers import Gemma4ForConditionalGeneration

    model, report = Gemma4ForConditionalGeneration.from_pretrained(
        any_checkpoint, dtype=torch.float32, output_loading_info=True
    )
    assert {key: found for key, found in report.items() if found} == {}
    assert model.model.vision_tower is not None
    assert model.model.audio_tower is not None


def test_the_judge_reads_the_decoder_and_nothing_of_the_towers(any_checkpoint: Path) -> None:
    folder, shape = Folder(any_checkpoint), shape_of(any_checkpoint)
    wanted = {m.key for m in (*tables(shape), *linears(shape), *idle(shape))}
    assert set(folder.packed) == (wanted if folder.format == "mobile" else set())
    assert not [name for name in folder.floats if "tower" in name or "embed_vision" in name or "embed_audio" in name]
    assert not [name for name in folder.floats if re.search(r"layers\.1[0-4]\.self_attn\.[kv]_", name)]


@pytest.mark.parametrize("shape", SHAPES, ids=["e2b", "e4b", "small e2b", "small e4b"])
def test_the_patterns_give_every_matrix_its_bits_in_the_text_and_in_the_towers(shape: Shape) -> None:
    settings = published.quantization(shape)
    patterns, kept = settings["module_quant_configs"], settings["modules_to_not_convert"]
    assert (len(patterns), len(kept)) == (11 if shape.mlp_bits != shape.shared_mlp_bits else 10, 7)
    for tensor in tensors(shape, "mobile"):
        module, _, leaf = tensor.name.rpartition(".")
        left = any(re.match(rf"(?:{each})(?:(?<=\.)|(?=\.|$))", module) or module.endswith(each) for each in kept)
        if tensor.part == "codes":
            assert tensor.matrix is not None
            found = next(each["num_bits"] for pattern, each in patterns.items() if re.search(pattern, module))
            assert (found, left) == (tensor.matrix.bits, False), module
        elif tensor.part == "tower" and leaf == "weight" and len(tensor.shape) == 2:
            assert left, module


@pytest.mark.parametrize("name", ["global_head_dim", "rope_parameters", "expert_intermediate_size"])
def test_config_json_has_the_keys_that_google_writes(any_checkpoint: Path, name: str) -> None:
    config = json.loads((any_checkpoint / "config.json").read_text())
    text = config["text_config"]
    assert name in text
    assert text["num_global_key_value_heads"] is text["use_bidirectional_attention"] is None
    assert config["eoa_token_id"] == config["eoa_token_index"]
    assert {"_name_or_path", "id2label", "problem_type"} <= set(config["vision_config"]) & set(config["audio_config"])


def test_the_roles_of_tokens_stand_at_the_top_of_tokenizer_config(any_checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    stored = json.loads((any_checkpoint / "tokenizer_config.json").read_text())
    assert stored["extra_special_tokens"] == ["<|video|>"]
    assert (stored["model_max_length"], stored["stc_token"]) == (int(1e30), "<|tool_call>")
    assert not {"add_bos_token", "chat_template", "model_specific_special_tokens"} & set(stored)
    found = AutoTokenizer.from_pretrained(any_checkpoint)
    assert len(found) == shape_of(any_checkpoint).vocab  # no token was added for want of one
    assert found("Hello").input_ids[0] != 2


def test_the_tokenizer_of_real_size_has_gemmas_ids(vocabulary: tokenizer.Pieces) -> None:
    pieces = vocabulary.pieces
    assert len(pieces) == len(set(pieces)) == 262_144
    wanted = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<|tool>": 46, '<|"|>': 52, "<|think|>": 98, "<|channel>": 100}
    wanted |= {"<|turn>": 105, "<turn|>": 106, "<|image>": 255_999, "<|audio>": 256_000, "<|image|>": 258_880}
    wanted |= {"<|audio|>": 258_881, "<image|>": 258_882, "<audio|>": 258_883, "<|video|>": 258_884}
    assert {piece: pieces.index(piece) for piece in wanted} == wanted
    assert pieces[238] == "<0x00>"
    assert len(vocabulary.merges) > 450_000


def test_the_tokenizer_of_real_size_is_as_long_as_googles_and_always_the_same(vocabulary: tokenizer.Pieces) -> None:
    from tokenizers import Tokenizer

    text = tokenizer.published_text(vocabulary)
    assert 30e6 < len(text.encode()) < 35e6
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "27b81b4bfbf2e114"
    found = Tokenizer.from_str(text)
    said = "The teacher explains water. 漢字 \U0001f600 wörld\n\n\n  𒀀<|turn>user\n"
    assert found.decode(found.encode(said).ids, skip_special_tokens=False) == said
    assert found.encode("𒀀").tokens == ["<0xF0>", "<0x92>", "<0x80>", "<0x80>"]


def test_the_quickly_written_tokenizer_holds_what_the_plain_writer_would(vocabulary: tokenizer.Pieces) -> None:
    small = published.vocabulary(1003)
    for pieces in (vocabulary, small):
        assert json.loads(tokenizer.published_text(pieces)) == tokenizer.tokenizer_json(pieces, published=True)

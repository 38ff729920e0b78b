"""The small tokenizer and its chat template, as transformers and the tokenizers library see them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from convert import demo
from convert.demo.writing import config, tokenizer
from convert.demo.writing.layout import linears, tables
from tests.support.checkpoints.corpus import words
from tests.support.checkpoints.shapes import SMALL_E2B, SMALL_E4B, Shape

TEXTS = [
    "Hello, world!",
    "a  b\n\n\nc",
    " leading and trailing ",
    "wörld 漢字 \U0001f600",
    "The teacher explains water.",
]


@pytest.fixture(scope="module")
def auto() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(demo.folder())


def test_special_tokens_have_gemma_4_ids(auto: Any) -> None:
    expected = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<|think|>": 98, "<|channel>": 100, "<channel|>": 101}
    expected |= {"<|turn>": 105, "<turn|>": 106, "<|tool>": 46, "<|tool_response>": 50, '<|"|>': 52}
    assert {token: auto.convert_tokens_to_ids(token) for token in expected} == expected
    assert auto("<|turn>user", add_special_tokens=False).input_ids[0] == 105


def test_the_names_that_exporters_read_are_in_the_special_tokens_map(auto: Any) -> None:
    names = auto.special_tokens_map
    assert names["soc_token"] == "<|channel>"
    assert names["eoc_token"] == "<channel|>"
    assert names["stc_token"] == "<|tool_call>"
    assert names["etc_token"] == "<tool_call|>"
    assert names["str_token"] == "<|tool_response>"
    assert names["escape_token"] == '<|"|>'


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_encoding_and_decoding(auto: Any, text: str) -> None:
    ids = auto(text).input_ids
    assert ids[0] == 2
    assert auto.decode(ids, skip_special_tokens=True) == text


def test_the_plain_library_encodes_as_transformers_does(auto: Any) -> None:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(demo.folder() / "tokenizer.json"))
    for text in TEXTS:
        assert plain.encode(text).ids == auto(text).input_ids
        assert plain.decode(plain.encode(text).ids) == text


def test_common_words_are_few_tokens(auto: Any) -> None:
    assert len(auto("What is the currency code", add_special_tokens=False).input_ids) == 5


@pytest.mark.parametrize("size", [1003, 1280])
def test_the_vocabulary_has_exactly_the_asked_size_and_no_piece_twice(size: int) -> None:
    pieces = tokenizer.learn(size, words()).pieces
    assert len(pieces) == len(set(pieces)) == size


def test_a_vocabulary_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a vocabulary of 300 cannot hold the \d+ pieces it needs at least"):
        tokenizer.learn(300, words())


def test_the_chat_template_writes_gemma_4_turns(auto: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief. "},
        {"role": "user", "content": [{"type": "text", "text": " What is water?"}]},
        {"role": "assistant", "content": "Wet."},
        {"role": "user", "content": "Why?"},
    ]
    assert auto.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == (
        "<bos><|turn>system\nBe brief.<turn|>\n<|turn>user\nWhat is water?<turn|>\n"
        "<|turn>model\nWet.<turn|>\n<|turn>user\nWhy?<turn|>\n<|turn>model\n"
    )
    assert auto.apply_chat_template(messages[1:2], tokenize=False) == "<bos><|turn>user\nWhat is water?<turn|>\n"


def test_the_chat_template_calls_no_method_of_python() -> None:
    assert not re.findall(r"\.\s*\w+\s*\(", tokenizer.CHAT_TEMPLATE)


def test_generation_stops_on_all_three_stop_tokens() -> None:
    stored = json.loads((demo.folder() / "generation_config.json").read_text())
    assert stored["eos_token_id"] == [1, 106, 50]
    assert (stored["temperature"], stored["top_p"], stored["top_k"], stored["do_sample"]) == (1.0, 0.95, 64, True)


@pytest.mark.parametrize("shape", [SMALL_E2B, SMALL_E4B])
def test_the_patterns_of_the_quantization_config_give_every_matrix_its_bits(shape: Shape) -> None:
    settings = config.quantization(shape)
    for matrix in (*tables(shape), *linears(shape)):
        name = matrix.key if matrix.key == "lm_head" else f"model.language_model.{matrix.key}"
        found = next(
            each["num_bits"] for regex, each in settings["module_quant_configs"].items() if re.search(regex, name)
        )
        assert found == matrix.bits, name


def test_config_json_spells_the_global_head_dim_and_ties_only_q4_0(q4_0_e2b: Path, mobile_e2b: Path) -> None:
    for folder, tied in ((q4_0_e2b, True), (mobile_e2b, False)):
        stored = json.loads((folder / "config.json").read_text())
        assert stored["text_config"]["global_head_dim"] == 64
        assert "per_layer_config" not in stored["text_config"]
        assert stored["tie_word_embeddings"] is stored["text_config"]["tie_word_embeddings"] is tied
        assert ("quantization_config" in stored) is not tied

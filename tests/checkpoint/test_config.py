"""config.json: dimensions, owners of keys and values, and fields that are refused by name."""

import json

import pytest

from convert.checkpoint.config import Rope, read_config
from convert.errors import CheckpointError
from tests.support.tiny_checkpoint import text_config

S, F = "sliding_attention", "full_attention"


def read(folder, text, **outer):
    tied = {"tie_word_embeddings": text["tie_word_embeddings"]}
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma4", "text_config": text} | tied | outer))
    return read_config(folder)


def refusal(folder, text, **outer):
    with pytest.raises(CheckpointError) as caught:
        read(folder, text, **outer)
    return str(caught.value)


def test_shared_layers_read_the_last_owner_of_their_kind_and_have_the_wide_mlp(tmp_path):
    config = read(tmp_path, text_config())
    assert [layer.owner for layer in config.layers] == [0, 1, 2, 2, 1]
    assert [layer.head_dim for layer in config.layers] == [16, 32, 16, 16, 32]
    assert [layer.intermediate for layer in config.layers] == [96, 96, 96, 192, 192]
    assert [layer.index for layer in config.owners] == [0, 1, 2]


def test_e2b_owners_are_layers_13_and_14(tmp_path):
    kinds = [F if i % 5 == 4 else S for i in range(35)]
    config = read(tmp_path, text_config(num_hidden_layers=35, num_kv_shared_layers=20, layer_types=kinds))
    assert len(config.owners) == 15
    assert {layer.owner for layer in config.layers[15:]} == {13, 14}


def test_the_rotary_embedding_of_a_default_kind_turns_the_whole_head(tmp_path):
    config = read(tmp_path, text_config())
    assert config.ropes == {S: Rope(10000.0, "default", 1.0), F: Rope(1000000.0, "proportional", 0.25)}


def test_a_bare_text_configuration_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(text_config(tie_word_embeddings=True)))
    assert read_config(tmp_path).tied is True


@pytest.mark.parametrize(
    ("text", "outer", "tied"),
    [(True, {}, True), (False, {"tie_word_embeddings": True}, True), (True, {"tie_word_embeddings": False}, False)],
)
def test_the_outer_configuration_decides_whether_embeddings_are_tied(tmp_path, text, outer, tied):
    whole = {"model_type": "gemma4", "text_config": text_config(tie_word_embeddings=text)} | outer
    (tmp_path / "config.json").write_text(json.dumps(whole))
    assert read_config(tmp_path).tied is tied


def test_an_untied_head_that_only_the_text_level_names_is_refused_for_transformers_would_tie_it(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma4", "text_config": text_config()}))
    with pytest.raises(CheckpointError, match=r"tie_word_embeddings is missing\. It must be false as in text_config"):
        read_config(tmp_path)


@pytest.mark.parametrize("tied", [None, 1, "true"])
def test_an_outer_configuration_that_does_not_say_whether_they_are_tied_is_refused(tmp_path, tied):
    message = refusal(tmp_path, text_config(), tie_word_embeddings=tied)
    assert f"config.json: tie_word_embeddings is {tied!r}. It must be true or false" in message


def test_the_model_type_may_stand_at_the_text_level_alone_and_architectures_may_be_missing(tmp_path):
    whole = {"text_config": text_config(), "tie_word_embeddings": False}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    assert read_config(tmp_path).hidden == text_config()["hidden_size"]


def test_null_is_the_default_where_transformers_has_none_and_a_null_override_overrides_nothing(tmp_path):
    fields = {"rope_parameters": None, "layer_types": None, "num_kv_shared_layers": 0}
    config = read(tmp_path, text_config(**fields))
    assert [layer.kind for layer in config.layers] == [S, S, S, S, F]
    assert config.ropes == {S: Rope(10000.0, "default", 1.0), F: Rope(1000000.0, "proportional", 0.25)}
    assert {layer.head_dim for layer in read(tmp_path, text_config(per_layer_config=None)).layers} == {16}


def test_per_layer_config_replaces_the_global_head_size(tmp_path):
    overrides = {"01": {"head_dim": 48}, "4": {"head_dim": 48}}
    config = read(tmp_path, text_config(per_layer_config=overrides))
    assert [layer.head_dim for layer in config.layers] == [16, 48, 16, 16, 48]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"enable_moe_block": True}, "enable_moe_block is True"),
        ({"attention_k_eq_v": True}, "attention_k_eq_v is True"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"attention_bias": 1}, "attention_bias is 1. It must be false: E2B"),
        ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention is 'all'. It must be null or 'vision'"),
        ({"hidden_activation": "silu"}, "hidden_activation is 'silu'"),
        ({"hidden_size": -1}, "hidden_size is -1. It must be a whole number from 1 to 2147483648"),
        ({"hidden_size": 1 << 40}, "hidden_size is 1099511627776"),
        ({"hidden_size": 64.0}, "hidden_size is 64.0"),
        ({"hidden_size": "64"}, "hidden_size is '64'"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"sliding_window": None}, "sliding_window is None"),
        ({"num_kv_shared_layers": None}, "num_kv_shared_layers is None"),
        ({"hidden_activation": None}, "hidden_activation is None"),
        ({"global_head_dim": None}, "global_head_dim is None"),
        ({"use_cache": None}, "use_cache is None. It must be true or false"),
        ({"use_cache": 1}, "use_cache is 1. It must be true or false"),
        ({"initializer_range": 0}, "initializer_range is 0. It must be a number with a decimal point"),
        ({"attention_dropout": "0.0"}, "attention_dropout is '0.0'. It must be a number or null"),
        ({"num_experts": "8"}, "num_experts is '8'. It must be a whole number or null"),
        ({"attention_dropout": False}, "attention_dropout is False. It must be a number or null"),
        ({"num_experts": True}, "num_experts is True. It must be a whole number or null"),
        ({"moe_intermediate_size": 8.0}, "moe_intermediate_size is 8.0. It must be a whole number or null"),
        ({"enable_moe_block": 0}, "enable_moe_block is 0. It must be false: E2B"),
        ({"enable_moe_block": None}, "enable_moe_block is None. It must be false: E2B"),
        ({"hidden_activation": ["silu"]}, "hidden_activation is ['silu']. It must be 'gelu_pytorch_tanh'"),
        ({"hidden_size_per_layer_input": -1}, "hidden_size_per_layer_input is -1. It must be a whole number from 0"),
        ({"tie_word_embeddings": 0}, "tie_word_embeddings is 0"),
        ({"model_type": "gemma3_text"}, "model_type is 'gemma3_text'. It must be null or 'gemma4_text'"),
        ({"rms_norm_eps": 1}, "rms_norm_eps is 1. It must be a number above 0 with a decimal point"),
        ({"final_logit_softcapping": 30}, "final_logit_softcapping is 30. It must be a number above 0 with a decimal"),
        ({"rope_scaling": {"factor": 8.0}}, "rope_scaling is {'factor': 8.0}. It must be left out"),
        ({"rope_parameters": None, "rope_theta": 5e5}, "rope_theta is 500000.0. It must be in rope_parameters"),
        ({"layer_types": None, "sliding_window_pattern": 5}, "sliding_window_pattern is 5. It must be left out, and"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"rms_norm_eps": 0}, "rms_norm_eps is 0"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps is 1000"),
        ({"final_logit_softcapping": -30}, "final_logit_softcapping is -30"),
        (
            {"num_hidden_layers": 1025, "layer_types": None},
            "num_hidden_layers is 1025. It must be a whole number from 1 to 1024",
        ),
        ({"layer_types": [S, F]}, "a list of 5 words"),
        ({"layer_types": [S, F, S, S, "mamba"]}, "a list of 5 words"),
        ({"layer_types": [S, F, S, S, {}]}, "a list of 5 words"),
        ({"num_kv_shared_layers": 5}, "num_kv_shared_layers is 5. It must be below the number of layers, 5"),
        ({"num_kv_shared_layers": 4}, "layer 1 finds no full_attention layer to share with"),
        ({"num_attention_heads": 3, "num_key_value_heads": 2}, "num_attention_heads is 3"),
        ({"head_dim": 15}, "head_dim is 15. It must be even"),
        ({"rope_parameters": {S: {"rope_type": "default", "rope_theta": 1e4}}}, "full_attention is missing"),
        ({"rope_parameters": {S: {"rope_type": "yarn"}, F: {}}}, "rope_type is 'yarn'"),
        ({"rope_parameters": {S: {"rope_type": "default"}, F: {}}}, "rope_theta is missing"),
        ({"rope_parameters": {S: {"rope_theta": 1e4, "factor": 8.0}, F: {}}}, "factor is 8.0. It must be 1"),
        (
            {"rope_parameters": {S: {"rope_theta": 1e4, "partial_rotary_factor": 1.5}, F: {}}},
            "factor is 1.5. It must be",
        ),
        ({"rope_parameters": {S: {"rope_theta": True}, F: {}}}, "sliding_attention: rope_theta is True"),
        ({"rope_parameters": [1]}, "rope_parameters is [1]. It must be an object"),
        ({"per_layer_config": {"1": {"intermediate_size": 7}, "4": {}}}, "intermediate_size is 7"),
        ({"per_layer_config": {"9": {"head_dim": 32}}}, "per_layer_config has key '9'"),
        ({"per_layer_config": {"1": {}, "01": {}}}, "per_layer_config has key '01'"),
        ({"per_layer_config": {"-1": {}}}, "per_layer_config has key '-1'"),
        ({"per_layer_config": {"1": {"head_dim": None}}}, "per_layer_config.1: head_dim is None. It must be a whole"),
        ({"per_layer_config": {"1": {"head_dim": 0}}}, "head_dim is 0. It must be a whole number from 1"),
        ({"per_layer_config": {"1": {"head_dim": 32}}}, "the same for all full_attention layers"),
    ],
)
def test_a_field_that_cannot_be_met_is_refused_by_name(tmp_path, changes, expected):
    message = refusal(tmp_path, text_config(**changes))
    assert "\n" not in message
    assert expected in message
    assert "config.json: text_config" in message


def test_another_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CheckpointError, match=r"model_type is 'llama'\. It must be 'gemma4' or 'gemma4_text'"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "config.json is not valid JSON"),
        (b"[]", "config.json holds a list, not an object"),
        (b"{}", "model_type is missing. It must be 'gemma4' or 'gemma4_text'"),
        (b'{"model_type": ["gemma4"]}', "model_type is ['gemma4']. It must be 'gemma4' or 'gemma4_text'"),
        (b'{"model_type": "gemma4"}', "text_config is missing"),
        (b'{"model_type": "gemma4", "text_config": 3}', "text_config is 3. It must be an object"),
        (b" " * (4 * 1024 * 1024 + 1), "config.json is 4,194,305 bytes long"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b'{"model_type": "gemma4", "model_type": "gemma4"}', "key 'model_type' occurs twice"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content, expected):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_config(tmp_path)
    assert expected in str(caught.value)

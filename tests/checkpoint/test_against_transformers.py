"""Names, shapes, dimensions and bits, against transformers' own model built without weights."""

import json

import pytest
import torch
from transformers import Gemma4Config, Gemma4ForConditionalGeneration, Gemma4TextConfig
from transformers.integrations.gemma_quant import QuantizedEmbedding, QuantizedLinear, replace_with_quant_layers
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.utils.quantization_config import GemmaQuantizationConfig

from convert.checkpoint.config import read_config
from convert.checkpoint.fields import Fields
from convert.checkpoint.modules.text import parts
from convert.checkpoint.patterns import read_rules
from tests.support.tiny_checkpoint import text_config

S, F = "sliding_attention", "full_attention"
TEXT = "model.language_model."

E2B = text_config(
    vocab_size=262144,
    hidden_size=1536,
    intermediate_size=6144,
    num_hidden_layers=35,
    num_attention_heads=8,
    num_key_value_heads=1,
    head_dim=256,
    global_head_dim=512,
    num_kv_shared_layers=20,
    layer_types=[F if i % 5 == 4 else S for i in range(35)],
    sliding_window=512,
    max_position_embeddings=131072,
    vocab_size_per_layer_input=262144,
    hidden_size_per_layer_input=256,
)
E4B = E2B | {
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 42,
    "num_key_value_heads": 2,
    "num_kv_shared_layers": 18,
    "use_double_wide_mlp": False,
    "layer_types": [F if i % 6 == 5 else S for i in range(42)],
}
# Just deep enough for the published patterns to tell layers 14 and 15 apart.
DEEP = text_config(
    num_hidden_layers=17, num_kv_shared_layers=2, layer_types=[F if i % 5 == 4 else S for i in range(17)]
)
NO_PLE = text_config(hidden_size_per_layer_input=0, num_kv_shared_layers=0, use_double_wide_mlp=False)
# The published settings of E2B: patterns overlap, and the first one decides.
PUBLISHED = {
    "quant_method": "gemma",
    "num_bits": 4,
    "quantize_embeddings": True,
    "module_quant_configs": {
        r"^lm_head$": {"num_bits": 2},
        r"language_model\.embed_tokens$": {"num_bits": 2},
        r"language_model\.embed_tokens_per_layer$": {"num_bits": 4},
        r"language_model\.layers\.(\d|1[0-4])\.mlp\.": {"num_bits": 4},
        r"language_model\.layers\.\d+\.mlp\.": {"num_bits": 2},
        r"language_model\.layers\.\d+\.per_layer_input_gate$": {"num_bits": 8},
        r"language_model\.layers\.\d+\.per_layer_projection$": {"num_bits": 8},
        r"language_model\.layers\.\d+\.self_attn\.": {"num_bits": 4},
        r"vision_tower": {"num_bits": 8},
        r"audio_tower(?!.*lconv1d\.linear_start)": {"num_bits": 2},
        r"audio_tower\.layers\.\d+\.lconv1d\.linear_start\.": {"num_bits": 4},
    },
    "modules_to_not_convert": ["model.vision_tower.patch_embedder", "model.embed_vision", "per_layer_model_projection"],
}


def model(text, tied=False):
    config = Gemma4Config(text_config=dict(text), vision_config=None, audio_config=None, tie_word_embeddings=tied)
    with torch.device("meta"):
        return Gemma4ForConditionalGeneration(config)


def ours(folder, text, tied=False):
    outer = {"model_type": "gemma4", "text_config": text, "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(outer))
    return read_config(folder)


@pytest.mark.parametrize(
    ("text", "tied"),
    [(text_config(), True), (E2B, False), (E4B, False), (NO_PLE, False)],
    ids=["tiny", "e2b", "e4b", "without PLE"],
)
def test_the_expected_tensors_are_those_of_transformers(tmp_path, text, tied):
    theirs = {name: tuple(tensor.shape) for name, tensor in model(text).state_dict().items()}
    if tied:
        theirs.pop("lm_head.weight")
    expected = {}
    for part in parts(ours(tmp_path, text, tied)):
        key = part.key if part.kind == "plain" else f"{part.key}.weight"
        expected[key if key.startswith("lm_head") else TEXT + key] = part.shape
    assert expected == theirs


@pytest.mark.parametrize("fields", [{}, {"num_hidden_layers": 8, "num_kv_shared_layers": 2}, {"global_head_dim": 64}])
def test_fields_that_are_left_out_have_transformers_defaults(tmp_path, fields):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma4_text", **fields}))
    config, theirs = read_config(tmp_path), Gemma4TextConfig(**fields)
    check(config, theirs)


@pytest.mark.parametrize("text", [text_config(), E2B, E4B], ids=["tiny", "e2b", "e4b"])
def test_a_configuration_that_transformers_wrote_is_read_the_same(tmp_path, text):
    theirs = Gemma4TextConfig(**{key: value for key, value in text.items() if key != "model_type"})
    written = json.loads(theirs.to_json_string())
    assert "per_layer_config" in written
    (tmp_path / "config.json").write_text(json.dumps(written))
    check(read_config(tmp_path), theirs)
    (tmp_path / "config.json").write_text(json.dumps(text))
    check(read_config(tmp_path), theirs)


def check(config, theirs):
    names = {
        "vocab": "vocab_size",
        "hidden": "hidden_size",
        "heads": "num_attention_heads",
        "window": "sliding_window",
        "max_context": "max_position_embeddings",
        "norm_eps": "rms_norm_eps",
        "softcap": "final_logit_softcapping",
        "per_layer_vocab": "vocab_size_per_layer_input",
        "per_layer_width": "hidden_size_per_layer_input",
        "tied": "tie_word_embeddings",
    }
    for mine, name in names.items():
        assert getattr(config, mine) == getattr(theirs, name), name
    assert [layer.kind for layer in config.layers] == theirs.layer_types
    for layer in config.layers:
        their_layer = theirs.per_layer_config[layer.index]
        assert (layer.head_dim, layer.kv_heads) == (their_layer.head_dim, their_layer.num_key_value_heads)
    for kind, rope in config.ropes.items():
        given = theirs.rope_parameters[kind]
        assert (rope.kind, rope.theta) == (given["rope_type"], given["rope_theta"])


def bits_of(network):
    kinds = (QuantizedLinear, QuantizedEmbedding)
    return {name: module.num_bits for name, module in network.named_modules() if isinstance(module, kinds)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"quantize_embeddings": False},
        {"module_quant_configs": None, "num_bits": 8},
        {"module_quant_configs": {"self_attn": {}, "mlp": {"num_bits": 2}}, "num_bits": 8},
        {"modules_to_not_convert": None},
        {"modules_to_not_convert": []},
        {"modules_to_not_convert": ["model.language_model.layers.1", "o_proj", r"lm_.*"]},
        {"modules_to_not_convert": ["model.language_model.layers.[23]", "mlp.gate"]},
        {"modules_to_not_convert": ["proj|lm_head", "er_input_gate"]},
    ],
)
@pytest.mark.parametrize("tied", [True, False])
def test_each_module_gets_the_bits_that_transformers_gives_it(tmp_path, changes, tied):
    settings = PUBLISHED | changes
    network = model(DEEP, tied)
    skipped = settings["modules_to_not_convert"]
    if skipped is None:
        skipped = get_keys_to_not_convert(network)
    given = {key: value for key, value in settings.items() if key != "quant_method"}
    replace_with_quant_layers(network, GemmaQuantizationConfig(**given), skipped)
    rules = read_rules(Fields(settings, "config.json: quantization_config", "test"), tied)
    mine = {}
    for part in parts(ours(tmp_path, DEEP, tied)):
        name = part.key if part.key == "lm_head" else TEXT + part.key
        bits = None if part.kind == "plain" else rules.bits(name, part.kind == "embedding")
        if bits is not None:
            mine[name] = bits
    theirs = bits_of(network)
    if tied:  # lm_head is a module of theirs all the same; its bits say nothing here
        theirs.pop("lm_head", None)
    assert mine == theirs
    assert mine

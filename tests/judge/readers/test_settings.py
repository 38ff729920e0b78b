"""The judge's meaning of config.json and its stops: asked of transformers, the same as the converter's, not from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from convert.checkpoint import open_checkpoint as read
from convert.checkpoint.config import read_config as converters
from convert.checkpoint.settings import read_settings
from convert.demo import folder as demo
from convert.errors import CheckpointError
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.errors import InputError
from runtime_tests.ladder import climb
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.engine.metadata import compare_metadata
from runtime_tests.questions.beside import compare_companions
from runtime_tests.questions.stops import Stops, read_stops
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.dimensions import Dimensions, dimensions, read_config
from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.support.demo_texts import Change, demo_texts, edit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's files without its weights."""
    return demo_texts(tmp_path / "model")


def _text(**fields: Any) -> Change:
    return lambda content: content["text_config"].update(fields)


def _without(*names: str) -> Change:
    def change(content: dict[str, Any]) -> None:
        for name in names:
            content.pop(name, None)
            content["text_config"].pop(name, None)

    return change


def _bare(content: dict[str, Any]) -> None:
    text = content.pop("text_config")
    content.clear()
    content.update(text)


AGREED: dict[str, Change] = {
    "as it is": lambda content: None,
    "bare text configuration": _bare,
    "no architectures": _without("architectures"),
    "the model type at the text level alone": lambda content: content.pop("model_type"),
    "no rope_parameters": _without("rope_parameters"),
    "null rope_parameters": _text(rope_parameters=None),
    "no layer_types": lambda c: (_without("layer_types")(c), _text(num_kv_shared_layers=4)(c)),
    "null layer_types": _text(layer_types=None, num_kv_shared_layers=4),
    "the last layer slides": _text(layer_types=["sliding_attention"] * 10, num_kv_shared_layers=0),
    "no num_kv_shared_layers": _without("num_kv_shared_layers"),
    "no softcap": _text(final_logit_softcapping=None),
    "no per-layer width": _without("hidden_size_per_layer_input"),
    "per-layer width 0": _text(hidden_size_per_layer_input=0),
    "no window": _without("sliding_window"),
    "no head sizes": _without("head_dim", "global_head_dim", "num_key_value_heads"),
    "no context": _without("max_position_embeddings"),
    "no vocabulary": _without("vocab_size"),
    "no ties": _without("tie_word_embeddings"),
    "a tie at the text level alone": lambda c: (c.pop("tie_word_embeddings"), _text(tie_word_embeddings=True)(c)),
    "levels that tie differently": _text(tie_word_embeddings=True),
    "null per_layer_config": _text(per_layer_config=None),
    "per_layer_config": _text(per_layer_config={"04": {"head_dim": 96}, "9": {"head_dim": 96}}),
    "heads that count only with k = v": _text(num_global_key_value_heads=2),
    "an old rope_theta beside rope_parameters": _text(rope_theta=5e5),
}


@pytest.mark.parametrize("change", AGREED.values(), ids=AGREED)
def test_converter_and_judge_agree_on_what_a_configuration_means(folder: Path, change: Change) -> None:
    edit(folder / "config.json", change)
    ours, theirs = converters(folder), dimensions(read_config(folder))
    owners = [(layer.index, layer.kv_heads, layer.head_dim) for layer in ours.owners]
    assert [(owner.layer, owner.kv_heads, owner.head_dim) for owner in theirs.owners] == owners
    heads = {layer.kind: layer.head_dim for layer in ours.layers}
    expected = Dimensions(
        vocab=ours.vocab,
        hidden=ours.hidden,
        layers=len(ours.layers),
        kinds=tuple(layer.kind for layer in ours.layers),
        window=ours.window,
        max_context=ours.max_context,
        per_layer_width=ours.per_layer_width,
        first_shared=len(ours.owners),
        tied=ours.tied,
        owners=theirs.owners,
        head_dims=heads,
    )
    assert theirs == expected
    text = read_config(folder).get_text_config()
    assert (text.rms_norm_eps, text.final_logit_softcapping) == (ours.norm_eps, ours.softcap)
    for kind, rope in ours.ropes.items():
        assert text.rope_parameters[kind]["rope_theta"] == rope.theta


REFUSED: dict[str, Change] = {
    name: _text(**fields)
    for name, fields in {
        "null window": {"sliding_window": None},
        "null shared layers": {"num_kv_shared_layers": None},
        "null activation": {"hidden_activation": None},
        "null head": {"global_head_dim": None},
        "a word": {"hidden_size": "160"},
        "a float": {"sliding_window": 64.0},
        "a whole softcap": {"final_logit_softcapping": 30},
        "a whole epsilon": {"rms_norm_eps": 1},
        "a number for true": {"use_cache": 1},
        "dropout in words": {"attention_dropout": "none"},
        "layers by another number": {"num_hidden_layers": 11},
    }.items()
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_transformers_refuses_the_converter_refuses_too(folder: Path, change: Change) -> None:
    edit(folder / "config.json", change)
    with pytest.raises(InputError, match=r"config\.json: transformers refuses it: ") as caught:
        read_config(folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError):
        converters(folder)


def test_another_model_is_refused_by_the_judge_by_name(folder: Path) -> None:
    edit(folder / "config.json", lambda content: content.update(model_type="llama"))
    with pytest.raises(InputError, match="model_type llama; the judge knows gemma4 and gemma4_text"):
        read_config(folder)


def test_a_checkpoint_with_settings_left_out_is_converted_and_judged(q4_0_e4b: Path, tmp_path: Path) -> None:
    model = shutil.copytree(q4_0_e4b, tmp_path / "model")
    names = ("architectures", "rope_parameters", "tie_word_embeddings", "final_logit_softcapping", "eos_token_id")
    edit(model / "config.json", _without(*names, "use_double_wide_mlp", "layer_types", "attention_k_eq_v"))
    edit(model / "config.json", lambda content: content.pop("model_type"))
    edit(model / "generation_config.json", lambda content: content.update(eos_token_id=None, top_k=None))
    assert converters(model).layers == converters(q4_0_e4b).layers
    out = tmp_path / "model.litertlm"
    convert(read(model), LitertOptions(context=160, prefill=(32,), cache="float32"), out, Silent())
    rungs = climb(LitertCase(open_litertlm(out), open_checkpoint(model)), ("0", "2a", "3"))
    assert [(rung.name, rung.status, rung.why) for rung in rungs] == [(n, "pass", "") for n in ("0", "2a", "3")]


def stops(folder: Path) -> Stops:
    case = LitertCase(SimpleNamespace(path=folder / "config.json", size=0), open_checkpoint(folder))  # type: ignore[arg-type]
    return case.named_stops


@pytest.fixture
def weighted(folder: Path) -> Path:
    """The demo with its weights, which opening a checkpoint asks for."""
    (folder / "model.safetensors").symlink_to(next(demo().glob("*.safetensors")))
    return folder


def test_the_judge_knows_a_turn_end_that_generation_config_does_not_name(weighted: Path) -> None:
    edit(weighted / "generation_config.json", lambda content: content.update(eos_token_id=1))
    edit(weighted / "config.json", lambda content: content.update(eos_token_id=1))
    named = stops(weighted).named
    assert list(named) == [1, 50, 106]
    assert named[106] == ("the tokenizer's eot_token", "the chat template")
    assert named[50] == ("the tokenizer's str_token",)
    assert [stop.token for stop in read_settings(weighted).stops] == [1, 50, 106]

    def without_roles(content: dict[str, Any]) -> None:
        for roles in (content, content["model_specific_special_tokens"]):
            del roles["eot_token"], roles["str_token"]

    edit(weighted / "tokenizer_config.json", without_roles)
    assert stops(weighted).named[106] == ("the chat template",)
    (weighted / "generation_config.json").unlink()
    assert list(stops(weighted).named) == [1, 106]


@pytest.mark.parametrize("value", ["<eos>", True, [1, -1], 1280, [1.5]])
def test_a_stop_that_is_no_token_is_refused_by_the_judge(weighted: Path, value: Any) -> None:
    edit(weighted / "generation_config.json", lambda content: content.update(eos_token_id=value))
    with pytest.raises(InputError, match=r"generation_config\.json eos_token_id .* is no token of 1280"):
        stops(weighted)


def test_a_template_that_cannot_be_rendered_is_told_in_one_line(weighted: Path) -> None:
    (weighted / "chat_template.jinja").write_text("{{ 1 / 0 }}{% for %}", "utf-8")
    with pytest.raises(InputError, match="transformers cannot render the chat template") as caught:
        stops(weighted)
    assert "\n" not in str(caught.value)


def test_a_file_that_lacks_a_stop_of_another_source_fails_and_names_both(
    demo_file: Path, weighted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(weighted / "generation_config.json", lambda content: content.update(eos_token_id=1))
    case = LitertCase(open_litertlm(demo_file), open_checkpoint(weighted))
    assert all(check.passed for check in compare_metadata(case))
    message = case.artifact.llm_metadata()
    del message.stop_tokens[1:]
    monkeypatch.setattr(type(case.artifact), "llm_metadata", lambda artifact: message)
    (failed,) = (check for check in compare_metadata(case) if not check.passed)
    assert failed.name == "stop tokens"
    sources = "config.json eos_token_id and the tokenizer's eot_token and the chat template"
    assert f"106 is missing, which {sources} name" in failed.note


def test_a_sampler_that_does_not_sample_may_leave_the_settings_of_one_alone(weighted: Path, tmp_path: Path) -> None:
    edit(weighted / "generation_config.json", lambda content: content.update(do_sample=False))
    out = tmp_path / "greedy.litertlm"
    convert(read(weighted), LitertOptions(context=64, prefill=(16,), cache="float32"), out, Silent())
    for top_k in (64, 0):
        edit(weighted / "generation_config.json", lambda content, k=top_k: content.update(top_k=k))
        checks = compare_metadata(LitertCase(open_litertlm(out), open_checkpoint(weighted)))
        assert all(check.passed for check in checks)
    edit(weighted / "generation_config.json", lambda content: content.update(do_sample=True))
    failed = [c for c in compare_metadata(LitertCase(open_litertlm(out), open_checkpoint(weighted))) if not c.passed]
    assert "sampler GREEDY, do_sample is True" in failed[0].note


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([1, 50, 106], None),
        ([106, 1, 50], None),
        (1, "50 is missing, which generation_config.json eos_token_id and the tokenizer's str_token names"),
        ([1, 50, 106, 7], "7 is named by no file of the checkpoint"),
        (None, "1 is missing, which a names"),
        ([1, [50]], "generation_config.json cannot be read: TypeError"),
        ("gone", "generation_config.json cannot be read: KeyError"),
    ],
)
def test_the_app_is_told_every_stop(tmp_path: Path, listed: Any, expected: str | None) -> None:
    names = {1: ("a",), 50: ("generation_config.json eos_token_id", "the tokenizer's str_token"), 106: ("c",)}
    case: Any = SimpleNamespace(
        stops=[1, 50, 106],
        named_stops=Stops(2, names, None),
        folder=SimpleNamespace(optional_json=lambda name: {}),
    )
    assert compare_companions(case, tmp_path) == []
    content = {} if listed == "gone" else {"eos_token_id": listed}
    (tmp_path / "generation_config.json").write_text(json.dumps(content), "utf-8")
    check = compare_companions(case, tmp_path)[0]
    assert check.passed is (expected is None)
    assert expected is None or expected in check.note


@pytest.mark.parametrize(
    ("given", "shipped", "expected", "chosen"),
    [
        ({"do_sample": True, "top_k": 64}, {"do_sample": True, "top_k": 64}, "", 0),
        ({"do_sample": True}, {"do_sample": True, "top_k": 64, "top_p": 0.95}, "", 2),
        ({"do_sample": False}, {"do_sample": False, "top_k": 64}, "a sampler for a checkpoint that does not sample", 1),
        ({"do_sample": False}, {}, "do_sample is None, expected False", 0),
        ({}, {"do_sample": True}, "do_sample is True, which no file gives", 1),
        ({"pad_token_id": 3}, {"pad_token_id": 0}, "pad_token_id is 0, expected 3", 0),
    ],
)
def test_the_app_is_told_how_to_draw_tokens_as_the_checkpoint_says(
    tmp_path: Path, given: dict[str, Any], shipped: dict[str, Any], expected: str, chosen: int
) -> None:
    case: Any = SimpleNamespace(
        stops=[1],
        named_stops=Stops(2, {1: ("a",)}, None),
        folder=SimpleNamespace(optional_json=lambda name: {"eos_token_id": [1, 106], **given}),
    )
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 1, **shipped}), "utf-8")
    stops, rest, stated = compare_companions(case, tmp_path)
    assert stops.passed
    assert rest.passed is (expected == "")
    assert expected in rest.note
    assert stated.found == chosen


def unnamed(folder: Path) -> None:
    """No pad token, no sampler, no tokens around thoughts: in none of the files."""

    def roles(content: dict[str, Any]) -> None:
        for role in ("pad_token", "soc_token", "eoc_token"):
            content.pop(role, None)
            content["model_specific_special_tokens"].pop(role, None)

    for name in ("pad_token_id", "top_k", "top_p"):
        edit(folder / "generation_config.json", lambda content, n=name: content.pop(n, None))
    edit(folder / "tokenizer_config.json", roles)
    edit(folder / "config.json", _without("pad_token_id"))


def test_what_no_file_says_is_chosen_by_the_converter_and_stated_by_the_judge(
    demo_file: Path, weighted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed(weighted)
    chosen = "pad_token_id 0", "top_k 64", "top_p 0.95", "thoughts between <|channel> and <channel|>"
    assert read_settings(weighted).chosen == chosen
    case = LitertCase(open_litertlm(demo_file), open_checkpoint(weighted))
    checks = compare_metadata(case)
    assert all(check.passed for check in checks)
    (stated,) = (check for check in checks if check.sense == "stated" and "no file" in check.name)
    assert stated.note == (
        "pad token [0]; sampler k 64; sampler p 0.95; thoughts from '<|channel>thought\\n' to '<channel|>'"
    )
    message = case.artifact.llm_metadata()
    message.channels[0].end = "</think>"
    monkeypatch.setattr(type(case.artifact), "llm_metadata", lambda artifact: message)
    assert "to '</think>', which are no tokens" in _failing(case)


def _failing(case: LitertCase) -> str:
    return "\n".join(check.note for check in compare_metadata(case) if not check.passed)


def _clear(*names: str) -> Callable[[Any], object]:
    return lambda message: [message.ClearField(name) for name in names]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_clear("pad_token"), "pad token [], expected [0]"),
        (lambda message: message.suppress_tokens.ids.append(9), "suppressed tokens [9], expected []"),
        (lambda message: setattr(message.sampler_params, "seed", 7), "sampler seed 7, which no file gives"),
        (_clear("channels"), "none, though the tokenizer has <|channel>"),
    ],
)
def test_a_field_that_the_artifact_lacks_or_has_of_its_own_is_looked_at(
    demo_file: Path, weighted: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], object], expected: str
) -> None:
    case = LitertCase(open_litertlm(demo_file), open_checkpoint(weighted))
    message = case.artifact.llm_metadata()
    change(message)
    monkeypatch.setattr(type(case.artifact), "llm_metadata", lambda artifact: message)
    assert expected in _failing(case)


def test_the_padding_token_of_the_tokenizer_alone_is_carried(weighted: Path, tmp_path: Path) -> None:
    unnamed(weighted)
    edit(weighted / "tokenizer_config.json", lambda content: content.update(pad_token="<mask>"))
    out = tmp_path / "model.litertlm"
    convert(read(weighted), LitertOptions(context=64, prefill=(16,), cache="float32"), out, Silent())
    case = LitertCase(open_litertlm(out), open_checkpoint(weighted))
    assert list(case.artifact.llm_metadata().pad_token.token_ids.ids) == [4]
    assert _failing(case) == ""


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json"])
def test_settings_files_are_read_strictly_by_both_sides(folder: Path, name: str) -> None:
    shutil.copy(demo() / "model.safetensors", folder)
    text = (folder / name).read_text("utf-8")
    spoilt = {
        '{"top_k": 1, "top_k": 2}': "key 'top_k' occurs twice",
        '{"top_p": NaN}': "NaN is not JSON",
        "[]": "holds a list, not an object",
        text + " " * (4 << 20): "bytes long; at most",
    }
    for content, expected in spoilt.items():
        (folder / name).write_text(content, "utf-8")
        with pytest.raises(InputError) as theirs:
            open_checkpoint(folder)
        with pytest.raises(CheckpointError) as ours:
            read_settings(folder)
        assert expected in str(theirs.value)
        assert expected in str(ours.value)


def test_the_stops_of_the_generation_settings_are_those_of_transformers(weighted: Path) -> None:
    config = read_config(weighted)
    from transformers import AutoTokenizer

    edit(
        weighted / "generation_config.json", lambda content: content.update(stop_strings=["<mask>"], bos_token_id=None)
    )
    found = read_stops(weighted, config, AutoTokenizer.from_pretrained(weighted))
    assert found.named[4] == ("generation_config.json stop_strings",)
    assert found.start == 2

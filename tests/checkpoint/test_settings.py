"""What a checkpoint's files say about talking: stops from all of them, a tokenizer that fits, values of their types."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert import tables
from convert.checkpoint import open_checkpoint
from convert.checkpoint.settings import Settings, complete_generation, read_settings
from convert.demo import folder as demo
from convert.errors import CheckpointError
from convert.plan import Request, prepare
from convert.progress import Silent
from convert.targets.coreml import companions
from tests.support.demo_texts import FILES, Change, demo_texts, edit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's files without its weights, for only files of text are read."""
    return demo_texts(tmp_path / "model")


def generation(folder: Path, **values: Any) -> Path:
    edit(folder / "generation_config.json", lambda content: content.update(values))
    return folder


def without_turn_ends(folder: Path) -> None:
    """generation_config.json and config.json name <eos> alone, as tools that fine-tune save them."""
    generation(folder, eos_token_id=1)
    edit(folder / "config.json", lambda content: content.update(eos_token_id=1))


def without_roles(folder: Path, *roles: str) -> None:
    def change(content: dict[str, Any]) -> None:
        for role in roles:
            content.pop(role, None)
            content["model_specific_special_tokens"].pop(role, None)

    edit(folder / "tokenizer_config.json", change)


def template(folder: Path, text: str) -> None:
    (folder / "chat_template.jinja").write_text(text, "utf-8")


def added(settings: Settings) -> dict[str, tuple[str, ...]]:
    return {stop.text: stop.sources for stop in settings.added}


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_settings(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_placeholders_are_those_that_config_json_names_and_the_tokenizer_has(folder: Path) -> None:
    own = read_settings(folder)
    assert {role: own.texts[token] for role, token in own.placeholders.items()} == {
        "image": "<|image|>",
        "image_begin": "<|image>",
        "image_end": "<image|>",
    }
    for key in ("image_token_id", "boi_token_id", "eoi_token_id"):
        edit(folder / "config.json", lambda content, key=key: content.pop(key))
    assert read_settings(folder).placeholders == {}
    ids = {"image_token_id": 98, "eoa_token_index": 46, "audio_token_id": 258_881, "video_token_id": None}
    edit(folder / "config.json", lambda content: content.update(ids))
    found = read_settings(folder)
    assert found.placeholders == {"image": 98, "audio_end": 46}
    assert [found.texts[token] for token in (98, 46)] == ["<|think|>", "<|tool>"]


def test_a_file_that_names_every_stop_has_none_added(folder: Path) -> None:
    found = read_settings(folder)
    assert [stop.token for stop in found.stops] == [1, 50, 106]
    assert found.added == ()
    assert (found.start, found.pad, found.suppressed, found.not_carried) == (2, 0, (), ())


def test_a_turn_end_that_only_the_tokenizer_and_the_template_know_is_added(folder: Path) -> None:
    without_turn_ends(folder)
    found = read_settings(folder)
    assert [stop.token for stop in found.stops] == [1, 50, 106]
    assert added(found)["<turn|>"] == ("tokenizer_config.json eot_token", "the chat template")
    assert added(found)["<|tool_response>"] == ("tokenizer_config.json str_token",)


def test_each_source_alone_is_enough(folder: Path) -> None:
    without_turn_ends(folder)
    without_roles(folder, "eot_token")
    assert added(read_settings(folder))["<turn|>"] == ("the chat template",)
    edit(folder / "config.json", lambda content: content.update(eos_token_id=[1, 106]))
    assert added(read_settings(folder))["<turn|>"] == ("config.json eos_token_id", "the chat template")
    edit(folder / "config.json", lambda content: content["text_config"].update(eos_token_id=106))
    edit(folder / "config.json", lambda content: content.pop("eos_token_id"))
    assert added(read_settings(folder))["<turn|>"] == ("config.json text_config eos_token_id", "the chat template")
    template(folder, "{% for m in messages %}{{ m.content }}{% endfor %}")
    edit(folder / "tokenizer_config.json", lambda content: content.update(eot_token={"content": "<turn|>"}))
    assert "tokenizer_config.json eot_token" in added(read_settings(folder))["<turn|>"]
    generation(folder, stop_strings=["<mask>"])
    assert [stop.text for stop in read_settings(folder).stops] == ["<eos>", "<mask>", "<|tool_response>", "<turn|>"]


def test_a_turn_that_ends_with_the_end_of_text_adds_nothing(folder: Path) -> None:
    without_turn_ends(folder)
    without_roles(folder, "eot_token", "str_token")
    template(folder, "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}")
    assert [stop.token for stop in read_settings(folder).stops] == [1]


def test_the_template_of_tokenizer_config_is_read_when_there_is_no_file(folder: Path) -> None:
    without_turn_ends(folder)
    without_roles(folder, "eot_token")
    text = (folder / "chat_template.jinja").read_text("utf-8")
    (folder / "chat_template.jinja").unlink()
    edit(folder / "tokenizer_config.json", lambda content: content.update(chat_template=text))
    assert added(read_settings(folder))["<turn|>"] == ("the chat template",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", "prints nothing after the model's words"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}{{ 1 / 0 }}", "cannot be rendered: "),
        ("{{ raise_exception('not today') }}", "cannot be rendered: "),
        ("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}", "ran out of fuel"),
    ],
)
def test_a_checkpoint_that_nowhere_says_how_a_turn_ends_is_refused(folder: Path, text: str, expected: str) -> None:
    without_turn_ends(folder)
    template(folder, text)
    assert "<turn|>" in added(read_settings(folder))  # the tokenizer's role is enough
    without_roles(folder, "eot_token")
    message = refusal(folder)
    assert "nothing says which token ends the model's turn: tokenizer_config.json has no eot_token and" in message
    assert expected in message


def test_a_turn_that_is_closed_with_text_that_is_no_token_is_refused(folder: Path) -> None:
    template(folder, "{% for m in messages %}{{ m.content }}<|im_end|>\n{% endfor %}")
    assert "closes the model's turn with '<|im_end|>', which is no token of tokenizer.json" in refusal(folder)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"eos_token_id": "<eos>"}, "eos_token_id is '<eos>'. It must be a token's id below vocab_size, 1280"),
        ({"eos_token_id": [1, "106"]}, "eos_token_id is [1, '106']"),
        ({"eos_token_id": True}, "eos_token_id is True"),
        ({"eos_token_id": -1}, "eos_token_id is -1"),
        ({"eos_token_id": 1280}, "eos_token_id is 1280"),
        ({"eos_token_id": 1 << 70}, "eos_token_id is 1180591620717411303424"),
        ({"bos_token_id": "2"}, "bos_token_id is '2'"),
        ({"bos_token_id": 5}, "bos_token '<bos>' has the id 2, and bos_token_id is 5"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"suppress_tokens": "all"}, "suppress_tokens is 'all'"),
        ({"do_sample": "yes"}, "do_sample is 'yes'. It must be true or false"),
        ({"top_k": "64"}, "top_k is '64'. It must be a whole number from 0"),
        ({"top_k": -5}, "top_k is -5"),
        ({"top_p": 1.5}, "top_p is 1.5. It must be a number above 0 and at most 1"),
        ({"top_p": [0.9]}, "top_p is [0.9]. It must be a number above 0 and at most 1"),
        ({"temperature": "1.0"}, "temperature is '1.0'. It must be a finite number above 0"),
        ({"temperature": 0}, "temperature is 0. It must be a finite number above 0"),
        ({"do_sample": 0}, "do_sample is 0. It must be true or false"),
        ({"temperature": 10**400}, "temperature is 1000"),
        ({"stop_strings": ["### End"]}, "stop_strings is ['### End']. It must be left out, or texts of single tokens"),
        ({"stop_strings": [7]}, "stop_strings is [7]"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_one_line(folder: Path, values: dict[str, Any], expected: str) -> None:
    message = refusal(generation(folder, **values))
    assert expected in message
    assert str(folder) in message


def test_null_values_and_empty_lists_count_as_left_out(folder: Path) -> None:
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "top_k", "top_p", "temperature", "suppress_tokens")
    found = read_settings(generation(folder, **dict.fromkeys(names)))
    assert found == read_settings(generation(folder, eos_token_id=[]))
    assert [stop.token for stop in found.stops] == [1, 50, 106]
    assert (found.start, found.pad) == (2, 0)
    assert (found.sampler.top_k, found.sampler.top_p, found.sampler.temperature) == (64, 0.95, 1.0)


def test_no_bound_is_all_rows_and_a_checkpoint_that_does_not_sample_may_have_any_sampler(folder: Path) -> None:
    assert read_settings(generation(folder, top_k=0)).sampler.top_k == 1280
    for unsampled in (False, None):
        assert not read_settings(generation(folder, do_sample=unsampled, temperature=0.0, top_k=None)).sampler.sample


def test_what_no_engine_follows_is_named(folder: Path) -> None:
    found = read_settings(generation(folder, repetition_penalty=1.1, num_beams=1, min_p=None, typical_p=1.0))
    assert found.not_carried == ("repetition_penalty 1.1",)


@pytest.mark.parametrize("name", FILES[:4])
@pytest.mark.parametrize(
    ("convert", "expected"),
    [
        (lambda text: text.encode("utf-16"), "is UTF-16 text"),
        (lambda text: b"\xef\xbb\xbf" + text.encode(), "begins with a byte order mark"),
        (lambda text: text.encode() + b"\xff", "is not UTF-8 text: byte 0xff at"),
        (lambda text: b"", "is not valid JSON"),
        (lambda text: b"[1]", "holds a list, not an object"),
        (lambda text: b'{"a": NaN}', "NaN is not JSON"),
    ],
)
def test_a_file_that_is_no_json_in_utf_8_is_refused_in_one_line(
    folder: Path, name: str, convert: Callable[[str], bytes], expected: str
) -> None:
    path = folder / name
    path.write_bytes(convert(path.read_text("utf-8")))
    message = refusal(folder)
    assert name in message
    assert expected in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_a_template_in_another_encoding_is_refused_in_one_line(folder: Path, encoding: str) -> None:
    path = folder / "chat_template.jinja"
    path.write_bytes(("{# ü #}" + path.read_text("utf-8")).encode(encoding))
    assert "chat_template.jinja" in refusal(folder)
    assert "Save it as UTF-8" in refusal(folder)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"there is no {name}" in refusal(folder)


def _added(token: int, text: str) -> Change:
    fields = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return lambda content: content["added_tokens"].append({"id": token, "content": text} | fields)


def _panics(content: dict[str, Any]) -> None:
    content["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c.clear(), "is no tokenizer: it has no model with a vocabulary"),
        (lambda c: c.update(model=[]), "is no tokenizer: it has no model with a vocabulary"),
        (lambda c: c["model"].update(vocab={}), "is no tokenizer: it has no model with a vocabulary"),
        (lambda c: c["model"]["vocab"].update({"more": 1280}), "gives 'more' the id 1280, and the model has 1280 rows"),
        (lambda c: c["model"]["vocab"].update({"less": -1}), "gives 'less' the id -1"),
        (lambda c: c["model"]["vocab"].update({"half": 0.5}), "gives 'half' the id 0.5, which is no whole number"),
        (lambda c: c["model"]["vocab"].update({"word": "7"}), "gives 'word' the id '7', which is no whole number"),
        (lambda c: c["model"].update(merges=[["q", "zzzz"]]), "is no tokenizer: 'Token `zzzz` out of vocabulary"),
        (_panics, "is no tokenizer: 'Precompiled: Error"),
        (_added(1280, "<my_tool>"), "gives '<my_tool>' the id 1280, and the model has 1280 rows (vocab_size)"),
        (_added(50, "<my_tool>"), "the added token '<my_tool>' the id 50, which loads as 1280: the id is taken"),
        (lambda c: c["added_tokens"].append({"id": 7}), "has an added token {'id': 7}, which lacks its text"),
        (lambda c: c["added_tokens"].append("<x>"), "has an added token '<x>', which lacks its text"),
        (lambda c: c.update(added_tokens={"id": 1}), "has an added token {'id': 1}"),
    ],
)
def test_a_tokenizer_that_is_none_or_has_tokens_without_a_row_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str], change: Change, expected: str
) -> None:
    edit(folder / "tokenizer.json", change)
    message = refusal(folder)
    assert message.startswith(f"read {folder}: tokenizer.json ")
    assert expected in message
    assert capfd.readouterr().err == ""


def test_rows_without_a_token_are_fine(folder: Path) -> None:
    edit(folder / "config.json", lambda content: content["text_config"].update(vocab_size=1344))
    assert read_settings(folder).start == 2


def test_a_tokenizer_without_byte_fallback_is_a_tokenizer(folder: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        words = {token["content"]: token["id"] for token in content["added_tokens"]}
        content["model"] = {
            "type": "WordPiece",
            "unk_token": "<unk>",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": words,
        }

    edit(folder / "tokenizer.json", change)
    assert [stop.token for stop in read_settings(folder).stops] == [1, 50, 106]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"eos_token": "</s>"}, "eos_token is '</s>', which is no token of tokenizer.json"),
        ({"soc_token": "<thought>"}, "soc_token is '<thought>', which is no token of tokenizer.json"),
        ({"bos_token": "<eos>"}, "bos_token '<eos>' has the id 1, and bos_token_id is 2"),
        ({"eot_token": 106}, "eot_token is 106. It must be a token's text"),
        ({"eot_token": {"id": 106}}, "eot_token is {'id': 106}. It must be a token's text"),
    ],
)
def test_a_role_that_is_no_token_is_refused(folder: Path, change: dict[str, Any], expected: str) -> None:
    edit(folder / "tokenizer_config.json", lambda content: content.update(change))
    assert expected in refusal(folder)


def test_a_stop_that_no_token_has_is_refused(folder: Path) -> None:
    edit(folder / "config.json", lambda content: content["text_config"].update(vocab_size=1344))
    message = refusal(generation(folder, eos_token_id=[1, 1300]))
    assert "It must be a token of tokenizer.json, which has none with the id 1300" in message


def test_the_plan_says_which_stops_were_added_and_from_where(tmp_path: Path) -> None:
    model = shutil.copytree(demo(), tmp_path / "model")
    generation(model, eos_token_id=1, repetition_penalty=1.2)
    for platform in ("android", "ios"):
        made, checkpoint = prepare(Request(platform, str(model), tmp_path / "out"), Silent())
        said = " ".join(tables.plan(made).split())
        assert (
            "106 <turn|> (added: config.json eos_token_id, tokenizer_config.json eot_token, the chat template)" in said
        )
        assert "not carried over repetition_penalty 1.2" in said
        assert json.loads(tables.to_json(made))["stops"][0]["token"] == 1
        generation(model, eos_token_id="<eos>")
        with pytest.raises(CheckpointError, match="eos_token_id is '<eos>'"):
            prepare(Request(platform, str(model), tmp_path / "out"), Silent())
        generation(model, eos_token_id=1)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    companions.collect(checkpoint, bundle)
    content = json.loads((bundle / "generation_config.json").read_text("utf-8"))
    assert content.pop("eos_token_id") == [1, 50, 106]
    assert content["repetition_penalty"] == 1.2


def test_a_sampler_that_was_chosen_stands_in_the_ios_bundle_and_none_where_nothing_is_drawn(tmp_path: Path) -> None:
    model = shutil.copytree(demo(), tmp_path / "model")
    edit(model / "generation_config.json", lambda content: [content.pop(name) for name in ("top_k", "top_p")])
    made, checkpoint = prepare(Request("ios", str(model), tmp_path / "out"), Silent())
    assert "chosen top_k 64, top_p 0.95 (no file says)" in " ".join(tables.plan(made).split())
    (tmp_path / "bundle").mkdir()
    companions.collect(checkpoint, tmp_path / "bundle")
    content = json.loads((tmp_path / "bundle" / "generation_config.json").read_text("utf-8"))
    assert (content["top_k"], content["top_p"], content["do_sample"]) == (64, 0.95, True)
    generation(model, do_sample=False)
    assert complete_generation(model, read_settings(model)) == (model / "generation_config.json").read_bytes()


def test_a_complete_generation_config_goes_into_the_ios_bundle_byte_for_byte(tmp_path: Path) -> None:
    companions.collect(open_checkpoint("demo"), tmp_path)
    name = "generation_config.json"
    assert (tmp_path / name).read_bytes() == (demo() / name).read_bytes()

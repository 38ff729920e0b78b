"""Adapted chat templates in the stock engine, against the published ones in transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convert import demo
from convert.chat_template.adapt import adapt
from convert.chat_template.check import difference, expected
from convert.chat_template.conversations import FORMS, Conversation
from convert.chat_template.look import look
from convert.chat_template.published import Published
from convert.chat_template.source import Source, special_tokens
from tests.support.chat.chat_templates import KINDS, PUBLISHED

TOKENS = special_tokens(json.loads((demo.folder() / "tokenizer_config.json").read_text("utf-8")))
QUESTIONS = ("What is the capital of France?", "Name a colour.")
# What the adaptation is there for: if the engine changes its ways, these say so.
WAYS = {
    "{{ none is none }} {{ nothing is none }} {{ none is eq(none) }}": "false true true",
    "{{ tools is defined }}{{ bos_token }}{{ eos_token }}": "false",
    "a{{ 1 }}\n": "a1\n",
    "{{ messages[0]['content'] is string }}": "false",
    "{{ 'a b'.split(' ')[1] }}": None,
    "{{ messages[0].get('role') }}": None,
    "{{ (a | default(none)) is string }}{{ ([a, none] | select('defined') | first) is string }}": "truefalse",
    "{{ 'a.strip()' }}": "a | trim",
    "{{ 'a b' | split(' ') | list | length }}{{ 'x' | lstrip }}{{ 'ab' is startingwith('a') }}": "2xtrue",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the published-like template as a .litertlm; the checkpoint lies beside it."""
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    folder = tmp_path_factory.mktemp("templates")
    shutil.copytree(demo.folder(), folder / "checkpoint")
    (folder / "checkpoint" / "chat_template.jinja").write_text(PUBLISHED, "utf-8")
    out = folder / "model.litertlm"
    convert(open_checkpoint(folder / "checkpoint"), LitertOptions(224, (64,), "float32"), out, Silent())
    return out


@pytest.fixture(scope="module")
def asked() -> list[tuple[str, Conversation]]:
    """Every kind of template with the conversations that it takes."""
    found = []
    for kind, text in KINDS.items():
        template = Published(text, TOKENS)
        found += [(kind, item.conversation) for item in expected(template, look(template), "<bos>")]
    return found


@pytest.fixture(scope="module")
def answer(model: Path, asked: list[tuple[str, Conversation]]) -> dict[str, Any]:
    packed = {kind: adapt(Source(text, "chat_template.jinja", TOKENS)).text for kind, text in KINDS.items()}
    renders = [
        [packed[kind], item.messages, item.tools, item.extra | {"add_generation_prompt": item.generate}]
        for kind, item in asked
    ]
    renders += [[way, [{"role": "user", "content": "Hi"}], [], {}] for way in WAYS]
    renders += [[None, [{"role": "user", "content": question}], [], {}] for question in QUESTIONS]
    prompts = [f"<|turn>user\n{question}" for question in QUESTIONS]
    sessions = [[question, True] for question in QUESTIONS] + [[prompt, False] for prompt in prompts]
    sessions += [[f"{prompt}<turn|>\n<|turn>model\n", False] for prompt in prompts]
    request, out = model.parent / "request.json", model.parent / "answer.json"
    request.write_text(json.dumps({"renders": renders, "sessions": sessions}), "utf-8")
    script = Path(__file__).parents[1] / "support" / "chat" / "render_in_engine.py"
    (model.parent / "cache").mkdir()
    command = [sys.executable, str(script), str(model), str(model.parent / "cache"), str(request), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found


def test_every_conversation_is_the_text_that_transformers_gives(
    asked: list[tuple[str, Conversation]], answer: dict[str, Any]
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo.folder())
    forms = {kind: FORMS[look(Published(text, TOKENS)).answers or "native"] for kind, text in KINDS.items()}
    different = []
    for (kind, item), found in zip(asked, answer["renders"], strict=False):
        text = tokenizer.apply_chat_template(
            forms[kind](item.messages),
            chat_template=KINDS[kind],
            tools=list(item.tools) or None,
            add_generation_prompt=item.generate,
            tokenize=False,
            **item.extra,
        )
        if found != text.removeprefix("<bos>"):
            different.append(f"{kind}: {item.name}: {difference(found or '', text.removeprefix('<bos>'))}")
    assert not different
    assert len(asked) > 120


def test_a_tools_answer_is_in_the_text_that_the_model_sees(
    asked: list[tuple[str, Conversation]], answer: dict[str, Any]
) -> None:
    texts = dict(zip([(kind, item.name) for kind, item in asked], answer["renders"], strict=False))
    wanted = '<|tool_response>response:find_place{beds:3,name:<|"|>The "Fox"<|"|>}<tool_response|>'
    assert texts["published", "a tool's answer"].endswith(wanted)
    assert "The Fox" in texts["published", "two calls and two answers"]
    assert "tails" in texts["published", "two calls and two answers"]


def test_the_engine_has_the_ways_that_templates_are_adapted_to(
    asked: list[tuple[str, Conversation]], answer: dict[str, Any]
) -> None:
    found = answer["renders"][len(asked) : len(asked) + len(WAYS)]
    assert dict(zip(WAYS, found, strict=True)) == WAYS


def test_a_session_with_its_prompt_template_is_given_the_rendered_chat(answer: dict[str, Any]) -> None:
    count = len(QUESTIONS)
    templated, begun, whole = (answer["sessions"][i * count : (i + 1) * count] for i in range(3))
    rendered = answer["renders"][-count:]
    assert rendered == [f"<|turn>user\n{question}<turn|>\n<|turn>model\n" for question in QUESTIONS]
    # A session holds the rest of the turn back until it decodes.
    assert [score for score, _ in templated] == [score for score, _ in begun]
    assert [text for _, text in templated] == [text for _, text in whole]
    assert [text for _, text in whole] != [text for _, text in begun]


def test_the_file_says_what_its_template_does(model: Path) -> None:
    from runtime_tests.readers.litert.litertlm import open_litertlm

    metadata = open_litertlm(model).llm_metadata()
    assert (metadata.supports_thinking, metadata.supports_function_calling) == (True, True)
    affixes = metadata.prompt_templates
    assert (affixes.system.prefix, affixes.system.suffix) == ("<|turn>system\n", "<turn|>\n")
    assert metadata.jinja_prompt_template == adapt(Source(PUBLISHED, "chat_template.jinja", TOKENS)).text

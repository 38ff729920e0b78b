"""The Swift interpreter of chat templates against jinja2 as transformers sets it up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from convert import demo
from tests.support.ios import swift_tools
from tests.support.samples.templates import (
    BLOCKS,
    GIVEN,
    TEMPLATES,
    Made,
    alike,
    conversations,
    expected,
    expressions,
    judged,
    variables,
)

Render = Callable[[str, Sequence[dict[str, Any]]], list[Made]]


@pytest.fixture
def swift(tmp_path: Path) -> Render:
    """Renders a template in Swift for each of the given lines."""
    driver = swift_tools.driver()

    def render(source: str, given: Sequence[dict[str, Any]]) -> list[Made]:
        answer = driver.tell("template.load", name="it", source=source)
        if "error" in answer:
            assert answer["type"] == "Refused"
            return [Made(None, answer["error"])] * len(given)
        asked, told = tmp_path / "asked", tmp_path / "told"
        asked.write_text("".join(json.dumps(one) + "\n" for one in given), "utf-8")
        driver.ask("template.render", name="it", given=str(asked), told=str(told))
        lines = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
        assert all(line.get("type", "Refused") == "Refused" for line in lines)
        return [Made(line.get("text"), line.get("error")) for line in lines]

    return render


def line(given: dict[str, Any]) -> dict[str, Any]:
    """Variables for the driver: as text, which keeps the order of members."""
    return {"variables": json.dumps(given)}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_conversations_of_the_judge_are_rendered_as_transformers_renders_them(kind: str, swift: Render) -> None:
    source = TEMPLATES[kind]
    given, names = judged()
    wanted = [expected(source, each) for each in given]
    assert sum(one.text is not None for one in wanted) > 100
    assert alike(swift(source, [line(each) for each in given]), wanted, names) == []


def test_the_questions_of_golden_files_are_rendered_as_the_judge_renders_them(swift: Render) -> None:
    """From turns, as an app has them; the judge says nothing about thinking, the app that there is none."""
    from transformers import AutoTokenizer

    folder = demo.folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = [json.loads(text)["messages"] for text in (folder / "evaluation.jsonl").read_text("utf-8").splitlines()]
    wanted = [
        Made(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)) for messages in asked
    ]
    found = swift(TEMPLATES["demo"], [turns(messages) for messages in asked])
    assert len(asked) > 100
    assert alike(found, wanted, [messages[-1]["content"] for messages in asked]) == []


def turns(messages: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A conversation for the driver as an app has it."""
    return {"turns": messages, "start": "<bos>", "thinking": False, "generation": True, **more}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_any_conversation_is_rendered_as_transformers_renders_it(kind: str, swift: Render) -> None:
    source, draw = TEMPLATES[kind], random.Random(7)
    asked = [messages for messages in conversations(11, 300) if messages]
    given = [
        turns(messages, thinking=draw.random() < 0.5, generation=draw.random() < 0.7, more={"eos_token": "<eos>"})
        for messages in asked
    ]
    wanted = [
        expected(
            source,
            variables(each["turns"], enable_thinking=each["thinking"], add_generation_prompt=each["generation"]),
        )
        for each in given
    ]
    assert sum(one.text is not None for one in wanted) > 50
    assert alike(swift(source, given), wanted, [json.dumps(each) for each in given]) == []


@pytest.mark.parametrize("kind", TEMPLATES)
def test_thinking_that_is_not_spoken_of_is_off(kind: str) -> None:
    asked = conversations(3, 50)
    for messages in asked:
        off = expected(TEMPLATES[kind], variables(messages, enable_thinking=False))
        assert off.text == expected(TEMPLATES[kind], variables(messages)).text


def test_every_construct_gives_what_jinja_gives(swift: Render) -> None:
    sources = [f"{{{{ {one} }}}}" for one in expressions()] + list(BLOCKS)
    found = [swift(source, [line(GIVEN)])[0] for source in sources]
    assert alike(found, [expected(source, GIVEN) for source in sources], sources) == []
    assert sum(one.text is None for one in found) < len(found) / 8, "most of them give a text"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n{% include 'x' %}", "line 2: {% include %} is not known to this app"),
        ("{% for m in messages recursive %}{% endfor %}", "line 1: a recursive loop"),
        ("{{ 'a' | wordcount }}", "the filter wordcount is not known"),
        ("{{ '<' | e }}", "the filter e is not known"),
        ("{{ 1 is callable }}", "the test callable is not known"),
        ("\n\n{{ 'a'.zfill(3) }}", r"line 3: the method .zfill\(\) is not known"),
        ("{% if 0 %}{{ lipsum() }}{% endif %}", r"the function lipsum\(\) is not known"),
        ("{% if 0 %}{{ x | tojson(skip=1) }}{% endif %}", "tojson with skip= is not known"),
        ("{{ [1] | map('wordcount') }}", 'the filter map with "wordcount"'),
        ("{{ [1] | select('callable') }}", 'the test "callable" is not known'),
        ("{{ f(*a) }}", "arguments from a list"),
        ("{{ 'a'['upper']() }}", "cannot call what has no name"),
        ("{% call m() %}{% endcall %}", "{% call %} is not known"),
        ("{{ varargs }}", "varargs"),
        ("{% if x %}", "elif or else or endif expected, not the template's end"),
        ("{% endif %}", "{% endif %} is not known"),
        ("{% for x in %}{% endfor %}", "an expression expected, not '%}'"),
        ("{{ messages", "the template ends inside a tag"),
        ("{{ 'abc }}", "a text in quotes does not end"),
        ("x\n{# never", "line 2: a comment does not end"),
        ("{% raw %} x", "raw does not end"),
        ("{{ (1 }}", "closes nothing"),
        ("{{ 1 2 }}", "'}}' expected, not '2'"),
        ("{{ a ? b }}", r'the character "\?" is no part'),
        ("{{ é }}", "is no part of a template"),
        ("{% break %}", "break outside of a loop"),
        ("{% for loop in x %}{% endfor %}", "nothing can be assigned to loop"),
        ("{{ 99999999999999999999 }}", "the number 99999999999999999999 is too large"),
        (r"{{ '\x4' }}", "an escape in a text is no character"),
        ("{{ [1][1:2:3:4] }}", "a slice has three parts at most"),
    ],
)
def test_what_this_interpreter_lacks_is_refused_when_the_template_is_loaded(source: str, words: str) -> None:
    answer = swift_tools.driver().tell("template.load", name="refused", source=source)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(answer.get("error", "it was taken"))
    assert answer["type"] == "Refused"
    assert answer["error"].startswith("the chat template, line ")
    assert "\n" not in answer["error"]


DEEP = 20_000


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "more than 1000000 steps"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nests or calls itself too deep"),
        ("{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ g() }}", "too deep"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "a range of more than 100000 numbers"),
        ("{{ ('a' * 9000000000) | length }}", "more than 1000000"),
        ("{{ [0] * 9000000000 }}", "more than 1000000"),
        ("{% for i in range(99999) %}{{ 'abcdefghijklmnopqrstuvwxyz' }}{% endfor %}", "prints more than 1000000 bytes"),
        (
            "{% set n = namespace(t='a') %}{% for i in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
            "more than 1000000",
        ),
        (
            "{% set n = namespace(t=[1]) %}{% for i in range(99) %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.t }}",
            "deeper than 64",
        ),
        (
            "{% set n = namespace(t=[1]) %}{% for i in range(50) %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.t }}",
            "more than 1000000",
        ),
        (
            "{% set n = namespace(t=1) %}{% for i in range(50)%}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.t == n.t }}",
            "more than 1000000",
        ),
        ("{% set n = namespace() %}{% set n.n = n %}", "a Namespace cannot be kept in a namespace"),
        ("{% set n = namespace() %}{{ [n] }}", "nested deeper"),
        ("{{ 2 ** 99999999999 }}", "a number out of range"),
        ("{{ 9223372036854775807 + 1 }}", "a number out of range"),
        ("{{ (-9223372036854775807 - 1) // -1 }}", "a number out of range"),
        ("{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}", "nested deeper than 64"),
        ("{{ " + "[" * DEEP + "]" * DEEP + " }}", "nested deeper than 64"),
        ("{{ " + "-" * DEEP + "1 }}", "nested deeper than 64"),
        ("{% if " + "not " * DEEP + "1 %}{% endif %}", "nested deeper than 64"),
        ("{{ 1" + " + 1" * DEEP + " }}", "nested deeper than 64"),
        ("{{ a" + ".a" * DEEP + " }}", "nested deeper than 64"),
        ("{{ a" + " | trim" * DEEP + " }}", "nested deeper than 64"),
        ("{{ 1" + " if 1 else 1" * DEEP + " }}", "nested deeper than 64"),
        ("{% if 1 %}" * DEEP, "nested deeper than 64"),
        ("{% for x in y %}" * DEEP, "nested deeper than 64"),
        ("{% set x %}" * DEEP, "nested deeper than 64"),
        ("x" * 1_100_000, "1100000 bytes; 1048576 are allowed"),
        ("{{ messages[0].nope.deeper }}", "dict's attribute nope is undefined"),
        ("{{ raise_exception('two\nlines') }}", "refuses the conversation: two lines"),
        (
            "{% set a = 'a' * 500000 %}{% for i in range(9) %}{{ ('a' * 250000 ~ 'b') in a }}{% endfor %}",
            "takes too long to search",
        ),
    ],
)
def test_a_hostile_template_is_refused_in_one_line_and_soon(source: str, words: str, swift: Render) -> None:
    began = datetime.now()
    (made,) = swift(source, [line(variables([{"role": "user", "content": "x"}]))])
    assert made.error is not None
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(made.error)
    assert "\n" not in made.error
    assert len(made.error) < 600
    assert (datetime.now() - began).total_seconds() < 20


@pytest.mark.skipif(sys.platform == "darwin", reason="the driver gets the small stack by Linux' ulimit")
def test_a_template_of_every_allowed_depth_needs_no_more_stack_than_a_task_has(tmp_path: Path) -> None:
    """Tasks run on threads of 512 kB on a phone."""
    deep = "{% macro f(n) %}{{ f(n + 1) ~ '' }}{% endmacro %}{{ f(0) }}"
    lines = [
        {"command": "template.load", "name": "it", "source": deep},
        {"command": "template.render", "name": "it", "given": str(tmp_path / "asked"), "told": str(tmp_path / "told")},
    ]
    (tmp_path / "asked").write_text(json.dumps(line({})) + "\n", "utf-8")
    words = ["bash", "-c", 'ulimit -s 512; exec "$@"', "small", *swift_tools.program("Driver")]
    asked = "".join(json.dumps(one) + "\n" for one in lines)
    done = subprocess.run(words, input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, "the stack was too small"
    assert "calls itself too deep" in (tmp_path / "told").read_text("utf-8")


def test_a_template_that_is_cut_anywhere_is_refused_or_rendered(swift: Render) -> None:
    source = TEMPLATES["published"]
    given = [line(variables([{"role": "user", "content": "x"}]))]
    for end in range(0, len(source), 97):
        swift(source[:end], given)


def test_changed_bytes_of_a_template_do_no_harm(swift: Render) -> None:
    draw = random.Random(5)
    source = TEMPLATES["published"]
    given = [line(variables([{"role": "user", "content": "x"}]))]
    for _ in range(150):
        changed = list(source)
        for _ in range(draw.randrange(1, 6)):
            changed[draw.randrange(len(changed))] = draw.choice("{}%#'\"()[]|.,:=~-+ \n0aé\x00")
        swift("".join(changed), given)


def test_the_day_is_todays(swift: Render) -> None:
    source = "{{ strftime_now('%Y-%m-%d %B %b %A %a %y %% %H') }}"
    before, (made,), after = expected(source, {}), swift(source, [line({})]), expected(source, {})
    assert made.text in (before.text, after.text)

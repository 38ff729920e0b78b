"""The Android sample's interpreter of chat templates against jinja2 as transformers sets it up, and its sampler."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.android.text_driver import TextDriver, running
from tests.support.samples.drawing import drawn
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


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextDriver]:
    with running(tmp_path_factory.mktemp("driver")) as found:
        yield found


def rendered(driver: TextDriver, source: str, given: Sequence[dict[str, Any]]) -> list[Made]:
    said = driver.ask("template", source=source)
    assert "error" not in said, said["error"]
    return [Made(one.get("text"), one.get("error")) for one in driver.run("render", given)]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_conversations_of_the_judge_are_rendered_as_transformers_renders_them(
    kind: str, driver: TextDriver
) -> None:
    source = TEMPLATES[kind]
    given, names = judged()
    wanted = [expected(source, each) for each in given]
    assert sum(one.text is not None for one in wanted) > 100
    found = rendered(driver, source, [{"variables": each} for each in given])
    # A list that a template prints as Python would is refused; an app has no such content.
    kept = [one for one in zip(found, wanted, names, strict=True) if "a list is printed" not in (one[0].error or "")]
    assert len(kept) > len(given) * 0.8
    assert alike(*zip(*kept, strict=True)) == []


@pytest.mark.parametrize("kind", TEMPLATES)
def test_any_conversation_is_rendered_as_transformers_renders_it(kind: str, driver: TextDriver) -> None:
    source, draw = TEMPLATES[kind], random.Random(7)
    asked = [{"turns": one, "thinking": draw.random() < 0.5} for one in conversations(11, 300) if one]
    # Of the tokens an app names the first one alone.
    given = [variables(one["turns"], enable_thinking=one["thinking"], eos_token="") for one in asked]
    wanted = [expected(source, one) for one in given]
    assert sum(one.text is not None for one in wanted) > 50
    assert alike(rendered(driver, source, asked), wanted, [json.dumps(each) for each in asked]) == []


@pytest.mark.parametrize("kind", [kind for kind, source in TEMPLATES.items() if "'image'" in source])
def test_a_turn_with_pictures_is_rendered_as_transformers_renders_its_parts(kind: str, driver: TextDriver) -> None:
    source, given, wanted = TEMPLATES[kind], [], []
    for counts in ((1,), (2, 0, 1), (0, 0, 2)):
        roles = ("user", "assistant", "user")[: len(counts)]
        turns = [{"role": role, "content": f" {role}? "} for role in roles]
        parts = [[{"type": "image"}] * count + [{"type": "text", "text": " user? "}] for count in counts]
        given.append([one | {"pictures": count} for one, count in zip(turns, counts, strict=True)])
        seen = [one | {"content": each} if len(each) > 1 else one for one, each in zip(turns, parts, strict=True)]
        wanted.append(expected(source, variables(seen, enable_thinking=False, eos_token="")))
    found = rendered(driver, source, [{"turns": one, "thinking": False} for one in given])
    assert alike(found, wanted, [str(one) for one in given]) == []
    assert kind != "demo" or [(one.text or "").count("<|image|>") for one in found] == [1, 3, 2]


def test_a_construct_gives_what_jinja_gives_or_is_refused(driver: TextDriver) -> None:
    sources = [f"{{{{ {one} }}}}" for one in expressions()] + list(BLOCKS)
    wanted = [expected(source, GIVEN) for source in sources]
    said = driver.run("render", [{"source": source, "variables": GIVEN} for source in sources])
    found = [Made(one.get("text"), one.get("error")) for one in said]
    pairs = zip(found, wanted, sources, strict=True)
    assert [(s, one.text, other) for one, other, s in pairs if one.text not in (None, other.text)] == []
    told = sum(one.text is not None for one in found)
    assert told > len(sources) / 2
    assert all("\n" not in (one.error or "") for one in found)


HOSTILE = {
    "no end": "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "too much text": "{% set n = namespace(x='aaaaaaaa') %}{% for a in range(40) %}{% set n.x = n.x ~ n.x %}"
    "{{ n.x }}{% endfor %}",
    "too deep": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "nested": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "an unknown tag": "{% include 'x' %}",
    "an unknown filter": "{{ 'a' | wordcount }}",
    "an unknown test": "{{ 1 is odd }}",
    "no end of a block": "{% if true %}",
    "an end without a beginning": "{% endif %}",
    "an unknown value": "{{ messages[0].x.y }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_template_that_does_harm_or_is_none_is_refused_in_one_line(name: str, driver: TextDriver) -> None:
    (said,) = driver.run("render", [{"source": HOSTILE[name], "variables": {"messages": [{}]}}])
    assert said["error"].startswith("the chat template, ")
    assert "\n" not in said["error"]


@pytest.mark.parametrize(
    ("top_k", "top_p", "temperature"),
    [(1, 1.0, 1.0), (64, 0.5, 1.0), (5, 1.0, 0.25), (700, 0.5, 2.0), (3000, 1.0, 1.5)],
)
def test_tokens_are_drawn_as_in_python(
    top_k: int, top_p: float, temperature: float, driver: TextDriver, tmp_path: Path
) -> None:
    rows = np.random.default_rng(top_k).normal(0, 3, (200, 3000)).astype(np.float32)
    rows[:, 100:200] = np.round(rows[:, 100:200])  # equal ones
    rows.tofile(tmp_path / "logits")
    settings = {"top_k": top_k, "top_p": top_p, "temperature": temperature, "seed": 12345}
    settings["suppressed"] = [int(rows[0].argmax()), 150]
    found = driver.ask("draw", file=str(tmp_path / "logits"), vocabulary=3000, **settings)["tokens"]
    assert found == drawn(rows, **settings)


def test_logits_that_are_no_numbers_are_never_drawn(driver: TextDriver, tmp_path: Path) -> None:
    rows = np.full((2, 10), np.nan, np.float32)
    rows[1, 3] = -5
    rows.tofile(tmp_path / "logits")
    settings = {"top_p": 1.0, "temperature": 1.0, "suppressed": [], "seed": 1, "vocabulary": 10}
    for top_k in (1, 5):
        assert driver.ask("draw", file=str(tmp_path / "logits"), top_k=top_k, **settings)["tokens"] == [None, 3]

"""The stock engine as a runner, where it does not answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convert import demo
from runtime_tests.ladder import climb
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.rungs import arm64
from runtime_tests.litert.rungs import engine as rung3
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm


def test_a_prompt_on_which_the_engine_gives_up_is_named_and_the_others_are_answered(demo_file: Path) -> None:
    prompts = ("Hello", "one two three four " * 200, "Hello")  # the second is longer than the context
    answer = ask(Request(str(demo_file), prompts, 8, (), (), 1, 2))
    first, given_up, again = answer.texts
    assert first
    assert (given_up, again) == ("", first)
    (words,) = answer.failed
    assert words.startswith("prompt 1: ")
    assert "Input token ids are too long" in words


def test_rung_three_fails_where_an_empty_text_is_what_it_expects(
    demo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def giving_up(request: Request) -> Answer:
        answer = ask(request)
        assert answer.texts[-1] == "", "nothing follows the stopping prompt, whether the engine stops or gives up"
        return replace(answer, failed=[f"prompt {len(answer.texts) - 1}: gave up"])

    monkeypatch.setattr(rung3, "ask", giving_up)
    (rung,) = climb(LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder())), ("3",))
    assert [item.name for item in rung.checks if not item.passed] == ["the engine answers every prompt"]


def test_rung_arm64_fails_where_the_other_engine_gives_up() -> None:
    here = Answer(["", "a"], [[1], [2]], ["", "a"], [], [], [], 2, [])
    there = replace(here, failed=["prompt 0: gave up"])
    assert all(item.passed for item in arm64._texts(here, here, 1))
    failed = [item.name for item in arm64._texts(here, there, 1) if not item.passed]
    assert failed == ["arm64 engine: answers every prompt"]

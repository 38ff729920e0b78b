"""The judge on an artifact whose context ends before anything wraps, or is too short for some of its prompts."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any, cast

import pytest

from convert import demo
from convert.targets.litert import TARGET
from runtime_tests.errors import CannotRunError
from runtime_tests.ladder import climb
from runtime_tests.litert.case import LitertCase
from runtime_tests.questions.prompts import CHAT, CHAT_STEPS, GREEDY_STEPS, PROMPTS
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.report.golden import golden
from runtime_tests.rungs import fitting
from runtime_tests.rungs.bars import wrap

CONTEXT = 64  # the demo's window, and the shortest context that the converter plans


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> LitertCase:
    """The demo without its questions."""
    from convert.checkpoint import open_checkpoint as read
    from convert.lengths import prefill_lengths
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    folder = tmp_path_factory.mktemp("short")
    ignored = shutil.ignore_patterns("evaluation.jsonl", "accuracy.json")
    shutil.copytree(demo.folder(), folder / "checkpoint", ignore=ignored)
    file = folder / "model.litertlm"
    lengths, _ = prefill_lengths("convert", None, CONTEXT, TARGET.prefill, TARGET.pads)
    convert(read(folder / "checkpoint"), LitertOptions(CONTEXT, lengths, "float32"), file, Silent())
    return LitertCase(open_litertlm(file), open_checkpoint(folder / "checkpoint"))


@pytest.mark.slow
def test_a_context_as_long_as_the_window_is_judged_without_a_wrap_and_says_so(case: LitertCase) -> None:
    rungs = {rung.name: rung for rung in climb(case, ("2a", "2b", "3"))}
    assert [(rung.status, rung.why) for rung in rungs.values()] == [("pass", "")] * 3
    lowering = {check.name: check for check in rungs["2b"].checks}
    told = lowering["tokens beyond the sliding window"]
    assert (told.sense, told.note) == (
        "stated",
        "the context of 64 is not longer than the window of 64: nothing can wrap",
    )
    assert lowering["decode steps"].found + case.prompt == CONTEXT
    left_out = {check.name: check.found for check in rungs["3"].checks if "left out" in check.name}
    assert left_out == {"prompts left out": 1, "conversations left out": 1}


@pytest.mark.slow
def test_goldens_of_a_short_context_are_those_that_fit(case: LitertCase) -> None:
    found = golden(case).goldens
    assert [item.prompt for item in found if not item.messages] == list(PROMPTS[:-1])
    assert [item.messages[0].content for item in found if item.messages] == [CHAT[0]["content"]]
    assert max(len(item.ids) + len(item.continuation) for item in found) <= CONTEXT


def asked_of(context: int, window: int, count: int) -> LitertCase:
    return cast(LitertCase, SimpleNamespace(context=context, window=window, ids=range(count)))


def test_a_longer_context_is_held_to_a_wrap() -> None:
    assert wrap(asked_of(65, 64, 65), "").passed
    short = wrap(asked_of(65, 64, 64), "")
    assert (short.sense, short.passed) == ("at least", False)


def spelled(context: int, size: int = 1) -> LitertCase:
    """A case whose tokenizer makes ``size`` tokens of a character, and whose template adds nothing."""

    def tokenize(text: str) -> list[int]:
        return [0] * (size * len(text))

    def render(chat: Any) -> str:
        return "".join(message["content"] for message in chat)

    return cast(LitertCase, SimpleNamespace(context=context, tokenize=tokenize, render=render))


def test_what_fits_to_the_last_position_is_asked_and_the_rest_is_counted() -> None:
    shortest = 1 + min(map(len, PROMPTS)) + GREEDY_STEPS
    assert fitting.prompts(spelled(shortest)) == (min(PROMPTS, key=len),)
    chat = 1 + len(CHAT[0]["content"]) + CHAT_STEPS
    assert fitting.chats(spelled(chat)) == (CHAT, CHAT)
    assert [check.found for check in fitting.left_out(spelled(chat))] == [len(PROMPTS) - 2, 1]
    assert fitting.left_out(spelled(1024)) == []


def test_a_context_that_nothing_fits_is_said_to_be_so() -> None:
    with pytest.raises(CannotRunError, match="none of the 8 prompts fits a context of 20 tokens"):
        fitting.prompts(spelled(20))
    with pytest.raises(CannotRunError, match="no conversation fits a context of 40 tokens"):
        fitting.chats(spelled(40))

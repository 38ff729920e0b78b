"""The Android sample's chat: tools, a full context and control tokens, with doubles and in the stock engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from convert import demo
from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome
from tests.support.chat import forged_answers
from tests.support.checkpoints.published.companions import chat_template

TOOLS, CHAT = "ToolSuite", "ChatSuite"
CORE, ENGINE = "core/src/test/kotlin", "engine-jni/src/test/kotlin"
CONTEXT = 64


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return kotlin_tools.once(tmp_path_factory, TOOLS, lambda: kotlin_tools.suite(kotlin_tools.compiled(), TOOLS))


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("chat")
        shim, classes = kotlin_tools.shim(work), kotlin_tools.compiled()

        def model(checkpoint: Path, name: str, context: int, *prefill: int) -> Path:
            options = LitertOptions(context=context, prefill=prefill, cache="float32")
            convert(open_checkpoint(checkpoint), options, work / name, Silent())
            return work / name

        template = chat_template()
        call = ("<|tool_call>", "call:clock{}", "<tool_call|>")
        calling = model(forged_answers.write(work / "checkpoint", call, template), "calling.litertlm", 768, 128, 8, 1)
        short = model(demo.folder(), "short.litertlm", CONTEXT, 32, 8, 1)
        (work / "cache").mkdir()
        files = (kotlin_tools.engine_library(), shim, work / "cache", calling, short)
        return kotlin_tools.suite(classes, CHAT, *files, str(CONTEXT), flags=("-Xcheck:jni",))

    return kotlin_tools.once(tmp_path_factory, CHAT, run)


@pytest.mark.parametrize("case", kotlin_tools.cases(CORE, TOOLS))
def test_with_doubles(tools: Outcome, case: str) -> None:
    assert kotlin_tools.failure(tools, case) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the stock engine's library for Linux is needed")
@pytest.mark.parametrize("case", kotlin_tools.cases(ENGINE, CHAT))
def test_in_the_stock_engine(chat: Outcome, case: str) -> None:
    assert kotlin_tools.failure(chat, case) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the stock engine's library for Linux is needed")
def test_the_virtual_machine_finds_nothing_wrong_with_the_shim(chat: Outcome) -> None:
    assert "WARNING" not in chat.ended
    assert "FATAL" not in chat.ended

"""Chat with a bundle that has a drafter: on where the best token is taken, off where tokens are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert import demo
from convert.chat.engine import opened
from convert.chat.native_log import NativeLog
from convert.checkpoint import open_checkpoint
from convert.checkpoint.drafter import locate, open_drafter
from convert.progress import Silent
from convert.targets.litert import LitertOptions
from convert.targets.litert import convert as lower
from tests.chat.test_chat import Terminal


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drafted") / "model.litertlm"
    checkpoint = open_drafter(locate("demo"), open_checkpoint(demo.folder()))
    lower(checkpoint, LitertOptions(context=224, prefill=(64,)), out, Silent())
    return out


def test_a_terminal_tells_at_the_end_how_well_it_drafted(drafted: Path) -> None:
    terminal = Terminal(drafted)
    try:
        terminal.until(r"Ctrl-D leaves\s*\n> ")
        terminal.send("What is 47 + 38?\n")
        terminal.until(r"\b85\b[^>]*\n> ")
        terminal.send("\x04")
        terminal.until(r"the drafter guessed \d+% of its tokens right")
        assert terminal.exit_code() == 0
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("model", "sample", "on"), [("drafted", False, True), ("drafted", True, False), ("demo_file", False, False)]
)
def test_the_drafter_is_on_where_it_is_there_and_nothing_is_drawn(
    model: str, sample: bool, on: bool, request: pytest.FixtureRequest
) -> None:
    with opened(request.getfixturevalue(model), 1, NativeLog(), sample) as engine:
        assert engine.drafted is on


def test_the_log_says_how_many_drafts_were_accepted() -> None:
    import os

    log = NativeLog()
    assert log.accepted() is None
    os.write(log.handle, b"I0000 00:00:1.0 7 a.cc:298] MTP Drafter - Success rate: 0.875\n")
    assert log.accepted() == 0.875

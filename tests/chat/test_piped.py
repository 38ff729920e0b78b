"""Runs without a person: what is cut, what is full, what cannot be answered, and what ends the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from convert import demo
from convert.chat.piped import LONGEST, answer_lines
from convert.chat.settings import Settings
from tests.support.chat import scripted_engine as scripted
from tests.support.commands import QUICK, REPOSITORY, Outcome, convert


def piped(
    what: Path, text: bytes | int | None, *flags: str, redirect: str = "", env: dict[str, str] | None = None
) -> Outcome:
    """The verb in a shell, so that its files can be redirected as users do."""
    words = [sys.executable, "-m", "convert", "chat", str(what), "--threads", "1", *flags]
    given = {"input": text} if isinstance(text, bytes) else {"stdin": text}
    ran = subprocess.run(
        ["bash", "-c", f'"$@" {redirect}', "bash", *words],
        cwd=REPOSITORY,
        env=os.environ | (env or {}),
        capture_output=True,
        timeout=120,
        check=False,
        **given,  # type: ignore[call-overload]
    )
    return Outcome(ran.returncode, ran.stdout.decode("utf-8", "replace"), ran.stderr.decode("utf-8", "replace"))


def test_an_answer_that_fills_the_context_is_told_and_every_line_is_answered(endless_file: Path) -> None:
    ran = piped(endless_file, b"What is 47 + 38?\nHello!\n")
    assert ran.code == 0
    assert [bool(line) for line in ran.out.splitlines()] == [True, True]
    cut = "the answer was cut: the conversation fills the context of 64 tokens. The next line begins a new one"
    assert ran.err.splitlines() == [f"line 1: {cut}", f"line 2: {cut}"]


def test_a_cut_by_the_limit_is_told_and_the_conversation_goes_on(endless_file: Path) -> None:
    ran = piped(endless_file, b"What is 47 + 38?\nHello!\n", "--limit", "3")
    assert ran.code == 0
    told = "the answer was cut at 3 tokens (--limit)"
    assert ran.err.splitlines() == [f"line 1: {told}", f"line 2: {told}"]
    assert piped(endless_file, None, "--limit", "3", "--ask", "Hello!").err == told + "\n"


def test_bad_lines_are_told_and_the_others_are_answered(demo_file: Path) -> None:
    questions = [b"What is 47 + 38?", b"caf\xe9", b"nul\0nul", b"x" * 3000, b"x" * (LONGEST + 9), b"What is 1 + 1?"]
    ran = piped(demo_file, b"\xef\xbb\xbf" + b"\r\n".join(questions))  # as an editor on Windows saves it
    assert ran.code == 1
    assert ran.out.splitlines()[0] == "85"
    assert len(ran.out.splitlines()) == 6 - len(ran.err.splitlines())
    errors = [line for line in ran.err.splitlines() if "line 3" not in line]
    assert errors == [
        "error: line 2: its byte 4 is no UTF-8. Give text in UTF-8",
        "error: line 4: the message has 3000 tokens, which is more than the context of 224 takes. "
        "Say it shorter, or build the bundle with a larger --context",
        f"error: line 5: it has more than {LONGEST} bytes. Say it shorter",
    ]


def test_a_full_conversation_begins_a_new_one_and_says_so(demo_file: Path) -> None:
    ran = piped(demo_file, b"".join(b"What is %d + %d?\n" % (i, i) for i in range(10, 25)))
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 15
    assert all("the conversation is full: " in line for line in ran.err.splitlines())
    assert "tokens are used, and the message has " in ran.err
    assert "It begins a new conversation" in ran.err


def test_after_a_failure_of_the_engine_the_run_goes_on_with_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    engine = scripted.Engine([scripted.text("one"), RuntimeError("INTERNAL: odd"), scripted.text("three")])
    assert answer_lines(engine.opened(), Settings(False, 9, 1), (), BytesIO(b"1\n2\n3")) == 1
    out, err = capsys.readouterr()
    assert out == "one\nthree\n"
    assert err == "error: line 2: the engine failed (INTERNAL: odd). Judge the bundle with verify\n"
    assert [message["content"] for message in engine.begun[-1]] == ["1", "one"]


def test_a_call_that_cannot_be_read_is_shown_without_the_parsers_state(capsys: pytest.CaptureFixture[str]) -> None:
    said = "INVALID_ARGUMENT: Failed to parse tool calls from code block: odd{{ full response: x error: FallThrough(Y)"
    assert answer_lines(scripted.Engine([RuntimeError(said)]).opened(), Settings(False, 9, 1), (), BytesIO(b"1")) == 1
    err = capsys.readouterr().err
    assert "the model wrote a call that cannot be read (odd{{)" in err
    assert "FallThrough" not in err


def one_line(ran: Outcome, found: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert found in ran.err


def test_a_template_that_fails_is_named_by_the_engine(tmp_path: Path) -> None:
    """The engine's exception names a function; its log names the cause."""
    shutil.copytree(demo.folder(), tmp_path / "broken")
    template = tmp_path / "broken" / "chat_template.jinja"
    rare = "{% if 'Zebra' in messages[0]['content'] | string %}{{ nothing.of.that }}{% endif %}"
    template.write_text(rare + template.read_text("utf-8"), "utf-8")
    made = convert("convert", tmp_path / "broken", tmp_path / "broken.litertlm", *QUICK)
    assert made.code == 0, made.err
    ran = piped(tmp_path / "broken.litertlm", b"Zebra\nWhat is 47 + 38?\n")
    assert (ran.code, ran.out) == (1, "85\n")
    (line,) = ran.err.splitlines()
    assert line.startswith("error: line 1: the engine failed (Failed to apply template: undefined value")


def test_what_cannot_be_asked_or_answered_is_one_line(demo_file: Path) -> None:
    one_line(piped(demo_file, None, redirect="<&-"), "stdin is closed")
    one_line(piped(demo_file, None, "--ask", "hi", redirect=">&-"), "output is closed")
    one_line(piped(demo_file, None, "--ask", "hi", redirect=">/dev/full"), "No space left on device")
    one_line(piped(demo_file, None, "--ask", " "), "the message is empty")
    one_line(piped(demo_file, None, "--ask", os.fsdecode(b"a\xff")), "no UTF-8")
    assert piped(demo_file, None, redirect="<&- >&- 2>&-") == Outcome(2, "", "")


def test_a_reader_that_has_enough_ends_the_run_quietly(demo_file: Path) -> None:
    many = b"What is 47 + 38?\n" * 400
    ran = piped(demo_file, many, redirect="| head -n 1; exit ${PIPESTATUS[0]}")
    assert ran.out == "85\n"
    assert ran.code == 0
    assert all(line.startswith("line ") for line in ran.err.splitlines())  # full conversations, no traceback


def test_a_locale_without_the_characters_ends_nothing(demo_file: Path) -> None:
    ran = piped(demo_file, "What is \u2460?\n".encode(), env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert ran.code == 0
    assert ran.err == ""

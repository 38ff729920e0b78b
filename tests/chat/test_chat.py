"""Chat: on a terminal, in a pipe, and with what is no bundle."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from convert import chat, pipeline
from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets.litert import LitertOptions
from convert.targets.litert import convert as lower
from tests.support import quick_build
from tests.support.commands import REPOSITORY, Outcome, convert

SPEED = re.compile(r"(\d+) tokens, (\d+) tokens/s")


@pytest.fixture(scope="module")
def model(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that hardly ever stops by itself, with room for a couple of thousand tokens."""
    folder = tmp_path_factory.mktemp("chat")
    shutil.copytree(mobile_e2b, folder / "endless")
    config = json.loads((mobile_e2b / "config.json").read_text("utf-8"))
    config["text_config"]["max_position_embeddings"] = 2048
    (folder / "endless" / "config.json").write_text(json.dumps(config), "utf-8")
    out = folder / "endless.litertlm"
    options = LitertOptions(context=2048, prefill=(32,), cache="float32")
    lower(open_checkpoint(folder / "endless"), options, out, Silent())
    return out


def piped(what: Path, text: str, *flags: str) -> Outcome:
    command = [sys.executable, "-m", "convert", "chat", str(what), *flags]
    ran = subprocess.run(command, input=text, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process_id, self.handle = pty.fork()
        if self.process_id == 0:
            os.chdir(REPOSITORY)
            command = [sys.executable, "-m", "convert", "chat", *map(str, arguments)]
            os.execvpe(command[0], command, os.environ | {"TERM": "dumb", "COLUMNS": "200"})
        self.seen = ""

    def send(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def until(self, pattern: str, timeout_s: float = 90) -> str:
        """What appears up to and with a pattern; it is taken away from what has been seen."""
        deadline = time.monotonic() + timeout_s
        while not (match := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"{pattern!r} never came: {self.seen[-300:]!r}"
            if select.select([self.handle], [], [], 0.2)[0]:
                self.seen += self._read()
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    def _read(self) -> str:
        try:
            data = os.read(self.handle, 4096)
        except OSError:  # Linux reports a closed terminal so
            data = b""
        assert data, f"it has ended: {self.seen[-300:]!r}"
        return data.decode("utf-8", "replace")

    def exit_code(self) -> int:
        while select.select([self.handle], [], [], 0.2)[0]:
            try:
                if not os.read(self.handle, 4096):
                    break
            except OSError:
                break
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            ended, status = os.waitpid(self.process_id, os.WNOHANG)
            if ended:
                self.process_id = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        raise AssertionError("it does not end")

    def close(self) -> None:
        if self.process_id:
            os.kill(self.process_id, signal.SIGKILL)
            os.waitpid(self.process_id, 0)
        os.close(self.handle)


@pytest.fixture
def terminal(model: Path) -> Iterator[Terminal]:
    opened = Terminal(model, "--limit", "1900")
    opened.until(r"Ctrl-D leaves\s*\n> ")
    yield opened
    opened.close()


def test_an_answer_streams_and_ctrl_c_stops_it_and_not_the_program(terminal: Terminal) -> None:
    terminal.send("Hello\n")
    terminal.until("Hello\r\n")  # the echo
    terminal.until(r"\S{2}")  # the first words are there while the rest is still to come
    terminal.send("\x03")
    tokens = SPEED.search(terminal.until(r"stopped\s*\n> "))
    assert tokens is None or int(tokens[1]) < 1900
    terminal.send("Once more\n")  # the conversation goes on
    terminal.until(r"Once more\r+\n")
    terminal.until(r"\S{2}")
    terminal.send("\x03")
    terminal.until(r"stopped\s*\n> ")
    terminal.send("/new\n")
    terminal.until("a new conversation\r\n> ")
    terminal.send("/nonsense\n")
    terminal.until(r"there is no /nonsense[^>]*\n> ")
    terminal.send("\x04")
    assert terminal.exit_code() == 0


def test_ctrl_c_at_the_prompt_leaves_with_exit_code_0(terminal: Terminal) -> None:
    time.sleep(0.5)  # the prompt is there a moment before input() reads; a signal in between waits for the next key
    terminal.send("\x03")
    assert terminal.exit_code() == 0


def test_after_each_answer_its_speed_and_its_cut_by_the_limit_are_told(model: Path) -> None:
    opened = Terminal(model, "--limit", "12")
    try:
        opened.until("> ")
        opened.send("Hello\n")
        tokens = SPEED.search(opened.until(r"tokens/s; the answer was cut at 12 tokens \(--limit\)\s*\n> "))
        assert tokens is not None
        assert 10 <= int(tokens[1]) <= 13
        assert int(tokens[2]) > 0
    finally:
        opened.close()


def test_a_cut_answer_and_a_full_conversation_are_told_and_new_helps(endless_file: Path) -> None:
    opened = Terminal(endless_file)
    try:
        opened.until("> ")
        opened.send("Hello\n")
        opened.until(r"tokens/s; the answer was cut: the conversation fills the context of 64 tokens\. /new[^>]*\n> ")
        opened.send("And now?\n")
        opened.until(r"conversation is full: 64 of 64 tokens are used, and the message has \d+\. /new[^>]*\n> ")
        opened.send("/new\n")
        opened.until("a new conversation\r\n> ")
        opened.send("one two three four " * 60 + "\n")
        opened.until(r"the message has \d+ tokens, which is more than the context of 64 takes[^>]*\n> ")
        opened.send("Hello\n")
        opened.until(r"tokens/s; the answer was cut[^>]*\n> ")
    finally:
        opened.close()


def test_in_a_pipe_every_line_is_answered_and_nothing_else_is_said(demo_file: Path) -> None:
    once = piped(demo_file, "Hello\n")
    assert (once.code, once.err) == (0, "")
    assert once.out.strip()
    assert "tokens/s" not in once.out
    again = piped(demo_file, "Hello\n\n/new\nHello\n")
    assert again.out == once.out * 2
    assert piped(demo_file, "", "--ask", "Hello").out == once.out


def test_a_second_message_continues_the_conversation(model: Path) -> None:
    assert (
        piped(model, "Hello\nHello\n", "--limit", "8").out != piped(model, "Hello\n/new\nHello\n", "--limit", "8").out
    )


def test_nothing_is_left_beside_the_model(model: Path) -> None:
    piped(model, "Hello\n", "--limit", "2")
    assert sorted(path.name for path in model.parent.iterdir()) == ["endless", "endless.litertlm"]


def refused(what: Path) -> str:
    ran = convert("chat", what, "--ask", "Hello")
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    return line


def test_a_missing_bundle_is_one_line(tmp_path: Path) -> None:
    assert "there is no such file or folder" in refused(tmp_path / "none")


def test_a_folder_that_is_no_bundle_is_one_line(tmp_path: Path) -> None:
    assert "no manifest.json" in refused(tmp_path)


def test_a_truncated_file_is_one_line(model: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.litertlm"
    short.write_bytes(model.read_bytes()[:100_000])
    assert "short.litertlm" in refused(short)


def test_a_bundle_with_a_changed_byte_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "judge", pipeline.judge)  # quick_build replaces it
    bundle = quick_build.build(tmp_path).bundle
    assert chat.find(bundle) == bundle / "model.litertlm"
    with (bundle / "model.litertlm").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    assert "the manifest says" in refused(bundle)

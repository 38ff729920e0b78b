"""The Swift of the iOS sample, built here by Swift for Linux (``swift_root``), on macOS by Xcode's.

Where there is no Swift the tests are skipped and say why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.android.kotlin_tools import Outcome, outcome
from tests.support.commands import REPOSITORY
from tests.support.ios import swift_root
from tests.support.samples.locked import locked

IOS = REPOSITORY / "mobile_samples" / "ios"
BUILD = REPOSITORY / "build" / "swift"
SECONDS = 300  # that a command may take


@cache
def root() -> Path:
    """Swift's root; skips the test without one."""
    if sys.platform == "darwin":
        pytest.skip("on macOS Xcode's Swift is used, which has no root")
    try:
        return swift_root.root(fetching=os.environ.get("GEMMA_BRIDGE_SWIFT") == "fetch")
    except swift_root.NoSwiftError as error:
        pytest.skip(str(error))


@cache
def built() -> Path:
    """Folder of the package's programs, built once for these sources, optimized and without a warning."""
    sources = sorted(path for path in [IOS / "Package.swift", *(IOS / "Sources").rglob("*")] if path.is_file())
    text = "".join(f"{path.relative_to(IOS)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in sources)
    mark, out = BUILD / "sources", BUILD / "release"
    with locked(BUILD.with_suffix(".lock")):
        if not (mark.is_file() and mark.read_text("utf-8") == text and out.exists()):
            words = ["swift", "build", "-c", "release", "-Xswiftc", "-warnings-as-errors"]
            if sys.platform == "darwin":
                if shutil.which("swift") is None:
                    pytest.skip("swift is not on PATH: the tests of the iOS sample need Xcode")
                command = [*words, "--package-path", str(IOS), "--scratch-path", str(BUILD)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
            else:
                BUILD.mkdir(parents=True, exist_ok=True)
                where = ["--package-path", "/package", "--scratch-path", "/build"]
                done = swift_root.inside(root(), {IOS: "/package", BUILD: "/build"}, [*words, *where])
            assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
            mark.write_text(text, "utf-8")
    return out


def program(name: str) -> list[str]:
    """The words that run a program of the package."""
    path = built() / name
    return [str(path)] if sys.platform == "darwin" else swift_root.direct(root(), path)


class Driver:
    """The package's ``Driver``: one command a line, one answer a line."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            program("Driver"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def tell(self, command: str, seconds: float = SECONDS, **values: Any) -> dict[str, Any]:
        """The answer, whatever it is; of a command that throws ``error`` and ``type``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        guard = threading.Timer(seconds, self._process.kill)
        guard.start()
        try:
            self._process.stdin.write(json.dumps({"command": command, **values}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            guard.cancel()
        assert line, f"{command}: the driver ended ({self._process.poll()}) or gave no answer within {seconds} s"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, command: str, seconds: float = SECONDS, **values: Any) -> dict[str, Any]:
        """The answer of a command that must not throw."""
        answer = self.tell(command, seconds, **values)
        assert "error" not in answer, f"{command}: {answer.get('type')}: {answer['error']}"
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@cache
def driver() -> Driver:
    """One for all tests of this process."""
    return Driver()


def suite(name: str, *arguments: str | Path, seconds: float = 600) -> Outcome:
    """What a suite of the package said: a line for each case, as the Kotlin suites say it."""
    words = [*program(name), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    return outcome(done)

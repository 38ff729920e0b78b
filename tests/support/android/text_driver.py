"""The Android sample's tokenizer, template and sampler in a process of this machine's Java."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.android import kotlin_tools


class TextDriver:
    """Asks ``TextDriver.kt``; many values go and come through files of ``folder``."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._asked, self._told = folder / "asked", folder / "told"

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver has gone"
        said: dict[str, Any] = json.loads(line)
        return said

    def run(self, do: str, given: Sequence[Any], **more: Any) -> list[Any]:
        """What ``do`` makes of each of the values."""
        self._asked.write_text("".join(json.dumps(one) + "\n" for one in given), "utf-8")
        said = self.ask(do, given=str(self._asked), told=str(self._told), **more)
        assert "error" not in said, said["error"]
        return [json.loads(line) for line in self._told.read_text("utf-8").splitlines()]


@contextmanager
def running(folder: Path) -> Iterator[TextDriver]:
    words = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", kotlin_tools.compiled()]
    words.append("dev.gemmabridge.test.TextDriverKt")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield TextDriver(process, folder)
        assert process.stdin is not None
        process.stdin.close()

"""A copy of a ``.litertlm`` to be damaged, and what a rung says of it then."""

from __future__ import annotations

from pathlib import Path

from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import Tflite, open_tflite
from runtime_tests.results import Rung


class Patient:
    """A copy of an artifact in memory; the readers' arrays are views of it, so that writing to them changes it."""

    def __init__(self, path: Path) -> None:
        self.bytes = bytearray(path.read_bytes())
        self.sections = open_litertlm(path).sections

    def model(self, name: str) -> Tflite:
        section = next(s for s in self.sections if s.items.get("model_type") == name)
        return open_tflite(memoryview(self.bytes)[section.begin : section.end], name)

    def section(self, kind: str) -> slice:
        found = next(s for s in self.sections if s.kind == kind)
        return slice(found.begin, found.end)


def failing(result: Rung) -> str:
    """Names and notes of the failed checks, for messages and assertions."""
    assert result.status == "fail", f"rung {result.name}: {result.status} {result.why}"
    return "\n".join(f"{check.name}: {check.note}" for check in result.checks if not check.passed)

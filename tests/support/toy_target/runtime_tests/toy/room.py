"""What kinds.py asks of a room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_tests.case import Case
from runtime_tests.readers.bundle import check
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.toy import open_toy

PACKAGES = ("rich",)


def find(path: Path) -> Path | None:
    """The ``.toy`` at a path or in a bundle folder, whose files are held to its manifest; None: no such."""
    if path.is_dir():
        return path / check(path).model if any(path.glob("*.toy")) else None
    return path if path.suffix == ".toy" and path.is_file() else None


def open_case(model: Path, checkpoint: Path, *rest: Any) -> Case:
    """The arguments are those of the case."""
    from runtime_tests.toy.case import ToyCase

    return ToyCase(open_toy(model), open_checkpoint(checkpoint), *rest)

"""What kinds.py asks of a room: whether a path holds one of its artifacts, and the case of it."""

from __future__ import annotations

from pathlib import Path

from runtime_tests.case import Case
from runtime_tests.readers.bundle import find_model
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import MAGIC, open_litertlm

PACKAGES = ("ai-edge-litert", "litert-lm-api", "tensorflow")
SUFFIX = ".litertlm"


def find(path: Path) -> Path | None:
    """The ``.litertlm`` at a path or in a bundle folder, whose files are held to its manifest; None: no such."""
    if path.is_dir():
        model = find_model(path) if any(path.glob(f"*{SUFFIX}")) else None
        return model if model is not None and model.suffix == SUFFIX else None
    if not path.is_file():
        return None
    return path if path.suffix == SUFFIX or _begins(path) else None


def _begins(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_case(
    model: Path,
    checkpoint: Path,
    threads: int | None,
    evaluation: Path | None,
    float_model: Path | None,
    questions: int | None,
) -> Case:
    """The arguments are those of the case."""
    from runtime_tests.litert.case import LitertCase

    artifact = open_litertlm(model)
    return LitertCase(artifact, open_checkpoint(checkpoint), threads, evaluation, float_model, questions)

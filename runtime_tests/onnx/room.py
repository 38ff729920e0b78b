"""What kinds.py asks of a room: whether a path holds one of its artifacts, and the case of it."""

from __future__ import annotations

from pathlib import Path

from runtime_tests.case import Case
from runtime_tests.readers.bundle import check
from runtime_tests.readers.checkpoint import open_checkpoint

SUFFIX, MODEL = ".onnx", "model.onnx"
PACKAGES = ("onnx", "onnxruntime", "onnxruntime-genai")


def find(path: Path) -> Path | None:
    """The decoder at a path or in a bundle folder, whose files are held to its manifest first; None: no such."""
    if path.is_dir():
        if not (path / MODEL).is_file():
            return None
        check(path)
        return path / MODEL
    return path if path.is_file() and path.suffix == SUFFIX else None


def open_case(
    model: Path,
    checkpoint: Path,
    threads: int | None,
    evaluation: Path | None,
    float_model: Path | None,
    questions: int | None,
) -> Case:
    """The arguments are those of the case."""
    from runtime_tests.onnx.case import OnnxCase, open_pair

    return OnnxCase(open_pair(model), open_checkpoint(checkpoint), threads, evaluation, float_model, questions)

"""What test_operator_counts.py counts in an `.mlpackage`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets import coreml
from convert.targets.coreml.graph import Function
from runtime_tests.readers.coreml.parts import open_parts

# By name: format of the checkpoint, and the choice that makes the case.
CASES = {
    "mobile gpu": ("mobile", "gpu"),
    "mobile ane": ("mobile", "ane"),
    "q4_0 gpu": ("q4_0", "gpu"),
}
# Where an input that several linears read is quantized once; by what, and in which graph.
SHARED = ("mobile gpu", "quantize", Function)


def count(checkpoint: Path, folder: Path, profile: str) -> dict[str, dict[str, int]]:
    """By function, of the finished package or of its parts together; constants are no operators."""
    out = folder / "Model.mlpackage"
    options = coreml.CoremlOptions(64, (16,), "float16", profile, 4)
    coreml.convert(open_checkpoint(checkpoint), options, out, Silent())
    return {
        name: dict(sorted(Counter(op.kind for op in function.operations if op.kind != "const").items()))
        for name, function in sorted(open_parts(out).functions.items())
    }

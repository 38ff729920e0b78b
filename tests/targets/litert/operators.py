"""What test_operator_counts.py counts in a `.litertlm`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets import litert
from convert.targets.litert.graph import Subgraph
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import open_tflite

# By name: format of the checkpoint, and the choice that makes the case.
CASES = {
    "mobile float32 cache": ("mobile", "float32"),
    "mobile int8 cache": ("mobile", "int8"),
    "q4_0": ("q4_0", "float32"),
}
# Where an input that several linears read is quantized once; by what, and in which graph.
SHARED = ("mobile float32 cache", "QUANTIZE", Subgraph)


def count(checkpoint: Path, folder: Path, cache: str) -> dict[str, dict[str, int]]:
    """By section and signature, of the finished file."""
    out = folder / "model.litertlm"
    litert.convert(open_checkpoint(checkpoint), litert.LitertOptions(64, (16,), cache), out, Silent())
    found = {}
    for section, placed in open_litertlm(out).models().items():
        model = open_tflite(placed.data, section)
        for name in model.signatures:
            codes = Counter(op.code for op in model.subgraph(name).operators)
            found[f"{section} {name}"] = dict(sorted(codes.items()))
    return found

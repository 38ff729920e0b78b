"""What test_operator_counts.py counts in the two ONNX models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets import onnx
from convert.targets.onnx.graph import Graph
from runtime_tests.onnx.case import open_pair

# By name: format of the checkpoint, and the choice that makes the case: there is none.
CASES = {"mobile": ("mobile", ""), "q4_0": ("q4_0", "")}
# Where an input that several linears read is quantized once; by what, and in which graph.
SHARED = ("mobile", "QuantizeLinear", Graph)


def count(checkpoint: Path, folder: Path, choice: str) -> dict[str, dict[str, int]]:
    """By model, of the finished files; the decoder runs prompts and single tokens."""
    out = folder / "model.onnx"
    onnx.convert(open_checkpoint(checkpoint), onnx.OnnxOptions(64, (512,)), out, Silent())
    pair = open_pair(out)
    return {
        name: dict(sorted(Counter(node.type for node in model.nodes).items()))
        for name, model in (("embedding", pair.embedding), ("prefill and decode", pair.decoder))
    }

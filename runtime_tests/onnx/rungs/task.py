"""Rung 4 for ONNX: does the model still do its job?

As ``rungs/task.py`` asks it, and questions about pictures, where the checkpoint brings them and the model takes images.
"""

from __future__ import annotations

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.vision.accuracy import compare_accuracy
from runtime_tests.results import Findings
from runtime_tests.rungs import task


def climb(case: OnnxCase) -> Findings:
    """Text first, then pictures."""
    found = task.climb(case)
    return Findings([*found.checks, *compare_accuracy(case)], found.evidence)

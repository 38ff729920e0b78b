"""A model is not cut open to find which part of a block departs."""

from __future__ import annotations

from runtime_tests.errors import CannotRunError
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.rungs.located import Located


def locate(case: OnnxCase) -> Located:
    """Raises:
    CannotRunError: always.
    """
    raise CannotRunError("only a .litertlm is cut open; rung 2a names the block of a model")

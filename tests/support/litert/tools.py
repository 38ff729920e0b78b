"""Running small TFLite graphs in the real runtime."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from convert.targets.litert import pack
from convert.targets.litert.graph import Model

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Run = Callable[..., Arrays]

logging.getLogger("ai_edge_litert").setLevel(logging.ERROR)


def packed(model: Model) -> bytes:
    file = io.BytesIO()
    pack.write(model, file, lambda n: None)
    return file.getvalue()


def decibels(reference: Array, found: Array) -> float:
    """Signal power over error power."""
    error = np.square(reference - found, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(error, 1e-300)))


def runner(model: Model | bytes, signature: str) -> Run:
    """A signature of a model, as a function of its named inputs."""
    from ai_edge_litert.interpreter import Interpreter

    content = model if isinstance(model, bytes) else packed(model)
    interpreter = Interpreter(model_content=content, num_threads=1)
    run = interpreter.get_signature_runner(signature)

    def call(**inputs: Array) -> Arrays:
        # The runner only lives as long as its interpreter, and hands out views of its memory.
        assert interpreter is not None
        return {name: value.copy() for name, value in run(**inputs).items()}

    return call

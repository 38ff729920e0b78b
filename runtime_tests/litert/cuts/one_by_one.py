"""Runs a large decoder one signature at a time: XNNPACK packs the weights of every signature anew.

An interpreter over the whole file packs all of them before the first call: E2B's decoder of 0.85 GB takes 2.2 GB that
way, with five signatures. Here each signature is a model of its own, and the one that was used last is held: E4B's
decode and one prefill signature took 10 GB together, packed weights and caches. So whoever has many prompts prefills
them all before the first decodes.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from runtime_tests.litert.cuts.forced import alone
from runtime_tests.litert.runners.interpreter import Interpreter, interpreter_of
from runtime_tests.memory.pages import release
from runtime_tests.memory.trim import trim
from runtime_tests.readers.litert.tflite import Tflite


class OneByOne:
    """A runner over a model, each of whose signatures is loaded when it is called."""

    def __init__(self, model: Tflite, threads: int = 2) -> None:
        self._model, self._threads = model, threads
        self._loaded: dict[str, Interpreter] = {}

    def run(self, signature: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See :meth:`runtime_tests.litert.runners.interpreter.Interpreter.run`."""
        if signature not in self._loaded:
            self._loaded.clear()
            trim()
            pieces = alone(self._model, signature)
            self._loaded[signature] = interpreter_of(pieces, threads=self._threads)
            release(*pieces)
        return self._loaded[signature].run(signature, inputs)

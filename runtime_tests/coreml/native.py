"""Core ML itself: ``predict`` with states on a chosen compute unit, and where the operations were placed.

It exists on macOS alone. Nothing here was run where this was written; the calls are those that coremltools documents.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Function

UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE")


def require_macos() -> None:
    """Raises:
    CannotRunError: this is no Mac.
    """
    if sys.platform != "darwin":
        raise CannotRunError(f"Core ML exists on macOS, iOS and their kin; this is {sys.platform}")


class NativeRunner:
    """Runs functions of a package by ``coremltools.models.MLModel``; the same methods as the evaluator's.

    Args:
        unit: name of a ``coremltools.ComputeUnit``.

    Raises:
        CannotRunError: this is no Mac.
    """

    def __init__(self, package: MlPackage, unit: str) -> None:
        require_macos()
        self._package, self._unit = package, unit
        self._parts = package.parts or (package,)
        self._models: dict[tuple[str, int], Any] = {}

    def function(self, name: str) -> Function:
        return self._package.functions[name]

    def new_state(self, function: str) -> Any:
        """The states of all parts that have the function, by the part's number."""
        return {i: self._model(name, i).make_state() for name, i in self._within(function)}

    def run(self, function: str, inputs: dict[str, Any], state: Any) -> dict[str, Any]:
        """One prediction, through all parts that have the function; arrays in the declared types.

        Args:
            state: of a function that runs in these parts at least: prefill ends before the last ones.

        Raises:
            CannotRunError: it is of fewer parts.
        """
        known, out = dict(inputs), dict[str, Any]()
        for name, i in self._within(function):
            if i not in state:
                raise CannotRunError(f"{function} runs in part {i + 1}, of which there is no state")
            types = {key: type for key, type in self._parts[i].functions[name].inputs.items() if not type.state}
            arrays = {key: np.asarray(known[key]).astype(type.dtype) for key, type in types.items()}
            out = dict(self._model(name, i).predict(arrays, state=state[i]))
            known |= out
        return out

    def _within(self, function: str) -> list[tuple[str, int]]:
        return [(function, i) for i, part in enumerate(self._parts) if function in part.functions]

    def _model(self, function: str, part: int) -> Any:
        if (function, part) not in self._models:
            import coremltools as ct

            self._models[function, part] = ct.models.MLModel(
                str(self._parts[part].path), compute_units=ct.ComputeUnit[self._unit], function_name=function
            )
        return self._models[function, part]


def placement(package: MlPackage, unit: str) -> list[tuple[str, int]]:
    """How many operations of decode Core ML would run on which device.

    Raises:
        CannotRunError: this is no Mac.
    """
    require_macos()
    import coremltools as ct
    from coremltools.models.compute_plan import MLComputePlan

    found: Counter[str] = Counter()
    for part in package.parts or (package,):
        compiled = ct.models.utils.compile_model(str(part.path))
        plan = MLComputePlan.load_from_path(str(compiled), compute_units=ct.ComputeUnit[unit])
        for operation in plan.model_structure.program.functions["decode"].block.operations:
            usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
            if usage is not None:
                found[type(usage.preferred_compute_device).__name__.removesuffix("ComputeDevice")] += 1
    return sorted(found.items())

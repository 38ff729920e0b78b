"""Small ML Programs, written by coremltools' own builder and saved as packages."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def library() -> Any:
    """coremltools without its warnings, and without TensorFlow, which it would import to convert from."""
    if "coremltools" not in sys.modules:
        logging.getLogger("coremltools").setLevel(logging.ERROR)
        hidden = "tensorflow" not in sys.modules
        if hidden:
            sys.modules["tensorflow"] = None  # type: ignore[assignment]
        try:
            importlib.import_module("coremltools")
        finally:
            if hidden:
                del sys.modules["tensorflow"]
    return sys.modules["coremltools"]


def builder() -> Any:
    """The builder of MIL programs."""
    library()
    from coremltools.converters.mil import Builder

    return Builder


def save(path: Path, build: Callable[..., Any], specs: list[Any]) -> Path:
    """Saves the program of a builder function over input specifications, with no optimization pass."""
    ct = library()
    program = builder().program(input_specs=specs, opset_version=ct.target.iOS18)(build)
    model = ct.convert(
        program,
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
        compute_units=ct.ComputeUnit.CPU_ONLY,
        pass_pipeline=ct.PassPipeline.EMPTY,
    )
    model.save(str(path))
    return path


def spec(array: Array) -> Any:
    """The input specification that fits an array of float32, float16, int32 or bool."""
    mb = builder()
    from coremltools.converters.mil.mil import types

    kinds = {"float32": types.fp32, "float16": types.fp16, "int32": types.int32, "bool": types.bool}
    return mb.TensorSpec(array.shape, dtype=kinds[array.dtype.name])


def state(shape: tuple[int, ...]) -> Any:
    """A float16 state."""
    mb = builder()
    from coremltools.converters.mil.mil import types

    return mb.StateTensorSpec(shape, dtype=types.fp16)

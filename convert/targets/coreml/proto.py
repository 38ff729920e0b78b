"""The message classes of Core ML's model format, without the rest of coremltools.

Importing coremltools imports torch and, if there is one, TensorFlow: seconds and hundreds of megabytes for a process
that only fills in messages. So its generated modules are imported as a package of another name.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from convert.errors import PlanError

_ALIAS = "coremltools_messages"


def _package() -> str:
    if "coremltools" in sys.modules:
        return "coremltools.proto"
    if _ALIAS not in sys.modules:
        found = importlib.util.find_spec("coremltools")
        if found is None or not found.submodule_search_locations:
            raise PlanError("write a Core ML package", "coremltools is not installed", "Run just setup")
        package = ModuleType(_ALIAS)
        package.__path__ = [str(Path(found.submodule_search_locations[0]) / "proto")]
        sys.modules[_ALIAS] = package
    return _ALIAS


def mil() -> Any:
    """The module ``MIL_pb2``: programs.

    Raises:
        PlanError: coremltools is missing.
    """
    return importlib.import_module(f"{_package()}.MIL_pb2")


def model() -> Any:
    """The module ``Model_pb2``: what a program is wrapped in. Its imports define ``FeatureTypes_pb2`` too."""
    return importlib.import_module(f"{_package()}.Model_pb2")


def features() -> Any:
    """The module ``FeatureTypes_pb2``: types of inputs, outputs and states."""
    return importlib.import_module(f"{_package()}.FeatureTypes_pb2")

"""A package and the checkpoint's tensors that it has to hold, for comparisons of weights."""

from __future__ import annotations

from typing import Protocol

from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Function


class Weighed(Protocol):
    """A package and the tensors that it has to hold: a case, or the part of one that takes images.

    Attributes:
        decode: the function that the others are held to.
        profile: ``gpu`` or ``ane``.
    """

    @property
    def package(self) -> MlPackage: ...

    @property
    def folder(self) -> Folder: ...

    @property
    def decode(self) -> Function: ...

    @property
    def profile(self) -> str: ...

"""A package is not cut open to find which part of a block departs."""

from __future__ import annotations

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.errors import CannotRunError
from runtime_tests.rungs.located import Located


def locate(case: CoremlCase) -> Located:
    """Raises:
    CannotRunError: always.
    """
    raise CannotRunError("only a .litertlm is cut open; rung 2a names the block of a package")

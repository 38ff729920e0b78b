"""How checkpoints are stored: one module a format, found by its ``METHOD``; see ``runtime_tests.readers.format``."""

from runtime_tests import rooms

__path__ = rooms(__name__, __path__)

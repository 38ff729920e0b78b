"""Readers of the judge's own: of bundles, checkpoints and model files. They trust no byte and share no writer's code.

A target's and a format's may also lie elsewhere: see ``runtime_tests.rooms``.
"""

from runtime_tests import rooms

__path__ = rooms(__name__, __path__)

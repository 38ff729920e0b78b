"""The independent judge: reads finished files with readers of its own and runs them in the real runtimes.

Nothing here imports the converter. The reference is transformers, loading the same checkpoint by its own loader.
"""

import sys
from collections.abc import Iterable
from pathlib import Path


def rooms(package: str, own: Iterable[str]) -> list[str]:
    """The ``__path__`` of a package whose modules may also lie elsewhere on ``sys.path``: a target's room, a reader.

    They lie in a bare folder of the package's name: one that is not another judge.
    """
    elsewhere = (Path(entry, *package.split(".")) for entry in sys.path)
    return [*own, *(str(at) for at in elsewhere if at.is_dir() and not (at / "__init__.py").exists())]


__path__ = rooms(__name__, __path__)

"""The independent judge: reads finished files with readers of its own and runs them in the real runtimes.

Nothing here imports the converter. The reference is transformers, loading the same checkpoint by its own loader.
"""

import sys
from pathlib import Path

# A target's room may also lie elsewhere on sys.path, in a bare folder ``runtime_tests``: one that is not another judge.
_elsewhere = (Path(entry, __name__) for entry in sys.path)
__path__ = [*__path__, *(str(at) for at in _elsewhere if at.is_dir() and not (at / "__init__.py").exists())]

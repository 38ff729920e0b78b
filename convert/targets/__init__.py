"""Stage 3: what a checkpoint can become, one folder each.

One may also lie outside this package: see ``convert.rooms``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from convert.rooms import rooms
from convert.targets.target import Target

__path__ = rooms(__name__, __path__)


@cache
def all_targets() -> dict[str, Target]:
    """Every target by name, sorted."""
    folders = sorted(module.name for module in iter_modules(__path__) if module.ispkg)
    return {name: import_module(f"{__name__}.{name}").TARGET for name in folders}

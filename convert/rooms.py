"""Where a package's modules may lie besides its own folder: in folders of the same name on ``sys.path``.

So a target or a format can live outside this project. ``pkgutil.extend_path`` would ask that of every parent as well.
"""

from __future__ import annotations

import sys
from pathlib import Path


def rooms(name: str, own: list[str]) -> list[str]:
    """The ``__path__`` of a package: its own folder, then the others."""
    places = (Path(entry, *name.split(".")) for entry in sys.path)
    return list(dict.fromkeys([*own, *(str(place) for place in places if place.is_dir())]))

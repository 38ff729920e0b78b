"""How checkpoints are stored: one module a format, with ``METHOD`` and ``read``; see ``convert.checkpoint.format``.

One may also lie outside this package: see ``convert.rooms``.
"""

from __future__ import annotations

from convert.rooms import rooms

__path__ = rooms(__name__, __path__)

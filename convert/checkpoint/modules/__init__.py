"""What a model is made of: one file a module, with ``MODULE``; see ``convert.checkpoint.module``.

One may also lie outside this package: see ``convert.rooms``.
"""

from __future__ import annotations

from convert.rooms import rooms

__path__ = rooms(__name__, __path__)

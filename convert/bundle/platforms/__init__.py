"""Where models run: one module a platform, with ``PLATFORM``; see ``convert.bundle.platform``.

One may also lie outside this package: see ``convert.rooms``.
"""

from __future__ import annotations

from convert.rooms import rooms

__path__ = rooms(__name__, __path__)

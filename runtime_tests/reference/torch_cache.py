"""Keeps torch from making a folder that nobody removes.

transformers imports ``torch._dynamo``, which makes ``torchinductor_<user>`` in the folder for temporary files as it is
imported, for compiled kernels. Nothing is compiled here. Given a folder that is there, it makes none
(torch, ``_inductor/runtime/cache_dir_utils.py``, ``cache_dir``).
"""

from __future__ import annotations

import contextlib
import os
import tempfile


def make_none() -> None:
    """To be called before torch is imported; processes that are started later inherit it. A user's choice stays."""
    with contextlib.suppress(FileNotFoundError):  # no place for temporary files at all, which others will tell of
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.gettempdir())

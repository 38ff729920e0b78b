"""The text decoder with its head. Keys: ``layers.0.self_attn.q_proj.weight``, ``embed_tokens.weight``, ``lm_head``."""

from __future__ import annotations

import re

from runtime_tests.readers.dimensions import Dimensions
from runtime_tests.readers.module import Module

_ROOT = "language_model"
_SHARED = re.compile(r"layers\.(\d+)\.self_attn\.(?:[kv]_proj|[kv]_norm)\.weight")


class _Text(Module):
    def key(self, name: str, nested: bool) -> str | None:
        if name.startswith("lm_head."):
            return name
        return name.removeprefix(f"{_ROOT}.") if name.startswith(f"{_ROOT}.") == nested else None

    def prefix(self, nested: bool) -> str:
        return f"model.{_ROOT}." if nested else "model."

    def unused(self, key: str, dims: Dimensions) -> bool:
        """Keys and values of layers that read another layer's."""
        layer = _SHARED.fullmatch(key)
        return layer is not None and dims.first_shared > 0 and int(layer[1]) >= dims.first_shared


MODULE = _Text(roots=(_ROOT,))

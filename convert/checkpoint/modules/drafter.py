"""The drafter of multi-token prediction. It is published alone, beside its model; it is recognized and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.checkpoint.module import Kind

_MODEL_TYPE = "gemma4_assistant"


def _unread(values: Mapping[str, Any]) -> str | None:
    if values.get("model_type") != _MODEL_TYPE:
        return None
    return f"a drafter that goes with a Gemma 4, not the model itself (model_type {_MODEL_TYPE!r} in config.json)"


MODULE = Kind(title="drafter", unread=_unread)

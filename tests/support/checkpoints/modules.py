"""Checkpoints whose text decoder is another than the one that was read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convert.checkpoint.types import Checkpoint


def with_text(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """The checkpoint with these fields of its text decoder changed."""
    return replace(checkpoint, modules={**checkpoint.modules, "text": replace(checkpoint.text, **changes)})

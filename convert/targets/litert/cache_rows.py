"""How many rows the cache of a sliding layer has."""

from __future__ import annotations

from convert.checkpoint.config import SLIDING, TextConfig

_ROWS = 16  # a ring's length is a multiple of this: kernels take so many floats at a time


def ring_rows(config: TextConfig, context: int, ahead: int = 0) -> int | None:
    """Rows of a sliding layer's cache, see ``ring``; None where a ring would not be shorter than the context.

    Args:
        ahead: tokens that may be written and then given up, as a drafter's are: rows that they overwrite must lie
            outside every later window.
    """
    if all(layer.kind != SLIDING for layer in config.owners):
        return None
    rows = -(-(config.window + ahead) // _ROWS) * _ROWS
    return rows if rows < context else None

"""transformers' KV cache with int8 rows.

transformers' own model code ignores the cache scales of a mobile checkpoint. An artifact with an int8 cache is judged
against a reference that rounds what it caches the same way: ``clamp(round(x / s), -128, 127) * s``, half to even.
"""

from __future__ import annotations

from typing import Any


def new_cache(scales: dict[int, tuple[float, float]]) -> Any:
    """An empty cache without a window: every row is kept, also those of sliding layers.

    Args:
        scales: key and value scale by layer; empty for a plain float cache.

    Returns:
        a ``DynamicCache``; its attribute ``rows`` has the keys and values of each layer before rounding.
    """
    import torch
    from transformers import DynamicCache

    class Rounded(DynamicCache):
        """Keeps what came in beside what attention sees."""

        def __init__(self) -> None:
            super().__init__()
            self.rows: dict[int, tuple[Any, Any]] = {}

        def update(self, key_states: Any, value_states: Any, layer_idx: int, *args: Any, **kwargs: Any) -> Any:
            new = (key_states, value_states)
            old = self.rows.get(layer_idx)
            joined = new if old is None else tuple(torch.cat(pair, dim=-2) for pair in zip(old, new, strict=True))
            self.rows[layer_idx] = (joined[0], joined[1])
            if layer_idx in scales:
                new = (_round(key_states, scales[layer_idx][0]), _round(value_states, scales[layer_idx][1]))
            return super().update(*new, layer_idx, *args, **kwargs)

    return Rounded()


def _round(rows: Any, scale: float) -> Any:
    return (rows / scale).round().clamp(-128, 127) * scale

"""Float32 copies of matrices, made when they are multiplied with and gone afterwards.

What a matrix is multiplied with is transformers' own code; only the place of its weight is exchanged while it runs.
A head of a large vocabulary goes through in slices of its rows, for its float32 form alone takes gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Source = Callable[[str], Any]
SLICED_FROM = 64 << 20  # elements


class Weights:
    """Where the linears and tables of a decoder find their weights.

    Attributes:
        source: gives another weight ``[out, in]`` for a module path below the decoder, or None for the stored one.
    """

    def __init__(self, model: Any, stored: bool) -> None:
        """Args:
        model: a ``Gemma4ForCausalLM``.
        stored: whether its parameters are bfloat16 and have to be widened.
        """
        import torch

        self.source: Source | None = None
        for name, module in model.named_modules():
            key = name.removeprefix("model.")
            if isinstance(module, torch.nn.Linear):
                _replace(module, self._linear(module, key))
            elif isinstance(module, torch.nn.Embedding) and stored:
                # transformers makes the factor of the type of the weights, and it would be rounded.
                module.embed_scale = torch.tensor(module.scalar_embed_scale, dtype=torch.float32)
                _replace(module, _rows(module))
            elif stored:
                for holder in (module._parameters, module._buffers):
                    for item, value in holder.items():
                        if value is not None and value.dtype == torch.bfloat16:
                            holder[item] = _like(value, value.float())

    def _linear(self, module: Any, key: str) -> Callable[[Any], Any]:
        plain, packed = module.forward, hasattr(module, "weight_scale")

        def forward(x: Any) -> Any:
            import torch

            given = self.source(key) if self.source is not None and not packed else None
            weight = module.weight if given is None else _like(module.weight, given)
            rows = weight.shape[0]
            step = rows if rows * module.in_features < SLICED_FROM else max(1, SLICED_FROM // module.in_features)
            if step == rows and weight.dtype == x.dtype and given is None:
                return plain(x)
            if step == rows and packed:
                return plain(x)
            kept: Any = module.weight
            scale: Any = module.weight_scale if packed else None
            parts = []
            try:
                for start in range(0, rows, step):
                    piece = weight.data[start : start + step]
                    if packed:
                        module.weight = _like(weight, piece)
                        module.weight_scale = _like(kept, scale.data[start : start + step])
                    else:
                        module.weight = _like(weight, piece.to(x.dtype))
                    parts.append(plain(x))
            finally:
                module.weight = kept
                if packed:
                    module.weight_scale = scale
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

        return forward


def _rows(module: Any) -> Callable[[Any], Any]:
    """A lookup in a table of the rows that are asked for, in float32."""
    plain = module.forward

    def forward(ids: Any) -> Any:
        import torch

        wanted, places = torch.unique(ids, return_inverse=True)
        kept, padding = module.weight, module.padding_idx
        try:
            module.padding_idx = None  # which of the rows is padding matters to training alone
            module.weight = _like(kept, kept.data[wanted].type(torch.float32))
            return plain(places)
        finally:
            module.weight, module.padding_idx = kept, padding

    return forward


def _replace(module: Any, forward: Callable[[Any], Any]) -> None:
    module.forward = forward  # hooks still run around it


def _like(holder: Any, value: Any) -> Any:
    import torch

    return torch.nn.Parameter(value, requires_grad=False) if isinstance(holder, torch.nn.Parameter) else value

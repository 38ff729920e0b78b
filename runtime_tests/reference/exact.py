"""transformers' own modules in float64: the arithmetic that knows better than any float32.

Its code asks for float32 in places (norms, softmax, rotary angles), so it is not enough to give it float64 inputs.
Within :func:`exactly` whatever asks for float32 gets float64; weights are the stored ones, whose values are exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def exactly(decoder: Any) -> Iterator[None]:
    """Within this, a text decoder of transformers, and what is called beside it, computes in float64."""
    import torch
    from torch.overrides import TorchFunctionMode

    single, double = torch.float32, torch.float64

    class Doubled(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = dict(kwargs or {})
            if given.get("dtype") is single:
                given["dtype"] = double
            if func is torch.Tensor.float:
                func = torch.Tensor.double
            elif func is torch.Tensor.to:
                args = tuple(double if item is single else item for item in args)
            return func(*args, **given)

    tables = [decoder.embed_tokens]
    if decoder.hidden_size_per_layer_input:
        tables.append(decoder.embed_tokens_per_layer)
    handles = [table.register_forward_hook(lambda _m, _a, out: out.double()) for table in tables]
    try:
        with Doubled():
            yield
    finally:
        for handle in handles:
            handle.remove()

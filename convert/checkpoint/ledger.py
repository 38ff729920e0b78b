"""The accounting of a checkpoint's tensors, which finds every one that is missing or too many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from convert.checkpoint.outline import Outline, Part
from convert.checkpoint.safetensors import Tensor
from convert.checkpoint.strict_json import shown
from convert.checkpoint.tensors import FLOATS, StoredFloats
from convert.errors import CheckpointError


class Ledger:
    """Hands out every stored tensor at most once; what nobody took in the end is unexpected.

    Args:
        stored: all tensors of the checkpoint by published name; see ``convert.checkpoint.names``.
        asked: what the user wanted, for messages.
    """

    def __init__(self, stored: Mapping[str, Tensor], asked: str) -> None:
        self.asked, self.stored = asked, stored
        self._open = set(stored)

    def has(self, name: str) -> bool:
        return name in self.stored

    def take(self, name: str, shapes: Iterable[tuple[int, ...]], dtypes: tuple[str, ...], why: str = "") -> Tensor:
        """The tensor of this published name, which must have one of the shapes and dtypes.

        Args:
            why: the reason for the expectation, added to the message.

        Raises:
            CheckpointError: it is missing, or has another shape or dtype.
        """
        tensor = self.stored.get(name)
        if tensor is None:
            raise CheckpointError(self.asked, f"tensor {name} is missing", "Download the checkpoint again")
        expected = tuple(shapes)
        if tensor.shape not in expected or tensor.dtype not in dtypes:
            wanted = f"{' or '.join(dtypes)} {' or '.join(str(list(shape)) for shape in expected)}"
            found = f"tensor {name} is {tensor.dtype} {list(tensor.shape)}; config.json asks for {wanted}{why}"
            raise CheckpointError(self.asked, found, "Use a checkpoint whose config.json belongs to it")
        self._open.discard(name)
        return tensor

    def floats(self, outline: Outline[Any], part: Part) -> StoredFloats:
        """The tensor of a part that is stored as floating-point numbers.

        Plain ones are small and are checked here to be finite, and bounds to be numbers; matrices are read later, by
        whoever streams them.
        """
        stored = StoredFloats(self.take(outline.name(part.float_key), [part.shape], FLOATS))
        if part.kind == "plain" and not np.isfinite(stored.float32()).all():
            raise CheckpointError(
                self.asked, f"tensor {stored.name} holds a number that is not finite", "Do not use it"
            )
        if part.kind == "bound" and np.isnan(stored.float32()).any():
            raise CheckpointError(self.asked, f"tensor {stored.name} is not a number", "Do not use it")
        return stored

    def close(self, reason: Callable[[str], str | None]) -> Mapping[str, str]:
        """Ends the accounting: tensors that are recognized but not converted, by name, with the reason.

        Args:
            reason: gives that of a tensor that nobody took; None for one that belongs to nothing.

        Raises:
            CheckpointError: a tensor belongs to nothing that is known.
        """
        reasons = {name: reason(name) for name in sorted(self._open)}
        unknown = [name for name, why in reasons.items() if why is None]
        if unknown:
            found = f"unexpected tensor {shown(unknown[0])}" + (f" and {len(unknown) - 1} more" if unknown[1:] else "")
            raise CheckpointError(self.asked, found, "Use a checkpoint whose config.json belongs to it")
        return {name: why for name, why in reasons.items() if why is not None}

"""What an operation of the evaluator is: a torch function whose parameters are the operation's own, by name and type.

An annotation says how a parameter is handed over: ``Tensor`` as it is, ``Tensors`` all arguments as a tuple, and
``Ints``, ``Int``, ``Float``, ``Bool`` and ``Text`` as Python values. A default is the default of MIL's documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Tensor = Any
Tensors = tuple[Any, ...]
Ints = tuple[int, ...]
Int = int
Float = float
Bool = bool
Text = str

CONVERT: dict[str, Callable[[Any], Any]] = {
    "Tensor": lambda value: value,
    "Ints": lambda value: tuple(int(i) for i in value.reshape(-1).tolist()),
    "Bools": lambda value: tuple(bool(i) for i in value.reshape(-1).tolist()),
    "Int": lambda value: int(value.item()),
    "Float": lambda value: float(value.item()),
    "Bool": lambda value: bool(value.item()),
    "Text": str,
}
Bools = tuple[bool, ...]


@dataclass(frozen=True)
class Kernel:
    """One operation.

    Attributes:
        run: the function.
        moves: whether it only moves elements, so that nothing can need rounding.
    """

    run: Callable[..., Any]
    moves: bool = False

    @cached_property
    def parameters(self) -> dict[str, tuple[str, bool]]:
        """Annotation, and whether the parameter may be left out, by name."""
        found = inspect.signature(self.run).parameters.values()
        return {p.name: (str(p.annotation).removesuffix(" | None"), p.default is not p.empty) for p in found}

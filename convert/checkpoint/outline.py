"""What a checkpoint has to hold of a module, whatever format it is stored in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from convert.checkpoint.safetensors import Tensor

C = TypeVar("C")
# Stored name, all stored tensors by name, and what the user wanted: why the tensor is not converted, or None.
LeftOut = Callable[[str, Mapping[str, Tensor], str], str | None]


@dataclass(frozen=True)
class Part:
    """Something that a module computes with.

    Attributes:
        key: module path below the module; for ``plain``, ``bound`` and ``experts`` the tensor's name below the module.
        kind: ``linear``, ``embedding`` and ``experts`` (one matrix for each) may be quantized, ``plain`` never is, nor
            is a ``bound``, a single number that may be infinite.
        shape: ``[out, in]``, ``[rows, width]``, ``[experts, out, in]``, or the tensor's shape.
        groups: pieces of a row with a scale of their own, where a format has no blocks: 1 is one scale a row.
        rounded: whether training rounds its weights, where config.json does not say.
    """

    key: str
    kind: Literal["linear", "embedding", "experts", "plain", "bound"]
    shape: tuple[int, ...]
    groups: int = 1
    rounded: Literal["always", "perhaps", "never"] = "never"

    @property
    def float_key(self) -> str:
        """Name below the module of the tensor that holds it as floating-point numbers."""
        return f"{self.key}.weight" if self.kind in ("linear", "embedding") else self.key


@dataclass(frozen=True)
class CachePart:
    """A layer's attention, by module path; ``needed``: it has scales where a format has those of an int8 cache."""

    key: str
    needed: bool


def _nothing(name: str, stored: Mapping[str, Tensor], asked: str) -> None:
    return None


@dataclass(frozen=True)
class Outline(Generic[C]):
    """A module as config.json describes it.

    Attributes:
        config: its dimensions.
        name: gives the published name of a key, which is also its name in transformers.
        parts: in the order of computation.
        caches: by layer index.
        ties: keys of matrices that share the weights of another and are not stored, each with that other's key.
        floats: whether it may be stored as floats throughout, on no grid: then it is carried as the floats it is.
        left_out: why a stored tensor is not converted although it belongs to the module; None: it does not.
    """

    config: C
    name: Callable[[str], str]
    parts: tuple[Part, ...]
    caches: Mapping[int, CachePart] = field(default_factory=dict)
    ties: Mapping[str, str] = field(default_factory=dict)
    floats: bool = False
    left_out: LeftOut = _nothing

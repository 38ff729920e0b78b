"""What ``inspect`` says of a model file, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass

from convert.inspection.weights import Share
from convert.model.signature import Tensor


@dataclass(frozen=True)
class Signature:
    """One entry point of one section, inputs and outputs by name."""

    section: str
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Section:
    """One section of the container; ``kind`` is the model type of TFLite sections. Offsets in bytes."""

    kind: str
    begin: int
    bytes: int


@dataclass(frozen=True)
class Cache:
    """The KV cache as decode takes it: ``pairs`` of key and value tensors with ``context`` positions.

    Attributes:
        ring: rows of those tensors that are shorter than the context; None where there are none.
    """

    dtype: str
    context: int
    pairs: int
    bytes: int
    ring: int | None = None


@dataclass(frozen=True)
class Report:
    """Everything ``inspect`` says about a file.

    Attributes:
        operators: number of operators by section and code.
        images: tokens that an image becomes, at most, of each of the lengths that it is encoded in; ascending.
    """

    file: str
    bytes: int
    sections: tuple[Section, ...]
    signatures: tuple[Signature, ...]
    cache: Cache | None
    weights: tuple[Share, ...]
    operators: dict[str, dict[str, int]]
    images: tuple[int, ...] = ()

    def section(self, kind: str) -> int:
        """Bytes of a section; 0 when there is none."""
        return sum(section.bytes for section in self.sections if section.kind == kind)

"""What can be chosen for the Core ML target."""

from __future__ import annotations

from dataclasses import dataclass

from convert.choices import choice

ALIGNMENT = 32  # devices take state dimensions in multiples of this


@dataclass(frozen=True)
class CoremlOptions:
    """Attributes:
    context: positions of the KV cache, in tokens; the state has them rounded up to a multiple of 32.
    prefill: tokens per prefill call, one function each.
    precision: ``float16`` for devices, ``float32`` to prove the program (Core ML itself takes float16 states only).
    profile: ``gpu``: one package. ``ane``: float16 throughout and in parts, as the Neural Engine takes it.
    part_layers: layers of one part at most, profile ``ane`` alone.
    """

    context: int
    prefill: tuple[int, ...]
    precision: str = choice("float16", ("float16", "float32"), "float32 to prove the program")
    profile: str = choice("gpu", ("gpu", "ane"), "ane: for the Neural Engine, in parts")
    part_layers: int = 15

    @property
    def positions(self) -> int:
        """Positions of the state."""
        return aligned(self.context)


def aligned(n: int) -> int:
    """The next multiple of 32."""
    return -(-n // ALIGNMENT) * ALIGNMENT

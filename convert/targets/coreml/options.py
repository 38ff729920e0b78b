"""What can be chosen for the Core ML target."""

from __future__ import annotations

from dataclasses import dataclass

from convert.choices import choice
from convert.image_tokens import IMAGE_ROWS

ALIGNMENT = 32  # devices take state dimensions in multiples of this


@dataclass(frozen=True)
class CoremlOptions:
    """Attributes:
    context: positions of the KV cache, in tokens; the state has them rounded up to a multiple of 32.
    prefill: tokens per prefill call, one function each.
    precision: ``float16`` for devices, ``float32`` to prove the program (Core ML itself takes float16 states only).
    profile: ``gpu``: one package. ``ane``: float16 throughout and in parts, as the Neural Engine takes it.
    part_layers: layers of one part at most, profile ``ane`` alone.
    image_tokens: rows of the decoder that an image becomes, at most; only where images are converted.
    """

    context: int
    prefill: tuple[int, ...]
    precision: str = choice("float16", ("float16", "float32"), "float32 to prove the program")
    profile: str = choice("gpu", ("gpu", "ane"), "ane: for the Neural Engine, in parts")
    part_layers: int = 15
    image_tokens: str = choice(
        "280",
        tuple(map(str, IMAGE_ROWS)),
        "tokens that an image becomes, at most; not given: what config.json says",
        modality="image",
    )

    @property
    def image_rows(self) -> tuple[int, ...]:
        """Rows of the decoder that an image becomes: one function each."""
        return tuple(rows for rows in IMAGE_ROWS if rows <= int(self.image_tokens))

    @property
    def positions(self) -> int:
        """Positions of the state."""
        return aligned(self.context)


def aligned(n: int) -> int:
    """The next multiple of 32."""
    return -(-n // ALIGNMENT) * ALIGNMENT

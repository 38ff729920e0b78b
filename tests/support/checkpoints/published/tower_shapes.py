"""Dimensions of the vision and audio towers beside the text decoder: those of E2B and E4B, and small ones for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vision:
    """Attributes:
    positions: rows of each of the two tables of position embeddings.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    positions: int
    patch: int = 16

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


@dataclass(frozen=True)
class Audio:
    """Attributes:
    channels: of the two convolutions in front.
    bands: mel bands of the input, which the two convolutions bring down to a quarter.
    output: width of the output projection.
    """

    layers: int
    hidden: int
    heads: int
    output: int
    channels: tuple[int, int] = (128, 32)
    bands: int = 128
    kernel: int = 5


@dataclass(frozen=True)
class Towers:
    """Attributes:
    attention: bits of the attention and feed-forward matrices of the audio tower in the mobile format, its
        ``lconv1d.linear_start`` apart.
    """

    vision: Vision
    audio: Audio
    vision_bits: int = 8
    audio_bits: int = 2
    start_bits: int = 4


REAL_TOWERS = Towers(Vision(16, 768, 3072, 12, 10240), Audio(12, 1024, 8, 1536))
SMALL_TOWERS = Towers(Vision(1, 96, 384, 12, 64), Audio(1, 64, 8, 96))

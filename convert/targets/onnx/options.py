"""What can be chosen for the ONNX target."""

from __future__ import annotations

from dataclasses import dataclass

from convert.choices import choice
from convert.image_tokens import IMAGE_ROWS


@dataclass(frozen=True)
class OnnxOptions:
    """Attributes:
    context: most tokens of a conversation. The graph's dimensions are open; this is what its metadata, the genai
        configuration and the app go by.
    prefill: tokens of a prompt's pieces, the longest first taken; the graph takes any number.
    image_tokens: rows of the decoder that an image becomes, at most; only where images are converted.
    """

    context: int
    prefill: tuple[int, ...]
    image_tokens: str = choice(
        "280",
        tuple(map(str, IMAGE_ROWS)),
        "tokens that an image becomes, at most; not given: what config.json says",
        modality="image",
    )

    @property
    def image_rows(self) -> tuple[int, ...]:
        """Rows of the decoder that an image becomes, at most, in the one graph that there is."""
        return (int(self.image_tokens),)

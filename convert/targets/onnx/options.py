"""What can be chosen for the ONNX target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OnnxOptions:
    """Attributes:
    context: most tokens of a conversation. The graph's dimensions are open; this is what its metadata, the genai
        configuration and the app go by.
    prefill: tokens of a prompt's pieces, the longest first taken; the graph takes any number.
    """

    context: int
    prefill: tuple[int, ...]

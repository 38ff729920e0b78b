"""What a user may choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How to talk.

    Attributes:
        sample: draw tokens with the bundle's own sampler settings; otherwise the best token is taken every time.
        limit: tokens of an answer, at most.
        threads: CPU threads.
        images: files that go with the first message.
        tools: ``builtin``, or a Python file whose functions the model may call; None for no tools.
    """

    sample: bool
    limit: int
    threads: int
    tools: str | None = None
    images: tuple[Path, ...] = ()

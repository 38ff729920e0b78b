"""The embedded demo checkpoint; its training is an extra that nothing else here imports."""

from pathlib import Path


def folder() -> Path:
    """The folder of the embedded checkpoint: a pocket Gemma 4, trained with QAT, in the mobile format."""
    return Path(__file__).parent / "checkpoint"

"""The embedded demo checkpoint, and what writes synthetic checkpoints in Google's formats."""

from pathlib import Path


def folder() -> Path:
    """The folder of the embedded checkpoint: a pocket Gemma 4, trained with QAT, in the mobile format."""
    return Path(__file__).parent / "checkpoint"

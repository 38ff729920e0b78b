"""The embedded demo checkpoint, and what writes synthetic checkpoints in Google's formats."""

from pathlib import Path


def folder() -> Path:
    """The folder of the embedded checkpoint: a Gemma 4 of random weights in the mobile format."""
    return Path(__file__).parent / "checkpoint"

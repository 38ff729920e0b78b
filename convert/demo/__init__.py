"""The embedded demo checkpoint; its training is an extra that nothing else here imports."""

from pathlib import Path


def folder() -> Path:
    """The folder of the embedded checkpoint: a pocket Gemma 4, trained with QAT, in the mobile format."""
    return Path(__file__).parent / "checkpoint"


def drafter() -> Path:
    """The folder of its drafter: four thin layers, trained to say what the demo says, on the q4_0 lattice."""
    return Path(__file__).parent / "drafter"

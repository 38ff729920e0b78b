"""Android and every other place where LiteRT-LM runs: a checkpoint becomes one `.litertlm` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convert.targets.litert.options import LitertOptions

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.progress import Progress

__all__ = ["LitertOptions", "convert"]


def convert(checkpoint: Checkpoint, options: LitertOptions, out: Path, progress: Progress) -> None:
    """Writes ``out``. Weights are streamed from the checkpoint's files; peak memory is one chunk and the graphs.

    Raises:
        ConvertError: something in the checkpoint cannot be held by the target.
    """
    from convert.targets.litert.build import build

    build(checkpoint, options, out, progress)

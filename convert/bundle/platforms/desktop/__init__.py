"""Desktop: a bundle that runs from its own folder, with the few lines of Python that do it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.bundle.platform import Packing, Platform

if TYPE_CHECKING:
    from convert.progress import Progress

SAMPLE = Path(__file__).parent
FILES = ("README.md", "gemma.py", "pictures.py")


def _pack(folder: Path, tools: Any, choices: Any, work: Path, progress: Progress) -> str | None:
    """Adds the sample to a bundle with finished papers, and to its manifest."""
    from convert.bundle import papers

    for name in FILES:
        shutil.copyfile(SAMPLE / name, folder / name)
    papers.add(folder, (folder / name for name in FILES))
    return f"sample: python {FILES[1]}"


PLATFORM = Platform("desktop", "onnx", {"onnx": Packing(pack=_pack)})

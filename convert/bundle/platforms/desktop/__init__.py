"""Desktop: a bundle that runs from its own folder, with the few lines of Python that do it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.bundle.platform import Packing, Platform

if TYPE_CHECKING:
    from convert.progress import Progress

SAMPLE = Path(__file__).parent
FILES = ("README.md", "gemma.py")


def _pack(folder: Path, tools: Any, choices: Any, work: Path, progress: Progress) -> str | None:
    """Adds the sample to a bundle with finished papers, and to its manifest."""
    from convert.bundle import manifest as m
    from convert.bundle.names import MANIFEST
    from convert.bundle.papers import entry

    for name in FILES:
        shutil.copyfile(SAMPLE / name, folder / name)
    manifest = m.read(folder)
    files = manifest.files | {name: entry(folder / name) for name in FILES}
    (folder / MANIFEST).write_text(m.to_json(manifest.model_copy(update={"files": files})), encoding="utf-8")
    return f"sample: python {FILES[1]}"


PLATFORM = Platform("desktop", "onnx", {"onnx": Packing(pack=_pack)})

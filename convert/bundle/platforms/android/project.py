"""``app/`` of an Android bundle: the sample as a Gradle project, with this bundle's files in its assets."""

from __future__ import annotations

import shutil
from pathlib import Path

SAMPLE = Path(__file__).parents[4] / "mobile_samples" / "android"
ASSETS = "app/src/main/assets/model"
# Kinds of source files. What Android Studio and Gradle leave behind is none of them, or in these folders.
KINDS = frozenset({".c", ".h", ".kt", ".kts", ".md", ".pro", ".properties", ".toml", ".xml"})
LEFT_OUT = frozenset({"build", "signing", ".gradle", ".idea", ".kotlin", ".cxx", "local.properties", "assets"})


def sources(sample: Path = SAMPLE) -> list[Path]:
    """The project's own files, sorted, relative to ``sample``; none where the sample is not installed."""
    found = [path.relative_to(sample) for path in sample.rglob("*") if path.is_file() and path.suffix in KINDS]
    return sorted(path for path in found if not LEFT_OUT.intersection(path.parts))


def write(folder: Path, assets: dict[str, Path], sample: Path = SAMPLE) -> None:
    """Copies the project into the new folder ``folder`` and ``assets`` to where the app looks for them."""
    copies = {folder / path: sample / path for path in sources(sample)}
    copies |= {folder / ASSETS / name: path for name, path in assets.items()}
    for target, source in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

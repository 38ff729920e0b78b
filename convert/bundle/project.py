"""``app/`` of a bundle: a sample app's project, with this bundle's files where the app looks for them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.bundle.names import GOLDEN, MANIFEST

if TYPE_CHECKING:
    from convert.bundle.manifest import File

APP = "app"
# A larger model would make an app that nobody wants to install twice; it is downloaded or imported.
LARGEST_PACKED = 100_000_000


@dataclass(frozen=True)
class Project:
    """A sample app's own files.

    Attributes:
        root: its folder; nothing is in it where the samples are not installed.
        assets: folder of the bundle's files in it.
        kinds: suffixes of source files. What tools leave behind is none of them, or lies in these folders:
        left_out: names of files and folders that are not the project's.
    """

    root: Path
    assets: str
    kinds: frozenset[str]
    left_out: frozenset[str]

    def sources(self, root: Path | None = None) -> list[Path]:
        """The project's own files, sorted, relative to its folder."""
        root = root or self.root
        found = [path.relative_to(root) for path in root.rglob("*") if path.is_file() and path.suffix in self.kinds]
        return sorted(path for path in found if not self.left_out.intersection(path.parts))

    def packed(self, folder: Path, files: Mapping[str, File]) -> tuple[dict[str, Path], bool]:
        """A bundle's files that go into its app, and whether those are all: of a large bundle the goldens alone."""
        whole = sum(file.bytes for file in files.values()) <= LARGEST_PACKED
        names = (MANIFEST, *(files if whole else (GOLDEN,)))
        return {name: folder / name for name in names}, whole

    def write(self, folder: Path, assets: dict[str, Path]) -> None:
        """Copies the project into the new folder ``folder`` and ``assets`` to where the app looks for them."""
        copies = {folder / path: self.root / path for path in self.sources()}
        copies |= {folder / self.assets / name: path for name, path in assets.items()}
        for target, source in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

"""What an iOS bundle brings to try it out: ``app/``, the sample's project, wired to this bundle.

It holds the bundle's manifest as it is without it, for a file cannot hold its own digest; the bundle's manifest then
lists the project's files too. A small model lies in the project; of a larger one the manifest and the goldens do, and
the app downloads or imports the rest.
"""

from __future__ import annotations

from pathlib import Path

from convert.bundle import manifest as m
from convert.bundle import papers
from convert.bundle.platforms.ios.project import PROJECT
from convert.bundle.project import APP
from convert.progress import Progress


def add(folder: Path, progress: Progress) -> str:
    """Adds ``app/`` to a bundle with finished papers, and to its manifest; says in a line what is in it."""
    if not PROJECT.sources():
        return "app: the sample's sources are not installed here"
    with progress.stage("app"):
        assets, whole = PROJECT.packed(folder, m.read(folder).files)
        PROJECT.write(folder / APP, assets)
        papers.add(folder, [path for path in (folder / APP).rglob("*") if path.is_file()])
    return f"app: {'with the model' if whole else 'without the model, which the app downloads or imports'}"

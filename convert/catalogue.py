"""What there is to choose from: models, platforms, and the bundles that lie in the output folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.bundle.manifest import read
from convert.bundle.platform import all_platforms
from convert.checkpoint.hub import known
from convert.errors import ArtifactError


@dataclass(frozen=True)
class Bundle:
    """A bundle in the output folder; ``state`` is ``ok`` or what is wrong with its manifest. Bytes of all its files.

    ``modalities``: what it takes in.
    """

    platform: str
    name: str
    source: str
    bytes: int
    state: str
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Models by hub id (and ``demo``), platforms, bundles."""

    models: tuple[str, ...]
    platforms: tuple[str, ...]
    bundles: tuple[Bundle, ...]


def catalogue(out: Path) -> Catalogue:
    """Reads manifests below ``out``; damaged ones are listed as such."""
    folders = sorted(path.parent for path in out.glob("[!.]*/[!.]*/manifest.json"))
    return Catalogue(("demo", *known().usable), tuple(all_platforms()), tuple(_bundle(folder) for folder in folders))


def _bundle(folder: Path) -> Bundle:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        manifest = read(folder)
    except ArtifactError as error:
        return Bundle(folder.parent.name, folder.name, "unknown", size, error.found)
    return Bundle(folder.parent.name, folder.name, manifest.source.id, size, "ok", manifest.modalities)

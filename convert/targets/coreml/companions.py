"""What lies beside a package in a bundle, and the digest of a package with its further parts."""

from __future__ import annotations

from pathlib import Path

from convert.checkpoint import companions
from convert.checkpoint.companions import TEMPLATE, TOKENIZER
from convert.checkpoint.settings import GENERATION
from convert.checkpoint.types import Checkpoint
from convert.outputs import listing_sha256
from convert.targets.coreml.package import VISION

# The app needs all of them: text to tokens and back, the turns of a conversation, where to stop and how to sample.
COMPANIONS = (TOKENIZER, TEMPLATE, GENERATION)
COPIED = (TOKENIZER,)


def check(checkpoint: Checkpoint) -> None:
    """See ``convert.checkpoint.companions``."""
    companions.check(checkpoint, COPIED)


def collect(checkpoint: Checkpoint, folder: Path) -> None:
    """See ``convert.checkpoint.companions``."""
    companions.carry(checkpoint, folder, COPIED)


def packages(first: Path) -> list[Path]:
    """A package and its further parts: ``Model.mlpackage``, ``Model_2.mlpackage`` and so on."""
    found = [first]
    while (part := first.with_name(f"{first.stem}_{len(found) + 1}{first.suffix}")).is_dir():
        found.append(part)
    return found


def digest(package: Path) -> str:
    """Hex SHA-256 of the listing, as of ``sha256sum``, of all files of a model: see the package, "Digest"."""
    beside = package.with_name(VISION)
    names = [
        ("" if part == package else f"../{part.name}/") + path.relative_to(part).as_posix()
        for part in (*packages(package), *([beside] if beside.is_dir() else []))
        for path in part.rglob("*")
        if path.is_file()
    ]
    return listing_sha256(package, names)

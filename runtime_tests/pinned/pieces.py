"""What a package is, where a set of them is kept, and how its files are held to their digests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["debian", "npm", "wheels"]


class FetchError(Exception):
    """A package cannot be had, or is not the pinned one; one line says why."""


@dataclass(frozen=True)
class Piece:
    """A package.

    Attributes:
        kind: ``debian``, ``npm`` or ``wheels``; says who fetches it.
        name, version: as its package manager knows them.
        digest: of the file, hexadecimal.
        origin: Debian's suite, or the platforms that a wheel may be for, with blanks between; empty for npm.
        processor: Debian's name of it.
        algorithm: of the digest.
    """

    kind: Kind
    name: str
    version: str
    digest: str
    origin: str = ""
    processor: str = "amd64"
    algorithm: str = "sha256"


def cache(name: str) -> Path:
    """``$XDG_CACHE_HOME/gemma-bridge/<name>``, by default below ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "gemma-bridge" / name


def place(folder: Path, pieces: Sequence[Piece], more: Iterable[str] = ()) -> Path:
    """Where this very set of pieces lies unpacked, or would.

    Args:
        more: what else shapes the unpacked files, a line each.
    """
    listed = "\n".join([*(f"{piece.name} {piece.digest}" for piece in pieces), *more])
    return folder / hashlib.sha256(listed.encode()).hexdigest()[:16]


def held(pieces: Sequence[Piece], folder: Path) -> list[Path]:
    """The file of each piece, found by its digest alone.

    Raises:
        FetchError: none of the files in ``folder`` is the pinned one.
    """
    files = sorted(folder.iterdir())
    digests = {
        (algorithm, digest(file, algorithm)): file
        for algorithm in sorted({piece.algorithm for piece in pieces})
        for file in files
    }
    for piece in pieces:
        if (piece.algorithm, piece.digest) not in digests:
            got = ", ".join(file.name for file in files if piece.name in file.name) or "nothing"
            pin = f"{piece.algorithm} {piece.digest[:12]}..."
            raise FetchError(f"{piece.name} {piece.version} with {pin} could not be had; downloaded: {got}")
    return [digests[piece.algorithm, piece.digest] for piece in pieces]


def digest(file: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()

"""What an APK is built with: each package by name, version and digest, read from ``pieces.json``.

Debian's packages are of its stable suites, whose files do not change any more; two are of others, because no stable
suite has them: the interface of Android 6 (``libandroid-23-java``) and the dexer (``dalvik-exchange``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from convert.errors import ConvertError

LOCK = Path(__file__).with_name("pieces.json")


class ApkUnavailableError(ConvertError):
    """This machine cannot build an APK: a tool or a package cannot be had. ``why`` is one line for the bundle."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__("build app.apk", why, "Use --apk skip, or provide what is missing")


@dataclass(frozen=True)
class Piece:
    """A package.

    Attributes:
        kind: ``debian``, ``npm`` or ``wheels``; says who fetches it.
        name, version: as its package manager knows them.
        algorithm, digest: of the file, hexadecimal.
        origin: Debian's suite, a wheel's platform; empty for npm.
    """

    kind: str
    name: str
    version: str
    algorithm: str
    digest: str
    origin: str = ""


def locked(lock: Path = LOCK) -> tuple[Piece, ...]:
    """All pieces, in the order of the file."""
    listed = json.loads(lock.read_text("utf-8"))
    debian = [Piece("debian", p["name"], p["version"], "sha256", p["sha256"], p["suite"]) for p in listed["debian"]]
    npm = [Piece("npm", p["name"], p["version"], "sha512", p["sha512"]) for p in listed["npm"]]
    wheels = [Piece("wheels", p["name"], p["version"], "sha256", p["sha256"], p["platform"]) for p in listed["wheels"]]
    return (*debian, *npm, *wheels)


def tree(lock: Path = LOCK) -> str:
    """SHA-256 over the list of all files that are left of the pieces: what the cache has to hold."""
    return str(json.loads(lock.read_text("utf-8"))["unpacked_sha256"])


def held(pieces: list[Piece], folder: Path) -> list[Path]:
    """The file of each piece, found by its digest alone.

    Raises:
        ApkUnavailableError: none of the files in ``folder`` is the pinned one.
    """
    found = []
    for piece in pieces:
        digests = {digest(file, piece.algorithm): file for file in sorted(folder.iterdir())}
        if piece.digest not in digests:
            got = ", ".join(file.name for file in digests.values() if piece.name in file.name) or "nothing"
            pin = f"{piece.algorithm} {piece.digest[:12]}..."
            raise ApkUnavailableError(f"{piece.name} {piece.version} with {pin} could not be had; downloaded: {got}")
        found.append(digests[piece.digest])
    return found


def digest(file: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()

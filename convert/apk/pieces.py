"""What an APK is built with: each package by name, version and digest, read from ``pieces.json``.

Debian's packages are of its stable suites, whose files do not change any more; two are of others, because no stable
suite has them: the interface of Android 6 (``libandroid-23-java``) and the dexer (``dalvik-exchange``).
"""

from __future__ import annotations

import json
from pathlib import Path

from convert.errors import ConvertError
from runtime_tests.pinned.pieces import Piece

LOCK = Path(__file__).with_name("pieces.json")


class ApkUnavailableError(ConvertError):
    """This machine cannot build an APK: a tool or a package cannot be had. ``why`` is one line for the bundle."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__("build app.apk", why, "Use --apk skip, or provide what is missing")


def locked(lock: Path = LOCK) -> tuple[Piece, ...]:
    """All pieces, in the order of the file."""
    listed = json.loads(lock.read_text("utf-8"))
    debian = [Piece("debian", p["name"], p["version"], p["sha256"], p["suite"]) for p in listed["debian"]]
    npm = [Piece("npm", p["name"], p["version"], p["sha512"], algorithm="sha512") for p in listed["npm"]]
    wheels = [Piece("wheels", p["name"], p["version"], p["sha256"], p["platform"]) for p in listed["wheels"]]
    return (*debian, *npm, *wheels)


def tree(lock: Path = LOCK) -> str:
    """SHA-256 over the list of all files that are left of the pieces: what the cache has to hold."""
    return str(json.loads(lock.read_text("utf-8"))["unpacked_sha256"])

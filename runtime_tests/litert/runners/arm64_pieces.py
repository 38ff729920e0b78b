"""What it takes to run arm64 code here: each piece by name, version and SHA-256; downloaded once, into a cache.

qemu-user 10 is Debian trixie's: the 7.2 of bookworm crashes in XNNPACK. Python and its libraries are bookworm's for
arm64, because its Python is 3.11, for which the wheels are pinned.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime_tests.errors import CannotRunError
from runtime_tests.pinned import fetch
from runtime_tests.pinned.pieces import FetchError, Piece, held, place

_DEBIAN = (
    ("libbz2-1.0", "1.0.8-5+b1", "d3a96ece03326498b39ff093a76800dfcbcb1d4049d6ae6e9f6fa1aa7a590ad6"),
    ("libc6", "2.36-9+deb12u14", "01f4330719fd4f65580e16ea5a0527f372fca750e8f588d26deaf09f2d3b1cf4"),
    ("libexpat1", "2.5.0-1+deb12u2", "8dc1976735acf825e3a922d82f171e20feec7394da2b8c616091983e38706275"),
    ("libffi8", "3.4.4-1", "80b5c36177dc0e29d531c7eddbed3cc7355cb490e49f8cfa5959572d161f27b3"),
    ("libgcc-s1", "12.2.0-14+deb12u1", "576926b283613db80168ddf76380a3bd877602778cf0d226caa7bfbfa71eacf3"),
    ("liblzma5", "5.4.1-1+deb12u1", "647ce9d81e41c30071ce6ac0d3324579216a33aaa1d28971d6952315f6a95a75"),
    ("libpython3.11-minimal", "3.11.2-6+deb12u8", "c48bac178c0fc43a2bf8ace784c762b5ee83e2b981894a991dc3ccfd3ec7cd4b"),
    ("libpython3.11-stdlib", "3.11.2-6+deb12u8", "e79876de55c6c2dca10d044b2fa69ccd863950ea01714220c1982d16008105f9"),
    ("libstdc++6", "12.2.0-14+deb12u1", "26e138c677a985775331373828a6c286c551ff397cb735d00e2383cb273d1cb2"),
    ("python3.11-minimal", "3.11.2-6+deb12u8", "6a07dd571f1a15af2f855d64571766fe44b73a57cc3b5ca79502bc89156a5e12"),
    ("zlib1g", "1:1.2.13.dfsg-1", "52b8b8a145bbe1956bba82034f77022cbef0c3d0885c9e32d9817a7932fe1913"),
)
_WHEELS = (
    ("ai-edge-litert", "2.3.0", "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae"),
    ("litert-lm-api", "0.18.1", "9c0e02bf7596693d9adbf6bfbb1bf08ae60c61abf9fa22dff19e5afe6af276f2"),
    ("numpy", "2.4.6", "0ab0a9c4ffb1a6d95ef519fe4247dba8eb6b18ad93999f76b7f657039acabd47"),
)
_QEMU = ("qemu-user", "1:10.0.13+ds-0+deb13u1", "ca6ede739327a20ae5a3498230c8a3a9a072c586e131bc6bcc1201eb1725e336")
EMULATOR = "qemu-aarch64"
_PLATFORMS = " ".join(f"manylinux_2_{minor}_aarch64" for minor in (17, 27, 28))
PIECES = (
    Piece("debian", *_QEMU, "trixie"),
    *(Piece("debian", *item, "bookworm", "arm64") for item in _DEBIAN),
    *(Piece("wheels", *item, _PLATFORMS) for item in _WHEELS),
)
FETCH: Mapping[str, fetch.Fetch] = {"debian": fetch.from_apt, "wheels": fetch.from_pip}


def fill(folder: Path, pieces: Sequence[Piece] = PIECES, fetchers: Mapping[str, fetch.Fetch] = FETCH) -> Path:
    """Downloads, checks and unpacks all pieces; what is already there is not fetched again.

    Returns:
        a folder with ``root`` (Debian's files for arm64), ``host`` (for this machine) and ``site`` (the wheels).

    Raises:
        CannotRunError: a piece cannot be had, or has another SHA-256 than the pinned one. Nothing is left behind.
    """
    final = place(folder, pieces)
    if final.is_dir():
        return final
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fill-") as name:
        work = Path(name)
        ready = work / "ready"
        for part in ("root", "host", "site"):
            (ready / part).mkdir(parents=True)
        try:
            for kind in dict.fromkeys(piece.kind for piece in pieces):
                wanted = [piece for piece in pieces if piece.kind == kind]
                (work / kind).mkdir()
                fetchers[kind](wanted, work / kind)
                for piece, file in zip(wanted, held(wanted, work / kind), strict=True):
                    _unpack(piece, file, ready)
        except FetchError as error:
            raise CannotRunError(str(error)) from error
        _prune(ready / "host")
        try:
            ready.rename(final)
        except OSError as error:  # another process was faster
            if not final.is_dir():
                raise CannotRunError(f"{final} cannot be made ({error.strerror})") from error
    return final


def _prune(host: Path) -> None:
    """Drops what came along with the one emulator: those of thirty other processors."""
    for file in sorted(host.rglob("*")):
        if not file.is_dir() and file.name != EMULATOR:
            file.unlink()


def _unpack(piece: Piece, file: Path, ready: Path) -> None:
    if piece.kind == "debian":
        target = ready / ("root" if piece.processor == "arm64" else "host")
        fetch.command(["dpkg-deb", "-x", str(file), str(target)])
        return
    with zipfile.ZipFile(file) as archive:
        archive.extractall(ready / "site")

"""What it takes to run arm64 code here: each piece by name, version and SHA-256; downloaded once, into a cache.

qemu-user 10 is Debian trixie's: the 7.2 of bookworm crashes in XNNPACK. Python and its libraries are bookworm's for
arm64, because its Python is 3.11, for which the wheels are pinned. apt and pip fetch them from wherever this machine's
own configuration points; a private configuration keeps the system's apt untouched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime_tests.errors import CannotRunError


@dataclass(frozen=True)
class Piece:
    """A package.

    Attributes:
        name, version: as apt or pip know them.
        sha256: of the file.
        suite: Debian's suite; empty for a wheel.
        arch: Debian's name of the processor.
    """

    name: str
    version: str
    sha256: str
    suite: str = ""
    arch: str = "arm64"


Fetch = Callable[[Sequence[Piece], Path], None]
"""Puts the files of some pieces into an empty folder; :class:`CannotRunError` when it cannot."""

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
PIECES = (
    Piece(*_QEMU, "trixie", "amd64"),
    *(Piece(*item, "bookworm") for item in _DEBIAN),
    *(Piece(*item) for item in _WHEELS),
)


def cache() -> Path:
    """``$XDG_CACHE_HOME/gemma-bridge/arm64``, by default below ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "gemma-bridge" / "arm64"


def find(folder: Path, pieces: Sequence[Piece] = PIECES) -> Path:
    """Where this very set of pieces lies unpacked, or would."""
    listed = "\n".join(f"{piece.name} {piece.sha256}" for piece in pieces)
    return folder / hashlib.sha256(listed.encode()).hexdigest()[:16]


def fill(folder: Path, pieces: Sequence[Piece], debian: Fetch, wheels: Fetch) -> Path:
    """Downloads, checks and unpacks all pieces; what is already there is not fetched again.

    Returns:
        a folder with ``root`` (Debian's files for arm64), ``host`` (for this machine) and ``site`` (the wheels).

    Raises:
        CannotRunError: a piece cannot be had, or has another SHA-256 than the pinned one. Nothing is left behind.
    """
    final = find(folder, pieces)
    if final.is_dir():
        return final
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fill-") as name:
        work = Path(name)
        ready = work / "ready"
        for part in ("root", "host", "site"):
            (ready / part).mkdir(parents=True)
        for kind, fetch in (("deb", debian), ("whl", wheels)):
            wanted = [piece for piece in pieces if bool(piece.suite) == (kind == "deb")]
            if wanted:
                (work / kind).mkdir()
                fetch(wanted, work / kind)
                for piece, file in zip(wanted, _held(wanted, work / kind), strict=True):
                    _unpack(file, ready / ("site" if kind == "whl" else "root" if piece.arch == "arm64" else "host"))
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


def _held(pieces: Sequence[Piece], folder: Path) -> list[Path]:
    """The file of each piece, found by its SHA-256 alone."""
    digests = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as stream:
            digests[hashlib.file_digest(stream, "sha256").hexdigest()] = file
    for piece in pieces:
        if piece.sha256 not in digests:
            got = ", ".join(sorted(file.name for file in digests.values())) or "nothing"
            raise CannotRunError(
                f"{piece.name} {piece.version} with SHA-256 {piece.sha256[:12]}... could not be had; downloaded: {got}"
            )
    return [digests[piece.sha256] for piece in pieces]


def _unpack(file: Path, target: Path) -> None:
    if file.suffix == ".deb":
        command(["dpkg-deb", "-x", str(file), str(target)])
        return
    with zipfile.ZipFile(file) as archive:
        archive.extractall(target)


def from_apt(pieces: Sequence[Piece], folder: Path) -> None:
    """Fetches by ``apt-get download`` from the mirror that this machine's apt uses, with a state of its own.

    The index need not be signed for suites that this system does not know: every file is held to its SHA-256.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CannotRunError("apt-get and dpkg-deb are needed to fetch Debian packages")
    lines = command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"])
    mirrors = sorted(
        {line.split()[0] for line in lines.splitlines() if len(line.split()) == 2 and "-" not in line.split()[1]}
    )
    if not mirrors:
        raise CannotRunError("this machine's apt names no Debian mirror")
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        suites = sorted({(piece.suite, piece.arch) for piece in pieces})
        sources = [f"deb [trusted=yes arch={arch}] {mirrors[0]} {suite} main" for suite, arch in suites]
        (state / "sources.list").write_text("\n".join(sources) + "\n", "utf-8")
        settings = {
            "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Cache": state / "cache",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "",
        }
        text = [f'{key} "{value}";' for key, value in settings.items()]
        text.append("APT::Architectures {" + " ".join(f'"{arch}";' for arch in ("amd64", "arm64")) + "};")
        (state / "apt.conf").write_text("\n".join(text) + "\n", "utf-8")
        env = {"APT_CONFIG": str(state / "apt.conf")}
        command(["apt-get", "-q", "update"], env)
        names = [f"{piece.name}:{piece.arch}={piece.version}" for piece in pieces]
        command(["apt-get", "-q", "download", *names], env, folder)


def from_pip(pieces: Sequence[Piece], folder: Path) -> None:
    """Fetches wheels for arm64 by this Python's pip, which checks the hashes as well."""
    pins = folder.with_suffix(".txt")
    pins.write_text("".join(f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in pieces), "utf-8")
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
    flags = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--require-hashes", "--quiet", *platforms]
    command([sys.executable, "-m", "pip", "download", *flags, "-r", str(pins), "-d", str(folder)])


def command(words: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a command and gives its stdout.

    Raises:
        CannotRunError: it cannot be started, or fails; its last line is passed on.
    """
    try:
        done = subprocess.run(
            words, env=os.environ | (env or {}), cwd=cwd, capture_output=True, text=True, timeout=900, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRunError(f"{words[0]}: {error}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("W")] or ["nothing"]
        raise CannotRunError(f"{Path(words[0]).name} {words[1]} failed: {said[-1].strip()[:300]}")
    return done.stdout

"""Fetches pieces by the package managers of this machine, from wherever their own configuration points.

Nothing of the system is changed: apt works with a state of its own, npm and pip only put a file into a folder. What
they bring is held to the pinned digest by :func:`convert.apk.pieces.held`, whoever signed it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from convert.apk.pieces import ApkUnavailableError, Piece

Fetch = Callable[[list[Piece], Path], None]
"""Puts the files of some pieces of one kind into an empty folder; :class:`ApkUnavailableError` when it cannot."""

TIMEOUT_S = 900


def from_apt(pieces: list[Piece], folder: Path) -> None:
    """``apt-get download`` from the mirror that this machine's apt uses, of suites that it need not know."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ApkUnavailableError(f"{tool} is needed to fetch Debian packages and was not found")
    listed = command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"])
    words = [line.split() for line in listed.splitlines()]
    mirrors = sorted({found[0] for found in words if len(found) == 2 and "-" not in found[1]})
    if not mirrors:
        raise ApkUnavailableError("this machine's apt names no Debian mirror")
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        suites = sorted({piece.origin for piece in pieces})
        sources = [f"deb [trusted=yes arch=amd64] {mirrors[0]} {suite} main" for suite in suites]
        (state / "sources.list").write_text("\n".join(sources) + "\n", "utf-8")
        settings = {
            "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Cache": state / "cache",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "",
        }
        (state / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()), "utf-8")
        env = {"APT_CONFIG": str(state / "apt.conf")}
        command(["apt-get", "-q", "update"], env)
        command(["apt-get", "-q", "download", *(f"{p.name}={p.version}" for p in pieces)], env, folder)


def from_npm(pieces: list[Piece], folder: Path) -> None:
    """``npm pack``: the tarball alone, no script of the package is run."""
    if shutil.which("npm") is None:
        raise ApkUnavailableError("npm is needed to fetch the Kotlin compiler and was not found")
    with tempfile.TemporaryDirectory() as empty:  # no project of the user's has a say
        names = [f"{piece.name}@{piece.version}" for piece in pieces]
        command(["npm", "pack", "--silent", "--pack-destination", str(folder), *names], cwd=Path(empty))


def from_pip(pieces: list[Piece], folder: Path) -> None:
    """``pip download`` of wheels for Android, one call a platform."""
    for piece in pieces:
        pins = folder.with_suffix(".txt")
        pins.write_text(f"{piece.name}=={piece.version} --hash={piece.algorithm}:{piece.digest}\n", "utf-8")
        flags = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet", f"--platform={piece.origin}"]
        command([sys.executable, "-m", "pip", "download", *flags, "-r", str(pins), "-d", str(folder)])


def command(words: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a command of a package manager and gives its stdout.

    Raises:
        ApkUnavailableError: it cannot be started, or fails; its first complaint is passed on.
    """
    try:
        done = subprocess.run(
            words,
            env=os.environ | (env or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApkUnavailableError(f"{words[0]}: {error}") from error
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip() and line[:2] != "W:"] or ["nothing"]
        name = " ".join(word for word in (Path(words[0]).name, *words[1:4]) if not word.startswith("-"))
        raise ApkUnavailableError(f"{name} failed: {said[0][:300]}")
    return done.stdout

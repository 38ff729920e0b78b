"""Fetches pieces by the package managers of this machine, from wherever their own configuration points.

Nothing of the system is changed: apt works with a state of its own, npm and pip only put a file into a folder. What
they bring is held to the pinned digest by :func:`runtime_tests.pinned.pieces.held`, whoever signed it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runtime_tests.pinned.pieces import FetchError, Piece

Fetch = Callable[[Sequence[Piece], Path], None]
"""Puts the files of some pieces of one kind into an empty folder; :class:`FetchError` when it cannot."""

TIMEOUT_S = 900
_NATIVE = "amd64"


def from_apt(pieces: Sequence[Piece], folder: Path) -> None:
    """``apt-get download`` from the mirror that this machine's apt uses, of suites that it need not know.

    The index need not be signed: every file is held to its digest.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FetchError(f"{tool} is needed to fetch Debian packages and was not found")
    listed = command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"])
    words = [line.split() for line in listed.splitlines()]
    mirrors = sorted({found[0] for found in words if len(found) == 2 and "-" not in found[1]})
    if not mirrors:
        raise FetchError("this machine's apt names no Debian mirror")
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        suites = sorted({(piece.origin, piece.processor) for piece in pieces})
        sources = [f"deb [trusted=yes arch={processor}] {mirrors[0]} {suite} main" for suite, processor in suites]
        (state / "sources.list").write_text("\n".join(sources) + "\n", "utf-8")
        settings = {
            "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Cache": state / "cache",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Architecture": _NATIVE,
            "APT::Sandbox::User": "",
        }
        text = "".join(f'{key} "{value}";\n' for key, value in settings.items())
        processors = sorted({_NATIVE, *(piece.processor for piece in pieces)})
        text += "APT::Architectures {" + " ".join(f'"{each}";' for each in processors) + "};\n"
        (state / "apt.conf").write_text(text, "utf-8")
        env = {"APT_CONFIG": str(state / "apt.conf")}
        command(["apt-get", "-q", "update"], env)
        command(["apt-get", "-q", "download", *map(_named, pieces)], env, folder)


def _named(piece: Piece) -> str:
    return f"{piece.name}{'' if piece.processor == _NATIVE else ':' + piece.processor}={piece.version}"


def from_npm(pieces: Sequence[Piece], folder: Path) -> None:
    """``npm pack``: the tarball alone, no script of the package is run."""
    if shutil.which("npm") is None:
        raise FetchError(f"npm is needed to fetch {pieces[0].name} and was not found")
    with tempfile.TemporaryDirectory() as empty:  # no project of the user's has a say
        names = [f"{piece.name}@{piece.version}" for piece in pieces]
        command(["npm", "pack", "--silent", "--pack-destination", str(folder), *names], cwd=Path(empty))


def from_pip(pieces: Sequence[Piece], folder: Path) -> None:
    """``pip download`` of wheels for other platforms and this Python, one call a wheel."""
    for piece in pieces:
        pins = folder.with_suffix(".txt")
        pins.write_text(f"{piece.name}=={piece.version} --hash={piece.algorithm}:{piece.digest}\n", "utf-8")
        flags = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"]
        flags += [f"--platform={platform}" for platform in piece.origin.split()]
        command([sys.executable, "-m", "pip", "download", *flags, "-r", str(pins), "-d", str(folder)])


def command(
    words: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = TIMEOUT_S
) -> str:
    """Runs a command of a package manager and gives its stdout.

    Args:
        timeout: seconds.

    Raises:
        FetchError: it cannot be started, or fails; its first complaint is passed on.
    """
    try:
        done = subprocess.run(
            words,
            env=os.environ | (env or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"{words[0]}: {error}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines()]
        said = [line for line in lines if line and not line.startswith(("W:", "WARNING:"))] or ["nothing"]
        name = " ".join(word for word in (Path(words[0]).name, *words[1:4]) if not word.startswith("-"))
        raise FetchError(f"{name} failed: {said[0][:300]}")
    return done.stdout

"""Virtual environments for packages that this project's own does not hold, each made once in the user's cache.

What an extra of ``pyproject.toml`` names is installed in the versions of ``constraints.txt``. An environment lies below
``$XDG_CACHE_HOME/gemma-bridge/venvs``, in a folder named after what it holds, so that other versions make another one;
a stamp says that it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from runtime_tests.pinned import fetch
from runtime_tests.pinned.pieces import FetchError, cache

HOME = Path(__file__).parents[2]
STAMP = "stamp"
TIMEOUT_S = 3600  # a package may have to be compiled


def python(extra: str, home: Path = HOME) -> Path:
    """The interpreter of an extra's environment, which is made if it is not there.

    Args:
        extra: a name below ``[project.optional-dependencies]``.
        home: folder of ``pyproject.toml`` and ``constraints.txt``.

    Raises:
        FetchError: the files do not say what to install, or pip cannot install it; the reason in one line.
    """
    wanted, pins, folder = packages(extra, home), home / "constraints.txt", place(extra, home)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second maker waits, and finds it made
        interpreter = folder / "bin" / "python"
        if not (folder / STAMP).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            fetch.command([sys.executable, "-m", "venv", str(folder)])
            install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            fetch.command([*install, "-c", str(pins), *wanted], timeout=TIMEOUT_S)
            (folder / STAMP).write_text(_whole(extra, home), "utf-8")
    return interpreter


def made(extra: str, home: Path = HOME) -> bool:
    """Whether an extra's environment is there."""
    return (place(extra, home) / STAMP).is_file()


def place(extra: str, home: Path = HOME) -> Path:
    """The folder of an extra's environment, which need not be there.

    Raises:
        FetchError: the files do not say what to install.
    """
    return cache("venvs") / f"{extra}-{hashlib.sha256(_whole(extra, home).encode()).hexdigest()[:16]}"


def _whole(extra: str, home: Path) -> str:
    return "\n".join([*packages(extra, home), (home / "constraints.txt").read_text("utf-8")])


def version(interpreter: Path, package: str) -> str:
    """Of a package in an environment; empty when it is not there."""
    site = interpreter.parents[1] / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    return next((found.version for found in distributions(name=package, path=[str(site)])), "")


def packages(extra: str, home: Path = HOME) -> Sequence[str]:
    """What an extra names, each of which must be pinned.

    Raises:
        FetchError: there is no such extra here, or no pin of one of its packages.
    """
    try:
        project = tomllib.loads((home / "pyproject.toml").read_text("utf-8"))
        lines = (home / "constraints.txt").read_text("utf-8").splitlines()
    except OSError as error:
        raise FetchError(f"{error.filename} says what to install and cannot be read ({error.strerror})") from error
    pinned = {_plain(line.partition("==")[0]) for line in lines if "==" in line}
    found: list[str] = project["project"]["optional-dependencies"].get(extra, [])
    if not found:
        raise FetchError(f"pyproject.toml has no extra {extra!r}")
    for name in found:
        if _plain(re.split(r"[\[<>=!~ ]", name)[0]) not in pinned:
            raise FetchError(f"constraints.txt pins no version of {name}")
    return found


def _plain(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

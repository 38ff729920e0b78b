"""One APK for all tests, built once however many processes they run in, with the reader that they look at it by."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from convert.apk.pieces import ApkUnavailableError
from convert.apk.toolchain import Toolchain, toolchain
from convert.progress import Silent
from tests.support.commands import REPOSITORY

ASSETS = {"manifest.json": b'{"name": "a test"}\n', "golden.json": b"{}\n", "model.litertlm": bytes(range(256)) * 40}
BUILD = """
import sys
from pathlib import Path
from convert.apk import build, toolchain
from convert.progress import Silent
assets, out, scratch = map(Path, sys.argv[1:])
made = build.build(toolchain.toolchain(Silent()), {p.name: p for p in assets.iterdir()}, out, scratch, Silent())
print(made.sha256, made.unsigned_sha256)
"""


@dataclass(frozen=True)
class Entry:
    """A file in an APK: its content and the offset where that begins."""

    data: bytes
    offset: int
    stored: bool


def tools() -> Toolchain:
    """The toolchain, filling the cache once; skips where it cannot be had."""
    folder = Path.home() / ".cache" / "gemma-bridge"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "android.lock").open("w") as lock:  # the tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return toolchain(Silent())
        except ApkUnavailableError as error:
            pytest.skip(f"app.apk cannot be built here: {error.why}")


def build(root: Path, folder: Path) -> tuple[Path, list[str]]:
    """Builds in ``folder`` from the sources below ``root``, as another process; the APK, its two digests."""
    for part in ("assets", "scratch"):
        (folder / part).mkdir(parents=True)
    for name, content in ASSETS.items():
        (folder / "assets" / name).write_bytes(content)
    out = folder / "app.apk"
    command = [sys.executable, "-c", BUILD, str(folder / "assets"), str(out), str(folder / "scratch")]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not list((folder / "scratch").iterdir())
    return out, ran.stdout.split()


def built(factory: pytest.TempPathFactory) -> Path:
    """The APK of this session."""
    tools()
    shared = factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared
    with (shared / "apk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "apk" / "app.apk").exists():
            build(REPOSITORY, shared / "apk")
    return shared / "apk" / "app.apk"


def clone(to: Path) -> Path:
    """A copy of what an APK is made from."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "convert", to / "convert", ignore=ignore)
    shutil.copytree(REPOSITORY / "runtime_tests", to / "runtime_tests", ignore=ignore)  # which fetches pinned pieces
    shutil.copytree(REPOSITORY / "mobile_samples", to / "mobile_samples", ignore=ignore)
    return to


def entries(apk: Path) -> dict[str, Entry]:
    found = {}
    with zipfile.ZipFile(apk) as archive, apk.open("rb") as file:
        for item in archive.infolist():
            file.seek(item.header_offset + 26)
            name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
            stored = item.compress_type == zipfile.ZIP_STORED
            found[item.filename] = Entry(archive.read(item), item.header_offset + 30 + name + extra, stored)
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

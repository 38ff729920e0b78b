"""The tools in their cache: fetched once, held to their digests, unpacked, complete or absent.

The cache is ``$XDG_CACHE_HOME/gemma-bridge/android``, by default below ``~/.cache``; each set of pieces has a folder of
its own there, named after all its digests. About 200 MB are downloaded, 0.5 GB stay. A folder that was tampered with
is found out by ``files.sha256``, over every file the build uses, whose own digest is pinned, and refused.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convert.apk.pieces import ApkUnavailableError, locked, tree
from convert.errors import ConvertError
from convert.progress import Progress
from runtime_tests.pinned import fetch
from runtime_tests.pinned.pieces import FetchError, Piece, cache, digest, held, place

_PR_SET_PDEATHSIG = 1

FETCH: Mapping[str, fetch.Fetch] = {"debian": fetch.from_apt, "npm": fetch.from_npm, "wheels": fetch.from_pip}
SUMS = "files.sha256"
# Of Java: for programs of a few seconds the second compiler costs more than it brings. Without it the room for compiled
# code is 48 MB by default, which Kotlin's compiler fills now and then, and then it ends with an error.
FIRST_COMPILER = ("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=192m")
_SCRATCH = ".fill-"
ABIS = {"android_23_arm64_v8a": "arm64-v8a", "android_23_x86_64": "x86_64"}

_LIB = "debian/usr/lib"
_LIBRARIES = (f"{_LIB}/x86_64-linux-gnu", f"{_LIB}/x86_64-linux-gnu/android", "debian/lib/x86_64-linux-gnu")
# What the build opens by name; the libraries come along. Everything else of the packages is removed.
_KEEP = (
    *_LIBRARIES,
    f"{_LIB}/llvm-14/bin/clang",
    f"{_LIB}/llvm-14/bin/ld.lld",
    f"{_LIB}/llvm-14/bin/lld",
    f"{_LIB}/llvm-14/lib",
    f"{_LIB}/clang/14.0.6/include",
    f"{_LIB}/p7zip",
    f"{_LIB}/android-sdk/build-tools/debian/aapt2",
    "debian/usr/include/android/nativehelper/jni.h",
    "debian/usr/share/java",
    "debian/usr/share/android-framework-res",
    "npm/lib/kotlin-compiler.jar",
    "npm/lib/kotlin-stdlib.jar",
    "npm/lib/kotlin-script-runtime.jar",
    "npm/lib/kotlin-reflect.jar",
    "npm/lib/kotlinx-coroutines-core-jvm.jar",
    "npm/lib/annotations-13.0.jar",
    "engine",
)


class ToolError(ConvertError):
    """A tool of the chain refused its input: a defect of the sample's sources or of this program."""


@dataclass(frozen=True)
class Toolchain:
    """Unpacked tools below ``root``."""

    root: Path

    @property
    def aapt2(self) -> Path:
        """Android's resource compiler and linker."""
        return self.root / _LIB / "android-sdk/build-tools/debian/aapt2"

    @property
    def clang(self) -> Path:
        """The C compiler; ``ld.lld`` is beside it."""
        return self.root / _LIB / "llvm-14/bin/clang"

    @property
    def jni(self) -> Path:
        """Folder of ``jni.h``."""
        return self.root / "debian/usr/include/android/nativehelper"

    @property
    def framework(self) -> Path:
        """The platform's resources, for linking."""
        return self.root / "debian/usr/share/android-framework-res/framework-res.apk"

    @property
    def android_jar(self) -> Path:
        """The platform's classes at API level 23."""
        return self.jar("com.android.android-23")

    @property
    def stdlib(self) -> Path:
        """Kotlin's standard library."""
        return self.root / "npm/lib/kotlin-stdlib.jar"

    def jar(self, name: str) -> Path:
        """One of Debian's Java tools."""
        return self.root / "debian/usr/share/java" / f"{name}.jar"

    def engine(self, abi: str) -> Path:
        """Google's LiteRT-LM library for ``arm64-v8a`` or ``x86_64``."""
        return self.root / "engine" / abi / "liblitert-lm.so"

    def java(self, main: str, jars: Sequence[Path], arguments: Sequence[str], cwd: Path, heap: str = "1g") -> str:
        """Runs a Java program, see :meth:`run`."""
        path = os.pathsep.join(map(str, jars))
        machine = [f"-Xmx{heap}", "-XX:+UseSerialGC", *FIRST_COMPILER, "-cp", path]
        return self.run(["java", *machine, main, *arguments], cwd)

    def run(self, words: Sequence[str | Path], cwd: Path) -> str:
        """Runs a tool in ``cwd`` with the libraries of the cache, and gives what it printed.

        Raises:
            ToolError: it failed, with its complaint.
            ApkUnavailableError: it could not be started.
        """
        path = os.pathsep.join(str(self.root / folder) for folder in (*_LIBRARIES, f"{_LIB}/p7zip"))
        # The C locale and one time zone: no tool shall find out where it runs.
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(cwd)}
        if words[0] != "java":  # the JVM is the system's and brings its own
            env["LD_LIBRARY_PATH"] = path
        elif os.environ.get("JAVA_HOME"):
            env["JAVA_HOME"] = os.environ["JAVA_HOME"]
        try:
            done = subprocess.run(
                list(map(str, words)),
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise ApkUnavailableError(f"{words[0]} cannot be started ({error.strerror})") from error
        if done.returncode:
            name = Path(words[0]).name if words[0] != "java" else next(str(w) for w in words[6:])
            raise ToolError("build app.apk", f"{name} says: {done.stdout.strip()[-2000:]}", "Report this as a defect")
        return done.stdout


def _die_with_parent() -> None:
    """A SIGKILLed builder's tools must not go on writing where the next builder works (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def toolchain(
    progress: Progress,
    folder: Path | None = None,
    pieces: Sequence[Piece] | None = None,
    fetchers: Mapping[str, fetch.Fetch] = FETCH,
) -> Toolchain:
    """The tools, from the cache or fetched into it.

    Raises:
        ApkUnavailableError: this machine cannot run them, or a piece cannot be had, or is not the pinned one.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ApkUnavailableError(f"the tools are for Linux on x86-64, this is {sys.platform} on {platform.machine()}")
    if shutil.which("java") is None:
        raise ApkUnavailableError("java (17 or later) is needed and was not found on PATH")
    wanted = locked() if pieces is None else pieces
    final = place(folder or cache("android"), wanted, _KEEP)
    if not final.is_dir():
        final.parent.mkdir(parents=True, exist_ok=True)
        with _alone(final.parent):
            for left in final.parent.glob(f"{_SCRATCH}*"):  # of one that was killed
                shutil.rmtree(left, ignore_errors=True)
            if not final.is_dir():
                try:
                    _fill(final, wanted, fetchers, progress)
                except FetchError as error:
                    raise ApkUnavailableError(str(error)) from error
    with progress.stage("check the Android tools"):
        check(final, tree() if pieces is None else None)
    return Toolchain(final)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time fills the cache; the kernel lets the next one in when this one dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check(root: Path, pinned: str | None = None) -> None:
    """Holds every file of the unpacked tools to the digest it had when it was unpacked from a checked package.

    Args:
        pinned: SHA-256 of the list of those digests; None to trust the list that lies there.

    Raises:
        ApkUnavailableError: a file differs, is missing or was added.
    """
    sums = root / SUMS
    stated = sums.read_text("utf-8") if sums.is_file() else ""
    found = _sums(root)
    if stated == found and pinned in (None, hashlib.sha256(found.encode()).hexdigest()):
        return
    odd = sorted({line.partition("  ")[2] for line in set(stated.splitlines()) ^ set(found.splitlines())})
    raise ApkUnavailableError(f"{odd[0] if odd else SUMS} in {root} is not what was unpacked; remove that folder")


def _fill(final: Path, pieces: Sequence[Piece], fetchers: Mapping[str, fetch.Fetch], progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=_SCRATCH) as name:
        work, ready = Path(name), Path(name) / "ready"
        ready.mkdir()
        for kind in dict.fromkeys(piece.kind for piece in pieces):
            wanted = [piece for piece in pieces if piece.kind == kind]
            (work / kind).mkdir()
            with progress.stage(f"fetch Android tools: {kind}"):
                fetchers[kind](wanted, work / kind)
            for piece, file in zip(wanted, held(wanted, work / kind), strict=True):
                _unpack(piece, file, ready)
        _prune(ready)
        (ready / SUMS).write_text(_sums(ready), "utf-8")
        ready.rename(final)


def _unpack(piece: Piece, file: Path, ready: Path) -> None:
    """Every archive has passed its digest by now; the readers keep inside their folder all the same."""
    if piece.kind == "debian":
        fetch.command(["dpkg-deb", "-x", str(file), str(ready / "debian")])
    elif piece.kind == "npm":
        with tempfile.TemporaryDirectory(dir=ready) as name, tarfile.open(file) as archive:
            archive.extractall(name, filter="data")
            (Path(name) / "package").rename(ready / "npm")
    else:
        with zipfile.ZipFile(file) as archive:
            target = ready / "engine" / ABIS[piece.origin] / "liblitert-lm.so"
            target.parent.mkdir(parents=True)
            target.write_bytes(archive.read("litert_lm/liblitert-lm.so"))


def _prune(ready: Path) -> None:
    """Leaves what the build needs, so that checking it takes a second."""
    kept = [ready / path for path in _KEEP]
    for path in sorted(ready.rglob("*"), reverse=True):
        if path.is_symlink() or not path.is_dir():
            if not any(path == keep or keep in path.parents for keep in kept):
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


def _sums(root: Path) -> str:
    lines = []
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            lines.append(f"-> {path.readlink()}  {path.relative_to(root)}\n")
        elif path.is_file() and path.name != SUMS:
            lines.append(f"{digest(path)}  {path.relative_to(root)}\n")
    return "".join(lines)

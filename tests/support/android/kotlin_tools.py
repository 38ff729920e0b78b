"""The Kotlin of the Android sample, compiled and run here: by JetBrains' compiler from npm, on this machine's Java.

The compiler is kept in ``$XDG_CACHE_HOME/gemma-bridge``, by default below ``~/.cache``, the classes in ``build``, under
the digest of all that they are made from. Where a tool is missing the tests are skipped and say which.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from convert.apk.pieces import locked as pinned
from convert.apk.toolchain import FIRST_COMPILER
from runtime_tests.pinned import fetch
from runtime_tests.pinned.pieces import FetchError, held
from tests.support.commands import REPOSITORY
from tests.support.samples.locked import locked

ANDROID = REPOSITORY / "mobile_samples" / "android"
CLASSES = REPOSITORY / "build" / "kotlin-classes"
(KOTLIN,) = (piece for piece in pinned() if piece.name == "kotlin-compiler")
# As the package without Android's SDK is compiled: its dexer knows no invokedynamic.
FLAGS = ("-jvm-target", "1.8", "-Xlambdas=class", "-Xsam-conversions=class", "-Xstring-concat=inline", "-Werror")
C_FLAGS = ("-std=c11", "-O2", "-g", "-fPIC", "-ffreestanding", "-Wall", "-Wextra", "-Werror")
MODULES = ("core", "engine-jni", "engine-aar", "engine-ort")
FOLDERS = (
    *(f"{module}/src/{part}/kotlin" for module in MODULES for part in ("main", "test")),
    # Of the app what knows nothing of Android, and the tests of that.
    *(
        f"app/src/main/kotlin/dev/gemmabridge/sample/{name}.kt"
        for name in ("Device", "Presenter", "Report", "Screen", "Store")
    ),
    "app/src/test/kotlin",
    "../../tests/support/android/kotlin_stubs",
)
JAVA_STUBS = REPOSITORY / "tests" / "support" / "android" / "java_stubs"
CASE = re.compile(r'\bcase\("((?:[^"\\]|\\.)*)"\)')


def cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemma-bridge"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on PATH: the Kotlin tests need java (a JDK, 17 or later), npm and gcc")


def run(words: Sequence[str | Path], seconds: float = 300, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, timeout=seconds, check=False, **options
    )


def compiler() -> Path:
    """Folder of the Kotlin compiler: the very package that ``app.apk`` is compiled with."""
    need("java", "npm")
    final = cache() / f"kotlin-{KOTLIN.version}"
    with locked(cache() / "kotlin.lock"):
        if (final / "lib" / "kotlin-compiler.jar").is_file():
            return final
        with tempfile.TemporaryDirectory(dir=cache(), prefix=".kotlin-") as name:
            try:
                fetch.from_npm([KOTLIN], Path(name))
                (packed,) = held([KOTLIN], Path(name))
            except FetchError as error:
                pytest.skip(f"the Kotlin compiler cannot be had: {error}")
            with tarfile.open(packed) as archive:
                archive.extractall(name, filter="data")
            shutil.rmtree(final, ignore_errors=True)
            (Path(name) / "package").rename(final)
    return final


def kotlinc(sources: Sequence[Path], out: Path, *classpath: str | Path) -> subprocess.CompletedProcess[str]:
    """Compiles Kotlin into a folder; among the sources may be folders of Java's, whose signatures alone are read."""
    home = compiler()
    jars = [home / "lib" / jar for jar in ("kotlin-compiler.jar", "kotlin-stdlib.jar", "kotlin-reflect.jar")]
    path = os.pathsep.join(str(jar) for jar in [*jars, *sorted((home / "lib").glob("kotlin*.jar"))])
    main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
    begin = ["java", "-Xmx1g", *FIRST_COMPILER, "-cp", path, main, "-no-reflect", "-kotlin-home", home]
    given = os.pathsep.join(str(one) for one in classpath)
    return run([*begin, *FLAGS, "-cp", given, "-d", out, *sources])


def compiled() -> str:
    """Class path of the sample's Kotlin that needs no Android, its tests and the stubs: compiled together, and once."""
    home = compiler()
    roots = [ANDROID / folder for folder in FOLDERS]
    files = sorted(path for root in roots for path in ([root] if root.is_file() else root.rglob("*.kt")))
    digest = hashlib.sha256(" ".join((KOTLIN.version, *FLAGS)).encode())
    java = sorted(JAVA_STUBS.rglob("*.java"))
    for path in (*files, *java):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    final = CLASSES / digest.hexdigest()[:24]
    stdlib = home / "lib" / "kotlin-stdlib.jar"
    CLASSES.mkdir(parents=True, exist_ok=True)
    with locked(CLASSES.with_suffix(".lock")):
        if not final.is_dir():
            for old in CLASSES.iterdir():  # of sources that have changed since
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=CLASSES, prefix=".classes-") as name:
                out = Path(name) / "out"
                stubs(java, out)
                done = kotlinc(files, out, out)
                assert done.returncode == 0, done.stdout + done.stderr
                out.rename(final)
    return f"{final}{os.pathsep}{stdlib}"


def stubs(files: Sequence[Path], out: Path) -> None:
    """Compiles stubs of a library that is written in Java into a folder."""
    need("javac")
    done = run(["javac", "--release", "8", "-Xlint:-options", "-d", out, *files])
    assert done.returncode == 0, done.stdout + done.stderr


def engine_library() -> Path:
    spec = find_spec("litert_lm")
    if spec is None or not spec.origin:
        pytest.skip("the stock engine (litert-lm-api) is not installed")
    found = Path(spec.origin).with_name("liblitert-lm.so")
    if not found.is_file():
        pytest.skip("the stock engine of this system is no liblitert-lm.so")
    return found


def shim(folder: Path, *extra: str) -> Path:
    """The C shim for this machine's Java, as a file in ``folder``."""
    need("gcc", "java")
    include = Path(shutil.which("java") or "").resolve().parents[1] / "include"
    if not (include / "jni.h").is_file():
        pytest.skip("there is no jni.h beside java: the Kotlin tests need a JDK, not a JRE alone")
    library, out = engine_library(), folder / "libgemmabridge.so"
    link = [f"-L{library.parent}", f"-l:{library.name}", f"-Wl,-rpath,{library.parent}", "-Wl,--no-undefined"]
    files = sorted((ANDROID / "engine-jni" / "src" / "main" / "c").glob("*.c"))
    headers = [f"-I{include}", f"-I{include / 'linux'}"]
    done = run(["gcc", "-shared", *C_FLAGS, *extra, *headers, *files, "-o", out, *link])
    assert done.returncode == 0, done.stderr
    return out


def cases(folder: str, name: str) -> list[str]:
    """Names of a suite's cases, as they stand in its source."""
    text = next((ANDROID / folder).rglob(f"{name}.kt")).read_text("utf-8")
    return [json.loads(f'"{found}"') for found in CASE.findall(text)]


@dataclass(frozen=True)
class Outcome:
    """What a suite said.

    Attributes:
        cases: why each case failed; empty where it passed.
        figures: numbers that it measured.
        ended: how the process ended, for a case that never came.
    """

    cases: dict[str, str]
    figures: dict[str, str]
    ended: str


def suite(classes: str, name: str, *arguments: str | Path, flags: Sequence[str] = ()) -> Outcome:
    """Runs a suite's ``main``."""
    crash = ("-XX:+ErrorFileToStderr", "-XX:-CreateCoredumpOnCrash")  # nothing is left in the folder
    flags = ("-Xmx256m", "-XX:TieredStopAtLevel=1", *crash, *flags)
    done = run(["java", *flags, "-cp", classes, f"dev.gemmabridge.test.{name}Kt", *arguments])
    return outcome(done)


def outcome(done: subprocess.CompletedProcess[str]) -> Outcome:
    """What a suite's process said, a line of JSON for each case and figure."""
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    other = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    return Outcome(
        {line["case"]: line["why"] for line in lines if "case" in line},
        {line["figure"]: line["value"] for line in lines if "figure" in line},
        f"exit code {done.returncode}; {' / '.join(other)[-1500:]} {done.stderr[-1500:]}",
    )


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Outcome]) -> Outcome:
    """A suite's outcome, run by the first of the test processes that wants it and read by the others."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    kept = root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(json.dumps(asdict(make())), "utf-8")
    return Outcome(**json.loads(kept.read_text("utf-8")))


def failure(outcome: Outcome, case: str) -> str:
    """Why a case failed, or that it never ran; empty when it passed."""
    return outcome.cases.get(case, f"it did not run: {outcome.ended}")

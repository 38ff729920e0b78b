"""Builds ``app.apk``: the sample with the CPU engine and a bundle's papers, and a small bundle's model, inside."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.apk import archive, code, native, resources, sign
from convert.apk.toolchain import Toolchain
from convert.progress import Progress
from runtime_tests.pinned.pieces import digest

SAMPLE = Path(__file__).parents[2] / "mobile_samples" / "android"
ABI = "arm64-v8a"
# Kotlin that goes into the APK; tests and the other engine stay out.
KOTLIN = ("core/src/main/kotlin", "engine-jni/src/main/kotlin", "app/src/main/kotlin", "app/src/cpu/kotlin")
C, MAIN, KEYS = "engine-jni/src/main/c", "app/src/main", "signing"
ASSETS = "assets/model"


@dataclass(frozen=True)
class Apk:
    """A finished APK: SHA-256 as signed, and of the archive before it was signed."""

    sha256: str
    unsigned_sha256: str


def build(
    tools: Toolchain, assets: Mapping[str, Path], out: Path, scratch: Path, progress: Progress, sample: Path = SAMPLE
) -> Apk:
    """Builds ``out`` from the sample's sources and the files that the app finds in its assets.

    Args:
        scratch: an existing folder for what the tools write.

    Raises:
        ToolError: the sources do not compile.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="apk-") as name, progress.stage("build app.apk"):
        work = Path(name)
        for part in ("native", "res", "code"):
            (work / part).mkdir()
        native.compile_shim(tools, sample / C, ABI, resources.MIN_SDK, work / native.SHIM, work / "native")
        linked = resources.link(tools, sample / MAIN, work / "res")
        table = work / "code" / "R.kt"
        table.write_text(resources.numbers((work / "res" / "R.txt").read_text("utf-8")), "utf-8")
        kotlin = [path for folder in KOTLIN for path in sorted((sample / folder).rglob("*.kt"))]
        code.compile_kotlin(tools, [*kotlin, table], work / "code" / "classes.jar", work / "code")
        code.to_dex(tools, work / "code" / "classes.jar", work / "classes.dex", work / "code")

        files: dict[str, bytes | Path] = {f"{ASSETS}/{asset}": content for asset, content in assets.items()}
        with zipfile.ZipFile(linked) as made:
            files |= {item: made.read(item) for item in made.namelist()}
        files["classes.dex"] = work / "classes.dex"
        for library in (tools.engine(ABI), work / native.SHIM):
            files[f"lib/{ABI}/{library.name}"] = library
        unsigned = work / "unsigned.apk"
        archive.write(files, unsigned)
        sign.sign(tools, unsigned, sample / KEYS, out, work)
        return Apk(digest(out), digest(unsigned))

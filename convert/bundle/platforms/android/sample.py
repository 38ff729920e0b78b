"""What an Android bundle brings to try it out: ``app/``, the sample project, and ``app.apk``, the same installable.

Both hold the bundle's manifest as it is without them, for a file cannot hold its own digest; the bundle's manifest then
lists them too. Where an APK cannot be built, the manifest says so and why. Of a large model the app holds the manifest
and the goldens alone, and gets the rest itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from convert.apk import build, toolchain
from convert.apk.pieces import ApkUnavailableError
from convert.bundle import manifest as m
from convert.bundle import papers
from convert.bundle.names import GOLDEN, MANIFEST
from convert.bundle.platforms.android.project import PROJECT
from convert.bundle.project import APP, LARGEST_PACKED
from convert.progress import Progress

APK = "app.apk"


def tools(choice: str, progress: Progress) -> toolchain.Toolchain | str:
    """What an APK is built with, or why there will be none.

    Raises:
        ApkUnavailableError: ``require``, and it cannot be had.
    """
    if choice == "skip":
        return "--apk skip"
    try:
        if not PROJECT.sources():
            raise ApkUnavailableError("the sample's sources are not installed here")
        return toolchain.toolchain(progress)
    except ApkUnavailableError as error:
        if choice == "require":
            raise
        return _line(error.why)


def add(folder: Path, found: toolchain.Toolchain | str, choice: str, work: Path, progress: Progress) -> m.Apk:
    """Adds ``app/`` and ``app.apk`` to a bundle with finished papers, and to its manifest.

    Args:
        found: of :func:`tools`.
        work: for scratch files.

    Raises:
        ToolError: ``require``, and the sample does not compile.
    """
    manifest = m.read(folder)
    assets = {MANIFEST: folder / MANIFEST, GOLDEN: folder / GOLDEN}
    if manifest.files[manifest.model].bytes <= LARGEST_PACKED:
        assets[manifest.model] = folder / manifest.model
    if PROJECT.sources():
        PROJECT.write(folder / APP, assets)
    made = m.Apk(status=f"not built: {found}", unsigned_sha256=None) if isinstance(found, str) else None
    if made is None:
        made = _built(folder / APK, assets, found, choice, work, progress)  # type: ignore[arg-type]
    added = [path for path in (folder / APP).rglob("*") if path.is_file()]
    added += [folder / APK] if (folder / APK).is_file() else []
    papers.add(folder, added, apk=made)
    return made


def add_project(folder: Path, progress: Progress) -> str:
    """Adds ``app/`` alone to a bundle with finished papers, and to its manifest; says in a line what is in it.

    For an engine that comes as a package which Gradle fetches, so that no APK can be built without it.
    """
    if not PROJECT.sources():
        return "app: the sample's sources are not installed here"
    with progress.stage("app"):
        assets, whole = PROJECT.packed(folder, m.read(folder).files)
        PROJECT.write(folder / APP, assets)
        made = m.Apk(status="not built: Gradle fetches its engine; build app/", unsigned_sha256=None)
        papers.add(folder, [path for path in (folder / APP).rglob("*") if path.is_file()], apk=made)
    return f"app: {'with the model' if whole else 'without the model, which the app downloads'}"


def _built(
    out: Path, assets: dict[str, Path], found: toolchain.Toolchain, choice: str, work: Path, progress: Progress
) -> m.Apk:
    try:
        return m.Apk(status="built", unsigned_sha256=build.build(found, assets, out, work, progress).unsigned_sha256)
    except (toolchain.ToolError, ApkUnavailableError) as error:
        out.unlink(missing_ok=True)
        if choice == "require":
            raise
        sys.stderr.write(f"warning: {error}\n")
        return m.Apk(status=f"not built: {_line(error.found)}", unsigned_sha256=None)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]

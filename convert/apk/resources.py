"""Resources and manifest by aapt2, and the numbers they get as Kotlin.

The framework's resources of the cache are Android 10's: what is newer may be asked for by number, not by name.
"""

from __future__ import annotations

import re
from pathlib import Path

from convert.apk.toolchain import Toolchain

PACKAGE = "dev.gemmabridge.sample"
MIN_SDK, TARGET_SDK = 26, 36
VERSION_CODE, VERSION_NAME = 1, "1.0"


def link(tools: Toolchain, main: Path, work: Path) -> Path:
    """Links ``AndroidManifest.xml`` and ``res`` of ``main`` (an ``src/main``); returns an unfinished APK.

    ``R.txt`` beside it lists the numbers. Relative paths alone: aapt2 writes paths into what it makes.
    """
    text = (main / "AndroidManifest.xml").read_text("utf-8")
    # What Gradle adds to a manifest: the package, and that libraries are mapped from the APK rather than copied out.
    text = re.sub(r"<manifest\b", f'<manifest package="{PACKAGE}"', text, count=1)
    text = re.sub(r"<application\b", '<application android:extractNativeLibs="false"', text, count=1)
    (work / "AndroidManifest.xml").write_text(text, "utf-8")
    for path in sorted((main / "res").rglob("*")):
        if path.is_file():
            copy = work / "res" / path.relative_to(main / "res")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    tools.run([tools.aapt2, "compile", "--dir", "res", "-o", "res.zip"], work)
    sdk = ["--min-sdk-version", str(MIN_SDK), "--target-sdk-version", str(TARGET_SDK)]
    version = ["--version-code", str(VERSION_CODE), "--version-name", VERSION_NAME]
    # uses-native-library is younger than the tool: it warns and carries it over.
    rest = ["--warn-manifest-validation", "--output-text-symbols", "R.txt", "-o", "linked.apk", "res.zip"]
    flags = ["-I", str(tools.framework), "--manifest", "AndroidManifest.xml", *sdk, *version, *rest]
    tools.run([tools.aapt2, "link", *flags], work)
    return work / "linked.apk"


def numbers(listed: str, package: str = PACKAGE) -> str:
    """Kotlin of ``R``, from the text that aapt2 writes.

    >>> "const val app_name = 2131099648" in numbers("int string app_name 0x7f060000")
    True
    """
    kinds: dict[str, list[str]] = {}
    for line in listed.splitlines():
        array, kind, name, number = line.split(maxsplit=3)
        if array == "int":
            kinds.setdefault(kind, []).append(f"        const val {name} = {int(number, 16)}")
    bodies = [f"    object {kind} {{\n" + "\n".join(lines) + "\n    }" for kind, lines in sorted(kinds.items())]
    return f'package {package}\n\n@Suppress("ClassName")\nobject R {{\n' + "\n".join(bodies) + "\n}\n"
